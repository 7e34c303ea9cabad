//! A partition's files on a broker's disk, as people look at them: what each says, and how much of it a power cut would leave.

use std::fmt::Write;

use bytes::{Buf, Bytes};
use protocol::TopicPartition;
use protocol::records::{BatchHead, HEAD_SIZE};
use storage::meta::{parse_epochs, parse_offsets};
use storage::{Producers, Survey};

use crate::world::World;

/// Entries of an index that are told.
const TOLD: usize = 6;
/// The checkpoints of a log directory that have an entry for each partition.
const CHECKPOINTS: [&str; 4] = [
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
];

/// A segment: its `.log`, and what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first offset, which is its files' name.
    pub base: i64,
    /// Bytes of the `.log`, and how many of them a power cut would leave.
    pub bytes: u64,
    /// See `bytes`.
    pub synced_bytes: u64,
    /// The first offset in it and the last, if it has any record.
    pub offsets: Option<(i64, i64)>,
    /// A power cut would take the records from this offset on; the end if it would take none.
    pub safe_to: i64,
    /// How many records are in it: less than its offsets where compaction went through.
    pub records: u64,
    /// The greatest timestamp in it, in ms since 1970.
    pub max_timestamp: i64,
    /// The last one: what is appended goes here.
    pub is_active: bool,
}

/// A file beside a `.log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name; a checkpoint's is that of the file, which holds an entry of each partition.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many of them a power cut would leave.
    pub synced_bytes: u64,
    /// What it says of this partition.
    pub says: String,
}

/// What a broker's disk has of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// The folder's name, if there is one: `orders-0`, or what it is called while it is removed.
    pub name: Option<String>,
    /// By their base offsets.
    pub segments: Vec<Segment>,
    /// What lies beside them, and the checkpoints of the log directory.
    pub files: Vec<File>,
}

impl World {
    /// True if a broker's disk has a folder of a partition, whatever is in it.
    pub fn has_folder(&self, broker: &str, partition: &TopicPartition) -> bool {
        let process = self.pid(broker).ok().map(|pid| self.process(pid));
        let Some(broker) = process.and_then(|it| it.broker()) else { return false };
        let own = partition.to_string();
        let is_own = |path: &str| path.strip_prefix(&own).is_some_and(|it| it.starts_with('/') || it.starts_with('.'));
        broker.store.disk().survey().iter().any(|it| is_own(&it.path))
    }

    /// A broker's files of a partition; none if it has none, or there is no such broker. One that does not run has its disk.
    pub fn folder(&self, broker: &str, partition: &TopicPartition) -> Folder {
        let process = self.pid(broker).ok().map(|pid| self.process(pid));
        let Some(broker) = process.and_then(|it| it.broker()) else { return Folder::default() };
        let disk = broker.store.disk();
        let own = partition.to_string();
        let survey = disk.survey();
        let folder_of = |path: &str| path.split_once('/').map(|it| it.0.to_owned());
        let is_own = |name: &str| name == own || name.strip_prefix(&own).is_some_and(|it| it.starts_with('.'));
        let mut folder = Folder {
            name: survey.iter().filter_map(|it| folder_of(&it.path)).find(|it| is_own(it)),
            ..Folder::default()
        };
        let dir = survey.iter().find(|it| folder_of(&it.path) == folder.name).map(|it| it.dir);
        for file in survey.iter().filter(|it| Some(it.dir) == dir) {
            // Others' files are not even read: there may be many, and long ones.
            let bytes = || disk.contents(file.dir, &file.path).unwrap_or_default();
            match file.path.split_once('/') {
                Some((parent, name)) if Some(parent) == folder.name.as_deref() => folder.add(name, file, bytes()),
                None if CHECKPOINTS.contains(&&*file.path) => {
                    let entries = parse_offsets(&bytes()).unwrap_or_default();
                    if let Some((_, offset)) = entries.into_iter().find(|it| it.0 == *partition) {
                        folder.files.push(of_file(&file.path, file, offset.to_string()));
                    }
                }
                _ => {}
            }
        }
        ordered::sort_by_key(&mut folder.segments, |it| it.base);
        if let Some(last) = folder.segments.last_mut() {
            last.is_active = true;
        }
        folder
    }
}

fn of_file(name: &str, file: &Survey, says: String) -> File {
    File { name: name.to_owned(), bytes: file.len, synced_bytes: file.synced, says }
}

impl Folder {
    fn add(&mut self, name: &str, file: &Survey, bytes: Bytes) {
        let base = name.split_once('.').and_then(|it| it.0.parse::<i64>().ok());
        match (base, name.split_once('.').map_or("", |it| it.1)) {
            (Some(base), "log") => self.segments.push(segment(base, file, &bytes)),
            (Some(base), "index") => self.files.push(of_file(name, file, offsets(base, bytes))),
            (Some(base), "timeindex") => self.files.push(of_file(name, file, times(base, bytes))),
            (Some(_), "txnindex") => self.files.push(of_file(name, file, aborted(bytes))),
            (Some(at), "snapshot") => {
                let known = Producers::parse(bytes).map_or(0, |it| it.len());
                self.files.push(of_file(name, file, format!("{known} producers as they were at offset {at}")));
            }
            (_, _) if name == "leader-epoch-checkpoint" => {
                let epochs = parse_epochs(&bytes).unwrap_or_default();
                let words: Vec<String> =
                    epochs.iter().map(|it| format!("epoch {} from {}", it.epoch, it.start)).collect();
                self.files.push(of_file(name, file, words.join(", ")));
            }
            _ => self.files.push(of_file(name, file, String::new())),
        }
    }
}

fn segment(base: i64, file: &Survey, bytes: &Bytes) -> Segment {
    let mut segment = Segment {
        base,
        bytes: file.len,
        synced_bytes: file.synced,
        offsets: None,
        safe_to: base,
        records: 0,
        max_timestamp: -1,
        is_active: false,
    };
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|it| it.len() >= HEAD_SIZE) {
        // What is no batch, or not whole, ends the segment: recovery cuts there.
        let Ok(head) = BatchHead::decode(rest) else { break };
        if head.size() > rest.len() {
            break;
        }
        at += head.size();
        let last = head.next_offset().0 - 1;
        let first = segment.offsets.map_or(head.base_offset.0, |it| it.0);
        segment.offsets = Some((first, last));
        segment.records += u64::from(head.record_count.max(0).unsigned_abs());
        segment.max_timestamp = segment.max_timestamp.max(head.max_timestamp);
        if at as u64 <= file.synced {
            segment.safe_to = last + 1;
        }
    }
    segment
}

/// The entries of an index by its reader, the first few in words.
fn entries(mut bytes: Bytes, size: usize, what: &str, one: impl Fn(&mut Bytes) -> String) -> String {
    let count = bytes.len() / size;
    let mut text = format!("{count} {what}");
    for index in 0..count.min(TOLD) {
        let _ = write!(text, "{} {}", if index == 0 { ":" } else { "," }, one(&mut bytes));
    }
    if count > TOLD {
        text.push_str(" …");
    }
    text
}

fn offsets(base: i64, bytes: Bytes) -> String {
    entries(bytes, 8, "entries", |it| {
        let offset = base + i64::from(it.get_u32());
        format!("{offset} at byte {}", it.get_u32())
    })
}

fn times(base: i64, bytes: Bytes) -> String {
    entries(bytes, 12, "entries", |it| {
        let time = it.get_i64();
        format!("{time} ms: {}", base + i64::from(it.get_u32()))
    })
}

fn aborted(bytes: Bytes) -> String {
    entries(bytes, 34, "aborted transactions", |it| {
        let (_version, producer, first, last, _stable) =
            (it.get_i16(), it.get_i64(), it.get_i64(), it.get_i64(), it.get_i64());
        format!("producer {producer} from {first} to {last}")
    })
}
