//! Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete, DeleteGroups, and their end.

use std::cmp::Ordering;
use std::sync::Arc;

use ordered::{Map, Set};
use protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse};
use protocol::{ErrorCode, Offset, ResponseBody, Str, TopicPartition, Uuid};

use super::change::{Change, OffsetValue};
use super::classic::GroupState;
use super::consumer::ConsumerMember;
use super::shard::{Group, Kind, OffsetEntry, Settled, Shard, Then, Turn};
use crate::deferred::{RequestId, Waiter};
use crate::image::Image;
use crate::partition::PartitionKey;

/// An answer to OffsetCommit that grows by partitions, each with its topic wherever that came first.
#[derive(Debug, Default)]
pub(crate) struct CommitAnswer {
    pub(crate) response: OffsetCommitResponse,
    places: Map<(Str, Uuid), usize>,
}

/// As [`CommitAnswer`], to OffsetDelete.
#[derive(Debug, Default)]
pub(crate) struct DeleteAnswer {
    pub(crate) response: OffsetDeleteResponse,
    places: Map<(Str, Uuid), usize>,
}

impl CommitAnswer {
    pub(crate) fn add(&mut self, name: &Str, topic_id: Uuid, partition_index: i32, error: ErrorCode) {
        let topics = &mut self.response.topics;
        let place = *self.places.entry((name.clone(), topic_id)).or_insert(topics.len());
        if place == topics.len() {
            topics.push(OffsetCommitResponseTopic { name: name.clone(), topic_id, partitions: Vec::new() });
        }
        let error_code = error.code();
        topics[place].partitions.push(OffsetCommitResponsePartition { partition_index, error_code });
    }
}

impl DeleteAnswer {
    pub(crate) fn add(&mut self, name: &Str, partition_index: i32, error: ErrorCode) {
        let topics = &mut self.response.topics;
        let place = *self.places.entry((name.clone(), Uuid::ZERO)).or_insert(topics.len());
        if place == topics.len() {
            topics.push(OffsetDeleteResponseTopic { name: name.clone(), partitions: Vec::new() });
        }
        let error_code = error.code();
        topics[place].partitions.push(OffsetDeleteResponsePartition { partition_index, error_code });
    }
}

impl Shard {
    /// `request` names partitions that exist; `answer` has the refusals of the others.
    pub(super) fn commit(
        &mut self,
        turn: &mut Turn<'_>,
        waiter: Waiter,
        request: OffsetCommitRequest,
        mut answer: CommitAnswer,
    ) {
        let outcome = self.check_commit(turn, waiter.version, &request).and_then(|old| match old {
            // The epoch is not the newest: it will do for partitions that the member has had since before.
            Some(member) => check_epochs(&member, &request),
            None => Ok(()),
        });
        let now_ms = turn.now.wall.0;
        let expires_ms = match request.retention_time_ms {
            -1 => -1,
            retention_ms => now_ms.saturating_add(retention_ms),
        };
        let mut changes = Vec::new();
        for topic in request.topics {
            for partition in topic.partitions {
                let metadata = partition.committed_metadata.unwrap_or_default();
                let error = match outcome {
                    Err(error) => error,
                    // Java counts UTF-16 units.
                    Ok(_) if metadata.encode_utf16().count() > turn.config.offset_metadata_max_bytes => {
                        ErrorCode::OffsetMetadataTooLarge
                    }
                    Ok(_) => {
                        let at = TopicPartition { topic: topic.name.clone(), partition: partition.partition_index };
                        let value = OffsetValue {
                            offset: partition.committed_offset,
                            leader_epoch: partition.committed_leader_epoch,
                            metadata,
                            committed_ms: now_ms,
                            expires_ms,
                            topic_id: topic.topic_id,
                        };
                        changes.push(Change::Offset(request.group_id.clone(), at, Some(value)));
                        ErrorCode::None
                    }
                };
                answer.add(&topic.name, topic.topic_id, partition.partition_index, error);
            }
        }
        self.answer_written(turn, waiter, ResponseBody::OffsetCommit(answer.response), changes);
    }

    /// Answers once the changes are committed; at once if there are none.
    fn answer_written(&mut self, turn: &mut Turn<'_>, waiter: Waiter, mut body: ResponseBody, changes: Vec<Change>) {
        if changes.is_empty() {
            return turn.answer(waiter, body);
        }
        match self.write(turn, changes) {
            Ok(end) => turn.park(end, Then::Answer(waiter, body)),
            Err(error) => {
                super::refuse(&mut body, error);
                turn.answer(waiter, body);
            }
        }
    }

    fn check_commit(
        &mut self,
        turn: &mut Turn<'_>,
        version: i16,
        request: &OffsetCommitRequest,
    ) -> Result<Option<Arc<ConsumerMember>>, ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let Some(group) = self.group(&request.group_id).and_then(|it| it.kind.as_ref()) else {
            // A consumer that manages its partitions itself needs no group.
            return match generation {
                ..0 => Ok(None),
                _ if version >= 9 => Err(ErrorCode::GroupIdNotFound),
                _ => Err(ErrorCode::IllegalGeneration),
            };
        };
        match group {
            Kind::Other => return Err(ErrorCode::UnknownMemberId),
            Kind::Consumer { group, .. } if generation < 0 && group.members.is_empty() => return Ok(None),
            Kind::Consumer { group, .. } => {
                let member = group.members.get(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
                if !member.is_classic() && version < 9 {
                    return Err(ErrorCode::UnsupportedVersion);
                }
                return match generation.cmp(&member.current.epoch) {
                    Ordering::Equal => Ok(None),
                    Ordering::Greater => Err(stale(member)),
                    Ordering::Less => Ok(Some(Arc::clone(member))),
                };
            }
            Kind::Classic(_) => {}
        }
        let Some(group) = self.classic(&request.group_id) else { return Err(ErrorCode::UnknownMemberId) };
        if generation < 0 && group.state == GroupState::Empty {
            return Ok(None);
        }
        let (id, instance) = (&request.member_id, request.group_instance_id.as_ref());
        if generation >= 0 || !id.is_empty() || instance.is_some() {
            group.check_member(id, instance)?;
            if generation != group.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if group.state != GroupState::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        match group.state {
            GroupState::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::Stable | GroupState::PreparingRebalance => {
                group.heard(turn, id);
                Ok(None)
            }
            GroupState::Empty => Ok(None),
        }
    }

    /// Committed offsets of a group; with `is_stable` the answer waits for those that are on their way. So it does while a new
    /// leader does not know that what it took over is committed: what it knows could be before what was acknowledged (KIP-207).
    pub(super) fn fetch(
        &mut self,
        turn: &mut Turn<'_>,
        id: RequestId,
        request: &OffsetFetchRequestGroup,
        is_stable: bool,
    ) {
        if let Err(error) = self.check_fetch(request) {
            let group_id = request.group_id.clone();
            let refused =
                OffsetFetchResponseGroup { group_id, error_code: error.code(), ..OffsetFetchResponseGroup::default() };
            return turn.settled.push(Settled::Fetched(id, refused));
        }
        let is_stable = is_stable || turn.log.check_caught_up().is_err();
        let answer = self.offsets_of(request, is_stable);
        match self.uncommitted.back().map(|(end, ..)| *end) {
            Some(end) if is_stable => turn.park(end, Then::Fetched(id, answer)),
            _ => turn.settled.push(Settled::Fetched(id, answer)),
        }
    }

    /// A member of a consumer group that is behind must not go by what others have committed since.
    fn check_fetch(&self, request: &OffsetFetchRequestGroup) -> Result<(), ErrorCode> {
        let Some(Kind::Consumer { group, .. }) = self.group(&request.group_id).and_then(|it| it.kind.as_ref()) else {
            return Ok(());
        };
        if request.member_id.is_none() && request.member_epoch < 0 {
            return Ok(());
        }
        let member = request.member_id.as_ref().and_then(|it| group.members.get(it));
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        if member.current.epoch == request.member_epoch { Ok(()) } else { Err(stale(member)) }
    }

    fn offsets_of(&self, request: &OffsetFetchRequestGroup, is_latest: bool) -> OffsetFetchResponseGroup {
        let group = self.group(&request.group_id);
        let value_of = |entry: &OffsetEntry| match is_latest {
            true => entry.latest.clone(),
            false => entry.committed.clone(),
        };
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        match &request.topics {
            Some(asked) => {
                for topic in asked {
                    let of = |partition: i32| {
                        let at = TopicPartition { topic: topic.name.clone(), partition };
                        let value = group.and_then(|it| it.offsets.get(&at)).and_then(value_of);
                        // An offset of a topic that was deleted and created again is another topic's.
                        value.filter(|it| !is_other(it.topic_id, topic.topic_id))
                    };
                    let partitions = topic.partition_indexes.iter().map(|it| fetched(*it, of(*it)));
                    topics.push(OffsetFetchResponseTopics {
                        name: topic.name.clone(),
                        topic_id: topic.topic_id,
                        partitions: partitions.collect(),
                    });
                }
            }
            None => {
                for (at, entry) in group.map(|it| it.offsets.iter()).into_iter().flatten() {
                    let Some(value) = value_of(entry) else { continue };
                    if topics.last().is_none_or(|it| it.name != at.topic) {
                        let topic = OffsetFetchResponseTopics { name: at.topic.clone(), ..Default::default() };
                        topics.push(OffsetFetchResponseTopics { topic_id: value.topic_id, ..topic });
                    }
                    if let Some(topic) = topics.last_mut() {
                        topic.partitions.push(fetched(at.partition, Some(value)));
                    }
                }
            }
        }
        OffsetFetchResponseGroup { group_id: request.group_id.clone(), topics, ..Default::default() }
    }

    /// All offsets of a group that are committed, but those of a topic whose name is another's by now.
    pub(crate) fn committed_offsets(&self, id: &Str, image: &Image) -> Vec<(TopicPartition, Offset)> {
        let all = self.group(id).into_iter().flat_map(|it| it.offsets.iter());
        all.filter_map(|(at, entry)| {
            let value = entry.committed.as_ref()?;
            let topic_id = image.topic(&at.topic).map_or(Uuid::ZERO, |it| it.id);
            (!is_other(value.topic_id, topic_id)).then(|| (at.clone(), Offset(value.offset)))
        })
        .collect()
    }

    /// `request` names partitions that exist; `answer` has the refusals of the others.
    pub(super) fn delete_offsets(
        &mut self,
        turn: &mut Turn<'_>,
        waiter: Waiter,
        request: OffsetDeleteRequest,
        mut answer: DeleteAnswer,
    ) {
        let found = self.group(&request.group_id).filter(|it| it.kind.is_some());
        let error = match found.and_then(|it| it.kind.as_ref()) {
            None => ErrorCode::GroupIdNotFound,
            Some(Kind::Classic(group)) if group.state != GroupState::Empty && !group.is_consumers() => {
                ErrorCode::NonEmptyGroup
            }
            Some(_) => ErrorCode::None,
        };
        let Some(group) = found.filter(|_| error == ErrorCode::None) else {
            let response = OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() };
            return turn.answer(waiter, ResponseBody::OffsetDelete(response));
        };
        let mut changes = Vec::new();
        for topic in request.topics {
            let is_in_use = match &group.kind {
                Some(Kind::Classic(group)) => group.is_subscribed(&topic.name),
                Some(Kind::Consumer { group, .. }) => group.is_subscribed(&topic.name),
                // Who is subscribed is not known.
                _ => true,
            };
            let error = if is_in_use { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            for partition in topic.partitions {
                let at = TopicPartition { topic: topic.name.clone(), partition: partition.partition_index };
                let is_there = group.offsets.get(&at).is_some_and(|it| it.latest.is_some());
                if is_there && !is_in_use {
                    changes.push(Change::Offset(request.group_id.clone(), at, None));
                }
                answer.add(&topic.name, partition.partition_index, error);
            }
        }
        self.answer_written(turn, waiter, ResponseBody::OffsetDelete(answer.response), changes);
    }

    /// Ends groups that nobody is in, with their offsets.
    pub(super) fn delete_groups(&mut self, turn: &mut Turn<'_>, id: RequestId, groups: Vec<Str>) {
        let mut changes = Vec::new();
        let mut results = Vec::with_capacity(groups.len());
        for name in groups {
            let error = match self.group(&name) {
                Some(group @ Group { kind: Some(Kind::Classic(classic)), .. }) => {
                    if classic.state == GroupState::Empty {
                        end_offsets(&name, group, &mut changes);
                        changes.push(Change::Group(name.clone(), None));
                        ErrorCode::None
                    } else {
                        ErrorCode::NonEmptyGroup
                    }
                }
                Some(entry @ Group { kind: Some(Kind::Consumer { group, .. }), .. }) => {
                    if group.members.is_empty() {
                        end_offsets(&name, entry, &mut changes);
                        changes.extend(group.ends().into_iter().map(|it| Change::Consumer(name.clone(), it)));
                        ErrorCode::None
                    } else {
                        ErrorCode::NonEmptyGroup
                    }
                }
                // Whether anybody is in it is not known.
                Some(Group { kind: Some(Kind::Other), .. }) => ErrorCode::NonEmptyGroup,
                _ => ErrorCode::GroupIdNotFound,
            };
            results.push((name, error));
        }
        if changes.is_empty() {
            return turn.settled.push(Settled::Deleted(id, results));
        }
        match self.write(turn, changes) {
            Ok(end) => turn.park(end, Then::Deleted(id, results)),
            Err(error) => {
                for (_, code) in results.iter_mut().filter(|(_, code)| *code == ErrorCode::None) {
                    *code = error;
                }
                turn.settled.push(Settled::Deleted(id, results));
            }
        }
    }

    /// Ends offsets that nobody has used for `offsets.retention.minutes`, and groups without members and offsets.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) {
        let mut changes = Vec::new();
        for (id, group) in self.groups.iter() {
            let Some(kind) = group.kind.as_ref().filter(|it| !matches!(it, Kind::Other)) else { continue };
            let mut is_all = true;
            for (at, entry) in group.offsets.iter() {
                let Some(value) = &entry.latest else { continue };
                if is_expired(kind, &at.topic, value, turn) {
                    changes.push(Change::Offset(id.clone(), at.clone(), None));
                } else {
                    is_all = false;
                }
            }
            match kind {
                // A group whose members have just been given their ids is not one that is left.
                Kind::Classic(it) if is_all && it.state == GroupState::Empty && it.pending_joins.is_empty() => {
                    changes.push(Change::Group(id.clone(), None));
                }
                Kind::Consumer { group, .. } if is_all && group.members.is_empty() => {
                    changes.extend(group.ends().into_iter().map(|it| Change::Consumer(id.clone(), it)));
                }
                _ => {}
            }
        }
        // What is refused is tried again the next time.
        let _ = self.write_each(turn, changes);
    }

    /// Topics are gone, and with them what was consumed of them.
    pub(super) fn forget_topics(&mut self, turn: &mut Turn<'_>, topics: &Set<Str>) {
        let mut changes = Vec::new();
        for (id, group) in self.groups.iter() {
            let mut forget = |at: &TopicPartition, entry: &OffsetEntry| {
                if entry.latest.is_some() {
                    changes.push(Change::Offset(id.clone(), at.clone(), None));
                }
            };
            // One of the two may be very much longer.
            if group.offsets.len() < topics.len() {
                let gone = group.offsets.iter().filter(|(at, _)| topics.contains(&at.topic));
                gone.for_each(|(at, entry)| forget(at, entry));
                continue;
            }
            for topic in topics.iter() {
                let from = TopicPartition { topic: topic.clone(), partition: 0 };
                let to = TopicPartition { topic: topic.clone(), partition: i32::MAX };
                group.offsets.range(from..=to).for_each(|(at, entry)| forget(at, entry));
            }
        }
        let _ = self.write_each(turn, changes);
    }
}

fn is_expired(kind: &Kind, topic: &Str, value: &OffsetValue, turn: &Turn<'_>) -> bool {
    let since_ms = match kind {
        Kind::Classic(group) if !group.is_subscribed(topic) => match group.state {
            // A consumer that manages its partitions itself.
            _ if group.protocol_type.is_none() => value.committed_ms,
            GroupState::Empty if group.state_since_ms != -1 => group.state_since_ms,
            GroupState::Empty => value.committed_ms,
            GroupState::Stable if group.is_consumers() && group.subscribed.is_some() => value.committed_ms,
            _ => return false,
        },
        Kind::Consumer { group, .. } if !group.is_subscribed(topic) => value.committed_ms,
        Kind::Classic(_) | Kind::Consumer { .. } | Kind::Other => return false,
    };
    let now_ms = turn.now.wall.0;
    match value.expires_ms {
        -1 => now_ms.saturating_sub(since_ms) >= turn.config.offsets_retention_ms,
        expires_ms => now_ms >= expires_ms,
    }
}

/// Whether the member has had each partition since the epoch that it says, or for longer; a batch of which any part is too old
/// is refused as a whole.
fn check_epochs(member: &ConsumerMember, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = PartitionKey { topic_id: topic.topic_id, partition: partition.partition_index };
            if member.epoch_of(&key).is_none_or(|since| request.generation_id_or_member_epoch < since) {
                return Err(stale(member));
            }
        }
    }
    Ok(())
}

/// What a member is told whose epoch is another one.
fn stale(member: &ConsumerMember) -> ErrorCode {
    if member.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}

fn end_offsets(id: &Str, group: &Group, changes: &mut Vec<Change>) {
    for (at, entry) in group.offsets.iter() {
        if entry.latest.is_some() {
            changes.push(Change::Offset(id.clone(), at.clone(), None));
        }
    }
}

/// True if both are known and they are not the same topic's.
fn is_other(one: Uuid, other: Uuid) -> bool {
    !one.is_zero() && !other.is_zero() && one != other
}

fn fetched(partition_index: i32, value: Option<OffsetValue>) -> OffsetFetchResponsePartitions {
    let (committed_offset, committed_leader_epoch, metadata) = match value {
        Some(value) => (value.offset, value.leader_epoch, value.metadata),
        None => (-1, -1, Str::new()),
    };
    let metadata = Some(metadata);
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset,
        committed_leader_epoch,
        metadata,
        error_code: ErrorCode::None.code(),
    }
}
