//! wasm-bindgen, its test runner and what makes a module small to download, behind one name. A crate apart from `xtask`,
//! because it takes a minute to build and most commands do without it: `xtask-wasm bindgen …` and `xtask-wasm test-runner …`
//! take the flags of the originals, `xtask-wasm trim FROM TO` makes a linked module smaller, `pack MODULE SCRIPT TYPES
//! UNPACKER PARTS` a bound one and its JavaScript, which loads the packed module.

mod body;
mod classes;
mod glue;
mod linked;
mod locals;
mod order;
mod pack;
mod parts;
mod same;
mod trim;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let tool = args.next();
    // clap reads the program's name off the front.
    let rest: Vec<OsString> = tool.iter().cloned().chain(args).collect();
    let done = match tool.as_deref().and_then(|it| it.to_str()) {
        Some("bindgen") => wasm_bindgen_cli::wasm_bindgen::run_cli_with_args(rest),
        Some("test-runner") => wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(rest),
        Some("trim") => trim_file(&rest[1..]),
        Some("pack") => pack_files(&rest[1..]),
        _ => {
            eprintln!("usage: xtask-wasm bindgen|test-runner|trim|pack ARGS…   (cargo xtask calls it)");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Reads a linked module and writes it without what a visitor does not need.
fn trim_file(args: &[OsString]) -> Result<()> {
    let [from, to] = args else { bail!("usage: xtask-wasm trim FROM TO") };
    let (from, to) = (Path::new(from), Path::new(to));
    let module = classes::leave_out(&read(from)?).and_then(|it| trim::trim(&it));
    write(to, &module.with_context(|| format!("rewrite {}", from.display()))?)
}

/// Makes a bound module and its JavaScript smaller, where they are, and packs the module for the download.
fn pack_files(args: &[OsString]) -> Result<()> {
    let [module, script, types, unpacker, parts] = args else {
        bail!("usage: xtask-wasm pack MODULE SCRIPT TYPES UNPACKER PARTS")
    };
    let [module, script, types, unpacker, parts] = [module, script, types, unpacker, parts].map(Path::new);
    let unpacker = read(unpacker)?;
    let (bytes, text) = (read(module)?, String::from_utf8(read(script)?)?);
    let names = glue::Names::choose(&bytes, &text)?;
    let packed = pack::pack(&bytes, &names).and_then(|it| parts::roomy(&it));
    let packed = packed.with_context(|| format!("rewrite {}", module.display()))?;
    let text = names.rewrite(&text);
    let version = glue::version(&[packed.as_slice(), &unpacker].concat(), &text)?;
    write(module, &packed)?;
    write(parts, &parts::take_apart(&packed, &unpacker, version)?)?;
    let file = parts.file_name().and_then(|it| it.to_str()).context("a file for the parts")?;
    write(script, glue::loading(&text, file, version)?.as_bytes())?;
    write(types, glue::types(&String::from_utf8(read(types)?)?)?.as_bytes())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
