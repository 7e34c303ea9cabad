//! Batches of the metadata log.

use bytes::{Bytes, BytesMut};
use protocol::message::Message;
use protocol::messages::{KRaftVersionRecord, LeaderChangeMessage, MetadataRecord, leader_change_message};
use protocol::records::{BatchBuilder, Batches, Compression, ControlType, PureCompressors, control};
use protocol::{LeaderEpoch, NodeId, Offset, WallMs, encode};

use crate::voters::VoterSet;

/// A record's bytes.
pub(crate) fn encode_record(record: &mut MetadataRecord, metadata_version: i16) -> Bytes {
    record.encode(version_of(record, metadata_version)).expect("a decided record fits its version")
}

/// One batch of records by their bytes.
pub(crate) fn of_values(base: Offset, epoch: LeaderEpoch, now: WallMs, values: &[Bytes]) -> Batches {
    let mut builder = BatchBuilder::new(Compression::None).place(base, epoch);
    for value in values {
        builder.push(now, None, Some(value), &[]);
    }
    builder.build_batches(&PureCompressors).expect("nothing is compressed")
}

/// The level of metadata.version (4.3-IV0) that has directories closed to new replicas.
pub const CORDONED_DIRECTORIES: i16 = 30;

/// The version a record is written at: the lowest that can say what it says, as Kafka does, within the metadata.version.
/// Records that every release since 4.0 writes at one version have that.
fn version_of(record: &MetadataRecord, metadata_version: i16) -> i16 {
    match record {
        MetadataRecord::RegisterBroker(_) if metadata_version < CORDONED_DIRECTORIES => 3,
        MetadataRecord::BrokerRegistrationChange(change) if change.cordoned_log_dirs.is_some() => 3,
        MetadataRecord::BrokerRegistrationChange(change) if !change.log_dirs.is_empty() => 2,
        MetadataRecord::BrokerRegistrationChange(change) if change.in_controlled_shutdown != 0 => 1,
        MetadataRecord::BrokerRegistrationChange(_) => 0,
        _ => *record.versions().end(),
    }
}

/// The first batch of an epoch: who leads, by whose votes. `voters` comes with it when the log has no such record yet
/// (KIP-853).
pub(crate) fn leader_change(
    (base, epoch, now): (Offset, LeaderEpoch, WallMs),
    leader: NodeId,
    electorate: &VoterSet,
    granting: &[NodeId],
    voters: Option<&VoterSet>,
) -> Batches {
    let name = |id: NodeId| leader_change_message::Voter { voter_id: id.0, ..Default::default() };
    let mut change = LeaderChangeMessage {
        leader_id: leader.0,
        voters: electorate.iter().map(|voter| name(voter.id)).collect(),
        granting_voters: granting.iter().map(|id| name(*id)).collect(),
        ..LeaderChangeMessage::default()
    };
    let mut records = vec![(ControlType::LeaderChange, value(&mut change))];
    records.extend(voters.into_iter().flat_map(voter_records));
    control::quorum_batch(base, epoch, now, &records)
}

/// Who votes from here on.
pub(crate) fn voters_change(base: Offset, epoch: LeaderEpoch, now: WallMs, voters: &VoterSet) -> Batches {
    let record = (ControlType::KRaftVoters, value(&mut voters.to_record()));
    control::quorum_batch(base, epoch, now, &[record])
}

/// The voters become the log's own.
pub(crate) fn voters_begin(base: Offset, epoch: LeaderEpoch, now: WallMs, voters: &VoterSet) -> Batches {
    control::quorum_batch(base, epoch, now, &voter_records(voters))
}

/// By which version the quorum runs, and who votes.
pub(crate) fn voter_records(voters: &VoterSet) -> [(ControlType, Bytes); 2] {
    let mut version = KRaftVersionRecord { kraft_version: 1, ..KRaftVersionRecord::default() };
    [(ControlType::KRaftVersion, value(&mut version)), (ControlType::KRaftVoters, value(&mut voters.to_record()))]
}

/// A control record's value.
pub(crate) fn value<M: Message>(message: &mut M) -> Bytes {
    let mut out = BytesMut::new();
    encode(message, 0, &mut out).expect("our own control records fit version 0");
    out.freeze()
}
