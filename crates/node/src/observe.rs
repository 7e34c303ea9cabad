//! What checks look at after every input: cheaper than a view, which is put together to be shown.

use protocol::{FileId, NodeId, Offset, Uuid};
use storage::LogId;

use crate::image::Image;
use crate::node::Node;
use crate::partition::PartitionKey;

impl Node {
    /// The committed metadata, as far as this node has it.
    pub fn image(&self) -> &Image {
        &self.image
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

    /// What each fetcher fetches: topic, partition, and from whom.
    pub fn fetches(&self) -> impl Iterator<Item = (Uuid, i32, NodeId)> + '_ {
        self.fetchers.all().map(|(leader, key)| (key.topic_id, key.partition, leader))
    }
}
