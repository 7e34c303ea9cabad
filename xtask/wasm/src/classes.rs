//! Leaves out classes that a library exports to JavaScript and that nothing in the page ever makes.
//!
//! Leptos depends on a library of streams, for functions that run on a server. It exports three classes, and what is exported
//! stays, with all that it calls: promises, futures, a dozen things of the browser's. To wasm-bindgen a class is exported
//! functions and a description in a custom section; without both it is as if the class had never been there.

use anyhow::{Context, Result};
use wasm_encoder::{CustomSection, ExportKind, ExportSection, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload};

/// How the names of those classes begin.
const LEFT_OUT: &str = "IntoUnderlying";
/// Where wasm-bindgen's macros describe what they saw.
const DESCRIPTIONS: &str = "__wasm_bindgen_unstable";

/// The linked module without them.
pub(crate) fn leave_out(module: &[u8]) -> Result<Vec<u8>> {
    let lower = LEFT_OUT.to_lowercase();
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else { continue };
        match payload {
            Payload::ExportSection(exports) => {
                let mut section = ExportSection::new();
                for export in exports {
                    let export = export?;
                    let kind = match export.kind {
                        ExternalKind::Func if export.name.contains(&lower) => continue,
                        ExternalKind::Func => ExportKind::Func,
                        ExternalKind::Table => ExportKind::Table,
                        ExternalKind::Memory => ExportKind::Memory,
                        ExternalKind::Global => ExportKind::Global,
                        other => anyhow::bail!("an export of {other:?} is not provided for"),
                    };
                    section.export(export.name, kind, export.index);
                }
                out.section(&section);
            }
            Payload::CustomSection(section) if section.name() == DESCRIPTIONS => {
                let data = described(section.data())?;
                out.section(&CustomSection { name: DESCRIPTIONS.into(), data: data.into() });
            }
            _ => {
                out.section(&RawSection { id, data: &module[range] });
            }
        }
    }
    Ok(out.finish())
}

/// The descriptions but those of the classes. They come in pairs, each with its length before it: a version, a description.
fn described(mut data: &[u8]) -> Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(data.len());
    while !data.is_empty() {
        let version = counted(&mut data)?;
        let description = counted(&mut data)?;
        if !description.windows(LEFT_OUT.len()).any(|it| it == LEFT_OUT.as_bytes()) {
            kept.extend_from_slice(version);
            kept.extend_from_slice(description);
        }
    }
    Ok(kept)
}

/// Takes what comes next, with its length.
fn counted<'a>(data: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = data.first_chunk().context("a description without its length")?;
    let end = 4 + u32::from_le_bytes(*length) as usize;
    let (next, rest) = data.split_at_checked(end).context("a description that is cut short")?;
    *data = rest;
    Ok(next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

    use wasm_encoder::{CodeSection, Function, FunctionSection, TypeSection};

    use super::*;

    fn pair(description: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for part in ["{}", description] {
            out.extend((part.len() as u32).to_le_bytes());
            out.extend(part.as_bytes());
        }
        out
    }

    #[test]
    fn a_class_goes_with_its_functions_and_its_description() {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut exports = ExportSection::new();
        for name in ["lab_act", "intounderlyingsink_write", "__wbg_intounderlyingsink_free"] {
            exports.export(name, ExportKind::Func, 0);
        }
        let mut code = CodeSection::new();
        let mut body = Function::new([]);
        body.instructions().end();
        code.function(&body);
        let descriptions = [pair("\x03Lab"), pair("\x12IntoUnderlyingSink"), pair("\x05write")].concat();
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&exports).section(&code);
        module.section(&CustomSection { name: DESCRIPTIONS.into(), data: descriptions.as_slice().into() });

        let left = leave_out(&module.finish()).unwrap();
        let mut names = Vec::new();
        let mut data = Vec::new();
        for payload in Parser::new(0).parse_all(&left) {
            match payload.unwrap() {
                Payload::ExportSection(exports) => names.extend(exports.into_iter().map(|it| it.unwrap().name)),
                Payload::CustomSection(section) => data = section.data().to_vec(),
                _ => {}
            }
        }
        assert_eq!(names, ["lab_act"]);
        assert_eq!(data, [pair("\x03Lab"), pair("\x05write")].concat());
    }

    #[test]
    fn descriptions_that_are_cut_short_are_an_error() {
        let whole = pair("\x03Lab");
        assert!(described(&whole).is_ok());
        assert!(described(&whole[..whole.len() - 1]).is_err());
        assert!(described(&whole[..6]).is_err());
        assert!(described(&whole[..2]).is_err());
    }
}
