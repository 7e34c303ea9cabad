//! What a script can ask a world, and the words in which it answers.

use std::fmt;

use bytes::Bytes;
use client::Outcome;
use protocol::records::{self, PureCompressors, Record};
use protocol::{Offset, Str, TopicPartition};
use storage::{Disk, Done, Seek, StoreOp};

use super::quote::Quoted;
use crate::ask;
use crate::check::{Check, Told};
use crate::queue::Pid;
use crate::world::World;

/// A question to a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The values of a partition's records, as they are on the leader's disk, or on a broker's.
    Log(TopicPartition, Option<Str>),
    /// A partition's first offset.
    Start(TopicPartition, Option<Str>),
    /// A partition's high watermark, the highest that a leader told, or as a broker knows it.
    HighWatermark(TopicPartition, Option<Str>),
    /// One past a partition's last record.
    End(TopicPartition, Option<Str>),
    /// The epoch of each of a broker's records of a partition.
    Epochs(TopicPartition, Str),
    /// Who leads a partition, as far as is committed; `none` if nobody does.
    Leader(TopicPartition),
    /// How often that changed.
    LeaderEpoch(TopicPartition),
    /// Who is in sync, in the order of their ids.
    Isr(TopicPartition),
    /// Who is not, and eligible to lead all the same (KIP-966), likewise.
    Elr(TopicPartition),
    /// Who has a partition, in the order of preference: `+` before who is being added, `-` before who is being removed.
    Replicas(TopicPartition),
    /// Who leads the metadata quorum.
    Controller,
    /// Who runs and votes in the metadata quorum, as far as it knows itself.
    Voters,
    /// `fenced` or `unfenced`, as far as is committed.
    Fenced(Str),
    /// Partitions whose replicas are not all in sync, or do not have the same log; nothing when all is well.
    Behind,
    /// What a producer was told about a record, and its offset.
    Outcome(Str, u64),
    /// How often a record was appended.
    Appended(Str, u64),
    /// The values that a consumer was given, the last 64 at most.
    Consumed(Str),
    /// A wire client's answer: error code and what goes with it.
    Answer(Str, u64),
    /// What became of the last thing that a client was asked for, records to send apart.
    Last(Str),
    /// What the coordinator says of a group, in Kafka's words; `none` if nobody coordinates it.
    Group(Str),
    /// Whom the coordinator counts among the members, in order of creation.
    Members(Str),
    /// What is not as it should be in a group that is left in peace: partitions without one owner, members that are on their way.
    Unsettled(Str),
    /// For how long partitions of a group were read by nobody, after somebody did, in all.
    Paused(Str),
    /// What a consumer believes to be its own.
    Owned(Str),
    /// The generation or member epoch that a consumer believes in.
    Epoch(Str),
    /// What a group has committed in a partition; `none` if nothing.
    Committed(TopicPartition, Str),
    /// From there to the high watermark; `-` if nothing is committed.
    Lag(TopicPartition, Str),
    /// How a check stands.
    Check(Check),
    /// How many acknowledged records are lost.
    Lost,
    /// How many losses, repeats and reorders the settings allowed.
    Allowed,
}

impl Query {
    pub(super) fn check(name: &str) -> Option<Query> {
        Check::ALL.into_iter().find(|it| it.name() == name).map(Query::Check)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Log(partition, broker) => write!(f, "log {partition}{}", On(broker)),
            Query::Start(partition, broker) => write!(f, "start {partition}{}", On(broker)),
            Query::HighWatermark(partition, broker) => write!(f, "high-watermark {partition}{}", On(broker)),
            Query::End(partition, broker) => write!(f, "end {partition}{}", On(broker)),
            Query::Epochs(partition, broker) => write!(f, "epochs {partition} on {broker}"),
            Query::Leader(partition) => write!(f, "leader {partition}"),
            Query::LeaderEpoch(partition) => write!(f, "leader-epoch {partition}"),
            Query::Isr(partition) => write!(f, "isr {partition}"),
            Query::Elr(partition) => write!(f, "elr {partition}"),
            Query::Replicas(partition) => write!(f, "replicas {partition}"),
            Query::Controller => f.write_str("controller"),
            Query::Voters => f.write_str("voters"),
            Query::Fenced(broker) => write!(f, "fenced {broker}"),
            Query::Behind => f.write_str("behind"),
            Query::Outcome(client, number) => write!(f, "outcome {client} {number}"),
            Query::Appended(client, number) => write!(f, "appended {client} {number}"),
            Query::Consumed(client) => write!(f, "consumed {client}"),
            Query::Answer(client, number) => write!(f, "answer {client} {number}"),
            Query::Last(client) => write!(f, "last {client}"),
            Query::Group(group) => write!(f, "group {group}"),
            Query::Members(group) => write!(f, "members {group}"),
            Query::Unsettled(group) => write!(f, "unsettled {group}"),
            Query::Paused(group) => write!(f, "paused {group}"),
            Query::Owned(client) => write!(f, "owned {client}"),
            Query::Epoch(client) => write!(f, "epoch {client}"),
            Query::Committed(partition, group) => write!(f, "committed {partition} in {group}"),
            Query::Lag(partition, group) => write!(f, "lag {partition} in {group}"),
            Query::Check(check) => write!(f, "check {}", check.name()),
            Query::Lost => f.write_str("lost"),
            Query::Allowed => f.write_str("allowed"),
        }
    }
}

/// On which broker, if one is named.
struct On<'a>(&'a Option<Str>);

impl fmt::Display for On<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |broker| write!(f, " on {broker}"))
    }
}

impl World {
    /// Answers a question in words. `Err` says why it cannot.
    pub fn ask(&self, query: &Query) -> Result<Vec<String>, String> {
        match query {
            Query::Log(partition, broker) => {
                let log = self.log_on(partition, broker.as_ref())?;
                Ok(log.iter().map(|it| value_word(it.value.as_ref())).collect())
            }
            Query::Start(partition, None) => self.end_of(partition, |(start, ..)| start),
            Query::HighWatermark(partition, None) => self.end_of(partition, |(_, high_watermark, _)| high_watermark),
            Query::End(partition, None) => self.end_of(partition, |(.., end)| end),
            Query::Start(partition, Some(broker)) => Ok(vec![self.replica(partition, broker)?.log_start.to_string()]),
            Query::HighWatermark(partition, Some(broker)) => {
                Ok(vec![self.replica(partition, broker)?.high_watermark.to_string()])
            }
            Query::End(partition, Some(broker)) => Ok(vec![self.replica(partition, broker)?.end.to_string()]),
            Query::Epochs(partition, broker) => self.epochs(partition, broker),
            Query::Leader(partition) => {
                let leader = self.partition_view(partition)?.leader;
                Ok(vec![leader.map_or("none".to_owned(), |id| self.broker_name(id))])
            }
            Query::LeaderEpoch(partition) => Ok(vec![self.partition_view(partition)?.leader_epoch.to_string()]),
            Query::Isr(partition) => Ok(self.names_of(self.partition_view(partition)?.isr)),
            Query::Elr(partition) => Ok(self.names_of(self.partition_view(partition)?.elr)),
            Query::Replicas(partition) => self.replicas(partition),
            Query::Controller => {
                Ok(vec![self.active_controller().map_or("none".to_owned(), |pid| self.name(pid).to_string())])
            }
            Query::Voters => Ok(self.voters()),
            Query::Fenced(broker) => self.fenced(broker),
            Query::Behind => Ok(self.behind()),
            Query::Outcome(client, number) => self.outcome(client, *number),
            Query::Appended(client, number) => {
                let pid = self.pid(client).map_err(|error| error.0)?;
                let fate = self.checks.fate(pid, *number);
                Ok(vec![fate.map_or(0, |fate| fate.appended).to_string()])
            }
            Query::Consumed(client) => {
                let pid = self.pid(client).map_err(|error| error.0)?;
                let actor = self.process(pid).actor().ok_or(format!("{client} is not a consumer"))?;
                Ok(actor.consumed.iter().map(|it| value_word(it.record.value.as_ref())).collect())
            }
            Query::Answer(client, number) => self.answer(client, *number),
            Query::Last(client) => {
                self.pid(client).map_err(|error| error.0)?;
                let answer = self.last_answer(client).ok_or(format!("{client} was asked for nothing yet"))?;
                Ok(answer.split_whitespace().map(str::to_owned).collect())
            }
            Query::Group(_)
            | Query::Members(_)
            | Query::Unsettled(_)
            | Query::Paused(_)
            | Query::Owned(_)
            | Query::Epoch(_)
            | Query::Committed(..)
            | Query::Lag(..) => self.ask_group(query),
            Query::Check(check) => {
                Ok(vec![if self.checks.broken_by(*check).is_some() { "broken" } else { "holds" }.to_owned()])
            }
            Query::Lost => Ok(vec![self.checks.acked_lost().to_string()]),
            Query::Allowed => Ok(vec![self.checks.allowed().to_string()]),
        }
    }

    fn end_of(
        &self,
        partition: &TopicPartition,
        which: impl Fn((Offset, Offset, Offset)) -> Offset,
    ) -> Result<Vec<String>, String> {
        let found = self.checks.ends().find(|it| *it.0 == partition.topic && it.1 == partition.partition);
        let (.., start, high_watermark, end) = found.ok_or(format!("no broker has {partition}"))?;
        Ok(vec![which((start, high_watermark, end)).to_string()])
    }

    fn outcome(&self, client: &Str, number: u64) -> Result<Vec<String>, String> {
        let pid = self.pid(client).map_err(|error| error.0)?;
        let fate = self.checks.fate(pid, number).ok_or(format!("{client} has sent no record {number}"))?;
        let mut words = vec![fate.told.word().to_owned()];
        if let (Told::Ok, Some(offset)) = (fate.told, fate.offset) {
            words.push(offset.to_string());
        }
        Ok(words)
    }

    fn answer(&self, client: &Str, number: u64) -> Result<Vec<String>, String> {
        let pid = self.pid(client).map_err(|error| error.0)?;
        let wire = self.process(pid).wire().ok_or(format!("{client} is not a wire client"))?;
        let response = usize::try_from(number).ok().and_then(|it| wire.answers.get(it));
        let response = response.ok_or(format!("{client} has no answer {number}"))?;
        Ok(ask::words(&response.body, &|id| self.broker_name(id)))
    }

    /// A partition's records from the disk of its leader, or of a broker that has it if nobody leads.
    pub fn log(&self, partition: &TopicPartition) -> Result<Vec<Record>, String> {
        self.log_on(partition, None)
    }

    fn log_on(&self, partition: &TopicPartition, broker: Option<&Str>) -> Result<Vec<Record>, String> {
        let mut records = Vec::new();
        let pieces = match broker {
            Some(broker) => {
                let pid = self.broker_pid(broker).map_err(|error| error.0)?;
                self.bytes_on(pid, partition, Offset(0), u32::MAX)?.ok_or(format!("{broker} has no {partition}"))?
            }
            None => self.log_bytes(partition, Offset(0), u32::MAX)?,
        };
        for bytes in pieces {
            for batch in records::read(&bytes, &PureCompressors) {
                let (_, batch) = batch.map_err(|error| format!("{partition}: {error}"))?;
                records.extend(batch);
            }
        }
        Ok(records)
    }

    /// The bytes of a partition's batches from an offset on, from its leader if it has one.
    pub(crate) fn log_bytes(&self, partition: &TopicPartition, from: Offset, max: u32) -> Result<Vec<Bytes>, String> {
        let reader = self.reader_pid(partition).map(|pid| self.bytes_on(pid, partition, from, max));
        reader.transpose()?.flatten().ok_or_else(|| format!("no broker that runs has {partition}"))
    }

    /// The broker whose copy of a partition counts: its leader, or another that runs while that has none.
    pub fn reader_of(&self, partition: &TopicPartition) -> Option<&Str> {
        self.reader_pid(partition).map(|pid| self.name(pid))
    }

    fn reader_pid(&self, partition: &TopicPartition) -> Option<Pid> {
        let leader = self.partition_view(partition).ok().and_then(|it| it.leader).and_then(|id| self.pid_of(id));
        let others = (0..self.processes.len()).map(|index| Pid(index as u16));
        leader.into_iter().chain(others).find(|pid| self.log_view(*pid, partition).is_some())
    }

    /// The same from a broker's disk; `None` if it does not run or has no such log.
    pub(crate) fn bytes_on(
        &self,
        pid: Pid,
        partition: &TopicPartition,
        from: Offset,
        max: u32,
    ) -> Result<Option<Vec<Bytes>>, String> {
        let Some(broker) = self.process(pid).broker() else { return Ok(None) };
        let Some(log) = self.log_view(pid, partition) else { return Ok(None) };
        // The store is shared with its copy; the question changes nothing in the world.
        let mut store = broker.store.clone();
        let era = broker.eras.get(&log.id).copied().unwrap_or_default();
        let mut pieces = Vec::new();
        let (mut next, mut left) = (from.max(log.log_start), max);
        while next < log.written && left > 0 {
            let seek = Seek::Read { offset: next, limit: log.written, max_bytes: left.min(1 << 20) };
            let found = store.execute(StoreOp::Find(log.id, era, seek)).map_err(|error| error.to_string())?;
            let Done::Found(regions) = found else {
                return Err("a search was answered with something else".into());
            };
            if regions.is_empty() {
                break;
            }
            for region in regions {
                let place = store.resolve(region).map_err(|error| error.to_string())?;
                let bytes = store.disk().read_at(&place.file, place.at, place.len as usize);
                let bytes = bytes.map_err(|error| error.to_string())?;
                left = left.saturating_sub(region.len);
                for batch in records::read(&bytes, &PureCompressors) {
                    next = batch.map_err(|error| error.to_string())?.0.next_offset();
                }
                pieces.push(bytes);
            }
        }
        Ok(Some(pieces))
    }

    /// The outcome of a client's last operation that was no send, in words.
    pub fn last_answer(&self, client: &str) -> Option<String> {
        let actor = self.process(self.pid(client).ok()?).actor()?;
        actor.answers.back().map(|(_, outcome)| outcome_words(outcome))
    }
}

/// An outcome in words.
pub(crate) fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(_) => "ok".to_owned(),
        Outcome::Failed(failure) => format!("failed: {}", failure.cause.word()),
        Outcome::Unknown(failure) => format!("unknown: {}", failure.cause.word()),
    }
}

pub(crate) fn value_word(value: Option<&Bytes>) -> String {
    value.map_or("null".to_owned(), |value| match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => Quoted(value).to_string(),
    })
}
