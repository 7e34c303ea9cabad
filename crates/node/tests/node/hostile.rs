//! Requests that no client sends: the node answers or closes, serves the next, and writes nothing.

use bytes::{BufMut, Bytes, BytesMut};
use node::gateway::api_versions::SERVED_BY_CONTROLLERS;
use node::{CallError, CallId, ConnId, Input, Peer, PeerHost, Random, Reply};
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::describe_topic_partitions_request::TopicRequest;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::leave_group_request::MemberIdentity;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest, FetchRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    JoinGroupRequest, LeaveGroupRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, SPOKEN,
};
use protocol::{ApiKey, Offset, RequestBody, ResponseBody, Str, frame, support};
use storage::{Done, OpId};

use crate::common::{CLIENT, Rig, batch, fetch, produce};

/// Serves, and nothing was written to its topic.
fn assert_unharmed(rig: &mut Rig) {
    rig.run();
    assert_eq!(rig.log("t", 0).end, Offset(1));
    rig.replies.clear();
    let conn = ConnId(u64::MAX);
    rig.open(conn);
    let id = rig.send_on(conn, 12, produce("t", 0, -1, batch(&["next"])));
    rig.run();
    let Some(ResponseBody::Produce(response)) = rig.answer(id) else { panic!("others are served") };
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

fn rig() -> Rig {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.produce("t", 0, -1, batch(&["first"]));
    rig
}

#[test]
fn an_empty_request_of_every_api_and_version_is_answered_or_closes() {
    let rig = rig();
    for api in SPOKEN.iter().copied() {
        for version in -1..=30 {
            let mut rig = rig.clone();
            rig.send(version, RequestBody::empty(api).unwrap());
            rig.advance(1000);
            let is_advertised = support::kafka_range(api).is_some_and(|range| range.contains(&version))
                && api.versions().contains(&version);
            assert_eq!(rig.replies.len(), 1, "{} version {version}: {:?}", api.name(), rig.replies);
            if !is_advertised {
                assert!(matches!(rig.replies[0], Reply::Close(CLIENT, _)), "{} version {version}", api.name());
            }
        }
    }
}

#[test]
fn answers_of_every_version_encode() {
    let rig = rig();
    for api in SPOKEN.iter().copied() {
        for version in support::kafka_range(api).into_iter().flatten() {
            let mut rig = rig.clone();
            rig.send(version, RequestBody::empty(api).unwrap());
            rig.advance(1000);
            if let Some(Reply::Answer(_, mut response)) = rig.replies.pop() {
                let encoded = frame::encode_response(&mut response);
                assert!(encoded.is_ok(), "{} version {version}: {encoded:?}", api.name());
            }
        }
    }
}

#[test]
fn absurd_numbers() {
    let numbers = [i64::MIN, -2, -1, 0, 1, i64::MAX];
    for number in numbers {
        let mut rig = rig();
        let small = number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        let mut request = fetch("t", small, number);
        (request.max_bytes, request.min_bytes, request.max_wait_ms) = (small, small, small.min(1000));
        (request.session_id, request.session_epoch) = (small, small);
        request.topics[0].partitions[0].partition_max_bytes = small;
        request.topics[0].partitions[0].current_leader_epoch = small;
        request.topics[0].partitions[0].last_fetched_epoch = small;
        rig.send(12, RequestBody::Fetch(request.clone()));
        request.topics[0].partitions[0].partition = 0;
        rig.send(12, RequestBody::Fetch(request));
        let partition = ListOffsetsPartition { partition_index: 0, timestamp: number, ..Default::default() };
        let topics = vec![ListOffsetsTopic { name: Str::from_static("t"), partitions: vec![partition] }];
        rig.send(10, RequestBody::ListOffsets(ListOffsetsRequest { replica_id: small, topics, ..Default::default() }));
        let partitions = vec![DeleteRecordsPartition { partition_index: small, offset: number }];
        let topics = vec![DeleteRecordsTopic { name: Str::from_static("t"), partitions }];
        rig.send(2, RequestBody::DeleteRecords(DeleteRecordsRequest { topics, timeout_ms: small }));
        let RequestBody::Produce(mut request) = produce("t", small, -1, Bytes::new()) else { panic!() };
        request.timeout_ms = small;
        rig.send(12, RequestBody::Produce(request));
        rig.advance(2000);
        assert_eq!(rig.replies.len(), 5, "{number}: {:?}", rig.replies);
        assert_unharmed(&mut rig);
    }
}

#[test]
fn huge_requests_are_answered() {
    let mut rig = rig();
    let partitions = |count: i32| {
        (0..count).map(|partition| FetchPartition { partition, partition_max_bytes: 1, ..Default::default() }).collect()
    };
    let request = FetchRequest {
        session_epoch: 0,
        max_bytes: i32::MAX,
        topics: vec![FetchTopic {
            topic: Str::from_static("t"),
            partitions: partitions(100_000),
            ..Default::default()
        }],
        ..FetchRequest::default()
    };
    let ResponseBody::Fetch(response) = rig.call(12, RequestBody::Fetch(request)) else { panic!() };
    assert_eq!(response.responses[0].partitions.len(), 100_000);
    assert_unharmed(&mut rig);
}

#[test]
fn records_of_garbage_are_refused() {
    let mut rig = rig();
    let mut random = Random::new(3);
    let good = batch(&["a", "b", "c"]);
    for _ in 0..2000 {
        let mut bytes = good.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        // The leader epoch in the head is the broker's to write; whatever a producer puts there is no damage.
        if bytes[..12] == good[..12] && bytes[16..] == good[16..] {
            continue;
        }
        let cut = random.below(4) == 0;
        let bytes =
            if cut { Bytes::from(bytes).slice(..random.below(good.len() as u64) as usize) } else { bytes.into() };
        let (error, base) = rig.produce("t", 0, -1, bytes.clone());
        assert!(error != 0 && base == -1, "{bytes:?}");
    }
    assert_unharmed(&mut rig);
}

#[test]
fn random_frames_of_every_api() {
    let base = rig();
    let mut random = Random::new(11);
    for api in ApiKey::ALL {
        for version in support::kafka_range(api).into_iter().flatten() {
            let mut rig = base.clone();
            for _ in 0..20 {
                let mut bytes = BytesMut::new();
                bytes.put_i16(api as i16);
                bytes.put_i16(version);
                bytes.put_i32(1);
                bytes.put_i16(-1);
                if api.request_header_version(version) == 2 {
                    bytes.put_u8(0);
                }
                for _ in 0..random.below(200) {
                    // Small bytes make plausible lengths.
                    bytes.put_u8(if random.below(3) == 0 { random.next_u64() as u8 } else { random.below(4) as u8 });
                }
                if let Ok(request) = frame::decode_request(bytes.freeze()) {
                    rig.open(CLIENT);
                    rig.input(Input::Request(CLIENT, request));
                    rig.run();
                }
            }
            rig.advance(1000);
            assert!(!rig.stopped);
        }
    }
}

/// Whoever reaches the controller's port can send this.
#[test]
fn random_frames_to_a_controller() {
    let base = rig();
    let broker_epoch = base.view().broker_epoch;
    let mut random = Random::new(12);
    let conn = ConnId(4_000);
    for api in SERVED_BY_CONTROLLERS.iter().copied() {
        for version in api.versions() {
            let mut rig = base.clone();
            for round in 0..20 {
                let host = PeerHost::Named(Str::from_static("stranger"));
                rig.input(Input::Opened(conn, Peer { listener: Str::from_static("CONTROLLER"), host }));
                let mut bytes = BytesMut::new();
                for _ in 0..random.below(200) {
                    bytes.put_u8(if random.below(3) == 0 { random.next_u64() as u8 } else { random.below(4) as u8 });
                }
                let mut head = BytesMut::new();
                head.put_i16(api as i16);
                head.put_i16(version);
                head.put_i32(round);
                head.put_i16(-1);
                if api.request_header_version(version) == 2 {
                    head.put_u8(0);
                }
                head.extend_from_slice(&bytes);
                let Ok(mut request) = frame::decode_request(head.freeze()) else { continue };
                // As far as it goes, it knows who is there.
                match &mut request.body {
                    RequestBody::BrokerHeartbeat(it) => (it.broker_id, it.broker_epoch) = (1, broker_epoch),
                    RequestBody::AlterPartition(it) => (it.broker_id, it.broker_epoch) = (1, broker_epoch),
                    RequestBody::AssignReplicasToDirs(it) => (it.broker_id, it.broker_epoch) = (1, broker_epoch),
                    RequestBody::BrokerRegistration(it) => it.cluster_id = Str::from_static("test-cluster"),
                    _ => {}
                }
                rig.input(Input::Request(conn, request));
                rig.run();
            }
            rig.advance(20_000);
            assert!(!rig.stopped, "{} version {version}: {:?}", api.name(), rig.events.last());
        }
    }
}

#[test]
fn drivers_that_answer_what_was_not_asked() {
    let mut rig = rig();
    let before = rig.node.digest();
    rig.input(Input::Stored(OpId(123_456), Ok(Done::Appended)));
    rig.input(Input::Answered(CallId(7), Err(CallError::Reset)));
    rig.input(Input::Closed(ConnId(999)));
    rig.input(Input::Wake);
    assert_eq!(rig.node.digest(), before);
    rig.send_on(ConnId(999), 12, produce("t", 0, -1, batch(&["x"])));
    rig.run();
    assert_eq!(rig.replies, [], "nobody is there");
    assert_unharmed(&mut rig);
}

/// What a request costs grows with its length, not with the square of it.
#[test]
fn very_many_names_in_one_request() {
    const COUNT: usize = 50_000;
    let mut rig = Rig::with(&[("auto.create.topics.enable", "false")]);
    rig.create_topic("t", 1, &[]);
    rig.produce("t", 0, -1, batch(&["first"]));
    let names = || (0..COUNT).map(|index| Str::from(format!("no-topic-{index}")));
    let deletions = DeleteTopicsRequest { topic_names: names().collect(), timeout_ms: 1000, ..Default::default() };
    let resources =
        names().map(|resource_name| AlterConfigsResource { resource_type: 2, resource_name, ..Default::default() });
    let changes = IncrementalAlterConfigsRequest { resources: resources.collect(), ..Default::default() };
    let topics =
        names().map(|name| CreatableTopic { name, num_partitions: 0, replication_factor: 1, ..Default::default() });
    let creations = CreateTopicsRequest { topics: topics.collect(), timeout_ms: 1000, ..Default::default() };
    let topics = names().map(|name| CreatePartitionsTopic { name, count: 2, assignments: None });
    let additions = CreatePartitionsRequest { topics: topics.collect(), timeout_ms: 1000, ..Default::default() };
    let topics = names().map(|name| MetadataRequestTopic { name: Some(name), ..Default::default() });
    let metadata = MetadataRequest { topics: Some(topics.collect()), ..Default::default() };
    let topics = names().map(|name| TopicRequest { name });
    let described = DescribeTopicPartitionsRequest { topics: topics.collect(), ..Default::default() };
    let topics = names().map(|name| ListOffsetsTopic { name, partitions: vec![ListOffsetsPartition::default()] });
    let offsets = ListOffsetsRequest { replica_id: -1, topics: topics.collect(), ..Default::default() };
    let topics = names().map(|name| DeleteRecordsTopic { name, partitions: vec![DeleteRecordsPartition::default()] });
    let records = DeleteRecordsRequest { topics: topics.collect(), timeout_ms: 1000 };
    for (version, body) in [
        (5, RequestBody::DeleteTopics(deletions)),
        (1, RequestBody::IncrementalAlterConfigs(changes)),
        (7, RequestBody::CreateTopics(creations)),
        (3, RequestBody::CreatePartitions(additions)),
        (12, RequestBody::Metadata(metadata)),
        (0, RequestBody::DescribeTopicPartitions(described)),
        (7, RequestBody::ListOffsets(offsets)),
        (2, RequestBody::DeleteRecords(records)),
    ] {
        rig.call(version, body);
    }
    assert_unharmed(&mut rig);
}

/// As above, of what a coordinator is asked.
#[test]
fn very_many_names_in_one_request_to_a_coordinator() {
    const COUNT: usize = 50_000;
    let mut rig = rig();
    let names = || (0..COUNT).map(|index| Str::from(format!("no-name-{index}")));
    let group_id = Str::from_static("g");
    let coordinator_keys = names().chain([group_id.clone()]).collect();
    rig.call(4, RequestBody::FindCoordinator(FindCoordinatorRequest { coordinator_keys, ..Default::default() }));
    let protocols = names().map(|name| JoinGroupRequestProtocol { name, metadata: Bytes::new() });
    let join = JoinGroupRequest {
        group_id: group_id.clone(),
        session_timeout_ms: 10_000,
        protocol_type: Str::from_static("consumer"),
        protocols: protocols.collect(),
        ..JoinGroupRequest::default()
    };
    let joining = rig.send(3, RequestBody::JoinGroup(join));
    rig.advance(3_000);
    let Some(ResponseBody::JoinGroup(joined)) = rig.answer(joining) else { panic!() };
    assert_eq!(joined.error_code, 0);
    let topics = |name: Str| OffsetCommitRequestTopic {
        name,
        partitions: vec![OffsetCommitRequestPartition::default()],
        ..OffsetCommitRequestTopic::default()
    };
    let commit = OffsetCommitRequest {
        group_id: Str::from_static("another"),
        generation_id_or_member_epoch: -1,
        topics: names().map(topics).collect(),
        ..OffsetCommitRequest::default()
    };
    let groups = names().map(|group_id| OffsetFetchRequestGroup { group_id, topics: None, ..Default::default() });
    let fetch = OffsetFetchRequest { groups: groups.collect(), ..OffsetFetchRequest::default() };
    let partitions = || vec![OffsetDeleteRequestPartition::default()];
    let topics = names().map(|name| OffsetDeleteRequestTopic { name, partitions: partitions() });
    let deletion = OffsetDeleteRequest { group_id: Str::from_static("another"), topics: topics.collect() };
    let members = names().map(|member_id| MemberIdentity { member_id, ..MemberIdentity::default() });
    let leave = LeaveGroupRequest { group_id, members: members.collect(), ..LeaveGroupRequest::default() };
    for (version, body) in [
        (9, RequestBody::OffsetCommit(commit)),
        (9, RequestBody::OffsetFetch(fetch)),
        (0, RequestBody::OffsetDelete(deletion)),
        (5, RequestBody::LeaveGroup(leave)),
        (2, RequestBody::DeleteGroups(DeleteGroupsRequest { groups_names: names().collect() })),
    ] {
        rig.call(version, body);
    }
    assert_unharmed(&mut rig);
}
