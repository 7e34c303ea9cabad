//! Record batches against those that Apache Kafka's own classes wrote (`golden/records`, see RecordBatches.java), read, and
//! built again byte for byte.
#![cfg(not(target_arch = "wasm32"))] // reads its data from files
#![allow(clippy::disallowed_methods, reason = "a test that meets files")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::records::{
    BatchBuilder, BatchHead, Batches, CheckRules, Compression, ControlType, PureCompressors, Record, TimestampType,
    check, control, crc32c, read,
};
use protocol::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Str, WallMs};

#[test]
fn reads_what_kafka_wrote() {
    for (name, bytes) in golden() {
        let expected = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        assert_eq!(describe(&bytes), expected, "{name}");
    }
}

#[test]
fn checks_what_kafka_wrote() {
    for (name, bytes) in golden() {
        let rules = CheckRules::replica(Offset(0));
        let batches = check(bytes.clone(), &rules, &PureCompressors).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(batches.to_bytes(), bytes, "{name}: what is not stamped is the same bytes");
        let head = &batches.heads()[0];
        let from_producer = batches.len() == 1
            && head.base_offset == Offset(0)
            && !head.attributes.is_control()
            && head.attributes.timestamp_type() == TimestampType::CreateTime;
        let checked = check(bytes.clone(), &CheckRules::produce(9), &PureCompressors);
        assert_eq!(checked.is_ok(), from_producer, "{name}: {checked:?}");
    }
}

#[test]
fn builds_the_bytes_that_kafka_wrote() {
    let mut rebuilt = 0;
    for (name, bytes) in golden() {
        let mut again = Vec::new();
        for batch in read(&bytes, &PureCompressors) {
            let (head, records) = batch.unwrap();
            if head.attributes.compression() == Compression::None {
                again.extend_from_slice(&build_again(&head, &records));
                rebuilt += 1;
            } else {
                let at = again.len();
                again.extend_from_slice(&bytes[at..at + head.size()]);
            }
        }
        assert_eq!(again, bytes, "{name}");
    }
    assert!(rebuilt >= 18, "only {rebuilt} batches were built again");
}

/// A batch with holes or a delete horizon comes from compaction, any other from a producer or the broker itself.
fn build_again(head: &BatchHead, records: &[Record]) -> Bytes {
    let is_compacted = head.attributes.has_delete_horizon() || head.record_count <= head.last_offset_delta;
    let mut builder;
    if is_compacted {
        builder = BatchBuilder::compacted(head, None);
        records.iter().for_each(|record| builder.keep(record));
    } else {
        builder = BatchBuilder::new(Compression::None).place(head.base_offset, head.leader_epoch);
        if head.has_producer_id() {
            builder = builder.producer(head.producer_id, head.producer_epoch, head.base_sequence);
        }
        if head.attributes.is_transactional() {
            builder = builder.transactional();
        }
        if head.attributes.is_control() {
            builder = builder.control();
        }
        if head.attributes.timestamp_type() == TimestampType::LogAppendTime {
            return as_the_broker_appended(head, records, builder);
        }
        push_all(&mut builder, records);
    }
    builder.build(&PureCompressors).unwrap()
}

/// A LogAppendTime batch still holds the producer's deltas, so it is built as the producer did and stamped.
fn as_the_broker_appended(head: &BatchHead, records: &[Record], mut builder: BatchBuilder) -> Bytes {
    for (record, timestamp) in records.iter().zip(MIXED_TIMESTAMPS) {
        builder.push(WallMs(timestamp), record.key.as_deref(), record.value.as_deref(), &record.headers);
    }
    let mut batches = builder.build_batches(&PureCompressors).unwrap();
    batches.stamp(0, head.base_offset, head.leader_epoch, Some(WallMs(head.max_timestamp)));
    batches.to_bytes()
}

#[test]
fn control_batches_are_kafkas() {
    for (name, committed) in [("commit", true), ("abort", false)] {
        let marker = control::EndTransaction { committed, coordinator_epoch: 8 };
        let mut batches = marker.batch(ProducerId(4711), ProducerEpoch(3), WallMs(T));
        batches.stamp(0, Offset(33), LeaderEpoch(4), None);
        assert_eq!(batches.to_bytes(), one(name), "{name}");
        let (_, records) = read(&one(name), &PureCompressors).next().unwrap().unwrap();
        let (key, value) = (records[0].key.as_deref().unwrap(), records[0].value.as_deref().unwrap());
        assert_eq!(control::EndTransaction::of_record(key, value), Ok(Some(marker)));
    }
    let quorum = [
        ("leader_change", ControlType::LeaderChange),
        ("snapshot_header", ControlType::SnapshotHeader),
        ("snapshot_footer", ControlType::SnapshotFooter),
        ("kraft_version", ControlType::KRaftVersion),
        ("kraft_voters", ControlType::KRaftVoters),
    ];
    for (name, control_type) in quorum {
        let (head, records) = read(&one(name), &PureCompressors).next().unwrap().unwrap();
        let values: Vec<_> = records.iter().map(|it| (control_type, it.value.clone().unwrap())).collect();
        let batches = control::quorum_batch(head.base_offset, head.leader_epoch, WallMs(T), &values);
        assert_eq!(batches.to_bytes(), one(name), "{name}");
    }
}

#[test]
fn compaction_leaves_what_kafkas_cleaner_leaves() {
    let mut builder = BatchBuilder::new(Compression::None).place(Offset(20), LeaderEpoch(3)).producer(
        ProducerId(7),
        ProducerEpoch(1),
        50,
    );
    push_all(&mut builder, &mixed());
    let before = builder.build(&PureCompressors).unwrap();
    let (head, records) = read(&before, &PureCompressors).next().unwrap().unwrap();

    // A tombstone stays, so the batch gets a horizon: the cleaner's time and its retention.
    let mut some = BatchBuilder::compacted(&head, Some(WallMs(T + 1000)));
    records.iter().filter(|it| it.offset.0 % 2 == 1).for_each(|it| some.keep(it));
    assert_eq!(some.build(&PureCompressors).unwrap(), one("compacted"));
    let none = BatchBuilder::compacted(&head, Some(WallMs(T + 1000)));
    assert_eq!(none.build(&PureCompressors).unwrap(), one("compacted_empty"));
}

/// Batches that we built with every codec, for Apache Kafka's reader: `RecordBatches.java check target/tmp/records`.
#[test]
fn what_we_build_reads_as_it_was_pushed() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("records");
    std::fs::create_dir_all(&out).unwrap();
    for compression in Compression::ALL {
        for (name, records) in [("mixed", mixed()), ("repetitive", repetitive()), ("noise", noise())] {
            let builder = BatchBuilder::new(compression)
                .place(Offset(1_000), LeaderEpoch(6))
                .producer(ProducerId(77), ProducerEpoch(2), 5)
                .transactional();
            let bytes = round_trip(builder, &records);
            let name = format!("{name}_{compression}");
            std::fs::write(out.join(format!("{name}.bin")), &bytes).unwrap();
            std::fs::write(out.join(format!("{name}.txt")), describe(&bytes)).unwrap();
        }
    }
    let mut stamped = Batches::default();
    for (index, compression) in Compression::ALL.into_iter().enumerate() {
        let mut builder = BatchBuilder::new(compression);
        push_all(&mut builder, &mixed());
        let bytes = builder.build(&PureCompressors).unwrap();
        stamped = check(bytes, &CheckRules::produce(9), &PureCompressors).unwrap();
        stamped.stamp(0, Offset(index as i64 * 10), LeaderEpoch(9), Some(WallMs(T + 123_456)));
        let name = format!("stamped_{compression}");
        std::fs::write(out.join(format!("{name}.bin")), stamped.to_bytes()).unwrap();
        std::fs::write(out.join(format!("{name}.txt")), describe(&stamped.to_bytes())).unwrap();
    }
    assert_eq!(stamped.heads()[0].max_timestamp, T + 123_456);
}

fn round_trip(mut builder: BatchBuilder, records: &[Record]) -> Bytes {
    push_all(&mut builder, records);
    let twin = builder.clone().build(&PureCompressors).unwrap();
    let bytes = builder.build(&PureCompressors).unwrap();
    assert_eq!(bytes, twin, "the same pushes give the same bytes");
    let mut read = read(&bytes, &PureCompressors);
    let (head, found) = read.next().unwrap().unwrap();
    assert!(read.next().is_none());
    let expected: Vec<_> = records
        .iter()
        .enumerate()
        .map(|(index, record)| Record { offset: head.base_offset.plus(index as i64), ..record.clone() })
        .collect();
    assert_eq!(found, expected);
    bytes
}

const T: i64 = 1_700_000_000_000;
const MIXED_TIMESTAMPS: [i64; 6] = [T, T - 5, T + 70_000, T + 1, T + 2, T + 3];

/// The records of the same name in RecordBatches.java.
fn mixed() -> Vec<Record> {
    let (_, records) = read(&one("plain"), &PureCompressors).next().unwrap().unwrap();
    assert_eq!(records.iter().map(|it| it.timestamp.0).collect::<Vec<_>>(), MIXED_TIMESTAMPS);
    records
}

fn repetitive() -> Vec<Record> {
    let (_, records) = read(&one("zstd"), &PureCompressors).next().unwrap().unwrap();
    records
}

/// What no codec makes smaller.
fn noise() -> Vec<Record> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..50)
        .map(|index| {
            let value: Vec<u8> = (0..5_000).map(|_| next() as u8).collect();
            let header = (Str::from("n"), Some(Bytes::from(next().to_be_bytes().to_vec())));
            Record {
                timestamp: WallMs(T - index),
                value: Some(value.into()),
                headers: vec![header],
                ..Record::default()
            }
        })
        .collect()
}

fn push_all(builder: &mut BatchBuilder, records: &[Record]) {
    for record in records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let expected = builder.size_with(record.timestamp, key, value, &record.headers);
        builder.push(record.timestamp, key, value, &record.headers);
        assert_eq!(builder.estimated_size(), expected);
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records")
}

fn one(name: &str) -> Bytes {
    std::fs::read(folder().join(format!("{name}.bin"))).unwrap().into()
}

fn golden() -> Vec<(String, Bytes)> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".bin").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 25, "golden files are missing");
    names.into_iter().map(|name| (name.clone(), one(&name))).collect()
}

/// The description that RecordBatches.java makes of the same bytes.
fn describe(bytes: &Bytes) -> String {
    let mut out = String::new();
    for batch in read(bytes, &PureCompressors) {
        let (head, records) = batch.unwrap();
        describe_head(&head, &mut out);
        for record in &records {
            describe_record(record, head.attributes.is_control(), &mut out);
        }
    }
    out
}

fn describe_head(head: &BatchHead, out: &mut String) {
    let attributes = head.attributes;
    let timestamps = match attributes.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    let horizon = if attributes.has_delete_horizon() { head.base_timestamp.to_string() } else { "none".to_owned() };
    write!(
        out,
        "batch base_offset={} last_offset={} leader_epoch={} crc={} compression={} timestamps={timestamps}",
        head.base_offset,
        head.last_offset(),
        head.leader_epoch,
        head.crc,
        attributes.compression(),
    )
    .unwrap();
    write!(
        out,
        " transactional={} control={} delete_horizon={horizon} base_timestamp={} max_timestamp={}",
        attributes.is_transactional(),
        attributes.is_control(),
        head.base_timestamp,
        head.max_timestamp,
    )
    .unwrap();
    writeln!(
        out,
        " producer_id={} producer_epoch={} base_sequence={} last_sequence={} records={} size={}",
        head.producer_id,
        head.producer_epoch,
        head.base_sequence,
        head.last_sequence(),
        head.record_count,
        head.size(),
    )
    .unwrap();
}

fn describe_record(record: &Record, is_control: bool, out: &mut String) {
    let (key, value) = (show(record.key.as_deref()), show(record.value.as_deref()));
    write!(out, "  record offset={} timestamp={} key={key} value={value}", record.offset, record.timestamp.0).unwrap();
    if is_control {
        let control_type = ControlType::of_key(record.key.as_deref().unwrap()).unwrap().unwrap();
        write!(out, " type={}", control_type.name()).unwrap();
    }
    if !record.headers.is_empty() {
        let headers = record.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| format!("{}={}", show(Some(name.as_bytes())), show(value.as_deref())))
            .collect();
        write!(out, " headers={}", headers.join(",")).unwrap();
    }
    out.push('\n');
}

fn show(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) if bytes.len() > 64 => format!("{}:{}", bytes.len(), crc32c(bytes)),
        Some(bytes) => bytes.iter().fold("x".to_owned(), |hex, byte| format!("{hex}{byte:02x}")),
    }
}
