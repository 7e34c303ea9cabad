//! confluent-kafka: librdkafka from Python, its newest release.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Client, Place};
use crate::{apt, paths, process};

const PACKAGE: &str = "confluent-kafka==2.16.1";
const PROGRAM: &str = include_str!("confluent.py");

pub(super) const CLIENT: Client = Client {
    name: "confluent-kafka",
    set_up,
    cases: &[
        ("creates, describes and deletes topics", |it| run(it, "topics")),
        ("produces with idempotence and reads everything back", |it| run(it, "round_trip")),
        ("finds offsets by time", |it| run(it, "offsets_by_time")),
        ("is told Kafka's errors", |it| run(it, "errors")),
        ("is told at once that there are no transactions", |it| run(it, "transactions")),
        ("shares a topic between the members of a group", |it| run(it, "group")),
        ("shares a topic in a group of the consumer protocol", |it| run(it, "consumer_group")),
    ],
};

pub(crate) fn python() -> Result<PathBuf> {
    Ok(paths::cache("python")?.join("bin/python"))
}

/// Makes an environment in the cache that has the package.
pub(crate) fn set_up() -> Result<()> {
    let import = || process::output(Command::new(python()?).args(["-c", "import confluent_kafka"]));
    if import().is_ok() {
        return Ok(());
    }
    environment()?;
    process::step(&format!("installing {PACKAGE} with pip, for testing with real clients"), || {
        process::output(Command::new(python()?).args(["-m", "pip", "install", "--quiet", PACKAGE]))
    })?;
    import().context("use confluent-kafka").map(drop)
}

/// Python with pip, in the cache.
pub(crate) fn environment() -> Result<PathBuf> {
    if process::output(Command::new(python()?).args(["-m", "pip", "--version"])).is_err() {
        let make = || {
            let folder = paths::cache("python")?;
            process::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))
        };
        if paths::which("python3").is_none() || make().is_err() {
            apt::install(&["python3", "python3-venv"], "testing with real clients")?;
            make()?;
        }
    }
    python()
}

/// Calls one function of the program.
fn run(place: &Place, case: &str) -> Result<()> {
    let program = place.folder.join("confluent.py");
    fs::write(&program, PROGRAM)?;
    process::output(Command::new(python()?).arg(program).args([&place.broker, case])).map(drop)
}
