//! A broker's life: mount the metadata log, follow the quorum, register, mount the partitions' logs, ask to be unfenced,
//! serve; and the way back: ask to stop, flush, write the checkpoints, mark the stop as clean.
//!
//! Requests that arrive before the node serves wait with their connection's credit withdrawn, as they would in the socket
//! buffers of Kafka, whose acceptors start late. ApiVersions is answered at any time.

use ordered::{Map, Set};
use std::collections::VecDeque;

use bytes::Bytes;
use protocol::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use protocol::messages::broker_registration_request::{Feature, Listener};
use protocol::messages::{
    AssignReplicasToDirsRequest, BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest,
    BrokerRegistrationResponse,
};
use protocol::{ErrorCode, Now, Offset, Request, RequestBody, Uuid, support};
use storage::{Cell, DirId, Done, LogId, StoreError, StoreOp};

use crate::deferred::{Committed, RequestId};
use crate::event::Event;
use crate::image::ResourceType;
use crate::input::ConnId;
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::Outbox;
use crate::partition::{Partition, PartitionKey};
use crate::timers::WakeReason;

/// Requests that may wait for the node to serve. Credit is withdrawn at a connection's first, so this bounds connections.
const WAITING_REQUESTS: usize = 4096;

/// Where in its life a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has happened yet.
    #[default]
    Cold,
    /// The metadata log is mounted and replayed, until this node leads the quorum.
    Replaying,
    /// The registration is not committed yet.
    Registering,
    /// Logs of partitions become ready.
    Mounting,
    /// The controller was asked to unfence this broker.
    Unfencing,
    /// Clients are served.
    Serving,
    /// The controller was asked for a controlled shutdown.
    Leaving,
    /// All logs are being flushed.
    Flushing,
    /// The checkpoints are being written.
    Checkpointing,
    /// The clean stop is being marked.
    Marking,
    /// The driver may drop the node.
    Stopped,
}

/// The life of the node, and who waits for it to serve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    phase: Phase,
    broker_epoch: i64,
    /// The broker epoch of the run before this one, if that ended with a clean stop.
    previous_broker_epoch: Option<i64>,
    /// Directories that failed.
    offline: Set<DirId>,
    /// Directories chosen for replicas, until that is committed and their logs are mounted.
    chosen: Map<PartitionKey, DirId>,
    /// Checkpoints as they were last written.
    written: Map<Cell, Bytes>,
    pub(crate) waiting: VecDeque<(ConnId, Request)>,
}

impl Life {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }

    /// What the metadata log's directory says of the run before this one.
    pub(crate) fn previous(&mut self, mounted: &storage::Mounted) {
        self.previous_broker_epoch = mounted.broker_epoch.filter(|_| mounted.clean);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving | Phase::Flushing | Phase::Checkpointing | Phase::Marking | Phase::Stopped)
    }
}

impl Node {
    /// The first input: everything follows from the metadata log.
    pub(crate) fn begin(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Replaying;
        self.drive_quorum(now, out, |quorum, output| quorum.begin(now, output));
    }

    /// A request comes in.
    pub(crate) fn admit(&mut self, now: Now, conn: ConnId, request: Request, out: &mut Outbox) {
        if !self.connections.contains_key(&conn) {
            return;
        }
        self.limits.admit(conn, out);
        match self.life.phase {
            Phase::Serving | Phase::Leaving => self.dispatch(now, conn, request, out),
            _ if matches!(request.body, RequestBody::ApiVersions(_)) => self.dispatch(now, conn, request, out),
            _ if self.life.is_leaving() => self.close(conn, "the node is stopping".to_owned(), out),
            _ if self.life.waiting.len() >= WAITING_REQUESTS => {
                self.close(conn, "too many requests wait for the node to start".to_owned(), out);
            }
            _ => {
                self.limits.hold_for_start(conn, out);
                self.life.waiting.push_back((conn, request));
            }
        }
    }

    /// Takes the next step of the life cycle if its time has come; true if anything happened.
    pub(crate) fn advance_life(&mut self, now: Now, out: &mut Outbox) -> bool {
        match self.life.phase {
            Phase::Replaying if self.quorum.is_leader() => self.lead(now, out),
            Phase::Mounting if self.life.chosen.is_empty() && !self.partitions.is_any_mounting() => {
                self.life.phase = Phase::Unfencing;
                self.heartbeat(now, false, out);
            }
            Phase::Flushing if !self.ops.any(Purpose::is_lane) => self.write_last_checkpoints(out),
            Phase::Checkpointing if !self.ops.any(Purpose::is_put) => {
                for dir in self.online_dirs() {
                    let text = storage::meta::format_clean_shutdown(self.life.broker_epoch);
                    self.put(Cell::CleanShutdown(dir), text, out);
                }
                self.life.phase = Phase::Marking;
            }
            Phase::Marking if !self.ops.any(Purpose::is_put) => {
                self.life.phase = Phase::Stopped;
                out.stopped = true;
            }
            _ => return false,
        }
        true
    }

    /// This node leads the quorum: it is the active controller, and registers itself with it.
    fn lead(&mut self, now: Now, out: &mut Outbox) {
        self.controller.activate(self.image.clone(), self.quorum.leader_epoch());
        let records = self.controller.decide_bootstrap(&self.config, self.quorum.take_bootstrap(), &mut self.random);
        self.append_metadata(now, records, out);
        self.life.phase = Phase::Registering;
        let request = self.registration();
        let outcome = self.controller.decide_broker_registration(&self.config, &request, now);
        self.commit(now, outcome, Committed::Registration, out);
    }

    fn registration(&mut self) -> BrokerRegistrationRequest {
        let controller_listeners = &self.config.controller_listener_names;
        let listeners = self.config.advertised_listeners.iter().filter(|it| !controller_listeners.contains(&it.name));
        let features = support::kafka_features().iter().map(|feature| Feature {
            name: feature.name.into(),
            min_supported_version: *feature.levels.start(),
            max_supported_version: *feature.levels.end(),
        });
        BrokerRegistrationRequest {
            broker_id: self.config.node_id.0,
            cluster_id: self.config.identity.cluster_id.clone(),
            incarnation_id: self.random.uuid(),
            listeners: listeners
                .map(|it| Listener {
                    name: it.name.clone(),
                    host: it.host.clone(),
                    port: it.port,
                    security_protocol: it.security.id(),
                })
                .collect(),
            features: features.collect(),
            rack: self.config.rack.clone(),
            log_dirs: self.config.identity.directory_ids.clone(),
            previous_broker_epoch: self.life.previous_broker_epoch.unwrap_or(-1),
            ..BrokerRegistrationRequest::default()
        }
    }

    pub(crate) fn registered(&mut self, now: Now, response: &BrokerRegistrationResponse, out: &mut Outbox) {
        if response.error_code != ErrorCode::None.code() {
            let error = ErrorCode::from_code(response.error_code);
            return self.fail(format!("the controller refused the registration: {}", error.name()), out);
        }
        self.life.broker_epoch = response.broker_epoch;
        self.life.phase = Phase::Mounting;
        let topics: Vec<_> = self.image.topics().cloned().collect();
        for topic in topics {
            for partition in topic.partitions.keys() {
                self.mount(now, PartitionKey { topic_id: topic.id, partition: *partition }, out);
            }
        }
    }

    fn heartbeat(&mut self, now: Now, want_shut_down: bool, out: &mut Outbox) {
        let offline =
            self.life.offline.iter().filter_map(|dir| self.config.identity.directory_ids.get(usize::from(dir.0)));
        let request = BrokerHeartbeatRequest {
            broker_id: self.config.node_id.0,
            broker_epoch: self.life.broker_epoch,
            current_metadata_offset: self.image.next_offset().0 - 1,
            want_fence: false,
            want_shut_down,
            offline_log_dirs: offline.copied().collect(),
            ..BrokerHeartbeatRequest::default()
        };
        let outcome = self.controller.decide_broker_heartbeat(&self.config, &request, now);
        self.commit(now, outcome, Committed::Heartbeat, out);
    }

    pub(crate) fn heartbeat_answered(&mut self, now: Now, response: &BrokerHeartbeatResponse, out: &mut Outbox) {
        if response.error_code != ErrorCode::None.code() {
            let error = ErrorCode::from_code(response.error_code);
            return self.fail(format!("the controller refused the heartbeat: {}", error.name()), out);
        }
        match self.life.phase {
            Phase::Unfencing if !response.is_fenced => self.serve(now, out),
            Phase::Leaving if response.should_shut_down => self.flush_all(now, out),
            _ => {}
        }
    }

    fn serve(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Serving;
        out.emit(|| Event::Started);
        self.arm_retention(now);
        self.arm_checkpoint(now);
        self.arm_flush(now);
        self.arm_expiry(now);
        // From here on it is known what a start must find.
        self.write_all_checkpoints(out);
        self.limits.started(out);
        for (conn, request) in std::mem::take(&mut self.life.waiting) {
            self.dispatch(now, conn, request, out);
        }
    }

    /// A controlled shutdown begins: the controller moves leaders away first.
    pub(crate) fn begin_stop(&mut self, now: Now, out: &mut Outbox) {
        if self.life.is_leaving() {
            return;
        }
        out.emit(|| Event::Stopping);
        let was_serving = self.life.phase == Phase::Serving;
        self.life.phase = Phase::Leaving;
        for reason in [
            WakeReason::Boot,
            WakeReason::Retention,
            WakeReason::Producers,
            WakeReason::Checkpoint,
            WakeReason::Clean,
            WakeReason::Flush,
        ] {
            self.timers.disarm(reason);
        }
        for (conn, _) in std::mem::take(&mut self.life.waiting) {
            self.close(conn, "the node is stopping".to_owned(), out);
        }
        if was_serving {
            self.heartbeat(now, true, out);
        } else {
            // Nobody was served and nothing was written, so there is nothing to flush or to mark.
            self.life.phase = Phase::Stopped;
            out.stopped = true;
        }
    }

    fn flush_all(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Flushing;
        for partition in self.partitions.iter_mut() {
            partition.flush(now.mono, &mut self.ops, out);
        }
        self.drive_quorum(now, out, |quorum, output| quorum.flush(output));
    }

    fn write_last_checkpoints(&mut self, out: &mut Outbox) {
        self.life.phase = Phase::Checkpointing;
        for partition in self.partitions.iter_mut() {
            partition.snapshot_producers(&mut self.ops, out);
        }
        for dir in self.online_dirs() {
            self.write_checkpoints(dir, out);
            self.write_log_starts(dir, None, out);
        }
    }

    /// The periodic checkpoints: high watermarks, recovery points, log starts.
    pub(crate) fn checkpoint(&mut self, now: Now, out: &mut Outbox) {
        self.write_all_checkpoints(out);
        self.arm_checkpoint(now);
    }

    fn write_all_checkpoints(&mut self, out: &mut Outbox) {
        for dir in self.online_dirs() {
            self.write_checkpoints(dir, out);
        }
    }

    /// Looks for logs that have waited for `flush.ms`, every `log.flush.scheduler.interval.ms`.
    pub(crate) fn flush_old(&mut self, now: Now, out: &mut Outbox) {
        for partition in self.partitions.iter_mut() {
            partition.flush_old(now.mono, &mut self.ops, out);
        }
        self.arm_flush(now);
    }

    fn arm_flush(&mut self, now: Now) {
        let interval = self.config.log_flush_scheduler_interval_ms;
        // Kafka's default, which is never.
        if interval < i64::MAX {
            self.timers.arm(WakeReason::Flush, now.mono.plus_ms(interval.max(1)));
        }
    }

    fn arm_checkpoint(&mut self, now: Now) {
        let interval = self.config.replica_high_watermark_checkpoint_interval_ms;
        self.timers.arm(WakeReason::Checkpoint, now.mono.plus_ms(interval.max(1)));
    }

    /// The text of a directory's recovery points.
    pub(crate) fn recovery_points(&self, dir: DirId) -> Bytes {
        // The metadata log's, which Kafka leaves out, tells damage of it from a tail that was never on disk.
        let metadata = (dir.0 == self.config.metadata_log_dir).then(|| self.quorum.recovery_point());
        self.partitions.checkpoint(dir, metadata, Partition::recovery_point)
    }

    pub(crate) fn write_checkpoints(&mut self, dir: DirId, out: &mut Outbox) {
        for (cell, text) in [
            (Cell::HighWatermarks(dir), self.partitions.checkpoint(dir, None, Partition::high_watermark)),
            (Cell::RecoveryPoints(dir), self.recovery_points(dir)),
        ] {
            // An idle node writes nothing.
            if self.life.written.get(&cell) != Some(&text) {
                self.life.written.insert(cell, text.clone());
                self.put(cell, text, out);
            }
        }
    }

    /// Writes a directory's log starts down; `id` waits for that.
    pub(crate) fn write_log_starts(&mut self, dir: DirId, id: Option<RequestId>, out: &mut Outbox) {
        let text = self.partitions.checkpoint(dir, None, Partition::log_start);
        self.ops.start(Purpose::LogStarts(dir, id), StoreOp::Put(Cell::LogStarts(dir), text), out);
    }

    fn put(&mut self, cell: Cell, bytes: Bytes, out: &mut Outbox) {
        self.ops.start(Purpose::Put(cell), StoreOp::Put(cell, bytes), out);
    }

    /// Applies retention.
    pub(crate) fn retain(&mut self, now: Now, out: &mut Outbox) {
        let mut moved = Set::new();
        for partition in self.partitions.iter_mut() {
            if partition.retain(now, &mut self.ops, out) {
                moved.insert(partition.dir);
                self.watch.changed(partition.key);
            }
        }
        for dir in moved {
            self.write_log_starts(dir, None, out);
        }
        self.arm_retention(now);
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub(crate) fn expire_producers(&mut self, now: Now) {
        for partition in self.partitions.iter_mut() {
            partition.expire_producers(now, i64::from(self.config.producer_id_expiration_ms));
        }
        self.arm_expiry(now);
    }

    fn arm_expiry(&mut self, now: Now) {
        let interval = i64::from(self.config.producer_id_expiration_check_interval_ms);
        self.timers.arm(WakeReason::Producers, now.mono.plus_ms(interval.max(1)));
    }

    fn arm_retention(&mut self, now: Now) {
        self.timers.arm(WakeReason::Retention, now.mono.plus_ms(self.config.log_retention_check_interval_ms.max(1)));
    }

    pub(crate) fn online_dirs(&self) -> Vec<DirId> {
        let dirs = (0..self.config.log_dirs.len()).filter_map(|it| u16::try_from(it).ok()).map(DirId);
        dirs.filter(|dir| !self.life.offline.contains(dir)).collect()
    }

    /// Mounts a partition's log if this broker is one of its replicas and has not mounted it.
    fn mount(&mut self, now: Now, key: PartitionKey, out: &mut Outbox) {
        let Some(topic) = self.image.topic_by_id(key.topic_id) else { return };
        let Some(image) = topic.partitions.get(&key.partition) else { return };
        if !image.replicas.contains(&self.config.node_id) {
            return;
        }
        let Some(dir) = self.dir_of(image.directory_of(self.config.node_id).unwrap_or(Uuid::ZERO)) else {
            return self.choose_directory(now, key, out);
        };
        self.life.chosen.remove(&key);
        let config = self.config.topic(&self.image, &topic.name);
        let name = topic.name.clone();
        let leads = image.leader == Some(self.config.node_id);
        self.partitions.mount(key, name, dir, leads, image.leader_epoch, config, &mut self.ops, out);
    }

    fn dir_of(&self, directory: Uuid) -> Option<DirId> {
        let ids = &self.config.identity.directory_ids;
        match ids.iter().position(|id| *id == directory) {
            Some(position) => u16::try_from(position).ok().map(DirId),
            // With one directory there is nothing to choose.
            None => (ids.len() <= 1).then_some(DirId(0)),
        }
    }

    /// A replica goes to the directory with the fewest logs. The controller notes which (KIP-858), so that a restart finds
    /// it there; its log is mounted when that is committed.
    fn choose_directory(&mut self, now: Now, key: PartitionKey, out: &mut Outbox) {
        if self.life.chosen.contains_key(&key) {
            return;
        }
        let chosen = |dir| self.life.chosen.values().filter(|it| **it == dir).count();
        let counts = self.online_dirs().into_iter().map(|dir| (self.partitions.count(dir) + chosen(dir), dir));
        let Some((_, dir)) = counts.min() else { return };
        let Some(id) = self.config.identity.directory_ids.get(usize::from(dir.0)) else { return };
        self.life.chosen.insert(key, dir);
        let partitions = vec![PartitionData { partition_index: key.partition }];
        let topics = vec![TopicData { topic_id: key.topic_id, partitions }];
        let request = AssignReplicasToDirsRequest {
            broker_id: self.config.node_id.0,
            broker_epoch: self.life.broker_epoch,
            directories: vec![DirectoryData { id: *id, topics }],
        };
        let outcome = self.controller.decide_assign_replicas_to_dirs(&request);
        self.commit(now, outcome, Committed::Directory, out);
    }

    pub(crate) fn mounted(&mut self, now: Now, log: LogId, result: Result<Done, StoreError>, out: &mut Outbox) {
        match result {
            Ok(Done::Mounted(shape)) => {
                if let Some((_, partition)) = self.partitions.by_log_mut(log) {
                    warn_of(shape.mounted(), partition.config.compact, out);
                    partition.mounted(now.mono, *shape, &mut self.ops, out);
                }
                self.arm_cleaner(now);
            }
            Ok(other) => panic!("a mount was answered with {other:?}"),
            Err(error @ (StoreError::Corrupt(_) | StoreError::Missing)) => {
                // The disk works; this one log does not hold together, or is another topic's.
                let Some((_, partition)) = self.partitions.by_log_mut(log) else { return };
                partition.go_offline();
                let name = format!("{}-{}", partition.topic, partition.key.partition);
                out.emit(|| Event::Warning { what: format!("{name} is offline: {error}") });
            }
            Err(error) => self.storage_failed(now, log, &error, out),
        }
    }

    /// A partition was created, or has another leader, epoch or set of replicas.
    pub(crate) fn partition_changed(&mut self, now: Now, topic_id: Uuid, partition: i32, out: &mut Outbox) {
        // Until the registration is committed, the image is not complete: what it has then is mounted at once.
        if matches!(self.life.phase, Phase::Cold | Phase::Replaying | Phase::Registering) {
            return;
        }
        let key = PartitionKey { topic_id, partition };
        if self.partitions.get(&key).is_none() {
            return self.mount(now, key, out);
        }
        let image = self.image.topic_by_id(topic_id).and_then(|topic| topic.partitions.get(&partition));
        let (Some(image), Some(partition)) = (image, self.partitions.get_mut(&key)) else { return };
        let leads = image.leader == Some(self.config.node_id);
        if partition.lead(leads, image.leader_epoch, &mut self.ops, out) {
            self.watch.changed(key);
        }
    }

    pub(crate) fn topic_removed(&mut self, topic_id: Uuid, out: &mut Outbox) {
        self.life.chosen.retain(|key, _| key.topic_id != topic_id);
        let keys: Vec<_> = self.partitions.of_topic(topic_id).collect();
        let Some(name) = keys.first().and_then(|key| self.partitions.get(key)).map(|it| it.topic.clone()) else {
            return;
        };
        // Another topic of this name must not take over how far this one was cleaned.
        let cleaned = keys.iter().filter_map(|key| self.partitions.get(key)).filter(|it| it.cleaned_to().is_some());
        let cleaned: Set<DirId> = cleaned.map(|it| it.dir).collect();
        for key in keys {
            self.watch.changed(key);
            let parked = self.partitions.remove(key, &mut self.ops, out);
            for (id, slot) in parked {
                self.fail_produce(id, slot, ErrorCode::UnknownTopicOrPartition, out);
            }
        }
        for dir in cleaned {
            self.write_cleaner_offsets(dir, out);
        }
        out.emit(|| Event::TopicDeleted { topic: name });
    }

    pub(crate) fn config_changed(&mut self, now: Now, resource_type: i8, name: &str) {
        let is_topic = resource_type == ResourceType::Topic.id();
        let mut resolved = Map::new();
        for partition in self.partitions.iter_mut() {
            if is_topic && partition.topic != *name {
                continue;
            }
            let config = resolved
                .entry(partition.topic.clone())
                .or_insert_with(|| self.config.topic(&self.image, &partition.topic));
            partition.config = config.clone();
        }
        self.arm_cleaner(now);
    }

    /// Batches are written: the ends move, and with them replies and readers.
    pub(crate) fn written(
        &mut self,
        now: Now,
        log: LogId,
        bytes: u64,
        result: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        self.limits.written(bytes, out);
        if let Err(error) = result {
            return self.storage_failed(now, log, &error, out);
        }
        let Some((_, partition)) = self.partitions.by_log_mut(log) else { return };
        let moved = partition.written();
        self.revealed_in(log, moved, out);
    }

    /// Readers may see so many bytes more of a log, and appends may be as safe as their producers asked for.
    fn revealed_in(&mut self, log: LogId, moved: u64, out: &mut Outbox) {
        let Some((key, partition)) = self.partitions.by_log_mut(log) else { return };
        let (topic, offset) = (partition.topic.clone(), partition.high_watermark());
        let ready = partition.take_ready();
        if moved > 0 {
            out.emit(|| Event::HighWatermark { topic, partition: key.partition, offset });
            self.watch.advanced(key, moved);
        }
        self.unpark(ready, out);
    }

    pub(crate) fn flushed(
        &mut self,
        now: Now,
        log: LogId,
        end: Offset,
        result: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        match result {
            Ok(_) => {
                let Some((_, partition)) = self.partitions.by_log_mut(log) else { return };
                let moved = partition.flushed(now.mono, end, &mut self.ops, out);
                partition.clean_flushed(&mut self.ops, out);
                self.revealed_in(log, moved, out);
            }
            Err(error) => self.storage_failed(now, log, &error, out),
        }
    }

    pub(crate) fn cell_written(&mut self, now: Now, cell: Cell, result: Result<Done, StoreError>, out: &mut Outbox) {
        let Err(error) = result else { return };
        match cell {
            Cell::LeaderEpochs(log) | Cell::QuorumState(log) | Cell::Producers(log, _) | Cell::Snapshot(log, _) => {
                self.storage_failed(now, log, &error, out)
            }
            Cell::RecoveryPoints(dir)
            | Cell::HighWatermarks(dir)
            | Cell::LogStarts(dir)
            | Cell::CleanerOffsets(dir)
            | Cell::CleanShutdown(dir) => self.directory_failed(now, dir, &error, out),
        }
    }

    /// An operation of a log's lane failed: its whole directory is offline, because what was queued behind it fails too.
    pub(crate) fn storage_failed(&mut self, now: Now, log: LogId, error: &StoreError, out: &mut Outbox) {
        if let Some((_, partition)) = self.partitions.by_log_mut(log) {
            let dir = partition.dir;
            self.directory_failed(now, dir, error, out);
        }
    }

    pub(crate) fn directory_failed(&mut self, now: Now, dir: DirId, error: &StoreError, out: &mut Outbox) {
        if !self.life.offline.insert(dir) {
            return;
        }
        let name = self.config.log_dirs.get(usize::from(dir.0)).cloned().unwrap_or_default();
        let mut failed = Vec::new();
        for partition in self.partitions.iter_mut().filter(|it| it.dir == dir) {
            failed.extend(partition.go_offline());
            self.watch.changed(partition.key);
        }
        for (id, slot) in failed {
            self.fail_produce(id, slot, ErrorCode::KafkaStorageError, out);
        }
        // The disk's own words name the file, and so the directory.
        if self.online_dirs().is_empty() {
            return self.fail(format!("no log directory is left: {error}"), out);
        }
        if dir.0 == self.config.metadata_log_dir {
            return self.fail(format!("the log directory of the metadata log is lost: {error}"), out);
        }
        out.emit(|| Event::StorageFailed { what: format!("{name} is offline: {error}") });
        if self.life.phase == Phase::Serving {
            self.heartbeat(now, false, out);
        }
    }

    /// The node cannot go on; the next start recovers what is on disk.
    pub(crate) fn fail(&mut self, what: String, out: &mut Outbox) {
        if self.life.phase == Phase::Stopped {
            return;
        }
        out.emit(|| Event::Failed { what });
        self.life.phase = Phase::Stopped;
        for conn in self.connections.keys().copied().collect::<Vec<_>>() {
            self.close(conn, "the node has failed".to_owned(), out);
        }
        out.stopped = true;
    }
}

/// Tells people what a mount found.
pub(crate) fn warn_of(mounted: &storage::Mounted, is_compacted: bool, out: &mut Outbox) {
    let gap = mounted.gap.as_ref().filter(|_| !is_compacted);
    for what in [mounted.cut.as_ref(), mounted.lost.as_ref(), gap].into_iter().flatten() {
        out.emit(|| Event::Warning { what: what.clone() });
    }
}
