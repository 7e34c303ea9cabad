//! The newest batches of a log, by place: a read near the end needs no file to be planned.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::records::{BatchHead, TimestampType};
use protocol::{FileId, LeaderEpoch, Offset};

/// Batches kept at most; below them a read is a [`crate::Seek`].
pub const TAIL_BATCHES: usize = 4096;
/// Entries are shared with clones, copied and dropped in blocks of this many.
const BLOCK: usize = 128;

/// A batch and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailEntry {
    /// Of its first record.
    pub base: Offset,
    /// Of its last record.
    pub last: Offset,
    /// Its file.
    pub file: FileId,
    /// Where in the file it begins.
    pub at: u32,
    /// Its bytes.
    pub size: u32,
    /// The greatest timestamp, -1 if it has none.
    pub max_timestamp: i64,
    /// Of the leader that wrote it.
    pub leader_epoch: LeaderEpoch,
    /// All its records have `max_timestamp`: there is one record only, or the broker set the time.
    pub one_timestamp: bool,
}

impl TailEntry {
    /// The entry of a batch at a place.
    pub fn of(head: &BatchHead, file: FileId, at: u32) -> TailEntry {
        TailEntry {
            base: head.base_offset,
            last: head.last_offset(),
            file,
            at,
            size: head.size() as u32,
            max_timestamp: head.max_timestamp,
            leader_epoch: head.leader_epoch,
            one_timestamp: head.last_offset_delta == 0
                || head.attributes.timestamp_type() == TimestampType::LogAppendTime,
        }
    }
}

/// The newest batches, oldest first. A clone shares all blocks.
#[derive(Clone, Debug)]
pub struct Tail {
    blocks: VecDeque<Arc<Vec<TailEntry>>>,
    len: usize,
    limit: usize,
    /// Every batch of the log that ends at or above it is here.
    floor: Offset,
}

impl Tail {
    /// Nothing yet; the log begins at `floor`.
    pub(crate) fn new(floor: Offset, limit: usize) -> Tail {
        Tail { blocks: VecDeque::new(), len: 0, limit, floor }
    }

    /// Every batch that ends at or above this offset is known.
    pub fn floor(&self) -> Offset {
        self.floor
    }

    /// How many batches are known.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All known batches, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &TailEntry> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// From the batch that holds the offset, or the first after it. Only true from the floor up.
    pub(crate) fn iter_from(&self, offset: Offset) -> impl Iterator<Item = &TailEntry> {
        let block = self.blocks.partition_point(|block| block.last().is_some_and(|entry| entry.last < offset));
        let inside = self.blocks.get(block).map_or(0, |block| block.partition_point(|entry| entry.last < offset));
        self.blocks.iter().skip(block).flat_map(|block| block.iter()).skip(inside)
    }

    pub(crate) fn push(&mut self, entry: TailEntry) {
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK => Arc::make_mut(block).push(entry),
            _ => self.blocks.push_back(Arc::new(vec![entry])),
        }
        self.len += 1;
        while self.len > self.limit
            && let Some(oldest) = self.blocks.front()
        {
            self.floor = oldest.last().map_or(self.floor, |entry| entry.last.plus(1));
            self.len -= oldest.len();
            self.blocks.pop_front();
        }
    }

    /// Forgets batches that begin at or above the end.
    pub(crate) fn truncate(&mut self, end: Offset) {
        while let Some(block) = self.blocks.back_mut() {
            let keep = block.partition_point(|entry| entry.base < end);
            self.len -= block.len() - keep;
            if keep > 0 {
                if keep < block.len() {
                    Arc::make_mut(block).truncate(keep);
                }
                break;
            }
            self.blocks.pop_back();
        }
        self.floor = self.floor.min(end);
    }

    /// Forgets batches of files that begin below `base`: their files are gone.
    pub(crate) fn drop_below(&mut self, base: Offset) {
        while let Some(block) = self.blocks.front_mut() {
            let gone = block.partition_point(|entry| entry.base < base);
            self.len -= gone;
            if gone < block.len() {
                if gone > 0 {
                    Arc::make_mut(block).drain(..gone);
                }
                break;
            }
            self.blocks.pop_front();
        }
        self.floor = self.floor.max(base);
    }
}

/// Two are equal if they know the same, however it is split into blocks.
impl PartialEq for Tail {
    fn eq(&self, other: &Tail) -> bool {
        self.floor == other.floor && self.len == other.len && self.iter().eq(other.iter())
    }
}
