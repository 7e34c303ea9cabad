//! What a client hears: its application's operations, its connections, the clock.

use bytes::Bytes;
use protocol::{Offset, Str, TopicPartition, WallMs};

use crate::admin::AdminCall;
use crate::outbox::Position;
use crate::pattern::TopicPattern;
use crate::wire::Response;

/// A connection that this client asked for. Never used twice within one run of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// An operation of the application; its [`crate::Outcome`] carries the same id. The application chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// One input. Inputs are handled one at a time, in the order in which the driver delivers them.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The moment of `wake_at` has come (or any other: a spurious wake is harmless).
    Wake,
    /// The application wants something.
    Do(OpId, Operation),
    /// The connection is open.
    Connected(ConnId),
    /// Nobody listens there, or the name does not resolve.
    ConnectFailed(ConnId),
    /// The next answer on a connection. Answers come in the order of the requests that [`crate::wire::expects_answer`].
    Answered(ConnId, Response),
    /// The connection broke, or sent what could not be decoded. What was asked on it may have been carried out.
    Closed(ConnId),
}

/// What an application asks of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Producer: sends a record. Done when it is acknowledged as `acks` says.
    Send(ProducerRecord),
    /// Producer: sends what lingers at once. Done when every record sent before is.
    Flush,
    /// Consumer: reads exactly these partitions from now on. Done at once.
    Assign(Vec<TopicPartition>),
    /// Consumer: becomes a member of its group, which shares the partitions of these topics among its members. Done at once.
    /// No topics ends the membership; that is done when what it has is given up.
    Subscribe(Vec<Str>),
    /// Consumer: the same, with every topic that matches, also those that are created later and found when metadata is next
    /// asked for (`metadata.max.age.ms`). While it is so, all topics are asked for, which creates none.
    SubscribePattern(TopicPattern),
    /// Consumer: done when something happens to the partitions that its group gives it, with [`crate::Answer::Rebalance`]. Whoever
    /// listened once is waited for, as Kafka's clients wait for their `ConsumerRebalanceListener`: until it listens again it has
    /// what is to be revoked, and can commit it; polls bring no records; after `max.poll.interval.ms` it leaves the group. It is
    /// waited for, too, while the client closes or the subscription ends.
    Listen,
    /// Consumer: commits offsets for its group; `None` commits the position in every partition. Done when the coordinator
    /// has them.
    Commit(Option<Vec<(TopicPartition, Position)>>),
    /// Consumer: where its group is in these partitions.
    Committed(Vec<TopicPartition>),
    /// Consumer: goes on reading elsewhere. Done at once, as in Kafka: where the position really is shows in the next poll.
    Seek(TopicPartition, SeekTo),
    /// Consumer: keeps positions, gives no records. Done at once.
    Pause(Vec<TopicPartition>),
    /// Consumer: the opposite of `Pause`. Done at once.
    Resume(Vec<TopicPartition>),
    /// Consumer: at most `max.poll.records`; empty when there were none for so long.
    Poll {
        /// How long to wait for records.
        timeout_ms: i64,
    },
    /// Consumer: where the next record of a partition will come from.
    Position(TopicPartition),
    /// Any client: the partitions of a topic as metadata tells them.
    PartitionsFor(Str),
    /// Admin: changes or describes the cluster.
    Admin(AdminCall),
    /// Ends the client: waits so long for records under way, commits and leaves its group, then closes its connections. Later
    /// operations are refused.
    Close {
        /// 0 gives up at once.
        timeout_ms: i64,
    },
}

/// A record as an application hands it to a producer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProducerRecord {
    /// Where to.
    pub topic: Str,
    /// Overrides the partitioner.
    pub partition: Option<i32>,
    /// The producer's clock if absent.
    pub timestamp: Option<WallMs>,
    /// Decides the partition unless it is absent.
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In order; names may repeat.
    pub headers: Vec<(Str, Option<Bytes>)>,
}

/// Where a consumer goes on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// At this offset.
    Offset(Offset),
    /// At the first record there is.
    Beginning,
    /// At the end: only what comes later (under `read_committed` at the last stable offset).
    End,
    /// At the first record that is not older; at the end if there is none.
    Timestamp(WallMs),
}
