//! Puzzles: whether a solution brings about what is asked for, and nothing else does.

use super::play::{Failure, Player};
use super::{Scenario, Step};
use crate::history::History;
use crate::world::ActionError;

/// So long after a solution's last line its effect may take, in µs.
const AFTER_US: u64 = 30_000_000;

/// What came of a puzzle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solved {
    /// What happened from the moment on at which the reader stands.
    pub transcript: String,
    /// What could not be done.
    pub failures: Vec<Failure>,
    /// All goals held at one moment.
    pub is_met: bool,
}

impl Scenario {
    /// Plays the puzzle: from its moment on its solution is done, and then time passes; without the solution the same time passes
    /// with nothing done. Nothing if there is no puzzle.
    pub fn solve(&self, with_solution: bool) -> Option<Result<Solved, ActionError>> {
        let puzzle = self.story.puzzle.as_ref()?;
        let chapter = self.story.chapters.get(puzzle.from)?;
        let play = || {
            let mut player = Player::new(History::new(self.shared_setup())?, None);
            for (line, step) in self.steps.iter().take_while(|it| it.0 < chapter.line) {
                player.step(*line, step);
            }
            player.text = Some(String::new());
            player.goals.clone_from(&puzzle.goals);
            player.look();
            if with_solution {
                for (line, step) in &puzzle.solution {
                    player.head(step);
                    player.step(*line, step);
                }
            } else {
                // As long as the solution would take.
                for (line, step) in &puzzle.solution {
                    if let Step::Run(_) = step {
                        player.step(*line, step);
                    }
                }
            }
            if !player.is_met {
                player.step(puzzle.line, &Step::Run(super::quote::Duration(AFTER_US)));
            }
            for goal in &puzzle.goals {
                let sign = if player.history.world().holds(goal) { "holds" } else { "does not hold" };
                player.write(format_args!("goal {goal}: {sign} at the end"));
            }
            let verdict =
                if player.is_met { "all goals held at one moment" } else { "the goals never held at one moment" };
            player.write(format_args!("{verdict}"));
            let Player { text, failures, is_met, .. } = player;
            Ok(Solved { transcript: text.unwrap_or_default(), failures, is_met })
        };
        Some(play())
    }
}
