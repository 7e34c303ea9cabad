//! A frame of zstd that libzstd wrote (`zstd -1 --no-check`), whose first block has more literals than 14 bits can count: how many
//! and how long they are is told in 40 bits, more than a word of the page has.

use protocol::records::{Compression, Compressors, PureCompressors};

const FRAME: &[u8] = include_bytes!("../golden/long_literals.zst");

/// Reads it, wherever this runs.
pub(crate) fn are_read() {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (state >> 26) as u8
    };
    let plain: Vec<u8> = (0..20_000).map(|_| noise()).collect();
    let read = PureCompressors.decompress(Compression::Zstd, FRAME, plain.len());
    assert!(read.as_ref() == Ok(&plain), "{:?}", read.map(|it| it.len()));
}
