//! The LZ4 frame format.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::pure::read_within;
use super::{Compression, CompressionError};

/// As Kafka writes it: independent blocks of 64 KiB, no checksums, for the batch has its own. LZ4's levels name a slower
/// search, which is not implemented here: the level is the host's to honour.
pub(super) fn compress(plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::with_capacity(plain.len() / 2));
    encoder.write_all(plain).map_err(|error| CompressionError::failed(Compression::Lz4, error))?;
    encoder.finish().map_err(|error| CompressionError::failed(Compression::Lz4, error))
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    // The decoder's own buffers are at most two blocks of 8 MiB, the largest that the format knows.
    read_within(Compression::Lz4, FrameDecoder::new(packed), limit)
}
