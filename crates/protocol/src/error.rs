//! What is wrong with bytes, or with a message that shall become bytes.

use std::fmt;
use std::ops::RangeInclusive;

/// Bytes that are no message, or a message that the version asked for cannot carry.
///
/// Says which field of which message, what was expected there, and at which byte. One pointer wide: every step of a walk
/// returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProtocolError(Box<Fault>);

#[derive(Clone, PartialEq, Eq)]
struct Fault {
    /// From the outermost name in, `FetchRequest.Topics[2].Partitions[0].Partition`.
    path: String,
    expected: Expected,
    position: Option<usize>,
}

/// What was expected and not met.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// More bytes than there are.
    Bytes {
        /// How many the field needs.
        needed: usize,
        /// How many are left.
        left: usize,
    },
    /// The end of the message; so many bytes follow it.
    End(usize),
    /// A length of zero or more.
    Length(i64),
    /// A value: null is not allowed in this version.
    NotNull,
    /// A varint of at most five bytes, or of 32 bits.
    Varint,
    /// A message in proportion to its bytes: its arrays would take more memory than their bytes can justify.
    Proportion,
    /// A tagged field as long as it says.
    TagLength {
        /// What it says.
        declared: usize,
        /// What its fields took.
        taken: usize,
    },
    /// A text or list that its length field can count.
    Countable(usize),
    /// A version that the schema knows.
    Version {
        /// The one asked for.
        version: i16,
        /// Those there are.
        known: RangeInclusive<i16>,
    },
    /// The default, since this version does not carry the field and a reader would miss it.
    Default(i16),
    /// Bytes: regions of a log have none until a driver resolves them, so they travel in frames only.
    NoRegions,
    /// A key or type that the schema knows.
    Known(i64),
}

impl ProtocolError {
    /// An error about the innermost field of a walk; its name is added on the way out.
    #[cold]
    pub fn new(expected: Expected, position: Option<usize>) -> ProtocolError {
        ProtocolError(Box::new(Fault { path: String::new(), expected, position }))
    }

    /// An error of the field `name`.
    #[cold]
    pub fn field(name: &'static str, expected: Expected, position: Option<usize>) -> ProtocolError {
        ProtocolError::new(expected, position).within(name, None)
    }

    /// A field that this version lacks and that may not be dropped.
    #[cold]
    pub fn absent(name: &'static str, version: i16) -> ProtocolError {
        ProtocolError::field(name, Expected::Default(version), None)
    }

    /// The same error, seen from one level further out.
    #[cold]
    #[must_use]
    pub fn within(mut self, name: &'static str, index: Option<usize>) -> ProtocolError {
        // An element of an array has no name of its own.
        if name.is_empty() {
            return self;
        }
        let inner = std::mem::take(&mut self.0.path);
        self.0.path = match (index, inner.is_empty()) {
            (None, true) => name.to_owned(),
            (None, false) => format!("{name}.{inner}"),
            (Some(index), true) => format!("{name}[{index}]"),
            (Some(index), false) => format!("{name}[{index}].{inner}"),
        };
        self
    }

    /// What was expected.
    pub fn expected(&self) -> &Expected {
        &self.0.expected
    }

    /// The message and field, `FetchRequest.Topics[2].Partitions[0].Partition`.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The byte of the frame or value at which it happened; none when encoding.
    pub fn position(&self) -> Option<usize> {
        self.0.position
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Bytes { needed, left } => write!(f, "expected {needed} more bytes, {left} are left"),
            Expected::End(trailing) => write!(f, "expected the end, {trailing} bytes follow"),
            Expected::Length(length) => write!(f, "expected a length, found {length}"),
            Expected::NotNull => f.write_str("expected a value, found null"),
            Expected::Varint => f.write_str("expected a varint of 32 bits"),
            Expected::Proportion => f.write_str("expected less memory to be needed for so few bytes"),
            Expected::TagLength { declared, taken } => {
                write!(f, "expected a tagged field of {declared} bytes, its content took {taken}")
            }
            Expected::Countable(length) => write!(f, "expected a length that fits its field, it is {length}"),
            Expected::Version { version, known } if known.is_empty() => {
                write!(f, "expected no version at all (the message was retired), found {version}")
            }
            Expected::Version { version, known } => {
                write!(f, "expected a version from {} to {}, found {version}", known.start(), known.end())
            }
            Expected::Default(version) => {
                write!(f, "expected the default value, for version {version} lacks the field")
            }
            Expected::NoRegions => f.write_str("expected bytes, found regions of a log"),
            Expected::Known(value) => write!(f, "expected a known key or type, found {value}"),
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.path.is_empty() {
            write!(f, "{}: ", self.0.path)?;
        }
        self.0.expected.fmt(f)?;
        match self.0.position {
            Some(position) => write!(f, " at byte {position}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtocolError({self})")
    }
}

impl std::error::Error for ProtocolError {}
