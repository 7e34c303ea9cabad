//! The keys of a topic's configuration.
//! Names, types, defaults and bounds are Apache Kafka 4.3's; the sentences are ours.

use super::definition::Definition;
use super::definition::Kind::{Boolean, Double, Int, List, Long, String};
use super::definition::Rule::{Any, AtLeast, Between, EachOf, GzipLevel, OneOf, Ratio, ThrottledReplicas};
use super::idle::Idle;

/// All keys of a topic's configuration, in order of name.
pub const TOPIC_KEYS: &[Definition] = &[
    Definition::new("cleanup.policy", List, Some("delete"), EachOf(&["compact", "delete"]))
        .doc("What happens to old segments: delete, compact, or both."),
    Definition::new("compression.gzip.level", Int, Some("-1"), GzipLevel)
        .doc("The level of gzip, or -1 for its default."),
    Definition::new("compression.lz4.level", Int, Some("9"), Between(1, 17)).doc("The level of lz4."),
    Definition::new(
        "compression.type",
        String,
        Some("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
    )
    .doc("The compression in the log: producer keeps what was sent."),
    Definition::new("compression.zstd.level", Int, Some("3"), Between(-131_072, 22)).doc("The level of zstd."),
    Definition::new("delete.retention.ms", Long, Some("86400000"), AtLeast(0))
        .doc("Milliseconds for which a compacted topic keeps tombstones."),
    Definition::new("file.delete.delay.ms", Long, Some("60000"), AtLeast(0))
        .doc("Milliseconds before a file that is no longer part of the log is removed."),
    Definition::new("flush.messages", Long, Some("9223372036854775807"), AtLeast(1))
        .doc("How many records may be written before they are forced to disk."),
    Definition::new("flush.ms", Long, Some("9223372036854775807"), AtLeast(0))
        .doc("How long a record may be written before it is forced to disk."),
    Definition::new("follower.replication.throttled.replicas", List, Some(""), ThrottledReplicas)
        .doc("The replicas whose followers are throttled, as partition:broker pairs, or *."),
    Definition::new("index.interval.bytes", Int, Some("4096"), AtLeast(0))
        .doc("Bytes of records between two entries of the offset index."),
    Definition::new("internal.segment.bytes", Int, None, Any)
        .doc("The size at which a new segment begins, without a lower bound; for tests.")
        .internal(),
    Definition::new("leader.replication.throttled.replicas", List, Some(""), ThrottledReplicas)
        .doc("The replicas whose leaders are throttled, as partition:broker pairs, or *."),
    Definition::new("local.retention.bytes", Long, Some("-2"), AtLeast(-2))
        .doc("Bytes kept here when the rest is in tiered storage; -2 for retention.bytes.")
        .idle(Idle::Tiers),
    Definition::new("local.retention.ms", Long, Some("-2"), AtLeast(-2))
        .doc("Milliseconds kept here when the rest is in tiered storage; -2 for retention.ms.")
        .idle(Idle::Tiers),
    Definition::new("max.compaction.lag.ms", Long, Some("9223372036854775807"), AtLeast(1))
        .doc("The longest time for which a record may stay uncompacted."),
    Definition::new("max.message.bytes", Int, Some("1048588"), AtLeast(0))
        .doc("The largest record batch accepted, in bytes, after compression."),
    Definition::new("message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0))
        .doc("How far a record's timestamp may lie in the broker's future."),
    Definition::new("message.timestamp.before.max.ms", Long, Some("9223372036854775807"), AtLeast(0))
        .doc("How far a record's timestamp may lie in the broker's past."),
    Definition::new("message.timestamp.type", String, Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]))
        .doc("Whether a record carries the time of its creation or of its append."),
    Definition::new("min.cleanable.dirty.ratio", Double, Some("0.5"), Ratio("1"))
        .doc("The share of the log that must be dirty before it is compacted."),
    Definition::new("min.compaction.lag.ms", Long, Some("0"), AtLeast(0))
        .doc("The shortest time for which a record stays uncompacted."),
    Definition::new("min.insync.replicas", Int, Some("1"), AtLeast(1))
        .doc("How many replicas must be in sync for a write with acks=all."),
    Definition::new("preallocate", Boolean, Some("false"), Any)
        .doc("Whether room for a whole segment is set aside when it begins."),
    Definition::new("remote.log.copy.disable", Boolean, Some("false"), Any)
        .doc("Whether tiered data is read only.")
        .idle(Idle::Tiers),
    Definition::new("remote.log.delete.on.disable", Boolean, Some("false"), Any)
        .doc("Whether tiered data goes when tiering is switched off.")
        .idle(Idle::Tiers),
    Definition::new("remote.storage.enable", Boolean, Some("false"), Any)
        .doc("Whether old segments move to tiered storage.")
        .idle(Idle::Tiers),
    Definition::new("retention.bytes", Long, Some("-1"), Any)
        .doc("The size above which old segments of a partition are deleted; -1 for no bound."),
    Definition::new("retention.ms", Long, Some("604800000"), AtLeast(-1))
        .doc("How long segments are kept, in milliseconds; -1 for ever."),
    Definition::new("segment.bytes", Int, Some("1073741824"), AtLeast(1_048_576))
        .doc("The size at which a new segment begins."),
    Definition::new("segment.index.bytes", Int, Some("10485760"), AtLeast(4)).doc("The largest size of an index file."),
    Definition::new("segment.jitter.ms", Long, Some("0"), AtLeast(0))
        .doc("The most by which a segment begins early, so that not all do at once."),
    Definition::new("segment.ms", Long, Some("604800000"), AtLeast(1)).doc("The age at which a new segment begins."),
    Definition::new("unclean.leader.election.enable", Boolean, Some("false"), Any)
        .doc("Whether a replica that is not in sync may lead when no other is left, at the price of records."),
];
