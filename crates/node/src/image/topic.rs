//! Topics and partitions.

use ordered::SharedMap;
use protocol::{LeaderEpoch, NodeId, Str, Uuid};

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name, unique at any time.
    pub name: Str,
    /// Its id, never used twice.
    pub id: Uuid,
    /// Its partitions by number.
    pub partitions: SharedMap<i32, PartitionImage>,
}

/// A partition's replicas and leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionImage {
    /// Who has a copy, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the order of `replicas`; a reserved id while it is not known.
    pub directories: Vec<Uuid>,
    /// Who is in sync.
    pub isr: Vec<NodeId>,
    /// Copies that are being made.
    pub adding_replicas: Vec<NodeId>,
    /// Copies that go once the reassignment is done.
    pub removing_replicas: Vec<NodeId>,
    /// Who left the ISR below min.insync.replicas and still has every committed record (KIP-966).
    pub elr: Vec<NodeId>,
    /// The last member of an empty ELR (KIP-966).
    pub last_known_elr: Vec<NodeId>,
    /// The leader, if there is one.
    pub leader: Option<NodeId>,
    /// How often the leader changed.
    pub leader_epoch: LeaderEpoch,
    /// How often anything here changed.
    pub partition_epoch: i32,
    /// True while a leader that was elected uncleanly has not yet recovered.
    pub recovering: bool,
}

impl PartitionImage {
    /// The leader as Kafka's messages write it: -1 for none.
    pub fn leader_id(&self) -> i32 {
        self.leader.map_or(-1, |leader| leader.0)
    }

    /// The directory of a replica.
    pub fn directory_of(&self, replica: NodeId) -> Option<Uuid> {
        let position = self.replicas.iter().position(|it| *it == replica)?;
        self.directories.get(position).copied()
    }
}
