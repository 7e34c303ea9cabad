//! The consumer against scripted brokers.

use client::wire::{ApiKey, Request, RequestBody, ResponseBody};
use client::{Answer, Cause, ConnId, ConsumerRecord, Event, Input, Operation, Outcome, SeekTo};
use protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use protocol::messages::{FetchRequest, FetchResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse};
use protocol::records::control::EndTransaction;
use protocol::records::{BatchBuilder, Compression, PureCompressors, Records};
use protocol::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition, Uuid, WallMs};

use crate::stage::{Stage, WALL, batch, partition, text};

/// What a broker says of a partition in a fetch answer.
fn data(index: i32, error: ErrorCode, bytes: Vec<u8>) -> PartitionData {
    PartitionData {
        partition_index: index,
        error_code: error.code(),
        high_watermark: 100,
        last_stable_offset: 100,
        log_start_offset: 0,
        records: Some(Records::Bytes(bytes.into())),
        ..Default::default()
    }
}

impl Stage {
    /// Answers a fetch of topic `t`.
    fn fetched(&mut self, (conn, request): (ConnId, &Request), session: i32, partitions: Vec<PartitionData>) {
        let topic_id = self.topics["t"].id;
        let topic = FetchableTopicResponse { topic_id, partitions, ..Default::default() };
        let responses = if topic.partitions.is_empty() { Vec::new() } else { vec![topic] };
        let body = FetchResponse { session_id: session, responses, ..Default::default() };
        self.answer(conn, request, ResponseBody::Fetch(body));
    }

    fn refuse_fetch(&mut self, conn: ConnId, request: &Request, error: ErrorCode) {
        let body = FetchResponse { error_code: error.code(), ..Default::default() };
        self.answer(conn, request, ResponseBody::Fetch(body));
    }

    /// Answers the oldest request, a ListOffsets, alike for all partitions; tells which timestamp it asked for.
    fn listed(&mut self, offset: i64, error: ErrorCode) -> i64 {
        let (conn, request) = self.take(ApiKey::ListOffsets);
        let RequestBody::ListOffsets(body) = &request.body else { unreachable!() };
        assert_eq!(body.replica_id, -1);
        let asked = &body.topics[0].partitions;
        let partitions = asked.iter().map(|it| ListOffsetsPartitionResponse {
            partition_index: it.partition_index,
            offset,
            error_code: error.code(),
            leader_epoch: if offset >= 0 { 0 } else { -1 },
            ..Default::default()
        });
        let topic = ListOffsetsTopicResponse { name: body.topics[0].name.clone(), partitions: partitions.collect() };
        let timestamp = asked[0].timestamp;
        let body = ListOffsetsResponse { topics: vec![topic], ..Default::default() };
        self.answer(conn, &request, ResponseBody::ListOffsets(body));
        timestamp
    }

    fn assign(&mut self, partitions: &[TopicPartition]) {
        self.start(Operation::Assign(partitions.to_vec()));
    }

    fn seek(&mut self, partition: &TopicPartition, to: SeekTo) {
        let op = self.start(Operation::Seek(partition.clone(), to));
        assert!(matches!(self.outcome(op), Some(Outcome::Ok(_))));
    }

    /// What a poll brought: partition, offset and value.
    fn polled(&self, op: u64) -> Option<Vec<(i32, i64, String)>> {
        match self.outcome(op)? {
            Outcome::Ok(Answer::Records(records)) => Some(records.iter().map(told).collect()),
            other => panic!("{other:?}"),
        }
    }
}

fn told(record: &ConsumerRecord) -> (i32, i64, String) {
    (record.partition.partition, record.record.offset.0, text(record.record.value.as_ref()))
}

fn offsets(body: &FetchRequest) -> Vec<(i32, i64)> {
    body.topics.iter().flat_map(|it| &it.partitions).map(|it| (it.partition, it.fetch_offset)).collect()
}

/// A consumer of `t-0` that reads from offset 5 and whose first fetch is under way.
fn reading(settings: &[(&str, &str)]) -> (Stage, ConnId, Request) {
    let mut stage = Stage::new(settings).topic("t", &[1]);
    stage.assign(&[partition("t", 0)]);
    stage.seek(&partition("t", 0), SeekTo::Offset(Offset(5)));
    // The lookup that the reset policy began is of no use any more.
    if stage.requests[0].1.body.api_key() == ApiKey::ListOffsets {
        stage.listed(0, ErrorCode::None);
    }
    let (conn, request, body) = stage.take_fetch();
    assert_eq!(offsets(&body), [(0, 5)]);
    (stage, conn, request)
}

#[test]
fn a_poll_brings_records_and_moves_on() {
    let (mut stage, conn, request) = reading(&[]);
    let poll = stage.poll(1_000);
    assert_eq!(stage.polled(poll), None);
    let bytes = [batch(4, 0, &["four", "five"]), batch(6, 0, &["six"])].concat();
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, bytes)]);
    assert_eq!(stage.polled(poll), Some(vec![(0, 5, "five".into()), (0, 6, "six".into())]), "not the one before 5");
    let (.., body) = stage.take_fetch();
    assert_eq!((body.session_id, body.session_epoch, offsets(&body)), (9, 1, vec![(0, 7)]));
    let view = &stage.client.view().consumer[0];
    assert_eq!((view.position, view.high_watermark, view.fetching), (Some(Offset(7)), Some(Offset(100)), true));
}

#[test]
fn a_poll_without_records_ends_in_time() {
    let (mut stage, ..) = reading(&[]);
    let poll = stage.poll(300);
    stage.advance(299);
    assert_eq!(stage.polled(poll), None);
    stage.advance(1);
    assert_eq!(stage.polled(poll), Some(vec![]));
}

#[test]
fn polls_are_bounded_and_nothing_is_fetched_while_records_wait() {
    let (mut stage, conn, request) = reading(&[("max.poll.records", "2")]);
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, batch(5, 0, &["5", "6", "7"]).to_vec())]);
    assert_eq!(stage.requests.len(), 0);
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll), Some(vec![(0, 5, "5".into()), (0, 6, "6".into())]));
    assert_eq!(stage.requests.len(), 0);
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll), Some(vec![(0, 7, "7".into())]));
    assert_eq!(offsets(&stage.take_fetch().2), [(0, 8)]);
}

#[test]
fn the_reset_policy_says_where_to_begin() {
    for (policy, timestamp) in [("earliest", -2), ("latest", -1), ("by_duration:PT1M", WALL - 60_000)] {
        let mut stage = Stage::new(&[("auto.offset.reset", policy)]).topic("t", &[1]);
        stage.assign(&[partition("t", 0)]);
        assert_eq!(stage.listed(42, ErrorCode::None), timestamp, "{policy}");
        assert_eq!(offsets(&stage.take_fetch().2), [(0, 42)], "{policy}");
    }
}

#[test]
fn without_a_reset_policy_a_position_must_be_sought() {
    let mut stage = Stage::new(&[("auto.offset.reset", "none")]).topic("t", &[1]);
    stage.assign(&[partition("t", 0)]);
    let poll = stage.poll(100);
    let Some(Outcome::Failed(failure)) = stage.outcome(poll) else { panic!() };
    assert_eq!(failure.cause, Cause::NoOffset(vec![partition("t", 0)]));
    assert_eq!(failure.message, "Undefined offset with no reset policy for partitions: [t-0]");
    stage.seek(&partition("t", 0), SeekTo::Beginning);
    assert_eq!(stage.listed(3, ErrorCode::None), -2);
    let position = stage.start(Operation::Position(partition("t", 0)));
    let Some(Outcome::Ok(Answer::Position(position))) = stage.outcome(position) else { panic!() };
    assert_eq!(position.offset, Offset(3));
}

#[test]
fn out_of_range_resets_or_fails_as_the_policy_says() {
    let (mut stage, conn, request) = reading(&[("auto.offset.reset", "earliest")]);
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::OffsetOutOfRange, vec![])]);
    assert_eq!(stage.listed(2, ErrorCode::None), -2);
    assert_eq!(offsets(&stage.take_fetch().2), [(0, 2)]);
    assert!(stage.events.contains(&Event::PositionReset { partition: partition("t", 0), offset: Offset(2) }));

    let (mut stage, conn, request) = reading(&[("auto.offset.reset", "none")]);
    let poll = stage.poll(1_000);
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::OffsetOutOfRange, vec![])]);
    let Some(Outcome::Failed(failure)) = stage.outcome(poll) else { panic!() };
    assert_eq!(failure.cause, Cause::OutOfRange(vec![(partition("t", 0), Offset(5))]));
}

#[test]
fn an_offset_lookup_that_fails_is_tried_again_elsewhere() {
    let mut stage = Stage::new(&[("auto.offset.reset", "earliest")]).topic("t", &[1]);
    stage.assign(&[partition("t", 0)]);
    let topic = stage.topics.get_mut("t").unwrap();
    (topic.leaders, topic.epoch) = (vec![2], 1);
    stage.listed(-1, ErrorCode::NotLeaderOrFollower);
    stage.advance(1_000);
    assert_eq!(stage.ports[&stage.requests[0].0], 9002);
    stage.listed(0, ErrorCode::None);
    assert_eq!(offsets(&stage.take_fetch().2), [(0, 0)]);
}

#[test]
fn a_timestamp_younger_than_all_records_seeks_to_the_end() {
    let (mut stage, conn, request) = reading(&[]);
    stage.seek(&partition("t", 0), SeekTo::Timestamp(WallMs(WALL)));
    stage.fetched((conn, &request), 9, vec![]);
    assert_eq!(stage.listed(-1, ErrorCode::None), WALL);
    assert_eq!(stage.listed(50, ErrorCode::None), -1);
}

#[test]
fn an_answer_from_before_a_seek_is_dropped() {
    let (mut stage, conn, request) = reading(&[]);
    stage.seek(&partition("t", 0), SeekTo::Offset(Offset(0)));
    stage.seek(&partition("t", 0), SeekTo::Offset(Offset(5)));
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, batch(5, 0, &["stale"]).to_vec())]);
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll), Some(vec![]));
    assert_eq!(stage.requests.len(), 1, "asked again, under the session that was just made");
    // The offset is the same to the broker, so nothing about the partition is sent again.
    let (conn, request, body) = stage.take_fetch();
    assert_eq!((body.session_epoch, offsets(&body)), (1, vec![]));
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, batch(5, 0, &["fresh"]).to_vec())]);
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll), Some(vec![(0, 5, "fresh".into())]));
}

#[test]
fn a_paused_partition_keeps_its_position_and_its_records() {
    let (mut stage, conn, request) = reading(&[]);
    stage.start(Operation::Pause(vec![partition("t", 0)]));
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, batch(5, 0, &["5"]).to_vec())]);
    let poll = stage.poll(0);
    assert_eq!((stage.polled(poll), stage.requests.len()), (Some(vec![]), 0));
    stage.start(Operation::Resume(vec![partition("t", 0)]));
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll), Some(vec![(0, 5, "5".into())]));
}

#[test]
fn a_forgotten_session_is_made_anew() {
    let (mut stage, conn, request) = reading(&[]);
    stage.fetched((conn, &request), 9, vec![]);
    let (conn, request, body) = stage.take_fetch();
    assert_eq!((body.session_id, body.session_epoch, offsets(&body)), (9, 1, vec![]));
    stage.refuse_fetch(conn, &request, ErrorCode::FetchSessionIdNotFound);
    let (.., body) = stage.take_fetch();
    assert_eq!((body.session_id, body.session_epoch, offsets(&body)), (0, 0, vec![(0, 5)]));
}

#[test]
fn a_broken_connection_is_replaced_after_a_while() {
    let (mut stage, conn, _) = reading(&[]);
    stage.input(Input::Closed(conn));
    assert_eq!(stage.requests.len(), 0);
    stage.advance(1_000);
    let (again, _, body) = stage.take_fetch();
    assert_ne!(again, conn);
    assert_eq!((body.session_epoch, offsets(&body)), (0, vec![(0, 5)]));
}

#[test]
fn a_refused_partition_is_not_hammered() {
    let (mut stage, mut conn, mut request) = reading(&[]);
    let mut asked = 0;
    for _ in 0..100 {
        stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::UnknownLeaderEpoch, vec![])]);
        stage.advance(100);
        while let Some((next, again)) = stage.requests.pop_front() {
            asked += 1;
            (conn, request) = (next, again);
        }
    }
    assert!((8..=30).contains(&asked), "{asked} fetches in 10 s");
}

/// Reads two records of epoch 0, then lets broker 2 lead in epoch 1.
fn led_by_another(settings: &[(&str, &str)]) -> (Stage, ConnId, Request) {
    let (mut stage, conn, request) = reading(settings);
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, batch(5, 0, &["5", "6"]).to_vec())]);
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll).unwrap().len(), 2);
    let topic = stage.topics.get_mut("t").unwrap();
    (topic.leaders, topic.epoch) = (vec![2], 1);
    let (conn, request, _) = stage.take_fetch();
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::NotLeaderOrFollower, vec![])]);
    stage.advance(1_000);
    let (conn, request) = stage.take(ApiKey::OffsetForLeaderEpoch);
    let RequestBody::OffsetForLeaderEpoch(body) = &request.body else { unreachable!() };
    let asked = &body.topics[0].partitions[0];
    assert_eq!((asked.current_leader_epoch, asked.leader_epoch, stage.ports[&conn]), (1, 0, 9002));
    (stage, conn, request)
}

fn epoch_ends(leader_epoch: i32, end_offset: i64) -> ResponseBody {
    let end = EpochEndOffset { partition: 0, leader_epoch, end_offset, ..Default::default() };
    let topic = OffsetForLeaderTopicResult { topic: "t".into(), partitions: vec![end] };
    ResponseBody::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse { topics: vec![topic], ..Default::default() })
}

#[test]
fn a_new_leader_confirms_the_position() {
    let (mut stage, conn, request) = led_by_another(&[]);
    stage.answer(conn, &request, epoch_ends(0, 7));
    let (conn, _, body) = stage.take_fetch();
    assert_eq!(
        (stage.ports[&conn], offsets(&body), body.topics[0].partitions[0].current_leader_epoch),
        (9002, vec![(0, 7)], 1)
    );
}

#[test]
fn a_truncated_log_takes_the_consumer_back_or_fails() {
    let (mut stage, conn, request) = led_by_another(&[("auto.offset.reset", "latest")]);
    stage.answer(conn, &request, epoch_ends(0, 6));
    assert_eq!(offsets(&stage.take_fetch().2), [(0, 6)]);
    let truncated = Event::Truncated { partition: partition("t", 0), position: Offset(7), diverged_at: Offset(6) };
    assert!(stage.events.contains(&truncated));

    let (mut stage, conn, request) = led_by_another(&[("auto.offset.reset", "none")]);
    stage.answer(conn, &request, epoch_ends(0, 6));
    let poll = stage.poll(0);
    let Some(Outcome::Failed(failure)) = stage.outcome(poll) else { panic!() };
    assert_eq!(failure.cause, Cause::Truncated(partition("t", 0), Offset(6)));
}

/// A transactional batch of producer 1.
fn transactional(base: i64, value: &str) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None)
        .place(Offset(base), LeaderEpoch(0))
        .producer(ProducerId(1), ProducerEpoch(0), 0)
        .transactional();
    builder.push(WallMs(WALL), None, Some(value.as_bytes()), &[]);
    builder.build(&PureCompressors).unwrap().to_vec()
}

fn marker(offset: i64, committed: bool) -> Vec<u8> {
    let marker = EndTransaction { committed, coordinator_epoch: 0 };
    let mut batches = marker.batch(ProducerId(1), ProducerEpoch(0), WallMs(WALL));
    batches.stamp(0, Offset(offset), LeaderEpoch(0), None);
    batches.write_pieces().concat()
}

#[test]
fn read_committed_drops_what_was_aborted_and_markers_are_never_seen() {
    let log = [
        batch(5, 0, &["plain"]).to_vec(),
        transactional(6, "aborted"),
        marker(7, false),
        transactional(8, "committed"),
        marker(9, true),
    ]
    .concat();
    for (isolation, expected) in [
        ("read_committed", vec![(0, 5, "plain"), (0, 8, "committed")]),
        ("read_uncommitted", vec![(0, 5, "plain"), (0, 6, "aborted"), (0, 8, "committed")]),
    ] {
        let (mut stage, conn, request) = reading(&[("isolation.level", isolation)]);
        let mut answer = data(0, ErrorCode::None, log.clone());
        if isolation == "read_committed" {
            answer.aborted_transactions = Some(vec![AbortedTransaction { producer_id: 1, first_offset: 6 }]);
        }
        stage.fetched((conn, &request), 9, vec![answer]);
        let poll = stage.poll(0);
        let expected: Vec<_> = expected.into_iter().map(|(p, o, v)| (p, o, v.to_owned())).collect();
        assert_eq!(stage.polled(poll), Some(expected), "{isolation}");
        assert_eq!(offsets(&stage.take_fetch().2), [(0, 10)], "past the last marker");
    }
}

#[test]
fn a_batch_that_is_cut_off_comes_with_the_next_fetch() {
    let (mut stage, conn, request) = reading(&[]);
    let mut bytes = [batch(5, 0, &["5"]), batch(6, 0, &["6"])].concat();
    bytes.truncate(bytes.len() - 3);
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, bytes)]);
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll), Some(vec![(0, 5, "5".into())]));
    assert_eq!(offsets(&stage.take_fetch().2), [(0, 6)]);
}

#[test]
fn corrupt_bytes_fail_the_poll_after_what_is_good() {
    let (mut stage, conn, request) = reading(&[]);
    let mut bytes = [batch(5, 0, &["5"]), batch(6, 0, &["6"])].concat();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, bytes)]);
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll), Some(vec![(0, 5, "5".into())]));
    let poll = stage.poll(0);
    let Some(Outcome::Failed(failure)) = stage.outcome(poll) else { panic!() };
    assert_eq!(failure.cause, Cause::Corrupt(partition("t", 0), Offset(6)));
}

#[test]
fn one_full_partition_does_not_starve_the_others() {
    let mut stage = Stage::new(&[("max.poll.records", "3")]).topic("t", &[1, 1]);
    stage.assign(&[partition("t", 0), partition("t", 1)]);
    for index in [0, 1] {
        stage.seek(&partition("t", index), SeekTo::Offset(Offset(0)));
    }
    stage.listed(77, ErrorCode::None);
    let (conn, request, body) = stage.take_fetch();
    assert_eq!(offsets(&body), [(0, 0)], "the second was not sought yet");
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, batch(0, 0, &["a0", "a1"]).to_vec())]);
    assert_eq!(stage.requests.len(), 0, "not without the partition that waits, or its session would forget it");
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll).unwrap().len(), 2);
    let (conn, request, body) = stage.take_fetch();
    assert_eq!(offsets(&body), [(1, 0), (0, 2)], "the other goes first now");
    let (a, b) = (batch(2, 0, &["a2", "a3", "a4", "a5"]).to_vec(), batch(0, 0, &["b0", "b1"]).to_vec());
    stage.fetched((conn, &request), 9, vec![data(0, ErrorCode::None, a), data(1, ErrorCode::None, b)]);
    let poll = stage.poll(0);
    assert_eq!(stage.polled(poll).unwrap().iter().map(|it| it.2.as_str()).collect::<Vec<_>>(), ["b0", "b1", "a2"]);
}

#[test]
fn a_topic_that_was_created_anew_is_read_under_its_new_id() {
    let (mut stage, conn, request) = reading(&[]);
    stage.topics.get_mut("t").unwrap().id = Uuid([9; 16]);
    stage.refuse_fetch(conn, &request, ErrorCode::FetchSessionTopicIdError);
    stage.advance(1_000);
    let (.., body) = stage.take_fetch();
    assert_eq!(body.topics[0].topic_id, Uuid([9; 16]));
}

#[test]
fn operations_on_partitions_that_are_not_assigned_are_refused() {
    let (mut stage, ..) = reading(&[]);
    let stranger = partition("t", 7);
    for operation in [
        Operation::Seek(stranger.clone(), SeekTo::End),
        Operation::Pause(vec![stranger.clone()]),
        Operation::Position(stranger),
    ] {
        let op = stage.start(operation);
        assert!(matches!(stage.outcome(op), Some(Outcome::Failed(it)) if it.cause == Cause::Illegal));
    }
}
