//! Kafka's command-line tools as state machines: arguments and lines in, operations and lines out.
//!
//! A [`Session`] is one run of a tool; its host gives it a [`Client`] of its own. It does no I/O: the `vivarium` command gives it a terminal and
//! sockets, the lab's terminal a simulated network. What goes to stdout, and the exit code, are Kafka's; stderr begins with
//! Kafka's line, without its stack traces and with our own usage text.

mod args;
mod asking;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
pub mod exception;
mod java;
mod json;
mod leader_election;
pub mod metadata_quorum;
mod properties;
mod table;
mod topics;

use bytes::Bytes;
use protocol::{Now, TopicPartition};
use regex_lite::Regex;

use crate::client::Client;
use crate::config::ClientConfig;
use crate::input::{Input, OpId, Operation};
use crate::outbox::{Answer, Cause, Failure, Outbox, Outcome};
use crate::pattern::TopicPattern;

use self::args::{Args, Opt, Refusal, Value};

/// The Kafka release whose tools these are, for `--version`.
pub const KAFKA_VERSION: &str = "4.3.1";

/// A client waits so long for its group to hear goodbye.
const GOODBYE_MS: i64 = 30_000;
/// The exit code after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// One of Kafka's tools. A host that never names one does not carry its code either.
#[derive(Clone, Copy)]
pub struct ToolKind {
    name: &'static str,
    options: &'static [Opt],
    /// Options that only hosts with [`Host::rest`] have.
    rest: &'static [&'static str],
    make: Make,
}

type Make = fn(&[String], &mut Host<'_>) -> Result<Made, Refusal>;
/// A run that can begin, and what its client runs with.
type Made = (Box<dyn Tool>, ClientConfig);

/// What many tools take from a file.
const FILE: &str = "command-config";

/// `kafka-topics.sh`
pub const TOPICS: ToolKind = ToolKind { name: "topics", options: topics::OPTIONS, rest: &[FILE], make: topics::make };
/// `kafka-configs.sh`
pub const CONFIGS: ToolKind =
    ToolKind { name: "configs", options: configs::OPTIONS, rest: &[FILE, "add-config-file"], make: configs::make };
/// `kafka-console-producer.sh`
pub const CONSOLE_PRODUCER: ToolKind =
    ToolKind { name: "console-producer", options: console_producer::OPTIONS, rest: &[], make: console_producer::make };
/// `kafka-console-consumer.sh`
pub const CONSOLE_CONSUMER: ToolKind = ToolKind {
    name: "console-consumer",
    options: console_consumer::OPTIONS,
    rest: &[FILE, "consumer.config", "formatter-config"],
    make: console_consumer::make,
};
/// `kafka-consumer-groups.sh`
pub const CONSUMER_GROUPS: ToolKind = ToolKind {
    name: "consumer-groups",
    options: consumer_groups::OPTIONS,
    rest: consumer_groups::LEFT_OUT,
    make: consumer_groups::make,
};
/// `kafka-leader-election.sh`
pub const LEADER_ELECTION: ToolKind = ToolKind {
    name: "leader-election",
    options: leader_election::OPTIONS,
    rest: &[FILE, "admin.config", "path-to-json-file"],
    make: leader_election::make,
};
/// `kafka-metadata-quorum.sh describe`
pub const METADATA_QUORUM: ToolKind =
    ToolKind { name: "metadata-quorum", options: metadata_quorum::OPTIONS, rest: &[FILE], make: metadata_quorum::make };

/// What the machine on which a tool runs has for it.
pub struct Host<'a> {
    /// Reads the file that an argument names (`--command-config`); the error is for people.
    pub files: &'a mut ReadFile<'a>,
    /// The topics whose whole names match a regular expression; the error says what is wrong with that.
    pub pattern: fn(&str) -> Result<TopicPattern, String>,
    /// Whether brokers take a regular expression (RE2); the error says what is wrong with it.
    pub re2: fn(&str) -> Result<(), String>,
    /// A person types: then the producer prompts.
    pub interactive: bool,
    /// Everything random hangs on it.
    pub seed: u64,
    /// What few need. A host that has it not does not carry its code either, and its tools say so where it is asked for.
    pub rest: Option<&'static Rest>,
}

/// Formats of files, times of a calendar, and what else is rarely asked for.
pub struct Rest {
    properties: fn(&str) -> Vec<(String, String)>,
    elections: fn(&str) -> Result<Vec<TopicPartition>, String>,
    groups: consumer_groups::Rest,
}

/// All of it.
pub static REST: Rest =
    Rest { properties: properties::parse, elections: leader_election::partitions_of, groups: consumer_groups::REST };

impl Host<'_> {
    /// The settings of a properties file.
    fn properties(&mut self, path: &str) -> Result<Vec<(String, String)>, String> {
        let text = (self.files)(path)?;
        Ok(self.rest.map_or_else(Vec::new, |it| (it.properties)(&text)))
    }

    /// What an admin's tool is told of its client: a file's settings, and where the brokers are.
    fn settings(&mut self, args: &Args) -> Result<Vec<(String, String)>, String> {
        let mut settings = match args.value("command-config")? {
            Some(path) => self.properties(path)?,
            None => Vec::new(),
        };
        settings.push(("bootstrap.servers".to_owned(), args.text("bootstrap-server")?));
        Ok(settings)
    }
}

/// As [`Host::files`].
type ReadFile<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

/// Topics by a regular expression without look-arounds and back references.
pub fn regex_pattern(text: &str) -> Result<TopicPattern, String> {
    // As it is first: a parenthesis too many would close ours.
    let regex = Regex::new(text).and_then(|_| Regex::new(&format!("^(?:{text})$")));
    let regex = regex.map_err(|why| why.to_string())?;
    Ok(TopicPattern::new(text, move |topic| regex.is_match(topic)))
}

/// What a session hears.
#[derive(Clone, Debug)]
pub enum SessionInput {
    /// Once, first.
    Start,
    /// For its client.
    Client(Input),
    /// A line of stdin without its end; `None` at the end of input. Only when the session wants one.
    Line(Option<Bytes>),
    /// Ctrl-C.
    Interrupt,
}

/// What a session says.
#[derive(Debug, Default)]
pub struct SessionOutbox {
    /// For the network. Its outcomes are the session's own and always empty.
    pub client: Outbox,
    /// Bytes for stdout.
    pub stdout: Vec<u8>,
    /// Bytes for stderr.
    pub stderr: Vec<u8>,
    /// The tool is done.
    pub exit: Option<i32>,
}

/// One run of a tool.
#[derive(Clone)]
pub struct Session {
    state: State,
    next_op: u64,
    wants_line: bool,
}

#[derive(Clone)]
enum State {
    /// The arguments were no good, or asked for help: what to say, and the exit code.
    Refused(Refusal),
    Running(Running),
    Over,
}

#[derive(Clone)]
struct Running {
    tool: Box<dyn Tool>,
    /// The tool is done, and its client says goodbye to its group.
    ending: Option<i32>,
}

/// What a tool does: each call is one thing that happened, after which it may have asked for more.
trait Tool: Send + Sync {
    fn begin(&mut self, io: &mut Io<'_>);

    /// What came of something that it started.
    fn outcome(&mut self, op: OpId, outcome: Outcome, io: &mut Io<'_>);

    /// A line of stdin that it wanted.
    fn line(&mut self, _line: Option<Bytes>, _io: &mut Io<'_>) {}

    /// Ctrl-C.
    fn interrupt(&mut self, io: &mut Io<'_>) {
        io.exit = Some(INTERRUPTED);
    }

    fn copy(&self) -> Box<dyn Tool>;
}

impl Clone for Box<dyn Tool> {
    fn clone(&self) -> Box<dyn Tool> {
        self.copy()
    }
}

/// What a tool's step may do.
struct Io<'a> {
    now: Now,
    stdout: &'a mut Vec<u8>,
    stderr: &'a mut Vec<u8>,
    operations: Vec<(OpId, Operation)>,
    next_op: &'a mut u64,
    wants_line: &'a mut bool,
    exit: Option<i32>,
}

impl Io<'_> {
    /// Starts an operation; its outcome comes with the same id.
    fn start(&mut self, operation: Operation) -> OpId {
        *self.next_op += 1;
        let op = OpId(*self.next_op);
        self.operations.push((op, operation));
        op
    }

    fn complain(&mut self, line: &str) {
        self.stderr.extend_from_slice(line.as_bytes());
        self.stderr.push(b'\n');
    }
}

impl ToolKind {
    /// Its name, after `kafka-`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What can be said to it where there is no [`Host::rest`]: each option without its dashes, and whether a value follows.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.options.iter().filter(|it| !self.rest.contains(&it.name)).map(|it| (it.name, it.value != Value::No))
    }

    /// An option that is given and takes what the host has not.
    fn left_out(&self, args: &[String]) -> Option<&str> {
        let given = |option: &&&str| {
            args.iter().any(|it| it.strip_prefix("--").is_some_and(|it| it.split('=').next() == Some(**option)))
        };
        self.rest.iter().find(given).copied()
    }
}

impl Session {
    /// A run with these arguments, and what its client runs with.
    pub fn new(kind: &ToolKind, args: &[String], host: &mut Host<'_>) -> (Session, ClientConfig) {
        let made = match kind.left_out(args) {
            Some(option) if host.rest.is_none() => {
                Err(Refusal::stderr(format!("--{option} is not here; the command “vivarium {}” has it", kind.name)))
            }
            _ => (kind.make)(args, host),
        };
        let (state, config) = match made {
            Ok((tool, config)) => (State::Running(Running { tool, ending: None }), config),
            Err(refusal) => (State::Refused(refusal), ClientConfig::default()),
        };
        (Session { state, next_op: 0, wants_line: false }, config)
    }

    /// Handles one input. The client is always the same, booted with the run's configuration.
    pub fn handle(&mut self, client: &mut Client, now: Now, input: SessionInput, out: &mut SessionOutbox) {
        let running = match &mut self.state {
            State::Over => return,
            State::Refused(refusal) => {
                out.stdout.extend_from_slice(refusal.stdout.as_bytes());
                out.stderr.extend_from_slice(refusal.stderr.as_bytes());
                out.exit = Some(refusal.exit);
                self.state = State::Over;
                return;
            }
            State::Running(running) => running,
        };
        let mut io = Io {
            now,
            stdout: &mut out.stdout,
            stderr: &mut out.stderr,
            operations: Vec::new(),
            next_op: &mut self.next_op,
            wants_line: &mut self.wants_line,
            exit: None,
        };
        match input {
            // Whoever asks twice does not wait.
            SessionInput::Interrupt if running.ending.is_some() => {
                out.exit = running.ending;
                self.state = State::Over;
                return;
            }
            SessionInput::Client(input) => client.handle(now, input, &mut out.client),
            _ if running.ending.is_some() => {}
            SessionInput::Start => running.tool.begin(&mut io),
            SessionInput::Line(line) => {
                *io.wants_line = false;
                running.tool.line(line, &mut io);
            }
            SessionInput::Interrupt => running.tool.interrupt(&mut io),
        }
        // Operations bring outcomes, some at once; outcomes bring operations.
        loop {
            for (op, operation) in std::mem::take(&mut io.operations) {
                client.handle(now, Input::Do(op, operation), &mut out.client);
            }
            let outcomes = std::mem::take(&mut out.client.outcomes);
            if outcomes.is_empty() && io.operations.is_empty() {
                break;
            }
            for (op, outcome) in outcomes {
                if io.exit.is_none() && running.ending.is_none() {
                    running.tool.outcome(op, outcome, &mut io);
                }
            }
        }
        if let Some(code) = io.exit {
            running.ending = Some(code);
            self.wants_line = false;
            let timeout_ms = if client.config().group_id.is_some() { GOODBYE_MS } else { 0 };
            if !client.is_closed() {
                let close = Operation::Close { timeout_ms };
                client.handle(now, Input::Do(OpId(u64::MAX), close), &mut out.client);
                out.client.outcomes.clear();
            }
        }
        if running.ending.is_some() && client.is_closed() {
            out.exit = running.ending;
            self.state = State::Over;
        }
    }

    /// Whether the next line of stdin is wanted.
    pub fn wants_line(&self) -> bool {
        self.wants_line
    }
}

/// A configuration from a properties file, `key=value` arguments, and what the tool itself sets; later ones win.
fn config_of(settings: &[(String, String)]) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::default();
    config.set_all(settings.iter().map(|(key, value)| (key.as_str(), value.as_str()))).map_err(|it| it.0)?;
    config.check().map_err(|it| it.0)?;
    Ok(config)
}

/// The answer to an operation that was done.
fn answer(outcome: Outcome) -> Result<Answer, Failure> {
    match outcome {
        Outcome::Ok(answer) => Ok(answer),
        Outcome::Failed(failure) | Outcome::Unknown(failure) => Err(failure),
    }
}

/// An answer to another question.
fn strange(call: &str) -> Failure {
    let why = exception::exception("ProtocolException", &format!("The answer is none to {call}"));
    Failure::new(Cause::Illegal, why)
}
