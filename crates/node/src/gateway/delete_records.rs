//! DeleteRecords, versions 0 to 2: moves the start of logs up (KIP-107).
//!
//! - Offset -1 means the high watermark; beyond it is OFFSET_OUT_OF_RANGE; a topic that is compacted and nothing else
//!   is POLICY_VIOLATION.
//! - The answer waits until the leader's new starts are on disk (`log-start-offset-checkpoint`); Kafka's does not wait for
//!   any disk.
//! - Gap: it does not wait for the other replicas. Kafka answers when the low watermark, the least log start of all live
//!   replicas, has got there, or with REQUEST_TIMED_OUT after the request's timeout, and tells that watermark. Here a follower
//!   hears of the new start with its next fetch: one that is elected before that shows the records again.

use ordered::Set;

use protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use protocol::{ErrorCode, Offset, ResponseBody};
use storage::DirId;

use crate::deferred::{Pending, RequestId, Waiter};
use crate::node::Node;
use crate::outbox::Outbox;
use crate::partition::PartitionKey;

/// A request whose log starts are being written down.
#[derive(Clone, Debug)]
pub(crate) struct PendingDeletes {
    pub(crate) waiter: Waiter,
    response: DeleteRecordsResponse,
    outstanding: Set<DirId>,
}

impl Node {
    pub(crate) fn handle_delete_records(&mut self, waiter: Waiter, request: DeleteRecordsRequest, out: &mut Outbox) {
        let mut dirs = Set::new();
        let mut response = DeleteRecordsResponse::default();
        for topic in request.topics {
            let partitions = topic.partitions.iter().map(|asked| {
                let (low_watermark, error) =
                    match self.delete_records(&topic.name, asked.partition_index, asked.offset, out) {
                        Ok((offset, at)) => {
                            dirs.extend(at);
                            (offset.0, ErrorCode::None)
                        }
                        Err(error) => (-1, error),
                    };
                DeleteRecordsPartitionResult {
                    partition_index: asked.partition_index,
                    low_watermark,
                    error_code: error.code(),
                }
            });
            let partitions = partitions.collect();
            response.topics.push(DeleteRecordsTopicResult { name: topic.name, partitions });
        }
        if dirs.is_empty() {
            return self.answer(waiter, ResponseBody::DeleteRecords(response), out);
        }
        let id = self.deferred.number();
        for dir in &dirs {
            self.write_log_starts(*dir, Some(id), out);
        }
        self.deferred.hold(id, Pending::DeleteRecords(PendingDeletes { waiter, response, outstanding: dirs }));
    }

    fn delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        out: &mut Outbox,
    ) -> Result<(Offset, Vec<DirId>), ErrorCode> {
        let topic = self.image.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if crate::controller::is_internal(&topic.name) {
            return Err(ErrorCode::InvalidTopicException);
        }
        topic.partitions.get(&partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let key = PartitionKey { topic_id: topic.id, partition };
        let partition = self.partitions.get_mut(&key).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let start = partition.delete_records(offset, &mut self.ops, out)?;
        // A replica on its way may be in the other directory after a restart.
        let dirs = std::iter::once(partition.dir).chain(partition.future().map(|it| it.dir));
        Ok((start, dirs.collect()))
    }

    /// A directory's log starts are on disk (or never will be), for the request that asked for this write of them.
    pub(crate) fn log_starts_written(&mut self, id: RequestId, dir: DirId, is_written: bool, out: &mut Outbox) {
        let Some(Pending::DeleteRecords(pending)) = self.deferred.pending_mut(id) else { return };
        pending.outstanding.remove(&dir);
        if !is_written {
            for answer in pending.response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if answer.error_code == ErrorCode::None.code() {
                    (answer.error_code, answer.low_watermark) = (ErrorCode::KafkaStorageError.code(), -1);
                }
            }
        }
        if pending.outstanding.is_empty()
            && let Some(Pending::DeleteRecords(pending)) = self.deferred.take(id)
        {
            self.answer(pending.waiter, ResponseBody::DeleteRecords(pending.response), out);
        }
    }
}
