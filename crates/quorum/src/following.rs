//! Following a leader: fetching its log, cutting what it does not have, taking its snapshot.

use bytes::{Bytes, BytesMut};
use protocol::messages::{FetchRequest, FetchResponse, FetchSnapshotResponse, fetch_response, fetch_snapshot_response};
use protocol::records::{Batches, CheckRules, PureCompressors, Records, check};
use protocol::{ErrorCode, LeaderEpoch, Now, Offset, RequestBody, ResponseBody, Uuid};
use storage::{Cell, Snapshot, SnapshotId, StoreError, StoreOp};

use crate::calls::{InFlight, Kind};
use crate::history::History;
use crate::log::Fetching;
use crate::messages::{self, FetchFrom};
use crate::ops::Purpose;
use crate::role::Role;
use crate::{Output, Quorum, TOPIC, snapshot};

/// How long a leader may hold a fetch back that has nothing to say, as in Kafka.
const MAX_WAIT_MS: i32 = 500;
/// The most that a snapshot may have: a leader that announces more is not believed.
const MAX_SNAPSHOT: i64 = 1 << 31;

impl Quorum {
    pub(crate) fn step_follower(&mut self, now: Now, out: &mut Output) -> bool {
        let Role::Follower(follower) = &self.role else { return false };
        if follower.until <= now.mono && self.is_voter() {
            self.become_prospective(now, out);
            return true;
        }
        self.tell_wish(now, out);
        let Role::Follower(follower) = &self.role else { return false };
        if !self.log.is_idle() {
            // What an epoch as leader left behind is on disk before it is spoken of.
            self.log.flush(&mut self.ops, out);
            return false;
        }
        if self.calls.is_fetching() {
            return false;
        }
        let leader = follower.leader.clone();
        if !self.calls.is_ready(leader.node, now.mono) {
            // Another may know a later leader.
            self.discover(now, out);
            return false;
        }
        match &follower.snapshot {
            Some(fetching) => {
                let (id, position) = (fetching.id, fetching.bytes.len());
                let request = messages::fetch_snapshot_request(&self.setup, self.epoch, id, position);
                self.call(leader, Kind::Snapshot, RequestBody::FetchSnapshot(request), out);
            }
            None => {
                let request = self.fetch_request();
                self.call(leader, Kind::Fetch, RequestBody::Fetch(request), out);
            }
        }
        false
    }

    /// A fetch from the end of this log, which is on disk: so it tells the leader how far this voter is.
    pub(crate) fn fetch_request(&self) -> FetchRequest {
        let from = FetchFrom {
            epoch: self.epoch,
            offset: self.log.end(),
            last_epoch: self.log.last_epoch(),
            high_watermark: self.log.high_watermark,
            max_wait_ms: MAX_WAIT_MS,
        };
        messages::fetch_request(&self.setup, &from)
    }

    /// An answer came. False if it was of no use, so that the peer is left alone for a moment.
    pub(crate) fn heard(&mut self, now: Now, call: InFlight, body: ResponseBody, out: &mut Output) -> bool {
        match (call.kind, body) {
            (Kind::Vote { pre }, ResponseBody::Vote(response)) => {
                let [topic] = response.topics.as_slice() else { return false };
                let [it] = topic.partitions.as_slice() else { return false };
                if !self.learn(now, call.to, messages::heard_of_vote(&response, it), out) {
                    if it.error_code != 0 {
                        return false;
                    }
                    self.voted_on(now, call, pre, it.vote_granted);
                }
                true
            }
            (Kind::Begin, ResponseBody::BeginQuorumEpoch(response)) => {
                let [topic] = response.topics.as_slice() else { return false };
                let [it] = topic.partitions.as_slice() else { return false };
                self.learn(now, call.to, messages::heard_of_begin(&response, it), out) || it.error_code == 0
            }
            (Kind::End, ResponseBody::EndQuorumEpoch(response)) => {
                let [topic] = response.topics.as_slice() else { return false };
                let [it] = topic.partitions.as_slice() else { return false };
                let is_done =
                    self.learn(now, call.to, messages::heard_of_end(&response, it), out) || it.error_code == 0;
                if let Role::Resigned(resigned) = &mut self.role
                    && is_done
                {
                    resigned.unacknowledged.remove(&call.to);
                }
                is_done
            }
            (Kind::Fetch, ResponseBody::Fetch(response)) => self.fetched(now, call, response, out),
            (Kind::Snapshot, ResponseBody::FetchSnapshot(response)) => self.snapshot_fetched(now, call, response, out),
            (Kind::Versions, ResponseBody::ApiVersions(response)) => {
                self.versions_heard(now, call, Some(&response), out)
            }
            (Kind::UpdateVoter, ResponseBody::UpdateRaftVoter(response)) => {
                self.voter_updated(now, call, messages::heard_of_update(&response), out)
            }
            (Kind::AddVoter, ResponseBody::AddRaftVoter(response)) => {
                self.wish_answered(now, call, ErrorCode::from_code(response.error_code))
            }
            (Kind::RemoveVoter, ResponseBody::RemoveRaftVoter(response)) => {
                self.wish_answered(now, call, ErrorCode::from_code(response.error_code))
            }
            _ => false,
        }
    }

    fn fetched(&mut self, now: Now, call: InFlight, mut response: FetchResponse, out: &mut Output) -> bool {
        let Some(it) = only_partition(&mut response) else { return false };
        let leader = self.leader_id;
        if self.learn(now, call.to, messages::heard_of_fetch(&response, &it), out) {
            return leader != self.leader_id;
        }
        let Role::Follower(follower) = &self.role else { return false };
        // A bootstrap server is not known by its number; only a leader answers without an error.
        if it.error_code != 0 || (call.to.0 >= 0 && call.to != follower.leader.node) {
            return false;
        }
        match self.take(now, it, out) {
            Ok(true) => self.heard_from_leader(now),
            // Bytes that do not hold are fetched again.
            Ok(false) => return false,
            Err(error) => self.fail(error, out),
        }
        true
    }

    pub(crate) fn heard_from_leader(&mut self, now: Now) {
        self.suspicions = 0;
        if let Role::Follower(follower) = &mut self.role {
            follower.is_content = true;
            follower.until = now.mono.plus_ms(self.setup.fetch_timeout_ms);
        }
    }

    /// What the leader has for this node. False if it is of no use.
    fn take(&mut self, now: Now, it: fetch_response::PartitionData, out: &mut Output) -> Result<bool, StoreError> {
        let synced = self.log.synced_end();
        let diverging = &it.diverging_epoch;
        if diverging.epoch >= 0 {
            return self.diverge(LeaderEpoch(diverging.epoch), Offset(diverging.end_offset), out).map(|()| true);
        }
        let snapshot = &it.snapshot_id;
        if snapshot.epoch >= 0 && snapshot.end_offset >= 0 {
            let id = SnapshotId { end: Offset(snapshot.end_offset), epoch: LeaderEpoch(snapshot.epoch) };
            if id.end <= self.log.high_watermark {
                // All of it is here. A leader that says so again must not be asked in a circle.
                return Ok(false);
            }
            if let Role::Follower(follower) = &mut self.role {
                follower.snapshot = Some(Box::new(Fetching { id, bytes: BytesMut::new() }));
            }
            return Ok(true);
        }
        let Some(batches) = self.batches(it.records) else { return Ok(false) };
        if !batches.is_empty() {
            let rules = (self.setup.segment_bytes, self.setup.segment_ms, now.wall);
            self.log.write_replica(batches, rules, &mut self.ops, out)?;
            self.log.flush(&mut self.ops, out);
        }
        let committed = Offset(it.high_watermark);
        self.log.commit_to(committed.min(self.log.end()), out);
        // A leader knows what was committed before it once a record of its own epoch is.
        if committed > Offset(0) && committed <= synced && self.log.epoch_before(committed) == self.epoch {
            self.amnesia = None;
        }
        Ok(true)
    }

    /// The batches of an answer, if they hold and continue this log.
    fn batches(&self, records: Option<Records>) -> Option<Batches> {
        let batches = match records {
            None => Batches::default(),
            Some(Records::Batches(batches)) => batches,
            Some(Records::Bytes(bytes)) if bytes.is_empty() => Batches::default(),
            Some(Records::Bytes(bytes)) => check(bytes, &CheckRules::replica(self.log.end()), &PureCompressors).ok()?,
            Some(Records::Refused(..)) => return None,
            // Bytes of another node's files: the driver that brought the answer should have read them.
            Some(Records::Regions(regions)) if regions.is_empty() => Batches::default(),
            Some(Records::Regions(_)) => return None,
        };
        let mut expected = self.log.end();
        for head in batches.heads() {
            if head.base_offset != expected || head.leader_epoch > self.epoch {
                return None;
            }
            expected = head.next_offset();
        }
        Some(batches)
    }

    /// The leader's log parts from ours.
    fn diverge(&mut self, epoch: LeaderEpoch, end: Offset, out: &mut Output) -> Result<(), StoreError> {
        let cut = self.log.cut_for(epoch, end);
        if cut < self.log.high_watermark {
            let high_watermark = self.log.high_watermark;
            return Err(StoreError::Corrupt(format!(
                "{TOPIC}: the leader has not got what is committed here: it ends epoch {epoch} at {end}, and {high_watermark} \
                 is the high watermark; a majority of the voters has lost data"
            )));
        }
        self.log.truncate(cut, &mut self.ops, out);
        Ok(())
    }

    fn snapshot_fetched(
        &mut self,
        now: Now,
        call: InFlight,
        mut response: FetchSnapshotResponse,
        out: &mut Output,
    ) -> bool {
        let Some(it) = only_snapshot(&mut response) else { return false };
        if self.learn(now, call.to, messages::heard_of_snapshot(&response, &it), out) {
            return true;
        }
        let Role::Follower(follower) = &mut self.role else { return false };
        let Some(fetching) = &mut follower.snapshot else { return false };
        let id = SnapshotId { end: Offset(it.snapshot_id.end_offset), epoch: LeaderEpoch(it.snapshot_id.epoch) };
        let error = ErrorCode::from_code(it.error_code);
        if error == ErrorCode::SnapshotNotFound || (error == ErrorCode::None && id != fetching.id) {
            // The leader has a newer one: ask for records again.
            follower.snapshot = None;
            self.heard_from_leader(now);
            return true;
        }
        let bytes = match it.unaligned_records {
            Some(Records::Bytes(bytes)) => bytes,
            Some(Records::Batches(batches)) => batches.to_bytes(),
            Some(Records::Refused(bytes, _)) => bytes,
            _ => Bytes::new(),
        };
        let is_next = it.position == fetching.bytes.len() as i64 && !bytes.is_empty();
        if error != ErrorCode::None || !is_next || !(0..=MAX_SNAPSHOT).contains(&it.size) {
            follower.snapshot = None;
            return false;
        }
        fetching.bytes.extend_from_slice(&bytes);
        if fetching.bytes.len() as i64 >= it.size {
            let whole = follower.snapshot.take().map(|fetching| fetching.bytes.freeze()).unwrap_or_default();
            // What does not hold must not be found by the next start.
            if snapshot::records(&whole, id.end.plus(-1), &mut History::default()).is_err() {
                return false;
            }
            self.log.storing = Some(Snapshot { id, bytes: whole.clone() });
            self.ops.ask(Purpose::Fetched, StoreOp::Put(Cell::Snapshot(self.setup.log, id), whole), out);
        }
        self.heard_from_leader(now);
        true
    }

    /// The leader's snapshot is on disk: it takes the place of the log, in whatever role this node is by now. It is not the
    /// leader, which has what is committed.
    pub(crate) fn snapshot_stored(&mut self, out: &mut Output) {
        let Some(snapshot) = self.log.storing.take() else { return };
        let name = snapshot.id.file_name();
        if let Err(what) = self.log.restore(snapshot, &mut self.ops, out) {
            self.fail(StoreError::Corrupt(format!("{TOPIC}: {name}, which the leader sent: {what}")), out);
        }
    }
}

fn only_partition(response: &mut FetchResponse) -> Option<fetch_response::PartitionData> {
    if response.error_code != 0 {
        return None;
    }
    let [topic] = response.responses.as_mut_slice() else { return None };
    let is_ours = topic.topic_id == Uuid::METADATA_TOPIC || topic.topic == *TOPIC;
    (is_ours && topic.partitions.len() == 1).then(|| topic.partitions.pop()).flatten()
}

fn only_snapshot(response: &mut FetchSnapshotResponse) -> Option<fetch_snapshot_response::PartitionSnapshot> {
    if response.error_code != 0 {
        return None;
    }
    let [topic] = response.topics.as_mut_slice() else { return None };
    if topic.partitions.len() == 1 { topic.partitions.pop() } else { None }
}
