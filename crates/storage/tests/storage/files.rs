//! The files on disk, byte for byte as `kafka-dump-log` of Apache Kafka 4.3.1 reads them.

use protocol::records::verify;
use storage::{Cell, LogRules, LogSpec, SegmentRules, Store, StoreOp, meta};

use crate::common::{DIR, LOG, Node, batch_of, log_path, produced, small_segments, spec};

fn file(node: &Node, path: &str) -> Vec<u8> {
    let files = node.store.disk().files();
    files.into_iter().find(|(_, it, _)| it == path).unwrap_or_else(|| panic!("no {path}")).2.to_vec()
}

#[test]
fn a_segment_is_batches_and_nothing_else() {
    let mut node = Node::new();
    node.append(batch_of(&[1_000, 2_000], 10));
    node.append(produced(4, 1, 7, 3));
    let bytes = file(&node, &log_path(0));
    let first = verify(&bytes).unwrap();
    let second = verify(&bytes[first.size()..]).unwrap();
    assert_eq!((first.base_offset.0, second.base_offset.0, second.last_sequence()), (0, 2, 9));
    assert_eq!(bytes.len(), first.size() + second.size());
}

#[test]
fn indexes_name_last_offsets_and_positions() {
    let mut node = Node::new().rules(small_segments(30_000));
    // 1,100 bytes and some a batch: an entry is due before the batch that comes after more than 4,096 bytes.
    for time in 0..9 {
        node.append(batch_of(&[time * 10, time * 10 + 1], 500));
    }
    let size = node.shape.size() as u32 / 9;
    node.run([StoreOp::Put(Cell::CleanShutdown(DIR), meta::format_clean_shutdown(1))]);
    let entry = |offset: u32, position: u32| [offset.to_be_bytes(), position.to_be_bytes()].concat();
    let per_entry = 4_096 / size + 1;
    let index = [entry(2 * per_entry + 1, per_entry * size), entry(4 * per_entry + 1, 2 * per_entry * size)].concat();
    assert_eq!(file(&node, "orders-0/00000000000000000000.index"), index);
    let entry = |time: i64, offset: u32| [&time.to_be_bytes()[..], &offset.to_be_bytes()].concat();
    let at = |batch: u32| entry(i64::from(batch) * 10 + 1, 2 * batch + 1);
    let timeindex = [at(per_entry), at(2 * per_entry)].concat();
    assert_eq!(file(&node, "orders-0/00000000000000000000.timeindex"), timeindex);
}

/// As in Kafka a segment keeps the interval that it began with, and indexes that are made anew have the same entries.
#[test]
fn indexes_are_as_coarse_as_the_topic_wants() {
    let mut node = Node::new();
    let path = |base: i64| format!("orders-0/{base:020}.index");
    let entries = |node: &Node, base| file(node, &path(base)).len() / 8;
    let segment_bytes = 10 * batch_of(&[0, 1], 500).bytes() as i32;
    // The first segment began before anybody set anything.
    for interval in [4_096, 0, 2_500] {
        node.rules = LogRules { index_interval_bytes: interval, segment_bytes, ..LogRules::default() };
        for time in 0..10 {
            node.append(batch_of(&[time, time + 1], 500));
        }
    }
    node.append(batch_of(&[50], 20));
    let sealed: Vec<i64> = node.shape.segments().map(|it| it.base.0).take(3).collect();
    let found: Vec<usize> = sealed.iter().map(|base| entries(&node, *base)).collect();
    assert_eq!(found, [2, 9, 3], "of ten batches of 1.1 KB each");
    // All of it is read again.
    let before: Vec<Vec<u8>> = sealed.iter().map(|base| file(&node, &path(*base))).collect();
    let segments = SegmentRules { index_interval_bytes: 0, ..SegmentRules::default() };
    let mut disk = node.store.into_disk();
    disk.crash();
    let mut store = Store::new(disk);
    store.execute(StoreOp::Mount(LOG, LogSpec { segments, ..spec() })).unwrap();
    let node = Node { store, shape: node.shape, rules: node.rules, epoch: node.epoch };
    assert_eq!(file(&node, &path(sealed[1])), before[1]);
    assert_eq!(entries(&node, sealed[2]), 9, "by what the topic says now");
}

#[test]
fn a_roll_leaves_indexes_and_a_snapshot() {
    let mut node = Node::new().rules(small_segments(200));
    for round in 0..4 {
        node.append(produced(4, 1, round * 2, 2));
    }
    let second = node.shape.segments().nth(1).unwrap().base.0;
    let snapshot = file(&node, &format!("orders-0/{second:020}.snapshot"));
    let version_crc_count = 2 + 4 + 4;
    assert_eq!(&snapshot[..2], [0, 1]);
    assert_eq!(&snapshot[6..version_crc_count], [0, 0, 0, 1]);
    let entry = &snapshot[version_crc_count..];
    assert_eq!(&entry[..8], 4i64.to_be_bytes());
    assert_eq!(&entry[8..10], 1i16.to_be_bytes());
    assert_eq!(&entry[10..14], (second as i32 - 1).to_be_bytes(), "last sequence");
    assert_eq!(&entry[14..22], (second - 1).to_be_bytes(), "last offset");
    assert_eq!(&entry[22..26], 1i32.to_be_bytes(), "offset delta");
    assert_eq!(&entry[26..34], 1_000i64.to_be_bytes(), "timestamp");
    assert_eq!(&entry[34..38], (-1i32).to_be_bytes(), "coordinator epoch");
    assert_eq!(&entry[38..], (-1i64).to_be_bytes(), "open transaction");
    // The first batch has no entry, so a small segment has an empty offset index; its newest time is always there.
    assert_eq!(file(&node, "orders-0/00000000000000000000.index"), []);
    let timeindex = file(&node, "orders-0/00000000000000000000.timeindex");
    assert_eq!(timeindex, [&1_000i64.to_be_bytes()[..], &1u32.to_be_bytes()].concat());
    node.flush();
    assert_eq!(file(&node, "orders-0/leader-epoch-checkpoint"), b"0\n1\n0 0\n");
}
