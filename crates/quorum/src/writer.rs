//! Writes a snapshot of the metadata (KIP-630) piece by piece: its records may be many, and nothing else happens meanwhile.

use bytes::{Bytes, BytesMut};
use protocol::messages::{MetadataRecord, SnapshotFooterRecord, SnapshotHeaderRecord};
use protocol::records::{Batches, ControlType, control};
use protocol::{LeaderEpoch, Offset, WallMs};
use storage::SnapshotId;

use crate::batch;
use crate::voters::VoterSet;

/// A snapshot that is being written: a header, the voters if they are the log's, the metadata, a footer. Offsets are the
/// snapshot's own.
#[derive(Clone, Debug)]
pub struct SnapshotWriter {
    pub(crate) id: SnapshotId,
    now: WallMs,
    metadata_version: i16,
    bytes: BytesMut,
    next: Offset,
}

impl SnapshotWriter {
    /// Begins one, written at a time and standing for what was said until a time.
    pub(crate) fn new(
        id: SnapshotId,
        (now, last): (WallMs, WallMs),
        voters: Option<&VoterSet>,
        metadata_version: i16,
    ) -> SnapshotWriter {
        let mut writer = SnapshotWriter { id, now, metadata_version, bytes: BytesMut::new(), next: Offset(0) };
        let mut header =
            SnapshotHeaderRecord { last_contained_log_timestamp: last.0, ..SnapshotHeaderRecord::default() };
        let mut first = vec![(ControlType::SnapshotHeader, batch::value(&mut header))];
        first.extend(voters.into_iter().flat_map(batch::voter_records));
        writer.push_batch(control::quorum_batch(Offset(0), LeaderEpoch(0), now, &first));
        writer
    }

    /// Adds records: in batches, because a reader holds one in memory.
    pub fn push(&mut self, records: Vec<MetadataRecord>) {
        let mut rest = records.into_iter().peekable();
        while rest.peek().is_some() {
            let piece = rest.by_ref().take(SNAPSHOT_BATCH);
            let version = self.metadata_version;
            let values: Vec<Bytes> = piece.map(|mut record| batch::encode_record(&mut record, version)).collect();
            self.push_batch(batch::of_values(self.next, LeaderEpoch(0), self.now, &values));
        }
    }

    /// The file.
    pub(crate) fn finish(mut self) -> Bytes {
        let footer = batch::value(&mut SnapshotFooterRecord::default());
        let last = [(ControlType::SnapshotFooter, footer)];
        self.push_batch(control::quorum_batch(self.next, LeaderEpoch(0), self.now, &last));
        self.bytes.freeze()
    }

    fn push_batch(&mut self, batch: Batches) {
        self.next = self.next.plus(batch.record_count());
        for piece in batch.write_pieces() {
            self.bytes.extend_from_slice(&piece);
        }
    }
}

/// Records in a batch of a snapshot.
const SNAPSHOT_BATCH: usize = 1024;
