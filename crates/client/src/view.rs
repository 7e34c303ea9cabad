//! What a client knows, as plain data: what a real client's process could tell about itself, nothing more.

use protocol::{Instant, LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, Str, TopicPartition};

use crate::config::GroupProtocol;
use crate::input::{ConnId, OpId};
use crate::wire::ApiKey;

/// All of it at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// `client.id`.
    pub client_id: Str,
    /// Connections, oldest first.
    pub connections: Vec<ConnectionView>,
    /// Operations with no outcome yet, by id.
    pub pending: Vec<PendingView>,
    /// The producer's side.
    pub producer: ProducerView,
    /// The consumer's side, in order of partitions.
    pub consumer: Vec<FetchView>,
    /// Its membership, if it has a group.
    pub group: Option<GroupView>,
    /// When metadata was last answered.
    pub metadata_at: Option<Instant>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionView {
    /// Its name.
    pub conn: ConnId,
    /// The broker; bootstrap servers are -1, -2, …
    pub node: NodeId,
    /// Where.
    pub host: Str,
    /// Where.
    pub port: u16,
    /// How far it has come.
    pub state: ConnectionState,
    /// Requests without an answer, oldest first.
    pub in_flight: Vec<InFlightView>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Being opened.
    Connecting,
    /// Open; the broker was asked which versions it speaks.
    Negotiating,
    /// In use.
    Ready,
}

/// A request without an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct InFlightView {
    /// Its correlation id.
    pub correlation_id: i32,
    /// Its API.
    pub api: ApiKey,
    /// When it left.
    pub sent_at: Instant,
    /// When the client gives up the connection for it.
    pub deadline: Instant,
}

/// An operation with no outcome yet.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingView {
    /// Which.
    pub op: OpId,
    /// How far it has come.
    pub state: PendingState,
}

/// How far an operation has come.
#[derive(Clone, Debug, PartialEq)]
pub enum PendingState {
    /// A record that has no partition yet: metadata is missing, or memory.
    Blocked,
    /// A record in a batch that is here.
    Buffered(TopicPartition),
    /// A record in a batch that was sent and has no answer.
    InFlight(TopicPartition),
    /// Anything else.
    Waiting,
}

/// The producer's side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProducerView {
    /// The id, once InitProducerId was answered.
    pub producer_id: Option<(ProducerId, ProducerEpoch)>,
    /// Bytes of `buffer.memory` in use.
    pub buffered_bytes: usize,
    /// Partitions with batches, in order.
    pub partitions: Vec<ProducerPartitionView>,
}

/// A partition that a producer writes to.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerPartitionView {
    /// Which.
    pub partition: TopicPartition,
    /// The sequence number of the next new batch.
    pub next_sequence: i32,
    /// Batches here, oldest first.
    pub queued: Vec<BatchView>,
    /// Batches without an answer, oldest first.
    pub in_flight: Vec<BatchView>,
}

/// A batch of a producer.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchView {
    /// Its records.
    pub records: Vec<OpId>,
    /// Its size in bytes, estimated while it is open.
    pub bytes: usize,
    /// Sequence number of its first record, once it has one.
    pub base_sequence: Option<i32>,
    /// How often it was sent.
    pub attempts: u32,
    /// When the producer gives it up (`delivery.timeout.ms`).
    pub expires_at: Instant,
}

/// A partition that a consumer reads.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchView {
    /// Which.
    pub partition: TopicPartition,
    /// The offset of the next record for the application, if known.
    pub position: Option<Offset>,
    /// The leader that the consumer believes in, and its epoch.
    pub leader: Option<(NodeId, LeaderEpoch)>,
    /// As the last answer told it.
    pub high_watermark: Option<Offset>,
    /// As the last answer told it.
    pub last_stable_offset: Option<Offset>,
    /// As the last answer told it.
    pub log_start: Option<Offset>,
    /// Records that are here and wait for a poll.
    pub buffered: usize,
    /// Set by the application.
    pub paused: bool,
    /// A fetch for it is under way.
    pub fetching: bool,
}

/// A consumer's membership in its group, as it believes.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// `group.id`.
    pub group: Str,
    /// `group.protocol`.
    pub protocol: GroupProtocol,
    /// Who assigns by which rule, once that is settled.
    pub assignor: Option<Str>,
    /// The topics it subscribed to; empty for one that assigns itself.
    pub topics: Vec<Str>,
    /// Its id in the group; empty before it has one.
    pub member_id: Str,
    /// `group.instance.id`.
    pub instance: Option<Str>,
    /// Generation or member epoch; negative while it is in none.
    pub epoch: i32,
    /// Where it is in the protocol.
    pub state: MemberState,
    /// It is the one that assigns (classic).
    pub is_leader: bool,
    /// Whom it asks.
    pub coordinator: Option<NodeId>,
    /// What it has, in order.
    pub owned: Vec<TopicPartition>,
    /// Of those, what it is about to give up: it reads no more of them.
    pub releasing: Vec<TopicPartition>,
    /// What it was assigned and does not have yet.
    pub awaiting: Vec<TopicPartition>,
    /// The offsets that it knows to be committed.
    pub committed: Vec<(TopicPartition, Offset)>,
    /// When a heartbeat was answered last.
    pub heard_at: Option<Instant>,
    /// Without another poll until then it leaves the group (`max.poll.interval.ms`). `None` while it polls.
    pub poll_until: Option<Instant>,
}

/// Where a consumer is in the protocol of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It is no member.
    #[default]
    Outside,
    /// It commits and gives up partitions before it joins, or reconciles.
    Releasing,
    /// It waits for the others to join.
    Joining,
    /// It shares the partitions out, as the leader of the generation.
    Assigning,
    /// It waits for its assignment.
    Syncing,
    /// It is a member and has what it was assigned.
    Member,
    /// It says goodbye.
    Leaving,
    /// It was refused for good; its application must do something.
    Failed,
}

impl MemberState {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            MemberState::Outside => "outside",
            MemberState::Releasing => "releasing",
            MemberState::Joining => "joining",
            MemberState::Assigning => "assigning",
            MemberState::Syncing => "syncing",
            MemberState::Member => "member",
            MemberState::Leaving => "leaving",
            MemberState::Failed => "failed",
        }
    }
}
