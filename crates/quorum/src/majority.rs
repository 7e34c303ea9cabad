//! Whether a majority of the voters is there, as far as this node hears of them. Elections do not ask: it is for people, who
//! have to see to it that one comes back.

use ordered::Map;
use protocol::{Instant, NodeId, Now, RequestBody};

use crate::role::Role;
use crate::setup::Endpoint;
use crate::{Output, Quorum};

/// So long without a leader and without a majority that is heard of: a new leader is elected within less.
const PATIENCE_MS: i64 = 5_000;

/// What this node has found out about the majority.
#[derive(Clone, Debug, PartialEq)]
pub enum Majority {
    /// None is heard of, and so nobody leads: nothing is committed until one is back.
    Lost {
        /// Since when no leader is known.
        since: Instant,
        /// How many voters there are.
        voters: usize,
        /// Those that are not heard of, where they are, and when they last were.
        silent: Vec<(Endpoint, Option<Instant>)>,
    },
    /// One is heard of, but this node's log was empty when it started, and it votes for nobody yet who may lack what was committed.
    Forgotten {
        /// Since when no leader is known.
        since: Instant,
        /// The voters whose logs it has not heard of; none if those of all are as empty.
        unheard: Vec<Endpoint>,
    },
    /// There is a leader again.
    Back {
        /// Since when none was known.
        since: Instant,
    },
}

/// What this node hears of the voters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    heard: Map<NodeId, Instant>,
    strangers: Map<NodeId, ()>,
    leaderless_since: Option<Instant>,
    is_told: bool,
}

impl Quorum {
    pub(crate) fn note_heard(&mut self, now: Now, id: NodeId) {
        if self.voters().get(id).is_some() {
            self.watch.heard.insert(id, now.mono);
        }
    }

    /// Who is of another cluster is none of the majority, and somebody has to look at the configuration.
    pub(crate) fn note_stranger(&mut self, id: NodeId, out: &mut Output) {
        if self.watch.strangers.insert(id, ()).is_some() {
            return;
        }
        let voter = self.voters().get(id).and_then(|voter| voter.endpoint(&self.setup.listener));
        let bootstrap = || self.setup.bootstrap().into_iter().find(|it| it.node == id);
        out.strangers.extend(voter.or_else(bootstrap));
    }

    /// A request is a sign of life, too.
    pub(crate) fn note_sender(&mut self, now: Now, body: &RequestBody) {
        let id = match body {
            RequestBody::Vote(it) => {
                it.topics.first().and_then(|topic| topic.partitions.first()).map_or(-1, |it| it.replica_id)
            }
            RequestBody::Fetch(it) => it.replica_id.max(it.replica_state.replica_id),
            _ => -1,
        };
        self.note_heard(now, NodeId(id));
    }

    /// The voters of whose logs nothing was heard since this node may have forgotten what it acknowledged; none if it has not.
    fn unheard(&self) -> Vec<Endpoint> {
        let Some(heard) = &self.amnesia else { return Vec::new() };
        let others = self.voters().iter().filter(|voter| voter.id != self.setup.node && heard.get(&voter.id).is_none());
        others.filter_map(|voter| voter.endpoint(&self.setup.listener)).collect()
    }

    /// Tells once that the majority is lost, and once that it is back.
    pub(crate) fn watch_majority(&mut self, now: Now, out: &mut Output) {
        let has_leader = match &self.role {
            Role::Starting | Role::Replaying(_) | Role::Failed => true,
            Role::Leader(leader) => leader.is_active,
            Role::Follower(follower) => follower.is_content,
            Role::Unattached(_) | Role::Prospective(_) | Role::Candidate(_) | Role::Resigned(_) => false,
        };
        if has_leader {
            if let Some(since) = self.watch.leaderless_since.take()
                && std::mem::take(&mut self.watch.is_told)
            {
                out.majority = Some(Majority::Back { since });
            }
            return;
        }
        let since = *self.watch.leaderless_since.get_or_insert(now.mono);
        if self.watch.is_told || since.plus_ms(PATIENCE_MS) > now.mono {
            return;
        }
        let is_silent = |id: NodeId| self.watch.heard.get(&id).is_none_or(|at| at.plus_ms(PATIENCE_MS) <= now.mono);
        let others = self.voters().iter().filter(|voter| voter.id != self.setup.node && is_silent(voter.id));
        let silent: Vec<_> = others
            .filter_map(|voter| Some((voter.endpoint(&self.setup.listener)?, self.watch.heard.get(&voter.id).copied())))
            .collect();
        let voters = self.voters().len();
        if voters - silent.len() < self.voters().majority() {
            self.watch.is_told = true;
            out.majority = Some(Majority::Lost { since, voters, silent });
            return;
        }
        let unheard = self.unheard();
        let was_more = self.amnesia.as_ref().is_some_and(|heard| heard.get(&self.setup.node).is_some());
        if !unheard.is_empty() || was_more {
            self.watch.is_told = true;
            out.majority = Some(Majority::Forgotten { since, unheard });
        }
    }
}
