//! What a node says: effects as data, all of which may be carried out at once. Order matters only within a lane:
//! one log, one connection, one peer, one cell.

use protocol::{ApiKey, NodeId, RequestBody, Response, Str};
use storage::{OpId, StoreOp};

use crate::event::Event;
use crate::input::ConnId;

/// One call to another node (or to ourselves); the answer carries the same id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A request to another node, in Kafka's own protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// For the answer.
    pub id: CallId,
    /// Who is called.
    pub to: NodeId,
    /// Where it listens.
    pub host: Str,
    /// Where it listens.
    pub port: u16,
    /// The request's version.
    pub version: i16,
    /// The request.
    pub body: RequestBody,
    /// The driver gives up after this long.
    pub timeout_ms: i64,
}

/// What shares a connection: answers come in the order of the requests, so nothing may stand behind what waits for it. A
/// registration is answered once it is committed, which takes the fetches of others on the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Logs are followed: fetches may wait for data.
    Fetch,
    /// The quorum votes.
    Vote,
    /// Brokers and controllers register and show that they live.
    Life,
    /// Requests of clients are passed on.
    Forward,
    /// Whether anybody listens: a connection that was open before says nothing of that.
    Knock,
    /// All else.
    Other,
}

impl Call {
    /// What it shares a connection with.
    pub fn lane(&self) -> Lane {
        match self.body.api_key() {
            ApiKey::Fetch | ApiKey::FetchSnapshot => Lane::Fetch,
            ApiKey::Vote | ApiKey::BeginQuorumEpoch | ApiKey::EndQuorumEpoch => Lane::Vote,
            ApiKey::BrokerRegistration | ApiKey::ControllerRegistration | ApiKey::BrokerHeartbeat => Lane::Life,
            ApiKey::Envelope => Lane::Forward,
            ApiKey::ApiVersions => Lane::Knock,
            _ => Lane::Other,
        }
    }
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Nobody listens there.
    Refused,
    /// The connection broke; whether the request was carried out is unknown.
    Reset,
    /// No answer in time; whether the request was carried out is unknown.
    TimedOut,
    /// The answer could not be decoded.
    Malformed,
}

/// An answer on a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Sent in the order of the connection's requests: the driver holds it back until those before it are answered.
    Answer(ConnId, Response),
    /// The request with this correlation id gets no answer (Produce with acks=0).
    Nothing(ConnId, i32),
    /// Closes the connection without an answer, as Kafka does on a request it cannot serve; says why for the log.
    Close(ConnId, String),
}

/// What the driver may still read from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Read no more requests from it.
    Stop,
    /// Read on.
    Go,
}

/// All effects of one or more `handle` calls.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Store operations, in order within each log.
    pub store: Vec<(OpId, StoreOp)>,
    /// Calls to other nodes, in order within each peer and [`Lane`].
    pub calls: Vec<Call>,
    /// Calls whose answers nobody waits for any more. What was not sent need not be: it would only hold up what comes next in its
    /// lane. What was sent is answered in its turn.
    pub given_up: Vec<CallId>,
    /// Answers.
    pub replies: Vec<Reply>,
    /// What may still be read.
    pub credit: Vec<(ConnId, Credit)>,
    /// For people: `None` costs nothing.
    pub events: Option<Vec<Event>>,
    /// The controlled shutdown is complete: the driver may drop the node.
    pub stopped: bool,
}

impl Outbox {
    /// An outbox that also collects events.
    pub fn with_events() -> Outbox {
        Outbox { events: Some(Vec::new()), ..Outbox::default() }
    }

    /// True when there is nothing to carry out.
    pub fn is_empty(&self) -> bool {
        let silent = self.events.as_ref().is_none_or(Vec::is_empty);
        silent
            && self.store.is_empty()
            && self.calls.is_empty()
            && self.given_up.is_empty()
            && self.replies.is_empty()
            && self.credit.is_empty()
    }

    /// Adds an event if anyone listens; the closure runs only then.
    pub fn emit(&mut self, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut self.events {
            events.push(event());
        }
    }
}
