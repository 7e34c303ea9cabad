//! Who votes.

use protocol::messages::{VotersRecord, voters_record};
use protocol::{NodeId, Offset, Str, Uuid};

use crate::setup::Endpoint;

/// A node with a directory: whoever loses its directory is another replica (KIP-853).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaKey {
    /// Its `node.id`.
    pub id: NodeId,
    /// The directory of its metadata log; zero if it is not known.
    pub directory_id: Uuid,
}

/// A voter as the log's records describe it (KIP-853).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub id: NodeId,
    /// The directory of its metadata log; zero while voters are static.
    pub directory_id: Uuid,
    /// Where other voters reach it: listener, host, port.
    pub endpoints: Vec<(Str, Str, u16)>,
    /// The levels of `kraft.version` that it knows.
    pub kraft_versions: (i16, i16),
}

impl Voter {
    /// True if the replica is this voter.
    pub fn is(&self, key: ReplicaKey) -> bool {
        self.id == key.id && (self.directory_id.is_zero() || self.directory_id == key.directory_id)
    }

    /// Its address at a listener.
    pub(crate) fn endpoint(&self, listener: &Str) -> Option<Endpoint> {
        let (_, host, port) = self.endpoints.iter().find(|(name, ..)| name == listener).or(self.endpoints.first())?;
        Some(Endpoint { node: self.id, host: host.clone(), port: *port })
    }
}

/// All voters, in order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterSet(Vec<Voter>);

impl VoterSet {
    pub(crate) fn of(voters: impl IntoIterator<Item = Voter>) -> VoterSet {
        let mut voters: Vec<Voter> = voters.into_iter().collect();
        ordered::sort_by(&mut voters, |a, b| a.id.cmp(&b.id));
        voters.dedup_by(|a, b| a.id == b.id);
        VoterSet(voters)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if nobody votes, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The voter with this number.
    pub fn get(&self, id: NodeId) -> Option<&Voter> {
        self.0.iter().find(|voter| voter.id == id)
    }

    /// True if the replica votes.
    pub fn contains(&self, key: ReplicaKey) -> bool {
        self.get(key.id).is_some_and(|voter| voter.is(key))
    }

    /// More than half.
    pub(crate) fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    pub(crate) fn of_record(record: &VotersRecord) -> VoterSet {
        VoterSet::of(record.voters.iter().map(|voter| Voter {
            id: NodeId(voter.voter_id),
            directory_id: voter.voter_directory_id,
            endpoints: voter.endpoints.iter().map(|it| (it.name.clone(), it.host.clone(), it.port)).collect(),
            kraft_versions: (
                voter.kraft_version_feature.min_supported_version,
                voter.kraft_version_feature.max_supported_version,
            ),
        }))
    }

    pub(crate) fn to_record(&self) -> VotersRecord {
        let voters = self.0.iter().map(|voter| voters_record::Voter {
            voter_id: voter.id.0,
            voter_directory_id: voter.directory_id,
            endpoints: voter
                .endpoints
                .iter()
                .map(|(name, host, port)| voters_record::Endpoint {
                    name: name.clone(),
                    host: host.clone(),
                    port: *port,
                })
                .collect(),
            kraft_version_feature: voters_record::KRaftVersionFeature {
                min_supported_version: voter.kraft_versions.0,
                max_supported_version: voter.kraft_versions.1,
            },
        });
        VotersRecord { voters: voters.collect(), ..VotersRecord::default() }
    }
}

/// The greatest offset that a majority of the voters has synced. Never moves back.
pub fn high_watermark(current: Offset, synced_ends: impl Iterator<Item = Offset>) -> Offset {
    let mut ends: Vec<Offset> = synced_ends.collect();
    ordered::sort_by(&mut ends, |a, b| b.cmp(a));
    // In descending order the end at half the count is reached by one more than half of them.
    ends.get(ends.len() / 2).copied().unwrap_or(current).max(current)
}
