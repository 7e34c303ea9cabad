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
            // A start looks where the controller has noted it.
            _ if future.is_given_up_for_another() && !is_noted => Some(FutureTask::Drop),
            FutureStep::GivenUp => None,
            FutureStep::Idle if future.is_behind(online) => Some(FutureTask::Copy),
            // What an earlier run asked for may be taken back by what this one has said since.
            FutureStep::Idle if is_noted && future.asked => Some(FutureTask::Move),
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

    /// True from the moment on at which the controller is to look for the replica in the new directory.
    pub(crate) fn is_future_asked(&self) -> bool {
        self.future.as_ref().is_some_and(|future| future.asked && future.step != FutureStep::GivenUp)
    }

    /// A step has come to nothing, or got on in the era in which it began: the log may have been cut meanwhile. Answers how
    /// many bytes more there are.
    pub(crate) fn future_paused(&mut self, copied: Option<(Era, Copied)>) -> u64 {
        let Some(future) = &mut self.future else { return 0 };
        future.step = FutureStep::Idle;
        let Some((era, copied)) = copied else { return 0 };
        let before = future.copied.replace((era, copied));
        copied.bytes.saturating_sub(before.map_or(0, |(_, before)| before.bytes))
    }

    /// The log cannot be read. True if the controller may look for the replica in the new directory, where it will not be.
    pub(crate) fn give_up_future(&mut self) -> bool {
        let was_asked = self.is_future_asked();
        if let Some(future) = &mut self.future {
            future.step = FutureStep::GivenUp;
        }
        was_asked
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
        copied.is_none_or(|(_, copied)| online.missing_from(&copied) > REST)
    }
}

impl Online {
    /// Bytes that are written and that a copy lacks. It has the oldest of them, of which the log may have given up some.
    fn missing_from(&self, copied: &Copied) -> u64 {
        let there = |base: Offset| match copied.last {
            Some((last, _)) if base < last => u32::MAX,
            Some((last, bytes)) if base == last => bytes,
            _ => 0,
        };
        let lacks = self.shape.segments().map(|it| u64::from(it.size.saturating_sub(there(it.base))));
        lacks.sum::<u64>().saturating_sub(self.in_flight.iter().map(|(_, bytes)| bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use ordered::Map;
    use protocol::{Instant, NodeId, Str, Uuid};
    use storage::{LogId, Shape, file_id};

    use super::super::{PartitionKey, Sight};
    use super::*;
    use crate::config::Config;
    use crate::image::{Image, PartitionImage};
    use crate::ops::Ops;
    use crate::outbox::Outbox;

    const LOG: LogId = LogId(1);

    fn shape(base: i64, era: Era) -> Shape {
        Shape::new(LOG, Offset(base), file_id(LOG, 0), era)
    }

    /// A replica with an empty log that is wanted in another directory.
    fn moving() -> Partition {
        let (config, _) = Config::parse(&Map::new()).unwrap();
        let image = Image::default();
        let partition = PartitionImage { replicas: vec![NodeId(1)], ..PartitionImage::default() };
        let key = PartitionKey { topic_id: Uuid([1; 16]), partition: 0 };
        let (name, config) = (Str::from("t"), config.topic(&image, "t"));
        let mut partition = Partition::mounting(Instant(0), key, name, DirId(0), LOG, NodeId(1), &partition, config);
        let sight = Sight { now: Instant(0), image: &image, lag_ms: 100 };
        partition.mounted(sight, shape(0, Era(0)), &mut Ops::default(), &mut Outbox::default());
        assert!(partition.want_in(DirId(1)));
        partition
    }

    #[test]
    fn a_step_that_began_before_a_cut_says_nothing_of_the_copy() {
        let mut partition = moving();
        assert_eq!(partition.future_task(false), Some(FutureTask::Copy));
        partition.future_began(FutureTask::Copy);
        let (mut ops, mut out) = (Ops::default(), Outbox::default());
        let era = partition.era();
        partition.truncate(Offset(5), &mut ops, &mut out);
        // The store had not got to the cut.
        partition.future_paused(Some((era, Copied::default())));
        let image = Image::default();
        let sight = Sight { now: Instant(0), image: &image, lag_ms: 100 };
        partition.truncated(sight, shape(5, Era(1)), &mut ops, &mut out);
        assert_eq!(partition.future_task(false), Some(FutureTask::Copy));
        partition.future_paused(Some((Era(1), Copied::default())));
        assert_eq!(partition.future_task(false), Some(FutureTask::Ask));
    }

    #[test]
    fn what_an_earlier_run_has_asked_for_is_asked_for_again() {
        let mut partition = moving();
        partition.future_paused(Some((Era(0), Copied::default())));
        assert_eq!(partition.future_task(true), Some(FutureTask::Ask));
        partition.want_in(DirId(0));
        assert_eq!(partition.future_task(true), Some(FutureTask::Ask), "a start would look for the log there");
        assert_eq!(partition.future_task(false), Some(FutureTask::Drop));
        partition.future_began(FutureTask::Ask);
        assert_eq!(partition.future_task(true), Some(FutureTask::Move));
    }
}
