//! Produce, versions 3 to 13: records in.
//!
//! - acks=0 gets no answer, and a closed connection when something went wrong; acks=1 waits until the batch is written;
//!   acks=all until the high watermark passes it, or answers REQUEST_TIMED_OUT after `timeout_ms`: the batch stays.
//! - KIP-98 idempotence: a duplicate is answered with its old offset once that is committed. KIP-467 record errors.
//!   KIP-516 topic ids. KIP-951 leader hints.
//! - Versions 0 to 2 are advertised as Kafka does (KIP-896, for librdkafka) and refused with UNSUPPORTED_VERSION before they get here.
//! - Gap: transactions. A transactional batch without a transactional id gets TRANSACTIONAL_ID_AUTHORIZATION_FAILED, as
//!   from Kafka; with one it gets INVALID_TXN_STATE, which Kafka answers for a partition that no transaction has added:
//!   producers abort on it instead of retrying forever.
//! - What costs per byte is done before, in [`super::records`].

use ordered::{Map, Set};

use protocol::messages::produce_request::PartitionProduceData;
use protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use protocol::messages::{ProduceRequest, ProduceResponse};
use protocol::records::{Batches, Records};
use protocol::{ErrorCode, Now, ResponseBody, Str, Uuid};

use crate::deferred::{Pending, RequestId, Waiter};
use crate::event::Event;
use crate::node::Node;
use crate::outbox::{Outbox, Reply};
use crate::partition::{Acks, AppendRequest, PartitionKey, Refused};
use crate::timers::WakeReason;

/// Kafka's `timeout_ms` begins once the leader has written, which it does before anything else. Here the write is under way
/// too, so a shorter timeout would report what Kafka never does.
const WRITE_GRACE_MS: i64 = 1_000;

/// The topic's and the partition's place in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) topic: u32,
    pub(crate) partition: u32,
}

/// A produce request whose records are on their way. The answer is complete but for what may still go wrong.
#[derive(Clone, Debug)]
pub(crate) struct PendingProduce {
    pub(crate) waiter: Waiter,
    response: ProduceResponse,
    outstanding: Set<Slot>,
}

impl Node {
    pub(crate) fn handle_produce(&mut self, now: Now, waiter: Waiter, mut request: ProduceRequest, out: &mut Outbox) {
        self.check_produced(waiter.version, &mut request);
        let ProduceRequest { transactional_id, acks, timeout_ms, topic_data, .. } = request;
        let id = self.deferred.number();
        let mut pending = PendingProduce { waiter, response: ProduceResponse::default(), outstanding: Set::new() };
        let mut seen = Set::new();
        for (topic_index, topic) in topic_data.into_iter().enumerate() {
            let known = if waiter.version >= 13 {
                self.image.topic_by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)
            } else {
                self.image.topic(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition)
            };
            let known = known.map(|it| (it.id, it.name.clone()));
            // By name or by id in the request, by name for people.
            let told = match &known {
                Ok((_, name)) => name.clone(),
                Err(_) if waiter.version >= 13 => Str::from(topic.topic_id.to_string()),
                Err(_) => topic.name.clone(),
            };
            let mut answers = Vec::with_capacity(topic.partition_data.len());
            for (partition_index, data) in topic.partition_data.into_iter().enumerate() {
                let index = data.index;
                let slot = Slot { topic: topic_index as u32, partition: partition_index as u32 };
                let answer = match &known {
                    Err(error) => Err(Refused::code(*error)),
                    Ok((topic_id, name)) if !seen.insert((*topic_id, index)) => Err(Refused::because(
                        ErrorCode::InvalidRequest,
                        format!("partition {name}-{index} is named twice"),
                    )),
                    Ok(topic) => {
                        self.produce_one(now, id, slot, waiter, acks, transactional_id.is_some(), topic, data, out)
                    }
                };
                answers.push(match answer {
                    Ok(Accepted { answer, waits }) => {
                        if waits {
                            pending.outstanding.insert(slot);
                        }
                        answer
                    }
                    Err(refused) => self.refused_produce(&refused, waiter, &told, topic.topic_id, index, out),
                });
            }
            pending.response.responses.push(TopicProduceResponse {
                name: topic.name,
                topic_id: topic.topic_id,
                partition_responses: answers,
            });
        }
        if pending.outstanding.is_empty() {
            return self.finish_produce(acks, pending, out);
        }
        if acks == -1 {
            let timeout_ms = i64::from(timeout_ms).max(WRITE_GRACE_MS);
            self.timers.arm(WakeReason::ProduceTimeout(id), now.mono.plus_ms(timeout_ms));
        }
        self.deferred.hold(id, Pending::Produce(pending));
    }

    /// One partition's records: checked, appended, and waiting for what `acks` asks for.
    #[expect(clippy::too_many_arguments, reason = "one caller; each is a part of one partition of one request")]
    fn produce_one(
        &mut self,
        now: Now,
        id: RequestId,
        slot: Slot,
        waiter: Waiter,
        acks: i16,
        has_transactional_id: bool,
        (topic_id, name): &(Uuid, Str),
        data: PartitionProduceData,
        out: &mut Outbox,
    ) -> Result<Accepted, Refused> {
        let image = self.image.topic_by_id(*topic_id).and_then(|it| it.partitions.get(&data.index));
        image.ok_or(Refused::code(ErrorCode::UnknownTopicOrPartition))?;
        let acks = match acks {
            0 => Acks::None,
            1 => Acks::Leader,
            -1 => Acks::All,
            _ => return Err(Refused::code(ErrorCode::InvalidRequiredAcks)),
        };
        if crate::controller::is_internal(name) {
            return Err(Refused::because(
                ErrorCode::InvalidTopicException,
                format!("Cannot append to internal topic {name}"),
            ));
        }
        let batches = one_batch(data.records)?;
        if batches.heads().iter().any(|head| head.attributes.is_transactional()) {
            return Err(if has_transactional_id {
                Refused::because(ErrorCode::InvalidTxnState, "this node has no transactions".to_owned())
            } else {
                Refused::code(ErrorCode::TransactionalIdAuthorizationFailed)
            });
        }
        let key = PartitionKey { topic_id: *topic_id, partition: data.index };
        let bytes = batches.bytes() as u64;
        let partition = self.partitions.get_mut(&key).ok_or(Refused::code(ErrorCode::NotLeaderOrFollower))?;
        let request = AppendRequest { batches, acks };
        let appended = partition.append(now, request, &*self.compressors, &mut self.ops, out)?;
        let waits = acks != Acks::None && partition.park(acks, appended.next_offset, id, slot);
        if !appended.is_duplicate {
            self.limits.produced(waiter.conn, bytes, out);
        }
        let answer = PartitionProduceResponse {
            index: data.index,
            base_offset: appended.base_offset.0,
            log_append_time_ms: appended.append_time.map_or(-1, |time| time.0),
            log_start_offset: partition.log_start().0,
            ..PartitionProduceResponse::default()
        };
        Ok(Accepted { answer, waits })
    }

    fn refused_produce(
        &mut self,
        refused: &Refused,
        waiter: Waiter,
        topic: &Str,
        topic_id: Uuid,
        index: i32,
        out: &mut Outbox,
    ) -> PartitionProduceResponse {
        out.emit(|| Event::Refused {
            conn: waiter.conn,
            what: format!("Produce to {topic}-{index}: {}", refused.code.name()),
        });
        let mut answer = PartitionProduceResponse {
            index,
            error_code: refused.code.code(),
            base_offset: -1,
            log_start_offset: refused.log_start.map_or(-1, |offset| offset.0),
            error_message: refused.message.clone(),
            record_errors: refused
                .records
                .iter()
                .map(|(batch_index, message)| BatchIndexAndErrorMessage {
                    batch_index: *batch_index,
                    batch_index_error_message: Some(message.clone()),
                })
                .collect(),
            ..PartitionProduceResponse::default()
        };
        if waiter.version >= 10 && refused.code == ErrorCode::NotLeaderOrFollower {
            let topic = if waiter.version >= 13 { self.image.topic_by_id(topic_id) } else { self.image.topic(topic) };
            if let Some(partition) = topic.and_then(|topic| topic.partitions.get(&index)) {
                answer.current_leader =
                    LeaderIdAndEpoch { leader_id: partition.leader_id(), leader_epoch: partition.leader_epoch.0 };
            }
        }
        answer
    }

    /// A parked batch is as safe as its producer asked for.
    pub(crate) fn unpark_produce(&mut self, id: RequestId, slot: Slot, out: &mut Outbox) {
        self.settle_produce(id, slot, None, out);
    }

    /// A parked batch will never be safe, or deleted records not be gone everywhere: the log is offline or gone, or led elsewhere.
    pub(crate) fn fail_parked(&mut self, id: RequestId, slot: Slot, error: ErrorCode, out: &mut Outbox) {
        self.settle_produce(id, slot, Some(error), out);
        self.settle_delete(id, slot, Err(error), out);
    }

    fn settle_produce(&mut self, id: RequestId, slot: Slot, error: Option<ErrorCode>, out: &mut Outbox) {
        let Some(Pending::Produce(pending)) = self.deferred.pending_mut(id) else { return };
        if !pending.outstanding.remove(&slot) {
            return;
        }
        if let (Some(error), Some(answer)) = (error, pending.answer_mut(slot)) {
            answer.error_code = error.code();
            (answer.base_offset, answer.log_append_time_ms, answer.log_start_offset) = (-1, -1, -1);
        }
        if pending.outstanding.is_empty()
            && let Some(Pending::Produce(pending)) = self.deferred.take(id)
        {
            self.timers.disarm(WakeReason::ProduceTimeout(id));
            // Only acks=1 and acks=all wait.
            self.finish_produce(1, pending, out);
        }
    }

    /// `timeout_ms` is over: what is not committed is answered with REQUEST_TIMED_OUT and its offset, and stays in the log.
    pub(crate) fn time_out_produce(&mut self, id: RequestId, out: &mut Outbox) {
        let Some(Pending::Produce(mut pending)) = self.deferred.take(id) else { return };
        for slot in std::mem::take(&mut pending.outstanding) {
            if let Some(answer) = pending.answer_mut(slot) {
                answer.error_code = ErrorCode::RequestTimedOut.code();
            }
        }
        self.finish_produce(1, pending, out);
    }

    fn finish_produce(&mut self, acks: i16, pending: PendingProduce, out: &mut Outbox) {
        let PendingProduce { waiter, mut response, .. } = pending;
        let answers = || response.responses.iter().flat_map(|topic| &topic.partition_responses);
        if acks == 0 {
            let error = answers().find(|answer| answer.error_code != ErrorCode::None.code());
            return match error.map(|answer| ErrorCode::from_code(answer.error_code)) {
                // No answer is expected, so the closed connection is what tells the producer to refresh its metadata.
                Some(error) => self.close(waiter.conn, format!("Produce with acks=0 failed: {}", error.name()), out),
                None => {
                    out.replies.push(Reply::Nothing(waiter.conn, waiter.correlation_id));
                    self.limits.answered(waiter.conn, out);
                }
            };
        }
        let leaders: Map<i32, ()> = answers()
            .filter(|answer| answer.current_leader.leader_id >= 0)
            .map(|answer| (answer.current_leader.leader_id, ()))
            .collect();
        for leader in leaders.into_keys() {
            if let Some((host, port, rack)) = self.endpoint_of(waiter.conn, leader) {
                let endpoint = NodeEndpoint { node_id: leader, host, port, rack };
                response.node_endpoints.push(endpoint);
            }
        }
        self.answer(waiter, ResponseBody::Produce(response), out);
    }
}

/// The one batch that a partition may bring (version 3 and later), checked.
fn one_batch(records: Option<Records>) -> Result<Batches, Refused> {
    let batches = match records {
        Some(Records::Batches(batches)) => batches,
        Some(Records::Refused(_, error)) => return Err(Refused::because(error.code(), error.to_string())),
        Some(Records::Bytes(_)) => panic!("the records of a request are checked before it is handled"),
        Some(Records::Regions(_)) | None => Batches::default(),
    };
    match batches.heads() {
        [_] => Ok(batches),
        heads => Err(Refused::because(
            ErrorCode::InvalidRecord,
            format!("a partition must bring exactly one record batch, not {}", heads.len()),
        )),
    }
}

struct Accepted {
    answer: PartitionProduceResponse,
    waits: bool,
}

impl PendingProduce {
    fn answer_mut(&mut self, slot: Slot) -> Option<&mut PartitionProduceResponse> {
        self.response.responses.get_mut(slot.topic as usize)?.partition_responses.get_mut(slot.partition as usize)
    }

    /// How many partitions it waits for.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }
}
