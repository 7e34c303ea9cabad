//! A group of the consumer protocol (KIP-848): what its members ask for, what each is to have, and what each has.
//!
//! All of it is what the log says: [`ConsumerGroup::apply`] is the only way in which it changes, for records that are read and
//! for those that are written. What a request asks for is tried on a copy, which takes the group's place once its records are
//! appended. A copy shares with the group what does not change, so that what a member costs hardly grows with their number.

mod assign;
mod classic;
mod describe;
mod hash;
mod heartbeat;
mod leave;
mod member;
mod migrate;
mod pattern;
pub(super) mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ordered::{Map, Set, SharedMap};
use protocol::messages::ConsumerGroupRegularExpressionValue;
use protocol::{ErrorCode, Instant, Offset, Str, Uuid};

pub use assign::Assignor;
pub(crate) use heartbeat::refused_heartbeat;
pub(super) use member::ConsumerMember;
pub use pattern::{NoPatterns, TopicPatterns};
pub(super) use record::ConsumerChange;

use super::change::Change;
use super::shard::{Kind, Shard, Turn};
use crate::image::Image;
use crate::partition::PartitionKey;
use member::Current;

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerGroup {
    pub(super) epoch: i32,
    metadata_hash: i64,
    /// Up to where the cluster's metadata was known when its hash was last compared.
    looked_at: Option<Offset>,
    /// The epoch for which partitions were divided; -1 if that is no more.
    pub(super) assignment_epoch: i32,
    /// When, in milliseconds since 1970.
    assigned_ms: i64,
    pub(super) members: SharedMap<Str, Arc<ConsumerMember>>,
    /// Member ids by instance id (KIP-345).
    statics: SharedMap<Str, Str>,
    /// What each member is to have, in order.
    targets: SharedMap<Str, Arc<Vec<PartitionKey>>>,
    /// How many have a partition or are still to give it up: one, but while a log is read.
    owners: SharedMap<PartitionKey, u32>,
    /// How many members, and regular expressions, a topic is subscribed by.
    subscribed: Map<Str, u32>,
    /// How many members subscribe to a regular expression.
    wanted_patterns: Map<Str, u32>,
    /// What regular expressions stand for, as far as that was looked up.
    patterns: Map<Str, Arc<ConsumerGroupRegularExpressionValue>>,
    /// When, in milliseconds since 1970, what its regular expressions stand for could last not be written. In no log.
    resolve_failed_ms: Option<i64>,
    has_topics_record: bool,
}

/// Where in its life a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsumerState {
    Empty,
    /// Partitions are to be divided anew.
    Assigning,
    /// Members have not yet what they are to have.
    Reconciling,
    Stable,
}

impl ConsumerState {
    /// Kafka's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ConsumerState::Empty => "Empty",
            ConsumerState::Assigning => "Assigning",
            ConsumerState::Reconciling => "Reconciling",
            ConsumerState::Stable => "Stable",
        }
    }
}

/// When something of a member is due. In no log: a new coordinator gives everybody their time again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deadlines {
    session: Option<Instant>,
    /// It is to have given partitions up.
    revoke: Option<Instant>,
    /// Of a member that speaks the classic protocol: it is to have joined again, or to have asked for its assignment.
    join: Option<Instant>,
    sync: Option<Instant>,
}

impl ConsumerGroup {
    pub(super) fn new() -> ConsumerGroup {
        ConsumerGroup {
            epoch: 1,
            metadata_hash: 0,
            looked_at: None,
            assignment_epoch: 1,
            assigned_ms: 0,
            members: SharedMap::default(),
            statics: SharedMap::default(),
            targets: SharedMap::default(),
            owners: SharedMap::default(),
            subscribed: Map::new(),
            wanted_patterns: Map::new(),
            patterns: Map::new(),
            resolve_failed_ms: None,
            has_topics_record: false,
        }
    }

    pub(super) fn state(&self) -> ConsumerState {
        if self.members.is_empty() {
            ConsumerState::Empty
        } else if self.epoch > self.assignment_epoch {
            ConsumerState::Assigning
        } else if self.members.values().all(|it| it.is_reconciled_to(self.assignment_epoch)) {
            ConsumerState::Stable
        } else {
            ConsumerState::Reconciling
        }
    }

    pub(super) fn is_subscribed(&self, topic: &Str) -> bool {
        self.subscribed.contains_key(topic)
    }

    fn static_member(&self, instance: &Str) -> Option<(&Str, &Arc<ConsumerMember>)> {
        let id = self.statics.get(instance)?;
        self.members.get(id).map(|member| (id, member))
    }

    /// Whether partitions were divided so little ago. A clock that is behind the one by which that was noted down, as another
    /// coordinator's may be, cannot tell; nobody waits until it has caught up.
    fn was_divided_within(&self, interval_ms: i64, now_ms: i64) -> bool {
        let since = now_ms.saturating_sub(self.assigned_ms);
        self.assigned_ms != 0 && (0..interval_ms).contains(&since)
    }

    /// What a member is to have.
    fn target(&self, member: &Str) -> &[PartitionKey] {
        self.targets.get(member).map(|it| it.as_slice()).unwrap_or_default()
    }

    fn is_owned(&self, key: &PartitionKey) -> bool {
        self.owners.contains_key(key)
    }

    /// How many members subscribe to a regular expression.
    fn pattern_subscribers(&self, pattern: &Str) -> u32 {
        self.wanted_patterns.get(pattern).copied().unwrap_or_default()
    }

    /// The topics that a member is subscribed to and that are there, in order of their ids.
    fn topics_of(&self, member: &ConsumerMember, image: &Image) -> Vec<Uuid> {
        let by_pattern = member.pattern().and_then(|it| self.patterns.get(it)).map(|it| it.topics.as_slice());
        let names = member.wants.subscribed_topic_names.iter().chain(by_pattern.unwrap_or_default());
        let mut topics: Vec<Uuid> = names.filter_map(|it| image.topic(it)).map(|it| it.id).collect();
        ordered::sort(&mut topics);
        topics.dedup();
        topics
    }

    /// The assignor that most members ask for, if any asks.
    fn preferred_assignor(&self) -> Option<Assignor> {
        let mut votes: Map<&str, usize> = Map::new();
        for member in self.members.values() {
            if let Some(name) = &member.wants.server_assignor {
                *votes.entry(name.as_str()).or_default() += 1;
            }
        }
        let mut best: Option<(&str, usize)> = None;
        for (name, count) in votes.iter() {
            if best.is_none_or(|(_, most)| *count >= most) {
                best = Some((name, *count));
            }
        }
        best.and_then(|(name, _)| Assignor::named(name))
    }

    /// One of its records counts.
    pub(super) fn apply(&mut self, change: &ConsumerChange) {
        match change {
            // The group itself ends with its owner.
            ConsumerChange::Group(None) => {}
            ConsumerChange::Group(Some((epoch, metadata_hash))) => {
                (self.epoch, self.metadata_hash) = (*epoch, *metadata_hash);
            }
            ConsumerChange::Topics(is_there) => self.has_topics_record = *is_there,
            ConsumerChange::Target(value) => (self.assignment_epoch, self.assigned_ms) = value.unwrap_or((-1, 0)),
            ConsumerChange::TargetOf(id, Some(partitions)) => {
                self.targets.insert(id.clone(), Arc::new(partitions.clone()));
            }
            ConsumerChange::TargetOf(id, None) => {
                self.targets.remove(id);
            }
            ConsumerChange::Pattern(pattern, value) => {
                let old = match value {
                    Some(value) => self.patterns.insert(pattern.clone(), Arc::new(value.clone())),
                    None => self.patterns.remove(pattern),
                };
                if let Some(value) = value {
                    count(&mut self.subscribed, &value.topics);
                }
                if let Some(old) = old {
                    discount(&mut self.subscribed, &old.topics);
                }
            }
            ConsumerChange::Member(id, Some(wants)) => {
                let mut member = self.members.get(id).map(|it| (**it).clone()).unwrap_or_else(ConsumerMember::new);
                member.wants = (**wants).clone();
                self.put(id, Some(member));
            }
            ConsumerChange::Member(id, None) => self.put(id, None),
            ConsumerChange::Current(id, value) => {
                let known = self.members.get(id).map(|it| (**it).clone());
                let (mut member, value) = match (known, value) {
                    (None, None) => return,
                    (known, value) => (known.unwrap_or_else(ConsumerMember::new), value),
                };
                member.current = match value {
                    Some(value) => (**value).clone(),
                    None => Current { epoch: -1, ..Current::default() },
                };
                self.put(id, Some(member));
            }
        }
    }

    /// Takes a member in, in another's place if it has this id, or lets it go.
    fn put(&mut self, id: &Str, member: Option<ConsumerMember>) {
        if let Some(member) = &member {
            count(&mut self.subscribed, &member.wants.subscribed_topic_names);
            count(&mut self.wanted_patterns, member.pattern().map_or(&[], std::slice::from_ref));
            self.own(&member.current);
            if let Some(instance) = &member.wants.instance_id {
                self.statics.insert(instance.clone(), id.clone());
            }
        }
        let old = match member {
            Some(member) => self.members.insert(id.clone(), Arc::new(member)),
            None => self.members.remove(id),
        };
        let Some(old) = old else { return };
        discount(&mut self.subscribed, &old.wants.subscribed_topic_names);
        discount(&mut self.wanted_patterns, old.pattern().map_or(&[], std::slice::from_ref));
        for (key, _) in old.current.assigned.iter().chain(&old.current.revoking) {
            let left = self.owners.get_mut(key).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if left == 0 {
                self.owners.remove(key);
            }
        }
        if let Some(instance) = &old.wants.instance_id
            && !self.members.contains_key(id)
            && self.statics.get(instance) == Some(id)
        {
            self.statics.remove(instance);
        }
    }

    fn own(&mut self, current: &Current) {
        for (key, _) in current.assigned.iter().chain(&current.revoking) {
            *self.owners.entry(*key).or_default() += 1;
        }
    }

    /// The records by which the group ends.
    pub(super) fn ends(&self) -> Vec<ConsumerChange> {
        let mut ends: Vec<ConsumerChange> = Vec::new();
        ends.extend(self.members.keys().map(|id| ConsumerChange::Current(id.clone(), None)));
        ends.extend(self.members.keys().map(|id| ConsumerChange::TargetOf(id.clone(), None)));
        ends.push(ConsumerChange::Target(None));
        ends.extend(self.members.keys().map(|id| ConsumerChange::Member(id.clone(), None)));
        ends.extend(self.patterns.keys().map(|it| ConsumerChange::Pattern(it.clone(), None)));
        ends.push(ConsumerChange::Topics(false));
        ends.push(ConsumerChange::Group(None));
        ends
    }
}

/// One more says each of these names.
fn count(counts: &mut Map<Str, u32>, names: &[Str]) {
    for name in names {
        *counts.entry(name.clone()).or_default() += 1;
    }
}

/// One less does; whom nobody says is not there.
fn discount(counts: &mut Map<Str, u32>, names: &[Str]) {
    for name in names {
        let left = counts.get_mut(name).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            counts.remove(name);
        }
    }
}

/// What a request makes of a group: nothing has happened before it is written.
struct Draft {
    id: Str,
    group: Arc<ConsumerGroup>,
    /// Of the group of the classic protocol whose place it takes.
    before: Vec<Change>,
    changes: Vec<ConsumerChange>,
    /// The image's offset, if the group's topics were compared with it.
    looked_at: Option<Offset>,
}

impl Draft {
    fn of(id: &Str, group: Arc<ConsumerGroup>) -> Draft {
        Draft { id: id.clone(), group, before: Vec::new(), changes: Vec::new(), looked_at: None }
    }

    fn record(&mut self, change: ConsumerChange) {
        Arc::make_mut(&mut self.group).apply(&change);
        self.changes.push(change);
    }

    /// A member goes, with what it had.
    fn remove(&mut self, id: &Str) {
        self.record(ConsumerChange::Current(id.clone(), None));
        self.record(ConsumerChange::TargetOf(id.clone(), None));
        self.record(ConsumerChange::Member(id.clone(), None));
    }
}

impl Shard {
    /// A group of this protocol.
    fn consumers(&self, id: &Str) -> Option<&Arc<ConsumerGroup>> {
        match &self.group(id)?.kind {
            Some(Kind::Consumer { group, .. }) => Some(group),
            _ => None,
        }
    }

    pub(super) fn is_consumers(&self, id: &Str) -> bool {
        self.consumers(id).is_some()
    }

    fn kind_mut(&mut self, id: &Str) -> Option<&mut Kind> {
        Arc::make_mut(self.groups.get_mut(id)?).kind.as_mut()
    }

    /// When something of a member is due, to be set.
    fn deadlines(&mut self, id: &Str, member: &Str) -> Option<&mut Deadlines> {
        match self.kind_mut(id)? {
            Kind::Consumer { deadlines, .. } => Some(deadlines.entry(member.clone()).or_default()),
            _ => None,
        }
    }

    /// Appends what a draft says, and has it count from now on.
    fn commit_draft(&mut self, turn: &mut Turn<'_>, draft: Draft) -> Result<(), ErrorCode> {
        let Draft { id, mut group, before, changes, looked_at } = draft;
        let is_news = !changes.is_empty() || !before.is_empty();
        let looked = looked_at.filter(|it| group.looked_at != Some(*it));
        if let Some(at) = looked {
            Arc::make_mut(&mut group).looked_at = Some(at);
        }
        let gone = |it: &ConsumerChange| match it {
            ConsumerChange::Member(member, None) => Some(member.clone()).filter(|it| !group.members.contains_key(it)),
            _ => None,
        };
        let gone: Vec<Str> = changes.iter().filter_map(gone).collect();
        let mut end = None;
        if is_news {
            let mut all = before;
            all.extend(changes.into_iter().map(|it| Change::Consumer(id.clone(), it)));
            end = Some(turn.append(&all)?);
        }
        if let Some(end) = end {
            let entry = self.entry(&id);
            match &mut entry.kind {
                Some(Kind::Consumer { group: old, .. }) => *old = group,
                other => {
                    let old = other.replace(Kind::Consumer { group: Arc::clone(&group), deadlines: Map::new() });
                    // One that changes its protocol has been there.
                    if old.is_none() {
                        entry.since = end;
                    }
                    self.adopt(turn, &id, old, &group);
                }
            }
        } else if looked.is_some()
            && let Some(entry) = self.groups.get_mut(&id)
            && let Some(Kind::Consumer { group: old, .. }) = &mut Arc::make_mut(entry).kind
        {
            *old = group;
        }
        for member in &gone {
            self.forget_deadlines(turn, &id, member);
        }
        Ok(())
    }

    /// Members of a group of the classic protocol go on in this one: who waits joins again, and all have their sessions.
    fn adopt(&mut self, turn: &mut Turn<'_>, id: &Str, old: Option<Kind>, group: &ConsumerGroup) {
        let Some(Kind::Classic(mut old)) = old else { return };
        old.dismiss(ErrorCode::RebalanceInProgress, &mut turn.settled);
        for (member_id, member) in group.members.iter().filter(|(_, it)| it.is_classic()) {
            self.expect_heartbeat(turn, id, member_id, member.classic_session_ms());
        }
    }

    /// One record of a group of this protocol counts, which ends at `end`.
    pub(super) fn apply_consumer(&mut self, end: Offset, id: &Str, change: &ConsumerChange) {
        let is_known = self.consumers(id).is_some();
        if change.is_end() && !is_known {
            return;
        }
        if matches!(change, ConsumerChange::Group(None)) {
            return self.forget_group(id, super::shard::Protocol::Consumer);
        }
        let entry = self.entry(id);
        if !is_known {
            let began = Kind::Consumer { group: Arc::new(ConsumerGroup::new()), deadlines: Map::new() };
            if entry.kind.replace(began).is_none() {
                entry.since = end;
            }
        }
        if let Some(Kind::Consumer { group, .. }) = &mut entry.kind {
            Arc::make_mut(group).apply(change);
        }
    }

    /// All topics of a group, by id.
    fn topic_ids(group: &ConsumerGroup, member: &ConsumerMember, image: &Image) -> Set<Uuid> {
        group.topics_of(member, image).into_iter().collect()
    }
}
