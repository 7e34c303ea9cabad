//! The JavaScript that binds the module to the browser, for machines to read: comments and indentation go, and what only the
//! module and the JavaScript call each other by gets short names.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use wasmparser::{Parser, Payload};

use crate::parts::{self, TOGETHER};

/// Short names by those that wasm-bindgen gave: a name of the browser's and a hash.
#[derive(Debug, Default)]
pub(crate) struct Names {
    imports: HashMap<String, String>,
    exports: HashMap<String, String>,
}

impl Names {
    /// Of all that a bound module and its JavaScript share.
    pub(crate) fn choose(module: &[u8], script: &str) -> Result<Names> {
        let mut names = Names::default();
        let mut count = 0;
        let mut next = || {
            count += 1;
            short(count - 1)
        };
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let name = import?.name;
                        if !names.imports.contains_key(name) && script.contains(name) {
                            names.imports.insert(name.to_owned(), next());
                        }
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let name = export?.name;
                        if name != MEMORY
                            && words(script).any(|(word, before)| word == name && before.ends_with(EXPORTS))
                        {
                            names.exports.insert(name.to_owned(), next());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(names)
    }

    /// The short name of something imported.
    pub(crate) fn import<'a>(&'a self, name: &'a str) -> &'a str {
        self.imports.get(name).map_or(name, |it| it)
    }

    /// The short name of something exported.
    pub(crate) fn export<'a>(&'a self, name: &'a str) -> &'a str {
        self.exports.get(name).map_or(name, |it| it)
    }

    /// The JavaScript with these names, without comments that are lines of their own and without indentation. Lines stay: in
    /// JavaScript some of them end statements.
    pub(crate) fn rewrite(&self, script: &str) -> String {
        let mut out = String::with_capacity(script.len());
        let mut in_comment = false;
        for line in script.lines().map(str::trim) {
            let is_comment = in_comment || line.starts_with("/*") || line.starts_with("//");
            in_comment = (in_comment || line.starts_with("/*")) && !line.ends_with("*/");
            if is_comment || line.is_empty() {
                continue;
            }
            let mut at = 0;
            for (word, before) in words(line) {
                out.push_str(&line[at..before.len()]);
                at = before.len() + word.len();
                out.push_str(if before.ends_with(EXPORTS) { self.export(word) } else { self.import(word) });
            }
            out.push_str(&line[at..]);
            out.push('\n');
        }
        out
    }
}

/// A version of a module and the JavaScript that loads it: with another of either it is another.
pub(crate) fn version(module: &[u8], script: &str) -> Result<u32> {
    let script = loading(script, "", 0)?;
    Ok(parts::sum(module.iter().chain(script.as_bytes())))
}

/// The JavaScript, which loads the module's parts from a file beside it and puts them together. The file's address names the
/// version, so that what a cache has of another is not taken for it.
pub(crate) fn loading(script: &str, file: &str, version: u32) -> Result<String> {
    let mut out = script.to_owned();
    let place = format!("new URL('{file}?v={version:08x}', import.meta.url)");
    for (from, to) in [(PLACE, &*place), (LOAD, LOAD_PARTS), (LOAD_NOW, LOAD_PARTS_NOW)] {
        ensure!(out.matches(from).count() == 1, "wasm-bindgen's JavaScript has no {from}");
        out = out.replace(from, to);
    }
    out += &format!("const VERSION = 0x{version:08x};\n");
    out.push_str(&Names::default().rewrite(TOGETHER));
    Ok(out)
}

/// wasm-bindgen's types, without the exports by names that they no longer have: what a script may use of them is the memory.
pub(crate) fn types(text: &str) -> Result<String> {
    let (before, exports) = text.split_once(EXPORTED).context("wasm-bindgen's types name no exports")?;
    let (exports, after) = exports.split_once("\n}").context("the exports' types have no end")?;
    let memory = exports.lines().find(|it| it.contains("memory:")).context("the exports' types name no memory")?;
    Ok(format!("{before}{EXPORTED}\n{memory}\n}}{after}"))
}

/// Where wasm-bindgen loads a module from, and how, at once and not; and how it is loaded in parts.
const PLACE: &str = "new URL('vivarium_bg.wasm', import.meta.url)";
const LOAD: &str = "__wbg_load(await module_or_path, imports)";
const LOAD_PARTS: &str = "__wbg_load(await engine(module_or_path), imports)";
const LOAD_NOW: &str = "new WebAssembly.Module(module)";
const LOAD_PARTS_NOW: &str = "new WebAssembly.Module(together(module))";
/// How the types of the module's exports begin, and the one that keeps its name.
const EXPORTED: &str = "export interface InitOutput {";
const MEMORY: &str = "memory";

/// What the JavaScript calls the module's exports.
const EXPORTS: &str = "wasm.";

/// `$0` to `$z`, `$10`, and so on: names that wasm-bindgen gives nothing.
fn short(mut number: usize) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or_default());
        number /= 36;
        if number == 0 {
            digits.push('$');
            return digits.into_iter().rev().collect();
        }
    }
}

/// The words of a line of JavaScript, each with what is before it.
fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '$';
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + line[rest..].find(is_word)?;
        rest = line[start..].find(|it| !is_word(it)).map_or(line.len(), |it| start + it);
        Some((&line[start..rest], &line[..start]))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

    use wasm_encoder::{EntityType, ExportKind, ExportSection, ImportSection, Module, TypeSection};

    use super::*;

    const SCRIPT: &str = "\
/* types */
/**
 * Acts; `wasm.lab_act` in a comment.
 */
export function lab_act(a) {
    // Not `act`.
    return wasm.lab_act(a) + wasm.memory;
}
const imports = {
    __wbg_log_0123456789abcdef: function(a) { console.log(a /* all */); },
};
";

    fn module() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("./m.js", "__wbg_log_0123456789abcdef", EntityType::Function(0));
        imports.import("env", "elsewhere", EntityType::Function(0));
        let mut exports = ExportSection::new();
        exports.export("lab_act", ExportKind::Func, 0).export("unused", ExportKind::Func, 1);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&exports);
        module.finish()
    }

    #[test]
    fn both_sides_get_the_same_short_names_and_what_people_call_keeps_its_own() {
        let names = Names::choose(&module(), SCRIPT).unwrap();
        assert_eq!(names.import("__wbg_log_0123456789abcdef"), "$0");
        assert_eq!((names.export("lab_act"), names.export("unused")), ("$1", "unused"));
        assert_eq!(names.import("elsewhere"), "elsewhere");
        let expected = "\
export function lab_act(a) {
return wasm.$1(a) + wasm.memory;
}
const imports = {
$0: function(a) { console.log(a /* all */); },
};
";
        assert_eq!(names.rewrite(SCRIPT), expected);
    }

    #[test]
    fn parts_are_loaded_in_place_of_the_module_wherever_it_is_from() {
        let script = format!("let a = {PLACE};\n{LOAD};\n{LOAD_NOW};\n");
        let loading = loading(&script, "v.parts", 0xc0ffee).unwrap();
        let expected = format!(
            "let a = new URL('v.parts?v=00c0ffee', import.meta.url);\n{LOAD_PARTS};\n{LOAD_PARTS_NOW};\nconst VERSION = 0x00c0ffee;\n"
        );
        assert!(loading.starts_with(&expected), "{loading}");
        for function in ["async function engine(it) {", "function together(arrived) {"] {
            assert!(loading.contains(&format!("\n{function}\n")), "{function}");
        }
        assert!(super::loading("", "v.parts", 0).is_err());
    }

    #[test]
    fn another_module_or_script_is_another_version() {
        let script = format!("{PLACE};\n{LOAD};\n{LOAD_NOW};\n");
        let versions =
            [version(b"a", &script), version(b"b", &script), version(b"a", &format!("{script};"))].map(Result::unwrap);
        assert!(versions[0] != versions[1] && versions[0] != versions[2], "{versions:x?}");
    }

    #[test]
    fn types_promise_what_is_there() {
        let text = "export interface InitOutput {\n    readonly memory: WebAssembly.Memory;\n    readonly lab_act: (a: number) => void;\n}\n\nexport type A = 1;\n";
        let expected =
            "export interface InitOutput {\n    readonly memory: WebAssembly.Memory;\n}\n\nexport type A = 1;\n";
        assert_eq!(types(text).unwrap(), expected);
        assert!(types("export type A = 1;").is_err());
    }

    #[test]
    fn short_names_differ() {
        assert_eq!([0, 35, 36, 36 * 36].map(short), ["$0", "$z", "$10", "$100"]);
    }
}
