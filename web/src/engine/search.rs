//! What a person waits for, and whether it has come.

use protocol::Instant;
use sim::check::Verdict;

use super::{Engine, GRAIN};

/// What a search gives up after, in virtual µs.
const PATIENCE_US: u64 = 30_000_000;

/// Something to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// A producer is told that its record is safe.
    Ack,
    /// A record gets its place.
    Append,
    /// A consumer is given records.
    Records,
    /// A batch is sent again.
    Retry,
    /// A check breaks, or a loss is found that the settings allow.
    BrokenCheck,
    /// So many µs have passed.
    Time(u64),
}

pub(crate) struct Search {
    until: Until,
    limit: Instant,
    findings: usize,
    /// Consumers, and how much each was given before.
    readers: Vec<(String, u64)>,
}

impl Engine {
    /// Begins to wait for something.
    pub(crate) fn expect(&mut self, until: Until) {
        let world = self.history.world();
        let span = if let Until::Time(us) = until { us } else { PATIENCE_US };
        let limit = world.clock().0.saturating_add(span);
        let findings = world.checks().findings().len();
        let readers = self.view().clients.into_iter().map(|it| (it.name, it.consumed)).collect();
        self.search = Some(Search { until, limit: Instant(limit), findings, readers });
    }

    /// Waits for nothing any more, and has nothing to make good.
    pub(crate) fn give_up(&mut self) {
        self.search = None;
        self.rest_us = 0.0;
    }

    /// True while it is time that is waited for.
    pub(crate) fn waits(&self) -> bool {
        self.search.as_ref().is_some_and(|it| matches!(it.until, Until::Time(_)))
    }

    /// Goes on towards what is waited for while there is time. A sentence once it has come, or will not.
    pub(crate) fn search(&mut self, on_time: impl Fn() -> bool) -> Option<String> {
        let search = self.search.take()?;
        loop {
            for _ in 0..GRAIN {
                if !self.history.step_before(search.limit) {
                    if let Until::Time(_) = search.until {
                        self.history.run_until(search.limit);
                        return Some(self.history.world().narrate());
                    }
                    return Some(format!("Nothing of the kind within {} s of virtual time.", PATIENCE_US / 1_000_000));
                }
                self.note_ticks();
                if self.has_come(&search) {
                    return Some(self.history.world().narrate());
                }
            }
            if !on_time() {
                self.search = Some(search);
                return None;
            }
        }
    }

    fn has_come(&self, search: &Search) -> bool {
        let world = self.history.world();
        let last = world.last();
        match search.until {
            Until::Ack => last.client_events.iter().any(|it| matches!(it, client::Event::BatchAcked { .. })),
            Until::Append => last.node_events.iter().any(|it| matches!(it, node::Event::Appended { .. })),
            Until::Records => search.readers.iter().any(|(name, before)| world.consumed(name) > *before),
            Until::Retry => last.client_events.iter().any(|it| matches!(it, client::Event::BatchRetried { .. })),
            Until::Time(_) => false,
            Until::BrokenCheck => world.checks().findings()[search.findings.min(world.checks().findings().len())..]
                .iter()
                .any(|it| it.verdict != Verdict::Kept),
        }
    }
}
