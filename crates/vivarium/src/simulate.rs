//! `vivarium sim` and `vivarium scenario`: the simulator's command line. Threads are here; `sim` has none.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use clap::{Args, Subcommand};
use sim::check::Check;
use sim::exhibit::Exhibit;
use sim::script::Scenario;
use sim::swarm::{Examined, Theme, examine, regressions, shrink};

use crate::export::{LAB, Spelling, address_of_failure, export};

/// No generated scenario comes near it.
const EVENTS: u64 = 5_000_000;

#[derive(Subcommand)]
pub(crate) enum SimCommand {
    /// Play the scenario of one seed; print what came of it and the hash of all that happened
    Run {
        /// The seed
        #[arg(long)]
        seed: u64,
        /// Stop after so many events
        #[arg(long, default_value_t = EVENTS)]
        events: u64,
        /// Print the scenario first
        #[arg(long)]
        print: bool,
        /// How many brokers
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=7))]
        brokers: u16,
        /// What the scenario is about: logs, groups, disks or voters
        #[arg(long, value_parser = theme, default_value = "logs")]
        about: Theme,
        /// Where the lab is that opens what fails
        #[arg(long, value_name = "URL", default_value = LAB)]
        lab: String,
    },
    /// Play many seeds on all cores; stop at the first that breaks a check and print it made small
    Swarm {
        /// How many seeds
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Only the I-th of N parts, for several machines: 1/4 … 4/4
        #[arg(long, value_name = "I/N", value_parser = shard, default_value = "1/1")]
        shard: (u64, u64),
        /// Stop each seed after so many events
        #[arg(long, default_value_t = EVENTS)]
        events: u64,
        /// How many threads; one a core by default
        #[arg(long)]
        threads: Option<usize>,
        /// How many brokers
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=7))]
        brokers: u16,
        /// What the scenarios are about: logs, groups, disks or voters
        #[arg(long, value_parser = theme, default_value = "logs")]
        about: Theme,
        /// Where the lab is that opens what fails
        #[arg(long, value_name = "URL", default_value = LAB)]
        lab: String,
    },
    /// Have nodes behave as Apache Kafka once did, and find for each such behaviour a seed by which records are lost
    Museum {
        /// How many seeds are tried
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// How many threads; one a core by default
        #[arg(long)]
        threads: Option<usize>,
        /// Only this exhibit
        #[arg(long, value_parser = exhibit)]
        only: Option<Exhibit>,
        /// Have all behave as today: nothing may be lost
        #[arg(long)]
        present: bool,
    },
    /// Measure events a second on one core, checks and history on
    Bench {
        /// The seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many events: inputs of a node or a client
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// With several, tell how much faster than the clock an hour of ten records a second and one consumer goes by
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=7))]
        brokers: u16,
    },
}

#[derive(Args)]
pub(crate) struct ScenarioArguments {
    /// The scenario file
    file: PathBuf,
    /// Print only what went wrong
    #[arg(long, short)]
    quiet: bool,
    /// Print each event in a sentence instead
    #[arg(long, conflicts_with = "quiet")]
    events: bool,
    /// Play the variation that its knob of this number makes of it, counted from 1
    #[arg(long, value_name = "N", conflicts_with_all = ["native", "solve"])]
    knob: Option<usize>,
    /// Play the solution of its puzzle from the puzzle's moment on; fails if the goals do not hold with it, or do without it
    #[arg(long, conflicts_with_all = ["events", "native"])]
    solve: bool,
    /// Print the run in another spelling instead
    #[arg(long, value_enum, value_name = "SPELLING", conflicts_with_all = ["quiet", "events", "solve", "native"])]
    export: Option<Spelling>,
    /// Where the lab is that an exported link opens
    #[arg(long, value_name = "URL", default_value = LAB)]
    lab: String,
    /// Play it against real processes instead of the simulator; exits with 77 if they cannot be made to do all of it
    #[arg(long, conflicts_with_all = ["quiet", "events"])]
    native: bool,
}

pub(crate) fn run(command: SimCommand) -> ExitCode {
    match command {
        SimCommand::Run { seed, events, print, brokers, about, lab } => {
            run_seed(seed, (about, brokers), events, print, &lab)
        }
        SimCommand::Swarm { seeds, from, shard, events, threads, brokers, about, lab } => {
            swarm((about, brokers), seeds, from, shard, events, threads, &lab)
        }
        SimCommand::Museum { seeds, threads, only, present } => museum(seeds, cores(threads), only, present),
        SimCommand::Bench { seed, events, brokers: 1 } => bench(seed, events),
        SimCommand::Bench { seed, brokers, .. } => quiet(seed, brokers),
    }
}

/// Plays a scenario file and prints its transcript.
pub(crate) fn scenario(arguments: &ScenarioArguments) -> ExitCode {
    let name = arguments.file.display();
    let text = match std::fs::read_to_string(&arguments.file) {
        Ok(text) => text,
        Err(error) => return complain(&format!("{name}: {error}")),
    };
    let scenario = match Scenario::parse(&text) {
        Ok(scenario) => scenario,
        Err(error) => return complain(&format!("{name}: {error}")),
    };
    if arguments.native {
        return crate::native::run(&name.to_string(), &scenario);
    }
    if arguments.solve {
        return solve(&name.to_string(), &scenario, arguments.quiet);
    }
    let played = match arguments.knob {
        None => Some(scenario.play()),
        Some(number) => number.checked_sub(1).and_then(|it| scenario.play_knob(it, true)),
    };
    let mut played = match played {
        Some(Ok(played)) => played,
        Some(Err(error)) => return complain(&format!("{name}: {error}")),
        None => return complain(&format!("{name}: --knob: it has knobs 1 to {}", scenario.story.knobs.len())),
    };
    if let Some(spelling) = arguments.export {
        match export(spelling, &played.history, &arguments.lab) {
            Ok(text) => print!("{text}"),
            Err(error) => return complain(&format!("{name}: {error}")),
        }
    } else if arguments.events {
        for event in 1..=played.history.world().events() {
            played.history.seek(event);
            let world = played.history.world();
            println!("{event} {} {}", world.last().at, world.narrate());
        }
    } else if !arguments.quiet {
        print!("{}", played.transcript);
    }
    for failure in &played.failures {
        eprintln!("vivarium: {name}: {failure}");
    }
    if let Some(finding) = played.broken() {
        eprintln!("vivarium: {name}: {} is broken at event {}: {}", finding.check.name(), finding.event, finding.what);
    }
    if played.failures.is_empty() && played.broken().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays a puzzle with its solution, and makes sure that nothing but the solution does it.
fn solve(name: &str, scenario: &Scenario, quiet: bool) -> ExitCode {
    let (with, without) = match (scenario.solve(true), scenario.solve(false)) {
        (Some(Ok(with)), Some(Ok(without))) => (with, without),
        (Some(Err(error)), _) | (_, Some(Err(error))) => return complain(&format!("{name}: {error}")),
        (None, _) | (_, None) => return complain(&format!("{name}: it has no puzzle")),
    };
    if !quiet {
        print!("{}", with.transcript);
    }
    for failure in &with.failures {
        eprintln!("vivarium: {name}: {failure}");
    }
    if without.is_met {
        eprintln!("vivarium: {name}: the goals hold without the solution too");
    }
    if with.is_met && with.failures.is_empty() && !without.is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What scenarios are about, and of how many brokers they are.
type Kind = (Theme, u16);

fn scenario_of(seed: u64, (theme, brokers): Kind) -> Scenario {
    Scenario::random_of(theme, seed, usize::from(brokers))
}

fn cores(threads: Option<usize>) -> usize {
    threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1)
}

fn run_seed(seed: u64, kind: Kind, events: u64, print: bool, lab: &str) -> ExitCode {
    let scenario = scenario_of(seed, kind);
    if print {
        print!("{scenario}");
    }
    let begun = Instant::now();
    let examined = examine(&scenario, events);
    println!(
        "seed {seed}: {} events in {:.2} s, hash {:016x}",
        examined.events,
        begun.elapsed().as_secs_f64(),
        examined.hash
    );
    match &examined.trouble {
        None => {
            println!("every check holds: {}", Check::ALL.map(Check::name).join(", "));
            ExitCode::SUCCESS
        }
        Some(trouble) => {
            println!("{} is broken at event {}: {}", trouble.check, trouble.event, trouble.what);
            see(&scenario, &examined, events, lab);
            ExitCode::FAILURE
        }
    }
}

fn swarm(
    kind: Kind,
    seeds: u64,
    from: u64,
    (part, parts): (u64, u64),
    events: u64,
    threads: Option<usize>,
    lab: &str,
) -> ExitCode {
    let threads = cores(threads);
    let (theme, brokers) = kind;
    let begun = Instant::now();
    let mine = (from..from.saturating_add(seeds)).filter(|seed| seed % parts == part - 1);
    let is_of_kind = |it: &(u64, usize, Theme)| it.1 == usize::from(brokers) && it.2 == theme;
    let broke = regressions().filter(is_of_kind).map(|it| it.0);
    let all: Vec<u64> = broke.chain(mine).collect();
    let (next, stop, total) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let fewest = [u64::MAX; 3].map(AtomicU64::new);
    let (sender, receiver) = channel::<(u64, Examined)>();
    // A panic of the core is reported with its seed; the default hook would print it among other things.
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, stop, total, fewest, all) = (sender.clone(), &next, &stop, &total, &fewest, &all);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = usize::try_from(index).ok().and_then(|it| all.get(it)) else { return };
                    let examined = examine(&scenario_of(*seed, kind), events);
                    total.fetch_add(examined.events, Ordering::Relaxed);
                    for (least, count) in fewest.iter().zip([examined.events, examined.faults, examined.acked]) {
                        least.fetch_min(count, Ordering::Relaxed);
                    }
                    if examined.trouble.is_some() {
                        stop.store(true, Ordering::Relaxed);
                        // The receiver lives until all threads are done.
                        let _ = sender.send((*seed, examined));
                    }
                }
            });
        }
    });
    drop(sender);
    let played = next.load(Ordering::Relaxed).min(all.len() as u64);
    let events_played = total.load(Ordering::Relaxed);
    let seconds = begun.elapsed().as_secs_f64();
    // Of several that broke at once, the lowest, so that the answer hangs on the seeds and not on the threads.
    let Some((seed, examined)) = receiver.iter().min_by_key(|it| it.0) else {
        println!("{played} seeds, {events_played} events in {seconds:.1} s: every check holds");
        let [events, faults, acked] = fewest.map(AtomicU64::into_inner);
        println!("the fewest of a seed: {events} events, {faults} faults, {acked} acknowledged records");
        return ExitCode::SUCCESS;
    };
    if let Some(trouble) = &examined.trouble {
        println!("seed {seed}: {} is broken at event {}: {}", trouble.check, trouble.event, trouble.what);
    }
    println!(
        "after {played} seeds in {seconds:.1} s; play it again with: vivarium sim run --about {} --brokers {brokers} --seed {seed}",
        theme.word()
    );
    let small = shrink(&scenario_of(seed, kind), &examined, events);
    println!("# made small: save it as a file and play it with `vivarium scenario FILE`");
    print!("{small}");
    see(&small, &examine(&small, events), events, lab);
    ExitCode::FAILURE
}

/// Says where the lab shows what failed, as a line that a scenario may have.
fn see(scenario: &Scenario, found: &Examined, events: u64, lab: &str) {
    if let Some(address) = address_of_failure(scenario, found, events, lab) {
        println!("# lab: {address}");
    }
}

fn museum(seeds: u64, threads: usize, only: Option<Exhibit>, present: bool) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let mut failed = false;
    for exhibit in Exhibit::ALL.into_iter().filter(|it| only.is_none_or(|only| only == *it)) {
        let begun = Instant::now();
        let scenario_of = |seed: u64| {
            let mut scenario = Scenario::museum(seed, exhibit);
            if present {
                scenario.setup.past = None;
            }
            scenario
        };
        let found = first(seeds, threads, |seed| {
            let examined = examine(&scenario_of(seed), EVENTS);
            let is_loss = |check: &str| present || check == exhibit.loss().name();
            examined.trouble.as_ref().is_some_and(|it| is_loss(&it.check)).then_some(examined)
        });
        let seconds = begun.elapsed().as_secs_f64();
        println!("# {}: {}", exhibit.word(), exhibit.meaning());
        let Some((seed, examined)) = found else {
            println!("# {seeds} seeds in {seconds:.1} s: nothing is lost");
            failed |= !present;
            continue;
        };
        failed |= present;
        if let Some(trouble) = &examined.trouble {
            println!("# seed {seed} after {seconds:.1} s: {}: {}", trouble.check, trouble.what);
        }
        let small = shrink(&scenario_of(seed), &examined, EVENTS);
        println!("# made small, {} actions:", small.actions());
        println!("{small}");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The lowest seed for which something comes of it, looked for on so many threads.
fn first<T: Send>(seeds: u64, threads: usize, of: impl Fn(u64) -> Option<T> + Sync) -> Option<(u64, T)> {
    let (next, bound) = (AtomicU64::new(0), AtomicU64::new(seeds));
    let found = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= bound.load(Ordering::Relaxed) {
                        return;
                    }
                    let Some(result) = of(seed) else { continue };
                    // Seeds below it may still be under way.
                    bound.fetch_min(seed, Ordering::Relaxed);
                    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if found.as_ref().is_none_or(|(before, _)| seed < *before) {
                        *found = Some((seed, result));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn theme(text: &str) -> Result<Theme, String> {
    let words = Theme::ALL.map(Theme::word).join(", ");
    Theme::ALL.into_iter().find(|it| it.word() == text).ok_or_else(|| format!("expected one of {words}"))
}

fn exhibit(text: &str) -> Result<Exhibit, String> {
    let words = Exhibit::ALL.map(Exhibit::word).join(", ");
    Exhibit::ALL.into_iter().find(|it| it.word() == text).ok_or_else(|| format!("expected one of {words}"))
}

fn quiet(seed: u64, brokers: u16) -> ExitCode {
    const SECONDS: u64 = 3_600;
    let scenario = Scenario::quiet(seed, usize::from(brokers), SECONDS);
    let begun = Instant::now();
    let played = match scenario.play_limited(u64::MAX - 1) {
        Ok(played) => played,
        Err(error) => return complain(&error.to_string()),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let world = played.history.world();
    if let Some(finding) = world.checks().broken() {
        return complain(&format!("{} is broken: {}", finding.check.name(), finding.what));
    }
    println!(
        "{SECONDS} s of {brokers} brokers in {seconds:.2} s: {:.0} x; {} events, {:.0} events/s",
        SECONDS as f64 / seconds,
        world.events(),
        world.events() as f64 / seconds
    );
    ExitCode::SUCCESS
}

fn bench(seed: u64, events: u64) -> ExitCode {
    let scenario = Scenario::bench(seed, events);
    let begun = Instant::now();
    let played = match scenario.play_with(false) {
        Ok(played) => played,
        Err(error) => return complain(&error.to_string()),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let mut history = played.history;
    let world = history.world();
    let (count, hash) = (world.events(), world.hash());
    println!("{count} events in {seconds:.2} s: {:.0} events/s, hash {hash:016x}", count as f64 / seconds);
    if let Some(finding) = world.checks().broken() {
        return complain(&format!("{} is broken: {}", finding.check.name(), finding.what));
    }
    // The moments furthest from a snapshot are the slowest to reach.
    let moments = (0..100).map(|it| count * it / 100);
    let slowest = moments.map(|moment| {
        let begun = Instant::now();
        history.seek(moment);
        begun.elapsed()
    });
    println!("slowest of 100 seeks: {:.1} ms", slowest.max().unwrap_or_default().as_secs_f64() * 1_000.0);
    ExitCode::SUCCESS
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let expected = "expected I/N with I from 1 to N, for example 2/4";
    let (part, parts) = text.split_once('/').ok_or(expected)?;
    let (part, parts) = (part.parse().map_err(|_| expected)?, parts.parse().map_err(|_| expected)?);
    if part >= 1 && part <= parts { Ok((part, parts)) } else { Err(expected.to_owned()) }
}

fn complain(what: &str) -> ExitCode {
    eprintln!("vivarium: {what}");
    ExitCode::FAILURE
}
