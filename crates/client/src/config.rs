//! A client's configuration, under Kafka's keys and with Kafka's defaults.

use std::fmt;

use protocol::Str;
use protocol::records::Compression;

use crate::group::Assignor;

/// All settings of a client. Producer, consumer and admin each read their own; what they share is shared.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConfig {
    /// `bootstrap.servers`, as host and port.
    pub bootstrap_servers: Vec<(Str, u16)>,
    /// `client.id`
    pub client_id: Str,
    /// `client.rack`
    pub client_rack: Str,
    /// `request.timeout.ms`
    pub request_timeout_ms: i64,
    /// `default.api.timeout.ms`
    pub default_api_timeout_ms: i64,
    /// `retries`: of a batch, or of an admin call.
    pub retries: u32,
    /// `retry.backoff.ms`
    pub retry_backoff_ms: i64,
    /// `retry.backoff.max.ms`
    pub retry_backoff_max_ms: i64,
    /// `reconnect.backoff.ms`
    pub reconnect_backoff_ms: i64,
    /// `reconnect.backoff.max.ms`
    pub reconnect_backoff_max_ms: i64,
    /// `socket.connection.setup.timeout.ms`
    pub connection_setup_timeout_ms: i64,
    /// `socket.connection.setup.timeout.max.ms`
    pub connection_setup_timeout_max_ms: i64,
    /// `metadata.max.age.ms`
    pub metadata_max_age_ms: i64,
    /// `metadata.recovery.strategy=rebootstrap` (KIP-899).
    pub metadata_rebootstrap: bool,
    /// `metadata.recovery.rebootstrap.trigger.ms`
    pub metadata_rebootstrap_trigger_ms: i64,
    /// `acks`
    pub acks: Acks,
    /// `enable.idempotence`; `None` is Kafka's default: on unless another setting forbids it.
    pub enable_idempotence: Option<bool>,
    /// `linger.ms`
    pub linger_ms: i64,
    /// `batch.size` in bytes
    pub batch_size: usize,
    /// `buffer.memory` in bytes
    pub buffer_memory: usize,
    /// `max.request.size` in bytes
    pub max_request_size: usize,
    /// `max.in.flight.requests.per.connection`
    pub max_in_flight: usize,
    /// `delivery.timeout.ms`; `None` is Kafka's default: 120000, or what linger and request timeout need.
    pub delivery_timeout_ms: Option<i64>,
    /// `max.block.ms`
    pub max_block_ms: i64,
    /// `compression.type`
    pub compression: Compression,
    /// `compression.gzip.level`, `compression.lz4.level`, `compression.zstd.level`: for the one in use.
    pub compression_level: Option<i32>,
    /// `partitioner.ignore.keys`
    pub partitioner_ignore_keys: bool,
    /// `auto.offset.reset`
    pub auto_offset_reset: ResetPolicy,
    /// `fetch.min.bytes`
    pub fetch_min_bytes: i32,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `fetch.max.wait.ms`
    pub fetch_max_wait_ms: i32,
    /// `max.partition.fetch.bytes`
    pub max_partition_fetch_bytes: i32,
    /// `max.poll.records`
    pub max_poll_records: usize,
    /// `isolation.level`
    pub isolation_level: IsolationLevel,
    /// `allow.auto.create.topics` (a consumer's; a producer always asks for it)
    pub allow_auto_create_topics: bool,
    /// `exclude.internal.topics`: a pattern never means `__consumer_offsets` and its like.
    pub exclude_internal_topics: bool,
    /// `group.id`
    pub group_id: Option<Str>,
    /// `group.instance.id` (KIP-345)
    pub group_instance_id: Option<Str>,
    /// `group.protocol`
    pub group_protocol: GroupProtocol,
    /// `group.remote.assignor`: the coordinator's choice if nothing is said.
    pub group_remote_assignor: Option<Str>,
    /// `partition.assignment.strategy`, the best first; empty is Kafka's default: range, then cooperative-sticky.
    pub assignors: Vec<Assignor>,
    /// `enable.auto.commit`
    pub enable_auto_commit: bool,
    /// `auto.commit.interval.ms`
    pub auto_commit_interval_ms: i64,
    /// `session.timeout.ms`; `None` is Kafka's default: 45000, or what the coordinator says.
    pub session_timeout_ms: Option<i64>,
    /// `heartbeat.interval.ms`; `None` is Kafka's default: 3000, or what the coordinator says.
    pub heartbeat_interval_ms: Option<i64>,
    /// `max.poll.interval.ms`
    pub max_poll_interval_ms: i64,
}

/// How the members of a group agree on who reads what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// `classic`: all join, one of them assigns.
    #[default]
    Classic,
    /// `consumer` (KIP-848): the coordinator assigns, each member follows for itself.
    Consumer,
}

impl GroupProtocol {
    /// As `group.protocol` names it.
    pub fn name(self) -> &'static str {
        match self {
            GroupProtocol::Classic => "classic",
            GroupProtocol::Consumer => "consumer",
        }
    }
}

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// `0`: when it left.
    None,
    /// `1`: when the leader has it.
    Leader,
    /// `all`: when every replica in sync has it.
    All,
}

/// Where a consumer starts that has no position, or one that is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetPolicy {
    /// `earliest`: at the first record there is.
    Earliest,
    /// `latest`: at the end.
    Latest,
    /// `by_duration:PT…` (KIP-1106): at the first record not older than so many milliseconds.
    ByDuration(i64),
    /// `none`: it fails.
    None,
}

/// What a consumer sees of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// Only what was committed, up to the last stable offset.
    ReadCommitted,
}

/// A value that a key does not take, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Whether a key means anything to this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It was applied.
    Yes,
    /// Kafka has it, this client gains nothing from it (serializers, socket buffers, metrics).
    Without,
    /// Kafka has no such key; it warns and goes on.
    No,
}

/// Keys of Kafka's clients that change nothing here: there are no metrics, serializers or socket options.
const WITHOUT_EFFECT: &[&str] = &[
    "client.dns.lookup",
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "send.buffer.bytes",
    "receive.buffer.bytes",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "enable.metrics.push",
    "connections.max.idle.ms",
    "metadata.max.idle.ms",
    "transaction.timeout.ms",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "check.crcs",
];

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig {
            bootstrap_servers: Vec::new(),
            client_id: Str::new(),
            client_rack: Str::new(),
            request_timeout_ms: 30_000,
            default_api_timeout_ms: 60_000,
            retries: i32::MAX.unsigned_abs(),
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 1_000,
            reconnect_backoff_ms: 50,
            reconnect_backoff_max_ms: 1_000,
            connection_setup_timeout_ms: 10_000,
            connection_setup_timeout_max_ms: 30_000,
            metadata_max_age_ms: 300_000,
            metadata_rebootstrap: true,
            metadata_rebootstrap_trigger_ms: 300_000,
            acks: Acks::All,
            enable_idempotence: None,
            linger_ms: 5,
            batch_size: 16_384,
            buffer_memory: 32 * 1024 * 1024,
            max_request_size: 1024 * 1024,
            max_in_flight: 5,
            delivery_timeout_ms: None,
            max_block_ms: 60_000,
            compression: Compression::None,
            compression_level: None,
            partitioner_ignore_keys: false,
            auto_offset_reset: ResetPolicy::Latest,
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 * 1024 * 1024,
            fetch_max_wait_ms: 500,
            max_partition_fetch_bytes: 1024 * 1024,
            max_poll_records: 500,
            isolation_level: IsolationLevel::ReadUncommitted,
            allow_auto_create_topics: true,
            exclude_internal_topics: true,
            group_id: None,
            group_instance_id: None,
            group_protocol: GroupProtocol::Classic,
            group_remote_assignor: None,
            assignors: Vec::new(),
            enable_auto_commit: true,
            auto_commit_interval_ms: 5_000,
            session_timeout_ms: None,
            heartbeat_interval_ms: None,
            max_poll_interval_ms: 300_000,
        }
    }
}

impl ClientConfig {
    /// Defaults, with these `bootstrap.servers`.
    pub fn bootstrapped(servers: impl IntoIterator<Item = (Str, u16)>) -> ClientConfig {
        ClientConfig { bootstrap_servers: servers.into_iter().collect(), ..ClientConfig::default() }
    }

    /// Applies one of Kafka's keys.
    pub fn set(&mut self, key: &str, value: &str) -> Result<Known, ConfigError> {
        let value = value.trim();
        match key {
            "bootstrap.servers" => self.bootstrap_servers = bootstrap_servers(value)?,
            "client.id" => self.client_id = value.into(),
            "client.rack" => self.client_rack = value.into(),
            "request.timeout.ms" => self.request_timeout_ms = int(key, value, 0)?.into(),
            "default.api.timeout.ms" => self.default_api_timeout_ms = int(key, value, 0)?.into(),
            "retries" => self.retries = int(key, value, 0)?.unsigned_abs(),
            "retry.backoff.ms" => self.retry_backoff_ms = long(key, value, 0)?,
            "retry.backoff.max.ms" => self.retry_backoff_max_ms = long(key, value, 0)?,
            "reconnect.backoff.ms" => self.reconnect_backoff_ms = long(key, value, 0)?,
            "reconnect.backoff.max.ms" => self.reconnect_backoff_max_ms = long(key, value, 0)?,
            "socket.connection.setup.timeout.ms" => self.connection_setup_timeout_ms = long(key, value, 0)?,
            "socket.connection.setup.timeout.max.ms" => self.connection_setup_timeout_max_ms = long(key, value, 0)?,
            "metadata.max.age.ms" => self.metadata_max_age_ms = long(key, value, 0)?,
            "metadata.recovery.strategy" => {
                let choices = [("rebootstrap", true), ("none", false)];
                self.metadata_rebootstrap = one_of(key, &value.to_ascii_lowercase(), &choices)?;
            }
            "metadata.recovery.rebootstrap.trigger.ms" => {
                self.metadata_rebootstrap_trigger_ms = long(key, value, 0)?;
            }
            "acks" => {
                self.acks = one_of(
                    key,
                    value,
                    &[("all", Acks::All), ("-1", Acks::All), ("0", Acks::None), ("1", Acks::Leader)],
                )?
            }
            "enable.idempotence" => self.enable_idempotence = Some(boolean(key, value)?),
            "linger.ms" => self.linger_ms = long(key, value, 0)?,
            "batch.size" => self.batch_size = size(int(key, value, 0)?.into()),
            "buffer.memory" => self.buffer_memory = size(long(key, value, 0)?),
            "max.request.size" => self.max_request_size = size(int(key, value, 0)?.into()),
            "max.in.flight.requests.per.connection" => self.max_in_flight = size(int(key, value, 1)?.into()),
            "delivery.timeout.ms" => self.delivery_timeout_ms = Some(int(key, value, 0)?.into()),
            "max.block.ms" => self.max_block_ms = long(key, value, 0)?,
            "compression.type" => self.compression = one_of(key, value, COMPRESSIONS)?,
            "compression.gzip.level" => self.set_level(Compression::Gzip, int(key, value, -1)?),
            "compression.lz4.level" => self.set_level(Compression::Lz4, int(key, value, 1)?),
            "compression.zstd.level" => self.set_level(Compression::Zstd, int(key, value, -131_072)?),
            "partitioner.ignore.keys" => self.partitioner_ignore_keys = boolean(key, value)?,
            "auto.offset.reset" => self.auto_offset_reset = reset_policy(value)?,
            "fetch.min.bytes" => self.fetch_min_bytes = int(key, value, 0)?,
            "fetch.max.bytes" => self.fetch_max_bytes = int(key, value, 0)?,
            "fetch.max.wait.ms" => self.fetch_max_wait_ms = int(key, value, 0)?,
            "max.partition.fetch.bytes" => self.max_partition_fetch_bytes = int(key, value, 0)?,
            "max.poll.records" => self.max_poll_records = size(int(key, value, 1)?.into()),
            "isolation.level" => {
                self.isolation_level = one_of(
                    key,
                    value,
                    &[
                        ("read_committed", IsolationLevel::ReadCommitted),
                        ("read_uncommitted", IsolationLevel::ReadUncommitted),
                    ],
                )?;
            }
            "allow.auto.create.topics" => self.allow_auto_create_topics = boolean(key, value)?,
            "exclude.internal.topics" => self.exclude_internal_topics = boolean(key, value)?,
            "group.id" => self.group_id = Some(value.into()),
            "group.instance.id" => self.group_instance_id = Some(value.into()),
            "group.protocol" => {
                let lower = value.to_ascii_lowercase();
                let choices = [("classic", GroupProtocol::Classic), ("consumer", GroupProtocol::Consumer)];
                self.group_protocol = one_of(key, &lower, &choices)?;
            }
            "group.remote.assignor" => self.group_remote_assignor = Some(value.into()),
            "partition.assignment.strategy" => {
                self.assignors.clear();
                for name in value.split(',').map(str::trim).filter(|it| !it.is_empty()) {
                    let found = Assignor::named(name);
                    self.assignors.push(found.ok_or_else(|| invalid(key, value, "there is no such assignor"))?);
                }
            }
            "enable.auto.commit" => self.enable_auto_commit = boolean(key, value)?,
            "auto.commit.interval.ms" => self.auto_commit_interval_ms = int(key, value, 0)?.into(),
            "session.timeout.ms" => self.session_timeout_ms = Some(int(key, value, 0)?.into()),
            "heartbeat.interval.ms" => self.heartbeat_interval_ms = Some(int(key, value, 0)?.into()),
            "max.poll.interval.ms" => self.max_poll_interval_ms = int(key, value, 1)?.into(),
            "security.protocol" if value.eq_ignore_ascii_case("PLAINTEXT") => {}
            "security.protocol" | "transactional.id" | "partitioner.class" | "interceptor.classes" => {
                return Err(ConfigError(format!("{key}={value} is not supported by this client")));
            }
            _ if WITHOUT_EFFECT.contains(&key) => return Ok(Known::Without),
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    }

    fn set_level(&mut self, compression: Compression, level: i32) {
        // Kafka has a key for each codec; only the one in use matters, so the keys must follow `compression.type`.
        if self.compression == compression {
            self.compression_level = Some(level);
        }
    }

    /// Applies several keys. `compression.type` goes first, because a level is that of the codec in use.
    pub fn set_all<'a>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<(), ConfigError> {
        for (key, value) in pairs.clone().into_iter().filter(|(key, _)| *key == "compression.type") {
            self.set(key, value)?;
        }
        for (key, value) in pairs {
            self.set(key, value)?;
        }
        Ok(())
    }

    /// Refuses what contradicts itself, as Kafka's producer does when it is made.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.enable_idempotence == Some(true) {
            if self.acks != Acks::All {
                return Err(ConfigError(
                    "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee \
                     idempotence."
                        .into(),
                ));
            }
            if self.retries == 0 {
                return Err(ConfigError("Must set retries to non-zero when using the idempotent producer.".into()));
            }
            if self.max_in_flight > 5 {
                return Err(ConfigError(
                    "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer."
                        .into(),
                ));
            }
        }
        if self.delivery_timeout_ms.is_some_and(|it| it < self.linger_and_request_ms()) {
            return Err(ConfigError(
                "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms".into(),
            ));
        }
        if self.group_protocol == GroupProtocol::Consumer {
            let set = [
                ("partition.assignment.strategy", !self.assignors.is_empty()),
                ("heartbeat.interval.ms", self.heartbeat_interval_ms.is_some()),
                ("session.timeout.ms", self.session_timeout_ms.is_some()),
            ];
            if let Some((key, _)) = set.iter().find(|(_, is_set)| *is_set) {
                return Err(ConfigError(format!("{key} cannot be set when group.protocol=CONSUMER")));
            }
        } else if self.group_remote_assignor.is_some() {
            return Err(ConfigError("group.remote.assignor cannot be set when group.protocol=CLASSIC".into()));
        }
        Ok(())
    }

    /// How long a member of the classic protocol may be silent.
    pub fn classic_session_ms(&self) -> i64 {
        self.session_timeout_ms.unwrap_or(45_000)
    }

    /// Whether the producer is idempotent.
    pub fn idempotent(&self) -> bool {
        let possible = self.acks == Acks::All && self.retries > 0 && self.max_in_flight <= 5;
        self.enable_idempotence.unwrap_or(possible)
    }

    /// The time a producer gives a batch.
    pub fn delivery_timeout(&self) -> i64 {
        self.delivery_timeout_ms.unwrap_or_else(|| self.linger_and_request_ms().max(120_000))
    }

    fn linger_and_request_ms(&self) -> i64 {
        self.linger_ms.saturating_add(self.request_timeout_ms).min(i32::MAX.into())
    }
}

impl Acks {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

impl IsolationLevel {
    /// The number on the wire.
    pub fn code(self) -> i8 {
        match self {
            IsolationLevel::ReadUncommitted => 0,
            IsolationLevel::ReadCommitted => 1,
        }
    }
}

const COMPRESSIONS: &[(&str, Compression)] = &[
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// Reads `host:port,[v6]:port`.
pub fn bootstrap_servers(list: &str) -> Result<Vec<(Str, u16)>, ConfigError> {
    let mut servers = Vec::new();
    for entry in list.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let invalid = || ConfigError(format!("Invalid url in bootstrap.servers: {entry}"));
        // A scheme in front of the address is skipped, as Kafka does (`PLAINTEXT://host:9092`).
        let address = entry.split_once("://").map_or(entry, |(_, address)| address);
        let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() || (bare == host && host.contains(':')) {
            return Err(invalid());
        }
        servers.push((Str::from(bare), port.parse().map_err(|_| invalid())?));
    }
    if servers.is_empty() {
        return Err(ConfigError("No resolvable bootstrap urls given in bootstrap.servers".into()));
    }
    Ok(servers)
}

fn reset_policy(value: &str) -> Result<ResetPolicy, ConfigError> {
    match value.to_ascii_lowercase().as_str() {
        "earliest" => Ok(ResetPolicy::Earliest),
        "latest" => Ok(ResetPolicy::Latest),
        "none" => Ok(ResetPolicy::None),
        lower => lower.strip_prefix("by_duration:").and_then(duration_ms).map(ResetPolicy::ByDuration).ok_or_else(|| {
            ConfigError(format!(
                "Invalid value {value} for configuration auto.offset.reset: the string is 'earliest', 'latest', 'none' \
                 or 'by_duration:' and an ISO-8601 duration such as PT1H30M"
            ))
        }),
    }
}

/// An ISO-8601 duration of days, hours, minutes and whole seconds (lower case) in milliseconds.
fn duration_ms(text: &str) -> Option<i64> {
    let (date, time) = text.strip_prefix('p')?.split_once('t').unwrap_or((text.strip_prefix('p')?, ""));
    let mut total: i64 = 0;
    for (part, units) in
        [(date, &[('d', 86_400_000)][..]), (time, &[('h', 3_600_000), ('m', 60_000), ('s', 1_000)][..])]
    {
        let mut rest = part;
        for (unit, ms) in units {
            if let Some((number, tail)) = rest.split_once(*unit) {
                total = total.checked_add(number.parse::<i64>().ok().filter(|it| *it >= 0)?.checked_mul(*ms)?)?;
                rest = tail;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    (!date.is_empty() || !time.is_empty()).then_some(total)
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn invalid(key: &str, value: &str, why: &str) -> ConfigError {
    ConfigError(format!("Invalid value {value} for configuration {key}: {why}"))
}

fn int(key: &str, value: &str, least: i32) -> Result<i32, ConfigError> {
    let number = value.parse::<i32>().map_err(|_| invalid(key, value, "Not a number of type INT"))?;
    if number < least {
        return Err(invalid(key, value, &format!("Value must be at least {least}")));
    }
    Ok(number)
}

fn long(key: &str, value: &str, least: i64) -> Result<i64, ConfigError> {
    let number = value.parse::<i64>().map_err(|_| invalid(key, value, "Not a number of type LONG"))?;
    if number < least {
        return Err(invalid(key, value, &format!("Value must be at least {least}")));
    }
    Ok(number)
}

fn boolean(key: &str, value: &str) -> Result<bool, ConfigError> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(key, value, "Expected value to be either true or false")),
    }
}

fn one_of<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        invalid(key, value, &format!("String must be one of: {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotence_gives_way_to_other_settings_unless_it_was_asked_for() {
        let mut config = ClientConfig::default();
        assert!(config.idempotent());
        config.set("acks", "1").unwrap();
        assert!(!config.idempotent());
        assert_eq!(config.check(), Ok(()));
        config.set("enable.idempotence", "true").unwrap();
        assert!(config.check().unwrap_err().0.starts_with("Must set acks to all"));
    }

    #[test]
    fn values_are_refused_in_kafkas_words() {
        let mut config = ClientConfig::default();
        assert_eq!(
            config.set("linger.ms", "soon").unwrap_err().0,
            "Invalid value soon for configuration linger.ms: Not a number of type LONG"
        );
        assert_eq!(
            config.set("acks", "2").unwrap_err().0,
            "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1"
        );
        assert_eq!(config.set("no.such.key", "1"), Ok(Known::No));
        assert!(config.set("transactional.id", "t").is_err());
    }

    #[test]
    fn durations_of_the_reset_policy() {
        let mut config = ClientConfig::default();
        config.set("auto.offset.reset", "by_duration:P1DT2H3M4S").unwrap();
        assert_eq!(config.auto_offset_reset, ResetPolicy::ByDuration(93_784_000));
        for wrong in ["by_duration:P", "by_duration:PT", "by_duration:PT5", "by_duration:PT-5S", "soon"] {
            assert!(config.set("auto.offset.reset", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bootstrap_servers_with_schemes_and_v6() {
        assert_eq!(
            bootstrap_servers("a:1, PLAINTEXT://b:2,[::1]:3"),
            Ok(vec![("a".into(), 1), ("b".into(), 2), ("::1".into(), 3)])
        );
        for wrong in ["a", "a:x", ":1", "::1:3", "", ","] {
            assert!(bootstrap_servers(wrong).is_err(), "{wrong}");
        }
    }
}
