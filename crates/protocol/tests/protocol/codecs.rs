//! Our codecs against those of others: each reads what the other writes, and what was changed on the way is refused or read, but
//! never takes more than it may.
#![cfg(not(target_arch = "wasm32"))] // one of the others is in C

use std::io::{Read, Write};

use protocol::Random;
use protocol::records::{Compression, CompressionError, Compressors, PureCompressors};

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Bytes as records have them: some noise, some that repeats itself at once, some from farther back.
fn sample(random: &mut Random, most: u64) -> Vec<u8> {
    let size = random.below(most + 1) as usize;
    let symbols = [1, 3, 20, 100, 255][random.below(5) as usize];
    let (noise, runs) = (random.below(40), random.below(40));
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        let most = 1 << random.below(12);
        let length = 1 + random.below(most) as usize;
        match random.below(1 + noise + runs) {
            it if it < noise => bytes.extend((0..length).map(|_| random.below(symbols + 1) as u8)),
            it if it < noise + runs && !bytes.is_empty() => {
                let from = bytes.len() - 1 - random.below(bytes.len() as u64) as usize;
                (0..length).for_each(|at| bytes.push(bytes[from + at]));
            }
            _ => bytes.resize(bytes.len() + length, random.below(symbols + 1) as u8),
        }
    }
    bytes.truncate(size);
    bytes
}

fn theirs_read(compression: Compression, packed: &[u8], size: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    match compression {
        Compression::None => plain.extend_from_slice(packed),
        Compression::Gzip => drop(flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut plain).unwrap()),
        Compression::Snappy => {
            let mut rest = &packed[16..];
            while let Some((length, behind)) = rest.split_first_chunk() {
                let (block, next) = behind.split_at(u32::from_be_bytes(*length) as usize);
                plain.extend(snap::raw::Decoder::new().decompress_vec(block).unwrap());
                rest = next;
            }
        }
        Compression::Lz4 => drop(lz4_flex::frame::FrameDecoder::new(packed).read_to_end(&mut plain).unwrap()),
        Compression::Zstd => {
            plain = zstd::bulk::decompress(packed, size).unwrap();
            let mut again = Vec::with_capacity(size);
            ruzstd::decoding::FrameDecoder::new().decode_all_to_vec(packed, &mut again).unwrap();
            assert!(again == plain);
        }
    }
    plain
}

fn theirs_write(compression: Compression, plain: &[u8], random: &mut Random) -> Vec<u8> {
    match compression {
        Compression::None => plain.to_vec(),
        Compression::Gzip => {
            let level = flate2::Compression::new(random.below(10) as u32);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Snappy => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
        Compression::Lz4 => {
            use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
            let frame = FrameInfo::new()
                .block_mode([BlockMode::Independent, BlockMode::Linked][random.below(2) as usize])
                .block_size([BlockSize::Max64KB, BlockSize::Max256KB][random.below(2) as usize])
                .block_checksums(random.below(2) == 0)
                .content_checksum(random.below(2) == 0)
                .content_size((random.below(2) == 0).then_some(plain.len() as u64));
            let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => {
            let level = [-5, 1, 3, 9, 12][random.below(5) as usize];
            let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
            encoder.include_checksum(random.below(2) == 0).unwrap();
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
    }
}

#[test]
fn each_reads_what_the_other_writes() {
    for compression in CODECS {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let most = [0, 1, 20, 300, 70_000, 300_000][random.below(6) as usize];
            let plain = sample(&mut random, most);
            let packed = PureCompressors.compress(compression, None, &plain).unwrap();
            assert!(theirs_read(compression, &packed, plain.len()) == plain, "{compression}, seed {seed}");
            assert!(PureCompressors.decompress(compression, &packed, plain.len()).unwrap() == plain);
            let packed = theirs_write(compression, &plain, &mut random);
            let read = PureCompressors.decompress(compression, &packed, plain.len());
            assert!(read.as_ref() == Ok(&plain), "{compression}, seed {seed}: {:?}", read.map(|it| it.len()));
            if let Some(limit) = plain.len().checked_sub(1) {
                let read = PureCompressors.decompress(compression, &packed, limit);
                assert_eq!(read, Err(CompressionError::Limit { limit }), "{compression}, seed {seed}");
            }
        }
    }
}

/// On a machine of 32 bits they once were not: `sim`'s tests ask one.
#[test]
fn more_literals_than_a_short_head_can_tell_are_read() {
    crate::literals::are_read();
}

#[test]
fn what_was_changed_is_refused_or_read_within_the_limit() {
    const LIMIT: usize = 1 << 16;
    for compression in CODECS {
        let (mut read, mut refused) = (0, 0);
        for seed in 0..1000 {
            let mut random = Random::new(seed);
            let plain = sample(&mut random, 600);
            let mut packed = theirs_write(compression, &plain, &mut random);
            for _ in 0..=random.below(3) {
                match (random.below(packed.len() as u64 + 1) as usize, random.below(8)) {
                    (at, 0) => packed.truncate(at),
                    (at, 1) => packed.insert(at, random.below(256) as u8),
                    (at, bit) if at < packed.len() => packed[at] ^= 1 << bit,
                    _ => {}
                }
            }
            match PureCompressors.decompress(compression, &packed, LIMIT) {
                Ok(plain) => {
                    assert!(plain.len() <= LIMIT);
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(read > 20 && refused > 200, "{compression}: {read} read, {refused} refused");
    }
}

#[test]
fn records_that_repeat_themselves_take_less() {
    let plain: Vec<u8> =
        (0..500).flat_map(|it| format!("{{\"order\":{it},\"state\":\"paid\"}}").into_bytes()).collect();
    for compression in CODECS {
        let packed = PureCompressors.compress(compression, None, &plain).unwrap();
        assert!(packed.len() * 2 < plain.len(), "{compression}: {} of {}", packed.len(), plain.len());
    }
}
