//! Rust for what spans messages: the APIs, the metadata records, the coordinators' records, the table of everything.

use std::fmt::Write as _;

use super::emit::{snake, variant};
use super::schema::{Kind, Message};

/// `ApiKey`.
pub(super) fn apis(messages: &[Message]) -> Result<String, String> {
    let requests = of_kind(messages, Kind::Request);
    let mut out =
        String::from("use std::fmt;\nuse std::ops::RangeInclusive;\n\nuse crate::message::Message;\nuse super::*;\n\n");
    out.push_str("/// What a request asks for, by the number that begins it. Retired APIs have none.\n");
    out.push_str(
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(i16)]\npub enum ApiKey {\n",
    );
    for (key, request) in &requests {
        let _ = writeln!(out, "/// [`{}`]\n{} = {key},", request.name, variant(request));
    }
    out.push_str("}\n\n");
    let _ = writeln!(out, "impl ApiKey {{\n/// Every API, by number.\npub const ALL: [ApiKey; {}] = [", requests.len());
    for (_, request) in &requests {
        let _ = writeln!(out, "ApiKey::{},", variant(request));
    }
    out.push_str("];\n\n/// The number on the wire.\npub const fn code(self) -> i16 {\nself as i16\n}\n\n");
    out.push_str("/// Kafka's name, `InitProducerId`.\npub const fn name(self) -> &'static str {\nmatch self {\n");
    for (_, request) in &requests {
        let _ = writeln!(out, "ApiKey::{0} => \"{0}\",", variant(request));
    }
    out.push_str("}\n}\n\n/// The versions the schema defines; what a node serves is in [`crate::support`].\n");
    out.push_str("pub const fn versions(self) -> RangeInclusive<i16> {\nmatch self {\n");
    for (_, request) in &requests {
        let _ = writeln!(out, "ApiKey::{} => {}::VERSIONS,", variant(request), request.name);
    }
    out.push_str("}\n}\n\n/// The first flexible version of the request, `i16::MAX` if none is.\n");
    out.push_str("pub const fn flexible(self) -> i16 {\nmatch self {\n");
    for (_, request) in &requests {
        let _ = writeln!(out, "ApiKey::{} => {}::FLEXIBLE,", variant(request), request.name);
    }
    out.push_str("}\n}\n}\n\nimpl TryFrom<i16> for ApiKey {\ntype Error = i16;\n\nfn try_from(code: i16) -> Result<ApiKey, i16> {\nmatch code {\n");
    for (key, request) in &requests {
        let _ = writeln!(out, "{key} => Ok(ApiKey::{}),", variant(request));
    }
    out.push_str("_ => Err(code),\n}\n}\n}\n\nimpl fmt::Display for ApiKey {\nfn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {\nf.pad(self.name())\n}\n}\n\n");

    let keys = of_kind(messages, Kind::Response).into_iter().map(|it| it.0);
    if keys.ne(requests.iter().map(|it| it.0)) {
        return Err("requests and responses differ in their keys".to_owned());
    }
    Ok(out)
}

/// `MetadataRecord`.
pub(super) fn metadata(messages: &[Message]) -> String {
    let records = of_kind(messages, Kind::Metadata);
    let mut out = String::from(
        "use std::ops::RangeInclusive;\n\nuse bytes::{Bytes, BytesMut};\n\nuse crate::ProtocolError;\nuse crate::decoder::Decoder;\nuse crate::encoder::put_unsigned_varint;\nuse crate::error::Expected;\n\
         use crate::message::{Message, Schema, decode_from, encode};\nuse super::*;\n\n\
         /// Kafka's frame around a metadata record has a version of its own.\nconst FRAME_VERSION: u32 = 1;\n\n",
    );
    out.push_str("/// A record of `__cluster_metadata`.\n#[derive(Clone, Debug, PartialEq)]\n#[allow(clippy::large_enum_variant)]\npub enum MetadataRecord {\n");
    for (_, record) in &records {
        let _ = writeln!(out, "{}({}),", variant(record), record.name);
    }
    out.push_str("}\n\nimpl MetadataRecord {\n/// The number of the record's type.\npub fn api_key(&self) -> i16 {\nmatch self {\n");
    for (key, record) in &records {
        let _ = writeln!(out, "MetadataRecord::{}(_) => {key},", variant(record));
    }
    out.push_str("}\n}\n\n/// Kafka's name of the record's type, `PartitionChangeRecord`.\npub fn name(&self) -> &'static str {\nmatch self {\n");
    for (_, record) in &records {
        let _ = writeln!(out, "MetadataRecord::{}(_) => {}::NAME,", variant(record), record.name);
    }
    out.push_str("}\n}\n\n/// The versions of the record's type.\npub fn versions(&self) -> RangeInclusive<i16> {\nmatch self {\n");
    for (_, record) in &records {
        let _ = writeln!(out, "MetadataRecord::{}(_) => {}::VERSIONS,", variant(record), record.name);
    }
    out.push_str("}\n}\n\n/// The schema of a record by its type.\npub fn schema(api_key: i16) -> Option<&'static Schema> {\nmatch api_key {\n");
    for (key, record) in &records {
        let _ = writeln!(out, "{key} => Some({}::SCHEMA),", record.name);
    }
    out.push_str(
        "_ => None,\n}\n}\n\n/// Reads a record's value: frame version, type and version as unsigned varints, then the fields.\n\
         pub fn decode(value: Bytes) -> Result<MetadataRecord, ProtocolError> {\nMetadataRecord::decode_with_version(value).map(|(_, record)| record)\n}\n\n\
         /// [`MetadataRecord::decode`], and the version the record was written at.\n\
         pub fn decode_with_version(value: Bytes) -> Result<(i16, MetadataRecord), ProtocolError> {\nlet mut decoder = Decoder::new(value);\n\
         let frame = decoder.unsigned_varint()?;\nif frame != FRAME_VERSION {\n\
         return Err(ProtocolError::field(\"MetadataRecord.FrameVersion\", Expected::Known(frame.into()), Some(0)));\n}\n\
         let at = decoder.position();\nlet api_key = decoder.unsigned_varint()?;\nlet version = decoder.unsigned_varint()?;\n\
         let Ok(version) = i16::try_from(version) else {\nreturn Err(ProtocolError::field(\"MetadataRecord.Version\", Expected::Known(version.into()), Some(at)));\n};\n\
         let record = match api_key {\n",
    );
    for (key, record) in &records {
        let _ = writeln!(out, "{key} => MetadataRecord::{}(decode_from(&mut decoder, version)?),", variant(record));
    }
    out.push_str(
        "_ => return Err(ProtocolError::field(\"MetadataRecord.ApiKey\", Expected::Known(api_key.into()), Some(at))),\n};\n\
         decoder.finish().map_err(|error| error.within(record.name(), None))?;\nOk((version, record))\n}\n\n\
         /// The record's value: frame version, type and version, then the fields.\n\
         pub fn encode(&mut self, version: i16) -> Result<Bytes, ProtocolError> {\nlet mut out = BytesMut::new();\n\
         for prefix in [FRAME_VERSION, self.api_key() as u32, version.max(0) as u32] {\nput_unsigned_varint(prefix, &mut out);\n}\nmatch self {\n",
    );
    for (_, record) in &records {
        let _ = writeln!(out, "MetadataRecord::{}(it) => encode(it, version, &mut out)?,", variant(record));
    }
    out.push_str("}\nOk(out.freeze())\n}\n}\n\n");
    for (_, record) in &records {
        let _ = writeln!(
            out,
            "impl From<{1}> for MetadataRecord {{\nfn from(record: {1}) -> MetadataRecord {{\nMetadataRecord::{0}(record)\n}}\n}}\n",
            variant(record),
            record.name
        );
    }
    out
}

/// Keys and values of the coordinators' logs.
pub(super) fn coordinators(messages: &[Message]) -> Result<String, String> {
    let mut out = String::from(
        "use bytes::Bytes;\n\nuse crate::ProtocolError;\nuse crate::decoder::Decoder;\nuse crate::error::Expected;\n\
         use crate::message::{Message, Schema, decode_from, decode_versioned, encode_typed, encode_versioned};\nuse super::*;\n\n",
    );
    for (name, jar, log) in [
        ("Group", "kafka-group-coordinator", "__consumer_offsets"),
        ("Transaction", "kafka-transaction-coordinator", "__transaction_state"),
        ("Share", "kafka-share-coordinator", "__share_group_state"),
    ] {
        let of_jar: Vec<Message> = messages.iter().filter(|it| it.jar == jar).cloned().collect();
        let keys = of_kind(&of_jar, Kind::CoordinatorKey);
        let values = of_kind(&of_jar, Kind::CoordinatorValue);
        if keys.is_empty() {
            return Err(format!("{jar} has no keys"));
        }
        let _ = writeln!(out, "/// A key of `{log}`.\n#[derive(Clone, Debug, PartialEq)]\npub enum {name}Key {{");
        for (_, key) in &keys {
            let _ = writeln!(out, "{}({}),", variant(key), key.name);
        }
        let _ = writeln!(
            out,
            "}}\n\n/// A value of `{log}`.\n#[derive(Clone, Debug, PartialEq)]\n#[allow(clippy::large_enum_variant)]\npub enum {name}Value {{"
        );
        for (_, value) in &values {
            let _ = writeln!(out, "{}({}),", variant(value), value.name);
        }
        let _ = writeln!(
            out,
            "}}\n\nimpl {name}Key {{\n/// The number that begins the key and tells what the value is.\npub fn record_type(&self) -> i16 {{\nmatch self {{"
        );
        for (code, key) in &keys {
            let _ = writeln!(out, "{name}Key::{}(_) => {code},", variant(key));
        }
        out.push_str(&schema_by_type(&keys, "key"));
        let _ = writeln!(
            out,
            "}}\n}}\n\n/// Reads a key: its type, then its fields. [`Expected::Known`] is the error of a type that we do not know.\n\
             pub fn decode(bytes: Bytes) -> Result<{name}Key, ProtocolError> {{\nlet mut decoder = Decoder::new(bytes);\nlet record_type = decoder.version()?;\nlet key = match record_type {{"
        );
        for (code, key) in &keys {
            let _ = writeln!(out, "{code} => {name}Key::{}(decode_from(&mut decoder, 0)?),", variant(key));
        }
        let _ = writeln!(
            out,
            "other => return Err(ProtocolError::field(\"{name}Key\", Expected::Known(other.into()), Some(0))),\n}};\n\
             decoder.finish().map_err(|error| error.within(\"{name}Key\", None))?;\nOk(key)\n}}\n\n\
             /// The key's type, then its fields.\npub fn encode(&mut self) -> Result<Bytes, ProtocolError> {{\n\
             let record_type = self.record_type();\nmatch self {{"
        );
        for (_, key) in &keys {
            let _ = writeln!(out, "{name}Key::{}(it) => encode_typed(it, record_type, 0),", variant(key));
        }
        let _ = writeln!(
            out,
            "}}\n}}\n}}\n\nimpl {name}Value {{\n/// The type of the key that goes with it.\npub fn record_type(&self) -> i16 {{\nmatch self {{"
        );
        for (code, value) in &values {
            let _ = writeln!(out, "{name}Value::{}(_) => {code},", variant(value));
        }
        out.push_str(&schema_by_type(&values, "value"));
        let _ = writeln!(
            out,
            "}}\n}}\n\n/// Reads the value that goes with a key of `record_type`: its version, then its fields. Answers both.\n\
             pub fn decode(record_type: i16, bytes: Bytes) -> Result<(i16, {name}Value), ProtocolError> {{\nOk(match record_type {{"
        );
        for (code, value) in &values {
            let _ = writeln!(
                out,
                "{code} => {{\nlet (version, value) = decode_versioned(bytes)?;\n(version, {name}Value::{}(value))\n}}",
                variant(value)
            );
        }
        let _ = writeln!(
            out,
            "other => return Err(ProtocolError::field(\"{name}Value\", Expected::Known(other.into()), None)),\n}})\n}}\n\n\
             /// The version, then the fields.\npub fn encode(&mut self, version: i16) -> Result<Bytes, ProtocolError> {{\nmatch self {{"
        );
        for (_, value) in &values {
            let _ = writeln!(out, "{name}Value::{}(it) => encode_versioned(it, version),", variant(value));
        }
        out.push_str("}\n}\n}\n\n");
    }
    Ok(out)
}

/// Ends the match that is open, and begins a method that finds the schema.
fn schema_by_type(records: &[(i16, &Message)], what: &str) -> String {
    let mut out = format!(
        "}}\n}}\n\n/// The schema of a {what} by its record type.\n\
         pub fn schema(record_type: i16) -> Option<&'static Schema> {{\nmatch record_type {{\n"
    );
    for (code, record) in records {
        let _ = writeln!(out, "{code} => Some({}::SCHEMA),", record.name);
    }
    out.push_str("_ => None,\n");
    out
}

/// What Apache Kafka advertises, from the recorded answer of one of its brokers.
pub(super) fn advertised(messages: &[Message], recorded: &str) -> Result<String, String> {
    let requests = of_kind(messages, Kind::Request);
    let mut apis = String::new();
    let mut supported = String::new();
    let mut finalized = String::new();
    for line in recorded.lines().filter(|line| !line.starts_with('#')) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["api", key, first, last] => {
                let (_, request) = requests
                    .iter()
                    .find(|(code, _)| code.to_string() == key)
                    .ok_or_else(|| format!("the broker advertises {key}, which no definition has"))?;
                let _ = writeln!(apis, "ApiKey::{} => Some({first}..={last}),", variant(request));
            }
            ["supported", name, first, last] => {
                let _ = writeln!(supported, "Feature {{ name: {name:?}, levels: {first}..={last} }},");
            }
            ["finalized", name, _, level] => {
                let _ = writeln!(finalized, "({name:?}, {level}),");
            }
            _ => return Err(format!("no line of a recorded answer: {line:?}")),
        }
    }
    Ok(format!(
        "use std::ops::RangeInclusive;\n\nuse super::ApiKey;\nuse crate::support::Feature;\n\n\
         /// The versions that a broker advertises for an API, `None` for what it does not serve.\n\
         pub(crate) const fn versions(api: ApiKey) -> Option<RangeInclusive<i16>> {{\nmatch api {{\n{apis}_ => None,\n}}\n}}\n\n\
         pub(crate) static SUPPORTED: &[Feature] = &[\n{supported}];\n\n\
         pub(crate) static FINALIZED: &[(&str, i16)] = &[\n{finalized}];\n"
    ))
}

/// `mod.rs`: the modules, flat names for the messages, and the table of all.
pub(super) fn module(messages: &[Message]) -> String {
    let mut out = String::from(
        "//! Every message and record of Apache Kafka 4.3.1.\n//!\n\
         //! A message's own struct is re-exported here; the structs within it live in its module. [`SCHEMAS`] lists all.\n\n",
    );
    out.push_str("// What a field means is told by Kafka's protocol guide; the generated docs tell its versions.\n#![allow(missing_docs)]\n\n");
    let mut modules: Vec<String> = messages.iter().map(|message| snake(&message.name)).collect();
    modules.sort();
    for module in &modules {
        let _ = writeln!(out, "pub mod {module};");
    }
    out.push_str("\npub(crate) mod advertised;\nmod api;\nmod coordinator;\nmod error_code;\nmod metadata_record;\n\n");
    out.push_str("pub use crate::body::{RequestBody, ResponseBody, SPOKEN, spoken};\npub use api::ApiKey;\n");
    out.push_str(
        "pub use coordinator::{GroupKey, GroupValue, ShareKey, ShareValue, TransactionKey, TransactionValue};\n",
    );
    out.push_str("pub use error_code::ErrorCode;\npub use metadata_record::MetadataRecord;\n\n");
    for message in messages {
        let _ = writeln!(out, "pub use {}::{};", snake(&message.name), message.name);
    }
    out.push_str("\nuse crate::message::{Message, MessageKind, Schema};\n\n/// Every message, by name.\npub static SCHEMAS: &[&Schema] = &[\n");
    for message in messages {
        let _ = writeln!(out, "{}::SCHEMA,", message.name);
    }
    out.push_str(
        "];\n\n/// The schema of a message by Kafka's name for it, `FetchRequest`.\n\
         pub fn by_name(name: &str) -> Option<&'static Schema> {\n\
         let index = SCHEMAS.binary_search_by_key(&name, |schema| schema.name).ok()?;\nSome(SCHEMAS[index])\n}\n\n\
         /// The schema of a request or response by its API's key, of a metadata record by its type.\n\
         pub fn by_key(kind: MessageKind, key: i16) -> Option<&'static Schema> {\n\
         SCHEMAS.iter().find(|it| it.kind == kind && it.api_key == Some(key)).copied()\n}\n\n\
         /// Invokes a macro with the type of each message, for tests that need types and not tables.\n\
         #[macro_export]\nmacro_rules! for_every_message {\n($visit:ident) => {\n",
    );
    for message in messages {
        let _ = writeln!(out, "$visit!($crate::messages::{});", message.name);
    }
    out.push_str("};\n}\n");
    out
}

/// The messages of a kind by key.
fn of_kind(messages: &[Message], kind: Kind) -> Vec<(i16, &Message)> {
    let mut of_kind: Vec<(i16, &Message)> =
        messages.iter().filter(|it| it.kind == kind).filter_map(|it| Some((it.api_key?, it))).collect();
    of_kind.sort_by_key(|(key, _)| *key);
    of_kind
}
