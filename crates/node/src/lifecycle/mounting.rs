//! Which directory a replica's log is in, or is to be in, and that it is mounted there (KIP-112, KIP-858).

use protocol::{Now, Uuid};
use storage::{DirId, Done, LogId, StoreError};

use crate::event::Event;
use crate::image::directory::{LOST, MIGRATING, UNASSIGNED};
use crate::node::Node;
use crate::outbox::Outbox;
use crate::partition::{PartitionKey, Sight};

impl Node {
    /// The directories that have not failed.
    pub(crate) fn online_dirs(&self) -> Vec<DirId> {
        let dirs = (0..self.config.log_dirs.len()).filter_map(|it| u16::try_from(it).ok()).map(DirId);
        dirs.filter(|dir| !self.life.offline.contains(dir)).collect()
    }

    /// Those of them that are for replicas.
    pub(crate) fn replica_dirs(&self) -> Vec<DirId> {
        let mut dirs = self.online_dirs();
        dirs.retain(|dir| usize::from(dir.0) < self.config.replica_dirs);
        dirs
    }

    /// Mounts a partition's log if this broker is one of its replicas and has not mounted it.
    pub(super) fn mount(&mut self, now: Now, key: PartitionKey, out: &mut Outbox) {
        let Some(topic) = self.image.topic_by_id(key.topic_id) else { return };
        let Some(image) = topic.partitions.get(&key.partition) else { return };
        if !image.replicas.contains(&self.config.node_id) {
            return;
        }
        let directory = image.directory_of(self.config.node_id).unwrap_or(Uuid::ZERO);
        let preferred = self.moves.preferred(&topic.name, key.partition);
        let preferred = preferred.filter(|dir| self.dir_of(directory) != Some(*dir));
        if let Some(dir) = preferred.filter(|dir| self.replica_dirs().contains(dir)) {
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
        if let Some(dir) = self.replica_dirs().first().copied() {
            self.life.sought.insert(key, dir);
            self.mount_in(now, key, dir, false, out);
        } else if let Some(lost) = self.life.offline.first().copied() {
            self.lose(now, key, lost, out);
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
        if let Some(next) = self.replica_dirs().into_iter().find(|it| *it > dir) {
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
            // With one directory there is nothing to choose; but the controller is told if it takes another one for it.
            None if matches!(directory, MIGRATING | UNASSIGNED) && self.config.replica_dirs <= 1 => Some(DirId(0)),
            None => None,
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
            if cordoned.len() < self.config.replica_dirs { self.partitions.count(dir) + chosen(dir) } else { 0 }
        };
        let counts = self.replica_dirs().into_iter().map(|dir| (cordoned.contains(&dir), count(dir), dir));
        let Some((_, _, dir)) = counts.min() else { return };
        let Some(id) = self.config.identity.directory_ids.get(usize::from(dir.0)) else { return };
        self.life.chosen.insert(key, dir);
        self.ask_for_directory(now, key, *id, out);
    }

    /// The controller has noted where a replica is.
    pub(crate) fn directory_noted(&mut self, key: PartitionKey) {
        self.life.found.remove(&key);
    }

    /// Tells the controller again where replicas are to be.
    pub(crate) fn ask_for_directories(&mut self, now: Now, out: &mut Outbox) {
        self.ask_for_futures(now, out);
        let untold: Vec<_> = self.life.chosen.iter().chain(&self.life.found).map(|(key, dir)| (*key, *dir)).collect();
        for (key, dir) in untold {
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
                    if self.life.sought.remove(&key).is_some() {
                        self.life.found.insert(key, dir);
                    }
                    if self.life.found.contains_key(&key)
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
}

/// Tells people what a mount found.
pub(crate) fn warn_of(mounted: &storage::Mounted, is_compacted: bool, out: &mut Outbox) {
    let gap = mounted.gap.as_ref().filter(|_| !is_compacted);
    for what in [mounted.cut.as_ref(), mounted.lost.as_ref(), mounted.aside.as_ref(), gap].into_iter().flatten() {
        out.emit(|| Event::Warning { what: what.clone() });
    }
}
