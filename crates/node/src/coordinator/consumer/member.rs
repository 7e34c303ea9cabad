//! A member of a group of the consumer protocol, and how it gets from what it has to what it is to have: first it gives up, then
//! it gets, and what another one still has it gets later (KIP-848).

use ordered::Set;
use protocol::messages::ConsumerGroupMemberMetadataValue;
use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use protocol::{ErrorCode, Uuid};

use crate::partition::PartitionKey;

/// The epoch of a member that leaves.
pub(in crate::coordinator) const LEAVE: i32 = -1;
/// The epoch of a static member that will come back.
pub(in crate::coordinator) const LEAVE_STATIC: i32 = -2;

/// Partitions in order, each with the epoch in which its owner got it.
pub(in crate::coordinator) type Owned = Vec<(PartitionKey, i32)>;

/// How far a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::coordinator) enum MemberState {
    /// It has all that it is to have, in the epoch that it says.
    #[default]
    Stable,
    /// It is to give partitions up first.
    UnrevokedPartitions,
    /// Others are to give partitions up that it is to have.
    UnreleasedPartitions,
    /// What a later release wrote.
    Unknown,
}

impl MemberState {
    /// Kafka's number.
    pub(super) fn id(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => 127,
        }
    }

    pub(super) fn from_id(id: i8) -> MemberState {
        match id {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        }
    }
}

/// What a member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::coordinator) struct Current {
    pub(in crate::coordinator) epoch: i32,
    pub(in crate::coordinator) previous_epoch: i32,
    pub(in crate::coordinator) state: MemberState,
    pub(in crate::coordinator) assigned: Owned,
    /// What it is to give up, and may still use.
    pub(in crate::coordinator) revoking: Owned,
}

/// A member.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::coordinator) struct ConsumerMember {
    /// What it asks for.
    pub(in crate::coordinator) wants: ConsumerGroupMemberMetadataValue,
    pub(in crate::coordinator) current: Current,
}

impl Default for Current {
    fn default() -> Current {
        Current { epoch: 0, previous_epoch: -1, state: MemberState::Stable, assigned: Vec::new(), revoking: Vec::new() }
    }
}

/// What a member is to have, and what is known of who has what.
pub(super) struct Goal<'a> {
    pub(super) epoch: i32,
    pub(super) target: &'a [PartitionKey],
    /// The topics that it is subscribed to now: what it left meanwhile it does not get.
    pub(super) topics: &'a Set<Uuid>,
    pub(super) has_subscription_changed: bool,
    /// What it says that it has; `None` if it says nothing.
    pub(super) owned: Option<&'a [TopicPartitions]>,
    /// Whether anybody has the partition, or is still to give it up.
    pub(super) is_owned: &'a dyn Fn(&PartitionKey) -> bool,
}

impl ConsumerMember {
    /// A member nobody knows.
    pub(super) fn new() -> ConsumerMember {
        let wants = ConsumerGroupMemberMetadataValue {
            // What is not said is null, and not, as a record's schema would have it, empty.
            instance_id: None,
            rack_id: None,
            server_assignor: None,
            classic_member_metadata: None,
            subscribed_topic_regex: Some(protocol::Str::new()),
            rebalance_timeout_ms: -1,
            ..ConsumerGroupMemberMetadataValue::default()
        };
        ConsumerMember { wants, current: Current::default() }
    }

    pub(in crate::coordinator) fn is_classic(&self) -> bool {
        self.wants.classic_member_metadata.is_some()
    }

    /// The regular expression that it subscribes to, if it does.
    pub(in crate::coordinator) fn pattern(&self) -> Option<&protocol::Str> {
        self.wants.subscribed_topic_regex.as_ref().filter(|it| !it.is_empty())
    }

    pub(super) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }

    /// Whether a heartbeat is one of this member's. Who did not hear the last answer still has the epoch before.
    pub(super) fn check_epoch(&self, epoch: i32, owned: Option<&[TopicPartitions]>) -> Result<(), ErrorCode> {
        let is_fine = epoch == 0
            || epoch == self.current.epoch
            || (epoch < self.current.epoch
                && epoch == self.current.previous_epoch
                && owned.is_some_and(|it| keys_of(it).all(|key| find(&self.current.assigned, &key).is_some())));
        if is_fine { Ok(()) } else { Err(ErrorCode::FencedMemberEpoch) }
    }

    /// The epoch in which the member got a partition that it has or is giving up.
    pub(in crate::coordinator) fn epoch_of(&self, key: &PartitionKey) -> Option<i32> {
        find(&self.current.assigned, key).or_else(|| find(&self.current.revoking, key))
    }

    /// What the member has from now on.
    pub(super) fn reconcile(&self, goal: &Goal<'_>) -> Result<Current, ErrorCode> {
        let current = &self.current;
        let changed = |it: &Current| if goal.has_subscription_changed { drop_topics(it, goal) } else { it.clone() };
        match current.state {
            MemberState::Stable if current.epoch == goal.epoch => Ok(changed(current)),
            MemberState::UnrevokedPartitions if still_owns(goal.owned, &current.revoking) => Ok(changed(current)),
            MemberState::Stable | MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                Ok(next(current, goal, current.epoch))
            }
            // Nobody knows what it may have; it begins again without anything.
            MemberState::Unknown if goal.owned.is_some_and(<[TopicPartitions]>::is_empty) => {
                Ok(next(current, goal, goal.epoch))
            }
            MemberState::Unknown => Err(ErrorCode::FencedMemberEpoch),
        }
    }
}

/// Towards the target: gives up what is not in it, or, once that is done, takes what is free of it.
fn next(current: &Current, goal: &Goal<'_>, epoch: i32) -> Current {
    let is_target = |key: &PartitionKey| goal.topics.contains(&key.topic_id) && goal.target.binary_search(key).is_ok();
    let (mut assigned, revoking): (Owned, Owned) =
        current.assigned.iter().copied().partition(|(key, _)| is_target(key));
    if still_owns(goal.owned, &revoking) {
        return Current {
            epoch,
            previous_epoch: current.epoch,
            state: MemberState::UnrevokedPartitions,
            assigned,
            revoking,
        };
    }
    let mut state = MemberState::Stable;
    let kept = assigned.len();
    for key in goal.target {
        if !goal.topics.contains(&key.topic_id) || find(&assigned[..kept], key).is_some() {
            continue;
        }
        if (goal.is_owned)(key) && find(&current.revoking, key).is_none() {
            state = MemberState::UnreleasedPartitions;
        } else {
            assigned.push((*key, goal.epoch));
        }
    }
    ordered::sort(&mut assigned);
    Current { epoch: goal.epoch, previous_epoch: current.epoch, state, assigned, revoking: Vec::new() }
}

/// The member has left topics: it gives up what it has of them before anything is divided anew.
fn drop_topics(current: &Current, goal: &Goal<'_>) -> Current {
    let (assigned, dropped): (Owned, Owned) =
        current.assigned.iter().copied().partition(|(key, _)| goal.topics.contains(&key.topic_id));
    if dropped.is_empty() {
        return current.clone();
    }
    let mut next = Current { previous_epoch: current.epoch, assigned, ..current.clone() };
    let mut revoking = current.revoking.clone();
    revoking.extend(dropped);
    ordered::sort(&mut revoking);
    if still_owns(goal.owned, &revoking) {
        next.state = MemberState::UnrevokedPartitions;
        next.revoking = revoking;
    }
    next
}

/// Whether a member may still use partitions that it is to give up: it has not said that it does not.
fn still_owns(owned: Option<&[TopicPartitions]>, revoking: &Owned) -> bool {
    if revoking.is_empty() {
        return false;
    }
    owned.is_none_or(|it| keys_of(it).any(|key| find(revoking, &key).is_some()))
}

/// When a member got a partition.
pub(super) fn find(owned: &[(PartitionKey, i32)], key: &PartitionKey) -> Option<i32> {
    let at = owned.binary_search_by(|(it, _)| it.cmp(key)).ok()?;
    owned.get(at).map(|(_, epoch)| *epoch)
}

fn keys_of(topics: &[TopicPartitions]) -> impl Iterator<Item = PartitionKey> {
    topics.iter().flat_map(|topic| {
        let topic_id = topic.topic_id;
        topic.partitions.iter().map(move |partition| PartitionKey { topic_id, partition: *partition })
    })
}
