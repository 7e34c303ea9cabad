//! Leaves out of a linked module what a visitor does not need: the words of panics, and whatever only they referred to.
//!
//! A panic in the page ends the engine either way. In the module that is served it does so by the `unreachable` instruction at
//! the place where it happened, instead of by a call that formats a message for nobody: arguments, texts, source positions and
//! the code that would print them go. The stack that the browser reports has the functions' numbers, and the same run ends in the
//! same panic natively, in full words (`vivarium sim run`).

use std::mem;

use anyhow::{Result, ensure};
use wasmparser::ValType;

use crate::body::{Body, Instruction, Operand};
use crate::linked::{Linked, Symbol};
use crate::same;

/// What panics end in, in Rust's standard library, by a part of their names. Whoever does nothing but call one of them is found.
const ENDS: [&str; 9] = [
    "4core9panicking9panic_fmt",
    "4core9panicking18panic_nounwind_fmt",
    "5alloc5alloc18handle_alloc_error",
    "5alloc7raw_vec17capacity_overflow",
    "5alloc7raw_vec12handle_error",
    "3std9panicking11begin_panic",
    // These choose their words first.
    "4core5slice5index16slice_index_fail",
    "4core3str16slice_error_fail",
    "4core9panicking19assert_failed_inner",
];

/// The module without what is not needed.
pub(crate) fn trim(module: &[u8]) -> Result<Vec<u8>> {
    let mut linked = Linked::read(module)?;
    silence(&mut linked)?;
    zero_unread(&mut linked);
    same::unify(&mut linked);
    let mut order = sweep(&mut linked);
    // Texts and numbers first, tables of addresses after them: like compresses best beside like.
    order.sort_by_key(|it| !linked.data[*it].references.is_empty());
    linked.write(&order)
}

/// Makes every panic an `unreachable`.
fn silence(linked: &mut Linked<'_>) -> Result<()> {
    let first = linked.imported;
    let mut ends = vec![false; first as usize + linked.bodies.len()];
    for (function, name) in &linked.names {
        ends[*function as usize] = *function >= first && ENDS.iter().any(|it| name.contains(it));
    }
    ensure!(ends.contains(&true), "no function is named as a panic is in this version of Rust");
    loop {
        let mut more = false;
        for (at, body) in linked.bodies.iter_mut().enumerate() {
            let number = first as usize + at;
            if ends[number] {
                *body = Body { locals: vec![0], code: vec![Instruction::Unreachable, Instruction::End] };
                continue;
            }
            let calls_end = |it: &Instruction| matches!(it, Instruction::Call(callee) if ends[*callee as usize]);
            for instruction in body.code.iter_mut().filter(|it| calls_end(it)) {
                *instruction = Instruction::Unreachable;
            }
            body.code = cut(mem::take(&mut body.code));
            ends[number] = body.code.first() == Some(&Instruction::Unreachable);
            more |= ends[number];
        }
        if !more {
            return Ok(());
        }
    }
}

/// Leaves out what an `unreachable` makes pointless: what follows it in its block and what is computed for nothing before it.
fn cut(code: Vec<Instruction>) -> Vec<Instruction> {
    let mut kept: Vec<Instruction> = Vec::with_capacity(code.len());
    let mut code = code.into_iter();
    while let Some(instruction) = code.next() {
        if instruction != Instruction::Unreachable {
            kept.push(instruction);
            continue;
        }
        while kept.last().is_some_and(is_for_nothing) {
            kept.pop();
        }
        kept.push(instruction);
        // The rest of the block, and what blocks begin in it.
        let mut depth = 0;
        for skipped in code.by_ref() {
            match skipped {
                Instruction::Block(_) | Instruction::Loop(_) | Instruction::If(_) => depth += 1,
                Instruction::End if depth > 0 => depth -= 1,
                Instruction::End => {
                    kept.push(skipped);
                    break;
                }
                Instruction::Else if depth == 0 => {
                    kept.push(skipped);
                    break;
                }
                _ => {}
            }
        }
    }
    kept
}

/// Makes zero of every number that is passed to a function that does not read it. Most are places in the source, which the panics
/// would have told; the functions in between pass them on.
fn zero_unread(linked: &mut Linked<'_>) {
    let zero = Instruction::Plain(vec![0x41, 0]);
    loop {
        let unread: Vec<Vec<bool>> = (0..linked.bodies.len()).map(|it| unread(linked, it)).collect();
        let mut more = false;
        for body in &mut linked.bodies {
            for at in 0..body.code.len() {
                let Instruction::Call(callee) = body.code[at] else { continue };
                let Some(callee) = callee.checked_sub(linked.imported) else { continue };
                // Arguments that are one instruction each, from the last.
                let arguments = unread[callee as usize].iter().rev().zip((0..at).rev());
                for (unread, argument) in arguments {
                    let argument = &mut body.code[argument];
                    if !is_push(argument) {
                        break;
                    }
                    if *unread && *argument != zero {
                        *argument = zero.clone();
                        more = true;
                    }
                }
            }
        }
        if !more {
            return;
        }
    }
}

/// Of each parameter of a function, whether it is a number of 32 bits and not read.
fn unread(linked: &Linked<'_>, function: usize) -> Vec<bool> {
    let mut unread: Vec<bool> =
        linked.params[linked.kinds[function] as usize].iter().map(|it| *it == ValType::I32).collect();
    for instruction in &linked.bodies[function].code {
        if let Instruction::Plain(bytes) = instruction
            && let [0x20, local] = bytes[..]
            && let Some(unread) = unread.get_mut(usize::from(local))
        {
            *unread = false;
        }
    }
    unread
}

/// Whether all that an instruction does is to put one value on the stack: a local, a global or a constant.
fn is_push(instruction: &Instruction) -> bool {
    match instruction {
        Instruction::Address(..) | Instruction::Pointer(..) => true,
        Instruction::Plain(bytes) => matches!(bytes[0], 0x20 | 0x23 | 0x41..=0x44),
        _ => false,
    }
}

/// Whether an instruction before the end of everything can be left out.
fn is_for_nothing(instruction: &Instruction) -> bool {
    use Instruction::*;
    matches!(instruction, Address(..) | Pointer(..) | Access(..) | Plain(..))
}

/// Empties functions and the table of what nothing refers to, and lists the data that something refers to.
fn sweep(linked: &mut Linked<'_>) -> Vec<usize> {
    let first = linked.imported as usize;
    let mut functions = vec![false; first + linked.bodies.len()];
    let mut called_by_place = vec![false; functions.len()];
    let mut data = vec![false; linked.data.len()];
    let (mut new_functions, mut new_data): (Vec<u32>, Vec<usize>) = (linked.roots.clone(), Vec::new());
    loop {
        let mut found = Vec::new();
        if let Some(function) = new_functions.pop() {
            if mem::replace(&mut functions[function as usize], true) {
                continue;
            }
            let Some(at) = (function as usize).checked_sub(first) else { continue };
            for instruction in &linked.bodies[at].code {
                match *instruction {
                    Instruction::Call(callee) => new_functions.push(callee),
                    Instruction::Address(symbol, _) | Instruction::Access(_, _, symbol, _) => found.push(symbol),
                    Instruction::Pointer(symbol) => found.push(symbol),
                    _ => {}
                }
            }
        } else if let Some(piece) = new_data.pop() {
            if mem::replace(&mut data[piece], true) {
                continue;
            }
            for (_, operand) in &linked.data[piece].references {
                let (Operand::Address { symbol, .. } | Operand::Pointer { symbol }) = operand;
                found.push(*symbol);
            }
        } else {
            break;
        }
        for symbol in found {
            match linked.symbols[symbol as usize] {
                Symbol::Function(function) => {
                    called_by_place[function as usize] = true;
                    new_functions.push(function);
                }
                Symbol::Data { piece, .. } => new_data.push(piece),
                Symbol::Other => {}
            }
        }
    }
    for (body, live) in linked.bodies.iter_mut().zip(&functions[first..]) {
        if !live {
            *body = Body { locals: vec![0], code: vec![Instruction::Unreachable, Instruction::End] };
        }
    }
    linked.table.retain(|it| called_by_place[*it as usize]);
    (0..data.len()).filter(|it| data[*it]).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

    use wasm_encoder::{
        ConstExpr, CustomSection, DataSection, ElementSection, Elements, Encode, EntityType, ExportKind, ExportSection,
        Function, FunctionSection, ImportSection, LinkingSection, MemorySection, MemoryType, Module, NameMap,
        NameSection, RefType, SymbolTable, TableSection, TableType, TypeSection, ValType,
    };

    use super::*;
    use crate::pack;

    const DATA: i32 = 1024;
    const PANIC: &str = "_ZN4core9panicking9panic_fmt17h0123456789abcdefE";

    /// What a compiler and a linker would make of: `main(i)` panics unless `i`, and calls `kept` by its place in the table, which
    /// it reads from data; the panic prints its words by an import; nobody calls `lost`, though it has a place in the table.
    /// Data: the panic's words (8 bytes), words of `lost` (4), the place of `kept` (4).
    fn linked() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], []);
        let mut imports = ImportSection::new();
        imports.import("env", "print", EntityType::Function(0));
        let mut functions = FunctionSection::new();
        for _ in 1..=4 {
            functions.function(0);
        }
        let mut tables = TableSection::new();
        let (minimum, maximum) = (3, Some(3));
        tables.table(TableType { element_type: RefType::FUNCREF, table64: false, minimum, maximum, shared: false });
        let mut memories = MemorySection::new();
        let memory = MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
        memories.memory(memory);
        let mut exports = ExportSection::new();
        exports.export("main", ExportKind::Func, 1);
        let mut elements = ElementSection::new();
        elements.active(None, &ConstExpr::i32_const(1), Elements::Functions(vec![3, 4].into()));

        // Of each address in the code: where it stands, and its symbol.
        let mut addresses: Vec<(u32, u32)> = Vec::new();
        let mut code = vec![4];
        let mut push = |body: Function, address: i32, symbol: u32| {
            let mut bytes = Vec::new();
            body.encode(&mut bytes);
            let mut constant = vec![0x41];
            address.encode(&mut constant);
            if let Some(at) = bytes.windows(constant.len()).position(|it| it == constant) {
                addresses.push(((code.len() + at + 1) as u32, symbol));
            }
            code.extend(bytes);
        };
        let memory = wasm_encoder::MemArg { offset: 0, align: 2, memory_index: 0 };
        let mut main = Function::new([(1, ValType::I32)]);
        main.instructions()
            .block(wasm_encoder::BlockType::Empty)
            .local_get(0)
            .br_if(0)
            .i32_const(7)
            .local_tee(1)
            .call(2)
            .unreachable()
            .end()
            .local_get(0)
            .i32_const(DATA + 12)
            .i32_load(memory)
            .call_indirect(0, 0)
            .end();
        push(main, DATA + 12, 6);
        let mut panic = Function::new([]);
        panic.instructions().i32_const(DATA).call(0).unreachable().end();
        push(panic, DATA, 4);
        let mut lost = Function::new([]);
        lost.instructions().i32_const(DATA + 8).call(0).end();
        push(lost, DATA + 8, 5);
        let mut kept = Function::new([]);
        kept.instructions().local_get(0).call(0).end();
        push(kept, -1, 0);

        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(DATA), *b"no words.hi!\x02\0\0\0".first_chunk::<16>().unwrap());
        let mut symbols = SymbolTable::new();
        for (number, name) in [(1, "main"), (2, PANIC), (3, "lost"), (4, "kept")] {
            symbols.function(0, number, Some(name));
        }
        for (name, offset, size) in [("words", 0, 8), ("of lost", 8, 4), ("place", 12, 4)] {
            symbols.data(0, name, Some(wasm_encoder::DataSymbolDefinition { index: 0, offset, size }));
        }
        let mut linking = LinkingSection::new();
        linking.symbol_table(&symbols);
        let mut names = NameMap::new();
        names.append(2, PANIC);
        let mut name = NameSection::new();
        name.functions(&names);

        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables).section(&memories);
        module.section(&exports).section(&elements);
        module.section(&wasm_encoder::RawSection { id: 10, data: &code }).section(&data).section(&linking);
        // MemoryAddrSleb in the code, which is section 7; TableIndexI32 in the data, behind its head of 6 bytes.
        let mut relocations = vec![7, addresses.len() as u8];
        for (at, symbol) in addresses {
            relocations.push(4);
            at.encode(&mut relocations);
            relocations.extend([symbol as u8, 0]);
        }
        module.section(&CustomSection { name: "reloc.CODE".into(), data: relocations.as_slice().into() });
        module.section(&CustomSection { name: "reloc.DATA".into(), data: [8, 1, 2, 7 + 12, 3].as_slice().into() });
        module.section(&name);
        module.finish()
    }

    #[test]
    fn a_panic_is_a_trap_and_what_only_it_needed_is_gone() {
        let module = linked();
        wasmparser::Validator::new().validate_all(&module).unwrap();
        let trimmed = trim(&module).unwrap();
        let mut bodies = Vec::new();
        let mut data = Vec::new();
        let mut elements = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(&trimmed) {
            match payload.unwrap() {
                wasmparser::Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes().to_vec()),
                wasmparser::Payload::DataSection(section) => {
                    data = section.into_iter().map(|it| it.unwrap().data).collect()
                }
                wasmparser::Payload::ElementSection(section) => {
                    for element in section {
                        let wasmparser::ElementItems::Functions(functions) = element.unwrap().items else { panic!() };
                        elements.extend(functions.into_iter().map(Result::unwrap));
                    }
                }
                wasmparser::Payload::CustomSection(section) => assert_eq!(section.name(), "name"),
                _ => {}
            }
        }
        // block, local.get 0, br_if 0, unreachable, end; then the call by the place that is read at 1024 now.
        let main = [1, 1, 0x7f, 0x02, 0x40, 0x20, 0, 0x0d, 0, 0x00, 0x0b];
        let call = [0x20, 0, 0x41, 0x80, 8, 0x28, 2, 0, 0x11, 0, 0, 0x0b];
        assert_eq!(bodies[0], [&main[..], &call].concat());
        assert_eq!(bodies[1..3], [[0, 0x00, 0x0b], [0, 0x00, 0x0b]]);
        assert_eq!(bodies[3], [0, 0x20, 0, 0x10, 0, 0x0b]);
        assert_eq!(data, [[1, 0, 0, 0]]);
        assert_eq!(elements, [4]);
        pack::pack(&trimmed, &Default::default()).unwrap();
    }

    #[test]
    fn what_nobody_reads_is_zero_wherever_it_is_passed() {
        let get = |local| Instruction::Plain(vec![0x20, local]);
        let place = Instruction::Address(7, 0);
        let bodies = [
            // Reads the first of its parameters; hands on both; is handed two places.
            vec![get(0), Instruction::Plain(vec![0x1a]), Instruction::End],
            vec![get(0), get(1), Instruction::Call(1), Instruction::End],
            vec![place.clone(), place.clone(), Instruction::Call(2), Instruction::End],
        ];
        let mut linked = Linked {
            imported: 1,
            kinds: vec![0; 3],
            params: vec![vec![wasmparser::ValType::I32; 2]],
            bodies: bodies.map(|code| Body { locals: vec![0], code }).into(),
            ..Linked::default()
        };
        zero_unread(&mut linked);
        let zero = Instruction::Plain(vec![0x41, 0]);
        assert_eq!(linked.bodies[1].code[..2], [get(0), zero.clone()]);
        assert_eq!(linked.bodies[2].code[..2], [place, zero]);
    }

    #[test]
    fn a_module_without_the_linkers_account_is_refused() {
        let module = trim(&linked()).unwrap();
        assert!(trim(&module).unwrap_err().to_string().contains("--emit-relocs"));
        assert!(trim(b"\0asm\x01\0\0\0\x0a\x05").is_err());
    }
}
