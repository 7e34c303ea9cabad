//! Compaction of the same log by both: six records of each of a million keys, 1.5 GB, in segments of 128 MB.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::account::cpu_seconds;
use super::peer::Peer;
use super::{Folder, Plan, median};
use crate::lab::Broker;
use crate::oracle::Kafka;
use crate::{apt, bundle, paths, process};

const RECORDS: u64 = 6_000_000;
const KEYS: u64 = 1_000_000;
const VALUE: usize = 240;
/// How long a compaction may take, the 15 s included that a cleaner waits before it looks.
const PATIENCE: Duration = Duration::from_secs(180);

/// What one cleaner did.
struct Cleaned {
    megabytes_per_second: f64,
    cpu_seconds: f64,
}

pub(super) fn run(folder: &Folder, plan: &Plan) -> Result<()> {
    let (written, copy) = (folder.0.join("compact"), folder.0.join("compact-copy"));
    write(&written)?;
    let mut figures = [Vec::new(), Vec::new()];
    for round in 1..=plan.rounds {
        for (index, clean) in [ours as fn(&Path) -> Result<Cleaned>, kafkas].into_iter().enumerate() {
            process::output(Command::new("cp").arg("-a").arg(&written).arg(&copy))?;
            process::output(&mut Command::new("sync"))?;
            let cleaned = clean(&copy)?;
            let (rate, cpu) = (cleaned.megabytes_per_second, cleaned.cpu_seconds);
            println!("round {round} · {}: {rate:.0} MB/s, {cpu:.1} s of CPU", ["vivarium", "Apache Kafka"][index]);
            figures[index].push(cleaned);
            fs::remove_dir_all(&copy)?;
        }
    }
    fs::remove_dir_all(&written)?;
    println!("\n| compaction, 1.5 GB, a million keys | MB of log a second | of Kafka's | CPU, start included |");
    println!("| --- | --- | --- | --- |");
    for (name, rounds) in ["vivarium", "Apache Kafka"].iter().zip(&figures) {
        let rate = median(rounds.iter().map(|it| it.megabytes_per_second));
        let pairs = rounds.iter().zip(&figures[1]);
        let ratio = median(pairs.map(|(it, kafka)| it.megabytes_per_second / kafka.megabytes_per_second));
        let cpu = median(rounds.iter().map(|it| it.cpu_seconds));
        println!("| {name} | {rate:.0} | {ratio:.2} × | {cpu:.1} s |");
    }
    Ok(())
}

/// Fills a topic, and turns compaction on when all is written.
fn write(folder: &Path) -> Result<()> {
    if paths::which("kcat").is_none() {
        apt::install(&["kcat"], "writing records with keys")?;
    }
    let broker = Peer::vivarium(&folder.join("logs"))?;
    let tool = |arguments: &[&str]| {
        let mut tool = Command::new(bundle::binary()?);
        process::output(tool.args(&arguments[..1]).args(["--bootstrap-server", broker.address()]).args(&arguments[1..]))
            .map(drop)
    };
    tool(&["topics", "--create", "--topic", "keys", "--partitions", "1", "--config", "segment.bytes=134217728"])?;
    let mut kcat = Command::new("kcat");
    kcat.args(["-P", "-b", broker.address(), "-t", "keys", "-p", "0", "-K:", "-X", "linger.ms=20"]);
    kcat.args(["-X", "batch.size=200000", "-X", "queue.buffering.max.messages=500000"]);
    let mut child = kcat.stdin(Stdio::piped()).spawn().context("start kcat")?;
    let mut lines = BufWriter::with_capacity(1 << 20, child.stdin.take().context("kcat's stdin is piped")?);
    let mut random = 1u64;
    let mut draw = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let text: Vec<u8> = (0..1 << 16).map(|_| b'a' + (draw() % 26) as u8).collect();
    for _ in 0..RECORDS {
        let from = draw() as usize % (text.len() - VALUE);
        write!(lines, "key-{:07}:", draw() % KEYS)?;
        lines.write_all(&text[from..from + VALUE])?;
        lines.write_all(b"\n")?;
    }
    drop(lines);
    ensure!(child.wait()?.success(), "kcat failed");
    // The cleaner looks every 15 s: the broker is gone before.
    tool(&["configs", "--alter", "--topic", "keys", "--add-config", "cleanup.policy=compact"])?;
    broker.kill()
}

fn ours(folder: &Path) -> Result<Cleaned> {
    let log = folder.join("vivarium.log");
    let mut command = Command::new(bundle::binary()?);
    command.args(["server", "--port", "0", "--data"]).arg(folder.join("logs"));
    let broker = Broker::spawn(command.env("VIVARIUM_LOG", "info").stderr(File::create(&log)?))?;
    let line = told(&log, "is compacted up to")?;
    let cpu_seconds = cpu_seconds(broker.child.id())?;
    // `… in 3100 ms: 260438470 of 1474994718 bytes stay, …`
    let number_before = |marker: &str| number_before(&line, marker);
    Ok(Cleaned { megabytes_per_second: number_before(" bytes stay")? / 1e3 / number_before(" ms:")?, cpu_seconds })
}

fn kafkas(folder: &Path) -> Result<Cleaned> {
    let (kafka, _) = Kafka::start_timed(folder, 0)?;
    // `1,406.7 MB of log processed in 8.3 seconds (169.0 MB/sec).`
    let line = told(&folder.join("kafka.log"), "of log processed in")?;
    let cpu_seconds = cpu_seconds(kafka.id())?;
    kafka.stop()?;
    // Kafka's megabytes are 2^20 bytes.
    let bytes = number_before(&line, " MB of log")? * f64::from(1 << 20);
    Ok(Cleaned { megabytes_per_second: bytes / 1e6 / number_before(&line, " seconds")?, cpu_seconds })
}

/// The line of a growing file that says this.
fn told(file: &Path, words: &str) -> Result<String> {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.contains(words)) {
            return Ok(line.to_owned());
        }
        if began.elapsed() > PATIENCE {
            bail!("{} says nothing of a compaction within {}", file.display(), process::human(PATIENCE));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn number_before(line: &str, marker: &str) -> Result<f64> {
    let before = &line[..line.find(marker).with_context(|| format!("no `{marker}` in: {line}"))?];
    let digits = before.rsplit(char::is_whitespace).next().unwrap_or_default().replace(',', "");
    digits.parse().with_context(|| format!("no number before `{marker}` in: {line}"))
}
