//! GZIP, RFC 1952.

use std::io::Write;

use flate2::Compression as Level;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::pure::read_within;
use super::{Compression, CompressionError};

pub(super) fn compress(plain: &[u8], level: Option<i32>) -> Result<Vec<u8>, CompressionError> {
    // Kafka's levels are zlib's: 1 to 9, and -1 for the default.
    let level = match level {
        Some(level @ 1..=9) => Level::new(level.unsigned_abs()),
        _ => Level::default(),
    };
    let failed = |error| CompressionError::failed(Compression::Gzip, error);
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), level);
    encoder.write_all(plain).map_err(failed)?;
    encoder.finish().map_err(failed)
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    // Java's GZIPInputStream reads members that follow each other as one stream.
    read_within(Compression::Gzip, MultiGzDecoder::new(packed), limit)
}
