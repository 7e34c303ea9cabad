//! What checks look at after every input: cheaper than a view, which is put together to be shown.

use ordered::Set;
use protocol::{FileId, LeaderEpoch, NodeId, Offset, Str, TopicPartition, Uuid};
use storage::LogId;

use crate::coordinator::{OFFSETS_TOPIC, partition_of};
use crate::image::Image;
use crate::node::Node;
use crate::partition::PartitionKey;

/// What a coordinator says of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTold {
    /// In Kafka's words.
    pub state: Str,
    /// Its members: `client.id` and member id.
    pub members: Vec<(Str, Str)>,
}

/// What a coordinator goes by when it decides about a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coordinated {
    /// Generation, or epoch of the group.
    pub epoch: i32,
    /// Members of the classic protocol alone, or of KIP-848 too.
    pub is_classic: bool,
    /// Who is in it.
    pub members: Vec<CoordinatedMember>,
    /// For which epoch partitions were divided (KIP-848).
    pub assignment_epoch: i32,
    /// What each member is to have (KIP-848): topic and partition.
    pub targets: Vec<(Str, Vec<(Uuid, i32)>)>,
    /// The topics that each member subscribes to and that are there (KIP-848).
    pub subscribed: Vec<(Str, Vec<Uuid>)>,
}

/// A member as its coordinator goes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatedMember {
    /// Its id.
    pub id: Str,
    /// The generation in which alone it is heard, if there is such: whoever speaks the classic protocol to a group of KIP-848, and
    /// a static member that missed a rebalance, may believe in another one and hears that it is over.
    pub generation: Option<i32>,
}

impl Node {
    /// A group of whose partition of the offsets topic this node is, or believes to be, the leader: which that is, in which
    /// epoch, and the group once the partition is loaded, if it is there.
    pub fn coordinated(&self, id: &Str) -> Option<(i32, LeaderEpoch, Option<Coordinated>)> {
        let topic = self.image.topic(OFFSETS_TOPIC)?;
        let partition = partition_of(id, topic.partitions.len());
        let shard = self.groups.get(&PartitionKey { topic_id: topic.id, partition })?;
        let told = shard.check().ok().and_then(|()| shard.coordinated(id, &self.image));
        Some((partition, shard.leader_epoch(), told))
    }

    /// What is committed of a group that is coordinated here, as OffsetFetch would tell it; `None` while its partition of the
    /// offsets topic is not loaded.
    pub fn committed_offsets(&self, id: &Str) -> Option<Vec<(TopicPartition, Offset)>> {
        let topic = self.image.topic(OFFSETS_TOPIC)?;
        let partition = partition_of(id, topic.partitions.len());
        let shard = self.groups.get(&PartitionKey { topic_id: topic.id, partition })?;
        shard.check().ok()?;
        Some(shard.committed_offsets(id, &self.image))
    }

    /// The committed metadata, as far as this node has it.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Of its registration as a broker; -1 or 0 before it.
    pub fn broker_epoch(&self) -> i64 {
        self.life.broker_epoch()
    }

    /// Everything below is committed in the metadata log, as far as this node has heard.
    pub fn quorum_high_watermark(&self) -> Offset {
        self.quorum.high_watermark()
    }

    /// While a replica's log here is being cut: what goes, as [`storage::Shape::cut`] tells it.
    pub fn cut_of(&self, log: LogId) -> Option<Vec<(FileId, u32)>> {
        self.partitions.iter().find(|it| it.log == log)?.cut()
    }

    /// Up to where a replica here is written, and its high watermark; `None` while its log is not ready.
    pub fn replica_ends(&self, topic_id: Uuid, partition: i32) -> Option<(Offset, Offset)> {
        self.partitions.get(&PartitionKey { topic_id, partition })?.ends()
    }

    /// A group that is coordinated here, as ListGroups and DescribeGroups would tell it.
    pub fn group(&self, id: &Str) -> Option<GroupTold> {
        let topic = self.image.topic(OFFSETS_TOPIC)?;
        for shard in self.groups.shards(topic.id).filter(|it| it.check().is_ok()) {
            let mut listed = Vec::new();
            shard.list(&Set::new(), &Set::new(), &mut listed);
            let Some(found) = listed.into_iter().find(|it| it.group_id == *id) else { continue };
            return Some(GroupTold { state: found.group_state, members: shard.members_of(id) });
        }
        None
    }

    /// What each fetcher fetches: topic, partition, and from whom.
    pub fn fetches(&self) -> impl Iterator<Item = (Uuid, i32, NodeId)> + '_ {
        self.fetchers.all().map(|(leader, key)| (key.topic_id, key.partition, leader))
    }
}
