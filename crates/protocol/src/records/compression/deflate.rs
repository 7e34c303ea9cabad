//! Deflate, RFC 1951.

use super::bits::{BitReader, BitWriter};
use super::matches::take_apart;
use super::plain::{CUT_SHORT, Fault, Plain, Step};

const WINDOW: usize = 32 << 10;
const SHORTEST: usize = 3;
const LONGEST: usize = 258;
/// The longest code of a symbol, in bits.
const MOST_BITS: usize = 15;
/// Literals, the end of a block, lengths; two more have fixed codes and are never used.
const SYMBOLS: usize = 288;
const END_OF_BLOCK: usize = 256;
/// Lengths are told by the buckets that begin here.
const FIRST_LENGTH: usize = 257;
const LAST_LENGTH: usize = 285;
const DISTANCES: usize = 30;
/// In this order come the lengths of the codes that the lengths of the codes are told in.
const ORDER: [u8; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// A stored block tells its length in two bytes.
const MOST_STORED: usize = 0xffff;

/// Lengths and distances, less their least, are told by a bucket and their place in it: `keep` is how many bits of a number
/// behind its highest the bucket tells. Answers the bucket and how many bits tell the place.
fn bucket(number: usize, keep: u32) -> (usize, u32) {
    let place_bits = number.checked_ilog2().unwrap_or(0).saturating_sub(keep);
    (((place_bits as usize) << keep) + (number >> place_bits), place_bits)
}

/// The least number of a bucket, and how many bits tell the place in it.
fn unbucket(bucket: usize, keep: u32) -> (usize, u32) {
    let place_bits = ((bucket >> keep) as u32).saturating_sub(1);
    ((bucket - ((place_bits as usize) << keep)) << place_bits, place_bits)
}

/// How much of a number a length's bucket tells, and a distance's.
const KEEP_LENGTH: u32 = 2;
const KEEP_DISTANCE: u32 = 1;

/// Appends `plain` in one block with the codes that every reader knows, or in as many as it takes to store it if that is less.
pub(super) fn deflate(plain: &[u8], packed: Vec<u8>) -> Vec<u8> {
    let start = packed.len();
    let mut writer = BitWriter::behind(packed);
    // The last block; fixed codes.
    writer.put(0b011, 3);
    let rest = take_apart(plain, WINDOW, &mut |sequence| {
        sequence.literals.iter().for_each(|it| put_symbol(&mut writer, usize::from(*it)));
        let mut left = sequence.length;
        while left > 0 {
            // What is left behind it is none, or long enough.
            let length = if left <= LONGEST { left } else { LONGEST.min(left - SHORTEST) };
            put_length(&mut writer, length);
            let (bucket, place_bits) = bucket(sequence.distance - 1, KEEP_DISTANCE);
            writer.put(reversed(bucket as u64, 5), 5);
            writer.put((sequence.distance - 1) as u64 & !(!0 << place_bits), place_bits);
            left -= length;
        }
    });
    rest.iter().for_each(|it| put_symbol(&mut writer, usize::from(*it)));
    put_symbol(&mut writer, END_OF_BLOCK);
    let packed = writer.finish();
    let stored = plain.len() + 5 * plain.len().div_ceil(MOST_STORED).max(1);
    if packed.len() - start > stored { store(plain, packed, start) } else { packed }
}

fn store(plain: &[u8], mut packed: Vec<u8>, start: usize) -> Vec<u8> {
    packed.truncate(start);
    let mut blocks = plain.chunks(MOST_STORED).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&(!length).to_le_bytes());
        packed.extend_from_slice(block);
    }
    packed
}

fn put_length(writer: &mut BitWriter, length: usize) {
    // The longest has a symbol of its own.
    let (bucket, place_bits) =
        if length == LONGEST { (LAST_LENGTH - FIRST_LENGTH, 0) } else { bucket(length - SHORTEST, KEEP_LENGTH) };
    put_symbol(writer, FIRST_LENGTH + bucket);
    writer.put((length - SHORTEST) as u64 & !(!0 << place_bits), place_bits);
}

/// Writes the fixed code of a symbol.
fn put_symbol(writer: &mut BitWriter, symbol: usize) {
    let (code, count) = match symbol {
        0..144 => (0x30 + symbol, 8),
        144..256 => (0x190 + symbol - 144, 9),
        256..280 => (symbol - 256, 7),
        _ => (0xc0 + symbol - 280, 8),
    };
    writer.put(reversed(code as u64, count), count);
}

/// Codes are written from their highest bit on.
fn reversed(code: u64, count: u32) -> u64 {
    code.reverse_bits() >> (u64::BITS - count)
}

/// Appends what one stream holds; answers what is behind it.
pub(super) fn inflate<'a>(packed: &'a [u8], plain: &mut Plain) -> Step<&'a [u8]> {
    let first = plain.len();
    let mut reader = BitReader::new(packed);
    let mut fixed = None;
    loop {
        let is_last = reader.take(1)? == 1;
        match reader.take(2)? {
            0 => {
                let rest = reader.rest();
                let ([a, b, c, d], rest) = rest.split_first_chunk().ok_or(CUT_SHORT)?;
                let length = u16::from_le_bytes([*a, *b]);
                if length != !u16::from_le_bytes([*c, *d]) {
                    return Err(Fault::Corrupt("a stored block has two lengths"));
                }
                let (stored, rest) = rest.split_at_checked(usize::from(length)).ok_or(CUT_SHORT)?;
                plain.push(stored)?;
                reader = BitReader::new(rest);
            }
            1 => {
                let (symbols, distances) = fixed.get_or_insert_with(fixed_codes);
                block(&mut reader, plain, first, symbols, distances)?;
            }
            2 => {
                let (symbols, distances) = described(&mut reader)?;
                block(&mut reader, plain, first, &symbols, &distances)?;
            }
            _ => return Err(Fault::Corrupt("a block of no kind that there is")),
        }
        if is_last {
            return Ok(reader.rest());
        }
    }
}

fn block(reader: &mut BitReader<'_>, plain: &mut Plain, first: usize, symbols: &Codes, distances: &Codes) -> Step {
    loop {
        match symbols.next(reader)? {
            literal @ 0..END_OF_BLOCK => plain.push(&[literal as u8])?,
            END_OF_BLOCK => return Ok(()),
            symbol @ ..=LAST_LENGTH => {
                let (least, place_bits) = match symbol {
                    LAST_LENGTH => (LONGEST - SHORTEST, 0),
                    _ => unbucket(symbol - FIRST_LENGTH, KEEP_LENGTH),
                };
                let length = SHORTEST + least + reader.take(place_bits)? as usize;
                let distance = distances.next(reader)?;
                if distance >= DISTANCES {
                    return Err(NO_SYMBOL);
                }
                let (least, place_bits) = unbucket(distance, KEEP_DISTANCE);
                plain.repeat(1 + least + reader.take(place_bits)? as usize, length, first)?;
            }
            _ => return Err(NO_SYMBOL),
        }
    }
}

/// The codes that every reader knows.
fn fixed_codes() -> (Codes, Codes) {
    let mut lengths = [8; SYMBOLS];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    (Codes::new(&lengths).expect("these are codes"), Codes::new(&[5; 32]).expect("these too"))
}

/// The codes that a block begins with: of symbols, and of distances.
fn described(reader: &mut BitReader<'_>) -> Step<(Codes, Codes)> {
    let symbols = reader.take(5)? as usize + FIRST_LENGTH;
    let distances = reader.take(5)? as usize + 1;
    let known = reader.take(4)? as usize + 4;
    if symbols > LAST_LENGTH + 1 || distances > DISTANCES {
        return Err(Fault::Corrupt("more codes than there are symbols"));
    }
    let mut lengths = [0; ORDER.len()];
    for symbol in &ORDER[..known] {
        lengths[usize::from(*symbol)] = reader.take(3)? as u8;
    }
    let of_lengths = Codes::new(&lengths)?;
    let mut lengths = Vec::new();
    while lengths.len() < symbols + distances {
        let (length, times) = match of_lengths.next(reader)? {
            16 => (*lengths.last().ok_or(CODES)?, 3 + reader.take(2)?),
            17 => (0, 3 + reader.take(3)?),
            18 => (0, 11 + reader.take(7)?),
            length => (length as u8, 1),
        };
        lengths.resize(lengths.len() + times as usize, length);
    }
    if lengths.len() > symbols + distances || lengths[END_OF_BLOCK] == 0 {
        return Err(CODES);
    }
    let (symbols, distances) = lengths.split_at(symbols);
    Ok((Codes::new(symbols)?, Codes::new(distances)?))
}

const NO_SYMBOL: Fault = Fault::Corrupt("a symbol that stands for nothing");
const CODES: Fault = Fault::Corrupt("the lengths of its codes make no codes");

/// Codes by their lengths: the codes of a length follow each other in the order of their symbols, the shorter ones first.
struct Codes {
    /// How many codes of each length there are.
    counts: [usize; MOST_BITS + 1],
    /// The symbols that have codes, in the order of their codes.
    symbols: Vec<u16>,
}

impl Codes {
    fn new(lengths: &[u8]) -> Step<Codes> {
        let mut counts = [0; MOST_BITS + 1];
        lengths.iter().for_each(|it| counts[usize::from(*it)] += 1);
        counts[0] = 0;
        // Where the symbols of each length begin, and how many codes of the length are free behind all that are shorter.
        let (mut places, mut free) = ([0; MOST_BITS + 1], 1usize);
        for bits in 1..=MOST_BITS {
            places[bits] = places[bits - 1] + counts[bits - 1];
            free = (2 * free).checked_sub(counts[bits]).ok_or(CODES)?;
        }
        let mut symbols = vec![0; counts.iter().sum()];
        for (symbol, bits) in lengths.iter().enumerate().filter(|(_, bits)| **bits > 0) {
            let place = &mut places[usize::from(*bits)];
            symbols[*place] = symbol as u16;
            *place += 1;
        }
        let codes = Codes { counts, symbols };
        // Codes may be missing only where there is one symbol, or none: a block may have but one distance.
        if free > 0 && (codes.symbols.len() > 1 || codes.counts[1] != codes.symbols.len()) {
            return Err(CODES);
        }
        Ok(codes)
    }

    fn next(&self, reader: &mut BitReader<'_>) -> Step<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= reader.take(1)? as usize;
            if code < first + count {
                return Ok(usize::from(self.symbols[index + code - first]));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Fault::Corrupt("a code that no symbol has"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_distances_have_their_buckets_back() {
        for (keep, most) in [(KEEP_LENGTH, LONGEST - SHORTEST - 1), (KEEP_DISTANCE, WINDOW - 1)] {
            for number in 0..=most {
                let (bucket, place_bits) = bucket(number, keep);
                let (least, bits) = unbucket(bucket, keep);
                assert_eq!(bits, place_bits);
                assert!((least..least + (1 << bits)).contains(&number), "{number} in {bucket}");
            }
            // RFC 1951, 3.2.5: lengths up to 257 in 28 buckets, distances in 30.
            assert_eq!(bucket(most, keep).0, if keep == KEEP_LENGTH { 27 } else { 29 });
        }
    }
}
