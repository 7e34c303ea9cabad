//! A copy of a log in the making, in another log directory (KIP-113): Kafka's future replica, `topic-partition.<id>-future`.
//!
//! It is the very same files, byte for byte, so all that is known of the log stays true when it lives there. A copy that an
//! earlier run left is compared with the log before it is gone on with: nothing is trusted that a crash, another Kafka or a
//! cut of the log may have left there.

use bytes::Bytes;
use ordered::Map;
use protocol::records::{BatchHead, HEAD_SIZE, verify};
use protocol::{Era, Offset, Uuid};

use crate::disk::Disk;
use crate::meta;
use crate::op::{Copied, CopyPlan, DirId, Done, LogId, StoreError};
use crate::store::{Store, segment_path};

/// Bytes read and written at once.
const CHUNK: usize = 1 << 20;
/// Bytes that a move copies itself: the log's lane waits for them, and on a native node all others in it.
const MOST_AT_A_MOVE: u64 = 16 << 20;
/// What ends the name of a copy's folder.
pub(crate) const FUTURE: &str = "-future";

/// What a store keeps of a copy.
#[derive(Clone, Debug)]
pub(crate) struct Copying<F> {
    to: DirId,
    folder: String,
    /// How far it is; `None` while that is elsewhere, or before it began.
    job: Option<CopyJob<F>>,
}

/// A copy at work. It owns what it needs; the log's lane goes on meanwhile.
#[derive(Clone, Debug)]
pub struct CopyJob<F> {
    from: DirId,
    folder: String,
    to: DirId,
    copy: String,
    era: Era,
    /// The log's segments, the active one last, as they were when the step began.
    sources: Vec<Source<F>>,
    /// How many bytes this step may copy.
    room: u64,
    /// What there is of the copy and is known to be the log's, by base offset.
    parts: Map<Offset, Part<F>>,
    /// Where it ends.
    end: Offset,
    is_begun: bool,
    names_dirty: bool,
}

#[derive(Clone, Debug)]
struct Source<F> {
    base: Offset,
    file: F,
    size: u32,
}

#[derive(Clone, Debug)]
struct Part<F> {
    /// Open until the segment is complete.
    file: Option<F>,
    size: u32,
    /// Bytes that an earlier run has left, which may be the log's.
    left: u64,
    is_dirty: bool,
}

/// Whose fault it is that a copy does not get on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFault {
    /// The log's, or its directory's.
    Log(StoreError),
    /// The directory's that is copied to.
    Copy(StoreError),
}

/// Says that the log, or the copy, is at fault.
trait Of<T> {
    fn of_log(self) -> Result<T, CopyFault>;
    fn of_copy(self) -> Result<T, CopyFault>;
}

impl<T> Of<T> for Result<T, StoreError> {
    fn of_log(self) -> Result<T, CopyFault> {
        self.map_err(CopyFault::Log)
    }

    fn of_copy(self) -> Result<T, CopyFault> {
        self.map_err(CopyFault::Copy)
    }
}

impl<F: Clone> CopyJob<F> {
    /// Copies on, and has what it copied on the disk when it answers.
    pub fn run<D: Disk<File = F>>(&mut self, disk: &mut D) -> Result<Copied, CopyFault> {
        let copied = self.go_on(disk);
        if copied.is_err() {
            self.close(disk);
        }
        copied
    }

    fn go_on<D: Disk<File = F>>(&mut self, disk: &mut D) -> Result<Copied, CopyFault> {
        if !self.is_begun {
            self.begin(disk).of_copy()?;
            self.copy_file(disk, meta::PARTITION_METADATA)?;
            self.is_begun = true;
        }
        self.drop_given_up(disk).of_copy()?;
        for index in 0..self.sources.len() {
            let source = self.sources[index].clone();
            self.bring(disk, &source)?;
            if self.parts.get(&source.base).is_none_or(|part| part.size < source.size) {
                break;
            }
            if index + 1 < self.sources.len() {
                self.seal(disk, source.base)?;
            }
        }
        self.sync(disk).of_copy()?;
        Ok(self.so_far())
    }

    fn so_far(&self) -> Copied {
        let last = self.parts.last_key_value().map(|(base, part)| (*base, part.size));
        Copied { bytes: self.parts.values().map(|part| u64::from(part.size)).sum(), end: self.end, last }
    }

    /// Bytes of the log that the copy lacks.
    fn missing(&self) -> u64 {
        let there = |source: &Source<F>| self.parts.get(&source.base).map_or(0, |part| part.size);
        self.sources.iter().map(|source| u64::from(source.size.saturating_sub(there(source)))).sum()
    }

    /// Makes the folder, or takes out of it what is of no use.
    fn begin<D: Disk<File = F>>(&mut self, disk: &mut D) -> Result<(), StoreError> {
        disk.create_dir(self.to, &self.copy)?;
        for entry in disk.list(self.to, &self.copy)? {
            let is_segment = |source: &Source<F>| entry.name == format!("{:020}.log", source.base.0);
            if !self.sources.iter().any(is_segment) {
                disk.remove(self.to, &format!("{}/{}", self.copy, entry.name))?;
            }
        }
        self.names_dirty = true;
        disk.sync_dir(self.to, "")
    }

    /// Takes out what the log has given up since.
    fn drop_given_up<D: Disk<File = F>>(&mut self, disk: &mut D) -> Result<(), StoreError> {
        let is_there = |base: &Offset| self.sources.iter().any(|source| source.base == *base);
        let gone: Vec<Offset> = self.parts.keys().filter(|base| !is_there(base)).copied().collect();
        for base in gone {
            if let Some(file) = self.parts.remove(&base).and_then(|part| part.file) {
                disk.close(file);
            }
            for suffix in ["log", "index", "timeindex", "txnindex", "snapshot"] {
                remove_if_there(disk, self.to, &segment_path(&self.copy, base, suffix))?;
            }
            self.names_dirty = true;
        }
        self.end = self.sources.first().map_or(self.end, |first| self.end.max(first.base));
        Ok(())
    }

    /// Copies of a segment what is not there yet, as far as there is room.
    fn bring<D: Disk<File = F>>(&mut self, disk: &mut D, source: &Source<F>) -> Result<(), CopyFault> {
        if !self.parts.contains_key(&source.base) {
            let file = disk.open(self.to, &segment_path(&self.copy, source.base, "log"), true).of_copy()?;
            let left = disk.len(&file);
            let part = Part { file: Some(file), size: 0, left: 0, is_dirty: true };
            self.parts.insert(source.base, part);
            self.names_dirty = true;
            if let Some(part) = self.parts.get_mut(&source.base) {
                part.left = left.of_copy()?;
            }
        }
        let Some(part) = self.parts.get_mut(&source.base) else { return Ok(()) };
        let Some(file) = part.file.clone() else { return Ok(()) };
        while part.size < source.size && self.room > 0 {
            let (bytes, end) = batches_at(disk, source, &self.folder, part.size, self.room).of_log()?;
            let (at, len) = (u64::from(part.size), bytes.len() as u64);
            let is_there = part.left >= at + len && disk.read_at(&file, at, bytes.len()).of_copy()? == bytes;
            if !is_there {
                if part.left > 0 {
                    disk.set_len(&file, at).of_copy()?;
                    part.left = 0;
                }
                disk.write_at(&file, at, &[bytes]).of_copy()?;
                part.is_dirty = true;
            }
            // No larger than the segment, which is counted in 31 bits.
            part.size += len as u32;
            self.end = self.end.max(end);
            self.room = self.room.saturating_sub(len);
        }
        if part.size == source.size && part.left > u64::from(part.size) {
            disk.set_len(&file, u64::from(part.size)).of_copy()?;
            part.left = 0;
            part.is_dirty = true;
        }
        Ok(())
    }

    /// A segment to which nothing is added any more: its indexes follow.
    fn seal<D: Disk<File = F>>(&mut self, disk: &mut D, base: Offset) -> Result<(), CopyFault> {
        let Some(file) = self.parts.get_mut(&base).and_then(|part| part.file.take()) else { return Ok(()) };
        let synced = disk.sync(&file);
        disk.close(file);
        synced.of_copy()?;
        for suffix in ["index", "timeindex", "txnindex", "snapshot"] {
            self.copy_file(disk, &format!("{:020}.{suffix}", base.0))?;
        }
        Ok(())
    }

    /// Copies a small file, if the log has it.
    fn copy_file<D: Disk<File = F>>(&mut self, disk: &mut D, name: &str) -> Result<(), CopyFault> {
        let file = match disk.open(self.from, &format!("{}/{name}", self.folder), false) {
            Err(StoreError::Missing) => return Ok(()),
            other => other.of_log()?,
        };
        let bytes = disk.len(&file).and_then(|len| disk.read_at(&file, 0, len as usize));
        disk.close(file);
        let bytes = bytes.of_log()?;
        let file = disk.open(self.to, &format!("{}/{name}", self.copy), true).of_copy()?;
        let written =
            disk.set_len(&file, 0).and_then(|()| disk.write_at(&file, 0, &[bytes])).and_then(|()| disk.sync(&file));
        disk.close(file);
        self.names_dirty = true;
        written.of_copy()
    }

    fn sync<D: Disk<File = F>>(&mut self, disk: &mut D) -> Result<(), StoreError> {
        for part in self.parts.values_mut() {
            if let Some(file) = part.file.as_ref().filter(|_| part.is_dirty) {
                disk.sync(file)?;
                part.is_dirty = false;
            }
        }
        if self.names_dirty {
            disk.sync_dir(self.to, &self.copy)?;
            self.names_dirty = false;
        }
        Ok(())
    }

    /// The copy has all of the log's records: what else there is in the log's folder follows.
    fn complete<D: Disk<File = F>>(&mut self, disk: &mut D) -> Result<(), CopyFault> {
        let names = disk.list(self.from, &self.folder).of_log()?;
        let active = self.sources.last().map(|source| format!("{:020}.txnindex", source.base.0));
        for entry in names {
            let is_wanted = entry.name.ends_with(".snapshot")
                || entry.name == meta::LEADER_EPOCHS
                || Some(&entry.name) == active.as_ref();
            if is_wanted {
                self.copy_file(disk, &entry.name)?;
            }
        }
        self.sync(disk).of_copy()
    }

    /// Closes what it has open of the copy.
    fn close<D: Disk<File = F>>(&mut self, disk: &mut D) {
        for part in std::mem::take(&mut self.parts).into_values() {
            if let Some(file) = part.file {
                disk.close(file);
            }
        }
        self.is_begun = false;
    }
}

/// Whole batches of a segment from a place on, a chunk of them or as many as there is room for, but at least one; checked. And
/// the offset behind them.
fn batches_at<D: Disk>(
    disk: &D,
    source: &Source<D::File>,
    folder: &str,
    at: u32,
    room: u64,
) -> Result<(Bytes, Offset), StoreError> {
    let rest = (source.size - at) as usize;
    let wanted = usize::try_from(room).unwrap_or(usize::MAX).max(HEAD_SIZE);
    let mut bytes = disk.read_at(&source.file, u64::from(at), rest.min(CHUNK).min(wanted))?;
    if let Ok(head) = BatchHead::decode(&bytes)
        && head.size() > bytes.len()
        && head.size() <= rest
    {
        bytes = disk.read_at(&source.file, u64::from(at), head.size())?;
    }
    let (mut len, mut end) = (0, source.base);
    let fault = loop {
        match verify(bytes.get(len..).unwrap_or_default()) {
            Ok(head) => {
                len += head.size();
                end = head.next_offset();
            }
            Err(error) => break error,
        }
        if len == bytes.len() {
            return Ok((bytes, end));
        }
    };
    if len > 0 {
        return Ok((bytes.slice(..len), end));
    }
    let path = segment_path(folder, source.base, "log");
    Err(StoreError::Corrupt(format!("{path} at byte {at}: {}", fault.fault)))
}

fn remove_if_there<D: Disk>(disk: &mut D, dir: DirId, path: &str) -> Result<(), StoreError> {
    match disk.remove(dir, path) {
        Err(StoreError::Missing) => Ok(()),
        other => other,
    }
}

impl<D: Disk> Store<D> {
    /// A step of a copy, here and now.
    pub(crate) fn copy(&mut self, log: LogId, plan: CopyPlan) -> Result<Done, StoreError> {
        let (job, copied) = match self.copy_job(log, plan) {
            Ok(mut job) => {
                let copied = job.run(&mut self.disk);
                (Some(job), copied)
            }
            Err(fault) => (None, Err(fault)),
        };
        self.copied(log, job, copied)
    }

    /// What [`crate::StoreOp::Copy`] asks for, to be run elsewhere; its end is told by [`copied`](Self::copied).
    pub fn copy_job(&mut self, log: LogId, plan: CopyPlan) -> Result<CopyJob<D::File>, CopyFault> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing).of_log()?;
        let (from, folder, topic_id) = (it.dir, it.folder.clone(), it.topic_id);
        if from == plan.to || it.era != plan.era {
            return Err(CopyFault::Log(StoreError::Missing));
        }
        self.look_into(plan.to).of_copy()?;
        if let Some(failed) = self.dirs.get(&plan.to).and_then(|state| state.failed.clone()) {
            return Err(CopyFault::Copy(failed));
        }
        if self.copies.get(&log).is_none_or(|copy| copy.to != plan.to) {
            let found = self.find_copy(plan.to, &folder, topic_id).of_copy()?;
            let copy = found.unwrap_or_else(|| format!("{folder}.{}{FUTURE}", hex(topic_id)));
            self.copies.insert(log, Copying { to: plan.to, folder: copy, job: None });
        }
        let it = self.logs.get(&log).ok_or(StoreError::Missing).of_log()?;
        let sources = it.segments.iter().map(|(_, segment)| Source {
            base: segment.base,
            file: segment.file.clone(),
            size: segment.size,
        });
        let sources: Vec<Source<D::File>> = sources.collect();
        let copying = self.copies.get_mut(&log).ok_or(StoreError::Missing).of_log()?;
        let kept = match copying.job.take() {
            Some(mut job) if job.era != plan.era => {
                job.close(&mut self.disk);
                None
            }
            job => job,
        };
        let mut job = kept.unwrap_or_else(|| CopyJob {
            from,
            folder,
            to: plan.to,
            copy: copying.folder.clone(),
            era: plan.era,
            sources: Vec::new(),
            room: 0,
            parts: Map::new(),
            end: sources.first().map(|source| source.base).unwrap_or_default(),
            is_begun: false,
            names_dirty: false,
        });
        (job.sources, job.room) = (sources, plan.bytes);
        Ok(job)
    }

    /// A step of a copy is over.
    pub fn copied(
        &mut self,
        log: LogId,
        job: Option<CopyJob<D::File>>,
        result: Result<Copied, CopyFault>,
    ) -> Result<Done, StoreError> {
        if let Some(mut job) = job {
            let is_current = self.logs.get(&log).is_some_and(|it| it.era == job.era && it.dir == job.from);
            match self.copies.get_mut(&log) {
                Some(copying) if is_current && copying.to == job.to && result.is_ok() => copying.job = Some(job),
                _ => {
                    job.close(&mut self.disk);
                    if result.is_ok() {
                        return Err(StoreError::Missing);
                    }
                }
            }
        }
        match result {
            Ok(copied) => Ok(Done::Copied(copied)),
            Err(CopyFault::Log(error)) => Err(error),
            Err(CopyFault::Copy(error)) => {
                let to = self.copies.get(&log).map(|copying| copying.to);
                Ok(Done::CopyFailed(to.map_or(error.clone(), |to| self.directory_failed(to, error))))
            }
        }
    }

    /// What a directory has failed with is what all later lane operations there fail with.
    fn directory_failed(&mut self, dir: DirId, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Io(_) | StoreError::Full(_)) {
            self.dirs.entry(dir).or_default().failed.get_or_insert(error.clone());
        }
        error
    }

    /// Brings the copy up to the log's end, and the log lives there from then on; or answers how far the copy is, if too much
    /// is missing.
    pub(crate) fn move_log(&mut self, log: LogId) -> Result<Done, StoreError> {
        let (to, era) = {
            let copying = self.copies.get(&log).ok_or(StoreError::Missing)?;
            (copying.to, self.logs.get(&log).ok_or(StoreError::Missing)?.era)
        };
        if let Err(error) = self.write_epochs(log) {
            return self.copied(log, None, Err(CopyFault::Log(error)));
        }
        let mut job = match self.copy_job(log, CopyPlan { to, era, bytes: u64::MAX }) {
            Ok(job) => job,
            Err(fault) => return self.copied(log, None, Err(fault)),
        };
        if job.missing() > MOST_AT_A_MOVE {
            let copied = job.so_far();
            return self.copied(log, Some(job), Ok(copied));
        }
        let result = job.run(&mut self.disk).and_then(|_| job.complete(&mut self.disk));
        let copy = job.copy.clone();
        let current = job.folder.clone();
        job.close(&mut self.disk);
        // From here on the log is in two places, and the directory that the controller has noted is the right one.
        if let Err(fault) = result.and_then(|()| self.disk.rename(to, &copy, &current).of_copy()) {
            return self.copied(log, None, Err(fault));
        }
        let failed = match self.disk.sync_dir(to, "") {
            Ok(()) => {
                self.copies.remove(&log);
                return Ok(Done::Moved(self.settle_in(log, to)));
            }
            Err(error) => error,
        };
        // Nobody knows which name a crash leaves the copy under. The log goes on where it was only if that is the copy's.
        if self.disk.rename(to, &current, &copy).and_then(|()| self.disk.sync_dir(to, "")).is_ok() {
            return self.copied(log, None, Err(CopyFault::Copy(failed)));
        }
        // Else it ends here: nothing more is written in a directory that has failed, so either place has all of it.
        self.copies.remove(&log);
        if let Some(it) = self.logs.get_mut(&log) {
            it.dir = to;
        }
        Ok(Done::Moved(Some((to, self.directory_failed(to, failed)))))
    }

    /// The log's files are those of the other directory. Answers which directory failed on the way.
    fn settle_in(&mut self, log: LogId, to: DirId) -> Option<(DirId, StoreError)> {
        let it = self.logs.get_mut(&log)?;
        let (from, folder, grave) = (it.dir, it.folder.clone(), it.grave.clone());
        (it.dir, it.names_dirty) = (to, false);
        let files: Vec<_> = it.segments.iter().map(|(file, segment)| (file, segment.base)).collect();
        for (file, base) in files {
            let opened = match self.disk.open(to, &segment_path(&folder, base, "log"), false) {
                Ok(opened) => opened,
                Err(error) => return Some((to, self.directory_failed(to, error))),
            };
            let Some(segment) = self.logs.get_mut(&log).and_then(|it| it.segments.get_mut(&file)) else { continue };
            let old = std::mem::replace(&mut segment.file, opened.clone());
            (segment.dirty, segment.indexes_dirty) = (false, false);
            self.disk.close(old);
            // The same name: what it stands for is byte for byte the same.
            self.changes.opened.push((file, opened));
        }
        match self.give_up_folder(from, &folder, &grave) {
            Ok(()) => None,
            Err(error) => Some((from, self.directory_failed(from, error))),
        }
    }

    /// Gives a copy up.
    pub(crate) fn drop_copy(&mut self, log: LogId) -> Result<Done, StoreError> {
        let Some(copying) = self.copies.remove(&log) else { return Ok(Done::CopyDropped) };
        if let Some(mut job) = copying.job {
            job.close(&mut self.disk);
        }
        match self.remove_copy(copying.to, &copying.folder) {
            Ok(()) => Ok(Done::CopyDropped),
            Err(error) => Ok(Done::CopyFailed(self.directory_failed(copying.to, error))),
        }
    }

    fn remove_copy(&mut self, dir: DirId, folder: &str) -> Result<(), StoreError> {
        let grave = format!("{}-delete", folder.strip_suffix(FUTURE).unwrap_or(folder));
        match self.give_up_folder(dir, folder, &grave) {
            // It was never begun.
            Err(StoreError::Missing) => Ok(()),
            other => other,
        }
    }

    /// The folder of a copy of a topic's log that is in a directory, whoever began it.
    pub(crate) fn find_copy(&mut self, dir: DirId, folder: &str, topic_id: Uuid) -> Result<Option<String>, StoreError> {
        for entry in self.disk.list(dir, "")? {
            let is_copy = entry.is_dir && copied_log(&entry.name) == Some(folder);
            if is_copy && self.topic_of(dir, &entry.name)? == topic_id {
                return Ok(Some(entry.name));
            }
        }
        Ok(None)
    }
}

/// The name of the log that a folder is a copy of.
pub(crate) fn copied_log(name: &str) -> Option<&str> {
    Some(name.strip_suffix(FUTURE)?.rsplit_once('.')?.0)
}

/// An id in the name of a folder.
pub(crate) fn hex(id: Uuid) -> String {
    id.0.iter().map(|byte| format!("{byte:02x}")).collect()
}
