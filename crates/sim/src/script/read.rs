//! A scenario's text, line by line: what it sets up, does and tells, in this order.

use super::line::{Line, ScriptError};
use super::parse;
use super::story::{ALL, Bet, Chapter, Knob, Puzzle, Turn, Whose};
use super::words::{HEAD, SETUP, VIEWS, listed};
use super::{Scenario, Step};
use crate::setup::Setup;

/// Knobs at most: each is a run of its own, and looked up in all lines of the first.
const KNOBS: usize = 100;

/// How far the reading has come: each part follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Head,
    Setup,
    Run,
    Knobs,
    Puzzle,
}

/// A bet whose answers are being read.
struct Asked {
    line: usize,
    question: String,
    answers: Vec<String>,
    right: Option<usize>,
}

/// What was read so far.
struct Reader {
    scenario: Scenario,
    part: Part,
    /// The last line, comments aside, told something: what the next one tells may belong to it.
    tells: bool,
    asked: Option<Asked>,
    /// The chapter whose bet waits to be revealed.
    open: Option<usize>,
    /// Where the puzzle names its chapter.
    from: Option<Line>,
}

/// Reads a scenario.
pub(super) fn scenario(text: &str) -> Result<Scenario, ScriptError> {
    let scenario = Scenario::new(Setup::default(), Vec::new());
    let mut reader = Reader { scenario, part: Part::Head, tells: false, asked: None, open: None, from: None };
    for (index, text) in text.lines().enumerate() {
        reader.read(index + 1, text)?;
    }
    reader.finish()
}

/// A word at the beginning of a line, its column, and the rest of the line as it stands.
struct Told<'a> {
    line: usize,
    column: usize,
    word: &'a str,
    text: &'a str,
    /// Where the text begins.
    at: usize,
}

impl Told<'_> {
    fn error(&self, expected: &str) -> ScriptError {
        wrong(self.line, self.column, expected, &format!("\"{}\"", self.word))
    }

    /// The text, of which there has to be some.
    fn text(&self) -> Result<String, ScriptError> {
        if self.text.is_empty() {
            return Err(wrong(self.line, self.at, "text", "the end of the line"));
        }
        Ok(self.text.to_owned())
    }
}

fn wrong(line: usize, column: usize, expected: &str, found: &str) -> ScriptError {
    ScriptError { line, column, expected: expected.to_owned(), found: found.to_owned() }
}

impl Reader {
    fn read(&mut self, number: usize, text: &str) -> Result<(), ScriptError> {
        let trimmed = text.trim_start();
        let column = text.chars().count() - trimmed.chars().count() + 1;
        let (word, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed.trim_end(), ""));
        let at = column + word.chars().count() + 1;
        let told = Told { line: number, column, word, text: rest.trim(), at };
        match word {
            "title" | "question" | "views" => self.head(&told),
            "wrong" | "right" => self.answer(&told),
            "say" | "bet" | "reveal" => {
                self.close()?;
                self.tell(&told)
            }
            "puzzle" | "hint" => {
                self.close()?;
                self.puzzle(&told)
            }
            _ => {
                let line = Line::split(number, text)?;
                if line.is_empty() {
                    return Ok(());
                }
                self.close()?;
                self.tells = false;
                self.words(number, line)
            }
        }
    }

    /// `title`, `question` and `views`.
    fn head(&mut self, told: &Told<'_>) -> Result<(), ScriptError> {
        if self.part != Part::Head {
            return Err(told.error(&format!("{} before anything else", listed(&HEAD))));
        }
        let story = &mut self.scenario.story;
        if told.word == "title" {
            if !story.title.is_empty() {
                return Err(told.error("one title"));
            }
            story.title = told.text()?;
        } else if told.word == "views" {
            for word in told.text()?.split_whitespace() {
                let Some(view) = VIEWS.into_iter().find(|it| *it == word) else {
                    return Err(wrong(told.line, told.at, &listed(&VIEWS), &format!("\"{word}\"")));
                };
                story.views.push(view);
            }
        } else {
            join(&mut story.question, &told.text()?);
        }
        Ok(())
    }

    /// `say`, `bet` and `reveal`.
    fn tell(&mut self, told: &Told<'_>) -> Result<(), ScriptError> {
        let text = told.text()?;
        if self.part > Part::Run {
            let last = self.scenario.story.knobs.last_mut().filter(|_| self.part == Part::Knobs && told.word == "say");
            let Some(knob) = last else {
                return Err(told.error(if self.part == Part::Knobs {
                    "say, an action, run, expect, show, knob or puzzle"
                } else {
                    "from, goal, hint or solve"
                }));
            };
            join(&mut knob.text, &text);
            return Ok(());
        }
        self.part = Part::Run;
        let tells = std::mem::replace(&mut self.tells, true);
        let chapters = &mut self.scenario.story.chapters;
        let last = chapters.last_mut().filter(|it| tells && it.bet.is_none());
        match (told.word, last) {
            ("bet", last) => {
                if self.open.is_some() {
                    return Err(told.error("a reveal of the bet before"));
                }
                if last.is_none() {
                    chapters.push(Chapter { line: told.line, ..Chapter::default() });
                }
                self.open = chapters.len().checked_sub(1);
                let asked = Asked { line: told.line, question: text, answers: Vec::new(), right: None };
                self.asked = Some(asked);
            }
            ("say", Some(last)) => join(&mut last.text, &text),
            ("reveal", Some(last)) if last.reveals.is_some() && self.open.is_none() => join(&mut last.text, &text),
            ("reveal", _) => {
                let reveals = Some(self.open.take().ok_or_else(|| told.error("a bet before its reveal"))?);
                chapters.push(Chapter { line: told.line, text, reveals, bet: None });
            }
            _ => chapters.push(Chapter { line: told.line, text, ..Chapter::default() }),
        }
        Ok(())
    }

    /// `wrong` and `right`.
    fn answer(&mut self, told: &Told<'_>) -> Result<(), ScriptError> {
        let Some(asked) = &mut self.asked else { return Err(told.error("a bet before its answers")) };
        if asked.answers.len() == 4 {
            return Err(told.error("four answers at most"));
        }
        if told.word == "right" && asked.right.replace(asked.answers.len()).is_some() {
            return Err(told.error("one right answer"));
        }
        asked.answers.push(told.text()?);
        Ok(())
    }

    /// All answers of a bet are there.
    fn close(&mut self) -> Result<(), ScriptError> {
        let Some(Asked { line, question, answers, right }) = self.asked.take() else { return Ok(()) };
        let Some(right) = right.filter(|_| answers.len() >= 2) else {
            let found = if answers.len() < 2 { format!("{}", answers.len()) } else { "none that is right".to_owned() };
            return Err(wrong(line, 1, "a bet with two to four answers, of which one is right", &found));
        };
        if let Some(chapter) = self.scenario.story.chapters.last_mut() {
            chapter.bet = Some(Bet { question, answers, right });
        }
        Ok(())
    }

    /// `puzzle` and `hint`.
    fn puzzle(&mut self, told: &Told<'_>) -> Result<(), ScriptError> {
        let text = told.text()?;
        let puzzle = &mut self.scenario.story.puzzle;
        match (told.word, puzzle) {
            ("puzzle", puzzle @ None) => {
                self.part = Part::Puzzle;
                *puzzle = Some(Puzzle { line: told.line, text, ..Puzzle::default() });
            }
            ("puzzle", Some(_)) => return Err(told.error("one puzzle")),
            (_, Some(puzzle)) => puzzle.hints.push(text),
            (_, None) => return Err(told.error("a puzzle before it")),
        }
        Ok(())
    }

    /// A line that is made of words.
    fn words(&mut self, number: usize, mut line: Line) -> Result<(), ScriptError> {
        let whole = line.clone();
        if let Some(puzzle) = &mut self.scenario.story.puzzle {
            if line.eat("from") {
                let from: usize = line.number("a chapter's number, from 1")?;
                puzzle.from = from.wrapping_sub(1);
                self.from = Some(whole);
            } else if line.eat("goal") {
                // All goals hold at one moment.
                puzzle.goals.push(parse::goal(&mut line)?);
            } else if line.eat("solve") {
                let step = parse::step(&mut line)?;
                if !matches!(step, Step::Do(_) | Step::Run(_) | Step::RunUntil(..)) {
                    return Err(whole.error("solve with an action or run"));
                }
                puzzle.solution.push((number, step));
            } else {
                return Err(line.error("from, goal, hint or solve"));
            }
            return line.finish();
        }
        if line.eat("knob") {
            if self.scenario.story.knobs.len() == KNOBS {
                return Err(whole.error("fewer knobs"));
            }
            let turn = self.turn(&mut line)?;
            line.finish()?;
            self.part = Part::Knobs;
            self.scenario.story.knobs.push(Knob { line: number, turn, text: String::new(), steps: Vec::new() });
            return Ok(());
        }
        for word in ["from", "goal", "solve"] {
            if line.eat(word) {
                return Err(whole.error("a puzzle before it"));
            }
        }
        if parse::set_up(&mut line, &mut self.scenario.setup)? {
            if self.part > Part::Setup {
                let (last, first) = SETUP.split_last().map_or(("", &[][..]), |it| (*it.0, it.1));
                let expected = format!("an action; {} and {last} come before the first one", listed(first));
                return Err(whole.error(&expected));
            }
            self.part = Part::Setup;
            return line.finish();
        }
        let step = (number, parse::step(&mut line)?);
        match self.scenario.story.knobs.last_mut() {
            Some(knob) => knob.steps.push(step),
            None => {
                self.part = Part::Run;
                self.scenario.steps.push(step);
            }
        }
        line.finish()
    }

    /// What a knob changes.
    fn turn(&self, line: &mut Line) -> Result<Turn, ScriptError> {
        if self.scenario.setup.past.is_some() && line.eat("past") {
            line.need("off")?;
            return Ok(Turn::Today);
        }
        let Some(whose) = Whose::ALL.into_iter().find(|it| line.eat(it.word())) else {
            return Err(line.error(&format!(
                "{}, or past off where the run is of the past",
                listed(&Whose::ALL.map(Whose::word))
            )));
        };
        let there = line.clone();
        let name = line.name("a name, or *")?;
        if !self.scenario.names(whose, &name) {
            let all = if *name == *ALL { "" } else { " of this run, or *" };
            return Err(there.error(&format!("a {}{all}", whose.word())));
        }
        if line.is_empty() {
            return Err(line.error("key=value"));
        }
        let mut settings = Vec::new();
        while let Some((column, key, value)) = line.pair() {
            if whose == Whose::Topic && (key == "partitions" || key == "replication") {
                let _: i16 = line.in_pair(column, &value, "a number")?;
            }
            let value: String = line.in_pair(column, &value, "text")?;
            settings.push((key.into(), value.into()));
        }
        Ok(Turn::Settings(whose, name, settings))
    }

    fn finish(mut self) -> Result<Scenario, ScriptError> {
        self.close()?;
        let story = &self.scenario.story;
        if let Some(chapter) = self.open.and_then(|it| story.chapters.get(it)) {
            return Err(wrong(chapter.line, 1, "a reveal after the bet of this chapter", "none"));
        }
        if let Some(puzzle) = &story.puzzle {
            let Some(from) = self.from else {
                return Err(wrong(puzzle.line, 1, "from and a chapter's number after the puzzle", "none"));
            };
            if puzzle.from >= story.chapters.len() {
                return Err(from.error(&format!("from 1 to {}", story.chapters.len())));
            }
            if puzzle.goals.is_empty() || puzzle.solution.is_empty() {
                return Err(wrong(puzzle.line, 1, "a goal and a solve line after the puzzle", "none"));
            }
        }
        Ok(self.scenario)
    }
}

/// Adds a line to a text.
fn join(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}
