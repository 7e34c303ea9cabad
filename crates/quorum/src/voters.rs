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

impl std::fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ReplicaKey { id, directory_id } = self;
        match directory_id.is_zero() {
            true => write!(f, "ReplicaKey(id={id}, directoryId=<undefined>)"),
            false => write!(f, "ReplicaKey(id={id}, directoryId={directory_id})"),
        }
    }
}

/// A voter as the log's records describe it (KIP-853).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

    /// Its number and its directory.
    pub fn key(&self) -> ReplicaKey {
        ReplicaKey { id: self.id, directory_id: self.directory_id }
    }

    /// Its address at a listener, or at the first that it has.
    pub(crate) fn endpoint(&self, listener: &Str) -> Option<Endpoint> {
        let (_, host, port) = self.endpoints.iter().find(|(name, ..)| name == listener).or(self.endpoints.first())?;
        Some(Endpoint { node: self.id, host: host.clone(), port: *port })
    }

    /// Its address at just this listener.
    pub(crate) fn endpoint_at(&self, listener: &Str) -> Option<Endpoint> {
        self.endpoint(listener).filter(|_| self.endpoints.iter().any(|(name, ..)| name == listener))
    }

    /// Its addresses, for people.
    pub(crate) fn listeners(&self) -> String {
        let all = self.endpoints.iter().map(|(name, host, port)| format!("{name}://{host}:{port}"));
        all.collect::<Vec<_>>().join(", ")
    }
}

/// All voters, in order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterSet(Vec<Voter>);

impl VoterSet {
    /// These voters.
    pub fn of(voters: impl IntoIterator<Item = Voter>) -> VoterSet {
        let mut voters: Vec<Voter> = voters.into_iter().collect();
        ordered::sort_by(&mut voters, |a, b| a.id.cmp(&b.id));
        voters.dedup_by(|a, b| a.id == b.id);
        VoterSet(voters)
    }

    /// None.
    pub(crate) const fn nobody() -> VoterSet {
        VoterSet(Vec::new())
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

    /// As this, with the voter in the place of the one of its number.
    pub(crate) fn with(&self, voter: Voter) -> VoterSet {
        VoterSet(self.0.iter().map(|it| if it.id == voter.id { voter.clone() } else { it.clone() }).collect())
    }

    /// As this without the voter, if it is one and not the last.
    pub(crate) fn without(&self, key: ReplicaKey) -> Option<VoterSet> {
        let rest: Vec<Voter> = self.0.iter().filter(|voter| voter.key() != key).cloned().collect();
        (rest.len() < self.0.len() && !rest.is_empty()).then_some(VoterSet(rest))
    }

    /// Who they are, for people.
    pub(crate) fn keys(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|voter| voter.key().to_string()).collect();
        format!("[{}]", all.join(", "))
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
