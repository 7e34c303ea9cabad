//! `vivarium dump-log`: kafka-dump-log.sh's flags, and its output to the byte.

mod contents;
mod index;
mod json;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use bytes::Bytes;
use ordered::Map;
use protocol::records::{BatchHead, Compression, HEAD_SIZE, LOG_OVERHEAD, PureCompressors, RecordViews, TimestampType};
use protocol::records::{crc32c, decompressed};
use storage::SnapshotId;

use contents::Decoder;

/// Bytes that one batch's records may decompress to.
const DECOMPRESSED_LIMIT: usize = 1 << 30;
/// The least size of a batch that Kafka believes: a record of the oldest format.
const LEAST_SIZE: i32 = 14;
/// Where a batch's CRC begins to cover.
const CRC_FROM: usize = 21;

/// Parse log files and dump their contents, for debugging a seemingly corrupt log segment.
#[derive(clap::Args)]
pub(crate) struct DumpLogArguments {
    /// The comma separated list of data and index log files to be dumped
    #[arg(long, value_delimiter = ',', required = true, value_name = "FILE,…")]
    files: Vec<String>,
    /// Print the messages' content; set if any decoder is
    #[arg(long)]
    print_data_log: bool,
    /// Look at every record, not only at batches; set if the content is printed
    #[arg(long)]
    deep_iteration: bool,
    /// Limit the total of batches read, in bytes
    #[arg(long, value_name = "SIZE", default_value_t = i32::MAX)]
    max_bytes: i32,
    /// Size of the largest message (accepted; batches are read whole)
    #[arg(long, value_name = "SIZE", default_value_t = 5 << 20)]
    max_message_size: i32,
    /// Only check the indexes, as the broker does when it starts
    #[arg(long)]
    index_sanity_check: bool,
    /// Only verify the indexes against the log
    #[arg(long)]
    verify_index_only: bool,
    /// Records are of __consumer_offsets
    #[arg(long)]
    offsets_decoder: bool,
    /// Records are of __transaction_state
    #[arg(long)]
    transaction_log_decoder: bool,
    /// Records are of the cluster's metadata
    #[arg(long)]
    cluster_metadata_decoder: bool,
    /// Records are of __share_group_state
    #[arg(long)]
    share_group_state_decoder: bool,
    /// Not supported: remote storage has no topic here
    #[arg(long, hide = true)]
    remote_log_metadata_decoder: bool,
    /// Show values by this decoder: StringDecoder is all there is, classes cannot be loaded
    #[arg(long, value_name = "CLASS", num_args = 0..=1, default_missing_value = STRING_DECODER)]
    value_decoder_class: Option<String>,
    /// Show keys by this decoder: StringDecoder is all there is, classes cannot be loaded
    #[arg(long, value_name = "CLASS", num_args = 0..=1, default_missing_value = STRING_DECODER)]
    key_decoder_class: Option<String>,
    /// Leave out what is not content, control records too
    #[arg(long)]
    skip_record_metadata: bool,
}

const STRING_DECODER: &str = "org.apache.kafka.tools.api.StringDecoder";

/// Why a dump ends early.
pub(crate) enum DumpError {
    /// Nobody reads what is printed any more.
    Output(io::Error),
    /// A file is not what its name says.
    File(String),
}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> DumpError {
        DumpError::Output(error)
    }
}

pub(crate) fn run(arguments: &DumpLogArguments) -> Result<(), String> {
    let printed = arguments.check()?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut faults = Faults::default();
    let dumped = arguments.files.iter().try_for_each(|path| dump(arguments, printed, path, &mut out, &mut faults));
    let flushed = out.flush();
    faults.tell();
    match dumped {
        Ok(()) => flushed.map_err(|error| error.to_string()).or_else(quiet),
        Err(DumpError::Output(error)) => quiet(error.to_string()),
        Err(DumpError::File(what)) => Err(what),
    }
}

/// `head` has seen enough; that is no failure.
fn quiet(what: String) -> Result<(), String> {
    if what.contains("Broken pipe") { Ok(()) } else { Err(what) }
}

impl DumpLogArguments {
    /// The decoder if contents are printed.
    fn check(&self) -> Result<Option<Decoder>, String> {
        if self.remote_log_metadata_decoder {
            return Err("--remote-log-metadata-decoder is not supported: there is no remote storage here".into());
        }
        let classes = [&self.value_decoder_class, &self.key_decoder_class];
        if let Some(other) = classes.into_iter().flatten().find(|it| *it != STRING_DECODER) {
            return Err(format!("{other}: Java classes cannot be loaded here; {STRING_DECODER} is the only decoder"));
        }
        let special = [
            (self.offsets_decoder, Decoder::Offsets),
            (self.transaction_log_decoder, Decoder::Transactions),
            (self.cluster_metadata_decoder, Decoder::ClusterMetadata),
            (self.share_group_state_decoder, Decoder::ShareGroupState),
        ];
        let decoder = special.into_iter().find(|it| it.0).map(|it| it.1);
        let any = self.print_data_log || classes.into_iter().any(Option::is_some);
        Ok(decoder.or(any.then_some(Decoder::Text)))
    }
}

/// What is said at the end, on stderr.
#[derive(Default)]
pub(crate) struct Faults {
    /// By file: an index entry's offset, and the log's.
    index: Map<String, Vec<(i64, i64)>>,
    /// By file: an entry's timestamp, and the log's.
    timestamps: Map<String, Vec<(i64, i64)>>,
    /// By file: an entry's timestamp, and that of the entry before.
    order: Map<String, Vec<(i64, i64)>>,
    /// By file: an entry's offset, and the one that was found.
    missing: Map<String, Vec<(i64, i64)>>,
    /// By file: an offset, and the one that follows.
    gaps: Map<String, Vec<(i64, i64)>>,
}

impl Faults {
    fn tell(&mut self) {
        let mut said = String::new();
        let mut list = |all: &Map<String, Vec<(i64, i64)>>, title: &str, line: &dyn Fn(i64, i64) -> String| {
            for (file, pairs) in all.iter() {
                said.push_str(&format!("{title}{file}\n"));
                for (a, b) in pairs {
                    said.push_str(&format!("{}\n", line(*a, *b)));
                }
            }
        };
        for pairs in self.index.values_mut() {
            pairs.sort_unstable_by(|a, b| b.cmp(a));
        }
        list(&self.index, "Mismatches in :", &|a, b| format!("  Index offset: {a}, log offset: {b}"));
        list(&self.timestamps, "Found timestamp mismatch in :", &|a, b| {
            format!("  Index timestamp: {a}, log timestamp: {b}")
        });
        list(&self.order, "Found out of order timestamp in :", &|a, b| {
            format!("  Index timestamp: {a}, Previously indexed timestamp: {b}")
        });
        list(&self.missing, "The following indexed offsets are not found in :", &|a, b| {
            format!("Indexed offset: {a}, found log offset: {b}")
        });
        list(&self.gaps, "Non-consecutive offsets in ", &|a, b| format!("  {a} is followed by {b}"));
        // Who does not listen to stderr does not want to know.
        let _ = io::stderr().write_all(said.as_bytes());
    }
}

fn note(faults: &mut Map<String, Vec<(i64, i64)>>, path: &str, a: i64, b: i64) {
    let absolute = std::path::absolute(path).map_or_else(|_| path.to_owned(), |it| it.display().to_string());
    faults.entry(absolute).or_default().push((a, b));
}

fn dump(
    arguments: &DumpLogArguments,
    printed: Option<Decoder>,
    path: &str,
    out: &mut impl Write,
    faults: &mut Faults,
) -> Result<(), DumpError> {
    writeln!(out, "Dumping {path}")?;
    let name = Path::new(path).file_name().and_then(|it| it.to_str()).unwrap_or(path);
    match name.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("log" | "checkpoint") => dump_log(arguments, printed, path, name, out, faults),
        Some("index") => index::dump_offsets(arguments, path, out, faults),
        Some("timeindex") => index::dump_times(arguments, path, out, faults),
        Some("snapshot") => index::dump_producers(path, out),
        Some("txnindex") => index::dump_aborted(path, out),
        _ => {
            out.flush()?;
            crate::say(&format!("Ignoring unknown file {path}"));
            Ok(())
        }
    }
}

/// The offset in the name of a file.
fn base_of(path: &str) -> Result<i64, DumpError> {
    let name = Path::new(path).file_name().and_then(|it| it.to_str()).unwrap_or(path);
    let digits = name.split('.').next().unwrap_or_default();
    digits.parse().map_err(|_| DumpError::File(format!("{path}: its name is no offset")))
}

fn open(path: &str) -> Result<File, DumpError> {
    File::open(path).map_err(|error| DumpError::File(format!("{path}: {error}")))
}

/// Walks a file batch by batch.
struct Walk {
    path: String,
    file: BufReader<File>,
    at: u64,
    end: u64,
}

/// A batch as it stands in a file.
struct Found {
    at: u64,
    head: BatchHead,
    bytes: Bytes,
}

impl Walk {
    fn new(path: &str, max_bytes: u64) -> Result<Walk, DumpError> {
        let file = open(path)?;
        let len = file.metadata().map_err(|error| DumpError::File(format!("{path}: {error}")))?.len();
        Ok(Walk {
            path: path.to_owned(),
            file: BufReader::with_capacity(1 << 20, file),
            at: 0,
            end: len.min(max_bytes),
        })
    }

    /// The next whole batch. What is left behind the last one is for the caller to tell of.
    fn next(&mut self) -> Result<Option<Found>, DumpError> {
        let io = |error: io::Error| DumpError::File(format!("{}: {error}", self.path));
        if self.end - self.at < LOG_OVERHEAD as u64 + 5 {
            return Ok(None);
        }
        let mut head = [0; LOG_OVERHEAD];
        self.file.read_exact(&mut head).map_err(io)?;
        let size = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        if size < LEAST_SIZE {
            let what = format!("Found record size {size} smaller than minimum record overhead ({LEAST_SIZE})");
            return Err(DumpError::File(format!("{what} in file {} at byte {}.", self.path, self.at)));
        }
        let whole = LOG_OVERHEAD as u64 + u64::from(size.unsigned_abs());
        if whole > self.end - self.at {
            return Ok(None);
        }
        let mut bytes = vec![0; whole as usize];
        bytes[..LOG_OVERHEAD].copy_from_slice(&head);
        self.file.read_exact(&mut bytes[LOG_OVERHEAD..]).map_err(io)?;
        let found = BatchHead::decode(&bytes)
            .map_err(|error| DumpError::File(format!("{} at byte {}: {error}", self.path, self.at)))?;
        let at = self.at;
        self.at += whole;
        Ok(Some(Found { at, head: found, bytes: bytes.into() }))
    }
}

fn dump_log(
    arguments: &DumpLogArguments,
    printed: Option<Decoder>,
    path: &str,
    name: &str,
    out: &mut impl Write,
    faults: &mut Faults,
) -> Result<(), DumpError> {
    if name.ends_with(".log") {
        writeln!(out, "Log starting offset: {}", base_of(path)?)?;
    } else if name == storage::snapshot::BOOTSTRAP {
        writeln!(out, "KRaft bootstrap snapshot")?;
    } else {
        let id = SnapshotId::of_file_name(name);
        let id = id.ok_or_else(|| DumpError::File(format!("{path}: its name is no snapshot's")))?;
        writeln!(out, "Snapshot end offset: {}, epoch: {}", id.end, id.epoch)?;
    }
    let mut walk = Walk::new(path, arguments.max_bytes.max(0).unsigned_abs().into())?;
    let mut last_offset = -1;
    while let Some(found) = walk.next()? {
        batch_line(&found, out)?;
        if arguments.deep_iteration || printed.is_some() {
            batch_records(arguments, printed, path, &found, &mut last_offset, out, faults)?;
        }
    }
    if walk.end > walk.at && arguments.max_bytes == i32::MAX {
        writeln!(out, "Found {} invalid bytes at the end of {name}", walk.end - walk.at)?;
    }
    Ok(())
}

fn batch_line(found: &Found, out: &mut impl Write) -> Result<(), DumpError> {
    let Found { at, head, bytes } = found;
    let attributes = head.attributes;
    let horizon = if attributes.has_delete_horizon() {
        format!("OptionalLong[{}]", head.base_timestamp)
    } else {
        "OptionalLong.empty".to_owned()
    };
    write!(
        out,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon}",
        head.base_offset,
        head.last_offset(),
        head.record_count,
        head.base_sequence,
        last_sequence(head),
        head.producer_id.0,
        head.producer_epoch.0,
        head.leader_epoch,
        attributes.is_transactional(),
        attributes.is_control(),
    )?;
    let is_valid = bytes.len() >= HEAD_SIZE && bytes.get(CRC_FROM..).is_some_and(|covered| crc32c(covered) == head.crc);
    writeln!(
        out,
        " position: {at} {}: {} size: {} magic: {} compresscodec: {} crc: {} isvalid: {is_valid}",
        timestamp_type(head),
        head.max_timestamp,
        bytes.len(),
        head.magic,
        codec(attributes.compression()),
        head.crc,
    )?;
    Ok(())
}

fn batch_records(
    arguments: &DumpLogArguments,
    printed: Option<Decoder>,
    path: &str,
    found: &Found,
    last_offset: &mut i64,
    out: &mut impl Write,
    faults: &mut Faults,
) -> Result<(), DumpError> {
    let head = &found.head;
    let at = found.at;
    let fault = |what: String| DumpError::File(format!("{path} at byte {at}: {what}"));
    let bytes = found.bytes.slice(HEAD_SIZE..);
    let plain = decompressed(head, bytes, DECOMPRESSED_LIMIT, &PureCompressors).map_err(|it| fault(it.to_string()))?;
    for record in RecordViews::new(head, &plain) {
        let record = record.map_err(|it| fault(it.to_string()))?;
        let offset = record.offset.0;
        if offset != *last_offset + 1 {
            note(&mut faults.gaps, path, *last_offset, offset);
        }
        *last_offset = offset;
        if !arguments.skip_record_metadata {
            let sequence = if head.base_sequence < 0 { -1 } else { after(head.base_sequence, record.offset_delta) };
            let headers: Vec<_> = record.headers.map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect();
            let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
            write!(
                out,
                "| offset: {offset} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
                timestamp_type(head),
                record.timestamp.0,
                size(record.key),
                size(record.value),
                headers.join(","),
            )?;
            if head.attributes.is_control() {
                write!(out, "{}", contents::control(&record).map_err(fault)?)?;
            }
        }
        if let Some(decoder) = printed.filter(|_| !head.attributes.is_control()) {
            let (key, value) = decoder.show(&record).map_err(fault)?;
            let mut prefix = if arguments.skip_record_metadata { "| " } else { " " };
            if let Some(key) = key {
                write!(out, "{prefix}key: {key}")?;
                prefix = " ";
            }
            if let Some(value) = value {
                write!(out, "{prefix}payload: {value}")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn last_sequence(head: &BatchHead) -> i32 {
    if head.base_sequence < 0 { -1 } else { after(head.base_sequence, head.last_offset_delta) }
}

/// After `i32::MAX` comes 0.
fn after(sequence: i32, delta: i32) -> i32 {
    sequence.wrapping_add(delta) & i32::MAX
}

fn timestamp_type(head: &BatchHead) -> &'static str {
    match head.attributes.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn codec(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}
