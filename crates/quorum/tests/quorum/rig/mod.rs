//! One node of a quorum of three, whose peers are the test.

use std::collections::VecDeque;

use protocol::messages::{
    BeginQuorumEpochRequest, FetchRequest, FetchResponse, MetadataRecord, VoteRequest, begin_quorum_epoch_request,
    fetch_request, fetch_response, vote_request, vote_response,
};
use protocol::{ErrorCode, Instant, LeaderEpoch, NodeId, Now, RequestBody, ResponseBody, Uuid, WallMs};
use quorum::{Call, Endpoint, Majority, Output, Quorum, QuorumSetup, RoleKind, Ticket, VoterSource};
use storage::{DirId, LogId, MemoryDisk, Store, StoreOp};

/// Node 1 of three, on a clock that the test moves.
pub(crate) struct Rig {
    pub(crate) quorum: Quorum,
    pub(crate) store: Store<MemoryDisk>,
    pub(crate) queue: VecDeque<(Ticket, StoreOp)>,
    pub(crate) calls: Vec<Call>,
    pub(crate) replies: Vec<(u64, ResponseBody)>,
    pub(crate) became_leader: bool,
    pub(crate) lost_leadership: bool,
    pub(crate) majority: Vec<Majority>,
    pub(crate) strangers: Vec<Endpoint>,
    pub(crate) ms: u64,
}

pub(crate) fn directory(id: i32) -> Uuid {
    Uuid([id as u8; 16])
}

pub(crate) fn endpoint(id: i32) -> Endpoint {
    Endpoint { node: NodeId(id), host: format!("node-{id}").into(), port: 9093 }
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig::of(1)
    }

    pub(crate) fn of(node: i32) -> Rig {
        Rig::on(node, MemoryDisk::new())
    }

    pub(crate) fn on(node: i32, disk: MemoryDisk) -> Rig {
        Rig::with(node, disk, (1..=3).map(endpoint).collect())
    }

    pub(crate) fn with(node: i32, disk: MemoryDisk, voters: Vec<Endpoint>) -> Rig {
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
    pub(crate) fn leader() -> Rig {
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

    pub(crate) fn now(&self) -> Now {
        Now { mono: Instant(self.ms * 1_000), wall: WallMs(1_700_000_000_000 + self.ms as i64) }
    }

    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Quorum, Now, &mut Output) -> T) -> T {
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

    pub(crate) fn step(&mut self) -> Option<StoreOp> {
        let (ticket, op) = self.queue.pop_front()?;
        let result = self.store.execute(op.clone());
        self.act(|quorum, now, out| quorum.stored(now, ticket, result, out));
        Some(op)
    }

    pub(crate) fn settle(&mut self) {
        while self.step().is_some() {}
    }

    /// Lets time pass, with every deadline in it.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.ms + ms;
        while let Some(at) = self.quorum.wake_at().filter(|at| at.0 <= until * 1_000) {
            self.ms = self.ms.max(at.0.div_ceil(1_000));
            self.act(|quorum, now, out| quorum.wake(now, out));
            self.settle();
        }
        self.ms = until;
    }

    pub(crate) fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    pub(crate) fn answer(&mut self, call: &Call, body: impl Into<ResponseBody>) {
        let token = call.token;
        let body = body.into();
        self.act(|quorum, now, out| quorum.answered(now, token, Ok(body), out));
        self.settle();
    }

    /// Asks, and has what the answer waits for carried out.
    pub(crate) fn ask(&mut self, version: i16, body: impl Into<RequestBody>) -> ResponseBody {
        self.send(version, body);
        self.settle();
        self.replies.pop().expect("an answer").1
    }

    pub(crate) fn send(&mut self, version: i16, body: impl Into<RequestBody>) {
        let body = body.into();
        self.act(|quorum, now, out| quorum.request(now, 7, version, body, out));
    }

    pub(crate) fn vote(&mut self, request: VoteRequest) -> (ErrorCode, i32, i32, bool) {
        let ResponseBody::Vote(response) = self.ask(2, request) else { panic!("no answer to a vote") };
        let it = &response.topics[0].partitions[0];
        (ErrorCode::from_code(it.error_code), it.leader_epoch, it.leader_id, it.vote_granted)
    }

    pub(crate) fn fetch(&mut self, request: FetchRequest) -> Option<fetch_response::PartitionData> {
        self.send(18, request);
        self.settle();
        let (_, ResponseBody::Fetch(response)) = self.replies.pop()? else { panic!("no answer to a fetch") };
        Some(response.responses[0].partitions[0].clone())
    }
}

/// A snapshot of these records, at once.
pub(crate) fn write_snapshot(quorum: &mut Quorum, now: Now, records: Vec<MetadataRecord>, out: &mut Output) {
    let Some(mut writer) = quorum.begin_snapshot(now) else { return };
    writer.push(records);
    quorum.finish_snapshot(writer, out);
}

pub(crate) fn vote(epoch: LeaderEpoch, granted: bool) -> protocol::messages::VoteResponse {
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

pub(crate) fn vote_of(candidate: i32, epoch: i32, (last_epoch, end): (i32, i64), pre_vote: bool) -> VoteRequest {
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

pub(crate) fn begin_of(leader: i32, epoch: i32) -> BeginQuorumEpochRequest {
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

pub(crate) fn fetch_from(node: i32, epoch: i32, (offset, last_epoch): (i64, i32)) -> FetchRequest {
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

/// Answers the newest fetch that is waiting, as leader 2 of the epoch.
pub(crate) fn answer_fetch(rig: &mut Rig, epoch: i32, partition: fetch_response::PartitionData) {
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
