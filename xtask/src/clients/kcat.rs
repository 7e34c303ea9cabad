//! kcat: librdkafka on the command line.

use std::process::Command;

use anyhow::{Result, ensure};

use super::{Client, Place, feed};
use crate::lab::Broker;
use crate::{apt, paths, process};

pub(super) const CLIENT: Client = Client {
    name: "kcat",
    set_up,
    cases: &[
        ("lists the broker", lists),
        ("reads what it wrote, in every compression", round_trips),
        ("reads from a moment and from the end", seeks),
        ("finds what was acked after kill -9", survives),
        ("goes on where its group was before kill -9", group_survives),
    ],
};

fn set_up() -> Result<()> {
    if paths::which("kcat").is_some() {
        return Ok(());
    }
    apt::install(&["kcat"], "testing with real clients")
}

fn kcat(broker: &str, args: &[&str]) -> Command {
    let mut command = Command::new("kcat");
    command.args(["-b", broker, "-m", "60", "-X", "message.timeout.ms=60000"]).args(args);
    command
}

fn write(broker: &str, topic: &str, settings: &[&str], text: &str) -> Result<()> {
    feed(kcat(broker, &["-P", "-t", topic, "-p", "0", "-K:"]).args(settings), text)
}

/// All that is in partition 0 from an offset on.
fn read(broker: &str, topic: &str, from: &str) -> Result<String> {
    process::output(&mut kcat(broker, &["-C", "-t", topic, "-p", "0", "-o", from, "-e", "-q", "-K:"]))
}

fn lists(place: &Place) -> Result<()> {
    let listed = process::output(&mut kcat(&place.broker, &["-L"]))?;
    ensure!(listed.contains(&format!(" at {} (controller)", place.broker)), "kcat -L says:\n{listed}");
    Ok(())
}

fn round_trips(place: &Place) -> Result<()> {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("kcat-{codec}");
        let written: String = (0..1000).map(|it| format!("key-{it}:value {it} in {codec}\n")).collect();
        write(&place.broker, &topic, &["-z", codec, "-X", "acks=all"], &written)?;
        let read = read(&place.broker, &topic, "beginning")?;
        ensure!(read == written, "{codec}: {} bytes were written, {} read", written.len(), read.len());
    }
    Ok(())
}

fn seeks(place: &Place) -> Result<()> {
    write(&place.broker, "kcat-seeks", &[], "a:1\nb:2\nc:3\n")?;
    for (from, expected) in [
        ("beginning", "a:1\nb:2\nc:3\n"),
        ("1", "b:2\nc:3\n"),
        ("-1", "c:3\n"),
        ("end", ""),
        ("s@1", "a:1\nb:2\nc:3\n"),
    ] {
        let read = read(&place.broker, "kcat-seeks", from)?;
        ensure!(read == expected, "from {from}: {read:?}");
    }
    Ok(())
}

/// What was acked before the process was killed is there afterwards, at the same offsets, and writing goes on behind it.
fn survives(place: &Place) -> Result<()> {
    let data = place.folder.join("data");
    let start = || {
        let mut command = Command::new(&place.binary);
        Broker::spawn(command.arg("server").arg("--data").arg(&data).args(["--port", "0"]))
    };
    let broker = start()?;
    let before: String = (0..1000).map(|it| format!("k:before {it}\n")).collect();
    write(&broker.address, "kcat-survives", &["-X", "acks=all"], &before)?;
    // Dropping kills it with SIGKILL.
    drop(broker);
    let broker = start()?;
    write(&broker.address, "kcat-survives", &["-X", "acks=all"], "k:after\n")?;
    let found = read(&broker.address, "kcat-survives", "beginning")?;
    ensure!(found == before.clone() + "k:after\n", "{} bytes of {} came back", found.len(), before.len() + 8);
    ensure!(read(&broker.address, "kcat-survives", "1000")? == "k:after\n", "the record after is not at offset 1000");
    Ok(())
}

/// A group's offsets survive the kill of its coordinator.
fn group_survives(place: &Place) -> Result<()> {
    let data = place.folder.join("group");
    let start = || {
        let mut command = Command::new(&place.binary);
        Broker::spawn(command.arg("server").arg("--data").arg(&data).args(["--port", "0"]))
    };
    let consume = |broker: &Broker| {
        let group = ["-G", "kcat-group", "-q", "-e", "-K:", "-X", "auto.offset.reset=earliest", "kcat-group"];
        process::output(&mut kcat(&broker.address, &group))
    };
    let broker = start()?;
    let before: String = (0..1000).map(|it| format!("k:before {it}\n")).collect();
    write(&broker.address, "kcat-group", &["-X", "acks=all"], &before)?;
    let read = consume(&broker)?;
    ensure!(read == before, "{} bytes of {} were read by the group", read.len(), before.len());
    drop(broker);
    let broker = start()?;
    write(&broker.address, "kcat-group", &["-X", "acks=all"], "k:after\n")?;
    let read = consume(&broker)?;
    ensure!(read == "k:after\n", "the group did not go on where it was: {} bytes were read", read.len());
    Ok(())
}
