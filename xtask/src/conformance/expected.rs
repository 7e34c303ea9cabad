//! What is expected of each test of a suite, as tests/conformance/*.txt says it: a line a test, its result on Apache
//! Kafka, its result on our broker, and, where that is no pass, the reason.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Pass,
    Fail,
    Skip,
}

impl Outcome {
    fn parse(word: &str) -> Option<Outcome> {
        [Outcome::Pass, Outcome::Fail, Outcome::Skip].into_iter().find(|it| it.to_string() == word)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Skip => "skip",
        })
    }
}

/// Who is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Kafka,
    Vivarium,
}

/// What is known of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    kafka: Option<Outcome>,
    vivarium: Option<Outcome>,
    /// Why it does not pass on our broker.
    pub(super) reason: String,
}

impl Line {
    /// What is expected on a side.
    pub(super) fn on(&self, side: Side) -> Option<Outcome> {
        match side {
            Side::Kafka => self.kafka,
            Side::Vivarium => self.vivarium,
        }
    }
}

/// The file of a suite.
pub(super) struct Expected {
    file: PathBuf,
    /// The comment at its top.
    head: String,
    lines: BTreeMap<String, Line>,
}

impl Expected {
    pub(super) fn read(file: &Path) -> Result<Expected> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        Expected::parse(file, &text)
    }

    fn parse(file: &Path, text: &str) -> Result<Expected> {
        let head = text.lines().take_while(|it| it.starts_with('#')).map(|it| format!("{it}\n")).collect();
        let mut lines = BTreeMap::new();
        for (index, text) in text.lines().enumerate().filter(|(_, it)| !it.is_empty() && !it.starts_with('#')) {
            let at = || format!("{}:{}", file.display(), index + 1);
            let mut words = text.split_whitespace();
            let name = words.next().unwrap_or_default().to_owned();
            let mut outcome = || match words.next() {
                Some("-") => Ok(None),
                Some(word) => Outcome::parse(word).map(Some).with_context(|| format!("{word} is no result")),
                None => bail!("a result is missing"),
            };
            let (kafka, vivarium) = (outcome().with_context(at)?, outcome().with_context(at)?);
            let reason = words.collect::<Vec<_>>().join(" ");
            let explained = matches!(vivarium, None | Some(Outcome::Pass)) || !reason.is_empty();
            ensure!(explained, "{}: {name} does not pass on our broker: the line must say why", at());
            let twice = lines.insert(name, Line { kafka, vivarium, reason });
            ensure!(twice.is_none(), "{}: this test is there twice", at());
        }
        Ok(Expected { file: file.to_path_buf(), head, lines })
    }

    pub(super) fn of(&self, test: &str) -> Option<&Line> {
        self.lines.get(test)
    }

    /// Names that the suite does not have any more.
    pub(super) fn gone<'a>(&'a self, tests: &'a [String]) -> impl Iterator<Item = &'a str> {
        self.lines.keys().map(String::as_str).filter(|it| !tests.iter().any(|test| test == it))
    }

    /// Notes what was seen. A reason that a person wrote stays as long as it is needed; else what the test itself said
    /// stands there until somebody knows better.
    pub(super) fn record(&mut self, side: Side, test: &str, seen: Outcome, said: &str) {
        let line = self.lines.entry(test.to_owned()).or_default();
        match side {
            Side::Kafka => line.kafka = Some(seen),
            Side::Vivarium => line.vivarium = Some(seen),
        }
        if line.vivarium == Some(Outcome::Pass) && side == Side::Vivarium {
            line.reason.clear();
        } else if line.reason.is_empty() && seen != Outcome::Pass {
            line.reason = said.split_whitespace().collect::<Vec<_>>().join(" ");
        }
    }

    pub(super) fn write(&self) -> Result<()> {
        fs::write(&self.file, self.to_string()).with_context(|| format!("write {}", self.file.display()))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        let width = self.lines.keys().map(String::len).max().unwrap_or_default();
        for (name, line) in &self.lines {
            let word = |it: Option<Outcome>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
            let text = format!("{name:width$} {:4} {:4} {}", word(line.kafka), word(line.vivarium), line.reason);
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expected> {
        Expected::parse(Path::new("list.txt"), text)
    }

    #[test]
    fn keeps_what_it_reads() {
        let text = "# head\nalpha pass pass\nbeta  pass fail a group: FindCoordinator\ngamma -    skip local\n";
        let expected = parse(text).unwrap();
        assert_eq!(expected.to_string(), text);
        let beta = expected.of("beta").unwrap();
        assert_eq!((beta.on(Side::Kafka), beta.on(Side::Vivarium)), (Some(Outcome::Pass), Some(Outcome::Fail)));
        assert_eq!(beta.reason, "a group: FindCoordinator");
        assert_eq!(expected.gone(&["alpha".to_owned(), "beta".to_owned()]).collect::<Vec<_>>(), ["gamma"]);
    }

    #[test]
    fn refuses_what_it_can_not_stand_for() {
        let refused = |text: &str| format!("{:#}", parse(text).err().unwrap());
        assert_eq!(refused("a pass fail\n"), "list.txt:1: a does not pass on our broker: the line must say why");
        assert_eq!(refused("a pass pass\na pass pass\n"), "list.txt:2: this test is there twice");
        assert_eq!(refused("\na perhaps pass\n"), "list.txt:2: perhaps is no result");
        assert_eq!(refused("a pass\n"), "list.txt:1: a result is missing");
    }

    #[test]
    fn records_beside_what_is_known() {
        let mut expected = parse("a pass fail a group\n").unwrap();
        expected.record(Side::Vivarium, "a", Outcome::Fail, "timed out");
        expected.record(Side::Kafka, "b", Outcome::Skip, "needs a mock");
        assert_eq!(expected.to_string(), "a pass fail a group\nb skip -    needs a mock\n");
        expected.record(Side::Vivarium, "a", Outcome::Pass, "");
        assert_eq!(expected.of("a"), parse("a pass pass\n").unwrap().of("a"));
    }
}
