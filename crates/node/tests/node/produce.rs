//! Produce: what each acks waits for, duplicates, and every refusal.

use node::{ConnId, Event, Input, Reply};
use protocol::messages::{
    DescribeLogDirsRequest, DescribeProducersRequest, describe_log_dirs_request, describe_producers_request,
};
use protocol::messages::{IncrementalAlterConfigsRequest, incremental_alter_configs_request as alter};
use protocol::records::{BatchBuilder, Compression, PureCompressors, Records};
use protocol::{ErrorCode, Offset, ProducerEpoch, ProducerId, RequestBody, ResponseBody, Str, WallMs};

use crate::common::{CLIENT, EPOCH, Rig, batch, batch_at, build, produce, produce_many, sequenced};

fn error(rig: &mut Rig, topic: &str, acks: i16, batch: bytes::Bytes) -> ErrorCode {
    ErrorCode::from_code(rig.produce(topic, 0, acks, batch).0)
}

#[test]
fn records_get_offsets_and_can_be_read() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    assert_eq!(rig.produce("t", 0, -1, batch(&["a", "b"])), (0, 0));
    assert_eq!(rig.produce("t", 0, 1, batch(&["c"])), (0, 2));
    let response = rig.fetch("t", 0, 0);
    assert_eq!(rig.values(&response), [(0, "a".into()), (1, "b".into()), (2, "c".into())]);
    assert_eq!(response.responses[0].partitions[0].high_watermark, 3);
}

#[test]
fn nothing_is_said_before_the_batch_is_written() {
    for acks in [1, -1] {
        let mut rig = Rig::start();
        rig.create_topic("t", 1, &[]);
        rig.held = true;
        let id = rig.send(12, produce("t", 0, acks, batch(&["a"])));
        rig.run();
        assert_eq!(rig.answer(id), None, "acks={acks}");
        assert_eq!(rig.log("t", 0).high_watermark, Offset(0));
        assert_eq!(rig.log("t", 0).end, Offset(1));
        rig.held = false;
        rig.run();
        assert!(rig.answer(id).is_some(), "acks={acks}");
        assert_eq!(rig.log("t", 0).high_watermark, Offset(1));
    }
}

#[test]
fn acks_all_times_out_with_its_offset_and_stays_in_the_log() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.held = true;
    let id = rig.send(12, produce("t", 0, -1, batch(&["a"])));
    rig.advance(999);
    assert_eq!(rig.answer(id), None);
    rig.advance(1);
    let Some(ResponseBody::Produce(response)) = rig.answer(id) else { panic!("the time is over") };
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::RequestTimedOut.code(), 0));
    rig.held = false;
    rig.run();
    assert_eq!(rig.values(&rig.clone().fetch("t", 0, 0)), [(0, "a".into())]);
    assert_eq!(rig.replies, [], "it is answered once");
}

#[test]
fn a_timeout_of_nothing_does_not_beat_the_disk() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let RequestBody::Produce(mut request) = produce("t", 0, -1, batch(&["a"])) else { panic!() };
    request.timeout_ms = 0;
    let ResponseBody::Produce(response) = rig.call(12, RequestBody::Produce(request)) else { panic!() };
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn acks_zero_gets_no_answer_and_an_error_closes_the_connection() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let id = rig.send(12, produce("t", 0, 0, batch(&["a"])));
    assert_eq!(rig.replies, [Reply::Nothing(CLIENT, id)]);
    rig.run();
    assert_eq!(rig.log("t", 0).high_watermark, Offset(1));
    rig.replies.clear();
    rig.send(12, produce("missing", 0, 0, batch(&["a"])));
    assert!(matches!(&rig.replies[..], [Reply::Close(CLIENT, _)]), "{:?}", rig.replies);
    rig.replies.clear();
    rig.send(12, produce("t", 0, 1, batch(&["a"])));
    rig.run();
    assert_eq!(rig.replies, [], "a closed connection is not served");
}

#[test]
fn an_idempotent_producer_is_deduplicated() {
    // The numbers of a run of Apache Kafka: five batches are remembered, a sixth is out of order.
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    for sequence in 0..6 {
        assert_eq!(rig.produce("t", 0, -1, sequenced(9, 0, sequence, &["x"])), (0, i64::from(sequence)));
    }
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 0, 5, &["x"])), (0, 5), "the same again");
    assert_eq!(rig.produce("t", 0, 1, sequenced(9, 0, 1, &["other bytes"])), (0, 1), "the oldest of five");
    assert_eq!(
        rig.events.last(),
        Some(&Event::Deduplicated { topic: "t".into(), partition: 0, base_offset: Offset(1) })
    );
    let out_of_order = (ErrorCode::OutOfOrderSequenceNumber.code(), -1);
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 0, 0, &["x"])), out_of_order, "the sixth");
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 0, 7, &["x"])), out_of_order, "a gap");
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 0, 5, &["x", "y"])), out_of_order, "another range");
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 1, 5, &["x"])), out_of_order, "a new epoch begins at 0");
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 1, 0, &["x"])), (0, 6));
    let old = (ErrorCode::InvalidProducerEpoch.code(), -1);
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 0, 6, &["x"])), old);
    assert_eq!(rig.produce("t", 0, -1, sequenced(10, 0, 7, &["x"])), (0, 7), "unknown producers may begin anywhere");
    assert_eq!(rig.log("t", 0).end, Offset(8));
}

#[test]
fn a_duplicate_waits_until_the_original_is_safe() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.held = true;
    let first = rig.send(12, produce("t", 0, -1, sequenced(9, 0, 0, &["x"])));
    let retry = rig.send(12, produce("t", 0, -1, sequenced(9, 0, 0, &["x"])));
    rig.run();
    assert_eq!((rig.answer(first), rig.answer(retry)), (None, None));
    rig.held = false;
    rig.run();
    for id in [first, retry] {
        let Some(ResponseBody::Produce(response)) = rig.answer(id) else { panic!("both are answered") };
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, 0));
    }
    assert_eq!(rig.log("t", 0).end, Offset(1));
}

#[test]
fn one_request_waits_for_all_its_partitions() {
    let mut rig = Rig::start();
    rig.create_topic("t", 2, &[]);
    rig.held = true;
    let request = produce_many("t", -1, vec![(0, batch(&["a"])), (7, batch(&["b"])), (1, batch(&["c"]))]);
    let id = rig.send(12, request);
    rig.run();
    while rig.queue.len() > 1 {
        rig.store_one();
    }
    assert_eq!(rig.answer(id), None, "one partition is missing");
    rig.store_one();
    let Some(ResponseBody::Produce(response)) = rig.answer(id) else { panic!("all are written") };
    let errors = response.responses[0].partition_responses.iter().map(|it| (it.index, it.error_code));
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(errors.collect::<Vec<_>>(), [(0, 0), (7, unknown), (1, 0)]);
}

#[test]
fn refusals_are_kafkas() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[("max.message.bytes", "200"), ("segment.bytes", "1048576")]);
    let large = "x".repeat(200);
    assert_eq!(error(&mut rig, "nope", -1, batch(&["a"])), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(error(&mut rig, "t", 2, batch(&["a"])), ErrorCode::InvalidRequiredAcks);
    assert_eq!(error(&mut rig, "t", -2, batch(&["a"])), ErrorCode::InvalidRequiredAcks);
    assert_eq!(error(&mut rig, "t", -1, batch(&[&large])), ErrorCode::MessageTooLarge);
    assert_eq!(error(&mut rig, "t", -1, bytes::Bytes::new()), ErrorCode::InvalidRecord);
    let mut corrupt = batch(&["a"]).to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    assert_eq!(error(&mut rig, "t", -1, corrupt.into()), ErrorCode::CorruptMessage);
    let two = [batch(&["a"]), batch(&["b"])].concat();
    assert_eq!(error(&mut rig, "t", -1, two.into()), ErrorCode::InvalidRecord);
    assert_eq!(rig.log("t", 0).end, Offset(0), "nothing was written");
    assert_eq!(rig.produce("t", 0, -1, batch(&["a"])), (0, 0), "and the next is served");
}

#[test]
fn transactional_batches_are_refused_clearly() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let transactional = || {
        let builder = BatchBuilder::new(Compression::None).producer(ProducerId(9), ProducerEpoch(0), 0).transactional();
        build(builder, EPOCH, &["x"])
    };
    assert_eq!(error(&mut rig, "t", -1, transactional()), ErrorCode::TransactionalIdAuthorizationFailed);
    let RequestBody::Produce(mut request) = produce("t", 0, -1, transactional()) else { panic!() };
    request.transactional_id = Some(Str::from_static("tx"));
    let ResponseBody::Produce(response) = rig.call(12, RequestBody::Produce(request)) else { panic!() };
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, ErrorCode::InvalidTxnState.code());
    assert!(answer.error_message.is_some());
}

#[test]
fn topic_ids_are_used_since_version_13() {
    let mut rig = Rig::start();
    let id = rig.create_topic("t", 1, &[]);
    let RequestBody::Produce(mut request) = produce("", 0, -1, batch(&["a"])) else { panic!() };
    request.topic_data[0].topic_id = id;
    let ResponseBody::Produce(response) = rig.call(13, RequestBody::Produce(request.clone())) else { panic!() };
    assert_eq!(response.responses[0].topic_id, id);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    request.topic_data[0].topic_id = protocol::Uuid::from_random([9; 16]);
    let ResponseBody::Produce(response) = rig.call(13, RequestBody::Produce(request)) else { panic!() };
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::UnknownTopicId.code());
}

#[test]
fn timestamps_and_keys_are_checked_record_by_record() {
    let mut rig = Rig::start();
    rig.create_topic(
        "t",
        1,
        &[("message.timestamp.after.max.ms", "1000"), ("message.timestamp.before.max.ms", "2000")],
    );
    for timestamp in [EPOCH + 1001, EPOCH - 2001] {
        assert_eq!(error(&mut rig, "t", -1, batch_at(timestamp, &["a"])), ErrorCode::InvalidTimestamp);
    }
    for timestamp in [EPOCH + 1000, EPOCH - 2000] {
        assert_eq!(error(&mut rig, "t", -1, batch_at(timestamp, &["a"])), ErrorCode::None);
    }
    rig.create_topic("compacted", 1, &[("cleanup.policy", "compact")]);
    let mut builder = BatchBuilder::new(Compression::Gzip);
    builder.push(WallMs(EPOCH), Some(b"k"), Some(b"v"), &[]);
    builder.push(WallMs(EPOCH), None, Some(b"v"), &[]);
    let request = produce("compacted", 0, -1, builder.build(&PureCompressors).unwrap());
    let ResponseBody::Produce(response) = rig.call(12, request) else { panic!() };
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
    assert_eq!(answer.record_errors.iter().map(|it| it.batch_index).collect::<Vec<_>>(), [1]);
    assert_eq!(answer.log_start_offset, 0);
}

#[test]
fn log_append_time_is_the_brokers() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let far = EPOCH + 1_000_000_000;
    let ResponseBody::Produce(response) = rig.call(12, produce("t", 0, -1, batch_at(far, &["a"]))) else { panic!() };
    assert_eq!(response.responses[0].partition_responses[0].log_append_time_ms, rig.wall.0);
    assert_eq!(rig.log("t", 0).recent[0].max_timestamp, rig.wall.0);
}

#[test]
fn configs_apply_to_the_next_append() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let resource = alter::AlterConfigsResource {
        resource_type: 2,
        resource_name: Str::from_static("t"),
        configs: vec![alter::AlterableConfig {
            name: Str::from_static("max.message.bytes"),
            config_operation: 0,
            value: Some(Str::from_static("60")),
        }],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    rig.call(1, RequestBody::IncrementalAlterConfigs(request));
    assert_eq!(error(&mut rig, "t", -1, batch(&["a"])), ErrorCode::MessageTooLarge);
}

#[test]
fn a_partition_named_twice_is_refused_once() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let request = produce_many("t", -1, vec![(0, batch(&["a"])), (0, batch(&["b"]))]);
    let ResponseBody::Produce(response) = rig.call(12, request) else { panic!() };
    let errors: Vec<_> = response.responses[0].partition_responses.iter().map(|it| it.error_code).collect();
    assert_eq!(errors, [0, ErrorCode::InvalidRequest.code()]);
    assert_eq!(rig.log("t", 0).end, Offset(1));
}

#[test]
fn a_connection_that_goes_leaves_its_batches() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let conn = ConnId(2);
    rig.open(conn);
    rig.send_on(conn, 12, produce("t", 0, -1, batch(&["a"])));
    rig.input(Input::Closed(conn));
    rig.run();
    assert_eq!(rig.replies, []);
    assert_eq!(rig.log("t", 0).high_watermark, Offset(1));
    assert_eq!(rig.view().produce_bytes, 0);
    assert_eq!(rig.view().waits, []);
}

#[test]
fn checked_batches_are_taken_as_they_come() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let rules = protocol::records::CheckRules::produce(12);
    let batches = protocol::records::check(batch(&["a"]), &rules, &PureCompressors).unwrap();
    let RequestBody::Produce(mut request) = produce("t", 0, -1, bytes::Bytes::new()) else { panic!() };
    request.topic_data[0].partition_data[0].records = Some(Records::Batches(batches));
    let ResponseBody::Produce(response) = rig.call(12, RequestBody::Produce(request)) else { panic!() };
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(rig.values(&rig.clone().fetch("t", 0, 0)), [(0, "a".into())]);
}

#[test]
fn producers_and_directories_are_described() {
    let mut rig = Rig::start();
    rig.create_topic("t", 2, &[]);
    rig.produce("t", 0, -1, sequenced(9, 3, 0, &["a", "b"]));
    let topic = |name: &str, partitions: &[i32]| describe_producers_request::TopicRequest {
        name: name.into(),
        partition_indexes: partitions.to_vec(),
    };
    let topics = vec![topic("t", &[0, 1, 2]), topic("missing", &[0]), topic("a/b", &[0])];
    let answer = rig.call(0, RequestBody::DescribeProducers(DescribeProducersRequest { topics }));
    let ResponseBody::DescribeProducers(response) = answer else { panic!() };
    let told = |index: usize| {
        let partitions = response.topics[index].partitions.iter();
        let told = partitions.map(|it| (it.error_code, it.error_message.is_some(), it.active_producers.len()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(0), [(0, false, 1), (0, false, 0), (ErrorCode::UnknownTopicOrPartition.code(), false, 0)]);
    assert_eq!(told(1), [(ErrorCode::UnknownTopicOrPartition.code(), true, 0)]);
    assert_eq!(told(2), [(ErrorCode::InvalidTopicException.code(), true, 0)]);
    let producer = &response.topics[0].partitions[0].active_producers[0];
    assert_eq!((producer.producer_id, producer.producer_epoch, producer.last_sequence), (9, 3, 1));
    assert_eq!((producer.coordinator_epoch, producer.current_txn_start_offset), (-1, -1));

    let asked = describe_log_dirs_request::DescribableLogDirTopic { topic: "t".into(), partitions: vec![0] };
    for (topics, expected) in [(None, 2), (Some(vec![asked]), 1), (Some(vec![]), 0)] {
        let answer = rig.call(4, RequestBody::DescribeLogDirs(DescribeLogDirsRequest { topics }));
        let ResponseBody::DescribeLogDirs(response) = answer else { panic!() };
        let [dir] = response.results.as_slice() else { panic!("{response:?}") };
        assert_eq!((dir.error_code, dir.total_bytes), (0, -1));
        let partitions: Vec<_> = dir.topics.iter().flat_map(|topic| &topic.partitions).collect();
        assert_eq!(partitions.len(), expected);
        if let Some(first) = partitions.first() {
            assert_eq!((first.partition_index, first.offset_lag, first.is_future_key), (0, 0, false));
            assert!(first.partition_size > 0, "two records take bytes");
        }
    }
    rig.store.disk_mut().set_capacity(Some(1 << 40));
    let answer = rig.call(4, RequestBody::DescribeLogDirs(DescribeLogDirsRequest::default()));
    let ResponseBody::DescribeLogDirs(response) = answer else { panic!() };
    let dir = &response.results[0];
    assert!(dir.total_bytes == 1 << 40 && (1..1 << 40).contains(&dir.usable_bytes), "{dir:?}");
}
