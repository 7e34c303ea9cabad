//! librdkafka's own tests: the C client under kcat and the clients of Python, Go, .NET, Node and Rust.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};

use super::{Attempt, Outcome, Suite};
use crate::librdkafka::Build;
use crate::oracle;

const BUILD: Build = Build {
    name: "tests",
    what: "tests",
    packages: &["zlib1g-dev", "libssl-dev", "libzstd-dev", "rapidjson-dev"],
    configure: "--enable-ssl --enable-zstd --disable-gssapi --disable-curl --disable-lz4-ext",
    make: "make -j2 libs && make -C tests build",
};

/// The tests that have to do with groups: on several nodes they alone run again with the consumer protocol (KIP-848). To the others it is
/// nothing how many there are.
const GROUP_TESTS: [&str; 37] = [
    "0014", "0018", "0019", "0022", "0026", "0029", "0030", "0033", "0040", "0042", "0045", "0050", "0051", "0056",
    "0060", "0061", "0064", "0069", "0081", "0082", "0083", "0084", "0089", "0091", "0093", "0099", "0101", "0102",
    "0107", "0113", "0118", "0120", "0122", "0130", "0132", "0137", "0140",
];

/// What 0101 says when its records did not come from where they should, and passes all the same.
const COMPLAINTS: [&str; 2] = ["rxbytes was not highest", "expecting rxbytes of"];

pub(super) struct Librdkafka {
    /// Whether its groups are of the consumer protocol.
    has_consumer_protocol: bool,
    /// Where the runner is, and where it has to run.
    folder: PathBuf,
    /// Where it finds Kafka's scripts, which a few tests call.
    tools: PathBuf,
}

impl Librdkafka {
    pub(super) fn set_up() -> Result<Box<dyn Suite>> {
        Librdkafka::of(false)
    }

    /// As [`Librdkafka::set_up`], with groups of the consumer protocol (KIP-848).
    pub(super) fn set_up_consumer() -> Result<Box<dyn Suite>> {
        Librdkafka::of(true)
    }

    fn of(has_consumer_protocol: bool) -> Result<Box<dyn Suite>> {
        let folder = BUILD.set_up()?.join("tests");
        Ok(Box::new(Librdkafka { has_consumer_protocol, folder, tools: oracle::home()? }))
    }
}

impl Suite for Librdkafka {
    fn settings(&self) -> &[&str] {
        &["num.partitions=4"]
    }

    /// The runner chooses tests by their number. Where several have one, the shortest name stands for them.
    fn tests(&self, nodes: usize) -> Result<Vec<String>> {
        let table = fs::read_to_string(self.folder.join("test.c"))?;
        let mut tests: BTreeMap<&str, &str> = BTreeMap::new();
        for line in table.lines() {
            let Some(rest) = line.trim_start().strip_prefix("_TEST(") else { continue };
            let Some(name) = rest.split([',', ')']).next() else { continue };
            let Some((number, _)) = name.split_once('_') else { continue };
            // From 8000 on they are for people to watch.
            if number.parse::<u32>().is_ok_and(|it| it < 8_000) {
                let shortest = tests.entry(number).or_insert(name);
                if name.len() < shortest.len() {
                    *shortest = name;
                }
            }
        }
        let is_meant = |it: &&str| !self.has_consumer_protocol || nodes == 1 || GROUP_TESTS.contains(&number(it));
        Ok(tests.into_values().filter(is_meant).map(str::to_owned).collect())
    }

    fn command(&self, test: &str, attempt: &Attempt) -> Result<Command> {
        let settings = attempt.folder.join(format!("{test}.conf"));
        fs::write(&settings, format!("bootstrap.servers={}\n", attempt.broker))?;
        let mut command = Command::new("./test-runner");
        // One at a time; without those that change the speed of sockets, and those that need no broker.
        command.args(["-p1", "-E", "-L"]).current_dir(&self.folder);
        command.env("TESTS", number(test)).env("TEST_KAFKA_VERSION", super::CLAIMED_VERSION);
        command.env("RDKAFKA_TEST_CONF", settings).env("TEST_REPORT", attempt.folder.join(format!("{test}.json")));
        command.env("BROKERS", attempt.broker).env("KAFKA_PATH", &self.tools);
        if self.has_consumer_protocol {
            command.env("TEST_CONSUMER_GROUP_PROTOCOL", "consumer");
        }
        command.env("LD_LIBRARY_PATH", "../src:../src-cpp");
        Ok(command)
    }

    /// Its report names all tests; those of our number have run. A runner that aborted wrote none.
    fn outcome(&self, test: &str, status: ExitStatus, log: &str, attempt: &Attempt) -> Result<(Outcome, String)> {
        let log = plain(log);
        let report = attempt.folder.join(format!("{test}.json"));
        let Ok(report) = fs::read_to_string(&report) else {
            return Ok((Outcome::Fail, format!("the runner ended early: {status}")));
        };
        let report: serde_json::Value = serde_json::from_str(&report).context("read the runner's report")?;
        let states = report["tests"].as_object().context("its report has no tests")?;
        let own = states.iter().filter(|(name, _)| number(name) == number(test));
        let own: Vec<&str> = own.filter_map(|(_, it)| it["state"].as_str()).collect();
        if !status.success() || own.iter().any(|it| matches!(*it, "FAILED" | "RUNNING")) {
            return Ok((Outcome::Fail, failure(&log)));
        }
        if let Some(complaint) = log.lines().find(|line| COMPLAINTS.iter().any(|it| line.contains(it))) {
            return Ok((Outcome::Fail, complaint.to_owned()));
        }
        if own.contains(&"PASSED") {
            return Ok((Outcome::Pass, String::new()));
        }
        Ok((Outcome::Skip, skip(&log)))
    }
}

/// What stands below the headline of the first failure.
fn failure(log: &str) -> String {
    let mut lines = log.lines().skip_while(|it| !it.starts_with("### Test \""));
    let headline = lines.next().unwrap_or("the runner ended badly");
    lines.next().filter(|it| !it.is_empty()).unwrap_or(headline).to_owned()
}

/// Why the runner left it out.
fn skip(log: &str) -> String {
    let said = log.lines().find_map(|it| it.split_once("SKIPPING TEST: "));
    match said.map(|it| it.1.trim()) {
        Some("Filtered due to negative test flags") => "needs no broker, or changes the speed of sockets".to_owned(),
        Some(why) => why.split('[').next().unwrap_or_default().trim().to_owned(),
        // Left out silently: its scenario is another one.
        None => "a scenario of its own: no automatic topics".to_owned(),
    }
}

fn number(test: &str) -> &str {
    test.split('_').next().unwrap_or(test)
}

/// Text without its terminal colours.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |it| it.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_test_said() {
        let log =
            "[a / 1 s] fine\n### Test \"0077_compaction\" failed at test.c:5: ###\nsystem() failed\n### Test \"b\"\n";
        assert_eq!(failure(log), "system() failed");
        assert_eq!(failure(""), "the runner ended badly");
        assert_eq!(skip("[a / 1 s] WARN: SKIPPING TEST: no member id in it[a / 2 s] more\n"), "no member id in it");
    }

    #[test]
    fn takes_colours_away() {
        assert_eq!(plain("\u{1b}[31m### Test\u{1b}[0m failed"), "### Test failed");
        assert_eq!(plain("nothing to do"), "nothing to do");
    }
}
