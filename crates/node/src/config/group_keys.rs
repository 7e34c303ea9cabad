//! The keys of a group's configuration (KIP-848, KIP-932, KIP-1071). Most are a broker's keys of the same meaning without
//! `group.` before them, and have their types, bounds and defaults.

use ordered::Map;
use protocol::Str;

use super::definition::Kind::{Boolean, String};
use super::definition::Rule::{Any, OneOf};
use super::idle::Idle;
use super::{ConfigError, ConsumerGroupConfig, Definition, broker_key};

/// All keys of a group's configuration, in order of name.
pub const GROUP_KEYS: &[&str] = &[
    "consumer.assignment.interval.ms",
    "consumer.heartbeat.interval.ms",
    "consumer.session.timeout.ms",
    "share.assignment.interval.ms",
    "share.auto.offset.reset",
    "share.delivery.count.limit",
    "share.heartbeat.interval.ms",
    "share.isolation.level",
    "share.partition.max.record.locks",
    "share.record.lock.duration.ms",
    "share.renew.acknowledge.enable",
    "share.session.timeout.ms",
    "streams.assignment.interval.ms",
    "streams.heartbeat.interval.ms",
    "streams.initial.rebalance.delay.ms",
    "streams.num.standby.replicas",
    "streams.session.timeout.ms",
];

const OWN_KEYS: [Definition; 3] = [
    Definition::new("share.auto.offset.reset", String, Some("latest"), Any).idle(Idle::ShareGroups),
    Definition::new(
        "share.isolation.level",
        String,
        Some("read_uncommitted"),
        OneOf(&["read_uncommitted", "read_committed"]),
    )
    .idle(Idle::ShareGroups),
    Definition::new("share.renew.acknowledge.enable", Boolean, Some("true"), Any).idle(Idle::ShareGroups),
];

/// The broker's key that gives a group's key its default.
pub fn group_synonym(key: &str) -> Option<&'static Definition> {
    broker_key(&format!("group.{key}"))
}

/// The definition of a group's key.
pub fn group_key(name: &str) -> Option<Definition> {
    let name = GROUP_KEYS.iter().copied().find(|it| *it == name)?;
    match group_synonym(name) {
        Some(synonym) => Some(Definition { name, ..*synonym }),
        None => OWN_KEYS.iter().find(|it| it.name == name).copied(),
    }
}

/// Whether a group can have these settings.
pub fn check_group(settings: &Map<Str, Str>, consumer: &ConsumerGroupConfig) -> Result<(), ConfigError> {
    for (key, value) in settings {
        let definition = group_key(key).ok_or_else(|| ConfigError(format!("Unknown group config name: {key}")))?;
        definition.check(value)?;
    }
    let number = |key: &str| settings.get(key).and_then(|it| it.trim().parse::<i32>().ok());
    for (what, (min, max)) in [
        ("heartbeat.interval.ms", consumer.heartbeat_interval_bounds_ms),
        ("session.timeout.ms", consumer.session_timeout_bounds_ms),
        ("assignment.interval.ms", consumer.assignment_interval_bounds_ms),
    ] {
        let Some(value) = number(&format!("consumer.{what}")) else { continue };
        let refuse = |than: &str, bound: &str| {
            let bound = format!("group.consumer.{bound}.{what}");
            Err(ConfigError(format!("consumer.{what} must be {than} than or equal to {bound}")))
        };
        if value < min {
            return refuse("greater", "min");
        }
        if value > max {
            return refuse("less", "max");
        }
    }
    let heartbeat_ms = number("consumer.heartbeat.interval.ms").unwrap_or(consumer.heartbeat_interval_ms);
    let session_ms = number("consumer.session.timeout.ms").unwrap_or(consumer.session_timeout_ms);
    if session_ms <= heartbeat_ms {
        let what = "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms";
        return Err(ConfigError(what.into()));
    }
    Ok(())
}
