//! KIP-848: the coordinator shares partitions out and tells each member, in answers to its heartbeats, what is to be its own. The
//! member gives up first what is not to be its own any more, then takes what is free, and says so; nobody waits for the others.

use ordered::{Map, Set};
use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use protocol::{ErrorCode, Instant, Str, TopicPartition, Uuid};

use super::classic::millis;
use super::offsets::Why;
use super::{Asked, Group, until};
use crate::backoff::exponential_ms;
use crate::client::Context;
use crate::consumer::Consumer;
use crate::event::{Event, GroupEvent};
use crate::outbox::Failure;
use crate::view::MemberState;
use crate::wire::{ApiKey, RequestBody};

/// Says goodbye; a static member's epoch says that it comes back.
const LEAVES: i32 = -1;
const LEAVES_FOR_NOW: i32 = -2;

/// What only KIP-848 needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    /// What is to be this member's, by topic id, until that is so.
    target: Option<Map<Uuid, Vec<i32>>>,
    /// The same, of topics whose names are known.
    wanted: Vec<TopicPartition>,
    /// The next heartbeat tells what it has.
    tells_owned: bool,
    /// The next heartbeat tells what does not change, too.
    tells_all: bool,
    /// A heartbeat that tells what it has is on its way: what it does not name the coordinator may give to others.
    telling: bool,
    /// The topics that the coordinator was told.
    told: Option<Set<Str>>,
    interval_ms: i64,
    pub(super) releasing_until: Option<Instant>,
    failures: u32,
}

impl Member {
    pub(super) fn begin_anew(&mut self) {
        *self = Member::default();
    }

    pub(super) fn tell_all(&mut self) {
        self.told = None;
    }

    /// What it was assigned and does not have yet.
    pub(super) fn awaiting(&self, consumer: &Consumer) -> Vec<TopicPartition> {
        if self.target.is_none() {
            return Vec::new();
        }
        let owned = consumer.owned();
        self.wanted.iter().filter(|it| !owned.contains(it)).cloned().collect()
    }
}

impl Group {
    /// One step of the protocol; false if there is none to take now.
    pub(super) fn step_member(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) -> bool {
        let is_polled = consumer.is_polled();
        match self.state {
            MemberState::Outside if is_polled => {
                self.lose_all(consumer, context);
                if self.listener.acts() {
                    return false;
                }
                if self.member_id.is_empty() {
                    self.member_id = random_id(context);
                }
                self.epoch = 0;
                self.member.tells_all = true;
                self.heartbeat.due = context.now.mono;
                self.state = MemberState::Joining;
                false
            }
            MemberState::Member if is_polled && self.member.target.is_some() => self.reconcile(consumer, context),
            MemberState::Releasing => {
                let waits = self.offsets.is_committing_for(Why::Release);
                let is_late = self.member.releasing_until.is_some_and(|at| at <= context.now.mono);
                if (waits && !is_late) || self.member.telling {
                    return false;
                }
                self.offsets.drop_for(Why::Release, context);
                self.lets_go(&consumer.releasing(), consumer, context) && {
                    self.change_over(consumer, context);
                    true
                }
            }
            _ => false,
        }
    }

    /// Begins to turn what it has into what it is to have.
    fn reconcile(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) -> bool {
        let Some(target) = &self.member.target else { return false };
        let mut wanted = Vec::new();
        let mut is_known = true;
        for (topic_id, partitions) in target {
            match self.subscribed.iter().find(|it| context.metadata.topic_id(it) == *topic_id) {
                Some(topic) => {
                    wanted.extend(partitions.iter().map(|it| TopicPartition { topic: topic.clone(), partition: *it }));
                }
                None => is_known = false,
            }
        }
        if !is_known {
            context.metadata.request_update();
        }
        ordered::sort(&mut wanted);
        let owned = consumer.owned();
        let is_settled = wanted == owned;
        self.member.wanted = wanted;
        if is_settled {
            if is_known {
                self.member.target = None;
                self.acknowledge(context);
            }
            return false;
        }
        let given: Vec<TopicPartition> = owned.iter().filter(|it| !self.member.wanted.contains(it)).cloned().collect();
        consumer.release(&given);
        self.member.releasing_until = Some(until(context.now, context.config.max_poll_interval_ms));
        self.state = MemberState::Releasing;
        if context.config.enable_auto_commit {
            self.offsets.commit_read(Why::Release, consumer, context);
        }
        true
    }

    /// Gives up what goes and takes what comes, if it is still to come: the coordinator may have assigned anew since.
    fn change_over(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        let owned = consumer.owned();
        let is_to_come = |it: &TopicPartition| {
            let target = self.member.target.as_ref().and_then(|to| to.get(&context.metadata.topic_id(&it.topic)));
            target.is_some_and(|partitions| partitions.contains(&it.partition))
        };
        let mut wanted = self.member.wanted.clone();
        wanted.retain(|it| owned.contains(it) || is_to_come(it));
        let (kept, given): (Vec<_>, Vec<_>) = owned.into_iter().partition(|it| wanted.contains(it));
        let added: Vec<TopicPartition> = wanted.iter().filter(|it| !kept.contains(it)).cloned().collect();
        if !given.is_empty() {
            self.gave_up(given, context);
        }
        consumer.take_over(wanted, context);
        self.has_got(added, context);
        self.member.releasing_until = None;
        self.state = MemberState::Member;
        self.acknowledge(context);
    }

    /// The coordinator waits to hear what this member has.
    fn acknowledge(&mut self, context: &Context<'_>) {
        self.member.tells_owned = true;
        self.heartbeat.due = context.now.mono;
    }

    pub(super) fn beat_member(&mut self, consumer: &Consumer, context: &mut Context<'_>) {
        let beats = matches!(self.state, MemberState::Joining | MemberState::Member | MemberState::Releasing);
        let is_told = self.member.told.as_ref() == Some(&self.subscribed);
        if beats && !self.heartbeat.asked && !is_told {
            self.heartbeat.due = self.heartbeat.due.min(context.now.mono);
        }
        if !beats || self.heartbeat.asked || self.heartbeat.due > context.now.mono || self.closing {
            return;
        }
        let config = context.config;
        let mut owned: Map<Uuid, Vec<i32>> = Map::new();
        for it in consumer.owned() {
            owned.entry(context.metadata.topic_id(&it.topic)).or_default().push(it.partition);
        }
        let sent = self.ask(ApiKey::ConsumerGroupHeartbeat, context, |group, _| {
            let all = group.member.tells_all || group.state == MemberState::Joining;
            let mut request = group.heartbeat_request(group.epoch);
            if all {
                request.rebalance_timeout_ms = millis(config.max_poll_interval_ms);
                request.server_assignor = config.group_remote_assignor.clone();
                request.rack_id = Some(config.client_rack.clone()).filter(|it| !it.is_empty());
            }
            if all || !is_told {
                request.subscribed_topic_names = Some(group.subscribed.iter().cloned().collect());
                group.member.told = Some(group.subscribed.clone());
            }
            if all || group.member.tells_owned {
                let partitions = owned.into_iter();
                let partitions = partitions.map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions });
                request.topic_partitions = Some(partitions.collect());
            }
            (group.member.tells_all, group.member.tells_owned) = (false, false);
            group.member.telling = request.topic_partitions.is_some();
            Some((RequestBody::ConsumerGroupHeartbeat(request), Asked::MemberHeartbeat))
        });
        if sent {
            self.heartbeat.asked = true;
            self.heartbeat.due = until(context.now, self.member.interval_ms.max(1));
        }
    }

    fn heartbeat_request(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: self.id.clone(),
            member_id: self.member_id.clone(),
            member_epoch: epoch,
            instance_id: self.instance.clone(),
            ..ConsumerGroupHeartbeatRequest::default()
        }
    }

    /// A heartbeat got no answer: the coordinator may or may not have heard it.
    pub(super) fn member_unheard(&mut self, context: &mut Context<'_>) {
        self.heartbeat.asked = false;
        (self.member.tells_all, self.member.tells_owned) = (true, true);
        // What it was assigned and did not have may be another's by now: the answer to all will say.
        if std::mem::take(&mut self.member.telling) {
            self.member.target = None;
        }
        self.beat_again(context);
    }

    fn beat_again(&mut self, context: &mut Context<'_>) {
        let config = context.config;
        let failures = self.member.failures;
        let wait = exponential_ms(config.retry_backoff_ms, config.retry_backoff_max_ms, failures, context.random);
        self.member.failures = failures.saturating_add(1);
        self.heartbeat.due = until(context.now, wait);
    }

    pub(super) fn member_answered(
        &mut self,
        body: ConsumerGroupHeartbeatResponse,
        consumer: &mut Consumer,
        context: &mut Context<'_>,
    ) {
        self.heartbeat.asked = false;
        self.heartbeat.answered = Some(context.now.mono);
        let error = ErrorCode::from_code(body.error_code);
        if error != ErrorCode::None {
            return self.member_refused(error, body.error_message.as_deref(), consumer, context);
        }
        self.member.failures = 0;
        self.member.telling = false;
        self.member.interval_ms = i64::from(body.heartbeat_interval_ms);
        if !self.member.tells_owned {
            self.heartbeat.due = until(context.now, self.member.interval_ms);
        }
        if body.member_epoch != self.epoch {
            self.epoch = body.member_epoch;
            let (epoch, member_id) = (self.epoch, self.member_id.clone());
            context.out.emit(|| Event::Group(GroupEvent::Joined { epoch, member_id, is_leader: false }));
        }
        if self.state == MemberState::Joining {
            self.state = MemberState::Member;
        }
        if let Some(assignment) = body.assignment {
            let target = assignment.topic_partitions.into_iter().map(|it| (it.topic_id, it.partitions));
            self.member.target = Some(target.collect());
            let why = "the coordinator assigns anew";
            context.out.emit(|| Event::Group(GroupEvent::Rejoins { why }));
        }
    }

    fn member_refused(
        &mut self,
        error: ErrorCode,
        message: Option<&str>,
        consumer: &mut Consumer,
        context: &mut Context<'_>,
    ) {
        let api = ApiKey::ConsumerGroupHeartbeat;
        match error {
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => {
                context.out.emit(|| Event::Group(GroupEvent::Refused { api, error }));
                self.outside(false);
            }
            ErrorCode::CoordinatorLoadInProgress => self.member_unheard(context),
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.coordinator_lost(context);
                self.member_unheard(context);
            }
            error => {
                context.out.emit(|| Event::Group(GroupEvent::Refused { api, error }));
                self.outside(false);
                self.state = MemberState::Failed;
                self.lose_all(consumer, context);
                consumer.fail_for_good(Failure::refused(error, message.filter(|it| !it.is_empty())));
            }
        }
    }

    /// Tells the coordinator goodbye.
    pub(super) fn leave_member(&mut self, context: &mut Context<'_>) -> bool {
        let epoch = if self.instance.is_some() { LEAVES_FOR_NOW } else { LEAVES };
        self.ask(ApiKey::ConsumerGroupHeartbeat, context, |group, _| {
            Some((RequestBody::ConsumerGroupHeartbeat(group.heartbeat_request(epoch)), Asked::Leave))
        })
    }
}

/// An id in the form that Kafka's clients choose theirs.
fn random_id(context: &mut Context<'_>) -> Str {
    let (high, low) = (context.random.next().to_be_bytes(), context.random.next().to_be_bytes());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high);
    bytes[8..].copy_from_slice(&low);
    // Version 4, variant 1 of RFC 9562.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Str::from(Uuid(bytes).to_string())
}
