//! Runs as text: one line an action, a wait or an expectation. A lesson, a failing seed and a test are the same file.
//!
//! ```text
//! seed 7                                  # everything random hangs on it
//! broker b1 log.segment.bytes=1048576     # one line a broker, with Kafka's keys
//! topic orders partitions=1               # the admin creates it, and the script waits for that
//! producer p1 acks=all linger.ms=0
//! produce p1 orders key=eva value=coffee
//! run until acked p1 1 within 5s
//! at 10s kill b1                          # at a time of the virtual clock
//! expect log orders-0 = coffee
//! say One copy is there, and it is safe.
//! ```
//!
//! What it tells ([`story`]) changes nothing that happens. `docs/scenarios.md` has every word.
//!
//! What a scenario prints while it is played is its transcript: the same on every host.

mod groups;
mod line;
mod parse;
mod play;
mod playing;
pub(crate) mod query;
pub mod quote;
mod read;
mod replicas;
mod solve;
pub mod story;
mod wait;
pub mod words;

use std::fmt;
use std::sync::Arc;

use protocol::{ErrorCode, Str};

use crate::action::{Action, write_settings};
use crate::history::{Run, Stamped};
use crate::setup::Setup;
use quote::Duration;

pub use line::ScriptError;
pub(crate) use line::partition_of;
pub use play::{Failure, Mark, Played, Wrong};
pub use playing::Playing;
pub use query::Query;
pub use solve::Solved;
pub use story::Story;
pub use wait::{Happening, Wait};

/// A run as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The world before anything happens.
    pub setup: Setup,
    /// What happens, with the numbers of the lines that say so.
    pub steps: Vec<(usize, Step)>,
    /// What is told.
    pub story: Story,
}

/// A line of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Does something now. The script waits for what it asks of the admin.
    Do(Action),
    /// Does something that the cluster has to refuse, with this error code.
    Refused(ErrorCode, Action),
    /// Does something at a time of the virtual clock.
    At(Duration, Action),
    /// Does something after so many events: how a recorded run is written.
    After(Stamped),
    /// Lets so much time pass.
    Run(Duration),
    /// Lets time pass until something has come, but no longer than this.
    RunUntil(Awaited, Duration),
    /// Lets events happen up to this number.
    RunEvents(u64),
    /// Asks the world and compares.
    Expect(Query, Vec<Str>),
    /// Asks the world.
    Show(Query),
}

/// What a line waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// That it is so.
    So(Condition),
    /// That this happens.
    Next(Happening),
}

/// Something that is so at a moment, or is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// So many of a producer's records are acknowledged.
    Acked(Str, u64),
    /// So many of a producer's records have an outcome.
    Settled(Str, u64),
    /// A consumer was given so many records.
    Consumed(Str, u64),
    /// A wire client was given so many answers.
    Answered(Str, u64),
    /// A broker serves requests.
    Serving(Str),
    /// A process does not run.
    Down(Str),
    /// Every record of a producer has an outcome.
    Idle(Str),
    /// A consumer has read all that is acknowledged in a topic.
    CaughtUp(Str, Str),
    /// The world answers a question like this.
    Is(Query, Vec<Str>),
}

/// How long a script waits if it does not say.
pub const PATIENCE: Duration = Duration(60_000_000);

impl Scenario {
    /// A scenario that tells nothing.
    pub fn new(setup: Setup, steps: Vec<(usize, Step)>) -> Scenario {
        Scenario { setup, steps, story: Story::default() }
    }

    /// Reads a scenario.
    pub fn parse(text: &str) -> Result<Scenario, ScriptError> {
        read::scenario(text)
    }

    /// A recorded run as a scenario that plays it again, up to so many events.
    pub fn of(run: &Run, events: u64) -> Scenario {
        let actions = run.actions.iter().filter(|it| it.after <= events).cloned().map(Step::After);
        let steps = actions.chain([Step::RunEvents(events)]).enumerate();
        Scenario::new((*run.setup).clone(), steps.collect())
    }

    /// The setup, shared.
    pub fn shared_setup(&self) -> Arc<Setup> {
        Arc::new(self.setup.clone())
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let story = &self.story;
        for (word, text) in [("title", &story.title), ("question", &story.question)] {
            if !text.is_empty() {
                writeln!(f, "{word} {text}")?;
            }
        }
        if !story.views.is_empty() {
            writeln!(f, "views {}", story.views.join(" "))?;
        }
        write!(f, "{}", self.setup)?;
        let mut chapters = story.chapters.iter().peekable();
        for (line, step) in &self.steps {
            while let Some(chapter) = chapters.next_if(|it| it.line < *line) {
                write!(f, "{chapter}")?;
            }
            writeln!(f, "{step}")?;
        }
        chapters.try_for_each(|it| write!(f, "{it}"))?;
        story.knobs.iter().try_for_each(|it| write!(f, "{it}"))?;
        story.puzzle.iter().try_for_each(|it| write!(f, "{it}"))
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |range: (u64, u64)| format!("{}..{}", Duration(range.0), Duration(range.1));
        let usual = Setup::default();
        writeln!(f, "seed {}", self.seed)?;
        for (word, range, usual) in [
            ("network", range(self.network_us), range(usual.network_us)),
            ("disk", range(self.disk_us), range(usual.disk_us)),
            ("sync", range(self.sync_us), range(usual.sync_us)),
            ("timers", range(self.timers_us), range(usual.timers_us)),
        ] {
            if range != usual {
                writeln!(f, "{word} {range}")?;
            }
        }
        if self.codec {
            writeln!(f, "codec on")?;
        }
        if let Some(exhibit) = self.past {
            writeln!(f, "past {}", exhibit.word())?;
        }
        if !self.voters.is_empty() {
            let names: Vec<&str> = self.voters.iter().map(|it| &**it).collect();
            writeln!(f, "voters {}", names.join(" "))?;
        }
        for broker in &self.brokers {
            write!(f, "broker {}", broker.name)?;
            write_settings(f, &broker.settings)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Do(action) => action.fmt(f),
            Step::Refused(code, action) => write!(f, "refused {code} {action}"),
            Step::At(at, action) => write!(f, "at {at} {action}"),
            Step::After(it) => it.fmt(f),
            Step::Run(time) => write!(f, "run {time}"),
            Step::RunUntil(awaited, PATIENCE) => write!(f, "run until {awaited}"),
            Step::RunUntil(awaited, time) => write!(f, "run until {awaited} within {time}"),
            Step::RunEvents(events) => write!(f, "run to event {events}"),
            Step::Expect(query, words) => {
                write!(f, "expect {query} =")?;
                words.iter().try_for_each(|word| write!(f, " {}", quote::Quoted(word.as_bytes())))
            }
            Step::Show(query) => write!(f, "show {query}"),
        }
    }
}

/// As a line of a recorded run.
impl fmt::Display for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {}/{} {} {}", self.after, self.turns, Duration(self.at.0), self.action)
    }
}

impl Condition {
    /// Whom it is about, if it is about somebody.
    pub fn process(&self) -> Option<&Str> {
        match self {
            Condition::Is(..) => None,
            Condition::Acked(name, _)
            | Condition::Settled(name, _)
            | Condition::Consumed(name, _)
            | Condition::Answered(name, _)
            | Condition::Serving(name)
            | Condition::Down(name)
            | Condition::Idle(name)
            | Condition::CaughtUp(name, _) => Some(name),
        }
    }
}

impl From<Condition> for Awaited {
    fn from(condition: Condition) -> Awaited {
        Awaited::So(condition)
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Awaited::So(condition) => condition.fmt(f),
            Awaited::Next(happening) => write!(f, "next {}", happening.word()),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Acked(name, count) => write!(f, "acked {name} {count}"),
            Condition::Settled(name, count) => write!(f, "settled {name} {count}"),
            Condition::Consumed(name, count) => write!(f, "consumed {name} {count}"),
            Condition::Answered(name, count) => write!(f, "answered {name} {count}"),
            Condition::Serving(name) => write!(f, "serving {name}"),
            Condition::Down(name) => write!(f, "down {name}"),
            Condition::Idle(name) => write!(f, "idle {name}"),
            Condition::CaughtUp(name, topic) => write!(f, "caught-up {name} {topic}"),
            Condition::Is(query, words) => {
                write!(f, "{query} =")?;
                words.iter().try_for_each(|word| write!(f, " {}", quote::Quoted(word.as_bytes())))
            }
        }
    }
}
