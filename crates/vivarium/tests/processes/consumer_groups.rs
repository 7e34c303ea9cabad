//! Consumer groups by the tools that people use: a group reads, is looked at, is moved and goes.

use std::path::Path;

use rustix::process::Signal;

use crate::running::{Place, run, until};

const TOOL: &str = "consumer-groups";

fn start(temp: &Path) -> Place {
    let settings = ["--set", "offsets.topic.num.partitions=1", "--set", "group.initial.rebalance.delay.ms=0"];
    let server = ["server", "--ephemeral", "--port", "0", "--stop-at-end-of-input"];
    Place::start(&[&server[..], &settings].concat(), temp)
}

impl Place {
    /// What the tool under test says on stdout when all is well.
    fn groups(&self, arguments: &[&str]) -> String {
        self.tell(TOOL, arguments, b"")
    }

    /// Asks until the answer is right.
    fn groups_until(&self, arguments: &[&str], is_right: impl Fn(&str) -> bool) -> String {
        until(|| {
            let said = self.groups(arguments);
            if is_right(&said) { Ok(said) } else { Err(format!("{arguments:?}: {said}")) }
        })
    }

    fn create(&self, topic: &str, partitions: &str) {
        self.tell("topics", &["--create", "--topic", topic, "--partitions", partitions], b"");
    }

    fn produce(&self, lines: &str) {
        let arguments =
            ["--topic", "orders", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"];
        self.tell("console-producer", &arguments, lines.as_bytes());
    }

    /// The values that the group reads next, in order of letters.
    fn consume(&self, count: &str) -> Vec<String> {
        let arguments = ["--topic", "orders", "--group", "g", "--from-beginning", "--timeout-ms", "60000"];
        let said = self.run("console-consumer", &[&arguments[..], &["--max-messages", count]].concat(), b"");
        assert!(said.succeeded && said.err.contains(&format!("Processed a total of {count} messages")), "{said:?}");
        let mut values: Vec<String> = said.out.lines().map(str::to_owned).collect();
        values.sort();
        values
    }

    /// Committed offset, end and lag of each partition.
    fn positions(&self, group: &str) -> Vec<Vec<String>> {
        let said = self.groups(&["--describe", "--group", group]);
        rows(&said, group).map(|row| row[3..6].iter().map(|it| (*it).to_owned()).collect()).collect()
    }

    fn lag(&self, group: &str) -> i64 {
        self.positions(group).iter().map(|it| it[2].parse::<i64>().unwrap()).sum()
    }

    /// The new offsets that a reset shows.
    fn reset(&self, how: &[&str]) -> Vec<i64> {
        let said = self.groups(&[&["--reset-offsets", "--group", "g"], how].concat());
        rows(&said, "g").map(|row| row[3].parse().unwrap()).collect()
    }
}

fn rows<'a>(said: &'a str, group: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    said.lines().map(|it| it.split_whitespace().collect::<Vec<_>>()).filter(move |it| it.first() == Some(&group))
}

#[test]
fn a_group_reads_is_moved_and_goes() {
    let temp = tempfile::tempdir().unwrap();
    let place = start(temp.path());
    place.create("orders", "2");
    let lines: String = (0..10).map(|it| format!("key {it}:value {it}\n")).collect();
    place.produce(&lines);
    let values: Vec<String> = (0..10).map(|it| format!("value {it}")).collect();
    assert_eq!(place.consume("10"), values);

    assert_eq!(place.groups(&["--list"]), "g\n");
    let listed = place.groups(&["--list", "--state", "--type"]);
    assert_eq!(rows(&listed, "GROUP").next().unwrap(), ["GROUP", "TYPE", "STATE"]);
    assert_eq!(rows(&listed, "g").next().unwrap(), ["g", "Classic", "Empty"]);
    assert_eq!(rows(&place.groups(&["--list", "--state", "stable"]), "g").count(), 0);
    assert_eq!(rows(&place.groups(&["--list", "--type", "consumer"]), "g").count(), 0);

    let described = place.run(TOOL, &["--describe", "--group", "g"], b"");
    assert_eq!(described.err, "\nConsumer group 'g' has no active members.\n");
    let head = "\nGROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     \
                HOST            CLIENT-ID\n";
    assert!(described.out.starts_with(head), "{}", described.out);
    let members = place.groups(&["--describe", "--group", "g", "--members"]);
    let heads = ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS"];
    assert!(members.split_whitespace().eq(heads), "{members}");
    let ends: Vec<i64> = place.positions("g").iter().map(|it| it[1].parse().unwrap()).collect();
    assert_eq!((ends.len(), ends.iter().sum::<i64>(), place.lag("g")), (2, 10, 0));
    place.produce("key 0:more\n");
    assert_eq!(place.lag("g"), 1);
    let state = place.groups(&["--describe", "--all-groups", "--state"]);
    assert_eq!(rows(&state, "g").next().unwrap()[1..], [place.addresses.as_str(), "(1)", "-", "Empty", "0"], "{state}");

    moves(&place, &ends);

    let said = place.groups(&["--delete-offsets", "--group", "g", "--topic", "orders:0", "--topic", "nothing"]);
    assert!(said.starts_with("Request succeeded for deleting offsets from group g.\n\nTOPIC "), "{said}");
    assert!(rows(&said, "orders").eq([["orders", "0", "Successful"]]), "{said}");
    assert!(said.contains("UnknownTopicOrPartitionException"), "{said}");
    assert_eq!(place.positions("g").len(), 1);
    let said = place.groups(&["--delete", "--group", "g"]);
    assert_eq!(said, "Deletion of requested consumer groups ('g') was successful.\n");
    assert_eq!(place.groups(&["--list"]), "");
    let said = place.groups(&["--delete", "--group", "g"]);
    assert!(
        said.contains("* Group 'g' could not be deleted due to: org.apache.kafka.common.errors.GroupIdNotFound"),
        "{said}"
    );
    let said = place.groups(&["--describe", "--group", "g"]);
    let why = "\nError: Executing consumer group command failed due to org.apache.kafka.common.errors.GroupIdNotFoundException: ";
    assert!(said.starts_with(why), "{said}");
}

/// Every way to say where the group goes on.
fn moves(place: &Place, ends: &[i64]) {
    let before = place.positions("g");
    let all = ["--topic", "orders"];
    let dry = place.run(TOOL, &["--reset-offsets", "--group", "g", "--topic", "orders", "--to-earliest"], b"");
    assert!(dry.err.starts_with("WARN: No action will be performed as the --execute option is missing."), "{dry:?}");
    assert!(dry.out.starts_with("\nGROUP           TOPIC           PARTITION  NEW-OFFSET\n"), "{dry:?}");
    assert_eq!(place.reset(&["--dry-run", "--to-earliest", "--topic", "orders"]), [0, 0]);
    assert_eq!(place.positions("g"), before, "nothing was done");
    assert_eq!(place.reset(&[&["--dry-run", "--to-current"], &all[..]].concat()), ends);
    assert_eq!(place.reset(&["--dry-run", "--to-latest", "--all-topics"]).iter().sum::<i64>(), 11);
    assert_eq!(place.reset(&["--dry-run", "--to-offset", "1", "--topic", "orders:1"]), [1]);
    assert_eq!(place.reset(&["--dry-run", "--by-duration", "PT1H", "--topic", "orders"]), [0, 0]);
    let far =
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-datetime", "2999-01-01T00:00:00.000", "--all-topics"];
    let said = place.groups(&far);
    assert!(
        said.contains("Warn: Partition 1 from topic orders is empty. Falling back to latest known offset."),
        "{said}"
    );
    let beyond = ["--reset-offsets", "--group", "g", "--dry-run", "--shift-by", "-1000", "--all-topics"];
    let said = place.run(TOOL, &beyond, b"");
    assert!(
        said.err.contains(" is lower than earliest offset for topic partition orders-0. Value will be set to 0"),
        "{said:?}"
    );

    // What was exported before the group moved brings it back.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.csv");
    let plan =
        place.groups(&["--reset-offsets", "--group", "g", "--dry-run", "--to-current", "--all-topics", "--export"]);
    assert_eq!(plan, format!("orders,0,{}\norders,1,{}\n\n", ends[0], ends[1]));
    std::fs::write(&file, plan).unwrap();
    assert_eq!(place.reset(&["--execute", "--shift-by", "-1", "--topic", "orders"]), [ends[0] - 1, ends[1] - 1]);
    assert_eq!(place.lag("g"), 3);
    let read = place.consume("3");
    assert!(read.contains(&"more".to_owned()), "{read:?}");
    assert_eq!(place.lag("g"), 0);
    assert_eq!(place.reset(&["--execute", "--from-file", file.to_str().unwrap()]), ends);
    assert_eq!(place.positions("g"), before);

    let missing = place.groups(&["--reset-offsets", "--group", "g", "--dry-run", "--to-latest", "--topic", "orders:7"]);
    assert!(missing.contains("failed due to The partitions \"orders-7\" do not exist"), "{missing}");
    for (how, why) in [
        (&["--to-latest", "--to-earliest", "--all-topics"][..], "Option \"[to-earliest]\" can't be used with option"),
        (&["--to-latest"][..], "One of the reset scopes should be defined: --all-topics, --topic."),
        (&["--all-topics"][..], "Option '[reset-offsets]' requires one of the following scenarios"),
        (&["--shift-by", "1", "--topic", "orders", "--execute"][..], "Option [reset-offsets] only accepts one of"),
    ] {
        let said = place.run(TOOL, &[&["--reset-offsets", "--group", "g", "--dry-run"], how].concat(), b"");
        assert!(!said.succeeded && said.err.starts_with(why) && said.out.is_empty(), "{said:?}");
    }
}

#[test]
fn a_group_that_somebody_is_in_shows_who_and_stays() {
    let temp = tempfile::tempdir().unwrap();
    let place = start(temp.path());
    place.create("orders", "2");
    place.produce("key 0:a\nkey 1:b\nkey 2:c\n");
    for protocol in ["classic", "consumer"] {
        let setting = format!("group.protocol={protocol}");
        let arguments = ["--topic", "orders", "--group", protocol, "--from-beginning", "--command-property", &setting];
        let mut consumer = place.begin("console-consumer", &arguments);
        let mut read: Vec<String> = consumer.out.by_ref().take(3).collect();
        read.sort();
        assert_eq!(read, ["a\n", "b\n", "c\n"]);
        let has_come = |said: &str| {
            let row = rows(said, protocol).next().unwrap_or_default();
            let is_there = row.get(2..7).is_some_and(|it| [it[0], it[2], it[4]] == ["/127.0.0.1", "2", "orders:0,1"]);
            is_there && if protocol == "classic" { row[7..] == ["-", "-"] } else { row[5..7] == row[7..] }
        };
        place.groups_until(&["--describe", "--group", protocol, "--members", "--verbose"], has_come);
        let state = place.groups_until(&["--describe", "--group", protocol, "--state"], |said| said.contains("Stable"));
        let assignor = if protocol == "classic" { "range" } else { "uniform" };
        assert_eq!(rows(&state, protocol).next().unwrap()[3..], [assignor, "Stable", "1"], "{state}");
        let said = place.groups(&["--describe", "--group", protocol]);
        assert!(rows(&said, protocol).all(|row| row[7] == "/127.0.0.1"), "{said}");
        let reset =
            place.groups(&["--reset-offsets", "--group", protocol, "--to-latest", "--topic", "orders", "--execute"]);
        let why = format!(
            "Assignments can only be reset if the group '{protocol}' is inactive, but the current state is Stable."
        );
        assert!(reset.contains(&why), "{reset}");
        let said = place.groups(&["--delete", "--group", protocol]);
        assert!(
            said.contains("could not be deleted due to: org.apache.kafka.common.errors.GroupNotEmptyException"),
            "{said}"
        );
        let said = place.groups(&["--delete-offsets", "--group", protocol, "--topic", "orders"]);
        assert!(
            said.contains("Error: Encountered some partition-level error") && said.contains("GroupSubscribedToTopic"),
            "{said}"
        );
        // Asked to end it says goodbye, and commits what it read.
        consumer.send(Signal::INT);
        consumer.end();
        place.groups_until(&["--describe", "--group", protocol, "--state"], |said| said.contains("Empty"));
        assert_eq!(place.lag(protocol), 0);
    }
}

/// With a group of its own making, or with one that is named, and by either protocol.
#[test]
fn topics_that_match_are_read_also_when_they_come_later() {
    let temp = tempfile::tempdir().unwrap();
    let place = start(temp.path());
    let begin = |topic: &str, value: &str| {
        place.create(topic, "1");
        place.tell("console-producer", &["--topic", topic], value.as_bytes());
    };
    for (topic, value) in [("orders-eu", "a"), ("orders", "not meant"), ("all-orders-eu", "neither")] {
        begin(topic, value);
    }
    for (later, more) in [
        ("orders-us", &[][..]),
        ("orders-asia", &["--group", "named"][..]),
        ("orders-africa", &["--command-property", "group.protocol=consumer"][..]),
    ] {
        let topics = place.tell("topics", &["--list"], b"");
        let before = topics.lines().filter(|it| it.starts_with("orders-")).count();
        let arguments = ["--include", "orders-.*", "--from-beginning", "--command-property", "metadata.max.age.ms=100"];
        let mut consumer = place.begin("console-consumer", &[&arguments[..], more].concat());
        let mut read: Vec<String> = consumer.out.by_ref().take(before).collect();
        read.sort();
        assert_eq!(read[0], "a\n", "{read:?}");
        assert!(read[1..].iter().all(|it| it.starts_with("to orders-")), "{read:?}");
        begin(later, &format!("to {later}"));
        // Who commits nothing and gives all up to join again begins again, as with Kafka's tool.
        assert!(consumer.out.any(|it| it == format!("to {later}\n")), "{}", consumer.err.until_now());
        let groups = place.groups(&["--list"]);
        let is_own =
            |it: &&str| if more.contains(&"--group") { *it == "named" } else { it.starts_with("console-consumer-") };
        let group = groups.lines().find(is_own).unwrap();
        if more.is_empty() {
            let positions = place.positions(group);
            assert!(
                !positions.is_empty() && positions.iter().all(|it| it[0] == "-"),
                "it commits nothing: {positions:?}"
            );
        }
    }
    let said = place.run("console-consumer", &["--include", "orders-("], b"");
    assert!(!said.succeeded && said.err.starts_with("ERROR Unknown error when running consumer: "), "{said:?}");
}

#[test]
fn patterns_are_checked_without_a_cluster() {
    let check = |pattern: &str| run(&[TOOL, "--validate-regex", pattern], b"").out;
    assert_eq!(check("orders.*"), "The regular expression `orders.*` is valid.\n");
    assert_eq!(check("("), "The regular expression `(` is invalid: unclosed group.\n");
}
