//! Clients that others wrote, against our broker on a free port. One file a client; a client is a row in `CLIENTS`.

pub(crate) mod cluster_tools;
pub(crate) mod confluent;
mod interop;
mod kafka_tools;
mod kcat;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::lab::Broker;
use crate::test::Tally;
use crate::{bundle, paths, process};

/// A client, how to have it here, and what is done with it.
struct Client {
    name: &'static str,
    /// Finds it or installs it.
    set_up: fn() -> Result<()>,
    cases: &'static [Case],
}

/// What is done, and the code that does it and checks what came of it.
type Case = (&'static str, fn(&Place) -> Result<()>);

/// Where a case runs.
struct Place {
    /// A running broker, host:port, which a client's cases share: each uses topics of its own.
    broker: String,
    /// Our binary, for a case that wants a broker for itself.
    binary: PathBuf,
    /// A folder for this client's files, empty at first.
    folder: PathBuf,
}

/// The longest first.
const CLIENTS: [&Client; 5] =
    [&interop::CLIENT, &kafka_tools::CLIENT, &cluster_tools::CLIENT, &confluent::CLIENT, &kcat::CLIENT];

/// Clients that run at once: most of their time is the start of one Java process.
const AT_ONCE: usize = 2;

/// Has all clients here that can be had; says which can't.
pub(crate) fn fetch() {
    for client in CLIENTS {
        if let Err(why) = (client.set_up)() {
            println!("{} is not here yet: {why:#}", client.name);
        }
    }
}

/// Runs every client's cases, each client against a fresh broker.
pub(crate) fn test(tally: &mut Tally) -> Result<()> {
    let binary = bundle::tested_binary()?;
    let mut able = Vec::new();
    for client in CLIENTS {
        match (client.set_up)() {
            Ok(()) => able.push(client),
            Err(why) => tally.skip(client.name, &format!("{why:#}")),
        }
    }
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..AT_ONCE {
            let (sender, next, able, binary) = (sender.clone(), &next, &able, &binary);
            scope.spawn(move || {
                while let Some(client) = able.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Whoever counts is there until the last of us has ended.
                    if let Err(error) = run(client, binary, &sender) {
                        let _ = sender.send((client.name.to_owned(), Err(error)));
                    }
                }
            });
        }
        drop(sender);
        for (name, outcome) in results {
            tally.check(&name, || outcome);
        }
    });
    Ok(())
}

/// Runs a client's cases; tells what came of each.
fn run(client: &Client, binary: &Path, results: &Sender<(String, Result<()>)>) -> Result<()> {
    let folder = paths::target().join("clients").join(client.name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let broker = Broker::start(binary, 0)?;
    let place = Place { broker: broker.address.clone(), binary: binary.to_owned(), folder };
    for (case, work) in client.cases {
        results.send((format!("{} {case}", client.name), work(&place)))?;
    }
    Ok(())
}

/// Runs a command with this on its stdin.
fn feed(command: &mut Command, text: &str) -> Result<()> {
    let shown = process::line(command);
    let mut child = command.stdin(Stdio::piped()).spawn().with_context(|| format!("start `{shown}`"))?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    stdin.write_all(text.as_bytes()).with_context(|| format!("write to `{shown}`"))?;
    drop(stdin);
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}
