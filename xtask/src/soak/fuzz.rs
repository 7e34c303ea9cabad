//! Coverage-guided fuzzing of what strangers send, on the toolchain that builds all else: libFuzzer comes as C++ with
//! `libfuzzer-sys`, and what tells it which code an input reaches is a pass of LLVM that every rustc has.
//!
//! What was found to reach something new is kept in the cache, so that the next run begins there.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::test::Tally;
use crate::{paths, process};

/// What is fuzzed: fuzz/fuzz_targets.
const TARGETS: [&str; 4] = ["frame", "records", "codecs", "node"];

/// As cargo-fuzz does it, but for the sanitizers: those are of nightly compilers only, and would look for what safe Rust does not do.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // Branches that are folded into one could not be told apart.
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
];

/// Longer inputs reach nothing that shorter ones do not, and take longer.
const MOST: usize = 16_384;

pub(super) fn run(seconds: u32, tally: &mut Tally) -> Result<()> {
    if !has_compiler() {
        tally.skip("fuzzing", "it needs a C++ compiler for libFuzzer: apt-get install g++, or name one in CXX");
        return Ok(());
    }
    let binaries = process::step("building what is fuzzed", build)?;
    process::step("writing what fuzzing begins with", write_seeds)?;
    for target in TARGETS {
        tally.check(&format!("fuzzing {target} for {seconds} s"), || fuzz(target, &binaries.join(target), seconds));
    }
    Ok(())
}

/// Where `libfuzzer-sys` would find one.
fn has_compiler() -> bool {
    std::env::var_os("CXX").is_some_and(|it| !it.is_empty()) || paths::which("c++").is_some()
}

/// Builds all targets and answers where they are.
fn build() -> Result<PathBuf> {
    let host = host()?;
    let mut command = process::cargo();
    command.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]).args(process::locked());
    // With a target named, what runs in the build itself is not instrumented.
    command.args(["--bins", "--target", &host, "--target-dir"]).arg(paths::target().join("fuzz"));
    process::run(command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f")))?;
    Ok(paths::target().join("fuzz").join(host).join("release"))
}

/// The machine's own target.
fn host() -> Result<String> {
    let said = process::output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|it| it.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say which target is the machine's own")
}

fn corpus(target: &str) -> Result<PathBuf> {
    paths::cache(&format!("fuzz/{target}"))
}

/// Kafka's own bytes. They are another folder's than what was found, so that those of an older tree go with it.
fn write_seeds() -> Result<()> {
    let seeds = paths::target().join("fuzz/seeds");
    if seeds.exists() {
        fs::remove_dir_all(&seeds)?;
    }
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--package", "seeds"]);
    command.args(process::locked()).arg("--target-dir").arg(paths::target().join("fuzz"));
    process::run(command.arg("--").arg(paths::root().join("crates/protocol/tests/golden")).arg(seeds))
}

fn fuzz(target: &str, binary: &PathBuf, seconds: u32) -> Result<()> {
    let artifacts = paths::root().join("tests/artifacts");
    fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(binary);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={MOST}"));
    command.args(["-timeout=20", "-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/fuzz-{target}-", artifacts.display()));
    command.arg(corpus(target)?).arg(paths::target().join("fuzz/seeds").join(target));
    let mut child = command.stderr(Stdio::piped()).spawn().with_context(|| format!("start {}", binary.display()))?;
    let stderr = child.stderr.take().context("its output is piped")?;
    let (mut said, mut is_guided, mut runs) = (Vec::new(), false, 0_u64);
    for line in BufReader::new(stderr).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        is_guided |= line.contains("inline 8-bit counters");
        runs =
            line.strip_prefix("stat::number_of_executed_units:").and_then(|it| it.trim().parse().ok()).unwrap_or(runs);
        // What it has found since says only that it goes on.
        if !line.contains("\tNEW ") && !line.contains("\tREDUCE ") && !line.contains("\tpulse ") {
            eprintln!("{line}");
            said.push(line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{status}\n{}", said.join("\n"));
    }
    ensure!(is_guided, "{target} does not tell what an input reaches: it was built without coverage");
    ensure!(runs > 0, "{target} ran nothing");
    println!("{runs} inputs");
    Ok(())
}
