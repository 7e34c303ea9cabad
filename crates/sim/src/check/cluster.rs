//! What must hold among several nodes: who may lead, who is in sync, and that neither costs what is committed.

use node::Node;
use node::image::{Image, PartitionImage, Resource, TopicImage};
use ordered::{Map, Set, SharedMap};
use protocol::records::Batches;
use protocol::{NodeId, Offset, Str};

use super::ledger::PartitionLedger;
use super::replica::Epochs;
use super::{Check, Checks, Verdict};
use crate::queue::Pid;
use crate::setup::PlantedBug;

/// The metadata log as its voters and observers have it.
#[derive(Clone, Debug, Default)]
pub(super) struct QuorumLedger {
    replicas: Map<Pid, Epochs>,
    /// Each batch that was ever appended, by its epoch and its place; shared with older moments.
    batches: SharedMap<(i32, i64), QuorumBatch>,
    /// What is committed, of which epochs.
    committed: Epochs,
    /// A node has lost its disk: with it go votes and records, and nothing is promised any more.
    pub(super) is_wiped: bool,
}

/// A batch of the metadata log.
#[derive(Clone, Copy, Debug)]
struct QuorumBatch {
    crc: u32,
    /// The epoch of the record before it; -1 while nobody has said.
    before: i32,
}

impl Checks {
    /// A node of the world, before its first event.
    pub(crate) fn node(&mut self, id: NodeId, pid: Pid, name: &Str) {
        self.nodes.insert(id, pid);
        self.names.insert(pid, name.clone());
    }

    /// A node has heard of newer metadata. The same metadata is looked at once, whoever hears of it first.
    pub(crate) fn metadata(&mut self, event: u64, node: &Node, bug: Option<PlantedBug>) {
        self.check_fetchers(event, node, bug);
        self.check_image(event, node.image(), bug);
    }

    /// What was asked for a topic is promised once it is there, and was made so. Who writes to a topic that is not there has it
    /// made with the brokers' settings, perhaps before the one that was asked for can be; and where there are fewer replicas
    /// than must be in sync, all of them must be.
    pub(crate) fn topics_exist(&mut self, image: &Image) {
        if image.next_offset() <= self.metadata_offset {
            return;
        }
        for topic in image.topics() {
            let Some(fewest) = topic.partitions.iter().map(|(_, it)| it.replicas.len()).min() else { continue };
            let promise = self.topics.entry(topic.name.clone()).or_default();
            if promise.topic_id != topic.id {
                promise.topic_id = topic.id;
                if image.settings(&Resource::topic(&topic.name)).is_none() {
                    (promise.durable, promise.min_isr) = (false, 1);
                }
            }
            promise.min_isr = promise.min_isr.min(fewest);
        }
    }

    pub(super) fn check_image(&mut self, event: u64, image: &Image, bug: Option<PlantedBug>) {
        if image.next_offset() <= self.metadata_offset {
            return;
        }
        self.metadata_offset = image.next_offset();
        for topic in image.topics() {
            for (index, partition) in topic.partitions.iter() {
                match bug {
                    None => self.check_assignment(event, image, topic, *index, partition),
                    Some(bug) => {
                        let planted = planted(bug, image, partition);
                        self.check_assignment(event, image, topic, *index, &planted);
                    }
                }
            }
        }
    }

    /// Who fetches a partition from two leaders at once would mix their logs.
    fn check_fetchers(&mut self, event: u64, node: &Node, bug: Option<PlantedBug>) {
        let mut fetched: Set<_> = Set::new();
        for (topic_id, partition, leader) in node.fetches() {
            let is_first = fetched.insert((topic_id, partition)) && bug != Some(PlantedBug::FetchesTwice);
            if !is_first {
                let topic = node.image().topic_by_id(topic_id).map_or(Str::new(), |it| it.name.clone());
                let leader = self.name_of_node(leader);
                let what = format!("{topic}-{partition} is fetched by two fetchers, one of them from {leader}");
                return self.find(event, Check::OneFetcher, Verdict::Bug, what);
            }
        }
    }

    fn check_assignment(
        &mut self,
        event: u64,
        image: &Image,
        topic: &TopicImage,
        number: i32,
        partition: &PartitionImage,
    ) {
        let PartitionImage { replicas, isr, elr, .. } = partition;
        let is_fenced = |id: &NodeId| image.broker(*id).is_some_and(|it| it.fenced);
        // Without an ELR the last member stays, so that it is known who has everything.
        let may_be_fenced = isr.len() == 1 && elr.is_empty();
        let label = || format!("{}-{number}", topic.name);
        if let Some(id) = isr.iter().chain(elr).find(|id| !replicas.contains(id)) {
            let what = format!("{} has {} in sync or eligible, which is no replica", label(), self.name_of_node(*id));
            return self.find(event, Check::Isr, Verdict::Bug, what);
        }
        if let Some(id) = isr.iter().find(|id| is_fenced(id)).filter(|_| !may_be_fenced) {
            let what = format!("{} has {} in sync, which is fenced", label(), self.name_of_node(*id));
            return self.find(event, Check::FencedInSync, Verdict::Bug, what);
        }
        if let Some(id) = elr.iter().find(|id| isr.contains(id)) {
            let what = format!("{} has {} in sync, and as eligible because it is not", label(), self.name_of_node(*id));
            return self.find(event, Check::Elr, Verdict::Bug, what);
        }
        let found = self.find_partition(&topic.name, number).filter(|it| self.partitions[*it].topic_id == topic.id);
        let Some(index) = found else { return };
        let in_sync: Vec<Pid> = isr.iter().filter_map(|id| self.nodes.get(id).copied()).collect();
        let ledger = &mut self.partitions[index];
        if ledger.partition_epoch == partition.partition_epoch {
            return;
        }
        let is_new_leader = partition.leader_epoch.0 > ledger.leader_epoch;
        let leader = partition.leader.and_then(|id| self.nodes.get(&id).copied());
        if let Some(leader) = leader.filter(|_| is_new_leader) {
            self.elected(index, leader, partition.leader_epoch.0);
        }
        let ledger = &mut self.partitions[index];
        (ledger.partition_epoch, ledger.leader_epoch) = (partition.partition_epoch, partition.leader_epoch.0);
        self.partitions[index].isr.clone_from(&in_sync);
        self.partitions[index].elr = elr.iter().filter_map(|id| self.nodes.get(id).copied()).collect();
        self.partitions[index].leader = leader;
        let was_excused = self.may_lack(index, self.partitions[index].high_watermark);
        self.partitions[index].forgive();
        let leader = leader.filter(|_| is_new_leader);
        let ledger = &self.partitions[index];
        let lacks = |pid: &Pid| {
            let has = ledger.has(*pid);
            has < ledger.high_watermark && !was_excused && !self.is_excused(*pid, index, has, ledger.high_watermark)
        };
        let (check, pid, role) = match (leader.filter(lacks), in_sync.into_iter().find(lacks)) {
            (Some(pid), _) => (Check::LeaderCompleteness, pid, "is elected"),
            (None, Some(pid)) => (Check::StrongIsr, pid, "is in sync"),
            (None, None) => return,
        };
        let what = format!(
            "{} {role} for {} in epoch {} with records up to {}, and {} is committed",
            self.name_of(pid),
            label(),
            partition.leader_epoch,
            ledger.has(pid),
            ledger.high_watermark
        );
        self.find(event, check, Verdict::Bug, what);
    }

    /// A leader says who is in sync now.
    pub(super) fn in_sync(&mut self, pid: Pid, index: usize, isr: &[NodeId]) {
        let pids = isr.iter().filter_map(|id| self.nodes.get(id).copied()).collect();
        if let Some(replica) = self.partitions[index].replicas.get_mut(&pid) {
            replica.isr = pids;
        }
    }

    /// A leader's high watermark is about to move to an offset.
    pub(super) fn committed(&mut self, event: u64, pid: Pid, index: usize, offset: i64) {
        let ledger = &self.partitions[index];
        let Some(leader) = ledger.replicas.get(&pid) else { return };
        if offset <= ledger.high_watermark || leader.isr.is_empty() {
            return;
        }
        let label = ledger.label();
        let promise = self.topics.get(&ledger.topic).cloned().unwrap_or_default();
        let min_isr = promise.min_isr;
        let in_sync = leader.isr.len();
        if in_sync < min_isr {
            let what = format!("{label} is committed up to {offset} with {in_sync} in sync, and not {min_isr}");
            return self.find(event, Check::StrongIsr, Verdict::Bug, what);
        }
        let ledger = &self.partitions[index];
        // Who is no replica any more gives its log up, and who came back without its disk's end is in sync no more, perhaps before
        // the leader has heard of that: it waits for one more than it had to.
        let has_left = |it: Pid| !ledger.isr.is_empty() && !ledger.isr.contains(&it);
        let lacks = |it: &&Pid| {
            let has = ledger.has(**it);
            has < offset && !has_left(**it) && !self.is_excused(**it, index, has, offset)
        };
        if let Some(pid) = leader_isr(ledger, pid).iter().find(lacks) {
            let what = format!(
                "{label} is committed up to {offset}, and {}, which is in sync, has it up to {}",
                self.name_of(*pid),
                ledger.has(*pid)
            );
            self.find(event, Check::StrongIsr, Verdict::Bug, what);
        }
    }

    /// A node appends to its metadata log. Who has the same epoch at the same offset has the same batch there, and the same
    /// before it.
    pub(crate) fn quorum_appended(&mut self, event: u64, pid: Pid, batches: &Batches) {
        let quorum = &mut self.quorum;
        let log = quorum.replicas.entry(pid).or_default();
        let mut wrong = None;
        for head in batches.heads() {
            let (epoch, base, crc) = (head.leader_epoch.0, head.base_offset.0, head.crc);
            let before = log.at(base - 1).unwrap_or(-1);
            log.push(epoch, base, head.next_offset().0);
            let place = (epoch, base);
            match quorum.batches.get(&place) {
                None => {
                    quorum.batches.insert(place, QuorumBatch { crc, before });
                }
                Some(known) if known.crc != crc => {
                    wrong = Some(format!("another batch than others there: {crc:08x}, not {:08x}", known.crc));
                }
                Some(known) if before >= 0 && known.before >= 0 && known.before != before => {
                    wrong = Some(format!("one of epoch {before} before it; others have one of {}", known.before));
                }
                Some(known) if known.before < before => {
                    quorum.batches.insert(place, QuorumBatch { crc, before });
                }
                Some(_) => {}
            }
            if wrong.is_some() && !quorum.is_wiped {
                let what = format!("{} has in its metadata log at {base} of epoch {epoch} ", self.name_of(pid));
                let what = what + &wrong.unwrap_or_default();
                return self.find(event, Check::LogMatching, Verdict::Bug, what);
            }
        }
    }

    /// A node's metadata log ends at an offset now: it was cut, begun anew there, or mounted.
    pub(crate) fn quorum_ends(&mut self, pid: Pid, end: Offset) {
        let log = self.quorum.replicas.entry(pid).or_default();
        if end.0 > log.end() { log.begin_anew(end.0) } else { log.cut(end.0) }
    }

    /// A node has lost its disk. Who comes back as somebody else breaks no promise by what it has forgotten.
    pub(crate) fn quorum_wiped(&mut self, pid: Pid, renamed: bool) {
        self.quorum.replicas.remove(&pid);
        self.quorum.is_wiped |= !renamed;
    }

    /// A node has heard that the metadata is committed up to an offset, after it had heard of another since it was started.
    pub(crate) fn quorum_committed(&mut self, event: u64, pid: Pid, before: Offset, high_watermark: Offset) {
        if high_watermark < before {
            let what = format!(
                "the high watermark of the metadata moves from {before} back to {high_watermark} at {}",
                self.name_of(pid)
            );
            return self.find(event, Check::HighWatermark, Verdict::Bug, what);
        }
        let quorum = &mut self.quorum;
        let Some(log) = quorum.replicas.get(&pid) else { return };
        if high_watermark.0 <= quorum.committed.end() || log.end() < high_watermark.0 {
            return;
        }
        let is_kept = log.common(&quorum.committed) >= quorum.committed.end();
        let before = std::mem::replace(&mut quorum.committed, log.clone());
        quorum.committed.cut(high_watermark.0);
        if !is_kept && !quorum.is_wiped {
            let (name, end) = (self.name_of(pid), before.end());
            let what = format!("{name} commits metadata that is not what was committed to {end}");
            self.find(event, Check::LeaderCompleteness, Verdict::Bug, what);
        }
    }

    /// A node has begun to lead the quorum: it has all that is committed.
    pub(super) fn quorum_led(&mut self, event: u64, pid: Pid, epoch: i32) {
        let quorum = &self.quorum;
        let committed = quorum.committed.end();
        let has = quorum.replicas.get(&pid).map_or(0, |it| it.common(&quorum.committed));
        if has < committed && !quorum.is_wiped {
            let what = format!(
                "{} leads the metadata quorum in epoch {epoch} with what was committed up to {has}, and {committed} is",
                self.name_of(pid)
            );
            self.find(event, Check::LeaderCompleteness, Verdict::Bug, what);
        }
    }
}

/// Who is in sync, as a leader last said.
fn leader_isr(ledger: &PartitionLedger, leader: Pid) -> &[Pid] {
    ledger.replicas.get(&leader).map_or(&[], |it| &it.isr)
}

/// What the checks are shown instead, to see that they notice.
fn planted(bug: PlantedBug, image: &Image, partition: &PartitionImage) -> PartitionImage {
    let mut planted = partition.clone();
    let fenced = partition.replicas.iter().find(|id| image.broker(**id).is_some_and(|it| it.fenced));
    match (bug, fenced) {
        (PlantedBug::KeepsFencedInSync, Some(id)) if !planted.isr.contains(id) => planted.isr.push(*id),
        (PlantedBug::KeepsInElr, Some(id)) if !planted.elr.contains(id) => {
            planted.elr.push(*id);
            planted.elr.extend(partition.isr.first());
        }
        (PlantedBug::TakesStrangers, Some(_)) => planted.isr.push(NodeId(99)),
        (PlantedBug::ElectsLaggard, _) => {
            let may_lead = |id: &&NodeId| partition.isr.contains(id) || partition.elr.contains(id);
            planted.leader = partition.replicas.iter().find(|id| !may_lead(id)).copied().or(partition.leader);
        }
        _ => {}
    }
    planted
}
