//! Opens a log: finds its files, reads what they hold, cuts off what a crash left half done.
//!
//! After a clean stop the heads of the last segment are read, for the tail index. Otherwise everything from the recovery
//! point on is read and its CRCs checked, and the log is cut at the first batch that does not hold, or is missing: nothing
//! there was promised to be on disk. A bad batch below the recovery point is corruption, and cut by nobody; files that are
//! gone or empty are told of, and the rest is served, as Apache Kafka does. A log whose batches were all synced is refused in
//! either case, and when good batches follow a bad one.

use ordered::{Map, Set};

use protocol::records::{BatchHead, HEAD_SIZE, verify};
use protocol::{Era, FileId, Offset, TopicPartition, Uuid};

use crate::copy::copied_log;
use crate::disk::Disk;
use crate::epochs::{EpochStart, Epochs};
use crate::graves::DELETED_FILE;
use crate::index::Indexes;
use crate::meta;
use crate::op::{DirId, Done, LogId, LogSpec, SegmentRules, StoreError};
use crate::points::Progress;
use crate::producers::Producers;
use crate::scan::{Scan, ScanError};
use crate::segments::Segments;
use crate::shape::{Mounted, Segment, Shape};
use crate::snapshot::BOOTSTRAP;
use crate::store::{DELETED, DirState, Log, OpenSegment, Store, is_grave, segment_path};

/// Where the magic byte of a batch is.
const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// What to do about a log that must be whole.
const RESTORE: &str =
    "restore it from a backup: a node that begins without it may take all its other logs for nobody's";

/// What a log's files hold.
struct Loaded {
    shape: Shape,
    /// Indexes of the last segment that was read.
    indexes: Option<(FileId, Indexes)>,
    cut: Option<Cut>,
    /// Offsets between files that no file holds.
    gap: Option<String>,
    /// Segments whose index files were made anew.
    mended: Vec<Offset>,
    /// From here up every batch was checked, and what there is beside the log is made anew from it.
    checked_base: Offset,
    /// The last leader epoch that their file lists.
    listed: Option<EpochStart>,
}

/// What the reading of a log goes by.
#[derive(Clone, Copy, Default)]
struct Trust {
    /// Everything from here up is checked to the byte.
    checked_from: Option<Offset>,
    /// See [`LogSpec::synced`].
    synced: bool,
    /// Below it gaps are what compaction left.
    cleaned_to: Offset,
    /// See [`LogSpec::compacted`].
    compacted: bool,
}

/// Where a log stops making sense.
struct Cut {
    file: FileId,
    at: u32,
    why: String,
}

impl<D: Disk> Store<D> {
    pub(crate) fn mount(&mut self, log: LogId, spec: &LogSpec) -> Result<Done, StoreError> {
        let mounted = self.mount_log(log, spec);
        if let Err(StoreError::Corrupt(_)) = &mounted
            && let Some(state) = self.dirs.get_mut(&spec.dir)
        {
            state.refused.insert(TopicPartition { topic: spec.topic.clone(), partition: spec.partition });
        }
        mounted
    }

    fn mount_log(&mut self, log: LogId, spec: &LogSpec) -> Result<Done, StoreError> {
        assert!(!self.logs.contains_key(&log), "log {} is mounted twice", log.0);
        let folder = format!("{}-{}", spec.topic, spec.partition);
        if spec.topic.is_empty() || spec.topic.contains(['/', '\0']) {
            return Err(StoreError::Corrupt(format!("{folder:?} cannot be a folder's name")));
        }
        self.look_into(spec.dir)?;
        let copies = self.dirs.get(&spec.dir).is_some_and(|state| state.copies.contains(&folder));
        if copies && self.is_only_copy(spec, &folder)? {
            return Ok(Done::OnlyCopy);
        }
        let aside = self.put_other_aside(spec, &folder)?;
        let name = TopicPartition { topic: spec.topic.clone(), partition: spec.partition };
        let is_gone = spec.synced && self.expect_folder(spec, &folder, &name)?;
        let created = self.enter_folder(spec, &folder)?;
        let state = self.dirs.entry(spec.dir).or_default();
        if created {
            // What the checkpoints say is of another log, which had the name before.
            for offsets in [
                &mut state.recovery_points,
                &mut state.high_watermarks,
                &mut state.log_starts,
                &mut state.cleaner_offsets,
            ] {
                offsets.remove(&name);
            }
        }
        if is_gone {
            state.recovery_points.insert(name.clone(), Offset(1));
        }
        // Told with the first log of the directory.
        let odd = std::mem::take(&mut state.odd);
        let aside = odd.into_iter().chain(aside).reduce(|all, what| format!("{all}; {what}"));
        let log_start = state.log_starts.get(&name).copied();
        let mounted = Mounted {
            created,
            clean: state.clean,
            broker_epoch: state.broker_epoch,
            high_watermark: state.high_watermarks.get(&name).copied(),
            recovery_point: state.recovery_points.get(&name).copied(),
            cleaned_to: state.cleaner_offsets.get(&name).copied(),
            quorum_state: self.read_file(spec.dir, &format!("{folder}/{}", meta::QUORUM_STATE))?,
            snapshot: None,
            bootstrap: None,
            cut: None,
            lost: None,
            gap: None,
            aside,
        };
        let mounted = if spec.topic_id == Uuid::METADATA_TOPIC {
            let snapshot = self.newest_snapshot(spec.dir, &folder)?;
            Mounted { snapshot, bootstrap: self.read_file(spec.dir, BOOTSTRAP)?, ..mounted }
        } else {
            mounted
        };
        let bases = self.tidy_folder(spec.dir, &folder)?;
        self.logs.insert(
            log,
            Log {
                dir: spec.dir,
                topic_id: spec.topic_id,
                grave: Self::grave(&spec.topic, spec.partition, spec.topic_id),
                folder,
                era: Era(0),
                segments: Segments::new(),
                files: 0,
                names_dirty: created || !mounted.clean,
                synced: spec.synced,
                segment_rules: spec.segments,
                epochs: None,
                progress: Progress::default(),
            },
        );
        let shape = self.open_log(log, &bases, log_start, spec, mounted);
        if shape.is_err() {
            self.forget(log);
        }
        let shape = shape?;
        self.log_mut(log)?.progress = Progress::mounted(shape.end(), shape.mounted().recovery_point);
        Ok(Done::Mounted(Box::new(shape)))
    }

    /// Opens the segments, repairs them if need be and makes what is left durable.
    fn open_log(
        &mut self,
        log: LogId,
        bases: &[Offset],
        log_start: Option<Offset>,
        spec: &LogSpec,
        mut mounted: Mounted,
    ) -> Result<Shape, StoreError> {
        let (synced, compacted) = (spec.synced, spec.compacted);
        for base in bases {
            self.open_segment(log, *base)?;
        }
        if bases.is_empty() {
            let file = self.next_file(log)?;
            self.add_segment(log, file, log_start.unwrap_or_default(), spec.segments)?;
        }
        let checked_from = (!mounted.clean).then(|| mounted.recovery_point.unwrap_or_default());
        let Loaded { shape, indexes, cut, gap, mended, checked_base, listed } = {
            let cleaned_to = mounted.cleaned_to.unwrap_or_default();
            self.read_log(log, Trust { checked_from, synced, cleaned_to, compacted })?
        };
        self.keep_indexes(log, indexes)?;
        mounted.gap = gap;
        mounted.aside =
            mounted.aside.into_iter().chain(self.told_of(log, &mended)?).reduce(|all, what| format!("{all}; {what}"));
        mounted.lost = self.lost_of(log, &shape, bases, log_start, mounted.recovery_point)?;
        let is_nothing = shape.end() == Offset(0) && mounted.snapshot.is_none();
        if spec.replicated && is_nothing && mounted.lost.is_some() {
            let folder = &self.log_mut(log)?.folder;
            mounted.lost =
                Some(format!("{folder} was not empty, and is gone: it is fetched again from the other nodes"));
            mounted.recovery_point = None;
        } else if let Some(what) = mounted.lost.as_ref().or(mounted.gap.as_ref()).filter(|_| synced) {
            return Err(StoreError::Corrupt(format!("{what}; {RESTORE}")));
        }
        if let Some(cut) = cut {
            self.cut_file(log, cut.file, cut.at)?;
            mounted.cut = Some(cut.why);
        }
        if let Some(log_start) = log_start.filter(|start| *start > shape.end()) {
            // Deleted records stay deleted, even if what followed them was lost.
            mounted
                .cut
                .get_or_insert_with(|| format!("the log ended at {}, before its start {log_start}", shape.end()));
            let shape = self.start_anew(log, log_start)?;
            self.flush(log)?;
            return Ok(shape.rebuilt(log_start, mounted));
        }
        let shape = self.with_aborted(log, shape, checked_base)?;
        if !mounted.clean && !bases.is_empty() {
            // By an earlier spec perhaps: a topic need not preallocate any more.
            self.trim_anew(log)?;
        }
        let (first, is_unclean) = (bases.first().copied().unwrap_or_default(), !mounted.clean && !bases.is_empty());
        let shape = shape.rebuilt(log_start.unwrap_or(first), mounted);
        if is_unclean && !synced && shape.epochs().entries().last() != listed.as_ref() {
            // The next start reads only what is behind the recovery point.
            self.put_epochs(log, shape.epochs().format())?;
        }
        // What a crash left in the page cache may never have reached the disk, and is about to be called synced.
        self.flush(log)?;
        Ok(shape)
    }

    /// What the files should hold by the checkpoints, and do not.
    fn lost_of(
        &mut self,
        log: LogId,
        shape: &Shape,
        bases: &[Offset],
        log_start: Option<Offset>,
        recovery_point: Option<Offset>,
    ) -> Result<Option<String>, StoreError> {
        let folder = &self.log_mut(log)?.folder;
        let (end, first) = (shape.end(), bases.first().copied());
        if let Some((first, start)) = first.zip(log_start).filter(|(first, start)| start < first) {
            return Ok(Some(format!("{folder} has no file for offsets {start} to {}", first.plus(-1))));
        }
        let Some(point) = recovery_point.filter(|point| end < *point) else { return Ok(None) };
        let last = segment_path(folder, bases.last().copied().unwrap_or_default(), "log");
        let what = if bases.is_empty() { "is missing".to_owned() } else { format!("ends at {end}") };
        Ok(Some(format!("{last} {what}, but everything below offset {point} was on disk")))
    }

    fn open_segment(&mut self, log: LogId, base: Offset) -> Result<(), StoreError> {
        let id = self.next_file(log)?;
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let path = it.path(base, "log");
        let file = self.disk.open(it.dir, &path, false)?;
        let len = self.disk.len(&file)?;
        self.changes.opened.push((id, file.clone()));
        let size = u32::try_from(len).ok().filter(|size| i32::try_from(*size).is_ok());
        let clean = self.dirs.get(&it.dir).is_some_and(|dir| dir.clean);
        let segment = OpenSegment { dirty: !clean, ..OpenSegment::new(base, file, size.unwrap_or(0)) };
        it.segments.insert(id, segment);
        size.map(|_| ())
            .ok_or_else(|| StoreError::Corrupt(format!("{path}: {len} bytes are more than a segment can have")))
    }

    /// Closes what a failed mount had opened.
    fn forget(&mut self, log: LogId) {
        let Some(it) = self.logs.remove(&log) else { return };
        for (file, segment) in it.segments.into_iter() {
            self.disk.close(segment.file);
            self.changes.gone.push(file);
        }
    }

    /// Reads what a log directory says about all its logs, once, and takes away what the last run left to be removed.
    pub(crate) fn look_into(&mut self, dir: DirId) -> Result<(), StoreError> {
        if self.dirs.contains_key(&dir) {
            return Ok(());
        }
        let (mut copies, mut odd) = (Set::new(), Vec::new());
        for entry in self.disk.list(dir, "")?.into_iter().filter(|entry| entry.is_dir) {
            if is_grave(&entry.name) {
                if let Err(error) = self.remove_folder(dir, &entry.name) {
                    // The log is gone, and what is in the way of that is for people to look at.
                    odd.push(format!("what is left of a deleted log stays: {error}"));
                }
            } else if entry.name.ends_with(DELETED) {
                odd.push(format!("{} is no name that a deleted log has: it stays as it is", entry.name));
            } else if let Some(log) = copied_log(&entry.name) {
                copies.insert(log.to_owned());
            }
        }
        let clean = self.read_file(dir, meta::CLEAN_SHUTDOWN)?;
        let state = DirState {
            failed: None,
            clean: clean.is_some(),
            broker_epoch: clean.and_then(|bytes| meta::parse_clean_shutdown(&bytes)),
            recovery_points: self.read_offsets(dir, meta::RECOVERY_POINTS)?,
            high_watermarks: self.read_offsets(dir, meta::HIGH_WATERMARKS)?,
            log_starts: self.read_offsets(dir, meta::LOG_STARTS)?,
            cleaner_offsets: self.read_offsets(dir, meta::CLEANER_OFFSETS)?,
            refused: Set::new(),
            copies,
            odd,
        };
        if state.clean {
            // From now on a stop is unclean until proven otherwise.
            self.unlink(dir, meta::CLEAN_SHUTDOWN)?;
            self.disk.sync_dir(dir, "")?;
        }
        self.dirs.insert(dir, state);
        Ok(())
    }

    fn read_offsets(&mut self, dir: DirId, path: &str) -> Result<Map<TopicPartition, Offset>, StoreError> {
        let Some(bytes) = self.read_file(dir, path)? else { return Ok(Map::new()) };
        let offsets = meta::parse_offsets(&bytes).map_err(|error| match error {
            // No log says where it begins but by its first file.
            StoreError::Corrupt(what) if path == meta::LOG_STARTS => {
                StoreError::Corrupt(format!("{path}: {what}; records that DeleteRecords deleted may come back by that"))
            }
            error => at_path(path, error),
        });
        Ok(offsets?.into_iter().collect())
    }

    /// True if the log has no folder here, but a copy of it has that was being made: what was appended last may be nowhere but
    /// in the log itself.
    fn is_only_copy(&mut self, spec: &LogSpec, folder: &str) -> Result<bool, StoreError> {
        match self.disk.list(spec.dir, folder) {
            Err(StoreError::Missing) => Ok(self.find_copy(spec.dir, folder, spec.topic_id)?.is_some()),
            other => other.map(|_| false),
        }
    }

    /// A topic of this name that there was before: its log, which nobody was there to delete, makes room, as in Kafka.
    fn put_other_aside(&mut self, spec: &LogSpec, folder: &str) -> Result<Option<String>, StoreError> {
        let path = format!("{folder}/{}", meta::PARTITION_METADATA);
        let is_known = !spec.topic_id.is_zero() && spec.topic_id != Uuid::METADATA_TOPIC;
        let Some(bytes) = self.read_file(spec.dir, &path)?.filter(|_| spec.create && is_known) else { return Ok(None) };
        let found = meta::parse_partition_metadata(&bytes).map_err(|error| at_path(&path, error))?;
        if found == spec.topic_id {
            return Ok(None);
        }
        let aside = self.set_aside(spec.dir, folder)?;
        let what = |aside| format!("{folder} is of topic {found}, not of {}: set aside as {aside}", spec.topic_id);
        Ok(aside.map(what))
    }

    /// A log whose batches were all on disk is not begun anew where the checkpoint knows it: what stands in it is needed to
    /// tell whose all other logs are. True if it is gone, and others have it.
    fn expect_folder(&mut self, spec: &LogSpec, folder: &str, name: &TopicPartition) -> Result<bool, StoreError> {
        let point = self.dirs.get(&spec.dir).and_then(|state| state.recovery_points.get(name)).copied();
        match (point.filter(|point| *point > Offset(0)), self.disk.list(spec.dir, folder)) {
            (Some(_), Err(StoreError::Missing)) if spec.replicated => {
                // The next start finds less than there was, and knows of it as long as there is nothing.
                let mut points = self.read_offsets(spec.dir, meta::RECOVERY_POINTS)?;
                points.insert(name.clone(), Offset(1));
                let text = meta::format_offsets(points.iter().map(|(name, point)| (name, *point)));
                self.replace_file(spec.dir, meta::RECOVERY_POINTS, text)?;
                Ok(true)
            }
            (Some(point), Err(StoreError::Missing)) => Err(StoreError::Corrupt(format!(
                "{folder} is missing, but everything below offset {point} was on disk; {RESTORE}"
            ))),
            _ => Ok(false),
        }
    }

    /// The log's folder exists and is the topic's. True if it was created.
    fn enter_folder(&mut self, spec: &LogSpec, folder: &str) -> Result<bool, StoreError> {
        let created = match self.disk.list(spec.dir, folder) {
            Err(StoreError::Missing) if spec.create => {
                self.disk.create_dir(spec.dir, folder)?;
                true
            }
            other => other.map(|_| false)?,
        };
        let path = format!("{folder}/{}", meta::PARTITION_METADATA);
        match self.read_file(spec.dir, &path)? {
            Some(bytes) => {
                let found = meta::parse_partition_metadata(&bytes).map_err(|error| at_path(&path, error))?;
                if found != spec.topic_id && !spec.topic_id.is_zero() {
                    let what = format!("the folder is of topic {found}, not of {}", spec.topic_id);
                    return Err(StoreError::Corrupt(format!(
                        "{path}: {what}; move it away if its records are not wanted"
                    )));
                }
            }
            None if spec.topic_id == Uuid::ZERO => {}
            None => self.replace_file(spec.dir, &path, meta::format_partition_metadata(spec.topic_id))?,
        }
        if created {
            self.disk.sync_dir(spec.dir, "")?;
        }
        Ok(created)
    }

    /// Removes what was half done, and lists the segments.
    fn tidy_folder(&mut self, dir: DirId, folder: &str) -> Result<Vec<Offset>, StoreError> {
        self.finish_swaps(dir, folder)?;
        let (mut bases, mut snapshots) = (Vec::new(), Vec::new());
        for entry in self.disk.list(dir, folder)? {
            let path = format!("{folder}/{}", entry.name);
            if [".tmp", DELETED_FILE, ".cleaned"].iter().any(|end| entry.name.ends_with(end)) {
                self.unlink(dir, &path)?;
            } else if let Some(base) = file_base(&entry.name, "log") {
                bases.push(base);
            } else if let Some(offset) = file_base(&entry.name, "snapshot") {
                snapshots.push(offset);
            }
        }
        ordered::sort(&mut bases);
        // Each clean stop leaves a producer snapshot where the log ends. Of those that stand where no segment begins, the
        // last one counts, as in Kafka, if it is not older than the last segment.
        snapshots.retain(|offset| !bases.contains(offset));
        let newest = snapshots.iter().max().copied().filter(|newest| bases.last().is_none_or(|last| newest >= last));
        for stray in snapshots.into_iter().filter(|offset| Some(*offset) != newest) {
            self.unlink(dir, &segment_path(folder, stray, "snapshot"))?;
        }
        Ok(bases)
    }

    /// Reads the heads that are needed.
    fn read_log(&mut self, log: LogId, trust: Trust) -> Result<Loaded, StoreError> {
        let checked_from = trust.checked_from;
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let (dir, folder, era, rules) = (it.dir, it.folder.clone(), it.era, it.segment_rules);
        let files: Vec<(FileId, Offset)> = it.segments.iter().map(|(file, segment)| (file, segment.base)).collect();
        let segment_of = |offset: Offset| files.iter().rposition(|(_, base)| *base <= offset).unwrap_or(0);
        let last = files.len().checked_sub(1).ok_or(StoreError::Missing)?;

        // One that was replaced without a sync may be torn by a power cut, and what it listed is in the batches, too.
        let may_be_torn = checked_from.is_some() && !trust.synced;
        let epochs = self.read_epochs(dir, &folder, may_be_torn)?;
        let listed = epochs.as_ref().and_then(|epochs| epochs.entries().last().copied());
        let checked = checked_from.map_or(usize::MAX, segment_of);
        // Without a checkpoint or a snapshot only the batches themselves can tell, all of them.
        let wanted = if epochs.is_some() { checked.min(last) } else { 0 };
        let (from, producers) = self.read_snapshot(dir, &folder, files[wanted].1)?;
        let first_read = if wanted == 0 { 0 } else { segment_of(from) };
        // A snapshot within the first segment would leave out what was aborted before it there. The one where it begins tells of
        // producers whose batches are all deleted: a retry of theirs is still none.
        let begin = files[first_read].1;
        let (from, producers) =
            if first_read == 0 && from > begin { self.read_snapshot(dir, &folder, begin)? } else { (from, producers) };

        let checked_base = files.get(checked).map_or(Offset(i64::MAX), |(_, base)| *base);
        let mut shape = Shape::begin(log, files[0].1, files[0].0, era, rules);
        let (mut indexes, mut gap, mut mended) = (None, None, Vec::new());
        for (index, (file, base)) in files.iter().enumerate() {
            if index > 0 {
                let is_tail = index > checked && checked_from.is_some_and(|point| shape.end() >= point);
                if shape.end() >= *base || *base <= trust.cleaned_to {
                    // Nothing is missing.
                } else if !is_tail || trust.synced || trust.compacted {
                    let (path, end) = (segment_path(&folder, files[index - 1].1, "log"), shape.end());
                    gap.get_or_insert(format!("{path} ends at {end}, the next file begins at {base}"));
                } else {
                    // A name can outlive the bytes before it.
                    let (file, before) = files[index - 1];
                    let (path, end) = (segment_path(&folder, before, "log"), shape.end());
                    let why = format!(
                        "{path} ends at {end}, the next file begins at {base}; cut off, as nothing between was synced"
                    );
                    let at = shape.segments().next_back().map_or(0, |segment| segment.size);
                    let cut = Some(Cut { file, at, why });
                    return Ok(Loaded { shape, indexes, cut, gap, mended, checked_base, listed });
                }
                shape.rebuild_segment(Segment::new(*file, *base, None, rules));
            }
            if index < first_read {
                let found = self.mend_indexes(log, *file, &mut mended)?;
                shape.rebuild_unread(found.size(), found.max_timestamp(), self.ends_of(log, *file, &found)?);
                continue;
            }
            if index == first_read {
                shape.rebuild_from(epochs.clone().unwrap_or_default(), producers.clone());
            }
            let (found, bad) = self.read_segment(log, *file, &mut shape, from, index >= checked)?;
            if index >= checked && index < last && bad.is_none() {
                // Those on the disk may be torn, and are of use to nobody who has to ask.
                self.write_index_files(log, *file, found.format())?;
            }
            // Of sealed segments they are cheaper read again than kept.
            indexes = Some((*file, found));
            if let Some(cut) = bad {
                let at = format!("{} at byte {}", segment_path(&folder, *base, "log"), cut.at);
                let end = shape.end();
                let why = format!("{at} (offset {end}): {}", cut.why);
                let is_below = checked_from.is_none_or(|point| end < point);
                if trust.synced && (is_below || begins_after(&epochs, end)) {
                    return Err(StoreError::Corrupt(format!("{why}; {RESTORE}")));
                }
                if trust.synced && (index < last || self.is_any_batch_after(log, &cut, end)?) {
                    let (at, path) = (cut.at, segment_path(&folder, *base, "log"));
                    return Err(StoreError::Corrupt(format!(
                        "{why}, though good batches follow; restore the file, or, to go on without all that follows, cut it off \
                         by truncate -s {at} {path}"
                    )));
                }
                if is_below {
                    let advice =
                        "the records were on disk before; restore the file, or remove the log to have it replicated";
                    return Err(StoreError::Corrupt(format!("{why}; {advice}")));
                }
                let why = format!("{why}; cut off, as nothing from here on was synced");
                let cut = Some(Cut { why, ..cut });
                return Ok(Loaded { shape, indexes, cut, gap, mended, checked_base, listed });
            }
        }
        if trust.synced && begins_after(&epochs, shape.end()) {
            let (path, end) = (segment_path(&folder, files[last].1, "log"), shape.end());
            return Err(StoreError::Corrupt(format!("{path} ends at {end}, before its last leader epoch; {RESTORE}")));
        }
        Ok(Loaded { shape, indexes, cut: None, gap, mended, checked_base, listed })
    }

    /// The timestamp of the first batch of a segment that is not read, and where it ends: its last batches are looked at, those
    /// behind the last index entry.
    fn ends_of(&self, log: LogId, file: FileId, indexes: &Indexes) -> Result<(Option<i64>, Offset), StoreError> {
        let segment = self.logs.get(&log).and_then(|it| it.segments.get(&file)).ok_or(StoreError::Missing)?;
        let (mut end, at) = indexes.last().map_or((segment.base, 0), |(offset, at)| (offset.plus(1), at));
        let first = self.disk.read_at(&segment.file, 0, HEAD_SIZE.min(segment.size as usize))?;
        let first = BatchHead::decode(&first).ok().map(|head| head.max_timestamp);
        let mut scan = Scan::new(&self.disk, &segment.file, at, segment.size, segment.base);
        loop {
            match scan.next() {
                Ok(Some((_, head))) => end = head.next_offset(),
                // What is wrong in there is found by who reads it.
                Ok(None) | Err(ScanError::Bad(_)) => return Ok((first, end)),
                Err(ScanError::Disk(error)) => return Err(error),
            }
        }
    }

    /// True if a whole batch is somewhere behind a bad one.
    fn is_any_batch_after(&self, log: LogId, cut: &Cut, end: Offset) -> Result<bool, StoreError> {
        let segment = self.logs.get(&log).and_then(|it| it.segments.get(&cut.file)).ok_or(StoreError::Missing)?;
        let bytes = self.disk.read_at(&segment.file, u64::from(cut.at), (segment.size - cut.at) as usize)?;
        Ok((1..bytes.len()).any(|at| {
            // Most places are ruled out by their magic byte.
            bytes.get(at + MAGIC_AT) == Some(&MAGIC)
                && verify(&bytes[at..]).is_ok_and(|head| head.base_offset > end && head.last_offset_delta >= 0)
        }))
    }

    fn read_segment(
        &self,
        log: LogId,
        file: FileId,
        shape: &mut Shape,
        producers_from: Offset,
        checked: bool,
    ) -> Result<(Indexes, Option<Cut>), StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.get(&file).ok_or(StoreError::Missing)?;
        let mut indexes = Indexes::new(segment.base, it.segment_rules.index_interval_bytes);
        let scan = Scan::new(&self.disk, &segment.file, 0, segment.size, shape.end());
        let mut scan = if checked { scan.checked() } else { scan };
        loop {
            match scan.next() {
                Ok(None) => return Ok((indexes, None)),
                Ok(Some((at, head))) => {
                    if head.last_offset().0 - segment.base.0 > i64::from(i32::MAX) {
                        let why = format!("offset {} is too far from the file's name", head.last_offset());
                        return Ok((indexes, Some(Cut { file, at, why })));
                    }
                    indexes.push(&head);
                    let marker = self.marker_at(&segment.file, at, &head)?;
                    shape.rebuild_batch(&head, producers_from, marker);
                }
                Err(ScanError::Disk(error)) => return Err(error),
                Err(ScanError::Bad(why)) => return Ok((indexes, Some(Cut { file, at: scan.position(), why }))),
            }
        }
    }

    /// `None` if there is no checkpoint, or none that is whole though it may be torn.
    pub(crate) fn read_epochs(
        &mut self,
        dir: DirId,
        folder: &str,
        may_be_torn: bool,
    ) -> Result<Option<Epochs>, StoreError> {
        let path = format!("{folder}/{}", meta::LEADER_EPOCHS);
        let Some(bytes) = self.read_file(dir, &path)? else { return Ok(None) };
        if may_be_torn {
            // It has as many lines as it says, each with its end.
            let entries = meta::parse_epochs(&bytes).ok().filter(|it| !it.is_empty() && bytes.ends_with(b"\n"));
            return Ok(entries.map(Epochs::of));
        }
        let entries = meta::parse_epochs(&bytes).map_err(|error| at_path(&path, error))?;
        Ok(Some(Epochs::of(entries)))
    }

    /// The newest snapshot that holds, not above `upto`; without one, no producers at offset 0.
    pub(crate) fn read_snapshot(
        &mut self,
        dir: DirId,
        folder: &str,
        upto: Offset,
    ) -> Result<(Offset, Producers), StoreError> {
        let names = self.disk.list(dir, folder)?;
        let offsets = names.iter().filter_map(|entry| file_base(&entry.name, "snapshot"));
        let mut offsets: Vec<Offset> = offsets.filter(|offset| *offset <= upto).collect();
        ordered::sort(&mut offsets);
        for offset in offsets.into_iter().rev() {
            let bytes = self.read_file(dir, &segment_path(folder, offset, "snapshot"))?;
            if let Some(producers) = bytes.and_then(Producers::parse) {
                return Ok((offset, producers));
            }
        }
        Ok((Offset(0), Producers::default()))
    }

    fn keep_indexes(&mut self, log: LogId, indexes: Option<(FileId, Indexes)>) -> Result<(), StoreError> {
        if let Some((file, indexes)) = indexes
            && let Some(segment) = self.log_mut(log)?.segments.get_mut(&file)
        {
            segment.indexes = Some(indexes);
        }
        Ok(())
    }

    /// Cuts the log at an offset, and reads what is left.
    pub(crate) fn cut(&mut self, log: LogId, offset: Offset, era: Era) -> Result<Shape, StoreError> {
        self.log_mut(log)?.era = era;
        self.write_epochs(log)?;
        let Loaded { shape, .. } = self.read_log(log, Trust::default())?;
        let first = shape.segments().next().map(|segment| segment.base).unwrap_or_default();
        let is_anew = offset > shape.end() || offset < first;
        let place = if is_anew || offset == shape.end() { None } else { Some(self.place_of(log, offset)?) };
        let left = place.map_or(if is_anew { Offset(0) } else { offset }, |(.., left)| left);
        self.expect_less(log, left)?;
        if is_anew {
            let shape = self.start_anew(log, offset)?;
            self.flush(log)?;
            return Ok(shape.rebuilt(offset, Mounted::default()));
        }
        if let Some((file, at, _)) = place {
            self.cut_file(log, file, at)?;
        }
        self.flush(log)?;
        let Loaded { shape, indexes, .. } = self.read_log(log, Trust::default())?;
        self.keep_indexes(log, indexes)?;
        let shape = self.with_aborted(log, shape, Offset(i64::MAX))?;
        Ok(shape.rebuilt(first, Mounted::default()))
    }

    /// The file and position of the first batch that ends at or above the offset, and where the log ends without it.
    fn place_of(&self, log: LogId, offset: Offset) -> Result<(FileId, u32, Offset), StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let holder = it.segments.iter().rev().find(|(_, segment)| segment.base <= offset);
        let (file, segment) = holder.ok_or(StoreError::Missing)?;
        let mut left = segment.base;
        let mut scan = Scan::new(&self.disk, &segment.file, 0, segment.size, segment.base);
        loop {
            match scan.next() {
                Ok(Some((_, head))) if head.last_offset() < offset => left = head.next_offset(),
                Ok(Some((at, _))) => return Ok((file, at, left)),
                Ok(None) => return Ok((file, segment.size, left)),
                Err(ScanError::Disk(error)) => return Err(error),
                Err(ScanError::Bad(why)) => {
                    let path = it.path(segment.base, "log");
                    return Err(StoreError::Corrupt(format!("{path} at byte {}: {why}", scan.position())));
                }
            }
        }
    }

    /// Cuts a file and drops all later ones, the newest first: what a crash leaves is a log that ends later, not a hole.
    fn cut_file(&mut self, log: LogId, file: FileId, at: u32) -> Result<(), StoreError> {
        let later: Vec<FileId> = self.log_mut(log)?.segments.after(file);
        for file in later.into_iter().rev() {
            self.drop_segment(log, file)?;
        }
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        if it.names_dirty {
            // Else the shorter file may be on disk before the later ones are gone from it.
            self.disk.sync_dir(it.dir, &it.folder)?;
            it.names_dirty = false;
        }
        let segment = it.segments.get_mut(&file).ok_or(StoreError::Missing)?;
        self.disk.set_len(&segment.file, u64::from(at))?;
        segment.size = at;
        segment.dirty = true;
        // They may list what is gone; a roll or a clean stop writes them again.
        let (dir, base) = (it.dir, segment.base);
        let stale = ["index", "timeindex"].map(|suffix| it.path(base, suffix));
        let snapshots = self.disk.list(dir, &it.folder)?;
        let above = snapshots.iter().filter(|entry| file_base(&entry.name, "snapshot").is_some_and(|at| at > base));
        let above = above.map(|entry| format!("{}/{}", it.folder, entry.name));
        let stale: Vec<String> = stale.into_iter().chain(above).collect();
        for path in stale {
            self.unlink(dir, &path)?;
        }
        Ok(())
    }

    /// Drops every segment and begins again at an offset.
    fn start_anew(&mut self, log: LogId, offset: Offset) -> Result<Shape, StoreError> {
        let files: Vec<FileId> = self.log_mut(log)?.segments.files().collect();
        for file in files.into_iter().rev() {
            self.drop_segment(log, file)?;
        }
        let file = self.next_file(log)?;
        let it = self.log_mut(log)?;
        let (era, rules) = (it.era, it.segment_rules);
        self.add_segment(log, file, offset, SegmentRules { reserve: 0, ..rules })?;
        Ok(Shape::begin(log, offset, file, era, rules))
    }

    /// A segment's indexes: those in memory, else the files', else made anew.
    pub(crate) fn read_indexes(&mut self, log: LogId, file: FileId) -> Result<Indexes, StoreError> {
        self.read_or_make_indexes(log, file).map(|(indexes, _)| indexes)
    }

    /// As [`Store::read_indexes`]; true if they were made anew.
    pub(crate) fn read_or_make_indexes(&mut self, log: LogId, file: FileId) -> Result<(Indexes, bool), StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.get(&file).ok_or(StoreError::Missing)?;
        if let Some(indexes) = &segment.indexes {
            return Ok((indexes.clone(), false));
        }
        let (dir, base, size, handle) = (it.dir, segment.base, segment.size, segment.file.clone());
        let interval_bytes = it.segment_rules.index_interval_bytes;
        let paths = ["index", "timeindex", "log"].map(|suffix| it.path(base, suffix));
        if let Some(index) = self.read_file(dir, &paths[0])?
            && let Some(timeindex) = self.read_file(dir, &paths[1])?
            && let Some(indexes) = Indexes::parse(base, size, &index, &timeindex)
            && self.is_true(&handle, &indexes)?
        {
            return Ok((indexes, false));
        }
        let mut indexes = Indexes::new(base, interval_bytes);
        let mut scan = Scan::new(&self.disk, &handle, 0, size, base);
        loop {
            match scan.next() {
                Ok(Some((_, head))) => indexes.push(&head),
                Ok(None) => return Ok((indexes, true)),
                Err(ScanError::Disk(error)) => return Err(error),
                Err(ScanError::Bad(why)) => {
                    let at = scan.position();
                    return Err(StoreError::Corrupt(format!("{} at byte {at}: {why}", paths[2])));
                }
            }
        }
    }

    /// True if the last entry names a batch of the log: indexes of another log's making would not.
    fn is_true(&self, file: &D::File, indexes: &Indexes) -> Result<bool, StoreError> {
        let Some((last, at)) = indexes.last() else { return Ok(true) };
        match Scan::new(&self.disk, file, at, indexes.size(), Offset(0)).next() {
            Ok(Some((_, head))) => Ok(head.last_offset() == last),
            Ok(None) | Err(ScanError::Bad(_)) => Ok(false),
            Err(ScanError::Disk(error)) => Err(error),
        }
    }
}

/// True if the last leader epoch begins behind the offset, though a log that is synced ends there or later.
fn begins_after(epochs: &Option<Epochs>, end: Offset) -> bool {
    epochs.as_ref().and_then(|epochs| epochs.entries().last()).is_some_and(|last| last.start > end)
}

/// The offset in a file's name: 20 digits and the suffix.
fn file_base(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?.strip_suffix('.')?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|it| it.is_ascii_digit());
    all_digits.then(|| digits.parse().ok().map(Offset)).flatten()
}

fn at_path(path: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(what) => StoreError::Corrupt(format!("{path}: {what}")),
        other => other,
    }
}
