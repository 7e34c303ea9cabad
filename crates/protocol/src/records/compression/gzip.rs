//! GZIP, RFC 1952: deflate between a head and a tail.
//!
//! Head and tail are ours and only deflate is `flate2`'s, for its gzip links tables for a fast CRC-32: see
//! `records/crc.rs`.

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Compression, CompressionError};
use crate::records::crc::crc32;

/// Magic and method; then flags, four bytes of time, how hard was tried, the system it was made on.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const HEAD: usize = 10;
/// Java looks for another member behind no fewer bytes: it counts on a head and a tail at least, and one byte between.
const SMALLEST: usize = HEAD + 8 + 1;
const UNKNOWN_SYSTEM: u8 = 255;
/// Flags of the head, in the order of what they announce.
const HAS_CHECK: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;
/// By how much a buffer grows at least.
const STEP: usize = 4 << 10;
/// So much is unpacked at once.
const WINDOW: usize = 32 << 10;

pub(super) fn compress(plain: &[u8], level: Option<i32>) -> Result<Vec<u8>, CompressionError> {
    // Kafka's levels are zlib's: 1 to 9, and -1 for the default.
    let level = match level {
        Some(level @ 1..=9) => Level::new(level.unsigned_abs()),
        _ => Level::default(),
    };
    let tried = match level.level() {
        9 => 2,
        1 => 4,
        _ => 0,
    };
    let mut packed = Vec::with_capacity(HEAD + plain.len() / 2 + STEP);
    packed.extend_from_slice(&MAGIC);
    packed.extend_from_slice(&[0, 0, 0, 0, 0, tried, UNKNOWN_SYSTEM]);
    let mut deflate = Compress::new(level, false);
    loop {
        let taken = deflate.total_in() as usize;
        let status = deflate
            .compress_vec(&plain[taken..], &mut packed, FlushCompress::Finish)
            .map_err(|error| CompressionError::failed(Compression::Gzip, error))?;
        match status {
            Status::StreamEnd => break,
            // The buffer is full.
            Status::Ok | Status::BufError => packed.reserve(STEP),
        }
    }
    packed.extend_from_slice(&crc32(plain).to_le_bytes());
    packed.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    Ok(packed)
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::new();
    let (mut decoder, mut window) = (Decompress::new(false), vec![0; WINDOW]);
    let mut rest = packed;
    rest = behind_head(rest)?;
    // Java's GZIPInputStream reads members that follow each other as one stream.
    loop {
        let start = plain.len();
        let taken = inflate(rest, &mut decoder, &mut window, &mut plain, limit)?;
        let (tail, next) = rest[taken..].split_first_chunk::<8>().ok_or_else(cut_short)?;
        let [a, b, c, d, size @ ..] = *tail;
        let member = &plain[start..];
        if (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(size)) != (crc32(member), member.len() as u32) {
            return Err(corrupt("the CRC or the length at its end is another"));
        }
        // It ends where no further member can begin, and passes over what there is instead.
        match behind_head(next) {
            Ok(behind) if next.len() >= SMALLEST => rest = behind,
            _ => return Ok(plain),
        }
    }
}

/// Appends what one member holds; answers how many bytes of it were read. Through a window, because flate2 clears all the
/// room that it is given: a stream of many tiny members would clear that of a large one for each.
fn inflate(
    packed: &[u8],
    inflate: &mut Decompress,
    window: &mut [u8],
    plain: &mut Vec<u8>,
    limit: usize,
) -> Result<usize, CompressionError> {
    inflate.reset(false);
    loop {
        let (taken, made) = (inflate.total_in(), inflate.total_out());
        let status = inflate
            .decompress(&packed[taken as usize..], window, FlushDecompress::None)
            .map_err(|error| corrupt(&error.to_string()))?;
        let count = (inflate.total_out() - made) as usize;
        if count > limit - plain.len() {
            return Err(CompressionError::Limit { limit });
        }
        plain.extend_from_slice(&window[..count]);
        match status {
            Status::StreamEnd => return Ok(inflate.total_in() as usize),
            Status::Ok | Status::BufError if count == 0 && taken == inflate.total_in() => return Err(cut_short()),
            Status::Ok | Status::BufError => {}
        }
    }
}

/// What follows the head of a member.
fn behind_head(packed: &[u8]) -> Result<&[u8], CompressionError> {
    let (head, mut rest) = packed.split_first_chunk::<HEAD>().ok_or_else(cut_short)?;
    let flags = head[3];
    if head[..3] != MAGIC || flags & RESERVED != 0 {
        return Err(corrupt("it does not begin as GZIP does"));
    }
    if flags & HAS_EXTRA != 0 {
        let (length, behind) = rest.split_first_chunk::<2>().ok_or_else(cut_short)?;
        rest = behind.get(usize::from(u16::from_le_bytes(*length))..).ok_or_else(cut_short)?;
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or_else(cut_short)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HAS_CHECK != 0 {
        let (check, behind) = rest.split_first_chunk::<2>().ok_or_else(cut_short)?;
        let head = &packed[..packed.len() - rest.len()];
        if u16::from_le_bytes(*check) != crc32(head) as u16 {
            return Err(corrupt("the CRC of its head is another"));
        }
        rest = behind;
    }
    Ok(rest)
}

fn corrupt(reason: &str) -> CompressionError {
    CompressionError::corrupt(Compression::Gzip, reason)
}

fn cut_short() -> CompressionError {
    corrupt("the stream ends too early")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::GzBuilder;
    use flate2::write::GzEncoder;

    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let text = b"offset 1, offset 2, offset 3; ".repeat(4000);
        let noise = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        vec![Vec::new(), b"x".to_vec(), text, noise]
    }

    #[test]
    fn the_bytes_are_those_of_flate2s_own_gzip() {
        for plain in samples() {
            for level in [None, Some(1), Some(6), Some(9)] {
                let theirs = level.map_or(Level::default(), |it: i32| Level::new(it.unsigned_abs()));
                let mut encoder = GzEncoder::new(Vec::new(), theirs);
                encoder.write_all(&plain).unwrap();
                let theirs = encoder.finish().unwrap();
                assert!(compress(&plain, level).unwrap() == theirs, "{} bytes at {level:?}", plain.len());
                assert_eq!(decompress(&theirs, plain.len()).unwrap(), plain);
            }
        }
    }

    /// Each would cost what the first holds, if each were given its room.
    #[test]
    fn many_small_members_cost_what_they_hold() {
        let first = vec![0; 16 << 20];
        let small = compress(b"", None).unwrap();
        let packed = [compress(&first, None).unwrap(), small.repeat(50_000)].concat();
        assert!(decompress(&packed, first.len()).unwrap() == first);
        assert_eq!(decompress(&packed, first.len() - 1), Err(CompressionError::Limit { limit: first.len() - 1 }));
    }

    #[test]
    fn every_kind_of_head_is_passed_and_members_follow_each_other() {
        let mut packed = Vec::new();
        let mut expected = Vec::new();
        for plain in samples() {
            let builder = GzBuilder::new().filename("a name").comment("a comment").extra(vec![1, 2, 3]).mtime(5);
            let mut encoder = builder.write(packed, Level::fast());
            encoder.write_all(&plain).unwrap();
            packed = encoder.finish().unwrap();
            expected.extend_from_slice(&plain);
        }
        assert_eq!(decompress(&packed, expected.len()).unwrap(), expected);
        let limit = expected.len() - 1;
        assert_eq!(decompress(&packed, limit), Err(CompressionError::Limit { limit }));
        // A head with a CRC of its own.
        let mut checked = compress(b"abc", None).unwrap();
        checked[3] = HAS_CHECK;
        let crc = crc32(&checked[..HEAD]) as u16;
        checked.splice(HEAD..HEAD, crc.to_le_bytes());
        assert_eq!(decompress(&checked, 3).unwrap(), b"abc");
        checked[HEAD] ^= 1;
        assert!(decompress(&checked, 3).is_err());
    }

    #[test]
    fn what_is_cut_or_changed_is_refused() {
        let plain = b"offset 1, offset 2, offset 3; ".repeat(20);
        let packed = compress(&plain, None).unwrap();
        for length in 0..packed.len() {
            assert!(decompress(&packed[..length], 1 << 20).is_err(), "{length} of {}", packed.len());
        }
        for at in packed.len() - 8..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= 1;
            assert!(decompress(&changed, 1 << 20).is_err());
        }
        // As in Java, what is behind the last member and is no head of another is passed over; what has one must be whole.
        for trailing in [&b"more"[..], &[0; 100], &packed[..10], &[&packed[..2], &[0; 40]].concat()] {
            assert_eq!(decompress(&[&packed[..], trailing].concat(), 1 << 20), Ok(plain.clone()), "{trailing:?}");
        }
        for length in SMALLEST..packed.len() {
            assert!(decompress(&[&packed[..], &packed[..length]].concat(), 1 << 20).is_err(), "{length}");
        }
    }
}
