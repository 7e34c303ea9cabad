//! `cargo xtask conformance`: test suites that others wrote, against our broker or Apache Kafka. Each test is a process of
//! its own with a time-out; what came of it is held against tests/conformance/*.txt, and every difference is a failure.

mod expected;
pub(crate) mod kafka_python;
mod librdkafka;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ports::ReservedPort;

use crate::args::Args;
use crate::bench::cluster::{Cluster, Make};
use crate::clients::cluster_tools;
use crate::lab::Broker;
use crate::oracle::Kafka;
use crate::{bundle, paths, process};
use expected::{Expected, Outcome, Side};

/// What the suites are told they talk to: they know releases, not patches.
const CLAIMED_VERSION: &str = "4.3.0";
/// What the suites assume too, and only Apache Kafka has.
const KAFKA_SETTINGS: [&str; 2] =
    ["authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS"];
/// What three nodes have besides: each a rack of its own, from which consumers who are there read.
const THREE_NODES: [&str; 2] =
    ["broker.rack=RACK{id}", "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector"];
/// The same of Apache Kafka alone: a transaction's state in three copies, too.
const KAFKAS_THREE_NODES: [&str; 2] = ["transaction.state.log.replication.factor=3", "transaction.state.log.min.isr=2"];

/// Somebody's tests.
trait Suite: Sync {
    /// What they assume of a broker: `key=value` each.
    fn settings(&self) -> &[&str];
    /// The names of those that say something of so many nodes.
    fn tests(&self, nodes: usize) -> Result<Vec<String>>;
    /// The process that runs one.
    fn command(&self, test: &str, attempt: &Attempt) -> Result<Command>;
    /// What came of it, and what it said when it did not pass.
    fn outcome(&self, test: &str, status: ExitStatus, log: &str, attempt: &Attempt) -> Result<(Outcome, String)>;
}

/// A suite's name and how it is made ready.
type Row = (&'static str, fn() -> Result<Box<dyn Suite>>);
const SUITES: [Row; 3] = [
    ("librdkafka", librdkafka::Librdkafka::set_up),
    ("librdkafka-consumer", librdkafka::Librdkafka::set_up_consumer),
    ("kafka-python", kafka_python::KafkaPython::set_up),
];

/// Not tests: what Kafka's tools print of a cluster.
const CLUSTER_TOOLS: &str = "cluster-tools";

/// Where and how long a test runs.
struct Attempt<'a> {
    /// host:port, of several nodes with commas between.
    broker: &'a str,
    /// For its log and other files.
    folder: &'a Path,
    limit: Duration,
}

/// What is wanted.
struct Wish {
    side: Side,
    /// Whether what is seen becomes what is expected.
    record: bool,
    jobs: usize,
    limit: Duration,
    /// Only tests whose name starts with one of these; all if there are none.
    tests: Vec<String>,
}

/// Where the broker is or shall be.
struct Place {
    /// One, or three in a cluster, where every partition has three replicas unless it is said otherwise.
    nodes: usize,
    /// 0 for a free one.
    port: u16,
    /// One that runs already and was started by somebody else; empty for one of our own.
    broker: String,
}

/// What came of a test.
struct Seen {
    test: String,
    outcome: Outcome,
    /// What it said when it did not pass.
    said: String,
    took: Duration,
}

/// Counted over the suites.
#[derive(Default)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
    unexpected: Vec<String>,
}

/// Runs the suites that are named, or all.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut args = Args::new(args);
    let side = match args.value("--on", "vivarium".to_owned())?.as_str() {
        "vivarium" => Side::Vivarium,
        "apache-kafka" => Side::Kafka,
        other => bail!("--on {other}: vivarium or apache-kafka"),
    };
    let mut wish = Wish {
        side,
        record: args.switch("--record"),
        jobs: args.value("--jobs", 4)?,
        limit: Duration::from_secs(args.value("--timeout", 300)?),
        tests: Vec::new(),
    };
    let nodes = args.value("--nodes", 1)?;
    let place = Place { nodes, port: args.value("--port", 0)?, broker: args.value("--broker", String::new())? };
    ensure!(wish.jobs > 0, "--jobs 0: at least one");
    ensure!([1, 3].contains(&nodes), "--nodes {nodes}: 1 or 3");
    ensure!(nodes == 1 || place.port == 0, "--port is of one node; three take free ones");
    let (suites, tests): (Vec<_>, Vec<_>) =
        args.rest()?.into_iter().partition(|it| SUITES.iter().any(|(name, _)| name == it));
    wish.tests = tests;
    let mut counts = Counts::default();
    if wish.tests.iter().any(|it| it == CLUSTER_TOOLS) {
        ensure!(suites.is_empty() && wish.tests.len() == 1, "{CLUSTER_TOOLS} goes alone");
        let make = if side == Side::Kafka { Make::Kafkas } else { Make::Ours };
        return cluster_tools::run(make, wish.record);
    }
    // All are those of which something is expected.
    let is_wanted = |name: &str| match suites.is_empty() {
        true => list(name, nodes).exists(),
        false => suites.iter().any(|suite| suite == name),
    };
    for (name, set_up) in SUITES.iter().filter(|it| is_wanted(it.0)) {
        let suite = set_up().with_context(|| format!("make {name} ready"))?;
        run_suite(name, &*suite, &wish, &place, &mut counts).with_context(|| format!("run {name}"))?;
    }
    let Counts { passed, failed, skipped, unexpected } = counts;
    ensure!(passed + failed + skipped > 0, "no test has a name that starts with {}", wish.tests.join(" or "));
    for line in &unexpected {
        println!("{line}");
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ensure!(unexpected.is_empty(), "{} of them not as tests/conformance says", unexpected.len());
    Ok(())
}

/// What is expected of a suite on so many nodes.
fn list(name: &str, nodes: usize) -> PathBuf {
    let file = if nodes == 1 { format!("{name}.txt") } else { format!("{name}-three-nodes.txt") };
    paths::root().join("tests/conformance").join(file)
}

fn run_suite(name: &str, suite: &dyn Suite, wish: &Wish, place: &Place, counts: &mut Counts) -> Result<()> {
    let mut expected = Expected::read(&list(name, place.nodes))?;
    let all = suite.tests(place.nodes)?;
    let wanted = |test: &&String| wish.tests.is_empty() || wish.tests.iter().any(|it| test.starts_with(it.as_str()));
    let tests: Vec<String> = all.iter().filter(wanted).cloned().collect();
    if tests.is_empty() {
        return Ok(());
    }
    let folder = paths::target().join("conformance").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut peer = Peer::start(wish.side, &folder.join("broker"), place, suite.settings())?;
    println!("{name} against {} on {}", peer.name(), peer.address());
    let address = peer.address().to_owned();
    let attempt = Attempt { broker: &address, folder: &folder, limit: wish.limit };
    let surprising = |it: &Seen| match expected.of(&it.test) {
        None => true,
        // Where nothing is expected, anything is fine.
        Some(line) => line.on(wish.side).is_some_and(|expected| expected != it.outcome),
    };
    let mut seen = Vec::new();
    let mut again = Vec::new();
    in_parallel(suite, &tests, wish.jobs, &attempt, |it| {
        // Their tests measure times, and several run at once: an unexpected failure gets a second chance, alone.
        if it.outcome == Outcome::Fail && surprising(&it) && !wish.record {
            println!("···· {}: {}; again, alone, when the others are done", it.test, it.said);
            // What it said the first time is kept beside what it will say.
            let log = log_of(&folder, &it.test);
            if let Err(error) = fs::rename(&log, log.with_extension("first.log")) {
                println!("keep {}: {error}", log.display());
            }
            return again.push(it.test);
        }
        print(&it, &expected, wish.side, "");
        seen.push(it);
    })?;
    in_parallel(suite, &again, 1, &attempt, |it| {
        print(&it, &expected, wish.side, " (second try)");
        seen.push(it);
    })?;
    peer.still_runs()?;
    for it in &seen {
        match it.outcome {
            Outcome::Pass => counts.passed += 1,
            Outcome::Fail => counts.failed += 1,
            Outcome::Skip => counts.skipped += 1,
        }
        if surprising(it) && !wish.record {
            let line = expected.of(&it.test).and_then(|line| line.on(wish.side));
            let line = line.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
            let log = log_of(&folder, &it.test);
            let text = format!("{name} {}: {}, expected {line}; see {}", it.test, it.outcome, log.display());
            counts.unexpected.push(text);
        }
    }
    if wish.record {
        seen.iter().for_each(|it| expected.record(wish.side, &it.test, it.outcome, &it.said));
        return expected.write();
    }
    let gone = expected.gone(&all).map(|it| format!("{name} {it}: the suite has no such test"));
    counts.unexpected.extend(gone);
    Ok(())
}

fn print(seen: &Seen, expected: &Expected, side: Side, note: &str) {
    let Seen { test, outcome, said, took } = seen;
    let took = process::human(*took);
    let line = expected.of(test);
    let reason = line.map(|it| it.reason.as_str()).filter(|it| !it.is_empty() && side == Side::Vivarium);
    let why = reason.unwrap_or(said);
    match outcome {
        Outcome::Pass => println!("ok   {test} ({took}){note}"),
        Outcome::Fail => println!("FAIL {test} ({took}){note}: {why}"),
        Outcome::Skip => println!("skip {test}: {why}"),
    }
}

/// Runs tests, some at once, and hands on what came of each as it ends.
fn in_parallel(
    suite: &dyn Suite,
    tests: &[String],
    jobs: usize,
    attempt: &Attempt,
    mut each: impl FnMut(Seen),
) -> Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (ended, ends) = mpsc::channel();
        for _ in 0..jobs.min(tests.len()) {
            let (ended, next) = (ended.clone(), &next);
            scope.spawn(move || {
                while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = one(suite, test, attempt).with_context(|| format!("run {test}"));
                    let failed = one.is_err();
                    // Nobody listens any more after an error, and nothing more is to be run then.
                    if ended.send(one).is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(ended);
        for one in ends {
            each(one?);
        }
        Ok(())
    })
}

/// Runs a test to its end or to the limit.
fn one(suite: &dyn Suite, test: &str, attempt: &Attempt) -> Result<Seen> {
    let log = log_of(attempt.folder, test);
    let output = File::create(&log)?;
    let mut command = suite.command(test, attempt)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("start `{}`", process::line(&command)))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > attempt.limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let (outcome, said) = match status {
        Some(status) => suite.outcome(test, status, &said, attempt)?,
        None => (Outcome::Fail, format!("did not end within {}", process::human(attempt.limit))),
    };
    Ok(Seen { test: test.to_owned(), outcome, said, took })
}

/// Where a test's output goes.
fn log_of(folder: &Path, test: &str) -> PathBuf {
    folder.join(format!("{}.log", test.replace(['/', ':', '['], "_").replace(']', "")))
}

/// A running broker.
enum Peer {
    Vivarium(Broker),
    Kafka(Kafka),
    /// Three nodes of either, and where they are.
    Cluster(Side, Cluster, String),
    /// Somebody else's.
    There(String),
}

impl Peer {
    fn start(side: Side, folder: &Path, place: &Place, settings: &[&str]) -> Result<Peer> {
        if !place.broker.is_empty() {
            return Ok(Peer::There(place.broker.clone()));
        }
        if place.nodes > 1 {
            let (make, added) = match side {
                Side::Vivarium => (Make::Ours, Vec::new()),
                Side::Kafka => (Make::Kafkas, [KAFKA_SETTINGS, KAFKAS_THREE_NODES].concat()),
            };
            let settings = [settings, &THREE_NODES, &added].concat();
            let (cluster, _) = Cluster::start_with(make, folder.to_owned(), &settings)?;
            let bootstrap = cluster.bootstrap();
            return Ok(Peer::Cluster(side, cluster, bootstrap));
        }
        // Held until it listens there.
        let reserved = ReservedPort::any()?;
        let port = if place.port == 0 { reserved.number() } else { place.port };
        Ok(match side {
            Side::Vivarium => {
                let binary: PathBuf = bundle::binary()?;
                let mut command = Command::new(binary);
                command.args(["server", "--data"]).arg(folder);
                // Both set, as the oracle's are: tests ask where a value is from.
                for key in ["listeners", "advertised.listeners"] {
                    command.arg("--set").arg(format!("{key}=PLAINTEXT://127.0.0.1:{port}"));
                }
                command.args(settings.iter().flat_map(|it| ["--set", it]));
                Peer::Vivarium(Broker::spawn(&mut command)?)
            }
            Side::Kafka => {
                let settings = [settings, &KAFKA_SETTINGS].concat();
                Peer::Kafka(Kafka::start_with(folder, place.port, &settings)?.0)
            }
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Peer::Vivarium(_) => "vivarium",
            Peer::Kafka(_) => "Apache Kafka",
            Peer::Cluster(Side::Vivarium, ..) => "three nodes of vivarium",
            Peer::Cluster(Side::Kafka, ..) => "three nodes of Apache Kafka",
            Peer::There(_) => "what runs",
        }
    }

    fn address(&self) -> &str {
        match self {
            Peer::Vivarium(it) => &it.address,
            Peer::Kafka(it) => &it.address,
            Peer::Cluster(_, _, address) | Peer::There(address) => address,
        }
    }

    /// A broker that died makes every later result worthless.
    fn still_runs(&mut self) -> Result<()> {
        let child = match self {
            Peer::Vivarium(it) => &mut it.child,
            Peer::Kafka(it) => it.child(),
            Peer::Cluster(_, cluster, _) => return cluster.still_runs(),
            Peer::There(_) => return Ok(()),
        };
        match child.try_wait()? {
            Some(status) => bail!("{} ended while it was tested: {status}", self.name()),
            None => Ok(()),
        }
    }
}
