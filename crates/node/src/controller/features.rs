//! Feature levels: what a new cluster starts with.

use protocol::messages::{FeatureLevelRecord, MetadataRecord};
use protocol::{Str, support};

/// The format of the metadata log (KIP-778).
pub(super) const METADATA_VERSION: &str = "metadata.version";
/// Voters as records (KIP-853). Its level is in the quorum's own records.
const KRAFT_VERSION: &str = "kraft.version";
/// Eligible leader replicas (KIP-966).
pub(super) const ELR: &str = "eligible.leader.replicas.version";

/// The levels of a new cluster, as Apache Kafka formats one: metadata.version first, for who reads the log must know it
/// before anything else, then the others in order of name.
pub(super) fn initial() -> Vec<MetadataRecord> {
    let mut levels: Vec<(&str, i16)> = support::kafka_finalized_features().to_vec();
    levels.retain(|(name, level)| *name != KRAFT_VERSION && *level > 0);
    ordered::sort_by_key(&mut levels, |(name, _)| (*name != METADATA_VERSION, *name));
    let record = |(name, feature_level)| FeatureLevelRecord { name: Str::from_static(name), feature_level }.into();
    levels.into_iter().map(record).collect()
}

/// True if the records turn eligible leader replicas on.
pub(super) fn has_elr(records: &[MetadataRecord]) -> bool {
    let is_elr =
        |it: &MetadataRecord| matches!(it, MetadataRecord::FeatureLevel(it) if it.name == ELR && it.feature_level > 0);
    records.iter().any(is_elr)
}
