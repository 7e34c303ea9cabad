//! `cargo xtask soak`: the long forms of the tests. With `VIVARIUM_SOAK` set, tests over seeds and hostile bytes go through
//! many more of them; optimised, because that is what limits them. Then coverage-guided fuzzing, where it can be had.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::{paths, process};

/// How long each target is fuzzed.
const FUZZ_SECONDS: u32 = 120;

/// What is fuzzed: fuzz/fuzz_targets.
const FUZZ_TARGETS: [&str; 3] = ["frame", "records", "node"];

/// Runs the native tests in their long forms, then the fuzzer.
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
    ]))?;
    fuzz()
}

fn fuzz() -> Result<()> {
    if let Some(missing) = missing() {
        println!("skipped fuzzing: {missing}");
        return Ok(());
    }
    for target in FUZZ_TARGETS {
        let mut command = cargo_fuzz();
        command.args(["run", target, "--", &format!("-max_total_time={FUZZ_SECONDS}"), "-max_len=16384"]);
        process::run(&mut command)?;
    }
    Ok(())
}

fn cargo_fuzz() -> Command {
    let mut command = Command::new("cargo");
    // The toolchain that runs this task must not be the one that is asked for.
    command.args(["+nightly", "fuzz"]).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(paths::root());
    command
}

/// What fuzzing needs and is not here.
fn missing() -> Option<&'static str> {
    let works = |command: &mut Command| {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null()).env_remove("RUSTUP_TOOLCHAIN");
        quiet.status().is_ok_and(|it| it.success())
    };
    if !works(Command::new("cargo").args(["+nightly", "--version"])) {
        return Some("it needs nightly Rust: rustup toolchain install nightly");
    }
    if !works(cargo_fuzz().arg("--version")) {
        return Some("it needs cargo-fuzz: cargo install cargo-fuzz");
    }
    None
}
