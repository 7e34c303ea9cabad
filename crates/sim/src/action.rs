//! Everything that a person can do to a world. Each action is one line of text; `script` reads them.

use std::fmt;

use bytes::Bytes;
use protocol::{ApiKey, Offset, Str, TopicPartition};

use crate::link::LinkId;
use crate::script::quote::{Duration, Quoted};
use crate::setup::Setting;

/// Something done to a world from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client that produces begins.
    Producer(Str, Vec<Setting>),
    /// A client that consumes begins.
    Consumer(Str, Vec<Setting>),
    /// A client that says exactly what it is told, to one broker.
    Wire(Str, Str),
    /// The admin creates a topic.
    CreateTopic(CreateTopic),
    /// The admin changes a topic's configuration.
    AlterTopic(Str, Vec<Setting>),
    /// The admin changes a broker's configuration.
    AlterBroker(Str, Vec<Setting>),
    /// The admin gives a topic more partitions: how many it is to have in all.
    AddPartitions(Str, i32),
    /// The admin deletes a topic.
    DeleteTopic(Str),
    /// The admin gives up records below an offset.
    DeleteRecords(TopicPartition, Offset),
    /// A producer sends a record.
    Produce(Produce),
    /// A producer sends records on its own from now on.
    Load(Load),
    /// It stops doing so.
    Unload(Str),
    /// A consumer reads these partitions from now on.
    Assign(Str, Vec<TopicPartition>),
    /// A consumer goes on reading elsewhere.
    Seek(Str, TopicPartition, SeekTo),
    /// A consumer asks for records once: how long it waits, in ms.
    Poll(Str, i64),
    /// A consumer reads all partitions of a topic from now on, without end.
    Follow(Str, Str),
    /// A consumer becomes a member of its group, which shares the partitions of these topics out, and polls when it is told to.
    Subscribe(Str, Vec<Str>),
    /// The application of a consumer is so long at each record that a poll brings, in µs.
    Slow(Str, u64),
    /// A consumer commits for its group: an offset of a partition, or its position in every partition.
    Commit(Str, Option<(TopicPartition, Offset)>),
    /// A client ends in good order.
    Close(Str),
    /// A wire client asks for a producer id.
    InitProducerId(Str),
    /// A wire client asks for an election: of the preferred leader, or of anyone alive.
    Elect(Str, Election, TopicPartition),
    /// A wire client asks for other replicas of a partition; nobody named gives up what is being done.
    Reassign(Str, TopicPartition, Vec<Str>),
    /// A wire client asks its broker to keep a replica in another of its log directories.
    MoveReplica(Str, TopicPartition, Str),
    /// A wire client asks that a controller vote from now on.
    AddVoter(Str, Str),
    /// A wire client asks that a controller vote no more.
    RemoveVoter(Str, Str),
    /// A wire client produces a batch of its own making.
    WireProduce(WireProduce),
    /// A wire client asks something.
    WireAsk(WireAsk),
    /// A process starts.
    Start(Str),
    /// A process dies (a crash, `kill -9`): the page cache stays.
    Kill(Str),
    /// A machine loses its power: what was not synced is gone, and nobody is told.
    PowerCut(Str),
    /// A machine loses its power in the middle of its writes: some of what was not synced is there afterwards, in no order.
    PowerCutTorn(Str),
    /// A broker begins a controlled shutdown.
    Stop(Str),
    /// A process stands still (a garbage collection, a frozen virtual machine).
    Pause(Str),
    /// It goes on.
    Resume(Str),
    /// A broker that does not run loses its disk: it comes back empty, under its old id.
    Wipe(Str),
    /// No packet passes between two processes.
    Cut(Str, Str),
    /// No packet passes from the first to the second; those the other way do.
    CutOneWay(Str, Str),
    /// Packets pass again.
    Heal(Str, Str),
    /// Packets between two processes take so much longer, in µs.
    Delay(Str, Str, u64),
    /// A broker's disk takes so much longer for each operation, in µs.
    SlowDisk(Str, u64),
    /// A broker's disk takes no more bytes.
    DiskFull(Str),
    /// From now on a broker's disk fails at each call of a kind.
    DiskError(Str, DiskFault),
    /// One of a broker's log directories, counted from 1, can be neither read nor written any more.
    LoseDirectory(Str, u16),
    /// A broker's disk has room again and fails no more.
    DiskHeal(Str),
    /// A bit of a broker's files of a partition flips on the platter, so many bytes before the end of the records.
    BitRot(Str, TopicPartition, u64),
    /// A process's wall clock jumps, in ms.
    SkewClock(Str, i64),
    /// The connection breaks with the next answer of an API to a client, and the answer is lost.
    DropResponse(ApiKey, Str),
    /// A bit of the records in the next request of an API from a client flips on its way.
    CorruptRequest(ApiKey, Str),
    /// A message that is on its way now is lost, and its connection breaks.
    DropMessage(MessageId),
    /// A message that is on its way now arrives now, after those that were sent before it on its connection.
    DeliverMessage(MessageId),
}

impl Action {
    /// True for what the admin asks the cluster: a while later there is an answer.
    pub fn asks_cluster(&self) -> bool {
        matches!(
            self,
            Action::CreateTopic(..)
                | Action::AlterTopic(..)
                | Action::AlterBroker(..)
                | Action::AddPartitions(..)
                | Action::DeleteTopic(_)
                | Action::DeleteRecords(..)
        )
    }
}

/// A message of a run: its connection, its correlation id, and which way it goes. Written `3/12/answer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageId {
    /// Its connection.
    pub link: LinkId,
    /// Its correlation id; -1 for the end of the connection.
    pub number: i32,
    /// It answers a request.
    pub is_answer: bool,
}

impl MessageId {
    /// As it is written; nothing if it is not.
    pub fn parse(text: &str) -> Option<MessageId> {
        let mut parts = text.split('/');
        let (link, number) = (LinkId(parts.next()?.parse().ok()?), parts.next()?.parse().ok()?);
        let is_answer = match (parts.next()?, parts.next()) {
            ("request", None) => false,
            ("answer", None) => true,
            _ => return None,
        };
        Some(MessageId { link, number, is_answer })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.link.0, self.number, if self.is_answer { "answer" } else { "request" })
    }
}

/// Whom a partition is to get as its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// Its first replica.
    Preferred,
    /// Anyone alive, though records may be lost.
    Unclean,
}

impl Election {
    /// All of them, in the order of Kafka's numbers.
    pub const ALL: [Election; 2] = [Election::Preferred, Election::Unclean];

    /// As an action names it.
    pub fn word(self) -> &'static str {
        match self {
            Election::Preferred => "preferred",
            Election::Unclean => "unclean",
        }
    }
}

/// What a disk fails at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Reading.
    Read,
    /// Writing: half of the bytes arrive.
    Write,
    /// Syncing.
    Sync,
}

impl DiskFault {
    /// All of them.
    pub const ALL: [DiskFault; 3] = [DiskFault::Read, DiskFault::Write, DiskFault::Sync];

    /// As an action names it.
    pub fn word(self) -> &'static str {
        match self {
            DiskFault::Read => "read",
            DiskFault::Write => "write",
            DiskFault::Sync => "sync",
        }
    }
}

/// A topic to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTopic {
    /// Its name.
    pub name: Str,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each; as many as there are brokers, and three at most, if nothing is said.
    pub replication: Option<i16>,
    /// The brokers of each partition, the preferred leader first; empty if the controller is to choose.
    pub replicas: Vec<Vec<Str>>,
    /// Configuration.
    pub settings: Vec<Setting>,
}

impl fmt::Display for CreateTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} partitions={}", self.name, self.partitions)?;
        if let Some(replication) = self.replication {
            write!(f, " replication={replication}")?;
        }
        for replicas in &self.replicas {
            let names: Vec<&str> = replicas.iter().map(|it| &**it).collect();
            write!(f, " replicas={}", names.join(","))?;
        }
        write_settings(f, &self.settings)
    }
}

/// A record to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Produce {
    /// Who sends it.
    pub client: Str,
    /// Where to.
    pub topic: Str,
    /// Where to exactly, if the partitioner is not to choose.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; without one it is a tombstone.
    pub value: Option<Bytes>,
}

/// Bytes of a workload's record at most. It is a limit of ours: what a producer takes is for its `max.request.size` to say.
pub const LARGEST: u32 = 1 << 20;

/// A workload of a producer. Its values name the producer and count: `p1-0`, `p1-1` …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Who sends.
    pub client: Str,
    /// Where to.
    pub topic: Str,
    /// One record each so many µs on average.
    pub every_us: u64,
    /// How many, if not without end.
    pub count: Option<u64>,
    /// How many different keys; 0 for none.
    pub keys: u32,
    /// At least so many bytes a value.
    pub size: u32,
}

/// A produce request by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireProduce {
    /// Who sends it.
    pub client: Str,
    /// Where to.
    pub partition: TopicPartition,
    /// `acks` as on the wire.
    pub acks: i16,
    /// Producer id, epoch and first sequence.
    pub producer: Option<(i64, i16, i32)>,
    /// The records.
    pub values: Vec<Bytes>,
}

/// A question by hand; `ask.rs` says which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireAsk {
    /// Who asks.
    pub client: Str,
    /// What.
    pub api: ApiKey,
    /// About what.
    pub fields: Vec<Setting>,
}

/// Where a consumer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// At the first record.
    Beginning,
    /// After the last record.
    End,
    /// There.
    Offset(Offset),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Producer(name, settings) => write!(f, "producer {name}").and_then(|()| write_settings(f, settings)),
            Action::Consumer(name, settings) => write!(f, "consumer {name}").and_then(|()| write_settings(f, settings)),
            Action::Wire(name, broker) => write!(f, "wire {name} {broker}"),
            Action::CreateTopic(it) => it.fmt(f),
            Action::AlterTopic(name, settings) => write!(f, "alter {name}").and_then(|()| write_settings(f, settings)),
            Action::AlterBroker(name, settings) => {
                write!(f, "alter-broker {name}").and_then(|()| write_settings(f, settings))
            }
            Action::AddPartitions(name, count) => write!(f, "partitions {name} {count}"),
            Action::DeleteTopic(name) => write!(f, "delete topic {name}"),
            Action::DeleteRecords(partition, offset) => write!(f, "delete records {partition} before {offset}"),
            Action::Produce(it) => it.fmt(f),
            Action::Load(it) => it.fmt(f),
            Action::Unload(client) => write!(f, "unload {client}"),
            Action::Assign(client, partitions) => {
                write!(f, "assign {client}")?;
                partitions.iter().try_for_each(|partition| write!(f, " {partition}"))
            }
            Action::Seek(client, partition, to) => match to {
                SeekTo::Beginning => write!(f, "seek {client} {partition} beginning"),
                SeekTo::End => write!(f, "seek {client} {partition} end"),
                SeekTo::Offset(offset) => write!(f, "seek {client} {partition} {offset}"),
            },
            Action::Poll(client, timeout_ms) => write!(f, "poll {client} {timeout_ms}ms"),
            Action::Follow(client, topic) => write!(f, "follow {client} {topic}"),
            Action::Subscribe(client, topics) => {
                write!(f, "subscribe {client}")?;
                topics.iter().try_for_each(|topic| write!(f, " {topic}"))
            }
            Action::Slow(client, us) => write!(f, "slow {client} {}", Duration(*us)),
            Action::Commit(client, None) => write!(f, "commit {client}"),
            Action::Commit(client, Some((partition, offset))) => write!(f, "commit {client} {partition} {offset}"),
            Action::Close(client) => write!(f, "close {client}"),
            Action::InitProducerId(client) => write!(f, "init-producer-id {client}"),
            Action::Elect(client, election, partition) => write!(f, "elect {client} {} {partition}", election.word()),
            Action::Reassign(client, partition, replicas) => {
                let replicas: Vec<&str> = replicas.iter().map(|it| &**it).collect();
                let to = if replicas.is_empty() { "cancel".to_owned() } else { replicas.join(",") };
                write!(f, "reassign {client} {partition} {to}")
            }
            Action::MoveReplica(client, partition, dir) => write!(f, "move {client} {partition} {dir}"),
            Action::AddVoter(client, node) => write!(f, "add-voter {client} {node}"),
            Action::RemoveVoter(client, node) => write!(f, "remove-voter {client} {node}"),
            Action::WireProduce(it) => it.fmt(f),
            Action::WireAsk(it) => {
                write!(f, "ask {} {}", it.client, it.api.name()).and_then(|()| write_settings(f, &it.fields))
            }
            Action::Start(name) => write!(f, "start {name}"),
            Action::Kill(name) => write!(f, "kill {name}"),
            Action::PowerCut(name) => write!(f, "power-cut {name}"),
            Action::PowerCutTorn(name) => write!(f, "power-cut {name} torn"),
            Action::Stop(name) => write!(f, "stop {name}"),
            Action::Pause(name) => write!(f, "pause {name}"),
            Action::Resume(name) => write!(f, "resume {name}"),
            Action::Wipe(name) => write!(f, "wipe {name}"),
            Action::Cut(a, b) => write!(f, "cut {a} {b}"),
            Action::CutOneWay(from, to) => write!(f, "cut {from} -> {to}"),
            Action::Heal(a, b) => write!(f, "heal {a} {b}"),
            Action::Delay(a, b, us) => write!(f, "delay {a} {b} {}", Duration(*us)),
            Action::SlowDisk(name, us) => write!(f, "slow-disk {name} {}", Duration(*us)),
            Action::DiskFull(name) => write!(f, "disk-full {name}"),
            Action::DiskError(name, fault) => write!(f, "disk-error {name} {}", fault.word()),
            Action::LoseDirectory(name, dir) => write!(f, "lose-directory {name} {dir}"),
            Action::DiskHeal(name) => write!(f, "disk-heal {name}"),
            Action::BitRot(name, partition, at) => write!(f, "bit-rot {name} {partition} {at}"),
            Action::SkewClock(name, ms) => write!(f, "skew-clock {name} {ms}"),
            Action::DropResponse(api, client) => write!(f, "drop next response of {} to {client}", api.name()),
            Action::CorruptRequest(api, client) => write!(f, "corrupt next request of {} from {client}", api.name()),
            Action::DropMessage(id) => write!(f, "drop message {id}"),
            Action::DeliverMessage(id) => write!(f, "deliver message {id}"),
        }
    }
}

impl fmt::Display for Produce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "produce {} {}", self.client, self.topic)?;
        if let Some(partition) = self.partition {
            write!(f, " partition={partition}")?;
        }
        if let Some(key) = &self.key {
            write!(f, " key={}", Quoted(key))?;
        }
        match &self.value {
            Some(value) => write!(f, " value={}", Quoted(value)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "load {} {} every={}", self.client, self.topic, Duration(self.every_us))?;
        if let Some(count) = self.count {
            write!(f, " count={count}")?;
        }
        write!(f, " keys={} size={}", self.keys, self.size)
    }
}

impl fmt::Display for WireProduce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wire-produce {} {} acks={}", self.client, self.partition, self.acks)?;
        if let Some((id, epoch, sequence)) = self.producer {
            write!(f, " producer={id} epoch={epoch} sequence={sequence}")?;
        }
        self.values.iter().try_for_each(|value| write!(f, " value={}", Quoted(value)))
    }
}

pub(crate) fn write_settings(f: &mut fmt::Formatter<'_>, settings: &[Setting]) -> fmt::Result {
    settings.iter().try_for_each(|(key, value)| write!(f, " {key}={}", Quoted(value.as_bytes())))
}
