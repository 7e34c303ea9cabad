//! What a store needs of a disk.

use bytes::Bytes;

use crate::op::{DirId, StoreError};

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name, without the folder's.
    pub name: String,
    /// True for a folder.
    pub is_dir: bool,
}

/// The file system under a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its bytes.
    pub total: u64,
    /// Bytes that can still be written.
    pub usable: u64,
}

/// The few calls that logs need. Paths are relative to a log directory, `/` between parts, `""` the directory itself.
///
/// A call does what its POSIX namesake does, durability included: bytes survive a power cut after [`sync`](Self::sync),
/// names after [`sync_dir`](Self::sync_dir) of their folder. Errors say what was attempted and where;
/// [`StoreError::Full`] is no space left, [`StoreError::Missing`] a name that does not exist, the rest is
/// [`StoreError::Io`].
pub trait Disk {
    /// An open file. Clones share it, and it stays usable after its name is gone.
    type File: Clone;

    /// Creates a folder, which may exist already.
    fn create_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError>;
    /// The entries of a folder, by name.
    fn list(&self, dir: DirId, path: &str) -> Result<Vec<DirEntry>, StoreError>;
    /// True for a name that stands for a file or folder elsewhere.
    fn is_link(&self, dir: DirId, path: &str) -> bool {
        let _ = (dir, path);
        false
    }
    /// Opens a file for reading and writing; `create` makes it if it does not exist.
    fn open(&mut self, dir: DirId, path: &str, create: bool) -> Result<Self::File, StoreError>;
    /// Says that a handle of [`open`](Self::open) and its clones are no longer used.
    fn close(&mut self, file: Self::File) {
        drop(file);
    }
    /// Renames a file (which replaces another) or a folder.
    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), StoreError>;
    /// Unlinks a file.
    fn remove(&mut self, dir: DirId, path: &str) -> Result<(), StoreError>;
    /// Removes an empty folder.
    fn remove_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError>;
    /// Makes the names in a folder durable.
    fn sync_dir(&mut self, dir: DirId, path: &str) -> Result<(), StoreError>;

    /// The file's length in bytes.
    fn len(&self, file: &Self::File) -> Result<u64, StoreError>;
    /// Reads at most `len` bytes; fewer only at the end of the file.
    fn read_at(&self, file: &Self::File, at: u64, len: usize) -> Result<Bytes, StoreError>;
    /// Writes all pieces, one after the other, from `at`.
    fn write_at(&mut self, file: &Self::File, at: u64, pieces: &[Bytes]) -> Result<(), StoreError>;
    /// Cuts the file, or fills it up with zeros.
    fn set_len(&mut self, file: &Self::File, len: u64) -> Result<(), StoreError>;
    /// How much room there is; `None` where there is no end to it.
    fn space(&self, dir: DirId) -> Result<Option<Space>, StoreError> {
        let _ = dir;
        Ok(None)
    }
    /// Has room for a file of `len` bytes set aside, whose length stays what it is, so that it grows in one piece; with fewer
    /// bytes than it has, gives what is not used of that back. A wish: where it can't be had, nothing is set aside.
    fn reserve(&mut self, file: &Self::File, len: u64) -> Result<(), StoreError> {
        let _ = (file, len);
        Ok(())
    }
    /// Makes the file's bytes and length durable (fdatasync).
    fn sync(&mut self, file: &Self::File) -> Result<(), StoreError>;
}
