//! What the log's own records say of the quorum: by which version it runs, who votes, and in which version of the metadata
//! its records are.

use protocol::messages::{KRaftVersionRecord, MetadataRecord, VotersRecord};
use protocol::records::{ControlType, Record};
use protocol::{NodeId, Uuid, decode, support};
use storage::meta::QuorumState;

/// The feature that says which records may be in the log, and in which versions.
const METADATA_VERSION: &str = "metadata.version";
/// The oldest level (of Kafka 4.0) whose records we write.
const OLDEST: i16 = 23;

/// The newest of each that the log has.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    kraft_version: i16,
    voters: Option<VotersRecord>,
    metadata_version: Option<i16>,
}

impl History {
    /// Takes note of a control record.
    pub(crate) fn control(&mut self, record: &Record) -> Result<(), String> {
        let (Some(key), Some(value)) = (&record.key, &record.value) else { return Ok(()) };
        match ControlType::of_key(key).map_err(|error| error.to_string())? {
            Some(ControlType::KRaftVersion) => {
                let version: KRaftVersionRecord = decode(value.clone(), 0).map_err(|error| error.to_string())?;
                self.kraft_version = version.kraft_version;
            }
            Some(ControlType::KRaftVoters) => {
                self.voters = Some(decode(value.clone(), 0).map_err(|error| error.to_string())?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes note of a metadata record.
    pub(crate) fn metadata(&mut self, record: &MetadataRecord) {
        if let MetadataRecord::FeatureLevel(feature) = record
            && feature.name == METADATA_VERSION
        {
            self.metadata_version = Some(feature.feature_level);
        }
    }

    /// The level at which records are written; that of a new cluster before there is one.
    pub(crate) fn metadata_version(&self) -> i16 {
        self.metadata_version.unwrap_or_else(newest)
    }

    /// True if the voters are listed in the configuration of each, as before KIP-853.
    pub(crate) fn has_static_voters(&self) -> bool {
        self.kraft_version == 0
    }

    /// Why records of a later Apache Kafka may not make sense to us.
    pub(crate) fn is_too_new(&self) -> Option<String> {
        let (level, newest) = (self.metadata_version?, newest());
        (level > newest).then(|| {
            format!(
                "it is written at metadata.version {level}, of a later Apache Kafka, and {newest} is the newest that is known here; \
                 start it with that Kafka"
            )
        })
    }

    /// Refuses a log that this node alone may not lead, or could not go on with in a way that Apache Kafka understands.
    pub(crate) fn check(&self, node: NodeId, directory: Uuid, state: Option<&QuorumState>) -> Result<(), String> {
        if let Some(why) = self.is_too_new() {
            return Err(why);
        }
        if let Some(level) = self.metadata_version.filter(|level| *level < OLDEST) {
            return Err(format!(
                "it is written at metadata.version {level}, and {OLDEST} (Apache Kafka 4.0) is the oldest that can be written here; \
                 start it with Apache Kafka and run kafka-features.sh upgrade --release-version 4.0"
            ));
        }
        let voters: Vec<NodeId> = match &self.voters {
            Some(record) => record.voters.iter().map(|voter| NodeId(voter.voter_id)).collect(),
            None => state.and_then(|state| state.static_voters.clone()).unwrap_or_default(),
        };
        if let Some(other) = voters.iter().find(|voter| **voter != node) {
            // Alone we would elect ourselves, and the others someone else.
            return Err(format!(
                "{} vote in this quorum, node {other} among them; a cluster of several controllers is not supported yet, so start it \
                 with Apache Kafka",
                match voters.len() {
                    1 => "others".to_owned(),
                    count => format!("{count} nodes"),
                }
            ));
        }
        let ours = self.voters.as_ref().and_then(|record| record.voters.first());
        match ours.map(|voter| voter.voter_directory_id) {
            Some(voter) if !voter.is_zero() && !directory.is_zero() && voter != directory => Err(format!(
                "its voter is node {node} with directory {voter}, and this directory is {directory}; restore meta.properties"
            )),
            _ => Ok(()),
        }
    }
}

/// The newest level that we know.
fn newest() -> i16 {
    let feature = support::kafka_features().iter().find(|feature| feature.name == METADATA_VERSION);
    feature.map_or(OLDEST, |feature| *feature.levels.end())
}
