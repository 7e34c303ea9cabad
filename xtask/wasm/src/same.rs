//! What a linked module holds twice, once: functions that do the same, and constants that are the same.
//!
//! Crates are compiled each by itself, and each brings its own copy of a generic function, of its texts and of its tables. The
//! linker sees functions only as bytes; here two are the same also when they call, point to or name things that are the same.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::body::{Instruction, Operand};
use crate::linked::{Linked, Symbol};

/// Makes every reference to a copy one to the original. Sweeping the copies away is another matter.
pub(crate) fn unify(linked: &mut Linked<'_>) {
    let mut functions: Vec<usize> = (0..linked.bodies.len()).collect();
    let mut data: Vec<usize> = (0..linked.data.len()).collect();
    loop {
        let same_functions = equal_functions(linked, &functions);
        let same_data = equal_data(linked, &data);
        if same_functions.is_empty() && same_data.is_empty() {
            break;
        }
        follow(&mut functions, &same_functions);
        follow(&mut data, &same_data);
        // An original is where every copy of it may be.
        for (copy, original) in &same_data {
            linked.data[*original].align = linked.data[*original].align.max(linked.data[*copy].align);
        }
        for symbol in &mut linked.symbols {
            match symbol {
                Symbol::Function(function) => *function = original(*function, linked.imported, &functions),
                Symbol::Data { piece, .. } => *piece = data[*piece],
                Symbol::Other => {}
            }
        }
        for instruction in linked.bodies.iter_mut().flat_map(|it| &mut it.code) {
            if let Instruction::Call(callee) = instruction {
                *callee = original(*callee, linked.imported, &functions);
            }
        }
    }
    // An original takes its copy's place in the table, which it need not have had itself.
    let mut listed = HashSet::new();
    linked.table.iter_mut().for_each(|it| *it = original(*it, linked.imported, &functions));
    linked.table.retain(|it| listed.insert(*it));
}

/// Copies with their originals, of the functions that are no copies yet.
fn equal_functions(linked: &Linked<'_>, originals: &[usize]) -> Vec<(usize, usize)> {
    let places = Places::default();
    let address = |symbol: u32, addend: i32| places.number(linked.symbols[symbol as usize], addend);
    let place = |symbol: u32| places.number(linked.symbols[symbol as usize], 0);
    let mut first = HashMap::new();
    let mut copies = Vec::new();
    for (at, body) in linked.bodies.iter().enumerate().filter(|(at, _)| originals[*at] == *at) {
        // Where it refers to something counts too: there its bytes are numbers of ours, elsewhere the program's.
        let references: Vec<usize> = (0..body.code.len()).filter(|it| body.code[*it].refers()).collect();
        match first.entry((linked.kinds[at], body.write(&address, &place), references)) {
            Entry::Vacant(entry) => drop(entry.insert(at)),
            Entry::Occupied(entry) => copies.push((at, *entry.get())),
        }
    }
    copies
}

/// Copies with their originals, of the constants that are no copies yet.
fn equal_data(linked: &Linked<'_>, originals: &[usize]) -> Vec<(usize, usize)> {
    let places = Places::default();
    let mut first = HashMap::new();
    let mut copies = Vec::new();
    for (at, piece) in linked.data.iter().enumerate().filter(|(at, it)| it.constant && originals[*at] == *at) {
        let mut bytes = piece.bytes.clone();
        let references = piece.references.iter().map(|(offset, operand)| {
            let at = *offset as usize;
            // What the linker put there is the number of one of several places that may be the same.
            bytes[at..at + 4].fill(0);
            (
                *offset,
                match *operand {
                    Operand::Address { symbol, addend } => places.number(linked.symbols[symbol as usize], addend),
                    Operand::Pointer { symbol } => places.number(linked.symbols[symbol as usize], 0),
                },
            )
        });
        let references: Vec<(u32, u32)> = references.collect();
        match first.entry((bytes, references)) {
            Entry::Vacant(entry) => drop(entry.insert(at)),
            Entry::Occupied(entry) => copies.push((at, *entry.get())),
        }
    }
    copies
}

/// Numbers for what can be referred to: two references are the same if their numbers are.
#[derive(Default)]
struct Places(RefCell<HashMap<(Option<usize>, u32), u32>>);

impl Places {
    fn number(&self, symbol: Symbol, addend: i32) -> u32 {
        let place = match symbol {
            Symbol::Function(function) => (None, function),
            Symbol::Data { piece, at } => (Some(piece), at.wrapping_add_signed(addend)),
            Symbol::Other => (None, u32::MAX),
        };
        let mut numbers = self.0.borrow_mut();
        let next = numbers.len() as u32;
        *numbers.entry(place).or_insert(next)
    }
}

/// Those that stood for others take them along.
fn follow(originals: &mut [usize], copies: &[(usize, usize)]) {
    let copies: HashMap<usize, usize> = copies.iter().copied().collect();
    for original in originals {
        *original = copies.get(original).copied().unwrap_or(*original);
    }
}

fn original(function: u32, imported: u32, originals: &[usize]) -> u32 {
    match function.checked_sub(imported) {
        Some(at) => imported + originals[at as usize] as u32,
        None => function,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::linked::Piece;

    #[test]
    fn copies_are_found_through_what_they_refer_to() {
        let body = |code: &[Instruction]| Body { locals: vec![0], code: code.to_vec() };
        let names = |symbol| body(&[Instruction::Address(symbol, 0), Instruction::Call(0), Instruction::End]);
        let calls = |function| body(&[Instruction::Call(function), Instruction::End]);
        let piece = |constant, bytes: &[u8], references: &[(u32, u32)]| {
            let pointer = |&(at, symbol): &(u32, u32)| (at, Operand::Pointer { symbol });
            let references = references.iter().map(pointer).collect();
            Piece { segment: 0, align: 1, constant, bytes: bytes.to_vec(), references }
        };
        let number = body(&[Instruction::Plain(vec![0x41, 0]), Instruction::Call(0), Instruction::End]);
        // 0 is imported. 1 and 2 name equal texts, 3 a text that may change; 4 and 5 call 1 and 2, 6 calls 3; 7 has a number
        // where 1 has the first address.
        let mut linked = Linked {
            imported: 1,
            bodies: vec![names(0), names(1), names(2), calls(1), calls(2), calls(3), number],
            kinds: vec![0; 7],
            table: vec![5, 6],
            // Two texts, a variable, and the tables of 4, 5 and 6.
            data: vec![
                piece(true, b"text", &[]),
                piece(true, b"text", &[]),
                piece(false, b"text", &[]),
                piece(true, b"\x01\0\0\0", &[(0, 3)]),
                piece(true, b"\x02\0\0\0", &[(0, 4)]),
                piece(true, b"\x03\0\0\0", &[(0, 5)]),
            ],
            symbols: [0, 1, 2].map(|piece| Symbol::Data { piece, at: 0 }).into(),
            ..Linked::default()
        };
        linked.symbols.extend([4, 5, 6].map(Symbol::Function));
        linked.symbols.extend([3, 4, 5].map(|piece| Symbol::Data { piece, at: 0 }));
        linked.symbols.push(Symbol::Function(7));
        unify(&mut linked);
        let data = |piece| Symbol::Data { piece, at: 0 };
        let function = Symbol::Function;
        let expected =
            [data(0), data(0), data(2), function(4), function(4), function(6), data(3), data(3), data(5), function(7)];
        assert_eq!(linked.symbols, expected);
        // 5 was called by its place and 4 was not.
        assert_eq!(linked.table, [4, 6]);
        assert_eq!(linked.bodies[4], calls(1));
        assert_eq!(linked.bodies[5], calls(3));
    }
}
