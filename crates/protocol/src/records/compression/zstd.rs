//! Zstandard, RFC 8878.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::{Compression, CompressionError};

/// At about level 1, the one this codec has: the level is the host's to honour.
pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    compress_to_vec(plain, CompressionLevel::Fastest)
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::new();
    let mut rest = packed;
    while !rest.is_empty() {
        // Used again, a decoder would reserve the window that the next frame claims.
        let mut decoder = FrameDecoder::new();
        match decoder.init(&mut rest) {
            Ok(()) => take_frame(&mut decoder, &mut rest, &mut plain, limit)?,
            Err(error) => match skippable(&error) {
                Some(length) => rest = rest.get(length..).ok_or_else(|| corrupt("a skippable frame is cut short"))?,
                None => return Err(corrupt(error)),
            },
        }
    }
    Ok(plain)
}

fn take_frame(
    decoder: &mut FrameDecoder,
    rest: &mut &[u8],
    plain: &mut Vec<u8>,
    limit: usize,
) -> Result<(), CompressionError> {
    let room = limit - plain.len();
    // Stops at the block that passes the limit, so at most 128 KiB too late.
    let finished =
        decoder.decode_blocks(&mut *rest, BlockDecodingStrategy::UptoBytes(room.saturating_add(1))).map_err(corrupt)?;
    if !finished || decoder.can_collect() > room {
        return Err(CompressionError::Limit { limit });
    }
    plain.extend_from_slice(&decoder.collect().unwrap_or_default());
    match decoder.get_checksum_from_data() {
        Some(stored) if decoder.get_calculated_checksum() != Some(stored) => Err(corrupt("its checksum is wrong")),
        _ => Ok(()),
    }
}

fn skippable(error: &FrameDecoderError) -> Option<usize> {
    match error {
        FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. }) => {
            Some(*length as usize)
        }
        _ => None,
    }
}

fn corrupt(reason: impl std::fmt::Display) -> CompressionError {
    CompressionError::corrupt(Compression::Zstd, reason)
}
