//! Control records: what Kafka writes into logs for itself. Ends of transactions (KIP-98), the quorum's own (KIP-595, 630,
//! 853).

use bytes::Bytes;

use super::batches::Batches;
use super::build::BatchBuilder;
use super::compression::{Compression, PureCompressors};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, WallMs};

/// What a control record says; its key names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlType {
    /// The transaction was aborted.
    Abort,
    /// The transaction was committed.
    Commit,
    /// A new leader of the quorum: `LeaderChangeMessage`.
    LeaderChange,
    /// The start of a snapshot: `SnapshotHeaderRecord`.
    SnapshotHeader,
    /// The end of a snapshot: `SnapshotFooterRecord`.
    SnapshotFooter,
    /// The quorum's `kraft.version`: `KRaftVersionRecord`.
    KRaftVersion,
    /// The quorum's voters: `VotersRecord`.
    KRaftVoters,
}

impl ControlType {
    const ALL: [ControlType; 7] = [
        ControlType::Abort,
        ControlType::Commit,
        ControlType::LeaderChange,
        ControlType::SnapshotHeader,
        ControlType::SnapshotFooter,
        ControlType::KRaftVersion,
        ControlType::KRaftVoters,
    ];

    /// The number in the key.
    pub fn id(self) -> i16 {
        self as i16
    }

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            ControlType::Abort => "ABORT",
            ControlType::Commit => "COMMIT",
            ControlType::LeaderChange => "LEADER_CHANGE",
            ControlType::SnapshotHeader => "SNAPSHOT_HEADER",
            ControlType::SnapshotFooter => "SNAPSHOT_FOOTER",
            ControlType::KRaftVersion => "KRAFT_VERSION",
            ControlType::KRaftVoters => "KRAFT_VOTERS",
        }
    }

    /// The key of a control record: its version (0) and its type.
    pub fn key(self) -> [u8; 4] {
        let [high, low] = self.id().to_be_bytes();
        [0, 0, high, low]
    }

    /// Reads a key. `Ok(None)` is a type of a later Kafka, which readers pass over; a later version of the key is read as far
    /// as it is known.
    pub fn of_key(key: &[u8]) -> Result<Option<ControlType>, ControlError> {
        let [v1, v0, t1, t0] = *key.first_chunk().ok_or(ControlError::KeyLength(key.len()))?;
        let version = i16::from_be_bytes([v1, v0]);
        if version < 0 {
            return Err(ControlError::Version(version));
        }
        let id = i16::from_be_bytes([t1, t0]);
        Ok(ControlType::ALL.into_iter().find(|it| it.id() == id))
    }
}

/// How a transaction ended, as its marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// Committed or aborted.
    pub committed: bool,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTransaction {
    /// The type that its key names.
    pub fn control_type(self) -> ControlType {
        if self.committed { ControlType::Commit } else { ControlType::Abort }
    }

    /// The marker's value: its version (0) and the coordinator's epoch.
    pub fn value(self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }

    /// Reads a marker; `Ok(None)` if the record is a control record of another type.
    pub fn of_record(key: &[u8], value: &[u8]) -> Result<Option<EndTransaction>, ControlError> {
        let committed = match ControlType::of_key(key)? {
            Some(ControlType::Commit) => true,
            Some(ControlType::Abort) => false,
            _ => return Ok(None),
        };
        let [v1, v0, a, b, c, d] = *value.first_chunk().ok_or(ControlError::ValueLength(value.len()))?;
        let version = i16::from_be_bytes([v1, v0]);
        if version < 0 {
            return Err(ControlError::Version(version));
        }
        Ok(Some(EndTransaction { committed, coordinator_epoch: i32::from_be_bytes([a, b, c, d]) }))
    }

    /// The batch that ends a producer's transaction in a partition. Offset and epoch are stamped as for any batch.
    pub fn batch(self, producer_id: ProducerId, producer_epoch: ProducerEpoch, now: WallMs) -> Batches {
        // A marker has no sequence: it is not in the producer's order.
        let mut builder =
            BatchBuilder::new(Compression::None).control().transactional().producer(producer_id, producer_epoch, -1);
        builder.push(now, Some(&self.control_type().key()), Some(&self.value()), &[]);
        uncompressed(builder)
    }
}

/// A batch of the quorum's control records, placed in its log. Each value is the encoded message that the type names.
pub fn quorum_batch(
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    now: WallMs,
    records: &[(ControlType, Bytes)],
) -> Batches {
    let mut builder = BatchBuilder::new(Compression::None).control().place(base_offset, leader_epoch);
    for (control_type, value) in records {
        builder.push(now, Some(&control_type.key()), Some(value), &[]);
    }
    uncompressed(builder)
}

fn uncompressed(builder: BatchBuilder) -> Batches {
    builder.build_batches(&PureCompressors).expect("nothing is compressed")
}

/// Why a control record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlError {
    /// The key is too short.
    KeyLength(usize),
    /// The value is too short.
    ValueLength(usize),
    /// A version below zero.
    Version(i16),
}

impl std::fmt::Display for ControlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ControlError::KeyLength(length) => write!(f, "a control record's key has 4 bytes, not {length}"),
            ControlError::ValueLength(length) => write!(f, "a transaction marker's value has 6 bytes, not {length}"),
            ControlError::Version(version) => write!(f, "a control record of version {version}"),
        }
    }
}

impl std::error::Error for ControlError {}
