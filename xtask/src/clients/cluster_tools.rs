//! Kafka's tools for clusters, and ours of the same names, on three nodes: all say what tests/conformance/cluster-tools.txt has, which
//! was recorded with Kafka's tools on Apache Kafka.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Client, Place};
use crate::bench::cluster::{Cluster, Make};
use crate::{bundle, oracle, paths, process};

pub(super) const CLIENT: Client = Client {
    name: "cluster-tools",
    set_up: || oracle::jars().map(drop),
    cases: &[("Kafka's tools for clusters and ours say what they say on Apache Kafka", |place: &Place| {
        play(Make::Ours, &place.binary, &place.folder).and_then(compare)
    })],
};

/// What of an answer is another one each time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blank {
    /// Nothing but ids of 22 characters, and directories.
    Ids,
    /// Numbers, too: offsets, epochs, times, ports, and which node leads.
    Numbers,
    /// What stands behind `Epoch:`.
    Epochs,
}

/// A call: the script's name, its arguments, what is blanked. `{servers}`, `{topic}` and `{file}` stand for the cluster, for a topic that
/// is the caller's alone, and for where its partitions shall go.
type Step = (&'static str, &'static str, Blank);

const STEPS: [Step; 11] = [
    ("kafka-metadata-quorum", "--bootstrap-server {servers} describe --status", Blank::Numbers),
    ("kafka-metadata-quorum", "--bootstrap-server {servers} describe --replication", Blank::Numbers),
    ("kafka-features", "--bootstrap-server {servers} describe", Blank::Epochs),
    (
        "kafka-leader-election",
        "--bootstrap-server {servers} --election-type preferred --topic {topic} --partition 0",
        Blank::Ids,
    ),
    ("kafka-reassign-partitions", "--bootstrap-server {servers} --execute --reassignment-json-file {file}", Blank::Ids),
    ("kafka-reassign-partitions", "--bootstrap-server {servers} --verify --reassignment-json-file {file}", Blank::Ids),
    ("kafka-reassign-partitions", "--bootstrap-server {servers} --list", Blank::Ids),
    ("kafka-reassign-partitions", "--bootstrap-server {servers} --cancel --reassignment-json-file {file}", Blank::Ids),
    ("kafka-cluster", "cluster-id --bootstrap-server {servers}", Blank::Ids),
    ("kafka-cluster", "list-endpoints --bootstrap-server {servers}", Blank::Numbers),
    ("kafka-log-dirs", "--bootstrap-server {servers} --describe --topic-list {topic}", Blank::Ids),
];
/// Of these we have none.
const KAFKAS_ALONE: [&str; 2] = ["kafka-cluster", "kafka-log-dirs"];
/// Partitions 0 and 1 of a caller's topic, before and after.
const BEFORE: &str = "1:2,2:3";
const AFTER: [&str; 2] = ["[3,1]", "[1,2]"];
/// Above what is recorded.
const HEAD: &str = "\
# What Kafka's tools for clusters print of three nodes of Apache Kafka 4.3.1, without ids, directories and, where # stands, numbers. They
# print the same of our nodes, and so do ours, of either: `cargo xtask conformance cluster-tools [--on apache-kafka]`; with --record it is
# written.
";
/// How often it is asked whether partitions have moved.
const PATIENCE: u32 = 60;

/// What the tools said, call by call.
struct Said {
    call: String,
    theirs: String,
    /// Where there is one of ours.
    ours: Option<String>,
}

/// `cargo xtask conformance cluster-tools`: holds what is said on either cluster against the list, or writes it.
pub(crate) fn run(make: Make, record: bool) -> Result<()> {
    oracle::jars()?;
    let folder = paths::target().join("conformance/cluster-tools");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let said = play(make, &bundle::binary()?, &folder)?;
    if record {
        ensure!(make == Make::Kafkas, "only what is said on Apache Kafka is recorded");
        let calls: String = said.iter().map(|it| format!("> {}\n{}", it.call, it.theirs)).collect();
        fs::write(list(), format!("{HEAD}{calls}")).with_context(|| format!("write {}", list().display()))?;
    }
    compare(said)
}

fn list() -> PathBuf {
    paths::root().join("tests/conformance/cluster-tools.txt")
}

/// All calls, in order, by either tool.
fn play(make: Make, binary: &Path, folder: &Path) -> Result<Vec<Said>> {
    let (cluster, _) = Cluster::start_of(make, binary.to_owned(), folder.join("nodes"), &["broker.rack=rack-{id}"])?;
    let servers = cluster.bootstrap();
    for topic in ["by-kafkas", "by-ours"] {
        let mut create = Command::new(binary);
        create.args(["topics", "--bootstrap-server", &servers, "--create", "--topic", topic]);
        process::output(create.args(["--replica-assignment", BEFORE])).with_context(|| format!("create {topic}"))?;
        let moves = AFTER.iter().enumerate();
        let moves = moves.map(|(it, to)| format!(r#"{{"topic":"{topic}","partition":{it},"replicas":{to}}}"#));
        let plan = moves.collect::<Vec<_>>().join(",");
        fs::write(folder.join(topic), format!(r#"{{"version":1,"partitions":[{plan}]}}"#))?;
    }
    let ask = |mut command: Command, (_, arguments, blank): Step, topic: &str| -> Result<String> {
        let file = folder.join(topic).display().to_string();
        let words = arguments.split(' ').map(|it| match it {
            "{servers}" => &servers,
            "{topic}" => topic,
            "{file}" => &file,
            word => word,
        });
        command.args(words);
        for _ in 0..PATIENCE {
            let said = process::output(&mut command)?;
            if !said.contains("still in progress") {
                return Ok(blanked(&said.replace(topic, "TOPIC"), blank));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("`{}`: still in progress", process::line(&command))
    };
    let mut said = Vec::new();
    for step in STEPS {
        let theirs = ask(oracle::tool(step.0)?, step, "by-kafkas")?;
        said.push(Said { call: format!("{} {}", step.0, step.1), theirs, ours: None });
    }
    // Only then: a cluster moves what one of them says at a time.
    for (said, step) in said.iter_mut().zip(STEPS).filter(|(_, step)| !KAFKAS_ALONE.contains(&step.0)) {
        let mut command = Command::new(binary);
        command.arg(step.0.trim_start_matches("kafka-"));
        said.ours = Some(ask(command, step, "by-ours")?);
    }
    Ok(said)
}

/// Holds what was said against the list.
fn compare(said: Vec<Said>) -> Result<()> {
    let text = fs::read_to_string(list()).with_context(|| format!("read {}", list().display()))?;
    let mut recorded = text.split("> ").skip(1).map(|it| it.split_once('\n').unwrap_or((it, "")));
    for Said { call, theirs, ours } in said {
        let (known, expected) = recorded.next().with_context(|| format!("nothing is recorded of `{call}`"))?;
        ensure!(known == call, "`{known}` is recorded where `{call}` is called");
        ensure!(theirs == expected, "Kafka's `{call}`:\n{theirs}\nand not\n{expected}");
        let ours = ours.as_deref().unwrap_or(expected);
        ensure!(ours == expected, "ours of `{call}`:\n{ours}\nand not\n{expected}");
    }
    ensure!(recorded.next().is_none(), "more is recorded than is called");
    Ok(())
}

/// The same without what is another one each time.
fn blanked(said: &str, blank: Blank) -> String {
    let mut text = String::new();
    let mut rest = said;
    while !rest.is_empty() {
        let is_id = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
        let word = &rest[..rest.find(|it| !is_id(it)).unwrap_or(rest.len())];
        let digits = word.strip_prefix('-').unwrap_or(word);
        let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        if let Some(path) = rest.strip_prefix("\"/") {
            text.push_str("\"DIRECTORY\"");
            rest = path.split_once('"').map_or("", |it| it.1);
        } else if word.is_empty() {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            text.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            rest = &rest[word.len()..];
            let is_blank =
                is_number && (blank == Blank::Numbers || blank == Blank::Epochs && text.ends_with("Epoch: "));
            match word.len() {
                22 => text.push_str("ID"),
                _ if is_blank => {
                    text.push('#');
                    // In a table what follows depends on how long it was.
                    let padding = rest.len() - rest.trim_start_matches(' ').len();
                    rest = &rest[padding.saturating_sub(1)..];
                }
                _ => text.push_str(word),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_what_differs_each_time() {
        let said = "ClusterId:   AAAAAAAAAAAAAAAAAAAAAA\nLag: -1   0\nEpoch: 12\tLevel: 3\n\"logDir\":\"/a/b\"";
        let (id, end) = ("ClusterId:   ID\n", "\"logDir\":\"DIRECTORY\"");
        assert_eq!(blanked(said, Blank::Ids), format!("{id}Lag: -1   0\nEpoch: 12\tLevel: 3\n{end}"));
        assert_eq!(blanked(said, Blank::Numbers), format!("{id}Lag: # #\nEpoch: #\tLevel: #\n{end}"));
        assert_eq!(blanked(said, Blank::Epochs), format!("{id}Lag: -1   0\nEpoch: #\tLevel: 3\n{end}"));
    }
}
