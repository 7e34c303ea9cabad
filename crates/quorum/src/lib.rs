//! KRaft: the replicated metadata log `__cluster_metadata-0` and who leads it (KIP-595, 630, 853, 996).
//!
//! A [`Quorum`] is a state machine without I/O, like the node around it: it asks for store operations by [`Ticket`] and for
//! calls to other nodes by a token, is told how they ended, answers the requests of other nodes, and says which metadata
//! records are committed. A decision of the controller is appended as one batch, so it is in the log as a whole or not at all.
//!
//! - **Nothing is said ahead of the disk.** Calls and answers wait until the epoch and the vote that they follow from are in
//!   `quorum-state`; a voter fetches from where its log is *synced*, because that offset is its acknowledgement; the leader
//!   counts its own synced end.
//! - **One step at a time.** Every input ends in [`Quorum`]'s `poll`, which looks at the role and the clock, and asks for what
//!   is due. A follower fetches when its log is idle: what it got is synced before it asks for more.
//! - **A quorum of one** elects itself as soon as its log is read: all that the log kept is committed.
//!
//! Formats are Apache Kafka's: `quorum-state`, control records, framed metadata records, snapshots.

mod batch;
mod calls;
mod changes;
mod describe;
mod election;
mod following;
mod format;
mod history;
mod joining;
mod leading;
mod log;
mod majority;
mod messages;
mod ops;
mod replay;
mod role;
mod serving;
mod setup;
mod snapshot;
mod transaction;
pub mod voters;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use ordered::Map;
use protocol::messages::MetadataRecord;
use protocol::{Instant, LeaderEpoch, NodeId, Now, Offset, Random, RequestBody, ResponseBody, Uuid};
use storage::meta::QuorumState;
use storage::{Cell, Done, LogSpec, SegmentRules, Shape, Snapshot, StoreError, StoreOp};

pub use batch::CORDONED_DIRECTORIES;
use calls::Calls;
pub use format::{bootstrap_checkpoint, check_bootstrap, voters_checkpoint};
use history::History;
pub use history::{KRAFT_VERSION, METADATA_VERSION};
use log::Log;
pub use majority::Majority;
use messages::Regime;
use ops::{Ops, Purpose};
use replay::Replay;
use role::Role;
pub use role::RoleKind;
pub use setup::{Endpoint, QuorumSetup, VoterSource};
pub use voters::{ReplicaKey, Voter, VoterSet};
pub use writer::SnapshotWriter;

/// The topic of the metadata log.
pub const TOPIC: &str = "__cluster_metadata";

/// Names a store operation of the quorum's; the answer carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A call to another node.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// For [`Quorum::answered`].
    pub token: u64,
    /// Who is called, and where.
    pub to: Endpoint,
    /// Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch, FetchSnapshot, AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter or
    /// ApiVersions.
    pub body: RequestBody,
    /// It may be given up after this long.
    pub timeout_ms: i64,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody listens there, or the connection broke: the process is likely to be gone.
    Broken,
    /// No answer in time, or none that makes sense.
    Silent,
}

/// What the quorum wants done, and what it has to tell.
#[derive(Debug, Default)]
pub struct Output {
    /// Operations, in order within each lane.
    pub store: Vec<(Ticket, StoreOp)>,
    /// Calls to other nodes.
    pub calls: Vec<Call>,
    /// Answers to [`Quorum::request`], by its token.
    pub replies: Vec<(u64, ResponseBody)>,
    /// A snapshot takes the place of all that was committed before; what follows in `committed` begins with it.
    pub is_reset: bool,
    /// Committed records in order, those replayed at the start among them. Marks of transactions (KIP-868) are in it, records
    /// of a transaction only once it ended.
    pub committed: Vec<(Offset, MetadataRecord)>,
    /// This node leads now, and everything from before its epoch is committed: it may decide.
    pub became_leader: bool,
    /// This node decides no more. What it appended and is not committed may be lost.
    pub lost_leadership: bool,
    /// The majority of the voters is lost, or back.
    pub majority: Option<Majority>,
    /// Those who were found to be of another cluster, each told once.
    pub strangers: Vec<Endpoint>,
    /// The metadata log is lost to this node: nothing more can be decided or read.
    pub failed: Option<StoreError>,
}

/// A log that names its voters has named none.
static NOBODY: VoterSet = VoterSet::nobody();

/// What waits for the epoch and the vote to be on disk.
#[derive(Clone, Debug, Default)]
struct Gate {
    /// How many writes of them are on their way.
    writing: u32,
    calls: Vec<Call>,
    replies: Vec<(u64, ResponseBody)>,
}

/// The metadata quorum as one of its nodes sees it.
#[derive(Clone, Debug)]
pub struct Quorum {
    setup: Arc<QuorumSetup>,
    /// Who votes as long as the log does not say.
    configured: VoterSet,
    random: Random,
    role: Role,
    epoch: LeaderEpoch,
    /// Who has our vote in the epoch.
    voted: Option<ReplicaKey>,
    /// Who leads the epoch, if that is known.
    leader_id: Option<NodeId>,
    log: Log,
    ops: Ops,
    calls: Calls,
    gate: Gate,
    /// How often in a row the leader was found to be gone.
    suspicions: u32,
    wake_at: Option<Instant>,
    /// It takes no step of its own any more.
    is_stopping: bool,
    /// Set while this node may have forgotten what it acknowledged and whom it voted for: its log was empty when it started, as
    /// that of a new cluster is, and that of a static voter whose disk was lost. Where the logs of other voters ended since; of this node, that its own was more.
    amnesia: Option<Map<NodeId, (LeaderEpoch, Offset)>>,
    /// Who is heard of.
    watch: majority::Watch,
    /// What a new cluster begins with, by the tool that formatted the directory.
    bootstrap: Vec<MetadataRecord>,
}

impl Quorum {
    /// A node of the quorum. It does nothing until [`Quorum::begin`].
    pub fn new(setup: QuorumSetup) -> Quorum {
        Quorum {
            random: Random::new(setup.seed),
            configured: setup.configured_voters(),
            setup: Arc::new(setup),
            role: Role::Starting,
            epoch: LeaderEpoch(0),
            voted: None,
            leader_id: None,
            log: Log::default(),
            ops: Ops::default(),
            calls: Calls::default(),
            gate: Gate::default(),
            suspicions: 0,
            wake_at: None,
            is_stopping: false,
            amnesia: None,
            watch: majority::Watch::default(),
            bootstrap: Vec::new(),
        }
    }

    /// Opens the log; everything follows from it.
    pub fn begin(&mut self, _now: Now, out: &mut Output) {
        let spec = LogSpec {
            dir: self.setup.dir,
            topic: messages::topic(),
            partition: 0,
            topic_id: Uuid::METADATA_TOPIC,
            create: true,
            synced: true,
            replicated: self.setup.can_be_fetched(),
            compacted: false,
            segments: SegmentRules::default(),
        };
        self.ops.ask(Purpose::Mount, StoreOp::Mount(self.setup.log, spec), out);
    }

    /// True while this node may append: it leads, and all that came before its epoch is committed.
    pub fn is_leader(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.is_active)
    }

    /// Who leads, as far as this node knows, and where it listens for other nodes of the quorum.
    pub fn leader(&self) -> Option<Endpoint> {
        match &self.role {
            Role::Follower(follower) => Some(follower.leader.clone()),
            Role::Leader(_) => Some(self.own_endpoint()),
            _ => None,
        }
    }

    /// The current epoch; 0 before the first election.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// What this node is at the moment.
    pub fn role(&self) -> RoleKind {
        match &self.role {
            Role::Starting | Role::Replaying(_) => RoleKind::Starting,
            Role::Unattached(_) => RoleKind::Unattached,
            Role::Prospective(_) => RoleKind::Prospective,
            Role::Candidate(_) => RoleKind::Candidate,
            Role::Leader(_) => RoleKind::Leader,
            Role::Follower(_) if self.is_voter() => RoleKind::Follower,
            Role::Follower(_) => RoleKind::Observer,
            Role::Resigned(_) => RoleKind::Resigned,
            Role::Failed => RoleKind::Failed,
        }
    }

    /// Who has this node's vote in the current epoch.
    pub fn voted(&self) -> Option<ReplicaKey> {
        self.voted
    }

    /// Who votes, as the log (or the configuration) of this node says.
    pub fn voters(&self) -> &VoterSet {
        self.voters_of(&self.log.history)
    }

    /// Where a voter is reached as a controller.
    pub fn endpoint_of_voter(&self, id: NodeId) -> Option<Endpoint> {
        self.endpoint_of(id, None)
    }

    fn voters_of<'a>(&'a self, history: &'a History) -> &'a VoterSet {
        match history.voters() {
            Some((_, voters)) => voters,
            None if history.has_static_voters() => &self.configured,
            None => &NOBODY,
        }
    }

    /// The level of `kraft.version`, as far as it is committed: from 1 on the log says who votes.
    pub fn kraft_version(&self) -> i16 {
        self.log.history.kraft_version_at(self.log.high_watermark)
    }

    /// Where the next record goes.
    pub fn log_end(&self) -> Offset {
        self.log.end()
    }

    /// The log's shape; none before it is mounted.
    pub fn shape(&self) -> Option<&Shape> {
        self.log.shape.as_deref()
    }

    /// Everything below is on disk.
    pub fn recovery_point(&self) -> Offset {
        self.log.synced_end()
    }

    /// One past the last committed record.
    pub fn high_watermark(&self) -> Offset {
        self.log.high_watermark
    }

    /// What `bootstrap.checkpoint` gives a cluster to begin with, if its metadata have not begun.
    pub fn take_bootstrap(&mut self) -> Vec<MetadataRecord> {
        let records = std::mem::take(&mut self.bootstrap);
        if self.log.history.has_begun() { Vec::new() } else { records }
    }

    /// Appends the records of one decision as one batch; answers with one past the last record. They are committed, and come
    /// back in [`Output::committed`], when the majority has synced them. Only the leader may append. A decision is bounded by
    /// the request that asked for it, hence by `socket.request.max.bytes`.
    pub fn append(&mut self, now: Now, records: Vec<MetadataRecord>, out: &mut Output) -> Offset {
        assert!(self.is_leader(), "only the leader appends to the metadata log");
        if !records.is_empty() {
            self.append_records(now, records, out);
            self.log.flush(&mut self.ops, out);
        }
        self.log_end()
    }

    /// Has everything appended so far synced. Appending does that by itself.
    pub fn flush(&mut self, out: &mut Output) {
        if !matches!(self.role, Role::Failed) {
            self.log.flush(&mut self.ops, out);
        }
    }

    /// When [`Quorum::wake`] wants to be called.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Now, out: &mut Output) {
        self.poll(now, out);
    }

    /// A request of another node or of a tool; the answer comes with the token, now or later.
    pub fn request(&mut self, now: Now, token: u64, version: i16, body: RequestBody, out: &mut Output) {
        self.note_sender(now, &body);
        match body {
            RequestBody::Vote(request) => self.handle_vote(now, token, version, &request, out),
            RequestBody::BeginQuorumEpoch(request) => self.handle_begin_epoch(now, token, version, &request, out),
            RequestBody::EndQuorumEpoch(request) => self.handle_end_epoch(now, token, version, &request, out),
            RequestBody::Fetch(request) => self.handle_fetch(now, token, version, &request, out),
            RequestBody::FetchSnapshot(request) => self.handle_fetch_snapshot(now, token, version, &request, out),
            RequestBody::DescribeQuorum(request) => self.handle_describe(now, token, version, &request, out),
            RequestBody::AddRaftVoter(request) => self.handle_add_voter(now, token, &request, out),
            RequestBody::RemoveRaftVoter(request) => self.handle_remove_voter(now, token, &request, out),
            RequestBody::UpdateRaftVoter(request) => self.handle_update_voter(now, token, &request, out),
            other => panic!("{} is no request of the quorum's", other.api_key().name()),
        }
        self.poll(now, out);
    }

    /// Nobody waits any more for the answer to a request: its connection is gone.
    pub fn forget(&mut self, token: u64) {
        if let Role::Leader(leader) = &mut self.role {
            leader.forget(token);
        }
    }

    /// A call was answered, or not.
    pub fn answered(&mut self, now: Now, token: u64, result: Result<ResponseBody, NoAnswer>, out: &mut Output) {
        // Whoever asked is another role by now.
        let Some(call) = self.calls.finish(token) else { return };
        match &result {
            Ok(body) if messages::is_of_another_cluster(body) => self.note_stranger(call.to, out),
            Ok(_) => self.note_heard(now, call.to),
            Err(_) => {}
        }
        let is_used = match result {
            Ok(body) => self.heard(now, call, body, out),
            Err(_) if call.kind == calls::Kind::Versions => self.versions_heard(now, call, None, out),
            Err(why) => {
                self.suspect(now, call, why);
                false
            }
        };
        if !is_used {
            self.calls.back_off(call.to, now.mono.plus_ms(self.setup.retry_backoff_ms));
        }
        self.poll(now, out);
    }

    /// An operation ended.
    pub fn stored(&mut self, now: Now, ticket: Ticket, result: Result<Done, StoreError>, out: &mut Output) {
        let Some(purpose) = self.ops.finish(ticket) else { return };
        let done = match (result, &purpose) {
            (Ok(done), _) => done,
            // The log was cut meanwhile, or the files are gone behind a snapshot: who asked asks again.
            (Err(_), Purpose::Find(epoch, token)) => return self.find_failed(*epoch, *token, out),
            (Err(error), _) => return self.fail(error, out),
        };
        match (purpose, done) {
            (Purpose::Mount, Done::Mounted(shape)) => self.mounted(now, shape, out),
            (Purpose::Load, Done::Loaded(bytes)) => self.replayed(now, &bytes, out),
            (Purpose::Vote, Done::Put) => self.remembered(out),
            (Purpose::Flush(end), Done::Flushed) => {
                self.log.flushed(end);
                self.write_on(out);
                self.advance(now, out);
                self.log.flush(&mut self.ops, out);
            }
            (Purpose::Append(end), Done::Appended) => {
                self.log.appended(end);
                self.serve_waiting(now, out);
            }
            (Purpose::Truncate, Done::Truncated(shape)) => self.log.cut(*shape),
            (Purpose::Fetched, Done::Put) => self.snapshot_stored(out),
            (Purpose::Snapshot(id), Done::Put) => self.snapshot_written(id),
            (Purpose::Find(epoch, token), Done::Found(regions)) => self.found(epoch, token, regions, out),
            (Purpose::Lane | Purpose::Note, _) => {}
            (purpose, done) => panic!("the driver answered {purpose:?} with {done:?}"),
        }
        self.poll(now, out);
    }

    fn mounted(&mut self, now: Now, shape: Box<Shape>, out: &mut Output) {
        let prepared = self.prepare(shape, out);
        match prepared {
            Ok(()) => self.replay_on(now, out),
            Err(error) => self.fail(error, out),
        }
    }

    /// Reads what is beside the log, and begins to replay it.
    fn prepare(&mut self, mut shape: Box<Shape>, out: &mut Output) -> Result<(), StoreError> {
        let corrupt = |what: String| StoreError::Corrupt(format!("{TOPIC}: {what}"));
        let state = shape.mounted().quorum_state.as_deref().map(QuorumState::parse).transpose()?.unwrap_or_default();
        // The vote may be ahead of the log: its leader died before its first batch.
        self.epoch = state.leader_epoch.max(shape.epochs().latest().unwrap_or_default());
        if self.epoch == state.leader_epoch {
            self.recall(&state);
        }
        let mut history = History::default();
        if let Some(bytes) = shape.mounted().bootstrap.as_ref() {
            let is_empty = shape.end() == Offset(0);
            // Its levels are not this log's yet. A log that is not empty may have nothing but elections: whoever won them died
            // before its first decision, or refused what is here.
            let mut levels = History::default();
            match snapshot::records(bytes, Offset(-1), &mut levels) {
                Ok(records) => {
                    if let Some(why) = levels.is_too_new().filter(|_| is_empty) {
                        return Err(corrupt(format!("bootstrap.checkpoint: {why}")));
                    }
                    self.bootstrap = records;
                }
                Err(what) if is_empty => return Err(corrupt(format!("bootstrap.checkpoint: {what}"))),
                // It could be read when the log began, and counts no more.
                Err(_) => {}
            }
            // Whoever formatted it for static voters has not said who they are: a node to which nobody names any is alone.
            if is_empty && self.setup.voters == VoterSource::Dynamic(Vec::new()) && shape.mounted().snapshot.is_some() {
                self.configured = VoterSet::default();
            }
        }
        let mut from = Offset(0);
        if let Some(snapshot) = shape.take_snapshot() {
            from = self.open_snapshot(&shape, snapshot, &mut history, out).map_err(corrupt)?;
        }
        // What the log has of an epoch before the snapshot's may be of a leader that lost (Kafka compares the epochs, too).
        let latest = shape.epochs().latest().unwrap_or_default();
        let is_other = self.log.snapshot.as_ref().is_some_and(|it| it.id.epoch > latest)
            && shape.log_start() < shape.end()
            && !self.is_alone_by(&history);
        let is_behind = from > shape.end() || is_other;
        if shape.log_start() > from {
            let start = shape.log_start();
            return Err(corrupt(format!(
                "it begins at offset {start}, and no snapshot holds what came before; restore one"
            )));
        }
        self.log.high_watermark = from;
        let replay = if is_behind { Replay::nothing(history) } else { Replay::new(&shape, from, history) };
        self.role = Role::Replaying(Box::new(replay));
        self.log.shape = Some(shape);
        if is_behind {
            // The power went between a snapshot of the leader's and the cut that it makes good for.
            self.log.begin_anew(from, &mut self.ops, out);
        }
        Ok(())
    }

    /// What this node may not forget of the epoch.
    fn recall(&mut self, state: &QuorumState) {
        self.voted = state.voted_id.map(|id| ReplicaKey { id, directory_id: state.voted_directory_id });
        self.leader_id = state.leader_id;
        if state.leader_id == Some(self.setup.node) {
            // It led, so it had its own vote; it leads no more.
            self.voted = Some(self.setup.key());
            self.leader_id = None;
        }
    }

    /// Reveals a snapshot; answers with the offset at which the log goes on.
    fn open_snapshot(
        &mut self,
        shape: &Shape,
        snapshot: Snapshot,
        history: &mut History,
        out: &mut Output,
    ) -> Result<Offset, String> {
        let Snapshot { id, bytes } = &snapshot;
        let name = id.file_name();
        let last = id.end.plus(-1);
        let records = snapshot::records(bytes, last, history).map_err(|what| format!("{name}: {what}; restore it"))?;
        if id.end > shape.end() && self.is_alone_by(history) {
            let end = shape.end();
            return Err(format!("{name} stands for more than the log has, which ends at {end}; restore it"));
        }
        out.committed.extend(records.into_iter().map(|record| (last, record)));
        let end = id.end;
        self.epoch = self.epoch.max(id.epoch);
        self.log.take(snapshot);
        Ok(end)
    }

    /// Reads on, or ends the replay.
    fn replay_on(&mut self, now: Now, out: &mut Output) {
        let Role::Replaying(replay) = &self.role else { return };
        if let Some(region) = replay.region() {
            return self.ops.ask(Purpose::Load, StoreOp::Load(region), out);
        }
        self.log.history = replay.history.clone();
        self.log.bytes_since_snapshot = replay.bytes;
        let state = self.log.shape.as_ref().and_then(|shape| shape.mounted().quorum_state.as_deref());
        let state = state.and_then(|bytes| QuorumState::parse(bytes).ok());
        if let Err(why) = self.log.history.check(&self.setup, state.as_ref()) {
            return self.fail(StoreError::Corrupt(format!("{TOPIC}: {why}")), out);
        }
        if self.is_only_voter() {
            // With a single voter everything that its log kept is committed: nobody else can have voted otherwise. It is
            // synced at the latest with this epoch's first batch, before anything new is.
            self.log.commit_to(self.log.end(), out);
            self.stand(now, out);
        } else {
            let is_empty = self.log.end() == Offset(0) && self.log.high_watermark == Offset(0);
            // Where the log names voters by their directories, a lost disk is another voter's; but one that was formatted
            // again with the same directory is the voter that the cluster began with.
            let is_static = matches!(self.setup.voters, VoterSource::Static(_)) && self.log.history.has_static_voters();
            let own = self.setup.key();
            let is_first = self.log.history.voters().is_some_and(|(at, it)| *at < Offset(0) && it.contains(own));
            self.amnesia = (is_empty && (is_static || is_first)).then(Map::new);
            let was_more = self.log.shape.as_ref().is_some_and(|shape| shape.mounted().lost.is_some());
            if let Some(heard) = self.amnesia.as_mut().filter(|_| was_more) {
                // How much it was nobody knows; that it was something is enough for this to be no new cluster.
                heard.insert(self.setup.node, (LeaderEpoch(0), Offset(1)));
            }
            self.start_unattached(now);
        }
    }

    fn replayed(&mut self, now: Now, bytes: &Bytes, out: &mut Output) {
        let Role::Replaying(replay) = &mut self.role else { return };
        match replay.read(bytes) {
            Ok(records) => {
                let (next, history) = (replay.next(), replay.history.clone());
                self.log.await_commit(records);
                // Alone this node has committed whatever it has, and that stays so when others come.
                if self.is_alone_by(&history) {
                    self.log.commit_to(next, out);
                }
                self.replay_on(now, out);
            }
            Err(error) => self.fail(error, out),
        }
    }

    fn own_endpoint(&self) -> Endpoint {
        let own = self.setup.voter().endpoint(&self.setup.listener);
        own.unwrap_or_else(|| Endpoint { node: self.setup.node, host: "".into(), port: 0 })
    }

    /// What this node's answers say of its epoch.
    fn regime(&self) -> Regime {
        Regime { epoch: self.epoch, leader: self.leader() }
    }

    fn is_voter(&self) -> bool {
        self.setup.is_controller && self.voters().contains(self.setup.key())
    }

    fn is_only_voter(&self) -> bool {
        self.is_alone_by(&self.log.history)
    }

    fn is_alone_by(&self, history: &History) -> bool {
        let voters = self.voters_of(history);
        self.setup.is_controller && voters.len() == 1 && voters.contains(self.setup.key())
    }

    /// Calls another node once what is said is on disk.
    fn call(&mut self, to: Endpoint, kind: calls::Kind, body: RequestBody, out: &mut Output) -> u64 {
        let token = self.calls.start(to.node, kind);
        let call = Call { token, to, body, timeout_ms: self.setup.request_timeout_ms };
        if self.gate.writing > 0 {
            self.gate.calls.push(call)
        } else {
            out.calls.push(call)
        }
        token
    }

    /// Answers once what is said is on disk.
    fn reply(&mut self, token: u64, body: impl Into<ResponseBody>, out: &mut Output) {
        let reply = (token, body.into());
        if self.gate.writing > 0 { self.gate.replies.push(reply) } else { out.replies.push(reply) }
    }

    /// Enters an epoch, with a vote and a leader as far as there are any.
    fn remember(&mut self, epoch: LeaderEpoch, voted: Option<ReplicaKey>, leader_id: Option<NodeId>, out: &mut Output) {
        assert!(epoch >= self.epoch, "epoch {epoch} after {}", self.epoch);
        let is_binding = (epoch, voted) != (self.epoch, self.voted);
        if !is_binding && leader_id == self.leader_id {
            return;
        }
        (self.epoch, self.voted, self.leader_id) = (epoch, voted, leader_id);
        // An empty log's first batch makes the voter of a quorum of one the log's own.
        let is_static = self.log.history.has_static_voters() && !(self.is_only_voter() && self.log.end() == Offset(0));
        let voters = || self.voters().iter().map(|voter| voter.id).collect();
        let state = QuorumState {
            leader_id,
            leader_epoch: epoch,
            voted_id: voted.map(|key| key.id),
            voted_directory_id: voted.map(|key| key.directory_id).unwrap_or_default(),
            static_voters: is_static.then(voters),
        };
        self.gate.writing += u32::from(is_binding);
        let purpose = if is_binding { Purpose::Vote } else { Purpose::Note };
        self.ops.ask(purpose, StoreOp::Put(Cell::QuorumState(self.setup.log), state.format()), out);
    }

    /// The epoch and the vote are on disk: what follows from them may be said.
    fn remembered(&mut self, out: &mut Output) {
        self.gate.writing -= 1;
        if self.gate.writing == 0 {
            out.calls.append(&mut self.gate.calls);
            out.replies.append(&mut self.gate.replies);
        }
    }

    /// Takes on another role. What the old one asked for or owes is settled; epoch and leader are set before.
    fn become_role(&mut self, role: Role, out: &mut Output) {
        let old = std::mem::replace(&mut self.role, role);
        self.calls.forget();
        if let Role::Leader(leader) = old {
            self.log.drop_held();
            if leader.is_active {
                out.lost_leadership = true;
            }
            self.turn_away(*leader, out);
        }
    }

    /// Does what is due, and notes when the next thing will be.
    fn poll(&mut self, now: Now, out: &mut Output) {
        if self.is_stopping {
            self.wake_at = None;
            return;
        }
        while self.step(now, out) {}
        self.watch_majority(now, out);
        self.wake_at = self.next_wake(now);
    }

    /// True if the role has changed, and there may be more to do.
    fn step(&mut self, now: Now, out: &mut Output) -> bool {
        match &self.role {
            Role::Starting | Role::Replaying(_) | Role::Failed => false,
            // Where the log ends is not known before it is cut: nobody can be asked for a vote with it, or be led by it.
            _ if self.waits_for_cut() => false,
            Role::Unattached(_) => self.step_unattached(now, out),
            Role::Prospective(_) => self.step_prospective(now, out),
            Role::Candidate(_) => self.step_candidate(now, out),
            Role::Leader(_) => self.step_leader(now, out),
            Role::Follower(_) => self.step_follower(now, out),
            Role::Resigned(_) => self.step_resigned(now, out),
        }
    }

    /// True while nothing is to be done but to wait for the log to be cut; then this node is asked again.
    fn waits_for_cut(&self) -> bool {
        self.log.is_cutting() && !matches!(self.role, Role::Leader(_) | Role::Resigned(_))
    }

    fn next_wake(&self, now: Now) -> Option<Instant> {
        let deadline = match &self.role {
            Role::Starting | Role::Replaying(_) | Role::Failed => return None,
            _ if self.waits_for_cut() => return None,
            Role::Leader(leader) => return leader.next_wake(self.is_only_voter()),
            Role::Unattached(until) => Some(*until).filter(|_| self.is_voter()),
            Role::Prospective(election) | Role::Candidate(election) => Some(election.until),
            Role::Follower(follower) => {
                // What is overdue waits for the leader to be called again, or for its answer.
                let wish = self.wish_at(follower).filter(|at| *at > now.mono);
                Some(follower.until).filter(|_| self.is_voter()).into_iter().chain(wish).min()
            }
            Role::Resigned(resigned) => Some(resigned.until),
        };
        let retry = self.calls.next_retry(now.mono);
        deadline.into_iter().chain(retry).min()
    }

    fn fail(&mut self, error: StoreError, out: &mut Output) {
        // The first failure is the cause; those queued behind it follow from it.
        if !matches!(self.role, Role::Failed) {
            self.become_role(Role::Failed, out);
            self.wake_at = None;
            out.failed = Some(error);
        }
    }
}
