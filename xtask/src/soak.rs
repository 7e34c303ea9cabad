//! `cargo xtask soak`: the long forms of the tests. With `VIVARIUM_SOAK` set, tests over seeds, hostile bytes and `kill -9`
//! go through many more rounds; optimised, because that is what limits them. Then seeds by the thousands, with crashes, torn
//! power cuts and failing disks, and coverage-guided fuzzing where it can be had. All of it runs even when a part fails.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::args::Args;
use crate::{bundle, paths, process};

/// What is fuzzed: fuzz/fuzz_targets.
const FUZZ_TARGETS: [&str; 4] = ["frame", "records", "codecs", "node"];

/// Runs the tests in their long forms, the swarm, the fuzzer.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut args = Args::new(args);
    let seeds: u32 = args.value("--seeds", 10_000)?;
    let from: u32 = args.value("--from", 0)?;
    let fuzz_seconds: u32 = args.value("--fuzz-seconds", 120)?;
    ensure!(args.rest()?.is_empty(), "`soak` takes only flags: --seeds N, --from SEED, --fuzz-seconds N");
    let mut failed = Vec::new();
    let mut part = |what: &str, work: &dyn Fn() -> Result<()>| {
        if let Err(error) = process::step(what, work) {
            println!("FAILED  {what}: {error:#}");
            failed.push(what.to_owned());
        }
    };
    part("tests in their long forms (25 min)", &tests);
    part(&format!("{seeds} seeds from {from} on"), &|| swarm(seeds, from, 1));
    // A cluster's seed takes as long as a dozen of one broker.
    let few = seeds.div_ceil(10);
    part(&format!("{few} seeds of three brokers from {from} on"), &|| swarm(few, from, 3));
    part(&format!("fuzzing ({fuzz_seconds} s a target)"), &|| fuzz(fuzz_seconds));
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(())
}

fn tests() -> Result<()> {
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

/// The binary plays them on all cores, and makes small what breaks.
fn swarm(seeds: u32, from: u32, brokers: u16) -> Result<()> {
    let mut command = Command::new(bundle::binary()?);
    let (seeds, from, brokers) = (seeds.to_string(), from.to_string(), brokers.to_string());
    process::run(command.args(["sim", "swarm", "--seeds", &seeds, "--from", &from, "--brokers", &brokers]))
}

fn fuzz(seconds: u32) -> Result<()> {
    if let Some(missing) = missing() {
        println!("skipped fuzzing: {missing}");
        return Ok(());
    }
    for target in FUZZ_TARGETS {
        let mut command = cargo_fuzz();
        command.args(["run", target, "--", &format!("-max_total_time={seconds}"), "-max_len=16384"]);
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
