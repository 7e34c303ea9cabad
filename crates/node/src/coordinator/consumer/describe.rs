//! Groups of the consumer protocol as others see them: ConsumerGroupDescribe.

use protocol::messages::consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions};
use protocol::{ErrorCode, Str};

use super::member::ConsumerMember;
use super::record::by_topic;
use super::{Assignor, ConsumerGroup, Shard};
use crate::coordinator::shard::Kind;
use crate::image::Image;
use crate::observe::{Coordinated, CoordinatedMember};
use crate::partition::PartitionKey;
use crate::refusal::message;

impl Shard {
    /// One group, which is `assignor`'s if its members do not ask for another.
    pub(crate) fn describe_consumers(&self, id: &Str, assignor: Assignor, image: &Image) -> DescribedGroup {
        let visible = self.group(id).filter(|it| it.since <= self.high_watermark);
        let why = match visible.and_then(|it| it.kind.as_ref()) {
            Some(Kind::Consumer { group, .. }) => return group.describe(id, assignor, image),
            Some(_) => format!("Group {id} is not a consumer group."),
            None => format!("Group {id} not found."),
        };
        DescribedGroup {
            group_id: id.clone(),
            error_code: ErrorCode::GroupIdNotFound.code(),
            error_message: Some(message(why)),
            ..DescribedGroup::default()
        }
    }
}

impl ConsumerGroup {
    /// The group as it is decided about.
    pub(in crate::coordinator) fn coordinated(&self, image: &Image) -> Coordinated {
        let of = |keys: &[PartitionKey]| keys.iter().map(|it| (it.topic_id, it.partition)).collect();
        Coordinated {
            epoch: self.epoch,
            is_classic: false,
            members: self.members.iter().map(|(id, member)| member.coordinated(id)).collect(),
            assignment_epoch: self.assignment_epoch,
            targets: self.targets.iter().map(|(id, keys)| (id.clone(), of(keys))).collect(),
            subscribed: self.members.iter().map(|(id, it)| (id.clone(), self.topics_of(it, image))).collect(),
        }
    }

    fn describe(&self, id: &Str, assignor: Assignor, image: &Image) -> DescribedGroup {
        let members = self.members.iter().map(|(id, member)| self.describe_member(id, member, image));
        DescribedGroup {
            group_id: id.clone(),
            group_state: Str::from_static(self.state().name()),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor_name: Str::from_static(self.preferred_assignor().unwrap_or(assignor).name()),
            members: members.collect(),
            ..DescribedGroup::default()
        }
    }

    fn describe_member(&self, id: &Str, member: &ConsumerMember, image: &Image) -> Member {
        let (wants, current) = (&member.wants, &member.current);
        let mut owned: Vec<PartitionKey> =
            current.assigned.iter().chain(&current.revoking).map(|(key, _)| *key).collect();
        ordered::sort(&mut owned);
        Member {
            member_id: id.clone(),
            instance_id: wants.instance_id.clone(),
            rack_id: wants.rack_id.clone(),
            member_epoch: current.epoch,
            client_id: wants.client_id.clone(),
            client_host: wants.client_host.clone(),
            subscribed_topic_names: wants.subscribed_topic_names.clone(),
            subscribed_topic_regex: wants.subscribed_topic_regex.clone(),
            assignment: assignment_of(&owned, image),
            target_assignment: assignment_of(self.target(id), image),
            member_type: if member.is_classic() { 0 } else { 1 },
        }
    }
}

impl ConsumerMember {
    fn coordinated(&self, id: &Str) -> CoordinatedMember {
        CoordinatedMember { id: id.clone(), generation: self.is_classic().then_some(self.current.epoch) }
    }
}

/// What of partitions still is there.
fn assignment_of(partitions: &[PartitionKey], image: &Image) -> Assignment {
    let topics = by_topic(partitions.iter().map(|it| (*it, ())), |topic_id, partitions| {
        image.topic_by_id(topic_id).map(|topic| TopicPartitions {
            topic_id,
            topic_name: topic.name.clone(),
            partitions: partitions.iter().map(|(partition, ())| *partition).collect(),
        })
    });
    Assignment { topic_partitions: topics.into_iter().flatten().collect() }
}
