//! From answers to items: results, tries again, pages, and the answer to the whole call.

use std::sync::Arc;

use protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
use protocol::messages::{
    DescribeClusterResponse, FindCoordinatorResponse, ListPartitionReassignmentsResponse, MetadataResponse,
};
use protocol::{ErrorCode, LeaderEpoch, NodeId, Offset, Str, TopicPartition, WallMs};

use super::call::item;
use super::{
    AdminAnswer, AdminCall, Asked, BrokerInfo, Call, ClusterDescription, ConfigEntry, ConfigResource, ConfigSource,
    ConfigSynonym, CreatedTopic, EligibleLeaders, Item, ListedOffset, Progress, Reassignment, ResourceType,
    TopicDescription, TopicListing,
};
use crate::client::Context;
use crate::outbox::{Answer, Cause, Failure, Outcome, PartitionInfo};
use crate::wire::ResponseBody;

/// What an answer says of an item.
enum Said {
    Result(Item),
    /// Nothing that lasts: ask again.
    Again,
}

impl Call {
    /// Takes over what an answer says of the items that were asked for.
    pub(super) fn take_answer(&mut self, items: &[usize], body: ResponseBody, node: NodeId, context: &mut Context<'_>) {
        if let (AdminCall::DescribeTopics { .. }, ResponseBody::DescribeTopicPartitions(body)) = (&self.call, &body) {
            let cursor = body.next_cursor.as_ref().map(|it| (it.topic_name.clone(), it.partition_index));
            self.take_page(items, &body.topics, cursor, context);
            return;
        }
        if let AdminCall::Ask { of, .. } = &self.call {
            let of = of.clone();
            return self.take_reply(&of, items, body, context);
        }
        let mut again = Vec::new();
        for index in items {
            match say(&self.call, *index, &body) {
                Some(Said::Result(item)) => self.items[*index] = Progress::Done(item),
                Some(Said::Again) => again.push(*index),
                None => {
                    let why =
                        format!("The response from node {node} did not contain a result for {}", self.call.name());
                    let failure = Failure::new(Cause::Refused(ErrorCode::UnknownServerError), why);
                    self.items[*index] = Progress::Done(self.call.failed_item(failure));
                }
            }
        }
        if !again.is_empty() {
            self.again(&again, context);
        }
    }

    /// The answer to a question in the protocol's words, or who coordinates the group of which it is.
    fn take_reply(&mut self, of: &Asked, items: &[usize], body: ResponseBody, context: &mut Context<'_>) {
        if let (Some(_), ResponseBody::FindCoordinator(found)) = (self.sought_group(), &body) {
            return self.take_coordinator(found, items, context);
        }
        let error = error_in(&body);
        let passes = match of {
            Asked::Anyone | Asked::Broker(_) => error.is_retriable(),
            Asked::Controller => error == ErrorCode::NotController,
            Asked::Coordinator(_) => matches!(
                error,
                ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::NotCoordinator
                    | ErrorCode::UnstableOffsetCommit
            ),
        };
        if passes {
            self.coordinator = None;
            return self.again(items, context);
        }
        let answer = Arc::new(body);
        for index in items {
            self.items[*index] = Progress::Done(Item::Whole(Ok(AdminAnswer::Asked(answer.clone()))));
        }
    }

    fn take_coordinator(&mut self, found: &FindCoordinatorResponse, items: &[usize], context: &mut Context<'_>) {
        let (code, id, host, port) = match found.coordinators.first() {
            Some(it) => (it.error_code, it.node_id, &it.host, it.port),
            None => (found.error_code, found.node_id, &found.host, found.port),
        };
        let error = ErrorCode::from_code(code);
        match BrokerInfo::endpoint(id, host, port, &None) {
            Some(broker) if error == ErrorCode::None => {
                self.coordinator = Some(broker.node);
                context.add_brokers(vec![broker]);
                items.iter().for_each(|index| self.items[*index] = Progress::Todo);
                self.retry_at = context.now.mono;
            }
            _ if error == ErrorCode::None || error.is_retriable() => self.again(items, context),
            _ => self.fail(items, &Failure::refused(error, None)),
        }
    }

    /// A page of a description. Partitions of a topic may come in several.
    fn take_page(
        &mut self,
        items: &[usize],
        topics: &[DescribeTopicPartitionsResponseTopic],
        cursor: Option<(Str, i32)>,
        context: &mut Context<'_>,
    ) {
        let AdminCall::DescribeTopics { topics: names } = &self.call else { return };
        let stuck = cursor.is_some() && cursor <= self.cursor;
        for index in items {
            let name = &names[*index];
            let page = topics.iter().find(|it| it.name.as_ref() == Some(name)).map(described);
            let result = match (self.pages.remove(index), page) {
                (Some(mut before), Some(Ok(page))) => {
                    before.partitions.extend(page.partitions);
                    before.eligible.extend(page.eligible);
                    Some(Ok(before))
                }
                (before, None) => before.map(Ok),
                (_, page) => page,
            };
            // The topic at the cursor, and those after it, are not complete.
            let goes_on = cursor.as_ref().is_some_and(|(topic, _)| name >= topic);
            self.items[*index] = match result {
                _ if goes_on && stuck => {
                    let why = "The description of topics does not end";
                    let failure = Failure::new(Cause::Refused(ErrorCode::UnknownServerError), why);
                    Progress::Done(Item::Described(Err(failure)))
                }
                Some(Ok(partial)) if goes_on => {
                    self.pages.insert(*index, partial);
                    Progress::Todo
                }
                None if goes_on => Progress::Todo,
                Some(result) => Progress::Done(Item::Described(result)),
                None => {
                    let failure = Failure::refused(ErrorCode::UnknownTopicOrPartition, None);
                    Progress::Done(Item::Described(Err(failure)))
                }
            };
        }
        self.cursor = cursor;
        self.retry_at = context.now.mono;
    }
}

/// The first error that an answer has for the whole of a question, of those answers that are asked for in the protocol's words.
fn error_in(body: &ResponseBody) -> ErrorCode {
    let mut first = 0;
    let mut see = |code: i16| first = if first == 0 { code } else { first };
    match body {
        ResponseBody::ListGroups(it) => see(it.error_code),
        ResponseBody::ConsumerGroupDescribe(it) => it.groups.iter().for_each(|it| see(it.error_code)),
        ResponseBody::DescribeGroups(it) => it.groups.iter().for_each(|it| see(it.error_code)),
        ResponseBody::OffsetFetch(it) => {
            for group in &it.groups {
                see(group.error_code);
                for topic in &group.topics {
                    topic.partitions.iter().for_each(|it| see(it.error_code));
                }
            }
        }
        ResponseBody::OffsetCommit(it) => {
            for topic in &it.topics {
                topic.partitions.iter().for_each(|it| see(it.error_code));
            }
        }
        ResponseBody::OffsetDelete(it) => see(it.error_code),
        ResponseBody::DeleteGroups(it) => it.results.iter().for_each(|it| see(it.error_code)),
        ResponseBody::ElectLeaders(it) => see(it.error_code),
        ResponseBody::DescribeQuorum(it) => see(it.error_code),
        ResponseBody::FindCoordinator(it) => it.coordinators.iter().for_each(|it| see(it.error_code)),
        _ => {}
    }
    ErrorCode::from_code(first)
}

/// What the answer says of an item; `None` if nothing.
fn say(call: &AdminCall, index: usize, body: &ResponseBody) -> Option<Said> {
    match (call, body) {
        (AdminCall::CreateTopics { topics, .. }, ResponseBody::CreateTopics(body)) => {
            let it = body.topics.iter().find(|it| it.name == topics[index].name)?;
            let created = CreatedTopic {
                topic_id: it.topic_id,
                num_partitions: it.num_partitions,
                replication_factor: it.replication_factor,
            };
            Some(said(it.error_code, |code| Item::Created(item(code, it.error_message.as_deref(), created))))
        }
        (AdminCall::DeleteTopics { topics }, ResponseBody::DeleteTopics(body)) => {
            let it = body.responses.iter().find(|it| it.name.as_ref() == Some(&topics[index]))?;
            Some(said(it.error_code, |code| Item::Unit(item(code, it.error_message.as_deref(), ()))))
        }
        (AdminCall::CreatePartitions { topics, .. }, ResponseBody::CreatePartitions(body)) => {
            let it = body.results.iter().find(|it| it.name == topics[index].topic)?;
            Some(said(it.error_code, |code| Item::Unit(item(code, it.error_message.as_deref(), ()))))
        }
        (AdminCall::DeleteRecords { partitions }, ResponseBody::DeleteRecords(body)) => {
            let partition = &partitions[index].0;
            let topic = body.topics.iter().find(|it| it.name == partition.topic)?;
            let it = topic.partitions.iter().find(|it| it.partition_index == partition.partition)?;
            Some(said_by_leader(it.error_code, |code| Item::Offset(item(code, None, Offset(it.low_watermark)))))
        }
        (AdminCall::DescribeConfigs { resources, .. }, ResponseBody::DescribeConfigs(body)) => {
            let resource = &resources[index];
            let it = body.results.iter().find(|it| is(resource, it.resource_type, &it.resource_name))?;
            let entries = it.configs.iter().map(entry).collect();
            Some(said(it.error_code, |code| Item::Entries(item(code, it.error_message.as_deref(), entries))))
        }
        (AdminCall::IncrementalAlterConfigs { resources, .. }, ResponseBody::IncrementalAlterConfigs(body)) => {
            let resource = &resources[index].0;
            let it = body.responses.iter().find(|it| is(resource, it.resource_type, &it.resource_name))?;
            Some(said(it.error_code, |code| Item::Unit(item(code, it.error_message.as_deref(), ()))))
        }
        (AdminCall::ListOffsets { partitions, .. }, ResponseBody::ListOffsets(body)) => {
            let partition = &partitions[index].0;
            let topic = body.topics.iter().find(|it| it.name == partition.topic)?;
            let it = topic.partitions.iter().find(|it| it.partition_index == partition.partition)?;
            let listed = ListedOffset {
                offset: (it.offset >= 0).then_some(Offset(it.offset)),
                timestamp: (it.timestamp >= 0).then_some(WallMs(it.timestamp)),
                leader_epoch: (it.leader_epoch >= 0).then_some(LeaderEpoch(it.leader_epoch)),
            };
            Some(said_by_leader(it.error_code, |code| Item::Listed(item(code, None, listed))))
        }
        (AdminCall::ListTopics { list_internal }, ResponseBody::Metadata(body)) => {
            Some(Said::Result(Item::Whole(Ok(AdminAnswer::Topics(listings(body, *list_internal))))))
        }
        (AdminCall::ListConfigResources { .. }, ResponseBody::ListConfigResources(body)) => {
            let known = body.config_resources.iter().filter_map(|it| {
                Some(ConfigResource {
                    kind: ResourceType::from_code(it.resource_type)?,
                    name: it.resource_name.clone(),
                })
            });
            let answer = AdminAnswer::ConfigResources(known.collect());
            Some(said(body.error_code, |code| Item::Whole(item(code, None, answer))))
        }
        (AdminCall::DescribeCluster { .. }, ResponseBody::DescribeCluster(body)) => {
            let answer = AdminAnswer::Cluster(cluster(body));
            Some(said(body.error_code, |code| Item::Whole(item(code, body.error_message.as_deref(), answer))))
        }
        (AdminCall::ListPartitionReassignments, ResponseBody::ListPartitionReassignments(body)) => {
            let answer = AdminAnswer::Reassignments(reassignments(body));
            Some(said(body.error_code, |code| Item::Whole(item(code, body.error_message.as_deref(), answer))))
        }
        _ => None,
    }
}

/// A result, unless the code says that another broker, or another moment, would have another answer.
fn said(code: i16, result: impl FnOnce(ErrorCode) -> Item) -> Said {
    match ErrorCode::from_code(code) {
        ErrorCode::NotController | ErrorCode::ThrottlingQuotaExceeded => Said::Again,
        code => Said::Result(result(code)),
    }
}

/// A leader's answer: whatever may pass is asked again, as Kafka's admin does.
fn said_by_leader(code: i16, result: impl FnOnce(ErrorCode) -> Item) -> Said {
    match ErrorCode::from_code(code) {
        code if code.is_retriable() => Said::Again,
        code => Said::Result(result(code)),
    }
}

fn is(resource: &ConfigResource, kind: i8, name: &Str) -> bool {
    resource.kind.code() == kind && resource.name == *name
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().map(|id| NodeId(*id)).collect()
}

fn entry(it: &DescribeConfigsResourceResult) -> ConfigEntry {
    let synonyms = it.synonyms.iter().map(|it| ConfigSynonym {
        name: it.name.clone(),
        value: it.value.clone(),
        source: ConfigSource::from_code(it.source),
    });
    ConfigEntry {
        name: it.name.clone(),
        value: it.value.clone(),
        source: ConfigSource::from_code(it.config_source),
        sensitive: it.is_sensitive,
        read_only: it.read_only,
        synonyms: synonyms.collect(),
        documentation: it.documentation.clone(),
    }
}

fn described(topic: &DescribeTopicPartitionsResponseTopic) -> Result<TopicDescription, Failure> {
    item(ErrorCode::from_code(topic.error_code), None, ())?;
    let partitions = topic.partitions.iter().map(|it| PartitionInfo {
        partition: it.partition_index,
        leader: (it.leader_id >= 0).then_some(NodeId(it.leader_id)),
        leader_epoch: (it.leader_epoch >= 0).then_some(LeaderEpoch(it.leader_epoch)),
        replicas: nodes(&it.replica_nodes),
        isr: nodes(&it.isr_nodes),
        offline: nodes(&it.offline_replicas),
    });
    let eligible = topic.partitions.iter().map(|it| EligibleLeaders {
        elr: it.eligible_leader_replicas.as_deref().map(nodes),
        last_known: it.last_known_elr.as_deref().map(nodes),
    });
    Ok(TopicDescription {
        name: topic.name.clone().unwrap_or_default(),
        topic_id: topic.topic_id,
        internal: topic.is_internal,
        partitions: partitions.collect(),
        eligible: eligible.collect(),
    })
}

fn listings(body: &MetadataResponse, list_internal: bool) -> Vec<TopicListing> {
    let listed = body.topics.iter().filter(|it| it.error_code == 0 && (list_internal || !it.is_internal));
    let mut listings: Vec<TopicListing> = listed
        .filter_map(|it| Some(TopicListing { name: it.name.clone()?, topic_id: it.topic_id, internal: it.is_internal }))
        .collect();
    ordered::sort_by(&mut listings, |one, other| one.name.cmp(&other.name));
    listings
}

fn cluster(body: &DescribeClusterResponse) -> ClusterDescription {
    let mut brokers: Vec<BrokerInfo> = body
        .brokers
        .iter()
        .filter_map(|it| {
            let broker = BrokerInfo::endpoint(it.broker_id, &it.host, it.port, &it.rack)?;
            Some(BrokerInfo { fenced: it.is_fenced, ..broker })
        })
        .collect();
    ordered::sort_by_key(&mut brokers, |it| it.node);
    ClusterDescription {
        cluster_id: body.cluster_id.clone(),
        controller: (body.controller_id >= 0).then_some(NodeId(body.controller_id)),
        brokers,
    }
}

fn reassignments(body: &ListPartitionReassignmentsResponse) -> Vec<Reassignment> {
    let all = body.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|it| Reassignment {
            partition: TopicPartition { topic: topic.name.clone(), partition: it.partition_index },
            replicas: nodes(&it.replicas),
            adding: nodes(&it.adding_replicas),
            removing: nodes(&it.removing_replicas),
        })
    });
    all.collect()
}

impl AdminCall {
    /// The items of a call as its answer.
    pub(super) fn collect(&self, items: Vec<Item>) -> Outcome {
        let mut items = items.into_iter();
        if let (1, Some(Item::Whole(_))) = (items.len(), items.as_slice().first())
            && let Some(Item::Whole(result)) = items.next()
        {
            return match result {
                Ok(answer) => Outcome::Ok(Answer::Admin(answer)),
                Err(failure) => Outcome::Failed(failure),
            };
        }
        Outcome::Ok(Answer::Admin(match self {
            AdminCall::CreateTopics { topics, .. } => AdminAnswer::TopicsCreated(zip(
                topics.iter().map(|it| it.name.clone()),
                items.filter_map(|it| if let Item::Created(it) = it { Some(it) } else { None }),
            )),
            AdminCall::DeleteTopics { topics } => AdminAnswer::TopicsDeleted(zip(topics.iter().cloned(), units(items))),
            AdminCall::DescribeTopics { topics } => AdminAnswer::TopicsDescribed(zip(
                topics.iter().cloned(),
                items.filter_map(|it| if let Item::Described(it) = it { Some(it) } else { None }),
            )),
            AdminCall::CreatePartitions { topics, .. } => {
                AdminAnswer::PartitionsCreated(zip(topics.iter().map(|it| it.topic.clone()), units(items)))
            }
            AdminCall::DeleteRecords { partitions } => AdminAnswer::RecordsDeleted(zip(
                partitions.iter().map(|(it, _)| it.clone()),
                items.filter_map(|it| if let Item::Offset(it) = it { Some(it) } else { None }),
            )),
            AdminCall::DescribeConfigs { resources, .. } => AdminAnswer::Configs(zip(
                resources.iter().cloned(),
                items.filter_map(|it| if let Item::Entries(it) = it { Some(it) } else { None }),
            )),
            AdminCall::IncrementalAlterConfigs { resources, .. } => {
                AdminAnswer::ConfigsAltered(zip(resources.iter().map(|(it, _)| it.clone()), units(items)))
            }
            AdminCall::ListOffsets { partitions, .. } => AdminAnswer::Offsets(zip(
                partitions.iter().map(|(it, _)| it.clone()),
                items.filter_map(|it| if let Item::Listed(it) = it { Some(it) } else { None }),
            )),
            AdminCall::ListTopics { .. }
            | AdminCall::ListConfigResources { .. }
            | AdminCall::DescribeCluster { .. }
            | AdminCall::ListPartitionReassignments
            | AdminCall::Ask { .. } => unreachable!("a whole call's item is a whole answer"),
        }))
    }
}

fn units(items: impl Iterator<Item = Item>) -> impl Iterator<Item = Result<(), Failure>> {
    items.filter_map(|it| if let Item::Unit(it) = it { Some(it) } else { None })
}

fn zip<K, T>(keys: impl Iterator<Item = K>, items: impl Iterator<Item = T>) -> Vec<(K, T)> {
    keys.zip(items).collect()
}
