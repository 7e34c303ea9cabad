//! One partition's change: from what is wanted (an ISR, replicas, an election) to the record that brings it about.
//!
//! The rules are Kafka's: a leader comes from the ISR, from the ELR while the ISR is empty (KIP-966), from the last known
//! leader while both are, else nobody leads, unless unclean elections are allowed. A reassignment (KIP-455) completes in the
//! very record that makes it complete.

use ordered::Set;

use protocol::messages::PartitionChangeRecord;
use protocol::{NodeId, Uuid};

use crate::image::PartitionImage;

/// `PartitionChangeRecord.Leader`: nobody.
const NO_LEADER: i32 = -1;
/// `PartitionChangeRecord.Leader`: as it is.
const SAME_LEADER: i32 = -2;
/// `PartitionChangeRecord.LeaderRecoveryState`: the leader may lack records that were committed.
const RECOVERING: i8 = 1;
/// The leader has everything that can be had.
const RECOVERED: i8 = 0;

/// Which leader is looked for when the present one cannot stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// The first replica if it may lead, even if the present leader could stay.
    Preferred,
    /// Anyone who has every committed record.
    Online,
    /// Anyone alive, if nobody has every committed record.
    Unclean,
}

/// What the cluster's features say about how partitions change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Who leaves an ISR that is too small stays eligible (KIP-966).
    pub(super) elr: bool,
    /// Replicas' directories are noted (KIP-858).
    pub(super) directories: bool,
    /// A smaller ISR is a new leader epoch: brokers of metadata.version below 3.6 rely on it (KAFKA-15021).
    pub(super) bump_on_shrink: bool,
}

/// A change of one partition. Begins as no change at all; what is wanted is set, then [`Change::record`] says what follows.
pub(super) struct Change<'a> {
    partition: &'a PartitionImage,
    rules: Rules,
    /// The effective min.insync.replicas.
    min_isr: usize,
    pub(super) election: Election,
    pub(super) isr: Vec<NodeId>,
    pub(super) replicas: Vec<NodeId>,
    pub(super) adding: Vec<NodeId>,
    pub(super) removing: Vec<NodeId>,
    pub(super) recovering: bool,
    /// It came back without what it had not synced, so it is eligible no more.
    pub(super) forgetful: Option<NodeId>,
    /// Where a replica says it is.
    pub(super) directory: Option<(NodeId, Uuid)>,
    elr: Vec<NodeId>,
}

impl<'a> Change<'a> {
    pub(super) fn new(partition: &'a PartitionImage, rules: Rules, min_isr: usize) -> Change<'a> {
        Change {
            partition,
            rules,
            min_isr,
            election: Election::Online,
            isr: partition.isr.clone(),
            replicas: partition.replicas.clone(),
            adding: partition.adding_replicas.clone(),
            removing: partition.removing_replicas.clone(),
            recovering: partition.recovering,
            forgetful: None,
            directory: None,
            elr: partition.elr.clone(),
        }
    }

    /// The record, without topic and partition; `None` if nothing changes. `may_lead` says who is alive and has the replica's
    /// directory; `default_directory` where a new replica goes.
    pub(super) fn record(
        mut self,
        may_lead: &dyn Fn(NodeId) -> bool,
        default_directory: &mut dyn FnMut(NodeId) -> Uuid,
    ) -> Option<PartitionChangeRecord> {
        let mut record = PartitionChangeRecord::default();
        self.complete_reassignment();
        self.fill_elr();
        let is_unclean = self.elect(&mut record, may_lead);
        // Who no longer has a copy must hear of it: the leader's epoch says that something changed.
        if record.leader == SAME_LEADER && !self.partition.replicas.iter().all(|it| self.replicas.contains(it)) {
            record.leader = self.partition.leader_id();
        }
        if is_unclean || !self.rules.elr {
            self.elr.clear();
        }
        if self.elr != self.partition.elr {
            record.eligible_leader_replicas = Some(ids(&self.elr));
        }
        // Without an ELR the last member stays in the ISR, so that it is known who has everything.
        let can_be_empty = self.rules.elr;
        if record.isr.is_none() && (can_be_empty || !self.isr.is_empty()) && self.isr != self.partition.isr {
            record.isr = Some(ids(&self.isr));
        }
        if self.rules.bump_on_shrink
            && record.leader == SAME_LEADER
            && record.isr.as_ref().is_some_and(|isr| !self.partition.isr.iter().all(|it| isr.contains(&it.0)))
        {
            record.leader = self.partition.leader_id();
        }
        self.note_last_leader(&mut record);
        self.note_assignment(&mut record, default_directory);
        if self.recovering != self.partition.recovering {
            record.leader_recovery_state = if self.recovering { RECOVERING } else { RECOVERED };
        }
        (record != PartitionChangeRecord::default()).then_some(record)
    }

    /// A reassignment is complete when all it adds is in sync and, if there will be fewer replicas, all that stay are.
    fn complete_reassignment(&mut self) {
        if self.adding.is_empty() && self.removing.is_empty() {
            return;
        }
        let stays = |it: &NodeId| !self.removing.contains(it);
        let isr: Vec<NodeId> = self.isr.iter().copied().filter(stays).collect();
        let replicas: Vec<NodeId> = self.replicas.iter().copied().filter(stays).collect();
        let is_short = |wanted: &[NodeId]| !wanted.iter().all(|it| isr.contains(it));
        if (!self.removing.is_empty() && (isr.is_empty() || replicas.is_empty()))
            || is_short(&self.adding)
            || (self.adding.len() < self.removing.len() && is_short(&replicas))
        {
            return;
        }
        (self.isr, self.replicas) = (isr, replicas);
        self.adding.clear();
        self.removing.clear();
    }

    /// Below the minimum, who leaves the ISR stays eligible: nothing is committed without it any more.
    fn fill_elr(&mut self) {
        if !self.rules.elr {
            return;
        }
        if self.isr.len() >= self.min_isr {
            self.elr.clear();
            return;
        }
        let known: Set<NodeId> = self.elr.iter().chain(&self.partition.isr).copied().collect();
        // Kafka leaves one there that a reassignment has taken the replica from; neither it nor we elect that one.
        let may_lead =
            |it: &NodeId| !self.isr.contains(it) && self.replicas.contains(it) && self.forgetful != Some(*it);
        self.elr = known.into_iter().filter(may_lead).collect();
    }

    /// True if the new leader may lack committed records.
    fn elect(&mut self, record: &mut PartitionChangeRecord, may_lead: &dyn Fn(NodeId) -> bool) -> bool {
        let (leader, is_unclean) = self.leader(may_lead);
        if leader == self.partition.leader {
            return false;
        }
        record.leader = leader.map_or(NO_LEADER, |it| it.0);
        let Some(leader) = leader else { return false };
        if self.elr.contains(&leader) {
            self.isr = vec![leader];
            self.elr.retain(|it| *it != leader);
        }
        if is_unclean {
            record.isr = Some(vec![leader.0]);
            self.isr = vec![leader];
            if !self.partition.recovering {
                record.leader_recovery_state = RECOVERING;
            }
        }
        is_unclean
    }

    fn leader(&self, may_lead: &dyn Fn(NodeId) -> bool) -> (Option<NodeId>, bool) {
        let is_valid =
            |it: &NodeId| (self.isr.contains(it) || (self.isr.is_empty() && self.elr.contains(it))) && may_lead(*it);
        if self.election == Election::Preferred
            && let Some(first) = self.replicas.first()
            && is_valid(first)
        {
            return (Some(*first), false);
        }
        if let Some(leader) = self.partition.leader.filter(|it| is_valid(it)) {
            return (Some(leader), false);
        }
        if let Some(leader) = self.replicas.iter().copied().find(is_valid) {
            return (Some(leader), false);
        }
        // With nobody left who is known to have everything, the last leader is the best there is.
        if self.rules.elr
            && self.isr.is_empty()
            && self.elr.is_empty()
            && let [last] = self.partition.last_known_elr[..]
            && may_lead(last)
        {
            return (Some(last), true);
        }
        match self.election {
            Election::Unclean => (self.replicas.iter().copied().find(|it| may_lead(*it)), true),
            Election::Preferred | Election::Online => (None, false),
        }
    }

    /// The last leader is remembered from the moment nobody leads until somebody does.
    fn note_last_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.rules.elr {
            return;
        }
        if record.leader == NO_LEADER && self.partition.last_known_elr.is_empty() {
            record.last_known_elr = self.partition.leader.map(|it| vec![it.0]);
        } else if record.leader >= 0 && !self.partition.last_known_elr.is_empty() {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn note_assignment(&self, record: &mut PartitionChangeRecord, default_directory: &mut dyn FnMut(NodeId) -> Uuid) {
        if self.rules.directories && !self.replicas.is_empty() {
            let place = |replica: &NodeId| match self.directory {
                Some((node, directory)) if node == *replica => directory,
                _ => self.partition.directory_of(*replica).unwrap_or_else(|| default_directory(*replica)),
            };
            let directories: Vec<Uuid> = self.replicas.iter().map(place).collect();
            if directories != self.partition.directories {
                record.directories = Some(directories);
            }
        }
        if self.replicas != self.partition.replicas {
            record.replicas = Some(ids(&self.replicas));
        }
        if self.removing != self.partition.removing_replicas {
            record.removing_replicas = Some(ids(&self.removing));
        }
        if self.adding != self.partition.adding_replicas {
            record.adding_replicas = Some(ids(&self.adding));
        }
    }
}

fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}
