//! The groups of one partition of `__consumer_offsets`, while this broker leads it: append, park, settle.
//!
//! What was appended counts at once for what is decided next; what others read of offsets counts once the high watermark has
//! passed it. The state of a rebalance is in no log: it is gone with the leadership, and members join again elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;

use ordered::{Map, Set};
use protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use protocol::records::{BatchBuilder, Compressors};
use protocol::{ErrorCode, Instant, LeaderEpoch, Now, Offset, Random, ResponseBody, Str, TopicPartition};

use super::change::{Change, OffsetValue};
use super::classic::ClassicGroup;
use super::consumer::{ConsumerGroup, Deadlines, TopicPatterns};
use super::load::Load;
use crate::config::{Config, GroupConfig};
use crate::deferred::{RequestId, Waiter};
use crate::event::Event;
use crate::image::{Image, Resource, ResourceType};
use crate::ops::Ops;
use crate::outbox::Outbox;
use crate::partition::Partition;

/// One partition's groups.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub(super) epoch: LeaderEpoch,
    pub(super) phase: Phase,
    pub(super) groups: Map<Str, Arc<Group>>,
    pub(super) timers: Set<(Instant, Str, Timer)>,
    pub(super) parked: VecDeque<Parked>,
    /// Offsets above the high watermark: where each record ends.
    pub(super) uncommitted: VecDeque<(Offset, Str, TopicPartition, Option<OffsetValue>)>,
    /// Everything below is committed.
    pub(super) high_watermark: Offset,
}

/// How far it is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// The log is being replayed.
    Loading(Load),
    Active,
    /// The log cannot be read; another leader may be able to.
    Failed,
}

/// What there is by one group id.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// `None` when only offsets are left that are still to be seen as they were.
    pub(super) kind: Option<Kind>,
    /// Others see the group from here.
    pub(super) since: Offset,
    pub(super) offsets: Map<TopicPartition, OffsetEntry>,
}

/// By protocol.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Classic(Box<ClassicGroup>),
    /// What the log says, and when something of a member is due.
    Consumer {
        group: Arc<ConsumerGroup>,
        deadlines: Map<Str, Deadlines>,
    },
    /// A group of a protocol that is not served, in a log that another Kafka wrote.
    Other,
}

/// The protocol of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Classic,
    Consumer,
    Other,
}

impl Kind {
    fn protocol(&self) -> Protocol {
        match self {
            Kind::Classic(_) => Protocol::Classic,
            Kind::Consumer { .. } => Protocol::Consumer,
            Kind::Other => Protocol::Other,
        }
    }
}

/// An offset at the log's end, and at the high watermark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    pub(super) latest: Option<OffsetValue>,
    pub(super) committed: Option<OffsetValue>,
}

/// What of a group is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Members had time enough to join.
    Join,
    /// They had time enough to ask for their assignments.
    Sync,
    /// The member was not heard of.
    Member(Str),
    /// It had time enough to give partitions up.
    Revoke(Str),
    /// A member of a consumer group that speaks the classic protocol had time enough to join again.
    Rejoin(Str),
    /// It had time enough to ask for its assignment.
    Resync(Str),
}

/// What waits until the high watermark passes a record.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) end: Offset,
    pub(super) deadline: Instant,
    pub(super) then: Then,
}

/// What happens once records are committed, or will not be in time.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// The answer goes out.
    Answer(Waiter, ResponseBody),
    /// One part of an answer about several groups is there.
    Deleted(RequestId, Vec<(Str, ErrorCode)>),
    Fetched(RequestId, OffsetFetchResponseGroup),
    /// The members of this generation get the leader's assignment.
    Assign(Str, i32, Map<Str, bytes::Bytes>),
    /// A static member has taken the place of an older one.
    Replace(Box<Replaced>),
}

/// A static member that came back under a new id.
#[derive(Clone, Debug)]
pub(super) struct Replaced {
    pub(super) group: Str,
    pub(super) instance: Str,
    pub(super) old_id: Str,
    pub(super) new_id: Str,
    pub(super) old: super::classic::Member,
    /// Who led before.
    pub(super) leader: Option<Str>,
}

/// What comes out of a turn.
#[derive(Debug)]
pub(super) enum Settled {
    Answer(Waiter, ResponseBody),
    Deleted(RequestId, Vec<(Str, ErrorCode)>),
    Fetched(RequestId, OffsetFetchResponseGroup),
}

/// A shard's turn: what it may look at and act on.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) config: &'a GroupConfig,
    /// Of which some may change while the node runs.
    pub(super) broker: &'a Config,
    pub(super) image: &'a Image,
    /// Where in the metadata the newest topic is.
    pub(super) topics_since: Offset,
    pub(super) patterns: &'a dyn TopicPatterns,
    pub(super) random: &'a mut Random,
    pub(super) log: &'a mut Partition,
    pub(super) compressors: &'a dyn Compressors,
    pub(super) ops: &'a mut Ops,
    pub(super) out: &'a mut Outbox,
    pub(super) timers: Set<(Instant, Str, Timer)>,
    pub(super) parked: VecDeque<Parked>,
    pub(super) settled: Vec<Settled>,
}

impl Turn<'_> {
    /// Answers at once.
    pub(super) fn answer(&mut self, waiter: Waiter, body: ResponseBody) {
        self.settled.push(Settled::Answer(waiter, body));
    }

    /// Answers once everything that the log has is committed: what is said may rest on it.
    pub(super) fn answer_committed(&mut self, waiter: Waiter, body: ResponseBody) {
        let end = self.log.log_end();
        if end > self.log.high_watermark() {
            self.park(end, Then::Answer(waiter, body));
        } else {
            self.answer(waiter, body);
        }
    }

    /// What is set for one group, within the broker's bounds.
    fn of_group(&self, group: &Str, key: &str, bounds: (i32, i32), otherwise: i64) -> i64 {
        let resource = Resource { kind: ResourceType::Group, name: group.clone() };
        let set = self.image.setting(&resource, key).and_then(|it| it.trim().parse::<i32>().ok());
        set.map_or(otherwise, |it| i64::from(it.min(bounds.1).max(bounds.0)))
    }

    pub(super) fn consumer_session_timeout_ms(&self, group: &Str) -> i64 {
        let config = &self.config.consumer;
        let otherwise = i64::from(config.session_timeout_ms);
        self.of_group(group, "consumer.session.timeout.ms", config.session_timeout_bounds_ms, otherwise)
    }

    pub(super) fn consumer_heartbeat_interval_ms(&self, group: &Str) -> i32 {
        let config = &self.config.consumer;
        let otherwise = i64::from(config.heartbeat_interval_ms);
        let bounds = config.heartbeat_interval_bounds_ms;
        self.of_group(group, "consumer.heartbeat.interval.ms", bounds, otherwise) as i32
    }

    pub(super) fn consumer_assignment_interval_ms(&self, group: &Str) -> i64 {
        let bounds = self.config.consumer.assignment_interval_bounds_ms;
        let otherwise = self.broker.broker_value(self.image, "group.consumer.assignment.interval.ms");
        let otherwise = otherwise.and_then(|it| it.trim().parse().ok()).unwrap_or_default();
        self.of_group(group, "consumer.assignment.interval.ms", bounds, otherwise)
    }

    /// Waits until everything below `end` is committed.
    pub(super) fn park(&mut self, end: Offset, then: Then) {
        let deadline = self.now.mono.plus_ms(i64::from(self.config.commit_timeout_ms));
        self.parked.push_back(Parked { end, deadline, then });
    }

    /// Sets a deadline in the place of another one.
    pub(super) fn arm(&mut self, group: &Str, timer: Timer, old: Option<Instant>, after_ms: i64) -> Instant {
        self.disarm(group, timer.clone(), old);
        let at = self.now.mono.plus_ms(after_ms);
        self.timers.insert((at, group.clone(), timer));
        at
    }

    pub(super) fn disarm(&mut self, group: &Str, timer: Timer, old: Option<Instant>) {
        if let Some(at) = old {
            self.timers.remove(&(at, group.clone(), timer));
        }
    }

    /// Appends records; where they end. All in one batch, or none of them.
    pub(super) fn append(&mut self, changes: &[Change]) -> Result<Offset, ErrorCode> {
        let mut builder = BatchBuilder::new(self.config.topic_compression);
        for change in changes {
            let (key, value) = change.encode().map_err(|_| ErrorCode::UnknownServerError)?;
            builder.push(self.now.wall, Some(&key), value.as_deref(), &[]);
        }
        let batches = builder.build_batches(self.compressors).map_err(|_| ErrorCode::UnknownServerError)?;
        self.log.append_own(self.now, batches, self.ops, self.out).map_err(|code| {
            let what = format!("{}-{}: {}", self.log.topic, self.log.key.partition, code.name());
            self.out.emit(|| Event::Warning { what: format!("a group's record was not appended to {what}") });
            refusal_of(code)
        })
    }

    /// Appends what is written down of a group of the classic protocol.
    pub(super) fn append_group(
        &mut self,
        group: &ClassicGroup,
        assignment_of: &dyn Fn(&Str, &super::classic::Member) -> bytes::Bytes,
    ) -> Result<Offset, ErrorCode> {
        self.append(&[Change::Group(group.id.clone(), Some(group.record(assignment_of)))])
    }
}

/// What a client is told when an append is refused.
fn refusal_of(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}

impl Shard {
    pub(super) fn loading(epoch: LeaderEpoch, load: Load) -> Shard {
        Shard {
            epoch,
            phase: Phase::Loading(load),
            groups: Map::new(),
            timers: Set::new(),
            parked: VecDeque::new(),
            uncommitted: VecDeque::new(),
            high_watermark: Offset(0),
        }
    }

    /// Whether it can answer.
    pub(crate) fn check(&self) -> Result<(), ErrorCode> {
        match self.phase {
            Phase::Active => Ok(()),
            Phase::Loading(_) => Err(ErrorCode::CoordinatorLoadInProgress),
            Phase::Failed => Err(ErrorCode::NotCoordinator),
        }
    }

    /// When it wants a turn.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, ..)| *at);
        let parked = self.parked.front().map(|it| it.deadline);
        match (timer, parked) {
            (Some(timer), Some(parked)) => Some(timer.min(parked)),
            (timer, parked) => timer.or(parked),
        }
    }

    pub(super) fn group(&self, id: &Str) -> Option<&Group> {
        self.groups.get(id).map(|it| &**it)
    }

    /// A group of the classic protocol.
    pub(super) fn classic(&mut self, id: &Str) -> Option<&mut ClassicGroup> {
        match &mut Arc::make_mut(self.groups.get_mut(id)?).kind {
            Some(Kind::Classic(group)) => Some(group),
            Some(Kind::Consumer { .. } | Kind::Other) | None => None,
        }
    }

    pub(super) fn entry(&mut self, id: &Str) -> &mut Group {
        Arc::make_mut(self.groups.entry(id.clone()).or_default())
    }

    /// Appends changes of offsets and ends of groups, and has them count from now on. All of them, or none.
    pub(super) fn write(&mut self, turn: &mut Turn<'_>, changes: Vec<Change>) -> Result<Offset, ErrorCode> {
        let end = turn.append(&changes)?;
        let first = end.0 - changes.len() as i64;
        for (index, change) in changes.into_iter().enumerate() {
            self.apply(Offset(first + index as i64 + 1), change);
        }
        Ok(end)
    }

    /// As [`Shard::write`], of any number of changes that do not depend on each other.
    pub(super) fn write_each(&mut self, turn: &mut Turn<'_>, mut changes: Vec<Change>) -> Result<(), ErrorCode> {
        let most = usize::try_from(turn.log.config.max_message_bytes).unwrap_or_default() / 2;
        while !changes.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            for change in &changes {
                let (key, value) = change.encode().map_err(|_| ErrorCode::UnknownServerError)?;
                bytes += key.len() + value.map_or(0, |it| it.len()) + 32;
                if count > 0 && bytes > most {
                    break;
                }
                count += 1;
            }
            let rest = changes.split_off(count);
            self.write(turn, changes)?;
            changes = rest;
        }
        Ok(())
    }

    /// A record of the log counts, which ends at `end`.
    pub(super) fn apply(&mut self, end: Offset, change: Change) {
        let high_watermark = self.high_watermark;
        match change {
            Change::Offset(id, at, value) => {
                if value.is_some() {
                    let group = self.entry(&id);
                    if group.kind.is_none() {
                        group.kind = Some(Kind::Classic(Box::new(ClassicGroup::empty(id.clone(), -1))));
                        group.since = end;
                    }
                    group.offsets.entry(at.clone()).or_default().latest.clone_from(&value);
                } else if let Some(group) = self.groups.get_mut(&id)
                    && let Some(entry) = Arc::make_mut(group).offsets.get_mut(&at)
                {
                    entry.latest = None;
                }
                self.uncommitted.push_back((end, id, at, value));
            }
            Change::Group(id, Some(value)) => {
                let group = self.entry(&id);
                if group.kind.is_none() {
                    group.since = end;
                }
                group.kind = Some(Kind::Classic(Box::new(ClassicGroup::of_record(id, value))));
            }
            Change::Consumer(id, change) => self.apply_consumer(end, &id, &change),
            Change::Other(id, true) => {
                let group = self.entry(&id);
                (group.kind, group.since) = (Some(Kind::Other), end);
            }
            Change::Group(id, None) => self.forget_group(&id, Protocol::Classic),
            Change::Other(id, false) => self.forget_group(&id, Protocol::Other),
        }
        if end <= high_watermark {
            self.reveal(high_watermark);
        }
    }

    /// The end of a group, if it is of this protocol: a group that changes its protocol ends under the old one, and begins
    /// under the new, in either order.
    pub(super) fn forget_group(&mut self, id: &Str, protocol: Protocol) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if group.kind.as_ref().is_some_and(|it| it.protocol() != protocol) {
            return;
        }
        let group = Arc::make_mut(group);
        group.kind = None;
        if group.offsets.is_empty() {
            self.groups.remove(id);
        }
    }

    /// Everything below is committed: others see it.
    pub(super) fn reveal(&mut self, high_watermark: Offset) {
        self.high_watermark = high_watermark.max(self.high_watermark);
        while self.uncommitted.front().is_some_and(|(end, ..)| *end <= high_watermark) {
            let Some((_, id, at, value)) = self.uncommitted.pop_front() else { return };
            let group = self.entry(&id);
            let entry = group.offsets.entry(at.clone()).or_default();
            entry.committed = value;
            if entry.committed.is_none() && entry.latest.is_none() {
                group.offsets.remove(&at);
            }
            if group.kind.is_none() && group.offsets.is_empty() {
                self.groups.remove(&id);
            }
        }
    }

    /// The high watermark has moved: who waited for it goes on.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>) {
        self.reveal(turn.log.high_watermark());
        while turn.parked.front().is_some_and(|it| it.end <= self.high_watermark) {
            if let Some(parked) = turn.parked.pop_front() {
                self.go_on(turn, parked.then, ErrorCode::None);
            }
        }
    }

    /// What is due is done. What that makes due has its own turn.
    pub(super) fn fire(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let parked = turn.parked.iter().take_while(|it| it.deadline <= now).count();
        let mut due = Vec::new();
        while turn.timers.first().is_some_and(|(at, ..)| *at <= now) {
            due.extend(turn.timers.pop_first());
        }
        for parked in turn.parked.drain(..parked).collect::<Vec<_>>() {
            self.go_on(turn, parked.then, ErrorCode::RequestTimedOut);
        }
        for (at, id, timer) in due {
            match self.classic(&id) {
                Some(group) => group.due(turn, at, &timer),
                None => self.consumer_due(turn, &id, at, &timer),
            }
        }
    }

    /// Records are committed, or will not be in time, or never here.
    fn go_on(&mut self, turn: &mut Turn<'_>, then: Then, error: ErrorCode) {
        let told = refusal_of(error);
        match then {
            Then::Answer(waiter, mut body) => {
                if error != ErrorCode::None {
                    super::refuse(&mut body, told);
                }
                turn.answer(waiter, body);
            }
            Then::Deleted(id, mut groups) => {
                if error != ErrorCode::None {
                    groups.iter_mut().for_each(|(_, code)| *code = told);
                }
                turn.settled.push(Settled::Deleted(id, groups));
            }
            Then::Fetched(id, mut group) => {
                if error != ErrorCode::None {
                    // Not every client knows of COORDINATOR_NOT_AVAILABLE here.
                    group.error_code = ErrorCode::NotCoordinator.code();
                    group.topics.clear();
                }
                turn.settled.push(Settled::Fetched(id, group));
            }
            Then::Assign(id, generation, assignments) => {
                if let Some(group) = self.classic(&id) {
                    group.assigned(turn, generation, &assignments, told);
                }
            }
            Then::Replace(replaced) => {
                if let Some(group) = self.classic(&replaced.group) {
                    group.replaced(turn, *replaced, told);
                }
            }
        }
    }

    /// The leadership is gone: everybody who waits is sent to look for the new coordinator.
    pub(super) fn unload(mut self) -> Vec<Settled> {
        let gone = ErrorCode::NotCoordinator;
        let mut settled = Vec::new();
        for parked in self.parked {
            match parked.then {
                Then::Answer(waiter, mut body) => {
                    super::refuse(&mut body, gone);
                    settled.push(Settled::Answer(waiter, body));
                }
                Then::Deleted(id, mut groups) => {
                    groups.iter_mut().for_each(|(_, code)| *code = gone);
                    settled.push(Settled::Deleted(id, groups));
                }
                Then::Fetched(id, mut group) => {
                    group.error_code = gone.code();
                    group.topics.clear();
                    settled.push(Settled::Fetched(id, group));
                }
                // Its members are answered below.
                Then::Assign(..) | Then::Replace(_) => {}
            }
        }
        for group in self.groups.values_mut() {
            if !matches!(&group.kind, Some(Kind::Classic(group)) if group.is_anybody_waiting()) {
                continue;
            }
            if let Some(Kind::Classic(group)) = &mut Arc::make_mut(group).kind {
                group.dismiss(gone, &mut settled);
            }
        }
        settled
    }
}
