//! Making a log durable. What is to be synced is gathered at once; the syncs themselves need nothing but the disk, so that a
//! host can have them done beside the log's lane, which goes on meanwhile.

use bytes::Bytes;
use protocol::FileId;

use crate::disk::Disk;
use crate::op::{Cell, DirId, Done, LogId, StoreError};
use crate::store::Store;

/// What makes a log durable as it was when this was gathered, or a cell what it is to be. What is appended afterwards is the
/// next one's.
#[derive(Clone, Debug)]
pub struct FlushJob<F> {
    dir: DirId,
    /// In this order: a later segment that survives a power cut never stands on an earlier one that did not.
    steps: Vec<Step<F>>,
}

#[derive(Clone, Debug)]
enum Step<F> {
    /// A segment's bytes.
    File(F),
    /// A small file beside them, unless a cut has taken it away.
    Beside(String),
    /// The names in a folder.
    Names(String),
    /// A small file that is replaced as a whole.
    Put(String, Bytes),
}

impl<F: Clone> FlushJob<F> {
    /// Syncs one after the other, up to the first that fails.
    pub fn run<D: Disk<File = F>>(&self, disk: &mut D) -> Result<(), StoreError> {
        for step in &self.steps {
            match step {
                Step::File(file) => disk.sync(file)?,
                Step::Beside(path) => sync_file(disk, self.dir, path)?,
                Step::Names(folder) => disk.sync_dir(self.dir, folder)?,
                Step::Put(path, bytes) => replace(disk, self.dir, path, bytes.clone())?,
            }
        }
        Ok(())
    }
}

fn sync_file<D: Disk>(disk: &mut D, dir: DirId, path: &str) -> Result<(), StoreError> {
    let file = match disk.open(dir, path, false) {
        Err(StoreError::Missing) => return Ok(()),
        other => other?,
    };
    let synced = disk.sync(&file);
    disk.close(file);
    synced
}

/// Replaces a small file: afterwards either the old or the new one is there, whatever happens.
pub(crate) fn replace<D: Disk>(disk: &mut D, dir: DirId, path: &str, bytes: Bytes) -> Result<(), StoreError> {
    let temporary = format!("{path}.tmp");
    let file = disk.open(dir, &temporary, true)?;
    let written =
        disk.set_len(&file, 0).and_then(|()| disk.write_at(&file, 0, &[bytes])).and_then(|()| disk.sync(&file));
    disk.close(file);
    written?;
    disk.rename(dir, &temporary, path)?;
    disk.sync_dir(dir, path.rsplit_once('/').map_or("", |(folder, _)| folder))
}

impl<D: Disk> Store<D> {
    /// A [`crate::StoreOp::Flush`] that is to run beside the lane. Until [`flushed`](Self::flushed) is told of its end, the log
    /// has no other, and is neither cut nor removed nor moved; to one whose batches are all synced nothing is appended either.
    pub fn flush_job(&mut self, log: LogId) -> Result<FlushJob<D::File>, StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        self.expect_dir(it.dir)?;
        self.gather_flush(log)
    }

    /// A [`crate::StoreOp::Put`] that is to run beside the lane, whose end [`put_done`](Self::put_done) is told of. Of one cell
    /// there is one at a time. Not for cells that belong to a log's lane, or wait for all others.
    pub fn put_job(&mut self, cell: Cell, bytes: Bytes) -> Result<FlushJob<D::File>, StoreError> {
        let (dir, path) = self.place_of_cell(cell)?;
        self.expect_dir(dir)?;
        let bytes = self.cell_text(dir, cell, bytes)?;
        Ok(FlushJob { dir, steps: bytes.map(|bytes| Step::Put(path, bytes)).into_iter().collect() })
    }

    /// A cell's job has ended.
    pub fn put_done(&mut self, cell: Cell, result: Result<(), StoreError>) -> Result<Done, StoreError> {
        self.in_lane(self.dir_of_cell(cell), |_| result.map(|()| Done::Put))
    }

    fn expect_dir(&self, dir: DirId) -> Result<(), StoreError> {
        self.failure_of(dir).map_or(Ok(()), |failed| Err(failed.clone()))
    }

    /// See [`crate::LogSpec::synced`].
    pub fn is_synced(&self, log: LogId) -> bool {
        self.logs.get(&log).is_some_and(|it| it.synced)
    }

    /// A job has ended.
    pub fn flushed(&mut self, log: LogId, result: Result<(), StoreError>) -> Result<Done, StoreError> {
        let dir = self.logs.get(&log).map(|it| it.dir);
        self.in_lane(dir, |store| {
            result?;
            store.log_mut(log)?.progress.flushed();
            Ok(Done::Flushed)
        })
    }

    pub(crate) fn flush(&mut self, log: LogId) -> Result<Done, StoreError> {
        self.gather_flush(log)?.run(&mut self.disk)?;
        self.log_mut(log)?.progress.flushed();
        Ok(Done::Flushed)
    }

    /// Makes a segment's index files durable.
    pub(crate) fn sync_indexes(&mut self, log: LogId, file: FileId) -> Result<(), StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.get_mut(&file).ok_or(StoreError::Missing)?;
        segment.indexes_dirty = false;
        let (dir, base) = (it.dir, segment.base);
        for path in ["index", "timeindex"].map(|suffix| it.path(base, suffix)) {
            sync_file(&mut self.disk, dir, &path)?;
        }
        Ok(())
    }

    /// What there is to sync counts as synced from here on: if a sync fails, the directory is offline.
    fn gather_flush(&mut self, log: LogId) -> Result<FlushJob<D::File>, StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        it.progress.flush();
        let active = it.segments.active_file();
        let mut steps = Vec::new();
        if let Some(epochs) = it.epochs.take() {
            steps.push(Step::Put(it.epochs_path(), epochs));
        }
        let dirty = it.segments.iter().filter(|(_, it)| it.dirty || it.indexes_dirty);
        for file in dirty.map(|(file, _)| file).collect::<Vec<FileId>>() {
            let segment = it.segments.get_mut(&file).ok_or(StoreError::Missing)?;
            if std::mem::take(&mut segment.dirty) {
                steps.push(Step::File(segment.file.clone()));
            }
            // The active segment's are of a clean stop, or written again when it is sealed.
            if active != Some(file) && std::mem::take(&mut segment.indexes_dirty) {
                let base = segment.base;
                steps.extend(["index", "timeindex"].map(|suffix| Step::Beside(it.path(base, suffix))));
            }
        }
        if std::mem::take(&mut it.names_dirty) {
            steps.push(Step::Names(it.folder.clone()));
        }
        Ok(FlushJob { dir: it.dir, steps })
    }
}
