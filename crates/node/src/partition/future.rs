//! A replica on its way to another log directory (KIP-113): Kafka's future replica.
//!
//! A copy is made of the log until little is missing. Then the controller notes the new directory, and when that is committed
//! the store copies the rest and the log lives there. Before that a client may change its mind; after that the move goes
//! through first, because a restart looks for the log where the controller has noted it.

use protocol::{Era, Offset};
use storage::{Copied, DirId};

use super::{Online, Partition, State};

/// Bytes that may be missing from a copy when the log moves: the log's lane waits for them.
const REST: u64 = 4 << 20;

/// The other directory, and how far the copy there is.
#[derive(Clone, Debug)]
pub(crate) struct Future {
    pub(crate) dir: DirId,
    step: FutureStep,
    /// Of this era of the log; nothing is known of a copy in another.
    copied: Option<(Era, Copied)>,
    /// The controller was asked to note the directory.
    asked: bool,
    /// Where the replica is wanted by now, if that is elsewhere.
    wanted: Option<DirId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FutureStep {
    /// Nothing is under way.
    Idle,
    /// The store copies, removes the copy or moves the log; or the log's start is being written down for the new directory.
    Busy,
    /// The log cannot be read: as in Kafka the copy is left as it is.
    GivenUp,
}

/// What there is to do for a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FutureTask {
    /// To copy more.
    Copy,
    /// To have the controller note the directory.
    Ask,
    /// To write down in the new directory where the log starts, and then to move.
    Move,
    /// To remove the copy.
    Drop,
}

impl Partition {
    /// The other directory that the replica is on its way to.
    pub(crate) fn future(&self) -> Option<&Future> {
        self.future.as_ref()
    }

    /// A client wants the replica in a directory, or an earlier run has left a copy there. True if there is anything to do.
    pub(crate) fn want_in(&mut self, dir: DirId) -> bool {
        match &mut self.future {
            None if dir == self.dir => return false,
            None => {
                let future = Future { dir, step: FutureStep::Idle, copied: None, asked: false, wanted: None };
                self.future = Some(future);
            }
            // Should the copy be on its way out already, it begins anew.
            Some(future) if future.dir == dir => future.wanted = future.wanted.and(Some(dir)),
            Some(future) => future.wanted = Some(dir),
        }
        true
    }

    /// What is to be done next; `is_noted` says that the committed metadata names the new directory.
    pub(crate) fn future_task(&self, is_noted: bool) -> Option<FutureTask> {
        let (Some(future), State::Online(online)) = (&self.future, &self.state) else { return None };
        let is_settled = !online.truncating && !online.shape.is_cleaning();
        match future.step {
            FutureStep::Busy => None,
            _ if !is_settled => None,
            _ if future.is_given_up_for_another() => Some(FutureTask::Drop),
            FutureStep::GivenUp => None,
            FutureStep::Idle if future.is_behind(online) => Some(FutureTask::Copy),
            FutureStep::Idle if is_noted => Some(FutureTask::Move),
            FutureStep::Idle => (!future.asked).then_some(FutureTask::Ask),
        }
    }

    /// A step of the move has begun.
    pub(crate) fn future_began(&mut self, task: FutureTask) {
        let Some(future) = &mut self.future else { return };
        match task {
            FutureTask::Ask => future.asked = true,
            FutureTask::Copy | FutureTask::Move | FutureTask::Drop => future.step = FutureStep::Busy,
        }
    }

    /// True from the moment on at which the controller may look for the replica in the new directory.
    pub(crate) fn is_future_asked(&self) -> bool {
        self.future.as_ref().is_some_and(|future| future.asked)
    }

    /// A step has come to nothing, or got on. Answers how many bytes more there are.
    pub(crate) fn future_paused(&mut self, copied: Option<Copied>) -> u64 {
        let era = self.era();
        let Some(future) = &mut self.future else { return 0 };
        future.step = FutureStep::Idle;
        let Some(copied) = copied else { return 0 };
        let before = future.copied.replace((era, copied));
        copied.bytes.saturating_sub(before.map_or(0, |(_, before)| before.bytes))
    }

    /// The log cannot be read.
    pub(crate) fn give_up_future(&mut self) {
        if let Some(future) = &mut self.future {
            future.step = FutureStep::GivenUp;
        }
    }

    /// The copy is gone, or the log lives where it was made. Where else the replica is wanted by now it goes next: true if it
    /// does.
    pub(crate) fn future_over(&mut self, has_moved: bool) -> bool {
        let Some(future) = self.future.take() else { return false };
        if has_moved {
            self.dir = future.dir;
        }
        future.wanted.is_some_and(|dir| self.want_in(dir))
    }

    /// A log of the future: how large it is, and how far it ends behind the log.
    pub(crate) fn future_size_and_lag(&self) -> Option<(u64, i64)> {
        let (Some(future), State::Online(online)) = (&self.future, &self.state) else { return None };
        let copied = future.copied.map(|(_, copied)| copied).unwrap_or_default();
        Some((copied.bytes, online.shape.end().0.saturating_sub(copied.end.0).max(0)))
    }

    /// How much of the log a directory has on disk: all below an offset, or all there is.
    pub(crate) fn held_in(&self, dir: DirId) -> Option<Offset> {
        if self.dir == dir {
            return Some(Offset(i64::MAX));
        }
        let future = self.future.as_ref().filter(|future| future.dir == dir)?;
        future.copied.filter(|(era, _)| *era == self.era()).map(|(_, copied)| copied.end)
    }

    /// Its directory is lost.
    pub(crate) fn future_lost(&mut self) {
        self.future = None;
    }
}

impl Future {
    /// Nobody wants it any more, and the controller knows nothing of it.
    fn is_given_up_for_another(&self) -> bool {
        self.wanted.is_some() && !self.asked
    }

    /// More is missing than the log's lane should wait for.
    fn is_behind(&self, online: &Online) -> bool {
        let copied = self.copied.filter(|(era, _)| *era == online.shape.era());
        copied.is_none_or(|(_, copied)| copied.bytes + REST < online.written_bytes())
    }
}

impl Online {
    /// Bytes of the log that are written.
    fn written_bytes(&self) -> u64 {
        self.shape.size().saturating_sub(self.in_flight.iter().map(|(_, bytes)| bytes).sum())
    }
}
