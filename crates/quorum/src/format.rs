//! What a directory is formatted with: the files that Apache Kafka's storage tool writes, byte for byte but for the times.

use bytes::Bytes;
use protocol::messages::MetadataRecord;
use protocol::{LeaderEpoch, Offset, WallMs};
use storage::SnapshotId;

use crate::history::{History, newest};
use crate::snapshot;
use crate::voters::VoterSet;
use crate::writer::SnapshotWriter;

/// Of a log that is empty.
const FIRST: SnapshotId = SnapshotId { end: Offset(0), epoch: LeaderEpoch(0) };

/// `bootstrap.checkpoint`: the records that a new cluster begins with, its `metadata.version` first.
pub fn bootstrap_checkpoint(now: WallMs, records: Vec<MetadataRecord>) -> Bytes {
    let mut writer = SnapshotWriter::new(FIRST, (now, WallMs(0)), None, newest());
    writer.push(records);
    writer.finish()
}

/// Why a cluster cannot begin with a `bootstrap.checkpoint`: it may be of a later Apache Kafka.
pub fn check_bootstrap(bytes: &Bytes) -> Result<(), String> {
    let mut levels = History::default();
    snapshot::records(bytes, Offset(-1), &mut levels)?;
    levels.is_too_new().map_or(Ok(()), Err)
}

/// The metadata log's first snapshot, of offset and epoch 0: who votes (KIP-853).
pub fn voters_checkpoint(now: WallMs, voters: &VoterSet) -> Bytes {
    SnapshotWriter::new(FIRST, (now, now), Some(voters), newest()).finish()
}
