//! What one node of a quorum of three answers and asks as leader and as follower, message by message.

use protocol::messages::{
    ApiVersionsResponse, DescribeQuorumRequest, FeatureLevelRecord, FetchRequest, FetchResponse, FetchSnapshotRequest,
    FetchSnapshotResponse, UpdateRaftVoterRequest, api_versions_response, describe_quorum_request, fetch_response,
    fetch_snapshot_request, fetch_snapshot_response, update_raft_voter_request,
};
use protocol::records::Records;
use protocol::{ErrorCode, NodeId, Offset, RequestBody, ResponseBody, Uuid};
use quorum::{Call, RoleKind};
use storage::{Cell, MemoryDisk, StoreOp};

use crate::rig::{Rig, answer_fetch, begin_of, directory, endpoint, fetch_from, write_snapshot};

#[test]
fn an_epoch_begins_with_a_majority_and_its_records_are_acknowledged_by_fetching() {
    let mut rig = Rig::leader();
    assert!(!rig.quorum.is_leader() && !rig.became_leader, "what came before may not be committed");
    let told: Vec<i32> = rig
        .take_calls()
        .iter()
        .filter(|call| matches!(call.body, RequestBody::BeginQuorumEpoch(_)))
        .map(|call| call.to.node.0)
        .collect();
    assert_eq!(told, [2, 3]);
    let epoch = rig.quorum.leader_epoch().0;
    let answer = rig.fetch(fetch_from(2, epoch, (0, 0))).expect("the first batch");
    assert_eq!((answer.high_watermark, answer.error_code), (-1, 0));
    assert!(matches!(&answer.records, Some(Records::Regions(regions)) if regions.len() == 1));
    assert_eq!(rig.fetch(fetch_from(2, epoch, (1, epoch))), None, "there is nothing more: it waits");
    assert!(rig.quorum.is_leader() && rig.became_leader, "a record of the epoch is with the majority");
    assert_eq!(rig.quorum.high_watermark(), Offset(1));
    // An append answers who waits, before it is synced here.
    let record = FeatureLevelRecord { name: "a".into(), feature_level: 1 };
    rig.act(|quorum, now, out| quorum.append(now, vec![record.into()], out));
    assert!(matches!(rig.step(), Some(StoreOp::Append(..))));
    let (_, answer) = rig.replies.pop().expect("the fetch is answered");
    let ResponseBody::Fetch(answer) = answer else { panic!("{answer:?}") };
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 1);
    rig.settle();
    assert_eq!(rig.quorum.high_watermark(), Offset(1), "one of three has it");
    assert_eq!(rig.fetch(fetch_from(4, epoch, (2, epoch))), None);
    assert_eq!(rig.quorum.high_watermark(), Offset(1), "who does not vote does not count");
    assert_eq!(rig.fetch(fetch_from(3, epoch, (2, epoch))), None);
    assert_eq!(rig.quorum.high_watermark(), Offset(2));
}

#[test]
fn fetches_are_refused_or_told_where_logs_part() {
    let mut rig = Rig::leader();
    let epoch = rig.quorum.leader_epoch().0;
    let error = |it: Option<fetch_response::PartitionData>| ErrorCode::from_code(it.expect("an answer").error_code);
    assert_eq!(error(rig.fetch(fetch_from(2, epoch - 1, (0, 0)))), ErrorCode::FencedLeaderEpoch);
    assert_eq!(error(rig.fetch(fetch_from(2, epoch + 1, (0, 0)))), ErrorCode::UnknownLeaderEpoch);
    assert_eq!(error(rig.fetch(fetch_from(2, epoch, (-1, 0)))), ErrorCode::InvalidRequest);
    assert_eq!(error(rig.fetch(fetch_from(2, epoch, (4, epoch + 1)))), ErrorCode::InvalidRequest);
    let parted = rig.fetch(fetch_from(2, epoch, (4, epoch))).expect("an answer").diverging_epoch;
    assert_eq!((parted.epoch, parted.end_offset), (epoch, 1));
    assert_eq!(rig.quorum.high_watermark(), Offset(0), "what has parted acknowledges nothing");
    let mut follower = Rig::new();
    follower.ask(1, begin_of(2, 3));
    let answer = follower.fetch(fetch_from(3, 3, (0, 0))).expect("an answer");
    assert_eq!(ErrorCode::from_code(answer.error_code), ErrorCode::NotLeaderOrFollower);
    assert_eq!((answer.current_leader.leader_id, answer.current_leader.leader_epoch), (2, 3));
}

#[test]
fn a_snapshot_is_given_in_pieces_and_only_the_newest() {
    let mut rig = Rig::leader();
    let epoch = rig.quorum.leader_epoch().0;
    rig.fetch(fetch_from(2, epoch, (1, epoch)));
    let records = vec![FeatureLevelRecord { name: "a".into(), feature_level: 1 }.into()];
    rig.act(|quorum, now, out| write_snapshot(quorum, now, records, out));
    rig.settle();
    let fresh = rig.fetch(fetch_from(3, epoch, (0, 0))).expect("an answer").snapshot_id;
    assert_eq!((fresh.end_offset, fresh.epoch), (1, epoch));
    let mut piece = |end: i64, position: i64| {
        let partition = fetch_snapshot_request::PartitionSnapshot {
            current_leader_epoch: epoch,
            snapshot_id: fetch_snapshot_request::SnapshotId { end_offset: end, epoch },
            position,
            replica_directory_id: directory(3),
            ..Default::default()
        };
        let request = FetchSnapshotRequest {
            cluster_id: Some("cluster".into()),
            replica_id: 3,
            max_bytes: 100,
            topics: vec![fetch_snapshot_request::TopicSnapshot {
                name: quorum::TOPIC.into(),
                partitions: vec![partition],
            }],
        };
        let ResponseBody::FetchSnapshot(response) = rig.ask(1, request) else { panic!("no answer") };
        response.topics[0].partitions[0].clone()
    };
    let first = piece(1, 0);
    assert_eq!(first.unaligned_records.as_ref().map(Records::size), Some(100));
    let last = piece(1, first.size - 1);
    assert_eq!(last.unaligned_records.as_ref().map(Records::size), Some(1));
    assert_eq!(ErrorCode::from_code(piece(1, first.size).error_code), ErrorCode::PositionOutOfRange);
    assert_eq!(ErrorCode::from_code(piece(9, 0).error_code), ErrorCode::SnapshotNotFound);
}

#[test]
fn the_leader_describes_all_replicas() {
    let mut rig = Rig::leader();
    let epoch = rig.quorum.leader_epoch().0;
    rig.fetch(fetch_from(2, epoch, (1, epoch)));
    rig.fetch(fetch_from(4, epoch, (0, 0)));
    let request = || DescribeQuorumRequest {
        topics: vec![describe_quorum_request::TopicData {
            topic_name: quorum::TOPIC.into(),
            partitions: vec![describe_quorum_request::PartitionData { partition_index: 0 }],
        }],
    };
    let ResponseBody::DescribeQuorum(response) = rig.ask(2, request()) else { panic!("no answer") };
    let it = &response.topics[0].partitions[0];
    assert_eq!((it.leader_id, it.leader_epoch, it.high_watermark), (1, epoch, 1));
    let voters: Vec<(i32, i64)> = it.current_voters.iter().map(|it| (it.replica_id, it.log_end_offset)).collect();
    assert_eq!(voters, [(1, 1), (2, 1), (3, -1)]);
    let observers: Vec<(i32, i64)> = it.observers.iter().map(|it| (it.replica_id, it.log_end_offset)).collect();
    assert_eq!(observers, [(4, 0)]);
    assert_eq!(it.current_voters[1].last_caught_up_timestamp, rig.now().wall.0);
    assert_eq!(response.nodes.len(), 3);
    let mut other = Rig::new();
    let ResponseBody::DescribeQuorum(response) = other.ask(2, request()) else { panic!("no answer") };
    let it = &response.topics[0].partitions[0];
    assert_eq!(it.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(it.error_message.as_deref(), Some(ErrorCode::NotLeaderOrFollower.message()));
    // Nobody leads, and nobody will: it says why.
    other.pass(6_000);
    let ResponseBody::DescribeQuorum(response) = other.ask(2, request()) else { panic!("no answer") };
    let it = &response.topics[0].partitions[0];
    assert_eq!(it.error_code, ErrorCode::NotLeaderOrFollower.code());
    let message = it.error_message.as_deref().unwrap_or_default();
    let silent = "2 at node-2:9093 (never heard of), 3 at node-3:9093 (never heard of)";
    assert!(message.contains("has no majority") && message.contains(silent), "{message}");
}

#[test]
fn nobody_waits_on_a_connection_that_is_gone() {
    let turned_away = |is_gone: bool| {
        let mut rig = Rig::leader();
        let epoch = rig.quorum.leader_epoch().0;
        let fetch = FetchRequest { max_wait_ms: i32::MAX, ..fetch_from(2, epoch, (1, epoch)) };
        while rig.fetch(fetch.clone()).is_some() {}
        if is_gone {
            rig.quorum.forget(7);
        }
        rig.act(|quorum, now, out| quorum.resign(now, out));
        rig.settle();
        rig.replies.iter().filter(|(_, it)| matches!(it, ResponseBody::Fetch(_))).count()
    };
    assert_eq!([turned_away(false), turned_away(true)], [1, 0]);
}

#[test]
fn who_is_silent_is_forgotten_by_a_leader_alone_too() {
    let mut rig = Rig::with(1, MemoryDisk::new(), vec![endpoint(1)]);
    rig.pass(60);
    assert_eq!(rig.quorum.role(), RoleKind::Leader);
    let epoch = rig.quorum.leader_epoch().0;
    let observers = |rig: &mut Rig| {
        let request = DescribeQuorumRequest {
            topics: vec![describe_quorum_request::TopicData {
                topic_name: quorum::TOPIC.into(),
                partitions: vec![describe_quorum_request::PartitionData { partition_index: 0 }],
            }],
        };
        let ResponseBody::DescribeQuorum(response) = rig.ask(2, request) else { panic!("no answer") };
        response.topics[0].partitions[0].observers.iter().map(|it| it.replica_id).collect::<Vec<_>>()
    };
    rig.fetch(fetch_from(4, epoch, (0, 0)));
    rig.pass(200_000);
    rig.fetch(fetch_from(5, epoch, (0, 0)));
    assert_eq!(observers(&mut rig), [4, 5]);
    rig.pass(100_000);
    assert_eq!(observers(&mut rig), [5]);
    for id in 6..10_010 {
        rig.fetch(fetch_from(id, epoch, (0, 0)));
    }
    let kept = observers(&mut rig);
    assert_eq!((kept.len(), kept.contains(&5)), (10_000, false), "and so many are enough");
}

/// A voter's change is asked about and given up; its answer comes when the voter's next change is asked about.
#[test]
fn an_answer_that_comes_late_decides_no_other_change() {
    let mut rig = Rig::leader();
    let epoch = rig.quorum.leader_epoch().0;
    let update = |port: u16| UpdateRaftVoterRequest {
        cluster_id: Some("cluster".into()),
        current_leader_epoch: epoch,
        voter_id: 2,
        voter_directory_id: directory(2),
        listeners: vec![update_raft_voter_request::Listener { name: "CONTROLLER".into(), host: "node-2".into(), port }],
        kraft_version_feature: update_raft_voter_request::KRaftVersionFeature {
            min_supported_version: 0,
            max_supported_version: 1,
        },
    };
    let versions = |error: ErrorCode| ApiVersionsResponse {
        error_code: error.code(),
        supported_features: vec![api_versions_response::SupportedFeatureKey {
            name: quorum::KRAFT_VERSION.into(),
            min_version: 0,
            max_version: 1,
        }],
        ..ApiVersionsResponse::default()
    };
    let asked = |rig: &mut Rig| {
        let calls = rig.take_calls();
        calls.into_iter().rfind(|call| matches!(call.body, RequestBody::ApiVersions(_))).expect("it is asked")
    };
    let outcome = |rig: &mut Rig| match rig.replies.pop() {
        Some((_, ResponseBody::UpdateRaftVoter(response))) => Some(ErrorCode::from_code(response.error_code)),
        None => None,
        other => panic!("{other:?}"),
    };
    rig.fetch(fetch_from(2, epoch, (1, epoch)));
    rig.send(0, update(9093));
    let first = asked(&mut rig);
    rig.pass(1_200);
    rig.fetch(fetch_from(2, epoch, (1, epoch)));
    rig.pass(1_200);
    rig.replies.retain(|(_, body)| !matches!(body, ResponseBody::Fetch(_)));
    assert_eq!(outcome(&mut rig), Some(ErrorCode::RequestTimedOut));
    rig.send(0, update(9094));
    let second = asked(&mut rig);
    rig.answer(&first, versions(ErrorCode::None));
    assert_eq!(outcome(&mut rig), None, "the node at the new place has not answered");
    rig.answer(&second, versions(ErrorCode::None));
    assert_eq!(outcome(&mut rig), Some(ErrorCode::None));
}

#[test]
fn records_that_do_not_hold_are_fetched_again() {
    let mut rig = Rig::new();
    rig.ask(1, begin_of(2, 3));
    for garbage in [&b"no batch at all, but as long as the head of one, or longer than that"[..], &[0; 80]] {
        let calls = rig.take_calls();
        let fetch = calls.iter().rfind(|call| matches!(call.body, RequestBody::Fetch(_))).expect("a fetch");
        let partition = fetch_response::PartitionData {
            high_watermark: 9,
            current_leader: fetch_response::LeaderIdAndEpoch { leader_id: 2, leader_epoch: 3 },
            records: Some(Records::Bytes(garbage.into())),
            ..Default::default()
        };
        let topic = fetch_response::FetchableTopicResponse {
            topic_id: Uuid::METADATA_TOPIC,
            partitions: vec![partition],
            ..Default::default()
        };
        rig.answer(fetch, FetchResponse { responses: vec![topic], ..FetchResponse::default() });
        assert_eq!((rig.quorum.log_end(), rig.quorum.high_watermark()), (Offset(0), Offset(0)));
        rig.pass(30);
    }
    assert_eq!(rig.quorum.role(), RoleKind::Follower);
}

fn snapshot_at(end_offset: i64, epoch: i32) -> fetch_response::PartitionData {
    let snapshot_id = fetch_response::SnapshotId { end_offset, epoch };
    fetch_response::PartitionData { snapshot_id, ..Default::default() }
}

/// The bytes of a snapshot of the first record.
fn snapshot_bytes() -> bytes::Bytes {
    let mut rig = Rig::leader();
    let epoch = rig.quorum.leader_epoch().0;
    rig.fetch(fetch_from(2, epoch, (1, epoch)));
    let records = vec![FeatureLevelRecord { name: "a".into(), feature_level: 1 }.into()];
    rig.act(|quorum, now, out| write_snapshot(quorum, now, records, out));
    rig.settle();
    let files = rig.store.disk().files();
    files.into_iter().find(|(_, path, _)| path.ends_with(".checkpoint")).expect("a snapshot").2
}

/// The last fetch of the quorum's: from where, and of which epoch what is before that is.
fn last_fetch(calls: &[Call]) -> (i64, i32) {
    let fetches = calls.iter().rev().filter_map(|call| match &call.body {
        RequestBody::Fetch(fetch) => Some(&fetch.topics[0].partitions[0]),
        _ => None,
    });
    fetches.map(|it| (it.fetch_offset, it.last_fetched_epoch)).next().expect("a fetch")
}

#[test]
fn a_snapshot_that_ends_where_the_log_does_takes_its_place() {
    for restarts in [false, true] {
        // The log has one record, of an epoch whose leader lost.
        let mut rig = Rig::leader();
        let lost = rig.quorum.leader_epoch().0;
        let epoch = lost + 2;
        rig.ask(1, begin_of(2, epoch));
        assert_eq!(last_fetch(&rig.calls), (1, lost));
        answer_fetch(&mut rig, epoch, snapshot_at(1, epoch - 1));
        rig.settle();
        let bytes = snapshot_bytes();
        let fetch = rig.take_calls().pop().expect("a fetch of the snapshot");
        let partition = fetch_snapshot_response::PartitionSnapshot {
            snapshot_id: fetch_snapshot_response::SnapshotId { end_offset: 1, epoch: epoch - 1 },
            current_leader: fetch_snapshot_response::LeaderIdAndEpoch { leader_id: 2, leader_epoch: epoch },
            size: bytes.len() as i64,
            unaligned_records: Some(Records::Bytes(bytes)),
            ..Default::default()
        };
        let topic = fetch_snapshot_response::TopicSnapshot { name: quorum::TOPIC.into(), partitions: vec![partition] };
        let body = FetchSnapshotResponse { topics: vec![topic], ..FetchSnapshotResponse::default() };
        rig.act(|quorum, now, out| quorum.answered(now, fetch.token, Ok(body.into()), out));
        if restarts {
            // The power goes when the snapshot is on disk, and the log not cut.
            assert!(matches!(rig.step(), Some(StoreOp::Put(Cell::Snapshot(..), _))));
            let mut disk = rig.store.into_disk();
            disk.power_cut();
            rig = Rig::on(1, disk);
            rig.ask(1, begin_of(2, epoch));
        }
        rig.settle();
        assert_eq!(last_fetch(&rig.calls), (1, epoch - 1), "restarted: {restarts}");
        assert_eq!((rig.quorum.log_end(), rig.quorum.high_watermark()), (Offset(1), Offset(1)));
        // A leader that offers it again is left alone for a moment.
        answer_fetch(&mut rig, epoch, snapshot_at(1, epoch - 1));
        rig.settle();
        assert!(rig.calls.iter().all(|call| call.to.node != NodeId(2)), "{:?}", rig.calls);
    }
}
