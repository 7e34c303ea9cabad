//! Replicas on their way to other log directories (KIP-113), and what is found in directories that no replica is in.

use ordered::{Map, Set};
use protocol::{ErrorCode, Instant, NodeId, Now, Str, TopicPartition, Uuid};
use storage::{Cell, CopyPlan, DirId, Done, FoundLog, LogId, StoreError, StoreOp};

use crate::event::Event;
use crate::image::directory::LOST;
use crate::lifecycle::Phase;
use crate::node::Node;
use crate::ops::{CopyPart, Purpose};
use crate::outbox::Outbox;
use crate::partition::{FutureTask, Partition, PartitionKey};
use crate::timers::WakeReason;

/// Bytes of one step: the most that a limit lets through at once, and that a stop waits for.
const STEP: u64 = 16 << 20;
const LEAST_STEP: u64 = 64 << 10;
/// What could not be done is tried again after so long.
const RETRY_MS: i64 = 500;
/// Directories that are remembered for replicas that are not there yet.
const PREFERRED: usize = 4096;

/// Which replicas are on their way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves {
    keys: Set<PartitionKey>,
    /// `replica.alter.log.dirs.io.max.bytes.per.second` allows the next step then.
    not_before: Instant,
    /// Where replicas are wanted that are not on this broker yet.
    preferred: Map<TopicPartition, DirId>,
}

impl Moves {
    pub(crate) fn preferred(&mut self, topic: &Str, partition: i32) -> Option<DirId> {
        if self.preferred.is_empty() {
            return None;
        }
        self.preferred.remove(&TopicPartition { topic: topic.clone(), partition })
    }

    pub(crate) fn forget(&mut self, key: PartitionKey) {
        self.keys.remove(&key);
    }
}

impl Node {
    /// AlterReplicaLogDirs for one replica.
    pub(crate) fn move_replica(
        &mut self,
        now: Now,
        name: &TopicPartition,
        path: &str,
        out: &mut Outbox,
    ) -> Result<(), ErrorCode> {
        // Of the folder of a copy: `-`, `.` and 32 digits and `-future` come to the topic's name.
        let digits = name.partition.to_string().len();
        if name.topic.len() + digits + 41 > 255 {
            return Err(ErrorCode::InvalidTopicException);
        }
        let place = self
            .config
            .log_dirs
            .iter()
            .take(self.config.replica_dirs)
            .position(|it| it == path)
            .ok_or(ErrorCode::LogDirNotFound)?;
        let dir = DirId(u16::try_from(place).map_err(|_| ErrorCode::LogDirNotFound)?);
        if !self.online_dirs().contains(&dir) {
            return Err(ErrorCode::KafkaStorageError);
        }
        if self.config.cordoned_dirs(&self.image).contains(&dir) {
            return Err(ErrorCode::InvalidReplicaAssignment);
        }
        let topic = self.image.topic(&name.topic);
        let is_known = topic.is_some_and(|topic| topic.partitions.contains_key(&name.partition));
        let key = topic.map(|topic| PartitionKey { topic_id: topic.id, partition: name.partition });
        let Some(partition) = key.and_then(|key| self.partitions.get_mut(&key)) else {
            if self.moves.preferred.len() < PREFERRED {
                self.moves.preferred.insert(name.clone(), dir);
            }
            return Err(if is_known { ErrorCode::ReplicaNotAvailable } else { ErrorCode::UnknownTopicOrPartition });
        };
        if !partition.is_online() {
            return Err(match partition.is_mounting() {
                true => ErrorCode::ReplicaNotAvailable,
                false => ErrorCode::KafkaStorageError,
            });
        }
        // As in Kafka, a second copy beside one in a directory that may come back is not risked.
        let is_all_online = self.replica_dirs().len() == self.config.replica_dirs;
        let Some(partition) = key.and_then(|key| self.partitions.get_mut(&key)) else { return Ok(()) };
        if dir != partition.dir && partition.future().is_none() && !is_all_online {
            return Err(ErrorCode::KafkaStorageError);
        }
        if partition.want_in(dir) {
            self.moves.keys.insert(partition.key);
            self.drive_moves(now, out);
        }
        Ok(())
    }

    /// Begins what can be done for replicas that are on their way.
    pub(crate) fn drive_moves(&mut self, now: Now, out: &mut Outbox) {
        if self.moves.keys.is_empty() || self.life.phase() != Phase::Serving {
            return;
        }
        let limit = self.number("replica.alter.log.dirs.io.max.bytes.per.second").unwrap_or(u64::MAX);
        let threads = self.number("num.replica.alter.log.dirs.threads");
        let threads = threads.map_or(self.config.replica_dirs, |it| usize::try_from(it).unwrap_or(usize::MAX));
        let mut copying = self.ops.count(|purpose| matches!(purpose, Purpose::Copy(_, CopyPart::Step(_))));
        for key in self.moves.keys.iter().copied().collect::<Vec<_>>() {
            let Some(partition) = self.partitions.get_mut(&key) else {
                self.moves.keys.remove(&key);
                continue;
            };
            if !partition.is_online() {
                partition.future_lost();
            }
            let Some((log, to)) = partition.future().map(|it| (partition.log, it.dir)) else {
                self.moves.keys.remove(&key);
                continue;
            };
            let is_noted = self.noted_dir(key) == Some(to);
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            let Some(task) = partition.future_task(is_noted) else { continue };
            match task {
                FutureTask::Copy => {
                    if copying >= threads.max(1) || now.mono < self.moves.not_before || limit == 0 {
                        continue;
                    }
                    let era = partition.era();
                    copying += 1;
                    let plan = CopyPlan { to, era, bytes: limit.clamp(LEAST_STEP, STEP) };
                    partition.future_began(task);
                    self.ops.start(Purpose::Copy(log, CopyPart::Step(era)), StoreOp::Copy(log, plan), out);
                }
                FutureTask::Ask => {
                    partition.future_began(task);
                    self.ask_for_own_directory(now, key, to, out);
                }
                FutureTask::Move => {
                    partition.future_began(task);
                    // What was deleted stays deleted, whichever directory a crash leaves the log in.
                    let text = self.partitions.checkpoint(to, None, Partition::log_start);
                    let op = StoreOp::Put(Cell::LogStarts(to), text);
                    self.ops.start(Purpose::Copy(log, CopyPart::Note), op, out);
                }
                FutureTask::Drop => {
                    partition.future_began(task);
                    self.ops.start(Purpose::Copy(log, CopyPart::Drop), StoreOp::DropCopy(log), out);
                }
            }
        }
        if !self.moves.keys.is_empty() {
            let retry = now.mono.plus_ms(RETRY_MS);
            let next = if self.moves.not_before > now.mono { self.moves.not_before.min(retry) } else { retry };
            self.timers.arm(WakeReason::Moves, next);
        }
    }

    /// A broker's setting that is a number; `None` if it is not set.
    fn number(&self, key: &str) -> Option<u64> {
        self.config.broker_value(&self.image, key)?.trim().parse().ok()
    }

    /// The directory of a replica of this broker by the committed metadata.
    fn noted_dir(&self, key: PartitionKey) -> Option<DirId> {
        let partition = self.image.topic_by_id(key.topic_id)?.partitions.get(&key.partition)?;
        let directory = partition.directory_of(self.config.node_id)?;
        let place = self.config.identity.directory_ids.iter().position(|id| *id == directory && !id.is_zero())?;
        u16::try_from(place).ok().map(DirId)
    }

    pub(crate) fn ask_for_own_directory(&mut self, now: Now, key: PartitionKey, dir: DirId, out: &mut Outbox) {
        if let Some(id) = self.config.identity.directory_ids.get(usize::from(dir.0)).copied() {
            // The id of one that could not be opened is not known.
            self.ask_for_directory(now, key, if id.is_zero() { LOST } else { id }, out);
        }
    }

    /// The controller did not answer: it is asked again to note the directories of replicas on their way.
    pub(crate) fn ask_for_futures(&mut self, now: Now, out: &mut Outbox) {
        for key in self.moves.keys.iter().copied().collect::<Vec<_>>() {
            let Some(partition) = self.partitions.get(&key).filter(|it| it.is_future_asked()) else { continue };
            let Some(to) = partition.future().map(|it| it.dir) else { continue };
            if self.noted_dir(key) != Some(to) {
                self.ask_for_own_directory(now, key, to, out);
            }
        }
        // A move that came to nothing because a directory failed: the controller must look for the replica where it is, or was.
        let is_elsewhere = |partition: &&Partition| {
            let noted = self.noted_dir(partition.key).filter(|noted| *noted != partition.dir);
            let is_moving = |noted| partition.is_future_asked() && partition.future().is_some_and(|it| it.dir == noted);
            !partition.is_mounting() && noted.is_some_and(|noted| !is_moving(noted))
        };
        let elsewhere: Vec<_> = self.partitions.iter().filter(is_elsewhere).map(|it| (it.key, it.dir)).collect();
        for (key, dir) in elsewhere {
            self.ask_for_own_directory(now, key, dir, out);
        }
    }

    /// A step of a move was answered.
    pub(crate) fn copy_answered(
        &mut self,
        now: Now,
        log: LogId,
        part: CopyPart,
        result: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        let Some((key, partition)) = self.partitions.by_log_mut(log) else { return };
        let Some(to) = partition.future().map(|it| it.dir) else { return };
        match (part, result) {
            (CopyPart::Step(era) | CopyPart::Move(era), Ok(Done::Copied(copied))) => {
                let more = partition.future_paused(Some((era, copied)));
                self.pay_for_copy(now, more);
            }
            (CopyPart::Note, Ok(Done::Put)) => {
                // A stop waits for what is in a lane, so none begins during one.
                if self.life.is_leaving() {
                    partition.future_paused(None);
                } else {
                    let part = CopyPart::Move(partition.era());
                    self.ops.start(Purpose::Copy(log, part), StoreOp::Move(log), out);
                }
                return;
            }
            (CopyPart::Move(_), Ok(Done::Moved(failed))) => return self.replica_moved(now, key, failed, out),
            (CopyPart::Drop, Ok(Done::CopyDropped)) => {
                if !partition.future_over(false) {
                    self.moves.forget(key);
                }
            }
            (_, Ok(Done::CopyFailed(error))) => {
                partition.future_paused(None);
                self.directory_failed(now, to, &error, out);
            }
            (_, Ok(other)) => panic!("a step of a move was answered with {other:?}"),
            (CopyPart::Note, Err(error)) => {
                partition.future_paused(None);
                self.directory_failed(now, to, &error, out);
            }
            // The log was cut meanwhile.
            (_, Err(StoreError::Missing)) => {
                partition.future_paused(None);
            }
            (_, Err(StoreError::Corrupt(why))) => {
                let (was_asked, own) = (partition.give_up_future(), partition.dir);
                let name = format!("{}-{}", partition.topic, key.partition);
                if was_asked {
                    self.ask_for_own_directory(now, key, own, out);
                }
                out.emit(|| Event::Warning { what: format!("{name} cannot be copied to another directory: {why}") });
            }
            (_, Err(error)) => {
                partition.future_paused(None);
                self.storage_failed(now, log, &error, out);
            }
        }
        self.drive_moves(now, out);
    }

    /// The next step has to wait until the limit allows it.
    fn pay_for_copy(&mut self, now: Now, bytes: u64) {
        let Some(limit) = self.number("replica.alter.log.dirs.io.max.bytes.per.second").filter(|it| *it > 0) else {
            return;
        };
        let ms = i64::try_from(u128::from(bytes) * 1000 / u128::from(limit)).unwrap_or(i64::MAX);
        self.moves.not_before = self.moves.not_before.max(now.mono).plus_ms(ms);
    }

    /// A log lives in another directory now.
    fn replica_moved(&mut self, now: Now, key: PartitionKey, failed: Option<(DirId, StoreError)>, out: &mut Outbox) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        let from = partition.dir;
        if !partition.future_over(true) {
            self.moves.forget(key);
        }
        let to = partition.dir;
        let was_cleaned = partition.cleaned_to().is_some();
        for dir in [to, from] {
            if self.online_dirs().contains(&dir) && failed.as_ref().is_none_or(|(failed, _)| *failed != dir) {
                self.write_checkpoints(dir, out);
                self.write_log_starts(dir, None, out);
                if was_cleaned {
                    self.write_cleaner_offsets(dir, out);
                }
            }
        }
        if let Some((dir, error)) = failed {
            self.directory_failed(now, dir, &error, out);
        }
        self.drive_moves(now, out);
    }

    /// A directory has failed: nothing moves there or from there any more, and the controller must not look for a replica
    /// where it is not.
    pub(crate) fn futures_failed(&mut self, now: Now, dir: DirId, out: &mut Outbox) {
        for key in self.moves.keys.iter().copied().collect::<Vec<_>>() {
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            if partition.dir != dir && partition.future().is_none_or(|it| it.dir != dir) {
                continue;
            }
            let (was_asked, own) = (partition.is_future_asked(), partition.dir);
            partition.future_lost();
            self.moves.forget(key);
            if was_asked || self.noted_dir(key).is_some_and(|noted| noted != own) {
                self.ask_for_own_directory(now, key, own, out);
            }
        }
    }

    /// Looks for folders of logs that no replica is in.
    pub(crate) fn survey(&mut self, out: &mut Outbox) {
        if self.config.roles.broker {
            for dir in self.replica_dirs() {
                self.ops.start(Purpose::Survey(dir), StoreOp::Survey(dir), out);
            }
        }
    }

    /// What is in a directory beside the replicas that were mounted there: copies are gone on with, and what is nobody's is
    /// set aside, as in Kafka.
    pub(crate) fn surveyed(&mut self, now: Now, dir: DirId, found: Vec<FoundLog>, out: &mut Outbox) {
        let me = self.config.node_id;
        for log in found {
            if log.name.topic == quorum::TOPIC {
                continue;
            }
            match self.place_of(me, dir, &log) {
                Place::Right => {}
                Place::Copy(key) => {
                    if let Some(partition) = self.partitions.get_mut(&key)
                        && partition.want_in(dir)
                    {
                        self.moves.keys.insert(key);
                    }
                }
                Place::Stray(why) => {
                    let op = StoreOp::SetAside(dir, log.folder.clone());
                    self.ops.start(Purpose::SetAside(dir, log.folder, why), op, out);
                }
            }
        }
        self.drive_moves(now, out);
    }

    fn place_of(&self, me: NodeId, dir: DirId, log: &FoundLog) -> Place {
        let Some(topic) = self.image.topic(&log.name.topic) else { return Place::Stray("its topic does not exist") };
        let image = topic.partitions.get(&log.name.partition);
        if !image.is_some_and(|it| it.replicas.contains(&me)) {
            return Place::Stray("this broker has no such replica");
        }
        let key = PartitionKey { topic_id: topic.id, partition: log.name.partition };
        let Some(partition) = self.partitions.get(&key) else { return Place::Right };
        match log.copy_of {
            Some(id) if id != topic.id => Place::Stray("it is of no topic that exists"),
            Some(_) if partition.is_online() && partition.dir != dir && partition.future().is_none() => {
                Place::Copy(key)
            }
            None if partition.is_online() && partition.dir != dir => {
                Place::Stray("the replica is in another directory")
            }
            // It could not be mounted, is on its way, or nobody can tell which of two is right.
            Some(_) | None => Place::Right,
        }
    }

    /// A folder was put where it bothers nobody.
    pub(crate) fn set_aside(
        &mut self,
        now: Now,
        (dir, folder, why): (DirId, Str, &'static str),
        result: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        match result {
            Ok(Done::SetAside(Some(name))) => {
                let path = self.config.log_dirs.get(usize::from(dir.0)).cloned().unwrap_or_default();
                out.emit(|| Event::Warning { what: format!("{path}/{folder}: {why}; set aside as {name}") });
            }
            Ok(_) => {}
            Err(error) => self.directory_failed(now, dir, &error, out),
        }
    }

    /// A copy stands for its log.
    pub(crate) fn adopted(
        &mut self,
        now: Now,
        key: PartitionKey,
        dir: DirId,
        result: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        match result {
            Ok(_) => self.mount_adopted(now, key, dir, out),
            Err(error) => {
                self.directory_failed(now, dir, &error, out);
                self.lose(now, key, dir, out);
            }
        }
    }

    /// The only directory with anything of a log has but a copy of it: whatever is nowhere else is in there.
    pub(crate) fn adopt(&mut self, key: PartitionKey, dir: DirId, topic: Str, topic_id: Uuid, out: &mut Outbox) {
        let name = TopicPartition { topic, partition: key.partition };
        out.emit(|| Event::Warning {
            what: format!("{name} is in no directory; a copy of it that was being made takes its place"),
        });
        self.ops.start(Purpose::Adopt(key, dir), StoreOp::Adopt(dir, name, topic_id), out);
    }
}

/// Whether a log is where it should be.
enum Place {
    /// It is, or it is not known better.
    Right,
    /// A copy on its way here.
    Copy(PartitionKey),
    /// It is nobody's, and why.
    Stray(&'static str),
}
