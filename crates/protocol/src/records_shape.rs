//! The shape of `records` that messages need, while the module itself is being written.
use crate::Region;
use bytes::Bytes;

/// The `records` field of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    /// Unchecked bytes.
    Bytes(Bytes),
    /// Checked batches.
    Batches(Batches),
    /// Bytes of a log by name.
    Regions(Vec<Region>),
}

/// Checked batches.
#[derive(Clone, Debug, PartialEq)]
pub struct Batches {
    bytes: Bytes,
}

impl Batches {
    /// Total size.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
    /// The bytes to write.
    pub fn write_pieces(&self) -> Vec<Bytes> {
        vec![self.bytes.clone()]
    }
}

impl Records {
    /// How many bytes they take on the wire.
    pub fn size(&self) -> usize {
        match self {
            Records::Bytes(bytes) => bytes.len(),
            Records::Batches(batches) => batches.bytes(),
            Records::Regions(regions) => regions.iter().map(|region| region.len as usize).sum(),
        }
    }
}
