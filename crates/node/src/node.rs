//! One node: all control flow starts here.

use ordered::Map;
use std::sync::Arc;

use protocol::messages::ConfigRecord;
use protocol::records::{Compressors, PureCompressors};
use protocol::{Instant, MetadataRecord, Now, ResponseBody};
use quorum::Quorum;
use storage::{DirId, Done, LogId, OpId, StoreError};

use crate::config::{CORDONED, Config, ConnectionLimits, broker_key, topic_key};
use crate::controller::{Controller, Outcome};
use crate::coordinator::{Groups, NoPatterns, TopicPatterns};
use crate::deferred::{Committed, Deferred, RequestId};
use crate::event::Event;
use crate::fetcher::Fetchers;
use crate::gateway::init_producer_id::ProducerIds;
use crate::gateway::news::News;
use crate::gateway::produce::Slot;
use crate::gateway::session::Sessions;
use crate::image::{Image, ResourceType};
use crate::input::{ConnId, Input, Peer};
use crate::isr::IsrProposals;
use crate::kraft::{Kraft, METADATA_LOG, quorum_of};
use crate::lifecycle::{Life, Phase, warn_of};
use crate::limits::Limits;
use crate::membership::Membership;
use crate::moves::Moves;
use crate::ops::{Ops, Purpose};
use crate::outbox::{CallError, CallId, Outbox};
use crate::partition::Partitions;
use crate::peers::{self, Peers};
use crate::sweeps::Sweeps;
use crate::term::unclean_election;
use crate::throttle::Throttles;
use crate::timers::{Timers, WakeReason};
use crate::watch::Watch;
use protocol::Random;

/// One `node.id`: broker and controller, as one deterministic state machine.
///
/// The host boots it, wakes it at [`Node::wake_at`], hands it inputs one at a time and carries out what the outbox says.
/// The same inputs in the same order give the same outputs. A clone is another node in the same state.
#[derive(Clone)]
pub struct Node {
    pub(crate) config: Arc<Config>,
    pub(crate) compressors: Arc<dyn Compressors>,
    pub(crate) patterns: Arc<dyn TopicPatterns>,
    pub(crate) random: Random,
    /// Committed metadata: what requests are answered from.
    pub(crate) image: Image,
    pub(crate) quorum: Quorum,
    pub(crate) kraft: Kraft,
    pub(crate) controller: Controller,
    pub(crate) life: Life,
    pub(crate) partitions: Partitions,
    pub(crate) groups: Groups,
    pub(crate) connections: Map<ConnId, Peer>,
    pub(crate) sessions: Sessions,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) deferred: Deferred,
    pub(crate) watch: Watch,
    pub(crate) timers: Timers,
    pub(crate) limits: Limits,
    pub(crate) ops: Ops,
    pub(crate) peers: Peers,
    pub(crate) fetchers: Fetchers,
    pub(crate) news: News,
    pub(crate) throttles: Throttles,
    pub(crate) isr_proposals: IsrProposals,
    pub(crate) moves: Moves,
    pub(crate) sweeps: Sweeps,
    pub(crate) membership: Membership,
}

impl Node {
    /// A node that has not begun: its first input, due at once, mounts the metadata log.
    pub fn boot(config: Arc<Config>, seed: u64) -> Node {
        let mut timers = Timers::default();
        timers.arm(WakeReason::Boot, Instant(0));
        let quorum = quorum_of(&config, seed);
        Node {
            compressors: Arc::new(PureCompressors),
            patterns: Arc::new(NoPatterns),
            random: Random::new(seed),
            image: Image::default(),
            quorum,
            kraft: Kraft::default(),
            controller: Controller::new(&config),
            life: Life::without(&config.identity.lost),
            partitions: Partitions::default(),
            groups: Groups::default(),
            connections: Map::new(),
            sessions: Sessions::default(),
            producer_ids: ProducerIds::default(),
            deferred: Deferred::default(),
            watch: Watch::default(),
            timers,
            limits: Limits::default(),
            ops: Ops::default(),
            peers: Peers::default(),
            fetchers: Fetchers::default(),
            news: News::default(),
            throttles: Throttles::default(),
            isr_proposals: IsrProposals::default(),
            moves: Moves::default(),
            sweeps: Sweeps::default(),
            membership: Membership::default(),
            config,
        }
    }

    /// Checks records that come as bytes with other codecs than the pure ones. What a batch decompresses to must not depend
    /// on the codec, so this changes speed and nothing else.
    #[must_use]
    pub fn with_compressors(mut self, compressors: Arc<dyn Compressors>) -> Node {
        self.compressors = compressors;
        self
    }

    /// Has consumers find their topics by regular expressions; without this they have to name them.
    #[must_use]
    pub fn with_patterns(mut self, patterns: Arc<dyn TopicPatterns>) -> Node {
        self.patterns = patterns;
        self
    }

    /// Takes one input in. Total: no input makes it panic or block.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Outbox) {
        match input {
            Input::Wake => {}
            Input::Stop => self.begin_stop(now, out),
            Input::Opened(conn, peer) => {
                self.connections.insert(conn, peer);
                self.limits.opened(conn);
            }
            Input::Request(conn, request) => self.admit(now, conn, request, out),
            Input::Closed(conn) => {
                self.forget_connection(conn);
                self.lost_connection(now, conn);
            }
            Input::Answered(call, result) => self.answered(now, call, result, out),
            Input::Stored(op, result) => self.stored(now, op, result, out),
            Input::Unreadable(log, error) => self.read_failed(now, log, &error, out),
        }
        self.fire_timers(now, out);
        self.settle(now, out);
    }

    /// When `handle` wants to be called even if nothing else happens, and why.
    pub fn wake_at(&self) -> Option<(Instant, WakeReason)> {
        self.timers.next()
    }

    /// How many connections the host may accept: as it was configured, or as it is set for this broker or all since.
    pub fn connection_limits(&self) -> ConnectionLimits {
        self.config.connections(&self.image)
    }

    /// Batches of producers, and their bytes, that the host's disks have not taken yet.
    pub fn unwritten(&self) -> (usize, u64) {
        self.limits.unwritten()
    }

    fn fire_timers(&mut self, now: Now, out: &mut Outbox) {
        while let Some(reason) = self.timers.pop_due(now.mono) {
            match reason {
                WakeReason::Boot => self.begin(now, out),
                WakeReason::Quorum => self.drive_quorum(now, out, |quorum, output| quorum.wake(now, output)),
                WakeReason::FetchWait(id) => self.wake_fetch(now, id, out),
                WakeReason::ProduceTimeout(id) => self.time_out_produce(id, out),
                WakeReason::DeleteTimeout(id) => self.time_out_deletes(id, out),
                WakeReason::Retention => self.retain(now, out),
                WakeReason::Producers => self.expire_producers(now),
                WakeReason::Sweep => self.sweep(now, out),
                WakeReason::Checkpoint => self.checkpoint(now, out),
                WakeReason::RecoveryPoints => self.checkpoint_recovery_points(now, out),
                WakeReason::Clean => self.clean(now, out),
                WakeReason::Flush => self.flush_old(now, out),
                WakeReason::Moves => self.drive_moves(now, out),
                WakeReason::Fetcher(leader) => self.fetchers.wake(leader),
                WakeReason::ReplicaLag => self.check_lag(now, out),
                WakeReason::AlterPartition => self.retry_proposals(),
                WakeReason::Heartbeat => self.beat(now, out),
                WakeReason::LostDirectory => self.give_up_telling(now, out),
                WakeReason::ControllerRegistration => self.register_controller_again(out),
                WakeReason::Directories => self.ask_for_directories(now, out),
                WakeReason::Forward(id) => self.send_forward(now, id, out),
                WakeReason::News => self.tell_all(now, out),
                WakeReason::Sessions => self.watch_sessions(now, out),
                WakeReason::Balance => self.balance(now, out),
                WakeReason::Unclean => self.elect_unclean(now, out),
                WakeReason::Idle => self.write_nothing(now, out),
                WakeReason::Snapshot => self.write_snapshot_on(now, out),
                WakeReason::Groups(partition) => self.wake_groups(now, partition, out),
                WakeReason::OffsetExpiry => self.expire_offsets(now, out),
            }
        }
    }

    /// Carries through what an input made possible: commits, then fetches that have enough, then steps of the life cycle.
    fn settle(&mut self, now: Now, out: &mut Outbox) {
        loop {
            while let Some(committed) = self.deferred.pop_committed(self.quorum.high_watermark()) {
                self.committed(committed, out);
            }
            if let Some(id) = self.watch.pop_ready() {
                self.wake_fetch(now, id, out);
                continue;
            }
            if self.follow_leadership(now, out) || self.follow_controller(now, out) || self.tend_groups(now, out) {
                continue;
            }
            self.propose_isrs(now, out);
            self.send_fetches(now, out);
            self.tell_news(now, out);
            if !self.advance_life(now, out) {
                return;
            }
        }
    }

    fn stored(&mut self, now: Now, op: OpId, result: Result<Done, StoreError>, out: &mut Outbox) {
        // An answer that comes twice, or for an operation of an earlier life, is the driver's to explain.
        let Some(purpose) = self.ops.finish(op) else { return };
        if result.as_ref().is_ok_and(Done::gives_up) {
            self.gave_up(now, &purpose);
        }
        match purpose {
            Purpose::Metadata(ticket) => {
                if let Ok(Done::Mounted(shape)) = &result {
                    self.life.previous(shape.mounted(), &self.config.identity);
                    warn_of(shape.mounted(), false, out);
                }
                let failed = result.as_ref().err().filter(|it| it.is_disk()).cloned();
                self.drive_quorum(now, out, |quorum, output| quorum.stored(now, ticket, result, output));
                if let Some(error) = failed
                    && self.life.phase() != Phase::Stopped
                {
                    // It refused whoever it looked something up for, and went on.
                    self.read_failed(now, METADATA_LOG, &error, out);
                }
            }
            Purpose::Mount(log) => self.mounted(now, log, result, out),
            Purpose::Append(log, bytes) => self.written(now, log, bytes, result, out),
            Purpose::Lane(log) => {
                if let Err(error) = result {
                    self.storage_failed(now, log, &error, out);
                }
            }
            Purpose::Clean(log, part) => self.clean_answered(now, log, part, result, out),
            Purpose::Truncate(log) => self.log_cut(now, log, result, out),
            Purpose::Copy(log, part) => self.copy_answered(now, log, part, result, out),
            Purpose::Survey(dir) => match result {
                Ok(Done::Surveyed(found)) => self.surveyed(now, dir, found, out),
                Ok(other) => panic!("a survey was answered with {other:?}"),
                Err(error) => self.directory_failed(now, dir, &error, out),
            },
            Purpose::Measure(dir, id) => self.directory_measured(id, dir, result, out),
            Purpose::SetAside(dir, folder, why) => self.set_aside(now, (dir, folder, why), result, out),
            Purpose::Adopt(key, dir) => self.adopted(now, key, dir, result, out),
            Purpose::Flush(log, end) => self.flushed(now, log, end, result, out),
            Purpose::Sweep(_) => {
                if let Err(error) = result {
                    out.emit(|| Event::Warning {
                        what: format!("what was given up stays until the next start: {error}"),
                    });
                }
            }
            Purpose::Remove(_, dir, name) => match result {
                // A log that could not be mounted is nobody's to remove.
                Ok(_) | Err(StoreError::Missing) => {
                    // The checkpoints must not speak of this log when another of its name begins.
                    if self.partitions.is_next_of(&name) {
                        self.write_checkpoints(dir, out);
                        self.write_log_starts(dir, None, out);
                    }
                    self.partitions.removed(&name, &mut self.ops, out);
                }
                Err(error) => self.directory_failed(now, dir, &error, out),
            },
            Purpose::Find(log, id, part) => {
                if let Err(error) = &result {
                    self.read_failed(now, log, error, out);
                }
                self.found(now, id, part, result, out);
            }
            Purpose::Groups(key, epoch) => match (result, self.partitions.get(&key).map(|it| it.log)) {
                // Its coordinator goes with the partition.
                (Err(error), Some(log)) if error.is_disk() => self.read_failed(now, log, &error, out),
                (result, _) => self.groups_loaded(now, key, epoch, result, out),
            },
            Purpose::Put(cell) => self.cell_written(now, cell, result, out),
            Purpose::LogStarts(dir, id) => {
                let is_written = result.is_ok();
                if let Some(id) = id {
                    self.log_starts_written(id, dir, is_written, out);
                }
                self.cell_written(now, storage::Cell::LogStarts(dir), result, out);
            }
        }
    }

    fn answered(&mut self, now: Now, call: CallId, result: Result<ResponseBody, CallError>, out: &mut Outbox) {
        // An answer that comes twice, or to a call that was given up, says nothing.
        let Some(purpose) = self.peers.finish(call) else { return };
        match purpose {
            peers::Purpose::Quorum(token) => self.quorum_answered(now, token, result, out),
            peers::Purpose::Fetcher(leader) => self.fetch_answered(now, leader, result, out),
            peers::Purpose::LogEnd(query) => self.end_answered(now, query, result, out),
            peers::Purpose::Isr => self.isrs_decided(now, result, out),
            peers::Purpose::Lifecycle(asked) => self.lifecycle_answered(now, asked, result, out),
            peers::Purpose::Forward(id) => self.forwarded(now, id, result, out),
            peers::Purpose::Knock(id, epoch) => self.knocked(now, id, epoch, &result, out),
        }
    }

    /// A disk that cannot be read is no better than one that cannot be written: its directory is offline, as in Kafka, and
    /// replicas on other brokers can serve.
    fn read_failed(&mut self, now: Now, log: LogId, error: &StoreError, out: &mut Outbox) {
        match error {
            StoreError::Io(_) | StoreError::Full(_) if log == METADATA_LOG => {
                self.directory_failed(now, DirId(self.config.metadata_log_dir), error, out);
            }
            StoreError::Io(_) | StoreError::Full(_) => self.storage_failed(now, log, error, out),
            StoreError::Corrupt(_) => out.emit(|| Event::Warning { what: format!("a read failed: {error}") }),
            // It was deleted meanwhile.
            StoreError::Missing => {}
        }
    }

    fn found(&mut self, now: Now, id: RequestId, part: u32, result: Result<Done, StoreError>, out: &mut Outbox) {
        match self.deferred.pending_mut(id) {
            Some(crate::deferred::Pending::Fetch(_)) => self.found_for_fetch(now, id, part, result, out),
            Some(crate::deferred::Pending::ListOffsets(_)) => self.found_for_list_offsets(id, part, result, out),
            // The connection is gone.
            _ => {}
        }
    }

    /// Appends what the controller decided, applies it to the controller's image at once, and parks what follows until all
    /// the decision has seen is committed.
    pub(crate) fn commit(
        &mut self,
        now: Now,
        outcome: Outcome,
        then: impl FnOnce(ResponseBody) -> Committed,
        out: &mut Outbox,
    ) {
        let Outcome { records, reply } = outcome;
        if !records.is_empty() {
            self.append_metadata(now, records, out);
        }
        self.deferred.park(self.quorum.log_end(), then(reply));
    }

    pub(crate) fn append_metadata(&mut self, now: Now, records: Vec<MetadataRecord>, out: &mut Outbox) {
        let base = self.quorum.log_end();
        for (index, record) in records.iter().enumerate() {
            if let Some(what) = unclean_election(self.controller.image(), record) {
                out.emit(|| Event::Warning { what });
            }
            self.controller
                .apply(base.plus(index as i64), record)
                .expect("the controller decided on the image that the record applies to");
        }
        let count = records.len() as i64;
        self.drive_quorum(now, out, |quorum, output| {
            let end = quorum.append(now, records, output);
            assert_eq!(end, base.plus(count), "a decision's records are appended in one piece, with nothing between");
        });
    }

    fn committed(&mut self, committed: Committed, out: &mut Outbox) {
        let Committed::Answer(waiter, body) = committed;
        self.answer(waiter, body, out);
    }

    /// A metadata record is committed and applied: what it means for this broker's partitions.
    pub(crate) fn revealed(&mut self, now: Now, record: &MetadataRecord, out: &mut Outbox) {
        match record {
            MetadataRecord::Partition(record) => self.partition_changed(now, record.topic_id, record.partition_id, out),
            MetadataRecord::PartitionChange(record) => {
                self.partition_changed(now, record.topic_id, record.partition_id, out);
            }
            MetadataRecord::RemoveTopic(record) => self.topic_removed(record.topic_id, out),
            MetadataRecord::RegisterBroker(record) => {
                self.leader_restarted(protocol::NodeId(record.broker_id), out);
                // It may be fenced by that, and without a directory that it had.
                self.broker_changed(now, out);
            }
            MetadataRecord::BrokerRegistrationChange(record) => {
                if record.fenced > 0 {
                    self.broker_fenced(now, protocol::NodeId(record.broker_id));
                }
                self.broker_changed(now, out);
            }
            MetadataRecord::FenceBroker(record) => {
                self.broker_fenced(now, protocol::NodeId(record.id));
                self.broker_changed(now, out);
            }
            MetadataRecord::UnregisterBroker(_) => self.broker_changed(now, out),
            MetadataRecord::RegisterController(record) => {
                self.controller_revealed(now, protocol::NodeId(record.controller_id));
            }
            MetadataRecord::Config(record) => {
                self.warn_of_idle_key(record, out);
                self.config_changed(now, record.resource_type, &record.resource_name);
                if record.name == CORDONED && self.life.phase() == Phase::Serving {
                    self.heartbeat(now, out);
                }
            }
            _ => {}
        }
    }

    /// A key that a client sets is accepted and shown even where nothing comes of it: people are told, once, when it is set.
    fn warn_of_idle_key(&self, record: &ConfigRecord, out: &mut Outbox) {
        let definition = match ResourceType::from_id(record.resource_type) {
            Some(ResourceType::Topic) => topic_key(&record.name),
            Some(ResourceType::Broker) => broker_key(&record.name),
            _ => None,
        };
        let is_set = record.value.is_some() && self.life.phase() == Phase::Serving;
        if let Some((definition, why)) = definition.filter(|_| is_set).and_then(|it| Some((it, it.idle?))) {
            let of = if record.resource_name.is_empty() { "all brokers" } else { &*record.resource_name };
            out.emit(|| Event::Warning { what: format!("{} of {of}: {why}", definition.name) });
        }
    }

    /// Answers produce requests whose batches are safe now.
    pub(crate) fn unpark(&mut self, ready: Vec<(RequestId, Slot)>, out: &mut Outbox) {
        for (id, slot) in ready {
            self.unpark_produce(id, slot, out);
        }
    }
}
