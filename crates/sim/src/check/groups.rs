//! What members of consumer groups say, and whether it fits together.

mod wire;

use client::GroupEvent;
use node::Coordinated;
use ordered::Map;
use protocol::{Instant, Offset, Str, TopicPartition};

use super::group_log::Logged;
use super::{Check, Checks, Verdict};
use crate::groups::Group;
use crate::queue::Pid;

/// One group.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupLedger {
    /// What each consumer was told last.
    members: Map<Pid, Member>,
    partitions: Map<TopicPartition, Held>,
    /// The newest generation or epoch that members were told.
    epoch: i32,
    /// The newest of them that is written down.
    written: i32,
    pub(super) log: Logged,
    rebalances: u64,
    /// The last division of partitions that was looked at (KIP-848).
    pub(super) target_epoch: i32,
    /// Who said something of it and did not end since; and who of them came last.
    known: Vec<Pid>,
    newcomer: Option<Newcomer>,
    /// When somebody was assigned partitions last.
    shared_at: Option<Instant>,
}

impl GroupLedger {
    /// Of which nobody has said anything.
    fn unheard() -> GroupLedger {
        GroupLedger { epoch: -1, written: -1, ..GroupLedger::default() }
    }

    /// The epoch, if it is one of what is written of the group; else it is heard late, of a group that was before it.
    fn as_written(&self, epoch: i32) -> i32 {
        if epoch <= self.log.epoch { epoch } else { -1 }
    }

    pub(super) fn held(&mut self, partition: &TopicPartition) -> Option<&mut Held> {
        self.partitions.get_mut(partition)
    }

    /// Nobody was in it, and the coordinator has begun it anew, counting from the beginning: as Kafka does when somebody comes who
    /// speaks the other protocol, or who finds it deleted. What members were told before says nothing of what they are told now.
    pub(super) fn begin_anew(&mut self) {
        (self.written, self.target_epoch) = (-1, 0);
        self.members.values_mut().for_each(|it| it.written = -1);
    }
}

/// The consumer that came last to a group.
#[derive(Clone, Debug)]
struct Newcomer {
    name: Str,
    at: Instant,
    /// How many rebalances there had been.
    rebalances: u64,
}

#[derive(Clone, Debug)]
struct Member {
    id: Str,
    epoch: i32,
    /// The newest that was written down before this member was told: an epoch of KIP-848, and a generation in which it got its
    /// share. Joined generations are written once the shares are there, as in Kafka: a coordinator that takes over before that
    /// has never heard of them and gives the next one the same number.
    written: i32,
    /// `group.instance.id`: whoever has the same takes its place.
    instance: Option<Str>,
}

impl Member {
    /// True if the coordinator goes by what it believes. Its session is not over, and if it is heard in one generation only, it is
    /// in that.
    fn is_current(&self, told: &Coordinated) -> bool {
        let counted = told.members.iter().find(|it| it.id == self.id);
        counted.is_some_and(|it| it.generation.is_none_or(|it| it == self.epoch))
    }
}

/// A partition in a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// Who was assigned it last and has not given it up.
    owner: Option<Pid>,
    /// Nobody reads it since then: nobody has it, or whoever has it stands still.
    free_since: Option<Instant>,
    /// Who had it when that began last; nobody if that was over when the group's newcomer came.
    freed_by: Option<Pid>,
    paused_us: u64,
    /// How long it had been paused when the group's newcomer came.
    paused_before_us: u64,
    committed: Option<i64>,
    /// Commits that may have been done, or not.
    doubtful: Vec<Doubtful>,
    /// How often somebody heard that a commit is done.
    commits: u64,
    /// How often the coordinator wrote down that nothing is committed any more.
    ends: u64,
    /// It did so, and no commit is known to have come after it.
    may_have_ended: bool,
}

/// A commit that has left.
#[derive(Clone, Debug)]
struct Doubtful {
    pid: Pid,
    offset: i64,
    /// What [`Held`] counted when it left.
    commits: u64,
    ends: u64,
    /// Nobody answers it any more.
    is_given_up: bool,
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
            self.rest(pid, at);
            self.owner = None;
        }
    }

    /// Whoever has it stands still.
    fn rest(&mut self, pid: Pid, at: Instant) {
        if self.owner == Some(pid) {
            self.free_since.get_or_insert(at);
            self.freed_by = Some(pid);
        }
    }

    /// Somebody comes to the group: what was before is counted for itself.
    fn begin_anew(&mut self, at: Instant) {
        self.paused_before_us = self.paused_us(at);
        self.freed_by = self.freed_by.filter(|_| self.free_since.is_some());
    }

    /// A commit of a consumer is done. If another one was since it left, nobody can tell which of them came first.
    fn commit(&mut self, pid: Pid, offset: i64) {
        let own = self.sent(pid, offset);
        if own.is_some_and(|own| self.doubtful[own].commits < self.commits) {
            return;
        }
        let own = own.map(|own| self.doubtful.remove(own));
        self.may_have_ended &= own.is_some_and(|it| it.ends < self.ends);
        self.committed = Some(offset);
        self.commits += 1;
        // What is heard of its own later commits is heard in their order.
        self.doubtful.iter_mut().filter(|it| it.pid == pid).for_each(|it| it.commits = self.commits);
    }

    /// A commit leaves.
    fn doubt(&mut self, pid: Pid, offset: i64) {
        self.doubtful.push(Doubtful { pid, offset, commits: self.commits, ends: self.ends, is_given_up: false });
    }

    /// A commit that is not answered yet.
    fn sent(&self, pid: Pid, offset: i64) -> Option<usize> {
        self.doubtful.iter().position(|it| (it.pid, it.offset) == (pid, offset) && !it.is_given_up)
    }

    /// A commit has failed. Whoever refuses has not done it, but what was refused may never have left: it says nothing of
    /// another one of the same offset that nobody answered.
    fn failed(&mut self, pid: Pid, offset: i64, is_refused: bool) {
        match self.sent(pid, offset) {
            Some(index) if is_refused => {
                self.doubtful.remove(index);
            }
            Some(index) => self.doubtful[index].is_given_up = true,
            None if is_refused => {}
            None => {
                self.doubt(pid, offset);
                self.failed(pid, offset, false);
            }
        }
    }

    /// What a coordinator may tell of it.
    fn may_be(&self, found: Option<i64>) -> bool {
        let is_doubtful = |found| self.doubtful.iter().any(|it| it.offset == found);
        found == self.committed || found.map_or(self.may_have_ended, is_doubtful)
    }

    /// The coordinator wrote down that nothing is committed any more.
    pub(super) fn ended(&mut self) {
        self.ends += 1;
        self.may_have_ended = true;
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
        group.shared_at = ledger.shared_at;
        if let Some(newcomer) = &ledger.newcomer {
            group.newcomer = Some(newcomer.name.clone());
            group.newcomer_at = Some(newcomer.at);
            group.rebalances_since_newcomer = ledger.rebalances - newcomer.rebalances;
        }
        for partition in &mut group.partitions {
            let Some(held) = ledger.partitions.get(&partition.partition) else { continue };
            partition.committed = held.committed.map(Offset);
            partition.paused_since = held.free_since;
            partition.paused_us = held.paused_us(now);
            group.paused_us += partition.paused_us;
            partition.paused_since_newcomer_us = partition.paused_us.saturating_sub(held.paused_before_us);
            group.paused_since_newcomer_us += partition.paused_since_newcomer_us;
            let freed_by = held.freed_by.and_then(|it| self.client_of(it));
            partition.freed_by = freed_by.map(|it| it.name.clone());
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

    /// A consumer's process stands still, or goes on.
    pub(crate) fn member_stands(&mut self, at: Instant, pid: Pid, still: bool) {
        for held in self.groups.values_mut().flat_map(|it| it.partitions.values_mut()) {
            if still {
                held.rest(pid, at);
            } else if held.owner == Some(pid) {
                held.take(pid, at);
            }
        }
    }

    /// The newest epoch in which a partition of a topic was led, as far as is committed.
    pub(crate) fn newest_epoch(&self, topic: &str, partition: i32) -> Option<i32> {
        self.find_partition(&Str::from(topic), partition).map(|index| self.partitions[index].leader_epoch)
    }

    /// A member said something of its group. `told` is what its coordinator goes by, if that is known.
    pub(crate) fn member_said(
        &mut self,
        event: u64,
        at: Instant,
        pid: Pid,
        said: &GroupEvent,
        told: Option<&Coordinated>,
    ) {
        let Some(client) = self.client_of(pid) else { return };
        let (Some(id), name) = (client.group.clone(), client.name.clone()) else { return };
        let (instance, is_classic) = (client.instance.clone(), client.is_classic);
        match said {
            GroupEvent::Committed { offsets, .. } => self.check_committed(event, &name, offsets),
            GroupEvent::Found { partition, offset: Some(offset) } => {
                self.check_committed(event, &name, &[(partition.clone(), *offset)]);
            }
            _ => {}
        }
        let ledger = self.groups.entry(id).or_insert_with(GroupLedger::unheard);
        if !ledger.known.contains(&pid) {
            ledger.known.push(pid);
            ledger.newcomer = Some(Newcomer { name: name.clone(), at, rebalances: ledger.rebalances });
            ledger.partitions.values_mut().for_each(|it| it.begin_anew(at));
        }
        let mut wrong = None;
        match said {
            GroupEvent::Joined { epoch, member_id, .. } => {
                let before = ledger.members.get(&pid).filter(|it| it.id == *member_id).map_or(-1, |it| it.written);
                if before > *epoch && *epoch > 0 {
                    let what = format!("{name} is told epoch {epoch} after {before}");
                    wrong = Some((Check::EpochsMonotone, what));
                }
                // A generation that nobody wrote down was none. One of which is heard late has its members join again.
                let is_next = *epoch > ledger.written && *epoch != ledger.epoch;
                let written = if is_classic { before } else { ledger.as_written(*epoch) };
                ledger.members.insert(pid, Member { id: member_id.clone(), epoch: *epoch, written, instance });
                ledger.written = ledger.written.max(written);
                if *epoch > ledger.epoch || is_next {
                    ledger.epoch = *epoch;
                    ledger.rebalances += 1;
                }
            }
            GroupEvent::Assigned { epoch, partitions } => {
                let written = ledger.as_written(*epoch);
                ledger.written = ledger.written.max(written);
                ledger.epoch = ledger.epoch.max(written);
                if let Some(own) = ledger.members.get_mut(&pid) {
                    own.written = own.written.max(written);
                }
                if !partitions.is_empty() {
                    ledger.shared_at = Some(at);
                }
                // Whoever the coordinator does not count was left behind, and will hear of it.
                let are_current = |other: &Member| {
                    let own = ledger.members.get(&pid);
                    let are_told =
                        |told: &Coordinated| own.is_some_and(|it| it.is_current(told)) && other.is_current(told);
                    // A generation that it only joined may be none, and the number be another's by now.
                    other.written == *epoch || told.is_some_and(are_told)
                };
                let is_replaced = |other: &Member| other.instance.is_some() && other.instance == instance;
                for partition in partitions {
                    let held = ledger.partitions.entry(partition.clone()).or_default();
                    let other = held.owner.filter(|it| *it != pid).and_then(|it| ledger.members.get(&it));
                    if let Some(other) = other.filter(|it| !is_replaced(it) && are_current(it)) {
                        let what = format!(
                            "{name} is assigned {partition} at {epoch}, which another member has since {}",
                            other.epoch
                        );
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
            GroupEvent::Commits { offsets, .. } => {
                for (partition, offset) in offsets {
                    ledger.partitions.entry(partition.clone()).or_default().doubt(pid, offset.0);
                }
            }
            GroupEvent::Committed { offsets, .. } => {
                for (partition, offset) in offsets {
                    ledger.partitions.entry(partition.clone()).or_default().commit(pid, offset.0);
                }
            }
            GroupEvent::CommitFailed { offsets, error, .. } => {
                for (partition, offset) in offsets {
                    let held = ledger.partitions.entry(partition.clone()).or_default();
                    held.failed(pid, offset.0, error.is_some());
                }
            }
            GroupEvent::Found { partition, offset } => {
                let held = ledger.partitions.entry(partition.clone()).or_default();
                // Who is no member any more may hear late what was true when it was said.
                let is_late = |it: &Member| held.owner != Some(pid) || told.is_none_or(|told| !it.is_current(told));
                if ledger.members.get(&pid).is_some_and(is_late) {
                    return;
                }
                let found = offset.map(|it| it.0);
                if !held.may_be(found) {
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
    use node::CoordinatedMember;
    use protocol::ErrorCode;
    use protocol::message::encode_typed;
    use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    use protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    use protocol::messages::{OffsetCommitKey, OffsetCommitRequest, OffsetCommitResponse};

    use super::super::group_log::OFFSET_COMMIT;
    use super::super::tests::cluster;
    use super::*;

    const A: Pid = Pid(5);
    const B: Pid = Pid(6);

    /// Two consumers of a group of KIP-848, of a topic that has one partition.
    fn group(instances: [Option<&str>; 2]) -> Checks {
        group_of(instances, false)
    }

    fn group_of(instances: [Option<&str>; 2], is_classic: bool) -> Checks {
        let mut checks = cluster(&[Pid(1)], &[]);
        for (pid, instance) in [A, B].into_iter().zip(instances) {
            checks.client(pid, &Str::from(format!("c{}", pid.0)), false, false);
            checks.client_of_group(pid, Str::from_static("g"), instance.map(Str::from), is_classic);
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
            self.member_said(1, Instant(at_us), pid, said, None);
        }

        fn commit(&mut self, pid: Pid, offset: i64) {
            self.hear(0, pid, &GroupEvent::Commits { id: 0, op: None, offsets: offsets(offset) });
            self.hear(0, pid, &GroupEvent::Committed { id: 0, offsets: offsets(offset) });
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

    /// A coordinator that was killed gives the generation again that its members had joined: who was left behind is not of it.
    #[test]
    fn a_generation_that_nobody_wrote_down_may_be_another() {
        let mut checks = group_of([None, None], true);
        checks.hear(0, A, &joined(1, "a"));
        checks.hear(0, A, &assigned(1));
        checks.hear(0, A, &joined(2, "a"));
        checks.hear(0, B, &joined(2, "b"));
        checks.hear(0, B, &assigned(2));
        assert_eq!(checks.broken(), None);
        checks.hear(0, A, &assigned(2));
        assert!(checks.broken_by(Check::OneOwner).is_some(), "it has its share of this one");
    }

    /// Two that believe in different generations, or epochs, and both of whom the coordinator goes by.
    #[test]
    fn no_two_members_that_are_counted_may_have_a_partition() {
        let told = |generation: Option<i32>| Coordinated {
            epoch: 2,
            members: vec![
                CoordinatedMember { id: Str::from_static("a"), generation },
                CoordinatedMember { id: Str::from_static("b"), generation: None },
            ],
            ..Coordinated::default()
        };
        let verdict = |told: &Coordinated| {
            let mut checks = group([None, None]);
            for (pid, member, epoch) in [(A, "a", 1), (B, "b", 2)] {
                checks.hear(0, pid, &joined(epoch, member));
                checks.member_said(1, Instant(0), pid, &assigned(epoch), Some(told));
            }
            checks.broken_by(Check::OneOwner).is_some()
        };
        assert!(verdict(&told(None)));
        assert!(verdict(&told(Some(1))), "it is heard in what it believes in");
        assert!(!verdict(&told(Some(2))), "the generation in which it has the partition is over");
        let mut without = told(None);
        without.members.remove(0);
        assert!(!verdict(&without), "its session is over");
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

    /// A generation is written once the shares are there: until then a coordinator that takes over knows nothing of it.
    #[test]
    fn a_generation_that_nobody_wrote_down_may_come_again() {
        let mut checks = group_of([None, None], true);
        checks.hear(0, A, &joined(3, "a"));
        checks.hear(0, A, &assigned(3));
        checks.hear(0, A, &joined(5, "a"));
        checks.hear(0, A, &joined(4, "a"));
        assert_eq!((checks.broken(), checks.groups["g"].epoch), (None, 4));
        // Who hears late of one before takes nothing back.
        checks.hear(0, B, &joined(3, "b"));
        assert_eq!((checks.broken(), checks.groups["g"].epoch), (None, 4));
        checks.hear(0, A, &joined(2, "a"));
        assert!(checks.broken_by(Check::EpochsMonotone).is_some(), "the third was written");
    }

    #[test]
    fn what_was_committed_must_be_found() {
        let mut checks = group([None, None]);
        checks.find_offset(A, None);
        checks.commit(A, 0);
        checks.find_offset(B, Some(0));
        // One that nobody answered may have been done.
        checks.hear(0, A, &GroupEvent::Commits { id: 0, op: None, offsets: offsets(5) });
        checks.hear(0, A, &GroupEvent::CommitFailed { id: 0, offsets: offsets(5), error: None });
        checks.find_offset(B, Some(5));
        assert!(checks.broken_by(Check::CommitsStay).is_none());
        checks.find_offset(B, None);
        assert!(checks.broken_by(Check::CommitsStay).is_some());
    }

    /// A stood still when it was answered; B has committed since.
    #[test]
    fn who_hears_late_that_it_has_committed_undoes_nothing() {
        let mut checks = group([None, None]);
        checks.hear(0, A, &GroupEvent::Commits { id: 0, op: None, offsets: offsets(5) });
        checks.commit(B, 7);
        checks.hear(0, A, &GroupEvent::Committed { id: 0, offsets: offsets(5) });
        checks.find_offset(A, Some(7));
        assert!(checks.broken_by(Check::CommitsStay).is_none());
        checks.find_offset(A, Some(6));
        assert!(checks.broken_by(Check::CommitsStay).is_some());
    }

    #[test]
    fn a_commit_that_was_refused_must_not_be_found() {
        let mut checks = group([None, None]);
        checks.hear(0, A, &GroupEvent::Commits { id: 0, op: None, offsets: offsets(5) });
        let error = Some(protocol::ErrorCode::UnknownMemberId);
        checks.hear(0, A, &GroupEvent::CommitFailed { id: 0, offsets: offsets(5), error });
        checks.find_offset(B, Some(5));
        assert!(checks.broken_by(Check::CommitsStay).is_some());
    }

    /// Who was thrown out, and knows, refuses by itself what it would commit next, which may be the same offset.
    #[test]
    fn what_is_refused_before_it_leaves_undoes_nothing() {
        let error = Some(protocol::ErrorCode::UnknownMemberId);
        let fails = |checks: &mut Checks, error| {
            checks.hear(0, A, &GroupEvent::CommitFailed { id: 0, offsets: offsets(5), error });
        };
        for [first, then] in [[None, error], [error, None]] {
            let mut checks = group([None, None]);
            checks.hear(0, A, &GroupEvent::Commits { id: 0, op: None, offsets: offsets(5) });
            fails(&mut checks, first);
            fails(&mut checks, then);
            checks.find_offset(B, Some(5));
            assert_eq!(checks.broken_by(Check::CommitsStay), None);
            checks.find_offset(B, Some(4));
            assert!(checks.broken_by(Check::CommitsStay).is_some());
        }
    }

    /// Whoever is answered has committed, and whoever is refused has not, consumer or not.
    #[test]
    fn what_a_wire_client_is_told_of_its_commit_counts() {
        let request = |offset: i64| {
            let partitions = vec![OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() }];
            let topics = vec![OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() }];
            OffsetCommitRequest { group_id: "g".into(), topics, ..Default::default() }
        };
        let told = |error: ErrorCode| {
            let partitions = vec![OffsetCommitResponsePartition { error_code: error.code(), ..Default::default() }];
            let topics = vec![OffsetCommitResponseTopic { name: "t".into(), partitions, ..Default::default() }];
            OffsetCommitResponse { topics, ..Default::default() }
        };
        let breaks = |error: Option<ErrorCode>, found: i64| {
            let mut checks = group([None, None]);
            checks.commit(A, 0);
            checks.wire_commits(Pid(9), 0, request(5));
            match error {
                Some(error) => checks.wire_committed(Pid(9), 0, &told(error)),
                None => checks.wire_lost(Pid(9)),
            }
            assert!(checks.wire_commits.is_empty());
            checks.find_offset(B, Some(found));
            checks.broken_by(Check::CommitsStay).is_some()
        };
        assert!(!breaks(Some(ErrorCode::None), 5));
        assert!(breaks(Some(ErrorCode::None), 0), "the coordinator has forgotten it");
        assert!(breaks(Some(ErrorCode::UnknownMemberId), 5), "it was refused");
        for doubtful in [Some(ErrorCode::CoordinatorNotAvailable), None] {
            assert!(!breaks(doubtful, 5) && !breaks(doubtful, 0), "nobody knows");
        }
    }

    #[test]
    fn what_the_coordinator_ended_must_not_be_found_for_ever() {
        let mut key = OffsetCommitKey { group: Str::from_static("g"), topic: Str::from_static("t"), partition: 0 };
        let key = encode_typed(&mut key, OFFSET_COMMIT, 0).expect("it can be written");
        let mut checks = group([None, None]);
        checks.commit(A, 0);
        // It is not known whether this was done before that, or after it.
        checks.hear(0, A, &GroupEvent::Commits { id: 0, op: None, offsets: offsets(5) });
        checks.written_of_group(&key, None);
        checks.find_offset(B, Some(0));
        checks.hear(0, A, &GroupEvent::Committed { id: 0, offsets: offsets(5) });
        checks.find_offset(B, Some(5));
        checks.find_offset(B, None);
        assert!(checks.broken_by(Check::CommitsStay).is_none());
        checks.commit(A, 7);
        checks.find_offset(B, None);
        assert!(checks.broken_by(Check::CommitsStay).is_some(), "this came after the end");
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
        let newcomer = ledger.newcomer.as_ref().unwrap();
        assert_eq!((&*newcomer.name, newcomer.at, newcomer.rebalances), ("c6", Instant(40), 1));
        assert_eq!((held.paused_before_us, held.freed_by, ledger.shared_at), (10, Some(B), Some(Instant(70))));
        // Who ended and begins anew comes anew; what is free then was given up before, what is not was not.
        checks.hear(150, B, &joined(3, "b"));
        let held = &checks.groups["g"].partitions[&partition()];
        assert_eq!((held.paused_before_us, held.paused_us(Instant(170)), held.freed_by), (90, 110, Some(B)));
        checks.hear(180, B, &assigned(3));
        checks.member_gone(Instant(190), A);
        checks.hear(200, A, &joined(4, "a"));
        let held = &checks.groups["g"].partitions[&partition()];
        assert_eq!((held.paused_before_us, held.free_since, held.freed_by), (120, None, None));
    }

    /// Who stands still reads nothing of what it has, until it goes on or somebody else has it.
    #[test]
    fn what_belongs_to_somebody_who_stands_still_is_paused() {
        let mut checks = group([None, None]);
        checks.hear(0, A, &joined(1, "a"));
        checks.hear(10, A, &assigned(1));
        let held = |checks: &Checks| checks.groups["g"].partitions[&partition()].clone();
        checks.member_stands(Instant(20), A, true);
        assert_eq!((held(&checks).owner, held(&checks).paused_us(Instant(50))), (Some(A), 30));
        checks.member_stands(Instant(60), A, false);
        assert_eq!((held(&checks).free_since, held(&checks).paused_us(Instant(90))), (None, 40));
        // It stands still again, and is thrown out; B has the partition by the time that A goes on and hears of it.
        checks.member_stands(Instant(100), A, true);
        checks.hear(110, B, &joined(2, "b"));
        checks.hear(150, B, &assigned(2));
        checks.member_stands(Instant(160), A, false);
        checks.hear(170, A, &GroupEvent::Lost { partitions: vec![partition()] });
        assert_eq!((held(&checks).owner, held(&checks).paused_us(Instant(200))), (Some(B), 90));
        // Killed while it stands still, it has stood since then.
        checks.member_stands(Instant(210), B, true);
        checks.member_gone(Instant(220), B);
        assert_eq!((held(&checks).free_since, held(&checks).freed_by), (Some(Instant(210)), Some(B)));
    }
}
