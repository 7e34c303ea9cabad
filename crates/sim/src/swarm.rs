//! Many seeds: each makes a scenario of clients and faults, plays it with every check on, and what breaks is made small.

mod cluster;
mod generate;
mod shrink;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::script::{Played, Scenario, Wrong};

pub use shrink::shrink;

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// How many events it had.
    pub events: u64,
    /// The hash of all that happened; 0 after a panic.
    pub hash: u64,
    /// What broke, if anything did.
    pub trouble: Option<Trouble>,
}

/// What broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The check's name, `expectation` or `panic`.
    pub check: String,
    /// For people.
    pub what: String,
    /// The event that showed it.
    pub event: u64,
}

/// Seeds that broke once, each with a line saying what it was; every test run plays them again.
pub const REGRESSIONS: &str = include_str!("../seeds.txt");

/// The seeds of [`REGRESSIONS`].
pub fn regressions() -> impl Iterator<Item = u64> {
    REGRESSIONS.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok())
}

impl Scenario {
    /// A scenario of a seed's making: settings, clients, loads and faults, and at the end the demand that all is well.
    pub fn random(seed: u64) -> Scenario {
        generate::random(seed, 1)
    }

    /// The same with several brokers, each a controller too.
    pub fn random_cluster(seed: u64, brokers: usize) -> Scenario {
        generate::random(seed, brokers.max(1))
    }

    /// The load that `vivarium sim bench` measures: no faults, two producers, two consumers.
    pub fn bench(seed: u64, events: u64) -> Scenario {
        generate::bench(seed, events)
    }
}

/// Plays a scenario up to so many events and says what broke. A panic of the core is something that broke.
pub fn examine(scenario: &Scenario, events: u64) -> Examined {
    let played = catch_unwind(AssertUnwindSafe(|| scenario.play_limited(events)));
    match played {
        Ok(Ok(played)) => {
            let world = played.history.world();
            Examined { events: world.events(), hash: world.hash(), trouble: trouble(&played) }
        }
        Ok(Err(error)) => broken("setup", error.0),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            broken("panic", what.unwrap_or_else(|| "a panic without words".to_owned()))
        }
    }
}

fn broken(check: &str, what: String) -> Examined {
    Examined { events: 0, hash: 0, trouble: Some(Trouble { check: check.to_owned(), what, event: 0 }) }
}

fn trouble(played: &Played) -> Option<Trouble> {
    if let Some(finding) = played.broken() {
        let check = finding.check.name().to_owned();
        return Some(Trouble { check, what: finding.what.clone(), event: finding.event });
    }
    // Faults may meet a process that is not there; only what was demanded counts.
    let failure = played.failures.iter().find(|it| it.wrong == Wrong::NotMet)?;
    let event = played.history.world().events();
    Some(Trouble { check: "expectation".to_owned(), what: failure.what.clone(), event })
}
