//! A broker's life: mount the metadata log, follow the quorum, register, mount the partitions' logs, ask to be unfenced,
//! serve; and the way back: ask to stop, flush, write the checkpoints, mark the stop as clean.
//!
//! Requests that arrive before the node serves wait with their connection's credit withdrawn, as they would in the socket
//! buffers of Kafka, whose acceptors start late. ApiVersions is answered at any time.

use ordered::{Map, Set};
use std::collections::VecDeque;

use bytes::Bytes;
use protocol::{ErrorCode, Now, Offset, Request, RequestBody, Str, Uuid};
use storage::{Cell, DirId, Done, LogId, StoreError, StoreOp};

use crate::deferred::RequestId;
use crate::event::Event;
use crate::image::ResourceType;
use crate::image::directory::{LOST, UNASSIGNED};
use crate::input::ConnId;
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::Outbox;
use crate::partition::{Partition, PartitionKey, Sight};
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
    /// It is, and is not applied here yet.
    CatchingUp,
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
    /// Replicas that are looked for, and where.
    sought: Map<PartitionKey, DirId>,
    /// Replicas that are looked for, as the directory that should hold them has but a copy that was being made.
    copied: Map<PartitionKey, DirId>,
    /// Checkpoints as they were last written.
    written: Map<Cell, Bytes>,
    pub(crate) waiting: VecDeque<(ConnId, Request)>,
}

impl Life {
    /// A life that begins without the directories that could not be opened.
    pub(crate) fn without(lost: &[(u16, Str)]) -> Life {
        Life { offline: lost.iter().map(|(dir, _)| DirId(*dir)).collect(), ..Life::default() }
    }

    /// A broker that serves, without a controller: for tests of what it does then.
    #[cfg(test)]
    pub(crate) fn serving(broker_epoch: i64) -> Life {
        Life { phase: Phase::Serving, broker_epoch, ..Life::default() }
    }

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

    /// The broker epoch of the run before this one, -1 if that did not end with a clean stop.
    pub(crate) fn previous_broker_epoch(&self) -> i64 {
        self.previous_broker_epoch.unwrap_or(-1)
    }

    /// A stop has come so far that nothing more is appended.
    pub(crate) fn is_flushing(&self) -> bool {
        self.is_leaving() && self.phase != Phase::Leaving
    }

    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving | Phase::Flushing | Phase::Checkpointing | Phase::Marking | Phase::Stopped)
    }
}

impl Node {
    /// The first input: everything follows from the metadata log.
    pub(crate) fn begin(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Replaying;
        for (_, why) in &self.config.identity.lost {
            out.emit(|| Event::StorageFailed { what: why.to_string() });
        }
        self.drive_quorum(now, out, |quorum, output| quorum.begin(now, output));
    }

    /// A request comes in.
    pub(crate) fn admit(&mut self, now: Now, conn: ConnId, request: Request, out: &mut Outbox) {
        if !self.connections.contains_key(&conn) {
            return;
        }
        self.limits.admit(conn, out);
        self.tell_before(now, conn, out);
        let is_for_controller =
            self.connections.get(&conn).is_some_and(|peer| self.config.is_controller_listener(&peer.listener));
        match self.life.phase {
            Phase::Cold | Phase::Stopped if is_for_controller => self.close(conn, "it does not run".to_owned(), out),
            _ if is_for_controller => self.dispatch(now, conn, request, out),
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
            Phase::Replaying if !self.config.roles.broker && self.quorum.leader().is_some() => self.serve(now, out),
            Phase::Replaying if self.config.roles.broker && self.active_controller().is_some() => {
                self.life.phase = Phase::Registering;
                self.register(now, out);
            }
            Phase::CatchingUp if self.image.next_offset().0 > self.life.broker_epoch => self.mount_all(now, out),
            Phase::Mounting if self.life.chosen.is_empty() && !self.partitions.is_any_mounting() => {
                self.life.phase = Phase::Unfencing;
                self.heartbeat(now, out);
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

    /// The registration is committed.
    pub(crate) fn registered(&mut self, broker_epoch: i64) {
        self.life.broker_epoch = broker_epoch;
        self.life.phase = Phase::CatchingUp;
    }

    /// The registration is applied, and with it all that this broker must know: its logs are mounted.
    fn mount_all(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Mounting;
        let topics: Vec<_> = self.image.topics().cloned().collect();
        for topic in topics {
            for partition in topic.partitions.keys() {
                self.mount(now, PartitionKey { topic_id: topic.id, partition: *partition }, out);
            }
        }
    }

    pub(crate) fn serve(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Serving;
        out.emit(|| Event::Started);
        self.arm_retention(now);
        self.arm_checkpoint(now);
        self.arm_flush(now);
        self.arm_expiry(now);
        // From here on it is known what a start must find.
        self.write_all_checkpoints(out);
        self.survey(out);
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
            WakeReason::Moves,
            WakeReason::ReplicaLag,
            WakeReason::Directories,
        ] {
            self.timers.disarm(reason);
        }
        for (conn, _) in std::mem::take(&mut self.life.waiting) {
            self.close(conn, "the node is stopping".to_owned(), out);
        }
        if was_serving && self.config.roles.broker {
            self.ask_to_leave(now, out);
        } else if was_serving {
            self.flush_all(now, out);
        } else {
            // Nobody was served and nothing was written, so there is nothing to flush or to mark.
            self.life.phase = Phase::Stopped;
            out.stopped = true;
        }
    }

    pub(crate) fn flush_all(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Flushing;
        self.timers.disarm(WakeReason::Heartbeat);
        // Coordinators write nothing more.
        self.groups.touch_all();
        for partition in self.partitions.iter_mut() {
            partition.flush(now.mono, &mut self.ops, out);
        }
        self.leave_quorum(now, out);
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
                self.fetchers.moved(partition.key);
            }
        }
        for dir in moved {
            self.write_log_starts(dir, None, out);
        }
        self.retain_metadata(now, out);
        self.arm_retention(now);
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub(crate) fn expire_producers(&mut self, now: Now) {
        let silence_ms = self.config.producer_expiration_ms(&self.image);
        for partition in self.partitions.iter_mut() {
            partition.expire_producers(now, silence_ms);
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
        let directory = image.directory_of(self.config.node_id).unwrap_or(Uuid::ZERO);
        let preferred = self.moves.preferred(&topic.name, key.partition);
        let preferred = preferred.filter(|dir| self.dir_of(directory) != Some(*dir));
        if let Some(dir) = preferred.filter(|dir| self.online_dirs().contains(dir)) {
            self.life.chosen.insert(key, dir);
            return self.ask_for_own_directory(now, key, dir, out);
        }
        match self.dir_of(directory) {
            // It was wanted elsewhere before it was there, and the controller does not know yet.
            Some(dir) if self.life.chosen.get(&key).is_some_and(|chosen| *chosen != dir) => {}
            Some(dir) => {
                self.life.chosen.remove(&key);
                self.mount_in(now, key, dir, true, out);
            }
            None if directory == UNASSIGNED => self.choose_directory(now, key, out),
            // It may be in any directory: whoever noted where knew another one, or knew it for lost.
            None => self.seek(now, key, out),
        }
    }

    /// Looks for a replica in one directory after the other.
    fn seek(&mut self, now: Now, key: PartitionKey, out: &mut Outbox) {
        if let Some(dir) = self.online_dirs().first().copied() {
            self.life.sought.insert(key, dir);
            self.mount_in(now, key, dir, false, out);
        }
    }

    /// A copy is the log now: it is mounted, and the controller is told where.
    pub(crate) fn mount_adopted(&mut self, now: Now, key: PartitionKey, dir: DirId, out: &mut Outbox) {
        self.life.chosen.remove(&key);
        self.life.sought.insert(key, dir);
        self.mount_in(now, key, dir, true, out);
    }

    fn mount_in(&mut self, now: Now, key: PartitionKey, dir: DirId, create: bool, out: &mut Outbox) {
        let Some(topic) = self.image.topic_by_id(key.topic_id) else { return };
        let Some(image) = topic.partitions.get(&key.partition) else { return };
        let (config, name) = (self.config.topic(&self.image, &topic.name), topic.name.clone());
        let me = self.config.node_id;
        self.partitions.mount(key, name, (dir, create), me, image, config, now.mono, &mut self.ops, out);
    }

    /// A replica is not in the directory in which it was looked for: it is looked for in the next. Where it is in none, it
    /// was in one that is lost, for all this broker can tell, or it is new.
    fn seek_on(&mut self, now: Now, key: PartitionKey, dir: DirId, out: &mut Outbox) {
        self.partitions.forget(key);
        if let Some(next) = self.online_dirs().into_iter().find(|it| *it > dir) {
            self.life.sought.insert(key, next);
            return self.mount_in(now, key, next, false, out);
        }
        let copied = self.life.copied.remove(&key);
        let Some(topic) = self.image.topic_by_id(key.topic_id) else { return };
        let name = topic.name.clone();
        // A copy may lack what was appended last, so it does not stand for a log that is only away.
        if let Some(lost) = self.life.offline.first().copied() {
            return self.lose(now, key, lost, out);
        }
        match copied {
            Some(dir) => {
                self.life.chosen.insert(key, dir);
                self.adopt(key, dir, name, key.topic_id, out);
            }
            None => self.choose_directory(now, key, out),
        }
    }

    /// A replica is in a directory that is lost, as far as this broker can tell.
    pub(crate) fn lose(&mut self, now: Now, key: PartitionKey, lost: DirId, out: &mut Outbox) {
        self.life.chosen.remove(&key);
        let Some(topic) = self.image.topic_by_id(key.topic_id) else { return };
        let Some(image) = topic.partitions.get(&key.partition) else { return };
        let config = self.config.topic(&self.image, &topic.name);
        self.partitions.add_lost(key, topic.name.clone(), lost, self.config.node_id, image, config, now.mono);
        self.ask_for_directory(now, key, LOST, out);
    }

    fn dir_of(&self, directory: Uuid) -> Option<DirId> {
        let ids = &self.config.identity.directory_ids;
        match ids.iter().position(|id| *id == directory && !id.is_zero()) {
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
        let cordoned = self.config.cordoned_dirs(&self.image);
        // Where all are cordoned, one that came here nevertheless goes to the first, as in Kafka.
        let count = |dir| {
            if cordoned.len() < self.config.log_dirs.len() { self.partitions.count(dir) + chosen(dir) } else { 0 }
        };
        let counts = self.online_dirs().into_iter().map(|dir| (cordoned.contains(&dir), count(dir), dir));
        let Some((_, _, dir)) = counts.min() else { return };
        let Some(id) = self.config.identity.directory_ids.get(usize::from(dir.0)) else { return };
        self.life.chosen.insert(key, dir);
        self.ask_for_directory(now, key, *id, out);
    }

    /// Tells the controller again where replicas are to be.
    pub(crate) fn ask_for_directories(&mut self, now: Now, out: &mut Outbox) {
        self.ask_for_futures(now, out);
        let chosen: Vec<_> = self.life.chosen.iter().map(|(key, dir)| (*key, *dir)).collect();
        for (key, dir) in chosen {
            if let Some(id) = self.config.identity.directory_ids.get(usize::from(dir.0)).copied() {
                self.ask_for_directory(now, key, id, out);
            }
        }
    }

    pub(crate) fn mounted(&mut self, now: Now, log: LogId, result: Result<Done, StoreError>, out: &mut Outbox) {
        match result {
            Ok(Done::Mounted(shape)) => {
                let sight =
                    Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
                if let Some((key, partition)) = self.partitions.by_log_mut(log) {
                    let dir = partition.dir;
                    warn_of(shape.mounted(), partition.config.compact, out);
                    partition.mounted(sight, *shape, &mut self.ops, out);
                    let has_followers = partition.has_followers();
                    self.groups.touch(&partition.topic, key);
                    self.refollow(key);
                    if has_followers {
                        self.watch.hurry(now.mono);
                        self.arm_lag(now);
                    }
                    self.life.copied.remove(&key);
                    if self.life.sought.remove(&key).is_some()
                        && let Some(id) = self.config.identity.directory_ids.get(usize::from(dir.0)).copied()
                    {
                        self.ask_for_directory(now, key, id, out);
                    }
                }
                self.arm_cleaner(now);
            }
            Ok(Done::OnlyCopy) => {
                // What was appended last may be in the log alone, so that is looked for first.
                let Some((key, partition)) = self.partitions.by_log_mut(log) else { return };
                self.life.copied.insert(key, partition.dir);
                match self.life.sought.remove(&key) {
                    Some(dir) => self.seek_on(now, key, dir, out),
                    None => {
                        self.partitions.forget(key);
                        self.seek(now, key, out);
                    }
                }
            }
            Ok(other) => panic!("a mount was answered with {other:?}"),
            Err(error @ (StoreError::Corrupt(_) | StoreError::Missing)) => {
                // The disk works; this one log does not hold together, or is another topic's.
                let Some((key, partition)) = self.partitions.by_log_mut(log) else { return };
                if let Some(dir) = self.life.sought.remove(&key)
                    && error == StoreError::Missing
                {
                    return self.seek_on(now, key, dir, out);
                }
                partition.go_offline();
                let name = format!("{}-{}", partition.topic, partition.key.partition);
                out.emit(|| Event::Warning { what: format!("{name} is offline: {error}") });
            }
            Err(error) => self.storage_failed(now, log, &error, out),
        }
    }

    /// A broker is fenced, leaves or is gone: who was about to join an ISR does not keep its high watermark back any more.
    pub(crate) fn broker_changed(&mut self, now: Now, out: &mut Outbox) {
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let mut moved = Vec::new();
        for partition in self.partitions.iter_mut().filter(|it| it.has_followers()) {
            let visible = partition.reveal(sight);
            if visible > 0 {
                moved.push((partition.log, visible));
            }
        }
        for (log, visible) in moved {
            self.revealed_in(log, visible, out);
        }
    }

    /// A partition was created, or has another leader, epoch or set of replicas.
    pub(crate) fn partition_changed(&mut self, now: Now, topic_id: Uuid, partition: i32, out: &mut Outbox) {
        // Until the registration is committed, the image is not complete: what it has then is mounted at once.
        if matches!(self.life.phase, Phase::Cold | Phase::Replaying | Phase::Registering | Phase::CatchingUp) {
            return;
        }
        let key = PartitionKey { topic_id, partition };
        if self.partitions.get(&key).is_none() {
            return self.mount(now, key, out);
        }
        let image = self.image.topic_by_id(topic_id).and_then(|topic| topic.partitions.get(&partition));
        let (Some(image), Some(partition)) = (image, self.partitions.get_mut(&key)) else { return };
        if !image.replicas.contains(&self.config.node_id) {
            return self.replica_removed(key, out);
        }
        let turn = partition.assigned(now.mono, image, &mut self.ops, out);
        let is_moving = partition.future().is_some();
        let (topic, isr, has_followers) =
            (partition.topic.clone(), partition.isr().to_vec(), partition.has_followers());
        let epoch = (turn.is_new && partition.leads()).then_some(image.leader_epoch);
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let (log, visible) = (partition.log, partition.reveal(sight));
        self.groups.touch(&topic, key);
        if turn.is_new {
            self.watch.changed(key);
            self.refollow(key);
            if has_followers {
                self.watch.hurry(now.mono);
            }
        }
        if let Some(leader_epoch) = epoch {
            out.emit(|| Event::Leads { topic, partition: key.partition, leader_epoch, isr });
        } else if turn.is_other_isr && has_followers {
            out.emit(|| Event::Isr { topic, partition: key.partition, isr });
        }
        for (id, slot) in turn.abandoned {
            self.fail_produce(id, slot, ErrorCode::NotLeaderOrFollower, out);
        }
        if visible > 0 {
            self.revealed_in(log, visible, out);
        }
        if has_followers {
            self.arm_lag(now);
        }
        if is_moving {
            self.drive_moves(now, out);
        }
    }

    /// A reassignment has moved the replica to another broker.
    fn replica_removed(&mut self, key: PartitionKey, out: &mut Outbox) {
        self.fetchers.follow(key, None);
        self.watch.changed(key);
        self.groups.touch_all();
        for (id, slot) in self.partitions.remove(key, &mut self.ops, out) {
            self.fail_produce(id, slot, ErrorCode::NotLeaderOrFollower, out);
        }
    }

    pub(crate) fn topic_removed(&mut self, topic_id: Uuid, out: &mut Outbox) {
        self.life.chosen.retain(|key, _| key.topic_id != topic_id);
        self.life.sought.retain(|key, _| key.topic_id != topic_id);
        self.life.copied.retain(|key, _| key.topic_id != topic_id);
        self.groups.touch_all();
        let keys: Vec<_> = self.partitions.of_topic(topic_id).collect();
        let Some(name) = keys.first().and_then(|key| self.partitions.get(key)).map(|it| it.topic.clone()) else {
            return;
        };
        // Another topic of this name must not take over how far this one was cleaned.
        let cleaned = keys.iter().filter_map(|key| self.partitions.get(key)).filter(|it| it.cleaned_to().is_some());
        let cleaned: Set<DirId> = cleaned.map(|it| it.dir).collect();
        for key in keys {
            self.watch.changed(key);
            self.fetchers.follow(key, None);
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
        self.throttles.renew(&self.config, &self.image);
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
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let Some((_, partition)) = self.partitions.by_log_mut(log) else { return };
        let (key, moved) = (partition.key, partition.written(sight));
        // A coordinator may wait for the rest of its log.
        self.groups.touch(&partition.topic, key);
        self.watch.written(key, moved.written);
        if !self.fetchers.is_empty() && partition.fetch_position().is_some() {
            self.fetchers.settled(key);
        }
        self.revealed_in(log, moved.visible, out);
    }

    /// Readers may see so many bytes more of a log, and appends may be as safe as their producers asked for.
    pub(crate) fn revealed_in(&mut self, log: LogId, moved: u64, out: &mut Outbox) {
        let Some((key, partition)) = self.partitions.by_log_mut(log) else { return };
        let (topic, offset, leads) = (partition.topic.clone(), partition.high_watermark(), partition.leads());
        let ready = partition.take_ready();
        if moved > 0 {
            self.groups.touch(&topic, key);
            if leads {
                out.emit(|| Event::HighWatermark { topic, partition: key.partition, offset });
            }
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
                let sight =
                    Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
                let Some((_, partition)) = self.partitions.by_log_mut(log) else { return };
                let moved = partition.flushed(sight, end, &mut self.ops, out);
                partition.clean_flushed(&mut self.ops, out);
                if !self.fetchers.is_empty() && partition.fetch_position().is_some() {
                    self.fetchers.settled(partition.key);
                }
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
        self.groups.touch_all();
        let mut failed = Vec::new();
        for partition in self.partitions.iter_mut().filter(|it| it.dir == dir) {
            failed.extend(partition.go_offline());
            self.watch.changed(partition.key);
            self.fetchers.follow(partition.key, None);
        }
        for (id, slot) in failed {
            self.fail_produce(id, slot, ErrorCode::KafkaStorageError, out);
        }
        self.futures_failed(now, dir, out);
        // The disk's own words name the file, and so the directory.
        if self.online_dirs().is_empty() {
            return self.fail(format!("no log directory is left: {error}"), out);
        }
        if dir.0 == self.config.metadata_log_dir {
            return self.fail(format!("the log directory of the metadata log is lost: {error}"), out);
        }
        out.emit(|| Event::StorageFailed { what: format!("{name} is offline: {error}") });
        if self.life.phase == Phase::Serving {
            self.heartbeat(now, out);
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
    for what in [mounted.cut.as_ref(), mounted.lost.as_ref(), mounted.aside.as_ref(), gap].into_iter().flatten() {
        out.emit(|| Event::Warning { what: what.clone() });
    }
}
