//! AlterReplicaLogDirs, versions 1 and 2 (KIP-113): moves replicas of this broker to other log directories.
//!
//! - The answer says that the move has begun; DescribeLogDirs shows how far it is.
//! - For a replica that is not here yet the directory is remembered, and REPLICA_NOT_AVAILABLE or, for a partition that does
//!   not exist, UNKNOWN_TOPIC_OR_PARTITION answered, as in Kafka.
//! - The directory that a replica is in already ends a move that is under way.

use ordered::Map;

use protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
use protocol::{ErrorCode, Now, ResponseBody, Str, TopicPartition};

use crate::deferred::Waiter;
use crate::node::Node;
use crate::outbox::Outbox;

impl Node {
    pub(crate) fn handle_alter_replica_log_dirs(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: AlterReplicaLogDirsRequest,
        out: &mut Outbox,
    ) {
        let mut topics: Map<Str, Vec<AlterReplicaLogDirPartitionResult>> = Map::new();
        for dir in request.dirs {
            for topic in dir.topics {
                for partition in topic.partitions {
                    let name = TopicPartition { topic: topic.name.clone(), partition };
                    let moved = self.move_replica(now, &name, &dir.path, out);
                    let error_code = moved.err().unwrap_or(ErrorCode::None).code();
                    let result = AlterReplicaLogDirPartitionResult { partition_index: partition, error_code };
                    topics.entry(name.topic).or_default().push(result);
                }
            }
        }
        let results = topics
            .into_iter()
            .map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult { topic_name, partitions })
            .collect();
        let response = AlterReplicaLogDirsResponse { results, ..AlterReplicaLogDirsResponse::default() };
        self.answer(waiter, ResponseBody::AlterReplicaLogDirs(response), out);
    }
}
