//! What a broker has of a partition, and what it and others have in common.

use crate::queue::Pid;

/// Of which leader's epoch the records of a log are: where each epoch begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Epochs {
    begins: Vec<(i32, i64)>,
    end: i64,
}

/// A broker's log of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    pub(super) epochs: Epochs,
    /// Everything below is written; everything below the other is on disk for certain.
    pub(super) written: i64,
    pub(super) synced: i64,
    /// Its log was begun anew there, where its leader's began by then: of what is below it never had anything.
    pub(super) begins_at: i64,
    /// As leader: the last that it told, since it was started.
    pub(super) high_watermark: i64,
    /// As leader: where its log ended when it was started or elected.
    pub(super) leads_from: i64,
    /// In which epoch it led last.
    pub(super) leads_in: Option<i32>,
    /// As leader: who is in sync, as it last told.
    pub(super) isr: Vec<Pid>,
}

impl Epochs {
    /// One past the last record.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The epoch of the last record; -1 without one.
    pub(super) fn last(&self) -> i32 {
        self.begins.last().map_or(-1, |it| it.0)
    }

    /// The run that an offset is in: its epoch, and where that begins.
    fn run(&self, offset: i64) -> Option<(i32, i64)> {
        if offset >= self.end {
            return None;
        }
        self.begins.iter().rev().find(|(_, begin)| *begin <= offset).copied()
    }

    /// The epoch of a record, if it is there.
    pub(super) fn at(&self, offset: i64) -> Option<i32> {
        self.run(offset).map(|it| it.0)
    }

    /// Records of an epoch up to `next`. What is missing before them was compacted away, or is below the log's start.
    pub(super) fn push(&mut self, epoch: i32, base: i64, next: i64) {
        if self.last() != epoch || self.begins.is_empty() {
            self.begins.push((epoch, base));
        }
        self.end = next;
    }

    /// Everything from `end` on is gone.
    pub(super) fn cut(&mut self, end: i64) {
        if end >= self.end {
            return;
        }
        self.begins.retain(|(_, begin)| *begin < end);
        self.end = end;
    }

    /// Everything is gone, and what comes next comes at `start`.
    pub(super) fn begin_anew(&mut self, start: i64) {
        self.begins.clear();
        self.end = start;
    }

    /// Up to where two logs have the same records: an epoch has one leader, so what is of the same epoch at an offset is the
    /// same, and so is all before it.
    pub(super) fn common(&self, other: &Epochs) -> i64 {
        let mut end = self.end.min(other.end);
        while end > 0 {
            match (self.run(end - 1), other.run(end - 1)) {
                (Some(ours), Some(theirs)) if ours.0 == theirs.0 => return end,
                (Some(ours), Some(theirs)) => end = ours.1.max(theirs.1),
                // One of them begins above: nothing speaks against the other there.
                (None, _) | (_, None) => return end,
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(runs: &[(i32, i64, i64)]) -> Epochs {
        let mut log = Epochs::default();
        runs.iter().for_each(|(epoch, base, next)| log.push(*epoch, *base, *next));
        log
    }

    #[test]
    fn logs_have_in_common_what_is_of_the_same_epochs() {
        let leader = log(&[(1, 0, 5), (3, 5, 9)]);
        assert_eq!(leader.common(&leader), 9);
        assert_eq!(leader.common(&log(&[(1, 0, 3)])), 3);
        assert_eq!(leader.common(&log(&[(1, 0, 5), (2, 5, 7)])), 5);
        assert_eq!(leader.common(&log(&[(1, 0, 8)])), 5);
        assert_eq!(leader.common(&log(&[(0, 0, 8)])), 0);
        assert_eq!(leader.common(&log(&[])), 0);
        assert_eq!((leader.at(4), leader.at(5), leader.at(9)), (Some(1), Some(3), None));
    }

    #[test]
    fn a_cut_forgets_epochs() {
        let mut it = log(&[(1, 0, 5), (3, 5, 9)]);
        it.cut(12);
        assert_eq!(it.end(), 9);
        it.cut(7);
        assert_eq!((it.end(), it.last()), (7, 3));
        it.cut(5);
        assert_eq!((it.end(), it.last()), (5, 1));
        it.cut(0);
        assert_eq!(it, Epochs::default());
        it.begin_anew(50);
        assert_eq!((it.end(), it.last(), it.at(49)), (50, -1, None));
        it.cut(45);
        assert_eq!((it.end(), it.last()), (45, -1));
    }
}
