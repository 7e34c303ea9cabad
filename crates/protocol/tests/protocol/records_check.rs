//! What a broker lets into a log, what it refuses and how it says so; what it writes.

use bytes::Bytes;
use protocol::records::{
    Attributes, BatchBuilder, BatchFacts, BatchHead, Batches, CheckRules, Compression, CompressionError, Fault,
    HEAD_SIZE, PureCompressors, RecordFault, RecordViews, RecordsError, TimestampType, check, control, read, verify,
};
use protocol::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, WallMs, explain};

use crate::records_common::{T, built, sealed, three, with_head, with_records};

fn produce(bytes: impl Into<Bytes>) -> Result<Batches, RecordsError> {
    check(bytes.into(), &CheckRules::produce(13), &PureCompressors)
}

fn replica(bytes: impl Into<Bytes>, from: i64) -> Result<Batches, RecordsError> {
    check(bytes.into(), &CheckRules::replica(Offset(from)), &PureCompressors)
}

#[track_caller]
fn refused(result: Result<Batches, RecordsError>, fault: Fault, code: ErrorCode) {
    let error = result.unwrap_err();
    assert_eq!(error.fault, fault, "{error}");
    assert_eq!(error.code(), code);
}

#[track_caller]
fn record_refused(records: &[u8], index: i32, fault: RecordFault) {
    let batch = with_records(&built(three(Compression::None)), records);
    refused(produce(batch), Fault::Record { index, fault }, ErrorCode::InvalidRecord);
}

#[test]
fn a_produced_batch_passes_with_its_facts() {
    for compression in Compression::ALL {
        let bytes = built(three(compression));
        let batches = produce(bytes.clone()).unwrap();
        assert_eq!(batches.len(), 1);
        assert_eq!(batches.heads()[0].attributes.compression(), compression);
        assert_eq!((batches.bytes(), batches.record_count()), (bytes.len(), 3));
        let facts = BatchFacts {
            first_null_key: Some(1),
            min_timestamp: Some(T - 20),
            max_timestamp: T + 10,
            max_timestamp_index: 1,
            plain_size: built(three(Compression::None)).len() - HEAD_SIZE,
        };
        assert_eq!(batches.facts(0), Some(&facts));
        assert_eq!(batches.write_pieces(), [bytes]);
    }
}

#[test]
fn facts_of_records_without_a_timestamp() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(WallMs(-1), Some(b"k"), None, &[]);
    let batches = produce(built(builder)).unwrap();
    let facts = batches.facts(0).unwrap();
    assert_eq!((facts.first_null_key, facts.min_timestamp, facts.max_timestamp), (None, None, -1));
}

#[test]
fn heads_that_a_producer_must_not_send() {
    let batch = built(three(Compression::None));
    let invalid = ErrorCode::InvalidRecord;
    refused(produce(with_head(&batch, |it| it.base_offset = Offset(1))), Fault::BaseOffset, invalid);
    for (record_count, last_offset_delta) in [(0, -1), (0, 2), (-1, -2), (2, 2), (4, 2), (3, 3), (i32::MIN, i32::MAX)] {
        let wrong = with_head(&batch, |it| (it.record_count, it.last_offset_delta) = (record_count, last_offset_delta));
        refused(produce(wrong), Fault::Count { record_count, last_offset_delta }, invalid);
    }
    let control = with_head(&batch, |it| it.attributes = it.attributes.with_control(true));
    refused(produce(control), Fault::Control, invalid);
    let no_sequence = with_head(&batch, |it| it.producer_id = ProducerId(5));
    refused(produce(no_sequence), Fault::Sequence(-1), invalid);
    let append_time =
        with_head(&batch, |it| it.attributes = it.attributes.with_timestamp_type(TimestampType::LogAppendTime));
    refused(produce(append_time), Fault::TimestampType, ErrorCode::InvalidTimestamp);
}

#[test]
fn one_batch_a_partition() {
    let batch = built(three(Compression::None));
    refused(produce(Bytes::new()), Fault::NoBatch, ErrorCode::InvalidRecord);
    let error = produce([&batch[..], &batch[..]].concat()).unwrap_err();
    assert_eq!((error.fault.clone(), error.at), (Fault::ManyBatches, batch.len()));
    assert_eq!(error.code(), ErrorCode::InvalidRecord);
    let cut = [&batch[..], &batch[..70]].concat();
    refused(produce(cut), Fault::Truncated { needed: batch.len(), have: 70 }, ErrorCode::InvalidRecord);
}

#[test]
fn formats_and_codecs_that_are_not_spoken() {
    let batch = built(three(Compression::Zstd));
    let rules = CheckRules::produce(6);
    let old = check(batch.clone(), &rules, &PureCompressors);
    refused(old, Fault::CompressionTooNew, ErrorCode::UnsupportedCompressionType);
    assert!(check(batch.clone(), &CheckRules::produce(7), &PureCompressors).is_ok());
    for (magic, code) in [(0, ErrorCode::InvalidRecord), (1, ErrorCode::InvalidRecord), (3, ErrorCode::CorruptMessage)]
    {
        refused(produce(with_head(&batch, |it| it.magic = magic)), Fault::Magic(magic), code);
    }
    // An old message may be shorter than a head is now.
    refused(produce(vec![0; 26]), Fault::Magic(0), ErrorCode::InvalidRecord);
    for id in 5..8 {
        let mut bytes = batch.to_vec();
        bytes[22] = bytes[22] & !7 | id;
        let fault = Fault::UnknownCompression(i16::from(id));
        refused(produce(bytes), fault, ErrorCode::UnknownServerError);
    }
    assert_eq!(Attributes::from_bits(5), None);
}

#[test]
fn lengths_and_checksums() {
    let batch = built(three(Compression::None));
    let mut wrong = batch.to_vec();
    wrong[70] ^= 1;
    let error = produce(wrong).unwrap_err();
    assert!(matches!(error.fault, Fault::Crc { .. }));
    assert_eq!((error.code(), error.base_offset), (ErrorCode::CorruptMessage, Some(Offset(0))));
    for length in [-1, 0, 48, i32::MIN] {
        let mut wrong = batch.to_vec();
        wrong[8..12].copy_from_slice(&i32::to_be_bytes(length));
        refused(produce(wrong), Fault::BatchLength(length), ErrorCode::CorruptMessage);
    }
    let rules = CheckRules { max_batch_size: batch.len() - 1, ..CheckRules::produce(13) };
    let fault = Fault::TooLarge { size: batch.len(), limit: batch.len() - 1 };
    refused(check(batch.clone(), &rules, &PureCompressors), fault, ErrorCode::MessageTooLarge);
    let rules = CheckRules { max_batch_size: batch.len(), ..rules };
    assert!(check(batch, &rules, &PureCompressors).is_ok());
}

#[test]
fn what_decompresses_to_too_much() {
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let bytes = built(three(compression));
        let plain_size = built(three(Compression::None)).len() - HEAD_SIZE;
        let rules = CheckRules { max_decompressed: plain_size, ..CheckRules::produce(13) };
        assert!(check(bytes.clone(), &rules, &PureCompressors).is_ok(), "{compression}");
        let limit = plain_size - 1;
        let rules = CheckRules { max_decompressed: limit, ..rules };
        let fault = Fault::Compression(CompressionError::Limit { limit });
        refused(check(bytes, &rules, &PureCompressors), fault, ErrorCode::MessageTooLarge);
    }
}

#[test]
fn what_is_not_what_its_codec_writes() {
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let bytes = with_records(&built(three(compression)), b"\xff\xff\xff\xffnothing of the kind");
        let error = produce(bytes).unwrap_err();
        assert!(matches!(error.fault, Fault::Compression(CompressionError::Corrupt { .. })), "{error}");
        assert_eq!(error.code(), ErrorCode::UnknownServerError);
    }
}

#[test]
fn records_that_do_not_hold_together() {
    let batch = built(three(Compression::None));
    let good = &batch[HEAD_SIZE..];
    // The first record's size is a zigzag varint of one byte.
    let (one, rest) = good.split_at(1 + usize::from(good[0] / 2));

    record_refused(b"", 0, RecordFault::EndsEarly);
    record_refused(one, 1, RecordFault::EndsEarly);
    record_refused(&good[..good.len() - 1], 2, RecordFault::EndsEarly);
    let trailing = with_records(&batch, &[good, &[0, 0]].concat());
    refused(produce(trailing), Fault::TrailingBytes(2), ErrorCode::InvalidRecord);
    // The same record again: its offset does not follow.
    record_refused(&[one, one, rest].concat(), 1, RecordFault::OffsetDelta(0));

    let (negative, too_long) = ([1], [0xff; 5]);
    record_refused(&[&negative[..], good].concat(), 0, RecordFault::Size(-1));
    record_refused(&[&too_long[..], good].concat(), 0, RecordFault::Varint);
    record_refused(&[0], 0, RecordFault::EndsEarly);
    // Attributes, timestamp 0, offset 0, key -1, value -1: then headers.
    let record = |fields: &[u8]| [&[fields.len() as u8 * 2][..], fields].concat();
    record_refused(&record(&[0, 0, 0, 1, 1]), 0, RecordFault::EndsEarly);
    record_refused(&record(&[0, 0, 0, 1, 1, 1]), 0, RecordFault::HeaderCount(-1));
    record_refused(&record(&[0, 0, 0, 1, 1, 2]), 0, RecordFault::HeaderCount(1));
    record_refused(&record(&[0, 0, 0, 1, 1, 2, 1, 1]), 0, RecordFault::HeaderKey(-1));
    record_refused(&record(&[0, 0, 0, 1, 1, 2, 4, 1]), 0, RecordFault::HeaderKey(2));
    record_refused(&record(&[0, 0, 0, 20, 1, 0]), 0, RecordFault::Length(10));
    record_refused(&record(&[0, 0, 0, 1, 20, 0]), 0, RecordFault::Length(10));
    record_refused(&record(&[0, 0, 0, 1, 1, 0, 0]), 0, RecordFault::Size(7));
}

#[test]
fn a_wrong_max_timestamp_is_corrected() {
    let wrong = with_head(&built(three(Compression::Lz4)), |it| it.max_timestamp = T + 999_999);
    let batches = produce(wrong).unwrap();
    assert_eq!(batches.heads()[0].max_timestamp, T + 10);
    assert_eq!(batches.to_bytes(), built(three(Compression::Lz4)));
}

#[test]
fn stamping_rewrites_no_payload() {
    let bytes = built(three(Compression::None));
    let mut batches = produce(bytes.clone()).unwrap();
    batches.stamp(0, Offset(0), LeaderEpoch(-1), None);
    assert_eq!(batches.write_pieces(), std::slice::from_ref(&bytes), "a stamp that changes nothing writes nothing new");

    batches.stamp(0, Offset(500), LeaderEpoch(4), None);
    let pieces = batches.write_pieces();
    assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [16, bytes.len() - 16]);
    assert_eq!(pieces[1].as_ptr(), bytes[16..].as_ptr(), "shared, not copied");
    let head = verify(&batches.to_bytes()).unwrap();
    assert_eq!((head.base_offset, head.leader_epoch, head.last_offset()), (Offset(500), LeaderEpoch(4), Offset(502)));
    assert_eq!(head, batches.heads()[0]);

    batches.stamp(0, Offset(500), LeaderEpoch(4), Some(WallMs(T + 777)));
    let pieces = batches.write_pieces();
    assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [HEAD_SIZE, bytes.len() - HEAD_SIZE]);
    assert_eq!(pieces[1].as_ptr(), bytes[HEAD_SIZE..].as_ptr(), "shared, not copied");
    let (head, records) = read(&batches.to_bytes(), &PureCompressors).next().unwrap().unwrap();
    assert_eq!(head.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert!(records.iter().all(|it| it.timestamp == WallMs(T + 777)));
}

#[test]
fn a_topic_may_want_another_compression() {
    for from in Compression::ALL {
        let batches = produce(built(three(from))).unwrap();
        for to in Compression::ALL {
            let mut again = batches.recompressed(to, None, 1000, &PureCompressors).unwrap();
            assert_eq!(again.to_bytes(), built(three(to)), "{from} to {to}");
            assert_eq!((again.heads(), again.facts(0)), (produce(built(three(to))).unwrap().heads(), batches.facts(0)));
            again.stamp(0, Offset(9), LeaderEpoch(1), Some(WallMs(T)));
            assert_eq!(read(&again.to_bytes(), &PureCompressors).next().unwrap().unwrap().1.len(), 3);
        }
        if from != Compression::None {
            let limited = batches.recompressed(Compression::None, None, 10, &PureCompressors);
            assert_eq!(limited.unwrap_err(), CompressionError::Limit { limit: 10 });
        }
    }
    let marker = control::EndTransaction { committed: false, coordinator_epoch: 1 };
    let marker = marker.batch(ProducerId(1), ProducerEpoch(0), WallMs(T));
    assert_eq!(marker.recompressed(Compression::Gzip, None, 1000, &PureCompressors).unwrap(), marker);
}

#[test]
fn many_batches_become_one_gather_list() {
    let one = built(three(Compression::None));
    let stored: Vec<u8> = (0..4).flat_map(|i| with_head(&one, |it| it.base_offset = Offset(i * 3)).to_vec()).collect();
    let stored = Bytes::from(stored);
    let mut batches = replica(stored.clone(), 0).unwrap();
    assert_eq!((batches.len(), batches.record_count()), (4, 12));
    batches.stamp(2, Offset(100), LeaderEpoch(7), None);
    let mut pieces = vec![Bytes::from_static(b"before")];
    batches.push_pieces(&mut pieces);
    // What lies around the new head stays in one piece each.
    let lengths: Vec<_> = pieces.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [6, 2 * one.len(), 16, 2 * one.len() - 16]);
    let mut expected = stored.to_vec();
    expected[2 * one.len()..][..8].copy_from_slice(&100i64.to_be_bytes());
    expected[2 * one.len() + 12..][..4].copy_from_slice(&7i32.to_be_bytes());
    assert_eq!(batches.to_bytes(), expected);
    let offsets: Vec<_> = batches.iter().map(|(head, records)| (head.base_offset.0, records.len())).collect();
    assert_eq!(offsets, [0, 3, 100, 9].map(|offset| (offset, one.len() - HEAD_SIZE)));
}

#[test]
fn a_replica_takes_what_its_leader_kept() {
    let at = |offset: i64| with_head(&built(three(Compression::Gzip)), |it| it.base_offset = Offset(offset));
    // A hole between batches is what compaction leaves, a partial end what a Fetch answer may have.
    let fetched = [at(10), at(20), at(23).slice(..75)].concat();
    let batches = replica(fetched.clone(), 8).unwrap();
    assert_eq!(batches.heads().iter().map(|it| it.base_offset.0).collect::<Vec<_>>(), [10, 20]);
    assert_eq!(batches.to_bytes(), [at(10), at(20)].concat());
    assert_eq!(batches.facts(0), None, "the leader has walked the records");
    let whole = check(fetched.into(), &CheckRules::log(), &PureCompressors);
    refused(whole, Fault::Truncated { needed: at(23).len(), have: 75 }, ErrorCode::InvalidRecord);
    refused(replica(at(10), 11), Fault::OffsetOrder { expected: Offset(11) }, ErrorCode::InvalidRecord);
    let overlap = [at(10), at(12)].concat();
    refused(replica(overlap, 0), Fault::OffsetOrder { expected: Offset(13) }, ErrorCode::InvalidRecord);
    assert_eq!(replica(Bytes::new(), 0).unwrap(), Batches::default());

    // Records may be missing, but no more may be counted than there is room for.
    let batch = built(three(Compression::None));
    let count = |record_count, last_offset_delta| {
        replica(with_head(&batch, |it| (it.record_count, it.last_offset_delta) = (record_count, last_offset_delta)), 0)
    };
    assert!(count(0, 5).is_ok() && count(3, 2).is_ok());
    for (record_count, last_offset_delta) in [(4, 2), (-1, 2), (0, -1), (0, i32::MIN)] {
        let fault = Fault::Count { record_count, last_offset_delta };
        refused(count(record_count, last_offset_delta), fault, ErrorCode::InvalidRecord);
    }
    let marker = control::EndTransaction { committed: true, coordinator_epoch: 1 };
    let marker = marker.batch(ProducerId(1), ProducerEpoch(0), WallMs(T));
    assert!(replica(marker.to_bytes(), 0).is_ok());
    refused(produce(marker.to_bytes()), Fault::Control, ErrorCode::InvalidRecord);
}

#[test]
fn reading_stops_before_a_partial_batch_and_at_a_wrong_one() {
    let at = |offset: i64| with_head(&built(three(Compression::Snappy)), |it| it.base_offset = Offset(offset));
    let length = at(0).len();
    for cut in 0..length {
        let bytes = Bytes::from([at(0), at(3).slice(..cut)].concat());
        let mut reader = read(&bytes, &PureCompressors);
        assert_eq!(reader.next().unwrap().unwrap().1.len(), 3);
        assert!(reader.next().is_none(), "cut at {cut}");
        assert_eq!(reader.position(), length);
    }
    let mut wrong = [at(0), at(3), at(6)].concat();
    wrong[length + 65] ^= 0x10;
    let mut reader_results: Vec<_> = read(&wrong.into(), &PureCompressors).collect();
    let error = reader_results.pop().unwrap().unwrap_err();
    assert_eq!((error.at, error.base_offset), (length, Some(Offset(3))));
    assert!(error.to_string().starts_with(&format!("batch of offset 3 at byte {length}: its CRC-32C is")), "{error}");
    assert_eq!(reader_results.len(), 1, "an error is the last thing that comes");
}

#[test]
fn reading_has_a_limit() {
    let bytes = built(three(Compression::Zstd));
    let error = read(&bytes, &PureCompressors).limit(10).next().unwrap().unwrap_err();
    assert_eq!(error.fault, Fault::Compression(CompressionError::Limit { limit: 10 }));
}

#[test]
fn views_borrow_what_records_share() {
    let bytes = built(three(Compression::None));
    let (head, records) = read(&bytes, &PureCompressors).next().unwrap().unwrap();
    let views: Vec<_> = RecordViews::new(&head, &bytes[HEAD_SIZE..]).map(Result::unwrap).collect();
    assert_eq!(views.iter().map(|it| it.to_record(&bytes)).collect::<Vec<_>>(), records);
    assert_eq!(views[2].headers.collect::<Vec<_>>(), [(&b"h"[..], None), (b"i", Some(&b""[..]))]);
    let value = records[0].value.as_ref().unwrap();
    assert!(bytes.as_ptr_range().contains(&value.as_ptr()), "a record's value is a slice of its batch");
}

#[test]
fn what_is_inside_a_compressed_batch_is_explained() {
    let plain = built(three(Compression::None));
    for compression in Compression::ALL {
        let inside = explain::records_inside(&built(three(compression)), &PureCompressors, 1000).unwrap();
        assert_eq!((&inside.bytes, inside.error), (&plain.slice(HEAD_SIZE..), None));
        assert_eq!(inside.fields.len(), 3);
        let value = inside.fields[0].children.iter().find(|it| it.name == "Value").unwrap();
        assert_eq!(
            (value.value.as_str(), &inside.bytes[value.span.clone()]),
            ("\"first value\"", &b"\x16first value"[..])
        );
        assert_eq!(inside.fields[2].span.end, inside.bytes.len());
    }
    assert!(explain::records_inside(&plain.slice(..70), &PureCompressors, 1000).is_err());
}

#[test]
fn a_header_key_that_is_not_utf8_is_replaced_for_consumers() {
    let batch = built(three(Compression::None));
    let head = BatchHead { record_count: 1, last_offset_delta: 0, ..BatchHead::decode(&batch).unwrap() };
    let bytes = sealed(head, &[9 * 2, 0, 0, 0, 1, 1, 2, 2, 0xff, 1]);
    let (_, records) = read(&bytes, &PureCompressors).next().unwrap().unwrap();
    assert_eq!(records[0].headers, [("\u{fffd}".into(), None)]);
}

#[test]
fn sequences_go_around() {
    let mut head = BatchHead::decode(&built(three(Compression::None))).unwrap();
    assert_eq!(head.last_sequence(), -1);
    head.base_sequence = i32::MAX - 1;
    assert_eq!(head.last_sequence(), 0);
    head.base_sequence = i32::MAX - 2;
    assert_eq!(head.last_sequence(), i32::MAX);
}

#[test]
fn control_keys() {
    use control::{ControlError, ControlType, EndTransaction};
    assert_eq!(ControlType::of_key(&[0, 0, 0, 2]), Ok(Some(ControlType::LeaderChange)));
    assert_eq!(ControlType::of_key(&[0, 9, 0, 1, 7, 7]), Ok(Some(ControlType::Commit)), "a later version");
    assert_eq!(ControlType::of_key(&[0, 0, 0, 99]), Ok(None), "a type of a later Kafka");
    assert_eq!(ControlType::of_key(&[0, 0, 0]), Err(ControlError::KeyLength(3)));
    assert_eq!(ControlType::of_key(&[0xff, 0xff, 0, 1]), Err(ControlError::Version(-1)));
    assert_eq!(EndTransaction::of_record(&[0, 0, 0, 1], &[0, 0, 0]), Err(ControlError::ValueLength(3)));
    assert_eq!(EndTransaction::of_record(&[0, 0, 0, 3], &[]), Ok(None));
}
