//! How many connections a node takes: the settings of this broker, of all brokers, of the node's file, or Kafka's defaults.

use ordered::Map;
use protocol::Str;

use super::definition::host_counts;
use super::{Config, ConfigError, Values};
use crate::image::{Image, Resource};

const PER_IP: &str = "max.connections.per.ip";
const OVERRIDES: &str = "max.connections.per.ip.overrides";
const NOBODY: &str =
    "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.";

/// The limits on connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// `max.connections`: of all that are open.
    pub most: usize,
    /// `max.connections.per.ip`: of those that are from one address.
    pub most_per_ip: usize,
    /// `max.connections.per.ip.overrides`: of those that are from these hosts instead.
    pub most_of: Vec<(Str, usize)>,
    /// `max.connection.creation.rate`.
    pub rate: Rate,
}

/// How many connections may come in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// `max.connection.creation.rate`: a second.
    pub most: u64,
    /// `quota.window.num`.
    pub windows: u64,
    /// `quota.window.size.seconds`, in milliseconds.
    pub window_ms: u64,
}

/// What may wait between clients and disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// `queued.max.requests` if it is set.
    pub requests: Option<usize>,
    /// `queued.max.request.bytes` if there is a bound.
    pub bytes: Option<u64>,
}

/// How long another node has to accept a connection, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// `socket.connection.setup.timeout.ms`.
    pub first_ms: u64,
    /// `socket.connection.setup.timeout.max.ms`.
    pub most_ms: u64,
}

/// What the node's file says of its sockets; where it says nothing the system decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// `socket.listen.backlog.size`.
    pub backlog: Option<i32>,
    /// `socket.send.buffer.bytes`.
    pub send_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`.
    pub receive_bytes: Option<usize>,
    /// `replica.socket.receive.buffer.bytes`.
    pub replica_receive_bytes: Option<usize>,
}

/// Refuses what contradicts itself, in Kafka's words.
pub(super) fn check(values: &Values<'_>) -> Result<(), ConfigError> {
    let queued = values.long("queued.max.request.bytes");
    if queued > 0 && queued < values.long("socket.request.max.bytes") {
        let what = "queued.max.request.bytes must be larger or equal to socket.request.max.bytes";
        return Err(ConfigError(what.into()));
    }
    let text = |key: &str| values.text(key).unwrap_or_default();
    if is_for_nobody(&text(PER_IP), &text(OVERRIDES)) {
        return Err(ConfigError(NOBODY.into()));
    }
    Ok(())
}

/// No address may have a connection. What cannot be read is refused elsewhere.
fn is_for_nobody(most_per_ip: &str, overrides: &str) -> bool {
    most_per_ip.trim().parse() == Ok(0) && host_counts(overrides).is_ok_and(|it| it.is_empty())
}

impl Config {
    /// Whether anybody could connect to this broker once a resource has these settings: who could not set them otherwise again.
    pub(crate) fn check_connections(
        &self,
        image: &Image,
        changed: &Resource,
        after: &Map<Str, Str>,
    ) -> Result<(), ConfigError> {
        let text = |key: &str| {
            let set = |resource: &Resource| match resource == changed {
                true => after.get(key).cloned(),
                false => image.setting(resource, key).cloned(),
            };
            self.value_with(&set, key).unwrap_or_default()
        };
        match is_for_nobody(&text(PER_IP), &text(OVERRIDES)) {
            // As Scala's `require` begins it.
            true => Err(ConfigError(format!("requirement failed: {NOBODY}"))),
            false => Ok(()),
        }
    }

    /// What is set for the sockets of clients and other nodes. Kafka's own defaults are not kept: 100 KiB would be less than
    /// the system has for a connection that needs more.
    pub fn sockets(&self) -> Sockets {
        let text = |key: &str| self.explicit(key).map(|it| it.trim().to_owned());
        // -1 is the system's default.
        let bytes = |key: &str| text(key).and_then(|it| it.parse().ok());
        Sockets {
            backlog: text("socket.listen.backlog.size").and_then(|it| it.parse().ok()),
            send_bytes: bytes("socket.send.buffer.bytes"),
            receive_bytes: bytes("socket.receive.buffer.bytes"),
            replica_receive_bytes: bytes("replica.socket.receive.buffer.bytes"),
        }
    }

    /// What may wait before no further request is read.
    pub fn queue(&self) -> Queue {
        let values = Values(&self.explicit);
        Queue {
            requests: values.if_set("queued.max.requests").and_then(|it| usize::try_from(it).ok()),
            bytes: u64::try_from(values.long("queued.max.request.bytes")).ok().filter(|it| *it > 0),
        }
    }

    /// How long other nodes have to accept a connection.
    pub fn connection_setup(&self) -> Setup {
        let number = |key: &str| u64::try_from(Values(&self.explicit).long(key)).unwrap_or(0);
        Setup {
            first_ms: number("socket.connection.setup.timeout.ms"),
            most_ms: number("socket.connection.setup.timeout.max.ms"),
        }
    }

    /// The effective limits on connections.
    pub fn connections(&self, image: &Image) -> ConnectionLimits {
        let text = |key: &str| self.broker_value(image, key).unwrap_or_default();
        let count = |text: Str| text.trim().parse().unwrap_or(usize::MAX);
        let number = |key: &str| count(text(key));
        // A controller, or a broker whose file says more, may have let pass what this one cannot live with: as in Kafka, it then goes
        // by its file, which has been checked.
        let per_ip = match is_for_nobody(&text(PER_IP), &text(OVERRIDES)) {
            true => [PER_IP, OVERRIDES].map(|key| Values(&self.explicit).text(key).unwrap_or_default()),
            false => [PER_IP, OVERRIDES].map(text),
        };
        let of_file = |key: &str| u64::try_from(Values(&self.explicit).long(key)).unwrap_or(1);
        ConnectionLimits {
            most: number("max.connections"),
            // What is set has been checked.
            most_of: host_counts(&per_ip[1]).unwrap_or_default(),
            most_per_ip: count(per_ip[0].clone()),
            rate: Rate {
                most: number("max.connection.creation.rate") as u64,
                windows: of_file("quota.window.num"),
                window_ms: of_file("quota.window.size.seconds").saturating_mul(1000),
            },
        }
    }

    /// Milliseconds without a write after which a producer is forgotten: `producer.id.expiration.ms`.
    pub fn producer_expiration_ms(&self, image: &Image) -> i64 {
        let text = self.broker_value(image, "producer.id.expiration.ms").unwrap_or_default();
        text.trim().parse().unwrap_or(i64::MAX)
    }
}
