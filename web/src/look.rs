//! From the simulated world to plain data.

use ordered::Map;
use std::sync::Arc;

use node::view::LogView;
use protocol::{Offset, TopicPartition};
use sim::World;
use sim::view::{self as seen, MessageKind};
use sim::world::{ADMIN, Power};

use crate::engine::Engine;
use crate::view::{
    Branch, Broker, CLOSED, Check, Client, Message, Partition, Position, Record, Role, State, Timer, View, Wait,
};

/// The newest records of a partition that are looked at.
const RECORDS: i64 = 96;
/// Bytes of batches that are read for them at most.
const BYTES: u32 = 1 << 20;
/// The same for a window of a few dozen records.
const WINDOW_BYTES: u32 = 1 << 14;

/// The newest records of each partition as they were looked at last: between two frames only a few are new.
#[derive(Default)]
pub(crate) struct Tails {
    tails: Map<String, Tail>,
    /// A log is not what it was below its end: it was cut, cleaned, or mounted anew.
    pub(crate) is_rewritten: bool,
}

struct Tail {
    /// The broker epoch of the life that wrote them, after a restart the log may be shorter; and up to where the log was
    /// cleaned, of which there may be less then.
    life: (i64, Option<Offset>),
    /// One past the last of them.
    end: i64,
    records: Arc<Vec<Record>>,
}

impl Tails {
    /// The newest records of a partition; reads those that are new.
    fn newest(
        &mut self,
        world: &World,
        broker: &seen::Broker,
        place: &TopicPartition,
        log: &LogView,
    ) -> Arc<Vec<Record>> {
        let life = (broker.node.as_ref().map_or(-1, |it| it.broker_epoch), log.cleaned_to);
        let (first, end) = ((log.written.0 - RECORDS).max(log.log_start.0), log.written.0);
        let tail =
            self.tails.entry(place.to_string()).or_insert_with(|| Tail { life, end: 0, records: Arc::default() });
        let is_rewritten = tail.life != life || tail.end > end;
        if is_rewritten || tail.end < first {
            *tail = Tail { life, end: first, records: Arc::default() };
        }
        self.is_rewritten |= is_rewritten;
        let kept = tail.records.partition_point(|it| it.offset < first);
        if tail.end == end && kept == 0 {
            return Arc::clone(&tail.records);
        }
        // A log that cannot be read at this moment has no cells, and its rules still stand.
        let from = Offset(tail.end);
        let newest = world.newest(&broker.name, log, from);
        let batches = newest.or_else(|| world.batches(place, from, BYTES).ok()).unwrap_or_default();
        let from = tail.end;
        let new = batches.iter().flat_map(records).filter(|it| it.offset >= from && it.offset < end);
        let all = Arc::make_mut(&mut tail.records);
        all.drain(..kept);
        all.extend(new);
        tail.end = all.last().map_or(first, |it| it.offset + 1);
        Arc::clone(&tail.records)
    }
}

/// The records from an offset up to another, wherever in the log that is; fewer if the log does not have them all.
pub(crate) fn window(world: &World, place: &TopicPartition, from: i64, to: i64) -> Vec<Record> {
    let mut found: Vec<Record> = Vec::new();
    let mut next = from;
    while next < to {
        // A log that cannot be read at this moment has no cells.
        let batches = world.batches(place, Offset(next), WINDOW_BYTES).unwrap_or_default();
        found.extend(batches.iter().flat_map(records).filter(|it| (next..to).contains(&it.offset)));
        let end = batches.last().map_or(0, |it| it.head.next_offset().0);
        if end <= next {
            break;
        }
        next = end;
    }
    found
}

/// The moment that is looked at.
pub(crate) fn view(engine: &Engine, ghosts: &[Partition], tails: &mut Tails) -> View {
    let world = engine.history().world();
    let (branch, branches) = engine.branches();
    let seen = world.view();
    let at_admin = |it: &seen::Message| it.from == *ADMIN || it.to == *ADMIN;
    View {
        time_us: seen.clock.0,
        event: seen.event,
        last_event: branches.get(branch).map_or(0, |it| it.events),
        branch,
        branches: branches
            .into_iter()
            .map(|it| Branch { name: it.name, last_event: it.events, forked_at: it.from.map(|it| it.1) })
            .collect(),
        hash: format!("{:016x}", seen.hash),
        brokers: seen.brokers.iter().map(|it| broker(it, &seen)).collect(),
        partitions: partitions(world, &seen, ghosts, tails),
        clients: seen.clients.iter().map(|it| client(it, &seen)).collect(),
        messages: seen.messages.iter().filter(|it| !at_admin(it)).map(message).collect(),
        timers: seen.timers.iter().filter(|it| it.process != *ADMIN).map(|it| timer(it, world)).collect(),
        checks: seen
            .checks
            .iter()
            .map(|(check, broken)| Check {
                name: check.name().to_owned(),
                holds: broken.is_none(),
                meaning: check.meaning().to_owned(),
                broken_by: broken.as_ref().map(|it| it.what.clone()),
                broken_at: broken.as_ref().map(|it| it.event),
            })
            .collect(),
        sentence: seen.narration,
    }
}

fn state(power: Power, paused: bool, serving: bool) -> State {
    match power {
        Power::Down => State::Down,
        Power::Dark => State::Dark,
        Power::Up | Power::Stopping if paused => State::Paused,
        Power::Stopping => State::Stopping,
        Power::Up if serving => State::Up,
        Power::Up => State::Starting,
    }
}

fn broker(it: &seen::Broker, seen: &seen::View) -> Broker {
    let waits = seen.requests.iter().filter(|request| request.at == it.name && request.from != *ADMIN);
    Broker {
        name: it.name.to_string(),
        id: it.node.as_ref().map_or(-1, |it| it.node.0),
        state: state(it.power, it.paused, it.serving),
        broker_epoch: it.node.as_ref().map(|it| it.broker_epoch).filter(|it| *it >= 0),
        connections: it.node.as_ref().map_or(0, |it| it.connections.len()),
        waits: waits
            .map(|it| Wait {
                client: it.from.to_string(),
                what: it.api.name().to_owned(),
                since_us: it.since.0,
                deadline_us: it.deadline.map(|it| it.0),
            })
            .collect(),
    }
}

fn timer(it: &seen::Timer, world: &World) -> Timer {
    Timer {
        process: it.process.to_string(),
        what: it.what.clone(),
        since_us: it.since.map(|it| it.0).or_else(|| Some(it.at.0.saturating_sub(period_us(world, it)?))),
        at_us: it.at.0,
    }
}

/// How long a broker's periodic timer runs: as configured, else Kafka's default.
fn period_us(world: &World, timer: &seen::Timer) -> Option<u64> {
    let broker = world.setup().brokers.iter().find(|it| it.name == timer.process)?;
    let set = broker.settings.iter().rfind(|it| *it.0 == *timer.what).and_then(|it| it.1.parse::<u64>().ok());
    let default_ms = match &*timer.what {
        "log.retention.check.interval.ms" => Some(300_000),
        "replica.high.watermark.checkpoint.interval.ms" => Some(5_000),
        _ => None,
    };
    Some(set.or(default_ms)? * 1_000)
}

/// Every partition as its leader has it now.
pub(crate) fn led(world: &World) -> Vec<Partition> {
    partitions(world, &world.view(), &[], &mut Tails::default())
}

/// Every partition: as its leader has it, or, while nobody leads it, as it was last (`ghosts`) with the ends that the
/// ledger of what happened knows.
fn partitions(world: &World, seen: &seen::View, ghosts: &[Partition], tails: &mut Tails) -> Vec<Partition> {
    let mut partitions = Vec::new();
    for broker in &seen.brokers {
        for topic in broker.node.iter().flat_map(|it| &it.topics) {
            for (it, log) in topic.partitions.iter().filter_map(|it| Some((it, it.log.as_ref()?))) {
                let place = TopicPartition { topic: topic.name.clone(), partition: it.partition };
                let newest = tails.newest(world, broker, &place, log);
                partitions.push(Partition {
                    name: place.to_string(),
                    topic: topic.name.to_string(),
                    partition: it.partition,
                    leader: it.leader.map(|_| broker.name.to_string()),
                    leader_epoch: it.leader_epoch.0,
                    log_start: log.log_start.0,
                    high_watermark: log.high_watermark.0,
                    synced: log.synced.0,
                    log_end: log.end.0,
                    records: newest,
                });
            }
        }
    }
    let lost_power = seen.brokers.iter().any(|it| it.power == Power::Dark);
    for (topic, partition, start, high_watermark, end) in world.checks().ends() {
        let name = format!("{topic}-{partition}");
        if partitions.iter().all(|it| it.name != name) {
            let ghost = ghosts.iter().find(|it| it.name == name);
            // What a power cut took is gone from the ghost too.
            let stays = |it: &&Record| !lost_power || ghost.is_some_and(|ghost| it.offset < ghost.synced);
            partitions.push(Partition {
                name,
                topic: topic.to_string(),
                partition,
                leader: None,
                leader_epoch: ghost.map_or(0, |it| it.leader_epoch),
                log_start: start.0,
                high_watermark: high_watermark.0,
                synced: ghost.map_or(start.0, |it| it.synced),
                log_end: end.0,
                records: Arc::new(ghost.iter().flat_map(|it| it.records.iter()).filter(stays).cloned().collect()),
            });
        }
    }
    partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    partitions
}

fn records(batch: &seen::Batch) -> impl Iterator<Item = Record> {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let leader_epoch = batch.head.leader_epoch.0;
    let (producer_id, base_sequence, base_offset) =
        (batch.head.producer_id.0, batch.head.base_sequence, batch.head.base_offset.0);
    batch.records.iter().map(move |it| Record {
        offset: it.offset.0,
        leader_epoch,
        key: it.key.as_ref().map(text),
        value: it.value.as_ref().map(text),
        timestamp_ms: it.timestamp.0,
        base_offset,
        producer_id: Some(producer_id).filter(|it| *it >= 0),
        sequence: Some(base_sequence).filter(|it| *it >= 0).map(|base| i64::from(base) + it.offset.0 - base_offset),
    })
}

fn client(it: &seen::Client, seen: &seen::View) -> Client {
    let positions = it.knows.iter().flat_map(|it| &it.consumer).map(|it| Position {
        partition: it.partition.to_string(),
        offset: it.position.map(|it| it.0),
        lag: it.high_watermark.zip(it.position).map(|(end, at)| (end.0 - at.0).max(0)),
    });
    let ready = |it: &&client::ConnectionView| it.state != client::ConnectionState::Connecting;
    // A client that has lost its broker believes in its connection until it is told.
    let reachable = seen.brokers.iter().any(|it| it.power.is_up());
    let tally = it.tally;
    Client {
        name: it.name.to_string(),
        role: match (&it.knows, &it.follows) {
            (_, Some(_)) => Role::Consumer,
            (Some(knows), None) if !knows.consumer.is_empty() => Role::Consumer,
            (_, None) if it.last_answer.is_some() && it.knows.is_none() && tally.sent == 0 && it.power.is_up() => {
                Role::Wire
            }
            (_, None) => Role::Producer,
        },
        state: state(it.power, it.paused, true),
        connected: reachable && it.knows.as_ref().is_some_and(|it| it.connections.iter().any(|it| ready(&it))),
        ok: tally.ok,
        failed: tally.failed,
        unknown: tally.unknown,
        pending: tally.sent - tally.ok - tally.failed - tally.unknown,
        consumed: it.consumed_total,
        load: it.load.clone(),
        positions: positions.collect(),
    }
}

/// What a message is called within its run.
pub(crate) fn message_id(it: &seen::Message) -> String {
    let (number, way) = match it.what {
        MessageKind::Request(_, id) => (id, "request"),
        MessageKind::Response(_, id) => (id, "answer"),
        MessageKind::Close => (-1, "request"),
    };
    format!("{}/{number}/{way}", it.link.0)
}

fn message(it: &seen::Message) -> Message {
    let (what, is_answer) = match it.what {
        MessageKind::Request(api, _) => (api.name(), false),
        MessageKind::Response(api, _) => (api.name(), true),
        MessageKind::Close => (CLOSED, false),
    };
    Message {
        id: message_id(it),
        from: it.from.to_string(),
        to: it.to.to_string(),
        what: what.to_owned(),
        is_answer,
        sent_us: it.sent.0,
        arrives_us: it.arrives.0,
        stalled: it.stalled,
    }
}
