//! All codecs in Rust: the same bytes on every machine.
//!
//! They are written to be small, for the page links them: a host that moves records all day has faster ones.

use super::plain::Plain;
use super::{Compression, CompressionError, Compressors, deflate, gzip, lz4, snappy, zstd};

/// The codecs in pure Rust.
#[derive(Clone, Copy, Debug, Default)]
pub struct PureCompressors;

impl Compressors for PureCompressors {
    fn compress(
        &self,
        compression: Compression,
        _level: Option<i32>,
        plain: &[u8],
    ) -> Result<Vec<u8>, CompressionError> {
        Ok(match compression {
            Compression::None => plain.to_vec(),
            Compression::Gzip => gzip::wrap(plain, 0, &mut |head| Ok(deflate::deflate(plain, head)))?,
            Compression::Snappy => snappy::wrap(plain, &mut snappy::pack_block),
            Compression::Lz4 => lz4::compress(plain),
            Compression::Zstd => zstd::compress(plain),
        })
    }

    fn decompress(&self, compression: Compression, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        let mut plain = Plain::new(Vec::new(), limit);
        let done = match compression {
            Compression::None => plain.push(packed),
            Compression::Gzip => {
                return gzip::unwrap(packed, &mut |member, plain| {
                    let mut all = Plain::new(std::mem::take(plain), limit);
                    let rest = deflate::inflate(member, &mut all).map_err(|it| it.of(compression, limit))?;
                    *plain = all.into_bytes();
                    Ok(member.len() - rest.len())
                });
            }
            Compression::Snappy => {
                let mut unpack =
                    |block: &[u8]| snappy::unpack_block(block, &mut plain).map_err(|it| it.of(compression, limit));
                snappy::unwrap(packed, &mut unpack)?;
                Ok(())
            }
            Compression::Lz4 => lz4::decompress(packed, &mut plain),
            Compression::Zstd => zstd::decompress(packed, &mut plain),
        };
        done.map_err(|it| it.of(compression, limit))?;
        Ok(plain.into_bytes())
    }
}
