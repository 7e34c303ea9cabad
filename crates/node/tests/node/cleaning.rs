//! Compaction, from when a log is dirty enough to what a reader finds.

use node::Event;
use protocol::messages::DeleteTopicsRequest;
use protocol::records::{BatchBuilder, Compression, PureCompressors, Record, read};
use protocol::{Offset, RequestBody};
use storage::memory::{DiskCall, Fault};
use storage::{Cell, StoreOp};

use crate::common::{self, Rig};

/// A topic whose every batch gets a segment of its own.
const COMPACTED: &[(&str, &str)] = &[("cleanup.policy", "compact"), ("internal.segment.bytes", "100")];

fn produce(rig: &mut Rig, key: &str, value: Option<&str>) {
    produce_to(rig, "orders", key, value);
}

fn produce_to(rig: &mut Rig, topic: &str, key: &str, value: Option<&str>) {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(rig.wall, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    let batch = builder.build(&PureCompressors).unwrap();
    assert_eq!(rig.produce(topic, 0, 1, batch).0, 0);
}

/// Offset, key and value of all records, read as a consumer reads them.
fn records(rig: &mut Rig) -> Vec<(i64, String, Option<String>)> {
    let mut found = Vec::new();
    let mut next = rig.log("orders", 0).log_start.0;
    loop {
        let answer = rig.fetch("orders", 0, next);
        let bytes = rig.resolve(&answer.responses[0].partitions[0].records);
        if bytes.is_empty() {
            return found;
        }
        for batch in read(&bytes, &PureCompressors) {
            let (head, records) = batch.unwrap();
            next = head.next_offset().0;
            let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            found.extend(records.iter().map(|it: &Record| {
                (it.offset.0, it.key.as_ref().map(text).unwrap_or_default(), it.value.as_ref().map(text))
            }));
        }
    }
}

fn offsets(rig: &mut Rig) -> Vec<i64> {
    records(rig).into_iter().map(|(offset, ..)| offset).collect()
}

fn cleaned(rig: &Rig) -> usize {
    rig.events.iter().filter(|event| matches!(event, Event::Cleaned { .. })).count()
}

#[test]
fn a_dirty_log_is_compacted_after_a_while() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    for (key, value) in [("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("b", None), ("c", Some("1"))] {
        produce(&mut rig, key, value);
    }
    assert_eq!(rig.log("orders", 0).segments.len(), 5);
    rig.advance(14_999);
    assert_eq!(cleaned(&rig), 0, "log.cleaner.backoff.ms is not over");
    rig.advance(1);
    assert_eq!(cleaned(&rig), 1);
    let log = rig.log("orders", 0);
    // Two segments do not fit one, so each has its own still, empty or not.
    assert_eq!((log.cleaned_to, log.segments.len()), (Some(Offset(4)), 5));
    let kept = [(2, "a", Some("2")), (3, "b", None), (4, "c", Some("1"))];
    let kept = kept.map(|(offset, key, value)| (offset, key.to_owned(), value.map(str::to_owned)));
    assert_eq!(records(&mut rig), kept);
    // The checkpoint is Kafka's.
    let files = rig.store.disk().files();
    let (.., text) = files.iter().find(|(_, path, _)| path == "cleaner-offset-checkpoint").unwrap();
    assert_eq!(text, "0\n1\norders 0 4\n");
    // What is clean is not cleaned again, until there is as much that is dirty.
    rig.advance(60_000);
    assert_eq!(cleaned(&rig), 1);
    for value in ["3", "4", "5", "6"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.advance(15_000);
    assert_eq!(cleaned(&rig), 2);
    assert_eq!(offsets(&mut rig), [3, 4, 7, 8]);
    // A day later the tombstone goes, with whatever is cleaned then.
    rig.advance(24 * 3_600_000);
    for value in ["7", "8", "9", "10", "11"] {
        produce(&mut rig, "d", Some(value));
    }
    rig.advance(15_000);
    assert_eq!(offsets(&mut rig), [4, 8, 12, 13]);
}

/// Without a limit the four values would be in one segment for a week.
#[test]
fn nothing_waits_longer_for_compaction_than_it_may() {
    let mut rig = Rig::start();
    let settings = [("cleanup.policy", "compact"), ("max.compaction.lag.ms", "1000")];
    rig.create_topic("orders", 1, &settings);
    rig.create_topic("others", 1, &settings[..1]);
    for value in ["1", "2", "3", "4"] {
        produce(&mut rig, "a", Some(value));
        produce_to(&mut rig, "others", "a", Some(value));
        rig.advance(1_300);
    }
    assert_eq!((rig.log("orders", 0).segments.len(), rig.log("others", 0).segments.len()), (4, 1));
    rig.advance(15_000);
    assert_eq!(offsets(&mut rig), [2, 3]);
}

#[test]
fn a_restart_knows_what_is_clean() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    for value in ["1", "2", "3", "4"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.advance(15_000);
    assert_eq!(offsets(&mut rig), [2, 3]);
    let mut rig = rig.restart(&[]);
    assert!(!rig.events.iter().any(|event| matches!(event, Event::Warning { .. })), "{:?}", rig.events);
    assert_eq!(rig.log("orders", 0).cleaned_to, Some(Offset(3)));
    assert_eq!(offsets(&mut rig), [2, 3]);
    rig.advance(60_000);
    assert_eq!(cleaned(&rig), 0);
    rig.stop();
    let mut rig = rig.restart(&[]);
    assert_eq!(offsets(&mut rig), [2, 3]);
}

#[test]
fn lags_and_ratios_decide() {
    let mut rig = Rig::start();
    let lagging = [COMPACTED[0], COMPACTED[1], ("min.compaction.lag.ms", "60000")];
    rig.create_topic("orders", 1, &lagging);
    produce(&mut rig, "a", Some("1"));
    produce(&mut rig, "a", Some("2"));
    produce(&mut rig, "a", Some("3"));
    rig.advance(45_000);
    assert_eq!(cleaned(&rig), 0, "all is too young");
    rig.advance(30_000);
    assert_eq!(cleaned(&rig), 1);
    assert_eq!(offsets(&mut rig), [1, 2]);
    // With a ratio that nothing reaches, only max.compaction.lag.ms makes it clean.
    let mut rig = Rig::start();
    let patient = [COMPACTED[0], COMPACTED[1], ("min.cleanable.dirty.ratio", "1"), ("max.compaction.lag.ms", "100000")];
    rig.create_topic("orders", 1, &patient);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.advance(90_000);
    assert_eq!(cleaned(&rig), 0);
    rig.advance(30_000);
    assert_eq!(cleaned(&rig), 1);
}

#[test]
fn the_filthiest_goes_first_and_the_cleaner_goes_on() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    rig.create_topic("payments", 1, COMPACTED);
    for topic in ["orders", "payments"] {
        for value in ["1", "2", "3"] {
            produce_to(&mut rig, topic, "a", Some(value));
        }
    }
    rig.advance(15_000);
    assert_eq!(cleaned(&rig), 2, "both are all dirt, and the second does not wait for another round");
    // A third of the one is clean, a seventh of the other.
    for value in ["4", "5", "6"] {
        produce_to(&mut rig, "orders", "a", Some(value));
        produce_to(&mut rig, "payments", "a", Some(value));
        produce_to(&mut rig, "payments", "b", Some(value));
    }
    rig.events.clear();
    rig.held = true;
    rig.advance(15_000);
    let cleans: Vec<_> = rig.queue.iter().filter(|(_, op)| matches!(op, StoreOp::Clean(..))).collect();
    assert_eq!(cleans.len(), 1, "one thread, one log at a time: {cleans:?}");
    rig.held = false;
    rig.run();
    let order = rig.events.iter().filter_map(|event| match event {
        Event::Cleaned { topic, .. } => Some(topic.to_string()),
        _ => None,
    });
    assert_eq!(order.collect::<Vec<_>>(), ["payments", "orders"]);
}

#[test]
fn the_cleaner_can_be_switched_off_and_tuned_while_it_runs() {
    let mut rig = Rig::with(&[("log.cleaner.enable", "false")]);
    rig.create_topic("orders", 1, COMPACTED);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.advance(120_000);
    assert_eq!(cleaned(&rig), 0);
    let mut rig = rig.restart(&[("log.cleaner.backoff.ms", "100"), ("log.cleanup.policy", "compact")]);
    rig.advance(100);
    assert_eq!(cleaned(&rig), 1);
    assert_eq!(offsets(&mut rig), [1, 2]);
}

#[test]
fn bad_bytes_are_told_of_once_and_the_log_serves_on() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    let path = format!("orders-0/{:020}.log", 1);
    use storage::Disk;
    let disk = rig.store.disk_mut();
    let file = disk.open(storage::DirId(0), &path, false).unwrap();
    disk.write_at(&file, 65, &[bytes::Bytes::from_static(b"?")]).unwrap();
    disk.close(file);
    rig.advance(120_000);
    let warnings = rig.events.iter().filter_map(|event| match event {
        Event::Warning { what } => Some(what.as_str()),
        _ => None,
    });
    let warnings: Vec<_> = warnings.collect();
    let [warning] = warnings[..] else { panic!("{warnings:?}") };
    assert!(
        warning.starts_with("orders-0 could not be compacted: orders-0/00000000000000000001.log at byte 0: its CRC")
    );
    assert!(warning.ends_with("it is not compacted until the next start"), "{warning}");
    produce(&mut rig, "a", Some("4"));
    assert_eq!(rig.log("orders", 0).end, Offset(4));
}

#[test]
fn a_full_disk_makes_the_cleaner_wait_and_nothing_else() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    let full = Fault { call: DiskCall::Write, path: ".cleaned".into(), after: 0, lasting: true, full: true };
    rig.store.disk_mut().inject(full);
    rig.advance(20_000);
    assert_eq!(cleaned(&rig), 0);
    assert!(
        rig.store.disk().files().iter().all(|(_, path, _)| !path.ends_with(".cleaned")),
        "it leaves nothing behind"
    );
    produce(&mut rig, "a", Some("4"));
    rig.store.disk_mut().heal();
    rig.advance(15_000);
    assert_eq!(cleaned(&rig), 1);
    assert_eq!(offsets(&mut rig), [2, 3]);
}

#[test]
fn what_is_cleaned_is_on_disk_before_it_is_swapped() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.held = true;
    rig.advance(15_000);
    let mut order = Vec::new();
    while let Some((_, op)) = rig.queue.front() {
        order.extend(match op {
            StoreOp::Clean(..) => Some("clean"),
            StoreOp::Put(Cell::RecoveryPoints(_), _) if order.contains(&"clean") => Some("recovery point"),
            StoreOp::Swap(..) => Some("swap"),
            StoreOp::Put(Cell::CleanerOffsets(_), _) => Some("checkpoint"),
            _ => None,
        });
        rig.store_one();
    }
    // Sealed segments were flushed when they were sealed; the recovery point is written once for both groups.
    assert_eq!(order, ["clean", "recovery point", "swap", "clean", "swap", "checkpoint"]);
    // The power fails right after: the log stands without a gap that could be taken for a loss.
    rig.store.disk_mut().power_cut();
    let mut rig = rig.restart(&[]);
    assert_eq!(offsets(&mut rig), [1, 2]);
}

#[test]
fn a_stop_does_not_wait_for_a_clean() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.held = true;
    rig.advance(15_000);
    while !matches!(rig.queue.front(), Some((_, StoreOp::Clean(..)))) {
        rig.store_one();
    }
    // The store is at it when the node is told to stop.
    let clean = rig.queue.pop_front().unwrap();
    rig.held = false;
    rig.stop();
    let result = rig.store.execute(clean.1);
    assert!(matches!(result, Ok(storage::Done::Cleaned(_))));
    let mut rig = rig.restart(&[]);
    assert_eq!(offsets(&mut rig), [0, 1, 2]);
    assert!(rig.store.disk().files().iter().all(|(_, path, _)| !path.ends_with(".cleaned")));
}

#[test]
fn deleting_and_compacting_is_both() {
    let mut rig = Rig::start();
    let both = [("cleanup.policy", "compact,delete"), COMPACTED[1], ("retention.ms", "1000000")];
    rig.create_topic("orders", 1, &both);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.advance(15_000);
    assert_eq!(offsets(&mut rig), [1, 2]);
    rig.advance(2_000_000);
    assert_eq!(rig.log("orders", 0).log_start, Offset(3), "retention takes what compaction kept");
    // The checkpoint points below the log now, so the next clean begins at its start.
    for value in ["4", "5", "6"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.advance(15_000);
    assert_eq!(offsets(&mut rig), [4, 5]);
}

#[test]
fn a_topic_can_be_deleted_while_it_is_cleaned() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.held = true;
    rig.advance(15_000);
    while !matches!(rig.queue.front(), Some((_, StoreOp::Clean(..)))) {
        rig.store_one();
    }
    let request = DeleteTopicsRequest { topic_names: vec!["orders".into()], timeout_ms: 1000, ..Default::default() };
    rig.send(5, RequestBody::DeleteTopics(request));
    rig.held = false;
    rig.run();
    assert_eq!(cleaned(&rig), 0);
    assert!(rig.store.disk().files().iter().all(|(_, path, _)| !path.starts_with("orders-0/")));
    rig.create_topic("orders", 1, COMPACTED);
    assert_eq!(offsets(&mut rig), Vec::<i64>::new());
}

/// The text of a checkpoint.
fn checkpoint(rig: &Rig, name: &str) -> String {
    let files = rig.store.disk().files();
    let text = files.into_iter().find(|(_, path, _)| path == name).map(|(.., bytes)| bytes.to_vec());
    String::from_utf8(text.unwrap_or_default()).unwrap()
}

#[test]
fn a_deleted_topic_leaves_nothing_to_its_namesake() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, COMPACTED);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.advance(15_000);
    assert!(checkpoint(&rig, "cleaner-offset-checkpoint").contains("orders 0 "));
    let request = DeleteTopicsRequest { topic_names: vec!["orders".into()], timeout_ms: 1000, ..Default::default() };
    rig.call(5, RequestBody::DeleteTopics(request));
    rig.run();
    assert!(!checkpoint(&rig, "cleaner-offset-checkpoint").contains("orders"));
}

#[test]
fn what_the_checkpoints_say_of_a_refused_log_stays() {
    let mut rig = Rig::start();
    rig.create_topic("orders", 1, &[]);
    rig.create_topic("others", 1, COMPACTED);
    for value in ["1", "2", "3"] {
        produce(&mut rig, "a", Some(value));
    }
    rig.stop();
    // It starts well, and dies.
    let mut rig = rig.restart(&[]);
    assert!(checkpoint(&rig, "recovery-point-offset-checkpoint").contains("orders 0 3"));
    rig.store.disk_mut().rot("orders-0/00000000000000000000.log", 70);
    rig.store.disk_mut().crash();
    for _ in 0..3 {
        rig = rig.restart(&[]);
        for value in ["1", "2", "3"] {
            produce_to(&mut rig, "others", "a", Some(value));
        }
        rig.advance(60_000);
        assert_eq!(rig.produce("orders", 0, 1, common::batch(&["x"])).0, 56, "KAFKA_STORAGE_ERROR");
        assert!(checkpoint(&rig, "recovery-point-offset-checkpoint").contains("orders 0 3"));
        rig.store.disk_mut().crash();
    }
}
