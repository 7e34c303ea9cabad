//! A record: borrowed from its batch, or owning its part of it.

use bytes::Bytes;

use super::error::RecordFault;
use super::head::{BatchHead, TimestampType};
use super::varint::{take_i32, take_i64};
use crate::{Offset, Str, WallMs};

/// A record of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: Offset,
    /// Of the producer or, in a LogAppendTime batch, of the append; -1 if it has none.
    pub timestamp: WallMs,
    /// What partitions and compacts it.
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In order; keys may repeat.
    pub headers: Vec<(Str, Option<Bytes>)>,
}

/// A record inside the bytes of its batch; nothing is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Its place in the batch.
    pub offset_delta: i32,
    /// Its place in the partition.
    pub offset: Offset,
    /// Of the producer or, in a LogAppendTime batch, of the append.
    pub timestamp: WallMs,
    /// What partitions and compacts it.
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order; keys may repeat.
    pub headers: Headers<'a>,
    /// Key, value and headers as they stand in the batch: what does not change when the record moves to another.
    pub(crate) content: &'a [u8],
}

/// The headers of a [`RecordView`]: checked bytes, walked when asked. Iterates over keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

/// Iterates over the uncompressed records of a batch without an allocation. Ends after the first fault.
#[derive(Clone, Debug)]
pub struct RecordViews<'a> {
    rest: &'a [u8],
    left: i32,
    index: i32,
    base_offset: Offset,
    base_timestamp: i64,
    append_time: Option<WallMs>,
}

impl<'a> RecordViews<'a> {
    /// Over the records that follow `head`, decompressed if they were compressed.
    pub fn new(head: &BatchHead, records: &'a [u8]) -> RecordViews<'a> {
        RecordViews {
            rest: records,
            left: head.record_count.max(0),
            index: 0,
            base_offset: head.base_offset,
            base_timestamp: head.base_timestamp,
            append_time: match head.attributes.timestamp_type() {
                TimestampType::CreateTime => None,
                TimestampType::LogAppendTime => Some(WallMs(head.max_timestamp)),
            },
        }
    }

    /// Bytes not yet walked; none may be left at the end.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The index of the next record, or of the one that failed.
    pub fn index(&self) -> i32 {
        self.index
    }

    #[inline]
    fn take(&mut self) -> Result<RecordView<'a>, RecordFault> {
        let size = take_i32(&mut self.rest)?;
        let mut body = take_bytes(&mut self.rest, size).ok_or(if size < 0 {
            RecordFault::Size(size)
        } else {
            RecordFault::EndsEarly
        })?;
        // A record's own attributes have never had a meaning in this format.
        body = body.split_first().ok_or(RecordFault::EndsEarly)?.1;
        let timestamp_delta = take_i64(&mut body)?;
        let offset_delta = take_i32(&mut body)?;
        let content = body;
        let key = take_nullable(&mut body)?;
        let value = take_nullable(&mut body)?;
        let headers = Headers::take(&mut body)?;
        if !body.is_empty() {
            return Err(RecordFault::Size(size));
        }
        Ok(RecordView {
            offset_delta,
            offset: self.base_offset.plus(i64::from(offset_delta)),
            // Java's arithmetic wraps, and a builder's difference did too.
            timestamp: self.append_time.unwrap_or(WallMs(self.base_timestamp.wrapping_add(timestamp_delta))),
            key,
            value,
            headers,
            content,
        })
    }
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<RecordView<'a>, RecordFault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let record = self.take();
        match record {
            Ok(_) => {
                self.left -= 1;
                self.index += 1;
            }
            Err(_) => self.left = 0,
        }
        Some(record)
    }
}

impl<'a> Headers<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    fn take(body: &mut &'a [u8]) -> Result<Headers<'a>, RecordFault> {
        let count = take_i32(body)?;
        if count == 0 {
            return Ok(Headers::default());
        }
        // Each takes two bytes at least; a count beyond that must not size anything.
        if count < 0 || count as usize > body.len() / 2 {
            return Err(RecordFault::HeaderCount(count));
        }
        let bytes = *body;
        for _ in 0..count {
            take_header(body)?;
        }
        Ok(Headers { count: count as usize, bytes: &bytes[..bytes.len() - body.len()] })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.count == 0 {
            return None;
        }
        self.count -= 1;
        Some(take_header(&mut self.bytes).expect("checked when taken"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl RecordView<'_> {
    /// The record with bytes of its own: shared with `batch`, which this view must borrow from.
    pub fn to_record(&self, batch: &Bytes) -> Record {
        let own = |part: &[u8]| batch.slice_ref(part);
        Record {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.map(own),
            value: self.value.map(own),
            headers: self.headers.map(|(key, value)| (Str::from_utf8_lossy(own(key)), value.map(own))).collect(),
        }
    }
}

#[inline]
fn take_header<'a>(body: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), RecordFault> {
    let length = take_i32(body)?;
    let key = take_bytes(body, length).ok_or(RecordFault::HeaderKey(length))?;
    Ok((key, take_nullable(body)?))
}

/// Bytes behind a length in which every negative number is a null, as Apache Kafka reads it.
#[inline]
fn take_nullable<'a>(body: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordFault> {
    let length = take_i32(body)?;
    if length < 0 {
        return Ok(None);
    }
    take_bytes(body, length).map(Some).ok_or(RecordFault::Length(length))
}

#[inline]
fn take_bytes<'a>(bytes: &mut &'a [u8], length: i32) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}
