//! Plays a scenario: does, waits, asks, and writes down what happens.

use std::fmt::{self, Write};

use client::{OpId, Outcome};
use protocol::{ErrorCode, Instant, Str};

use super::query::Query;
use super::quote::Quoted;
use super::{Awaited, Condition, Playing, Scenario, Step, Wait};
use crate::action::Action;
use crate::check::Verdict;
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
pub(super) type Fits = fn(&World) -> Result<(), String>;

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
        self.play_until(transcript, u64::MAX, 0)
    }

    /// Plays it without a transcript, up to so many events. What was demanded after them is not missed.
    pub fn play_limited(&self, events: u64) -> Result<Played, ActionError> {
        self.play_until(false, events, 0)
    }

    /// Plays it with the setting that one of its knobs changes. What it waits for and does not come is no failure then, for the
    /// run may be another one; what the knob's own lines expect is. Nothing if there is no such knob.
    pub fn play_knob(&self, number: usize, transcript: bool) -> Option<Result<Played, ActionError>> {
        let own = self.story.knobs.get(number)?.line;
        Some(self.variation(number)?.play_until(transcript, u64::MAX, own))
    }

    /// What is waited for in lines before `judged` may not come.
    fn play_until(&self, transcript: bool, events: u64, judged: usize) -> Result<Played, ActionError> {
        // Who examines many seeds goes back in none.
        let is_bare = events < u64::MAX;
        let history = if is_bare { History::bare(self.shared_setup())? } else { History::new(self.shared_setup())? };
        let player = Player { limit: events, judged, ..Player::new(history, transcript.then(String::new)) };
        let mut playing = Playing::of(self.clone(), player);
        while !playing.go_on(u64::MAX) {}
        Ok(playing.over().1)
    }
}

/// What a line awaits once it has begun.
pub(super) enum Awaits {
    /// Nothing.
    Nothing,
    /// A time of the clock.
    Time(Instant),
    /// So many events, and so many turns.
    Moment(u64, u64),
    /// The cluster's answer to the admin, until then.
    Answer(Instant),
    /// What the line says, until then.
    Wait(Wait, Instant),
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
    /// An event is over, or a line has begun, and nobody has looked yet whether what is awaited has come.
    is_new: bool,
    /// There were more events.
    pub(super) ran_out: bool,
    /// Refuses a world that has grown too large.
    pub(super) fits: Option<Fits>,
    /// Why it did.
    pub(super) refused: Option<String>,
    /// What is waited for in lines before this one may not come.
    pub(super) judged: usize,
    /// What the admin was asked for and has no answer to, by which line, and with which code it is to be refused.
    asked: Vec<(OpId, usize, Option<ErrorCode>)>,
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
            is_new: false,
            ran_out: false,
            fits: None,
            refused: None,
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
        self.ran_out || self.refused.is_some() || self.stands_still()
    }

    fn fits(&mut self) {
        self.refused = self.fits.and_then(|fits| fits(self.history.world()).err());
    }

    /// Nothing more is to be done after this line.
    pub(super) fn ends(&mut self, line: usize) -> bool {
        self.fits();
        if self.stands_still() {
            let what = format!("time stands still at {}: {STANDSTILL} events happen there", self.moment.0);
            self.wrong(line, Wrong::Standstill, what);
        }
        self.is_over() || self.is_broken()
    }

    /// Does a line.
    pub(super) fn step(&mut self, line: usize, step: &Step) {
        let awaits = self.begin(line, step);
        let has_come = loop {
            if let Some(has_come) = self.turn(&awaits) {
                break has_come;
            }
        };
        self.finish(line, step, has_come);
    }

    /// Does what a line says at its beginning: what it awaits then.
    pub(super) fn begin(&mut self, line: usize, step: &Step) -> Awaits {
        self.is_new = true;
        let clock = self.history.world().clock().0;
        let after = |us: u64| Instant(clock.saturating_add(us));
        match step {
            Step::Do(action) => self.ask(line, action, None),
            Step::Refused(code, action) => self.ask(line, action, Some(*code)),
            Step::At(at, _) => Awaits::Time(Instant(at.0)),
            // Events of the same moment may come after the action.
            Step::After(it) => Awaits::Moment(it.after, it.turns),
            Step::Run(time) => Awaits::Time(after(time.0)),
            Step::RunEvents(events) => Awaits::Moment(*events, 0),
            Step::RunUntil(Awaited::So(condition), _)
                if condition.process().is_some_and(|name| self.history.world().pid(name).is_err()) =>
            {
                let name = condition.process().cloned().unwrap_or_default();
                self.wrong(line, Wrong::Refused, format!("there is no process {name}"));
                Awaits::Nothing
            }
            Step::RunUntil(awaited, within) => {
                Awaits::Wait(Wait::begin(self.history.world(), awaited), after(within.0))
            }
            Step::Expect(query, words) => {
                self.expect(line, query, words);
                Awaits::Nothing
            }
            Step::Show(query) => {
                match self.history.world().ask(query) {
                    Err(why) if line < self.judged => self.note(why),
                    Err(why) => self.fail(line, why),
                    Ok(answer) => self.note(format!("= {}", in_words(&answer))),
                }
                Awaits::Nothing
            }
        }
    }

    /// A turn towards what is awaited. Once that is over, whether it has come.
    pub(super) fn turn(&mut self, awaits: &Awaits) -> Option<bool> {
        let world = self.history.world();
        // Whatever else is awaited comes with an event.
        let is_new = std::mem::take(&mut self.is_new);
        let (has_come, limit) = match awaits {
            Awaits::Nothing => (true, Instant(0)),
            Awaits::Time(at) => (false, *at),
            Awaits::Moment(events, turns) => (world.events() >= *events && world.turns() >= *turns, Instant(u64::MAX)),
            Awaits::Answer(limit) => (is_new && world.admin_is_idle(), *limit),
            Awaits::Wait(wait, limit) => {
                let is_broken = || !self.is_shown() && world.checks().broken().is_some();
                (is_new && (wait.is_over(world) || is_broken()), *limit)
            }
        };
        if has_come {
            return Some(true);
        }
        self.ran_out |= world.events() >= self.limit;
        self.fits();
        if self.is_over() {
            return Some(false);
        }
        let Some(is_event) = self.history.turn_before(limit) else {
            if let Awaits::Time(at) = awaits {
                self.history.run_until(*at);
            }
            return Some(false);
        };
        if is_event {
            self.heard();
        }
        None
    }

    /// Does what a line says at its end, and holds against it whether what it awaited has come.
    pub(super) fn finish(&mut self, line: usize, step: &Step, has_come: bool) {
        // What is due is done all the same: it is the last of a run that is cut off.
        let is_over = self.is_over();
        match step {
            Step::Do(_) | Step::Refused(..) if !has_come && !is_over => {
                self.fail(line, "the cluster did not answer the admin".to_owned());
            }
            Step::RunEvents(_) | Step::After(_) if !has_come && !is_over => {
                self.fail(line, format!("nothing more happens after event {}", self.history.world().events()));
            }
            Step::At(_, action) => self.act_judged(line, action, None),
            Step::After(Stamped { turns, at, action, .. }) => {
                if !is_over {
                    self.history.stand_at(*turns, *at);
                }
                self.act(line, action);
            }
            Step::RunUntil(awaited, within) if !has_come && !is_over => {
                let is_convergence = matches!(awaited, Awaited::So(Condition::Is(Query::Behind | Query::Unsettled(_), words)) if words.is_empty());
                let wrong = if is_convergence { Wrong::NotConverged } else { Wrong::NotMet };
                let what = format!("not within {within}: {awaited}");
                if line < self.judged {
                    self.note(what);
                } else {
                    self.wrong(line, wrong, what);
                }
            }
            Step::Do(_) | Step::Refused(..) | Step::Run(_) | Step::RunUntil(..) => {}
            Step::RunEvents(_) | Step::Expect(..) | Step::Show(_) => {}
        }
    }

    fn expect(&mut self, line: usize, query: &Query, words: &[Str]) {
        match self.history.world().ask(query) {
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
    fn act_judged(&mut self, line: usize, action: &Action, refused: Option<ErrorCode>) {
        if self.act(line, action) && action.asks_cluster() {
            self.asked.push((self.history.world().admin_asked(), line, refused));
        }
    }

    /// Does something now, and awaits what the cluster says to it, if it is asked something.
    fn ask(&mut self, line: usize, action: &Action, refused: Option<ErrorCode>) -> Awaits {
        self.act_judged(line, action, refused);
        if !action.asks_cluster() {
            return Awaits::Nothing;
        }
        Awaits::Answer(Instant(self.history.world().clock().0.saturating_add(PATIENCE.0)))
    }

    /// Holds what the admin was told in the last event against what was expected.
    fn judge(&mut self) {
        let told: Vec<(OpId, Outcome)> =
            self.history.world().admin_told().map(|(op, outcome)| (op, outcome.clone())).collect();
        for (op, outcome) in told {
            let asked = self.asked.iter().position(|it| it.0 == op).map(|it| self.asked.remove(it));
            let refused = match &outcome {
                Outcome::Failed(failure) => failure.code(),
                Outcome::Ok(_) | Outcome::Unknown(_) => None,
            };
            let trouble = outcome.trouble();
            if let Some(trouble) = &trouble {
                let at = self.history.world().clock();
                let how = if refused.is_some() { "it is refused: " } else { "" };
                self.write(format_args!("  {at} {ADMIN}: {how}{trouble}"));
            }
            let Some((_, line, expected)) = asked else { continue };
            let what = match (trouble, expected) {
                (None, None) => continue,
                (Some(_), Some(expected)) if refused == Some(expected) => continue,
                (Some(trouble), None) => trouble,
                (None, Some(expected)) => format!("it was done, expected {expected}"),
                (Some(trouble), Some(expected)) => format!("{trouble}, expected {expected}"),
            };
            let is_not_done = expected.is_none() && matches!(outcome, Outcome::Failed(_));
            self.wrong(line, if is_not_done { Wrong::Refused } else { Wrong::NotMet }, what);
        }
    }

    /// An event is over.
    fn heard(&mut self) {
        let clock = self.history.world().clock();
        self.moment = if self.moment.0 == clock { (clock, self.moment.1 + 1) } else { (clock, 1) };
        self.is_new = true;
        self.tell();
        self.judge();
        self.look();
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
