//! `cargo xtask soak`: the long forms of the tests. With `VIVARIUM_SOAK` set, tests over seeds, hostile bytes and `kill -9`
//! go through many more rounds; optimised, because that is what limits them. Then seeds by the thousands, with crashes, torn
//! power cuts and failing disks, consumers of all kinds in groups that nobody leaves in peace, the museum's seeds with today's
//! rules, and coverage-guided fuzzing.
//! All of it runs even when a part fails.

mod fuzz;
mod groups;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::args::Args;
use crate::test::{self, Tally};
use crate::{bundle, process};

/// How much of each part.
struct Plan {
    seeds: u32,
    from: u32,
    fuzz_seconds: u32,
    /// Of members, and brokers, that come and go.
    minutes: f64,
}

type Part = fn(&Plan, &mut Tally) -> Result<()>;
const PARTS: [(&str, Part); 7] = [
    ("tests", tests),
    ("walk", walk),
    ("groups", mixed_groups),
    ("swarm", swarm),
    ("cluster-swarm", cluster_swarm),
    ("museum", museum),
    ("fuzz", fuzzing),
];

/// Runs all parts, or the named ones.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut args = Args::new(args);
    let plan = Plan {
        seeds: args.value("--seeds", 10_000)?,
        from: args.value("--from", 0)?,
        fuzz_seconds: args.value("--fuzz-seconds", 120)?,
        minutes: args.value("--minutes", 10.0)?,
    };
    let wanted = args.rest()?;
    if let Some(unknown) = wanted.iter().find(|it| PARTS.iter().all(|(name, _)| name != it)) {
        bail!("there is no part {unknown}; there are {}", PARTS.map(|it| it.0).join(" "));
    }
    ensure!(plan.minutes > 0.0, "--minutes is positive");
    let mut tally = Tally::default();
    for (name, part) in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|it| it == name) {
            continue;
        }
        println!("\n== {name}");
        let start = Instant::now();
        if let Err(error) = part(&plan, &mut tally) {
            tally.fail(name, &format!("{error:#}"));
        }
        println!("{name}: {}", process::human(start.elapsed()));
    }
    println!();
    tally.finish()
}

/// Among them `kill -9` of brokers under load: one of them a thousand times, and any of three for ten minutes.
fn tests(_: &Plan, tally: &mut Tally) -> Result<()> {
    let mut command = process::cargo();
    command.env("VIVARIUM_SOAK", "1").arg("test").args(process::locked());
    command.args(["--release", "--workspace", "--no-fail-fast", "--exclude", "xtask-wasm", "--exclude", "e2e"]);
    tally.cargo_test("tests in their long forms", &mut command)
}

/// Every lesson in the page, chapter by chapter; the pictures are in tests/artifacts.
fn walk(_: &Plan, tally: &mut Tally) -> Result<()> {
    test::walk(tally)
}

fn mixed_groups(plan: &Plan, tally: &mut Tally) -> Result<()> {
    let length = process::human(Duration::from_secs_f64(plan.minutes * 60.0));
    tally.check(&format!("20 consumers, two protocols, {length} of joins and kills"), || groups::run(plan.minutes));
    Ok(())
}

fn swarm(plan: &Plan, tally: &mut Tally) -> Result<()> {
    play(tally, plan.seeds, plan.from, 1, "logs");
    // A seed of these takes as long as a dozen of one log.
    for theme in ["groups", "disks", "voters"] {
        play(tally, plan.seeds.div_ceil(20), plan.from, 1, theme);
    }
    Ok(())
}

fn cluster_swarm(plan: &Plan, tally: &mut Tally) -> Result<()> {
    play(tally, plan.seeds.div_ceil(10), plan.from, 3, "logs");
    for theme in ["groups", "disks", "voters"] {
        play(tally, plan.seeds.div_ceil(20), plan.from, 3, theme);
    }
    play(tally, plan.seeds.div_ceil(50), plan.from, 5, "logs");
    Ok(())
}

/// The binary plays them on all cores, and makes small what breaks.
fn play(tally: &mut Tally, seeds: u32, from: u32, brokers: u16, theme: &str) {
    tally.check(&format!("{seeds} seeds of {theme} from {from} on, brokers: {brokers}"), || {
        let (seeds, from, brokers) = (seeds.to_string(), from.to_string(), brokers.to_string());
        let arguments = ["sim", "swarm", "--about", theme, "--seeds", &seeds, "--from", &from, "--brokers", &brokers];
        process::run(Command::new(bundle::binary()?).args(arguments))
    });
}

/// What the museum shows is lost by the rules of then. By today's nothing is, in as many seeds as each of its losses needs many
/// times over.
fn museum(plan: &Plan, tally: &mut Tally) -> Result<()> {
    let seeds = plan.seeds.div_ceil(20).to_string();
    tally.check(&format!("{seeds} seeds of each exhibit with today's rules"), || {
        process::run(Command::new(bundle::binary()?).args(["sim", "museum", "--present", "--seeds", &seeds]))
    });
    Ok(())
}

fn fuzzing(plan: &Plan, tally: &mut Tally) -> Result<()> {
    fuzz::run(plan.fuzz_seconds, tally)
}
