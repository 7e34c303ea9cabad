//! Reads that are planned from a log's shape alone.

use protocol::{Offset, Region};

use crate::op::{Seek, TimestampOffset};
use crate::shape::{Segment, Shape};
use crate::tail::TailEntry;

/// How a read is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Whole batches, in order, and how many bytes they are.
    Regions(Vec<Region>, u64),
    /// The offset is older than what is in memory: a [`crate::StoreOp::Find`] has the answer.
    Seek(Seek),
    /// Nothing is there yet.
    Empty,
    /// Below the log start or beyond the log's end.
    OutOfRange,
}

/// A record looked up by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// This one.
    Found(TimestampOffset),
    /// There is none.
    Nothing,
    /// A file must be read: a [`crate::StoreOp::Find`] has the answer.
    Seek(Seek),
}

impl Shape {
    /// The batches from the one that holds `offset`, as many as begin below `limit` (high watermark, last stable offset or
    /// log end), are written and fit `max_bytes`. The first comes even if it is larger (KIP-74).
    pub fn plan_read(&self, offset: Offset, limit: Offset, max_bytes: u32) -> Plan {
        if offset < self.log_start() || offset > self.end() {
            return Plan::OutOfRange;
        }
        let limit = limit.min(self.written_end());
        if offset >= limit {
            return Plan::Empty;
        }
        if offset < self.tail().floor() {
            return Plan::Seek(Seek::Read { offset, limit, max_bytes });
        }
        let mut regions: Vec<Region> = Vec::new();
        let mut bytes = 0u64;
        for entry in self.tail().iter_from(offset).take_while(|entry| entry.base < limit) {
            if bytes > 0 && bytes + u64::from(entry.size) > u64::from(max_bytes) {
                break;
            }
            bytes += u64::from(entry.size);
            match regions.last_mut() {
                Some(region) if region.file == entry.file => region.len += entry.size,
                _ => regions.push(Region { file: entry.file, at: entry.at, len: entry.size, era: self.era() }),
            }
        }
        // Compaction may have left nothing between the offset and the limit.
        if regions.is_empty() { Plan::Empty } else { Plan::Regions(regions, bytes) }
    }

    /// The first record below `limit` whose timestamp is at or after `timestamp` (ms).
    pub fn offset_for_timestamp(&self, timestamp: i64, limit: Offset) -> Lookup {
        let limit = limit.min(self.written_end());
        let Some(segment) = self.segments().find(|segment| segment.max_timestamp >= timestamp) else {
            return Lookup::Nothing;
        };
        // Nothing before it is as late, so nothing before it is read.
        let from = segment.base.max(self.log_start());
        let seek = Lookup::Seek(Seek::Timestamp { timestamp, from, limit });
        if self.is_below_tail(segment) {
            return seek;
        }
        let mut entries = self.tail().iter_from(self.log_start()).take_while(|entry| entry.base < limit);
        match entries.find(|entry| entry.max_timestamp >= timestamp) {
            Some(entry) => self.answer(entry).unwrap_or(seek),
            None => Lookup::Nothing,
        }
    }

    /// The first record below `limit` that has the greatest timestamp of all.
    pub fn max_timestamp(&self, limit: Offset) -> Lookup {
        let limit = limit.min(self.written_end());
        let entries = self.tail().iter_from(self.log_start()).take_while(|entry| entry.base < limit);
        // The first of equals counts.
        let newest = entries
            .filter(|entry| entry.max_timestamp >= 0)
            .reduce(|best, entry| if entry.max_timestamp > best.max_timestamp { entry } else { best });
        let in_tail = newest.map_or(-1, |entry| entry.max_timestamp);
        let below = self.segments().filter(|segment| self.is_below_tail(segment)).map(|segment| segment.max_timestamp);
        let seek = Lookup::Seek(Seek::MaxTimestamp { from: self.log_start(), limit });
        if below.max().is_some_and(|below| below >= 0 && below >= in_tail) {
            return seek;
        }
        newest.map_or(Lookup::Nothing, |entry| self.answer(entry).unwrap_or(seek))
    }

    /// True if not all batches of the segment are in memory.
    fn is_below_tail(&self, segment: &Segment) -> bool {
        segment.base < self.tail().floor()
    }

    /// Which record of the batch it is, if that is sure without reading it.
    fn answer(&self, entry: &TailEntry) -> Option<Lookup> {
        entry.one_timestamp.then(|| {
            Lookup::Found(TimestampOffset {
                timestamp: entry.max_timestamp,
                offset: entry.base.max(self.log_start()),
                leader_epoch: entry.leader_epoch,
            })
        })
    }
}
