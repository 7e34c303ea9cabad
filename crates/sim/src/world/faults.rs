//! What goes wrong in the world: processes die, packets stop, and what tests plant to see it found.

use bytes::Bytes;
use client::Outcome;
use protocol::message::{decode_versioned, encode_versioned};
use protocol::messages::ConsumerProtocolAssignment;
use protocol::records::{self, BatchBuilder, BatchHead, Compression, PureCompressors, Records};
use protocol::{ErrorCode, Request, RequestBody, ResponseBody, TopicPartition, Uuid, WallMs};
use storage::memory::{DiskCall, Fault};
use storage::{DirId, MemoryDisk};

use super::{ADMIN, ActionError, Kind, Power, World};
use crate::action::DiskFault;
use crate::check::Rot;
use crate::queue::{Due, Pid};
use crate::setup::PlantedBug;

impl World {
    /// A planted bug shows once in so many chances.
    pub(super) const RARELY: u64 = 20;

    pub(super) fn start(&mut self, name: &str) -> Result<(), ActionError> {
        let pid = self.pid(name)?;
        if self.process(pid).power.is_up() {
            return Err(ActionError(format!("{name} runs already")));
        }
        match self.process(pid).kind {
            Kind::Broker(_) => self.boot_node(pid),
            Kind::Client(_) => self.boot_client(pid),
            Kind::Wire(_) => self.process_mut(pid).power = Power::Up,
        }
        Ok(())
    }

    pub(super) fn kill(&mut self, name: &str) -> Result<(), ActionError> {
        let pid = self.running(name)?;
        match self.process(pid).kind {
            Kind::Broker(_) => {
                self.checks.broker_died(pid);
                self.end_node(pid, Power::Down);
            }
            Kind::Client(_) => self.end_client(pid, Power::Down),
            Kind::Wire(_) => return Err(ActionError(format!("{name} cannot be killed"))),
        }
        Ok(())
    }

    pub(super) fn power_cut(&mut self, name: &str, torn: bool) -> Result<(), ActionError> {
        let pid = self.broker_pid(name)?;
        if self.process(pid).power == Power::Dark {
            return Err(ActionError(format!("{name} has no power already")));
        }
        if torn && let Some(broker) = self.process_mut(pid).broker_mut() {
            broker.tear();
        }
        self.checks.broker_died(pid);
        self.end_node(pid, Power::Dark);
        Ok(())
    }

    pub(super) fn disk_full(&mut self, name: &str) -> Result<(), ActionError> {
        let disk = self.disk(name)?;
        let used = disk.used();
        disk.set_capacity(Some(used));
        Ok(())
    }

    pub(super) fn disk_error(&mut self, name: &str, fault: DiskFault) -> Result<(), ActionError> {
        let call = match fault {
            DiskFault::Read => DiskCall::Read,
            DiskFault::Write => DiskCall::Write,
            DiskFault::Sync => DiskCall::Sync,
        };
        self.disk(name)?.inject(Fault { call, path: String::new(), after: 0, lasting: true, full: false });
        Ok(())
    }

    pub(super) fn lose_directory(&mut self, name: &str, number: u16) -> Result<(), ActionError> {
        let dirs = self.process(self.broker_pid(name)?).broker().map_or(0, |it| it.config.log_dirs.len());
        if number == 0 || usize::from(number) > dirs {
            return Err(ActionError(format!("{name} has log directories 1 to {dirs}")));
        }
        self.disk(name)?.kill_dir(DirId(number - 1));
        Ok(())
    }

    pub(super) fn disk_heal(&mut self, name: &str) -> Result<(), ActionError> {
        let disk = self.disk(name)?;
        disk.set_capacity(None);
        disk.heal();
        Ok(())
    }

    pub(super) fn bit_rot(&mut self, name: &str, partition: &TopicPartition, at: u64) -> Result<(), ActionError> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let folder = format!("{}-{}/", partition.topic, partition.partition);
        let disk = self.disk(name)?;
        let (from, spreads) = hurt_by_rot(disk, &folder, at);
        if disk.rot(&folder, at) == 0 {
            return Err(ActionError(format!("{name} has no such byte of {partition}")));
        }
        let rot = Rot { replica: self.pid(name)?, from, spreads, is_cut: false };
        self.checks.rotted(&partition.topic, partition.partition, rot);
        Ok(())
    }

    fn disk(&mut self, name: &str) -> Result<&mut MemoryDisk, ActionError> {
        let pid = self.broker_pid(name)?;
        let broker = self.process_mut(pid).broker_mut();
        broker.map(|it| it.store.disk_mut()).ok_or_else(|| ActionError(format!("{name} is not a broker")))
    }

    pub(super) fn stop(&mut self, name: &str) -> Result<(), ActionError> {
        let pid = self.broker_pid(name)?;
        self.running(name)?;
        if self.process(pid).paused {
            return Err(ActionError(format!("{name} stands still")));
        }
        let process = self.process_mut(pid);
        process.power = Power::Stopping;
        let incarnation = process.incarnation;
        self.queue.push(self.clock, Due::Stop(pid, incarnation));
        Ok(())
    }

    pub(super) fn pause(&mut self, name: &str) -> Result<(), ActionError> {
        let pid = self.running(name)?;
        if std::mem::replace(&mut self.process_mut(pid).paused, true) {
            return Err(ActionError(format!("{name} stands still already")));
        }
        self.checks.member_stands(self.clock, pid, true);
        Ok(())
    }

    pub(super) fn resume(&mut self, name: &str) -> Result<(), ActionError> {
        let pid = self.pid(name)?;
        let process = self.process_mut(pid);
        if !std::mem::replace(&mut process.paused, false) {
            return Err(ActionError(format!("{name} does not stand still")));
        }
        let held = std::mem::take(&mut process.held);
        for due in held {
            self.queue.push(self.clock, due);
        }
        self.checks.member_stands(self.clock, pid, false);
        Ok(())
    }

    pub(super) fn cut(&mut self, a: &str, b: &str) -> Result<(), ActionError> {
        let (a, b) = self.two(a, b)?;
        let (there, back) = (self.cuts.insert((a, b)), self.cuts.insert((b, a)));
        if !there && !back {
            let (a, b) = (self.name(a), self.name(b));
            return Err(ActionError(format!("nothing passes between {a} and {b} already")));
        }
        Ok(())
    }

    pub(super) fn cut_one_way(&mut self, from: &str, to: &str) -> Result<(), ActionError> {
        let (from_pid, to_pid) = self.two(from, to)?;
        if !self.cuts.insert((from_pid, to_pid)) {
            return Err(ActionError(format!("nothing passes from {from} to {to} already")));
        }
        Ok(())
    }

    pub(super) fn wipe(&mut self, name: &str) -> Result<(), ActionError> {
        let pid = self.broker_pid(name)?;
        if self.process(pid).power.is_up() {
            return Err(ActionError(format!("{name} runs: its disk cannot be taken out")));
        }
        self.wipe_disk(pid);
        Ok(())
    }

    pub(super) fn heal(&mut self, a: &str, b: &str) -> Result<(), ActionError> {
        let pair = self.two(a, b)?;
        let (there, back) = (self.cuts.remove(&pair), self.cuts.remove(&(pair.1, pair.0)));
        if !there && !back {
            return Err(ActionError(format!("the way between {a} and {b} is not cut")));
        }
        self.release_links(pair.0, pair.1);
        Ok(())
    }

    pub(super) fn delay(&mut self, a: &str, b: &str, us: u64) -> Result<(), ActionError> {
        let (a, b) = self.two(a, b)?;
        let pair = World::pair(a, b);
        if us == 0 {
            self.delays.remove(&pair);
        } else {
            self.delays.insert(pair, us);
        }
        Ok(())
    }

    pub(super) fn slow_disk(&mut self, name: &str, us: u64) -> Result<(), ActionError> {
        let pid = self.broker_pid(name)?;
        if let Some(broker) = self.process_mut(pid).broker_mut() {
            broker.slow_us = us;
        }
        Ok(())
    }

    pub(super) fn skew_clock(&mut self, name: &str, ms: i64) -> Result<(), ActionError> {
        let pid = self.pid(name)?;
        self.process_mut(pid).wall_offset_ms = ms;
        Ok(())
    }

    fn running(&self, name: &str) -> Result<Pid, ActionError> {
        let pid = self.pid(name)?;
        if name == ADMIN {
            return Err(ActionError("the admin is not part of the play".into()));
        }
        if self.process(pid).power.is_up() { Ok(pid) } else { Err(ActionError(format!("{name} does not run"))) }
    }

    fn two(&self, a: &str, b: &str) -> Result<(Pid, Pid), ActionError> {
        let (first, second) = (self.pid(a)?, self.pid(b)?);
        if first == second {
            return Err(ActionError(format!("{a} has no way to itself")));
        }
        Ok((first, second))
    }

    pub(super) fn bug_shows(&mut self, bug: PlantedBug) -> bool {
        self.setup.bug == Some(bug) && self.bugs.once_in(World::RARELY)
    }

    /// [`PlantedBug::AppendsTwice`]: the same records once more, from nobody.
    pub(super) fn plant_copy(&mut self, request: &Request) -> Option<Request> {
        let RequestBody::Produce(produce) = &request.body else { return None };
        if !self.bug_shows(PlantedBug::AppendsTwice) {
            return None;
        }
        let mut copy = produce.clone();
        for data in copy.topic_data.iter_mut().flat_map(|it| &mut it.partition_data) {
            let bytes = match data.records.take()? {
                Records::Bytes(bytes) | Records::Refused(bytes, _) => bytes,
                Records::Batches(batches) => batches.to_bytes(),
                Records::Regions(_) => return None,
            };
            let (head, records) = records::read(&bytes, &PureCompressors).next()?.ok()?;
            let mut builder = BatchBuilder::new(head.attributes.compression());
            for record in records {
                builder.push(
                    WallMs(record.timestamp.0),
                    record.key.as_deref(),
                    record.value.as_deref(),
                    &record.headers,
                );
            }
            data.records = Some(Records::Bytes(builder.build(&PureCompressors).ok()?));
        }
        let mut request = Request { body: RequestBody::Produce(copy), ..request.clone() };
        // Nobody waits for the answer to the copy.
        request.correlation_id = -1;
        Some(request)
    }

    /// The planted bugs in answers to clients.
    pub(super) fn plant_into(&mut self, client: Pid, body: &mut ResponseBody) {
        if self.setup.bug.is_none() {
            return;
        }
        let ResponseBody::Fetch(fetch) = body else { return self.plant_into_group(client, body) };
        for partition in fetch.responses.iter_mut().flat_map(|it| &mut it.partitions) {
            let Some(Records::Bytes(bytes)) = &partition.records else { continue };
            let Some(last) = last_base(bytes) else { continue };
            if self.bug_shows(PlantedBug::SkipsOffsets) {
                let first = BatchHead::decode(bytes).map_or(0, |head| head.size());
                partition.records = Some(Records::Bytes(bytes.slice(first..)));
            } else if self.bug_shows(PlantedBug::MovesHighWatermarkBack) {
                partition.high_watermark = 0;
            } else if self.bug_shows(PlantedBug::ReadsBeyondHighWatermark) {
                partition.high_watermark = last;
            }
        }
    }

    /// The planted bugs in what nodes tell each other.
    pub(super) fn plant_between(&mut self, leader: Pid, follower: Pid, body: &mut ResponseBody) {
        match (self.setup.bug, body) {
            (Some(PlantedBug::ServesOtherRecords), ResponseBody::Fetch(fetch)) => {
                if !self.bug_shows(PlantedBug::ServesOtherRecords) {
                    return;
                }
                for partition in fetch.responses.iter_mut().filter(|it| it.topic_id != Uuid::METADATA_TOPIC) {
                    partition.partitions.iter_mut().for_each(|it| alter_records(&mut it.records));
                }
            }
            (Some(PlantedBug::ServesOtherMetadata), ResponseBody::Fetch(fetch)) => {
                for topic in fetch.responses.iter_mut().filter(|it| it.topic_id == Uuid::METADATA_TOPIC) {
                    let is_shown = self.bugs.once_in(World::RARELY);
                    topic.partitions.iter_mut().filter(|_| is_shown).for_each(|it| alter_records(&mut it.records));
                }
            }
            (Some(PlantedBug::ForgetsWhatIsAsked), ResponseBody::Fetch(fetch)) => {
                self.refusals.answered((leader, follower), fetch);
            }
            (Some(PlantedBug::StarvesFollower), ResponseBody::Fetch(fetch)) if follower == Pid(0) => {
                for topic in fetch.responses.iter_mut().filter(|it| it.topic_id != Uuid::METADATA_TOPIC) {
                    topic.partitions.iter_mut().for_each(|it| it.records = None);
                }
            }
            _ => {}
        }
    }

    /// The planted bugs in what members of groups are told.
    fn plant_into_group(&mut self, client: Pid, body: &mut ResponseBody) {
        let Some(bug) = self.setup.bug else { return };
        match (bug, body) {
            (PlantedBug::AssignsAll, ResponseBody::SyncGroup(it)) if !it.assignment.is_empty() => {
                if let Some(all) = self.all_of(&it.assignment) {
                    it.assignment = all;
                }
            }
            (PlantedBug::AssignsAll, ResponseBody::ConsumerGroupHeartbeat(it)) => {
                let Some(assignment) = &mut it.assignment else { return };
                for topic in &mut assignment.topic_partitions {
                    let ends = self.checks.partitions_of(topic.topic_id);
                    topic.partitions = (0..ends).collect();
                }
            }
            (PlantedBug::MovesEpochBack, ResponseBody::ConsumerGroupHeartbeat(it)) if it.member_epoch > 1 => {
                it.member_epoch -= i32::from(self.bug_shows(bug));
            }
            (PlantedBug::ForgetsCommits, ResponseBody::OffsetFetch(it)) => {
                let partitions = it.groups.iter_mut().flat_map(|it| &mut it.topics).flat_map(|it| &mut it.partitions);
                for partition in partitions.filter(|it| it.committed_offset > 0) {
                    partition.committed_offset -= 1;
                }
            }
            (PlantedBug::RefusesMember, body) if &*self.process(client).name == "m1" => match body {
                ResponseBody::ConsumerGroupHeartbeat(it) => it.error_code = ErrorCode::FencedMemberEpoch.code(),
                ResponseBody::SyncGroup(it) => it.error_code = ErrorCode::RebalanceInProgress.code(),
                _ => {}
            },
            _ => {}
        }
    }

    /// An assignment of the classic protocol with all partitions of its topics.
    fn all_of(&self, assignment: &Bytes) -> Option<Bytes> {
        let (version, mut decoded) = decode_versioned::<ConsumerProtocolAssignment>(assignment.clone()).ok()?;
        for it in &mut decoded.assigned_partitions {
            let count = self.checks.ends().filter(|end| *end.0 == it.topic).count();
            it.partitions = (0..count as i32).collect();
        }
        encode_versioned(&mut decoded, version).ok()
    }

    /// The planted bugs in what members of groups ask for.
    pub(super) fn plant_into_request(&mut self, from: Pid, to: Pid, body: &mut RequestBody) {
        let Some(bug) = self.setup.bug else { return };
        match (bug, body) {
            (PlantedBug::ForgetsWhatIsAsked, RequestBody::Fetch(it)) if self.process(from).broker().is_some() => {
                self.refusals.forget((to, from), it);
            }
            (PlantedBug::CommitsAhead, RequestBody::OffsetCommit(it)) => {
                let partitions = it.topics.iter_mut().flat_map(|it| &mut it.partitions);
                partitions.for_each(|it| it.committed_offset += 1 << 32);
            }
            (PlantedBug::ForgetsPartition, RequestBody::SyncGroup(it)) => {
                if let [first, others @ ..] = &mut it.assignments[..] {
                    others.iter_mut().for_each(|it| it.assignment.clone_from(&first.assignment));
                }
            }
            (_, body) => self.plant_boast(body),
        }
    }

    /// The planted bug in what a candidate says of itself.
    fn plant_boast(&self, body: &mut RequestBody) {
        if let (Some(PlantedBug::BoastsOfLog), RequestBody::Vote(vote)) = (self.setup.bug, body) {
            let partitions = vote.topics.iter_mut().flat_map(|it| &mut it.partitions);
            // Of an empty log nobody would believe it: so begin new clusters.
            for partition in partitions.filter(|it| it.last_offset > 0) {
                // No log has records of the epoch that is voted for.
                let newest = partition.replica_epoch - i32::from(!partition.pre_vote);
                (partition.last_offset_epoch, partition.last_offset) = (newest, i64::MAX);
            }
        }
    }

    /// [`PlantedBug::DeniesWrites`].
    pub(super) fn plant_denial(&mut self, outcome: Outcome) -> Outcome {
        if matches!(outcome, Outcome::Ok(_)) && self.bug_shows(PlantedBug::DeniesWrites) {
            let failure = client::Failure::new(client::Cause::TimedOut, "planted");
            return Outcome::Failed(failure);
        }
        outcome
    }
}

/// Where the first batch begins that is hurt if the byte so far from the end of each file is not what it was, and whether others may
/// take that for good.
fn hurt_by_rot(disk: &MemoryDisk, folder: &str, at: usize) -> (i64, bool) {
    // Offset, length, epoch and version of a batch; all behind them is covered by the checksum.
    const UNCOVERED: usize = 17;
    let (mut from, mut spreads) = (i64::MAX, false);
    for file in disk.survey().iter().filter(|it| it.path.contains(folder)) {
        let Some(bytes) = disk.contents(file.dir, &file.path) else { continue };
        let Some(place) = bytes.len().checked_sub(at + 1) else { continue };
        let name = file.path.rsplit('/').next().unwrap_or_default();
        // What is no segment is of the whole log, and an index of its segment.
        let base = name.split_once('.').and_then(|it| it.0.parse().ok()).unwrap_or(0);
        let (mut hurt, mut is_deceiving, mut begin) = (base, true, 0);
        while name.ends_with(".log")
            && let Ok(head) = BatchHead::decode(&bytes[begin.min(bytes.len())..])
        {
            hurt = head.base_offset.0.max(base);
            let end = begin + head.size();
            if place < end {
                is_deceiving = place < begin + UNCOVERED;
                break;
            }
            begin = end;
        }
        from = from.min(hurt);
        spreads |= is_deceiving;
    }
    (from, spreads)
}

/// The last byte of a batch is another, and its checksum fits.
fn alter_records(records: &mut Option<Records>) {
    let Some(Records::Bytes(bytes)) = records else { return };
    let Ok(head) = BatchHead::decode(bytes) else { return };
    if head.size() > bytes.len() || head.attributes.compression() != Compression::None {
        return;
    }
    let mut altered = bytes[..head.size()].to_vec();
    if let [.., value, _headers] = &mut altered[..] {
        *value ^= 1;
    }
    // The checksum is at 17, and is of all that follows it.
    let crc = records::crc32c(&altered[21..]);
    altered[17..21].copy_from_slice(&crc.to_be_bytes());
    *records = Some(Records::Bytes(altered.into()));
}

/// The base offset of the last whole batch, if there are two or more.
fn last_base(bytes: &[u8]) -> Option<i64> {
    let (mut at, mut count, mut last) = (0, 0, None);
    while let Ok(head) = BatchHead::decode(&bytes[at.min(bytes.len())..])
        && at + head.size() <= bytes.len()
    {
        last = Some(head.base_offset.0);
        at += head.size();
        count += 1;
    }
    last.filter(|_| count >= 2)
}
