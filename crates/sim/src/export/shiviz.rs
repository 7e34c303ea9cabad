//! A run as a log for ShiViz (bestchai.bitbucket.io/shiviz), with vector clocks made of the recorded causes.

use std::fmt::Write;

use ordered::Map;

use super::{on_one_line, seconds};
use crate::history::History;
use crate::narration::{Because, Heard};

/// How ShiViz is to read the rest; it takes that from the first line, and from the second what parts executions: there is one.
const HEAD: &str = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)";
/// Who acts on the run.
const PERSON: &str = "you";

/// How much of everybody's time an event knows of, by column.
type Clock = Vec<u32>;

/// The last so many events up to the moment that is looked at, with what was done among them.
pub fn shiviz(history: &History, most: u64) -> String {
    let mut history = history.clone();
    let (end, acted) = (history.world().events(), history.world().actions() as usize);
    let first = end.saturating_sub(most);
    let actions = history.run().actions;
    let lines: Vec<String> = actions.iter().map(|it| it.action.to_string()).collect();
    history.seek(first);
    let mut log = Log { text: format!("{HEAD}\n\n"), columns: Map::new(), names: Vec::new(), clocks: Vec::new() };
    // Clocks of events and of actions that are in the log, each list from the first of them on.
    let mut events: Vec<Clock> = Vec::new();
    let skipped = actions.iter().take(acted).filter(|it| it.after < first).count();
    let mut done: Vec<Clock> = Vec::new();
    for event in first + 1..=end + 1 {
        while let Some(stamped) = actions.get(skipped + done.len()).filter(|it| it.after < event)
            && skipped + done.len() < acted
        {
            let what = format!("{} s: {}", seconds(stamped.at.0), lines[skipped + done.len()]);
            done.push(log.tell(PERSON, None, &what));
        }
        if event > end || !history.step() {
            break;
        }
        let world = history.world();
        let last = world.last();
        let because = match last.because {
            Because::Event(cause) => cause.checked_sub(first + 1).and_then(|it| events.get(it as usize)),
            Because::Action(number) => (number as usize).checked_sub(skipped).and_then(|it| done.get(it)),
            // What an application asks for was asked of it: with the last line about it.
            Because::Itself if matches!(last.heard, Heard::Operation(..)) => {
                let name = &**world.name(last.process);
                let about = lines[skipped..][..done.len()].iter().rposition(|it| it.split(' ').any(|it| it == name));
                about.and_then(|it| done.get(it))
            }
            Because::Itself => None,
        };
        let what = format!("{} s: {}", seconds(last.at.0), world.narrate());
        events.push(log.tell(world.name(last.process), because, &what));
    }
    log.text
}

struct Log {
    text: String,
    /// Which column is whose.
    columns: Map<String, usize>,
    /// Names that a log's line can have.
    names: Vec<String>,
    clocks: Vec<Clock>,
}

impl Log {
    /// Writes an event down; its clock.
    fn tell(&mut self, host: &str, because: Option<&Clock>, what: &str) -> Clock {
        let column = self.column(host);
        let clock = &mut self.clocks[column];
        for (index, seen) in because.into_iter().flatten().enumerate() {
            clock.resize(clock.len().max(index + 1), 0);
            clock[index] = clock[index].max(*seen);
        }
        clock.resize(clock.len().max(column + 1), 0);
        clock[column] += 1;
        let clock = clock.clone();
        let known = clock.iter().zip(&self.names).filter(|it| *it.0 > 0);
        let known: Vec<String> = known.map(|(time, name)| format!("\"{name}\":{time}")).collect();
        // To a string nothing fails.
        let _ = writeln!(self.text, "{} {{{}}}\n{}", self.names[column], known.join(","), on_one_line(what));
        clock
    }

    fn column(&mut self, host: &str) -> usize {
        if let Some(column) = self.columns.get(host) {
            return *column;
        }
        let column = self.names.len();
        let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
        let name =
            if host.chars().all(is_plain) && !host.is_empty() { host.to_owned() } else { format!("process/{column}") };
        self.columns.insert(host.to_owned(), column);
        self.names.push(name);
        self.clocks.push(Clock::new());
        column
    }
}
