//! Kafka's tools that change a cluster, against processes.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Servers that are asked to end when the test does, whatever came of it.
struct Servers {
    process: Child,
    addresses: String,
    folder: tempfile::TempDir,
}

impl Servers {
    fn start(arguments: &[&str]) -> Servers {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vivarium"));
        command.args(arguments).env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses = line.strip_prefix("ready ").unwrap().trim().to_owned();
        Servers { process, addresses, folder }
    }

    /// Runs a tool to its end; what it says, on its output and on its errors, and whether it succeeds.
    fn run(&self, tool: &str, arguments: &str, input: &[u8]) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vivarium"));
        command.args([tool, "--bootstrap-server", &self.addresses]).args(arguments.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tool = command.spawn().unwrap();
        tool.stdin.take().unwrap().write_all(input).unwrap();
        let ended = tool.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ended.status.success(), text(ended.stdout), text(ended.stderr))
    }

    /// The output of a tool that succeeds.
    fn tell(&self, tool: &str, arguments: &str) -> String {
        let (succeeds, output, errors) = self.run(tool, arguments, b"");
        assert!(succeeds, "{tool} {arguments}: {output}{errors}");
        output
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The one directory of the cluster's nodes.
    fn data(&self) -> String {
        let mut entries = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let nodes = |path: &Path| path.join("node-1").exists();
        entries.find(|path| nodes(path)).unwrap().to_str().unwrap().to_owned()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The nodes of a cluster end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn partitions_are_reassigned_as_with_kafkas_tool() {
    let cluster = Servers::start(&["cluster", "--nodes", "3", "--port", "0", "--ephemeral"]);
    let data = cluster.data();
    cluster.tell("topics", "--create --topic t --replica-assignment 1:2,2:1");
    let tool = "reassign-partitions";
    assert_eq!(cluster.tell(tool, "--list"), "No partition reassignments found.\n");

    let topics = cluster.file("topics.json", r#"{"version":1,"topics":[{"topic":"t"}]}"#);
    let of = |partition: i32, [leader, other]: [i32; 2]| {
        format!(
            r#"{{"topic":"t","partition":{partition},"replicas":[{leader},{other}],"log_dirs":["{data}/node-{leader}","{data}/node-{other}"]}}"#
        )
    };
    let plan = |partitions: &[String]| format!(r#"{{"version":1,"partitions":[{}]}}"#, partitions.join(","));
    let proposed = cluster.tell(tool, &format!("--generate --topics-to-move-json-file {topics} --broker-list 2,3"));
    let current = plan(&[of(0, [1, 2]), of(1, [2, 1])]);
    let start = format!(
        "Current partition replica assignment\n{current}\n\nProposed partition reassignment configuration\n{{\"version\":1,"
    );
    assert!(proposed.starts_with(&start), "{proposed}");
    for replicas in [[2, 3], [3, 2]] {
        let replicas = format!("\"replicas\":{replicas:?},\"log_dirs\":[\"any\",\"any\"]").replace(", ", ",");
        assert!(proposed.contains(&replicas), "{proposed}");
    }

    // More than a fetch holds, so that a throttle keeps it from arriving.
    let line = [&[b'x'; 100_000][..], b"\n"].concat();
    assert!(cluster.run("console-producer", "--topic t --sync", &line.repeat(40)).0);
    let file = cluster.file(
        "move.json",
        r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[3,1]},{"topic":"t","partition":1,"replicas":[3,2]}]}"#,
    );
    let execute = format!("--execute --reassignment-json-file {file}");
    let started = cluster.tell(tool, &format!("{execute} --throttle 1"));
    assert_eq!(
        started,
        format!(
            "Current partition replica assignment\n\n{current}\n\n\
             Save this to use as the --reassignment-json-file option during rollback\n\
             Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.\n\
             The inter-broker throttle limit was set to 1 B/s\n\
             Successfully started partition reassignments for t-0,t-1\n"
        )
    );
    let throttles = "--describe --entity-type topics --entity-name t";
    let throttled = cluster.tell("configs", throttles);
    assert!(throttled.contains("leader.replication.throttled.replicas=0:1,0:2,1:1,1:2 "), "{throttled}");
    assert!(throttled.contains("follower.replication.throttled.replicas=0:3,1:3 "), "{throttled}");
    let ongoing = cluster.tell(tool, "--list");
    let moving: Vec<&str> = ongoing
        .lines()
        .filter(|line| line.ends_with(" adding: 3. removing: 2.") || line.ends_with(" adding: 3. removing: 1."))
        .collect();
    assert!(!moving.is_empty(), "{ongoing}");
    let (succeeds, refused, _) = cluster.run(tool, &execute, b"");
    assert!(!succeeds && refused.starts_with("Cannot execute because there is an existing partition assignment.  Use"));

    // What is moving stops, and what has moved stays.
    let cancelled = cluster.tell(tool, &format!("--cancel --reassignment-json-file {file}"));
    assert!(cancelled.starts_with("Successfully cancelled partition reassignment"), "{cancelled}");
    let cleared = "Clearing broker-level throttles on brokers 1,2,3\nClearing topic-level throttles on topic t\n";
    let end = format!("None of the specified partition moves are active.{cleared}");
    assert!(cancelled.ends_with(&end), "{cancelled}");
    assert_eq!(cluster.tell(tool, "--list"), "No partition reassignments found.\n");
    assert!(!cluster.tell("configs", throttles).contains("throttled"));

    // Without a throttle it comes to its end.
    cluster.tell(tool, &execute);
    let verify = format!("--verify --reassignment-json-file {file}");
    let mut verified = cluster.tell(tool, &verify);
    while verified.contains("still in progress") {
        verified = cluster.tell(tool, &verify);
    }
    assert_eq!(
        verified,
        format!(
            "Status of partition reassignment:\nReassignment of partition t-0 is completed.\n\
             Reassignment of partition t-1 is completed.\n\n{cleared}"
        )
    );

    let unknown = cluster.file("unknown.json", r#"{"partitions":[{"topic":"t","partition":7,"replicas":[1]}]}"#);
    let (succeeds, told, _) = cluster.run(tool, &format!("--execute --reassignment-json-file {unknown}"), b"");
    let why = "Error: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Unable to find partition: t-7\n";
    assert_eq!((succeeds, told.as_str()), (false, why));
    let nobody = cluster.file("nobody.json", r#"{"partitions":[{"topic":"t","partition":0,"replicas":[9]}]}"#);
    let (succeeds, told, _) = cluster.run(tool, &format!("--execute --reassignment-json-file {nobody}"), b"");
    assert_eq!((succeeds, told.as_str()), (false, "Error: Unknown broker id 9\n"));
}

#[test]
fn levels_of_features_are_told_and_changed_as_with_kafkas_tool() {
    let server = Servers::start(&["server", "--port", "0", "--ephemeral"]);
    let tool = "features";
    let level = |feature: &str| {
        let table = server.tell(tool, "describe --node-id 1");
        assert_eq!(table, server.tell(tool, "describe"));
        let row = table.lines().find(|row| row.starts_with(&format!("Feature: {feature} "))).unwrap().to_owned();
        let at = row.find("FinalizedVersionLevel: ").unwrap() + "FinalizedVersionLevel: ".len();
        row[at..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!((level("metadata.version"), level("group.version")), ("4.3-IV0".to_owned(), "1".to_owned()));
    let would = server.tell(tool, "downgrade --feature group.version=0 --dry-run");
    assert_eq!(would, "group.version can be downgraded to 0.\n");
    assert_eq!(level("group.version"), "1");
    assert_eq!(server.tell(tool, "disable --feature group.version"), "group.version was disabled.\n");
    assert_eq!(level("group.version"), "0");
    assert_eq!(server.tell(tool, "upgrade --feature group.version=1"), "group.version was upgraded to 1.\n");
    assert_eq!(level("group.version"), "1");
    let (succeeds, output, errors) = server.run(tool, "upgrade --feature group.version=9", b"");
    assert!(!succeeds && output.starts_with("Could not upgrade group.version to 9. "), "{output}");
    assert_eq!(errors, "1 out of 1 operation(s) failed.\n");
    let (succeeds, _, errors) = server.run(tool, "upgrade", b"");
    assert_eq!((succeeds, errors.as_str()), (false, "You must specify at least one feature to upgrade\n"));
}
