//! wasm-bindgen, its test runner and what makes a module small to download, behind one name. A crate apart from `xtask`,
//! because it takes a minute to build and most commands do without it: `xtask-wasm bindgen …` and `xtask-wasm test-runner …`
//! take the flags of the originals, `xtask-wasm trim FROM TO` makes a linked module smaller, `pack` a bound one.

mod body;
mod linked;
mod order;
mod pack;
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
        Some("trim") => rewrite(&rest[1..], trim::trim),
        Some("pack") => rewrite(&rest[1..], pack::pack),
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

/// Reads a module and writes what a pass makes of it.
fn rewrite(args: &[OsString], pass: fn(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let [from, to] = args else { bail!("usage: xtask-wasm trim|pack FROM TO") };
    let (from, to) = (Path::new(from), Path::new(to));
    let bytes = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    let made = pass(&bytes).with_context(|| format!("rewrite {}", from.display()))?;
    fs::write(to, made).with_context(|| format!("write {}", to.display()))
}
