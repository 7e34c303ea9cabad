//! What becomes of the replicas' logs: appended, copied, cut, lost with a disk.
//!
//! A partition's ledger holds the records of the newest epoch's log. A record is lost when a leader of a newer epoch puts
//! another one in its place, or when no replica has it any more.

use protocol::records::{BatchHead, Batches};
use protocol::{LeaderEpoch, Offset, TopicPartition, Uuid};
use storage::LogSpec;

use super::ledger::{self, Author, Cut, Entry, PartitionLedger};
use super::{Check, Checks, Promise, Verdict};
use crate::digest::Digest;
use crate::groups::OFFSETS_TOPIC;
use crate::queue::Pid;

/// What is said of the loss of what was never acknowledged.
const SENT_AGAIN: &str = "nobody was told ok, and what a producer still has it sends again";

/// How a batch stands to what the ledger has at its place.
enum Place {
    /// It is new.
    New,
    /// The same epoch has a batch there already: a copy.
    Copy,
    /// Of a leader that was replaced, and who does not know it yet.
    Stray,
    /// Between it and the last record some are missing.
    Gap,
}

impl Checks {
    /// A node mounts a partition's log; tells its number, if it is a topic's.
    pub(crate) fn mounting(&mut self, spec: &LogSpec) -> Option<usize> {
        if spec.topic_id == Uuid::METADATA_TOPIC || self.retired.contains(&spec.topic_id) {
            return None;
        }
        match self.find_partition(&spec.topic, spec.partition) {
            Some(index) => {
                if self.partitions[index].topic_id != spec.topic_id {
                    // The topic was deleted and created anew: nothing of the old one is promised.
                    self.retired.insert(self.partitions[index].topic_id);
                    self.partitions[index] = PartitionLedger::new(&spec.topic, spec.partition, spec.topic_id);
                    self.readers_moved(index);
                }
                Some(index)
            }
            None => {
                self.partitions.push(PartitionLedger::new(&spec.topic, spec.partition, spec.topic_id));
                Some(self.partitions.len() - 1)
            }
        }
    }

    /// A replica's log is ready; what of the ledger is in no log any more is lost.
    pub(crate) fn mounted(&mut self, event: u64, pid: Pid, index: usize, ends: (Offset, Offset), lost_power: bool) {
        let (log_start, end) = ends;
        let partition = &mut self.partitions[index];
        let label = partition.label();
        let is_durable = self.topics.get(&partition.topic).is_some_and(|it| it.durable);
        let replica = partition.replicas.entry(pid).or_default();
        replica.high_watermark = 0;
        replica.leads_from = end.0;
        let had = replica.epochs.end();
        if end.0 > had && (had > 0 || end.0 > log_start.0) {
            let what = format!("{label} ends at {end}, but only records up to {had} were appended");
            // No checksum covers a batch's offset.
            let is_rot = partition.rot_explains(pid, end.0);
            let verdict = if is_rot { Verdict::Allowed } else { Verdict::Bug };
            return self.find(event, Check::OffsetsDense, verdict, what);
        }
        let was_synced = replica.synced > end.0;
        let was_written = replica.written > end.0;
        // With `flush.messages=1` nothing is acknowledged, to producers or by followers, before it is on disk.
        if lost_power && had > end.0 && !is_durable {
            partition.losers.insert(pid);
        }
        if let Some(is_back) = partition.died.get_mut(&pid) {
            *is_back = true;
        }
        replica.epochs.cut(end.0);
        replica.written = replica.written.min(end.0);
        replica.synced = replica.synced.min(end.0);
        partition.rot_cut(pid, end.0);
        partition.log_start = partition.log_start.max(log_start.0);
        let acked = was_written && partition.acked_end > end.0;
        if partition.is_replicated() {
            let why = match (was_synced, lost_power) {
                // What is behind a rotten bit is cut off, and copied again.
                _ if partition.rot_explains(pid, end.0) => return self.gone(event, pid, index, lost_power),
                (true, _) => "they were synced to the disk",
                (false, false) if acked => "a crash of the process loses nothing that is written",
                (false, _) => return self.gone(event, pid, index, lost_power),
            };
            let name = self.name_of(pid);
            let what = format!("{label} has lost records from {end} on {name}: {why}");
            self.find(event, Check::AckedStays, Verdict::Bug, what);
            return;
        }
        let kept = if was_synced { Some("some of them were synced to the disk") } else { None };
        self.lose(event, pid, index, end, lost_power, kept);
    }

    /// A broker died. What it lost shows when its logs are mounted.
    pub(crate) fn broker_died(&mut self, pid: Pid) {
        for partition in self.partitions.iter_mut().filter(|it| it.replicas.contains_key(&pid)) {
            partition.died.insert(pid, false);
        }
    }

    /// A broker's disk is empty. Voters that are known by their directories are `renamed` by that.
    pub(crate) fn wiped(&mut self, event: u64, pid: Pid, renamed: bool) {
        self.broker_died(pid);
        self.quorum_wiped(pid, renamed);
        for index in 0..self.partitions.len() {
            let partition = &mut self.partitions[index];
            let Some(replica) = partition.replicas.get_mut(&pid) else { continue };
            *replica = Default::default();
            partition.losers.insert(pid);
            partition.rot_cut(pid, 0);
            self.gone(event, pid, index, true);
        }
    }

    /// The number of the partition whose log is in a folder of this name.
    pub(crate) fn numbered(&self, folder: &str) -> Option<usize> {
        self.partitions.iter().position(|it| it.label() == folder)
    }

    /// A broker gives its log of a partition up.
    pub(crate) fn removed(&mut self, pid: Pid, index: usize) {
        self.partitions[index].replicas.remove(&pid);
        self.partitions[index].losers.remove(&pid);
        self.partitions[index].rotten.retain(|it| it.spreads || it.replica != pid);
        self.partitions[index].died.remove(&pid);
    }

    /// A broker cuts its log of a partition, or begins it anew beyond its end.
    pub(crate) fn truncated(&mut self, event: u64, pid: Pid, index: usize, end: Offset) {
        if let Some(replica) = self.partitions[index].replicas.get_mut(&pid) {
            if end.0 > replica.epochs.end() {
                // Its leader's log starts there. Nothing that was on the disk stays.
                replica.epochs.begin_anew(end.0);
                (replica.written, replica.synced, replica.begins_at) = (0, 0, end.0);
            } else {
                replica.epochs.cut(end.0);
                replica.written = replica.written.min(end.0);
                replica.synced = replica.synced.min(end.0);
                // If that was committed, it is lost, and that is another check's matter.
                replica.high_watermark = replica.high_watermark.min(end.0);
            }
            self.partitions[index].rot_cut(pid, end.0);
            self.gone(event, pid, index, false);
        }
    }

    /// What no replica has any more is lost.
    fn gone(&mut self, event: u64, pid: Pid, index: usize, lost_power: bool) {
        let kept = self.partitions[index].kept();
        if kept < self.partitions[index].end() {
            self.lose(event, pid, index, Offset(kept), lost_power, None);
        }
    }

    /// True if elections, lost disks or rotten bits allow that a replica lacks, from an offset to another, even what is
    /// committed.
    pub(super) fn is_excused(&self, pid: Pid, index: usize, from: i64, to: i64) -> bool {
        self.partitions[index].rot_excuses(pid, from) || self.may_lack(index, to)
    }

    /// True if elections or lost disks allow that a replica lacks even what is committed below an offset.
    pub(super) fn may_lack(&self, index: usize, to: i64) -> bool {
        self.partitions[index].unclean_explains(to) || self.may_lose(index)
    }

    /// True if lost disks allow that a partition loses even what is committed.
    fn may_lose(&self, index: usize) -> bool {
        let partition = &self.partitions[index];
        let promise = self.topics.get(&partition.topic).cloned().unwrap_or_default();
        !partition.is_replicated() || self.disks_lost(index, &promise)
    }

    /// True if as many brokers died as must have a committed record, and one of them has lost it.
    fn disks_lost(&self, index: usize, promise: &Promise) -> bool {
        let partition = &self.partitions[index];
        !partition.losers.is_empty() && partition.died.len() >= promise.min_isr
    }

    /// All from an offset on is lost by a replica; `broken` says why that must not be.
    fn lose(&mut self, event: u64, pid: Pid, index: usize, end: Offset, lost_power: bool, broken: Option<&str>) {
        let excused = self.partitions[index].rot_excuses(pid, end.0) || self.may_lose(index);
        let lost = self.partitions[index].cut(end, excused);
        if lost.records == 0 {
            return;
        }
        for author in &lost.authors {
            self.unplaced(*author);
            self.is_odd(*author);
        }
        for reader in self.clients.iter_mut().flatten().filter_map(|it| it.read.get_mut(index)) {
            if reader.next.is_some_and(|next| next > end.0) {
                reader.cut_to = Some(reader.cut_to.map_or(end.0, |before| before.min(end.0)));
            }
        }
        let partition = &self.partitions[index];
        let promise = self.topics.get(&partition.topic).cloned().unwrap_or_default();
        let (disks_lost, is_rot) = (self.disks_lost(index, &promise), partition.rot_excuses(pid, end.0));
        let (verdict, why) = match (lost.acked, lost_power) {
            _ if broken.is_some() => (Verdict::Bug, broken.unwrap_or_default()),
            _ if partition.is_replicated() => match (lost.acked, lost.committed) {
                (0, 0) => (Verdict::Kept, SENT_AGAIN),
                (_, 0) => (
                    Verdict::Allowed,
                    "acks=1 waits for the leader alone, which is gone or was replaced before the others had them",
                ),
                _ if is_rot => (Verdict::Allowed, "a bit of a log rotted, and who had it whole was not in sync"),
                _ if lost.newer == 0 && promise.unclean => {
                    (Verdict::Allowed, "unclean.leader.election.enable lets a replica lead that was not in sync")
                }
                _ if lost.newer == 0 => {
                    (Verdict::Allowed, "an unclean election was asked for, and who leads since was not in sync")
                }
                _ if disks_lost => {
                    (Verdict::Allowed, "as many brokers as min.insync.replicas died or lost what was on their disks")
                }
                _ => (Verdict::Bug, "all replicas in sync had them, and no lost disks explain it"),
            },
            (0, _) => (Verdict::Kept, SENT_AGAIN),
            _ if is_rot => (Verdict::Allowed, "a bit of them rotted, and no replica has them"),
            (_, true) if promise.durable => {
                (Verdict::Bug, "with flush.messages=1 nothing is acknowledged before it is on disk")
            }
            (_, true) => (
                Verdict::Allowed,
                "they were acknowledged and not on disk when the power was cut: Kafka syncs a log only as flush.messages and flush.ms say, and no replica has them",
            ),
            (_, false) => (Verdict::Bug, "acknowledged records must survive a crash of the process"),
        };
        let label = partition.label();
        let of = TopicPartition { topic: partition.topic.clone(), partition: partition.partition };
        let place = if lost.records == 1 { format!("at {end}") } else { format!("from {end} on") };
        let subject = if lost.acked > 0 { lost.acked } else { lost.records };
        let (s, are) = if subject == 1 { ("", "is") } else { ("s", "are") };
        let what = match (lost.acked, lost.records - lost.acked) {
            (0, count) => format!("{count} record{s} {are} gone from {label}, {place}: {why}"),
            (acked, 0) => format!("{acked} acknowledged record{s} of {label}, {place}, {are} lost: {why}"),
            (acked, others) => format!(
                "{acked} acknowledged record{s} of {label}, {place}, {are} lost: {why}; of {others} more {SENT_AGAIN}"
            ),
        };
        let cut = Cut { event, from: end.0, to: end.0 + lost.records as i64, verdict };
        self.partitions[index].cuts.push(cut);
        self.partitions[index].forgive();
        self.find_lost(event, verdict, what, lost.acked, of);
    }

    /// Records of a partition are lost, so many acknowledged ones among them.
    pub(super) fn find_lost(&mut self, event: u64, verdict: Verdict, what: String, acked: u64, of: TopicPartition) {
        let found = self.findings.len();
        self.find(event, Check::AckedStays, verdict, what);
        if let Some(finding) = self.findings.get_mut(found) {
            (finding.acked, finding.partition) = (acked, Some(of));
        }
    }

    /// The disk has written a replica's batches up to this offset.
    pub(crate) fn written(&mut self, pid: Pid, index: usize, end: Offset) {
        if let Some(replica) = self.partitions[index].replicas.get_mut(&pid) {
            replica.written = replica.written.max(end.0);
        }
    }

    /// The disk has synced a replica's log.
    pub(crate) fn synced(&mut self, pid: Pid, index: usize) {
        if let Some(replica) = self.partitions[index].replicas.get_mut(&pid) {
            replica.synced = replica.written;
        }
    }

    /// A broker appends batches: a leader new ones, a follower those of its leader.
    pub(crate) fn appended(&mut self, event: u64, pid: Pid, index: usize, batches: &Batches) {
        for (head, payload) in batches.iter() {
            let (base, next) = (head.base_offset.0, head.next_offset().0);
            let partition = &mut self.partitions[index];
            let replica = partition.replicas.entry(pid).or_default();
            let end = replica.epochs.end();
            let is_behind = base < end;
            let before = replica.epochs.at(base - 1);
            replica.epochs.push(head.leader_epoch.0, base, next);
            if end == base && partition.epochs.last() < head.leader_epoch.0 {
                self.elected(index, pid, head.leader_epoch.0);
                self.take_over(event, pid, index, base);
            }
            let partition = &self.partitions[index];
            let place = partition.place(head);
            let is_gap = matches!(place, Place::Gap) || (base != end && matches!(place, Place::New));
            if is_behind || is_gap {
                let what = format!("{} gets offset {base} where {end} is next", partition.label());
                let is_rot = partition.rot_explains(pid, base.min(end));
                let verdict = if is_rot { Verdict::Allowed } else { Verdict::Bug };
                return self.find(event, Check::OffsetsDense, verdict, what);
            }
            match place {
                Place::New => {
                    self.lose(event, pid, index, head.base_offset, false, None);
                    if self.is_regained(event, pid, index, head) {
                        self.compare(event, pid, index, head, &payload);
                        continue;
                    }
                    self.led(event, pid, index, head.leader_epoch, head.base_offset);
                    self.partitions[index].epochs.push(head.leader_epoch.0, base, next);
                    self.append_new(event, index, head, &payload);
                }
                Place::Copy => {
                    let partition = &self.partitions[index];
                    let other = partition.epochs.at(base - 1).filter(|it| before.is_some_and(|own| own != *it));
                    if let Some(other) = other.filter(|_| !partition.compacted) {
                        let (label, own) = (partition.label(), before.unwrap_or(-1));
                        let what = format!(
                            "{} has at {label} {} a record of epoch {own} before one of epoch {}; its leader has one of epoch {other}",
                            self.name_of(pid),
                            base - 1,
                            head.leader_epoch
                        );
                        return self.find(event, Check::LogMatching, Verdict::Bug, what);
                    }
                    self.compare(event, pid, index, head, &payload);
                }
                Place::Stray | Place::Gap => {
                    let excused = self.partitions[index].rot_excuses(pid, base) || self.may_lose(index);
                    let partition = &mut self.partitions[index];
                    let excused = excused || head.leader_epoch.0 < partition.unclean_epoch;
                    let (origins, clients) = (&self.origins, &self.clients);
                    ledger::each_record(head, &payload, |offset, key, value| {
                        let print = Digest::of_record(key, value);
                        let author = origins.find(print, value, clients);
                        let entry = Entry::new(print, author, head.crc);
                        partition.strayed(offset, head.leader_epoch.0, entry, excused);
                    });
                }
            }
            self.partitions[index].forgive();
        }
    }

    /// A leader may commit what it has before it appends anything: a record that was in sync with it and gave way to one of
    /// a leader since, who was gone before anybody copied that.
    pub(super) fn begins_to_lead(&mut self, event: u64, pid: Pid, index: usize, epoch: LeaderEpoch) {
        let partition = &mut self.partitions[index];
        if let Some(replica) = partition.replicas.get_mut(&pid) {
            replica.leads_from = replica.epochs.end();
            replica.leads_in = Some(epoch.0);
        }
        if epoch.0 <= partition.epochs.last().max(partition.led_epoch) {
            return;
        }
        partition.led_epoch = epoch.0;
        self.elected(index, pid, epoch.0);
        let partition = &self.partitions[index];
        let end = partition.replicas.get(&pid).map_or(0, |it| it.epochs.end());
        self.take_over(event, pid, index, end);
    }

    /// A leader begins to append: its log is the partition's. Unclean elections may bring back what was lost to another leader.
    fn take_over(&mut self, event: u64, pid: Pid, index: usize, base: i64) {
        let partition = &self.partitions[index];
        let Some(replica) = partition.replicas.get(&pid) else { return };
        // Its new batch is in its log already, and in no other.
        let mut before = replica.epochs.clone();
        before.cut(base);
        let common = before.common(&partition.epochs);
        if common >= base {
            return;
        }
        self.lose(event, pid, index, Offset(common), false, None);
        self.regain(event, pid, index, base);
    }

    /// A follower copies what was lost to another leader, and is the partition's again as an unclean election brought it back.
    fn is_regained(&mut self, event: u64, pid: Pid, index: usize, head: &BatchHead) -> bool {
        let leader = self.partitions[index].leaders.get(&head.leader_epoch.0);
        if leader.is_none_or(|it| *it == pid) {
            return false;
        }
        self.regain(event, pid, index, head.next_offset().0);
        self.partitions[index].end() >= head.next_offset().0
    }

    fn regain(&mut self, event: u64, pid: Pid, index: usize, end: i64) {
        for (author, offset) in self.partitions[index].regain(pid, end) {
            // It is of an epoch that is over: no leader sends it anew.
            self.placed(event, index, offset, author, -1);
        }
        // Who had read them has read them still.
        let end = self.partitions[index].end();
        for reader in self.clients.iter_mut().flatten().filter_map(|it| it.read.get_mut(index)) {
            let next = reader.next.unwrap_or(0);
            reader.cut_to = reader.cut_to.map(|cut| cut.max(end)).filter(|cut| *cut < next);
        }
    }

    fn append_new(&mut self, event: u64, index: usize, head: &BatchHead, payload: &[u8]) {
        let mut last = None;
        let is_of_groups = *self.partitions[index].topic == *OFFSETS_TOPIC;
        ledger::each_record(head, payload, |_, key, value| {
            if let (true, Some(key)) = (is_of_groups, key) {
                self.written_of_group(key, value);
            }
            let print = Digest::of_record(key, value);
            let offset = self.partitions[index].end();
            let author = self.origins.find(print, value, &self.clients);
            self.partitions[index].push(Entry::new(print, author, head.crc));
            if let Some(author) = author {
                self.placed(event, index, offset, author, head.producer_epoch.0);
                last = Some((author, offset));
            }
        });
        if let Some((author, offset)) = last {
            self.partitions[index].repeats.appended(author, head.producer_epoch.0, offset);
        }
    }

    /// A follower has what its leader had.
    fn compare(&mut self, event: u64, pid: Pid, index: usize, head: &BatchHead, payload: &[u8]) {
        let mut differs = None;
        let partition = &self.partitions[index];
        if partition.entry(head.base_offset).is_some_and(|it| it.crc == head.crc) {
            return;
        }
        ledger::each_record(head, payload, |offset, key, value| {
            let print = Digest::of_record(key, value);
            if partition.entry(offset).is_none_or(|entry| entry.print != print) {
                differs.get_or_insert(offset);
            }
        });
        if let Some(offset) = differs {
            let label = partition.label();
            let (name, epoch) = (self.name_of(pid), head.leader_epoch);
            let what = format!("{name} has at {label} {offset} of epoch {epoch} another record than its leader");
            self.find(event, Check::LogMatching, Verdict::Bug, what);
        }
    }

    /// A broker appends as the leader of an epoch.
    fn led(&mut self, event: u64, pid: Pid, index: usize, epoch: LeaderEpoch, base: Offset) {
        let partition = &mut self.partitions[index];
        let leader = *partition.leaders.entry(epoch.0).or_insert(pid);
        if leader != pid {
            let label = partition.label();
            let (first, second) = (self.name_of(leader), self.name_of(pid));
            let what = format!("{first} and {second} append to {label} in epoch {epoch}, the second at {base}");
            self.find(event, Check::OneLeader, Verdict::Bug, what);
        }
    }

    /// A node leads the metadata quorum.
    pub(crate) fn controls(&mut self, event: u64, pid: Pid, epoch: LeaderEpoch) {
        let Some(leader) = self.controllers.get(&epoch.0).copied() else {
            self.controllers.insert(epoch.0, pid);
            return self.quorum_led(event, pid, epoch.0);
        };
        if leader != pid {
            let what = format!(
                "two nodes lead the metadata quorum in epoch {epoch}: {} and {}",
                self.name_of(leader),
                self.name_of(pid)
            );
            self.find(event, Check::OneLeader, Verdict::Bug, what);
        }
    }

    /// A record is lost: who sends it again does not repeat it.
    fn unplaced(&mut self, author: Author) {
        let client = self.clients.get_mut(usize::from(author.client.0)).and_then(Option::as_mut);
        if let Some(sent) = client.and_then(|client| client.sent.at_mut(author.number as usize)) {
            sent.appended = sent.appended.saturating_sub(1);
        }
    }
}

impl PartitionLedger {
    fn place(&self, head: &BatchHead) -> Place {
        let (base, epoch) = (head.base_offset.0, head.leader_epoch.0);
        match self.epochs.at(base) {
            Some(there) if there == epoch => Place::Copy,
            Some(there) if there < epoch => Place::New,
            Some(_) => Place::Stray,
            None if epoch < self.epochs.last() => Place::Stray,
            None if base > self.end() => Place::Gap,
            None => Place::New,
        }
    }
}
