//! Keys of Apache Kafka's that this node checks, keeps and shows, and does nothing by: why.

use std::fmt;

/// Why nothing comes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Idle {
    /// It is about transactions.
    Transactions,
    /// It is about share groups (KIP-932).
    ShareGroups,
    /// It is about streams groups (KIP-1071).
    StreamsGroups,
    /// It is about logs in remote storage (KIP-405).
    Tiers,
    /// It is about TLS, SASL, tokens or ACLs.
    Security,
    /// It is about quotas of clients.
    Quotas,
    /// It is about metrics, or what is measured to be logged.
    Metrics,
    /// It is that of one listener alone.
    OneListener,
    /// It names classes.
    Classes,
    /// It is about what is not promised yet.
    Unstable,
    /// It is about how many threads there are.
    Threads,
    /// It is about how requests are kept that wait.
    Purgatories,
    /// It is about how long or how much is gathered before it is written.
    Batches,
    /// It is about how a rate is measured.
    Paced,
    /// It is about when something is written down that changed.
    AtOnce,
    /// It is about how long a start may take.
    Start,
}

impl Idle {
    /// All of them: first what may come, then what can make no difference.
    pub const ALL: [Idle; 16] = [
        Idle::Transactions,
        Idle::ShareGroups,
        Idle::StreamsGroups,
        Idle::Tiers,
        Idle::Security,
        Idle::Quotas,
        Idle::Metrics,
        Idle::OneListener,
        Idle::Classes,
        Idle::Unstable,
        Idle::Threads,
        Idle::Purgatories,
        Idle::Batches,
        Idle::Paced,
        Idle::AtOnce,
        Idle::Start,
    ];

    /// True if what it is about is not here; false if it is here, and works without such a setting.
    pub fn is_missing(self) -> bool {
        self <= Idle::Classes
    }

    /// Why nothing comes of it, in a few words for people.
    pub fn why(self) -> &'static str {
        match self {
            Idle::Transactions => "there are no transactions yet",
            Idle::ShareGroups => "there are no share groups yet",
            Idle::StreamsGroups => "there are no streams groups yet",
            Idle::Tiers => "there is no remote storage yet",
            Idle::Security => "there is no TLS, no SASL and no authorizer yet",
            Idle::Quotas => "there are no quotas of clients yet",
            Idle::Metrics => "there are no metrics yet",
            Idle::OneListener => "a listener has no settings of its own yet",
            Idle::Classes => "this is no Java process, and loads no classes",
            Idle::Unstable => "there is nothing unstable that could be enabled",
            Idle::Threads => {
                "one thread decides all and serves all sockets; those beside it for the disks are as many as they need"
            }
            Idle::Purgatories => "a request that waits is forgotten as it is answered, so there is nothing to purge",
            Idle::Batches => "what comes while the disk is busy is written together, and nothing waits for more",
            Idle::Paced => "each step of a copy waits as long as it takes at the rate that is set",
            Idle::AtOnce => "each change is written down at once",
            Idle::Start => "a start takes as long as its logs and its cluster need, and says what it waits for",
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_missing() {
            // A host that never asks for the sentences, as the lab's page, need not hold them.
            _ if !cfg!(feature = "documentation") => f.write_str("accepted, but this version does not act on it"),
            true => write!(f, "accepted, but this version does not act on it yet: {}", self.why()),
            false => write!(f, "accepted, and without effect here: {}", self.why()),
        }
    }
}
