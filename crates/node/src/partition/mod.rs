//! A partition's replica on this broker: its log's shape, its ends, and who waits for them.
//!
//! **Invariant:** this folder sees its own state, the topic's configuration and what it is handed, nothing else of the node.

mod append;
mod cleaning;
mod partitions;
mod read;

use ordered::Set;
use std::collections::VecDeque;

use protocol::{ErrorCode, Instant, LeaderEpoch, Now, Offset, Str, Uuid};
use storage::{DirId, LogId, Retention, Shape, StoreOp};

pub(crate) use append::{Acks, AppendRequest, Refused};
pub(crate) use cleaning::CleanOutcome;
pub(crate) use partitions::Partitions;
pub(crate) use read::{Bound, Data, Isolation, Position, ReadRange};

use cleaning::Cleaning;

use crate::config::TopicConfig;
use crate::deferred::RequestId;
use crate::event::Event;
use crate::gateway::produce::Slot;
use crate::ops::{Ops, Purpose};
use crate::outbox::Outbox;
use crate::view::{LogView, ProducerView, SegmentView};

/// Batches that a view shows of a log.
const RECENT_BATCHES: usize = 64;

/// A partition by its topic's id: a topic that is deleted and created again is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartitionKey {
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
}

/// One replica.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) key: PartitionKey,
    pub(crate) topic: Str,
    pub(crate) dir: DirId,
    pub(crate) log: LogId,
    pub(crate) config: TopicConfig,
    pub(crate) leader_epoch: LeaderEpoch,
    /// True if the committed metadata names this broker as the leader.
    leads: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// The store has not answered the mount yet.
    Mounting,
    /// The log is ready.
    Online(Box<Online>),
    /// The log directory failed.
    Offline,
}

/// A log that is ready, its three ends and its waiters.
#[derive(Clone, Debug)]
struct Online {
    /// Knows the assigned, the written and the synced end.
    shape: Shape,
    high_watermark: Offset,
    /// Appends that the store has not answered: where each ends, and its bytes.
    in_flight: VecDeque<(Offset, u64)>,
    /// Appends that are written and that nobody may see yet, as one of them or before them is due to be synced.
    unseen: VecDeque<(Offset, u64)>,
    /// Appends by which `flush.messages` was reached: where each begins and ends. They are told of when they are on disk.
    due: VecDeque<(Offset, Offset)>,
    /// The end of the newest flush in flight. There is one at a time, so that the next serves all that wait by then.
    flushing: Option<Offset>,
    /// When the last flush began; what `flush.ms` counts from.
    flushed_at: Instant,
    cleaning: Cleaning,
    /// Who waits until their batch is written, and who until it is committed.
    parked_written: Set<(Offset, RequestId, Slot)>,
    parked_committed: Set<(Offset, RequestId, Slot)>,
}

impl Partition {
    /// A replica whose log is being mounted.
    fn mounting(
        key: PartitionKey,
        topic: Str,
        dir: DirId,
        log: LogId,
        leads: bool,
        leader_epoch: LeaderEpoch,
        config: TopicConfig,
    ) -> Partition {
        Partition { key, topic, dir, log, config, leader_epoch, leads, state: State::Mounting }
    }

    /// The store has rebuilt the log's shape.
    pub(crate) fn mounted(&mut self, now: Instant, shape: Shape, ops: &mut Ops, out: &mut Outbox) {
        let offset = shape.end();
        if offset > Offset(0) {
            let (topic, partition) = (self.topic.clone(), self.key.partition);
            out.emit(|| Event::HighWatermark { topic, partition, offset });
        }
        self.state = State::Online(Box::new(Online {
            // The only replica has everything that can be committed.
            high_watermark: shape.end(),
            in_flight: VecDeque::new(),
            unseen: VecDeque::new(),
            due: VecDeque::new(),
            flushing: None,
            flushed_at: now,
            parked_written: Set::new(),
            parked_committed: Set::new(),
            cleaning: Cleaning::new(shape.mounted().cleaned_to),
            shape,
        }));
        self.begin_epoch(ops, out);
    }

    /// The committed metadata has this leader and epoch for the partition. True if readers must be told.
    pub(crate) fn lead(&mut self, leads: bool, leader_epoch: LeaderEpoch, ops: &mut Ops, out: &mut Outbox) -> bool {
        let changed = leads != self.leads || leader_epoch != self.leader_epoch;
        (self.leads, self.leader_epoch) = (leads, leader_epoch);
        if changed {
            self.begin_epoch(ops, out);
        }
        changed
    }

    /// A leader epoch is on its way to the disk before its first batch is.
    fn begin_epoch(&mut self, ops: &mut Ops, out: &mut Outbox) {
        let State::Online(online) = &mut self.state else { return };
        if self.leads
            && let Some(op) = online.shape.begin_epoch(self.leader_epoch)
        {
            start_in_lane(self.log, op, ops, out);
        }
    }

    /// The store has written the oldest append in flight. Answers by how many bytes readers can see more.
    pub(crate) fn written(&mut self) -> u64 {
        let State::Online(online) = &mut self.state else { return 0 };
        let Some((end, bytes)) = online.in_flight.pop_front() else { return 0 };
        online.shape.written(end);
        online.unseen.push_back((end, bytes));
        online.reveal()
    }

    /// Takes the waiters whose batches are as safe as they asked for.
    pub(crate) fn take_ready(&mut self) -> Vec<(RequestId, Slot)> {
        let State::Online(online) = &mut self.state else { return Vec::new() };
        let settled = online.settled();
        let mut ready = take_up_to(&mut online.parked_written, settled);
        ready.extend(take_up_to(&mut online.parked_committed, online.high_watermark));
        ready
    }

    /// Parks a waiter until the batch that ends at `end` is safe; false if it is already.
    pub(crate) fn park(&mut self, acks: Acks, end: Offset, id: RequestId, slot: Slot) -> bool {
        let State::Online(online) = &mut self.state else { return false };
        let (parked, bound) = match acks {
            Acks::None => return false,
            Acks::Leader => {
                let settled = online.settled();
                (&mut online.parked_written, settled)
            }
            Acks::All => (&mut online.parked_committed, online.high_watermark),
        };
        end > bound && parked.insert((end, id, slot))
    }

    /// Has everything appended so far flushed, if a flush is not under way for all of it.
    pub(crate) fn flush(&mut self, now: Instant, ops: &mut Ops, out: &mut Outbox) {
        let State::Online(online) = &mut self.state else { return };
        if online.asked_end() < online.shape.end() {
            let (op, end) = online.shape.flush();
            online.flushing = Some(end);
            online.flushed_at = now;
            ops.start(Purpose::Flush(self.log, end), op, out);
        }
    }

    /// Flushes what has waited for `flush.ms`.
    pub(crate) fn flush_old(&mut self, now: Instant, ops: &mut Ops, out: &mut Outbox) {
        let State::Online(online) = &self.state else { return };
        let limit = u64::try_from(self.config.flush_ms).unwrap_or_default();
        if now.since(online.flushed_at).as_millis() >= u128::from(limit) {
            self.flush(now, ops, out);
        }
    }

    /// Has the store write down which producers there are.
    pub(crate) fn snapshot_producers(&mut self, ops: &mut Ops, out: &mut Outbox) {
        if let State::Online(online) = &mut self.state
            && let Some(op) = online.shape.snapshot_producers()
        {
            start_in_lane(self.log, op, ops, out);
        }
    }

    /// The store has flushed everything below `end`: the next flush begins, if any append waits for it. Answers by how many
    /// bytes readers can see more.
    pub(crate) fn flushed(&mut self, now: Instant, end: Offset, ops: &mut Ops, out: &mut Outbox) -> u64 {
        let State::Online(online) = &mut self.state else { return 0 };
        online.shape.synced(end);
        if online.flushing == Some(end) {
            online.flushing = None;
        }
        while online.due.front().is_some_and(|(_, due)| *due <= end) {
            online.due.pop_front();
        }
        let seen = online.reveal();
        if online.flushing.is_none() && !online.due.is_empty() {
            self.flush(now, ops, out);
        }
        seen
    }

    /// The log directory failed. Answers who waited: their batches may be lost.
    pub(crate) fn go_offline(&mut self) -> Vec<(RequestId, Slot)> {
        match std::mem::replace(&mut self.state, State::Offline) {
            State::Mounting | State::Offline => Vec::new(),
            State::Online(online) => online.everyone_parked(),
        }
    }

    /// Moves the log start up for a client; -1 means the high watermark. Answers the new start.
    pub(crate) fn delete_records(&mut self, offset: i64, ops: &mut Ops, out: &mut Outbox) -> Result<Offset, ErrorCode> {
        if self.config.compact && !self.config.delete {
            self.online()?;
            return Err(ErrorCode::PolicyViolation);
        }
        self.leading()?;
        let State::Online(online) = &mut self.state else { return Err(ErrorCode::KafkaStorageError) };
        let offset = if offset == -1 { online.high_watermark } else { Offset(offset) };
        if offset < Offset(0) || offset > online.high_watermark {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let before = online.shape.log_start();
        let steps = online.shape.advance_log_start(offset);
        let after = online.shape.log_start();
        self.log_start_moved(before, after, steps, ops, out);
        Ok(after)
    }

    /// Applies `retention.ms` and `retention.bytes`. True if the log start moved.
    pub(crate) fn retain(&mut self, now: Now, ops: &mut Ops, out: &mut Outbox) -> bool {
        let State::Online(online) = &mut self.state else { return false };
        if !self.config.delete {
            return false;
        }
        let retention = Retention { ms: self.config.retention_ms, bytes: self.config.retention_bytes };
        let before = online.shape.log_start();
        let steps = online.shape.retention(now.wall, online.high_watermark, retention);
        let after = online.shape.log_start();
        self.log_start_moved(before, after, steps, ops, out)
    }

    /// Forgets producers that have not written for so long.
    pub(crate) fn expire_producers(&mut self, now: Now, expiration_ms: i64) {
        if let State::Online(online) = &mut self.state {
            online.shape.expire_producers(now.wall, expiration_ms);
        }
    }

    fn log_start_moved(
        &self,
        before: Offset,
        after: Offset,
        steps: Vec<StoreOp>,
        ops: &mut Ops,
        out: &mut Outbox,
    ) -> bool {
        for step in steps {
            start_in_lane(self.log, step, ops, out);
        }
        if after > before {
            out.emit(|| Event::LogStart { topic: self.topic.clone(), partition: self.key.partition, offset: after });
        }
        after > before
    }

    /// The first offset there is; -1 while the log is not ready.
    pub(crate) fn log_start(&self) -> Offset {
        match &self.state {
            State::Online(online) => online.shape.log_start(),
            State::Mounting | State::Offline => Offset(-1),
        }
    }

    /// Bytes of the log, and how far it ends behind the high watermark; `None` while it is not ready.
    pub(crate) fn size_and_lag(&self) -> Option<(u64, i64)> {
        let State::Online(online) = &self.state else { return None };
        let lag = online.high_watermark.0.saturating_sub(online.shape.written_end().0).max(0);
        Some((online.shape.size(), lag))
    }

    /// The producers that its leader knows.
    pub(crate) fn producers(&self) -> Result<&storage::Producers, ErrorCode> {
        Ok(self.leading()?.shape.producers())
    }

    /// Readers see everything below.
    pub(crate) fn high_watermark(&self) -> Offset {
        match &self.state {
            State::Online(online) => online.high_watermark,
            State::Mounting | State::Offline => Offset(-1),
        }
    }

    /// Everything below is on disk.
    pub(crate) fn recovery_point(&self) -> Offset {
        match &self.state {
            State::Online(online) => online.shape.synced_end(),
            State::Mounting | State::Offline => Offset(-1),
        }
    }

    /// The leader epoch of the batch at an offset, -1 if that is not known any more.
    pub(crate) fn epoch_of(&self, offset: Offset) -> LeaderEpoch {
        match &self.state {
            State::Online(online) => online.shape.epochs().epoch_at(offset).unwrap_or(LeaderEpoch::NONE),
            State::Mounting | State::Offline => LeaderEpoch::NONE,
        }
    }

    pub(crate) fn is_mounting(&self) -> bool {
        matches!(self.state, State::Mounting)
    }

    pub(crate) fn is_online(&self) -> bool {
        matches!(self.state, State::Online(_))
    }

    /// The log as plain data, if it is ready.
    pub(crate) fn log_view(&self) -> Option<LogView> {
        let State::Online(online) = &self.state else { return None };
        let shape = &online.shape;
        let newest = shape.tail().len().saturating_sub(RECENT_BATCHES);
        let producers = shape.producers().iter().map(|(id, producer)| ProducerView {
            id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |batch| batch.last_sequence),
        });
        Some(LogView {
            id: self.log,
            log_start: shape.log_start(),
            high_watermark: online.high_watermark,
            written: shape.written_end(),
            synced: shape.synced_end(),
            end: shape.end(),
            cleaned_to: online.cleaning.cleaned_to(),
            bytes: shape.size(),
            segments: shape.segments().map(|it| SegmentView { base_offset: it.base, bytes: it.size }).collect(),
            recent: shape.tail().iter().skip(newest).copied().collect(),
            producers: producers.collect(),
        })
    }

    /// How many batches wait to be safe.
    pub(crate) fn parked(&self) -> usize {
        match &self.state {
            State::Online(online) => online.parked_written.len() + online.parked_committed.len(),
            State::Mounting | State::Offline => 0,
        }
    }

    fn online(&self) -> Result<&Online, ErrorCode> {
        match &self.state {
            State::Online(online) => Ok(online),
            // Kafka says so while a replica that the metadata names is not there yet; clients refresh and retry.
            State::Mounting => Err(ErrorCode::NotLeaderOrFollower),
            State::Offline => Err(ErrorCode::KafkaStorageError),
        }
    }

    fn leading(&self) -> Result<&Online, ErrorCode> {
        let online = self.online()?;
        if self.leads { Ok(online) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }
}

impl Online {
    /// Everything below is on disk, or a flush is under way for it.
    fn asked_end(&self) -> Offset {
        self.flushing.map_or(self.shape.synced_end(), |end| end.max(self.shape.synced_end()))
    }

    /// Everything below is written, and on disk where the topic demands that: as far as an append in Kafka has returned.
    fn settled(&self) -> Offset {
        self.due.front().map_or(self.shape.written_end(), |(base, _)| self.shape.written_end().min(*base))
    }

    /// Moves the high watermark. Answers by how many bytes.
    fn reveal(&mut self) -> u64 {
        let settled = self.settled();
        // The maximal ISR is this broker alone.
        self.high_watermark = self.high_watermark.max(settled);
        let mut bytes = 0;
        while self.unseen.front().is_some_and(|(end, _)| *end <= settled) {
            bytes += self.unseen.pop_front().map_or(0, |(_, more)| more);
        }
        bytes
    }

    fn everyone_parked(self) -> Vec<(RequestId, Slot)> {
        self.parked_written.into_iter().chain(self.parked_committed).map(|(_, id, slot)| (id, slot)).collect()
    }
}

/// Hands an operation that only succeeds or takes the log directory down to the store.
fn start_in_lane(log: LogId, op: StoreOp, ops: &mut Ops, out: &mut Outbox) {
    let purpose = match &op {
        StoreOp::Put(cell, _) => Purpose::Put(*cell),
        _ => Purpose::Lane(log),
    };
    ops.start(purpose, op, out);
}

fn take_up_to(parked: &mut Set<(Offset, RequestId, Slot)>, bound: Offset) -> Vec<(RequestId, Slot)> {
    let mut taken = Vec::new();
    while let Some(first) = parked.first().copied()
        && first.0 <= bound
    {
        parked.remove(&first);
        taken.push((first.1, first.2));
    }
    taken
}
