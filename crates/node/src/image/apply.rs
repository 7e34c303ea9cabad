//! One record at a time: how each kind of metadata record changes the image.

use ordered::Map;
use std::fmt;

use protocol::messages::{
    BrokerRegistrationChangeRecord, ClearElrRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord,
    PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, RegisterControllerRecord, RemoveTopicRecord,
    TopicRecord, register_broker_record, register_controller_record,
};
use protocol::{LeaderEpoch, NodeId, Offset, Str, Uuid};

use super::directory::MIGRATING;
use super::{
    BrokerImage, ControllerImage, Endpoint, Image, PartitionImage, Resource, ResourceType, SecurityProtocol,
    TopicImage, VersionRange,
};

/// Why a record cannot be applied: it contradicts the log before it, or its kind is not supported. The image is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageError {
    /// The record's offset.
    pub offset: Offset,
    /// The record's kind, in Kafka's words.
    pub record: &'static str,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metadata record {} at offset {}: {}", self.record, self.offset, self.what)
    }
}

impl std::error::Error for ImageError {}

/// The value of `PartitionChangeRecord.Leader` that leaves the leader alone.
const NO_LEADER_CHANGE: i32 = -2;

impl Image {
    /// Applies the record at `offset` of the metadata log. On an error nothing has changed.
    pub fn apply(&mut self, offset: Offset, record: &MetadataRecord) -> Result<(), ImageError> {
        self.change(record).map_err(|what| ImageError { offset, record: record.name(), what })?;
        self.next_offset = offset.plus(1);
        Ok(())
    }

    fn change(&mut self, record: &MetadataRecord) -> Result<(), String> {
        match record {
            MetadataRecord::Topic(record) => self.create_topic(record),
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record),
            MetadataRecord::Partition(record) => self.create_partition(record),
            MetadataRecord::PartitionChange(record) => self.change_partition(record),
            MetadataRecord::ClearElr(record) => self.clear_elr(record),
            MetadataRecord::RegisterBroker(record) => self.register_broker(record),
            MetadataRecord::UnregisterBroker(record) => {
                self.broker_at(record.broker_id, record.broker_epoch)?;
                self.brokers.remove(&NodeId(record.broker_id));
                Ok(())
            }
            MetadataRecord::FenceBroker(record) => self.fence(record.id, record.epoch, true),
            MetadataRecord::UnfenceBroker(record) => self.fence(record.id, record.epoch, false),
            MetadataRecord::BrokerRegistrationChange(record) => self.change_broker(record),
            MetadataRecord::RegisterController(record) => self.register_controller(record),
            MetadataRecord::Config(record) => self.configure(record),
            MetadataRecord::FeatureLevel(record) => self.finalize(record),
            MetadataRecord::ProducerIds(record) => self.allocate_producer_ids(record.next_producer_id),
            // The quorum delivers a transaction's records only when it ended, so its marks mean nothing here; a no-op says
            // that the leader lives.
            // The state of a migration from ZooKeeper says nothing to a cluster that has none, as in Kafka since 4.0.
            MetadataRecord::NoOp(_)
            | MetadataRecord::ZkMigrationState(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => Ok(()),
            MetadataRecord::AccessControlEntry(_)
            | MetadataRecord::RemoveAccessControlEntry(_)
            | MetadataRecord::ClientQuota(_)
            | MetadataRecord::UserScramCredential(_)
            | MetadataRecord::RemoveUserScramCredential(_)
            | MetadataRecord::DelegationToken(_)
            | MetadataRecord::RemoveDelegationToken(_) => Err("this kind of record is not supported yet".into()),
        }
    }

    fn create_topic(&mut self, record: &TopicRecord) -> Result<(), String> {
        if let Some(other) = self.topic(&record.name) {
            return Err(format!("a topic {} exists with id {}", record.name, other.id));
        }
        if let Some(name) = self.topic_names.get(&record.topic_id) {
            return Err(format!("the topic {name} has the id {}", record.topic_id));
        }
        let topic = TopicImage { name: record.name.clone(), id: record.topic_id, partitions: Default::default() };
        self.topic_names.insert(record.topic_id, record.name.clone());
        self.topics.insert(record.name.clone(), topic);
        Ok(())
    }

    fn remove_topic(&mut self, record: &RemoveTopicRecord) -> Result<(), String> {
        let Some(name) = self.topic_names.get(&record.topic_id).cloned() else { return Err(no_topic(record.topic_id)) };
        self.topics.remove(&name);
        self.topic_names.remove(&record.topic_id);
        // A topic's settings go with it, without records of their own.
        self.configs.remove(&Resource { kind: ResourceType::Topic, name });
        Ok(())
    }

    fn topic_mut(&mut self, id: Uuid) -> Result<&mut TopicImage, String> {
        let name = self.topic_names.get(&id).ok_or_else(|| no_topic(id))?;
        self.topics.get_mut(name).ok_or_else(|| no_topic(id))
    }

    fn create_partition(&mut self, record: &PartitionRecord) -> Result<(), String> {
        let replicas = nodes(&record.replicas);
        let partition = PartitionImage {
            directories: directories(&record.directories, replicas.len())?,
            isr: nodes(&record.isr),
            adding_replicas: nodes(&record.adding_replicas),
            removing_replicas: nodes(&record.removing_replicas),
            elr: nodes(record.eligible_leader_replicas.as_deref().unwrap_or_default()),
            last_known_elr: nodes(record.last_known_elr.as_deref().unwrap_or_default()),
            leader: leader(record.leader),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
            recovering: record.leader_recovery_state == 1,
            replicas,
        };
        self.topic_mut(record.topic_id)?.partitions.insert(record.partition_id, partition);
        Ok(())
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), String> {
        let topic = self.topic_mut(record.topic_id)?;
        let Some(before) = topic.partitions.get(&record.partition_id) else {
            return Err(format!("topic {} has no partition {}", topic.name, record.partition_id));
        };
        let mut after = before.clone();
        let replace = |field: &mut Vec<NodeId>, value: &Option<Vec<i32>>| {
            if let Some(value) = value {
                *field = nodes(value);
            }
        };
        replace(&mut after.replicas, &record.replicas);
        replace(&mut after.isr, &record.isr);
        replace(&mut after.adding_replicas, &record.adding_replicas);
        replace(&mut after.removing_replicas, &record.removing_replicas);
        replace(&mut after.elr, &record.eligible_leader_replicas);
        replace(&mut after.last_known_elr, &record.last_known_elr);
        let known = record.directories.as_ref().unwrap_or(&after.directories);
        after.directories = directories(known, after.replicas.len())?;
        if record.leader != NO_LEADER_CHANGE {
            // Even when the same node is named again: it is a new leadership.
            after.leader = leader(record.leader);
            after.leader_epoch = LeaderEpoch(after.leader_epoch.0.saturating_add(1));
        }
        match record.leader_recovery_state {
            -1 => {}
            state => after.recovering = state == 1,
        }
        after.partition_epoch = after.partition_epoch.saturating_add(1);
        topic.partitions.insert(record.partition_id, after);
        Ok(())
    }

    fn clear_elr(&mut self, record: &ClearElrRecord) -> Result<(), String> {
        let names: Vec<Str> = if record.topic_name.is_empty() {
            self.topics.keys().cloned().collect()
        } else if self.topics.contains_key(&record.topic_name) {
            vec![record.topic_name.clone()]
        } else {
            return Err(format!("no topic {}", record.topic_name));
        };
        for name in names {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            let held: Vec<i32> = topic
                .partitions
                .iter()
                .filter(|(_, partition)| !partition.elr.is_empty() || !partition.last_known_elr.is_empty())
                .map(|(index, _)| *index)
                .collect();
            for index in held {
                if let Some(partition) = topic.partitions.get_mut(&index) {
                    partition.elr.clear();
                    partition.last_known_elr.clear();
                    partition.partition_epoch = partition.partition_epoch.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    fn register_broker(&mut self, record: &RegisterBrokerRecord) -> Result<(), String> {
        let mut endpoints = Map::new();
        for register_broker_record::BrokerEndpoint { name, host, port, security_protocol } in &record.end_points {
            endpoints.insert(name.clone(), endpoint(name, host, *port, *security_protocol)?);
        }
        let features = record
            .features
            .iter()
            .map(|it| (it.name.clone(), VersionRange { min: it.min_supported_version, max: it.max_supported_version }));
        let broker = BrokerImage {
            id: NodeId(record.broker_id),
            epoch: record.broker_epoch,
            incarnation: record.incarnation_id,
            endpoints,
            features: features.collect(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            directories: record.log_dirs.clone(),
            cordoned_directories: record.cordoned_log_dirs.clone(),
        };
        self.brokers.insert(broker.id, broker);
        Ok(())
    }

    fn broker_at(&mut self, id: i32, epoch: i64) -> Result<&mut BrokerImage, String> {
        match self.brokers.get_mut(&NodeId(id)) {
            Some(broker) if broker.epoch == epoch => Ok(broker),
            Some(broker) => Err(format!("broker {id} is registered with epoch {}, not {epoch}", broker.epoch)),
            None => Err(format!("broker {id} is not registered")),
        }
    }

    fn fence(&mut self, id: i32, epoch: i64, fenced: bool) -> Result<(), String> {
        self.broker_at(id, epoch)?.fenced = fenced;
        Ok(())
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), String> {
        let fenced = match record.fenced {
            -1 => Some(false),
            0 => None,
            1 => Some(true),
            other => return Err(format!("unknown value {other} of Fenced")),
        };
        let stopping = match record.in_controlled_shutdown {
            0 => None,
            1 => Some(true),
            other => return Err(format!("unknown value {other} of InControlledShutdown")),
        };
        let broker = self.broker_at(record.broker_id, record.broker_epoch)?;
        broker.fenced = fenced.unwrap_or(broker.fenced);
        broker.in_controlled_shutdown = stopping.unwrap_or(broker.in_controlled_shutdown);
        if !record.log_dirs.is_empty() {
            broker.directories.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker.cordoned_directories.clone_from(&record.cordoned_log_dirs);
        }
        Ok(())
    }

    fn register_controller(&mut self, record: &RegisterControllerRecord) -> Result<(), String> {
        let mut endpoints = Map::new();
        for register_controller_record::ControllerEndpoint { name, host, port, security_protocol } in &record.end_points
        {
            endpoints.insert(name.clone(), endpoint(name, host, *port, *security_protocol)?);
        }
        let features = record
            .features
            .iter()
            .map(|it| (it.name.clone(), VersionRange { min: it.min_supported_version, max: it.max_supported_version }));
        let id = NodeId(record.controller_id);
        let controller =
            ControllerImage { id, incarnation: record.incarnation_id, endpoints, features: features.collect() };
        self.controllers.insert(id, controller);
        Ok(())
    }

    fn configure(&mut self, record: &ConfigRecord) -> Result<(), String> {
        let Some(kind) = ResourceType::from_id(record.resource_type) else {
            return Err(format!("unknown resource type {}", record.resource_type));
        };
        let resource = Resource { kind, name: record.resource_name.clone() };
        let mut settings = self.configs.get(&resource).cloned().unwrap_or_default();
        match &record.value {
            Some(value) => settings.insert(record.name.clone(), value.clone()),
            None => settings.remove(&record.name),
        };
        // No empty map is kept: two images are equal when they say the same.
        if settings.is_empty() {
            self.configs.remove(&resource);
        } else {
            self.configs.insert(resource, settings);
        }
        Ok(())
    }

    fn finalize(&mut self, record: &FeatureLevelRecord) -> Result<(), String> {
        if record.feature_level == 0 {
            self.features.remove(&record.name);
        } else {
            self.features.insert(record.name.clone(), record.feature_level);
        }
        Ok(())
    }

    fn allocate_producer_ids(&mut self, next: i64) -> Result<(), String> {
        if next <= self.producer_ids_end {
            return Err(format!("the next producer id {next} is not above {}", self.producer_ids_end));
        }
        self.producer_ids_end = next;
        Ok(())
    }
}

fn no_topic(id: Uuid) -> String {
    format!("no topic has the id {id}")
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn leader(id: i32) -> Option<NodeId> {
    (id >= 0).then_some(NodeId(id))
}

fn directories(ids: &[Uuid], replicas: usize) -> Result<Vec<Uuid>, String> {
    match ids.len() {
        0 => Ok(vec![MIGRATING; replicas]),
        count if count == replicas => Ok(ids.to_vec()),
        count => Err(format!("{count} directories for {replicas} replicas")),
    }
}

fn endpoint(name: &str, host: &Str, port: u16, security: i16) -> Result<Endpoint, String> {
    let security = SecurityProtocol::from_id(security)
        .ok_or_else(|| format!("unknown security protocol {security} of listener {name}"))?;
    Ok(Endpoint { host: host.clone(), port, security })
}
