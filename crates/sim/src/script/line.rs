//! A line of a scenario as words, each with its column; errors say where and what was expected.

use std::fmt;

use bytes::Bytes;
use protocol::{ApiKey, ErrorCode, Str, TopicPartition};

use super::quote::Duration;
use super::words::QUESTIONS;
use crate::action::MessageId;

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Counted in characters from 1.
    pub(super) column: usize,
    /// What stands before an `=` inside the word.
    pub(super) key: Option<String>,
    pub(super) value: Vec<u8>,
}

impl Word {
    /// As it was written, quotes aside.
    fn text(self) -> Str {
        let value = String::from_utf8_lossy(&self.value).into_owned();
        Str::from(self.key.map_or(value.clone(), |key| format!("{key}={value}")))
    }
}

/// What is wrong with a scenario's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Counted from 1.
    pub line: usize,
    /// Counted in characters from 1.
    pub column: usize,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: expected {}, found {}", self.line, self.column, self.expected, self.found)
    }
}

impl std::error::Error for ScriptError {}

/// The words of a line, taken one by one.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    words: std::collections::VecDeque<Word>,
    /// One past the last character.
    end: usize,
}

impl Line {
    pub(super) fn split(number: usize, text: &str) -> Result<Line, ScriptError> {
        let mut chars = text.chars().enumerate().peekable();
        let mut words = std::collections::VecDeque::new();
        while let Some((index, first)) = chars.peek().copied() {
            if first == '#' {
                break;
            }
            if first.is_whitespace() {
                chars.next();
                continue;
            }
            let mut word = Word { column: index + 1, key: None, value: Vec::new() };
            while let Some((index, c)) = chars.peek().copied() {
                if c.is_whitespace() {
                    break;
                }
                chars.next();
                match c {
                    '"' => quoted(number, index, &mut chars, &mut word.value)?,
                    '=' if word.key.is_none() && !word.value.is_empty() => {
                        let key = std::mem::take(&mut word.value);
                        word.key = Some(String::from_utf8_lossy(&key).into_owned());
                    }
                    c => word.value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            words.push_back(word);
        }
        Ok(Line { number, words, end: text.chars().count() + 1 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// An error at the next word, or at the end.
    pub(super) fn error(&self, expected: &str) -> ScriptError {
        match self.words.front() {
            Some(word) => self.error_at(word, expected),
            None => self.fail(self.end, expected, "the end of the line"),
        }
    }

    fn error_at(&self, word: &Word, expected: &str) -> ScriptError {
        let value = String::from_utf8_lossy(&word.value);
        let found = word.key.as_ref().map_or(format!("\"{value}\""), |key| format!("\"{key}={value}\""));
        self.fail(word.column, expected, &found)
    }

    fn fail(&self, column: usize, expected: &str, found: &str) -> ScriptError {
        ScriptError { line: self.number, column, expected: expected.to_owned(), found: found.to_owned() }
    }

    /// The next word if it is this one.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let is = self.words.front().is_some_and(|word| word.key.is_none() && word.value == text.as_bytes());
        if is {
            self.words.pop_front();
        }
        is
    }

    pub(super) fn need(&mut self, text: &str) -> Result<(), ScriptError> {
        if self.eat(text) { Ok(()) } else { Err(self.error(&format!("\"{text}\""))) }
    }

    /// The next word, which is no `key=value`.
    fn take(&mut self, expected: &str) -> Result<Word, ScriptError> {
        match self.words.pop_front_if(|word| word.key.is_none()) {
            Some(word) => Ok(word),
            None => Err(self.error(expected)),
        }
    }

    fn converted<T>(&mut self, expected: &str, convert: impl Fn(&str) -> Option<T>) -> Result<T, ScriptError> {
        let word = self.take(expected)?;
        std::str::from_utf8(&word.value).ok().and_then(convert).ok_or_else(|| self.error_at(&word, expected))
    }

    pub(super) fn name(&mut self, expected: &str) -> Result<Str, ScriptError> {
        self.converted(expected, |text| (!text.is_empty()).then(|| Str::from(text)))
    }

    /// An error by its name.
    pub(super) fn error_code(&mut self) -> Result<ErrorCode, ScriptError> {
        self.converted("an error code such as TOPIC_ALREADY_EXISTS", |text| {
            let mut errors = (-1..=i16::MAX).filter(|it| *it != 0).map(ErrorCode::from_code);
            errors.find(|it| it.name() == text)
        })
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self, expected: &str) -> Result<T, ScriptError> {
        self.converted(expected, |text| text.parse().ok())
    }

    pub(super) fn duration(&mut self) -> Result<Duration, ScriptError> {
        self.converted("a duration such as 1.5s, 20ms or 300us", Duration::parse)
    }

    pub(super) fn range(&mut self) -> Result<(u64, u64), ScriptError> {
        self.converted("a range of durations such as 200us..1ms", |text| {
            let (low, high) = text.split_once("..")?;
            let (low, high) = (Duration::parse(low)?.0, Duration::parse(high)?.0);
            (low <= high).then_some((low, high))
        })
    }

    pub(super) fn moment(&mut self) -> Result<(u64, u64), ScriptError> {
        self.converted("events and turns such as 120/345", |text| {
            let (events, turns) = text.split_once('/')?;
            Some((events.parse().ok()?, turns.parse().ok()?))
        })
    }

    pub(super) fn message(&mut self) -> Result<MessageId, ScriptError> {
        self.converted("a message such as 3/12/answer", MessageId::parse)
    }

    pub(super) fn partition(&mut self) -> Result<TopicPartition, ScriptError> {
        self.converted("a partition such as orders-0", partition_of)
    }

    pub(super) fn api(&mut self) -> Result<ApiKey, ScriptError> {
        self.converted("an API's name such as Produce", |text| {
            (0..=i16::from(u8::MAX)).filter_map(|key| ApiKey::try_from(key).ok()).find(|api| api.name() == text)
        })
    }

    /// The next `key=value`, if one follows.
    pub(super) fn pair(&mut self) -> Option<(usize, String, Bytes)> {
        let word = self.words.pop_front_if(|word| word.key.is_some())?;
        Some((word.column, word.key.unwrap_or_default(), word.value.into()))
    }

    /// All `key=value` that follow, as settings.
    pub(super) fn settings(&mut self) -> Result<Vec<(Str, Str)>, ScriptError> {
        let mut settings = Vec::new();
        while let Some((column, key, value)) = self.pair() {
            let value = Str::from_utf8(value).map_err(|_| self.fail(column, "text", "bytes that are no UTF-8"))?;
            settings.push((Str::from(key), value));
        }
        Ok(settings)
    }

    /// A value that stands in a pair.
    pub(super) fn in_pair<T: std::str::FromStr>(
        &self,
        column: usize,
        value: &Bytes,
        expected: &str,
    ) -> Result<T, ScriptError> {
        let text = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        text.ok_or_else(|| self.wrong_value(column, value, expected))
    }

    /// A value in a pair that may not stand there.
    pub(super) fn wrong_value(&self, column: usize, value: &[u8], expected: &str) -> ScriptError {
        self.fail(column, expected, &format!("\"{}\"", String::from_utf8_lossy(value)))
    }

    pub(super) fn unknown_key(&self, column: usize, key: &str, expected: &str) -> ScriptError {
        self.fail(column, expected, &format!("\"{key}=\""))
    }

    /// The rest as words, keys and all.
    pub(super) fn rest(&mut self) -> Vec<Str> {
        std::mem::take(&mut self.words).into_iter().map(Word::text).collect()
    }

    /// True if the next word begins a question.
    pub(super) fn is_query(&self) -> bool {
        self.words
            .front()
            .is_some_and(|it| it.key.is_none() && QUESTIONS.iter().any(|word| it.value == word.as_bytes()))
    }

    /// The words up to one that ends them, or to the end of the line.
    pub(super) fn words_before(&mut self, end: &str) -> Vec<Str> {
        let mut words = Vec::new();
        while let Some(word) = self.words.pop_front_if(|it| it.key.is_some() || it.value != end.as_bytes()) {
            words.push(word.text());
        }
        words
    }

    pub(super) fn finish(&self) -> Result<(), ScriptError> {
        if self.is_empty() { Ok(()) } else { Err(self.error("the end of the line")) }
    }
}

/// Reads `topic-partition`.
pub(crate) fn partition_of(text: &str) -> Option<TopicPartition> {
    let (topic, partition) = text.rsplit_once('-')?;
    let partition = partition.parse().ok().filter(|it| *it >= 0)?;
    (!topic.is_empty()).then(|| TopicPartition { topic: Str::from(topic), partition })
}

/// What stands between quotes; the first is read already.
fn quoted(
    line: usize,
    start: usize,
    chars: &mut std::iter::Peekable<impl Iterator<Item = (usize, char)>>,
    out: &mut Vec<u8>,
) -> Result<(), ScriptError> {
    let error = |column: usize, expected: &str, found: &str| ScriptError {
        line,
        column: column + 1,
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok(()),
            '\\' => {
                match chars.next().map(|it| it.1) {
                    Some('n') => out.push(b'\n'),
                    Some(c @ ('"' | '\\')) => out.push(c as u8),
                    Some('x') => {
                        let digits: String = chars.by_ref().take(2).map(|it| it.1).collect();
                        let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2);
                        out.push(byte.ok_or_else(|| {
                            error(index, "\\x and two hexadecimal digits", &format!("\"\\x{digits}\""))
                        })?);
                    }
                    other => {
                        let found = other.map_or("the end of the line".to_owned(), |c| format!("\"\\{c}\""));
                        return Err(error(index, "\\\", \\\\, \\n or \\xNN", &found));
                    }
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(error(start, "a closing quote", "the end of the line"))
}
