//! What the log's own records say of the quorum: by which version it runs, who votes, and in which version of the metadata
//! its records are. Each is kept with the offset that said it, because a follower's log may be cut.

use protocol::messages::{KRaftVersionRecord, MetadataRecord, VotersRecord};
use protocol::records::{ControlType, Record};
use protocol::{Offset, decode, support};
use storage::meta::QuorumState;

use crate::setup::{QuorumSetup, VoterSource};
use crate::voters::VoterSet;

/// The feature that says which records may be in the log, and in which versions.
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature that says whether the log names the voters (KIP-853).
pub const KRAFT_VERSION: &str = "kraft.version";
/// The oldest level (of Kafka 4.0) whose records we write.
const OLDEST: i16 = 23;

/// A value as it changed along the log.
#[derive(Clone, Debug)]
struct Changes<T>(Vec<(Offset, T)>);

impl<T> Default for Changes<T> {
    fn default() -> Changes<T> {
        Changes(Vec::new())
    }
}

impl<T> Changes<T> {
    fn set(&mut self, at: Offset, value: T) {
        self.cut(at);
        self.0.push((at, value));
    }

    fn cut(&mut self, end: Offset) {
        while self.0.last().is_some_and(|(at, _)| *at >= end) {
            self.0.pop();
        }
    }

    /// Forgets what can never be the newest again.
    fn settle(&mut self, committed: Offset) {
        let settled = self.0.iter().take_while(|(at, _)| *at < committed).count();
        self.0.drain(..settled.saturating_sub(1));
    }

    fn newest(&self) -> Option<&(Offset, T)> {
        self.0.last()
    }

    /// What the log said below an offset that is not settled yet.
    fn below(&self, end: Offset) -> Option<&T> {
        self.0.iter().rev().find(|(at, _)| *at < end).map(|(_, value)| value)
    }
}

/// What the log has said.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    kraft_version: Changes<i16>,
    voters: Changes<VoterSet>,
    metadata_version: Changes<i16>,
}

impl History {
    /// Takes note of a control record.
    pub(crate) fn control(&mut self, at: Offset, record: &Record) -> Result<(), String> {
        let (Some(key), Some(value)) = (&record.key, &record.value) else { return Ok(()) };
        match ControlType::of_key(key).map_err(|error| error.to_string())? {
            Some(ControlType::KRaftVersion) => {
                let version: KRaftVersionRecord = decode(value.clone(), 0).map_err(|error| error.to_string())?;
                self.kraft_version.set(at, version.kraft_version);
            }
            Some(ControlType::KRaftVoters) => {
                let voters: VotersRecord = decode(value.clone(), 0).map_err(|error| error.to_string())?;
                self.voters.set(at, VoterSet::of_record(&voters));
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes note of a metadata record.
    pub(crate) fn metadata(&mut self, at: Offset, record: &MetadataRecord) {
        if let MetadataRecord::FeatureLevel(feature) = record
            && feature.name == METADATA_VERSION
        {
            self.metadata_version.set(at, feature.feature_level);
        }
    }

    /// The log was cut.
    pub(crate) fn cut(&mut self, end: Offset) {
        self.kraft_version.cut(end);
        self.voters.cut(end);
        self.metadata_version.cut(end);
    }

    /// What is below can no longer be cut.
    pub(crate) fn settle(&mut self, committed: Offset) {
        self.kraft_version.settle(committed);
        self.voters.settle(committed);
        self.metadata_version.settle(committed);
    }

    /// The level at which records are written; that of a new cluster before there is one.
    pub(crate) fn metadata_version(&self) -> i16 {
        self.metadata_version.newest().map_or_else(newest, |(_, level)| *level)
    }

    /// True if there are metadata: they begin with their version.
    pub(crate) fn has_begun(&self) -> bool {
        self.metadata_version.newest().is_some()
    }

    /// The level of `kraft.version`.
    pub(crate) fn kraft_version(&self) -> i16 {
        self.kraft_version.newest().map_or(0, |(_, level)| *level)
    }

    /// The level of `kraft.version` by what is below the offset.
    pub(crate) fn kraft_version_at(&self, end: Offset) -> i16 {
        self.kraft_version.below(end).copied().unwrap_or(0)
    }

    /// True if the voters are listed in the configuration of each, as before KIP-853.
    pub(crate) fn has_static_voters(&self) -> bool {
        self.kraft_version() == 0
    }

    /// Who votes by the log, and which record says so: below 0 if it is the snapshot that the log began with.
    pub(crate) fn voters(&self) -> Option<&(Offset, VoterSet)> {
        self.voters.newest()
    }

    /// Who votes by what is below the offset.
    pub(crate) fn voters_at(&self, end: Offset) -> Option<&VoterSet> {
        self.voters.below(end)
    }

    /// The level at which records below the offset are written.
    pub(crate) fn metadata_version_at(&self, end: Offset) -> i16 {
        self.metadata_version.below(end).copied().unwrap_or_else(newest)
    }

    /// The voters change.
    pub(crate) fn change_voters(&mut self, at: Offset, voters: VoterSet) {
        self.voters.set(at, voters);
    }

    /// The voters become the log's own.
    pub(crate) fn begin(&mut self, at: Offset, voters: VoterSet) {
        self.kraft_version.set(at, 1);
        self.voters.set(at, voters);
    }

    /// Why records of a later Apache Kafka may not make sense to us.
    pub(crate) fn is_too_new(&self) -> Option<String> {
        let (level, newest) = (self.metadata_version.newest()?.1, newest());
        (level > newest).then(|| {
            format!(
                "it is written at metadata.version {level}, of a later Apache Kafka, and {newest} is the newest that is known here; \
                 start it with that Kafka"
            )
        })
    }

    /// Refuses a log that this node could not go on with in a way that Apache Kafka understands, or whose voters are not
    /// those of its configuration.
    pub(crate) fn check(&self, setup: &QuorumSetup, state: Option<&QuorumState>) -> Result<(), String> {
        if let Some(why) = self.is_too_new() {
            return Err(why);
        }
        if let Some((_, level)) = self.metadata_version.newest().filter(|(_, level)| *level < OLDEST) {
            return Err(format!(
                "it is written at metadata.version {level}, and {OLDEST} (Apache Kafka 4.0) is the oldest that can be written here; \
                 start it with Apache Kafka and run kafka-features.sh upgrade --release-version 4.0"
            ));
        }
        let remembered = state.and_then(|state| state.static_voters.clone());
        if setup.is_alone() {
            self.check_alone(setup, remembered.as_deref())?;
        }
        let VoterSource::Static(configured) = &setup.voters else { return Ok(()) };
        let list = |ids: &mut Vec<i32>| {
            ordered::sort(ids);
            ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
        };
        let configured = list(&mut configured.iter().map(|voter| voter.node.0).collect());
        if let Some((_, voters)) = self.voters() {
            // The log says who votes, as in Kafka. But one that was made by this node alone would elect it, and the others,
            // whose logs are empty, someone else.
            let node = setup.node;
            return match voters.iter().all(|voter| voter.id == node) && configured != node.to_string() {
                false => Ok(()),
                true => Err(format!(
                    "by its own records node {node} alone votes, and controller.quorum.voters names {configured}: set \
                     controller.quorum.bootstrap.servers instead, format the others with --no-initial-controllers, and make \
                     them voters by add-controller"
                )),
            };
        }
        let remembered = list(&mut remembered.unwrap_or_default().iter().map(|id| id.0).collect());
        if !remembered.is_empty() && configured != remembered {
            return Err(format!(
                "its voters are {remembered}, and controller.quorum.voters names {configured}; with static voters they cannot \
                 be changed"
            ));
        }
        Ok(())
    }

    fn check_alone(&self, setup: &QuorumSetup, remembered: Option<&[protocol::NodeId]>) -> Result<(), String> {
        let node = setup.node;
        // Those that the log names are known by their addresses.
        let voters = remembered.filter(|_| self.voters().is_none()).unwrap_or_default();
        if let Some(other) = voters.iter().find(|voter| **voter != node) {
            // Alone we would elect ourselves, and the others someone else.
            return Err(format!(
                "{} vote in this quorum, node {other} among them, and the configuration names none of them; set \
                 controller.quorum.voters",
                match voters.len() {
                    1 => "others".to_owned(),
                    count => format!("{count} nodes"),
                }
            ));
        }
        let ours = self.voters().filter(|(_, voters)| voters.len() == 1).and_then(|(_, voters)| voters.get(node));
        match ours.map(|voter| voter.directory_id) {
            Some(voter) if !voter.is_zero() && !setup.directory_id.is_zero() && voter != setup.directory_id => {
                Err(format!(
                    "its voter is node {node} with directory {voter}, and this directory is {}; restore meta.properties",
                    setup.directory_id
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The newest level that we know.
pub(crate) fn newest() -> i16 {
    let feature = support::kafka_features().iter().find(|feature| feature.name == METADATA_VERSION);
    feature.map_or(OLDEST, |feature| *feature.levels.end())
}
