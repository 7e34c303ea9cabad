//! Logs that lost what was on disk: told of, or refused where every batch was synced.

use protocol::{LeaderEpoch, Offset, Str, TopicPartition, WallMs};
use storage::{Cell, Disk, Done, LogRules, LogSpec, MemoryDisk, OpId, Shape, Store, StoreError, StoreOp, meta};

use crate::common::{DIR, LOG, Node, batch, batch_of, log_path, small_segments, spec};

/// A file of `orders-0` that the last run had is no longer there, or is empty.
fn checkpoint(node: &mut Node, cell: Cell, offset: i64) {
    let name = TopicPartition { topic: Str::from("orders"), partition: 0 };
    node.run([StoreOp::Put(cell, meta::format_offsets([(&name, Offset(offset))]))]);
}

fn clean_stop(node: &mut Node) {
    node.run([StoreOp::Put(Cell::CleanShutdown(DIR), meta::format_clean_shutdown(1))]);
}

fn unlink(node: &mut Node, path: &str) {
    node.store.disk_mut().remove(DIR, path).unwrap();
    node.store.disk_mut().sync_dir(DIR, "orders-0").unwrap();
}

/// Mounts the log as one whose batches were all synced.
fn synced(node: &Node) -> Result<Shape, String> {
    let mut disk = node.store.disk().clone();
    disk.crash();
    let before = disk.files();
    let mut store = Store::new(disk);
    match store.execute(StoreOp::Mount(LOG, LogSpec { synced: true, ..spec() })) {
        Ok(Done::Mounted(shape)) => Ok(*shape),
        Err(StoreError::Corrupt(what)) => {
            let logs = |files: Vec<(storage::DirId, String, bytes::Bytes)>| {
                files
                    .into_iter()
                    .filter(|(_, path, bytes)| path.ends_with(".log") && !bytes.is_empty())
                    .collect::<Vec<_>>()
            };
            assert_eq!(logs(store.disk().files()), logs(before), "a log that is refused is left as it is");
            Err(what)
        }
        other => panic!("{other:?}"),
    }
}

/// Three segments of one batch each, flushed up to the recovery point 3.
fn three_segments() -> Node {
    let mut node = Node::new().rules(small_segments(batch(1).bytes() as i32));
    for _ in 0..3 {
        node.append(batch(1));
    }
    node.flush();
    checkpoint(&mut node, Cell::RecoveryPoints(DIR), 3);
    checkpoint(&mut node, Cell::LogStarts(DIR), 0);
    node
}

#[test]
fn a_lost_segment_is_told_of_after_any_stop() {
    type Hurt = fn(&mut Node, i64);
    let gone: Hurt = |node, base| unlink(node, &log_path(base));
    let emptied: Hurt = |node, base| node.resize(&log_path(base), 0);
    for is_clean in [false, true] {
        for (hurt, base, says, end) in [
            (gone, 0, "no file for offsets 0 to 0", 3),
            (gone, 1, "ends at 1, the next file begins at 2", 3),
            (gone, 2, "everything below offset 3 was on disk", 2),
            (emptied, 0, "ends at 0, the next file begins at 1", 3),
            (emptied, 1, "ends at 1, the next file begins at 2", 3),
            (emptied, 2, "everything below offset 3 was on disk", 2),
        ] {
            let mut node = three_segments();
            if is_clean {
                clean_stop(&mut node);
            }
            hurt(&mut node, base);
            let refused = synced(&node).unwrap_err();
            assert!(refused.contains(says) && refused.contains("restore it"), "{base}: {refused}");
            let node = node.restart().unwrap();
            let mounted = node.shape.mounted();
            let told = mounted.lost.as_ref().or(mounted.gap.as_ref()).unwrap_or_else(|| panic!("{base} is not missed"));
            assert!(told.contains(says) && told.contains("orders-0"), "{base}: {told}");
            assert_eq!((node.shape.end(), &mounted.cut), (Offset(end), &None));
        }
    }
}

#[test]
fn a_log_that_lost_all_its_files_is_told_of() {
    let mut node = Node::new();
    node.append(batch(6));
    node.flush();
    checkpoint(&mut node, Cell::RecoveryPoints(DIR), 6);
    unlink(&mut node, &log_path(0));
    assert!(synced(&node).unwrap_err().contains("is missing"));
    let node = node.restart().unwrap();
    assert!(node.shape.mounted().lost.as_ref().unwrap().contains("below offset 6"), "{:?}", node.shape.mounted());
}

#[test]
fn a_whole_log_is_not_told_of() {
    for is_clean in [false, true] {
        let mut node = three_segments();
        if is_clean {
            clean_stop(&mut node);
        }
        assert!(synced(&node).is_ok());
        let node = node.restart().unwrap();
        assert_eq!((&node.shape.mounted().lost, &node.shape.mounted().gap), (&None, &None));
    }
}

#[test]
fn of_a_synced_log_only_the_very_tail_is_cut() {
    let mut node = Node::new();
    node.append(batch(1));
    let second = node.shape.size();
    node.append(batch(2));
    let third = node.shape.size();
    node.append(batch(1));
    // The last batch: torn, or never written.
    let mut tail = node.clone();
    tail.scribble(&log_path(0), third + 70, b"x");
    assert_eq!(synced(&tail).unwrap().end(), Offset(3));
    let mut tail = node.clone();
    tail.resize(&log_path(0), third + 10);
    assert_eq!(synced(&tail).unwrap().end(), Offset(3));
    let mut tail = node.clone();
    tail.resize(&log_path(0), node.shape.size() + 100_000);
    assert_eq!(synced(&tail).unwrap().end(), Offset(4), "zeros are a tail, too");
    // One before it, whichever of its bytes.
    for at in [0, 8, 16, 17, 30, 57, 70] {
        let mut hurt = node.clone();
        hurt.scribble(&log_path(0), second + at, &[0xfe; 4]);
        let refused = synced(&hurt).unwrap_err();
        let advice = format!("truncate -s {second} {}", log_path(0));
        assert!(refused.contains("good batches follow") && refused.contains(&advice), "byte {at}: {refused}");
    }
    // As an ordinary log it is cut there: what follows may never have been promised.
    node.scribble(&log_path(0), second + 70, b"x");
    assert_eq!(node.restart().unwrap().shape.end(), Offset(1));
}

/// A log of which all is synced is cut, and the power goes at any call to the disk meanwhile: the checkpoints ask for no more
/// than there is to be left.
#[test]
fn a_cut_that_the_power_ends_is_no_damage() {
    let synced = || StoreOp::Mount(LOG, LogSpec { synced: true, ..spec() });
    // Within a segment, at a segment's beginning, all of it, and beyond its end.
    for to in [2, 3, 4, 0, 9] {
        for call in 0.. {
            let mut store = Store::new(MemoryDisk::new());
            let mounted = store.execute(synced());
            let Ok(Done::Mounted(mut shape)) = mounted else { panic!("{mounted:?}") };
            let rules = small_segments(2 * batch(1).bytes() as i32);
            for epoch in [1, 1, 2, 3, 3, 4] {
                for op in shape.append(batch(1), LeaderEpoch(epoch), &rules, WallMs(1)).unwrap().ops {
                    store.execute(op).unwrap();
                }
            }
            store.execute(StoreOp::Flush(LOG)).unwrap();
            let name = |partition| TopicPartition { topic: Str::from("orders"), partition };
            let points = meta::format_offsets([(&name(0), Offset(6)), (&name(1), Offset(60))]);
            store.execute(StoreOp::Put(Cell::RecoveryPoints(DIR), points)).unwrap();
            let at = store.disk().calls() + call;
            store.disk_mut().end_power_at(at);
            let result = store.execute(shape.truncate(Offset(to)));
            let mut disk = store.into_disk();
            disk.restore_power();
            disk.power_cut();
            let mut store = Store::new(disk);
            let again = store.execute(synced());
            let Ok(Done::Mounted(again)) = again else { panic!("cut to {to}, call {call}: {again:?}") };
            let kept = if to == 9 { 0 } else { to };
            assert!(again.end() >= Offset(kept), "cut to {to}, call {call}: it ends at {}", again.end());
            let files = store.disk().files();
            let points = files.iter().find(|(_, path, _)| path == meta::RECOVERY_POINTS).unwrap();
            let points = meta::parse_offsets(&points.2).unwrap();
            assert!(points.contains(&(name(1), Offset(60))), "another log's stays");
            if result.is_ok() {
                assert_eq!(again.end(), Offset(to));
                break;
            }
        }
    }
}

#[test]
fn a_synced_log_does_not_end_before_its_last_leader_epoch() {
    let mut node = Node::new();
    node.append(batch(3));
    node.epoch = LeaderEpoch(4);
    let op = node.shape.begin_epoch(LeaderEpoch(4)).unwrap();
    node.run([op]);
    assert!(synced(&node).is_ok(), "the epoch is not on disk before its first batch is about to be");
    let end = node.shape.size();
    node.append(batch(1));
    node.flush();
    node.resize(&log_path(0), end);
    assert!(synced(&node).is_ok(), "the epoch is put before its first batch");
    node.resize(&log_path(0), 0);
    assert!(synced(&node).unwrap_err().contains("before its last leader epoch"));
}

#[test]
fn a_synced_log_that_is_gone_begins_anew_only_where_others_have_it() {
    let node = three_segments();
    let mut disk = node.store.into_disk();
    let paths: Vec<String> = disk.files().into_iter().map(|(_, path, _)| path).collect();
    for path in paths.iter().filter(|path| path.starts_with("orders-0/")) {
        disk.remove(DIR, path).unwrap();
    }
    disk.remove_dir(DIR, "orders-0").unwrap();
    disk.sync_dir(DIR, "").unwrap();
    let mut store = Store::new(disk);
    let refused = store.execute(StoreOp::Mount(LOG, LogSpec { synced: true, ..spec() }));
    assert!(matches!(&refused, Err(StoreError::Corrupt(what)) if what.contains("orders-0 is missing")), "{refused:?}");
    // Also when it starts once more before it has got anything.
    for _ in 0..2 {
        let spec = LogSpec { synced: true, replicated: true, ..spec() };
        let mounted = store.execute(StoreOp::Mount(LOG, spec));
        let Ok(Done::Mounted(shape)) = mounted else { panic!("{mounted:?}") };
        assert_eq!(shape.end(), Offset(0));
        assert!(shape.mounted().lost.as_ref().is_some_and(|what| what.contains("is fetched again")));
        let mut disk = store.into_disk();
        disk.power_cut();
        store = Store::new(disk);
    }
}

#[test]
fn a_name_that_is_used_again_begins_anew() {
    let mut node = Node::new().rules(LogRules::default());
    node.append(batch(5));
    node.flush();
    for cell in [Cell::RecoveryPoints(DIR), Cell::LogStarts(DIR), Cell::HighWatermarks(DIR)] {
        checkpoint(&mut node, cell, 5);
    }
    let mut node = node.restart().unwrap();
    assert_eq!(node.shape.log_start(), Offset(5));
    node.run([StoreOp::Remove(LOG)]);
    let Ok(Done::Mounted(shape)) = node.store.execute(StoreOp::Mount(LOG, spec())) else { panic!("it is mounted") };
    assert_eq!((shape.log_start(), shape.end()), (Offset(0), Offset(0)));
    assert_eq!((&shape.mounted().lost, &shape.mounted().recovery_point), (&None, &None));
}

/// Appends that wait for one flush: a power cut leaves any sectors of them, in no order, and that is no damage. Nor is it if
/// one begins a segment, or a leader epoch.
#[test]
fn a_power_cut_between_appends_and_their_flush_is_no_damage() {
    for (segment_bytes, epochs) in [(i32::MAX, [0, 0, 0]), (70_200, [0, 0, 0]), (i32::MAX, [0, 1, 3])] {
        for seed in 0..300u64 {
            let mut store = Store::new(MemoryDisk::new());
            let mounted = store.execute(StoreOp::Mount(LOG, LogSpec { synced: true, ..spec() }));
            let Ok(Done::Mounted(mut shape)) = mounted else { panic!("{mounted:?}") };
            let mut ops = Vec::new();
            for (value, epoch) in [100, 70_000, 600].into_iter().zip(epochs) {
                let rules = small_segments(segment_bytes);
                ops.extend(shape.append(batch_of(&[1], value), LeaderEpoch(epoch), &rules, WallMs(1)).unwrap().ops);
            }
            assert_eq!(shape.segments().count() > 1, segment_bytes < i32::MAX);
            let ops = ops.into_iter().enumerate().map(|(id, op)| (OpId(id as u64), op));
            assert!(store.execute_all(ops).iter().all(|(_, result)| result.is_ok()));
            let mut disk = store.into_disk();
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            disk.power_cut_torn(&mut |below| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            });
            let again = Store::new(disk).execute(StoreOp::Mount(LOG, LogSpec { synced: true, ..spec() }));
            let Ok(Done::Mounted(shape)) = again else { panic!("seed {seed}: {again:?}") };
            assert!(shape.end() >= Offset(2), "seed {seed}: the earlier ones were on disk when the last was written");
        }
    }
}

/// Where a log begins stands in no other file: who removes this one should know.
#[test]
fn unreadable_checkpoints_say_what_removing_them_costs() {
    for (path, costs_records) in [("recovery-point-offset-checkpoint", false), ("log-start-offset-checkpoint", true)] {
        let mut node = Node::new();
        checkpoint(&mut node, Cell::LogStarts(DIR), 0);
        checkpoint(&mut node, Cell::RecoveryPoints(DIR), 0);
        node.scribble(path, 0, b"x");
        let Err(error) = node.restart() else { panic!("{path} was read") };
        let line = error.to_string();
        assert!(line.contains(path) && line.contains("remove the file"), "{line}");
        assert_eq!(line.contains("DeleteRecords"), costs_records, "{line}");
    }
}
