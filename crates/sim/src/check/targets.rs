//! Whether what members of a group are to have is everything, once.

use bytes::Bytes;
use node::Coordinated;
use node::image::Image;
use ordered::Set;
use protocol::message::decode_versioned;
use protocol::messages::{ConsumerProtocolAssignment, SyncGroupRequest};
use protocol::{Str, TopicPartition};

use super::{Check, Checks, Verdict};
use crate::setup::PlantedBug;

impl Checks {
    /// The leader of a classic group has shared partitions out.
    pub(crate) fn shared_out(&mut self, event: u64, request: &SyncGroupRequest) {
        let mut seen = Set::new();
        for share in &request.assignments {
            for partition in partitions_of(&share.assignment) {
                let label = partition.to_string();
                if !seen.insert(partition) {
                    let what = format!("the leader of {} gives {label} to two members", request.group_id);
                    return self.find(event, Check::TargetOnce, Verdict::Bug, what);
                }
            }
        }
    }

    /// A coordinator has heard a member of KIP-848: does it know where each partition is to be?
    pub(crate) fn check_target(
        &mut self,
        event: u64,
        group: &Str,
        told: &Coordinated,
        image: &Image,
        bug: Option<PlantedBug>,
    ) {
        // A new division is on its way otherwise.
        if told.is_classic || told.epoch != told.assignment_epoch || told.members.is_empty() {
            return;
        }
        let Some(ledger) = self.groups.get_mut(group) else { return };
        if std::mem::replace(&mut ledger.target_epoch, told.assignment_epoch) == told.assignment_epoch {
            return;
        }
        let mut targets = told.targets.clone();
        if bug == Some(PlantedBug::ForgetsPartition) {
            targets.iter_mut().for_each(|(_, it)| it.truncate(it.len().saturating_sub(1)));
        }
        if let Some(what) = wrong_target(group, told, &targets, image) {
            self.find(event, Check::TargetOnce, Verdict::Bug, what);
        }
    }
}

/// What is wrong with what members are to have, if anything is.
fn wrong_target(
    group: &Str,
    told: &Coordinated,
    targets: &[(Str, Vec<(protocol::Uuid, i32)>)],
    image: &Image,
) -> Option<String> {
    let epoch = told.assignment_epoch;
    let label = |(topic, partition): &(protocol::Uuid, i32)| {
        let name = image.topic_by_id(*topic).map_or("?", |it| &it.name);
        format!("{name}-{partition} in epoch {epoch} of {group}")
    };
    let mut seen = Set::new();
    for (member, partitions) in targets {
        let subscribed = told.subscribed.iter().find(|(id, _)| id == member);
        for partition in partitions {
            if !subscribed.is_some_and(|(_, topics)| topics.contains(&partition.0)) {
                return Some(format!("{member} is to have {}, which is not of its topics", label(partition)));
            }
            if !seen.insert(*partition) {
                return Some(format!("two members are to have {}", label(partition)));
            }
        }
    }
    let topics: Set<protocol::Uuid> = told.subscribed.iter().flat_map(|it| &it.1).copied().collect();
    for topic in topics.iter().filter_map(|it| image.topic_by_id(*it)) {
        let missing = (0..topic.partitions.len() as i32).map(|it| (topic.id, it)).find(|it| !seen.contains(it));
        if let Some(partition) = missing {
            return Some(format!("nobody is to have {}", label(&partition)));
        }
    }
    None
}

/// The partitions of an assignment of the classic protocol; nothing if it is no consumer's.
fn partitions_of(assignment: &Bytes) -> Vec<TopicPartition> {
    let Ok((_, decoded)) = decode_versioned::<ConsumerProtocolAssignment>(assignment.clone()) else {
        return Vec::new();
    };
    let of = |it: protocol::messages::consumer_protocol_assignment::TopicPartition| {
        it.partitions.into_iter().map(move |partition| TopicPartition { topic: it.topic.clone(), partition })
    };
    decoded.assigned_partitions.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use protocol::messages::{PartitionRecord, TopicRecord};
    use protocol::{MetadataRecord, Offset, Uuid};

    use super::*;

    #[test]
    fn what_members_are_to_have_is_everything_once() {
        let mut image = Image::default();
        let topic = Uuid([7; 16]);
        let records = [
            MetadataRecord::Topic(TopicRecord { name: Str::from_static("t"), topic_id: topic }),
            MetadataRecord::Partition(PartitionRecord { topic_id: topic, partition_id: 0, ..Default::default() }),
            MetadataRecord::Partition(PartitionRecord { topic_id: topic, partition_id: 1, ..Default::default() }),
        ];
        for (offset, record) in records.iter().enumerate() {
            image.apply(Offset(offset as i64), record).expect("it is sound");
        }
        let wrong = |a: &[i32], b: &[i32]| {
            let of = |it: &[i32]| it.iter().map(|partition| (topic, *partition)).collect::<Vec<_>>();
            let (a, b) = ((Str::from_static("a"), of(a)), (Str::from_static("b"), of(b)));
            let told = Coordinated {
                subscribed: vec![(a.0.clone(), vec![topic]), (b.0.clone(), vec![topic])],
                ..Coordinated::default()
            };
            wrong_target(&Str::from_static("g"), &told, &[a, b], &image).is_some()
        };
        assert!(!wrong(&[0], &[1]));
        assert!(!wrong(&[0, 1], &[]));
        assert!(wrong(&[0, 1], &[1]), "twice");
        assert!(wrong(&[0], &[]), "left out");
    }
}
