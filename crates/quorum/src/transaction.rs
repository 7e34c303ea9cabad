//! Metadata transactions (KIP-868): records between a begin and an end happen at the end, or not at all.

use protocol::Offset;
use protocol::messages::MetadataRecord;

/// Holds the records of an open transaction back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    open: Option<Vec<(Offset, MetadataRecord)>>,
}

impl Transactions {
    /// True between a begin and its end.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next committed record and passes on what can be seen now.
    pub(crate) fn reveal(
        &mut self,
        offset: Offset,
        record: MetadataRecord,
        visible: &mut Vec<(Offset, MetadataRecord)>,
    ) {
        match record {
            MetadataRecord::BeginTransaction(_) => {
                // A begin without an end before it: that leader died and the next one left no abort.
                self.open = Some(vec![(offset, record)]);
            }
            MetadataRecord::EndTransaction(_) => {
                visible.extend(self.open.take().unwrap_or_default());
                visible.push((offset, record));
            }
            MetadataRecord::AbortTransaction(_) => {
                self.open = None;
                visible.push((offset, record));
            }
            _ => match &mut self.open {
                Some(held) => held.push((offset, record)),
                None => visible.push((offset, record)),
            },
        }
    }
}
