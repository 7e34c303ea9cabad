//! What the members of a group ask of its coordinator, and what they hear.

use bytes::Bytes;
use protocol::messages::find_coordinator_response::Coordinator;
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::leave_group_request::MemberIdentity;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use protocol::messages::*;
use protocol::{RequestBody, ResponseBody, Str};

use crate::common::Rig;

pub(crate) const GROUP: &str = "g";
pub(crate) const REBALANCE_MS: i32 = 60_000;
pub(crate) const SESSION_MS: i32 = 10_000;

/// A broker whose offsets topic is there, with a topic to consume.
pub(crate) fn start() -> Rig {
    start_with(&[])
}

pub(crate) fn start_with(settings: &[(&str, &str)]) -> Rig {
    let mut rig = Rig::with(settings);
    rig.create_topic("t", 3, &[]);
    let first = find(&mut rig, 4, GROUP);
    assert_eq!(error(first.error_code), ErrorCode::CoordinatorNotAvailable, "its topic is being created");
    rig.run();
    let found = find(&mut rig, 4, GROUP);
    assert_eq!((error(found.error_code), found.node_id), (ErrorCode::None, 1));
    rig
}

pub(crate) fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code)
}

pub(crate) fn text(text: &str) -> Str {
    Str::from(text)
}

pub(crate) fn find(rig: &mut Rig, version: i16, group: &str) -> Coordinator {
    let mut request = FindCoordinatorRequest::default();
    if version < 4 {
        request.key = text(group)
    } else {
        request.coordinator_keys = vec![text(group)]
    }
    match rig.call(version, RequestBody::FindCoordinator(request)) {
        ResponseBody::FindCoordinator(mut response) if version >= 4 => response.coordinators.remove(0),
        ResponseBody::FindCoordinator(it) => {
            Coordinator { node_id: it.node_id, error_code: it.error_code, ..Coordinator::default() }
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn subscription(topics: &[&str]) -> Bytes {
    let topics = topics.iter().map(|it| text(it)).collect();
    let mut subscription = ConsumerProtocolSubscription { topics, ..ConsumerProtocolSubscription::default() };
    protocol::message::encode_versioned(&mut subscription, 1).expect("it can be written")
}

pub(crate) fn join_request(member: &str) -> JoinGroupRequest {
    let protocol = |name| JoinGroupRequestProtocol { name: text(name), metadata: subscription(&["t"]) };
    JoinGroupRequest {
        group_id: text(GROUP),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        member_id: text(member),
        protocol_type: text("consumer"),
        protocols: vec![protocol("range"), protocol("roundrobin")],
        ..JoinGroupRequest::default()
    }
}

pub(crate) fn joined(answer: Option<ResponseBody>) -> JoinGroupResponse {
    match answer {
        Some(ResponseBody::JoinGroup(response)) => response,
        other => panic!("{other:?}"),
    }
}

/// Asks for a member id, and joins with it: the id, and the request that waits.
pub(crate) fn join(rig: &mut Rig, instance: Option<&str>) -> (Str, i32) {
    let mut request = join_request("");
    request.group_instance_id = instance.map(text);
    if instance.is_some() {
        let id = rig.send(9, RequestBody::JoinGroup(request));
        rig.run();
        return (Str::new(), id);
    }
    let given = joined(Some(rig.call(9, RequestBody::JoinGroup(request))));
    assert_eq!(error(given.error_code), ErrorCode::MemberIdRequired);
    let id = rig.send(9, RequestBody::JoinGroup(join_request(&given.member_id)));
    rig.run();
    (given.member_id, id)
}

pub(crate) fn rejoin(rig: &mut Rig, member: &str) -> i32 {
    let id = rig.send(9, RequestBody::JoinGroup(join_request(member)));
    rig.run();
    id
}

pub(crate) fn sync_request(member: &str, generation: i32, assignments: &[(&str, &str)]) -> SyncGroupRequest {
    let assignments = assignments.iter().map(|(member, assignment)| SyncGroupRequestAssignment {
        member_id: text(member),
        assignment: Bytes::copy_from_slice(assignment.as_bytes()),
    });
    SyncGroupRequest {
        group_id: text(GROUP),
        generation_id: generation,
        member_id: text(member),
        protocol_type: Some(text("consumer")),
        protocol_name: Some(text("range")),
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    }
}

pub(crate) fn synced(answer: Option<ResponseBody>) -> (ErrorCode, String) {
    match answer {
        Some(ResponseBody::SyncGroup(it)) => {
            (error(it.error_code), String::from_utf8_lossy(&it.assignment).into_owned())
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn heartbeat(rig: &mut Rig, member: &str, generation: i32) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: text(GROUP),
        generation_id: generation,
        member_id: text(member),
        ..HeartbeatRequest::default()
    };
    match rig.call(4, RequestBody::Heartbeat(request)) {
        ResponseBody::Heartbeat(response) => error(response.error_code),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn leave(rig: &mut Rig, members: &[(&str, Option<&str>)]) -> Vec<ErrorCode> {
    let members = members.iter().map(|(member, instance)| MemberIdentity {
        member_id: text(member),
        group_instance_id: instance.map(text),
        ..MemberIdentity::default()
    });
    let members = members.collect();
    let request = LeaveGroupRequest { group_id: text(GROUP), members, ..LeaveGroupRequest::default() };
    match rig.call(5, RequestBody::LeaveGroup(request)) {
        ResponseBody::LeaveGroup(it) => it.members.iter().map(|it| error(it.error_code)).collect(),
        other => panic!("{other:?}"),
    }
}

/// A commit by a member, or with generation -1 by nobody.
pub(crate) fn commit_request(member: &str, generation: i32, partition: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: 3,
        committed_metadata: Some(text("note")),
    };
    let topic = OffsetCommitRequestTopic { name: text("t"), partitions: vec![partition], ..Default::default() };
    OffsetCommitRequest {
        group_id: text(GROUP),
        generation_id_or_member_epoch: generation,
        member_id: text(member),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    }
}

pub(crate) fn committed(answer: Option<ResponseBody>) -> ErrorCode {
    match answer {
        Some(ResponseBody::OffsetCommit(it)) => error(it.topics[0].partitions[0].error_code),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn commit(rig: &mut Rig, member: &str, generation: i32, partition: i32, offset: i64) -> ErrorCode {
    committed(Some(rig.call(9, RequestBody::OffsetCommit(commit_request(member, generation, partition, offset)))))
}

pub(crate) fn fetch_request(partitions: &[i32], require_stable: bool) -> OffsetFetchRequest {
    let topic = OffsetFetchRequestTopics {
        name: text("t"),
        partition_indexes: partitions.to_vec(),
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup { group_id: text(GROUP), topics: Some(vec![topic]), ..Default::default() };
    OffsetFetchRequest { groups: vec![group], require_stable, ..OffsetFetchRequest::default() }
}

pub(crate) fn fetched(answer: Option<ResponseBody>) -> Vec<i64> {
    match answer {
        Some(ResponseBody::OffsetFetch(it)) => {
            assert_eq!(it.groups[0].error_code, 0);
            it.groups[0].topics.iter().flat_map(|it| &it.partitions).map(|it| it.committed_offset).collect()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn offsets(rig: &mut Rig, partitions: &[i32]) -> Vec<i64> {
    fetched(Some(rig.call(9, RequestBody::OffsetFetch(fetch_request(partitions, false)))))
}

pub(crate) fn describe(rig: &mut Rig) -> describe_groups_response::DescribedGroup {
    let request = DescribeGroupsRequest { groups: vec![text(GROUP)], ..DescribeGroupsRequest::default() };
    match rig.call(6, RequestBody::DescribeGroups(request)) {
        ResponseBody::DescribeGroups(mut response) => response.groups.remove(0),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn state(rig: &mut Rig) -> String {
    describe(rig).group_state.to_string()
}

/// Two members in a stable generation: the leader and the other.
pub(crate) fn two_members(rig: &mut Rig) -> (Str, Str, i32) {
    let (one, first) = join(rig, None);
    let (_, second) = join(rig, None);
    rig.advance(3_000);
    assert!(rig.answer(first).is_none(), "somebody came in the first delay, so there is another");
    rig.advance(3_000);
    let (first, second) = (joined(rig.answer(first)), joined(rig.answer(second)));
    assert_eq!((first.generation_id, first.leader.as_str()), (1, one.as_str()));
    assert_eq!((first.members.len(), second.members.len()), (2, 0), "the leader alone is told of all");
    let other = rig.send(5, RequestBody::SyncGroup(sync_request(&second.member_id, 1, &[])));
    rig.run();
    assert!(rig.answer(other).is_none(), "there is no assignment yet");
    let assignments = [(one.as_str(), "0 1"), (second.member_id.as_str(), "2")];
    let led = rig.call(5, RequestBody::SyncGroup(sync_request(&one, 1, &assignments)));
    assert_eq!(synced(Some(led)), (ErrorCode::None, "0 1".to_owned()));
    assert_eq!(synced(rig.answer(other)), (ErrorCode::None, "2".to_owned()));
    (one, second.member_id, 1)
}
