//! ConsumerGroupHeartbeat: a member joins, says what it wants and has, and hears what it is to have (KIP-848). The refusals are
//! those of Apache Kafka, in its order.

use std::sync::Arc;

use ordered::Map;
use protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ConsumerGroupMemberMetadataValue,
    consumer_group_heartbeat_request,
};
use protocol::{ErrorCode, ResponseBody, Str, Uuid};

use super::assign::{Assignor, Subscriber, assign};
use super::hash::metadata_hash;
use super::member::{ConsumerMember, Goal, LEAVE, LEAVE_STATIC, MemberState, Owned};
use super::record::{ConsumerChange, by_topic};
use super::{ConsumerGroup, Draft, Shard};
use crate::coordinator::members::Client;
use crate::coordinator::shard::{Timer, Turn};
use crate::deferred::Waiter;
use crate::image::Image;
use crate::partition::PartitionKey;
use crate::refusal::Refusal;

/// What follows from what a member asks for now.
pub(super) struct Wanted {
    pub(super) have_names_changed: bool,
    pub(super) pattern: PatternChange,
    /// Regular expressions are to be looked up.
    pub(super) must_resolve: bool,
}

/// What becomes of the regular expression that a member subscribes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PatternChange {
    None,
    /// It is another one, whose topics are not known yet.
    Updated,
    /// It is another one, or none, and the topics are known.
    Resolved,
}

impl Wanted {
    pub(super) fn has_changed(&self) -> bool {
        self.have_names_changed || self.pattern != PatternChange::None
    }
}

impl Shard {
    pub(in crate::coordinator) fn consumer_heartbeat(
        &mut self,
        turn: &mut Turn<'_>,
        waiter: Waiter,
        client: &Client,
        request: ConsumerGroupHeartbeatRequest,
    ) {
        let id = request.group_id.clone();
        let mut must_resolve = false;
        let answered = match request.member_epoch {
            LEAVE | LEAVE_STATIC => self.consumer_leave(turn, &request),
            _ => self.consumer_beat(turn, client, request, &mut must_resolve),
        };
        match answered {
            // What it is told may rest on records that others wrote and that are not committed.
            Ok(response) => turn.answer_committed(waiter, ResponseBody::ConsumerGroupHeartbeat(response)),
            Err(refusal) => turn.answer(waiter, refused_heartbeat(&refusal)),
        }
        if must_resolve {
            self.resolve_patterns(turn, &id);
        }
    }

    fn consumer_beat(
        &mut self,
        turn: &mut Turn<'_>,
        client: &Client,
        request: ConsumerGroupHeartbeatRequest,
        must_resolve: &mut bool,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let is_joining = request.member_epoch == 0;
        let group_id = request.group_id.clone();
        let mut draft = self.draft(turn, &group_id, is_joining)?;
        draft.check_room(&request.member_id, turn.config.consumer.max_size)?;
        let member_id = match request.member_id.is_empty() {
            // Since version 1 members choose their ids.
            true => Str::from(turn.random.uuid().to_string()),
            false => request.member_id,
        };
        let owned = request.topic_partitions.as_deref();
        let before = match &request.instance_id {
            None => draft.dynamic_member(&member_id, is_joining)?,
            Some(instance) => draft.static_member(&member_id, instance, is_joining, false)?,
        };
        check_epoch(&before, request.member_epoch, owned)?;
        let is_full = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && owned.is_some();
        let mut wants = before.wants.clone();
        wants.instance_id = request.instance_id.or(wants.instance_id);
        wants.rack_id = request.rack_id.or(wants.rack_id);
        if request.rebalance_timeout_ms != -1 {
            wants.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        wants.server_assignor = request.server_assignor.or(wants.server_assignor);
        if let Some(names) = request.subscribed_topic_names {
            wants.subscribed_topic_names = in_order(names);
        }
        wants.subscribed_topic_regex = request.subscribed_topic_regex.or(wants.subscribed_topic_regex);
        (wants.client_id, wants.client_host) = (client.id.clone(), client.host.clone());
        wants.classic_member_metadata = None;
        let wanted = draft.want(turn, &member_id, &before, wants)?;
        *must_resolve = wanted.must_resolve;
        draft.look(turn.image, wanted.have_names_changed || wanted.pattern == PatternChange::Resolved);
        draft.divide(turn);
        draft.reconcile(turn.image, &member_id, wanted.has_changed(), owned)?;
        let member = draft.member(&member_id);
        self.commit_draft(turn, draft).map_err(Refusal::of)?;
        self.tend_revocation(turn, &group_id, &member_id, &before, &member);
        let timeout_ms = turn.consumer_session_timeout_ms(&group_id);
        self.expect_heartbeat(turn, &group_id, &member_id, timeout_ms);
        let current = &member.current;
        let is_told = is_joining || is_full || before.current.assigned != current.assigned;
        Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(member_id),
            member_epoch: current.epoch,
            heartbeat_interval_ms: turn.consumer_heartbeat_interval_ms(&group_id),
            assignment: is_told.then(|| assignment_of(&current.assigned)),
            ..ConsumerGroupHeartbeatResponse::default()
        })
    }

    /// A member is given time to give partitions up, if it is to; who speaks the classic protocol joins again for that.
    pub(super) fn tend_revocation(
        &mut self,
        turn: &mut Turn<'_>,
        group: &Str,
        id: &Str,
        before: &ConsumerMember,
        member: &ConsumerMember,
    ) {
        if before.current == member.current || member.is_classic() {
            return;
        }
        let timeout_ms = i64::from(member.wants.rebalance_timeout_ms);
        let must_revoke = member.current.state == MemberState::UnrevokedPartitions;
        let Some(deadlines) = self.deadlines(group, id) else { return };
        if must_revoke {
            deadlines.revoke = Some(turn.arm(group, Timer::Revoke(id.clone()), deadlines.revoke, timeout_ms));
        } else {
            turn.disarm(group, Timer::Revoke(id.clone()), deadlines.revoke.take());
        }
    }

    /// The member is alive, and has a session's time to say so again.
    pub(super) fn expect_heartbeat(&mut self, turn: &mut Turn<'_>, group: &Str, id: &Str, timeout_ms: i64) {
        if let Some(deadlines) = self.deadlines(group, id) {
            deadlines.session = Some(turn.arm(group, Timer::Member(id.clone()), deadlines.session, timeout_ms));
        }
    }
}

impl Draft {
    /// A member of the group, after what was tried.
    pub(super) fn member(&self, id: &Str) -> Arc<ConsumerMember> {
        self.group.members.get(id).cloned().unwrap_or_else(|| Arc::new(ConsumerMember::new()))
    }

    pub(super) fn check_room(&self, member: &Str, max_size: usize) -> Result<(), Refusal> {
        if self.group.members.len() < max_size || self.group.members.contains_key(member) {
            return Ok(());
        }
        Err(Refusal::new(
            ErrorCode::GroupMaxSizeReached,
            format!("the group has as many members as it may: {max_size}"),
        ))
    }

    /// A member by its id; a new one if it may be.
    pub(super) fn dynamic_member(&self, id: &Str, may_be_new: bool) -> Result<ConsumerMember, Refusal> {
        match self.group.members.get(id) {
            Some(member) => Ok((**member).clone()),
            None if may_be_new => Ok(ConsumerMember::new()),
            None => Err(self.unknown(id)),
        }
    }

    fn unknown(&self, id: &Str) -> Refusal {
        Refusal::new(ErrorCode::UnknownMemberId, format!("{id} is no member of group {}", self.id))
    }

    /// A member by its instance id (KIP-345). One that joins takes the place of one that has left for a while; or of one that
    /// either of them speaks the classic protocol with.
    pub(super) fn static_member(
        &mut self,
        id: &Str,
        instance: &Str,
        may_be_new: bool,
        is_classic: bool,
    ) -> Result<ConsumerMember, Refusal> {
        let known = self.group.static_member(instance).map(|(id, member)| (id.clone(), Arc::clone(member)));
        let Some((known_id, known)) = known else {
            if may_be_new {
                return self.dynamic_member(id, true);
            }
            return Err(self.unknown(instance));
        };
        if !may_be_new {
            check_instance(&known_id, id, instance)?;
            return Ok((*known).clone());
        }
        if !is_classic && !known.is_classic() && known.current.epoch != LEAVE_STATIC {
            let what = format!("the instance id {instance} belongs to member {known_id}, which has not left");
            return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, what));
        }
        let mut member = (*known).clone();
        (member.current.epoch, member.current.previous_epoch) = (0, 0);
        let target = self.group.target(&known_id).to_vec();
        self.remove(&known_id);
        self.record(ConsumerChange::Member(id.clone(), Some(Box::new(member.wants.clone()))));
        self.record(ConsumerChange::TargetOf(id.clone(), Some(target)));
        self.record(ConsumerChange::Current(id.clone(), Some(Box::new(member.current.clone()))));
        Ok(member)
    }

    /// What a member asks for counts from now on.
    pub(super) fn want(
        &mut self,
        turn: &Turn<'_>,
        id: &Str,
        before: &ConsumerMember,
        wants: ConsumerGroupMemberMetadataValue,
    ) -> Result<Wanted, Refusal> {
        let have_names_changed = wants.subscribed_topic_names != before.wants.subscribed_topic_names;
        let (pattern, ended) = self.change_of_pattern(turn, before, &wants)?;
        let had_patterns = !self.group.patterns.is_empty() || before.pattern().is_some();
        if wants != before.wants || !self.group.members.contains_key(id) {
            self.record(ConsumerChange::Member(id.clone(), Some(Box::new(wants))));
        }
        if let Some(ended) = ended {
            self.record(ConsumerChange::Pattern(ended, None));
        }
        let has_patterns = had_patterns || pattern == PatternChange::Updated;
        let must_resolve = has_patterns && self.must_resolve(turn);
        Ok(Wanted { have_names_changed, pattern, must_resolve })
    }

    /// The topics are compared with what the group is about, if there may be a difference; if there is one, or somebody says
    /// so, the group has a new epoch.
    pub(super) fn look(&mut self, image: &Image, must_bump: bool) {
        let at = image.next_offset();
        if !must_bump && self.group.looked_at == Some(at) {
            return;
        }
        let hash = metadata_hash(self.group.subscribed.keys(), image);
        if must_bump || hash != self.group.metadata_hash {
            self.record(ConsumerChange::Group(Some((self.group.epoch.wrapping_add(1), hash))));
        }
        if self.group.has_topics_record {
            self.record(ConsumerChange::Topics(false));
        }
        self.looked_at = Some(at);
    }

    /// Divides the partitions anew, if the group has a new epoch and that was not done a moment ago.
    pub(super) fn divide(&mut self, turn: &Turn<'_>) {
        let (group, now_ms) = (&self.group, turn.now.wall.0);
        if group.assignment_epoch >= group.epoch {
            return;
        }
        if group.was_divided_within(turn.consumer_assignment_interval_ms(&self.id), now_ms) {
            return;
        }
        let assignor = group.preferred_assignor().unwrap_or(turn.config.consumer.default_assignor());
        let divided = group.divided(assignor, turn.image);
        let changed = divided.into_iter().map(|(id, partitions)| ConsumerChange::TargetOf(id, Some(partitions)));
        let mut changes: Vec<ConsumerChange> = changed.collect();
        changes.push(ConsumerChange::Target(Some((group.epoch, now_ms))));
        for change in changes {
            self.record(change);
        }
    }

    /// A member goes on towards what it is to have.
    pub(super) fn reconcile(
        &mut self,
        image: &Image,
        id: &Str,
        has_subscription_changed: bool,
        owned: Option<&[consumer_group_heartbeat_request::TopicPartitions]>,
    ) -> Result<(), Refusal> {
        let (group, member) = (&self.group, self.member(id));
        let epoch = group.assignment_epoch;
        if !has_subscription_changed && member.is_reconciled_to(epoch) {
            return Ok(());
        }
        let topics = Shard::topic_ids(group, &member, image);
        let goal = Goal {
            epoch,
            target: group.target(id),
            topics: &topics,
            has_subscription_changed,
            owned,
            is_owned: &|key| group.is_owned(key),
        };
        let next = member.reconcile(&goal).map_err(Refusal::of)?;
        if next != member.current {
            self.record(ConsumerChange::Current(id.clone(), Some(Box::new(next))));
        }
        Ok(())
    }
}

impl ConsumerGroup {
    /// What members are to have that is not what they were to have until now.
    pub(super) fn divided(&self, assignor: Assignor, image: &Image) -> Vec<(Str, Vec<PartitionKey>)> {
        let mut partitions: Map<Uuid, i32> = Map::new();
        let mut subscribers: Vec<Subscriber<'_>> = Vec::with_capacity(self.members.len());
        let mut last: Option<&ConsumerGroupMemberMetadataValue> = None;
        for (id, member) in self.members.iter() {
            let wants = &member.wants;
            let is_same = |it: &&ConsumerGroupMemberMetadataValue| {
                it.subscribed_topic_names == wants.subscribed_topic_names
                    && it.subscribed_topic_regex == wants.subscribed_topic_regex
            };
            // Most members want what the one before them wants.
            let topics = match (last.filter(is_same), subscribers.last()) {
                (Some(_), Some(before)) => Arc::clone(&before.topics),
                _ => {
                    let topics = self.topics_of(member, image);
                    for topic in topics.iter().filter_map(|it| image.topic_by_id(*it)) {
                        partitions.insert(topic.id, topic.partitions.len() as i32);
                    }
                    Arc::new(topics)
                }
            };
            last = Some(wants);
            subscribers.push(Subscriber { id, instance: wants.instance_id.as_ref(), topics, target: self.target(id) });
        }
        let mut changed = Vec::new();
        for (subscriber, assigned) in subscribers.iter().zip(assign(assignor, &subscribers, &partitions)) {
            if self.targets.get(subscriber.id).is_none_or(|it| **it != assigned) {
                changed.push((subscriber.id.clone(), assigned));
            }
        }
        changed
    }
}

fn check_epoch(
    member: &ConsumerMember,
    epoch: i32,
    owned: Option<&[consumer_group_heartbeat_request::TopicPartitions]>,
) -> Result<(), Refusal> {
    member.check_epoch(epoch, owned).map_err(|code| {
        let known = member.current.epoch;
        Refusal::new(
            code,
            format!("the member says epoch {epoch} and is at {known}: it has to join again, with nothing"),
        )
    })
}

/// Whether who comes with an instance id is who has it.
pub(super) fn check_instance(known: &Str, id: &Str, instance: &Str) -> Result<(), Refusal> {
    if known == id {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::FencedInstanceId,
        format!("the instance id {instance} belongs to member {known} by now"),
    ))
}

/// Names in order, each once.
pub(super) fn in_order(mut names: Vec<Str>) -> Vec<Str> {
    ordered::sort(&mut names);
    names.dedup();
    names
}

fn assignment_of(assigned: &Owned) -> Assignment {
    let topic_partitions = by_topic(assigned.iter().copied(), |topic_id, partitions| TopicPartitions {
        topic_id,
        partitions: partitions.iter().map(|(partition, _)| *partition).collect(),
    });
    Assignment { topic_partitions }
}

/// A heartbeat that is refused.
pub(crate) fn refused_heartbeat(refusal: &Refusal) -> ResponseBody {
    ResponseBody::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse {
        error_code: refusal.code.code(),
        error_message: Some(refusal.message.clone()),
        ..ConsumerGroupHeartbeatResponse::default()
    })
}
