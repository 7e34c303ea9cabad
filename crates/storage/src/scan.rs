//! Walks a segment file batch by batch.

use bytes::Bytes;
use protocol::Offset;
use protocol::records::{BatchHead, HEAD_SIZE, verify};

use crate::disk::Disk;
use crate::op::StoreError;

/// Bytes read at once when all are looked at, and when heads alone are.
const READ_ALL: usize = 256 << 10;
const READ_HEADS: usize = 16 << 10;

/// Why a walk ended before the end of the file.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// The disk failed.
    Disk(StoreError),
    /// No batch is here; says why.
    Bad(String),
}

impl From<StoreError> for ScanError {
    fn from(error: StoreError) -> ScanError {
        ScanError::Disk(error)
    }
}

/// A walk from a place where a batch begins.
pub(crate) struct Scan<'a, D: Disk> {
    disk: &'a D,
    file: &'a D::File,
    at: u32,
    size: u32,
    expected: Offset,
    check_crc: bool,
    buffer: Bytes,
    buffer_at: u32,
}

impl<'a, D: Disk> Scan<'a, D> {
    /// Walks the file's first `size` bytes from `at`, where no offset is below `from`.
    pub(crate) fn new(disk: &'a D, file: &'a D::File, at: u32, size: u32, from: Offset) -> Scan<'a, D> {
        Scan { disk, file, at, size, expected: from, check_crc: false, buffer: Bytes::new(), buffer_at: 0 }
    }

    /// Reads every byte and checks the CRCs.
    pub(crate) fn checked(mut self) -> Scan<'a, D> {
        self.check_crc = true;
        self
    }

    /// Where the next batch begins; after an error, where it should.
    pub(crate) fn position(&self) -> u32 {
        self.at
    }

    /// The next batch's head and place; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, BatchHead)>, ScanError> {
        if self.at >= self.size {
            return Ok(None);
        }
        let bad = |why: String| ScanError::Bad(why);
        let head = self.peek(HEAD_SIZE, if self.check_crc { READ_ALL } else { READ_HEADS })?;
        let head = BatchHead::decode(&head).map_err(|error| bad(error.fault.to_string()))?;
        let rest = (self.size - self.at) as usize;
        if head.size() > rest {
            return Err(bad(format!("the batch needs {} bytes, there are {rest}", head.size())));
        }
        if head.base_offset < self.expected || head.last_offset_delta < 0 || head.next_offset() == Offset(i64::MAX) {
            let (base, delta, expected) = (head.base_offset, head.last_offset_delta, self.expected);
            return Err(bad(format!("offsets {base} + {delta} where {expected} is the least")));
        }
        if self.check_crc {
            let batch = self.peek(head.size(), READ_ALL)?;
            verify(&batch).map_err(|error| bad(error.fault.to_string()))?;
        }
        let at = self.at;
        self.at += head.size() as u32;
        self.expected = head.next_offset();
        Ok(Some((at, head)))
    }

    /// The next `len` bytes, or fewer at the end; reads `ahead` at once.
    fn peek(&mut self, len: usize, ahead: usize) -> Result<Bytes, StoreError> {
        let len = len.min((self.size - self.at) as usize);
        let start = self.at.wrapping_sub(self.buffer_at) as usize;
        if self.at < self.buffer_at || start + len > self.buffer.len() {
            let want = len.max(ahead).min((self.size - self.at) as usize);
            self.buffer = self.disk.read_at(self.file, u64::from(self.at), want)?;
            self.buffer_at = self.at;
            return Ok(self.buffer.slice(..len.min(self.buffer.len())));
        }
        Ok(self.buffer.slice(start..start + len))
    }
}
