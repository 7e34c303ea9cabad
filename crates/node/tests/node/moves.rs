//! Replicas that move to other log directories (KIP-113), at every moment of which the node may die.

use node::Event;
use protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::{
    AlterReplicaLogDirsRequest, DeleteRecordsRequest, DescribeLogDirsRequest, IncrementalAlterConfigsRequest,
};
use protocol::{ErrorCode, Offset, RequestBody, ResponseBody, Str};
use storage::memory::{DiskCall, Fault};
use storage::{Cell, DirId, Disk, Store, StoreOp};

use crate::common::{CLIENT, Rig, batch, config, produce};

const DIRS: [(&str, &str); 1] = [("log.dirs", "/a,/b")];
const PATHS: [&str; 2] = ["/a", "/b"];
const SMALL: [(&str, &str); 2] = [("internal.segment.bytes", "300"), ("flush.messages", "1")];

fn alter(rig: &mut Rig, path: &str, topic: &str, partition: i32) -> ErrorCode {
    let topics = vec![AlterReplicaLogDirTopic { name: topic.into(), partitions: vec![partition] }];
    let dirs = vec![AlterReplicaLogDir { path: path.into(), topics }];
    let body = RequestBody::AlterReplicaLogDirs(AlterReplicaLogDirsRequest { dirs });
    let id = rig.send(2, body);
    let Some(ResponseBody::AlterReplicaLogDirs(response)) = rig.answer(id) else { panic!("it is answered at once") };
    let answer = &response.results[0];
    assert_eq!((answer.topic_name.as_str(), answer.partitions[0].partition_index), (topic, partition));
    ErrorCode::from_code(answer.partitions[0].error_code)
}

/// Directory, partition, size, lag, and whether it is a future replica: of each log that DescribeLogDirs names.
fn described(rig: &mut Rig) -> Vec<(Str, i32, i64, i64, bool)> {
    let id = rig.send(3, RequestBody::DescribeLogDirs(DescribeLogDirsRequest { topics: None }));
    let Some(ResponseBody::DescribeLogDirs(response)) = rig.answer(id) else { panic!() };
    let mut logs = Vec::new();
    for dir in response.results {
        for it in dir.topics.into_iter().flat_map(|topic| topic.partitions) {
            logs.push((dir.log_dir.clone(), it.partition_index, it.partition_size, it.offset_lag, it.is_future_key));
        }
    }
    logs
}

/// A node with two directories and a log of several segments in one of them; and the other.
fn loaded() -> (Rig, usize, usize) {
    let mut rig = Rig::with(&DIRS);
    rig.create_topic("t", 1, &SMALL);
    for index in 0..8 {
        assert_eq!(rig.produce("t", 0, -1, batch(&[format!("value {index}").as_str(); 3])), (0, index * 3));
    }
    let from = home(&rig).unwrap();
    (rig, from, 1 - from)
}

/// The folders of replicas, but for those that were given up.
fn folders(rig: &Rig, dir: usize) -> Vec<String> {
    let entries = rig.store.disk().list(DirId(dir as u16), "").unwrap().into_iter().filter(|it| it.is_dir);
    entries.map(|it| it.name).filter(|it| !it.starts_with("__cluster") && !it.ends_with("-delete")).collect()
}

/// The only directory with the log and nothing else of it anywhere.
fn home(rig: &Rig) -> Option<usize> {
    match [folders(rig, 0), folders(rig, 1)] {
        [a, b] if a == ["t-0"] && b.is_empty() => Some(0),
        [a, b] if b == ["t-0"] && a.is_empty() => Some(1),
        _ => None,
    }
}

fn values(rig: &mut Rig) -> Vec<String> {
    let (start, end) = (rig.log("t", 0).log_start.0, rig.log("t", 0).end.0);
    let mut values = Vec::new();
    let mut next = start;
    while next < end {
        let response = rig.fetch("t", 0, next);
        assert_eq!(response.responses[0].partitions[0].error_code, 0);
        let more = rig.values(&response);
        next = more.last().expect("there is more").0 + 1;
        values.extend(more.into_iter().map(|(_, value)| value));
    }
    values
}

#[test]
fn a_replica_moves_under_load() {
    let (mut rig, from, to) = loaded();
    rig.held = true;
    assert_eq!(alter(&mut rig, PATHS[to], "t", 0), ErrorCode::None);
    let logs = described(&mut rig);
    assert_eq!(logs.len(), 2, "{logs:?}");
    assert_eq!(
        (logs[from].4, logs[to].4, logs[to].2, logs[to].3),
        (false, true, 0, 24),
        "nothing is there yet: {logs:?}"
    );
    assert!(rig.store_one());
    let logs = described(&mut rig);
    assert_eq!((logs[to].2, logs[to].3), (logs[from].2, 0), "{logs:?}");
    rig.held = false;
    for index in 8..20 {
        assert_eq!(rig.produce("t", 0, -1, batch(&[format!("value {index}").as_str(); 3])), (0, index * 3));
    }
    rig.advance(1000);
    assert_eq!(home(&rig), Some(to));
    let logs = described(&mut rig);
    assert_eq!(logs.iter().map(|it| (it.0.as_str(), it.4)).collect::<Vec<_>>(), [(PATHS[to], false)]);
    let expected: Vec<String> = (0..60).map(|it| format!("value {}", it / 3)).collect();
    assert_eq!(values(&mut rig), expected);
    assert_eq!(alter(&mut rig, PATHS[to], "t", 0), ErrorCode::None, "it is there already");
    rig.stop();
    let mut rig = rig.restart(&DIRS);
    assert_eq!((home(&rig), values(&mut rig)), (Some(to), expected));
    assert_eq!(rig.log("t", 0).high_watermark, Offset(60));
    // And back.
    assert_eq!(alter(&mut rig, PATHS[from], "t", 0), ErrorCode::None);
    rig.advance(1000);
    assert_eq!((home(&rig), values(&mut rig).len()), (Some(from), 60));
}

/// Kills the node, or cuts its power, before each operation of a move; what was acknowledged is there, and the move goes on.
#[test]
fn a_move_survives_a_crash_before_each_of_its_operations() {
    let (mut first, _, to) = loaded();
    first.held = true;
    assert_eq!(alter(&mut first, PATHS[to], "t", 0), ErrorCode::None);
    let mut moved = 0;
    for steps in 0.. {
        let mut rig = first.clone();
        let is_over = (0..steps).any(|_| !rig.store_one());
        for has_power in [true, false] {
            let mut rig = rig.clone();
            if !has_power {
                rig.store.disk_mut().power_cut();
            }
            rig.held = false;
            let mut rig = rig.restart(&DIRS);
            assert_eq!(values(&mut rig).len(), 24, "{steps} {has_power}");
            assert_eq!(rig.produce("t", 0, -1, batch(&["later"])), (0, 24));
            rig.advance(2000);
            let at = home(&rig);
            assert!(at.is_some(), "{steps} {has_power}: {:?} {:?}", folders(&rig, 0), folders(&rig, 1));
            moved += usize::from(at == Some(to));
            assert_eq!(values(&mut rig).len(), 25);
            // Where the controller has noted it.
            let mut rig = rig.restart(&DIRS);
            assert_eq!((home(&rig), values(&mut rig).len()), (at, 25), "{steps} {has_power}");
        }
        if is_over {
            break;
        }
        assert!(steps < 100);
    }
    assert!(moved > 10, "{moved}");
}

#[test]
fn refusals_are_kafkas() {
    let (mut rig, from, to) = loaded();
    assert_eq!(alter(&mut rig, "/c", "t", 0), ErrorCode::LogDirNotFound);
    assert_eq!(alter(&mut rig, PATHS[to], "t", 1), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(alter(&mut rig, PATHS[to], &"x".repeat(213), 0), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(alter(&mut rig, PATHS[to], &"x".repeat(214), 0), ErrorCode::InvalidTopicException);
    // Replicas that are not there yet go where they are wanted.
    for (topic, dir) in [("u", from), ("v", to)] {
        assert_eq!(alter(&mut rig, PATHS[dir], topic, 0), ErrorCode::UnknownTopicOrPartition);
        rig.create_topic(topic, 1, &[]);
        assert!(
            folders(&rig, dir).contains(&format!("{topic}-0")),
            "{topic} {dir}: {:?} {:?}",
            folders(&rig, 0),
            folders(&rig, 1)
        );
    }
    let mut config = config(&DIRS);
    config.identity.directory_ids[1] = protocol::Uuid::ZERO;
    config.identity.lost = vec![(1, "log directory /b: Input/output error".into())];
    let mut rig = rig.restart_as(config);
    assert_eq!(alter(&mut rig, "/b", "t", 0), ErrorCode::KafkaStorageError);
    let expected = if from == 0 { ErrorCode::None } else { ErrorCode::KafkaStorageError };
    assert_eq!(alter(&mut rig, "/a", "t", 0), expected);
}

fn limit(rig: &mut Rig, bytes: &str) {
    let config = AlterableConfig {
        name: "replica.alter.log.dirs.io.max.bytes.per.second".into(),
        value: Some(bytes.into()),
        ..Default::default()
    };
    let resources = vec![AlterConfigsResource { resource_type: 4, resource_name: "1".into(), configs: vec![config] }];
    let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
    let ResponseBody::IncrementalAlterConfigs(response) = rig.call(1, RequestBody::IncrementalAlterConfigs(request))
    else {
        panic!()
    };
    assert_eq!(response.responses[0].error_code, 0, "{:?}", response.responses[0].error_message);
}

#[test]
fn a_limit_slows_a_move_down_and_a_client_may_change_its_mind() {
    let mut rig = Rig::with(&DIRS);
    rig.create_topic("t", 1, &[]);
    let from = home(&rig).unwrap();
    let to = 1 - from;
    limit(&mut rig, "100000");
    let large = "x".repeat(100_000);
    for _ in 0..100 {
        rig.produce("t", 0, -1, batch(&[&large]));
    }
    assert_eq!(alter(&mut rig, PATHS[to], "t", 0), ErrorCode::None);
    rig.advance(10_000);
    let logs = described(&mut rig);
    let copied = logs.iter().find(|it| it.4).unwrap_or_else(|| panic!("{logs:?} {:?}", rig.events)).2;
    assert!((700_000..1_500_000).contains(&copied), "{copied} bytes in ten seconds");
    // Compaction and a change of mind: to where it is.
    assert_eq!(alter(&mut rig, PATHS[from], "t", 0), ErrorCode::None);
    rig.advance(1000);
    assert_eq!(home(&rig), Some(from));
    assert_eq!(described(&mut rig).len(), 1);
    limit(&mut rig, "100000000");
    assert_eq!(alter(&mut rig, PATHS[to], "t", 0), ErrorCode::None);
    rig.advance(20_000);
    assert_eq!(home(&rig), Some(to));
}

#[test]
fn deleted_records_stay_deleted_wherever_the_log_is() {
    let (mut first, _, to) = loaded();
    first.held = true;
    assert_eq!(alter(&mut first, PATHS[to], "t", 0), ErrorCode::None);
    let mut seen = 0;
    for steps in 0..40 {
        let mut rig = first.clone();
        if (0..steps).any(|_| !rig.store_one()) {
            break;
        }
        rig.held = false;
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 10 }];
        let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
        let id = rig.send(2, RequestBody::DeleteRecords(DeleteRecordsRequest { topics, timeout_ms: 1000 }));
        let Some(answer) = (0..30).find_map(|_| {
            rig.store_one();
            rig.answer(id)
        }) else {
            panic!("it is answered")
        };
        let ResponseBody::DeleteRecords(response) = answer else { panic!() };
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
        rig.store.disk_mut().power_cut();
        let mut rig = rig.restart(&DIRS);
        assert_eq!(rig.log("t", 0).log_start, Offset(10), "{steps}");
        rig.advance(2000);
        assert_eq!((rig.log("t", 0).log_start, home(&rig).is_some()), (Offset(10), true), "{steps}");
        seen += 1;
    }
    assert!(seen > 4, "{seen}");
}

#[test]
fn a_directory_that_fails_ends_the_moves_to_it() {
    for path in ["-future/0", "-future/partition.metadata", "log-start-offset-checkpoint"] {
        let (mut rig, from, to) = loaded();
        if from != 0 {
            // The metadata log's directory is not one of those that may fail.
            assert_eq!(alter(&mut rig, PATHS[to], "t", 0), ErrorCode::None);
            rig.advance(1000);
        }
        rig.store.disk_mut().inject(Fault {
            call: DiskCall::Write,
            path: path.into(),
            after: 0,
            lasting: true,
            full: true,
        });
        assert_eq!(alter(&mut rig, "/b", "t", 0), ErrorCode::None);
        rig.advance(1000);
        let offline = |event: &Event| matches!(event, Event::StorageFailed { what } if what.contains("/b is offline"));
        assert!(rig.events.iter().any(offline), "{path}: {:?}", rig.events);
        assert_eq!(rig.produce("t", 0, -1, batch(&["a"])), (0, 24), "{path}");
        assert_eq!(alter(&mut rig, "/b", "t", 0), ErrorCode::KafkaStorageError);
        rig.store.disk_mut().heal();
        let mut rig = rig.restart(&DIRS);
        assert_eq!(values(&mut rig).len(), 25);
        rig.advance(2000);
        // What there is of the copy is gone on with, if anyone can tell what it is of.
        let is_known = path != "-future/partition.metadata";
        assert_eq!((home(&rig).is_some(), values(&mut rig).len()), (is_known, 25), "{path}");
        assert!(is_known || folders(&rig, 1)[0].ends_with("-stray"));
    }
}

#[test]
fn what_is_nobodys_is_set_aside_at_the_start() {
    let (mut rig, from, to) = loaded();
    rig.stop();
    let disk = rig.store.disk_mut();
    for (dir, folder) in [(0, "gone-2"), (to, "t-7"), (from, "not a log"), (to, "gone-1.abc-future")] {
        disk.create_dir(DirId(dir as u16), folder).unwrap();
    }
    // Twice: a crash between the two steps of a move leaves it so.
    disk.create_dir(DirId(to as u16), "t-0").unwrap();
    let mut rig = rig.restart(&DIRS);
    let mut left = [folders(&rig, 0), folders(&rig, 1)].concat();
    left.sort();
    let zero = "0".repeat(32);
    let stray = |name: &str| format!("{name}.{zero}-stray");
    let mut expected =
        vec![stray("gone-1"), stray("gone-2"), "not a log".into(), "t-0".into(), stray("t-0"), stray("t-7")];
    expected.sort();
    assert_eq!(left, expected);
    assert!(folders(&rig, from).contains(&"t-0".to_owned()));
    let told = rig.events.iter().filter(|it| matches!(it, Event::Warning { what } if what.contains("set aside as")));
    assert_eq!(told.count(), 4);
    assert_eq!(values(&mut rig).len(), 24);
}

/// Whether the next operation notes the log's start in the new directory, which the log moves to then.
fn is_noting(rig: &Rig, to: usize) -> bool {
    let noting = |op: &StoreOp| matches!(op, StoreOp::Put(Cell::LogStarts(DirId(dir)), _) if usize::from(*dir) == to);
    rig.queue.front().is_some_and(|(_, op)| noting(op))
}

/// The log is in the second directory, and the controller has noted the first one; a batch was acknowledged after the last
/// step of the copy. The next operation is the one by which the log moves.
fn about_to_move() -> Rig {
    let (mut rig, from, _) = loaded();
    if from == 0 {
        assert_eq!(alter(&mut rig, "/b", "t", 0), ErrorCode::None);
        rig.advance(1000);
    }
    rig.held = true;
    assert_eq!(alter(&mut rig, "/a", "t", 0), ErrorCode::None);
    while !is_noting(&rig, 0) {
        assert!(rig.store_one());
    }
    let id = rig.send(12, produce("t", 0, -1, batch(&["not in the copy"])));
    while rig.answer(id).is_none() {
        assert!(rig.store_one());
    }
    assert!(matches!(rig.queue.front(), Some((_, StoreOp::Move(_)))), "{:?}", rig.queue);
    rig.held = false;
    rig
}

fn without_the_second() -> node::Config {
    let mut config = config(&DIRS);
    config.identity.directory_ids[1] = protocol::Uuid::ZERO;
    config.identity.lost = vec![(1, "log directory /b: Input/output error".into())];
    config
}

/// The directory that the controller has noted has but the copy, and the other one could not be opened.
#[test]
fn a_copy_does_not_stand_for_a_log_that_is_only_away() {
    let mut rig = about_to_move().restart_as(without_the_second());
    for _ in 0..2 {
        let error = rig.produce("t", 0, -1, batch(&["b"])).0;
        assert_eq!(ErrorCode::from_code(error), ErrorCode::KafkaStorageError);
        // And again, now that the controller knows the replica for lost.
        rig = rig.restart_as(without_the_second());
    }
    // Back again the log is the log, and goes on on its way.
    let mut rig = rig.restart(&DIRS);
    assert_eq!(values(&mut rig).last().map(String::as_str), Some("not in the copy"));
    assert_eq!(rig.produce("t", 0, -1, batch(&["b"])), (0, 25));
    rig.advance(2000);
    assert_eq!((home(&rig), values(&mut rig).len()), (Some(0), 26));
}

/// All directories are there, and the log is in none: its disk was replaced.
#[test]
fn a_copy_stands_for_a_log_that_is_gone() {
    let gone = |rig: &mut Rig| {
        let disk = rig.store.disk_mut();
        for entry in disk.list(DirId(1), "t-0").unwrap() {
            disk.remove(DirId(1), &format!("t-0/{}", entry.name)).unwrap();
        }
        disk.remove_dir(DirId(1), "t-0").unwrap();
    };
    let mut noted = about_to_move();
    gone(&mut noted);
    // Or the controller was told that the replica is lost.
    let mut lost = about_to_move().restart_as(without_the_second());
    gone(&mut lost);
    for rig in [noted, lost] {
        let mut rig = rig.restart(&DIRS);
        assert_eq!(values(&mut rig).len(), 24);
        assert_eq!(rig.produce("t", 0, -1, batch(&["b"])), (0, 24));
        assert_eq!(home(&rig), Some(0));
        let mut rig = rig.restart(&DIRS);
        assert_eq!((home(&rig), values(&mut rig).len()), (Some(0), 25));
    }
}

/// A broker serves what it has, though a copy that should stand for its log is in a directory that fails just then.
#[test]
fn a_copy_that_cannot_stand_for_its_log_holds_nothing_else_up() {
    let (mut rig, from, _) = loaded();
    rig.create_topic("u", 1, &[]);
    if from != 0 {
        assert_eq!(alter(&mut rig, "/a", "t", 0), ErrorCode::None);
        rig.advance(1000);
    }
    assert_eq!(alter(&mut rig, "/a", "u", 0), ErrorCode::None);
    rig.advance(1000);
    rig.held = true;
    assert_eq!(alter(&mut rig, "/b", "t", 0), ErrorCode::None);
    while !is_noting(&rig, 1) {
        assert!(rig.store_one());
    }
    rig.queue.clear();
    rig.held = false;
    let disk = rig.store.disk_mut();
    for entry in disk.list(DirId(0), "t-0").unwrap() {
        disk.remove(DirId(0), &format!("t-0/{}", entry.name)).unwrap();
    }
    disk.remove_dir(DirId(0), "t-0").unwrap();
    let call = DiskCall::Rename;
    disk.inject(Fault { call, path: "-future".into(), after: 0, lasting: true, full: false });
    disk.crash();
    let mut rig = Rig::seeded(config(&DIRS), Store::new(rig.store.into_disk()), 99);
    rig.open(CLIENT);
    rig.run();
    // The controller is told of the directory first.
    rig.advance(5000);
    assert!(rig.events.contains(&Event::Started), "{:?}", rig.events);
    assert_eq!(rig.produce("u", 0, -1, batch(&["a"])), (0, 0));
    let error = rig.produce("t", 0, -1, batch(&["a"])).0;
    assert_eq!(ErrorCode::from_code(error), ErrorCode::KafkaStorageError);
    rig.store.disk_mut().heal();
    let mut rig = rig.restart(&DIRS);
    assert_eq!((values(&mut rig).len(), rig.produce("t", 0, -1, batch(&["b"]))), (24, (0, 24)));
}

/// The controller took the replica for one in the new directory, which works, and left it the leader.
#[test]
fn the_controller_learns_of_a_directory_that_fails_while_its_logs_move_away() {
    let mut rig = about_to_move();
    let write = Fault { call: DiskCall::Write, path: "t-0/".into(), after: 0, lasting: true, full: false };
    rig.store.disk_mut().inject(write);
    // What was to move fails before that.
    let (_, _move) = rig.queue.pop_front().unwrap();
    rig.send(12, produce("t", 0, 1, batch(&["b"])));
    rig.advance(1000);
    let view = rig.view();
    let partition = &view.topics[0].partitions[0];
    assert_eq!((partition.is_offline, partition.leader), (true, None));
    rig.store.disk_mut().heal();
    let mut rig = rig.restart(&DIRS);
    assert_eq!(values(&mut rig).len(), 25);
}

#[test]
fn the_controller_learns_of_a_log_that_cannot_be_moved() {
    let mut rig = about_to_move();
    let noted = |rig: &Rig| rig.node.image().topic("t").unwrap().partitions[&0].directories[0];
    let ids = config(&DIRS).identity.directory_ids;
    assert_eq!(noted(&rig), ids[0]);
    let last = rig.store.disk().files().into_iter().filter(|it| it.1.starts_with("t-0/") && it.1.ends_with(".log"));
    let last = last.map(|it| it.1).max().unwrap();
    assert!(rig.store.disk_mut().rot(last.strip_prefix("t-0").unwrap(), 10) > 0);
    rig.advance(1000);
    let said = |event: &Event| matches!(event, Event::Warning { what } if what.contains("cannot be copied"));
    assert!(rig.events.iter().any(said), "{:?}", rig.events);
    assert_eq!((noted(&rig), folders(&rig, 1)), (ids[1], vec!["t-0".to_owned()]));
}

/// A log of large batches.
fn large() -> (Rig, usize, usize) {
    let mut rig = Rig::with(&DIRS);
    rig.create_topic("t", 1, &[("segment.bytes", "1048576")]);
    let from = home(&rig).unwrap();
    let large = "x".repeat(500_000);
    for _ in 0..30 {
        assert_eq!(rig.produce("t", 0, 1, batch(&[&large])).0, 0);
    }
    (rig, from, 1 - from)
}

/// A copy of the oldest segments says nothing of the others: the log's lane would wait for all of them.
#[test]
fn what_is_deleted_meanwhile_does_not_count_as_copied() {
    let (mut rig, from, to) = large();
    limit(&mut rig, "1000000");
    assert_eq!(alter(&mut rig, PATHS[to], "t", 0), ErrorCode::None);
    rig.advance(6000);
    let copied = described(&mut rig).iter().find(|it| it.4).unwrap().2;
    assert!((5_500_000..8_000_000).contains(&copied), "{copied}");
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 12 }];
    let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
    rig.call(2, RequestBody::DeleteRecords(DeleteRecordsRequest { topics, timeout_ms: 1000 }));
    rig.advance(1000);
    assert_eq!(folders(&rig, from), ["t-0"], "more than four megabytes are missing");
    assert!(folders(&rig, to)[0].ends_with("-future"));
    rig.advance(10_000);
    assert_eq!((home(&rig), rig.log("t", 0).log_start, values(&mut rig).len()), (Some(to), Offset(12), 18));
}

#[test]
fn a_log_that_grew_too_much_before_it_moved_is_copied_on() {
    let (mut rig, _, to) = large();
    rig.held = true;
    assert_eq!(alter(&mut rig, PATHS[to], "t", 0), ErrorCode::None);
    while !is_noting(&rig, to) {
        assert!(rig.store_one());
    }
    let large = "x".repeat(500_000);
    let before = rig.log("t", 0).end.0;
    for _ in 0..34 {
        rig.send(12, produce("t", 0, 1, batch(&[&large])));
    }
    while !matches!(rig.queue.front(), Some((_, StoreOp::Move(_)))) {
        assert!(rig.store_one());
    }
    assert!(rig.store_one());
    assert!(folders(&rig, to)[0].ends_with("-future"), "the lane does not wait for that much");
    rig.held = false;
    rig.advance(2000);
    assert_eq!((home(&rig), values(&mut rig).len() as i64), (Some(to), before + 34));
}
