//! Batches for tests, right ones and wrong ones.

use bytes::Bytes;
use protocol::WallMs;
use protocol::records::{BatchBuilder, BatchHead, Compression, HEAD_SIZE, PureCompressors, crc32c};

pub(crate) const T: i64 = 1_700_000_000_000;

/// Three records: the second without a key, the last with the least timestamp.
pub(crate) fn three(compression: Compression) -> BatchBuilder {
    let mut builder = BatchBuilder::new(compression);
    builder.push(WallMs(T), Some(b"a"), Some(b"first value"), &[]);
    builder.push(WallMs(T + 10), None, Some(b"second value"), &[("h".into(), Some(Bytes::from_static(b"1")))]);
    builder.push(WallMs(T - 20), Some(b"c"), None, &[("h".into(), None), ("i".into(), Some(Bytes::new()))]);
    builder
}

pub(crate) fn built(builder: BatchBuilder) -> Bytes {
    builder.build(&PureCompressors).unwrap()
}

/// The batch with another head; length and CRC follow.
pub(crate) fn with_head(batch: &Bytes, change: impl FnOnce(&mut BatchHead)) -> Bytes {
    let mut head = BatchHead::decode(batch).unwrap();
    change(&mut head);
    sealed(head, &batch[HEAD_SIZE..])
}

/// The batch with these bytes for records; length and CRC follow.
pub(crate) fn with_records(batch: &Bytes, records: &[u8]) -> Bytes {
    sealed(BatchHead::decode(batch).unwrap(), records)
}

pub(crate) fn sealed(mut head: BatchHead, records: &[u8]) -> Bytes {
    head.batch_length = (HEAD_SIZE - 12 + records.len()) as i32;
    let mut bytes = [&head.encode()[..], records].concat();
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// A generator of the same numbers in every run.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.number() >> 33) as usize % end.max(1)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.number() >> 40) as u8).collect()
    }
}
