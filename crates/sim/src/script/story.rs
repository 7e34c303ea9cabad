//! What a scenario tells its reader: chapters, bets, variations of the run and a puzzle. Nothing of it changes what happens.

use std::fmt;

use protocol::Str;

use super::{Condition, Step};
use crate::action::{Action, write_settings};
use crate::script::Scenario;
use crate::setup::Setting;

/// What a scenario tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// Its name; empty if it has none.
    pub title: String,
    /// What the reader is asked; empty if nothing is.
    pub question: String,
    /// What a reader needs to see of it besides the cluster, its logs and its groups: of [`VIEWS`](super::words::VIEWS).
    pub views: Vec<&'static str>,
    /// In order.
    pub chapters: Vec<Chapter>,
    /// The same run with another setting.
    pub knobs: Vec<Knob>,
    /// What the reader is to bring about.
    pub puzzle: Option<Puzzle>,
}

/// A moment that is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chapter {
    /// The number of the line that tells it: it is about what the lines before have done.
    pub line: usize,
    /// What is told; empty if there is a bet alone.
    pub text: String,
    /// The chapter whose bet it shows beside what happened.
    pub reveals: Option<usize>,
    /// What the reader bets on before the telling goes on.
    pub bet: Option<Bet>,
}

/// A question with answers of which one is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bet {
    /// What is asked.
    pub question: String,
    /// Two to four.
    pub answers: Vec<String>,
    /// Which of them is right, from 0.
    pub right: usize,
}

/// The whole run again, with a setting changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knob {
    /// The number of its line.
    pub line: usize,
    /// What is changed.
    pub turn: Turn,
    /// What is told at its end.
    pub text: String,
    /// What is done and expected after the run's last line.
    pub steps: Vec<(usize, Step)>,
}

/// What a knob changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Settings of whoever has this name, or one of these, with commas between; of all of the kind if it is `*`.
    Settings(Whose, Str, Vec<Setting>),
    /// Today's rules instead of those of the past.
    Today,
}

/// Whose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A producer's.
    Producer,
    /// A consumer's.
    Consumer,
    /// A topic's.
    Topic,
    /// A broker's.
    Broker,
}

/// What the reader is to bring about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Puzzle {
    /// The number of its line.
    pub line: usize,
    /// What is asked for.
    pub text: String,
    /// The chapter, from 0, at whose moment the reader starts.
    pub from: usize,
    /// What has to hold, all at one moment.
    pub goals: Vec<Condition>,
    /// What helps, one after the other.
    pub hints: Vec<String>,
    /// What does it.
    pub solution: Vec<(usize, Step)>,
}

impl Whose {
    /// All of them.
    pub const ALL: [Whose; 4] = [Whose::Producer, Whose::Consumer, Whose::Topic, Whose::Broker];

    /// As a line names it.
    pub fn word(self) -> &'static str {
        match self {
            Whose::Producer => "producer",
            Whose::Consumer => "consumer",
            Whose::Topic => "topic",
            Whose::Broker => "broker",
        }
    }
}

/// All of a kind.
pub(super) const ALL: &str = "*";

impl Scenario {
    /// The run that a knob makes of this one: another setting, the expectations left out that are the run's own, and then what the
    /// knob's lines say. Nothing if there is no such knob.
    pub fn variation(&self, number: usize) -> Option<Scenario> {
        let knob = self.story.knobs.get(number)?;
        let mut varied = self.clone();
        varied.story = Story::default();
        varied.steps.retain(|it| !matches!(it.1, Step::Expect(..)));
        match &knob.turn {
            Turn::Today => varied.setup.past = None,
            Turn::Settings(whose, name, settings) => {
                varied.each(*whose, name, &mut |old| old.change(settings));
            }
        }
        varied.steps.extend(knob.steps.iter().cloned());
        Some(varied)
    }

    /// True if somebody of this kind has this name.
    pub(super) fn names(&self, whose: Whose, name: &str) -> bool {
        name.split(',').all(|name| {
            let mut found = false;
            self.clone().each(whose, name, &mut |_| found = true);
            found
        })
    }

    /// Everybody of a kind and a name.
    fn each(&mut self, whose: Whose, name: &str, change: &mut dyn FnMut(Old<'_>)) {
        let is = |it: &Str| name == ALL || name.split(',').any(|name| **it == *name);
        if whose == Whose::Broker {
            for it in self.setup.brokers.iter_mut().filter(|it| is(&it.name)) {
                change(Old::Settings(&mut it.settings));
            }
            return;
        }
        for (_, step) in &mut self.steps {
            let (Step::Do(action) | Step::At(_, action)) = step else { continue };
            match (whose, action) {
                (Whose::Producer, Action::Producer(its, settings))
                | (Whose::Consumer, Action::Consumer(its, settings))
                    if is(&*its) =>
                {
                    change(Old::Settings(settings));
                }
                (Whose::Topic, Action::CreateTopic(topic)) if is(&topic.name) => change(Old::Topic(topic)),
                _ => {}
            }
        }
    }
}

/// Settings that a knob changes.
enum Old<'a> {
    Settings(&'a mut Vec<Setting>),
    Topic(&'a mut crate::action::CreateTopic),
}

impl Old<'_> {
    fn change(self, settings: &[Setting]) {
        match self {
            Old::Settings(old) => settings.iter().for_each(|it| put(old, it)),
            Old::Topic(topic) => {
                if settings.iter().any(|it| &*it.0 == "replicas") {
                    topic.replicas.clear();
                }
                for (key, value) in settings {
                    // The parser has seen to it that these are numbers.
                    match &**key {
                        "partitions" => topic.partitions = value.parse().unwrap_or(topic.partitions),
                        "replication" => topic.replication = value.parse().ok(),
                        "replicas" => {
                            topic.replicas.push(value.split(',').map(Str::from).collect());
                            topic.partitions = topic.replicas.len() as i32;
                        }
                        _ => put(&mut topic.settings, &(key.clone(), value.clone())),
                    }
                }
            }
        }
    }
}

/// Changes a setting, or adds it.
fn put(settings: &mut Vec<Setting>, new: &Setting) {
    match settings.iter_mut().find(|it| it.0 == new.0) {
        Some(old) => old.1 = new.1.clone(),
        None => settings.push(new.clone()),
    }
}

impl fmt::Display for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.text.is_empty() {
            let word = if self.reveals.is_some() { "reveal" } else { "say" };
            writeln!(f, "{word} {}", self.text)?;
        }
        let Some(bet) = &self.bet else { return Ok(()) };
        writeln!(f, "bet {}", bet.question)?;
        for (index, answer) in bet.answers.iter().enumerate() {
            let word = if index == bet.right { "right" } else { "wrong" };
            writeln!(f, "{word} {answer}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Turn::Today => f.write_str("past off"),
            Turn::Settings(whose, name, settings) => {
                write!(f, "{} {name}", whose.word())?;
                write_settings(f, settings)
            }
        }
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "knob {}", self.turn)?;
        if !self.text.is_empty() {
            writeln!(f, "say {}", self.text)?;
        }
        self.steps.iter().try_for_each(|(_, step)| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Puzzle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "puzzle {}\nfrom {}", self.text, self.from + 1)?;
        self.goals.iter().try_for_each(|it| writeln!(f, "goal {it}"))?;
        self.hints.iter().try_for_each(|it| writeln!(f, "hint {it}"))?;
        self.solution.iter().try_for_each(|it| writeln!(f, "solve {}", it.1))
    }
}
