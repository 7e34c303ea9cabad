//! Arguments as Kafka's tools take them: `--name value`, `--name=value`, no abbreviations, leftovers ignored.

use super::KAFKA_VERSION;

/// An option that a tool knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt {
    pub(super) name: &'static str,
    pub(super) value: Value,
    /// What it does, for the usage.
    pub(super) about: &'static str,
}

/// Whether an option has a value, and what it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// None.
    No,
    /// Any text.
    Text,
    /// Text that may be left out.
    Maybe,
    /// An integer of 32 bits.
    Int,
    /// An integer of 64 bits.
    Long,
}

/// What was on the command line, in order.
#[derive(Clone, Debug)]
pub(super) struct Args {
    given: Vec<(&'static str, Option<String>)>,
    usage: String,
}

/// A run that ends before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit: i32,
}

impl Refusal {
    /// One line on stderr.
    pub(super) fn stderr(line: impl Into<String>) -> Refusal {
        Refusal { stdout: String::new(), stderr: line.into() + "\n", exit: 1 }
    }

    /// One line on stdout, but a failure.
    pub(super) fn stdout(line: impl Into<String>) -> Refusal {
        Refusal { stdout: line.into() + "\n", stderr: String::new(), exit: 1 }
    }

    /// With a line on stdout that came before.
    pub(super) fn after(mut self, printed: &str) -> Refusal {
        self.stdout.insert_str(0, printed);
        self
    }
}

/// Why a tool ends early.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Its options make no sense.
    Misused(String),
    /// What it was asked for is not done.
    Failed(String),
}

impl From<String> for Trouble {
    fn from(why: String) -> Trouble {
        Trouble::Misused(why)
    }
}

/// Options that every tool has.
const COMMON: [Opt; 2] = [
    Opt { name: "help", value: Value::No, about: "Shows this." },
    Opt { name: "version", value: Value::No, about: "Shows the version of Kafka whose tool this is." },
];

impl Args {
    /// Reads the arguments. The error is Kafka's sentence.
    pub(super) fn parse(options: &'static [Opt], args: &[String]) -> Result<Args, String> {
        let mut given = Vec::new();
        let mut rest = args.iter().peekable();
        while let Some(arg) = rest.next() {
            let (Some(long), false) = (arg.strip_prefix('-'), arg == "-") else { continue };
            if arg == "--" {
                break;
            }
            let long = long.strip_prefix('-').unwrap_or(long);
            let (name, inline) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let option = options
                .iter()
                .chain(&COMMON)
                .find(|it| it.name == name)
                .ok_or_else(|| format!("{name} is not a recognized option"))?;
            let value = match option.value {
                Value::No => None,
                Value::Maybe => inline.or_else(|| rest.next_if(|it| !it.starts_with('-')).cloned()),
                Value::Text | Value::Int | Value::Long => {
                    let value = inline.or_else(|| rest.next().cloned());
                    Some(value.ok_or_else(|| format!("Option {name} requires an argument"))?)
                }
            };
            given.push((option.name, value));
        }
        Ok(Args { given, usage: usage(options) })
    }

    /// Shows help or the version if that was asked for; `about` says what the tool does.
    pub(super) fn help_or_version(&self, none_given: bool, about: &str) -> Result<(), Refusal> {
        if none_given || self.has("help") {
            return Err(self.misused(about));
        }
        if self.has("version") {
            return Err(Refusal { stdout: format!("{KAFKA_VERSION}\n"), stderr: String::new(), exit: 0 });
        }
        Ok(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(it, _)| *it == name)
    }

    /// The names given, in order; for the rare tool where order matters.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.given.iter().map(|(name, value)| (*name, value.as_deref()))
    }

    /// All values of an option that may be given several times.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        self.given.iter().filter(|(it, _)| *it == name).filter_map(|(_, value)| value.as_deref()).collect()
    }

    /// The value of an option that may be given once.
    pub(super) fn value(&self, name: &str) -> Result<Option<&str>, String> {
        match self.values(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(format!("Found multiple arguments for option {name}, but you asked for only one")),
        }
    }

    /// The same; empty if it was not given.
    pub(super) fn text(&self, name: &str) -> Result<String, String> {
        Ok(self.value(name)?.unwrap_or_default().to_owned())
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i32>, String> {
        self.number(name)
    }

    pub(super) fn long(&self, name: &str) -> Result<Option<i64>, String> {
        self.number(name)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("Cannot parse argument '{value}' of option {name}"))
    }

    /// Kafka's sentence, then how the tool is used.
    pub(super) fn misused(&self, why: &str) -> Refusal {
        Refusal::stderr(format!("{why}\n{}", self.usage.trim_end()))
    }

    /// Fails unless the option was given.
    pub(super) fn require(&self, name: &str) -> Result<(), Refusal> {
        if self.has(name) { Ok(()) } else { Err(self.misused(&format!("Missing required argument \"[{name}]\""))) }
    }

    /// Fails if `used` was given along with one of the others.
    pub(super) fn exclude(&self, used: &str, invalid: &[&str]) -> Result<(), Refusal> {
        match invalid.iter().find(|it| self.has(used) && self.has(it)) {
            Some(other) => Err(self.misused(&format!("Option \"[{used}]\" can't be used with option \"[{other}]\""))),
            None => Ok(()),
        }
    }

    /// Fails if both were given.
    pub(super) fn either(&self, one: &str, other: &str) -> Result<(), String> {
        if self.has(one) && self.has(other) {
            return Err(format!("Options --{one} and --{other} cannot be specified together."));
        }
        Ok(())
    }
}

/// A table of the options, by name.
fn usage(options: &[Opt]) -> String {
    let mut options: Vec<&Opt> = options.iter().chain(&COMMON).collect();
    ordered::sort_by_key(&mut options, |it| it.name);
    let spelled = |it: &Opt| match it.value {
        Value::No => format!("--{}", it.name),
        Value::Maybe => format!("--{} [String]", it.name),
        Value::Text => format!("--{} <String>", it.name),
        Value::Int => format!("--{} <Integer>", it.name),
        Value::Long => format!("--{} <Long>", it.name),
    };
    let width = options.iter().map(|it| spelled(it).len()).max().unwrap_or(0) + 2;
    let mut text = format!("{:width$}Description\n{:width$}-----------\n", "Option", "------");
    for option in options {
        text += &format!("{:width$}{}\n", spelled(option), option.about);
    }
    text
}

/// `key=value` pairs; a missing value is empty.
pub(super) fn pairs(args: &[&str]) -> Vec<(String, String)> {
    let split = |arg: &&str| {
        let (key, value) = arg.split_once('=').unwrap_or((arg, ""));
        (key.to_owned(), value.to_owned())
    };
    args.iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[
        Opt { name: "list", value: Value::No, about: "" },
        Opt { name: "topic", value: Value::Text, about: "" },
        Opt { name: "codec", value: Value::Maybe, about: "" },
        Opt { name: "n", value: Value::Int, about: "" },
    ];

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(OPTIONS, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn values_come_after_a_space_or_an_equals_sign() {
        let args = parse("--topic=a --codec --list leftover --n 5").unwrap();
        assert_eq!((args.value("topic"), args.values("codec"), args.int("n")), (Ok(Some("a")), vec![], Ok(Some(5))));
        assert!(args.has("list") && args.has("codec"));
        assert_eq!(parse("--codec gzip -topic -x").unwrap().values("topic"), ["-x"]);
    }

    #[test]
    fn mistakes_are_told_in_kafkas_words() {
        assert_eq!(parse("--lis").unwrap_err(), "lis is not a recognized option");
        assert_eq!(parse("--topic").unwrap_err(), "Option topic requires an argument");
        assert_eq!(parse("--n five").unwrap().int("n").unwrap_err(), "Cannot parse argument 'five' of option n");
        assert_eq!(
            parse("--n 1 --n 2").unwrap().int("n").unwrap_err(),
            "Found multiple arguments for option n, but you asked for only one"
        );
    }
}
