//! Clients that others wrote, against our broker on a free port. One file a client; a client is a row in `CLIENTS`.

pub(crate) mod confluent;
mod interop;
mod kafka_tools;
mod kcat;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

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

const CLIENTS: [&Client; 4] = [&kcat::CLIENT, &confluent::CLIENT, &kafka_tools::CLIENT, &interop::CLIENT];

/// Runs every client's cases, each client against a fresh broker.
pub(crate) fn test(tally: &mut Tally) -> Result<()> {
    let binary = bundle::binary()?;
    for client in CLIENTS {
        if let Err(why) = (client.set_up)() {
            tally.skip(client.name, &format!("{why:#}"));
            continue;
        }
        let folder = paths::target().join("clients").join(client.name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let broker = Broker::start(&binary, 0)?;
        let place = Place { broker: broker.address.clone(), binary: binary.clone(), folder };
        for (case, work) in client.cases {
            tally.check(&format!("{} {case}", client.name), || work(&place));
        }
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
