//! Reading as leader: where the bytes of an offset are, and what fences the reader.

use protocol::{ErrorCode, LeaderEpoch, Offset, ProducerId, Region};
use storage::{LogId, Lookup, Plan, StoreOp, TimestampOffset};

use super::role::Role;
use super::{Online, Partition};
use crate::config::Past;

/// What a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset: no record of an open transaction.
    ReadCommitted,
    /// All that is written: for replicas.
    LogEnd,
}

/// Where a log ends, for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// For consumers.
    HighWatermark,
    /// For consumers of committed transactions.
    LastStable,
    /// For replicas and tools.
    LogEnd,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRange {
    pub(crate) offset: i64,
    pub(crate) isolation: Isolation,
    pub(crate) max_bytes: u64,
    /// The first batch is given even if it is larger than `max_bytes`, so that a reader always gets on.
    pub(crate) at_least_one: bool,
    /// -1 if the reader does not say.
    pub(crate) current_leader_epoch: i32,
    /// -1 if the reader does not say.
    pub(crate) last_fetched_epoch: i32,
}

/// What there is.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) high_watermark: Offset,
    pub(crate) last_stable_offset: Offset,
    pub(crate) log_start: Offset,
    /// For readers of committed transactions: what they must pass over, by producer and first offset.
    pub(crate) aborted: Option<Vec<(ProducerId, Offset)>>,
    pub(crate) data: Data,
}

/// The records, or where to find them.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// Written bytes; none at the end of what the reader may see.
    Tail { regions: Vec<Region>, bytes: u64 },
    /// The store must look.
    Old { op: StoreOp },
    /// The reader's log is not a prefix of this one: this epoch ended here.
    Diverging { epoch: LeaderEpoch, end: Offset },
}

/// A record by its time.
#[derive(Clone, Debug)]
pub(crate) enum Position {
    /// It is this one, or there is none.
    Known(Option<TimestampOffset>),
    /// The store must look in this log.
    Lookup(LogId, StoreOp),
}

impl Partition {
    /// Plans a read. Consumers that say where they are may read at followers (KIP-392), up to what those know to be committed.
    pub(crate) fn read(&self, range: &ReadRange, only_leader: bool) -> Result<Read, ErrorCode> {
        self.check_leader_epoch(range.current_leader_epoch)?;
        let online = if only_leader { self.leading()? } else { self.online()? };
        let (log_start, offset) = (online.shape.log_start(), Offset(range.offset));
        let answer = |data| Read {
            high_watermark: online.high_watermark,
            last_stable_offset: online.last_stable_offset(),
            log_start,
            aborted: (range.isolation == Isolation::ReadCommitted)
                .then(|| online.shape.aborted_in(offset, online.last_stable_offset())),
            data,
        };
        if range.last_fetched_epoch >= 0 {
            let (epoch, end) = online.end_of(range.last_fetched_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
            if offset < log_start {
                return Err(ErrorCode::OffsetOutOfRange);
            }
            if self.parts_from(range.offset, range.last_fetched_epoch) {
                return Ok(answer(Data::Diverging { epoch, end }));
            }
        }
        if offset < log_start || offset > online.shape.written_end() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let limit = match range.isolation {
            Isolation::ReadUncommitted => online.high_watermark,
            Isolation::ReadCommitted => online.last_stable_offset(),
            Isolation::LogEnd => online.shape.written_end(),
        };
        Ok(answer(self.plan(online, range, offset, limit)))
    }

    fn plan(&self, online: &Online, range: &ReadRange, offset: Offset, limit: Offset) -> Data {
        let nothing = Data::Tail { regions: Vec::new(), bytes: 0 };
        if range.max_bytes == 0 && !range.at_least_one {
            return nothing;
        }
        let max_bytes = u32::try_from(range.max_bytes).unwrap_or(u32::MAX);
        match online.shape.plan_read(offset, limit, max_bytes) {
            Plan::Regions(_, bytes) if bytes > range.max_bytes && !range.at_least_one => nothing,
            Plan::Regions(regions, bytes) => Data::Tail { regions, bytes },
            Plan::Seek(seek) => Data::Old { op: StoreOp::Find(self.log, online.shape.era(), seek) },
            // The range was checked before: there is nothing yet.
            Plan::Empty | Plan::OutOfRange => nothing,
        }
    }

    /// Fences a reader that follows another leader epoch (KIP-320).
    pub(crate) fn check_leader_epoch(&self, current_leader_epoch: i32) -> Result<(), ErrorCode> {
        match current_leader_epoch {
            -1 => Ok(()),
            epoch if epoch < self.leader_epoch.0 => Err(ErrorCode::FencedLeaderEpoch),
            epoch if epoch > self.leader_epoch.0 => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// True if the reader's log is not a prefix of this one.
    pub(super) fn parts_from(&self, offset: i64, last_fetched_epoch: i32) -> bool {
        self.online().is_ok_and(|online| online.parts_from(offset, last_fetched_epoch, self.config.past))
    }

    /// Where the log ends.
    pub(crate) fn bound(&self, bound: Bound) -> Result<Offset, ErrorCode> {
        Ok(match bound {
            Bound::LogEnd => self.online()?.shape.written_end(),
            Bound::HighWatermark => self.leading()?.high_watermark,
            Bound::LastStable => self.leading()?.last_stable_offset(),
        })
    }

    /// OFFSET_NOT_AVAILABLE while a new leader does not know yet that all it took over is committed: an end told now could be
    /// before one that was told earlier (KIP-207).
    pub(crate) fn check_caught_up(&self) -> Result<(), ErrorCode> {
        let online = self.online()?;
        let start = match &self.role {
            Role::Leader(leader) => leader.epoch_start,
            Role::Follower { .. } => None,
        };
        match start {
            Some(start) if start > online.high_watermark => Err(ErrorCode::OffsetNotAvailable),
            _ => Ok(()),
        }
    }

    /// Where an epoch ends: the greatest known one not above it, and its end. `None` for one that is not known.
    pub(crate) fn epoch_end(&self, epoch: i32) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        Ok(self.leading()?.end_of(epoch))
    }

    /// The first record at or after a timestamp.
    pub(crate) fn first_at(&self, timestamp: i64, bound: Bound) -> Result<Position, ErrorCode> {
        let limit = self.bound(bound)?;
        let online = self.online()?;
        Ok(self.position(online, online.shape.offset_for_timestamp(timestamp, limit)))
    }

    /// The record with the greatest timestamp.
    pub(crate) fn newest(&self, bound: Bound) -> Result<Position, ErrorCode> {
        let limit = self.bound(bound)?;
        let online = self.online()?;
        Ok(self.position(online, online.shape.max_timestamp(limit)))
    }

    fn position(&self, online: &Online, lookup: Lookup) -> Position {
        match lookup {
            Lookup::Found(found) => Position::Known(Some(found)),
            Lookup::Nothing => Position::Known(None),
            Lookup::Seek(seek) => Position::Lookup(self.log, StoreOp::Find(self.log, online.shape.era(), seek)),
        }
    }

    /// Refuses while this broker does not lead or the log is not ready.
    pub(crate) fn check_leading(&self) -> Result<(), ErrorCode> {
        self.leading().map(|_| ())
    }
}

impl Online {
    fn end_of(&self, epoch: i32) -> Option<(LeaderEpoch, Offset)> {
        self.shape.epochs().end_offset_for(LeaderEpoch(epoch), self.shape.written_end())
    }

    fn parts_from(&self, offset: i64, fetched: i32, past: Past) -> bool {
        let is_lower = |epoch: LeaderEpoch| epoch.0 < fetched && past != Past::LoneEpochs;
        fetched >= 0 && self.end_of(fetched).is_none_or(|(epoch, end)| is_lower(epoch) || end.0 < offset)
    }

    /// The end of what readers of committed transactions may see.
    fn last_stable_offset(&self) -> Offset {
        let open = self.shape.producers().first_open_transaction();
        open.map_or(self.high_watermark, |first| first.min(self.high_watermark))
    }
}
