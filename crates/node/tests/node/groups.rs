//! Consumer groups of the classic protocol on one broker: joins, generations, static members, offsets, and bad input.

use bytes::Bytes;
use node::{ConnId, Event, Input, Peer, PeerHost};
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use protocol::messages::*;
use protocol::{RequestBody, Response, ResponseBody, Str, Uuid, frame};
use storage::{LogId, Store, StoreError, StoreOp, log_of};

use crate::common::{self, Rig};
use crate::members::*;

#[test]
fn members_join_share_and_leave() {
    let mut rig = start();
    let (one, two, generation) = two_members(&mut rig);
    assert_eq!(state(&mut rig), "Stable");
    assert_eq!(heartbeat(&mut rig, &one, generation), ErrorCode::None);
    assert_eq!(commit(&mut rig, &two, generation, 2, 42), ErrorCode::None);
    assert_eq!(offsets(&mut rig, &[0, 2]), [-1, 42]);
    // One leaves: the other hears of it, joins again and is alone.
    assert_eq!(leave(&mut rig, &[(&one, None)]), [ErrorCode::None]);
    assert_eq!(heartbeat(&mut rig, &two, generation), ErrorCode::RebalanceInProgress);
    assert_eq!(heartbeat(&mut rig, &one, generation), ErrorCode::UnknownMemberId);
    let again = rejoin(&mut rig, &two);
    let again = joined(rig.answer(again));
    assert_eq!((again.generation_id, again.leader), (2, two.clone()));
    assert_eq!(commit(&mut rig, &two, 1, 2, 43), ErrorCode::IllegalGeneration);
    assert_eq!(commit(&mut rig, &two, 2, 2, 43), ErrorCode::RebalanceInProgress, "it has no assignment yet");
    let alone = rig.call(5, RequestBody::SyncGroup(sync_request(&two, 2, &[(&two, "all")])));
    assert_eq!(synced(Some(alone)), (ErrorCode::None, "all".to_owned()));
    assert_eq!(commit(&mut rig, &two, 2, 2, 43), ErrorCode::None);
    assert_eq!(leave(&mut rig, &[(&two, None)]), [ErrorCode::None]);
    assert_eq!(state(&mut rig), "Empty");
    assert_eq!(offsets(&mut rig, &[2]), [43], "they stay");
}

#[test]
fn who_is_silent_is_out_and_who_waits_is_not() {
    let mut rig = start();
    let (one, two, generation) = two_members(&mut rig);
    rig.advance(6_000);
    assert_eq!(heartbeat(&mut rig, &one, generation), ErrorCode::None);
    rig.advance(5_000);
    assert_eq!(heartbeat(&mut rig, &one, generation), ErrorCode::RebalanceInProgress, "the other one is gone");
    assert_eq!(heartbeat(&mut rig, &two, generation), ErrorCode::UnknownMemberId);
    // A third wants in; the first is slow to come, and its join waits longer than a session.
    let (_, third) = join(&mut rig, None);
    rig.advance(9_000);
    assert_eq!(heartbeat(&mut rig, &one, generation), ErrorCode::RebalanceInProgress);
    assert!(rig.answer(third).is_none());
    let first = rejoin(&mut rig, &one);
    assert_eq!(joined(rig.answer(first)).members.len(), 2);
    assert_eq!(joined(rig.answer(third)).generation_id, 2);
    // Neither asks for its assignment: both are out after the rebalance timeout, and before that by their sessions.
    rig.advance(11_000);
    assert_eq!(state(&mut rig), "Empty");
}

#[test]
fn a_group_outlives_its_coordinator() {
    let mut rig = start();
    let (one, two, generation) = two_members(&mut rig);
    assert_eq!(commit(&mut rig, &one, generation, 0, 7), ErrorCode::None);
    assert_eq!(commit(&mut rig, &one, generation, 0, 8), ErrorCode::None);
    rig.stop();
    let mut rig = rig.restart(&[]);
    rig.run();
    assert_eq!(offsets(&mut rig, &[0, 1]), [8, -1]);
    let group = describe(&mut rig);
    assert_eq!((group.group_state.as_str(), group.members.len()), ("Stable", 2));
    let assignments: Vec<&[u8]> = group.members.iter().map(|it| &it.member_assignment[..]).collect();
    assert!(assignments.contains(&&b"0 1"[..]) && assignments.contains(&&b"2"[..]));
    for member in [&one, &two] {
        assert_eq!(heartbeat(&mut rig, member, generation), ErrorCode::None);
    }
    rig.advance(i64::from(SESSION_MS) - 1);
    assert_eq!(state(&mut rig), "Stable", "each has its whole session again");
    rig.advance(2);
    assert_eq!(state(&mut rig), "Empty");
}

#[test]
fn a_static_member_keeps_its_place() {
    let mut rig = start();
    let (_, first) = join(&mut rig, Some("a"));
    let (_, second) = join(&mut rig, Some("b"));
    rig.advance(6_000);
    let (first, second) = (joined(rig.answer(first)), joined(rig.answer(second)));
    assert!(first.member_id.starts_with("a-") && second.member_id.starts_with("b-"));
    let (a, b) = (first.member_id, second.member_id);
    let sync = |member: &str, instance: &str, assignments: &[(&str, &str)]| {
        let mut request = sync_request(member, 1, assignments);
        request.group_instance_id = Some(text(instance));
        RequestBody::SyncGroup(request)
    };
    rig.call(5, sync(&a, "a", &[(&a, "0"), (&b, "1 2")]));
    assert_eq!(synced(Some(rig.call(5, sync(&b, "b", &[])))), (ErrorCode::None, "1 2".to_owned()));
    // It comes back without its id: no rebalance, the same assignment, and the old id is fenced.
    let (_, again) = join(&mut rig, Some("b"));
    let again = joined(rig.answer(again));
    assert_eq!((error(again.error_code), again.generation_id, again.skip_assignment), (ErrorCode::None, 1, false));
    assert_ne!(again.member_id, b);
    assert_eq!(synced(Some(rig.call(5, sync(&again.member_id, "b", &[])))).1, "1 2");
    assert_eq!(synced(Some(rig.call(5, sync(&b, "b", &[])))).0, ErrorCode::FencedInstanceId);
    // The leader is told that it leads, and that there is nothing to assign.
    let (_, led) = join(&mut rig, Some("a"));
    let led = joined(rig.answer(led));
    assert_eq!((&led.leader, led.skip_assignment, led.members.len()), (&led.member_id, true, 2));
    // That it has another id survives a restart.
    rig.stop();
    let mut rig = rig.restart(&[]);
    rig.run();
    assert_eq!(synced(Some(rig.call(5, sync(&led.member_id, "a", &[])))), (ErrorCode::None, "0".to_owned()));
    // An administrator knows the instance only.
    assert_eq!(leave(&mut rig, &[("", Some("a")), ("", Some("c"))]), [ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(leave(&mut rig, &[(&a, Some("b"))]), [ErrorCode::FencedInstanceId]);
}

#[test]
fn nothing_is_told_before_it_is_committed() {
    let mut rig = start();
    assert_eq!(commit(&mut rig, "", -1, 0, 1), ErrorCode::None);
    rig.held = true;
    let waiting = rig.send(9, RequestBody::OffsetCommit(commit_request("", -1, 0, 2)));
    rig.run();
    assert!(rig.answer(waiting).is_none(), "the disk has not written it");
    assert_eq!(offsets(&mut rig, &[0]), [1], "others see what is committed");
    let stable = rig.send(9, RequestBody::OffsetFetch(fetch_request(&[0], true)));
    rig.run();
    assert!(rig.answer(stable).is_none(), "who wants to be sure waits");
    rig.held = false;
    rig.run();
    assert_eq!(committed(rig.answer(waiting)), ErrorCode::None);
    assert_eq!(fetched(rig.answer(stable)), [2]);
    // A disk that does not answer: the client is told to look again, and the commit counts once it is there.
    rig.held = true;
    let waiting = rig.send(9, RequestBody::OffsetCommit(commit_request("", -1, 0, 3)));
    rig.advance(5_000);
    assert_eq!(committed(rig.answer(waiting)), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(offsets(&mut rig, &[0]), [2]);
    rig.held = false;
    rig.run();
    assert_eq!(offsets(&mut rig, &[0]), [3]);
}

#[test]
fn bad_requests_get_the_codes_of_kafka() {
    let mut rig = start_with(&[("group.max.size", "2")]);
    let refused = |rig: &mut Rig, version: i16, change: &dyn Fn(&mut JoinGroupRequest)| {
        let mut request = join_request("");
        change(&mut request);
        error(joined(Some(rig.call(version, RequestBody::JoinGroup(request)))).error_code)
    };
    assert_eq!(refused(&mut rig, 9, &|it| it.group_id = Str::new()), ErrorCode::InvalidGroupId);
    assert_eq!(refused(&mut rig, 9, &|it| it.session_timeout_ms = 5_999), ErrorCode::InvalidSessionTimeout);
    assert_eq!(refused(&mut rig, 9, &|it| it.session_timeout_ms = 1_800_001), ErrorCode::InvalidSessionTimeout);
    assert_eq!(refused(&mut rig, 9, &|it| it.protocols.clear()), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(refused(&mut rig, 9, &|it| it.member_id = text("nobody")), ErrorCode::UnknownMemberId);
    let (one, two, _) = two_members(&mut rig);
    assert_eq!(refused(&mut rig, 9, &|it| it.member_id = text("nobody")), ErrorCode::GroupMaxSizeReached);
    assert_eq!(refused(&mut rig, 9, &|_| {}), ErrorCode::GroupMaxSizeReached);
    let other_type = |it: &mut JoinGroupRequest| (it.protocol_type, it.member_id) = (text("connect"), one.clone());
    assert_eq!(refused(&mut rig, 9, &other_type), ErrorCode::InconsistentGroupProtocol);
    let other_protocol = |it: &mut JoinGroupRequest| {
        it.member_id = one.clone();
        it.protocols = vec![JoinGroupRequestProtocol { name: text("sticky"), metadata: Bytes::new() }];
    };
    assert_eq!(refused(&mut rig, 9, &other_protocol), ErrorCode::InconsistentGroupProtocol);
    let instance = |it: &mut JoinGroupRequest| {
        (it.group_instance_id, it.member_id) = (Some(text("nobody")), one.clone());
    };
    assert_eq!(refused(&mut rig, 9, &instance), ErrorCode::UnknownMemberId);

    let sync = |rig: &mut Rig, request: SyncGroupRequest| synced(Some(rig.call(5, RequestBody::SyncGroup(request)))).0;
    assert_eq!(sync(&mut rig, sync_request(&two, 0, &[])), ErrorCode::IllegalGeneration);
    assert_eq!(sync(&mut rig, sync_request("nobody", 1, &[])), ErrorCode::UnknownMemberId);
    let other = SyncGroupRequest { protocol_name: Some(text("sticky")), ..sync_request(&two, 1, &[]) };
    assert_eq!(sync(&mut rig, other), ErrorCode::InconsistentGroupProtocol);
    let silent = SyncGroupRequest { protocol_name: None, ..sync_request(&two, 1, &[]) };
    assert_eq!(sync(&mut rig, silent), ErrorCode::InconsistentGroupProtocol);
    let elsewhere = SyncGroupRequest { group_id: text("none"), ..sync_request(&two, 1, &[]) };
    assert_eq!(sync(&mut rig, elsewhere), ErrorCode::UnknownMemberId);

    assert_eq!(heartbeat(&mut rig, &two, 7), ErrorCode::IllegalGeneration);
    assert_eq!(heartbeat(&mut rig, "nobody", 1), ErrorCode::UnknownMemberId);
    assert_eq!(leave(&mut rig, &[("nobody", None)]), [ErrorCode::UnknownMemberId]);

    assert_eq!(commit(&mut rig, "", -1, 0, 1), ErrorCode::UnknownMemberId, "the group has members");
    assert_eq!(commit(&mut rig, "nobody", 1, 0, 1), ErrorCode::UnknownMemberId);
    assert_eq!(commit(&mut rig, &two, 1, 3, 1), ErrorCode::UnknownTopicOrPartition);
    let mut long = commit_request(&two, 1, 0, 1);
    long.topics[0].partitions[0].committed_metadata = Some(text(&"x".repeat(4_097)));
    assert_eq!(committed(Some(rig.call(9, RequestBody::OffsetCommit(long)))), ErrorCode::OffsetMetadataTooLarge);
    let by_id = |topic_id| {
        let mut request = commit_request(&two, 1, 0, 1);
        request.topics[0].topic_id = topic_id;
        RequestBody::OffsetCommit(request)
    };
    assert_eq!(committed(Some(rig.call(10, by_id(Uuid([9; 16]))))), ErrorCode::UnknownTopicId);
    for (version, code) in [(8, ErrorCode::IllegalGeneration), (9, ErrorCode::GroupIdNotFound)] {
        let request = OffsetCommitRequest { group_id: text("none"), ..commit_request("x", 1, 0, 1) };
        assert_eq!(committed(Some(rig.call(version, RequestBody::OffsetCommit(request)))), code);
    }
    // A name as long as a string may be is a name.
    let long = OffsetCommitRequest { group_id: text(&"x".repeat(32_767)), ..commit_request("", -1, 0, 1) };
    assert_eq!(committed(Some(rig.call(9, RequestBody::OffsetCommit(long)))), ErrorCode::None);
    assert_eq!(state(&mut rig), "Stable", "all of this changed nothing");
}

/// A string on the wire has 32,767 bytes at most: one that names another, or is made of it, must not grow beyond that.
#[test]
fn what_is_said_of_the_longest_names_can_be_sent() {
    let mut rig = start();
    let longest = text(&"é".repeat(16_383));
    let mut ask = |version: i16, body: RequestBody| {
        let body = rig.call(version, body);
        let mut response = Response { version, correlation_id: 1, body: body.clone() };
        frame::encode_response(&mut response).unwrap_or_else(|error| panic!("{error}: {body:?}"));
        body
    };
    let of = || vec![longest.clone()];
    ask(6, RequestBody::DescribeGroups(DescribeGroupsRequest { groups: of(), ..Default::default() }));
    let groups = ConsumerGroupDescribeRequest { group_ids: of(), ..Default::default() };
    ask(1, RequestBody::ConsumerGroupDescribe(groups));
    let beat = ConsumerGroupHeartbeatRequest {
        group_id: longest.clone(),
        member_id: longest.clone(),
        member_epoch: 1,
        ..ConsumerGroupHeartbeatRequest::default()
    };
    ask(1, RequestBody::ConsumerGroupHeartbeat(beat));
    // A member's id is longer than what it is made of: it must not be in the group when that comes out.
    for (group, code) in [("new", ErrorCode::GroupIdNotFound), ("g", ErrorCode::None)] {
        let join = |instance: Option<&Str>| {
            let group_instance_id = instance.cloned();
            RequestBody::JoinGroup(JoinGroupRequest { group_id: text(group), group_instance_id, ..join_request("") })
        };
        if code == ErrorCode::None {
            ask(9, join(None));
        }
        let answer = joined(Some(ask(9, join(Some(&longest)))));
        assert_eq!((error(answer.error_code), answer.member_id.as_str()), (ErrorCode::UnknownServerError, ""));
        let groups = DescribeGroupsRequest { groups: vec![text(group)], ..Default::default() };
        let ResponseBody::DescribeGroups(described) = ask(6, RequestBody::DescribeGroups(groups)) else { panic!() };
        assert_eq!((error(described.groups[0].error_code), described.groups[0].members.len()), (code, 0));
    }
}

/// Kafka echoes the id where it looked the member up, and says none where it could not go on.
#[test]
fn refused_joins_name_who_is_meant() {
    let mut rig = start();
    let (_, first) = join(&mut rig, Some("i"));
    let (_, second) = join(&mut rig, Some("i"));
    let fenced = joined(rig.answer(first));
    assert_eq!(error(fenced.error_code), ErrorCode::FencedInstanceId);
    assert!(fenced.member_id.starts_with("i-"), "{fenced:?}");
    rig.advance(3_000);
    assert_eq!(error(joined(rig.answer(second)).error_code), ErrorCode::None);
    // An id that was given to a dynamic member is no static one's.
    let given = joined(Some(rig.call(9, RequestBody::JoinGroup(join_request("")))));
    let group_instance_id = Some(text("other"));
    let request = JoinGroupRequest { group_instance_id, ..join_request(&given.member_id) };
    let refused = joined(Some(rig.call(9, RequestBody::JoinGroup(request))));
    assert_eq!((error(refused.error_code), refused.member_id.as_str()), (ErrorCode::UnknownServerError, ""));
    let unknown = joined(Some(rig.call(9, RequestBody::JoinGroup(join_request("x")))));
    assert_eq!((error(unknown.error_code), unknown.member_id.as_str()), (ErrorCode::UnknownMemberId, "x"));
}

#[test]
fn an_assignment_that_cannot_be_written_begins_another_rebalance() {
    let mut rig = start();
    let (one, first) = join(&mut rig, None);
    rig.advance(3_000);
    assert_eq!(joined(rig.answer(first)).generation_id, 1);
    let large = "x".repeat(10 << 20);
    let answer = rig.call(5, RequestBody::SyncGroup(sync_request(&one, 1, &[(&one, &large)])));
    assert_eq!(synced(Some(answer)).0, ErrorCode::UnknownServerError);
    assert_eq!(state(&mut rig), "PreparingRebalance");
    let again = rejoin(&mut rig, &one);
    assert_eq!(joined(rig.answer(again)).generation_id, 2);
}

#[test]
fn groups_are_listed_and_deleted() {
    let mut rig = start();
    let (one, two, generation) = two_members(&mut rig);
    assert_eq!(commit(&mut rig, &one, generation, 0, 5), ErrorCode::None);
    let simple = OffsetCommitRequest { group_id: text("simple"), ..commit_request("", -1, 0, 9) };
    rig.call(9, RequestBody::OffsetCommit(simple));
    let list = |rig: &mut Rig, states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|it| text(it)).collect(),
            types_filter: types.iter().map(|it| text(it)).collect(),
        };
        let ResponseBody::ListGroups(response) = rig.call(5, RequestBody::ListGroups(request)) else { panic!() };
        assert_eq!(response.error_code, 0);
        let mut all: Vec<String> = response
            .groups
            .iter()
            .map(|it| format!("{} {} {} {}", it.group_id, it.protocol_type, it.group_state, it.group_type))
            .collect();
        all.sort();
        all
    };
    assert_eq!(list(&mut rig, &[], &[]), ["g consumer Stable classic", "simple  Empty classic"]);
    assert_eq!(list(&mut rig, &["STABLE"], &["Classic"]), ["g consumer Stable classic"]);
    assert!(list(&mut rig, &["Dead"], &[]).is_empty() && list(&mut rig, &[], &["consumer"]).is_empty());

    let delete = |rig: &mut Rig, groups: &[&str]| {
        let groups_names = groups.iter().map(|it| text(it)).collect();
        let request = RequestBody::DeleteGroups(DeleteGroupsRequest { groups_names });
        let ResponseBody::DeleteGroups(mut response) = rig.call(2, request) else { panic!() };
        response.results.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        response.results.iter().map(|it| error(it.error_code)).collect::<Vec<_>>()
    };
    let none = (ErrorCode::NonEmptyGroup, ErrorCode::GroupIdNotFound, ErrorCode::None);
    assert_eq!(delete(&mut rig, &["g", "none", "simple"]), [none.0, none.1, none.2]);
    let delete_offset = |rig: &mut Rig, group: &str, topic: &str| {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
        let topics = vec![OffsetDeleteRequestTopic { name: text(topic), partitions }];
        let request = RequestBody::OffsetDelete(OffsetDeleteRequest { group_id: text(group), topics });
        let ResponseBody::OffsetDelete(response) = rig.call(0, request) else { panic!() };
        match response.topics.first() {
            Some(topic) if response.error_code == 0 => error(topic.partitions[0].error_code),
            _ => error(response.error_code),
        }
    };
    assert_eq!(delete_offset(&mut rig, GROUP, "t"), ErrorCode::GroupSubscribedToTopic);
    assert_eq!(delete_offset(&mut rig, GROUP, "none"), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(delete_offset(&mut rig, "none", "t"), ErrorCode::GroupIdNotFound);
    assert_eq!(leave(&mut rig, &[(&one, None), (&two, None)]), [ErrorCode::None, ErrorCode::None]);
    assert_eq!(delete_offset(&mut rig, GROUP, "t"), ErrorCode::None);
    assert_eq!(offsets(&mut rig, &[0]), [-1]);
    assert_eq!(delete(&mut rig, &["g"]), [ErrorCode::None]);
    assert!(list(&mut rig, &[], &[]).is_empty());
    assert_eq!(error(describe(&mut rig).error_code), ErrorCode::GroupIdNotFound);
    rig.stop();
    let mut rig = rig.restart(&[]);
    rig.run();
    assert!(list(&mut rig, &[], &[]).is_empty(), "they do not come back");
}

#[test]
fn offsets_end_with_their_time_and_with_their_topic() {
    let settings = [("offsets.retention.minutes", "60"), ("offsets.retention.check.interval.ms", "60000")];
    let mut rig = start_with(&settings);
    assert_eq!(commit(&mut rig, "", -1, 0, 5), ErrorCode::None);
    rig.advance(59 * 60_000);
    assert_eq!(commit(&mut rig, "", -1, 1, 6), ErrorCode::None);
    assert_eq!(offsets(&mut rig, &[0, 1]), [5, 6]);
    rig.advance(2 * 60_000);
    assert_eq!(offsets(&mut rig, &[0, 1]), [-1, 6], "each counts from its own commit while nobody was ever a member");
    let topics = vec![text("t")];
    let request = DeleteTopicsRequest { topic_names: topics, timeout_ms: 1_000, ..DeleteTopicsRequest::default() };
    rig.call(5, RequestBody::DeleteTopics(request));
    rig.create_topic("t", 3, &[]);
    assert_eq!(offsets(&mut rig, &[0, 1]), [-1, -1], "another topic of the same name");
    rig.advance(61 * 60_000);
    assert_eq!(error(describe(&mut rig).error_code), ErrorCode::GroupIdNotFound, "nothing is left of it");
}

#[test]
fn old_versions_are_answered_in_their_own_words() {
    let mut rig = start();
    for version in 0..=6 {
        assert_eq!(find(&mut rig, version, GROUP).node_id, 1, "version {version}");
    }
    // Version 0: no id is asked for first, and there is one time for everything.
    let mut request = join_request("");
    request.rebalance_timeout_ms = -1;
    let waiting = rig.send(0, RequestBody::JoinGroup(request));
    rig.advance(3_000);
    let answer = joined(rig.answer(waiting));
    assert_eq!((answer.generation_id, answer.protocol_name.as_deref()), (1, Some("range")));
    let member = answer.member_id;
    let mut request = sync_request(&member, 1, &[(&member, "x")]);
    (request.protocol_type, request.protocol_name) = (None, None);
    assert_eq!(synced(Some(rig.call(0, RequestBody::SyncGroup(request)))).1, "x");
    let unknown = join_request("nobody");
    assert_eq!(joined(Some(rig.call(6, RequestBody::JoinGroup(unknown.clone())))).protocol_name.as_deref(), Some(""));
    assert_eq!(joined(Some(rig.call(7, RequestBody::JoinGroup(unknown)))).protocol_name, None);
    for version in 2..=9 {
        let mut request = commit_request(&member, 1, 0, i64::from(version));
        request.topics[0].partitions[0].committed_leader_epoch = -1;
        assert_eq!(committed(Some(rig.call(version, RequestBody::OffsetCommit(request)))), ErrorCode::None);
    }
    for version in 1..=7 {
        let topic = OffsetFetchRequestTopic { name: text("t"), partition_indexes: vec![0, 1] };
        for topics in [Some(vec![topic]), None] {
            if topics.is_none() && version < 2 {
                continue;
            }
            let count = if topics.is_none() { 1 } else { 2 };
            let request = OffsetFetchRequest { group_id: text(GROUP), topics, ..OffsetFetchRequest::default() };
            let ResponseBody::OffsetFetch(response) = rig.call(version, RequestBody::OffsetFetch(request)) else {
                panic!()
            };
            let partitions = &response.topics[0].partitions;
            assert_eq!((partitions.len(), partitions[0].committed_offset), (count, 9), "version {version}");
        }
    }
    let leaving = LeaveGroupRequest { group_id: text(GROUP), member_id: text("nobody"), ..Default::default() };
    let ResponseBody::LeaveGroup(response) = rig.call(2, RequestBody::LeaveGroup(leaving)) else { panic!() };
    assert_eq!((error(response.error_code), response.members.len()), (ErrorCode::UnknownMemberId, 0));
    let leaving = LeaveGroupRequest { group_id: text(GROUP), member_id: member, ..Default::default() };
    let ResponseBody::LeaveGroup(response) = rig.call(0, RequestBody::LeaveGroup(leaving)) else { panic!() };
    assert_eq!(error(response.error_code), ErrorCode::None);
    let request = DescribeGroupsRequest { groups: vec![text("none")], ..DescribeGroupsRequest::default() };
    let ResponseBody::DescribeGroups(response) = rig.call(5, RequestBody::DescribeGroups(request)) else { panic!() };
    assert_eq!((response.groups[0].error_code, response.groups[0].group_state.as_str()), (0, "Dead"));
}

#[test]
fn topics_are_named_by_their_ids_since_version_10() {
    let mut rig = start();
    let id = rig.view().topics.iter().find(|it| it.name == *"t").expect("it is there").id;
    let mut request = commit_request("", -1, 0, 4);
    (request.topics[0].topic_id, request.topics[0].name) = (id, Str::new());
    assert_eq!(committed(Some(rig.call(10, RequestBody::OffsetCommit(request)))), ErrorCode::None);
    let topic = |topic_id| OffsetFetchRequestTopics { topic_id, partition_indexes: vec![0], ..Default::default() };
    for (topics, expected) in
        [(Some(vec![topic(id), topic(Uuid([5; 16]))]), vec![(4, 0), (-1, 100)]), (None, vec![(4, 0)])]
    {
        let group = OffsetFetchRequestGroup { group_id: text(GROUP), topics, ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
        let ResponseBody::OffsetFetch(response) = rig.call(10, RequestBody::OffsetFetch(request)) else { panic!() };
        let partitions = response.groups[0].topics.iter().flat_map(|it| &it.partitions);
        assert_eq!(partitions.map(|it| (it.committed_offset, it.error_code)).collect::<Vec<_>>(), expected);
        assert_eq!(response.groups[0].topics[0].topic_id, id);
    }
}

#[test]
fn a_member_whose_connection_is_gone_holds_nobody_up_for_long() {
    let mut rig = start();
    let lost = ConnId(77);
    rig.open(lost);
    let request = rig.call(9, RequestBody::JoinGroup(join_request("")));
    let member = joined(Some(request)).member_id;
    rig.send_on(lost, 9, RequestBody::JoinGroup(join_request(&member)));
    rig.input(node::Input::Closed(lost));
    rig.advance(3_000);
    // It is the leader of a generation that it never hears of; its session decides.
    assert_eq!(state(&mut rig), "CompletingRebalance");
    let (_, waiting) = join(&mut rig, None);
    rig.advance(i64::from(SESSION_MS));
    let answer = joined(rig.answer(waiting));
    assert_eq!((answer.generation_id, answer.members.len()), (2, 1));
}

/// Its deadlines are now, and stay there while time stands still.
#[test]
fn members_who_give_others_no_time_do_not_stop_it() {
    let mut rig = start();
    let (_, first) = join(&mut rig, Some("a"));
    let (_, second) = join(&mut rig, Some("b"));
    rig.advance(6_000);
    let (a, b) = (joined(rig.answer(first)).member_id, joined(rig.answer(second)).member_id);
    let sync = |member: &str, instance: &str| {
        let mut request = sync_request(member, 1, &[(&a, "0"), (&b, "1")]);
        request.group_instance_id = Some(text(instance));
        RequestBody::SyncGroup(request)
    };
    rig.call(5, sync(&a, "a"));
    rig.call(5, sync(&b, "b"));
    for instance in ["a", "b"] {
        let mut request = join_request("");
        (request.group_instance_id, request.rebalance_timeout_ms) = (Some(text(instance)), i32::MIN);
        let answer = joined(Some(rig.call(9, RequestBody::JoinGroup(request))));
        assert_eq!((error(answer.error_code), answer.generation_id), (ErrorCode::None, 1));
    }
    // The other one is static, too, and not there: it is waited for, again and again.
    assert_eq!(leave(&mut rig, &[("", Some("a"))]), [ErrorCode::None]);
    rig.advance(100);
    assert_eq!(state(&mut rig), "PreparingRebalance");
    rig.advance(i64::from(SESSION_MS));
    assert_eq!(state(&mut rig), "Empty");
}

/// The answers of a connection go out in order: without this one it would be silent for good.
#[test]
fn who_leaves_while_it_waits_for_its_assignment_is_answered() {
    let mut rig = start();
    let (_, first) = join(&mut rig, None);
    let (two, second) = join(&mut rig, None);
    rig.advance(6_000);
    assert!(rig.answer(first).is_some() && rig.answer(second).is_some());
    let waiting = rig.send(5, RequestBody::SyncGroup(sync_request(&two, 1, &[])));
    rig.run();
    assert!(rig.answer(waiting).is_none(), "the leader has assigned nothing");
    assert_eq!(leave(&mut rig, &[(&two, None)]), [ErrorCode::None]);
    assert_eq!(synced(rig.answer(waiting)).0, ErrorCode::UnknownMemberId);
}

#[test]
fn version_0_has_one_time_for_everything_when_it_joins_again_too() {
    let mut rig = start();
    let mut request = join_request("");
    request.rebalance_timeout_ms = -1;
    let waiting = rig.send(0, RequestBody::JoinGroup(request.clone()));
    rig.advance(3_000);
    request.member_id = joined(rig.answer(waiting)).member_id;
    let again = joined(Some(rig.call(0, RequestBody::JoinGroup(request.clone()))));
    assert_eq!((again.generation_id, again.protocol_name.as_deref()), (1, Some("range")), "nothing has changed");
    let mut sync = sync_request(&again.member_id, 1, &[(&again.member_id, "x")]);
    (sync.protocol_type, sync.protocol_name) = (None, None);
    assert_eq!(synced(Some(rig.call(0, RequestBody::SyncGroup(sync)))).1, "x");
    let again = joined(Some(rig.call(0, RequestBody::JoinGroup(request))));
    assert_eq!(again.generation_id, 2, "the leader wants another");
    rig.advance(i64::from(SESSION_MS) - 1);
    assert_eq!(state(&mut rig), "CompletingRebalance", "it has its time to ask for its assignment");
}

#[test]
fn a_static_member_that_came_back_to_a_slow_disk_is_missed_when_it_is_silent() {
    let mut rig = start_with(&[("offsets.commit.timeout.ms", "60000")]);
    let (_, first) = join(&mut rig, Some("a"));
    rig.advance(6_000);
    let a = joined(rig.answer(first)).member_id;
    let mut request = sync_request(&a, 1, &[(&a, "0")]);
    request.group_instance_id = Some(text("a"));
    rig.call(5, RequestBody::SyncGroup(request));
    rig.held = true;
    let (_, again) = join(&mut rig, Some("a"));
    rig.advance(i64::from(SESSION_MS) + 1);
    assert!(rig.answer(again).is_none(), "its new id is not written down");
    rig.held = false;
    rig.run();
    assert_eq!(error(joined(rig.answer(again)).error_code), ErrorCode::None);
    assert_eq!(state(&mut rig), "Stable");
    rig.advance(i64::from(SESSION_MS) + 1);
    assert_ne!(state(&mut rig), "Stable", "its session is over");
}

#[test]
fn offsets_of_many_topics_end_together() {
    let mut rig = start();
    for topic in ["u", "v"] {
        rig.create_topic(topic, 1, &[]);
    }
    let commit = |rig: &mut Rig, group: &str, topic: &str, partition: i32| {
        let mut request = commit_request("", -1, partition, 5);
        (request.group_id, request.topics[0].name) = (text(group), text(topic));
        assert_eq!(committed(Some(rig.call(9, RequestBody::OffsetCommit(request)))), ErrorCode::None);
    };
    commit(&mut rig, "small", "t", 0);
    for (topic, partition) in [("t", 0), ("t", 2), ("u", 0), ("v", 0)] {
        commit(&mut rig, "large", topic, partition);
    }
    let topics = vec![text("t"), text("u")];
    let request = DeleteTopicsRequest { topic_names: topics, timeout_ms: 1_000, ..DeleteTopicsRequest::default() };
    rig.call(5, RequestBody::DeleteTopics(request));
    for (group, left) in [("small", vec![]), ("large", vec![text("v")])] {
        let group = OffsetFetchRequestGroup { group_id: text(group), topics: None, ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
        let ResponseBody::OffsetFetch(response) = rig.call(9, RequestBody::OffsetFetch(request)) else { panic!() };
        assert_eq!(response.groups[0].topics.iter().map(|it| it.name.clone()).collect::<Vec<_>>(), left);
    }
}

/// What a node's own configuration says of the quorum is not all of the cluster.
#[test]
fn offsets_have_one_copy_in_a_cluster_of_one_only() {
    let another = |rig: &mut Rig| {
        let host = PeerHost::Named(text("other"));
        rig.input(Input::Opened(ConnId(2), Peer { listener: text("CONTROLLER"), host }));
        let features = protocol::support::kafka_features().iter().map(|it| broker_registration_request::Feature {
            name: it.name.into(),
            min_supported_version: *it.levels.start(),
            max_supported_version: *it.levels.end(),
        });
        let request = BrokerRegistrationRequest {
            broker_id: 2,
            cluster_id: text("test-cluster"),
            incarnation_id: Uuid([2; 16]),
            listeners: vec![broker_registration_request::Listener {
                name: text("PLAINTEXT"),
                host: text("there"),
                port: 9092,
                security_protocol: 0,
            }],
            features: features.collect(),
            log_dirs: vec![Uuid([77; 16])],
            previous_broker_epoch: -1,
            ..BrokerRegistrationRequest::default()
        };
        let asked = rig.send_on(ConnId(2), 4, RequestBody::BrokerRegistration(request));
        rig.run();
        let Some(ResponseBody::BrokerRegistration(it)) = rig.answer(asked) else { panic!("it is answered") };
        assert_eq!(error(it.error_code), ErrorCode::None);
    };
    for (settings, is_created) in [(&[][..], false), (&[("offsets.topic.replication.factor", "1")][..], true)] {
        let mut rig = Rig::with(settings);
        another(&mut rig);
        find(&mut rig, 4, GROUP);
        rig.run();
        assert_eq!(rig.view().topics.iter().any(|it| it.name == *"__consumer_offsets"), is_created, "{settings:?}");
    }
}

#[test]
fn who_waits_while_the_node_stops_is_told() {
    let mut rig = start();
    let (one, two, generation) = two_members(&mut rig);
    let waiting = rejoin(&mut rig, &one);
    assert!(rig.answer(waiting).is_none(), "the other one has not come");
    rig.stop();
    assert_eq!(error(joined(rig.answer(waiting)).error_code), ErrorCode::NotCoordinator);
    let mut rig = rig.restart(&[]);
    rig.run();
    assert_eq!(describe(&mut rig).members.len(), 2);
    assert_eq!(heartbeat(&mut rig, &two, generation), ErrorCode::None);
}

/// The disk has failed, and not this one coordinator.
#[test]
fn offsets_that_the_disk_refuses_to_read_cost_the_directory() {
    let mut rig = start();
    assert_eq!(commit(&mut rig, "", -1, 0, 5), ErrorCode::None);
    let mut disk = rig.store.into_disk();
    disk.crash();
    let mut rig = Rig::cold(common::config(&[]), Store::new(disk));
    rig.held = true;
    let load = loop {
        rig.run();
        match rig.queue.front() {
            Some((id, StoreOp::Load(region))) if log_of(region.file) != LogId(0) => break *id,
            _ => assert!(rig.store_one(), "the coordinator loads"),
        }
    };
    rig.queue.pop_front();
    rig.input(Input::Stored(load, Err(StoreError::Io("bad sector".into()))));
    let said = |event: &Event| matches!(event, Event::Failed { what } if what.contains("bad sector"));
    assert!(rig.stopped && rig.events.iter().any(said), "{:?}", rig.events.last());
}
