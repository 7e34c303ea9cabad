//! What an admin can ask, and what it hears.

use std::sync::Arc;

use protocol::{ErrorCode, LeaderEpoch, NodeId, Offset, Str, TopicPartition, Uuid, WallMs};

use crate::config::IsolationLevel;
use crate::outbox::{Failure, PartitionInfo};
use crate::wire::{RequestBody, ResponseBody};

/// An operation of the admin client.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminCall {
    /// Creates topics.
    CreateTopics {
        /// Which, and how.
        topics: Vec<NewTopic>,
        /// Only checks.
        validate_only: bool,
    },
    /// Deletes topics by name.
    DeleteTopics {
        /// Which.
        topics: Vec<Str>,
    },
    /// Names and ids of all topics.
    ListTopics {
        /// `__consumer_offsets` and its like too.
        list_internal: bool,
    },
    /// Partitions, replicas, leaders of topics.
    DescribeTopics {
        /// Which.
        topics: Vec<Str>,
    },
    /// Raises topics' numbers of partitions.
    CreatePartitions {
        /// Which, and how.
        topics: Vec<NewPartitions>,
        /// Only checks.
        validate_only: bool,
    },
    /// Moves the first offset of partitions up. `Offset(-1)` is the high watermark.
    DeleteRecords {
        /// Which, and up to where (exclusive).
        partitions: Vec<(TopicPartition, Offset)>,
    },
    /// Configurations of brokers and topics.
    DescribeConfigs {
        /// Which.
        resources: Vec<ConfigResource>,
        /// Also where else a value could come from.
        include_synonyms: bool,
        /// Also the documentation of each key.
        include_documentation: bool,
    },
    /// Changes single keys (KIP-339).
    IncrementalAlterConfigs {
        /// Which, and how.
        resources: Vec<(ConfigResource, Vec<AlterConfigOp>)>,
        /// Only checks.
        validate_only: bool,
    },
    /// Which resources of some types have a configuration (KIP-1142).
    ListConfigResources {
        /// Empty is all.
        types: Vec<ResourceType>,
    },
    /// Offsets by position or time.
    ListOffsets {
        /// Which, and what.
        partitions: Vec<(TopicPartition, OffsetSpec)>,
        /// Decides what the end is.
        isolation_level: IsolationLevel,
    },
    /// Brokers and the controller.
    DescribeCluster {
        /// Brokers that are registered and may not serve, too (KIP-1073).
        include_fenced_brokers: bool,
    },
    /// Partitions that are being moved: all of them.
    ListPartitionReassignments,
    /// A question in the protocol's own words, for what has no call of its own. Errors that pass where it is asked are waited for;
    /// the others are in the answer.
    Ask {
        /// Kafka's name of the call, for people.
        name: &'static str,
        /// Who can answer.
        of: Asked,
        /// What is asked.
        body: Box<RequestBody>,
        /// In no newer version than this.
        latest: i16,
    },
}

/// Who can answer a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Any broker.
    Anyone,
    /// The active controller, by way of the broker that metadata names for that.
    Controller,
    /// This broker alone.
    Broker(NodeId),
    /// The coordinator of a group, wherever it moves to.
    Coordinator(Str),
}

/// What came of it, item by item in the order of the call.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminAnswer {
    /// Of [`AdminCall::CreateTopics`].
    TopicsCreated(Vec<(Str, Result<CreatedTopic, Failure>)>),
    /// Of [`AdminCall::DeleteTopics`].
    TopicsDeleted(Vec<(Str, Result<(), Failure>)>),
    /// Of [`AdminCall::ListTopics`], by name.
    Topics(Vec<TopicListing>),
    /// Of [`AdminCall::DescribeTopics`].
    TopicsDescribed(Vec<(Str, Result<TopicDescription, Failure>)>),
    /// Of [`AdminCall::CreatePartitions`].
    PartitionsCreated(Vec<(Str, Result<(), Failure>)>),
    /// Of [`AdminCall::DeleteRecords`]: the new first offsets.
    RecordsDeleted(Vec<(TopicPartition, Result<Offset, Failure>)>),
    /// Of [`AdminCall::DescribeConfigs`].
    Configs(Vec<(ConfigResource, Result<Vec<ConfigEntry>, Failure>)>),
    /// Of [`AdminCall::IncrementalAlterConfigs`].
    ConfigsAltered(Vec<(ConfigResource, Result<(), Failure>)>),
    /// Of [`AdminCall::ListConfigResources`].
    ConfigResources(Vec<ConfigResource>),
    /// Of [`AdminCall::ListOffsets`].
    Offsets(Vec<(TopicPartition, Result<ListedOffset, Failure>)>),
    /// Of [`AdminCall::DescribeCluster`].
    Cluster(ClusterDescription),
    /// Of [`AdminCall::ListPartitionReassignments`].
    Reassignments(Vec<Reassignment>),
    /// Of [`AdminCall::Ask`].
    Asked(Arc<ResponseBody>),
}

impl AdminAnswer {
    /// Why items were not done, in the order of the call: an answer came, and says no of them.
    pub(crate) fn failures(&self) -> Vec<&Failure> {
        fn of<K, T>(items: &[(K, Result<T, Failure>)]) -> Vec<&Failure> {
            items.iter().filter_map(|it| it.1.as_ref().err()).collect()
        }
        match self {
            AdminAnswer::TopicsCreated(it) => of(it),
            AdminAnswer::TopicsDeleted(it) | AdminAnswer::PartitionsCreated(it) => of(it),
            AdminAnswer::TopicsDescribed(it) => of(it),
            AdminAnswer::RecordsDeleted(it) => of(it),
            AdminAnswer::Configs(it) => of(it),
            AdminAnswer::ConfigsAltered(it) => of(it),
            AdminAnswer::Offsets(it) => of(it),
            AdminAnswer::Topics(_)
            | AdminAnswer::ConfigResources(_)
            | AdminAnswer::Cluster(_)
            | AdminAnswer::Reassignments(_)
            | AdminAnswer::Asked(_) => Vec::new(),
        }
    }
}

/// A topic to create.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewTopic {
    /// Its name.
    pub name: Str,
    /// The broker's `num.partitions` if absent. Absent too when `assignments` say it.
    pub num_partitions: Option<i32>,
    /// The broker's `default.replication.factor` if absent. Absent too when `assignments` say it.
    pub replication_factor: Option<i16>,
    /// Replicas of each partition, by hand.
    pub assignments: Vec<(i32, Vec<NodeId>)>,
    /// Topic configuration.
    pub configs: Vec<(Str, Str)>,
}

/// A topic that was created.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    /// Its id.
    pub topic_id: Uuid,
    /// How many partitions; -1 if the broker does not say.
    pub num_partitions: i32,
    /// Replicas of each partition; -1 if the broker does not say.
    pub replication_factor: i16,
}

/// A topic's new number of partitions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewPartitions {
    /// Which topic.
    pub topic: Str,
    /// How many partitions it shall have in all.
    pub total_count: i32,
    /// Replicas of each new partition, by hand.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// A topic in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicListing {
    /// Its name.
    pub name: Str,
    /// Its id.
    pub topic_id: Uuid,
    /// Whether it is Kafka's own.
    pub internal: bool,
}

/// A topic in full.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicDescription {
    /// Its name.
    pub name: Str,
    /// Its id.
    pub topic_id: Uuid,
    /// Whether it is Kafka's own.
    pub internal: bool,
    /// In order.
    pub partitions: Vec<PartitionInfo>,
    /// For each partition, in the same order, who may lead it again (KIP-966).
    pub eligible: Vec<EligibleLeaders>,
}

/// Replicas outside the ISR that may still lead; `None` if the broker does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EligibleLeaders {
    /// Eligible leader replicas.
    pub elr: Option<Vec<NodeId>>,
    /// The last ones known, when none is left.
    pub last_known: Option<Vec<NodeId>>,
}

/// What kind of thing has a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceType {
    /// A topic.
    Topic,
    /// A broker, or all brokers under the empty name.
    Broker,
    /// A broker's loggers.
    BrokerLogger,
    /// A subscription to client metrics.
    ClientMetrics,
    /// A group.
    Group,
}

/// Something that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    /// What it is.
    pub kind: ResourceType,
    /// Its name.
    pub name: Str,
}

/// A key of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// The key.
    pub name: Str,
    /// Its value; a secret's is not told.
    pub value: Option<Str>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it is a secret.
    pub sensitive: bool,
    /// Whether it can be changed at all.
    pub read_only: bool,
    /// Where a value could come from, the one in force first.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it means.
    pub documentation: Option<Str>,
}

/// A place where a value could come from.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigSynonym {
    /// The key there.
    pub name: Str,
    /// The value there.
    pub value: Option<Str>,
    /// Which place.
    pub source: ConfigSource,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic,
    /// Set on this broker, while it runs.
    DynamicBroker,
    /// Set on all brokers, while they run.
    DynamicDefaultBroker,
    /// In the broker's file.
    StaticBroker,
    /// Kafka's default.
    Default,
    /// Set on the broker's loggers.
    DynamicBrokerLogger,
    /// Set on the subscription.
    ClientMetrics,
    /// Set on the group.
    Group,
    /// A number this client does not know.
    Unknown,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterConfigOp {
    /// Which key.
    pub name: Str,
    /// How.
    pub change: ConfigChange,
}

/// How a key changes.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigChange {
    /// A new value.
    Set(Str),
    /// Back to the default.
    Delete,
    /// Adds to a list.
    Append(Str),
    /// Takes from a list.
    Subtract(Str),
}

/// Which offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first record there is.
    Earliest,
    /// The end.
    Latest,
    /// The record with the greatest timestamp.
    MaxTimestamp,
    /// The first record that is not older.
    Timestamp(WallMs),
}

/// An offset that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// `None`: there is no such record.
    pub offset: Option<Offset>,
    /// The record's timestamp, where the question was about one.
    pub timestamp: Option<WallMs>,
    /// The record's leader epoch.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// The cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: Str,
    /// The broker to send controller's work to.
    pub controller: Option<NodeId>,
    /// In order of ids.
    pub brokers: Vec<BrokerInfo>,
}

/// A broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerInfo {
    /// `node.id`
    pub node: NodeId,
    /// Where it listens.
    pub host: Str,
    /// Where it listens.
    pub port: u16,
    /// `broker.rack`
    pub rack: Option<Str>,
    /// Registered, but it may not serve.
    pub fenced: bool,
}

/// A partition that is being moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Reassignment {
    /// Which.
    pub partition: TopicPartition,
    /// All replicas.
    pub replicas: Vec<NodeId>,
    /// Those that come.
    pub adding: Vec<NodeId>,
    /// Those that go.
    pub removing: Vec<NodeId>,
}

impl BrokerInfo {
    /// An endpoint as answers name it; `None` if it names no place.
    pub(crate) fn endpoint(node_id: i32, host: &Str, port: i32, rack: &Option<Str>) -> Option<BrokerInfo> {
        let port = u16::try_from(port).ok().filter(|it| *it > 0)?;
        (node_id >= 0).then(|| BrokerInfo {
            node: NodeId(node_id),
            host: host.clone(),
            port,
            rack: rack.clone(),
            fenced: false,
        })
    }
}

impl ResourceType {
    /// The number on the wire.
    pub fn code(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::BrokerLogger => 8,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }

    /// The type of a number on the wire.
    pub fn from_code(code: i8) -> Option<ResourceType> {
        use ResourceType::{Broker, BrokerLogger, ClientMetrics, Group, Topic};
        [Topic, Broker, BrokerLogger, ClientMetrics, Group].into_iter().find(|it| it.code() == code)
    }
}

impl ConfigSource {
    /// The source of a number on the wire.
    pub fn from_code(code: i8) -> ConfigSource {
        match code {
            1 => ConfigSource::DynamicTopic,
            2 => ConfigSource::DynamicBroker,
            3 => ConfigSource::DynamicDefaultBroker,
            4 => ConfigSource::StaticBroker,
            5 => ConfigSource::Default,
            6 => ConfigSource::DynamicBrokerLogger,
            7 => ConfigSource::ClientMetrics,
            8 => ConfigSource::Group,
            _ => ConfigSource::Unknown,
        }
    }

    /// Kafka's name, as its tools print it.
    pub fn name(self) -> &'static str {
        match self {
            ConfigSource::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
            ConfigSource::Default => "DEFAULT_CONFIG",
            ConfigSource::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            ConfigSource::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            ConfigSource::Group => "DYNAMIC_GROUP_CONFIG",
            ConfigSource::Unknown => "UNKNOWN",
        }
    }
}

/// An item's result from its code.
pub(crate) fn item<T>(code: ErrorCode, message: Option<&str>, value: T) -> Result<T, Failure> {
    if code == ErrorCode::None { Ok(value) } else { Err(Failure::refused(code, message)) }
}
