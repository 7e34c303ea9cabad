//! gzip, snappy and lz4 by crates that were written to be fast: `protocol`'s own were written to be small. Frames and heads are
//! `protocol`'s, so both read and refuse the same.

use std::io::{Read, Write};

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use protocol::records::compression::{gzip, lz4, snappy};
use protocol::records::{Compression, CompressionError, Compressors, PureCompressors};

/// By how much a buffer grows at least.
const STEP: usize = 4 << 10;
/// So much of gzip is unpacked at once.
const WINDOW: usize = 32 << 10;
/// The densest element of snappy is a copy: three bytes for 64.
const MOST_SNAPPY: usize = 22;

/// The fast codecs; zstd is `protocol`'s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FastCompressors;

impl Compressors for FastCompressors {
    fn compress(
        &self,
        compression: Compression,
        level: Option<i32>,
        plain: &[u8],
    ) -> Result<Vec<u8>, CompressionError> {
        match compression {
            Compression::Gzip => pack_gzip(plain, level),
            Compression::Snappy => pack_snappy(plain),
            Compression::Lz4 => pack_lz4(plain).map_err(|error| failed(compression, &error)),
            _ => PureCompressors.compress(compression, level, plain),
        }
    }

    fn decompress(&self, compression: Compression, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        match compression {
            Compression::Gzip => unpack_gzip(packed, limit),
            Compression::Snappy => unpack_snappy(packed, limit),
            Compression::Lz4 => {
                let mut plain = Vec::new();
                // One byte more than allowed tells a full output from one that goes on. The decoder's own buffers are at most
                // two blocks of 8 MiB, the largest that the format knows.
                let mut reader = FrameDecoder::new(lz4::first_frame(packed)?).take(limit as u64 + 1);
                reader.read_to_end(&mut plain).map_err(|error| corrupt(compression, &error))?;
                if plain.len() > limit { Err(CompressionError::Limit { limit }) } else { Ok(plain) }
            }
            _ => PureCompressors.decompress(compression, packed, limit),
        }
    }
}

fn pack_gzip(plain: &[u8], level: Option<i32>) -> Result<Vec<u8>, CompressionError> {
    // Kafka's levels are zlib's: 1 to 9, and -1 for the default.
    let level = match level {
        Some(level @ 1..=9) => flate2::Compression::new(level.unsigned_abs()),
        _ => flate2::Compression::default(),
    };
    let tried = match level.level() {
        9 => 2,
        1 => 4,
        _ => 0,
    };
    gzip::wrap(plain, tried, &mut |mut packed| {
        packed.reserve(plain.len() / 2 + STEP);
        let mut deflate = Compress::new(level, false);
        loop {
            let taken = deflate.total_in() as usize;
            let status = deflate
                .compress_vec(&plain[taken..], &mut packed, FlushCompress::Finish)
                .map_err(|error| failed(Compression::Gzip, &error))?;
            match status {
                Status::StreamEnd => return Ok(packed),
                // The buffer is full.
                Status::Ok | Status::BufError => packed.reserve(STEP),
            }
        }
    })
}

/// Through a window, because flate2 clears all the room that it is given: a stream of many tiny members would clear that of a
/// large one for each.
fn unpack_gzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let (mut inflate, mut window) = (Decompress::new(false), vec![0; WINDOW]);
    gzip::unwrap(packed, &mut |member, plain| {
        inflate.reset(false);
        loop {
            let (taken, made) = (inflate.total_in(), inflate.total_out());
            let status = inflate
                .decompress(&member[taken as usize..], &mut window, FlushDecompress::None)
                .map_err(|error| corrupt(Compression::Gzip, &error))?;
            let count = (inflate.total_out() - made) as usize;
            if count > limit - plain.len() {
                return Err(CompressionError::Limit { limit });
            }
            plain.extend_from_slice(&window[..count]);
            match status {
                Status::StreamEnd => return Ok(inflate.total_in() as usize),
                Status::Ok | Status::BufError if count == 0 && taken == inflate.total_in() => {
                    return Err(CompressionError::corrupt(Compression::Gzip, "the stream ends too early"));
                }
                Status::Ok | Status::BufError => {}
            }
        }
    })
}

fn pack_snappy(plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let (mut encoder, mut fault) = (snap::raw::Encoder::new(), None);
    let packed = snappy::wrap(plain, &mut |block, packed| match encoder.compress_vec(block) {
        Ok(block) => packed.extend_from_slice(&block),
        Err(error) => fault = Some(error),
    });
    fault.map_or(Ok(packed), |error| Err(failed(Compression::Snappy, &error)))
}

fn unpack_snappy(packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::new();
    snappy::unwrap(packed, &mut |block| {
        let size = snap::raw::decompress_len(block).map_err(|error| corrupt(Compression::Snappy, &error))?;
        if size > limit - plain.len() {
            return Err(CompressionError::Limit { limit });
        }
        // What a block says its size is, is believed as far as its bytes could make it true.
        if size > block.len().saturating_mul(MOST_SNAPPY) {
            return Err(CompressionError::corrupt(Compression::Snappy, "a block says it holds more than it can"));
        }
        let start = plain.len();
        plain.resize(start + size, 0);
        let unpacked = snap::raw::Decoder::new().decompress(block, &mut plain[start..]);
        unpacked.map(drop).map_err(|error| corrupt(Compression::Snappy, &error))
    })?;
    Ok(plain)
}

/// As Kafka writes it: independent blocks of 64 KiB, no checksums, for the batch has its own.
fn pack_lz4(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::with_capacity(plain.len() / 2));
    encoder.write_all(plain)?;
    Ok(encoder.finish()?)
}

fn corrupt(compression: Compression, error: &dyn std::fmt::Display) -> CompressionError {
    CompressionError::corrupt(compression, &error.to_string())
}

fn failed(compression: Compression, error: &dyn std::fmt::Display) -> CompressionError {
    CompressionError::Failed { compression, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goes_both_ways_with_the_pure_codec_and_stops_at_the_limit() {
        let text = b"offset 1, offset 2, offset 3; ".repeat(4000);
        let noise: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for compression in Compression::ALL {
            for plain in [&[][..], b"x", &text, &noise] {
                for level in [None, Some(1), Some(9)] {
                    let packed = FastCompressors.compress(compression, level, plain).unwrap();
                    assert!(PureCompressors.decompress(compression, &packed, plain.len()).unwrap() == plain);
                    assert!(FastCompressors.decompress(compression, &packed, plain.len()).unwrap() == plain);
                    let packed = PureCompressors.compress(compression, level, plain).unwrap();
                    assert!(FastCompressors.decompress(compression, &packed, plain.len()).unwrap() == plain);
                    if let Some(limit) = plain.len().checked_sub(1) {
                        let refused = FastCompressors.decompress(compression, &packed, limit);
                        assert_eq!(refused, Err(CompressionError::Limit { limit }), "{compression}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_cut_or_nothing_of_the_kind_is_refused_by_both() {
        let plain = b"offset 1, offset 2, offset 3; ".repeat(20);
        for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
            let packed = FastCompressors.compress(compression, None, &plain).unwrap();
            for codec in [&FastCompressors as &dyn Compressors, &PureCompressors] {
                // A head of snappy alone is whole.
                for length in 17..packed.len() {
                    assert!(
                        codec.decompress(compression, &packed[..length], 1 << 20).is_err(),
                        "{compression}, {length}"
                    );
                }
                assert!(codec.decompress(compression, b"\xff\xff\xff\xffnothing of the kind", 1 << 20).is_err());
            }
        }
    }

    /// A consumer in Java reads no further, and would miss the records behind it.
    #[test]
    fn a_second_frame_of_lz4_is_not_read() {
        let checked = FrameInfo::new().content_checksum(true).block_checksums(true).content_size(Some(5));
        let mut encoder = FrameEncoder::with_frame_info(checked, Vec::new());
        encoder.write_all(b"first").unwrap();
        let checked = encoder.finish().unwrap();
        for first in [checked, FastCompressors.compress(Compression::Lz4, None, b"first").unwrap()] {
            for second in [&first[..], b"and so on"] {
                let packed = [&first[..], second].concat();
                for codec in [&FastCompressors as &dyn Compressors, &PureCompressors] {
                    assert_eq!(codec.decompress(Compression::Lz4, &packed, 100).unwrap(), b"first");
                }
            }
        }
    }

    /// Each would cost what the first holds, if each were given its room.
    #[test]
    fn many_small_members_of_gzip_cost_what_they_hold() {
        let first = vec![0; 16 << 20];
        let small = pack_gzip(b"", None).unwrap();
        let packed = [pack_gzip(&first, None).unwrap(), small.repeat(50_000)].concat();
        assert!(unpack_gzip(&packed, first.len()).unwrap() == first);
    }
}
