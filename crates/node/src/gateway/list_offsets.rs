//! ListOffsets, versions 1 to 11: an offset by what is known of it.
//!
//! - Earliest (-2), latest (-1: the high watermark or the last stable offset; the log end for the debugging replica -2),
//!   the greatest timestamp (-3, KIP-734), earliest local (-4, KIP-405), latest tiered (-5, KIP-1005), earliest pending
//!   upload (-6, KIP-1023), or the first record at or after a timestamp. Without tiered storage -4 is the log start and
//!   -5 and -6 are -1 without an error, as from Kafka.
//! - Timestamps are looked up by the store. Epochs fence as in Fetch.
//! - A new leader answers OFFSET_NOT_AVAILABLE until all that it took over is committed (KIP-207).

use ordered::{Map, Set};

use protocol::messages::list_offsets_request::ListOffsetsPartition;
use protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use protocol::{ErrorCode, LeaderEpoch, Offset, ResponseBody};
use storage::{Done, StoreError, TimestampOffset};

use crate::deferred::{Pending, RequestId, Waiter};
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::Outbox;
use crate::partition::{Bound, PartitionKey, Position};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
/// A consumer.
const CONSUMER: i32 = -1;
/// A tool that wants to see the log end.
const DEBUGGING: i32 = -2;

/// A request whose timestamps the store is looking up.
#[derive(Clone, Debug)]
pub(crate) struct PendingLookups {
    pub(crate) waiter: Waiter,
    response: ListOffsetsResponse,
    /// By number of the lookup: the topic's and the partition's place in the answer.
    outstanding: Map<u32, (usize, usize)>,
}

impl Node {
    pub(crate) fn handle_list_offsets(&mut self, waiter: Waiter, request: ListOffsetsRequest, out: &mut Outbox) {
        let id = self.deferred.number();
        let duplicates = duplicates(&request);
        let mut lookups = Vec::new();
        let mut pending = PendingLookups { waiter, response: ListOffsetsResponse::default(), outstanding: Map::new() };
        for (topic_index, topic) in request.topics.into_iter().enumerate() {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (partition_index, asked) in topic.partitions.iter().enumerate() {
                let answer = if duplicates.contains(&(topic.name.clone(), asked.partition_index)) {
                    Err(ErrorCode::InvalidRequest)
                } else if !is_supported(asked.timestamp, waiter.version) {
                    Err(ErrorCode::UnsupportedVersion)
                } else {
                    self.look_up(&topic.name, asked, request.replica_id, request.isolation_level)
                };
                let answer = match answer {
                    // A code that clients know since version 5.
                    Err(ErrorCode::OffsetNotAvailable) if waiter.version < 5 => Err(ErrorCode::LeaderNotAvailable),
                    other => other,
                };
                let mut response = ListOffsetsPartitionResponse {
                    partition_index: asked.partition_index,
                    timestamp: -1,
                    offset: -1,
                    ..ListOffsetsPartitionResponse::default()
                };
                match answer {
                    Ok(Position::Known(position)) => fill(&mut response, position, waiter.version),
                    Ok(Position::Lookup(log, op)) => {
                        let number = lookups.len() as u32;
                        pending.outstanding.insert(number, (topic_index, partition_index));
                        lookups.push((number, log, op));
                    }
                    Err(error) => response.error_code = error.code(),
                }
                partitions.push(response);
            }
            pending.response.topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
        }
        if lookups.is_empty() {
            return self.answer(waiter, ResponseBody::ListOffsets(pending.response), out);
        }
        self.deferred.hold(id, Pending::ListOffsets(pending));
        for (number, log, op) in lookups {
            self.ops.start(Purpose::Find(log, id, number), op, out);
        }
    }

    fn look_up(
        &self,
        topic: &str,
        asked: &ListOffsetsPartition,
        replica_id: i32,
        isolation_level: i8,
    ) -> Result<Position, ErrorCode> {
        let topic = self.image.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        topic.partitions.get(&asked.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let key = PartitionKey { topic_id: topic.id, partition: asked.partition_index };
        let partition = self.partitions.get(&key).ok_or(ErrorCode::NotLeaderOrFollower)?;
        partition.check_leader_epoch(asked.current_leader_epoch)?;
        if replica_id != DEBUGGING {
            partition.check_leading()?;
        }
        let bound = bound_of(replica_id, isolation_level);
        // A client's: replicas and tools look at the log's end.
        let caught_up = if replica_id == CONSUMER { partition.check_caught_up() } else { Ok(()) };
        let at =
            |offset, leader_epoch| Ok(Position::Known(Some(TimestampOffset { timestamp: -1, offset, leader_epoch })));
        match asked.timestamp {
            LATEST => caught_up.and_then(|()| at(partition.bound(bound)?, partition.leader_epoch)),
            EARLIEST | EARLIEST_LOCAL => at(partition.log_start(), partition.epoch_of(partition.log_start())),
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => at(Offset(-1), LeaderEpoch::NONE),
            MAX_TIMESTAMP => partition.newest(bound),
            // That there is none below the bound is not certain before it is the log's end (KIP-207).
            timestamp => match partition.first_at(timestamp, bound)? {
                Position::Known(None) => caught_up.map(|()| Position::Known(None)),
                found => Ok(found),
            },
        }
    }

    /// The store has looked up one timestamp.
    pub(crate) fn found_for_list_offsets(
        &mut self,
        id: RequestId,
        number: u32,
        found: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        let Some(Pending::ListOffsets(pending)) = self.deferred.pending_mut(id) else { return };
        let Some((topic, partition)) = pending.outstanding.remove(&number) else { return };
        let version = pending.waiter.version;
        let answer = &mut pending.response.topics[topic].partitions[partition];
        match found {
            Ok(Done::FoundTimestamp(found)) => fill(answer, found, version),
            // Its files were deleted meanwhile: there is no such record any more.
            Ok(_) | Err(StoreError::Missing) => {}
            Err(_) => answer.error_code = ErrorCode::KafkaStorageError.code(),
        }
        if pending.outstanding.is_empty()
            && let Some(Pending::ListOffsets(pending)) = self.deferred.take(id)
        {
            self.answer(pending.waiter, ResponseBody::ListOffsets(pending.response), out);
        }
    }
}

fn fill(response: &mut ListOffsetsPartitionResponse, position: Option<TimestampOffset>, version: i16) {
    let Some(position) = position else { return };
    (response.timestamp, response.offset) = (position.timestamp, position.offset.0);
    if version >= 4 {
        response.leader_epoch = position.leader_epoch.0;
    }
}

fn bound_of(replica_id: i32, isolation_level: i8) -> Bound {
    match replica_id {
        CONSUMER if isolation_level == 1 => Bound::LastStable,
        CONSUMER => Bound::HighWatermark,
        _ => Bound::LogEnd,
    }
}

/// Each special timestamp came with a version of its own; a negative one that is none of them never.
fn is_supported(timestamp: i64, version: i16) -> bool {
    let since = match timestamp {
        LATEST | EARLIEST => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        0.. => 1,
        _ => return false,
    };
    version >= since
}

fn duplicates(request: &ListOffsetsRequest) -> Set<(protocol::Str, i32)> {
    let mut seen = Set::new();
    let mut duplicates = Set::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            if !seen.insert(key.clone()) {
                duplicates.insert(key);
            }
        }
    }
    duplicates
}
