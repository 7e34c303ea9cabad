//! Runs in other spellings, for `vivarium scenario FILE --export …`, and the lab's address for runs that fail.

use clap::ValueEnum;
use sim::History;
use sim::export::{Shared, rust_test, script, shiviz};
use sim::script::Scenario;
use sim::swarm::Examined;

/// Where `cargo xtask lab` serves the lab.
pub(crate) const LAB: &str = "http://127.0.0.1:8080/";

/// What a run can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spelling {
    /// An address that opens it in the lab
    Link,
    /// A test for crates/sim/tests
    Rust,
    /// A shell script that does the same to a cluster of Apache Kafka
    Script,
    /// A log for ShiViz
    Shiviz,
}

/// The run up to the moment at which the history stands.
pub(crate) fn export(spelling: Spelling, history: &History, lab: &str) -> Result<String, String> {
    Ok(match spelling {
        Spelling::Link => format!("{}\n", address(&Shared::of(history, Vec::new()), lab)?),
        Spelling::Rust => rust_test(history),
        Spelling::Script => script(history),
        Spelling::Shiviz => shiviz(history, u64::MAX),
    })
}

/// The lab's address of a scenario that failed, at the event that showed it. Nothing where the core itself gave up: such a run has
/// no moment at which a page could stand.
pub(crate) fn address_of_failure(scenario: &Scenario, found: &Examined, events: u64, lab: &str) -> Option<String> {
    let trouble = found.trouble.as_ref()?;
    if ["panic", "setup"].contains(&&*trouble.check) {
        return None;
    }
    let event = trouble.event;
    let played = scenario.play_limited(events).ok()?;
    // Who plays many seeds keeps nothing to go back by, so it is played again up to there.
    let mut history = History::of(played.history.run()).ok()?;
    history.seek(event);
    address(&Shared::of(&history, Vec::new()), lab).ok()
}

fn address(shared: &Shared, lab: &str) -> Result<String, String> {
    // Of an address that has a fragment already, or no end, what is before it.
    let lab = lab.split('#').next().unwrap_or_default();
    Ok(format!("{lab}{}", shared.link().map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use sim::export::link::text_of;
    use sim::swarm::examine;

    use super::*;

    /// What fails has an address that opens at the event that shows it.
    #[test]
    fn a_failure_has_an_address_that_opens_at_its_event() {
        let text = "seed 1\nbroker b1\nrun until serving b1\ntopic orders\nrun 1s\nexpect end orders-0 = 7\n";
        let scenario = Scenario::parse(text).unwrap();
        let found = examine(&scenario, 1_000_000);
        let address = address_of_failure(&scenario, &found, 1_000_000, "https://lab.example/v/#12").unwrap();
        let link = address.strip_prefix("https://lab.example/v/").unwrap();
        let shared = Shared::parse(&text_of(link).unwrap()).unwrap();
        assert_eq!(shared.moment.event, found.trouble.unwrap().event);
        let mut history = History::of(shared.run).unwrap();
        history.seek(shared.moment.event);
        assert_eq!(history.world().hash(), shared.moment.hash);
    }
}
