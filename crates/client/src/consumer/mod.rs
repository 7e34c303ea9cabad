//! Kafka's consumer: positions, resets, fetches, polls. Which partitions it reads, its application says, or its group.
//!
//! Every assigned partition has a [`Place`]: it looks for its first offset, has one, or must have it confirmed by a new leader
//! (KIP-320). Partitions with an offset and nothing buffered are fetched, one request a leader, in a session (KIP-227).

mod buffer;
mod fetch;
mod offsets;
mod session;

use ordered::Map;
use std::collections::VecDeque;

use protocol::{Instant, LeaderEpoch, NodeId, Offset, TopicPartition, WallMs};

use self::buffer::Fetched;
use self::session::Session;
use crate::client::{Context, Ticket, list};
use crate::config::ResetPolicy;
use crate::input::{OpId, SeekTo};
use crate::network::Lost;
use crate::outbox::{Answer, Cause, Failure, Position};
use crate::view::{FetchView, PendingState, PendingView};
use crate::wire::ResponseBody;

/// The consumer's side of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    assigned: Map<TopicPartition, Assigned>,
    /// Whose turn it is to give records, and to be first in a fetch.
    turns: VecDeque<TopicPartition>,
    sessions: Map<NodeId, Session>,
    polls: VecDeque<(OpId, Instant)>,
    positions: Vec<(OpId, TopicPartition, Instant)>,
    /// Told by the next poll.
    failure: Option<Failure>,
    /// Told by every poll from now on.
    fatal: Option<Failure>,
    /// Partitions come from the group.
    subscribed: bool,
    /// The application acts on what happens to them: no poll brings records meanwhile.
    held: bool,
    next_generation: u64,
}

/// An assigned partition.
#[derive(Clone, Debug)]
struct Assigned {
    /// Raised by every seek: answers to older questions are dropped.
    generation: u64,
    place: Place,
    paused: bool,
    /// The group is about to give it away: nothing more is read of it.
    releasing: bool,
    high_watermark: Option<i64>,
    last_stable: Option<i64>,
    log_start: Option<i64>,
    /// A replica nearer than the leader (KIP-392), and until when it is believed in.
    read_replica: Option<(NodeId, Instant)>,
    retry_at: Instant,
    failures: u32,
    fetched: Option<Fetched>,
}

/// Where a partition is read.
#[derive(Clone, Debug)]
enum Place {
    /// The group is asked where it is.
    Committed { asked: bool },
    /// An offset is looked up.
    Resetting { to: Reset, asked: bool },
    /// The offset was read under another leader, who is asked whether its log still has it.
    Validating { position: FetchPosition, asked: bool },
    /// Here.
    At(FetchPosition),
    /// Nowhere: there is no reset policy, and no seek.
    Nowhere,
}

/// An offset and what it was learnt under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FetchPosition {
    offset: i64,
    /// The epoch of the record before it.
    offset_epoch: Option<LeaderEpoch>,
    /// The leader that it was read from, or is to be read from.
    leader: Option<(NodeId, LeaderEpoch)>,
}

/// What offset is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    Earliest,
    Latest,
    Timestamp(WallMs),
}

/// Who of the consumer waits for an answer.
#[derive(Clone, Debug)]
pub(crate) enum ConsumerTicket {
    /// The session of the broker holds what was asked.
    Fetch,
    /// Which partitions, in which generation.
    ListOffsets(Vec<(TopicPartition, u64)>),
    /// Which partitions, in which generation.
    Epochs(Vec<(TopicPartition, u64)>),
}

impl Reset {
    /// What the policy says; `None` if there is none.
    fn of_policy(policy: ResetPolicy, wall: WallMs) -> Option<Reset> {
        match policy {
            ResetPolicy::Earliest => Some(Reset::Earliest),
            ResetPolicy::Latest => Some(Reset::Latest),
            ResetPolicy::ByDuration(ms) => Some(Reset::Timestamp(WallMs(wall.0.saturating_sub(ms)))),
            ResetPolicy::None => None,
        }
    }

    fn timestamp(self) -> i64 {
        match self {
            Reset::Earliest => -2,
            Reset::Latest => -1,
            Reset::Timestamp(at) => at.0.max(0),
        }
    }
}

impl FetchPosition {
    fn at(offset: Offset) -> FetchPosition {
        FetchPosition { offset: offset.0, offset_epoch: None, leader: None }
    }
}

impl Assigned {
    fn position(&self) -> Option<FetchPosition> {
        match &self.place {
            Place::At(position) | Place::Validating { position, .. } => Some(*position),
            Place::Committed { .. } | Place::Resetting { .. } | Place::Nowhere => None,
        }
    }
}

impl Consumer {
    /// Replaces the assignment; what stays assigned keeps its position.
    pub(crate) fn assign(&mut self, op: OpId, partitions: Vec<TopicPartition>, context: &mut Context<'_>) {
        if self.subscribed {
            let why = "Subscription to topics, partitions and pattern are mutually exclusive";
            return context.out.failed(op, Failure::new(Cause::Illegal, why));
        }
        self.take_over(partitions, context);
        context.out.done(op, Answer::Done);
    }

    /// The same, for the group.
    pub(crate) fn take_over(&mut self, partitions: Vec<TopicPartition>, context: &mut Context<'_>) {
        let mut before = std::mem::take(&mut self.assigned);
        for partition in partitions {
            context.metadata.want(&partition.topic, context.config.allow_auto_create_topics);
            self.next_generation += 1;
            let generation = self.next_generation;
            let state = before.remove(&partition).unwrap_or_else(|| Assigned {
                generation,
                place: match context.config.group_id {
                    Some(_) => Place::Committed { asked: false },
                    None => reset_place(context),
                },
                paused: false,
                releasing: false,
                high_watermark: None,
                last_stable: None,
                log_start: None,
                read_replica: None,
                retry_at: context.now.mono,
                failures: 0,
                fetched: None,
            });
            self.assigned.insert(partition, Assigned { releasing: false, ..state });
        }
        for partition in before.keys() {
            if !self.assigned.keys().any(|it| it.topic == partition.topic) {
                context.metadata.forget(&partition.topic);
            }
        }
        self.turns = self.assigned.keys().cloned().collect();
    }

    /// Partitions come from the group from now on, or no more. Whoever failed for good begins anew only after the subscription
    /// has ended: another one does not undo that.
    pub(crate) fn subscribed(&mut self, is_so: bool) {
        self.subscribed = is_so;
        if !is_so {
            self.fatal = None;
        }
    }

    /// True if the application has named partitions.
    pub(crate) fn assigns_itself(&self) -> bool {
        !self.subscribed && !self.assigned.is_empty()
    }

    /// True while the application waits in a poll.
    pub(crate) fn is_polled(&self) -> bool {
        !self.polls.is_empty()
    }

    /// What it reads, in order.
    pub(crate) fn owned(&self) -> Vec<TopicPartition> {
        self.assigned.keys().cloned().collect()
    }

    /// What it is about to give up, in order.
    pub(crate) fn releasing(&self) -> Vec<TopicPartition> {
        self.assigned.iter().filter(|(_, state)| state.releasing).map(|(partition, _)| partition.clone()).collect()
    }

    /// Reads no more of these.
    pub(crate) fn release(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if let Some(state) = self.assigned.get_mut(partition) {
                state.releasing = true;
            }
        }
    }

    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Where the application is: what a commit of all that was read commits.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, Position)> {
        let known = self.assigned.iter().filter_map(|(partition, state)| Some((partition, state.position()?)));
        let position = |it: FetchPosition| Position { offset: Offset(it.offset), offset_epoch: it.offset_epoch };
        known.map(|(partition, at)| (partition.clone(), position(at))).collect()
    }

    /// Partitions that begin where the group is, and have not asked where that is.
    pub(crate) fn uncommitted(&self, now: Instant) -> Vec<(TopicPartition, u64)> {
        let waits = |it: &&Assigned| matches!(it.place, Place::Committed { asked: false }) && it.retry_at <= now;
        let waiting = self.assigned.iter().filter(|(_, state)| waits(state));
        waiting.map(|(partition, state)| (partition.clone(), state.generation)).collect()
    }

    /// These are asked for.
    pub(crate) fn asked_committed(&mut self, partitions: &[(TopicPartition, u64)]) {
        for (partition, _) in partitions {
            if let Some(state) = self.assigned.get_mut(partition) {
                state.place = Place::Committed { asked: true };
            }
        }
    }

    /// Nobody answered for these.
    pub(crate) fn ask_committed_again(&mut self, partitions: &[(TopicPartition, u64)], context: &mut Context<'_>) {
        for (partition, generation) in partitions {
            self.ask_again(partition, *generation, context);
        }
    }

    /// The group is there in a partition, or nowhere.
    pub(crate) fn begin_at(
        &mut self,
        partition: &TopicPartition,
        generation: u64,
        position: Option<Position>,
        context: &Context<'_>,
    ) {
        let Some(state) = self.assigned.get_mut(partition).filter(|it| it.generation == generation) else { return };
        if !matches!(state.place, Place::Committed { .. }) {
            return;
        }
        state.failures = 0;
        state.place = match position {
            Some(Position { offset, offset_epoch }) => {
                let leader = context.metadata.leader(partition);
                let position = FetchPosition { offset: offset.0, offset_epoch, leader };
                if offset_epoch.is_some() && leader.is_some_and(|(_, epoch)| epoch != LeaderEpoch::NONE) {
                    Place::Validating { position, asked: false }
                } else {
                    Place::At(position)
                }
            }
            None => reset_place(context),
        };
    }

    /// The next poll is told.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// Every poll is told.
    pub(crate) fn fail_for_good(&mut self, failure: Failure) {
        self.fatal = Some(failure);
    }

    pub(crate) fn seek(&mut self, op: OpId, partition: &TopicPartition, to: SeekTo, context: &mut Context<'_>) {
        self.next_generation += 1;
        let generation = self.next_generation;
        let Some(state) = self.assigned.get_mut(partition) else {
            context.out.failed(op, not_assigned(partition));
            return;
        };
        if let SeekTo::Offset(Offset(offset @ ..0)) = to {
            let why = format!("seek offset must not be a negative number: {offset}");
            context.out.failed(op, Failure::new(Cause::Illegal, why));
            return;
        }
        state.generation = generation;
        state.fetched = None;
        state.read_replica = None;
        state.retry_at = context.now.mono;
        state.place = match to {
            SeekTo::Offset(offset) => Place::At(FetchPosition::at(offset)),
            SeekTo::Beginning => Place::Resetting { to: Reset::Earliest, asked: false },
            SeekTo::End => Place::Resetting { to: Reset::Latest, asked: false },
            SeekTo::Timestamp(at) => Place::Resetting { to: Reset::Timestamp(at), asked: false },
        };
        context.out.done(op, Answer::Done);
    }

    pub(crate) fn pause(&mut self, op: OpId, partitions: &[TopicPartition], paused: bool, context: &mut Context<'_>) {
        if let Some(stranger) = partitions.iter().find(|it| !self.assigned.contains_key(it)) {
            context.out.failed(op, not_assigned(stranger));
            return;
        }
        for partition in partitions {
            if let Some(state) = self.assigned.get_mut(partition) {
                state.paused = paused;
            }
        }
        context.out.done(op, Answer::Done);
    }

    pub(crate) fn poll(&mut self, op: OpId, timeout_ms: i64, context: &mut Context<'_>) {
        if self.assigned.is_empty() && !self.subscribed {
            let why = "Consumer is not subscribed to any topics or assigned any partitions";
            context.out.failed(op, Failure::new(Cause::Illegal, why));
            return;
        }
        self.polls.push_back((op, context.now.mono.plus_ms(timeout_ms)));
    }

    pub(crate) fn position(&mut self, op: OpId, partition: TopicPartition, context: &mut Context<'_>) {
        if !self.assigned.contains_key(&partition) {
            context.out.failed(
                op,
                Failure::new(
                    Cause::Illegal,
                    "You can only check the position for partitions assigned to this consumer.",
                ),
            );
            return;
        }
        let deadline = context.now.mono.plus_ms(context.config.default_api_timeout_ms);
        self.positions.push((op, partition, deadline));
    }

    /// Does whatever can be done now.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        if self.assigned.is_empty() && self.polls.is_empty() {
            return;
        }
        self.follow_leaders(context);
        self.ask_offsets(context);
        self.ask_epochs(context);
        self.answer_polls(context);
        self.answer_positions(context);
        self.fetch(context);
    }

    /// The answer to one of the consumer's requests, or that none came.
    pub(crate) fn handle(
        &mut self,
        ticket: ConsumerTicket,
        node: NodeId,
        answer: Result<ResponseBody, Lost>,
        context: &mut Context<'_>,
    ) {
        match (ticket, answer) {
            (ConsumerTicket::Fetch, Ok(ResponseBody::Fetch(body))) => self.handle_fetched(node, body, context),
            (ConsumerTicket::Fetch, _) => self.handle_fetch_lost(node, context),
            (ConsumerTicket::ListOffsets(asked), Ok(ResponseBody::ListOffsets(body))) => {
                self.handle_offsets(asked, body, context);
            }
            (ConsumerTicket::Epochs(asked), Ok(ResponseBody::OffsetForLeaderEpoch(body))) => {
                self.handle_epochs(asked, body, context);
            }
            (ConsumerTicket::ListOffsets(asked) | ConsumerTicket::Epochs(asked), _) => {
                for (partition, generation) in asked {
                    self.ask_again(&partition, generation, context);
                }
            }
        }
    }

    /// Gives records to the polls that wait, a failure, or nothing when their time is up.
    fn answer_polls(&mut self, context: &mut Context<'_>) {
        while let Some((op, deadline)) = self.polls.front().copied() {
            let records = if self.fatal.is_some() || self.held { Vec::new() } else { self.take_records(context) };
            if let Some(failure) = self.fatal.clone() {
                context.out.failed(op, failure);
            } else if !records.is_empty() {
                context.out.done(op, Answer::Records(records));
            } else if let Some(failure) = self.failure.take().or_else(|| self.nowhere()) {
                context.out.failed(op, failure);
            } else if deadline <= context.now.mono {
                context.out.done(op, Answer::Records(Vec::new()));
            } else {
                return;
            }
            self.polls.pop_front();
        }
    }

    fn nowhere(&self) -> Option<Failure> {
        let lost: Vec<TopicPartition> = self
            .assigned
            .iter()
            .filter(|(_, state)| matches!(state.place, Place::Nowhere))
            .map(|(partition, _)| partition.clone())
            .collect();
        (!lost.is_empty()).then(|| {
            let why = format!("Undefined offset with no reset policy for partitions: {}", list(&lost));
            Failure::new(Cause::NoOffset(lost), why)
        })
    }

    fn answer_positions(&mut self, context: &mut Context<'_>) {
        for (op, partition, deadline) in std::mem::take(&mut self.positions) {
            match self.assigned.get(&partition).map(|it| &it.place) {
                None => context.out.failed(op, not_assigned(&partition)),
                Some(Place::At(position)) => {
                    let position = Position { offset: Offset(position.offset), offset_epoch: position.offset_epoch };
                    context.out.done(op, Answer::Position(position));
                }
                Some(Place::Nowhere) => {
                    let why = format!("Undefined offset with no reset policy for partitions: {}", list([&partition]));
                    context.out.failed(op, Failure::new(Cause::NoOffset(vec![partition]), why));
                }
                Some(_) if deadline <= context.now.mono => {
                    let why = format!(
                        "Timeout of {}ms expired before the position for partition {partition} could be determined",
                        context.config.default_api_timeout_ms
                    );
                    context.out.failed(op, Failure::new(Cause::TimedOut, why));
                }
                Some(_) => self.positions.push((op, partition, deadline)),
            }
        }
    }

    /// Gives up all that waits.
    pub(crate) fn abort(&mut self, context: &mut Context<'_>) {
        let polls = std::mem::take(&mut self.polls).into_iter().map(|(op, _)| op);
        let positions = std::mem::take(&mut self.positions).into_iter().map(|(op, ..)| op);
        for op in polls.chain(positions) {
            context.out.failed(op, Failure::new(Cause::Illegal, "This consumer has already been closed."));
        }
        self.assigned.clear();
        self.sessions.clear();
    }

    /// When something here is due.
    pub(crate) fn wake_at(&self, context: &Context<'_>) -> Option<Instant> {
        let polls = self.polls.iter().map(|(_, deadline)| *deadline);
        let positions = self.positions.iter().map(|(.., deadline)| *deadline);
        let retries = self.assigned.values().map(|it| it.retry_at).filter(|at| *at > context.now.mono);
        polls.chain(positions).chain(retries).min()
    }

    pub(crate) fn view(&self) -> Vec<FetchView> {
        let views = self.assigned.iter().map(|(partition, state)| {
            let position = state.position();
            FetchView {
                partition: partition.clone(),
                position: position.map(|it| Offset(it.offset)),
                leader: position.and_then(|it| it.leader),
                high_watermark: state.high_watermark.map(Offset),
                last_stable_offset: state.last_stable.map(Offset),
                log_start: state.log_start.map(Offset),
                buffered: state.fetched.as_ref().map_or(0, Fetched::buffered),
                paused: state.paused,
                fetching: self.sessions.values().any(|it| it.is_asking(partition)),
            }
        });
        views.collect()
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = PendingView> {
        let polls = self.polls.iter().map(|(op, _)| *op);
        let positions = self.positions.iter().map(|(op, ..)| *op);
        polls.chain(positions).map(|op| PendingView { op, state: PendingState::Waiting })
    }
}

/// Where a partition starts that has no position.
fn reset_place(context: &Context<'_>) -> Place {
    match Reset::of_policy(context.config.auto_offset_reset, context.now.wall) {
        Some(to) => Place::Resetting { to, asked: false },
        None => Place::Nowhere,
    }
}

fn not_assigned(partition: &TopicPartition) -> Failure {
    Failure::new(Cause::Illegal, format!("No current assignment for partition {partition}"))
}

fn ticket(ticket: ConsumerTicket) -> Ticket {
    Ticket::Consumer(ticket)
}
