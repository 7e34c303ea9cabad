//! Apache Kafka's jars: where they come from, and what is read out of them.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::emit::header;

/// The jars that hold definitions. `kafka-streams` has some too, of a protocol between its own instances.
const JARS: [&str; 7] = [
    "kafka-clients",
    "kafka-group-coordinator",
    "kafka-metadata",
    "kafka-raft",
    "kafka-share-coordinator",
    "kafka-storage",
    "kafka-transaction-coordinator",
];

/// What `kafka-clients` needs to name its errors.
const LOGGING: (&str, &str) = ("slf4j-api", "2.0.17");

/// Copies the jars from Maven's repository to a folder outside the clone.
pub(super) fn fetch(version: &str) -> Result<PathBuf, String> {
    let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => Path::new(&home).join(".cache"),
        (None, None) => return Err("neither XDG_CACHE_HOME nor HOME is set".to_owned()),
    };
    let folder = cache.join("vivarium").join(format!("kafka-{version}-definitions"));
    let kafka = JARS.iter().map(|jar| (format!("{jar}-{version}.jar"), format!("org.apache.kafka:{jar}:{version}")));
    let (name, logging_version) = LOGGING;
    let logging = (format!("{name}-{logging_version}.jar"), format!("org.slf4j:{name}:{logging_version}"));
    for (file, artifact) in kafka.chain([logging]) {
        if !folder.join(&file).exists() {
            output(
                Command::new("mvn")
                    .args(["-q", "-B", "dependency:copy", &format!("-Dartifact={artifact}")])
                    .arg(format!("-DoutputDirectory={}", folder.display())),
            )?;
        }
    }
    Ok(folder)
}

/// The text of every definition, with the name of its jar.
pub(super) fn definitions(jars: &Path, version: &str) -> Result<Vec<(String, String)>, String> {
    let mut definitions = Vec::new();
    for jar in JARS {
        let file = jars.join(format!("{jar}-{version}.jar"));
        let listing = output(Command::new("unzip").arg("-Z1").arg(&file))?;
        for entry in listing.lines().filter(|entry| is_definition(entry)) {
            definitions.push((jar.to_owned(), output(Command::new("unzip").arg("-p").arg(&file).arg(entry))?));
        }
    }
    Ok(definitions)
}

fn is_definition(entry: &str) -> bool {
    let folder = ["common/message/", "common/metadata/", "message/"].iter().any(|folder| entry.starts_with(folder));
    folder && entry.ends_with(".json")
}

/// `ErrorCode`, from Kafka's own enum.
pub(super) fn error_codes(jars: &Path, version: &str) -> Result<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/codegen/Dump.java");
    let lines = output(Command::new("java").arg("-cp").arg(class_path(jars)?).arg(source))?;
    let mut errors: Vec<(i16, &str, bool, &str)> = Vec::new();
    for line in lines.lines() {
        let [name, code, retriable, message] = line.splitn(4, '\t').collect::<Vec<_>>()[..] else {
            return Err(format!("no error code: {line:?}"));
        };
        errors.push((code.parse().map_err(|_| format!("no code: {line:?}"))?, name, retriable == "true", message));
    }
    errors.sort();

    let mut out = format!(
        "//! Kafka's error codes.\n\n{}\n\nuse std::fmt;\n\n",
        header(&format!("Errors.java of kafka-clients {version}"))
    );
    out.push_str("/// What went wrong, as Kafka says it on the wire.\n");
    out.push_str("#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(i16)]\npub enum ErrorCode {\n");
    for (code, name, _, message) in &errors {
        if !message.is_empty() {
            let _ = writeln!(out, "/// {}", escape_doc(message));
        }
        let _ = writeln!(out, "{}{} = {code},", if *code == 0 { "#[default]\n" } else { "" }, camel(name));
    }
    let _ = writeln!(
        out,
        "}}\n\nimpl ErrorCode {{\n/// Every code, by number.\npub const ALL: [ErrorCode; {}] = [",
        errors.len()
    );
    for (_, name, _, _) in &errors {
        let _ = writeln!(out, "ErrorCode::{},", camel(name));
    }
    out.push_str("];\n\n/// The number on the wire.\npub const fn code(self) -> i16 {\nself as i16\n}\n\n");
    out.push_str("/// The error of a number; as in Kafka, a number that is not known is `UNKNOWN_SERVER_ERROR`.\npub const fn from_code(code: i16) -> ErrorCode {\nmatch code {\n");
    for (code, name, _, _) in &errors {
        let _ = writeln!(out, "{code} => ErrorCode::{},", camel(name));
    }
    out.push_str("_ => ErrorCode::UnknownServerError,\n}\n}\n\n/// Kafka's name, `OFFSET_OUT_OF_RANGE`.\npub const fn name(self) -> &'static str {\nmatch self {\n");
    for (_, name, _, _) in &errors {
        let _ = writeln!(out, "ErrorCode::{} => {name:?},", camel(name));
    }
    out.push_str("}\n}\n\n/// Kafka's words for it, empty for none.\npub const fn message(self) -> &'static str {\nmatch self {\n");
    for (_, name, _, message) in &errors {
        let _ = writeln!(out, "ErrorCode::{} => {message:?},", camel(name));
    }
    out.push_str(
        "}\n}\n\n/// Whether Kafka's clients try again.\npub const fn is_retriable(self) -> bool {\nmatches!(self, ",
    );
    let retriable: Vec<String> =
        errors.iter().filter(|it| it.2).map(|it| format!("ErrorCode::{}", camel(it.1))).collect();
    let _ = writeln!(out, "{})\n}}\n}}\n", retriable.join(" | "));
    out.push_str("impl fmt::Display for ErrorCode {\nfn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {\nf.pad(self.name())\n}\n}\n");
    Ok(out)
}

/// Every jar of the folder: a broker's folder has all that `kafka-clients` needs, ours what [`fetch`] put there.
fn class_path(jars: &Path) -> Result<String, String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(jars).map_err(|error| format!("{}: {error}", jars.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|it| it == "jar") {
            files.push(path.display().to_string());
        }
    }
    files.sort();
    Ok(files.join(":"))
}

/// `OFFSET_OUT_OF_RANGE` to `OffsetOutOfRange`.
fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(1.min(word.len()));
            first.to_uppercase() + &rest.to_lowercase()
        })
        .collect()
}

fn escape_doc(text: &str) -> String {
    text.replace('[', "\\[").replace('<', "\\<")
}

/// A command's standard output; its failure is the error.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{command:?}: {error}"))
}
