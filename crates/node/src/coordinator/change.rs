//! Changes: what a coordinator writes down, as records of `__consumer_offsets` in Apache Kafka's schemas.

use bytes::Bytes;
use protocol::message::{decode_from, decode_versioned, encode_typed, encode_versioned};
use protocol::messages::{
    ConsumerGroupMetadataKey, GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
use protocol::{Decoder, ProtocolError, Str, TopicPartition, Uuid};

use super::consumer::ConsumerChange;

/// Types of records: the two bytes before a key. Version 0 of the offset commit's key has the same fields.
const LEGACY_OFFSET_COMMIT: i16 = 0;
const OFFSET_COMMIT: i16 = 1;
const GROUP_METADATA: i16 = 2;
/// The records that say that there is a group of another protocol: share, streams.
const OTHER_GROUPS: [i16; 2] = [11, 17];

/// The versions that Apache Kafka 4.3 writes. An offset with an end of its own is written in the last version that has one.
const GROUP_METADATA_VERSION: i16 = 3;
const OFFSET_COMMIT_VERSION: i16 = 4;
const EXPIRING_OFFSET_COMMIT_VERSION: i16 = 1;

/// One record: something is so from now on, or (`None`) is no more.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// A group's committed offset of a partition.
    Offset(Str, TopicPartition, Option<OffsetValue>),
    /// A group of the classic protocol.
    Group(Str, Option<GroupMetadataValue>),
    /// Something of a group of the consumer protocol.
    Consumer(Str, ConsumerChange),
    /// A group of another protocol; true if there is one.
    Other(Str, bool),
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OffsetValue {
    pub(super) offset: i64,
    /// -1 if the client did not say.
    pub(super) leader_epoch: i32,
    pub(super) metadata: Str,
    pub(super) committed_ms: i64,
    /// -1 if `offsets.retention.minutes` says when it ends.
    pub(super) expires_ms: i64,
    /// Zero if it was written by a release that did not note it.
    pub(super) topic_id: Uuid,
}

impl Change {
    /// Key and value as they are written. A name may be longer than the schema of the key can hold.
    pub(super) fn encode(&self) -> Result<(Bytes, Option<Bytes>), ProtocolError> {
        match self {
            Change::Offset(group, at, value) => {
                let mut key =
                    OffsetCommitKey { group: group.clone(), topic: at.topic.clone(), partition: at.partition };
                let key = encode_typed(&mut key, OFFSET_COMMIT, 0);
                key.and_then(|key| Ok((key, value.as_ref().map(OffsetValue::encode).transpose()?)))
            }
            Change::Group(group, value) => {
                let key = encode_typed(&mut GroupMetadataKey { group: group.clone() }, GROUP_METADATA, 0);
                let value = value.clone().map(|mut value| encode_versioned(&mut value, GROUP_METADATA_VERSION));
                key.and_then(|key| Ok((key, value.transpose()?)))
            }
            Change::Consumer(group, change) => change.encode(group),
            Change::Other(..) => panic!("groups of other protocols are only read"),
        }
    }

    /// Reads a record; `None` for one that means nothing here.
    pub(super) fn decode(key: Option<Bytes>, value: Option<Bytes>) -> Result<Option<Change>, ProtocolError> {
        let Some(key) = key else { return Ok(None) };
        let mut decoder = Decoder::new(key);
        let change = match decoder.version()? {
            LEGACY_OFFSET_COMMIT | OFFSET_COMMIT => {
                let key: OffsetCommitKey = decode_from(&mut decoder, 0)?;
                let value = value.map(OffsetValue::decode).transpose()?;
                Change::Offset(key.group, TopicPartition { topic: key.topic, partition: key.partition }, value)
            }
            GROUP_METADATA => {
                let key: GroupMetadataKey = decode_from(&mut decoder, 0)?;
                let value = value.map(decode_versioned::<GroupMetadataValue>).transpose()?;
                Change::Group(key.group, value.map(|(_, value)| value))
            }
            other if OTHER_GROUPS.contains(&other) => {
                let key: ConsumerGroupMetadataKey = decode_from(&mut decoder, 0)?;
                Change::Other(key.group_id, value.is_some())
            }
            // The members of such groups, and what later releases may add, are none.
            other => match ConsumerChange::decode(other, &mut decoder, value)? {
                Some((group, change)) => Change::Consumer(group, change),
                None => return Ok(None),
            },
        };
        Ok(Some(change))
    }
}

impl OffsetValue {
    fn encode(&self) -> Result<Bytes, ProtocolError> {
        let version = if self.expires_ms == -1 { OFFSET_COMMIT_VERSION } else { EXPIRING_OFFSET_COMMIT_VERSION };
        let mut value = OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.clone(),
            commit_timestamp: self.committed_ms,
            expire_timestamp: self.expires_ms,
            topic_id: self.topic_id,
        };
        encode_versioned(&mut value, version)
    }

    fn decode(value: Bytes) -> Result<OffsetValue, ProtocolError> {
        let (_, value) = decode_versioned::<OffsetCommitValue>(value)?;
        Ok(OffsetValue {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata,
            committed_ms: value.commit_timestamp,
            expires_ms: value.expire_timestamp,
            topic_id: value.topic_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::messages::group_metadata_value::MemberMetadata;

    #[test]
    fn what_is_written_is_read_again() {
        let at = TopicPartition { topic: Str::from_static("t"), partition: 3 };
        let value = OffsetValue {
            offset: 42,
            leader_epoch: 7,
            metadata: Str::from_static("m"),
            committed_ms: 1,
            expires_ms: -1,
            topic_id: Uuid([4; 16]),
        };
        // The last version with an end of its own has neither epoch nor topic id.
        let expiring = OffsetValue { leader_epoch: -1, expires_ms: 9, topic_id: Uuid::ZERO, ..value.clone() };
        let member = MemberMetadata { member_id: Str::from_static("a"), ..MemberMetadata::default() };
        let group = GroupMetadataValue { generation: 5, members: vec![member], ..GroupMetadataValue::default() };
        let id = Str::from_static("g");
        for change in [
            Change::Offset(id.clone(), at.clone(), Some(value)),
            Change::Offset(id.clone(), at.clone(), Some(expiring)),
            Change::Offset(id.clone(), at, None),
            Change::Group(id.clone(), Some(group)),
            Change::Group(id, None),
        ] {
            let (key, value) = change.encode().expect("it can be written");
            assert_eq!(Change::decode(Some(key), value), Ok(Some(change)));
        }
    }

    #[test]
    fn bad_bytes_are_an_error_and_unknown_types_are_none() {
        assert_eq!(Change::decode(None, None), Ok(None));
        assert_eq!(Change::decode(Some(Bytes::from_static(&[0, 99, 1, 2])), None), Ok(None));
        assert!(Change::decode(Some(Bytes::from_static(&[0])), None).is_err());
        assert!(Change::decode(Some(Bytes::from_static(&[0, 1, 0, 9])), None).is_err());
        let key = Bytes::from_static(&[0, 2, 0, 1, b'g']);
        assert!(Change::decode(Some(key), Some(Bytes::from_static(&[0, 77]))).is_err());
    }
}
