//! Flags of our own commands: `--name value`, `--name=value`, `--switch`, and what is left over.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Result, bail};

/// A command line that is taken apart flag by flag; [`Args::rest`] refuses what nobody took.
pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn new(args: &[String]) -> Args {
        Args(args.to_vec())
    }

    /// Takes `--name` if it is there.
    pub(crate) fn switch(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|it| it != name);
        self.0.len() != before
    }

    /// Takes `--name value` or `--name=value`.
    pub(crate) fn value<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> Result<T> {
        let Some(at) = self.0.iter().position(|it| it == name || it.starts_with(&format!("{name}="))) else {
            return Ok(default);
        };
        let flag = self.0.remove(at);
        let text = match flag.split_once('=') {
            Some((_, value)) => value.to_owned(),
            None if at < self.0.len() => self.0.remove(at),
            None => bail!("{name} needs a value"),
        };
        text.parse().map_err(|error| anyhow::anyhow!("{name} {text}: {error}"))
    }

    /// What is left: plain words only.
    pub(crate) fn rest(self) -> Result<Vec<String>> {
        match self.0.iter().find(|it| it.starts_with('-')) {
            Some(flag) => bail!("unknown flag {flag}; `cargo xtask help` lists what there is"),
            None => Ok(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn takes_flags_in_both_spellings() {
        let mut it = args("--port 81 --kafka-port=92 --no-open e2e");
        assert_eq!(it.value("--port", 8080u16).unwrap(), 81);
        assert_eq!(it.value("--kafka-port", 9092u16).unwrap(), 92);
        assert_eq!(it.value("--absent", 7u16).unwrap(), 7);
        assert!(it.switch("--no-open"));
        assert_eq!(it.rest().unwrap(), ["e2e"]);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(
            args("--prot 1").rest().unwrap_err().to_string(),
            "unknown flag --prot; `cargo xtask help` lists what there is"
        );
        assert!(args("--port").value("--port", 1u16).is_err());
        assert!(args("--port 70000").value("--port", 1u16).is_err());
    }
}
