//! Kafka's tools that change a cluster, against processes.

use std::path::Path;

use crate::running::{Place, Said, until};

impl Place {
    fn run_words(&self, tool: &str, arguments: &str) -> Said {
        self.run(tool, &arguments.split_whitespace().collect::<Vec<_>>(), b"")
    }

    fn tell_words(&self, tool: &str, arguments: &str) -> String {
        self.tell(tool, &arguments.split_whitespace().collect::<Vec<_>>(), b"")
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The one directory of a cluster's nodes.
fn data(folder: &Path) -> String {
    let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.join("node-1").exists()).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn partitions_are_reassigned_as_with_kafkas_tool() {
    let temp = tempfile::tempdir().unwrap();
    let cluster = Place::start(&["cluster", "--nodes", "3", "--port", "0", "--ephemeral"], temp.path());
    let (data, file) = (data(temp.path()), |name: &str, text: &str| write(temp.path(), name, text));
    cluster.tell_words("topics", "--create --topic t --replica-assignment 1:2,2:1");
    let tool = "reassign-partitions";
    assert_eq!(cluster.tell_words(tool, "--list"), "No partition reassignments found.\n");

    let topics = file("topics.json", r#"{"version":1,"topics":[{"topic":"t"}]}"#);
    let of = |partition: i32, [leader, other]: [i32; 2]| {
        format!(
            r#"{{"topic":"t","partition":{partition},"replicas":[{leader},{other}],"log_dirs":["{data}/node-{leader}","{data}/node-{other}"]}}"#
        )
    };
    let plan = |partitions: &[String]| format!(r#"{{"version":1,"partitions":[{}]}}"#, partitions.join(","));
    let proposed =
        cluster.tell_words(tool, &format!("--generate --topics-to-move-json-file {topics} --broker-list 2,3"));
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
    cluster.tell("console-producer", &["--topic", "t", "--sync"], &line.repeat(40));
    let moves = file(
        "move.json",
        r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[3,1]},{"topic":"t","partition":1,"replicas":[3,2]}]}"#,
    );
    let execute = format!("--execute --reassignment-json-file {moves}");
    let started = cluster.tell_words(tool, &format!("{execute} --throttle 1"));
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
    let throttled = cluster.tell_words("configs", throttles);
    assert!(throttled.contains("leader.replication.throttled.replicas=0:1,0:2,1:1,1:2 "), "{throttled}");
    assert!(throttled.contains("follower.replication.throttled.replicas=0:3,1:3 "), "{throttled}");
    let ongoing = cluster.tell_words(tool, "--list");
    let moving: Vec<&str> = ongoing
        .lines()
        .filter(|line| line.ends_with(" adding: 3. removing: 2.") || line.ends_with(" adding: 3. removing: 1."))
        .collect();
    assert!(!moving.is_empty(), "{ongoing}");
    let refused = cluster.run_words(tool, &execute);
    let why = "Cannot execute because there is an existing partition assignment.  Use";
    assert!(!refused.succeeded && refused.out.starts_with(why), "{refused:?}");

    // What is moving stops, and what has moved stays.
    let cancelled = cluster.tell_words(tool, &format!("--cancel --reassignment-json-file {moves}"));
    assert!(cancelled.starts_with("Successfully cancelled partition reassignment"), "{cancelled}");
    let cleared = "Clearing broker-level throttles on brokers 1,2,3\nClearing topic-level throttles on topic t\n";
    let end = format!("None of the specified partition moves are active.{cleared}");
    assert!(cancelled.ends_with(&end), "{cancelled}");
    assert_eq!(cluster.tell_words(tool, "--list"), "No partition reassignments found.\n");
    assert!(!cluster.tell_words("configs", throttles).contains("throttled"));

    // Without a throttle it comes to its end.
    cluster.tell_words(tool, &execute);
    let verify = format!("--verify --reassignment-json-file {moves}");
    let verified = until(|| {
        let said = cluster.tell_words(tool, &verify);
        if said.contains("still in progress") { Err(said) } else { Ok(said) }
    });
    assert_eq!(
        verified,
        format!(
            "Status of partition reassignment:\nReassignment of partition t-0 is completed.\n\
             Reassignment of partition t-1 is completed.\n\n{cleared}"
        )
    );

    let unknown = file("unknown.json", r#"{"partitions":[{"topic":"t","partition":7,"replicas":[1]}]}"#);
    let told = cluster.run_words(tool, &format!("--execute --reassignment-json-file {unknown}"));
    let why = "Error: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Unable to find partition: t-7\n";
    assert_eq!((told.succeeded, told.out.as_str()), (false, why));
    let nobody = file("nobody.json", r#"{"partitions":[{"topic":"t","partition":0,"replicas":[9]}]}"#);
    let told = cluster.run_words(tool, &format!("--execute --reassignment-json-file {nobody}"));
    assert_eq!((told.succeeded, told.out.as_str()), (false, "Error: Unknown broker id 9\n"));
}

#[test]
fn levels_of_features_are_told_and_changed_as_with_kafkas_tool() {
    let temp = tempfile::tempdir().unwrap();
    let server = Place::start(&["server", "--port", "0", "--ephemeral"], temp.path());
    let tool = "features";
    let level = |feature: &str| {
        let table = server.tell_words(tool, "describe --node-id 1");
        assert_eq!(table, server.tell_words(tool, "describe"));
        let row = table.lines().find(|row| row.starts_with(&format!("Feature: {feature} "))).unwrap().to_owned();
        let at = row.find("FinalizedVersionLevel: ").unwrap() + "FinalizedVersionLevel: ".len();
        row[at..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!((level("metadata.version"), level("group.version")), ("4.3-IV0".to_owned(), "1".to_owned()));
    let would = server.tell_words(tool, "downgrade --feature group.version=0 --dry-run");
    assert_eq!(would, "group.version can be downgraded to 0.\n");
    assert_eq!(level("group.version"), "1");
    assert_eq!(server.tell_words(tool, "disable --feature group.version"), "group.version was disabled.\n");
    assert_eq!(level("group.version"), "0");
    assert_eq!(server.tell_words(tool, "upgrade --feature group.version=1"), "group.version was upgraded to 1.\n");
    assert_eq!(level("group.version"), "1");
    let said = server.run_words(tool, "upgrade --feature group.version=9");
    assert!(!said.succeeded && said.out.starts_with("Could not upgrade group.version to 9. "), "{said:?}");
    assert_eq!(said.err, "1 out of 1 operation(s) failed.\n");
    let said = server.run_words(tool, "upgrade");
    assert_eq!((said.succeeded, said.err.as_str()), (false, "You must specify at least one feature to upgrade\n"));
}
