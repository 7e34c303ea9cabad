//! Putting cleaned segments in the place of those they were made of, so that a crash at any moment leaves one or the other.
//!
//! As Kafka does it: the new files are complete and durable as `.cleaned`. They are renamed to `.swap`, from the last to the
//! first: as long as a `.cleaned` file is left, nothing has happened. Then the old files go and the new ones lose their
//! suffix; a `.swap` file without `.cleaned` ones before it is a swap that the next start completes.

use protocol::{Era, FileId, Offset};

use super::job::{Source, cleaned_path, discard};
use super::transactions::Transactions;
use super::{CleanPlan, CleanStats, Job};
use crate::disk::Disk;
use crate::op::{CleanStep, DirId, Done, LogId, StoreError};
use crate::scan::{Scan, ScanError};
use crate::shape::Segment;
use crate::store::{OpenSegment, Store, segment_path};

/// The files of a segment, without the dots.
const SUFFIXES: [&str; 4] = ["log", "index", "timeindex", "txnindex"];

impl<D: Disk> Store<D> {
    /// A clean's next group, here and now.
    pub(crate) fn clean(&mut self, log: LogId, era: Era, step: CleanStep) -> Result<Done, StoreError> {
        let mut job = self.clean_job(log, era, step)?;
        let cleaned = job.run(&mut self.disk, &*self.compressors, &mut |_| true)?;
        if cleaned.is_more {
            self.keep_job(log, job);
        }
        Ok(Done::Cleaned(Box::new(cleaned)))
    }

    /// What [`crate::StoreOp::Clean`] asks for, to be run elsewhere; give it back with [`keep_job`](Self::keep_job) if there
    /// is more to do.
    pub fn clean_job(&mut self, log: LogId, era: Era, step: CleanStep) -> Result<Job<D::File>, StoreError> {
        if self.log_mut(log)?.era != era {
            return Err(StoreError::Missing);
        }
        match step {
            CleanStep::Next => self.cleaning.remove(&log).ok_or(StoreError::Missing),
            CleanStep::Begin(plan) => self.begin_clean(log, *plan),
        }
    }

    /// Keeps a clean that has more to do, unless its log is gone or was cut.
    pub fn keep_job(&mut self, log: LogId, job: Job<D::File>) {
        if self.logs.get(&log).is_some_and(|it| it.era == job.era) {
            self.cleaning.insert(log, job);
        }
    }

    fn begin_clean(&mut self, log: LogId, plan: CleanPlan) -> Result<Job<D::File>, StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let (dir, folder, era) = (it.dir, it.folder.clone(), it.era);
        let segments = it.segments.iter().filter(|(_, segment)| segment.base < plan.end);
        let mut sources: Vec<Source<D::File>> = segments
            .map(|(id, segment)| Source {
                id,
                base: segment.base,
                file: segment.file.clone(),
                size: segment.size,
                index_bytes: [0; 2],
            })
            .collect();
        for source in &mut sources {
            for (bytes, suffix) in source.index_bytes.iter_mut().zip(["index", "timeindex"]) {
                *bytes = self.length_of(dir, &segment_path(&folder, source.base, suffix))?;
            }
        }
        let holder = sources.iter().rev().find(|source| source.base <= plan.first_dirty);
        let dirty_at = match holder.filter(|holder| holder.base < plan.first_dirty).map(|holder| holder.id) {
            Some(file) => self.read_indexes(log, file)?.position(plan.first_dirty),
            None => 0,
        };
        let (transactions, stats) = (Transactions::default(), CleanStats::default());
        Ok(Job { plan, dir, folder, era, sources, dirty_at, map: None, transactions, stats })
    }

    /// How long a file is; 0 if there is none.
    fn length_of(&mut self, dir: DirId, path: &str) -> Result<u64, StoreError> {
        match self.disk.open(dir, path, false) {
            Err(StoreError::Missing) => Ok(0),
            Err(error) => Err(error),
            Ok(file) => {
                let len = self.disk.len(&file);
                self.disk.close(file);
                len
            }
        }
    }

    pub(crate) fn swap(&mut self, log: LogId, sources: &[FileId], segments: &[Segment]) -> Result<Done, StoreError> {
        let it = self.log_mut(log)?;
        if sources.iter().any(|file| it.segments.get(file).is_none()) {
            return Err(StoreError::Missing);
        }
        let (dir, folder) = (it.dir, it.folder.clone());
        // Nothing is given up for what is not there.
        for segment in segments {
            let file = self.disk.open(dir, &cleaned_path(&folder, segment.base, "log"), false)?;
            self.disk.close(file);
        }
        for segment in segments.iter().rev() {
            for suffix in SUFFIXES {
                let to = swap_path(&folder, segment.base, suffix);
                self.rename_if_there(dir, &cleaned_path(&folder, segment.base, suffix), &to)?;
            }
        }
        // From here on the swap has happened.
        self.disk.sync_dir(dir, &folder)?;
        for file in sources {
            let it = self.log_mut(log)?;
            let source = it.segments.remove(file).ok_or(StoreError::Missing)?;
            let is_replaced = segments.iter().any(|segment| segment.base == source.base);
            for suffix in SUFFIXES {
                self.give_up(dir, &segment_path(&folder, source.base, suffix))?;
            }
            // A snapshot stands where a segment begins.
            if !is_replaced {
                self.give_up(dir, &segment_path(&folder, source.base, "snapshot"))?;
            }
            self.give_up_segment(*file, source);
        }
        for segment in segments {
            self.take_swap(dir, &folder, segment.base)?;
            let file = self.disk.open(dir, &segment_path(&folder, segment.base, "log"), false)?;
            self.changes.opened.push((segment.file, file.clone()));
            let it = self.log_mut(log)?;
            it.files = it.files.max((segment.file.0 as u32).saturating_add(1));
            it.segments.insert(segment.file, OpenSegment::new(segment.base, file, segment.size));
        }
        self.disk.sync_dir(dir, &folder)?;
        Ok(Done::Swapped)
    }

    /// Gives the files of a swapped segment their names.
    fn take_swap(&mut self, dir: DirId, folder: &str, base: Offset) -> Result<(), StoreError> {
        for suffix in SUFFIXES {
            self.rename_if_there(dir, &swap_path(folder, base, suffix), &segment_path(folder, base, suffix))?;
        }
        Ok(())
    }

    fn rename_if_there(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), StoreError> {
        match self.disk.rename(dir, from, to) {
            Ok(()) | Err(StoreError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Completes or undoes what a crash interrupted, before a log's segments are listed: Kafka's rules.
    pub(crate) fn finish_swaps(&mut self, dir: DirId, folder: &str) -> Result<(), StoreError> {
        let names: Vec<String> = self.disk.list(dir, folder)?.into_iter().map(|entry| entry.name).collect();
        let cleaned: Vec<Offset> = names.iter().filter_map(|name| base_of(name, ".cleaned")).collect();
        let first_cleaned = cleaned.iter().min().copied().unwrap_or(Offset(i64::MAX));
        let mut swaps: Vec<Offset> = Vec::new();
        for name in names.iter().filter(|name| name.ends_with(".swap")) {
            let Some(base) = base_of(name, ".swap") else { continue };
            if base >= first_cleaned {
                // Not all of its swap had been renamed.
                self.unlink(dir, &format!("{folder}/{name}"))?;
            } else if name.ends_with(".log.swap") {
                swaps.push(base);
            }
        }
        for base in cleaned {
            discard(&mut self.disk, dir, folder, base)?;
        }
        ordered::sort(&mut swaps);
        if let (Some(first), Some(last)) = (swaps.first().copied(), swaps.last().copied()) {
            self.drop_swapped(dir, folder, &names, &swaps, first, last)?;
        }
        // An index can be left whose log has its name already.
        let mut left: Vec<Offset> = names.iter().filter_map(|name| base_of(name, ".swap")).collect();
        left.retain(|base| *base < first_cleaned);
        ordered::sort(&mut left);
        left.dedup();
        if left.is_empty() {
            return Ok(());
        }
        for base in left {
            self.take_swap(dir, folder, base)?;
        }
        self.disk.sync_dir(dir, folder)
    }

    /// Removes the segments that swapped ones were made of.
    fn drop_swapped(
        &mut self,
        dir: DirId,
        folder: &str,
        names: &[String],
        swaps: &[Offset],
        first: Offset,
        last: Offset,
    ) -> Result<(), StoreError> {
        // What they were made of begins between their first and their last offset; what begins above has nothing in them.
        let end = self.end_of_swap(dir, &swap_path(folder, last, "log"), last)?;
        for name in names.iter().filter(|name| !name.ends_with(".swap")) {
            let is_old = |base: Offset| base == first || (base >= first && base < end);
            let is_snapshot_that_stays =
                name.ends_with(".snapshot") && base_of(name, "").is_some_and(|it| swaps.contains(&it));
            if base_of(name, "").is_some_and(is_old) && !is_snapshot_that_stays {
                self.unlink(dir, &format!("{folder}/{name}"))?;
            }
        }
        Ok(())
    }

    /// Where a swapped segment ends.
    fn end_of_swap(&mut self, dir: DirId, path: &str, base: Offset) -> Result<Offset, StoreError> {
        let file = self.disk.open(dir, path, false)?;
        let end = self.disk.len(&file).map_err(ScanError::Disk).and_then(|len| {
            let size = u32::try_from(len).map_err(|_| ScanError::Bad("it is too long".to_owned()))?;
            let mut scan = Scan::new(&self.disk, &file, 0, size, base);
            let mut end = base;
            while let Some((_, head)) = scan.next()? {
                end = head.next_offset();
            }
            Ok(end)
        });
        self.disk.close(file);
        end.map_err(|error| match error {
            ScanError::Disk(error) => error,
            ScanError::Bad(why) => StoreError::Corrupt(format!(
                "{path}: {why}; a compaction was interrupted here, restore the file or remove it to keep what was before"
            )),
        })
    }
}

fn swap_path(folder: &str, base: Offset, suffix: &str) -> String {
    segment_path(folder, base, &format!("{suffix}.swap"))
}

/// The offset in the name of a segment's file that ends like this.
fn base_of(name: &str, end: &str) -> Option<Offset> {
    let (digits, suffix) = name.strip_suffix(end)?.split_once('.')?;
    let is_ours = SUFFIXES.contains(&suffix) || (end.is_empty() && suffix == "snapshot");
    (is_ours && digits.len() == 20).then(|| digits.parse().ok().filter(|it| *it >= 0).map(Offset)).flatten()
}
