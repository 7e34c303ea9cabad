//! ListOffsets, DeleteRecords, InitProducerId, retention.

use node::{Event, Reply};
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{DeleteRecordsRequest, FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest};
use protocol::{ErrorCode, Offset, RequestBody, ResponseBody, Str};

use crate::common::{EPOCH, Rig, batch, batch_at};

fn list(rig: &mut Rig, version: i16, request: ListOffsetsRequest) -> (i16, i64, i64, i32) {
    let ResponseBody::ListOffsets(response) = rig.call(version, RequestBody::ListOffsets(request)) else { panic!() };
    let answer = &response.topics[0].partitions[0];
    (answer.error_code, answer.timestamp, answer.offset, answer.leader_epoch)
}

fn asking(timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: Str::from_static("t"), partitions: vec![partition] };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() }
}

fn delete(rig: &mut Rig, offset: i64) -> (i16, i64) {
    let ResponseBody::DeleteRecords(response) = rig.call(2, deleting(offset)) else { panic!() };
    let answer = &response.topics[0].partitions[0];
    (answer.error_code, answer.low_watermark)
}

fn deleting(offset: i64) -> RequestBody {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: Str::from_static("t"), partitions }];
    RequestBody::DeleteRecords(DeleteRecordsRequest { topics, timeout_ms: 1000 })
}

fn filled() -> Rig {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.produce("t", 0, -1, batch_at(EPOCH + 10, &["a"]));
    rig.produce("t", 0, -1, batch_at(EPOCH + 30, &["b", "c"]));
    rig.produce("t", 0, -1, batch_at(EPOCH + 20, &["d"]));
    rig
}

#[test]
fn offsets_by_name_and_by_time() {
    let mut rig = filled();
    let epoch = rig.view().topics[0].partitions[0].leader_epoch.0;
    assert_eq!(list(&mut rig, 10, asking(-1)), (0, -1, 4, epoch));
    assert_eq!(list(&mut rig, 10, asking(-2)), (0, -1, 0, epoch));
    assert_eq!(list(&mut rig, 10, asking(-4)), (0, -1, 0, epoch));
    assert_eq!(list(&mut rig, 11, asking(-5)), (0, -1, -1, -1));
    assert_eq!(list(&mut rig, 11, asking(-6)), (0, -1, -1, -1));
    assert_eq!(list(&mut rig, 10, asking(-3)), (0, EPOCH + 30, 1, epoch), "the first with the greatest timestamp");
    assert_eq!(list(&mut rig, 10, asking(EPOCH)), (0, EPOCH + 10, 0, epoch));
    assert_eq!(list(&mut rig, 10, asking(EPOCH + 11)), (0, EPOCH + 30, 1, epoch));
    assert_eq!(list(&mut rig, 10, asking(EPOCH + 31)), (0, -1, -1, -1), "none so late");
    assert_eq!(list(&mut rig, 3, asking(-1)), (0, -1, 4, -1), "no epochs before version 4");
}

#[test]
fn special_timestamps_came_with_versions() {
    let mut rig = filled();
    let unsupported = ErrorCode::UnsupportedVersion.code();
    for (timestamp, version) in [(-3, 6), (-4, 7), (-5, 8), (-6, 10), (-7, 11), (i64::MIN, 11)] {
        assert_eq!(list(&mut rig, version, asking(timestamp)).0, unsupported, "{timestamp} at version {version}");
    }
}

#[test]
fn list_offsets_refusals() {
    let mut rig = filled();
    let epoch = rig.view().topics[0].partitions[0].leader_epoch.0;
    let mut request = asking(-1);
    request.topics[0].partitions[0].current_leader_epoch = epoch + 1;
    assert_eq!(list(&mut rig, 10, request).0, ErrorCode::UnknownLeaderEpoch.code());
    let mut request = asking(-1);
    request.topics[0].partitions[0].partition_index = 3;
    assert_eq!(list(&mut rig, 10, request).0, ErrorCode::UnknownTopicOrPartition.code());
    let mut request = asking(-1);
    let again = request.topics[0].partitions[0].clone();
    request.topics[0].partitions.push(again);
    assert_eq!(list(&mut rig, 10, request).0, ErrorCode::InvalidRequest.code());
}

#[test]
fn an_empty_log_has_ends_and_no_times() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    assert_eq!(list(&mut rig, 10, asking(-1)).2, 0);
    assert_eq!(list(&mut rig, 10, asking(-3)).1, -1);
    assert_eq!(list(&mut rig, 10, asking(EPOCH)).2, -1);
}

#[test]
fn deleted_records_are_gone_once_that_is_on_disk() {
    let mut rig = filled();
    assert_eq!(delete(&mut rig, 2), (0, 2));
    assert_eq!(rig.log("t", 0).log_start, Offset(2));
    let response = rig.fetch("t", 0, 1);
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::OffsetOutOfRange.code());
    let response = rig.fetch("t", 0, 2);
    assert_eq!(rig.values(&response).first(), Some(&(1, "b".into())), "the whole batch, as Kafka");
    assert_eq!(delete(&mut rig, 1), (0, 2), "it never moves back");
    assert_eq!(delete(&mut rig, 5).0, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(delete(&mut rig, -2).0, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(delete(&mut rig, -1), (0, 4), "the high watermark");

    rig.produce("t", 0, -1, batch(&["e"]));
    rig.held = true;
    let id = rig.send(2, deleting(5));
    rig.run();
    assert_eq!(rig.answer(id), None, "not before the checkpoint is written");
    rig.held = false;
    rig.run();
    assert!(rig.answer(id).is_some());

    // A crash right after the answer does not bring them back.
    let mut rig = rig.restart(&[]);
    assert_eq!(rig.log("t", 0).log_start, Offset(5));
    assert_eq!(rig.produce("t", 0, -1, batch(&["f"])), (0, 5));
}

#[test]
fn a_compacted_topic_deletes_no_records() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[("cleanup.policy", "compact")]);
    assert_eq!(delete(&mut rig, 0).0, ErrorCode::PolicyViolation.code());
}

#[test]
fn retention_moves_the_log_start() {
    let mut rig = Rig::with(&[("log.retention.check.interval.ms", "1000")]);
    rig.create_topic("t", 1, &[("retention.ms", "60000")]);
    rig.produce("t", 0, -1, batch_at(EPOCH - 3_600_000, &["old", "older"]));
    rig.advance(1000);
    assert_eq!(rig.log("t", 0).log_start, Offset(2), "the active segment is rolled and deleted too");
    assert!(rig.events.contains(&Event::LogStart { topic: "t".into(), partition: 0, offset: Offset(2) }));
    let response = rig.fetch("t", 0, 0);
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(rig.produce("t", 0, -1, batch_at(EPOCH, &["new"])), (0, 2));
    rig.advance(5000);
    assert_eq!(rig.log("t", 0).log_start, Offset(2));
}

#[test]
fn retention_by_size_keeps_the_newest() {
    let mut rig = Rig::with(&[("log.retention.check.interval.ms", "1000")]);
    let configs = [("retention.bytes", "200"), ("internal.segment.bytes", "200"), ("retention.ms", "-1")];
    rig.create_topic("t", 1, &configs);
    for index in 0..20 {
        assert_eq!(rig.produce("t", 0, -1, batch(&["xxxxxxxxxxxxxxxx"])), (0, index));
    }
    rig.advance(1000);
    let log = rig.log("t", 0);
    assert!(log.log_start > Offset(0) && log.log_start < Offset(20), "{log:?}");
    assert!(log.bytes < 500, "{log:?}");
}

#[test]
fn producer_ids_are_unique_restarts_included() {
    let mut rig = Rig::start();
    let init = || {
        RequestBody::InitProducerId(InitProducerIdRequest {
            transactional_id: None,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        })
    };
    let mut ids = ordered::Set::new();
    for _ in 0..1500 {
        let ResponseBody::InitProducerId(response) = rig.call(4, init()) else { panic!() };
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        assert!(ids.insert(response.producer_id));
    }
    assert_eq!(ids.last(), Some(&1499), "ids are dense within a run");
    let mut rig = rig.restart(&[]);
    let ResponseBody::InitProducerId(response) = rig.call(4, init()) else { panic!() };
    assert_eq!(response.producer_id, 2000, "a new block");
}

#[test]
fn requests_for_ids_wait_together_for_a_block() {
    let mut rig = Rig::start();
    rig.held = true;
    let init = || {
        RequestBody::InitProducerId(InitProducerIdRequest {
            transactional_id: None,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        })
    };
    let before = rig.view().metadata.log_end;
    let ids: Vec<i32> = (0..3).map(|_| rig.send(4, init())).collect();
    assert_eq!(rig.replies, []);
    assert_eq!(rig.view().metadata.log_end.0, before.0 + 1, "one block for all");
    rig.held = false;
    rig.run();
    assert!(ids.into_iter().all(|id| rig.answer(id).is_some()));
}

#[test]
fn transactional_ids_are_refused() {
    let mut rig = Rig::start();
    let mut code = |transactional_id: Option<&str>, producer_id, producer_epoch| {
        let transactional_id = transactional_id.map(Str::from);
        let request =
            InitProducerIdRequest { transactional_id, producer_id, producer_epoch, ..InitProducerIdRequest::default() };
        let ResponseBody::InitProducerId(response) = rig.call(4, RequestBody::InitProducerId(request)) else {
            panic!()
        };
        assert!(!rig.replies.iter().any(|it| matches!(it, Reply::Close(..))));
        ErrorCode::from_code(response.error_code)
    };
    assert_eq!(code(Some("tx"), -1, -1), ErrorCode::TransactionalIdAuthorizationFailed);
    assert_eq!(code(Some(""), -1, -1), ErrorCode::InvalidRequest);
    assert_eq!(code(None, 5, -1), ErrorCode::InvalidRequest);
    assert_eq!(code(None, 5, 0), ErrorCode::None);
}

/// The one code that both librdkafka and the Java client take for final, with the reason.
#[test]
fn nobody_coordinates_transactions_and_who_asks_is_told_at_once() {
    let mut rig = Rig::start();
    for version in [1, 3, 4, 6] {
        let mut request = FindCoordinatorRequest { key_type: 1, ..FindCoordinatorRequest::default() };
        if version < 4 {
            request.key = Str::from_static("tx");
        } else {
            request.coordinator_keys = vec![Str::from_static("tx")];
        }
        let ResponseBody::FindCoordinator(mut response) = rig.call(version, RequestBody::FindCoordinator(request))
        else {
            panic!()
        };
        let (code, message, node) = match response.coordinators.pop() {
            Some(it) => (it.error_code, it.error_message, it.node_id),
            None => (response.error_code, response.error_message, response.node_id),
        };
        assert_eq!(ErrorCode::from_code(code), ErrorCode::TransactionalIdAuthorizationFailed, "version {version}");
        assert!(message.is_some_and(|it| it.contains("no transactions yet")) && node == -1, "version {version}");
    }
}
