//! What stands inside of bytes: fields of records of Kafka's own topics, of a consumer's subscription, of a forwarded request. They
//! become children of the field that holds the bytes, at their own places.

use bytes::Bytes;

use super::{Explanation, Field, Known, message, metadata_record, request};
use crate::message::{Message, Schema};
use crate::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, EndTxnMarker, KRaftVersionRecord, LeaderChangeMessage,
    SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord,
};
use crate::records::ControlType;

/// What the records of a topic are, besides bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Bytes, whatever they mean to an application.
    Plain,
    /// Records of `__cluster_metadata`.
    Metadata,
    /// Records of `__consumer_offsets`.
    Groups,
}

/// Finds the schemas of key and value of a coordinator's record by its type.
pub type Coordinated = fn(i16) -> Option<[&'static Schema; 2]>;

/// What is needed to look inside.
pub struct Look<'a> {
    /// What the records of a topic are, by its name or its id.
    pub topic: &'a dyn Fn(&str) -> Inside,
    /// Schemas of the records of `__consumer_offsets`.
    pub groups: Coordinated,
    /// Schemas of requests, for one that another carries.
    pub known: Known,
}

/// Explains what stands inside of what is explained; until a topic is named its records are these. What makes no sense stays bytes.
pub fn deepen(explanation: &mut Explanation, mut inside: Inside, look: &Look<'_>) {
    let bytes = explanation.bytes.clone();
    walk(&mut explanation.fields, &bytes, look, &mut inside);
}

fn walk(fields: &mut [Field], bytes: &Bytes, look: &Look<'_>, inside: &mut Inside) {
    for field in fields {
        match (field.kind, &*field.name) {
            ("BATCH", _) => {
                let attributes = field.children.iter().find(|it| it.name == "Attributes");
                let is_control = attributes.is_some_and(|it| it.value.contains("control"));
                for it in &mut field.children {
                    record(it, bytes, *inside, is_control, look);
                }
            }
            ("RECORD", _) => record(field, bytes, *inside, false, look),
            ("UUID", "TopicId") => *inside = (look.topic)(&field.value),
            // Before version 13 of Fetch, and in Produce before 13, topics have names.
            ("STRING" | "COMPACT_STRING", "Topic" | "Name") => *inside = (look.topic)(field.value.trim_matches('"')),
            ("BYTES" | "COMPACT_BYTES" | "NULLABLE_BYTES" | "COMPACT_NULLABLE_BYTES", name) => {
                let schema = match name {
                    "Metadata" | "subscription" | "MemberMetadata" => ConsumerProtocolSubscription::SCHEMA,
                    "Assignment" | "assignment" | "MemberAssignment" => ConsumerProtocolAssignment::SCHEMA,
                    "RequestData" => {
                        if let Some((at, content)) = content(field, bytes) {
                            attach(field, at, request(content, look.known));
                        }
                        continue;
                    }
                    _ => continue,
                };
                if let Some((at, content)) = content(field, bytes) {
                    attach(field, at, versioned(schema, content));
                }
            }
            _ => walk(&mut field.children, bytes, look, inside),
        }
    }
}

/// A record's key and value.
fn record(record: &mut Field, bytes: &Bytes, mut inside: Inside, is_control: bool, look: &Look<'_>) {
    if record.kind != "RECORD" || (inside == Inside::Plain && !is_control) {
        return;
    }
    let of = |name: &str| record.children.iter().position(|it| it.name == name);
    let (Some(key_at), Some(value_at)) = (of("Key"), of("Value")) else { return };
    let key = content(&record.children[key_at], bytes);
    let value = content(&record.children[value_at], bytes);
    let number = |at: usize| Some(i16::from_be_bytes(*key.as_ref()?.1.get(at..)?.first_chunk()?));
    let (of_key, of_value) = if is_control {
        let kind = key.as_ref().and_then(|it| ControlType::of_key(&it.1).ok().flatten());
        let of_key = key.as_ref().map(|it| {
            // Its version, then its type.
            let (mut whole, rest) = (numbers(&it.1, &["Version", "Type"]), kind.map(ControlType::name));
            if let (Some(kind), Some(field)) = (rest, whole.fields.last_mut()) {
                field.value = format!("{} {kind}", field.value);
            }
            whole
        });
        (of_key, kind.and_then(|kind| Some(control(kind, value.as_ref()?.1.clone()))))
    } else if inside == Inside::Metadata {
        (None, value.as_ref().map(|it| metadata_record(it.1.clone())))
    } else {
        let schemas = number(0).and_then(look.groups);
        let of_key = key.as_ref().zip(schemas).map(|(it, [schema, _])| typed(schema, it.1.clone()));
        (of_key, value.as_ref().zip(schemas).map(|(it, [_, schema])| versioned(schema, it.1.clone())))
    };
    for (index, content, explained) in [(key_at, key, of_key), (value_at, value, of_value)] {
        if let (Some((at, _)), Some(explained)) = (content, explained) {
            attach(&mut record.children[index], at, explained);
        }
    }
    // What is in the subscriptions and assignments of members.
    walk(&mut record.children, bytes, look, &mut inside);
}

/// The value of a control record.
fn control(kind: ControlType, value: Bytes) -> Explanation {
    match kind {
        ControlType::Abort | ControlType::Commit => versioned(EndTxnMarker::SCHEMA, value),
        ControlType::LeaderChange => own_version(LeaderChangeMessage::SCHEMA, value),
        ControlType::SnapshotHeader => own_version(SnapshotHeaderRecord::SCHEMA, value),
        ControlType::SnapshotFooter => own_version(SnapshotFooterRecord::SCHEMA, value),
        ControlType::KRaftVersion => own_version(KRaftVersionRecord::SCHEMA, value),
        ControlType::KRaftVoters => own_version(VotersRecord::SCHEMA, value),
    }
}

/// A message whose first field is its version.
fn own_version(schema: &'static Schema, bytes: Bytes) -> Explanation {
    let version = bytes.first_chunk().map_or(0, |it| i16::from_be_bytes(*it));
    message(schema, version, bytes)
}

/// A message behind its version in two bytes.
fn versioned(schema: &'static Schema, bytes: Bytes) -> Explanation {
    let version = bytes.first_chunk().map_or(-1, |it| i16::from_be_bytes(*it));
    prefixed("Version", schema, version, bytes)
}

/// A message behind two bytes that tell what it is.
fn typed(schema: &'static Schema, bytes: Bytes) -> Explanation {
    prefixed("RecordType", schema, 0, bytes)
}

fn prefixed(name: &str, schema: &'static Schema, version: i16, bytes: Bytes) -> Explanation {
    let mut whole = numbers(&bytes.slice(..bytes.len().min(2)), &[name]);
    let mut rest = message(schema, version, bytes.slice(bytes.len().min(2)..));
    shift(&mut rest.fields, 2);
    whole.fields.append(&mut rest.fields);
    Explanation { bytes, error: rest.error, ..whole }
}

/// Numbers of two bytes each.
fn numbers(bytes: &Bytes, names: &[&str]) -> Explanation {
    let mut fields = Vec::new();
    for (index, (name, pair)) in names.iter().zip(bytes.chunks_exact(2)).enumerate() {
        let value = i16::from_be_bytes([pair[0], pair[1]]).to_string();
        let span = 2 * index..2 * index + 2;
        fields.push(Field { name: (*name).to_owned(), kind: "INT16", value, span, children: Vec::new() });
    }
    Explanation { bytes: bytes.clone(), fields, error: None }
}

/// The bytes that a field holds, without their length, and where they begin. Nothing for null.
fn content(field: &Field, bytes: &Bytes) -> Option<(usize, Bytes)> {
    let whole = bytes.get(field.span.clone())?;
    let prefix = match field.kind {
        "BYTES" | "NULLABLE_BYTES" => 4,
        _ => whole.iter().position(|it| it & 0x80 == 0)? + 1,
    };
    let is_null = field.value == "null" || field.span.len() < prefix;
    (!is_null).then(|| (field.span.start + prefix, bytes.slice(field.span.start + prefix..field.span.end)))
}

/// Puts what is inside of a field into it, if all of it is understood.
fn attach(field: &mut Field, at: usize, mut inside: Explanation) {
    if inside.error.is_none() {
        shift(&mut inside.fields, at);
        field.children = inside.fields;
    }
}

fn shift(fields: &mut [Field], by: usize) {
    for field in fields {
        field.span = field.span.start + by..field.span.end + by;
        shift(&mut field.children, by);
    }
}
