//! Record batch v2 (KIP-98): what producers send, logs hold and consumers read.
//!
//! A batch is a [`BatchHead`] of 61 bytes and then records, perhaps compressed. The broker checks a batch once
//! ([`check`]), then knows it by its head: [`Batches`] shares the bytes that came off the wire and rewrites heads beside
//! them. Who wants the records themselves uses [`read`]; who makes some, a [`BatchBuilder`].
//!
//! Only magic 2 exists here, as in Apache Kafka 4: older formats are refused by name.

mod batches;
mod budget;
mod build;
mod check;
pub mod compression;
pub mod control;
mod crc;
mod error;
mod head;
mod read;
mod record;
mod varint;

use bytes::Bytes;

use crate::Region;

pub use batches::{BatchFacts, Batches};
pub use budget::Budget;
pub use build::BatchBuilder;
pub use check::{CheckRules, check, verify};
pub use compression::{Compression, CompressionError, Compressors, PureCompressors};
pub use control::ControlType;
pub use crc::crc32c;
pub use error::{Fault, RecordFault, RecordsError};
pub use head::{Attributes, BatchHead, HEAD_SIZE, LOG_OVERHEAD, MAGIC, TimestampType};
pub use read::{Read, decompressed, plain, read};
pub use record::{Headers, Record, RecordView, RecordViews};

/// The `records` field of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    /// As they came: nothing is known about them.
    Bytes(Bytes),
    /// Checked, their heads at hand.
    Batches(Batches),
    /// Bytes that did not pass the check, and why: nobody need look at them again.
    Refused(Bytes, Box<RecordsError>),
    /// Bytes of a log by name, for whoever sends them to fetch.
    Regions(Vec<Region>),
}

impl Records {
    /// How many bytes they take on the wire.
    pub fn size(&self) -> usize {
        match self {
            Records::Bytes(bytes) | Records::Refused(bytes, _) => bytes.len(),
            Records::Batches(batches) => batches.bytes(),
            Records::Regions(regions) => regions.iter().map(|region| region.len as usize).sum(),
        }
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }
}

impl Default for Records {
    fn default() -> Records {
        Records::Bytes(Bytes::new())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Records {
        Records::Bytes(bytes)
    }
}

impl From<Batches> for Records {
    fn from(batches: Batches) -> Records {
        Records::Batches(batches)
    }
}
