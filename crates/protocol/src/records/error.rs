//! What can be wrong with batches.

use std::fmt;

use super::compression::CompressionError;
use crate::{ErrorCode, Offset};

/// A batch that was refused or does not hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsError {
    /// Byte at which the batch begins, in the bytes that were given.
    pub at: usize,
    /// The batch's base offset, if it could be read.
    pub base_offset: Option<Offset>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end before the batch does.
    Truncated {
        /// Bytes the batch needs.
        needed: usize,
        /// Bytes there are.
        have: usize,
    },
    /// The length cannot hold a head.
    BatchLength(i32),
    /// A format that is not spoken: 0 and 1 came before Kafka 0.11.
    Magic(i8),
    /// Attributes that name a compression nobody defined.
    UnknownCompression(i16),
    /// The bytes are not those that the CRC was made of.
    Crc {
        /// What the head says.
        stored: u32,
        /// What the bytes say.
        computed: u32,
    },
    /// No batch where one is due.
    NoBatch,
    /// More than one batch where one is due.
    ManyBatches,
    /// The batch exceeds what the topic takes.
    TooLarge {
        /// Its bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Batches of a log whose offsets do not go up.
    OffsetOrder {
        /// The lowest that could follow.
        expected: Offset,
    },
    /// A producer counts from 0; the broker gives offsets.
    BaseOffset,
    /// Offsets and count do not agree, or there is nothing in the batch.
    Count {
        /// What the head counts.
        record_count: i32,
        /// The last delta of the head.
        last_offset_delta: i32,
    },
    /// Control records are Kafka's own; clients must not write them.
    Control,
    /// A producer with an id but no sequence.
    Sequence(i32),
    /// Only a broker sets LogAppendTime.
    TimestampType,
    /// This version of Produce came before the compression.
    CompressionTooNew,
    /// The records do not decompress.
    Compression(CompressionError),
    /// A record does not hold together.
    Record {
        /// Its index in the batch.
        index: i32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// Bytes after the last record.
    TrailingBytes(usize),
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// The bytes end inside it.
    EndsEarly,
    /// A varint that is longer than its type.
    Varint,
    /// Its size is negative, or not that of its fields.
    Size(i32),
    /// A key, value or header value as long as this goes past its end.
    Length(i32),
    /// As many headers cannot be in it.
    HeaderCount(i32),
    /// A header without a key.
    HeaderKey(i32),
    /// Its offset is not the one that follows.
    OffsetDelta(i32),
}

impl RecordsError {
    /// What a client is told.
    pub fn code(&self) -> ErrorCode {
        self.fault.code()
    }

    pub(crate) fn new(fault: Fault) -> RecordsError {
        RecordsError { at: 0, base_offset: None, fault }
    }

    pub(crate) fn of_batch(mut self, base_offset: Offset) -> RecordsError {
        self.base_offset = Some(base_offset);
        self
    }

    pub(crate) fn at(mut self, at: usize) -> RecordsError {
        self.at += at;
        self
    }
}

impl Fault {
    /// What a client is told: what Apache Kafka answers, and where it has no answer (a bomb) the closest one that tells a
    /// producer what to do.
    pub fn code(&self) -> ErrorCode {
        match self {
            Fault::BatchLength(_) | Fault::Crc { .. } => ErrorCode::CorruptMessage,
            // Kafka's codecs throw what has no code of its own. Unlike CORRUPT_MESSAGE it is not retriable, so a producer gives
            // the batch up instead of sending it until its delivery times out.
            Fault::UnknownCompression(_)
            | Fault::Compression(CompressionError::Corrupt { .. } | CompressionError::Failed { .. }) => {
                ErrorCode::UnknownServerError
            }
            // Kafka 4 refuses the formats that it once knew as invalid records, others as corrupt.
            Fault::Magic(0..=1) => ErrorCode::InvalidRecord,
            Fault::Magic(_) => ErrorCode::CorruptMessage,
            Fault::CompressionTooNew => ErrorCode::UnsupportedCompressionType,
            // A producer splits a batch that is too large.
            Fault::TooLarge { .. } | Fault::Compression(CompressionError::Limit { .. }) => ErrorCode::MessageTooLarge,
            Fault::TimestampType => ErrorCode::InvalidTimestamp,
            // To Kafka a batch that is cut short is none at all.
            Fault::Truncated { .. }
            | Fault::NoBatch
            | Fault::ManyBatches
            | Fault::OffsetOrder { .. }
            | Fault::BaseOffset
            | Fault::Count { .. }
            | Fault::Control
            | Fault::Sequence(_)
            | Fault::Record { .. }
            | Fault::TrailingBytes(_) => ErrorCode::InvalidRecord,
        }
    }
}

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base_offset {
            Some(offset) => write!(f, "batch of offset {offset} at byte {}: {}", self.at, self.fault),
            None => write!(f, "batch at byte {}: {}", self.at, self.fault),
        }
    }
}

impl std::error::Error for RecordsError {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Truncated { needed, have } => write!(f, "it needs {needed} bytes, there are {have}"),
            Fault::BatchLength(length) => write!(f, "a batch length of {length} cannot hold a head"),
            Fault::Magic(magic @ 0..=1) => write!(f, "record format {magic} is no longer supported, only 2 is"),
            Fault::Magic(magic) => write!(f, "record format {magic} does not exist"),
            Fault::UnknownCompression(bits) => write!(f, "the attributes {bits:#06x} name an unknown compression"),
            Fault::Crc { stored, computed } => {
                write!(f, "its CRC-32C is {stored:#010x}, that of its bytes {computed:#010x}")
            }
            Fault::NoBatch => write!(f, "there must be a batch"),
            Fault::ManyBatches => write!(f, "there must be one batch only"),
            Fault::TooLarge { size, limit } => write!(f, "its {size} bytes exceed the limit of {limit}"),
            Fault::OffsetOrder { expected } => write!(f, "it must not begin before offset {expected}"),
            Fault::BaseOffset => write!(f, "the base offset of a produced batch must be 0"),
            Fault::Count { record_count, last_offset_delta } => {
                write!(f, "{record_count} records do not fit a last offset delta of {last_offset_delta}")
            }
            Fault::Control => write!(f, "clients are not allowed to write control records"),
            Fault::Sequence(sequence) => write!(f, "a producer with an id cannot have sequence {sequence}"),
            Fault::TimestampType => write!(f, "a producer must not set the timestamp type to LogAppendTime"),
            Fault::CompressionTooNew => write!(f, "this version of the request does not know the compression"),
            Fault::Compression(error) => write!(f, "{error}"),
            Fault::Record { index, fault } => write!(f, "record {index}: {fault}"),
            Fault::TrailingBytes(count) => write!(f, "{count} bytes follow its last record"),
        }
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFault::EndsEarly => write!(f, "it ends early"),
            RecordFault::Varint => write!(f, "a varint is too long"),
            RecordFault::Size(size) => write!(f, "its size cannot be {size}"),
            RecordFault::Length(length) => write!(f, "a length cannot be {length}"),
            RecordFault::HeaderCount(count) => write!(f, "it cannot have {count} headers"),
            RecordFault::HeaderKey(length) => write!(f, "the length of a header's key cannot be {length}"),
            RecordFault::OffsetDelta(delta) => write!(f, "its offset delta {delta} is out of turn"),
        }
    }
}
