//! What other clients' codecs write, and bombs: a little that decompresses to a lot, in bounded memory.
#![cfg(target_os = "linux")] // looks at this process's memory
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a test that reads a file, and fails where it cannot

use std::io::{Read, Write};

use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use protocol::records::{Compression, CompressionError, Compressors, PureCompressors};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

const PLAIN: &[u8] = b"what other clients write, what other clients write";

fn decompress(compression: Compression, packed: &[u8]) -> Result<Vec<u8>, CompressionError> {
    PureCompressors.decompress(compression, packed, 1 << 20)
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn lz4(frame: FrameInfo, plain: impl Read) -> Vec<u8> {
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    std::io::copy(&mut { plain }, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn snappy_comes_bare_from_librdkafka() {
    let bare = snap::raw::Encoder::new().compress_vec(PLAIN).unwrap();
    assert_eq!(decompress(Compression::Snappy, &bare).unwrap(), PLAIN);
    // snappy-java reads streams that follow each other as one.
    let framed = PureCompressors.compress(Compression::Snappy, None, PLAIN).unwrap();
    let twice = decompress(Compression::Snappy, &[&framed[..], &framed].concat()).unwrap();
    assert_eq!(twice, [PLAIN, PLAIN].concat());
    assert!(decompress(Compression::Snappy, &[&framed[..], &framed[..12]].concat()).is_err());
    assert!(decompress(Compression::Snappy, &framed[..12]).is_err());
    assert!(decompress(Compression::Snappy, &[]).is_err());
}

#[test]
fn gzip_members_are_one_stream() {
    let twice = decompress(Compression::Gzip, &[gzip(PLAIN), gzip(PLAIN)].concat()).unwrap();
    assert_eq!(twice, [PLAIN, PLAIN].concat());
    let packed = gzip(PLAIN);
    assert!(decompress(Compression::Gzip, &packed[..packed.len() - 1]).is_err());
}

#[test]
fn lz4_comes_with_linked_blocks_and_checksums_too() {
    let plain: Vec<u8> = PLAIN.iter().copied().cycle().take(300_000).collect();
    for block_mode in [BlockMode::Independent, BlockMode::Linked] {
        for block_size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB] {
            let frame = FrameInfo::new().block_mode(block_mode).block_size(block_size);
            let frame = frame.content_checksum(true).block_checksums(true).content_size(Some(plain.len() as u64));
            assert_eq!(decompress(Compression::Lz4, &lz4(frame, &plain[..])).unwrap(), plain);
        }
    }
}

#[test]
fn lz4_is_written_as_kafka_writes_it() {
    let packed = PureCompressors.compress(Compression::Lz4, None, PLAIN).unwrap();
    // Magic, version 1 with independent blocks and nothing else, blocks of 64 KiB.
    assert_eq!(packed[..6], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40]);
}

#[test]
fn zstd_frames_are_one_stream_and_checked() {
    let packed = compress_to_vec(PLAIN, CompressionLevel::Fastest);
    let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    let three = [&packed[..], skippable, &packed, &compress_to_vec(PLAIN, CompressionLevel::Uncompressed)].concat();
    assert_eq!(decompress(Compression::Zstd, &three).unwrap(), [PLAIN, PLAIN, PLAIN].concat());
    let mut wrong = packed.clone();
    *wrong.last_mut().unwrap() ^= 1;
    assert!(matches!(decompress(Compression::Zstd, &wrong), Err(CompressionError::Corrupt { .. })));
    assert!(decompress(Compression::Zstd, &skippable[..9]).is_err());
}

#[test]
fn bombs_go_off_in_bounded_memory() {
    const SIZE: u64 = 1 << 30;
    const LIMIT: usize = 4 << 20;
    // Room for the limit twice over, for windows and blocks, and for other tests of this file.
    const MOST_KIB: u64 = 48 << 10;

    let zeros = vec![0; 16 << 20];
    let snappy = snap::raw::Encoder::new().compress_vec(&zeros[..32 << 10]).unwrap();
    let snappy_block = [&u32::to_be_bytes(snappy.len() as u32)[..], &snappy].concat();
    let snappy_frame = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..], &snappy_block.repeat(SIZE as usize >> 15)].concat();
    let bombs = [
        ("gzip members", Compression::Gzip, gzip(&zeros).repeat(SIZE as usize / zeros.len())),
        ("snappy blocks", Compression::Snappy, snappy_frame),
        ("one bare snappy block", Compression::Snappy, snap::raw::Encoder::new().compress_vec(&zeros).unwrap()),
        (
            "lz4 blocks",
            Compression::Lz4,
            lz4(FrameInfo::new().block_size(BlockSize::Max4MB), std::io::repeat(0).take(SIZE)),
        ),
        ("zstd blocks of one byte", Compression::Zstd, zstd_bomb(SIZE)),
        ("zstd frames", Compression::Zstd, compress_to_vec(&zeros[..], CompressionLevel::Fastest).repeat(64)),
    ];
    drop(zeros);
    let before = peak_memory_kib();
    for (name, compression, packed) in &bombs {
        let result = PureCompressors.decompress(*compression, packed, LIMIT);
        assert_eq!(result, Err(CompressionError::Limit { limit: LIMIT }), "{name}");
        let grown = peak_memory_kib() - before;
        assert!(grown < MOST_KIB, "{name}: {grown} KiB for {} bytes", packed.len());
    }
}

/// Blocks of one repeated byte (four bytes for 128 KiB) in a frame with the largest window that is let in.
fn zstd_bomb(size: u64) -> Vec<u8> {
    let window_of_128_mib = 17 << 3;
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, window_of_128_mib];
    let block = |last: u32| ((128 << 10) << 3 | 1 << 1 | last).to_le_bytes();
    for _ in 0..size >> 17 {
        bomb.extend_from_slice(&block(0)[..3]);
        bomb.push(0);
    }
    bomb.extend_from_slice(&block(1)[..3]);
    bomb.push(0);
    bomb
}

/// The most memory that this process ever had. Making the bombs raises it, so it only shows what goes beyond that.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
