//! Requests and answers of the quorum's APIs: always of one partition, that of the metadata log.

use protocol::messages::{
    AddRaftVoterRequest, BeginQuorumEpochRequest, BeginQuorumEpochResponse, EndQuorumEpochRequest,
    EndQuorumEpochResponse, FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse,
    RemoveRaftVoterRequest, UpdateRaftVoterRequest, UpdateRaftVoterResponse, VoteRequest, VoteResponse,
    add_raft_voter_request, begin_quorum_epoch_request, begin_quorum_epoch_response, end_quorum_epoch_request,
    end_quorum_epoch_response, fetch_request, fetch_response, fetch_snapshot_request, fetch_snapshot_response,
    update_raft_voter_request, update_raft_voter_response, vote_request, vote_response,
};
use protocol::{ErrorCode, LeaderEpoch, NodeId, Offset, ResponseBody, Str, Uuid};
use storage::SnapshotId;

use crate::TOPIC;
use crate::setup::{Endpoint, QuorumSetup};
use crate::voters::{ReplicaKey, Voter};

/// The epoch of who answers, and the leader if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Regime {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) leader: Option<Endpoint>,
}

impl Regime {
    fn leader_id(&self) -> i32 {
        self.leader.as_ref().map_or(-1, |leader| leader.node.0)
    }
}

/// True if who answers refused this node as one of another cluster.
pub(crate) fn is_of_another_cluster(body: &ResponseBody) -> bool {
    let error = match body {
        ResponseBody::Vote(it) => it.error_code,
        ResponseBody::BeginQuorumEpoch(it) => it.error_code,
        ResponseBody::EndQuorumEpoch(it) => it.error_code,
        ResponseBody::Fetch(it) => it.error_code,
        ResponseBody::FetchSnapshot(it) => it.error_code,
        _ => 0,
    };
    error == ErrorCode::InconsistentClusterId.code()
}

pub(crate) fn topic() -> Str {
    Str::from_static(TOPIC)
}

/// What an answer says of the leader: the address comes with it, or from the voters.
pub(crate) struct Heard {
    pub(crate) error: ErrorCode,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) leader: Option<NodeId>,
    pub(crate) address: Option<(Str, u16)>,
}

fn heard<E>((error, epoch, leader): (i16, i32, i32), endpoints: &[E], of: impl Fn(&E) -> (i32, &Str, i32)) -> Heard {
    let address = endpoints.iter().map(of).find(|(node, ..)| *node == leader);
    let address = address.and_then(|(_, host, port)| Some((host.clone(), u16::try_from(port).ok()?)));
    Heard {
        error: ErrorCode::from_code(error),
        epoch: LeaderEpoch(epoch),
        leader: (leader >= 0).then_some(NodeId(leader)),
        address,
    }
}

pub(crate) fn vote_request(
    setup: &QuorumSetup,
    to: &Voter,
    epoch: LeaderEpoch,
    (last_epoch, end): (LeaderEpoch, Offset),
    pre_vote: bool,
) -> VoteRequest {
    let partition = vote_request::PartitionData {
        partition_index: 0,
        replica_epoch: epoch.0,
        replica_id: setup.node.0,
        replica_directory_id: setup.directory_id,
        voter_directory_id: to.directory_id,
        last_offset_epoch: last_epoch.0,
        last_offset: end.0,
        pre_vote,
    };
    VoteRequest {
        cluster_id: Some(setup.cluster_id.clone()),
        voter_id: to.id.0,
        topics: vec![vote_request::TopicData { topic_name: topic(), partitions: vec![partition] }],
    }
}

pub(crate) fn vote_response(version: i16, regime: &Regime, error: ErrorCode, granted: bool) -> VoteResponse {
    let partition = vote_response::PartitionData {
        partition_index: 0,
        error_code: error.code(),
        leader_id: regime.leader_id(),
        leader_epoch: regime.epoch.0,
        vote_granted: granted,
    };
    let endpoints = regime.leader.iter().filter(|_| version >= 1).map(|leader| vote_response::NodeEndpoint {
        node_id: leader.node.0,
        host: leader.host.clone(),
        port: leader.port,
    });
    VoteResponse {
        error_code: 0,
        topics: vec![vote_response::TopicData { topic_name: topic(), partitions: vec![partition] }],
        node_endpoints: endpoints.collect(),
    }
}

pub(crate) fn heard_of_vote(response: &VoteResponse, it: &vote_response::PartitionData) -> Heard {
    heard((it.error_code, it.leader_epoch, it.leader_id), &response.node_endpoints, |at| {
        (at.node_id, &at.host, i32::from(at.port))
    })
}

pub(crate) fn begin_request(setup: &QuorumSetup, to: &Voter, epoch: LeaderEpoch) -> BeginQuorumEpochRequest {
    let partition = begin_quorum_epoch_request::PartitionData {
        partition_index: 0,
        voter_directory_id: to.directory_id,
        leader_id: setup.node.0,
        leader_epoch: epoch.0,
    };
    let endpoints = setup.endpoints.iter().map(|(name, host, port)| begin_quorum_epoch_request::LeaderEndpoint {
        name: name.clone(),
        host: host.clone(),
        port: *port,
    });
    BeginQuorumEpochRequest {
        cluster_id: Some(setup.cluster_id.clone()),
        voter_id: to.id.0,
        topics: vec![begin_quorum_epoch_request::TopicData { topic_name: topic(), partitions: vec![partition] }],
        leader_endpoints: endpoints.collect(),
    }
}

pub(crate) fn begin_response(version: i16, regime: &Regime, error: ErrorCode) -> BeginQuorumEpochResponse {
    let partition = begin_quorum_epoch_response::PartitionData {
        partition_index: 0,
        error_code: error.code(),
        leader_id: regime.leader_id(),
        leader_epoch: regime.epoch.0,
    };
    let endpoints =
        regime.leader.iter().filter(|_| version >= 1).map(|leader| begin_quorum_epoch_response::NodeEndpoint {
            node_id: leader.node.0,
            host: leader.host.clone(),
            port: leader.port,
        });
    BeginQuorumEpochResponse {
        error_code: 0,
        topics: vec![begin_quorum_epoch_response::TopicData { topic_name: topic(), partitions: vec![partition] }],
        node_endpoints: endpoints.collect(),
    }
}

pub(crate) fn heard_of_begin(
    response: &BeginQuorumEpochResponse,
    it: &begin_quorum_epoch_response::PartitionData,
) -> Heard {
    heard((it.error_code, it.leader_epoch, it.leader_id), &response.node_endpoints, |at| {
        (at.node_id, &at.host, i32::from(at.port))
    })
}

pub(crate) fn end_request(setup: &QuorumSetup, epoch: LeaderEpoch, successors: &[ReplicaKey]) -> EndQuorumEpochRequest {
    let candidates = successors.iter().map(|it| end_quorum_epoch_request::ReplicaInfo {
        candidate_id: it.id.0,
        candidate_directory_id: it.directory_id,
    });
    let partition = end_quorum_epoch_request::PartitionData {
        partition_index: 0,
        leader_id: setup.node.0,
        leader_epoch: epoch.0,
        preferred_successors: successors.iter().map(|it| it.id.0).collect(),
        preferred_candidates: candidates.collect(),
    };
    let endpoints = setup.endpoints.iter().map(|(name, host, port)| end_quorum_epoch_request::LeaderEndpoint {
        name: name.clone(),
        host: host.clone(),
        port: *port,
    });
    EndQuorumEpochRequest {
        cluster_id: Some(setup.cluster_id.clone()),
        topics: vec![end_quorum_epoch_request::TopicData { topic_name: topic(), partitions: vec![partition] }],
        leader_endpoints: endpoints.collect(),
    }
}

pub(crate) fn end_response(version: i16, regime: &Regime, error: ErrorCode) -> EndQuorumEpochResponse {
    let partition = end_quorum_epoch_response::PartitionData {
        partition_index: 0,
        error_code: error.code(),
        leader_id: regime.leader_id(),
        leader_epoch: regime.epoch.0,
    };
    let endpoints = regime.leader.iter().filter(|_| version >= 1).map(|leader| {
        end_quorum_epoch_response::NodeEndpoint { node_id: leader.node.0, host: leader.host.clone(), port: leader.port }
    });
    EndQuorumEpochResponse {
        error_code: 0,
        topics: vec![end_quorum_epoch_response::TopicData { topic_name: topic(), partitions: vec![partition] }],
        node_endpoints: endpoints.collect(),
    }
}

pub(crate) fn heard_of_end(response: &EndQuorumEpochResponse, it: &end_quorum_epoch_response::PartitionData) -> Heard {
    heard((it.error_code, it.leader_epoch, it.leader_id), &response.node_endpoints, |at| {
        (at.node_id, &at.host, i32::from(at.port))
    })
}

/// A fetch of the metadata log from here on.
pub(crate) struct FetchFrom {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) offset: Offset,
    pub(crate) last_epoch: LeaderEpoch,
    pub(crate) high_watermark: Offset,
    pub(crate) max_wait_ms: i32,
}

pub(crate) fn fetch_request(setup: &QuorumSetup, from: &FetchFrom) -> FetchRequest {
    let partition = fetch_request::FetchPartition {
        partition: 0,
        current_leader_epoch: from.epoch.0,
        fetch_offset: from.offset.0,
        last_fetched_epoch: from.last_epoch.0,
        log_start_offset: -1,
        partition_max_bytes: setup.fetch_max_bytes,
        replica_directory_id: setup.directory_id,
        high_watermark: from.high_watermark.0,
    };
    let topic =
        fetch_request::FetchTopic { topic: topic(), topic_id: Uuid::METADATA_TOPIC, partitions: vec![partition] };
    FetchRequest {
        cluster_id: Some(setup.cluster_id.clone()),
        replica_state: fetch_request::ReplicaState { replica_id: setup.node.0, ..Default::default() },
        max_wait_ms: from.max_wait_ms,
        min_bytes: 0,
        max_bytes: setup.fetch_max_bytes,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

/// An answer to a fetch of the metadata log around its one partition.
pub(crate) fn fetch_response(version: i16, regime: &Regime, partition: fetch_response::PartitionData) -> FetchResponse {
    let endpoints = regime.leader.iter().filter(|_| version >= 16).map(|leader| fetch_response::NodeEndpoint {
        node_id: leader.node.0,
        host: leader.host.clone(),
        port: i32::from(leader.port),
        rack: None,
    });
    let current_leader = if version >= 12 {
        fetch_response::LeaderIdAndEpoch { leader_id: regime.leader_id(), leader_epoch: regime.epoch.0 }
    } else {
        fetch_response::LeaderIdAndEpoch::default()
    };
    let partition = fetch_response::PartitionData { partition_index: 0, current_leader, ..partition };
    let topic = fetch_response::FetchableTopicResponse {
        topic: topic(),
        topic_id: Uuid::METADATA_TOPIC,
        partitions: vec![partition],
    };
    FetchResponse { responses: vec![topic], node_endpoints: endpoints.collect(), ..FetchResponse::default() }
}

pub(crate) fn heard_of_fetch(response: &FetchResponse, it: &fetch_response::PartitionData) -> Heard {
    let leader = &it.current_leader;
    heard((it.error_code, leader.leader_epoch, leader.leader_id), &response.node_endpoints, |at| {
        (at.node_id, &at.host, at.port)
    })
}

pub(crate) fn fetch_snapshot_request(
    setup: &QuorumSetup,
    epoch: LeaderEpoch,
    id: SnapshotId,
    position: usize,
) -> FetchSnapshotRequest {
    let partition = fetch_snapshot_request::PartitionSnapshot {
        partition: 0,
        current_leader_epoch: epoch.0,
        snapshot_id: fetch_snapshot_request::SnapshotId { end_offset: id.end.0, epoch: id.epoch.0 },
        position: position as i64,
        replica_directory_id: setup.directory_id,
    };
    FetchSnapshotRequest {
        cluster_id: Some(setup.cluster_id.clone()),
        replica_id: setup.node.0,
        max_bytes: setup.fetch_snapshot_max_bytes,
        topics: vec![fetch_snapshot_request::TopicSnapshot { name: topic(), partitions: vec![partition] }],
    }
}

pub(crate) fn fetch_snapshot_response(
    version: i16,
    regime: &Regime,
    partition: fetch_snapshot_response::PartitionSnapshot,
) -> FetchSnapshotResponse {
    let current_leader =
        fetch_snapshot_response::LeaderIdAndEpoch { leader_id: regime.leader_id(), leader_epoch: regime.epoch.0 };
    let endpoints = regime.leader.iter().filter(|_| version >= 1).map(|leader| fetch_snapshot_response::NodeEndpoint {
        node_id: leader.node.0,
        host: leader.host.clone(),
        port: leader.port,
    });
    let partition = fetch_snapshot_response::PartitionSnapshot { current_leader, ..partition };
    FetchSnapshotResponse {
        topics: vec![fetch_snapshot_response::TopicSnapshot { name: topic(), partitions: vec![partition] }],
        node_endpoints: endpoints.collect(),
        ..FetchSnapshotResponse::default()
    }
}

pub(crate) fn heard_of_snapshot(
    response: &FetchSnapshotResponse,
    it: &fetch_snapshot_response::PartitionSnapshot,
) -> Heard {
    let leader = &it.current_leader;
    heard((it.error_code, leader.leader_epoch, leader.leader_id), &response.node_endpoints, |at| {
        (at.node_id, &at.host, i32::from(at.port))
    })
}

pub(crate) fn add_voter_request(setup: &QuorumSetup) -> AddRaftVoterRequest {
    let listeners = setup.endpoints.iter().map(|(name, host, port)| add_raft_voter_request::Listener {
        name: name.clone(),
        host: host.clone(),
        port: *port,
    });
    AddRaftVoterRequest {
        cluster_id: Some(setup.cluster_id.clone()),
        timeout_ms: i32::try_from(setup.request_timeout_ms).unwrap_or(i32::MAX),
        voter_id: setup.node.0,
        voter_directory_id: setup.directory_id,
        listeners: listeners.collect(),
        // Whoever joins helps to commit that it does.
        ack_when_committed: false,
    }
}

pub(crate) fn remove_voter_request(setup: &QuorumSetup, voter: ReplicaKey) -> RemoveRaftVoterRequest {
    RemoveRaftVoterRequest {
        cluster_id: Some(setup.cluster_id.clone()),
        voter_id: voter.id.0,
        voter_directory_id: voter.directory_id,
    }
}

pub(crate) fn update_voter_request(setup: &QuorumSetup, epoch: LeaderEpoch) -> UpdateRaftVoterRequest {
    let own = setup.voter();
    let listeners = own.endpoints.iter().map(|(name, host, port)| update_raft_voter_request::Listener {
        name: name.clone(),
        host: host.clone(),
        port: *port,
    });
    UpdateRaftVoterRequest {
        cluster_id: Some(setup.cluster_id.clone()),
        current_leader_epoch: epoch.0,
        voter_id: own.id.0,
        voter_directory_id: own.directory_id,
        listeners: listeners.collect(),
        kraft_version_feature: update_raft_voter_request::KRaftVersionFeature {
            min_supported_version: own.kraft_versions.0,
            max_supported_version: own.kraft_versions.1,
        },
    }
}

pub(crate) fn update_voter_response(regime: &Regime, error: ErrorCode) -> UpdateRaftVoterResponse {
    let (host, port) = regime.leader.as_ref().map(|it| (it.host.clone(), it.port)).unwrap_or_default();
    UpdateRaftVoterResponse {
        error_code: error.code(),
        current_leader: update_raft_voter_response::CurrentLeader {
            leader_id: regime.leader_id(),
            leader_epoch: regime.epoch.0,
            host,
            port: i32::from(port),
        },
        ..UpdateRaftVoterResponse::default()
    }
}

pub(crate) fn heard_of_update(response: &UpdateRaftVoterResponse) -> Heard {
    let leader = &response.current_leader;
    let endpoints: &[_] = if leader.host.is_empty() { &[] } else { std::slice::from_ref(leader) };
    heard((response.error_code, leader.leader_epoch, leader.leader_id), endpoints, |at| {
        (at.leader_id, &at.host, at.port)
    })
}
