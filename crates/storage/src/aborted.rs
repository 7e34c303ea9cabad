//! Aborted transactions (`.txnindex`): which records readers of committed transactions pass over.
//!
//! They are few, so all of a log's are in memory, and a fetch is answered without looking into a file.

use std::sync::Arc;

use protocol::records::control::EndTransaction;
use protocol::records::{BatchHead, Compression, HEAD_SIZE, RecordViews};
use protocol::{FileId, Offset, ProducerId};

use crate::clean::transactions::{self, Aborted};
use crate::disk::Disk;
use crate::op::{LogId, StoreError};
use crate::scan::{Scan, ScanError};
use crate::shape::Shape;
use crate::store::Store;

/// A log's aborted transactions by where their markers are. A clone shares them.
pub(crate) type AbortedTransactions = Arc<Vec<Aborted>>;

impl Shape {
    /// The aborted transactions with records from one offset up to another: whose they are, and where they begin.
    pub fn aborted_in(&self, from: Offset, to: Offset) -> Vec<(ProducerId, Offset)> {
        let ended_before = self.aborted.partition_point(|it| it.last < from);
        let rest = self.aborted[ended_before..].iter();
        rest.filter(|it| it.first < to).map(|it| (it.producer_id, it.first)).collect()
    }
}

impl<D: Disk> Store<D> {
    /// Adds what the `.txnindex` files say of the segments below `checked_base`; those of the others are made to say what the
    /// log does, as in Kafka. Transactions whose marker was cut off are taken out of the files, too.
    pub(crate) fn with_aborted(
        &mut self,
        log: LogId,
        mut shape: Shape,
        checked_base: Offset,
    ) -> Result<Shape, StoreError> {
        let it = self.log_mut(log)?;
        let dir = it.dir;
        let segments: Vec<(FileId, Offset, String)> =
            it.segments.iter().map(|(file, segment)| (file, segment.base, it.path(segment.base, "txnindex"))).collect();
        let mut all: Vec<Aborted> = Vec::new();
        for (index, (file, base, path)) in segments.iter().enumerate() {
            let bytes = self.read_file(dir, path)?.unwrap_or_default();
            let end = segments.get(index + 1).map_or(shape.end(), |(_, next, _)| *next);
            let mut found: Vec<Aborted> = if *base >= checked_base {
                shape.aborted.iter().filter(|it| it.last >= *base).copied().collect()
            } else {
                match transactions::parse(&bytes) {
                    Some(found) => found,
                    None => self.aborted_of(log, *file)?,
                }
            };
            found.retain(|aborted| aborted.last < end);
            let right = transactions::format(&found);
            if right != bytes {
                self.replace_file(dir, path, right)?;
            }
            all.extend(found);
        }
        ordered::sort_by_key(&mut all, |aborted| (aborted.last, aborted.producer_id));
        shape.aborted = Arc::new(all);
        Ok(shape)
    }

    /// The transactions whose abort marker is in a segment, by the log itself.
    fn aborted_of(&mut self, log: LogId, file: FileId) -> Result<Vec<Aborted>, StoreError> {
        let it = self.log_mut(log)?;
        let (dir, folder) = (it.dir, it.folder.clone());
        let base = it.segments.get(&file).ok_or(StoreError::Missing)?.base;
        let (from, mut producers) = self.read_snapshot(dir, &folder, base)?;
        let it = self.logs.get(&log).ok_or(StoreError::Missing)?;
        let mut aborted = Vec::new();
        let before = it.segments.iter().take_while(|(_, segment)| segment.base <= from).count().saturating_sub(1);
        let upto = it.segments.iter().take_while(|(_, segment)| segment.base <= base).count();
        for (_, segment) in it.segments.iter().take(upto).skip(before) {
            let mut scan = Scan::new(&self.disk, &segment.file, 0, segment.size, segment.base);
            loop {
                match scan.next() {
                    Ok(Some((at, head))) if head.base_offset >= from => {
                        let marker = self.marker_at(&segment.file, at, &head)?;
                        aborted.extend(producers.replay(&head, marker));
                    }
                    Ok(Some(_)) => {}
                    // What is wrong in there is found by who reads it.
                    Ok(None) | Err(ScanError::Bad(_)) => break,
                    Err(ScanError::Disk(error)) => return Err(error),
                }
            }
        }
        aborted.retain(|it| it.last >= base);
        Ok(aborted)
    }

    /// How a transaction ends by the batch at a place in a file, if that is a marker.
    pub(crate) fn marker_at(
        &self,
        file: &D::File,
        at: u32,
        head: &BatchHead,
    ) -> Result<Option<EndTransaction>, StoreError> {
        let is_marker = head.attributes.is_control() && head.has_producer_id();
        if !is_marker || head.attributes.compression() != Compression::None {
            return Ok(None);
        }
        let bytes = self.disk.read_at(file, u64::from(at), head.size())?;
        let mut records = RecordViews::new(head, bytes.get(HEAD_SIZE..).unwrap_or_default());
        let Some(Ok(record)) = records.next() else { return Ok(None) };
        let (Some(key), Some(value)) = (record.key, record.value) else { return Ok(None) };
        Ok(EndTransaction::of_record(key, value).ok().flatten())
    }
}
