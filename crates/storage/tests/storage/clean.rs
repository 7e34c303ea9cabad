//! Compaction: what stays, what a crash leaves, and what readers see.

use std::collections::BTreeMap;

use bytes::Bytes;
use ordered::Map;
use protocol::records::control::EndTransaction;
use protocol::records::{BatchBuilder, Batches, Compression, ControlType, PureCompressors, Record, read};
use protocol::{Offset, ProducerEpoch, ProducerId, Str, TopicPartition, WallMs};
use storage::clean::{CleanPlan, LastRecord};
use storage::{Cell, CleanStep, Cleaned, Done, MemoryDisk, StoreError, StoreOp, meta};

use crate::common::{self, DIR, LOG, Node, small_segments};

const NOW: WallMs = WallMs(1_000_000);
const DELETE_RETENTION: i64 = 5_000;

/// A batch of records: key, value.
fn keyed(compression: Compression, records: &[(&str, Option<&str>)]) -> Batches {
    let mut builder = BatchBuilder::new(compression);
    for (index, (key, value)) in records.iter().enumerate() {
        builder.push(WallMs(1_000 + index as i64), Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    }
    builder.build_batches(&PureCompressors).unwrap()
}

fn plain(records: &[(&str, Option<&str>)]) -> Batches {
    keyed(Compression::None, records)
}

fn plan(node: &Node, first_dirty: i64) -> CleanPlan {
    let shape = &node.shape;
    let producers = shape.producers().iter().map(|(id, producer)| {
        let data = producer.batches.back().map(|batch| batch.last_offset);
        (id, LastRecord { data, epoch: producer.epoch })
    });
    CleanPlan {
        first_dirty: Offset(first_dirty),
        end: shape.segments().next_back().unwrap().base,
        high_watermark: shape.end(),
        now: NOW,
        delete_retention_ms: DELETE_RETENTION,
        segment_bytes: 1 << 20,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        producers: producers.collect::<Map<_, _>>(),
        max_keys: 1 << 20,
        seed: [1, 2],
        bytes_per_second: None,
        piece: 1 << 20,
    }
}

fn checkpoint(cell: Cell, offset: Offset) -> StoreOp {
    let name = TopicPartition { topic: Str::from("orders"), partition: 0 };
    StoreOp::Put(cell, meta::format_offsets([(&name, offset)]))
}

/// All that a node does for a clean. Answers the last group.
fn try_clean(node: &mut Node, plan: CleanPlan) -> Result<Cleaned, StoreError> {
    let (flush, end) = node.shape.flush();
    node.store.execute(flush)?;
    node.shape.synced(end);
    node.store.execute(checkpoint(Cell::RecoveryPoints(DIR), end))?;
    node.shape.begin_clean();
    let mut step = CleanStep::Begin(Box::new(plan));
    loop {
        let Done::Cleaned(cleaned) = node.store.execute(StoreOp::Clean(LOG, node.shape.era(), step))? else {
            panic!("a clean was answered with something else")
        };
        if !cleaned.sources.is_empty() {
            let swap = node.shape.swap(&cleaned).expect("nothing was cut");
            assert_eq!(node.store.execute(swap)?, Done::Swapped);
        }
        if !cleaned.is_more {
            node.store.execute(checkpoint(Cell::CleanerOffsets(DIR), cleaned.end))?;
            node.shape.end_clean();
            return Ok(*cleaned);
        }
        step = CleanStep::Next;
    }
}

fn clean(node: &mut Node, first_dirty: i64) -> Cleaned {
    let plan = plan(node, first_dirty);
    try_clean(node, plan).unwrap()
}

/// Every batch of the log, through reads as a consumer would do them.
fn batches(node: &mut Node) -> Vec<(protocol::records::BatchHead, Vec<Record>)> {
    let mut found = Vec::new();
    let mut next = node.shape.log_start().0;
    while Offset(next) < node.shape.end() {
        let regions = node.regions(next, 300);
        if regions.is_empty() {
            break;
        }
        for region in regions {
            let Ok(Done::Loaded(bytes)) = node.store.execute(StoreOp::Load(region)) else { panic!("not loaded") };
            for batch in read(&bytes, &PureCompressors) {
                let batch = batch.unwrap();
                next = batch.0.next_offset().0;
                found.push(batch);
            }
        }
    }
    found
}

type Left = Vec<(i64, String, Option<String>)>;

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Offset, key and value of every record.
fn records(node: &mut Node) -> Left {
    let records = batches(node).into_iter().flat_map(|(_, records)| records);
    records
        .map(|it| (it.offset.0, it.key.as_ref().map(text).unwrap_or_default(), it.value.as_ref().map(text)))
        .collect()
}

fn left(expected: &[(i64, &str, Option<&str>)]) -> Left {
    expected.iter().map(|(offset, key, value)| (*offset, (*key).to_owned(), value.map(str::to_owned))).collect()
}

#[test]
fn the_newest_of_each_key_stays_where_it_was() {
    let mut node = Node::new().rules(small_segments(150));
    node.append(plain(&[("a", Some("1")), ("b", Some("1"))]));
    node.append(plain(&[("a", Some("2")), ("c", Some("1"))]));
    node.append(plain(&[("b", Some("2"))]));
    node.append(plain(&[("a", Some("3"))]));
    let before = node.shape.segments().count();
    assert!(before > 2, "each batch has its segment");
    let cleaned = clean(&mut node, 0);
    assert_eq!(cleaned.end, node.shape.segments().next_back().unwrap().base);
    // The active segment is as it was: its records count neither as newer ones nor as old ones.
    let expected = left(&[(2, "a", Some("2")), (3, "c", Some("1")), (4, "b", Some("2")), (5, "a", Some("3"))]);
    assert_eq!(records(&mut node), expected);
    assert_eq!(node.shape.segments().count(), 2, "what fits one segment is one now");
    assert_eq!(node.shape.log_start(), Offset(0), "offsets keep their gaps, the log its start");
    // And all the same after a restart, with indexes from the files or without any.
    let mut node = node.restart().unwrap();
    assert_eq!(node.shape.mounted().cleaned_to, Some(cleaned.end));
    assert_eq!((node.shape.mounted().gap.as_ref(), node.shape.mounted().cut.as_ref()), (None, None));
    assert_eq!(records(&mut node), expected);
    node.append(plain(&[("d", Some("1"))]));
    assert_eq!(records(&mut node).last().unwrap().0, 6);
}

#[test]
fn a_tombstone_waits_for_its_horizon() {
    let mut node = Node::new().rules(small_segments(100));
    node.append(plain(&[("a", Some("1"))]));
    node.append(plain(&[("a", None)]));
    node.append(plain(&[("b", Some("1"))]));
    let end = clean(&mut node, 0).end.0;
    assert_eq!(records(&mut node), left(&[(1, "a", None), (2, "b", Some("1"))]));
    let horizon = |node: &mut Node| {
        let head = batches(node)[0].0;
        head.attributes.has_delete_horizon().then_some(head.base_timestamp)
    };
    assert_eq!(horizon(&mut node), Some(NOW.0 + DELETE_RETENTION));
    assert_eq!(batches(&mut node)[0].1[0].timestamp, WallMs(1_000), "a record keeps its time");
    // Later cleans neither move the horizon nor take it before its time.
    let mut early = plan(&node, end);
    early.now = WallMs(NOW.0 + DELETE_RETENTION - 1);
    try_clean(&mut node, early).unwrap();
    assert_eq!(horizon(&mut node), Some(NOW.0 + DELETE_RETENTION));
    let mut late = plan(&node, end);
    late.now = WallMs(NOW.0 + DELETE_RETENTION);
    try_clean(&mut node, late).unwrap();
    assert_eq!(records(&mut node), left(&[(2, "b", Some("1"))]));
}

#[test]
fn a_producers_last_batch_stays_empty() {
    let mut node = Node::new().rules(small_segments(120));
    let produced = |sequence: i32, key: &str| {
        let mut builder = BatchBuilder::new(Compression::Lz4).producer(ProducerId(9), ProducerEpoch(0), sequence);
        builder.push(WallMs(1_000), Some(key.as_bytes()), Some(b"value"), &[]);
        builder.push(WallMs(1_001), Some(key.as_bytes()), Some(b"value"), &[]);
        builder.build_batches(&PureCompressors).unwrap()
    };
    node.append(produced(0, "a"));
    node.append(produced(2, "a"));
    node.append(plain(&[("a", Some("newer"))]));
    node.append(plain(&[("z", Some("active"))]));
    clean(&mut node, 0);
    let batches = batches(&mut node);
    let spans: Vec<_> = batches.iter().map(|(head, records)| (head.base_offset.0, records.len())).collect();
    assert_eq!(spans, [(2, 0), (4, 1), (5, 1)], "offsets 0 and 1 are gone, 2 and 3 are without records");
    let head = batches[0].0;
    assert_eq!((head.base_sequence, head.last_sequence(), head.last_offset()), (2, 3, Offset(3)));
    // A retry is recognised, also when the producer is known from the log alone.
    let last =
        |node: &Node| node.shape.producers().iter().map(|(_, it)| it.batches.back().copied()).collect::<Vec<_>>();
    let known = last(&node);
    let node = node.restart().unwrap();
    assert_eq!(last(&node), known);
}

#[test]
fn the_batch_before_the_high_watermark_stays_empty() {
    let mut node = Node::new().rules(small_segments(100));
    node.append(plain(&[("a", Some("1"))]));
    node.append(plain(&[("a", None)]));
    node.append(plain(&[("z", Some("active"))]));
    let mut at = plan(&node, 0);
    at.high_watermark = Offset(2);
    at.delete_retention_ms = 0;
    try_clean(&mut node, at.clone()).unwrap();
    at.first_dirty = Offset(2);
    try_clean(&mut node, at).unwrap();
    let spans: Vec<_> = batches(&mut node).iter().map(|(head, records)| (head.base_offset.0, records.len())).collect();
    assert_eq!(spans, [(1, 0), (2, 1)]);
}

#[test]
fn a_full_map_cleans_as_far_as_it_goes() {
    let mut node = Node::new().rules(small_segments(100));
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("b", "2"), ("a", "3"), ("z", "1")] {
        node.append(plain(&[(key, Some(value))]));
    }
    let mut small = plan(&node, 0);
    small.max_keys = 2;
    let cleaned = try_clean(&mut node, small).unwrap();
    // Kafka stops as soon as the map is full, at offset 2, whose key is known.
    assert_eq!(cleaned.end, Offset(2));
    assert_eq!(records(&mut node).len(), 7, "nothing below is old yet");
    let mut rest = plan(&node, 2);
    rest.max_keys = 3;
    assert_eq!(try_clean(&mut node, rest).unwrap().end, Offset(5));
    let mut last = plan(&node, 5);
    last.max_keys = 3;
    assert_eq!(try_clean(&mut node, last).unwrap().end, Offset(6));
    let expected = left(&[(3, "c", Some("1")), (4, "b", Some("2")), (5, "a", Some("3")), (6, "z", Some("1"))]);
    assert_eq!(records(&mut node), expected);
}

#[test]
fn records_without_a_key_go() {
    let mut node = Node::new().rules(small_segments(100));
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(WallMs(1_000), None, Some(b"of old"), &[]);
    node.append(builder.build_batches(&PureCompressors).unwrap());
    node.append(plain(&[("a", Some("1"))]));
    node.append(plain(&[("z", Some("active"))]));
    clean(&mut node, 0);
    assert_eq!(records(&mut node), left(&[(1, "a", Some("1")), (2, "z", Some("active"))]));
}

/// A batch of a transaction, or its end.
fn transaction(id: i64, sequence: i32, key: &str) -> Batches {
    let mut builder =
        BatchBuilder::new(Compression::None).producer(ProducerId(id), ProducerEpoch(0), sequence).transactional();
    builder.push(WallMs(1_000), Some(key.as_bytes()), Some(b"value"), &[]);
    builder.build_batches(&PureCompressors).unwrap()
}

fn ended(id: i64, committed: bool) -> Batches {
    EndTransaction { committed, coordinator_epoch: 0 }.batch(ProducerId(id), ProducerEpoch(0), WallMs(1_000))
}

/// An entry of a `.txnindex`.
fn aborted(id: i64, first: i64, last: i64) -> Vec<u8> {
    [0i16.to_be_bytes().as_slice(), &id.to_be_bytes(), &first.to_be_bytes(), &last.to_be_bytes(), &0i64.to_be_bytes()]
        .concat()
}

#[test]
fn what_was_aborted_goes_and_its_marker_follows() {
    let mut node = Node::new().rules(small_segments(150));
    node.append(transaction(1, 0, "a"));
    node.append(transaction(2, 0, "b"));
    node.append(ended(1, false));
    node.append(ended(2, true));
    node.append(plain(&[("y", Some("1"))]));
    node.append(plain(&[("z", Some("active"))]));
    assert!(node.shape.segments().count() > 3);
    // The marker of producer 1 is at offset 2; the index is of the segment that holds it.
    let holder = node.shape.segments().rev().find(|it| it.base <= Offset(2)).unwrap().base;
    write(&mut node, &format!("orders-0/{holder:020}.txnindex"), &aborted(1, 0, 2));
    let mut first = plan(&node, 0);
    first.producers = Map::new();
    let end = try_clean(&mut node, first.clone()).unwrap().end;
    let what = |node: &mut Node| -> Vec<(i64, bool)> {
        batches(node).iter().map(|(head, _)| (head.base_offset.0, head.attributes.is_control())).collect()
    };
    assert_eq!(what(&mut node), [(1, false), (2, true), (3, true), (4, false), (5, false)], "the marker waits");
    let indexed: Vec<_> =
        node.store.disk().files().into_iter().filter(|(_, it, _)| it.ends_with(".txnindex")).collect();
    assert_eq!(indexed.len(), 1);
    assert_eq!(indexed[0].2, aborted(1, 0, 2), "readers in its midst must still pass over what they have of it");
    // The next clean finds nothing of it, so its marker gets a horizon, and the one after that takes it.
    first.first_dirty = end;
    try_clean(&mut node, first.clone()).unwrap();
    assert_eq!(what(&mut node), [(1, false), (2, true), (3, true), (4, false), (5, false)]);
    first.now = WallMs(NOW.0 + DELETE_RETENTION);
    try_clean(&mut node, first).unwrap();
    assert_eq!(what(&mut node), [(1, false), (3, true), (4, false), (5, false)], "the committed one ends a record");
    let kinds: Vec<_> = batches(&mut node).into_iter().filter(|(head, _)| head.attributes.is_control()).collect();
    let key = kinds[0].1[0].key.clone().unwrap();
    assert_eq!(ControlType::of_key(&key), Ok(Some(ControlType::Commit)));
}

fn write(node: &mut Node, path: &str, bytes: &[u8]) {
    use storage::Disk;
    let disk = node.store.disk_mut();
    let file = disk.open(DIR, path, true).unwrap();
    disk.write_at(&file, 0, &[Bytes::copy_from_slice(bytes)]).unwrap();
    disk.close(file);
}

#[test]
fn bad_bytes_stop_a_clean_and_nothing_of_it_is_left() {
    let mut node = Node::new().rules(small_segments(100));
    for value in ["1", "2", "3", "4"] {
        node.append(plain(&[("a", Some(value))]));
    }
    node.flush();
    node.scribble(&common::log_path(1), 66, b"?");
    let (names, shape) = (node.names(), node.shape.clone());
    let broken = plan(&node, 0);
    let result = try_clean(&mut node, broken);
    let Err(StoreError::Corrupt(what)) = result else { panic!("{result:?} of bad bytes") };
    assert!(what.starts_with("orders-0/00000000000000000001.log at byte 0: its CRC-32C is"), "{what}");
    let without_checkpoints = |names: Vec<String>| names.into_iter().filter(|it| it.contains('/')).collect::<Vec<_>>();
    assert_eq!(without_checkpoints(node.names()), without_checkpoints(names));
    assert!(node.shape.segments().eq(shape.segments()));
}

#[test]
fn a_clean_can_be_stopped_and_the_log_cut_meanwhile() {
    let mut node = Node::new().rules(small_segments(100));
    for value in ["1", "2", "3", "4"] {
        node.append(plain(&[("a", Some(value))]));
    }
    node.flush();
    let names = node.names();
    let (era, wanted) = (node.shape.era(), plan(&node, 0));
    let mut job = node.store.clean_job(LOG, era, CleanStep::Begin(Box::new(wanted.clone()))).unwrap();
    let stopped = job.run(node.store.disk_mut(), &PureCompressors, &mut |_| false);
    assert_eq!(stopped, Err(StoreError::Missing));
    assert_eq!(node.names(), names);
    // A result for a log that was cut is none.
    node.shape.begin_clean();
    let begin = CleanStep::Begin(Box::new(wanted));
    let Ok(Done::Cleaned(cleaned)) = node.store.execute(StoreOp::Clean(LOG, era, begin)) else { panic!("cleaned") };
    node.truncate(2);
    assert_eq!(node.shape.swap(&cleaned), None);
    assert_eq!(node.store.execute(StoreOp::Clean(LOG, era, CleanStep::Next)), Err(StoreError::Missing));
    assert_eq!(records(&mut node), left(&[(0, "a", Some("1")), (1, "a", Some("2"))]));
    let mut node = node.restart().unwrap();
    assert_eq!(records(&mut node), left(&[(0, "a", Some("1")), (1, "a", Some("2"))]));
    assert!(node.names().iter().all(|it| !it.ends_with(".cleaned")), "the next start takes away what was left");
}

#[test]
fn deleted_records_go_when_the_clean_is_over() {
    let mut node = Node::new().rules(small_segments(100));
    for key in ["a", "b", "c", "d"] {
        node.append(plain(&[(key, Some("1"))]));
    }
    node.shape.begin_clean();
    assert_eq!(node.shape.advance_log_start(Offset(2)), []);
    assert_eq!(node.shape.log_start(), Offset(2));
    assert_eq!(node.shape.segments().count(), 4);
    let ops = node.shape.end_clean();
    assert!(matches!(ops.as_slice(), [StoreOp::Delete(_, files)] if files.len() == 2), "{ops:?}");
}

/// A log with duplicates, tombstones, a producer and several groups.
fn busy() -> Node {
    let mut node = Node::on(MemoryDisk::new()).unwrap().rules(small_segments(260));
    for round in 0..6 {
        let value = round.to_string();
        let records: Vec<(String, Option<&str>)> = (0..4)
            .map(|key| (format!("k{}", (key * 3 + round) % 7), (key != round % 4).then_some(value.as_str())))
            .collect();
        let records: Vec<(&str, Option<&str>)> = records.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        node.append(keyed(if round % 2 == 0 { Compression::None } else { Compression::Gzip }, &records));
        let mut builder = BatchBuilder::new(Compression::None).producer(ProducerId(3), ProducerEpoch(0), round);
        builder.push(WallMs(1_000), Some(b"k1"), Some(value.as_bytes()), &[]);
        node.append(builder.build_batches(&PureCompressors).unwrap());
    }
    node.flush();
    node
}

/// The newest record of each key.
fn newest(records: &Left) -> BTreeMap<String, (i64, Option<String>)> {
    records.iter().map(|(offset, key, value)| (key.clone(), (*offset, value.clone()))).collect()
}

/// At every call that changes the disk the power fails, or the process dies: nothing is lost, nothing is there twice, and
/// the next clean comes to the same end.
#[test]
fn a_crash_at_any_moment_of_a_clean_loses_nothing() {
    let grouped = |node: &Node| CleanPlan { segment_bytes: 700, ..plan(node, 0) };
    let mut whole = busy();
    let (before, calls) = (records(&mut whole), whole.store.disk().calls());
    let wanted = grouped(&whole);
    try_clean(&mut whole, wanted).unwrap();
    let calls = calls..=whole.store.disk().calls();
    let after = records(&mut whole);
    assert!(after.len() < before.len() && whole.shape.segments().count() > 2, "there are several groups");
    assert!(calls.end() - calls.start() > 60);
    for call in calls {
        for cut in [true, false] {
            let mut node = busy();
            node.store.disk_mut().end_power_at(call);
            let wanted = grouped(&node);
            let ended = try_clean(&mut node, wanted);
            let mut disk = node.store.into_disk();
            // Either way the disk comes back; a process that dies leaves the page cache behind.
            if cut {
                disk.power_cut()
            } else {
                disk.restore_power()
            }
            disk.crash();
            let mut node = Node::on(disk).unwrap().rules(small_segments(260));
            let (at, found) = (format!("call {call}, power cut: {cut}"), records(&mut node));
            assert_eq!(newest(&found), newest(&before), "{at}");
            assert!(found.windows(2).all(|it| it[0].0 < it[1].0), "{at}: {found:?}");
            assert!(found.iter().all(|it| before.contains(it)), "{at}");
            assert_eq!(node.shape.mounted().cut, None, "{at}");
            assert_eq!(node.shape.end(), whole.shape.end(), "{at}");
            if ended.is_ok() {
                assert_eq!(found, after, "{at}");
            }
            let names = node.names();
            assert!(names.iter().all(|it| !it.contains(".cleaned") && !it.contains(".swap")), "{at}: {names:?}");
            let first_dirty = node.shape.mounted().cleaned_to.unwrap_or_default();
            let again = CleanPlan { first_dirty, ..grouped(&node) };
            try_clean(&mut node, again).unwrap();
            assert_eq!(records(&mut node), after, "{at}");
        }
    }
}

/// Kafka's rules once more, said about records instead of batches: random logs, cleaned in random steps.
#[test]
fn random_logs_keep_what_kafka_keeps() {
    for seed in 0..60u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut node = Node::new().rules(small_segments(150 + below(600) as i32));
        let mut model: Left = Vec::new();
        let mut horizons: BTreeMap<i64, i64> = BTreeMap::new();
        let mut batch_of: BTreeMap<i64, usize> = BTreeMap::new();
        let (mut first_dirty, mut now, mut count) = (0, NOW.0, 0);
        for _ in 0..4 {
            for _ in 0..5 + below(25) {
                let records: Vec<(String, Option<String>)> = (0..1 + below(5))
                    .map(|_| (format!("k{}", below(9)), (below(4) > 0).then(|| below(1000).to_string())))
                    .collect();
                let borrowed: Vec<(&str, Option<&str>)> =
                    records.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
                let codec =
                    [Compression::None, Compression::None, Compression::Lz4, Compression::Snappy][below(4) as usize];
                let base = node.append(keyed(codec, &borrowed)).first.0;
                for (index, (key, value)) in records.into_iter().enumerate() {
                    batch_of.insert(base + index as i64, count);
                    model.push((base + index as i64, key, value));
                }
                count += 1;
            }
            now += below(8_000) as i64;
            let wanted = CleanPlan {
                now: WallMs(now),
                segment_bytes: 200 + below(2_000) as i32,
                max_keys: if below(3) == 0 { 1 + below(12) } else { 1 << 20 },
                ..plan(&node, first_dirty)
            };
            let from = first_dirty;
            first_dirty = try_clean(&mut node, wanted).unwrap().end.0;
            let dirty: Left = model.iter().filter(|it| it.0 >= from && it.0 < first_dirty).cloned().collect();
            let newest = newest(&dirty);
            model.retain(|(offset, key, value)| {
                let replaced = newest.get(key).is_some_and(|(at, _)| offset < at);
                let expired = value.is_none() && horizons.get(&(batch_of[offset] as i64)).is_some_and(|it| *it <= now);
                *offset >= first_dirty || !(replaced || expired)
            });
            // A batch that was looked at and still has a tombstone has a horizon from now on, the whole segment's.
            let looked_at = node.shape.segments().filter(|it| it.base < Offset(first_dirty)).count();
            let end = node.shape.segments().nth(looked_at).map_or(0, |it| it.base.0);
            for (offset, _, value) in &model {
                if *offset < end && value.is_none() {
                    horizons.entry(batch_of[offset] as i64).or_insert(now + DELETE_RETENTION);
                }
            }
            assert_eq!(records(&mut node), model, "seed {seed}");
        }
        let mut node = node.restart().unwrap();
        assert_eq!(records(&mut node), model, "seed {seed} after a restart");
    }
}
