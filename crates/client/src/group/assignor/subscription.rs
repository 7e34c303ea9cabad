//! What members tell each other through the coordinator: subscriptions and assignments in the bytes of Kafka's clients.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ordered::{Map, Set};
use protocol::message::{decode_versioned, encode_versioned};
use protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use protocol::messages::{consumer_protocol_assignment, consumer_protocol_subscription};
use protocol::{ProtocolError, Str, TopicPartition};

/// The version that Kafka's clients write.
const VERSION: i16 = 3;

/// A member as its leader knows it.
#[derive(Clone, Debug, Default)]
pub(in crate::group) struct Subscription {
    pub(in crate::group) instance: Option<Str>,
    pub(in crate::group) topics: Set<Str>,
    /// What it has and keeps while it joins.
    pub(in crate::group) owned: Vec<TopicPartition>,
    /// The generation in which it got that.
    pub(in crate::group) generation: Option<i32>,
    pub(in crate::group) rack: Option<Str>,
    pub(in crate::group) user_data: Option<Bytes>,
}

/// In whose words the user data of a sticky assignor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::group) enum UserData {
    /// What it had, and in which generation: it gives all up before it joins.
    Sticky,
    /// Only the generation: what it has is in the subscription itself.
    Cooperative,
}

impl Subscription {
    pub(in crate::group) fn read(bytes: Bytes, instance: Option<Str>) -> Result<Subscription, ProtocolError> {
        let (_, body) = decode_versioned::<ConsumerProtocolSubscription>(bytes)?;
        let mut owned = Vec::new();
        for it in body.owned_partitions {
            owned.extend(
                it.partitions.iter().map(|index| TopicPartition { topic: it.topic.clone(), partition: *index }),
            );
        }
        Ok(Subscription {
            instance,
            topics: body.topics.into_iter().collect(),
            owned,
            generation: (body.generation_id >= 0).then_some(body.generation_id),
            rack: body.rack_id,
            user_data: body.user_data,
        })
    }

    pub(in crate::group) fn bytes(&self) -> Result<Bytes, ProtocolError> {
        let owned = by_topic(&self.owned)
            .into_iter()
            .map(|(topic, partitions)| consumer_protocol_subscription::TopicPartition { topic, partitions });
        let mut body = ConsumerProtocolSubscription {
            topics: self.topics.iter().cloned().collect(),
            user_data: self.user_data.clone(),
            owned_partitions: owned.collect(),
            generation_id: self.generation.unwrap_or(-1),
            rack_id: self.rack.clone(),
        };
        encode_versioned(&mut body, VERSION)
    }

    /// What the member had and in which generation, for a sticky assignor.
    pub(super) fn had(&self, user_data: UserData) -> (Vec<TopicPartition>, Option<i32>) {
        match user_data {
            UserData::Sticky => match &self.user_data {
                Some(bytes) if !bytes.is_empty() => read_sticky(bytes.clone()).unwrap_or((Vec::new(), Some(-1))),
                _ => (Vec::new(), None),
            },
            UserData::Cooperative => {
                let told = || {
                    let bytes = self.user_data.as_ref()?;
                    Some(bytes.first_chunk::<4>().map_or(-1, |it| i32::from_be_bytes(*it)))
                };
                (self.owned.clone(), self.generation.or_else(told))
            }
        }
    }
}

impl UserData {
    /// What a member says that had these partitions in a generation; nothing before its first one.
    pub(in crate::group) fn bytes(self, had: Option<(&[TopicPartition], i32)>) -> Option<Bytes> {
        let mut out = BytesMut::new();
        match self {
            UserData::Cooperative => out.put_i32(had.map_or(-1, |it| it.1)),
            UserData::Sticky => {
                let (partitions, generation) = had?;
                let topics = by_topic(partitions);
                out.put_i32(topics.len() as i32);
                for (topic, partitions) in topics {
                    out.put_i16(topic.len() as i16);
                    out.put_slice(topic.as_bytes());
                    out.put_i32(partitions.len() as i32);
                    partitions.iter().for_each(|it| out.put_i32(*it));
                }
                out.put_i32(generation);
            }
        }
        Some(out.freeze())
    }
}

/// `None` for what is not in these words; older clients leave the generation out.
fn read_sticky(mut bytes: Bytes) -> Option<(Vec<TopicPartition>, Option<i32>)> {
    let mut partitions = Vec::new();
    for _ in 0..bytes.try_get_i32().ok()? {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok().filter(|it| *it <= bytes.len())?;
        let topic = Str::from_utf8(bytes.split_to(length)).ok()?;
        for _ in 0..bytes.try_get_i32().ok()? {
            partitions.push(TopicPartition { topic: topic.clone(), partition: bytes.try_get_i32().ok()? });
        }
    }
    Some((partitions, bytes.try_get_i32().ok()))
}

/// An assignment as a member reads it.
pub(in crate::group) fn read_assignment(bytes: Bytes) -> Result<Vec<TopicPartition>, ProtocolError> {
    let (_, body) = decode_versioned::<ConsumerProtocolAssignment>(bytes)?;
    let mut partitions = Vec::new();
    for it in body.assigned_partitions {
        partitions
            .extend(it.partitions.iter().map(|index| TopicPartition { topic: it.topic.clone(), partition: *index }));
    }
    Ok(partitions)
}

/// An assignment as the leader writes it.
pub(in crate::group) fn assignment_bytes(partitions: &[TopicPartition]) -> Result<Bytes, ProtocolError> {
    let assigned = by_topic(partitions)
        .into_iter()
        .map(|(topic, partitions)| consumer_protocol_assignment::TopicPartition { topic, partitions });
    encode_versioned(
        &mut ConsumerProtocolAssignment { assigned_partitions: assigned.collect(), user_data: None },
        VERSION,
    )
}

fn by_topic(partitions: &[TopicPartition]) -> Map<Str, Vec<i32>> {
    let mut topics: Map<Str, Vec<i32>> = Map::new();
    for it in partitions {
        topics.entry(it.topic.clone()).or_default().push(it.partition);
    }
    topics
}
