//! Values to bytes, and to the number of bytes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{Expected, ProtocolError};
use crate::frame::Piece;
use crate::records::Records;
use crate::walker::{Tags, Walked, Walker};
use crate::{Str, Uuid};

/// From this length on, a frame shares bytes instead of copying them: below, a piece of its own costs a driver more.
const SHARE: usize = 1024;

/// Where encoded bytes go.
///
/// The encoder and the sizer differ in nothing but this, so a size cannot disagree with the bytes.
trait Sink {
    fn len(&self) -> usize;
    fn put(&mut self, bytes: &[u8]);
    fn put_shared(&mut self, bytes: &Bytes) -> Walked;
    fn put_records(&mut self, records: &Records) -> Walked;
    /// Puts the length of what follows `start` in front of it, as a varint; forgets about tagged fields.
    fn close_tag(&mut self, start: usize);
    fn open_tag(&mut self);
}

/// Writes a message, either flat or as the [pieces](Piece) of a frame.
pub struct Encoder {
    sink: Bytestream,
    flexible: bool,
}

/// Counts the bytes an [`Encoder`] would write.
#[derive(Default)]
pub struct Sizer {
    sink: Count,
    flexible: bool,
}

struct Bytestream {
    /// The first piece, still open to writing: a frame's size is known last.
    first: Option<BytesMut>,
    /// The other pieces that are complete.
    pieces: Vec<Piece>,
    /// The bytes of `first` and `pieces`.
    before: usize,
    tail: BytesMut,
    /// False if the caller wants one buffer.
    share: bool,
    /// How many tagged fields are open: their lengths precede them, so their bytes must be movable.
    open_tags: usize,
}

#[derive(Default)]
struct Count(usize);

/// An unsigned varint and its length.
fn varint(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut length = 0;
    loop {
        let more = value > 0x7f;
        bytes[length] = (value & 0x7f) as u8 | if more { 0x80 } else { 0 };
        length += 1;
        value >>= 7;
        if !more {
            return (bytes, length);
        }
    }
}

/// Appends an unsigned varint.
pub fn put_unsigned_varint(value: u32, out: &mut BytesMut) {
    let (bytes, length) = varint(value);
    out.put_slice(&bytes[..length]);
}

impl Encoder {
    /// An encoder that appends to one buffer.
    pub fn flat(out: BytesMut) -> Encoder {
        Encoder::to(out, false)
    }

    /// An encoder of a frame: room for its size comes first, large byte fields and records stay where they are.
    pub fn frame() -> Encoder {
        let mut tail = BytesMut::with_capacity(256);
        tail.put_u32(0);
        Encoder::to(tail, true)
    }

    fn to(tail: BytesMut, share: bool) -> Encoder {
        let sink = Bytestream { first: None, pieces: Vec::new(), before: 0, tail, share, open_tags: 0 };
        Encoder { sink, flexible: false }
    }

    /// The buffer.
    pub fn into_flat(self) -> BytesMut {
        self.sink.tail
    }

    /// The frame's pieces, in order; `size` goes into the room that was left for it.
    pub fn into_frame(mut self, size: u32) -> Vec<Piece> {
        self.sink.seal();
        let mut pieces = self.sink.pieces;
        if let Some(mut first) = self.sink.first {
            first[..4].copy_from_slice(&size.to_be_bytes());
            pieces.insert(0, Piece::Bytes(first.freeze()));
        }
        pieces
    }

    /// How many bytes were written.
    pub fn size(&self) -> usize {
        self.sink.len()
    }
}

impl Sizer {
    /// How many bytes were counted.
    pub fn size(&self) -> usize {
        self.sink.0
    }
}

impl Bytestream {
    /// Ends the piece that is being written.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.before += self.tail.len();
            let written = self.tail.split();
            match self.first {
                Some(_) => self.pieces.push(Piece::Bytes(written.freeze())),
                None => self.first = Some(written),
            }
        }
    }

    fn push(&mut self, piece: Piece) {
        self.seal();
        self.before += piece.len();
        self.pieces.push(piece);
    }

    fn may_share(&self) -> bool {
        self.share && self.open_tags == 0
    }
}

impl Sink for Bytestream {
    fn len(&self) -> usize {
        self.before + self.tail.len()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    fn put_shared(&mut self, bytes: &Bytes) -> Walked {
        if bytes.len() >= SHARE && self.may_share() {
            self.push(Piece::Bytes(bytes.clone()));
        } else {
            self.put(bytes);
        }
        Ok(())
    }

    fn put_records(&mut self, records: &Records) -> Walked {
        match records {
            Records::Bytes(bytes) | Records::Refused(bytes, _) => self.put_shared(bytes),
            Records::Batches(batches) => batches.write_pieces().iter().try_for_each(|piece| self.put_shared(piece)),
            Records::Regions(regions) if self.may_share() => {
                regions.iter().filter(|region| region.len > 0).for_each(|region| self.push(Piece::Region(*region)));
                Ok(())
            }
            Records::Regions(regions) if regions.is_empty() => Ok(()),
            Records::Regions(_) => Err(ProtocolError::new(Expected::NoRegions, None)),
        }
    }

    fn open_tag(&mut self) {
        self.open_tags += 1;
    }

    fn close_tag(&mut self, start: usize) {
        self.open_tags -= 1;
        // Nothing was sealed since `start`, for a tag was open.
        let start = start - self.before;
        let (prefix, width) = varint((self.tail.len() - start) as u32);
        let old = self.tail.len();
        self.tail.extend_from_slice(&prefix[..width]);
        self.tail.copy_within(start..old, start + width);
        self.tail[start..start + width].copy_from_slice(&prefix[..width]);
    }
}

impl Sink for Count {
    fn len(&self) -> usize {
        self.0
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn put_shared(&mut self, bytes: &Bytes) -> Walked {
        self.0 += bytes.len();
        Ok(())
    }

    fn put_records(&mut self, records: &Records) -> Walked {
        self.0 += records.size();
        Ok(())
    }

    fn open_tag(&mut self) {}

    fn close_tag(&mut self, start: usize) {
        self.0 += varint((self.0 - start) as u32).1;
    }
}

fn put_varint(sink: &mut impl Sink, value: u32) {
    let (bytes, length) = varint(value);
    sink.put(&bytes[..length]);
}

/// Writes a length, or null. `narrow` is a string's: two bytes if not compact, and never more than they can count.
fn put_length(sink: &mut impl Sink, flexible: bool, narrow: bool, length: Option<usize>) -> Walked {
    let limit = if narrow { i16::MAX as usize } else { i32::MAX as usize - 1 };
    if let Some(length) = length.filter(|length| *length > limit) {
        return Err(ProtocolError::new(Expected::Countable(length), None));
    }
    match length {
        _ if flexible => put_varint(sink, length.map_or(0, |length| length as u32 + 1)),
        _ if narrow => sink.put(&length.map_or(-1, |length| length as i16).to_be_bytes()),
        _ => sink.put(&length.map_or(-1, |length| length as i32).to_be_bytes()),
    }
    Ok(())
}

/// An error if a null is not allowed.
fn check_null(present: bool, nullable: bool) -> Walked {
    if present || nullable { Ok(()) } else { Err(ProtocolError::new(Expected::NotNull, None)) }
}

fn put_text(sink: &mut impl Sink, flexible: bool, value: Option<&Str>, nullable: bool) -> Walked {
    check_null(value.is_some(), nullable)?;
    put_length(sink, flexible, true, value.map(|text| text.len()))?;
    if let Some(text) = value {
        sink.put(text.as_bytes());
    }
    Ok(())
}

fn put_blob(sink: &mut impl Sink, flexible: bool, value: Option<&Bytes>, nullable: bool) -> Walked {
    check_null(value.is_some(), nullable)?;
    put_length(sink, flexible, false, value.map(|bytes| bytes.len()))?;
    value.map_or(Ok(()), |bytes| sink.put_shared(bytes))
}

fn put_records(sink: &mut impl Sink, flexible: bool, value: Option<&Records>, nullable: bool) -> Walked {
    check_null(value.is_some(), nullable)?;
    put_length(sink, flexible, false, value.map(Records::size))?;
    value.map_or(Ok(()), |records| sink.put_records(records))
}

macro_rules! fixed {
    ($($type:ident),*) => {$(
        fn $type(&mut self, _name: &'static str, value: &mut $type) -> Walked {
            self.sink.put(&value.to_be_bytes());
            Ok(())
        }
    )*};
}

macro_rules! writer {
    ($writer:ty) => {
        impl Walker for $writer {
            fn reads(&self) -> bool {
                false
            }

            fn begin_message(&mut self, _name: &'static str, flexible: bool) {
                self.flexible = flexible;
            }

            fn set_flexible(&mut self, flexible: bool) {
                self.flexible = flexible;
            }

            fixed!(i8, i16, u16, i32, u32, i64, f64);

            fn bool(&mut self, _name: &'static str, value: &mut bool) -> Walked {
                self.sink.put(&[u8::from(*value)]);
                Ok(())
            }

            fn uuid(&mut self, _name: &'static str, value: &mut Uuid) -> Walked {
                self.sink.put(&value.0);
                Ok(())
            }

            fn string(&mut self, name: &'static str, value: &mut Str) -> Walked {
                put_text(&mut self.sink, self.flexible, Some(value), false).map_err(|error| error.within(name, None))
            }

            fn nullable_string(&mut self, name: &'static str, value: &mut Option<Str>, nullable: bool) -> Walked {
                put_text(&mut self.sink, self.flexible, value.as_ref(), nullable)
                    .map_err(|error| error.within(name, None))
            }

            fn bytes(&mut self, name: &'static str, value: &mut Bytes) -> Walked {
                put_blob(&mut self.sink, self.flexible, Some(value), false).map_err(|error| error.within(name, None))
            }

            fn nullable_bytes(&mut self, name: &'static str, value: &mut Option<Bytes>, nullable: bool) -> Walked {
                put_blob(&mut self.sink, self.flexible, value.as_ref(), nullable)
                    .map_err(|error| error.within(name, None))
            }

            fn records(&mut self, name: &'static str, value: &mut Option<Records>, nullable: bool) -> Walked {
                put_records(&mut self.sink, self.flexible, value.as_ref(), nullable)
                    .map_err(|error| error.within(name, None))
            }

            fn begin_array(
                &mut self,
                name: &'static str,
                count: Option<usize>,
                nullable: bool,
                _element_size: usize,
            ) -> Result<Option<usize>, ProtocolError> {
                check_null(count.is_some(), nullable)
                    .and_then(|()| put_length(&mut self.sink, self.flexible, false, count))
                    .map_err(|error| error.within(name, None))?;
                Ok(count)
            }

            fn end_array(&mut self) {}

            fn begin_struct(&mut self, _name: &'static str) {}

            fn end_struct(&mut self) {}

            fn presence(&mut self, name: &'static str, present: bool, nullable: bool) -> Result<bool, ProtocolError> {
                check_null(present, nullable).map_err(|error| error.within(name, None))?;
                self.sink.put(&(if present { 1i8 } else { -1 }).to_be_bytes());
                Ok(present)
            }

            fn tagged_presence(&mut self, _name: &'static str, present: bool) -> Result<bool, ProtocolError> {
                put_varint(&mut self.sink, u32::from(present));
                Ok(present)
            }

            fn begin_tags(&mut self, present: u32) -> Result<Tags, ProtocolError> {
                put_varint(&mut self.sink, present.count_ones());
                Ok(Tags { left: present, ..Tags::default() })
            }

            fn next_tag(&mut self, tags: &mut Tags, _known: u32) -> Result<Option<u32>, ProtocolError> {
                if let Some(start) = tags.open.take() {
                    self.sink.close_tag(start);
                }
                if tags.left == 0 {
                    return Ok(None);
                }
                let tag = tags.left.trailing_zeros();
                tags.left &= tags.left - 1;
                put_varint(&mut self.sink, tag);
                self.sink.open_tag();
                tags.open = Some(self.sink.len());
                Ok(Some(tag))
            }
        }
    };
}

writer!(Encoder);
writer!(Sizer);
