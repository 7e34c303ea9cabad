//! Store operations in flight: what each was for, so that its answer finds its way back.

use ordered::Map;

use protocol::{Era, LeaderEpoch, Offset, Str, TopicPartition};
use storage::{Cell, DirId, LogId, OpId, StoreOp};

use crate::deferred::RequestId;
use crate::outbox::Outbox;
use crate::partition::PartitionKey;

/// What an operation was for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// The quorum's; it knows what for.
    Metadata(quorum::Ticket),
    /// A partition's log becomes ready.
    Mount(LogId),
    /// Batches of a partition, so many bytes, are written.
    Append(LogId, u64),
    /// Any other step of a partition's lane: a failure takes the log directory offline, success says nothing.
    Lane(LogId),
    /// A step of a log's compaction.
    Clean(LogId, CleanPart),
    /// A step of a log's way to another directory.
    Copy(LogId, CopyPart),
    /// Folders of a directory that no log was mounted from are looked for.
    Survey(DirId),
    /// How much room there is in a directory, for who asked.
    Measure(DirId, RequestId),
    /// A folder of a directory gets another name, and why.
    SetAside(DirId, Str, &'static str),
    /// A copy of a replica takes its place.
    Adopt(PartitionKey, DirId),
    /// Everything of the log is on disk up to this offset.
    Flush(LogId, Offset),
    /// A follower's log is cut where its leader's parts from it.
    Truncate(LogId),
    /// The log of a deleted topic is gone from the directory.
    Remove(LogId, DirId, TopicPartition),
    /// What a log gave up is removed.
    Sweep(LogId),
    /// Part of the answer to a request that looks up old offsets or timestamps in a log.
    Find(LogId, RequestId, u32),
    /// The log of a partition of the offsets topic is read, in this leader epoch.
    Groups(PartitionKey, LeaderEpoch),
    /// A small file is on disk.
    Put(Cell),
    /// A directory's log starts are on disk; a request may wait for that.
    LogStarts(DirId, Option<RequestId>),
}

/// What was asked for while a log is on its way to another directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyPart {
    /// To copy more of it, in this era of the log.
    Step(Era),
    /// To write its start down in the new directory.
    Note,
    /// To have it live there, in this era of the log.
    Move(Era),
    /// To remove the copy.
    Drop,
}

/// What was asked for in the course of a log's compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CleanPart {
    /// To write a group of segments anew.
    Write,
    /// To write the recovery point down.
    Note,
    /// To put the new segments in place.
    Swap,
}

impl Purpose {
    /// True for a step of a log's lane, the metadata log's included.
    pub(crate) fn is_lane(&self) -> bool {
        match self {
            Purpose::Metadata(_)
            | Purpose::Mount(_)
            | Purpose::Append(..)
            | Purpose::Lane(_)
            | Purpose::Flush(..)
            | Purpose::Truncate(_)
            | Purpose::Clean(_, CleanPart::Swap)
            | Purpose::Copy(_, CopyPart::Move(_) | CopyPart::Drop)
            | Purpose::Remove(..) => true,
            Purpose::Clean(_, CleanPart::Write | CleanPart::Note)
            | Purpose::Copy(_, CopyPart::Step(_) | CopyPart::Note)
            | Purpose::Sweep(_)
            | Purpose::Survey(_)
            | Purpose::Measure(..)
            | Purpose::SetAside(..)
            | Purpose::Adopt(..)
            | Purpose::Find(..)
            | Purpose::Groups(..)
            | Purpose::Put(_)
            | Purpose::LogStarts(..) => false,
        }
    }

    /// True for the write of a small file.
    pub(crate) fn is_put(&self) -> bool {
        matches!(
            self,
            Purpose::Put(_)
                | Purpose::LogStarts(..)
                | Purpose::Clean(_, CleanPart::Note)
                | Purpose::Copy(_, CopyPart::Note)
        )
    }
}

/// All operations in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ops {
    next: u64,
    in_flight: Map<OpId, Purpose>,
}

impl Ops {
    /// Numbers an operation and hands it to the driver.
    pub(crate) fn start(&mut self, purpose: Purpose, op: StoreOp, out: &mut Outbox) {
        let id = OpId(self.next);
        self.next += 1;
        self.in_flight.insert(id, purpose);
        out.store.push((id, op));
    }

    /// What the answered operation was for; `None` if it was answered before.
    pub(crate) fn finish(&mut self, id: OpId) -> Option<Purpose> {
        self.in_flight.remove(&id)
    }

    /// How many are in flight.
    pub(crate) fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// What those in flight are for.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Purpose> {
        self.in_flight.values()
    }

    /// How many in flight satisfy a condition.
    pub(crate) fn count(&self, condition: impl Fn(&Purpose) -> bool) -> usize {
        self.in_flight.values().filter(|purpose| condition(purpose)).count()
    }

    /// True if any operation in flight satisfies the condition.
    pub(crate) fn any(&self, condition: impl Fn(&Purpose) -> bool) -> bool {
        self.in_flight.values().any(condition)
    }
}
