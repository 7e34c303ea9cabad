//! Leading: the others' fetches, what they commit, and who is in sync.

use protocol::{ErrorCode, LeaderEpoch, NodeId, Offset};

use super::role::{Replica, Role};
use super::{Online, Partition, PartitionKey, Sight, State};
use crate::gateway::session::FetchParams;
use crate::image::Image;

/// A replica that fetches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplicaFetch {
    pub(crate) replica: NodeId,
    /// -1 if it does not say.
    pub(crate) broker_epoch: i64,
}

/// A change of the ISR that the controller is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IsrProposal {
    pub(crate) key: PartitionKey,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: i32,
    /// With the broker epochs by which they fetch; -1 where that is not known.
    pub(crate) isr: Vec<(NodeId, i64)>,
}

/// What the controller made of a proposal.
#[derive(Clone, Debug)]
pub(crate) enum IsrDecision {
    /// This is the ISR now.
    Agreed { leader_epoch: LeaderEpoch, partition_epoch: i32, isr: Vec<NodeId> },
    /// It was refused, and certainly not carried out: the committed ISR stands.
    Refused,
}

impl Partition {
    /// Takes note of a follower's fetch before it is answered, so that the answer tells the high watermark it brought about.
    /// A fetch that is to be refused, or that shows another history, says nothing.
    pub(crate) fn follower_fetched(&mut self, sight: Sight<'_>, fetch: &ReplicaFetch, params: &FetchParams) -> bool {
        if self.check_follower(fetch, params.current_leader_epoch, sight).is_err()
            || self.parts_from(params.offset, params.last_fetched_epoch)
        {
            return false;
        }
        let (State::Online(online), Role::Leader(leader)) = (&self.state, &mut self.role) else { return false };
        let (offset, end) = (Offset(params.offset), online.shape.written_end());
        if offset < online.shape.log_start() || offset > end {
            return false;
        }
        let Some(replica) = leader.others.get_mut(&fetch.replica) else { return false };
        replica.fetched(sight.now, offset, Offset(params.log_start), end, fetch.broker_epoch);
        true
    }

    /// Whether a replica may fetch from this leader.
    pub(crate) fn check_follower(
        &self,
        fetch: &ReplicaFetch,
        current_leader_epoch: i32,
        sight: Sight<'_>,
    ) -> Result<(), ErrorCode> {
        self.check_leader_epoch(current_leader_epoch)?;
        self.leading()?;
        let Role::Leader(leader) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower) };
        if !leader.others.contains_key(&fetch.replica) {
            // A replica that is just being added knows of itself before we do: it tries again.
            let is_early = current_leader_epoch >= 0;
            return Err(if is_early { ErrorCode::UnknownLeaderEpoch } else { ErrorCode::NotLeaderOrFollower });
        }
        let registered = sight.image.broker(fetch.replica).map(|broker| broker.epoch);
        if fetch.broker_epoch != -1 && registered.is_some_and(|epoch| epoch > fetch.broker_epoch) {
            // An earlier life of that broker, which has lost what it said since.
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        Ok(())
    }

    /// A larger ISR, if this replica has every committed record, those before this leader's epoch included.
    pub(crate) fn expanded_isr(&mut self, sight: Sight<'_>, id: NodeId) -> Option<IsrProposal> {
        let (State::Online(online), Role::Leader(leader)) = (&self.state, &self.role) else { return None };
        if leader.proposed.is_some() || leader.isr.contains(&id) {
            return None;
        }
        let replica = leader.others.get(&id)?;
        let has_all = replica.log_end >= online.high_watermark && replica.log_end >= leader.epoch_start?;
        if !has_all || !replica.is_eligible(id, sight.image) {
            return None;
        }
        let isr = leader.isr.iter().copied().chain([id]).collect();
        Some(self.propose(isr))
    }

    /// A smaller ISR, if some of it have not had everything for `replica.lag.time.max.ms`.
    pub(crate) fn shrunk_isr(&mut self, sight: Sight<'_>) -> Option<IsrProposal> {
        let (State::Online(online), Role::Leader(leader)) = (&self.state, &self.role) else { return None };
        if leader.proposed.is_some() || online.truncating {
            return None;
        }
        let end = online.shape.written_end();
        let lags = |id: &NodeId| leader.others.get(id).is_some_and(|it| !it.is_caught_up(sight, end));
        if !leader.isr.iter().any(lags) {
            return None;
        }
        let isr = leader.isr.iter().copied().filter(|id| !lags(id)).collect();
        Some(self.propose(isr))
    }

    fn propose(&mut self, isr: Vec<NodeId>) -> IsrProposal {
        let Role::Leader(leader) = &mut self.role else { unreachable!("only a leader proposes") };
        let epoch_of = |id: &NodeId| leader.others.get(id).and_then(|it| it.broker_epoch).unwrap_or(-1);
        let proposal = IsrProposal {
            key: self.key,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: isr.iter().map(|id| (*id, epoch_of(id))).collect(),
        };
        leader.proposed = Some(isr);
        proposal
    }

    /// True while the proposal waits for its answer: no newer metadata has made it moot.
    pub(crate) fn is_proposed(&self, proposal: &IsrProposal) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        leader.proposed.is_some()
            && self.leader_epoch == proposal.leader_epoch
            && self.partition_epoch == proposal.partition_epoch
    }

    /// The controller has answered a proposal.
    pub(crate) fn isr_decided(&mut self, proposal: &IsrProposal, decision: IsrDecision) {
        if !self.is_proposed(proposal) {
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        match decision {
            IsrDecision::Agreed { leader_epoch, partition_epoch, isr } => {
                // Otherwise newer metadata is on its way here.
                if leader_epoch == self.leader_epoch && partition_epoch >= self.partition_epoch {
                    self.partition_epoch = partition_epoch;
                    (leader.isr, leader.proposed) = (isr, None);
                }
            }
            IsrDecision::Refused => leader.proposed = None,
        }
    }

    /// True if this broker leads and others have to keep up.
    pub(crate) fn has_followers(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if !leader.others.is_empty())
    }

    /// The in-sync replicas, as far as this leader knows.
    pub(crate) fn isr(&self) -> &[NodeId] {
        match &self.role {
            Role::Leader(leader) => &leader.isr,
            Role::Follower { .. } => &[],
        }
    }

    /// How many replicas must be in sync: `min.insync.replicas`, or all there are.
    pub(crate) fn min_isr(&self) -> usize {
        let replicas = match &self.role {
            Role::Leader(leader) => leader.others.len() + 1,
            Role::Follower { .. } => usize::MAX,
        };
        usize::try_from(self.config.min_insync_replicas).unwrap_or_default().min(replicas)
    }

    /// What no replica has any more is below: the least log start of this leader and of the replicas that are alive, their
    /// directories online. -1 while one of those has not fetched from it.
    pub(crate) fn low_watermark(&self, image: &Image) -> Result<Offset, ErrorCode> {
        let start = self.leading()?.shape.log_start();
        let Role::Leader(leader) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower) };
        let partitions = image.topic_by_id(self.key.topic_id).map(|topic| &topic.partitions);
        let own = partitions.and_then(|it| it.get(&self.key.partition));
        let is_alive = |id: NodeId| {
            image.broker(id).is_some_and(|it| !it.fenced) && own.is_none_or(|it| image.has_directory(id, it))
        };
        let alive = leader.others.iter().filter(|(id, _)| is_alive(**id)).map(|(_, it)| it.log_start);
        Ok(alive.fold(start, Offset::min))
    }

    /// The replica in sync from which a consumer in `rack` reads best, if that is not this leader (KIP-392). Among equals the
    /// one with the longest log, then the one that was last caught up, then the highest id, as in Kafka.
    pub(crate) fn preferred_replica(
        &self,
        sight: Sight<'_>,
        rack: &str,
        offset: i64,
        listener: &str,
    ) -> Option<NodeId> {
        let Role::Leader(leader) = &self.role else { return None };
        let in_rack = |id: NodeId| {
            sight.image.broker(id).is_some_and(|it| {
                !it.fenced && it.rack.as_deref() == Some(rack) && it.endpoints.get(listener).is_some()
            })
        };
        if rack.is_empty() || in_rack(self.me) {
            return None;
        }
        let mut best: Option<(NodeId, &Replica)> = None;
        for (id, replica) in &leader.others {
            let has = replica.log_end.0 >= offset && replica.log_start.0 <= offset;
            let rank = |it: &Replica| (it.log_end, it.caught_up());
            if has
                && leader.isr.contains(id)
                && in_rack(*id)
                && best.is_none_or(|(_, best)| rank(replica) >= rank(best))
            {
                best = Some((*id, replica));
            }
        }
        best.map(|(id, _)| id)
    }
}

impl Online {
    /// What is committed, by the role: a leader's followers decide, a follower is told.
    pub(super) fn committed(&self, role: &Role, min_isr: usize, sight: Sight<'_>) -> Offset {
        let settled = self.settled();
        match role {
            // Below min.insync.replicas nothing is committed, so that whoever is elected later has all that was (KIP-966).
            Role::Leader(leader) if leader.isr.len() < min_isr => self.high_watermark,
            Role::Leader(leader) => leader.committed(sight, settled),
            Role::Follower { high_watermark, .. } => settled.min(*high_watermark),
        }
    }
}
