//! From the simulated world to plain data.

use ordered::Map;
use std::sync::Arc;

use node::view::{LogView, PartitionView};
use protocol::{NodeId, Offset, Str, TopicPartition};
use sim::World;
use sim::view::{self as seen, MessageKind};
use sim::world::{ADMIN, Power};

use crate::engine::Engine;
use crate::view::{
    Branch, Broker, CLOSED, Check, Client, Message, Partition, Position, Record, Replica, Role, State, Timer, View,
    Wait,
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
        let tail = self.tails.entry(format!("{}/{place}", broker.name)).or_insert_with(|| Tail {
            life,
            end: 0,
            records: Arc::default(),
        });
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
        let batches = world.batches_on(&broker.name, place, log, Offset(tail.end), BYTES).unwrap_or_default();
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
        quorum_epoch: it.node.as_ref().filter(|it| it.metadata.is_leader).map(|it| it.metadata.leader_epoch.0),
        fenced: is_fenced(it, seen),
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

/// True if the quorum's leader knows a broker and lets it lead nothing.
fn is_fenced(it: &seen::Broker, seen: &seen::View) -> bool {
    let leaders = seen.brokers.iter().filter_map(|it| it.node.as_ref()).filter(|it| it.metadata.is_leader);
    let leader = leaders.max_by_key(|it| it.metadata.leader_epoch);
    let id = it.node.as_ref().map(|it| it.node);
    leader.is_some_and(|leader| leader.brokers.iter().any(|it| Some(it.id) == id && it.fenced))
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

/// A partition as one of the brokers knows it.
#[derive(Clone, Copy)]
struct Known<'a> {
    broker: &'a seen::Broker,
    topic: &'a Str,
    partition: &'a PartitionView,
}

impl Known<'_> {
    /// Who knows of a newer leader knows better, and of these the leader itself.
    fn rank(&self) -> (i32, bool) {
        let id = self.broker.node.as_ref().map(|it| it.node);
        (self.partition.leader_epoch.0, self.partition.leader.is_some() && self.partition.leader == id)
    }
}

/// Every partition: as its leader has it, or, while nobody leads it, as it was last (`ghosts`) with the ends that the
/// ledger of what happened knows.
fn partitions(world: &World, seen: &seen::View, ghosts: &[Partition], tails: &mut Tails) -> Vec<Partition> {
    let mut known: Map<(Str, i32), Known<'_>> = Map::new();
    for broker in &seen.brokers {
        for topic in broker.node.iter().flat_map(|it| &it.topics) {
            for partition in &topic.partitions {
                let this = Known { broker, topic: &topic.name, partition };
                let best = known.entry((topic.name.clone(), partition.partition)).or_insert(this);
                if this.rank() > best.rank() {
                    *best = this;
                }
            }
        }
    }
    let mut partitions = Vec::new();
    for it in known.values() {
        partitions.extend(led_now(world, seen, ghosts, tails, *it));
    }
    let lost_power = seen.brokers.iter().any(|it| it.power == Power::Dark);
    for (topic, partition, start, high_watermark, end) in world.checks().ends() {
        let name = format!("{topic}-{partition}");
        if partitions.iter().all(|it| it.name != name) {
            let ghost = ghosts.iter().find(|it| it.name == name);
            // What a power cut took is gone from the ghost too.
            let stays = |it: &&Record| !lost_power || ghost.is_some_and(|ghost| it.offset < ghost.synced);
            let known = known.get(&(topic.clone(), partition));
            partitions.push(Partition {
                name,
                topic: topic.to_string(),
                partition,
                leader: None,
                leader_epoch: ghost.map_or(0, |it| it.leader_epoch),
                isr: known.map_or(Vec::new(), |it| names(world, seen, &it.partition.isr)),
                replicas: match known {
                    Some(it) => replicas(world, seen, ghost, tails, *it),
                    None => ghost.map_or(Vec::new(), |it| it.replicas.iter().map(gone).collect()),
                },
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

/// A partition as its leader has it, if that runs and has it.
fn led_now(
    world: &World,
    seen: &seen::View,
    ghosts: &[Partition],
    tails: &mut Tails,
    known: Known<'_>,
) -> Option<Partition> {
    let it = known.partition;
    let place = TopicPartition { topic: known.topic.clone(), partition: it.partition };
    let name = place.to_string();
    let leader = names(world, seen, &[it.leader?]).pop()?;
    log_of(seen.brokers.iter().find(|it| *it.name == *leader)?, &place)?;
    let replicas = replicas(world, seen, ghosts.iter().find(|it| it.name == name), tails, known);
    let log = replicas.iter().find(|it| it.broker == leader)?.clone();
    Some(Partition {
        name,
        topic: known.topic.to_string(),
        partition: it.partition,
        leader: Some(leader),
        leader_epoch: it.leader_epoch.0,
        isr: names(world, seen, &it.isr),
        replicas,
        log_start: log.log_start,
        high_watermark: log.high_watermark,
        synced: log.synced,
        log_end: log.log_end,
        records: log.records,
    })
}

/// What each broker that should have a partition has of it; of one that does not run what it had last.
fn replicas(
    world: &World,
    seen: &seen::View,
    ghost: Option<&Partition>,
    tails: &mut Tails,
    known: Known<'_>,
) -> Vec<Replica> {
    let place = TopicPartition { topic: known.topic.clone(), partition: known.partition.partition };
    let mut replicas = Vec::new();
    for name in names(world, seen, &known.partition.replicas) {
        let broker = seen.brokers.iter().find(|it| *it.name == *name);
        replicas.push(match broker.and_then(|it| Some((it, log_of(it, &place)?))) {
            Some((broker, log)) => Replica {
                broker: name,
                is_there: true,
                log_start: log.log_start.0,
                high_watermark: log.high_watermark.0,
                synced: log.synced.0,
                log_end: log.end.0,
                records: tails.newest(world, broker, &place, log),
            },
            None => {
                let last = ghost.iter().flat_map(|it| &it.replicas).find(|it| it.broker == name);
                last.map_or(Replica { broker: name, ..Replica::default() }, gone)
            }
        });
    }
    replicas
}

fn gone(replica: &Replica) -> Replica {
    Replica { is_there: false, ..replica.clone() }
}

/// A broker's log of a partition, if it runs and the log is mounted.
fn log_of<'a>(broker: &'a seen::Broker, place: &TopicPartition) -> Option<&'a LogView> {
    let topic = broker.node.as_ref()?.topics.iter().find(|it| it.name == place.topic)?;
    topic.partitions.iter().find(|it| it.partition == place.partition)?.log.as_ref()
}

/// The names of brokers, by their ids; those of no broker of this world are left out.
fn names(world: &World, seen: &seen::View, ids: &[NodeId]) -> Vec<String> {
    let name =
        |id: &NodeId| seen.brokers.iter().find(|it| world.broker_id(&it.name) == *id).map(|it| it.name.to_string());
    ids.iter().filter_map(name).collect()
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
