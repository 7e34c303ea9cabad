//! A log moves to another directory: what is there at every moment, whatever fails.

use protocol::records::BatchHead;
use protocol::{Offset, Str, TopicPartition, Uuid};
use storage::memory::{DiskCall, Fault};
use storage::{Copied, CopyPlan, DirId, Disk, Done, LogSpec, MemoryDisk, Shape, Store, StoreError, StoreOp};

use crate::common::{self, DIR, LOG, Node, batch, produced, small_segments, spec};

const OTHER: DirId = DirId(1);

/// Copies in small steps until a step finds nothing more.
fn copy(node: &mut Node, bytes: u64) -> Result<Copied, StoreError> {
    let mut last = Copied::default();
    loop {
        let plan = CopyPlan { to: OTHER, era: node.shape.era(), bytes };
        match node.store.execute(StoreOp::Copy(LOG, plan))? {
            Done::Copied(copied) if copied == last => return Ok(copied),
            Done::Copied(copied) => last = copied,
            Done::CopyFailed(error) => return Err(error),
            other => panic!("{other:?}"),
        }
    }
}

fn folders(disk: &MemoryDisk, dir: DirId) -> Vec<String> {
    disk.list(dir, "").unwrap().into_iter().filter(|it| it.is_dir).map(|it| it.name).collect()
}

/// The log's files, but for those that each directory has of its own: name and bytes.
fn files(disk: &mut MemoryDisk, dir: DirId, folder: &str) -> Vec<(String, Vec<u8>)> {
    let names = disk.list(dir, folder).unwrap();
    let read = |name: String| {
        let file = disk.open(dir, &format!("{folder}/{name}"), false).unwrap();
        let bytes = disk.read_at(&file, 0, 1 << 20).unwrap().to_vec();
        disk.close(file);
        (name, bytes)
    };
    names.into_iter().map(|it| it.name).map(read).collect()
}

fn loaded() -> Node {
    let mut node = Node::new().rules(small_segments(600));
    for index in 0..12 {
        node.append(produced(9, 0, index * 3, 3));
    }
    node.flush();
    node
}

/// Mounts the log where it is: the directory that it moved to counts.
fn mount(disk: MemoryDisk) -> (Shape, Store<MemoryDisk>, DirId) {
    let mut store = Store::new(disk);
    for dir in [OTHER, DIR] {
        match store.execute(StoreOp::Mount(LOG, LogSpec { dir, create: false, ..spec() })) {
            Ok(Done::Mounted(shape)) => return (*shape, store, dir),
            Ok(Done::OnlyCopy) | Err(StoreError::Missing) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("the log is in neither directory");
}

#[test]
fn a_log_moves_and_nobody_notices() {
    let mut node = loaded();
    let before = node.heads(0);
    let early = node.regions(0, 500);
    // Steps of one batch; the log grows, rolls and gives up its oldest segment meanwhile.
    let plan = |node: &Node| CopyPlan { to: OTHER, era: node.shape.era(), bytes: 1 };
    let step = StoreOp::Copy(LOG, plan(&node));
    let Ok(Done::Copied(first)) = node.store.execute(step) else { panic!() };
    assert_eq!(first.end, before[0].next_offset());
    for index in 12..20 {
        node.append(produced(9, 0, index * 3, 3));
        let step = StoreOp::Copy(LOG, plan(&node));
        assert!(matches!(node.store.execute(step), Ok(Done::Copied(_))));
    }
    let steps = node.shape.advance_log_start(Offset(20));
    node.run(steps.into_iter().chain([StoreOp::Sweep(LOG)]));
    let copied = copy(&mut node, 300).unwrap();
    assert_eq!((copied.bytes, copied.end), (node.shape.size(), node.shape.end()));
    let copy_folder = folders(node.store.disk(), OTHER).into_iter().next().unwrap();
    assert!(copy_folder.starts_with("orders-0.") && copy_folder.ends_with("-future"), "{copy_folder}");
    // What was appended last is copied by the move itself.
    node.append(batch(2));
    let expected: Vec<BatchHead> = node.heads(20);
    let region = node.regions(30, 400);
    let snapshot = files(node.store.disk_mut(), DIR, "orders-0");
    assert_eq!(node.store.execute(StoreOp::Move(LOG)), Ok(Done::Moved(None)));
    node.run([StoreOp::Sweep(LOG)]);
    assert_eq!(folders(node.store.disk(), DIR), [""; 0]);
    assert_eq!(folders(node.store.disk(), OTHER), ["orders-0"]);
    assert_eq!(files(node.store.disk_mut(), OTHER, "orders-0"), snapshot, "byte for byte, indexes and snapshots too");
    for old in region {
        assert!(matches!(node.store.execute(StoreOp::Load(old)), Ok(Done::Loaded(_))), "what was planned stays true");
    }
    assert!(early.iter().any(|it| node.store.resolve(*it).is_err()), "what was given up before is gone");
    assert_eq!(node.heads(20), expected);
    // It goes on there, and a power cut finds all that was on disk.
    node.append(batch(1));
    node.flush();
    let end = node.shape.end();
    let mut disk = node.store.into_disk();
    disk.power_cut();
    let (shape, _, dir) = mount(disk);
    assert_eq!((shape.end(), dir), (end, OTHER));
    let producer = shape.producers().iter().next().map(|(id, it)| (id.0, it.batches.back().unwrap().last_sequence));
    assert_eq!(producer, Some((9, 59)));
}

#[test]
fn the_power_ends_at_every_call_of_a_move_and_nothing_is_lost() {
    let calls = |node: &mut Node| -> Result<(), StoreError> {
        copy(node, 400)?;
        match node.store.execute(StoreOp::Move(LOG))? {
            Done::Moved(None) => Ok(()),
            Done::Moved(Some((_, error))) | Done::CopyFailed(error) => Err(error),
            other => panic!("{other:?}"),
        }
    };
    let node = loaded();
    let (first, all) = {
        let mut node = node.clone();
        let before = node.store.disk().calls();
        calls(&mut node).unwrap();
        (before, node.store.disk().calls())
    };
    let end = node.shape.end();
    let mut seen = [0, 0];
    for call in first..all {
        for torn in [false, true] {
            let mut node = node.clone();
            node.store.disk_mut().end_power_at(call);
            assert!(calls(&mut node).is_err(), "call {call}");
            let mut disk = node.store.into_disk();
            let mut random = common::Random(call + 1);
            if torn {
                disk.power_cut_torn(&mut |n| random.below(n))
            } else {
                disk.power_cut()
            };
            let (shape, store, dir) = mount(disk);
            assert_eq!(shape.end(), end, "call {call}");
            seen[usize::from(dir.0)] += 1;
            if dir == OTHER {
                continue;
            }
            // What there is of the copy is gone on with.
            let mut node = Node { shape, store, rules: small_segments(600), epoch: node.epoch };
            node.append(batch(2));
            calls(&mut node).unwrap();
            assert_eq!(node.heads(0).last().unwrap().next_offset(), end.plus(2));
            assert!(folders(node.store.disk(), OTHER).iter().all(|it| !it.ends_with("-future")));
        }
    }
    assert!(seen[0] > 10 && seen[1] > 2, "{seen:?}");
}

#[test]
fn a_copy_of_what_was_cut_meanwhile_is_compared() {
    let mut node = loaded();
    copy(&mut node, 10_000).unwrap();
    node.truncate(20);
    node.append(produced(4, 0, 0, 9));
    let steps = StoreOp::Copy(LOG, CopyPlan { to: OTHER, era: protocol::Era(0), bytes: 1 });
    assert_eq!(node.store.execute(steps), Err(StoreError::Missing), "it was asked for before the cut");
    copy(&mut node, 700).unwrap();
    // Another run left a copy in which a bit is wrong, and files that are none of the log's.
    let folder = folders(node.store.disk(), OTHER).remove(0);
    let mut node = node.restart().unwrap();
    assert_eq!(node.store.disk_mut().rot(&format!("{folder}/{:020}.log", 0), 70), 1);
    let stray = node.store.disk_mut().open(OTHER, &format!("{folder}/{:020}.index", 7), true).unwrap();
    node.store.disk_mut().close(stray);
    copy(&mut node, 700).unwrap();
    let expected = files(node.store.disk_mut(), DIR, "orders-0");
    assert_eq!(node.store.execute(StoreOp::Move(LOG)), Ok(Done::Moved(None)));
    let logs =
        |files: Vec<(String, Vec<u8>)>| -> Vec<_> { files.into_iter().filter(|it| it.0.ends_with(".log")).collect() };
    assert_eq!(logs(files(node.store.disk_mut(), OTHER, "orders-0")), logs(expected));
}

#[test]
fn what_fails_is_the_directory_that_failed() {
    let fault = |call, path: &str, full| Fault { call, path: path.into(), after: 1, lasting: true, full };
    // Where the copy is made: the log is as it was.
    let mut node = loaded();
    node.store.disk_mut().inject(fault(DiskCall::Write, "-future", true));
    assert!(matches!(copy(&mut node, 300), Err(StoreError::Full(_))));
    node.store.disk_mut().heal();
    assert!(matches!(copy(&mut node, 300), Err(StoreError::Full(_))), "it stays offline");
    node.append(batch(1));
    // In the log itself: what is copied is checked.
    let mut node = loaded();
    assert_eq!(node.store.disk_mut().rot(&common::log_path(0), 10), 1);
    let Err(StoreError::Corrupt(what)) = copy(&mut node, 300) else { panic!() };
    assert!(what.contains("orders-0/"), "{what}");
    // The log has moved, and its old directory lets go of nothing.
    let mut node = loaded();
    copy(&mut node, 300).unwrap();
    node.store.disk_mut().inject(Fault { after: 0, ..fault(DiskCall::Remove, "-delete", false) });
    assert_eq!(node.store.execute(StoreOp::Move(LOG)), Ok(Done::Moved(None)));
    assert!(matches!(node.store.execute(StoreOp::Sweep(LOG)), Err(StoreError::Io(_))));
    node.append(batch(1));
    // A copy that is not wanted any more, and one of a log that goes.
    for op in [StoreOp::DropCopy(LOG), StoreOp::Remove(LOG)] {
        let mut node = loaded();
        copy(&mut node, 300).unwrap();
        node.run([op, StoreOp::Sweep(LOG)]);
        assert_eq!(folders(node.store.disk(), OTHER), [""; 0]);
    }
}

/// Whatever cannot be synced: the log goes on where it was only if a start does not take the copy for it.
#[test]
fn a_move_that_cannot_be_made_durable_loses_nothing() {
    let mut seen = [0; 3];
    for (after, lasting) in (0..40).flat_map(|after| [(after, false), (after, true)]) {
        let mut node = loaded();
        copy(&mut node, 300).unwrap();
        node.store.disk_mut().inject(Fault { call: DiskCall::Sync, path: String::new(), after, lasting, full: false });
        let result = node.store.execute(StoreOp::Move(LOG));
        node.store.disk_mut().heal();
        let is_on = node.try_append(batch(1)).is_ok();
        let outcome = match result {
            Ok(Done::Moved(None)) => break,
            Ok(Done::CopyFailed(_)) => 0,
            Ok(Done::Moved(Some((OTHER, _)))) => 1,
            Ok(Done::Moved(Some((DIR, _)))) => 2,
            other => panic!("{other:?}"),
        };
        assert_eq!(is_on, outcome != 1, "{after} {lasting}: {outcome}");
        seen[outcome] += 1;
        let end = node.shape.written_end();
        for has_power in [true, false] {
            let mut disk = node.store.disk().clone();
            if has_power {
                disk.crash();
            } else {
                disk.power_cut();
            }
            let (shape, ..) = mount(disk);
            // What was not flushed goes with the power.
            let least = if has_power { end } else { Offset(36) };
            assert!(shape.end() >= least, "{after} {lasting} {has_power}: {} of {end}", shape.end());
        }
    }
    assert!(seen.iter().all(|it| *it > 0), "{seen:?}");
}

#[test]
fn folders_of_nobody_are_found_and_set_aside() {
    let mut node = loaded();
    copy(&mut node, 300).unwrap();
    let disk = node.store.disk_mut();
    for folder in ["gone-3", "lost+found", "x-1.00ff-stray", "x-1.00ff-delete", "-5", "t-x"] {
        disk.create_dir(OTHER, folder).unwrap();
    }
    let Ok(Done::Surveyed(found)) = node.store.execute(StoreOp::Survey(OTHER)) else { panic!() };
    let found: Vec<_> = found.into_iter().map(|it| (it.folder, it.name.to_string(), it.copy_of)).collect();
    let copy = folders(node.store.disk(), OTHER).into_iter().find(|it| it.ends_with("-future")).unwrap();
    let expected = [
        (Str::from("gone-3"), "gone-3".to_owned(), None),
        (Str::from(copy), "orders-0".to_owned(), Some(Uuid([5; 16]))),
    ];
    assert_eq!(found, expected);
    let Ok(Done::Surveyed(found)) = node.store.execute(StoreOp::Survey(DIR)) else { panic!() };
    assert_eq!(found, [], "a log that is mounted is somebody's");
    let aside = |node: &mut Node, dir, folder: &str| match node.store.execute(StoreOp::SetAside(dir, folder.into())) {
        Ok(Done::SetAside(name)) => name.map(|it| it.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(aside(&mut node, DIR, "orders-0"), None);
    let zero = "0".repeat(32);
    assert_eq!(aside(&mut node, OTHER, "gone-3"), Some(format!("gone-3.{zero}-stray")));
    node.store.disk_mut().create_dir(OTHER, "gone-3").unwrap();
    assert_eq!(aside(&mut node, OTHER, "gone-3"), Some(format!("gone-3.{zero}1-stray")));
}

/// The controller has noted the new directory, and then the node died before the log had moved.
#[test]
fn a_copy_is_not_taken_for_the_log_unless_there_is_no_other() {
    let mut node = loaded();
    copy(&mut node, 300).unwrap();
    node.append(batch(1));
    let mut disk = node.store.into_disk();
    disk.crash();
    let mut store = Store::new(disk);
    let there = StoreOp::Mount(LOG, LogSpec { dir: OTHER, ..spec() });
    assert_eq!(store.execute(there.clone()), Ok(Done::OnlyCopy));
    let name = TopicPartition { topic: "orders".into(), partition: 0 };
    assert_eq!(store.execute(StoreOp::Adopt(OTHER, name, Uuid([5; 16]))), Ok(Done::Adopted));
    let Ok(Done::Mounted(shape)) = store.execute(there) else { panic!() };
    assert_eq!(shape.end(), Offset(36));
}

#[test]
fn a_log_of_a_topic_that_was_there_before_makes_room() {
    let node = loaded();
    let mut disk = node.store.into_disk();
    disk.crash();
    let mut store = Store::new(disk);
    let other = LogSpec { topic_id: Uuid([6; 16]), ..spec() };
    let seek = StoreOp::Mount(LOG, LogSpec { create: false, ..other.clone() });
    assert!(matches!(store.execute(seek), Err(StoreError::Corrupt(_))), "who only looks moves nothing");
    let Ok(Done::Mounted(shape)) = store.execute(StoreOp::Mount(LOG, other)) else { panic!() };
    assert_eq!((shape.end(), shape.mounted().created), (Offset(0), true));
    let aside = shape.mounted().aside.clone().unwrap();
    assert!(aside.contains("set aside as orders-0.") && aside.ends_with("-stray"), "{aside}");
    let left = folders(store.disk(), DIR);
    assert!(left.iter().any(|it| aside.ends_with(it.as_str())), "{left:?}");
}
