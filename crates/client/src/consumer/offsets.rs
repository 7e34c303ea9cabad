//! Finding offsets: first ones by the reset policy or a seek, and whether a new leader still has the ones at hand.

use ordered::Map;

use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};
use protocol::{ErrorCode, LeaderEpoch, NodeId, Offset, TopicPartition};

use super::{Consumer, ConsumerTicket, FetchPosition, Place, Reset, ticket};
use crate::client::Context;
use crate::event::Event;
use crate::outbox::{Cause, Failure};
use crate::wire::{ApiKey, RequestBody};

impl Consumer {
    /// Learns from metadata who leads now. A position that was read under another epoch must be confirmed.
    pub(super) fn follow_leaders(&mut self, context: &mut Context<'_>) {
        let mut unknown = false;
        for (partition, state) in &mut self.assigned {
            let leader = context.metadata.leader(partition);
            unknown |= leader.is_none();
            let (Some(leader), Some(position)) = (leader, state.position()) else { continue };
            if position.leader == Some(leader) {
                continue;
            }
            let known = position.leader.is_some_and(|(_, epoch)| epoch != LeaderEpoch::NONE);
            let fresh = FetchPosition { leader: Some(leader), ..position };
            state.place = if known && position.offset_epoch.is_some() && leader.1 != LeaderEpoch::NONE {
                Place::Validating { position: fresh, asked: false }
            } else {
                Place::At(fresh)
            };
            state.read_replica = None;
        }
        // One question for all: metadata asks no more often than its back-off allows.
        if unknown {
            context.metadata.request_update();
        }
    }

    /// Asks leaders for the offsets that partitions need to begin.
    pub(super) fn ask_offsets(&mut self, context: &mut Context<'_>) {
        let mut asks: Map<NodeId, Vec<(TopicPartition, LeaderEpoch, Reset, u64)>> = Map::new();
        for (partition, state) in &self.assigned {
            let Place::Resetting { to, asked: false } = state.place else { continue };
            if state.retry_at > context.now.mono {
                continue;
            }
            let Some((leader, epoch)) = context.metadata.leader(partition) else { continue };
            asks.entry(leader).or_default().push((partition.clone(), epoch, to, state.generation));
        }
        for (node, partitions) in asks {
            if !context.ready(node) {
                continue;
            }
            let Some(version) = context.network.version(node, ApiKey::ListOffsets) else {
                let why = format!("Node {node} does not support LIST_OFFSETS");
                self.failure = Some(Failure::new(Cause::UnsupportedVersion, why));
                continue;
            };
            let mut topics: Vec<ListOffsetsTopic> = Vec::new();
            let mut asked = Vec::new();
            for (partition, epoch, to, generation) in partitions {
                let data = ListOffsetsPartition {
                    partition_index: partition.partition,
                    current_leader_epoch: epoch.0,
                    timestamp: to.timestamp(),
                };
                match topics.iter_mut().find(|it| it.name == partition.topic) {
                    Some(topic) => topic.partitions.push(data),
                    None => topics.push(ListOffsetsTopic { name: partition.topic.clone(), partitions: vec![data] }),
                }
                if let Some(state) = self.assigned.get_mut(&partition) {
                    state.place = Place::Resetting { to, asked: true };
                }
                asked.push((partition, generation));
            }
            let isolation_level = if version >= 2 { context.config.isolation_level.code() } else { 0 };
            let timeout_ms = i32::try_from(context.config.request_timeout_ms).unwrap_or(i32::MAX);
            let body = ListOffsetsRequest { replica_id: -1, isolation_level, topics, timeout_ms };
            context.send(node, version, RequestBody::ListOffsets(body), ticket(ConsumerTicket::ListOffsets(asked)));
        }
    }

    pub(super) fn handle_offsets(
        &mut self,
        asked: Vec<(TopicPartition, u64)>,
        body: ListOffsetsResponse,
        context: &mut Context<'_>,
    ) {
        for (partition, generation) in asked {
            let Some(state) = self.assigned.get_mut(&partition).filter(|it| it.generation == generation) else {
                continue;
            };
            let Place::Resetting { to, .. } = state.place else { continue };
            let topic = body.topics.iter().find(|it| it.name == partition.topic);
            let answer = topic.and_then(|it| it.partitions.iter().find(|it| it.partition_index == partition.partition));
            let Some(answer) = answer else {
                self.ask_again(&partition, generation, context);
                continue;
            };
            match ErrorCode::from_code(answer.error_code) {
                // No record is that young: what comes next is.
                ErrorCode::None if answer.offset < 0 => {
                    state.place = Place::Resetting { to: Reset::Latest, asked: false }
                }
                ErrorCode::None => {
                    let offset_epoch = (answer.leader_epoch >= 0).then_some(LeaderEpoch(answer.leader_epoch));
                    let leader = context.metadata.leader(&partition);
                    state.place = Place::At(FetchPosition { offset: answer.offset, offset_epoch, leader });
                    state.fetched = None;
                    state.failures = 0;
                    match to {
                        Reset::Earliest => state.log_start = Some(answer.offset),
                        Reset::Latest => state.high_watermark = Some(answer.offset),
                        Reset::Timestamp(_) => {}
                    }
                    let offset = Offset(answer.offset);
                    context.out.emit(|| Event::PositionReset { partition, offset });
                }
                ErrorCode::TopicAuthorizationFailed => {
                    let why = format!("Not authorized to access topics: [{}]", partition.topic);
                    self.failure = Some(Failure::refused(ErrorCode::TopicAuthorizationFailed, Some(&why)));
                    self.ask_again(&partition, generation, context);
                }
                _ => self.ask_again(&partition, generation, context),
            }
        }
    }

    /// Asks new leaders where the epoch of a position ends in their log (KIP-320).
    pub(super) fn ask_epochs(&mut self, context: &mut Context<'_>) {
        let mut asks: Map<NodeId, Vec<(TopicPartition, FetchPosition, u64)>> = Map::new();
        for (partition, state) in &self.assigned {
            let Place::Validating { position, asked: false } = state.place else { continue };
            if let Some((leader, _)) = position.leader.filter(|_| state.retry_at <= context.now.mono) {
                asks.entry(leader).or_default().push((partition.clone(), position, state.generation));
            }
        }
        for (node, partitions) in asks {
            if !context.ready(node) {
                continue;
            }
            // Before version 3 only replicas were let in; without the question the position counts as good.
            let version = context.network.version(node, ApiKey::OffsetForLeaderEpoch).filter(|it| *it >= 3);
            let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
            let mut asked = Vec::new();
            for (partition, position, generation) in partitions {
                let Some(state) = self.assigned.get_mut(&partition) else { continue };
                let (Some(_), Some((_, epoch)), Some(offset_epoch)) = (version, position.leader, position.offset_epoch)
                else {
                    state.place = Place::At(position);
                    continue;
                };
                let data = OffsetForLeaderPartition {
                    partition: partition.partition,
                    current_leader_epoch: epoch.0,
                    leader_epoch: offset_epoch.0,
                };
                match topics.iter_mut().find(|it| it.topic == partition.topic) {
                    Some(topic) => topic.partitions.push(data),
                    None => {
                        topics.push(OffsetForLeaderTopic { topic: partition.topic.clone(), partitions: vec![data] })
                    }
                }
                state.place = Place::Validating { position, asked: true };
                asked.push((partition, generation));
            }
            if let Some(version) = version.filter(|_| !asked.is_empty()) {
                let body = OffsetForLeaderEpochRequest { replica_id: -1, topics };
                let body = RequestBody::OffsetForLeaderEpoch(body);
                context.send(node, version, body, ticket(ConsumerTicket::Epochs(asked)));
            }
        }
    }

    pub(super) fn handle_epochs(
        &mut self,
        asked: Vec<(TopicPartition, u64)>,
        body: OffsetForLeaderEpochResponse,
        context: &mut Context<'_>,
    ) {
        for (partition, generation) in asked {
            let topic = body.topics.iter().find(|it| it.topic == partition.topic);
            let answer = topic.and_then(|it| it.partitions.iter().find(|it| it.partition == partition.partition));
            match answer {
                Some(answer) if answer.error_code == ErrorCode::None.code() => {
                    self.confirm(&partition, generation, answer, context);
                }
                _ => self.ask_again(&partition, generation, context),
            }
        }
    }

    /// The new leader's log has the position, or it parts from what was read before it.
    fn confirm(
        &mut self,
        partition: &TopicPartition,
        generation: u64,
        answer: &EpochEndOffset,
        context: &mut Context<'_>,
    ) {
        let Some(state) = self.assigned.get_mut(partition).filter(|it| it.generation == generation) else { return };
        let Place::Validating { position, .. } = state.place else { return };
        let unknown = answer.leader_epoch < 0 || answer.end_offset < 0;
        if !unknown && answer.end_offset >= position.offset {
            state.place = Place::At(position);
            return;
        }
        state.fetched = None;
        let (at, diverged_at) = (Offset(position.offset), Offset(answer.end_offset.max(0)));
        context.out.emit(|| Event::Truncated { partition: partition.clone(), position: at, diverged_at });
        let policy = Reset::of_policy(context.config.auto_offset_reset, context.now.wall);
        match policy {
            Some(to) if unknown => state.place = Place::Resetting { to, asked: false },
            Some(_) => {
                let offset_epoch = Some(LeaderEpoch(answer.leader_epoch));
                state.place =
                    Place::At(FetchPosition { offset: answer.end_offset, offset_epoch, leader: position.leader });
                context.out.emit(|| Event::PositionReset { partition: partition.clone(), offset: diverged_at });
            }
            None => {
                state.place = Place::Nowhere;
                let why =
                    format!("Detected log truncation of {partition}: position {at}, the logs part at {diverged_at}");
                self.failure = Some(Failure::new(Cause::Truncated(partition.clone(), diverged_at), why));
            }
        }
    }

    /// A question about a partition has no good answer: it is asked again after a while, perhaps of someone else.
    pub(super) fn ask_again(&mut self, partition: &TopicPartition, generation: u64, context: &mut Context<'_>) {
        let Some(state) = self.assigned.get_mut(partition).filter(|it| it.generation == generation) else { return };
        match &mut state.place {
            Place::Committed { asked } | Place::Resetting { asked, .. } | Place::Validating { asked, .. } => {
                *asked = false;
            }
            Place::At(_) | Place::Nowhere => return,
        }
        context.metadata.request_update();
        self.back_off(partition, context);
    }
}
