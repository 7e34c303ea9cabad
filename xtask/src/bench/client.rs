//! The client of every throughput figure: librdkafka's own rdkafka_performance, built from the sources that the crate
//! `rdkafka-sys` carries, so that no broker is measured with a client of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

/// No run of the client takes longer.
const MOST: Duration = Duration::from_secs(600);

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
        parse(&process::output_within(&mut command, MOST)?, "produced").context("rdkafka_performance -P")
    }

    /// Reads the newest `count` messages of partition 0.
    pub(crate) fn consume(&self, broker: &str, topic: &str, count: u64) -> Result<Throughput> {
        self.consume_from(broker, topic, &format!("-{count}"), count)
    }

    /// Reads the oldest `count` messages of partition 0.
    pub(crate) fn consume_oldest(&self, broker: &str, topic: &str, count: u64) -> Result<Throughput> {
        self.consume_from(broker, topic, "beginning", count)
    }

    fn consume_from(&self, broker: &str, topic: &str, offset: &str, count: u64) -> Result<Throughput> {
        let settings = ["fetch.message.max.bytes=4000000", "queued.max.messages.kbytes=200000"];
        let mut command = self.command(broker, &settings);
        command.args(["-C", "-t", topic, "-p", "0", "-o", offset, "-q", "-c", &count.to_string()]);
        parse(&process::output_within(&mut command, MOST)?, "consumed").context("rdkafka_performance -C")
    }

    /// Several producers at once, each sends `count` messages to partition 0 with acks=all and never has more than 1,000 of them
    /// unacked. The time is that of the last to end.
    pub(crate) fn produce_together(
        &self,
        broker: &str,
        topic: &str,
        size: usize,
        count: u64,
        producers: usize,
    ) -> Result<Throughput> {
        let settings = ["linger.ms=0", "queue.buffering.max.messages=1000"];
        let mut running = Vec::new();
        for _ in 0..producers {
            let mut command = self.command(broker, &settings);
            command.args(["-P", "-t", topic, "-p", "0", "-a", "-1", "-q"]);
            command.args(["-s", &size.to_string(), "-c", &count.to_string()]);
            running.push(spawn(&mut command)?);
        }
        let mut all = Throughput { messages: 0, bytes: 0, seconds: 0.0 };
        for output in wait(running)? {
            let one = parse(&output, "produced").context("rdkafka_performance -P")?;
            all.messages += one.messages;
            all.bytes += one.bytes;
            all.seconds = all.seconds.max(one.seconds);
        }
        Ok(all)
    }

    /// Several producers at once, each sends `count` messages to partition 0, `rate` a second, each at once; how long each message
    /// took from the call to its ack, in µs, but for the first second.
    pub(crate) fn latencies_together(
        &self,
        broker: &str,
        topic: &str,
        size: usize,
        (rate, count): (u32, u64),
        producers: usize,
        folder: &Path,
    ) -> Result<Vec<u64>> {
        let files: Vec<PathBuf> = (0..producers).map(|it| folder.join(format!("latencies-{it}"))).collect();
        let mut running = Vec::new();
        for file in &files {
            let mut command = self.command(broker, &["linger.ms=0"]);
            command.args(["-P", "-t", topic, "-p", "0", "-a", "-1", "-q", "-l", "-A"]).arg(file);
            command.args(["-s", &size.to_string(), "-c", &count.to_string(), "-r", &rate.to_string()]);
            running.push(spawn(&mut command)?);
        }
        for output in wait(running)? {
            parse(&output, "produced").context("rdkafka_performance -P")?;
        }
        let mut all = Vec::new();
        for file in files {
            // The first second goes to connections and metadata.
            all.extend(read_latencies(&file)?.into_iter().skip(rate as usize));
        }
        Ok(all)
    }

    /// The same over all partitions of a topic: each gets whole batches in turn.
    pub(crate) fn produce_spread(&self, broker: &str, topic: &str, size: usize, count: u64) -> Result<Throughput> {
        let mut command = self.command(broker, &["linger.ms=5", "batch.size=1000000"]);
        command.args(["-P", "-t", topic, "-a", "-1", "-q"]);
        command.args(["-s", &size.to_string(), "-c", &count.to_string()]);
        parse(&process::output_within(&mut command, MOST)?, "produced").context("rdkafka_performance -P")
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
        parse(&process::output_within(&mut command, MOST)?, "produced").context("rdkafka_performance -P")?;
        read_latencies(&file)
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

fn read_latencies(file: &Path) -> Result<Vec<u64>> {
    let text = fs::read_to_string(file)?;
    text.lines().map(|line| line.trim().parse().with_context(|| format!("no latency: {line}"))).collect()
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("start rdkafka_performance")
}

/// What each of them said in the end.
fn wait(running: Vec<Child>) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for child in running {
        let output = child.wait_with_output()?;
        let text = [output.stdout, output.stderr].concat();
        said.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(said)
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
