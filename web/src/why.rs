//! Why something happened: event by event back to what a person did, or to a key of a configuration.

use client::Event as ClientEvent;
use node::Event as NodeEvent;
use ordered::Map;
use protocol::NodeId;
use sim::history::Stamped;
use sim::narration::{Heard, Stored};
use sim::view::MessageKind;
use sim::{Action, History, Pid, World};

/// How many events back causes are looked for.
const REACH: u64 = 3_000;
/// An answer waits for those before it for less events than that.
const READY: u64 = 1_000;
/// Links of a chain that are shown at most.
const LINKS: usize = 12;
/// A connection that somebody broke is noticed within that, in µs: `request.timeout.ms` of Kafka's clients.
const NOTICED_US: u64 = 30_000_000;

/// A link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The event; for an action the one that it follows.
    pub(crate) event: u64,
    /// When, in µs.
    pub(crate) time_us: u64,
    /// What happened, in a sentence; of an action the line; of a timer its configuration key.
    pub(crate) what: String,
    /// What ends the chain, if this does.
    pub(crate) end: Option<End>,
}

/// Where a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A person did it.
    Action,
    /// A configuration key says so.
    Key,
    /// Its cause is further back than was looked, or no event tells it.
    Untold,
}

/// An event as it is remembered while the past is played again.
struct Step {
    event: u64,
    at: u64,
    process: Pid,
    heard: Heard,
    sentence: String,
    /// Ends of partitions that it moved: topic-partition, offset, and whether that was the high watermark.
    ends: Vec<(String, i64, bool)>,
    /// A client gave up a connection or will send again.
    retried: bool,
    /// The node that a client gave up a connection to; bootstrap servers are negative.
    lost: Option<NodeId>,
    /// A broker gave up a log directory, or itself.
    failed: bool,
}

/// A request's name: who sent it, the API's number, its correlation id. An answer's: who gets it, and the same.
type Letter = (Pid, i16, i32);

/// What was sent, as far as it was seen.
#[derive(Default)]
struct Letters {
    /// When each request left, in µs.
    requests: Map<Letter, u64>,
    /// The event that made each answer, and whose that was.
    answers: Map<Letter, (Pid, u64)>,
}

/// The chain of causes of the last event, itself first. The history stands where it stood.
pub(crate) fn chain(history: &mut History) -> Vec<Cause> {
    let world = history.world();
    let (now, turns, clock) = (world.events(), world.turns(), world.clock());
    let actions = history.run().actions;
    let mut steps: Vec<Step> = Vec::new();
    let mut letters = Letters::default();
    history.seek(now.saturating_sub(REACH));
    loop {
        let world = history.world();
        if world.events() > 0 {
            steps.push(step(world));
        }
        letters.note(world);
        if world.events() >= now || !history.step() {
            break;
        }
    }
    history.stand_at(turns, clock);
    let Some(mut at) = steps.len().checked_sub(1) else { return Vec::new() };
    let mut causes = vec![cause(&steps[at])];
    while causes.len() < LINKS {
        let step = &steps[at];
        match cause_of(history.world(), &steps[..at], step, &letters, &actions) {
            Found::Event(index) => {
                at = index;
                causes.push(cause(&steps[at]));
            }
            Found::Action(action) => {
                let end = Some(End::Action);
                causes.push(Cause { event: action.after, time_us: action.at.0, what: action.action.to_string(), end });
                return causes;
            }
            Found::Timer => {
                let (event, time_us) = (step.event, step.at);
                let process = step.process;
                causes.push(timer(history, event, time_us, process));
                history.seek(now);
                history.stand_at(turns, clock);
                return causes;
            }
            Found::Nothing => break,
        }
    }
    if let Some(last) = causes.last_mut() {
        last.end = Some(End::Untold);
    }
    causes
}

enum Found<'a> {
    /// An earlier step, by its index.
    Event(usize),
    Action(&'a Stamped),
    Timer,
    Nothing,
}

fn step(world: &World) -> Step {
    let last = world.last();
    let ends = last.node_events.iter().filter_map(|it| match it {
        NodeEvent::Appended { topic, partition, next_offset, .. } => {
            Some((format!("{topic}-{partition}"), next_offset.0, false))
        }
        NodeEvent::HighWatermark { topic, partition, offset } => Some((format!("{topic}-{partition}"), offset.0, true)),
        _ => None,
    });
    Step {
        event: last.event,
        at: last.at.0,
        process: last.process,
        heard: last.heard,
        sentence: world.narrate(),
        ends: ends.collect(),
        retried: last.client_events.iter().any(|it| matches!(it, ClientEvent::BatchRetried { .. })),
        lost: last.client_events.iter().find_map(|it| match it {
            ClientEvent::Disconnected { node, .. } => Some(*node),
            _ => None,
        }),
        failed: last
            .node_events
            .iter()
            .any(|it| matches!(it, NodeEvent::StorageFailed { .. } | NodeEvent::Failed { .. })),
    }
}

impl Letters {
    fn note(&mut self, world: &World) {
        for message in world.messages() {
            if let MessageKind::Request(api, id) = message.what
                && let Ok(from) = world.pid(&message.from)
            {
                // A correlation id comes again on another connection: the latest is meant.
                self.requests.insert((from, api as i16, id), message.sent.0);
            }
        }
        for (node, client, api, id) in world.answers_ready() {
            let letter = (client, api as i16, id);
            // It may have to wait for those before it; it was made when it was seen first.
            let made = self.answers.get(&letter).is_some_and(|it| it.1 + READY > world.events());
            if !made {
                self.answers.insert(letter, (node, world.events()));
            }
        }
    }
}

fn cause(step: &Step) -> Cause {
    Cause { event: step.event, time_us: step.at, what: step.sentence.clone(), end: None }
}

/// What led to a step: one of those before it, an action, a timer.
fn cause_of<'a>(world: &World, before: &[Step], step: &Step, letters: &Letters, actions: &'a [Stamped]) -> Found<'a> {
    let name = |pid: Pid| world.name(pid).to_string();
    // The last thing that a process heard before it sent something.
    let sender = |pid: Pid, sent: u64| {
        let found = before.iter().rposition(|it| it.process == pid && it.at <= sent);
        found.map_or(Found::Nothing, Found::Event)
    };
    let done_to = |who: &str, verbs: &[&str]| {
        let is = |it: &&Stamped| {
            let line = it.action.to_string();
            let mut words = line.split_whitespace();
            words.next().is_some_and(|verb| verbs.contains(&verb)) && words.any(|word| word == who)
        };
        actions.iter().rev().filter(|it| it.after < step.event).find(is)
    };
    match step.heard {
        Heard::Request(Some(from), api, id) => {
            letters.requests.get(&(from, api as i16, id)).map_or(Found::Nothing, |sent| sender(from, *sent))
        }
        Heard::Response(api, id) => {
            let made = letters.answers.get(&(step.process, api as i16, id));
            let found =
                made.and_then(|(node, event)| before.iter().rposition(|it| it.process == *node && it.event <= *event));
            found.map_or(Found::Nothing, Found::Event)
        }
        // What is written now was given its place when its request came.
        Heard::Stored(Stored::Appended) => {
            let moved = step.ends.iter().find(|it| it.2);
            let given = moved.and_then(|(partition, end, _)| {
                before.iter().rposition(|it| {
                    it.process == step.process
                        && it.ends.iter().any(|(at, to, high)| at == partition && to == end && !high)
                })
            });
            given.map_or(Found::Nothing, Found::Event)
        }
        Heard::Operation(_, operation) => {
            let verbs: &[&str] = match operation {
                "send" => &["load", "produce"],
                "poll" | "assign" | "seek" => &["follow", "poll", "assign", "seek"],
                _ => &["topic", "alter", "delete", "close", "producer", "consumer"],
            };
            done_to(&name(step.process), verbs).map_or(Found::Nothing, Found::Action)
        }
        Heard::Stop => done_to(&name(step.process), &["stop"]).map_or(Found::Nothing, Found::Action),
        Heard::Disconnected | Heard::ConnectFailed | Heard::Closed(_) => {
            let ends = ends(world, step);
            let action = actions.iter().rev().filter(|it| it.after < step.event).find(|it| {
                let near = it.at.0 + NOTICED_US >= step.at || step.heard == Heard::ConnectFailed;
                near && ends.broken_by(&it.action)
            });
            // A broker that failed by itself did so at an event of its own.
            let failed = before.iter().rposition(|it| it.failed && ends.is_one(&name(it.process)));
            match (action, failed) {
                (action, Some(index)) if action.is_none_or(|it| it.after < before[index].event) => Found::Event(index),
                (Some(action), _) => Found::Action(action),
                (None, _) => Found::Nothing,
            }
        }
        Heard::Stored(Stored::Failed) => {
            let disk = |it: &&Stamped| match &it.action {
                Action::DiskFull(broker) | Action::DiskError(broker, _) => **broker == *name(step.process),
                _ => false,
            };
            let found = actions.iter().rev().filter(|it| it.after < step.event).find(disk);
            found.map_or(Found::Nothing, Found::Action)
        }
        Heard::Opened(Some(from)) => sender(from, step.at),
        Heard::Connected => {
            let found =
                before.iter().rposition(|it| matches!(it.heard, Heard::Opened(Some(from)) if from == step.process));
            found.map_or(Found::Nothing, Found::Event)
        }
        Heard::Wake if step.retried => {
            let broke = |it: &Step| it.process == step.process && it.heard == Heard::Disconnected;
            before.iter().rposition(broke).map_or(Found::Timer, Found::Event)
        }
        Heard::Wake => Found::Timer,
        Heard::Nothing | Heard::Request(None, ..) | Heard::Opened(None) | Heard::Stored(_) | Heard::CallFailed => {
            Found::Nothing
        }
    }
}

/// The two ends of a connection that broke.
struct Ends {
    /// Who heard of it.
    here: String,
    /// The other end; one of these, where it is not told which.
    there: Vec<String>,
}

fn ends(world: &World, step: &Step) -> Ends {
    let there = match (step.heard, step.lost) {
        (Heard::Closed(Some(from)), _) => vec![world.name(from).to_string()],
        (_, lost) => {
            let brokers = world.setup().brokers.iter().map(|it| it.name.to_string());
            let known = brokers.clone().find(|it| lost.is_some_and(|lost| world.broker_id(it) == lost));
            known.map_or_else(|| brokers.collect(), |it| vec![it])
        }
    };
    Ends { here: world.name(step.process).to_string(), there }
}

impl Ends {
    fn is_one(&self, name: &str) -> bool {
        self.here == name || self.there.iter().any(|it| it == name)
    }

    /// True for an action after which a connection between the two breaks, or none comes about.
    fn broken_by(&self, action: &Action) -> bool {
        match action {
            Action::Kill(it)
            | Action::PowerCut(it)
            | Action::PowerCutTorn(it)
            | Action::Stop(it)
            | Action::Close(it)
            | Action::Pause(it)
            | Action::DiskFull(it)
            | Action::DiskError(it, _)
            | Action::DropResponse(_, it)
            | Action::CorruptRequest(_, it) => self.is_one(it),
            Action::Cut(a, b) | Action::CutOneWay(a, b) | Action::Delay(a, b, _) => {
                (**a == *self.here && self.is_one(b)) || (**b == *self.here && self.is_one(a))
            }
            _ => false,
        }
    }
}

/// The timer that fired: which of the process's was due.
fn timer(history: &mut History, event: u64, time_us: u64, process: Pid) -> Cause {
    history.seek(event.saturating_sub(1));
    let world = history.world();
    let name = world.name(process).clone();
    let due = world.view().timers.into_iter().find(|it| it.process == name && it.at.0 <= time_us);
    let what = due.map_or_else(|| "a deadline of its own".to_owned(), |it| it.what);
    let end = Some(if what.contains(".ms") { End::Key } else { End::Untold });
    Cause { event: event.saturating_sub(1), time_us, what, end }
}
