//! Finite State Entropy: 4.1.

use crate::records::compression::bits::{BackwardReader, BitReader};
use crate::records::compression::plain::{Fault, Step};

const WRONG: Fault = Fault::Corrupt("how often symbols are makes no table");

/// What a state says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) symbol: u8,
    /// How many bits tell which state comes next: they are added to `least`.
    pub(super) bits: u32,
    pub(super) least: usize,
}

/// All states of a table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) states: Vec<State>,
}

impl Table {
    /// How many bits tell the first state.
    pub(super) fn accuracy(&self) -> u32 {
        self.states.len().ilog2()
    }

    /// A table with one symbol: nothing has to be told.
    pub(super) fn of_one(symbol: u8) -> Table {
        Table { states: vec![State { symbol, bits: 0, least: 0 }] }
    }

    /// A table by how often each symbol is, -1 for less than once: 4.1.1.
    pub(super) fn new(counts: &[i16]) -> Step<Table> {
        let size: usize = counts.iter().map(|it| usize::from(it.unsigned_abs())).sum();
        if !size.is_power_of_two() {
            return Err(WRONG);
        }
        let mut states = vec![State::default(); size];
        let symbols = || (0..=u8::MAX).zip(counts);
        // Those that are less than once are at the end, the first of them last.
        let mut end = size;
        for (symbol, _) in symbols().filter(|(_, count)| **count < 0) {
            end -= 1;
            states[end].symbol = symbol;
        }
        let mut at = 0;
        for (symbol, count) in symbols() {
            for _ in 0..*count {
                states[at].symbol = symbol;
                loop {
                    at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1);
                    if at < end {
                        break;
                    }
                }
            }
        }
        let mut next: Vec<usize> = counts.iter().map(|it| usize::from(it.unsigned_abs())).collect();
        for state in &mut states {
            let number = &mut next[usize::from(state.symbol)];
            state.bits = size.ilog2() - number.ilog2();
            state.least = (*number << state.bits) - size;
            *number += 1;
        }
        Ok(Table { states })
    }

    /// Reads how often symbols are, of up to `symbols` of them, for a table of at most `accuracy` bits; takes it off the front.
    pub(super) fn read(rest: &mut &[u8], symbols: usize, accuracy: u32) -> Step<Table> {
        let mut reader = BitReader::new(rest);
        let bits = reader.take(4)? + 5;
        if bits > accuracy {
            return Err(WRONG);
        }
        let mut left = 1 << bits;
        let mut counts = Vec::new();
        while left > 0 {
            // What can be told is 0 to left + 1: the lower ones of it in a bit less.
            let bits = u32::ilog2(left + 1) + 1;
            let low = !(!0 << (bits - 1));
            let number = reader.take(bits)?;
            let short = (1 << bits) - 1 - (left + 1);
            let number = if number & low < short {
                reader.back();
                number & low
            } else if number > low {
                number - short
            } else {
                number
            };
            let count = number as i16 - 1;
            left = left.checked_sub(u32::from(count.unsigned_abs())).ok_or(WRONG)?;
            counts.push(count);
            // How many more are never follows, three of them as long as there are more.
            let mut more = if count == 0 { 3 } else { 0 };
            while more == 3 {
                more = reader.take(2)?;
                counts.resize(counts.len() + more as usize, 0);
            }
            if counts.len() > symbols {
                return Err(WRONG);
            }
        }
        *rest = reader.rest();
        Table::new(&counts)
    }
}

/// Where a reader is in a table.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    table: &'a Table,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(table: &'a Table, reader: &mut BackwardReader<'_>) -> Cursor<'a> {
        Cursor { table, at: reader.take(table.accuracy()) as usize }
    }

    pub(super) fn symbol(&self) -> u8 {
        self.table.states[self.at].symbol
    }

    pub(super) fn step(&mut self, reader: &mut BackwardReader<'_>) {
        let State { bits, least, .. } = self.table.states[self.at];
        self.at = least + reader.take(bits) as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::compression::bits::BitWriter;

    /// The number behind the last symbol is none that a byte has.
    #[test]
    fn a_table_can_have_as_many_symbols_as_there_are() {
        let mut writer = BitWriter::default();
        writer.put(0, 4); // Five bits of accuracy.
        writer.put(1, 5); // The first symbol is never,
        (0..84).for_each(|_| writer.put(3, 2)); // nor are 252
        writer.put(2, 2); // and two more,
        writer.put(33 + 30, 6); // so the last one, 255, has all 32 states.
        let bytes = writer.finish();
        let table = Table::read(&mut &bytes[..], 256, 6).unwrap();
        assert_eq!(table.states.len(), 32);
        assert!(table.states.iter().all(|state| state.symbol == 255 && state.bits == 0), "{table:?}");
    }
}
