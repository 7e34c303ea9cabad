//! Who leads a partition when brokers come and go, and who is still known to have its records (KIP-966).

use protocol::messages::{MetadataRecord, PartitionChangeRecord};
use protocol::{NodeId, Uuid};

use super::{Controller, features};
use crate::config::Config;
use crate::image::{PartitionImage, TopicImage};

const NO_LEADER: i32 = -1;
/// `LeaderRecoveryState`: the leader may lack records that were committed.
const RECOVERING: i8 = 1;

impl Controller {
    /// A broker can no longer lead, nor be in sync.
    pub(super) fn leave_partitions(&self, config: &Config, broker: NodeId) -> Vec<MetadataRecord> {
        self.change_partitions(|topic, partition| {
            if !partition.isr.contains(&broker) && partition.leader != Some(broker) {
                return None;
            }
            let min_isr = self.min_isr(config, topic, partition);
            Some(leave(partition, broker, min_isr, |node| node != broker && self.image().is_active(node)))
        })
    }

    /// A broker lost what it had not synced: it is in no partition's set of eligible leaders any more.
    pub(super) fn forget_eligible(&self, broker: NodeId, before: &[MetadataRecord]) -> Vec<MetadataRecord> {
        let mut image = self.image().clone();
        for record in before {
            // The records were decided on this image, so they apply to it.
            if image.apply(image.next_offset(), record).is_err() {
                return Vec::new();
            }
        }
        let seen = Controller { image, ..self.clone() };
        seen.change_partitions(|_, partition| {
            let mut elr = partition.elr.clone();
            elr.retain(|it| *it != broker);
            (elr != partition.elr)
                .then(|| PartitionChangeRecord { eligible_leader_replicas: Some(ids(&elr)), ..Default::default() })
        })
    }

    /// A broker can lead again: it takes the partitions that nobody leads and that it may.
    pub(super) fn join_partitions(&self, broker: NodeId) -> Vec<MetadataRecord> {
        self.change_partitions(|_, partition| if partition.leader.is_none() { join(partition, broker) } else { None })
    }

    /// The effective minimum: never more than there are replicas.
    fn min_isr(&self, config: &Config, topic: &TopicImage, partition: &PartitionImage) -> Option<usize> {
        if self.image().feature(features::ELR) == 0 {
            return None;
        }
        let configured = config.topic(self.image(), &topic.name).min_insync_replicas;
        Some(usize::try_from(configured).unwrap_or(1).min(partition.replicas.len()))
    }

    fn change_partitions(
        &self,
        change: impl Fn(&TopicImage, &PartitionImage) -> Option<PartitionChangeRecord>,
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for topic in self.image().topics() {
            for (index, partition) in topic.partitions.iter() {
                if let Some(record) = change(topic, partition) {
                    records.push(of_partition(topic.id, *index, record).into());
                }
            }
        }
        records
    }
}

fn of_partition(topic_id: Uuid, partition_id: i32, record: PartitionChangeRecord) -> PartitionChangeRecord {
    PartitionChangeRecord { topic_id, partition_id, ..record }
}

/// `min_isr` is `None` while eligible leader replicas are off: then the last member of an ISR stays in it.
fn leave(
    partition: &PartitionImage,
    broker: NodeId,
    min_isr: Option<usize>,
    is_active: impl Fn(NodeId) -> bool,
) -> PartitionChangeRecord {
    let mut isr = partition.isr.clone();
    let mut elr = partition.elr.clone();
    isr.retain(|it| *it != broker);
    match min_isr {
        None if isr.is_empty() => isr = partition.isr.clone(),
        None => {}
        Some(min_isr) if isr.len() >= min_isr => elr.clear(),
        Some(_) if partition.isr.contains(&broker) && !elr.contains(&broker) => elr.push(broker),
        Some(_) => {}
    }
    let leader = match partition.leader {
        Some(leader) if leader == broker => {
            partition.replicas.iter().copied().find(|it| isr.contains(it) && is_active(*it))
        }
        other => other,
    };
    let mut record = PartitionChangeRecord::default();
    if isr != partition.isr {
        record.isr = Some(ids(&isr));
    }
    if elr != partition.elr {
        record.eligible_leader_replicas = Some(ids(&elr));
    }
    if leader != partition.leader {
        record.leader = leader.map_or(NO_LEADER, |it| it.0);
    }
    // Who led last is remembered in case that nobody is left who is known to have everything.
    if let (None, Some(last), Some(_)) = (leader, partition.leader, min_isr) {
        record.last_known_elr = Some(vec![last.0]);
    }
    record
}

fn join(partition: &PartitionImage, broker: NodeId) -> Option<PartitionChangeRecord> {
    let mut record = PartitionChangeRecord { leader: broker.0, ..PartitionChangeRecord::default() };
    if partition.isr.contains(&broker) {
        // Still in sync: nothing but the leader changes.
    } else if partition.elr.contains(&broker) {
        let mut elr = partition.elr.clone();
        elr.retain(|it| *it != broker);
        record.isr = Some(vec![broker.0]);
        record.eligible_leader_replicas = Some(ids(&elr));
    } else if partition.isr.is_empty() && partition.elr.is_empty() && partition.last_known_elr.contains(&broker) {
        // The last leader is the best there is, though it may have lost what it had not synced.
        record.isr = Some(vec![broker.0]);
        record.leader_recovery_state = RECOVERING;
    } else {
        return None;
    }
    if !partition.last_known_elr.is_empty() {
        record.last_known_elr = Some(Vec::new());
    }
    Some(record)
}

fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}
