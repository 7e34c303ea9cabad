//! Data that nobody has read for long: gigabytes that the page cache has nothing of. And what stays in memory of many.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};

use super::account::resident_megabytes;
use super::client::Client;
use super::peer::Peer;
use super::{Folder, Plan, delete, measured, median, shown};
use crate::process;

const SIZE: usize = 1024;

/// One after the other, as the disk may not have room for both.
pub(super) fn run(client: &Client, folder: &Folder, plan: &Plan) -> Result<()> {
    let mut all = Vec::new();
    let count = plan.gigabytes * 1_000_000_000 / SIZE as u64;
    for (name, start) in plan.peers(["cold", "cold-kafka"]) {
        let data = folder.0.join(name);
        let peer = start(&data)?;
        client.produce(peer.address(), "cold", SIZE, count)?;
        process::output(&mut Command::new("sync"))?;
        let mut rounds = Vec::new();
        for round in 1..=plan.rounds {
            forget(&data)?;
            let out = measured(&peer, || client.consume_oldest(peer.address(), "cold", count))?;
            println!("round {round} · cold · {}: out {}", peer.name(), shown(&out, SIZE));
            rounds.push(out);
        }
        let memory = resident_megabytes(peer.id())?;
        delete(&peer, "cold")?;
        all.push((peer.name(), rounds, memory));
        peer.stop()?;
        fs::remove_dir_all(&data)?;
    }
    println!(
        "\n| consume {} GB of cold data, {SIZE} B | rate | of Kafka's | server CPU s/GB | of Kafka's | memory |",
        plan.gigabytes
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let middle = |rounds: &[super::Round]| {
        let rate = median(rounds.iter().map(|it| it.throughput.megabytes_per_second()));
        (rate, median(rounds.iter().map(|it| it.cpu_per_gigabyte)))
    };
    let kafka = all.last().map_or((f64::NAN, f64::NAN), |(_, rounds, _)| middle(rounds));
    for (name, rounds, memory) in &all {
        let (rate, cpu) = middle(rounds);
        println!(
            "| {name} | {rate:.0} MB/s | {:.2} × | {cpu:.2} | {:.2} × | {memory:.0} MB |",
            rate / kafka.0,
            cpu / kafka.1
        );
    }
    Ok(())
}

/// What our broker needs after 20 GB were written and read, 4 GB at a time: the disk need not have room for more.
pub(super) fn memory(client: &Client, folder: &Folder) -> Result<()> {
    const TOPICS: u64 = 5;
    let count = 4_000_000_000 / SIZE as u64;
    let data = folder.0.join("memory");
    let peer = Peer::vivarium(&data)?;
    let before = resident_megabytes(peer.id())?;
    let mut most = before;
    for index in 0..TOPICS {
        let topic = format!("memory-{index}");
        client.produce(peer.address(), &topic, SIZE, count)?;
        client.consume_oldest(peer.address(), &topic, count)?;
        most = most.max(resident_megabytes(peer.id())?);
        delete(&peer, &topic)?;
    }
    println!("memory: {before:.0} MB at first, {most:.0} MB at most after each 4 GB of 20 that were written and read");
    peer.stop()?;
    fs::remove_dir_all(&data)?;
    Ok(())
}

/// Has the page cache drop every file of a folder; nobody needs to be root for that, and only what is clean goes.
fn forget(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget(&path)?;
        } else {
            let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
