//! Deadlines: each belongs to a request or to the node, never to an idle partition.

use ordered::{Map, Set};

use protocol::{Instant, NodeId};

use crate::deferred::RequestId;

/// What is due. The order breaks ties between equal deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WakeReason {
    /// The node has not begun yet: its first input mounts the metadata log.
    Boot,
    /// The metadata quorum: an election, a fetch, a leader that is not heard of.
    Quorum,
    /// `max_wait_ms` of a fetch is over.
    FetchWait(RequestId),
    /// `timeout_ms` of a produce request is over.
    ProduceTimeout(RequestId),
    /// `timeout_ms` of a DeleteRecords request is over.
    DeleteTimeout(RequestId),
    /// `log.retention.check.interval.ms`: retention.
    Retention,
    /// `producer.id.expiration.check.interval.ms`: producers that have been silent for long.
    Producers,
    /// `file.delete.delay.ms`: files that logs have given up are removed.
    Sweep,
    /// `replica.high.watermark.checkpoint.interval.ms`: high watermarks are written down, and recovery points if they
    /// have no interval of their own.
    Checkpoint,
    /// `log.cleaner.backoff.ms`: logs to compact are looked for, if any topic is compacted.
    Clean,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`, or another try: a replica moves on to another directory.
    Moves,
    /// `log.flush.scheduler.interval.ms`: logs that have waited for `flush.ms` are looked for.
    Flush,
    /// `replica.fetch.backoff.ms`, at most: a leader, or partitions of it, are asked again.
    Fetcher(NodeId),
    /// Half of `replica.lag.time.max.ms`: replicas that have not kept up are looked for, if this node leads any.
    ReplicaLag,
    /// A change of in-sync replicas that the controller could not be asked for is tried again.
    AlterPartition,
    /// `broker.heartbeat.interval.ms`: the controller hears that this broker lives; or the registration is tried again.
    Heartbeat,
    /// `log.dir.failure.timeout.ms`: no controller knows of a directory that was lost.
    LostDirectory,
    /// This controller's registration is tried again.
    ControllerRegistration,
    /// Directories of replicas that could not be told are told again.
    Directories,
    /// A request that waits for a controller is passed on again.
    Forward(RequestId),
    /// Answers about leaders that waited for news of them are given.
    News,
    /// At the active controller: a broker's session is over, or its port is to be knocked at.
    Sessions,
    /// At the active controller, `leader.imbalance.check.interval.seconds`: leaders go back to their first replicas.
    Balance,
    /// At the active controller, `unclean.leader.election.interval.ms`: partitions without a leader get any that their topic
    /// allows.
    Unclean,
    /// At the active controller, `metadata.max.idle.interval.ms`.
    Idle,
    /// Something of a group is due in this partition of the offsets topic: a session, a rebalance, a commit.
    Groups(i32),
    /// A snapshot of the metadata is being written, some records a turn.
    Snapshot,
    /// `offsets.retention.check.interval.ms`: offsets that nobody uses any more.
    OffsetExpiry,
    /// `log.flush.offset.checkpoint.interval.ms`, if it is set: recovery points are written down.
    RecoveryPoints,
}

/// At most one deadline per reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    queue: Set<(Instant, WakeReason)>,
    armed: Map<WakeReason, Instant>,
}

impl Timers {
    /// Sets or moves a deadline.
    pub(crate) fn arm(&mut self, reason: WakeReason, at: Instant) {
        if let Some(old) = self.armed.insert(reason, at) {
            self.queue.remove(&(old, reason));
        }
        self.queue.insert((at, reason));
    }

    /// Forgets a deadline, if it is set.
    pub(crate) fn disarm(&mut self, reason: WakeReason) {
        if let Some(at) = self.armed.remove(&reason) {
            self.queue.remove(&(at, reason));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<(Instant, WakeReason)> {
        self.queue.first().copied()
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<WakeReason> {
        let (at, reason) = self.next()?;
        if at > now {
            return None;
        }
        self.disarm(reason);
        Some(reason)
    }

    /// All deadlines, the earliest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Instant, WakeReason)> {
        self.queue.iter().copied()
    }

    /// When a reason is due.
    pub(crate) fn deadline(&self, reason: WakeReason) -> Option<Instant> {
        self.armed.get(&reason).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_deadline() {
        let mut timers = Timers::default();
        timers.arm(WakeReason::Retention, Instant(10));
        timers.arm(WakeReason::Checkpoint, Instant(7));
        timers.arm(WakeReason::Retention, Instant(5));
        assert_eq!(timers.next(), Some((Instant(5), WakeReason::Retention)));
        assert_eq!(timers.pop_due(Instant(4)), None);
        assert_eq!(timers.pop_due(Instant(9)), Some(WakeReason::Retention));
        timers.disarm(WakeReason::Checkpoint);
        assert_eq!(timers.next(), None);
        assert_eq!(timers.pop_due(Instant(100)), None);
    }
}
