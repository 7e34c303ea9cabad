//! OffsetForLeaderEpoch, versions 2 to 4: where a leader epoch ends (KIP-101, KIP-279, KIP-320).
//!
//! A follower or consumer compares it with where the epoch ends for itself, and learns where the two logs part. An epoch
//! that is not known, or greater than any, ends at -1.

use protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use protocol::{ErrorCode, LeaderEpoch, Offset, ResponseBody};

use crate::deferred::Waiter;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::partition::PartitionKey;

/// Kafka's undefined epoch and offset.
const UNDEFINED: (LeaderEpoch, Offset) = (LeaderEpoch::NONE, Offset(-1));

impl Node {
    pub(crate) fn handle_offset_for_leader_epoch(
        &mut self,
        waiter: Waiter,
        request: OffsetForLeaderEpochRequest,
        out: &mut Outbox,
    ) {
        let mut response = OffsetForLeaderEpochResponse::default();
        for topic in request.topics {
            let partitions = topic.partitions.iter().map(|asked| {
                let (error, end) = match self.epoch_end(&topic.topic, asked) {
                    Ok(end) => (ErrorCode::None, end.unwrap_or(UNDEFINED)),
                    Err(error) => (error, UNDEFINED),
                };
                EpochEndOffset {
                    error_code: error.code(),
                    partition: asked.partition,
                    leader_epoch: end.0.0,
                    end_offset: end.1.0,
                }
            });
            let partitions = partitions.collect();
            response.topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
        }
        self.answer(waiter, ResponseBody::OffsetForLeaderEpoch(response), out);
    }

    fn epoch_end(
        &self,
        topic: &str,
        asked: &OffsetForLeaderPartition,
    ) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        let topic = self.image.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        topic.partitions.get(&asked.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let key = PartitionKey { topic_id: topic.id, partition: asked.partition };
        let partition = self.partitions.get(&key).ok_or(ErrorCode::NotLeaderOrFollower)?;
        partition.check_leader_epoch(asked.current_leader_epoch)?;
        partition.epoch_end(asked.leader_epoch)
    }
}
