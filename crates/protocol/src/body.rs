//! Requests and responses of the APIs that are spoken here.
//!
//! Kafka has 89 APIs. Whoever handles a [`RequestBody`] links what it takes to decode, copy, show and drop each of its
//! variants, and the page is downloaded by people. So a body has a variant for what our nodes serve, ask each other and
//! our clients ask, and no other; every message of Kafka exists all the same, for who names it or looks it up in
//! [`SCHEMAS`](crate::messages::SCHEMAS). A new API is a line of the list below, by its key.

use crate::message::{AnyMessage, Message, MessageKind, Schema, walk_dyn};
use crate::messages::*;
use crate::walker::{Walked, Walker};

macro_rules! body {
    ($(#[$doc:meta])* $body:ident: $($api:ident($message:ident),)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant)]
        pub enum $body {
            $(#[doc = concat!("[`", stringify!($message), "`]")] $api($message),)*
        }

        impl $body {
            /// The API it belongs to.
            pub fn api_key(&self) -> ApiKey {
                match self {
                    $($body::$api(_) => ApiKey::$api,)*
                }
            }

            /// A body with every field at its default, `None` for an API that is not spoken.
            pub fn empty(api: ApiKey) -> Option<$body> {
                Some(match api {
                    $(ApiKey::$api => $body::$api($message::default()),)*
                    _ => return None,
                })
            }

            /// Walks the body, after a check of the version.
            pub fn walk(&mut self, walker: &mut dyn Walker, version: i16) -> Walked {
                // The message is found in one place and walked in another: a walk for each would be there for each.
                let message: &mut dyn AnyMessage = match self {
                    $($body::$api(it) => it,)*
                };
                walk_dyn(message, walker, version)
            }
        }

        $(impl From<$message> for $body {
            fn from(body: $message) -> $body {
                $body::$api(body)
            }
        })*
    };
}

macro_rules! spoken {
    ($($api:ident($request:ident, $response:ident),)*) => {
        body! {
            /// What a client or a node asks.
            RequestBody: $($api($request),)*
        }

        body! {
            /// What a node answers.
            ResponseBody: $($api($response),)*
        }

        /// The APIs that have bodies.
        pub const SPOKEN: &[ApiKey] = &[$(ApiKey::$api,)*];

        /// The schema of a request or response that has a body; [`by_key`] finds those of all.
        pub fn spoken(kind: MessageKind, key: i16) -> Option<&'static Schema> {
            let api = ApiKey::try_from(key).ok()?;
            match (kind, api) {
                $((MessageKind::Request, ApiKey::$api) => Some($request::SCHEMA),
                (MessageKind::Response, ApiKey::$api) => Some($response::SCHEMA),)*
                _ => None,
            }
        }
    };
}

spoken! {
    Produce(ProduceRequest, ProduceResponse),
    Fetch(FetchRequest, FetchResponse),
    ListOffsets(ListOffsetsRequest, ListOffsetsResponse),
    Metadata(MetadataRequest, MetadataResponse),
    OffsetCommit(OffsetCommitRequest, OffsetCommitResponse),
    OffsetFetch(OffsetFetchRequest, OffsetFetchResponse),
    FindCoordinator(FindCoordinatorRequest, FindCoordinatorResponse),
    JoinGroup(JoinGroupRequest, JoinGroupResponse),
    Heartbeat(HeartbeatRequest, HeartbeatResponse),
    LeaveGroup(LeaveGroupRequest, LeaveGroupResponse),
    SyncGroup(SyncGroupRequest, SyncGroupResponse),
    DescribeGroups(DescribeGroupsRequest, DescribeGroupsResponse),
    ListGroups(ListGroupsRequest, ListGroupsResponse),
    ApiVersions(ApiVersionsRequest, ApiVersionsResponse),
    CreateTopics(CreateTopicsRequest, CreateTopicsResponse),
    DeleteTopics(DeleteTopicsRequest, DeleteTopicsResponse),
    DeleteRecords(DeleteRecordsRequest, DeleteRecordsResponse),
    InitProducerId(InitProducerIdRequest, InitProducerIdResponse),
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse),
    DescribeConfigs(DescribeConfigsRequest, DescribeConfigsResponse),
    AlterConfigs(AlterConfigsRequest, AlterConfigsResponse),
    AlterReplicaLogDirs(AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse),
    DescribeLogDirs(DescribeLogDirsRequest, DescribeLogDirsResponse),
    CreatePartitions(CreatePartitionsRequest, CreatePartitionsResponse),
    DeleteGroups(DeleteGroupsRequest, DeleteGroupsResponse),
    ElectLeaders(ElectLeadersRequest, ElectLeadersResponse),
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse),
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse),
    ListPartitionReassignments(ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse),
    OffsetDelete(OffsetDeleteRequest, OffsetDeleteResponse),
    Vote(VoteRequest, VoteResponse),
    BeginQuorumEpoch(BeginQuorumEpochRequest, BeginQuorumEpochResponse),
    EndQuorumEpoch(EndQuorumEpochRequest, EndQuorumEpochResponse),
    DescribeQuorum(DescribeQuorumRequest, DescribeQuorumResponse),
    AlterPartition(AlterPartitionRequest, AlterPartitionResponse),
    UpdateFeatures(UpdateFeaturesRequest, UpdateFeaturesResponse),
    Envelope(EnvelopeRequest, EnvelopeResponse),
    FetchSnapshot(FetchSnapshotRequest, FetchSnapshotResponse),
    DescribeCluster(DescribeClusterRequest, DescribeClusterResponse),
    DescribeProducers(DescribeProducersRequest, DescribeProducersResponse),
    BrokerRegistration(BrokerRegistrationRequest, BrokerRegistrationResponse),
    BrokerHeartbeat(BrokerHeartbeatRequest, BrokerHeartbeatResponse),
    UnregisterBroker(UnregisterBrokerRequest, UnregisterBrokerResponse),
    AllocateProducerIds(AllocateProducerIdsRequest, AllocateProducerIdsResponse),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse),
    ConsumerGroupDescribe(ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse),
    ControllerRegistration(ControllerRegistrationRequest, ControllerRegistrationResponse),
    AssignReplicasToDirs(AssignReplicasToDirsRequest, AssignReplicasToDirsResponse),
    ListConfigResources(ListConfigResourcesRequest, ListConfigResourcesResponse),
    DescribeTopicPartitions(DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse),
    AddRaftVoter(AddRaftVoterRequest, AddRaftVoterResponse),
    RemoveRaftVoter(RemoveRaftVoterRequest, RemoveRaftVoterResponse),
    UpdateRaftVoter(UpdateRaftVoterRequest, UpdateRaftVoterResponse),
}
