//! Kafka's command-line tools as state machines: arguments and lines in, operations and lines out.
//!
//! A [`Session`] is one run of a tool with its own [`Client`]. It does no I/O: the `vivarium` command gives it a terminal and
//! sockets, the lab's terminal a simulated network. What goes to stdout, and the exit code, are Kafka's; stderr begins with
//! Kafka's line, without its stack traces and with our own usage text.

mod args;
mod configs;
mod console_consumer;
mod console_producer;
mod java;
mod properties;
mod topics;

use bytes::Bytes;
use protocol::{Instant, Now};

use crate::client::Client;
use crate::config::ClientConfig;
use crate::input::{Input, OpId, Operation};
use crate::outbox::{Failure, Outbox, Outcome};

use self::args::Refusal;

/// The Kafka release whose tools these are, for `--version`.
pub const KAFKA_VERSION: &str = "4.3.1";

/// A client waits so long for its group to hear goodbye.
const GOODBYE_MS: i64 = 30_000;

/// Which tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolName {
    /// `kafka-topics.sh`
    Topics,
    /// `kafka-configs.sh`
    Configs,
    /// `kafka-console-producer.sh`
    ConsoleProducer,
    /// `kafka-console-consumer.sh`
    ConsoleConsumer,
}

/// Reads the file that an argument names (`--command-config`); the error is for people.
pub type ReadFile<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

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
#[derive(Clone, Debug)]
pub struct Session {
    state: State,
    next_op: u64,
    wants_line: bool,
}

#[derive(Clone, Debug)]
enum State {
    /// The arguments were no good, or asked for help: what to say, and the exit code.
    Refused(Refusal),
    Running(Box<Running>),
    Over,
}

#[derive(Clone, Debug)]
struct Running {
    client: Client,
    tool: Tool,
    /// The tool is done, and its client says goodbye to its group.
    ending: Option<i32>,
}

#[derive(Clone, Debug)]
enum Tool {
    Topics(topics::Topics),
    Configs(configs::Configs),
    ConsoleProducer(console_producer::ConsoleProducer),
    ConsoleConsumer(console_consumer::ConsoleConsumer),
}

/// What a tool's step may do.
struct Io<'a> {
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

    fn print(&mut self, line: &str) {
        self.stdout.extend_from_slice(line.as_bytes());
        self.stdout.push(b'\n');
    }

    fn complain(&mut self, line: &str) {
        self.stderr.extend_from_slice(line.as_bytes());
        self.stderr.push(b'\n');
    }
}

impl ToolName {
    /// The tool of a name: `topics`, `kafka-topics` or `kafka-topics.sh`.
    pub fn parse(name: &str) -> Option<ToolName> {
        let name = name.strip_suffix(".sh").unwrap_or(name);
        match name.strip_prefix("kafka-").unwrap_or(name) {
            "topics" => Some(ToolName::Topics),
            "configs" => Some(ToolName::Configs),
            "console-producer" => Some(ToolName::ConsoleProducer),
            "console-consumer" => Some(ToolName::ConsoleConsumer),
            _ => None,
        }
    }
}

impl Session {
    /// A run with these arguments. `interactive` says whether a person types: then the producer prompts.
    pub fn new(name: ToolName, args: &[String], interactive: bool, seed: u64, files: &mut ReadFile<'_>) -> Session {
        let parsed = match name {
            ToolName::Topics => topics::Topics::parse(args, files).map(|(tool, config)| (Tool::Topics(tool), config)),
            ToolName::Configs => {
                configs::Configs::parse(args, files).map(|(tool, config)| (Tool::Configs(tool), config))
            }
            ToolName::ConsoleProducer => console_producer::ConsoleProducer::parse(args, interactive, files)
                .map(|(tool, config)| (Tool::ConsoleProducer(tool), config)),
            ToolName::ConsoleConsumer => console_consumer::ConsoleConsumer::parse(args, seed, files)
                .map(|(tool, config)| (Tool::ConsoleConsumer(tool), config)),
        };
        let state = match parsed {
            Ok((tool, config)) => {
                State::Running(Box::new(Running { client: Client::boot(config, seed), tool, ending: None }))
            }
            Err(refusal) => State::Refused(refusal),
        };
        Session { state, next_op: 0, wants_line: false }
    }

    /// Handles one input.
    pub fn handle(&mut self, now: Now, input: SessionInput, out: &mut SessionOutbox) {
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
            SessionInput::Client(input) => running.client.handle(now, input, &mut out.client),
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
                running.client.handle(now, Input::Do(op, operation), &mut out.client);
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
            let timeout_ms = if running.client.config().group_id.is_some() { GOODBYE_MS } else { 0 };
            if !running.client.is_closed() {
                let close = Operation::Close { timeout_ms };
                running.client.handle(now, Input::Do(OpId(u64::MAX), close), &mut out.client);
                out.client.outcomes.clear();
            }
        }
        if running.ending.is_some() && running.client.is_closed() {
            out.exit = running.ending;
            self.state = State::Over;
        }
    }

    /// Whether the next line of stdin is wanted.
    pub fn wants_line(&self) -> bool {
        self.wants_line
    }

    /// When a `Client(Input::Wake)` is due.
    pub fn wake_at(&self) -> Option<Instant> {
        self.client().and_then(Client::wake_at)
    }

    /// The tool's client, while it runs.
    pub fn client(&self) -> Option<&Client> {
        match &self.state {
            State::Running(running) => Some(&running.client),
            State::Refused(_) | State::Over => None,
        }
    }
}

impl Tool {
    fn begin(&mut self, io: &mut Io<'_>) {
        match self {
            Tool::Topics(tool) => tool.begin(io),
            Tool::Configs(tool) => tool.begin(io),
            Tool::ConsoleProducer(tool) => tool.begin(io),
            Tool::ConsoleConsumer(tool) => tool.begin(io),
        }
    }

    fn line(&mut self, line: Option<Bytes>, io: &mut Io<'_>) {
        match self {
            Tool::ConsoleProducer(tool) => tool.line(line, io),
            // The others read nothing.
            Tool::Topics(_) | Tool::Configs(_) | Tool::ConsoleConsumer(_) => {}
        }
    }

    fn outcome(&mut self, op: OpId, outcome: Outcome, io: &mut Io<'_>) {
        match self {
            Tool::Topics(tool) => tool.outcome(outcome, io),
            Tool::Configs(tool) => tool.outcome(outcome, io),
            Tool::ConsoleProducer(tool) => tool.outcome(op, outcome, io),
            Tool::ConsoleConsumer(tool) => tool.outcome(outcome, io),
        }
    }

    fn interrupt(&mut self, io: &mut Io<'_>) {
        match self {
            Tool::ConsoleProducer(tool) => tool.line(None, io),
            Tool::ConsoleConsumer(tool) => tool.finish(io, 130),
            Tool::Topics(_) | Tool::Configs(_) => io.exit = Some(130),
        }
    }
}

/// A configuration from a properties file, `key=value` arguments, and what the tool itself sets; later ones win.
fn config_of(settings: &[(String, String)]) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::default();
    config.set_all(settings.iter().map(|(key, value)| (key.as_str(), value.as_str()))).map_err(|it| it.0)?;
    config.check().map_err(|it| it.0)?;
    Ok(config)
}

/// The failure of an operation that was not done, or may not have been.
fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) | Outcome::Unknown(failure) => failure,
        Outcome::Ok(answer) => unreachable!("a step's operation was answered with {answer:?}"),
    }
}
