//! What members ask for: JoinGroup, SyncGroup, Heartbeat, LeaveGroup. The refusals are those of Apache Kafka, in its order.

use bytes::Bytes;
use ordered::Map;
use protocol::messages::group_metadata_value;
use protocol::messages::leave_group_request::MemberIdentity;
use protocol::messages::leave_group_response::MemberResponse;
use protocol::messages::{
    GroupMetadataValue, HeartbeatRequest, JoinGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use protocol::{ErrorCode, ResponseBody, Str, Uuid};

use super::change::Change;
use super::classic::{ClassicGroup, GroupState, Member};
use super::rebalance::{join_answer, refuse_sync, refused_join};
use super::shard::{Group, Kind, Replaced, Shard, Then, Timer, Turn};
use crate::deferred::Waiter;
use crate::refusal::MOST_BYTES;

/// A new member's first join is given up after so long.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1_000;

/// How long an id is as Java spells it.
const HYPHENATED_BYTES: usize = 36;

/// Who asks, as others see it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: Str,
    /// `/` and the address, as Java writes it.
    pub(crate) host: Str,
}

impl Shard {
    pub(super) fn join(&mut self, turn: &mut Turn<'_>, waiter: Waiter, client: Client, request: JoinGroupRequest) {
        let (id, is_unknown) = (request.group_id.clone(), request.member_id.is_empty());
        let mut changes = Vec::new();
        let is_new = match self.group(&id).and_then(|it| it.kind.as_ref()) {
            Some(Kind::Other) => {
                let response = refused_join(&Str::new(), ErrorCode::InconsistentGroupProtocol);
                return turn.settled.push(join_answer(waiter, response));
            }
            Some(Kind::Classic(_)) => false,
            Some(Kind::Consumer { group, .. }) if !group.members.is_empty() => {
                return self.join_consumers(turn, waiter, client, request);
            }
            None | Some(Kind::Consumer { .. }) if !is_unknown => {
                let response = refused_join(&request.member_id, ErrorCode::UnknownMemberId);
                return turn.settled.push(join_answer(waiter, response));
            }
            // Nobody is in it: it begins again under this protocol.
            Some(Kind::Consumer { group, .. }) => {
                changes.extend(group.ends().into_iter().map(|it| Change::Consumer(id.clone(), it)));
                true
            }
            None => true,
        };
        // It would be in the group, and no answer could say so.
        if is_unknown && member_prefix(&request, &client).len() > MOST_BYTES - 1 - HYPHENATED_BYTES {
            let response = refused_join(&Str::new(), ErrorCode::UnknownServerError);
            return turn.settled.push(join_answer(waiter, response));
        }
        if is_new {
            changes.push(Change::Group(id.clone(), Some(empty_group(turn.now.wall.0))));
            // That the group is there is written down before anybody hears of it.
            match turn.append(&changes) {
                Ok(end) => {
                    let group = self.entry(&id);
                    let began = ClassicGroup::empty(id.clone(), turn.now.wall.0);
                    if group.kind.replace(Kind::Classic(Box::new(began))).is_none() {
                        group.since = end;
                    }
                }
                Err(error) => return turn.settled.push(join_answer(waiter, refused_join(&Str::new(), error))),
            }
        }
        let Some(group) = self.classic(&id) else { return };
        if !group.accepts(&request.member_id, turn.config.max_size) {
            group.drop_member(turn, &request.member_id);
            let response = refused_join(&Str::new(), ErrorCode::GroupMaxSizeReached);
            turn.settled.push(join_answer(waiter, response));
        } else if !group.supports(&request.protocol_type, &request.protocols) {
            let member = if is_unknown { Str::new() } else { request.member_id };
            let response = refused_join(&member, ErrorCode::InconsistentGroupProtocol);
            turn.settled.push(join_answer(waiter, response));
        } else if is_unknown {
            group.join_unknown(turn, waiter, client, request);
        } else {
            group.join_known(turn, waiter, client, request);
        }
    }

    pub(super) fn sync(&mut self, turn: &mut Turn<'_>, waiter: Waiter, request: SyncGroupRequest) {
        if self.is_consumers(&request.group_id) {
            return self.sync_consumers(turn, waiter, request);
        }
        let answered = match self.classic(&request.group_id) {
            Some(group) if group.state != GroupState::Empty => group.sync(turn, waiter, request),
            _ => Err(ErrorCode::UnknownMemberId),
        };
        if let Err(error) = answered {
            let response = SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() };
            turn.answer(waiter, ResponseBody::SyncGroup(response));
        }
    }

    pub(super) fn heartbeat(&mut self, turn: &mut Turn<'_>, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        if self.is_consumers(&request.group_id) {
            return self.heartbeat_consumers(turn, request);
        }
        let group = self.classic(&request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
        group.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        group.heard(turn, &request.member_id);
        match group.state {
            GroupState::Empty => Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    pub(super) fn leave(&mut self, turn: &mut Turn<'_>, waiter: Waiter, group: &Str, members: Vec<MemberIdentity>) {
        // A rebalance that empties the group writes that down, and the answer waits for it.
        let before = turn.log.log_end();
        if self.is_consumers(group) {
            let (version, answered) = (waiter.version, self.leave_consumers(turn, group, &members));
            let body = match answered {
                Ok(errors) => {
                    leave_body(version, members.iter().zip(errors).map(|(it, error)| left(it, error)).collect())
                }
                Err(error) => refused_leave(error),
            };
            return turn.answer_committed(waiter, body);
        }
        let responses = match self.classic(group) {
            Some(group) => group.leave(turn, &members),
            None => members.into_iter().map(|member| left(&member, ErrorCode::UnknownMemberId)).collect(),
        };
        let end = turn.log.log_end();
        let body = leave_body(waiter.version, responses);
        if end > before { turn.park(end, Then::Answer(waiter, body)) } else { turn.answer(waiter, body) }
    }

    /// All of the log is read: members are given their time again.
    pub(super) fn begin(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Str> = self.groups.keys().cloned().collect();
        for id in ids {
            if self.is_consumers(&id) {
                self.begin_consumers(turn, &id);
                continue;
            }
            // What has no members is left as it is, and shared.
            let has_members = |it: &Group| matches!(&it.kind, Some(Kind::Classic(it)) if !it.members.is_empty());
            if !self.group(&id).is_some_and(has_members) {
                continue;
            }
            let Some(group) = self.classic(&id) else { continue };
            let members: Vec<Str> = group.members.keys().cloned().collect();
            for member in &members {
                group.heard(turn, member);
            }
            if members.len() > turn.config.max_size {
                // Whoever comes too late to the next generation is out.
                group.prepare(turn);
            }
        }
    }
}

impl ClassicGroup {
    /// Whether there is room for a member.
    fn accepts(&self, id: &Str, max_size: usize) -> bool {
        match self.state {
            GroupState::Empty => true,
            GroupState::PreparingRebalance => {
                self.members.get(id).is_some_and(|it| it.awaiting_join.is_some()) || self.joining < max_size
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.contains_key(id) || self.members.len() < max_size
            }
        }
    }

    fn join_unknown(&mut self, turn: &mut Turn<'_>, waiter: Waiter, client: Client, request: JoinGroupRequest) {
        let id = Str::from(format!("{}-{}", member_prefix(&request, &client), hyphenated(turn.random.uuid())));
        if let Some(instance) = request.group_instance_id.clone() {
            return match self.statics.get(&instance).cloned() {
                Some(old) => self.replace(turn, waiter, request, &instance, &old, id),
                None => self.add(turn, waiter, client, request, id),
            };
        }
        if waiter.version < 4 {
            return self.add(turn, waiter, client, request, id);
        }
        // A member is counted once it comes back with the id that it is given here (KIP-394).
        let timeout_ms = i64::from(request.session_timeout_ms);
        let at = turn.arm(&self.id, Timer::Member(id.clone()), None, timeout_ms);
        self.pending_joins.insert(id.clone(), at);
        turn.settled.push(join_answer(waiter, refused_join(&id, ErrorCode::MemberIdRequired)));
    }

    fn join_known(&mut self, turn: &mut Turn<'_>, waiter: Waiter, client: Client, request: JoinGroupRequest) {
        let id = request.member_id.clone();
        if let Some(at) = self.pending_joins.get(&id).copied() {
            if request.group_instance_id.is_some() {
                // Such ids are given to dynamic members only.
                let response = refused_join(&Str::new(), ErrorCode::UnknownServerError);
                return turn.settled.push(join_answer(waiter, response));
            }
            turn.disarm(&self.id, Timer::Member(id.clone()), Some(at));
            return self.add(turn, waiter, client, request, id);
        }
        if let Err(error) = self.check_member(&id, request.group_instance_id.as_ref()) {
            return turn.settled.push(join_answer(waiter, refused_join(&id, error)));
        }
        let is_same = self.members.get(&id).is_some_and(|it| it.protocols == request.protocols);
        let must_rebalance = match self.state {
            GroupState::PreparingRebalance => true,
            // It may have missed the first answer.
            GroupState::CompletingRebalance => !is_same,
            // The leader sees what is no member's to say, as new partitions.
            GroupState::Stable => self.is_leader(&id) || !is_same,
            GroupState::Empty => {
                let response = refused_join(&id, ErrorCode::UnknownMemberId);
                return turn.settled.push(join_answer(waiter, response));
            }
        };
        if must_rebalance {
            self.update(&id, request.protocols, (request.rebalance_timeout_ms, request.session_timeout_ms));
            self.wait_for_join(turn, &id, waiter);
            return self.rebalance(turn);
        }
        let mut response = self.joined(&id);
        if self.state == GroupState::Stable {
            response.members.clear();
        }
        turn.settled.push(join_answer(waiter, response));
    }

    /// Who asked before, and lost patience, is not heard again.
    fn wait_for_join(&mut self, turn: &mut Turn<'_>, id: &Str, waiter: Waiter) {
        if let Some(before) = self.await_join(id, waiter) {
            turn.settled.push(join_answer(before, refused_join(id, ErrorCode::RebalanceInProgress)));
        }
    }

    fn add(&mut self, turn: &mut Turn<'_>, waiter: Waiter, client: Client, request: JoinGroupRequest, id: Str) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type);
        }
        self.is_growing |= self.state == GroupState::PreparingRebalance && self.is_initial;
        let member = Member {
            instance: request.group_instance_id,
            client_id: client.id,
            client_host: client.host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(waiter),
            awaiting_sync: None,
            is_new: true,
            expires: None,
        };
        self.insert(id.clone(), member);
        // It cannot send heartbeats before it knows its id; one that is gone by then must not stay.
        self.expire_after(turn, &id, NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance(turn);
    }

    /// A static member comes back without its id: it goes on as another one (KIP-345).
    fn replace(
        &mut self,
        turn: &mut Turn<'_>,
        waiter: Waiter,
        request: JoinGroupRequest,
        instance: &Str,
        old_id: &Str,
        new_id: Str,
    ) {
        let leader = self.leader.clone();
        let Some(old) = self.members.get(old_id).cloned() else { return };
        if let Some(before) = self.take_join(old_id) {
            turn.settled.push(join_answer(before, refused_join(old_id, ErrorCode::FencedInstanceId)));
        }
        if let Some(member) = self.members.get_mut(old_id) {
            refuse_sync(turn, member, ErrorCode::FencedInstanceId);
        }
        turn.disarm(&self.id, Timer::Member(old_id.clone()), old.expires);
        self.replace_static(instance, old_id, &new_id);
        self.update(&new_id, request.protocols, (request.rebalance_timeout_ms, request.session_timeout_ms));
        self.heard(turn, &new_id);
        self.wait_for_join(turn, &new_id, waiter);
        match self.state {
            GroupState::Stable if self.select_protocol() == self.protocol_name => {
                let replaced = Replaced {
                    group: self.id.clone(),
                    instance: instance.clone(),
                    old_id: old_id.clone(),
                    new_id,
                    old,
                    leader,
                };
                match turn.append_group(self, &|_, member| member.assignment.clone()) {
                    Ok(end) => turn.park(end, Then::Replace(Box::new(replaced))),
                    Err(error) => self.replaced(turn, replaced, error),
                }
            }
            GroupState::Stable => self.rebalance(turn),
            // The old id may be on its way to the leader, whose assignment would not name the new one.
            GroupState::CompletingRebalance => self.prepare(turn),
            GroupState::PreparingRebalance | GroupState::Empty => self.complete_join_if_all_are_there(turn),
        }
    }

    fn sync(&mut self, turn: &mut Turn<'_>, waiter: Waiter, request: SyncGroupRequest) -> Result<(), ErrorCode> {
        let id = request.member_id;
        self.check_member(&id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |said: &Option<Str>, is: &Option<Str>| said.is_some() && is.is_some() && said != is;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            GroupState::Empty => return Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => return Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => {}
        }
        self.pending_syncs.remove(&id);
        if self.pending_syncs.is_empty() {
            turn.disarm(&self.id, Timer::Sync, self.sync_at.take());
        }
        let is_stable = self.state == GroupState::Stable;
        let Some(member) = self.members.get_mut(&id) else { return Err(ErrorCode::UnknownMemberId) };
        if is_stable {
            let response = SyncGroupResponse {
                protocol_type: self.protocol_type.clone(),
                protocol_name: self.protocol_name.clone(),
                assignment: member.assignment.clone(),
                ..SyncGroupResponse::default()
            };
            // A new coordinator may have read an assignment that is not committed, and that the next one does not have.
            let (end, body) = (turn.log.log_end(), ResponseBody::SyncGroup(response));
            if end > turn.log.high_watermark() {
                turn.park(end, Then::Answer(waiter, body));
            } else {
                turn.answer(waiter, body);
            }
            return Ok(());
        }
        if let Some(before) = member.awaiting_sync.replace(waiter) {
            // It lost patience and asks again.
            let error_code = ErrorCode::RebalanceInProgress.code();
            let response = SyncGroupResponse { error_code, ..SyncGroupResponse::default() };
            turn.answer(before, ResponseBody::SyncGroup(response));
        }
        if self.is_leader(&id) {
            let given = request.assignments.into_iter().map(|it| (it.member_id, it.assignment));
            let assignments: Map<Str, Bytes> = given.collect();
            let generation = self.generation;
            match turn.append_group(self, &|id, _| assignments.get(id).cloned().unwrap_or_default()) {
                Ok(end) => turn.park(end, Then::Assign(self.id.clone(), generation, assignments)),
                Err(error) => self.assigned(turn, generation, &assignments, error),
            }
        }
        Ok(())
    }

    fn leave(&mut self, turn: &mut Turn<'_>, leaving: &[MemberIdentity]) -> Vec<MemberResponse> {
        let mut responses = Vec::with_capacity(leaving.len());
        let mut has_any_left = false;
        for member in leaving {
            let error = match self.leave_one(turn, member) {
                Ok(()) => ErrorCode::None,
                Err(error) => error,
            };
            has_any_left |= error == ErrorCode::None;
            responses.push(left(member, error));
        }
        if has_any_left {
            match self.state {
                GroupState::Stable | GroupState::CompletingRebalance => self.rebalance(turn),
                GroupState::PreparingRebalance => self.complete_join_if_all_are_there(turn),
                GroupState::Empty => {}
            }
        }
        responses
    }

    fn leave_one(&mut self, turn: &mut Turn<'_>, leaving: &MemberIdentity) -> Result<(), ErrorCode> {
        let instance = leaving.group_instance_id.as_ref();
        let id = if leaving.member_id.is_empty() {
            // An administrator removes a static member, whatever its id is by now.
            instance.and_then(|it| self.statics.get(it)).cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else {
            if !self.pending_joins.contains_key(&leaving.member_id) {
                self.check_member(&leaving.member_id, instance)?;
            }
            leaving.member_id.clone()
        };
        self.drop_member(turn, &id);
        Ok(())
    }
}

fn left(member: &MemberIdentity, error: ErrorCode) -> MemberResponse {
    MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: error.code(),
    }
}

/// Up to version 2 one member leaves, and its error is the answer's.
fn leave_body(version: i16, members: Vec<MemberResponse>) -> ResponseBody {
    let mut response = LeaveGroupResponse { members, ..LeaveGroupResponse::default() };
    if version < 3 {
        response.error_code = response.members.first().map_or(0, |it| it.error_code);
        response.members.clear();
    }
    ResponseBody::LeaveGroup(response)
}

fn refused_leave(error: ErrorCode) -> ResponseBody {
    ResponseBody::LeaveGroup(LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() })
}

fn empty_group(now_ms: i64) -> GroupMetadataValue {
    let members: Vec<group_metadata_value::MemberMetadata> = Vec::new();
    GroupMetadataValue { protocol: None, leader: None, current_state_timestamp: now_ms, members, ..Default::default() }
}

/// What the id of a new member begins with.
fn member_prefix<'a>(request: &'a JoinGroupRequest, client: &'a Client) -> &'a Str {
    request.group_instance_id.as_ref().unwrap_or(&client.id)
}

/// An id as Java spells it: hexadecimal, with dashes.
fn hyphenated(id: Uuid) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(HYPHENATED_BYTES);
    for (index, byte) in id.0.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The answer to a heartbeat.
pub(super) fn heartbeat_body(error: ErrorCode) -> ResponseBody {
    ResponseBody::Heartbeat(protocol::messages::HeartbeatResponse { error_code: error.code(), throttle_time_ms: 0 })
}
