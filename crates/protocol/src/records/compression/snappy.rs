//! Snappy, in the frame that snappy-java puts around its blocks, or bare as librdkafka sends it.

use snap::raw::{Decoder, Encoder, decompress_len};

use super::{Compression, CompressionError};

/// What snappy-java starts a stream with; two version numbers follow.
const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const FRAME_HEAD: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Bytes of a block before compression: snappy-java's default.
const BLOCK_SIZE: usize = 32 * 1024;
/// The densest element is a copy: three bytes for 64.
const MAX_RATIO: usize = 22;

pub(super) fn compress(plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let mut packed = FRAME_HEAD.to_vec();
    let mut encoder = Encoder::new();
    for block in plain.chunks(BLOCK_SIZE) {
        let block =
            encoder.compress_vec(block).map_err(|error| CompressionError::failed(Compression::Snappy, error))?;
        let length = u32::try_from(block.len()).expect("a block is small");
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(&block);
    }
    Ok(packed)
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::new();
    let Some(mut rest) = packed.strip_prefix(&MAGIC) else {
        push_block(packed, &mut plain, limit)?;
        return Ok(plain);
    };
    rest = rest.get(FRAME_HEAD.len() - MAGIC.len()..).ok_or_else(cut_short)?;
    while !rest.is_empty() {
        // Streams that follow each other are one, as snappy-java reads them.
        if let Some(next) = rest.strip_prefix(&MAGIC) {
            rest = next.get(FRAME_HEAD.len() - MAGIC.len()..).ok_or_else(cut_short)?;
            continue;
        }
        let (length, blocks) = rest.split_first_chunk().ok_or_else(cut_short)?;
        let (block, next) = blocks.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_short)?;
        push_block(block, &mut plain, limit)?;
        rest = next;
    }
    Ok(plain)
}

/// Decompresses one block. It says its size: that is believed only as far as its bytes could make it true.
fn push_block(block: &[u8], plain: &mut Vec<u8>, limit: usize) -> Result<(), CompressionError> {
    let corrupt = |error| CompressionError::corrupt(Compression::Snappy, error);
    let size = decompress_len(block).map_err(corrupt)?;
    if size > limit - plain.len() {
        return Err(CompressionError::Limit { limit });
    }
    if size > block.len().saturating_mul(MAX_RATIO) {
        let reason = format!("{} bytes cannot hold {size}", block.len());
        return Err(CompressionError::corrupt(Compression::Snappy, reason));
    }
    let start = plain.len();
    plain.resize(start + size, 0);
    Decoder::new().decompress(block, &mut plain[start..]).map_err(corrupt)?;
    Ok(())
}

fn cut_short() -> CompressionError {
    CompressionError::corrupt(Compression::Snappy, "the stream ends inside a block")
}
