//! What a configuration key is: its type, default and bounds, and whether a value fits.

use std::fmt;

use protocol::Str;

use super::decimal::decimal;
use super::idle::Idle;

/// The type of a key's value. Kafka's numbers in DescribeConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A decimal number.
    Double,
    /// Text separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is never shown.
    Password,
}

impl Kind {
    /// Kafka's number in DescribeConfigs.
    pub const fn id(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    /// Kafka's name, as its error messages spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }
}

/// Which values of the type are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// All.
    Any,
    /// Numbers from here.
    AtLeast(i64),
    /// Numbers between these, both included.
    Between(i64, i64),
    /// Decimal numbers from 0 to this.
    Ratio(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, in any case.
    OneOfIgnoringCase(&'static [&'static str]),
    /// A list of these words.
    EachOf(&'static [&'static str]),
    /// Text with at least one character.
    NotEmpty,
    /// 1 to 9, or -1.
    GzipLevel,
    /// `partition:broker` pairs, or `*`.
    ThrottledReplicas,
    /// `host:number` pairs, separated by commas.
    HostCounts,
}

/// Who may change a node's key while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Nobody.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker, or for all of them at once.
    ClusterWide,
}

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What holds if it is not set; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Its bounds.
    pub rule: Rule,
    /// Whether it can change while the node runs. Topic keys always can.
    pub update: Update,
    /// One sentence for people, for the keys that this node acts on.
    pub doc: Option<&'static str>,
    /// True for keys that no tool shows unless they are set.
    pub internal: bool,
    /// Why the key is checked and kept, but nothing comes of it; `None` if this node acts on it.
    pub idle: Option<Idle>,
}

impl Definition {
    pub(super) const fn new(name: &'static str, kind: Kind, default: Option<&'static str>, rule: Rule) -> Definition {
        Definition { name, kind, default, rule, update: Update::ReadOnly, doc: None, internal: false, idle: None }
    }

    pub(super) const fn doc(self, doc: &'static str) -> Definition {
        // A host that never asks for them, as the lab's page, need not hold the sentences.
        Definition { doc: if cfg!(feature = "documentation") { Some(doc) } else { None }, ..self }
    }

    pub(super) const fn cluster_wide(self) -> Definition {
        Definition { update: Update::ClusterWide, ..self }
    }

    pub(super) const fn per_broker(self) -> Definition {
        Definition { update: Update::PerBroker, ..self }
    }

    pub(super) const fn internal(self) -> Definition {
        Definition { internal: true, ..self }
    }

    pub(super) const fn idle(self, why: Idle) -> Definition {
        Definition { idle: Some(why), ..self }
    }

    /// True if the value must not be shown.
    pub fn sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Whether a value fits the type and the bounds.
    pub fn check(&self, value: &str) -> Result<(), ConfigError> {
        let text = value.trim();
        match self.kind {
            Kind::Boolean => {
                boolean(text).map(drop).ok_or_else(|| self.refuse(value, "Expected value to be either true or false"))
            }
            Kind::Int => self.check_number(value, text.parse::<i32>().ok().map(i64::from)),
            Kind::Short => self.check_number(value, text.parse::<i16>().ok().map(i64::from)),
            Kind::Long => self.check_number(value, text.parse::<i64>().ok()),
            Kind::Double => self.check_decimal(value, decimal(text)),
            Kind::String | Kind::Class | Kind::Password => self.check_text(value, text),
            Kind::List => self.check_list(text),
        }
    }

    fn check_number(&self, value: &str, number: Option<i64>) -> Result<(), ConfigError> {
        let Some(number) = number else { return Err(self.not_a_number(value)) };
        let (min, max) = match self.rule {
            Rule::AtLeast(min) => (min, i64::MAX),
            Rule::Between(min, max) => (min, max),
            Rule::GzipLevel if !(number == -1 || (1..=9).contains(&number)) => {
                return Err(self.refuse(value, "Value must be between 1 and 9 or equal to -1"));
            }
            _ => (i64::MIN, i64::MAX),
        };
        if number < min {
            return Err(self.refuse(value, &format!("Value must be at least {min}")));
        }
        if number > max {
            return Err(self.refuse(value, &format!("Value must be no more than {max}")));
        }
        Ok(())
    }

    fn check_decimal(&self, value: &str, number: Option<f64>) -> Result<(), ConfigError> {
        let Some(number) = number else { return Err(self.not_a_number(value)) };
        let Rule::Ratio(max) = self.rule else { return Ok(()) };
        if number < 0.0 {
            return Err(self.refuse(value, "Value must be at least 0"));
        }
        if decimal(max).is_some_and(|max| number > max) {
            return Err(self.refuse(value, &format!("Value must be no more than {max}")));
        }
        Ok(())
    }

    fn check_text(&self, value: &str, text: &str) -> Result<(), ConfigError> {
        match self.rule {
            Rule::OneOf(words) if !words.contains(&text) => {
                Err(self.refuse(value, &format!("String must be one of: {}", words.join(", "))))
            }
            Rule::OneOfIgnoringCase(words) if !words.iter().any(|word| word.eq_ignore_ascii_case(text)) => {
                Err(self.refuse(value, &format!("String must be one of (case insensitive): {}", words.join(", "))))
            }
            Rule::HostCounts => host_counts(text).map(drop).map_err(|why| self.refuse(value, why)),
            Rule::NotEmpty if text.is_empty() => Err(self.refuse(value, "String must be non-empty")),
            _ => Ok(()),
        }
    }

    fn check_list(&self, text: &str) -> Result<(), ConfigError> {
        let items = list(text);
        match self.rule {
            // A word that stands twice counts once, as in Kafka.
            Rule::EachOf(words) => match items.iter().find(|item| !words.contains(item)) {
                Some(item) => Err(self.refuse(item, &format!("String must be one of: {}", words.join(", ")))),
                None => Ok(()),
            },
            Rule::ThrottledReplicas if !throttled_replicas(&items) => {
                let why = format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                );
                Err(self.refuse(&format!("[{}]", items.join(", ")), &why))
            }
            _ => Ok(()),
        }
    }

    fn not_a_number(&self, value: &str) -> ConfigError {
        self.refuse(value, &format!("Not a number of type {}", self.kind.name()))
    }

    fn refuse(&self, value: &str, why: &str) -> ConfigError {
        let shown = if self.sensitive() { "[hidden]" } else { value };
        ConfigError(format!("Invalid value {shown} for configuration {}: {why}", self.name))
    }
}

fn throttled_replicas(items: &[&str]) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    items == ["*"]
        || items
            .iter()
            .all(|item| item.split_once(':').is_some_and(|(partition, broker)| number(partition) && number(broker)))
}

/// How many each host is allowed, as `host:number` pairs say. The last word on a host counts.
pub(super) fn host_counts(text: &str) -> Result<Vec<(Str, usize)>, &'static str> {
    // An IPv6 address has colons of its own.
    let pair = |item: &str| {
        let (host, count) = item.rsplit_once(':')?;
        Some((Str::from(host.trim()), count.trim().parse::<i32>().ok()?))
    };
    let pairs = list(text).into_iter().map(|item| {
        let (host, count) = pair(item).ok_or("expected host:number pairs, separated by commas")?;
        let is_host = |it: u8| it.is_ascii_alphanumeric() || b"-%._:".contains(&it);
        match host.bytes().all(is_host) {
            // Less than none is none.
            true => Ok((host, usize::try_from(count).unwrap_or(0))),
            false => Err("it contains an address that is none"),
        }
    });
    pairs.collect()
}

/// `true` and `false` in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The items of a list, without the blanks around them. The empty text has none.
pub fn list(text: &str) -> Vec<&str> {
    match text.trim() {
        "" => Vec::new(),
        text => text.split(',').map(str::trim).collect(),
    }
}

/// Why a configuration is refused: one line that names key, value and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}
