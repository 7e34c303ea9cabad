//! A topic's settings: its own, else the broker's, else Kafka's defaults.

use protocol::Str;
use protocol::records::Compression;

use super::cleaner::{Share, share};
use super::definition::{boolean, list};
use super::keys::{Conversion, topic_synonyms};
use super::{Config, Past, TOPIC_KEYS};
use crate::image::{Image, Resource};

/// Whether a record's timestamp is the producer's or the broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampPolicy {
    /// The record keeps the producer's.
    CreateTime,
    /// The broker stamps the batch when it appends it.
    LogAppendTime,
}

/// `file.delete.delay.ms` unless anybody says otherwise.
const FILE_DELETE_DELAY_MS: i64 = 60_000;

/// The effective settings of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `cleanup.policy` has `delete`.
    pub delete: bool,
    /// `retention.ms`; -1 for no bound.
    pub retention_ms: i64,
    /// `retention.bytes`; -1 for no bound.
    pub retention_bytes: i64,
    /// `segment.bytes`, or `internal.segment.bytes` if that is set.
    pub segment_bytes: i32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `max.message.bytes`.
    pub max_message_bytes: i32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampPolicy,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `compression.type` and the level of its codec; `None` keeps what was sent.
    pub compression: Option<(Compression, Option<i32>)>,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: Share,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `preallocate`.
    pub preallocate: bool,
    /// The node's.
    pub past: Past,
}

impl TopicConfig {
    pub(super) fn resolve(config: &Config, image: &Image, topic: &str) -> TopicConfig {
        let resource = Resource { kind: crate::image::ResourceType::Topic, name: Str::from(topic) };
        let value = |key: &str| config.topic_value(image, &resource, key).unwrap_or_default();
        // Values were checked when they were set, so a text that does not parse can only come from another
        // implementation's log; Kafka's default is then the safe reading.
        let long =
            |key: &str| value(key).trim().parse::<i64>().unwrap_or_else(|_| default(key).parse().unwrap_or_default());
        let int = |key: &str| i32::try_from(long(key)).unwrap_or(i32::MAX);
        let flag = |key: &str| boolean(value(key).trim()).unwrap_or(false);
        let policy = value("cleanup.policy");
        let internal_segment = value("internal.segment.bytes").trim().parse::<i32>().ok();
        TopicConfig {
            compact: list(&policy).iter().any(|it| it.eq_ignore_ascii_case("compact")),
            delete: list(&policy).iter().any(|it| it.eq_ignore_ascii_case("delete")),
            retention_ms: long("retention.ms"),
            retention_bytes: long("retention.bytes"),
            segment_bytes: internal_segment.unwrap_or_else(|| int("segment.bytes")),
            segment_ms: long("segment.ms"),
            segment_jitter_ms: long("segment.jitter.ms"),
            segment_index_bytes: int("segment.index.bytes"),
            index_interval_bytes: int("index.interval.bytes"),
            max_message_bytes: int("max.message.bytes"),
            timestamp_type: match value("message.timestamp.type").trim() {
                "LogAppendTime" => TimestampPolicy::LogAppendTime,
                _ => TimestampPolicy::CreateTime,
            },
            timestamp_before_max_ms: long("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: long("message.timestamp.after.max.ms"),
            min_insync_replicas: int("min.insync.replicas"),
            unclean_leader_election: flag("unclean.leader.election.enable"),
            compression: compression(value("compression.type").trim(), int),
            flush_messages: long("flush.messages"),
            flush_ms: long("flush.ms"),
            file_delete_delay_ms: long("file.delete.delay.ms"),
            delete_retention_ms: long("delete.retention.ms"),
            min_cleanable_dirty_ratio: share(&value("min.cleanable.dirty.ratio")),
            min_compaction_lag_ms: long("min.compaction.lag.ms"),
            max_compaction_lag_ms: long("max.compaction.lag.ms"),
            preallocate: flag("preallocate"),
            past: config.past,
        }
    }
}

/// The codec of `compression.type` and the level that the topic wants of it.
fn compression(name: &str, level: impl Fn(&str) -> i32) -> Option<(Compression, Option<i32>)> {
    let compression = match name {
        "uncompressed" => Compression::None,
        name => Compression::from_name(name)?,
    };
    let level = match compression {
        Compression::None | Compression::Snappy => None,
        Compression::Gzip => Some(level("compression.gzip.level")),
        Compression::Lz4 => Some(level("compression.lz4.level")),
        Compression::Zstd => Some(level("compression.zstd.level")),
    };
    Some((compression, level))
}

fn default(key: &str) -> &'static str {
    TOPIC_KEYS.iter().find(|it| it.name == key).and_then(|it| it.default).unwrap_or_default()
}

impl Config {
    /// `log.segment.delete.delay.ms`: how long the folder of a log that is gone stays, whatever its topic said.
    pub(crate) fn log_delete_delay_ms(&self, image: &Image) -> i64 {
        let of_all = Resource { kind: crate::image::ResourceType::Topic, name: Str::default() };
        let value = self.topic_value(image, &of_all, "file.delete.delay.ms");
        value.and_then(|it| it.trim().parse().ok()).unwrap_or(FILE_DELETE_DELAY_MS)
    }

    /// The effective value of a topic's key: the topic's own, else the first synonym set for this broker, for all
    /// brokers, or in the node's file, else the default. `None` is Kafka's null.
    pub fn topic_value(&self, image: &Image, topic: &Resource, key: &str) -> Option<Str> {
        if let Some(value) = image.setting(topic, key) {
            return Some(value.clone());
        }
        let this_broker = Resource::broker(self.node_id);
        let all_brokers = Resource::all_brokers();
        let from = |read: &dyn Fn(&str) -> Option<Str>| {
            topic_synonyms(key).iter().find_map(|(name, conversion)| Some(convert(&read(name)?, *conversion)))
        };
        from(&|name| image.setting(&this_broker, name).cloned())
            .or_else(|| from(&|name| image.setting(&all_brokers, name).cloned()))
            .or_else(|| from(&|name| self.explicit(name).cloned()))
            .or_else(|| TOPIC_KEYS.iter().find(|it| it.name == key)?.default.map(Str::from_static))
    }
}

fn convert(value: &Str, conversion: Conversion) -> Str {
    let factor = match conversion {
        Conversion::Same => return value.clone(),
        Conversion::Minutes => 60_000,
        Conversion::Hours => 3_600_000,
    };
    match value.trim().parse::<i64>() {
        // Kafka reads any negative retention in hours or minutes as "no bound".
        Ok(number) if number < 0 => Str::from_static("-1"),
        Ok(number) => Str::from(number.saturating_mul(factor).to_string()),
        Err(_) => value.clone(),
    }
}
