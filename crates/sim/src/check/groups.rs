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
    /// Who said something of it and did not end since; and who of them came last.
    known: Vec<Pid>,
    newcomer: Option<Str>,
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
    /// How long it had been paused when the group's newcomer came.
    paused_before_us: u64,
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

    fn paused_us(&self, now: Instant) -> u64 {
        self.paused_us + self.free_since.map_or(0, |it| now.0.saturating_sub(it.0))
    }
}

impl Checks {
    /// What the ledger knows of a group.
    pub(crate) fn add_to_group(&self, now: Instant, group: &mut Group) {
        let Some(ledger) = self.groups.get(&group.id) else { return };
        group.epoch = ledger.epoch;
        group.rebalances = ledger.rebalances;
        group.newcomer = ledger.newcomer.clone();
        for partition in &mut group.partitions {
            let Some(held) = ledger.partitions.get(&partition.partition) else { continue };
            partition.committed = held.committed.map(Offset);
            partition.paused_since = held.free_since;
            partition.paused_us = held.paused_us(now);
            group.paused_us += partition.paused_us;
            group.paused_since_newcomer_us += partition.paused_us.saturating_sub(held.paused_before_us);
        }
    }

    /// A consumer's process is gone, or began anew: it reads nothing any more.
    pub(crate) fn member_gone(&mut self, at: Instant, pid: Pid) {
        for ledger in self.groups.values_mut() {
            ledger.members.remove(&pid);
            ledger.known.retain(|it| *it != pid);
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
        if !ledger.known.contains(&pid) {
            ledger.known.push(pid);
            ledger.newcomer = Some(name.clone());
            for held in ledger.partitions.values_mut() {
                held.paused_before_us = held.paused_us(at);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::super::tests::cluster;
    use super::*;

    const A: Pid = Pid(5);
    const B: Pid = Pid(6);

    /// Two consumers of a group, of a topic that has one partition.
    fn group(instances: [Option<&str>; 2]) -> Checks {
        let mut checks = cluster(&[Pid(1)], &[]);
        for (pid, instance) in [A, B].into_iter().zip(instances) {
            checks.client(pid, &Str::from(format!("c{}", pid.0)), false, false);
            checks.client_of_group(pid, Str::from_static("g"), instance.map(Str::from));
        }
        checks
    }

    fn partition() -> TopicPartition {
        TopicPartition { topic: Str::from_static("t"), partition: 0 }
    }

    fn joined(epoch: i32, member: &str) -> GroupEvent {
        GroupEvent::Joined { epoch, member_id: Str::from(member), is_leader: false }
    }

    fn assigned(epoch: i32) -> GroupEvent {
        GroupEvent::Assigned { epoch, partitions: vec![partition()] }
    }

    fn offsets(offset: i64) -> Vec<(TopicPartition, Offset)> {
        vec![(partition(), Offset(offset))]
    }

    impl Checks {
        fn hear(&mut self, at_us: u64, pid: Pid, said: &GroupEvent) {
            self.member_said(1, Instant(at_us), pid, said);
        }

        fn commit(&mut self, pid: Pid, offset: i64) {
            self.hear(0, pid, &GroupEvent::Commits { offsets: offsets(offset) });
            self.hear(0, pid, &GroupEvent::Committed { offsets: offsets(offset) });
        }

        fn find_offset(&mut self, pid: Pid, offset: Option<i64>) {
            self.hear(0, pid, &GroupEvent::Found { partition: partition(), offset: offset.map(Offset) });
        }
    }

    #[test]
    fn two_members_of_a_generation_must_not_have_a_partition() {
        let mut checks = group([None, None]);
        for (pid, member) in [(A, "a"), (B, "b")] {
            checks.hear(0, pid, &joined(1, member));
            checks.hear(0, pid, &assigned(1));
        }
        assert!(checks.broken_by(Check::OneOwner).is_some());
    }

    #[test]
    fn who_was_left_behind_may_believe_in_what_it_had() {
        let mut checks = group([None, None]);
        checks.hear(0, A, &joined(1, "a"));
        checks.hear(0, A, &assigned(1));
        checks.hear(0, B, &joined(2, "b"));
        checks.hear(0, B, &assigned(2));
        // Hearing of it late takes nothing from its successor.
        checks.hear(1, A, &GroupEvent::Lost { partitions: vec![partition()] });
        assert_eq!(checks.broken(), None);
        assert_eq!(checks.groups["g"].partitions[&partition()].owner, Some(B));
    }

    #[test]
    fn whoever_has_the_same_instance_id_takes_the_place() {
        let mut checks = group([Some("i"), Some("i")]);
        for (pid, member) in [(A, "a"), (B, "b")] {
            checks.hear(0, pid, &joined(1, member));
            checks.hear(0, pid, &assigned(1));
        }
        assert_eq!(checks.broken(), None);
    }

    #[test]
    fn epochs_of_a_member_must_not_move_back() {
        let mut checks = group([None, None]);
        checks.hear(0, A, &joined(3, "a"));
        checks.hear(0, A, &joined(1, "another"));
        assert_eq!(checks.broken(), None, "who joins anew begins anew");
        checks.hear(0, A, &joined(3, "a"));
        checks.hear(0, A, &joined(2, "a"));
        assert!(checks.broken_by(Check::EpochsMonotone).is_some());
    }

    #[test]
    fn what_was_committed_must_be_found() {
        let mut checks = group([None, None]);
        checks.find_offset(A, None);
        checks.commit(A, 0);
        checks.find_offset(B, Some(0));
        // One that nobody answered may have been done.
        checks.hear(0, A, &GroupEvent::Commits { offsets: offsets(5) });
        checks.hear(0, A, &GroupEvent::CommitFailed { offsets: offsets(5), error: None });
        checks.find_offset(B, Some(5));
        assert_eq!(checks.broken(), None);
        checks.find_offset(B, None);
        assert!(checks.broken_by(Check::CommitsStay).is_some());
    }

    #[test]
    fn a_commit_that_was_refused_must_not_be_found() {
        let mut checks = group([None, None]);
        checks.hear(0, A, &GroupEvent::Commits { offsets: offsets(5) });
        let error = Some(protocol::ErrorCode::UnknownMemberId);
        checks.hear(0, A, &GroupEvent::CommitFailed { offsets: offsets(5), error });
        checks.find_offset(B, Some(5));
        assert!(checks.broken_by(Check::CommitsStay).is_some());
    }

    #[test]
    fn nothing_must_be_committed_that_nobody_could_read() {
        let mut checks = group([None, None]);
        checks.commit(A, 0);
        assert_eq!(checks.broken(), None);
        checks.commit(A, 1);
        assert!(checks.broken_by(Check::CommitsBelow).is_some());
    }

    #[test]
    fn what_nobody_reads_is_paused() {
        let mut checks = group([None, None]);
        checks.hear(0, A, &joined(1, "a"));
        checks.hear(10, A, &assigned(1));
        checks.hear(30, A, &GroupEvent::Revoked { partitions: vec![partition()] });
        checks.hear(40, B, &joined(2, "b"));
        checks.hear(70, B, &assigned(2));
        checks.member_gone(Instant(100), B);
        let held = &checks.groups["g"].partitions[&partition()];
        assert_eq!((held.owner, held.paused_us, held.free_since), (None, 40, Some(Instant(100))));
        // B came at 40, when nobody had read for 10 of the 40.
        let ledger = &checks.groups["g"];
        assert_eq!((ledger.newcomer.as_deref(), held.paused_before_us), (Some("c6"), 10));
        // Who ended and begins anew comes anew.
        checks.hear(150, B, &joined(3, "b"));
        let held = &checks.groups["g"].partitions[&partition()];
        assert_eq!((held.paused_before_us, held.paused_us(Instant(170))), (90, 110));
    }
}
