//! Reads the log from its beginning, a piece at a time.

use bytes::Bytes;
use protocol::messages::MetadataRecord;
use protocol::records::{HEAD_SIZE, PureCompressors, read};
use protocol::{Offset, Region};
use storage::{Shape, StoreError};

use crate::TOPIC;
use crate::history::History;

/// How much is read at a time, unless a batch is larger.
const PIECE: u32 = 1 << 20;

/// Where the reader is.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    /// What is not read yet of each segment, the oldest last.
    rest: Vec<Region>,
    piece: u32,
    next: Offset,
    /// What is below was in a snapshot.
    from: Offset,
    /// How much of the log the snapshot does not stand for.
    pub(crate) bytes: u64,
    pub(crate) history: History,
}

impl Replay {
    pub(crate) fn new(shape: &Shape, from: Offset, history: History) -> Replay {
        let regions =
            shape.segments().map(|segment| Region { file: segment.file, at: 0, len: segment.size, era: shape.era() });
        let mut rest: Vec<Region> = regions.filter(|region| region.len > 0).collect();
        rest.reverse();
        Replay { rest, piece: PIECE, next: Offset(0), from, bytes: 0, history }
    }

    /// Where there is nothing to read.
    pub(crate) fn nothing(history: History) -> Replay {
        Replay { rest: Vec::new(), piece: PIECE, next: Offset(0), from: Offset(0), bytes: 0, history }
    }

    /// One past the last record read.
    pub(crate) fn next(&self) -> Offset {
        self.next
    }

    /// What to load next; `None` at the end of the log.
    pub(crate) fn region(&self) -> Option<Region> {
        self.rest.last().map(|region| Region { len: region.len.min(self.piece), ..*region })
    }

    /// Takes the bytes of [`Replay::region`]: the records of the whole batches in them. Control batches are the quorum's own
    /// and bring none.
    pub(crate) fn read(&mut self, bytes: &Bytes) -> Result<Vec<(Offset, MetadataRecord)>, StoreError> {
        let corrupt = |what: String| StoreError::Corrupt(format!("{TOPIC}: {what}"));
        let mut records = Vec::new();
        let mut batches = read(bytes, &PureCompressors);
        for batch in &mut batches {
            let (head, batch) = batch.map_err(|error| corrupt(error.to_string()))?;
            if head.base_offset < self.next {
                return Err(corrupt(format!(
                    "a batch at offset {} where {} was expected",
                    head.base_offset, self.next
                )));
            }
            self.next = head.next_offset();
            self.bytes += if head.base_offset >= self.from { head.size() as u64 } else { 0 };
            for record in batch.into_iter().filter(|record| record.offset >= self.from) {
                if head.attributes.is_control() {
                    self.history.control(record.offset, &record).map_err(corrupt)?;
                    continue;
                }
                let value = record.value.ok_or_else(|| corrupt(format!("no value at offset {}", record.offset)))?;
                let decoded = MetadataRecord::decode(value).map_err(|error| {
                    let too_new = self.history.is_too_new();
                    corrupt(too_new.unwrap_or_else(|| format!("at offset {}: {error}", record.offset)))
                })?;
                self.history.metadata(record.offset, &decoded);
                records.push((record.offset, decoded));
            }
        }
        self.advance(u32::try_from(batches.position()).unwrap_or(u32::MAX), bytes.len()).map_err(corrupt)?;
        Ok(records)
    }

    fn advance(&mut self, whole: u32, loaded: usize) -> Result<(), String> {
        let Some(region) = self.rest.last_mut() else { return Ok(()) };
        if whole == 0 {
            // The batch is larger than the piece: ask for all of it, or for the rest of the file.
            if loaded < HEAD_SIZE || self.piece >= region.len {
                return Err(format!("{loaded} bytes at the end of a segment are no batch"));
            }
            self.piece = self.piece.saturating_mul(2);
            return Ok(());
        }
        self.piece = PIECE;
        region.at = region.at.saturating_add(whole);
        region.len = region.len.saturating_sub(whole);
        if region.len == 0 {
            self.rest.pop();
        }
        Ok(())
    }
}
