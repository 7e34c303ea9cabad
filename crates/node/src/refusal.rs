//! A client's fault or a race: one of Kafka's codes and a sentence for people.

use protocol::Str;
use protocol::messages::ErrorCode;

/// The length of a string on the wire has 16 bits.
pub(crate) const MOST_BYTES: usize = i16::MAX as usize;

/// What an answer says to people: what names long names or values is cut where a string on the wire ends.
pub(crate) fn message(text: impl Into<String>) -> Str {
    let mut text = text.into();
    text.truncate(text.floor_char_boundary(MOST_BYTES));
    Str::from(text)
}

/// Why a request, or a part of one, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kafka's code.
    pub code: ErrorCode,
    /// What clients show. Never too long to be sent.
    pub message: Str,
}

impl Refusal {
    /// A refusal that says what is wrong here.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: self::message(message) }
    }

    /// A refusal with the code's general sentence.
    pub fn of(code: ErrorCode) -> Refusal {
        Refusal { code, message: Str::from_static(code.message()) }
    }
}
