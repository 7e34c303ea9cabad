//! What compresses and decompresses the records of a batch.

mod bits;
mod deflate;
pub mod gzip;
pub mod lz4;
mod matches;
mod plain;
mod pure;
pub mod snappy;
mod xxhash;
mod zstd;

use std::fmt;

pub use pure::PureCompressors;

/// How a batch's records are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Blocks of Snappy, framed as snappy-java does.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// All there are.
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// The number in a batch's attributes.
    pub fn id(self) -> i16 {
        self as i16
    }

    /// The compression of a number in a batch's attributes.
    pub fn from_id(id: i16) -> Option<Compression> {
        Compression::ALL.into_iter().find(|it| it.id() == id)
    }

    /// Kafka's name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// The compression of Kafka's name.
    pub fn from_name(name: &str) -> Option<Compression> {
        Compression::ALL.into_iter().find(|it| it.name() == name)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compresses and decompresses. A host may have faster ones than [`PureCompressors`]; a simulation must not, or a seed
/// would give other bytes elsewhere.
pub trait Compressors: Send + Sync {
    /// Compresses `plain`. `level` is Kafka's `compression.*.level`; `None` is the codec's default, and a codec that has no
    /// levels ignores it.
    fn compress(&self, compression: Compression, level: Option<i32>, plain: &[u8])
    -> Result<Vec<u8>, CompressionError>;

    /// Decompresses `packed` to at most `limit` bytes. Never allocates by a size that the bytes merely claim.
    fn decompress(&self, compression: Compression, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError>;
}

/// Why records cannot be compressed or decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompressionError {
    /// More bytes would come out than the caller takes.
    Limit {
        /// The caller's limit.
        limit: usize,
    },
    /// The bytes are not what the codec writes.
    Corrupt {
        /// The codec.
        compression: Compression,
        /// Its complaint.
        reason: String,
    },
    /// The codec cannot write this.
    Failed {
        /// The codec.
        compression: Compression,
        /// Its complaint.
        reason: String,
    },
}

impl CompressionError {
    /// Of bytes that are not what the codec writes.
    pub fn corrupt(compression: Compression, reason: &str) -> CompressionError {
        CompressionError::Corrupt { compression, reason: reason.to_owned() }
    }
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompressionError::Limit { limit } => write!(f, "the records decompress to more than {limit} bytes"),
            CompressionError::Corrupt { compression, reason } => {
                write!(f, "the records are not {compression}: {reason}")
            }
            CompressionError::Failed { compression, reason } => {
                write!(f, "{compression} cannot compress the records: {reason}")
            }
        }
    }
}

impl std::error::Error for CompressionError {}
