//! `cargo xtask test`: every check, stage by stage, all of them even when one fails. CI runs exactly this.

use std::env;
use std::fs;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};

use crate::ahead::Ahead;
use crate::args::Args;
use crate::browser::Browser;
use crate::failures::Failures;
use crate::wasm::{self, Toolchain};
use crate::{axe, bundle, clients, paths, process, purity, site, size};

type Stage = fn(&mut Tally) -> Result<()>;

const STAGES: [(&str, Stage); 8] = [
    ("fmt", fmt),
    ("clippy", clippy),
    ("purity", purity),
    ("native", native),
    ("clients", clients::test),
    ("wasm", in_browser),
    ("bundle", bundle_and_size),
    ("e2e", end_to_end),
];

/// True on a CI machine, where a tool that can't be had is a failure and not a skip.
pub(crate) fn ci() -> bool {
    env::var("CI").is_ok_and(|it| !it.is_empty() && it != "false")
}

/// What has been counted, and what has to be said at the end.
#[derive(Default)]
pub(crate) struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
    /// Failures and skips, a line each.
    notes: Vec<String>,
    failures: Failures,
}

impl Tally {
    /// One check: done well, or failed with a reason.
    pub(crate) fn check(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        match work() {
            Ok(()) => {
                println!("ok      {name}");
                self.passed += 1;
            }
            Err(error) => self.fail(name, &format!("{error:#}")),
        }
    }

    /// A test that can't run here: a skip with its reason, on CI a failure.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        if ci() {
            return self.fail(name, why);
        }
        println!("skipped {name}: {why}");
        self.skipped += 1;
        self.notes.push(format!("skipped {name}: {why}"));
    }

    /// Says what came of everything, and why; an error if something failed.
    pub(crate) fn finish(self) -> Result<()> {
        for note in &self.notes {
            println!("{note}");
        }
        let why = self.failures.text();
        if !why.is_empty() {
            println!("\n{why}\n");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        ensure!(self.failed == 0, "{} failed", self.failed);
        Ok(())
    }

    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        println!("FAILED  {name}: {why}");
        self.failed += 1;
        // What a program said last is what ended it.
        let last = why.lines().rfind(|it| !it.trim().is_empty()).unwrap_or_default();
        self.notes.push(format!("FAILED  {name}: {last}"));
        if why.trim() != last.trim() {
            self.failures.add(name, why);
        }
    }

    /// Runs a `cargo test` and counts what its test binaries report.
    pub(crate) fn cargo_test(&mut self, name: &str, command: &mut Command) -> Result<()> {
        println!("$ {}", process::line(command));
        // An error says where it is from; the frames below it are the test harness.
        command.env("RUST_LIB_BACKTRACE", "0");
        let (before, mut results) = (self.failed, 0);
        let well = process::tee(command, |line| {
            self.failures.hear(name, line);
            if let Some(counts) = Counts::parse(line) {
                results += 1;
                self.passed += counts.passed;
                self.failed += counts.failed;
                self.skipped += counts.ignored;
            } else if let Some(test) = line.strip_prefix("test ").and_then(|it| it.strip_suffix(" ... FAILED")) {
                self.notes.push(format!("FAILED  {name}: {test}"));
            }
        })?;
        if !well && self.failed == before {
            self.fail(name, "it did not build, or ended early");
        }
        ensure!(!well || results > 0, "{name}: no test ran");
        Ok(())
    }
}

/// The numbers of a line such as "test result: ok. 12 passed; 0 failed; 1 ignored; …".
#[derive(Debug, PartialEq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Counts {
    fn parse(line: &str) -> Option<Counts> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |word: &str| {
            let mut fields = counts.split(';').map(str::trim);
            fields.find_map(|it| it.strip_suffix(word)?.trim().parse().ok())
        };
        Some(Counts { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

/// Runs all stages, or the named ones.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let wanted = Args::new(args).rest()?;
    if let Some(unknown) = wanted.iter().find(|it| STAGES.iter().all(|(name, _)| name != it)) {
        let names: Vec<&str> = STAGES.iter().map(|it| it.0).collect();
        bail!("there is no stage {unknown}; there are {}", names.join(" "));
    }
    let mut tally = Tally::default();
    let mut times = Vec::new();
    let mut ahead = None;
    // Where it is before it is built as the tests are.
    let program = env::current_exe()?;
    let mut fetching = wanted.is_empty().then(|| thread::spawn(fetch));
    for (name, stage) in STAGES {
        if !wanted.is_empty() && !wanted.iter().any(|it| it == name) {
            continue;
        }
        println!("\n== {name}");
        let start = Instant::now();
        match name {
            "native" if wanted.is_empty() => ahead = Ahead::start(&program),
            // A stage that still misses something tries again, and says what.
            "clients" => fetching.take().map_or(Ok(()), JoinHandle::join).map_err(|_| anyhow!("fetching panicked"))?,
            "wasm" => ahead.take().map_or(Ok(()), Ahead::wait)?,
            _ => {}
        }
        if let Err(error) = stage(&mut tally) {
            tally.fail(name, &format!("{error:#}"));
        }
        times.push((name, start.elapsed()));
    }
    println!("\n== times");
    for (name, took) in &times {
        println!("{name:<10} {:>12}", process::human(*took));
    }
    println!("{:<10} {:>12}", "all", process::human(times.iter().map(|it| it.1).sum::<Duration>()));
    println!();
    tally.finish()
}

/// Has from elsewhere what later stages need of it, while the first ones compile.
fn fetch() {
    clients::fetch();
    if let Err(why) = Browser::set_up() {
        println!("there is no browser yet: {why:#}");
    }
}

fn fmt(tally: &mut Tally) -> Result<()> {
    tally.check("formatting", || process::run(process::cargo().args(["fmt", "--all", "--check"])));
    Ok(())
}

fn clippy(tally: &mut Tally) -> Result<()> {
    tally.check("clippy, natively", || {
        ensure!(process::clippy().exists(), "there is no clippy: run rustup component add clippy");
        process::run(native_tests().args(["--all-targets", "--no-run"]))?;
        process::run(page_tests().args(["--all-targets", "--no-run"]))
    });
    Ok(())
}

fn purity(tally: &mut Tally) -> Result<()> {
    tally.check("the core links nothing that does I/O", purity::dependencies);
    Ok(())
}

fn native(tally: &mut Tally) -> Result<()> {
    tally.cargo_test("native", native_tests().arg("--no-fail-fast"))
}

/// The cargo that builds and runs everything that needs no browser.
pub(crate) fn native_tests() -> Command {
    let mut command = process::linting_cargo();
    command.arg("test").args(process::locked());
    command.args(["--workspace", "--exclude", "xtask-wasm", "--exclude", "e2e"]);
    command
}

/// The browser of a stage, which is skipped where there is none to be had.
fn browser_for(tally: &mut Tally, stage: &str) -> Option<Browser> {
    Browser::set_up().map_err(|why| tally.skip(stage, &format!("{why:#}"))).ok()
}

/// Runs web/tests/wasm in a real browser.
fn in_browser(tally: &mut Tally) -> Result<()> {
    let Some(browser) = browser_for(tally, "wasm") else { return Ok(()) };
    println!("in {}", browser.version()?);
    let mut command = wasm_tests()?;
    command.arg("--no-fail-fast");
    let tool = wasm::tool()?;
    command
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", format!("{} test-runner", tool.display()))
        .env("WASM_BINDGEN_TEST_ONLY_WEB", "1")
        .env("WASM_BINDGEN_TEST_TIMEOUT", "300")
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", browser.webdriver_json()?)
        .env("CHROMEDRIVER", &browser.driver);
    tally.cargo_test("wasm", &mut command)
}

/// The cargo that builds web/tests/wasm.
fn wasm_tests() -> Result<Command> {
    let mut command = Toolchain::set_up()?.cargo();
    // As the page is built, so that the tests run what is served and most of it is built once.
    command.arg("test").args(process::locked()).args(["--profile", "web", "--target", wasm::TARGET]);
    command.args(["--package", "web", "--test", "wasm"]);
    Ok(command)
}

/// The cargo that builds the tests of what rewrites the module that is served, as for the page.
fn passes_tests() -> Command {
    let mut command = process::cargo();
    command.arg("test").args(process::locked()).args(["--profile", "tool", "--package", "xtask-wasm"]);
    command
}

/// The cargo that builds tests/e2e.
fn page_tests() -> Command {
    let mut command = process::linting_cargo();
    command.arg("test").args(process::locked()).args(["--package", "e2e"]);
    command
}

/// Builds what the stages after the native tests need, and runs none of it: `cargo xtask build --for-tests`.
pub(crate) fn build() -> Result<()> {
    bundle::page()?;
    process::run(wasm_tests()?.arg("--no-run"))?;
    process::run(passes_tests().arg("--no-run"))?;
    process::run(page_tests().arg("--no-run"))
}

fn bundle_and_size(tally: &mut Tally) -> Result<()> {
    tally.check("the page builds", bundle::page);
    tally.cargo_test("bundle", &mut passes_tests())?;
    tally.check("the page is within its limit", size::check);
    Ok(())
}

/// Serves the page on a free port and runs tests/e2e against it.
fn end_to_end(tally: &mut Tally) -> Result<()> {
    in_pages(tally, &[])
}

/// The lessons walked through in their long form, all of them and with pictures.
pub(crate) fn walk(tally: &mut Tally) -> Result<()> {
    in_pages(tally, &["--test", "walk"])
}

/// All of tests/e2e; what is named, in its long form.
fn in_pages(tally: &mut Tally, named: &[&str]) -> Result<()> {
    let Some(browser) = browser_for(tally, "e2e") else { return Ok(()) };
    bundle::page()?;
    let address = site::serve(site::bind(0)?, paths::dist())?;
    let mut command = page_tests();
    command.arg("--no-fail-fast").args(named);
    // A browser waits for frames some of the time.
    let cores = thread::available_parallelism().map_or(2, usize::from);
    command.env("RUST_TEST_THREADS", (cores + cores / 2).to_string());
    if !named.is_empty() {
        command.env("VIVARIUM_SOAK", "1");
    }
    // What a visit leaves behind is of its address, and that is another each time.
    let visit = paths::target().join("visit");
    if visit.exists() {
        fs::remove_dir_all(&visit)?;
    }
    command.env("VIVARIUM_VISIT", visit);
    in_chromium(&mut command, &format!("http://{address}/"))?;
    command.env("VIVARIUM_CHROMIUM", browser.for_tests());
    // A test is over before V8 has made anything of it faster.
    command.env("VIVARIUM_CHROMIUM_FLAGS", format!("{} --js-flags=--liftoff-only", crate::browser::FLAGS.join(" ")));
    match axe::script() {
        Ok(script) => {
            command.env("VIVARIUM_AXE", script);
        }
        Err(why) => tally.skip("axe-core", &format!("{why:#}")),
    }
    tally.cargo_test("e2e", &mut command)
}

/// Tells a program of tests/e2e where the lab and the browser are.
pub(crate) fn in_chromium(command: &mut Command, lab: &str) -> Result<()> {
    let browser = Browser::set_up()?;
    command
        .env("VIVARIUM_LAB", lab)
        .env("VIVARIUM_CHROMIUM", &browser.chromium)
        .env("VIVARIUM_CHROMEDRIVER", &browser.driver)
        .env("VIVARIUM_CHROMIUM_FLAGS", crate::browser::FLAGS.join(" "))
        .env("VIVARIUM_ARTIFACTS", paths::root().join("tests/artifacts"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_counts_of_both_test_runners() {
        let native =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s";
        assert_eq!(Counts::parse(native), Some(Counts { passed: 12, failed: 3, ignored: 1 }));
        let wasm = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 filtered out; finished in 0.01s";
        assert_eq!(Counts::parse(wasm), Some(Counts { passed: 2, failed: 0, ignored: 0 }));
        assert_eq!(Counts::parse("test protocol::text ... ok"), None);
    }

    #[test]
    fn a_failed_check_is_counted_and_named() {
        let mut tally = Tally::default();
        tally.check("good", || Ok(()));
        tally.check("bad", || bail!("broken\nin detail"));
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 1, 0));
        assert_eq!(tally.notes, ["FAILED  bad: in detail"]);
        assert_eq!(tally.failures.text(), "-- bad\nbroken\nin detail");
    }
}
