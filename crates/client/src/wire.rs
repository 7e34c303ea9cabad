//! The protocol's types that a driver meets, and what it must remember to decode answers.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use protocol::ProtocolError;
use protocol::frame;

pub use protocol::{ApiKey, Request, RequestBody, Response, ResponseBody};

/// True if a broker answers the request. It does not answer a Produce with `acks=0`.
pub fn expects_answer(request: &Request) -> bool {
    !matches!(&request.body, RequestBody::Produce(produce) if produce.acks == 0)
}

/// The requests on one connection whose answers have not come, oldest first: brokers answer in order.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    expected: VecDeque<(i32, ApiKey, i16)>,
}

/// An answer that makes no sense; the connection cannot be used any more.
#[derive(Debug)]
pub enum AnswerError {
    /// Nothing was asked, or something else.
    Unexpected {
        /// The correlation id that came.
        correlation_id: i32,
    },
    /// It could not be decoded.
    Malformed(ProtocolError),
    /// Not even a correlation id.
    TooShort,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::Unexpected { correlation_id } => {
                write!(f, "an answer with correlation id {correlation_id} that nothing asked for")
            }
            AnswerError::Malformed(error) => write!(f, "an answer that cannot be decoded: {error}"),
            AnswerError::TooShort => f.write_str("an answer of less than four bytes"),
        }
    }
}

impl std::error::Error for AnswerError {}

impl Answers {
    /// Remembers a request that is sent.
    pub fn sent(&mut self, request: &Request) {
        if expects_answer(request) {
            self.expected.push_back((request.correlation_id, request.body.api_key(), request.version));
        }
    }

    /// Decodes the next answer, a frame without its size.
    pub fn decode(&mut self, bytes: Bytes) -> Result<Response, AnswerError> {
        let head = bytes.first_chunk::<4>().ok_or(AnswerError::TooShort)?;
        let correlation_id = i32::from_be_bytes(*head);
        let (_, api, version) = self
            .expected
            .pop_front()
            .filter(|(expected, ..)| *expected == correlation_id)
            .ok_or(AnswerError::Unexpected { correlation_id })?;
        frame::decode_response(api, version, bytes.clone()).or_else(|error| {
            // KIP-511: a broker that does not know the version asked in answers ApiVersions in version 0.
            if api == ApiKey::ApiVersions && version > 0 {
                frame::decode_response(api, 0, bytes).map_err(AnswerError::Malformed)
            } else {
                Err(AnswerError::Malformed(error))
            }
        })
    }
}
