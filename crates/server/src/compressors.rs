//! Native compressors: zstd by the C library, the rest by fast crates.

use std::io::Read;

use protocol::records::{Compression, CompressionError, Compressors};

use crate::codecs::FastCompressors;

/// What the server passes to `protocol`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeCompressors;

impl Compressors for NativeCompressors {
    fn compress(
        &self,
        compression: Compression,
        level: Option<i32>,
        plain: &[u8],
    ) -> Result<Vec<u8>, CompressionError> {
        match compression {
            Compression::Zstd => zstd::encode_all(plain, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL))
                .map_err(|error| CompressionError::Failed { compression, reason: error.to_string() }),
            _ => FastCompressors.compress(compression, level, plain),
        }
    }

    fn decompress(&self, compression: Compression, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        match compression {
            Compression::Zstd => {
                let corrupt =
                    |error: std::io::Error| CompressionError::Corrupt { compression, reason: error.to_string() };
                let decoder = zstd::Decoder::with_buffer(packed).map_err(corrupt)?;
                let mut plain = Vec::new();
                // One byte more than allowed tells a full output from one that goes on.
                decoder.take(limit as u64 + 1).read_to_end(&mut plain).map_err(corrupt)?;
                if plain.len() > limit { Err(CompressionError::Limit { limit }) } else { Ok(plain) }
            }
            _ => FastCompressors.decompress(compression, packed, limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::records::PureCompressors;

    use super::*;

    #[test]
    fn zstd_goes_both_ways_with_the_pure_codec_and_stops_at_the_limit() {
        let plain = vec![7; 100_000];
        let packed = NativeCompressors.compress(Compression::Zstd, None, &plain).unwrap();
        assert_eq!(PureCompressors.decompress(Compression::Zstd, &packed, plain.len()).unwrap(), plain);
        let packed = PureCompressors.compress(Compression::Zstd, None, &plain).unwrap();
        assert_eq!(NativeCompressors.decompress(Compression::Zstd, &packed, plain.len()).unwrap(), plain);
        assert_eq!(
            NativeCompressors.decompress(Compression::Zstd, &packed, plain.len() - 1),
            Err(CompressionError::Limit { limit: plain.len() - 1 })
        );
        assert!(matches!(
            NativeCompressors.decompress(Compression::Zstd, b"no zstd at all", 100),
            Err(CompressionError::Corrupt { .. })
        ));
    }
}
