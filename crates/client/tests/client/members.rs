//! Members of groups, and the coordinator that answers them.

use bytes::Bytes;
use client::wire::{ApiKey, Request, RequestBody, ResponseBody};
use client::{ConnId, Event, GroupEvent, MemberState, Operation};
use protocol::ErrorCode;
use protocol::message::{decode_versioned, encode_versioned};
use protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use protocol::messages::join_group_response::JoinGroupResponseMember;
use protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ConsumerProtocolAssignment,
    ConsumerProtocolSubscription, FetchResponse, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
    consumer_protocol_assignment,
};
use protocol::records::Records;

use crate::stage::Stage;

fn assignment(partitions: &[i32]) -> Bytes {
    let topic = consumer_protocol_assignment::TopicPartition { topic: "t".into(), partitions: partitions.to_vec() };
    let assigned_partitions = if partitions.is_empty() { Vec::new() } else { vec![topic] };
    encode_versioned(&mut ConsumerProtocolAssignment { assigned_partitions, user_data: None }, 3).unwrap()
}

pub(crate) fn assigned(bytes: &Bytes) -> Vec<i32> {
    let (_, body) = decode_versioned::<ConsumerProtocolAssignment>(bytes.clone()).unwrap();
    body.assigned_partitions.into_iter().flat_map(|it| it.partitions).collect()
}

fn subscription() -> Bytes {
    let mut body = ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
    encode_versioned(&mut body, 3).unwrap()
}

pub(crate) fn told_owned(asked: &ConsumerGroupHeartbeatRequest) -> Option<Vec<i32>> {
    asked.topic_partitions.as_ref().map(|it| it.iter().flat_map(|it| it.partitions.clone()).collect())
}

impl Stage {
    /// A member of group `g` that has just subscribed to `t` with four partitions, and polls.
    pub(crate) fn member(settings: &[(&str, &str)]) -> (Stage, u64) {
        let mut all = vec![("group.id", "g"), ("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")];
        if settings.contains(&("group.protocol", "consumer")) {
            all.truncate(1);
        }
        all.extend(settings);
        let mut stage = Stage::new(&all).topic("t", &[1, 1, 1, 1]);
        stage.start(Operation::Subscribe(vec!["t".into()]));
        let poll = stage.poll(60_000);
        (stage, poll)
    }

    pub(crate) fn take_join(&mut self) -> (ConnId, Request, JoinGroupRequest) {
        let (conn, request) = self.take(ApiKey::JoinGroup);
        let RequestBody::JoinGroup(body) = request.body.clone() else { unreachable!() };
        (conn, request, body)
    }

    /// Lets it join generation `generation` as member `m`, its leader if there are members.
    pub(crate) fn join(&mut self, generation: i32, assignor: &str, others: &[&str]) -> JoinGroupRequest {
        let (mut conn, mut request, mut asked) = self.take_join();
        if asked.member_id.is_empty() && asked.group_instance_id.is_none() {
            let error_code = ErrorCode::MemberIdRequired.code();
            let body = JoinGroupResponse { error_code, member_id: "m".into(), ..Default::default() };
            self.answer(conn, &request, ResponseBody::JoinGroup(body));
            (conn, request, asked) = self.take_join();
            assert_eq!(&*asked.member_id, "m");
        }
        let member = |id: &str, metadata: Bytes| JoinGroupResponseMember {
            member_id: id.into(),
            metadata,
            ..Default::default()
        };
        let own = asked.protocols.iter().find(|it| &*it.name == assignor).unwrap().metadata.clone();
        let mut members = vec![member("m", own)];
        members.extend(others.iter().map(|it| member(it, subscription())));
        let body = JoinGroupResponse {
            generation_id: generation,
            protocol_type: Some("consumer".into()),
            protocol_name: Some(assignor.into()),
            leader: if others.is_empty() { "other".into() } else { "m".into() },
            member_id: "m".into(),
            members: if others.is_empty() { Vec::new() } else { members },
            ..Default::default()
        };
        self.answer(conn, &request, ResponseBody::JoinGroup(body));
        asked
    }

    pub(crate) fn sync(&mut self, partitions: &[i32]) -> SyncGroupRequest {
        let (conn, request) = self.take(ApiKey::SyncGroup);
        let RequestBody::SyncGroup(asked) = request.body.clone() else { unreachable!() };
        let body = SyncGroupResponse { assignment: assignment(partitions), ..Default::default() };
        self.answer(conn, &request, ResponseBody::SyncGroup(body));
        asked
    }

    /// Answers where the group is, by partition; tells which were asked for.
    pub(crate) fn committed_at(&mut self, offset: i64) -> Vec<i32> {
        let (conn, request) = self.take(ApiKey::OffsetFetch);
        let RequestBody::OffsetFetch(asked) = &request.body else { unreachable!() };
        assert!(asked.require_stable);
        let topics = asked.groups[0].topics.as_ref().unwrap();
        let mut all = Vec::new();
        let topics = topics.iter().map(|it| {
            all.extend(it.partition_indexes.clone());
            let partitions = it.partition_indexes.iter().map(|index| OffsetFetchResponsePartitions {
                partition_index: *index,
                committed_offset: offset,
                committed_leader_epoch: -1,
                ..Default::default()
            });
            OffsetFetchResponseTopics { name: it.name.clone(), partitions: partitions.collect(), ..Default::default() }
        });
        let group = OffsetFetchResponseGroup { group_id: "g".into(), topics: topics.collect(), ..Default::default() };
        let body = OffsetFetchResponse { groups: vec![group], ..Default::default() };
        self.answer(conn, &request, ResponseBody::OffsetFetch(body));
        all
    }

    pub(crate) fn take_commit(&mut self) -> (ConnId, Request, OffsetCommitRequest) {
        let (conn, request) = self.take(ApiKey::OffsetCommit);
        let RequestBody::OffsetCommit(asked) = request.body.clone() else { unreachable!() };
        (conn, request, asked)
    }

    pub(crate) fn committed(&mut self, error: ErrorCode) -> OffsetCommitRequest {
        let (conn, request, asked) = self.take_commit();
        let topics = asked.topics.iter().map(|it| OffsetCommitResponseTopic {
            name: it.name.clone(),
            partitions: it
                .partitions
                .iter()
                .map(|it| OffsetCommitResponsePartition {
                    partition_index: it.partition_index,
                    error_code: error.code(),
                })
                .collect(),
            ..Default::default()
        });
        let body = OffsetCommitResponse { topics: topics.collect(), ..Default::default() };
        self.answer(conn, &request, ResponseBody::OffsetCommit(body));
        asked
    }

    pub(crate) fn beat(&mut self, error: ErrorCode) {
        let (conn, request) = self.take(ApiKey::Heartbeat);
        let body = HeartbeatResponse { error_code: error.code(), ..Default::default() };
        self.answer(conn, &request, ResponseBody::Heartbeat(body));
    }

    /// Answers a fetch of `t-0` with a batch.
    pub(crate) fn serve(&mut self, conn: ConnId, request: &Request, batch: Bytes) {
        let records = Some(Records::Bytes(batch));
        let data = PartitionData { high_watermark: 100, last_stable_offset: 100, records, ..Default::default() };
        let topic_id = self.topics["t"].id;
        let topic = FetchableTopicResponse { topic_id, partitions: vec![data], ..Default::default() };
        let body = FetchResponse { session_id: 9, responses: vec![topic], ..Default::default() };
        self.answer(conn, request, ResponseBody::Fetch(body));
    }

    pub(crate) fn state(&self) -> MemberState {
        self.client.view().group.unwrap().state
    }

    pub(crate) fn owned(&self) -> Vec<i32> {
        self.client.view().group.unwrap().owned.iter().map(|it| it.partition).collect()
    }

    /// Forgets fetches, which are not what these tests are about.
    pub(crate) fn without_fetches(&mut self) {
        self.requests.retain(|(_, it)| it.body.api_key() != ApiKey::Fetch);
    }

    pub(crate) fn said(&self, wanted: &GroupEvent) -> bool {
        self.events.iter().any(|it| matches!(it, Event::Group(said) if said == wanted))
    }

    pub(crate) fn take_heartbeat(&mut self) -> (ConnId, Request, ConsumerGroupHeartbeatRequest) {
        let (conn, request) = self.take(ApiKey::ConsumerGroupHeartbeat);
        let RequestBody::ConsumerGroupHeartbeat(body) = request.body.clone() else { unreachable!() };
        (conn, request, body)
    }

    /// Answers KIP-848's heartbeat.
    pub(crate) fn told(
        &mut self,
        error: ErrorCode,
        epoch: i32,
        partitions: Option<&[i32]>,
    ) -> ConsumerGroupHeartbeatRequest {
        let (conn, request, asked) = self.take_heartbeat();
        let topic_id = self.topics["t"].id;
        let assignment = partitions.map(|it| {
            let topic = TopicPartitions { topic_id, partitions: it.to_vec() };
            Assignment { topic_partitions: if it.is_empty() { Vec::new() } else { vec![topic] } }
        });
        let body = ConsumerGroupHeartbeatResponse {
            error_code: error.code(),
            member_epoch: epoch,
            heartbeat_interval_ms: 1_000,
            assignment,
            ..Default::default()
        };
        self.answer(conn, &request, ResponseBody::ConsumerGroupHeartbeat(body));
        asked
    }

    pub(crate) fn told_after_fetches(
        &mut self,
        epoch: i32,
        partitions: Option<&[i32]>,
    ) -> ConsumerGroupHeartbeatRequest {
        self.without_fetches();
        self.told(ErrorCode::None, epoch, partitions)
    }
}
