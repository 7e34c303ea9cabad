use std::time::Duration;

use protocol::records::{BatchBuilder, Compression, PureCompressors};
use protocol::{LeaderEpoch, Offset, Str, Uuid, WallMs};
use storage::clean::CleanPlan;
use storage::{DirId, LogRules, LogSpec, SegmentRules, Shape};

use super::*;

/// Hands operations over and waits for as many answers.
fn answers(lane: &Lane, woken: &Receiver<()>, first: u64, ops: Vec<StoreOp>) -> Vec<Result<Done, StoreError>> {
    let ids: Vec<OpId> = (first..).take(ops.len()).map(OpId).collect();
    lane.submit(ids.iter().copied().zip(ops).collect());
    let mut found: Vec<(OpId, Result<Done, StoreError>)> = Vec::new();
    while found.len() < ids.len() {
        woken.recv().unwrap();
        found.extend(lane.finished().into_iter().filter(|it| ids.contains(&it.op)).map(|it| (it.op, it.result)));
    }
    found.sort_by_key(|(id, _)| *id);
    found.into_iter().map(|(_, result)| result).collect()
}

fn spec(partition: i32) -> LogSpec {
    LogSpec {
        dir: DirId(0),
        topic: Str::from("orders"),
        partition,
        topic_id: Uuid([5; 16]),
        create: true,
        synced: false,
        replicated: false,
        compacted: false,
        segments: SegmentRules::default(),
    }
}

/// A record at the end of a log.
fn append(shape: &mut Shape) -> StoreOp {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(WallMs(1_000), None, Some(b"value"), &[]);
    let batches = builder.build_batches(&PureCompressors).unwrap();
    let ops = shape.append(batches, LeaderEpoch(0), &LogRules::default(), WallMs(1_000)).unwrap().ops;
    ops.into_iter().find(|op| matches!(op, StoreOp::Append(..))).unwrap()
}

#[test]
fn flushes_and_mounts_beside_other_work_are_overtaken_by_nothing_that_depends_on_them() {
    const LOGS: u32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let (wake, woken) = channel();
    let mut lane = Lane::start(NativeDisk::new(vec![folder.path().to_owned()]), 2, move || {
        let _ = wake.send(());
    })
    .unwrap();
    let log = LogId(1);
    let mounted = answers(&lane, &woken, 0, vec![StoreOp::Mount(log, spec(0))]);
    let [Ok(Done::Mounted(shape))] = &mounted[..] else { panic!("{mounted:?}") };
    let mut shape = shape.clone();
    let mut ops = Vec::new();
    for _ in 0..3 {
        ops.extend([append(&mut shape), StoreOp::Flush(log)]);
    }
    // A topic of many partitions, of which the last is deleted before it was there; and the log itself.
    ops.extend((1..LOGS).map(|it| StoreOp::Mount(LogId(it + 1), spec(it as i32))));
    ops.extend([StoreOp::Remove(LogId(LOGS)), StoreOp::Remove(log)]);
    ops.extend([StoreOp::Sweep(LogId(LOGS)), StoreOp::Sweep(log)]);
    let count = ops.len();
    lane.submit((10..).map(OpId).zip(ops).collect());
    let mut order = Vec::new();
    while order.len() < count {
        woken.recv().unwrap();
        for it in lane.finished() {
            assert!(it.result.is_ok(), "{it:?}");
            order.push(it.op.0);
        }
    }
    let place = |op: u64| order.iter().position(|it| *it == op).unwrap();
    let [flushes, last] = [[11, 13, 15], [14 + u64::from(LOGS), 15 + u64::from(LOGS), 16 + u64::from(LOGS)]];
    assert!(place(flushes[0]) < place(flushes[1]) && place(flushes[1]) < place(flushes[2]), "{order:?}");
    assert!(place(flushes[2]) < place(last[2]), "the log is removed when it is flushed: {order:?}");
    assert!(place(last[0]) < place(last[1]), "a log is removed when it is mounted: {order:?}");
    lane.stop();
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, LOGS as usize - 2, "all but two are there");
}

/// A lane without threads beside it: what is to run there is carried out at once, and told of as ever.
fn worker(folder: &std::path::Path) -> (Worker, Receiver<Message>) {
    worker_with(folder, |ended| Flushers::with(ended, Box::new(|_| Err(std::io::ErrorKind::WouldBlock.into()))))
}

fn worker_with(
    folder: &std::path::Path,
    flushers: impl FnOnce(Sender<Message>) -> Flushers,
) -> (Worker, Receiver<Message>) {
    let (sender, told) = channel();
    let worker = Worker {
        store: Store::new(NativeDisk::new(vec![folder.to_owned()])),
        cleaners: Cleaners::new(sender.clone(), Arc::new(NativeCompressors)),
        copiers: Copiers::new(sender.clone()),
        flushers: flushers(sender.clone()),
        mounters: Mounters::new(sender),
        mount_threads: 1,
        inbox: Inbox::default(),
        mounts: VecDeque::new(),
        held: Map::new(),
        puts: Map::new(),
        serves: true,
    };
    (worker, told)
}

type Answer = (u64, Result<Done, StoreError>);

fn taken(finished: &mut Vec<Finished>) -> Vec<Answer> {
    finished.drain(..).map(|it| (it.op.0, it.result)).collect()
}

/// Lets the lane hear of the next end.
fn hear(worker: &mut Worker, told: &Receiver<Message>) -> Vec<Answer> {
    let Ok(Message::Flushed(of, op)) = told.try_recv() else { panic!("nothing has ended") };
    let mut finished = Vec::new();
    worker.flushed(of, op, &mut finished);
    worker.release(&mut finished);
    taken(&mut finished)
}

#[test]
fn flushes_that_waited_end_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut worker, told) = worker(folder.path());
    let log = LogId(1);
    worker.store.execute(StoreOp::Mount(log, spec(0))).unwrap();
    let mut finished = Vec::new();
    for op in 1..=4 {
        worker.flush(OpId(op), log, &mut finished);
    }
    assert_eq!(finished.len(), 0);
    for ended in [vec![1], vec![2, 3, 4]] {
        let answers = hear(&mut worker, &told);
        assert_eq!(answers, ended.into_iter().map(|op| (op, Ok(Done::Flushed))).collect::<Vec<_>>());
    }
}

/// Appends of the metadata log, of which a hole would be damage. All other logs waited with it for its syncs.
#[test]
fn nothing_is_appended_to_a_synced_log_while_it_is_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut worker, told) = worker(folder.path());
    let [log, other] = [1, 2].map(LogId);
    let mounted = worker.store.execute(StoreOp::Mount(log, LogSpec { synced: true, ..spec(0) }));
    let Ok(Done::Mounted(mut shape)) = mounted else { panic!("{mounted:?}") };
    worker.store.execute(StoreOp::Mount(other, spec(1))).unwrap();
    let mut ops = Vec::new();
    for _ in 0..2 {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(WallMs(1_000), None, Some(b"value"), &[]);
        let batches = builder.build_batches(&PureCompressors).unwrap();
        let appended = shape.append(batches, LeaderEpoch(0), &LogRules::default(), WallMs(1_000)).unwrap();
        ops.extend(appended.ops.into_iter().filter(|op| matches!(op, StoreOp::Append(..))));
        ops.extend([StoreOp::Flush(log), StoreOp::Flush(other)]);
    }
    let mut finished = worker.carry_out((1..).map(OpId).zip(ops).collect());
    worker.release(&mut finished);
    assert_eq!(taken(&mut finished), [(1, Ok(Done::Appended))]);
    assert_eq!(hear(&mut worker, &told), [(2, Ok(Done::Flushed)), (4, Ok(Done::Appended))]);
    assert_eq!(hear(&mut worker, &told), [(3, Ok(Done::Flushed))], "the other log's end with what they are for");
    assert_eq!(hear(&mut worker, &told), [(5, Ok(Done::Flushed))]);
    assert_eq!(hear(&mut worker, &told), [(6, Ok(Done::Flushed))]);
    assert!(told.try_recv().is_err() && worker.held.is_empty());
}

/// Many logs roll: a controller's commits, and votes, waited until all of them were on disk.
#[test]
fn metadata_waits_for_no_records() {
    const LOGS: u32 = 12;
    let folder = tempfile::tempdir().unwrap();
    let disk_is_slow = Arc::new(Mutex::new(()));
    let slow = disk_is_slow.lock().unwrap();
    // The first threads are those for records: the metadata comes when all logs are at it.
    let (gate, mut spawned) = (Arc::clone(&disk_is_slow), 0);
    let spawn = move |work: Box<dyn FnOnce() + Send>| {
        spawned += 1;
        let gate = (spawned <= 4).then(|| Arc::clone(&gate));
        std::thread::Builder::new().spawn(move || {
            drop(gate.as_ref().map(|gate| gate.lock()));
            work();
        })
    };
    let (mut worker, told) = worker_with(folder.path(), |ended| Flushers::with(ended, Box::new(spawn)));
    let metadata = LogId(0);
    worker.store.execute(StoreOp::Mount(metadata, LogSpec { synced: true, ..spec(0) })).unwrap();
    for log in 1..=LOGS {
        worker.store.execute(StoreOp::Mount(LogId(log), spec(log as i32))).unwrap();
    }
    let vote = (OpId(101), StoreOp::Put(Cell::QuorumState(metadata), "{}".into()));
    let flushes = (1..=LOGS).map(|log| (OpId(u64::from(log)), StoreOp::Flush(LogId(log))));
    let ops = flushes.chain([(OpId(100), StoreOp::Flush(metadata)), vote]).collect();
    assert_eq!(taken(&mut worker.carry_out(ops)), []);
    for expected in [100, 101] {
        let ended = told.recv_timeout(Duration::from_secs(60)).expect("it is through before any record is");
        let Message::Flushed(of, op) = ended else { panic!("only flushes are under way") };
        let mut finished = Vec::new();
        worker.flushed(of, op, &mut finished);
        assert!(matches!(taken(&mut finished)[..], [(it, Ok(_))] if it == expected));
    }
    drop(slow);
    let mut finished = Vec::new();
    worker.finish_all(&mut finished);
    assert_eq!(finished.len(), LOGS as usize);
    worker.flushers.stop();
}

#[test]
fn of_what_a_cell_is_to_hold_meanwhile_the_last_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (mut worker, told) = worker(folder.path());
    let log = LogId(1);
    let mounted = worker.store.execute(StoreOp::Mount(log, LogSpec { synced: true, ..spec(0) }));
    let Ok(Done::Mounted(mut shape)) = mounted else { panic!("{mounted:?}") };
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(WallMs(1_000), None, Some(b"value"), &[]);
    let batches = builder.build_batches(&PureCompressors).unwrap();
    let appended = shape.append(batches, LeaderEpoch(0), &LogRules::default(), WallMs(1_000)).unwrap();
    appended.ops.into_iter().for_each(|op| drop(worker.store.execute(op).unwrap()));
    let name = protocol::TopicPartition { topic: "orders".into(), partition: 0 };
    let text = |offset| storage::meta::format_offsets([(&name, Offset(offset))]);
    let points = || std::fs::read(folder.path().join(storage::meta::RECOVERY_POINTS)).unwrap();
    let put = |op, offset| (OpId(op), StoreOp::Put(Cell::RecoveryPoints(DirId(0)), text(offset)));
    let mut finished = worker.carry_out(vec![put(1, 0), put(2, 7), put(3, 1)]);
    assert_eq!(taken(&mut finished), []);
    assert_eq!(hear(&mut worker, &told), [(1, Ok(Done::Put))]);
    assert_eq!(points(), text(1));
    // A cut has them say less, and what was to be put before does not come after it.
    let cut = (OpId(5), StoreOp::Truncate(log, Offset(0), Era(1)));
    let answers = taken(&mut worker.carry_out(vec![put(4, 1), cut]));
    let order: Vec<u64> = answers.iter().map(|(op, _)| *op).collect();
    assert_eq!(order, [3, 2, 4, 5]);
    assert!(answers.iter().all(|(_, result)| result.is_ok()), "{answers:?}");
    assert_eq!(points(), text(0));
}

/// A topic is deleted and created again. Its log began while the checkpoints that still spoke of the one before waited for the
/// disk, and a crash had it taken for that: records that were acked were below its start.
#[test]
fn a_log_begins_when_the_checkpoints_do_not_speak_of_another_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let starts = |op| (OpId(op), StoreOp::Put(Cell::LogStarts(DirId(0)), storage::meta::format_offsets([])));
    let mount = |op, log: u32| (OpId(op), StoreOp::Mount(LogId(log), spec(log as i32)));
    let (mut worker, told) = worker(folder.path());
    let is_there = |log: u32| folder.path().join(format!("orders-{log}")).exists();
    // The second waits for the first, and the mount for both.
    assert_eq!(taken(&mut worker.carry_out(vec![starts(1), starts(2), mount(3, 1)])), []);
    for op in 1..=2 {
        assert_eq!(taken(&mut worker.begin_mounts()), []);
        assert!(!worker.mounters.is_running() && !is_there(1), "{op} is not answered yet");
        assert_eq!(hear(&mut worker, &told), [(op, Ok(Done::Put))]);
    }
    assert_eq!(taken(&mut worker.begin_mounts()), []);
    let mut finished = Vec::new();
    let running = worker.mounters.wait();
    worker.mounted(running, &mut finished);
    assert!(matches!(taken(&mut finished)[..], [(3, Ok(Done::Mounted(_)))]) && is_there(1));
    // One that is wanted at once has them waited for; and so do all of a node that has appended nothing yet.
    worker.carry_out(vec![starts(4), mount(5, 2)]);
    let order = |finished: Vec<Finished>| finished.into_iter().map(|it| it.op.0).collect::<Vec<u64>>();
    assert_eq!(order(worker.carry_out(vec![(OpId(6), StoreOp::Remove(LogId(2)))])), [4, 5, 6]);
    worker.serves = false;
    assert_eq!(order(worker.carry_out(vec![starts(7), mount(8, 3), starts(9)])), [7, 8]);
    worker.serves = true;
    worker.carry_out(vec![mount(10, 4)]);
    let mut finished = Vec::new();
    worker.mount_rest(&mut finished);
    assert_eq!(order(finished), [9, 10]);
}

/// A topic of many partitions is created while records are appended, and one of its partitions is removed.
#[test]
fn mounts_hold_up_nobody_who_does_not_need_them() {
    const LOGS: u32 = 60;
    let folder = tempfile::tempdir().unwrap();
    let (wake, woken) = channel();
    let (go_on, may_go_on) = channel();
    // Each time that it has told something it waits until it is looked at.
    let mut lane = Lane::start(NativeDisk::new(vec![folder.path().to_owned()]), 2, move || {
        let _ = wake.send(());
        let _ = may_go_on.recv();
    })
    .unwrap();
    let next = || {
        woken.recv().unwrap();
        lane.finished().into_iter().map(|it| (it.op.0, it.result)).collect::<Vec<_>>()
    };
    let log = LogId(1);
    lane.submit(vec![(OpId(0), StoreOp::Mount(log, spec(0)))]);
    let mounted = next();
    let [(0, Ok(Done::Mounted(shape)))] = &mounted[..] else { panic!("{mounted:?}") };
    let mut shape = shape.clone();
    let mounts = (2..=LOGS).map(|it| StoreOp::Mount(LogId(it), spec(it as i32)));
    lane.submit((1..).map(OpId).zip([append(&mut shape)].into_iter().chain(mounts)).collect());
    go_on.send(()).unwrap();
    assert_eq!(next(), [(1, Ok(Done::Appended))], "an append is answered before the mounts");
    // Of one that waits and one that does not.
    lane.submit(vec![(OpId(100), StoreOp::Remove(LogId(LOGS))), (OpId(101), StoreOp::Remove(log))]);
    let mut answers: Vec<u64> = Vec::new();
    while !answers.contains(&101) {
        go_on.send(()).unwrap();
        answers.extend(next().into_iter().map(|(op, _)| op));
    }
    let place = |op: u64| answers.iter().position(|it| *it == op);
    assert!(place(u64::from(LOGS)) < place(100) && place(100) < place(101), "{answers:?}");
    assert!(answers.len() <= MOUNTS + 3, "no more mounts come before than were under way: {answers:?}");
    drop(go_on);
    lane.stop();
    let names = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|it| !it.ends_with("-delete")).count(), LOGS as usize - 2);
}

/// A clean of a deleted topic's log went on by its paths, in the folder of the topic that was created next.
#[test]
fn a_clean_ends_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let (wake, woken) = channel();
    let mut lane = Lane::start(NativeDisk::new(vec![folder.path().to_owned()]), 2, move || {
        let _ = wake.send(());
    })
    .unwrap();
    let log = LogId(1);
    let spec = LogSpec {
        dir: DirId(0),
        topic: Str::from("orders"),
        partition: 0,
        topic_id: Uuid([5; 16]),
        create: true,
        synced: false,
        replicated: false,
        compacted: true,
        segments: SegmentRules::default(),
    };
    let mounted = answers(&lane, &woken, 0, vec![StoreOp::Mount(log, spec)]);
    let [Ok(Done::Mounted(shape))] = &mounted[..] else { panic!("{mounted:?}") };
    let mut shape = shape.clone();
    let mut ops = Vec::new();
    for value in ["1", "2", "3"] {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(WallMs(1_000), Some(b"key"), Some(value.as_bytes()), &[]);
        let batches = builder.build_batches(&PureCompressors).unwrap();
        let rules = LogRules { segment_bytes: 100, ..LogRules::default() };
        let appended = shape.append(batches, LeaderEpoch(0), &rules, WallMs(1_000)).unwrap();
        ops.extend(appended.ops);
    }
    assert!(answers(&lane, &woken, 10, ops).iter().all(Result::is_ok));
    let plan = CleanPlan {
        first_dirty: Offset(0),
        end: shape.segments().next_back().unwrap().base,
        high_watermark: shape.end(),
        now: WallMs(1_000),
        delete_retention_ms: 0,
        segment_bytes: 1 << 20,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        producers: Map::new(),
        max_keys: 100,
        seed: [1, 2],
        // It would take for ever.
        bytes_per_second: Some(1),
        piece: 1 << 20,
    };
    let clean = StoreOp::Clean(log, shape.era(), CleanStep::Begin(Box::new(plan)));
    lane.submit(vec![(OpId(100), clean)]);
    // Answered after the clean has begun, whatever the answer is.
    answers(&lane, &woken, 101, vec![StoreOp::Remove(LogId(99))]);
    lane.submit(vec![(OpId(200), StoreOp::Remove(log))]);
    let mut found: Vec<(OpId, Result<Done, StoreError>)> = Vec::new();
    while found.len() < 2 {
        // The lane is not stopped yet: nothing but the removal ends the clean.
        woken.recv_timeout(Duration::from_secs(60)).expect("the clean ends with its log");
        found.extend(lane.finished().into_iter().map(|it| (it.op, it.result)));
    }
    found.sort_by_key(|(id, _)| *id);
    assert_eq!(found, [(OpId(100), Err(StoreError::Missing)), (OpId(200), Ok(Done::Removed))]);
    lane.stop();
    assert!(!folder.path().join("orders-0").exists(), "nothing was written into a folder that is gone");
}
