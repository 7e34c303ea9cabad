//! `kafka-console-producer.sh`: every line of stdin is a record.

use ordered::Map;

use bytes::Bytes;
use protocol::Str;
use regex_lite::Regex;

use super::args::{Args, Opt, Refusal, Value, pairs};
use super::java::is_true;
use super::{Host, Io, Made, Tool, config_of};
use crate::config::{ClientConfig, bootstrap_servers};
use crate::input::{OpId, Operation, ProducerRecord};
use crate::outbox::{Failure, Outcome};

pub(super) const OPTIONS: &[Opt] = &[
    Opt { name: "batch-size", value: Value::Int, about: "batch.size: bytes of a batch." },
    Opt {
        name: "bootstrap-server",
        value: Value::Text,
        about: "Required: brokers to connect to, host:port,host:port.",
    },
    Opt { name: "command-config", value: Value::Text, about: "A properties file with settings of the producer." },
    Opt {
        name: "command-property",
        value: Value::Text,
        about: "A setting of the producer, key=value. May be repeated.",
    },
    Opt {
        name: "compression-codec",
        value: Value::Maybe,
        about: "none, gzip, snappy, lz4 or zstd; gzip without a value.",
    },
    Opt { name: "line-reader", value: Value::Text, about: "The class that reads lines; only Kafka's own is here." },
    Opt { name: "max-block-ms", value: Value::Long, about: "max.block.ms: how long a record may wait for its topic." },
    Opt { name: "max-memory-bytes", value: Value::Long, about: "buffer.memory: bytes of records that wait." },
    Opt { name: "max-partition-memory-bytes", value: Value::Int, about: "Deprecated for --batch-size." },
    Opt { name: "message-send-max-retries", value: Value::Int, about: "retries of a batch." },
    Opt { name: "metadata-expiry-ms", value: Value::Long, about: "metadata.max.age.ms." },
    Opt { name: "producer-property", value: Value::Text, about: "Deprecated for --command-property." },
    Opt { name: "producer.config", value: Value::Text, about: "Deprecated for --command-config." },
    Opt { name: "property", value: Value::Text, about: "Deprecated for --reader-property." },
    Opt { name: "reader-config", value: Value::Text, about: "A properties file with settings of the line reader." },
    Opt {
        name: "reader-property",
        value: Value::Text,
        about: "A setting of the line reader, such as parse.key=true. May be repeated.",
    },
    Opt { name: "request-required-acks", value: Value::Text, about: "acks: 0, 1 or all." },
    Opt { name: "request-timeout-ms", value: Value::Int, about: "request.timeout.ms." },
    Opt { name: "retry-backoff-ms", value: Value::Long, about: "retry.backoff.ms." },
    Opt { name: "socket-buffer-size", value: Value::Int, about: "send.buffer.bytes." },
    Opt { name: "sync", value: Value::No, about: "Waits for each record before the next." },
    Opt { name: "timeout", value: Value::Long, about: "linger.ms: how long a batch waits for more." },
    Opt { name: "topic", value: Value::Text, about: "Required: where records go." },
];

/// What an option sets if it is given; else what the configuration says; else this tool's default.
const MERGED: [(&str, &str, &str); 10] = [
    ("timeout", "linger.ms", "1000"),
    ("request-required-acks", "acks", "-1"),
    ("request-timeout-ms", "request.timeout.ms", "1500"),
    ("message-send-max-retries", "retries", "3"),
    ("retry-backoff-ms", "retry.backoff.ms", "100"),
    ("max-memory-bytes", "buffer.memory", "33554432"),
    ("batch-size", "batch.size", "16384"),
    ("max-partition-memory-bytes", "batch.size", "16384"),
    ("metadata-expiry-ms", "metadata.max.age.ms", "300000"),
    ("max-block-ms", "max.block.ms", "60000"),
];

/// Records that may wait for their outcome before stdin is left alone for a while.
const MAX_WAITING: usize = 10_000;

/// A run of the tool.
#[derive(Clone, Debug)]
pub(super) struct ConsoleProducer {
    reader: LineReader,
    sync: bool,
    prompt: bool,
    topic: Str,
    /// Records without an outcome, with the sizes that a failure tells.
    waiting: Map<OpId, (Option<usize>, Option<usize>)>,
    ending: Ending,
    /// Printed first: what is deprecated.
    warnings: String,
}

#[derive(Clone, Debug)]
enum Ending {
    /// Lines still come.
    Open,
    /// No more lines; what was sent is waited for, then this is the exit code.
    Flushing(i32),
}

/// Makes records of lines, as Kafka's `LineMessageReader`.
#[derive(Clone, Debug)]
struct LineReader {
    topic: Str,
    parse_key: bool,
    parse_headers: bool,
    ignore_error: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: Regex,
    headers_key_separator: String,
    null_marker: Option<String>,
    line_number: u64,
}

/// A run with these arguments.
pub(super) fn make(args: &[String], host: &mut Host<'_>) -> Result<Made, Refusal> {
    let (tool, config) = ConsoleProducer::parse(args, host)?;
    Ok((Box::new(tool), config))
}

impl ConsoleProducer {
    fn parse(raw: &[String], host: &mut Host<'_>) -> Result<(ConsoleProducer, ClientConfig), Refusal> {
        let args = Args::parse(OPTIONS, raw).map_err(|why| {
            let none = Args::parse(OPTIONS, &[]).map(|it| it.misused(&why));
            none.unwrap_or_else(Refusal::stderr)
        })?;
        args.help_or_version(
            raw.is_empty(),
            "This tool helps to read data from standard input and publish it to Kafka.",
        )?;
        args.require("topic")?;
        for (one, other) in [
            ("command-config", "producer.config"),
            ("command-property", "producer-property"),
            ("reader-property", "property"),
        ] {
            args.either(one, other).map_err(|why| args.misused(&why))?;
        }
        let mut printed = String::new();
        for (old, new) in [
            ("producer-property", "in a future version. Use --command-property instead."),
            ("producer.config", "in a future version. Use --command-config instead."),
            ("property", "in a future version. Use --reader-property instead."),
            ("max-partition-memory-bytes", "in Apache Kafka 5.0. Use --batch-size instead."),
        ] {
            if args.has(old) {
                printed += &format!("Warning: --{old} is deprecated and will be removed {new}\n");
            }
        }
        let servers = args.value("bootstrap-server").map_err(Refusal::stderr)?;
        let Some(servers) = servers.filter(|it| !it.trim().is_empty()) else {
            return Err(args.misused("Error while validating the bootstrap address\n").after(&printed));
        };
        if bootstrap_servers(servers).is_err() {
            let why = "Please provide valid host:port like host1:9091,host2:9092\n ";
            return Err(args.misused(why.trim_end_matches(' ')).after(&printed));
        }
        let parsed = Self::build(&args, servers, host);
        parsed
            .map_err(|why| Refusal::stderr(why).after(&printed))
            .map(|(tool, config)| (ConsoleProducer { warnings: printed, ..tool }, config))
    }

    /// The tool from arguments that are complete. The error is what Kafka's exception says.
    fn build(args: &Args, servers: &str, host: &mut Host<'_>) -> Result<(ConsoleProducer, ClientConfig), String> {
        let topic = args.value("topic")?.unwrap_or_default();
        let mut reader = Vec::new();
        if let Some(file) = args.value("reader-config")? {
            reader = host.properties(file)?;
        }
        reader.extend(pairs(&args.values("reader-property")));
        reader.extend(pairs(&args.values("property")));
        if let Some(class) = args.value("line-reader")?.filter(|it| *it != "org.apache.kafka.tools.LineMessageReader") {
            return Err(format!("java.lang.ClassNotFoundException: {class}"));
        }
        let reader =
            LineReader::new(topic, &reader).map_err(|why| format!("org.apache.kafka.common.KafkaException: {why}"))?;
        let config = config_of(&producer_settings(args, servers, host)?)
            .map_err(|why| format!("org.apache.kafka.common.config.ConfigException: {why}"))?;
        let tool = ConsoleProducer {
            reader,
            sync: args.has("sync"),
            prompt: host.interactive,
            topic: topic.into(),
            waiting: Map::new(),
            ending: Ending::Open,
            warnings: String::new(),
        };
        Ok((tool, config))
    }

    fn want_line(&mut self, io: &mut Io<'_>) {
        let room = if self.sync { self.waiting.is_empty() } else { self.waiting.len() < MAX_WAITING };
        if matches!(self.ending, Ending::Open) && room && !*io.wants_line {
            if self.prompt {
                io.stdout.push(b'>');
            }
            *io.wants_line = true;
        }
    }

    /// No more lines: what was sent is waited for.
    fn end(&mut self, code: i32, io: &mut Io<'_>) {
        self.ending = Ending::Flushing(code);
        io.start(Operation::Flush);
    }
}

impl Tool for ConsoleProducer {
    fn begin(&mut self, io: &mut Io<'_>) {
        io.stdout.extend_from_slice(self.warnings.as_bytes());
        self.want_line(io);
    }

    fn line(&mut self, line: Option<Bytes>, io: &mut Io<'_>) {
        if matches!(self.ending, Ending::Flushing(_)) {
            return;
        }
        match line.map(|it| self.reader.read(&it)) {
            None => self.end(0, io),
            Some(Err(why)) => {
                io.complain(&format!("org.apache.kafka.common.KafkaException: {why}"));
                self.end(1, io);
            }
            Some(Ok(record)) => {
                let sizes = (record.key.as_ref().map(Bytes::len), record.value.as_ref().map(Bytes::len));
                let op = io.start(Operation::Send(record));
                self.waiting.insert(op, sizes);
                self.want_line(io);
            }
        }
    }

    fn outcome(&mut self, op: OpId, outcome: Outcome, io: &mut Io<'_>) {
        let Some((key, value)) = self.waiting.remove(&op) else {
            if let Ending::Flushing(code) = self.ending {
                io.exit = Some(code);
            }
            return;
        };
        if let Outcome::Failed(Failure { message, .. }) | Outcome::Unknown(Failure { message, .. }) = outcome {
            if self.sync {
                io.complain(&message);
                io.exit = Some(1);
                return;
            }
            let size = |it: Option<usize>| it.map_or("null".to_owned(), |it| format!("{it} bytes"));
            io.complain(&format!(
                "ERROR Error when sending message to topic {} with key: {}, value: {} with error: {message}",
                self.topic,
                size(key),
                size(value)
            ));
        }
        self.want_line(io);
    }

    fn interrupt(&mut self, io: &mut Io<'_>) {
        self.line(None, io);
    }

    fn copy(&self) -> Box<dyn Tool> {
        Box::new(self.clone())
    }
}

/// The producer's settings: file, then arguments, then what the tool itself says.
fn producer_settings(args: &Args, servers: &str, host: &mut Host<'_>) -> Result<Vec<(String, String)>, String> {
    let mut settings = Vec::new();
    for option in ["command-config", "producer.config"] {
        if let Some(file) = args.value(option)? {
            settings.extend(host.properties(file)?);
        }
    }
    settings.extend(pairs(&args.values("command-property")));
    settings.extend(pairs(&args.values("producer-property")));
    let codec = match args.value("compression-codec")? {
        Some(codec) if !codec.is_empty() => codec,
        _ if args.has("compression-codec") => "gzip",
        _ => "none",
    };
    if !settings.iter().any(|(key, _)| key == "client.id") {
        settings.push(("client.id".to_owned(), "console-producer".to_owned()));
    }
    settings.push(("bootstrap.servers".to_owned(), servers.to_owned()));
    settings.push(("compression.type".to_owned(), codec.to_owned()));
    for (option, key, default) in MERGED {
        // Numbers are checked as numbers, so that the complaint names the option.
        if option != "request-required-acks" {
            args.long(option)?;
        }
        match args.value(option)? {
            Some(value) => settings.push((key.to_owned(), value.to_owned())),
            None if settings.iter().any(|(it, _)| it == key) => {}
            None => settings.push((key.to_owned(), default.to_owned())),
        }
    }
    Ok(settings)
}

impl LineReader {
    fn new(topic: &str, settings: &[(String, String)]) -> Result<LineReader, String> {
        let value = |key: &str| settings.iter().rev().find(|(it, _)| it == key).map(|(_, value)| value.clone());
        let flag = |key: &str| value(key).is_some_and(|it| is_true(&it));
        let key_separator = value("key.separator").unwrap_or_else(|| "\t".to_owned());
        let delimiter = value("headers.delimiter").unwrap_or_else(|| "\t".to_owned());
        let separator = value("headers.separator").unwrap_or_else(|| ",".to_owned());
        let header_key = value("headers.key.separator").unwrap_or_else(|| ":".to_owned());
        let null_marker = value("null.marker");
        let marker = null_marker.as_ref();
        for (same, one, other) in [
            (delimiter == separator, "headers.delimiter", "headers.separator"),
            (delimiter == header_key, "headers.delimiter", "headers.key.separator"),
            (separator == header_key, "headers.separator", "headers.key.separator"),
            (marker == Some(&key_separator), "null.marker", "key.separator"),
            (marker == Some(&separator), "null.marker", "headers.separator"),
            (marker == Some(&delimiter), "null.marker", "headers.delimiter"),
            (marker == Some(&header_key), "null.marker", "headers.key.separator"),
        ] {
            if same {
                return Err(format!("{one} and {other} may not be equal"));
            }
        }
        Ok(LineReader {
            topic: topic.into(),
            parse_key: flag("parse.key"),
            parse_headers: flag("parse.headers"),
            ignore_error: flag("ignore.error"),
            key_separator,
            headers_delimiter: delimiter,
            headers_separator: Regex::new(&separator).map_err(|it| format!("headers.separator: {it}"))?,
            headers_key_separator: header_key,
            null_marker,
            line_number: 0,
        })
    }

    fn read(&mut self, line: &[u8]) -> Result<ProducerRecord, String> {
        self.line_number += 1;
        let line = String::from_utf8_lossy(line);
        let (headers, rest) =
            self.cut(self.parse_headers, &line, &line, &self.headers_delimiter, "headers delimiter")?;
        let (key, value) = self.cut(self.parse_key, &line, rest, &self.key_separator, "key separator")?;
        let headers = match headers.filter(|it| !self.is_null(it)) {
            Some(headers) => self.headers(headers)?,
            None => Vec::new(),
        };
        Ok(ProducerRecord {
            topic: self.topic.clone(),
            key: key.and_then(|it| self.bytes(it)),
            value: self.bytes(value),
            headers,
            ..ProducerRecord::default()
        })
    }

    /// What is before the demarcation, and what is after it.
    fn cut<'a>(
        &self,
        enabled: bool,
        line: &str,
        rest: &'a str,
        demarcation: &str,
        name: &str,
    ) -> Result<(Option<&'a str>, &'a str), String> {
        if !enabled {
            return Ok((None, rest));
        }
        match rest.split_once(demarcation) {
            Some((before, after)) => Ok((Some(before), after)),
            None if self.ignore_error => Ok((None, rest)),
            None => Err(format!("No {name} found on line number {}: '{line}'", self.line_number)),
        }
    }

    fn headers(&self, headers: &str) -> Result<Vec<(Str, Option<Bytes>)>, String> {
        let mut pairs: Vec<&str> = self.headers_separator.split(headers).collect();
        // Java drops empty strings at the end of a split.
        while pairs.len() > 1 && pairs.last().is_some_and(|it| it.is_empty()) {
            pairs.pop();
        }
        let pair = |pair: &&str| match pair.split_once(&*self.headers_key_separator) {
            Some((key, _)) if self.is_null(key) => {
                Err(format!("Header keys should not be equal to the null marker '{key}' as they can't be null"))
            }
            Some((key, value)) => Ok((Str::from(key), self.bytes(value))),
            None if self.ignore_error => Ok((Str::from(*pair), None)),
            None => Err(format!("No header key separator found in pair '{pair}' on line number {}", self.line_number)),
        };
        pairs.iter().map(pair).collect()
    }

    fn is_null(&self, text: &str) -> bool {
        self.null_marker.as_deref() == Some(text)
    }

    fn bytes(&self, text: &str) -> Option<Bytes> {
        (!self.is_null(text)).then(|| Bytes::copy_from_slice(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(settings: &[&str]) -> LineReader {
        LineReader::new("t", &pairs(settings)).unwrap()
    }

    #[test]
    fn lines_become_records() {
        let record = reader(&["parse.key=true", "parse.headers=true", "null.marker=NULL"])
            .read("a:1,b:NULL\tkey\tNULL".as_bytes())
            .unwrap();
        assert_eq!(record.key.as_deref(), Some(&b"key"[..]));
        assert_eq!(record.value, None);
        assert_eq!(record.headers, [("a".into(), Some(Bytes::from_static(b"1"))), ("b".into(), None)]);
        assert_eq!(reader(&[]).read(b"k\tv").unwrap().value.as_deref(), Some(&b"k\tv"[..]));
    }

    #[test]
    fn what_is_missing_is_told_with_its_line() {
        let mut keyed = reader(&["parse.key=true"]);
        assert!(keyed.read(b"k\tv").is_ok());
        assert_eq!(keyed.read(b"nokey").unwrap_err(), "No key separator found on line number 2: 'nokey'");
        let mut headed = reader(&["parse.headers=true"]);
        assert_eq!(headed.read(b"a\tv").unwrap_err(), "No header key separator found in pair 'a' on line number 1");
        assert_eq!(reader(&["parse.key=true", "ignore.error=true"]).read(b"nokey").unwrap().key, None);
        assert_eq!(
            LineReader::new("t", &pairs(&["headers.separator=:"])).unwrap_err(),
            "headers.separator and headers.key.separator may not be equal"
        );
    }
}
