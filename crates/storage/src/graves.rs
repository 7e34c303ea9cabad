//! What a log has given up. Its files get names that say so and stay for a while (`file.delete.delay.ms`), as in Kafka: whoever
//! reads them goes on, and who deleted too much can still help himself. When the time is over is the core's to know
//! ([`crate::StoreOp::Sweep`]); what a crash leaves of them the next start removes.

use protocol::FileId;

use crate::disk::Disk;
use crate::op::{DirId, Done, LogId, StoreError, StoreOp};
use crate::store::{DELETED, OpenSegment, Store};

/// What ends the name of a file that was given up, as in Kafka.
pub(crate) const DELETED_FILE: &str = ".deleted";

/// A file up to so many bytes is closed at once. A larger one stays open until it is unlinked, so that whoever closes it last
/// has its blocks to give back as gently as he likes.
const CLOSED_AT_ONCE: u32 = 16 << 20;

/// So many names are tried for a folder.
const MOST_NAMES: u32 = 100;

/// Another name of the form: what is between the log's and the suffix is only to be 32 hexadecimal digits.
fn next_grave(name: &str) -> Option<String> {
    let digits = name.len().checked_sub(DELETED.len() + 8)?;
    let (before, last) = name.strip_suffix(DELETED)?.split_at_checked(digits)?;
    let next = u32::from_str_radix(last, 16).ok()?.wrapping_add(1);
    Some(format!("{before}{next:08x}{DELETED}"))
}

/// What one operation gave up.
#[derive(Clone, Debug)]
pub(crate) struct Grave<F> {
    /// Files and folders, under the names that they have now.
    paths: Vec<(DirId, String)>,
    open: Vec<(FileId, F)>,
}

impl<F> Default for Grave<F> {
    fn default() -> Grave<F> {
        Grave { paths: Vec::new(), open: Vec::new() }
    }
}

/// The log of an operation that keeps what it gives up.
pub(crate) fn keeper(op: &StoreOp) -> Option<LogId> {
    match op {
        StoreOp::Truncate(log, ..)
        | StoreOp::Delete(log, _)
        | StoreOp::Remove(log)
        | StoreOp::Swap(log, ..)
        | StoreOp::Move(log)
        | StoreOp::DropCopy(log) => Some(*log),
        _ => None,
    }
}

impl<D: Disk> Store<D> {
    /// An operation that kept what it gave up is over.
    pub(crate) fn close_grave(&mut self, log: LogId, result: &Result<Done, StoreError>) {
        let Some(mut grave) = self.grave.take() else { return };
        if let Ok(Done::Removed) = result {
            // Whatever its files wait for, the folder waits for it no longer, and they are in it.
            for older in self.graves.remove(&log).into_iter().flatten() {
                grave.paths.extend(older.paths.into_iter().filter(|(_, path)| path.ends_with(DELETED)));
                grave.open.extend(older.open);
            }
        }
        if result.as_ref().is_ok_and(Done::gives_up) {
            self.graves.entry(log).or_default().push_back(grave);
        } else {
            self.let_go(grave.open);
        }
    }

    fn let_go(&mut self, open: Vec<(FileId, D::File)>) {
        for (file, handle) in open {
            self.disk.close(handle);
            self.changes.gone.push(file);
        }
    }

    /// A file's name goes: in an operation that keeps what it gives up for one that says so, else for good.
    pub(crate) fn give_up(&mut self, dir: DirId, path: &str) -> Result<(), StoreError> {
        if self.grave.is_none() {
            return self.unlink(dir, path);
        }
        let kept = format!("{path}{DELETED_FILE}");
        match self.disk.rename(dir, path, &kept) {
            Err(StoreError::Missing) => return Ok(()),
            other => other?,
        }
        self.keep(dir, kept);
        Ok(())
    }

    /// The same of a folder, to which it gives the name. From here on what it held is gone, whatever a crash leaves of it.
    pub(crate) fn give_up_folder(&mut self, dir: DirId, folder: &str, grave: &str) -> Result<(), StoreError> {
        // The same log may have been here before, within the time that it is kept for.
        let mut grave = grave.to_owned();
        for _ in 0..MOST_NAMES {
            let is_taken =
                self.disk.is_link(dir, &grave) || !matches!(self.disk.list(dir, &grave), Err(StoreError::Missing));
            let Some(next) = next_grave(&grave).filter(|_| is_taken) else { break };
            grave = next;
        }
        self.disk.rename(dir, folder, &grave)?;
        self.disk.sync_dir(dir, "")?;
        self.keep(dir, grave);
        Ok(())
    }

    fn keep(&mut self, dir: DirId, path: String) {
        if let Some(grave) = &mut self.grave {
            grave.paths.push((dir, path));
        }
    }

    /// A segment that is the log's no more.
    pub(crate) fn give_up_segment(&mut self, file: FileId, segment: OpenSegment<D::File>) {
        match &mut self.grave {
            Some(grave) if segment.size > CLOSED_AT_ONCE => grave.open.push((file, segment.file)),
            _ => self.let_go(vec![(file, segment.file)]),
        }
    }

    /// Removes what the log's earliest operation gave up. Of what cannot be removed the last is told.
    pub(crate) fn sweep(&mut self, log: LogId) -> Result<Done, StoreError> {
        let Some(graves) = self.graves.get_mut(&log) else { return Ok(Done::Swept) };
        let grave = graves.pop_front().unwrap_or_default();
        if graves.is_empty() {
            self.graves.remove(&log);
        }
        let mut result = Ok(Done::Swept);
        for (dir, path) in grave.paths {
            if self.failure_of(dir).is_some() {
                // Its next start does it.
                continue;
            }
            let removed =
                if path.ends_with(DELETED) { self.remove_folder(dir, &path) } else { self.unlink(dir, &path) };
            match removed {
                // Its folder was moved away, with all that was in it.
                Ok(()) | Err(StoreError::Missing) => {}
                Err(error) => result = Err(error),
            }
        }
        self.let_go(grave.open);
        result
    }
}
