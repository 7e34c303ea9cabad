//! Rebalances of the classic protocol: members join, the leader assigns, everybody gets its part; and who is silent for too
//! long is out.

use bytes::Bytes;
use ordered::Map;
use protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use protocol::{ErrorCode, Instant, ResponseBody, Str};

use super::classic::{ClassicGroup, GroupState};
use super::shard::{Replaced, Settled, Timer, Turn};
use crate::deferred::Waiter;

impl ClassicGroup {
    /// A deadline has come; it counts if it was not moved meanwhile.
    pub(super) fn due(&mut self, turn: &mut Turn<'_>, at: Instant, timer: &Timer) {
        match timer {
            Timer::Join if self.join_at == Some(at) => {
                self.join_at = None;
                match self.initial_delay.take() {
                    Some((delay_ms, left_ms)) => self.end_initial_delay(turn, delay_ms, left_ms),
                    None => self.complete_join(turn),
                }
            }
            Timer::Sync if self.sync_at == Some(at) => {
                self.sync_at = None;
                self.expire_syncs(turn);
            }
            Timer::Member(id) => self.expire_member(turn, at, id),
            Timer::Join | Timer::Sync | Timer::Revoke(_) | Timer::Rejoin(_) | Timer::Resync(_) => {}
        }
    }

    /// A member, or who was given an id and did not come, was not heard of.
    fn expire_member(&mut self, turn: &mut Turn<'_>, at: Instant, id: &Str) {
        if self.pending_joins.get(id) == Some(&at) {
            self.remove(id);
            if self.state == GroupState::PreparingRebalance && self.have_all_joined() {
                self.complete_join(turn);
            }
            return;
        }
        let Some(member) = self.members.get_mut(id).filter(|it| it.expires == Some(at)) else { return };
        member.expires = None;
        // Who waits for the others is alive; but nobody may wait forever for a first answer.
        if !member.is_new && (member.awaiting_join.is_some() || member.awaiting_sync.is_some()) {
            return;
        }
        self.answer_join(turn, id, ErrorCode::UnknownMemberId);
        self.remove(id);
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.rebalance(turn),
            GroupState::PreparingRebalance if self.have_all_joined() => self.complete_join(turn),
            GroupState::PreparingRebalance | GroupState::Empty => {}
        }
    }

    /// The member is alive for a session's time from now.
    pub(super) fn heard(&mut self, turn: &mut Turn<'_>, id: &Str) {
        let Some(member) = self.members.get(id) else { return };
        let timeout_ms = i64::from(member.session_timeout_ms);
        self.expire_after(turn, id, timeout_ms);
    }

    pub(super) fn expire_after(&mut self, turn: &mut Turn<'_>, id: &Str, timeout_ms: i64) {
        if let Some(member) = self.members.get_mut(id) {
            let at = turn.arm(&self.id, Timer::Member(id.clone()), member.expires, timeout_ms);
            member.expires = Some(at);
        }
    }

    /// Lets a member go; who waits there hears that it is no member.
    pub(super) fn drop_member(&mut self, turn: &mut Turn<'_>, id: &Str) {
        let pending = self.pending_joins.get(id).copied();
        turn.disarm(&self.id, Timer::Member(id.clone()), pending);
        self.answer_join(turn, id, ErrorCode::UnknownMemberId);
        if let Some(mut member) = self.remove(id) {
            turn.disarm(&self.id, Timer::Member(id.clone()), member.expires);
            refuse_sync(turn, &mut member, ErrorCode::UnknownMemberId);
        }
    }

    /// A rebalance begins if it can; if one is being prepared, it may be complete now.
    pub(super) fn rebalance(&mut self, turn: &mut Turn<'_>) {
        match self.state {
            GroupState::PreparingRebalance => self.complete_join_if_all_are_there(turn),
            _ => self.prepare(turn),
        }
    }

    pub(super) fn complete_join_if_all_are_there(&mut self, turn: &mut Turn<'_>) {
        let is_due = self.state == GroupState::PreparingRebalance && !self.is_initial && self.have_all_joined();
        if is_due {
            self.complete_join(turn);
        }
    }

    /// All members are to join again.
    pub(super) fn prepare(&mut self, turn: &mut Turn<'_>) {
        if self.state == GroupState::CompletingRebalance {
            self.reset_assignments(turn, ErrorCode::RebalanceInProgress);
        }
        self.pending_syncs.clear();
        turn.disarm(&self.id, Timer::Sync, self.sync_at.take());
        self.turn_to(GroupState::PreparingRebalance, turn.now.wall.0);
        if self.is_initial {
            // The group is new: others are given time to come.
            let delay_ms = i64::from(turn.config.initial_rebalance_delay_ms).max(0);
            let left_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.is_growing = false;
            self.initial_delay = Some((delay_ms, left_ms));
            self.await_joins(turn, delay_ms);
        } else if self.have_all_joined() {
            self.complete_join(turn);
        } else {
            self.await_joins(turn, self.rebalance_timeout_ms());
        }
    }

    fn await_joins(&mut self, turn: &mut Turn<'_>, after_ms: i64) {
        self.join_at = Some(turn.arm(&self.id, Timer::Join, self.join_at, after_ms));
    }

    /// The initial delay is over; somebody who came meanwhile prolongs it, up to the rebalance timeout.
    fn end_initial_delay(&mut self, turn: &mut Turn<'_>, delay_ms: i64, left_ms: i64) {
        if !self.is_growing || left_ms == 0 {
            return self.complete_join(turn);
        }
        self.is_growing = false;
        let next_ms = i64::from(turn.config.initial_rebalance_delay_ms).max(0).min(left_ms);
        self.initial_delay = Some((next_ms, (left_ms - delay_ms).max(0)));
        self.await_joins(turn, next_ms);
    }

    /// Who has joined is the next generation; dynamic members who have not are out.
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        turn.disarm(&self.id, Timer::Join, self.join_at.take());
        self.initial_delay = None;
        let is_late = |it: &super::classic::Member| it.awaiting_join.is_none() && it.instance.is_none();
        let late: Vec<Str> = self.members.iter().filter(|(_, it)| is_late(it)).map(|(id, _)| id.clone()).collect();
        for id in late {
            self.drop_member(turn, &id);
        }
        if !self.elect_leader() && !self.members.is_empty() {
            // Only static members are left, none of which is there: their sessions decide.
            return self.await_joins(turn, self.rebalance_timeout_ms());
        }
        self.begin_generation(turn.now.wall.0);
        if self.state == GroupState::Empty {
            // If this is lost, the generation before counts again, and its members time out.
            let _ = turn.append_group(self, &|_, _| Bytes::new());
            return;
        }
        let ids: Vec<Str> = self.members.keys().cloned().collect();
        for id in ids {
            self.answer_join(turn, &id, ErrorCode::None);
            self.heard(turn, &id);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.pending_syncs.insert(id);
        }
        let timeout_ms = self.rebalance_timeout_ms();
        self.sync_at = Some(turn.arm(&self.id, Timer::Sync, self.sync_at, timeout_ms));
    }

    /// Who did not ask for its assignment in time is out.
    fn expire_syncs(&mut self, turn: &mut Turn<'_>) {
        let is_due = matches!(self.state, GroupState::CompletingRebalance | GroupState::Stable);
        if !is_due || self.pending_syncs.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_syncs).iter() {
            self.drop_member(turn, id);
        }
        self.prepare(turn);
    }

    /// Answers who waits for its join, if anybody does.
    pub(super) fn answer_join(&mut self, turn: &mut Turn<'_>, id: &Str, error: ErrorCode) {
        let Some(waiter) = self.take_join(id) else { return };
        let response = match error {
            ErrorCode::None => self.joined(id),
            error => refused_join(&Str::new(), error),
        };
        turn.settled.push(join_answer(waiter, response));
    }

    /// What a member of this generation is told.
    pub(super) fn joined(&self, id: &Str) -> JoinGroupResponse {
        let members = if self.is_leader(id) { self.roster() } else { Vec::new() };
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id.clone(),
            members,
            ..JoinGroupResponse::default()
        }
    }

    /// The leader's assignment is written down, or could not be.
    pub(super) fn assigned(
        &mut self,
        turn: &mut Turn<'_>,
        generation: i32,
        assignments: &Map<Str, Bytes>,
        error: ErrorCode,
    ) {
        // Another rebalance may have begun meanwhile.
        if self.state != GroupState::CompletingRebalance || self.generation != generation {
            return;
        }
        if error != ErrorCode::None {
            self.reset_assignments(turn, error);
            return self.rebalance(turn);
        }
        for (id, member) in self.members.iter_mut() {
            member.assignment = assignments.get(id).cloned().unwrap_or_default();
        }
        self.answer_syncs(turn, ErrorCode::None);
        self.turn_to(GroupState::Stable, turn.now.wall.0);
    }

    fn reset_assignments(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.answer_syncs(turn, error);
    }

    fn answer_syncs(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        let mut heard = Vec::new();
        for (id, member) in self.members.iter_mut() {
            if let Some(waiter) = member.awaiting_sync.take() {
                let mut response = SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() };
                if error == ErrorCode::None {
                    response.protocol_type = self.protocol_type.clone();
                    response.protocol_name = self.protocol_name.clone();
                    response.assignment = member.assignment.clone();
                }
                turn.settled.push(Settled::Answer(waiter, ResponseBody::SyncGroup(response)));
                heard.push(id.clone());
            }
        }
        for id in heard {
            self.heard(turn, &id);
        }
    }

    /// That a static member has another id is written down, or could not be.
    pub(super) fn replaced(&mut self, turn: &mut Turn<'_>, replaced: Replaced, error: ErrorCode) {
        let Replaced { instance, old_id, new_id, old, leader, .. } = replaced;
        if self.statics.get(&instance) != Some(&new_id) {
            return;
        }
        let Some(waiter) = self.take_join(&new_id) else { return };
        if error == ErrorCode::None {
            // Its session may have ended unnoticed while it waited.
            self.heard(turn, &new_id);
        }
        let mut response = self.joined(&new_id);
        if error != ErrorCode::None {
            self.replace_static(&instance, &new_id, &old_id);
            self.update(&old_id, old.protocols, (old.rebalance_timeout_ms, old.session_timeout_ms));
            self.heard(turn, &old_id);
            response.members.clear();
            (response.error_code, response.member_id) = (error.code(), Str::new());
            response.leader = leader.unwrap_or_default();
        } else if waiter.version >= 9 {
            // It knows that it leads, and that there is nothing to assign (KIP-814).
            response.skip_assignment = self.is_leader(&new_id);
        } else {
            // It must not take itself for the leader, whose assignment would make a new generation of this one.
            response.members.clear();
            response.leader = leader.unwrap_or_default();
        }
        turn.settled.push(join_answer(waiter, response));
    }

    /// A static member goes on under another id.
    pub(super) fn replace_static(&mut self, instance: &Str, old_id: &Str, new_id: &Str) {
        let was_leader = self.is_leader(old_id);
        let Some(member) = self.remove(old_id) else { return };
        let member = super::classic::Member { awaiting_join: None, awaiting_sync: None, expires: None, ..member };
        self.insert(new_id.clone(), member);
        if was_leader {
            self.leader = Some(new_id.clone());
        }
        debug_assert_eq!(self.statics.get(instance), Some(new_id));
    }

    pub(super) fn is_anybody_waiting(&self) -> bool {
        self.joining > 0 || self.members.values().any(|it| it.awaiting_sync.is_some())
    }

    /// Everybody who waits is told this; the group is not this node's any more.
    pub(super) fn dismiss(&mut self, error: ErrorCode, settled: &mut Vec<Settled>) {
        for (id, member) in self.members.iter_mut() {
            if let Some(waiter) = member.awaiting_join.take() {
                settled.push(join_answer(waiter, refused_join(id, error)));
            }
            if let Some(waiter) = member.awaiting_sync.take() {
                let response = SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() };
                settled.push(Settled::Answer(waiter, ResponseBody::SyncGroup(response)));
            }
        }
    }
}

/// Tells whoever waits for a member's assignment that there is none.
pub(super) fn refuse_sync(turn: &mut Turn<'_>, member: &mut super::classic::Member, error: ErrorCode) {
    if let Some(waiter) = member.awaiting_sync.take() {
        let response = SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() };
        turn.answer(waiter, ResponseBody::SyncGroup(response));
    }
}

/// A join that is refused.
pub(crate) fn refused_join(member_id: &Str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse { error_code: error.code(), member_id: member_id.clone(), ..JoinGroupResponse::default() }
}

/// An answer as its version has it: the name of no protocol is empty at first, and null since version 7.
pub(super) fn join_answer(waiter: Waiter, response: JoinGroupResponse) -> Settled {
    Settled::Answer(waiter, join_body(waiter.version, response))
}

/// As [`join_answer`], for who answers itself.
pub(crate) fn join_body(version: i16, mut response: JoinGroupResponse) -> ResponseBody {
    let name = response.protocol_name.take().unwrap_or_default();
    response.protocol_name = if version >= 7 { Some(name).filter(|it| !it.is_empty()) } else { Some(name) };
    response.skip_assignment &= version >= 9;
    ResponseBody::JoinGroup(response)
}
