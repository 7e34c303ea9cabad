//! What a node is in the quorum at the moment.

use ordered::Set;
use protocol::{Instant, NodeId};

use crate::leading::Leader;
use crate::log::Fetching;
use crate::replay::Replay;
use crate::setup::Endpoint;
use crate::voters::ReplicaKey;

#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Not begun, or the log is being opened.
    Starting,
    /// The log is read; nothing is known about its end before that.
    Replaying(Box<Replay>),
    /// Nobody is followed; a voter stands for election at this time.
    Unattached(Instant),
    /// Asks whether an election could be won, without disturbing anyone (KIP-996).
    Prospective(Election),
    /// Asks for votes.
    Candidate(Election),
    /// Appends; others fetch.
    Leader(Box<Leader>),
    /// Fetches from the leader.
    Follower(Follower),
    /// Has led, and leads the others to elect another one.
    Resigned(Resigned),
    /// The log failed.
    Failed,
}

/// An election that this node would win.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    pub(crate) granted: Set<NodeId>,
    pub(crate) rejected: Set<NodeId>,
    /// When it is lost.
    pub(crate) until: Instant,
    /// The leader that was followed before, in the same epoch.
    pub(crate) leader: Option<Endpoint>,
}

#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) leader: Endpoint,
    /// A voter waits so long for the leader.
    pub(crate) until: Instant,
    /// The leader has answered, and nothing speaks against it since.
    pub(crate) is_content: bool,
    /// The leader is asked for nothing about the voters before: it may have that already.
    pub(crate) wish_at: Instant,
    /// The leader knows where this voter is and what it can do.
    pub(crate) has_told_leader: bool,
    pub(crate) snapshot: Option<Box<Fetching>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Resigned {
    pub(crate) until: Instant,
    /// Those who have not heard of it.
    pub(crate) unacknowledged: Set<NodeId>,
    /// Voters, the one that has most of the log first.
    pub(crate) successors: Vec<ReplicaKey>,
}

/// What a node is in the quorum, for people and checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleKind {
    /// The log is being opened and read.
    Starting,
    /// Nobody is followed.
    Unattached,
    /// Asks whether an election could be won.
    Prospective,
    /// Asks for votes.
    Candidate,
    /// Appends.
    Leader,
    /// Fetches from a leader, and votes.
    Follower,
    /// Fetches, and does not vote.
    Observer,
    /// Has just led.
    Resigned,
    /// The log failed.
    Failed,
}

impl RoleKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            RoleKind::Starting => "starting",
            RoleKind::Unattached => "unattached",
            RoleKind::Prospective => "prospective",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
            RoleKind::Follower => "follower",
            RoleKind::Observer => "observer",
            RoleKind::Resigned => "resigned",
            RoleKind::Failed => "failed",
        }
    }
}
