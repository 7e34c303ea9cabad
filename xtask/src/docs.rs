//! `cargo xtask docs`: the pages that are made from code, written anew.

use anyhow::{Result, ensure};

use crate::process;

/// Writes docs/compatibility.md. The code that makes it is the test that keeps it true: so this task runner, which writes
/// the codecs, does not need them to be built.
pub(crate) fn run(args: &[String]) -> Result<()> {
    ensure!(args.is_empty(), "`docs` takes no arguments");
    let mut command = process::cargo();
    command.env("VIVARIUM_WRITE_DOCS", "1").arg("test").args(process::locked());
    process::run(command.args(["--package", "server", "--test", "compatibility"]))
}
