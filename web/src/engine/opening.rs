//! A run that is opened a part at a time: the page stays alive meanwhile, and whoever waits can call it off.

use sim::export::link::{self, Shared};
use sim::script::{Playing, Scenario};

use super::Engine;

/// How far it is.
pub(crate) enum Opening {
    /// A scenario that may be anybody's is being played.
    Played(Playing),
    /// A run, up to so many events, that is passed once for the marks of its timeline; and how much was over, of 1, before that.
    Marked(Engine, u64, f64),
    /// It is there.
    Open(Engine),
}

impl Opening {
    /// Somebody's scenario file. The error says which line is wrong, and how.
    pub(crate) fn of_file(text: &str) -> Result<Opening, String> {
        let scenario = Scenario::parse(text).map_err(|error| error.to_string())?;
        if scenario.setup.brokers.is_empty() {
            return Err("it has no broker: a line such as “broker b1” makes one".to_owned());
        }
        Playing::of_guest(scenario).map(Opening::Played)
    }

    /// A link's run, whichever engine recorded it.
    pub(crate) fn of_link(shared: &Shared) -> Result<Opening, String> {
        Ok(Opening::Marked(Engine::of(shared)?, shared.events, 0.0))
    }

    /// Goes on for so many turns at most. The error says why that is not done.
    pub(crate) fn go_on(self, turns: u32) -> Result<Opening, String> {
        match self {
            Opening::Played(mut playing) => {
                if !playing.go_on(turns.into()) {
                    return Ok(Opening::Played(playing));
                }
                if let Some(why) = playing.refused() {
                    return Err(why.to_owned());
                }
                let (scenario, played) = playing.over();
                let (engine, end) = Engine::begun(scenario, played)?;
                Ok(Opening::Marked(engine, end, 0.5))
            }
            Opening::Marked(mut engine, end, before) => {
                for _ in 0..turns {
                    let is_over = engine.history.world().events() >= end || engine.turn().is_none();
                    let world = engine.history.world();
                    link::fits(world)?;
                    if let Some(refused) = engine.history.refused() {
                        return Err(format!("after {} events {refused}", world.events()));
                    }
                    if is_over {
                        // What the cluster refused in it is no news.
                        engine.heard.clear();
                        return Ok(Opening::Open(engine));
                    }
                }
                Ok(Opening::Marked(engine, end, before))
            }
            Opening::Open(_) => Ok(self),
        }
    }

    /// How much of it is over, of 1. Before it is there it is not all of it, whatever a division says.
    pub(crate) fn progress(&self) -> f64 {
        match self {
            Opening::Played(playing) => playing.progress() * 0.5,
            Opening::Marked(engine, end, before) => {
                let part = engine.history.world().events() as f64 / (*end).max(1) as f64;
                (before + (1.0 - before) * part).min(0.99)
            }
            Opening::Open(_) => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LESSON: &str = include_str!("../../../crates/sim/scenarios/01-acks-1-loss-on-a-clean-failover.scenario");

    fn open(mut opening: Opening, turns: u32) -> Result<(Engine, usize), String> {
        let (mut parts, mut before) = (1, 0.0);
        loop {
            opening = match opening.go_on(turns)? {
                Opening::Open(engine) => return Ok((engine, parts)),
                opening => opening,
            };
            assert!((before..1.0).contains(&opening.progress()), "{before}, {}", opening.progress());
            (parts, before) = (parts + 1, opening.progress());
        }
    }

    #[test]
    fn a_file_in_parts_is_the_lesson_and_so_are_its_knobs() {
        let told = Engine::new(LESSON).unwrap();
        let (engine, parts) = open(Opening::of_file(LESSON).unwrap(), 500).unwrap();
        assert!(parts > 4, "{parts}");
        assert_eq!(engine.ticks(), told.ticks());
        assert_eq!(engine.history().world().hash(), told.history().world().hash());
        let (varied, parts) = open(engine.vary(0).unwrap(), 500).unwrap();
        assert!(parts > 4, "{parts}");
        let outcomes = engine.outcomes(0, &varied);
        assert!(outcomes.iter().any(|(_, told, here)| told != here), "{outcomes:?}");
        assert!(engine.vary(99).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_when_it_is_come_to() {
        for (text, told) in [
            ("kill b1", "it has no broker"),
            ("broker b1\nkill", "line 2, column 5: "),
            ("broker b1\nrefused NOT_CONTROLLER topic t partitions=2000000000", "2000000000 partitions"),
        ] {
            let error = Opening::of_file(text).err().unwrap_or_default();
            assert!(error.contains(told), "{text}: {error}");
        }
        let wrong = Opening::of_file("broker b1\nrun until serving b1\nexpect controller = b7\n").unwrap();
        let error = open(wrong, 500).err().unwrap_or_default();
        assert_eq!(error, "line 3: controller is b1, expected b7");
    }
}
