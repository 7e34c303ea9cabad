//! A Kafka log: its shape, and its bytes over a disk.
//!
//! The core holds a [`Shape`] and decides with it; it emits [`StoreOp`]s. A driver carries them out with a [`Store`] over a
//! [`Disk`]: real files in the server, a [`MemoryDisk`] in a simulation.

mod aborted;
mod aside;
pub mod clean;
pub mod copy;
pub mod disk;
pub mod epochs;
mod find;
pub mod flush;
mod folders;
mod graves;
pub mod index;
mod json;
pub mod memory;
pub mod meta;
pub mod op;
mod pages;
pub mod plan;
mod points;
pub mod producers;
mod recover;
mod scan;
mod segments;
pub mod shape;
pub mod snapshot;
pub mod store;
pub mod tail;

pub use clean::{CleanPlan, CleanStats, Cleaned};
pub use disk::{DirEntry, Disk, Space};
pub use epochs::{EpochStart, Epochs};
pub use memory::{MemoryDisk, Survey};
pub use op::{
    Cell, CleanStep, Copied, CopyPlan, DirId, Done, FoundLog, LogId, LogSpec, OpId, Seek, SegmentRules, StoreError,
    StoreOp, TimestampOffset, file_id, log_of,
};
pub use plan::{Lookup, Plan};
pub use producers::{ProducedBatch, Producer, Producers, Sequence};
pub use shape::{AppendError, Appended, LogRules, Mounted, Retention, Segment, Shape};
pub use snapshot::{Snapshot, SnapshotId};
pub use store::{FileChanges, Resolved, Store};
