//! `cargo xtask lab`: the page in the browser, and beside it a broker for Kafka clients.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::args::Args;
use crate::{bundle, paths, process, site};

/// How long the broker may take to accept connections, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds, starts the broker, serves the page until Ctrl-C.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut args = Args::new(args);
    let port = args.value("--port", 8080u16)?;
    let kafka_port = args.value("--kafka-port", 9092u16)?;
    let quiet = args.switch("--no-open");
    ensure!(args.rest()?.is_empty(), "`lab` takes only flags: --port N, --kafka-port N, --no-open");

    let (stop, stopped) = mpsc::channel();
    let on_signal = stop.clone();
    // The receiver lives as long as the process, so a send can only fail when we are leaving anyway.
    ctrlc::set_handler(move || drop(on_signal.send(End::Asked))).context("listen for Ctrl-C")?;

    let listener = site::bind(port)?;
    ensure_free(kafka_port)?;
    bundle::page()?;
    let binary = bundle::binary()?;
    let address = site::serve(listener, paths::dist())?;
    let broker = Broker::start(&binary, kafka_port)?;
    let url = format!("http://{address}/");
    println!("\nthe lab           {url}   (its cluster is simulated in the tab)");
    println!("for Kafka clients {}   (the same core; its data is gone when you stop it)\n", broker.address);
    println!("Ctrl-C stops both.");
    if !quiet {
        open(&url);
    }

    let process_id = broker.pid()?;
    std::thread::Builder::new().name("broker".to_owned()).spawn(move || {
        let ended = broker.wait();
        // As above.
        drop(stop.send(End::Broker(ended.map_or_else(|it| format!("{it:#}"), |it| it.to_string()))));
    })?;
    match stopped.recv()? {
        End::Broker(how) => bail!("the broker ended by itself: {how}"),
        End::Asked => {}
    }
    println!("stopping");
    // A terminal's Ctrl-C has reached the broker too; a second signal does no harm.
    if kill_process(process_id, Signal::TERM).is_ok() {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match stopped.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(End::Broker(_)) => break,
                Ok(End::Asked) => {}
                Err(_) => {
                    kill_process(process_id, Signal::KILL).context("end the broker")?;
                    bail!("the broker did not stop within {}, so it was killed", process::human(PATIENCE));
                }
            }
        }
    }
    Ok(())
}

/// Fails if another program has the broker's port. Port 0 is always free.
fn ensure_free(port: u16) -> Result<()> {
    let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else { return Ok(()) };
    bail!("port {port} can't be had ({error}), perhaps another Kafka has it; choose one with --kafka-port N")
}

/// Why the lab ends.
enum End {
    Asked,
    Broker(String),
}

/// A `vivarium server` of ours that accepts connections.
pub(crate) struct Broker {
    pub(crate) child: Child,
    /// host:port, from its ready line.
    pub(crate) address: String,
}

impl Broker {
    /// Starts a broker whose data is gone when it stops, and waits until it accepts. Port 0 takes a free one.
    pub(crate) fn start(binary: &Path, port: u16) -> Result<Broker> {
        let mut command = Command::new(binary);
        command.args(["server", "--ephemeral", "--port", &port.to_string()]);
        Broker::spawn(&mut command)
    }

    /// Starts the given `vivarium server …` and waits for its ready line; what it prints afterwards is passed on.
    pub(crate) fn spawn(command: &mut Command) -> Result<Broker> {
        let shown = process::line(command);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| format!("start `{shown}`"))?;
        let stdout = child.stdout.take().context("the broker's stdout is piped")?;
        let (said, ready) = mpsc::channel();
        std::thread::Builder::new().name("broker's stdout".to_owned()).spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                match text.strip_prefix("ready ") {
                    // Nobody waits any more if it took too long.
                    Some(rest) => drop(said.send(rest.split_whitespace().next().unwrap_or_default().to_owned())),
                    None => println!("broker: {text}"),
                }
            }
        })?;
        match ready.recv_timeout(PATIENCE) {
            Ok(address) => Ok(Broker { child, address }),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill()?;
                bail!("`{shown}` accepted no connection within {}", process::human(PATIENCE))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                bail!("`{shown}` ended before it was ready: {}", child.wait()?)
            }
        }
    }

    /// Waits until it ends by itself, or by a signal.
    fn wait(mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Its process id, for signals.
    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("the broker has a process id")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Shows the page where there is a desktop; the address is printed either way.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let desktop = cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|it| std::env::var_os(it).is_some_and(|it| !it.is_empty()));
    if desktop && paths::which(opener).is_some() {
        let quiet = Command::new(opener).arg(url).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        if quiet.is_ok() {
            return;
        }
    }
    println!("Open {url} in a browser.");
}
