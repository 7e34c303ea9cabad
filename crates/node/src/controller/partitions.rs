//! New partitions: their replicas, and more of them for a topic.

use ordered::Map;

use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, ErrorCode, MetadataRecord, PartitionRecord, ResponseBody,
};
use protocol::{NodeId, Uuid};

use super::{Controller, MAX_RECORDS_PER_DECISION, Outcome, placement, times};
use crate::image::Image;
use crate::image::directory::{MIGRATING, UNASSIGNED};
use crate::refusal::Refusal;
use protocol::Random;

/// The replicas of one new partition. Its leader is the first in sync.
pub(super) struct Replicas {
    pub(super) nodes: Vec<NodeId>,
    isr: Vec<NodeId>,
    directories: Vec<Uuid>,
}

impl Replicas {
    /// `isr` is not empty.
    pub(super) fn new(directories: &mut Directories<'_>, nodes: Vec<NodeId>, isr: Vec<NodeId>) -> Replicas {
        let directories = nodes.iter().map(|node| directories.choose(*node)).collect();
        Replicas { nodes, isr, directories }
    }
}

/// Chooses the log directories of new replicas: on each broker the one with the fewest.
///
/// Apache Kafka leaves a broker with several directories to choose by itself and tell the controller (KIP-858,
/// AssignReplicasToDirs). A choice made here is a record that it understands as well, and needs no second round.
pub(super) struct Directories<'a> {
    image: &'a Image,
    /// How many replicas there are in each directory, of the brokers that have a choice.
    load: Map<NodeId, Vec<(Uuid, usize)>>,
}

impl<'a> Directories<'a> {
    pub(super) fn new(image: &'a Image) -> Directories<'a> {
        let mut load = Map::new();
        for broker in image.brokers().filter(|broker| broker.directories.len() > 1) {
            let cordoned = broker.cordoned_directories.as_deref().unwrap_or_default();
            let open = broker.directories.iter().filter(|it| !cordoned.contains(it));
            load.insert(broker.id, open.map(|it| (*it, 0)).collect::<Vec<_>>());
        }
        let mut directories = Directories { image, load };
        if !directories.load.is_empty() {
            for partition in image.topics().flat_map(|topic| topic.partitions.values()) {
                for (node, directory) in partition.replicas.iter().zip(&partition.directories) {
                    directories.count(*node, *directory);
                }
            }
        }
        directories
    }

    fn count(&mut self, node: NodeId, directory: Uuid) {
        let found = self.load.get_mut(&node).and_then(|load| load.iter_mut().find(|it| it.0 == directory));
        if let Some((_, count)) = found {
            *count += 1;
        }
    }

    pub(super) fn choose(&mut self, node: NodeId) -> Uuid {
        // The first of those with the fewest: the order is that of `log.dirs`.
        let emptiest = self.load.get(&node).and_then(|load| load.iter().min_by_key(|it| it.1)).map(|it| it.0);
        if let Some(directory) = emptiest {
            self.count(node, directory);
            return directory;
        }
        match self.image.broker(node).map(|broker| broker.directories.as_slice()) {
            Some([]) => MIGRATING,
            Some([only]) => *only,
            _ => UNASSIGNED,
        }
    }
}

/// Those of the nodes that can be in sync at once.
pub(super) fn active(image: &Image, nodes: &[NodeId]) -> Vec<NodeId> {
    nodes.iter().copied().filter(|node| image.is_active(*node)).collect()
}

/// The record of a new partition.
pub(super) fn record(topic_id: Uuid, partition_id: i32, replicas: &Replicas) -> PartitionRecord {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<i32>>();
    PartitionRecord {
        partition_id,
        topic_id,
        replicas: ids(&replicas.nodes),
        isr: ids(&replicas.isr),
        leader: replicas.isr[0].0,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: replicas.directories.clone(),
        ..PartitionRecord::default()
    }
}

/// False for a broker all of whose log directories are cordoned (KIP-1066).
pub(super) fn has_room(image: &Image, node: NodeId) -> bool {
    let Some(broker) = image.broker(node) else { return true };
    let cordoned = broker.cordoned_directories.as_deref().unwrap_or_default();
    broker.directories.is_empty() || broker.directories.iter().any(|it| !cordoned.contains(it))
}

/// Kafka's rules for replicas that a person chose.
pub(super) fn check_assignment(image: &Image, nodes: &[NodeId], factor: Option<usize>) -> Result<(), Refusal> {
    let invalid = |what: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, what));
    if nodes.is_empty() {
        return invalid("The manual partition assignment includes an empty replica list.".into());
    }
    let mut sorted = nodes.to_vec();
    ordered::sort(&mut sorted);
    for (index, node) in sorted.iter().enumerate() {
        if image.broker(*node).is_none() {
            return invalid(format!(
                "The manual partition assignment includes broker {node}, but no such broker is registered."
            ));
        }
        if !has_room(image, *node) {
            return invalid(format!(
                "The manual partition assignment includes broker {node}, but all its log directories are cordoned."
            ));
        }
        if index > 0 && sorted[index - 1] == *node {
            return invalid(format!("The manual partition assignment includes the broker {node} more than once."));
        }
    }
    match factor {
        Some(factor) if factor != nodes.len() => invalid(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous \
             partitions, which have {factor} replica(s).",
            nodes.len()
        )),
        _ => Ok(()),
    }
}

impl Controller {
    /// CreatePartitions, versions 0 to 3.
    pub fn decide_create_partitions(&self, random: &mut Random, request: &CreatePartitionsRequest) -> Outcome {
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(request.topics.len());
        let mut directories = Directories::new(self.image());
        let mut times = times(request.topics.iter().map(|topic| &topic.name));
        for topic in &request.topics {
            // Taken out by the first of those that are alike.
            let Some(times) = times.remove(&&topic.name) else { continue };
            let outcome = if times > 1 {
                Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
            } else {
                self.add_partitions(random, &mut directories, topic, MAX_RECORDS_PER_DECISION - records.len())
            };
            let mut result = CreatePartitionsTopicResult { name: topic.name.clone(), ..Default::default() };
            match outcome {
                Ok(mut added) => records.append(&mut added),
                Err(refusal) => {
                    result.error_code = refusal.code.code();
                    result.error_message = Some(refusal.message);
                }
            }
            results.push(result);
        }
        if request.validate_only {
            records.clear();
        }
        let reply = CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() };
        Outcome { records, reply: ResponseBody::CreatePartitions(reply) }
    }

    fn add_partitions(
        &self,
        random: &mut Random,
        directories: &mut Directories<'_>,
        asked: &CreatePartitionsTopic,
        room: usize,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let image = self.image();
        let topic = image.topic(&asked.name).ok_or(Refusal::of(ErrorCode::UnknownTopicOrPartition))?;
        let present = topic.partitions.len();
        let wanted = usize::try_from(asked.count).unwrap_or(0);
        if wanted == present {
            let what = format!("Topic already has {present} partition(s).");
            return Err(Refusal::new(ErrorCode::InvalidPartitions, what));
        }
        if wanted < present {
            let what = format!(
                "The topic {} currently has {present} partition(s); {} would not be an increase.",
                asked.name, asked.count
            );
            return Err(Refusal::new(ErrorCode::InvalidPartitions, what));
        }
        let additional = wanted - present;
        if additional > room {
            return Err(Refusal::new(
                ErrorCode::PolicyViolation,
                format!(
                    "Unable to perform excessively large batch operation of more than {MAX_RECORDS_PER_DECISION} records."
                ),
            ));
        }
        let factor = topic.partitions.first_key_value().map_or(1, |(_, partition)| partition.replicas.len());
        let replicas = match &asked.assignments {
            None => self.place_additional(random, directories, additional, factor)?,
            Some(assignments) if assignments.len() != additional => {
                return Err(Refusal::new(
                    ErrorCode::InvalidReplicaAssignment,
                    format!(
                        "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                        assignments.len()
                    ),
                ));
            }
            Some(assignments) => {
                let mut replicas = Vec::with_capacity(additional);
                for (index, assignment) in assignments.iter().enumerate() {
                    let nodes: Vec<NodeId> = assignment.broker_ids.iter().copied().map(NodeId).collect();
                    check_assignment(image, &nodes, Some(factor))?;
                    let isr = active(image, &nodes);
                    if isr.is_empty() {
                        return Err(Refusal::new(
                            ErrorCode::InvalidReplicaAssignment,
                            format!(
                                "All brokers specified in the manual partition assignment for partition {} are fenced or in \
                                 controlled shutdown.",
                                present + index
                            ),
                        ));
                    }
                    replicas.push(Replicas::new(directories, nodes, isr));
                }
                replicas
            }
        };
        let first = i32::try_from(present).map_err(|_| Refusal::of(ErrorCode::InvalidPartitions))?;
        Ok((first..).zip(&replicas).map(|(index, replicas)| record(topic.id, index, replicas).into()).collect())
    }

    fn place_additional(
        &self,
        random: &mut Random,
        directories: &mut Directories<'_>,
        count: usize,
        factor: usize,
    ) -> Result<Vec<Replicas>, Refusal> {
        let image = self.image();
        let invalid = |what: String| Refusal::new(ErrorCode::InvalidReplicationFactor, what);
        let narrow = i16::try_from(factor).map_err(|_| invalid(format!("Invalid replication factor {factor}")))?;
        let placed = placement::place(image, count, narrow, random).map_err(invalid)?;
        placed
            .into_iter()
            .map(|nodes| {
                let isr = active(image, &nodes);
                if isr.is_empty() {
                    return Err(invalid(format!(
                        "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or in controlled \
                         shutdown."
                    )));
                }
                Ok(Replicas::new(directories, nodes, isr))
            })
            .collect()
    }
}
