//! Leading: what an epoch begins with, how far the others are, when the majority is lost.

use ordered::{Map, Set};
use protocol::messages::{AbortTransactionRecord, MetadataRecord};
use protocol::records::Batches;
use protocol::{Instant, NodeId, Now, Offset, RequestBody, WallMs};
use storage::{Cell, Snapshot, SnapshotId, StoreOp};

use crate::batch;
use crate::calls::Kind;
use crate::changes::Change;
use crate::messages;
use crate::ops::Purpose;
use crate::role::{Resigned, Role};
use crate::serving::Waiting;
use crate::voters::{ReplicaKey, Voter, VoterSet, high_watermark};
use crate::writer::SnapshotWriter;
use crate::{Output, Quorum};

/// A replica that does not vote is forgotten when it has not fetched for so long, as in Kafka.
const OBSERVER_SESSION_MS: i64 = 300_000;
/// More replicas that do not vote are not kept: who was silent longest is forgotten first.
const MAX_OBSERVERS: usize = 10_000;

/// How far another replica is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// From where it has fetched: below, it has synced everything (a voter) or written it.
    pub(crate) end: Option<Offset>,
    pub(crate) fetched_at: Option<Instant>,
    /// On the wall clock, in ms; -1 if never.
    pub(crate) last_fetch: i64,
    pub(crate) last_caught_up: i64,
    /// Where this log ended at its last fetch.
    leader_end: Offset,
}

impl Progress {
    /// It has not fetched in this epoch.
    pub(crate) const fn unseen() -> Progress {
        Progress { end: None, fetched_at: None, last_fetch: -1, last_caught_up: -1, leader_end: Offset(0) }
    }
}

/// What a leader knows.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// The epoch's first record.
    epoch_start: Offset,
    /// Everything from before the epoch is committed.
    pub(crate) is_active: bool,
    /// Established once a record of this epoch is committed: before that, a later leader may still disagree.
    pub(crate) high_watermark: Option<Offset>,
    pub(crate) replicas: Map<ReplicaKey, Progress>,
    /// Voters that have fetched since the majority last had.
    fetched: Set<NodeId>,
    /// Without a majority that fetches, the epoch ends here.
    pub(crate) quorum_until: Instant,
    /// When voters that do not fetch are told of the epoch again.
    tell_at: Instant,
    /// Fetches that wait for something to say.
    pub(crate) waiting: Vec<Waiting>,
    /// Fetches whose batches are being looked up.
    pub(crate) finding: Map<u64, Waiting>,
    /// Until when decisions that are held back wait for more.
    linger_until: Option<Instant>,
    /// A change of the voters that is under way.
    pub(crate) change: Option<Change>,
    /// What static voters have told of themselves, which their log cannot say.
    pub(crate) updated_voters: Option<VoterSet>,
    /// This node is no voter any more, and that is committed.
    pub(crate) is_out: bool,
}

impl Leader {
    pub(crate) fn next_wake(&self, is_alone: bool) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|it| it.until).min();
        // Whoever tells the other voters of the epoch looks after silent observers too.
        let silent = || self.replicas.values().filter_map(|it| it.fetched_at).min();
        let timers = match is_alone {
            false => Some(self.quorum_until.min(self.tell_at)),
            true => silent().map(|at| at.plus_ms(OBSERVER_SESSION_MS)),
        };
        let change = self.change.as_ref().map(Change::until);
        waiting.into_iter().chain(timers).chain(change).chain(self.linger_until).min()
    }

    /// Nobody waits for the answer to this fetch any more.
    pub(crate) fn forget(&mut self, token: u64) {
        self.waiting.retain(|it| it.token != token);
        self.finding.remove(&token);
    }

    fn forget_silent(&mut self, now: Instant) {
        self.replicas.retain(|_, it| it.fetched_at.is_some_and(|at| at.plus_ms(OBSERVER_SESSION_MS) > now));
    }

    /// Makes room for a replica that was not seen before.
    fn make_room(&mut self, voters: &VoterSet) {
        let observers = || self.replicas.iter().filter(|(key, _)| !voters.contains(**key));
        if observers().count() >= MAX_OBSERVERS
            && let Some(key) = observers().min_by_key(|(_, it)| it.fetched_at).map(|(key, _)| *key)
        {
            self.replicas.remove(&key);
        }
    }

    pub(crate) fn progress(&self, voter: &Voter) -> Option<&Progress> {
        self.replicas.get(&ReplicaKey { id: voter.id, directory_id: voter.directory_id })
    }
}

impl Quorum {
    /// The epoch and our vote are on disk, and the majority's: the first batch says who leads.
    pub(crate) fn lead(&mut self, now: Now, granted: Vec<NodeId>, out: &mut Output) {
        let base = self.log.end();
        self.remember(self.epoch, self.voted, Some(self.setup.node), out);
        let leader = Leader {
            epoch_start: base,
            is_active: false,
            high_watermark: None,
            replicas: Map::new(),
            fetched: Set::new(),
            quorum_until: self.quorum_deadline(now),
            tell_at: now.mono,
            waiting: Vec::new(),
            finding: Map::new(),
            linger_until: None,
            change: None,
            updated_voters: None,
            is_out: false,
        };
        self.become_role(Role::Leader(Box::new(leader)), out);
        let voters = self.voters_of_first_batch(base);
        let first = batch::leader_change(
            (base, self.epoch, now.wall),
            self.setup.node,
            self.voters(),
            &granted,
            voters.as_ref(),
        );
        self.log.begin_epoch(self.epoch, &mut self.ops, out);
        self.write(now, first, out);
        if let Some(voters) = voters {
            self.log.history.begin(base, voters);
        }
        if self.log.history.has_static_voters() {
            let voters = self.voters().with(self.setup.voter());
            if let Role::Leader(leader) = &mut self.role {
                leader.updated_voters = Some(voters);
            }
        }
        if self.is_only_voter() {
            // All that the log kept is committed.
            self.activate(now, out);
        }
        self.log.flush(&mut self.ops, out);
    }

    /// The voters, if the log has to begin with them: an empty one that is of a quorum of one, or whose voters are in the
    /// snapshot that the directory was formatted with (KIP-853). Or if this node listens elsewhere than they say, or can do
    /// something else.
    fn voters_of_first_batch(&self, base: Offset) -> Option<VoterSet> {
        let own = self.setup.voter();
        match self.log.history.voters() {
            None => (base == Offset(0) && self.is_only_voter()).then(|| VoterSet::of([own])),
            Some((at, voters)) => {
                let is_stale = voters.get(own.id).is_some_and(|voter| voter.key() == own.key() && *voter != own);
                let is_new = *at < Offset(0) && base == Offset(0);
                let others = || voters.iter().filter(|voter| voter.id != own.id).cloned();
                (is_new || is_stale).then(|| VoterSet::of(others().chain([own.clone()])))
            }
        }
    }

    /// This node may decide.
    fn activate(&mut self, now: Now, out: &mut Output) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.is_active = true;
        out.became_leader = true;
        // Whatever was committed before is in this log.
        self.amnesia = None;
        if self.log.is_in_transaction() {
            // Its leader is gone; its records never happened.
            self.append_records(now, vec![AbortTransactionRecord::default().into()], out);
        }
    }

    pub(crate) fn append_records(&mut self, now: Now, records: Vec<MetadataRecord>, out: &mut Output) {
        let base = self.log.end();
        for (index, record) in records.iter().enumerate() {
            self.log.history.metadata(base.plus(index as i64), record);
        }
        let version = self.log.history.metadata_version();
        self.log.hold(now.wall, records, version);
        let linger_ms = self.setup.append_linger_ms;
        // Who stops waits for nothing more: no wake would end that.
        if linger_ms > 0
            && !self.is_stopping
            && !self.log.is_full()
            && let Role::Leader(leader) = &mut self.role
        {
            leader.linger_until.get_or_insert(now.mono.plus_ms(linger_ms));
            self.wake_at = self.next_wake(now);
        } else if !self.log.is_busy() || self.log.is_full() {
            self.write_held(out);
        }
    }

    /// What was held back while the disk was busy goes there, unless it waits for more.
    pub(crate) fn write_on(&mut self, out: &mut Output) {
        if !matches!(&self.role, Role::Leader(leader) if leader.linger_until.is_some()) {
            self.write_held(out);
        }
    }

    /// Appends the decisions that were held back while others were on their way to the disk, as one batch: they share its
    /// sync, and a power cut leaves all of it or nothing.
    pub(crate) fn write_held(&mut self, out: &mut Output) {
        if let Role::Leader(leader) = &mut self.role {
            leader.linger_until = None;
        }
        if let Some((now, batch)) = self.log.take_held(self.epoch) {
            self.append_batch(now, batch, out);
        }
    }

    /// Appends a batch that was placed at the log's end, where nothing is held back.
    pub(crate) fn write(&mut self, now: Now, batch: Batches, out: &mut Output) {
        self.append_batch(now.wall, batch, out);
    }

    fn append_batch(&mut self, now: WallMs, batch: Batches, out: &mut Output) {
        let rules = (self.setup.segment_bytes, self.setup.segment_ms, now);
        self.log.write(batch, self.epoch, rules, &mut self.ops, out);
    }

    /// Moves the high watermark to what the majority has synced, but not before that holds a record of this epoch: until
    /// then another leader might still replace what came before it (Raft, figure 8).
    pub(crate) fn advance(&mut self, now: Now, out: &mut Output) {
        let Role::Leader(leader) = &self.role else { return };
        let own = self.setup.key();
        let ends = self.voters().iter().map(|voter| match voter.is(own) {
            true => self.log.synced_end(),
            false => leader.progress(voter).and_then(|it| it.end).unwrap_or_default(),
        });
        let mark = high_watermark(Offset(0), ends);
        if mark <= leader.epoch_start || Some(mark) <= leader.high_watermark {
            return;
        }
        let is_first = !leader.is_active;
        self.log.commit_to(mark, out);
        let mark = self.log.high_watermark;
        if let Role::Leader(leader) = &mut self.role {
            leader.high_watermark = Some(mark);
        }
        self.finish_change(mark, out);
        if is_first {
            self.activate(now, out);
            self.log.flush(&mut self.ops, out);
        }
        self.serve_waiting(now, out);
    }

    pub(crate) fn quorum_deadline(&self, now: Now) -> Instant {
        // Half as much again as a follower would wait: who is only slow has voted no other leader in by then.
        now.mono.plus_ms(self.setup.fetch_timeout_ms.saturating_mul(3) / 2)
    }

    /// A replica fetches: it is alive, and has everything below the offset.
    pub(crate) fn note_progress(&mut self, now: Now, key: ReplicaKey, fetched_from: Option<Offset>) {
        if key.id < NodeId(0) || key.id == self.setup.node {
            return;
        }
        let voters = self.voters();
        let is_voter = voters.contains(key);
        let key = match voters.get(key.id).filter(|_| is_voter) {
            Some(voter) => ReplicaKey { id: voter.id, directory_id: voter.directory_id },
            None => key,
        };
        let end = self.log.end();
        let all = voters.clone();
        let Role::Leader(leader) = &mut self.role else { return };
        if !is_voter && !leader.replicas.contains_key(&key) {
            leader.make_room(&all);
        }
        let it = leader.replicas.entry(key).or_insert(Progress::unseen());
        if let Some(offset) = fetched_from {
            if offset >= end {
                it.last_caught_up = now.wall.0;
            } else if it.leader_end > Offset(0) && offset >= it.leader_end {
                it.last_caught_up = it.last_caught_up.max(it.last_fetch);
            }
            it.end = Some(offset);
            it.leader_end = end;
        }
        it.fetched_at = Some(now.mono);
        it.last_fetch = now.wall.0;
        if is_voter {
            self.note_following(now, key.id);
        }
    }

    /// A voter follows: with a majority that does, the epoch goes on.
    pub(crate) fn note_following(&mut self, now: Now, id: NodeId) {
        let deadline = self.quorum_deadline(now);
        let voters = self.voters().clone();
        let others = voters.majority() - usize::from(voters.contains(self.setup.key()));
        let Role::Leader(leader) = &mut self.role else { return };
        leader.fetched.insert(id);
        leader.fetched.retain(|id| voters.get(*id).is_some());
        if leader.fetched.len() >= others {
            leader.fetched.clear();
            leader.quorum_until = deadline;
        }
    }

    pub(crate) fn step_leader(&mut self, now: Now, out: &mut Output) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let has_lingered = leader.linger_until.is_some_and(|until| until <= now.mono);
        if leader.waiting.iter().any(|it| it.until <= now.mono) {
            self.serve_expired(now, out);
        }
        if has_lingered {
            self.write_held(out);
            self.log.flush(&mut self.ops, out);
        }
        self.expire_change(now, out);
        if self.is_only_voter() {
            if let Role::Leader(leader) = &mut self.role {
                leader.forget_silent(now.mono);
            }
            return false;
        }
        let Role::Leader(leader) = &self.role else { return false };
        if leader.is_out || leader.quorum_until <= now.mono {
            self.step_down(now, out);
            return true;
        }
        if leader.tell_at <= now.mono {
            self.tell_voters(now, out);
        }
        false
    }

    /// Tells those voters of the epoch who do not fetch.
    fn tell_voters(&mut self, now: Now, out: &mut Output) {
        let Role::Leader(leader) = &self.role else { return };
        let half = self.setup.fetch_timeout_ms / 2;
        let is_silent = |voter: &Voter| {
            let fetched_at = leader.progress(voter).and_then(|it| it.fetched_at);
            fetched_at.is_none_or(|at| at.plus_ms(half) <= now.mono)
        };
        let due = |voter: &&Voter| {
            voter.id != self.setup.node && is_silent(voter) && !self.calls.is_asking(voter.id, Kind::Begin)
        };
        let due: Vec<Voter> = self.voters().iter().filter(due).cloned().collect();
        for voter in due {
            let Some(to) = voter.endpoint(&self.setup.listener) else { continue };
            let request = messages::begin_request(&self.setup, &voter, self.epoch);
            self.call(to, Kind::Begin, RequestBody::BeginQuorumEpoch(request), out);
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.tell_at = now.mono.plus_ms(half.max(1));
            leader.forget_silent(now.mono);
        }
    }

    /// Leads no more, and has the others elect one that has most of the log. For a stop of the node, or when the majority is
    /// out of reach. Nothing happens where nobody else votes.
    pub fn resign(&mut self, now: Now, out: &mut Output) {
        if matches!(self.role, Role::Leader(_)) && !self.is_only_voter() {
            self.step_down(now, out);
            self.poll(now, out);
        }
    }

    /// The node stops: it resigns, has everything synced, and asks and elects nobody any more.
    pub fn stop(&mut self, now: Now, out: &mut Output) {
        self.resign(now, out);
        // Who leads alone has nobody to leave it to.
        self.write_held(out);
        self.flush(out);
        self.is_stopping = true;
        self.wake_at = None;
    }

    fn step_down(&mut self, now: Now, out: &mut Output) {
        let Role::Leader(leader) = &self.role else { return };
        let others = self.voters().iter().filter(|voter| voter.id != self.setup.node);
        let mut others: Vec<(Offset, ReplicaKey)> = others
            .map(|voter| {
                let end = leader.progress(voter).and_then(|it| it.end).unwrap_or(Offset(-1));
                (end, ReplicaKey { id: voter.id, directory_id: voter.directory_id })
            })
            .collect();
        ordered::sort_by(&mut others, |a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let successors: Vec<ReplicaKey> = others.into_iter().map(|(_, key)| key).collect();
        let unacknowledged = successors.iter().map(|key| key.id).collect();
        let until = self.election_deadline(now);
        // Our vote in the epoch is our own: nobody else may lead it.
        self.remember(self.epoch, self.voted, None, out);
        self.become_role(Role::Resigned(Resigned { until, unacknowledged, successors }), out);
    }

    pub(crate) fn step_resigned(&mut self, now: Now, out: &mut Output) -> bool {
        let Role::Resigned(resigned) = &self.role else { return false };
        if resigned.until <= now.mono {
            // The epoch is over even if nobody has heard of it.
            self.detach(now, protocol::LeaderEpoch(self.epoch.0.saturating_add(1)), out);
            return true;
        }
        let is_due = |voter: &&Voter| {
            resigned.unacknowledged.contains(&voter.id)
                && self.calls.is_ready(voter.id, now.mono)
                && !self.calls.is_asking(voter.id, Kind::End)
        };
        let due: Vec<Voter> = self.voters().iter().filter(is_due).cloned().collect();
        let request = messages::end_request(&self.setup, self.epoch, &resigned.successors);
        for voter in due {
            let Some(to) = voter.endpoint(&self.setup.listener) else { continue };
            self.call(to, Kind::End, RequestBody::EndQuorumEpoch(request.clone()), out);
        }
        false
    }

    /// Bytes appended since the last snapshot.
    pub fn bytes_since_snapshot(&self) -> u64 {
        self.log.bytes_since_snapshot
    }

    /// True if anything was committed since the last snapshot, and a snapshot could be written of it.
    pub fn can_snapshot(&self) -> bool {
        let newest = self.log.snapshot.as_ref().map_or(Offset(0), |it| it.id.end);
        let is_open = matches!(self.role, Role::Starting | Role::Replaying(_) | Role::Failed);
        !is_open && !self.log.is_in_transaction() && self.log.writing.is_none() && newest < self.log.high_watermark
    }

    /// Begins a snapshot (KIP-630) of what is committed, all of it up to the high watermark, if one can be written. The records
    /// are pushed in whatever pieces, one snapshot at a time.
    pub fn begin_snapshot(&self, now: Now) -> Option<SnapshotWriter> {
        if !self.can_snapshot() {
            return None;
        }
        let end = self.log.high_watermark;
        let id = SnapshotId { end, epoch: self.log.epoch_before(end) };
        let is_static = self.log.history.kraft_version_at(end) == 0;
        let voters = (!is_static).then(|| self.log.history.voters_at(end)).flatten();
        let version = self.log.history.metadata_version_at(end);
        Some(SnapshotWriter::new(id, (now.wall, now.wall), voters, version))
    }

    /// Has a snapshot put on the disk that has all its records, unless a later one has come from the leader meanwhile.
    pub fn finish_snapshot(&mut self, writer: SnapshotWriter, out: &mut Output) {
        let is_newest = self.log.snapshot.as_ref().is_none_or(|it| it.id < writer.id);
        if !is_newest || self.log.storing.is_some() || matches!(self.role, Role::Failed) {
            return;
        }
        let id = writer.id;
        let bytes = writer.finish();
        let op = StoreOp::Put(Cell::Snapshot(self.setup.log, id), bytes.clone());
        self.log.writing = Some(Snapshot { id, bytes });
        self.ops.ask(Purpose::Snapshot(id), op, out);
    }

    pub(crate) fn snapshot_written(&mut self, id: SnapshotId) {
        if let Some(snapshot) = self.log.writing.take().filter(|it| it.id == id) {
            let is_newest = self.log.snapshot.as_ref().is_none_or(|it| it.id < id);
            if is_newest {
                self.log.take(snapshot);
            }
        }
    }

    /// Gives up segments that a snapshot stands for, once log and snapshot have more than `max_bytes`, or once the snapshot before it
    /// is older than `max_ms`; a limit below 0 is none.
    pub fn retain(&mut self, now: Now, (max_bytes, max_ms): (i64, i64), out: &mut Output) {
        let Some(snapshot) = &self.log.snapshot else { return };
        let (end, size) = (snapshot.id.end, snapshot.bytes.len() as u64);
        if self.log.is_cutting() {
            return;
        }
        let outlived = self.log.outlived(now.wall, max_ms);
        let Some(shape) = &mut self.log.shape else { return };
        let is_too_large = u64::try_from(max_bytes).is_ok_and(|limit| shape.size() + size > limit);
        let start = if is_too_large { Some(end) } else { outlived };
        if let Some(start) = start.filter(|start| *start <= shape.end()) {
            for op in shape.advance_log_start(start) {
                self.ops.ask(Purpose::Lane, op, out);
            }
            self.log.outlived_to(start);
        }
    }
}
