//! A data directory: who may use it, whose it is, and how it is formatted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// An open log directory. The lock lasts as long as this value.
#[derive(Debug)]
pub struct DataDir {
    /// Where it is.
    pub path: PathBuf,
    _lock: File,
}

/// Why a log directory can't be used; says what to do.
#[derive(Debug)]
pub enum DataDirError {
    /// The file system refused.
    Io(PathBuf, io::Error),
    /// Another process has it.
    InUse(PathBuf),
}

impl std::fmt::Display for DataDirError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DataDirError::Io(path, error) => {
                write!(f, "log directory {}: {error}{}", path.display(), advice(error.kind()))
            }
            DataDirError::InUse(path) => write!(
                f,
                "log directory {} is in use by another process, or named twice (its .lock is held): stop that one, or give this one another directory with --data",
                path.display()
            ),
        }
    }
}

impl std::error::Error for DataDirError {}

/// What to do about it, behind a semicolon; nothing where nothing is known to help.
fn advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "; move that file away, or name another directory in log.dirs or with --data"
        }
        io::ErrorKind::PermissionDenied => {
            "; give it to the user that runs this node (chown -R), to read and to write, or name another directory in log.dirs or \
             with --data"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; mount it to be written, after a look at why it is not: a disk that failed is often mounted so"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        _ => "",
    }
}

impl DataDir {
    /// Creates the directory if it is missing and locks it, as Kafka does, through `.lock`.
    pub fn open(path: &Path) -> Result<DataDir, DataDirError> {
        let io = |error| DataDirError::Io(path.to_owned(), error);
        fs::create_dir_all(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io(io::Error::new(error.kind(), "it is a file, not a directory")),
            io::ErrorKind::NotADirectory => {
                io(io::Error::new(error.kind(), "a part of its path is a file, not a directory"))
            }
            _ => io(error),
        })?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(".lock")).map_err(io)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DataDir { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataDirError::InUse(path.to_owned())),
            Err(error) => Err(io(error.into())),
        }
    }

    /// Tries to list the directory and to make a file in it.
    pub fn probe(&self) -> Result<(), DataDirError> {
        let io = |error| DataDirError::Io(self.path.clone(), error);
        fs::read_dir(&self.path).map_err(io)?.try_for_each(|entry| entry.map(drop)).map_err(io)?;
        let path = self.path.join(".probe.tmp");
        File::create(&path).map_err(io)?;
        fs::remove_file(&path).map_err(io)
    }

    /// `meta.properties`, if the directory was formatted.
    pub fn meta(&self) -> Result<Option<String>, DataDirError> {
        match fs::read(self.path.join("meta.properties")) {
            // What is no text holds no property either; the parser says what is missing.
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DataDirError::Io(self.path.join("meta.properties"), error)),
        }
    }

    /// A partition's log in the directory, if it has one.
    pub fn some_log(&self) -> Result<Option<String>, DataDirError> {
        let io = |error| DataDirError::Io(self.path.clone(), error);
        for entry in fs::read_dir(&self.path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_log = name.rsplit_once('-').is_some_and(|(_, partition)| partition.parse::<u32>().is_ok());
            if is_log && entry.path().is_dir() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Writes a file of a directory that is being formatted, durably; its folder is made if it is missing.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), DataDirError> {
        let path = self.path.join(name);
        let folder = path.parent().filter(|folder| !folder.exists());
        let made = folder.map(|folder| fs::create_dir(folder).and_then(|()| File::open(&self.path)?.sync_all()));
        made.unwrap_or(Ok(())).and_then(|()| replace(&path, bytes)).map_err(|error| DataDirError::Io(path, error))
    }

    /// Replaces `meta.properties`, durably.
    pub fn write_meta(&self, text: &str) -> Result<(), DataDirError> {
        let path = self.path.join("meta.properties");
        replace(&path, text.as_bytes()).map_err(|error| DataDirError::Io(path, error))
    }
}

/// Writes a file beside the old one, syncs it, and renames it over: after a crash there is the old or the new one, whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let refused = DataDir::open(folder.path()).unwrap_err();
        assert!(matches!(refused, DataDirError::InUse(_)), "{refused}");
        drop(first);
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn who_cannot_open_a_directory_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let said = |path: &Path| DataDir::open(path).unwrap_err().to_string();
        let help = "move that file away, or name another directory in log.dirs or with --data";
        assert_eq!(said(&file), format!("log directory {}: it is a file, not a directory; {help}", file.display()));
        let below = file.join("below");
        let what = "a part of its path is a file, not a directory";
        assert_eq!(said(&below), format!("log directory {}: {what}; {help}", below.display()));
        // Whoever runs as root is refused nothing by a mode.
        for (code, help) in [(13, "; give it to the user that runs this node"), (30, "; mount it to be written")] {
            let error = DataDirError::Io(file.clone(), io::Error::from_raw_os_error(code)).to_string();
            assert!(error.contains(help), "{error}");
        }
        let error = DataDirError::Io(file.clone(), io::Error::from_raw_os_error(5)).to_string();
        assert!(error.ends_with("(os error 5)"), "nothing is known to help: {error}");
    }

    #[test]
    fn meta_properties_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert_eq!(data.meta().unwrap(), None);
        data.write_meta("version=1\n").unwrap();
        assert_eq!(data.meta().unwrap().as_deref(), Some("version=1\n"));
    }
}
