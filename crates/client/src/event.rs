//! What happened inside a client, for people.

use protocol::{ErrorCode, NodeId, Offset, ProducerEpoch, ProducerId, Str, TopicPartition};

use crate::input::OpId;
use crate::wire::ApiKey;

/// Something that happened inside a client. Facts, not instructions: dropping them changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Metadata came in.
    MetadataUpdated {
        /// How many brokers it names.
        brokers: usize,
        /// Which topics it describes.
        topics: Vec<Str>,
    },
    /// The client gave up a connection: it was refused, reset, or silent for `request.timeout.ms`.
    Disconnected {
        /// Which broker; bootstrap servers are -1, -2, …
        node: NodeId,
        /// How many requests on it have no answer.
        unanswered: usize,
    },
    /// A record was given its partition.
    Partitioned {
        /// The record.
        op: OpId,
        /// Its partition.
        partition: TopicPartition,
        /// Why this one.
        why: PartitionChoice,
    },
    /// The producer was given an id.
    ProducerIdAssigned {
        /// The id.
        producer_id: ProducerId,
        /// Its epoch.
        epoch: ProducerEpoch,
    },
    /// The producer raised its own epoch: it lost track of what the log holds, sequences begin at 0.
    ProducerEpochBumped {
        /// The id.
        producer_id: ProducerId,
        /// The new epoch.
        epoch: ProducerEpoch,
    },
    /// A batch left.
    BatchSent {
        /// Where to.
        partition: TopicPartition,
        /// Records in it.
        records: usize,
        /// First sequence number, if idempotent.
        base_sequence: Option<i32>,
        /// 1 for the first time.
        attempt: u32,
    },
    /// A batch is acknowledged.
    BatchAcked {
        /// Where it is.
        partition: TopicPartition,
        /// Its first offset, if told.
        base_offset: Option<Offset>,
        /// Records in it.
        records: usize,
    },
    /// A batch will be sent again.
    BatchRetried {
        /// Where to.
        partition: TopicPartition,
        /// First sequence number, if idempotent.
        base_sequence: Option<i32>,
        /// Why; `None` when the connection broke or no answer came.
        error: Option<ErrorCode>,
    },
    /// A batch was given up.
    BatchFailed {
        /// Where it was to go.
        partition: TopicPartition,
        /// Records in it.
        records: usize,
        /// Why, for people.
        why: String,
    },
    /// The consumer looked up or was given a new position by its reset policy, a seek, or the broker.
    PositionReset {
        /// Which partition.
        partition: TopicPartition,
        /// Where it goes on.
        offset: Offset,
    },
    /// The log ended before the consumer's position, in an older epoch: records it may have read are gone (KIP-320).
    Truncated {
        /// Which partition.
        partition: TopicPartition,
        /// Where the consumer was.
        position: Offset,
        /// Where the logs part.
        diverged_at: Offset,
    },
    /// A partition could not be read for a moment.
    FetchRefused {
        /// Which partition.
        partition: TopicPartition,
        /// What the broker said.
        error: ErrorCode,
    },
    /// Something happened to the consumer's membership in its group.
    Group(GroupEvent),
}

/// Something that happened to a consumer's membership.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupEvent {
    /// It knows its coordinator.
    Coordinator {
        /// Who it is.
        node: NodeId,
    },
    /// It is in the group, in a generation (classic) or at a member epoch (KIP-848).
    Joined {
        /// Generation or member epoch.
        epoch: i32,
        /// Its id in the group.
        member_id: Str,
        /// It is the one that assigns (classic).
        is_leader: bool,
    },
    /// It must join again, or reconcile.
    Rejoins {
        /// Why, for people.
        why: &'static str,
    },
    /// It reads these partitions from now on. Told even when there are none.
    Assigned {
        /// Generation or member epoch.
        epoch: i32,
        /// What came to what it had.
        partitions: Vec<TopicPartition>,
    },
    /// It has given up these partitions in good order.
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// These partitions were taken from it: it is not in the group any more.
    Lost {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// Offsets leave for the coordinator, for the first time.
    Commits {
        /// Which commit of this client's.
        id: u64,
        /// What its application asked for, if it did.
        op: Option<OpId>,
        /// Which.
        offsets: Vec<(TopicPartition, Offset)>,
    },
    /// Offsets are committed.
    Committed {
        /// Which commit of this client's.
        id: u64,
        /// Which.
        offsets: Vec<(TopicPartition, Offset)>,
    },
    /// Offsets are not committed, or nobody knows.
    CommitFailed {
        /// Which commit of this client's.
        id: u64,
        /// Which.
        offsets: Vec<(TopicPartition, Offset)>,
        /// What the coordinator said; `None` when an attempt was not answered, or not for good.
        error: Option<ErrorCode>,
    },
    /// The coordinator told where the group is in a partition.
    Found {
        /// Which.
        partition: TopicPartition,
        /// The committed offset, if there is one.
        offset: Option<Offset>,
    },
    /// The coordinator refused it.
    Refused {
        /// Which request.
        api: ApiKey,
        /// In which words.
        error: ErrorCode,
    },
    /// It leaves the group by itself.
    Leaves {
        /// Why, for people.
        why: &'static str,
    },
}

/// Why a record goes to its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionChoice {
    /// The application named it.
    Named,
    /// murmur2 of the key, modulo the number of partitions.
    Key {
        /// The hash, made positive.
        hash: i32,
        /// The number of partitions.
        partitions: i32,
    },
    /// No key: the partition that the producer sticks to until it has sent it `batch.size` bytes (KIP-794).
    Sticky,
}
