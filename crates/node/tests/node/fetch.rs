//! Fetch: bounds, waiting, sessions, fencing.

use node::view::WaitReason;
use node::{ConnId, Input, WakeReason};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use protocol::messages::{DeleteTopicsRequest, FetchRequest, FetchResponse};
use protocol::{ErrorCode, Instant, RequestBody, ResponseBody, Str, Uuid};

use crate::common::{self, CLIENT, EPOCH, Rig, batch, fetch, produce};

fn call(rig: &mut Rig, version: i16, request: FetchRequest) -> FetchResponse {
    let ResponseBody::Fetch(response) = rig.call(version, RequestBody::Fetch(request)) else { panic!() };
    response
}

fn answered(rig: &mut Rig, id: i32) -> Option<FetchResponse> {
    match rig.answer(id)? {
        ResponseBody::Fetch(response) => Some(response),
        other => panic!("{other:?}"),
    }
}

fn waiting(topic: &str, offset: i64, min_bytes: i32, max_wait_ms: i32) -> FetchRequest {
    FetchRequest { min_bytes, max_wait_ms, ..fetch(topic, 0, offset) }
}

/// A rig with a topic of one partition and so many batches of one record.
fn filled(batches: usize) -> Rig {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    for index in 0..batches {
        assert_eq!(rig.produce("t", 0, -1, batch(&[&format!("v{index}")])), (0, index as i64));
    }
    rig
}

#[test]
fn every_version_answers() {
    for version in 4..=18 {
        let mut rig = filled(2);
        let mut request = fetch("t", 0, 1);
        if version >= 13 {
            request.topics[0].topic_id = rig.view().topics[0].id;
            request.topics[0].topic = Str::new();
        }
        let response = call(&mut rig, version, request);
        assert_eq!(rig.values(&response), [(1, "v1".into())], "version {version}");
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.high_watermark, partition.last_stable_offset, partition.log_start_offset), (2, 2, 0));
        assert_eq!(partition.aborted_transactions, None);
        assert_eq!(partition.preferred_read_replica, -1);
    }
}

#[test]
fn limits_hold_but_a_reader_always_gets_on() {
    let mut rig = filled(4);
    let size = batch(&["v0"]).len() as i32;
    let read = |rig: &mut Rig, partition_max: i32, max: i32| {
        let mut request = fetch("t", 0, 0);
        request.topics[0].partitions[0].partition_max_bytes = partition_max;
        request.max_bytes = max;
        let response = call(rig, 12, request);
        rig.values(&response).len()
    };
    assert_eq!(read(&mut rig, 1, 1), 1, "the first batch comes whole");
    assert_eq!(read(&mut rig, size * 2, 1 << 20), 2);
    assert_eq!(read(&mut rig, 1 << 20, size * 3 + 1), 3);
    assert_eq!(read(&mut rig, 0, 0), 1);

    // Only the first partition with data may exceed the limits.
    rig.create_topic("u", 1, &[]);
    rig.produce("u", 0, -1, batch(&["w"]));
    let mut request = fetch("t", 0, 0);
    request.topics.push(FetchTopic {
        topic: Str::from_static("u"),
        partitions: vec![FetchPartition { partition: 0, partition_max_bytes: 1, ..FetchPartition::default() }],
        ..FetchTopic::default()
    });
    let response = call(&mut rig, 12, request);
    assert_eq!(response.responses[1].partitions[0].records.as_ref().map(|it| it.size()), Some(0));
}

#[test]
fn offsets_out_of_range_and_at_the_end() {
    let mut rig = filled(2);
    let response = rig.fetch("t", 0, 2);
    assert_eq!(response.responses[0].partitions[0].error_code, 0, "the end is in range");
    for offset in [3, -1] {
        let response = rig.fetch("t", 0, offset);
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::OffsetOutOfRange.code());
        let ends = (partition.high_watermark, partition.last_stable_offset, partition.log_start_offset);
        assert_eq!(ends, (-1, -1, -1), "Kafka tells no ends with the error");
    }
}

#[test]
fn a_fetch_waits_until_there_are_min_bytes() {
    let mut rig = filled(0);
    let size = batch(&["v"]).len() as i32;
    let id = rig.send(12, RequestBody::Fetch(waiting("t", 0, size * 2, 500)));
    rig.run();
    assert_eq!(answered(&mut rig, id), None);
    assert_eq!(rig.view().waits[0].what, WaitReason::Data(size as u64 * 2));
    rig.produce("t", 0, -1, batch(&["a"]));
    assert_eq!(answered(&mut rig, id), None, "half of it");
    assert_eq!(rig.view().waits[0].what, WaitReason::Data(size as u64));
    rig.produce("t", 0, 1, batch(&["b"]));
    let response = answered(&mut rig, id).expect("the append itself wakes it");
    assert_eq!(rig.values(&response), [(0, "a".into()), (1, "b".into())]);
    assert_eq!(rig.view().waits, []);
}

#[test]
fn a_fetch_is_answered_at_its_deadline_with_what_there_is() {
    let mut rig = filled(1);
    let id = rig.send(12, RequestBody::Fetch(waiting("t", 0, 1 << 20, 500)));
    let due = Instant(rig.mono.0 + 500_000);
    assert!(matches!(rig.node.wake_at(), Some((at, WakeReason::FetchWait(_))) if at == due));
    rig.advance(499);
    assert_eq!(answered(&mut rig, id), None);
    rig.advance(1);
    let response = answered(&mut rig, id).expect("its time is over");
    assert_eq!(rig.values(&response), [(0, "v0".into())]);
}

#[test]
fn a_reader_sees_nothing_that_is_not_written() {
    let mut rig = filled(0);
    rig.held = true;
    rig.send(12, produce("t", 0, 1, batch(&["a"])));
    let response = rig.fetch("t", 0, 0);
    assert_eq!(rig.values(&response), []);
    assert_eq!(response.responses[0].partitions[0].high_watermark, 0);
}

#[test]
fn a_wait_ends_when_the_topic_is_deleted() {
    let mut rig = filled(0);
    let id = rig.send(12, RequestBody::Fetch(waiting("t", 0, 1, 60_000)));
    let request =
        DeleteTopicsRequest { topic_names: vec![Str::from_static("t")], timeout_ms: 1000, ..Default::default() };
    rig.call(5, RequestBody::DeleteTopics(request));
    let response = answered(&mut rig, id).expect("it is told");
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[test]
fn a_closed_connection_waits_no_more() {
    let mut rig = filled(0);
    let conn = ConnId(2);
    rig.open(conn);
    rig.send_on(conn, 12, RequestBody::Fetch(waiting("t", 0, 1, 60_000)));
    rig.input(Input::Closed(conn));
    assert_eq!(rig.view().waits, []);
    assert!(!rig.view().timers.iter().any(|(_, reason)| matches!(reason, WakeReason::FetchWait(_))));
    rig.produce("t", 0, 1, batch(&["a"]));
    assert_eq!(rig.replies, []);
}

#[test]
fn unknown_topics_ids_and_partitions() {
    let mut rig = filled(1);
    let code = |response: FetchResponse| ErrorCode::from_code(response.responses[0].partitions[0].error_code);
    assert_eq!(code(rig.fetch("nope", 0, 0)), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(code(rig.fetch("t", 5, 0)), ErrorCode::UnknownTopicOrPartition);
    let mut request = fetch("", 0, 0);
    request.topics[0].topic_id = Uuid::from_random([3; 16]);
    assert_eq!(code(call(&mut rig, 13, request.clone())), ErrorCode::UnknownTopicId);
    request.topics[0].topic_id = rig.view().topics[0].id;
    request.topics[0].partitions[0].partition = 5;
    assert_eq!(code(call(&mut rig, 13, request)), ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn epochs_fence_and_divergence_is_told() {
    let mut rig = filled(2);
    let epoch = rig.view().topics[0].partitions[0].leader_epoch.0;
    let read = |rig: &mut Rig, current: i32, fetched: i32, offset: i64| {
        let mut request = fetch("t", 0, offset);
        request.topics[0].partitions[0].current_leader_epoch = current;
        request.topics[0].partitions[0].last_fetched_epoch = fetched;
        let response = call(rig, 12, request);
        response.responses[0].partitions[0].clone()
    };
    assert_eq!(read(&mut rig, epoch, -1, 0).error_code, 0);
    assert_eq!(read(&mut rig, epoch + 1, -1, 0).error_code, ErrorCode::UnknownLeaderEpoch.code());
    assert_eq!(read(&mut rig, epoch, epoch, 2).error_code, 0);
    let diverging = read(&mut rig, epoch, epoch, 5);
    assert_eq!(
        (diverging.error_code, diverging.diverging_epoch.epoch, diverging.diverging_epoch.end_offset),
        (0, epoch, 2)
    );

    // A restart begins another leader epoch.
    rig.stop();
    let mut rig = rig.restart(&[]);
    let newer = rig.view().topics[0].partitions[0].leader_epoch.0;
    assert!(newer > epoch);
    let fenced = read(&mut rig, epoch, -1, 0);
    assert_eq!(fenced.error_code, ErrorCode::FencedLeaderEpoch.code());
    assert_eq!((fenced.high_watermark, fenced.current_leader.leader_id), (-1, -1), "leader hints begin at version 16");
    let mut request = fetch("", 0, 0);
    request.topics[0].topic_id = rig.view().topics[0].id;
    request.topics[0].partitions[0].current_leader_epoch = epoch;
    let response = call(&mut rig, 16, request);
    let hint = &response.responses[0].partitions[0].current_leader;
    assert_eq!((hint.leader_id, hint.leader_epoch), (1, newer));
    assert_eq!(response.node_endpoints[0].node_id, 1);
}

#[test]
fn sessions_send_only_what_changed() {
    let mut rig = filled(1);
    rig.create_topic("u", 2, &[]);
    let mut request = fetch("t", 0, 0);
    request.session_epoch = 0;
    request.topics.push(FetchTopic {
        topic: Str::from_static("u"),
        partitions: (0..2)
            .map(|partition| FetchPartition { partition, partition_max_bytes: 1000, ..FetchPartition::default() })
            .collect(),
        ..FetchTopic::default()
    });
    let full = call(&mut rig, 12, request);
    assert_ne!(full.session_id, 0);
    let named = |response: &FetchResponse| -> Vec<(String, i32)> {
        let topics = response.responses.iter();
        topics.flat_map(|it| it.partitions.iter().map(|p| (it.topic.to_string(), p.partition_index))).collect()
    };
    assert_eq!(named(&full), [("t".into(), 0), ("u".into(), 0), ("u".into(), 1)]);
    let incremental = |epoch: i32| FetchRequest {
        session_id: full.session_id,
        session_epoch: epoch,
        min_bytes: 1,
        max_bytes: 1 << 20,
        ..FetchRequest::default()
    };
    let mut next = incremental(1);
    next.topics = vec![FetchTopic {
        topic: Str::from_static("t"),
        partitions: vec![FetchPartition { fetch_offset: 1, partition_max_bytes: 1000, ..FetchPartition::default() }],
        ..FetchTopic::default()
    }];
    let response = call(&mut rig, 12, next);
    assert_eq!((response.session_id, named(&response)), (full.session_id, vec![]));
    rig.produce("u", 1, -1, batch(&["x"]));
    let mut next = incremental(2);
    next.forgotten_topics_data =
        vec![ForgottenTopic { topic: Str::from_static("t"), partitions: vec![0], ..Default::default() }];
    assert_eq!(named(&call(&mut rig, 12, next)), [("u".into(), 1)]);
    assert_eq!(call(&mut rig, 12, incremental(2)).error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    let mut unknown = incremental(1);
    unknown.session_id = full.session_id.wrapping_add(1).max(1);
    assert_eq!(call(&mut rig, 12, unknown).error_code, ErrorCode::FetchSessionIdNotFound.code());
    assert_eq!(call(&mut rig, 13, incremental(3)).error_code, ErrorCode::FetchSessionTopicIdError.code());
    assert_eq!(rig.view().fetch_sessions, 1);
}

#[test]
fn the_session_cache_is_bounded() {
    let mut rig = Rig::with(&[("max.incremental.fetch.session.cache.slots", "2")]);
    rig.create_topic("t", 1, &[]);
    let ids: Vec<i32> = (0..3)
        .map(|_| {
            let request = FetchRequest { session_epoch: 0, ..fetch("t", 0, 0) };
            call(&mut rig, 12, request).session_id
        })
        .collect();
    assert!(ids[0] != 0 && ids[1] != 0);
    assert_eq!(ids[2], 0, "no room, and nothing old enough to evict");
    assert_eq!(rig.view().fetch_sessions, 2);
}

#[test]
fn read_committed_lists_no_aborted_transactions() {
    let mut rig = filled(1);
    let response = call(&mut rig, 12, FetchRequest { isolation_level: 1, ..fetch("t", 0, 0) });
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.aborted_transactions, Some(vec![]));
    assert_eq!(partition.last_stable_offset, 1);
}

#[test]
fn a_replica_is_refused_as_one_that_is_not_assigned() {
    let mut rig = filled(1);
    let response = call(&mut rig, 12, FetchRequest { replica_id: 2, ..fetch("t", 0, 0) });
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::NotLeaderOrFollower.code());
    let mut request = fetch("", 0, 0);
    request.topics[0].topic_id = rig.view().topics[0].id;
    request.replica_state = ReplicaState { replica_id: 2, ..ReplicaState::default() };
    let response = call(&mut rig, 15, request);
    assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::NotLeaderOrFollower.code());
}

#[test]
fn old_offsets_are_looked_up_by_the_store() {
    // More batches than the tail index keeps.
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[("segment.bytes", "1048576")]);
    for _ in 0..5000 {
        rig.produce("t", 0, 1, common::batch_at(EPOCH, &["x"]));
    }
    let response = rig.fetch("t", 0, 7);
    let values = rig.values(&response);
    assert_eq!(values.first(), Some(&(7, "x".into())));
    assert!(values.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "dense and in order");
    rig.held = true;
    let id = rig.send_on(CLIENT, 12, RequestBody::Fetch(fetch("t", 0, 7)));
    assert_eq!(answered(&mut rig, id), None);
    assert_eq!(rig.view().waits[0].what, WaitReason::Lookup);
}
