//! The metadata log as this node has it: its shape, what its records say of the quorum, and which of them are committed.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use protocol::messages::MetadataRecord;
use protocol::records::{Batches, PureCompressors, read};
use protocol::{LeaderEpoch, Offset, WallMs};
use storage::{LogRules, Shape, Snapshot, SnapshotId, StoreError, StoreOp};

use crate::batch;
use crate::history::History;
use crate::ops::{Ops, Purpose};
use crate::snapshot;
use crate::transaction::Transactions;
use crate::{Output, TOPIC};

/// Records that are held back at most: a batch of them is a few hundred KiB.
const MOST_HELD: usize = 4_096;
/// Batches of one answer of the leader's that are taken; the rest is asked for again. Each costs a sync, and a leader that does
/// not hear from this node for too long takes it for gone.
const MOST_REPLICATED: usize = 256;

/// Where a follower stands in the leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its log is the beginning of ours.
    Valid,
    /// It must cut what it has of this and later epochs from here on.
    Diverging(LeaderEpoch, Offset),
    /// What it needs is only in this snapshot.
    Snapshot(SnapshotId),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// None before it is mounted.
    pub(crate) shape: Option<Box<Shape>>,
    pub(crate) high_watermark: Offset,
    pub(crate) history: History,
    /// Records of decisions that wait for a sync under way, with the time of the last: they are at the log's end, behind what
    /// its shape knows.
    held: Vec<Bytes>,
    held_at: WallMs,
    /// Appended, not yet committed.
    pending: VecDeque<(Offset, MetadataRecord)>,
    transactions: Transactions,
    /// The newest snapshot on disk.
    pub(crate) snapshot: Option<Snapshot>,
    /// One of our own on its way to disk.
    pub(crate) writing: Option<Snapshot>,
    /// A snapshot of the leader's on its way to disk.
    pub(crate) storing: Option<Snapshot>,
    /// Where snapshots end, and the time of the last record that each stands for: those that were the newest once, as far as their
    /// log is still there, and last the one that is.
    taken: VecDeque<(Offset, WallMs)>,
    /// Bytes appended since the newest snapshot.
    pub(crate) bytes_since_snapshot: u64,
    flushing: bool,
    /// Appends that are not stored yet.
    appending: u32,
    /// Cuts that are not done yet; the last one's answer says what is left.
    cutting: u32,
}

impl Log {
    /// Where the next record goes.
    pub(crate) fn end(&self) -> Offset {
        let end = self.shape.as_ref().map_or(Offset(0), |shape| shape.end());
        end.plus(self.held.len() as i64)
    }

    /// Everything below is on disk.
    pub(crate) fn synced_end(&self) -> Offset {
        self.shape.as_ref().map_or(Offset(0), |shape| shape.synced_end())
    }

    pub(crate) fn start(&self) -> Offset {
        self.shape.as_ref().map_or(Offset(0), |shape| shape.log_start())
    }

    /// The epoch of the last record.
    pub(crate) fn last_epoch(&self) -> LeaderEpoch {
        self.epoch_before(self.end())
    }

    /// The epoch of the last record below the offset.
    pub(crate) fn epoch_before(&self, end: Offset) -> LeaderEpoch {
        let in_log = self.shape.as_ref().filter(|shape| end > shape.log_start());
        let in_log = in_log.and_then(|shape| shape.epochs().epoch_at(end.plus(-1)));
        let in_snapshot = self.snapshot.as_ref().filter(|snapshot| snapshot.id.end == end).map(|it| it.id.epoch);
        in_log.or(in_snapshot).unwrap_or_default()
    }

    /// True if nothing that was asked of the log is under way.
    pub(crate) fn is_idle(&self) -> bool {
        let is_still = !self.is_cutting() && !self.flushing && self.appending == 0 && self.storing.is_none();
        is_still && self.synced_end() == self.end()
    }

    /// True while something that was appended is on its way to the disk.
    pub(crate) fn is_busy(&self) -> bool {
        self.flushing || self.appending > 0
    }

    /// True if no more decisions are to be held back.
    pub(crate) fn is_full(&self) -> bool {
        self.held.len() >= MOST_HELD
    }

    /// Holds a decision's records back, at the log's end.
    pub(crate) fn hold(&mut self, now: WallMs, records: Vec<MetadataRecord>, metadata_version: i16) {
        let mut at = self.end();
        self.held_at = now;
        for mut record in records {
            self.held.push(batch::encode_record(&mut record, metadata_version));
            self.pending.push_back((at, record));
            at = at.plus(1);
        }
    }

    /// Forgets what is held back: it is in no log, and who decided it decides no more.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
        let end = self.end();
        self.forget_from(end);
    }

    /// What is held back as one batch of the epoch, and its time.
    pub(crate) fn take_held(&mut self, epoch: LeaderEpoch) -> Option<(WallMs, Batches)> {
        if self.held.is_empty() {
            return None;
        }
        let held = std::mem::take(&mut self.held);
        Some((self.held_at, batch::of_values(self.end(), epoch, self.held_at, &held)))
    }

    /// True while the log is being cut.
    pub(crate) fn is_cutting(&self) -> bool {
        self.cutting > 0
    }

    /// True if a transaction began among the committed records and has not ended.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.transactions.is_open()
    }

    /// A new leader's first batch comes next.
    pub(crate) fn begin_epoch(&mut self, epoch: LeaderEpoch, ops: &mut Ops, out: &mut Output) {
        if let Some(op) = self.shape.as_mut().and_then(|shape| shape.begin_epoch(epoch)) {
            ops.ask(Purpose::Lane, op, out);
        }
    }

    /// Appends as leader.
    pub(crate) fn write(
        &mut self,
        batch: Batches,
        epoch: LeaderEpoch,
        rules: (i32, i64, WallMs),
        ops: &mut Ops,
        out: &mut Output,
    ) {
        let shape = self.shape.as_mut().expect("who leads has a log");
        let (rules, now) = (rules_for(&batch, rules.0, rules.1), rules.2);
        self.bytes_since_snapshot += batch.bytes() as u64;
        let appended = shape.append(batch, epoch, &rules, now).expect("a batch of the quorum's own has a place");
        self.ask_append(appended, ops, out);
    }

    /// Appends what the leader sent, which continues the log, and reads it: batch by batch, as the leader did. Each is on disk
    /// before the next is written, so that no power cut leaves a good one behind a bad one.
    pub(crate) fn write_replica(
        &mut self,
        batches: Batches,
        rules: (i32, i64, WallMs),
        ops: &mut Ops,
        out: &mut Output,
    ) -> Result<(), StoreError> {
        let corrupt = |what: String| StoreError::Corrupt(format!("{TOPIC}: the leader sent {what}"));
        for batch in batches.split().take(MOST_REPLICATED) {
            let Some(shape) = self.shape.as_mut() else { break };
            let (bytes, size) = (batch.to_bytes(), batch.bytes() as u64);
            let (rules, now) = (rules_for(&batch, rules.0, rules.1), rules.2);
            let appended = shape
                .append_replica(batch, &rules, now)
                .map_err(|_| corrupt("more than the log can take".to_owned()))?;
            self.bytes_since_snapshot += size;
            self.ask_append(appended, ops, out);
            self.read(&bytes).map_err(corrupt)?;
        }
        Ok(())
    }

    fn ask_append(&mut self, appended: storage::Appended, ops: &mut Ops, out: &mut Output) {
        let end = appended.end();
        for op in appended.ops {
            let is_append = matches!(op, StoreOp::Append(..));
            self.appending += u32::from(is_append);
            ops.ask(if is_append { Purpose::Append(end) } else { Purpose::Lane }, op, out);
        }
    }

    /// Takes note of what whole batches at the log's end say.
    fn read(&mut self, bytes: &Bytes) -> Result<(), String> {
        for batch in read(bytes, &PureCompressors) {
            let (head, records) = batch.map_err(|error| error.to_string())?;
            for record in records {
                if head.attributes.is_control() {
                    self.history.control(record.offset, &record)?;
                    continue;
                }
                let value = record.value.ok_or_else(|| format!("no value at offset {}", record.offset))?;
                let decoded = MetadataRecord::decode(value).map_err(|error| {
                    self.history.is_too_new().unwrap_or_else(|| format!("at offset {}: {error}", record.offset))
                })?;
                self.history.metadata(record.offset, &decoded);
                self.pending.push_back((record.offset, decoded));
            }
        }
        Ok(())
    }

    /// Records that were appended as leader or replayed, in order.
    pub(crate) fn await_commit(&mut self, records: Vec<(Offset, MetadataRecord)>) {
        self.pending.extend(records);
    }

    pub(crate) fn appended(&mut self, end: Offset) {
        self.appending -= 1;
        if let Some(shape) = &mut self.shape {
            shape.written(end);
        }
    }

    /// Has everything appended so far synced. One sync is under way at a time, and covers what was appended while the one
    /// before it ran.
    pub(crate) fn flush(&mut self, ops: &mut Ops, out: &mut Output) {
        let Some(shape) = self.shape.as_ref().filter(|shape| shape.synced_end() < shape.end()) else { return };
        if !self.flushing && !self.is_cutting() {
            let (op, end) = shape.flush();
            self.flushing = true;
            ops.ask(Purpose::Flush(end), op, out);
        }
    }

    pub(crate) fn flushed(&mut self, end: Offset) {
        self.flushing = false;
        if let Some(shape) = &mut self.shape {
            shape.synced(end);
        }
    }

    /// Cuts every record from the offset on. The log is idle, and is not touched until [`Log::cut`].
    pub(crate) fn truncate(&mut self, offset: Offset, ops: &mut Ops, out: &mut Output) {
        let Some(shape) = &mut self.shape else { return };
        let op = shape.truncate(offset);
        self.cutting += 1;
        self.forget_from(offset);
        ops.ask(Purpose::Truncate, op, out);
    }

    fn forget_from(&mut self, offset: Offset) {
        while self.pending.back().is_some_and(|(at, _)| *at >= offset) {
            self.pending.pop_back();
        }
        self.history.cut(offset);
    }

    /// Gives up every record and goes on at the offset. A cut there would keep what is below it, which may be of an epoch
    /// that lost: so the log is emptied first. After a power cut between the two it ends below the snapshot that stands for
    /// its beginning, which the next start makes good.
    pub(crate) fn begin_anew(&mut self, offset: Offset, ops: &mut Ops, out: &mut Output) {
        if offset <= self.end() && self.start() < self.end() {
            self.truncate(Offset(0), ops, out);
        }
        self.truncate(offset, ops, out);
    }

    pub(crate) fn cut(&mut self, rebuilt: Shape) {
        self.cutting -= 1;
        if let Some(shape) = self.shape.as_mut().filter(|_| self.cutting == 0) {
            shape.adopt(rebuilt);
        }
    }

    /// Moves the high watermark, and reveals what is below it.
    pub(crate) fn commit_to(&mut self, high_watermark: Offset, out: &mut Output) {
        if high_watermark <= self.high_watermark {
            return;
        }
        self.high_watermark = high_watermark;
        while let Some((offset, _)) = self.pending.front()
            && *offset < high_watermark
        {
            let Some((offset, record)) = self.pending.pop_front() else { break };
            self.transactions.reveal(offset, record, &mut out.committed);
        }
        self.history.settle(high_watermark);
    }

    /// A snapshot is the newest one.
    pub(crate) fn take(&mut self, snapshot: Snapshot) {
        let last = snapshot::last_timestamp(&snapshot.bytes);
        // Who does not say what it stands for is as old as it can be.
        self.taken.push_back((snapshot.id.end, last.unwrap_or_default()));
        self.bytes_since_snapshot = 0;
        self.snapshot = Some(snapshot);
    }

    /// Where the log may begin by `metadata.max.retention.ms`: a snapshot that is too old and the records before the next one go
    /// together, and the newest stays, as in Kafka.
    pub(crate) fn outlived(&mut self, now: WallMs, limit_ms: i64) -> Option<Offset> {
        let mut start = None;
        while let [(_, last), (next, _), ..] = self.taken.make_contiguous() {
            let (next, age_ms) = (*next, now.0.saturating_sub(last.0));
            if limit_ms >= 0 && age_ms <= limit_ms {
                break;
            }
            // Without a limit nobody asks how old they are.
            start = (limit_ms >= 0).then_some(next);
            self.taken.pop_front();
        }
        start
    }

    /// The log begins there: what snapshots stood for below is gone.
    pub(crate) fn outlived_to(&mut self, start: Offset) {
        self.taken.retain(|(end, _)| *end >= start);
    }

    /// The snapshot takes the place of everything; the log begins anew at its end.
    pub(crate) fn restore(&mut self, snapshot: Snapshot, ops: &mut Ops, out: &mut Output) -> Result<(), String> {
        let end = snapshot.id.end;
        let mut history = History::default();
        let last = end.plus(-1);
        let records = snapshot::records(&snapshot.bytes, last, &mut history)?;
        self.begin_anew(end, ops, out);
        self.pending.clear();
        self.transactions = Transactions::default();
        self.history = history;
        self.taken.clear();
        self.take(snapshot);
        self.high_watermark = end;
        out.is_reset = true;
        out.committed.clear();
        out.committed.extend(records.into_iter().map(|record| (last, record)));
        Ok(())
    }

    /// The greatest epoch not above the one asked for, and where it ends (KIP-595).
    pub(crate) fn end_of(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let known = self.shape.as_ref().and_then(|shape| shape.epochs().end_offset_for(epoch, shape.end()));
        known.unwrap_or_else(|| (self.last_epoch(), self.end()))
    }

    /// Compares a follower's end with this log.
    pub(crate) fn standing(&self, offset: Offset, epoch: LeaderEpoch) -> Standing {
        // What a cluster began with is in the first leader's log.
        let snapshot = self.snapshot.as_ref().map(|it| it.id).filter(|id| id.end > Offset(0));
        if let Some(id) = snapshot {
            let start = self.start();
            let is_after_snapshot = offset == id.end && epoch == id.epoch;
            if is_after_snapshot && offset == start {
                return Standing::Valid;
            }
            // What came before the log's start cannot be compared.
            if offset == Offset(0) || offset <= start {
                return Standing::Snapshot(id);
            }
        } else if offset == Offset(0) && epoch == LeaderEpoch(0) {
            return Standing::Valid;
        }
        match self.end_of(epoch) {
            (known, end) if known != epoch || end < offset => Standing::Diverging(known, end),
            _ => Standing::Valid,
        }
    }

    /// Where this log must be cut that a leader's has this end in this epoch.
    pub(crate) fn cut_for(&self, epoch: LeaderEpoch, end: Offset) -> Offset {
        if epoch == LeaderEpoch(0) {
            return end.min(self.end());
        }
        match self.end_of(epoch) {
            (known, ours) if known == epoch => ours.min(end),
            (_, ours) => ours,
        }
    }
}

/// A batch that is larger than a segment gets one of its own.
fn rules_for(batch: &Batches, segment_bytes: i32, segment_ms: i64) -> LogRules {
    let size = i32::try_from(batch.bytes()).unwrap_or(i32::MAX);
    LogRules { segment_bytes: segment_bytes.max(size), segment_ms, ..LogRules::default() }
}

/// A snapshot on its way from the leader.
#[derive(Clone, Debug)]
pub(crate) struct Fetching {
    pub(crate) id: SnapshotId,
    pub(crate) bytes: BytesMut,
}
