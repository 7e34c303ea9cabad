//! Many partitions on one node: how soon it is back after `kill -9`, and how soon a record is acked while most of them idle.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::account::resident_megabytes;
use super::client::Client;
use super::peer::Peer;
use super::{Folder, Plan, median, shares};
use crate::{bundle, process};

/// The topics of the larger case, each of so many partitions; the first of them is in use.
const TOPICS: usize = 10;
const PARTITIONS: usize = 1000;
/// Records per second over all partitions of the first topic.
const RATE: u32 = 100;

/// A directory that our broker was killed over, with 5 GB in 2,000 partitions and nothing flushed: from exec to the first record
/// that a client reads of it. Each start is on a copy of its own, whose files the page cache holds.
pub(super) fn recovery(client: &Client, folder: &Folder, plan: &Plan) -> Result<()> {
    const PARTITIONS: usize = 2000;
    const BYTES: u64 = 5_000_000_000;
    let (written, copy) = (folder.0.join("recovery"), folder.0.join("recovery-copy"));
    let broker = Peer::vivarium(&written.join("logs"))?;
    create(&broker, "many", PARTITIONS)?;
    // The client chooses partitions by chance, and the one that is read may have got nothing.
    client.produce(broker.address(), "many", 1024, 1000)?;
    client.produce_spread(broker.address(), "many", 1024, BYTES / 1024)?;
    broker.kill()?;
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 1..=plan.rounds {
        for (index, start) in [start_ours, Peer::kafka].into_iter().enumerate() {
            process::output(Command::new("cp").arg("-a").arg(&written).arg(&copy))?;
            process::output(Command::new("sh").args(["-c", "cat \"$0\"/logs/*/*.log | wc -c"]).arg(&copy))?;
            process::output(&mut Command::new("sync"))?;
            let began = Instant::now();
            let peer = start(&copy)?;
            client.consume(peer.address(), "many", 1)?;
            let took = began.elapsed().as_secs_f64();
            println!("round {round} · {}: serves {took:.2} s after exec", peer.name());
            seconds[index].push(took);
            peer.kill()?;
            fs::remove_dir_all(&copy)?;
        }
    }
    fs::remove_dir_all(&written)?;
    let ratio = median(seconds[0].iter().zip(&seconds[1]).map(|(ours, kafkas)| ours / kafkas));
    println!("\n| back after kill -9, {PARTITIONS} partitions, 5 GB | first record read after exec | of Kafka's |");
    println!("| --- | --- | --- |");
    for (name, seconds, ratio) in [("vivarium", &seconds[0], ratio), ("Apache Kafka", &seconds[1], 1.0)] {
        println!("| {name} | {:.2} s | {ratio:.2} × |", median(seconds.iter().copied()));
    }
    Ok(())
}

fn start_ours(folder: &Path) -> Result<Peer> {
    Peer::vivarium(&folder.join("logs"))
}

/// 10,000 partitions, of which 1,000 get 100 records a second in all: while the other 9,000 are created, and afterwards.
pub(super) fn partitions(client: &Client, folder: &Folder, plan: &Plan) -> Result<()> {
    let (during, seconds) = ((plan.seconds * 6.0).max(30.0), plan.seconds * 30.0);
    println!(
        "\n| {} partitions, {RATE} records/s over {PARTITIONS} of them | the other {} created in | all logs there after | acks \
         meanwhile: median | p99 | p99.9 | acks of {seconds:.0} s afterwards: median | p99 | p99.9 | memory | descriptors |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        TOPICS * PARTITIONS,
        (TOPICS - 1) * PARTITIONS
    );
    for (name, start) in plan.peers(["partitions", "partitions-kafka"]) {
        let data = folder.0.join(name);
        let peer = start(&data)?;
        create(&peer, "topic-0", PARTITIONS)?;
        wait_for_logs(&peer, PARTITIONS)?;
        let send = |seconds: f64| {
            let count = (f64::from(RATE) * seconds) as u64;
            client.latencies(peer.address(), "topic-0", 100, RATE, count, &folder.0)
        };
        let (mut meanwhile, created, there) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| send(during));
            let began = Instant::now();
            for topic in 1..TOPICS {
                create(&peer, &format!("topic-{topic}"), PARTITIONS)?;
            }
            let created = began.elapsed();
            wait_for_logs(&peer, TOPICS * PARTITIONS)?;
            let there = began.elapsed();
            let latencies = sending.join().map_err(|_| anyhow::anyhow!("the thread that sends panicked"))??;
            anyhow::Ok((latencies, created, there))
        })?;
        // One after the other was sent every so often.
        meanwhile.truncate((f64::from(RATE) * there.as_secs_f64()) as usize);
        let mut afterwards = send(seconds)?;
        ensure!(!meanwhile.is_empty() && !afterwards.is_empty(), "no record was acked");
        println!(
            "| {} | {:.1} s | {:.1} s | {} | {} | {:.0} MB | {} |",
            peer.name(),
            created.as_secs_f64(),
            there.as_secs_f64(),
            shares(&mut meanwhile),
            shares(&mut afterwards),
            resident_megabytes(peer.id())?,
            descriptors(&peer)?
        );
        peer.stop()?;
        fs::remove_dir_all(&data)?;
    }
    Ok(())
}

fn descriptors(peer: &Peer) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", peer.id()))?.count())
}

/// A broker has a log's file open as soon as the log is there.
fn wait_for_logs(peer: &Peer, count: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(300);
    while descriptors(peer)? < count {
        ensure!(Instant::now() < deadline, "{}: {} of {count} logs are there", peer.name(), descriptors(peer)?);
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

pub(super) fn create(peer: &Peer, topic: &str, partitions: usize) -> Result<()> {
    let mut tool = Command::new(bundle::binary()?);
    tool.args(["topics", "--bootstrap-server", peer.address(), "--create", "--topic", topic, "--partitions"]);
    process::output(tool.arg(partitions.to_string())).with_context(|| format!("create {topic}"))?;
    Ok(())
}
