//! A log's shape: what its node knows of it without reading a file.

use std::sync::Arc;

use protocol::records::control::EndTransaction;
use protocol::records::{BatchHead, Batches, TimestampType};
use protocol::{Era, ErrorCode, FileId, LeaderEpoch, Offset, WallMs};

use crate::aborted::AbortedTransactions;
use crate::clean::Cleaned;
use crate::epochs::Epochs;
use crate::index::Pace;
use crate::op::{Cell, LogId, SegmentRules, StoreOp, file_id};
use crate::producers::{Producers, Sequence};
use crate::snapshot::Snapshot;
use crate::tail::{TAIL_BATCHES, Tail, TailEntry};

/// The greatest distance from a segment's base offset, and its greatest size: Kafka's indexes count in 31 bits.
const SEGMENT_LIMIT: i64 = i32::MAX as i64;

/// One segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name for the driver.
    pub file: FileId,
    /// Its name on disk, and a lower bound of its offsets.
    pub base: Offset,
    /// Bytes assigned in it.
    pub size: u32,
    /// The greatest timestamp of its first batch; rolling by time counts from it.
    pub first_timestamp: Option<i64>,
    /// The greatest timestamp in ms, -1 if it has none.
    pub max_timestamp: i64,
    /// When this run of the node first saw it; stands in where records have no timestamps.
    pub seen: Option<WallMs>,
    /// How full its indexes are.
    pub(crate) pace: Pace,
}

/// Everything about a log that decisions need. A clone shares what is sealed.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    log: LogId,
    sealed: Arc<Vec<Segment>>,
    active: Segment,
    log_start: Offset,
    end: Offset,
    written: Offset,
    synced: Offset,
    epochs: Epochs,
    producers: Producers,
    /// Where the newest producer snapshot on disk was taken.
    snapshot_at: Option<Offset>,
    pub(crate) aborted: AbortedTransactions,
    tail: Tail,
    era: Era,
    files: u32,
    /// A clean is under way: its sources must stay.
    cleaning: bool,
    /// How the next segment begins.
    segment_rules: SegmentRules,
    mounted: Mounted,
}

/// What the mount found beside the log itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounted {
    /// The log was created just now.
    pub created: bool,
    /// The last run ended with a clean stop.
    pub clean: bool,
    /// The broker epoch that the clean stop left behind.
    pub broker_epoch: Option<i64>,
    /// Of `replication-offset-checkpoint`.
    pub high_watermark: Option<Offset>,
    /// Of `recovery-point-offset-checkpoint`.
    pub recovery_point: Option<Offset>,
    /// Of `cleaner-offset-checkpoint`: below it every key was seen by a clean.
    pub cleaned_to: Option<Offset>,
    /// `quorum-state`, as it stands in the log's folder.
    pub quorum_state: Option<bytes::Bytes>,
    /// The newest snapshot in the metadata log's folder.
    pub snapshot: Option<Snapshot>,
    /// `bootstrap.checkpoint`, beside the metadata log's folder.
    pub bootstrap: Option<bytes::Bytes>,
    /// What recovery cut off and why, for people.
    pub cut: Option<String>,
    /// What was on disk and no longer is, for people.
    pub lost: Option<String>,
    /// Offsets that no file holds, for people. Compaction leaves such gaps; nothing else does.
    pub gap: Option<String>,
    /// A log of another topic that was in the way, or a folder that is nobody's in the directory, for people.
    pub aside: Option<String>,
}

/// The topic's settings that an append obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRules {
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: segments are rolled earlier by up to so much, or all logs of a start would roll at once.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `preallocate`.
    pub preallocate: bool,
}

impl LogRules {
    /// How a new segment begins.
    pub fn segments(&self) -> SegmentRules {
        let reserve = if self.preallocate { self.segment_bytes.max(0).cast_unsigned() } else { 0 };
        SegmentRules { reserve, index_interval_bytes: self.index_interval_bytes }
    }
}

impl Default for LogRules {
    /// Kafka's defaults.
    fn default() -> LogRules {
        LogRules {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            timestamp_type: TimestampType::CreateTime,
            preallocate: false,
        }
    }
}

/// The topic's settings that retention obeys. Negative is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`.
    pub ms: i64,
    /// `retention.bytes`.
    pub bytes: i64,
}

/// An append that was assigned its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended {
    /// Offset of the first record.
    pub first: Offset,
    /// Offset of the last record.
    pub last: Offset,
    /// The append time, if the topic has LogAppendTime.
    pub append_time: Option<WallMs>,
    /// For the driver, in this order. Once the `Append` is stored, call [`Shape::written`] with [`end`](Self::end).
    pub ops: Vec<StoreOp>,
}

impl Appended {
    /// Where the log ends after it.
    pub fn end(&self) -> Offset {
        self.last.plus(1)
    }
}

/// Why batches have no place in the log. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// More bytes than `segment.bytes`.
    TooLarge {
        /// Bytes of all batches.
        size: usize,
        /// The limit.
        limit: i32,
    },
    /// A replica's batch that begins before the log's end, or behind the one before it.
    OutOfOrder {
        /// Where the batch begins.
        base: Offset,
        /// The least that could follow.
        expected: Offset,
    },
    /// No offsets are left.
    Exhausted,
}

impl AppendError {
    /// As Kafka answers it.
    pub fn code(&self) -> ErrorCode {
        match self {
            AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
            AppendError::OutOfOrder { .. } => ErrorCode::UnknownServerError,
            AppendError::Exhausted => ErrorCode::InvalidRecord,
        }
    }
}

impl Shape {
    /// An empty log that begins at an offset, with its first segment numbered.
    pub fn new(log: LogId, base: Offset, file: FileId, era: Era) -> Shape {
        Shape::begin(log, base, file, era, SegmentRules::default())
    }

    /// The same by the topic's settings.
    pub(crate) fn begin(log: LogId, base: Offset, file: FileId, era: Era, segment_rules: SegmentRules) -> Shape {
        Shape {
            log,
            sealed: Arc::default(),
            active: Segment::new(file, base, None, segment_rules),
            log_start: base,
            end: base,
            written: base,
            synced: base,
            epochs: Epochs::default(),
            producers: Producers::default(),
            snapshot_at: None,
            aborted: AbortedTransactions::default(),
            tail: Tail::new(base, TAIL_BATCHES),
            era,
            files: count_after(file),
            cleaning: false,
            segment_rules,
            mounted: Mounted::default(),
        }
    }

    /// The log.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// The first offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The assigned end: where the next record goes.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The written end: what may be read.
    pub fn written_end(&self) -> Offset {
        self.written
    }

    /// The synced end: what a power cut leaves.
    pub fn synced_end(&self) -> Offset {
        self.synced
    }

    /// How often the log was truncated.
    pub fn era(&self) -> Era {
        self.era
    }

    /// Its leader epochs.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Its idempotent producers.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Its newest batches.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// All segments, oldest first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.sealed.iter().chain(std::iter::once(&self.active))
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments().map(|segment| u64::from(segment.size)).sum()
    }

    /// What the mount found.
    pub fn mounted(&self) -> &Mounted {
        &self.mounted
    }

    /// More that the mount has to tell.
    pub(crate) fn tell_aside(&mut self, odd: Vec<String>) {
        let aside = self.mounted.aside.take();
        self.mounted.aside = odd.into_iter().chain(aside).reduce(|all, what| format!("{all}; {what}"));
    }

    /// Takes the snapshot out that the mount found: it is read once, and may be large.
    pub fn take_snapshot(&mut self) -> Option<Snapshot> {
        self.mounted.snapshot.take()
    }

    /// What a client's batch is to the log: see [`Producers::check`].
    pub fn check_producer(&self, head: &BatchHead) -> Result<Sequence, ErrorCode> {
        self.producers.check(head)
    }

    /// Begins a leader epoch at the log's end, as a new leader does before its first append. The operation writes the
    /// checkpoint and is `None` if the epoch has begun already.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) -> Option<StoreOp> {
        self.epochs.assign(epoch, self.end).then(|| self.put_epochs())
    }

    /// Gives checked batches the next offsets, as leader. Sequences are checked by the caller
    /// ([`check_producer`](Self::check_producer)).
    pub fn append(
        &mut self,
        mut batches: Batches,
        leader_epoch: LeaderEpoch,
        rules: &LogRules,
        now: WallMs,
    ) -> Result<Appended, AppendError> {
        let append_time = (rules.timestamp_type == TimestampType::LogAppendTime).then_some(now);
        let mut next = self.end;
        for index in 0..batches.len() {
            batches.stamp(index, next, leader_epoch, append_time);
            next = batches.heads()[index].next_offset();
        }
        if next == Offset(i64::MAX) {
            return Err(AppendError::Exhausted);
        }
        let (size, limit) = (batches.bytes(), rules.segment_bytes);
        if i32::try_from(size).is_ok_and(|size| size <= limit) {
            Ok(Appended { append_time, ..self.place(batches, rules, now) })
        } else {
            Err(AppendError::TooLarge { size, limit })
        }
    }

    /// Takes a leader's batches as they are, as follower: offsets, epochs and timestamps are the leader's.
    ///
    /// A leader's log may start in the middle of a batch (DeleteRecords), and a replica that begins there gets the whole
    /// batch: a log without a record begins anew where that batch does.
    pub fn append_replica(&mut self, batches: Batches, rules: &LogRules, now: WallMs) -> Result<Appended, AppendError> {
        let anew = batches.heads().first().filter(|head| self.is_empty_within(head)).map(|head| head.base_offset);
        let mut expected = anew.unwrap_or(self.end);
        for head in batches.heads() {
            if head.base_offset < expected || head.last_offset_delta < 0 {
                return Err(AppendError::OutOfOrder { base: head.base_offset, expected });
            }
            expected = head.next_offset();
        }
        // A leader's batch fits the leader's segments; ours may be smaller and take it all the same.
        let size = batches.bytes();
        if i32::try_from(size).is_err() {
            return Err(AppendError::TooLarge { size, limit: i32::MAX });
        }
        let mut ops = anew.map_or_else(Vec::new, |base| self.begin_anew(base, now));
        let appended = self.place(batches, rules, now);
        ops.extend(appended.ops);
        Ok(Appended { ops, ..appended })
    }

    /// True if the log holds nothing and its end lies within the batch.
    fn is_empty_within(&self, head: &BatchHead) -> bool {
        let is_empty = self.log_start == self.end && self.size() == 0;
        let (base, last) = (head.base_offset, head.last_offset());
        is_empty && Offset(0) <= base && base < self.end && self.end <= last
    }

    /// An empty log begins at an offset before its end. Nothing was in it, so nothing that was told of it becomes untrue.
    fn begin_anew(&mut self, base: Offset, now: WallMs) -> Vec<StoreOp> {
        let old = self.segments().map(|segment| segment.file).collect();
        (self.log_start, self.end, self.written, self.synced) = (base, base, base, base);
        (self.epochs, self.producers, self.aborted) = Default::default();
        self.tail = Tail::new(base, TAIL_BATCHES);
        let roll = self.roll(base, now);
        self.sealed = Arc::default();
        // In this order: a crash may have left an empty segment of the new one's name.
        vec![StoreOp::Delete(self.log, old), roll]
    }

    fn place(&mut self, batches: Batches, rules: &LogRules, now: WallMs) -> Appended {
        let (Some(first), Some(last)) = (batches.heads().first(), batches.heads().last()) else {
            return Appended { first: self.end, last: self.end.plus(-1), append_time: None, ops: Vec::new() };
        };
        let (first, last) = (first.base_offset, last.last_offset());
        let mut ops = Vec::new();
        self.active.seen.get_or_insert(now);
        self.segment_rules = rules.segments();
        if self.must_roll(&batches, rules, now) {
            // A gap (the leader's log is compacted) belongs inside a file, unless the file could not name what follows it.
            let base = if last.0 - self.end.0 > SEGMENT_LIMIT { first } else { self.end };
            ops.push(self.roll(base, now));
        }
        let mut new_epoch = false;
        for head in batches.heads() {
            new_epoch |= self.admit(head);
            self.producers.apply(head);
        }
        if new_epoch {
            ops.push(self.put_epochs());
        }
        ops.push(StoreOp::Append(self.log, self.active.file, batches));
        Appended { first, last, append_time: None, ops }
    }

    /// Takes note of a batch at the end of the active segment. True if it begins a leader epoch.
    fn admit(&mut self, head: &BatchHead) -> bool {
        self.tail.push(TailEntry::of(head, self.active.file, self.active.size));
        self.active.admit(head);
        self.end = head.next_offset();
        self.epochs.latest() < Some(head.leader_epoch) && self.epochs.assign(head.leader_epoch, head.base_offset)
    }

    fn must_roll(&self, batches: &Batches, rules: &LogRules, now: WallMs) -> bool {
        let Some(last) = batches.heads().last().map(BatchHead::last_offset) else { return false };
        let active = &self.active;
        let reach = last.0.saturating_sub(active.base.0);
        if active.size == 0 {
            // An empty segment takes anything but what its indexes cannot name.
            return reach > SEGMENT_LIMIT;
        }
        let size = i64::from(active.size) + batches.bytes() as i64;
        let newest = batches.heads().iter().map(|head| head.max_timestamp).max().unwrap_or(-1);
        size > i64::from(rules.segment_bytes)
            || active.waited_for_roll(now, newest) > rules.segment_ms - active.jitter(rules)
            || active.pace.is_full(rules.segment_index_bytes)
            || reach > SEGMENT_LIMIT
    }

    fn roll(&mut self, base: Offset, now: WallMs) -> StoreOp {
        let file = file_id(self.log, self.files);
        self.files += 1;
        let next = Segment::new(file, base, Some(now), self.segment_rules);
        let sealed = std::mem::replace(&mut self.active, next);
        Arc::make_mut(&mut self.sealed).push(sealed);
        self.snapshot_at = Some(base);
        StoreOp::Roll(self.log, file, base, self.producers.snapshot(), self.segment_rules)
    }

    /// Everything below `end` is written: an `Append` is stored.
    pub fn written(&mut self, end: Offset) {
        assert!(end <= self.end, "written up to {end}, but assigned up to {}", self.end);
        self.written = self.written.max(end);
    }

    /// The operation that makes everything assigned so far durable. Once it is stored, call [`synced`](Self::synced) with
    /// the offset.
    pub fn flush(&self) -> (StoreOp, Offset) {
        (StoreOp::Flush(self.log), self.end)
    }

    /// Everything below `end` is on disk: a `Flush` is stored.
    pub fn synced(&mut self, end: Offset) {
        assert!(end <= self.written, "synced up to {end}, but written up to {}", self.written);
        self.synced = self.synced.max(end);
    }

    /// Cuts every record at and above the offset; an offset beyond the end, or before all that is left, starts the log
    /// anew there. The log is not ready until [`adopt`](Self::adopt) has the answer.
    pub fn truncate(&mut self, offset: Offset) -> StoreOp {
        self.era.0 += 1;
        self.tail.truncate(offset);
        self.end = offset;
        self.written = self.written.min(offset);
        self.synced = self.synced.min(offset);
        StoreOp::Truncate(self.log, offset, self.era)
    }

    /// What the truncation that is on its way takes from the files: from which byte on, of each that loses any. Whoever sends
    /// what lies before that need not stop.
    pub fn cut(&self) -> Vec<(FileId, u32)> {
        // A batch that holds the offset goes as a whole.
        let size = |it: &TailEntry| if it.last < self.end { it.size } else { 0 };
        let kept = self.tail.iter().next_back().map(|it| (it.file, it.at + size(it)));
        // Where nothing is behind what is kept, the log begins anew behind its end.
        let is_anew = kept == Some((self.active.file, self.active.size));
        let later = self.segments().filter(|segment| is_anew || segment.base > self.end);
        let mut parts: Vec<(FileId, u32)> = later.map(|segment| (segment.file, 0)).collect();
        if !is_anew && let Some(holder) = self.segments().rev().find(|segment| segment.base <= self.end) {
            parts.push((holder.file, kept.filter(|(file, _)| *file == holder.file).map_or(0, |(_, at)| at)));
        }
        parts
    }

    /// Gives up epochs that begin at or above the log's end: a leader began them and wrote nothing. The operation writes the
    /// checkpoint and is `None` if there are none.
    pub fn forget_epochs(&mut self, end: Offset) -> Option<StoreOp> {
        self.epochs.truncate_from_end(end).then(|| self.put_epochs())
    }

    /// Takes over the shape that a `Truncate` answered. The log start stays, which only the node knows.
    pub fn adopt(&mut self, rebuilt: Shape) {
        assert_eq!((self.log, self.era), (rebuilt.log, rebuilt.era), "the answer to another truncation");
        let first = rebuilt.first_base();
        let log_start = self.log_start.clamp(first, rebuilt.end.max(first));
        let mounted = std::mem::take(&mut self.mounted);
        let (files, cleaning) = (self.files.max(rebuilt.files), self.cleaning);
        *self = Shape { log_start, mounted, files, cleaning, ..rebuilt };
        self.epochs.truncate_from_start(log_start);
    }

    /// Moves the log start up (DeleteRecords, or a leader's log start), at most to the end. Whole segments below it go.
    pub fn advance_log_start(&mut self, offset: Offset) -> Vec<StoreOp> {
        assert!(offset <= self.end, "log start {offset} beyond the end {}", self.end);
        if offset <= self.log_start {
            return Vec::new();
        }
        self.log_start = offset;
        self.delete_below_start()
    }

    /// Gives up the segments below the log start.
    fn delete_below_start(&mut self) -> Vec<StoreOp> {
        let next_bases = self.segments().skip(1).map(|segment| segment.base);
        let below = next_bases.take_while(|next| *next <= self.log_start).count();
        self.delete_oldest(if self.cleaning { 0 } else { below }).into_iter().collect()
    }

    /// A clean of the log begins: until [`end_clean`](Self::end_clean) no sealed segment is given up.
    pub fn begin_clean(&mut self) {
        self.cleaning = true;
    }

    /// The clean is over, done or not: what became too old meanwhile goes.
    pub fn end_clean(&mut self) -> Vec<StoreOp> {
        self.cleaning = false;
        self.delete_below_start()
    }

    /// True from [`begin_clean`](Self::begin_clean) to [`end_clean`](Self::end_clean).
    pub fn is_cleaning(&self) -> bool {
        self.cleaning
    }

    /// Takes over a group of segments that a clean wrote anew. `None` if the log was cut meanwhile: the result is of no use.
    pub fn swap(&mut self, cleaned: &Cleaned) -> Option<StoreOp> {
        let first = self.sealed.iter().position(|it| Some(&it.file) == cleaned.sources.first())?;
        let range = first..first + cleaned.sources.len();
        let old = self.sealed.get(range.clone())?;
        if self.era != cleaned.era || !old.iter().map(|it| it.file).eq(cleaned.sources.iter().copied()) {
            return None;
        }
        let seen = old.last().and_then(|it| it.seen);
        let mut segments = cleaned.segments.clone();
        for segment in &mut segments {
            segment.file = file_id(self.log, self.files);
            segment.seen = seen;
            self.files += 1;
        }
        Arc::make_mut(&mut self.sealed).splice(range.clone(), segments.iter().copied());
        let next = self.sealed.get(first + segments.len()).unwrap_or(&self.active).base;
        self.tail.drop_below(next);
        Some(StoreOp::Swap(self.log, cleaned.sources.clone(), segments))
    }

    /// Gives up what is too old or too much, never above the high watermark. If that is the whole log, the active segment
    /// is rolled first.
    pub fn retention(&mut self, now: WallMs, high_watermark: Offset, retention: Retention) -> Vec<StoreOp> {
        self.active.seen.get_or_insert(now);
        if self.cleaning {
            return Vec::new();
        }
        let by_size = self.count_over_size(high_watermark, retention.bytes);
        let count = by_size + self.count_too_old(by_size, now, high_watermark, retention.ms);
        let mut ops = Vec::new();
        if count > self.sealed.len() {
            ops.push(self.roll(self.end, now));
        }
        if count > 0 {
            let next = self.segments().nth(count).map_or(self.end, |segment| segment.base);
            self.log_start = self.log_start.max(next);
        }
        ops.extend(self.delete_oldest(count));
        ops
    }

    fn count_over_size(&self, high_watermark: Offset, limit: i64) -> usize {
        let Ok(limit) = u64::try_from(limit) else { return 0 };
        let mut excess = self.size().saturating_sub(limit);
        self.deletable(high_watermark)
            .take_while(|segment| {
                let fits = excess > 0 && excess >= u64::from(segment.size);
                excess = excess.saturating_sub(u64::from(segment.size));
                fits
            })
            .count()
    }

    /// Of what is left when `gone` segments are.
    fn count_too_old(&self, gone: usize, now: WallMs, high_watermark: Offset, limit_ms: i64) -> usize {
        let age = |segment: &Segment| now.0.saturating_sub(segment.largest_timestamp(now));
        self.deletable(high_watermark).skip(gone).take_while(|segment| limit_ms >= 0 && age(segment) > limit_ms).count()
    }

    /// The segments that could go, oldest first: those below the high watermark, but for an empty active one.
    fn deletable(&self, high_watermark: Offset) -> impl Iterator<Item = &Segment> {
        let ends = self.segments().skip(1).map(|next| next.base).chain(std::iter::once(self.end));
        let active = self.active.file;
        self.segments()
            .zip(ends)
            .take_while(move |(segment, end)| *end <= high_watermark && (segment.file != active || segment.size > 0))
            .map(|(segment, _)| segment)
    }

    fn delete_oldest(&mut self, count: usize) -> Option<StoreOp> {
        self.epochs.truncate_from_start(self.log_start);
        if count == 0 {
            return None;
        }
        let files = Arc::make_mut(&mut self.sealed).drain(..count).map(|segment| segment.file).collect();
        self.tail.drop_below(self.first_base());
        Some(StoreOp::Delete(self.log, files))
    }

    fn first_base(&self) -> Offset {
        self.sealed.first().unwrap_or(&self.active).base
    }

    /// Forgets producers that have not written for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: WallMs, expiration_ms: i64) {
        self.producers.expire(now, expiration_ms);
    }

    /// Writes down which producers there are, if that is not on disk already: the last step of a clean stop, when
    /// everything is written.
    pub fn snapshot_producers(&mut self) -> Option<StoreOp> {
        if self.producers.is_empty() || self.snapshot_at == Some(self.end) {
            return None;
        }
        self.snapshot_at = Some(self.end);
        Some(StoreOp::Put(Cell::Producers(self.log, self.end), self.producers.snapshot()))
    }

    /// Takes the log off its disk.
    pub fn remove(&self) -> StoreOp {
        StoreOp::Remove(self.log)
    }

    fn put_epochs(&self) -> StoreOp {
        StoreOp::Put(Cell::LeaderEpochs(self.log), self.epochs.format())
    }
}

impl Segment {
    pub(crate) fn new(file: FileId, base: Offset, seen: Option<WallMs>, rules: SegmentRules) -> Segment {
        let pace = Pace::new(rules.index_interval_bytes);
        Segment { file, base, size: 0, first_timestamp: None, max_timestamp: -1, seen, pace }
    }

    pub(crate) fn admit(&mut self, head: &BatchHead) {
        self.first_timestamp.get_or_insert(head.max_timestamp);
        self.max_timestamp = self.max_timestamp.max(head.max_timestamp);
        self.pace.step(head.size() as u32, self.max_timestamp);
        self.size += head.size() as u32;
    }

    /// Records' time counts if they have any, else the node's.
    fn waited_for_roll(&self, now: WallMs, newest: i64) -> i64 {
        match self.first_timestamp {
            Some(first) if first >= 0 => newest.saturating_sub(first),
            _ => self.seen.map_or(0, |seen| now - seen),
        }
    }

    /// By how much earlier it is rolled: another share for every segment, the same whenever it is asked for.
    fn jitter(&self, rules: &LogRules) -> i64 {
        let bound = rules.segment_jitter_ms.min(rules.segment_ms);
        if bound <= 0 {
            return 0;
        }
        // The end of SplitMix64, which makes of numbers that follow each other ones that do not.
        let mut mixed = self.file.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) % bound.cast_unsigned()).cast_signed()
    }

    /// The age that retention and compaction go by: of the newest record, or of the segment where records have no time.
    pub fn largest_timestamp(&self, now: WallMs) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.seen.unwrap_or(now).0 }
    }
}

fn count_after(file: FileId) -> u32 {
    (file.0 as u32).saturating_add(1)
}

/// What only a mount or a truncation does: a shape from what the files hold.
impl Shape {
    /// Adds the next segment; what was active is sealed.
    pub(crate) fn rebuild_segment(&mut self, segment: Segment) {
        self.files = self.files.max(count_after(segment.file));
        self.end = self.end.max(segment.base);
        let sealed = std::mem::replace(&mut self.active, segment);
        Arc::make_mut(&mut self.sealed).push(sealed);
    }

    /// The active segment has these bytes, which are not read batch by batch: its first batch has this timestamp, and it ends
    /// there.
    pub(crate) fn rebuild_unread(&mut self, size: u32, max_timestamp: i64, ends: (Option<i64>, Offset)) {
        self.active.size = size;
        self.active.max_timestamp = max_timestamp;
        self.active.first_timestamp = ends.0;
        self.end = self.end.max(ends.1);
    }

    /// What checkpoint and snapshot said; the batches that are read from here on come on top. No batch before is in the
    /// tail.
    pub(crate) fn rebuild_from(&mut self, epochs: Epochs, producers: Producers) {
        self.epochs = epochs;
        self.producers = producers;
        self.tail = Tail::new(self.end, TAIL_BATCHES);
    }

    /// Adds a batch that was read, and what it says if it is a marker. The snapshot holds what producers did below `from`.
    pub(crate) fn rebuild_batch(&mut self, head: &BatchHead, from: Offset, marker: Option<EndTransaction>) {
        self.admit(head);
        if head.base_offset >= from
            && let Some(aborted) = self.producers.replay(head, marker)
        {
            Arc::make_mut(&mut self.aborted).push(aborted);
        }
    }

    /// All is read: what is in the files is written and synced.
    pub(crate) fn rebuilt(mut self, log_start: Offset, mounted: Mounted) -> Shape {
        self.epochs.truncate_from_end(self.end);
        self.log_start = log_start.clamp(self.first_base(), self.end);
        self.epochs.truncate_from_start(self.log_start);
        self.written = self.end;
        self.synced = self.end;
        // A clean stop, ours or Apache Kafka's, has left one at the end.
        self.snapshot_at = mounted.clean.then_some(self.end);
        self.mounted = mounted;
        self
    }
}
