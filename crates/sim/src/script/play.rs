//! Plays a scenario: does, waits, asks, and writes down what happens.

use std::fmt::{self, Write};

use client::OpId;
use protocol::{Instant, Str};

use super::query::Query;
use super::quote::Quoted;
use super::{Condition, Scenario, Step, Wait};
use crate::action::Action;
use crate::check::Verdict;
use crate::export::link;
use crate::history::{History, Stamped};
use crate::narration::{client_event_words, node_event_words};
use crate::script::PATIENCE;
use crate::world::{ADMIN, ActionError, World};

/// A scenario that was played.
#[derive(Clone)]
pub struct Played {
    /// What happened, the same on every host.
    pub transcript: String,
    /// Expectations that were not met, and actions that could not be done.
    pub failures: Vec<Failure>,
    /// The run, to be visited.
    pub history: History,
    /// It was cut off: it has more events than it was to have.
    pub ran_out: bool,
    /// Where each line ended.
    pub marks: Vec<Mark>,
}

/// The moment at which a line of a scenario was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The line's number.
    pub line: usize,
    /// How many events there had been.
    pub event: u64,
    /// See [`World::turns`].
    pub turns: u64,
    /// The clock.
    pub at: Instant,
}

/// A line that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its number.
    pub line: usize,
    /// In which way.
    pub wrong: Wrong,
    /// What went wrong.
    pub what: String,
}

/// The ways in which a line can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The action could not be done.
    Refused,
    /// What was demanded is not so.
    NotMet,
    /// The faults are over, and still not every replica has everything, or not every partition of a group one owner.
    NotConverged,
    /// So much happens at one moment that no time passes any more.
    Standstill,
}

/// Refuses a world that is too large, and says why.
type Fits = fn(&World) -> Result<(), String>;

/// Events of a scenario that may be anybody's: more than any of ours has, and played within seconds.
const GUEST_EVENTS: u64 = 300_000;
/// So many events at one instant are no progress: a cluster at work has some dozens.
const STANDSTILL: u64 = 10_000;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Scenario {
    /// Plays it with a transcript.
    pub fn play(&self) -> Result<Played, ActionError> {
        self.play_with(true)
    }

    /// Plays it; without a transcript it is faster.
    pub fn play_with(&self, transcript: bool) -> Result<Played, ActionError> {
        self.play_until(transcript, u64::MAX, 0, None)
    }

    /// Plays a scenario that may be anybody's, without a transcript and no further than a tab can hold. What is waited for in
    /// lines before `judged` may not come.
    pub fn play_guest(&self, judged: usize) -> Result<Played, String> {
        link::may_be_played(self)?;
        let played =
            self.play_until(false, GUEST_EVENTS, judged, Some(link::fits)).map_err(|error| error.to_string())?;
        link::fits(played.history.world())?;
        if played.ran_out {
            return Err(format!(
                "it goes on for more than {GUEST_EVENTS} events; `vivarium scenario FILE` plays all of it"
            ));
        }
        Ok(played)
    }

    /// Plays it without a transcript, up to so many events. What was demanded after them is not missed.
    pub fn play_limited(&self, events: u64) -> Result<Played, ActionError> {
        self.play_until(false, events, 0, None)
    }

    /// Plays it with the setting that one of its knobs changes. What it waits for and does not come is no failure then, for the
    /// run may be another one; what the knob's own lines expect is. Nothing if there is no such knob.
    pub fn play_knob(&self, number: usize, transcript: bool) -> Option<Result<Played, ActionError>> {
        let own = self.story.knobs.get(number)?.line;
        Some(self.variation(number)?.play_until(transcript, u64::MAX, own, None))
    }

    /// What is waited for in lines before `judged` may not come. With `fits` it ends where the world does not any more.
    fn play_until(
        &self,
        transcript: bool,
        events: u64,
        judged: usize,
        fits: Option<Fits>,
    ) -> Result<Played, ActionError> {
        // Who examines many seeds goes back in none.
        let is_bare = events < u64::MAX && fits.is_none();
        let history = if is_bare { History::bare(self.shared_setup())? } else { History::new(self.shared_setup())? };
        let text = transcript.then(String::new);
        let mut player = Player { limit: events, judged, fits, ..Player::new(history, text) };
        let mut marks = Vec::with_capacity(self.steps.len());
        for (line, step) in &self.steps {
            player.head(step);
            player.step(*line, step);
            let world = player.history.world();
            marks.push(Mark { line: *line, event: world.events(), turns: world.turns(), at: world.clock() });
            if player.stands_still() {
                let what = format!("time stands still at {}: {STANDSTILL} events happen there", player.moment.0);
                player.wrong(*line, Wrong::Standstill, what);
                break;
            }
            if player.ran_out || player.is_broken() {
                break;
            }
        }
        let Player { history, text, failures, ran_out, .. } = player;
        Ok(Played { transcript: text.unwrap_or_default(), failures, history, ran_out, marks })
    }
}

/// Whoever plays.
pub(super) struct Player {
    pub(super) history: History,
    pub(super) text: Option<String>,
    pub(super) failures: Vec<Failure>,
    /// Findings that are in the transcript.
    findings: usize,
    /// No more events than this.
    limit: u64,
    /// The last event's moment, and how many were there.
    moment: (Instant, u64),
    /// There were more, or the world fits no longer.
    ran_out: bool,
    /// Refuses a world that has grown too large.
    fits: Option<Fits>,
    /// What is waited for in lines before this one may not come.
    judged: usize,
    /// What the admin was asked for and has no answer to, by which line, and with which code it is to be refused.
    asked: Vec<(OpId, usize, Option<Str>)>,
    /// All of it has to hold at one moment, which is looked for after each event.
    pub(super) goals: Vec<Condition>,
    /// It was found.
    pub(super) is_met: bool,
}

impl Player {
    pub(super) fn new(history: History, text: Option<String>) -> Player {
        Player {
            history,
            text,
            failures: Vec::new(),
            findings: 0,
            limit: u64::MAX,
            moment: (Instant(0), 0),
            ran_out: false,
            fits: None,
            judged: 0,
            asked: Vec::new(),
            goals: Vec::new(),
            is_met: false,
        }
    }

    /// Writes down what is to be done.
    pub(super) fn head(&mut self, step: &Step) {
        self.write(format_args!("> {step}"));
    }

    pub(super) fn write(&mut self, what: fmt::Arguments<'_>) {
        if let Some(text) = &mut self.text {
            // A string takes everything.
            let _ = writeln!(text, "{what}");
        }
    }

    /// Looks whether all goals hold.
    pub(super) fn look(&mut self) {
        let world = self.history.world();
        self.is_met = self.is_met || (!self.goals.is_empty() && self.goals.iter().all(|it| world.holds(it)));
    }

    /// A promise is broken: what follows proves nothing.
    fn is_broken(&self) -> bool {
        self.text.is_none() && !self.is_shown() && self.history.world().checks().broken().is_some()
    }

    /// An exhibit is there to be seen to its end, unless it is one of many that are examined.
    fn is_shown(&self) -> bool {
        self.history.world().setup().past.is_some() && self.limit == u64::MAX
    }

    fn stands_still(&self) -> bool {
        self.moment.1 >= STANDSTILL
    }

    /// Nothing more is to happen, whatever is demanded.
    fn is_over(&self) -> bool {
        self.ran_out || self.stands_still()
    }

    pub(super) fn step(&mut self, line: usize, step: &Step) {
        match step {
            Step::Do(action) => {
                self.act_judged(line, action, None);
                self.await_answer(line, action);
            }
            Step::Refused(code, action) => {
                self.act_judged(line, action, Some(code));
                self.await_answer(line, action);
            }
            Step::At(at, action) => {
                self.run_until(Instant(at.0));
                self.act_judged(line, action, None);
            }
            Step::After(Stamped { after, turns, at, action }) => {
                while self.history.world().events() < *after && self.event(Instant(u64::MAX)) {}
                // Events of the same moment may come after the action.
                self.history.stand_at(*turns, *at);
                self.act(line, action);
            }
            Step::Run(time) => {
                let until = Instant(self.history.world().clock().0.saturating_add(time.0));
                self.run_until(until);
            }
            Step::RunEvents(events) => {
                while self.history.world().events() < *events && self.event(Instant(u64::MAX)) {}
            }
            Step::RunUntil(condition, _)
                if condition.process().is_some_and(|name| self.history.world().pid(name).is_err()) =>
            {
                let name = condition.process().cloned().unwrap_or_default();
                self.wrong(line, Wrong::Refused, format!("there is no process {name}"));
            }
            Step::RunUntil(condition, within) => {
                let wait = Wait::begin(self.history.world(), condition);
                let is_shown = self.is_shown();
                let met = self.run_while(within.0, |world| {
                    !wait.is_over(world) && (is_shown || world.checks().broken().is_none())
                });
                if !met && !self.is_over() {
                    let is_convergence = matches!(condition, Condition::Is(Query::Behind | Query::Unsettled(_), words) if words.is_empty());
                    let wrong = if is_convergence { Wrong::NotConverged } else { Wrong::NotMet };
                    let what = format!("not within {within}: {condition}");
                    if line < self.judged {
                        self.note(what);
                    } else {
                        self.wrong(line, wrong, what);
                    }
                }
            }
            Step::Expect(query, words) => match self.history.world().ask(query) {
                Err(why) => self.fail(line, why),
                Ok(answer) => {
                    let met = answer.iter().map(String::as_str).eq(words.iter().map(|it| &**it));
                    let answer = in_words(&answer);
                    if met {
                        self.note(format!("= {answer}"));
                    } else {
                        let expected: Vec<String> = words.iter().map(ToString::to_string).collect();
                        self.fail(line, format!("{query} is {answer}, expected {}", in_words(&expected)));
                    }
                }
            },
            Step::Show(query) => match self.history.world().ask(query) {
                Err(why) if line < self.judged => self.note(why),
                Err(why) => self.fail(line, why),
                Ok(answer) => self.note(format!("= {}", in_words(&answer))),
            },
        }
    }

    /// True if it was done.
    fn act(&mut self, line: usize, action: &Action) -> bool {
        let done = self.history.act(action.clone());
        let is_done = done.is_ok();
        if let Err(error) = done {
            self.wrong(line, Wrong::Refused, error.to_string());
        }
        is_done
    }

    /// Acts; what the cluster says to it, if it is asked something, is held against what is expected: that it is done, or refused
    /// with a code. A recording is not: what was refused then is refused again.
    fn act_judged(&mut self, line: usize, action: &Action, refused: Option<&Str>) {
        if self.act(line, action) && action.asks_cluster() {
            self.asked.push((self.history.world().admin_asked(), line, refused.cloned()));
        }
    }

    fn await_answer(&mut self, line: usize, action: &Action) {
        let is_answered = !action.asks_cluster() || self.run_while(PATIENCE.0, |world| !world.admin_is_idle());
        if !is_answered && !self.is_over() {
            self.fail(line, "the cluster did not answer the admin".to_owned());
        }
    }

    /// Holds what the admin was told in the last event against what was expected.
    fn judge(&mut self) {
        let told: Vec<(OpId, Option<client::Failure>)> =
            self.history.world().admin_told().map(|(op, failure)| (op, failure.cloned())).collect();
        for (op, failure) in told {
            let asked = self.asked.iter().position(|it| it.0 == op).map(|it| self.asked.remove(it));
            if let Some(failure) = &failure {
                let at = self.history.world().clock();
                self.write(format_args!("  {at} {ADMIN}: it is refused: {}", failure.words()));
            }
            let Some((_, line, expected)) = asked else { continue };
            let code = failure.as_ref().map(|it| it.cause.word());
            match (&failure, expected) {
                (None, None) => {}
                (Some(_), Some(expected)) if code.as_deref() == Some(&*expected) => {}
                (None, Some(expected)) => {
                    self.wrong(line, Wrong::NotMet, format!("it was done, expected {expected}"));
                }
                (Some(failure), Some(expected)) => {
                    self.wrong(line, Wrong::NotMet, format!("{}, expected {expected}", failure.words()));
                }
                (Some(failure), None) => self.wrong(line, Wrong::Refused, failure.words()),
            }
        }
    }

    fn run_until(&mut self, at: Instant) {
        while self.event(at) {}
        if !self.is_over() {
            self.history.run_until(at);
        }
    }

    /// Lets events happen while something is so. False if it still is after this time, or nothing happens any more.
    fn run_while(&mut self, us: u64, so: impl Fn(&World) -> bool) -> bool {
        let limit = Instant(self.history.world().clock().0.saturating_add(us));
        while so(self.history.world()) {
            if !self.event(limit) {
                return false;
            }
        }
        true
    }

    fn event(&mut self, limit: Instant) -> bool {
        let world = self.history.world();
        if world.events() >= self.limit || self.fits.is_some_and(|fits| fits(world).is_err()) {
            self.ran_out = true;
            return false;
        }
        if self.stands_still() || !self.history.step_before(limit) {
            return false;
        }
        let clock = self.history.world().clock();
        self.moment = if self.moment.0 == clock { (clock, self.moment.1 + 1) } else { (clock, 1) };
        self.tell();
        self.judge();
        self.look();
        true
    }

    /// Writes down what is worth it of the last event.
    fn tell(&mut self) {
        let Some(text) = &mut self.text else { return };
        let world = self.history.world();
        let last = world.last();
        let name = world.name(last.process);
        for event in &last.node_events {
            let _ = writeln!(text, "  {} {name}: {}", last.at, node_event_words(event, &|it| world.broker_name(it)));
        }
        for words in last.client_events.iter().filter_map(client_event_words) {
            let _ = writeln!(text, "  {} {name}: {words}", last.at);
        }
        for finding in &world.checks().findings()[self.findings..] {
            let verdict = finding.verdict.words(finding.check);
            let _ = writeln!(text, "  {} ! {verdict}: {} ({})", last.at, finding.what, finding.check.name());
        }
        self.findings = world.checks().findings().len();
    }

    fn note(&mut self, what: String) {
        if let Some(text) = &mut self.text {
            let _ = writeln!(text, "  {what}");
        }
    }

    fn fail(&mut self, line: usize, what: String) {
        self.wrong(line, Wrong::NotMet, what);
    }

    fn wrong(&mut self, line: usize, wrong: Wrong, what: String) {
        self.note(format!("FAILED: {what}"));
        self.failures.push(Failure { line, wrong, what });
    }
}

impl World {
    /// True if it is as a condition says.
    pub fn holds(&self, condition: &Condition) -> bool {
        let tally = |name: &str| self.pid(name).map(|pid| self.checks().tally(pid)).unwrap_or_default();
        match condition {
            Condition::Acked(name, count) => tally(name).ok >= *count,
            Condition::Settled(name, count) => {
                let tally = tally(name);
                tally.ok + tally.failed + tally.unknown >= *count
            }
            Condition::Idle(name) => {
                let tally = tally(name);
                tally.ok + tally.failed + tally.unknown == tally.sent
            }
            Condition::Consumed(name, count) => self.consumed(name) >= *count,
            Condition::Answered(name, count) => self.answers(name) >= *count,
            Condition::Serving(name) => self.is_serving(name),
            Condition::Down(name) => !self.is_up(name),
            Condition::Next(_) => false,
            Condition::Is(query, words) => {
                self.ask(query).is_ok_and(|answer| answer.iter().map(String::as_str).eq(words.iter().map(|it| &**it)))
            }
            Condition::CaughtUp(name, topic) => {
                self.pid(name).is_ok_and(|pid| self.checks().unread(pid, topic).is_none())
            }
        }
    }
}

pub(super) fn in_words(words: &[String]) -> String {
    if words.is_empty() {
        return "nothing".to_owned();
    }
    words.iter().map(|word| Quoted(word.as_bytes()).to_string()).collect::<Vec<_>>().join(" ")
}

impl Played {
    /// The first broken promise.
    pub fn broken(&self) -> Option<&crate::check::Finding> {
        let findings = self.history.world().checks().findings();
        findings.iter().find(|it| it.verdict == Verdict::Bug)
    }
}
