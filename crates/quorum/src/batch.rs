//! Batches of the metadata log.

use bytes::{Bytes, BytesMut};
use protocol::message::Message;
use protocol::messages::{
    KRaftVersionRecord, LeaderChangeMessage, MetadataRecord, VotersRecord, leader_change_message, voters_record,
};
use protocol::records::{BatchBuilder, Batches, Compression, ControlType, PureCompressors, control};
use protocol::{LeaderEpoch, Offset, WallMs, encode};

use crate::voters::Voter;

/// One batch with all records of a decision, and the records with their offsets.
pub(crate) fn of_records(
    base: Offset,
    epoch: LeaderEpoch,
    now: WallMs,
    records: Vec<MetadataRecord>,
    metadata_version: i16,
) -> (Batches, Vec<(Offset, MetadataRecord)>) {
    let mut builder = BatchBuilder::new(Compression::None).place(base, epoch);
    let mut placed = Vec::with_capacity(records.len());
    for (index, mut record) in records.into_iter().enumerate() {
        let value = record.encode(version_of(&record, metadata_version)).expect("a decided record fits its version");
        builder.push(now, None, Some(&value), &[]);
        placed.push((base.plus(index as i64), record));
    }
    (builder.build_batches(&PureCompressors).expect("nothing is compressed"), placed)
}

/// The level of metadata.version (4.3-IV0) that has directories closed to new replicas.
const CORDONED_DIRECTORIES: i16 = 30;

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

/// The first batch of an epoch. In an empty log it also says by which version the quorum runs and who votes (KIP-853).
pub(crate) fn leader_change(base: Offset, epoch: LeaderEpoch, now: WallMs, voter: &Voter, is_empty: bool) -> Batches {
    let this = || vec![leader_change_message::Voter { voter_id: voter.id.0, ..Default::default() }];
    let mut change = LeaderChangeMessage {
        leader_id: voter.id.0,
        voters: this(),
        granting_voters: this(),
        ..LeaderChangeMessage::default()
    };
    let mut records = vec![(ControlType::LeaderChange, value(&mut change))];
    if is_empty {
        let mut version = KRaftVersionRecord { kraft_version: 1, ..KRaftVersionRecord::default() };
        records.push((ControlType::KRaftVersion, value(&mut version)));
        records.push((ControlType::KRaftVoters, value(&mut voters(voter))));
    }
    control::quorum_batch(base, epoch, now, &records)
}

fn voters(voter: &Voter) -> VotersRecord {
    let endpoints = voter.endpoints.iter().map(|(name, host, port)| voters_record::Endpoint {
        name: name.clone(),
        host: host.clone(),
        port: *port,
    });
    let range = voters_record::KRaftVersionFeature { min_supported_version: 0, max_supported_version: 1 };
    let voter = voters_record::Voter {
        voter_id: voter.id.0,
        voter_directory_id: voter.directory_id,
        endpoints: endpoints.collect(),
        kraft_version_feature: range,
    };
    VotersRecord { voters: vec![voter], ..VotersRecord::default() }
}

fn value<M: Message>(message: &mut M) -> Bytes {
    let mut out = BytesMut::new();
    encode(message, 0, &mut out).expect("our own control records fit version 0");
    out.freeze()
}
