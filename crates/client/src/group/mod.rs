//! Membership in a consumer group: who coordinates it, what this member may read, what it has committed.
//!
//! Both protocols are here. In the classic one ([`classic`]) all members join, one of them shares the partitions out; in KIP-848's
//! ([`member`]) the coordinator does. As in Kafka's consumer, what changes an assignment happens while the application polls:
//! a consumer that does not poll goes on holding what it has, until `max.poll.interval.ms` is over and it leaves.

mod assignor;
mod classic;
mod coordinator;
mod listener;
mod member;
mod offsets;
mod subscription;

use ordered::Set;
use protocol::{ErrorCode, Instant, Now, Str, TopicPartition};

use self::classic::Classic;
use self::coordinator::Coordinator;
use self::listener::Listener;
use self::member::Member;
use self::offsets::Offsets;
use self::subscription::ByPattern;
use crate::client::{Context, Ticket};
use crate::config::{ClientConfig, GroupProtocol};
use crate::consumer::Consumer;
use crate::event::{Event, GroupEvent};
use crate::input::OpId;
use crate::network::Lost;
use crate::outbox::{Answer, Cause, Failure, Rebalance};
use crate::view::{GroupView, MemberState, PendingState, PendingView};
use crate::wire::{ApiKey, RequestBody, ResponseBody};

pub use assignor::Assignor;

/// A consumer's group, whether it is a member or only commits there.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    id: Str,
    instance: Option<Str>,
    protocol: GroupProtocol,
    /// The topics whose partitions are shared; none for a consumer that assigns itself.
    subscribed: Set<Str>,
    /// They are those that match.
    by_pattern: Option<ByPattern>,
    coordinator: Coordinator,
    member_id: Str,
    /// Generation or member epoch; negative while it is in none.
    epoch: i32,
    state: MemberState,
    /// Raised when the membership begins anew: answers to what was asked before say nothing any more.
    attempt: u64,
    heartbeat: Heartbeat,
    /// When the application polled last.
    polled_at: Instant,
    offsets: Offsets,
    listener: Listener,
    classic: Classic,
    member: Member,
    /// What the coordinator does not speak; told by the next poll.
    unsupported: Option<ApiKey>,
    closing: bool,
    /// The subscription ends, and who is told so.
    ending: Option<OpId>,
}

/// When this member was heard of, and when it is to be heard of again.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    due: Instant,
    asked: bool,
    answered: Option<Instant>,
}

/// Who of the group waits for an answer, and in which attempt it asked.
#[derive(Clone, Debug)]
pub(crate) struct GroupTicket {
    attempt: u64,
    asked: Asked,
}

#[derive(Clone, Debug)]
enum Asked {
    Coordinator,
    Join,
    Sync,
    Heartbeat,
    Leave,
    /// By its number.
    Commit(u64),
    Committed(Vec<(TopicPartition, u64)>),
    CommittedFor(u64),
    /// KIP-848's heartbeat, and what it told the coordinator to be owned.
    MemberHeartbeat,
}

impl Group {
    /// The group of a configuration, if it names one.
    pub(crate) fn new(config: &ClientConfig) -> Option<Group> {
        let id = config.group_id.clone()?;
        Some(Group {
            id,
            instance: config.group_instance_id.clone(),
            protocol: config.group_protocol,
            subscribed: Set::new(),
            by_pattern: None,
            coordinator: Coordinator::default(),
            member_id: Str::new(),
            epoch: -1,
            state: MemberState::Outside,
            attempt: 0,
            heartbeat: Heartbeat { due: Instant(0), asked: false, answered: None },
            polled_at: Instant(0),
            offsets: Offsets::default(),
            listener: Listener::default(),
            classic: Classic::default(),
            member: Member::default(),
            unsupported: None,
            closing: false,
            ending: None,
        })
    }

    /// The application ends the client: what it has read is committed, then it says goodbye.
    pub(crate) fn close(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        self.closing = true;
        if context.config.enable_auto_commit && (self.epoch >= 0 || !self.is_subscribed()) {
            self.offsets.commit_read(offsets::Why::Close, consumer, context);
        }
    }

    /// True if nothing is left to be told to the coordinator.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, MemberState::Outside | MemberState::Failed) && !self.offsets.is_committing()
    }

    /// Does whatever can be done now.
    pub(crate) fn drive(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        if self.is_polled(consumer) {
            self.polled_at = context.now.mono;
            self.match_topics(context);
        } else if self.is_subscribed() && self.is_in() && self.poll_until(context.config) <= context.now.mono {
            self.leave("the application has not polled for max.poll.interval.ms", context);
        }
        self.find(context);
        if self.closing || self.ending.is_some() {
            self.end(consumer, context);
        } else if self.is_subscribed() {
            // Not every step is the last one: a member that has its assignment may have to join again.
            let mut steps = 0;
            while steps < 8 && !self.listener.acts() && self.step(consumer, context) {
                steps += 1;
            }
        }
        consumer.hold(self.listener.acts());
        self.beat(consumer, context);
        if consumer.is_polled() && context.config.enable_auto_commit && self.offsets.is_due(context.now.mono) {
            self.offsets.reschedule(context);
            if self.state == MemberState::Member || !self.is_subscribed() {
                self.offsets.commit_read(offsets::Why::Auto, consumer, context);
            }
        }
        self.ask_committed(consumer, context);
        self.send_commits(context);
        if let Some(api) = self.unsupported.take() {
            consumer.fail_for_good(unsupported(api));
        }
    }

    /// The application waits for records. One that acts on what it was told would be within its poll still, in Kafka's client.
    fn is_polled(&self, consumer: &Consumer) -> bool {
        consumer.is_polled() && !self.listener.acts()
    }

    /// The application wants the membership to end: what it has it gives up first.
    fn end(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        let is_in = self.is_in();
        if is_in {
            if (self.closing && self.offsets.is_committing()) || !self.lets_go(&consumer.owned(), consumer, context) {
                return;
            }
        } else if self.is_subscribed() {
            self.lose_all(consumer, context);
        }
        if is_in || self.ending.is_some() {
            let why = match self.ending {
                None => "the consumer is being closed",
                Some(_) => "the consumer unsubscribed from all topics",
            };
            self.leave(why, context);
            self.give_up_all(consumer, context);
        }
        if let Some(op) = self.ending.take() {
            self.unsubscribe(consumer, context);
            context.out.done(op, Answer::Done);
        }
    }

    fn step(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) -> bool {
        match self.protocol {
            GroupProtocol::Classic => self.step_classic(consumer, context),
            GroupProtocol::Consumer => self.step_member(consumer, context),
        }
    }

    fn beat(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        match self.protocol {
            GroupProtocol::Classic => self.beat_classic(context),
            GroupProtocol::Consumer => self.beat_member(consumer, context),
        }
    }

    /// The answer to one of the group's requests, or that none came.
    pub(crate) fn handle(
        &mut self,
        ticket: GroupTicket,
        answer: Result<ResponseBody, Lost>,
        consumer: &mut Consumer,
        context: &mut Context<'_>,
    ) {
        match (&ticket.asked, &answer) {
            (Asked::Coordinator, _) => {}
            (_, Ok(_)) => self.coordinator.heard(),
            (_, Err(_)) => self.coordinator_lost(context),
        }
        let is_current = ticket.attempt == self.attempt;
        match (ticket.asked, answer) {
            (Asked::Coordinator, Ok(ResponseBody::FindCoordinator(body))) => self.found(body, consumer, context),
            (Asked::Coordinator, _) => self.coordinator.again(context),
            (Asked::Commit(id), Ok(ResponseBody::OffsetCommit(body))) => self.committed(id, &body, context),
            (Asked::Commit(id), _) => self.commit_lost(id, context),
            (Asked::Committed(asked), Ok(ResponseBody::OffsetFetch(body))) => {
                self.told_committed(&asked, &body, consumer, context);
            }
            (Asked::Committed(asked), _) => consumer.ask_committed_again(&asked, context),
            (Asked::CommittedFor(id), Ok(ResponseBody::OffsetFetch(body))) => {
                self.told_committed_for(id, &body, context);
            }
            (Asked::CommittedFor(id), _) => self.offsets.ask_again(id, context),
            (Asked::Leave, _) => {
                if self.state == MemberState::Leaving {
                    self.state = MemberState::Outside;
                }
            }
            _ if !is_current => {}
            (Asked::Join, Ok(ResponseBody::JoinGroup(body))) => self.joined(body, consumer, context),
            (Asked::Sync, Ok(ResponseBody::SyncGroup(body))) => self.synced(body, consumer, context),
            (Asked::Heartbeat, Ok(ResponseBody::Heartbeat(body))) => {
                self.heartbeat_answered(ErrorCode::from_code(body.error_code), consumer, context);
            }
            (Asked::MemberHeartbeat, Ok(ResponseBody::ConsumerGroupHeartbeat(body))) => {
                self.member_answered(body, consumer, context);
            }
            (Asked::Join | Asked::Sync, _) => self.join_again(context),
            (Asked::Heartbeat, _) => self.heartbeat.asked = false,
            (Asked::MemberHeartbeat, _) => self.member_unheard(context),
        }
    }

    /// True while the coordinator knows this member, as far as it knows itself.
    fn is_in(&self) -> bool {
        !matches!(self.state, MemberState::Outside | MemberState::Leaving | MemberState::Failed)
    }

    fn poll_until(&self, config: &ClientConfig) -> Instant {
        self.polled_at.plus_ms(config.max_poll_interval_ms)
    }

    /// Says goodbye, if the coordinator knows this member and is known. What it has read it still believes to be its own: the
    /// application hears of it in its next poll.
    fn leave(&mut self, why: &'static str, context: &mut Context<'_>) {
        if self.is_in() || self.state == MemberState::Failed {
            context.out.emit(|| Event::Group(GroupEvent::Leaves { why }));
            let told = match self.protocol {
                GroupProtocol::Classic => self.leave_classic(why, context),
                GroupProtocol::Consumer => self.leave_member(context),
            };
            self.outside(true);
            if told {
                self.state = MemberState::Leaving;
            }
        }
    }

    /// It is no member any more, and begins anew.
    fn outside(&mut self, forgets_id: bool) {
        self.attempt += 1;
        self.state = MemberState::Outside;
        self.epoch = -1;
        if forgets_id && self.protocol == GroupProtocol::Classic {
            self.member_id = Str::new();
        }
        self.heartbeat.asked = false;
        self.classic.begin_anew();
        self.member.begin_anew();
    }

    /// Gives up every partition because the membership ends.
    fn give_up_all(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        let owned = consumer.owned();
        if !owned.is_empty() {
            consumer.take_over(Vec::new(), context);
            self.gave_up(owned, context);
        }
    }

    /// It has given up these in good order.
    fn gave_up(&mut self, partitions: Vec<TopicPartition>, context: &mut Context<'_>) {
        self.listener.gone(&partitions);
        context.out.emit(|| Event::Group(GroupEvent::Revoked { partitions }));
    }

    /// It reads these, too, from now on.
    fn has_got(&mut self, partitions: Vec<TopicPartition>, context: &mut Context<'_>) {
        self.offsets.reschedule(context);
        self.listener.tell(Rebalance::Assigned(partitions.clone()), context.out);
        let epoch = self.epoch;
        context.out.emit(|| Event::Group(GroupEvent::Assigned { epoch, partitions }));
    }

    /// Every partition was taken away: somebody else may have them already.
    fn lose_all(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        let owned = consumer.owned();
        if !owned.is_empty() {
            consumer.take_over(Vec::new(), context);
            let untold = self.listener.gone(&owned);
            if !untold.is_empty() {
                self.listener.tell(Rebalance::Lost(untold), context.out);
            }
            context.out.emit(|| Event::Group(GroupEvent::Lost { partitions: owned }));
        }
    }

    /// The coordinator refused this member for good: the application is told in its next poll.
    fn refused(
        &mut self,
        api: ApiKey,
        error: ErrorCode,
        message: Option<&str>,
        consumer: &mut Consumer,
        context: &mut Context<'_>,
    ) {
        context.out.emit(|| Event::Group(GroupEvent::Refused { api, error }));
        consumer.fail(Failure::refused(error, message));
    }

    /// Sends a request to the coordinator, if it can be sent now.
    fn ask(
        &mut self,
        api: ApiKey,
        context: &mut Context<'_>,
        request: impl FnOnce(&mut Group, i16) -> Option<(RequestBody, Asked)>,
    ) -> bool {
        let Some(node) = self.coordinator.ready(context) else { return false };
        let Some(version) = context.network.version(node, api) else {
            self.state = MemberState::Failed;
            self.unsupported = Some(api);
            return false;
        };
        // Newer ones name topics by ids that metadata may not have told yet.
        let version = match api {
            ApiKey::OffsetCommit | ApiKey::OffsetFetch => version.min(9),
            _ => version,
        };
        let Some((body, asked)) = request(self, version) else { return false };
        let timeout_ms = match asked {
            // The answer waits for the slowest member.
            Asked::Join => {
                context.config.request_timeout_ms.max(context.config.max_poll_interval_ms.saturating_add(5_000))
            }
            _ => context.config.request_timeout_ms,
        };
        let ticket = Ticket::Group(GroupTicket { attempt: self.attempt, asked });
        context.send_within(node, version, body, ticket, timeout_ms);
        true
    }

    /// Gives up all that waits.
    pub(crate) fn abort(&mut self, context: &mut Context<'_>) {
        self.offsets.abort(context);
        for op in self.listener.pending().into_iter().chain(self.ending) {
            context.out.failed(op, Failure::new(Cause::Illegal, "This consumer has already been closed."));
        }
    }

    /// When something here is due.
    pub(crate) fn wake_at(&self, consumer: &Consumer, context: &Context<'_>) -> Option<Instant> {
        let now = context.now;
        let mut times = vec![self.coordinator.retry_at];
        if self.is_in() {
            times.push(self.heartbeat.due);
            if let Some(at) = self.session_until(context.config) {
                times.push(at);
            }
            if !self.is_polled(consumer) {
                times.push(self.poll_until(context.config));
            }
        }
        times.push(self.classic.retry_at);
        times.extend(self.classic.releasing_until);
        times.extend(self.member.releasing_until);
        self.offsets.deadlines(consumer.is_polled() && context.config.enable_auto_commit, &mut times);
        times.into_iter().filter(|at| *at > now.mono).min()
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = PendingView> {
        let ops = self.offsets.pending().chain(self.listener.pending()).chain(self.ending);
        ops.map(|op| PendingView { op, state: PendingState::Waiting })
    }

    pub(crate) fn view(&self, consumer: &Consumer, config: &ClientConfig) -> GroupView {
        GroupView {
            group: self.id.clone(),
            protocol: self.protocol,
            assignor: match self.protocol {
                GroupProtocol::Classic => self.classic.assignor.map(|it| Str::from_static(it.name())),
                GroupProtocol::Consumer => config.group_remote_assignor.clone(),
            },
            topics: self.subscribed.iter().cloned().collect(),
            member_id: self.member_id.clone(),
            instance: self.instance.clone(),
            epoch: self.epoch,
            state: self.state,
            is_leader: self.classic.is_leader,
            coordinator: self.coordinator.node,
            owned: consumer.owned(),
            releasing: consumer.releasing(),
            awaiting: self.member.awaiting(consumer),
            committed: self.offsets.known(),
            heard_at: self.heartbeat.answered,
            poll_until: (self.is_in() && !self.is_polled(consumer)).then(|| self.poll_until(config)),
        }
    }
}

/// The refusal of a call that needs a group.
pub(crate) fn no_group() -> Failure {
    let why = "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer configuration.";
    Failure::refused(ErrorCode::InvalidGroupId, Some(why))
}

fn unsupported(api: ApiKey) -> Failure {
    let why = match api {
        ApiKey::ConsumerGroupHeartbeat => {
            "The cluster does not support the new CONSUMER group protocol. Set group.protocol=classic on the consumer configs to \
             revert to the CLASSIC protocol until the cluster is upgraded."
                .to_owned()
        }
        api => format!("The coordinator does not support {}", api.name()),
    };
    Failure::new(Cause::UnsupportedVersion, why)
}

fn until(now: Now, ms: i64) -> Instant {
    now.mono.plus_ms(ms.max(0))
}
