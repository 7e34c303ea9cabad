//! All partitions of the node, by topic id and number, and by log.

use ordered::Map;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Instant, NodeId, Offset, Str, TopicPartition, Uuid};
use storage::{DirId, LogId, LogSpec, StoreOp};

use super::append::rules_of;
use super::{Partition, PartitionKey, State};
use crate::config::TopicConfig;
use crate::deferred::RequestId;
use crate::gateway::produce::Slot;
use crate::image::PartitionImage;
use crate::ops::{Ops, Purpose};
use crate::outbox::Outbox;

/// A map whose clone shares every partition until one of the two changes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partitions {
    by_key: Map<PartitionKey, Arc<Partition>>,
    by_log: Map<LogId, PartitionKey>,
    /// The last log's number; 0 is the metadata log.
    last_log: u32,
    /// Folders of deleted topics that the store has not put aside yet, and mounts that wait for their names.
    removing: Map<TopicPartition, Option<(LogId, LogSpec)>>,
}

impl Partitions {
    /// Has the store mount a partition's log; `create` makes it where there is none.
    #[expect(clippy::too_many_arguments, reason = "each says one thing about the new replica")]
    pub(crate) fn mount(
        &mut self,
        key: PartitionKey,
        topic: Str,
        (dir, create): (DirId, bool),
        me: NodeId,
        image: &PartitionImage,
        config: TopicConfig,
        now: Instant,
        ops: &mut Ops,
        out: &mut Outbox,
    ) {
        if self.by_key.contains_key(&key) {
            return;
        }
        self.last_log += 1;
        let log = LogId(self.last_log);
        let spec = LogSpec {
            dir,
            topic: topic.clone(),
            partition: key.partition,
            topic_id: key.topic_id,
            create,
            synced: false,
            replicated: false,
            compacted: config.compact,
            segments: rules_of(&config).segments(),
        };
        let partition = Partition::mounting(now, key, topic, dir, log, me, image, config);
        self.by_key.insert(key, Arc::new(partition));
        self.by_log.insert(log, key);
        // Logs are lanes of their own: the new one must not find the folder of the old.
        match self.removing.get_mut(&TopicPartition { topic: spec.topic.clone(), partition: spec.partition }) {
            Some(postponed) => *postponed = Some((log, spec)),
            None => ops.start(Purpose::Mount(log), StoreOp::Mount(log, spec), out),
        }
    }

    /// Knows a replica whose directory is gone.
    #[expect(clippy::too_many_arguments, reason = "each says one thing about the replica")]
    pub(crate) fn add_lost(
        &mut self,
        key: PartitionKey,
        topic: Str,
        dir: DirId,
        me: NodeId,
        image: &PartitionImage,
        config: TopicConfig,
        now: Instant,
    ) {
        if self.by_key.contains_key(&key) {
            return;
        }
        self.last_log += 1;
        let log = LogId(self.last_log);
        let mut partition = Partition::mounting(now, key, topic, dir, log, me, image, config);
        partition.state = State::Offline;
        self.by_key.insert(key, Arc::new(partition));
        self.by_log.insert(log, key);
    }

    /// Forgets a replica whose log was looked for and is not there.
    pub(crate) fn forget(&mut self, key: PartitionKey) {
        if let Some(partition) = self.by_key.remove(&key) {
            self.by_log.remove(&partition.log);
        }
    }

    /// True if a log waits for the name of this one, which is gone, or no other is on its way out.
    pub(crate) fn is_next_of(&self, name: &TopicPartition) -> bool {
        self.removing.len() <= 1 || self.removing.get(name).is_some_and(Option::is_some)
    }

    /// A deleted topic's folder is out of the way.
    pub(crate) fn removed(&mut self, name: &TopicPartition, ops: &mut Ops, out: &mut Outbox) {
        if let Some(Some((log, spec))) = self.removing.remove(name) {
            ops.start(Purpose::Mount(log), StoreOp::Mount(log, spec), out);
        }
    }

    /// Removes a deleted topic's partition with its log. Answers who waited for it.
    pub(crate) fn remove(&mut self, key: PartitionKey, ops: &mut Ops, out: &mut Outbox) -> Vec<(RequestId, Slot)> {
        let Some(mut partition) = self.by_key.remove(&key) else { return Vec::new() };
        self.by_log.remove(&partition.log);
        let partition = Arc::make_mut(&mut partition);
        let name = TopicPartition { topic: partition.topic.clone(), partition: key.partition };
        if let Some(postponed) = self.removing.get_mut(&name) {
            // It never got a folder.
            *postponed = None;
        } else if !matches!(partition.state, State::Offline) {
            self.removing.insert(name.clone(), None);
            let purpose = Purpose::Remove(partition.log, partition.dir, name);
            ops.start(purpose, StoreOp::Remove(partition.log), out);
        }
        partition.go_offline()
    }

    pub(crate) fn get(&self, key: &PartitionKey) -> Option<&Partition> {
        self.by_key.get(key).map(|partition| &**partition)
    }

    pub(crate) fn get_mut(&mut self, key: &PartitionKey) -> Option<&mut Partition> {
        self.by_key.get_mut(key).map(Arc::make_mut)
    }

    pub(crate) fn by_log(&self, log: LogId) -> Option<&Partition> {
        self.get(self.by_log.get(&log)?)
    }

    pub(crate) fn by_log_mut(&mut self, log: LogId) -> Option<(PartitionKey, &mut Partition)> {
        let key = *self.by_log.get(&log)?;
        Some((key, self.get_mut(&key)?))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.by_key.values().map(|partition| &**partition)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.by_key.values_mut().map(Arc::make_mut)
    }

    /// How many logs a directory holds.
    pub(crate) fn count(&self, dir: DirId) -> usize {
        self.iter().filter(|partition| partition.dir == dir).count()
    }

    /// The partitions of a topic.
    pub(crate) fn of_topic(&self, topic_id: Uuid) -> impl Iterator<Item = PartitionKey> {
        let range = PartitionKey { topic_id, partition: i32::MIN }..=PartitionKey { topic_id, partition: i32::MAX };
        self.by_key.range(range).map(|(key, _)| *key)
    }

    /// True while a log is not ready.
    pub(crate) fn is_any_mounting(&self) -> bool {
        self.iter().any(Partition::is_mounting)
    }

    /// The text of a checkpoint: an offset of each log of a directory that is ready, and the metadata log's.
    pub(crate) fn checkpoint(
        &self,
        dir: DirId,
        metadata: Option<Offset>,
        offset: impl Fn(&Partition) -> Offset,
    ) -> Bytes {
        let metadata =
            metadata.map(|offset| (TopicPartition { topic: Str::from_static(quorum::TOPIC), partition: 0 }, offset));
        let online = self.iter().filter(|partition| partition.is_online());
        let entries: Map<TopicPartition, Offset> = online
            .filter_map(|partition| {
                let held = partition.held_in(dir)?;
                let name = TopicPartition { topic: partition.topic.clone(), partition: partition.key.partition };
                Some((name, offset(partition).min(held)))
            })
            .chain(metadata)
            .collect();
        storage::meta::format_offsets(entries.iter().map(|(name, offset)| (name, *offset)))
    }
}
