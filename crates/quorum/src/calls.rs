//! Calls to other nodes of the quorum: one of a kind to a peer at a time, and none for a moment after one that failed.

use ordered::Map;
use protocol::{Instant, NodeId};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Vote {
        pre: bool,
    },
    Begin,
    End,
    /// Of the leader, or of anyone who may know it.
    Fetch,
    Snapshot,
    /// What a voter to be can do.
    Versions,
    /// Has the leader note where this voter is and what it can do.
    UpdateVoter,
    /// Asks to vote.
    AddVoter,
    /// Has this node's earlier life taken out of the voters.
    RemoveVoter,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct InFlight {
    pub(crate) token: u64,
    pub(crate) to: NodeId,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    next: u64,
    in_flight: Map<u64, InFlight>,
    retry_at: Map<NodeId, Instant>,
}

impl Calls {
    pub(crate) fn start(&mut self, to: NodeId, kind: Kind) -> u64 {
        let token = self.next;
        self.next += 1;
        self.in_flight.insert(token, InFlight { token, to, kind });
        token
    }

    pub(crate) fn finish(&mut self, token: u64) -> Option<InFlight> {
        self.in_flight.remove(&token)
    }

    /// The answers to all that was asked so far are of no use.
    pub(crate) fn forget(&mut self) {
        self.in_flight.clear();
    }

    pub(crate) fn is_asking(&self, to: NodeId, kind: Kind) -> bool {
        self.in_flight.values().any(|it| it.to == to && it.kind == kind)
    }

    /// True while a fetch, of records or of a snapshot, is on its way to anyone.
    pub(crate) fn is_fetching(&self) -> bool {
        self.in_flight.values().any(|it| matches!(it.kind, Kind::Fetch | Kind::Snapshot))
    }

    pub(crate) fn back_off(&mut self, to: NodeId, until: Instant) {
        self.retry_at.insert(to, until);
    }

    /// The peer may be called.
    pub(crate) fn is_ready(&self, to: NodeId, now: Instant) -> bool {
        self.retry_at.get(&to).is_none_or(|at| *at <= now)
    }

    /// When the next peer may be called again that may not be now.
    pub(crate) fn next_retry(&self, now: Instant) -> Option<Instant> {
        self.retry_at.values().copied().filter(|at| *at > now).min()
    }
}
