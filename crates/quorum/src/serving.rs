//! What a leader gives to those who fetch its log and its snapshots.

use protocol::messages::{
    FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse, fetch_request, fetch_response,
    fetch_snapshot_request, fetch_snapshot_response,
};
use protocol::records::Records;
use protocol::{ErrorCode, Instant, LeaderEpoch, NodeId, Now, Offset, Region, Uuid};
use storage::{Plan, SnapshotId, StoreOp};

use crate::leading::Leader;
use crate::log::Standing;
use crate::messages;
use crate::ops::Purpose;
use crate::role::Role;
use crate::voters::ReplicaKey;
use crate::{Output, Quorum, TOPIC};

/// A fetch that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) token: u64,
    version: i16,
    key: ReplicaKey,
    epoch: LeaderEpoch,
    offset: Offset,
    last_epoch: LeaderEpoch,
    /// The high watermark as the replica knows it.
    high_watermark: i64,
    max_bytes: u32,
    /// It is answered by then, with nothing if there is nothing.
    pub(crate) until: Instant,
}

impl Quorum {
    pub(crate) fn handle_fetch(
        &mut self,
        now: Now,
        token: u64,
        version: i16,
        request: &FetchRequest,
        out: &mut Output,
    ) {
        if let Some(error) = self.refuse(&request.cluster_id) {
            return self.reply(token, FetchResponse { error_code: error.code(), ..Default::default() }, out);
        }
        let Some(it) = only_partition(request) else {
            let error_code = ErrorCode::InvalidRequest.code();
            return self.reply(token, FetchResponse { error_code, ..Default::default() }, out);
        };
        let is_illegal = request.max_wait_ms < 0
            || it.fetch_offset < 0
            || it.last_fetched_epoch < 0
            || it.last_fetched_epoch > it.current_leader_epoch;
        let replica_id = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
        let waiting = Waiting {
            token,
            version,
            key: ReplicaKey { id: NodeId(replica_id), directory_id: it.replica_directory_id },
            epoch: LeaderEpoch(it.current_leader_epoch),
            offset: Offset(it.fetch_offset),
            last_epoch: LeaderEpoch(it.last_fetched_epoch),
            high_watermark: it.high_watermark,
            max_bytes: request.max_bytes.max(0).unsigned_abs(),
            until: now.mono.plus_ms(i64::from(request.max_wait_ms)),
        };
        let error = if is_illegal { Err(ErrorCode::InvalidRequest) } else { self.check_leader(waiting.epoch) };
        if let Err(error) = error {
            return self.refuse_fetch(&waiting, error, out);
        }
        if self.log.standing(waiting.offset, waiting.last_epoch) == Standing::Valid {
            self.note_progress(now, waiting.key, Some(waiting.offset));
            self.advance(now, out);
        }
        self.serve(now, waiting, out);
    }

    /// Who fetches must know the epoch, and this node lead it.
    pub(crate) fn check_leader(&self, epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        if epoch < self.epoch {
            Err(ErrorCode::FencedLeaderEpoch)
        } else if epoch > self.epoch {
            Err(ErrorCode::UnknownLeaderEpoch)
        } else if matches!(self.role, Role::Leader(_)) {
            Ok(())
        } else {
            Err(ErrorCode::NotLeaderOrFollower)
        }
    }

    fn refuse_fetch(&mut self, waiting: &Waiting, error: ErrorCode, out: &mut Output) {
        let partition = fetch_response::PartitionData {
            error_code: error.code(),
            high_watermark: -1,
            records: Some(Records::default()),
            ..Default::default()
        };
        let response = messages::fetch_response(waiting.version, &self.regime(), partition);
        self.reply(waiting.token, response, out);
    }

    /// Answers, or has it wait.
    fn serve(&mut self, now: Now, waiting: Waiting, out: &mut Output) {
        let mut partition = fetch_response::PartitionData {
            high_watermark: self.established().map_or(-1, |mark| mark.0),
            log_start_offset: self.log.start().0,
            records: Some(Records::default()),
            ..Default::default()
        };
        match self.log.standing(waiting.offset, waiting.last_epoch) {
            Standing::Diverging(epoch, end) => {
                partition.diverging_epoch = fetch_response::EpochEndOffset { epoch: epoch.0, end_offset: end.0 };
            }
            Standing::Snapshot(id) => {
                partition.snapshot_id = fetch_response::SnapshotId { end_offset: id.end.0, epoch: id.epoch.0 };
            }
            Standing::Valid => match self.plan(&waiting) {
                Plan::Regions(regions, _) => partition.records = Some(Records::Regions(regions)),
                Plan::Seek(seek) => {
                    let (log, era) = (self.setup.log, self.log.shape.as_ref().map(|it| it.era()).unwrap_or_default());
                    self.ops.ask(Purpose::Find(self.epoch, waiting.token), StoreOp::Find(log, era, seek), out);
                    if let Role::Leader(leader) = &mut self.role {
                        leader.finding.insert(waiting.token, waiting);
                    }
                    return;
                }
                Plan::Empty | Plan::OutOfRange => {
                    let has_news = waiting.high_watermark < partition.high_watermark;
                    if !has_news && waiting.until > now.mono {
                        if let Role::Leader(leader) = &mut self.role {
                            leader.waiting.push(waiting);
                        }
                        return;
                    }
                }
            },
        }
        let response = messages::fetch_response(waiting.version, &self.regime(), partition);
        self.reply(waiting.token, response, out);
    }

    fn plan(&self, waiting: &Waiting) -> Plan {
        let Some(shape) = &self.log.shape else { return Plan::Empty };
        shape.plan_read(waiting.offset, shape.end(), waiting.max_bytes.max(1))
    }

    /// The high watermark of this epoch, as far as it is known to hold.
    fn established(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader(leader) => leader.high_watermark,
            _ => None,
        }
    }

    /// There may be something new for those who wait: batches were written, or the high watermark has moved.
    pub(crate) fn serve_waiting(&mut self, now: Now, out: &mut Output) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.waiting.is_empty() {
            return;
        }
        for waiting in std::mem::take(&mut leader.waiting) {
            self.serve(now, waiting, out);
        }
    }

    /// Those who have waited long enough are told that there is nothing.
    pub(crate) fn serve_expired(&mut self, now: Now, out: &mut Output) {
        self.serve_waiting(now, out);
    }

    pub(crate) fn found(&mut self, epoch: LeaderEpoch, token: u64, regions: Vec<Region>, out: &mut Output) {
        let Some(waiting) = self.take_finding(epoch, token) else { return };
        let partition = fetch_response::PartitionData {
            high_watermark: self.established().map_or(-1, |mark| mark.0),
            log_start_offset: self.log.start().0,
            records: Some(Records::Regions(regions)),
            ..Default::default()
        };
        let response = messages::fetch_response(waiting.version, &self.regime(), partition);
        self.reply(token, response, out);
    }

    pub(crate) fn find_failed(&mut self, epoch: LeaderEpoch, token: u64, out: &mut Output) {
        if let Some(waiting) = self.take_finding(epoch, token) {
            self.refuse_fetch(&waiting, ErrorCode::UnknownServerError, out);
        }
    }

    /// A fetch of this epoch: those of others were turned away.
    fn take_finding(&mut self, epoch: LeaderEpoch, token: u64) -> Option<Waiting> {
        match &mut self.role {
            Role::Leader(leader) if epoch == self.epoch => leader.finding.remove(&token),
            _ => None,
        }
    }

    /// Leads no more: who waits is told whom to ask, as far as that is known.
    pub(crate) fn turn_away(&mut self, leader: Leader, out: &mut Output) {
        if let Some(change) = leader.change {
            self.abandon_change(change, ErrorCode::NotLeaderOrFollower, out);
        }
        for waiting in leader.waiting.into_iter().chain(leader.finding.into_values()) {
            self.refuse_fetch(&waiting, ErrorCode::NotLeaderOrFollower, out);
        }
    }

    pub(crate) fn handle_fetch_snapshot(
        &mut self,
        now: Now,
        token: u64,
        version: i16,
        request: &FetchSnapshotRequest,
        out: &mut Output,
    ) {
        if let Some(error) = self.refuse(&request.cluster_id) {
            return self.reply(token, FetchSnapshotResponse { error_code: error.code(), ..Default::default() }, out);
        }
        let Some(it) = only_snapshot(request) else {
            let error_code = ErrorCode::InvalidRequest.code();
            return self.reply(token, FetchSnapshotResponse { error_code, ..Default::default() }, out);
        };
        let partition = self.snapshot_part(request.max_bytes, it);
        let is_served = partition.is_ok();
        let partition = partition.unwrap_or_else(|error| fetch_snapshot_response::PartitionSnapshot {
            error_code: error.code(),
            unaligned_records: Some(Records::default()),
            ..Default::default()
        });
        if is_served {
            let key = ReplicaKey { id: NodeId(request.replica_id), directory_id: it.replica_directory_id };
            self.note_progress(now, key, None);
        }
        let response = messages::fetch_snapshot_response(version, &self.regime(), partition);
        self.reply(token, response, out);
    }

    fn snapshot_part(
        &self,
        max_bytes: i32,
        it: &fetch_snapshot_request::PartitionSnapshot,
    ) -> Result<fetch_snapshot_response::PartitionSnapshot, ErrorCode> {
        if it.partition != 0 {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        self.check_leader(LeaderEpoch(it.current_leader_epoch))?;
        let id = SnapshotId { end: Offset(it.snapshot_id.end_offset), epoch: LeaderEpoch(it.snapshot_id.epoch) };
        // What a cluster began with is in the first leader's log.
        let snapshot = self.log.snapshot.as_ref().filter(|it| it.id == id && id.end > Offset(0));
        let bytes = &snapshot.ok_or(ErrorCode::SnapshotNotFound)?.bytes;
        let from = usize::try_from(it.position).ok().filter(|from| *from < bytes.len());
        let from = from.ok_or(ErrorCode::PositionOutOfRange)?;
        let most = usize::try_from(max_bytes).unwrap_or(0).max(1);
        let part = bytes.slice(from..bytes.len().min(from.saturating_add(most)));
        Ok(fetch_snapshot_response::PartitionSnapshot {
            snapshot_id: fetch_snapshot_response::SnapshotId { end_offset: id.end.0, epoch: id.epoch.0 },
            size: bytes.len() as i64,
            position: it.position,
            unaligned_records: Some(Records::Bytes(part)),
            ..Default::default()
        })
    }
}

fn only_partition(request: &FetchRequest) -> Option<&fetch_request::FetchPartition> {
    let [topic] = request.topics.as_slice() else { return None };
    let is_ours = topic.topic_id == Uuid::METADATA_TOPIC || (topic.topic_id.is_zero() && topic.topic == *TOPIC);
    match topic.partitions.as_slice() {
        [partition] if is_ours && partition.partition == 0 => Some(partition),
        _ => None,
    }
}

fn only_snapshot(request: &FetchSnapshotRequest) -> Option<&fetch_snapshot_request::PartitionSnapshot> {
    match request.topics.as_slice() {
        [topic] if topic.name == *TOPIC => match topic.partitions.as_slice() {
            [partition] => Some(partition),
            _ => None,
        },
        _ => None,
    }
}
