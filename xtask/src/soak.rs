//! `cargo xtask soak`: the long forms of the tests: more seeds, more hostile bytes.

use anyhow::{Result, ensure};

use crate::process;

/// Runs the tests that are `#[ignore]`d for their length, optimised.
pub(crate) fn run(args: &[String]) -> Result<()> {
    ensure!(args.is_empty(), "`soak` takes no arguments");
    let mut command = process::cargo();
    command.args(["test", "--locked", "--release", "--workspace", "--exclude", "xtask-wasm", "--exclude", "e2e"]);
    process::run(command.args(["--", "--ignored"]))
}
