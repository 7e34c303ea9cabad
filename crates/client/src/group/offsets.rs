//! Committed offsets: written when the application says so, in intervals, and before partitions are given up; read for partitions
//! that begin.

use ordered::Map;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse};
use protocol::{ErrorCode, Instant, LeaderEpoch, Offset, Str, TopicPartition};

use super::{Asked, Group};
use crate::backoff::exponential_ms;
use crate::client::Context;
use crate::config::GroupProtocol;
use crate::consumer::Consumer;
use crate::event::{Event, GroupEvent};
use crate::input::OpId;
use crate::outbox::{Answer, Cause, Failure, Outcome, Position};
use crate::view::MemberState;
use crate::wire::{ApiKey, RequestBody};

/// Why offsets are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The application wants it.
    Application(OpId),
    /// `auto.commit.interval.ms`
    Auto,
    /// Partitions are about to be given up.
    Release,
    /// The client ends.
    Close,
}

impl Why {
    /// What the application asked for, if it did.
    fn asked(self) -> Option<OpId> {
        match self {
            Why::Application(op) => Some(op),
            Why::Auto | Why::Release | Why::Close => None,
        }
    }
}

/// What is committed, and what is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Offsets {
    commits: Vec<Commit>,
    lookups: Vec<Lookup>,
    next: u64,
    auto_at: Instant,
    /// Partitions that begin wait for the coordinator.
    begins: bool,
    known: Map<TopicPartition, Offset>,
}

#[derive(Clone, Debug)]
struct Commit {
    id: u64,
    why: Why,
    offsets: Vec<(TopicPartition, Position)>,
    deadline: Instant,
    retry_at: Instant,
    failures: u32,
    asked: bool,
    /// It was sent at least once, and nobody said that nothing came of it.
    in_doubt: bool,
}

/// The application asks what is committed.
#[derive(Clone, Debug)]
struct Lookup {
    id: u64,
    op: OpId,
    partitions: Vec<TopicPartition>,
    deadline: Instant,
    retry_at: Instant,
    asked: bool,
}

/// What an OffsetFetch says of a partition.
enum Told {
    Committed(Option<Position>),
    Again,
    Refused(ErrorCode),
}

impl Offsets {
    pub(super) fn is_committing(&self) -> bool {
        !self.commits.is_empty()
    }

    pub(super) fn is_committing_for(&self, why: Why) -> bool {
        self.commits.iter().any(|it| it.why == why)
    }

    /// Nobody waits any more for what is committed for this reason.
    pub(super) fn drop_for(&mut self, why: Why, context: &mut Context<'_>) {
        self.give_up(|it| it.why == why, context);
    }

    fn give_up(&mut self, is: impl Fn(&Commit) -> bool, context: &mut Context<'_>) {
        let (given_up, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.commits).into_iter().partition(is);
        self.commits = kept;
        for Commit { id, offsets, .. } in given_up.into_iter().filter(|it| it.in_doubt) {
            context.out.emit(|| Event::Group(GroupEvent::CommitFailed { id, offsets: plain(&offsets), error: None }));
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.commits.is_empty() || !self.lookups.is_empty() || self.begins
    }

    /// `auto.commit.interval.ms` is over.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.auto_at <= now
    }

    pub(super) fn reschedule(&mut self, context: &Context<'_>) {
        self.auto_at = context.now.mono.plus_ms(context.config.auto_commit_interval_ms);
    }

    pub(super) fn known(&self) -> Vec<(TopicPartition, Offset)> {
        self.known.iter().map(|(partition, offset)| (partition.clone(), *offset)).collect()
    }

    /// Commits what the application was given so far, unless that is under way for the same reason.
    pub(super) fn commit_read(&mut self, why: Why, consumer: &Consumer, context: &Context<'_>) {
        let offsets = consumer.positions();
        if !offsets.is_empty() && !self.is_committing_for(why) {
            self.commit(why, offsets, context);
        }
    }

    fn commit(&mut self, why: Why, offsets: Vec<(TopicPartition, Position)>, context: &Context<'_>) {
        self.next += 1;
        let now = context.now.mono;
        let deadline = now.plus_ms(context.config.default_api_timeout_ms);
        let id = self.next;
        self.commits.push(Commit {
            id,
            why,
            offsets,
            deadline,
            retry_at: now,
            failures: 0,
            asked: false,
            in_doubt: false,
        });
    }

    pub(super) fn ask_again(&mut self, id: u64, context: &Context<'_>) {
        if let Some(lookup) = self.lookups.iter_mut().find(|it| it.id == id) {
            lookup.asked = false;
            lookup.retry_at = context.now.mono.plus_ms(context.config.retry_backoff_ms);
        }
    }

    pub(super) fn deadlines(&self, commits_itself: bool, times: &mut Vec<Instant>) {
        if commits_itself {
            times.push(self.auto_at);
        }
        for it in &self.commits {
            times.extend([it.deadline, it.retry_at]);
        }
        for it in &self.lookups {
            times.extend([it.deadline, it.retry_at]);
        }
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = OpId> {
        let commits = self.commits.iter().filter_map(|it| it.why.asked());
        commits.chain(self.lookups.iter().map(|it| it.op))
    }

    pub(super) fn abort(&mut self, context: &mut Context<'_>) {
        let closed = || Failure::new(Cause::Illegal, "This consumer has already been closed.");
        for op in self.pending().collect::<Vec<_>>() {
            context.out.failed(op, closed());
        }
        self.give_up(|_| true, context);
        self.lookups.clear();
    }
}

impl Group {
    /// The application commits; `None` is what it was given so far.
    pub(crate) fn commit(
        &mut self,
        op: OpId,
        offsets: Option<Vec<(TopicPartition, Position)>>,
        consumer: &Consumer,
        context: &mut Context<'_>,
    ) {
        let offsets = offsets.unwrap_or_else(|| consumer.positions());
        if offsets.is_empty() {
            return context.out.done(op, Answer::Done);
        }
        self.offsets.commit(Why::Application(op), offsets, context);
    }

    /// The application asks what is committed.
    pub(crate) fn look_up(&mut self, op: OpId, partitions: Vec<TopicPartition>, context: &mut Context<'_>) {
        self.offsets.next += 1;
        let (id, now) = (self.offsets.next, context.now.mono);
        let deadline = now.plus_ms(context.config.default_api_timeout_ms);
        self.offsets.lookups.push(Lookup { id, op, partitions, deadline, retry_at: now, asked: false });
    }

    pub(super) fn send_commits(&mut self, context: &mut Context<'_>) {
        let now = context.now.mono;
        let ids: Vec<u64> = self.offsets.commits.iter().map(|it| it.id).collect();
        for id in ids {
            let Some(commit) = self.offsets.commits.iter().find(|it| it.id == id) else { continue };
            if commit.deadline <= now {
                let why = format!(
                    "Timeout of {}ms expired before successfully committing offsets",
                    context.config.default_api_timeout_ms
                );
                self.end_commit(id, Some((None, Failure::new(Cause::TimedOut, why))), context);
                continue;
            }
            if commit.asked || commit.retry_at > now {
                continue;
            }
            if self.is_subscribed() && self.epoch < 0 {
                // It was thrown out, and knows: nobody has to be asked.
                self.end_commit(id, Some((Some(ErrorCode::UnknownMemberId), not_a_member())), context);
                continue;
            }
            self.send_commit(id, context);
        }
    }

    fn send_commit(&mut self, id: u64, context: &mut Context<'_>) {
        let Some(commit) = self.offsets.commits.iter().find(|it| it.id == id) else { return };
        let offsets = commit.offsets.clone();
        let is_first = !commit.in_doubt;
        let op = commit.why.asked();
        let sent = self.ask(ApiKey::OffsetCommit, context, |group, version| {
            let request = group.commit_request(&offsets, version);
            Some((RequestBody::OffsetCommit(request), Asked::Commit(id)))
        });
        if let Some(commit) = self.offsets.commits.iter_mut().find(|it| it.id == id).filter(|_| sent) {
            (commit.asked, commit.in_doubt) = (true, true);
        }
        if sent && is_first {
            context.out.emit(|| Event::Group(GroupEvent::Commits { id, op, offsets: plain(&offsets) }));
        }
    }

    fn commit_request(&self, offsets: &[(TopicPartition, Position)], version: i16) -> OffsetCommitRequest {
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for (partition, position) in offsets {
            let data = OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: position.offset.0,
                committed_leader_epoch: position.offset_epoch.map_or(-1, |it| it.0),
                committed_metadata: Some(Str::new()),
            };
            match topics.iter_mut().find(|it| it.name == partition.topic) {
                Some(topic) => topic.partitions.push(data),
                None => {
                    let name = partition.topic.clone();
                    topics.push(OffsetCommitRequestTopic { name, partitions: vec![data], ..Default::default() });
                }
            }
        }
        let is_member = self.is_subscribed();
        OffsetCommitRequest {
            group_id: self.id.clone(),
            generation_id_or_member_epoch: if is_member { self.epoch } else { -1 },
            member_id: if is_member { self.member_id.clone() } else { Str::new() },
            group_instance_id: self.instance.clone().filter(|_| version >= 7 && is_member),
            topics,
            ..OffsetCommitRequest::default()
        }
    }

    pub(super) fn committed(&mut self, id: u64, body: &OffsetCommitResponse, context: &mut Context<'_>) {
        let errors = body.topics.iter().flat_map(|it| &it.partitions).map(|it| ErrorCode::from_code(it.error_code));
        let error = errors.into_iter().find(|it| *it != ErrorCode::None);
        let Some(error) = error else { return self.end_commit(id, None, context) };
        context.out.emit(|| Event::Group(GroupEvent::Refused { api: ApiKey::OffsetCommit, error }));
        match error {
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator | ErrorCode::RequestTimedOut => {
                self.coordinator_lost(context);
                self.commit_again(id, context);
            }
            error if error.is_retriable() && error != ErrorCode::RebalanceInProgress => {
                self.commit_again(id, context);
            }
            ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::StaleMemberEpoch
            | ErrorCode::FencedMemberEpoch => {
                self.commit_disowned(error);
                let mut failure = not_a_member();
                failure.cause = Cause::Refused(error);
                self.end_commit(id, Some((Some(error), failure)), context);
            }
            ErrorCode::RebalanceInProgress => {
                let why = "Offset commit cannot be completed since the consumer is undergoing a rebalance for auto partition \
                           assignment. You can try completing the rebalance by calling poll() and then retry the operation.";
                self.end_commit(id, Some((Some(error), Failure::refused(error, Some(why)))), context);
            }
            error => self.end_commit(id, Some((Some(error), Failure::refused(error, None))), context),
        }
    }

    /// A refusal of a commit that tells a member of the classic protocol that it is out. One of KIP-848's hears it from its
    /// heartbeats.
    fn commit_disowned(&mut self, error: ErrorCode) {
        if self.protocol == GroupProtocol::Classic
            && matches!(self.state, MemberState::Member | MemberState::Releasing | MemberState::Syncing)
        {
            self.thrown_out(error);
        }
    }

    pub(super) fn commit_lost(&mut self, id: u64, context: &mut Context<'_>) {
        self.commit_again(id, context);
    }

    /// A commit is tried again after a while; one that comes again by itself is not.
    fn commit_again(&mut self, id: u64, context: &mut Context<'_>) {
        let Some(commit) = self.offsets.commits.iter_mut().find(|it| it.id == id) else { return };
        if commit.why == Why::Auto {
            let wait = context.config.retry_backoff_ms;
            self.offsets.auto_at = self.offsets.auto_at.min(context.now.mono.plus_ms(wait));
            let failure = Failure::new(Cause::Disconnected, "it is tried again");
            return self.end_commit(id, Some((None, failure)), context);
        }
        let config = context.config;
        let wait =
            exponential_ms(config.retry_backoff_ms, config.retry_backoff_max_ms, commit.failures, context.random);
        commit.failures = commit.failures.saturating_add(1);
        commit.asked = false;
        commit.retry_at = context.now.mono.plus_ms(wait);
    }

    fn end_commit(&mut self, id: u64, wrong: Option<(Option<ErrorCode>, Failure)>, context: &mut Context<'_>) {
        let Some(index) = self.offsets.commits.iter().position(|it| it.id == id) else { return };
        let commit = self.offsets.commits.remove(index);
        let offsets = plain(&commit.offsets);
        match wrong {
            None => {
                for (partition, offset) in &offsets {
                    self.offsets.known.insert(partition.clone(), *offset);
                }
                context.out.emit(|| Event::Group(GroupEvent::Committed { id, offsets }));
                if let Why::Application(op) = commit.why {
                    context.out.done(op, Answer::Done);
                }
            }
            Some((error, failure)) => {
                // What was tried before may have been done all the same.
                let said = error.filter(|_| commit.failures == 0);
                context.out.emit(|| Event::Group(GroupEvent::CommitFailed { id, offsets, error: said }));
                if let Why::Application(op) = commit.why {
                    let is_unknown = error.is_none() && commit.in_doubt;
                    let outcome = if is_unknown { Outcome::Unknown(failure) } else { Outcome::Failed(failure) };
                    context.out.outcomes.push((op, outcome));
                }
            }
        }
    }

    /// Asks where the group is in partitions that begin, and where the application wants to know.
    pub(super) fn ask_committed(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        let begin = consumer.uncommitted(context.now.mono);
        self.offsets.begins = false;
        if !begin.is_empty() {
            let partitions: Vec<TopicPartition> = begin.iter().map(|it| it.0.clone()).collect();
            let asked = begin.clone();
            let sent = self.ask(ApiKey::OffsetFetch, context, |group, version| {
                Some((group.fetch_request(&partitions, version), Asked::Committed(asked)))
            });
            if sent {
                consumer.asked_committed(&begin);
            } else {
                self.offsets.begins = true;
                self.find(context);
            }
        }
        let ids: Vec<u64> = self.offsets.lookups.iter().map(|it| it.id).collect();
        for id in ids {
            let Some(index) = self.offsets.lookups.iter().position(|it| it.id == id) else { continue };
            let lookup = &self.offsets.lookups[index];
            if lookup.deadline <= context.now.mono {
                let why = format!(
                    "Timeout of {}ms expired before the last committed offset for partitions could be determined",
                    context.config.default_api_timeout_ms
                );
                context.out.failed(lookup.op, Failure::new(Cause::TimedOut, why));
                self.offsets.lookups.remove(index);
            } else if !lookup.asked && lookup.retry_at <= context.now.mono {
                let partitions = lookup.partitions.clone();
                let sent = self.ask(ApiKey::OffsetFetch, context, |group, version| {
                    Some((group.fetch_request(&partitions, version), Asked::CommittedFor(id)))
                });
                self.offsets.lookups[index].asked = sent;
            }
        }
    }

    fn fetch_request(&self, partitions: &[TopicPartition], version: i16) -> RequestBody {
        let mut topics: Map<Str, Vec<i32>> = Map::new();
        for it in partitions {
            topics.entry(it.topic.clone()).or_default().push(it.partition);
        }
        let mut request = OffsetFetchRequest { require_stable: version >= 7, ..OffsetFetchRequest::default() };
        if version >= 8 {
            let is_member = self.protocol == GroupProtocol::Consumer && self.is_subscribed() && self.epoch > 0;
            let topics = topics.into_iter().map(|(name, partition_indexes)| OffsetFetchRequestTopics {
                name,
                partition_indexes,
                ..OffsetFetchRequestTopics::default()
            });
            request.groups = vec![OffsetFetchRequestGroup {
                group_id: self.id.clone(),
                member_id: is_member.then(|| self.member_id.clone()),
                member_epoch: if is_member { self.epoch } else { -1 },
                topics: Some(topics.collect()),
            }];
        } else {
            let topics = topics.into_iter();
            let topics = topics.map(|(name, partition_indexes)| OffsetFetchRequestTopic { name, partition_indexes });
            (request.group_id, request.topics) = (self.id.clone(), Some(topics.collect()));
        }
        RequestBody::OffsetFetch(request)
    }

    pub(super) fn told_committed(
        &mut self,
        asked: &[(TopicPartition, u64)],
        body: &OffsetFetchResponse,
        consumer: &mut Consumer,
        context: &mut Context<'_>,
    ) {
        for (partition, generation) in asked {
            match told(body, partition) {
                Told::Committed(position) => {
                    let offset = position.map(|it| it.offset);
                    match offset {
                        Some(offset) => drop(self.offsets.known.insert(partition.clone(), offset)),
                        None => drop(self.offsets.known.remove(partition)),
                    }
                    context.out.emit(|| Event::Group(GroupEvent::Found { partition: partition.clone(), offset }));
                    consumer.begin_at(partition, *generation, position, context);
                }
                Told::Again => consumer.ask_committed_again(&[(partition.clone(), *generation)], context),
                Told::Refused(error) => {
                    self.fetch_refused(error, consumer, context);
                    consumer.ask_committed_again(&[(partition.clone(), *generation)], context);
                }
            }
        }
    }

    fn fetch_refused(&mut self, error: ErrorCode, consumer: &mut Consumer, context: &mut Context<'_>) {
        match error {
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => self.coordinator_lost(context),
            // Its heartbeats tell it too, and what follows.
            ErrorCode::UnknownMemberId | ErrorCode::StaleMemberEpoch => {}
            error if error.is_retriable() => {}
            error => self.refused(ApiKey::OffsetFetch, error, None, consumer, context),
        }
    }

    pub(super) fn told_committed_for(&mut self, id: u64, body: &OffsetFetchResponse, context: &mut Context<'_>) {
        let Some(index) = self.offsets.lookups.iter().position(|it| it.id == id) else { return };
        let mut answers = Vec::new();
        for partition in &self.offsets.lookups[index].partitions {
            match told(body, partition) {
                Told::Committed(position) => answers.push((partition.clone(), position)),
                Told::Again => return self.offsets.ask_again(id, context),
                Told::Refused(error) => {
                    if matches!(error, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) {
                        self.coordinator_lost(context);
                        return self.offsets.ask_again(id, context);
                    }
                    let op = self.offsets.lookups.remove(index).op;
                    return context.out.failed(op, Failure::refused(error, None));
                }
            }
        }
        let op = self.offsets.lookups.remove(index).op;
        context.out.done(op, Answer::Committed(answers));
    }
}

fn told(body: &OffsetFetchResponse, partition: &TopicPartition) -> Told {
    let whole = body.groups.first().map_or(body.error_code, |it| it.error_code);
    let mut found = None;
    for topic in body.groups.iter().flat_map(|it| &it.topics).filter(|it| it.name == partition.topic) {
        let answer = topic.partitions.iter().find(|it| it.partition_index == partition.partition);
        found = answer.map(|it| (it.error_code, it.committed_offset, it.committed_leader_epoch));
    }
    for topic in body.topics.iter().filter(|it| it.name == partition.topic) {
        let answer = topic.partitions.iter().find(|it| it.partition_index == partition.partition);
        found = answer.map(|it| (it.error_code, it.committed_offset, it.committed_leader_epoch));
    }
    let error = ErrorCode::from_code(if whole != 0 { whole } else { found.map_or(0, |it| it.0) });
    match (error, found) {
        (ErrorCode::None, Some((_, offset @ 0.., epoch))) => {
            let offset_epoch = (epoch >= 0).then_some(LeaderEpoch(epoch));
            Told::Committed(Some(Position { offset: Offset(offset), offset_epoch }))
        }
        (ErrorCode::None, Some(_)) => Told::Committed(None),
        (ErrorCode::None, None)
        | (ErrorCode::CoordinatorLoadInProgress | ErrorCode::UnstableOffsetCommit | ErrorCode::StaleMemberEpoch, _) => {
            Told::Again
        }
        (error, _) => Told::Refused(error),
    }
}

fn plain(offsets: &[(TopicPartition, Position)]) -> Vec<(TopicPartition, Offset)> {
    offsets.iter().map(|(partition, position)| (partition.clone(), position.offset)).collect()
}

fn not_a_member() -> Failure {
    let why = "Offset commit cannot be completed since the consumer is not part of an active group for auto partition assignment; \
               it is likely that the consumer was kicked out of the group.";
    Failure::refused(ErrorCode::UnknownMemberId, Some(why))
}
