//! What happened, for people: the lab's narration, checks and logs read events, never the state.

use protocol::{LeaderEpoch, NodeId, Offset, Str, Uuid};

use storage::CleanStats;

use crate::input::ConnId;

/// Something that happened inside a node. Facts, not instructions: dropping them changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The node serves requests.
    Started,
    /// A controlled shutdown began.
    Stopping,
    /// Records were given offsets (not yet written).
    Appended {
        /// Topic.
        topic: Str,
        /// Partition.
        partition: i32,
        /// First offset.
        base_offset: Offset,
        /// One past the last offset.
        next_offset: Offset,
        /// The leader's epoch.
        leader_epoch: LeaderEpoch,
    },
    /// At the leader: readers and acks=all may pass. A new leader's may begin below the old one's, which it hears of one fetch
    /// late.
    HighWatermark {
        /// Topic.
        topic: Str,
        /// Partition.
        partition: i32,
        /// The new high watermark (exclusive).
        offset: Offset,
    },
    /// A follower's log was cut: its leader's parts from it there.
    Truncated {
        /// Topic.
        topic: Str,
        /// Partition.
        partition: i32,
        /// The first offset that is gone.
        offset: Offset,
    },
    /// This broker leads a partition from now on, by an election or again after it started.
    Leads {
        /// Topic.
        topic: Str,
        /// Partition.
        partition: i32,
        /// The epoch that begins.
        leader_epoch: LeaderEpoch,
        /// Who is in sync.
        isr: Vec<NodeId>,
    },
    /// This node leads the metadata quorum: it is the active controller.
    Controls {
        /// The quorum's epoch that begins.
        epoch: LeaderEpoch,
    },
    /// At the active controller: a broker leads nothing any more.
    BrokerFenced {
        /// Which.
        broker: NodeId,
        /// What the controller knows, for people.
        why: Str,
    },
    /// A leader has taken note of another ISR.
    Isr {
        /// Topic.
        topic: Str,
        /// Partition.
        partition: i32,
        /// Who is in sync.
        isr: Vec<NodeId>,
    },
    /// The start of a log moved up.
    LogStart {
        /// Topic.
        topic: Str,
        /// Partition.
        partition: i32,
        /// The new first offset.
        offset: Offset,
    },
    /// Compaction went through a log.
    Cleaned {
        /// Topic.
        topic: Str,
        /// Partition.
        partition: i32,
        /// Everything below was looked at (exclusive).
        end: Offset,
        /// What it did.
        stats: CleanStats,
        /// How long it took, waits for its limit included.
        took_ms: u64,
    },
    /// A retry was recognised and answered with its old offset.
    Deduplicated {
        /// Topic.
        topic: Str,
        /// Partition.
        partition: i32,
        /// The offset it had the first time.
        base_offset: Offset,
    },
    /// A topic was created.
    TopicCreated {
        /// Its name.
        topic: Str,
        /// How many partitions.
        partitions: i32,
    },
    /// A topic was deleted.
    TopicDeleted {
        /// Its name, which another one may have by now.
        topic: Str,
        /// Its id.
        id: Uuid,
    },
    /// A request was refused with a Kafka error code; `what` names it.
    Refused {
        /// The connection.
        conn: ConnId,
        /// The API and what was wrong, for people.
        what: String,
    },
    /// A log directory went offline; the node goes on with the others.
    StorageFailed {
        /// What the disk said.
        what: String,
    },
    /// Something that people should look at, and that the node can live with: a log that was cut by recovery or lost a file, a
    /// read that failed.
    Warning {
        /// What, and where.
        what: String,
    },
    /// The node cannot go on and stops.
    Failed {
        /// Why, and what to do.
        what: String,
    },
}
