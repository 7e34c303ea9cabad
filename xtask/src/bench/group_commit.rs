//! What it costs to have every record on disk before it is acked, when many ask for it at once: `flush.messages=1`. Beside it the
//! floor of the disk: a loop that appends what is due to a file and syncs it, without a broker; and that of the clients: the same
//! producers at the null sink, which acks at once.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::client::Client;
use super::peer::Peer;
use super::{Folder, Plan, count_for, delete, median, percentile, shares};
use crate::{bundle, process};

const PRODUCERS: usize = 16;
const SIZE: usize = 1024;
/// Records of a round at most, of which the disk has those of one.
const MOST: u64 = 4_000_000_000 / SIZE as u64;
/// Records per second of each producer while acks are timed.
const RATE: u32 = 100;
/// Seconds of that before it counts.
const WARM_UP: f64 = 3.0;
/// Seconds that a disk gets to come to rest.
const SETTLES: u32 = 60;

pub(super) fn run(client: &Client, folder: &Folder, plan: &Plan) -> Result<()> {
    println!(
        "\n| {PRODUCERS} producers, {SIZE} B, one partition, acks=all | unsynced | flush.messages=1 | share | acks of {RATE} \
         records/s each: median | p99 | p99.9 | the disk alone: median | p99 | p99.9 | the clients alone: median | p99 | p99.9 |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for (name, start) in plan.peers(["commit", "commit-kafka"]) {
        let data = folder.0.join(name);
        let peer = start(&data)?;
        // Acks first: behind the rates the disk would still be writing, and freeing, gigabytes of theirs.
        let (acks, disk) = acks_and_floor(client, &peer, folder, plan)?;
        let sink = Peer::sink()?;
        let clients = acks_of(client, sink.address(), "acks", plan.seconds, folder)?;
        sink.stop()?;
        let mut rates = [Vec::new(), Vec::new()];
        for round in 0..=plan.rounds {
            // The first warms both up, and learns how many messages fill a round.
            for (index, settings) in [None, Some("flush.messages=1")].into_iter().enumerate() {
                let topic = format!("commit-{round}-{index}");
                create(&peer, &topic, settings)?;
                let count = match rates[index].first() {
                    None => 20_000,
                    Some(first) => count_for(*first, plan.seconds).min(MOST) / PRODUCERS as u64,
                };
                rates[index].push(client.produce_together(peer.address(), &topic, SIZE, count, PRODUCERS)?);
                delete(&peer, &topic)?;
            }
        }
        let [unsynced, synced] = rates.map(|it| it[1..].iter().map(|it| it.megabytes_per_second()).collect::<Vec<_>>());
        let share = median(synced.iter().zip(&unsynced).map(|(synced, unsynced)| synced / unsynced));
        println!(
            "| {} | {:.0} MB/s | {:.0} MB/s | {:.0} % | {acks} | {disk} | {clients} |",
            peer.name(),
            median(unsynced.into_iter()),
            median(synced.into_iter()),
            share * 100.0,
        );
        peer.stop()?;
        fs::remove_dir_all(&data)?;
    }
    Ok(())
}

/// How long acks take on a node that has just started, and what the disk alone takes just before and just after, as cells of a
/// table.
fn acks_and_floor(client: &Client, peer: &Peer, folder: &Folder, plan: &Plan) -> Result<(String, String)> {
    let (path, half) = (folder.0.join("floor"), plan.seconds / 2.0);
    // A virtual machine that has just begun interprets what it compiles later.
    create(peer, "warm-up", Some("flush.messages=1"))?;
    acks_of(client, peer.address(), "warm-up", WARM_UP, folder)?;
    delete(peer, "warm-up")?;
    create(peer, "acks", Some("flush.messages=1"))?;
    settle(&folder.0)?;
    let before = floor(&path, half)?;
    let acks = acks_of(client, peer.address(), "acks", plan.seconds, folder)?;
    let after = floor(&path, half)?;
    delete(peer, "acks")?;
    Ok((acks, shares(&mut [before, after].concat())))
}

/// Waits until the disk is done with what came before: until what it takes to append and sync is the same for two seconds.
fn settle(folder: &Path) -> Result<()> {
    rustix::fs::sync();
    let mut last: Option<u64> = None;
    for _ in 0..SETTLES {
        let mut latencies = floor(&folder.join("floor"), 1.0)?;
        let worst = percentile(&mut latencies, 0.99);
        if last.is_some_and(|last| last.max(worst) <= 2 * last.min(worst)) {
            return Ok(());
        }
        last = Some(worst);
    }
    println!("  the disk has not settled within {SETTLES} s");
    Ok(())
}

/// How long the acks of each producer's records take, as cells of a table.
fn acks_of(client: &Client, address: &str, topic: &str, seconds: f64, folder: &Folder) -> Result<String> {
    let count = (f64::from(RATE) * seconds) as u64;
    let mut latencies = client.latencies_together(address, topic, SIZE, (RATE, count), PRODUCERS, &folder.0)?;
    ensure!(!latencies.is_empty(), "no record was acked");
    Ok(shares(&mut latencies))
}

/// Appends as many records a second to a file as the producers send, those that are due together, and syncs each time; how long
/// each took from when it was due until it was on disk, in µs.
fn floor(path: &Path, seconds: f64) -> Result<Vec<u64>> {
    let file = File::create(path)?;
    let every = Duration::from_secs(1) / (RATE * PRODUCERS as u32);
    let count = (seconds / every.as_secs_f64()) as u32;
    let mut latencies = Vec::new();
    let began = Instant::now();
    while latencies.len() < count as usize {
        let first = latencies.len() as u32;
        let due = (began.elapsed().as_nanos() / every.as_nanos()) as u32 + 1;
        if due <= first {
            std::thread::sleep((every * first).saturating_sub(began.elapsed()));
            continue;
        }
        file.write_all_at(&vec![7; SIZE * (due - first) as usize], u64::from(first) * SIZE as u64)?;
        file.sync_data()?;
        let now = began.elapsed();
        latencies.extend((first..due).map(|it| now.saturating_sub(every * it).as_micros() as u64));
    }
    fs::remove_file(path)?;
    Ok(latencies)
}

fn create(peer: &Peer, topic: &str, setting: Option<&str>) -> Result<()> {
    let mut tool = Command::new(bundle::binary()?);
    tool.args(["topics", "--bootstrap-server", peer.address(), "--create", "--topic", topic, "--partitions", "1"]);
    // What is deleted makes room for the next round, with either broker.
    for setting in ["file.delete.delay.ms=0"].into_iter().chain(setting) {
        tool.args(["--config", setting]);
    }
    process::output(&mut tool).map(drop).with_context(|| format!("create {topic}"))
}
