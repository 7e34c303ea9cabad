//! KRaft: the replicated metadata log `__cluster_metadata-0` and who leads it.
//!
//! A [`Quorum`] is a state machine without I/O, like the node around it: it asks for store operations by [`Ticket`], is told
//! how they ended, and says which metadata records are committed. A decision of the controller is appended as one batch, so
//! it is in the log as a whole or not at all.
//!
//! What there is today is a quorum of one voter. It is the same machine that more voters will need: an epoch that is on disk
//! before its first batch, a leader-change batch that begins it, a high watermark that is the synced end of the majority
//! ([`voters::high_watermark`]), records that are visible only below it. Missing until there are more: votes and fetches
//! between voters. A log that others vote in is refused by name.
//!
//! Formats are Apache Kafka's: `quorum-state`, control records (KIP-595, KIP-853), framed metadata records.

mod batch;
mod history;
mod replay;
mod snapshot;
mod transaction;
pub mod voters;

use ordered::Map;
use std::collections::VecDeque;

use bytes::Bytes;
use protocol::messages::{AbortTransactionRecord, MetadataRecord};
use protocol::records::Batches;
use protocol::{LeaderEpoch, NodeId, Now, Offset, Str, Uuid};
use storage::meta::QuorumState;
use storage::{Cell, DirId, Done, LogId, LogRules, LogSpec, Shape, Snapshot, StoreError, StoreOp};

use history::History;
use replay::Replay;
use transaction::Transactions;
pub use voters::Voter;
use voters::Voters;

/// The topic of the metadata log.
pub const TOPIC: &str = "__cluster_metadata";

/// Names a store operation of the quorum's; the answer carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the quorum wants done, and what it has to tell.
#[derive(Debug, Default)]
pub struct Output {
    /// Operations, in order within each lane.
    pub store: Vec<(Ticket, StoreOp)>,
    /// Committed records in order, those replayed at the start among them. Marks of transactions (KIP-868) are in it, records
    /// of a transaction only once it ended.
    pub committed: Vec<(Offset, MetadataRecord)>,
    /// The metadata log is lost to this node: nothing more can be decided or read.
    pub failed: Option<StoreError>,
}

/// What an operation was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Mount,
    Load,
    State,
    /// Everything below the offset is written.
    Append(Offset),
    /// A step of the lane whose success says nothing by itself.
    Lane,
    /// Everything below the offset is on disk.
    Flush(Offset),
}

#[derive(Clone, Debug)]
enum Role {
    /// Not begun, or the log is being opened.
    Starting,
    /// The log is read; nothing is known about its end before that.
    Replaying(Replay),
    /// The epoch and the vote for ourselves are on their way to disk.
    Electing,
    /// We append; others (once there are any) fetch.
    Leader,
    /// The log failed.
    Failed,
}

/// The metadata quorum as one of its voters sees it.
#[derive(Clone, Debug)]
pub struct Quorum {
    node: NodeId,
    log: LogId,
    dir: DirId,
    directory_id: Uuid,
    endpoints: Vec<(Str, Str, u16)>,
    segment_bytes: i32,
    role: Role,
    epoch: LeaderEpoch,
    voters: Voters,
    /// The log as far as it is known; none before it is mounted.
    shape: Option<Box<Shape>>,
    high_watermark: Offset,
    flush_in_flight: bool,
    /// Appended, not yet committed.
    pending: VecDeque<(Offset, MetadataRecord)>,
    transactions: Transactions,
    history: History,
    /// What a new cluster begins with, by the tool that formatted the directory.
    bootstrap: Vec<MetadataRecord>,
    next_ticket: u64,
    in_flight: Map<Ticket, Purpose>,
}

impl Quorum {
    /// A quorum of which this node is the only voter. It does nothing until [`Quorum::begin`].
    pub fn new(node: NodeId, log: LogId, dir: DirId) -> Quorum {
        Quorum {
            node,
            log,
            dir,
            directory_id: Uuid::ZERO,
            endpoints: Vec::new(),
            segment_bytes: 1 << 30,
            role: Role::Starting,
            epoch: LeaderEpoch(0),
            voters: Voters::only(node),
            shape: None,
            high_watermark: Offset(0),
            flush_in_flight: false,
            pending: VecDeque::new(),
            transactions: Transactions::default(),
            history: History::default(),
            bootstrap: Vec::new(),
            next_ticket: 0,
            in_flight: Map::new(),
        }
    }

    /// The id of the directory that holds the log: a voter is a node with a directory (KIP-853).
    #[must_use]
    pub fn directory(mut self, id: Uuid) -> Quorum {
        self.directory_id = id;
        self
    }

    /// A listener on which other voters would reach this one: its name, host and port.
    #[must_use]
    pub fn endpoint(mut self, listener: Str, host: Str, port: u16) -> Quorum {
        self.endpoints.push((listener, host, port));
        self
    }

    /// The size at which a new segment begins.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: i32) -> Quorum {
        self.segment_bytes = bytes;
        self
    }

    /// Opens the log; everything follows from it.
    pub fn begin(&mut self, _now: Now, out: &mut Output) {
        let spec = LogSpec {
            dir: self.dir,
            topic: Str::from_static(TOPIC),
            partition: 0,
            topic_id: Uuid::METADATA_TOPIC,
            create: true,
            synced: true,
            compacted: false,
        };
        self.ask(Purpose::Mount, StoreOp::Mount(self.log, spec), out);
    }

    /// True while this node may append.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader)
    }

    /// Who leads, as far as this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.is_leader().then_some(self.node)
    }

    /// The current epoch; 0 before the first election.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Where the next record goes.
    pub fn log_end(&self) -> Offset {
        self.shape.as_ref().map_or(Offset(0), |shape| shape.end())
    }

    /// Everything below is on disk.
    pub fn recovery_point(&self) -> Offset {
        self.shape.as_ref().map_or(Offset(0), |shape| shape.synced_end())
    }

    /// One past the last committed record.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// What `bootstrap.checkpoint` gives a cluster to begin with, if the log was empty.
    pub fn take_bootstrap(&mut self) -> Vec<MetadataRecord> {
        std::mem::take(&mut self.bootstrap)
    }

    /// Appends the records of one decision as one batch; answers with one past the last record. They are committed, and come
    /// back in [`Output::committed`], when the majority has synced them. Only the leader may append. A decision is bounded by
    /// the request that asked for it, hence by `socket.request.max.bytes`.
    pub fn append(&mut self, now: Now, records: Vec<MetadataRecord>, out: &mut Output) -> Offset {
        assert!(self.is_leader(), "only the leader appends to the metadata log");
        if !records.is_empty() {
            for record in &records {
                self.history.metadata(record);
            }
            let version = self.history.metadata_version();
            let (batch, records) = batch::of_records(self.log_end(), self.epoch, now.wall, records, version);
            self.write(now, batch, out);
            self.pending.extend(records);
            self.flush(out);
        }
        self.log_end()
    }

    /// Has everything appended so far synced. Appending does that by itself: one sync is under way at a time, and covers what
    /// was appended while the one before it ran.
    pub fn flush(&mut self, out: &mut Output) {
        let Some(shape) = self.shape.as_ref().filter(|shape| shape.synced_end() < shape.end()) else { return };
        if self.is_leader() && !self.flush_in_flight {
            let (op, end) = shape.flush();
            self.flush_in_flight = true;
            self.ask(Purpose::Flush(end), op, out);
        }
    }

    /// An operation ended.
    pub fn stored(&mut self, now: Now, ticket: Ticket, result: Result<Done, StoreError>, out: &mut Output) {
        let Some(purpose) = self.in_flight.remove(&ticket) else { return };
        let done = match result {
            Ok(done) => done,
            Err(error) => return self.fail(error, out),
        };
        match (purpose, done) {
            (Purpose::Mount, Done::Mounted(shape)) => self.mounted(shape, out),
            (Purpose::Load, Done::Loaded(bytes)) => self.replayed(&bytes, out),
            (Purpose::State, Done::Put) => self.lead(now, out),
            (Purpose::Flush(end), Done::Flushed) => {
                self.flush_in_flight = false;
                if let Some(shape) = &mut self.shape {
                    shape.synced(end);
                }
                self.voters.set_synced(self.node, end);
                self.advance(out);
                self.flush(out);
            }
            (Purpose::Append(end), Done::Appended) => {
                if let Some(shape) = &mut self.shape {
                    shape.written(end);
                }
            }
            (Purpose::Lane, _) => {}
            (purpose, done) => panic!("the driver answered {purpose:?} with {done:?}"),
        }
    }

    fn mounted(&mut self, shape: Box<Shape>, out: &mut Output) {
        let prepared = self.prepare(shape, out);
        match prepared {
            Ok(()) => self.replay_on(out),
            Err(error) => self.fail(error, out),
        }
    }

    /// Reads what is beside the log, and begins to replay it.
    fn prepare(&mut self, mut shape: Box<Shape>, out: &mut Output) -> Result<(), StoreError> {
        let corrupt = |what: String| StoreError::Corrupt(format!("{TOPIC}: {what}"));
        // The vote may be ahead of the log: its leader died before its first batch.
        let voted = shape.mounted().quorum_state.as_deref().map(QuorumState::parse).transpose()?;
        let voted = voted.map(|state| state.leader_epoch).unwrap_or_default();
        self.epoch = voted.max(shape.epochs().latest().unwrap_or_default());
        let mut history = History::default();
        if let Some(bytes) = shape.mounted().bootstrap.as_ref().filter(|_| shape.end() == Offset(0)) {
            // Its levels are not this log's yet.
            let records = snapshot::records(bytes, &mut History::default());
            self.bootstrap = records.map_err(|what| corrupt(format!("bootstrap.checkpoint: {what}")))?;
        }
        let mut from = Offset(0);
        if let Some(Snapshot { id, bytes }) = shape.take_snapshot() {
            let name = id.file_name();
            if id.end > shape.end() {
                let end = shape.end();
                return Err(corrupt(format!(
                    "{name} stands for more than the log has, which ends at {end}; restore it"
                )));
            }
            let records = snapshot::records(&bytes, &mut history);
            let records = records.map_err(|what| corrupt(format!("{name}: {what}; restore it")))?;
            let last = id.end.plus(-1);
            out.committed.extend(records.into_iter().map(|record| (last, record)));
            from = id.end;
        }
        if shape.log_start() > from {
            let start = shape.log_start();
            return Err(corrupt(format!(
                "it begins at offset {start}, and no snapshot holds what came before; restore one"
            )));
        }
        self.role = Role::Replaying(Replay::new(&shape, from, history));
        self.shape = Some(shape);
        Ok(())
    }

    /// Reads on, or ends the replay.
    fn replay_on(&mut self, out: &mut Output) {
        let Role::Replaying(replay) = &self.role else { return };
        match replay.region() {
            Some(region) => self.ask(Purpose::Load, StoreOp::Load(region), out),
            None => {
                self.history = replay.history.clone();
                let state = self.shape.as_ref().and_then(|shape| shape.mounted().quorum_state.as_deref());
                let state = state.and_then(|bytes| QuorumState::parse(bytes).ok());
                if let Err(why) = self.history.check(self.node, self.directory_id, state.as_ref()) {
                    return self.fail(StoreError::Corrupt(format!("{TOPIC}: {why}")), out);
                }
                // With a single voter everything that its log kept is committed: nobody else can have voted otherwise. It is
                // synced at the latest with this epoch's first batch, before anything new is.
                self.high_watermark = self.log_end();
                self.elect(out);
            }
        }
    }

    fn replayed(&mut self, bytes: &Bytes, out: &mut Output) {
        let Role::Replaying(replay) = &mut self.role else { return };
        match replay.read(bytes) {
            Ok(records) => {
                for (offset, record) in records {
                    self.transactions.reveal(offset, record, &mut out.committed);
                }
                self.replay_on(out);
            }
            Err(error) => self.fail(error, out),
        }
    }

    /// A new epoch, and our own vote for it, which is the majority.
    fn elect(&mut self, out: &mut Output) {
        self.epoch = LeaderEpoch(self.epoch.0.saturating_add(1));
        self.role = Role::Electing;
        // An empty log's first batch makes the voters the log's own.
        let is_static = self.history.has_static_voters() && self.log_end() > Offset(0);
        let state = QuorumState {
            leader_id: Some(self.node),
            leader_epoch: self.epoch,
            static_voters: is_static.then(|| vec![self.node]),
            ..QuorumState::default()
        };
        let state = state.format();
        self.ask(Purpose::State, StoreOp::Put(Cell::QuorumState(self.log), state), out);
    }

    /// The epoch is on disk: its first batch says who leads, and in an empty log also who votes.
    fn lead(&mut self, now: Now, out: &mut Output) {
        self.role = Role::Leader;
        let base = self.log_end();
        let voter = Voter { id: self.node, directory_id: self.directory_id, endpoints: self.endpoints.clone() };
        let first = batch::leader_change(base, self.epoch, now.wall, &voter, base == Offset(0));
        let epoch = self.epoch;
        if let Some(op) = self.shape.as_mut().and_then(|shape| shape.begin_epoch(epoch)) {
            self.ask(Purpose::Lane, op, out);
        }
        self.write(now, first, out);
        if self.transactions.is_open() {
            // Its leader is gone; its records never happened.
            self.append(now, vec![AbortTransactionRecord::default().into()], out);
        }
        self.flush(out);
    }

    fn write(&mut self, now: Now, batch: Batches, out: &mut Output) {
        let shape = self.shape.as_mut().expect("who leads has a log");
        // A decision that is larger than a segment gets one of its own.
        let size = i32::try_from(batch.bytes()).unwrap_or(i32::MAX);
        let rules = LogRules { segment_bytes: self.segment_bytes.max(size), ..LogRules::default() };
        let appended =
            shape.append(batch, self.epoch, &rules, now.wall).expect("a batch of the quorum's own has a place");
        let end = appended.end();
        for op in appended.ops {
            let purpose = if matches!(op, StoreOp::Append(..)) { Purpose::Append(end) } else { Purpose::Lane };
            self.ask(purpose, op, out);
        }
    }

    /// Moves the high watermark to what the majority has synced, and reveals what is below it.
    fn advance(&mut self, out: &mut Output) {
        self.high_watermark = self.voters.high_watermark(self.high_watermark);
        while let Some((offset, _)) = self.pending.front()
            && *offset < self.high_watermark
        {
            let Some((offset, record)) = self.pending.pop_front() else { break };
            self.transactions.reveal(offset, record, &mut out.committed);
        }
    }

    fn ask(&mut self, purpose: Purpose, op: StoreOp, out: &mut Output) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.in_flight.insert(ticket, purpose);
        out.store.push((ticket, op));
    }

    fn fail(&mut self, error: StoreError, out: &mut Output) {
        // The first failure is the cause; those queued behind it follow from it.
        if !matches!(self.role, Role::Failed) {
            self.role = Role::Failed;
            out.failed = Some(error);
        }
    }
}
