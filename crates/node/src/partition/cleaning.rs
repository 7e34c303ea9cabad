//! When a log is compacted, how far, and how the result comes in: Kafka's rules, decided on the log's shape.

use protocol::{Instant, Now, Offset, WallMs};
use storage::clean::{CleanPlan, Cleaned, LastRecord};
use storage::{CleanStep, Shape, StoreOp};

use super::append::rules_of;
use super::{Partition, State, start_in_lane};
use crate::config::{CleanerConfig, TopicConfig};
use crate::event::Event;
use crate::ops::{CleanPart, Ops, Purpose};
use crate::outbox::Outbox;

/// How far the compaction of a log is.
#[derive(Clone, Debug, Default)]
pub(super) struct Cleaning {
    /// Below it every key was seen by a clean: `cleaner-offset-checkpoint`.
    cleaned_to: Option<Offset>,
    step: Step,
    /// When the newest clean began.
    began: Instant,
    /// Its bytes cannot be read. As in Kafka it is left alone until the next start.
    given_up: bool,
}

#[derive(Clone, Debug, Default)]
enum Step {
    #[default]
    Idle,
    /// What is to be cleaned must be on disk first: recovery takes gaps above the recovery point for losses.
    Flushing(Box<CleanPlan>),
    /// The store writes a group of segments anew.
    Writing {
        /// The recovery point on disk is above what is cleaned.
        noted: bool,
    },
    /// The recovery point is on its way to the disk.
    Noting(Box<Cleaned>),
    /// The new segments are being put in place.
    Swapping { cleaned: Box<Cleaned> },
}

/// What there is to clean in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dirt {
    first_dirty: Offset,
    end: Offset,
    /// Bytes that were cleaned before, and bytes that can be cleaned now.
    pub(crate) clean_bytes: u64,
    pub(crate) cleanable_bytes: u64,
    /// `max.compaction.lag.ms` is over for some of it.
    overdue: bool,
}

impl Dirt {
    pub(crate) fn total(self) -> u64 {
        self.clean_bytes + self.cleanable_bytes
    }

    /// True if a larger share of this log is dirty.
    pub(crate) fn is_filthier_than(self, other: Dirt) -> bool {
        let share = |dirt: Dirt, total: u64| u128::from(dirt.cleanable_bytes) * u128::from(total);
        share(self, other.total()) > share(other, self.total())
    }
}

/// What the answer to a step of a clean leads to.
pub(crate) enum CleanOutcome {
    /// On to the next step, which has begun.
    Goes,
    /// The recovery points must be written down first.
    Note,
    /// The clean is through: the checkpoint has to say so.
    Done,
    /// The clean is over without a result.
    Stopped,
}

impl Partition {
    /// What is to be cleaned, if it is enough or has waited for too long.
    pub(crate) fn dirt(&self, now: WallMs) -> Option<Dirt> {
        let State::Online(online) = &self.state else { return None };
        // A copy of the log is to be the same files.
        if self.future.is_some() {
            return None;
        }
        if !self.config.compact || online.cleaning.given_up || online.shape.is_cleaning() || online.truncating {
            return None;
        }
        let shape = &online.shape;
        let stable = shape.producers().first_open_transaction().unwrap_or(online.high_watermark);
        let stable = stable.min(online.high_watermark);
        let dirt = dirt_of(shape, online.cleaning.cleaned_to, stable, now, &self.config);
        let enough = self.config.min_cleanable_dirty_ratio.is_exceeded_by(dirt.cleanable_bytes, dirt.total());
        let wanted = enough || (dirt.overdue && dirt.cleanable_bytes > 0);
        (dirt.total() > 0 && wanted).then_some(dirt)
    }

    /// True if the topic's policy has `compact`, and the log can be cleaned.
    pub(crate) fn is_compacted(&self) -> bool {
        self.config.compact && matches!(&self.state, State::Online(online) if !online.cleaning.given_up)
    }

    /// True while the log is being cleaned.
    pub(crate) fn is_cleaning(&self) -> bool {
        matches!(&self.state, State::Online(online) if online.shape.is_cleaning())
    }

    /// Where the dirty part begins; the log start if no clean has been through.
    pub(crate) fn cleaned_to(&self) -> Option<Offset> {
        match &self.state {
            State::Online(online) => online.cleaning.cleaned_to,
            State::Mounting | State::Offline => None,
        }
    }

    /// Begins to clean.
    pub(crate) fn begin_clean(
        &mut self,
        now: Now,
        dirt: Dirt,
        cleaner: &CleanerConfig,
        seed: [u64; 2],
        ops: &mut Ops,
        out: &mut Outbox,
    ) {
        let rules = rules_of(&self.config);
        let State::Online(online) = &mut self.state else { return };
        let threads = cleaner.threads.max(1) as u64;
        let producers = online.shape.producers().iter().map(|(id, producer)| {
            let data = producer.batches.back().map(|batch| batch.last_offset);
            (id, LastRecord { data, epoch: producer.epoch })
        });
        let plan = Box::new(CleanPlan {
            first_dirty: dirt.first_dirty,
            end: dirt.end,
            high_watermark: online.high_watermark,
            now: now.wall,
            delete_retention_ms: self.config.delete_retention_ms,
            segment_bytes: rules.segment_bytes,
            segment_index_bytes: rules.segment_index_bytes,
            index_interval_bytes: rules.index_interval_bytes,
            producers: producers.collect(),
            max_keys: storage::clean::max_keys(cleaner.dedupe_buffer_size / threads, cleaner.load_factor.percent()),
            seed,
            bytes_per_second: cleaner.io_max_bytes_per_second.map(|limit| limit / threads),
            piece: cleaner.piece(),
        });
        online.shape.begin_clean();
        online.cleaning.began = now.mono;
        online.cleaning.step = Step::Flushing(plan);
        self.flush(now.mono, ops, out);
        self.clean_flushed(ops, out);
    }

    /// A flush is through: a clean that has waited for it begins.
    pub(crate) fn clean_flushed(&mut self, ops: &mut Ops, out: &mut Outbox) {
        let State::Online(online) = &mut self.state else { return };
        let Step::Flushing(plan) = &online.cleaning.step else { return };
        if online.shape.synced_end() < plan.end {
            return;
        }
        let op = StoreOp::Clean(self.log, online.shape.era(), CleanStep::Begin(plan.clone()));
        online.cleaning.step = Step::Writing { noted: false };
        ops.start(Purpose::Clean(self.log, CleanPart::Write), op, out);
    }

    /// The store has written a group anew.
    pub(crate) fn clean_written(
        &mut self,
        now: Instant,
        cleaned: Box<Cleaned>,
        ops: &mut Ops,
        out: &mut Outbox,
    ) -> CleanOutcome {
        let State::Online(online) = &mut self.state else { return CleanOutcome::Stopped };
        match online.cleaning.step {
            Step::Writing { noted: false } => {
                online.cleaning.step = Step::Noting(cleaned);
                CleanOutcome::Note
            }
            Step::Writing { noted: true } => self.swap(now, cleaned, ops, out),
            Step::Idle | Step::Flushing(_) | Step::Noting(_) | Step::Swapping { .. } => CleanOutcome::Stopped,
        }
    }

    /// The recovery point is on disk: the group can be put in place.
    pub(crate) fn clean_noted(&mut self, now: Instant, ops: &mut Ops, out: &mut Outbox) -> CleanOutcome {
        let State::Online(online) = &mut self.state else { return CleanOutcome::Stopped };
        match std::mem::take(&mut online.cleaning.step) {
            Step::Noting(cleaned) => self.swap(now, cleaned, ops, out),
            step => {
                online.cleaning.step = step;
                CleanOutcome::Stopped
            }
        }
    }

    fn swap(&mut self, now: Instant, cleaned: Box<Cleaned>, ops: &mut Ops, out: &mut Outbox) -> CleanOutcome {
        let State::Online(online) = &mut self.state else { return CleanOutcome::Stopped };
        if cleaned.sources.is_empty() {
            online.cleaning.step = Step::Swapping { cleaned };
            return self.clean_swapped(now, ops, out);
        }
        let Some(op) = online.shape.swap(&cleaned) else { return CleanOutcome::Stopped };
        online.cleaning.step = Step::Swapping { cleaned };
        ops.start(Purpose::Clean(self.log, CleanPart::Swap), op, out);
        CleanOutcome::Goes
    }

    /// A group is in place: the next one is asked for, or the clean is through.
    pub(crate) fn clean_swapped(&mut self, now: Instant, ops: &mut Ops, out: &mut Outbox) -> CleanOutcome {
        let State::Online(online) = &mut self.state else { return CleanOutcome::Stopped };
        let Step::Swapping { cleaned } = std::mem::take(&mut online.cleaning.step) else {
            return CleanOutcome::Stopped;
        };
        if cleaned.is_more {
            online.cleaning.step = Step::Writing { noted: true };
            let op = StoreOp::Clean(self.log, online.shape.era(), CleanStep::Next);
            ops.start(Purpose::Clean(self.log, CleanPart::Write), op, out);
            return CleanOutcome::Goes;
        }
        online.cleaning.cleaned_to = Some(cleaned.end);
        out.emit(|| Event::Cleaned {
            topic: self.topic.clone(),
            partition: self.key.partition,
            end: cleaned.end,
            stats: cleaned.stats,
            took_ms: u64::try_from(now.since(online.cleaning.began).as_millis()).unwrap_or(u64::MAX),
        });
        CleanOutcome::Done
    }

    /// The clean is over. Segments that were given up meanwhile go now.
    pub(crate) fn end_clean(&mut self, ops: &mut Ops, out: &mut Outbox) {
        let State::Online(online) = &mut self.state else { return };
        online.cleaning.step = Step::Idle;
        for step in online.shape.end_clean() {
            start_in_lane(self.log, step, ops, out);
        }
    }

    /// The log's bytes cannot be read: it is not cleaned any more.
    pub(crate) fn give_up_cleaning(&mut self) {
        if let State::Online(online) = &mut self.state {
            online.cleaning.given_up = true;
        }
    }
}

impl Cleaning {
    pub(super) fn new(cleaned_to: Option<Offset>) -> Cleaning {
        Cleaning { cleaned_to, ..Cleaning::default() }
    }

    /// The log is being cut at an offset: what was to be cleaned may be gone, and what was seen is no more. Steps that the
    /// store carries out end by themselves; true for one that would wait for ever.
    pub(super) fn cut(&mut self, offset: Offset) -> bool {
        self.cleaned_to = self.cleaned_to.map(|it| it.min(offset));
        let waits = matches!(self.step, Step::Flushing(_));
        if waits {
            self.step = Step::Idle;
        }
        waits
    }

    /// Below it every key was seen by a clean.
    pub(super) fn cleaned_to(&self) -> Option<Offset> {
        self.cleaned_to
    }
}

/// The part of a log that can be cleaned, as Kafka's cleaner manager measures it.
fn dirt_of(shape: &Shape, cleaned_to: Option<Offset>, stable: Offset, now: WallMs, config: &TopicConfig) -> Dirt {
    let start = shape.log_start();
    // A checkpoint outside of the log is of a log that was cut or lost records.
    let first_dirty = cleaned_to.filter(|it| *it >= start && *it <= shape.end()).unwrap_or(start);
    let segments: Vec<_> = shape.segments().collect();
    let active = segments.last().map_or(start, |it| it.base);
    // From the segment that holds an offset up to the active one.
    let sealed_from = |offset: Offset| {
        let above = segments.partition_point(|it| it.base <= offset);
        segments.get(above.saturating_sub(1)..segments.len().saturating_sub(1)).unwrap_or_default().iter()
    };
    let mut end = stable.min(active);
    if config.min_compaction_lag_ms > 0 {
        let bound = now.0.saturating_sub(config.min_compaction_lag_ms);
        let young = sealed_from(first_dirty).find(|it| it.largest_timestamp(now) > bound);
        end = young.map_or(end, |it| end.min(it.base));
    }
    // Whole segments only: the one that holds the bound stays.
    let end = sealed_from(first_dirty.max(end)).next().map_or(active, |it| it.base);
    let holder = segments.partition_point(|it| it.base <= first_dirty.min(end)).saturating_sub(1);
    let bytes = |segment: &&storage::Segment| u64::from(segment.size);
    let cleanable_bytes = segments.iter().skip(holder).take_while(|it| it.base < end).map(bytes).sum();
    let clean_bytes = segments.iter().take_while(|it| it.base < first_dirty).map(bytes).sum();
    let overdue_before = now.0.saturating_sub(config.max_compaction_lag_ms.max(0));
    let first_times = sealed_from(first_dirty).filter_map(|it| it.first_timestamp).filter(|it| *it > 0);
    let overdue = first_times.min().is_some_and(|first| first < overdue_before);
    Dirt { first_dirty, end, clean_bytes, cleanable_bytes, overdue }
}
