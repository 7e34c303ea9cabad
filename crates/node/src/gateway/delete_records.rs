//! DeleteRecords, versions 0 to 2: moves the start of logs up (KIP-107).
//!
//! - Offset -1 means the high watermark; beyond it is OFFSET_OUT_OF_RANGE; a topic that is compacted and nothing else
//!   is POLICY_VIOLATION.
//! - The answer waits until the leader's new starts are on disk (`log-start-offset-checkpoint`), where Kafka's waits for no
//!   disk, and until the low watermark has got there: the least log start of all replicas that are alive. So whoever of
//!   them is elected later shows none of the records again, unless it was killed before its own start was checkpointed;
//!   a fenced replica is not waited for, as in Kafka, and may show them if it is elected when it comes back (from the ELR,
//!   say). The same goes for a replica whose log directory is offline, for which Kafka's waits in vain. Past the request's
//!   timeout it is REQUEST_TIMED_OUT, with the low watermark as it was at first; what the leader has deleted stays deleted.
//! - The partitions of a directory that fails meanwhile are KAFKA_STORAGE_ERROR at once; the others go on.

use ordered::Map;

use protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use protocol::{ErrorCode, Now, Offset, ResponseBody};
use storage::DirId;

use super::produce::Slot;
use crate::deferred::{Pending, RequestId, Waiter};
use crate::node::Node;
use crate::outbox::Outbox;
use crate::partition::PartitionKey;
use crate::timers::WakeReason;

/// A request whose log starts are not where they have to be everywhere.
#[derive(Clone, Debug)]
pub(crate) struct PendingDeletes {
    pub(crate) waiter: Waiter,
    response: DeleteRecordsResponse,
    /// Directories in which the leader's new starts are being written down, and whose replicas are there.
    writing: Map<DirId, Vec<Slot>>,
    /// Partitions of which a replica that is alive has still more, and the low watermark that is waited for there.
    behind: Map<Slot, (PartitionKey, Offset)>,
}

impl Node {
    pub(crate) fn handle_delete_records(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: DeleteRecordsRequest,
        out: &mut Outbox,
    ) {
        let id = self.deferred.number();
        let response = DeleteRecordsResponse::default();
        let mut pending = PendingDeletes { waiter, response, writing: Map::new(), behind: Map::new() };
        for (topic_index, topic) in request.topics.into_iter().enumerate() {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (index, asked) in topic.partitions.into_iter().enumerate() {
                let slot = Slot { topic: topic_index as u32, partition: index as u32 };
                let place = (topic.name.as_str(), asked.partition_index);
                let deleted = self.delete_records(place, asked.offset, (id, slot), &mut pending, out);
                let (low_watermark, error) = match deleted {
                    Ok(low_watermark) => (low_watermark, ErrorCode::None),
                    Err(error) => (Offset(-1), error),
                };
                partitions.push(DeleteRecordsPartitionResult {
                    partition_index: asked.partition_index,
                    low_watermark: low_watermark.0,
                    error_code: error.code(),
                });
            }
            pending.response.topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
        }
        if pending.writing.is_empty() {
            return self.answer(waiter, ResponseBody::DeleteRecords(pending.response), out);
        }
        for dir in pending.writing.keys() {
            self.write_log_starts(*dir, Some(id), out);
        }
        if pending.is_behind() {
            let timeout_ms = i64::from(request.timeout_ms.max(0));
            self.timers.arm(WakeReason::DeleteTimeout(id), now.mono.plus_ms(timeout_ms));
        }
        self.deferred.hold(id, Pending::DeleteRecords(pending));
    }

    /// One partition; answers with its low watermark.
    fn delete_records(
        &mut self,
        (topic, partition): (&str, i32),
        offset: i64,
        (id, slot): (RequestId, Slot),
        pending: &mut PendingDeletes,
        out: &mut Outbox,
    ) -> Result<Offset, ErrorCode> {
        let topic = self.image.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if crate::controller::is_internal(&topic.name) {
            return Err(ErrorCode::InvalidTopicException);
        }
        topic.partitions.get(&partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let key = PartitionKey { topic_id: topic.id, partition };
        let partition = self.partitions.get_mut(&key).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let wanted = partition.delete_records(offset, &mut self.ops, out)?;
        let low_watermark = partition.low_watermark(&self.image)?;
        if low_watermark < wanted {
            partition.park_delete(wanted, id, slot);
            pending.behind.insert(slot, (key, wanted));
            // A follower that waits for records hears of the new start at once.
            self.watch.replicas_changed(key);
        }
        pending.writing.entry(partition.dir).or_default().push(slot);
        if let Some(future) = partition.future() {
            // A replica on its way may be in the other directory after a restart. If that fails, it stays where it is.
            pending.writing.entry(future.dir).or_default();
        }
        Ok(low_watermark)
    }

    /// A directory's log starts are on disk (or never will be), for the request that asked for this write of them.
    pub(crate) fn log_starts_written(&mut self, id: RequestId, dir: DirId, is_written: bool, out: &mut Outbox) {
        let Some(Pending::DeleteRecords(pending)) = self.deferred.pending_mut(id) else { return };
        let slots = pending.writing.remove(&dir).unwrap_or_default();
        for slot in slots.into_iter().filter(|_| !is_written) {
            if let Some(answer) = pending.answer_mut(slot).filter(|it| it.error_code == ErrorCode::None.code()) {
                (answer.error_code, answer.low_watermark) = (ErrorCode::KafkaStorageError.code(), -1);
            }
        }
        self.finish_deletes(id, out);
    }

    /// A partition's low watermark has got to where a request wants it, or nobody will ever hear that it has.
    pub(crate) fn settle_delete(
        &mut self,
        id: RequestId,
        slot: Slot,
        low_watermark: Result<Offset, ErrorCode>,
        out: &mut Outbox,
    ) {
        let Some(Pending::DeleteRecords(pending)) = self.deferred.pending_mut(id) else { return };
        if pending.behind.remove(&slot).is_some()
            && let Some(answer) = pending.answer_mut(slot)
        {
            (answer.error_code, answer.low_watermark) = match low_watermark {
                Ok(low_watermark) => (ErrorCode::None.code(), low_watermark.0),
                Err(error) => (error.code(), -1),
            };
        }
        self.finish_deletes(id, out);
    }

    /// The request's timeout is over: replicas that are behind by now are waited for no longer.
    pub(crate) fn time_out_deletes(&mut self, id: RequestId, out: &mut Outbox) {
        let Some(Pending::DeleteRecords(pending)) = self.deferred.pending_mut(id) else { return };
        let behind = std::mem::take(&mut pending.behind);
        for slot in behind.keys() {
            if let Some(answer) = pending.answer_mut(*slot) {
                answer.error_code = ErrorCode::RequestTimedOut.code();
            }
        }
        self.unpark_deletes(id, behind);
        self.finish_deletes(id, out);
    }

    /// Who asked is gone.
    pub(crate) fn forget_deletes(&mut self, id: RequestId, pending: PendingDeletes) {
        self.timers.disarm(WakeReason::DeleteTimeout(id));
        self.unpark_deletes(id, pending.behind);
    }

    fn unpark_deletes(&mut self, id: RequestId, behind: Map<Slot, (PartitionKey, Offset)>) {
        for (slot, (key, wanted)) in behind {
            if let Some(partition) = self.partitions.get_mut(&key) {
                partition.unpark_delete(wanted, id, slot);
            }
        }
    }

    fn finish_deletes(&mut self, id: RequestId, out: &mut Outbox) {
        let Some(Pending::DeleteRecords(pending)) = self.deferred.pending_mut(id) else { return };
        if !pending.writing.is_empty() || pending.is_behind() {
            return;
        }
        self.timers.disarm(WakeReason::DeleteTimeout(id));
        if let Some(Pending::DeleteRecords(pending)) = self.deferred.take(id) {
            self.answer(pending.waiter, ResponseBody::DeleteRecords(pending.response), out);
        }
    }
}

impl PendingDeletes {
    fn answer_mut(&mut self, slot: Slot) -> Option<&mut DeleteRecordsPartitionResult> {
        self.response.topics.get_mut(slot.topic as usize)?.partitions.get_mut(slot.partition as usize)
    }

    /// True while a replica that is alive has not got there.
    pub(crate) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }
}
