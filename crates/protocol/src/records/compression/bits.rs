//! Bits in bytes, the lowest of each byte first.

use super::plain::{CUT_SHORT, Step};

/// Writes numbers of bits.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    pub(super) bytes: Vec<u8>,
    /// What does not fill a byte yet.
    held: u64,
    count: u32,
}

impl BitWriter {
    /// Goes on behind bytes.
    pub(super) fn behind(bytes: Vec<u8>) -> BitWriter {
        BitWriter { bytes, held: 0, count: 0 }
    }

    /// Appends the lowest `count` bits of a number that has no others; up to 56.
    pub(super) fn put(&mut self, number: u64, count: u32) {
        self.held |= number << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.held as u8);
        }
        self.bytes
    }
}

/// Reads bits from the front.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, at: 0 }
    }

    /// The number in the next `count` bits, up to 32.
    pub(super) fn take(&mut self, count: u32) -> Step<u32> {
        if self.at + count as usize > self.bytes.len() * 8 {
            return Err(CUT_SHORT);
        }
        let number = window(self.bytes, self.at) & !(!0 << count);
        self.at += count as usize;
        Ok(number as u32)
    }

    /// Goes back over a bit that was taken.
    pub(super) fn back(&mut self) {
        self.at -= 1;
    }

    /// The bytes behind the last one that a bit was taken of.
    pub(super) fn rest(self) -> &'a [u8] {
        &self.bytes[self.at.div_ceil(8)..]
    }
}

/// Reads bits from the end: zstd's streams are written as they are read backwards.
#[derive(Debug)]
pub(super) struct BackwardReader<'a> {
    bytes: &'a [u8],
    /// How many bits are left; less than none when more were taken, which were zeros then.
    left: isize,
}

impl<'a> BackwardReader<'a> {
    /// The highest bit of all marks where they end.
    pub(super) fn new(bytes: &'a [u8]) -> Step<BackwardReader<'a>> {
        match bytes.last() {
            Some(last) if *last != 0 => {
                let left = bytes.len() * 8 - last.leading_zeros() as usize - 1;
                Ok(BackwardReader { bytes, left: left as isize })
            }
            _ => Err(CUT_SHORT),
        }
    }

    /// The number in the next `count` bits, up to 56, which stay.
    pub(super) fn peek(&self, count: u32) -> u64 {
        let from = self.left - count as isize;
        let number = match usize::try_from(from) {
            Ok(from) => window(self.bytes, from),
            Err(_) if from > -64 => window(self.bytes, 0) << -from,
            Err(_) => 0,
        };
        number & !(!0 << count)
    }

    /// Passes over bits.
    pub(super) fn skip(&mut self, count: u32) {
        self.left -= count as isize;
    }

    /// The number in the next `count` bits, up to 56.
    pub(super) fn take(&mut self, count: u32) -> u64 {
        let number = self.peek(count);
        self.skip(count);
        number
    }

    /// How many bits are left; less than none when there were not as many as were taken.
    pub(super) fn left(&self) -> isize {
        self.left
    }
}

/// At least 57 bits from a bit on, zeros behind the last.
fn window(bytes: &[u8], at: usize) -> u64 {
    let rest = &bytes[(at / 8).min(bytes.len())..];
    let word = match rest.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    word >> (at % 8)
}
