//! A function's body as a list of instructions: what a pass looks at is taken apart, the rest is bytes.

use anyhow::{Result, bail};
use wasm_encoder::Encode;
use wasmparser::{BlockType, FunctionBody, Operator};

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    Block(BlockType),
    Loop(BlockType),
    If(BlockType),
    Else,
    End,
    Unreachable,
    Br(u32),
    BrIf(u32),
    /// Where to, and where to otherwise.
    BrTable(Vec<u32>, u32),
    Return,
    Call(u32),
    /// `i32.const` of an address in memory: the symbol and what is added to it.
    Address(u32, i32),
    /// `i32.const` of a function's place in the table: the symbol.
    Pointer(u32),
    /// A load or store whose offset is an address: opcode, alignment, symbol and what is added to it.
    Access(u8, u8, u32, i32),
    /// Goes on with the next instruction and has no effect but on the stack, locals, globals and memory, or a trap.
    Plain(Vec<u8>),
    /// Anything else, calls through the table among it.
    Other(Vec<u8>),
}

impl Instruction {
    /// Whether it holds an address or a place in the table.
    pub(crate) fn refers(&self) -> bool {
        matches!(self, Instruction::Address(..) | Instruction::Pointer(..) | Instruction::Access(..))
    }
}

/// What an instruction's operand stands for, by the linker's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Address { symbol: u32, addend: i32 },
    Pointer { symbol: u32 },
}

/// A body taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    /// The declaration of locals, as bytes.
    pub(crate) locals: Vec<u8>,
    pub(crate) code: Vec<Instruction>,
}

impl Body {
    /// Reads a body; `operand` tells what the bytes from..to of it stand for.
    pub(crate) fn read(body: &FunctionBody<'_>, operand: &dyn Fn(usize, usize) -> Option<Operand>) -> Result<Body> {
        let start = body.range().start;
        let bytes = body.as_bytes();
        let mut reader = body.get_operators_reader()?;
        let mut read = Body { locals: bytes[..reader.original_position() - start].to_vec(), code: Vec::new() };
        while !reader.eof() {
            let from = reader.original_position() - start;
            let operator = reader.read()?;
            let to = reader.original_position() - start;
            let own = || bytes[from..to].to_vec();
            read.code.push(match (operator, operand(from, to)) {
                (Operator::I32Const { .. }, Some(Operand::Address { symbol, addend })) => {
                    Instruction::Address(symbol, addend)
                }
                (Operator::I32Const { .. }, Some(Operand::Pointer { symbol })) => Instruction::Pointer(symbol),
                (_, Some(Operand::Address { symbol, addend })) if matches!(bytes[from], 0x28..=0x3e) => {
                    Instruction::Access(bytes[from], bytes[from + 1], symbol, addend)
                }
                (operator, Some(operand)) => bail!("{operand:?} of {operator:?} is not provided for"),
                (Operator::Block { blockty }, _) => Instruction::Block(blockty),
                (Operator::Loop { blockty }, _) => Instruction::Loop(blockty),
                (Operator::If { blockty }, _) => Instruction::If(blockty),
                (Operator::Else, _) => Instruction::Else,
                (Operator::End, _) => Instruction::End,
                (Operator::Unreachable, _) => Instruction::Unreachable,
                (Operator::Br { relative_depth }, _) => Instruction::Br(relative_depth),
                (Operator::BrIf { relative_depth }, _) => Instruction::BrIf(relative_depth),
                (Operator::BrTable { targets }, _) => {
                    Instruction::BrTable(targets.targets().collect::<Result<_, _>>()?, targets.default())
                }
                (Operator::Return, _) => Instruction::Return,
                (Operator::Call { function_index }, _) => Instruction::Call(function_index),
                (..) if is_plain(&bytes[from..to]) => Instruction::Plain(own()),
                (..) => Instruction::Other(own()),
            });
        }
        Ok(read)
    }

    /// The body's bytes. `address` and `place` say where a data symbol and a function's symbol have come to lie.
    pub(crate) fn write(&self, address: &dyn Fn(u32, i32) -> u32, place: &dyn Fn(u32) -> u32) -> Vec<u8> {
        let mut out = self.locals.clone();
        for instruction in &self.code {
            match instruction {
                Instruction::Block(kind) => block(0x02, *kind, &mut out),
                Instruction::Loop(kind) => block(0x03, *kind, &mut out),
                Instruction::If(kind) => block(0x04, *kind, &mut out),
                Instruction::Else => out.push(0x05),
                Instruction::End => out.push(0x0b),
                Instruction::Unreachable => out.push(0x00),
                Instruction::Br(depth) => numbered(0x0c, *depth, &mut out),
                Instruction::BrIf(depth) => numbered(0x0d, *depth, &mut out),
                Instruction::BrTable(targets, default) => {
                    numbered(0x0e, targets.len() as u32, &mut out);
                    targets.iter().chain([default]).for_each(|it| it.encode(&mut out));
                }
                Instruction::Return => out.push(0x0f),
                Instruction::Call(function) => numbered(0x10, *function, &mut out),
                Instruction::Address(symbol, addend) => constant(address(*symbol, *addend), &mut out),
                Instruction::Pointer(symbol) => constant(place(*symbol), &mut out),
                Instruction::Access(opcode, align, symbol, addend) => {
                    out.extend([*opcode, *align]);
                    address(*symbol, *addend).encode(&mut out);
                }
                Instruction::Plain(bytes) | Instruction::Other(bytes) => out.extend_from_slice(bytes),
            }
        }
        out
    }
}

fn block(opcode: u8, kind: BlockType, out: &mut Vec<u8>) {
    out.push(opcode);
    match kind {
        BlockType::Empty => out.push(0x40),
        BlockType::Type(kind) => match kind {
            wasmparser::ValType::I32 => out.push(0x7f),
            wasmparser::ValType::I64 => out.push(0x7e),
            wasmparser::ValType::F32 => out.push(0x7d),
            wasmparser::ValType::F64 => out.push(0x7c),
            other => unreachable!("a block of {other:?}"),
        },
        BlockType::FuncType(number) => i64::from(number).encode(out),
    }
}

fn numbered(opcode: u8, number: u32, out: &mut Vec<u8>) {
    out.push(opcode);
    number.encode(out);
}

fn constant(value: u32, out: &mut Vec<u8>) {
    out.push(0x41);
    (value as i32).encode(out);
}

/// Whether an instruction does nothing but compute, read or write what belongs to the module.
fn is_plain(instruction: &[u8]) -> bool {
    match instruction {
        // drop and select, locals and globals, loads and stores, constants and arithmetic; not calls, not memory.grow.
        [0x1a..=0x1b | 0x20..=0x24 | 0x28..=0x3f | 0x41..=0xc4, ..] => true,
        // Floats to integers, memory.copy and memory.fill.
        [0xfc, 0..=7 | 10 | 11, ..] => true,
        _ => false,
    }
}
