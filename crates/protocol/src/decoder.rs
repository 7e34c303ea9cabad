//! Bytes to values.

use std::ops::Range;

use bytes::Bytes;

use crate::error::{Expected, ProtocolError};
use crate::records::Records;
use crate::walker::{Tags, Walked, Walker};
use crate::{Str, Uuid};

/// How many bytes of arrays a byte of a frame may come to. An array of the shortest elements there are (a group of
/// ListGroups v3 without a name) comes to some 35; what needs more is out to exhaust us.
const AMPLIFICATION: usize = 48;

/// What any message may take, however short.
const ALLOWANCE: usize = 64 << 10;

/// Reads a message from a buffer and shares it: byte fields are slices; strings are copies, so that what is kept of a message
/// never keeps its frame.
///
/// Every length is checked against the bytes that remain before anything is allocated, and all arrays together are
/// bounded by a small multiple of the buffer's length.
pub struct Decoder {
    bytes: Bytes,
    at: usize,
    /// Where the field or message must end.
    end: usize,
    /// Bytes of memory that arrays may still take.
    budget: usize,
    flexible: bool,
}

impl Decoder {
    /// A decoder at the first byte.
    pub fn new(bytes: Bytes) -> Decoder {
        let end = bytes.len();
        let budget = end.saturating_mul(AMPLIFICATION).saturating_add(ALLOWANCE);
        Decoder { bytes, at: 0, end, budget, flexible: false }
    }

    /// The next byte's index.
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// The bytes it reads.
    pub fn buffer(&self) -> &Bytes {
        &self.bytes
    }

    /// An error if bytes are left.
    pub fn finish(&self) -> Result<(), ProtocolError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(ProtocolError::new(Expected::End(left), Some(self.at))),
        }
    }

    /// Reads a version: two bytes.
    pub fn version(&mut self) -> Result<i16, ProtocolError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// Reads an unsigned varint of at most 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, ProtocolError> {
        let start = self.at;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtocolError::new(Expected::Varint, Some(start)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        match self.bytes[self.at..self.end].first_chunk() {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(self.short(N)),
        }
    }

    #[cold]
    fn short(&self, needed: usize) -> ProtocolError {
        ProtocolError::new(Expected::Bytes { needed, left: self.remaining() }, Some(self.at))
    }

    fn slice(&mut self, length: usize) -> Result<Bytes, ProtocolError> {
        if length > self.remaining() {
            return Err(self.short(length));
        }
        let slice = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(slice)
    }

    /// A length of a string (`narrow`: two bytes if not compact) or of anything else; `None` for null.
    fn length(&mut self, narrow: bool) -> Result<Option<usize>, ProtocolError> {
        let start = self.at;
        let length = if self.flexible {
            i64::from(self.unsigned_varint()?) - 1
        } else if narrow {
            i64::from(i16::from_be_bytes(self.array()?))
        } else {
            i64::from(i32::from_be_bytes(self.array()?))
        };
        // Kafka bounds compact strings like the older ones, and everything else like an `int`.
        let limit = if narrow { i64::from(i16::MAX) } else { i64::from(i32::MAX) };
        match usize::try_from(length) {
            Ok(_) if length > limit => Err(ProtocolError::new(Expected::Length(length), Some(start))),
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(ProtocolError::new(Expected::Length(length), Some(start))),
        }
    }

    fn text(&mut self) -> Result<Option<Str>, ProtocolError> {
        let Some(length) = self.length(true)? else { return Ok(None) };
        // Copied: names are small and outlive their request in sessions, configurations and metadata, where a slice would
        // keep a frame of any size in memory.
        self.slice(length).map(|slice| Some(Str::from_utf8_lossy(Bytes::copy_from_slice(&slice))))
    }

    fn blob(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        match self.length(false)? {
            Some(length) => self.slice(length).map(Some),
            None => Ok(None),
        }
    }

    /// `read`, whose null is an error and whose errors have the field's name.
    fn value<T>(
        &mut self,
        name: &'static str,
        read: fn(&mut Decoder) -> Result<Option<T>, ProtocolError>,
    ) -> Result<T, ProtocolError> {
        let start = self.at;
        match read(self) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(ProtocolError::field(name, Expected::NotNull, Some(start))),
            Err(error) => Err(error.within(name, None)),
        }
    }

    /// `read`, whose null is an error unless this version knows one.
    fn nullable<T>(
        &mut self,
        name: &'static str,
        nullable: bool,
        read: fn(&mut Decoder) -> Result<Option<T>, ProtocolError>,
    ) -> Result<Option<T>, ProtocolError> {
        if nullable { read(self).map_err(|error| error.within(name, None)) } else { self.value(name, read).map(Some) }
    }

    /// Closes the tagged field that is open and opens the next one of `known`. `unknown` is told of the others: the tag,
    /// all its bytes, and the content at their end.
    pub(crate) fn next_known_tag(
        &mut self,
        tags: &mut Tags,
        known: u32,
        unknown: &mut dyn FnMut(u32, Range<usize>, &Bytes),
    ) -> Result<Option<u32>, ProtocolError> {
        if let Some(start) = tags.open.take() {
            let declared = self.end - start;
            let taken = self.at - start;
            if taken != declared {
                return Err(ProtocolError::new(Expected::TagLength { declared, taken }, Some(self.at)));
            }
            self.end = tags.outer;
        }
        while let Some(left) = tags.count.checked_sub(1) {
            tags.count = left;
            let start = self.at;
            let tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            if tag < u32::BITS && known & (1 << tag) != 0 {
                tags.open = Some(self.at);
                tags.outer = self.narrow(length)?;
                return Ok(Some(tag));
            }
            let content = self.slice(length)?;
            unknown(tag, start..self.at, &content);
        }
        Ok(None)
    }

    /// Bounds reading by the end of a tagged field that begins here; answers the bound that held so far.
    fn narrow(&mut self, length: usize) -> Result<usize, ProtocolError> {
        if length > self.remaining() {
            return Err(self.short(length));
        }
        Ok(std::mem::replace(&mut self.end, self.at + length))
    }
}

macro_rules! fixed {
    ($($type:ident),*) => {$(
        fn $type(&mut self, name: &'static str, value: &mut $type) -> Walked {
            *value = $type::from_be_bytes(self.array().map_err(|error| error.within(name, None))?);
            Ok(())
        }
    )*};
}

impl Walker for Decoder {
    fn reads(&self) -> bool {
        true
    }

    fn begin_message(&mut self, _name: &'static str, flexible: bool) {
        self.flexible = flexible;
    }

    fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    fixed!(i8, i16, u16, i32, u32, i64, f64);

    fn bool(&mut self, name: &'static str, value: &mut bool) -> Walked {
        let [byte] = self.array().map_err(|error| error.within(name, None))?;
        *value = byte != 0;
        Ok(())
    }

    fn uuid(&mut self, name: &'static str, value: &mut Uuid) -> Walked {
        *value = Uuid(self.array().map_err(|error| error.within(name, None))?);
        Ok(())
    }

    fn string(&mut self, name: &'static str, value: &mut Str) -> Walked {
        *value = self.value(name, Decoder::text)?;
        Ok(())
    }

    fn nullable_string(&mut self, name: &'static str, value: &mut Option<Str>, nullable: bool) -> Walked {
        *value = self.nullable(name, nullable, Decoder::text)?;
        Ok(())
    }

    fn bytes(&mut self, name: &'static str, value: &mut Bytes) -> Walked {
        *value = self.value(name, Decoder::blob)?;
        Ok(())
    }

    fn nullable_bytes(&mut self, name: &'static str, value: &mut Option<Bytes>, nullable: bool) -> Walked {
        *value = self.nullable(name, nullable, Decoder::blob)?;
        Ok(())
    }

    fn records(&mut self, name: &'static str, value: &mut Option<Records>, nullable: bool) -> Walked {
        *value = self.nullable(name, nullable, Decoder::blob)?.map(Records::Bytes);
        Ok(())
    }

    fn begin_array(
        &mut self,
        name: &'static str,
        _count: Option<usize>,
        nullable: bool,
        element_size: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        let start = self.at;
        let Some(count) = self.nullable(name, nullable, |decoder| decoder.length(false))? else { return Ok(None) };
        // As in Kafka: no element is smaller than a byte.
        if count > self.remaining() {
            return Err(self.short(count).within(name, None));
        }
        match count.checked_mul(element_size).and_then(|size| self.budget.checked_sub(size)) {
            Some(left) => self.budget = left,
            None => return Err(ProtocolError::field(name, Expected::Proportion, Some(start))),
        }
        Ok(Some(count))
    }

    fn end_array(&mut self) {}

    fn begin_struct(&mut self, _name: &'static str) {}

    fn end_struct(&mut self) {}

    fn presence(&mut self, name: &'static str, _present: bool, nullable: bool) -> Result<bool, ProtocolError> {
        let start = self.at;
        let mut marker = 0;
        self.i8(name, &mut marker)?;
        if marker < 0 && !nullable {
            return Err(ProtocolError::field(name, Expected::NotNull, Some(start)));
        }
        Ok(marker >= 0)
    }

    fn tagged_presence(&mut self, name: &'static str, _present: bool) -> Result<bool, ProtocolError> {
        Ok(self.unsigned_varint().map_err(|error| error.within(name, None))? > 0)
    }

    fn begin_tags(&mut self, _present: u32) -> Result<Tags, ProtocolError> {
        Ok(Tags { count: self.unsigned_varint()?, ..Tags::default() })
    }

    fn next_tag(&mut self, tags: &mut Tags, known: u32) -> Result<Option<u32>, ProtocolError> {
        // KIP-482: who does not know a tag passes over it.
        self.next_known_tag(tags, known, &mut |_, _, _| {})
    }
}
