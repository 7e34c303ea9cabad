//! A batch of a producer: records for one partition that travel, and are retried, together.

use protocol::records::{BatchBuilder, CompressionError, HEAD_SIZE, PureCompressors, Record};
use protocol::{Instant, LeaderEpoch, Offset, ProducerEpoch, ProducerId, WallMs};

use bytes::Bytes;

use crate::config::ClientConfig;
use crate::input::{OpId, ProducerRecord};
use crate::view::BatchView;

/// Names a batch while its request is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId(pub(crate) u64);

/// A record with the operation that sent it and its place among all records sent.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) index: u64,
    pub(crate) op: OpId,
    pub(crate) record: Record,
}

/// Which producer numbered the batch, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence {
    pub(crate) producer_id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
    pub(crate) base: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) id: BatchId,
    pub(crate) records: Vec<Pending>,
    /// Bytes it would take uncompressed.
    pub(crate) size: usize,
    /// What it takes from `buffer.memory`.
    pub(crate) reserved: usize,
    /// No more records: it was sent, or one did not fit.
    pub(crate) closed: bool,
    /// It came from a batch that the broker found too large.
    pub(crate) split: bool,
    pub(crate) expires_at: Instant,
    pub(crate) lingers_until: Instant,
    pub(crate) retry_at: Instant,
    pub(crate) attempts: u32,
    /// The leader's epoch when it was last sent: a new leader is tried at once.
    pub(crate) sent_to_epoch: Option<LeaderEpoch>,
    pub(crate) sequence: Option<Sequence>,
    /// Its sequence was moved after it had been sent.
    pub(crate) renumbered: bool,
    /// An attempt ended without the broker's word on whether it was written.
    pub(crate) maybe_written: bool,
    encoded: Option<Bytes>,
}

impl Batch {
    pub(crate) fn new(id: BatchId, now: Instant, reserved: usize, config: &ClientConfig) -> Batch {
        Batch {
            id,
            records: Vec::new(),
            size: HEAD_SIZE,
            reserved,
            closed: false,
            split: false,
            expires_at: now.plus_ms(config.delivery_timeout()),
            lingers_until: now.plus_ms(config.linger_ms),
            retry_at: now,
            attempts: 0,
            sent_to_epoch: None,
            sequence: None,
            renumbered: false,
            maybe_written: false,
            encoded: None,
        }
    }

    /// Adds a record if it fits into `batch.size`. A record always fits into an empty batch.
    pub(crate) fn try_push(&mut self, pending: Pending, batch_size: usize) -> Result<(), Pending> {
        let size = record_size(&pending.record);
        if self.closed || (!self.records.is_empty() && self.size + size > batch_size) {
            self.closed = true;
            return Err(pending);
        }
        self.size += size;
        self.records.push(pending);
        Ok(())
    }

    /// True if nothing more goes in.
    pub(crate) fn is_full(&self, batch_size: usize) -> bool {
        self.closed || self.size >= batch_size
    }

    pub(crate) fn last_sequence(&self) -> Option<i32> {
        self.sequence.map(|it| advance(it.base, self.records.len() as i64 - 1))
    }

    /// Gives it new numbers; what was encoded with the old ones is dropped.
    pub(crate) fn number(&mut self, sequence: Sequence) {
        self.sequence = Some(sequence);
        self.encoded = None;
    }

    /// The batch as it goes on the wire: the same bytes at each attempt.
    pub(crate) fn encode(&mut self, config: &ClientConfig) -> Result<Bytes, CompressionError> {
        if let Some(bytes) = &self.encoded {
            return Ok(bytes.clone());
        }
        let mut builder = BatchBuilder::new(config.compression);
        if let Some(sequence) = self.sequence {
            builder = builder.producer(sequence.producer_id, sequence.epoch, sequence.base);
        }
        if let Some(level) = config.compression_level {
            builder = builder.level(level);
        }
        for pending in &self.records {
            let record = &pending.record;
            builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
        }
        let bytes = builder.build(&PureCompressors)?;
        self.encoded = Some(bytes.clone());
        Ok(bytes)
    }

    /// Cuts it into batches of at most `target` bytes, of at least one record each.
    pub(crate) fn into_parts(self, target: usize, mut next_id: impl FnMut() -> BatchId) -> Vec<Batch> {
        let mut parts: Vec<Batch> = Vec::new();
        let mut sequence = self.sequence;
        let template =
            Batch { records: Vec::new(), size: HEAD_SIZE, closed: false, split: true, encoded: None, ..self };
        let mut reserved = template.reserved;
        for pending in self.records {
            let full = parts.last().is_none_or(|last| last.size + record_size(&pending.record) > target);
            if full {
                // The memory goes with the first part, which is also answered first.
                let part =
                    Batch { id: next_id(), sequence, reserved: std::mem::take(&mut reserved), ..template.clone() };
                parts.push(part);
            }
            if let Some(last) = parts.last_mut() {
                last.size += record_size(&pending.record);
                last.records.push(pending);
            }
            sequence = sequence.map(|it| Sequence { base: advance(it.base, 1), ..it });
        }
        for part in &mut parts {
            part.closed = true;
        }
        parts
    }

    pub(crate) fn view(&self) -> BatchView {
        BatchView {
            records: self.records.iter().map(|it| it.op).collect(),
            bytes: self.encoded.as_ref().map_or(self.size, Bytes::len),
            base_sequence: self.sequence.map(|it| it.base),
            attempts: self.attempts,
            expires_at: self.expires_at,
        }
    }
}

/// Sequence numbers run from 0 to 2³¹-1 and around.
pub(crate) fn advance(sequence: i32, by: i64) -> i32 {
    // The remainder by 2³¹ fits an i32.
    (i64::from(sequence) + by).rem_euclid(1 << 31) as i32
}

/// The record that goes into a batch; its offset is the broker's business.
pub(crate) fn to_record(record: ProducerRecord, wall: WallMs) -> Record {
    Record {
        offset: Offset(0),
        timestamp: record.timestamp.unwrap_or(wall),
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

/// An upper bound of a record's bytes in a batch: deltas and lengths are at most as wide as their batch allows.
pub(crate) fn record_size(record: &Record) -> usize {
    sizes(record.key.as_ref(), record.value.as_ref(), &record.headers) + 14
}

/// [`record_size`] before the record is in a batch.
pub(crate) fn record_size_of(record: &ProducerRecord) -> usize {
    sizes(record.key.as_ref(), record.value.as_ref(), &record.headers) + 14
}

/// What Kafka's producer holds against `max.request.size`: the batch of this record alone, at its widest.
pub(crate) fn lone_size(record: &ProducerRecord) -> usize {
    HEAD_SIZE + 21 + sizes(record.key.as_ref(), record.value.as_ref(), &record.headers)
}

fn sizes(key: Option<&Bytes>, value: Option<&Bytes>, headers: &[(protocol::Str, Option<Bytes>)]) -> usize {
    let part = |bytes: Option<&Bytes>| bytes.map_or(1, |it| varint_size(it.len()) + it.len());
    let headers_size: usize =
        headers.iter().map(|(name, value)| varint_size(name.len()) + name.len() + part(value.as_ref())).sum();
    part(key) + part(value) + varint_size(headers.len()) + headers_size
}

/// Bytes of a zigzag varint of a length.
fn varint_size(length: usize) -> usize {
    let bits = usize::BITS - (length << 1).leading_zeros();
    (bits.max(1) as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(index: u64, value: usize) -> Pending {
        let record = Record { value: Some(Bytes::from(vec![b'x'; value])), ..Record::default() };
        Pending { index, op: OpId(index), record }
    }

    #[test]
    fn a_batch_takes_one_record_of_any_size_and_then_what_fits() {
        let config = ClientConfig::default();
        let mut batch = Batch::new(BatchId(1), Instant(0), 0, &config);
        assert!(batch.try_push(pending(0, 50), 300).is_ok());
        assert!(batch.try_push(pending(1, 50), 300).is_ok());
        assert!(batch.try_push(pending(2, 200), 300).is_err());
        assert!(
            batch.try_push(pending(3, 1), 300).is_err(),
            "a batch that turned one away is closed, or order is lost"
        );
        let mut large = Batch::new(BatchId(2), Instant(0), 0, &config);
        assert!(large.try_push(pending(0, 5_000), 300).is_ok());
    }

    #[test]
    fn sequences_wrap_after_two_to_the_31() {
        assert_eq!(advance(i32::MAX, 1), 0);
        assert_eq!(advance(i32::MAX - 1, 3), 1);
        assert_eq!(advance(0, -1), i32::MAX);
    }

    #[test]
    fn parts_of_a_batch_keep_order_and_numbers() {
        let config = ClientConfig::default();
        let mut batch = Batch::new(BatchId(1), Instant(0), 9, &config);
        for index in 0..5 {
            batch.try_push(pending(index, 100), 10_000).unwrap();
        }
        batch.number(Sequence { producer_id: ProducerId(7), epoch: ProducerEpoch(1), base: i32::MAX - 1 });
        let mut id = 10;
        let parts = batch.into_parts(300, || {
            id += 1;
            BatchId(id)
        });
        let shape: Vec<_> = parts
            .iter()
            .map(|it| (it.records.iter().map(|r| r.index).collect::<Vec<_>>(), it.sequence.unwrap().base))
            .collect();
        assert_eq!(shape, [(vec![0, 1], i32::MAX - 1), (vec![2, 3], 0), (vec![4], 2)]);
        assert_eq!(parts.iter().map(|it| it.reserved).sum::<usize>(), 9);
    }
}
