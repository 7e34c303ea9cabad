//! DescribeLogDirs, versions 1 to 5 (KIP-113, KIP-827, KIP-1066): which logs are in which directory, how large they are, and
//! how much room there is.
//!
//! - A replica on its way to another directory is named in both.

use ordered::{Map, Set};

use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use protocol::{ErrorCode, ResponseBody, Str};
use quorum::{CORDONED_DIRECTORIES, METADATA_VERSION};
use storage::{DirId, Done, Space, StoreError, StoreOp};

use crate::deferred::{Pending, RequestId, Waiter};
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::Outbox;

/// From this version on the answer says how much room there is (KIP-827).
const FIRST_WITH_SPACE: i16 = 4;

/// A request that waits until all directories are measured.
#[derive(Clone, Debug)]
pub(crate) struct PendingLogDirs {
    pub(crate) waiter: Waiter,
    asked: Option<Set<(Str, i32)>>,
    /// Of those that were measured so far; `None` where there is no end to the room.
    spaces: Map<DirId, Option<Space>>,
    outstanding: usize,
}

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
        let mut pending = PendingLogDirs { waiter, asked, spaces: Map::new(), outstanding: 0 };
        if waiter.version < FIRST_WITH_SPACE {
            return self.describe_log_dirs(&pending, out);
        }
        let id = self.deferred.number();
        for dir in self.replica_dirs() {
            self.ops.start(Purpose::Measure(dir, id), StoreOp::Measure(dir), out);
            pending.outstanding += 1;
        }
        self.deferred.hold(id, Pending::LogDirs(pending));
    }

    /// How much room there is in a directory, or that it could not be found out.
    pub(crate) fn directory_measured(
        &mut self,
        id: RequestId,
        dir: DirId,
        result: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        let Some(Pending::LogDirs(pending)) = self.deferred.pending_mut(id) else { return };
        pending.outstanding -= 1;
        match result {
            Ok(Done::Measured(space)) => {
                pending.spaces.insert(dir, space);
            }
            Ok(other) => panic!("a measurement was answered with {other:?}"),
            // The directory is told of as one that cannot be described.
            Err(_) => {}
        }
        if pending.outstanding == 0
            && let Some(Pending::LogDirs(pending)) = self.deferred.take(id)
        {
            self.describe_log_dirs(&pending, out);
        }
    }

    fn describe_log_dirs(&mut self, pending: &PendingLogDirs, out: &mut Outbox) {
        let online = self.replica_dirs();
        let cordoned = self.config.cordoned_dirs(&self.image);
        let has_cordons = self.image.feature(METADATA_VERSION) >= CORDONED_DIRECTORIES;
        let dirs = self.config.log_dirs.iter().take(self.config.replica_dirs).enumerate();
        let results = dirs.filter_map(|(index, path)| Some((DirId(u16::try_from(index).ok()?), path)));
        let results = results.map(|(dir, path)| {
            let mut result = DescribeLogDirsResult { log_dir: path.clone(), ..DescribeLogDirsResult::default() };
            let is_measured = pending.waiter.version < FIRST_WITH_SPACE || pending.spaces.contains_key(&dir);
            if online.contains(&dir) && is_measured {
                result.topics = self.logs_in(dir, pending.asked.as_ref());
                result.is_cordoned = has_cordons && cordoned.contains(&dir);
                if let Some(Some(space)) = pending.spaces.get(&dir) {
                    let bytes = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
                    (result.total_bytes, result.usable_bytes) = (bytes(space.total), bytes(space.usable));
                }
            } else {
                result.error_code = ErrorCode::KafkaStorageError.code();
            }
            result
        });
        let response = DescribeLogDirsResponse { results: results.collect(), ..DescribeLogDirsResponse::default() };
        self.answer(pending.waiter, ResponseBody::DescribeLogDirs(response), out);
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
