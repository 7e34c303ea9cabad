//! Store operations in flight: what each was for.

use ordered::Map;
use protocol::{LeaderEpoch, Offset};
use storage::StoreOp;

use crate::{Output, Ticket};

/// What an operation was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Mount,
    Load,
    /// The epoch and the vote: nothing that follows from them is said before.
    Vote,
    /// A small file that nobody waits for.
    Note,
    /// Everything below the offset is written.
    Append(Offset),
    /// A step of the lane whose success says nothing by itself.
    Lane,
    /// Everything below the offset is on disk.
    Flush(Offset),
    /// The log is cut.
    Truncate,
    /// A snapshot of our own is on disk.
    Snapshot(storage::SnapshotId),
    /// A snapshot that the leader sent is on disk.
    Fetched,
    /// Where a fetch finds its batches; it was asked in this epoch.
    Find(LeaderEpoch, u64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ops {
    next: u64,
    in_flight: Map<Ticket, Purpose>,
}

impl Ops {
    pub(crate) fn ask(&mut self, purpose: Purpose, op: StoreOp, out: &mut Output) {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.in_flight.insert(ticket, purpose);
        out.store.push((ticket, op));
    }

    pub(crate) fn finish(&mut self, ticket: Ticket) -> Option<Purpose> {
        self.in_flight.remove(&ticket)
    }
}
