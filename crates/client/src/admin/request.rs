//! From calls to requests: how many items, who can answer for each, and the body that asks.

use protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeTopicPartitionsRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest, ListOffsetsRequest, ListPartitionReassignmentsRequest, MetadataRequest,
};
use protocol::{NodeId, Str, TopicPartition};

use super::{
    AdminCall, Asked, ConfigChange, ConfigResource, Item, NewPartitions, NewTopic, OffsetSpec, ResourceType, Target,
};
use crate::client::Context;
use crate::config::ClientConfig;
use crate::outbox::Failure;
use crate::wire::{ApiKey, RequestBody};

/// Partitions that a page of a description may have; Kafka's admin asks for as many.
const PARTITIONS_A_PAGE: i32 = 2_000;

impl AdminCall {
    /// Kafka's name of the call.
    pub(super) fn name(&self) -> &'static str {
        match self {
            AdminCall::CreateTopics { .. } => "createTopics",
            AdminCall::DeleteTopics { .. } => "deleteTopics",
            AdminCall::ListTopics { .. } => "listTopics",
            AdminCall::DescribeTopics { .. } => "describeTopics",
            AdminCall::CreatePartitions { .. } => "createPartitions",
            AdminCall::DeleteRecords { .. } => "deleteRecords",
            AdminCall::DescribeConfigs { .. } => "describeConfigs",
            AdminCall::IncrementalAlterConfigs { .. } => "incrementalAlterConfigs",
            AdminCall::ListConfigResources { .. } => "listConfigResources",
            AdminCall::ListOffsets { .. } => "listOffsets",
            AdminCall::DescribeCluster { .. } => "listNodes",
            AdminCall::ListPartitionReassignments => "listPartitionReassignments",
            AdminCall::Ask { name, .. } => name,
        }
    }

    /// What carries it.
    pub fn api(&self) -> ApiKey {
        match self {
            AdminCall::CreateTopics { .. } => ApiKey::CreateTopics,
            AdminCall::DeleteTopics { .. } => ApiKey::DeleteTopics,
            AdminCall::ListTopics { .. } => ApiKey::Metadata,
            AdminCall::DescribeTopics { .. } => ApiKey::DescribeTopicPartitions,
            AdminCall::CreatePartitions { .. } => ApiKey::CreatePartitions,
            AdminCall::DeleteRecords { .. } => ApiKey::DeleteRecords,
            AdminCall::DescribeConfigs { .. } => ApiKey::DescribeConfigs,
            AdminCall::IncrementalAlterConfigs { .. } => ApiKey::IncrementalAlterConfigs,
            AdminCall::ListConfigResources { .. } => ApiKey::ListConfigResources,
            AdminCall::ListOffsets { .. } => ApiKey::ListOffsets,
            AdminCall::DescribeCluster { .. } => ApiKey::DescribeCluster,
            AdminCall::ListPartitionReassignments => ApiKey::ListPartitionReassignments,
            AdminCall::Ask { body, .. } => body.api_key(),
        }
    }

    /// Whether it changes anything: then a lost answer leaves a doubt.
    pub(super) fn changes(&self) -> bool {
        match self {
            AdminCall::CreateTopics { validate_only, .. }
            | AdminCall::CreatePartitions { validate_only, .. }
            | AdminCall::IncrementalAlterConfigs { validate_only, .. } => !validate_only,
            // Whether a question does is not looked at.
            AdminCall::DeleteTopics { .. } | AdminCall::DeleteRecords { .. } | AdminCall::Ask { .. } => true,
            AdminCall::ListTopics { .. }
            | AdminCall::DescribeTopics { .. }
            | AdminCall::DescribeConfigs { .. }
            | AdminCall::ListConfigResources { .. }
            | AdminCall::ListOffsets { .. }
            | AdminCall::DescribeCluster { .. }
            | AdminCall::ListPartitionReassignments => false,
        }
    }

    pub(super) fn item_count(&self) -> usize {
        match self {
            AdminCall::CreateTopics { topics, .. } => topics.len(),
            AdminCall::DeleteTopics { topics } | AdminCall::DescribeTopics { topics } => topics.len(),
            AdminCall::CreatePartitions { topics, .. } => topics.len(),
            AdminCall::DeleteRecords { partitions } => partitions.len(),
            AdminCall::DescribeConfigs { resources, .. } => resources.len(),
            AdminCall::IncrementalAlterConfigs { resources, .. } => resources.len(),
            AdminCall::ListOffsets { partitions, .. } => partitions.len(),
            AdminCall::ListTopics { .. }
            | AdminCall::ListConfigResources { .. }
            | AdminCall::DescribeCluster { .. }
            | AdminCall::ListPartitionReassignments
            | AdminCall::Ask { .. } => 1,
        }
    }

    /// Topics whose leaders must be known.
    pub(super) fn topics_by_leader(&self) -> Vec<&Str> {
        match self {
            AdminCall::DeleteRecords { partitions } => partitions.iter().map(|(it, _)| &it.topic).collect(),
            AdminCall::ListOffsets { partitions, .. } => partitions.iter().map(|(it, _)| &it.topic).collect(),
            _ => Vec::new(),
        }
    }

    /// Who can answer for an item.
    pub(super) fn target(&self, item: usize, context: &Context<'_>) -> Target {
        let leader = |partition: &TopicPartition| {
            context.metadata.leader(partition).map_or(Target::Unknown, |(leader, _)| Target::Node(leader))
        };
        match self {
            AdminCall::CreateTopics { .. }
            | AdminCall::DeleteTopics { .. }
            | AdminCall::CreatePartitions { .. }
            | AdminCall::ListPartitionReassignments
            | AdminCall::Ask { of: Asked::Controller, .. } => Target::Controller,
            AdminCall::Ask { of: Asked::Broker(node), .. } if context.metadata.knows_broker(*node) => {
                Target::Node(*node)
            }
            AdminCall::Ask { of: Asked::Broker(_), .. } => Target::Unknown,
            AdminCall::DeleteRecords { partitions } => leader(&partitions[item].0),
            AdminCall::ListOffsets { partitions, .. } => leader(&partitions[item].0),
            AdminCall::DescribeConfigs { resources, .. } => by_name(&resources[item], context),
            AdminCall::IncrementalAlterConfigs { resources, .. } => by_name(&resources[item].0, context),
            AdminCall::ListTopics { .. }
            | AdminCall::DescribeTopics { .. }
            | AdminCall::ListConfigResources { .. }
            | AdminCall::DescribeCluster { .. }
            // Anyone tells who the coordinator is.
            | AdminCall::Ask { of: Asked::Anyone | Asked::Coordinator(_), .. } => Target::Anyone,
        }
    }

    /// A failure as this call's items have it.
    pub(super) fn failed_item(&self, failure: Failure) -> Item {
        match self {
            AdminCall::CreateTopics { .. } => Item::Created(Err(failure)),
            AdminCall::DeleteTopics { .. }
            | AdminCall::CreatePartitions { .. }
            | AdminCall::IncrementalAlterConfigs { .. } => Item::Unit(Err(failure)),
            AdminCall::DescribeTopics { .. } => Item::Described(Err(failure)),
            AdminCall::DeleteRecords { .. } => Item::Offset(Err(failure)),
            AdminCall::ListOffsets { .. } => Item::Listed(Err(failure)),
            AdminCall::DescribeConfigs { .. } => Item::Entries(Err(failure)),
            AdminCall::ListTopics { .. }
            | AdminCall::ListConfigResources { .. }
            | AdminCall::DescribeCluster { .. }
            | AdminCall::ListPartitionReassignments
            | AdminCall::Ask { .. } => Item::Whole(Err(failure)),
        }
    }
}

/// What only a broker itself knows is asked of it; the rest of anyone.
fn by_name(resource: &ConfigResource, context: &Context<'_>) -> Target {
    let own = matches!(resource.kind, ResourceType::Broker | ResourceType::BrokerLogger);
    match resource.name.parse().map(NodeId) {
        Ok(node) if own && context.metadata.knows_broker(node) => Target::Node(node),
        Ok(_) if own => Target::Unknown,
        _ => Target::Anyone,
    }
}

/// The request for these items of a call.
pub(super) fn build(
    call: &AdminCall,
    items: &[usize],
    cursor: Option<&(Str, i32)>,
    version: i16,
    config: &ClientConfig,
) -> RequestBody {
    let timeout_ms = i32::try_from(config.request_timeout_ms).unwrap_or(i32::MAX);
    match call {
        AdminCall::CreateTopics { topics, validate_only } => RequestBody::CreateTopics(CreateTopicsRequest {
            topics: items.iter().map(|it| creatable(&topics[*it])).collect(),
            timeout_ms,
            validate_only: *validate_only,
        }),
        AdminCall::DeleteTopics { topics } => {
            let names = items.iter().map(|it| topics[*it].clone());
            let mut body = DeleteTopicsRequest { timeout_ms, ..Default::default() };
            if version >= 6 {
                body.topics = names.map(|name| DeleteTopicState { name: Some(name), ..Default::default() }).collect();
            } else {
                body.topic_names = names.collect();
            }
            RequestBody::DeleteTopics(body)
        }
        AdminCall::ListTopics { .. } => RequestBody::Metadata(MetadataRequest {
            topics: None,
            allow_auto_topic_creation: true,
            ..Default::default()
        }),
        AdminCall::DescribeTopics { topics } => {
            let mut names: Vec<Str> = items.iter().map(|it| topics[*it].clone()).collect();
            // The broker goes through the topics by name; so must the question, or the cursor makes no sense.
            ordered::sort(&mut names);
            names.dedup();
            if let Some((topic, _)) = cursor {
                names.retain(|name| name >= topic);
            }
            RequestBody::DescribeTopicPartitions(DescribeTopicPartitionsRequest {
                topics: names.into_iter().map(|name| TopicRequest { name }).collect(),
                response_partition_limit: PARTITIONS_A_PAGE,
                cursor: cursor
                    .map(|(topic, partition)| Cursor { topic_name: topic.clone(), partition_index: *partition }),
            })
        }
        AdminCall::CreatePartitions { topics, validate_only } => {
            RequestBody::CreatePartitions(CreatePartitionsRequest {
                topics: items.iter().map(|it| more_partitions(&topics[*it])).collect(),
                timeout_ms,
                validate_only: *validate_only,
            })
        }
        AdminCall::DeleteRecords { partitions } => {
            let asked = items.iter().map(|it| {
                let (partition, offset) = &partitions[*it];
                let data = DeleteRecordsPartition { partition_index: partition.partition, offset: offset.0 };
                (partition.topic.clone(), data)
            });
            let topics = by_topic(asked).into_iter().map(|(name, partitions)| DeleteRecordsTopic { name, partitions });
            RequestBody::DeleteRecords(DeleteRecordsRequest { topics: topics.collect(), timeout_ms })
        }
        AdminCall::DescribeConfigs { resources, include_synonyms, include_documentation } => {
            RequestBody::DescribeConfigs(DescribeConfigsRequest {
                resources: items.iter().map(|it| describable(&resources[*it])).collect(),
                include_synonyms: *include_synonyms,
                include_documentation: *include_documentation && version >= 3,
            })
        }
        AdminCall::IncrementalAlterConfigs { resources, validate_only } => {
            let resources = items.iter().map(|it| {
                let (resource, changes) = &resources[*it];
                AlterConfigsResource {
                    resource_type: resource.kind.code(),
                    resource_name: resource.name.clone(),
                    configs: changes.iter().map(|it| alterable(&it.name, &it.change)).collect(),
                }
            });
            RequestBody::IncrementalAlterConfigs(IncrementalAlterConfigsRequest {
                resources: resources.collect(),
                validate_only: *validate_only,
            })
        }
        AdminCall::ListConfigResources { types } => RequestBody::ListConfigResources(ListConfigResourcesRequest {
            // Version 0 lists client metrics only, and has no field to say so.
            resource_types: if version >= 1 { types.iter().map(|it| it.code()).collect() } else { Vec::new() },
        }),
        AdminCall::ListOffsets { partitions, isolation_level } => {
            let asked = items.iter().map(|it| {
                let (partition, spec) = &partitions[*it];
                let timestamp = match spec {
                    OffsetSpec::Latest => -1,
                    OffsetSpec::Earliest => -2,
                    OffsetSpec::MaxTimestamp => -3,
                    OffsetSpec::Timestamp(at) => at.0,
                };
                let data =
                    ListOffsetsPartition { partition_index: partition.partition, timestamp, ..Default::default() };
                (partition.topic.clone(), data)
            });
            let topics = by_topic(asked).into_iter().map(|(name, partitions)| ListOffsetsTopic { name, partitions });
            RequestBody::ListOffsets(ListOffsetsRequest {
                replica_id: -1,
                isolation_level: isolation_level.code(),
                topics: topics.collect(),
                timeout_ms,
            })
        }
        AdminCall::DescribeCluster { include_fenced_brokers } => RequestBody::DescribeCluster(DescribeClusterRequest {
            include_fenced_brokers: *include_fenced_brokers && version >= 2,
            ..Default::default()
        }),
        AdminCall::ListPartitionReassignments => {
            RequestBody::ListPartitionReassignments(ListPartitionReassignmentsRequest { timeout_ms, topics: None })
        }
        AdminCall::Ask { body, .. } => RequestBody::clone(body),
    }
}

/// The question who coordinates a group.
pub(super) fn coordinator(group: &Str, version: i16) -> RequestBody {
    RequestBody::FindCoordinator(if version >= 4 {
        FindCoordinatorRequest { coordinator_keys: vec![group.clone()], ..Default::default() }
    } else {
        FindCoordinatorRequest { key: group.clone(), ..Default::default() }
    })
}

/// Gathers partitions under their topics, both in the order given.
fn by_topic<T>(items: impl Iterator<Item = (Str, T)>) -> Vec<(Str, Vec<T>)> {
    let mut topics: Vec<(Str, Vec<T>)> = Vec::new();
    for (topic, item) in items {
        match topics.iter_mut().find(|(name, _)| *name == topic) {
            Some((_, list)) => list.push(item),
            None => topics.push((topic, vec![item])),
        }
    }
    topics
}

fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|it| it.0).collect()
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignments = topic.assignments.iter().map(|(partition_index, replicas)| CreatableReplicaAssignment {
        partition_index: *partition_index,
        broker_ids: ids(replicas),
    });
    let configs = topic
        .configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) });
    CreatableTopic {
        name: topic.name.clone(),
        num_partitions: topic.num_partitions.unwrap_or(-1),
        replication_factor: topic.replication_factor.unwrap_or(-1),
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn more_partitions(topic: &NewPartitions) -> CreatePartitionsTopic {
    let assignments = topic
        .assignments
        .as_ref()
        .map(|list| list.iter().map(|replicas| CreatePartitionsAssignment { broker_ids: ids(replicas) }).collect());
    CreatePartitionsTopic { name: topic.topic.clone(), count: topic.total_count, assignments }
}

fn describable(resource: &ConfigResource) -> DescribeConfigsResource {
    DescribeConfigsResource {
        resource_type: resource.kind.code(),
        resource_name: resource.name.clone(),
        configuration_keys: None,
    }
}

fn alterable(name: &Str, change: &ConfigChange) -> AlterableConfig {
    let (config_operation, value) = match change {
        ConfigChange::Set(value) => (0, Some(value.clone())),
        ConfigChange::Delete => (1, None),
        ConfigChange::Append(value) => (2, Some(value.clone())),
        ConfigChange::Subtract(value) => (3, Some(value.clone())),
    };
    AlterableConfig { name: name.clone(), config_operation, value }
}
