//! The LZ4 frame format, version 1.6. A batch is one frame: what follows it is read by nobody, as Kafka's readers have it.

use super::matches::take_apart;
use super::plain::{CUT_SHORT, Fault, Plain, Step, take, take_number};
use super::xxhash::xxh32;
use super::{Compression, CompressionError};

const MAGIC: u64 = 0x184d_2204;
/// As Kafka writes it: version 1, independent blocks of up to 64 KiB, no checksums, for the batch has its own; then the check
/// byte of all that.
const HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const BLOCK_SIZE: usize = 64 << 10;
/// How far back a repetition can be.
const WINDOW: usize = (64 << 10) - 1;
const SHORTEST: usize = 4;
/// No repetition may begin or end in what is behind: readers copy in strides.
const LITERAL_TAIL: usize = 12;
/// A block that is stored as it is.
const STORED: u32 = 1 << 31;

const VERSION: u8 = 0b1100_0000;
const VERSION_1: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
/// Reserved, and the dictionary that nobody here has.
const REFUSED: u8 = 0b11;

/// LZ4's levels name a slower search, which is not implemented here: the level is the host's to honour.
pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut packed = HEAD.to_vec();
    for block in plain.chunks(BLOCK_SIZE) {
        let start = packed.len();
        packed.extend_from_slice(&[0; 4]);
        pack_block(block, &mut packed);
        let mut length = (packed.len() - start - 4) as u32;
        if length as usize >= block.len() {
            packed.truncate(start + 4);
            packed.extend_from_slice(block);
            length = block.len() as u32 | STORED;
        }
        packed[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
    packed.extend_from_slice(&[0; 4]);
    packed
}

fn pack_block(plain: &[u8], packed: &mut Vec<u8>) {
    let searched = &plain[..plain.len().saturating_sub(LITERAL_TAIL)];
    let rest = take_apart(searched, WINDOW, &mut |sequence| {
        put_literals(sequence.literals, sequence.length - SHORTEST, packed);
        packed.extend_from_slice(&(sequence.distance as u16).to_le_bytes());
        put_rest_of_length(sequence.length - SHORTEST, packed);
    });
    put_literals(&plain[searched.len() - rest.len()..], 0, packed);
}

/// A token tells the first fifteen of either length.
fn put_literals(literals: &[u8], length: usize, packed: &mut Vec<u8>) {
    packed.push((literals.len().min(15) << 4 | length.min(15)) as u8);
    put_rest_of_length(literals.len(), packed);
    packed.extend_from_slice(literals);
}

fn put_rest_of_length(length: usize, packed: &mut Vec<u8>) {
    if let Some(rest) = length.checked_sub(15) {
        packed.resize(packed.len() + rest / 255, 255);
        packed.push((rest % 255) as u8);
    }
}

/// The first frame of what is packed, to the last byte. A codec that reads on behind it, or takes the end of the bytes for its
/// end, is given this.
pub fn first_frame(packed: &[u8]) -> Result<&[u8], CompressionError> {
    let length = frame_length(packed).map_err(|fault| fault.of(Compression::Lz4, 0))?;
    Ok(&packed[..length])
}

fn frame_length(packed: &[u8]) -> Step<usize> {
    let mut rest = packed;
    let Head { flags, .. } = head(&mut rest)?;
    loop {
        let length = take_number(&mut rest, 4)? as u32 & !STORED;
        if length == 0 {
            break;
        }
        take(&mut rest, length as usize)?;
        if flags & BLOCK_CHECKSUMS != 0 {
            take(&mut rest, 4)?;
        }
    }
    if flags & CONTENT_CHECKSUM != 0 {
        take(&mut rest, 4)?;
    }
    Ok(packed.len() - rest.len())
}

/// What a frame says of itself.
struct Head {
    flags: u8,
    /// How large a block is at most.
    most: usize,
    /// How large all is, if it says that.
    size: Option<u64>,
}

fn head(rest: &mut &[u8]) -> Step<Head> {
    if take_number(rest, 4)? != MAGIC {
        return Err(Fault::Corrupt("it does not begin as a frame does"));
    }
    let head = *rest;
    let [flags, block_size] = *take(rest, 2)?.first_chunk().ok_or(CUT_SHORT)?;
    let most = match block_size >> 4 {
        it @ 4..=7 if block_size & 0b1000_1111 == 0 => 1 << (8 + 2 * it),
        _ => return Err(Fault::Corrupt("no size that blocks can have")),
    };
    if flags & VERSION != VERSION_1 || flags & REFUSED != 0 {
        return Err(Fault::Corrupt("a version or a dictionary that is not known"));
    }
    let size = if flags & CONTENT_SIZE != 0 { Some(take_number(rest, 8)?) } else { None };
    let head = &head[..head.len() - rest.len()];
    if take_number(rest, 1)? != u64::from(xxh32(head) >> 8 & 0xff) {
        return Err(Fault::Corrupt("the check of its head is another"));
    }
    Ok(Head { flags, most, size })
}

pub(super) fn decompress(mut packed: &[u8], plain: &mut Plain) -> Step {
    let rest = &mut packed;
    let Head { flags, most, size } = head(rest)?;
    let start = plain.len();
    loop {
        let length = take_number(rest, 4)? as u32;
        if length & !STORED == 0 {
            break;
        }
        let block = take(rest, (length & !STORED) as usize)?;
        if flags & BLOCK_CHECKSUMS != 0 && take_number(rest, 4)? != u64::from(xxh32(block)) {
            return Err(Fault::Corrupt("the checksum of a block is another"));
        }
        let block_start = plain.len();
        if length & STORED != 0 {
            plain.push(block)?;
        } else {
            unpack_block(block, plain, if flags & INDEPENDENT != 0 { block_start } else { start })?;
        }
        if plain.len() - block_start > most {
            return Err(Fault::Corrupt("a block is larger than its frame says"));
        }
    }
    let content = &plain.bytes()[start..];
    if flags & CONTENT_CHECKSUM != 0 && take_number(rest, 4)? != u64::from(xxh32(content)) {
        return Err(Fault::Corrupt("its checksum is another"));
    }
    if size.is_some_and(|it| it != content.len() as u64) {
        return Err(Fault::Corrupt("its length is another"));
    }
    Ok(())
}

fn unpack_block(mut rest: &[u8], plain: &mut Plain, first: usize) -> Step {
    loop {
        let token = take_number(&mut rest, 1)? as usize;
        let literals = take_length(&mut rest, token >> 4)?;
        plain.push(take(&mut rest, literals)?)?;
        // The last sequence has literals alone.
        if rest.is_empty() {
            return Ok(());
        }
        let distance = take_number(&mut rest, 2)? as usize;
        let length = take_length(&mut rest, token & 15)?;
        plain.repeat(distance, length.saturating_add(SHORTEST), first)?;
    }
}

fn take_length(rest: &mut &[u8], mut length: usize) -> Step<usize> {
    if length == 15 {
        loop {
            let more = take_number(rest, 1)? as usize;
            length = length.saturating_add(more);
            if more < 255 {
                break;
            }
        }
    }
    Ok(length)
}
