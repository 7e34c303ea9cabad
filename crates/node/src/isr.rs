//! Changes of in-sync replicas: what leaders of this broker propose, and the controller's answers (AlterPartition, KIP-497).
//!
//! One request is on its way at a time, for all partitions that have proposed something by then. What fails for another reason
//! than the proposal itself is asked again; whether a lost request was carried out shows in the partition's epoch.

use ordered::Map;

use protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, alter_partition_response};
use protocol::{ErrorCode, LeaderEpoch, NodeId, Now, RequestBody, ResponseBody};

use crate::event::Event;
use crate::node::Node;
use crate::outbox::{CallError, Outbox};
use crate::partition::{IsrDecision, IsrProposal, PartitionKey, Sight};
use crate::peers::Purpose;
use crate::timers::WakeReason;

/// Kafka's wait before a request that failed as a whole is sent again.
const RETRY_MS: i64 = 50;

/// Proposals that are not answered yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct IsrProposals {
    queued: Map<PartitionKey, IsrProposal>,
    asked: Vec<IsrProposal>,
    /// The controller could not be asked: the next try waits for its timer.
    is_held: bool,
}

impl IsrProposals {
    /// Asks for a change as soon as may be.
    pub(crate) fn add(&mut self, proposal: IsrProposal) {
        self.queued.insert(proposal.key, proposal);
    }

    /// Takes what is proposed, for a test that answers it.
    #[cfg(test)]
    pub(crate) fn take(&mut self) -> Vec<IsrProposal> {
        std::mem::take(&mut self.queued).into_values().collect()
    }

    /// A test answers a proposal as if it had been sent.
    #[cfg(test)]
    pub(crate) fn sent(&mut self, proposal: IsrProposal) {
        self.asked = vec![proposal];
    }

    /// True if there is something to send and nothing on its way.
    pub(crate) fn is_due(&self) -> bool {
        !self.queued.is_empty() && self.asked.is_empty() && !self.is_held
    }
}

impl Node {
    /// Sends what is proposed, if nothing is on its way.
    pub(crate) fn propose_isrs(&mut self, now: Now, out: &mut Outbox) {
        if !self.isr_proposals.is_due() {
            return;
        }
        let Some(controller) = self.active_controller() else { return self.hold_proposals(now) };
        let mut asked: Vec<_> = std::mem::take(&mut self.isr_proposals.queued).into_values().collect();
        asked.retain(|it| self.partitions.get(&it.key).is_some_and(|partition| partition.is_proposed(it)));
        if asked.is_empty() {
            return;
        }
        let request = AlterPartitionRequest {
            broker_id: self.config.node_id.0,
            broker_epoch: self.life.broker_epoch(),
            topics: topics_of(&asked),
        };
        self.isr_proposals.asked = asked;
        let timeout_ms = i64::from(self.config.controller_socket_timeout_ms);
        self.peers.call(Purpose::Isr, &controller, RequestBody::AlterPartition(request), timeout_ms, out);
    }

    /// The controller has answered, or has not.
    pub(crate) fn isrs_decided(&mut self, now: Now, result: Result<ResponseBody, CallError>, out: &mut Outbox) {
        let asked = std::mem::take(&mut self.isr_proposals.asked);
        match result {
            Ok(ResponseBody::AlterPartition(response)) if response.error_code == ErrorCode::None.code() => {
                for proposal in asked {
                    self.isr_decided(now, proposal, &response, out);
                }
            }
            // Another controller, or this broker's registration is another by now: ask again.
            _ => {
                for proposal in asked {
                    self.isr_proposals.queued.entry(proposal.key).or_insert_with(|| proposal);
                }
                self.hold_proposals(now);
            }
        }
    }

    fn isr_decided(&mut self, now: Now, proposal: IsrProposal, response: &AlterPartitionResponse, out: &mut Outbox) {
        let key = proposal.key;
        let Some(answer) = answer_to(response, key) else {
            self.isr_proposals.add(proposal);
            return self.hold_proposals(now);
        };
        let decision = match ErrorCode::from_code(answer.error_code) {
            ErrorCode::None => IsrDecision::Agreed {
                leader_epoch: LeaderEpoch(answer.leader_epoch),
                partition_epoch: answer.partition_epoch,
                isr: answer.isr.iter().map(|id| NodeId(*id)).collect(),
            },
            // The controller knows the newest epoch, and refuses: it was not carried out and never will be.
            ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica => IsrDecision::Refused,
            // Newer metadata is on its way here and makes the proposal moot.
            ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::InvalidUpdateVersion
            | ErrorCode::InvalidRequest
            | ErrorCode::NewLeaderElected => return,
            _ => {
                self.isr_proposals.add(proposal);
                return self.hold_proposals(now);
            }
        };
        let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        let before = partition.isr().to_vec();
        partition.isr_decided(&proposal, decision);
        if partition.isr() != before {
            let (topic, isr) = (partition.topic.clone(), partition.isr().to_vec());
            out.emit(|| Event::Isr { topic, partition: key.partition, isr });
        }
        let (log, visible) = (partition.log, partition.reveal(sight));
        self.revealed_in(log, visible, out);
    }

    /// The wait after a failure is over.
    pub(crate) fn retry_proposals(&mut self) {
        self.isr_proposals.is_held = false;
    }

    fn hold_proposals(&mut self, now: Now) {
        self.isr_proposals.is_held = true;
        self.timers.arm(WakeReason::AlterPartition, now.mono.plus_ms(RETRY_MS));
    }

    /// Looks for replicas that have not kept up, twice within `replica.lag.time.max.ms`.
    pub(crate) fn check_lag(&mut self, now: Now, out: &mut Outbox) {
        let keys: Vec<_> = self.partitions.iter().filter(|it| it.has_followers()).map(|it| it.key).collect();
        let is_any = !keys.is_empty();
        for key in keys {
            let sight = Sight { now: now.mono, image: &self.image, lag_ms: self.config.replication.lag_time_max_ms };
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            if let Some(proposal) = partition.shrunk_isr(sight) {
                self.isr_proposals.add(proposal);
            }
            // Nobody waits any more for a replica that was about to join and did not.
            let (log, visible) = (partition.log, partition.reveal(sight));
            self.revealed_in(log, visible, out);
        }
        if is_any {
            self.arm_lag(now);
        }
    }

    /// Sees to it that lag is looked for: this broker leads a partition that others have to keep up with.
    pub(crate) fn arm_lag(&mut self, now: Now) {
        let is_armed = self.timers.deadline(WakeReason::ReplicaLag).is_some();
        if !is_armed && !self.life.is_leaving() {
            let interval_ms = self.config.replication.lag_time_max_ms / 2;
            self.timers.arm(WakeReason::ReplicaLag, now.mono.plus_ms(interval_ms.max(1)));
        }
    }
}

fn topics_of(proposals: &[IsrProposal]) -> Vec<TopicData> {
    let mut topics: Vec<TopicData> = Vec::new();
    for proposal in proposals {
        let isr = proposal.isr.iter().map(|(id, epoch)| BrokerState { broker_id: id.0, broker_epoch: *epoch });
        let partition = PartitionData {
            partition_index: proposal.key.partition,
            leader_epoch: proposal.leader_epoch.0,
            new_isr_with_epochs: isr.collect(),
            partition_epoch: proposal.partition_epoch,
            ..PartitionData::default()
        };
        match topics.last_mut() {
            Some(topic) if topic.topic_id == proposal.key.topic_id => topic.partitions.push(partition),
            _ => topics.push(TopicData { topic_id: proposal.key.topic_id, partitions: vec![partition] }),
        }
    }
    topics
}

fn answer_to(response: &AlterPartitionResponse, key: PartitionKey) -> Option<&alter_partition_response::PartitionData> {
    let topic = response.topics.iter().find(|topic| topic.topic_id == key.topic_id)?;
    topic.partitions.iter().find(|it| it.partition_index == key.partition)
}
