//! What one node of a quorum of three answers and asks, message by message.

use std::collections::VecDeque;

use protocol::messages::{
    ApiVersionsResponse, BeginQuorumEpochRequest, DescribeQuorumRequest, EndQuorumEpochRequest, FeatureLevelRecord,
    FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse, MetadataRecord, UpdateRaftVoterRequest,
    VoteRequest, api_versions_response, begin_quorum_epoch_request, describe_quorum_request, end_quorum_epoch_request,
    fetch_request, fetch_response, fetch_snapshot_request, fetch_snapshot_response, update_raft_voter_request,
    vote_request, vote_response,
};
use protocol::records::Records;
use protocol::{ErrorCode, Instant, LeaderEpoch, NodeId, Now, Offset, RequestBody, ResponseBody, Uuid, WallMs};
use quorum::{Call, Endpoint, Majority, NoAnswer, Output, Quorum, QuorumSetup, RoleKind, Ticket, VoterSource};
use storage::{Cell, DirId, LogId, MemoryDisk, Store, StoreOp};

/// Node 1 of three, on a clock that the test moves.
struct Rig {
    quorum: Quorum,
    store: Store<MemoryDisk>,
    queue: VecDeque<(Ticket, StoreOp)>,
    calls: Vec<Call>,
    replies: Vec<(u64, ResponseBody)>,
    became_leader: bool,
    lost_leadership: bool,
    majority: Vec<Majority>,
    strangers: Vec<Endpoint>,
    ms: u64,
}

fn directory(id: i32) -> Uuid {
    Uuid([id as u8; 16])
}

fn endpoint(id: i32) -> Endpoint {
    Endpoint { node: NodeId(id), host: format!("node-{id}").into(), port: 9093 }
}

impl Rig {
    fn new() -> Rig {
        Rig::of(1)
    }

    fn of(node: i32) -> Rig {
        Rig::on(node, MemoryDisk::new())
    }

    fn on(node: i32, disk: MemoryDisk) -> Rig {
        Rig::with(node, disk, (1..=3).map(endpoint).collect())
    }

    fn with(node: i32, disk: MemoryDisk, voters: Vec<Endpoint>) -> Rig {
        let quorum = Quorum::new(QuorumSetup {
            cluster_id: "cluster".into(),
            directory_id: directory(node),
            endpoints: vec![("CONTROLLER".into(), format!("node-{node}").into(), 9093)],
            voters: VoterSource::Static(voters),
            is_controller: node <= 3,
            seed: 1,
            ..QuorumSetup::alone(NodeId(node), LogId(0), DirId(0))
        });
        let store = Store::new(disk);
        let mut rig = Rig {
            quorum,
            store,
            queue: VecDeque::new(),
            calls: Vec::new(),
            replies: Vec::new(),
            became_leader: false,
            lost_leadership: false,
            majority: Vec::new(),
            strangers: Vec::new(),
            ms: 0,
        };
        rig.act(|quorum, now, out| quorum.begin(now, out));
        rig.settle();
        rig
    }

    /// Node 1 with the votes of all, at the head of an epoch that node 2 has acknowledged.
    fn leader() -> Rig {
        let mut rig = Rig::new();
        rig.pass(60);
        for _ in 0..2 {
            let votes = rig.take_calls();
            for call in votes.iter().filter(|call| matches!(call.body, RequestBody::Vote(_))) {
                rig.answer(call, vote(rig.quorum.leader_epoch(), true));
            }
        }
        assert_eq!(rig.quorum.role(), RoleKind::Leader);
        rig
    }

    fn now(&self) -> Now {
        Now { mono: Instant(self.ms * 1_000), wall: WallMs(1_700_000_000_000 + self.ms as i64) }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Quorum, Now, &mut Output) -> T) -> T {
        let mut out = Output::default();
        let now = self.now();
        let answer = act(&mut self.quorum, now, &mut out);
        self.queue.extend(out.store);
        self.calls.extend(out.calls);
        self.replies.extend(out.replies);
        self.became_leader |= out.became_leader;
        self.lost_leadership |= out.lost_leadership;
        self.majority.extend(out.majority);
        self.strangers.extend(out.strangers);
        assert_eq!(out.failed, None);
        answer
    }

    fn step(&mut self) -> Option<StoreOp> {
        let (ticket, op) = self.queue.pop_front()?;
        let result = self.store.execute(op.clone());
        self.act(|quorum, now, out| quorum.stored(now, ticket, result, out));
        Some(op)
    }

    fn settle(&mut self) {
        while self.step().is_some() {}
    }

    /// Lets time pass, with every deadline in it.
    fn pass(&mut self, ms: u64) {
        let until = self.ms + ms;
        while let Some(at) = self.quorum.wake_at().filter(|at| at.0 <= until * 1_000) {
            self.ms = self.ms.max(at.0.div_ceil(1_000));
            self.act(|quorum, now, out| quorum.wake(now, out));
            self.settle();
        }
        self.ms = until;
    }

    fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    fn answer(&mut self, call: &Call, body: impl Into<ResponseBody>) {
        let token = call.token;
        let body = body.into();
        self.act(|quorum, now, out| quorum.answered(now, token, Ok(body), out));
        self.settle();
    }

    /// Asks, and has what the answer waits for carried out.
    fn ask(&mut self, version: i16, body: impl Into<RequestBody>) -> ResponseBody {
        self.send(version, body);
        self.settle();
        self.replies.pop().expect("an answer").1
    }

    fn send(&mut self, version: i16, body: impl Into<RequestBody>) {
        let body = body.into();
        self.act(|quorum, now, out| quorum.request(now, 7, version, body, out));
    }

    fn vote(&mut self, request: VoteRequest) -> (ErrorCode, i32, i32, bool) {
        let ResponseBody::Vote(response) = self.ask(2, request) else { panic!("no answer to a vote") };
        let it = &response.topics[0].partitions[0];
        (ErrorCode::from_code(it.error_code), it.leader_epoch, it.leader_id, it.vote_granted)
    }

    fn fetch(&mut self, request: FetchRequest) -> Option<fetch_response::PartitionData> {
        self.send(18, request);
        self.settle();
        let (_, ResponseBody::Fetch(response)) = self.replies.pop()? else { panic!("no answer to a fetch") };
        Some(response.responses[0].partitions[0].clone())
    }
}

/// A snapshot of these records, at once.
fn write_snapshot(quorum: &mut Quorum, now: Now, records: Vec<MetadataRecord>, out: &mut Output) {
    let Some(mut writer) = quorum.begin_snapshot(now) else { return };
    writer.push(records);
    quorum.finish_snapshot(writer, out);
}

fn vote(epoch: LeaderEpoch, granted: bool) -> protocol::messages::VoteResponse {
    let partition = vote_response::PartitionData {
        leader_id: -1,
        leader_epoch: epoch.0,
        vote_granted: granted,
        ..Default::default()
    };
    protocol::messages::VoteResponse {
        topics: vec![vote_response::TopicData { topic_name: quorum::TOPIC.into(), partitions: vec![partition] }],
        ..Default::default()
    }
}

fn vote_of(candidate: i32, epoch: i32, (last_epoch, end): (i32, i64), pre_vote: bool) -> VoteRequest {
    let partition = vote_request::PartitionData {
        replica_epoch: epoch,
        replica_id: candidate,
        replica_directory_id: directory(candidate),
        voter_directory_id: directory(1),
        last_offset_epoch: last_epoch,
        last_offset: end,
        pre_vote,
        ..Default::default()
    };
    VoteRequest {
        cluster_id: Some("cluster".into()),
        voter_id: 1,
        topics: vec![vote_request::TopicData { topic_name: quorum::TOPIC.into(), partitions: vec![partition] }],
    }
}

fn begin_of(leader: i32, epoch: i32) -> BeginQuorumEpochRequest {
    let partition = begin_quorum_epoch_request::PartitionData {
        voter_directory_id: directory(1),
        leader_id: leader,
        leader_epoch: epoch,
        ..Default::default()
    };
    BeginQuorumEpochRequest {
        cluster_id: Some("cluster".into()),
        voter_id: 1,
        topics: vec![begin_quorum_epoch_request::TopicData {
            topic_name: quorum::TOPIC.into(),
            partitions: vec![partition],
        }],
        leader_endpoints: Vec::new(),
    }
}

fn fetch_from(node: i32, epoch: i32, (offset, last_epoch): (i64, i32)) -> FetchRequest {
    let partition = fetch_request::FetchPartition {
        current_leader_epoch: epoch,
        fetch_offset: offset,
        last_fetched_epoch: last_epoch,
        replica_directory_id: directory(node),
        high_watermark: i64::MAX,
        ..Default::default()
    };
    FetchRequest {
        cluster_id: Some("cluster".into()),
        replica_state: fetch_request::ReplicaState { replica_id: node, ..Default::default() },
        max_wait_ms: 500,
        max_bytes: 1 << 20,
        topics: vec![fetch_request::FetchTopic {
            topic_id: Uuid::METADATA_TOPIC,
            partitions: vec![partition],
            ..Default::default()
        }],
        ..FetchRequest::default()
    }
}

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
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::NotLeaderOrFollower.code());
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

/// Answers the newest fetch that is waiting, as leader 2 of the epoch.
fn answer_fetch(rig: &mut Rig, epoch: i32, partition: fetch_response::PartitionData) {
    let calls = rig.take_calls();
    let is_fetch = |call: &&Call| call.to.node == NodeId(2) && matches!(call.body, RequestBody::Fetch(_));
    let fetch = calls.iter().rfind(is_fetch).expect("a fetch").clone();
    let current_leader = fetch_response::LeaderIdAndEpoch { leader_id: 2, leader_epoch: epoch };
    let topic = fetch_response::FetchableTopicResponse {
        topic_id: Uuid::METADATA_TOPIC,
        partitions: vec![fetch_response::PartitionData { current_leader, ..partition }],
        ..Default::default()
    };
    let body = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
    rig.act(|quorum, now, out| quorum.answered(now, fetch.token, Ok(body.into()), out));
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
