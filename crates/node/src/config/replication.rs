//! How replicas keep up with their leaders: `replica.*`.

use protocol::Str;

use super::Values;

/// `replica.*` of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// `replica.lag.time.max.ms`.
    pub lag_time_max_ms: i64,
    /// `replica.fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// Nobody has set that: few partitions share out what an answer has room for, if it is more.
    pub shares_response: bool,
    /// `replica.fetch.min.bytes`.
    pub fetch_min_bytes: i32,
    /// `replica.fetch.wait.max.ms`.
    pub fetch_wait_max_ms: i32,
    /// `replica.fetch.response.max.bytes`.
    pub fetch_response_max_bytes: i32,
    /// `replica.fetch.backoff.ms`.
    pub fetch_backoff_ms: i32,
    /// `replica.socket.timeout.ms`.
    pub socket_timeout_ms: i32,
    /// `replica.selector.class` is Kafka's RackAwareReplicaSelector: consumers are sent to a replica of their rack (KIP-392).
    pub rack_aware: bool,
}

impl ReplicationConfig {
    /// Kafka's selector by rack, the only one that is known here; any other leaves consumers at the leader.
    const RACK_AWARE: &'static str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

    pub(super) fn of(values: &Values<'_>) -> ReplicationConfig {
        let selector: Option<Str> = values.text("replica.selector.class");
        ReplicationConfig {
            lag_time_max_ms: values.long("replica.lag.time.max.ms"),
            fetch_max_bytes: values.int("replica.fetch.max.bytes"),
            shares_response: values.explicit("replica.fetch.max.bytes").is_none(),
            fetch_min_bytes: values.int("replica.fetch.min.bytes"),
            fetch_wait_max_ms: values.int("replica.fetch.wait.max.ms"),
            fetch_response_max_bytes: values.int("replica.fetch.response.max.bytes"),
            fetch_backoff_ms: values.int("replica.fetch.backoff.ms"),
            socket_timeout_ms: values.int("replica.socket.timeout.ms"),
            rack_aware: selector.is_some_and(|it| &*it == Self::RACK_AWARE),
        }
    }
}
