//! Takes a module apart for the download: opcodes here, numbers of locals there, offsets, callees, constants each by their own.
//!
//! gzip finds what is alike by bytes that follow each other. In code an instruction's operand stands between it and the next: of
//! two functions that do the same with other locals little is alike. Kind by kind both are alike, and each kind of bytes has
//! its own frequencies: a seventh less to download. Where two bytes follow each other most often, one that the part does not
//! have stands for both, and then for two of those: gzip sees 32 KiB back and matches 258 bytes, which reach further so. The large
//! parts are packed by LZMA, which sees all of a part and learns its odds bit by bit, and gzip finds nothing more in them: a
//! fourteenth less again.
//! `together.js` puts the same module together again.
//!
//! The file says which version it is, because module and JavaScript number what they share, and ends with a sum of all its bytes:
//! caches, deployments and cut connections mix and damage files, and of what is neither the page can say so.

use std::cmp::Reverse;
use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use lzma_rust2::{LzmaOptions, LzmaWriter};
use wasmparser::{Operator, Parser, Payload};

/// Says that a file is a module's parts: no module begins with it.
const MAGIC: &[u8; 4] = b"prt4";
/// Puts parts together: JavaScript that becomes part of the module's own.
pub(crate) const TOGETHER: &str = include_str!("together.js");

/// Kinds of bytes, by their place in the file. `together.js` has the same.
#[derive(Clone, Copy)]
enum Kind {
    /// The module up to the first function's body.
    Head,
    /// What follows the last.
    Tail,
    Opcode,
    /// Declarations of locals.
    Declaration,
    /// The local of a `local.get`.
    Get,
    /// That of a `local.set` or `local.tee`.
    Set,
    /// A block's type.
    Type,
    Branch,
    ConditionalBranch,
    Callee,
    /// A constant of 32 bits.
    Constant,
    /// One that is added at once, that a `local.get` follows, that is stored. Others are at the end.
    Added,
    Beside,
    Kept,
    /// A large one, most often an address.
    Address,
    /// Of a load.
    Loaded,
    /// Of a store.
    Stored,
    /// Where a `br_table` goes.
    Targets,
    /// Operands of everything else.
    Rest,
    Global,
    /// The type and the table of an indirect call.
    Indirect,
    /// A constant of 64 bits.
    Long,
    /// A constant of 32 bits that something is compared with, whose bits are taken, by which something is shifted.
    Compared,
    Masked,
    Shifted,
}

/// How many.
const KINDS: usize = 25;
/// Stands for an `i32.const` whose constant is an [`Kind::Address`]; no instruction has this opcode.
const CONST_ADDRESS: u8 = 0x06;
/// A constant of so many bytes, its opcode counted, is none of the small ones.
const LARGE: usize = 3;
/// The kinds that LZMA packs: those that are large. Of each, how many bits of the byte before choose a byte's odds, as came out
/// best, and whether bytes for pairs are of use nevertheless.
const PACKED: [(Kind, u32, bool); 11] = [
    (Kind::Head, 1, false),
    (Kind::Tail, 3, false),
    (Kind::Opcode, 0, true),
    (Kind::Get, 0, false),
    (Kind::Set, 4, false),
    (Kind::Callee, 1, false),
    (Kind::Constant, 2, false),
    (Kind::Added, 2, false),
    (Kind::Address, 1, true),
    (Kind::Loaded, 1, false),
    (Kind::Stored, 1, false),
];
/// Stands in the place of those bits for a part that is not packed.
const PLAIN: u32 = 15;
/// As far back as LZMA looks: further than any part is long.
const WINDOW: u32 = 1 << 20;
/// So many bytes of a part stand for pairs at most, and a pair is there so often at least.
const PAIRS: usize = 96;
const OFTEN: u32 = 64;

/// The file for the download, of this version.
pub(crate) fn take_apart(module: &[u8], version: u32) -> Result<Vec<u8>> {
    let mut parts: [Vec<u8>; KINDS] = Default::default();
    let (mut functions, mut tail) = (0u32, module.len());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::CodeSectionStart { count, range, .. } => {
                functions = count;
                let (_, length) = number(&module[range.start..])?;
                parts[Kind::Head as usize] = module[..range.start + length].to_vec();
                tail = range.end;
            }
            Payload::CodeSectionEntry(body) => {
                let (bytes, start) = (body.as_bytes(), body.range().start);
                let mut reader = body.get_operators_reader()?;
                let code = reader.original_position() - start;
                parts[Kind::Declaration as usize].extend_from_slice(&bytes[..code]);
                while !reader.eof() {
                    let from = reader.original_position() - start;
                    let operator = reader.read()?;
                    let to = reader.original_position() - start;
                    // Behind a body's last instruction, which is its end, nothing is looked for.
                    let next = bytes.get(to).copied().unwrap_or_default();
                    sort(&operator, &bytes[from..to], next, &mut parts)?;
                }
            }
            _ => {}
        }
    }
    ensure!(functions > 0, "a module without code");
    parts[Kind::Tail as usize] = module[tail..].to_vec();

    let mut file = MAGIC.to_vec();
    file.extend(u32::try_from(module.len())?.to_le_bytes());
    file.extend(functions.to_le_bytes());
    file.extend(version.to_le_bytes());
    let (mut bytes, mut pairs) = (Vec::new(), Vec::new());
    for (kind, part) in parts.iter_mut().enumerate() {
        let packing = PACKED.iter().find(|it| it.0 as usize == kind);
        let own = if packing.is_none_or(|it| it.2) { pair(part) } else { Vec::new() };
        pairs.push(u8::try_from(own.len())?);
        pairs.extend(own.into_iter().flatten());
        let context = packing.map_or(PLAIN, |it| it.1);
        let packed = if context == PLAIN { part.clone() } else { pack(part, context)? };
        // Lengths are of 28 bits; no module is as long as that.
        file.extend((u32::try_from(part.len())? << 4 | context).to_le_bytes());
        file.extend(u32::try_from(packed.len())?.to_le_bytes());
        bytes.extend(packed);
    }
    file.extend(bytes);
    file.extend(pairs);
    file.extend(sum(file.iter()).to_le_bytes());
    Ok(file)
}

/// LZMA's bits without a header: what would be in it stands in the file's own, and positions are no context.
fn pack(part: &[u8], context: u32) -> Result<Vec<u8>> {
    let mut options = LzmaOptions::with_preset(9);
    (options.lc, options.lp, options.pb, options.dict_size) = (context, 0, 0, WINDOW);
    (options.nice_len, options.depth_limit) = (LzmaOptions::NICE_LEN_MAX, 1000);
    let mut writer = LzmaWriter::new_no_header(Vec::new(), &options, false).context("LZMA's options")?;
    writer.write_all(part)?;
    Ok(writer.finish()?)
}

/// FNV-1a: no two texts that differ in one byte have the same.
pub(crate) fn sum<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Puts bytes that a part does not have in the place of its most frequent pairs: each such byte, and what it stands for.
fn pair(part: &mut Vec<u8>) -> Vec<[u8; 3]> {
    let mut is_there = [false; 256];
    part.iter().for_each(|it| is_there[usize::from(*it)] = true);
    let mut made = Vec::new();
    for code in (0..=255u8).filter(|it| !is_there[usize::from(*it)]).take(PAIRS) {
        let mut counts = vec![0u32; 1 << 16];
        part.array_windows().for_each(|pair| counts[usize::from(u16::from_be_bytes(*pair))] += 1);
        // Of equally frequent ones the first, so that the same module is always taken apart alike.
        let best = (0..=u16::MAX).min_by_key(|it| Reverse(counts[usize::from(*it)])).unwrap_or_default();
        if counts[usize::from(best)] < OFTEN {
            break;
        }
        let [one, other] = best.to_be_bytes();
        let mut replaced = Vec::with_capacity(part.len());
        let mut rest = part.as_slice();
        while let [next, tail @ ..] = rest {
            let is_pair = *next == one && tail.first() == Some(&other);
            replaced.push(if is_pair { code } else { *next });
            rest = &tail[usize::from(is_pair)..];
        }
        *part = replaced;
        made.push([code, one, other]);
    }
    made
}

/// Puts an instruction's bytes where they belong, which may depend on the next opcode.
fn sort(operator: &Operator<'_>, bytes: &[u8], next: u8, parts: &mut [Vec<u8>; KINDS]) -> Result<()> {
    let opcode = bytes[0];
    let (kind, operands) = match opcode {
        0x20 => (Kind::Get, &bytes[1..]),
        0x21 | 0x22 => (Kind::Set, &bytes[1..]),
        0x02..=0x04 => (Kind::Type, &bytes[1..]),
        0x23 | 0x24 => (Kind::Global, &bytes[1..]),
        0x0c => (Kind::Branch, &bytes[1..]),
        0x0d => (Kind::ConditionalBranch, &bytes[1..]),
        0x0e => (Kind::Targets, &bytes[1..]),
        0x10 => (Kind::Callee, &bytes[1..]),
        0x11 => (Kind::Indirect, &bytes[1..]),
        0x41 if bytes.len() > LARGE => {
            parts[Kind::Opcode as usize].push(CONST_ADDRESS);
            parts[Kind::Address as usize].extend_from_slice(&bytes[1..]);
            return Ok(());
        }
        0x41 => {
            let kind = match next {
                0x6a => Kind::Added,
                0x20 => Kind::Beside,
                0x36..=0x3e => Kind::Kept,
                0x46..=0x4f => Kind::Compared,
                0x71..=0x73 => Kind::Masked,
                0x74..=0x78 => Kind::Shifted,
                _ => Kind::Constant,
            };
            (kind, &bytes[1..])
        }
        0x28..=0x3e => {
            // What a load or store promises is its natural alignment, in every packed module.
            let natural = b"23230011001122232301012"[usize::from(opcode - 0x28)] - b'0';
            ensure!(bytes[1] == natural, "an alignment of {operator:?} is not provided for");
            (if opcode < 0x36 { Kind::Loaded } else { Kind::Stored }, &bytes[2..])
        }
        0x42 => (Kind::Long, &bytes[1..]),
        0x43 | 0x44 | 0x3f | 0x40 => (Kind::Rest, &bytes[1..]),
        // The opcode's second byte is one too.
        0xfc if bytes[1] < 18 => {
            parts[Kind::Opcode as usize].push(opcode);
            parts[Kind::Opcode as usize].push(bytes[1]);
            parts[Kind::Rest as usize].extend_from_slice(&bytes[2..]);
            return Ok(());
        }
        0x00 | 0x01 | 0x05 | 0x0b | 0x0f | 0x1a | 0x1b | 0x45..=0xc4 | 0xd1 => (Kind::Rest, &bytes[1..]),
        0x25 | 0x26 | 0xd0 | 0xd2 => (Kind::Rest, &bytes[1..]),
        _ => bail!("{operator:?} is not provided for"),
    };
    parts[Kind::Opcode as usize].push(opcode);
    parts[kind as usize].extend_from_slice(operands);
    Ok(())
}

/// A number at the start of these bytes, and how many bytes it takes.
fn number(bytes: &[u8]) -> Result<(u32, usize)> {
    let length = 1 + bytes.iter().position(|it| *it < 0x80).context("a number without an end")?;
    Ok((bytes[..length].iter().rev().fold(0, |number, it| number << 7 | u32::from(it & 0x7f)), length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

    use std::io::Read;

    use wasm_encoder::{
        BlockType, CodeSection, DataCountSection, Function, FunctionSection, Module, TypeSection, ValType,
    };

    use super::*;

    /// Before the parts: magic, size of the module, number of functions, version, and the parts' lengths, with contexts and packed.
    const HEADER: usize = 16 + 8 * KINDS;

    fn sample(body: &Function) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], []);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut code = CodeSection::new();
        code.function(body);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&DataCountSection { count: 0 }).section(&code);
        module.section(&wasm_encoder::CustomSection { name: "t".into(), data: b"x".as_slice().into() });
        module.finish()
    }

    /// A part as a library unpacks it that has nothing to do with what the page does it by.
    fn part(file: &[u8], kind: Kind) -> Vec<u8> {
        let number = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap());
        let packed = |at: usize| number(16 + 8 * at + 4) as usize;
        let start = HEADER + (0..kind as usize).map(packed).sum::<usize>();
        let length = number(16 + 8 * kind as usize);
        let own = &file[start..start + packed(kind as usize)];
        if length & 15 == PLAIN {
            return own.to_vec();
        }
        let mut reader =
            lzma_rust2::LzmaReader::new(own, u64::from(length >> 4), length & 15, 0, 0, WINDOW, None).unwrap();
        let mut part = Vec::new();
        reader.read_to_end(&mut part).unwrap();
        part
    }

    #[test]
    fn every_kind_of_bytes_is_by_itself() {
        let mut body = Function::new([(2, ValType::I32)]);
        let at = wasm_encoder::MemArg { offset: 300, align: 2, memory_index: 0 };
        let mut code = body.instructions();
        code.block(BlockType::Empty).local_get(0).br_if(0).local_get(1).i32_const(7).i32_store(at).end();
        code.i32_const(1 << 20).local_set(2).i64_const(-1).drop().local_get(0).local_get(0).local_get(0);
        code.memory_copy(0, 0).end();
        let module = sample(&body);
        let file = take_apart(&module, 7).unwrap();
        assert_eq!(file[..4], *MAGIC);
        assert_eq!(file[4..8], (module.len() as u32).to_le_bytes());
        assert_eq!(file[8..12], 1u32.to_le_bytes());
        assert_eq!(file[12..16], 7u32.to_le_bytes());
        let opcodes = [
            0x02,
            0x20,
            0x0d,
            0x20,
            0x41,
            0x36,
            0x0b,
            CONST_ADDRESS,
            0x21,
            0x42,
            0x1a,
            0x20,
            0x20,
            0x20,
            0xfc,
            10,
            0x0b,
        ];
        assert_eq!(part(&file, Kind::Opcode), opcodes);
        assert_eq!(part(&file, Kind::Declaration), [1, 2, 0x7f]);
        assert_eq!(part(&file, Kind::Get), [0, 1, 0, 0, 0]);
        assert_eq!(part(&file, Kind::Set), [2]);
        assert_eq!(part(&file, Kind::Type), [0x40]);
        assert_eq!(part(&file, Kind::ConditionalBranch), [0]);
        assert_eq!(part(&file, Kind::Kept), [7]);
        assert_eq!(part(&file, Kind::Address), [0x80, 0x80, 0xc0, 0]);
        assert_eq!(part(&file, Kind::Stored), [0xac, 2]);
        assert_eq!(part(&file, Kind::Long), [0x7f]);
        assert_eq!(part(&file, Kind::Rest), [0, 0]);
        // All of the module's bytes are there but the body's size and the alignment; no part is so long that it has pairs.
        let length = |at: usize| u32::from_le_bytes(*file[16 + 8 * at..].first_chunk().unwrap()) >> 4;
        assert_eq!((0..KINDS).map(length).sum::<u32>() as usize, module.len() - 2);
        assert_eq!(file[file.len() - 4 - KINDS..file.len() - 4], [0; KINDS]);
        assert_eq!(part(&file, Kind::Tail), [0, 3, 1, b't', b'x']);
        let (before, last) = file.split_last_chunk().unwrap();
        assert_eq!(sum(before.iter()), u32::from_le_bytes(*last));
    }

    #[test]
    fn what_is_always_or_seldom_the_same_is_told_apart_by_what_it_is_for() {
        let mut body = Function::new([]);
        let mut code = body.instructions();
        code.loop_(BlockType::Empty).global_get(3).i32_const(9).i32_eq().i32_const(5).i32_and().i32_const(4).i32_shl();
        code.call_indirect(0, 2).i32_const(6).drop().f32_const(0.0.into()).drop().end().end();
        let file = take_apart(&sample(&body), 7).unwrap();
        let expected: [(Kind, &[u8]); 8] = [
            (Kind::Type, &[0x40]),
            (Kind::Global, &[3]),
            (Kind::Compared, &[9]),
            (Kind::Masked, &[5]),
            (Kind::Shifted, &[4]),
            (Kind::Indirect, &[2, 0]),
            (Kind::Constant, &[6]),
            (Kind::Rest, &[0; 4]),
        ];
        for (kind, bytes) in expected {
            assert_eq!(part(&file, kind), bytes);
        }
    }

    #[test]
    fn the_sum_is_fnv_1a() {
        // From the authors' own test vectors.
        assert_eq!([&b""[..], b"a", b"foobar"].map(|it| sum(it.iter())), [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]);
    }

    #[test]
    fn a_byte_stands_for_what_follows_each_other_often() {
        let text = b"abcabd".repeat(OFTEN as usize);
        let mut part = text.clone();
        let pairs = pair(&mut part);
        assert!(part.len() < text.len() / 4);
        // What was paired last stands for what was paired before.
        for [code, one, other] in pairs.iter().rev() {
            assert!(!text.contains(code));
            let both = part.iter().flat_map(|it| if it == code { vec![*one, *other] } else { vec![*it] });
            part = both.collect();
        }
        assert_eq!(part, text);
        let mut every: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
        assert!(pair(&mut every).is_empty(), "no byte is left to stand for a pair");
    }

    #[test]
    fn what_could_not_be_put_together_is_refused() {
        let mut body = Function::new([]);
        let at = wasm_encoder::MemArg { offset: 0, align: 0, memory_index: 0 };
        body.instructions().local_get(0).i32_load(at).drop().end();
        assert!(take_apart(&sample(&body), 0).unwrap_err().to_string().contains("alignment"));
        assert!(take_apart(b"\0asm\x01\0\0\0", 0).is_err());
        assert!(take_apart(b"\0asm\x01\0\0\0\x0a\x05", 0).is_err());
    }
}
