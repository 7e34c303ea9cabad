//! GZIP, RFC 1952: deflate between a head and a tail. Whose deflate is the caller's choice.

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

/// Puts head and tail around what `deflate` appends. `tried` tells readers how hard: 2 the most, 4 the least, 0 neither.
pub fn wrap(
    plain: &[u8],
    tried: u8,
    deflate: &mut dyn FnMut(Vec<u8>) -> Result<Vec<u8>, CompressionError>,
) -> Result<Vec<u8>, CompressionError> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&[0, 0, 0, 0, 0, tried, UNKNOWN_SYSTEM]);
    let mut packed = deflate(head)?;
    packed.extend_from_slice(&crc32(plain).to_le_bytes());
    packed.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    Ok(packed)
}

/// Appends what the deflate stream at the front holds; answers how many bytes of it were read.
pub type Inflate<'a> = &'a mut dyn FnMut(&[u8], &mut Vec<u8>) -> Result<usize, CompressionError>;

/// Reads members that follow each other as one stream, as Java's GZIPInputStream does.
pub fn unwrap(packed: &[u8], inflate: Inflate<'_>) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::new();
    let mut rest = behind_head(packed)?;
    loop {
        let start = plain.len();
        let taken = inflate(rest, &mut plain)?;
        let behind = rest.get(taken..).ok_or_else(cut_short)?;
        let (tail, next) = behind.split_first_chunk::<8>().ok_or_else(cut_short)?;
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
    use std::io::{Read, Write};

    use flate2::write::GzEncoder;
    use flate2::{Compression as Level, GzBuilder};

    use super::*;
    use crate::records::{Compressors, PureCompressors};

    fn compress(plain: &[u8]) -> Vec<u8> {
        PureCompressors.compress(Compression::Gzip, None, plain).unwrap()
    }

    fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        PureCompressors.decompress(Compression::Gzip, packed, limit)
    }

    fn samples() -> Vec<Vec<u8>> {
        let text = b"offset 1, offset 2, offset 3; ".repeat(4000);
        let noise = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        vec![Vec::new(), b"x".to_vec(), text, noise]
    }

    #[test]
    fn another_reader_reads_it_and_we_read_another_writer() {
        for plain in samples() {
            let packed = compress(&plain);
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut read).unwrap();
            assert!(read == plain, "{} bytes", plain.len());
            assert!(packed.len() <= plain.len() + 40, "{} of {}", packed.len(), plain.len());
            for level in 0..=9 {
                let mut encoder = GzEncoder::new(Vec::new(), Level::new(level));
                encoder.write_all(&plain).unwrap();
                assert_eq!(decompress(&encoder.finish().unwrap(), plain.len()).unwrap(), plain);
            }
        }
        assert!(compress(&samples()[2]).len() < samples()[2].len() / 50);
    }

    /// Each would cost what the first holds, if each were given its room.
    #[test]
    fn many_small_members_cost_what_they_hold() {
        let first = vec![0; 16 << 20];
        let small = compress(b"");
        let packed = [compress(&first), small.repeat(50_000)].concat();
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
        let mut checked = compress(b"abc");
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
        let packed = compress(&plain);
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
