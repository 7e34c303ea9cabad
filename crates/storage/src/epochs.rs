//! Which leader epoch began at which offset: what a follower compares to find where two logs part (KIP-101, KIP-320).

use std::sync::Arc;

use bytes::Bytes;
use protocol::{LeaderEpoch, Offset};

use crate::meta;

/// The first offset that a leader of this epoch wrote, or would have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Where it begins.
    pub start: Offset,
}

/// A log's epochs, both columns strictly rising. A clone shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs(Arc<Vec<EpochStart>>);

impl Epochs {
    /// As a checkpoint lists them; entries that break the order are resolved as if they had been assigned one by one.
    pub fn of(entries: impl IntoIterator<Item = EpochStart>) -> Epochs {
        let mut epochs = Epochs::default();
        for entry in entries {
            epochs.assign(entry.epoch, entry.start);
        }
        epochs
    }

    /// All of them, oldest first.
    pub fn entries(&self) -> &[EpochStart] {
        &self.0
    }

    /// The newest epoch, if there is one.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|entry| entry.epoch)
    }

    /// Begins an epoch at an offset. Entries that contradict the new one go: data there was cut, or never written.
    /// True if anything changed.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let known = self.0.last().is_some_and(|last| last.epoch == epoch && start >= last.start);
        if known || epoch < LeaderEpoch(0) || start < Offset(0) {
            return false;
        }
        let entries = Arc::make_mut(&mut self.0);
        while entries.last().is_some_and(|last| last.epoch >= epoch || last.start >= start) {
            entries.pop();
        }
        entries.push(EpochStart { epoch, start });
        true
    }

    /// The greatest known epoch not above the one asked for, and where it ends: what OffsetsForLeaderEpoch answers.
    /// `None` is Kafka's undefined epoch and offset (-1, -1).
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if requested < LeaderEpoch(0) {
            return None;
        }
        if self.latest() == Some(requested) {
            return Some((requested, log_end));
        }
        let above = self.0.partition_point(|entry| entry.epoch <= requested);
        // A greater epoch than any known has no end here.
        let next = self.0.get(above)?;
        // Without an older entry the data is gone; the follower begins where the log does.
        let floor = above.checked_sub(1).map_or(requested, |index| self.0[index].epoch);
        Some((floor, next.start))
    }

    /// The epoch that wrote an offset.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.0.partition_point(|entry| entry.start <= offset);
        above.checked_sub(1).map(|index| self.0[index].epoch)
    }

    /// Drops epochs that begin at or above the offset. True if anything changed.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let keep = self.0.partition_point(|entry| entry.start < end);
        let changed = keep < self.0.len();
        if changed {
            Arc::make_mut(&mut self.0).truncate(keep);
        }
        changed
    }

    /// Drops epochs that end at or below the offset; the one that holds it begins there from now on. True if anything
    /// changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let upto = self.0.partition_point(|entry| entry.start <= start);
        let Some(holder) = upto.checked_sub(1) else { return false };
        if holder == 0 && self.0[0].start == start {
            return false;
        }
        let entries = Arc::make_mut(&mut self.0);
        entries.drain(..holder);
        entries[0].start = start;
        true
    }

    /// The bytes of `leader-epoch-checkpoint`.
    pub fn format(&self) -> Bytes {
        meta::format_epochs(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        Epochs::of(entries.iter().map(|&(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) }))
    }

    fn pairs(epochs: &Epochs) -> Vec<(i32, i64)> {
        epochs.entries().iter().map(|entry| (entry.epoch.0, entry.start.0)).collect()
    }

    #[test]
    fn an_epoch_is_assigned_once_and_contradictions_go() {
        let mut it = epochs(&[(0, 0), (2, 10)]);
        assert!(!it.assign(LeaderEpoch(2), Offset(12)), "the epoch has begun already");
        assert!(!it.assign(LeaderEpoch(-1), Offset(12)));
        assert!(it.assign(LeaderEpoch(3), Offset(10)), "epoch 2 wrote nothing");
        assert_eq!(pairs(&it), [(0, 0), (3, 10)]);
        assert!(it.assign(LeaderEpoch(1), Offset(5)), "the log was cut below epoch 3");
        assert_eq!(pairs(&it), [(0, 0), (1, 5)]);
    }

    #[test]
    fn end_offsets_are_kafkas() {
        let it = epochs(&[(1, 4), (3, 10), (5, 20)]);
        let ask = |epoch| it.end_offset_for(LeaderEpoch(epoch), Offset(30)).map(|(epoch, end)| (epoch.0, end.0));
        assert_eq!(ask(-1), None);
        assert_eq!(ask(0), Some((0, 4)), "older than all: where the log begins");
        assert_eq!(ask(1), Some((1, 10)));
        assert_eq!(ask(2), Some((1, 10)));
        assert_eq!(ask(3), Some((3, 20)));
        assert_eq!(ask(5), Some((5, 30)));
        assert_eq!(ask(6), None);
        assert_eq!(Epochs::default().end_offset_for(LeaderEpoch(0), Offset(3)), None);
    }

    #[test]
    fn both_ends_can_be_cut() {
        let mut it = epochs(&[(1, 4), (3, 10), (5, 20)]);
        assert!(it.truncate_from_end(Offset(20)));
        assert!(!it.truncate_from_end(Offset(11)));
        assert_eq!(pairs(&it), [(1, 4), (3, 10)]);
        assert!(it.truncate_from_start(Offset(6)));
        assert_eq!(pairs(&it), [(1, 6), (3, 10)]);
        assert!(it.truncate_from_start(Offset(10)));
        assert!(!it.truncate_from_start(Offset(10)));
        assert!(!it.truncate_from_start(Offset(2)));
        assert_eq!(pairs(&it), [(3, 10)]);
        assert_eq!(it.epoch_at(Offset(9)), None);
        assert_eq!(it.epoch_at(Offset(10)), Some(LeaderEpoch(3)));
    }
}
