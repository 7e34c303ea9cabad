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

impl Config {
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
