//! What a directory is formatted with: the files that Apache Kafka's storage tool writes, byte for byte but for the times.

use bytes::Bytes;
use protocol::WallMs;
use protocol::messages::MetadataRecord;

use crate::batch;
use crate::voters::VoterSet;

/// `bootstrap.checkpoint`: the records that a new cluster begins with, its `metadata.version` first.
pub fn bootstrap_checkpoint(now: WallMs, records: Vec<MetadataRecord>) -> Bytes {
    let version = batch::newest_metadata_version();
    batch::snapshot((now, WallMs(0)), None, records, version)
}

/// The metadata log's first snapshot, of offset and epoch 0: who votes (KIP-853).
pub fn voters_checkpoint(now: WallMs, voters: &VoterSet) -> Bytes {
    let version = batch::newest_metadata_version();
    batch::snapshot((now, now), Some(voters), Vec::new(), version)
}
