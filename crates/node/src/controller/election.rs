//! Who leads a partition when brokers come and go, when a directory is lost, when a person asks, and now and then.

use protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use protocol::messages::{
    ElectLeadersRequest, ElectLeadersResponse, ErrorCode, MetadataRecord, PartitionChangeRecord, ResponseBody,
};
use protocol::{NodeId, Str, Uuid};

use super::change::{Change, Election, Rules};
use super::{Controller, MAX_RECORDS_PER_DECISION, Outcome, features};
use crate::config::{Config, Past};
use crate::image::directory::UNASSIGNED;
use crate::image::{PartitionImage, TopicImage};
use crate::refusal::Refusal;

/// The most leaders that are moved back, or chosen uncleanly, at a time, as in Kafka.
pub(crate) const MAX_ELECTIONS: usize = 1_000;
/// `ElectLeadersRequest.ElectionType`: back to the first replica.
const PREFERRED: i8 = 0;
/// `ElectLeadersRequest.ElectionType`: anyone alive.
const UNCLEAN: i8 = 1;

/// What happened to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It can no longer lead, nor be in sync.
    Leaves(NodeId),
    /// It is alive again, though the image does not say so yet.
    Joins(NodeId),
    /// It came back without what it had not synced.
    Forgot(NodeId),
}

/// What is the same for all partitions of a topic.
pub(super) struct TopicRules {
    pub(super) min_isr: usize,
    pub(super) unclean: bool,
}

impl Controller {
    /// The changes of leaders and ISRs that a broker's turn brings to the partitions that `touches` picks.
    pub(super) fn turn(
        &self,
        config: &Config,
        turn: Turn,
        touches: impl Fn(&PartitionImage) -> bool,
    ) -> Vec<MetadataRecord> {
        self.turn_of(config, turn, &|_: &TopicImage, _: i32, partition: &PartitionImage| touches(partition))
    }

    /// As [`Controller::turn`], where the partition's name counts too.
    pub(super) fn turn_of(
        &self,
        config: &Config,
        turn: Turn,
        touches: &dyn Fn(&TopicImage, i32, &PartitionImage) -> bool,
    ) -> Vec<MetadataRecord> {
        let image = self.image();
        let rules = self.rules();
        let (gone, back) = match turn {
            Turn::Leaves(broker) | Turn::Forgot(broker) => (Some(broker), None),
            Turn::Joins(broker) => (None, Some(broker)),
        };
        let mut records = Vec::new();
        for topic in image.topics() {
            let mut topic_rules = None;
            for (index, partition) in topic.partitions.iter() {
                if !touches(topic, *index, partition) {
                    continue;
                }
                let of_topic = topic_rules.get_or_insert_with(|| self.topic_rules(config, topic));
                let mut change = Change::new(partition, rules, of_topic.min_isr);
                change.isr.retain(|it| gone != Some(*it));
                if of_topic.unclean {
                    change.election = Election::Unclean;
                }
                if let Turn::Forgot(broker) = turn {
                    change.forgetful = Some(broker);
                }
                let may_lead = |node: NodeId| {
                    gone != Some(node)
                        && (back == Some(node) || image.is_active(node))
                        && image.has_directory(node, partition)
                };
                if let Some(record) = change.record(&may_lead, &mut nowhere) {
                    records.push(of_partition(topic.id, *index, record));
                }
            }
        }
        records
    }

    /// A broker can no longer lead, nor be in sync.
    pub(super) fn leave_partitions(&self, config: &Config, broker: NodeId) -> Vec<MetadataRecord> {
        self.turn(config, Turn::Leaves(broker), |it| it.isr.contains(&broker))
    }

    /// A broker can lead again: it takes the partitions that nobody leads and that it may.
    pub(super) fn join_partitions(&self, config: &Config, broker: NodeId) -> Vec<MetadataRecord> {
        self.turn(config, Turn::Joins(broker), |it| it.leader.is_none())
    }

    /// True if the broker leads any partition.
    pub(super) fn leads_any(&self, broker: NodeId) -> bool {
        self.image().topics().any(|topic| topic.partitions.values().any(|it| it.leader == Some(broker)))
    }

    /// ElectLeaders, versions 0 to 2 (KIP-460).
    pub fn decide_elect_leaders(&self, config: &Config, request: &ElectLeadersRequest) -> Outcome {
        let mut reply = ElectLeadersResponse::default();
        let mut records = Vec::new();
        let election = match request.election_type {
            PREFERRED => Election::Preferred,
            UNCLEAN => Election::Unclean,
            _ => {
                reply.error_code = ErrorCode::InvalidRequest.code();
                return Outcome { records, reply: ResponseBody::ElectLeaders(reply) };
            }
        };
        let mut elect = |name: &Str, index: i32| match self.elect(config, name, index, election) {
            Ok(_) if records.len() >= MAX_RECORDS_PER_DECISION => Some(Refusal::of(ErrorCode::PolicyViolation)),
            Ok(record) => {
                records.push(record);
                None
            }
            Err(refusal) => Some(refusal),
        };
        let result = |index, refusal: Option<Refusal>| PartitionResult {
            partition_id: index,
            error_code: refusal.as_ref().map_or(ErrorCode::None, |it| it.code).code(),
            error_message: refusal.map(|it| it.message),
        };
        match &request.topic_partitions {
            // Everything: those that need no election are left out.
            None => {
                for topic in self.image().topics() {
                    let mut partitions = Vec::new();
                    for index in topic.partitions.keys() {
                        let refusal = elect(&topic.name, *index);
                        if refusal.as_ref().is_none_or(|it| it.code != ErrorCode::ElectionNotNeeded) {
                            partitions.push(result(*index, refusal));
                        }
                    }
                    let topic = topic.name.clone();
                    reply.replica_election_results.push(ReplicaElectionResult { topic, partition_result: partitions });
                }
            }
            Some(topics) => {
                for topic in topics {
                    let partitions = topic.partitions.iter().map(|index| result(*index, elect(&topic.topic, *index)));
                    let partition_result = partitions.collect();
                    let topic = topic.topic.clone();
                    reply.replica_election_results.push(ReplicaElectionResult { topic, partition_result });
                }
            }
        }
        Outcome { records, reply: ResponseBody::ElectLeaders(reply) }
    }

    fn elect(&self, config: &Config, name: &Str, index: i32, election: Election) -> Result<MetadataRecord, Refusal> {
        let unknown = |what: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, what);
        let topic = self.image().topic(name).ok_or_else(|| unknown(format!("No such topic as {name}")))?;
        let partition =
            topic.partitions.get(&index).ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
        let is_needless = match election {
            Election::Preferred => {
                partition.leader.is_some() && partition.leader == partition.replicas.first().copied()
            }
            Election::Unclean | Election::Online => partition.leader.is_some(),
        };
        if is_needless {
            return Err(Refusal::of(ErrorCode::ElectionNotNeeded));
        }
        let of_topic = self.topic_rules(config, topic);
        self.electing(topic, index, partition, election, &of_topic).ok_or(Refusal::of(match election {
            Election::Preferred => ErrorCode::PreferredLeaderNotAvailable,
            Election::Unclean | Election::Online => ErrorCode::EligibleLeadersNotAvailable,
        }))
    }

    fn electing(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionImage,
        election: Election,
        of_topic: &TopicRules,
    ) -> Option<MetadataRecord> {
        let mut change = Change::new(partition, self.rules(), of_topic.min_isr);
        change.election = election;
        let record = change.record(&|node| self.may_lead(node, partition), &mut nowhere)?;
        Some(of_partition(topic.id, index, record))
    }

    /// `auto.leader.rebalance.enable`: leaders go back to the first replicas.
    pub fn decide_balance(&self, config: &Config) -> Vec<MetadataRecord> {
        let is_off = |it: &PartitionImage| {
            it.leader.is_some() && it.replicas.first().is_some_and(|first| it.leader != Some(*first))
        };
        self.elect_some(config, Election::Preferred, |it, _| is_off(it))
    }

    /// Partitions that nobody leads, of topics that would rather lose records than wait.
    pub fn decide_unclean(&self, config: &Config) -> Vec<MetadataRecord> {
        self.elect_some(config, Election::Unclean, |it, of_topic| it.leader.is_none() && of_topic.unclean)
    }

    fn elect_some(
        &self,
        config: &Config,
        election: Election,
        wants: impl Fn(&PartitionImage, &TopicRules) -> bool,
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for topic in self.image().topics() {
            let of_topic = self.topic_rules(config, topic);
            for (index, partition) in topic.partitions.iter() {
                if records.len() >= MAX_ELECTIONS {
                    return records;
                }
                if wants(partition, &of_topic) {
                    records.extend(self.electing(topic, *index, partition, election, &of_topic));
                }
            }
        }
        records
    }

    /// What a topic's settings say about its partitions' leaders. The minimum is never more than there are replicas.
    pub(super) fn topic_rules(&self, config: &Config, topic: &TopicImage) -> TopicRules {
        let settings = config.topic(self.image(), &topic.name);
        let replicas = topic.partitions.first_key_value().map_or(0, |(_, first)| first.replicas.len());
        let min_isr = usize::try_from(settings.min_insync_replicas).unwrap_or(1).min(replicas);
        TopicRules { min_isr, unclean: settings.unclean_leader_election }
    }

    pub(super) fn rules(&self) -> Rules {
        let metadata_version = self.image().feature(features::METADATA_VERSION);
        Rules {
            elr: self.image().feature(features::ELR) > 0 && self.past != Past::NoElr,
            directories: metadata_version >= features::DIRECTORIES_SINCE,
            bump_on_shrink: metadata_version < features::NO_BUMP_ON_SHRINK_SINCE,
        }
    }

    /// Alive, and the replica's directory is online.
    pub(super) fn may_lead(&self, node: NodeId, partition: &PartitionImage) -> bool {
        self.image().is_active(node) && self.image().has_directory(node, partition)
    }
}

/// Where a new replica goes, for changes that bring none.
pub(super) fn nowhere(_: NodeId) -> Uuid {
    UNASSIGNED
}

pub(super) fn of_partition(topic_id: Uuid, partition_id: i32, record: PartitionChangeRecord) -> MetadataRecord {
    PartitionChangeRecord { topic_id, partition_id, ..record }.into()
}
