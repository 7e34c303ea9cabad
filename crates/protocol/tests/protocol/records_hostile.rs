//! Bytes that nobody honest sends: nothing panics, nothing wrong passes, nothing grows out of bounds.

use bytes::Bytes;
use protocol::records::{
    BatchBuilder, BatchHead, CheckRules, Compression, CompressionError, Compressors, HEAD_SIZE, PureCompressors, check,
    read,
};
use protocol::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, WallMs};

use crate::records_common::{Noise, T, built, sealed, three, with_records};

/// Enough for every batch here, little enough to notice who ignores it.
const LIMIT: usize = 1 << 20;

fn batches() -> Vec<Bytes> {
    let mut batches: Vec<Bytes> = Compression::ALL.into_iter().map(|compression| built(three(compression))).collect();
    for compression in Compression::ALL {
        let mut builder = BatchBuilder::new(compression).producer(ProducerId(1), ProducerEpoch(2), 3).transactional();
        for index in 0..50 {
            let value = format!("{index} bottles of beer on the wall, {index} bottles of beer");
            builder.push(WallMs(T + index), Some(b"song"), Some(value.as_bytes()), &[]);
        }
        batches.push(built(builder));
    }
    batches
}

/// Has every reader look at the bytes. What comes out does not matter, that something does.
fn look(bytes: &Bytes) {
    let rules = CheckRules { max_decompressed: LIMIT, ..CheckRules::produce(13) };
    let _ = check(bytes.clone(), &rules, &PureCompressors);
    let rules = CheckRules { max_decompressed: LIMIT, ..CheckRules::replica(Offset(0)) };
    let _ = check(bytes.clone(), &rules, &PureCompressors);
    let read = read(bytes, &PureCompressors).limit(LIMIT);
    let records: usize = read.map(|batch| batch.map_or(0, |(_, records)| records.len())).sum();
    assert!(records <= LIMIT / 7);
}

#[test]
fn a_batch_cut_at_any_byte_is_refused() {
    for batch in batches() {
        for cut in 0..batch.len() {
            let bytes = batch.slice(..cut);
            look(&bytes);
            assert!(check(bytes.clone(), &CheckRules::produce(13), &PureCompressors).is_err(), "cut at {cut}");
            assert!(read(&bytes, &PureCompressors).next().is_none(), "cut at {cut}");
            // As a follower or a consumer sees it: nothing there yet.
            let replicated = check(bytes, &CheckRules::replica(Offset(0)), &PureCompressors).unwrap();
            assert!(replicated.is_empty());
        }
    }
}

#[test]
fn a_flipped_bit_is_found_or_is_outside_the_checksum() {
    for batch in batches() {
        for bit in 0..batch.len() * 8 {
            let mut bytes = batch.to_vec();
            bytes[bit / 8] ^= 0x80 >> (bit % 8);
            let bytes = Bytes::from(bytes);
            let result = check(bytes.clone(), &CheckRules::log(), &PureCompressors);
            match bit / 8 {
                // Base offset and leader epoch are the broker's to write, so no checksum holds them.
                0..8 => assert!(result.is_err() || result.unwrap().heads()[0].base_offset != Offset(0)),
                12..16 => assert_ne!(result.unwrap().heads()[0].leader_epoch, LeaderEpoch(-1)),
                _ => assert!(result.is_err(), "bit {bit}"),
            }
            look(&bytes);
        }
    }
}

#[test]
fn a_flipped_bit_under_a_right_checksum_is_survived() {
    for batch in batches() {
        let head = BatchHead::decode(&batch).unwrap();
        for bit in 0..(batch.len() - HEAD_SIZE) * 8 {
            let mut records = batch[HEAD_SIZE..].to_vec();
            records[bit / 8] ^= 0x80 >> (bit % 8);
            look(&sealed(head, &records));
        }
    }
}

#[test]
fn mutations_under_a_right_checksum_are_survived() {
    let batches = batches();
    let mut noise = Noise(2026);
    for _ in 0..30_000 {
        let batch = &batches[noise.below(batches.len())];
        let mut records = batch[HEAD_SIZE..].to_vec();
        for _ in 0..=noise.below(6) {
            mutate(&mut records, &mut noise);
        }
        let mut head = BatchHead::decode(batch).unwrap();
        if noise.below(4) == 0 {
            head.record_count = noise.number() as i32;
            head.last_offset_delta = head.record_count.wrapping_sub(1);
        }
        look(&sealed(head, &records));
    }
}

fn mutate(bytes: &mut Vec<u8>, noise: &mut Noise) {
    let at = noise.below(bytes.len());
    match (noise.below(5), bytes.get(at).copied()) {
        (0, Some(byte)) => bytes[at] = byte ^ (1 << noise.below(8)),
        (1, Some(_)) => bytes[at] = noise.number() as u8,
        (2, Some(_)) => drop(bytes.remove(at)),
        (3, Some(_)) => bytes.truncate(at),
        _ => bytes.splice(at..at, noise.bytes(4)).for_each(drop),
    }
}

#[test]
fn noise_is_survived() {
    let mut noise = Noise(7);
    let plain = built(three(Compression::None));
    for _ in 0..20_000 {
        let length = noise.below(300);
        look(&Bytes::from(noise.bytes(length)));
        let mut head = BatchHead::decode(&plain).unwrap();
        head.attributes = head.attributes.with_compression(Compression::ALL[noise.below(5)]);
        look(&sealed(head, &noise.bytes(length)));
    }
}

#[test]
fn a_count_reserves_nothing() {
    let batch = built(three(Compression::None));
    let mut head = BatchHead::decode(&batch).unwrap();
    (head.record_count, head.last_offset_delta) = (i32::MAX, i32::MAX - 1);
    look(&sealed(head, &batch[HEAD_SIZE..]));
    // Two billion headers, keys and values that are not there.
    for records in
        [&[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f][..], &[20, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f]]
    {
        let bytes = with_records(&batch, records);
        assert!(check(bytes.clone(), &CheckRules::produce(13), &PureCompressors).is_err());
        look(&bytes);
    }
}

#[test]
fn sizes_that_codecs_claim_reserve_nothing() {
    let claims: [(Compression, Vec<u8>); 6] = [
        // A bare Snappy block of 4 GiB, and one in snappy-java's frame.
        (Compression::Snappy, vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]),
        (
            Compression::Snappy,
            [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x05"[..], &[0xff, 0xff, 0xff, 0xff, 0x07]].concat(),
        ),
        // A framed block whose length goes past the end.
        (Compression::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff\0".to_vec()),
        // An LZ4 frame that announces 2^62 bytes (its header's checksum is wrong too).
        (Compression::Lz4, b"\x04\x22\x4d\x18\x68\x70\0\0\0\0\0\0\0\x40\0\0\0\0\0".to_vec()),
        // A Zstandard frame of one segment of 100 MiB, and one of 2^60 bytes; each with an empty last block.
        (Compression::Zstd, b"\x28\xb5\x2f\xfd\xa0\0\0\x40\x06\x01\0\0".to_vec()),
        (Compression::Zstd, b"\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x10\x01\0\0".to_vec()),
    ];
    for (compression, packed) in claims {
        let plain = PureCompressors.decompress(compression, &packed, usize::MAX);
        assert!(plain.is_err() || plain == Ok(Vec::new()), "{compression}: {plain:?}");
    }
}

#[test]
fn every_codec_stops_at_its_limit() {
    let plain: Vec<u8> = Noise(1).bytes(1000).iter().flat_map(|byte| [*byte; 300]).collect();
    for compression in Compression::ALL {
        let packed = PureCompressors.compress(compression, None, &plain).unwrap();
        assert_eq!(PureCompressors.decompress(compression, &packed, plain.len()).as_ref(), Ok(&plain), "{compression}");
        for limit in [0, 1, 70_000, plain.len() - 1] {
            let result = PureCompressors.decompress(compression, &packed, limit);
            assert_eq!(result, Err(CompressionError::Limit { limit }), "{compression}");
        }
        let empty = PureCompressors.compress(compression, None, &[]).unwrap();
        assert_eq!(PureCompressors.decompress(compression, &empty, 0), Ok(Vec::new()), "{compression}");
    }
}
