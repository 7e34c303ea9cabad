//! What a person waits for, and whether it has come.

use protocol::Instant;
use sim::check::Verdict;
use sim::script::quote::Duration;
use sim::script::{Condition, Scenario, Step};

use super::{Engine, GRAIN};
use crate::memory;

/// What a search gives up after, in virtual µs.
const PATIENCE_US: u64 = 30_000_000;
/// So much virtual time passes at once for a line, in µs, and so many events. More takes the page so long that it would stand still:
/// it passes frame by frame.
const AT_ONCE_US: u64 = 90_000_000;
const AT_ONCE_EVENTS: u64 = 20_000;

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
    /// So many events have happened.
    Event(u64),
    /// It is as the line says that is carried out, within so many µs.
    Holds(u64),
}

impl Until {
    /// True for what a line waits for, not a person who looks on.
    pub(crate) fn is_of_line(self) -> bool {
        matches!(self, Until::Time(_) | Until::Event(_) | Until::Holds(_))
    }
}

pub(crate) struct Search {
    until: Until,
    limit: Instant,
    findings: usize,
    /// Consumers, and how much each was given before.
    readers: Vec<(String, u64)>,
    /// What is to hold, for [`Until::Holds`].
    condition: Option<Condition>,
}

impl Engine {
    /// Begins to wait for something.
    pub(crate) fn expect(&mut self, until: Until) {
        let world = self.history.world();
        let span = match until {
            Until::Time(us) | Until::Holds(us) => us,
            Until::Event(_) => u64::MAX,
            _ => PATIENCE_US,
        };
        let limit = world.clock().0.saturating_add(span);
        let findings = world.checks().findings().len();
        let readers = self.view().clients.into_iter().map(|it| (it.name, it.consumed)).collect();
        let condition = self.awaited.take();
        self.search = Some(Search { until, limit: Instant(limit), findings, readers, condition });
    }

    /// Waits for nothing any more, and has nothing to make good.
    pub(crate) fn give_up(&mut self) {
        self.search = None;
        self.rest_us = 0.0;
    }

    /// True while what a line says is waited for.
    pub(crate) fn waits(&self) -> bool {
        self.search.as_ref().is_some_and(|it| it.until.is_of_line())
    }

    /// What a line waits for, if that is too long to be done at once, and whether the line itself is to be done after it.
    pub(crate) fn far(&mut self, line: &str) -> Option<(Until, bool)> {
        let world = self.history.world();
        let (now, events) = (world.clock().0, world.events());
        let steps = Scenario::parse(line).ok()?.steps;
        let [(_, step)] = &*steps else { return None };
        match step {
            Step::Run(time) if time.0 > AT_ONCE_US => Some((Until::Time(time.0), false)),
            Step::At(at, _) if at.0 > now.saturating_add(AT_ONCE_US) => Some((Until::Time(at.0 - now), true)),
            Step::RunEvents(wanted) if *wanted > events + AT_ONCE_EVENTS => Some((Until::Event(*wanted), false)),
            Step::RunUntil(condition, within) if within.0 > AT_ONCE_US => {
                self.awaited = Some(condition.clone());
                Some((Until::Holds(within.0), false))
            }
            _ => None,
        }
    }

    /// Goes on towards what is waited for while there is time. A sentence once it has come, or will not.
    pub(crate) fn search(&mut self, on_time: impl Fn() -> bool) -> Option<String> {
        let search = self.search.take()?;
        if search.until.is_of_line() && self.has_come(&search) {
            return Some(self.history.world().narrate());
        }
        loop {
            for _ in 0..GRAIN {
                if !self.go_before(search.limit) {
                    if memory::is_full() {
                        self.search = Some(search);
                        return None;
                    }
                    return Some(match (search.until, &search.condition) {
                        (Until::Holds(us), Some(condition)) => {
                            self.history.run_until(search.limit);
                            format!("not within {}: {condition}", Duration(us))
                        }
                        (Until::Time(_), _) => {
                            self.history.run_until(search.limit);
                            self.history.world().narrate()
                        }
                        (Until::Event(_), _) => "Nothing will ever happen by itself any more.".to_owned(),
                        _ => format!("Nothing of the kind within {} s of virtual time.", PATIENCE_US / 1_000_000),
                    });
                }
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
            Until::Event(wanted) => world.events() >= wanted,
            Until::Holds(_) => search.condition.as_ref().is_some_and(|it| world.holds(it)),
            Until::BrokenCheck => world.checks().findings()[search.findings.min(world.checks().findings().len())..]
                .iter()
                .any(|it| it.verdict != Verdict::Kept),
        }
    }
}
