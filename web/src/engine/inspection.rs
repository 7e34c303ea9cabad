//! What is looked at closely: its bytes by field, and what led to it.

use client::{Acks, IsolationLevel, ResetPolicy};
use protocol::explain::Inside;
use protocol::{Offset, TopicPartition, Uuid};
use sim::World;
use sim::metadata::Entry;
use sim::narration::Because;
use sim::view::MessageKind;

use super::Engine;
use crate::bytes::{self, Sheet};
use crate::look::GROUPS;
use crate::why::{self, Cause, End};

/// Where the metadata is, whose records have fields.
const METADATA: &str = "__cluster_metadata";

impl Engine {
    /// The bytes of the batch that holds a record. Nothing if they cannot be read at this moment.
    pub(crate) fn explain_record(&self, log: &str, offset: i64) -> Vec<Sheet> {
        let Some((broker, place)) = self.place(log) else { return Vec::new() };
        let batch = self.history.world().batch_bytes(&broker, &place, Offset(offset)).ok().flatten();
        batch.map_or(Vec::new(), |it| bytes::of_batch(&it, self.inside(&place.topic)))
    }

    /// The bytes of the batch that holds a record of the metadata log, as somebody has it on disk.
    pub(crate) fn explain_entry(&self, offset: i64) -> Vec<Sheet> {
        let batch = self.history.world().metadata_batch(Offset(offset));
        batch.map_or(Vec::new(), |it| bytes::of_batch(&it, Inside::Metadata))
    }

    /// The bytes of a message on its way. Nothing if it is not on its way.
    pub(crate) fn explain_message(&self, id: &str) -> Vec<Sheet> {
        let world = self.history.world();
        let found = world.messages().into_iter().find(|it| it.id().to_string() == id);
        let Some((message, (version, frame))) = found.and_then(|it| Some((it.what, world.frame(&it)?))) else {
            return Vec::new();
        };
        let topics = |name: &str| self.inside(name);
        match message {
            MessageKind::Request(..) => bytes::of_request(frame, &topics),
            MessageKind::Response(api, _) => bytes::of_response(api, version, frame, &topics),
            MessageKind::Close => Vec::new(),
        }
    }

    /// What the records of a topic are, by its name or its id.
    fn inside(&self, topic: &str) -> Inside {
        if topic == METADATA || topic == Uuid::METADATA_TOPIC.to_string() {
            return Inside::Metadata;
        }
        let is_groups = || self.history.world().topic_id(GROUPS).is_some_and(|it| it.to_string() == topic);
        if topic == GROUPS || is_groups() { Inside::Groups } else { Inside::Plain }
    }

    /// Why a message is on its way: what led to it, the newest first.
    pub(crate) fn why_message(&mut self, id: &str) -> Vec<Cause> {
        let found = self.history.world().messages().into_iter().find(|it| it.id().to_string() == id);
        let because = found.map_or(Because::Itself, |it| it.because);
        why::chain_of(&mut self.history, because)
    }

    /// Why a record is in a copy of a log: what led to its broker's taking it in.
    pub(crate) fn why_record(&mut self, log: &str, offset: i64) -> Vec<Cause> {
        let Some((broker, place)) = self.place(log) else { return Vec::new() };
        let epoch = self.record(log, offset).map(|it| it.leader_epoch);
        let found = why::latest_event(&mut self.history, why::FAR, |world| {
            let writes = |it: &node::Event| match it {
                node::Event::Appended { topic, partition, base_offset, next_offset, leader_epoch } => {
                    (topic, *partition, Some(leader_epoch.0)) == (&place.topic, place.partition, epoch)
                        && (base_offset.0..next_offset.0).contains(&offset)
                }
                _ => false,
            };
            let last = world.last();
            *world.name(last.process) == *broker && last.node_events.iter().any(writes)
        });
        found.map_or(Vec::new(), |it| why::chain_of(&mut self.history, Because::Event(it)))
    }

    /// The last that a process did or heard, and what led to it.
    pub(crate) fn why_process(&mut self, name: &str) -> Vec<Cause> {
        let Ok(pid) = self.history.world().pid(name) else { return Vec::new() };
        let found = why::latest_event(&mut self.history, why::REACH, |world| world.last().process == pid);
        found.map_or(Vec::new(), |it| why::chain_of(&mut self.history, Because::Event(it)))
    }

    /// Why a record is in the metadata log: what led to its being written for the first time.
    pub(crate) fn why_entry(&mut self, offset: i64) -> Vec<Cause> {
        let epoch = |world: &World| {
            let members = world.quorum(Some(offset + 1), 1);
            members.iter().flat_map(|it| &it.records).filter(|it| it.offset == offset).map(|it| it.epoch).max()
        };
        let Some(written) = epoch(self.history.world()) else { return Vec::new() };
        self.why_since(&|world| epoch(world) == Some(written))
    }

    /// Why a partition has the leader and the ISR that it has: what led to the last record of the metadata log about it.
    pub(crate) fn why_partition(&mut self, name: &str) -> Vec<Cause> {
        let members = self.history.world().quorum(None, i64::MAX);
        let Some(member) = members.iter().max_by_key(|it| it.applied) else { return Vec::new() };
        let is_of = |it: &&Entry| it.partition.as_ref().is_some_and(|it| it.to_string() == name);
        let last = member.records.iter().filter(|it| it.offset < member.applied).rfind(is_of).map(|it| it.offset);
        last.map_or(Vec::new(), |it| self.why_entry(it))
    }

    /// Why a group is in its state and its generation or epoch: what led to that.
    pub(crate) fn why_group(&mut self, name: &str) -> Vec<Cause> {
        let state = |world: &World| {
            let groups = world.groups().into_iter();
            groups.filter(|it| *it.id == *name).map(|it| (it.epoch, it.state)).next()
        };
        let Some(now) = state(self.history.world()) else { return Vec::new() };
        self.why_since(&|world| state(world).as_ref() == Some(&now))
    }

    /// Why a timer runs: its key, where it has one, and what set it.
    pub(crate) fn why_timer(&mut self, process: &str, what: &str) -> Vec<Cause> {
        let world = self.history.world();
        let found = world.view().timers.into_iter().find(|it| *it.process == *process && it.what == what);
        let Some(timer) = found else { return Vec::new() };
        let (event, time_us) = (world.events(), world.clock().0);
        let mut causes = self.why_since(&|world| world.view().timers.contains(&timer));
        if what.contains(".ms") {
            let (event, time_us) = causes.first().map_or((event, time_us), |it| (it.event, it.time_us));
            causes.insert(0, Cause { event, time_us, what: timer.what, end: Some(End::Key) });
        }
        causes
    }

    /// What a client is set to that decides what becomes of records: its own settings, and Kafka's defaults. Nothing for a wire client.
    pub(crate) fn settings(&self, name: &str, is_consumer: bool) -> Vec<(&'static str, String)> {
        let Some(it) = self.history.world().client_config(name) else { return Vec::new() };
        if !is_consumer {
            let acks = match it.acks {
                Acks::All => "all",
                Acks::Leader => "1",
                Acks::None => "0",
            };
            return vec![
                ("acks", acks.to_owned()),
                ("enable.idempotence", it.idempotent().to_string()),
                ("linger.ms", it.linger_ms.to_string()),
                ("retries", it.retries.to_string()),
                ("delivery.timeout.ms", it.delivery_timeout().to_string()),
            ];
        }
        let group = it.group_id.as_ref().map_or("none".to_owned(), |id| format!("{id}, {}", it.group_protocol.name()));
        let reset = match it.auto_offset_reset {
            ResetPolicy::Earliest => "earliest".to_owned(),
            ResetPolicy::Latest => "latest".to_owned(),
            ResetPolicy::ByDuration(ms) => format!("by_duration: {ms} ms"),
            ResetPolicy::None => "none".to_owned(),
        };
        let isolation = match it.isolation_level {
            IsolationLevel::ReadUncommitted => "read_uncommitted",
            IsolationLevel::ReadCommitted => "read_committed",
        };
        vec![
            ("group.id", group),
            ("auto.offset.reset", reset),
            ("isolation.level", isolation.to_owned()),
            ("enable.auto.commit", it.enable_auto_commit.to_string()),
        ]
    }

    /// What led to an event, itself first.
    pub(crate) fn why_event(&mut self, event: u64) -> Vec<Cause> {
        why::chain_of(&mut self.history, Because::Event(event))
    }

    fn why_since(&mut self, so: &dyn Fn(&World) -> bool) -> Vec<Cause> {
        let found = why::since(&mut self.history, so);
        found.map_or(Vec::new(), |it| why::chain_of(&mut self.history, it))
    }

    /// `b1/orders-0` → the broker and the partition; without a broker its leader, or whoever runs and has it.
    pub(super) fn place(&self, log: &str) -> Option<(String, TopicPartition)> {
        let (broker, partition) = log.split_once('/').unwrap_or(("", log));
        let (topic, number) = partition.rsplit_once('-')?;
        let place = TopicPartition { topic: topic.into(), partition: number.parse().ok()? };
        let broker =
            if broker.is_empty() { self.history.world().reader_of(&place)?.to_string() } else { broker.to_owned() };
        Some((broker, place))
    }
}
