//! Integers that mean something.

use std::fmt;

use crate::Str;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// `node.id` of a broker or controller. Never negative for a real node.
    NodeId(i32)
}
id! {
    /// A record's place in a partition. Ends are exclusive: a log of the records 0 to 4 ends at 5.
    Offset(i64)
}
id! {
    /// How often a partition (or the quorum) has had a new leader.
    LeaderEpoch(i32)
}
id! {
    /// Who produced, as InitProducerId handed it out; -1 for a producer that is not idempotent.
    ProducerId(i64)
}
id! {
    /// Fences older producers of the same id.
    ProducerEpoch(i16)
}

impl Offset {
    /// Offset arithmetic by a count of records; saturates, so hostile offsets cannot wrap.
    #[must_use]
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0.saturating_add(count))
    }
}

impl LeaderEpoch {
    /// Kafka's "no epoch known".
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl ProducerId {
    /// Kafka's NO_PRODUCER_ID.
    pub const NONE: ProducerId = ProducerId(-1);
}

/// A partition by its topic's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Str,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
