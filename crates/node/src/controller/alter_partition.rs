//! AlterPartition: a leader changes its ISR.

use protocol::NodeId;
use protocol::messages::alter_partition_request::{self, BrokerState};
use protocol::messages::alter_partition_response::{PartitionData, TopicData};
use protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, ErrorCode, MetadataRecord, ResponseBody};

use super::change::{Change, Election};
use super::election::{nowhere, of_partition};
use super::{Controller, Outcome};
use crate::config::Config;
use crate::image::{PartitionImage, TopicImage};

/// `PartitionChangeRecord.Leader`: as it is.
const SAME_LEADER: i32 = -2;
/// `LeaderRecoveryState`.
const RECOVERING: i8 = 1;
const RECOVERED: i8 = 0;
/// The epoch of a member of an ISR whose epoch is not to be checked (KIP-903).
const ANY_EPOCH: i64 = -1;

impl Controller {
    /// AlterPartition, versions 2 and 3 (KIP-841, KIP-903).
    pub fn decide_alter_partition(&self, config: &Config, version: i16, request: &AlterPartitionRequest) -> Outcome {
        let mut reply = AlterPartitionResponse::default();
        let mut records = Vec::new();
        if let Err(refusal) = self.current(request.broker_id, request.broker_epoch) {
            reply.error_code = refusal.code.code();
            return Outcome { records, reply: ResponseBody::AlterPartition(reply) };
        }
        for asked in &request.topics {
            let topic = self.image().topic_by_id(asked.topic_id);
            let partitions = asked.partitions.iter().map(|partition| {
                let isr = members(version, partition);
                let altered = match topic {
                    Some(topic) => self.alter_partition(config, NodeId(request.broker_id), topic, partition, &isr),
                    None => Err(ErrorCode::UnknownTopicId),
                };
                let (record, result) = altered.unwrap_or_else(|error| (None, refused(partition, error)));
                records.extend(record);
                result
            });
            let partitions = partitions.collect();
            reply.topics.push(TopicData { topic_id: asked.topic_id, partitions });
        }
        Outcome { records, reply: ResponseBody::AlterPartition(reply) }
    }

    fn alter_partition(
        &self,
        config: &Config,
        broker: NodeId,
        topic: &TopicImage,
        asked: &alter_partition_request::PartitionData,
        isr: &[BrokerState],
    ) -> Result<(Option<MetadataRecord>, PartitionData), ErrorCode> {
        let partition = topic.partitions.get(&asked.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        self.check_isr(broker, partition, asked, isr)?;
        let of_topic = self.topic_rules(config, topic);
        let mut change = Change::new(partition, self.rules(), of_topic.min_isr);
        if of_topic.unclean {
            change.election = Election::Unclean;
        }
        change.isr = isr.iter().map(|it| NodeId(it.broker_id)).collect();
        change.recovering = asked.leader_recovery_state == RECOVERING;
        let record = change.record(&|node| self.may_lead(node, partition), &mut nowhere);
        let mut result = PartitionData {
            partition_index: asked.partition_index,
            leader_id: partition.leader_id(),
            leader_epoch: partition.leader_epoch.0,
            isr: partition.isr.iter().map(|it| it.0).collect(),
            leader_recovery_state: i8::from(partition.recovering),
            partition_epoch: partition.partition_epoch,
            ..PartitionData::default()
        };
        let Some(record) = record else { return Ok((None, result)) };
        result.partition_epoch = result.partition_epoch.saturating_add(1);
        if record.leader != SAME_LEADER {
            (result.leader_id, result.leader_epoch) = (record.leader, result.leader_epoch.saturating_add(1));
        }
        if let Some(isr) = &record.isr {
            result.isr.clone_from(isr);
        }
        if record.leader_recovery_state >= 0 {
            result.leader_recovery_state = record.leader_recovery_state;
        }
        // The change completed a reassignment that takes the leadership away from who asked: it must look again.
        if record.leader != SAME_LEADER && record.leader != broker.0 {
            result = refused(asked, ErrorCode::NewLeaderElected);
        }
        Ok((Some(of_partition(topic.id, asked.partition_index, record)), result))
    }

    fn check_isr(
        &self,
        broker: NodeId,
        partition: &PartitionImage,
        asked: &alter_partition_request::PartitionData,
        isr: &[BrokerState],
    ) -> Result<(), ErrorCode> {
        // Who knows more than this controller should look for another one.
        if asked.leader_epoch > partition.leader_epoch.0 || asked.partition_epoch > partition.partition_epoch {
            return Err(ErrorCode::NotController);
        }
        if asked.leader_epoch < partition.leader_epoch.0 {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if partition.leader != Some(broker) {
            return Err(ErrorCode::InvalidRequest);
        }
        if asked.partition_epoch < partition.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let is_replica = |it: &BrokerState| partition.replicas.contains(&NodeId(it.broker_id));
        let is_repeated = |index: usize| isr[..index].iter().any(|it| it.broker_id == isr[index].broker_id);
        let is_known_state = matches!(asked.leader_recovery_state, RECOVERED | RECOVERING);
        let recovers = asked.leader_recovery_state == RECOVERING;
        if isr.is_empty()
            || !isr.iter().all(is_replica)
            || (0..isr.len()).any(is_repeated)
            || !isr.iter().any(|it| it.broker_id == broker.0)
            || !is_known_state
            // A leader that may lack records has nobody in sync with it, and never becomes one again.
            || (recovers && (isr.len() > 1 || !partition.recovering))
        {
            return Err(ErrorCode::InvalidRequest);
        }
        let is_eligible = |it: &BrokerState| {
            self.image().is_active(NodeId(it.broker_id))
                && (it.broker_epoch == ANY_EPOCH
                    || self.image().broker(NodeId(it.broker_id)).is_some_and(|broker| broker.epoch == it.broker_epoch))
        };
        if isr.iter().all(is_eligible) { Ok(()) } else { Err(ErrorCode::IneligibleReplica) }
    }
}

fn members(version: i16, asked: &alter_partition_request::PartitionData) -> Vec<BrokerState> {
    if version >= 3 {
        return asked.new_isr_with_epochs.clone();
    }
    let bare = |id: &i32| BrokerState { broker_id: *id, broker_epoch: ANY_EPOCH };
    asked.new_isr.iter().map(bare).collect()
}

fn refused(asked: &alter_partition_request::PartitionData, error: ErrorCode) -> PartitionData {
    PartitionData { partition_index: asked.partition_index, error_code: error.code(), ..PartitionData::default() }
}
