//! kafka-python's integration tests: a client in pure Python that shares no code with the others.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};

use super::{Attempt, Outcome, Suite};
use crate::{apt, paths, process};

const VERSION: &str = "3.0.12";
/// What its tests import, and the compressions that they would skip otherwise.
const PACKAGES: [&str; 7] = [
    "pytest==9.2.0",
    "pytest-mock==3.17.0",
    "pytest-timeout==2.4.0",
    "lz4==4.4.5",
    "python-snappy==0.7.3",
    "zstandard==0.25.0",
    "crc32c==2.9.post0",
];
/// The source package leaves out the module that starts brokers; ours is running already.
const SERVICE: &str = "\
class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        pass

    def close(self):
        pass


class SpawnedService:
    def __init__(self, *args, **kwargs):
        raise NotImplementedError('a broker is running already')
";
/// Where the tests say nothing of replicas they ask for one, so that of three nodes two would have nothing to do.
const REPLICAS: &str = "\
import os

from test.integration.fixtures import KafkaFixture

instance = KafkaFixture.instance.__func__
KafkaFixture.instance = classmethod(lambda *args, **kwargs: instance(*args, replicas=int(os.environ['REPLICAS']), **kwargs))
";
const TESTS: &str = "test/integration/";

pub(super) struct KafkaPython {
    python: PathBuf,
    sources: PathBuf,
}

impl KafkaPython {
    pub(super) fn set_up() -> Result<Box<dyn Suite>> {
        Ok(Box::new(KafkaPython::ready()?))
    }

    fn ready() -> Result<KafkaPython> {
        let cache = paths::cache("kafka-python")?.join(VERSION);
        let (python, sources) = (cache.join("venv/bin/python"), cache.join(format!("kafka_python-{VERSION}")));
        if !cache.join(".complete").exists() {
            process::step(&format!("fetching kafka-python {VERSION} and its tests with pip"), || fetch(&cache))?;
        }
        // Each time: it is ours, and what was fetched once is kept.
        fs::write(sources.join("replicas.py"), REPLICAS)?;
        Ok(KafkaPython { python, sources })
    }

    /// They know one broker, and find the others.
    fn pytest(&self, brokers: &str) -> Command {
        let brokers: Vec<&str> = brokers.split(',').collect();
        let mut command = Command::new(&self.python);
        command.args(["-m", "pytest", "-p", "no:cacheprovider", "-p", "replicas", "-o", "addopts="]);
        command.current_dir(&self.sources).env("REPLICAS", brokers.len().to_string());
        // Its lines are cut at the terminal's width, which a file has not.
        command.env("COLUMNS", "400");
        command.env("KAFKA_VERSION", super::CLAIMED_VERSION).env("KAFKA_URI", format!("kafka://{}", brokers[0]));
        command
    }
}

/// Makes the client ready for programs of ours.
pub(crate) fn set_up() -> Result<()> {
    KafkaPython::ready().map(drop)
}

/// A Python that has the client.
pub(crate) fn python() -> Result<Command> {
    let KafkaPython { python, sources } = KafkaPython::ready()?;
    let mut command = Command::new(python);
    command.env("PYTHONPATH", sources);
    Ok(command)
}

fn fetch(cache: &std::path::Path) -> Result<()> {
    if cache.exists() {
        fs::remove_dir_all(cache)?;
    }
    fs::create_dir_all(cache)?;
    let venv = cache.join("venv");
    let make = || process::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    if paths::which("python3").is_none() || make().is_err() {
        apt::install(&["python3", "python3-venv"], "kafka-python's tests")?;
        make()?;
    }
    let python = || Command::new(venv.join("bin/python"));
    process::output(python().args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    // Only the source package has the tests.
    let package = format!("kafka-python=={VERSION}");
    let mut download = python();
    download.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", &package, "--dest"]);
    process::output(download.arg(cache))?;
    let archive = format!("kafka_python-{VERSION}.tar.gz");
    process::output(python().args(["-m", "tarfile", "--extract", &archive]).current_dir(cache))?;
    let sources = cache.join(format!("kafka_python-{VERSION}"));
    // Without it, Python finds its own package of that name.
    fs::write(sources.join("test/__init__.py"), "")?;
    fs::write(sources.join("test/service.py"), SERVICE)?;
    // It looks for a Kafka to start even when it is told of one that runs.
    fs::create_dir_all(sources.join("servers").join(super::CLAIMED_VERSION).join("kafka-bin"))?;
    fs::write(cache.join(".complete"), "")?;
    Ok(())
}

impl Suite for KafkaPython {
    /// Where they place a replica themselves, it is at broker 0.
    fn settings(&self) -> &[&str] {
        &["num.partitions=4", "node.id=0"]
    }

    fn tests(&self, _nodes: usize) -> Result<Vec<String>> {
        let listed = process::output(self.pytest("127.0.0.1:0").args([TESTS, "--collect-only", "--quiet"]))?;
        let named = listed.lines().filter_map(|it| it.strip_prefix(TESTS));
        Ok(named.filter(|it| it.contains("::")).map(str::to_owned).collect())
    }

    fn command(&self, test: &str, attempt: &Attempt) -> Result<Command> {
        let mut command = self.pytest(attempt.broker);
        command.arg(format!("{TESTS}{test}")).args(["--tb=short", "-rA"]);
        Ok(command)
    }

    /// Its summary names the test with its result.
    fn outcome(&self, _: &str, status: ExitStatus, log: &str, _: &Attempt) -> Result<(Outcome, String)> {
        let summary = log.split("short test summary info").last().unwrap_or_default();
        if !status.success() {
            let line = summary.lines().find(|it| it.starts_with("FAILED ") || it.starts_with("ERROR "));
            let why = line.and_then(|it| it.split_once(" - ")).map(|it| it.1.to_owned());
            return Ok((Outcome::Fail, why.unwrap_or_else(|| format!("pytest ended: {status}"))));
        }
        if let Some(line) = summary.lines().find(|it| it.starts_with("SKIPPED ")) {
            let why = line.rsplit_once(": ").map_or(line, |it| it.1);
            return Ok((Outcome::Skip, why.to_owned()));
        }
        summary.lines().find(|it| it.starts_with("PASSED ")).context("pytest ended well and names no result")?;
        Ok((Outcome::Pass, String::new()))
    }
}
