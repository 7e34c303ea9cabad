//! What the storage says: batches are written or flushed, and with that ends move; or a directory has failed.

use protocol::{ErrorCode, Now, Offset};
use storage::{Cell, DirId, Done, LogId, StoreError};

use super::Phase;
use crate::event::Event;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::partition::Sight;

impl Node {
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
        let deleted = partition.take_deleted(&self.image);
        if moved > 0 {
            self.groups.touch(&topic, key);
            if leads {
                out.emit(|| Event::HighWatermark { topic, partition: key.partition, offset });
            }
            self.watch.advanced(key, moved);
        }
        self.unpark(ready, out);
        for (id, slot) in deleted.1 {
            self.settle_delete(id, slot, Ok(deleted.0), out);
        }
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
            self.fail_parked(id, slot, ErrorCode::KafkaStorageError, out);
        }
        self.futures_failed(now, dir, out);
        // The disk's own words name the file, and so the directory.
        if self.replica_dirs().is_empty() {
            return self.fail(format!("no log directory is left: {error}"), out);
        }
        if dir.0 == self.config.metadata_log_dir {
            return self.fail(format!("the log directory of the metadata log is lost: {error}"), out);
        }
        out.emit(|| Event::StorageFailed { what: format!("{name} is offline: {error}") });
        if self.life.phase == Phase::Serving && self.config.roles.broker {
            self.heartbeat(now, out);
            self.arm_lost_directory(now);
        }
    }
}
