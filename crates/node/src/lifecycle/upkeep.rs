//! What a node does now and then for all of its logs: checkpoints, flushes by age, retention, producers that are silent.

use bytes::Bytes;
use ordered::Set;
use protocol::Now;
use storage::{Cell, DirId, StoreOp};

use crate::deferred::RequestId;
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::Outbox;
use crate::partition::Partition;
use crate::timers::WakeReason;

impl Node {
    /// The periodic checkpoint of high watermarks, and of recovery points unless those have an interval of their own. Log
    /// starts are written as they move.
    pub(crate) fn checkpoint(&mut self, now: Now, out: &mut Outbox) {
        for dir in self.online_dirs() {
            self.write_high_watermarks(dir, out);
            if self.config.log_flush_offset_checkpoint_interval_ms.is_none() {
                self.write_recovery_points(dir, out);
            }
        }
        self.arm_checkpoint(now);
    }

    /// The periodic checkpoint of recovery points, if they have an interval of their own.
    pub(crate) fn checkpoint_recovery_points(&mut self, now: Now, out: &mut Outbox) {
        for dir in self.online_dirs() {
            self.write_recovery_points(dir, out);
        }
        self.arm_recovery_points(now);
    }

    pub(super) fn write_all_checkpoints(&mut self, out: &mut Outbox) {
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

    pub(super) fn arm_flush(&mut self, now: Now) {
        let interval = self.config.log_flush_scheduler_interval_ms;
        // Kafka's default, which is never.
        if interval < i64::MAX {
            self.timers.arm(WakeReason::Flush, now.mono.plus_ms(interval.max(1)));
        }
    }

    pub(super) fn arm_checkpoint(&mut self, now: Now) {
        let interval = self.config.replica_high_watermark_checkpoint_interval_ms;
        self.timers.arm(WakeReason::Checkpoint, now.mono.plus_ms(interval.max(1)));
    }

    pub(super) fn arm_recovery_points(&mut self, now: Now) {
        // Without one they are written down once, as in Kafka.
        if let Some(interval) = self.config.log_flush_offset_checkpoint_interval_ms.filter(|it| *it > 0) {
            self.timers.arm(WakeReason::RecoveryPoints, now.mono.plus_ms(interval));
        }
    }

    /// What is done now and then is done for the first time: after `log.initial.task.delay.ms` if that is set.
    pub(super) fn arm_upkeep(&mut self, now: Now) {
        self.arm_retention(now);
        self.arm_checkpoint(now);
        self.arm_recovery_points(now);
        self.arm_flush(now);
        let Some(delay) = self.config.log_initial_task_delay_ms else { return };
        for reason in [WakeReason::Retention, WakeReason::RecoveryPoints, WakeReason::Flush] {
            if self.timers.deadline(reason).is_some() {
                self.timers.arm(reason, now.mono.plus_ms(delay));
            }
        }
    }

    /// The text of a directory's recovery points.
    pub(crate) fn recovery_points(&self, dir: DirId) -> Bytes {
        // The metadata log's, which Kafka leaves out, tells damage of it from a tail that was never on disk.
        let metadata = (dir.0 == self.config.metadata_log_dir).then(|| self.quorum.recovery_point());
        self.partitions.checkpoint(dir, metadata, Partition::recovery_point)
    }

    pub(crate) fn write_checkpoints(&mut self, dir: DirId, out: &mut Outbox) {
        self.write_high_watermarks(dir, out);
        self.write_recovery_points(dir, out);
    }

    fn write_high_watermarks(&mut self, dir: DirId, out: &mut Outbox) {
        let text = self.partitions.checkpoint(dir, None, Partition::high_watermark);
        self.put_if_new(Cell::HighWatermarks(dir), text, out);
    }

    fn write_recovery_points(&mut self, dir: DirId, out: &mut Outbox) {
        self.put_if_new(Cell::RecoveryPoints(dir), self.recovery_points(dir), out);
    }

    /// An idle node writes nothing.
    fn put_if_new(&mut self, cell: Cell, text: Bytes, out: &mut Outbox) {
        if self.life.written.get(&cell) != Some(&text) {
            self.life.written.insert(cell, text.clone());
            self.put(cell, text, out);
        }
    }

    /// Writes a directory's log starts down; `id` waits for that.
    pub(crate) fn write_log_starts(&mut self, dir: DirId, id: Option<RequestId>, out: &mut Outbox) {
        let text = self.partitions.checkpoint(dir, None, Partition::log_start);
        self.ops.start(Purpose::LogStarts(dir, id), StoreOp::Put(Cell::LogStarts(dir), text), out);
    }

    pub(super) fn put(&mut self, cell: Cell, bytes: Bytes, out: &mut Outbox) {
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

    pub(super) fn arm_expiry(&mut self, now: Now) {
        let interval = i64::from(self.config.producer_id_expiration_check_interval_ms);
        self.timers.arm(WakeReason::Producers, now.mono.plus_ms(interval.max(1)));
    }

    pub(super) fn arm_retention(&mut self, now: Now) {
        self.timers.arm(WakeReason::Retention, now.mono.plus_ms(self.config.log_retention_check_interval_ms.max(1)));
    }
}
