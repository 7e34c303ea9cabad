//! Numbers a function's locals anew: those that are named most get the smallest numbers, kind by kind, so that all functions
//! name mostly the same few.

use std::cmp::Reverse;

use anyhow::Result;
use wasm_encoder::Encode;
use wasmparser::{FunctionBody, Operator, ValType};

/// The body with its locals in the new order; those that nothing names are left out. Parameters keep their numbers.
pub(crate) fn renumbered(body: &FunctionBody<'_>, params: u32) -> Result<Vec<u8>> {
    let bytes = body.as_bytes();
    let mut kinds: Vec<u8> = Vec::new();
    for local in body.get_locals_reader()? {
        let (count, kind) = local?;
        let kind = match kind {
            ValType::I32 => 0x7f,
            ValType::I64 => 0x7e,
            ValType::F32 => 0x7d,
            ValType::F64 => 0x7c,
            // None of ours.
            ValType::V128 | ValType::Ref(_) => return Ok(bytes.to_vec()),
        };
        kinds.extend(std::iter::repeat_n(kind, count as usize));
    }
    let start = body.range().start;
    let mut reader = body.get_operators_reader()?;
    let code = reader.original_position() - start;
    // Where a local is named: from, to, which.
    let mut uses = Vec::new();
    while !reader.eof() {
        let at = reader.original_position() - start;
        let operator = reader.read()?;
        if let Operator::LocalGet { local_index: local }
        | Operator::LocalSet { local_index: local }
        | Operator::LocalTee { local_index: local } = operator
        {
            uses.push((at + 1, reader.original_position() - start, local));
        }
    }
    let mut count = vec![0u32; kinds.len()];
    for own in uses.iter().filter_map(|it| it.2.checked_sub(params)) {
        count[own as usize] += 1;
    }
    let mut order: Vec<usize> = (0..kinds.len()).filter(|it| count[*it] > 0).collect();
    order.sort_by_key(|it| (Reverse(kinds[*it]), Reverse(count[*it])));

    let mut numbers = vec![0; kinds.len()];
    let mut runs: Vec<(u32, u8)> = Vec::new();
    for (at, local) in order.iter().enumerate() {
        numbers[*local] = params + at as u32;
        match runs.last_mut().filter(|it| it.1 == kinds[*local]) {
            Some(run) => run.0 += 1,
            None => runs.push((1, kinds[*local])),
        }
    }
    let mut out = Vec::with_capacity(bytes.len());
    runs.len().encode(&mut out);
    for (count, kind) in runs {
        count.encode(&mut out);
        out.push(kind);
    }
    let mut at = code;
    for (from, to, local) in uses {
        out.extend_from_slice(&bytes[at..from]);
        local.checked_sub(params).map_or(local, |own| numbers[own as usize]).encode(&mut out);
        at = to;
    }
    out.extend_from_slice(&bytes[at..]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

    use wasm_encoder::Function;
    use wasmparser::BinaryReader;

    use super::*;

    #[test]
    fn what_is_named_most_comes_first_and_what_is_not_named_goes() {
        // A parameter (0); locals of i64 (1), i32 (2 to 4).
        let mut function = Function::new([(1, wasm_encoder::ValType::I64), (3, wasm_encoder::ValType::I32)]);
        function.instructions().local_get(0).local_tee(2).local_get(4).i32_add().local_tee(4).local_set(4).end();
        let mut body = Vec::new();
        function.encode(&mut body);
        let body = FunctionBody::new(BinaryReader::new(&body[1..], 0));
        let renumbered = renumbered(&body, 1).unwrap();
        // Two locals of i32: the one that was 4, and the one that was 2.
        assert_eq!(renumbered, [1, 2, 0x7f, 0x20, 0, 0x22, 2, 0x20, 1, 0x6a, 0x22, 1, 0x21, 1, 0x0b]);
    }
}
