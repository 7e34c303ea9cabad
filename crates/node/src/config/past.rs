//! Rules of replication that Apache Kafka has given up, because records were lost by them. The simulator shows how; no setting
//! of a node names them.

/// What a node does as Apache Kafka once did, instead of what it does today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Past {
    /// Nothing: all is as it is today.
    #[default]
    None,
    /// A follower cuts its log to its high watermark when its leader changes or it starts, and its fetches name no epoch
    /// (before KIP-101).
    HighWatermarkTruncation,
    /// A follower cuts its log once where its leader's epochs say so, and not back to an epoch that both have (KIP-101 before
    /// KIP-279).
    LoneEpochs,
    /// Who leaves an ISR that is too small is forgotten, and its last member stays in it (before KIP-966).
    NoElr,
    /// A leader minds no epoch of those who fetch, and a consumer cannot ask where one ends (before KIP-320).
    UnvalidatedFetches,
    /// The high watermark moves however few are in sync (before KIP-966).
    LoneHighWatermark,
}
