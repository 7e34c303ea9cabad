//! What a coordinator makes of a log that another Kafka wrote, or that was damaged: it serves every group that it can read.

use bytes::Bytes;
use node::Event;
use protocol::message::{encode_typed, encode_versioned};
use protocol::messages::*;
use protocol::records::control::EndTransaction;
use protocol::records::{self, BatchBuilder, Compression, PureCompressors};
use protocol::{ProducerEpoch, ProducerId, RequestBody, ResponseBody, WallMs};
use storage::{DirId, Disk};

use crate::common::{EPOCH, Rig, batch};
use crate::members::*;

/// Types of records, the two bytes before a key.
const OFFSET_COMMIT: i16 = 1;
const SHARE_GROUP: i16 = 11;
const OF_THE_FUTURE: i16 = 99;

type KeyValue = (Option<Bytes>, Option<Bytes>);

/// That a group has committed an offset of a partition of `t`, as Kafka writes it.
fn committed_offset(group: &str, partition: i32, offset: i64) -> KeyValue {
    let mut key = OffsetCommitKey { group: text(group), topic: text("t"), partition };
    let mut value = OffsetCommitValue { offset, commit_timestamp: EPOCH, ..OffsetCommitValue::default() };
    (Some(encode_typed(&mut key, OFFSET_COMMIT, 0).unwrap()), Some(encode_versioned(&mut value, 3).unwrap()))
}

fn built(mut builder: BatchBuilder, records: &[KeyValue]) -> Bytes {
    for (key, value) in records {
        builder.push(WallMs(EPOCH), key.as_deref(), value.as_deref(), &[]);
    }
    builder.build(&PureCompressors).unwrap()
}

fn plain(records: &[KeyValue]) -> Bytes {
    built(BatchBuilder::new(Compression::None), records)
}

fn in_transaction(producer: i64, sequence: i32, records: &[KeyValue]) -> Bytes {
    let builder = BatchBuilder::new(Compression::None).transactional();
    built(builder.producer(ProducerId(producer), ProducerEpoch(0), sequence), records)
}

fn end(producer: i64, committed: bool) -> Bytes {
    let marker = EndTransaction { committed, coordinator_epoch: 0 };
    marker.batch(ProducerId(producer), ProducerEpoch(0), WallMs(EPOCH)).to_bytes()
}

/// A new process on this disk, on which somebody else has written these batches behind what is in a partition of the offsets.
fn restarted_with(mut rig: Rig, partition: u32, batches: Vec<Bytes>, settings: &[(&str, &str)]) -> Rig {
    rig.stop();
    let mut disk = rig.store.into_disk();
    let path = format!("__consumer_offsets-{partition}/{:020}.log", 0);
    let file = disk.open(DirId(0), &path, true).unwrap();
    let mut at = disk.len(&file).unwrap();
    let there = disk.read_at(&file, 0, at as usize).unwrap();
    let last = records::read(&there, &PureCompressors).last().map(|it| it.unwrap().0);
    let mut next = last.as_ref().map_or(0, |it| it.next_offset().0);
    for batch in batches {
        // Neither offset nor epoch is under the checksum.
        let mut bytes = batch.to_vec();
        let count = i64::from(i32::from_be_bytes(bytes[23..27].try_into().unwrap())) + 1;
        bytes[..8].copy_from_slice(&next.to_be_bytes());
        bytes[12..16].copy_from_slice(&last.as_ref().map_or(0, |it| it.leader_epoch.0).to_be_bytes());
        disk.write_at(&file, at, &[Bytes::from(bytes.clone())]).unwrap();
        at += bytes.len() as u64;
        next += count;
    }
    disk.sync(&file).unwrap();
    disk.close(file);
    rig.store = storage::Store::new(disk);
    let mut rig = rig.restart(settings);
    rig.run();
    rig
}

fn warnings(rig: &Rig) -> Vec<String> {
    let said =
        rig.events.iter().filter_map(|it| if let Event::Warning { what } = it { Some(what.clone()) } else { None });
    said.collect()
}

/// What a group has committed of partitions 0, 1 and 2, or why it is not told.
fn offsets_of(rig: &mut Rig, group: &str) -> Result<Vec<i64>, ErrorCode> {
    let mut request = fetch_request(&[0, 1, 2], true);
    request.groups[0].group_id = text(group);
    let ResponseBody::OffsetFetch(response) = rig.call(9, RequestBody::OffsetFetch(request)) else { panic!() };
    let group = &response.groups[0];
    match error(group.error_code) {
        ErrorCode::None => Ok(group.topics[0].partitions.iter().map(|it| it.committed_offset).collect()),
        code => Err(code),
    }
}

#[test]
fn records_that_cannot_be_read_are_passed_over_and_transactions_count_from_their_commit_on() {
    const ONE: &[(&str, &str)] = &[("offsets.topic.num.partitions", "1")];
    let mut rig = start_with(ONE);
    assert_eq!(commit(&mut rig, "", -1, 0, 5), ErrorCode::None);
    let share = encode_typed(&mut ConsumerGroupMetadataKey { group_id: text("s") }, SHARE_GROUP, 0).unwrap();
    let (bad_key, bad_value) = (Bytes::from_static(&[0, 1, 0, 9]), Bytes::from_static(&[0, 77]));
    let future = Bytes::from(OF_THE_FUTURE.to_be_bytes().to_vec());
    let mixed = [
        (committed_offset("g", 0, 9).0, Some(bad_value.clone())),
        (Some(bad_key), None),
        (Some(future), Some(bad_value.clone())),
        (Some(share), Some(bad_value)),
        (None, None),
        committed_offset("h", 0, 11),
    ];
    let batches = vec![
        plain(&mixed),
        in_transaction(7, 0, &[committed_offset("g", 1, 20)]),
        in_transaction(8, 0, &[committed_offset("g", 0, 99), committed_offset("g", 2, 31)]),
        in_transaction(7, 1, &[committed_offset("g", 1, 21)]),
        end(8, false),
        end(7, true),
        in_transaction(9, 0, &[committed_offset("g", 2, 41), committed_offset("only", 0, 1)]),
    ];
    let mut rig = restarted_with(rig, 0, batches, ONE);
    let said = warnings(&rig);
    assert_eq!(said.iter().filter(|it| it.contains("is passed over")).count(), 2, "{said:?}");
    assert_eq!(
        offsets_of(&mut rig, "g"),
        Ok(vec![5, 21, -1]),
        "the first as before, one committed, one aborted or open"
    );
    assert_eq!(offsets_of(&mut rig, "h"), Ok(vec![11, -1, -1]));
    assert_eq!(offsets_of(&mut rig, "only"), Ok(vec![-1, -1, -1]), "of a transaction that has not ended");
    // All of them go on, and there is no room for another group where one of another protocol is.
    let (one, two, generation) = two_members(&mut rig);
    assert_eq!(heartbeat(&mut rig, &one, generation), ErrorCode::None);
    assert_eq!(commit(&mut rig, &two, generation, 2, 42), ErrorCode::None);
    assert_eq!(offsets_of(&mut rig, "g"), Ok(vec![5, 21, 42]));
    let share = JoinGroupRequest { group_id: text("s"), ..join_request("") };
    let refused = joined(Some(rig.call(9, RequestBody::JoinGroup(share))));
    assert_eq!(error(refused.error_code), ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn a_log_that_does_not_hold_together_costs_its_own_groups_alone() {
    const TWO: &[(&str, &str)] = &[("offsets.topic.num.partitions", "2")];
    let mut rig = start_with(TWO);
    assert_eq!(commit(&mut rig, "", -1, 0, 5), ErrorCode::None, "g is in partition 1");
    // Its checksum is right, as of bytes that were wrong when they were written.
    let mut garbage = built(BatchBuilder::new(Compression::Gzip), &[committed_offset("h", 0, 11)]).to_vec();
    garbage[61..].fill(0xa5);
    let crc = records::crc32c(&garbage[21..]);
    garbage[17..21].copy_from_slice(&crc.to_be_bytes());
    let mut rig = restarted_with(rig, 0, vec![batch(&["x"]), garbage.into()], TWO);
    let said = warnings(&rig);
    assert!(said.iter().any(|it| it.starts_with("loading groups of __consumer_offsets-0: ")), "{said:?}");
    assert!(said.iter().any(|it| it.starts_with("the groups of __consumer_offsets-0 are not served")), "{said:?}");
    assert_eq!(offsets_of(&mut rig, "h"), Err(ErrorCode::NotCoordinator));
    assert_eq!(offsets_of(&mut rig, "g"), Ok(vec![5, -1, -1]));
    let (one, _, generation) = two_members(&mut rig);
    assert_eq!(commit(&mut rig, &one, generation, 0, 6), ErrorCode::None);
}
