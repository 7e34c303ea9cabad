//! DescribeLogDirs, versions 1 to 5 (KIP-113): which logs are in which directory, and how large they are.
//!
//! - The sizes of volumes are -1, Kafka's word for unknown: the core sees no volumes.
//! - A replica on its way to another directory is named in both.

use ordered::{Map, Set};

use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use protocol::{ErrorCode, ResponseBody, Str};
use quorum::{CORDONED_DIRECTORIES, METADATA_VERSION};
use storage::DirId;

use crate::deferred::Waiter;
use crate::node::Node;
use crate::outbox::Outbox;

impl Node {
    pub(crate) fn handle_describe_log_dirs(
        &mut self,
        waiter: Waiter,
        request: DescribeLogDirsRequest,
        out: &mut Outbox,
    ) {
        let asked: Option<Set<(Str, i32)>> = request.topics.map(|topics| {
            let partitions = topics.into_iter().map(|topic| (topic.topic, topic.partitions));
            partitions.flat_map(|(topic, all)| all.into_iter().map(move |it| (topic.clone(), it))).collect()
        });
        let online = self.online_dirs();
        let cordoned = self.config.cordoned_dirs(&self.image);
        let has_cordons = self.image.feature(METADATA_VERSION) >= CORDONED_DIRECTORIES;
        let dirs = self.config.log_dirs.iter().enumerate();
        let results = dirs.filter_map(|(index, path)| Some((DirId(u16::try_from(index).ok()?), path)));
        let results = results.map(|(dir, path)| {
            let mut result = DescribeLogDirsResult { log_dir: path.clone(), ..DescribeLogDirsResult::default() };
            if online.contains(&dir) {
                result.topics = self.logs_in(dir, asked.as_ref());
                result.is_cordoned = has_cordons && cordoned.contains(&dir);
            } else {
                result.error_code = ErrorCode::KafkaStorageError.code();
            }
            result
        });
        let response = DescribeLogDirsResponse { results: results.collect(), ..DescribeLogDirsResponse::default() };
        self.answer(waiter, ResponseBody::DescribeLogDirs(response), out);
    }

    fn logs_in(&self, dir: DirId, asked: Option<&Set<(Str, i32)>>) -> Vec<DescribeLogDirsTopic> {
        let mut topics: Map<Str, Vec<DescribeLogDirsPartition>> = Map::new();
        for partition in self.partitions.iter() {
            let is_future = partition.future().is_some_and(|future| future.dir == dir);
            if partition.dir != dir && !is_future {
                continue;
            }
            let name = (partition.topic.clone(), partition.key.partition);
            let found = if is_future { partition.future_size_and_lag() } else { partition.size_and_lag() };
            let Some((size, lag)) = found else { continue };
            if asked.is_some_and(|asked| !asked.contains(&name)) {
                continue;
            }
            topics.entry(name.0).or_default().push(DescribeLogDirsPartition {
                partition_index: name.1,
                partition_size: i64::try_from(size).unwrap_or(i64::MAX),
                offset_lag: lag,
                is_future_key: is_future,
            });
        }
        topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name, partitions }).collect()
    }
}
