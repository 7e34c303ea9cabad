//! What a client says: effects as data. Order matters only within one connection.

use protocol::records::Record;
use protocol::{ErrorCode, LeaderEpoch, NodeId, Offset, Str, TopicPartition, WallMs};

use crate::admin::AdminAnswer;
use crate::event::Event;
use crate::input::{ConnId, OpId};
use crate::wire::Request;

/// All effects of one or more `handle` calls.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Connections to open, each answered by `Connected` or `ConnectFailed`.
    pub connect: Vec<Connect>,
    /// Requests, in order within each connection.
    pub send: Vec<(ConnId, Request)>,
    /// Connections to close, after what was sent on them. A `Closed` that crosses is ignored.
    pub close: Vec<ConnId>,
    /// Operations that are done.
    pub outcomes: Vec<(OpId, Outcome)>,
    /// For people: `None` costs nothing.
    pub events: Option<Vec<Event>>,
}

/// A connection to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Its name from now on.
    pub conn: ConnId,
    /// A host name or address, as metadata or `bootstrap.servers` tell it.
    pub host: Str,
    /// The port.
    pub port: u16,
}

/// How an operation ended: the three words that a client can honestly say.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was done.
    Ok(Answer),
    /// It was not done.
    Failed(Failure),
    /// It may or may not have been done: an answer was lost, or time ran out while the cluster may have been at it.
    Unknown(Failure),
}

/// What a successful operation brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// There is nothing more to say.
    Done,
    /// Of [`crate::Operation::Send`].
    Sent(RecordMetadata),
    /// Of [`crate::Operation::Poll`], in order within each partition.
    Records(Vec<ConsumerRecord>),
    /// Of [`crate::Operation::Position`].
    Position(Position),
    /// Of [`crate::Operation::Listen`].
    Rebalance(Rebalance),
    /// Of [`crate::Operation::Committed`], as asked; `None` where nothing is committed.
    Committed(Vec<(TopicPartition, Option<Position>)>),
    /// Of [`crate::Operation::PartitionsFor`], in order.
    Partitions(Vec<PartitionInfo>),
    /// Of [`crate::Operation::Admin`].
    Admin(AdminAnswer),
}

/// What happens to the partitions that a consumer's group gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// They are about to be given up, in good order. Never empty.
    Revoked(Vec<TopicPartition>),
    /// They are gone: the consumer is not in the group any more, and somebody else may have them. Never empty.
    Lost(Vec<TopicPartition>),
    /// They are its own from now on. Told even when there are none.
    Assigned(Vec<TopicPartition>),
}

/// Where a record went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset; `None` when nobody tells: `acks=0`, or a duplicate whose offset the broker has forgotten.
    pub offset: Option<Offset>,
    /// Its timestamp: the producer's, or the broker's under `message.timestamp.type=LogAppendTime`.
    pub timestamp: WallMs,
}

/// A record as an application meets it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerRecord {
    /// Its partition.
    pub partition: TopicPartition,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Whether the timestamp is the broker's.
    pub log_append_time: bool,
    /// Offset, timestamp, key, value, headers.
    pub record: Record,
}

/// Where a consumer is in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The offset of the next record.
    pub offset: Offset,
    /// The epoch of the record before it, if known (KIP-320).
    pub offset_epoch: Option<LeaderEpoch>,
}

/// A partition as metadata tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionInfo {
    /// The number, from 0.
    pub partition: i32,
    /// Who leads it.
    pub leader: Option<NodeId>,
    /// The leader's epoch.
    pub leader_epoch: Option<LeaderEpoch>,
    /// All replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Replicas in sync.
    pub isr: Vec<NodeId>,
    /// Replicas whose broker is away.
    pub offline: Vec<NodeId>,
}

/// Why an operation was not done, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub cause: Cause,
    /// In Kafka's words, for people.
    pub message: String,
}

/// What kind of failure it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The cluster said so. `NONE` never occurs here.
    Refused(ErrorCode),
    /// Time ran out here (`delivery.timeout.ms`, `max.block.ms`, `default.api.timeout.ms`).
    TimedOut,
    /// The connection broke and no retry was left.
    Disconnected,
    /// No broker of ours speaks a version of the API that this client speaks.
    UnsupportedVersion,
    /// The consumer has no position in these partitions and `auto.offset.reset=none`.
    NoOffset(Vec<TopicPartition>),
    /// The position is not in the log and `auto.offset.reset=none`.
    OutOfRange(Vec<(TopicPartition, Offset)>),
    /// Records were lost: the log ends before the position, in an older epoch, and `auto.offset.reset=none` (KIP-320).
    Truncated(TopicPartition, Offset),
    /// Bytes of a record batch that do not check out.
    Corrupt(TopicPartition, Offset),
    /// The record alone is larger than `max.request.size` or `buffer.memory`.
    RecordTooLarge,
    /// The call makes no sense: a partition that is not assigned, a closed client, a negative partition.
    Illegal,
}

impl Outcome {
    /// As Kafka's tools judge it: of an admin call that was answered, but not done for each of its items, the first failure is what
    /// came of it. That the time ran out in the cluster says nothing of what it will do.
    pub fn judged(self) -> Outcome {
        let failure = match &self {
            Outcome::Ok(Answer::Admin(answer)) => answer.failures().first().copied().cloned(),
            _ => None,
        };
        match failure {
            Some(it) if it.cause == Cause::Refused(ErrorCode::RequestTimedOut) => Outcome::Unknown(it),
            Some(it) => Outcome::Failed(it),
            None => self,
        }
    }

    /// Why it was not done, or may not have been.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Outcome::Ok(_) => None,
            Outcome::Failed(it) | Outcome::Unknown(it) => Some(it),
        }
    }

    /// What is wrong with it, for people: that it was not done, or that nobody knows, and why.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Outcome::Ok(_) => None,
            Outcome::Failed(it) => Some(it.words()),
            Outcome::Unknown(it) => Some(format!("nobody knows whether it is done: {}", it.words())),
        }
    }
}

impl Failure {
    /// The cluster's answer, with its own words if it sent some.
    pub fn refused(code: ErrorCode, message: Option<&str>) -> Failure {
        Failure { cause: Cause::Refused(code), message: message.unwrap_or_else(|| code.message()).to_owned() }
    }

    /// A failure of our own making.
    pub fn new(cause: Cause, message: impl Into<String>) -> Failure {
        Failure { cause, message: message.into() }
    }

    /// The kind, by Kafka's name of the code where there is one, and what was said with it.
    pub fn words(&self) -> String {
        format!("{}: {}", self.cause.word(), self.message)
    }

    /// The error code, if the cluster gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self.cause {
            Cause::Refused(code) => Some(code),
            _ => None,
        }
    }
}

impl Cause {
    /// In a word: of a refusal Kafka's name of the code.
    pub fn word(&self) -> String {
        match self {
            Cause::Refused(code) => code.name().to_owned(),
            Cause::OutOfRange(_) => ErrorCode::OffsetOutOfRange.name().to_owned(),
            Cause::TimedOut => "TimedOut".to_owned(),
            Cause::Disconnected => "Disconnected".to_owned(),
            Cause::UnsupportedVersion => "UnsupportedVersion".to_owned(),
            Cause::NoOffset(_) => "NoOffset".to_owned(),
            Cause::Truncated(partition, offset) => format!("Truncated {partition} {offset}"),
            Cause::Corrupt(partition, offset) => format!("Corrupt {partition} {offset}"),
            Cause::RecordTooLarge => "RecordTooLarge".to_owned(),
            Cause::Illegal => "Illegal".to_owned(),
        }
    }
}

impl Outbox {
    /// An outbox that also collects events.
    pub fn with_events() -> Outbox {
        Outbox { events: Some(Vec::new()), ..Outbox::default() }
    }

    /// Adds an event if anyone listens; the closure runs only then.
    pub fn emit(&mut self, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut self.events {
            events.push(event());
        }
    }

    pub(crate) fn done(&mut self, op: OpId, answer: Answer) {
        self.outcomes.push((op, Outcome::Ok(answer)));
    }

    pub(crate) fn failed(&mut self, op: OpId, failure: Failure) {
        self.outcomes.push((op, Outcome::Failed(failure)));
    }
}
