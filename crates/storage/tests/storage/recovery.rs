//! What a start finds after crashes, power cuts and worse.

use bytes::Bytes;
use protocol::records::BatchHead;
use protocol::{Era, ErrorCode, LeaderEpoch, Offset, Region, Str, TopicPartition, Uuid};
use storage::memory::{DiskCall, Fault};
use storage::{
    Cell, DirId, Disk, Done, LogId, LogSpec, Lookup, MemoryDisk, OpId, Seek, Store, StoreError, StoreOp,
    TimestampOffset, meta,
};

use crate::common::{
    DIR, FIRST, LOG, Node, Random, batch, batch_of, log_path, mounted, produced, small_segments, spec,
};

fn corruption(result: Result<Node, StoreError>) -> String {
    match result {
        Err(StoreError::Corrupt(what)) => what,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was mounted"),
    }
}

fn point(offset: i64) -> StoreOp {
    let name = TopicPartition { topic: Str::from("orders"), partition: 0 };
    StoreOp::Put(Cell::RecoveryPoints(DIR), meta::format_offsets([(&name, Offset(offset))]))
}

#[test]
fn a_new_log_has_kafkas_files() {
    let node = Node::new();
    assert!(node.shape.mounted().created);
    assert_eq!(node.names(), [log_path(0).as_str(), "orders-0/partition.metadata"]);
    let again = node.restart().unwrap();
    assert!(!again.shape.mounted().created);
    assert_eq!(again.shape.end(), Offset(0));
}

#[test]
fn a_crash_loses_nothing_that_was_written() {
    let mut node = Node::new().rules(small_segments(600));
    for (epoch, count) in [(0, 3), (0, 1), (2, 5), (2, 2), (5, 1), (5, 4), (5, 1)] {
        node.epoch = LeaderEpoch(epoch);
        node.append(batch(count));
    }
    node.append(produced(3, 0, 0, 2));
    let (before, spans) = (node.shape.clone(), node.spans());
    let mut node = node.restart().unwrap();
    assert_eq!(node.spans(), spans);
    assert_eq!(node.shape.end(), before.end());
    assert_eq!((node.shape.written_end(), node.shape.synced_end()), (before.end(), before.end()));
    assert_eq!(node.shape.epochs(), before.epochs());
    assert_eq!(node.shape.producers(), before.producers());
    assert_eq!(node.shape.tail(), before.tail());
    let sizes = |shape: &storage::Shape| {
        shape.segments().map(|it| (it.file, it.base, it.size, it.max_timestamp)).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&node.shape), sizes(&before));
    assert_eq!(node.shape.mounted().cut, None);
    // It goes on where it was.
    assert_eq!(node.append(batch(1)).first, before.end());
}

#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let mut node = Node::new();
    node.append(batch(2));
    let whole = node.shape.size();
    node.append(batch(3));
    let torn = node.shape.size();
    for len in whole..torn {
        let mut node = node.clone();
        node.resize(&log_path(0), len);
        let mut node = node.restart().unwrap();
        assert_eq!(node.spans(), [(0, 1)], "torn at {len}");
        assert_eq!(node.shape.size(), whole);
        assert_eq!(node.shape.mounted().cut.is_some(), len > whole);
        assert_eq!(node.append(batch(1)).first, Offset(2));
        assert_eq!(node.restart().unwrap().spans(), [(0, 1), (2, 2)]);
    }
}

#[test]
fn a_tail_of_zeros_is_cut() {
    let mut node = Node::new();
    node.append(batch(2));
    let whole = node.shape.size();
    node.resize(&log_path(0), whole + 100_000);
    let mut node = node.restart().unwrap();
    assert_eq!((node.spans(), node.shape.size()), (vec![(0, 1)], whole));
    let cut = node.shape.mounted().cut.clone().unwrap();
    assert!(cut.contains(&log_path(0)) && cut.contains(&format!("byte {whole}")), "{cut}");
}

#[test]
fn every_flipped_bit_is_found() {
    let mut node = Node::new();
    node.append(batch(1));
    let start = node.shape.size();
    node.append(batch_of(&[1, 2], 3));
    let end = node.shape.size();
    let (_, _, bytes) = node.store.disk().files().into_iter().find(|(_, path, _)| *path == log_path(0)).unwrap();
    for at in start..end {
        // The leader epoch is outside the CRC: nothing can tell that it changed.
        if (start + 12..start + 16).contains(&at) {
            continue;
        }
        // So is the base offset, whose lower bits may still look plausible.
        if (start..start + 8).contains(&at) {
            continue;
        }
        let mut node = node.clone();
        node.scribble(&log_path(0), at, &[bytes[at as usize] ^ 0x10]);
        assert_eq!(node.restart().unwrap().spans(), [(0, 0)], "byte {at}");
    }
}

#[test]
fn below_the_recovery_point_a_bad_batch_is_corruption() {
    let mut node = Node::new();
    node.append(batch(1));
    let second = node.shape.size();
    node.append(batch(1));
    node.append(batch(1));
    node.flush();
    node.run([point(2)]);
    let mut last = node.clone();
    last.scribble(&log_path(0), 2 * second + 70, b"x");
    assert_eq!(last.restart().unwrap().spans(), [(0, 0), (1, 1)], "above it is a tail");
    node.scribble(&log_path(0), second + 70, b"x");
    let before = node.names();
    let disk = node.store.disk().clone();
    let error = corruption(node.restart());
    assert!(error.contains(&log_path(0)) && error.contains(&format!("byte {second}")), "{error}");
    // Nothing was cut: it fails in the same way again.
    let again = corruption(Node::on(disk.clone()));
    assert_eq!(again, error);
    assert_eq!(disk.files().into_iter().map(|(_, path, _)| path).collect::<Vec<_>>(), before);
}

#[test]
fn a_bad_batch_takes_later_segments_along() {
    let mut node = Node::new().rules(small_segments(batch(1).bytes() as i32));
    for _ in 0..4 {
        node.append(batch(1));
    }
    node.scribble(&log_path(1), 70, b"x");
    let mut node = node.restart().unwrap();
    assert_eq!(node.spans(), [(0, 0)]);
    let logs: Vec<String> = node.names().into_iter().filter(|path| path.ends_with(".log")).collect();
    assert_eq!(logs, [log_path(0), log_path(1)]);
    assert_eq!(node.append(batch(1)).first, Offset(1));
    assert_eq!(node.restart().unwrap().spans(), [(0, 0), (1, 1)]);
}

#[test]
fn a_power_cut_loses_only_what_was_not_synced() {
    let mut node = Node::new().rules(small_segments(400));
    for _ in 0..5 {
        node.append(batch(2));
    }
    node.flush();
    let synced = node.spans();
    for _ in 0..5 {
        node.append(batch(2));
    }
    let mut lost = node.clone().power_cut().unwrap();
    assert_eq!(lost.spans(), synced);
    assert_eq!(lost.shape.mounted().cut, None);
    node.flush();
    let all = node.spans();
    assert_eq!(node.power_cut().unwrap().spans(), all);
}

#[test]
fn whenever_the_power_ends_what_was_synced_is_there() {
    // The same story each time, ended at every disk call in turn.
    let story = |node: &mut Node| -> Result<i64, (i64, StoreError)> {
        let mut synced = 0;
        let mut step = |node: &mut Node| -> Result<(), StoreError> {
            for round in 0..6 {
                node.try_append(batch(2))?;
                node.try_append(produced(1, 0, round * 3, 3))?;
                if round % 2 == 1 {
                    let (op, end) = node.shape.flush();
                    node.store.execute(op)?;
                    node.shape.synced(end);
                    synced = end.0;
                }
                if round == 3 {
                    let ops = node.shape.advance_log_start(Offset(4));
                    for op in ops {
                        node.store.execute(op)?;
                    }
                }
            }
            Ok(())
        };
        match step(node) {
            Ok(()) => Ok(synced),
            Err(error) => Err((synced, error)),
        }
    };
    let fresh = || Node::new().rules(small_segments(500));
    let mut calm = fresh();
    story(&mut calm).unwrap();
    let calls = calm.store.disk().calls();
    assert!(calls > 50, "{calls} calls");
    let mut cuts = 0;
    for end in fresh().store.disk().calls()..calls {
        let mut node = fresh();
        node.store.disk_mut().end_power_at(end);
        let (synced, error) = story(&mut node).unwrap_err();
        assert!(matches!(error, StoreError::Io(_)), "{error}");
        let mut node = node.power_cut().unwrap_or_else(|error| panic!("call {end}: {error}"));
        assert!(node.shape.end() >= Offset(synced), "call {end}: {} < {synced}", node.shape.end());
        cuts += u32::from(node.shape.end() == Offset(synced));
        let spans = node.spans();
        assert!(spans.windows(2).all(|it| it[0].1 + 1 == it[1].0), "call {end}: {spans:?}");
        assert_eq!(spans.last().map_or(0, |it| it.1 + 1), node.shape.end().0);
        node.append(batch(1));
    }
    assert!(cuts > 10, "the cuts must cut something");
}

#[test]
fn a_clean_stop_is_known_once() {
    let mut node = Node::new();
    node.append(batch(3));
    node.run([StoreOp::Put(Cell::CleanShutdown(DIR), meta::format_clean_shutdown(42))]);
    assert!(node.names().contains(&"orders-0/00000000000000000000.timeindex".to_owned()));
    let node = node.power_cut().unwrap();
    assert_eq!((node.shape.mounted().clean, node.shape.mounted().broker_epoch), (true, Some(42)));
    assert_eq!(node.shape.end(), Offset(3));
    assert!(!node.restart().unwrap().shape.mounted().clean);
}

#[test]
fn checkpoints_come_back_with_the_mount() {
    let mut node = Node::new();
    for _ in 0..3 {
        node.append(batch(2));
    }
    let name = TopicPartition { topic: Str::from("orders"), partition: 0 };
    node.run([
        point(4),
        StoreOp::Put(Cell::HighWatermarks(DIR), meta::format_offsets([(&name, Offset(5))])),
        StoreOp::Put(Cell::LogStarts(DIR), meta::format_offsets([(&name, Offset(3))])),
        StoreOp::Put(Cell::QuorumState(LOG), Bytes::from_static(b"{}")),
    ]);
    let node = node.restart().unwrap();
    let mounted = node.shape.mounted();
    assert_eq!((mounted.high_watermark, mounted.recovery_point), (Some(Offset(5)), Some(Offset(4))));
    assert_eq!(mounted.quorum_state, Some(Bytes::from_static(b"{}")));
    assert_eq!(node.shape.log_start(), Offset(3));
    // What follows the log start is lost: deleted records stay deleted all the same.
    let mut node = node;
    node.resize(&log_path(0), 0);
    node.run([point(0)]);
    let mut node = node.restart().unwrap();
    assert_eq!((node.shape.log_start(), node.shape.end()), (Offset(3), Offset(3)));
    assert_eq!(node.append(batch(1)).first, Offset(3));
}

#[test]
fn garbage_in_checkpoints_is_named() {
    for path in ["orders-0/leader-epoch-checkpoint", "orders-0/partition.metadata", "replication-offset-checkpoint"] {
        let mut node = Node::new();
        node.append(batch(1));
        node.flush();
        let name = TopicPartition { topic: Str::from("orders"), partition: 0 };
        node.run([StoreOp::Put(Cell::HighWatermarks(DIR), meta::format_offsets([(&name, Offset(1))]))]);
        node.scribble(path, 0, b"\0\0\0\0");
        if path.ends_with("leader-epoch-checkpoint") {
            // After a crash it may be torn, and is made anew.
            let mut node = node.clone().restart().unwrap();
            assert_eq!(epochs(&node), epochs_of_batches(&mut node));
        }
        node.run([StoreOp::Put(Cell::CleanShutdown(DIR), meta::format_clean_shutdown(1))]);
        let error = corruption(node.restart());
        assert!(error.contains(path) && error.contains("remove"), "{error}");
    }
}

fn epochs(node: &Node) -> Vec<(i32, i64)> {
    node.shape.epochs().entries().iter().map(|it| (it.epoch.0, it.start.0)).collect()
}

fn epochs_of_batches(node: &mut Node) -> Vec<(i32, i64)> {
    let heads = node.heads(node.shape.log_start().0);
    let mut found: Vec<(i32, i64)> = heads.iter().map(|head| (head.leader_epoch.0, head.base_offset.0)).collect();
    found.dedup_by_key(|it| it.0);
    found
}

/// The first append to each log, and to each leader epoch, waited twice for the disk, and all others waited with it. Then they
/// replaced the good file by one that was not on disk: a power cut could leave it empty, and Apache Kafka without any epoch.
#[test]
fn leader_epochs_are_written_with_the_next_flush() {
    let mut node = Node::new();
    let synced = |node: &Node| {
        let files = node.store.disk().survey();
        files.iter().find(|it| it.path == "orders-0/leader-epoch-checkpoint").map(|it| it.synced == it.len)
    };
    for epoch in [0, 4] {
        node.epoch = LeaderEpoch(epoch);
        node.append(batch(1));
        assert_eq!(synced(&node), (epoch > 0).then_some(true), "epoch {epoch}: the file is the last one, or none yet");
        node.flush();
        assert_eq!(synced(&node), Some(true), "epoch {epoch}");
    }
}

/// What the file lacks after a crash, or has torn, is told by the batches behind the recovery point.
#[test]
fn leader_epochs_survive_though_nobody_waited_for_them() {
    for seed in 1..=300 {
        let mut random = Random(seed);
        let mut node = Node::new().rules(small_segments(400));
        for step in 0..40 {
            match random.below(10) {
                0..=4 => drop(node.append(batch(1))),
                5 | 6 => node.epoch = LeaderEpoch(node.epoch.0 + 1),
                7 => {
                    node.flush();
                    let end = node.shape.end().0;
                    node.run([point(end)]);
                }
                8 if random.below(2) == 0 && node.shape.end() > node.shape.log_start() => {
                    // What was written down of the recovery point may be above the end.
                    let (start, end) = (node.shape.log_start().0, node.shape.end().0);
                    node.truncate(end - random.below((end - start).min(3) as u64 + 1) as i64);
                    node.epoch = LeaderEpoch(node.epoch.0 + 1);
                }
                8 => node = node.restart().unwrap(),
                _ => {
                    let (rules, epoch, mut disk) = (node.rules, node.epoch, node.store.into_disk());
                    disk.power_cut_torn(&mut |bound| random.below(bound));
                    let mounted = Node::on(disk);
                    node = Node { rules, epoch, ..mounted.unwrap_or_else(|error| panic!("seed {seed}: {error}")) };
                    // All that is there was read and synced.
                    let end = node.shape.end().0;
                    node.run([point(end)]);
                }
            }
            assert_eq!(epochs(&node), epochs_of_batches(&mut node), "seed {seed}, step {step}");
        }
    }
}

/// A start reads from the last file on if the recovery point is above it, and would say that the epoch begins there.
#[test]
fn leader_epochs_survive_a_cut_below_the_recovery_point() {
    for is_started_anew in [false, true] {
        let mut node = Node::new();
        for (epoch, count) in [(3, 50), (4, 50)] {
            node.epoch = LeaderEpoch(epoch);
            (0..count).for_each(|_| drop(node.append(batch(1))));
        }
        node.flush();
        node.run([point(100)]);
        node.truncate(80);
        if is_started_anew {
            node = node.restart().unwrap();
        }
        node.epoch = LeaderEpoch(6);
        (0..5).for_each(|_| drop(node.append(batch(1))));
        let mut node = node.rules(small_segments(batch(1).bytes() as i32));
        node.append(batch(1));
        assert_eq!(node.shape.segments().next_back().unwrap().base, Offset(85));
        let node = node.restart().unwrap();
        assert_eq!((epochs(&node), node.shape.end()), (vec![(3, 0), (4, 50), (6, 80)], Offset(86)));
    }
}

/// What a crash left of a deleted log is swept; what only ends like one is somebody's, and told of.
#[test]
fn only_the_folders_of_deleted_logs_are_removed() {
    use storage::Disk;
    let mut disk = MemoryDisk::new();
    let graves = ["gone-0.0123456789abcdef0123456789abcdef-delete", "a.b-c-12.FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF-delete"];
    let others = ["backup-delete", "a-0.0123-delete", "a.0123456789abcdef0123456789abcdef-delete", "x-delete.old"];
    for folder in graves.iter().chain(&others) {
        disk.create_dir(DIR, folder).unwrap();
        disk.create_dir(DIR, &format!("{folder}/more")).unwrap();
        disk.open(DIR, &format!("{folder}/more/file"), true).unwrap();
    }
    let node = Node::on(disk).unwrap();
    let told = node.shape.mounted().aside.clone().unwrap();
    for (folder, stays) in graves.iter().map(|it| (it, false)).chain(others.iter().map(|it| (it, true))) {
        assert_eq!(node.store.disk().list(DIR, folder).is_ok(), stays, "{folder}");
        assert_eq!(told.contains(folder), stays && folder.ends_with("-delete"), "{folder}: {told}");
    }
}

#[test]
fn another_topics_folder_is_refused_by_who_only_looks() {
    let mut node = Node::new();
    node.append(batch(1));
    let mut store = Store::new(node.store.into_disk());
    let other = LogSpec { topic_id: Uuid([6; 16]), create: false, ..spec() };
    let Err(StoreError::Corrupt(error)) = store.execute(StoreOp::Mount(LOG, other)) else { panic!() };
    assert!(error.contains("orders-0/partition.metadata"), "{error}");
    assert_eq!(mounted(&mut store).unwrap().end(), Offset(1), "whose it is may have it");
}

#[test]
fn nothing_is_created_unless_asked() {
    let mut store = Store::new(MemoryDisk::new());
    let absent = LogSpec { create: false, ..spec() };
    assert_eq!(store.execute(StoreOp::Mount(LOG, absent)), Err(StoreError::Missing));
    let outside = LogSpec { topic: Str::from("../etc"), ..spec() };
    assert!(matches!(store.execute(StoreOp::Mount(LogId(8), outside)), Err(StoreError::Corrupt(_))));
    assert_eq!(store.disk().files(), []);
}

#[test]
fn truncation_starts_an_era() {
    let mut node = Node::new().rules(small_segments(400));
    for epoch in 0..6 {
        node.epoch = LeaderEpoch(epoch);
        node.append(batch(2));
    }
    let old = node.regions(4, u32::MAX);
    let reading = node.store.resolve(old[0]).unwrap();
    node.truncate(7);
    assert_eq!(node.spans(), [(0, 1), (2, 3), (4, 5)], "the batch that holds 7 is cut whole");
    assert_eq!((node.shape.end(), node.shape.synced_end(), node.shape.era()), (Offset(6), Offset(6), Era(1)));
    assert_eq!(node.shape.epochs().latest(), Some(LeaderEpoch(2)));
    for region in old {
        assert_eq!(node.store.execute(StoreOp::Load(region)), Err(StoreError::Missing));
    }
    let seek = Seek::Read { offset: Offset(0), limit: Offset(6), max_bytes: 9 };
    assert_eq!(node.store.execute(StoreOp::Find(LOG, Era(0), seek)), Err(StoreError::Missing));
    assert_eq!(reading.len as usize, batch(2).bytes(), "the last batch of the first file");
    // Written by another leader now.
    node.epoch = LeaderEpoch(9);
    assert_eq!(node.append(batch(1)).first, Offset(6));
    let node = node.power_cut().unwrap();
    assert_eq!(node.shape.end(), Offset(6), "the cut itself was synced");
    assert_eq!(node.shape.epochs().latest(), Some(LeaderEpoch(2)));
}

/// A look-up begins where another ended; what a cut took away is no such place.
#[test]
fn who_reads_on_gets_what_follows() {
    let mut node = Node::new().rules(small_segments(400));
    for size in [2, 1, 3, 2, 1, 2] {
        node.append(batch(size));
    }
    let find = |node: &mut Node, offset: i64, era: u32| {
        let seek = Seek::Read { offset: Offset(offset), limit: node.shape.end(), max_bytes: 1 };
        let Ok(Done::Found(regions)) = node.store.execute(StoreOp::Find(LOG, Era(era), seek)) else {
            panic!("no answer")
        };
        let [region] = regions[..] else { panic!("{regions:?}") };
        let Ok(Done::Loaded(bytes)) = node.store.execute(StoreOp::Load(region)) else { panic!("{region:?}") };
        let head = BatchHead::decode(&bytes).unwrap();
        assert_eq!(head.size(), bytes.len());
        (head.base_offset.0, head.last_offset().0, head.leader_epoch)
    };
    // Two readers, each of all offsets, one after the other: in the middle of a batch, too.
    for offset in 0..11 {
        let found = find(&mut node, offset, 0);
        assert!((found.0..=found.1).contains(&offset), "{found:?} for {offset}");
        assert_eq!(found, find(&mut node, found.0, 0));
    }
    assert_eq!(find(&mut node, 2, 0), (2, 2, LeaderEpoch(0)));
    node.truncate(3);
    node.epoch = LeaderEpoch(7);
    node.append(batch(1));
    node.append(batch(4));
    assert_eq!(find(&mut node, 3, 1), (3, 3, LeaderEpoch(7)));
    assert_eq!(find(&mut node, 4, 1), (4, 7, LeaderEpoch(7)));
}

#[test]
fn a_log_can_start_anew_beyond_its_end() {
    let mut node = Node::new();
    node.append(batch(2));
    node.truncate(100);
    assert_eq!((node.shape.log_start(), node.shape.end()), (Offset(100), Offset(100)));
    assert_ne!(node.shape.segments().next().unwrap().file, FIRST, "a file's number is never used twice");
    assert_eq!(node.append(batch(1)).first, Offset(100));
    let mut node = node.restart().unwrap();
    assert_eq!(node.spans(), [(100, 100)]);
    node.truncate(100);
    assert_eq!((node.spans(), node.shape.end()), (vec![], Offset(100)));
}

#[test]
fn files_that_are_given_up_can_still_be_sent() {
    let mut node = Node::new().rules(small_segments(200));
    for _ in 0..3 {
        node.append(batch(1));
    }
    let opened = node.store.take_changes().opened;
    assert_eq!(opened.len(), node.shape.segments().count());
    let region = node.regions(0, 1)[0];
    let resolved = node.store.resolve(region).unwrap();
    let ops = node.shape.advance_log_start(Offset(2));
    node.run(ops);
    assert_eq!(node.store.take_changes().gone.first(), Some(&FIRST));
    assert!(!node.names().contains(&log_path(0)));
    assert!(node.store.resolve(region).is_err());
    let missing = Region { len: region.len + 1, ..node.regions(2, 1)[0] };
    assert!(node.store.resolve(missing).is_err(), "a region beyond the file");
    // MemoryDisk forgets a closed file; what was read of it before stays.
    assert_eq!(resolved.len, region.len);
    node.flush();
    assert_eq!(node.power_cut().unwrap().shape.segments().next().unwrap().base, Offset(2));
}

#[test]
fn a_removed_log_leaves_nothing() {
    let mut node = Node::new();
    node.append(batch(1));
    node.flush();
    let op = node.shape.remove();
    let mut crashing = node.clone();
    node.run([op.clone()]);
    assert!(node.names().iter().all(|it| it.contains("-delete/")), "{:?}", node.names());
    assert_eq!(node.store.execute(StoreOp::Flush(LOG)), Err(StoreError::Missing));
    node.run([StoreOp::Sweep(LOG)]);
    assert_eq!(node.names(), Vec::<String>::new());
    assert_eq!(node.restart().unwrap().shape.end(), Offset(0));
    // Half way: the folder is renamed, its files are there.
    crashing.store.disk_mut().inject(Fault {
        call: DiskCall::Remove,
        path: "-delete".into(),
        after: 1,
        lasting: true,
        full: false,
    });
    crashing.run([op]);
    assert!(matches!(crashing.store.execute(StoreOp::Sweep(LOG)), Err(StoreError::Io(_))));
    let mut disk = crashing.store.into_disk();
    disk.heal();
    disk.power_cut();
    assert!(
        disk.files().iter().all(|(_, path, _)| path.ends_with("-delete") || path.contains("-delete/")),
        "{:?}",
        disk.files()
    );
    let node = Node::on(disk).unwrap();
    assert!(node.shape.mounted().created);
    assert_eq!(node.names().len(), 2);
}

#[test]
fn a_failed_lane_takes_its_directory_offline() {
    let mut node = Node::new();
    node.append(batch(1));
    let used = node.store.disk().used();
    node.store.disk_mut().set_capacity(Some(used + 10));
    let error = node.try_append(batch(1)).unwrap_err();
    assert!(matches!(&error, StoreError::Full(what) if what.contains(&log_path(0))), "{error}");
    node.store.disk_mut().set_capacity(None);
    assert_eq!(node.store.execute(StoreOp::Flush(LOG)), Err(error.clone()), "all behind it fails alike");
    assert_eq!(node.store.execute(StoreOp::Put(Cell::LogStarts(DIR), Bytes::new())), Err(error));
    assert_eq!(node.heads(0).len(), 1, "what is there can be read");
    assert_eq!(
        node.store.execute(StoreOp::Put(Cell::LogStarts(DirId(1)), Bytes::new())),
        Ok(Done::Put),
        "another directory goes on"
    );
    assert_eq!(node.restart().unwrap().shape.end(), Offset(1));
}

#[test]
fn appends_of_a_turn_are_one_write() {
    let mut node = Node::new();
    let other = LogId(8);
    node.run([StoreOp::Mount(other, LogSpec { partition: 1, ..spec() })]);
    let mut twin = storage::Shape::new(other, Offset(0), storage::file_id(other, 0), Era(0));
    let mut ops = Vec::new();
    for _ in 0..5 {
        ops.extend(node.shape.append(batch(1), LeaderEpoch(0), &node.rules, protocol::WallMs(0)).unwrap().ops);
        ops.extend(twin.append(batch(1), LeaderEpoch(0), &node.rules, protocol::WallMs(0)).unwrap().ops);
    }
    ops.retain(|op| matches!(op, StoreOp::Append(..)));
    ops.push(StoreOp::Flush(LOG));
    let before = node.store.disk().calls();
    let answers = node.store.execute_all(ops.into_iter().enumerate().map(|(id, op)| (OpId(id as u64), op)));
    assert_eq!(answers.len(), 11);
    for (index, (id, answer)) in answers.iter().enumerate() {
        assert_eq!(*id, OpId(index as u64), "answers come in order");
        assert_eq!(*answer, Ok(if index == 10 { Done::Flushed } else { Done::Appended }));
    }
    // One write a log, then the flush of one: its file and its folder are synced.
    assert!(node.store.disk().calls() - before <= 4, "{}", node.store.disk().calls() - before);
    node.shape.written(node.shape.end());
    assert_eq!(node.spans().len(), 5);
    assert_eq!(node.power_cut().unwrap().spans().len(), 5);
}

#[test]
fn old_offsets_and_times_are_found_through_indexes() {
    // Sealed segments with several index entries each, in memory, from their files, and from files that lie.
    let mut node = Node::new().rules(small_segments(40_000));
    for index in 0..200i64 {
        node.append(batch_of(&[index * 10, index * 10 + 5], 300));
    }
    let end = node.shape.end();
    let size = batch_of(&[0, 0], 300).bytes() as u32;
    let check = |node: &mut Node| {
        for offset in [0, 1, 2, 57, 58, 199, 300, 399] {
            for max_bytes in [0, size, 10 * size + 7, 90 * size, u32::MAX] {
                for limit in [end, Offset(301), Offset(60)] {
                    let seek = Seek::Read { offset: Offset(offset), limit, max_bytes };
                    let planned = match node.shape.plan_read(Offset(offset), limit, max_bytes) {
                        storage::Plan::Regions(regions, _) => regions,
                        storage::Plan::Empty => Vec::new(),
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(node.find(seek), planned, "{seek:?}");
                }
            }
        }
        let mut ask = |seek| match node.store.execute(StoreOp::Find(LOG, Era(0), seek)) {
            Ok(Done::FoundTimestamp(found)) => found.map(|it| (it.timestamp, it.offset.0)),
            other => panic!("{other:?}"),
        };
        let from = Offset(0);
        for (timestamp, found) in
            [(0, Some((0, 0))), (1, Some((5, 1))), (1001, Some((1005, 201))), (1995, Some((1995, 399))), (1996, None)]
        {
            assert_eq!(ask(Seek::Timestamp { timestamp, from, limit: end }), found, "{timestamp}");
        }
        assert_eq!(
            ask(Seek::Timestamp { timestamp: 0, from: Offset(101), limit: end }),
            Some((505, 101)),
            "deleted records are not found"
        );
        assert_eq!(ask(Seek::Timestamp { timestamp: 1001, from, limit: Offset(200) }), None, "above the limit");
        assert_eq!(ask(Seek::MaxTimestamp { from, limit: end }), Some((1995, 399)));
        assert_eq!(ask(Seek::MaxTimestamp { from, limit: Offset(100) }), Some((495, 99)));
        assert_eq!(ask(Seek::MaxTimestamp { from, limit: from }), None);
    };
    check(&mut node);
    let mut node = node.restart().unwrap();
    check(&mut node);
    // After a clean stop sealed segments are not read at all.
    node.run([StoreOp::Put(Cell::CleanShutdown(DIR), Bytes::new())]);
    let calm = node.restart().unwrap();
    let mut read = calm.clone();
    // The tail knows the last segment alone, so all the rest is a search.
    assert!(read.shape.tail().floor() > Offset(0));
    let whole: Vec<_> = (0..end.0).step_by(2).map(|at| (at, at + 1)).collect();
    assert_eq!(read.heads(0).iter().map(|it| (it.base_offset.0, it.last_offset().0)).collect::<Vec<_>>(), whole);
    let index = "orders-0/00000000000000000000.index";
    for lie in [&b""[..], b"garbage", &[0, 0, 0, 9, 0, 0, 0, 77]] {
        let mut liar = calm.clone();
        liar.resize(index, 0);
        liar.scribble(index, 0, lie);
        let mut node = liar.restart().unwrap();
        check(&mut node);
    }
}

/// As Apache Kafka does, which says so, too: else each look-up reads the whole segment, and Kafka trusts what it finds there.
#[test]
fn index_files_that_are_missing_or_garbage_are_written_anew() {
    let mut node = Node::new().rules(small_segments(40_000));
    for index in 0..300i64 {
        node.append(batch_of(&[index * 10], 300));
    }
    node.run([StoreOp::Put(Cell::CleanShutdown(DIR), Bytes::new())]);
    let bases: Vec<i64> = node.shape.segments().map(|it| it.base.0).collect();
    let [first, second, .., active] = bases[..] else { panic!("{bases:?}") };
    let files = |node: &Node| {
        let is_sealed = |path: &str| path.ends_with("index") && !path.contains(&format!("/{active:020}"));
        let files = node.store.disk().files().into_iter().filter(|(_, path, _)| is_sealed(path));
        files.map(|(_, path, bytes)| (path, bytes.to_vec())).collect::<Vec<_>>()
    };
    let good = files(&node);
    assert_eq!(node.clone().restart().unwrap().shape.mounted().aside, None, "nothing is wrong with them");
    let path = |base: i64, suffix: &str| format!("orders-0/{base:020}.{suffix}");
    for suffix in ["index", "timeindex"] {
        node.store.disk_mut().remove(DIR, &path(first, suffix)).unwrap();
    }
    node.store.disk_mut().sync_dir(DIR, "orders-0").unwrap();
    node.scribble(&path(second, "timeindex"), 0, b"\xff\xfe\xfdgarbage");
    let node = node.restart().unwrap();
    let told = node.shape.mounted().aside.clone().unwrap();
    assert!(told.contains(&path(first, "log")) && told.contains("of 1 more") && told.contains("made anew"), "{told}");
    assert_eq!(files(&node), good, "they are what they were");
    let node = node.power_cut().unwrap();
    assert_eq!((node.shape.mounted().aside.clone(), files(&node)), (None, good), "and stay it");
}

/// Of however many segments there are, a look-up by time reads the files of the one that holds the answer.
#[test]
fn a_time_is_found_without_a_look_at_every_segment() {
    let mut node = Node::new().rules(small_segments(20_000));
    for index in 0..200i64 {
        node.append(batch_of(&[index * 10, index * 10 + 5], 300));
    }
    node.run([StoreOp::Put(Cell::CleanShutdown(DIR), Bytes::new())]);
    let mut node = node.restart().unwrap();
    let bases: Vec<i64> = node.shape.segments().map(|it| it.base.0).collect();
    let [others @ .., holder, _] = &bases[..] else { panic!("{bases:?}") };
    for base in others {
        let path = format!("orders-0/{base:020}.");
        node.store.disk_mut().inject(Fault { call: DiskCall::Read, path, after: 0, lasting: true, full: false });
    }
    let timestamp = holder * 5 + 20;
    let Lookup::Seek(seek) = node.shape.offset_for_timestamp(timestamp, node.shape.end()) else { panic!("no file") };
    let found = node.store.execute(StoreOp::Find(LOG, Era(0), seek));
    assert!(
        matches!(found, Ok(Done::FoundTimestamp(Some(it))) if (it.timestamp, it.offset.0) == (timestamp, timestamp / 5)),
        "{found:?}"
    );
}

/// The latest time is looked up through the index, too, not by a walk through the segment that has it.
#[test]
fn the_latest_time_is_found_without_a_walk() {
    let mut node = Node::new().rules(small_segments(200_000));
    for index in 0..1_000i64 {
        node.append(batch_of(&[if index == 400 { 50_000 } else { index }], 300));
    }
    node.run([StoreOp::Put(Cell::CleanShutdown(DIR), Bytes::new())]);
    let mut node = node.restart().unwrap();
    assert!(node.shape.segments().nth(1).unwrap().base > Offset(420));
    let newest = |node: &mut Node, limit: i64| {
        let seek = Seek::MaxTimestamp { from: Offset(0), limit: Offset(limit) };
        match node.store.execute(StoreOp::Find(LOG, Era(0), seek)) {
            Ok(Done::FoundTimestamp(found)) => found.map(|it| (it.timestamp, it.offset.0)),
            other => panic!("{other:?}"),
        }
    };
    // Where it is out of bounds, the next one counts.
    assert_eq!(newest(&mut node, 400), Some((399, 399)));
    // Whoever walks there finds that the first batch is none.
    node.scribble(&log_path(0), 16, b"\x09");
    assert_eq!(newest(&mut node, 1_000), Some((50_000, 400)));
}

#[test]
fn a_compressed_batch_is_searched_by_time() {
    use protocol::records::{BatchBuilder, Compression, PureCompressors};
    let mut node = Node::new();
    let mut builder = BatchBuilder::new(Compression::Lz4);
    for timestamp in [100, 300, 200] {
        builder.push(protocol::WallMs(timestamp), None, Some(b"v"), &[]);
    }
    node.append(builder.build_batches(&PureCompressors).unwrap());
    let ask = |node: &mut Node, seek| node.store.execute(StoreOp::Find(LOG, Era(0), seek));
    let at = |timestamp, offset| {
        Ok(Done::FoundTimestamp(Some(TimestampOffset {
            timestamp,
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(0),
        })))
    };
    let (from, limit) = (Offset(0), Offset(3));
    assert_eq!(ask(&mut node, Seek::Timestamp { timestamp: 150, from, limit }), at(300, 1));
    assert_eq!(ask(&mut node, Seek::MaxTimestamp { from, limit }), at(300, 1));
}

#[test]
fn a_read_that_the_disk_refuses_fails_the_directory() {
    let mut node = Node::new();
    node.append(batch(1));
    let region = node.regions(0, 1)[0];
    node.store.disk_mut().inject(Fault {
        call: DiskCall::Read,
        path: log_path(0),
        after: 0,
        lasting: true,
        full: false,
    });
    let failed = node.store.execute(StoreOp::Load(region)).unwrap_err();
    assert!(matches!(failed, StoreError::Io(_)));
    node.store.disk_mut().heal();
    // What comes later is not written behind the core's back, which takes the directory for offline.
    assert!(node.store.execute(StoreOp::Load(region)).is_ok());
    assert_eq!(node.store.execute(StoreOp::Flush(LOG)), Err(failed));
}

#[test]
fn refusals_have_kafkas_codes() {
    let error = Node::new().rules(small_segments(10));
    let mut shape = error.shape.clone();
    let refused = shape.append(batch(1), LeaderEpoch(0), &error.rules, protocol::WallMs(0)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::RecordListTooLarge);
}
