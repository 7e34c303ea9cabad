//! What is written down of a group of the consumer protocol (KIP-848): records of `__consumer_offsets` in the schemas and
//! versions of Apache Kafka 4.3.

use bytes::Bytes;
use protocol::message::{Message, decode_from, decode_versioned, encode_typed, encode_versioned};
use protocol::messages::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey, ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
};
use protocol::messages::{
    consumer_group_current_member_assignment_value as current, consumer_group_target_assignment_member_value as target,
};
use protocol::{Decoder, ProtocolError, Str};

use super::member::{Current, MemberState, Owned};
use crate::partition::PartitionKey;

/// Types of records: the two bytes before a key.
pub(in crate::coordinator) const GROUP: i16 = 3;
const TOPICS: i16 = 4;
const MEMBER: i16 = 5;
const TARGET: i16 = 6;
const TARGET_OF: i16 = 7;
const CURRENT: i16 = 8;
const PATTERN: i16 = 16;

/// One record: something of a group is so from now on, or (`None`) is no more.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::coordinator) enum ConsumerChange {
    /// The group's epoch, and the hash of the topics that it is about.
    Group(Option<(i32, i64)>),
    /// What releases before 4.1 wrote of the topics, instead of a hash; true if it is there. Only its end is written.
    Topics(bool),
    /// What a member asks for.
    Member(Str, Option<Box<ConsumerGroupMemberMetadataValue>>),
    /// The epoch for which the partitions were divided, and when, in milliseconds since 1970.
    Target(Option<(i32, i64)>),
    /// A member's part of that.
    TargetOf(Str, Option<Vec<PartitionKey>>),
    /// What a member has by now.
    Current(Str, Option<Box<Current>>),
    /// The topics that a regular expression stands for.
    Pattern(Str, Option<ConsumerGroupRegularExpressionValue>),
}

impl ConsumerChange {
    /// True if something ends.
    pub(in crate::coordinator) fn is_end(&self) -> bool {
        match self {
            ConsumerChange::Group(it) => it.is_none(),
            ConsumerChange::Topics(it) => !it,
            ConsumerChange::Member(_, it) => it.is_none(),
            ConsumerChange::Target(it) => it.is_none(),
            ConsumerChange::TargetOf(_, it) => it.is_none(),
            ConsumerChange::Current(_, it) => it.is_none(),
            ConsumerChange::Pattern(_, it) => it.is_none(),
        }
    }

    /// Key and value as they are written.
    pub(in crate::coordinator) fn encode(&self, group: &Str) -> Result<(Bytes, Option<Bytes>), ProtocolError> {
        let group_id = group.clone();
        match self {
            ConsumerChange::Group(value) => {
                let value = value.map(|(epoch, metadata_hash)| ConsumerGroupMetadataValue { epoch, metadata_hash });
                record(ConsumerGroupMetadataKey { group_id }, GROUP, value)
            }
            ConsumerChange::Topics(is_there) => {
                assert!(!is_there, "the topics of a group are told by a hash");
                record::<_, ConsumerGroupMetadataValue>(ConsumerGroupPartitionMetadataKey { group_id }, TOPICS, None)
            }
            ConsumerChange::Member(member_id, value) => {
                let key = ConsumerGroupMemberMetadataKey { group_id, member_id: member_id.clone() };
                record(key, MEMBER, value.as_deref().cloned())
            }
            ConsumerChange::Target(value) => {
                let value = value.map(|(assignment_epoch, assignment_timestamp)| {
                    ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp }
                });
                record(ConsumerGroupTargetAssignmentMetadataKey { group_id }, TARGET, value)
            }
            ConsumerChange::TargetOf(member_id, value) => {
                let key = ConsumerGroupTargetAssignmentMemberKey { group_id, member_id: member_id.clone() };
                record(key, TARGET_OF, value.as_deref().map(target_value))
            }
            ConsumerChange::Current(member_id, value) => {
                let key = ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id: member_id.clone() };
                record(key, CURRENT, value.as_deref().map(current_value))
            }
            ConsumerChange::Pattern(pattern, value) => {
                let key = ConsumerGroupRegularExpressionKey { group_id, regular_expression: pattern.clone() };
                record(key, PATTERN, value.clone())
            }
        }
    }

    /// Reads a record behind the type of its key; `None` for one that is none of a group of this protocol.
    pub(in crate::coordinator) fn decode(
        record_type: i16,
        key: &mut Decoder,
        value: Option<Bytes>,
    ) -> Result<Option<(Str, ConsumerChange)>, ProtocolError> {
        Ok(Some(match record_type {
            GROUP => {
                let value = value_of::<ConsumerGroupMetadataValue>(value)?.map(|it| (it.epoch, it.metadata_hash));
                (decode_from::<ConsumerGroupMetadataKey>(key, 0)?.group_id, ConsumerChange::Group(value))
            }
            TOPICS => {
                let key: ConsumerGroupPartitionMetadataKey = decode_from(key, 0)?;
                (key.group_id, ConsumerChange::Topics(value.is_some()))
            }
            MEMBER => {
                let key: ConsumerGroupMemberMetadataKey = decode_from(key, 0)?;
                (key.group_id, ConsumerChange::Member(key.member_id, value_of(value)?.map(Box::new)))
            }
            TARGET => {
                let key: ConsumerGroupTargetAssignmentMetadataKey = decode_from(key, 0)?;
                let value = value_of::<ConsumerGroupTargetAssignmentMetadataValue>(value)?;
                let value = value.map(|it| (it.assignment_epoch, it.assignment_timestamp));
                (key.group_id, ConsumerChange::Target(value))
            }
            TARGET_OF => {
                let key: ConsumerGroupTargetAssignmentMemberKey = decode_from(key, 0)?;
                let value = value_of(value)?.map(target_of);
                (key.group_id, ConsumerChange::TargetOf(key.member_id, value))
            }
            CURRENT => {
                let key: ConsumerGroupCurrentMemberAssignmentKey = decode_from(key, 0)?;
                let value = value_of(value)?.map(current_of).map(Box::new);
                (key.group_id, ConsumerChange::Current(key.member_id, value))
            }
            PATTERN => {
                let key: ConsumerGroupRegularExpressionKey = decode_from(key, 0)?;
                (key.group_id, ConsumerChange::Pattern(key.regular_expression, value_of(value)?))
            }
            _ => return Ok(None),
        }))
    }
}

fn record<K: Message, V: Message>(
    mut key: K,
    record_type: i16,
    value: Option<V>,
) -> Result<(Bytes, Option<Bytes>), ProtocolError> {
    let key = encode_typed(&mut key, record_type, 0)?;
    let value = value.map(|mut value| encode_versioned(&mut value, 0)).transpose()?;
    Ok((key, value))
}

fn value_of<V: Message>(value: Option<Bytes>) -> Result<Option<V>, ProtocolError> {
    Ok(value.map(decode_versioned::<V>).transpose()?.map(|(_, value)| value))
}

fn target_value(partitions: &[PartitionKey]) -> ConsumerGroupTargetAssignmentMemberValue {
    let topic_partitions = by_topic(partitions.iter().map(|it| (*it, ())), |topic_id, partitions| {
        target::TopicPartition { topic_id, partitions: partitions.iter().map(|(partition, ())| *partition).collect() }
    });
    ConsumerGroupTargetAssignmentMemberValue { topic_partitions }
}

fn target_of(value: ConsumerGroupTargetAssignmentMemberValue) -> Vec<PartitionKey> {
    let mut partitions = Vec::new();
    for topic in value.topic_partitions {
        let topic_id = topic.topic_id;
        partitions.extend(topic.partitions.into_iter().map(|partition| PartitionKey { topic_id, partition }));
    }
    ordered::sort(&mut partitions);
    partitions.dedup();
    partitions
}

fn current_value(current: &Current) -> ConsumerGroupCurrentMemberAssignmentValue {
    ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: current.state.id(),
        assigned_partitions: owned_value(&current.assigned),
        partitions_pending_revocation: owned_value(&current.revoking),
    }
}

fn current_of(value: ConsumerGroupCurrentMemberAssignmentValue) -> Current {
    Current {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: MemberState::from_id(value.state),
        assigned: owned_of(value.assigned_partitions, value.member_epoch),
        revoking: owned_of(value.partitions_pending_revocation, value.member_epoch),
    }
}

fn owned_value(owned: &Owned) -> Vec<current::TopicPartitions> {
    by_topic(owned.iter().copied(), |topic_id, partitions| current::TopicPartitions {
        topic_id,
        partitions: partitions.iter().map(|(partition, _)| *partition).collect(),
        assignment_epochs: Some(partitions.iter().map(|(_, epoch)| *epoch).collect()),
    })
}

/// Releases before 4.3 noted no epochs of partitions: the member's is as good as was known.
fn owned_of(topics: Vec<current::TopicPartitions>, member_epoch: i32) -> Owned {
    let mut owned = Vec::new();
    for topic in topics {
        let epochs = topic.assignment_epochs.unwrap_or_default();
        let are_noted = epochs.len() == topic.partitions.len();
        for (index, partition) in topic.partitions.into_iter().enumerate() {
            let epoch = if are_noted { epochs[index] } else { member_epoch.max(0) };
            owned.push((PartitionKey { topic_id: topic.topic_id, partition }, epoch));
        }
    }
    ordered::sort(&mut owned);
    owned.dedup_by_key(|(key, _)| *key);
    owned
}

/// Partitions in order, topic by topic.
pub(in crate::coordinator) fn by_topic<E: Copy, T>(
    partitions: impl Iterator<Item = (PartitionKey, E)>,
    topic: impl Fn(protocol::Uuid, &[(i32, E)]) -> T,
) -> Vec<T> {
    let mut topics = Vec::new();
    let mut of_topic: Vec<(i32, E)> = Vec::new();
    let mut last = None;
    for (key, extra) in partitions {
        if let Some(id) = last.filter(|id| *id != key.topic_id) {
            topics.push(topic(id, &of_topic));
            of_topic.clear();
        }
        last = Some(key.topic_id);
        of_topic.push((key.partition, extra));
    }
    if let Some(id) = last {
        topics.push(topic(id, &of_topic));
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Uuid;

    #[test]
    fn what_is_written_is_read_again() {
        let key = |topic: u8, partition| PartitionKey { topic_id: Uuid([topic; 16]), partition };
        let current = Current {
            epoch: 7,
            previous_epoch: 6,
            state: MemberState::UnrevokedPartitions,
            assigned: vec![(key(1, 0), 5), (key(1, 2), 7), (key(2, 1), 6)],
            revoking: vec![(key(2, 3), 6)],
        };
        let member = ConsumerGroupMemberMetadataValue { client_id: "c".into(), ..Default::default() };
        let pattern = ConsumerGroupRegularExpressionValue { topics: vec!["t".into()], version: 5, timestamp: 6 };
        let (group, id) = (Str::from_static("g"), Str::from_static("m"));
        for change in [
            ConsumerChange::Group(Some((3, -4))),
            ConsumerChange::Group(None),
            ConsumerChange::Topics(false),
            ConsumerChange::Member(id.clone(), Some(Box::new(member))),
            ConsumerChange::Member(id.clone(), None),
            ConsumerChange::Target(Some((3, 9))),
            ConsumerChange::TargetOf(id.clone(), Some(vec![key(1, 0), key(1, 2), key(2, 0)])),
            ConsumerChange::Current(id.clone(), Some(Box::new(current))),
            ConsumerChange::Current(id.clone(), None),
            ConsumerChange::Pattern("a.*".into(), Some(pattern)),
        ] {
            let (key, value) = change.encode(&group).expect("it can be written");
            let mut key = Decoder::new(key);
            let record_type = key.version().expect("it is there");
            let read = ConsumerChange::decode(record_type, &mut key, value).expect("it can be read");
            assert_eq!(read, Some((group.clone(), change)));
        }
    }
}
