//! The metadata quorum: `controller.quorum.*`, and how its log is kept: `metadata.*`.

use protocol::Str;

use super::{ConfigError, Values};

/// `controller.quorum.*` and `metadata.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumConfig {
    /// `controller.quorum.bootstrap.servers` without this node itself.
    pub bootstrap_servers: Vec<(Str, u16)>,
    /// `controller.quorum.auto.join.enable`.
    pub auto_join_enable: bool,
    /// `controller.quorum.election.timeout.ms`.
    pub election_timeout_ms: i32,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: i32,
    /// `controller.quorum.election.backoff.max.ms`.
    pub election_backoff_max_ms: i32,
    /// `controller.quorum.request.timeout.ms`.
    pub request_timeout_ms: i32,
    /// `controller.quorum.retry.backoff.ms`.
    pub retry_backoff_ms: i32,
    /// `controller.quorum.fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`.
    pub fetch_snapshot_max_bytes: i32,
    /// `controller.quorum.append.linger.ms` if it is set; else nothing waits for what may not come. What comes while the disk is
    /// busy goes there together in any case.
    pub append_linger_ms: i64,
    /// `metadata.max.idle.interval.ms` if it is set; else 0, for never: nobody here needs the log to move.
    pub max_idle_interval_ms: i64,
    /// `metadata.log.segment.bytes`.
    pub segment_bytes: i32,
    /// `metadata.log.segment.ms`.
    pub segment_ms: i64,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub max_bytes_between_snapshots: i64,
    /// `metadata.log.max.snapshot.interval.ms`; 0 for never.
    pub max_snapshot_interval_ms: i64,
    /// `metadata.max.retention.bytes`.
    pub max_retention_bytes: i64,
    /// `metadata.max.retention.ms`.
    pub max_retention_ms: i64,
}

impl QuorumConfig {
    pub(super) fn of(values: &Values<'_>) -> Result<QuorumConfig, ConfigError> {
        let server = |entry: Str| {
            let parts = entry.rsplit_once(':').and_then(|(host, port)| Some((Str::from(host), port.parse().ok()?)));
            parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| {
                ConfigError(format!(
                    "Invalid value {entry} for configuration controller.quorum.bootstrap.servers: expected host:port"
                ))
            })
        };
        let servers = values.items("controller.quorum.bootstrap.servers").into_iter().map(server);
        let if_set = |key: &str| values.if_set(key).unwrap_or(0);
        Ok(QuorumConfig {
            bootstrap_servers: servers.collect::<Result<_, _>>()?,
            auto_join_enable: values.flag("controller.quorum.auto.join.enable"),
            election_timeout_ms: values.int("controller.quorum.election.timeout.ms"),
            fetch_timeout_ms: values.int("controller.quorum.fetch.timeout.ms"),
            election_backoff_max_ms: values.int("controller.quorum.election.backoff.max.ms"),
            request_timeout_ms: values.int("controller.quorum.request.timeout.ms"),
            retry_backoff_ms: values.int("controller.quorum.retry.backoff.ms"),
            fetch_max_bytes: values.int("controller.quorum.fetch.max.bytes"),
            fetch_snapshot_max_bytes: values.int("controller.quorum.fetch.snapshot.max.bytes"),
            append_linger_ms: if_set("controller.quorum.append.linger.ms"),
            max_idle_interval_ms: if_set("metadata.max.idle.interval.ms"),
            segment_bytes: values.metadata_segment_bytes(),
            segment_ms: values.long("metadata.log.segment.ms"),
            max_bytes_between_snapshots: values.long("metadata.log.max.record.bytes.between.snapshots"),
            max_snapshot_interval_ms: values.long("metadata.log.max.snapshot.interval.ms"),
            max_retention_bytes: values.long("metadata.max.retention.bytes"),
            max_retention_ms: values.long("metadata.max.retention.ms"),
        })
    }
}
