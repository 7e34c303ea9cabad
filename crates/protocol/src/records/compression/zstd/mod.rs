//! Zstandard, RFC 8878. Section numbers here are the RFC's.

mod encode;
mod fse;
mod huffman;
mod sequences;

pub(super) use encode::compress;

use fse::Table;
use huffman::Huffman;

use super::plain::{CUT_SHORT, Fault, Plain, Step, take, take_number};
use super::xxhash::xxh64;

const MAGIC: u64 = 0xfd2f_b528;
/// Frames to pass over have a magic of these, but for the last four bits.
const SKIPPABLE: u64 = 0x184d_2a50;
/// The most that a block decompresses to, and is long.
const BLOCK_SIZE: usize = 128 << 10;
const TOO_LONG: Fault = Fault::Corrupt("a block is longer than one can be");

/// What goes on from one compressed block of a frame to the next.
struct Frame {
    /// The first byte of the frame in what is decompressed.
    first: usize,
    huffman: Option<Huffman>,
    /// Of literals' lengths, offsets and matches' lengths.
    tables: [Option<Table>; 3],
    /// The offsets used last.
    offsets: [usize; 3],
}

/// Frames that follow each other are one stream.
pub(super) fn decompress(mut packed: &[u8], plain: &mut Plain) -> Step {
    while !packed.is_empty() {
        match take_number(&mut packed, 4)? {
            MAGIC => frame(&mut packed, plain)?,
            magic if magic & !15 == SKIPPABLE => {
                let length = take_number(&mut packed, 4)? as usize;
                take(&mut packed, length)?;
            }
            _ => return Err(Fault::Corrupt("it does not begin as a frame does")),
        }
    }
    Ok(())
}

/// 3.1.1. The window that a frame asks for is not kept to: all of it is at hand.
fn frame(rest: &mut &[u8], plain: &mut Plain) -> Step {
    let descriptor = take_number(rest, 1)?;
    let is_single = descriptor & 1 << 5 != 0;
    if descriptor & 1 << 3 != 0 {
        return Err(Fault::Corrupt("a frame with a reserved bit"));
    }
    if !is_single {
        take(rest, 1)?;
    }
    if take_number(rest, [0, 1, 2, 4][descriptor as usize & 3])? != 0 {
        return Err(Fault::Corrupt("it takes a dictionary"));
    }
    let size = match descriptor >> 6 {
        0 if !is_single => None,
        0 => Some(take_number(rest, 1)?),
        1 => Some(take_number(rest, 2)? + 256),
        power => Some(take_number(rest, 1 << power)?),
    };
    let first = plain.len();
    let mut frame = Frame { first, huffman: None, tables: [const { None }; 3], offsets: [1, 4, 8] };
    loop {
        let head = take_number(rest, 3)? as usize;
        let length = head >> 3;
        if length > BLOCK_SIZE {
            return Err(TOO_LONG);
        }
        match head >> 1 & 3 {
            0 => plain.push(take(rest, length)?)?,
            1 => plain.fill(take_number(rest, 1)? as u8, length)?,
            2 => frame.block(take(rest, length)?, plain)?,
            _ => return Err(Fault::Corrupt("a block of no kind that there is")),
        }
        if head & 1 != 0 {
            break;
        }
    }
    let content = &plain.bytes()[first..];
    if size.is_some_and(|it| it != content.len() as u64) {
        return Err(Fault::Corrupt("its length is another"));
    }
    if descriptor & 1 << 2 != 0 && take_number(rest, 4)? != xxh64(content) & u64::from(u32::MAX) {
        return Err(Fault::Corrupt("its checksum is another"));
    }
    Ok(())
}

impl Frame {
    /// 3.1.1.3: literals, then the sequences that put them between what was there before.
    fn block(&mut self, mut rest: &[u8], plain: &mut Plain) -> Step {
        let start = plain.len();
        let literals = self.literals(&mut rest)?;
        self.sequences(rest, &literals, plain)?;
        if plain.len() - start > BLOCK_SIZE {
            return Err(TOO_LONG);
        }
        Ok(())
    }

    /// 3.1.1.3.1
    fn literals(&mut self, rest: &mut &[u8]) -> Step<Vec<u8>> {
        let kind = *rest.first().ok_or(CUT_SHORT)?;
        let format = kind >> 2 & 3;
        if kind & 2 == 0 {
            let (head, shift) = match format {
                1 => (2, 4),
                3 => (3, 4),
                _ => (1, 3),
            };
            let size = take_number(rest, head)? as usize >> shift;
            if size > BLOCK_SIZE {
                return Err(TOO_LONG);
            }
            let is_one_byte = kind & 1 != 0;
            return Ok(if is_one_byte { vec![take_number(rest, 1)? as u8; size] } else { take(rest, size)?.to_vec() });
        }
        let (head, bits) = match format {
            2 => (4, 14),
            3 => (5, 18),
            _ => (3, 10),
        };
        // 40 bits at most, which a word need not have.
        let head = take_number(rest, head)? >> 4;
        let (size, length) = ((head & !(!0 << bits)) as usize, (head >> bits) as usize);
        if size > BLOCK_SIZE {
            return Err(TOO_LONG);
        }
        let mut packed = take(rest, length)?;
        if kind & 1 == 0 {
            self.huffman = Some(Huffman::read(&mut packed)?);
        }
        let huffman = self.huffman.as_ref().ok_or(Fault::Corrupt("literals by a tree that is not there"))?;
        let mut literals = Vec::new();
        if format == 0 {
            huffman.decode(packed, size, &mut literals)?;
            return Ok(literals);
        }
        // Four streams: how long three of them are comes first.
        let lengths = [take_number(&mut packed, 2)?, take_number(&mut packed, 2)?, take_number(&mut packed, 2)?];
        let share = size.div_ceil(4);
        for length in lengths {
            let count = share.min(size - literals.len());
            huffman.decode(take(&mut packed, length as usize)?, count, &mut literals)?;
        }
        huffman.decode(packed, size - literals.len(), &mut literals)?;
        Ok(literals)
    }
}
