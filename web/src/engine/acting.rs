//! What a line does: an action, time that passes, a question that is answered.

use std::sync::Arc;

use client::{OpId, Outcome};
use protocol::Instant;
use sim::Action;
use sim::script::{PATIENCE, Scenario, Step, Wait};

use super::Engine;
use super::past::may_end_broker;
use super::search::in_vain;
use super::ticks::up;
use crate::{look, memory};

impl Engine {
    /// The steps that a line of the scenario language says, or what is wrong with it.
    pub(crate) fn steps(line: &str) -> Result<Vec<(usize, Step)>, String> {
        let scenario = Scenario::parse(line).map_err(|it| match it.column {
            // Half of the language would be a wall.
            1 => format!("column 1: no line begins with {}; help names the usual ones", it.found),
            column => format!("column {column}: expected {}, found {}", it.expected, it.found),
        })?;
        if scenario.steps.is_empty() {
            return Err(
                "the world was made already, and what is told is for files: here an action, “run” or a question can be asked for".into(),
            );
        }
        Ok(scenario.steps)
    }

    /// Does what a line of the scenario language says. In the past this makes a branch, and both are kept.
    pub(crate) fn act(&mut self, line: &str) -> Result<(), String> {
        self.act_apart(line, false).map(drop)
    }

    /// [`Engine::act`], on a branch of its own also where nothing is known of what comes, if so told. What the admin was asked.
    pub(crate) fn act_apart(&mut self, line: &str, mut apart: bool) -> Result<Vec<OpId>, String> {
        let steps = Engine::steps(line)?;
        let mut asked = Vec::new();
        self.windows.clear();
        for (_, step) in steps {
            let now = self.history.world().clock();
            match step {
                Step::Do(action) => asked.extend(self.do_action(action, std::mem::take(&mut apart))?),
                Step::Refused(code, action) => {
                    let Some(op) = self.do_action(action, std::mem::take(&mut apart))? else { continue };
                    let told = self.hear(op)?;
                    let words = told.trouble().unwrap_or_else(|| "it was done".to_owned());
                    if !matches!(told, Outcome::Failed(it) if it.code() == Some(code)) {
                        return Err(format!("{words}, expected {code}"));
                    }
                    self.said.push(format!("so it is: {words}"));
                }
                Step::At(at, action) => {
                    if at.0 < now.0 {
                        return Err(format!("{at} is over: “←” and the timeline lead back"));
                    }
                    self.run_until(at.0)?;
                    asked.extend(self.do_action(action, std::mem::take(&mut apart))?);
                }
                Step::Run(time) => self.run_until(now.0.saturating_add(time.0))?,
                Step::RunUntil(awaited, within) => {
                    let limit = Instant(now.0.saturating_add(within.0));
                    let wait = Wait::begin(self.history.world(), &awaited);
                    while !wait.is_over(self.history.world()) && self.go_before(limit) {}
                    if !wait.is_over(self.history.world()) {
                        self.run_until(limit.0)?;
                        return Err(in_vain(&awaited, within.0));
                    }
                }
                Step::RunEvents(events) => {
                    if events < self.history.world().events() {
                        return Err(format!("event {events} is over: “←” and the timeline lead back"));
                    }
                    while self.history.world().events() < events && self.go_before(Instant(u64::MAX)) {}
                    if let Some(words) = memory::full() {
                        return Err(words);
                    }
                }
                Step::Show(query) => {
                    let answer = self.history.world().ask(&query)?;
                    self.said.push(told(&answer));
                }
                Step::Expect(query, words) => {
                    let answer = self.history.world().ask(&query)?;
                    if !answer.iter().map(String::as_str).eq(words.iter().map(|it| &**it)) {
                        return Err(format!("{query} is {}", told(&answer)));
                    }
                    self.said.push(format!("so it is: {}", told(&answer)));
                }
                // Where it belongs is a moment of another run.
                other @ Step::After(_) => {
                    return Err(format!("“{other}” is for scenarios in files; here “at” names a time"));
                }
            }
        }
        self.learn_ticks();
        Ok(asked)
    }

    /// [`Engine::act`]; where that asks the cluster something, time passes until it has answered. A refusal is an error, though the
    /// run goes on from there and has the action in it.
    pub(crate) fn act_and_hear(&mut self, line: &str) -> Result<(), String> {
        self.heard.clear();
        let mut refused = Vec::new();
        for op in self.act_apart(line, false)? {
            refused.extend(self.hear(op)?.trouble());
        }
        if refused.is_empty() { Ok(()) } else { Err(refused.join("; ")) }
    }

    /// Lets time pass until the cluster has answered what it was asked, and tells what came of that.
    fn hear(&mut self, op: OpId) -> Result<Outcome, String> {
        let limit = Instant(self.clock().saturating_add(PATIENCE.0));
        loop {
            if let Some(at) = self.heard.iter().position(|it| it.0 == op) {
                return Ok(self.heard.remove(at).1);
            }
            if !self.go_before(limit) {
                return Err(memory::full().unwrap_or_else(|| format!("no answer within {PATIENCE}")));
            }
        }
    }

    /// What the cluster refused since this was asked for last, or left open: codes and what was said with them.
    pub(crate) fn take_refused(&mut self) -> Vec<String> {
        self.heard.drain(..).filter_map(|it| it.1.trouble()).collect()
    }

    /// What was answered to questions since this was asked for last.
    pub(crate) fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// Does it. Its number, if the cluster is asked for it.
    fn do_action(&mut self, action: Action, apart: bool) -> Result<Option<OpId>, String> {
        let asks = action.asks_cluster();
        let world = self.history.world();
        let (event, before) = (world.events(), up(world));
        let last_look = may_end_broker(&action).then(|| look::led(world));
        self.history.act_apart(action, apart).map_err(|error| error.to_string())?;
        self.learn_ticks();
        let now = up(self.history.world());
        let branch = self.history.branch().to_owned();
        if before & !now != 0
            && let Some(seen) = last_look
        {
            // Of two that end at one moment the first look saw both.
            self.ghosts.entry((branch, event)).or_insert_with(|| Arc::new(seen));
        }
        if let Some(ticks) = self.ticks.get_mut(self.history.current()) {
            ticks.up = before;
            ticks.note_up(event, now);
        }
        Ok(asks.then(|| self.history.world().admin_asked()))
    }
}

/// An answer as people read it.
fn told(answer: &[String]) -> String {
    if answer.is_empty() { "nothing".to_owned() } else { answer.join(" ") }
}
