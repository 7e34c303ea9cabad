//! How a node takes part in the quorum: its settings, all of them arguments.

use protocol::{NodeId, Str, Uuid};
use storage::{DirId, LogId};

use crate::voters::{ReplicaKey, Voter, VoterSet};

/// Where a node of the quorum listens. The number is negative while only the address is known, as of a bootstrap server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its `node.id`.
    pub node: NodeId,
    /// Its address.
    pub host: Str,
    /// Its port.
    pub port: u16,
}

/// Who votes, as far as the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoterSource {
    /// `controller.quorum.voters`: the same list on every node, as long as the log has none (`kraft.version` 0).
    Static(Vec<Endpoint>),
    /// The log and its snapshots say who votes (KIP-853): that a directory is formatted with, at first. These servers are
    /// asked where the leader is. Without any, an empty log is that of a quorum of one.
    Dynamic(Vec<(Str, u16)>),
}

/// The settings.
#[derive(Clone, Debug)]
pub struct QuorumSetup {
    /// This node.
    pub node: NodeId,
    /// Whoever is of another cluster is refused.
    pub cluster_id: Str,
    /// The metadata log.
    pub log: LogId,
    /// Its directory.
    pub dir: DirId,
    /// That directory's id: a voter is a node with a directory (KIP-853).
    pub directory_id: Uuid,
    /// The first of `controller.listener.names`, at which voters call each other.
    pub listener: Str,
    /// Where other voters reach this one: listener, host, port.
    pub endpoints: Vec<(Str, Str, u16)>,
    /// Who votes.
    pub voters: VoterSource,
    /// It has the role of a controller: it may vote and lead. Others only observe.
    pub is_controller: bool,
    /// For time-outs that must differ between nodes.
    pub seed: u64,
    /// `metadata.log.segment.bytes`.
    pub segment_bytes: i32,
    /// `metadata.log.segment.ms`.
    pub segment_ms: i64,
    /// `controller.quorum.election.timeout.ms`: a candidate waits once to twice as long.
    pub election_timeout_ms: i64,
    /// `controller.quorum.fetch.timeout.ms`: so long may a follower hear nothing of its leader.
    pub fetch_timeout_ms: i64,
    /// `controller.quorum.election.backoff.max.ms`.
    pub election_backoff_max_ms: i64,
    /// `controller.quorum.request.timeout.ms`.
    pub request_timeout_ms: i64,
    /// `controller.quorum.retry.backoff.ms`.
    pub retry_backoff_ms: i64,
    /// `controller.quorum.fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`.
    pub fetch_snapshot_max_bytes: i32,
    /// `controller.quorum.append.linger.ms`: a decision waits so long for others, to go to the disk with them; 0 for not at all.
    pub append_linger_ms: i64,
    /// `controller.quorum.auto.join.enable`: a controller that is no voter asks to be one.
    pub auto_join: bool,
}

impl QuorumSetup {
    /// A quorum of one, with Kafka's defaults.
    pub fn alone(node: NodeId, log: LogId, dir: DirId) -> QuorumSetup {
        QuorumSetup {
            node,
            cluster_id: Str::new(),
            log,
            dir,
            directory_id: Uuid::ZERO,
            listener: Str::from_static("CONTROLLER"),
            endpoints: Vec::new(),
            voters: VoterSource::Dynamic(Vec::new()),
            is_controller: true,
            seed: 0,
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            election_timeout_ms: 1_000,
            fetch_timeout_ms: 2_000,
            election_backoff_max_ms: 1_000,
            request_timeout_ms: 2_000,
            retry_backoff_ms: 20,
            fetch_max_bytes: 1 << 20,
            fetch_snapshot_max_bytes: 1 << 20,
            append_linger_ms: 0,
            auto_join: false,
        }
    }

    /// This node and its directory.
    pub(crate) fn key(&self) -> ReplicaKey {
        ReplicaKey { id: self.node, directory_id: self.directory_id }
    }

    /// This node as a voter.
    pub(crate) fn voter(&self) -> Voter {
        Voter {
            id: self.node,
            directory_id: self.directory_id,
            endpoints: self.endpoints.clone(),
            kraft_versions: (0, 1),
        }
    }

    /// True if the configuration knows of nobody else.
    pub(crate) fn is_alone(&self) -> bool {
        match &self.voters {
            VoterSource::Static(voters) => self.is_controller && voters.iter().all(|voter| voter.node == self.node),
            VoterSource::Dynamic(servers) => self.is_controller && servers.is_empty(),
        }
    }

    /// True if the log may be fetched again where it is gone: nothing in it is needed to know who has it, and no vote is
    /// forgotten that counts. A voter whom the log names by its directory would go on as the one that it was.
    pub(crate) fn can_be_fetched(&self) -> bool {
        !self.is_controller || (matches!(self.voters, VoterSource::Static(_)) && !self.is_alone())
    }

    /// The servers to ask for the leader: Kafka's numbers for those whose number is not known, -2, -3 and so on.
    pub(crate) fn bootstrap(&self) -> Vec<Endpoint> {
        let VoterSource::Dynamic(servers) = &self.voters else { return Vec::new() };
        let own = |host: &Str, port: u16| self.endpoints.iter().any(|(_, at, on)| at == host && *on == port);
        let others = servers.iter().enumerate().filter(|(_, (host, port))| !own(host, *port));
        let endpoint = |(index, (host, port)): (usize, &(Str, u16))| Endpoint {
            node: NodeId(-2 - index as i32),
            host: host.clone(),
            port: *port,
        };
        others.map(endpoint).collect()
    }

    /// Who votes as long as the log does not say.
    pub(crate) fn configured_voters(&self) -> VoterSet {
        match &self.voters {
            VoterSource::Static(voters) if !voters.is_empty() => VoterSet::of(voters.iter().map(|voter| Voter {
                id: voter.node,
                directory_id: Uuid::ZERO,
                endpoints: vec![(self.listener.clone(), voter.host.clone(), voter.port)],
                // It has not said.
                kraft_versions: (0, 0),
            })),
            _ if self.is_alone() => VoterSet::of([self.voter()]),
            _ => VoterSet::default(),
        }
    }
}
