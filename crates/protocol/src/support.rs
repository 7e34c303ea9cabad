//! What a node of Apache Kafka 4.3.1 says it supports, as recorded from one.

use std::ops::RangeInclusive;

use crate::messages::{ApiKey, advertised};

/// A feature and the levels of it that a broker can run at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Kafka's name, `metadata.version`.
    pub name: &'static str,
    /// The levels.
    pub levels: RangeInclusive<i16>,
}

/// The versions that a broker of Apache Kafka advertises, `None` for what it does not serve.
///
/// Produce begins at 0 here for the sake of old librdkafka, though Kafka refuses versions before 3 as we do:
/// [`ApiKey::versions`] says what can be decoded.
pub const fn kafka_range(api: ApiKey) -> Option<RangeInclusive<i16>> {
    advertised::versions(api)
}

/// The features that a broker of Apache Kafka supports.
pub fn kafka_features() -> &'static [Feature] {
    advertised::SUPPORTED
}

/// The features and levels of a freshly formatted cluster of Apache Kafka.
pub fn kafka_finalized_features() -> &'static [(&'static str, i16)] {
    advertised::FINALIZED
}
