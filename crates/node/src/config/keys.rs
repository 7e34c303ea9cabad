//! How the keys hang together: topic keys and the node's keys that give their defaults.

use super::{BROKER_KEYS, Definition, TOPIC_KEYS};

/// How a node's value becomes a topic's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// As it is.
    Same,
    /// Minutes to milliseconds.
    Minutes,
    /// Hours to milliseconds.
    Hours,
}

/// The definition of a node's key.
pub fn broker_key(name: &str) -> Option<&'static Definition> {
    BROKER_KEYS.binary_search_by(|it| it.name.cmp(name)).ok().map(|index| &BROKER_KEYS[index])
}

/// The definition of a topic's key.
pub fn topic_key(name: &str) -> Option<&'static Definition> {
    TOPIC_KEYS.binary_search_by(|it| it.name.cmp(name)).ok().map(|index| &TOPIC_KEYS[index])
}

/// The node's keys that give a topic's key its default: the first that is set counts.
pub fn topic_synonyms(key: &str) -> &'static [(&'static str, Conversion)] {
    use Conversion::{Hours, Minutes, Same};
    match key {
        "cleanup.policy" => &[("log.cleanup.policy", Same)],
        "compression.gzip.level" => &[("compression.gzip.level", Same)],
        "compression.lz4.level" => &[("compression.lz4.level", Same)],
        "compression.type" => &[("compression.type", Same)],
        "compression.zstd.level" => &[("compression.zstd.level", Same)],
        "delete.retention.ms" => &[("log.cleaner.delete.retention.ms", Same)],
        "file.delete.delay.ms" => &[("log.segment.delete.delay.ms", Same)],
        "flush.messages" => &[("log.flush.interval.messages", Same)],
        "flush.ms" => &[("log.flush.interval.ms", Same), ("log.flush.scheduler.interval.ms", Same)],
        "index.interval.bytes" => &[("log.index.interval.bytes", Same)],
        "local.retention.bytes" => &[("log.local.retention.bytes", Same)],
        "local.retention.ms" => &[("log.local.retention.ms", Same)],
        "max.compaction.lag.ms" => &[("log.cleaner.max.compaction.lag.ms", Same)],
        "max.message.bytes" => &[("message.max.bytes", Same)],
        "message.timestamp.after.max.ms" => &[("log.message.timestamp.after.max.ms", Same)],
        "message.timestamp.before.max.ms" => &[("log.message.timestamp.before.max.ms", Same)],
        "message.timestamp.type" => &[("log.message.timestamp.type", Same)],
        "min.cleanable.dirty.ratio" => &[("log.cleaner.min.cleanable.ratio", Same)],
        "min.compaction.lag.ms" => &[("log.cleaner.min.compaction.lag.ms", Same)],
        "min.insync.replicas" => &[("min.insync.replicas", Same)],
        "preallocate" => &[("log.preallocate", Same)],
        "retention.bytes" => &[("log.retention.bytes", Same)],
        "retention.ms" => {
            &[("log.retention.ms", Same), ("log.retention.minutes", Minutes), ("log.retention.hours", Hours)]
        }
        "segment.bytes" => &[("log.segment.bytes", Same)],
        "segment.index.bytes" => &[("log.index.size.max.bytes", Same)],
        "segment.jitter.ms" => &[("log.roll.jitter.ms", Same), ("log.roll.jitter.hours", Hours)],
        "segment.ms" => &[("log.roll.ms", Same), ("log.roll.hours", Hours)],
        "unclean.leader.election.enable" => &[("unclean.leader.election.enable", Same)],
        _ => &[],
    }
}

/// The node's keys that mean the same as `key`, itself among them, in order of precedence.
pub fn broker_synonyms(key: &'static str) -> Vec<&'static str> {
    const GROUPS: [&[&str]; 3] = [
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    ];
    if key == "log.flush.interval.ms" {
        return vec![key, "log.flush.scheduler.interval.ms"];
    }
    GROUPS.iter().find(|group| group.contains(&key)).map_or_else(|| vec![key], |group| group.to_vec())
}
