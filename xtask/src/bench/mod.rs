//! `cargo xtask bench`: speed beside Apache Kafka on the same machine, in the same run, with the same client.
//!
//! Rounds alternate between our broker, a warmed-up Apache Kafka and a null sink (the most that this client can drive);
//! what is printed are medians over the rounds and the ratios between them. `docs/benchmarks.md` keeps the figures.

mod account;
mod client;
pub(crate) mod cluster;
mod cold;
mod compact;
mod group_commit;
mod groups;
mod lab;
mod many;
mod peer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::args::Args;
use crate::{bundle, oracle, paths, process};
use account::{cpu_seconds, resident_megabytes};
use client::{Client, Throughput};
use cluster::Make;
use peer::Peer;

/// Compares a run's figures.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut args = Args::new(args);
    let plan = Plan {
        rounds: args.value("--rounds", 5)?,
        seconds: args.value("--seconds", 10.0)?,
        gigabytes: args.value("--gigabytes", 10)?,
        without_kafka: args.switch("--without-kafka"),
    };
    let with_kafka = args.switch("--with-kafka");
    let mut wanted = args.rest()?;
    for (of, parts) in [
        ("groups", ["groups-join", "groups-load", "groups-failover"].as_slice()),
        ("cluster", &["cluster-rate", "cluster-gaps"]),
    ] {
        if let Some(all) = wanted.iter().position(|it| it == of) {
            wanted.splice(all..=all, parts.iter().map(|it| (*it).to_owned()));
        }
    }
    const PARTS: [&str; 18] = [
        "start",
        "produce",
        "consume",
        "cold",
        "memory",
        "latency",
        "group-commit",
        "recovery",
        "partitions",
        "compact",
        "cluster-rate",
        "cluster-gaps",
        "cluster-partitions",
        "groups-join",
        "groups-load",
        "groups-failover",
        "lab",
        "wasm",
    ];
    if let Some(unknown) = wanted.iter().find(|it| !PARTS.contains(&it.as_str())) {
        bail!("there is no benchmark {unknown}; there are {}", PARTS.join(", "));
    }
    let is_positive = plan.rounds >= 1 && plan.seconds > 0.0 && plan.gigabytes >= 1;
    ensure!(is_positive, "--rounds, --seconds and --gigabytes are positive");
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|it| it == part);

    if wants("lab") {
        lab::page()?;
    }
    if wants("wasm") {
        lab::engine()?;
    }
    let client = Client::set_up()?;
    let folder = Folder::create()?;
    if wants("recovery") {
        many::recovery(&client, &folder, &plan)?;
    }
    if wants("partitions") {
        many::partitions(&client, &folder, &plan)?;
    }
    if wants("compact") {
        compact::run(&folder, &plan)?;
    }
    if wants("cold") {
        cold::run(&client, &folder, &plan)?;
    }
    if wants("memory") {
        cold::memory(&client, &folder)?;
    }
    if wants("cluster-rate") {
        cluster::rate(&client, &folder, &plan)?;
    }
    if wants("cluster-gaps") {
        cluster::gaps(&folder, &plan)?;
    }
    if wants("cluster-partitions") {
        // Kafka's takes minutes to create them.
        cluster::failover(&folder, &plan, with_kafka)?;
    }
    if wants("groups-join") {
        groups::join(&folder, &plan)?;
    }
    if wants("groups-load") {
        groups::load(&folder, &plan)?;
    }
    if wants("groups-failover") {
        groups::failover(&folder, &plan)?;
    }
    if wants("group-commit") {
        group_commit::run(&client, &folder, &plan)?;
    }
    if !wanted.is_empty() && !wanted.iter().any(|it| ["start", "produce", "consume", "latency"].contains(&it.as_str()))
    {
        return Ok(());
    }
    let mut bench = Bench {
        ours: Peer::vivarium(&folder.0.join("vivarium"))?,
        kafka: Peer::kafka(&folder.0.join("kafka"))?,
        sink: Peer::sink()?,
        client,
        plan,
        topics: 0,
    };
    if wants("start") {
        bench.start()?;
    }
    if wants("produce") || wants("consume") {
        for size in [1024, 100] {
            bench.throughput(size, wants("produce"), wants("consume"))?;
        }
    }
    if wants("latency") {
        bench.latency()?;
    }
    bench.ours.stop()?;
    bench.kafka.stop()?;
    bench.sink.stop()
}

/// How long and how often.
struct Plan {
    rounds: usize,
    seconds: f64,
    /// Of cold data.
    gigabytes: u64,
    /// For what takes the peer minutes.
    without_kafka: bool,
}

/// Starts a server with its data in a folder.
type Start = fn(&Path) -> Result<Peer>;

impl Plan {
    /// Whose clusters are measured: ours and, unless it is not wanted, Apache Kafka's.
    fn makes(&self) -> impl Iterator<Item = Make> {
        Make::BOTH.into_iter().take(if self.without_kafka { 1 } else { 2 })
    }

    /// Ours and, unless it is not wanted, Apache Kafka: folder and start of each.
    fn peers<'a>(&self, names: [&'a str; 2]) -> Vec<(&'a str, Start)> {
        let both = names.into_iter().zip([Peer::vivarium as Start, Peer::kafka]);
        both.take(if self.without_kafka { 1 } else { 2 }).collect()
    }
}

/// The data of all servers; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Folder> {
        let all = paths::cache("bench")?;
        // What a bench that was killed has left is gigabytes.
        for entry in fs::read_dir(&all)? {
            let left = entry?.path();
            let id = left.file_name().unwrap_or_default();
            if !Path::new("/proc").join(id).exists() {
                fs::remove_dir_all(&left).with_context(|| format!("remove {}", left.display()))?;
            }
        }
        let path = all.join(std::process::id().to_string());
        fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

struct Bench {
    ours: Peer,
    kafka: Peer,
    sink: Peer,
    client: Client,
    plan: Plan,
    topics: u32,
}

/// One round's throughput and what it cost the server.
struct Round {
    throughput: Throughput,
    cpu_per_gigabyte: f64,
}

impl Bench {
    fn start(&self) -> Result<()> {
        println!("\n| | first ApiVersions answer after exec | idle memory |\n| --- | --- | --- |");
        for peer in [&self.ours, &self.kafka] {
            let first = peer.first_answer().context("both are timed")?;
            let memory = resident_megabytes(peer.id())?;
            println!("| {} | {} ms | {memory:.1} MB |", peer.name(), first.as_millis());
        }
        Ok(())
    }

    fn throughput(&mut self, size: usize, show_produce: bool, show_consume: bool) -> Result<()> {
        // The first minute of a Java process is slow; warm both up alike, and learn how many messages fill a round.
        let mut counts = Vec::new();
        for peer in [&self.ours, &self.kafka, &self.sink] {
            let seconds = if matches!(peer, Peer::Kafka(..)) { 30.0 } else { 5.0 };
            let probe = self.produce(peer, "warm-up", size, 100_000)?.throughput;
            let warm = self.produce(peer, "warm-up", size, count_for(probe, seconds))?.throughput;
            if !matches!(peer, Peer::Sink(..)) {
                self.client.consume(peer.address(), "warm-up", warm.messages)?;
                self.delete(peer, "warm-up")?;
            }
            counts.push(count_for(warm, self.plan.seconds));
        }
        // Both serve as much: the newest records, as many as the slower one takes in.
        let newest = counts[0].min(counts[1]);
        let mut produced = [Vec::new(), Vec::new(), Vec::new()];
        let mut consumed = [Vec::new(), Vec::new()];
        for round in 1..=self.plan.rounds {
            self.topics += 1;
            let topic = format!("bench-{}", self.topics);
            for (index, peer) in [&self.ours, &self.kafka, &self.sink].into_iter().enumerate() {
                let into = self.produce(peer, &topic, size, counts[index])?;
                print!("round {round} · {size} B · {}: in {}", peer.name(), shown(&into, size));
                produced[index].push(into);
                if index < consumed.len() {
                    let out = self.consume(peer, &topic, newest)?;
                    print!(", out {}", shown(&out, size));
                    consumed[index].push(out);
                    self.delete(peer, &topic)?;
                }
                println!();
            }
        }
        if show_produce {
            table(&format!("produce, {size} B, one partition, acks=all"), size, &produced);
        }
        if show_consume {
            table(&format!("consume the newest {newest} records, {size} B, one partition"), size, &consumed);
        }
        println!(
            "memory now: ours {:.0} MB, Kafka's {:.0} MB",
            resident_megabytes(self.ours.id())?,
            resident_megabytes(self.kafka.id())?
        );
        Ok(())
    }

    fn produce(&self, peer: &Peer, topic: &str, size: usize, count: u64) -> Result<Round> {
        measured(peer, || self.client.produce(peer.address(), topic, size, count))
    }

    fn consume(&self, peer: &Peer, topic: &str, count: u64) -> Result<Round> {
        measured(peer, || self.client.consume(peer.address(), topic, count))
    }

    fn delete(&self, peer: &Peer, topic: &str) -> Result<()> {
        delete(peer, topic)
    }

    fn latency(&self) -> Result<()> {
        self.lone_acks()?;
        println!(
            "\nend to end, one record at a time, 200 B, acks=all (Kafka's EndToEndLatency, 10,000 records a round)\n"
        );
        for round in 1..=self.plan.rounds {
            for peer in [&self.ours, &self.kafka] {
                let mut tool = oracle::class("org.apache.kafka.tools.EndToEndLatency")?;
                tool.args(["--bootstrap-server", peer.address(), "--topic", "latency", "--num-records", "10000"]);
                tool.args(["--producer-acks", "all", "--record-size", "200"]);
                // The tool ends with its consumer's offsets; a broker without groups refuses those, after the figures.
                let output = tool.output().context("start EndToEndLatency")?;
                let text = String::from_utf8_lossy(&output.stdout);
                let lines: Vec<&str> =
                    text.lines().filter(|it| it.starts_with("Avg") || it.starts_with("Perc")).collect();
                let complaint = String::from_utf8_lossy(&output.stderr);
                ensure!(lines.len() == 2, "{}: no figures: {text}{complaint}", peer.name());
                println!("round {round} · {}: {}", peer.name(), lines.join("; "));
            }
        }
        Ok(())
    }
    /// How long lone records wait for their acks, without a client library.
    fn lone_acks(&self) -> Result<()> {
        let mut build = process::cargo();
        build.args(["build", "--quiet", "--release", "--package", "server", "--example", "lone_acks"]);
        process::run(&mut build)?;
        let program = paths::target().join("release/examples/lone_acks");
        println!("\nacks of lone records, 200 B, acks=all (10,000 records a round, µs)\n");
        for peer in [&self.ours, &self.kafka] {
            many::create(peer, "lone", 1)?;
        }
        for round in 1..=self.plan.rounds {
            for peer in [&self.ours, &self.kafka] {
                let said = process::output(Command::new(&program).args([peer.address(), "lone", "10000", "200"]))?;
                println!("round {round} · {}: {}", peer.name(), said.trim());
            }
        }
        Ok(())
    }
}

/// Frees the disk, and lets it come to rest before somebody else is measured.
fn delete(peer: &Peer, topic: &str) -> Result<()> {
    let mut tool = Command::new(bundle::binary()?);
    tool.args(["topics", "--bootstrap-server", peer.address(), "--delete", "--topic", topic]);
    process::output(&mut tool)?;
    process::output(&mut Command::new("sync")).map(drop)
}

fn count_for(rate: Throughput, seconds: f64) -> u64 {
    (rate.messages_per_second() * seconds) as u64
}

fn measured(peer: &Peer, work: impl FnOnce() -> Result<Throughput>) -> Result<Round> {
    let before = cpu_seconds(peer.id())?;
    let throughput = work().with_context(|| format!("against {}", peer.name()))?;
    let used = cpu_seconds(peer.id())? - before;
    Ok(Round { throughput, cpu_per_gigabyte: used / throughput.gigabytes() })
}

fn shown(round: &Round, size: usize) -> String {
    format!("{}, {:.2} CPU s/GB", rate(round.throughput, size), round.cpu_per_gigabyte)
}

/// Small messages are counted, large ones weighed.
fn rate(it: Throughput, size: usize) -> String {
    if size < 1000 {
        format!("{:.2} M msg/s", it.messages_per_second() / 1e6)
    } else {
        format!("{:.0} MB/s", it.megabytes_per_second())
    }
}

fn table(title: &str, size: usize, columns: &[Vec<Round>]) {
    println!("\n| {title} | rate | of Kafka's | server CPU s/GB | of Kafka's |\n| --- | --- | --- | --- | --- |");
    let rate_of = |it: &Round| it.throughput.bytes as f64 / it.throughput.seconds;
    let kafka = &columns[1];
    for (name, rounds) in ["vivarium", "Apache Kafka", "null sink"].iter().zip(columns) {
        // Pair by pair, so that a machine whose speed drifts disturbs both alike.
        let speed = median(rounds.iter().zip(kafka).map(|(it, peer)| rate_of(it) / rate_of(peer)));
        let cost = median(rounds.iter().zip(kafka).map(|(it, peer)| it.cpu_per_gigabyte / peer.cpu_per_gigabyte));
        let bytes = median(rounds.iter().map(rate_of));
        let shown =
            rate(Throughput { messages: (bytes / size as f64) as u64, bytes: bytes as u64, seconds: 1.0 }, size);
        let cpu = median(rounds.iter().map(|it| it.cpu_per_gigabyte));
        println!("| {name} | {shown} | {speed:.2} × | {cpu:.2} | {cost:.2} × |");
    }
    println!();
}

/// Median, p99 and p99.9 of latencies in µs, as cells of a table.
fn shares(latencies: &mut [u64]) -> String {
    [0.5, 0.99, 0.999].map(|share| format!("{:.2} ms", percentile(latencies, share) as f64 / 1000.0)).join(" | ")
}

/// What this share of the values does not exceed. There is at least one.
fn percentile(values: &mut [u64], share: f64) -> u64 {
    let at = (values.len() - 1) as f64 * share;
    *values.select_nth_unstable(at as usize).1
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
