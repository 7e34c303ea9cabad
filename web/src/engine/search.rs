//! What a person waits for, and whether it has come.

use protocol::Instant;
use sim::script::quote::Duration;
use sim::script::{Awaited, Condition, Scenario, Step, Wait};

use super::{Engine, GRAIN};
use crate::memory;

/// So much virtual time passes at once for a line, in µs, and so many events. More takes the page so long that it would stand still:
/// it passes frame by frame.
const AT_ONCE_US: u64 = 90_000_000;
const AT_ONCE_EVENTS: u64 = 20_000;

/// Something to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// So many µs have passed.
    Time(u64),
    /// So many events have happened.
    Event(u64),
    /// Something holds or happens, within so many µs.
    Holds(Awaited, u64),
}

pub(crate) struct Search {
    until: Until,
    limit: Instant,
    /// For [`Until::Holds`].
    wait: Option<Wait>,
}

impl Engine {
    /// Begins to wait for something.
    pub(crate) fn expect(&mut self, until: Until) {
        let (span, wait) = match &until {
            Until::Time(us) => (*us, None),
            Until::Holds(awaited, us) => (*us, Some(Wait::begin(self.history.world(), awaited))),
            Until::Event(_) => (u64::MAX, None),
        };
        let limit = Instant(self.clock().saturating_add(span));
        self.search = Some(Search { until, limit, wait });
    }

    /// Waits for nothing any more, and has nothing to make good.
    pub(crate) fn give_up(&mut self) {
        self.search = None;
        self.rest_us = 0.0;
    }

    /// True while what a line says is waited for.
    pub(crate) fn waits(&self) -> bool {
        self.search.is_some()
    }

    /// What a line waits for, if that is too long to be done at once, and whether the line itself is to be done after it.
    pub(crate) fn far(&self, line: &str) -> Option<(Until, bool)> {
        let world = self.history.world();
        let (now, events) = (world.clock().0, world.events());
        let steps = Scenario::parse(line).ok()?.steps;
        let [(_, step)] = &*steps else { return None };
        match step {
            Step::Run(time) if time.0 > AT_ONCE_US => Some((Until::Time(time.0), false)),
            Step::At(at, _) if at.0 > now.saturating_add(AT_ONCE_US) => Some((Until::Time(at.0 - now), true)),
            Step::RunEvents(wanted) if *wanted > events + AT_ONCE_EVENTS => Some((Until::Event(*wanted), false)),
            // What happens next is watched.
            Step::RunUntil(awaited, within) if within.0 > AT_ONCE_US || matches!(awaited, Awaited::Next(_)) => {
                Some((Until::Holds(awaited.clone(), within.0), false))
            }
            _ => None,
        }
    }

    /// Goes on towards what is waited for while there is time. A sentence once it has come; if it will not, that.
    pub(crate) fn search(&mut self, on_time: impl Fn() -> bool) -> Option<Result<String, String>> {
        let search = self.search.take()?;
        if self.has_come(&search) {
            return Some(Ok(self.history.world().narrate()));
        }
        loop {
            for _ in 0..GRAIN {
                if !self.go_before(search.limit) {
                    if memory::is_full() {
                        self.search = Some(search);
                        return None;
                    }
                    if let Until::Event(_) = search.until {
                        return Some(Err("Nothing will ever happen by itself any more.".to_owned()));
                    }
                    self.history.run_until(search.limit);
                    return Some(match &search.until {
                        Until::Holds(awaited, us) => Err(in_vain(awaited, *us)),
                        _ => Ok(self.history.world().narrate()),
                    });
                }
                if self.has_come(&search) {
                    return Some(Ok(self.history.world().narrate()));
                }
            }
            if !on_time() {
                self.search = Some(search);
                return None;
            }
        }
    }

    /// When all of this holds at one moment if nothing more is done than to let so many µs pass. Of a branch's end.
    pub(crate) fn will_hold(&self, goals: &[Condition], within_us: u64) -> Option<u64> {
        let mut ahead = self.history.world().clone();
        let limit = Instant(self.clock().saturating_add(within_us));
        while ahead.step_before(limit).is_some() {
            if goals.iter().all(|it| ahead.holds(it)) {
                return Some(ahead.clock().0);
            }
        }
        None
    }

    fn has_come(&self, search: &Search) -> bool {
        let world = self.history.world();
        match search.until {
            Until::Time(_) => false,
            Until::Event(wanted) => world.events() >= wanted,
            Until::Holds(..) => search.wait.as_ref().is_some_and(|it| it.is_over(world)),
        }
    }
}

/// What was waited for so many µs, and did not come.
pub(super) fn in_vain(awaited: &Awaited, us: u64) -> String {
    format!("not within {}: {awaited}", Duration(us))
}
