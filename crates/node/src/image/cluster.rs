//! Brokers and controllers as they registered.

use ordered::Map;

use protocol::{NodeId, Str, Uuid};

use super::directory::{LOST, MIGRATING, UNASSIGNED};

/// How a listener is secured. Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL within TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// All of them, in the order of their numbers.
    pub const ALL: [SecurityProtocol; 4] = [
        SecurityProtocol::Plaintext,
        SecurityProtocol::Ssl,
        SecurityProtocol::SaslPlaintext,
        SecurityProtocol::SaslSsl,
    ];

    /// Kafka's number.
    pub const fn id(self) -> i16 {
        self as i16
    }

    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    /// The protocol with Kafka's number.
    pub fn from_id(id: i16) -> Option<SecurityProtocol> {
        SecurityProtocol::ALL.into_iter().find(|it| it.id() == id)
    }

    /// The protocol with Kafka's name.
    pub fn from_name(name: &str) -> Option<SecurityProtocol> {
        SecurityProtocol::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host to connect to.
    pub host: Str,
    /// The port to connect to.
    pub port: u16,
    /// How it is secured.
    pub security: SecurityProtocol,
}

/// The levels of a feature that a node can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// A broker's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its `node.id`.
    pub id: NodeId,
    /// The offset of the record that registered it: fences its earlier lives.
    pub epoch: i64,
    /// Drawn anew by each process.
    pub incarnation: Uuid,
    /// Where it listens, by listener.
    pub endpoints: Map<Str, Endpoint>,
    /// The feature levels it can run.
    pub features: Map<Str, VersionRange>,
    /// Its rack.
    pub rack: Option<Str>,
    /// Fenced brokers lead nothing and are shown to no client.
    pub fenced: bool,
    /// It asked to stop; its leaders are moving away.
    pub in_controlled_shutdown: bool,
    /// The directory ids of its log directories that are online.
    pub directories: Vec<Uuid>,
    /// Directories that take no new replicas; `None` until the broker has said.
    pub cordoned_directories: Option<Vec<Uuid>>,
}

impl BrokerImage {
    /// True if one of its directories is there, or nobody knows that it is not.
    pub(crate) fn has_online(&self, directory: Uuid) -> bool {
        match directory {
            MIGRATING | UNASSIGNED => true,
            LOST => false,
            directory => self.directories.is_empty() || self.directories.contains(&directory),
        }
    }
}

/// A controller's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerImage {
    /// Its `node.id`.
    pub id: NodeId,
    /// Drawn anew by each process.
    pub incarnation: Uuid,
    /// Where it listens, by listener.
    pub endpoints: Map<Str, Endpoint>,
    /// The feature levels it can run.
    pub features: Map<Str, VersionRange>,
}
