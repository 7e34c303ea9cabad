//! DescribeProducers, version 0 (KIP-664): whose batches a partition's leader knows.

use ordered::Set;
use protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use protocol::{ErrorCode, ResponseBody, Str};

use crate::controller::check_name;
use crate::deferred::Waiter;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::partition::PartitionKey;
use crate::refusal::Refusal;

impl Node {
    pub(crate) fn handle_describe_producers(
        &mut self,
        waiter: Waiter,
        request: DescribeProducersRequest,
        out: &mut Outbox,
    ) {
        // A partition is described where it is asked for first: an answer must not grow with how often a request repeats it.
        let mut described: Set<(Str, i32)> = Set::new();
        let topics = request.topics.into_iter().map(|topic| {
            let first =
                topic.partition_indexes.into_iter().filter(|index| described.insert((topic.name.clone(), *index)));
            let partitions = first.map(|index| self.producers_of(&topic.name, index)).collect();
            TopicResponse { partitions, name: topic.name }
        });
        let response = DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() };
        self.answer(waiter, ResponseBody::DescribeProducers(response), out);
    }

    fn producers_of(&self, name: &Str, index: i32) -> PartitionResponse {
        let mut answer = PartitionResponse { partition_index: index, ..PartitionResponse::default() };
        match self.active_producers(name, index) {
            Ok(producers) => answer.active_producers = producers,
            Err((error, message)) => {
                answer.error_code = error.code();
                answer.error_message = message;
            }
        }
        answer
    }

    fn active_producers(&self, name: &Str, index: i32) -> Result<Vec<ProducerState>, (ErrorCode, Option<Str>)> {
        let whole = |refusal: Refusal| (refusal.code, Some(refusal.message));
        check_name(name).map_err(whole)?;
        let topic = self.image.topic(name);
        let topic = topic.ok_or_else(|| whole(Refusal::of(ErrorCode::UnknownTopicOrPartition)))?;
        // Of a partition Kafka says no more than the code.
        topic.partitions.get(&index).ok_or((ErrorCode::UnknownTopicOrPartition, None))?;
        let key = PartitionKey { topic_id: topic.id, partition: index };
        let partition = self.partitions.get(&key).ok_or((ErrorCode::NotLeaderOrFollower, None))?;
        let producers = partition.producers().map_err(|error| (error, None))?;
        Ok(producers
            .iter()
            .map(|(id, it)| ProducerState {
                producer_id: id.0,
                producer_epoch: it.epoch.0.into(),
                last_sequence: it.batches.back().map_or(-1, |batch| batch.last_sequence),
                last_timestamp: it.last_timestamp,
                coordinator_epoch: it.coordinator_epoch,
                current_txn_start_offset: it.open_transaction.map_or(-1, |offset| offset.0),
            })
            .collect())
    }
}
