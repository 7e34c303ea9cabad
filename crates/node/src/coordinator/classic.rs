//! A group of the classic protocol: its members, what they support, who of them waits. What happens to it is in
//! [`super::rebalance`] and [`super::members`].

use bytes::Bytes;
use ordered::{Map, Set};
use protocol::message::decode_from;
use protocol::messages::group_metadata_value::MemberMetadata;
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::join_group_response::JoinGroupResponseMember;
use protocol::messages::{ConsumerProtocolSubscription, GroupMetadataValue};
use protocol::{Decoder, ErrorCode, Instant, Str};

use crate::deferred::Waiter;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// Where in its life a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupState {
    /// Nobody is in it; it may have offsets.
    Empty,
    /// Members are to join again.
    PreparingRebalance,
    /// All have joined; the leader's assignment is awaited.
    CompletingRebalance,
    /// Each member has its assignment.
    Stable,
}

impl GroupState {
    /// Kafka's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
        }
    }
}

/// A group.
#[derive(Clone, Debug)]
pub(super) struct ClassicGroup {
    pub(super) id: Str,
    pub(super) state: GroupState,
    /// The group was empty before the rebalance that is being prepared.
    pub(super) is_initial: bool,
    /// When the state last changed, in milliseconds since 1970; -1 if that was not noted.
    pub(super) state_since_ms: i64,
    pub(super) generation: i32,
    /// `None` until somebody joins: simple consumers only commit offsets.
    pub(super) protocol_type: Option<Str>,
    pub(super) protocol_name: Option<Str>,
    pub(super) leader: Option<Str>,
    pub(super) members: Map<Str, Member>,
    /// Member ids by instance id (KIP-345).
    pub(super) statics: Map<Str, Str>,
    /// Ids that were given out and did not join yet (KIP-394), and until when they may.
    pub(super) pending_joins: Map<Str, Instant>,
    /// Members of this generation that have not asked for their assignment yet.
    pub(super) pending_syncs: Set<Str>,
    /// How many members support a protocol.
    supporters: Map<Str, usize>,
    /// How many members wait for their join to be answered.
    pub(super) joining: usize,
    /// Somebody joined since the initial delay was last looked at.
    pub(super) is_growing: bool,
    /// The initial delay that is under way, and how much more there may be, in milliseconds.
    pub(super) initial_delay: Option<(i64, i64)>,
    pub(super) join_at: Option<Instant>,
    pub(super) sync_at: Option<Instant>,
    /// What its members subscribe to, if that could be read.
    pub(super) subscribed: Option<Set<Str>>,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) instance: Option<Str>,
    pub(super) client_id: Str,
    pub(super) client_host: Str,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    pub(super) protocols: Vec<JoinGroupRequestProtocol>,
    pub(super) assignment: Bytes,
    pub(super) awaiting_join: Option<Waiter>,
    pub(super) awaiting_sync: Option<Waiter>,
    /// It has never been told that it is in: its join does not keep it alive.
    pub(super) is_new: bool,
    pub(super) expires: Option<Instant>,
}

impl Member {
    /// What it says for a protocol.
    pub(super) fn metadata(&self, protocol: &Str) -> Bytes {
        let found = self.protocols.iter().find(|it| it.name == *protocol);
        found.map(|it| it.metadata.clone()).unwrap_or_default()
    }
}

impl ClassicGroup {
    /// A group without members.
    pub(super) fn empty(id: Str, now_ms: i64) -> ClassicGroup {
        ClassicGroup {
            id,
            state: GroupState::Empty,
            is_initial: false,
            state_since_ms: now_ms,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: Map::new(),
            statics: Map::new(),
            pending_joins: Map::new(),
            pending_syncs: Set::new(),
            supporters: Map::new(),
            joining: 0,
            is_growing: false,
            initial_delay: None,
            join_at: None,
            sync_at: None,
            subscribed: None,
        }
    }

    /// A group as it was written down.
    pub(super) fn of_record(id: Str, value: GroupMetadataValue) -> ClassicGroup {
        let mut group = ClassicGroup::empty(id, value.current_state_timestamp);
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|it| !it.is_empty());
        group.protocol_name = value.protocol;
        group.leader = value.leader;
        for member in value.members {
            let name = group.protocol_name.clone().unwrap_or_default();
            let rebalance_timeout_ms = match member.rebalance_timeout {
                -1 => member.session_timeout,
                given => given,
            };
            group.insert(
                member.member_id,
                Member {
                    instance: member.group_instance_id,
                    client_id: member.client_id,
                    client_host: member.client_host,
                    rebalance_timeout_ms,
                    session_timeout_ms: member.session_timeout,
                    protocols: vec![JoinGroupRequestProtocol { name, metadata: member.subscription }],
                    assignment: member.assignment,
                    awaiting_join: None,
                    awaiting_sync: None,
                    is_new: false,
                    expires: None,
                },
            );
        }
        if !group.members.is_empty() {
            group.state = GroupState::Stable;
        }
        group.note_subscriptions();
        group
    }

    /// The group as it is written down, with these assignments.
    pub(super) fn record(&self, assignment_of: &dyn Fn(&Str, &Member) -> Bytes) -> GroupMetadataValue {
        let protocol = self.protocol_name.clone().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| MemberMetadata {
            member_id: id.clone(),
            group_instance_id: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(&protocol),
            assignment: assignment_of(id, member),
        });
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_since_ms,
            members: members.collect(),
        }
    }

    pub(super) fn is_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    pub(super) fn is_leader(&self, member: &Str) -> bool {
        self.leader.as_ref() == Some(member)
    }

    /// Whether somebody who speaks these protocols can be in it.
    pub(super) fn supports(&self, protocol_type: &Str, protocols: &[JoinGroupRequestProtocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(protocol_type) && protocols.iter().any(|it| self.is_common(&it.name))
    }

    fn is_common(&self, protocol: &Str) -> bool {
        self.supporters.get(protocol).copied().unwrap_or_default() == self.members.len()
    }

    fn count(&mut self, protocols: &[JoinGroupRequestProtocol], is_in: bool) {
        let mut seen = Set::new();
        for protocol in protocols {
            // A name that stands twice is one protocol.
            if !seen.insert(protocol.name.clone()) {
                continue;
            }
            let count = self.supporters.entry(protocol.name.clone()).or_default();
            *count = if is_in { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.supporters.remove(&protocol.name);
            }
        }
    }

    /// Takes a member in.
    pub(super) fn insert(&mut self, id: Str, member: Member) {
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.count(&member.protocols, true);
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.joining += usize::from(member.awaiting_join.is_some());
        self.pending_joins.remove(&id);
        self.members.insert(id, member);
    }

    /// Lets a member go; who waits there is the caller's to answer before.
    pub(super) fn remove(&mut self, id: &Str) -> Option<Member> {
        let removed = self.members.remove(id);
        if let Some(member) = &removed {
            self.count(&member.protocols, false);
            self.joining -= usize::from(member.awaiting_join.is_some());
            if let Some(instance) = &member.instance {
                self.statics.remove(instance);
            }
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        removed
    }

    /// A member says anew what it supports, and waits.
    pub(super) fn update(&mut self, id: &Str, protocols: Vec<JoinGroupRequestProtocol>, timeouts: (i32, i32)) {
        let Some(member) = self.members.get_mut(id) else { return };
        let old = std::mem::replace(&mut member.protocols, protocols.clone());
        (member.rebalance_timeout_ms, member.session_timeout_ms) = timeouts;
        self.count(&old, false);
        self.count(&protocols, true);
    }

    /// A member waits for its join to be answered. Answers who waited there before.
    pub(super) fn await_join(&mut self, id: &Str, waiter: Waiter) -> Option<Waiter> {
        let member = self.members.get_mut(id)?;
        let before = member.awaiting_join.replace(waiter);
        self.joining += usize::from(before.is_none());
        before
    }

    /// Takes who waits for a member's join to be answered.
    pub(super) fn take_join(&mut self, id: &Str) -> Option<Waiter> {
        let waiter = self.members.get_mut(id)?.awaiting_join.take();
        self.joining -= usize::from(waiter.is_some());
        waiter
    }

    pub(super) fn have_all_joined(&self) -> bool {
        self.members.len() == self.joining && self.pending_joins.is_empty()
    }

    /// How long members have to join and to sync. What a client asks for may be no time at all; a deadline that is now would
    /// be met and set again without time passing.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|it| i64::from(it.rebalance_timeout_ms)).max().unwrap_or_default().max(1)
    }

    /// Whether a request is one of a member's.
    pub(super) fn check_member(&self, id: &Str, instance: Option<&Str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if known != id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    pub(super) fn turn_to(&mut self, state: GroupState, now_ms: i64) {
        self.is_initial = state == GroupState::PreparingRebalance && self.state == GroupState::Empty;
        (self.state, self.state_since_ms) = (state, now_ms);
    }

    /// The protocol that most members prefer of those that all support; the first by name where several are.
    pub(super) fn select_protocol(&self) -> Option<Str> {
        let mut votes: Map<Str, usize> = Map::new();
        for member in self.members.values() {
            if let Some(vote) = member.protocols.iter().find(|it| self.is_common(&it.name)) {
                *votes.entry(vote.name.clone()).or_default() += 1;
            }
        }
        let mut best: Option<(&Str, usize)> = None;
        for (name, count) in votes.iter() {
            if best.is_none_or(|(_, most)| *count > most) {
                best = Some((name, *count));
            }
        }
        best.map(|(name, _)| name.clone())
    }

    /// Members of a group of the consumer protocol go on in this one, with what each has.
    pub(super) fn become_stable(&mut self, now_ms: i64) {
        self.protocol_name = self.select_protocol();
        self.note_subscriptions();
        self.turn_to(GroupState::Stable, now_ms);
    }

    /// All that joined are the next generation.
    pub(super) fn begin_generation(&mut self, now_ms: i64) {
        // Java's wraps, too.
        self.generation = self.generation.wrapping_add(1);
        let state = if self.members.is_empty() { GroupState::Empty } else { GroupState::CompletingRebalance };
        self.protocol_name = self.select_protocol();
        self.note_subscriptions();
        self.turn_to(state, now_ms);
        self.pending_syncs.clear();
    }

    /// If the leader has not joined again, somebody who has leads. False if nobody has.
    pub(super) fn elect_leader(&mut self) -> bool {
        let is_waiting = |id: &Str| self.members.get(id).is_some_and(|it| it.awaiting_join.is_some());
        let Some(leader) = &self.leader else { return false };
        if is_waiting(leader) {
            return true;
        }
        let next = self.members.iter().find(|(_, it)| it.awaiting_join.is_some()).map(|(id, _)| id.clone());
        let is_found = next.is_some();
        if is_found {
            self.leader = next;
        }
        is_found
    }

    /// What the leader is told of all.
    pub(super) fn roster(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.clone().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: member.instance.clone(),
            metadata: member.metadata(&protocol),
        });
        members.collect()
    }

    /// Whether somebody consumes the topic. Of consumers whose subscriptions cannot be read, that is assumed.
    pub(super) fn is_subscribed(&self, topic: &Str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_consumers(),
        }
    }

    fn note_subscriptions(&mut self) {
        self.subscribed = None;
        if !self.is_consumers() {
            return;
        }
        let mut topics = Set::new();
        if let Some(protocol) = &self.protocol_name {
            for member in self.members.values() {
                let Some(subscribed) = subscribed(member.metadata(protocol)) else { return };
                for topic in subscribed {
                    topics.insert(topic);
                }
            }
        } else if !self.members.is_empty() {
            return;
        }
        self.subscribed = Some(topics);
    }
}

/// The topics of a consumer's subscription. Every version begins as version 0 does.
fn subscribed(metadata: Bytes) -> Option<Vec<Str>> {
    let mut decoder = Decoder::new(metadata);
    decoder.version().ok()?;
    let subscription: ConsumerProtocolSubscription = decode_from(&mut decoder, 0).ok()?;
    Some(subscription.topics)
}
