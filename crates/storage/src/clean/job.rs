//! A clean at work: the map of keys first, then group after group.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use protocol::records::{BatchHead, Compressors, HEAD_SIZE};
use protocol::{Era, FileId, Offset};

use super::filter::{Filter, Kept, note_keys};
use super::keys::KeyMap;
use super::transactions::{self, Aborted, Transactions};
use super::{CleanPlan, CleanStats, Cleaned};
use crate::disk::Disk;
use crate::index::Indexes;
use crate::op::{DirId, SegmentRules, StoreError};
use crate::shape::Segment;
use crate::store::segment_path;

/// Reads are shorter than writes by so much: with the rest of a block at either end they are what a disk can move in one go.
const ENDS: usize = 8 << 10;
/// The least that is read at once, and written.
const LEAST: u32 = 64 << 10;
/// The greatest distance of an offset from its segment's base, and the greatest size of a segment.
const SEGMENT_LIMIT: i64 = i32::MAX as i64;

/// A clean of one log. It owns what it needs; the log's lane goes on meanwhile.
#[derive(Clone, Debug)]
pub struct Job<F> {
    pub(super) plan: CleanPlan,
    pub(super) dir: DirId,
    pub(super) folder: String,
    pub(super) era: Era,
    /// What is left to be written anew, oldest first.
    pub(super) sources: Vec<Source<F>>,
    /// Where in the first dirty segment the dirty part can begin.
    pub(super) dirty_at: u32,
    /// The keys of the dirty part, once they are gathered.
    pub(super) map: Option<Arc<KeyMap>>,
    pub(super) transactions: Transactions,
    pub(super) stats: CleanStats,
}

/// A segment to clean.
#[derive(Clone, Debug)]
pub(super) struct Source<F> {
    pub(super) id: FileId,
    pub(super) base: Offset,
    pub(super) file: F,
    pub(super) size: u32,
    /// Bytes of its `.index` and `.timeindex`.
    pub(super) index_bytes: [u64; 2],
}

/// Told of bytes that were read or written; sleeps to keep a limit. False stops the clean.
pub(super) type Pace<'a> = &'a mut dyn FnMut(usize) -> bool;

impl<F: Clone> Job<F> {
    /// What the core asked for.
    pub fn plan(&self) -> &CleanPlan {
        &self.plan
    }

    /// Writes the next group anew. `pace` is told of every piece of I/O and may sleep; false stops the clean, which is then
    /// [`StoreError::Missing`]. After an error nothing of it is left on the disk.
    pub fn run<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        compressors: &dyn Compressors,
        pace: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Cleaned, StoreError> {
        let map = match &self.map {
            Some(map) => Arc::clone(map),
            None => {
                let aborted = self.aborted(disk)?;
                self.transactions.announce(aborted.iter().copied());
                let map = Arc::new(self.gather(disk, compressors, pace)?);
                self.stats.keys = map.len() as u64;
                // What lies wholly above the map is not touched.
                self.sources.retain(|source| source.base <= map.latest());
                self.transactions = Transactions::default();
                self.transactions.announce(aborted);
                self.map = Some(Arc::clone(&map));
                map
            }
        };
        let group = self.next_group();
        let mut outputs = Vec::new();
        let written = self.clean(disk, compressors, pace, &group, &map, &mut outputs);
        let written = written.and_then(|()| match outputs.is_empty() {
            true => Ok(()),
            // The names must be there before any of them is changed.
            false => disk.sync_dir(self.dir, &self.folder),
        });
        let paths: Vec<Offset> = outputs.iter().map(|output: &Output<F>| output.segment.base).collect();
        let segments = outputs.into_iter().map(|output| {
            disk.close(output.file);
            output.segment
        });
        let segments: Vec<Segment> = segments.collect();
        if let Err(error) = written {
            for base in paths {
                discard(disk, self.dir, &self.folder, base)?;
            }
            return Err(error);
        }
        self.stats.bytes_kept += segments.iter().map(|it| u64::from(it.size)).sum::<u64>();
        Ok(Cleaned {
            era: self.era,
            sources: group.into_iter().map(|source| source.id).collect(),
            segments,
            end: map.latest().plus(1).max(self.plan.first_dirty),
            is_more: !self.sources.is_empty(),
            stats: self.stats,
        })
    }

    fn piece(&self) -> usize {
        self.plan.piece.max(LEAST) as usize
    }

    /// Every aborted transaction of the log. A transaction is listed with its marker, which may be in any later segment than
    /// its records, even in one that is not cleaned.
    fn aborted<D: Disk<File = F>>(&self, disk: &mut D) -> Result<Vec<Aborted>, StoreError> {
        let mut aborted = Vec::new();
        for entry in disk.list(self.dir, &self.folder)? {
            if !entry.name.ends_with(".txnindex") {
                continue;
            }
            let path = format!("{}/{}", self.folder, entry.name);
            let file = disk.open(self.dir, &path, false)?;
            let bytes =
                disk.len(&file).and_then(|len| disk.read_at(&file, 0, usize::try_from(len).unwrap_or(usize::MAX)));
            disk.close(file);
            let found = transactions::parse(&bytes?);
            aborted.extend(found.ok_or_else(|| StoreError::Corrupt(format!("{path}: it lists no transactions")))?);
        }
        Ok(aborted)
    }

    /// Reads the dirty part, and notes the newest offset of each key, as many as the map can hold.
    fn gather<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        compressors: &dyn Compressors,
        pace: Pace<'_>,
    ) -> Result<KeyMap, StoreError> {
        let from = self.plan.first_dirty;
        // There are no more keys than offsets.
        let range = (self.plan.end.0 - from.0).max(1).cast_unsigned();
        let max = usize::try_from(self.plan.max_keys.min(range)).unwrap_or(usize::MAX);
        let mut map = KeyMap::new(max, self.plan.seed);
        map.looked_at(from.plus(-1));
        let ends: Vec<Offset> =
            self.sources.iter().skip(1).map(|next| next.base).chain(std::iter::once(self.plan.end)).collect();
        let (mut at, mut keys) = (self.dirty_at, Vec::new());
        for (source, end) in self.sources.iter().zip(ends).filter(|(_, end)| *end > from) {
            let mut reader = Reader::new(source, std::mem::take(&mut at), self.piece());
            while let Some((position, _, bytes)) = reader.next(disk).map_err(|why| why.at(&self.folder, source))? {
                let noted = note_keys(&bytes, from, &mut map, &mut keys, &mut self.transactions, compressors);
                let has_room =
                    noted.map_err(|error| corrupt(&self.folder, source.base, position, &error.fault.to_string()))?;
                self.stats.map_bytes += bytes.len() as u64;
                if !has_room {
                    return Ok(map);
                }
                if !pace(reader.take_read()) {
                    return Err(StoreError::Missing);
                }
            }
            // Compaction may have left a gap behind the last batch.
            map.looked_at(end.plus(-1));
        }
        Ok(map)
    }

    /// The next segments that fit one: Kafka's grouping by size, index size and distance of offsets.
    fn next_group(&mut self) -> Vec<Source<F>> {
        let mut total = 0u64;
        let mut index_bytes = [0u64; 2];
        let base = self.sources.first().map_or(self.plan.end, |source| source.base);
        let segment_bytes = u64::try_from(self.plan.segment_bytes).unwrap_or(0);
        let index_limit = u64::try_from(self.plan.segment_index_bytes).unwrap_or(0);
        let mut count = 0;
        for (index, source) in self.sources.iter().enumerate() {
            let last = self.sources.get(index + 1).map_or(self.plan.end, |next| next.base).plus(-1);
            let sizes = [index_bytes[0] + source.index_bytes[0], index_bytes[1] + source.index_bytes[1]];
            let fits = total + u64::from(source.size) <= segment_bytes
                && sizes.iter().all(|size| *size <= index_limit)
                && (source.size == 0 || last.0 - base.0 <= SEGMENT_LIMIT);
            if index > 0 && !fits {
                break;
            }
            (total, index_bytes, count) = (total + u64::from(source.size), sizes, index + 1);
        }
        self.sources.drain(..count).collect()
    }

    /// Writes what stays of a group into new segments: one, unless a batch does not fit any more.
    fn clean<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        compressors: &dyn Compressors,
        pace: Pace<'_>,
        group: &[Source<F>],
        map: &KeyMap,
        outputs: &mut Vec<Output<F>>,
    ) -> Result<(), StoreError> {
        let Some(first) = group.first() else { return Ok(()) };
        let mut filter = Filter::default();
        let rules = SegmentRules { reserve: 0, index_interval_bytes: self.plan.index_interval_bytes };
        outputs.push(Output::create(disk, self.dir, &self.folder, first.base, rules)?);
        for source in group {
            let mut reader = Reader::new(source, 0, self.piece());
            while let Some((position, head, bytes)) = reader.next(disk).map_err(|why| why.at(&self.folder, source))? {
                let plan = &self.plan;
                let kept = filter.apply(&bytes, plan, map, &mut self.transactions, compressors, &mut self.stats);
                let (kept, aborted) =
                    kept.map_err(|error| corrupt(&self.folder, source.base, position, &error.fault.to_string()))?;
                let kept = match kept {
                    Kept::Nothing => Bytes::new(),
                    Kept::Whole => bytes,
                    Kept::Anew(bytes) => bytes,
                };
                if !kept.is_empty() {
                    // Only recompression can make a group larger than it was.
                    if outputs.last().is_some_and(|output| !output.has_room(&head, kept.len())) {
                        self.finish(disk, outputs)?;
                        outputs.push(Output::create(disk, self.dir, &self.folder, head.base_offset, rules)?);
                    }
                    let Some(output) = outputs.last_mut() else { continue };
                    output.push(&kept)?;
                    if output.waiting.len() >= self.piece() {
                        let bytes = output.write(disk)?;
                        if !pace(bytes) {
                            return Err(StoreError::Missing);
                        }
                    }
                }
                if let (Some(aborted), Some(output)) = (aborted, outputs.last_mut()) {
                    output.aborted.push(aborted);
                }
                if !pace(reader.take_read()) {
                    return Err(StoreError::Missing);
                }
            }
            self.stats.bytes_read += u64::from(source.size);
        }
        self.finish(disk, outputs)
    }

    /// The newest output is complete: everything of it reaches the disk.
    fn finish<D: Disk<File = F>>(&self, disk: &mut D, outputs: &mut [Output<F>]) -> Result<(), StoreError> {
        let Some(output) = outputs.last_mut() else { return Ok(()) };
        output.write(disk)?;
        disk.sync(&output.file)?;
        let base = output.segment.base;
        let (index, timeindex) = output.indexes.format();
        let mut files = vec![("index", index), ("timeindex", timeindex)];
        if !output.aborted.is_empty() {
            files.push(("txnindex", transactions::format(&output.aborted)));
        }
        for (suffix, bytes) in files {
            let path = cleaned_path(&self.folder, base, suffix);
            let file = disk.open(self.dir, &path, true)?;
            let written = disk.set_len(&file, 0).and_then(|()| disk.write_at(&file, 0, &[bytes]));
            // What a `.txnindex` says of batches that are gone no log can tell, and a torn index would be believed.
            let synced = written.and_then(|()| disk.sync(&file));
            disk.close(file);
            synced?;
        }
        Ok(())
    }
}

/// A segment in the making.
struct Output<F> {
    file: F,
    segment: Segment,
    indexes: Indexes,
    /// Bytes that are not written yet. Copied, as a small batch would keep all alive that was read with it.
    waiting: Vec<u8>,
    aborted: Vec<Aborted>,
}

impl<F: Clone> Output<F> {
    fn create<D: Disk<File = F>>(
        disk: &mut D,
        dir: DirId,
        folder: &str,
        base: Offset,
        rules: SegmentRules,
    ) -> Result<Output<F>, StoreError> {
        // A clean that was stopped may have left some of them.
        discard(disk, dir, folder, base)?;
        let file = disk.open(dir, &cleaned_path(folder, base, "log"), true)?;
        Ok(Output {
            file,
            segment: Segment::new(FileId(0), base, None, rules),
            indexes: Indexes::new(base, rules.index_interval_bytes),
            waiting: Vec::new(),
            aborted: Vec::new(),
        })
    }

    /// The first batch always fits, or a clean would never end.
    fn has_room(&self, head: &BatchHead, size: usize) -> bool {
        let end = i64::from(self.segment.size).saturating_add(size as i64);
        let reach = head.last_offset().0 - self.segment.base.0;
        self.segment.size == 0 || (end <= SEGMENT_LIMIT && reach <= SEGMENT_LIMIT)
    }

    fn push(&mut self, batch: &[u8]) -> Result<(), StoreError> {
        let head = BatchHead::decode(batch).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.segment.admit(&head);
        self.indexes.push(&head);
        self.waiting.extend_from_slice(batch);
        Ok(())
    }

    /// Writes what waits; answers how many bytes.
    fn write<D: Disk<File = F>>(&mut self, disk: &mut D) -> Result<usize, StoreError> {
        let bytes = Bytes::from(std::mem::take(&mut self.waiting));
        let len = bytes.len();
        if len > 0 {
            disk.write_at(&self.file, u64::from(self.segment.size) - len as u64, &[bytes])?;
        }
        Ok(len)
    }
}

/// Reads a segment batch by batch, many at once.
struct Reader<'a, F> {
    source: &'a Source<F>,
    at: u32,
    /// The least offset that the next batch can begin with.
    expected: Offset,
    buffer: Bytes,
    /// Bytes read that were not told yet.
    read: usize,
    /// Bytes read at once.
    piece: usize,
}

/// Why a batch cannot be read.
enum ReadError {
    Disk(StoreError),
    Bad(u32, String),
}

impl ReadError {
    fn at<F>(self, folder: &str, source: &Source<F>) -> StoreError {
        match self {
            ReadError::Disk(error) => error,
            ReadError::Bad(at, why) => corrupt(folder, source.base, at, &why),
        }
    }
}

impl<'a, F> Reader<'a, F> {
    fn new(source: &'a Source<F>, at: u32, piece: usize) -> Reader<'a, F> {
        Reader { source, at, expected: source.base, buffer: Bytes::new(), read: 0, piece: piece - ENDS }
    }

    fn next<D: Disk<File = F>>(&mut self, disk: &D) -> Result<Option<(u32, BatchHead, Bytes)>, ReadError> {
        let at = self.at;
        let left = (self.source.size - at) as usize;
        if left == 0 {
            return Ok(None);
        }
        let bad = |why: String| ReadError::Bad(at, why);
        self.fill(disk, HEAD_SIZE.min(left)).map_err(ReadError::Disk)?;
        let head = BatchHead::decode(&self.buffer).map_err(|error| bad(error.fault.to_string()))?;
        if head.size() > left {
            return Err(bad(format!("the batch needs {} bytes, there are {left}", head.size())));
        }
        // No checksum covers the base offset, and what follows counts on it.
        let reach = head.last_offset().0.checked_sub(self.source.base.0);
        let fits = head.last_offset_delta >= 0 && reach.is_some_and(|reach| reach <= SEGMENT_LIMIT);
        if head.base_offset < self.expected || !fits {
            let (base, delta, expected) = (head.base_offset, head.last_offset_delta, self.expected);
            return Err(bad(format!("offsets {base} + {delta} where {expected} is the least")));
        }
        self.expected = head.next_offset();
        self.fill(disk, head.size()).map_err(ReadError::Disk)?;
        if self.buffer.len() < head.size() {
            return Err(bad("the file ends early".to_owned()));
        }
        let batch = self.buffer.split_to(head.size());
        self.at += head.size() as u32;
        Ok(Some((at, head, batch)))
    }

    /// Makes at least `len` bytes from here on available, if the file has them.
    fn fill<D: Disk<File = F>>(&mut self, disk: &D, len: usize) -> Result<(), StoreError> {
        if self.buffer.len() >= len {
            return Ok(());
        }
        let have = self.buffer.len();
        let from = self.at as usize + have;
        let want = (len - have).max(self.piece).min(self.source.size as usize - from);
        let more = disk.read_at(&self.source.file, from as u64, want)?;
        self.read += more.len();
        self.buffer = if have == 0 {
            more
        } else {
            let mut joined = BytesMut::with_capacity(have + more.len());
            joined.extend_from_slice(&self.buffer);
            joined.extend_from_slice(&more);
            joined.freeze()
        };
        Ok(())
    }

    /// Bytes read since the last call.
    fn take_read(&mut self) -> usize {
        std::mem::take(&mut self.read)
    }
}

/// Removes what there is of a segment in the making.
pub(super) fn discard<D: Disk>(disk: &mut D, dir: DirId, folder: &str, base: Offset) -> Result<(), StoreError> {
    for suffix in ["log", "index", "timeindex", "txnindex"] {
        match disk.remove(dir, &cleaned_path(folder, base, suffix)) {
            Ok(()) | Err(StoreError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Kafka's name of a segment's file while it is in the making.
pub(super) fn cleaned_path(folder: &str, base: Offset, suffix: &str) -> String {
    segment_path(folder, base, &format!("{suffix}.cleaned"))
}

fn corrupt(folder: &str, base: Offset, at: u32, why: &str) -> StoreError {
    StoreError::Corrupt(format!("{} at byte {at}: {why}", segment_path(folder, base, "log")))
}
