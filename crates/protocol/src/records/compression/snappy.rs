//! Snappy, in the frame that snappy-java puts around its blocks, or bare as librdkafka sends it. Whose blocks is the caller's
//! choice.

use super::matches::take_apart;
use super::plain::{CUT_SHORT, Fault, Plain, Step, take, take_number};
use super::{Compression, CompressionError};

/// What snappy-java starts a stream with; two version numbers follow.
const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const FRAME_HEAD: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// Bytes of a block before compression: snappy-java's default.
const BLOCK_SIZE: usize = 32 * 1024;
/// The longest copy of one element.
const MOST_COPIED: usize = 64;

/// Puts snappy-java's frame around the blocks that `pack` appends.
pub fn wrap(plain: &[u8], pack: &mut dyn FnMut(&[u8], &mut Vec<u8>)) -> Vec<u8> {
    let mut packed = FRAME_HEAD.to_vec();
    for block in plain.chunks(BLOCK_SIZE) {
        let start = packed.len();
        packed.extend_from_slice(&[0; 4]);
        pack(block, &mut packed);
        let length = (packed.len() - start - 4) as u32;
        packed[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    packed
}

/// Finds the blocks, for `unpack` to append what they hold.
pub fn unwrap(
    packed: &[u8],
    unpack: &mut dyn FnMut(&[u8]) -> Result<(), CompressionError>,
) -> Result<(), CompressionError> {
    let Some(mut rest) = packed.strip_prefix(&MAGIC) else { return unpack(packed) };
    let behind_versions = FRAME_HEAD.len() - MAGIC.len();
    rest = rest.get(behind_versions..).ok_or_else(cut_short)?;
    while !rest.is_empty() {
        // Streams that follow each other are one, as snappy-java reads them.
        if let Some(next) = rest.strip_prefix(&MAGIC) {
            rest = next.get(behind_versions..).ok_or_else(cut_short)?;
            continue;
        }
        let (length, blocks) = rest.split_first_chunk().ok_or_else(cut_short)?;
        let (block, next) = blocks.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_short)?;
        unpack(block)?;
        rest = next;
    }
    Ok(())
}

pub(super) fn pack_block(plain: &[u8], packed: &mut Vec<u8>) {
    let mut size = plain.len();
    while size >= 0x80 {
        packed.push(size as u8 | 0x80);
        size >>= 7;
    }
    packed.push(size as u8);
    let rest = take_apart(plain, BLOCK_SIZE, &mut |sequence| {
        put_literals(sequence.literals, packed);
        let mut left = sequence.length;
        while left > 0 {
            let length = left.min(MOST_COPIED);
            packed.push(((length - 1) << 2 | 2) as u8);
            packed.extend_from_slice(&(sequence.distance as u16).to_le_bytes());
            left -= length;
        }
    });
    put_literals(rest, packed);
}

fn put_literals(literals: &[u8], packed: &mut Vec<u8>) {
    let Some(most) = literals.len().checked_sub(1) else { return };
    match most {
        0..60 => packed.push((most << 2) as u8),
        _ => {
            // No block is longer than two bytes can tell.
            packed.push(61 << 2);
            packed.extend_from_slice(&(most as u16).to_le_bytes());
        }
    }
    packed.extend_from_slice(literals);
}

pub(super) fn unpack_block(mut rest: &[u8], plain: &mut Plain) -> Step {
    let size = take_size(&mut rest)?;
    let start = plain.len();
    while !rest.is_empty() {
        let tag = take_number(&mut rest, 1)? as usize;
        let many = tag >> 2;
        let (distance, length) = match tag & 3 {
            0 => {
                let most = match many {
                    0..60 => many,
                    _ => take_number(&mut rest, many - 59)? as usize,
                };
                plain.push(take(&mut rest, most.saturating_add(1))?)?;
                continue;
            }
            1 => ((tag >> 5) << 8 | take_number(&mut rest, 1)? as usize, (many & 7) + 4),
            2 => (take_number(&mut rest, 2)? as usize, many + 1),
            _ => (take_number(&mut rest, 4)? as usize, many + 1),
        };
        plain.repeat(distance, length, start)?;
    }
    if plain.len() - start != size { Err(Fault::Corrupt("a block is not as long as it says")) } else { Ok(()) }
}

/// What a block says its size is. Nothing is done by it but to compare.
fn take_size(rest: &mut &[u8]) -> Step<usize> {
    let mut size = 0;
    for shift in (0..35).step_by(7) {
        let byte = take_number(rest, 1)?;
        size |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            return usize::try_from(size).map_err(|_| CUT_SHORT);
        }
    }
    Err(Fault::Corrupt("a size without an end"))
}

fn cut_short() -> CompressionError {
    CompressionError::corrupt(Compression::Snappy, "the stream ends inside a block")
}
