//! Fetching: who is asked for which partitions, and what an answer does to them.

use ordered::Map;

use protocol::messages::fetch_response::PartitionData;
use protocol::messages::{FetchRequest, FetchResponse};
use protocol::{ErrorCode, LeaderEpoch, NodeId, Offset, TopicPartition};

use super::buffer::{Fetched, Unreadable};
use super::session::{Part, SessionFate};
use super::{Consumer, ConsumerTicket, Place, Reset, ticket};
use crate::admin::BrokerInfo;
use crate::backoff::exponential_ms;
use crate::client::Context;
use crate::event::Event;
use crate::outbox::{Cause, ConsumerRecord, Failure};
use crate::wire::{ApiKey, RequestBody};

impl Consumer {
    /// Asks every leader of partitions with nothing buffered for more, one request at a time.
    pub(super) fn fetch(&mut self, context: &mut Context<'_>) {
        let mut wanted: Map<NodeId, Map<TopicPartition, Part>> = Map::new();
        let mut full = Vec::new();
        for (partition, state) in &self.assigned {
            let Place::At(position) = &state.place else { continue };
            let Some((leader, leader_epoch)) = position.leader else { continue };
            let replica = state
                .read_replica
                .filter(|(node, until)| *until > context.now.mono && context.metadata.knows_broker(*node));
            let node = replica.map_or(leader, |(node, _)| node);
            if state.paused || state.releasing || state.retry_at > context.now.mono {
                continue;
            }
            if state.fetched.is_some() {
                // Its partitions would drop out of the broker's session if the others were asked for without them.
                full.push(node);
                continue;
            }
            let topic_id = context.metadata.topic_id(&partition.topic);
            let part = Part { topic_id, offset: position.offset, leader_epoch, generation: state.generation };
            wanted.entry(node).or_default().insert(partition.clone(), part);
        }
        for (node, parts) in wanted {
            let busy = self.sessions.get(&node).is_some_and(|it| it.is_busy());
            if !busy && !full.contains(&node) && context.ready(node) {
                self.fetch_from(node, parts, context);
            }
        }
    }

    fn fetch_from(&mut self, node: NodeId, parts: Map<TopicPartition, Part>, context: &mut Context<'_>) {
        let Some(version) = context.network.version(node, ApiKey::Fetch) else {
            self.failure = Some(Failure::new(Cause::UnsupportedVersion, format!("Node {node} does not support FETCH")));
            return;
        };
        let config = context.config;
        let order: Vec<TopicPartition> = self.turns.iter().cloned().collect();
        let session = self.sessions.entry(node).or_default();
        let (version, request) = session.request(&order, parts, config.max_partition_fetch_bytes, version);
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: config.fetch_max_wait_ms,
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_max_bytes,
            isolation_level: config.isolation_level.code(),
            rack_id: if version >= 11 { config.client_rack.clone() } else { protocol::Str::new() },
            ..request
        };
        context.send(node, version, RequestBody::Fetch(request), ticket(ConsumerTicket::Fetch));
    }

    pub(super) fn handle_fetch_lost(&mut self, node: NodeId, context: &mut Context<'_>) {
        if let Some(session) = self.sessions.get_mut(&node) {
            session.handle(SessionFate::Broken, 0);
        }
        for state in self.assigned.values_mut().filter(|it| it.read_replica.is_some_and(|(id, _)| id == node)) {
            state.read_replica = None;
        }
        context.metadata.request_update();
    }

    pub(super) fn handle_fetched(&mut self, node: NodeId, body: FetchResponse, context: &mut Context<'_>) {
        let Some(session) = self.sessions.get_mut(&node) else { return };
        let error = ErrorCode::from_code(body.error_code);
        let fate = match error {
            ErrorCode::None => SessionFate::GoesOn,
            ErrorCode::FetchSessionIdNotFound => SessionFate::Forgotten,
            _ => SessionFate::Broken,
        };
        session.handle(fate, body.session_id);
        if error != ErrorCode::None {
            self.handle_session_refused(node, error, context);
            return;
        }
        let endpoints =
            body.node_endpoints.iter().filter_map(|it| BrokerInfo::endpoint(it.node_id, &it.host, it.port, &it.rack));
        context.add_brokers(endpoints.collect());
        for topic in body.responses {
            let Some(session) = self.sessions.get(&node) else { return };
            let name = if topic.topic_id.is_zero() { Some(topic.topic) } else { session.name_of(topic.topic_id) };
            let Some(name) = name else { continue };
            for data in topic.partitions {
                let partition = TopicPartition { topic: name.clone(), partition: data.partition_index };
                self.handle_partition(node, partition, data, context);
            }
        }
    }

    /// The whole request was refused. A session that was forgotten or out of step is simply made anew; anything else (a
    /// topic was created anew and has another id) is tried again later, with newer metadata.
    fn handle_session_refused(&mut self, node: NodeId, error: ErrorCode, context: &mut Context<'_>) {
        use ErrorCode::{FetchSessionIdNotFound, InvalidFetchSessionEpoch};
        match error {
            FetchSessionIdNotFound | InvalidFetchSessionEpoch => {}
            _ => {
                context.metadata.request_update();
                let led: Vec<TopicPartition> = self
                    .assigned
                    .iter()
                    .filter(|(_, state)| state.position().and_then(|it| it.leader).is_some_and(|(id, _)| id == node))
                    .map(|(partition, _)| partition.clone())
                    .collect();
                for partition in led {
                    self.back_off(&partition, context);
                }
            }
        }
    }

    fn handle_partition(
        &mut self,
        node: NodeId,
        partition: TopicPartition,
        data: PartitionData,
        context: &mut Context<'_>,
    ) {
        let asked = self.sessions.get(&node).and_then(|it| it.part(&partition));
        let (Some(asked), Some(state)) = (asked, self.assigned.get_mut(&partition)) else { return };
        let Place::At(position) = state.place else { return };
        // A seek, or a reset, has made this answer stale.
        if asked.generation != state.generation || asked.offset != position.offset {
            return;
        }
        let error = ErrorCode::from_code(data.error_code);
        if error != ErrorCode::None {
            self.handle_refused(node, &partition, error, &data, context);
            return;
        }
        state.failures = 0;
        state.retry_at = context.now.mono;
        let told = |value: i64, before: Option<i64>| if value >= 0 { Some(value) } else { before };
        state.high_watermark = told(data.high_watermark, state.high_watermark);
        state.last_stable = told(data.last_stable_offset, state.last_stable);
        state.log_start = told(data.log_start_offset, state.log_start);
        if data.preferred_read_replica >= 0 {
            let until = context.now.mono.plus_ms(context.config.metadata_max_age_ms);
            state.read_replica = Some((NodeId(data.preferred_read_replica), until));
        }
        let Some(records) = data.records.filter(|it| it.size() > 0) else { return };
        let aborted = data.aborted_transactions.unwrap_or_default();
        match Fetched::new(position.offset, position.offset_epoch, records, aborted, context.config.isolation_level) {
            Ok(fetched) => state.fetched = Some(fetched),
            Err(Unreadable(why)) => self.handle_unreadable(&partition, position.offset, &why, context),
        }
    }

    fn handle_refused(
        &mut self,
        node: NodeId,
        partition: &TopicPartition,
        error: ErrorCode,
        data: &PartitionData,
        context: &mut Context<'_>,
    ) {
        context.out.emit(|| Event::FetchRefused { partition: partition.clone(), error });
        // A partition in trouble goes to the end, so that the others stay together in a request.
        self.move_to_the_end(partition);
        let Some(state) = self.assigned.get_mut(partition) else { return };
        let Some(position) = state.position() else { return };
        let from_replica = state.read_replica.take().is_some_and(|(id, _)| id == node);
        match error {
            ErrorCode::OffsetOutOfRange if from_replica => {}
            ErrorCode::OffsetOutOfRange => match Reset::of_policy(context.config.auto_offset_reset, context.now.wall) {
                Some(to) => state.place = Place::Resetting { to, asked: false },
                None => {
                    let offset = Offset(position.offset);
                    let why = format!("Fetch position {offset} is out of range for partition {partition}");
                    self.failure = Some(Failure::new(Cause::OutOfRange(vec![(partition.clone(), offset)]), why));
                    self.back_off(partition, context);
                }
            },
            ErrorCode::TopicAuthorizationFailed => {
                let why = format!("Not authorized to access topics: [{}]", partition.topic);
                self.failure = Some(Failure::refused(error, Some(&why)));
                self.back_off(partition, context);
            }
            ErrorCode::CorruptMessage => {
                let (offset, message) = (position.offset, "the broker's log is corrupt there");
                self.handle_unreadable(partition, offset, message, context);
            }
            _ => {
                let leader = &data.current_leader;
                let moved = leader.leader_id >= 0
                    && leader.leader_epoch >= 0
                    && context.metadata.update_leader(
                        partition,
                        NodeId(leader.leader_id),
                        LeaderEpoch(leader.leader_epoch),
                    );
                context.metadata.request_update();
                // A broker that names the new leader saves the wait (KIP-951).
                if !moved {
                    self.back_off(partition, context);
                }
            }
        }
    }

    fn handle_unreadable(&mut self, partition: &TopicPartition, offset: i64, why: &str, context: &mut Context<'_>) {
        let message = format!(
            "Received exception when fetching the next record from {partition}. If needed, please seek past the record \
             to continue consumption. ({why})"
        );
        self.failure = Some(Failure::new(Cause::Corrupt(partition.clone(), Offset(offset)), message));
        self.back_off(partition, context);
    }

    pub(super) fn back_off(&mut self, partition: &TopicPartition, context: &mut Context<'_>) {
        let Some(state) = self.assigned.get_mut(partition) else { return };
        let wait = exponential_ms(
            context.config.retry_backoff_ms,
            context.config.retry_backoff_max_ms,
            state.failures,
            context.random,
        );
        state.failures = state.failures.saturating_add(1);
        state.retry_at = context.now.mono.plus_ms(wait);
    }

    /// Takes up to `max.poll.records` out of the buffers, one partition after the other, and moves the positions.
    pub(super) fn take_records(&mut self, context: &mut Context<'_>) -> Vec<ConsumerRecord> {
        let mut taken = Vec::new();
        let limit = context.config.max_poll_records;
        let has_records = |it: &&TopicPartition| self.assigned.get(*it).is_some_and(|state| state.fetched.is_some());
        let waiting: Vec<TopicPartition> = self.turns.iter().filter(has_records).cloned().collect();
        for partition in waiting {
            if taken.len() >= limit {
                break;
            }
            // Its turn is over once nothing of it is left, so that one full partition does not starve the rest.
            if self.drain(&partition, limit, &mut taken, context) {
                self.move_to_the_end(&partition);
            }
        }
        taken
    }

    fn move_to_the_end(&mut self, partition: &TopicPartition) {
        if let Some(index) = self.turns.iter().position(|it| it == partition)
            && let Some(turn) = self.turns.remove(index)
        {
            self.turns.push_back(turn);
        }
    }

    /// Moves records of one partition to `taken`; true if none are left here.
    fn drain(
        &mut self,
        partition: &TopicPartition,
        limit: usize,
        taken: &mut Vec<ConsumerRecord>,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(state) = self.assigned.get_mut(partition) else { return false };
        let Place::At(position) = &mut state.place else { return false };
        let Some(fetched) = state.fetched.as_mut().filter(|_| !state.paused && !state.releasing) else { return false };
        let mut unreadable = None;
        let mut emptied = false;
        while taken.len() < limit {
            match fetched.next(partition) {
                Ok(Some(record)) => taken.push(record),
                Ok(None) => {
                    emptied = true;
                    break;
                }
                Err(Unreadable(why)) => {
                    (emptied, unreadable) = (true, Some(why));
                    break;
                }
            }
        }
        (position.offset, position.offset_epoch) = fetched.position();
        let offset = position.offset;
        if emptied {
            state.fetched = None;
        }
        if let Some(why) = unreadable {
            self.handle_unreadable(partition, offset, &why, context);
        }
        emptied
    }
}
