//! The classic protocol: all members join, the coordinator makes one of them the leader, it shares the partitions out, all learn
//! theirs from the coordinator. Eager members give up everything before they join; cooperative ones (KIP-429) keep what they have
//! and give up, once they know, what is to move.

use bytes::Bytes;
use ordered::{Map, Set};
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::leave_group_request::MemberIdentity;
use protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest, SyncGroupResponse,
};
use protocol::{ErrorCode, Instant, ProtocolError, Str, TopicPartition};

use super::assignor::{self, Assignor, Subscription, UserData};
use super::offsets::Why;
use super::{Asked, Group, until};
use crate::backoff::exponential_ms;
use crate::client::Context;
use crate::config::{ClientConfig, GroupProtocol};
use crate::consumer::Consumer;
use crate::event::{Event, GroupEvent};
use crate::outbox::{Cause, Failure};
use crate::view::MemberState;
use crate::wire::{ApiKey, RequestBody};

const PROTOCOL_TYPE: &str = "consumer";

/// What only the classic protocol needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Classic {
    /// It must join again; why, for people.
    rejoins: Option<&'static str>,
    /// It has given up what it must before it joins.
    prepared: bool,
    pub(super) is_leader: bool,
    pub(super) assignor: Option<Assignor>,
    /// The members of the generation, if it is to share out.
    roster: Option<Map<Str, Subscription>>,
    /// It leads, and the coordinator keeps what was shared out before (KIP-814).
    keeps_shares: bool,
    /// What the coordinator sent; it counts from the next poll on.
    assignment: Option<Bytes>,
    /// What it was assigned last, and in which generation: sticky assignors tell it to the next leader.
    last: Option<(Vec<TopicPartition>, i32)>,
    /// The topics it joined with.
    pub(super) joined_with: Set<Str>,
    /// What the leader knew of the group's topics when it shared them out: how many partitions, 0 of one that is not there.
    shared: Option<Map<Str, i32>>,
    pub(super) releasing_until: Option<Instant>,
    failures: u32,
    pub(super) retry_at: Instant,
}

impl Classic {
    pub(super) fn begin_anew(&mut self) {
        self.rejoins = Some("it is no member");
        self.prepared = false;
        self.is_leader = false;
        (self.roster, self.assignment, self.shared, self.releasing_until) = (None, None, None, None);
    }
}

/// What the configuration offers, the best first.
fn assignors(config: &ClientConfig) -> &[Assignor] {
    if config.assignors.is_empty() { &[Assignor::Range, Assignor::CooperativeSticky] } else { &config.assignors }
}

/// Members keep partitions while they join only if every assignor that could be chosen allows it.
fn is_cooperative(config: &ClientConfig) -> bool {
    assignors(config).iter().all(|it| *it == Assignor::CooperativeSticky)
}

impl Group {
    /// Without an answer to a heartbeat until then the coordinator counts as lost.
    pub(super) fn session_until(&self, config: &ClientConfig) -> Option<Instant> {
        let is_classic = self.protocol == GroupProtocol::Classic && self.state != MemberState::Joining;
        Some(self.heartbeat.answered?.plus_ms(config.classic_session_ms())).filter(|_| is_classic)
    }

    /// One step of the protocol; false if there is none to take now.
    pub(super) fn step_classic(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) -> bool {
        let is_polled = consumer.is_polled();
        match self.state {
            MemberState::Outside if !is_polled => false,
            MemberState::Outside if !self.classic.prepared => {
                self.has_looked(context) && self.prepare(consumer, context)
            }
            MemberState::Outside => {
                let can = self.classic.retry_at <= context.now.mono;
                can && self.join(consumer, context) && {
                    self.state = MemberState::Joining;
                    false
                }
            }
            MemberState::Member => {
                self.look_around(context);
                let rejoins = is_polled && self.classic.rejoins.is_some();
                rejoins && self.has_looked(context) && self.prepare(consumer, context)
            }
            MemberState::Releasing => {
                let waits = self.offsets.is_committing_for(Why::Release);
                let is_late = self.classic.releasing_until.is_some_and(|at| at <= context.now.mono);
                if waits && !is_late {
                    return false;
                }
                self.offsets.drop_for(Why::Release, context);
                let given = self.given(consumer, context.config);
                self.lets_go(&given, consumer, context) && {
                    self.release(consumer, context);
                    true
                }
            }
            MemberState::Assigning => self.share_out(consumer, context),
            MemberState::Syncing => match self.classic.assignment.take() {
                Some(bytes) if is_polled => self.complete(bytes, consumer, context),
                assignment => {
                    self.classic.assignment = assignment;
                    false
                }
            },
            MemberState::Joining | MemberState::Leaving | MemberState::Failed => false,
        }
    }

    /// The subscription, or the partitions that the leader shared out, may be others by now.
    fn look_around(&mut self, context: &mut Context<'_>) {
        if self.classic.joined_with != self.subscribed {
            self.rejoin("its subscription has changed", context);
        }
        let Some(shared) = &self.classic.shared else { return };
        let now = counts(shared.keys(), context);
        if now != *shared {
            self.rejoin("topics of the group have changed", context);
        }
    }

    fn rejoin(&mut self, why: &'static str, context: &mut Context<'_>) {
        if self.classic.rejoins.replace(why).is_none() {
            context.out.emit(|| Event::Group(GroupEvent::Rejoins { why }));
        }
    }

    /// Before it joins: what was read is committed, then given up. True if there is more to do at once.
    fn prepare(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) -> bool {
        if self.epoch >= 0 {
            if context.config.enable_auto_commit {
                if !is_cooperative(context.config) {
                    // What is read from now on would be read again by the next owner.
                    consumer.release(&consumer.owned());
                }
                self.offsets.commit_read(Why::Release, consumer, context);
            }
            if self.offsets.is_committing_for(Why::Release) || self.listener.is_there() {
                self.state = MemberState::Releasing;
                self.classic.releasing_until = Some(until(context.now, context.config.max_poll_interval_ms));
                return true;
            }
        }
        self.release(consumer, context);
        true
    }

    /// What a member gives up before it joins again. As in Kafka's consumer, that is not revised once the application was told: it
    /// may have subscribed to a topic anew since.
    fn given(&self, consumer: &Consumer, config: &ClientConfig) -> Vec<TopicPartition> {
        let mut given = consumer.owned();
        given.retain(|it| {
            let is_wanted = self.subscribed.contains(&it.topic) && !self.listener.was_told_revoked(it);
            !is_cooperative(config) || !is_wanted
        });
        given
    }

    fn release(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        if self.epoch < 0 || self.member_id.is_empty() {
            self.lose_all(consumer, context);
        } else {
            let given = self.given(consumer, context.config);
            if !given.is_empty() {
                let mut kept = consumer.owned();
                kept.retain(|it| !given.contains(it));
                consumer.take_over(kept, context);
                self.gave_up(given, context);
            }
        }
        self.classic.prepared = true;
        self.classic.is_leader = false;
        for topic in self.classic.shared.iter().flat_map(Map::keys).filter(|it| !self.subscribed.contains(*it)) {
            context.metadata.forget(topic);
        }
        (self.classic.shared, self.classic.releasing_until) = (None, None);
        self.state = MemberState::Outside;
    }

    fn join(&mut self, consumer: &Consumer, context: &mut Context<'_>) -> bool {
        let config = context.config;
        let owned = consumer.owned();
        self.ask(ApiKey::JoinGroup, context, |group, version| {
            let protocols = assignors(config).iter().filter_map(|assignor| {
                let metadata = group.subscription(*assignor, &owned, config).bytes().ok()?;
                Some(JoinGroupRequestProtocol { name: Str::from_static(assignor.name()), metadata })
            });
            let request = JoinGroupRequest {
                group_id: group.id.clone(),
                session_timeout_ms: millis(config.classic_session_ms()),
                rebalance_timeout_ms: millis(config.max_poll_interval_ms),
                member_id: group.member_id.clone(),
                group_instance_id: group.instance.clone().filter(|_| version >= 5),
                protocol_type: Str::from_static(PROTOCOL_TYPE),
                protocols: protocols.collect(),
                reason: group.classic.rejoins.map(Str::from_static),
            };
            group.classic.joined_with = group.subscribed.clone();
            Some((RequestBody::JoinGroup(request), Asked::Join))
        })
    }

    fn subscription(&self, assignor: Assignor, owned: &[TopicPartition], config: &ClientConfig) -> Subscription {
        let last = self.classic.last.as_ref().map(|(partitions, generation)| (&partitions[..], *generation));
        Subscription {
            instance: None,
            topics: self.subscribed.clone(),
            owned: owned.to_vec(),
            generation: Some(self.epoch).filter(|it| *it >= 0),
            rack: Some(config.client_rack.clone()).filter(|it| !it.is_empty()),
            user_data: match assignor {
                Assignor::Range | Assignor::RoundRobin => None,
                Assignor::Sticky => UserData::Sticky.bytes(last),
                Assignor::CooperativeSticky => UserData::Cooperative.bytes(last),
            },
        }
    }

    /// A request got no answer, or one that says to try again.
    pub(super) fn join_again(&mut self, context: &mut Context<'_>) {
        let config = context.config;
        let failures = self.classic.failures;
        let wait = exponential_ms(config.retry_backoff_ms, config.retry_backoff_max_ms, failures, context.random);
        self.classic.failures = failures.saturating_add(1);
        self.classic.retry_at = context.now.mono.plus_ms(wait);
        (self.classic.roster, self.classic.assignment) = (None, None);
        self.classic.rejoins.get_or_insert("a join was not answered");
        self.state = MemberState::Outside;
    }

    pub(super) fn joined(&mut self, body: JoinGroupResponse, consumer: &mut Consumer, context: &mut Context<'_>) {
        match ErrorCode::from_code(body.error_code) {
            ErrorCode::None => self.joined_generation(body, consumer, context),
            ErrorCode::MemberIdRequired => {
                self.member_id = body.member_id;
                self.state = MemberState::Outside;
            }
            error => self.join_refused(ApiKey::JoinGroup, error, consumer, context),
        }
    }

    fn joined_generation(&mut self, body: JoinGroupResponse, consumer: &mut Consumer, context: &mut Context<'_>) {
        let name = body.protocol_name.unwrap_or_default();
        let Some(assignor) = assignors(context.config).iter().find(|it| it.name() == &*name) else {
            return self.join_refused(ApiKey::JoinGroup, ErrorCode::InconsistentGroupProtocol, consumer, context);
        };
        let classic = &mut self.classic;
        classic.assignor = Some(*assignor);
        classic.failures = 0;
        classic.is_leader = body.leader == body.member_id;
        self.epoch = body.generation_id;
        self.member_id = body.member_id;
        let (epoch, member_id, is_leader) = (self.epoch, self.member_id.clone(), classic.is_leader);
        context.out.emit(|| Event::Group(GroupEvent::Joined { epoch, member_id, is_leader }));
        self.heartbeat.answered = Some(context.now.mono);
        self.heartbeat.asked = false;
        self.heartbeat.due = until(context.now, heartbeat_interval(context.config));
        self.looks_again();
        self.state = MemberState::Assigning;
        (self.classic.roster, self.classic.keeps_shares) = (None, body.skip_assignment);
        if !is_leader {
            return;
        }
        let members = body.members.into_iter().map(|it| {
            let subscription = Subscription::read(it.metadata, it.group_instance_id)?;
            Ok((it.member_id, subscription))
        });
        match members.collect::<Result<Map<Str, Subscription>, ProtocolError>>() {
            Ok(roster) => {
                for topic in roster.values().flat_map(|it| it.topics.iter()) {
                    context.metadata.want(topic, false);
                }
                self.classic.roster = Some(roster);
            }
            Err(error) => {
                consumer.fail(Failure::new(Cause::Illegal, format!("a member's subscription cannot be read: {error}")));
                self.join_again(context);
            }
        }
    }

    /// Sends what the leader has shared out; whoever does not lead sends nothing. The leader waits until metadata has told of
    /// all topics.
    fn share_out(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) -> bool {
        let mut assignments = Vec::new();
        let (assignor, roster) = (self.classic.assignor.unwrap_or(Assignor::Range), self.classic.roster.take());
        if let Some(roster) = roster {
            let topics: Set<Str> = roster.values().flat_map(|it| it.topics.iter().cloned()).collect();
            let is_known = topics.iter().all(|it| context.metadata.has_answered(it));
            if !is_known || self.coordinator.ready(context).is_none() {
                if !is_known {
                    context.metadata.request_update();
                }
                self.classic.roster = Some(roster);
                return false;
            }
            let counts = counts(topics.iter(), context);
            let shares = if self.classic.keeps_shares {
                Map::new()
            } else {
                let there = counts.iter().filter(|(_, count)| **count > 0).map(|(it, count)| (it.clone(), *count));
                assignor::assign(assignor, &there.collect(), &roster)
            };
            for (member_id, partitions) in shares {
                match assignor::assignment_bytes(&partitions) {
                    Ok(assignment) => assignments.push(SyncGroupRequestAssignment { member_id, assignment }),
                    Err(error) => {
                        consumer
                            .fail(Failure::new(Cause::Illegal, format!("an assignment cannot be written: {error}")));
                        self.join_again(context);
                        return false;
                    }
                }
            }
            self.classic.shared = Some(counts);
        }
        let sent = self.ask(ApiKey::SyncGroup, context, |group, version| {
            let request = SyncGroupRequest {
                group_id: group.id.clone(),
                generation_id: group.epoch,
                member_id: group.member_id.clone(),
                group_instance_id: group.instance.clone().filter(|_| version >= 3),
                protocol_type: Some(Str::from_static(PROTOCOL_TYPE)),
                protocol_name: Some(Str::from_static(assignor.name())),
                assignments,
            };
            Some((RequestBody::SyncGroup(request), Asked::Sync))
        });
        if sent {
            self.state = MemberState::Syncing;
        }
        false
    }

    pub(super) fn synced(&mut self, body: SyncGroupResponse, consumer: &mut Consumer, context: &mut Context<'_>) {
        match ErrorCode::from_code(body.error_code) {
            ErrorCode::None => {
                self.classic.assignment = Some(body.assignment);
                self.classic.rejoins = None;
            }
            error => self.join_refused(ApiKey::SyncGroup, error, consumer, context),
        }
    }

    /// What JoinGroup and SyncGroup are refused with.
    fn join_refused(&mut self, api: ApiKey, error: ErrorCode, consumer: &mut Consumer, context: &mut Context<'_>) {
        context.out.emit(|| Event::Group(GroupEvent::Refused { api, error }));
        match error {
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::RebalanceInProgress => self.join_again(context),
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.coordinator_lost(context);
                self.join_again(context);
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => self.thrown_out(error),
            ErrorCode::FencedInstanceId => self.fenced(consumer),
            error => {
                consumer.fail(Failure::refused(error, None));
                self.join_again(context);
            }
        }
    }

    /// The group goes on without this member. One whose generation is over keeps its id (KIP-394).
    pub(super) fn thrown_out(&mut self, error: ErrorCode) {
        self.outside(error != ErrorCode::IllegalGeneration);
    }

    /// Another consumer has taken this one's instance id: it must not go on.
    pub(super) fn fenced(&mut self, consumer: &mut Consumer) {
        self.outside(true);
        self.state = MemberState::Failed;
        consumer.fail_for_good(Failure::refused(ErrorCode::FencedInstanceId, None));
    }

    /// The assignment takes effect: the application polls. False while it is not done with what is revoked.
    fn complete(&mut self, bytes: Bytes, consumer: &mut Consumer, context: &mut Context<'_>) -> bool {
        let refused = match assignor::read_assignment(bytes.clone()) {
            // One that has begun to take effect does so to its end, whatever was subscribed to meanwhile.
            Ok(assigned) if self.takes(&assigned) || self.listener.is_ahead() => {
                return self.take_up(assigned, bytes, consumer, context);
            }
            Ok(_) => "its assignment does not match its subscription",
            Err(error) => {
                consumer.fail(Failure::new(Cause::Illegal, format!("an assignment cannot be read: {error}")));
                "its assignment cannot be read"
            }
        };
        self.completed();
        self.rejoin(refused, context);
        true
    }

    fn completed(&mut self) {
        self.state = MemberState::Member;
        self.classic.prepared = false;
    }

    fn take_up(
        &mut self,
        assigned: Vec<TopicPartition>,
        bytes: Bytes,
        consumer: &mut Consumer,
        context: &mut Context<'_>,
    ) -> bool {
        let owned = consumer.owned();
        let added: Vec<TopicPartition> = assigned.iter().filter(|it| !owned.contains(it)).cloned().collect();
        let revoked: Vec<TopicPartition> = owned.into_iter().filter(|it| !assigned.contains(it)).collect();
        if !self.lets_go(&revoked, consumer, context) {
            self.classic.assignment = Some(bytes);
            return false;
        }
        self.completed();
        if !revoked.is_empty() {
            self.gave_up(revoked, context);
            self.rejoin("what it has given up is to be shared out", context);
        }
        self.classic.last = Some((assigned.clone(), self.epoch));
        consumer.take_over(assigned, context);
        self.has_got(added, context);
        true
    }

    pub(super) fn beat_classic(&mut self, context: &mut Context<'_>) {
        let beats = matches!(
            self.state,
            MemberState::Member | MemberState::Syncing | MemberState::Assigning | MemberState::Releasing
        );
        if !beats || self.closing {
            return;
        }
        if self.session_until(context.config).is_some_and(|at| at <= context.now.mono) {
            self.heartbeat.answered = None;
            self.heartbeat.asked = false;
            return self.coordinator_lost(context);
        }
        if self.heartbeat.asked || self.heartbeat.due > context.now.mono {
            return;
        }
        let sent = self.ask(ApiKey::Heartbeat, context, |group, version| {
            let request = HeartbeatRequest {
                group_id: group.id.clone(),
                generation_id: group.epoch,
                member_id: group.member_id.clone(),
                group_instance_id: group.instance.clone().filter(|_| version >= 3),
            };
            Some((RequestBody::Heartbeat(request), Asked::Heartbeat))
        });
        if sent {
            self.heartbeat.asked = true;
            self.heartbeat.due = until(context.now, heartbeat_interval(context.config));
        }
    }

    pub(super) fn heartbeat_answered(&mut self, error: ErrorCode, consumer: &mut Consumer, context: &mut Context<'_>) {
        self.heartbeat.asked = false;
        self.heartbeat.answered = Some(context.now.mono);
        if !matches!(error, ErrorCode::None | ErrorCode::RebalanceInProgress) {
            context.out.emit(|| Event::Group(GroupEvent::Refused { api: ApiKey::Heartbeat, error }));
        }
        match error {
            ErrorCode::None => {}
            ErrorCode::RebalanceInProgress => {
                let is_waiting = self.state == MemberState::Syncing && self.classic.assignment.is_none();
                if !is_waiting && self.state != MemberState::Assigning {
                    self.rejoin("the group rebalances", context);
                }
            }
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => self.coordinator_lost(context),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => self.thrown_out(error),
            ErrorCode::FencedInstanceId => self.fenced(consumer),
            error if error.is_retriable() => {}
            error => consumer.fail(Failure::refused(error, None)),
        }
    }

    /// Tells the coordinator goodbye. A static member does not: it is expected back (KIP-345).
    pub(super) fn leave_classic(&mut self, why: &'static str, context: &mut Context<'_>) -> bool {
        if self.instance.is_some() || self.member_id.is_empty() {
            return false;
        }
        self.ask(ApiKey::LeaveGroup, context, |group, version| {
            let mut request = LeaveGroupRequest { group_id: group.id.clone(), ..LeaveGroupRequest::default() };
            if version >= 3 {
                let reason = Some(Str::from_static(why));
                let member_id = group.member_id.clone();
                request.members = vec![MemberIdentity { member_id, reason, ..MemberIdentity::default() }];
            } else {
                request.member_id = group.member_id.clone();
            }
            Some((RequestBody::LeaveGroup(request), Asked::Leave))
        })
    }
}

/// How many partitions each of these topics has; 0 if it is not there.
fn counts<'a>(topics: impl Iterator<Item = &'a Str>, context: &Context<'_>) -> Map<Str, i32> {
    let count = |it: &Str| context.metadata.topic(it).map_or(0, |it| it.partitions.len() as i32);
    topics.map(|it| (it.clone(), count(it))).collect()
}

fn heartbeat_interval(config: &ClientConfig) -> i64 {
    config.heartbeat_interval_ms.unwrap_or(3_000)
}

pub(super) fn millis(ms: i64) -> i32 {
    i32::try_from(ms).unwrap_or(i32::MAX)
}
