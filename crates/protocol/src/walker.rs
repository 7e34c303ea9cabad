//! The one walk over a message: what reads, writes, measures or explains it is a [`Walker`].
//!
//! Generated code names each field of a version in wire order and passes a reference to it. It is not generic over the
//! walker: 280 messages exist once in the binary, which is what keeps the page small.

use bytes::Bytes;

use crate::error::ProtocolError;
use crate::records::Records;
use crate::{Str, Uuid};

/// What a step of a walk comes to.
pub type Walked = Result<(), ProtocolError>;

/// Meets the fields of a message in wire order.
///
/// A walker that [reads](Walker::reads) (decoder, explainer) puts values into the message; one that does not (encoder,
/// sizer) leaves the message as it is. `name` is Kafka's name of the field, empty for an element of an array.
/// `nullable` says whether this version knows a null there.
pub trait Walker {
    /// True if values flow into the message.
    fn reads(&self) -> bool;
    /// A message begins. Flexible ones (KIP-482) have compact lengths and tagged fields.
    fn begin_message(&mut self, name: &'static str, flexible: bool);
    /// Switches the encoding of lengths, for the one field that is older than its header's version says: `ClientId`.
    fn set_flexible(&mut self, flexible: bool);

    /// A BOOLEAN.
    fn bool(&mut self, name: &'static str, value: &mut bool) -> Walked;
    /// An INT8.
    fn i8(&mut self, name: &'static str, value: &mut i8) -> Walked;
    /// An INT16.
    fn i16(&mut self, name: &'static str, value: &mut i16) -> Walked;
    /// A UINT16.
    fn u16(&mut self, name: &'static str, value: &mut u16) -> Walked;
    /// An INT32.
    fn i32(&mut self, name: &'static str, value: &mut i32) -> Walked;
    /// A UINT32.
    fn u32(&mut self, name: &'static str, value: &mut u32) -> Walked;
    /// An INT64.
    fn i64(&mut self, name: &'static str, value: &mut i64) -> Walked;
    /// A FLOAT64.
    fn f64(&mut self, name: &'static str, value: &mut f64) -> Walked;
    /// A UUID.
    fn uuid(&mut self, name: &'static str, value: &mut Uuid) -> Walked;
    /// A STRING that is never null.
    fn string(&mut self, name: &'static str, value: &mut Str) -> Walked;
    /// A NULLABLE_STRING.
    fn nullable_string(&mut self, name: &'static str, value: &mut Option<Str>, nullable: bool) -> Walked;
    /// BYTES that are never null.
    fn bytes(&mut self, name: &'static str, value: &mut Bytes) -> Walked;
    /// NULLABLE_BYTES.
    fn nullable_bytes(&mut self, name: &'static str, value: &mut Option<Bytes>, nullable: bool) -> Walked;
    /// RECORDS: the bytes of record batches.
    fn records(&mut self, name: &'static str, value: &mut Option<Records>, nullable: bool) -> Walked;

    /// An array begins, `count` elements long (or null) as the message has it. Answers the length to walk: a reader's
    /// own, checked against the bytes that remain and against its memory budget, in which an element costs
    /// `element_size`.
    fn begin_array(
        &mut self,
        name: &'static str,
        count: Option<usize>,
        nullable: bool,
        element_size: usize,
    ) -> Result<Option<usize>, ProtocolError>;
    /// The array's last element is behind us.
    fn end_array(&mut self);
    /// A struct begins.
    fn begin_struct(&mut self, name: &'static str);
    /// The struct's last field is behind us.
    fn end_struct(&mut self);
    /// Whether a struct that may be null is there.
    fn presence(&mut self, name: &'static str, present: bool, nullable: bool) -> Result<bool, ProtocolError>;
    /// [`presence`](Walker::presence) of a struct in a tagged field, which may always be null and tells it by a varint. Who does
    /// not care for bytes need not tell them apart.
    fn tagged_presence(&mut self, name: &'static str, present: bool) -> Result<bool, ProtocolError> {
        self.presence(name, present, true)
    }

    /// The tagged fields of a struct begin; `present` has a bit for each that the message wants written.
    fn begin_tags(&mut self, present: u32) -> Result<Tags, ProtocolError>;
    /// The next tag to walk, one of `known` (a bit each); what a reader does not know it passes over.
    fn next_tag(&mut self, tags: &mut Tags, known: u32) -> Result<Option<u32>, ProtocolError>;
}

/// Where a walk is in a struct's tagged fields. Only the walker that made it looks inside.
#[derive(Debug, Default)]
pub struct Tags {
    /// Writers: a bit for each tag still to write.
    pub left: u32,
    /// Readers: how many are still to read.
    pub count: u32,
    /// Where the bytes of the field being walked begin.
    pub open: Option<usize>,
    /// Readers: the limit that holds outside the field.
    pub outer: usize,
}

/// What has fields: a message, or a struct in one.
pub trait Walk {
    /// Visits the fields of this version in wire order.
    fn walk(&mut self, walker: &mut dyn Walker, version: i16) -> Walked;
}

/// What an array can hold.
pub trait Element: Default {
    /// Visits the element; it has no name.
    fn walk_element(&mut self, walker: &mut dyn Walker, version: i16) -> Walked;
}

macro_rules! element {
    ($($type:ty => $method:ident),*) => {$(
        impl Element for $type {
            fn walk_element(&mut self, walker: &mut dyn Walker, _version: i16) -> Walked {
                walker.$method("", self)
            }
        }
    )*};
}

element!(bool => bool, i8 => i8, i16 => i16, u16 => u16, i32 => i32, u32 => u32, i64 => i64, f64 => f64);
element!(Uuid => uuid, Str => string, Bytes => bytes);

impl<T: Walk + Default> Element for T {
    fn walk_element(&mut self, walker: &mut dyn Walker, version: i16) -> Walked {
        walker.begin_struct("");
        self.walk(walker, version)?;
        walker.end_struct();
        Ok(())
    }
}

/// Walks an array.
pub fn array<T: Element>(walker: &mut dyn Walker, name: &'static str, value: &mut Vec<T>, version: i16) -> Walked {
    // Not nullable, so a reader that answers `None` has already failed.
    let count = walker.begin_array(name, Some(value.len()), false, size_of::<T>())?.unwrap_or(0);
    elements(walker, name, value, count, version)
}

/// Walks an array that may be null.
pub fn nullable_array<T: Element>(
    walker: &mut dyn Walker,
    name: &'static str,
    value: &mut Option<Vec<T>>,
    nullable: bool,
    version: i16,
) -> Walked {
    match walker.begin_array(name, value.as_ref().map(Vec::len), nullable, size_of::<T>())? {
        Some(count) => elements(walker, name, value.get_or_insert_default(), count, version),
        None => {
            *value = None;
            Ok(())
        }
    }
}

fn elements<T: Element>(
    walker: &mut dyn Walker,
    name: &'static str,
    value: &mut Vec<T>,
    count: usize,
    version: i16,
) -> Walked {
    if walker.reads() {
        // A tag that comes twice must not inherit what its first coming left.
        value.clear();
        // The walker has checked that this much memory is in proportion to the bytes that came.
        value.reserve_exact(count);
        value.resize_with(count, T::default);
    }
    for (index, element) in value.iter_mut().enumerate() {
        element.walk_element(walker, version).map_err(|error| error.within(name, Some(index)))?;
    }
    walker.end_array();
    Ok(())
}

/// Walks a struct.
pub fn structure(walker: &mut dyn Walker, name: &'static str, value: &mut dyn Walk, version: i16) -> Walked {
    walker.begin_struct(name);
    value.walk(walker, version).map_err(|error| error.within(name, None))?;
    walker.end_struct();
    Ok(())
}

/// Walks a struct that may be null.
pub fn nullable_structure<T: Walk + Default>(
    walker: &mut dyn Walker,
    name: &'static str,
    value: &mut Option<T>,
    nullable: bool,
    version: i16,
) -> Walked {
    if walker.presence(name, value.is_some(), nullable)? {
        structure(walker, name, value.get_or_insert_default(), version)
    } else {
        *value = None;
        Ok(())
    }
}

/// Walks a struct in a tagged field that may be null.
pub fn tagged_structure<T: Walk + Default>(
    walker: &mut dyn Walker,
    name: &'static str,
    value: &mut Option<T>,
    version: i16,
) -> Walked {
    if walker.tagged_presence(name, value.is_some())? {
        structure(walker, name, value.get_or_insert_default(), version)
    } else {
        *value = None;
        Ok(())
    }
}

/// Walks the tagged fields of a struct that defines none.
pub fn no_tags(walker: &mut dyn Walker) -> Walked {
    let mut tags = walker.begin_tags(0)?;
    while walker.next_tag(&mut tags, 0)?.is_some() {}
    Ok(())
}
