//! `cargo xtask codegen`: from Kafka's published definitions to `crates/protocol/src/generated`.
//!
//! Needs a JDK and Maven, once a Kafka release; what it writes is committed.

mod broker;
mod emit;
mod kafka;
mod schema;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use schema::Message;

/// The Apache Kafka release whose protocol is spoken.
const VERSION: &str = "4.3.1";

/// Runs the command with what stands behind its name:
///
/// - nothing: fetches Kafka's jars and rewrites the generated code;
/// - `--jars DIR`: takes the jars from there;
/// - `--broker HOST:PORT`: records what a running Apache Kafka says in answer to ApiVersions, from which the next run
///   makes a table.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let generated = generated();
    match args {
        [] => generate(&kafka::fetch(VERSION)?, &generated),
        [flag, folder] if flag == "--jars" => generate(Path::new(folder), &generated),
        [flag, address] if flag == "--broker" => write(&recorded(&generated), &broker::record(address, VERSION)?),
        _ => Err("usage: cargo xtask codegen [--jars DIR | --broker HOST:PORT]".to_owned()),
    }
}

fn generated() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/protocol/src/generated")
}

/// The recorded answer of a broker.
fn recorded(generated: &Path) -> PathBuf {
    generated.join(format!("kafka-{VERSION}-api-versions.txt"))
}

fn generate(jars: &Path, generated: &Path) -> Result<(), String> {
    let messages = messages(jars)?;
    let mut files: Vec<(String, String)> = Vec::new();
    for message in &messages {
        let source = format!("{}.json of {} {VERSION}", message.name, message.jar);
        files.push((emit::snake(&message.name), emit::message(message, &source)?));
    }
    let title = |doc: &str, code: String| {
        format!("//! {doc}\n\n{}\n\n{code}", emit::header(&format!("the messages of Apache Kafka {VERSION}")))
    };
    files.push(("api".to_owned(), title("The APIs: their keys, requests and responses.", tables::apis(&messages)?)));
    files.push(("metadata_record".to_owned(), title("Records of the metadata log.", tables::metadata(&messages))));
    files.push((
        "coordinator".to_owned(),
        title("Keys and values of the coordinators' logs.", tables::coordinators(&messages)?),
    ));
    let answer = recorded(generated);
    let answer = fs::read_to_string(&answer).map_err(|error| format!("{}: {error}", answer.display()))?;
    files.push(("advertised".to_owned(), title("What a broker advertises.", tables::advertised(&messages, &answer)?)));
    files.push(("error_code".to_owned(), kafka::error_codes(jars, VERSION)?));
    files.push(("mod".to_owned(), tables::module(&messages)));

    let mut paths = Vec::new();
    for (name, code) in files {
        let path = generated.join(format!("{name}.rs"));
        write(&path, &code)?;
        paths.push(path);
    }
    remove_stale(generated, &paths)?;
    // `mod.rs` leads rustfmt to every other file.
    let status = Command::new("rustfmt").args(["--edition", "2024"]).arg(generated.join("mod.rs")).status();
    match status.map_err(|error| format!("rustfmt: {error}"))? {
        status if status.success() => {
            println!("{} messages in {}", messages.len(), generated.display());
            Ok(())
        }
        status => Err(format!("rustfmt: {status}")),
    }
}

/// Every definition that still has versions, by name.
fn messages(jars: &Path) -> Result<Vec<Message>, String> {
    let mut messages = Vec::new();
    for (jar, text) in kafka::definitions(jars, VERSION)? {
        let message = schema::parse(&text, &jar)?;
        if !message.versions.is_empty() {
            messages.push(message);
        }
    }
    messages.sort_by(|a, b| a.name.cmp(&b.name));
    match messages.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(format!("two definitions of {}", pair[0].name)),
        None => Ok(messages),
    }
}

fn remove_stale(folder: &Path, fresh: &[PathBuf]) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|it| it == "rs") && !fresh.contains(&path) {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
