//! Huffman codes of literals: 4.2.

use super::fse::{Cursor, Table};
use crate::records::compression::bits::BackwardReader;
use crate::records::compression::plain::{Fault, Step, take, take_number};

/// The longest code, in bits.
const MOST_BITS: u32 = 11;
const MOST_SYMBOLS: usize = 256;
/// Weights are packed with a table of at most so many bits.
const WEIGHT_ACCURACY: u32 = 6;
const WRONG: Fault = Fault::Corrupt("the weights of its literals make no codes");

/// Codes, as a table of all bits that can come next: the symbol they begin with, and how long its code is.
pub(super) struct Huffman {
    bits: u32,
    symbols: Vec<(u8, u8)>,
}

impl Huffman {
    /// Reads the description of the codes, which is taken off the front.
    pub(super) fn read(rest: &mut &[u8]) -> Step<Huffman> {
        let head = take_number(rest, 1)? as usize;
        let weights = match head.checked_sub(127) {
            // Packed, in so many bytes.
            None | Some(0) => packed_weights(take(rest, head)?)?,
            Some(count) => {
                let packed = take(rest, count.div_ceil(2))?;
                let mut weights: Vec<u8> = packed.iter().flat_map(|it| [it >> 4, it & 15]).collect();
                weights.truncate(count);
                weights
            }
        };
        Huffman::new(weights)
    }

    /// A symbol of weight w has the 2^(w - 1)th part of all that can come next. That of the last symbol is the rest.
    fn new(mut weights: Vec<u8>) -> Step<Huffman> {
        if weights.iter().any(|it| u32::from(*it) > MOST_BITS) {
            return Err(WRONG);
        }
        let sum: usize = weights.iter().filter(|it| **it > 0).map(|it| 1 << (it - 1)).sum();
        let bits = sum.checked_ilog2().ok_or(WRONG)? + 1;
        let last = (1 << bits) - sum;
        if bits > MOST_BITS || !last.is_power_of_two() || weights.len() >= MOST_SYMBOLS {
            return Err(WRONG);
        }
        weights.push(last.ilog2() as u8 + 1);
        let mut symbols = Vec::with_capacity(1 << bits);
        for weight in 1..=bits as u8 {
            for (symbol, _) in (0..=u8::MAX).zip(&weights).filter(|it| *it.1 == weight) {
                let length = bits as u8 + 1 - weight;
                symbols.resize(symbols.len() + (1 << (weight - 1)), (symbol, length));
            }
        }
        Ok(Huffman { bits, symbols })
    }

    /// Appends the `count` symbols that a stream has, no more and no fewer.
    pub(super) fn decode(&self, packed: &[u8], count: usize, out: &mut Vec<u8>) -> Step {
        let mut reader = BackwardReader::new(packed)?;
        for _ in 0..count {
            let (symbol, length) = self.symbols[reader.peek(self.bits) as usize];
            reader.skip(u32::from(length));
            out.push(symbol);
        }
        if reader.left() == 0 { Ok(()) } else { Err(Fault::Corrupt("a stream of literals is not as long as it says")) }
    }
}

/// Weights by a table, two states in turn: 4.2.1.2.
fn packed_weights(mut packed: &[u8]) -> Step<Vec<u8>> {
    let table = Table::read(&mut packed, MOST_SYMBOLS, WEIGHT_ACCURACY)?;
    let mut reader = BackwardReader::new(packed)?;
    let (mut now, mut then) = (Cursor::new(&table, &mut reader), Cursor::new(&table, &mut reader));
    let mut weights = Vec::new();
    loop {
        weights.push(now.symbol());
        now.step(&mut reader);
        if reader.left() < 0 {
            // What was there last is the other's.
            weights.push(then.symbol());
            return Ok(weights);
        }
        if weights.len() >= MOST_SYMBOLS {
            return Err(WRONG);
        }
        std::mem::swap(&mut now, &mut then);
    }
}
