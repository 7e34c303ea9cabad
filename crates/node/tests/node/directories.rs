//! Several log directories: one that is lost is not all lost.

use node::{Event, Input};
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{DeleteRecordsRequest, DeleteTopicsRequest, DescribeLogDirsRequest, ListOffsetsRequest};
use protocol::records::Records;
use protocol::{Offset, RequestBody, ResponseBody, Uuid};
use storage::memory::{DiskCall, Fault};
use storage::{DirId, Disk, LogId, StoreError, log_of};

use crate::common::{self, Rig, batch, config};

const DIRS: [(&str, &str); 1] = [("log.dirs", "/a,/b")];
const STORAGE_ERROR: i16 = 56;

/// A node with two directories and six partitions, one record in each; and those in the second directory.
fn two_directories() -> (Rig, Vec<i32>) {
    let mut rig = Rig::with(&DIRS);
    rig.create_topic("t", 6, &[]);
    for partition in 0..6 {
        assert_eq!(rig.produce("t", partition, -1, batch(&["a"])), (0, 0));
    }
    let files = rig.store.disk().files();
    let is_there = |partition: &i32| {
        files.iter().any(|(dir, path, _)| *dir == DirId(1) && path.starts_with(&format!("t-{partition}/")))
    };
    let second: Vec<i32> = (0..6).filter(is_there).collect();
    assert!(!second.is_empty() && second.len() < 6, "both directories are used: {second:?}");
    (rig, second)
}

/// Starts a node whose second directory could not be opened.
fn without_the_second(rig: Rig) -> Rig {
    let mut config = config(&DIRS);
    config.identity.directory_ids[1] = Uuid::ZERO;
    config.identity.lost = vec![(1, "log directory /b: Input/output error".into())];
    rig.restart_as(config)
}

#[test]
fn a_node_starts_without_a_directory_and_finds_it_again() {
    let (rig, second) = two_directories();
    let mut rig = without_the_second(rig);
    assert!(rig.events.contains(&Event::Started), "{:?}", rig.events);
    let said = |event: &Event| matches!(event, Event::StorageFailed { what } if what.contains("/b"));
    assert!(rig.events.iter().any(said));
    for partition in 0..6 {
        let (error, _) = rig.produce("t", partition, -1, batch(&["b"]));
        assert_eq!(error, if second.contains(&partition) { STORAGE_ERROR } else { 0 }, "{partition}");
    }
    // New replicas go where there is a directory.
    rig.create_topic("new", 4, &[]);
    for partition in 0..4 {
        assert_eq!(rig.produce("new", partition, -1, batch(&["n"])), (0, 0));
    }
    let ResponseBody::DescribeLogDirs(described) =
        rig.call(1, RequestBody::DescribeLogDirs(DescribeLogDirsRequest::default()))
    else {
        panic!()
    };
    let errors: Vec<_> = described.results.iter().map(|it| (it.log_dir.as_str(), it.error_code)).collect();
    assert_eq!(errors, [("/a", 0), ("/b", STORAGE_ERROR)]);
    // The controller was told that these replicas are lost. Back again they are found where they are.
    for _ in 0..2 {
        rig = rig.restart(&DIRS);
        for partition in 0..6 {
            let records = if second.contains(&partition) { 1 } else { 2 };
            assert_eq!(rig.log("t", partition as usize).end, Offset(records), "{partition}");
        }
        assert_eq!(rig.log("new", 0).end, Offset(1));
    }
    for partition in 0..6 {
        assert_eq!(rig.produce("t", partition, -1, batch(&["c"])).0, 0, "{partition}");
    }
}

#[test]
fn a_topic_can_be_deleted_without_its_directory() {
    let (rig, _) = two_directories();
    let mut rig = without_the_second(rig);
    let request = DeleteTopicsRequest { topic_names: vec!["t".into()], timeout_ms: 1000, ..Default::default() };
    let ResponseBody::DeleteTopics(response) = rig.call(5, RequestBody::DeleteTopics(request)) else { panic!() };
    assert_eq!(response.responses[0].error_code, 0);
    rig.create_topic("t", 2, &[]);
    assert_eq!(rig.produce("t", 0, -1, batch(&["b"])), (0, 0));
    assert!(!rig.stopped);
}

fn unreadable(path: &str) -> Fault {
    Fault { call: DiskCall::Read, path: path.to_owned(), after: 0, lasting: true, full: false }
}

fn failed_with(rig: &Rig, what: &str) -> bool {
    rig.events.iter().any(|it| matches!(it, Event::Failed { what: said } if said.contains(what)))
}

/// A node, and a partition of it of whose batches the oldest are looked up on the disk.
fn with_old_batches(mut rig: Rig, partition: i32) -> Rig {
    for _ in 0..5000 {
        assert_eq!(rig.produce("t", partition, 1, batch(&["x"])).0, 0);
    }
    rig
}

/// What an answer names of a log.
fn log_in(rig: &mut Rig, partition: i32) -> LogId {
    let response = rig.fetch("t", partition, 0);
    let Some(Records::Regions(regions)) = &response.responses[0].partitions[0].records else { panic!() };
    log_of(regions[0].file)
}

fn assert_second_is_lost(rig: &mut Rig, second: &[i32]) {
    let said = |event: &Event| matches!(event, Event::StorageFailed { what } if what.contains("/b"));
    assert_eq!(rig.events.iter().filter(|it| said(it)).count(), 1, "once: {:?}", rig.events);
    for partition in 0..6 {
        let expected = if second.contains(&partition) { STORAGE_ERROR } else { 0 };
        assert_eq!(rig.produce("t", partition, -1, batch(&["b"])).0, expected, "{partition}");
        let response = rig.fetch("t", partition, 0);
        assert_eq!(response.responses[0].partitions[0].error_code, expected, "{partition}");
    }
    assert!(!rig.stopped);
}

#[test]
fn a_look_up_that_the_disk_refuses_costs_the_directory() {
    let (rig, second) = two_directories();
    let mut rig = with_old_batches(rig, second[0]);
    rig.store.disk_mut().inject(unreadable(&format!("t-{}/", second[0])));
    let response = rig.fetch("t", second[0], 7);
    assert_eq!(response.responses[0].partitions[0].error_code, STORAGE_ERROR);
    assert_second_is_lost(&mut rig, &second);
}

#[test]
fn a_look_up_by_time_that_the_disk_refuses_costs_the_directory() {
    let (rig, second) = two_directories();
    let mut rig = with_old_batches(rig, second[0]);
    rig.store.disk_mut().inject(unreadable(&format!("t-{}/", second[0])));
    let asked = ListOffsetsPartition { partition_index: second[0], timestamp: 0, ..Default::default() };
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions: vec![asked] }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    let ResponseBody::ListOffsets(response) = rig.call(7, RequestBody::ListOffsets(request)) else { panic!() };
    assert_eq!(response.topics[0].partitions[0].error_code, STORAGE_ERROR);
    assert_second_is_lost(&mut rig, &second);
}

#[test]
fn bytes_that_the_disk_refuses_to_send_cost_the_directory() {
    let (mut rig, second) = two_directories();
    let log = log_in(&mut rig, second[0]);
    // A file that was deleted meanwhile is nobody's fault, and neither is one of a log that is gone.
    rig.input(Input::Unreadable(log, StoreError::Missing));
    rig.input(Input::Unreadable(LogId(999), StoreError::Io("bad sector".into())));
    assert_eq!(rig.produce("t", second[0], -1, batch(&["b"])).0, 0);
    rig.input(Input::Unreadable(log, StoreError::Io("bad sector".into())));
    assert_second_is_lost(&mut rig, &second);
}

#[test]
fn a_node_whose_only_directory_cannot_be_read_stops() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let mut rig = with_old_batches(rig, 0);
    let mut other = rig.clone();
    rig.store.disk_mut().inject(unreadable("t-0/"));
    rig.send(12, RequestBody::Fetch(common::fetch("t", 0, 7)));
    rig.run();
    assert!(rig.stopped && failed_with(&rig, "input/output error"), "{:?}", rig.events.last());
    // Its metadata are in a log like any other.
    other.input(Input::Unreadable(LogId(0), StoreError::Io("bad sector".into())));
    assert!(other.stopped && failed_with(&other, "bad sector"), "{:?}", other.events.last());
}

/// What DeleteRecords wrote down of one log was all that was known of any other that could not be mounted.
#[test]
fn the_start_of_a_refused_log_is_not_forgotten() {
    let mut rig = Rig::start();
    rig.create_topic("t", 2, &[("flush.messages", "1")]);
    let delete = |rig: &mut Rig, partition_index: i32, offset: i64| {
        let partitions = vec![DeleteRecordsPartition { partition_index, offset }];
        let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
        let request = DeleteRecordsRequest { topics, timeout_ms: 1000 };
        let ResponseBody::DeleteRecords(response) = rig.call(2, RequestBody::DeleteRecords(request)) else { panic!() };
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
    };
    for partition in 0..2 {
        rig.produce("t", partition, -1, batch(&["a"; 6]));
    }
    delete(&mut rig, 0, 4);
    rig.advance(10_000);
    // Nobody can tell whose it is.
    let path = "t-0/partition.metadata";
    let disk = rig.store.disk_mut();
    let file = disk.open(DirId(0), path, false).unwrap();
    let good = disk.read_at(&file, 0, 1000).unwrap();
    disk.write_at(&file, 0, &[bytes::Bytes::from_static(b"version: 0\ntopic_id? AAAAAAAAAAAAAAAAAAAAAg")]).unwrap();
    disk.sync(&file).unwrap();
    let mut rig = rig.restart(&[]);
    assert_eq!(rig.produce("t", 0, -1, batch(&["b"])).0, STORAGE_ERROR);
    delete(&mut rig, 1, 3);
    rig.advance(10_000);
    rig.stop();
    let disk = rig.store.disk_mut();
    let file = disk.open(DirId(0), path, false).unwrap();
    disk.set_len(&file, 0).unwrap();
    disk.write_at(&file, 0, &[good]).unwrap();
    let rig = rig.restart(&[]);
    assert_eq!((rig.log("t", 0).log_start, rig.log("t", 0).end), (Offset(4), Offset(6)));
    assert_eq!(rig.log("t", 1).log_start, Offset(3));
}

/// The only directory for replicas has another id: its disk was replaced, or restored by who formatted it. The controller knows
/// the replicas in one that is gone, and nobody leads with those, so it is told where they are.
#[test]
fn the_only_directory_may_be_another_one() {
    const ALONE: [(&str, &str); 2] = [("log.dirs", "/data"), ("metadata.log.dir", "/meta")];
    for is_empty in [false, true] {
        let mut rig = Rig::with(&ALONE);
        rig.create_topic("t", 2, &[]);
        for partition in 0..2 {
            assert_eq!(rig.produce("t", partition, -1, batch(&["a"])), (0, 0));
        }
        rig.stop();
        if is_empty {
            for partition in 0..2 {
                rig.store
                    .disk_mut()
                    .rename(DirId(0), &format!("t-{partition}"), &format!("elsewhere{partition}"))
                    .unwrap();
            }
        }
        let mut other = config(&ALONE);
        other.identity.directory_ids[0] = Uuid::from_random([9; 16]);
        other.identity.stops_differ = is_empty;
        let end = if is_empty { 0 } else { 1 };
        let mut rig = rig.restart_as(other.clone());
        for partition in 0..2 {
            assert_eq!(rig.produce("t", partition, -1, batch(&["b"])), (0, end), "empty: {is_empty}");
        }
        let mut rig = rig.restart_as(other);
        for partition in 0..2 {
            assert_eq!(rig.produce("t", partition, -1, batch(&["c"])), (0, end + 1));
        }
    }
}
