//! Moving replicas (KIP-455): old and new ones side by side until all that are new are in sync.

use ordered::Set;

use protocol::NodeId;
use protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ErrorCode,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, MetadataRecord, ResponseBody,
};

use super::change::{Change, Election};
use super::election::of_partition;
use super::partitions::{self, Directories};
use super::{Controller, MAX_RECORDS_PER_DECISION, Outcome};
use crate::config::Config;
use crate::image::{Image, PartitionImage, TopicImage};
use crate::refusal::Refusal;

impl Controller {
    /// AlterPartitionReassignments, versions 0 and 1 (KIP-860).
    pub fn decide_alter_partition_reassignments(
        &self,
        config: &Config,
        request: &AlterPartitionReassignmentsRequest,
    ) -> Outcome {
        let mut records = Vec::new();
        let mut directories = Directories::new(self.image());
        let mut responses = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let altered = if records.len() >= MAX_RECORDS_PER_DECISION {
                    Err(Refusal::of(ErrorCode::PolicyViolation))
                } else {
                    self.reassign(config, &topic.name, asked, request.allow_replication_factor_change, &mut directories)
                };
                let mut result = ReassignablePartitionResponse {
                    partition_index: asked.partition_index,
                    ..ReassignablePartitionResponse::default()
                };
                match altered {
                    Ok(record) => records.extend(record),
                    Err(refusal) => {
                        result.error_code = refusal.code.code();
                        result.error_message = Some(refusal.message);
                    }
                }
                partitions.push(result);
            }
            responses.push(ReassignableTopicResponse { name: topic.name.clone(), partitions });
        }
        let reply = AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            error_message: None,
            responses,
            ..AlterPartitionReassignmentsResponse::default()
        };
        Outcome { records, reply: ResponseBody::AlterPartitionReassignments(reply) }
    }

    fn reassign(
        &self,
        config: &Config,
        name: &str,
        asked: &ReassignablePartition,
        may_change_factor: bool,
        directories: &mut Directories<'_>,
    ) -> Result<Option<MetadataRecord>, Refusal> {
        let unknown = |what: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, what);
        let index = asked.partition_index;
        let topic = self.image().topic(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
        let partition =
            topic.partitions.get(&index).ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
        let of_topic = self.topic_rules(config, topic);
        let mut change = Change::new(partition, self.rules(), of_topic.min_isr);
        match &asked.replicas {
            None => {
                if of_topic.unclean {
                    change.election = Election::Unclean;
                }
                cancel(&mut change, topic, index, partition, of_topic.unclean)?;
            }
            Some(replicas) => {
                let target: Vec<NodeId> = replicas.iter().copied().map(NodeId).collect();
                partitions::check_assignment(self.image(), &target, None)?;
                if !may_change_factor {
                    check_factor(partition, target.len())?;
                }
                begin(&mut change, partition, target);
            }
        }
        let record = change.record(&|node| self.may_lead(node, partition), &mut |node| directories.choose(node));
        Ok(record.map(|record| of_partition(topic.id, index, record)))
    }
}

/// All that are wanted first, those that go behind them.
fn begin(change: &mut Change<'_>, partition: &PartitionImage, target: Vec<NodeId>) {
    // In order of id, as in Kafka.
    let removing: Set<NodeId> = partition.replicas.iter().copied().filter(|it| !target.contains(it)).collect();
    let adding: Set<NodeId> = target.iter().copied().filter(|it| !partition.replicas.contains(it)).collect();
    change.replicas = target;
    change.replicas.extend(removing.iter().copied());
    // What an earlier reassignment was about stays on its way, as in Kafka, unless this one says otherwise.
    if !removing.is_empty() {
        change.removing = removing.into_iter().collect();
    }
    if !adding.is_empty() {
        change.adding = adding.into_iter().collect();
    }
}

/// Back to how it was.
fn cancel(
    change: &mut Change<'_>,
    topic: &TopicImage,
    index: i32,
    partition: &PartitionImage,
    is_unclean_allowed: bool,
) -> Result<(), Refusal> {
    if !is_moving(partition) {
        return Err(Refusal::of(ErrorCode::NoReassignmentInProgress));
    }
    let stays = |it: &NodeId| !partition.adding_replicas.contains(it);
    change.replicas = partition.replicas.iter().copied().filter(stays).collect();
    change.isr = partition.isr.iter().copied().filter(stays).collect();
    if change.isr.is_empty() {
        let Some(first) = change.replicas.first().copied() else {
            let what = "Invalid replica assignment: addingReplicas contains all replicas.";
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, what));
        };
        if !is_unclean_allowed {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "Unable to revert partition assignment for {}:{index} because it would require an unclean leader election.",
                    topic.name
                ),
            ));
        }
        change.isr = vec![first];
    }
    change.adding.clear();
    change.removing.clear();
    Ok(())
}

fn check_factor(partition: &PartitionImage, wanted: usize) -> Result<(), Refusal> {
    // Once a reassignment in progress is done, there are so many.
    let all: Set<NodeId> = partition.replicas.iter().chain(&partition.adding_replicas).copied().collect();
    let present = all.iter().filter(|it| !partition.removing_replicas.contains(it)).count();
    if present == wanted {
        return Ok(());
    }
    let what = format!("The replication factor is changed from {present} to {wanted}");
    Err(Refusal::new(ErrorCode::InvalidReplicationFactor, what))
}

fn is_moving(partition: &PartitionImage) -> bool {
    !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty()
}

/// ListPartitionReassignments, version 0: what is on its way, of all topics or of those that are named.
pub fn ongoing_reassignments(
    image: &Image,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let mut topics = Vec::new();
    let mut add = |topic: &TopicImage, indexes: &mut dyn Iterator<Item = i32>| {
        let moving = indexes.filter_map(|index| {
            let partition = topic.partitions.get(&index).filter(|it| is_moving(it))?;
            let ids = |nodes: &[NodeId]| nodes.iter().map(|it| it.0).collect();
            Some(OngoingPartitionReassignment {
                partition_index: index,
                replicas: ids(&partition.replicas),
                adding_replicas: ids(&partition.adding_replicas),
                removing_replicas: ids(&partition.removing_replicas),
            })
        });
        let partitions: Vec<OngoingPartitionReassignment> = moving.collect();
        if !partitions.is_empty() {
            topics.push(OngoingTopicReassignment { name: topic.name.clone(), partitions });
        }
    };
    match &request.topics {
        None => {
            for topic in image.topics() {
                add(topic, &mut topic.partitions.keys().copied());
            }
        }
        Some(asked) => {
            for asked in asked {
                if let Some(topic) = image.topic(&asked.name) {
                    add(topic, &mut asked.partition_indexes.iter().copied());
                }
            }
        }
    }
    ListPartitionReassignmentsResponse { topics, error_message: None, ..Default::default() }
}
