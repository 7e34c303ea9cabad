//! Records for consumers and for those who replay a log.

use bytes::Bytes;

use super::check::verify;
use super::compression::{Compression, Compressors};
use super::error::{Fault, RecordsError};
use super::head::{BatchHead, HEAD_SIZE};
use super::record::{Record, RecordViews};

/// The most bytes that one batch's records may decompress to, unless [`Read::limit`] says otherwise.
const DEFAULT_LIMIT: usize = 256 << 20;

/// Reads batch by batch: the head and its records. A partial batch at the end is passed over, as a Fetch answer may end in
/// one; anything else that is wrong is an error, and the last thing that comes.
pub fn read<'a>(bytes: &Bytes, compressors: &'a dyn Compressors) -> Read<'a> {
    Read { rest: bytes.clone(), at: 0, limit: DEFAULT_LIMIT, compressors }
}

/// The iterator of [`read`].
pub struct Read<'a> {
    rest: Bytes,
    at: usize,
    limit: usize,
    compressors: &'a dyn Compressors,
}

impl Read<'_> {
    /// The most bytes that one batch's records may decompress to.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Where the next batch begins in the bytes given; at the end, where whole batches end.
    pub fn position(&self) -> usize {
        self.at
    }

    fn take(&mut self, head: &BatchHead) -> Result<Vec<Record>, RecordsError> {
        let batch = self.rest.split_to(head.size());
        let records = batch.slice(HEAD_SIZE..);
        let records =
            decompressed(head, records, self.limit, self.compressors).and_then(|plain| records_of(head, &plain));
        let records = records.map_err(|fault| RecordsError::new(fault).of_batch(head.base_offset).at(self.at))?;
        self.at += head.size();
        Ok(records)
    }
}

impl Iterator for Read<'_> {
    type Item = Result<(BatchHead, Vec<Record>), RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = match verify(&self.rest) {
            Err(RecordsError { fault: Fault::Truncated { .. }, .. }) => {
                self.rest.clear();
                return None;
            }
            Err(error) => Err(error.at(self.at)),
            Ok(head) => self.take(&head).map(|records| (head, records)),
        };
        if batch.is_err() {
            self.rest.clear();
        }
        Some(batch)
    }
}

/// The head at the start of `batch` and the bytes of its records, decompressed to at most `limit` bytes if they were
/// compressed. For [`RecordViews`], which borrow from them.
pub fn plain(batch: &Bytes, compressors: &dyn Compressors, limit: usize) -> Result<(BatchHead, Bytes), RecordsError> {
    let head = verify(batch)?;
    let records = batch.slice(HEAD_SIZE..head.size());
    let plain = decompressed(&head, records, limit, compressors)
        .map_err(|fault| RecordsError::new(fault).of_batch(head.base_offset))?;
    Ok((head, plain))
}

/// A batch's records, decompressed to at most `limit` bytes if need be. Nothing is checked: for tools that look at damage.
pub fn decompressed(
    head: &BatchHead,
    records: Bytes,
    limit: usize,
    compressors: &dyn Compressors,
) -> Result<Bytes, Fault> {
    match head.attributes.compression() {
        Compression::None => Ok(records),
        // An empty batch that compaction left keeps its attributes, but has nothing to decompress.
        _ if records.is_empty() && head.record_count == 0 => Ok(records),
        compression => Ok(compressors.decompress(compression, &records, limit).map_err(Fault::Compression)?.into()),
    }
}

fn records_of(head: &BatchHead, plain: &Bytes) -> Result<Vec<Record>, Fault> {
    // A record takes seven bytes at least, so a hostile count reserves no more than the bytes deserve.
    let mut records = Vec::with_capacity((head.record_count.max(0) as usize).min(plain.len() / 7));
    let mut views = RecordViews::new(head, plain);
    while let Some(view) = views.next() {
        let view = view.map_err(|fault| Fault::Record { index: views.index(), fault })?;
        records.push(view.to_record(plain));
    }
    match views.rest().len() {
        0 => Ok(records),
        count => Err(Fault::TrailingBytes(count)),
    }
}
