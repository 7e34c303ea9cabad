//! What a clean keeps of a batch. The rules are those of Kafka's `Cleaner`.

use bytes::Bytes;
use protocol::records::{
    BatchBuilder, BatchHead, Compressors, ControlType, Fault, RecordFault, RecordView, RecordViews, RecordsError, plain,
};
use protocol::{Offset, WallMs};

use super::keys::KeyMap;
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
        let mut left = 0u32;
        let mut tombstones = false;
        let mut views = RecordViews::new(&head, &records);
        while let Some(record) = views.next() {
            let record = record.map_err(|fault| bad_record(&head, views.index(), fault))?;
            let stays = !discard && (is_control || is_needed(&record, map, horizon, plan.now));
            self.keep.push(stays);
            left += u32::from(stays);
            tombstones |= stays && record.value.is_none();
        }
        if left == 0 && !keeps_empty {
            return Ok((Kept::Nothing, aborts));
        }
        stats.records_kept += i64::from(left);
        let sets_horizon = horizon.is_none() && left > 0 && (tombstones || (can_go && is_control));
        if !sets_horizon && self.keep.iter().all(|stays| *stays) {
            return Ok((Kept::Whole, aborts));
        }
        let horizon = sets_horizon.then(|| WallMs(plan.now.0.saturating_add(plan.delete_retention_ms)));
        let mut builder = BatchBuilder::compacted(&head, horizon);
        let kept = RecordViews::new(&head, &records).zip(&self.keep).filter(|(_, stays)| **stays);
        for record in kept.filter_map(|(record, _)| record.ok()) {
            builder.keep_view(&record);
        }
        let bytes = builder.build(compressors).map_err(|error| fault_of(&head, Fault::Compression(error)))?;
        Ok((Kept::Anew(bytes), aborts))
    }
}

fn is_needed(record: &RecordView<'_>, map: &KeyMap, horizon: Option<WallMs>, now: WallMs) -> bool {
    if record.offset > map.latest() {
        return true;
    }
    // A record without a key is older than the topic's compaction: nothing would ever replace it.
    let Some(key) = record.key else { return false };
    let is_newest = map.get(key).is_none_or(|newest| record.offset >= newest);
    is_newest && (record.value.is_some() || horizon.is_none_or(|horizon| now < horizon))
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

/// Notes the keys of a batch from `from` up. False if the map is full.
pub(crate) fn note_keys(
    bytes: &Bytes,
    from: Offset,
    map: &mut KeyMap,
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
            if let Some(key) = record.key
                && record.offset >= from
                && !map.put(key, record.offset)
            {
                return Ok(false);
            }
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
