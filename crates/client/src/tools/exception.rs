//! Errors as Kafka's tools print them: a Java exception, and what it says.

use protocol::{ErrorCode, Str};

use crate::outbox::{Cause, Failure};

/// What a node said of an error.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its code.
    pub error: ErrorCode,
    /// Its own words, if it sent some.
    pub message: Option<Str>,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Refusal {
        Refusal { error, message: None }
    }
}

impl Refusal {
    /// Of an answer's fields; `None` if they tell of no error.
    pub fn of(code: i16, message: Option<&Str>) -> Option<Refusal> {
        let error = ErrorCode::from_code(code);
        (error != ErrorCode::None).then(|| Refusal { error, message: message.cloned() })
    }

    /// What it says.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.error.message())
    }

    /// As Kafka's tools print it: the exception, and what it says.
    pub fn told(&self) -> String {
        exception(&exception_of(self.error), self.message())
    }
}

/// Why a question has no answer, as an exception.
pub(super) fn told(failure: &Failure) -> String {
    match failure.cause {
        Cause::Refused(code) => exception(&exception_of(code), &failure.message),
        Cause::TimedOut => exception("TimeoutException", &failure.message),
        Cause::UnsupportedVersion => exception("UnsupportedVersionException", &failure.message),
        Cause::Disconnected => exception("DisconnectException", &failure.message),
        _ => failure.message.clone(),
    }
}

/// `class: what`, as Java prints an exception of Kafka's.
pub fn exception(class: &str, what: &str) -> String {
    format!("org.apache.kafka.common.errors.{class}: {what}")
}

/// What an exception of Kafka's says, without its class.
pub fn bare(told: &str) -> &str {
    let is_exception = told.starts_with("org.apache.kafka.");
    told.split_once(": ").filter(|_| is_exception).map_or(told, |(_, what)| what)
}

/// The name of the exception that Kafka has for an error: the error's own in capitals within, but for a few.
fn exception_of(error: ErrorCode) -> String {
    match error {
        ErrorCode::RequestTimedOut => "TimeoutException".to_owned(),
        ErrorCode::UnknownServerError => "UnknownServerException".to_owned(),
        ErrorCode::NonEmptyGroup => "GroupNotEmptyException".to_owned(),
        ErrorCode::InvalidVoterKey => "InvalidVoterKeyException".to_owned(),
        other => {
            let words = other.name().split('_').filter(|word| *word != "EXCEPTION");
            let capital = |word: &str| format!("{}{}", &word[..1], word[1..].to_ascii_lowercase());
            words.map(capital).collect::<String>() + "Exception"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_as_java_tells_them() {
        let refusal = Refusal::of(ErrorCode::DuplicateVoter.code(), Some(&Str::from("it is there"))).unwrap();
        assert_eq!(refusal.told(), "org.apache.kafka.common.errors.DuplicateVoterException: it is there");
        assert_eq!(exception_of(ErrorCode::RequestTimedOut), "TimeoutException");
        assert_eq!(exception_of(ErrorCode::NotLeaderOrFollower), "NotLeaderOrFollowerException");
        assert_eq!(
            Refusal::from(ErrorCode::NonEmptyGroup).told(),
            "org.apache.kafka.common.errors.GroupNotEmptyException: The group is not empty."
        );
        assert_eq!((bare(&refusal.told()), bare("a: b")), ("it is there", "a: b"));
        assert!(Refusal::of(0, None).is_none());
    }
}
