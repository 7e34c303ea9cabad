//! A node's settings: Kafka's keys, checked once, typed for those who use them.
//!
//! [`Config::parse`] is pure. What differs from Apache Kafka is said in [`Warning`]s and in the errors: a node without any
//! settings starts as a single broker and controller.

mod broker_keys;
mod cleaner;
mod connections;
mod cordons;
mod decimal;
mod definition;
mod group_keys;
mod groups;
mod idle;
mod keys;
mod listeners;
mod past;
mod properties;
mod quorum;
mod replication;
#[cfg(test)]
mod tests;
mod topic;
mod topic_keys;

use ordered::Map;
use std::fmt;

use protocol::{NodeId, Str, Uuid};

pub use broker_keys::BROKER_KEYS;
pub use cleaner::{CleanerConfig, Share};
pub use connections::{ConnectionLimits, Queue, Rate, Setup, Sockets};
pub(crate) use cordons::{KEY as CORDONED, check as check_cordons};
pub use definition::{ConfigError, Definition, Kind, Rule, Update, list};
pub use group_keys::{GROUP_KEYS, check_group, group_key, group_synonym};
pub use groups::{ConsumerGroupConfig, GroupConfig, MigrationPolicy};
pub use idle::Idle;
pub use keys::{broker_key, broker_synonyms, topic_key, topic_synonyms};
pub use listeners::{Listener, Voter};
pub use past::Past;
pub use properties::parse_properties;
pub use quorum::QuorumConfig;
pub use replication::ReplicationConfig;
pub use topic::{TimestampPolicy, TopicConfig};
pub use topic_keys::TOPIC_KEYS;

use crate::image::Image;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It keeps partitions and serves clients.
    pub broker: bool,
    /// It votes in the metadata quorum and may lead it.
    pub controller: bool,
}

/// Who the node is on disk; read from `meta.properties` by the host, not from the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `cluster.id`.
    pub cluster_id: Str,
    /// `directory.id` of each of `log.dirs`, in their order; zero for one that is lost.
    pub directory_ids: Vec<Uuid>,
    /// Those of `log.dirs` that the host could not open, by position, and why.
    pub lost: Vec<(u16, Str)>,
    /// One of them has no `.kafka_cleanshutdown`, or that of another run: none counts.
    pub stops_differ: bool,
}

/// A node's settings.
#[derive(Clone, Debug)]
pub struct Config {
    explicit: Map<Str, Str>,
    /// Who the node is on disk.
    pub identity: Identity,
    /// `node.id`.
    pub node_id: NodeId,
    /// `process.roles`.
    pub roles: Roles,
    /// `broker.rack`.
    pub rack: Option<Str>,
    /// `listeners`: where the node binds. Port 0 is any free one; the host tells with [`Config::bound`].
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`: where others are told to connect, controller listeners included.
    pub advertised_listeners: Vec<Listener>,
    /// Those of them whose host nobody has said, since they are bound to every address: see [`Config::reached_by`].
    pub wild_listeners: Vec<Str>,
    /// `controller.listener.names`.
    pub controller_listener_names: Vec<Str>,
    /// `inter.broker.listener.name`.
    pub inter_broker_listener_name: Str,
    /// `controller.quorum.voters`; empty when the quorum's own records say who votes.
    pub voters: Vec<Voter>,
    /// `log.dirs`, else `log.dir`; behind them `metadata.log.dir` if it is none of them.
    pub log_dirs: Vec<Str>,
    /// So many of them, from the first on, are for replicas.
    pub replica_dirs: usize,
    /// The position in `log_dirs` of the metadata log (`metadata.log.dir`).
    pub metadata_log_dir: u16,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `num.recovery.threads.per.data.dir`.
    pub num_recovery_threads_per_data_dir: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `socket.request.max.bytes`.
    pub socket_request_max_bytes: i32,
    /// `connections.max.idle.ms`.
    pub connections_max_idle_ms: i64,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub max_incremental_fetch_session_cache_slots: i32,
    /// `max.request.partition.size.limit`.
    pub max_request_partition_size_limit: i32,
    /// `request.timeout.ms`.
    pub request_timeout_ms: i32,
    /// `controller.socket.timeout.ms`.
    pub controller_socket_timeout_ms: i32,
    /// `broker.heartbeat.interval.ms`.
    pub broker_heartbeat_interval_ms: i32,
    /// `broker.session.timeout.ms`.
    pub broker_session_timeout_ms: i32,
    /// `vivarium.broker.session.reset.grace.ms`: Apache Kafka has no such key.
    pub broker_session_reset_grace_ms: i64,
    /// `initial.broker.registration.timeout.ms`.
    pub initial_broker_registration_timeout_ms: i32,
    /// `controlled.shutdown.enable`.
    pub controlled_shutdown_enable: bool,
    /// `log.dir.failure.timeout.ms`.
    pub log_dir_failure_timeout_ms: i64,
    /// `auto.leader.rebalance.enable`.
    pub auto_leader_rebalance_enable: bool,
    /// `leader.imbalance.check.interval.seconds`.
    pub leader_imbalance_check_interval_seconds: i64,
    /// `unclean.leader.election.interval.ms`.
    pub unclean_leader_election_interval_ms: i64,
    /// `log.retention.check.interval.ms`.
    pub log_retention_check_interval_ms: i64,
    /// `log.flush.offset.checkpoint.interval.ms` if it is set; else recovery points are written with the high watermarks.
    pub log_flush_offset_checkpoint_interval_ms: Option<i64>,
    /// `log.initial.task.delay.ms` if it is set.
    pub log_initial_task_delay_ms: Option<i64>,
    /// `internal.metadata.delete.delay.millis`.
    pub metadata_delete_delay_ms: i64,
    /// `log.flush.scheduler.interval.ms`.
    pub log_flush_scheduler_interval_ms: i64,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub replica_high_watermark_checkpoint_interval_ms: i64,
    /// How replicas keep up with their leaders.
    pub replication: ReplicationConfig,
    /// `controller.quorum.*` and `metadata.*`.
    pub quorum: QuorumConfig,
    /// `group.*` and `offsets.*`.
    pub groups: GroupConfig,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval_ms: i32,
    /// What the simulator wants done as it once was; no key says so.
    pub past: Past,
}

/// Something about the settings that people should know; nothing is wrong enough to refuse to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Apache Kafka does not know the key either; it is ignored, as there.
    Unknown {
        /// The key.
        key: String,
    },
    /// A key of Apache Kafka's that this node accepts and shows but does not act on.
    NotActedOn {
        /// The key.
        key: String,
        /// Why.
        why: Idle,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Unknown { key } => write!(f, "{key}: no such configuration key; ignored"),
            Warning::NotActedOn { key, why } => write!(f, "{key}: {why}"),
        }
    }
}

impl Config {
    /// Checks settings by Kafka's key names. A key that is unknown or without effect is a warning, a value that does not
    /// parse or does not fit the others is an error.
    pub fn parse(properties: &Map<String, String>) -> Result<(Config, Vec<Warning>), ConfigError> {
        let mut explicit = Map::new();
        let mut warnings = Vec::new();
        for (key, value) in properties {
            match broker_key(key) {
                Some(definition) => {
                    definition.check(value)?;
                    if let Some(why) = definition.idle {
                        warnings.push(Warning::NotActedOn { key: key.clone(), why });
                    }
                    explicit.insert(Str::from(key.as_str()), Str::from(value.trim()));
                }
                None if listeners::override_of(key).and_then(broker_key).is_some() => {
                    warnings.push(Warning::NotActedOn { key: key.clone(), why: Idle::OneListener });
                }
                None => warnings.push(Warning::Unknown { key: key.clone() }),
            }
        }
        let config = Config::typed(explicit)?;
        Ok((config, warnings))
    }

    fn typed(mut explicit: Map<Str, Str>) -> Result<Config, ConfigError> {
        let node_id = node_id(&mut explicit)?;
        let values = Values(&explicit);
        let roles = roles(&values)?;
        let mut network = listeners::Network::parse(&values, roles)?;
        let voters = listeners::voters(&values, node_id, roles)?;
        if let Some(own) = voters.iter().find(|it| it.id == node_id) {
            network.vote_at(own);
        }
        let mut quorum = QuorumConfig::of(&values)?;
        quorum.bootstrap_servers.retain(|(host, port)| !network.is_own_controller(host, *port));
        if quorum.auto_join_enable && !roles.controller {
            let what = "controller.quorum.auto.join.enable is only supported when process.roles contains the 'controller' role.";
            return Err(ConfigError(what.into()));
        }
        let mut log_dirs = log_dirs(&values)?;
        check_cordons(values.explicit(CORDONED).map_or("", Str::as_str), &log_dirs)?;
        let replica_dirs = log_dirs.len();
        let metadata_log_dir = metadata_log_dir(&values, &mut log_dirs);
        let groups = GroupConfig::of(&values)?;
        connections::check(&values)?;
        Ok(Config {
            identity: Identity::default(),
            node_id,
            roles,
            rack: values.text("broker.rack"),
            listeners: network.listeners,
            advertised_listeners: network.advertised,
            wild_listeners: network.wild,
            controller_listener_names: network.controller_names,
            inter_broker_listener_name: network.inter_broker_name,
            voters,
            log_dirs,
            replica_dirs,
            metadata_log_dir,
            num_partitions: values.int("num.partitions"),
            num_recovery_threads_per_data_dir: values.int("num.recovery.threads.per.data.dir"),
            default_replication_factor: replication_factor(&values)?,
            auto_create_topics_enable: values.flag("auto.create.topics.enable"),
            delete_topic_enable: values.flag("delete.topic.enable"),
            socket_request_max_bytes: values.int("socket.request.max.bytes"),
            connections_max_idle_ms: values.long("connections.max.idle.ms"),
            fetch_max_bytes: values.int("fetch.max.bytes"),
            max_incremental_fetch_session_cache_slots: values.int("max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: values.int("max.request.partition.size.limit"),
            request_timeout_ms: values.int("request.timeout.ms"),
            controller_socket_timeout_ms: values.int("controller.socket.timeout.ms"),
            broker_heartbeat_interval_ms: values.int("broker.heartbeat.interval.ms"),
            broker_session_timeout_ms: values.int("broker.session.timeout.ms"),
            broker_session_reset_grace_ms: values.long("vivarium.broker.session.reset.grace.ms"),
            initial_broker_registration_timeout_ms: values.int("initial.broker.registration.timeout.ms"),
            controlled_shutdown_enable: values.flag("controlled.shutdown.enable"),
            log_dir_failure_timeout_ms: values.long("log.dir.failure.timeout.ms"),
            auto_leader_rebalance_enable: values.flag("auto.leader.rebalance.enable"),
            leader_imbalance_check_interval_seconds: values.long("leader.imbalance.check.interval.seconds"),
            unclean_leader_election_interval_ms: values.long("unclean.leader.election.interval.ms"),
            log_retention_check_interval_ms: values.long("log.retention.check.interval.ms"),
            log_flush_offset_checkpoint_interval_ms: values.if_set("log.flush.offset.checkpoint.interval.ms"),
            log_initial_task_delay_ms: values.if_set("log.initial.task.delay.ms"),
            metadata_delete_delay_ms: values.long("internal.metadata.delete.delay.millis"),
            log_flush_scheduler_interval_ms: values.long("log.flush.scheduler.interval.ms"),
            replica_high_watermark_checkpoint_interval_ms: values.long("replica.high.watermark.checkpoint.interval.ms"),
            replication: ReplicationConfig::of(&values),
            quorum,
            groups,
            producer_id_expiration_check_interval_ms: values.int("producer.id.expiration.check.interval.ms"),
            past: Past::None,
            explicit,
        })
    }

    /// A topic's effective settings.
    pub fn topic(&self, image: &Image, topic: &str) -> TopicConfig {
        TopicConfig::resolve(self, image, topic)
    }

    /// The value that the node was given for a key, if it was given one.
    pub fn explicit(&self, key: &str) -> Option<&Str> {
        self.explicit.get(key)
    }

    /// Tells which port a listener with port 0 got.
    pub fn bound(&mut self, listener: &str, port: u16) {
        for it in self.listeners.iter_mut().chain(&mut self.advertised_listeners) {
            if it.name == listener && it.port == 0 {
                it.port = port;
            }
        }
    }

    /// Tells by which name others reach this machine; that is what is advertised where nothing else was said.
    pub fn reached_by(&mut self, host: &Str) {
        for it in &mut self.advertised_listeners {
            if self.wild_listeners.contains(&it.name) {
                it.host = host.clone();
            }
        }
        self.wild_listeners.clear();
    }

    /// True if the node is all there is to its cluster's quorum and needs no other.
    pub fn is_alone(&self) -> bool {
        self.roles.broker
            && self.roles.controller
            && self.voters.len() <= 1
            && (!self.voters.is_empty() || self.quorum.bootstrap_servers.is_empty())
    }

    /// True for a listener on which only controllers' requests arrive.
    pub fn is_controller_listener(&self, name: &str) -> bool {
        self.controller_listener_names.iter().any(|it| it == name)
    }
}

impl Default for Config {
    /// A single broker and controller without any settings.
    fn default() -> Config {
        Config::typed(Map::new()).expect("Kafka's defaults are valid")
    }
}

/// Reads typed values that [`Definition::check`] has let pass, or Kafka's defaults.
struct Values<'a>(&'a Map<Str, Str>);

impl Values<'_> {
    fn text(&self, key: &str) -> Option<Str> {
        self.0.get(key).cloned().or_else(|| broker_key(key)?.default.map(Str::from_static))
    }

    fn explicit(&self, key: &str) -> Option<&Str> {
        self.0.get(key)
    }

    fn items(&self, key: &str) -> Vec<Str> {
        self.text(key).map(|text| list(&text).into_iter().map(Str::from).collect()).unwrap_or_default()
    }

    fn flag(&self, key: &str) -> bool {
        self.text(key).and_then(|text| definition::boolean(&text)).unwrap_or(false)
    }

    fn long(&self, key: &str) -> i64 {
        self.text(key).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{key} has a numeric default"))
    }

    fn if_set(&self, key: &str) -> Option<i64> {
        self.explicit(key).map(|_| self.long(key))
    }

    fn int(&self, key: &str) -> i32 {
        i32::try_from(self.long(key)).unwrap_or_else(|_| panic!("{key} was checked to be an INT"))
    }

    fn metadata_segment_bytes(&self) -> i32 {
        let internal = self.text("internal.metadata.log.segment.bytes").and_then(|text| text.parse().ok());
        internal.unwrap_or_else(|| self.int("metadata.log.segment.bytes"))
    }
}

/// `node.id`, or `broker.id`, its old name: each stands for the other, and both are shown as set.
fn node_id(explicit: &mut Map<Str, Str>) -> Result<NodeId, ConfigError> {
    let number = |text: &Str| text.parse::<i32>().ok();
    let node = explicit.get("node.id").and_then(number);
    let broker = explicit.get("broker.id").and_then(number).filter(|id| *id >= 0);
    let id = match (node, broker) {
        (Some(node), Some(broker)) if node != broker => {
            return Err(ConfigError(format!(
                "You must set `node.id` to the same value as `broker.id`: node.id is {node}, broker.id is {broker}"
            )));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Ok(NodeId(1)),
    };
    for key in ["node.id", "broker.id"] {
        explicit.insert(Str::from_static(key), Str::from(id.to_string()));
    }
    Ok(NodeId(id))
}

fn roles(values: &Values<'_>) -> Result<Roles, ConfigError> {
    let Some(text) = values.explicit("process.roles") else { return Ok(Roles { broker: true, controller: true }) };
    let items = list(text);
    let roles = Roles { broker: items.contains(&"broker"), controller: items.contains(&"controller") };
    if !(roles.broker || roles.controller) {
        return Err(ConfigError(format!("process.roles={text}: expected broker, controller or both")));
    }
    Ok(roles)
}

fn replication_factor(values: &Values<'_>) -> Result<i16, ConfigError> {
    let factor = values.int("default.replication.factor");
    i16::try_from(factor).ok().filter(|it| *it >= 1).ok_or_else(|| {
        ConfigError(format!(
            "Invalid value {factor} for configuration default.replication.factor: expected a number from 1 to 32767"
        ))
    })
}

fn log_dirs(values: &Values<'_>) -> Result<Vec<Str>, ConfigError> {
    let key = if values.explicit("log.dirs").is_some() { "log.dirs" } else { "log.dir" };
    let dirs = values.items(key);
    if dirs.is_empty() || dirs.iter().any(|dir| dir.is_empty()) {
        return Err(ConfigError(format!(
            "Configuration '{key}' must not be empty: expected directories separated by commas"
        )));
    }
    if let Some(twice) = dirs.iter().enumerate().find(|(index, dir)| dirs[..*index].contains(dir)) {
        return Err(ConfigError(format!("Configuration '{key}' values must not be duplicated: {}", twice.1)));
    }
    if dirs.len() >= usize::from(u16::MAX) {
        return Err(ConfigError(format!("Configuration '{key}' names more than {} directories", u16::MAX - 1)));
    }
    Ok(dirs)
}

/// The position of `metadata.log.dir`, which is added if it is none of `log.dirs`.
fn metadata_log_dir(values: &Values<'_>, log_dirs: &mut Vec<Str>) -> u16 {
    let Some(dir) = values.text("metadata.log.dir") else { return 0 };
    let position = log_dirs.iter().position(|it| *it == dir).unwrap_or(log_dirs.len());
    if position == log_dirs.len() {
        log_dirs.push(dir);
    }
    u16::try_from(position).unwrap_or(u16::MAX)
}
