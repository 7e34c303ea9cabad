//! CRC-32C, the Castagnoli polynomial: what a batch's head says about its bytes. And CRC-32, what gzip says about its own.
//!
//! Two implementations, one result. `crc-fast` uses what the processor has, but it brings 700 KB of constants for every CRC
//! there is, more than the whole page may weigh; on wasm32 a table of 64 bytes does.

#[cfg(not(target_arch = "wasm32"))]
use fast as implementation;
#[cfg(target_arch = "wasm32")]
use table as implementation;

/// The CRC-32C of bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    implementation::of_pieces([bytes])
}

/// The CRC-32C of two pieces that follow each other.
pub(crate) fn crc32c_of_two(first: &[u8], second: &[u8]) -> u32 {
    implementation::of_pieces([first, second])
}

#[cfg(not(target_arch = "wasm32"))]
mod fast {
    use crc_fast::{CrcAlgorithm, Digest};

    pub(super) fn of_pieces<const N: usize>(pieces: [&[u8]; N]) -> u32 {
        if let [only] = pieces.as_slice() {
            return crc_fast::crc32_iscsi(only);
        }
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        pieces.iter().for_each(|piece| digest.update(piece));
        // A 32-bit algorithm leaves the upper half empty.
        digest.finalize() as u32
    }

    pub(super) fn of_gzip(bytes: &[u8]) -> u32 {
        crc_fast::crc32_iso_hdlc(bytes)
    }
}

#[cfg(any(test, target_arch = "wasm32"))]
mod table {
    use super::{nibbles, update};

    /// The polynomials 0x1EDC6F41 and 0x04C11DB7, bits reversed.
    static CASTAGNOLI: [u32; 16] = nibbles(0x82f6_3b78);
    static GZIP: [u32; 16] = nibbles(0xedb8_8320);

    pub(super) fn of_pieces<const N: usize>(pieces: [&[u8]; N]) -> u32 {
        !pieces.into_iter().fold(!0, |crc, piece| update(crc, piece, &CASTAGNOLI))
    }

    pub(super) fn of_gzip(bytes: &[u8]) -> u32 {
        !update(!0, bytes, &GZIP)
    }
}

/// The CRC-32 that ends a gzip stream: the polynomial 0x04C11DB7.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    implementation::of_gzip(bytes)
}

/// What four bits do to a CRC. Tables of whole bytes are faster and nothing but noise to who compresses the page: the 16 KiB
/// that other crates bring are 16 KiB to download.
#[cfg(any(test, target_arch = "wasm32"))]
const fn nibbles(polynomial: u32) -> [u32; 16] {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let mut crc = nibble as u32;
        let mut bit = 0;
        while bit < 4 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 };
            bit += 1;
        }
        table[nibble] = crc;
        nibble += 1;
    }
    table
}

#[cfg(any(test, target_arch = "wasm32"))]
fn update(crc: u32, bytes: &[u8], table: &[u32; 16]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        let crc = crc ^ u32::from(*byte);
        let crc = (crc >> 4) ^ table[(crc & 15) as usize];
        (crc >> 4) ^ table[(crc & 15) as usize]
    })
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
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn pieces_and_both_implementations_agree() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 2, 3, 40, 61, 255, 256, 999, 1000] {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(crc32c_of_two(first, second), crc32c(&bytes), "cut at {cut}");
            assert_eq!(table::of_pieces([first, second]), crc32c(&bytes), "cut at {cut}");
            assert_eq!(table::of_pieces([first]), crc32c(first), "the first {cut}");
            assert_eq!(table::of_gzip(first), crc32(first), "the first {cut}");
        }
    }
}
