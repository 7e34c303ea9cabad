//! Record batches (KIP-98) by field. Reads bytes by itself, for a batch that a check refuses is worth explaining too.

use std::ops::Range;

use bytes::Bytes;

use super::Field;
use crate::error::{Expected, ProtocolError};

/// Where a batch's length counts from: after the base offset and the length itself.
const LOG_OVERHEAD: usize = 12;

/// The batches in a part of `bytes`, as far as they make sense, and why no further.
pub(super) fn explain(bytes: &Bytes, span: Range<usize>) -> (Vec<Field>, Option<ProtocolError>) {
    let mut batches = Vec::new();
    let mut notes = Notes { bytes: &bytes[..span.end], at: span.start, fields: Vec::new() };
    while notes.at < span.end {
        let start = notes.at;
        let result = notes.batch();
        let children = std::mem::take(&mut notes.fields);
        batches.push(Field {
            name: format!("RecordBatch[{}]", batches.len()),
            kind: "BATCH",
            value: String::new(),
            span: start..notes.at,
            children,
        });
        if let Err(error) = result {
            return (batches, Some(error.within("RecordBatch", None)));
        }
    }
    (batches, None)
}

/// The records of a batch whose bytes are all of `plain`, as far as they make sense, and why no further.
pub(super) fn plain_records(plain: &Bytes, count: i64) -> (Vec<Field>, Option<ProtocolError>) {
    let mut notes = Notes { bytes: plain, at: 0, fields: Vec::new() };
    let error = notes.records(count).err();
    (notes.fields, error)
}

struct Notes<'a> {
    /// Up to the end of what may be read.
    bytes: &'a [u8],
    at: usize,
    /// Of the struct being read.
    fields: Vec<Field>,
}

impl Notes<'_> {
    fn batch(&mut self) -> Result<(), ProtocolError> {
        self.number::<8>("BaseOffset", "INT64")?;
        let length = self.number::<4>("BatchLength", "INT32")?;
        let whole = self.bytes;
        let end = usize::try_from(length).ok().map(|length| self.at + length).filter(|end| *end <= whole.len());
        // A batch that is cut off is explained up to the cut.
        let cut = end.is_none();
        self.bytes = &whole[..end.unwrap_or(whole.len())];
        let result = self.rest_of_batch();
        self.bytes = whole;
        result?;
        if cut {
            let needed = usize::try_from(length).unwrap_or(LOG_OVERHEAD);
            return Err(ProtocolError::new(Expected::Bytes { needed, left: 0 }, Some(self.at)));
        }
        Ok(())
    }

    fn rest_of_batch(&mut self) -> Result<(), ProtocolError> {
        self.number::<4>("PartitionLeaderEpoch", "INT32")?;
        let magic = self.number::<1>("Magic", "INT8")?;
        if magic != 2 {
            return Err(ProtocolError::field("Magic", Expected::Known(magic), Some(self.at - 1)));
        }
        self.number::<4>("Crc", "UINT32")?;
        let attributes = self.number::<2>("Attributes", "INT16")?;
        self.annotate(attribute_names(attributes));
        self.number::<4>("LastOffsetDelta", "INT32")?;
        self.number::<8>("BaseTimestamp", "INT64")?;
        self.number::<8>("MaxTimestamp", "INT64")?;
        self.number::<8>("ProducerId", "INT64")?;
        self.number::<2>("ProducerEpoch", "INT16")?;
        self.number::<4>("BaseSequence", "INT32")?;
        let count = self.number::<4>("RecordCount", "INT32")?;
        if attributes & 7 != 0 {
            let rest = self.bytes.len() - self.at;
            self.take("Records", "COMPRESSED", rest, format!("{rest} bytes, {}", attribute_names(attributes)));
            return Ok(());
        }
        self.records(count)
    }

    /// The uncompressed records of a batch, up to the end.
    fn records(&mut self, count: i64) -> Result<(), ProtocolError> {
        for index in 0..count {
            let start = self.at;
            let outer = std::mem::take(&mut self.fields);
            let result = self.record();
            let children = std::mem::replace(&mut self.fields, outer);
            let name = format!("Record[{index}]");
            self.fields.push(Field { name, kind: "RECORD", value: String::new(), span: start..self.at, children });
            result?;
        }
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => Err(ProtocolError::new(Expected::End(left), Some(self.at))),
        }
    }

    fn record(&mut self) -> Result<(), ProtocolError> {
        self.varint("Length")?;
        self.number::<1>("Attributes", "INT8")?;
        self.varint("TimestampDelta")?;
        self.varint("OffsetDelta")?;
        self.blob("Key")?;
        self.blob("Value")?;
        let headers = self.varint("HeaderCount")?;
        for _ in 0..headers {
            self.blob("HeaderKey")?;
            self.blob("HeaderValue")?;
        }
        Ok(())
    }

    fn number<const N: usize>(&mut self, name: &str, kind: &'static str) -> Result<i64, ProtocolError> {
        let Some(bytes) = self.bytes[self.at..].first_chunk::<N>() else { return Err(self.short(N)) };
        let negative = kind != "UINT32" && bytes[0] >= 0x80;
        let value = bytes.iter().fold(if negative { -1 } else { 0 }, |value: i64, byte| value << 8 | i64::from(*byte));
        self.take(name, kind, N, value.to_string());
        Ok(value)
    }

    /// A zigzag varint.
    fn varint(&mut self, name: &str) -> Result<i64, ProtocolError> {
        let mut value = 0u64;
        for (index, byte) in self.bytes[self.at..].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                let value = (value >> 1) as i64 ^ -((value & 1) as i64);
                self.take(name, "VARINT", index + 1, value.to_string());
                return Ok(value);
            }
        }
        Err(match self.bytes.len() - self.at {
            10.. => ProtocolError::field("VARINT", Expected::Varint, Some(self.at)),
            _ => self.short(1),
        })
    }

    /// A zigzag varint for the length, or -1 for null, and the bytes. One field.
    fn blob(&mut self, name: &str) -> Result<(), ProtocolError> {
        let start = self.at;
        let length = self.varint(name)?;
        self.fields.pop();
        let content = self.at;
        let value = match usize::try_from(length) {
            Ok(length) if length > self.bytes.len() - content => return Err(self.short(length)),
            Ok(length) => {
                self.at += length;
                shown(&self.bytes[content..self.at])
            }
            Err(_) => "null".to_owned(),
        };
        let span = start..self.at;
        self.fields.push(Field { name: name.to_owned(), kind: "VARINT_BYTES", value, span, children: Vec::new() });
        Ok(())
    }

    /// Notes a field of bytes that are known to be there.
    fn take(&mut self, name: &str, kind: &'static str, length: usize, value: String) {
        let span = self.at..self.at + length;
        self.at = span.end;
        self.fields.push(Field { name: name.to_owned(), kind, value, span, children: Vec::new() });
    }

    fn annotate(&mut self, meaning: String) {
        if let Some(field) = self.fields.last_mut().filter(|_| !meaning.is_empty()) {
            field.value = format!("{} {meaning}", field.value);
        }
    }

    fn short(&self, needed: usize) -> ProtocolError {
        ProtocolError::new(Expected::Bytes { needed, left: self.bytes.len() - self.at }, Some(self.at))
    }
}

/// Text if it is text.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().count() <= 64 && !text.contains(|it: char| it.is_control()) => format!("{text:?}"),
        _ => format!("{} bytes", bytes.len()),
    }
}

fn attribute_names(attributes: i64) -> String {
    let compression = ["", "gzip", "snappy", "lz4", "zstd"].get((attributes & 7) as usize).unwrap_or(&"unknown codec");
    let flags = ["log-append-time", "transactional", "control", "delete-horizon"];
    let set = flags.into_iter().enumerate().filter(|(bit, _)| attributes & (8 << bit) != 0).map(|(_, name)| name);
    let names: Vec<&str> = [*compression].into_iter().filter(|it| !it.is_empty()).chain(set).collect();
    names.join(" ")
}
