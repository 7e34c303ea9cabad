//! `cargo xtask soak`: the long forms of the tests. With `VIVARIUM_SOAK` set, tests over seeds and hostile bytes go through
//! many more of them; optimised, because that is what limits them.

use anyhow::{Result, ensure};

use crate::process;

/// Runs the native tests in their long forms.
pub(crate) fn run(args: &[String]) -> Result<()> {
    ensure!(args.is_empty(), "`soak` takes no arguments");
    let mut command = process::cargo();
    command.env("VIVARIUM_SOAK", "1").arg("test").args(process::locked());
    process::run(command.args([
        "--release",
        "--workspace",
        "--no-fail-fast",
        "--exclude",
        "xtask-wasm",
        "--exclude",
        "e2e",
    ]))
}
