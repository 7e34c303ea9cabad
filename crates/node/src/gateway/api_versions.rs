//! ApiVersions, versions 0 to 4 (KIP-35, KIP-511, KIP-584).
//!
//! What is advertised is what this node serves, in exactly the versions in which Apache Kafka 4.3 serves it. A client that
//! asks in a version which the node does not know gets [`unsupported_version`] from whoever decodes requests.

use protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, ErrorCode};
use protocol::{ApiKey, ResponseBody, Str, support};

use super::{Context, Step};
use crate::config::Past;

/// The APIs that this node serves, in order of their keys.
pub const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::AlterReplicaLogDirs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::OffsetDelete,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::UnregisterBroker,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
    ApiKey::ListConfigResources,
    ApiKey::DescribeTopicPartitions,
    ApiKey::AddRaftVoter,
    ApiKey::RemoveRaftVoter,
];

/// The APIs that are served on a controller listener, in order of their keys.
pub const SERVED_BY_CONTROLLERS: &[ApiKey] = &[
    ApiKey::Fetch,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::CreatePartitions,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::Vote,
    ApiKey::BeginQuorumEpoch,
    ApiKey::EndQuorumEpoch,
    ApiKey::DescribeQuorum,
    ApiKey::AlterPartition,
    ApiKey::UpdateFeatures,
    ApiKey::Envelope,
    ApiKey::FetchSnapshot,
    ApiKey::DescribeCluster,
    ApiKey::BrokerRegistration,
    ApiKey::BrokerHeartbeat,
    ApiKey::UnregisterBroker,
    ApiKey::AllocateProducerIds,
    ApiKey::ControllerRegistration,
    ApiKey::AssignReplicasToDirs,
    ApiKey::AddRaftVoter,
    ApiKey::RemoveRaftVoter,
    ApiKey::UpdateRaftVoter,
];

/// Answers what this node speaks on the listener of who asks.
pub fn handle(context: &mut Context<'_>, request: ApiVersionsRequest) -> Step {
    let mut response = ApiVersionsResponse::default();
    let named = is_software_word(&request.client_software_name) && is_software_word(&request.client_software_version);
    if context.version >= 3 && !named {
        response.error_code = ErrorCode::InvalidRequest.code();
        return Step::Answer(ResponseBody::ApiVersions(response));
    }
    let served: &[ApiKey] = match context.config.is_controller_listener(&context.peer.listener) {
        true => SERVED_BY_CONTROLLERS,
        false => SERVED,
    };
    let hidden = (context.config.past == Past::UnvalidatedFetches).then_some(ApiKey::OffsetForLeaderEpoch);
    response.api_keys = served.iter().copied().filter(|api| Some(*api) != hidden).map(advertised).collect();
    response.supported_features = support::kafka_features()
        .iter()
        // Clients before version 4 fail to read a feature that can be at level 0 (KAFKA-17492).
        .filter(|feature| context.version >= 4 || *feature.levels.start() > 0)
        .map(|feature| SupportedFeatureKey {
            name: Str::from_static(feature.name),
            min_version: *feature.levels.start(),
            max_version: *feature.levels.end(),
        })
        .collect();
    response.finalized_features = context
        .image
        .features()
        .map(|(name, level)| FinalizedFeatureKey {
            name: name.clone(),
            max_version_level: level,
            min_version_level: level,
        })
        .collect();
    // It is no record of the metadata: the quorum's own say it.
    let kraft_version = context.quorum.kraft_version();
    if kraft_version > 0 {
        response.finalized_features.push(FinalizedFeatureKey {
            name: Str::from_static(quorum::KRAFT_VERSION),
            max_version_level: kraft_version,
            min_version_level: kraft_version,
        });
    }
    response.finalized_features_epoch = context.image.next_offset().0 - 1;
    Step::Answer(ResponseBody::ApiVersions(response))
}

/// The answer, in version 0, to ApiVersions in a version that this node does not know: the client asks again in one that it
/// finds here (KIP-511).
pub fn unsupported_version() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![advertised(ApiKey::ApiVersions)],
        ..ApiVersionsResponse::default()
    }
}

fn advertised(api: ApiKey) -> ApiVersion {
    // Of what brokers do not advertise, all versions there are.
    let versions = support::kafka_range(api).unwrap_or_else(|| api.versions());
    ApiVersion { api_key: api as i16, min_version: *versions.start(), max_version: *versions.end() }
}

/// Letters, digits, dots and dashes, with a letter or digit at both ends.
fn is_software_word(text: &str) -> bool {
    let (first, last) = (text.bytes().next(), text.bytes().next_back());
    let edge = |byte: Option<u8>| byte.is_some_and(|it| it.is_ascii_alphanumeric());
    edge(first) && edge(last) && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'.')
}
