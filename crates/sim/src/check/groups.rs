//! What members of consumer groups say, and whether it fits together.

use ordered::Map;
use protocol::{Instant, Offset, Str, TopicPartition};

use client::GroupEvent;

use super::{Check, Checks, Verdict};
use crate::groups::Group;
use crate::queue::Pid;

/// One group.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupLedger {
    /// What each consumer was told last.
    members: Map<Pid, Member>,
    partitions: Map<TopicPartition, Held>,
    /// The generations and epochs that members were told.
    epoch: i32,
    rebalances: u64,
}

#[derive(Clone, Debug)]
struct Member {
    id: Str,
    epoch: i32,
    /// `group.instance.id`: whoever has the same takes its place.
    instance: Option<Str>,
}

/// A partition in a group.
#[derive(Clone, Debug, Default)]
struct Held {
    /// Who was assigned it last and has not given it up.
    owner: Option<Pid>,
    /// Nobody has it since then.
    free_since: Option<Instant>,
    paused_us: u64,
    committed: Option<i64>,
    /// Commits that may have been done, or not, since the last one that was.
    doubtful: Vec<i64>,
}

impl Held {
    fn take(&mut self, pid: Pid, at: Instant) {
        self.owner = Some(pid);
        if let Some(since) = self.free_since.take() {
            self.paused_us += at.0.saturating_sub(since.0);
        }
    }

    fn free(&mut self, pid: Pid, at: Instant) {
        if self.owner == Some(pid) {
            self.owner = None;
            self.free_since = Some(at);
        }
    }
}

impl Checks {
    /// What the ledger knows of a group.
    pub(crate) fn add_to_group(&self, now: Instant, group: &mut Group) {
        let Some(ledger) = self.groups.get(&group.id) else { return };
        group.epoch = ledger.epoch;
        group.rebalances = ledger.rebalances;
        for partition in &mut group.partitions {
            let Some(held) = ledger.partitions.get(&partition.partition) else { continue };
            partition.committed = held.committed.map(Offset);
            partition.paused_since = held.free_since;
            partition.paused_us = held.paused_us + held.free_since.map_or(0, |it| now.0.saturating_sub(it.0));
            group.paused_us += partition.paused_us;
        }
    }

    /// A consumer's process is gone, or began anew: it reads nothing any more.
    pub(crate) fn member_gone(&mut self, at: Instant, pid: Pid) {
        for ledger in self.groups.values_mut() {
            ledger.members.remove(&pid);
            for held in ledger.partitions.values_mut() {
                held.free(pid, at);
            }
        }
    }

    /// A member said something of its group.
    pub(crate) fn member_said(&mut self, event: u64, at: Instant, pid: Pid, said: &GroupEvent) {
        let Some(client) = self.client_of(pid) else { return };
        let (Some(id), name) = (client.group.clone(), client.name.clone()) else { return };
        let instance = client.instance.clone();
        if let GroupEvent::Committed { offsets } = said {
            self.check_committed(event, &name, offsets);
        }
        let ledger = self.groups.entry(id).or_insert_with(|| GroupLedger { epoch: -1, ..GroupLedger::default() });
        let mut wrong = None;
        match said {
            GroupEvent::Joined { epoch, member_id, .. } => {
                let before = ledger.members.insert(pid, Member { id: member_id.clone(), epoch: *epoch, instance });
                if let Some(before) = before.filter(|it| it.id == *member_id && it.epoch > *epoch && *epoch > 0) {
                    let what = format!("{name} is told epoch {epoch} after {}", before.epoch);
                    wrong = Some((Check::EpochsMonotone, what));
                }
                if *epoch > ledger.epoch {
                    ledger.epoch = *epoch;
                    ledger.rebalances += 1;
                }
            }
            GroupEvent::Assigned { epoch, partitions } => {
                for partition in partitions {
                    let held = ledger.partitions.entry(partition.clone()).or_default();
                    // Who is not of this epoch was left behind, and will hear of it.
                    let is_current =
                        |it: &Member| it.epoch == *epoch && (it.instance.is_none() || it.instance != instance);
                    let other = held.owner.filter(|it| *it != pid).and_then(|it| ledger.members.get(&it));
                    if other.is_some_and(is_current) {
                        let what =
                            format!("{name} is assigned {partition} at {epoch}, which another member of {epoch} has");
                        wrong = Some((Check::OneOwner, what));
                    }
                    held.take(pid, at);
                }
            }
            GroupEvent::Revoked { partitions } | GroupEvent::Lost { partitions } => {
                for partition in partitions {
                    if let Some(held) = ledger.partitions.get_mut(partition) {
                        held.free(pid, at);
                    }
                }
            }
            GroupEvent::Commits { offsets } => {
                for (partition, offset) in offsets {
                    ledger.partitions.entry(partition.clone()).or_default().doubtful.push(offset.0);
                }
            }
            GroupEvent::Committed { offsets } => {
                for (partition, offset) in offsets {
                    let held = ledger.partitions.entry(partition.clone()).or_default();
                    held.committed = Some(offset.0);
                    // One that was sent before it may be carried out after it, if another consumer sent it.
                    if let Some(index) = held.doubtful.iter().position(|it| *it == offset.0) {
                        held.doubtful.remove(index);
                    }
                }
            }
            GroupEvent::CommitFailed { offsets, error } => {
                // Whoever refuses has not done it.
                for (partition, offset) in offsets.iter().filter(|_| error.is_some()) {
                    let held = ledger.partitions.entry(partition.clone()).or_default();
                    if let Some(index) = held.doubtful.iter().position(|it| *it == offset.0) {
                        held.doubtful.remove(index);
                    }
                }
            }
            GroupEvent::Found { partition, offset } => {
                let held = ledger.partitions.entry(partition.clone()).or_default();
                let found = offset.map(|it| it.0);
                let is_known = found == held.committed || found.is_some_and(|it| held.doubtful.contains(&it));
                if !is_known {
                    let told = |it: Option<i64>| it.map_or("nothing".to_owned(), |it| it.to_string());
                    let what = format!(
                        "{name} is told that {} is committed in {partition}; {} is",
                        told(found),
                        told(held.committed)
                    );
                    wrong = Some((Check::CommitsStay, what));
                }
                held.committed = found;
            }
            GroupEvent::Coordinator { .. }
            | GroupEvent::Rejoins { .. }
            | GroupEvent::Refused { .. }
            | GroupEvent::Leaves { .. } => {}
        }
        if let Some((check, what)) = wrong {
            self.find(event, check, Verdict::Bug, what);
        }
    }

    fn check_committed(&mut self, event: u64, name: &Str, offsets: &[(TopicPartition, Offset)]) {
        for (partition, offset) in offsets {
            let Some(index) = self.find_partition(&partition.topic, partition.partition) else { continue };
            let ledger = &self.partitions[index];
            // What was lost may have been read, and committed, before.
            if ledger.losses == 0 && offset.0 > ledger.high_watermark {
                let what = format!(
                    "{name} has committed {offset} in {partition}; the high watermark is {}",
                    ledger.high_watermark
                );
                self.find(event, Check::CommitsBelow, Verdict::Bug, what);
            }
        }
    }
}
