//! From the simulated world to plain data.

use ordered::Map;
use std::sync::Arc;

use node::view::{LogView, PartitionView};
use protocol::{NodeId, Offset, Str, TopicPartition};
use sim::World;
use sim::view::{self as seen, MessageKind};
use sim::world::{ADMIN, Power};

use crate::engine::Engine;
use crate::groups;
use crate::view::{
    Branch, Broker, CLOSED, Check, Client, Finding, Group, Message, Partition, Position, Record, Replica, Role,
    Standing, State, Timer, View, Wait,
};

/// The newest records of a partition that are looked at.
const RECORDS: i64 = 96;
/// Bytes of batches that are read for them at most.
const BYTES: u32 = 1 << 20;
/// The same for a window of a few dozen records.
const WINDOW_BYTES: u32 = 1 << 14;
/// The topic that group coordinators write.
pub(crate) const GROUPS: &str = "__consumer_offsets";

/// The newest records of each partition as they were looked at last: between two frames only a few are new.
#[derive(Default)]
pub(crate) struct Tails {
    tails: Map<String, Tail>,
    /// A log is not what it was below its end: it was cut, cleaned, or mounted anew.
    pub(crate) is_rewritten: bool,
}

struct Tail {
    /// The broker epoch of the life that wrote them, after a restart the log may be shorter; up to where the log was cleaned,
    /// of which there may be less then; and how often it was cut.
    life: (i64, Option<Offset>, u32),
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
        let epoch = broker.node.as_ref().map_or(-1, |it| it.broker_epoch);
        let life = (epoch, log.cleaned_to, world.times_cut(&broker.name, log));
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
        let new =
            batches.iter().flat_map(|it| records(it, &place.topic)).filter(|it| it.offset >= from && it.offset < end);
        let all = Arc::make_mut(&mut tail.records);
        all.drain(..kept);
        all.extend(new);
        tail.end = all.last().map_or(first, |it| it.offset + 1);
        Arc::clone(&tail.records)
    }
}

/// The records of a broker's log from an offset up to another, wherever in it that is; fewer if it does not have them all.
pub(crate) fn window(world: &World, broker: &str, place: &TopicPartition, from: i64, to: i64) -> Vec<Record> {
    let mut found: Vec<Record> = Vec::new();
    let mut next = from;
    while next < to {
        // A log that cannot be read at this moment has no cells.
        let batches = world.batches_of(broker, place, Offset(next), WINDOW_BYTES).unwrap_or_default();
        found.extend(
            batches.iter().flat_map(|it| records(it, &place.topic)).filter(|it| (next..to).contains(&it.offset)),
        );
        let end = batches.last().map_or(0, |it| it.head.next_offset().0);
        if end <= next {
            break;
        }
        next = end;
    }
    found
}

/// What was in the logs before a broker ended that does not run now.
pub(crate) struct Ghost {
    pub(crate) broker: String,
    pub(crate) seen: Arc<Vec<Partition>>,
}

/// What an event cut off a broker's log: the broker, the partition, the records.
pub(crate) type Cut = (String, String, Arc<Vec<Record>>);

/// What of the past is in sight still.
#[derive(Clone, Copy, Default)]
pub(crate) struct Past<'a> {
    /// The one that ended last is the last.
    pub(crate) ghosts: &'a [Ghost],
    pub(crate) cuts: &'a [Cut],
}

/// The moment that is looked at.
pub(crate) fn view(engine: &Engine, past: Past<'_>, tails: &mut Tails) -> View {
    let world = engine.history().world();
    let (branch, branches) = engine.branches();
    let seen = world.view();
    let (groups, partitions) = (groups::groups(world), partitions(world, &seen, past, tails));
    let client = |it| client(it, &seen, (&groups, &partitions), engine.is_to_consume(&it.name));
    let clients = seen.clients.iter().map(client).collect();
    View {
        time_us: seen.clock.0,
        event: seen.event,
        last_event: engine.history().known(),
        branch,
        branches: branches
            .into_iter()
            .map(|it| Branch {
                name: it.name.to_owned(),
                last_event: it.events,
                forked_at: it.from.map(|it| it.1),
                parent: it.from.map(|it| it.0),
            })
            .collect(),
        hash: format!("{:016x}", seen.hash),
        brokers: seen.brokers.iter().map(|it| broker(world, it, &seen)).collect(),
        groups,
        partitions,
        clients,
        links: seen.links.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect(),
        cuts: seen
            .cuts
            .iter()
            .flat_map(|(a, b)| [(a, b), (b, a)])
            .chain(seen.one_way_cuts.iter().map(|(a, b)| (a, b)))
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .collect(),
        delays: seen.delays.iter().map(|(a, b, us)| (a.to_string(), b.to_string(), *us)).collect(),
        messages: messages(&seen.messages),
        timers: seen.timers.iter().filter(|it| it.process != *ADMIN).map(|it| timer(it, world)).collect(),
        checks: seen
            .checks
            .iter()
            .map(|(check, broken)| Check {
                name: check.name(),
                holds: broken.is_none(),
                meaning: check.meaning(),
                broken_by: broken.as_ref().map(|it| it.what.clone()),
                broken_at: broken.as_ref().map(|it| it.event),
            })
            .collect(),
        findings: seen
            .findings
            .iter()
            .map(|it| Finding {
                event: it.event,
                check: it.check.name().to_owned(),
                verdict: it.verdict,
                verdict_words: it.verdict.words(it.check),
                what: it.what.clone(),
                acked: it.acked,
            })
            .collect(),
        at_risk: seen.at_risk,
        acked_lost: seen.acked_lost,
        has_deleted: seen.has_deleted,
        is_of_past: world.setup().past.is_some(),
        sentence: seen.narration,
    }
}

pub(crate) fn state(power: Power, paused: bool, serving: bool) -> State {
    match power {
        Power::Down => State::Down,
        Power::Dark => State::Dark,
        Power::Up | Power::Stopping if paused => State::Paused,
        Power::Stopping => State::Stopping,
        Power::Up if serving => State::Up,
        Power::Up => State::Starting,
    }
}

fn broker(world: &World, it: &seen::Broker, seen: &seen::View) -> Broker {
    let setup = world.setup().brokers.iter().find(|setup| setup.name == it.name);
    let waits = seen.requests.iter().filter(|request| request.at == it.name && request.from != *ADMIN);
    Broker {
        name: it.name.to_string(),
        id: it.id.0,
        state: state(it.power, it.paused, it.serving),
        broker_epoch: it.node.as_ref().map(|it| it.broker_epoch).filter(|it| *it >= 0),
        quorum_epoch: it.node.as_ref().filter(|it| it.metadata.is_leader).map(|it| it.metadata.leader_epoch.0),
        is_broker: setup.is_some_and(sim::setup::BrokerSetup::is_broker),
        is_controller: setup.is_some_and(sim::setup::BrokerSetup::is_controller),
        fenced: is_fenced(it.id, seen),
        slow_us: it.slow_us,
        skew_ms: it.wall_offset_ms,
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
fn is_fenced(id: NodeId, seen: &seen::View) -> bool {
    let leaders = seen.brokers.iter().filter_map(|it| it.node.as_ref()).filter(|it| it.metadata.is_leader);
    let leader = leaders.max_by_key(|it| it.metadata.leader_epoch);
    leader.is_some_and(|leader| leader.brokers.iter().any(|it| it.id == id && it.fenced))
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
    partitions(world, &world.view(), Past::default(), &mut Tails::default())
}

/// A partition as one of the brokers knows it.
#[derive(Clone, Copy)]
struct Known<'a> {
    broker: &'a seen::Broker,
    topic: &'a Str,
    partition: &'a PartitionView,
}

impl Known<'_> {
    /// Who knows of a newer leader knows better, of these the leader itself, and else who has applied most of the metadata.
    fn rank(&self) -> (i32, bool, i64) {
        let node = self.broker.node.as_ref();
        let is_leader = self.partition.leader.is_some() && self.partition.leader == node.map(|it| it.node);
        (self.partition.leader_epoch.0, is_leader, node.map_or(-1, |it| it.metadata.high_watermark.0))
    }
}

/// Every partition: as its leader has it, or, while nobody leads it, as it was last with the ends that the ledger of what
/// happened knows.
fn partitions(world: &World, seen: &seen::View, past: Past<'_>, tails: &mut Tails) -> Vec<Partition> {
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
        partitions.extend(led_now(world, seen, past, tails, *it));
    }
    for (topic, partition, start, high_watermark, end) in world.checks().ends() {
        let name = format!("{topic}-{partition}");
        if partitions.iter().any(|it| it.name == name) {
            continue;
        }
        // Who led it when it ended had most of it; else who ended last.
        let ghosts =
            || past.ghosts.iter().rev().filter_map(|it| Some((&it.broker, it.seen.iter().find(|it| it.name == name)?)));
        let ghost = ghosts().find(|(broker, it)| it.leader.as_ref() == Some(broker)).or_else(|| ghosts().next());
        // What a power cut took is gone from the ghost too.
        let lost_power = ghost
            .is_some_and(|(broker, _)| seen.brokers.iter().any(|it| *it.name == **broker && it.power == Power::Dark));
        let ghost = ghost.map(|it| it.1);
        let synced = ghost.filter(|_| lost_power).map_or(end.0, |it| it.synced);
        let stays = |it: &&Record| it.offset < synced.min(end.0);
        let known = known.get(&(topic.clone(), partition));
        partitions.push(Partition {
            name,
            topic: topic.to_string(),
            partition,
            leader: None,
            leader_epoch: known.map(|it| it.partition.leader_epoch.0).max(ghost.map(|it| it.leader_epoch)).unwrap_or(0),
            isr: known.map_or(Vec::new(), |it| names(seen, &it.partition.isr)),
            elr: known.map_or(Vec::new(), |it| names(seen, &it.partition.elr)),
            min_isr: known.map_or(0, |it| it.partition.min_isr).max(ghost.map_or(0, |it| it.min_isr)),
            replicas: match known {
                Some(it) => replicas(world, seen, past, tails, *it),
                None => all_gone(world, ghost, past, seen),
            },
            log_start: start.0,
            high_watermark: high_watermark.0,
            synced: ghost.map_or(start.0, |it| it.synced),
            log_end: end.0,
            records: Arc::new(ghost.iter().flat_map(|it| it.records.iter()).filter(stays).cloned().collect()),
        });
    }
    ordered::sort_by(&mut partitions, |a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    partitions
}

/// A partition as its leader has it, if that runs and has it.
fn led_now(world: &World, seen: &seen::View, past: Past<'_>, tails: &mut Tails, known: Known<'_>) -> Option<Partition> {
    let it = known.partition;
    let place = TopicPartition { topic: known.topic.clone(), partition: it.partition };
    let leader = names(seen, &[it.leader?]).pop()?;
    log_of(seen.brokers.iter().find(|it| *it.name == *leader)?, &place)?;
    let replicas = replicas(world, seen, past, tails, known);
    let log = replicas.iter().find(|it| it.broker == leader)?.clone();
    Some(Partition {
        name: place.to_string(),
        topic: known.topic.to_string(),
        partition: it.partition,
        leader: Some(leader),
        leader_epoch: it.leader_epoch.0,
        isr: names(seen, &it.isr),
        elr: names(seen, &it.elr),
        min_isr: it.min_isr,
        replicas,
        log_start: log.log_start,
        high_watermark: log.high_watermark,
        synced: log.synced,
        log_end: log.log_end,
        records: log.records,
    })
}

/// What each broker that should have a partition has of it; of one that does not run what it had last.
fn replicas(world: &World, seen: &seen::View, past: Past<'_>, tails: &mut Tails, known: Known<'_>) -> Vec<Replica> {
    let it = known.partition;
    let place = TopicPartition { topic: known.topic.clone(), partition: it.partition };
    let name = place.to_string();
    let led: Vec<(i32, String)> = world
        .checks()
        .leaders(&place.topic, it.partition)
        .map(|(epoch, pid)| (epoch, world.name(pid).to_string()))
        .collect();
    let mut replicas = Vec::new();
    for id in &it.replicas {
        let Some(broker) = seen.brokers.iter().find(|it| it.id == *id) else { continue };
        let mut replica = match log_of(broker, &place) {
            Some(log) => Replica {
                broker: broker.name.to_string(),
                is_there: true,
                log_start: log.log_start.0,
                high_watermark: log.high_watermark.0,
                synced: log.synced.0,
                log_end: log.end.0,
                records: tails.newest(world, broker, &place, log),
                ..Replica::default()
            },
            None => gone(world, broker, &place, past),
        };
        replica.standing = match replica.is_there {
            false if is_opening(broker, &place) => Standing::Opening,
            false if replica.standing == Standing::Offline && it.elr.contains(id) => Standing::OfflineEligible,
            false => replica.standing,
            true if it.leader == Some(*id) => Standing::Leader,
            true if is_fenced(*id, seen) => Standing::Fenced,
            true if it.isr.contains(id) => Standing::InSync,
            true if it.elr.contains(id) => Standing::Eligible,
            true => Standing::Behind,
        };
        replica.believes = own_view(broker, &place)
            .filter(|own| own.leader == Some(*id) && (it.leader != Some(*id) || own.leader_epoch < it.leader_epoch))
            .map(|own| own.leader_epoch.0);
        replica.led = led.iter().rfind(|it| it.1 == replica.broker).map(|it| it.0);
        if let Some((_, _, records)) = past.cuts.iter().find(|it| it.0 == replica.broker && it.1 == name) {
            replica.cut = Arc::clone(records);
        }
        replicas.push(replica);
    }
    replicas
}

/// What a broker that does not run had of a partition; of what a power cut or a wiped disk took nothing is left.
fn gone(world: &World, broker: &seen::Broker, place: &TopicPartition, past: Past<'_>) -> Replica {
    let ghost = past.ghosts.iter().find(|it| *it.broker == *broker.name);
    let name = place.to_string();
    let last = ghost.and_then(|it| it.seen.iter().find(|it| it.name == name));
    let last = last.and_then(|it| it.replicas.iter().find(|it| *it.broker == *broker.name));
    let Some(last) = last else { return Replica { broker: broker.name.to_string(), ..Replica::default() } };
    if !world.has_folder(&broker.name, place) {
        return Replica { broker: broker.name.to_string(), standing: Standing::Lost, ..Replica::default() };
    }
    let mut replica = Replica { is_there: false, standing: Standing::Offline, cut: Arc::default(), ..last.clone() };
    let end = match broker.power {
        Power::Dark => replica.synced,
        // One that starts again may have lost its power before.
        it if it.is_up() => {
            let segments = world.folder(&broker.name, place).segments;
            segments.iter().rev().find_map(|it| Some(it.offsets?.1 + 1)).unwrap_or(replica.log_start)
        }
        _ => replica.log_end,
    };
    if replica.log_end > end {
        let stays = |it: &&Record| it.offset < end;
        replica.records = Arc::new(replica.records.iter().filter(stays).cloned().collect());
        replica.log_end = end;
    }
    replica
}

/// The copies of a partition of which nobody who runs knows.
fn all_gone(world: &World, last: Option<&Partition>, past: Past<'_>, seen: &seen::View) -> Vec<Replica> {
    let mut replicas = Vec::new();
    for it in last.iter().flat_map(|it| &it.replicas) {
        if let (Some(broker), Some(last)) = (seen.brokers.iter().find(|broker| *broker.name == *it.broker), last) {
            let place = TopicPartition { topic: (&*last.topic).into(), partition: last.partition };
            replicas.push(Replica { led: it.led, ..gone(world, broker, &place, past) });
        }
    }
    replicas
}

/// A partition as a broker knows it, if it runs.
fn own_view<'a>(broker: &'a seen::Broker, place: &TopicPartition) -> Option<&'a PartitionView> {
    let topic = broker.node.as_ref()?.topics.iter().find(|it| it.name == place.topic)?;
    topic.partitions.iter().find(|it| it.partition == place.partition)
}

/// A broker's log of a partition, if it runs and the log is mounted.
fn log_of<'a>(broker: &'a seen::Broker, place: &TopicPartition) -> Option<&'a LogView> {
    own_view(broker, place)?.log.as_ref()
}

/// True if a broker runs and has not mounted its log of a partition yet, or not even heard of it.
fn is_opening(broker: &seen::Broker, place: &TopicPartition) -> bool {
    broker.node.is_some() && own_view(broker, place).is_none_or(|it| !it.is_offline)
}

/// The names of brokers, by their ids; those of no broker of this world are left out.
fn names(seen: &seen::View, ids: &[NodeId]) -> Vec<String> {
    let name = |id: &NodeId| seen.brokers.iter().find(|it| it.id == *id).map(|it| it.name.to_string());
    ids.iter().filter_map(name).collect()
}

fn records(batch: &seen::Batch, topic: &str) -> impl Iterator<Item = Record> {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let is_groups = topic == GROUPS;
    let leader_epoch = batch.head.leader_epoch.0;
    let (producer_id, base_sequence, base_offset) =
        (batch.head.producer_id.0, batch.head.base_sequence, batch.head.base_offset.0);
    batch.records.iter().map(move |it| Record {
        offset: it.offset.0,
        leader_epoch,
        key: it.key.as_ref().map(|it| group_key(it).filter(|_| is_groups).unwrap_or_else(|| text(it))),
        value: it.value.as_ref().map(|it| if is_groups { format!("{} bytes", it.len()) } else { text(it) }),
        timestamp_ms: it.timestamp.0,
        base_offset,
        producer_id: Some(producer_id).filter(|it| *it >= 0),
        sequence: Some(base_sequence).filter(|it| *it >= 0).map(|base| i64::from(base) + it.offset.0 - base_offset),
    })
}

/// What a key of a group coordinator's record names: its group, and what of it.
fn group_key(key: &[u8]) -> Option<String> {
    let string = |bytes: &[u8]| {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        Some((String::from_utf8_lossy(text).into_owned(), rest.to_vec()))
    };
    let (kind, rest) = key.split_first_chunk::<2>()?;
    let (group, rest) = string(rest)?;
    Some(match u16::from_be_bytes(*kind) {
        0 | 1 => {
            let (topic, rest) = string(&rest)?;
            format!("{group} {topic}-{}", i32::from_be_bytes(*rest.first_chunk()?))
        }
        2 | 3 => format!("{group} group"),
        5 => format!("{group} member"),
        6 | 7 => format!("{group} target"),
        8 => format!("{group} has"),
        16 => format!("{group} pattern"),
        _ => return None,
    })
}

fn client(
    it: &seen::Client,
    seen: &seen::View,
    (groups, partitions): (&[Group], &[Partition]),
    is_to_consume: bool,
) -> Client {
    let positions = it.knows.iter().flat_map(|it| &it.consumer).map(|it| {
        let (partition, offset) = (it.partition.to_string(), it.position.map(|it| it.0));
        let end = partitions.iter().find(|it| it.name == partition).map(|it| it.high_watermark);
        Position { partition, offset, lag: end.zip(offset).map(|(end, at)| (end - at).max(0)) }
    });
    let ready = |it: &&client::ConnectionView| it.state != client::ConnectionState::Connecting;
    // A client that has lost its broker believes in its connection until it is told.
    let reachable = seen.brokers.iter().any(|it| it.power.is_up());
    let tally = it.tally;
    Client {
        name: it.name.to_string(),
        role: match (&it.knows, &it.follows) {
            _ if groups.iter().flat_map(|it| &it.members).any(|member| *member.client == *it.name) => Role::Consumer,
            (_, Some(_)) => Role::Consumer,
            _ if is_to_consume => Role::Consumer,
            (Some(knows), None) if !knows.consumer.is_empty() => Role::Consumer,
            (_, None) if it.wire.is_some() => Role::Wire,
            (_, None) => Role::Producer,
        },
        state: state(it.power, it.paused, true),
        connected: reachable && it.knows.as_ref().is_some_and(|it| it.connections.iter().any(|it| ready(&it))),
        ok: tally.ok,
        failed: tally.failed,
        unknown: tally.unknown,
        pending: tally.sent - tally.ok - tally.failed - tally.unknown,
        consumed: it.consumed_total,
        slow_us: it.slow_us,
        load: it.load.clone(),
        every_us: it.every_us,
        answers: it.wire.unwrap_or(0),
        last_answer: it.last_answer.clone().filter(|_| it.wire.is_some()),
        positions: positions.collect(),
    }
}

/// What is on its way between those whom a person sees.
pub(crate) fn messages(seen: &[seen::Message]) -> Vec<Message> {
    seen.iter().filter(|it| it.from != *ADMIN && it.to != *ADMIN).map(message).collect()
}

pub(crate) fn message(it: &seen::Message) -> Message {
    let (what, is_answer) = match it.what {
        MessageKind::Request(api, _) => (api.name(), false),
        MessageKind::Response(api, _) => (api.name(), true),
        MessageKind::Close => (CLOSED, false),
    };
    Message {
        id: it.id().to_string(),
        from: it.from.to_string(),
        to: it.to.to_string(),
        what,
        is_answer,
        sent_us: it.sent.0,
        arrives_us: it.arrives.0,
        stalled: it.stalled,
        is_idle: it.is_idle,
    }
}
