//! A scenario that is played a part at a time, as a page does that has to stay alive meanwhile.

use super::Scenario;
use super::play::{Awaits, Fits, Mark, Played, Player};
use crate::export::link;
use crate::history::History;

/// A scenario, as far as it is played.
pub struct Playing {
    scenario: Scenario,
    player: Player,
    /// Where each line ended that is over.
    marks: Vec<Mark>,
    /// What the next one awaits, if it has begun.
    awaits: Option<Awaits>,
    /// No line after the last that is over is done.
    is_cut: bool,
}

impl Playing {
    /// A scenario that may be anybody's, from its beginning. What it asks for is bounded, and so is what comes of it.
    pub fn of_guest(scenario: Scenario) -> Result<Playing, String> {
        Playing::guarded(scenario, 0, link::fits)
    }

    /// The same of the run that one of its knobs makes: see [`Scenario::play_knob`]. Nothing if there is no such knob.
    pub fn of_guest_knob(scenario: &Scenario, number: usize) -> Option<Result<Playing, String>> {
        let own = scenario.story.knobs.get(number)?.line;
        Some(Playing::guarded(scenario.variation(number)?, own, link::fits))
    }

    fn guarded(scenario: Scenario, judged: usize, fits: Fits) -> Result<Playing, String> {
        link::may_be_played(&scenario)?;
        let history = History::new(scenario.shared_setup()).map_err(|error| error.to_string())?;
        let mut player = Player::new(history, None);
        player.judged = judged;
        player.fits = Some(fits);
        Ok(Playing::of(scenario, player))
    }

    pub(super) fn of(scenario: Scenario, player: Player) -> Playing {
        let marks = Vec::with_capacity(scenario.steps.len());
        Playing { scenario, player, marks, awaits: None, is_cut: false }
    }

    /// Plays so many turns more at most. True once all is played that will be.
    pub fn go_on(&mut self, mut turns: u64) -> bool {
        while let Some((line, step)) = self.scenario.steps.get(self.marks.len()).filter(|_| !self.is_cut) {
            let player = &mut self.player;
            let awaits = self.awaits.get_or_insert_with(|| {
                player.head(step);
                player.begin(*line, step)
            });
            let has_come = loop {
                if turns == 0 {
                    return false;
                }
                turns -= 1;
                if let Some(has_come) = player.turn(awaits) {
                    break has_come;
                }
            };
            self.awaits = None;
            player.finish(*line, step, has_come);
            let world = player.history.world();
            self.marks.push(Mark { line: *line, event: world.events(), turns: world.turns(), at: world.clock() });
            self.is_cut = player.ends(*line);
        }
        true
    }

    /// How much of it is played, of 1, by its lines.
    pub fn progress(&self) -> f64 {
        self.marks.len() as f64 / self.scenario.steps.len().max(1) as f64
    }

    /// Why it may not go on, if it is anybody's and asks for too much.
    pub fn refused(&self) -> Option<&str> {
        self.player.refused.as_deref()
    }

    /// The scenario, and what came of it.
    pub fn over(self) -> (Scenario, Played) {
        let Player { history, text, failures, ran_out, .. } = self.player;
        (self.scenario, Played { transcript: text.unwrap_or_default(), failures, history, ran_out, marks: self.marks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_WORK: &str = "seed 5\nbroker b1\nrun until serving b1\ntopic orders partitions=1\nproducer p1 acks=all\n\
        produce p1 orders value=a\nrun until acked p1 1\n";

    /// As a page plays it: a part at a time, each of so many turns at most. In how many parts, and what came of it.
    fn played(lines: &str) -> Result<(u64, Played), String> {
        const PART: u64 = 1_000;
        let scenario = Scenario::parse(&format!("{AT_WORK}{lines}\n")).map_err(|error| error.to_string())?;
        let fits: Fits = |world| link::fits_in(world, 20_000, 60_000, 8 << 20);
        let mut playing = Playing::guarded(scenario, 0, fits)?;
        let mut parts = 1;
        loop {
            let before = playing.player.history.world().turns();
            let is_over = playing.go_on(PART);
            assert!(playing.player.history.world().turns() - before <= PART, "a part is no longer than it may be");
            if is_over {
                break;
            }
            parts += 1;
        }
        match playing.refused() {
            Some(why) => Err(why.to_owned()),
            None => Ok((parts, playing.over().1)),
        }
    }

    /// Whatever makes a run long, it ends: many events, many turns that are none, many bytes.
    #[test]
    fn whatever_is_anybodys_ends() {
        for (lines, told) in [
            ("run 99999m", "for more than 20000 events"),
            ("load p1 orders every=1us size=1000000\nrun 60m", "its brokers hold "),
            // Blocked after a thousand records it asks a million times a second whether there is room: turns, and no events.
            ("load p1 orders every=1us\nrun 10ms\npause b1\nrun 600m", "for more than 60000 turns"),
            (
                "at 2s load p1 orders every=1us\nat 2001ms pause b1\nrun until acked p1 9999999 within 600m",
                "60000 turns",
            ),
            ("after 1/99999999999 1s kill b1", "for more than 20000 events"),
        ] {
            let error = played(lines).err().unwrap_or_default();
            assert!(error.contains(told), "{lines}: {error}");
        }
        let played = played("expect log orders-0 = b").unwrap().1;
        assert!(played.failures[0].what.contains("expected b"), "what is wrong in it is said as always");
    }

    /// In how many parts it is played changes nothing of what comes of it.
    #[test]
    fn a_run_in_parts_is_the_run() {
        let lines = "load p1 orders every=10ms\nat 5s kill b1\nat 6s start b1\nrun until next append\nrun 3s";
        let whole = Scenario::parse(&format!("{AT_WORK}{lines}\n")).unwrap().play_with(false).unwrap();
        let (parts, played) = played(lines).unwrap();
        assert!(parts > 2, "{parts}");
        assert_eq!((played.marks, played.failures), (whole.marks, whole.failures));
        let end = |it: &History| (it.world().hash(), it.world().turns(), it.world().clock());
        assert_eq!(end(&played.history), end(&whole.history));
    }
}
