//! Decisions that need no file: reads, rolls, retention.

use protocol::records::TimestampType;
use protocol::{Era, FileId, LeaderEpoch, Offset, Region, WallMs};
use storage::{
    AppendError, Cell, Done, LogRules, Lookup, Plan, Retention, Seek, Shape, StoreOp, TimestampOffset, file_id,
};

use crate::common::{FIRST, LOG, Node, batch, batch_of, small_segments};

fn empty(base: i64) -> Shape {
    Shape::new(LOG, Offset(base), FIRST, Era(0))
}

fn append(shape: &mut Shape, batches: protocol::records::Batches, rules: &LogRules) -> Vec<StoreOp> {
    let appended = shape.append(batches, LeaderEpoch(0), rules, WallMs(9_000)).unwrap();
    shape.written(appended.end());
    appended.ops
}

fn file(count: u32) -> FileId {
    file_id(LOG, count)
}

#[test]
fn offsets_are_dense_and_ends_follow_each_other() {
    let mut shape = empty(10);
    let appended = shape.append(batch(3), LeaderEpoch(4), &LogRules::default(), WallMs(1)).unwrap();
    assert_eq!((appended.first, appended.last, appended.append_time), (Offset(10), Offset(12), None));
    assert_eq!((shape.end(), shape.written_end(), shape.synced_end()), (Offset(13), Offset(10), Offset(10)));
    let StoreOp::Append(LOG, FIRST, batches) = &appended.ops[1] else { panic!("{:?}", appended.ops) };
    assert_eq!((batches.heads()[0].base_offset, batches.heads()[0].leader_epoch), (Offset(10), LeaderEpoch(4)));
    assert_eq!(appended.ops[0], StoreOp::Put(Cell::LeaderEpochs(LOG), "0\n1\n4 10\n".into()));
    shape.written(appended.end());
    let (op, end) = shape.flush();
    assert_eq!((op, end), (StoreOp::Flush(LOG), Offset(13)));
    shape.synced(end);
    assert_eq!((shape.written_end(), shape.synced_end()), (Offset(13), Offset(13)));
}

#[test]
fn log_append_time_is_stamped() {
    let rules = LogRules { timestamp_type: TimestampType::LogAppendTime, ..LogRules::default() };
    let mut shape = empty(0);
    let appended = shape.append(batch(2), LeaderEpoch(0), &rules, WallMs(777)).unwrap();
    assert_eq!(appended.append_time, Some(WallMs(777)));
    shape.written(appended.end());
    let found = TimestampOffset { timestamp: 777, offset: Offset(0), leader_epoch: LeaderEpoch(0) };
    assert_eq!(shape.offset_for_timestamp(777, Offset(2)), Lookup::Found(found), "two records, but one time");
}

#[test]
fn a_read_is_exact_to_the_batch() {
    let mut shape = empty(0);
    let size = batch(2).bytes() as u32;
    for _ in 0..4 {
        append(&mut shape, batch(2), &LogRules::default());
    }
    let region = |at: u32, count: u32| Region { file: FIRST, at: at * size, len: count * size, era: Era(0) };
    let plan = |offset, limit, max| shape.plan_read(Offset(offset), Offset(limit), max);
    let one = |at, count| Plan::Regions(vec![region(at, count)], u64::from(count * size));
    assert_eq!(plan(0, 8, u32::MAX), one(0, 4));
    assert_eq!(plan(3, 8, u32::MAX), one(1, 3), "from within a batch the whole batch comes");
    assert_eq!(plan(0, 8, 2 * size), one(0, 2));
    assert_eq!(plan(0, 8, 2 * size + size - 1), one(0, 2), "no part of a batch");
    assert_eq!(plan(0, 8, 0), one(0, 1), "one comes even if it is larger");
    assert_eq!(plan(2, 4, u32::MAX), one(1, 1), "nothing at or above the limit");
    assert_eq!(plan(4, 4, u32::MAX), Plan::Empty);
    assert_eq!(plan(8, 8, u32::MAX), Plan::Empty, "the end is no error");
    assert_eq!(plan(9, 9, u32::MAX), Plan::OutOfRange);
    assert_eq!(plan(-1, 8, u32::MAX), Plan::OutOfRange);
}

#[test]
fn what_is_not_written_is_not_read() {
    let mut shape = empty(0);
    let appended = shape.append(batch(1), LeaderEpoch(0), &LogRules::default(), WallMs(1)).unwrap();
    assert_eq!(shape.plan_read(Offset(0), Offset(1), 100), Plan::Empty);
    assert_eq!(shape.offset_for_timestamp(0, Offset(1)), Lookup::Nothing);
    shape.written(appended.end());
    assert!(matches!(shape.plan_read(Offset(0), Offset(1), 100), Plan::Regions(..)));
}

#[test]
fn a_read_spans_files() {
    let size = batch(1).bytes();
    let rules = small_segments(2 * size as i32);
    let mut shape = empty(0);
    for _ in 0..5 {
        append(&mut shape, batch(1), &rules);
    }
    let Plan::Regions(regions, bytes) = shape.plan_read(Offset(1), Offset(5), u32::MAX) else { panic!() };
    let places: Vec<_> = regions.iter().map(|it| (it.file, it.at as usize / size, it.len as usize / size)).collect();
    assert_eq!(places, [(file(0), 1, 1), (file(1), 0, 2), (file(2), 0, 1)]);
    assert_eq!(bytes, 4 * size as u64);
}

#[test]
fn below_the_tail_a_file_is_asked() {
    let mut shape = empty(0);
    for _ in 0..5_000 {
        append(&mut shape, batch_of(&[7], 0), &LogRules::default());
    }
    let floor = shape.tail().floor();
    assert!(shape.tail().len() >= 3_900 && shape.tail().len() <= 4_096, "{}", shape.tail().len());
    assert_eq!(floor.0 as usize + shape.tail().len(), 5_000);
    let below = Offset(floor.0 - 1);
    let seek = Seek::Read { offset: below, limit: Offset(5_000), max_bytes: 10 };
    assert_eq!(shape.plan_read(below, Offset(9_999), 10), Plan::Seek(seek));
    assert!(matches!(shape.plan_read(floor, Offset(5_000), 10), Plan::Regions(..)));
    let seek = Seek::Timestamp { timestamp: 7, from: Offset(0), limit: Offset(5_000) };
    assert_eq!(shape.offset_for_timestamp(7, Offset(5_000)), Lookup::Seek(seek));
    assert_eq!(shape.offset_for_timestamp(8, Offset(5_000)), Lookup::Nothing, "no segment is that new");
    assert_eq!(
        shape.max_timestamp(Offset(5_000)),
        Lookup::Seek(Seek::MaxTimestamp { from: Offset(0), limit: Offset(5_000) })
    );
}

#[test]
fn times_are_found_in_the_tail_when_one_record_is_meant() {
    let mut shape = empty(0);
    for timestamp in [10, 30, 20] {
        append(&mut shape, batch_of(&[timestamp], 1), &LogRules::default());
    }
    append(&mut shape, batch_of(&[5, 40], 1), &LogRules::default());
    let found = |timestamp, offset| {
        Lookup::Found(TimestampOffset { timestamp, offset: Offset(offset), leader_epoch: LeaderEpoch(0) })
    };
    let end = Offset(5);
    assert_eq!(shape.offset_for_timestamp(0, end), found(10, 0));
    assert_eq!(shape.offset_for_timestamp(11, end), found(30, 1));
    assert!(matches!(shape.offset_for_timestamp(31, end), Lookup::Seek(_)), "which of two records is in the file");
    assert_eq!(shape.offset_for_timestamp(31, Offset(3)), Lookup::Nothing, "above the limit");
    assert_eq!(shape.offset_for_timestamp(41, end), Lookup::Nothing);
    assert!(matches!(shape.max_timestamp(end), Lookup::Seek(_)));
    assert_eq!(shape.max_timestamp(Offset(3)), found(30, 1));
    assert_eq!(empty(0).max_timestamp(Offset(0)), Lookup::Nothing);
}

#[test]
fn a_segment_rolls_before_it_is_too_large() {
    let size = batch(1).bytes() as i32;
    let mut shape = empty(0);
    assert_eq!(append(&mut shape, batch(1), &small_segments(2 * size)).len(), 2, "epoch and append");
    assert_eq!(append(&mut shape, batch(1), &small_segments(2 * size)).len(), 1, "exactly full is not too large");
    let ops = append(&mut shape, batch(1), &small_segments(2 * size));
    let [StoreOp::Roll(LOG, rolled, Offset(2), ..), StoreOp::Append(LOG, to, _)] = &ops[..] else { panic!("{ops:?}") };
    assert_eq!((*rolled, *to), (file(1), file(1)));
    let refused = shape.append(batch(9), LeaderEpoch(0), &small_segments(2 * size), WallMs(0));
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    assert_eq!(shape.end(), Offset(3));
}

#[test]
fn a_segment_rolls_by_its_records_time() {
    let rules = LogRules { segment_ms: 100, ..LogRules::default() };
    let mut shape = empty(0);
    let rolls = |ops: &[StoreOp]| ops.iter().any(|op| matches!(op, StoreOp::Roll(..)));
    assert!(!rolls(&append(&mut shape, batch_of(&[1_000], 1), &rules)));
    assert!(!rolls(&append(&mut shape, batch_of(&[1_100], 1), &rules)), "exactly segment.ms is not too old");
    assert!(rolls(&append(&mut shape, batch_of(&[1_101], 1), &rules)));
    // Records without a time: the node's clock counts.
    let mut shape = empty(0);
    let mut at = |now| shape.append(batch_of(&[-1], 1), LeaderEpoch(0), &rules, WallMs(now)).unwrap().ops;
    assert!(!rolls(&at(5_000)));
    assert!(!rolls(&at(5_100)));
    assert!(rolls(&at(5_101)));
}

#[test]
fn jitter_rolls_segments_at_other_times() {
    let rules = LogRules { segment_ms: 1_000, segment_jitter_ms: 900, ..LogRules::default() };
    let mut ages = Vec::new();
    for log in 0..20 {
        let file = storage::file_id(storage::LogId(log), 0);
        let mut shape = Shape::new(storage::LogId(log), Offset(0), file, Era(0));
        append(&mut shape, batch_of(&[0], 1), &rules);
        let rolls = |shape: &Shape, age: i64| {
            let ops = append(&mut shape.clone(), batch_of(&[age], 1), &rules);
            ops.iter().any(|op| matches!(op, StoreOp::Roll(..)))
        };
        let age = (0..=1_001).find(|age| rolls(&shape, *age)).unwrap();
        assert!((101..=1_001).contains(&age), "{age}");
        assert!(rolls(&shape, age + 1));
        ages.push(age);
    }
    ages.sort_unstable();
    ages.dedup();
    assert!(ages.len() > 15, "{ages:?}");
}

#[test]
fn a_segment_rolls_when_its_indexes_cannot_go_on() {
    let rules = LogRules { segment_index_bytes: 24, index_interval_bytes: 0, ..LogRules::default() };
    let mut shape = empty(0);
    let mut rolls = |time, rules: &LogRules| {
        append(&mut shape, batch_of(&[time], 1), rules).iter().any(|op| matches!(op, StoreOp::Roll(..)))
    };
    // The segment that was there before anybody set anything keeps its interval, and is full by its bytes.
    let full = LogRules { segment_bytes: batch_of(&[0], 1).bytes() as i32, ..rules.clone() };
    assert_eq!([rolls(0, &rules), rolls(1, &rules), rolls(2, &full)], [false, false, true]);
    // The first batch adds no entry, the second fills the one place that a time index of 24 bytes has.
    assert_eq!([3, 4, 5].map(|time| rolls(time, &rules)), [false, true, false]);

    let mut shape = empty(0);
    append(&mut shape, batch(1), &LogRules::default());
    let mut far = batch(1);
    far.stamp(0, Offset(1 << 33), LeaderEpoch(0), None);
    let ops = shape.append_replica(far, &LogRules::default(), WallMs(1)).unwrap().ops;
    assert!(matches!(ops[0], StoreOp::Roll(_, _, Offset(base), ..) if base == 1 << 33), "{ops:?}");
}

#[test]
fn a_replica_takes_offsets_as_they_are() {
    let mut shape = empty(0);
    let mut batches = batch(2);
    batches.stamp(0, Offset(5), LeaderEpoch(3), None);
    let appended = shape.append_replica(batches.clone(), &small_segments(10), WallMs(1)).unwrap();
    assert_eq!(
        (appended.first, appended.last),
        (Offset(5), Offset(6)),
        "segment.bytes does not refuse a leader's batch"
    );
    assert_eq!(shape.epochs().latest(), Some(LeaderEpoch(3)));
    let again = shape.append_replica(batches, &LogRules::default(), WallMs(1));
    assert_eq!(again, Err(AppendError::OutOfOrder { base: Offset(5), expected: Offset(7) }));
}

#[test]
fn an_empty_replica_begins_anew_at_a_batch_that_spans_its_end() {
    let spanning = |base| {
        let mut batches = batch(4);
        batches.stamp(0, Offset(base), LeaderEpoch(3), None);
        batches
    };
    let mut shape = empty(7);
    for base in [3, -2] {
        let refused = shape.append_replica(spanning(base), &LogRules::default(), WallMs(1));
        assert_eq!(refused, Err(AppendError::OutOfOrder { base: Offset(base), expected: Offset(7) }));
    }
    let before = shape.segments().map(|it| it.file).collect::<Vec<_>>();
    let appended = shape.append_replica(spanning(5), &LogRules::default(), WallMs(1)).unwrap();
    assert_eq!((appended.first, appended.end()), (Offset(5), Offset(9)));
    assert_eq!((shape.log_start(), shape.written_end(), shape.end()), (Offset(5), Offset(5), Offset(9)));
    assert!(matches!(&appended.ops[0], StoreOp::Delete(_, files) if *files == before), "{:?}", appended.ops);
    assert!(matches!(&appended.ops[1], StoreOp::Roll(_, _, Offset(5), ..)), "{:?}", appended.ops);
    assert!(matches!(&appended.ops.last(), Some(StoreOp::Append(_, file, _)) if !before.contains(file)));
    shape.written(Offset(9));
    // What holds a record does not, even if all of them are deleted.
    shape.advance_log_start(Offset(9));
    let refused = shape.append_replica(spanning(7), &LogRules::default(), WallMs(1));
    assert_eq!(refused, Err(AppendError::OutOfOrder { base: Offset(7), expected: Offset(9) }));
}

#[test]
fn retention_by_time_takes_the_log_whole() {
    let mut shape = empty(0);
    let size = batch(1).bytes() as i32;
    for timestamp in [1_000, 2_000, 3_000] {
        append(&mut shape, batch_of(&[timestamp], 20), &small_segments(size));
    }
    let keep = Retention { ms: 500, bytes: -1 };
    assert_eq!(shape.retention(WallMs(1_500), Offset(3), keep), [], "exactly retention.ms is not too old");
    assert_eq!(shape.retention(WallMs(9_000), Offset(0), keep), [], "nothing above the high watermark goes");
    assert_eq!(shape.retention(WallMs(1_501), Offset(3), keep), [StoreOp::Delete(LOG, vec![file(0)])]);
    assert_eq!((shape.log_start(), shape.end()), (Offset(1), Offset(3)));
    let ops = shape.retention(WallMs(9_000), Offset(3), keep);
    let [StoreOp::Roll(_, rolled, Offset(3), ..), StoreOp::Delete(_, gone)] = &ops[..] else { panic!("{ops:?}") };
    assert_eq!((*rolled, &gone[..]), (file(3), &[file(1), file(2)][..]));
    assert_eq!((shape.log_start(), shape.end(), shape.size()), (Offset(3), Offset(3), 0));
    assert_eq!(shape.retention(WallMs(99_000), Offset(3), keep), [], "an empty log stays");
    assert_eq!(shape.plan_read(Offset(2), Offset(3), 1), Plan::OutOfRange);
    append(&mut shape, batch(1), &LogRules::default());
    assert!(matches!(shape.plan_read(Offset(3), Offset(4), 1), Plan::Regions(..)));
}

#[test]
fn retention_by_time_goes_on_where_size_has_stopped() {
    let mut shape = empty(0);
    let size = batch(1).bytes() as i32;
    // The oldest segment is the one whose records are young.
    for timestamp in [9_000, 1_000, 1_000, 9_000] {
        append(&mut shape, batch_of(&[timestamp], 20), &small_segments(size));
    }
    let keep = |bytes| Retention { ms: 500, bytes };
    assert_eq!(shape.retention(WallMs(9_100), Offset(4), keep(-1)), [], "age goes in order");
    let ops = shape.retention(WallMs(9_100), Offset(4), keep(3 * i64::from(size)));
    assert_eq!(ops, [StoreOp::Delete(LOG, vec![file(0), file(1), file(2)])]);
}

#[test]
fn retention_by_size_keeps_at_least_its_bytes() {
    let mut shape = empty(0);
    let size = batch(1).bytes() as i32;
    for _ in 0..4 {
        append(&mut shape, batch(1), &small_segments(size));
    }
    let keep = |bytes| Retention { ms: -1, bytes };
    assert_eq!(shape.retention(WallMs(0), Offset(4), keep(-1)), []);
    assert_eq!(shape.retention(WallMs(0), Offset(4), keep(4 * i64::from(size))), []);
    assert_eq!(shape.retention(WallMs(0), Offset(4), keep(3 * i64::from(size) + 1)), []);
    let ops = shape.retention(WallMs(0), Offset(4), keep(2 * i64::from(size)));
    assert_eq!(ops, [StoreOp::Delete(LOG, vec![file(0), file(1)])]);
    assert_eq!((shape.log_start(), shape.size()), (Offset(2), 2 * size as u64));
}

#[test]
fn deleted_records_take_whole_segments_along() {
    let mut shape = empty(0);
    let size = batch(2).bytes() as i32;
    for _ in 0..3 {
        append(&mut shape, batch(2), &small_segments(size));
    }
    assert_eq!(shape.advance_log_start(Offset(1)), []);
    assert_eq!(shape.advance_log_start(Offset(0)), [], "never back");
    assert_eq!(shape.log_start(), Offset(1));
    assert_eq!(shape.plan_read(Offset(0), Offset(6), 1), Plan::OutOfRange);
    assert_eq!(shape.advance_log_start(Offset(5)), [StoreOp::Delete(LOG, vec![file(0), file(1)])]);
    assert_eq!(shape.epochs().entries()[0].start, Offset(5));
    assert_eq!(shape.advance_log_start(Offset(6)), [], "the active segment stays");
    assert_eq!(shape.plan_read(Offset(6), Offset(6), 1), Plan::Empty);
}

#[test]
fn a_clone_is_another_world() {
    let mut node = Node::new();
    for _ in 0..300 {
        node.append(batch(1));
    }
    let mut other = node.clone();
    assert_eq!(other.shape, node.shape);
    other.append(batch(1));
    node.truncate(100);
    assert_eq!((other.shape.end(), other.spans().len()), (Offset(301), 301));
    assert_eq!((node.shape.end(), node.spans().len()), (Offset(100), 100));
}

#[test]
fn a_cut_takes_what_lies_behind_it_and_no_more() {
    let size = batch(2).bytes() as u32;
    let mut full = Node::new().rules(small_segments(2 * size as i32));
    for _ in 0..5 {
        full.append(batch(2));
    }
    let bases: Vec<i64> = full.shape.segments().map(|it| it.base.0).collect();
    assert_eq!(bases, [0, 4, 8]);
    let cut = |offset: i64| {
        let mut node = full.clone();
        let op = node.shape.truncate(Offset(offset));
        let parts = node.shape.cut();
        let old: Vec<_> = full.shape.segments().map(|it| (it.file, it.size)).collect();
        assert!(matches!(node.store.execute(op), Ok(Done::Truncated(_))));
        for (file, size) in old {
            // As much of each file is left as it said.
            let left = parts.iter().find(|it| it.0 == file).map_or(size, |it| it.1);
            let is_there = |len: u32| node.store.resolve(Region { file, at: 0, len, era: Era(1) }).is_ok();
            assert!(left == 0 || is_there(left), "{offset}: {file} has less than {left}");
            assert!(!is_there(left + 1), "{offset}: {file} has more than {left}");
        }
        parts
    };
    assert_eq!(cut(6), [(file(2), 0), (file(1), size)]);
    assert_eq!(cut(7), [(file(2), 0), (file(1), size)], "a batch goes as a whole");
    assert_eq!([cut(8), cut(9)], [[(file(2), 0)], [(file(2), 0)]]);
    assert_eq!(cut(1), [(file(1), 0), (file(2), 0), (file(0), 0)]);
    assert_eq!(cut(100), [(file(0), 0), (file(1), 0), (file(2), 0)], "the log begins anew");
}
