//! Loading: a new leader reads its partition of `__consumer_offsets` from the beginning, piece by piece, beside everything
//! else that it does.
//!
//! - A record that cannot be read is passed over with a warning, so that every other group is served; bytes of the log that do
//!   not hold together end the attempt, and the partition's groups have no coordinator here.
//! - Offsets of a transaction count from its commit on. They are only read: this node writes none.

use std::collections::VecDeque;

use bytes::Bytes;
use ordered::{Map, Set};
use protocol::records::control::EndTransaction;
use protocol::records::{self, Compressors, RecordsError};
use protocol::{ErrorCode, Offset, ProducerId, Region, Str};
use storage::{Done, StoreError, StoreOp};

use super::change::Change;
use super::shard::{Phase, Shard};
use crate::partition::{Bound, Data, Isolation, Partition, ReadRange};

/// Bytes that are read and applied in one turn.
const MOST_A_TURN: i32 = 1 << 20;
/// How often in a row the log may have changed under the reader.
const MOST_MISSES: u32 = 100;

/// How far a log is read.
#[derive(Clone, Debug)]
pub(super) struct Load {
    next: Offset,
    /// The store was asked and has not answered.
    is_asked: bool,
    /// Up to where the store looks; what is written meanwhile is not in its answer.
    limit: Offset,
    regions: VecDeque<Region>,
    misses: u32,
    /// Of transactions that have not ended.
    open: Map<ProducerId, Vec<Change>>,
    /// Topics that went meanwhile, of which the log may have offsets.
    forgotten: Set<Str>,
}

/// What is to be done next.
pub(super) enum Step {
    Ask(StoreOp),
    /// The store has been asked, or has not written all yet.
    Wait,
    Loaded,
}

impl Load {
    pub(super) fn from(next: Offset) -> Load {
        Load {
            next,
            is_asked: false,
            limit: next,
            regions: VecDeque::new(),
            misses: 0,
            open: Map::new(),
            forgotten: Set::new(),
        }
    }

    /// From the beginning, in another leader epoch.
    pub(super) fn again(&self, next: Offset) -> Load {
        Load { forgotten: self.forgotten.clone(), ..Load::from(next) }
    }

    /// Topics are gone.
    pub(super) fn forget(&mut self, topics: &Set<Str>) {
        for topic in topics.iter() {
            self.forgotten.insert(topic.clone());
        }
    }

    pub(super) fn take_forgotten(&mut self) -> Set<Str> {
        std::mem::take(&mut self.forgotten)
    }

    /// The store has looked for the next piece.
    fn found(&mut self, regions: Vec<Region>) {
        if regions.is_empty() {
            // Compaction has left nothing up to there.
            self.next = self.next.max(self.limit);
        }
        self.regions = regions.into();
    }

    /// Looks for the next piece.
    pub(super) fn step(&mut self, log: &Partition, buffer_size: i32) -> Result<Step, ErrorCode> {
        if self.is_asked {
            return Ok(Step::Wait);
        }
        if self.regions.is_empty() {
            self.next = self.next.max(log.log_start());
            if self.next >= log.log_end() {
                return Ok(Step::Loaded);
            }
            let range = ReadRange {
                offset: self.next.0,
                isolation: Isolation::LogEnd,
                max_bytes: u64::from(buffer_size.clamp(1, MOST_A_TURN).unsigned_abs()),
                at_least_one: true,
                current_leader_epoch: -1,
                last_fetched_epoch: -1,
            };
            match log.read(&range, true)?.data {
                Data::Tail { regions, .. } => {
                    self.regions = regions.into();
                    if self.regions.is_empty() {
                        // Nothing is left up to what is written; and what is not written yet comes later.
                        self.next = self.next.max(log.bound(Bound::LogEnd)?);
                        return Ok(if self.next >= log.log_end() { Step::Loaded } else { Step::Wait });
                    }
                }
                Data::Old { op } => {
                    self.is_asked = true;
                    self.limit = log.bound(Bound::LogEnd)?;
                    return Ok(Step::Ask(op));
                }
                Data::Diverging { .. } => return Err(ErrorCode::NotLeaderOrFollower),
            }
        }
        let Some(region) = self.regions.pop_front() else { return Ok(Step::Wait) };
        self.is_asked = true;
        Ok(Step::Ask(StoreOp::Load(region)))
    }
}

impl Shard {
    /// The store has answered. Answers with what people should know.
    pub(super) fn loaded(
        &mut self,
        log: &Partition,
        result: Result<Done, StoreError>,
        compressors: &dyn Compressors,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        let Phase::Loading(load) = &mut self.phase else { return warnings };
        load.is_asked = false;
        match result {
            Ok(Done::Found(regions)) => load.found(regions),
            Ok(Done::Loaded(bytes)) => {
                load.misses = 0;
                self.high_watermark = log.high_watermark();
                if let Err(error) = self.replay(&bytes, compressors, &mut warnings) {
                    self.phase = Phase::Failed;
                    warnings.push(error.to_string());
                }
            }
            // Its file was compacted meanwhile: there are others.
            Err(StoreError::Missing) if load.misses < MOST_MISSES => {
                load.misses += 1;
                load.regions.clear();
            }
            Ok(_) => self.phase = Phase::Failed,
            Err(error) => {
                self.phase = Phase::Failed;
                warnings.push(error.to_string());
            }
        }
        warnings
    }

    fn replay(
        &mut self,
        bytes: &Bytes,
        compressors: &dyn Compressors,
        warnings: &mut Vec<String>,
    ) -> Result<(), RecordsError> {
        let mut batches = records::read(bytes, compressors);
        for batch in batches.by_ref() {
            let (head, records) = batch?;
            for record in records {
                let Phase::Loading(load) = &mut self.phase else { return Ok(()) };
                if record.offset < load.next {
                    continue;
                }
                load.next = record.offset.plus(1);
                let end = load.next;
                if head.attributes.is_control() {
                    let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
                    let ended = load.open.remove(&head.producer_id).unwrap_or_default();
                    if matches!(
                        EndTransaction::of_record(&key, &value),
                        Ok(Some(EndTransaction { committed: true, .. }))
                    ) {
                        for change in ended {
                            self.apply(end, change);
                        }
                    }
                    continue;
                }
                match Change::decode(record.key, record.value) {
                    Ok(Some(change)) if head.attributes.is_transactional() => {
                        load.open.entry(head.producer_id).or_default().push(change);
                    }
                    Ok(Some(change)) => self.apply(end, change),
                    Ok(None) => {}
                    Err(error) => {
                        warnings.push(format!("the record at offset {} is passed over: {error}", record.offset))
                    }
                }
            }
            let Phase::Loading(load) = &mut self.phase else { return Ok(()) };
            load.next = load.next.max(head.next_offset());
        }
        // A piece may end within a batch: that one comes again, before what follows.
        if batches.position() < bytes.len()
            && let Phase::Loading(load) = &mut self.phase
        {
            load.regions.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_compaction_has_emptied_ends_where_was_looked() {
        let mut load = Load::from(Offset(3));
        load.limit = Offset(8);
        load.found(Vec::new());
        assert_eq!(load.next, Offset(8), "what was written later is still to be read");
    }
}
