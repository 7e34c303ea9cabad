//! Indexes, producer snapshots and indexes of aborted transactions.

use std::fs;
use std::io::Write;
use std::path::Path;

use protocol::records::{HEAD_SIZE, PureCompressors, RecordViews, decompressed};
use storage::Producers;

use super::{DECOMPRESSED_LIMIT, DumpError, DumpLogArguments, Faults, Found, Walk, base_of, note};

/// Bytes of an entry: a relative offset and a position.
const OFFSET_ENTRY: usize = 8;
/// Bytes of an entry: a timestamp and a relative offset.
const TIME_ENTRY: usize = 12;
/// Bytes of an entry: version, producer, first and last offset, last stable offset.
const ABORTED_ENTRY: usize = 34;

fn read(path: &str) -> Result<Vec<u8>, DumpError> {
    fs::read(path).map_err(|error| DumpError::File(format!("{path}: {error}")))
}

/// The file of the same segment with another ending.
fn sibling(path: &str, suffix: &str) -> String {
    Path::new(path).with_extension(suffix).display().to_string()
}

/// Offsets and positions, up to the zeros that a crash leaves.
fn offset_entries(path: &str) -> Result<Vec<(i64, u32)>, DumpError> {
    let base = base_of(path)?;
    let bytes = read(path)?;
    let mut entries: Vec<(i64, u32)> = Vec::new();
    for [a, b, c, d, e, f, g, h] in bytes.as_chunks::<OFFSET_ENTRY>().0 {
        let relative = u32::from_be_bytes([*a, *b, *c, *d]);
        if relative == 0 && !entries.is_empty() {
            break;
        }
        entries.push((base + i64::from(relative), u32::from_be_bytes([*e, *f, *g, *h])));
    }
    Ok(entries)
}

pub(super) fn dump_offsets(
    arguments: &DumpLogArguments,
    path: &str,
    out: &mut impl Write,
    faults: &mut Faults,
) -> Result<(), DumpError> {
    let base = base_of(path)?;
    let entries = offset_entries(path)?;
    if entries.is_empty() {
        writeln!(out, "{path} is empty.")?;
        return Ok(());
    }
    if arguments.index_sanity_check {
        let len = read(path)?.len();
        if len % OFFSET_ENTRY != 0 {
            return Err(DumpError::File(format!(
                "Index file {path} is corrupt, found {len} bytes which is neither positive nor a multiple of {OFFSET_ENTRY}."
            )));
        }
        if let Some((last, _)) = entries.last().filter(|(last, _)| *last < base) {
            return Err(DumpError::File(format!(
                "Corrupt index found, index file ({path}) has non-zero size but the last offset is {last} which is less than \
                 the base offset {base}."
            )));
        }
        writeln!(out, "{path} passed sanity check.")?;
        return Ok(());
    }
    let mut walk = Walk::new(&sibling(path, "log"), u64::MAX)?;
    let mut batch = walk.next()?;
    for (offset, position) in entries {
        // Entries rise with the log, so one walk meets them all.
        while batch.as_ref().is_some_and(|it| it.at < u64::from(position)) {
            batch = walk.next()?;
        }
        let found = batch.as_ref().filter(|it| it.at == u64::from(position));
        let found =
            found.ok_or_else(|| DumpError::File(format!("{path}: no batch of the log begins at {position}")))?;
        let last = found.head.last_offset().0;
        if last != offset {
            note(&mut faults.index, path, offset, last);
        }
        if !arguments.verify_index_only {
            writeln!(out, "offset: {offset} position: {position}")?;
        }
    }
    Ok(())
}

pub(super) fn dump_times(
    arguments: &DumpLogArguments,
    path: &str,
    out: &mut impl Write,
    faults: &mut Faults,
) -> Result<(), DumpError> {
    let base = base_of(path)?;
    let bytes = read(path)?;
    let mut entries: Vec<(i64, i64)> = Vec::new();
    for entry in bytes.as_chunks::<TIME_ENTRY>().0 {
        let [t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3] = *entry;
        let offset = base + i64::from(u32::from_be_bytes([o0, o1, o2, o3]));
        if offset == base && !entries.is_empty() {
            break;
        }
        entries.push((i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]), offset));
    }
    if arguments.index_sanity_check {
        let (len, first, last) = (bytes.len(), entries.first(), entries.last());
        let is_whole = len % TIME_ENTRY == 0;
        if !is_whole || first.zip(last).is_some_and(|(first, last)| last.0 < first.0 || last.1 < base) {
            return Err(DumpError::File(format!(
                "Corrupt time index found, time index file ({path}) does not hold together"
            )));
        }
        writeln!(out, "{path} passed sanity check.")?;
        return Ok(());
    }
    let mut walk = Walk::new(&sibling(path, "log"), u64::MAX)?;
    let mut batch = walk.next()?;
    let mut before = -1;
    for (timestamp, offset) in entries {
        while batch.as_ref().is_some_and(|it| it.head.last_offset().0 < offset) {
            batch = walk.next()?;
        }
        match &batch {
            None => note(&mut faults.missing, path, offset, -1),
            Some(it) if it.head.last_offset().0 != offset => {
                note(&mut faults.missing, path, offset, it.head.last_offset().0);
            }
            Some(it) => {
                let greatest = greatest_timestamp(path, it)?;
                if greatest != timestamp {
                    note(&mut faults.timestamps, path, timestamp, greatest);
                }
                if before >= timestamp {
                    note(&mut faults.order, path, timestamp, before);
                }
            }
        }
        if !arguments.verify_index_only {
            writeln!(out, "timestamp: {timestamp} offset: {offset}")?;
        }
        before = timestamp;
    }
    Ok(())
}

fn greatest_timestamp(path: &str, found: &Found) -> Result<i64, DumpError> {
    let fault = |what: String| DumpError::File(format!("{path}: the batch at byte {} of its log: {what}", found.at));
    let records = found.bytes.slice(HEAD_SIZE..);
    let plain = decompressed(&found.head, records, DECOMPRESSED_LIMIT, &PureCompressors);
    let plain = plain.map_err(|it| fault(it.to_string()))?;
    let mut greatest = -1;
    for record in RecordViews::new(&found.head, &plain) {
        greatest = greatest.max(record.map_err(|it| fault(it.to_string()))?.timestamp.0);
    }
    Ok(greatest)
}

pub(super) fn dump_producers(path: &str, out: &mut impl Write) -> Result<(), DumpError> {
    let Some(producers) = Producers::parse(read(path)?.into()) else {
        return Err(DumpError::File(format!("Snapshot {path} is corrupt: its version or CRC does not hold")));
    };
    for (id, it) in producers.iter() {
        write!(
            out,
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} lastTimestamp: {}",
            id.0,
            it.epoch.0,
            it.coordinator_epoch,
            it.open_transaction.map_or("OptionalLong.empty".to_owned(), |offset| format!("OptionalLong[{offset}]")),
            it.last_timestamp,
        )?;
        if let Some(batch) = it.batches.front() {
            write!(
                out,
                " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                batch.first_sequence,
                batch.last_sequence,
                batch.last_offset,
                batch.last_offset.0 - batch.base_offset.0,
                batch.timestamp,
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

pub(super) fn dump_aborted(path: &str, out: &mut impl Write) -> Result<(), DumpError> {
    let bytes = read(path)?;
    let (entries, rest) = bytes.as_chunks::<ABORTED_ENTRY>();
    for entry in entries {
        let number = |at: usize| entry[at..].first_chunk().map_or(-1, |it| i64::from_be_bytes(*it));
        if entry[..2] != [0, 0] {
            return Err(DumpError::File(format!("{path}: an entry of a version that is not known")));
        }
        writeln!(
            out,
            "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            number(2),
            number(10),
            number(18),
            number(26),
        )?;
    }
    if rest.is_empty() {
        return Ok(());
    }
    Err(DumpError::File(format!("{path}: {} bytes at its end are no entry", rest.len())))
}
