//! `quorum-state`, as Apache Kafka writes it.

use bytes::Bytes;
use protocol::{LeaderEpoch, NodeId, Uuid};
use storage::StoreError;

/// The state of a voter that leads the epoch. (The JSON of data version 1, KIP-853.)
pub(crate) fn leader(node: NodeId, epoch: LeaderEpoch) -> Bytes {
    let no_vote = Uuid::ZERO;
    Bytes::from(format!(
        "{{\"leaderId\":{node},\"leaderEpoch\":{epoch},\"votedId\":-1,\"votedDirectoryId\":\"{no_vote}\",\"data_version\":1}}"
    ))
}

/// The epoch that a `quorum-state` file names: the one field that a quorum of one needs. Every data version spells it so.
pub(crate) fn epoch(file: &[u8]) -> Result<LeaderEpoch, StoreError> {
    let corrupt = || StoreError::Corrupt("quorum-state has no leaderEpoch; expected the JSON that Kafka writes".into());
    let text = std::str::from_utf8(file).map_err(|_| corrupt())?;
    let (_, rest) = text.split_once("\"leaderEpoch\"").ok_or_else(corrupt)?;
    let number = rest.trim_start().strip_prefix(':').ok_or_else(corrupt)?.trim_start();
    let end = number.find(|it: char| !it.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().map(LeaderEpoch).map_err(|_| corrupt())
}
