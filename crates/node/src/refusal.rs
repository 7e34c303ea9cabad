//! A client's fault or a race: one of Kafka's codes and a sentence for people.

use protocol::Str;
use protocol::messages::ErrorCode;

/// Why a request, or a part of one, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kafka's code.
    pub code: ErrorCode,
    /// What clients show.
    pub message: Str,
}

impl Refusal {
    /// A refusal that says what is wrong here.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: Str::from(message.into()) }
    }

    /// A refusal with the code's general sentence.
    pub fn of(code: ErrorCode) -> Refusal {
        Refusal { code, message: Str::from_static(code.message()) }
    }
}
