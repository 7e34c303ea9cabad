//! Kafka's producer: partitions, batches, numbers, retries.
//!
//! A record waits until its topic's partitions are known and there is memory, is given a partition, joins a batch, and
//! leaves with it when the batch is full or has lingered. An idempotent producer numbers the batches of a partition, so that
//! a broker recognises a retry and refuses a gap; order is kept with up to five requests under way (KIP-98, KIP-360).

mod batch;
mod partition;
mod sender;

use ordered::{Map, Set};
use std::collections::VecDeque;

use protocol::{Instant, Str, TopicPartition};

use self::batch::{Batch, BatchId, Pending, lone_size, record_size_of, to_record};
use self::partition::{Identity, Partition, Turns};
use crate::client::Context;
use crate::event::{Event, PartitionChoice};
use crate::input::{OpId, ProducerRecord};
use crate::metadata::TopicMetadata;
use crate::murmur2::partition_of_key;
use crate::outbox::{Answer, Cause, Failure, Outcome};
use crate::view::{PendingState, PendingView, ProducerView};

pub(crate) use self::sender::Sent;

/// The producer's side of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Producer {
    /// Records without a partition, in order: their topic is not known yet, or memory is full (`max.block.ms`).
    waiting: VecDeque<Waiting>,
    partitions: Map<TopicPartition, Partition>,
    sticky: Map<Str, Sticky>,
    numbering: Numbering,
    turns: Turns,
    /// Records without an outcome, by their place in the order of sending.
    incomplete: Set<u64>,
    /// Flushes, with the place of the first record that they do not wait for.
    flushes: Vec<(OpId, u64)>,
    next_index: u64,
    next_batch: u64,
    buffered: usize,
    closing: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    index: u64,
    op: OpId,
    record: ProducerRecord,
    deadline: Instant,
}

/// The partition that records without a key go to now (KIP-794), and the bytes it has got.
#[derive(Clone, Copy, Debug)]
struct Sticky {
    partition: i32,
    bytes: usize,
}

/// Whether batches are numbered, and under which identity.
#[derive(Clone, Debug, Default)]
enum Numbering {
    /// Not idempotent, or nothing was sent yet.
    #[default]
    Off,
    /// InitProducerId is to be asked.
    Wanted { at: Instant, failures: u32 },
    /// InitProducerId is under way.
    Asked { failures: u32 },
    /// Batches carry this.
    Known(Identity),
    /// The broker refused for good; nothing can be sent.
    Refused(Failure),
}

/// Why a record cannot be given a partition now.
enum Blocked {
    /// It may change.
    Wait,
    /// It will not.
    Fail(Failure),
}

impl Producer {
    /// A record from the application.
    pub(crate) fn send(&mut self, op: OpId, record: ProducerRecord, context: &mut Context<'_>) {
        if let Err(failure) = admissible(&record, context) {
            context.out.failed(op, failure);
            return;
        }
        if matches!(self.numbering, Numbering::Off) && context.config.idempotent() {
            self.numbering = Numbering::Wanted { at: context.now.mono, failures: 0 };
        }
        context.metadata.want(&record.topic, true);
        let index = self.next_index;
        self.next_index += 1;
        self.incomplete.insert(index);
        let deadline = context.now.mono.plus_ms(context.config.max_block_ms);
        self.waiting.push_back(Waiting { index, op, record, deadline });
    }

    /// Everything sent before leaves without lingering; the outcome comes when all of it is settled.
    pub(crate) fn flush(&mut self, op: OpId) {
        self.flushes.push((op, self.next_index));
    }

    /// No more records come; what is here leaves without lingering.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// True if nothing is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.incomplete.is_empty()
    }

    /// Gives up everything.
    pub(crate) fn abort(&mut self, context: &mut Context<'_>) {
        let closed = || Failure::new(Cause::Illegal, "Producer is closed forcefully.");
        for waiting in std::mem::take(&mut self.waiting) {
            self.settle(waiting.index, waiting.op, Outcome::Failed(closed()), context);
        }
        for (partition, state) in std::mem::take(&mut self.partitions) {
            for mut batch in state.in_flight {
                batch.maybe_written = true;
                self.fail(&partition, batch, closed(), context);
            }
            for batch in state.queue {
                self.fail(&partition, batch, closed(), context);
            }
        }
        self.answer_flushes(context);
    }

    /// Does whatever can be done now.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        if self.incomplete.is_empty() {
            self.answer_flushes(context);
            return;
        }
        self.place_waiting(context);
        self.expire(context);
        self.keep_identity(context);
        self.send_batches(context);
        // A failure may have freed memory, or emptied the flush.
        self.place_waiting(context);
        self.answer_flushes(context);
    }

    /// Gives partitions to the records that wait for one, in order within each topic.
    fn place_waiting(&mut self, context: &mut Context<'_>) {
        let mut held: Set<Str> = Set::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let blocked = if held.contains(&waiting.record.topic) {
                Some(Blocked::Wait)
            } else {
                self.try_place(&waiting, context).err()
            };
            match blocked {
                None => {}
                Some(Blocked::Fail(failure)) => {
                    self.settle(waiting.index, waiting.op, Outcome::Failed(failure), context);
                }
                Some(Blocked::Wait) if waiting.deadline <= context.now.mono => {
                    let failure = Failure::new(Cause::TimedOut, self.why_blocked(&waiting.record, context));
                    self.settle(waiting.index, waiting.op, Outcome::Failed(failure), context);
                }
                Some(Blocked::Wait) => {
                    held.insert(waiting.record.topic.clone());
                    self.waiting.push_back(waiting);
                }
            }
        }
    }

    fn why_blocked(&self, record: &ProducerRecord, context: &Context<'_>) -> String {
        let max_block_ms = context.config.max_block_ms;
        match (context.metadata.topic(&record.topic), record.partition) {
            (Some(topic), Some(partition)) if !topic.partitions.is_empty() && !topic.has(partition) => format!(
                "Partition {partition} of topic {} with partition count {} is not present in metadata after \
                 {max_block_ms} ms.",
                record.topic,
                topic.partitions.len()
            ),
            (Some(topic), _) if !topic.partitions.is_empty() => {
                format!(
                    "Failed to allocate {} bytes within the configured max blocking time {max_block_ms} ms.",
                    lone_size(record)
                )
            }
            _ => format!("Topic {} not present in metadata after {max_block_ms} ms.", record.topic),
        }
    }

    fn try_place(&mut self, waiting: &Waiting, context: &mut Context<'_>) -> Result<(), Blocked> {
        let record = &waiting.record;
        if let Numbering::Refused(failure) = &self.numbering {
            return Err(Blocked::Fail(failure.clone()));
        }
        let topic = context.metadata.topic(&record.topic).ok_or(Blocked::Wait)?;
        if topic.partitions.is_empty() {
            use protocol::ErrorCode::{InvalidTopicException, TopicAuthorizationFailed};
            return Err(match topic.error {
                InvalidTopicException | TopicAuthorizationFailed => {
                    Blocked::Fail(Failure::refused(topic.error, Some(&topic.why(&record.topic))))
                }
                _ => {
                    context.metadata.request_update();
                    Blocked::Wait
                }
            });
        }
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let available = available(topic);
        let (partition, why) = match (record.partition, &record.key) {
            (Some(partition), _) if topic.has(partition) => (partition, PartitionChoice::Named),
            (Some(_), _) => {
                context.metadata.request_update();
                return Err(Blocked::Wait);
            }
            (None, Some(key)) if !context.config.partitioner_ignore_keys => {
                let (partition, hash) = partition_of_key(key, count);
                (partition, PartitionChoice::Key { hash, partitions: count })
            }
            (None, _) => (self.sticky_partition(waiting, count, &available, context), PartitionChoice::Sticky),
        };
        let place = TopicPartition { topic: record.topic.clone(), partition };
        self.append(waiting, &place, context)?;
        if why == PartitionChoice::Sticky {
            self.count_sticky(&place, &available, count, context);
        }
        let op = waiting.op;
        context.out.emit(|| Event::Partitioned { op, partition: place, why });
        Ok(())
    }

    /// The partition that records without a key stick to. If it has had its share and this record would open another batch
    /// there, it is time for the next one.
    fn sticky_partition(&mut self, waiting: &Waiting, count: i32, available: &[i32], context: &mut Context<'_>) -> i32 {
        let topic = &waiting.record.topic;
        let batch_size = context.config.batch_size;
        if let Some(sticky) = self.sticky.get(topic).filter(|it| it.partition < count) {
            let place = TopicPartition { topic: topic.clone(), partition: sticky.partition };
            let last = self.partitions.get(&place).and_then(|it| it.queue.back());
            let fits = last
                .is_some_and(|it| !it.is_full(batch_size) && it.size + record_size_of(&waiting.record) <= batch_size);
            if fits || sticky.bytes < batch_size.max(1) {
                return sticky.partition;
            }
        }
        let partition = draw(count, available, context);
        self.sticky.insert(topic.clone(), Sticky { partition, bytes: 0 });
        partition
    }

    /// Moves on once the partition has got `batch.size` bytes: when its last batch is full, so that batches are not
    /// cut short, and at twice that size in any case.
    fn count_sticky(&mut self, place: &TopicPartition, available: &[i32], count: i32, context: &mut Context<'_>) {
        let batch_size = context.config.batch_size.max(1);
        let Some(last) = self.partitions.get(place).and_then(|it| it.queue.back()) else { return };
        let (full, added) =
            (last.is_full(batch_size), last.records.last().map_or(0, |it| batch::record_size(&it.record)));
        let Some(sticky) = self.sticky.get_mut(&place.topic) else { return };
        sticky.bytes += added;
        if (sticky.bytes >= batch_size && full) || sticky.bytes >= 2 * batch_size {
            *sticky = Sticky { partition: draw(count, available, context), bytes: 0 };
        }
    }

    fn append(&mut self, waiting: &Waiting, place: &TopicPartition, context: &mut Context<'_>) -> Result<(), Blocked> {
        let batch_size = context.config.batch_size;
        let record = to_record(waiting.record.clone(), context.now.wall);
        let mut pending = Pending { index: waiting.index, op: waiting.op, record };
        if let Some(last) = self.partitions.get_mut(place).and_then(|it| it.queue.back_mut()) {
            match last.try_push(pending, batch_size) {
                Ok(()) => return Ok(()),
                Err(back) => pending = back,
            }
        }
        let reserved = batch_size.max(batch::record_size(&pending.record));
        // One record always finds room, or a batch.size above buffer.memory would stop everything.
        if self.buffered + reserved > context.config.buffer_memory && self.buffered > 0 {
            return Err(Blocked::Wait);
        }
        self.buffered += reserved;
        let mut batch = Batch::new(self.new_batch_id(), context.now.mono, reserved, context.config);
        if batch.try_push(pending, batch_size).is_ok() {
            self.partitions.entry(place.clone()).or_default().queue.push_back(batch);
        }
        Ok(())
    }

    fn new_batch_id(&mut self) -> BatchId {
        self.next_batch += 1;
        BatchId(self.next_batch)
    }

    /// Gives up batches that were not delivered in time.
    fn expire(&mut self, context: &mut Context<'_>) {
        let now = context.now.mono;
        let late: Vec<TopicPartition> = self
            .partitions
            .iter()
            .filter(|(_, it)| it.expires_at().is_some_and(|at| at <= now))
            .map(|(partition, _)| partition.clone())
            .collect();
        for partition in late {
            let Some(state) = self.partitions.get_mut(&partition) else { continue };
            let (mut gone, kept): (Vec<Batch>, Vec<Batch>) =
                std::mem::take(&mut state.queue).into_iter().partition(|it| it.expires_at <= now);
            state.queue = kept.into();
            let (mut flying, kept): (Vec<Batch>, Vec<Batch>) =
                std::mem::take(&mut state.in_flight).into_iter().partition(|it| it.expires_at <= now);
            state.in_flight = kept;
            flying.iter_mut().for_each(|batch| batch.maybe_written = true);
            gone.append(&mut flying);
            for batch in &gone {
                // Numbers that were never on the wire leave no gap in the log, but one here: also unresolved.
                state.mark_unresolved(batch);
            }
            for batch in gone {
                let why = format!(
                    "Expiring {} record(s) for {partition}:{} ms has passed since batch creation. The request has not \
                     been sent, or no server response has been received yet.",
                    batch.records.len(),
                    context.config.delivery_timeout(),
                );
                self.fail(&partition, batch, Failure::new(Cause::TimedOut, why), context);
            }
        }
    }

    /// Tells the application of every record in a batch that failed.
    fn fail(&mut self, partition: &TopicPartition, batch: Batch, failure: Failure, context: &mut Context<'_>) {
        let (records, why) = (batch.records.len(), failure.message.clone());
        context.out.emit(|| Event::BatchFailed { partition: partition.clone(), records, why });
        self.buffered -= batch.reserved;
        for pending in batch.records {
            let outcome =
                if batch.maybe_written { Outcome::Unknown(failure.clone()) } else { Outcome::Failed(failure.clone()) };
            self.settle(pending.index, pending.op, outcome, context);
        }
    }

    fn settle(&mut self, index: u64, op: OpId, outcome: Outcome, context: &mut Context<'_>) {
        self.incomplete.remove(&index);
        context.out.outcomes.push((op, outcome));
    }

    fn answer_flushes(&mut self, context: &mut Context<'_>) {
        let oldest = self.incomplete.first().copied().unwrap_or(u64::MAX);
        self.flushes.retain(|(op, before)| {
            let done = *before <= oldest;
            if done {
                context.out.done(*op, Answer::Done);
            }
            !done
        });
    }

    /// When something here is due.
    pub(crate) fn wake_at(&self, context: &Context<'_>) -> Option<Instant> {
        let blocked = self.waiting.iter().map(|it| it.deadline).min();
        let expiry = self.partitions.values().filter_map(Partition::expires_at).min();
        let identity = match &self.numbering {
            Numbering::Wanted { at, .. } => Some(*at),
            _ => None,
        };
        let ready =
            self.partitions.iter().filter_map(|(partition, state)| self.ready_at(partition, state, context)).min();
        // What is due already waits for something else: an answer, a connection, metadata. Each of these wakes us.
        let future = |at: &Instant| *at > context.now.mono;
        [blocked, expiry, identity.filter(future), ready.filter(future)].into_iter().flatten().min()
    }

    pub(crate) fn view(&self) -> ProducerView {
        ProducerView {
            producer_id: match &self.numbering {
                Numbering::Known(identity) => Some(*identity),
                _ => None,
            },
            buffered_bytes: self.buffered,
            partitions: self.partitions.iter().map(|(partition, state)| state.view(partition)).collect(),
        }
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = PendingView> {
        let blocked = self.waiting.iter().map(|it| PendingView { op: it.op, state: PendingState::Blocked });
        let batched = self.partitions.iter().flat_map(|(partition, state)| {
            let view = |batch: &Batch, state: PendingState| -> Vec<PendingView> {
                batch.records.iter().map(|it| PendingView { op: it.op, state: state.clone() }).collect()
            };
            let queued = state.queue.iter().flat_map(move |it| view(it, PendingState::Buffered(partition.clone())));
            let flying = state.in_flight.iter().flat_map(move |it| view(it, PendingState::InFlight(partition.clone())));
            queued.chain(flying)
        });
        let flushes = self.flushes.iter().map(|(op, _)| PendingView { op: *op, state: PendingState::Waiting });
        blocked.chain(batched).chain(flushes)
    }
}

/// Refuses what can never be sent.
fn admissible(record: &ProducerRecord, context: &Context<'_>) -> Result<(), Failure> {
    if let Some(partition) = record.partition.filter(|it| *it < 0) {
        return Err(Failure::new(
            Cause::Illegal,
            format!("Invalid partition: {partition}. Partition number should always be non-negative or null."),
        ));
    }
    if let Some(timestamp) = record.timestamp.filter(|it| it.0 < 0) {
        return Err(Failure::new(
            Cause::Illegal,
            format!(
                "Invalid timestamp: {timestamp:?}. Timestamp should always be non-negative or null.",
                timestamp = timestamp.0
            ),
        ));
    }
    let size = lone_size(record);
    for (limit, key) in
        [(context.config.max_request_size, "max.request.size"), (context.config.buffer_memory, "buffer.memory")]
    {
        if size > limit {
            return Err(Failure::new(
                Cause::RecordTooLarge,
                format!(
                    "The message is {size} bytes when serialized which is larger than {limit}, which is the value of \
                     the {key} configuration."
                ),
            ));
        }
    }
    Ok(())
}

/// Partitions that have a leader.
fn available(topic: &TopicMetadata) -> Vec<i32> {
    topic.partitions.iter().filter(|it| it.info.leader.is_some()).map(|it| it.info.partition).collect()
}

/// A partition at random, one with a leader if any has one.
fn draw(count: i32, available: &[i32], context: &mut Context<'_>) -> i32 {
    if available.is_empty() {
        context.random.below(count.unsigned_abs() as usize) as i32
    } else {
        available[context.random.below(available.len())]
    }
}
