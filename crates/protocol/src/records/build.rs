//! Makes batches: a producer's, and those that Kafka writes for itself.

use bytes::Bytes;

use super::batches::Batches;
use super::compression::{Compression, CompressionError, Compressors};
use super::crc::crc32c_of_two;
use super::head::{ATTRIBUTES_AT, Attributes, BatchHead, HEAD_SIZE, LOG_OVERHEAD, MAGIC, TimestampType};
use super::record::{Record, RecordView};
use super::varint;
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Str, WallMs};

/// Collects the records of one batch. The same pushes give the same bytes.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// The head as far as it is known; offsets, counts and timestamps follow the records.
    head: BatchHead,
    level: Option<i32>,
    append_time: Option<WallMs>,
    /// When compaction may drop tombstones; timestamps count from it then.
    delete_horizon: Option<WallMs>,
    /// Room for the head, then the records.
    bytes: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch at offset 0, as a producer starts one.
    pub fn new(compression: Compression) -> BatchBuilder {
        let head = BatchHead {
            base_offset: Offset(0),
            batch_length: 0,
            leader_epoch: LeaderEpoch::NONE,
            magic: MAGIC,
            crc: 0,
            attributes: Attributes::default().with_compression(compression),
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            record_count: 0,
        };
        BatchBuilder { head, level: None, append_time: None, delete_horizon: None, bytes: vec![0; HEAD_SIZE] }
    }

    /// What compaction leaves of a batch: [`keep`](Self::keep) adds the records that stay, none is fine too. Offsets,
    /// producer and sequences of the batch stay, so a log still knows who wrote up to where (KIP-98). `delete_horizon` is set
    /// once: a batch that has one keeps it (KIP-534).
    pub fn compacted(head: &BatchHead, delete_horizon: Option<WallMs>) -> BatchBuilder {
        let had = head.attributes.has_delete_horizon().then_some(WallMs(head.base_timestamp));
        let delete_horizon = had.or(delete_horizon);
        let attributes = head.attributes.with_delete_horizon(delete_horizon.is_some());
        let append_time =
            (attributes.timestamp_type() == TimestampType::LogAppendTime).then_some(WallMs(head.max_timestamp));
        BatchBuilder {
            head: BatchHead { attributes, record_count: 0, ..*head },
            level: None,
            append_time,
            delete_horizon,
            bytes: vec![0; HEAD_SIZE],
        }
    }

    /// The compression's level, Kafka's `compression.*.level`.
    #[must_use]
    pub fn level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Where in a log the batch will be, for who gives offsets itself.
    #[must_use]
    pub fn place(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        self.head.base_offset = base_offset;
        self.head.leader_epoch = leader_epoch;
        self
    }

    /// Of an idempotent producer.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.head.producer_id = id;
        self.head.producer_epoch = epoch;
        self.head.base_sequence = base_sequence;
        self
    }

    /// Of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.head.attributes = self.head.attributes.with_transactional(true);
        self
    }

    /// Of control records.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.head.attributes = self.head.attributes.with_control(true);
        self
    }

    /// With LogAppendTime: `now` counts, whatever the records say.
    #[must_use]
    pub fn append_time(mut self, now: WallMs) -> Self {
        self.head.attributes = self.head.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.append_time = Some(now);
        self
    }

    /// Adds a record at the next offset. A batch holds less than 2 GiB: ask [`size_with`](Self::size_with) first.
    pub fn push(
        &mut self,
        timestamp: WallMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(Str, Option<Bytes>)],
    ) {
        self.push_at(self.head.record_count, timestamp, key, value, headers);
    }

    /// Adds a record at the offset it has. Of a [compacted](Self::compacted) batch only, and in order.
    pub fn keep(&mut self, record: &Record) {
        let offset_delta = record.offset.0 - self.head.base_offset.0;
        let offset_delta = i32::try_from(offset_delta).expect("a record of the batch");
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        self.push_at(offset_delta, record.timestamp, key, value, &record.headers);
    }

    /// [`keep`](Self::keep) for a record that still lies in its batch: key, value and headers are copied in one piece.
    pub fn keep_view(&mut self, record: &RecordView<'_>) {
        let timestamp_delta = self.timestamp_delta(record.timestamp);
        self.note(record.offset_delta, record.timestamp);
        let offset_delta = i64::from(record.offset_delta);
        let size = 1 + varint::size(timestamp_delta) + varint::size(offset_delta) + record.content.len();
        self.bytes.reserve(varint::size(size as i64) + size);
        let out = &mut self.bytes;
        varint::put(out, size as i64);
        out.push(0);
        varint::put(out, timestamp_delta);
        varint::put(out, offset_delta);
        out.extend_from_slice(record.content);
    }

    /// Counts a record in. Its timestamp's distance is measured before.
    fn note(&mut self, offset_delta: i32, timestamp: WallMs) {
        if self.is_empty() {
            self.head.base_timestamp = self.delete_horizon.unwrap_or(timestamp).0;
            self.head.max_timestamp = timestamp.0;
        }
        self.head.max_timestamp = self.head.max_timestamp.max(timestamp.0);
        self.head.record_count += 1;
        self.head.last_offset_delta = self.head.last_offset_delta.max(offset_delta);
    }

    fn push_at(
        &mut self,
        offset_delta: i32,
        timestamp: WallMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(Str, Option<Bytes>)],
    ) {
        let timestamp_delta = self.timestamp_delta(timestamp);
        self.note(offset_delta, timestamp);
        let size = body_size(offset_delta, timestamp_delta, key, value, headers);
        self.bytes.reserve(varint::size(size as i64) + size);
        let out = &mut self.bytes;
        varint::put(out, size as i64);
        // The attributes of a record, which mean nothing yet.
        out.push(0);
        varint::put(out, timestamp_delta);
        varint::put(out, i64::from(offset_delta));
        put_nullable(out, key);
        put_nullable(out, value);
        varint::put(out, headers.len() as i64);
        for (name, value) in headers {
            put_nullable(out, Some(name.as_bytes()));
            put_nullable(out, value.as_deref());
        }
    }

    fn timestamp_delta(&self, timestamp: WallMs) -> i64 {
        let base = match self.delete_horizon {
            Some(horizon) => horizon.0,
            None if self.is_empty() => timestamp.0,
            None => self.head.base_timestamp,
        };
        // Wraps as Java's does; the reader's sum wraps back.
        timestamp.0.wrapping_sub(base)
    }

    /// Records so far.
    pub fn len(&self) -> i32 {
        self.head.record_count
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.head.record_count == 0
    }

    /// Bytes of the batch before compression: exact without one, and more than comes out with any that helps.
    pub fn estimated_size(&self) -> usize {
        self.bytes.len()
    }

    /// [`estimated_size`](Self::estimated_size) as it would be with this record.
    pub fn size_with(
        &self,
        timestamp: WallMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(Str, Option<Bytes>)],
    ) -> usize {
        let size = body_size(self.head.record_count, self.timestamp_delta(timestamp), key, value, headers);
        self.bytes.len() + varint::size(size as i64) + size
    }

    /// The batch. Only a compacted one may be without records.
    pub fn build(self, compressors: &dyn Compressors) -> Result<Bytes, CompressionError> {
        Ok(self.finish(compressors)?.1)
    }

    /// The batch as one that needs no check, for who appends what it built.
    pub fn build_batches(self, compressors: &dyn Compressors) -> Result<Batches, CompressionError> {
        let (head, bytes) = self.finish(compressors)?;
        let mut batches = Batches::of(bytes, 1);
        batches.push(head, None);
        Ok(batches)
    }

    fn finish(mut self, compressors: &dyn Compressors) -> Result<(BatchHead, Bytes), CompressionError> {
        assert!(self.head.last_offset_delta >= 0, "a batch has a record, or had one");
        if self.is_empty() {
            self.head.attributes = self.head.attributes.with_compression(Compression::None).with_delete_horizon(false);
            self.head.base_timestamp = -1;
        }
        let compression = self.head.attributes.compression();
        if compression != Compression::None {
            let packed = compressors.compress(compression, self.level, &self.bytes[HEAD_SIZE..])?;
            self.bytes.truncate(HEAD_SIZE);
            self.bytes.extend_from_slice(&packed);
        }
        let mut head = self.head;
        if let Some(now) = self.append_time {
            head.max_timestamp = now.0;
        }
        let length = self.bytes.len() - LOG_OVERHEAD;
        head.batch_length = i32::try_from(length).expect("a batch holds less than 2 GiB");
        head.crc = crc32c_of_two(&head.encode()[ATTRIBUTES_AT..], &self.bytes[HEAD_SIZE..]);
        self.bytes[..HEAD_SIZE].copy_from_slice(&head.encode());
        Ok((head, self.bytes.into()))
    }
}

fn body_size(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(Str, Option<Bytes>)],
) -> usize {
    let attributes = 1;
    let headers_size: usize = headers
        .iter()
        .map(|(name, value)| nullable_size(Some(name.as_bytes())) + nullable_size(value.as_deref()))
        .sum();
    attributes
        + varint::size(timestamp_delta)
        + varint::size(i64::from(offset_delta))
        + nullable_size(key)
        + nullable_size(value)
        + varint::size(headers.len() as i64)
        + headers_size
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::size(bytes.len() as i64) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
