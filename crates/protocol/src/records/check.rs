//! What a broker checks before a batch may enter a log.

use bytes::Bytes;

use super::batches::{BatchFacts, Batches};
use super::compression::{Compression, Compressors};
use super::crc::crc32c;
use super::error::{Fault, RecordFault, RecordsError};
use super::head::{ATTRIBUTES_AT, BatchHead, HEAD_SIZE, TimestampType};
use super::record::RecordViews;
use crate::Offset;

/// Who sent the batches decides what must hold. Structure and CRC always must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRules {
    /// A client's Produce: exactly one batch, base offset 0, records counted, walked and in order, no control records, no
    /// LogAppendTime, a sequence if there is a producer id.
    pub from_client: bool,
    /// Whether ZSTD is known; it is from Produce version 7 on (KIP-110).
    pub zstd: bool,
    /// Whether a partial batch at the end is cut off (Fetch answers may end in one) or refused.
    pub partial_tail: bool,
    /// Where the first batch of a replica or a log must at least begin; later ones must follow each other.
    pub from_offset: Option<Offset>,
    /// The most bytes a batch may have. Who knows the topic's `max.message.bytes` may say so here, or look at the head.
    pub max_batch_size: usize,
    /// The most bytes the records of a batch may have after decompression.
    pub max_decompressed: usize,
}

impl CheckRules {
    /// Bytes that the records of a client's batch may decompress to, unless the host says otherwise.
    pub const MAX_DECOMPRESSED: usize = 128 << 20;

    /// For a Produce request of this version.
    pub fn produce(version: i16) -> CheckRules {
        CheckRules {
            from_client: true,
            zstd: version >= 7,
            partial_tail: false,
            from_offset: None,
            max_batch_size: usize::MAX,
            max_decompressed: Self::MAX_DECOMPRESSED,
        }
    }

    /// For what a leader sent to a follower, which begins at `from_offset` or (after compaction) later. The leader has
    /// checked the records.
    pub fn replica(from_offset: Offset) -> CheckRules {
        CheckRules {
            from_client: false,
            zstd: true,
            partial_tail: true,
            from_offset: Some(from_offset),
            max_batch_size: usize::MAX,
            max_decompressed: Self::MAX_DECOMPRESSED,
        }
    }

    /// For batches of our own log or making: structure, CRC and the order of offsets.
    pub fn log() -> CheckRules {
        CheckRules { partial_tail: false, from_offset: Some(Offset(0)), ..CheckRules::replica(Offset(0)) }
    }
}

/// Checks `bytes` by `rules`. The first fault refuses all of them.
pub fn check(bytes: Bytes, rules: &CheckRules, compressors: &dyn Compressors) -> Result<Batches, RecordsError> {
    let mut batches = Batches::of(bytes.clone(), 1);
    let mut at = 0;
    let mut next_offset = rules.from_offset;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let head = match verify(rest) {
            Err(RecordsError { fault: Fault::Truncated { .. }, .. }) if rules.partial_tail => break,
            Err(error) => return Err(error.at(at)),
            Ok(head) => head,
        };
        let refuse = |fault| RecordsError::new(fault).of_batch(head.base_offset).at(at);
        if head.size() > rules.max_batch_size {
            return Err(refuse(Fault::TooLarge { size: head.size(), limit: rules.max_batch_size }));
        }
        if let Some(expected) = next_offset.filter(|expected| head.base_offset < *expected) {
            return Err(refuse(Fault::OffsetOrder { expected }));
        }
        if rules.from_client {
            if at > 0 {
                return Err(refuse(Fault::ManyBatches));
            }
            check_produced(&head, rules).map_err(refuse)?;
            let facts = walk(&head, &rest[HEAD_SIZE..head.size()], rules, compressors).map_err(refuse)?;
            batches.push(head, Some(facts));
            batches.correct_max_timestamp(facts.max_timestamp);
        } else {
            check_stored(&head).map_err(refuse)?;
            batches.push(head, None);
        }
        next_offset = next_offset.map(|_| head.next_offset());
        at += head.size();
    }
    if rules.from_client && batches.is_empty() {
        return Err(RecordsError::new(Fault::NoBatch));
    }
    batches.trim();
    Ok(batches)
}

/// Checks that a whole batch is at the start of `bytes` and that its CRC holds. All that a scan of a log needs.
pub fn verify(bytes: &[u8]) -> Result<BatchHead, RecordsError> {
    let head = BatchHead::decode(bytes)?;
    let error = |fault| RecordsError::new(fault).of_batch(head.base_offset);
    let covered = bytes
        .get(ATTRIBUTES_AT..head.size())
        .ok_or_else(|| error(Fault::Truncated { needed: head.size(), have: bytes.len() }))?;
    let computed = crc32c(covered);
    if computed != head.crc {
        return Err(error(Fault::Crc { stored: head.crc, computed }));
    }
    Ok(head)
}

/// What the head of a produced batch must say.
fn check_produced(head: &BatchHead, rules: &CheckRules) -> Result<(), Fault> {
    if head.base_offset != Offset(0) {
        return Err(Fault::BaseOffset);
    }
    if head.record_count < 1 || i64::from(head.record_count) != i64::from(head.last_offset_delta) + 1 {
        return Err(count_fault(head));
    }
    if head.attributes.is_control() {
        return Err(Fault::Control);
    }
    if head.has_producer_id() && head.base_sequence < 0 {
        return Err(Fault::Sequence(head.base_sequence));
    }
    if head.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Fault::TimestampType);
    }
    if head.attributes.compression() == Compression::Zstd && !rules.zstd {
        return Err(Fault::CompressionTooNew);
    }
    Ok(())
}

/// What the head of a batch in a log says. Compaction removes records and keeps the last delta.
fn check_stored(head: &BatchHead) -> Result<(), Fault> {
    let room = i64::from(head.last_offset_delta) + 1;
    let fits = head.base_offset >= Offset(0) && (0..=room).contains(&i64::from(head.record_count)) && room >= 1;
    if fits { Ok(()) } else { Err(count_fault(head)) }
}

fn count_fault(head: &BatchHead) -> Fault {
    Fault::Count { record_count: head.record_count, last_offset_delta: head.last_offset_delta }
}

fn walk(
    head: &BatchHead,
    records: &[u8],
    rules: &CheckRules,
    compressors: &dyn Compressors,
) -> Result<BatchFacts, Fault> {
    match head.attributes.compression() {
        Compression::None => walk_plain(head, records),
        compression => {
            let plain =
                compressors.decompress(compression, records, rules.max_decompressed).map_err(Fault::Compression)?;
            walk_plain(head, &plain)
        }
    }
}

/// Walks every record once, without an allocation.
fn walk_plain(head: &BatchHead, records: &[u8]) -> Result<BatchFacts, Fault> {
    let mut facts = BatchFacts {
        first_null_key: None,
        min_timestamp: None,
        max_timestamp: -1,
        max_timestamp_index: 0,
        plain_size: records.len(),
    };
    let mut views = RecordViews::new(head, records);
    for (index, view) in (0..).zip(views.by_ref()) {
        let view = view.map_err(|fault| Fault::Record { index, fault })?;
        if view.offset_delta != index {
            return Err(Fault::Record { index, fault: RecordFault::OffsetDelta(view.offset_delta) });
        }
        if view.key.is_none() && facts.first_null_key.is_none() {
            facts.first_null_key = Some(index);
        }
        let timestamp = view.timestamp.0;
        if timestamp > facts.max_timestamp {
            facts.max_timestamp = timestamp;
            facts.max_timestamp_index = index;
        }
        if timestamp != -1 && facts.min_timestamp.is_none_or(|least| timestamp < least) {
            facts.min_timestamp = Some(timestamp);
        }
    }
    match views.rest().len() {
        0 => Ok(facts),
        count => Err(Fault::TrailingBytes(count)),
    }
}
