//! How much one request may make its receiver unpack.

use bytes::Bytes;

use super::Records;
use super::batches::Batches;
use super::check::{CheckRules, check};
use super::compression::{Compression, Compressors};
use super::error::{Fault, RecordsError};
use super::head::BatchHead;

/// Records that honest producers compress come to some ten times their bytes, to thirty at times.
const HONEST_RATIO: usize = 32;

/// What the batches of one request may decompress to, all together: a small request of many bombs costs no more than one.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The most that one batch may come to.
    a_batch: usize,
    left: usize,
}

impl Budget {
    /// For a request with so many bytes of records: `a_batch` bytes, which is also what one batch may come to, or more if so
    /// many bytes of records can honestly come to more.
    pub fn new(a_batch: usize, records: usize) -> Budget {
        Budget { a_batch, left: a_batch.max(records.saturating_mul(HONEST_RATIO)) }
    }

    /// Checks what a client has produced: bytes become batches or are refused, anything else stays as it is.
    pub fn check(&mut self, version: i16, records: &mut Records, compressors: &dyn Compressors) {
        let Records::Bytes(bytes) = records else { return };
        let bytes = std::mem::take(bytes);
        *records = match self.check_bytes(version, bytes.clone(), compressors) {
            Ok(batches) => Records::Batches(batches),
            Err(error) => Records::Refused(bytes, Box::new(error)),
        };
    }

    fn check_bytes(
        &mut self,
        version: i16,
        bytes: Bytes,
        compressors: &dyn Compressors,
    ) -> Result<Batches, RecordsError> {
        let is_plain = BatchHead::decode(&bytes).map_or(true, |it| it.attributes.compression() == Compression::None);
        let rules = CheckRules { max_decompressed: self.a_batch.min(self.left), ..CheckRules::produce(version) };
        let checked = check(bytes, &rules, compressors);
        if !is_plain {
            self.left = match &checked {
                Ok(batches) => self.left.saturating_sub(
                    (0..batches.len()).filter_map(|it| batches.facts(it)).map(|it| it.plain_size).sum(),
                ),
                // What came out before the fault was found is not known, and at most all that was left. Half of that is
                // given up: so faults, however many, cost no more than twice the budget, and one does not take all from
                // the batches beside it.
                Err(RecordsError {
                    fault: Fault::Compression(_) | Fault::Record { .. } | Fault::TrailingBytes(_),
                    ..
                }) => self.left / 2,
                Err(_) => self.left,
            };
        }
        checked
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::WallMs;
    use crate::records::{BatchBuilder, CompressionError, PureCompressors};

    /// Counts what comes out, refused or not.
    #[derive(Default)]
    struct Meter(std::sync::atomic::AtomicUsize);

    impl Compressors for Meter {
        fn compress(&self, kind: Compression, level: Option<i32>, plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
            PureCompressors.compress(kind, level, plain)
        }

        fn decompress(&self, kind: Compression, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
            let plain = PureCompressors.decompress(kind, packed, limit);
            self.0.fetch_add(plain.as_ref().map_or(limit, Vec::len), std::sync::atomic::Ordering::Relaxed);
            plain
        }
    }

    fn batch(compression: Compression, value: &[u8]) -> Bytes {
        let mut builder = BatchBuilder::new(compression);
        builder.push(WallMs(1), None, Some(value), &[]);
        builder.build(&PureCompressors).unwrap()
    }

    #[test]
    fn many_bombs_cost_no_more_than_one() {
        const A_BATCH: usize = 1 << 20;
        // The first of each is taken, or would be by itself.
        for (size, taken) in [(A_BATCH * 9 / 10, 1), (A_BATCH + 1, 0)] {
            let bomb = batch(Compression::Zstd, &vec![0; size]);
            let (mut budget, meter, count) = (Budget::new(A_BATCH, 20 * bomb.len()), Meter::default(), Cell::new(0));
            for _ in 0..20 {
                let mut records = Records::Bytes(bomb.clone());
                budget.check(9, &mut records, &meter);
                match records {
                    Records::Batches(_) => count.set(count.get() + 1),
                    Records::Refused(_, error) => assert_eq!(error.code(), crate::ErrorCode::MessageTooLarge),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(count.get(), taken, "{size}");
            assert!(meter.0.into_inner() <= 2 * A_BATCH + 20, "{size}");
        }
    }

    #[test]
    fn honest_batches_pass_however_many() {
        let one = batch(Compression::Gzip, &b"the quick brown fox jumps over the lazy dog; ".repeat(20));
        let mut budget = Budget::new(1000, 500 * one.len());
        for _ in 0..500 {
            let mut records = Records::Bytes(one.clone());
            budget.check(9, &mut records, &PureCompressors);
            assert!(matches!(records, Records::Batches(_)), "{records:?}");
        }
    }

    #[test]
    fn one_batch_at_fault_leaves_the_others_theirs() {
        let good = batch(Compression::Gzip, &[7; 300]);
        let mut bad = good.to_vec();
        // Not gzip any more; the CRC is made anew, so that only the codec can tell.
        bad[61..].fill(0xa5);
        let crc = crate::records::crc32c(&bad[21..]);
        bad[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut budget = Budget::new(2000, 0);
        let mut records = Records::Bytes(bad.into());
        budget.check(9, &mut records, &PureCompressors);
        let Records::Refused(_, error) = &records else { panic!("{records:?}") };
        assert_eq!(error.code(), crate::ErrorCode::UnknownServerError);
        let mut records = Records::Bytes(good);
        budget.check(9, &mut records, &PureCompressors);
        assert!(matches!(records, Records::Batches(_)), "{records:?}");
    }
}
