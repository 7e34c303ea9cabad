//! What a clean keeps of a batch. The rules are those of Kafka's `Cleaner`.

use bytes::Bytes;
use protocol::records::{
    BatchBuilder, BatchHead, Compressors, ControlType, Fault, RecordFault, RecordViews, RecordsError, plain,
};
use protocol::{Offset, WallMs};

use super::keys::{Hash, KeyMap};
use super::transactions::{Aborted, Marker, Transactions};
use super::{CleanPlan, CleanStats};

/// The most that a batch's records may unpack to: what was let in unpacked to less.
const MAX_PLAIN: usize = 1 << 30;

/// What stays of a batch.
#[derive(Debug, PartialEq)]
pub(crate) enum Kept {
    Nothing,
    /// All of it, as it is.
    Whole,
    /// These bytes instead.
    Anew(Bytes),
}

/// A batch's records and which of them stay. The buffers serve the next batch, too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    keep: Vec<bool>,
    /// Keys that must be looked up: whose record each is of, by index, and where that is.
    keys: Vec<(usize, Hash, Offset)>,
}

impl Filter {
    /// Decides about a batch that is read in the log's order. The second answer is an aborted transaction whose marker
    /// stays.
    pub(crate) fn apply(
        &mut self,
        bytes: &Bytes,
        plan: &CleanPlan,
        map: &KeyMap,
        transactions: &mut Transactions,
        compressors: &dyn Compressors,
        stats: &mut CleanStats,
    ) -> Result<(Kept, Option<Aborted>), RecordsError> {
        let (head, records) = plain(bytes, compressors, MAX_PLAIN)?;
        let horizon = head.attributes.has_delete_horizon().then_some(WallMs(head.base_timestamp));
        let is_control = head.attributes.is_control();
        let (can_go, aborts) = if is_control {
            match transactions.marker(&head, control_type(&head, &records), head.record_count == 0) {
                Marker::OfNothing => (true, None),
                Marker::Needed => (false, None),
                Marker::Aborts(aborted) => (false, Some(aborted)),
            }
        } else {
            (transactions.batch(&head), None)
        };
        // A marker waits as long as a tombstone does: a reader in the middle of its transaction must still meet it.
        let discard = can_go && (!is_control || horizon.is_some_and(|horizon| horizon <= plan.now));
        stats.records_read += i64::from(head.record_count);
        let keeps_empty = plan.must_keep(&head);
        if discard && !keeps_empty {
            return Ok((Kept::Nothing, aborts));
        }
        self.keep.clear();
        self.keys.clear();
        let may_have_tombstones = horizon.is_none_or(|horizon| plan.now < horizon);
        let mut views = RecordViews::new(&head, &records);
        while let Some(record) = views.next() {
            let record = record.map_err(|fault| bad_record(&head, views.index(), fault))?;
            let mut stays = !discard;
            if !is_control && record.offset <= map.latest() {
                // A record without a key is older than the topic's compaction: nothing would ever replace it.
                stays &= record.key.is_some() && (record.value.is_some() || may_have_tombstones);
                if let Some(key) = record.key.filter(|_| stays) {
                    self.keys.push((self.keep.len(), map.hash(key), record.offset));
                }
            }
            self.keep.push(stays);
        }
        for (index, hash, offset) in &self.keys {
            self.keep[*index] = map.get(*hash).is_none_or(|newest| *offset >= newest);
        }
        let left = self.keep.iter().map(|stays| u32::from(*stays)).sum::<u32>();
        let kept = || RecordViews::new(&head, &records).zip(&self.keep).filter(|(_, stays)| **stays);
        if left == 0 && !keeps_empty {
            return Ok((Kept::Nothing, aborts));
        }
        stats.records_kept += i64::from(left);
        // Only who has no horizon yet is looked at again.
        let tombstones = || kept().any(|(record, _)| record.is_ok_and(|record| record.value.is_none()));
        let sets_horizon = horizon.is_none() && left > 0 && ((can_go && is_control) || tombstones());
        if !sets_horizon && self.keep.iter().all(|stays| *stays) {
            return Ok((Kept::Whole, aborts));
        }
        let horizon = sets_horizon.then(|| WallMs(plan.now.0.saturating_add(plan.delete_retention_ms)));
        let mut builder = BatchBuilder::compacted(&head, horizon);
        for record in kept().filter_map(|(record, _)| record.ok()) {
            builder.keep_view(&record);
        }
        let bytes = builder.build(compressors).map_err(|error| fault_of(&head, Fault::Compression(error)))?;
        Ok((Kept::Anew(bytes), aborts))
    }
}

/// What the first record of a control batch says it is.
pub(crate) fn control_type(head: &BatchHead, records: &[u8]) -> Option<ControlType> {
    let record = RecordViews::new(head, records).next()?.ok()?;
    ControlType::of_key(record.key?).ok().flatten()
}

impl CleanPlan {
    /// True for a batch that stays even without records: it tells the last sequence of a producer that is known, or where
    /// the log ends.
    fn must_keep(&self, head: &BatchHead) -> bool {
        let is_last_of_producer = head.has_producer_id()
            && self.producers.get(&head.producer_id).is_some_and(|last| match last.data {
                Some(offset) => head.last_offset() == offset,
                // Its last word was a marker, which holds its epoch.
                None => head.attributes.is_control() && head.producer_epoch == last.epoch,
            });
        is_last_of_producer || head.next_offset() == self.high_watermark
    }
}

/// Notes the keys of a batch from `from` up. False if the map is full. `keys` is a buffer that serves the next batch, too.
pub(crate) fn note_keys(
    bytes: &Bytes,
    from: Offset,
    map: &mut KeyMap,
    keys: &mut Vec<(Hash, Offset)>,
    transactions: &mut Transactions,
    compressors: &dyn Compressors,
) -> Result<bool, RecordsError> {
    let (head, records) = plain(bytes, compressors, MAX_PLAIN)?;
    if head.attributes.is_control() {
        transactions.marker(&head, control_type(&head, &records), head.record_count == 0);
    } else if !transactions.batch(&head) {
        let mut views = RecordViews::new(&head, &records);
        while let Some(record) = views.next() {
            let record = record.map_err(|fault| bad_record(&head, views.index(), fault))?;
            if let Some(key) = record.key.filter(|_| record.offset >= from) {
                keys.push((map.hash(key), record.offset));
            }
        }
        if !keys.drain(..).all(|(hash, offset)| map.put(hash, offset)) {
            return Ok(false);
        }
    }
    if head.last_offset() >= from {
        map.looked_at(head.last_offset());
    }
    Ok(true)
}

fn bad_record(head: &BatchHead, index: i32, fault: RecordFault) -> RecordsError {
    fault_of(head, Fault::Record { index, fault })
}

fn fault_of(head: &BatchHead, fault: Fault) -> RecordsError {
    RecordsError { at: 0, base_offset: Some(head.base_offset), fault }
}
