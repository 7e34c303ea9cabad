//! What the log of the offsets topic says of consumer groups.

use bytes::Bytes;
use protocol::TopicPartition;
use protocol::message::{Message, decode_from, decode_versioned};
use protocol::messages::{
    ConsumerGroupMetadataKey, ConsumerGroupMetadataValue, GroupMetadataKey, GroupMetadataValue, OffsetCommitKey,
};

use super::Checks;
use super::groups::GroupLedger;

/// The types of its records: the two bytes before a key.
pub(super) const OFFSET_COMMIT: i16 = 1;
pub(super) const CLASSIC: i16 = 2;
pub(super) const CONSUMERS: i16 = 3;

/// What is written of a group.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    /// The newest generation or epoch since it began; anything, if nobody saw it begin.
    pub(super) epoch: i32,
    /// It has members of the classic protocol.
    has_classic_members: bool,
    /// It has ended, and whoever comes finds another one. One that only changes its protocol goes on.
    has_ended: bool,
}

impl Default for Logged {
    fn default() -> Logged {
        Logged { epoch: i32::MAX, has_classic_members: false, has_ended: false }
    }
}

impl Checks {
    /// A record of the offsets topic is appended.
    pub(super) fn written_of_group(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some((record_type, key)) = key.split_first_chunk() else { return };
        match i16::from_be_bytes(*record_type) {
            // Only that nothing is committed any more: it was not used for long, its topic or its group is gone, or somebody has
            // deleted it.
            OFFSET_COMMIT if value.is_none() => self.offset_ended(key),
            CLASSIC => {
                let value = value_of::<GroupMetadataValue>(value).map(|it| (it.generation, !it.members.is_empty()));
                let Some(ledger) = key_of(key).and_then(|it: GroupMetadataKey| self.groups.get_mut(&it.group)) else {
                    return;
                };
                match value {
                    Some((generation, has_members)) => {
                        ledger.written_at(generation, !has_members);
                        ledger.log.has_classic_members = has_members;
                    }
                    // Members that are written down go on in a group of the other protocol.
                    None => ledger.log.has_ended = !ledger.log.has_classic_members,
                }
            }
            CONSUMERS => {
                let value = value_of::<ConsumerGroupMetadataValue>(value);
                let key: Option<ConsumerGroupMetadataKey> = key_of(key);
                let Some(ledger) = key.and_then(|it| self.groups.get_mut(&it.group_id)) else { return };
                match value {
                    Some(value) => ledger.written_at(value.epoch, true),
                    // It has, unless members follow that speak the other protocol.
                    None => ledger.log.has_ended = true,
                }
            }
            _ => {}
        }
    }

    fn offset_ended(&mut self, key: &[u8]) {
        let Some(OffsetCommitKey { group, topic, partition }) = key_of(key) else { return };
        let held = self.groups.get_mut(&group).and_then(|it| it.held(&TopicPartition { topic, partition }));
        if let Some(held) = held {
            held.ended();
        }
    }
}

impl GroupLedger {
    /// A generation or epoch is written. Whether the group can be another one than before: it begins with members only if it goes
    /// on with those of the classic protocol.
    fn written_at(&mut self, epoch: i32, may_be_new: bool) {
        if std::mem::take(&mut self.log.has_ended) && may_be_new {
            self.log.epoch = epoch;
            self.begin_anew();
        }
        self.log.epoch = self.log.epoch.max(epoch);
    }
}

fn key_of<M: Message>(key: &[u8]) -> Option<M> {
    decode_from(&mut protocol::Decoder::new(Bytes::copy_from_slice(key)), 0).ok()
}

fn value_of<M: Message>(value: Option<&[u8]>) -> Option<M> {
    decode_versioned(Bytes::copy_from_slice(value?)).ok().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use client::GroupEvent;
    use protocol::message::{encode_typed, encode_versioned};
    use protocol::messages::group_metadata_value::MemberMetadata;
    use protocol::{Instant, Str};

    use super::super::tests::cluster;
    use super::*;
    use crate::check::Check;
    use crate::queue::Pid;

    const MEMBER: Pid = Pid(5);

    fn group() -> Checks {
        let mut checks = cluster(&[Pid(1)], &[]);
        checks.client(MEMBER, &Str::from_static("c"), false, false);
        checks.client_of_group(MEMBER, Str::from_static("g"), None, false);
        checks.is_told(9);
        checks
    }

    impl Checks {
        fn is_told(&mut self, epoch: i32) {
            let said = GroupEvent::Joined { epoch, member_id: Str::from_static("m"), is_leader: false };
            self.member_said(1, Instant(0), MEMBER, &said, None);
        }

        fn write(&mut self, record_type: i16, value: Option<Bytes>) {
            let mut key = GroupMetadataKey { group: Str::from_static("g") };
            let key = encode_typed(&mut key, record_type, 0).expect("it can be written");
            self.written_of_group(&key, value.as_deref());
        }

        fn write_classic(&mut self, generation: i32, members: usize) {
            let members = vec![MemberMetadata::default(); members];
            let mut value = GroupMetadataValue { generation, members, ..GroupMetadataValue::default() };
            self.write(CLASSIC, Some(encode_versioned(&mut value, 3).expect("it can be written")));
        }

        fn write_consumers(&mut self, epoch: i32) {
            let mut value = ConsumerGroupMetadataValue { epoch, metadata_hash: 0 };
            self.write(CONSUMERS, Some(encode_versioned(&mut value, 0).expect("it can be written")));
        }

        /// Whether a member may hear of an epoch before the one that it was told.
        fn allows(mut self, epoch: i32) -> bool {
            self.is_told(epoch);
            self.broken_by(Check::EpochsMonotone).is_none()
        }
    }

    #[test]
    fn a_group_that_changes_its_protocol_counts_on() {
        let mut checks = group();
        checks.write(CONSUMERS, None);
        checks.write_classic(9, 1);
        checks.write(CLASSIC, None);
        checks.write_consumers(9);
        assert!(!checks.allows(1));
    }

    #[test]
    fn who_comes_to_a_group_that_nobody_is_in_may_find_another() {
        let mut checks = group();
        checks.write(CONSUMERS, None);
        assert!(!checks.clone().allows(1), "it is not there yet");
        checks.write_classic(0, 0);
        assert!(checks.clone().allows(1));
        checks.write(CLASSIC, None);
        checks.write_consumers(1);
        checks.is_told(1);
        checks.write_consumers(2);
        checks.is_told(2);
        assert!(!checks.clone().allows(1), "this one counts on, too");
        // What is heard late, of the one before, binds nobody.
        checks.is_told(9);
        assert!(checks.allows(2));
    }
}
