//! Checked batches: their bytes as they came, their heads as they will be written.

use bytes::{Bytes, BytesMut};

use super::compression::{Compression, CompressionError, Compressors};
use super::crc::crc32c_of_two;
use super::head::{ATTRIBUTES_AT, BatchHead, HEAD_SIZE, LOG_OVERHEAD, MAGIC_AT, TimestampType};
use crate::{LeaderEpoch, Offset, WallMs};

/// Whole batches back to back, checked.
///
/// Cheap to clone: payloads are shared. Offsets, epochs and append times are [stamped](Batches::stamp) into the heads,
/// and the bytes to write are fresh heads in front of the payloads that came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batches {
    bytes: Bytes,
    heads: Vec<BatchHead>,
    parts: Vec<Part>,
}

/// What a walk over the records found out about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchFacts {
    /// Index of the first record without a key: a compacted topic refuses it.
    pub first_null_key: Option<i32>,
    /// The least timestamp of the records that have one (-1 is none).
    pub min_timestamp: Option<i64>,
    /// The greatest timestamp; -1 if no record has one.
    pub max_timestamp: i64,
    /// Index of the first record that has it.
    pub max_timestamp_index: i32,
    /// Bytes of the records after decompression.
    pub plain_size: usize,
}

/// Where a batch is, and what of its head is no longer as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    at: usize,
    facts: Option<BatchFacts>,
    rewrite: Rewrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rewrite {
    /// The bytes are right as they came.
    None,
    /// Offset or epoch changed: outside the CRC.
    Prefix,
    /// Attributes or timestamp changed: the CRC must be made anew.
    Head,
}

impl Batches {
    /// Takes over the bytes of batches, without their heads yet.
    pub(crate) fn of(bytes: Bytes, capacity: usize) -> Batches {
        Batches { bytes, heads: Vec::with_capacity(capacity), parts: Vec::with_capacity(capacity) }
    }

    pub(crate) fn push(&mut self, head: BatchHead, facts: Option<BatchFacts>) {
        let at = match (self.parts.last(), self.heads.last()) {
            (Some(part), Some(head)) => part.at + head.size(),
            _ => 0,
        };
        debug_assert!(at + head.size() <= self.bytes.len(), "a batch beyond its bytes");
        self.heads.push(head);
        self.parts.push(Part { at, facts, rewrite: Rewrite::None });
    }

    /// Cuts off what follows the last batch.
    pub(crate) fn trim(&mut self) {
        let size = self.bytes();
        self.bytes.truncate(size);
    }

    /// How many batches there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The heads as they will be written, but for the CRC of a batch whose append time was stamped.
    pub fn heads(&self) -> &[BatchHead] {
        &self.heads
    }

    /// What is known about the records of a batch, if the rules had them walked.
    pub fn facts(&self, index: usize) -> Option<&BatchFacts> {
        self.parts[index].facts.as_ref()
    }

    /// Bytes of all batches.
    pub fn bytes(&self) -> usize {
        self.heads.iter().map(BatchHead::size).sum()
    }

    /// Records of all batches, as the heads count them.
    pub fn record_count(&self) -> i64 {
        self.heads.iter().map(|head| i64::from(head.record_count.max(0))).sum()
    }

    /// Each batch by itself. The bytes stay shared.
    pub fn split(self) -> impl Iterator<Item = Batches> {
        let Batches { bytes, heads, parts } = self;
        heads.into_iter().zip(parts).map(move |(head, part)| Batches {
            bytes: bytes.slice(part.at..part.at + head.size()),
            heads: vec![head],
            parts: vec![Part { at: 0, ..part }],
        })
    }

    /// Each head with its records: the bytes after the head, perhaps compressed.
    pub fn iter(&self) -> impl Iterator<Item = (&BatchHead, Bytes)> {
        self.heads.iter().zip(&self.parts).map(|(head, part)| (head, self.payload(head, part)))
    }

    /// Gives a batch its place in the log. With an append time it becomes a LogAppendTime batch. Constant time: a CRC that
    /// this outdates is made anew when the batch is written.
    pub fn stamp(&mut self, index: usize, base_offset: Offset, leader_epoch: LeaderEpoch, append_time: Option<WallMs>) {
        let (head, part) = (&mut self.heads[index], &mut self.parts[index]);
        if head.base_offset != base_offset || head.leader_epoch != leader_epoch {
            head.base_offset = base_offset;
            head.leader_epoch = leader_epoch;
            part.rewrite = part.rewrite.max(Rewrite::Prefix);
        }
        if let Some(now) = append_time {
            head.attributes = head.attributes.with_timestamp_type(TimestampType::LogAppendTime);
            head.max_timestamp = now.0;
            part.rewrite = Rewrite::Head;
        }
    }

    /// Corrects the last batch's greatest timestamp, which a producer may have got wrong.
    pub(crate) fn correct_max_timestamp(&mut self, max_timestamp: i64) {
        if let (Some(head), Some(part)) = (self.heads.last_mut(), self.parts.last_mut())
            && head.max_timestamp != max_timestamp
        {
            head.max_timestamp = max_timestamp;
            part.rewrite = Rewrite::Head;
        }
    }

    /// The bytes to write, in order. Payloads are shared, only rewritten heads are new.
    pub fn write_pieces(&self) -> Vec<Bytes> {
        let mut pieces = Vec::with_capacity(2 * self.len());
        self.push_pieces(&mut pieces);
        pieces
    }

    /// Appends the bytes to write to a list of such: many small appends become one gather.
    pub fn push_pieces(&self, pieces: &mut Vec<Bytes>) {
        // All new heads share one allocation; `untouched` is the end of what needs no new bytes and is not pushed yet.
        let mut fresh = BytesMut::with_capacity(self.parts.iter().map(|part| part.rewrite.size()).sum());
        let mut untouched = 0..0;
        for (head, part) in self.heads.iter().zip(&self.parts) {
            let rewritten = part.rewrite.size();
            if rewritten > 0 {
                self.push_slice(untouched.clone(), pieces);
                fresh.extend_from_slice(&self.head_bytes(head, part)[..rewritten]);
                pieces.push(fresh.split().freeze());
                untouched.start = part.at + rewritten;
            }
            untouched.end = part.at + head.size();
        }
        self.push_slice(untouched, pieces);
    }

    /// All the bytes to write in one piece: shared if no head is new, copied otherwise.
    pub fn to_bytes(&self) -> Bytes {
        let pieces = self.write_pieces();
        match pieces.as_slice() {
            [only] => only.clone(),
            _ => pieces.concat().into(),
        }
    }

    /// The same batches compressed otherwise, for a topic whose `compression.type` is not its producer's. Stamp the result,
    /// not what goes in: it is written anew as it stands. Control batches stay as they are.
    pub fn recompressed(
        &self,
        compression: Compression,
        level: Option<i32>,
        limit: usize,
        compressors: &dyn Compressors,
    ) -> Result<Batches, CompressionError> {
        let mut bytes = Vec::with_capacity(self.bytes());
        let mut heads = Vec::with_capacity(self.len());
        for (head, part) in self.heads.iter().zip(&self.parts) {
            let mut head = *head;
            let mut records = self.payload(&head, part);
            let from = head.attributes.compression();
            if from != compression && !head.attributes.is_control() && head.record_count > 0 {
                records = match from {
                    Compression::None => records,
                    _ => compressors.decompress(from, &records, limit)?.into(),
                };
                if compression != Compression::None {
                    records = compressors.compress(compression, level, &records)?.into();
                }
                head.attributes = head.attributes.with_compression(compression);
                let length = HEAD_SIZE - LOG_OVERHEAD + records.len();
                head.batch_length = i32::try_from(length).map_err(|_| CompressionError::Limit { limit })?;
            }
            head.crc = crc32c_of_two(&head.encode()[ATTRIBUTES_AT..], &records);
            bytes.extend_from_slice(&head.encode());
            bytes.extend_from_slice(&records);
            heads.push(head);
        }
        let mut batches = Batches::of(bytes.into(), self.len());
        heads.into_iter().zip(&self.parts).for_each(|(head, part)| batches.push(head, part.facts));
        Ok(batches)
    }

    fn push_slice(&self, range: std::ops::Range<usize>, pieces: &mut Vec<Bytes>) {
        if !range.is_empty() {
            pieces.push(self.bytes.slice(range));
        }
    }

    fn payload(&self, head: &BatchHead, part: &Part) -> Bytes {
        self.bytes.slice(part.at + HEAD_SIZE..part.at + head.size())
    }

    fn head_bytes(&self, head: &BatchHead, part: &Part) -> [u8; HEAD_SIZE] {
        let mut bytes = head.encode();
        if part.rewrite == Rewrite::Head {
            let crc = crc32c_of_two(&bytes[ATTRIBUTES_AT..], &self.bytes[part.at + HEAD_SIZE..part.at + head.size()]);
            bytes = BatchHead { crc, ..*head }.encode();
        }
        bytes
    }
}

impl Rewrite {
    /// Bytes at the start of a batch that are no longer as they came.
    fn size(self) -> usize {
        match self {
            Rewrite::None => 0,
            Rewrite::Prefix => MAGIC_AT,
            Rewrite::Head => HEAD_SIZE,
        }
    }

    fn max(self, other: Rewrite) -> Rewrite {
        if self.size() >= other.size() { self } else { other }
    }
}
