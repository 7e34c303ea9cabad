//! The museum of lost data: what Apache Kafka once did, or can be told to do, by which records were lost. A world can be made
//! to behave so; no server can.

use node::config::Past;
use protocol::Str;

use crate::check::Check;
use crate::setup::Setting;

/// A behaviour that loses records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhibit {
    /// Before KIP-101.
    HighWatermarkTruncation,
    /// Between KIP-101 and KIP-279.
    LoneEpochs,
    /// Before KIP-966: its eligible leader replicas.
    NoElr,
    /// Before KIP-320.
    UnvalidatedFetches,
    /// Before KIP-966: its strong minimum.
    LoneHighWatermark,
    /// A setting to this day.
    UncleanElection,
}

impl Exhibit {
    /// All of them, the oldest first.
    pub const ALL: [Exhibit; 6] = [
        Exhibit::HighWatermarkTruncation,
        Exhibit::LoneEpochs,
        Exhibit::UnvalidatedFetches,
        Exhibit::LoneHighWatermark,
        Exhibit::NoElr,
        Exhibit::UncleanElection,
    ];

    /// Its name in scenarios.
    pub fn word(self) -> &'static str {
        match self {
            Exhibit::HighWatermarkTruncation => "high-watermark-truncation",
            Exhibit::LoneEpochs => "lone-epochs",
            Exhibit::NoElr => "no-elr",
            Exhibit::UnvalidatedFetches => "unvalidated-fetches",
            Exhibit::LoneHighWatermark => "lone-high-watermark",
            Exhibit::UncleanElection => "unclean-election",
        }
    }

    /// What is done, and since when not any more.
    pub fn meaning(self) -> &'static str {
        match self {
            Exhibit::HighWatermarkTruncation => {
                "Before KIP-101 a follower cut its log to its high watermark whenever it began to follow."
            }
            Exhibit::LoneEpochs => {
                "Before KIP-279 a follower cut its log where its leader said that an epoch ends, even if the leader spoke of another epoch."
            }
            Exhibit::NoElr => {
                "Before KIP-966 only the last member of an ISR could lead, even if its disk had lost what others still had."
            }
            Exhibit::UnvalidatedFetches => {
                "Before KIP-320 a consumer went on at its offset whatever had become of the log before it."
            }
            Exhibit::LoneHighWatermark => {
                "Before KIP-966 a record was committed by those in sync, however few they were."
            }
            Exhibit::UncleanElection => {
                "With unclean.leader.election.enable a replica may lead that lacks what was committed."
            }
        }
    }

    /// Which check shows what is lost.
    pub fn loss(self) -> Check {
        match self {
            Exhibit::LoneEpochs => Check::LogMatching,
            Exhibit::UnvalidatedFetches => Check::NoSkips,
            Exhibit::HighWatermarkTruncation
            | Exhibit::LoneHighWatermark
            | Exhibit::NoElr
            | Exhibit::UncleanElection => Check::AckedStays,
        }
    }

    /// What the nodes do.
    pub(crate) fn past(self) -> Past {
        match self {
            Exhibit::HighWatermarkTruncation => Past::HighWatermarkTruncation,
            Exhibit::LoneEpochs => Past::LoneEpochs,
            Exhibit::NoElr => Past::NoElr,
            Exhibit::UnvalidatedFetches => Past::UnvalidatedFetches,
            Exhibit::LoneHighWatermark => Past::LoneHighWatermark,
            Exhibit::UncleanElection => Past::None,
        }
    }

    /// What the nodes are told besides. It is no topic's setting, so the checks do not take the loss for allowed.
    pub(crate) fn setting(self) -> Option<Setting> {
        let key = Str::from_static("unclean.leader.election.enable");
        (self == Exhibit::UncleanElection).then(|| (key, Str::from_static("true")))
    }
}
