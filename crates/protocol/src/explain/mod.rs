//! Every field of a message with the bytes it came from, for people.
//!
//! The same walk that decodes, seen by a walker that takes notes. What is malformed is explained as far as it makes sense,
//! and then the error is.

mod inside;
mod records;
mod text;
mod walker;

use std::ops::Range;

use bytes::Bytes;

use crate::error::{Expected, ProtocolError};
use crate::frame::{RequestError, identify};
use crate::message::{MessageKind, Schema, walk, walk_dyn};
use crate::messages::{
    ApiKey, GroupKey, GroupValue, MetadataRecord, RequestHeader, ResponseHeader, TransactionKey, TransactionValue,
};
use crate::records::{Compressors, RecordsError, plain};
use crate::walker::Walker;
pub use inside::{Coordinated, Inside, Look, deepen};
use walker::Explainer;

/// A field, element, struct or message, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Kafka's name, or `[2]` for an element.
    pub name: String,
    /// Kafka's name of the type on the wire, `COMPACT_STRING`.
    pub kind: &'static str,
    /// For a person: long ones are cut.
    pub value: String,
    /// Its bytes, lengths and children included.
    pub span: Range<usize>,
    /// In the order of the wire.
    pub children: Vec<Field>,
}

/// Bytes, and what they mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// All of them.
    pub bytes: Bytes,
    /// What was understood, in order.
    pub fields: Vec<Field>,
    /// Why not all of them were.
    pub error: Option<RequestError>,
}

/// Finds the schema of a message by its kind and key: [`spoken`](crate::messages::spoken) or
/// [`by_key`](crate::messages::by_key). Who explains only what is spoken does not link the rest.
pub type Known = fn(MessageKind, i16) -> Option<&'static Schema>;

/// Explains a request: a frame without its size.
pub fn request(frame: Bytes, known: Known) -> Explanation {
    explain(frame, |frame, explainer| {
        let mut header = RequestHeader::default();
        match identify(frame) {
            Ok((api, version)) => {
                walk(&mut header, explainer, api.request_header_version(version))?;
                let Some(schema) = known(MessageKind::Request, api.code()) else {
                    return Err(RequestError::UnspokenApi { api, version });
                };
                Ok(walk_dyn(&mut *(schema.create)(), explainer, version)?)
            }
            Err(error) => {
                // What cannot be served may still be named.
                let _ = walk(&mut header, explainer, 1);
                Err(error)
            }
        }
    })
}

/// Explains a response: a frame without its size. `version` is the request's.
pub fn response(api: ApiKey, version: i16, frame: Bytes, known: Known) -> Explanation {
    explain(frame, |_, explainer| {
        walk(&mut ResponseHeader::default(), explainer, api.response_header_version(version))?;
        let schema = known(MessageKind::Response, api.code()).ok_or(RequestError::UnspokenApi { api, version })?;
        Ok(walk_dyn(&mut *(schema.create)(), explainer, version)?)
    })
}

/// Explains a message that is all of `bytes`.
pub fn message(schema: &Schema, version: i16, bytes: Bytes) -> Explanation {
    explain(bytes, |_, explainer| Ok(walk_dyn(&mut *(schema.create)(), explainer, version)?))
}

/// Explains the value of a record of `__cluster_metadata`.
pub fn metadata_record(value: Bytes) -> Explanation {
    explain(value, |_, explainer| {
        explainer.varint("FrameVersion")?;
        let at = explainer.position();
        let api_key = explainer.varint("ApiKey")?;
        let version = explainer.varint("Version")?;
        let schema = i16::try_from(api_key).ok().and_then(MetadataRecord::schema);
        let schema = schema.ok_or_else(|| unknown(api_key.into(), at))?;
        let version = i16::try_from(version).map_err(|_| unknown(version.into(), at))?;
        Ok(walk_dyn(&mut *(schema.create)(), explainer, version)?)
    })
}

/// Explains a key of `__consumer_offsets`.
pub fn group_key(key: Bytes) -> Explanation {
    coordinator_key(key, GroupKey::schema)
}

/// Explains a value of `__consumer_offsets`; its key's first two bytes are the record type.
pub fn group_value(record_type: i16, value: Bytes) -> Explanation {
    coordinator_value(value, GroupValue::schema(record_type), record_type)
}

/// Explains a key of `__transaction_state`.
pub fn transaction_key(key: Bytes) -> Explanation {
    coordinator_key(key, TransactionKey::schema)
}

/// Explains a value of `__transaction_state`; its key's first two bytes are the record type.
pub fn transaction_value(record_type: i16, value: Bytes) -> Explanation {
    coordinator_value(value, TransactionValue::schema(record_type), record_type)
}

fn coordinator_key(key: Bytes, schema: fn(i16) -> Option<&'static Schema>) -> Explanation {
    explain(key, |_, explainer| {
        let mut record_type = 0;
        explainer.i16("RecordType", &mut record_type)?;
        let schema = schema(record_type).ok_or_else(|| unknown(record_type.into(), 0))?;
        Ok(walk_dyn(&mut *(schema.create)(), explainer, 0)?)
    })
}

fn coordinator_value(value: Bytes, schema: Option<&Schema>, record_type: i16) -> Explanation {
    explain(value, |_, explainer| {
        let schema = schema.ok_or_else(|| unknown(record_type.into(), 0))?;
        let mut version = 0;
        explainer.i16("Version", &mut version)?;
        Ok(walk_dyn(&mut *(schema.create)(), explainer, version)?)
    })
}

/// Explains record batches back to back, as they are in a segment file and in a Records field.
pub fn batches(bytes: Bytes) -> Explanation {
    let (fields, error) = records::explain(&bytes, 0..bytes.len());
    Explanation { bytes, fields, error: error.map(RequestError::Malformed) }
}

/// Explains the records inside one batch: spans count in what they decompress to, which may be `limit` bytes long.
pub fn records_inside(batch: &Bytes, compressors: &dyn Compressors, limit: usize) -> Result<Explanation, RecordsError> {
    let (head, bytes) = plain(batch, compressors, limit)?;
    let (fields, error) = records::plain_records(&bytes, head.record_count.into());
    Ok(Explanation { bytes, fields, error: error.map(RequestError::Malformed) })
}

fn explain(bytes: Bytes, meet: impl FnOnce(&Bytes, &mut Explainer) -> Result<(), RequestError>) -> Explanation {
    let mut explainer = Explainer::new(bytes.clone());
    let error = meet(&bytes, &mut explainer).and_then(|()| Ok(explainer.check_end()?)).err();
    Explanation { bytes, fields: explainer.into_fields(), error }
}

fn unknown(value: i64, at: usize) -> ProtocolError {
    ProtocolError::field("Record", Expected::Known(value), Some(at))
}
