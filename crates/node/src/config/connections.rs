//! How many connections a node takes: the settings of this broker, of all brokers, of the node's file, or Kafka's defaults.

use super::Config;
use crate::image::Image;

/// The limits on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// `max.connections`: of all that are open.
    pub most: usize,
    /// `max.connections.per.ip`: of those that are from one address.
    pub most_per_ip: usize,
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
}

impl Config {
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
        }
    }

    /// The effective limits on connections.
    pub fn connections(&self, image: &Image) -> ConnectionLimits {
        let number = |key: &str| {
            let text = self.broker_value(image, key).unwrap_or_default();
            text.trim().parse().unwrap_or(usize::MAX)
        };
        ConnectionLimits { most: number("max.connections"), most_per_ip: number("max.connections.per.ip") }
    }

    /// Milliseconds without a write after which a producer is forgotten: `producer.id.expiration.ms`.
    pub fn producer_expiration_ms(&self, image: &Image) -> i64 {
        let text = self.broker_value(image, "producer.id.expiration.ms").unwrap_or_default();
        text.trim().parse().unwrap_or(i64::MAX)
    }
}
