//! Making a log durable. What is to be synced is gathered at once; the syncs themselves need nothing but the disk, so that a
//! host can have them done beside the log's lane, which goes on meanwhile.

use crate::disk::Disk;
use crate::op::{DirId, Done, LogId, StoreError};
use crate::store::Store;
use protocol::FileId;

/// What makes a log durable as it was when this was gathered. What is appended afterwards is the next one's.
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
    /// An index file, unless a cut has taken it away.
    Index(String),
    /// The names in a folder.
    Names(String),
}

impl<F: Clone> FlushJob<F> {
    /// Syncs one after the other, up to the first that fails.
    pub fn run<D: Disk<File = F>>(&self, disk: &mut D) -> Result<(), StoreError> {
        for step in &self.steps {
            match step {
                Step::File(file) => disk.sync(file)?,
                Step::Index(path) => sync_index(disk, self.dir, path)?,
                Step::Names(folder) => disk.sync_dir(self.dir, folder)?,
            }
        }
        Ok(())
    }
}

fn sync_index<D: Disk>(disk: &mut D, dir: DirId, path: &str) -> Result<(), StoreError> {
    let file = match disk.open(dir, path, false) {
        Err(StoreError::Missing) => return Ok(()),
        other => other?,
    };
    let synced = disk.sync(&file);
    disk.close(file);
    synced
}

impl<D: Disk> Store<D> {
    /// A [`crate::StoreOp::Flush`] that is to run beside the lane; `None` if it must not, as the next append waits for it. Until
    /// [`flushed`](Self::flushed) is told of its end, the log has no other, and is neither cut nor removed nor moved.
    pub fn flush_job(&mut self, log: LogId) -> Result<Option<FlushJob<D::File>>, StoreError> {
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        if let Some(failed) = self.dirs.get(&it.dir).and_then(|state| state.failed.clone()) {
            return Err(failed);
        }
        if it.synced { Ok(None) } else { self.gather_flush(log).map(Some) }
    }

    /// See [`crate::LogSpec::synced`].
    pub fn is_synced(&self, log: LogId) -> bool {
        self.logs.get(&log).is_some_and(|it| it.synced)
    }

    /// A job has ended.
    pub fn flushed(&mut self, log: LogId, result: Result<(), StoreError>) -> Result<Done, StoreError> {
        let dir = self.logs.get(&log).map(|it| it.dir);
        self.in_lane(dir, |_| result.map(|()| Done::Flushed))
    }

    pub(crate) fn flush(&mut self, log: LogId) -> Result<Done, StoreError> {
        self.gather_flush(log)?.run(&mut self.disk)?;
        Ok(Done::Flushed)
    }

    /// Makes a segment's index files durable.
    pub(crate) fn sync_indexes(&mut self, log: LogId, file: FileId) -> Result<(), StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let segment = it.segments.get_mut(&file).ok_or(StoreError::Missing)?;
        segment.indexes_dirty = false;
        let (dir, base) = (it.dir, segment.base);
        for path in ["index", "timeindex"].map(|suffix| it.path(base, suffix)) {
            sync_index(&mut self.disk, dir, &path)?;
        }
        Ok(())
    }

    /// What there is to sync counts as synced from here on: if a sync fails, the directory is offline.
    fn gather_flush(&mut self, log: LogId) -> Result<FlushJob<D::File>, StoreError> {
        let it = self.logs.get_mut(&log).ok_or(StoreError::Missing)?;
        let active = it.segments.active_file();
        let mut steps = Vec::new();
        let dirty = it.segments.iter().filter(|(_, it)| it.dirty || it.indexes_dirty);
        for file in dirty.map(|(file, _)| file).collect::<Vec<FileId>>() {
            let segment = it.segments.get_mut(&file).ok_or(StoreError::Missing)?;
            if std::mem::take(&mut segment.dirty) {
                steps.push(Step::File(segment.file.clone()));
            }
            // The active segment's are of a clean stop, or written again when it is sealed.
            if active != Some(file) && std::mem::take(&mut segment.indexes_dirty) {
                let base = segment.base;
                steps.extend(["index", "timeindex"].map(|suffix| Step::Index(it.path(base, suffix))));
            }
        }
        if std::mem::take(&mut it.names_dirty) {
            steps.push(Step::Names(it.folder.clone()));
        }
        Ok(FlushJob { dir: it.dir, steps })
    }
}
