//! Sequences: so many literals, then so many bytes from so far before. 3.1.1.3.2.

use super::Frame;
use super::fse::{Cursor, Table};
use crate::records::compression::bits::BackwardReader;
use crate::records::compression::plain::{Fault, Plain, Step, take_number};

/// What of a sequence a table is for: literals' lengths, offsets, matches' lengths.
pub(super) struct Kind {
    /// How often each code is, where a block says no other: 3.1.1.3.2.2.
    counts: &'static [i16],
    /// Codes above this one tell a bucket of lengths, the ones up to it a length.
    singles: usize,
    /// How many bits tell the place in each bucket.
    buckets: &'static [u8],
    /// The least length.
    least: usize,
    /// The most bits of a table.
    accuracy: u32,
    /// How many codes there are.
    codes: usize,
}

pub(super) const KINDS: [Kind; 3] = [
    Kind {
        counts: &[
            4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1,
            -1,
        ],
        singles: 16,
        buckets: &[1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        least: 0,
        accuracy: 9,
        codes: 36,
    },
    Kind {
        counts: &[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
        singles: 0,
        buckets: &[],
        least: 0,
        accuracy: 8,
        codes: 32,
    },
    Kind {
        counts: &[
            1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
        ],
        singles: 32,
        buckets: &[1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        least: 3,
        accuracy: 9,
        codes: 53,
    },
];
pub(super) const LITERALS: usize = 0;
pub(super) const OFFSETS: usize = 1;
pub(super) const MATCHES: usize = 2;

const WRONG: Fault = Fault::Corrupt("its sequences are not as long as it says");

impl Kind {
    /// The table where a block says no other.
    pub(super) fn predefined(&self) -> Step<Table> {
        Table::new(self.counts)
    }

    /// The least length of a code, and how many bits tell how much more it is.
    fn bucket(&self, code: usize) -> (usize, u32) {
        let Some(at) = code.checked_sub(self.singles) else { return (self.least + code, 0) };
        let before: usize = self.buckets[..at].iter().map(|bits| 1 << bits).sum();
        (self.least + self.singles + before, u32::from(self.buckets[at]))
    }

    /// The code of a length, how much more than its least that is, and in how many bits.
    pub(super) fn code(&self, length: usize) -> (u8, u64, u32) {
        let mut code = 0;
        loop {
            let (least, bits) = self.bucket(code);
            if length < least + (1 << bits) {
                return (code as u8, (length - least) as u64, bits);
            }
            code += 1;
        }
    }
}

impl Frame {
    /// Puts literals and what was there before together.
    pub(super) fn sequences(&mut self, mut rest: &[u8], mut literals: &[u8], plain: &mut Plain) -> Step {
        let count = match take_number(&mut rest, 1)? {
            0 if !rest.is_empty() => return Err(WRONG),
            0 => return plain.push(literals),
            short @ 1..128 => short,
            255 => take_number(&mut rest, 2)? + 0x7f00,
            high => ((high - 128) << 8) + take_number(&mut rest, 1)?,
        };
        let modes = take_number(&mut rest, 1)?;
        if modes & 3 != 0 {
            return Err(Fault::Corrupt("sequences with reserved bits"));
        }
        for (at, kind) in KINDS.iter().enumerate() {
            let table = match modes >> (6 - 2 * at) & 3 {
                0 => kind.predefined()?,
                1 => Table::of_one(take_number(&mut rest, 1)? as u8),
                2 => Table::read(&mut rest, kind.codes, kind.accuracy)?,
                _ => continue,
            };
            if table.states.iter().any(|it| usize::from(it.symbol) >= kind.codes) {
                return Err(Fault::Corrupt("a code that no sequence has"));
            }
            self.tables[at] = Some(table);
        }
        let [Some(of_literals), Some(of_offsets), Some(of_matches)] = &self.tables else {
            return Err(Fault::Corrupt("sequences by a table that is not there"));
        };
        let mut reader = BackwardReader::new(rest)?;
        let mut literals_at = Cursor::new(of_literals, &mut reader);
        let mut offsets_at = Cursor::new(of_offsets, &mut reader);
        let mut matches_at = Cursor::new(of_matches, &mut reader);
        for index in 0..count {
            let code = u32::from(offsets_at.symbol());
            let offset = (1 << code) + reader.take(code) as usize;
            let mut length = |kind: &Kind, code: u8| {
                let (least, bits) = kind.bucket(usize::from(code));
                least + reader.take(bits) as usize
            };
            let matched = length(&KINDS[MATCHES], matches_at.symbol());
            let fresh = length(&KINDS[LITERALS], literals_at.symbol());
            if index + 1 < count {
                literals_at.step(&mut reader);
                matches_at.step(&mut reader);
                offsets_at.step(&mut reader);
            }
            // Before anything is made of it: bits that are not there are as good as endless.
            if reader.left() < 0 {
                return Err(WRONG);
            }
            let (new, behind) = literals.split_at_checked(fresh).ok_or(WRONG)?;
            plain.push(new)?;
            literals = behind;
            let distance = distance(&mut self.offsets, offset, fresh == 0);
            plain.repeat(distance, matched, self.first)?;
        }
        if reader.left() != 0 {
            return Err(WRONG);
        }
        plain.push(literals)
    }
}

/// The three least offsets stand for the last three distances, others by where they follow no literals: 3.1.1.5.
fn distance(last: &mut [usize; 3], offset: usize, follows_match: bool) -> usize {
    let (distance, place) = match offset.checked_sub(4) {
        Some(more) => (more + 1, 2),
        None => match offset - 1 + usize::from(follows_match) {
            // Nothing is at no distance: whoever copies refuses it.
            3 => (last[0] - 1, 2),
            place => (last[place], place),
        },
    };
    last[..=place].rotate_right(1);
    last[0] = distance;
    distance
}
