//! A data directory for one run.

use std::fs;
use std::path::{Path, PathBuf};

use server::DataDir;

/// Removed when dropped. A run that was killed leaves its directory; the next ephemeral run removes it.
pub(crate) struct EphemeralDir {
    path: PathBuf,
    /// Of a directory that holds others'.
    _held: Option<DataDir>,
}

const PREFIX: &str = "vivarium-ephemeral-";

impl EphemeralDir {
    /// One for a node, which locks it.
    pub(crate) fn create() -> Result<EphemeralDir, String> {
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let path = parent.join(format!("{PREFIX}{:016x}", u64::from_le_bytes(random)));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(EphemeralDir { path, _held: None })
    }

    /// One for several nodes, each with a directory in it; ours as long as we run.
    pub(crate) fn create_for_nodes() -> Result<EphemeralDir, String> {
        let mut dir = EphemeralDir::create()?;
        dir._held = Some(DataDir::open(&dir.path).map_err(|error| error.to_string())?);
        Ok(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for EphemeralDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            crate::say(&format!("cannot remove {}: {error}", self.path.display()));
        }
    }
}

/// Only directories with a data directory's lock file, in them or in those of several nodes, and whose locks nobody holds, are
/// ours to remove.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|it| it.path()) {
        let ours = path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(PREFIX));
        let Some(_locks) = ours.then(|| all_locks(&path)).flatten() else { continue };
        // Somebody else may be removing it at this moment, or may own it: then it stays.
        let _ = fs::remove_dir_all(&path);
    }
}

/// All locks of a run's directory; `None` if there are none or somebody holds one.
fn all_locks(path: &Path) -> Option<Vec<DataDir>> {
    let within = fs::read_dir(path).ok()?.flatten().map(|it| it.path());
    let locked = std::iter::once(path.to_owned()).chain(within).filter(|it| it.join(".lock").is_file());
    let locks: Vec<DataDir> = locked.map(|it| DataDir::open(&it).ok()).collect::<Option<_>>()?;
    (!locks.is_empty()).then_some(locks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_when_all_of_it_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let dir = |name: &str| parent.path().join(format!("{PREFIX}{name}"));
        drop(DataDir::open(&dir("node")).unwrap());
        for node in ["node-1", "node-2"] {
            drop(DataDir::open(&dir("killed").join(node)).unwrap());
            drop(DataDir::open(&dir("running").join(node)).unwrap());
        }
        let running = DataDir::open(&dir("running").join("node-2")).unwrap();
        let starting = DataDir::open(&dir("starting")).unwrap();
        fs::create_dir(dir("mine")).unwrap();
        remove_abandoned(parent.path());
        let left = || ["node", "killed", "running", "starting", "mine"].map(|it| dir(it).exists());
        assert_eq!(left(), [false, false, true, true, true]);
        drop((running, starting));
        remove_abandoned(parent.path());
        assert_eq!(left(), [false, false, false, false, true]);
    }
}
