//! What we write: what repeats itself as sequences, with the tables that every reader knows; literals as they are.

use super::fse::Table;
use super::sequences::{KINDS, LITERALS, MATCHES, OFFSETS};
use super::{BLOCK_SIZE, MAGIC};
use crate::records::compression::bits::BitWriter;
use crate::records::compression::matches::take_apart;

/// The head of a frame that is one segment and tells its length in four bytes.
const DESCRIPTOR: u8 = 0b1010_0000;
/// An offset's three least numbers stand for what was used before.
const REPEATED: usize = 3;

/// The one level of this codec: others are the host's to honour.
pub(in crate::records::compression) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut packed = (MAGIC as u32).to_le_bytes().to_vec();
    packed.push(DESCRIPTOR);
    packed.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    let tables = KINDS.each_ref().map(|it| it.predefined().expect("these are tables"));
    let mut rest = plain;
    loop {
        let (block, behind) = rest.split_at(rest.len().min(BLOCK_SIZE));
        let head = |kind: usize, length: usize| (length << 3 | kind << 1 | usize::from(behind.is_empty())) as u32;
        let start = packed.len();
        packed.extend_from_slice(&[0; 3]);
        packed = pack_block(block, &tables, packed);
        let mut said = head(2, packed.len() - start - 3);
        if packed.len() - start - 3 >= block.len() {
            packed.truncate(start + 3);
            packed.extend_from_slice(block);
            said = head(0, block.len());
        }
        packed[start..start + 3].copy_from_slice(&said.to_le_bytes()[..3]);
        rest = behind;
        if rest.is_empty() {
            return packed;
        }
    }
}

fn pack_block(plain: &[u8], tables: &[Table; 3], mut packed: Vec<u8>) -> Vec<u8> {
    let mut literals = Vec::new();
    let mut sequences = Vec::new();
    let rest = take_apart(plain, plain.len(), &mut |it| {
        literals.extend_from_slice(it.literals);
        let offset = it.distance + REPEATED;
        let bits = offset.ilog2();
        sequences.push([
            KINDS[LITERALS].code(it.literals.len()),
            (bits as u8, (offset - (1 << bits)) as u64, bits),
            KINDS[MATCHES].code(it.length),
        ]);
    });
    literals.extend_from_slice(rest);
    // As they are, their number in 20 bits.
    packed.extend_from_slice(&(literals.len() << 4 | 0b1100).to_le_bytes()[..3]);
    packed.extend_from_slice(&literals);
    match sequences.len() {
        short @ 0..128 => packed.push(short as u8),
        long @ 128..0x7f00 => packed.extend([(long >> 8) as u8 + 128, long as u8]),
        longest => {
            packed.push(255);
            packed.extend_from_slice(&((longest - 0x7f00) as u16).to_le_bytes());
        }
    }
    // A reader begins at the end, so the last is written first.
    let Some((last, before)) = sequences.split_last() else { return packed };
    packed.push(0);
    let mut writer = BitWriter::behind(packed);
    let mut states = [LITERALS, OFFSETS, MATCHES].map(|at| state(&tables[at], last[at].0, 0));
    put_places(&mut writer, last);
    for sequence in before.iter().rev() {
        for at in [OFFSETS, MATCHES, LITERALS] {
            let next = state(&tables[at], sequence[at].0, states[at]);
            let said = tables[at].states[next];
            writer.put((states[at] - said.least) as u64, said.bits);
            states[at] = next;
        }
        put_places(&mut writer, sequence);
    }
    for at in [MATCHES, OFFSETS, LITERALS] {
        writer.put(states[at] as u64, tables[at].accuracy());
    }
    writer.put(1, 1);
    writer.finish()
}

fn put_places(writer: &mut BitWriter, sequence: &[(u8, u64, u32); 3]) {
    for at in [LITERALS, MATCHES, OFFSETS] {
        let (_, place, bits) = sequence[at];
        writer.put(place, bits);
    }
}

/// The state of a symbol that can be followed by `next`: there is one.
fn state(table: &Table, symbol: u8, next: usize) -> usize {
    let leads = |it: &super::fse::State| it.symbol == symbol && (it.least..it.least + (1 << it.bits)).contains(&next);
    table.states.iter().position(leads).expect("a symbol's states lead to all others")
}
