//! Kafka's own console tools: the Java client.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::{Client, Place, feed};
use crate::lab::Broker;
use crate::{oracle, process};

pub(super) const CLIENT: Client = Client {
    name: "kafka-tools",
    set_up: || oracle::jars().map(drop),
    cases: &[
        ("kafka-topics creates, describes and deletes", topics),
        ("kafka-console-consumer reads what kafka-console-producer wrote", console),
        ("kafka-configs changes a topic", configs),
        ("kafka-get-offsets knows the ends", offsets),
        ("kafka-console-consumer reads in a group, and kafka-consumer-groups sees and moves it", groups),
        (
            "kafka-console-consumer reads in a group of the consumer protocol, and the tools see and set it",
            consumer_groups,
        ),
        ("kafka-dump-log reads what the coordinator wrote", dumped),
    ],
};

/// Runs a tool against the broker and returns what it printed.
fn tool(place: &Place, script: &str, args: &[&str]) -> Result<String> {
    process::output(oracle::tool(script)?.args(["--bootstrap-server", &place.broker]).args(args))
}

fn create(place: &Place, topic: &str, partitions: &str) -> Result<()> {
    let args = ["--create", "--topic", topic, "--partitions", partitions, "--replication-factor", "1"];
    let said = tool(place, "kafka-topics", &args)?;
    ensure!(said.trim() == format!("Created topic {topic}."), "{said}");
    Ok(())
}

fn produce(place: &Place, topic: &str, text: &str) -> Result<()> {
    let mut command = oracle::tool("kafka-console-producer")?;
    command.args(["--bootstrap-server", &place.broker, "--topic", topic, "--reader-property", "parse.key=true"]);
    feed(command.args(["--reader-property", "key.separator=:"]), text)
}

fn topics(place: &Place) -> Result<()> {
    create(place, "tools-topics", "3")?;
    let said = tool(place, "kafka-topics", &["--describe", "--topic", "tools-topics"])?;
    ensure!(said.contains("PartitionCount: 3\tReplicationFactor: 1"), "{said}");
    ensure!(said.matches("Leader: 1\tReplicas: 1\tIsr: 1").count() == 3, "{said}");
    tool(place, "kafka-topics", &["--delete", "--topic", "tools-topics"])?;
    let left = tool(place, "kafka-topics", &["--list"])?;
    ensure!(!left.lines().any(|it| it == "tools-topics"), "still listed:\n{left}");
    Ok(())
}

fn console(place: &Place) -> Result<()> {
    create(place, "tools-console", "1")?;
    let written: String = (0..500).map(|it| format!("key {it}:value {it}\n")).collect();
    produce(place, "tools-console", &written)?;
    let args = [
        "--topic",
        "tools-console",
        "--partition",
        "0",
        "--offset",
        "earliest",
        "--max-messages",
        "500",
        "--timeout-ms",
        "60000",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        "key.separator=:",
    ];
    let read = tool(place, "kafka-console-consumer", &args)?;
    ensure!(read == written, "{} bytes were written, {} read", written.len(), read.len());
    Ok(())
}

fn configs(place: &Place) -> Result<()> {
    create(place, "tools-configs", "1")?;
    let entity = ["--entity-type", "topics", "--entity-name", "tools-configs"];
    tool(place, "kafka-configs", &[&["--alter", "--add-config", "retention.ms=12345"][..], &entity].concat())?;
    let said = tool(place, "kafka-configs", &[&["--describe"][..], &entity].concat())?;
    ensure!(said.contains("retention.ms=12345"), "{said}");
    tool(place, "kafka-configs", &[&["--alter", "--delete-config", "retention.ms"][..], &entity].concat())?;
    let said = tool(place, "kafka-configs", &[&["--describe"][..], &entity].concat())?;
    ensure!(!said.contains("retention.ms=12345"), "{said}");
    Ok(())
}

fn offsets(place: &Place) -> Result<()> {
    create(place, "tools-offsets", "2")?;
    produce(place, "tools-offsets", "a:1\nb:2\nc:3\nd:4\n")?;
    let said = tool(place, "kafka-get-offsets", &["--topic", "tools-offsets"])?;
    let ends: Vec<u32> = said.lines().filter_map(|it| it.rsplit(':').next()?.parse().ok()).collect();
    ensure!(ends.len() == 2 && ends.iter().sum::<u32>() == 4, "{said}");
    Ok(())
}

fn groups(place: &Place) -> Result<()> {
    create(place, "tools-groups", "2")?;
    let written: String = (0..200).map(|it| format!("key {it}:value {it}\n")).collect();
    produce(place, "tools-groups", &written)?;
    let consume = |count: &str| {
        let topic = ["--topic", "tools-groups", "--group", "tools", "--from-beginning", "--timeout-ms", "60000"];
        tool(place, "kafka-console-consumer", &[&topic[..], &["--max-messages", count]].concat())
    };
    let read = consume("200")?;
    let mut values: Vec<&str> = read.lines().collect();
    values.sort_by_key(|it| it.trim_start_matches("value ").parse::<u32>().unwrap_or(u32::MAX));
    let expected: Vec<String> = (0..200).map(|it| format!("value {it}")).collect();
    ensure!(values == expected, "{} records were read", values.len());
    let group = ["--group", "tools"];
    let tell = |args: &[&str]| tool(place, "kafka-consumer-groups", &[args, &group[..]].concat());
    let lag = |said: &str| -> i64 {
        let lines = said.lines().filter(|it| it.starts_with("tools "));
        lines.filter_map(|it| it.split_whitespace().nth(5)?.parse::<i64>().ok()).sum()
    };
    let said = tell(&["--describe"])?;
    ensure!(said.matches("tools-groups").count() == 2 && lag(&said) == 0, "{said}");
    let said = tell(&["--describe", "--state"])?;
    ensure!(said.contains("Empty"), "{said}");
    let topic = ["--reset-offsets", "--topic", "tools-groups"];
    tell(&[&topic[..], &["--shift-by", "-10", "--execute"]].concat())?;
    let said = tell(&["--describe"])?;
    ensure!(lag(&said) == 20, "after a shift by -10:\n{said}");
    let read = consume("20")?;
    ensure!(read.lines().count() == 20, "{read}");
    let listed = tool(place, "kafka-consumer-groups", &["--list"])?;
    ensure!(listed.lines().any(|it| it == "tools"), "{listed}");
    tell(&["--delete-offsets", "--topic", "tools-groups"])?;
    tell(&["--delete"])?;
    let listed = tool(place, "kafka-consumer-groups", &["--list"])?;
    ensure!(!listed.lines().any(|it| it == "tools"), "still listed:\n{listed}");
    Ok(())
}

/// A group of the consumer protocol (KIP-848), while somebody is in it and after.
fn consumer_groups(place: &Place) -> Result<()> {
    create(place, "tools-consumers", "2")?;
    produce(place, "tools-consumers", &(0..100).map(|it| format!("key {it}:value {it}\n")).collect::<String>())?;
    let entity = ["--entity-type", "groups", "--entity-name", "tools-848"];
    let set = ["--alter", "--add-config", "consumer.session.timeout.ms=50000"];
    tool(place, "kafka-configs", &[&set[..], &entity[..]].concat())?;
    let said = tool(place, "kafka-configs", &[&["--describe"], &entity[..]].concat())?;
    ensure!(said.contains("consumer.session.timeout.ms=50000"), "{said}");
    let mut command = oracle::tool("kafka-console-consumer")?;
    command.args(["--bootstrap-server", &place.broker, "--topic", "tools-consumers", "--group", "tools-848"]);
    command.args(["--consumer-property", "group.protocol=consumer", "--from-beginning"]);
    let mut consumer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let checked = while_consumed(place);
    consumer.kill()?;
    consumer.wait()?;
    checked
}

/// What the tools say of a group that somebody is in.
fn while_consumed(place: &Place) -> Result<()> {
    let tell = |args: &[&str]| tool(place, "kafka-consumer-groups", &[args, &["--group", "tools-848"]].concat());
    let mut said = String::new();
    // Each question takes a second or more.
    for _ in 0..30 {
        said = tell(&["--describe"]).unwrap_or_default();
        if said.lines().filter(|it| it.split_whitespace().nth(5) == Some("0")).count() == 2 {
            break;
        }
    }
    ensure!(said.matches("console-consumer").count() == 2, "nobody has read all:\n{said}");
    let said = tell(&["--describe", "--members", "--verbose"])?;
    ensure!(said.contains("tools-consumers:0,1") || said.contains("tools-consumers(0,1)"), "{said}");
    let said = tell(&["--describe", "--state"])?;
    ensure!(said.contains("Stable") && said.contains("uniform"), "{said}");
    let listed = tool(place, "kafka-consumer-groups", &["--list", "--type", "consumer", "--state", "stable"])?;
    ensure!(listed.contains("tools-848"), "{listed}");
    Ok(())
}

/// Offsets and groups as another Kafka's tool decodes them from the files.
fn dumped(place: &Place) -> Result<()> {
    let data = place.folder.join("dumped");
    let mut command = Command::new(&place.binary);
    let one = ["--port", "0", "--set", "offsets.topic.num.partitions=1"];
    let broker = Broker::spawn(command.arg("server").arg("--data").arg(&data).args(one))?;
    let own = Place { broker: broker.address.clone(), binary: place.binary.clone(), folder: place.folder.clone() };
    create(&own, "dumped", "1")?;
    produce(&own, "dumped", "a:1\nb:2\n")?;
    let topic = ["--topic", "dumped", "--group", "dumped", "--from-beginning", "--timeout-ms", "60000"];
    tool(&own, "kafka-console-consumer", &[&topic[..], &["--max-messages", "2"]].concat())?;
    drop(broker);
    let file = data.join("__consumer_offsets-0/00000000000000000000.log");
    let mut command = oracle::tool("kafka-dump-log")?;
    let said = process::output(command.args(["--offsets-decoder", "--files"]).arg(file))?;
    for expected in [
        r#"key: {"type":"1","data":{"group":"dumped","topic":"dumped","partition":0}} payload: {"version":"4","data":{"offset":2,"#,
        r#""protocolType":"consumer","generation":1,"protocol":"range""#,
        r#""assignment":{"assignedPartitions":[{"topic":"dumped","partitions":[0]}]"#,
    ] {
        ensure!(said.contains(expected), "no {expected} in\n{said}");
    }
    Ok(())
}
