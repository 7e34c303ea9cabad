//! What the tool asks of a cluster, and what it has it do.

use std::collections::{BTreeMap, BTreeSet};

use client::tools::exception::{Refusal, exception};
use protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use protocol::messages::describe_cluster_response::DescribeClusterBroker;
use protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, DescribeLogDirsRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest, MetadataRequest,
};
use protocol::{ErrorCode, RequestBody, ResponseBody, Str, TopicPartition};

use super::plan::{Assignment, Replica};
use crate::metadata_quorum::admin::Admin;

/// Types of resources that have a configuration.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// What IncrementalAlterConfigs does to a key.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// A partition that is being reassigned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ongoing {
    pub(super) replicas: Vec<i32>,
    pub(super) adding: Vec<i32>,
    pub(super) removing: Vec<i32>,
}

/// Where a replica's log is, and where it is on its way to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LogDirs {
    pub(super) current: Option<Str>,
    pub(super) future: Option<Str>,
}

/// A key of a topic or broker, with the value that it gets; without one it is deleted.
pub(super) type Setting = (&'static str, Option<String>);

/// The cluster that is worked on.
pub(super) struct Cluster {
    admin: Admin,
    timeout_ms: i32,
}

impl Cluster {
    pub(super) fn new(admin: Admin, timeout_ms: i32) -> Cluster {
        Cluster { admin, timeout_ms }
    }

    /// The brokers that serve; of controllers, those.
    pub(super) fn nodes(&self) -> Result<Vec<DescribeClusterBroker>, String> {
        self.admin.cluster().map(|cluster| cluster.brokers)
    }

    pub(super) fn node_ids(&self) -> Result<BTreeSet<i32>, String> {
        Ok(self.nodes()?.iter().map(|node| node.broker_id).collect())
    }

    /// What is being reassigned: everywhere, or of these partitions.
    pub(super) fn ongoing(&self, of: Option<&Assignment>) -> Result<BTreeMap<TopicPartition, Ongoing>, String> {
        let topics = of.map(|of| {
            let topics = by_topic(of.keys());
            let topic = |(name, partition_indexes)| ListPartitionReassignmentsTopics { name, partition_indexes };
            topics.into_iter().map(topic).collect()
        });
        let question = ListPartitionReassignmentsRequest { timeout_ms: self.timeout_ms, topics };
        let answer = self.admin.ask("listPartitionReassignments", &question.into(), ErrorCode::is_retriable)?;
        let ResponseBody::ListPartitionReassignments(answer) = answer else { return Err(stray(&answer)) };
        let mut ongoing = BTreeMap::new();
        for topic in answer.topics {
            for it in topic.partitions {
                let partition = TopicPartition { topic: topic.name.clone(), partition: it.partition_index };
                let (adding, removing) = (it.adding_replicas, it.removing_replicas);
                ongoing.insert(partition, Ongoing { replicas: it.replicas, adding, removing });
            }
        }
        Ok(ongoing)
    }

    /// Where the partitions of topics are. A topic that nobody knows has `None`.
    pub(super) fn topics(&self, names: &BTreeSet<Str>) -> Result<BTreeMap<Str, Option<Assignment>>, String> {
        let topic = |name: &Str| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let question = MetadataRequest {
            topics: Some(names.iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let answer = self.admin.ask("describeTopics", &question.into(), ErrorCode::is_retriable)?;
        let ResponseBody::Metadata(answer) = answer else { return Err(stray(&answer)) };
        let mut topics = BTreeMap::new();
        for topic in answer.topics {
            let Some(name) = topic.name else { continue };
            let partitions = match Refusal::of(topic.error_code, None) {
                None => Some(topic.partitions),
                Some(refusal) if refusal.error == ErrorCode::UnknownTopicOrPartition => None,
                Some(refusal) => return Err(refusal.told()),
            };
            let placed = partitions.map(|partitions| {
                let placed = |it: protocol::messages::metadata_response::MetadataResponsePartition| {
                    (TopicPartition { topic: name.clone(), partition: it.partition_index }, it.replica_nodes)
                };
                partitions.into_iter().map(placed).collect()
            });
            topics.insert(name, placed);
        }
        Ok(topics)
    }

    /// Where the partitions of topics are that must be there.
    pub(super) fn assignment(&self, names: &BTreeSet<Str>) -> Result<Assignment, String> {
        let mut assignment = Assignment::new();
        for (name, placed) in self.topics(names)? {
            let unknown = || exception("UnknownTopicOrPartitionException", &format!("Topic {name} not found."));
            assignment.append(&mut placed.ok_or_else(unknown)?);
        }
        Ok(assignment)
    }

    /// The directories of all replicas of an assignment whose brokers serve.
    pub(super) fn directories(&self, of: &Assignment) -> Result<BTreeMap<Replica, Str>, String> {
        let live = self.node_ids()?;
        let mut replicas = BTreeSet::new();
        for (partition, brokers) in of {
            let brokers = brokers.iter().filter(|broker| live.contains(broker));
            replicas.extend(brokers.map(|broker| Replica { broker: *broker, partition: partition.clone() }));
        }
        let found = self.log_dirs(&replicas)?;
        Ok(found.into_iter().filter_map(|(replica, it)| it.current.map(|dir| (replica, dir))).collect())
    }

    /// Where replicas are on their brokers' disks.
    pub(super) fn log_dirs(&self, replicas: &BTreeSet<Replica>) -> Result<BTreeMap<Replica, LogDirs>, String> {
        let mut found: BTreeMap<Replica, LogDirs> =
            replicas.iter().map(|replica| (replica.clone(), LogDirs::default())).collect();
        for (broker, partitions) in by_broker(replicas) {
            let topic = |(topic, partitions)| DescribableLogDirTopic { topic, partitions };
            let topics = Some(by_topic(partitions).into_iter().map(topic).collect());
            let question = DescribeLogDirsRequest { topics };
            let answer = self.ask_broker(broker, "describeReplicaLogDirs", &question.into())?;
            let ResponseBody::DescribeLogDirs(answer) = answer else { return Err(stray(&answer)) };
            for dir in answer.results {
                match Refusal::of(dir.error_code, None) {
                    None => {}
                    // Nothing is known of what is on a disk that is lost.
                    Some(refusal) if refusal.error == ErrorCode::KafkaStorageError => continue,
                    Some(refusal) => return Err(refusal.told()),
                }
                for topic in dir.topics {
                    for it in topic.partitions {
                        let partition = TopicPartition { topic: topic.name.clone(), partition: it.partition_index };
                        let Some(known) = found.get_mut(&Replica { broker, partition }) else { continue };
                        let place = if it.is_future_key { &mut known.future } else { &mut known.current };
                        *place = Some(dir.log_dir.clone());
                    }
                }
            }
        }
        Ok(found)
    }

    /// Reassigns partitions, or with `None` ends their reassignment. Answers why some were refused.
    pub(super) fn alter(
        &self,
        partitions: &BTreeMap<TopicPartition, Option<Vec<i32>>>,
        allow_replication_factor_change: bool,
    ) -> Result<BTreeMap<TopicPartition, String>, String> {
        let mut topics: Vec<ReassignableTopic> = Vec::new();
        for (name, numbers) in by_topic(partitions.keys()) {
            let one = |partition_index: i32| {
                let partition = TopicPartition { topic: name.clone(), partition: partition_index };
                ReassignablePartition { partition_index, replicas: partitions.get(&partition).cloned().flatten() }
            };
            topics.push(ReassignableTopic { partitions: numbers.into_iter().map(one).collect(), name: name.clone() });
        }
        let question =
            AlterPartitionReassignmentsRequest { timeout_ms: self.timeout_ms, allow_replication_factor_change, topics };
        let answer = self.admin.ask("alterPartitionReassignments", &question.into(), |_| false)?;
        let ResponseBody::AlterPartitionReassignments(answer) = answer else { return Err(stray(&answer)) };
        let mut refused = BTreeMap::new();
        for topic in answer.responses {
            for it in topic.partitions {
                let Some(refusal) = Refusal::of(it.error_code, it.error_message.as_ref()) else { continue };
                let partition = TopicPartition { topic: topic.name.clone(), partition: it.partition_index };
                refused.insert(partition, refusal.message().to_owned());
            }
        }
        Ok(refused)
    }

    /// Has replicas move to directories. Answers those that do; the others are not there yet.
    pub(super) fn move_logs(&self, targets: &BTreeMap<Replica, Str>) -> Result<BTreeSet<Replica>, String> {
        let mut moving = BTreeSet::new();
        let replicas: BTreeSet<Replica> = targets.keys().cloned().collect();
        for broker in by_broker(&replicas).into_keys() {
            let mut by_dir: BTreeMap<&Str, Vec<&TopicPartition>> = BTreeMap::new();
            for (replica, dir) in targets.iter().filter(|(replica, _)| replica.broker == broker) {
                by_dir.entry(dir).or_default().push(&replica.partition);
            }
            let dir = |(path, partitions): (&Str, Vec<&TopicPartition>)| {
                let topic = |(name, partitions)| AlterReplicaLogDirTopic { name, partitions };
                AlterReplicaLogDir { path: path.clone(), topics: by_topic(partitions).into_iter().map(topic).collect() }
            };
            let question = AlterReplicaLogDirsRequest { dirs: by_dir.into_iter().map(dir).collect() };
            let answer = self.ask_broker(broker, "alterReplicaLogDirs", &question.into())?;
            let ResponseBody::AlterReplicaLogDirs(answer) = answer else { return Err(stray(&answer)) };
            for topic in answer.results {
                for it in topic.partitions {
                    let partition = TopicPartition { topic: topic.topic_name.clone(), partition: it.partition_index };
                    let replica = Replica { broker, partition };
                    match Refusal::of(it.error_code, None) {
                        None => _ = moving.insert(replica),
                        Some(refusal) if refusal.error == ErrorCode::ReplicaNotAvailable => {}
                        Some(refusal) => {
                            return Err(format!("Failed to alter dir for {replica}\nCaused by: {}", refusal.told()));
                        }
                    }
                }
            }
        }
        Ok(moving)
    }

    /// Changes the configurations of topics.
    pub(super) fn configure_topics(&self, topics: Vec<(Str, Vec<Setting>)>) -> Result<(), String> {
        let resources = topics.into_iter().map(|(name, settings)| resource(TOPIC, name, &settings)).collect();
        let question = IncrementalAlterConfigsRequest { resources, validate_only: false };
        configured(&self.admin.ask("incrementalAlterConfigs", &question.into(), |_| false)?)
    }

    /// Changes the configuration of each of these brokers, which says itself whether it can live with it.
    pub(super) fn configure_brokers(&self, brokers: &BTreeSet<i32>, settings: &[Setting]) -> Result<(), String> {
        for broker in brokers {
            let resources = vec![resource(BROKER, Str::from(broker.to_string()), settings)];
            let question = IncrementalAlterConfigsRequest { resources, validate_only: false };
            configured(&self.ask_broker(*broker, "incrementalAlterConfigs", &question.into())?)?;
        }
        Ok(())
    }

    /// Asks a broker itself. Of controllers the active one answers for all.
    fn ask_broker(&self, broker: i32, call: &str, question: &RequestBody) -> Result<ResponseBody, String> {
        if self.admin.asks_controllers() {
            return self.admin.ask(call, question, |_| false);
        }
        self.admin.ask_node(broker, call, question)
    }
}

fn resource(resource_type: i8, resource_name: Str, settings: &[Setting]) -> AlterConfigsResource {
    let config = |(name, value): &Setting| AlterableConfig {
        name: Str::from_static(name),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.as_deref().map(Str::from),
    };
    AlterConfigsResource { resource_type, resource_name, configs: settings.iter().map(config).collect() }
}

fn configured(answer: &ResponseBody) -> Result<(), String> {
    let ResponseBody::IncrementalAlterConfigs(answer) = answer else { return Err(stray(answer)) };
    let refusal = answer.responses.iter().find_map(|it| Refusal::of(it.error_code, it.error_message.as_ref()));
    refusal.map_or(Ok(()), |refusal| Err(refusal.told()))
}

fn stray(answer: &ResponseBody) -> String {
    format!("{} is no answer to this", answer.api_key().name())
}

fn by_topic<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> BTreeMap<Str, Vec<i32>> {
    let mut topics: BTreeMap<Str, Vec<i32>> = BTreeMap::new();
    for it in partitions {
        topics.entry(it.topic.clone()).or_default().push(it.partition);
    }
    topics
}

fn by_broker(replicas: &BTreeSet<Replica>) -> BTreeMap<i32, Vec<&TopicPartition>> {
    let mut brokers: BTreeMap<i32, Vec<&TopicPartition>> = BTreeMap::new();
    for it in replicas {
        brokers.entry(it.broker).or_default().push(&it.partition);
    }
    brokers
}
