//! What a node asks of its disks, and what it hears back. Plain data: the driver carries it out with [`crate::Store`].

use bytes::Bytes;
use protocol::records::Batches;
use protocol::{Era, FileId, LeaderEpoch, Offset, Region, Str, TopicPartition, Uuid};

use crate::clean::{CleanPlan, Cleaned};
use crate::disk::Space;
use crate::shape::{Segment, Shape};
use crate::snapshot::SnapshotId;

/// A log, as its node numbers it. Never used twice within one run of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u32);

/// One operation; the answer carries the same id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Which of `log.dirs`, by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId(pub u16);

/// Names of a log's segment files: the log's number above, a count that only grows below.
/// A mount numbers the segments it finds 0, 1, 2 … by base offset; the core goes on from there.
pub fn file_id(log: LogId, count: u32) -> FileId {
    FileId(u64::from(log.0) << 32 | u64::from(count))
}

/// The log that a file belongs to.
pub fn log_of(file: FileId) -> LogId {
    LogId((file.0 >> 32) as u32)
}

/// Where a log lives and what is created when it does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSpec {
    /// The log directory that holds it.
    pub dir: DirId,
    /// The topic; the folder is `topic-partition`.
    pub topic: Str,
    /// The partition's number.
    pub partition: i32,
    /// Written to `partition.metadata`; a folder with another id is refused, never reused.
    pub topic_id: Uuid,
    /// False to mount only what exists ([`StoreError::Missing`] or [`Done::OnlyCopy`] otherwise).
    pub create: bool,
    /// Every batch was on disk before anyone heard of it, but for the last ones of a run, as in the metadata log: what is
    /// missing is damage then, unless it is the very tail.
    pub synced: bool,
    /// Of a log that is synced: others have it, too. Where all of it is gone it is begun anew and fetched from them, and
    /// [`Mounted::lost`](crate::Mounted::lost) says so.
    pub replicated: bool,
    /// Its topic is compacted: offsets between two files may be missing for good. Kafka's cleaner works above the recovery
    /// point, too, so a crash of it leaves such gaps there.
    pub compacted: bool,
    /// How a first segment begins, and the last one goes on.
    pub segments: SegmentRules,
}

/// How a segment begins. As in Kafka it stays so for the segment when the topic's settings change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRules {
    /// Bytes of disk that are set aside for it (`preallocate`); 0 for none.
    pub reserve: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
}

impl Default for SegmentRules {
    /// Kafka's defaults.
    fn default() -> SegmentRules {
        SegmentRules { reserve: 0, index_interval_bytes: 4096 }
    }
}

/// An operation. Those of one log's lane run in order; the rest in any order, on any thread.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreOp {
    /// Lane. Opens or creates a log and recovers it; answers [`Done::Mounted`]. Until then the log is not ready.
    Mount(LogId, LogSpec),
    /// Lane. Writes stamped batches at the end of the file.
    Append(LogId, FileId, Batches),
    /// Lane. Starts a new active segment at the given base offset; the old one's indexes and the producer snapshot are written.
    Roll(LogId, FileId, Offset, Bytes, SegmentRules),
    /// Lane. Makes everything written so far durable (fdatasync).
    Flush(LogId),
    /// Lane. Cuts every record at and above the offset and starts the era; answers [`Done::Truncated`]. A batch that holds the
    /// offset goes as a whole, as in Kafka: whoever truncates fetches it again. Whole files are given up, as by `Delete`.
    Truncate(LogId, Offset, Era),
    /// Lane. Gives whole segments up, as retention wants it: their files are renamed at once and unlinked by a `Sweep`.
    Delete(LogId, Vec<FileId>),
    /// Lane, and its last operation. Gives the log up: its folder is renamed at once and removed by a `Sweep`.
    Remove(LogId),
    /// Any order. Removes what the earliest of the log's operations gave up of those that were not swept: each operation whose
    /// answer [gives something up](Done::gives_up) wants one, once it has waited for `file.delete.delay.ms`. Answers
    /// [`Done::Swept`]; an error says what stays until the next start, and takes no directory offline.
    Sweep(LogId),
    /// Lane. Puts a group of segments that a clean wrote anew in the place of the files named first, which are given up.
    Swap(LogId, Vec<FileId>, Vec<Segment>),
    /// Any order, and beside everything else. Writes a group of segments anew; answers [`Done::Cleaned`]. The next group is
    /// asked for when the one before is in place. A log has one clean at a time.
    Clean(LogId, Era, CleanStep),
    /// Any order, and beside everything else. Copies the log on into another directory; answers [`Done::Copied`] or
    /// [`Done::CopyFailed`]. A log has one copy at a time, which has one step at a time, and is not cleaned meanwhile.
    Copy(LogId, CopyPlan),
    /// Lane. Copies what is left and has the log live where its copy is; answers [`Done::Moved`] or [`Done::CopyFailed`], or
    /// [`Done::Copied`] if that is too much for a lane. Files keep their ids and the log its era: whatever was planned for it
    /// stays true. The folder that it lived in is given up.
    Move(LogId),
    /// Lane. Gives the copy up; answers [`Done::CopyDropped`] or [`Done::CopyFailed`].
    DropCopy(LogId),
    /// Any order. Looks for folders of logs that are not mounted; answers [`Done::Surveyed`].
    Survey(DirId),
    /// Any order. Asks how much room there is in a directory; answers [`Done::Measured`].
    Measure(DirId),
    /// Any order. Gives a folder that is nobody's a name that no log has; answers [`Done::SetAside`].
    SetAside(DirId, Str),
    /// Any order. The copy of a log that a directory holds takes the log's place, which is not mounted.
    Adopt(DirId, TopicPartition, Uuid),
    /// Any order. Looks older offsets or a timestamp up through the files' indexes.
    Find(LogId, Era, Seek),
    /// Any order. Reads a region's bytes into memory (coordinators, KRaft replay; never for a fetch answer).
    Load(Region),
    /// A lane per cell, but that of leader epochs is its log's. Replaces a small file atomically and syncs it.
    Put(Cell, Bytes),
}

impl StoreOp {
    /// The log that it concerns; `None` for what concerns a directory.
    pub fn log(&self) -> Option<LogId> {
        match self {
            StoreOp::Mount(log, _)
            | StoreOp::Append(log, ..)
            | StoreOp::Roll(log, ..)
            | StoreOp::Flush(log)
            | StoreOp::Truncate(log, ..)
            | StoreOp::Delete(log, _)
            | StoreOp::Remove(log)
            | StoreOp::Sweep(log)
            | StoreOp::Swap(log, ..)
            | StoreOp::Clean(log, ..)
            | StoreOp::Copy(log, _)
            | StoreOp::Move(log)
            | StoreOp::DropCopy(log)
            | StoreOp::Find(log, ..) => Some(*log),
            StoreOp::Load(region) => Some(log_of(region.file)),
            StoreOp::Put(cell, _) => cell.log(),
            StoreOp::Survey(_) | StoreOp::Measure(_) | StoreOp::SetAside(..) | StoreOp::Adopt(..) => None,
        }
    }
}

/// A step of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyPlan {
    /// The directory that gets it.
    pub to: DirId,
    /// The log's; in another one the answer is [`StoreError::Missing`].
    pub era: Era,
    /// The most bytes to copy, exceeded only by a batch that is larger.
    pub bytes: u64,
}

/// How far a copy is, all of it on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of its segments.
    pub bytes: u64,
    /// The offset behind its last record.
    pub end: Offset,
    /// Its last segment, by base offset, and that one's bytes.
    pub last: Option<(Offset, u32)>,
}

/// A folder of a log that is not mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLog {
    /// The folder's name.
    pub folder: Str,
    /// The log.
    pub name: TopicPartition,
    /// The topic's id, if it is a copy that was being made; zero where the folder does not say.
    pub copy_of: Option<Uuid>,
}

/// How far a clean is.
#[derive(Clone, Debug, PartialEq)]
pub enum CleanStep {
    /// A new one, and its first group.
    Begin(Box<CleanPlan>),
    /// The next group of the one that is under way.
    Next,
}

/// What to look for below the tail index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The bytes from the batch that holds `offset`, at most `max_bytes` (but at least one batch), of batches that begin below `limit`.
    Read {
        /// First offset wanted.
        offset: Offset,
        /// Exclusive bound: high watermark, last stable offset or log end.
        limit: Offset,
        /// Upper bound in bytes, exceeded only by a first batch that is larger.
        max_bytes: u32,
    },
    /// The first record at or after the timestamp (ms), from the log start up, below `limit`.
    Timestamp {
        /// Milliseconds since 1970.
        timestamp: i64,
        /// The log start: deleted records may still be in the first file.
        from: Offset,
        /// Exclusive bound.
        limit: Offset,
    },
    /// The record with the greatest timestamp, from the log start up, below `limit`.
    MaxTimestamp {
        /// The log start.
        from: Offset,
        /// Exclusive bound.
        limit: Offset,
    },
}

/// A small file that is replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// `quorum-state` in the metadata log's folder.
    QuorumState(LogId),
    /// `leader-epoch-checkpoint` in a log's folder; written before the log's next batch is, and on disk with its next flush, or,
    /// where all batches are synced, before the batch.
    LeaderEpochs(LogId),
    /// A producer snapshot at a log's end; a clean stop leaves one, as Apache Kafka looks for producers nowhere else then.
    Producers(LogId, Offset),
    /// A snapshot of the metadata; those before it are removed.
    Snapshot(LogId, SnapshotId),
    /// `recovery-point-offset-checkpoint` of a log directory.
    RecoveryPoints(DirId),
    /// `replication-offset-checkpoint` (high watermarks) of a log directory.
    HighWatermarks(DirId),
    /// `log-start-offset-checkpoint` of a log directory.
    LogStarts(DirId),
    /// `cleaner-offset-checkpoint` of a log directory.
    CleanerOffsets(DirId),
    /// `.kafka_cleanshutdown` of a log directory; written by a clean stop, removed by the next mount.
    CleanShutdown(DirId),
}

impl Cell {
    /// The log in whose folder it is; `None` for what speaks of a directory.
    pub fn log(self) -> Option<LogId> {
        match self {
            Cell::QuorumState(log) | Cell::LeaderEpochs(log) | Cell::Producers(log, _) | Cell::Snapshot(log, _) => {
                Some(log)
            }
            Cell::RecoveryPoints(_)
            | Cell::HighWatermarks(_)
            | Cell::LogStarts(_)
            | Cell::CleanerOffsets(_)
            | Cell::CleanShutdown(_) => None,
        }
    }
}

/// A finished operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// The log is ready; its shape as read from the files.
    Mounted(Box<Shape>),
    /// Written (page cache), not synced.
    Appended,
    /// The new segment exists.
    Rolled,
    /// Everything written before is on disk.
    Flushed,
    /// Cut; the shape is rebuilt.
    Truncated(Box<Shape>),
    /// The segments are the log's no more.
    Deleted,
    /// The log is gone.
    Removed,
    /// What was given up is off the disk.
    Swept,
    /// A group of segments is written anew beside the log.
    Cleaned(Box<Cleaned>),
    /// The segments that a clean wrote are the log's.
    Swapped,
    /// The log was not mounted: of it the directory holds only a copy that was being made.
    OnlyCopy,
    /// The copy got on.
    Copied(Copied),
    /// The directory that is copied to has failed; the log is as it was.
    CopyFailed(StoreError),
    /// The log lives where its copy was made. One of the two directories may have failed on the way.
    Moved(Option<(DirId, StoreError)>),
    /// There is no copy any more.
    CopyDropped,
    /// The folders of logs that are not mounted.
    Surveyed(Vec<FoundLog>),
    /// The room of a directory, if it has an end.
    Measured(Option<Space>),
    /// The folder's new name; `None` if it was not to be set aside any more.
    SetAside(Option<Str>),
    /// If there was a copy, it is the log now.
    Adopted,
    /// Answer to [`Seek::Read`]: regions in order; empty when nothing is there.
    Found(Vec<Region>),
    /// Answer to a timestamp seek; `None` when no such record exists.
    FoundTimestamp(Option<TimestampOffset>),
    /// A region's bytes.
    Loaded(Bytes),
    /// The cell is on disk.
    Put,
}

impl Done {
    /// True if the operation may have given files up: they are there until a [`StoreOp::Sweep`].
    pub fn gives_up(&self) -> bool {
        matches!(
            self,
            Done::Truncated(_) | Done::Deleted | Done::Removed | Done::Swapped | Done::Moved(_) | Done::CopyDropped
        )
    }
}

/// A record found by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's timestamp in milliseconds.
    pub timestamp: i64,
    /// Its offset.
    pub offset: Offset,
    /// The leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

/// Why an operation failed. A failed lane operation takes its log directory offline, and so does a read that the disk refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The disk refused: the text says what and where.
    Io(String),
    /// No space is left.
    Full(String),
    /// Bytes that are no log, or another topic's.
    Corrupt(String),
    /// The log, file or era does not exist (any more).
    Missing,
}

impl StoreError {
    /// True if the disk has failed, and not what was asked of it.
    pub fn is_disk(&self) -> bool {
        matches!(self, StoreError::Io(_) | StoreError::Full(_))
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Io(what) | StoreError::Full(what) | StoreError::Corrupt(what) => f.write_str(what),
            StoreError::Missing => f.write_str("no such log, file or era"),
        }
    }
}

impl std::error::Error for StoreError {}
