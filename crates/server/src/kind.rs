//! Which store operations run beside the lane, and what waits for them.

use storage::{Cell, DirId, LogId, StoreOp};

/// How operations are carried out.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// On several threads.
    Mount,
    /// Beside the lane.
    Flush,
    /// Beside the lane, too.
    Put,
    /// When the log's flushes are through, or everybody's.
    After(Option<LogId>),
    /// One after the other.
    Other,
}

pub(crate) fn kind_of(op: &StoreOp) -> Kind {
    match op {
        StoreOp::Mount(..) => Kind::Mount,
        StoreOp::Flush(_) => Kind::Flush,
        StoreOp::Truncate(log, ..)
        | StoreOp::Delete(log, _)
        | StoreOp::Remove(log)
        | StoreOp::Swap(log, ..)
        | StoreOp::Move(log) => Kind::After(Some(*log)),
        StoreOp::Put(Cell::QuorumState(_), _) => Kind::Put,
        StoreOp::Put(cell, _) if dir_named_in(*cell).is_some() => Kind::Put,
        // It says that all is on disk.
        StoreOp::Put(Cell::CleanShutdown(_), _) => Kind::After(None),
        _ => Kind::Other,
    }
}

/// The log in whose lane an operation has its place.
pub(crate) fn lane_of(op: &StoreOp) -> Option<LogId> {
    match op {
        StoreOp::Mount(..)
        | StoreOp::Sweep(_)
        | StoreOp::Clean(..)
        | StoreOp::Copy(..)
        | StoreOp::Find(..)
        | StoreOp::Load(_)
        | StoreOp::Put(Cell::QuorumState(_), _) => None,
        in_lane => in_lane.log(),
    }
}

/// The directory of whose logs a cell speaks by their names. None of those begins before it is written: it may speak of another
/// log, which had the name before.
pub(crate) fn dir_named_in(cell: Cell) -> Option<DirId> {
    match cell {
        Cell::RecoveryPoints(dir) | Cell::HighWatermarks(dir) | Cell::LogStarts(dir) | Cell::CleanerOffsets(dir) => {
            Some(dir)
        }
        _ => None,
    }
}

/// True for what must not overtake the mount of any log.
pub(crate) fn finds_mounts(op: &StoreOp) -> bool {
    let is_of_folders = matches!(op, StoreOp::Survey(_) | StoreOp::SetAside(..) | StoreOp::Adopt(..));
    is_of_folders || kind_of(op) == Kind::After(None)
}
