//! Members of a consumer group that still speak the classic protocol: they hear of a rebalance, join, and get what they are to
//! have as the others do, without anybody who leads (KIP-848).

use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use protocol::messages::leave_group_request::MemberIdentity;
use protocol::messages::{
    ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use protocol::{ErrorCode, ResponseBody, Str};

use ordered::Set;

use super::heartbeat::{check_instance, in_order};
use super::member::MemberState;
use super::migrate::{embedded, spoken, told};
use super::{ConsumerGroup, ConsumerMember, Shard};
use crate::coordinator::classic::CONSUMER;
use crate::coordinator::members::Client;
use crate::coordinator::rebalance::{join_answer, join_body, refused_join};
use crate::coordinator::shard::{Timer, Turn};
use crate::deferred::Waiter;
use crate::image::Image;

impl Shard {
    /// JoinGroup of a group of the consumer protocol that has members.
    pub(in crate::coordinator) fn join_consumers(
        &mut self,
        turn: &mut Turn<'_>,
        waiter: Waiter,
        client: Client,
        request: JoinGroupRequest,
    ) {
        let id = request.group_id.clone();
        let mut must_resolve = false;
        match self.try_join_consumers(turn, waiter.version, client, request, &mut must_resolve) {
            Ok(response) => {
                let error = ErrorCode::from_code(response.error_code);
                let body = join_body(waiter.version, response);
                if error == ErrorCode::None { turn.answer_committed(waiter, body) } else { turn.answer(waiter, body) }
            }
            Err(error) => turn.settled.push(join_answer(waiter, refused_join(&Str::new(), error))),
        }
        if must_resolve {
            self.resolve_patterns(turn, &id);
        }
    }

    fn try_join_consumers(
        &mut self,
        turn: &mut Turn<'_>,
        version: i16,
        client: Client,
        request: JoinGroupRequest,
        must_resolve: &mut bool,
    ) -> Result<JoinGroupResponse, ErrorCode> {
        let config = &turn.config.consumer;
        if !config.migration.may_upgrade() && !config.migration.may_downgrade() {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let group_id = request.group_id.clone();
        let mut draft = self.draft(turn, &group_id, false).map_err(|it| it.code)?;
        let is_unknown = request.member_id.is_empty();
        let id = if is_unknown { Str::from(turn.random.uuid().to_string()) } else { request.member_id.clone() };
        draft.check_room(&request.member_id, config.max_size).map_err(|it| it.code)?;
        if !draft.group.supports(&request) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if version >= 4 && is_unknown && request.group_instance_id.is_none() {
            return Ok(refused_join(&id, ErrorCode::MemberIdRequired));
        }
        let instance = request.group_instance_id.as_ref();
        // The last who spoke the consumer protocol may be who comes back speaking the classic one.
        let replaced = instance.and_then(|it| draft.group.static_member(it)).filter(|(_, it)| !it.is_classic());
        let replaced: Set<Str> = replaced.map(|(id, _)| id.clone()).into_iter().collect();
        let must_downgrade = !replaced.is_empty()
            && draft.group.members.len() <= turn.config.max_size
            && (draft.group.members.len() == 1 || draft.group.can_downgrade(&replaced, turn.config))
            && turn.config.consumer.migration.may_downgrade();
        let before = match instance {
            None => draft.dynamic_member(&id, true),
            Some(instance) => draft.static_member(&id, instance, is_unknown, true),
        };
        let before = before.map_err(|it| it.code)?;
        let Some(first) = request.protocols.first() else { return Err(ErrorCode::InconsistentGroupProtocol) };
        let subscription: ConsumerProtocolSubscription =
            embedded(&first.metadata).map_err(|_| ErrorCode::UnknownServerError)?;
        let mut wants = before.wants.clone();
        wants.instance_id = request.group_instance_id.clone().or(wants.instance_id);
        wants.rack_id = subscription.rack_id.clone().filter(|it| !it.is_empty()).or(wants.rack_id);
        wants.rebalance_timeout_ms = request.rebalance_timeout_ms;
        wants.subscribed_topic_names = in_order(subscription.topics.clone());
        wants.subscribed_topic_regex = Some(Str::new());
        (wants.client_id, wants.client_host) = (client.id, client.host);
        wants.classic_member_metadata = Some(spoken(request.session_timeout_ms, &request.protocols));
        let owned = owned_of(&subscription, turn.image);
        let wanted = draft.want(turn, &id, &before, wants).map_err(|it| it.code)?;
        *must_resolve = wanted.must_resolve && !must_downgrade;
        let has_changed = wanted.has_changed();
        draft.look(turn.image, has_changed);
        let is_stale = draft.group.assignment_epoch < draft.group.epoch;
        if !must_downgrade {
            draft.divide(turn);
        }
        if !must_downgrade || !is_stale {
            draft.reconcile(turn.image, &id, has_changed, Some(&owned)).map_err(|it| it.code)?;
        }
        let member = draft.member(&id);
        let response = JoinGroupResponse {
            member_id: id.clone(),
            generation_id: member.current.epoch,
            protocol_type: Some(Str::from_static(CONSUMER)),
            protocol_name: Some(first.name.clone()),
            ..JoinGroupResponse::default()
        };
        if must_downgrade {
            self.downgrade(turn, draft, &Set::new(), is_stale)?;
            return Ok(response);
        }
        self.commit_draft(turn, draft)?;
        self.expect_heartbeat(turn, &group_id, &id, i64::from(request.session_timeout_ms));
        if let Some(deadlines) = self.deadlines(&group_id, &id) {
            turn.disarm(&group_id, Timer::Rejoin(id.clone()), deadlines.join.take());
            let timeout_ms = i64::from(request.rebalance_timeout_ms);
            deadlines.sync = Some(turn.arm(&group_id, Timer::Resync(id), deadlines.sync, timeout_ms));
        }
        Ok(response)
    }

    pub(in crate::coordinator) fn sync_consumers(
        &mut self,
        turn: &mut Turn<'_>,
        waiter: Waiter,
        request: SyncGroupRequest,
    ) {
        match self.try_sync_consumers(turn, &request) {
            Ok(assignment) => {
                let response = SyncGroupResponse {
                    protocol_type: request.protocol_type,
                    protocol_name: request.protocol_name,
                    assignment,
                    ..SyncGroupResponse::default()
                };
                turn.answer_committed(waiter, ResponseBody::SyncGroup(response));
            }
            Err(error) => {
                let response = SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() };
                turn.answer(waiter, ResponseBody::SyncGroup(response));
            }
        }
    }

    fn try_sync_consumers(
        &mut self,
        turn: &mut Turn<'_>,
        request: &SyncGroupRequest,
    ) -> Result<bytes::Bytes, ErrorCode> {
        let (group_id, id) = (&request.group_id, &request.member_id);
        let group = self.consumers(group_id).ok_or(ErrorCode::UnknownMemberId)?.clone();
        let member = group.classic_member(id, request.group_instance_id.as_ref(), request.generation_id)?;
        let protocol = member.classic_protocol().ok_or(ErrorCode::UnknownMemberId)?;
        let is_other = request.protocol_type.as_ref().is_some_and(|it| *it != *CONSUMER)
            || request.protocol_name.as_ref().is_some_and(|it| *it != protocol.name);
        if is_other {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if group.assignment_epoch > member.current.epoch && member.current.state != MemberState::UnrevokedPartitions {
            self.expect_join(turn, group_id, id, member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        let keys: Vec<_> = member.current.assigned.iter().map(|(key, _)| *key).collect();
        let assignment = told(&keys, &protocol.metadata, turn.image).map_err(|_| ErrorCode::UnknownServerError)?;
        if let Some(deadlines) = self.deadlines(group_id, id) {
            turn.disarm(group_id, Timer::Resync(id.clone()), deadlines.sync.take());
        }
        self.expect_heartbeat(turn, group_id, id, member.classic_session_ms());
        Ok(assignment)
    }

    pub(in crate::coordinator) fn heartbeat_consumers(
        &mut self,
        turn: &mut Turn<'_>,
        request: &HeartbeatRequest,
    ) -> Result<(), ErrorCode> {
        let (group_id, id) = (&request.group_id, &request.member_id);
        let group = self.consumers(group_id).ok_or(ErrorCode::UnknownMemberId)?.clone();
        let member = group.classic_member(id, request.group_instance_id.as_ref(), request.generation_id)?;
        self.expect_heartbeat(turn, group_id, id, member.classic_session_ms());
        let must_join = match member.current.state {
            MemberState::UnrevokedPartitions => true,
            // What it waits for may be free by now.
            MemberState::UnreleasedPartitions => !group.is_waiting(id, member),
            MemberState::Stable | MemberState::Unknown => false,
        };
        if must_join || member.current.epoch < group.assignment_epoch {
            self.expect_join(turn, group_id, id, member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// The member is told to join again, and has its rebalance timeout for that, from when it was first told.
    fn expect_join(&mut self, turn: &mut Turn<'_>, group: &Str, id: &Str, member: &ConsumerMember) {
        if let Some(deadlines) = self.deadlines(group, id)
            && deadlines.join.is_none()
        {
            let timeout_ms = i64::from(member.wants.rebalance_timeout_ms);
            deadlines.join = Some(turn.arm(group, Timer::Rejoin(id.clone()), None, timeout_ms));
        }
    }

    /// LeaveGroup: who of these is a member goes.
    pub(in crate::coordinator) fn leave_consumers(
        &mut self,
        turn: &mut Turn<'_>,
        group_id: &Str,
        leaving: &[MemberIdentity],
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let group = self.consumers(group_id).ok_or(ErrorCode::UnknownMemberId)?.clone();
        let mut gone = Set::new();
        let mut errors = Vec::with_capacity(leaving.len());
        for member in leaving {
            errors.push(match group.leaving(member) {
                Ok(id) => {
                    gone.insert(id);
                    ErrorCode::None
                }
                Err(error) => error,
            });
        }
        self.fence(turn, group_id, &gone)?;
        Ok(errors)
    }
}

impl ConsumerGroup {
    /// Whether somebody who speaks these protocols can be in it.
    fn supports(&self, request: &JoinGroupRequest) -> bool {
        let classic = || self.members.values().filter_map(|it| it.wants.classic_member_metadata.as_ref());
        *request.protocol_type == *CONSUMER
            && request
                .protocols
                .iter()
                .any(|protocol| classic().all(|it| it.supported_protocols.iter().any(|it| it.name == protocol.name)))
    }

    /// A member that speaks the classic protocol, in the generation that it says.
    fn classic_member(&self, id: &Str, instance: Option<&Str>, generation: i32) -> Result<&ConsumerMember, ErrorCode> {
        let known = match instance {
            Some(instance) => {
                let (known_id, _) = self.static_member(instance).ok_or(ErrorCode::UnknownMemberId)?;
                check_instance(known_id, id, instance).map_err(|it| it.code)?;
                known_id
            }
            None => id,
        };
        let member = self.members.get(known).filter(|it| it.is_classic()).ok_or(ErrorCode::UnknownMemberId)?;
        if member.current.epoch == generation { Ok(member) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// Whether what a member is still to get is another's.
    fn is_waiting(&self, id: &Str, member: &ConsumerMember) -> bool {
        let has = |key| super::member::find(&member.current.assigned, key).is_some();
        self.target(id).iter().any(|key| !has(key) && self.is_owned(key))
    }

    /// The member that leaves, or that an administrator removes by its instance id alone.
    fn leaving(&self, member: &MemberIdentity) -> Result<Str, ErrorCode> {
        let id = &member.member_id;
        let Some(instance) = &member.group_instance_id else {
            return if self.members.contains_key(id) { Ok(id.clone()) } else { Err(ErrorCode::UnknownMemberId) };
        };
        let (known, _) = self.static_member(instance).ok_or(ErrorCode::UnknownMemberId)?;
        if !id.is_empty() {
            check_instance(known, id, instance).map_err(|it| it.code)?;
        }
        Ok(known.clone())
    }
}

impl ConsumerMember {
    pub(super) fn classic_session_ms(&self) -> i64 {
        self.wants.classic_member_metadata.as_ref().map_or(0, |it| i64::from(it.session_timeout_ms))
    }
}

/// What a member says that it has, by ids.
fn owned_of(subscription: &ConsumerProtocolSubscription, image: &Image) -> Vec<TopicPartitions> {
    let owned = subscription.owned_partitions.iter().filter_map(|owned| {
        let topic = image.topic(&owned.topic)?;
        Some(TopicPartitions { topic_id: topic.id, partitions: owned.partitions.clone() })
    });
    owned.collect()
}
