//! Names for bytes of a log that are written.

use std::fmt;

/// A segment file. Never used twice within one node, so a name outlives the file without danger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// How often a log was truncated. An answer or region of an older era is worthless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Era(pub u32);

/// Written bytes of one segment file, by name; it owns none of them. Whoever sends it resolves it then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    /// The segment file.
    pub file: FileId,
    /// First byte.
    pub at: u32,
    /// Length in bytes.
    pub len: u32,
    /// The log's era when the region was made.
    pub era: Era,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}", self.0)
    }
}
