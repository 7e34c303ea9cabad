//! Servers under measurement: ours, Apache Kafka, and the null sink as the ceiling.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ports::ReservedPort;

use crate::lab::Broker;
use crate::oracle::Kafka;
use crate::{bundle, paths, process};

/// A topic that is gone frees the disk at once: otherwise that of each round would stay for a minute, beside the next ones.
pub(crate) const DELETE_AT_ONCE: &str = "log.segment.delete.delay.ms=0";

/// A running server.
pub(crate) enum Peer {
    Vivarium(Broker, Duration),
    Kafka(Kafka, Duration),
    Sink(Broker),
}

impl Peer {
    /// Our broker with its data in `folder`.
    pub(crate) fn vivarium(folder: &Path) -> Result<Peer> {
        let reserved = ReservedPort::any()?;
        let port = reserved.number();
        let mut command = Command::new(bundle::binary()?);
        command.args(["server", "--port", &port.to_string(), "--set", DELETE_AT_ONCE, "--data"]).arg(folder);
        let start = Instant::now();
        // Asked from the start: ApiVersions is answered before the node is ready for everything.
        let asking = std::thread::spawn(move || first_answer(&format!("127.0.0.1:{port}"), start));
        let broker = Broker::spawn(&mut command)?;
        let first = asking.join().map_err(|_| anyhow::anyhow!("the thread that asks panicked"))??;
        Ok(Peer::Vivarium(broker, first))
    }

    /// Apache Kafka with its data in `folder`.
    pub(crate) fn kafka(folder: &Path) -> Result<Peer> {
        crate::oracle::jars()?;
        let (kafka, start) = Kafka::start_with(folder, 0, &[DELETE_AT_ONCE])?;
        let first = first_answer(&kafka.address, start)?;
        Ok(Peer::Kafka(kafka, first))
    }

    /// The null sink.
    pub(crate) fn sink() -> Result<Peer> {
        let mut build = process::cargo();
        build.args(["build", "--quiet", "--release", "--package", "server", "--example", "null_sink"]);
        process::run(&mut build)?;
        let program: PathBuf = paths::target().join("release/examples/null_sink");
        Ok(Peer::Sink(Broker::spawn(&mut Command::new(program))?))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Peer::Vivarium(..) => "vivarium",
            Peer::Kafka(..) => "Apache Kafka",
            Peer::Sink(..) => "null sink",
        }
    }

    pub(crate) fn address(&self) -> &str {
        match self {
            Peer::Vivarium(broker, _) | Peer::Sink(broker) => &broker.address,
            Peer::Kafka(kafka, _) => &kafka.address,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        match self {
            Peer::Vivarium(broker, _) | Peer::Sink(broker) => broker.child.id(),
            Peer::Kafka(kafka, _) => kafka.id(),
        }
    }

    /// From exec to the first answered ApiVersions; the sink is not timed.
    pub(crate) fn first_answer(&self) -> Option<Duration> {
        match self {
            Peer::Vivarium(_, first) | Peer::Kafka(_, first) => Some(*first),
            Peer::Sink(..) => None,
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(self) -> Result<()> {
        match self {
            Peer::Kafka(mut kafka, _) => kafka.child().kill()?,
            Peer::Vivarium(mut broker, _) | Peer::Sink(mut broker) => broker.child.kill()?,
        }
        Ok(())
    }

    pub(crate) fn stop(self) -> Result<()> {
        match self {
            Peer::Kafka(kafka, _) => kafka.stop(),
            Peer::Vivarium(mut broker, _) | Peer::Sink(mut broker) => {
                broker.child.kill()?;
                broker.child.wait()?;
                Ok(())
            }
        }
    }
}

/// Asks for the API versions until somebody answers.
fn first_answer(address: &str, start: Instant) -> Result<Duration> {
    let address: SocketAddr = address.parse()?;
    // ApiVersions (18) version 0, correlation id 7, no client id.
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&request)?;
        stream.read_exact(&mut [0; 10])
    };
    loop {
        match ask() {
            Ok(()) => return Ok(start.elapsed()),
            Err(error) if start.elapsed() > Duration::from_secs(60) => {
                return Err(error).context("no answer in a minute");
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
