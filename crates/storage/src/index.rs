//! Kafka's sparse indexes: `.index` (offset to position) and `.timeindex` (timestamp to offset). Caches: what is missing or
//! wrong is made anew from the log.

use bytes::{BufMut, Bytes, BytesMut};
use protocol::Offset;
use protocol::records::BatchHead;

/// Bytes of an entry of an offset index: relative offset, position.
const OFFSET_ENTRY: usize = 8;
/// Bytes of an entry of a time index: timestamp, relative offset.
const TIME_ENTRY: usize = 12;

/// When the next index entry is due, as Kafka counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `index.interval.bytes` when the segment began.
    interval_bytes: i32,
    unindexed: u32,
    offset_entries: u32,
    time_entries: u32,
    last_time: i64,
}

/// What a batch adds to the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) offset: bool,
    pub(crate) time: bool,
}

impl Pace {
    /// That of a new segment.
    pub(crate) fn new(interval_bytes: i32) -> Pace {
        Pace { interval_bytes, unindexed: 0, offset_entries: 0, time_entries: 0, last_time: -1 }
    }

    /// Counts a batch in. `max_timestamp` is the segment's, the batch included.
    pub(crate) fn step(&mut self, size: u32, max_timestamp: i64) -> Due {
        let offset = i64::from(self.unindexed) > i64::from(self.interval_bytes);
        let time = offset && max_timestamp > self.last_time;
        if offset {
            self.unindexed = 0;
            self.offset_entries += 1;
        }
        if time {
            self.last_time = max_timestamp;
            self.time_entries += 1;
        }
        self.unindexed = self.unindexed.saturating_add(size);
        Due { offset, time }
    }

    /// True if either index has no room left in `segment.index.bytes`; the last place of a time index is for the roll.
    pub(crate) fn is_full(&self, index_bytes: i32) -> bool {
        let bytes = index_bytes.max(0) as usize;
        self.offset_entries as usize >= bytes / OFFSET_ENTRY
            || self.time_entries as usize >= (bytes / TIME_ENTRY).saturating_sub(1)
    }
}

/// The indexes of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Indexes {
    base: Offset,
    pace: Pace,
    /// Last offset of a batch, and where the batch begins; both rise.
    offsets: Vec<(Offset, u32)>,
    /// A timestamp that no batch up to this last offset exceeds; both rise.
    times: Vec<(i64, Offset)>,
    /// The greatest timestamp so far, and the last offset of its batch.
    max: (i64, Offset),
    /// Bytes covered.
    size: u32,
}

impl Indexes {
    pub(crate) fn new(base: Offset, interval_bytes: i32) -> Indexes {
        let pace = Pace::new(interval_bytes);
        Indexes { base, pace, offsets: Vec::new(), times: Vec::new(), max: (-1, base), size: 0 }
    }

    /// Counts the next batch in.
    pub(crate) fn push(&mut self, head: &BatchHead) {
        if head.max_timestamp > self.max.0 {
            self.max = (head.max_timestamp, head.last_offset());
        }
        let due = self.pace.step(head.size() as u32, self.max.0);
        if due.offset {
            self.offsets.push((head.last_offset(), self.size));
        }
        if due.time {
            self.times.push(self.max);
        }
        self.size += head.size() as u32;
    }

    /// Bytes of the segment that are covered.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// A place at or before the batch that holds the offset.
    pub(crate) fn position(&self, offset: Offset) -> u32 {
        let above = self.offsets.partition_point(|(last, _)| *last <= offset);
        above.checked_sub(1).map_or(0, |index| self.offsets[index].1)
    }

    /// The last place at or before a position where a batch is known to begin.
    pub(crate) fn batch_at_or_before(&self, position: u32) -> u32 {
        let above = self.offsets.partition_point(|(_, at)| *at <= position);
        above.checked_sub(1).map_or(0, |index| self.offsets[index].1)
    }

    /// A place at or before the first batch with such a timestamp.
    pub(crate) fn position_of_time(&self, timestamp: i64) -> u32 {
        let above = self.times.partition_point(|(time, _)| *time < timestamp);
        above.checked_sub(1).map_or(0, |index| self.position(self.times[index].1))
    }

    /// The bytes of `.index` and `.timeindex` of a segment that takes no more.
    pub(crate) fn format(&self) -> (Bytes, Bytes) {
        let mut index = BytesMut::with_capacity(self.offsets.len() * OFFSET_ENTRY);
        for (last, at) in &self.offsets {
            index.put_i32(self.relative(*last));
            index.put_u32(*at);
        }
        let mut timeindex = BytesMut::with_capacity((self.times.len() + 1) * TIME_ENTRY);
        let newest = (self.max.0 > self.times.last().map_or(-1, |last| last.0)).then_some(&self.max);
        for (time, last) in self.times.iter().chain(newest) {
            timeindex.put_i64(*time);
            timeindex.put_i32(self.relative(*last));
        }
        (index.freeze(), timeindex.freeze())
    }

    fn relative(&self, offset: Offset) -> i32 {
        i32::try_from(offset.0 - self.base.0).expect("a segment spans 31 bits of offsets")
    }

    /// Reads both files of a segment of `size` bytes to which nothing is added. `None` if they cannot be its.
    pub(crate) fn parse(base: Offset, size: u32, index: &[u8], timeindex: &[u8]) -> Option<Indexes> {
        let offsets = index.chunks(OFFSET_ENTRY).map(|entry| {
            let (relative, at) = (entry.first_chunk()?, entry.get(4..)?.first_chunk()?);
            Some((base.plus(i64::from(i32::from_be_bytes(*relative))), u32::from_be_bytes(*at)))
        });
        let offsets: Vec<_> = offsets.collect::<Option<_>>()?;
        let times = timeindex.chunks(TIME_ENTRY).map(|entry| {
            let (time, relative) = (entry.first_chunk()?, entry.get(8..)?.first_chunk()?);
            Some((i64::from_be_bytes(*time), base.plus(i64::from(i32::from_be_bytes(*relative)))))
        });
        let times: Vec<_> = times.collect::<Option<_>>()?;
        let rising = offsets.windows(2).all(|it| it[0].0 < it[1].0 && it[0].1 < it[1].1)
            && times.windows(2).all(|it| it[0].0 < it[1].0 && it[0].1 <= it[1].1)
            && offsets.iter().all(|(last, at)| *last >= base && *at < size)
            && times.iter().all(|(_, last)| *last >= base);
        if !rising || (size > 0 && times.is_empty()) {
            return None;
        }
        let max = times.last().copied().unwrap_or((-1, base));
        Some(Indexes { offsets, times, max, size, ..Indexes::new(base, 0) })
    }

    /// The greatest timestamp of the segment.
    pub(crate) fn max_timestamp(&self) -> i64 {
        self.max.0
    }

    /// The entry that a check of the files against the log looks at: the last.
    pub(crate) fn last(&self) -> Option<(Offset, u32)> {
        self.offsets.last().copied()
    }
}
