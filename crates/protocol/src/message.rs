//! Messages: whole units of Kafka's schema, with a name and versions.

use std::any::Any;
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};

use crate::decoder::Decoder;
use crate::encoder::{Encoder, Sizer};
use crate::error::{Expected, ProtocolError};
use crate::walker::{Walk, Walked, Walker};

/// A message of Kafka's schema: a request, a response, a header, a metadata record, a coordinator's key or value.
pub trait Message: Walk + Default + Clone + PartialEq + 'static {
    /// Kafka's name, `FetchRequest`.
    const NAME: &'static str;
    /// What the message is for.
    const KIND: MessageKind;
    /// The key of the API, the type of the metadata record, the type of the coordinator's record.
    const API_KEY: Option<i16>;
    /// The versions the schema defines.
    const VERSIONS: RangeInclusive<i16>;
    /// The first flexible version (KIP-482), `i16::MAX` if none is.
    const FLEXIBLE: i16;
    /// All of this as data.
    const SCHEMA: &'static Schema = &Schema {
        name: Self::NAME,
        kind: Self::KIND,
        api_key: Self::API_KEY,
        versions: Self::VERSIONS,
        flexible: Self::FLEXIBLE,
        create: || Box::new(Self::default()),
    };
}

/// A message whose type is known only at run time.
pub trait AnyMessage: Walk + Any {
    /// What the schema says about the message.
    fn schema(&self) -> &'static Schema;
}

impl<M: Message> AnyMessage for M {
    fn schema(&self) -> &'static Schema {
        M::SCHEMA
    }
}

/// One line of the table of all messages.
#[derive(Debug)]
pub struct Schema {
    /// Kafka's name, `FetchRequest`.
    pub name: &'static str,
    /// What the message is for.
    pub kind: MessageKind,
    /// The key of the API, the type of the metadata record, the type of the coordinator's record.
    pub api_key: Option<i16>,
    /// The versions the schema defines.
    pub versions: RangeInclusive<i16>,
    /// The first flexible version, `i16::MAX` if none is.
    pub flexible: i16,
    /// A message with every field at its default.
    pub create: fn() -> Box<dyn AnyMessage>,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// Sent by a client or a node.
    Request,
    /// The answer to a request.
    Response,
    /// Precedes a request or a response.
    Header,
    /// A record of `__cluster_metadata`.
    Metadata,
    /// A key of a coordinator's log.
    CoordinatorKey,
    /// A value of a coordinator's log.
    CoordinatorValue,
    /// Inside other bytes, or a file.
    Data,
}

/// Walks a whole message, after a check of the version.
pub fn walk<M: Message>(message: &mut M, walker: &mut dyn Walker, version: i16) -> Walked {
    walk_any(message, M::NAME, &M::VERSIONS, M::FLEXIBLE, walker, version)
}

/// [`walk`] for a message whose type is known only at run time.
pub fn walk_dyn(message: &mut dyn AnyMessage, walker: &mut dyn Walker, version: i16) -> Walked {
    let schema = message.schema();
    walk_any(message, schema.name, &schema.versions, schema.flexible, walker, version)
}

fn walk_any(
    message: &mut dyn Walk,
    name: &'static str,
    versions: &RangeInclusive<i16>,
    flexible: i16,
    walker: &mut dyn Walker,
    version: i16,
) -> Walked {
    if !versions.contains(&version) {
        return Err(ProtocolError::new(Expected::Version { version, known: versions.clone() }, None).within(name, None));
    }
    walker.begin_message(name, version >= flexible);
    message.walk(walker, version).map_err(|error| error.within(name, None))
}

/// Decodes a message that fills all of `bytes`. Strings and byte fields share `bytes`.
pub fn decode<M: Message>(bytes: Bytes, version: i16) -> Result<M, ProtocolError> {
    let mut decoder = Decoder::new(bytes);
    let message = decode_from(&mut decoder, version)?;
    decoder.finish().map_err(|error| error.within(M::NAME, None))?;
    Ok(message)
}

/// Decodes a message from where the decoder is.
pub fn decode_from<M: Message>(decoder: &mut Decoder, version: i16) -> Result<M, ProtocolError> {
    let mut message = M::default();
    walk(&mut message, decoder, version)?;
    Ok(message)
}

/// Appends the message's bytes to `out`; nothing is appended on an error.
pub fn encode<M: Message>(message: &mut M, version: i16, out: &mut BytesMut) -> Result<(), ProtocolError> {
    flat(out, &mut |encoder| walk(message, encoder, version))
}

/// [`encode`] for a message whose type is known only at run time.
pub fn encode_dyn(message: &mut dyn AnyMessage, version: i16, out: &mut BytesMut) -> Result<(), ProtocolError> {
    flat(out, &mut |encoder| walk_dyn(message, encoder, version))
}

/// [`decode`] for a message whose type is known only at run time.
pub fn decode_dyn(schema: &Schema, bytes: Bytes, version: i16) -> Result<Box<dyn AnyMessage>, ProtocolError> {
    let mut decoder = Decoder::new(bytes);
    let mut message = (schema.create)();
    walk_dyn(&mut *message, &mut decoder, version)?;
    decoder.finish().map_err(|error| error.within(schema.name, None))?;
    Ok(message)
}

fn flat(out: &mut BytesMut, write: &mut dyn FnMut(&mut Encoder) -> Walked) -> Walked {
    let start = out.len();
    let mut encoder = Encoder::flat(std::mem::take(out));
    let result = write(&mut encoder);
    *out = encoder.into_flat();
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// The number of bytes [`encode`] would append.
pub fn size<M: Message>(message: &mut M, version: i16) -> Result<usize, ProtocolError> {
    let mut sizer = Sizer::default();
    walk(message, &mut sizer, version)?;
    Ok(sizer.size())
}

/// Decodes a message behind its version in two bytes, as the consumer protocol and the coordinators' values have it.
pub fn decode_versioned<M: Message>(bytes: Bytes) -> Result<(i16, M), ProtocolError> {
    let mut decoder = Decoder::new(bytes);
    let version = decoder.version().map_err(|error| error.within(M::NAME, None))?;
    let message = decode_from(&mut decoder, version)?;
    decoder.finish().map_err(|error| error.within(M::NAME, None))?;
    Ok((version, message))
}

/// Encodes a message behind its version in two bytes.
pub fn encode_versioned<M: Message>(message: &mut M, version: i16) -> Result<Bytes, ProtocolError> {
    encode_typed(message, version, version)
}

/// Encodes a message behind two bytes that tell what it is, as the coordinators' keys have them.
pub fn encode_typed<M: Message>(message: &mut M, record_type: i16, version: i16) -> Result<Bytes, ProtocolError> {
    let mut out = BytesMut::new();
    out.extend_from_slice(&record_type.to_be_bytes());
    encode(message, version, &mut out)?;
    Ok(out.freeze())
}
