//! What the committed metadata says of this node's replicas: assigned, led by another, taken away, configured anew.

use ordered::{Map, Set};
use protocol::{ErrorCode, Now, Uuid};
use storage::DirId;

use super::Phase;
use crate::event::Event;
use crate::image::ResourceType;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::partition::{PartitionKey, Sight};

impl Node {
    /// A broker is fenced, leaves or is gone: who was about to join an ISR does not keep its high watermark back any more.
    pub(crate) fn broker_changed(&mut self, now: Now, out: &mut Outbox) {
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let mut moved = Vec::new();
        for partition in self.partitions.iter_mut().filter(|it| it.has_followers()) {
            let visible = partition.reveal(sight);
            if visible > 0 || partition.has_parked_deletes() {
                moved.push((partition.log, visible));
            }
        }
        for (log, visible) in moved {
            self.revealed_in(log, visible, out);
        }
    }

    /// A partition was created, or has another leader, epoch or set of replicas.
    pub(crate) fn partition_changed(&mut self, now: Now, topic_id: Uuid, partition: i32, out: &mut Outbox) {
        // Until the registration is committed, the image is not complete: what it has then is mounted at once.
        if matches!(self.life.phase, Phase::Cold | Phase::Replaying | Phase::Registering | Phase::CatchingUp) {
            return;
        }
        let key = PartitionKey { topic_id, partition };
        if self.partitions.get(&key).is_none() {
            return self.mount(now, key, out);
        }
        let image = self.image.topic_by_id(topic_id).and_then(|topic| topic.partitions.get(&partition));
        let (Some(image), Some(partition)) = (image, self.partitions.get_mut(&key)) else { return };
        if !image.replicas.contains(&self.config.node_id) {
            return self.replica_removed(key, out);
        }
        let turn = partition.assigned(now.mono, image, &mut self.ops, out);
        let is_moving = partition.future().is_some();
        let (topic, isr, has_followers) =
            (partition.topic.clone(), partition.isr().to_vec(), partition.has_followers());
        let epoch = (turn.is_new && partition.leads()).then_some(image.leader_epoch);
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let (log, visible, has_deletes) = (partition.log, partition.reveal(sight), partition.has_parked_deletes());
        self.groups.touch(&topic, key);
        if turn.is_new {
            self.watch.changed(key);
            self.refollow(key);
            if has_followers {
                self.watch.hurry(now.mono);
            }
        }
        if let Some(leader_epoch) = epoch {
            out.emit(|| Event::Leads { topic, partition: key.partition, leader_epoch, isr });
        } else if turn.is_other_isr && has_followers {
            out.emit(|| Event::Isr { topic, partition: key.partition, isr });
        }
        for (id, slot) in turn.abandoned {
            self.fail_parked(id, slot, ErrorCode::NotLeaderOrFollower, out);
        }
        if visible > 0 || has_deletes {
            self.revealed_in(log, visible, out);
        }
        if has_followers {
            self.arm_lag(now);
        }
        if is_moving {
            self.drive_moves(now, out);
        }
    }

    /// A reassignment has moved the replica to another broker.
    fn replica_removed(&mut self, key: PartitionKey, out: &mut Outbox) {
        self.life.found.remove(&key);
        self.fetchers.follow(key, None);
        self.watch.changed(key);
        self.groups.touch_all();
        for (id, slot) in self.partitions.remove(key, &mut self.ops, out) {
            self.fail_parked(id, slot, ErrorCode::NotLeaderOrFollower, out);
        }
    }

    pub(crate) fn topic_removed(&mut self, topic_id: Uuid, out: &mut Outbox) {
        self.life.chosen.retain(|key, _| key.topic_id != topic_id);
        self.life.found.retain(|key, _| key.topic_id != topic_id);
        self.life.sought.retain(|key, _| key.topic_id != topic_id);
        self.life.copied.retain(|key, _| key.topic_id != topic_id);
        self.groups.touch_all();
        let keys: Vec<_> = self.partitions.of_topic(topic_id).collect();
        let Some(name) = keys.first().and_then(|key| self.partitions.get(key)).map(|it| it.topic.clone()) else {
            return;
        };
        // Another topic of this name must not take over how far this one was cleaned.
        let cleaned = keys.iter().filter_map(|key| self.partitions.get(key)).filter(|it| it.cleaned_to().is_some());
        let cleaned: Set<DirId> = cleaned.map(|it| it.dir).collect();
        for key in keys {
            self.watch.changed(key);
            self.fetchers.follow(key, None);
            let parked = self.partitions.remove(key, &mut self.ops, out);
            for (id, slot) in parked {
                self.fail_parked(id, slot, ErrorCode::UnknownTopicOrPartition, out);
            }
        }
        for dir in cleaned {
            self.write_cleaner_offsets(dir, out);
        }
        out.emit(|| Event::TopicDeleted { topic: name, id: topic_id });
    }

    pub(crate) fn config_changed(&mut self, now: Now, resource_type: i8, name: &str) {
        let is_topic = resource_type == ResourceType::Topic.id();
        self.throttles.renew(&self.config, &self.image);
        let mut resolved = Map::new();
        for partition in self.partitions.iter_mut() {
            if is_topic && partition.topic != *name {
                continue;
            }
            let config = resolved
                .entry(partition.topic.clone())
                .or_insert_with(|| self.config.topic(&self.image, &partition.topic));
            partition.config = config.clone();
        }
        self.arm_cleaner(now);
    }
}
