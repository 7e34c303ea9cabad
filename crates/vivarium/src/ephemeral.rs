//! A data directory for one run.

use std::fs;
use std::path::{Path, PathBuf};

use server::DataDir;

/// Removed when dropped. A run that was killed leaves its directory; the next ephemeral run removes it.
pub(crate) struct EphemeralDir {
    path: PathBuf,
}

const PREFIX: &str = "vivarium-ephemeral-";

impl EphemeralDir {
    pub(crate) fn create() -> Result<EphemeralDir, String> {
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let path = parent.join(format!("{PREFIX}{:016x}", u64::from_le_bytes(random)));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(EphemeralDir { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for EphemeralDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("vivarium: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Only directories that hold a data directory's lock file, and whose lock nobody holds, are ours to remove.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|it| it.path()) {
        let ours = path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(PREFIX));
        if ours && path.join(".lock").is_file() && DataDir::open(&path).is_ok() {
            // Somebody else may be removing it at this moment, or may own it: then it stays.
            let _ = fs::remove_dir_all(&path);
        }
    }
}
