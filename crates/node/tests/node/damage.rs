//! What a start says of data that was on disk and is not what it was.

use node::Event;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::{DeleteRecordsRequest, DeleteTopicsRequest, FeatureLevelRecord, UserScramCredentialRecord};
use protocol::{MetadataRecord, Offset, RequestBody, WallMs};
use storage::{DirId, Disk, MemoryDisk, Store};

use crate::common::{Rig, batch, config};

fn metadata_path() -> &'static str {
    "__cluster_metadata-0/00000000000000000000.log"
}

/// What a start on this disk says when it does not come to serve.
fn refusal(rig: Rig) -> String {
    let mut disk = rig.store.into_disk();
    disk.crash();
    let mut rig = Rig::cold(config(&[]), Store::new(disk));
    rig.run();
    assert!(rig.stopped && !rig.events.contains(&Event::Started));
    let said = rig.events.iter().find_map(|it| if let Event::Failed { what } = it { Some(what.clone()) } else { None });
    said.unwrap_or_else(|| panic!("it says nothing: {:?}", rig.events))
}

#[test]
fn a_damaged_metadata_log_is_refused_after_any_crash() {
    let mut rig = Rig::start();
    let length = |rig: &Rig| {
        let files = rig.store.disk().files();
        files.iter().find(|(_, path, _)| path == metadata_path()).map_or(0, |(_, _, bytes)| bytes.len() as u64)
    };
    let noted = length(&rig);
    for name in ["a", "b", "c"] {
        rig.create_topic(name, 1, &[]);
    }
    let hurt = |at: u64, len: Option<u64>| {
        let mut rig = rig.clone();
        let disk = rig.store.disk_mut();
        let file = disk.open(DirId(0), metadata_path(), false).unwrap();
        match len {
            Some(len) => disk.set_len(&file, len).unwrap(),
            None => disk.write_at(&file, at, &[bytes::Bytes::from_static(b"\xfe")]).unwrap(),
        }
        rig
    };
    let said = refusal(hurt(200, None));
    assert!(said.contains("restore it") && said.contains(metadata_path()), "{said}");
    // Above what the last checkpoint has noted.
    let said = refusal(hurt(noted + 70, None));
    assert!(said.contains("good batches follow") && said.contains(&format!("truncate -s {noted}")), "{said}");
    let said = refusal(hurt(0, Some(0)));
    assert!(said.contains(metadata_path()) && said.contains("was on disk"), "{said}");
    // A tail that may never have been on disk is cut, and told of.
    let torn = hurt(0, Some(length(&rig) - 1)).restart(&[]);
    assert!(torn.events.iter().any(|it| matches!(it, Event::Warning { what } if what.contains("cut off"))));
}

/// Apache Kafka's storage tool can format a directory with what this version does not know.
#[test]
fn records_that_are_not_known_are_refused_in_a_line() {
    let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 25 };
    let known: Vec<MetadataRecord> = vec![feature.into()];
    let scram =
        UserScramCredentialRecord { name: "alice".into(), mechanism: 1, iterations: 4096, ..Default::default() };
    let unknown = [known.clone(), vec![scram.into()]].concat();
    let begun = |records: Vec<MetadataRecord>| {
        let mut disk = MemoryDisk::new();
        let file = disk.open(DirId(0), "bootstrap.checkpoint", true).unwrap();
        disk.write_at(&file, 0, &[quorum::bootstrap_checkpoint(WallMs(0), records)]).unwrap();
        disk.sync(&file).unwrap();
        disk.sync_dir(DirId(0), "").unwrap();
        let mut rig = Rig::cold(config(&[]), Store::new(disk));
        rig.run();
        rig
    };
    let said = |rig: &Rig| {
        let failed = rig.events.iter().find(|it| matches!(it, Event::Failed { .. }));
        failed.map(|it| if let Event::Failed { what } = it { what.clone() } else { String::new() })
    };
    assert!(begun(known).events.contains(&Event::Started));
    let mut rig = begun(unknown);
    for _ in 0..2 {
        let line = said(&rig).expect("it is refused");
        assert!(rig.stopped && line.starts_with("bootstrap.checkpoint in ") && line.contains("Scram"), "{line}");
        let mut disk = rig.store.into_disk();
        disk.crash();
        rig = Rig::cold(config(&[]), Store::new(disk));
        rig.run();
    }
}

/// The log is not begun, so that the version that formatted it still can.
#[test]
fn a_beginning_of_a_later_version_is_refused_in_a_line() {
    let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 31 };
    let mut disk = MemoryDisk::new();
    let file = disk.open(DirId(0), "bootstrap.checkpoint", true).unwrap();
    disk.write_at(&file, 0, &[quorum::bootstrap_checkpoint(WallMs(0), vec![feature.into()])]).unwrap();
    disk.sync(&file).unwrap();
    disk.sync_dir(DirId(0), "").unwrap();
    let mut rig = Rig::cold(config(&[]), Store::new(disk));
    rig.run();
    let failed = |it: &Event| matches!(it, Event::Failed { what } if what.contains("bootstrap.checkpoint: it is written at metadata.version 31, of a later Apache Kafka"));
    assert!(rig.stopped && rig.events.iter().any(failed), "{:?}", rig.events);
    let files = rig.store.disk().files();
    assert!(files.iter().all(|(_, path, bytes)| !path.ends_with(".log") || bytes.is_empty()), "{files:?}");
}

#[test]
fn a_lost_segment_is_a_warning() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[("flush.messages", "1")]);
    rig.produce("t", 0, -1, batch(&["a"; 6]));
    rig.stop();
    rig.store.disk_mut().remove(DirId(0), "t-0/00000000000000000000.log").unwrap();
    rig.store.disk_mut().sync_dir(DirId(0), "t-0").unwrap();
    let rig = rig.restart(&[]);
    let warnings: Vec<&Event> = rig.events.iter().filter(|it| matches!(it, Event::Warning { .. })).collect();
    assert!(
        matches!(&warnings[..], [Event::Warning { what }] if what.contains("t-0/") && what.contains("below offset 6")),
        "{warnings:?}"
    );
}

#[test]
fn checkpoints_do_not_speak_of_a_topic_that_is_gone() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.produce("t", 0, -1, batch(&["a"; 6]));
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 6 }];
    let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
    let request = DeleteRecordsRequest { topics, timeout_ms: 1000 };
    rig.call(2, RequestBody::DeleteRecords(request));
    rig.advance(10_000);
    let request = DeleteTopicsRequest { topic_names: vec!["t".into()], timeout_ms: 1000, ..Default::default() };
    rig.call(5, RequestBody::DeleteTopics(request));
    rig.create_topic("t", 1, &[]);
    // Killed before the next checkpoint.
    let mut rig = rig.restart(&[]);
    assert_eq!(rig.log("t", 0).log_start, Offset(0));
    assert_eq!(rig.produce("t", 0, -1, batch(&["x"])), (0, 0));
    assert!(!rig.events.iter().any(|it| matches!(it, Event::Warning { .. })), "{:?}", rig.events);
}
