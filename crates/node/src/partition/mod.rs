//! A partition's replica on this broker: its log's shape, its ends, and who waits for them.
//!
//! **Invariant:** this folder sees its own state, the topic's configuration and what it is handed, nothing else of the node.

mod append;
mod cleaning;
mod follower;
mod future;
mod leader;
mod partitions;
mod read;
mod role;

use ordered::Set;
use std::collections::VecDeque;

use protocol::{ErrorCode, Instant, LeaderEpoch, NodeId, Now, Offset, Str, Uuid};
use storage::{DirId, LogId, Retention, Shape, StoreOp};

pub(crate) use append::{Acks, AppendRequest, Refused, place_error};
pub(crate) use cleaning::CleanOutcome;
pub(crate) use follower::FetchPosition;
pub(crate) use future::{Future, FutureTask};
pub(crate) use leader::{IsrDecision, IsrProposal, ReplicaFetch};
pub(crate) use partitions::Partitions;
pub(crate) use read::{Bound, Data, Isolation, Position, ReadRange};
pub(crate) use role::Sight;

use cleaning::Cleaning;
use role::{Leader, Role};

use crate::config::{Past, TopicConfig};
use crate::deferred::RequestId;
use crate::event::Event;
use crate::gateway::produce::Slot;
use crate::image::{Image, PartitionImage};
use crate::ops::{Ops, Purpose};
use crate::outbox::Outbox;
use crate::view::{LogView, ProducerView, SegmentView};

/// Batches that a view shows of a log.
const RECENT_BATCHES: usize = 64;
/// Written batches above the high watermark that are kept apart. Beyond that a reader that waits is told of several at once.
const UNSEEN_BATCHES: usize = 1024;

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
    partition_epoch: i32,
    /// This broker.
    me: NodeId,
    role: Role,
    /// The other log directory that it is on its way to.
    future: Option<Future>,
    state: State,
}

/// How far an event moved a log: bytes that replicas can read more, and that consumers can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) written: u64,
    pub(crate) visible: u64,
}

/// What committed metadata changed for a partition.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Another leader or epoch: whoever reads must be told.
    pub(crate) is_new: bool,
    /// This broker leads, and others are in sync than before.
    pub(crate) is_other_isr: bool,
    /// Who waited for the high or the low watermark of a leader that is one no more.
    pub(crate) abandoned: Vec<(RequestId, Slot)>,
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
    /// The store is cutting the log; until it has answered nothing is read or written.
    truncating: bool,
    cleaning: Cleaning,
    /// Who waits until their batch is written, and who until it is committed.
    parked_written: Set<(Offset, RequestId, Slot)>,
    parked_committed: Set<(Offset, RequestId, Slot)>,
    /// Who waits until no replica has a record below any more.
    parked_deletes: Set<(Offset, RequestId, Slot)>,
}

impl Partition {
    /// A replica whose log is being mounted.
    #[expect(clippy::too_many_arguments, reason = "each says one thing about the new replica")]
    fn mounting(
        now: Instant,
        key: PartitionKey,
        topic: Str,
        dir: DirId,
        log: LogId,
        me: NodeId,
        image: &PartitionImage,
        config: TopicConfig,
    ) -> Partition {
        let mut partition = Partition {
            key,
            topic,
            dir,
            log,
            config,
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: -1,
            me,
            role: Role::Follower { leader: None, high_watermark: Offset(-1), must_cut: true },
            future: None,
            state: State::Mounting,
        };
        partition.take_role(now, image);
        partition
    }

    /// The store has rebuilt the log's shape.
    pub(crate) fn mounted(&mut self, sight: Sight<'_>, shape: Shape, ops: &mut Ops, out: &mut Outbox) {
        // A follower begins where it was when that was last written down, and a leader that is in sync alone at its end.
        let noted = shape.mounted().high_watermark.unwrap_or(shape.log_start());
        self.state = State::Online(Box::new(Online {
            high_watermark: noted.clamp(shape.log_start(), shape.end()),
            in_flight: VecDeque::new(),
            unseen: VecDeque::new(),
            due: VecDeque::new(),
            flushing: None,
            flushed_at: sight.now,
            truncating: false,
            parked_written: Set::new(),
            parked_committed: Set::new(),
            parked_deletes: Set::new(),
            cleaning: Cleaning::new(shape.mounted().cleaned_to),
            shape,
        }));
        self.begin_epoch(ops, out);
        self.reveal(sight);
        let offset = self.high_watermark();
        if offset > Offset(0) && self.leads() {
            let (topic, partition) = (self.topic.clone(), self.key.partition);
            out.emit(|| Event::HighWatermark { topic, partition, offset });
        }
    }

    /// Takes over what the committed metadata says of the partition.
    pub(crate) fn assigned(&mut self, now: Instant, image: &PartitionImage, ops: &mut Ops, out: &mut Outbox) -> Turn {
        let mut turn = Turn::default();
        // The controller's answer may have told us before the metadata did.
        if image.partition_epoch < self.partition_epoch {
            return turn;
        }
        turn.is_other_isr = image.leader == Some(self.me) && *image.isr != *self.isr();
        turn.is_new = self.take_role(now, image);
        if turn.is_new {
            self.begin_epoch(ops, out);
        }
        if let State::Online(online) = &mut self.state
            && !matches!(self.role, Role::Leader(_))
        {
            let parked = std::mem::take(&mut online.parked_committed).into_iter();
            let parked = parked.chain(std::mem::take(&mut online.parked_deletes));
            turn.abandoned = parked.map(|(_, id, slot)| (id, slot)).collect();
        }
        turn
    }

    /// True if the leader or its epoch is another than before.
    fn take_role(&mut self, now: Instant, image: &PartitionImage) -> bool {
        let end = match &self.state {
            State::Online(online) => online.shape.end(),
            State::Mounting | State::Offline => Offset(-1),
        };
        let leads = image.leader == Some(self.me);
        let is_new = leads != self.leads() || image.leader_epoch != self.leader_epoch;
        // What the controller's answer has told us already must not make a proposal moot that came after it: whoever is about
        // to join the ISR is waited for.
        if !is_new && image.partition_epoch == self.partition_epoch {
            return false;
        }
        (self.leader_epoch, self.partition_epoch) = (image.leader_epoch, image.partition_epoch);
        match &mut self.role {
            Role::Leader(leader) if leads => {
                if is_new {
                    leader.reelected(now, end, &image.isr);
                }
                leader.assign(now, self.me, &image.replicas, &image.isr);
            }
            Role::Follower { leader, high_watermark, must_cut } if !leads => {
                *leader = image.leader;
                *must_cut |= is_new;
                if is_new {
                    // What an unclean leader has committed is its own.
                    *high_watermark = Offset(-1);
                }
            }
            role if leads => {
                let mut leader = Box::<Leader>::default();
                leader.assign(now, self.me, &image.replicas, &image.isr);
                *role = Role::Leader(leader);
            }
            role => *role = Role::Follower { leader: image.leader, high_watermark: Offset(-1), must_cut: true },
        }
        is_new
    }

    /// A leader epoch is on its way to the disk before its first batch is.
    fn begin_epoch(&mut self, ops: &mut Ops, out: &mut Outbox) {
        let (State::Online(online), Role::Leader(leader)) = (&mut self.state, &mut self.role) else { return };
        if online.truncating || leader.epoch_start.is_some() {
            return;
        }
        leader.epoch_start = Some(online.shape.end());
        if let Some(op) = online.shape.begin_epoch(self.leader_epoch) {
            start_in_lane(self.log, op, ops, out);
        }
    }

    /// Moves the high watermark. Answers by how many bytes consumers can read more; at least one if it moved.
    pub(crate) fn reveal(&mut self, sight: Sight<'_>) -> u64 {
        let min_isr = match self.config.past {
            Past::LoneHighWatermark => 0,
            _ => self.min_isr(),
        };
        let State::Online(online) = &mut self.state else { return 0 };
        let committed = online.committed(&self.role, min_isr, sight);
        if committed <= online.high_watermark {
            return 0;
        }
        online.high_watermark = committed;
        let mut bytes = 0;
        while online.unseen.front().is_some_and(|(end, _)| *end <= online.high_watermark) {
            bytes += online.unseen.pop_front().map_or(0, |(_, more)| more);
        }
        // What an earlier leader or run has written is not counted.
        bytes.max(1)
    }

    /// The store has written the oldest append in flight.
    pub(crate) fn written(&mut self, sight: Sight<'_>) -> Moved {
        let State::Online(online) = &mut self.state else { return Moved::default() };
        let Some((end, bytes)) = online.in_flight.pop_front() else { return Moved::default() };
        online.shape.written(end);
        let is_full = online.unseen.len() >= UNSEEN_BATCHES;
        match online.unseen.back_mut().filter(|_| is_full) {
            Some((last, more)) => (*last, *more) = (end, *more + bytes),
            None => online.unseen.push_back((end, bytes)),
        }
        Moved { written: bytes, visible: self.reveal(sight) }
    }

    /// Hands an append that has its place to the store; `charged` of its bytes count as a client's until they are written.
    fn hand_over(
        &mut self,
        now: Instant,
        appended: storage::Appended,
        bytes: u64,
        charged: u64,
        ops: &mut Ops,
        out: &mut Outbox,
    ) {
        let State::Online(online) = &mut self.state else { return };
        let end = appended.end();
        online.in_flight.push_back((end, bytes));
        let is_due = end.0 - online.asked_end().0 >= self.config.flush_messages;
        if is_due {
            online.due.push_back((appended.first, end));
        }
        let must_flush = is_due && online.flushing.is_none();
        // A start reads what is not known to be on disk, so a segment that is full is flushed, as in Kafka.
        let is_full = appended.ops.iter().any(|op| matches!(op, StoreOp::Roll(..)));
        for op in appended.ops {
            if matches!(op, StoreOp::Append(..)) {
                ops.start(Purpose::Append(self.log, charged), op, out);
            } else {
                start_in_lane(self.log, op, ops, out);
            }
        }
        if must_flush || is_full {
            self.flush(now, ops, out);
        }
        out.emit(|| Event::Appended {
            topic: self.topic.clone(),
            partition: self.key.partition,
            base_offset: appended.first,
            next_offset: end,
            leader_epoch: self.leader_epoch,
        });
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

    /// Parks a waiter until no replica that is alive has a record below the offset.
    pub(crate) fn park_delete(&mut self, wanted: Offset, id: RequestId, slot: Slot) {
        if let State::Online(online) = &mut self.state {
            online.parked_deletes.insert((wanted, id, slot));
        }
    }

    /// Nobody waits there any longer.
    pub(crate) fn unpark_delete(&mut self, wanted: Offset, id: RequestId, slot: Slot) {
        if let State::Online(online) = &mut self.state {
            online.parked_deletes.remove(&(wanted, id, slot));
        }
    }

    /// True if anybody waits for the low watermark.
    pub(crate) fn has_parked_deletes(&self) -> bool {
        matches!(&self.state, State::Online(online) if !online.parked_deletes.is_empty())
    }

    /// The low watermark, and who need not wait for it any longer.
    pub(crate) fn take_deleted(&mut self, image: &Image) -> (Offset, Vec<(RequestId, Slot)>) {
        if !self.has_parked_deletes() {
            return (Offset(-1), Vec::new());
        }
        let low_watermark = self.low_watermark(image).unwrap_or(Offset(-1));
        let State::Online(online) = &mut self.state else { return (low_watermark, Vec::new()) };
        (low_watermark, take_up_to(&mut online.parked_deletes, low_watermark))
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
            && !online.truncating
            && let Some(op) = online.shape.snapshot_producers()
        {
            start_in_lane(self.log, op, ops, out);
        }
    }

    /// The store has flushed everything below `end`: the next flush begins, if any append waits for it. Answers by how many
    /// bytes readers can see more.
    pub(crate) fn flushed(&mut self, sight: Sight<'_>, end: Offset, ops: &mut Ops, out: &mut Outbox) -> u64 {
        let State::Online(online) = &mut self.state else { return 0 };
        // The log may have been cut meanwhile.
        online.shape.synced(end.min(online.shape.written_end()));
        if online.flushing == Some(end) {
            online.flushing = None;
        }
        while online.due.front().is_some_and(|(_, due)| *due <= end) {
            online.due.pop_front();
        }
        if online.flushing.is_none() && !online.due.is_empty() {
            self.flush(sight.now, ops, out);
        }
        self.reveal(sight)
    }

    /// The log directory failed. Answers who waited: their batches may be lost.
    pub(crate) fn go_offline(&mut self) -> Vec<(RequestId, Slot)> {
        match std::mem::replace(&mut self.state, State::Offline) {
            State::Mounting | State::Offline => Vec::new(),
            State::Online(online) => online.everyone_parked(),
        }
    }

    /// Moves the log start up for a client; -1 means the high watermark. Answers where every replica has to start by then.
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
        Ok(offset)
    }

    /// Applies `retention.ms` and `retention.bytes`. True if the log start moved.
    pub(crate) fn retain(&mut self, now: Now, ops: &mut Ops, out: &mut Outbox) -> bool {
        let State::Online(online) = &mut self.state else { return false };
        if !self.config.delete || online.truncating {
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

    /// One past the last offset that was given out; -1 while the log is not ready.
    pub(crate) fn log_end(&self) -> Offset {
        match &self.state {
            State::Online(online) => online.shape.end(),
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

    /// Up to where the log is written, and the high watermark; `None` while it is not ready.
    pub(crate) fn ends(&self) -> Option<(Offset, Offset)> {
        match &self.state {
            State::Online(online) => Some((online.shape.written_end(), online.high_watermark)),
            State::Mounting | State::Offline => None,
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

    /// How often the log was cut.
    pub(crate) fn era(&self) -> protocol::Era {
        match &self.state {
            State::Online(online) => online.shape.era(),
            State::Mounting | State::Offline => protocol::Era(0),
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
            State::Online(online) if !online.truncating => Ok(online),
            // Kafka says so while a replica that the metadata names is not there yet; clients refresh and retry.
            State::Online(_) | State::Mounting => Err(ErrorCode::NotLeaderOrFollower),
            State::Offline => Err(ErrorCode::KafkaStorageError),
        }
    }

    fn leading(&self) -> Result<&Online, ErrorCode> {
        let online = self.online()?;
        if self.leads() { Ok(online) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// True if the committed metadata names this broker as the leader.
    pub(crate) fn leads(&self) -> bool {
        matches!(self.role, Role::Leader(_))
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

    fn everyone_parked(self) -> Vec<(RequestId, Slot)> {
        let produced = self.parked_written.into_iter().chain(self.parked_committed);
        produced.chain(self.parked_deletes).map(|(_, id, slot)| (id, slot)).collect()
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
