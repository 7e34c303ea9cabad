//! DescribeTopicPartitions, version 0 (KIP-966): topics in order of name, page by page.

use ordered::Set;

use protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, ErrorCode};
use protocol::{NodeId, ResponseBody, Str};

use super::metadata::{TOPIC_OPERATIONS, offline_replicas, reachable};
use super::{Context, Step};
use crate::controller::{check_name, is_internal};
use crate::image::{Image, PartitionImage};

/// Answers from committed metadata.
pub fn handle(context: &mut Context<'_>, request: DescribeTopicPartitionsRequest) -> Step {
    let cursor = request.cursor;
    let from = cursor.as_ref().map(|it| it.topic_name.clone()).unwrap_or_default();
    let all = request.topics.is_empty();
    let asked: Set<Str> = request.topics.into_iter().map(|it| it.name).collect();
    let unknown_cursor = cursor.as_ref().is_some_and(|it| !all && !asked.contains(&it.topic_name));
    if unknown_cursor || cursor.as_ref().is_some_and(|it| it.partition_index < 0) {
        let topics = asked.into_iter().map(|name| missing(name, ErrorCode::InvalidRequest)).collect();
        return answer(topics, None);
    }
    let limit = request.response_partition_limit.min(context.config.max_request_partition_size_limit).max(1);
    let mut room = usize::try_from(limit).unwrap_or(1);
    let names: Vec<Str> = if all {
        context.image.topics_from(&from).map(|it| it.name.clone()).collect()
    } else {
        asked.range(from.clone()..).cloned().collect()
    };
    let mut topics = Vec::new();
    for name in names {
        if room == 0 {
            return answer(topics, Some(Cursor { topic_name: name, partition_index: 0 }));
        }
        let Some(topic) = context.image.topic(&name) else {
            let error = check_name(&name).err().map_or(ErrorCode::UnknownTopicOrPartition, |refusal| refusal.code);
            topics.push(missing(name, error));
            continue;
        };
        let first = cursor.as_ref().filter(|it| it.topic_name == name).map_or(0, |it| it.partition_index);
        let rest: Vec<i32> = topic.partitions.keys().copied().filter(|index| *index >= first).collect();
        let page = &rest[..rest.len().min(room)];
        room -= page.len();
        let shown = page.iter().filter_map(|index| {
            let partition = topic.partitions.get(index)?;
            Some(describe(context.image, &context.peer.listener, *index, partition))
        });
        topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::None.code(),
            name: Some(name.clone()),
            topic_id: topic.id,
            is_internal: is_internal(&name),
            partitions: shown.collect(),
            topic_authorized_operations: TOPIC_OPERATIONS,
        });
        if let Some(next) = rest.get(page.len()) {
            return answer(topics, Some(Cursor { topic_name: name, partition_index: *next }));
        }
    }
    answer(topics, None)
}

fn answer(topics: Vec<DescribeTopicPartitionsResponseTopic>, next_cursor: Option<Cursor>) -> Step {
    let response =
        DescribeTopicPartitionsResponse { topics, next_cursor, ..DescribeTopicPartitionsResponse::default() };
    Step::Answer(ResponseBody::DescribeTopicPartitions(response))
}

fn missing(name: Str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        is_internal: is_internal(&name),
        name: Some(name),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn describe(
    image: &Image,
    listener: &str,
    index: i32,
    partition: &PartitionImage,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |nodes: &[NodeId]| -> Vec<i32> { nodes.iter().map(|it| it.0).collect() };
    let is_reachable = |node: &NodeId| image.broker(*node).and_then(|it| reachable(it, listener)).is_some();
    let leader = partition.leader.filter(is_reachable);
    let error = if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    DescribeTopicPartitionsResponsePartition {
        error_code: error.code(),
        partition_index: index,
        leader_id: leader.map_or(-1, |it| it.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(&partition.elr)),
        last_known_elr: Some(ids(&partition.last_known_elr)),
        offline_replicas: offline_replicas(image, partition, listener),
    }
}
