//! Looks up what is too old for the tail index, through the segments' own indexes.

use protocol::records::{BatchHead, read};
use protocol::{Era, FileId, Offset, Region};

use crate::disk::Disk;
use crate::index::Indexes;
use crate::op::{Done, LogId, Seek, StoreError, TimestampOffset};
use crate::scan::{Scan, ScanError};
use crate::store::Store;

/// Ends of look-ups that are remembered.
const ENDS: usize = 64;

/// A batch and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) file: FileId,
    at: u32,
    head: BatchHead,
}

impl Found {
    fn holds(&self, offset: Offset) -> bool {
        (self.head.base_offset..=self.head.last_offset()).contains(&offset)
    }
}

impl<D: Disk> Store<D> {
    pub(crate) fn find(&mut self, log: LogId, era: Era, seek: Seek) -> Result<Done, StoreError> {
        if self.log_mut(log)?.era != era {
            return Err(StoreError::Missing);
        }
        match seek {
            Seek::Read { offset, limit, max_bytes } => {
                self.find_regions(log, era, offset, limit, max_bytes).map(Done::Found)
            }
            Seek::Timestamp { timestamp, from, limit } => {
                self.find_timestamp(log, timestamp, from, limit).map(Done::FoundTimestamp)
            }
            Seek::MaxTimestamp { from, limit } => self.find_newest(log, from, limit).map(Done::FoundTimestamp),
        }
    }

    /// Whole batches, as [`crate::Shape::plan_read`] would name them.
    fn find_regions(
        &mut self,
        log: LogId,
        era: Era,
        offset: Offset,
        limit: Offset,
        max_bytes: u32,
    ) -> Result<Vec<Region>, StoreError> {
        let mut regions = Vec::new();
        let mut room = max_bytes;
        for file in self.files_from(log, offset)? {
            // Who reads on begins where they ended, and that batch's head has been looked at.
            let ended = self.ends.iter().position(|it| it.file == file && it.holds(offset));
            let (start, first) = match ended.and_then(|index| self.ends.remove(index)) {
                Some(found) => (found.at, found.head),
                None => {
                    let near = self.indexes(log, file)?.position(offset);
                    match self.first_batch(log, file, near, |head| head.last_offset() >= offset)? {
                        Some(first) => first,
                        None => continue,
                    }
                }
            };
            if first.base_offset >= limit {
                break;
            }
            let needed = if regions.is_empty() { first.size() as u32 } else { 0 };
            let (end, ended) = self.end_of_read(log, file, start, limit, room.max(needed))?;
            if end > start {
                regions.push(Region { file, at: start, len: end - start, era });
                room = room.saturating_sub(end - start);
            }
            if !ended {
                break;
            }
        }
        Ok(regions)
    }

    /// Where the last whole batch ends that begins below `limit` and fits; true if that is the end of the file.
    fn end_of_read(
        &mut self,
        log: LogId,
        file: FileId,
        start: u32,
        limit: Offset,
        room: u32,
    ) -> Result<(u32, bool), StoreError> {
        let indexes = self.indexes(log, file)?;
        let size = indexes.size();
        // Everything up to here is known to fit; the rest is counted batch by batch.
        let jump = indexes.batch_at_or_before(start.saturating_add(room)).min(indexes.position(limit)).max(start);
        let over = |at: u32, head: &BatchHead| {
            head.base_offset >= limit || (at - start).saturating_add(head.size() as u32) > room
        };
        let stop = self.scan(log, file, jump, |at, head| over(at, head))?;
        if let Some((at, head)) = stop {
            self.ends.push_back(Found { file, at, head });
            if self.ends.len() > ENDS {
                self.ends.pop_front();
            }
        }
        Ok(stop.map_or((size, true), |(at, _)| (at, false)))
    }

    fn find_timestamp(
        &mut self,
        log: LogId,
        timestamp: i64,
        from: Offset,
        limit: Offset,
    ) -> Result<Option<TimestampOffset>, StoreError> {
        for file in self.files_from(log, from)? {
            let indexes = self.indexes(log, file)?;
            if indexes.max_timestamp() < timestamp {
                continue;
            }
            let mut at = indexes.position_of_time(timestamp);
            let fits = |head: &BatchHead| head.max_timestamp >= timestamp && head.last_offset() >= from;
            while let Some((place, head)) = self.first_batch(log, file, at, fits)? {
                if head.base_offset >= limit {
                    return Ok(None);
                }
                let batch = Found { file, at: place, head };
                if let Some(found) = self.record_in(log, batch, from, |it| it >= timestamp)? {
                    return Ok(Some(found));
                }
                // The only records with such a time were deleted.
                at = place + head.size() as u32;
            }
        }
        Ok(None)
    }

    fn find_newest(&mut self, log: LogId, from: Offset, limit: Offset) -> Result<Option<TimestampOffset>, StoreError> {
        let mut best: Option<Found> = None;
        for file in self.files_from(log, from)? {
            let so_far = best.map_or(-1, |best| best.head.max_timestamp);
            let indexes = self.indexes(log, file)?;
            let newest = indexes.max_timestamp();
            if newest <= so_far {
                continue;
            }
            let near = indexes.position_of_time(newest);
            let is_it = |head: &BatchHead| head.max_timestamp >= newest && head.last_offset() >= from;
            match self.first_batch(log, file, near, is_it)? {
                Some((at, head)) if head.base_offset < limit => {
                    best = Some(Found { file, at, head });
                    continue;
                }
                // It is out of bounds, and the indexes do not tell which comes next.
                _ => {}
            }
            self.scan(log, file, 0, |at, head| {
                let newer = head.max_timestamp > best.map_or(-1, |best| best.head.max_timestamp);
                if newer && head.last_offset() >= from && head.base_offset < limit {
                    best = Some(Found { file, at, head: *head });
                }
                head.base_offset >= limit
            })?;
        }
        let Some(best) = best else { return Ok(None) };
        let newest = best.head.max_timestamp;
        self.record_in(log, best, from, |it| it >= newest)
    }

    /// The first record of a batch from `from` up whose timestamp is wanted.
    fn record_in(
        &self,
        log: LogId,
        batch: Found,
        from: Offset,
        wanted: impl Fn(i64) -> bool,
    ) -> Result<Option<TimestampOffset>, StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.get(&batch.file).ok_or(StoreError::Missing)?;
        let bytes = self.disk.read_at(&segment.file, u64::from(batch.at), batch.head.size())?;
        let corrupt =
            |why: String| StoreError::Corrupt(format!("{} at byte {}: {why}", it.path(segment.base, "log"), batch.at));
        let Some(records) = read(&bytes, &*self.compressors).next() else {
            return Err(corrupt("the batch ends early".into()));
        };
        let (_, records) = records.map_err(|error| corrupt(error.fault.to_string()))?;
        let found = records.iter().find(|record| record.offset >= from && wanted(record.timestamp.0));
        Ok(found.map(|record| TimestampOffset {
            timestamp: record.timestamp.0,
            offset: record.offset,
            leader_epoch: batch.head.leader_epoch,
        }))
    }

    /// As [`Store::read_indexes`], of a segment to which nothing is added. Had they to be made anew, then for whoever comes
    /// next, too: its files are written, and it is among the mended.
    pub(crate) fn mend_indexes(
        &mut self,
        log: LogId,
        file: FileId,
        mended: &mut Vec<Offset>,
    ) -> Result<Indexes, StoreError> {
        let (found, is_made) = self.read_or_make_indexes(log, file)?;
        if !is_made {
            return Ok(found);
        }
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.get(&file).ok_or(StoreError::Missing)?;
        let (dir, base) = (it.dir, segment.base);
        let paths = ["index", "timeindex"].map(|suffix| it.path(base, suffix));
        let (index, timeindex) = found.format();
        let mut is_other = false;
        for (path, bytes) in paths.into_iter().zip([index, timeindex]) {
            if self.read_file(dir, &path)?.as_ref() != Some(&bytes) {
                // Whole or not at all: a part of one may look like another. Where there is no room, memory has it.
                is_other |= self.replace_file(dir, &path, bytes).is_ok();
            }
        }
        if is_other {
            mended.push(base);
        }
        Ok(found)
    }

    /// What people are told of index files that were made anew.
    pub(crate) fn told_of(&self, log: LogId, mended: &[Offset]) -> Result<Option<String>, StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        Ok(mended.first().map(|first| {
            let others = match mended.len() - 1 {
                0 => String::new(),
                others => format!(" (and those of {others} more)"),
            };
            format!(
                "the index files of {}{others} were missing or not its own: made anew from it",
                it.path(*first, "log")
            )
        }))
    }

    /// A segment's indexes, kept from now on.
    fn indexes(&mut self, log: LogId, file: FileId) -> Result<&Indexes, StoreError> {
        let segment = self.logs.get(&log).and_then(|it| it.segments.get(&file)).ok_or(StoreError::Missing)?;
        if segment.indexes.is_none() {
            let read = self.read_indexes(log, file)?;
            self.log_mut(log)?.segments.get_mut(&file).ok_or(StoreError::Missing)?.indexes = Some(read);
            self.cache_indexes(file);
        }
        let segment = self.logs.get(&log).and_then(|it| it.segments.get(&file)).ok_or(StoreError::Missing)?;
        segment.indexes.as_ref().ok_or(StoreError::Missing)
    }

    /// The segments that can hold offsets from here up, oldest first.
    fn files_from(&self, log: LogId, offset: Offset) -> Result<Vec<FileId>, StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let below = it.segments.iter().take_while(|(_, segment)| segment.base <= offset).count();
        Ok(it.segments.files().skip(below.saturating_sub(1)).collect())
    }

    /// The first batch from a place on that satisfies the condition.
    fn first_batch(
        &mut self,
        log: LogId,
        file: FileId,
        at: u32,
        wanted: impl Fn(&BatchHead) -> bool,
    ) -> Result<Option<(u32, BatchHead)>, StoreError> {
        self.scan(log, file, at, |_, head| wanted(head))
    }

    /// Walks heads until one satisfies the condition.
    fn scan(
        &self,
        log: LogId,
        file: FileId,
        at: u32,
        mut wanted: impl FnMut(u32, &BatchHead) -> bool,
    ) -> Result<Option<(u32, BatchHead)>, StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.get(&file).ok_or(StoreError::Missing)?;
        let mut scan = Scan::new(&self.disk, &segment.file, at, segment.size, segment.base);
        loop {
            match scan.next() {
                Ok(Some((at, head))) if wanted(at, &head) => return Ok(Some((at, head))),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(ScanError::Disk(error)) => return Err(error),
                Err(ScanError::Bad(why)) => {
                    let path = it.path(segment.base, "log");
                    return Err(StoreError::Corrupt(format!("{path} at byte {}: {why}", scan.position())));
                }
            }
        }
    }
}
