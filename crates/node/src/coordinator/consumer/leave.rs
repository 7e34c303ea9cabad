//! Members go: they leave, are silent for too long, or do not give up what they are to give up.

use ordered::Set;
use protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use protocol::{ErrorCode, Instant, Str};

use super::hash::metadata_hash;
use super::heartbeat::check_instance;
use super::member::{Current, LEAVE_STATIC, MemberState};
use super::record::ConsumerChange;
use super::{Deadlines, Draft, Shard};
use crate::coordinator::shard::{Kind, Timer, Turn};
use crate::refusal::Refusal;

/// What was due and could not be written is tried again after this.
const RETRY_MS: i64 = 500;

impl Shard {
    pub(super) fn consumer_leave(
        &mut self,
        turn: &mut Turn<'_>,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let (id, member_id) = (&request.group_id, &request.member_id);
        let mut draft = self.draft(turn, id, false)?;
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(member_id.clone()),
            member_epoch: request.member_epoch,
            ..ConsumerGroupHeartbeatResponse::default()
        };
        if let Some(instance) = &request.instance_id {
            let Some((known, member)) = draft.group.static_member(instance) else {
                let what = format!("nobody in group {id} has the instance id {instance}");
                return Err(Refusal::new(ErrorCode::UnknownMemberId, what));
            };
            check_instance(known, member_id, instance)?;
            if request.member_epoch == LEAVE_STATIC {
                // It comes back; its session, which goes on, says how long it may take.
                let mut current = Current { epoch: LEAVE_STATIC, revoking: Vec::new(), ..member.current.clone() };
                current.assigned.iter_mut().for_each(|(_, epoch)| *epoch = 0);
                draft.record(ConsumerChange::Current(member_id.clone(), Some(Box::new(current))));
                self.commit_draft(turn, draft).map_err(Refusal::of)?;
                return Ok(response);
            }
        } else if !draft.group.members.contains_key(member_id) {
            let what = format!("{member_id} is no member of group {id}");
            return Err(Refusal::new(ErrorCode::UnknownMemberId, what));
        }
        self.fence(turn, id, &[member_id.clone()].into_iter().collect()).map_err(Refusal::of)?;
        Ok(response)
    }

    /// Members are none any more: what they had is divided among the others. If only members are left who speak the classic
    /// protocol, the group speaks it from now on.
    pub(super) fn fence(&mut self, turn: &mut Turn<'_>, id: &Str, members: &Set<Str>) -> Result<(), ErrorCode> {
        let Some(group) = self.consumers(id).filter(|_| !members.is_empty()) else { return Ok(()) };
        if group.can_downgrade(members, turn.config) {
            let draft = Draft::of(id, group.clone());
            return self.downgrade(turn, draft, members, true);
        }
        let mut draft = Draft::of(id, group.clone());
        for member in members.iter() {
            draft.remove(member);
        }
        let unused = draft.group.patterns.keys().filter(|it| draft.group.pattern_subscribers(it) == 0);
        for pattern in unused.cloned().collect::<Vec<_>>() {
            draft.record(ConsumerChange::Pattern(pattern, None));
        }
        let hash = metadata_hash(draft.group.subscribed.keys(), turn.image);
        draft.record(ConsumerChange::Group(Some((draft.group.epoch.wrapping_add(1), hash))));
        self.commit_draft(turn, draft)
    }

    pub(super) fn forget_deadlines(&mut self, turn: &mut Turn<'_>, id: &Str, member: &Str) {
        let Some(Kind::Consumer { deadlines, .. }) = self.kind_mut(id) else { return };
        let Some(Deadlines { session, revoke, join, sync }) = deadlines.remove(member) else { return };
        turn.disarm(id, Timer::Member(member.clone()), session);
        turn.disarm(id, Timer::Revoke(member.clone()), revoke);
        turn.disarm(id, Timer::Rejoin(member.clone()), join);
        turn.disarm(id, Timer::Resync(member.clone()), sync);
    }

    /// Something of a member is due; it counts if it was not moved meanwhile.
    pub(in crate::coordinator) fn consumer_due(&mut self, turn: &mut Turn<'_>, id: &Str, at: Instant, timer: &Timer) {
        let Some(Kind::Consumer { group, deadlines }) = self.kind_mut(id) else { return };
        let (Timer::Member(member) | Timer::Revoke(member) | Timer::Rejoin(member) | Timer::Resync(member)) = timer
        else {
            return;
        };
        if !group.members.contains_key(member) {
            return self.forget_deadlines(turn, id, member);
        }
        let Some(of_member) = deadlines.get_mut(member) else { return };
        let deadline = match timer {
            Timer::Member(_) => &mut of_member.session,
            Timer::Revoke(_) => &mut of_member.revoke,
            Timer::Rejoin(_) => &mut of_member.join,
            _ => &mut of_member.sync,
        };
        if *deadline != Some(at) {
            return;
        }
        *deadline = None;
        if self.fence(turn, id, &[member.clone()].into_iter().collect()).is_err() {
            let again = turn.arm(id, timer.clone(), None, RETRY_MS);
            let Some(deadlines) = self.deadlines(id, member) else { return };
            match timer {
                Timer::Member(_) => deadlines.session = Some(again),
                Timer::Revoke(_) => deadlines.revoke = Some(again),
                Timer::Rejoin(_) => deadlines.join = Some(again),
                _ => deadlines.sync = Some(again),
            }
        }
    }

    /// All of the log is read: members are given their time again.
    pub(in crate::coordinator) fn begin_consumers(&mut self, turn: &mut Turn<'_>, id: &Str) {
        let Some(group) = self.consumers(id).cloned() else { return };
        for (member_id, member) in group.members.iter() {
            let timeout_ms = turn.consumer_session_timeout_ms(id);
            self.expect_heartbeat(turn, id, member_id, timeout_ms);
            if member.current.state == MemberState::UnrevokedPartitions {
                let timeout_ms = i64::from(member.wants.rebalance_timeout_ms);
                if let Some(deadlines) = self.deadlines(id, member_id) {
                    deadlines.revoke = Some(turn.arm(id, Timer::Revoke(member_id.clone()), None, timeout_ms));
                }
            }
        }
    }
}
