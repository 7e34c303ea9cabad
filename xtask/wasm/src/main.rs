//! wasm-bindgen, its test runner and what makes a module small to download, behind one name. A crate apart from `xtask`,
//! because it takes a minute to build and most commands do without it: `xtask-wasm bindgen …` and `xtask-wasm test-runner …`
//! take the flags of the originals, `xtask-wasm pack MODULE` rewrites a bound module.

mod order;
mod pack;

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
        Some("pack") => pack_file(&rest[1..]),
        _ => {
            eprintln!("usage: xtask-wasm bindgen|test-runner|pack ARGS…   (cargo xtask calls it)");
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

fn pack_file(args: &[OsString]) -> Result<()> {
    let [module] = args else { bail!("usage: xtask-wasm pack MODULE") };
    let path = Path::new(module);
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let packed = pack::pack(&bytes).with_context(|| format!("pack {}", path.display()))?;
    fs::write(path, packed).with_context(|| format!("write {}", path.display()))
}
