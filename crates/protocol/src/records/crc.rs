//! CRC-32C, the Castagnoli polynomial: what a batch's head says about its bytes.

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC-32C of bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The CRC-32C of two pieces that follow each other.
pub(crate) fn crc32c_of_two(first: &[u8], second: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(first);
    digest.update(second);
    // A 32-bit algorithm leaves the upper half empty.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_check_values() {
        // RFC 3720, appendix B.4, and the catalogue's check of "123456789".
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn two_pieces_are_as_good_as_one() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 40, 61, 255, 256, 999, 1000] {
            assert_eq!(crc32c_of_two(&bytes[..cut], &bytes[cut..]), crc32c(&bytes), "cut at {cut}");
        }
    }
}
