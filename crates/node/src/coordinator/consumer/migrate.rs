//! Groups change their protocol while their members go on: up, when the first member comes that speaks the consumer protocol, and
//! down, when the last one goes (KIP-848).

use std::sync::Arc;

use bytes::Bytes;
use ordered::{Map, Set};
use protocol::message::{decode_from, encode_versioned};
use protocol::messages::consumer_group_member_metadata_value::{ClassicMemberMetadata, ClassicProtocol};
use protocol::messages::consumer_protocol_assignment::TopicPartition;
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::{ConsumerGroupMemberMetadataValue, ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use protocol::{Decoder, ErrorCode, ProtocolError, Str};

use super::hash::metadata_hash;
use super::heartbeat::in_order;
use super::member::{Current, MemberState, Owned};
use super::record::{ConsumerChange, by_topic};
use super::{ConsumerGroup, ConsumerMember, Draft, Shard};
use crate::config::GroupConfig;
use crate::coordinator::change::Change;
use crate::coordinator::classic::{CONSUMER, ClassicGroup, GroupState, Member};
use crate::coordinator::shard::{Kind, Turn};
use crate::image::Image;
use crate::partition::PartitionKey;
use crate::refusal::Refusal;

/// The last version of what consumers of the classic protocol tell each other.
const CONSUMER_PROTOCOL_VERSION: i16 = 3;

impl Shard {
    /// A group that a member asks about. One of the classic protocol takes part if the member joins and it can.
    pub(super) fn draft(&mut self, turn: &Turn<'_>, id: &Str, is_joining: bool) -> Result<Draft, Refusal> {
        let kind = self.group(id).and_then(|it| it.kind.as_ref());
        let not_found = |what: &str| Err(Refusal::new(ErrorCode::GroupIdNotFound, format!("group {id} {what}")));
        match kind {
            Some(Kind::Consumer { group, .. }) => Ok(Draft::of(id, Arc::clone(group))),
            Some(Kind::Classic(classic)) if is_joining => {
                let mut draft = Draft::of(id, Arc::new(ConsumerGroup::new()));
                draft.before.push(Change::Group(id.clone(), None));
                if classic.state == GroupState::Empty {
                    return Ok(draft);
                }
                if !turn.config.consumer.migration.may_upgrade() {
                    return not_found("cannot be upgraded: group.consumer.migration.policy is against it");
                }
                if !classic.is_consumers() {
                    return not_found("cannot be upgraded: its members are no consumers");
                }
                if classic.members.len() > turn.config.consumer.max_size {
                    return not_found("cannot be upgraded: it has more members than group.consumer.max.size");
                }
                match draft.upgrade(classic, turn.image) {
                    Ok(true) => Ok(draft),
                    Ok(false) => not_found("cannot be upgraded: its assignor keeps data of its own"),
                    Err(_) => not_found("cannot be upgraded: what its members said cannot be read"),
                }
            }
            None if is_joining => Ok(Draft::of(id, Arc::new(ConsumerGroup::new()))),
            Some(_) => not_found("is not a consumer group"),
            None => not_found("is not there"),
        }
    }

    /// The group speaks the classic protocol from now on, without who is leaving.
    pub(super) fn downgrade(
        &mut self,
        turn: &mut Turn<'_>,
        draft: Draft,
        leaving: &Set<Str>,
        must_rebalance: bool,
    ) -> Result<(), ErrorCode> {
        let Draft { id, group, before, changes, .. } = draft;
        let mut classic = group.to_classic(&id, turn, leaving).map_err(|_| ErrorCode::GroupIdNotFound)?;
        let mut all = before;
        all.extend(changes.into_iter().chain(group.ends()).map(|it| Change::Consumer(id.clone(), it)));
        all.push(Change::Group(id.clone(), Some(classic.record(&|_, member| member.assignment.clone()))));
        turn.append(&all)?;
        let members: Vec<Str> = classic.members.keys().cloned().collect();
        for member in &members {
            classic.heard(turn, member);
        }
        if must_rebalance {
            classic.prepare(turn);
        }
        self.entry(&id).kind = Some(Kind::Classic(Box::new(classic)));
        Ok(())
    }
}

impl Draft {
    /// Takes over a group of the classic protocol; false if that would lose what its assignor keeps.
    fn upgrade(&mut self, classic: &ClassicGroup, image: &Image) -> Result<bool, ProtocolError> {
        let generation = classic.generation;
        let protocol = classic.protocol_name.clone().or_else(|| classic.select_protocol()).unwrap_or_default();
        let mut assigned: Map<Str, Owned> = Map::new();
        for (id, member) in classic.members.iter() {
            let mut owned = Owned::new();
            if !member.assignment.is_empty() {
                let assignment: ConsumerProtocolAssignment = embedded(&member.assignment)?;
                if assignment.user_data.is_some_and(|it| !it.is_empty()) {
                    return Ok(false);
                }
                owned = keys_of(
                    assignment.assigned_partitions.iter().map(|it| (&it.topic, it.partitions.as_slice())),
                    image,
                )
                .into_iter()
                .map(|key| (key, generation))
                .collect();
            }
            let subscription: ConsumerProtocolSubscription = embedded(&member.metadata(&protocol))?;
            let wants = ConsumerGroupMemberMetadataValue {
                instance_id: member.instance.clone(),
                rack_id: subscription.rack_id.filter(|it| !it.is_empty()),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                subscribed_topic_names: in_order(subscription.topics),
                subscribed_topic_regex: Some(Str::new()),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                server_assignor: None,
                classic_member_metadata: Some(spoken(member.session_timeout_ms, &member.protocols)),
            };
            self.record(ConsumerChange::Member(id.clone(), Some(Box::new(wants))));
            assigned.insert(id.clone(), owned);
        }
        let hash = metadata_hash(self.group.subscribed.keys(), image);
        self.record(ConsumerChange::Group(Some((generation, hash))));
        for (id, owned) in assigned.iter() {
            let target = owned.iter().map(|(key, _)| *key).collect();
            self.record(ConsumerChange::TargetOf(id.clone(), Some(target)));
        }
        self.record(ConsumerChange::Target(Some((generation, 0))));
        for (id, assigned) in assigned {
            let current = Current {
                epoch: generation,
                previous_epoch: generation,
                state: MemberState::Stable,
                assigned,
                revoking: Vec::new(),
            };
            self.record(ConsumerChange::Current(id, Some(Box::new(current))));
        }
        Ok(true)
    }
}

impl ConsumerGroup {
    /// Whether the group could speak the classic protocol if these members were not in it.
    pub(super) fn can_downgrade(&self, without: &Set<Str>, config: &GroupConfig) -> bool {
        let mut staying = self.members.iter().filter(|(id, _)| !without.contains(*id)).peekable();
        let count = self.members.len() - without.iter().filter(|it| self.members.contains_key(*it)).count();
        staying.peek().is_some()
            && staying.all(|(_, it)| it.is_classic())
            && config.consumer.migration.may_downgrade()
            && count <= config.max_size
    }

    fn to_classic(&self, id: &Str, turn: &Turn<'_>, leaving: &Set<Str>) -> Result<ClassicGroup, ProtocolError> {
        let mut classic = ClassicGroup::empty(id.clone(), turn.now.wall.0);
        (classic.generation, classic.protocol_type) = (self.epoch, Some(Str::from_static(CONSUMER)));
        for (id, member) in self.members.iter() {
            let Some(spoken) = member.wants.classic_member_metadata.as_ref().filter(|_| !leaving.contains(id)) else {
                continue;
            };
            let protocols = spoken.supported_protocols.iter();
            let protocols = protocols
                .map(|it| JoinGroupRequestProtocol { name: it.name.clone(), metadata: it.metadata.clone() })
                .collect();
            classic.insert(
                id.clone(),
                Member {
                    instance: member.wants.instance_id.clone(),
                    client_id: member.wants.client_id.clone(),
                    client_host: member.wants.client_host.clone(),
                    rebalance_timeout_ms: member.wants.rebalance_timeout_ms,
                    session_timeout_ms: spoken.session_timeout_ms,
                    protocols,
                    assignment: Bytes::new(),
                    awaiting_join: None,
                    awaiting_sync: None,
                    is_new: false,
                    expires: None,
                },
            );
        }
        classic.become_stable(turn.now.wall.0);
        let protocol = classic.protocol_name.clone().unwrap_or_default();
        for (id, member) in classic.members.iter_mut() {
            member.assignment = told(self.target(id), &member.metadata(&protocol), turn.image)?;
        }
        Ok(classic)
    }
}

impl ConsumerMember {
    /// The first of the protocols that a member speaks: by that name it knows its assignment.
    pub(super) fn classic_protocol(&self) -> Option<&ClassicProtocol> {
        self.wants.classic_member_metadata.as_ref()?.supported_protocols.first()
    }
}

/// What a member of the classic protocol can do.
pub(super) fn spoken(session_timeout_ms: i32, protocols: &[JoinGroupRequestProtocol]) -> ClassicMemberMetadata {
    let protocols = protocols.iter();
    let supported_protocols =
        protocols.map(|it| ClassicProtocol { name: it.name.clone(), metadata: it.metadata.clone() }).collect();
    ClassicMemberMetadata { session_timeout_ms, supported_protocols }
}

/// Reads what consumers tell each other behind its version. A version that is not known begins as the last known one.
pub(super) fn embedded<M: protocol::message::Message>(bytes: &Bytes) -> Result<M, ProtocolError> {
    let mut decoder = Decoder::new(bytes.clone());
    let version = decoder.version()?;
    decode_from(&mut decoder, version.clamp(0, CONSUMER_PROTOCOL_VERSION))
}

/// Partitions as a consumer of the classic protocol is told, in the version in which it tells its subscription.
pub(super) fn told(partitions: &[PartitionKey], subscription: &Bytes, image: &Image) -> Result<Bytes, ProtocolError> {
    let version = Decoder::new(subscription.clone()).version()?;
    let topics = by_topic(partitions.iter().map(|it| (*it, ())), |topic_id, partitions| {
        image.topic_by_id(topic_id).map(|topic| TopicPartition {
            topic: topic.name.clone(),
            partitions: partitions.iter().map(|(partition, ())| *partition).collect(),
        })
    });
    let assigned_partitions = topics.into_iter().flatten().collect();
    let mut assignment = ConsumerProtocolAssignment { assigned_partitions, ..ConsumerProtocolAssignment::default() };
    encode_versioned(&mut assignment, version.clamp(0, CONSUMER_PROTOCOL_VERSION))
}

/// Partitions of topics that are there, in order.
fn keys_of<'a>(topics: impl Iterator<Item = (&'a Str, &'a [i32])>, image: &Image) -> Vec<PartitionKey> {
    let mut keys = Vec::new();
    for (name, partitions) in topics {
        if let Some(topic) = image.topic(name) {
            keys.extend(partitions.iter().map(|it| PartitionKey { topic_id: topic.id, partition: *it }));
        }
    }
    ordered::sort(&mut keys);
    keys.dedup();
    keys
}
