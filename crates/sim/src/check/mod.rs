//! What must hold, checked live from what processes say; the world itself is never searched.
//!
//! The checks keep a ledger: which records were sent, where each was appended, what became of it. From that follows, for
//! every record that was lost or repeated, whether it is a loss that the settings allow or a bug.

mod cluster;
mod group_log;
mod groups;
mod kind;
mod ledger;
mod logs;
mod repeats;
mod replica;
mod sends;
mod sessions;
mod targets;
#[cfg(test)]
mod tests;

use client::{Answer, ConsumerRecord, GroupEvent, Outcome};
use node::Coordinated;
use ordered::{Map, Set};
use protocol::messages::{FetchResponse, OffsetCommitRequest, OffsetForLeaderEpochResponse};
use protocol::records::{BatchHead, Records};
use protocol::{Instant, NodeId, Offset, ResponseBody, Str, TopicPartition, Uuid};

use crate::chunked::Chunked;
use crate::digest::Digest;
use crate::exhibit::Exhibit;
use crate::queue::Pid;
use crate::setup::Setting;

pub use kind::{Check, Verdict};
use ledger::{Author, ClientLedger, PartitionLedger, Sent};
pub(crate) use ledger::{Origins, Rot};
pub use sends::Became;
pub(crate) use sends::ENDED;

/// Findings that are kept; later ones are only counted.
const FINDINGS: usize = 256;

/// Records that were lost, repeated or reordered, or another broken check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The event that showed it.
    pub event: u64,
    /// What it is about.
    pub check: Check,
    /// What it says about the contract.
    pub verdict: Verdict,
    /// For people.
    pub what: String,
    /// How many acknowledged records are lost by it.
    pub acked: u64,
    /// The partition of which they are.
    pub partition: Option<TopicPartition>,
}

/// How the records of a client stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records handed to the producer.
    pub sent: u64,
    /// Done.
    pub ok: u64,
    /// Not done.
    pub failed: u64,
    /// Nobody knows.
    pub unknown: u64,
}

/// How one record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What its producer was told.
    pub told: Told,
    /// Where it was appended first.
    pub offset: Option<Offset>,
    /// How often it was appended.
    pub appended: u8,
}

/// What a client was told about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    Pending,
    /// Ok.
    Ok,
    /// Failed.
    Failed,
    /// Unknown.
    Unknown,
}

impl Told {
    /// An outcome in one of the three words that a client can say.
    pub(crate) fn of(outcome: &Outcome) -> Told {
        match outcome {
            Outcome::Ok(_) => Told::Ok,
            Outcome::Failed(_) => Told::Failed,
            Outcome::Unknown(_) => Told::Unknown,
        }
    }

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Told::Pending => "pending",
            Told::Ok => "ok",
            Told::Failed => "failed",
            Told::Unknown => "unknown",
        }
    }
}

/// All checks, and the ledger behind them.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    clients: Vec<Option<ClientLedger>>,
    partitions: Vec<PartitionLedger>,
    origins: Origins,
    topics: Map<Str, Promise>,
    /// Topics that are no more: their logs say nothing about others of the same name.
    retired: Set<Uuid>,
    /// Who led each epoch of the metadata quorum.
    controllers: Map<i32, Pid>,
    quorum: cluster::QuorumLedger,
    /// Unclean elections that were asked for and not answered: by whom, in which of its requests.
    unclean_asked: Vec<(Pid, i32, TopicPartition)>,
    /// Consumer groups.
    groups: Map<Str, groups::GroupLedger>,
    /// Commits of wire clients that are not answered: by whom, in which of its requests.
    wire_commits: Vec<(Pid, i32, OffsetCommitRequest)>,
    nodes: Map<NodeId, Pid>,
    sessions: sessions::Sessions,
    /// Of the nodes, by their processes.
    names: Map<Pid, Str>,
    /// How far the committed metadata was looked at.
    metadata_offset: Offset,
    /// What the world's nodes do as it once was done.
    pub(crate) exhibit: Option<Exhibit>,
    findings: Vec<Finding>,
    /// Why records were not written, or may not have been: each reason once.
    reasons: Vec<Str>,
    /// How many findings of each verdict there were: allowed ones and bugs.
    allowed: u64,
    bugs: u64,
    acked: u64,
}

/// What a topic's settings promise.
#[derive(Clone, Debug)]
struct Promise {
    /// Every acknowledgement waits for the disk: made with `flush.messages=1`, and never without since.
    durable: bool,
    /// `min.insync.replicas`, the lowest that it ever had, or all replicas if it ever had fewer.
    min_isr: usize,
    /// `unclean.leader.election.enable` was ever true.
    unclean: bool,
    /// The topic of this name that was looked at; zero before there was one.
    topic_id: Uuid,
}

impl Default for Promise {
    fn default() -> Promise {
        Promise { durable: false, min_isr: 1, unclean: false, topic_id: Uuid::ZERO }
    }
}

impl Checks {
    /// The first promise that was broken, if any was.
    pub fn broken(&self) -> Option<&Finding> {
        self.findings.iter().find(|it| it.verdict == Verdict::Bug)
    }

    /// The finding that broke a check.
    pub fn broken_by(&self, check: Check) -> Option<&Finding> {
        self.findings.iter().find(|it| it.verdict == Verdict::Bug && it.check == check)
    }

    /// What was found, oldest first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many losses, repeats and reorders were found that the settings allow.
    pub fn allowed(&self) -> u64 {
        self.allowed
    }

    /// True if records were deleted from a log as somebody asked: by retention, compaction or hand.
    pub fn has_deleted(&self) -> bool {
        self.partitions.iter().any(|it| it.log_start > 0 || it.compacted)
    }

    /// How many records were acknowledged, with their offsets.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// How a client's records stand.
    pub fn tally(&self, client: Pid) -> Tally {
        self.client_of(client).map(|it| it.tally).unwrap_or_default()
    }

    /// How one of a client's records stands.
    pub fn fate(&self, client: Pid, number: u64) -> Option<Fate> {
        let sent = self.client_of(client)?.sent.at(usize::try_from(number).ok()?)?;
        let offset = (sent.offset >= 0).then_some(Offset(sent.offset));
        Some(Fate { told: sent.told, offset, appended: sent.appended })
    }

    /// The partitions that were ever mounted, with their ends: topic, partition, log start, high watermark, log end.
    pub fn ends(&self) -> impl Iterator<Item = (&Str, i32, Offset, Offset, Offset)> {
        self.partitions
            .iter()
            .map(|it| (&it.topic, it.partition, Offset(it.log_start), Offset(it.high_watermark), Offset(it.end())))
    }

    /// How many partitions of a topic were ever mounted.
    pub(crate) fn partitions_of(&self, topic: Uuid) -> i32 {
        self.partitions.iter().filter(|it| it.topic_id == topic).count() as i32
    }

    /// How many acknowledged records are in no log that could become the partition's without an unclean election: nobody in
    /// sync or eligible who runs has them; of partitions of which nobody of them runs, nobody at all of them.
    pub fn at_risk(&self, runs: impl Fn(Pid) -> bool) -> u64 {
        self.partitions.iter().map(|it| it.at_risk(&runs)).sum()
    }

    /// Of a partition's acknowledged records: how many are lost, and how many nobody has who could lead now.
    pub fn harm(&self, partition: &TopicPartition, runs: impl Fn(Pid) -> bool) -> (u64, u64) {
        let found = self.find_partition(&partition.topic, partition.partition).and_then(|it| self.partitions.get(it));
        found.map_or((0, 0), |it| (it.acked_lost, it.at_risk(&runs)))
    }

    /// The newest epoch of the metadata quorum in which somebody led it.
    pub fn quorum_epoch(&self) -> Option<i32> {
        self.controllers.iter().next_back().map(|it| *it.0)
    }

    /// Who appended the first record of each epoch of a partition, the oldest epoch first.
    pub fn leaders(&self, topic: &str, partition: i32) -> impl Iterator<Item = (i32, Pid)> + '_ {
        let found = self.partitions.iter().find(|it| *it.topic == *topic && it.partition == partition);
        found.into_iter().flat_map(|it| it.leaders.iter().map(|(epoch, pid)| (*epoch, *pid)))
    }

    /// Partitions whose acknowledged records a reader has not been given, though they are there.
    pub fn unread(&self, reader: Pid, topic: &str) -> Option<String> {
        let ledger = self.client_of(reader)?;
        for (index, partition) in self.partitions.iter().enumerate().filter(|(_, it)| it.topic == *topic) {
            let next = ledger.read.get(index).and_then(|it| it.next.or(it.reset_to)).unwrap_or(partition.log_start);
            if next < partition.acked_end.min(partition.end()) {
                return Some(format!(
                    "{} has read {topic}-{} up to {next}, and records up to {} are acknowledged",
                    ledger.name, partition.partition, partition.acked_end
                ));
            }
        }
        None
    }

    /// Somebody asks for a topic with these settings.
    pub(crate) fn topic_asked(&mut self, topic: &Str, settings: &[Setting]) {
        let value = |name: &str| settings.iter().find(|(key, _)| &**key == name).map(|(_, value)| &**value);
        let promise = Promise {
            durable: value("flush.messages") == Some("1"),
            min_isr: value("min.insync.replicas").and_then(|it| it.parse().ok()).unwrap_or(1),
            unclean: value("unclean.leader.election.enable") == Some("true"),
            topic_id: Uuid::ZERO,
        };
        match self.topics.get_mut(topic) {
            // The topic may be there already, so that nothing comes of this: the weaker promise counts.
            Some(known) => {
                known.durable &= promise.durable;
                known.min_isr = known.min_isr.min(promise.min_isr);
                known.unclean |= promise.unclean;
            }
            None => {
                self.topics.insert(topic.clone(), promise);
            }
        }
    }

    /// A broker puts compacted segments of a partition in place.
    pub(crate) fn compacted(&mut self, index: usize) {
        self.partitions[index].compacted = true;
    }

    /// A bit of a partition's log is flipped on a disk.
    pub(crate) fn rotted(&mut self, topic: &Str, partition: i32, rot: Rot) {
        if let Some(index) = self.find_partition(topic, partition) {
            self.partitions[index].rotten.push(rot);
        }
    }

    /// Somebody asks that a replica leads a partition though none in sync can, and accepts that what it lacks is lost.
    pub(crate) fn unclean_asked(&mut self, by: Pid, request: i32, partition: &TopicPartition) {
        self.unclean_asked.push((by, request, partition.clone()));
    }

    /// It has its answer: nobody is elected for its sake any more.
    pub(crate) fn unclean_answered(&mut self, by: Pid, request: i32) {
        self.unclean_asked.retain(|it| (it.0, it.1) != (by, request));
    }

    /// Somebody is elected in an epoch, or says so before anybody has heard of it. An unclean election excuses the loss of what
    /// was written before it, and of nothing that is since.
    fn elected(&mut self, index: usize, leader: Pid, epoch: i32) {
        let it = &mut self.partitions[index];
        let is_asked = self.unclean_asked.iter().any(|(.., at)| at.topic == it.topic && at.partition == it.partition);
        let is_outside = !it.isr.contains(&leader) && !it.elr.contains(&leader);
        // Who is in sync may change in the same breath, so where the settings allow it, each may have been one.
        let is_allowed = self.topics.get(&it.topic).is_some_and(|it| it.unclean);
        if is_allowed || (is_asked && is_outside) {
            it.unclean_epoch = it.unclean_epoch.max(epoch);
        }
    }

    /// Somebody changes settings of a topic.
    pub(crate) fn topic_altered(&mut self, topic: &Str, settings: &[Setting]) {
        let promise = self.topics.entry(topic.clone()).or_default();
        for (key, value) in settings {
            match &**key {
                "flush.messages" | "flush.ms" => promise.durable = false,
                "min.insync.replicas" => promise.min_isr = promise.min_isr.min(value.parse().unwrap_or(1)),
                "unclean.leader.election.enable" => promise.unclean |= &**value == "true",
                _ => {}
            }
        }
    }

    pub(crate) fn client(&mut self, pid: Pid, name: &Str, idempotent: bool, waits_for_all: bool) {
        let index = usize::from(pid.0);
        self.clients.resize_with(self.clients.len().max(index + 1), || None);
        self.clients[index] = Some(ClientLedger::new(name.clone(), idempotent, waits_for_all));
        self.origins.name(pid, name);
    }

    /// A consumer is of a group.
    pub(crate) fn client_of_group(&mut self, pid: Pid, group: Str, instance: Option<Str>, is_classic: bool) {
        if let Some(client) = self.client_mut(pid) {
            (client.group, client.instance, client.is_classic) = (Some(group), instance, is_classic);
        }
    }

    pub(crate) fn unsettled(&self, pid: Pid) -> u64 {
        let tally = self.tally(pid);
        tally.sent - tally.ok - tally.failed - tally.unknown
    }

    /// A producer was handed a record.
    pub(crate) fn sent(&mut self, pid: Pid, number: u64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let print = Digest::of_record(key, value);
        if !self.origins.names(pid, number, value) {
            self.origins.remember(print, pid, number);
        }
        let Some(client) = self.client_mut(pid) else { return };
        client.tally.sent += 1;
        client.sent.push(Sent {
            print,
            offset: -1,
            asked: 0,
            settled: 0,
            partition: 0,
            told: Told::Pending,
            appended: 0,
            why: 0,
        });
    }

    /// The process is gone: what it was not told, it never will be.
    pub(crate) fn client_died(&mut self, event: u64, pid: Pid) {
        let why = self.reason(ENDED);
        let Some(client) = self.client_mut(pid) else { return };
        client.die(event, why);
    }

    /// A producer was told what became of a record.
    pub(crate) fn settled(&mut self, event: u64, pid: Pid, number: u64, outcome: &Outcome) {
        let why = outcome.failure().map_or(0, |it| self.reason(&it.cause.word()));
        let Some(client) = self.clients.get_mut(usize::from(pid.0)).and_then(Option::as_mut) else { return };
        let Some(sent) = usize::try_from(number).ok().and_then(|it| client.sent.at_mut(it)) else { return };
        let before = *sent;
        (sent.settled, sent.why) = (ledger::step(event), why);
        if why > 0 {
            client.odd.push(number);
        }
        sent.told = Told::of(outcome);
        match sent.told {
            Told::Pending => {}
            Told::Ok => client.tally.ok += 1,
            Told::Failed => client.tally.failed += 1,
            Told::Unknown => client.tally.unknown += 1,
        }
        match outcome {
            Outcome::Failed(failure) if before.appended > 0 => {
                let name = &client.name;
                let what = format!(
                    "{name} was told that record {number} is not written ({}), but it is at offset {}",
                    failure.message, before.offset
                );
                self.find(event, Check::FailedIsNotWritten, Verdict::Bug, what);
            }
            Outcome::Ok(Answer::Sent(metadata)) => {
                if let Some(offset) = metadata.offset {
                    self.acked += 1;
                    self.acknowledged(event, pid, number, before.print, &metadata.partition, offset);
                }
            }
            _ => {}
        }
    }

    fn acknowledged(
        &mut self,
        event: u64,
        pid: Pid,
        number: u64,
        print: u64,
        partition: &TopicPartition,
        offset: Offset,
    ) {
        let (name, by_all) = match self.client_of(pid) {
            Some(client) => (client.name.clone(), client.waits_for_all),
            None => return,
        };
        let Some(index) = self.find_partition(&partition.topic, partition.partition) else { return };
        self.told_place(pid, number, index, offset);
        let ledger = &mut self.partitions[index];
        // Who waits for all is told of what is committed; that is lost to nobody's new epoch.
        let excused = offset.0 < ledger.log_start || ledger.was_lost(offset, print, by_all);
        match ledger.entry_mut(offset) {
            Some(entry) if entry.print == print => {
                entry.acked = true;
                entry.acked_by_all = by_all;
                ledger.acked_end = ledger.acked_end.max(offset.0 + 1);
            }
            _ if excused => {
                if offset.0 >= ledger.log_start && ledger.acked_late(offset, print, by_all) {
                    self.strayed(event, Author { client: pid, number }, index, offset);
                }
            }
            Some(_) => {
                let what = format!("{name} was told that record {number} is at {partition} {offset}; another one is");
                self.find(event, Check::AckedStays, Verdict::Bug, what);
            }
            None => {
                let what = format!("{name} was told that record {number} is at {partition} {offset}; nothing is");
                self.find(event, Check::AckedStays, Verdict::Bug, what);
            }
        }
    }

    /// A record whose author is known has its place, in a batch of this epoch of its producer.
    fn placed(&mut self, event: u64, index: usize, offset: i64, author: Author, epoch: i16) {
        let Some(client) = self.clients.get_mut(usize::from(author.client.0)).and_then(Option::as_mut) else { return };
        let Some(sent) = client.sent.at_mut(author.number as usize) else { return };
        let before = *sent;
        sent.appended = sent.appended.saturating_add(1);
        if before.appended == 0 {
            (sent.offset, sent.partition) = (offset, u16::try_from(index).unwrap_or(u16::MAX));
        }
        let (name, idempotent) = (client.name.clone(), client.idempotent);
        let first_of_life = client.first_of_life;
        let mut verdict = if idempotent { Verdict::Bug } else { Verdict::Allowed };
        if before.appended > 0 {
            client.odd.push(author.number);
            let mut why = if idempotent { "" } else { ": without idempotence a retry may repeat" };
            if let Some(excuse) = self.partitions[index].excuse(author, &before, epoch).filter(|_| idempotent) {
                verdict = Verdict::Allowed;
                why = excuse;
            }
            let what = format!(
                "record {} of {name} is in {} twice, at {} and {offset}{why}",
                author.number,
                self.partitions[index].label(),
                before.offset,
            );
            return self.find(event, Check::Idempotence, verdict, what);
        }
        if before.told == Told::Failed {
            let label = self.partitions[index].label();
            let what =
                format!("{name} was told that record {} is not written; now {label} has it at {offset}", author.number);
            return self.find(event, Check::FailedIsNotWritten, Verdict::Bug, what);
        }
        let last = self.partitions[index].last_of(author);
        if last > author.number && last != u64::MAX && author.number >= first_of_life {
            let what = format!(
                "{} has record {} of {name} after its record {last}{}",
                self.partitions[index].label(),
                author.number,
                if idempotent { "" } else { ": without idempotence a retry may be overtaken" }
            );
            self.find(event, Check::Idempotence, verdict, what);
        }
    }

    /// A node said something to people.
    pub(crate) fn node_said(&mut self, event: u64, pid: Pid, said: &node::Event) {
        match said {
            node::Event::HighWatermark { topic, partition, offset } => {
                let Some(index) = self.find_partition(topic, *partition) else { return };
                if self.partitions[index].was_given_up(pid) {
                    return;
                }
                self.committed(event, pid, index, offset.0);
                let ledger = &mut self.partitions[index];
                let is_replicated = ledger.is_replicated();
                let most = ledger.high_watermark;
                ledger.high_watermark = if is_replicated { most.max(offset.0) } else { offset.0 };
                // A new leader hears of it one fetch later than the old one knew.
                let own = ledger.replicas.entry(pid).or_default();
                let own = std::mem::replace(&mut own.high_watermark, offset.0);
                let before = if is_replicated { own } else { most };
                if offset.0 < before {
                    let what =
                        format!("the high watermark of {topic}-{partition} moves from {before} back to {offset}");
                    self.find(event, Check::HighWatermark, Verdict::Bug, what);
                }
            }
            node::Event::Isr { topic, partition, isr } => {
                if let Some(index) = self.find_partition(topic, *partition) {
                    self.in_sync(pid, index, isr);
                }
            }
            node::Event::Leads { topic, partition, leader_epoch, isr } => {
                if let Some(index) = self.find_partition(topic, *partition) {
                    self.begins_to_lead(event, pid, index, *leader_epoch);
                    self.in_sync(pid, index, isr);
                }
            }
            // A broker that is behind may hear of it when another topic has the name.
            node::Event::TopicDeleted { topic, id } if self.topics.get(topic).is_some_and(|it| it.topic_id == *id) => {
                self.topics.remove(topic);
            }
            node::Event::LogStart { topic, partition, offset } => {
                if let Some(index) = self.find_partition(topic, *partition) {
                    let ledger = &mut self.partitions[index];
                    ledger.log_start = ledger.log_start.max(offset.0);
                }
            }
            _ => {}
        }
    }

    /// A client said something to people. What a member says of its group is held against what its coordinator goes by.
    pub(crate) fn client_said(
        &mut self,
        event: u64,
        at: Instant,
        pid: Pid,
        said: &client::Event,
        told: Option<&Coordinated>,
    ) {
        if let client::Event::Group(said) = said {
            if let GroupEvent::Assigned { partitions, .. } = said {
                // It begins where its group is.
                partitions.iter().for_each(|it| self.reader_moved(pid, it));
            }
            return self.member_said(event, at, pid, said, told);
        }
        if let client::Event::PositionReset { partition, .. } | client::Event::Truncated { partition, .. } = said {
            self.reader_moved(pid, partition);
        }
        // Nothing may come there any more: then it has read all there is.
        if let client::Event::PositionReset { partition, offset } = said
            && let Some(index) = self.find_partition(&partition.topic, partition.partition)
            && let Some(client) = self.client_mut(pid)
        {
            client.reader(index).reset_to = Some(offset.0);
        }
    }

    /// A reader begins anew: it may read anything again.
    pub(crate) fn reader_restarted(&mut self, pid: Pid) {
        if let Some(client) = self.client_mut(pid) {
            client.read.clear();
        }
    }

    /// A reader goes on elsewhere in a partition.
    pub(crate) fn reader_moved(&mut self, pid: Pid, partition: &TopicPartition) {
        let Some(index) = self.find_partition(&partition.topic, partition.partition) else { return };
        if let Some(reader) = self.client_mut(pid).and_then(|client| client.read.get_mut(index)) {
            reader.next = None;
            reader.cut_to = None;
            reader.reset_to = None;
        }
    }

    fn readers_moved(&mut self, index: usize) {
        for reader in self.clients.iter_mut().flatten().filter_map(|client| client.read.get_mut(index)) {
            *reader = ledger::Reader::default();
        }
    }

    /// An answer is about to reach a client.
    pub(crate) fn client_answered(&mut self, event: u64, pid: Pid, by: (Pid, u32), body: &ResponseBody) {
        match body {
            ResponseBody::Fetch(fetch) => self.check_fetch(event, pid, by, fetch),
            ResponseBody::Produce(produce) => self.produce_answered(pid, by.0, produce),
            ResponseBody::OffsetForLeaderEpoch(epochs) => self.epochs_answered(event, pid, epochs),
            _ => {}
        }
    }

    /// A consumer hears where the epoch of its position ends. KIP-320 compares offsets: if the leader has nothing of that epoch
    /// and more than that of an older one, the consumer cannot see that its log was cut, in Apache Kafka as here.
    fn epochs_answered(&mut self, event: u64, pid: Pid, epochs: &OffsetForLeaderEpochResponse) {
        for topic in &epochs.topics {
            for answer in topic.partitions.iter().filter(|it| it.error_code == 0 && it.leader_epoch >= 0) {
                let Some(index) = self.find_partition(&topic.topic, answer.partition) else { continue };
                let label = self.partitions[index].label();
                let Some(client) = self.client_mut(pid) else { return };
                let name = client.name.clone();
                let reader = client.reader(index);
                let hides = answer.leader_epoch < reader.epoch
                    && reader.next.is_some_and(|next| answer.end_offset >= next)
                    && reader.cut_to.take().is_some();
                if hides {
                    let what = format!(
                        "{name} has read {label} of epoch {}, of which the leader has nothing, and cannot see it: epoch {} goes further",
                        reader.epoch, answer.leader_epoch
                    );
                    self.find(event, Check::NoSkips, Verdict::Allowed, what);
                }
            }
        }
    }

    fn check_fetch(&mut self, event: u64, pid: Pid, by: (Pid, u32), fetch: &FetchResponse) {
        for topic in &fetch.responses {
            for partition in topic.partitions.iter().filter(|it| it.error_code == 0) {
                let found = self.partitions.iter().position(|it| {
                    it.partition == partition.partition_index
                        && (it.topic_id == topic.topic_id || (!topic.topic.is_empty() && it.topic == topic.topic))
                });
                let Some(index) = found else { continue };
                let losses = self.partitions[index].losses;
                let is_replicated = self.partitions[index].is_replicated();
                if losses > 0 && partition.high_watermark > self.partitions[index].high_watermark {
                    // It was sent before a loss and comes only now, to somebody who stood still meanwhile.
                    continue;
                }
                let Some(client) = self.client_mut(pid) else { return };
                let name = client.name.clone();
                let reader = client.reader(index);
                let is_same = reader.losses == losses && (!is_replicated || reader.told_by == by);
                let seen = if is_same { reader.high_watermark } else { -1 };
                reader.told_by = by;
                reader.losses = losses;
                reader.high_watermark = partition.high_watermark;
                if partition.high_watermark < seen {
                    let what = format!(
                        "{name} is told a high watermark of {} for {} after {seen}",
                        partition.high_watermark,
                        self.partitions[index].label()
                    );
                    return self.find(event, Check::HighWatermark, Verdict::Bug, what);
                }
                let Some(Records::Bytes(bytes)) = &partition.records else { continue };
                let mut at = 0;
                while let Ok(head) = BatchHead::decode(&bytes[at..]) {
                    at += head.size();
                    if at > bytes.len() {
                        break;
                    }
                    if head.last_offset().0 >= partition.high_watermark {
                        let what = format!(
                            "{name} is given {} up to {} with a high watermark of {}",
                            self.partitions[index].label(),
                            head.last_offset(),
                            partition.high_watermark
                        );
                        return self.find(event, Check::ReadsBelow, Verdict::Bug, what);
                    }
                }
            }
        }
    }

    /// A consumer's application was given a record.
    pub(crate) fn consumed(&mut self, event: u64, pid: Pid, record: &ConsumerRecord) {
        let Some(index) = self.find_partition(&record.partition.topic, record.partition.partition) else { return };
        let offset = record.record.offset.0;
        let print = Digest::of_record(record.record.key.as_deref(), record.record.value.as_deref());
        let ledger = &self.partitions[index];
        let (log_start, losses, high_watermark) = (ledger.log_start, ledger.losses, ledger.high_watermark);
        let known = ledger.entry(Offset(offset)).is_some_and(|entry| entry.print == print);
        // What was fetched before a loss may be handed out after it, even when its producer has sent it again by then and
        // it is at its old place once more, not yet for all to see.
        let ghost = losses > 0 && ledger.was_lost(Offset(offset), print, true);
        let gone = offset < log_start;
        let verdict = if ledger.rot_deceives(offset) { Verdict::Allowed } else { Verdict::Bug };
        let compacted = ledger.compacted;
        let Some(client) = self.client_mut(pid) else { return };
        let reader = client.reader(index);
        let next = reader.next.replace(offset + 1);
        reader.epoch = record.leader_epoch.0;
        let cut_to = if ghost { None } else { reader.cut_to.take() };
        let is_missed = |next: &i64| offset != *next && !(offset > *next && (compacted || offset <= log_start));
        let (check, wrong) = if !known && !ghost && !gone {
            (Check::OffsetsDense, ", and what it reads was not appended there".to_owned())
        } else if !ghost && offset >= high_watermark && !gone {
            (Check::ReadsBelow, format!("; the high watermark is {high_watermark}"))
        } else if let Some(end) = cut_to.filter(|end| *end < offset && !gone) {
            (Check::NoSkips, format!(" and was not told that the log was cut to {end} before"))
        } else if let Some(next) = next.filter(is_missed) {
            (Check::OffsetsDense, format!(" where {next} is next"))
        } else {
            return;
        };
        let name = self.client_of(pid).map(|it| it.name.clone()).unwrap_or_default();
        let what = format!("{name} reads {} {offset}{wrong}", self.partitions[index].label());
        self.find(event, check, verdict, what);
    }

    /// Nothing is broken any more, and still something does not come to rest.
    pub(crate) fn restless(&mut self, event: u64, what: String) {
        self.find(event, Check::Converges, Verdict::Bug, what);
    }

    /// A bit rotted, which nobody mends, or a static voter forgot what it voted for: nothing is promised any more.
    pub(crate) fn promises_nothing(&self) -> bool {
        self.quorum.is_wiped || self.partitions.iter().any(|it| !it.rotten.is_empty())
    }

    /// A message could not be encoded or decoded.
    pub(crate) fn codec_failed(&mut self, event: u64, what: String) {
        self.find(event, Check::Codecs, Verdict::Bug, what);
    }

    fn find(&mut self, event: u64, check: Check, verdict: Verdict, what: String) {
        // An exhibit is there to show what is lost, not that it is bound to be.
        let is_cause = matches!(check, Check::StrongIsr | Check::LeaderCompleteness | Check::Converges);
        if is_cause && self.exhibit.is_some() {
            return;
        }
        match verdict {
            Verdict::Kept => {}
            Verdict::Allowed => self.allowed += 1,
            Verdict::Bug => self.bugs += 1,
        }
        let keep = self.findings.len() < FINDINGS || (verdict == Verdict::Bug && self.bugs == 1);
        if keep {
            self.findings.push(Finding { event, check, verdict, what, acked: 0, partition: None });
        }
    }

    /// A node's process as people call it.
    fn name_of(&self, pid: Pid) -> &str {
        self.names.get(&pid).map_or("a node", |it| it)
    }

    /// A node as people call it; by its number where it is none of the world's.
    fn name_of_node(&self, id: NodeId) -> String {
        self.nodes.get(&id).map_or_else(|| format!("node {id}"), |pid| self.name_of(*pid).to_owned())
    }

    fn find_partition(&self, topic: &Str, partition: i32) -> Option<usize> {
        self.partitions.iter().position(|it| it.partition == partition && it.topic == *topic)
    }

    fn client_of(&self, pid: Pid) -> Option<&ClientLedger> {
        self.clients.get(usize::from(pid.0))?.as_ref()
    }

    fn client_mut(&mut self, pid: Pid) -> Option<&mut ClientLedger> {
        self.clients.get_mut(usize::from(pid.0))?.as_mut()
    }
}

/// The list behind a ledger.
pub(crate) type Entries<T> = Chunked<T>;
