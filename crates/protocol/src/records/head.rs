//! The head of a batch: its first 61 bytes.

use super::compression::Compression;
use super::error::{Fault, RecordsError};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Bytes of a head.
pub const HEAD_SIZE: usize = 61;
/// Bytes in front of what `batch_length` counts: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// The one format there is.
pub const MAGIC: i8 = 2;

/// Where the parts that are rewritten or checksummed begin.
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
/// The CRC covers everything from here to the end of the batch.
pub(crate) const ATTRIBUTES_AT: usize = 21;

/// What a batch's timestamps mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's clock, record by record.
    #[default]
    CreateTime,
    /// The broker's clock at the append: all records have the batch's `max_timestamp`.
    LogAppendTime,
}

/// The attributes of a batch. Their compression is always one that exists; unused bits are kept as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(i16);

impl Attributes {
    const COMPRESSION: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// Of the 16 bits on the wire; `None` if they name a compression that nobody defined.
    pub fn from_bits(bits: i16) -> Option<Attributes> {
        Compression::from_id(bits & Self::COMPRESSION).map(|_| Attributes(bits))
    }

    /// The 16 bits on the wire.
    pub fn bits(self) -> i16 {
        self.0
    }

    /// How the records are compressed.
    pub fn compression(self) -> Compression {
        Compression::from_id(self.0 & Self::COMPRESSION).expect("checked when made")
    }

    /// What the timestamps mean.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// True for a batch of a transaction, markers included.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// True for records that speak to Kafka itself; applications never see them.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// True if `base_timestamp` is the time at which compaction may drop tombstones and markers (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same with this compression.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Attributes {
        Attributes(self.0 & !Self::COMPRESSION | compression.id())
    }

    /// The same with timestamps of this type.
    #[must_use]
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Attributes {
        self.with(Self::LOG_APPEND_TIME, timestamp_type == TimestampType::LogAppendTime)
    }

    /// The same, of a transaction or not.
    #[must_use]
    pub fn with_transactional(self, transactional: bool) -> Attributes {
        self.with(Self::TRANSACTIONAL, transactional)
    }

    /// The same, control or not.
    #[must_use]
    pub fn with_control(self, control: bool) -> Attributes {
        self.with(Self::CONTROL, control)
    }

    /// The same, with a delete horizon or not.
    #[must_use]
    pub fn with_delete_horizon(self, delete_horizon: bool) -> Attributes {
        self.with(Self::DELETE_HORIZON, delete_horizon)
    }

    fn with(self, bit: i16, on: bool) -> Attributes {
        Attributes(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// The first 61 bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Of the first record that the batch had when it was produced.
    pub base_offset: Offset,
    /// Bytes after this field: 49 of the head, then the records.
    pub batch_length: i32,
    /// Of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Format, always 2.
    pub magic: i8,
    /// CRC-32C of all that follows this field.
    pub crc: u32,
    /// Compression, kinds of timestamp and batch.
    pub attributes: Attributes,
    /// Of the last record that the batch had when it was produced. Compaction keeps it.
    pub last_offset_delta: i32,
    /// What the records' timestamps count from (or the delete horizon), in ms.
    pub base_timestamp: i64,
    /// The greatest timestamp of the batch, in ms; -1 if it has none.
    pub max_timestamp: i64,
    /// -1 for a producer that is not idempotent.
    pub producer_id: ProducerId,
    /// -1 for a producer that is not idempotent.
    pub producer_epoch: ProducerEpoch,
    /// Of the first record; -1 for a producer that is not idempotent.
    pub base_sequence: i32,
    /// Records in the batch; compaction may leave none.
    pub record_count: i32,
}

impl BatchHead {
    /// Reads the head at the start of `bytes`. Errors speak of position 0.
    pub fn decode(bytes: &[u8]) -> Result<BatchHead, RecordsError> {
        let short = |needed| RecordsError::new(Fault::Truncated { needed, have: bytes.len() });
        // The magic stands at the same place in every format, and an old batch may be shorter than our head.
        let magic = *bytes.get(MAGIC_AT).ok_or_else(|| short(HEAD_SIZE))? as i8;
        if magic != MAGIC {
            return Err(RecordsError::new(Fault::Magic(magic)));
        }
        let head: &[u8; HEAD_SIZE] = bytes.first_chunk().ok_or_else(|| short(HEAD_SIZE))?;
        let base_offset = Offset(i64::from_be_bytes(part(head, 0)));
        let fault = |fault| RecordsError::new(fault).of_batch(base_offset);
        let batch_length = i32::from_be_bytes(part(head, 8));
        if batch_length < (HEAD_SIZE - LOG_OVERHEAD) as i32 {
            return Err(fault(Fault::BatchLength(batch_length)));
        }
        let bits = i16::from_be_bytes(part(head, ATTRIBUTES_AT));
        let attributes = Attributes::from_bits(bits).ok_or_else(|| fault(Fault::UnknownCompression(bits)))?;
        Ok(BatchHead {
            base_offset,
            batch_length,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(part(head, 12))),
            magic,
            crc: u32::from_be_bytes(part(head, CRC_AT)),
            attributes,
            last_offset_delta: i32::from_be_bytes(part(head, 23)),
            base_timestamp: i64::from_be_bytes(part(head, 27)),
            max_timestamp: i64::from_be_bytes(part(head, 35)),
            producer_id: ProducerId(i64::from_be_bytes(part(head, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(part(head, 51))),
            base_sequence: i32::from_be_bytes(part(head, 53)),
            record_count: i32::from_be_bytes(part(head, 57)),
        })
    }

    /// The head's bytes.
    pub fn encode(&self) -> [u8; HEAD_SIZE] {
        let mut head = [0; HEAD_SIZE];
        head[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        head[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        head[12..16].copy_from_slice(&self.leader_epoch.0.to_be_bytes());
        head[16] = self.magic as u8;
        head[17..21].copy_from_slice(&self.crc.to_be_bytes());
        head[21..23].copy_from_slice(&self.attributes.bits().to_be_bytes());
        head[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        head[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        head[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        head[43..51].copy_from_slice(&self.producer_id.0.to_be_bytes());
        head[51..53].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        head[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        head[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        head
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + self.batch_length.max(0) as usize
    }

    /// Of the last record that the batch had when it was produced.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// Where the next batch begins.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// Of the last record; -1 if the producer is not idempotent. Sequences go from `i32::MAX` to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 { -1 } else { add_sequence(self.base_sequence, self.last_offset_delta) }
    }

    /// True if an idempotent producer sent it.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > ProducerId::NONE
    }
}

/// The sequence `count` records after `sequence`: after `i32::MAX` comes 0.
pub(crate) fn add_sequence(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}

fn part<const N: usize>(head: &[u8; HEAD_SIZE], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}
