//! Replies that wait: a key in a map, never a blocked thread.

use ordered::Map;

use protocol::{Offset, ResponseBody};

use crate::gateway::delete_records::PendingDeletes;
use crate::gateway::describe_log_dirs::PendingLogDirs;
use crate::gateway::fetch::PendingFetch;
use crate::gateway::forward::PendingForward;
use crate::gateway::groups::PendingGroups;
use crate::gateway::list_offsets::PendingLookups;
use crate::gateway::produce::PendingProduce;
use crate::input::ConnId;

/// A request that is not answered yet. Never used twice within one run of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Who gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) conn: ConnId,
    pub(crate) correlation_id: i32,
    pub(crate) version: i16,
}

/// A request that waits for the store, a watermark or a deadline.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    Produce(PendingProduce),
    Fetch(PendingFetch),
    ListOffsets(PendingLookups),
    DeleteRecords(PendingDeletes),
    LogDirs(PendingLogDirs),
    Forward(PendingForward),
    Groups(PendingGroups),
}

/// What happens once the metadata high watermark has passed an outcome's records.
#[derive(Clone, Debug)]
pub(crate) enum Committed {
    /// Who asked is answered: a client, another node, or this one.
    Answer(Waiter, ResponseBody),
}

/// All that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deferred {
    next: u64,
    pending: Map<RequestId, Pending>,
    /// By the metadata offset that must be committed (exclusive), then in the order in which they came.
    parked: Map<(Offset, u64), Committed>,
}

impl Deferred {
    /// Numbers a request.
    pub(crate) fn number(&mut self) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        id
    }

    /// Holds a request until [`Deferred::take`].
    pub(crate) fn hold(&mut self, id: RequestId, pending: Pending) {
        self.pending.insert(id, pending);
    }

    /// A held request; `None` if it was answered.
    pub(crate) fn pending_mut(&mut self, id: RequestId) -> Option<&mut Pending> {
        self.pending.get_mut(&id)
    }

    /// Takes a held request out, to answer it.
    pub(crate) fn take(&mut self, id: RequestId) -> Option<Pending> {
        self.pending.remove(&id)
    }

    /// All held requests, oldest first.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (RequestId, &Pending)> {
        self.pending.iter().map(|(id, pending)| (*id, pending))
    }

    /// Parks what depends on the metadata log up to (not including) `end`.
    pub(crate) fn park(&mut self, end: Offset, committed: Committed) {
        self.parked.insert((end, self.next), committed);
        self.next += 1;
    }

    /// Takes the first parked outcome whose records are all committed.
    pub(crate) fn pop_committed(&mut self, high_watermark: Offset) -> Option<Committed> {
        let (first, _) = self.parked.first_key_value()?;
        if first.0 <= high_watermark { self.parked.pop_first().map(|(_, committed)| committed) } else { None }
    }

    /// Takes everything that is parked: what it waits for will not come.
    pub(crate) fn take_parked(&mut self) -> Vec<Committed> {
        std::mem::take(&mut self.parked).into_values().collect()
    }

    /// Everything parked at the metadata log: the offset it waits for and who gets the answer.
    pub(crate) fn parked(&self) -> impl Iterator<Item = (Offset, &Committed)> {
        self.parked.iter().map(|((end, _), committed)| (*end, committed))
    }
}
