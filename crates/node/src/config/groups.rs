//! Consumer groups: `group.*` of the classic and of the consumer protocol, and `offsets.*`.

use protocol::records::Compression;

use super::{ConfigError, Values};
use crate::coordinator::Assignor;

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
    /// `group.consumer.*`.
    pub consumer: ConsumerGroupConfig,
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

/// What a coordinator goes by of groups of the consumer protocol (KIP-848).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupConfig {
    /// Whether `group.coordinator.rebalance.protocols` has `consumer`.
    pub is_enabled: bool,
    /// `group.consumer.assignors` that are known here; the first is taken where members do not ask for one.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.max.size`.
    pub max_size: usize,
    /// `group.consumer.migration.policy`.
    pub migration: MigrationPolicy,
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// `group.consumer.min.session.timeout.ms` and `group.consumer.max.session.timeout.ms`.
    pub session_timeout_bounds_ms: (i32, i32),
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.min.heartbeat.interval.ms` and `group.consumer.max.heartbeat.interval.ms`.
    pub heartbeat_interval_bounds_ms: (i32, i32),
    /// `group.consumer.min.assignment.interval.ms` and `group.consumer.max.assignment.interval.ms`.
    pub assignment_interval_bounds_ms: (i32, i32),
    /// `group.consumer.regex.refresh.interval.ms`.
    pub regex_refresh_interval_ms: i64,
}

/// `group.consumer.migration.policy`: whether groups may change their protocol while members are in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// They may not.
    Disabled,
    /// To the consumer protocol.
    Upgrade,
    /// To the classic protocol.
    Downgrade,
    /// Both ways.
    Bidirectional,
}

impl MigrationPolicy {
    /// To the consumer protocol.
    pub fn may_upgrade(self) -> bool {
        matches!(self, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional)
    }

    /// To the classic protocol.
    pub fn may_downgrade(self) -> bool {
        matches!(self, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional)
    }
}

impl ConsumerGroupConfig {
    /// The assignor of members who do not ask for one.
    pub fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }

    fn of(values: &Values<'_>) -> Result<ConsumerGroupConfig, ConfigError> {
        let assignors = values.items("group.consumer.assignors");
        let assignors: Option<Vec<Assignor>> = assignors.iter().map(|it| Assignor::named(it)).collect();
        let policy = values.text("group.consumer.migration.policy").unwrap_or_default();
        let migration = match policy.to_ascii_uppercase().as_str() {
            "DISABLED" => MigrationPolicy::Disabled,
            "UPGRADE" => MigrationPolicy::Upgrade,
            "DOWNGRADE" => MigrationPolicy::Downgrade,
            _ => MigrationPolicy::Bidirectional,
        };
        let bounds = |what: &str| {
            (values.int(&format!("group.consumer.min.{what}")), values.int(&format!("group.consumer.max.{what}")))
        };
        let it = ConsumerGroupConfig {
            is_enabled: values.items("group.coordinator.rebalance.protocols").iter().any(|it| *it == *"consumer"),
            assignors: assignors.ok_or_else(|| {
                ConfigError("group.consumer.assignors: there are uniform and range; classes cannot be loaded".into())
            })?,
            max_size: values.int("group.consumer.max.size").max(0) as usize,
            migration,
            session_timeout_ms: values.int("group.consumer.session.timeout.ms"),
            session_timeout_bounds_ms: bounds("session.timeout.ms"),
            heartbeat_interval_ms: values.int("group.consumer.heartbeat.interval.ms"),
            heartbeat_interval_bounds_ms: bounds("heartbeat.interval.ms"),
            assignment_interval_bounds_ms: bounds("assignment.interval.ms"),
            regex_refresh_interval_ms: i64::from(values.int("group.consumer.regex.refresh.interval.ms")),
        };
        it.check(values)?;
        Ok(it)
    }

    /// What Apache Kafka requires of these together.
    fn check(&self, values: &Values<'_>) -> Result<(), ConfigError> {
        let interval_ms = values.int("group.consumer.assignment.interval.ms");
        for (what, value, (min, max)) in [
            ("heartbeat.interval.ms", self.heartbeat_interval_ms, self.heartbeat_interval_bounds_ms),
            ("session.timeout.ms", self.session_timeout_ms, self.session_timeout_bounds_ms),
            ("assignment.interval.ms", interval_ms, self.assignment_interval_bounds_ms),
        ] {
            let key = |bound: &str| format!("group.consumer.{bound}{what}");
            let refuse = |than: &str, bound: &str| {
                Err(ConfigError(format!("{} must be {than} than or equal to {}", key(""), key(bound))))
            };
            if max < min {
                return Err(ConfigError(format!("{} must be greater than or equal to {}", key("max."), key("min."))));
            }
            if value < min {
                return refuse("greater", "min.");
            }
            if value > max {
                return refuse("less", "max.");
            }
        }
        if self.heartbeat_interval_ms >= self.session_timeout_ms {
            let what = "group.consumer.heartbeat.interval.ms must be less than group.consumer.session.timeout.ms";
            return Err(ConfigError(what.into()));
        }
        Ok(())
    }
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
            consumer: ConsumerGroupConfig::of(values)?,
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
