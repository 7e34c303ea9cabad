//! Groups of the consumer protocol (KIP-848) on one broker: who gets what in which epoch, static members, regular expressions,
//! offsets, changes of the protocol, and bad input.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use node::{Event, NoPatterns, TopicPatterns};
use protocol::messages::*;
use protocol::{RequestBody, ResponseBody, Str, Uuid};

use crate::common::Rig;
use crate::consumers::{Consumer, Wildcards, describe, heartbeat, settle, state};
use crate::members::{
    self, commit, commit_request, committed, error, fetch_request, join_request, offsets, start, start_with, text,
};

/// As the rig's topic `t` has it: three partitions.
fn all(consumers: &[&Consumer]) -> Vec<i32> {
    let mut all: Vec<i32> = consumers.iter().flat_map(|it| it.partitions()).collect();
    all.sort_unstable();
    all
}

#[test]
fn members_join_share_and_leave() {
    let mut rig = start();
    let mut one = Consumer::new("a", &["t"]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    // A new group is in epoch 1 before anybody is in it.
    assert_eq!((one.epoch, one.partitions()), (2, vec![0, 1, 2]));
    assert_eq!(state(&mut rig), "Stable");
    let alone = describe(&mut rig).members.remove(0);
    assert_eq!((alone.instance_id, alone.rack_id, alone.member_type), (None, None, 1));
    // Partitions were divided a moment ago: the second waits.
    let mut two = Consumer::new("b", &["t"]);
    assert_eq!(two.beat(&mut rig), ErrorCode::None);
    assert_eq!((two.epoch, two.partitions()), (2, vec![]));
    assert_eq!(state(&mut rig), "Assigning");
    rig.advance(1_000);
    assert_eq!(two.beat(&mut rig), ErrorCode::None);
    assert_eq!((two.epoch, two.partitions()), (3, vec![]), "the first still has all");
    assert_eq!(state(&mut rig), "Reconciling");
    // The first is told what it may keep, and stays in its epoch until it has given up the rest.
    let told = heartbeat(&mut rig, one.request());
    assert_eq!(
        (told.member_epoch, told.assignment.as_ref().map(|it| it.topic_partitions[0].partitions.len())),
        (2, Some(2))
    );
    assert_eq!(two.beat(&mut rig), ErrorCode::None);
    assert_eq!(two.partitions(), vec![], "it is not given up yet");
    one.hear(&told);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(one.epoch, 3);
    assert_eq!(two.beat(&mut rig), ErrorCode::None);
    assert_eq!((all(&[&one, &two]), two.partitions().len()), (vec![0, 1, 2], 1));
    assert_eq!(state(&mut rig), "Stable");
    // A heartbeat that brings no news says nothing of the partitions.
    let beat = ConsumerGroupHeartbeatRequest {
        group_id: text("g"),
        member_id: one.id.clone(),
        member_epoch: 3,
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let told = heartbeat(&mut rig, beat);
    assert_eq!((told.member_epoch, told.assignment, told.heartbeat_interval_ms), (3, None, 5_000));
    // The second leaves: the first gets what it had.
    two.epoch = -1;
    assert_eq!((two.beat(&mut rig), two.epoch), (ErrorCode::None, -1));
    rig.advance(1_000);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!((one.epoch, one.partitions()), (4, vec![0, 1, 2]));
    one.epoch = -1;
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!((state(&mut rig), describe(&mut rig).group_epoch), ("Empty".to_owned(), 5));
}

#[test]
fn who_is_silent_or_does_not_give_up_is_out() {
    let mut rig = start();
    let (mut one, mut two) = (Consumer::new("a", &["t"]), Consumer::new("b", &["t"]));
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(two.beat(&mut rig), ErrorCode::None);
    settle(&mut rig, &mut [&mut one, &mut two]);
    for _ in 0..9 {
        rig.advance(5_000);
        assert_eq!(one.beat(&mut rig), ErrorCode::None);
    }
    // 45 s without a word.
    assert_eq!(one.partitions(), [0, 1, 2]);
    assert_eq!(two.beat(&mut rig), ErrorCode::UnknownMemberId);
    // A third comes; the first says that it lives and gives nothing up.
    let mut three = Consumer::new("c", &["t"]);
    assert_eq!(three.beat(&mut rig), ErrorCode::None);
    rig.advance(1_000);
    assert_eq!(three.beat(&mut rig), ErrorCode::None);
    for _ in 0..11 {
        let (owned, epoch) = (one.owned.clone(), one.epoch);
        assert_eq!(one.beat(&mut rig), ErrorCode::None);
        assert_eq!(one.epoch, epoch);
        one.owned = owned;
        rig.advance(5_000);
        assert_eq!(three.beat(&mut rig), ErrorCode::None);
    }
    rig.advance(5_000);
    assert_eq!(one.beat(&mut rig), ErrorCode::UnknownMemberId);
    assert_eq!(three.beat(&mut rig), ErrorCode::None);
    assert_eq!(three.partitions(), [0, 1, 2]);
}

#[test]
fn epochs_fence_who_is_behind_and_forgive_who_did_not_hear() {
    let mut rig = start();
    let mut one = Consumer::new("a", &["t"]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    let mut two = Consumer::new("b", &["t"]);
    assert_eq!(two.beat(&mut rig), ErrorCode::None);
    settle(&mut rig, &mut [&mut one, &mut two]);
    let current = one.clone();
    // It did not hear the last answer; what it has is a part of what it was told.
    one.epoch -= 1;
    assert_eq!((one.beat(&mut rig), one.epoch), (ErrorCode::None, current.epoch));
    one.epoch -= 1;
    one.owned.values_mut().for_each(|it| *it = vec![0, 1, 2]);
    assert_eq!(one.beat(&mut rig), ErrorCode::FencedMemberEpoch);
    one.epoch = current.epoch + 1;
    assert_eq!(one.beat(&mut rig), ErrorCode::FencedMemberEpoch);
    // It begins again, and has what it had.
    one.epoch = 0;
    one.owned.clear();
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!((one.epoch, one.owned), (current.epoch, current.owned));
}

#[test]
fn a_group_outlives_its_coordinator() {
    let mut rig = start();
    let (mut one, mut two) = (Consumer::new("a", &["t"]), Consumer::of_instance("b", "i", &["t"]));
    one.assignor = Some(text("range"));
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(two.beat(&mut rig), ErrorCode::None);
    settle(&mut rig, &mut [&mut one, &mut two]);
    assert_eq!(commit(&mut rig, &one.id, one.epoch, 0, 7), ErrorCode::None);
    let before = describe(&mut rig);
    assert_eq!((before.assignor_name.as_str(), before.members.len()), ("range", 2));
    rig.stop();
    let mut rig = rig.restart(&[]);
    rig.run();
    assert_eq!(describe(&mut rig), before);
    assert_eq!(offsets(&mut rig, &[0]), [7]);
    let epochs = (one.epoch, two.epoch);
    for consumer in [&mut one, &mut two] {
        assert_eq!(consumer.beat(&mut rig), ErrorCode::None);
    }
    assert_eq!((one.epoch, two.epoch), epochs, "nobody has to do anything");
    rig.advance(45_001);
    assert_eq!(state(&mut rig), "Empty", "each had its whole session again");
}

#[test]
fn a_static_member_leaves_for_a_while_and_comes_back() {
    let mut rig = start();
    let mut one = Consumer::of_instance("a", "i", &["t"]);
    let mut other = Consumer::new("z", &["t"]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(other.beat(&mut rig), ErrorCode::None);
    settle(&mut rig, &mut [&mut one, &mut other]);
    // Who comes with its name does not get in while it lives.
    let mut again = Consumer::of_instance("b", "i", &["t"]);
    assert_eq!(again.beat(&mut rig), ErrorCode::UnreleasedInstanceId);
    let (epoch, owned) = (one.epoch, one.owned.clone());
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -2, ..one.request() };
    assert_eq!(heartbeat(&mut rig, leave).member_epoch, -2);
    assert_eq!(again.beat(&mut rig), ErrorCode::None);
    assert_eq!((again.epoch, &again.owned), (epoch, &owned), "nobody else was bothered");
    assert_eq!(one.beat(&mut rig), ErrorCode::FencedInstanceId);
    assert_eq!(commit(&mut rig, "a", epoch, 0, 1), ErrorCode::UnknownMemberId);
    // Whose place it took has no session any more that could end.
    for _ in 0..10 {
        rig.advance(4_600);
        assert_eq!(again.beat(&mut rig), ErrorCode::None);
        assert_eq!(other.beat(&mut rig), ErrorCode::None);
    }
    assert_eq!((describe(&mut rig).group_epoch, &again.owned), (epoch, &owned));
    // It leaves again, and does not come back within its session.
    let leave = ConsumerGroupHeartbeatRequest { member_epoch: -2, ..again.request() };
    assert_eq!(heartbeat(&mut rig, leave).member_epoch, -2);
    for _ in 0..10 {
        rig.advance(5_000);
        assert_eq!(other.beat(&mut rig), ErrorCode::None);
    }
    assert_eq!(other.partitions(), [0, 1, 2]);
    assert_eq!(again.beat(&mut rig), ErrorCode::UnknownMemberId);
}

#[test]
fn offsets_are_committed_in_the_epoch_in_which_a_partition_was_assigned() {
    let mut rig = start();
    let mut one = Consumer::new("a", &["t"]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    let first = one.epoch;
    assert_eq!(commit(&mut rig, "a", first, 0, 1), ErrorCode::None);
    assert_eq!(commit(&mut rig, "a", first + 1, 0, 2), ErrorCode::StaleMemberEpoch);
    assert_eq!(commit(&mut rig, "x", first, 0, 2), ErrorCode::UnknownMemberId);
    assert_eq!(commit(&mut rig, "", -1, 0, 2), ErrorCode::UnknownMemberId, "somebody is in it");
    let mut two = Consumer::new("b", &["t"]);
    assert_eq!(two.beat(&mut rig), ErrorCode::None);
    settle(&mut rig, &mut [&mut one, &mut two]);
    let (kept, given) = (one.partitions()[0], two.partitions()[0]);
    assert_eq!(commit(&mut rig, "a", first, kept, 3), ErrorCode::None, "it has had it all the time");
    assert_eq!(commit(&mut rig, "a", first, given, 3), ErrorCode::StaleMemberEpoch, "it is another's");
    assert_eq!(commit(&mut rig, "b", two.epoch - 1, given, 3), ErrorCode::StaleMemberEpoch, "it was another's");
    assert_eq!(commit(&mut rig, "b", two.epoch, given, 4), ErrorCode::None);
    let old = RequestBody::OffsetCommit(commit_request("b", two.epoch, given, 5));
    assert_eq!(committed(Some(rig.call(8, old))), ErrorCode::UnsupportedVersion);
    // Who is behind is not told what others have committed.
    let fetch = |rig: &mut Rig, member: Option<&str>, epoch: i32| {
        let mut request = fetch_request(&[0], false);
        (request.groups[0].member_id, request.groups[0].member_epoch) = (member.map(text), epoch);
        match rig.call(9, RequestBody::OffsetFetch(request)) {
            ResponseBody::OffsetFetch(it) => error(it.groups[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fetch(&mut rig, Some("a"), one.epoch), ErrorCode::None);
    assert_eq!(fetch(&mut rig, Some("a"), first), ErrorCode::StaleMemberEpoch);
    assert_eq!(fetch(&mut rig, Some("x"), first), ErrorCode::UnknownMemberId);
    assert_eq!(fetch(&mut rig, None, -1), ErrorCode::None);
}

#[test]
fn topics_that_come_grow_and_go_are_divided_anew() {
    let mut rig = start();
    let mut one = Consumer::new("a", &["t", "u"]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(one.partitions(), [0, 1, 2]);
    rig.create_topic("u", 2, &[]);
    rig.create_topic("unrelated", 1, &[]);
    settle(&mut rig, &mut [&mut one]);
    assert_eq!((one.owned.len(), one.epoch), (2, 3));
    let request = DeleteTopicsRequest { topic_names: vec![text("u")], timeout_ms: 1_000, ..Default::default() };
    rig.call(5, RequestBody::DeleteTopics(request));
    settle(&mut rig, &mut [&mut one]);
    assert_eq!((one.owned.len(), one.epoch), (1, 4));
    // It wants nothing any more: it gives up all, before anything is divided.
    one.topics.clear();
    settle(&mut rig, &mut [&mut one]);
    assert_eq!(one.partitions(), vec![]);
}

#[test]
fn a_regular_expression_stands_for_the_topics_that_are_there() {
    let mut rig = start();
    rig.node = rig.node.clone().with_patterns(Arc::new(Wildcards));
    let mut one = Consumer { pattern: Some(text("a.*")), ..Consumer::new("m", &[]) };
    assert_eq!(
        Consumer { pattern: Some(text("a(")), ..one.clone() }.beat(&mut rig),
        ErrorCode::InvalidRegularExpression
    );
    // There is no such topic yet, and the group is as it was born.
    assert_eq!((one.beat(&mut rig), one.epoch), (ErrorCode::None, 1));
    rig.create_topic("ab", 2, &[]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(one.partitions(), vec![], "it was looked up a moment ago");
    rig.advance(10_001);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    settle(&mut rig, &mut [&mut one]);
    assert_eq!(one.partitions(), [0, 1]);
    rig.stop();
    let mut rig = rig.restart(&[]);
    rig.run();
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(describe(&mut rig).members[0].subscribed_topic_regex, Some(text("a.*")));
    assert_eq!(one.partitions(), [0, 1], "it is known what it stands for");
    rig.node = rig.node.clone().with_patterns(Arc::new(NoPatterns));
    let mut two = Consumer { pattern: Some(text("b.*")), ..Consumer::new("n", &[]) };
    assert_eq!(two.beat(&mut rig), ErrorCode::InvalidRegularExpression);
}

/// Counts how often topics are looked up, which none may be after the first time if it is told so.
#[derive(Debug, Default)]
struct Counted {
    lookups: AtomicUsize,
    most: usize,
}

impl TopicPatterns for Counted {
    fn matching(&self, pattern: &str, names: &mut dyn Iterator<Item = &Str>) -> Result<Vec<Str>, String> {
        let names: Vec<&Str> = names.collect();
        if !names.is_empty() && self.lookups.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Err("it is too much".to_owned());
        }
        Wildcards.matching(pattern, &mut names.into_iter())
    }
}

#[test]
fn a_regular_expression_that_is_refused_later_stands_for_what_it_stood_for() {
    let mut rig = start();
    rig.node = rig.node.clone().with_patterns(Arc::new(Counted { most: 1, ..Counted::default() }));
    rig.create_topic("ab", 2, &[]);
    let mut one = Consumer { pattern: Some(text("a.*")), ..Consumer::new("m", &[]) };
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    settle(&mut rig, &mut [&mut one]);
    assert_eq!(one.partitions(), [0, 1]);
    rig.create_topic("ac", 2, &[]);
    rig.advance(10_001);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    settle(&mut rig, &mut [&mut one]);
    assert_eq!(one.partitions(), [0, 1]);
    assert!(rig.events.iter().any(|it| matches!(it, Event::Warning { what } if what.ends_with("it is too much"))));
}

#[test]
fn what_cannot_be_written_of_a_regular_expression_is_not_looked_up_with_every_heartbeat() {
    let mut rig = start_with(&[("message.max.bytes", "2000")]);
    let patterns = Arc::new(Counted { most: usize::MAX, ..Counted::default() });
    rig.node = rig.node.clone().with_patterns(patterns.clone());
    for letter in 'b'..='m' {
        rig.create_topic(&format!("a{}", letter.to_string().repeat(200)), 1, &[]);
    }
    let mut one = Consumer { pattern: Some(text("a.*")), ..Consumer::new("m", &[]) };
    for (after_ms, lookups) in [(0, 1), (1_000, 1), (5_000, 1), (5_000, 2), (1_000, 2)] {
        rig.advance(after_ms);
        assert_eq!(one.beat(&mut rig), ErrorCode::None);
        assert_eq!(patterns.lookups.load(Ordering::Relaxed), lookups);
    }
}

#[test]
fn bad_requests_are_refused_with_kafkas_codes() {
    let mut rig = start();
    let good = Consumer::new("a", &["t"]).request();
    let refused = |rig: &mut Rig, request: ConsumerGroupHeartbeatRequest| error(heartbeat(rig, request).error_code);
    for bad in [
        ConsumerGroupHeartbeatRequest { group_id: text(" "), ..good.clone() },
        ConsumerGroupHeartbeatRequest { member_id: Str::new(), ..good.clone() },
        ConsumerGroupHeartbeatRequest { instance_id: Some(text("")), ..good.clone() },
        ConsumerGroupHeartbeatRequest { rack_id: Some(text("")), ..good.clone() },
        ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good.clone() },
        ConsumerGroupHeartbeatRequest { topic_partitions: None, ..good.clone() },
        ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..good.clone() },
        ConsumerGroupHeartbeatRequest { member_epoch: -2, ..good.clone() },
        ConsumerGroupHeartbeatRequest { member_epoch: -3, ..good.clone() },
    ] {
        assert_eq!(refused(&mut rig, bad.clone()), ErrorCode::InvalidRequest, "{bad:?}");
    }
    let sticky = ConsumerGroupHeartbeatRequest { server_assignor: Some(text("sticky")), ..good.clone() };
    assert_eq!(refused(&mut rig, sticky), ErrorCode::UnsupportedAssignor);
    for epoch in [1, -1] {
        let unknown = ConsumerGroupHeartbeatRequest { member_epoch: epoch, ..good.clone() };
        assert_eq!(refused(&mut rig, unknown), ErrorCode::GroupIdNotFound);
    }
    assert_eq!(refused(&mut rig, good.clone()), ErrorCode::None);
    for epoch in [1, -1] {
        let unknown = ConsumerGroupHeartbeatRequest { member_epoch: epoch, member_id: text("x"), ..good.clone() };
        assert_eq!(refused(&mut rig, unknown), ErrorCode::UnknownMemberId);
    }
    let nobody = ConsumerGroupHeartbeatRequest { member_epoch: -1, instance_id: Some(text("i")), ..good.clone() };
    assert_eq!(refused(&mut rig, nobody), ErrorCode::UnknownMemberId);
    // In version 0 the coordinator names who joins.
    let unnamed = ConsumerGroupHeartbeatRequest { member_id: Str::new(), ..good };
    let ResponseBody::ConsumerGroupHeartbeat(named) = rig.call(0, RequestBody::ConsumerGroupHeartbeat(unnamed)) else {
        panic!()
    };
    assert_eq!((named.error_code, named.member_id.map(|it| it.len())), (0, Some(22)));
}

#[test]
fn limits_and_switches_hold() {
    let mut rig = start_with(&[("group.consumer.max.size", "1")]);
    assert_eq!(Consumer::new("a", &["t"]).beat(&mut rig), ErrorCode::None);
    assert_eq!(Consumer::new("b", &["t"]).beat(&mut rig), ErrorCode::GroupMaxSizeReached);
    assert_eq!(Consumer::new("a", &["t"]).beat(&mut rig), ErrorCode::None);
    let mut rig = start_with(&[("group.coordinator.rebalance.protocols", "classic")]);
    assert_eq!(Consumer::new("a", &["t"]).beat(&mut rig), ErrorCode::UnsupportedVersion);
    assert_eq!(error(describe(&mut rig).error_code), ErrorCode::UnsupportedVersion);
}

#[test]
fn groups_are_listed_described_and_deleted_by_their_protocol() {
    let mut rig = start();
    let mut one = Consumer::new("a", &["t"]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    let list = |rig: &mut Rig, types: &[&str]| {
        let types_filter = types.iter().map(|it| text(it)).collect();
        let request = ListGroupsRequest { types_filter, ..ListGroupsRequest::default() };
        match rig.call(5, RequestBody::ListGroups(request)) {
            ResponseBody::ListGroups(it) => it.groups,
            other => panic!("{other:?}"),
        }
    };
    let listed = list(&mut rig, &["Consumer"]);
    assert_eq!((listed[0].group_state.as_str(), listed[0].group_type.as_str()), ("Stable", "consumer"));
    assert_eq!(list(&mut rig, &["classic"]), vec![]);
    let described = members::describe(&mut rig);
    assert_eq!((error(described.error_code), described.group_state.as_str()), (ErrorCode::GroupIdNotFound, "Dead"));
    let delete = |rig: &mut Rig| {
        let request = DeleteGroupsRequest { groups_names: vec![text("g")] };
        match rig.call(2, RequestBody::DeleteGroups(request)) {
            ResponseBody::DeleteGroups(it) => error(it.results[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(commit(&mut rig, "a", one.epoch, 0, 5), ErrorCode::None);
    assert_eq!(delete(&mut rig), ErrorCode::NonEmptyGroup);
    one.epoch = -1;
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(delete(&mut rig), ErrorCode::None);
    assert_eq!(delete(&mut rig), ErrorCode::GroupIdNotFound);
    assert_eq!(offsets(&mut rig, &[0]), [-1]);
    rig.stop();
    let mut rig = rig.restart(&[]);
    rig.run();
    assert_eq!(error(describe(&mut rig).error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(rig.events.iter().filter(|it| matches!(it, node::Event::Warning { .. })).count(), 0);
}

/// What is not committed is not seen yet: neither that a group is new, nor that it is another one now.
#[test]
fn a_group_that_changes_its_protocol_is_listed_all_the_while() {
    let mut rig = start();
    let listed = |rig: &mut Rig| match rig.call(5, RequestBody::ListGroups(ListGroupsRequest::default())) {
        ResponseBody::ListGroups(it) => it.groups.into_iter().map(|it| it.group_id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(commit(&mut rig, "", -1, 0, 5), ErrorCode::None);
    assert_eq!(listed(&mut rig), ["g"]);
    rig.held = true;
    let mut one = Consumer::new("a", &["t"]);
    let beat = rig.send(1, RequestBody::ConsumerGroupHeartbeat(one.request()));
    rig.send(9, RequestBody::JoinGroup(JoinGroupRequest { group_id: text("new"), ..join_request("") }));
    assert_eq!(rig.answer(beat), None, "it is not written yet");
    assert_eq!(listed(&mut rig), ["g"]);
    rig.held = false;
    rig.run();
    assert_eq!(listed(&mut rig), ["g", "new"]);
    let Some(ResponseBody::ConsumerGroupHeartbeat(told)) = rig.answer(beat) else { panic!() };
    assert_eq!(one.hear(&told), ErrorCode::None);
    one.epoch = -1;
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    // And back again.
    rig.held = true;
    rig.send(9, RequestBody::JoinGroup(join_request("")));
    assert_eq!(listed(&mut rig), ["g", "new"]);
}

#[test]
fn offsets_of_an_empty_group_expire_and_the_group_with_them() {
    let mut rig = start_with(&[("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "1000")]);
    let mut one = Consumer::new("a", &["t"]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    assert_eq!(commit(&mut rig, "a", one.epoch, 0, 5), ErrorCode::None);
    for _ in 0..15 {
        rig.advance(5_000);
        assert_eq!(one.beat(&mut rig), ErrorCode::None);
    }
    assert_eq!(offsets(&mut rig, &[0]), [5], "it is subscribed to");
    one.epoch = -1;
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    rig.advance(2_000);
    assert_eq!(offsets(&mut rig, &[0]), [-1]);
    assert_eq!(error(describe(&mut rig).error_code), ErrorCode::GroupIdNotFound);
}

#[test]
fn a_classic_member_takes_part_and_the_group_changes_its_protocol_both_ways() {
    let mut rig = start();
    let (one, two, generation) = members::two_members(&mut rig);
    // Their assignments are no consumers': the group cannot be taken over.
    let mut new = Consumer::new("n", &["t"]);
    assert_eq!(new.beat(&mut rig), ErrorCode::GroupIdNotFound);
    members::leave(&mut rig, &[(&one, None), (&two, None)]);
    assert_eq!(generation, 1);
    // An empty one is replaced.
    assert_eq!(new.beat(&mut rig), ErrorCode::None);
    assert_eq!((new.epoch, new.partitions()), (2, vec![0, 1, 2]));
    // A classic member asks for a member id, joins, and waits for what is to be given up.
    let given = members::joined(Some(rig.call(9, RequestBody::JoinGroup(members::join_request("")))));
    assert_eq!(error(given.error_code), ErrorCode::MemberIdRequired);
    let join = |rig: &mut Rig, id: &Str| {
        let answer = members::joined(Some(rig.call(9, RequestBody::JoinGroup(members::join_request(id)))));
        assert_eq!(error(answer.error_code), ErrorCode::None);
        assert_eq!((answer.protocol_name.as_deref(), answer.leader.as_str()), (Some("range"), ""));
        answer.generation_id
    };
    let sync = |rig: &mut Rig, id: &Str, generation: i32| match rig
        .call(5, RequestBody::SyncGroup(members::sync_request(id, generation, &[])))
    {
        ResponseBody::SyncGroup(it) => (error(it.error_code), it.assignment),
        other => panic!("{other:?}"),
    };
    let id = given.member_id;
    rig.advance(1_000);
    let generation = join(&mut rig, &id);
    assert_eq!(generation, 3);
    let (answered, assignment) = sync(&mut rig, &id, generation);
    assert_eq!(answered, ErrorCode::None);
    assert_eq!(assigned(&assignment), Vec::<i32>::new());
    assert_eq!(members::heartbeat(&mut rig, &id, generation), ErrorCode::None, "it has to wait");
    for _ in 0..2 {
        assert_eq!(new.beat(&mut rig), ErrorCode::None);
    }
    assert_eq!(members::heartbeat(&mut rig, &id, generation), ErrorCode::RebalanceInProgress);
    let generation = join(&mut rig, &id);
    let (_, assignment) = sync(&mut rig, &id, generation);
    let mut both = [assigned(&assignment), new.partitions()].concat();
    both.sort_unstable();
    assert_eq!(both, [0, 1, 2]);
    assert_eq!(describe(&mut rig).members.iter().map(|it| it.member_type).sum::<i8>(), 1, "one of two is classic");
    assert_eq!(members::commit(&mut rig, &id, generation, both[0], 9), ErrorCode::None);
    // The last one goes who speaks the consumer protocol: the other prepares a rebalance of its own.
    new.epoch = -1;
    assert_eq!(new.beat(&mut rig), ErrorCode::None);
    assert_eq!(members::state(&mut rig), "PreparingRebalance");
    assert_eq!(members::heartbeat(&mut rig, &id, generation), ErrorCode::RebalanceInProgress);
    let again = members::rejoin(&mut rig, &id);
    let again = members::joined(rig.answer(again));
    assert_eq!((error(again.error_code), &again.leader), (ErrorCode::None, &id));
    let mut plan = ConsumerProtocolAssignment {
        assigned_partitions: vec![consumer_protocol_assignment::TopicPartition {
            topic: text("t"),
            partitions: vec![0, 1, 2],
        }],
        ..ConsumerProtocolAssignment::default()
    };
    let plan = protocol::message::encode_versioned(&mut plan, 1).expect("it can be written");
    let mut led = members::sync_request(&id, again.generation_id, &[]);
    led.assignments = vec![sync_group_request::SyncGroupRequestAssignment { member_id: id.clone(), assignment: plan }];
    rig.call(5, RequestBody::SyncGroup(led));
    assert_eq!(members::state(&mut rig), "Stable");
    // And up again, with a member in it: it goes on in its generation.
    let mut next = Consumer::new("o", &["t"]);
    assert_eq!(next.beat(&mut rig), ErrorCode::None);
    assert_eq!(state(&mut rig), "Reconciling");
    assert_eq!(members::heartbeat(&mut rig, &id, again.generation_id), ErrorCode::RebalanceInProgress);
    rig.stop();
    let mut rig = rig.restart(&[]);
    rig.run();
    assert_eq!(describe(&mut rig).members.len(), 2);
    assert_eq!(next.beat(&mut rig), ErrorCode::None);
}

/// The partitions in what a classic consumer was told.
fn assigned(assignment: &bytes::Bytes) -> Vec<i32> {
    let mut decoder = protocol::Decoder::new(assignment.clone());
    let version = decoder.version().expect("it is told in some version");
    let assignment: ConsumerProtocolAssignment =
        protocol::message::decode_from(&mut decoder, version).expect("it can be read");
    assignment.assigned_partitions.into_iter().flat_map(|it| it.partitions).collect()
}

#[test]
fn a_policy_may_forbid_changes_of_the_protocol() {
    let mut rig = start_with(&[("group.consumer.migration.policy", "disabled")]);
    let mut one = Consumer::new("a", &["t"]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None);
    let answer = members::joined(Some(rig.call(9, RequestBody::JoinGroup(members::join_request("")))));
    assert_eq!(error(answer.error_code), ErrorCode::InconsistentGroupProtocol);
    let unknown = Uuid([9; 16]);
    one.owned.insert(unknown, vec![5]);
    assert_eq!(one.beat(&mut rig), ErrorCode::None, "what it says that it has is only said");
}
