//! Kafka's own console tools: the Java client.

use anyhow::{Result, ensure};

use super::{Client, Place, feed};
use crate::{oracle, process};

pub(super) const CLIENT: Client = Client {
    name: "kafka-tools",
    set_up: || oracle::jars().map(drop),
    cases: &[
        ("kafka-topics creates, describes and deletes", topics),
        ("kafka-console-consumer reads what kafka-console-producer wrote", console),
        ("kafka-configs changes a topic", configs),
        ("kafka-get-offsets knows the ends", offsets),
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
        "20000",
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
