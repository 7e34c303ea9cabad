//! `kafka-console-consumer.sh`: prints records as they come.
//!
//! Gaps: without `--group` Kafka's tool makes a group up that commits nothing; here that is so with `--include`, and one topic is
//! then read by assignment of the partitions that it has at the start. `--include` takes no look-arounds or back references.

use protocol::TopicPartition;

use super::args::{Args, Opt, Refusal, Trouble, Value, pairs};
use super::java::is_true;
use super::{Host, INTERRUPTED, Io, Made, Tool, answer, config_of, strange};
use crate::config::ClientConfig;
use crate::input::{OpId, Operation, SeekTo};
use crate::outbox::{Answer, ConsumerRecord, Failure, Outcome};
use crate::pattern::TopicPattern;
use crate::random::Random;

pub(super) const OPTIONS: &[Opt] = &[
    Opt {
        name: "bootstrap-server",
        value: Value::Text,
        about: "Required: brokers to connect to, host:port,host:port.",
    },
    Opt { name: "command-config", value: Value::Text, about: "A properties file with settings of the consumer." },
    Opt {
        name: "command-property",
        value: Value::Text,
        about: "A setting of the consumer, key=value. May be repeated.",
    },
    Opt { name: "consumer-property", value: Value::Text, about: "Deprecated for --command-property." },
    Opt { name: "consumer.config", value: Value::Text, about: "Deprecated for --command-config." },
    Opt { name: "enable-systest-events", value: Value::No, about: "For Kafka's own tests; without effect." },
    Opt { name: "formatter", value: Value::Text, about: "The class that prints; only Kafka's default is here." },
    Opt { name: "formatter-config", value: Value::Text, about: "A properties file with settings of the formatter." },
    Opt {
        name: "formatter-property",
        value: Value::Text,
        about: "A setting of the formatter, such as print.key=true. May be repeated.",
    },
    Opt { name: "from-beginning", value: Value::No, about: "Starts at the first record there is." },
    Opt { name: "group", value: Value::Text, about: "The consumer group." },
    Opt { name: "include", value: Value::Text, about: "Topics by a regular expression." },
    Opt { name: "isolation-level", value: Value::Text, about: "read_committed or read_uncommitted." },
    Opt { name: "key-deserializer", value: Value::Text, about: "A class of Kafka's that reads keys." },
    Opt { name: "max-messages", value: Value::Int, about: "Ends after so many records." },
    Opt {
        name: "offset",
        value: Value::Text,
        about: "With --partition: where to start, a number, earliest or latest.",
    },
    Opt { name: "partition", value: Value::Int, about: "The partition to read." },
    Opt { name: "property", value: Value::Text, about: "Deprecated for --formatter-property." },
    Opt { name: "skip-message-on-error", value: Value::No, about: "Goes on after a record that cannot be printed." },
    Opt { name: "timeout-ms", value: Value::Long, about: "Ends when no record came for so long." },
    Opt { name: "topic", value: Value::Text, about: "The topic to read." },
    Opt { name: "value-deserializer", value: Value::Text, about: "A class of Kafka's that reads values." },
];

/// A run of the tool.
#[derive(Clone)]
struct ConsoleConsumer {
    topic: String,
    /// Instead of the topic.
    include: Option<TopicPattern>,
    partition: Option<i32>,
    start: SeekTo,
    /// It reads as a member of its group.
    is_member: bool,
    formatter: Formatter,
    max_messages: Option<u64>,
    timeout_ms: i64,
    printed: u64,
    step: Step,
    /// Printed first: what is deprecated.
    warnings: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    Partitions,
    Assigned,
    Sought,
    Polling,
}

/// Kafka's `DefaultMessageFormatter`.
#[derive(Clone)]
struct Formatter {
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    read_key: Reads,
    read_value: Reads,
    read_header: Reads,
}

/// How bytes become text.
#[derive(Clone, Copy)]
enum Reads {
    /// As they are.
    Bytes,
    Text,
    Int16,
    Int32,
    Int64,
    Boolean,
}

/// A run with these arguments.
pub(super) fn make(raw: &[String], host: &mut Host<'_>) -> Result<Made, Refusal> {
    let args = Args::parse(OPTIONS, raw).map_err(|why| {
        let none = Args::parse(OPTIONS, &[]).map(|it| it.misused(&why));
        none.unwrap_or_else(Refusal::stderr)
    })?;
    let about = "This tool helps to read data from Kafka topics and outputs it to standard output.";
    args.help_or_version(raw.is_empty(), about)?;
    check(&args)?;
    let mut warnings = String::new();
    let (tool, config) = ConsoleConsumer::parse(&args, &mut warnings, host).map_err(|trouble| {
        let refusal = match trouble {
            Trouble::Misused(why) => args.misused(&why),
            Trouble::Failed(why) => Refusal::stderr(why),
        };
        refusal.after(&warnings)
    })?;
    Ok((Box::new(ConsoleConsumer { warnings, ..tool }), config))
}

impl ConsoleConsumer {
    /// The tool from arguments that are complete, and what it warns of.
    fn parse(
        args: &Args,
        warnings: &mut String,
        host: &mut Host<'_>,
    ) -> Result<(ConsoleConsumer, ClientConfig), Trouble> {
        deprecated(args, "consumer-property", "command-property", warnings)?;
        deprecated(args, "consumer.config", "command-config", warnings)?;
        let mut settings = consumer_settings(args, host)?;
        let mut groups: Vec<String> =
            settings.iter().filter(|(key, _)| key == "group.id").map(|(_, value)| value.clone()).collect();
        if let Some(group) = args.value("group")? {
            settings.push(("group.id".to_owned(), group.to_owned()));
            groups.push(group.to_owned());
        }
        ordered::sort(&mut groups);
        groups.dedup();
        if groups.len() > 1 {
            return Err(Trouble::Misused(format!(
                "The group ids provided in different places (directly using '--group', via '--consumer-property', or via \
                 '--consumer.config') do not match. Detected group ids: '{}'",
                groups.join("', '")
            )));
        }
        let is_named = !groups.is_empty();
        if is_named && args.has("partition") {
            return Err("Options group and partition cannot be specified together.".to_owned().into());
        }
        let reset = settings.iter().rev().find(|(key, _)| key == "auto.offset.reset").map_or("", |(_, it)| it);
        if args.has("from-beginning") && reset != "earliest" {
            return Err(Trouble::Failed(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
            )));
        }
        let start = start(args)?;
        deprecated(args, "property", "formatter-property", warnings)?;
        let mut tool = Self::build(args, start, host)?;
        if let Some(pattern) = args.value("include")? {
            let failed = |why: String| Trouble::Failed(format!("ERROR Unknown error when running consumer: {why}"));
            tool.include = Some(topics_like(pattern, host).map_err(failed)?);
            if !is_named {
                settings.extend(passing_group(&settings, host.seed));
            }
        }
        tool.is_member = is_named || tool.include.is_some();
        Ok((tool, config_of(&settings).map_err(Trouble::Failed)?))
    }

    fn build(args: &Args, start: SeekTo, host: &mut Host<'_>) -> Result<ConsoleConsumer, String> {
        let mut settings = Vec::new();
        if let Some(file) = args.value("formatter-config")? {
            settings = host.properties(file)?;
        }
        for (option, key) in [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")] {
            if let Some(class) = args.value(option)?.filter(|it| !it.is_empty()) {
                settings.push((key.to_owned(), class.to_owned()));
            }
        }
        settings.extend(pairs(&args.values("formatter-property")));
        settings.extend(pairs(&args.values("property")));
        if let Some(class) = args.value("formatter")? {
            let name = class.rsplit('.').next().unwrap_or_default();
            if name != "DefaultMessageFormatter" {
                return Err(class.to_owned());
            }
        }
        Ok(ConsoleConsumer {
            topic: args.text("topic")?,
            include: None,
            partition: args.int("partition")?,
            start,
            is_member: false,
            formatter: Formatter::new(&settings)?,
            // Only -1 means no end; what is less than nothing ends at once.
            max_messages: match args.int("max-messages")? {
                None | Some(-1) => None,
                Some(count) => Some(u64::try_from(count).unwrap_or(0)),
            },
            timeout_ms: args.long("timeout-ms")?.filter(|it| *it >= 0).unwrap_or(i64::MAX),
            printed: 0,
            step: Step::Begin,
            warnings: String::new(),
        })
    }

    fn assign(&mut self, partitions: &[i32], io: &mut Io<'_>) {
        self.step = Step::Assigned;
        let topic: protocol::Str = self.topic.as_str().into();
        let all = partitions.iter().map(|it| TopicPartition { topic: topic.clone(), partition: *it });
        io.start(Operation::Assign(all.collect()));
    }

    fn poll(&mut self, io: &mut Io<'_>) {
        self.step = Step::Polling;
        io.start(Operation::Poll { timeout_ms: self.timeout_ms });
    }

    /// What was not printed is not committed.
    fn give_back(&self, records: Vec<ConsumerRecord>, io: &mut Io<'_>) {
        let mut seen: Vec<TopicPartition> = Vec::new();
        for record in records.into_iter().filter(|_| self.is_member) {
            if !seen.contains(&record.partition) {
                io.start(Operation::Seek(record.partition.clone(), SeekTo::Offset(record.record.offset)));
                seen.push(record.partition);
            }
        }
    }

    fn go_on(&mut self, answer: Answer, io: &mut Io<'_>) -> Result<(), Failure> {
        match (self.step, answer) {
            (Step::Partitions, Answer::Partitions(partitions)) => {
                let partitions: Vec<i32> = partitions.iter().map(|it| it.partition).collect();
                self.assign(&partitions, io);
            }
            // Without --partition the reset policy says where to start, as it does in a new group.
            (Step::Assigned, Answer::Done) => match self.partition {
                Some(partition) => {
                    self.step = Step::Sought;
                    let partition = TopicPartition { topic: self.topic.as_str().into(), partition };
                    io.start(Operation::Seek(partition, self.start));
                }
                None => self.poll(io),
            },
            (Step::Sought, Answer::Done) => self.poll(io),
            (Step::Polling, Answer::Records(records)) if records.is_empty() => self.finish(io, 0),
            (Step::Polling, Answer::Records(records)) => {
                let mut records = records.into_iter();
                while let Some(record) = records.next() {
                    self.formatter.write(&record, io.stdout);
                    self.printed += 1;
                    if self.max_messages.is_some_and(|max| self.printed >= max) {
                        self.give_back(records.collect(), io);
                        self.finish(io, 0);
                        return Ok(());
                    }
                }
                self.poll(io);
            }
            _ => return Err(strange("a consumer's step")),
        }
        Ok(())
    }

    fn finish(&mut self, io: &mut Io<'_>, code: i32) {
        io.complain(&format!("Processed a total of {} messages", self.printed));
        io.exit = Some(code);
    }
}

impl Tool for ConsoleConsumer {
    fn begin(&mut self, io: &mut Io<'_>) {
        io.stdout.extend_from_slice(self.warnings.as_bytes());
        if self.max_messages == Some(0) {
            self.finish(io, 0);
            return;
        }
        match self.partition {
            Some(partition) => self.assign(&[partition], io),
            None if self.is_member => {
                self.step = Step::Assigned;
                io.start(match &self.include {
                    Some(pattern) => Operation::SubscribePattern(pattern.clone()),
                    None => Operation::Subscribe(vec![self.topic.as_str().into()]),
                });
            }
            None => {
                self.step = Step::Partitions;
                io.start(Operation::PartitionsFor(self.topic.as_str().into()));
            }
        }
    }

    fn outcome(&mut self, _op: OpId, outcome: Outcome, io: &mut Io<'_>) {
        if let Err(failure) = answer(outcome).and_then(|it| self.go_on(it, io)) {
            let why = failure.message;
            io.complain(&format!("ERROR Error processing message, terminating consumer process: {why}"));
            self.finish(io, 0);
        }
    }

    fn interrupt(&mut self, io: &mut Io<'_>) {
        self.finish(io, INTERRUPTED);
    }

    fn copy(&self) -> Box<dyn Tool> {
        Box::new(self.clone())
    }
}

/// What Kafka's tool checks before it connects.
fn check(args: &Args) -> Result<(), Refusal> {
    if args.has("topic") == args.has("include") {
        return Err(args.misused("Exactly one of the following arguments is required: [topic], [include]"));
    }
    if args.has("partition") {
        if !args.has("topic") {
            return Err(args.misused("The topic is required when partition is specified."));
        }
        if args.has("from-beginning") && args.has("offset") {
            return Err(args.misused("Options from-beginning and offset cannot be specified together."));
        }
    } else if args.has("offset") {
        return Err(args.misused("The partition is required when offset is specified."));
    }
    args.require("bootstrap-server")
}

/// Warns of an option's old name, and refuses both.
fn deprecated(args: &Args, old: &str, new: &str, warnings: &mut String) -> Result<(), String> {
    args.either(old, new)?;
    if args.has(old) {
        *warnings +=
            &format!("Option --{old} is deprecated and will be removed in a future version. Use --{new} instead.\n");
    }
    Ok(())
}

/// The topics of `--include`, whose names match as a whole.
fn topics_like(pattern: &str, host: &Host<'_>) -> Result<TopicPattern, String> {
    if pattern.is_empty() {
        return Err("Topic pattern to subscribe to cannot be empty".to_owned());
    }
    (host.pattern)(pattern).map_err(|why| format!("{why} in {pattern}"))
}

/// The group of whoever names none: nobody else is in it, and it keeps no offsets unless it is told to.
fn passing_group(settings: &[(String, String)], seed: u64) -> Vec<(String, String)> {
    // Not what the client draws from the same seed.
    let number = Random::new(!seed).below(100_000);
    let mut group = vec![("group.id".to_owned(), format!("console-consumer-{number}"))];
    if !settings.iter().any(|(key, _)| key == "enable.auto.commit") {
        group.push(("enable.auto.commit".to_owned(), "false".to_owned()));
    }
    group
}

fn start(args: &Args) -> Result<SeekTo, String> {
    let Some(offset) = args.value("offset")? else {
        return Ok(if args.has("from-beginning") { SeekTo::Beginning } else { SeekTo::End });
    };
    match (offset.to_ascii_lowercase().as_str(), offset.parse::<i64>()) {
        ("earliest", _) => Ok(SeekTo::Beginning),
        ("latest", _) => Ok(SeekTo::End),
        (_, Ok(number @ 0..)) => Ok(SeekTo::Offset(protocol::Offset(number))),
        _ => Err(format!(
            "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative \
             long."
        )),
    }
}

/// The consumer's settings: file, then arguments, then what the tool itself says.
fn consumer_settings(args: &Args, host: &mut Host<'_>) -> Result<Vec<(String, String)>, String> {
    let mut settings = Vec::new();
    for option in ["command-config", "consumer.config"] {
        if let Some(file) = args.value(option)? {
            settings.extend(host.properties(file)?);
        }
    }
    settings.extend(pairs(&args.values("command-property")));
    settings.extend(pairs(&args.values("consumer-property")));
    let has = |settings: &[(String, String)], key: &str| settings.iter().any(|(it, _)| it == key);
    if !has(&settings, "auto.offset.reset") {
        let reset = if args.has("from-beginning") { "earliest" } else { "latest" };
        settings.push(("auto.offset.reset".to_owned(), reset.to_owned()));
    }
    if !has(&settings, "client.id") {
        settings.push(("client.id".to_owned(), "console-consumer".to_owned()));
    }
    if let Some(level) = args.value("isolation-level")? {
        settings.push(("isolation.level".to_owned(), level.to_owned()));
    }
    settings.push(("bootstrap.servers".to_owned(), args.text("bootstrap-server")?));
    Ok(settings)
}

impl Formatter {
    fn new(settings: &[(String, String)]) -> Result<Formatter, String> {
        let value = |key: &str| settings.iter().rev().find(|(it, _)| it == key).map(|(_, value)| value.clone());
        let flag = |key: &str, default: bool| value(key).map_or(default, |it| is_true(&it));
        let text = |key: &str, default: &str| value(key).unwrap_or_else(|| default.to_owned());
        let reads = |key: &str| value(key).map_or(Ok(Reads::Bytes), |class| Reads::of_class(&class));
        Ok(Formatter {
            timestamp: flag("print.timestamp", false),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            headers: flag("print.headers", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            read_key: reads("key.deserializer")?,
            read_value: reads("value.deserializer")?,
            read_header: reads("headers.deserializer")?,
        })
    }

    fn write(&self, record: &ConsumerRecord, out: &mut Vec<u8>) {
        let columns: [(bool, Vec<u8>); 8] = [
            (self.timestamp, {
                let kind = if record.log_append_time { "LogAppendTime" } else { "CreateTime" };
                format!("{kind}:{}", record.record.timestamp.0).into_bytes()
            }),
            (self.partition, format!("Partition:{}", record.partition.partition).into_bytes()),
            (self.offset, format!("Offset:{}", record.record.offset).into_bytes()),
            // Kafka's tool hands its formatter neither; deliveries are those of share groups.
            (self.delivery, b"Delivery:NOT_PRESENT".to_vec()),
            (self.epoch, b"Epoch:NOT_PRESENT".to_vec()),
            (self.headers, self.headers_of(record)),
            (self.key, self.text(self.read_key, record.record.key.as_deref())),
            (self.value, self.text(self.read_value, record.record.value.as_deref())),
        ];
        let mut first = true;
        for (_, column) in columns.iter().filter(|(shown, _)| *shown) {
            if !first {
                out.extend_from_slice(self.key_separator.as_bytes());
            }
            first = false;
            out.extend_from_slice(column);
        }
        if !first {
            out.extend_from_slice(self.line_separator.as_bytes());
        }
    }

    fn headers_of(&self, record: &ConsumerRecord) -> Vec<u8> {
        if record.record.headers.is_empty() {
            return b"NO_HEADERS".to_vec();
        }
        let mut out = Vec::new();
        for (place, (name, value)) in record.record.headers.iter().enumerate() {
            if place > 0 {
                out.extend_from_slice(self.headers_separator.as_bytes());
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            out.extend(self.text(self.read_header, value.as_deref()));
        }
        out
    }

    fn text(&self, reads: Reads, bytes: Option<&[u8]>) -> Vec<u8> {
        bytes.map_or_else(|| self.null_literal.clone().into_bytes(), |it| reads.text(it))
    }
}

impl Reads {
    fn of_class(class: &str) -> Result<Reads, String> {
        match class.strip_prefix("org.apache.kafka.common.serialization.") {
            Some("ByteArrayDeserializer" | "ByteBufferDeserializer" | "BytesDeserializer") => Ok(Reads::Bytes),
            Some("StringDeserializer") => Ok(Reads::Text),
            Some("ShortDeserializer") => Ok(Reads::Int16),
            Some("IntegerDeserializer") => Ok(Reads::Int32),
            Some("LongDeserializer") => Ok(Reads::Int64),
            Some("BooleanDeserializer") => Ok(Reads::Boolean),
            _ => Err(format!(
                "The deserializer {class} is not here: only Kafka's own for bytes, text, numbers and booleans"
            )),
        }
    }

    /// Bytes that are not of the type stay as they are.
    fn text(self, bytes: &[u8]) -> Vec<u8> {
        let number = match (self, bytes) {
            (Reads::Text, _) => return String::from_utf8_lossy(bytes).into_owned().into_bytes(),
            (Reads::Int16, _) => bytes.try_into().map(|it| i64::from(i16::from_be_bytes(it))).ok(),
            (Reads::Int32, _) => bytes.try_into().map(|it| i64::from(i32::from_be_bytes(it))).ok(),
            (Reads::Int64, _) => bytes.try_into().map(i64::from_be_bytes).ok(),
            (Reads::Boolean, [0]) => return b"false".to_vec(),
            (Reads::Boolean, [1]) => return b"true".to_vec(),
            (Reads::Bytes | Reads::Boolean, _) => None,
        };
        number.map_or_else(|| bytes.to_vec(), |it| it.to_string().into_bytes())
    }
}
