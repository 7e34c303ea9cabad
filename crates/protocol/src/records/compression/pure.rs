//! All codecs in Rust: the same bytes on every machine.

use super::{Compression, CompressionError, Compressors, gzip, lz4, snappy, zstd};

/// The codecs in pure Rust.
#[derive(Clone, Copy, Debug, Default)]
pub struct PureCompressors;

impl Compressors for PureCompressors {
    fn compress(
        &self,
        compression: Compression,
        level: Option<i32>,
        plain: &[u8],
    ) -> Result<Vec<u8>, CompressionError> {
        match compression {
            Compression::None => Ok(plain.to_vec()),
            Compression::Gzip => gzip::compress(plain, level),
            Compression::Snappy => snappy::compress(plain),
            Compression::Lz4 => lz4::compress(plain),
            Compression::Zstd => Ok(zstd::compress(plain)),
        }
    }

    fn decompress(&self, compression: Compression, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        match compression {
            Compression::None if packed.len() > limit => Err(CompressionError::Limit { limit }),
            Compression::None => Ok(packed.to_vec()),
            Compression::Gzip => gzip::decompress(packed, limit),
            Compression::Snappy => snappy::decompress(packed, limit),
            Compression::Lz4 => lz4::decompress(packed, limit),
            Compression::Zstd => zstd::decompress(packed, limit),
        }
    }
}

/// Reads to the end, but no more than `limit` bytes.
pub(super) fn read_within(
    compression: Compression,
    reader: impl std::io::Read,
    limit: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    std::io::Read::read_to_end(&mut std::io::Read::take(reader, most), &mut plain)
        .map_err(|error| CompressionError::corrupt(compression, error))?;
    if plain.len() > limit { Err(CompressionError::Limit { limit }) } else { Ok(plain) }
}
