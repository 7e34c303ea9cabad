//! CRC-32C, the Castagnoli polynomial: what a batch's head says about its bytes.
//!
//! Two implementations, one result. `crc-fast` uses what the processor has, but it brings 700 KB of constants for every CRC
//! there is, more than the whole page may weigh; on wasm32 a table of 4 KB does.

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
}

#[cfg(any(test, target_arch = "wasm32"))]
mod table {
    /// The polynomial 0x1EDC6F41, bits reversed.
    const POLYNOMIAL: u32 = 0x82f6_3b78;

    /// `TABLES[n][byte]`: what a byte does to the CRC when `n` more bytes follow it.
    static TABLES: [[u32; 256]; 4] = tables();

    const fn tables() -> [[u32; 256]; 4] {
        let mut tables = [[0; 256]; 4];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
                bit += 1;
            }
            tables[0][byte] = crc;
            byte += 1;
        }
        let mut byte = 0;
        while byte < 256 {
            let mut table = 1;
            while table < 4 {
                let before = tables[table - 1][byte];
                tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
                table += 1;
            }
            byte += 1;
        }
        tables
    }

    pub(super) fn of_pieces<const N: usize>(pieces: [&[u8]; N]) -> u32 {
        !pieces.into_iter().fold(!0, update)
    }

    /// Four bytes a step ("slicing by 4").
    fn update(crc: u32, bytes: &[u8]) -> u32 {
        let (words, rest) = bytes.as_chunks::<4>();
        let crc = words.iter().fold(crc, |crc, word| {
            let [a, b, c, d] = (crc ^ u32::from_le_bytes(*word)).to_le_bytes();
            TABLES[3][usize::from(a)]
                ^ TABLES[2][usize::from(b)]
                ^ TABLES[1][usize::from(c)]
                ^ TABLES[0][usize::from(d)]
        });
        rest.iter().fold(crc, |crc, byte| (crc >> 8) ^ TABLES[0][usize::from(crc as u8 ^ byte)])
    }
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
    fn pieces_and_both_implementations_agree() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 2, 3, 40, 61, 255, 256, 999, 1000] {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(crc32c_of_two(first, second), crc32c(&bytes), "cut at {cut}");
            assert_eq!(table::of_pieces([first, second]), crc32c(&bytes), "cut at {cut}");
            assert_eq!(table::of_pieces([first]), crc32c(first), "the first {cut}");
        }
    }
}
