//! What leaves, and what comes back: requests from batches, answers, retries.

use ordered::Map;

use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::produce_response::PartitionProduceResponse;
use protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse};
use protocol::records::Records;
use protocol::{
    ErrorCode, Instant, LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, Str, TopicPartition, Uuid, WallMs,
};

use super::batch::{Batch, BatchId};
use super::partition::Partition;
use super::{Numbering, Producer};
use crate::admin::BrokerInfo;
use crate::backoff::exponential_ms;
use crate::client::{Context, Ticket};
use crate::config::Acks;
use crate::event::Event;
use crate::network::Lost;
use crate::outbox::{Answer, Cause, Failure, Outcome, RecordMetadata};
use crate::wire::{ApiKey, RequestBody};

/// The batches of a request: where to, under which topic id, which one.
pub(crate) type Sent = Vec<(TopicPartition, Uuid, BatchId)>;

/// What came back for a batch.
struct Verdict {
    error: ErrorCode,
    base_offset: Option<i64>,
    append_time: Option<WallMs>,
    log_start: i64,
    message: Option<String>,
    record_errors: Map<usize, String>,
    /// No answer came at all.
    lost: bool,
}

impl Verdict {
    fn refused(error: ErrorCode, message: Option<String>, lost: bool) -> Verdict {
        let record_errors = Map::new();
        Verdict { error, base_offset: None, append_time: None, log_start: -1, message, record_errors, lost }
    }

    fn of(answer: &PartitionProduceResponse) -> Verdict {
        let message = answer.error_message.as_ref().map(Str::to_string);
        let record_errors = answer.record_errors.iter().filter_map(|it| {
            let why = it.batch_index_error_message.as_ref().map(Str::to_string).or_else(|| message.clone());
            Some((usize::try_from(it.batch_index).ok()?, why.unwrap_or_default()))
        });
        Verdict {
            error: ErrorCode::from_code(answer.error_code),
            base_offset: (answer.base_offset >= 0).then_some(answer.base_offset),
            append_time: (answer.log_append_time_ms >= 0).then_some(WallMs(answer.log_append_time_ms)),
            log_start: answer.log_start_offset,
            record_errors: record_errors.collect(),
            message,
            lost: false,
        }
    }
}

impl Producer {
    /// Asks for an identity, or raises the epoch where the numbers went wrong.
    pub(super) fn keep_identity(&mut self, context: &mut Context<'_>) {
        self.partitions.values_mut().for_each(Partition::resolve);
        if let Numbering::Known((id, epoch)) = self.numbering
            && self.partitions.values().any(|it| it.wants_bump)
        {
            match epoch.0.checked_add(1) {
                Some(next) => {
                    let identity = (id, ProducerEpoch(next));
                    self.numbering = Numbering::Known(identity);
                    self.partitions.values_mut().filter(|it| it.wants_bump).for_each(|it| it.restart_numbers(identity));
                    context.out.emit(|| Event::ProducerEpochBumped { producer_id: id, epoch: identity.1 });
                }
                // Epochs are used up: a new id, and every number anew once it is here.
                None => self.numbering = Numbering::Wanted { at: context.now.mono, failures: 0 },
            }
        }
        let Numbering::Wanted { at, failures } = self.numbering else { return };
        if at > context.now.mono {
            return;
        }
        let Some(node) = context.least_loaded_ready() else { return };
        let Some(version) = context.network.version(node, ApiKey::InitProducerId) else {
            self.refuse(
                Failure::new(Cause::UnsupportedVersion, "The broker does not support INIT_PRODUCER_ID"),
                context,
            );
            return;
        };
        let body =
            InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: i32::MAX, ..Default::default() };
        self.numbering = Numbering::Asked { failures };
        context.send(node, version, RequestBody::InitProducerId(body), Ticket::InitProducerId);
    }

    /// The answer to InitProducerId.
    pub(crate) fn handle_identity(&mut self, answer: Result<InitProducerIdResponse, Lost>, context: &mut Context<'_>) {
        let Numbering::Asked { failures } = self.numbering else { return };
        let error = answer.as_ref().map_or(ErrorCode::NetworkException, |it| ErrorCode::from_code(it.error_code));
        match answer {
            Ok(body) if error == ErrorCode::None => {
                let identity = (ProducerId(body.producer_id), ProducerEpoch(body.producer_epoch));
                self.numbering = Numbering::Known(identity);
                for partition in self.partitions.values_mut().filter(|it| it.wants_bump) {
                    partition.restart_numbers(identity);
                }
                context.out.emit(|| Event::ProducerIdAssigned { producer_id: identity.0, epoch: identity.1 });
            }
            _ if error.is_retriable() => {
                let wait = exponential_ms(
                    context.config.retry_backoff_ms,
                    context.config.retry_backoff_max_ms,
                    failures,
                    context.random,
                );
                self.numbering = Numbering::Wanted { at: context.now.mono.plus_ms(wait), failures: failures + 1 };
            }
            _ => self.refuse(Failure::refused(error, None), context),
        }
    }

    /// No identity, no numbers, no sending: all that waits fails.
    fn refuse(&mut self, failure: Failure, context: &mut Context<'_>) {
        self.numbering = Numbering::Refused(failure.clone());
        for partition in self.partitions.keys().cloned().collect::<Vec<_>>() {
            let queue = self.partitions.get_mut(&partition).map(|it| std::mem::take(&mut it.queue)).unwrap_or_default();
            for batch in queue {
                self.fail(&partition, batch, failure.clone(), context);
            }
        }
    }

    /// Sends what is ready: one request a broker and round, one batch a partition and request.
    pub(super) fn send_batches(&mut self, context: &mut Context<'_>) {
        // A leader that is not known is asked for once, not in every round.
        let unknown = self
            .partitions
            .iter()
            .any(|(partition, state)| !state.queue.is_empty() && context.metadata.leader(partition).is_none());
        if unknown {
            context.metadata.request_update();
        }
        loop {
            let mut ready: Map<NodeId, Vec<TopicPartition>> = Map::new();
            for (partition, state) in &self.partitions {
                if self.ready_at(partition, state, context).is_some_and(|at| at <= context.now.mono)
                    && let Some((leader, _)) = context.metadata.leader(partition)
                {
                    ready.entry(leader).or_default();
                }
            }
            let mut sent = false;
            for node in ready.into_keys() {
                // Metadata is asked for last: while it is due there is room left for it. Kafka's client sends nothing else then.
                let due = context.metadata.due(context.now, context.config);
                let most = context.config.max_in_flight.saturating_sub(usize::from(due));
                if context.ready(node) && context.network.in_flight(node) < most {
                    sent |= self.send_to(node, context);
                }
            }
            if !sent {
                return;
            }
        }
    }

    /// When the first batch of a partition may leave; `None` if that depends on something else than time.
    pub(super) fn ready_at(
        &self,
        partition: &TopicPartition,
        state: &Partition,
        context: &Context<'_>,
    ) -> Option<Instant> {
        let first = state.queue.front()?;
        let (_, epoch) = context.metadata.leader(partition)?;
        if !self.may_leave(state, context) {
            return None;
        }
        if first.attempts > 0 {
            return Some(if moved_on(first, epoch) { context.now.mono } else { first.retry_at });
        }
        let full = state.queue.len() > 1 || first.is_full(context.config.batch_size);
        let hurried =
            self.closing || !self.flushes.is_empty() || !self.waiting.is_empty() && self.memory_is_full(context);
        Some(if full || hurried { context.now.mono } else { first.lingers_until })
    }

    fn memory_is_full(&self, context: &Context<'_>) -> bool {
        self.buffered + context.config.batch_size > context.config.buffer_memory
    }

    fn may_leave(&self, state: &Partition, context: &Context<'_>) -> bool {
        // With one request at a time, a batch that is under way holds back its partition: that is what keeps order
        // without numbers.
        if context.config.max_in_flight == 1 && !state.in_flight.is_empty() {
            return false;
        }
        match &self.numbering {
            Numbering::Off => true,
            Numbering::Known(identity) => state.may_send(*identity),
            Numbering::Wanted { .. } | Numbering::Asked { .. } | Numbering::Refused(_) => false,
        }
    }

    /// One request: the first batch of each partition that the broker leads, as far as `max.request.size` goes. Batches that
    /// still linger come along, as in Kafka: the request leaves anyway.
    fn send_to(&mut self, node: NodeId, context: &mut Context<'_>) -> bool {
        let Some(version) = context.network.version(node, ApiKey::Produce) else {
            self.refuse_node(node, context);
            return true;
        };
        let led: Vec<TopicPartition> = self
            .partitions
            .iter()
            .filter(|(partition, state)| {
                !state.queue.is_empty() && context.metadata.leader(partition).is_some_and(|(leader, _)| leader == node)
            })
            .map(|(partition, _)| partition.clone())
            .collect();
        let start = self.turns.start(node, led.len());
        let (mut sent, mut bodies, mut size) = (Sent::new(), Vec::new(), 0);
        for partition in led[start..].iter().chain(&led[..start]) {
            let Some((bytes, id)) = self.take_batch(partition, size, context) else { continue };
            size += bytes.len();
            sent.push((partition.clone(), context.metadata.topic_id(&partition.topic), id));
            bodies.push(PartitionProduceData { index: partition.partition, records: Some(Records::Bytes(bytes)) });
        }
        if sent.is_empty() {
            return false;
        }
        // Topic ids replace names from version 13; a topic whose id is not known needs the older one.
        let version = if sent.iter().any(|(_, id, _)| id.is_zero()) { version.min(12) } else { version };
        let mut topics: Vec<TopicProduceData> = Vec::new();
        for ((partition, id, _), data) in sent.iter().zip(bodies) {
            let name = if version >= 13 { Str::new() } else { partition.topic.clone() };
            let topic_id = if version >= 13 { *id } else { Uuid::ZERO };
            match topics.iter_mut().find(|it| it.name == name && it.topic_id == topic_id) {
                Some(topic) => topic.partition_data.push(data),
                None => topics.push(TopicProduceData { name, topic_id, partition_data: vec![data] }),
            }
        }
        let timeout_ms = i32::try_from(context.config.request_timeout_ms).unwrap_or(i32::MAX);
        let acks = context.config.acks;
        let body = ProduceRequest { acks: acks.code(), timeout_ms, topic_data: topics, ..Default::default() };
        if acks == Acks::None {
            context.send(node, version, RequestBody::Produce(body), Ticket::Nothing);
            for (partition, _, id) in sent {
                let verdict = Verdict::refused(ErrorCode::None, None, false);
                self.complete(&partition, id, verdict, context);
            }
        } else {
            context.send(node, version, RequestBody::Produce(body), Ticket::Produce(sent));
        }
        true
    }

    /// Takes the first batch of a partition out of the queue, numbered and encoded, if it may leave and fits.
    fn take_batch(
        &mut self,
        partition: &TopicPartition,
        size: usize,
        context: &mut Context<'_>,
    ) -> Option<(bytes::Bytes, BatchId)> {
        let (_, epoch) = context.metadata.leader(partition)?;
        let state = self.partitions.get(partition)?;
        let first = state.queue.front()?;
        let backing_off = first.attempts > 0 && first.retry_at > context.now.mono && !moved_on(first, epoch);
        let fits = size == 0 || size + first.size <= context.config.max_request_size;
        if backing_off || !fits || !self.may_leave(state, context) {
            return None;
        }
        let identity = match &self.numbering {
            Numbering::Known(identity) => Some(*identity),
            _ => None,
        };
        let state = self.partitions.get_mut(partition)?;
        if let Some(identity) = identity {
            state.number_first(identity);
        }
        let mut batch = state.queue.pop_front()?;
        batch.closed = true;
        match batch.encode(context.config) {
            Ok(bytes) => {
                batch.attempts += 1;
                batch.sent_to_epoch = Some(epoch);
                let (id, records, attempt) = (batch.id, batch.records.len(), batch.attempts);
                let base_sequence = batch.sequence.map(|it| it.base);
                state.in_flight.push(batch);
                let partition = partition.clone();
                context.out.emit(|| Event::BatchSent { partition, records, base_sequence, attempt });
                Some((bytes, id))
            }
            Err(error) => {
                // Its numbers are used up without a batch behind them.
                state.mark_unresolved(&batch);
                self.fail(partition, batch, Failure::new(Cause::Illegal, error.to_string()), context);
                None
            }
        }
    }

    fn refuse_node(&mut self, node: NodeId, context: &mut Context<'_>) {
        let led: Vec<TopicPartition> = self.partitions.keys().cloned().collect();
        for partition in led {
            if context.metadata.leader(&partition).is_none_or(|(leader, _)| leader != node) {
                continue;
            }
            let queue = self.partitions.get_mut(&partition).map(|it| std::mem::take(&mut it.queue)).unwrap_or_default();
            for batch in queue {
                let failure = Failure::refused(ErrorCode::UnsupportedVersion, None);
                self.fail(&partition, batch, failure, context);
            }
        }
    }

    /// The answer to a Produce, or that none came.
    pub(crate) fn handle_produced(
        &mut self,
        sent: Sent,
        node: NodeId,
        answer: Result<ProduceResponse, Lost>,
        context: &mut Context<'_>,
    ) {
        let body = match answer {
            Ok(body) => body,
            Err(lost) => {
                let (error, message) = match lost {
                    Lost::TimedOut => {
                        (ErrorCode::RequestTimedOut, format!("Disconnected from node {node} due to timeout"))
                    }
                    Lost::Disconnected => (ErrorCode::NetworkException, format!("Disconnected from node {node}")),
                };
                context.metadata.request_update();
                for (partition, _, id) in sent {
                    self.complete(&partition, id, Verdict::refused(error, Some(message.clone()), true), context);
                }
                return;
            }
        };
        let endpoints =
            body.node_endpoints.iter().filter_map(|it| BrokerInfo::endpoint(it.node_id, &it.host, it.port, &it.rack));
        context.add_brokers(endpoints.collect());
        for (partition, id, batch) in sent {
            let answer = body
                .responses
                .iter()
                .filter(|it| if it.topic_id.is_zero() { it.name == partition.topic } else { it.topic_id == id })
                .flat_map(|it| &it.partition_responses)
                .find(|it| it.index == partition.partition);
            let Some(answer) = answer else {
                // An answer that leaves out what was asked says nothing about it.
                let message = Some(format!("Node {node} answered without {partition}"));
                self.complete(
                    &partition,
                    batch,
                    Verdict::refused(ErrorCode::UnknownServerError, message, true),
                    context,
                );
                continue;
            };
            let leader = &answer.current_leader;
            if leader.leader_id >= 0 && leader.leader_epoch >= 0 {
                context.metadata.update_leader(&partition, NodeId(leader.leader_id), LeaderEpoch(leader.leader_epoch));
            }
            self.complete(&partition, batch, Verdict::of(answer), context);
        }
    }

    /// What becomes of a batch: written, sent again, cut, or given up.
    fn complete(&mut self, partition: &TopicPartition, id: BatchId, verdict: Verdict, context: &mut Context<'_>) {
        let Some(state) = self.partitions.get_mut(partition) else { return };
        // A batch that expired under way was settled then.
        let Some(mut batch) = state.take_in_flight(id) else { return };
        let error = verdict.error;
        batch.maybe_written |= verdict.lost || leaves_in_doubt(error);
        if invalid_metadata(error) {
            context.metadata.request_update();
        }
        match error {
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => self.succeed(partition, batch, &verdict, context),
            ErrorCode::MessageTooLarge if batch.records.len() > 1 => self.split(partition, batch, context),
            _ if self.retries(partition, &batch, &verdict, context) => {
                let wait = exponential_ms(
                    context.config.retry_backoff_ms,
                    context.config.retry_backoff_max_ms,
                    batch.attempts.saturating_sub(1),
                    context.random,
                );
                batch.retry_at = context.now.mono.plus_ms(wait);
                let base_sequence = batch.sequence.map(|it| it.base);
                let error = (!verdict.lost).then_some(error);
                context.out.emit(|| Event::BatchRetried { partition: partition.clone(), base_sequence, error });
                if let Some(state) = self.partitions.get_mut(partition) {
                    state.reenqueue(batch);
                }
            }
            _ => self.give_up(partition, batch, verdict, context),
        }
    }

    fn succeed(&mut self, partition: &TopicPartition, batch: Batch, verdict: &Verdict, context: &mut Context<'_>) {
        if let Some(state) = self.partitions.get_mut(partition) {
            state.acknowledge(&batch, verdict.base_offset);
        }
        self.buffered -= batch.reserved;
        let (records, base_offset) = (batch.records.len(), verdict.base_offset.map(Offset));
        context.out.emit(|| Event::BatchAcked { partition: partition.clone(), base_offset, records });
        for (place, pending) in batch.records.into_iter().enumerate() {
            let metadata = RecordMetadata {
                partition: partition.clone(),
                offset: base_offset.map(|it| it.plus(place as i64)),
                timestamp: verdict.append_time.unwrap_or(pending.record.timestamp),
            };
            self.settle(pending.index, pending.op, Outcome::Ok(Answer::Sent(metadata)), context);
        }
    }

    /// The broker found the batch too large: its records travel in smaller ones. That is not counted as a retry.
    fn split(&mut self, partition: &TopicPartition, batch: Batch, context: &mut Context<'_>) {
        let target = if batch.split { batch.size / 2 } else { context.config.batch_size };
        let next = &mut self.next_batch;
        let parts = batch.into_parts(target, || {
            *next += 1;
            BatchId(*next)
        });
        let Some(state) = self.partitions.get_mut(partition) else { return };
        for part in parts.into_iter().rev() {
            state.reenqueue(part);
        }
    }

    fn retries(
        &mut self,
        partition: &TopicPartition,
        batch: &Batch,
        verdict: &Verdict,
        context: &mut Context<'_>,
    ) -> bool {
        if batch.expires_at <= context.now.mono || batch.attempts > context.config.retries {
            return false;
        }
        if let (Numbering::Known(_), Some(state)) = (&self.numbering, self.partitions.get_mut(partition)) {
            match verdict.error {
                ErrorCode::OutOfOrderSequenceNumber => {
                    state.handle_out_of_order(batch);
                    return true;
                }
                ErrorCode::UnknownProducerId => {
                    state.handle_unknown_producer(batch, verdict.log_start);
                    return true;
                }
                _ => {}
            }
        }
        verdict.error.is_retriable()
    }

    fn give_up(&mut self, partition: &TopicPartition, batch: Batch, verdict: Verdict, context: &mut Context<'_>) {
        if let (Some(state), Numbering::Known(_)) = (self.partitions.get_mut(partition), &self.numbering) {
            if batch.attempts <= context.config.retries {
                // Refused for good: the numbers of the batch are not in the log, and those after it would leave a gap.
                state.wants_bump = true;
            } else {
                state.mark_unresolved(&batch);
            }
        }
        if verdict.record_errors.is_empty() {
            self.fail(partition, batch, Failure::refused(verdict.error, verdict.message.as_deref()), context);
        } else {
            self.fail_records(partition, batch, &verdict, context);
        }
    }

    /// The broker named the records that it did not like (KIP-467); the others only travelled with them.
    fn fail_records(&mut self, partition: &TopicPartition, batch: Batch, verdict: &Verdict, context: &mut Context<'_>) {
        let records = batch.records.len();
        let why = verdict.message.clone().unwrap_or_else(|| verdict.error.message().to_owned());
        context.out.emit(|| Event::BatchFailed { partition: partition.clone(), records, why });
        self.buffered -= batch.reserved;
        for (place, pending) in batch.records.into_iter().enumerate() {
            let failure = match verdict.record_errors.get(&place) {
                Some(why) if verdict.record_errors.len() == 1 => Failure::refused(verdict.error, Some(why)),
                Some(why) => Failure::refused(ErrorCode::InvalidRecord, Some(why)),
                None => Failure::refused(
                    verdict.error,
                    Some(
                        "Failed to append record because it was part of a batch which had one more more invalid records",
                    ),
                ),
            };
            // The attempt before may have been written: its answer was lost, and this broker's clock is another.
            let outcome = if batch.maybe_written { Outcome::Unknown(failure) } else { Outcome::Failed(failure) };
            self.settle(pending.index, pending.op, outcome, context);
        }
    }
}

/// The partition has a newer leader than the one that refused: no reason to wait (KIP-951).
fn moved_on(batch: &Batch, epoch: LeaderEpoch) -> bool {
    batch.sent_to_epoch.is_some_and(|sent| sent < epoch)
}

/// Codes after which the batch may be in the log all the same. Who leads no more may have been replaced while the batch waited
/// for the others, which had it.
fn leaves_in_doubt(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::RequestTimedOut
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::NetworkException
            | ErrorCode::KafkaStorageError
            | ErrorCode::UnknownServerError
    )
}

/// Codes that say: what you believe about this partition is wrong.
fn invalid_metadata(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::KafkaStorageError
            | ErrorCode::NetworkException
            | ErrorCode::ListenerNotFound
    )
}
