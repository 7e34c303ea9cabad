//! Who votes for whom, who stands and who leaves it, and what is told of a majority that is not there.

use protocol::messages::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, FetchResponse, VoteRequest, VoteResponse, end_quorum_epoch_request,
    fetch_response, vote_response,
};
use protocol::records::Records;
use protocol::{ErrorCode, LeaderEpoch, NodeId, RequestBody, ResponseBody, Uuid};
use quorum::{Majority, NoAnswer, RoleKind};
use storage::{Cell, DirId, MemoryDisk, Store, StoreOp};

use crate::rig::{Rig, answer_fetch, begin_of, directory, endpoint, fetch_from, vote, vote_of};

#[test]
fn a_vote_is_on_disk_before_it_is_given_and_given_once() {
    let mut rig = Rig::new();
    rig.send(2, vote_of(2, 5, (0, 0), false));
    assert!(rig.replies.is_empty(), "nothing is said before it is stored");
    assert!(matches!(rig.queue.front(), Some((_, StoreOp::Put(Cell::QuorumState(_), _)))));
    rig.settle();
    assert_eq!(rig.replies.len(), 1);
    rig.replies.clear();
    assert_eq!(rig.vote(vote_of(2, 5, (0, 0), false)), (ErrorCode::None, 5, -1, true), "the same one may ask again");
    assert_eq!(rig.vote(vote_of(3, 5, (0, 0), false)), (ErrorCode::None, 5, -1, false));
    assert_eq!(rig.vote(vote_of(3, 4, (0, 0), false)), (ErrorCode::FencedLeaderEpoch, 5, -1, false));
    assert_eq!(rig.vote(vote_of(3, 6, (0, 0), false)), (ErrorCode::None, 6, -1, true), "a later epoch, another vote");
}

/// It may be the one that forgot what the majority committed, and the other that votes for it is empty for the same reason.
#[test]
fn a_candidate_that_hears_of_more_than_its_empty_log_has_does_not_lead() {
    let mut rig = Rig::new();
    rig.pass(60);
    let grant = |rig: &mut Rig| {
        let calls = rig.take_calls();
        let to_second =
            calls.iter().find(|call| call.to.node == NodeId(2) && matches!(call.body, RequestBody::Vote(_)));
        let epoch = rig.quorum.leader_epoch();
        rig.answer(to_second.expect("node 2 is asked"), vote(epoch, true));
    };
    grant(&mut rig);
    assert_eq!(rig.quorum.role(), RoleKind::Candidate);
    let epoch = rig.quorum.leader_epoch().0;
    assert!(!rig.vote(vote_of(3, epoch, (epoch, 9), true)).3, "it is a candidate itself, and node 2 may have more");
    grant(&mut rig);
    assert_eq!(rig.quorum.role(), RoleKind::Unattached, "with the votes of a majority, and less than node 3 has");
    assert!(!rig.became_leader);
}

#[test]
fn who_has_forgotten_everything_says_whom_it_waits_for() {
    let mut rig = Rig::new();
    for _ in 0..8 {
        let epoch = rig.quorum.leader_epoch().0.max(5);
        assert!(!rig.vote(vote_of(2, epoch, (5, 9), true)).3, "node 3 may have more");
        rig.pass(1_000);
    }
    let [Majority::Forgotten { unheard, .. }] = &rig.majority[..] else { panic!("{:?}", rig.majority) };
    assert_eq!(unheard[..], [endpoint(3)]);
}

/// What others answer to a vote while they follow node 1, wherever that is.
fn following_us(epoch: i32) -> VoteResponse {
    let partition = vote_response::PartitionData { leader_id: 1, leader_epoch: epoch, ..Default::default() };
    let topics = vec![vote_response::TopicData { topic_name: quorum::TOPIC.into(), partitions: vec![partition] }];
    VoteResponse { topics, ..VoteResponse::default() }
}

/// It is there, and nobody comes to it. With an empty log it would seem to wait for the logs of the others, which are there too.
#[test]
fn another_process_that_leads_under_this_number_is_told_of() {
    let mut rig = Rig::new();
    let mut fetched = Rig::new();
    for _ in 0..16 {
        for rig in [&mut rig, &mut fetched] {
            rig.pass(500);
            let epoch = rig.quorum.leader_epoch().0.max(5);
            for call in rig.take_calls().into_iter().filter(|it| matches!(it.body, RequestBody::Vote(_))) {
                rig.answer(&call, following_us(epoch));
            }
        }
        // These believe in this node's life before, and come to it.
        for other in [2, 3] {
            let epoch = fetched.quorum.leader_epoch().0;
            fetched.fetch(fetch_from(other, epoch, (9, 5)));
        }
    }
    let [Majority::Doubled { node: NodeId(1), by, .. }] = &rig.majority[..] else { panic!("{:?}", rig.majority) };
    assert!(!by.is_empty() && by.iter().all(|it| [endpoint(2), endpoint(3)].contains(it)), "{by:?}");
    assert!(rig.majority[0].told(rig.now()).contains("give this one a node.id of its own"));
    assert!(matches!(&fetched.majority[..], [Majority::Forgotten { .. }]), "{:?}", fetched.majority);
}

/// A disk on which the checkpoint knows of a metadata log that is gone.
fn without_its_log() -> MemoryDisk {
    let mut store = Store::new(MemoryDisk::new());
    let points = "0\n1\n__cluster_metadata 0 5\n".into();
    store.execute(StoreOp::Put(Cell::RecoveryPoints(DirId(0)), points)).expect("written");
    store.into_disk()
}

#[test]
fn a_log_that_is_gone_is_fetched_again_and_begins_no_new_cluster() {
    // A broker that only observes, and the second start of a voter before it has anything.
    assert_eq!(Rig::on(4, without_its_log()).quorum.role(), RoleKind::Unattached);
    let disk = Rig::on(1, without_its_log()).store.into_disk();
    let mut rig = Rig::on(1, disk);
    assert!(!rig.vote(vote_of(2, 5, (0, 0), true)).3, "its own log had more");
    assert!(!rig.vote(vote_of(3, 5, (0, 0), true)).3, "its own log had more");
    rig.pass(8_000);
    assert!(!rig.became_leader);
    rig.vote(vote_of(2, 5, (0, 0), true));
    let mut rig = Rig::on(1, without_its_log());
    assert!(!rig.vote(vote_of(3, 7, (5, 9), true)).3, "node 2 may have more");
    assert!(!rig.vote(vote_of(2, 7, (5, 8), true)).3, "node 3 has more");
    assert!(rig.vote(vote_of(3, 7, (5, 9), true)).3);
}

#[test]
fn who_is_of_another_cluster_is_told_of_once_and_is_none_of_the_majority() {
    let mut rig = Rig::new();
    for _ in 0..20 {
        rig.pass(400);
        for call in rig.take_calls() {
            let error_code = ErrorCode::InconsistentClusterId.code();
            rig.answer(&call, protocol::messages::VoteResponse { error_code, ..Default::default() });
        }
    }
    rig.strangers.sort_by_key(|it| it.node);
    assert_eq!(rig.strangers, [endpoint(2), endpoint(3)]);
    let [Majority::Lost { silent, .. }] = &rig.majority[..] else { panic!("{:?}", rig.majority) };
    assert!(silent.iter().all(|(_, heard)| heard.is_none()) && silent.len() == 2, "{silent:?}");
}

#[test]
fn who_had_more_and_is_silent_by_now_is_told_of() {
    let mut rig = Rig::new();
    assert!(!rig.vote(vote_of(2, 5, (5, 9), true)).3, "node 3 may have more");
    for _ in 0..8 {
        let epoch = rig.quorum.leader_epoch().0.max(5);
        assert!(!rig.vote(vote_of(3, epoch, (5, 8), true)).3, "node 2 had more");
        rig.pass(1_000);
    }
    let [Majority::Forgotten { unheard, had_more, .. }] = &rig.majority[..] else { panic!("{:?}", rig.majority) };
    assert_eq!((&unheard[..], &had_more[..]), (&[][..], &[endpoint(2)][..]));
    assert!(rig.vote(vote_of(2, 9, (5, 9), true)).3, "and is voted for when it is back");
}

#[test]
fn where_all_logs_are_gone_somebody_is_told() {
    let mut rig = Rig::on(1, without_its_log());
    for _ in 0..8 {
        for other in [2, 3] {
            let epoch = rig.quorum.leader_epoch().0.max(5);
            assert!(!rig.vote(vote_of(other, epoch, (0, 0), true)).3);
        }
        rig.pass(1_000);
    }
    let [Majority::Forgotten { unheard, .. }] = &rig.majority[..] else { panic!("{:?}", rig.majority) };
    assert_eq!(unheard[..], []);
}

#[test]
fn a_vote_is_refused_for_what_is_wrong_with_it() {
    let mut rig = Rig::new();
    assert_eq!(rig.vote(vote_of(2, 5, (5, 9), false)).0, ErrorCode::InvalidRequest, "a log from the epoch itself");
    assert!(!rig.vote(vote_of(2, 5, (5, 9), true)).3, "node 3 may have more, and a disk that was lost had it");
    assert!(!rig.vote(vote_of(3, 5, (0, 0), true)).3, "empty logs are a new cluster's, and node 2 has one that is not");
    assert!(rig.vote(vote_of(2, 5, (5, 9), true)).3, "which is no fault before the epoch begins");
    assert_eq!(rig.vote(vote_of(2, 5, (-1, 9), false)).0, ErrorCode::InvalidRequest);
    assert_eq!(rig.vote(vote_of(-1, 5, (0, 0), false)).0, ErrorCode::InvalidRequest);
    let mut other = vote_of(2, 5, (0, 0), false);
    other.topics[0].partitions[0].voter_directory_id = directory(9);
    assert_eq!(rig.vote(other), (ErrorCode::InvalidVoterKey, 5, -1, false), "a directory that was here before");
    let strange = VoteRequest { cluster_id: Some("other".into()), ..vote_of(2, 5, (0, 0), false) };
    let ResponseBody::Vote(response) = rig.ask(2, strange) else { panic!("no answer to a vote") };
    assert_eq!(response.error_code, ErrorCode::InconsistentClusterId.code());
}

#[test]
fn who_hears_of_a_leader_disturbs_nobody() {
    let mut rig = Rig::new();
    rig.ask(1, begin_of(2, 3));
    assert_eq!((rig.quorum.role(), rig.quorum.leader()), (RoleKind::Follower, Some(endpoint(2))));
    assert_eq!(rig.vote(vote_of(3, 3, (0, 0), true)), (ErrorCode::None, 3, 2, true), "it has not answered yet");
    let calls = rig.take_calls();
    // Those before it were asked by who had no leader.
    let fetch = calls.iter().rfind(|call| matches!(call.body, RequestBody::Fetch(_)));
    let empty = fetch_response::PartitionData {
        high_watermark: 0,
        current_leader: fetch_response::LeaderIdAndEpoch { leader_id: 2, leader_epoch: 3 },
        records: Some(Records::default()),
        ..Default::default()
    };
    let topic = fetch_response::FetchableTopicResponse {
        topic_id: Uuid::METADATA_TOPIC,
        partitions: vec![empty],
        ..Default::default()
    };
    let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
    rig.answer(fetch.expect("a fetch"), response);
    assert_eq!(rig.vote(vote_of(3, 3, (0, 0), true)), (ErrorCode::None, 3, 2, false), "now it has");
    // A broken connection is reason enough to think again.
    let calls = rig.take_calls();
    let token = calls.last().expect("the next fetch").token;
    rig.act(|quorum, now, out| quorum.answered(now, token, Err(NoAnswer::Broken), out));
    assert_eq!(rig.vote(vote_of(3, 3, (0, 0), true)), (ErrorCode::None, 3, 2, true));
    rig.pass(20);
    assert_eq!((rig.quorum.role(), rig.quorum.leader_epoch()), (RoleKind::Prospective, LeaderEpoch(3)));
}

#[test]
fn an_observer_votes_for_nobody_and_never_stands() {
    let mut rig = Rig::of(4);
    rig.pass(20_000);
    assert_eq!(rig.quorum.role(), RoleKind::Unattached);
    assert!(rig.take_calls().iter().all(|call| matches!(call.body, RequestBody::Fetch(_))), "it looks for the leader");
    rig.ask(1, BeginQuorumEpochRequest { voter_id: -1, ..begin_of(2, 3) });
    assert_eq!(rig.quorum.role(), RoleKind::Observer);
}

#[test]
fn a_leader_without_a_majority_resigns_and_names_its_successors() {
    let mut rig = Rig::leader();
    let epoch = rig.quorum.leader_epoch().0;
    rig.fetch(fetch_from(3, epoch, (1, epoch)));
    rig.pass(2_900);
    assert!(rig.quorum.is_leader());
    rig.take_calls();
    rig.pass(200);
    assert!(rig.lost_leadership);
    assert_eq!(rig.quorum.role(), RoleKind::Resigned);
    let calls = rig.take_calls();
    let [to_2, to_3] = calls.as_slice() else { panic!("{calls:?}") };
    for call in [to_2, to_3] {
        let RequestBody::EndQuorumEpoch(request) = &call.body else { panic!("{call:?}") };
        let it = &request.topics[0].partitions[0];
        let candidates: Vec<i32> = it.preferred_candidates.iter().map(|it| it.candidate_id).collect();
        assert_eq!((it.leader_epoch, candidates), (epoch, vec![3, 2]), "who has more comes first");
    }
    rig.pass(2_000);
    assert!(rig.quorum.leader_epoch().0 > epoch, "the epoch is over, heard or not");
}

#[test]
fn the_first_successor_stands_at_once_and_the_second_waits() {
    let end = |candidates: [i32; 2]| {
        let candidate = |id: &i32| end_quorum_epoch_request::ReplicaInfo {
            candidate_id: *id,
            candidate_directory_id: directory(*id),
        };
        let partition = end_quorum_epoch_request::PartitionData {
            leader_id: 2,
            leader_epoch: 3,
            preferred_candidates: candidates.iter().map(candidate).collect(),
            ..Default::default()
        };
        EndQuorumEpochRequest {
            cluster_id: Some("cluster".into()),
            topics: vec![end_quorum_epoch_request::TopicData {
                topic_name: quorum::TOPIC.into(),
                partitions: vec![partition],
            }],
            leader_endpoints: Vec::new(),
        }
    };
    let mut first = Rig::new();
    first.ask(1, begin_of(2, 3));
    first.ask(1, end([1, 3]));
    assert_eq!(first.quorum.role(), RoleKind::Prospective);
    let mut second = Rig::new();
    second.ask(1, begin_of(2, 3));
    second.ask(1, end([3, 1]));
    assert_eq!(second.quorum.role(), RoleKind::Follower);
    second.pass(500);
    assert_eq!(second.quorum.role(), RoleKind::Prospective);
}

#[test]
fn nobody_stands_whose_log_is_being_cut() {
    let mut rig = Rig::leader();
    let lost = rig.quorum.leader_epoch().0;
    rig.ask(1, begin_of(2, lost + 1));
    let diverging_epoch = fetch_response::EpochEndOffset { epoch: 0, end_offset: 0 };
    answer_fetch(&mut rig, lost + 1, fetch_response::PartitionData { diverging_epoch, ..Default::default() });
    assert!(matches!(rig.queue.back(), Some((_, StoreOp::Truncate(..)))));
    // The leader is gone, and the disk is slow.
    rig.ms += 60_000;
    rig.act(|quorum, now, out| quorum.wake(now, out));
    assert_eq!((rig.quorum.role(), rig.quorum.wake_at()), (RoleKind::Follower, None));
    rig.settle();
    assert_eq!(rig.quorum.role(), RoleKind::Prospective);
}
