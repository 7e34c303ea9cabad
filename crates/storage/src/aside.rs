//! Logs that are mounted beside each other: several stores over the same directories, each mounting logs of its own, are one
//! store afterwards. Recovery reads logs to the byte, and most of them have nothing to do with each other.

use crate::disk::Disk;
use crate::op::{DirId, Done, StoreError};
use crate::store::Store;

impl<D: Disk> Store<D> {
    /// A store for logs that are mounted beside this one's, over the same directories by another handle to them. Nothing may be
    /// done here until it was [absorbed](Store::absorb).
    pub fn aside(&mut self, dirs: &[DirId], disk: D) -> Result<Store<D>, StoreError> {
        for dir in dirs {
            self.look_into(*dir)?;
        }
        let mut aside = Store::with_compressors(disk, self.compressors.clone());
        aside.dirs = self.dirs.clone();
        // Whoever of them mounts first, people are told once, and by this store.
        aside.dirs.values_mut().for_each(|state| state.odd.clear());
        Ok(aside)
    }

    /// Has a log that was mounted aside tell what else was found in its directory, unless another one has.
    pub fn tell_odd(&mut self, dir: DirId, mounted: &mut Done) {
        if let (Some(state), Done::Mounted(shape)) = (self.dirs.get_mut(&dir), mounted) {
            shape.tell_aside(std::mem::take(&mut state.odd));
        }
    }

    /// Takes over what a store mounted aside.
    pub fn absorb(&mut self, aside: Store<D>) {
        for (dir, theirs) in aside.dirs {
            let ours = self.dirs.entry(dir).or_default();
            ours.failed = ours.failed.take().or(theirs.failed);
            for (ours, theirs) in [
                (&mut ours.recovery_points, &theirs.recovery_points),
                (&mut ours.high_watermarks, &theirs.high_watermarks),
                (&mut ours.log_starts, &theirs.log_starts),
                (&mut ours.cleaner_offsets, &theirs.cleaner_offsets),
            ] {
                // What a checkpoint said of a log whose name another one has now.
                ours.retain(|name, _| theirs.contains_key(name));
            }
            ours.refused.extend(theirs.refused);
        }
        self.logs.extend(aside.logs);
        self.changes.opened.extend(aside.changes.opened);
        self.changes.gone.extend(aside.changes.gone);
    }

    /// Why nothing more is done in a directory.
    pub fn failure_of(&self, dir: DirId) -> Option<&StoreError> {
        self.dirs.get(&dir)?.failed.as_ref()
    }
}
