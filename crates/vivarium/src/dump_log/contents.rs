//! What the bytes of a record mean, by the topic they are of.

use bytes::Bytes;
use protocol::message::{AnyMessage, MessageKind, Schema, decode_dyn};
use protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupKey, GroupMetadataValue, GroupValue,
    KRaftVersionRecord, LeaderChangeMessage, MetadataRecord, ShareKey, ShareValue, SnapshotFooterRecord,
    SnapshotHeaderRecord, TransactionKey, TransactionValue, VotersRecord, by_key,
};
use protocol::records::control::EndTransaction;
use protocol::records::{ControlType, RecordView};

use super::json;

/// How keys and values are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Decoder {
    /// As text.
    #[default]
    Text,
    /// `__consumer_offsets`
    Offsets,
    /// `__transaction_state`
    Transactions,
    /// `__cluster_metadata`
    ClusterMetadata,
    /// `__share_group_state`
    ShareGroupState,
}

impl Decoder {
    /// Key and value for people. The error ends the dump, as in Kafka.
    pub(super) fn show(self, record: &RecordView<'_>) -> Result<(Option<String>, Option<String>), String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match self {
            Decoder::Text => (record.key.map(text), record.value.map(text)),
            Decoder::ClusterMetadata => (None, Some(metadata(record))),
            Decoder::Offsets => coordinator(record, GroupKey::schema, GroupValue::schema)?,
            Decoder::Transactions => coordinator(record, TransactionKey::schema, TransactionValue::schema)?,
            Decoder::ShareGroupState => coordinator(record, ShareKey::schema, ShareValue::schema)?,
        })
    }
}

fn metadata(record: &RecordView<'_>) -> String {
    let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
    let shown = framed(value).and_then(|(name, version, mut message)| {
        let data = json::of_message(&mut *message, version).map_err(|error| error.to_string())?;
        Ok(format!("{{\"type\":{},\"version\":{version},\"data\":{data}}}", json::quoted(&screaming(name))))
    });
    shown.unwrap_or_else(|what| format!("Error at {}, skipping. {what}", record.offset))
}

/// A metadata record: frame version 1, its type and its version as varints, and the message.
fn framed(mut value: Bytes) -> Result<(&'static str, i16, Box<dyn AnyMessage>), String> {
    let version = |value: Bytes| MetadataRecord::decode(value).map_err(|error| error.to_string());
    let record = version(value.clone())?;
    let schema = by_key(MessageKind::Metadata, record.api_key()).ok_or("its type is not known")?;
    let mut numbers = [0u32; 3];
    for number in &mut numbers {
        for shift in (0..35).step_by(7) {
            let byte = *value.first().ok_or("it ends early")?;
            value = value.slice(1..);
            *number |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    let version = i16::try_from(numbers[2]).map_err(|error| error.to_string())?;
    let message = decode_dyn(schema, value, version).map_err(|error| error.to_string())?;
    Ok((record.name(), version, message))
}

/// `FeatureLevelRecord` as Java's enums are spelled: `FEATURE_LEVEL_RECORD`.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}

type Schemas = fn(i16) -> Option<&'static Schema>;

fn coordinator(
    record: &RecordView<'_>,
    key_schema: Schemas,
    value_schema: Schemas,
) -> Result<(Option<String>, Option<String>), String> {
    let offset = record.offset;
    let key = record.key.ok_or_else(|| {
        format!("Failed to decode message at offset {offset} using the specified decoder (message had a missing key)")
    })?;
    let Some((record_type, key)) = versioned(key) else {
        return Ok((Some(format!("Error at offset {offset}, skipping. The key is too short")), None));
    };
    let Some(schema) = key_schema(record_type) else {
        return Ok((Some(format!("Unknown record type {record_type} at offset {offset}, skipping.")), None));
    };
    let shown = || -> Result<(String, String), String> {
        let fault = |error: protocol::ProtocolError| error.to_string();
        let mut message = decode_dyn(schema, key, 0).map_err(fault)?;
        let data = json::of_message(&mut *message, 0).map_err(fault)?;
        let key = format!("{{\"type\":\"{record_type}\",\"data\":{data}}}");
        let Some(value) = record.value else { return Ok((key, "<DELETE>".to_owned())) };
        let (version, value) = versioned(value).ok_or("The value is too short")?;
        let schema = value_schema(record_type).ok_or("The value's type is not known")?;
        let mut message = decode_dyn(schema, value.clone(), version).map_err(fault)?;
        let data = match schema.name {
            "GroupMetadataValue" => group_metadata(value, version)?,
            _ => json::of_message(&mut *message, version).map_err(fault)?,
        };
        Ok((key, format!("{{\"version\":\"{version}\",\"data\":{data}}}")))
    };
    Ok(match shown() {
        Ok((key, value)) => (Some(key), Some(value)),
        Err(what) => (Some(format!("Error at offset {offset}, skipping. {what}")), None),
    })
}

/// The version in front, and what follows.
fn versioned(bytes: &[u8]) -> Option<(i16, Bytes)> {
    let (version, rest) = bytes.split_first_chunk()?;
    Some((i16::from_be_bytes(*version), Bytes::copy_from_slice(rest)))
}

/// A classic group's members say in bytes of their own what they subscribe to and have; those of consumers are understood.
fn group_metadata(value: Bytes, version: i16) -> Result<String, String> {
    let fault = |error: protocol::ProtocolError| error.to_string();
    let mut group: GroupMetadataValue = protocol::decode(value, version).map_err(fault)?;
    let mut inner = Vec::new();
    if group.protocol_type == "consumer" {
        for member in &mut group.members {
            for (name, bytes) in [("subscription", &mut member.subscription), ("assignment", &mut member.assignment)] {
                let known = versioned(bytes).and_then(|(version, rest)| match name {
                    "subscription" => {
                        let mut it: ConsumerProtocolSubscription =
                            protocol::message::decode_from(&mut protocol::Decoder::new(rest), version.min(3)).ok()?;
                        json::of_message(&mut it, version.min(3)).ok()
                    }
                    _ => {
                        let mut it: ConsumerProtocolAssignment =
                            protocol::message::decode_from(&mut protocol::Decoder::new(rest), version.min(3)).ok()?;
                        json::of_message(&mut it, version.min(3)).ok()
                    }
                });
                if let Some(known) = known {
                    // A place that no base64 looks like, until the whole is written.
                    let place = format!("\0{}\0", inner.len());
                    *bytes = Bytes::from(place.clone().into_bytes());
                    inner.push((json::base64(place.as_bytes()), known));
                }
            }
        }
    }
    let mut text = json::of_message(&mut group, version).map_err(fault)?;
    for (place, known) in inner {
        text = text.replacen(&json::quoted(&place), &known, 1);
    }
    Ok(text)
}

/// What a control record says, as Kafka's tool prints it behind the record.
pub(super) fn control(record: &RecordView<'_>) -> Result<String, String> {
    let fault = |error: protocol::ProtocolError| error.to_string();
    let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
    let kind = ControlType::of_key(key).map_err(|error| error.to_string())?;
    let Some(kind) = kind else { return Ok(" controlType: UNKNOWN(-1)".to_owned()) };
    let version = value.first_chunk().map_or(0, |version| i16::from_be_bytes(*version));
    macro_rules! shown {
        ($message:ty, $version:expr) => {{
            let mut message: $message = protocol::decode(Bytes::copy_from_slice(value), $version).map_err(fault)?;
            json::of_message(&mut message, $version).map_err(fault)?
        }};
    }
    Ok(match kind {
        ControlType::Abort | ControlType::Commit => {
            let end = EndTransaction::of_record(key, value).map_err(|error| error.to_string())?;
            let coordinator_epoch = end.map_or(-1, |it| it.coordinator_epoch);
            format!(" endTxnMarker: {} coordinatorEpoch: {coordinator_epoch}", kind.name())
        }
        ControlType::LeaderChange => format!(" LeaderChange: {}", shown!(LeaderChangeMessage, version)),
        ControlType::SnapshotHeader => format!(" SnapshotHeader {}", shown!(SnapshotHeaderRecord, version)),
        ControlType::SnapshotFooter => format!(" SnapshotFooter {}", shown!(SnapshotFooterRecord, version)),
        ControlType::KRaftVersion => format!(" KRaftVersion {}", shown!(KRaftVersionRecord, version)),
        ControlType::KRaftVoters => format!(" KRaftVoters {}", shown!(VotersRecord, version)),
    })
}
