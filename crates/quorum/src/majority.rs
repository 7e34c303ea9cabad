//! Whether a majority of the voters is there, as far as this node hears of them. Elections do not ask: it is for people, who
//! have to see to it that one comes back.

use ordered::Map;
use protocol::{Instant, NodeId, Now, RequestBody};

use crate::role::Role;
use crate::setup::Endpoint;
use crate::voters::Voter;
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
        /// The voters whose logs it has not heard of.
        unheard: Vec<Endpoint>,
        /// Voters that are silent by now, and whose logs had more than those of all that are not. Nobody is among either if
        /// all logs are as empty.
        had_more: Vec<Endpoint>,
    },
    /// One is heard of, and follows another process that has this node's number.
    Doubled {
        /// Since when no leader is known.
        since: Instant,
        /// This node's number.
        node: NodeId,
        /// Who says that it leads.
        by: Vec<Endpoint>,
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
    /// Who said of this node that it leads, when it did not, and has not asked it for records since.
    named_by: Map<NodeId, Named>,
    leaderless_since: Option<Instant>,
    is_told: bool,
}

/// When somebody said so: for the first time, and last.
#[derive(Clone, Copy, Debug)]
struct Named {
    first: Instant,
    last: Instant,
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

    /// Another node takes this one for the leader, which it is not. It may have been before it was started; who follows it
    /// will find out by asking it for records.
    pub(crate) fn note_named(&mut self, now: Now, by: NodeId) {
        let named = self.watch.named_by.entry(by).or_insert_with(|| Named { first: now.mono, last: now.mono });
        if named.last.plus_ms(PATIENCE_MS) <= now.mono {
            named.first = now.mono;
        }
        named.last = now.mono;
    }

    /// A request is a sign of life, too.
    pub(crate) fn note_sender(&mut self, now: Now, body: &RequestBody) {
        let id = match body {
            RequestBody::Vote(it) => {
                it.topics.first().and_then(|topic| topic.partitions.first()).map_or(-1, |it| it.replica_id)
            }
            RequestBody::Fetch(it) => {
                let id = it.replica_id.max(it.replica_state.replica_id);
                self.watch.named_by.remove(&NodeId(id));
                id
            }
            _ => -1,
        };
        self.note_heard(now, NodeId(id));
    }

    /// The voters that this node's vote waits for since it may have forgotten what it acknowledged; nobody if it has not: those of
    /// whose logs nothing was heard, and those that are silent by now and had more than anybody who is there.
    fn awaited(&self, is_silent: impl Fn(NodeId) -> bool) -> (Vec<Endpoint>, Vec<Endpoint>) {
        let Some(heard) = &self.amnesia else { return (Vec::new(), Vec::new()) };
        let others = || self.voters().iter().filter(|voter| voter.id != self.setup.node);
        let endpoint = |voter: &Voter| voter.endpoint(&self.setup.listener);
        let unheard = others().filter(|voter| heard.get(&voter.id).is_none()).filter_map(endpoint).collect();
        let there = others().filter(|voter| !is_silent(voter.id)).filter_map(|voter| heard.get(&voter.id)).max();
        let had_more = others().filter(|voter| is_silent(voter.id) && heard.get(&voter.id) > there);
        (unheard, had_more.filter_map(endpoint).collect())
    }

    /// The voters that have said for longer than a fetch takes that this node leads, and have not come to it.
    fn followers_of_another(&self, now: Now) -> Vec<Endpoint> {
        let fetch_ms = self.setup.fetch_timeout_ms;
        let says_so = |it: &Named| it.first.plus_ms(fetch_ms) <= now.mono && now.mono < it.last.plus_ms(PATIENCE_MS);
        let named = self.watch.named_by.iter().filter(|(_, it)| says_so(it));
        named.filter_map(|(id, _)| self.voters().get(*id)?.endpoint(&self.setup.listener)).collect()
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
        self.watch.leaderless_since.get_or_insert(now.mono);
        if !self.watch.is_told {
            out.majority = self.missing(now);
            self.watch.is_told = out.majority.is_some();
        }
    }

    /// What keeps the quorum without a leader, once none was known for longer than an election takes.
    pub fn missing(&self, now: Now) -> Option<Majority> {
        let since = self.watch.leaderless_since.filter(|since| since.plus_ms(PATIENCE_MS) <= now.mono)?;
        let is_silent = |id: NodeId| self.watch.heard.get(&id).is_none_or(|at| at.plus_ms(PATIENCE_MS) <= now.mono);
        let others = self.voters().iter().filter(|voter| voter.id != self.setup.node && is_silent(voter.id));
        let silent: Vec<_> = others
            .filter_map(|voter| Some((voter.endpoint(&self.setup.listener)?, self.watch.heard.get(&voter.id).copied())))
            .collect();
        let voters = self.voters().len();
        if voters - silent.len() < self.voters().majority() {
            return Some(Majority::Lost { since, voters, silent });
        }
        let by = self.followers_of_another(now);
        if !by.is_empty() {
            return Some(Majority::Doubled { since, node: self.setup.node, by });
        }
        let (unheard, had_more) = self.awaited(is_silent);
        let was_more = self.amnesia.as_ref().is_some_and(|heard| heard.get(&self.setup.node).is_some());
        let is_waiting = was_more || !unheard.is_empty() || !had_more.is_empty();
        is_waiting.then_some(Majority::Forgotten { since, unheard, had_more })
    }
}

impl Majority {
    /// What an operator should know.
    pub fn told(&self, now: Now) -> String {
        let seconds = |since: Instant| now.mono.0.saturating_sub(since.0) / 1_000_000;
        let named = |all: &[Endpoint]| {
            let all = all.iter().map(|at| format!("{} at {}:{}", at.node, at.host, at.port));
            all.collect::<Vec<_>>().join(", ")
        };
        match self {
            Majority::Lost { since, voters: 0, .. } => format!(
                "for {} s no leader of the metadata quorum was found: none of controller.quorum.bootstrap.servers has \
                 named one",
                seconds(*since)
            ),
            Majority::Lost { since, voters, silent } => {
                let silent = silent.iter().map(|(at, heard)| {
                    let (id, host, port) = (at.node, &at.host, at.port);
                    match heard {
                        Some(heard) => format!("{id} at {host}:{port} (last heard of {} s ago)", seconds(*heard)),
                        None => format!("{id} at {host}:{port} (never heard of)"),
                    }
                });
                format!(
                    "the metadata quorum has no majority, and for {} s no leader: of its {voters} voters these are not \
                     heard of: {}; until a majority is back no topic, leader or setting can be changed, and what brokers \
                     lead they go on serving",
                    seconds(*since),
                    silent.collect::<Vec<_>>().join(", ")
                )
            }
            Majority::Forgotten { since, unheard, had_more } if unheard.is_empty() && had_more.is_empty() => format!(
                "the metadata log of this node is gone, and for {} s nobody has led the quorum: no voter that it hears of \
                 has all that was committed; restore the log of one of them from a backup",
                seconds(*since)
            ),
            Majority::Forgotten { since, unheard, had_more } => {
                let unheard = match unheard.is_empty() {
                    true => String::new(),
                    false => format!(", and has not heard of the logs of these: {}", named(unheard)),
                };
                let had_more = match had_more.is_empty() {
                    true => String::new(),
                    false => format!(", and these, which are silent, had more than who is there: {}", named(had_more)),
                };
                format!(
                    "the metadata log of this node was empty when it started, as if its disk was lost, and for {} s nobody \
                     has led the quorum: it votes only for who has all that the other voters have{unheard}{had_more}; it \
                     waits until they are there",
                    seconds(*since),
                )
            }
            Majority::Doubled { since, node, by } => format!(
                "for {} s no leader of the metadata quorum was found, and these follow node {node}, which is this one: {}; \
                 another process has this node.id: stop one of the two, or give this one a node.id of its own",
                seconds(*since),
                named(by)
            ),
            Majority::Back { since } => {
                format!("the metadata quorum has its majority and a leader again, after {} s", seconds(*since))
            }
        }
    }
}
