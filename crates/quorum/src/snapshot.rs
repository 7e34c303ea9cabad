//! Reads snapshots of the metadata (KIP-630), and `bootstrap.checkpoint`, which has the same form.

use bytes::Bytes;
use protocol::messages::{MetadataRecord, SnapshotHeaderRecord};
use protocol::records::{ControlType, PureCompressors, read};
use protocol::{Offset, WallMs, decode};

use crate::history::History;

/// The time of the last record that a snapshot stands for, by its header.
pub(crate) fn last_timestamp(bytes: &Bytes) -> Option<WallMs> {
    let (_, records) = read(bytes, &PureCompressors).next()?.ok()?;
    let header: SnapshotHeaderRecord = decode(records.into_iter().next()?.value?, 0).ok()?;
    Some(WallMs(header.last_contained_log_timestamp))
}

/// All metadata records of a snapshot. What its control records say enters the history as said at `last`, the last offset
/// that it stands for.
pub(crate) fn records(bytes: &Bytes, last: Offset, history: &mut History) -> Result<Vec<MetadataRecord>, String> {
    let mut records = Vec::new();
    let mut is_whole = false;
    let mut batches = read(bytes, &PureCompressors);
    for batch in &mut batches {
        let (head, batch) = batch.map_err(|error| error.to_string())?;
        for record in batch {
            if head.attributes.is_control() {
                let key = record.key.as_deref().unwrap_or_default();
                let kind = ControlType::of_key(key).map_err(|error| error.to_string())?;
                is_whole |= kind == Some(ControlType::SnapshotFooter);
                history.control(last, &record)?;
                continue;
            }
            let value = record.value.ok_or_else(|| format!("no value at offset {}", record.offset))?;
            let record = MetadataRecord::decode(value).map_err(|error| {
                history.is_too_new().unwrap_or_else(|| format!("record {}: {error}", record.offset))
            })?;
            history.metadata(last, &record);
            records.push(record);
        }
    }
    if batches.position() < bytes.len() || !is_whole {
        return Err("its end is missing".to_owned());
    }
    Ok(records)
}
