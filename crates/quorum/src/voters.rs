//! Who votes, and how far each of them has synced the log.

use ordered::Map;

use protocol::{NodeId, Offset, Str, Uuid};

/// A voter as the log's records describe it (KIP-853).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub id: NodeId,
    /// The directory of its metadata log.
    pub directory_id: Uuid,
    /// Where other voters reach it: listener, host, port.
    pub endpoints: Vec<(Str, Str, u16)>,
}

/// The synced end of each voter's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Voters(Map<NodeId, Offset>);

impl Voters {
    pub(crate) fn only(node: NodeId) -> Voters {
        Voters(Map::from([(node, Offset(0))]))
    }

    pub(crate) fn set_synced(&mut self, voter: NodeId, end: Offset) {
        if let Some(synced) = self.0.get_mut(&voter) {
            *synced = end.max(*synced);
        }
    }

    pub(crate) fn high_watermark(&self, current: Offset) -> Offset {
        high_watermark(current, self.0.values().copied())
    }
}

/// The greatest offset that a majority of the voters has synced. Never moves back.
pub fn high_watermark(current: Offset, synced_ends: impl Iterator<Item = Offset>) -> Offset {
    let mut ends: Vec<Offset> = synced_ends.collect();
    ordered::sort_by(&mut ends, |a, b| b.cmp(a));
    // In descending order the end at half the count is reached by one more than half of them.
    ends.get(ends.len() / 2).copied().unwrap_or(current).max(current)
}
