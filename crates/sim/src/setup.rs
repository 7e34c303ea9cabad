//! What a world is made of before anything happens: with the actions, all there is to a run.

use client::ConfigError;
use protocol::Str;

use crate::exhibit::Exhibit;

/// Where every broker listens for clients.
pub const CLIENT_PORT: u16 = 9092;
/// Where every controller listens.
pub const CONTROLLER_PORT: u16 = 9093;
/// The wall clock when a world begins: 2026-01-01, 00:00 UTC.
pub const WALL_START_MS: i64 = 1_767_225_600_000;

/// The one key of a client's that is not Kafka's: what its application does in its `ConsumerRebalanceListener`.
pub const LISTENER: &str = "rebalance.listener";

/// A key and its value.
pub type Setting = (Str, Str);

/// A world before its first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Everything random hangs on it.
    pub seed: u64,
    /// How long a message takes, at least and at most.
    pub network_us: (u64, u64),
    /// How long a store operation takes, at least and at most.
    pub disk_us: (u64, u64),
    /// How long a sync to disk takes, at least and at most.
    pub sync_us: (u64, u64),
    /// How late a process is woken when its time has come, at least and at most: several of its deadlines may be over by then.
    pub timers_us: (u64, u64),
    /// Every message is encoded and decoded on its way.
    pub codec: bool,
    /// Whose disks are formatted as those of the first voters (KIP-853). Without any, the controllers vote, and no others ever.
    pub voters: Vec<Str>,
    /// The brokers; each starts at once.
    pub brokers: Vec<BrokerSetup>,
    /// What the nodes do as Apache Kafka once did.
    pub past: Option<Exhibit>,
    /// A fault planted into the world, for tests of the checks; no scenario can name it.
    pub bug: Option<PlantedBug>,
}

/// A broker before its first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSetup {
    /// Its name, which is also its host's.
    pub name: Str,
    /// Kafka's keys.
    pub settings: Vec<Setting>,
}

impl BrokerSetup {
    fn has_role(&self, role: &str) -> bool {
        let roles = self.settings.iter().find(|(key, _)| &**key == "process.roles");
        roles.is_none_or(|(_, roles)| roles.split(',').any(|it| it.trim() == role))
    }

    /// It keeps partitions and serves clients.
    pub fn is_broker(&self) -> bool {
        self.has_role("broker")
    }

    /// It votes in the metadata quorum.
    pub fn is_controller(&self) -> bool {
        self.has_role("controller")
    }
}

/// What a test plants to see it found. The world behaves wrongly where the core is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// A restart loses the last batch though no power was cut.
    LosesWrittenBatch,
    /// A flush is answered, and nothing is synced.
    ForgetsSync,
    /// An answer to a fetch leaves a batch out.
    SkipsOffsets,
    /// An answer to a fetch names an older high watermark.
    MovesHighWatermarkBack,
    /// An answer to a fetch holds records that its high watermark does not cover.
    ReadsBeyondHighWatermark,
    /// A produce request is carried out twice, the second time without its producer's identity.
    AppendsTwice,
    /// The client is told that a record was not written though it was.
    DeniesWrites,
    /// A field of a request is lost on its way through bytes; only worlds that send messages through bytes show it.
    ForgetsField,
    /// A leader sends a follower other records than it has, with a checksum that fits them.
    ServesOtherRecords,
    /// The same of the metadata.
    ServesOtherMetadata,
    /// A node takes less of the metadata for committed than it did.
    ForgetsCommitted,
    /// A follower is sent no more records.
    StarvesFollower,
    /// A follower asks for partitions again in the very request that tells their leader to forget them, for that had to wait.
    ForgetsWhatIsAsked,
    /// Another node is taken for the leader of the metadata quorum, too.
    LeadsTwice,
    /// A candidate says that its log is longer than any other.
    BoastsOfLog,
    /// A leader commits what too few have.
    CommitsAlone,
    /// A follower has two fetchers for a partition.
    FetchesTwice,
    /// A node that does not answer is taken for one that refuses.
    TakesSilenceForRefusal,
    /// A broker that is fenced is in sync.
    KeepsFencedInSync,
    /// A broker is in sync, and eligible because it is not.
    KeepsInElr,
    /// A broker that is no replica is in sync.
    TakesStrangers,
    /// A broker that is neither in sync nor eligible is elected.
    ElectsLaggard,
    /// A member of a group is assigned everything there is of its topics.
    AssignsAll,
    /// A coordinator leaves a partition out, or the leader of a group gives its members what another one has.
    ForgetsPartition,
    /// A member is told an epoch that was before.
    MovesEpochBack,
    /// A member's commit is of an offset that nothing is at.
    CommitsAhead,
    /// A group is told that less is committed.
    ForgetsCommits,
    /// The member `m1` is refused for ever.
    RefusesMember,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            seed: 1,
            network_us: (200, 800),
            disk_us: (20, 120),
            sync_us: (200, 2_000),
            timers_us: (0, 0),
            codec: false,
            voters: Vec::new(),
            brokers: Vec::new(),
            past: None,
            bug: None,
        }
    }
}

impl Setup {
    /// Brokers `b1`, `b2` and so on, each a controller too.
    pub fn cluster(seed: u64, brokers: usize) -> Setup {
        let broker = |number| BrokerSetup { name: Str::from(format!("b{number}")), settings: Vec::new() };
        Setup { seed, brokers: (1..=brokers).map(broker).collect(), ..Setup::default() }
    }

    /// One broker `b1` with Kafka's defaults.
    pub fn single(seed: u64) -> Setup {
        let brokers = vec![BrokerSetup { name: Str::from_static("b1"), settings: Vec::new() }];
        Setup { seed, brokers, ..Setup::default() }
    }
}

/// Applies settings to a client's configuration: all keys must be Kafka's.
pub(crate) fn client_config(
    name: &Str,
    servers: Vec<(Str, u16)>,
    settings: &[Setting],
) -> Result<client::ClientConfig, ConfigError> {
    let mut config = client::ClientConfig::bootstrapped(servers);
    config.client_id = name.clone();
    let pairs: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (&**key, &**value)).collect();
    for (key, value) in &pairs {
        if config.clone().set(key, value)? == client::Known::No {
            return Err(ConfigError(format!("Kafka's clients have no configuration {key}")));
        }
    }
    config.set_all(pairs)?;
    config.check()?;
    Ok(config)
}
