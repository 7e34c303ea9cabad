//! Compaction (`cleanup.policy=compact`): only the newest record of each key stays. The rules are those of Kafka's cleaner:
//! offsets keep their gaps, a tombstone waits for `delete.retention.ms` (KIP-534), a producer's last batch stays, empty.
//!
//! The core decides when and how far ([`CleanPlan`]). A [`Job`] reads the dirty part into a map of keys, then writes one
//! group of segments anew after the other, as `.cleaned` files beside the log: each answer is one group, which the core
//! puts into its shape and has the log's lane put in place (`swap`), before it asks for the next. So a clean needs room for
//! one more segment, not for another log, and no reader ever sees half of it.
//!
//! A job owns what it needs, so it can run on a thread of its own while the lane goes on.

mod filter;
mod job;
mod keys;
mod swap;
pub(crate) mod transactions;

use ordered::Map;
use protocol::{Era, FileId, Offset, ProducerEpoch, ProducerId, WallMs};

pub use job::Job;

use crate::shape::Segment;
use keys::ENTRY_BYTES;

/// What a clean is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanPlan {
    /// Below it every key was seen by the last clean; the keys from here up are gathered.
    pub first_dirty: Offset,
    /// The base of the first segment that stays as it is.
    pub end: Offset,
    /// The batch that ends here stays, even empty: the log's end must not be lost.
    pub high_watermark: Offset,
    /// What delete horizons are compared with and counted from.
    pub now: WallMs,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// The producers that are known, and their last batches.
    pub producers: Map<ProducerId, LastRecord>,
    /// The most keys that the map may hold ([`max_keys`]).
    pub max_keys: u64,
    /// Random: makes the hashes of keys unforeseeable.
    pub seed: [u64; 2],
    /// Bytes a second that the clean may read and write; `None` is without limit. For the driver to keep.
    pub bytes_per_second: Option<u64>,
    /// Bytes that are read and written at once.
    pub piece: u32,
}

/// How many keys fit a part of `log.cleaner.dedupe.buffer.size`, filled up to `load_percent`.
pub fn max_keys(buffer_bytes: u64, load_percent: u64) -> u64 {
    // As in Kafka, one map has at most what an `int` can count.
    let slots = buffer_bytes.min(i32::MAX as u64) / ENTRY_BYTES;
    (slots * load_percent.min(100) / 100).max(1)
}

/// The last that a known producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    /// The last offset of its last batch of records; `None` if its last word was a marker.
    pub data: Option<Offset>,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// A group of segments, written anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Cleaned {
    /// The log's era when the clean began; in another one the result means nothing.
    pub era: Era,
    /// What is replaced, oldest first.
    pub sources: Vec<FileId>,
    /// What replaces it; the core numbers the files.
    pub segments: Vec<Segment>,
    /// Every key below was seen: where the next clean begins, once this one is through.
    pub end: Offset,
    /// Groups are left: ask again.
    pub is_more: bool,
    /// What the job did so far.
    pub stats: CleanStats,
}

/// What a clean did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanStats {
    /// Bytes read for the map.
    pub map_bytes: u64,
    /// Keys in the map.
    pub keys: u64,
    /// Bytes of the segments that were written anew.
    pub bytes_read: u64,
    /// Bytes of the segments that replace them.
    pub bytes_kept: u64,
    /// Records in them before.
    pub records_read: i64,
    /// Records in them after.
    pub records_kept: i64,
}
