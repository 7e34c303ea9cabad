//! Every message and record of Apache Kafka 4.3.1.
//!
//! A message's own struct is re-exported here; the structs within it live in its module. [`SCHEMAS`] lists all.

// What a field means is told by Kafka's protocol guide; the generated docs tell its versions.
#![allow(missing_docs)]

pub mod abort_transaction_record;
pub mod access_control_entry_record;
pub mod add_offsets_to_txn_request;
pub mod add_offsets_to_txn_response;
pub mod add_partitions_to_txn_request;
pub mod add_partitions_to_txn_response;
pub mod add_raft_voter_request;
pub mod add_raft_voter_response;
pub mod allocate_producer_ids_request;
pub mod allocate_producer_ids_response;
pub mod alter_client_quotas_request;
pub mod alter_client_quotas_response;
pub mod alter_configs_request;
pub mod alter_configs_response;
pub mod alter_partition_reassignments_request;
pub mod alter_partition_reassignments_response;
pub mod alter_partition_request;
pub mod alter_partition_response;
pub mod alter_replica_log_dirs_request;
pub mod alter_replica_log_dirs_response;
pub mod alter_share_group_offsets_request;
pub mod alter_share_group_offsets_response;
pub mod alter_user_scram_credentials_request;
pub mod alter_user_scram_credentials_response;
pub mod api_versions_request;
pub mod api_versions_response;
pub mod assign_replicas_to_dirs_request;
pub mod assign_replicas_to_dirs_response;
pub mod begin_quorum_epoch_request;
pub mod begin_quorum_epoch_response;
pub mod begin_transaction_record;
pub mod broker_heartbeat_request;
pub mod broker_heartbeat_response;
pub mod broker_registration_change_record;
pub mod broker_registration_request;
pub mod broker_registration_response;
pub mod clear_elr_record;
pub mod client_quota_record;
pub mod config_record;
pub mod consumer_group_current_member_assignment_key;
pub mod consumer_group_current_member_assignment_value;
pub mod consumer_group_describe_request;
pub mod consumer_group_describe_response;
pub mod consumer_group_heartbeat_request;
pub mod consumer_group_heartbeat_response;
pub mod consumer_group_member_metadata_key;
pub mod consumer_group_member_metadata_value;
pub mod consumer_group_metadata_key;
pub mod consumer_group_metadata_value;
pub mod consumer_group_partition_metadata_key;
pub mod consumer_group_partition_metadata_value;
pub mod consumer_group_regular_expression_key;
pub mod consumer_group_regular_expression_value;
pub mod consumer_group_target_assignment_member_key;
pub mod consumer_group_target_assignment_member_value;
pub mod consumer_group_target_assignment_metadata_key;
pub mod consumer_group_target_assignment_metadata_value;
pub mod consumer_protocol_assignment;
pub mod consumer_protocol_subscription;
pub mod control_record_type_schema;
pub mod controller_registration_request;
pub mod controller_registration_response;
pub mod create_acls_request;
pub mod create_acls_response;
pub mod create_delegation_token_request;
pub mod create_delegation_token_response;
pub mod create_partitions_request;
pub mod create_partitions_response;
pub mod create_topics_request;
pub mod create_topics_response;
pub mod default_principal_data;
pub mod delegation_token_record;
pub mod delete_acls_request;
pub mod delete_acls_response;
pub mod delete_groups_request;
pub mod delete_groups_response;
pub mod delete_records_request;
pub mod delete_records_response;
pub mod delete_share_group_offsets_request;
pub mod delete_share_group_offsets_response;
pub mod delete_share_group_state_request;
pub mod delete_share_group_state_response;
pub mod delete_topics_request;
pub mod delete_topics_response;
pub mod describe_acls_request;
pub mod describe_acls_response;
pub mod describe_client_quotas_request;
pub mod describe_client_quotas_response;
pub mod describe_cluster_request;
pub mod describe_cluster_response;
pub mod describe_configs_request;
pub mod describe_configs_response;
pub mod describe_delegation_token_request;
pub mod describe_delegation_token_response;
pub mod describe_groups_request;
pub mod describe_groups_response;
pub mod describe_log_dirs_request;
pub mod describe_log_dirs_response;
pub mod describe_producers_request;
pub mod describe_producers_response;
pub mod describe_quorum_request;
pub mod describe_quorum_response;
pub mod describe_share_group_offsets_request;
pub mod describe_share_group_offsets_response;
pub mod describe_topic_partitions_request;
pub mod describe_topic_partitions_response;
pub mod describe_transactions_request;
pub mod describe_transactions_response;
pub mod describe_user_scram_credentials_request;
pub mod describe_user_scram_credentials_response;
pub mod elect_leaders_request;
pub mod elect_leaders_response;
pub mod end_quorum_epoch_request;
pub mod end_quorum_epoch_response;
pub mod end_transaction_record;
pub mod end_txn_marker;
pub mod end_txn_request;
pub mod end_txn_response;
pub mod envelope_request;
pub mod envelope_response;
pub mod expire_delegation_token_request;
pub mod expire_delegation_token_response;
pub mod feature_level_record;
pub mod fence_broker_record;
pub mod fetch_request;
pub mod fetch_response;
pub mod fetch_snapshot_request;
pub mod fetch_snapshot_response;
pub mod find_coordinator_request;
pub mod find_coordinator_response;
pub mod get_telemetry_subscriptions_request;
pub mod get_telemetry_subscriptions_response;
pub mod group_metadata_key;
pub mod group_metadata_value;
pub mod heartbeat_request;
pub mod heartbeat_response;
pub mod incremental_alter_configs_request;
pub mod incremental_alter_configs_response;
pub mod init_producer_id_request;
pub mod init_producer_id_response;
pub mod initialize_share_group_state_request;
pub mod initialize_share_group_state_response;
pub mod join_group_request;
pub mod join_group_response;
pub mod kraft_version_record;
pub mod leader_change_message;
pub mod leave_group_request;
pub mod leave_group_response;
pub mod legacy_offset_commit_key;
pub mod legacy_offset_commit_value;
pub mod list_config_resources_request;
pub mod list_config_resources_response;
pub mod list_groups_request;
pub mod list_groups_response;
pub mod list_offsets_request;
pub mod list_offsets_response;
pub mod list_partition_reassignments_request;
pub mod list_partition_reassignments_response;
pub mod list_transactions_request;
pub mod list_transactions_response;
pub mod metadata_request;
pub mod metadata_response;
pub mod no_op_record;
pub mod offset_commit_key;
pub mod offset_commit_request;
pub mod offset_commit_response;
pub mod offset_commit_value;
pub mod offset_delete_request;
pub mod offset_delete_response;
pub mod offset_fetch_request;
pub mod offset_fetch_response;
pub mod offset_for_leader_epoch_request;
pub mod offset_for_leader_epoch_response;
pub mod partition_change_record;
pub mod partition_record;
pub mod produce_request;
pub mod produce_response;
pub mod producer_ids_record;
pub mod producer_snapshot;
pub mod push_telemetry_request;
pub mod push_telemetry_response;
pub mod quorum_state_data;
pub mod read_share_group_state_request;
pub mod read_share_group_state_response;
pub mod read_share_group_state_summary_request;
pub mod read_share_group_state_summary_response;
pub mod register_broker_record;
pub mod register_controller_record;
pub mod remote_log_segment_metadata_record;
pub mod remote_log_segment_metadata_snapshot_record;
pub mod remote_log_segment_metadata_update_record;
pub mod remote_partition_delete_metadata_record;
pub mod remove_access_control_entry_record;
pub mod remove_delegation_token_record;
pub mod remove_raft_voter_request;
pub mod remove_raft_voter_response;
pub mod remove_topic_record;
pub mod remove_user_scram_credential_record;
pub mod renew_delegation_token_request;
pub mod renew_delegation_token_response;
pub mod request_header;
pub mod response_header;
pub mod sasl_authenticate_request;
pub mod sasl_authenticate_response;
pub mod sasl_handshake_request;
pub mod sasl_handshake_response;
pub mod share_acknowledge_request;
pub mod share_acknowledge_response;
pub mod share_fetch_request;
pub mod share_fetch_response;
pub mod share_group_current_member_assignment_key;
pub mod share_group_current_member_assignment_value;
pub mod share_group_describe_request;
pub mod share_group_describe_response;
pub mod share_group_heartbeat_request;
pub mod share_group_heartbeat_response;
pub mod share_group_member_metadata_key;
pub mod share_group_member_metadata_value;
pub mod share_group_metadata_key;
pub mod share_group_metadata_value;
pub mod share_group_state_partition_metadata_key;
pub mod share_group_state_partition_metadata_value;
pub mod share_group_target_assignment_member_key;
pub mod share_group_target_assignment_member_value;
pub mod share_group_target_assignment_metadata_key;
pub mod share_group_target_assignment_metadata_value;
pub mod share_snapshot_key;
pub mod share_snapshot_value;
pub mod share_update_key;
pub mod share_update_value;
pub mod snapshot_footer_record;
pub mod snapshot_header_record;
pub mod streams_group_current_member_assignment_key;
pub mod streams_group_current_member_assignment_value;
pub mod streams_group_describe_request;
pub mod streams_group_describe_response;
pub mod streams_group_heartbeat_request;
pub mod streams_group_heartbeat_response;
pub mod streams_group_member_metadata_key;
pub mod streams_group_member_metadata_value;
pub mod streams_group_metadata_key;
pub mod streams_group_metadata_value;
pub mod streams_group_target_assignment_member_key;
pub mod streams_group_target_assignment_member_value;
pub mod streams_group_target_assignment_metadata_key;
pub mod streams_group_target_assignment_metadata_value;
pub mod streams_group_topology_key;
pub mod streams_group_topology_value;
pub mod sync_group_request;
pub mod sync_group_response;
pub mod topic_record;
pub mod transaction_log_key;
pub mod transaction_log_value;
pub mod txn_offset_commit_request;
pub mod txn_offset_commit_response;
pub mod unfence_broker_record;
pub mod unregister_broker_record;
pub mod unregister_broker_request;
pub mod unregister_broker_response;
pub mod update_features_request;
pub mod update_features_response;
pub mod update_raft_voter_request;
pub mod update_raft_voter_response;
pub mod user_scram_credential_record;
pub mod vote_request;
pub mod vote_response;
pub mod voters_record;
pub mod write_share_group_state_request;
pub mod write_share_group_state_response;
pub mod write_txn_markers_request;
pub mod write_txn_markers_response;
pub mod zk_migration_state_record;

pub(crate) mod advertised;
mod api;
mod coordinator;
mod error_code;
mod metadata_record;

pub use crate::body::{RequestBody, ResponseBody, SPOKEN, spoken};
pub use api::ApiKey;
pub use coordinator::{GroupKey, GroupValue, ShareKey, ShareValue, TransactionKey, TransactionValue};
pub use error_code::ErrorCode;
pub use metadata_record::MetadataRecord;

pub use abort_transaction_record::AbortTransactionRecord;
pub use access_control_entry_record::AccessControlEntryRecord;
pub use add_offsets_to_txn_request::AddOffsetsToTxnRequest;
pub use add_offsets_to_txn_response::AddOffsetsToTxnResponse;
pub use add_partitions_to_txn_request::AddPartitionsToTxnRequest;
pub use add_partitions_to_txn_response::AddPartitionsToTxnResponse;
pub use add_raft_voter_request::AddRaftVoterRequest;
pub use add_raft_voter_response::AddRaftVoterResponse;
pub use allocate_producer_ids_request::AllocateProducerIdsRequest;
pub use allocate_producer_ids_response::AllocateProducerIdsResponse;
pub use alter_client_quotas_request::AlterClientQuotasRequest;
pub use alter_client_quotas_response::AlterClientQuotasResponse;
pub use alter_configs_request::AlterConfigsRequest;
pub use alter_configs_response::AlterConfigsResponse;
pub use alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
pub use alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
pub use alter_partition_request::AlterPartitionRequest;
pub use alter_partition_response::AlterPartitionResponse;
pub use alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
pub use alter_replica_log_dirs_response::AlterReplicaLogDirsResponse;
pub use alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
pub use alter_share_group_offsets_response::AlterShareGroupOffsetsResponse;
pub use alter_user_scram_credentials_request::AlterUserScramCredentialsRequest;
pub use alter_user_scram_credentials_response::AlterUserScramCredentialsResponse;
pub use api_versions_request::ApiVersionsRequest;
pub use api_versions_response::ApiVersionsResponse;
pub use assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
pub use assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
pub use begin_quorum_epoch_request::BeginQuorumEpochRequest;
pub use begin_quorum_epoch_response::BeginQuorumEpochResponse;
pub use begin_transaction_record::BeginTransactionRecord;
pub use broker_heartbeat_request::BrokerHeartbeatRequest;
pub use broker_heartbeat_response::BrokerHeartbeatResponse;
pub use broker_registration_change_record::BrokerRegistrationChangeRecord;
pub use broker_registration_request::BrokerRegistrationRequest;
pub use broker_registration_response::BrokerRegistrationResponse;
pub use clear_elr_record::ClearElrRecord;
pub use client_quota_record::ClientQuotaRecord;
pub use config_record::ConfigRecord;
pub use consumer_group_current_member_assignment_key::ConsumerGroupCurrentMemberAssignmentKey;
pub use consumer_group_current_member_assignment_value::ConsumerGroupCurrentMemberAssignmentValue;
pub use consumer_group_describe_request::ConsumerGroupDescribeRequest;
pub use consumer_group_describe_response::ConsumerGroupDescribeResponse;
pub use consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
pub use consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
pub use consumer_group_member_metadata_key::ConsumerGroupMemberMetadataKey;
pub use consumer_group_member_metadata_value::ConsumerGroupMemberMetadataValue;
pub use consumer_group_metadata_key::ConsumerGroupMetadataKey;
pub use consumer_group_metadata_value::ConsumerGroupMetadataValue;
pub use consumer_group_partition_metadata_key::ConsumerGroupPartitionMetadataKey;
pub use consumer_group_partition_metadata_value::ConsumerGroupPartitionMetadataValue;
pub use consumer_group_regular_expression_key::ConsumerGroupRegularExpressionKey;
pub use consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue;
pub use consumer_group_target_assignment_member_key::ConsumerGroupTargetAssignmentMemberKey;
pub use consumer_group_target_assignment_member_value::ConsumerGroupTargetAssignmentMemberValue;
pub use consumer_group_target_assignment_metadata_key::ConsumerGroupTargetAssignmentMetadataKey;
pub use consumer_group_target_assignment_metadata_value::ConsumerGroupTargetAssignmentMetadataValue;
pub use consumer_protocol_assignment::ConsumerProtocolAssignment;
pub use consumer_protocol_subscription::ConsumerProtocolSubscription;
pub use control_record_type_schema::ControlRecordTypeSchema;
pub use controller_registration_request::ControllerRegistrationRequest;
pub use controller_registration_response::ControllerRegistrationResponse;
pub use create_acls_request::CreateAclsRequest;
pub use create_acls_response::CreateAclsResponse;
pub use create_delegation_token_request::CreateDelegationTokenRequest;
pub use create_delegation_token_response::CreateDelegationTokenResponse;
pub use create_partitions_request::CreatePartitionsRequest;
pub use create_partitions_response::CreatePartitionsResponse;
pub use create_topics_request::CreateTopicsRequest;
pub use create_topics_response::CreateTopicsResponse;
pub use default_principal_data::DefaultPrincipalData;
pub use delegation_token_record::DelegationTokenRecord;
pub use delete_acls_request::DeleteAclsRequest;
pub use delete_acls_response::DeleteAclsResponse;
pub use delete_groups_request::DeleteGroupsRequest;
pub use delete_groups_response::DeleteGroupsResponse;
pub use delete_records_request::DeleteRecordsRequest;
pub use delete_records_response::DeleteRecordsResponse;
pub use delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
pub use delete_share_group_offsets_response::DeleteShareGroupOffsetsResponse;
pub use delete_share_group_state_request::DeleteShareGroupStateRequest;
pub use delete_share_group_state_response::DeleteShareGroupStateResponse;
pub use delete_topics_request::DeleteTopicsRequest;
pub use delete_topics_response::DeleteTopicsResponse;
pub use describe_acls_request::DescribeAclsRequest;
pub use describe_acls_response::DescribeAclsResponse;
pub use describe_client_quotas_request::DescribeClientQuotasRequest;
pub use describe_client_quotas_response::DescribeClientQuotasResponse;
pub use describe_cluster_request::DescribeClusterRequest;
pub use describe_cluster_response::DescribeClusterResponse;
pub use describe_configs_request::DescribeConfigsRequest;
pub use describe_configs_response::DescribeConfigsResponse;
pub use describe_delegation_token_request::DescribeDelegationTokenRequest;
pub use describe_delegation_token_response::DescribeDelegationTokenResponse;
pub use describe_groups_request::DescribeGroupsRequest;
pub use describe_groups_response::DescribeGroupsResponse;
pub use describe_log_dirs_request::DescribeLogDirsRequest;
pub use describe_log_dirs_response::DescribeLogDirsResponse;
pub use describe_producers_request::DescribeProducersRequest;
pub use describe_producers_response::DescribeProducersResponse;
pub use describe_quorum_request::DescribeQuorumRequest;
pub use describe_quorum_response::DescribeQuorumResponse;
pub use describe_share_group_offsets_request::DescribeShareGroupOffsetsRequest;
pub use describe_share_group_offsets_response::DescribeShareGroupOffsetsResponse;
pub use describe_topic_partitions_request::DescribeTopicPartitionsRequest;
pub use describe_topic_partitions_response::DescribeTopicPartitionsResponse;
pub use describe_transactions_request::DescribeTransactionsRequest;
pub use describe_transactions_response::DescribeTransactionsResponse;
pub use describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
pub use describe_user_scram_credentials_response::DescribeUserScramCredentialsResponse;
pub use elect_leaders_request::ElectLeadersRequest;
pub use elect_leaders_response::ElectLeadersResponse;
pub use end_quorum_epoch_request::EndQuorumEpochRequest;
pub use end_quorum_epoch_response::EndQuorumEpochResponse;
pub use end_transaction_record::EndTransactionRecord;
pub use end_txn_marker::EndTxnMarker;
pub use end_txn_request::EndTxnRequest;
pub use end_txn_response::EndTxnResponse;
pub use envelope_request::EnvelopeRequest;
pub use envelope_response::EnvelopeResponse;
pub use expire_delegation_token_request::ExpireDelegationTokenRequest;
pub use expire_delegation_token_response::ExpireDelegationTokenResponse;
pub use feature_level_record::FeatureLevelRecord;
pub use fence_broker_record::FenceBrokerRecord;
pub use fetch_request::FetchRequest;
pub use fetch_response::FetchResponse;
pub use fetch_snapshot_request::FetchSnapshotRequest;
pub use fetch_snapshot_response::FetchSnapshotResponse;
pub use find_coordinator_request::FindCoordinatorRequest;
pub use find_coordinator_response::FindCoordinatorResponse;
pub use get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
pub use get_telemetry_subscriptions_response::GetTelemetrySubscriptionsResponse;
pub use group_metadata_key::GroupMetadataKey;
pub use group_metadata_value::GroupMetadataValue;
pub use heartbeat_request::HeartbeatRequest;
pub use heartbeat_response::HeartbeatResponse;
pub use incremental_alter_configs_request::IncrementalAlterConfigsRequest;
pub use incremental_alter_configs_response::IncrementalAlterConfigsResponse;
pub use init_producer_id_request::InitProducerIdRequest;
pub use init_producer_id_response::InitProducerIdResponse;
pub use initialize_share_group_state_request::InitializeShareGroupStateRequest;
pub use initialize_share_group_state_response::InitializeShareGroupStateResponse;
pub use join_group_request::JoinGroupRequest;
pub use join_group_response::JoinGroupResponse;
pub use kraft_version_record::KRaftVersionRecord;
pub use leader_change_message::LeaderChangeMessage;
pub use leave_group_request::LeaveGroupRequest;
pub use leave_group_response::LeaveGroupResponse;
pub use legacy_offset_commit_key::LegacyOffsetCommitKey;
pub use legacy_offset_commit_value::LegacyOffsetCommitValue;
pub use list_config_resources_request::ListConfigResourcesRequest;
pub use list_config_resources_response::ListConfigResourcesResponse;
pub use list_groups_request::ListGroupsRequest;
pub use list_groups_response::ListGroupsResponse;
pub use list_offsets_request::ListOffsetsRequest;
pub use list_offsets_response::ListOffsetsResponse;
pub use list_partition_reassignments_request::ListPartitionReassignmentsRequest;
pub use list_partition_reassignments_response::ListPartitionReassignmentsResponse;
pub use list_transactions_request::ListTransactionsRequest;
pub use list_transactions_response::ListTransactionsResponse;
pub use metadata_request::MetadataRequest;
pub use metadata_response::MetadataResponse;
pub use no_op_record::NoOpRecord;
pub use offset_commit_key::OffsetCommitKey;
pub use offset_commit_request::OffsetCommitRequest;
pub use offset_commit_response::OffsetCommitResponse;
pub use offset_commit_value::OffsetCommitValue;
pub use offset_delete_request::OffsetDeleteRequest;
pub use offset_delete_response::OffsetDeleteResponse;
pub use offset_fetch_request::OffsetFetchRequest;
pub use offset_fetch_response::OffsetFetchResponse;
pub use offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
pub use offset_for_leader_epoch_response::OffsetForLeaderEpochResponse;
pub use partition_change_record::PartitionChangeRecord;
pub use partition_record::PartitionRecord;
pub use produce_request::ProduceRequest;
pub use produce_response::ProduceResponse;
pub use producer_ids_record::ProducerIdsRecord;
pub use producer_snapshot::ProducerSnapshot;
pub use push_telemetry_request::PushTelemetryRequest;
pub use push_telemetry_response::PushTelemetryResponse;
pub use quorum_state_data::QuorumStateData;
pub use read_share_group_state_request::ReadShareGroupStateRequest;
pub use read_share_group_state_response::ReadShareGroupStateResponse;
pub use read_share_group_state_summary_request::ReadShareGroupStateSummaryRequest;
pub use read_share_group_state_summary_response::ReadShareGroupStateSummaryResponse;
pub use register_broker_record::RegisterBrokerRecord;
pub use register_controller_record::RegisterControllerRecord;
pub use remote_log_segment_metadata_record::RemoteLogSegmentMetadataRecord;
pub use remote_log_segment_metadata_snapshot_record::RemoteLogSegmentMetadataSnapshotRecord;
pub use remote_log_segment_metadata_update_record::RemoteLogSegmentMetadataUpdateRecord;
pub use remote_partition_delete_metadata_record::RemotePartitionDeleteMetadataRecord;
pub use remove_access_control_entry_record::RemoveAccessControlEntryRecord;
pub use remove_delegation_token_record::RemoveDelegationTokenRecord;
pub use remove_raft_voter_request::RemoveRaftVoterRequest;
pub use remove_raft_voter_response::RemoveRaftVoterResponse;
pub use remove_topic_record::RemoveTopicRecord;
pub use remove_user_scram_credential_record::RemoveUserScramCredentialRecord;
pub use renew_delegation_token_request::RenewDelegationTokenRequest;
pub use renew_delegation_token_response::RenewDelegationTokenResponse;
pub use request_header::RequestHeader;
pub use response_header::ResponseHeader;
pub use sasl_authenticate_request::SaslAuthenticateRequest;
pub use sasl_authenticate_response::SaslAuthenticateResponse;
pub use sasl_handshake_request::SaslHandshakeRequest;
pub use sasl_handshake_response::SaslHandshakeResponse;
pub use share_acknowledge_request::ShareAcknowledgeRequest;
pub use share_acknowledge_response::ShareAcknowledgeResponse;
pub use share_fetch_request::ShareFetchRequest;
pub use share_fetch_response::ShareFetchResponse;
pub use share_group_current_member_assignment_key::ShareGroupCurrentMemberAssignmentKey;
pub use share_group_current_member_assignment_value::ShareGroupCurrentMemberAssignmentValue;
pub use share_group_describe_request::ShareGroupDescribeRequest;
pub use share_group_describe_response::ShareGroupDescribeResponse;
pub use share_group_heartbeat_request::ShareGroupHeartbeatRequest;
pub use share_group_heartbeat_response::ShareGroupHeartbeatResponse;
pub use share_group_member_metadata_key::ShareGroupMemberMetadataKey;
pub use share_group_member_metadata_value::ShareGroupMemberMetadataValue;
pub use share_group_metadata_key::ShareGroupMetadataKey;
pub use share_group_metadata_value::ShareGroupMetadataValue;
pub use share_group_state_partition_metadata_key::ShareGroupStatePartitionMetadataKey;
pub use share_group_state_partition_metadata_value::ShareGroupStatePartitionMetadataValue;
pub use share_group_target_assignment_member_key::ShareGroupTargetAssignmentMemberKey;
pub use share_group_target_assignment_member_value::ShareGroupTargetAssignmentMemberValue;
pub use share_group_target_assignment_metadata_key::ShareGroupTargetAssignmentMetadataKey;
pub use share_group_target_assignment_metadata_value::ShareGroupTargetAssignmentMetadataValue;
pub use share_snapshot_key::ShareSnapshotKey;
pub use share_snapshot_value::ShareSnapshotValue;
pub use share_update_key::ShareUpdateKey;
pub use share_update_value::ShareUpdateValue;
pub use snapshot_footer_record::SnapshotFooterRecord;
pub use snapshot_header_record::SnapshotHeaderRecord;
pub use streams_group_current_member_assignment_key::StreamsGroupCurrentMemberAssignmentKey;
pub use streams_group_current_member_assignment_value::StreamsGroupCurrentMemberAssignmentValue;
pub use streams_group_describe_request::StreamsGroupDescribeRequest;
pub use streams_group_describe_response::StreamsGroupDescribeResponse;
pub use streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
pub use streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
pub use streams_group_member_metadata_key::StreamsGroupMemberMetadataKey;
pub use streams_group_member_metadata_value::StreamsGroupMemberMetadataValue;
pub use streams_group_metadata_key::StreamsGroupMetadataKey;
pub use streams_group_metadata_value::StreamsGroupMetadataValue;
pub use streams_group_target_assignment_member_key::StreamsGroupTargetAssignmentMemberKey;
pub use streams_group_target_assignment_member_value::StreamsGroupTargetAssignmentMemberValue;
pub use streams_group_target_assignment_metadata_key::StreamsGroupTargetAssignmentMetadataKey;
pub use streams_group_target_assignment_metadata_value::StreamsGroupTargetAssignmentMetadataValue;
pub use streams_group_topology_key::StreamsGroupTopologyKey;
pub use streams_group_topology_value::StreamsGroupTopologyValue;
pub use sync_group_request::SyncGroupRequest;
pub use sync_group_response::SyncGroupResponse;
pub use topic_record::TopicRecord;
pub use transaction_log_key::TransactionLogKey;
pub use transaction_log_value::TransactionLogValue;
pub use txn_offset_commit_request::TxnOffsetCommitRequest;
pub use txn_offset_commit_response::TxnOffsetCommitResponse;
pub use unfence_broker_record::UnfenceBrokerRecord;
pub use unregister_broker_record::UnregisterBrokerRecord;
pub use unregister_broker_request::UnregisterBrokerRequest;
pub use unregister_broker_response::UnregisterBrokerResponse;
pub use update_features_request::UpdateFeaturesRequest;
pub use update_features_response::UpdateFeaturesResponse;
pub use update_raft_voter_request::UpdateRaftVoterRequest;
pub use update_raft_voter_response::UpdateRaftVoterResponse;
pub use user_scram_credential_record::UserScramCredentialRecord;
pub use vote_request::VoteRequest;
pub use vote_response::VoteResponse;
pub use voters_record::VotersRecord;
pub use write_share_group_state_request::WriteShareGroupStateRequest;
pub use write_share_group_state_response::WriteShareGroupStateResponse;
pub use write_txn_markers_request::WriteTxnMarkersRequest;
pub use write_txn_markers_response::WriteTxnMarkersResponse;
pub use zk_migration_state_record::ZkMigrationStateRecord;

use crate::message::{Message, MessageKind, Schema};

/// Every message, by name.
pub static SCHEMAS: &[&Schema] = &[
    AbortTransactionRecord::SCHEMA,
    AccessControlEntryRecord::SCHEMA,
    AddOffsetsToTxnRequest::SCHEMA,
    AddOffsetsToTxnResponse::SCHEMA,
    AddPartitionsToTxnRequest::SCHEMA,
    AddPartitionsToTxnResponse::SCHEMA,
    AddRaftVoterRequest::SCHEMA,
    AddRaftVoterResponse::SCHEMA,
    AllocateProducerIdsRequest::SCHEMA,
    AllocateProducerIdsResponse::SCHEMA,
    AlterClientQuotasRequest::SCHEMA,
    AlterClientQuotasResponse::SCHEMA,
    AlterConfigsRequest::SCHEMA,
    AlterConfigsResponse::SCHEMA,
    AlterPartitionReassignmentsRequest::SCHEMA,
    AlterPartitionReassignmentsResponse::SCHEMA,
    AlterPartitionRequest::SCHEMA,
    AlterPartitionResponse::SCHEMA,
    AlterReplicaLogDirsRequest::SCHEMA,
    AlterReplicaLogDirsResponse::SCHEMA,
    AlterShareGroupOffsetsRequest::SCHEMA,
    AlterShareGroupOffsetsResponse::SCHEMA,
    AlterUserScramCredentialsRequest::SCHEMA,
    AlterUserScramCredentialsResponse::SCHEMA,
    ApiVersionsRequest::SCHEMA,
    ApiVersionsResponse::SCHEMA,
    AssignReplicasToDirsRequest::SCHEMA,
    AssignReplicasToDirsResponse::SCHEMA,
    BeginQuorumEpochRequest::SCHEMA,
    BeginQuorumEpochResponse::SCHEMA,
    BeginTransactionRecord::SCHEMA,
    BrokerHeartbeatRequest::SCHEMA,
    BrokerHeartbeatResponse::SCHEMA,
    BrokerRegistrationChangeRecord::SCHEMA,
    BrokerRegistrationRequest::SCHEMA,
    BrokerRegistrationResponse::SCHEMA,
    ClearElrRecord::SCHEMA,
    ClientQuotaRecord::SCHEMA,
    ConfigRecord::SCHEMA,
    ConsumerGroupCurrentMemberAssignmentKey::SCHEMA,
    ConsumerGroupCurrentMemberAssignmentValue::SCHEMA,
    ConsumerGroupDescribeRequest::SCHEMA,
    ConsumerGroupDescribeResponse::SCHEMA,
    ConsumerGroupHeartbeatRequest::SCHEMA,
    ConsumerGroupHeartbeatResponse::SCHEMA,
    ConsumerGroupMemberMetadataKey::SCHEMA,
    ConsumerGroupMemberMetadataValue::SCHEMA,
    ConsumerGroupMetadataKey::SCHEMA,
    ConsumerGroupMetadataValue::SCHEMA,
    ConsumerGroupPartitionMetadataKey::SCHEMA,
    ConsumerGroupPartitionMetadataValue::SCHEMA,
    ConsumerGroupRegularExpressionKey::SCHEMA,
    ConsumerGroupRegularExpressionValue::SCHEMA,
    ConsumerGroupTargetAssignmentMemberKey::SCHEMA,
    ConsumerGroupTargetAssignmentMemberValue::SCHEMA,
    ConsumerGroupTargetAssignmentMetadataKey::SCHEMA,
    ConsumerGroupTargetAssignmentMetadataValue::SCHEMA,
    ConsumerProtocolAssignment::SCHEMA,
    ConsumerProtocolSubscription::SCHEMA,
    ControlRecordTypeSchema::SCHEMA,
    ControllerRegistrationRequest::SCHEMA,
    ControllerRegistrationResponse::SCHEMA,
    CreateAclsRequest::SCHEMA,
    CreateAclsResponse::SCHEMA,
    CreateDelegationTokenRequest::SCHEMA,
    CreateDelegationTokenResponse::SCHEMA,
    CreatePartitionsRequest::SCHEMA,
    CreatePartitionsResponse::SCHEMA,
    CreateTopicsRequest::SCHEMA,
    CreateTopicsResponse::SCHEMA,
    DefaultPrincipalData::SCHEMA,
    DelegationTokenRecord::SCHEMA,
    DeleteAclsRequest::SCHEMA,
    DeleteAclsResponse::SCHEMA,
    DeleteGroupsRequest::SCHEMA,
    DeleteGroupsResponse::SCHEMA,
    DeleteRecordsRequest::SCHEMA,
    DeleteRecordsResponse::SCHEMA,
    DeleteShareGroupOffsetsRequest::SCHEMA,
    DeleteShareGroupOffsetsResponse::SCHEMA,
    DeleteShareGroupStateRequest::SCHEMA,
    DeleteShareGroupStateResponse::SCHEMA,
    DeleteTopicsRequest::SCHEMA,
    DeleteTopicsResponse::SCHEMA,
    DescribeAclsRequest::SCHEMA,
    DescribeAclsResponse::SCHEMA,
    DescribeClientQuotasRequest::SCHEMA,
    DescribeClientQuotasResponse::SCHEMA,
    DescribeClusterRequest::SCHEMA,
    DescribeClusterResponse::SCHEMA,
    DescribeConfigsRequest::SCHEMA,
    DescribeConfigsResponse::SCHEMA,
    DescribeDelegationTokenRequest::SCHEMA,
    DescribeDelegationTokenResponse::SCHEMA,
    DescribeGroupsRequest::SCHEMA,
    DescribeGroupsResponse::SCHEMA,
    DescribeLogDirsRequest::SCHEMA,
    DescribeLogDirsResponse::SCHEMA,
    DescribeProducersRequest::SCHEMA,
    DescribeProducersResponse::SCHEMA,
    DescribeQuorumRequest::SCHEMA,
    DescribeQuorumResponse::SCHEMA,
    DescribeShareGroupOffsetsRequest::SCHEMA,
    DescribeShareGroupOffsetsResponse::SCHEMA,
    DescribeTopicPartitionsRequest::SCHEMA,
    DescribeTopicPartitionsResponse::SCHEMA,
    DescribeTransactionsRequest::SCHEMA,
    DescribeTransactionsResponse::SCHEMA,
    DescribeUserScramCredentialsRequest::SCHEMA,
    DescribeUserScramCredentialsResponse::SCHEMA,
    ElectLeadersRequest::SCHEMA,
    ElectLeadersResponse::SCHEMA,
    EndQuorumEpochRequest::SCHEMA,
    EndQuorumEpochResponse::SCHEMA,
    EndTransactionRecord::SCHEMA,
    EndTxnMarker::SCHEMA,
    EndTxnRequest::SCHEMA,
    EndTxnResponse::SCHEMA,
    EnvelopeRequest::SCHEMA,
    EnvelopeResponse::SCHEMA,
    ExpireDelegationTokenRequest::SCHEMA,
    ExpireDelegationTokenResponse::SCHEMA,
    FeatureLevelRecord::SCHEMA,
    FenceBrokerRecord::SCHEMA,
    FetchRequest::SCHEMA,
    FetchResponse::SCHEMA,
    FetchSnapshotRequest::SCHEMA,
    FetchSnapshotResponse::SCHEMA,
    FindCoordinatorRequest::SCHEMA,
    FindCoordinatorResponse::SCHEMA,
    GetTelemetrySubscriptionsRequest::SCHEMA,
    GetTelemetrySubscriptionsResponse::SCHEMA,
    GroupMetadataKey::SCHEMA,
    GroupMetadataValue::SCHEMA,
    HeartbeatRequest::SCHEMA,
    HeartbeatResponse::SCHEMA,
    IncrementalAlterConfigsRequest::SCHEMA,
    IncrementalAlterConfigsResponse::SCHEMA,
    InitProducerIdRequest::SCHEMA,
    InitProducerIdResponse::SCHEMA,
    InitializeShareGroupStateRequest::SCHEMA,
    InitializeShareGroupStateResponse::SCHEMA,
    JoinGroupRequest::SCHEMA,
    JoinGroupResponse::SCHEMA,
    KRaftVersionRecord::SCHEMA,
    LeaderChangeMessage::SCHEMA,
    LeaveGroupRequest::SCHEMA,
    LeaveGroupResponse::SCHEMA,
    LegacyOffsetCommitKey::SCHEMA,
    LegacyOffsetCommitValue::SCHEMA,
    ListConfigResourcesRequest::SCHEMA,
    ListConfigResourcesResponse::SCHEMA,
    ListGroupsRequest::SCHEMA,
    ListGroupsResponse::SCHEMA,
    ListOffsetsRequest::SCHEMA,
    ListOffsetsResponse::SCHEMA,
    ListPartitionReassignmentsRequest::SCHEMA,
    ListPartitionReassignmentsResponse::SCHEMA,
    ListTransactionsRequest::SCHEMA,
    ListTransactionsResponse::SCHEMA,
    MetadataRequest::SCHEMA,
    MetadataResponse::SCHEMA,
    NoOpRecord::SCHEMA,
    OffsetCommitKey::SCHEMA,
    OffsetCommitRequest::SCHEMA,
    OffsetCommitResponse::SCHEMA,
    OffsetCommitValue::SCHEMA,
    OffsetDeleteRequest::SCHEMA,
    OffsetDeleteResponse::SCHEMA,
    OffsetFetchRequest::SCHEMA,
    OffsetFetchResponse::SCHEMA,
    OffsetForLeaderEpochRequest::SCHEMA,
    OffsetForLeaderEpochResponse::SCHEMA,
    PartitionChangeRecord::SCHEMA,
    PartitionRecord::SCHEMA,
    ProduceRequest::SCHEMA,
    ProduceResponse::SCHEMA,
    ProducerIdsRecord::SCHEMA,
    ProducerSnapshot::SCHEMA,
    PushTelemetryRequest::SCHEMA,
    PushTelemetryResponse::SCHEMA,
    QuorumStateData::SCHEMA,
    ReadShareGroupStateRequest::SCHEMA,
    ReadShareGroupStateResponse::SCHEMA,
    ReadShareGroupStateSummaryRequest::SCHEMA,
    ReadShareGroupStateSummaryResponse::SCHEMA,
    RegisterBrokerRecord::SCHEMA,
    RegisterControllerRecord::SCHEMA,
    RemoteLogSegmentMetadataRecord::SCHEMA,
    RemoteLogSegmentMetadataSnapshotRecord::SCHEMA,
    RemoteLogSegmentMetadataUpdateRecord::SCHEMA,
    RemotePartitionDeleteMetadataRecord::SCHEMA,
    RemoveAccessControlEntryRecord::SCHEMA,
    RemoveDelegationTokenRecord::SCHEMA,
    RemoveRaftVoterRequest::SCHEMA,
    RemoveRaftVoterResponse::SCHEMA,
    RemoveTopicRecord::SCHEMA,
    RemoveUserScramCredentialRecord::SCHEMA,
    RenewDelegationTokenRequest::SCHEMA,
    RenewDelegationTokenResponse::SCHEMA,
    RequestHeader::SCHEMA,
    ResponseHeader::SCHEMA,
    SaslAuthenticateRequest::SCHEMA,
    SaslAuthenticateResponse::SCHEMA,
    SaslHandshakeRequest::SCHEMA,
    SaslHandshakeResponse::SCHEMA,
    ShareAcknowledgeRequest::SCHEMA,
    ShareAcknowledgeResponse::SCHEMA,
    ShareFetchRequest::SCHEMA,
    ShareFetchResponse::SCHEMA,
    ShareGroupCurrentMemberAssignmentKey::SCHEMA,
    ShareGroupCurrentMemberAssignmentValue::SCHEMA,
    ShareGroupDescribeRequest::SCHEMA,
    ShareGroupDescribeResponse::SCHEMA,
    ShareGroupHeartbeatRequest::SCHEMA,
    ShareGroupHeartbeatResponse::SCHEMA,
    ShareGroupMemberMetadataKey::SCHEMA,
    ShareGroupMemberMetadataValue::SCHEMA,
    ShareGroupMetadataKey::SCHEMA,
    ShareGroupMetadataValue::SCHEMA,
    ShareGroupStatePartitionMetadataKey::SCHEMA,
    ShareGroupStatePartitionMetadataValue::SCHEMA,
    ShareGroupTargetAssignmentMemberKey::SCHEMA,
    ShareGroupTargetAssignmentMemberValue::SCHEMA,
    ShareGroupTargetAssignmentMetadataKey::SCHEMA,
    ShareGroupTargetAssignmentMetadataValue::SCHEMA,
    ShareSnapshotKey::SCHEMA,
    ShareSnapshotValue::SCHEMA,
    ShareUpdateKey::SCHEMA,
    ShareUpdateValue::SCHEMA,
    SnapshotFooterRecord::SCHEMA,
    SnapshotHeaderRecord::SCHEMA,
    StreamsGroupCurrentMemberAssignmentKey::SCHEMA,
    StreamsGroupCurrentMemberAssignmentValue::SCHEMA,
    StreamsGroupDescribeRequest::SCHEMA,
    StreamsGroupDescribeResponse::SCHEMA,
    StreamsGroupHeartbeatRequest::SCHEMA,
    StreamsGroupHeartbeatResponse::SCHEMA,
    StreamsGroupMemberMetadataKey::SCHEMA,
    StreamsGroupMemberMetadataValue::SCHEMA,
    StreamsGroupMetadataKey::SCHEMA,
    StreamsGroupMetadataValue::SCHEMA,
    StreamsGroupTargetAssignmentMemberKey::SCHEMA,
    StreamsGroupTargetAssignmentMemberValue::SCHEMA,
    StreamsGroupTargetAssignmentMetadataKey::SCHEMA,
    StreamsGroupTargetAssignmentMetadataValue::SCHEMA,
    StreamsGroupTopologyKey::SCHEMA,
    StreamsGroupTopologyValue::SCHEMA,
    SyncGroupRequest::SCHEMA,
    SyncGroupResponse::SCHEMA,
    TopicRecord::SCHEMA,
    TransactionLogKey::SCHEMA,
    TransactionLogValue::SCHEMA,
    TxnOffsetCommitRequest::SCHEMA,
    TxnOffsetCommitResponse::SCHEMA,
    UnfenceBrokerRecord::SCHEMA,
    UnregisterBrokerRecord::SCHEMA,
    UnregisterBrokerRequest::SCHEMA,
    UnregisterBrokerResponse::SCHEMA,
    UpdateFeaturesRequest::SCHEMA,
    UpdateFeaturesResponse::SCHEMA,
    UpdateRaftVoterRequest::SCHEMA,
    UpdateRaftVoterResponse::SCHEMA,
    UserScramCredentialRecord::SCHEMA,
    VoteRequest::SCHEMA,
    VoteResponse::SCHEMA,
    VotersRecord::SCHEMA,
    WriteShareGroupStateRequest::SCHEMA,
    WriteShareGroupStateResponse::SCHEMA,
    WriteTxnMarkersRequest::SCHEMA,
    WriteTxnMarkersResponse::SCHEMA,
    ZkMigrationStateRecord::SCHEMA,
];

/// The schema of a message by Kafka's name for it, `FetchRequest`.
pub fn by_name(name: &str) -> Option<&'static Schema> {
    let index = SCHEMAS.binary_search_by_key(&name, |schema| schema.name).ok()?;
    Some(SCHEMAS[index])
}

/// The schema of a request or response by its API's key, of a metadata record by its type.
pub fn by_key(kind: MessageKind, key: i16) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|it| it.kind == kind && it.api_key == Some(key)).copied()
}

/// Invokes a macro with the type of each message, for tests that need types and not tables.
#[macro_export]
macro_rules! for_every_message {
    ($visit:ident) => {
        $visit!($crate::messages::AbortTransactionRecord);
        $visit!($crate::messages::AccessControlEntryRecord);
        $visit!($crate::messages::AddOffsetsToTxnRequest);
        $visit!($crate::messages::AddOffsetsToTxnResponse);
        $visit!($crate::messages::AddPartitionsToTxnRequest);
        $visit!($crate::messages::AddPartitionsToTxnResponse);
        $visit!($crate::messages::AddRaftVoterRequest);
        $visit!($crate::messages::AddRaftVoterResponse);
        $visit!($crate::messages::AllocateProducerIdsRequest);
        $visit!($crate::messages::AllocateProducerIdsResponse);
        $visit!($crate::messages::AlterClientQuotasRequest);
        $visit!($crate::messages::AlterClientQuotasResponse);
        $visit!($crate::messages::AlterConfigsRequest);
        $visit!($crate::messages::AlterConfigsResponse);
        $visit!($crate::messages::AlterPartitionReassignmentsRequest);
        $visit!($crate::messages::AlterPartitionReassignmentsResponse);
        $visit!($crate::messages::AlterPartitionRequest);
        $visit!($crate::messages::AlterPartitionResponse);
        $visit!($crate::messages::AlterReplicaLogDirsRequest);
        $visit!($crate::messages::AlterReplicaLogDirsResponse);
        $visit!($crate::messages::AlterShareGroupOffsetsRequest);
        $visit!($crate::messages::AlterShareGroupOffsetsResponse);
        $visit!($crate::messages::AlterUserScramCredentialsRequest);
        $visit!($crate::messages::AlterUserScramCredentialsResponse);
        $visit!($crate::messages::ApiVersionsRequest);
        $visit!($crate::messages::ApiVersionsResponse);
        $visit!($crate::messages::AssignReplicasToDirsRequest);
        $visit!($crate::messages::AssignReplicasToDirsResponse);
        $visit!($crate::messages::BeginQuorumEpochRequest);
        $visit!($crate::messages::BeginQuorumEpochResponse);
        $visit!($crate::messages::BeginTransactionRecord);
        $visit!($crate::messages::BrokerHeartbeatRequest);
        $visit!($crate::messages::BrokerHeartbeatResponse);
        $visit!($crate::messages::BrokerRegistrationChangeRecord);
        $visit!($crate::messages::BrokerRegistrationRequest);
        $visit!($crate::messages::BrokerRegistrationResponse);
        $visit!($crate::messages::ClearElrRecord);
        $visit!($crate::messages::ClientQuotaRecord);
        $visit!($crate::messages::ConfigRecord);
        $visit!($crate::messages::ConsumerGroupCurrentMemberAssignmentKey);
        $visit!($crate::messages::ConsumerGroupCurrentMemberAssignmentValue);
        $visit!($crate::messages::ConsumerGroupDescribeRequest);
        $visit!($crate::messages::ConsumerGroupDescribeResponse);
        $visit!($crate::messages::ConsumerGroupHeartbeatRequest);
        $visit!($crate::messages::ConsumerGroupHeartbeatResponse);
        $visit!($crate::messages::ConsumerGroupMemberMetadataKey);
        $visit!($crate::messages::ConsumerGroupMemberMetadataValue);
        $visit!($crate::messages::ConsumerGroupMetadataKey);
        $visit!($crate::messages::ConsumerGroupMetadataValue);
        $visit!($crate::messages::ConsumerGroupPartitionMetadataKey);
        $visit!($crate::messages::ConsumerGroupPartitionMetadataValue);
        $visit!($crate::messages::ConsumerGroupRegularExpressionKey);
        $visit!($crate::messages::ConsumerGroupRegularExpressionValue);
        $visit!($crate::messages::ConsumerGroupTargetAssignmentMemberKey);
        $visit!($crate::messages::ConsumerGroupTargetAssignmentMemberValue);
        $visit!($crate::messages::ConsumerGroupTargetAssignmentMetadataKey);
        $visit!($crate::messages::ConsumerGroupTargetAssignmentMetadataValue);
        $visit!($crate::messages::ConsumerProtocolAssignment);
        $visit!($crate::messages::ConsumerProtocolSubscription);
        $visit!($crate::messages::ControlRecordTypeSchema);
        $visit!($crate::messages::ControllerRegistrationRequest);
        $visit!($crate::messages::ControllerRegistrationResponse);
        $visit!($crate::messages::CreateAclsRequest);
        $visit!($crate::messages::CreateAclsResponse);
        $visit!($crate::messages::CreateDelegationTokenRequest);
        $visit!($crate::messages::CreateDelegationTokenResponse);
        $visit!($crate::messages::CreatePartitionsRequest);
        $visit!($crate::messages::CreatePartitionsResponse);
        $visit!($crate::messages::CreateTopicsRequest);
        $visit!($crate::messages::CreateTopicsResponse);
        $visit!($crate::messages::DefaultPrincipalData);
        $visit!($crate::messages::DelegationTokenRecord);
        $visit!($crate::messages::DeleteAclsRequest);
        $visit!($crate::messages::DeleteAclsResponse);
        $visit!($crate::messages::DeleteGroupsRequest);
        $visit!($crate::messages::DeleteGroupsResponse);
        $visit!($crate::messages::DeleteRecordsRequest);
        $visit!($crate::messages::DeleteRecordsResponse);
        $visit!($crate::messages::DeleteShareGroupOffsetsRequest);
        $visit!($crate::messages::DeleteShareGroupOffsetsResponse);
        $visit!($crate::messages::DeleteShareGroupStateRequest);
        $visit!($crate::messages::DeleteShareGroupStateResponse);
        $visit!($crate::messages::DeleteTopicsRequest);
        $visit!($crate::messages::DeleteTopicsResponse);
        $visit!($crate::messages::DescribeAclsRequest);
        $visit!($crate::messages::DescribeAclsResponse);
        $visit!($crate::messages::DescribeClientQuotasRequest);
        $visit!($crate::messages::DescribeClientQuotasResponse);
        $visit!($crate::messages::DescribeClusterRequest);
        $visit!($crate::messages::DescribeClusterResponse);
        $visit!($crate::messages::DescribeConfigsRequest);
        $visit!($crate::messages::DescribeConfigsResponse);
        $visit!($crate::messages::DescribeDelegationTokenRequest);
        $visit!($crate::messages::DescribeDelegationTokenResponse);
        $visit!($crate::messages::DescribeGroupsRequest);
        $visit!($crate::messages::DescribeGroupsResponse);
        $visit!($crate::messages::DescribeLogDirsRequest);
        $visit!($crate::messages::DescribeLogDirsResponse);
        $visit!($crate::messages::DescribeProducersRequest);
        $visit!($crate::messages::DescribeProducersResponse);
        $visit!($crate::messages::DescribeQuorumRequest);
        $visit!($crate::messages::DescribeQuorumResponse);
        $visit!($crate::messages::DescribeShareGroupOffsetsRequest);
        $visit!($crate::messages::DescribeShareGroupOffsetsResponse);
        $visit!($crate::messages::DescribeTopicPartitionsRequest);
        $visit!($crate::messages::DescribeTopicPartitionsResponse);
        $visit!($crate::messages::DescribeTransactionsRequest);
        $visit!($crate::messages::DescribeTransactionsResponse);
        $visit!($crate::messages::DescribeUserScramCredentialsRequest);
        $visit!($crate::messages::DescribeUserScramCredentialsResponse);
        $visit!($crate::messages::ElectLeadersRequest);
        $visit!($crate::messages::ElectLeadersResponse);
        $visit!($crate::messages::EndQuorumEpochRequest);
        $visit!($crate::messages::EndQuorumEpochResponse);
        $visit!($crate::messages::EndTransactionRecord);
        $visit!($crate::messages::EndTxnMarker);
        $visit!($crate::messages::EndTxnRequest);
        $visit!($crate::messages::EndTxnResponse);
        $visit!($crate::messages::EnvelopeRequest);
        $visit!($crate::messages::EnvelopeResponse);
        $visit!($crate::messages::ExpireDelegationTokenRequest);
        $visit!($crate::messages::ExpireDelegationTokenResponse);
        $visit!($crate::messages::FeatureLevelRecord);
        $visit!($crate::messages::FenceBrokerRecord);
        $visit!($crate::messages::FetchRequest);
        $visit!($crate::messages::FetchResponse);
        $visit!($crate::messages::FetchSnapshotRequest);
        $visit!($crate::messages::FetchSnapshotResponse);
        $visit!($crate::messages::FindCoordinatorRequest);
        $visit!($crate::messages::FindCoordinatorResponse);
        $visit!($crate::messages::GetTelemetrySubscriptionsRequest);
        $visit!($crate::messages::GetTelemetrySubscriptionsResponse);
        $visit!($crate::messages::GroupMetadataKey);
        $visit!($crate::messages::GroupMetadataValue);
        $visit!($crate::messages::HeartbeatRequest);
        $visit!($crate::messages::HeartbeatResponse);
        $visit!($crate::messages::IncrementalAlterConfigsRequest);
        $visit!($crate::messages::IncrementalAlterConfigsResponse);
        $visit!($crate::messages::InitProducerIdRequest);
        $visit!($crate::messages::InitProducerIdResponse);
        $visit!($crate::messages::InitializeShareGroupStateRequest);
        $visit!($crate::messages::InitializeShareGroupStateResponse);
        $visit!($crate::messages::JoinGroupRequest);
        $visit!($crate::messages::JoinGroupResponse);
        $visit!($crate::messages::KRaftVersionRecord);
        $visit!($crate::messages::LeaderChangeMessage);
        $visit!($crate::messages::LeaveGroupRequest);
        $visit!($crate::messages::LeaveGroupResponse);
        $visit!($crate::messages::LegacyOffsetCommitKey);
        $visit!($crate::messages::LegacyOffsetCommitValue);
        $visit!($crate::messages::ListConfigResourcesRequest);
        $visit!($crate::messages::ListConfigResourcesResponse);
        $visit!($crate::messages::ListGroupsRequest);
        $visit!($crate::messages::ListGroupsResponse);
        $visit!($crate::messages::ListOffsetsRequest);
        $visit!($crate::messages::ListOffsetsResponse);
        $visit!($crate::messages::ListPartitionReassignmentsRequest);
        $visit!($crate::messages::ListPartitionReassignmentsResponse);
        $visit!($crate::messages::ListTransactionsRequest);
        $visit!($crate::messages::ListTransactionsResponse);
        $visit!($crate::messages::MetadataRequest);
        $visit!($crate::messages::MetadataResponse);
        $visit!($crate::messages::NoOpRecord);
        $visit!($crate::messages::OffsetCommitKey);
        $visit!($crate::messages::OffsetCommitRequest);
        $visit!($crate::messages::OffsetCommitResponse);
        $visit!($crate::messages::OffsetCommitValue);
        $visit!($crate::messages::OffsetDeleteRequest);
        $visit!($crate::messages::OffsetDeleteResponse);
        $visit!($crate::messages::OffsetFetchRequest);
        $visit!($crate::messages::OffsetFetchResponse);
        $visit!($crate::messages::OffsetForLeaderEpochRequest);
        $visit!($crate::messages::OffsetForLeaderEpochResponse);
        $visit!($crate::messages::PartitionChangeRecord);
        $visit!($crate::messages::PartitionRecord);
        $visit!($crate::messages::ProduceRequest);
        $visit!($crate::messages::ProduceResponse);
        $visit!($crate::messages::ProducerIdsRecord);
        $visit!($crate::messages::ProducerSnapshot);
        $visit!($crate::messages::PushTelemetryRequest);
        $visit!($crate::messages::PushTelemetryResponse);
        $visit!($crate::messages::QuorumStateData);
        $visit!($crate::messages::ReadShareGroupStateRequest);
        $visit!($crate::messages::ReadShareGroupStateResponse);
        $visit!($crate::messages::ReadShareGroupStateSummaryRequest);
        $visit!($crate::messages::ReadShareGroupStateSummaryResponse);
        $visit!($crate::messages::RegisterBrokerRecord);
        $visit!($crate::messages::RegisterControllerRecord);
        $visit!($crate::messages::RemoteLogSegmentMetadataRecord);
        $visit!($crate::messages::RemoteLogSegmentMetadataSnapshotRecord);
        $visit!($crate::messages::RemoteLogSegmentMetadataUpdateRecord);
        $visit!($crate::messages::RemotePartitionDeleteMetadataRecord);
        $visit!($crate::messages::RemoveAccessControlEntryRecord);
        $visit!($crate::messages::RemoveDelegationTokenRecord);
        $visit!($crate::messages::RemoveRaftVoterRequest);
        $visit!($crate::messages::RemoveRaftVoterResponse);
        $visit!($crate::messages::RemoveTopicRecord);
        $visit!($crate::messages::RemoveUserScramCredentialRecord);
        $visit!($crate::messages::RenewDelegationTokenRequest);
        $visit!($crate::messages::RenewDelegationTokenResponse);
        $visit!($crate::messages::RequestHeader);
        $visit!($crate::messages::ResponseHeader);
        $visit!($crate::messages::SaslAuthenticateRequest);
        $visit!($crate::messages::SaslAuthenticateResponse);
        $visit!($crate::messages::SaslHandshakeRequest);
        $visit!($crate::messages::SaslHandshakeResponse);
        $visit!($crate::messages::ShareAcknowledgeRequest);
        $visit!($crate::messages::ShareAcknowledgeResponse);
        $visit!($crate::messages::ShareFetchRequest);
        $visit!($crate::messages::ShareFetchResponse);
        $visit!($crate::messages::ShareGroupCurrentMemberAssignmentKey);
        $visit!($crate::messages::ShareGroupCurrentMemberAssignmentValue);
        $visit!($crate::messages::ShareGroupDescribeRequest);
        $visit!($crate::messages::ShareGroupDescribeResponse);
        $visit!($crate::messages::ShareGroupHeartbeatRequest);
        $visit!($crate::messages::ShareGroupHeartbeatResponse);
        $visit!($crate::messages::ShareGroupMemberMetadataKey);
        $visit!($crate::messages::ShareGroupMemberMetadataValue);
        $visit!($crate::messages::ShareGroupMetadataKey);
        $visit!($crate::messages::ShareGroupMetadataValue);
        $visit!($crate::messages::ShareGroupStatePartitionMetadataKey);
        $visit!($crate::messages::ShareGroupStatePartitionMetadataValue);
        $visit!($crate::messages::ShareGroupTargetAssignmentMemberKey);
        $visit!($crate::messages::ShareGroupTargetAssignmentMemberValue);
        $visit!($crate::messages::ShareGroupTargetAssignmentMetadataKey);
        $visit!($crate::messages::ShareGroupTargetAssignmentMetadataValue);
        $visit!($crate::messages::ShareSnapshotKey);
        $visit!($crate::messages::ShareSnapshotValue);
        $visit!($crate::messages::ShareUpdateKey);
        $visit!($crate::messages::ShareUpdateValue);
        $visit!($crate::messages::SnapshotFooterRecord);
        $visit!($crate::messages::SnapshotHeaderRecord);
        $visit!($crate::messages::StreamsGroupCurrentMemberAssignmentKey);
        $visit!($crate::messages::StreamsGroupCurrentMemberAssignmentValue);
        $visit!($crate::messages::StreamsGroupDescribeRequest);
        $visit!($crate::messages::StreamsGroupDescribeResponse);
        $visit!($crate::messages::StreamsGroupHeartbeatRequest);
        $visit!($crate::messages::StreamsGroupHeartbeatResponse);
        $visit!($crate::messages::StreamsGroupMemberMetadataKey);
        $visit!($crate::messages::StreamsGroupMemberMetadataValue);
        $visit!($crate::messages::StreamsGroupMetadataKey);
        $visit!($crate::messages::StreamsGroupMetadataValue);
        $visit!($crate::messages::StreamsGroupTargetAssignmentMemberKey);
        $visit!($crate::messages::StreamsGroupTargetAssignmentMemberValue);
        $visit!($crate::messages::StreamsGroupTargetAssignmentMetadataKey);
        $visit!($crate::messages::StreamsGroupTargetAssignmentMetadataValue);
        $visit!($crate::messages::StreamsGroupTopologyKey);
        $visit!($crate::messages::StreamsGroupTopologyValue);
        $visit!($crate::messages::SyncGroupRequest);
        $visit!($crate::messages::SyncGroupResponse);
        $visit!($crate::messages::TopicRecord);
        $visit!($crate::messages::TransactionLogKey);
        $visit!($crate::messages::TransactionLogValue);
        $visit!($crate::messages::TxnOffsetCommitRequest);
        $visit!($crate::messages::TxnOffsetCommitResponse);
        $visit!($crate::messages::UnfenceBrokerRecord);
        $visit!($crate::messages::UnregisterBrokerRecord);
        $visit!($crate::messages::UnregisterBrokerRequest);
        $visit!($crate::messages::UnregisterBrokerResponse);
        $visit!($crate::messages::UpdateFeaturesRequest);
        $visit!($crate::messages::UpdateFeaturesResponse);
        $visit!($crate::messages::UpdateRaftVoterRequest);
        $visit!($crate::messages::UpdateRaftVoterResponse);
        $visit!($crate::messages::UserScramCredentialRecord);
        $visit!($crate::messages::VoteRequest);
        $visit!($crate::messages::VoteResponse);
        $visit!($crate::messages::VotersRecord);
        $visit!($crate::messages::WriteShareGroupStateRequest);
        $visit!($crate::messages::WriteShareGroupStateResponse);
        $visit!($crate::messages::WriteTxnMarkersRequest);
        $visit!($crate::messages::WriteTxnMarkersResponse);
        $visit!($crate::messages::ZkMigrationStateRecord);
    };
}
