//! Native compressors: zstd and the higher levels of lz4 by the C libraries, the rest by fast crates.

use std::io::{Read, Write};

use protocol::records::{Compression, CompressionError, Compressors};

use crate::codecs::FastCompressors;

/// Kafka compresses fast at this level of lz4, its default, and thoroughly at every other one.
const LZ4_FAST: i32 = 9;

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
            Compression::Lz4 if level.is_some_and(|it| it != LZ4_FAST) => {
                pack_lz4(level.and_then(|it| u32::try_from(it).ok()).unwrap_or(1), plain)
                    .map_err(|error| CompressionError::Failed { compression, reason: error.to_string() })
            }
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

/// A frame of independent blocks, which is all that Kafka's clients can read.
fn pack_lz4(level: u32, plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = lz4::EncoderBuilder::new()
        .level(level)
        .block_mode(lz4::BlockMode::Independent)
        .block_size(lz4::BlockSize::Max64KB)
        .checksum(lz4::ContentChecksum::NoChecksum)
        .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
        .build(Vec::new())?;
    encoder.write_all(plain)?;
    let (packed, ended) = encoder.finish();
    ended.map(|()| packed)
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

    #[test]
    fn lz4_packs_tighter_at_a_higher_level_in_frames_that_every_client_reads() {
        let plain: Vec<u8> = (0..40_000u32).flat_map(|it| (it % 977 * (it % 13)).to_le_bytes()).collect();
        let packed = |level| NativeCompressors.compress(Compression::Lz4, level, &plain).unwrap();
        let (fast, thorough) = (packed(Some(LZ4_FAST)), packed(Some(12)));
        assert_eq!(fast, packed(None));
        assert!(thorough.len() * 10 < fast.len() * 9, "{} and {}", thorough.len(), fast.len());
        for level in 1..=17 {
            let packed = packed(Some(level));
            assert_eq!(PureCompressors.decompress(Compression::Lz4, &packed, plain.len()).unwrap(), plain, "{level}");
            // Version 1, independent blocks, no checksums; blocks of 64 KB.
            assert_eq!(packed[4..6], [0x60, 0x40], "{level}");
        }
    }
}
