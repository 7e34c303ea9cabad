//! What is on Kafka's wire and in its log files: messages, records, error codes.
//!
//! Pure functions over bytes. Nothing here reads a clock, a file or a socket, and bytes from a network or a disk never
//! panic: they are a value or a [`ProtocolError`].

pub mod ids;
pub mod region;
pub mod text;
pub mod time;
pub mod uuid;

pub use ids::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, TopicPartition};
pub use region::{Era, FileId, Region};
pub use text::Str;
pub use time::{Instant, Now, WallMs};
pub use uuid::Uuid;
