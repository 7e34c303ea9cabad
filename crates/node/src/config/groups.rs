//! Consumer groups: `group.*` of the classic protocol, and `offsets.*`.

use protocol::records::Compression;

use super::{ConfigError, Values};

/// What a group coordinator goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.commit.timeout.ms`.
    pub commit_timeout_ms: i32,
    /// `offsets.load.buffer.size`.
    pub load_buffer_size: i32,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// `offsets.topic.num.partitions`.
    pub topic_partitions: i32,
    /// `offsets.topic.replication.factor`. A broker that is all of its cluster and was not told otherwise takes 1, as the
    /// configuration does that Apache Kafka is shipped with.
    pub topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub topic_segment_bytes: i32,
    /// `offsets.topic.compression.codec`.
    pub topic_compression: Compression,
}

impl GroupConfig {
    pub(super) fn of(values: &Values<'_>) -> Result<GroupConfig, ConfigError> {
        let codec = values.int("offsets.topic.compression.codec");
        let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
        let compression = usize::try_from(codec).ok().and_then(|it| codecs.get(it).copied());
        Ok(GroupConfig {
            min_session_timeout_ms: values.int("group.min.session.timeout.ms"),
            max_session_timeout_ms: values.int("group.max.session.timeout.ms"),
            initial_rebalance_delay_ms: values.int("group.initial.rebalance.delay.ms"),
            max_size: values.int("group.max.size").max(0) as usize,
            offset_metadata_max_bytes: values.int("offset.metadata.max.bytes").max(0) as usize,
            commit_timeout_ms: values.int("offsets.commit.timeout.ms"),
            load_buffer_size: values.int("offsets.load.buffer.size"),
            offsets_retention_ms: values.long("offsets.retention.minutes").saturating_mul(60_000),
            offsets_retention_check_interval_ms: values.long("offsets.retention.check.interval.ms"),
            topic_partitions: values.int("offsets.topic.num.partitions"),
            topic_replication_factor: values.int("offsets.topic.replication.factor") as i16,
            topic_segment_bytes: values.int("offsets.topic.segment.bytes"),
            topic_compression: compression.ok_or_else(|| {
                ConfigError(format!(
                    "Invalid value {codec} for configuration offsets.topic.compression.codec: expected a number from 0 to 4"
                ))
            })?,
        })
    }
}
