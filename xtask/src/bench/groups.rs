//! Group coordinators, ours beside Apache Kafka's: what consumers see when one more joins them, commits a second, what an assignment
//! and idle groups cost, and how soon groups commit again when their coordinator dies or stops.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::account::resident_megabytes;
use super::cluster::Cluster;
use super::many::create;
use super::{Folder, Plan, Start, median};
use crate::clients::confluent;
use crate::{paths, process};

const PROGRAM: &str = include_str!("groups.py");
/// Whom one more joins, and what they share.
const MEMBERS: usize = 20;
const PARTITIONS: usize = 200;
/// As the program names the protocols.
const PROTOCOLS: [(&str, &str); 3] = [
    ("eager", "classic, eager (range)"),
    ("cooperative", "classic, cooperative-sticky"),
    ("consumer", "consumer (KIP-848)"),
];
const CONNECTIONS: usize = 16;
/// A large group of the consumer protocol.
const LARGE_MEMBERS: usize = 500;
const LARGE_TOPICS: usize = 5;
const LARGE_PARTITIONS: usize = 1000;
const IDLE_GROUPS: usize = 10_000;
const FAILOVER_GROUPS: usize = 1_000;
const ENDS: [(&str, &str); 2] = [("is killed", "KILL"), ("is stopped (SIGTERM)", "TERM")];

/// Figures of a program, by name.
type Figures = BTreeMap<String, f64>;

fn figure(figures: &Figures, name: &str) -> Result<f64> {
    figures.get(name).copied().with_context(|| format!("no {name} in {figures:?}"))
}

fn figures(said: &str) -> Result<Figures> {
    let pairs = said.split_whitespace().filter_map(|it| it.split_once('='));
    pairs.map(|(name, value)| Ok((name.to_owned(), value.parse()?))).collect()
}

/// The program whose groups are requests alone, built on first use.
struct Load(PathBuf);

impl Load {
    fn build() -> Result<Load> {
        let mut build = process::cargo();
        build.args(["build", "--quiet", "--release", "--package", "server", "--example", "group_load"]);
        process::run(&mut build)?;
        Ok(Load(paths::target().join("release/examples/group_load")))
    }

    fn ask(&self, words: &[&str]) -> Result<Figures> {
        figures(&process::output(Command::new(&self.0).args(words))?)
    }
}

/// One more member joins twenty that share 200 partitions.
pub(super) fn join(folder: &Folder, plan: &Plan) -> Result<()> {
    confluent::set_up()?;
    let program = folder.0.join("groups.py");
    fs::write(&program, PROGRAM)?;
    let mut seen: Vec<(&str, BTreeMap<String, Vec<Figures>>)> = Vec::new();
    for (name, start) in plan.peers(["join", "join-kafka"]) {
        let data = folder.0.join(name);
        let peer = start(&data)?;
        create(&peer, "shared", PARTITIONS)?;
        let mut command = Command::new(confluent::python()?);
        command.arg(&program).args([peer.address(), "shared", &PARTITIONS.to_string(), &MEMBERS.to_string()]);
        let said = process::output(command.arg(plan.rounds.to_string()))?;
        let mut of_peer: BTreeMap<String, Vec<Figures>> = BTreeMap::new();
        for line in said.lines() {
            println!("{}: {line}", peer.name());
            let (protocol, rest) = line.split_once(' ').with_context(|| format!("not a line of figures: {line}"))?;
            let of_round = figures(rest)?;
            ensure!(figure(&of_round, "twice")? == 0.0, "a partition had two owners: {line}");
            of_peer.entry(protocol.to_owned()).or_default().push(of_round);
        }
        seen.push((peer.name(), of_peer));
        peer.stop()?;
        fs::remove_dir_all(&data)?;
    }
    println!("\n| one member joins {MEMBERS} with {PARTITIONS} partitions | | stable after | partitions paused |");
    println!("| --- | --- | --- | --- |");
    for (protocol, title) in PROTOCOLS {
        for (name, of_peer) in &seen {
            let rounds = of_peer.get(protocol).with_context(|| format!("no figures of {protocol}"))?;
            let of_all = |what: &str| -> Result<Vec<f64>> { rounds.iter().map(|it| figure(it, what)).collect() };
            let (stable, paused) = (median(of_all("stable_ms")?.into_iter()), of_all("paused_s")?);
            // It hangs on the moment, and these are spread evenly: what counts is all of them.
            let paused = paused.iter().sum::<f64>() / paused.len() as f64;
            println!("| {title} | {name} | {stable:.0} ms | {paused:.2} partition-seconds |");
        }
    }
    Ok(())
}

/// What a coordinator takes and costs.
pub(super) fn load(folder: &Folder, plan: &Plan) -> Result<()> {
    let load = Load::build()?;
    println!(
        "\n| | commits a second, {CONNECTIONS} consumers | processor a commit: broker | all consumers | one joins {LARGE_MEMBERS} members with \
         {} partitions: processor | answered | memory of {IDLE_GROUPS} groups |\n| --- | --- | --- | --- | --- | --- | --- |",
        LARGE_TOPICS * LARGE_PARTITIONS
    );
    for (name, start) in plan.peers(["load", "load-kafka"]) {
        let memory = idle(&load, start, &folder.0.join(format!("{name}-idle")))?;
        let data = folder.0.join(name);
        let peer = start(&data)?;
        let pid = peer.id().to_string();
        create(&peer, "committed", 1)?;
        let seconds = (plan.seconds.ceil() as usize).to_string();
        let commits = || -> Result<Figures> {
            let words = ["commits", peer.address(), "committed", &pid, &CONNECTIONS.to_string(), &seconds];
            load.ask(&words)
        };
        // The first warms it up.
        commits()?;
        let rounds: Vec<Figures> = (0..plan.rounds).map(|_| commits()).collect::<Result<_>>()?;
        let of_all = |what: &str| -> Result<f64> {
            let values: Vec<f64> = rounds.iter().map(|it| figure(it, what)).collect::<Result<_>>()?;
            Ok(median(values.into_iter()))
        };
        let topics: Vec<String> = (0..LARGE_TOPICS).map(|it| format!("large-{it}")).collect();
        for topic in &topics {
            create(&peer, topic, LARGE_PARTITIONS)?;
        }
        let joins = (plan.rounds * 2).to_string();
        let large = ["assignment", peer.address(), &topics.join(","), &pid, &LARGE_MEMBERS.to_string(), &joins];
        let large = load.ask(&large)?;
        println!(
            "| {} | {:.0} | {:.1} µs | {:.1} µs | {:.1} ms | {:.1} ms | {memory:.0} MB |",
            peer.name(),
            of_all("commits_per_second")?,
            of_all("server_us")?,
            of_all("client_us")?,
            figure(&large, "processor_ms")?,
            figure(&large, "answered_ms")?,
        );
        peer.stop()?;
        fs::remove_dir_all(&data)?;
    }
    Ok(())
}

/// Ends with us, whatever becomes of what it was started for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What a server's memory grows by with groups that have a member and a committed offset each, and do nothing.
fn idle(load: &Load, start: Start, data: &Path) -> Result<f64> {
    let peer = start(data)?;
    create(&peer, "idle", 1)?;
    let before = resident_megabytes(peer.id())?;
    let mut command = Command::new(&load.0);
    command.args(["idle", peer.address(), "idle", &IDLE_GROUPS.to_string()]);
    let mut groups = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start group_load")?);
    let mut said = String::new();
    let stdout = groups.0.stdout.take().context("its stdout is piped")?;
    BufReader::new(stdout).read_line(&mut said)?;
    ensure!(figure(&figures(&said)?, "groups")? == IDLE_GROUPS as f64, "there are fewer groups");
    let after = resident_megabytes(peer.id())?;
    drop(groups);
    peer.stop()?;
    fs::remove_dir_all(data)?;
    Ok(after - before)
}

/// Three nodes, 1,000 groups: whoever coordinates most of them goes.
pub(super) fn failover(folder: &Folder, plan: &Plan) -> Result<()> {
    let load = Load::build()?;
    println!(
        "\n| {FAILOVER_GROUPS} groups, three nodes: the coordinator of a third of them | | first commit after, median | all commit after, median | \
         worst |\n| --- | --- | --- | --- | --- |"
    );
    for make in plan.makes() {
        let (mut cluster, _) = Cluster::start(make, folder.0.join(format!("groups-{}", make.name())))?;
        cluster.create("committed", 1)?;
        for (title, signal) in ENDS {
            let (mut first, mut all) = (Vec::new(), Vec::new());
            for _ in 0..plan.rounds {
                let groups = FAILOVER_GROUPS.to_string();
                let of_round =
                    load.ask(&["failover", &cluster.bootstrap(), "committed", &groups, &cluster.pids(), signal])?;
                first.push(figure(&of_round, "first_ms")?);
                all.push(figure(&of_round, "all_ms")?);
                cluster.restart(figure(&of_round, "victim")? as usize)?;
            }
            let worst = all.iter().copied().fold(0.0, f64::max);
            let (first, all) = (median(first.into_iter()), median(all.into_iter()));
            println!("| {title} | {} | {first:.0} ms | {all:.0} ms | {worst:.0} ms |", make.name());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_by_name() {
        let read = figures("eager stable_ms=12 paused_s=0.500\n").unwrap();
        assert_eq!((figure(&read, "stable_ms").unwrap(), figure(&read, "paused_s").unwrap()), (12.0, 0.5));
        assert!(figure(&read, "twice").unwrap_err().to_string().starts_with("no twice"));
        assert!(figures("stable_ms=soon").is_err());
    }
}
