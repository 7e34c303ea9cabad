//! The cleaner: of the logs that are compacted the filthiest first, as many at once as `log.cleaner.threads` says.

use ordered::Map;
use protocol::{Instant, Now, TopicPartition};
use storage::{Cell, DirId, Done, LogId, StoreError, StoreOp};

use crate::event::Event;
use crate::node::Node;
use crate::ops::{CleanPart, Purpose};
use crate::outbox::Outbox;
use crate::partition::{CleanOutcome, Partition};
use crate::timers::WakeReason;

impl Node {
    /// Sees to it that the cleaner looks, if there is anything that it could ever clean.
    pub(crate) fn arm_cleaner(&mut self, now: Now) {
        let is_armed = self.timers.deadline(WakeReason::Clean).is_some();
        if is_armed || self.life.is_leaving() || !self.partitions.iter().any(Partition::is_compacted) {
            return;
        }
        let cleaner = self.config.cleaner(&self.image);
        if cleaner.enable {
            self.timers.arm(WakeReason::Clean, now.mono.plus_ms(cleaner.backoff_ms.max(1)));
        }
    }

    /// Begins to clean the filthiest logs.
    pub(crate) fn clean(&mut self, now: Now, out: &mut Outbox) {
        let cleaner = self.config.cleaner(&self.image);
        let running = self.partitions.iter().filter(|it| it.is_cleaning()).count();
        for _ in running..cleaner.threads {
            let mut filthiest = None;
            for partition in self.partitions.iter() {
                let Some(dirt) = partition.dirt(now.wall) else { continue };
                if filthiest.is_none_or(|(_, most)| dirt.is_filthier_than(most)) {
                    filthiest = Some((partition.key, dirt));
                }
            }
            let Some((key, dirt)) = filthiest else { break };
            let seed = [self.random.next_u64(), self.random.next_u64()];
            let Some(partition) = self.partitions.get_mut(&key) else { break };
            partition.begin_clean(now, dirt, &cleaner, seed, &mut self.ops, out);
        }
        self.arm_cleaner(now);
    }

    /// A step of a clean was answered.
    pub(crate) fn clean_answered(
        &mut self,
        now: Now,
        log: LogId,
        part: CleanPart,
        result: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        let is_leaving = self.life.is_leaving();
        let Some((_, partition)) = self.partitions.by_log_mut(log) else { return };
        let dir = partition.dir;
        let outcome = match (part, result) {
            // What was written is taken away by the next start; a swap that has begun goes through.
            (CleanPart::Write | CleanPart::Note, _) if is_leaving => return,
            (CleanPart::Write, Ok(Done::Cleaned(cleaned))) => {
                partition.clean_written(now.mono, cleaned, &mut self.ops, out)
            }
            (CleanPart::Note, Ok(Done::Put)) => partition.clean_noted(now.mono, &mut self.ops, out),
            (CleanPart::Swap, Ok(Done::Swapped)) => partition.clean_swapped(now.mono, &mut self.ops, out),
            (_, Ok(other)) => panic!("a step of a clean was answered with {other:?}"),
            (CleanPart::Write, Err(StoreError::Missing)) => CleanOutcome::Stopped,
            (CleanPart::Write, Err(error @ (StoreError::Corrupt(_) | StoreError::Full(_)))) => {
                // A disk without room for one more segment still takes appends: the clean waits for better times.
                let goes_on = matches!(error, StoreError::Full(_));
                if !goes_on {
                    partition.give_up_cleaning();
                }
                let name = format!("{}-{}", partition.topic, partition.key.partition);
                let advice = if goes_on { "it is tried again" } else { "it is not compacted until the next start" };
                out.emit(|| Event::Warning { what: format!("{name} could not be compacted: {error}; {advice}") });
                CleanOutcome::Stopped
            }
            (CleanPart::Write | CleanPart::Swap, Err(error)) => return self.storage_failed(now, log, &error, out),
            (CleanPart::Note, Err(error)) => return self.directory_failed(now, dir, &error, out),
        };
        match outcome {
            CleanOutcome::Goes => {}
            CleanOutcome::Note => {
                let text = self.recovery_points(dir);
                let op = StoreOp::Put(Cell::RecoveryPoints(dir), text);
                self.ops.start(Purpose::Clean(log, CleanPart::Note), op, out);
            }
            CleanOutcome::Done => {
                self.end_clean(log, out);
                self.write_cleaner_offsets(dir, out);
                // As Kafka's thread does, look at once for the next that is dirty.
                self.look_again(now.mono);
            }
            CleanOutcome::Stopped => {
                self.end_clean(log, out);
                self.arm_cleaner(now);
            }
        }
    }

    fn look_again(&mut self, at: Instant) {
        if !self.life.is_leaving() {
            self.timers.arm(WakeReason::Clean, at);
        }
    }

    fn end_clean(&mut self, log: LogId, out: &mut Outbox) {
        if let Some((_, partition)) = self.partitions.by_log_mut(log) {
            partition.end_clean(&mut self.ops, out);
        }
    }

    pub(crate) fn write_cleaner_offsets(&mut self, dir: DirId, out: &mut Outbox) {
        let known = self.partitions.iter().filter(|partition| partition.dir == dir);
        let entries: Map<TopicPartition, _> = known
            .filter_map(|partition| {
                let name = TopicPartition { topic: partition.topic.clone(), partition: partition.key.partition };
                Some((name, partition.cleaned_to()?))
            })
            .collect();
        let text = storage::meta::format_offsets(entries.iter().map(|(name, offset)| (name, *offset)));
        self.ops.start(Purpose::Put(Cell::CleanerOffsets(dir)), StoreOp::Put(Cell::CleanerOffsets(dir), text), out);
    }
}
