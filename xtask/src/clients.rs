//! Clients that others wrote, against our broker on a free port: kcat, librdkafka from Python, Kafka's own console tools.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::lab::Broker;
use crate::test::Tally;
use crate::{apt, bundle, paths, process};

/// A test: its name and what it does, given `host:port`.
type Case = (&'static str, fn(&str) -> Result<()>);

/// A client, how to have it here, and its tests.
struct Client {
    name: &'static str,
    set_up: fn() -> Result<()>,
    cases: &'static [Case],
}

const CLIENTS: [Client; 1] = [Client {
    name: "kcat",
    set_up: kcat,
    cases: &[("lists the broker", kcat_lists), ("reads what it wrote", kcat_round_trip)],
}];

/// Runs every client's cases, each client against a fresh broker.
pub(crate) fn test(tally: &mut Tally) -> Result<()> {
    let binary = bundle::binary()?;
    let help = process::output(Command::new(&binary).arg("--help")).unwrap_or_default();
    for client in &CLIENTS {
        if !help.contains("server") {
            tally.skip(client.name, "this build of `vivarium` has no server command");
            continue;
        }
        if let Err(why) = (client.set_up)() {
            tally.skip(client.name, &format!("{why:#}"));
            continue;
        }
        let mut broker = Broker::start(&binary, 0)?;
        for (case, work) in client.cases {
            tally.check(&format!("{} {case}", client.name), || work(&broker.address));
        }
        broker.child.kill()?;
        broker.child.wait()?;
    }
    Ok(())
}

fn kcat() -> Result<()> {
    if paths::which("kcat").is_some() {
        return Ok(());
    }
    apt::install(&["kcat"], "testing with real clients")
}

fn kcat_command(broker: &str, args: &[&str]) -> Command {
    let mut command = Command::new("kcat");
    command.args(["-b", broker, "-X", "socket.timeout.ms=10000", "-m", "10"]).args(args);
    command
}

fn kcat_lists(broker: &str) -> Result<()> {
    let listed = process::output(&mut kcat_command(broker, &["-L"]))?;
    ensure!(listed.contains(&format!(" at {broker}")), "kcat -L does not name {broker}:\n{listed}");
    Ok(())
}

fn kcat_round_trip(broker: &str) -> Result<()> {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("clients-{codec}");
        let written: String = (0..100).map(|it| format!("key-{it}:value {it} in {codec}\n")).collect();
        feed(
            &mut kcat_command(broker, &["-P", "-t", &topic, "-p", "0", "-K:", "-z", codec, "-X", "acks=all"]),
            &written,
        )?;
        let mut read = kcat_command(broker, &["-C", "-t", &topic, "-p", "0", "-o", "beginning", "-e", "-q", "-K:"]);
        let read = process::output(&mut read)?;
        ensure!(read == written, "{codec}: read something else than was written:\n{read}");
    }
    Ok(())
}

/// Runs a command with this on its stdin.
fn feed(command: &mut Command, text: &str) -> Result<()> {
    let shown = process::line(command);
    let mut child = command.stdin(Stdio::piped()).spawn().with_context(|| format!("start `{shown}`"))?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}
