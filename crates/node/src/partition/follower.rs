//! Following: a leader's batches as they are, and the cut where two histories part (KIP-101, KIP-279, KIP-595).

use protocol::records::Batches;
use protocol::{FileId, LeaderEpoch, NodeId, Now, Offset};
use storage::{AppendError, Shape};

use super::append::rules_of;
use super::role::Role;
use super::{Partition, Sight, State, start_in_lane};
use crate::config::Past;
use crate::event::Event;
use crate::ops::{Ops, Purpose};
use crate::outbox::Outbox;

/// What a follower asks its leader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchPosition {
    /// Everything below is written here.
    pub(crate) offset: Offset,
    /// The epoch of the last record; -1 for a log without any.
    pub(crate) last_epoch: LeaderEpoch,
    pub(crate) log_start: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
}

impl Partition {
    /// Whom this replica follows, if its log is ready to.
    pub(crate) fn followed(&self) -> Option<NodeId> {
        match (&self.role, &self.state) {
            (Role::Follower { leader, .. }, State::Online(_)) => *leader,
            _ => None,
        }
    }

    /// What comes next; `None` while the log is being written or cut: a fetch acknowledges what is written.
    pub(crate) fn fetch_position(&self) -> Option<FetchPosition> {
        let (Role::Follower { leader: Some(_), .. }, State::Online(online)) = (&self.role, &self.state) else {
            return None;
        };
        if online.truncating || online.settled() < online.shape.end() {
            return None;
        }
        Some(FetchPosition {
            offset: online.shape.end(),
            last_epoch: match self.config.past {
                Past::HighWatermarkTruncation => LeaderEpoch::NONE,
                _ => online.shape.epochs().latest().unwrap_or(LeaderEpoch::NONE),
            },
            log_start: online.shape.log_start(),
            leader_epoch: self.leader_epoch,
        })
    }

    /// Appends a leader's batches as they are. They follow each other from the end of this log, with gaps where the leader's
    /// is compacted.
    pub(crate) fn append_replica(
        &mut self,
        now: Now,
        batches: Batches,
        ops: &mut Ops,
        out: &mut Outbox,
    ) -> Result<(), AppendError> {
        let rules = rules_of(&self.config);
        let State::Online(online) = &mut self.state else { return Ok(()) };
        let bytes = batches.bytes() as u64;
        let appended = online.shape.append_replica(batches, &rules, now.wall)?;
        self.hand_over(now.mono, appended, bytes, 0, ops, out);
        Ok(())
    }

    /// What the leader said of its high watermark and log start. Answers true if the log start moved.
    pub(crate) fn told_by_leader(
        &mut self,
        high_watermark: i64,
        log_start: i64,
        ops: &mut Ops,
        out: &mut Outbox,
    ) -> bool {
        let (State::Online(online), Role::Follower { high_watermark: known, .. }) = (&mut self.state, &mut self.role)
        else {
            return false;
        };
        *known = (*known).max(Offset(high_watermark));
        let committed = online.high_watermark.max((*known).min(online.settled()));
        if log_start <= online.shape.log_start().0 {
            return false;
        }
        let before = online.shape.log_start();
        let steps = online.shape.advance_log_start(Offset(log_start).min(committed));
        let after = online.shape.log_start();
        self.log_start_moved(before, after, steps, ops, out)
    }

    /// The leader's log parts from this one: its `epoch` ends at `end` there. Cuts what it does not have.
    pub(crate) fn diverged(&mut self, epoch: LeaderEpoch, end: Offset, ops: &mut Ops, out: &mut Outbox) {
        let State::Online(online) = &self.state else { return };
        let log_end = online.shape.end();
        let cut = match online.shape.epochs().end_offset_for(epoch, log_end) {
            _ if self.config.past == Past::LoneEpochs => end,
            // An epoch that the leader has and this log has not: cut back to the one before, and ask again (KIP-279).
            Some((known, known_end)) if known != epoch => known_end,
            Some((_, known_end)) => known_end.min(end),
            // This log knows of no epochs.
            None => end,
        };
        self.truncate(cut.min(log_end), ops, out);
    }

    /// [`Past::HighWatermarkTruncation`]: cuts what is not known to be committed, once for each leader.
    pub(crate) fn cut_to_high_watermark(&mut self, ops: &mut Ops, out: &mut Outbox) {
        let is_settled = self.fetch_position().is_some();
        let (State::Online(online), Role::Follower { must_cut, .. }) = (&self.state, &mut self.role) else { return };
        if is_settled && std::mem::take(must_cut) && online.high_watermark < online.shape.end() {
            self.truncate(online.high_watermark, ops, out);
        }
    }

    /// Cuts the log at an offset, or begins it anew there if it ends before. The log is not ready until the store has done so.
    pub(crate) fn truncate(&mut self, offset: Offset, ops: &mut Ops, out: &mut Outbox) {
        let State::Online(online) = &mut self.state else { return };
        if offset == online.shape.end() {
            // No record goes, but epochs without any do: this log's last leader wrote nothing.
            if let Some(op) = online.shape.forget_epochs(offset) {
                start_in_lane(self.log, op, ops, out);
            }
            return;
        }
        let op = online.shape.truncate(offset);
        online.truncating = true;
        online.high_watermark = online.high_watermark.min(offset);
        online.unseen.retain(|(end, _)| *end <= offset);
        online.due.retain(|(_, end)| *end <= offset);
        let ended_clean = online.cleaning.cut(offset);
        if let Role::Follower { high_watermark, .. } = &mut self.role {
            *high_watermark = (*high_watermark).min(offset);
        }
        ops.start(Purpose::Truncate(self.log), op, out);
        if ended_clean {
            self.end_clean(ops, out);
        }
        let (topic, partition) = (self.topic.clone(), self.key.partition);
        out.emit(|| Event::Truncated { topic, partition, offset });
    }

    /// While the log is being cut: what goes of its files.
    pub(crate) fn cut(&self) -> Option<Vec<(FileId, u32)>> {
        let State::Online(online) = &self.state else { return None };
        online.truncating.then(|| online.shape.cut())
    }

    /// The store has cut the log. Answers by how many bytes consumers can read more.
    pub(crate) fn truncated(&mut self, sight: Sight<'_>, shape: Shape, ops: &mut Ops, out: &mut Outbox) -> u64 {
        let State::Online(online) = &mut self.state else { return 0 };
        online.shape.adopt(shape);
        online.truncating = false;
        online.high_watermark = online.high_watermark.clamp(online.shape.log_start(), online.shape.end());
        // The metadata may have made this broker the leader meanwhile.
        self.begin_epoch(ops, out);
        self.reveal(sight)
    }
}
