//! Carries out store operations over a disk: straight-line code, one operation after the other.

use ordered::{Map, Set};
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use protocol::records::{Batches, Compressors, PureCompressors};
use protocol::{Era, FileId, Offset, Region, Str, TopicPartition, Uuid};

use crate::clean::Job;
use crate::copy::{Copying, hex};
use crate::disk::Disk;
use crate::find::Found;
use crate::flush::replace;
use crate::graves::{Grave, keeper};
use crate::index::Indexes;
use crate::meta;
use crate::op::{Cell, DirId, Done, LogId, OpId, SegmentRules, StoreError, StoreOp, file_id, log_of};
use crate::points::Progress;
use crate::segments::Segments;

/// Sealed segments whose indexes stay in memory: a full one takes megabytes.
const CACHED_INDEXES: usize = 16;

/// The logs of a node, on its disks.
///
/// After a lane operation or a read failed with [`StoreError::Io`] or [`StoreError::Full`] its log directory is offline: all
/// later lane operations there fail with the same error.
#[derive(Clone)]
pub struct Store<D: Disk> {
    pub(crate) disk: D,
    pub(crate) compressors: Arc<dyn Compressors>,
    pub(crate) dirs: Map<DirId, DirState>,
    pub(crate) logs: Map<LogId, Log<D::File>>,
    pub(crate) changes: FileChanges<D::File>,
    /// Cleans that wait to be asked for their next group.
    pub(crate) cleaning: Map<LogId, Job<D::File>>,
    /// Copies that are being made in other directories.
    pub(crate) copies: Map<LogId, Copying<D::File>>,
    /// Sealed segments whose indexes are in memory, the longest first.
    cached: VecDeque<FileId>,
    /// The batches before which the latest look-ups ended.
    pub(crate) ends: VecDeque<Found>,
    /// Leader epochs that began and have no batch yet. A node begins thousands when it starts, most of them for logs that
    /// nobody writes to: they are written with the first batch.
    epochs: Map<LogId, Bytes>,
    /// What the operation that is being carried out gives up, if it keeps that.
    pub(crate) grave: Option<Grave<D::File>>,
    /// What was given up and is still there, of each log the earliest first.
    pub(crate) graves: Map<LogId, VecDeque<Grave<D::File>>>,
}

/// Segment files that were opened, and those that no new answer will name.
#[derive(Clone, Debug)]
pub struct FileChanges<F> {
    /// Newly open.
    pub opened: Vec<(FileId, F)>,
    /// Given up; whoever holds a handle may go on with it.
    pub gone: Vec<FileId>,
}

impl<F> Default for FileChanges<F> {
    fn default() -> FileChanges<F> {
        FileChanges { opened: Vec::new(), gone: Vec::new() }
    }
}

/// Where a region's bytes are.
#[derive(Clone, Debug)]
pub struct Resolved<F> {
    /// The file; it stays usable after it is unlinked.
    pub file: F,
    /// First byte.
    pub at: u64,
    /// Length in bytes.
    pub len: u32,
}

/// What was read once of a log directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirState {
    pub(crate) failed: Option<StoreError>,
    pub(crate) clean: bool,
    pub(crate) broker_epoch: Option<i64>,
    pub(crate) recovery_points: Map<TopicPartition, Offset>,
    pub(crate) high_watermarks: Map<TopicPartition, Offset>,
    pub(crate) log_starts: Map<TopicPartition, Offset>,
    pub(crate) cleaner_offsets: Map<TopicPartition, Offset>,
    /// Logs that are there and could not be mounted: what the checkpoints say of them stays, for who mends them.
    pub(crate) refused: Set<TopicPartition>,
    /// The folders' names of logs of which there was a copy in the making.
    pub(crate) copies: Set<String>,
    /// What else was found that people should look at, until they are told.
    pub(crate) odd: Vec<String>,
}

impl DirState {
    /// The entries of a checkpoint, as the last run left them.
    fn checkpoint(&self, cell: Cell) -> Option<&Map<TopicPartition, Offset>> {
        match cell {
            Cell::RecoveryPoints(_) => Some(&self.recovery_points),
            Cell::HighWatermarks(_) => Some(&self.high_watermarks),
            Cell::LogStarts(_) => Some(&self.log_starts),
            Cell::CleanerOffsets(_) => Some(&self.cleaner_offsets),
            Cell::QuorumState(_)
            | Cell::LeaderEpochs(_)
            | Cell::Producers(..)
            | Cell::Snapshot(..)
            | Cell::CleanShutdown(_) => None,
        }
    }
}

/// A mounted log.
#[derive(Clone, Debug)]
pub(crate) struct Log<F> {
    pub(crate) dir: DirId,
    pub(crate) folder: String,
    pub(crate) topic_id: Uuid,
    /// The folder's name once it is to be removed.
    pub(crate) grave: String,
    pub(crate) era: Era,
    pub(crate) segments: Segments<F>,
    /// The number of the next file.
    pub(crate) files: u32,
    /// Names in the folder that a power cut would lose.
    pub(crate) names_dirty: bool,
    /// See [`crate::LogSpec::synced`].
    pub(crate) synced: bool,
    /// Those of the active segment; indexes that are made anew are made by them, too.
    pub(crate) segment_rules: SegmentRules,
    /// What the file of its leader epochs is to hold from the next flush on. Until then batches behind the recovery point tell
    /// of them, and the file is the last one, whole: Apache Kafka that opens the directory takes it at its word.
    pub(crate) epochs: Option<Bytes>,
    /// How far it is.
    pub(crate) progress: Progress,
}

/// A segment and its open file.
#[derive(Clone, Debug)]
pub(crate) struct OpenSegment<F> {
    pub(crate) base: Offset,
    pub(crate) file: F,
    pub(crate) size: u32,
    /// Always there for the active segment; read when needed for others.
    pub(crate) indexes: Option<Indexes>,
    /// Bytes that a power cut would lose.
    pub(crate) dirty: bool,
    /// Index files that a power cut could tear: they are on disk before a recovery point says that nobody need check them.
    pub(crate) indexes_dirty: bool,
    /// More of the disk is set aside for it than it has bytes.
    pub(crate) reserved: bool,
}

impl<F> OpenSegment<F> {
    /// An open file of so many bytes, all of them on disk.
    pub(crate) fn new(base: Offset, file: F, size: u32) -> OpenSegment<F> {
        OpenSegment { base, file, size, indexes: None, dirty: false, indexes_dirty: false, reserved: false }
    }
}

impl<F> Log<F> {
    pub(crate) fn path(&self, base: Offset, suffix: &str) -> String {
        segment_path(&self.folder, base, suffix)
    }

    pub(crate) fn epochs_path(&self) -> String {
        format!("{}/{}", self.folder, meta::LEADER_EPOCHS)
    }

    fn active(&mut self, file: FileId) -> Result<&mut OpenSegment<F>, StoreError> {
        if self.segments.active_file() != Some(file) {
            return Err(StoreError::Missing);
        }
        self.segments.get_mut(&file).ok_or(StoreError::Missing)
    }
}

/// The path of one of a segment's files, without the dot: Kafka names them by the base offset in 20 digits.
pub(crate) fn segment_path(folder: &str, base: Offset, suffix: &str) -> String {
    format!("{folder}/{:020}.{suffix}", base.0)
}

impl<D: Disk> Store<D> {
    /// Over a disk, with the compressors that are the same on every host.
    pub fn new(disk: D) -> Store<D> {
        Store::with_compressors(disk, Arc::new(PureCompressors))
    }

    /// Over a disk, with a host's own compressors (lookups by time read records).
    pub fn with_compressors(disk: D, compressors: Arc<dyn Compressors>) -> Store<D> {
        Store {
            disk,
            compressors,
            dirs: Map::new(),
            logs: Map::new(),
            changes: FileChanges::default(),
            cleaning: Map::new(),
            copies: Map::new(),
            cached: VecDeque::new(),
            ends: VecDeque::new(),
            epochs: Map::new(),
            grave: None,
            graves: Map::new(),
        }
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The disk, for who plays with it.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// The disk, which is all that outlives a process.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Files that were opened or given up since the last call.
    pub fn take_changes(&mut self) -> FileChanges<D::File> {
        std::mem::take(&mut self.changes)
    }

    /// Carries out one turn's operations. Appends that meet at the end of one file become one write. Answers come in the
    /// order of the operations.
    pub fn execute_all(
        &mut self,
        ops: impl IntoIterator<Item = (OpId, StoreOp)>,
    ) -> Vec<(OpId, Result<Done, StoreError>)> {
        let mut answers: Vec<(OpId, Option<Result<Done, StoreError>>)> = Vec::new();
        let mut gathered: Map<LogId, Gather> = Map::new();
        for (id, op) in ops {
            let index = answers.len();
            answers.push((id, None));
            match op {
                StoreOp::Append(log, file, batches) => {
                    if gathered.get(&log).is_some_and(|gather| gather.file != file)
                        && let Some(other) = gathered.remove(&log)
                    {
                        self.write_gathered(log, other, &mut answers);
                    }
                    let gather = gathered.entry(log).or_insert_with(|| Gather { file, ..Gather::default() });
                    gather.batches.push(batches);
                    gather.answers.push(index);
                }
                other => {
                    // Whatever else concerns a log comes after what was appended to it before.
                    for (log, gather) in take_concerned(&mut gathered, &other) {
                        self.write_gathered(log, gather, &mut answers);
                    }
                    answers[index].1 = Some(self.execute(other));
                }
            }
        }
        for (log, gather) in gathered {
            self.write_gathered(log, gather, &mut answers);
        }
        answers.into_iter().filter_map(|(id, answer)| Some((id, answer?))).collect()
    }

    fn write_gathered(&mut self, log: LogId, gather: Gather, answers: &mut [(OpId, Option<Result<Done, StoreError>>)]) {
        if self.logs.get(&log).is_some_and(|it| it.synced) {
            for (batches, index) in gather.batches.into_iter().zip(gather.answers) {
                answers[index].1 =
                    Some(self.in_lane(self.dir_of(log), |store| store.append(log, gather.file, &[batches])));
            }
            return;
        }
        let result = self.in_lane(self.dir_of(log), |store| store.append(log, gather.file, &gather.batches));
        for index in gather.answers {
            answers[index].1 = Some(result.clone());
        }
    }

    /// Carries out one operation.
    pub fn execute(&mut self, op: StoreOp) -> Result<Done, StoreError> {
        let keeper = keeper(&op);
        self.grave = keeper.map(|_| Grave::default());
        let result = self.carry_out(op);
        if let Some(log) = keeper {
            self.close_grave(log, &result);
        }
        result
    }

    fn carry_out(&mut self, op: StoreOp) -> Result<Done, StoreError> {
        match op {
            StoreOp::Mount(log, spec) => self.in_lane(Some(spec.dir), |store| store.mount(log, &spec)),
            StoreOp::Append(log, file, batches) => {
                self.in_lane(self.dir_of(log), |store| store.append(log, file, &[batches]))
            }
            StoreOp::Roll(log, file, base, snapshot, rules) => {
                self.in_lane(self.dir_of(log), |store| store.roll(log, (file, base), snapshot, rules))
            }
            StoreOp::Flush(log) => self.in_lane(self.dir_of(log), |store| store.flush(log)),
            StoreOp::Truncate(log, offset, era) => {
                self.in_lane(self.dir_of(log), |store| store.truncate(log, offset, era))
            }
            StoreOp::Delete(log, files) => self.in_lane(self.dir_of(log), |store| store.delete(log, &files)),
            StoreOp::Remove(log) => self.in_lane(self.dir_of(log), |store| store.remove(log)),
            StoreOp::Sweep(log) => self.sweep(log),
            StoreOp::Swap(log, sources, segments) => {
                self.in_lane(self.dir_of(log), |store| store.swap(log, &sources, &segments))
            }
            StoreOp::Clean(log, era, step) => self.clean(log, era, step),
            StoreOp::Copy(log, plan) => self.copy(log, plan),
            StoreOp::Move(log) => self.in_lane(self.dir_of(log), |store| store.move_log(log)),
            StoreOp::DropCopy(log) => self.in_lane(self.dir_of(log), |store| store.drop_copy(log)),
            StoreOp::Survey(dir) => self.survey(dir),
            StoreOp::Measure(dir) => self.disk.space(dir).map(Done::Measured),
            StoreOp::SetAside(dir, folder) => {
                self.in_lane(Some(dir), |store| Ok(Done::SetAside(store.set_aside(dir, &folder)?)))
            }
            StoreOp::Adopt(dir, name, topic_id) => self.in_lane(Some(dir), |store| store.adopt(dir, &name, topic_id)),
            StoreOp::Find(log, era, seek) => {
                let found = self.find(log, era, seek);
                self.was_read(log, found)
            }
            StoreOp::Load(region) => {
                let loaded = self.load(region);
                self.was_read(log_of(region.file), loaded)
            }
            StoreOp::Put(cell, bytes) => self.in_lane(self.dir_of_cell(cell), |store| store.put(cell, bytes)),
        }
    }

    /// Where a region's bytes are, for who sends them. [`StoreError::Missing`] if its file or era is gone.
    pub fn resolve(&self, region: Region) -> Result<Resolved<D::File>, StoreError> {
        let log = self.logs.get(&log_of(region.file)).ok_or(StoreError::Missing)?;
        let segment = log.segments.get(&region.file).ok_or(StoreError::Missing)?;
        let end = u64::from(region.at) + u64::from(region.len);
        if log.era != region.era || end > u64::from(segment.size) {
            return Err(StoreError::Missing);
        }
        Ok(Resolved { file: segment.file.clone(), at: u64::from(region.at), len: region.len })
    }

    fn load(&self, region: Region) -> Result<Done, StoreError> {
        let resolved = self.resolve(region)?;
        let bytes = self.disk.read_at(&resolved.file, resolved.at, resolved.len as usize)?;
        if bytes.len() == resolved.len as usize {
            Ok(Done::Loaded(bytes))
        } else {
            let (have, need) = (bytes.len(), resolved.len);
            Err(StoreError::Io(format!("{}: {have} of {need} bytes at {} could be read", region.file, region.at)))
        }
    }

    fn dir_of(&self, log: LogId) -> Option<DirId> {
        self.logs.get(&log).map(|log| log.dir)
    }

    pub(crate) fn dir_of_cell(&self, cell: Cell) -> Option<DirId> {
        match cell {
            Cell::RecoveryPoints(dir)
            | Cell::HighWatermarks(dir)
            | Cell::LogStarts(dir)
            | Cell::CleanerOffsets(dir)
            | Cell::CleanShutdown(dir) => Some(dir),
            _ => self.dir_of(cell.log()?),
        }
    }

    /// Runs a lane operation, unless one before it failed in the same directory.
    pub(crate) fn in_lane(
        &mut self,
        dir: Option<DirId>,
        operation: impl FnOnce(&mut Store<D>) -> Result<Done, StoreError>,
    ) -> Result<Done, StoreError> {
        let dir = dir.ok_or(StoreError::Missing)?;
        if let Some(failed) = self.dirs.get(&dir).and_then(|state| state.failed.clone()) {
            return Err(failed);
        }
        let result = operation(self);
        if let Err(error @ (StoreError::Io(_) | StoreError::Full(_))) = &result {
            self.dirs.entry(dir).or_default().failed = Some(error.clone());
        }
        result
    }

    /// A read that the disk refused fails the directory, as a write does; other reads are still tried there.
    fn was_read(&mut self, log: LogId, result: Result<Done, StoreError>) -> Result<Done, StoreError> {
        if let (Err(error), Some(dir)) = (&result, self.dir_of(log))
            && error.is_disk()
        {
            self.dirs.entry(dir).or_default().failed.get_or_insert(error.clone());
        }
        result
    }

    pub(crate) fn log_mut(&mut self, log: LogId) -> Result<&mut Log<D::File>, StoreError> {
        self.logs.get_mut(&log).ok_or(StoreError::Missing)
    }

    fn append(&mut self, log: LogId, file: FileId, appends: &[Batches]) -> Result<Done, StoreError> {
        if self.log_mut(log)?.synced {
            // A power cut may keep the later of two writes and lose the earlier one. A good batch behind a bad one, or a leader
            // epoch that begins beyond the log's end, is damage to whoever opens a log of which all was synced.
            self.flush(log)?;
        }
        if let Some(epochs) = self.epochs.get(&log).cloned() {
            self.put_epochs(log, epochs)?;
            self.epochs.remove(&log);
        }
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let segment = it.active(file)?;
        let mut pieces = Vec::new();
        for batches in appends {
            batches.push_pieces(&mut pieces);
        }
        self.disk.write_at(&segment.file, u64::from(segment.size), &pieces)?;
        segment.dirty = true;
        for head in appends.iter().flat_map(Batches::heads) {
            segment.size += head.size() as u32;
            if let Some(indexes) = &mut segment.indexes {
                indexes.push(head);
            }
        }
        if let Some(last) = appends.iter().flat_map(Batches::heads).last() {
            it.progress.end = last.next_offset();
        }
        Ok(Done::Appended)
    }

    /// Writes down when leader epochs began.
    pub(crate) fn put_epochs(&mut self, log: LogId, epochs: Bytes) -> Result<(), StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let (dir, path) = (it.dir, it.epochs_path());
        if it.synced || it.progress.is_unread() {
            return replace(&mut self.disk, dir, &path, epochs);
        }
        // Nobody waits for the disk here.
        it.epochs = Some(epochs);
        Ok(())
    }

    /// Has the file of its leader epochs say what the log does, for whoever is about to read it.
    pub(crate) fn write_epochs(&mut self, log: LogId) -> Result<(), StoreError> {
        let it = self.log_mut(log)?;
        let (dir, path) = (it.dir, it.epochs_path());
        it.epochs.take().map_or(Ok(()), |epochs| replace(&mut self.disk, dir, &path, epochs))
    }

    fn roll(
        &mut self,
        log: LogId,
        (file, base): (FileId, Offset),
        snapshot: Bytes,
        rules: SegmentRules,
    ) -> Result<Done, StoreError> {
        self.write_indexes(log)?;
        self.trim(log)?;
        if let Some(sealed) = self.log_mut(log)?.segments.active_file() {
            // A recovery point may be there already.
            if self.log_mut(log)?.segments.get(&sealed).is_some_and(|it| !it.dirty) {
                self.sync_indexes(log, sealed)?;
            }
            self.cache_indexes(sealed);
        }
        let (dir, path) = {
            let it = self.log_mut(log)?;
            (it.dir, it.path(base, "snapshot"))
        };
        // Not synced: it has a CRC, and what is missing or torn is made anew from the log.
        self.write_file(dir, &path, snapshot)?;
        self.add_segment(log, file, base, rules)?;
        Ok(Done::Rolled)
    }

    /// The same after a crash, which left nobody who knows whether anything is set aside.
    pub(crate) fn trim_anew(&mut self, log: LogId) -> Result<(), StoreError> {
        if let Some(file) = self.log_mut(log)?.segments.active_file()
            && let Some(segment) = self.log_mut(log)?.segments.get_mut(&file)
        {
            segment.reserved = true;
        }
        self.trim(log)
    }

    /// Gives back what was set aside for the active segment and not used.
    fn trim(&mut self, log: LogId) -> Result<(), StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let Some(file) = it.segments.active_file() else { return Ok(()) };
        let segment = it.segments.get_mut(&file).ok_or(StoreError::Missing)?;
        if std::mem::take(&mut segment.reserved) {
            self.disk.reserve(&segment.file, 0)?;
        }
        Ok(())
    }

    /// Creates a segment's file and makes it the active one.
    pub(crate) fn add_segment(
        &mut self,
        log: LogId,
        file: FileId,
        base: Offset,
        rules: SegmentRules,
    ) -> Result<(), StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let handle = self.disk.open(it.dir, &it.path(base, "log"), true)?;
        // An empty file has nothing to lose but its name.
        let dirty = self.disk.len(&handle)? > 0;
        if dirty {
            self.disk.set_len(&handle, 0)?;
        }
        let reserved = rules.reserve > 0;
        if reserved {
            self.disk.reserve(&handle, u64::from(rules.reserve))?;
        }
        it.segment_rules = rules;
        it.files = it.files.max((file.0 as u32).saturating_add(1));
        it.names_dirty = true;
        let indexes = Some(Indexes::new(base, rules.index_interval_bytes));
        it.segments.insert(file, OpenSegment { indexes, dirty, reserved, ..OpenSegment::new(base, handle.clone(), 0) });
        self.changes.opened.push((file, handle));
        Ok(())
    }

    /// The number of the next file of a log.
    pub(crate) fn next_file(&mut self, log: LogId) -> Result<FileId, StoreError> {
        let it = self.log_mut(log)?;
        it.files += 1;
        Ok(file_id(log, it.files - 1))
    }

    /// Counts a sealed segment's indexes among those in memory, and forgets the oldest of too many.
    pub(crate) fn cache_indexes(&mut self, file: FileId) {
        self.cached.push_back(file);
        while self.cached.len() > CACHED_INDEXES
            && let Some(old) = self.cached.pop_front()
        {
            let Some(log) = self.logs.get_mut(&log_of(old)) else { continue };
            // A truncation may have made it active again, and the active one's are not on disk.
            let active = log.segments.active_file() == Some(old);
            if let Some(segment) = log.segments.get_mut(&old).filter(|_| !active) {
                segment.indexes = None;
            }
        }
    }

    /// Writes the active segment's `.index` and `.timeindex`.
    fn write_indexes(&mut self, log: LogId) -> Result<(), StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let Some((file, active)) = it.segments.active() else { return Ok(()) };
        let Some(indexes) = &active.indexes else { return Ok(()) };
        let formatted = indexes.format();
        self.write_index_files(log, file, formatted)
    }

    /// Writes a segment's `.index` and `.timeindex`.
    pub(crate) fn write_index_files(
        &mut self,
        log: LogId,
        file: FileId,
        (index, timeindex): (Bytes, Bytes),
    ) -> Result<(), StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.get_mut(&file).ok_or(StoreError::Missing)?;
        segment.indexes_dirty = true;
        let (dir, base) = (it.dir, segment.base);
        let paths = [(it.path(base, "index"), index), (it.path(base, "timeindex"), timeindex)];
        for (path, bytes) in paths {
            self.write_file(dir, &path, bytes)?;
        }
        Ok(())
    }

    /// Writes a whole file, without a promise that it survives.
    fn write_file(&mut self, dir: DirId, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        let file = self.disk.open(dir, path, true)?;
        let written = self.disk.set_len(&file, 0).and_then(|()| self.disk.write_at(&file, 0, &[bytes]));
        self.disk.close(file);
        written
    }

    /// Replaces a small file: afterwards either the old or the new one is there, whatever happens.
    pub(crate) fn replace_file(&mut self, dir: DirId, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        replace(&mut self.disk, dir, path, bytes)
    }

    /// Reads a whole small file; `None` if there is none.
    pub(crate) fn read_file(&mut self, dir: DirId, path: &str) -> Result<Option<Bytes>, StoreError> {
        let file = match self.disk.open(dir, path, false) {
            Err(StoreError::Missing) => return Ok(None),
            other => other?,
        };
        let bytes = self.disk.len(&file).and_then(|len| self.disk.read_at(&file, 0, len as usize));
        self.disk.close(file);
        bytes.map(Some)
    }

    fn truncate(&mut self, log: LogId, offset: Offset, era: Era) -> Result<Done, StoreError> {
        // A clean that is under way has read what is cut now.
        self.cleaning.remove(&log);
        self.ends.retain(|it| log_of(it.file) != log);
        let shape = self.cut(log, offset, era)?;
        let it = self.log_mut(log)?;
        it.progress.cut(shape.end());
        let (dir, path) = (it.dir, it.epochs_path());
        self.replace_file(dir, &path, shape.epochs().format())?;
        self.epochs.remove(&log);
        Ok(Done::Truncated(Box::new(shape)))
    }

    fn delete(&mut self, log: LogId, files: &[FileId]) -> Result<Done, StoreError> {
        for file in files {
            self.drop_segment(log, *file)?;
        }
        Ok(Done::Deleted)
    }

    /// Gives a segment up. The log goes first: what else is left after a crash belongs to nothing.
    pub(crate) fn drop_segment(&mut self, log: LogId, file: FileId) -> Result<(), StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.remove(&file).ok_or(StoreError::Missing)?;
        it.names_dirty = true;
        let (dir, folder) = (it.dir, it.folder.clone());
        for suffix in ["log", "index", "timeindex", "txnindex", "snapshot"] {
            self.give_up(dir, &segment_path(&folder, segment.base, suffix))?;
        }
        self.give_up_segment(file, segment);
        Ok(())
    }

    pub(crate) fn unlink(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        match self.disk.remove(dir, path) {
            Err(StoreError::Missing) => Ok(()),
            other => other,
        }
    }

    fn remove(&mut self, log: LogId) -> Result<Done, StoreError> {
        // If its directory has failed, the next operation there tells.
        self.drop_copy(log)?;
        let it = self.logs.remove(&log).ok_or(StoreError::Missing)?;
        self.epochs.remove(&log);
        self.cleaning.remove(&log);
        for (file, segment) in it.segments.into_iter() {
            self.give_up_segment(file, segment);
        }
        self.give_up_folder(it.dir, &it.folder, &it.grave)?;
        Ok(Done::Removed)
    }

    /// Removes a folder and what is in it, other folders too. What a link leads to is not ours to remove, so of one only the
    /// name goes.
    pub(crate) fn remove_folder(&mut self, dir: DirId, folder: &str) -> Result<(), StoreError> {
        if self.disk.is_link(dir, folder) {
            return self.unlink(dir, folder);
        }
        for entry in self.disk.list(dir, folder)? {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_dir { self.remove_folder(dir, &path)? } else { self.unlink(dir, &path)? }
        }
        self.disk.remove_dir(dir, folder)
    }

    /// A checkpoint's text with what the file says of logs that could not be mounted. `None` if the file is to stay as it is.
    fn with_refused(&mut self, dir: DirId, cell: Cell, bytes: Bytes) -> Result<Option<Bytes>, StoreError> {
        match self.look_into(dir) {
            // Something here is no checkpoint, and for people to mend.
            Err(StoreError::Corrupt(_)) => return Ok(None),
            other => other?,
        }
        let Some(state) = self.dirs.get(&dir).filter(|state| !state.refused.is_empty()) else { return Ok(Some(bytes)) };
        let Some(left) = state.checkpoint(cell) else { return Ok(None) };
        let mut entries: Map<TopicPartition, Offset> = meta::parse_offsets(&bytes)?.into_iter().collect();
        for name in state.refused.iter() {
            if let Some(offset) = left.get(name) {
                entries.insert(name.clone(), *offset);
            }
        }
        Ok(Some(meta::format_offsets(entries.iter().map(|(name, offset)| (name, *offset)))))
    }

    /// A cell's directory and file.
    pub(crate) fn place_of_cell(&self, cell: Cell) -> Result<(DirId, String), StoreError> {
        let in_log = |log: LogId, name: &str| {
            let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
            Ok((it.dir, format!("{}/{name}", it.folder)))
        };
        match cell {
            Cell::QuorumState(log) => in_log(log, meta::QUORUM_STATE),
            Cell::LeaderEpochs(log) => in_log(log, meta::LEADER_EPOCHS),
            Cell::Producers(log, end) => {
                let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
                Ok((it.dir, it.path(end, "snapshot")))
            }
            Cell::Snapshot(log, id) => in_log(log, &id.file_name()),
            Cell::RecoveryPoints(dir) => Ok((dir, meta::RECOVERY_POINTS.to_owned())),
            Cell::HighWatermarks(dir) => Ok((dir, meta::HIGH_WATERMARKS.to_owned())),
            Cell::LogStarts(dir) => Ok((dir, meta::LOG_STARTS.to_owned())),
            Cell::CleanerOffsets(dir) => Ok((dir, meta::CLEANER_OFFSETS.to_owned())),
            Cell::CleanShutdown(dir) => Ok((dir, meta::CLEAN_SHUTDOWN.to_owned())),
        }
    }

    /// What a cell's file is to hold; `None` if it is to stay as it is.
    pub(crate) fn cell_text(&mut self, dir: DirId, cell: Cell, bytes: Bytes) -> Result<Option<Bytes>, StoreError> {
        match cell {
            Cell::RecoveryPoints(_) => {
                let text = self.with_refused(dir, cell, bytes)?;
                text.map(|text| self.true_points(dir, text)).transpose()
            }
            // A log that was refused must be looked at again, so a stop with one is not marked as clean.
            Cell::HighWatermarks(_) | Cell::LogStarts(_) | Cell::CleanerOffsets(_) | Cell::CleanShutdown(_) => {
                self.with_refused(dir, cell, bytes)
            }
            Cell::QuorumState(_) | Cell::LeaderEpochs(_) | Cell::Producers(..) | Cell::Snapshot(..) => Ok(Some(bytes)),
        }
    }

    fn put(&mut self, cell: Cell, bytes: Bytes) -> Result<Done, StoreError> {
        let (dir, path) = self.place_of_cell(cell)?;
        match cell {
            Cell::LeaderEpochs(log) => {
                self.epochs.insert(log, bytes);
                return Ok(Done::Put);
            }
            Cell::Producers(..) => {
                // Not synced, as with a roll: it has a CRC, and what is missing or torn is made anew from the log.
                self.write_file(dir, &path, bytes)?;
                return Ok(Done::Put);
            }
            Cell::CleanShutdown(_) => self.settle(dir)?,
            _ => {}
        }
        if let Some(bytes) = self.cell_text(dir, cell, bytes)? {
            self.replace_file(dir, &path, bytes)?;
        }
        if let Cell::Snapshot(log, id) = cell {
            self.drop_snapshots_before(log, id)?;
        }
        Ok(Done::Put)
    }

    /// Leaves a directory's logs as a clean stop should: indexes written, everything on disk.
    fn settle(&mut self, dir: DirId) -> Result<(), StoreError> {
        let logs: Vec<LogId> = self.logs.iter().filter(|(_, log)| log.dir == dir).map(|(id, _)| *id).collect();
        for log in logs {
            self.write_indexes(log)?;
            self.trim(log)?;
            self.flush(log)?;
        }
        Ok(())
    }

    /// The name under which a log's folder is deleted: Kafka's, cut to what a folder's name can have.
    pub(crate) fn grave(topic: &Str, partition: i32, topic_id: Uuid) -> String {
        let suffix = format!("-{partition}.{}{DELETED}", hex(topic_id));
        let room = 255usize.saturating_sub(suffix.len()).min(topic.len());
        format!("{}{suffix}", topic.get(..room).unwrap_or("topic"))
    }
}

/// What ends the name of a folder that is to be removed.
pub(crate) const DELETED: &str = "-delete";

/// True for a name that a log is deleted under, by this store or by Apache Kafka: `topic-0.`, 32 hexadecimal digits, `-delete`.
/// Whatever else a directory holds is somebody's.
pub(crate) fn is_grave(name: &str) -> bool {
    let Some((log, id)) = name.strip_suffix(DELETED).and_then(|it| it.rsplit_once('.')) else { return false };
    let is_id = id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit());
    let partition = log.rsplit_once('-').map_or("", |(_, partition)| partition);
    is_id && !partition.is_empty() && partition.bytes().all(|it| it.is_ascii_digit())
}

/// Appends of one turn to one file, and the answers they are due.
#[derive(Default)]
struct Gather {
    file: FileId,
    batches: Vec<Batches>,
    answers: Vec<usize>,
}

/// Takes out the appends that must be written before the operation: those of its log, of all if it concerns a directory.
fn take_concerned(gathered: &mut Map<LogId, Gather>, op: &StoreOp) -> Map<LogId, Gather> {
    match (op, op.log()) {
        (StoreOp::Put(Cell::QuorumState(_) | Cell::LeaderEpochs(_), _), _) => Map::new(),
        (StoreOp::Put(..), _) => std::mem::take(gathered),
        (_, None) => Map::new(),
        (_, Some(log)) => gathered.remove(&log).map(|gather| (log, gather)).into_iter().collect(),
    }
}
