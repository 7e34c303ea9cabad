//! Packs a module for the download: its code by `web/unpack`, natively what packs and in the browser what unpacks; what is before and
//! behind the code, types, texts and tables, by LZMA.
//!
//! What unpacks the code travels in the file, itself a small module, which the page's JavaScript runs. The file says which version it is,
//! because module and JavaScript number what they share, and ends with a sum of all its bytes: caches, deployments and cut
//! connections mix and damage files, and of what is neither the page can say so.

use std::io::Write;

use anyhow::{Context, Result, anyhow, ensure};
use lzma_rust2::{LzmaOptions, LzmaWriter};
use unpack::{AHEAD, Desk, PACKED, SIZE, Unknown, Walk, Writer, Written};
use wasm_encoder::Encode;
use wasmparser::{Parser, Payload};

/// Says that a file is a packed module: no module begins with it.
const MAGIC: &[u8; 4] = b"prt5";
/// Makes a module of such a file: JavaScript that becomes part of the module's own.
pub(crate) const TOGETHER: &str = include_str!("together.js");
/// How many bits of the byte before choose a byte's odds for LZMA, before the code and behind it, as came out best.
const BEFORE: u32 = 1;
const BEHIND: u32 = 3;
/// As far back as LZMA looks: further than either is long.
const WINDOW: u32 = 1 << 20;

/// The file for the download: magic; how long the module is, where its first body begins, the version, where its last body ends, how
/// many there are, how long the four parts are; these: what unpacks the code, what is before it, the code, what is behind it; and the sum.
pub(crate) fn take_apart(module: &[u8], unpacker: &[u8], version: u32) -> Result<Vec<u8>> {
    let Code { start, end, functions } = code(module)?;
    ensure!(roomy(module)? == module, "sizes of bodies do not take {SIZE} bytes");
    let packed = pack(module, start, functions)?;
    // What packs passes over nothing that it can't tell of: it tells of something else.
    let same = unpacked(&packed, &module[..start], end, functions)? == module[..end];
    ensure!(same, "the module comes out different");
    let (before, behind) = (by_lzma(&module[..start], BEFORE)?, by_lzma(&module[end..], BEHIND)?);

    let mut file = MAGIC.to_vec();
    let parts = [unpacker, &before, &packed, &behind];
    let numbers = [module.len(), start, version as usize, end, functions];
    for number in numbers.into_iter().chain(parts.map(<[u8]>::len)) {
        file.extend(u32::try_from(number)?.to_le_bytes());
    }
    file.extend(parts.concat());
    file.extend(sum(file.iter()).to_le_bytes());
    Ok(file)
}

fn walked(error: Unknown) -> anyhow::Error {
    anyhow!("the module can't be walked over: {error:?}")
}

fn pack(module: &[u8], start: usize, functions: usize) -> Result<Vec<u8>> {
    let (mut bytes, mut desk) = (module.to_vec(), Desk::empty());
    let mut walk = Walk::new(&mut desk, Writer::empty(), &mut bytes, start).map_err(walked)?;
    for _ in 0..functions {
        let before = walk.bits().count();
        walk.body().map_err(walked)?;
        // What reads has read some bytes more than it needs.
        ensure!(walk.bits().count() - before + 16 < AHEAD, "a body is too long to be unpacked before all is there");
    }
    let packed = walk.end().finish();
    ensure!(packed.len() <= PACKED, "the page has no room for {} packed bytes", packed.len());
    Ok(packed)
}

/// What is before the code, and the code.
fn unpacked(packed: &[u8], before: &[u8], end: usize, functions: usize) -> Result<Vec<u8>> {
    let (mut module, mut desk) = (vec![0; end], Desk::empty());
    module[..before.len()].copy_from_slice(before);
    let mut walk = Walk::new(&mut desk, Written::new(packed), &mut module, before.len()).map_err(walked)?;
    for _ in 0..functions {
        walk.body().map_err(walked)?;
    }
    Ok(module)
}

/// LZMA's bits without a header: what would be in it stands in the file's own, and positions are no context.
fn by_lzma(part: &[u8], context: u32) -> Result<Vec<u8>> {
    let mut options = LzmaOptions::with_preset(9);
    (options.lc, options.lp, options.pb, options.dict_size) = (context, 0, 0, WINDOW);
    (options.nice_len, options.depth_limit) = (LzmaOptions::NICE_LEN_MAX, 1000);
    let mut writer = LzmaWriter::new_no_header(Vec::new(), &options, false).context("LZMA's options")?;
    writer.write_all(part)?;
    Ok(writer.finish()?)
}

/// The module with bodies whose sizes take as many bytes as the longest needs: what unpacks it knows a size only behind its body.
pub(crate) fn roomy(module: &[u8]) -> Result<Vec<u8>> {
    let mut before = 0;
    let (mut code, mut section) = (Vec::new(), 0..0);
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::CodeSectionStart { count, range, size } => {
                section = range;
                // An id before it, and how long it is.
                let mut head = Vec::new();
                size.encode(&mut head);
                before = section.start - head.len();
                count.encode(&mut code);
            }
            Payload::CodeSectionEntry(body) => {
                let mut size = body.as_bytes().len();
                ensure!(size >> (7 * SIZE) == 0, "a body of {size} bytes");
                for index in 0..SIZE {
                    code.push(size as u8 & 127 | if index + 1 < SIZE { 128 } else { 0 });
                    size >>= 7;
                }
                code.extend(body.as_bytes());
            }
            _ => {}
        }
    }
    ensure!(before > 0 && module.get(before - 1) == Some(&10), "a module whose code is elsewhere");
    let mut roomy = module[..before].to_vec();
    u32::try_from(code.len())?.encode(&mut roomy);
    roomy.extend(code);
    roomy.extend(&module[section.end..]);
    Ok(roomy)
}

/// Where a module's bodies are.
struct Code {
    start: usize,
    end: usize,
    functions: usize,
}

fn code(module: &[u8]) -> Result<Code> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CodeSectionStart { count, range, .. } = payload? {
            let digits = module[range.start..].iter().position(|it| *it < 128).context("a number without an end")?;
            return Ok(Code { start: range.start + digits + 1, end: range.end, functions: count as usize });
        }
    }
    Err(anyhow!("a module without code"))
}

/// FNV-1a: no two texts that differ in one byte have the same.
pub(crate) fn sum<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

    use std::io::Read;

    use wasm_encoder::{
        BlockType, CodeSection, DataCountSection, Function, FunctionSection, Module, TypeSection, ValType,
    };

    use super::*;

    fn sample(body: &Function) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], []);
        let mut functions = FunctionSection::new();
        let mut code = CodeSection::new();
        for _ in 0..3 {
            functions.function(0);
            code.function(body);
        }
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&DataCountSection { count: 0 }).section(&code);
        module.section(&wasm_encoder::CustomSection { name: "t".into(), data: b"x".as_slice().into() });
        module.finish()
    }

    /// Every sort of argument, small and large, with both signs.
    fn all_sorts() -> Function {
        let mut body = Function::new([(2, ValType::I32), (300, ValType::I64)]);
        let at = |offset, align| wasm_encoder::MemArg { offset, align, memory_index: 0 };
        let mut code = body.instructions();
        code.block(BlockType::Empty).local_get(0).br_if(0).local_get(1).i32_const(7).i32_store(at(300, 2)).end();
        code.i32_const(1 << 20).local_set(2).i64_const(-1).drop().i64_const(i64::MIN).drop().local_get(299).drop();
        code.i32_const(-65).i32_const(64).i32_const(i32::MIN).i32_const(-1).call(2).call(0).call_indirect(0, 0);
        code.local_get(0).i64_load(at(1 << 30, 3)).drop().local_get(0).i32_load8_u(at(56, 0)).drop();
        code.f64_const(1.5.into()).f32_const((-2.5).into()).drop().drop().memory_size(0).drop().global_get(200).drop();
        code.block(BlockType::Result(ValType::I32)).local_get(0).br_table(vec![0, 1, 0], 1).end().drop();
        code.f64_const(3.0.into())
            .i32_trunc_sat_f64_s()
            .drop()
            .i32_const(0)
            .i32_const(0)
            .i32_const(0)
            .memory_copy(0, 0);
        code.i32_const(0).i32_const(0).i32_const(0).memory_fill(0).unreachable().end();
        body
    }

    #[test]
    fn a_module_comes_out_as_it_was() {
        let module = roomy(&sample(&all_sorts())).unwrap();
        let file = take_apart(&module, b"unpacks", 7).unwrap();
        assert_eq!(file[..4], *MAGIC);
        let mut numbers = [0; 9];
        for (number, bytes) in numbers.iter_mut().zip(file[4..40].chunks(4)) {
            *number = u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
        }
        let [length, start, version, end, functions, own, before, packed, behind] = numbers;
        assert_eq!((version, length, functions, own), (7, module.len(), 3, 7));
        let (unpacker, rest) = file[40..].split_at(own);
        assert_eq!(unpacker, b"unpacks");
        let (before, rest) = rest.split_at(before);
        let (packed, rest) = rest.split_at(packed);
        let (behind, last) = rest.split_at(behind);
        assert_eq!(sum(file[..file.len() - 4].iter()), u32::from_le_bytes(last.try_into().unwrap()));
        // A library unpacks the rest that has nothing to do with what the page does it by.
        let rest = |packed: &[u8], length: usize, context| {
            let mut part = Vec::new();
            let reader = lzma_rust2::LzmaReader::new(packed, length as u64, context, 0, 0, WINDOW, None);
            reader.unwrap().read_to_end(&mut part).unwrap();
            part
        };
        let mut out = unpacked(packed, &rest(before, start, BEFORE), end, functions).unwrap();
        out.extend(rest(behind, length - end, BEHIND));
        assert_eq!(out, module);
        // The second and third bodies are as the first was.
        assert!(packed.len() < (end - start) / 2, "{} of {}", packed.len(), end - start);
    }

    #[test]
    fn a_body_that_could_not_be_unpacked_before_all_is_there_is_refused() {
        let mut body = Function::new([]);
        // FNV's numbers tell nothing of the next.
        let mut number = 1i64;
        for _ in 0..AHEAD / 7 {
            number = number.wrapping_mul(0x0100_0000_01b3) ^ 0x55;
            body.instructions().i64_const(number).drop();
        }
        body.instructions().end();
        let module = roomy(&sample(&body)).unwrap();
        assert!(take_apart(&module, b"", 0).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn sizes_of_bodies_take_three_bytes() {
        let mut body = Function::new([]);
        body.instructions().nop().end();
        let roomy = roomy(&sample(&body)).unwrap();
        assert!(roomy.windows(6).any(|it| it == [0x83, 0x80, 0, 0, 1, 0x0b]), "{roomy:?}");
        assert_eq!(roomy.len(), sample(&body).len() + 3 * 2);
        assert_eq!(super::roomy(&roomy).unwrap(), roomy);
    }

    #[test]
    fn the_sum_is_fnv_1a() {
        // From the authors' own test vectors.
        assert_eq!([&b""[..], b"a", b"foobar"].map(|it| sum(it.iter())), [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]);
    }

    #[test]
    fn what_would_not_come_out_as_it_was_is_refused() {
        let mut body = Function::new([]);
        // An alignment that is not the natural one, which the file does not tell.
        let at = wasm_encoder::MemArg { offset: 0, align: 0, memory_index: 0 };
        body.instructions().local_get(0).i32_load(at).drop().end();
        let module = roomy(&sample(&body)).unwrap();
        assert!(take_apart(&module, b"", 0).unwrap_err().to_string().contains("different"));
        let mut body = Function::new([]);
        body.instructions().nop().end();
        assert!(take_apart(&sample(&body), b"", 0).is_err(), "sizes of one byte");
        assert!(take_apart(b"\0asm\x01\0\0\0", b"", 0).is_err());
        assert!(take_apart(b"\0asm\x01\0\0\0\x0a\x05", b"", 0).is_err());
    }
}
