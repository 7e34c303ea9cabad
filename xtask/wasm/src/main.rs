//! wasm-bindgen and its test runner behind one name. A crate apart from `xtask`, because it takes a minute to build and
//! most commands do without it: `xtask-wasm bindgen …` and `xtask-wasm test-runner …` take the flags of the originals.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let tool = args.next();
    // clap reads the program's name off the front.
    let rest: Vec<OsString> = tool.iter().cloned().chain(args).collect();
    let done = match tool.as_deref().and_then(|it| it.to_str()) {
        Some("bindgen") => wasm_bindgen_cli::wasm_bindgen::run_cli_with_args(rest),
        Some("test-runner") => wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(rest),
        _ => {
            eprintln!("usage: xtask-wasm bindgen|test-runner ARGS…   (cargo xtask calls it)");
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
