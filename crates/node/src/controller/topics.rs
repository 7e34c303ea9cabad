//! Creating and deleting topics.

use ordered::{Map, Set};

use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, ErrorCode, MetadataRecord,
    PartitionRecord, RemoveTopicRecord, ResponseBody, TopicRecord,
};
use protocol::{NodeId, Str, Uuid};

use super::configs::{self, Origin};
use super::partitions::{self, Directories, Replicas};
use super::{Controller, Outcome, placement, times};
use crate::config::{Config, TOPIC_KEYS};
use crate::image::{Image, Resource};
use crate::refusal::Refusal;
use protocol::Random;

/// The most partitions that one request may create, as in Kafka.
const MAX_PARTITIONS_PER_BATCH: usize = 10_000;
/// The metadata log's own name; no client can create or delete it.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";
/// Topics of the coordinators.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// True for the topics in which coordinators keep their state.
pub fn is_internal(topic: &str) -> bool {
    INTERNAL_TOPICS.contains(&topic)
}

/// Kafka's rules for a topic's name.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let why = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        // Kafka counts UTF-16 units; a name with others than ASCII is refused either way.
        _ if name.chars().count() > 249 => format!("the length of '{name}' is longer than the max allowed length 249"),
        _ if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) => {
            format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
        }
        _ => return Ok(()),
    };
    Err(Refusal::new(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {why}")))
}

impl Controller {
    /// CreateTopics, versions 2 to 7.
    pub fn decide_create_topics(&self, config: &Config, random: &mut Random, request: &CreateTopicsRequest) -> Outcome {
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(request.topics.len());
        if let Err(refusal) = total_partitions(config, &request.topics) {
            let refused = request.topics.iter().map(|topic| refused(&topic.name, &refusal));
            return reply(Vec::new(), refused.collect());
        }
        let mut plan = Plan::new(self.image(), config, random);
        let mut times = times(request.topics.iter().map(|topic| &topic.name));
        for topic in &request.topics {
            // Taken out by the first of those that are alike.
            let created = match times.remove(&&topic.name) {
                None => continue,
                Some(1) => plan.create(topic),
                Some(_) => Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.")),
            };
            match created {
                Ok((mut created, result)) => {
                    records.append(&mut created);
                    results.push(result);
                }
                Err(refusal) => results.push(refused(&topic.name, &refusal)),
            }
        }
        if request.validate_only {
            records.clear();
        }
        reply(records, results)
    }

    /// The topics that a client asked for and that may be created on the spot, with the defaults for everything. Names
    /// that cannot be created are left out: who asked is told that they do not exist.
    pub fn decide_auto_create(&self, config: &Config, random: &mut Random, names: &[Str]) -> Vec<MetadataRecord> {
        let mut plan = Plan::new(self.image(), config, random);
        let mut records = Vec::new();
        for name in names {
            let topic = CreatableTopic {
                name: name.clone(),
                num_partitions: -1,
                replication_factor: -1,
                ..CreatableTopic::default()
            };
            if let Ok((mut created, _)) = plan.create(&topic) {
                records.append(&mut created);
            }
        }
        records
    }

    /// DeleteTopics, versions 1 to 6: by name, since version 6 also by id.
    pub fn decide_delete_topics(&self, config: &Config, version: i16, request: &DeleteTopicsRequest) -> Outcome {
        let named = request.topic_names.iter().map(|name| (Some(name.clone()), Uuid::ZERO));
        let listed = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
        let asked: Vec<(Option<Str>, Uuid)> = named.chain(listed).collect();
        let mut responses = Vec::with_capacity(asked.len());
        let mut records = Vec::new();
        let mut removed: Set<Uuid> = Set::new();
        let mut times = times(asked.iter().map(|(name, id)| (name, *id)));
        for (name, id) in &asked {
            // Taken out by the first of those that are alike.
            let times = times.remove(&(name, *id));
            let outcome = match times {
                _ if !config.delete_topic_enable => Err(deletion_disabled(version)),
                None => continue,
                Some(times) => self.deletable(name.as_ref(), *id, times > 1),
            };
            let mut result = DeletableTopicResult { name: name.clone(), topic_id: *id, ..Default::default() };
            match outcome {
                Ok((name, id)) => {
                    (result.name, result.topic_id) = (Some(name), id);
                    if removed.insert(id) {
                        records.push(RemoveTopicRecord { topic_id: id }.into());
                    } else {
                        records.retain(|record| *record != MetadataRecord::from(RemoveTopicRecord { topic_id: id }));
                        let what = "The provided topic name maps to an ID that was already supplied.";
                        set(&mut result, &Refusal::new(ErrorCode::InvalidRequest, what));
                    }
                }
                Err(refusal) => set(&mut result, &refusal),
            }
            responses.push(result);
        }
        Outcome {
            records,
            reply: ResponseBody::DeleteTopics(DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }),
        }
    }

    fn deletable(&self, name: Option<&Str>, id: Uuid, is_repeated: bool) -> Result<(Str, Uuid), Refusal> {
        let invalid = |what: &str| Err(Refusal::new(ErrorCode::InvalidRequest, what));
        match name {
            Some(_) if !id.is_zero() => invalid("You may not specify both topic name and topic id."),
            None if id.is_zero() => invalid("Neither topic name nor id were specified."),
            Some(_) if is_repeated => invalid("Duplicate topic name."),
            None if is_repeated => invalid("Duplicate topic id."),
            Some(name) => {
                let topic = self.image().topic(name).ok_or(Refusal::of(ErrorCode::UnknownTopicOrPartition))?;
                Ok((topic.name.clone(), topic.id))
            }
            None => {
                let topic = self.image().topic_by_id(id).ok_or(Refusal::of(ErrorCode::UnknownTopicId))?;
                Ok((topic.name.clone(), topic.id))
            }
        }
    }
}

/// Several topics at once: each sees the names of those before it.
struct Plan<'a> {
    image: &'a Image,
    config: &'a Config,
    random: &'a mut Random,
    directories: Directories<'a>,
    /// Names created by this very request, by what they would be called in metrics.
    collisions: Map<String, Str>,
}

impl<'a> Plan<'a> {
    fn new(image: &'a Image, config: &'a Config, random: &'a mut Random) -> Plan<'a> {
        Plan { image, config, random, directories: Directories::new(image), collisions: Map::new() }
    }

    fn create(&mut self, topic: &CreatableTopic) -> Result<(Vec<MetadataRecord>, CreatableTopicResult), Refusal> {
        if topic.name == CLUSTER_METADATA_TOPIC {
            return Err(Refusal::new(
                ErrorCode::InvalidRequest,
                format!("Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited."),
            ));
        }
        check_name(&topic.name)?;
        if self.image.topic(&topic.name).is_some() {
            let what = format!("Topic '{}' already exists.", topic.name);
            return Err(Refusal::new(ErrorCode::TopicAlreadyExists, what));
        }
        self.check_collision(&topic.name)?;
        let settings = settings(topic)?;
        configs::check_topic(&settings)?;
        let replicas = self.assign(topic)?;
        let id = self.random.uuid();
        if topic.name.contains(['.', '_']) {
            self.collisions.insert(unified(&topic.name), topic.name.clone());
        }
        let mut records: Vec<MetadataRecord> = vec![TopicRecord { name: topic.name.clone(), topic_id: id }.into()];
        let resource = Resource::topic(&topic.name);
        records.extend(settings.iter().map(|(key, value)| configs::record(&resource, key, Some(value.clone()))));
        for (index, partition) in replicas.iter().enumerate() {
            records.push(partition_record(id, index, partition)?.into());
        }
        let result = CreatableTopicResult {
            name: topic.name.clone(),
            topic_id: id,
            // The schema's default is the empty string, Kafka's answer is null.
            error_message: None,
            num_partitions: i32::try_from(replicas.len()).unwrap_or(i32::MAX),
            replication_factor: replicas.first().map_or(-1, |it| i16::try_from(it.nodes.len()).unwrap_or(i16::MAX)),
            configs: Some(self.shown(&settings)),
            ..CreatableTopicResult::default()
        };
        Ok((records, result))
    }

    /// Metrics write `.` as `_`, so two such names must not differ in that alone.
    fn check_collision(&self, name: &Str) -> Result<(), Refusal> {
        if !name.contains(['.', '_']) {
            return Ok(());
        }
        let unified_name = unified(name);
        let existing = || self.image.topics().map(|it| &it.name).find(|it| unified(it) == unified_name);
        match self.collisions.get(&unified_name).or_else(existing) {
            Some(other) => Err(Refusal::new(
                ErrorCode::InvalidTopicException,
                format!("Topic '{name}' collides with existing topic: {other}"),
            )),
            None => Ok(()),
        }
    }

    fn assign(&mut self, topic: &CreatableTopic) -> Result<Vec<Replicas>, Refusal> {
        if !topic.assignments.is_empty() {
            return self.assign_by_hand(topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            return Err(Refusal::new(
                ErrorCode::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            ));
        }
        let partitions = if topic.num_partitions == -1 { self.config.num_partitions } else { topic.num_partitions };
        let factor = if topic.replication_factor == -1 {
            self.config.default_replication_factor
        } else {
            topic.replication_factor
        };
        let unable = |why: String| {
            let what = format!("Unable to replicate the partition {factor} time(s): {why}");
            Refusal::new(ErrorCode::InvalidReplicationFactor, what)
        };
        let count = usize::try_from(partitions).unwrap_or(0);
        let placed = placement::place(self.image, count, factor, self.random).map_err(unable)?;
        placed
            .into_iter()
            .map(|nodes| {
                let isr = partitions::active(self.image, &nodes);
                if isr.is_empty() {
                    return Err(unable("All brokers are currently fenced or in controlled shutdown.".into()));
                }
                Ok(Replicas::new(&mut self.directories, nodes, isr))
            })
            .collect()
    }

    fn assign_by_hand(&mut self, topic: &CreatableTopic) -> Result<Vec<Replicas>, Refusal> {
        let invalid = |what: &str| Err(Refusal::new(ErrorCode::InvalidRequest, what));
        if topic.replication_factor != -1 {
            return invalid("A manual partition assignment was specified, but replication factor was not set to -1.");
        }
        if topic.num_partitions != -1 {
            return invalid("A manual partition assignment was specified, but numPartitions was not set to -1.");
        }
        let mut by_index = Map::new();
        let mut factor = None;
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            if by_index.contains_key(&index) {
                return Err(Refusal::new(
                    ErrorCode::InvalidReplicaAssignment,
                    format!("Found multiple manual partition assignments for partition {index}"),
                ));
            }
            let nodes: Vec<NodeId> = assignment.broker_ids.iter().copied().map(NodeId).collect();
            partitions::check_assignment(self.image, &nodes, factor)?;
            factor = Some(nodes.len());
            let isr = partitions::active(self.image, &nodes);
            if isr.is_empty() {
                return Err(Refusal::new(
                    ErrorCode::InvalidReplicaAssignment,
                    format!(
                        "All brokers specified in the manual partition assignment for partition {index} are fenced or in \
                         controlled shutdown."
                    ),
                ));
            }
            by_index.insert(index, Replicas::new(&mut self.directories, nodes, isr));
        }
        if by_index.keys().copied().ne(0..by_index.len() as i32) {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicaAssignment,
                "partitions should be a consecutive 0-based integer sequence",
            ));
        }
        Ok(by_index.into_values().collect())
    }

    /// The effective settings that a new topic will have (KIP-525).
    fn shown(&self, settings: &Map<Str, Str>) -> Vec<CreatableTopicConfigs> {
        let keys = TOPIC_KEYS.iter().filter(|it| !it.internal || settings.contains_key(it.name));
        keys.map(|definition| {
            let (value, source) = match settings.get(definition.name) {
                Some(value) => (Some(value.clone()), Origin::Topic),
                None => configs::inherited(self.config, self.image, definition),
            };
            CreatableTopicConfigs {
                name: Str::from_static(definition.name),
                value,
                read_only: false,
                config_source: source.id(),
                is_sensitive: definition.sensitive(),
            }
        })
        .collect()
    }
}

fn settings(topic: &CreatableTopic) -> Result<Map<Str, Str>, Refusal> {
    let nulls: Vec<&str> = topic.configs.iter().filter(|it| it.value.is_none()).map(|it| it.name.as_str()).collect();
    if !nulls.is_empty() {
        return Err(Refusal::new(
            ErrorCode::InvalidConfig,
            format!("Null value not supported for topic configs: {}", nulls.join(",")),
        ));
    }
    Ok(topic.configs.iter().filter_map(|it| Some((it.name.clone(), it.value.clone()?))).collect())
}

fn partition_record(topic_id: Uuid, index: usize, replicas: &Replicas) -> Result<PartitionRecord, Refusal> {
    let index = i32::try_from(index).map_err(|_| Refusal::of(ErrorCode::InvalidPartitions))?;
    Ok(partitions::record(topic_id, index, replicas))
}

fn total_partitions(config: &Config, topics: &[CreatableTopic]) -> Result<(), Refusal> {
    let mut total = 0usize;
    for topic in topics {
        let count = match topic.num_partitions {
            _ if !topic.assignments.is_empty() => topic.assignments.len(),
            -1 => usize::try_from(config.num_partitions).unwrap_or(0),
            count => usize::try_from(count).unwrap_or(0),
        };
        total = total.saturating_add(count);
        if total > MAX_PARTITIONS_PER_BATCH {
            return Err(Refusal::new(
                ErrorCode::PolicyViolation,
                "Excessively large number of partitions per request.",
            ));
        }
    }
    Ok(())
}

fn unified(name: &str) -> String {
    name.replace('.', "_")
}

fn deletion_disabled(version: i16) -> Refusal {
    if version < 3 {
        Refusal::new(ErrorCode::InvalidRequest, "This version does not support topic deletion.")
    } else {
        Refusal::of(ErrorCode::TopicDeletionDisabled)
    }
}

fn refused(name: &Str, refusal: &Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: refusal.code.code(),
        error_message: Some(refusal.message.clone()),
        ..CreatableTopicResult::default()
    }
}

fn set(result: &mut DeletableTopicResult, refusal: &Refusal) {
    result.error_code = refusal.code.code();
    result.error_message = Some(refusal.message.clone());
}

fn reply(records: Vec<MetadataRecord>, topics: Vec<CreatableTopicResult>) -> Outcome {
    let reply = ResponseBody::CreateTopics(CreateTopicsResponse { topics, ..CreateTopicsResponse::default() });
    Outcome { records, reply }
}
