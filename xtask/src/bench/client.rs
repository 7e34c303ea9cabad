//! The client of every throughput figure: librdkafka's own rdkafka_performance, built from the sources that the crate
//! `rdkafka-sys` carries, so that no broker is measured with a client of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::librdkafka::Build;
use crate::process;

const BUILD: Build = Build {
    name: "librdkafka",
    what: "rdkafka_performance",
    packages: &["zlib1g-dev"],
    configure: "--disable-ssl --disable-gssapi --disable-curl --disable-zstd --disable-lz4-ext",
    make: "make -j2 libs && make -C examples rdkafka_performance",
};

/// What one run of the client did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throughput {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

impl Throughput {
    pub(crate) fn megabytes_per_second(self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    pub(crate) fn messages_per_second(self) -> f64 {
        self.messages as f64 / self.seconds
    }

    pub(crate) fn gigabytes(self) -> f64 {
        self.bytes as f64 / 1e9
    }
}

/// rdkafka_performance, built on first use.
pub(crate) struct Client {
    program: PathBuf,
}

impl Client {
    pub(crate) fn set_up() -> Result<Client> {
        let program = BUILD.set_up()?.join("examples/rdkafka_performance");
        Ok(Client { program })
    }

    /// Sends `count` messages of `size` bytes to partition 0 with acks=all and waits for every ack.
    pub(crate) fn produce(&self, broker: &str, topic: &str, size: usize, count: u64) -> Result<Throughput> {
        let settings = [
            "linger.ms=5",
            "queue.buffering.max.messages=2000000",
            "queue.buffering.max.kbytes=1000000",
            "batch.num.messages=10000",
            "batch.size=1000000",
        ];
        let mut command = self.command(broker, &settings);
        command.args(["-P", "-t", topic, "-p", "0", "-a", "-1", "-q"]);
        command.args(["-s", &size.to_string(), "-c", &count.to_string()]);
        parse(&process::output(&mut command)?, "produced").context("rdkafka_performance -P")
    }

    /// Reads `count` messages of partition 0 from the beginning.
    pub(crate) fn consume(&self, broker: &str, topic: &str, count: u64) -> Result<Throughput> {
        let settings = ["fetch.message.max.bytes=4000000", "queued.max.messages.kbytes=200000"];
        let mut command = self.command(broker, &settings);
        command.args(["-C", "-t", topic, "-p", "0", "-o", "beginning", "-q", "-c", &count.to_string()]);
        parse(&process::output(&mut command)?, "consumed").context("rdkafka_performance -C")
    }

    /// The same over all partitions of a topic: each gets whole batches in turn.
    pub(crate) fn produce_spread(&self, broker: &str, topic: &str, size: usize, count: u64) -> Result<Throughput> {
        let mut command = self.command(broker, &["linger.ms=5", "batch.size=1000000"]);
        command.args(["-P", "-t", topic, "-a", "-1", "-q"]);
        command.args(["-s", &size.to_string(), "-c", &count.to_string()]);
        parse(&process::output(&mut command)?, "produced").context("rdkafka_performance -P")
    }

    /// Sends `rate` messages a second, each to a partition of its own choice and at once; how long each took from the call to its
    /// ack, in µs.
    pub(crate) fn latencies(
        &self,
        broker: &str,
        topic: &str,
        size: usize,
        rate: u32,
        count: u64,
        folder: &Path,
    ) -> Result<Vec<u64>> {
        let file = folder.join("latencies");
        let mut command = self.command(broker, &["linger.ms=0", "sticky.partitioning.linger.ms=0"]);
        command.args(["-P", "-t", topic, "-a", "-1", "-q", "-l", "-A"]).arg(&file);
        command.args(["-s", &size.to_string(), "-c", &count.to_string(), "-r", &rate.to_string()]);
        parse(&process::output(&mut command)?, "produced").context("rdkafka_performance -P")?;
        let text = fs::read_to_string(&file)?;
        text.lines().map(|line| line.trim().parse().with_context(|| format!("no latency: {line}"))).collect()
    }

    fn command(&self, broker: &str, settings: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-b", broker]);
        for setting in settings {
            command.args(["-X", setting]);
        }
        command
    }
}

/// Reads the summary: `% 100000 messages produced (102400000 bytes), 0 delivery failed, … in 3157ms: …` or
/// `% 100000 messages (102400000 bytes) consumed in 3157ms: …`.
fn parse(output: &str, verb: &str) -> Result<Throughput> {
    let summary = output.lines().rev().find(|it| it.contains(verb) && it.contains("bytes") && it.contains("ms:"));
    let Some(summary) = summary else { bail!("no summary in its output:\n{output}") };
    let number_before = |marker: &str| -> Result<u64> {
        let end = summary.find(marker).with_context(|| format!("no `{marker}` in: {summary}"))?;
        let digits: String = summary[..end].chars().rev().take_while(char::is_ascii_digit).collect();
        digits
            .chars()
            .rev()
            .collect::<String>()
            .parse()
            .with_context(|| format!("no number before `{marker}` in: {summary}"))
    };
    // "produce failures" are not counted: the client's own queue was full for a moment and it tried again.
    let failed = number_before(" failed").unwrap_or(0);
    if failed > 0 {
        bail!("{failed} messages failed: {summary}");
    }
    Ok(Throughput {
        messages: number_before(" messages")?,
        bytes: number_before(" bytes")?,
        seconds: number_before("ms:")? as f64 / 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_summaries() {
        let produced = parse(
            "noise\n% 1000000 messages produced (1024000000 bytes), 1000000 delivered (offset 999999, 0 failed) in 3157ms: 316756 msgs/s and 324.36 MB/s, 596 produce failures, 0 in queue, no compression\n",
            "produced",
        )
        .unwrap();
        assert_eq!((produced.messages, produced.bytes), (1_000_000, 1_024_000_000));
        assert!((produced.megabytes_per_second() - 324.36).abs() < 0.01);
        let consumed =
            parse("% 5 messages (500 bytes) consumed in 10ms: 500 msgs/s (0.05 MB/s)\n", "consumed").unwrap();
        assert_eq!((consumed.messages, consumed.bytes), (5, 500));
        assert!(
            parse("% 5 messages produced (500 bytes), 4 delivered (offset 3, 1 failed) in 10ms: x", "produced")
                .is_err()
        );
        assert!(parse("nothing", "produced").is_err());
    }
}
