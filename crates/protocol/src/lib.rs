//! What is on Kafka's wire and in its log files: messages, records, error codes.
//!
//! Pure functions over bytes. Nothing here reads a clock, a file or a socket, and bytes from a network or a disk never
//! panic: they are a value or a [`ProtocolError`].

mod body;
pub mod decoder;
pub mod encoder;
pub mod error;
pub mod explain;
pub mod frame;
pub mod ids;
pub mod message;
#[path = "generated/mod.rs"]
pub mod messages;
pub mod random;
pub mod records;
pub mod region;
pub mod support;
pub mod text;
pub mod time;
pub mod uuid;
pub mod walker;

pub use decoder::Decoder;
pub use error::ProtocolError;
pub use frame::{Frame, Piece, Request, RequestError, Response};
pub use ids::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, TopicPartition};
pub use message::{Message, decode, encode};
pub use messages::{ApiKey, ErrorCode, MetadataRecord, RequestBody, ResponseBody};
pub use random::Random;
pub use region::{Era, FileId, Region};
pub use text::Str;
pub use time::{Instant, Now, WallMs};
pub use uuid::Uuid;
pub use walker::{Walk, Walker};
