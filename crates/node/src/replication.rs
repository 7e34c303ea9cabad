//! Replication as the node carries it: fetchers' requests and answers on the way to logs, and followers' fetches on the way to
//! high watermarks.

use protocol::messages::fetch_request::ReplicaState;
use protocol::messages::fetch_response::PartitionData;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{FetchResponse, ListOffsetsRequest};
use protocol::records::{self, Batches, CheckRules, Records};
use protocol::{ErrorCode, LeaderEpoch, NodeId, Now, Offset, RequestBody, ResponseBody};
use storage::{Done, LogId, StoreError};

use crate::config::Past;
use crate::event::Event;
use crate::gateway::session::FetchParams;
use crate::lifecycle::Phase;
use crate::node::Node;
use crate::outbox::{CallError, Outbox};
use crate::partition::{FetchPosition, Partition, PartitionKey, ReplicaFetch, Sight, place_error};
use crate::peers::{Endpoint, Purpose};
use crate::throttle::Side;
use crate::timers::WakeReason;

/// The timestamps by which ListOffsets means an end of the log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// What is asked of a leader whose log does not hold what its follower wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndQuery {
    pub(crate) leader: NodeId,
    pub(crate) key: PartitionKey,
    /// The question is moot in another.
    leader_epoch: LeaderEpoch,
    /// Where it ends, or else where it begins.
    is_latest: bool,
}

impl Node {
    /// Follows whom the metadata says, from a log that is ready. True epochs and answers of an old one never meet: what was
    /// asked before is forgotten.
    pub(crate) fn refollow(&mut self, key: PartitionKey) {
        let leader = self.partitions.get(&key).and_then(Partition::followed);
        if leader.is_some() || self.fetchers.leader_of(&key).is_some() {
            self.fetchers.follow(key, leader);
        }
    }

    /// Sends the fetches that can leave.
    pub(crate) fn send_fetches(&mut self, now: Now, out: &mut Outbox) {
        while let Some(leader) = self.fetchers.pop_ready() {
            if !self.may_fetch() {
                continue;
            }
            if self.fetchers.drop_idle(leader) {
                self.peers.give_up(|purpose| *purpose == Purpose::Fetcher(leader), out);
                self.arm_fetcher(leader);
                continue;
            }
            let Some(endpoint) = self.broker_endpoint(leader) else {
                self.fetchers.unreachable(now.mono, leader, self.config.replication.fetch_backoff_ms);
                self.arm_fetcher(leader);
                continue;
            };
            if self.config.past == Past::HighWatermarkTruncation {
                for partition in self.partitions.iter_mut().filter(|it| it.followed() == Some(leader)) {
                    partition.cut_to_high_watermark(&mut self.ops, out);
                }
            }
            let config = &self.config.replication;
            let me = ReplicaState { replica_id: self.config.node_id.0, replica_epoch: self.life.broker_epoch() };
            let is_throttled = self.is_throttled(Side::Follower);
            let partitions = &self.partitions;
            let mut gate = self.throttles.held_back(&self.config, &self.image, Side::Follower, now.mono);
            let mut held_back = Vec::new();
            let position = |key: &PartitionKey, has_caught_up: bool| {
                let partition = partitions.get(key)?;
                let position = partition.fetch_position()?;
                if !has_caught_up
                    && let Some((named, until)) = &mut gate
                    && named.contains(&partition.topic, key.partition)
                {
                    held_back.push((*key, *until));
                    return None;
                }
                Some(position)
            };
            let request = self.fetchers.next_request(now.mono, leader, me, is_throttled, config, position);
            for (key, until) in held_back {
                self.fetchers.hold_back(key, until);
            }
            if let Some(request) = request {
                let timeout_ms = i64::from(config.socket_timeout_ms);
                self.peers.call(Purpose::Fetcher(leader), &endpoint, RequestBody::Fetch(request), timeout_ms, out);
            }
            self.arm_fetcher(leader);
        }
    }

    /// What is fetched before and after has no place: a stop marks as clean what is on disk by then.
    fn may_fetch(&self) -> bool {
        matches!(self.life.phase(), Phase::Mounting | Phase::Unfencing | Phase::Serving | Phase::Leaving)
    }

    /// A broker has registered anew: a call to the process before it would be given up by its timeout only.
    pub(crate) fn leader_restarted(&mut self, leader: NodeId, out: &mut Outbox) {
        self.peers.give_up(|purpose| *purpose == Purpose::Fetcher(leader), out);
        self.fetchers.restarted(leader);
    }

    fn arm_fetcher(&mut self, leader: NodeId) {
        match self.fetchers.retry_at(leader) {
            Some(at) => self.timers.arm(WakeReason::Fetcher(leader), at),
            None => self.timers.disarm(WakeReason::Fetcher(leader)),
        }
    }

    /// Where another broker listens for brokers.
    fn broker_endpoint(&self, id: NodeId) -> Option<Endpoint> {
        let endpoint = self.image.broker(id)?.endpoints.get(&self.config.inter_broker_listener_name)?;
        Some(Endpoint { node: id, host: endpoint.host.clone(), port: endpoint.port })
    }

    /// A leader has answered a fetch, or has not.
    pub(crate) fn fetch_answered(
        &mut self,
        now: Now,
        leader: NodeId,
        result: Result<ResponseBody, CallError>,
        out: &mut Outbox,
    ) {
        if !self.may_fetch() {
            return;
        }
        let most_ms = self.config.replication.fetch_backoff_ms;
        if matches!(result, Err(CallError::Refused | CallError::Reset)) {
            self.fetchers.broke(now.mono, leader);
        }
        let Ok(ResponseBody::Fetch(response)) = result else {
            self.fetchers.failed(now.mono, leader, most_ms);
            return self.arm_fetcher(leader);
        };
        let was_in_doubt = self.fetchers.in_doubt_until(leader).is_some();
        let is_good = self.fetchers.answered(now.mono, leader, &response, most_ms);
        if was_in_doubt {
            self.tell_all(now, out);
        }
        if !is_good {
            return;
        }
        let FetchResponse { responses, .. } = response;
        let mut copied = Vec::new();
        for topic in responses {
            for data in topic.partitions {
                let key = PartitionKey { topic_id: topic.topic_id, partition: data.partition_index };
                self.fetched(now, leader, key, data, &mut copied, out);
            }
        }
        self.replicated(Side::Follower, now.mono, &copied);
    }

    /// One partition of an answer, and how much of it was copied.
    fn fetched(
        &mut self,
        now: Now,
        leader: NodeId,
        key: PartitionKey,
        data: PartitionData,
        copied: &mut Vec<(PartitionKey, u64)>,
        out: &mut Outbox,
    ) {
        // An answer to what was asked for in another epoch, or of a log that was cut meanwhile, says nothing.
        let Some(told) = self.fetchers.told(leader, &key) else { return };
        let is_asked = |now: FetchPosition| (now.offset, now.leader_epoch) == (told.offset, told.leader_epoch);
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        if !partition.fetch_position().is_some_and(is_asked) {
            return;
        }
        match ErrorCode::from_code(data.error_code) {
            ErrorCode::None => {}
            ErrorCode::OffsetOutOfRange => {
                let query = EndQuery { leader, key, leader_epoch: told.leader_epoch, is_latest: true };
                return self.ask_end(now, query, out);
            }
            // Its metadata or ours are old, its log is not ready, its disk failed: another try, or other metadata before that.
            _ => return self.fetchers.hold(key, now.mono, self.config.replication.fetch_backoff_ms),
        }
        if data.diverging_epoch.epoch >= 0 {
            let end = Offset(data.diverging_epoch.end_offset.max(0));
            partition.diverged(LeaderEpoch(data.diverging_epoch.epoch), end, &mut self.ops, out);
            self.fetchers.accepted(&key, false);
            // The session lets go of it until the log is cut.
            return self.fetchers.settled(key);
        }
        let mut bytes = 0;
        let appended = match batches_of(data.records, &*self.compressors) {
            Ok(batches) if batches.is_empty() => Ok(false),
            Ok(batches) => {
                bytes = batches.bytes() as u64;
                match partition.append_replica(now, batches, &mut self.ops, out) {
                    Ok(()) => Ok(true),
                    Err(error) => Err(place_error(&partition.topic, key.partition, &error)),
                }
            }
            Err(error) => Err(error),
        };
        match appended {
            Ok(is_any) => {
                self.fetchers.accepted(&key, partition.log_end() >= Offset(data.high_watermark));
                if is_any {
                    self.fetchers.writes(key);
                }
            }
            Err(error) => {
                let (topic, from) = (partition.topic.clone(), leader.0);
                out.emit(|| Event::Warning {
                    what: format!("{topic}-{}: what node {from} sent cannot be appended: {error}", key.partition),
                });
                return self.fetchers.hold(key, now.mono, self.config.replication.fetch_backoff_ms);
            }
        }
        let (log, dir) = (partition.log, partition.dir);
        let start_moved = partition.told_by_leader(data.high_watermark, data.log_start_offset, &mut self.ops, out);
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let visible = partition.reveal(sight);
        self.revealed_in(log, visible, out);
        if bytes > 0 {
            copied.push((key, bytes));
        }
        if start_moved {
            self.watch.changed(key);
            self.write_log_starts(dir, None, out);
            // The next request tells the leader, even if nothing came with this answer.
            self.fetchers.moved(key);
        }
    }

    /// The leader does not have what this log wants next: where does its own begin or end?
    fn ask_end(&mut self, now: Now, query: EndQuery, out: &mut Outbox) {
        let name = self.partitions.get(&query.key).map(|it| it.topic.clone());
        let (Some(name), Some(endpoint)) = (name, self.broker_endpoint(query.leader)) else {
            return self.fetchers.hold(query.key, now.mono, self.config.replication.fetch_backoff_ms);
        };
        let partition = ListOffsetsPartition {
            partition_index: query.key.partition,
            current_leader_epoch: query.leader_epoch.0,
            timestamp: if query.is_latest { LATEST } else { EARLIEST },
        };
        let request = ListOffsetsRequest {
            replica_id: self.config.node_id.0,
            topics: vec![ListOffsetsTopic { name, partitions: vec![partition] }],
            ..ListOffsetsRequest::default()
        };
        self.fetchers.ask(query.key);
        let timeout_ms = i64::from(self.config.replication.socket_timeout_ms);
        self.peers.call(Purpose::LogEnd(query), &endpoint, RequestBody::ListOffsets(request), timeout_ms, out);
    }

    /// The leader has said where its log begins or ends, or has not.
    pub(crate) fn end_answered(
        &mut self,
        now: Now,
        query: EndQuery,
        result: Result<ResponseBody, CallError>,
        out: &mut Outbox,
    ) {
        if !self.may_fetch() {
            return;
        }
        let Some(partition) = self.partitions.get_mut(&query.key) else { return };
        if partition.followed() != Some(query.leader) || partition.leader_epoch != query.leader_epoch {
            return;
        }
        let answer = match &result {
            Ok(ResponseBody::ListOffsets(response)) => response.topics.iter().flat_map(|it| &it.partitions).next(),
            _ => None,
        };
        let offset = answer.filter(|it| it.error_code == ErrorCode::None.code()).map(|it| Offset(it.offset));
        let (Some(offset), Some(position)) = (offset.filter(|it| *it >= Offset(0)), partition.fetch_position()) else {
            return self.fetchers.hold(query.key, now.mono, self.config.replication.fetch_backoff_ms);
        };
        let (name, own_end) = (partition.topic.clone(), position.offset);
        match query.is_latest {
            // It ends before ours: it was elected without having all of it.
            true if offset < own_end => partition.truncate(offset, &mut self.ops, out),
            true => return self.ask_end(now, EndQuery { is_latest: false, ..query }, out),
            // It begins after ours ends: nothing of ours is left there.
            false if offset > own_end => {
                out.emit(|| Event::Warning {
                    what: format!(
                        "{name}-{}: begins anew at {offset}, where the leader's log begins; this one ended at {own_end}",
                        query.key.partition
                    ),
                });
                partition.truncate(offset, &mut self.ops, out);
            }
            // Between the two questions the log has come to hold it.
            false => {}
        }
        self.fetchers.asked(query.key);
    }

    /// A follower's log was cut, or its directory has failed.
    pub(crate) fn log_cut(&mut self, now: Now, log: LogId, result: Result<Done, StoreError>, out: &mut Outbox) {
        match result {
            Ok(Done::Truncated(shape)) => {
                let sight =
                    Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
                let Some((key, partition)) = self.partitions.by_log_mut(log) else { return };
                let visible = partition.truncated(sight, *shape, &mut self.ops, out);
                let dir = partition.dir;
                // Elected meanwhile, it can lead from now on.
                self.groups.touch(&partition.topic, key);
                self.fetchers.settled(key);
                self.watch.changed(key);
                self.write_log_starts(dir, None, out);
                self.revealed_in(log, visible, out);
            }
            Ok(other) => panic!("a cut was answered with {other:?}"),
            Err(error) => self.storage_failed(now, log, &error, out),
        }
    }

    /// Takes note of a follower's fetch of one partition: high watermark and ISR may follow.
    pub(crate) fn replica_fetched(
        &mut self,
        now: Now,
        key: PartitionKey,
        fetch: &ReplicaFetch,
        params: &FetchParams,
        out: &mut Outbox,
    ) {
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        if !partition.follower_fetched(sight, fetch, params) {
            return;
        }
        if let Some(proposal) = partition.expanded_isr(sight, fetch.replica) {
            self.isr_proposals.add(proposal);
        }
        let (log, visible, has_deletes) = (partition.log, partition.reveal(sight), partition.has_parked_deletes());
        if visible > 0 || has_deletes {
            self.revealed_in(log, visible, out);
        }
    }
}

/// The batches of an answer. The host has checked them; what it left out is checked here. Whether they have a place in the
/// log, which may begin within the first, the log says.
fn batches_of(records: Option<Records>, compressors: &dyn records::Compressors) -> Result<Batches, String> {
    match records {
        Some(Records::Batches(batches)) => Ok(batches),
        Some(Records::Bytes(bytes)) => {
            records::check(bytes, &CheckRules::replica(Offset(0)), compressors).map_err(|error| error.to_string())
        }
        Some(Records::Refused(_, error)) => Err(error.to_string()),
        Some(Records::Regions(_)) => Err("an answer names bytes instead of bringing them".to_owned()),
        None => Ok(Batches::default()),
    }
}
