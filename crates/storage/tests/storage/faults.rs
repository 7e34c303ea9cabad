//! Faults that once went wrong: each is told here as it was found.

use bytes::Bytes;
use ordered::Map;
use protocol::records::control::EndTransaction;
use protocol::records::{BatchBuilder, Batches, Compression, PureCompressors};
use protocol::{Offset, ProducerEpoch, ProducerId, Str, TopicPartition, WallMs};
use storage::clean::CleanPlan;
use storage::{Cell, CleanStep, Disk, Done, LogId, LogSpec, Store, StoreError, StoreOp, meta};

use crate::common::{DIR, LOG, Node, Random, batch, batch_of, log_path, produced, small_segments, spec};

fn checkpoint(cell: Cell, partition: i32, offset: i64) -> StoreOp {
    let name = TopicPartition { topic: Str::from("orders"), partition };
    StoreOp::Put(cell, meta::format_offsets([(&name, Offset(offset))]))
}

fn file(node: &Node, path: &str) -> Option<Bytes> {
    node.store.disk().files().into_iter().find(|(_, it, _)| it == path).map(|(_, _, bytes)| bytes)
}

fn unlink(node: &mut Node, path: &str) {
    node.store.disk_mut().remove(DIR, path).unwrap();
    node.store.disk_mut().sync_dir(DIR, "orders-0").unwrap();
}

/// A segment for each of so many batches.
fn segments(count: usize) -> Node {
    let mut node = Node::new().rules(small_segments(batch(1).bytes() as i32));
    for index in 0..count {
        node.append(batch_of(&[1_000 + index as i64 * 10], 20));
    }
    node
}

fn plan(node: &Node) -> CleanPlan {
    CleanPlan {
        first_dirty: Offset(0),
        end: node.shape.segments().next_back().unwrap().base,
        high_watermark: node.shape.end(),
        now: WallMs(1_000_000),
        delete_retention_ms: 1_000,
        segment_bytes: 1 << 20,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        producers: Map::new(),
        max_keys: 1 << 10,
        seed: [1, 2],
        bytes_per_second: None,
        piece: 1 << 20,
    }
}

/// Cleans the first group without putting it in place.
fn clean_group(node: &mut Node) -> Result<Done, StoreError> {
    node.flush();
    let step = CleanStep::Begin(Box::new(plan(node)));
    node.shape.begin_clean();
    node.store.execute(StoreOp::Clean(LOG, node.shape.era(), step))
}

/// No checksum covers a base offset. A flipped high bit made the cleaner's index entries overflow, and panic.
#[test]
fn offsets_that_cannot_be_stop_a_clean() {
    for (base, flipped) in [(1, 0x40), (2, 0x10)] {
        for byte in [0, 3] {
            let mut node = segments(4);
            node.scribble(&log_path(base), byte, &[flipped]);
            let result = clean_group(&mut node);
            let Err(StoreError::Corrupt(what)) = &result else { panic!("{base} {byte}: {result:?}") };
            assert!(what.contains(&log_path(base)) && what.contains("is the least"), "{what}");
            assert!(!node.names().iter().any(|it| it.ends_with(".cleaned")));
        }
    }
    // Offsets within a file must rise.
    let mut node = Node::new();
    node.append(batch(3));
    let second = node.shape.size();
    node.append(batch(3));
    let rules = small_segments(1);
    node.rules.segment_bytes = i32::try_from(batch(1).bytes()).unwrap().max(rules.segment_bytes);
    node.append(batch(1));
    node.scribble(&log_path(0), second, &1i64.to_be_bytes());
    let result = clean_group(&mut node);
    assert!(matches!(&result, Err(StoreError::Corrupt(what)) if what.contains("offsets 1 + 2 where 3")), "{result:?}");
}

/// A `.timeindex` that a power cut tore was believed: what it did not list was not found by time.
#[test]
fn indexes_are_on_disk_before_nobody_checks_them() {
    let mut node = segments(3);
    node.flush();
    node.run([checkpoint(Cell::RecoveryPoints(DIR), 0, 3)]);
    let paths: Vec<String> = node.names().into_iter().filter(|it| it.ends_with("index")).collect();
    assert_eq!(paths.len(), 4, "two segments are sealed");
    let before: Vec<_> = paths.iter().map(|path| file(&node, path)).collect();
    let node = node.power_cut().unwrap();
    let after: Vec<_> = paths.iter().map(|path| file(&node, path)).collect();
    assert_eq!(before, after);
    // Synced first, sealed afterwards: the recovery point can be where the next segment begins.
    let mut node = segments(1);
    node.flush();
    node.append(batch(1));
    let path = "orders-0/00000000000000000000.timeindex";
    let before = file(&node, path);
    node.store.disk_mut().sync_dir(DIR, "orders-0").unwrap();
    node.store.disk_mut().power_cut();
    assert!(before.is_some() && file(&node, path) == before);
}

#[test]
fn torn_indexes_of_what_was_not_synced_are_made_anew() {
    let mut node = Node::new().rules(small_segments(40_000));
    for index in 0..30 {
        node.append(batch_of(&[1_000 + index], 3_000));
    }
    let path = "orders-0/00000000000000000000.timeindex";
    let whole = file(&node, path).unwrap();
    assert!(whole.len() > 24);
    node.resize(path, 12);
    let mut node = node.restart().unwrap();
    assert_eq!(file(&node, path).unwrap(), whole);
    for timestamp in 1_000..1_031 {
        assert_eq!(node.time(timestamp).is_some(), node.has_time(timestamp), "{timestamp}");
    }
}

/// Apache Kafka's cleaner works above the recovery point, and keeps the gap that a crash in its midst leaves.
#[test]
fn a_compacted_log_keeps_a_gap_that_nobody_noted() {
    let mut node = segments(4);
    node.flush();
    unlink(&mut node, &log_path(1));
    let mounted = |node: &Node, compacted| {
        let mut disk = node.store.disk().clone();
        disk.crash();
        match Store::new(disk).execute(StoreOp::Mount(LOG, LogSpec { compacted, ..spec() })) {
            Ok(Done::Mounted(shape)) => *shape,
            other => panic!("{other:?}"),
        }
    };
    let kept = mounted(&node, true);
    assert_eq!((kept.end(), kept.mounted().cut.as_ref()), (Offset(4), None));
    assert!(kept.mounted().gap.as_ref().unwrap().contains("the next file begins at 2"));
    let cut = mounted(&node, false);
    assert_eq!(cut.end(), Offset(1));
    assert!(cut.mounted().cut.is_some());
}

/// Every clean stop leaves a producer snapshot; all of them were kept.
#[test]
fn of_snapshots_at_the_end_the_last_one_stays() {
    let mut node = Node::new().rules(small_segments(2 * batch(2).bytes() as i32));
    let snapshots = |node: &Node| -> Vec<String> {
        let names = node.names().into_iter();
        names.filter_map(|it| Some(it.strip_prefix("orders-0/")?.strip_suffix(".snapshot")?.to_owned())).collect()
    };
    for sequence in 0..5 {
        node.append(produced(9, 0, sequence, 1));
        let snapshot = node.shape.snapshot_producers();
        node.run(snapshot);
        node.run([StoreOp::Put(Cell::CleanShutdown(DIR), meta::format_clean_shutdown(1))]);
        let bases: Vec<String> = node.shape.segments().skip(1).map(|it| format!("{:020}", it.base.0)).collect();
        let end = format!("{:020}", node.shape.end().0);
        node = node.restart().unwrap();
        let mut expected: Vec<String> = bases.into_iter().chain([end]).collect();
        expected.dedup();
        assert_eq!(snapshots(&node), expected);
        assert_eq!(node.shape.producers().len(), 1);
    }
    assert!(node.shape.segments().count() > 1);
}

/// What the checkpoints said of a log that could not be mounted was lost with their next write.
#[test]
fn what_is_known_of_a_refused_log_stays() {
    let mut node = segments(3);
    node.flush();
    let cells = [Cell::RecoveryPoints(DIR), Cell::HighWatermarks(DIR), Cell::LogStarts(DIR), Cell::CleanerOffsets(DIR)];
    for (index, cell) in cells.into_iter().enumerate() {
        node.run([checkpoint(cell, 0, if index == 0 { 3 } else { 1 })]);
    }
    node.scribble(&log_path(2), 66, b"?");
    let mut disk = node.store.into_disk();
    disk.crash();
    let mut store = Store::new(disk);
    assert!(matches!(store.execute(StoreOp::Mount(LOG, spec())), Err(StoreError::Corrupt(_))));
    let other = LogId(8);
    assert!(store.execute(StoreOp::Mount(other, LogSpec { partition: 1, ..spec() })).is_ok());
    for cell in cells {
        assert_eq!(store.execute(checkpoint(cell, 1, 7)), Ok(Done::Put));
    }
    assert_eq!(store.execute(StoreOp::Put(Cell::CleanShutdown(DIR), meta::format_clean_shutdown(1))), Ok(Done::Put));
    let text = |path: &str| {
        let files = store.disk().files();
        files.into_iter().find(|(_, it, _)| it == path).map(|(_, _, bytes)| String::from_utf8(bytes.to_vec()).unwrap())
    };
    assert_eq!(text("recovery-point-offset-checkpoint").unwrap(), "0\n2\norders 0 3\norders 1 7\n");
    for path in ["replication-offset-checkpoint", "log-start-offset-checkpoint", "cleaner-offset-checkpoint"] {
        assert_eq!(text(path).unwrap(), "0\n2\norders 0 1\norders 1 7\n", "{path}");
    }
    assert_eq!(text(".kafka_cleanshutdown"), None, "the next start must look at the log again");
    // Once it is mended it is mounted from where it was.
    let disk = store.disk_mut();
    let file = disk.open(DIR, &log_path(2), false).unwrap();
    disk.set_len(&file, 0).unwrap();
    let mut disk = store.into_disk();
    disk.crash();
    let mounted = Store::new(disk).execute(StoreOp::Mount(LOG, spec())).unwrap();
    let Done::Mounted(shape) = mounted else { panic!("{mounted:?}") };
    assert_eq!((shape.mounted().recovery_point, shape.log_start()), (Some(Offset(3)), Offset(1)));
}

/// A checkpoint that cannot be read makes every log of its directory a refused one; it was then overwritten.
#[test]
fn a_checkpoint_that_is_none_is_left_alone() {
    let mut node = segments(1);
    node.run([checkpoint(Cell::LogStarts(DIR), 0, 0)]);
    node.scribble("log-start-offset-checkpoint", 0, b"\0\0");
    let (garbage, mut disk) = (file(&node, "log-start-offset-checkpoint"), node.store.into_disk());
    disk.crash();
    let mut store = Store::new(disk);
    assert!(matches!(store.execute(StoreOp::Mount(LOG, spec())), Err(StoreError::Corrupt(_))));
    assert_eq!(store.execute(checkpoint(Cell::LogStarts(DIR), 1, 7)), Ok(Done::Put));
    let files = store.disk().files();
    let left = files.into_iter().find(|(_, it, _)| it == "log-start-offset-checkpoint").map(|(_, _, bytes)| bytes);
    assert_eq!(left, garbage);
}

/// A swap forgave a missing `.cleaned` file, and then unlinked what it should have replaced.
#[test]
fn a_swap_gives_up_nothing_for_what_is_not_there() {
    let mut node = segments(4);
    let Ok(Done::Cleaned(cleaned)) = clean_group(&mut node) else { panic!("not cleaned") };
    let swap = node.shape.swap(&cleaned).unwrap();
    let written = node.names().into_iter().find(|it| it.ends_with(".log.cleaned")).unwrap();
    unlink(&mut node, &written);
    let names = node.names();
    assert_eq!(node.store.execute(swap), Err(StoreError::Missing));
    assert_eq!(node.names(), names, "its sources and all the rest are there");
    let mut node = node.restart().unwrap();
    assert_eq!(node.spans(), [(0, 0), (1, 1), (2, 2), (3, 3)]);
}

fn transaction(id: i64, sequence: i32) -> Batches {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(ProducerId(id), ProducerEpoch(0), sequence).transactional();
    builder.push(WallMs(1_000), None, Some(b"value"), &[]);
    builder.build_batches(&PureCompressors).unwrap()
}

fn ended(id: i64, committed: bool) -> Batches {
    EndTransaction { committed, coordinator_epoch: 7 }.batch(ProducerId(id), ProducerEpoch(0), WallMs(1_000))
}

/// An entry of a `.txnindex`: version, producer, first, last, last stable offset.
fn entry(id: i64, first: i64, last: i64, stable: i64) -> Vec<u8> {
    [0i16.to_be_bytes().as_slice(), &id.to_be_bytes(), &first.to_be_bytes(), &last.to_be_bytes(), &stable.to_be_bytes()]
        .concat()
}

/// Offsets 0 to 7: two transactions that overlap, one aborted, one committed, a marker without one, another aborted.
fn transactions() -> Node {
    let mut node = Node::new().rules(small_segments(250));
    for batches in [
        transaction(1, 0),
        transaction(2, 0),
        ended(1, false),
        ended(2, true),
        ended(3, false),
        transaction(2, 1),
        ended(2, false),
        transaction(1, 1),
    ] {
        node.append(batches);
    }
    assert!(node.shape.segments().count() > 2);
    node
}

#[test]
fn aborted_transactions_are_found_in_the_log() {
    let aborted = [(ProducerId(1), Offset(0)), (ProducerId(2), Offset(5))];
    let listed = |node: &Node| -> Vec<u8> {
        let files = node.store.disk().files();
        files
            .iter()
            .filter(|(_, path, _)| path.ends_with(".txnindex"))
            .flat_map(|(_, _, bytes)| bytes.to_vec())
            .collect()
    };
    // As a killed broker leaves it: whatever the files say above the recovery point, the log has the truth.
    let mut node = transactions().restart().unwrap();
    assert_eq!(node.shape.aborted_in(Offset(0), Offset(8)), aborted);
    assert_eq!(node.shape.aborted_in(Offset(3), Offset(8)), aborted[1..]);
    let expected = [entry(1, 0, 2, 1), entry(2, 5, 6, 7)].concat();
    assert_eq!(listed(&node), expected, "Kafka's own: its last stable offset is where the first open one begins");
    assert_eq!(node.shape.producers().first_open_transaction(), Some(Offset(7)));
    let coordinator: Vec<i32> = node.shape.producers().iter().map(|(_, it)| it.coordinator_epoch).collect();
    assert_eq!(coordinator, [7, 7, 7]);
    // Below the recovery point the files count.
    node.flush();
    node.run([checkpoint(Cell::RecoveryPoints(DIR), 0, 8)]);
    let mut node = node.restart().unwrap();
    assert_eq!(node.shape.aborted_in(Offset(0), Offset(8)), aborted);
    assert_eq!(listed(&node), expected);
    // Unless they are garbage.
    let paths: Vec<String> = node.names().into_iter().filter(|it| it.ends_with(".txnindex")).collect();
    for path in &paths {
        node.resize(path, 33);
    }
    let mut node = node.restart().unwrap();
    assert_eq!(node.shape.aborted_in(Offset(0), Offset(8)), aborted);
    assert_eq!(listed(&node), expected);
    // A cut takes the entries along whose markers are gone.
    node.truncate(6);
    assert_eq!(node.shape.aborted_in(Offset(0), Offset(8)), aborted[..1]);
    assert_eq!(listed(&node), entry(1, 0, 2, 1));
    assert_eq!(node.shape.producers().first_open_transaction(), Some(Offset(5)));
}

/// A flush runs beside its lane, which appends and rolls meanwhile: a power cut at any of its calls leaves at least what the
/// flush before it made durable, and its end what it was gathered for.
#[test]
fn a_power_cut_during_a_flush_beside_the_lane_leaves_what_was_promised() {
    let mut node = segments(2);
    node.flush();
    node.append(batch_of(&[2_000], 20));
    let job = node.store.flush_job(LOG).unwrap();
    node.append(batch_of(&[2_010], 20));
    node.append(batch_of(&[2_020], 20));
    let all = node.spans();
    assert_eq!((all.len(), node.shape.segments().count()), (5, 5));
    let before = node.store.disk().calls();
    let calls = {
        let mut node = node.clone();
        job.run(node.store.disk_mut()).unwrap();
        node.store.disk().calls() - before
    };
    assert!(calls > 1, "the file and its name");
    for call in 0..=calls {
        for seed in 0..10 {
            let mut node = node.clone();
            node.store.disk_mut().end_power_at(before + call);
            let ran = job.run(node.store.disk_mut());
            assert_eq!(ran.is_ok(), call == calls);
            assert_eq!(node.store.flushed(LOG, ran.clone()), ran.clone().map(|()| Done::Flushed));
            assert_eq!(node.store.flush_job(LOG).is_err(), ran.is_err(), "its directory is offline");
            let mut disk = node.store.into_disk();
            let mut random = Random(seed + 1);
            match seed {
                0 => disk.power_cut(),
                _ => disk.power_cut_torn(&mut |bound| random.below(bound)),
            }
            let mut after = Node::on(disk).unwrap();
            let (spans, promised) = (after.spans(), if ran.is_ok() { 3 } else { 2 });
            assert!(spans.len() >= promised && all.starts_with(&spans), "call {call}, seed {seed}: {spans:?}");
            assert_eq!(after.append(batch(1)).first.0, spans.len() as i64, "it goes on there");
        }
    }
}
