//! Aborted transactions (`.txnindex`): which records readers of committed transactions pass over.
//!
//! They are few, so all of a log's are in memory, and a fetch is answered without looking into a file.

use std::sync::Arc;

use protocol::{Offset, ProducerId};

use crate::clean::transactions::{self, Aborted};
use crate::disk::Disk;
use crate::op::{LogId, StoreError};
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
    /// Adds what the `.txnindex` files say. Transactions whose marker was cut off are taken out of the files, too.
    pub(crate) fn with_aborted(&mut self, log: LogId, mut shape: Shape) -> Result<Shape, StoreError> {
        let it = self.log_mut(log)?;
        let dir = it.dir;
        let paths: Vec<String> = it.segments.iter().map(|(_, segment)| it.path(segment.base, "txnindex")).collect();
        let mut all = Vec::new();
        for path in paths {
            let Some(bytes) = self.read_file(dir, &path)?.filter(|bytes| !bytes.is_empty()) else { continue };
            let mut found = transactions::parse(&bytes).ok_or_else(|| {
                StoreError::Corrupt(format!(
                    "{path} is no index of aborted transactions; start Apache Kafka once, which makes it anew, or restore it"
                ))
            })?;
            let count = found.len();
            found.retain(|aborted| aborted.last < shape.end());
            if found.len() < count {
                self.replace_file(dir, &path, transactions::format(&found))?;
            }
            all.extend(found);
        }
        ordered::sort_by_key(&mut all, |aborted| (aborted.last, aborted.producer_id));
        shape.aborted = Arc::new(all);
        Ok(shape)
    }
}
