//! Fetch, versions 4 to 18: reads of consumers and of replicas.
//!
//! - KIP-227 sessions, KIP-320 fencing by leader epoch, KIP-595 divergence, KIP-516 topic ids, KIP-951 leader hints.
//! - An answer names bytes of the log as regions; who sends it resolves them. A read that the log's tail index knows is
//!   planned here, an older one is looked up by the store first.
//! - A fetch that finds less than `min_bytes` waits in [`crate::watch`] and is read again when enough was written.
//! - A replica's fetch acknowledges all below its offset: that is noted before the answer is put together, so the answer
//!   tells the high watermark it brought about. It is known by its broker epoch too (KIP-903).
//! - KIP-73: a replica that is not in sync gets nothing while its throttle is exceeded ([`crate::throttle`]).
//! - KIP-392: since version 11 a consumer may read at followers; with RackAwareReplicaSelector a leader sends it to one.

use ordered::Map;

use protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use protocol::messages::{FetchRequest, FetchResponse};
use protocol::records::Records;
use protocol::{ErrorCode, Instant, NodeId, Now, Region, ResponseBody, Str};
use storage::{Done, LogId, StoreOp};

use super::session::{FetchKey, FetchParams, Kind, Merged, Told};
use crate::config::Past;
use crate::deferred::{Pending, RequestId, Waiter};
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::Outbox;
use crate::partition::{Data, Isolation, PartitionKey, ReadRange, ReplicaFetch, Sight};
use crate::throttle::Side;
use crate::timers::WakeReason;
use crate::watch::Reader;

/// A fetch that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct PendingFetch {
    pub(crate) waiter: Waiter,
    merged: Merged,
    isolation: Isolation,
    replica: Option<ReplicaFetch>,
    /// Where the consumer is; empty if it does not say.
    rack: Str,
    min_bytes: u64,
    max_bytes: u64,
    /// Answers so far and the lookups that are still missing, while the store looks up old offsets.
    lookups: Option<Lookups>,
}

#[derive(Clone, Debug)]
struct Lookups {
    answers: Vec<PartitionData>,
    /// By the partition's place: the most bytes it may bring, `None` for the first that must bring some.
    outstanding: Map<u32, Option<u64>>,
}

/// What one pass over a fetch's partitions found.
struct Pass {
    answers: Vec<PartitionData>,
    lookups: Vec<(u32, Option<u64>, LogId, StoreOp)>,
    bytes: u64,
    /// An error or a divergence: there is nothing to wait for.
    is_urgent: bool,
    /// What can be waited for.
    readable: Vec<PartitionKey>,
    /// Some replicas are throttled until then.
    held_until: Option<Instant>,
}

impl Node {
    pub(crate) fn handle_fetch(&mut self, now: Now, waiter: Waiter, request: FetchRequest, out: &mut Outbox) {
        let replica = if waiter.version >= 15 { request.replica_state.replica_id } else { request.replica_id };
        let (mut asked, forgotten) = asked_of(waiter.version, &request);
        if self.config.past == Past::UnvalidatedFetches {
            for (_, params) in &mut asked {
                params.current_leader_epoch = -1;
                if replica < 0 {
                    params.last_fetched_epoch = -1;
                }
            }
        }
        let merged = self.sessions.merge(
            now.mono,
            request.session_id,
            request.session_epoch,
            waiter.version >= 13,
            asked,
            &forgotten,
        );
        let merged = match merged {
            Ok(merged) => merged,
            Err(error) => {
                let response = FetchResponse { error_code: error.code(), ..FetchResponse::default() };
                return self.answer(waiter, ResponseBody::Fetch(response), out);
            }
        };
        let broker_epoch = if waiter.version >= 15 { request.replica_state.replica_epoch } else { -1 };
        let isolation = match (replica, request.isolation_level) {
            (0.., _) => Isolation::LogEnd,
            (_, 1) => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        };
        let max_bytes = u64::try_from(request.max_bytes.min(self.config.fetch_max_bytes)).unwrap_or_default();
        let fetch = PendingFetch {
            waiter,
            merged,
            isolation,
            replica: (replica >= 0).then_some(ReplicaFetch { replica: NodeId(replica), broker_epoch }),
            rack: request.rack_id,
            min_bytes: u64::try_from(request.min_bytes).unwrap_or_default().min(max_bytes),
            max_bytes,
            lookups: None,
        };
        self.note_replica(now, &fetch, out);
        let pass = self.read_all(now, &fetch);
        let can_wait = request.max_wait_ms > 0 && (!pass.readable.is_empty() || pass.held_until.is_some());
        if !can_wait || pass.is_urgent || pass.bytes >= fetch.min_bytes {
            return self.conclude(now, fetch, pass, out);
        }
        let id = self.deferred.number();
        let max_ms = i64::from(request.max_wait_ms);
        let (reader, wait_ms) = match fetch.replica {
            Some(_) => (Reader::Replica, self.watch.replica_wait_ms(now.mono, max_ms)),
            None => (Reader::Consumer, max_ms),
        };
        let until = now.mono.plus_ms(wait_ms);
        self.timers.arm(WakeReason::FetchWait(id), pass.held_until.map_or(until, |at| at.min(until)));
        self.watch.add(id, reader, fetch.min_bytes - pass.bytes, pass.readable);
        self.deferred.hold(id, Pending::Fetch(fetch));
    }

    /// Answers a fetch that waited: it has enough, its time is over, or a partition of it changed.
    pub(crate) fn wake_fetch(&mut self, now: Now, id: RequestId, out: &mut Outbox) {
        let Some(Pending::Fetch(fetch)) = self.deferred.take(id) else { return };
        self.watch.remove(id);
        self.timers.disarm(WakeReason::FetchWait(id));
        let pass = self.read_all(now, &fetch);
        self.conclude(now, fetch, pass, out);
    }

    /// The store has looked up one partition of a fetch.
    pub(crate) fn found_for_fetch(
        &mut self,
        now: Now,
        id: RequestId,
        slot: u32,
        found: Result<Done, storage::StoreError>,
        out: &mut Outbox,
    ) {
        let Some(Pending::Fetch(fetch)) = self.deferred.pending_mut(id) else { return };
        let Some(lookups) = &mut fetch.lookups else { return };
        let Some(limit) = lookups.outstanding.remove(&slot) else { return };
        if let Some(answer) = lookups.answers.get_mut(slot as usize) {
            match found {
                Ok(Done::Found(regions)) => {
                    let bytes = regions.iter().map(|region| u64::from(region.len)).sum::<u64>();
                    if limit.is_none_or(|limit| bytes <= limit) {
                        answer.records = Some(records_of(regions));
                    }
                }
                // The segment was deleted meanwhile: the client asks again and learns the new log start.
                Ok(_) | Err(storage::StoreError::Missing) => {}
                Err(_) => *answer = error_answer(answer.partition_index, storage_error(fetch.waiter.version)),
            }
        }
        if lookups.outstanding.is_empty()
            && let Some(Pending::Fetch(mut fetch)) = self.deferred.take(id)
            && let Some(lookups) = fetch.lookups.take()
        {
            self.finish_fetch(now.mono, fetch, lookups.answers, out);
        }
    }

    /// Sends what a pass found, after the store has looked up what the pass could not.
    fn conclude(&mut self, now: Now, mut fetch: PendingFetch, pass: Pass, out: &mut Outbox) {
        if pass.lookups.is_empty() {
            return self.finish_fetch(now.mono, fetch, pass.answers, out);
        }
        let id = self.deferred.number();
        let outstanding = pass.lookups.iter().map(|(slot, limit, ..)| (*slot, *limit)).collect();
        fetch.lookups = Some(Lookups { answers: pass.answers, outstanding });
        self.deferred.hold(id, Pending::Fetch(fetch));
        for (slot, _, log, op) in pass.lookups {
            self.ops.start(Purpose::Find(log, id, slot), op, out);
        }
    }

    /// What a replica has written, as its fetch says.
    fn note_replica(&mut self, now: Now, fetch: &PendingFetch, out: &mut Outbox) {
        let Some(replica) = &fetch.replica else { return };
        for (key, params) in &fetch.merged.partitions {
            if let Ok(key) = self.known(fetch.waiter.version, key) {
                self.replica_fetched(now, key, replica, params, out);
            }
        }
    }

    fn read_all(&self, now: Now, fetch: &PendingFetch) -> Pass {
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let listener = self.connections.get(&fetch.waiter.conn).map(|peer| &*peer.listener).unwrap_or_default();
        // Consumers that know of racks may read at followers.
        let only_leader = fetch.replica.is_some() || fetch.waiter.version < 11;
        let mut pass = Pass {
            answers: Vec::new(),
            lookups: Vec::new(),
            bytes: 0,
            is_urgent: false,
            readable: Vec::new(),
            held_until: None,
        };
        let mut gate = match &fetch.replica {
            Some(_) => self.throttles.held_back(&self.config, &self.image, Side::Leader, now.mono),
            None => None,
        };
        let mut budget = fetch.max_bytes;
        for (slot, (key, params)) in fetch.merged.partitions.iter().enumerate() {
            let partition_key = match self.known(fetch.waiter.version, key) {
                Ok(partition_key) => partition_key,
                Err(error) => {
                    // Kafka lets a fetch wait for its other partitions when one is unknown.
                    pass.answers.push(error_answer(key.partition, error));
                    continue;
                }
            };
            let range = ReadRange {
                offset: params.offset,
                isolation: fetch.isolation,
                max_bytes: u64::try_from(params.max_bytes).unwrap_or_default().min(budget),
                at_least_one: pass.bytes == 0 && pass.lookups.is_empty(),
                current_leader_epoch: params.current_leader_epoch,
                last_fetched_epoch: params.last_fetched_epoch,
            };
            let Some(partition) = self.partitions.get(&partition_key) else {
                pass.is_urgent = true;
                pass.readable.push(partition_key);
                pass.answers.push(self.refused_answer(fetch.waiter.version, key, ErrorCode::NotLeaderOrFollower));
                continue;
            };
            let allowed = match &fetch.replica {
                Some(replica) => partition.check_follower(replica, params.current_leader_epoch, sight),
                None => Ok(()),
            };
            let preferred = (self.config.replication.rack_aware && fetch.replica.is_none())
                .then(|| partition.preferred_replica(sight, &fetch.rack, params.offset, listener))
                .flatten();
            // Of replicas, as in Kafka, only one that is not in sync is held back.
            let mut is_held = false;
            if let (Some((named, until)), Some(it)) = (&mut gate, &fetch.replica)
                && !partition.isr().contains(&it.replica)
                && named.contains(&partition.topic, key.partition)
            {
                pass.held_until = Some(*until);
                is_held = true;
            }
            // Who is sent elsewhere or held back reads nothing here.
            let reads = preferred.is_none() && !is_held;
            let max_bytes = if reads { range.max_bytes } else { 0 };
            let range = ReadRange { max_bytes, at_least_one: range.at_least_one && reads, ..range };
            let read = allowed.and_then(|()| partition.read(&range, only_leader));
            // What is appended meanwhile does not end the wait of who is held back.
            if !is_held {
                pass.readable.push(partition_key);
            }
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    pass.is_urgent = true;
                    pass.answers.push(self.refused_answer(fetch.waiter.version, key, error));
                    continue;
                }
            };
            let mut answer = PartitionData {
                partition_index: key.partition,
                high_watermark: read.high_watermark.0,
                last_stable_offset: read.last_stable_offset.0,
                log_start_offset: read.log_start.0,
                aborted_transactions: read.aborted.map(|aborted| {
                    let aborted = aborted.into_iter();
                    aborted
                        .map(|(producer, first)| AbortedTransaction { producer_id: producer.0, first_offset: first.0 })
                        .collect()
                }),
                records: Some(Records::default()),
                ..PartitionData::default()
            };
            if let Some(preferred) = preferred {
                pass.is_urgent = true;
                answer.preferred_read_replica = preferred.0;
            }
            match read.data {
                Data::Diverging { epoch, end } => {
                    pass.is_urgent = true;
                    answer.diverging_epoch = EpochEndOffset { epoch: epoch.0, end_offset: end.0 };
                }
                Data::Tail { regions, bytes } => {
                    budget = budget.saturating_sub(bytes);
                    pass.bytes += bytes;
                    answer.records = Some(records_of(regions));
                }
                Data::Old { op } => {
                    // How much the store finds is not known yet, so it is taken for all it may find.
                    budget = budget.saturating_sub(range.max_bytes);
                    pass.is_urgent = true;
                    let limit = (!range.at_least_one).then_some(range.max_bytes);
                    pass.lookups.push((slot as u32, limit, partition.log, op));
                }
            }
            pass.answers.push(answer);
        }
        pass
    }

    /// Consults the session, groups by topic and sends.
    fn finish_fetch(&mut self, now: Instant, fetch: PendingFetch, answers: Vec<PartitionData>, out: &mut Outbox) {
        let PendingFetch { waiter, merged, replica, .. } = fetch;
        if replica.is_some() && self.is_throttled(Side::Leader) {
            let sent = merged.partitions.iter().zip(&answers).filter_map(|((key, _), answer)| {
                let bytes = answer.records.as_ref().map_or(0, |records| records.size() as u64);
                Some((self.known(waiter.version, key).ok()?, bytes))
            });
            let sent: Vec<_> = sent.collect();
            self.replicated(Side::Leader, now, &sent);
        }
        let mut response = FetchResponse::default();
        let told: Vec<Told> = answers.iter().map(told_by).collect();
        let keep = match merged.kind {
            Kind::Sessionless => vec![true; answers.len()],
            Kind::Full { uses_topic_ids } => {
                let partitions = merged.partitions.iter().zip(&told);
                let partitions = partitions.map(|((key, params), told)| (key.clone(), *params, *told)).collect();
                let slots = usize::try_from(self.config.max_incremental_fetch_session_cache_slots).unwrap_or_default();
                let is_replica = replica.is_some();
                response.session_id =
                    self.sessions.create(now, slots, is_replica, uses_topic_ids, partitions, &mut self.random);
                vec![true; answers.len()]
            }
            Kind::Incremental { session_id, next_epoch } => {
                response.session_id = session_id;
                match self.sessions.tell(session_id, next_epoch, &told) {
                    Ok(keep) => keep,
                    Err(error) => {
                        response.error_code = error.code();
                        return self.answer(waiter, ResponseBody::Fetch(response), out);
                    }
                }
            }
        };
        let mut leaders = Map::new();
        for (((key, _), answer), keep) in merged.partitions.iter().zip(answers).zip(keep) {
            if !keep {
                continue;
            }
            if answer.current_leader.leader_id >= 0 {
                leaders.insert(answer.current_leader.leader_id, ());
            }
            // Kafka too starts a new topic only when the name or id differs from the one before.
            match response.responses.last_mut() {
                Some(topic) if topic.topic == key.topic && topic.topic_id == key.topic_id => {
                    topic.partitions.push(answer);
                }
                _ => response.responses.push(FetchableTopicResponse {
                    topic: key.topic.clone(),
                    topic_id: key.topic_id,
                    partitions: vec![answer],
                }),
            }
        }
        if waiter.version >= 16 {
            for leader in leaders.into_keys() {
                if let Some((host, port, rack)) = self.endpoint_of(waiter.conn, leader) {
                    let endpoint = NodeEndpoint { node_id: leader, host, port, rack };
                    response.node_endpoints.push(endpoint);
                }
            }
        }
        self.answer(waiter, ResponseBody::Fetch(response), out);
    }

    /// The partition a fetcher means, if the committed metadata has it.
    fn known(&self, version: i16, key: &FetchKey) -> Result<PartitionKey, ErrorCode> {
        let topic = if version >= 13 {
            self.image.topic_by_id(key.topic_id).ok_or(ErrorCode::UnknownTopicId)?
        } else {
            self.image.topic(&key.topic).ok_or(ErrorCode::UnknownTopicOrPartition)?
        };
        topic.partitions.get(&key.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        Ok(PartitionKey { topic_id: topic.id, partition: key.partition })
    }

    fn refused_answer(&self, version: i16, key: &FetchKey, error: ErrorCode) -> PartitionData {
        let error = match error {
            ErrorCode::KafkaStorageError => storage_error(version),
            other => other,
        };
        let mut answer = PartitionData { aborted_transactions: None, ..error_answer(key.partition, error) };
        if version >= 16 && matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
            let topic = if version >= 13 { self.image.topic_by_id(key.topic_id) } else { self.image.topic(&key.topic) };
            if let Some(partition) = topic.and_then(|topic| topic.partitions.get(&key.partition)) {
                answer.current_leader =
                    LeaderIdAndEpoch { leader_id: partition.leader_id(), leader_epoch: partition.leader_epoch.0 };
            }
        }
        answer
    }
}

/// The partitions a request names, and those it forgets.
fn asked_of(version: i16, request: &FetchRequest) -> (Vec<(FetchKey, FetchParams)>, Vec<FetchKey>) {
    let key = |topic: &Str, topic_id, partition| match version {
        13.. => FetchKey { topic_id, topic: Str::new(), partition },
        _ => FetchKey { topic_id: protocol::Uuid::ZERO, topic: topic.clone(), partition },
    };
    let mut asked = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let params = FetchParams {
                offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
                log_start: partition.log_start_offset,
            };
            asked.push((key(&topic.topic, topic.topic_id, partition.partition), params));
        }
    }
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| key(&topic.topic, topic.topic_id, *partition)));
    (asked, forgotten.collect())
}

fn told_by(answer: &PartitionData) -> Told {
    Told {
        high_watermark: answer.high_watermark,
        log_start: answer.log_start_offset,
        bytes: answer.records.as_ref().map_or(0, |records| records.size() as u64),
        must_respond: answer.diverging_epoch.epoch >= 0 || answer.preferred_read_replica >= 0,
        is_error: answer.error_code != ErrorCode::None.code(),
    }
}

fn records_of(regions: Vec<Region>) -> Records {
    if regions.is_empty() { Records::default() } else { Records::Regions(regions) }
}

/// An answer without offsets: Kafka gives none with an error.
fn error_answer(partition: i32, error: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index: partition,
        error_code: error.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        records: Some(Records::default()),
        ..PartitionData::default()
    }
}

/// Clients of version 5 and before do not know KAFKA_STORAGE_ERROR.
fn storage_error(version: i16) -> ErrorCode {
    if version <= 5 { ErrorCode::NotLeaderOrFollower } else { ErrorCode::KafkaStorageError }
}
