//! The cluster's metadata: one persistent map, one `apply`.
//!
//! The controller's image is speculative, the broker's committed, a snapshot's frozen: three cheap clones of this type.
//! It changes only by [`Image::apply`], in the order of the metadata log, so equal logs give equal images on every node.

mod apply;
mod cluster;
pub mod directory;
mod snapshot;
mod topic;

use ordered::SharedMap;
use protocol::{NodeId, Offset, Str, Uuid};

pub use apply::ImageError;
pub use cluster::{BrokerImage, ControllerImage, Endpoint, SecurityProtocol, VersionRange};
pub(crate) use snapshot::FrozenImage;
pub use topic::{PartitionImage, TopicImage};

/// What kind of resource a configuration belongs to. Kafka's numbers, as in `ConfigRecord` and the config APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// A topic, by name.
    Topic,
    /// A broker by its number as text, or all of them by the empty name.
    Broker,
    /// Subscriptions to client metrics (KIP-714).
    ClientMetrics,
    /// A group, by its id.
    Group,
}

impl ResourceType {
    /// Kafka's number.
    pub const fn id(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }

    /// The type with Kafka's number. `BROKER_LOGGER` (8) has no stored configuration, so it is not here.
    pub const fn from_id(id: i8) -> Option<ResourceType> {
        match id {
            2 => Some(ResourceType::Topic),
            4 => Some(ResourceType::Broker),
            16 => Some(ResourceType::ClientMetrics),
            32 => Some(ResourceType::Group),
            _ => None,
        }
    }
}

/// What a configuration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceType,
    /// Its name; empty for the default of all brokers.
    pub name: Str,
}

impl Resource {
    /// A topic's configuration.
    pub fn topic(name: &Str) -> Resource {
        Resource { kind: ResourceType::Topic, name: name.clone() }
    }

    /// One broker's configuration.
    pub fn broker(id: NodeId) -> Resource {
        Resource { kind: ResourceType::Broker, name: Str::from(id.to_string()) }
    }

    /// The default configuration of all brokers.
    pub fn all_brokers() -> Resource {
        Resource { kind: ResourceType::Broker, name: Str::new() }
    }
}

/// Settings of one resource, by key.
pub type Settings = SharedMap<Str, Str>;

/// The cluster's metadata up to an offset. A clone costs a reference count for some dozens of
/// topics, and shares with the original what neither changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    next_offset: Offset,
    topics: SharedMap<Str, TopicImage>,
    topic_names: SharedMap<Uuid, Str>,
    brokers: SharedMap<NodeId, BrokerImage>,
    controllers: SharedMap<NodeId, ControllerImage>,
    configs: SharedMap<Resource, Settings>,
    features: SharedMap<Str, i16>,
    producer_ids_end: i64,
}

impl Image {
    /// One past the last record applied: 0 for a cluster without a history.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// A topic by name.
    pub fn topic(&self, name: &str) -> Option<&TopicImage> {
        self.topics.get(name)
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&TopicImage> {
        self.topics.get(self.topic_names.get(&id)?)
    }

    /// A partition by its topic's name and its number.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionImage> {
        self.topic(topic)?.partitions.get(&partition)
    }

    /// All topics, in order of name.
    pub fn topics(&self) -> impl Iterator<Item = &TopicImage> {
        self.topics.values()
    }

    /// The topics whose names are not less than `name`, in order of name.
    pub fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a TopicImage> {
        self.topics.range(Str::from(name)..).map(|(_, topic)| topic)
    }

    /// A broker's registration.
    pub fn broker(&self, id: NodeId) -> Option<&BrokerImage> {
        self.brokers.get(&id)
    }

    /// All registered brokers, in order of id, fenced ones included.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerImage> {
        self.brokers.values()
    }

    /// A controller's registration.
    pub fn controller(&self, id: NodeId) -> Option<&ControllerImage> {
        self.controllers.get(&id)
    }

    /// All registered controllers, in order of id.
    pub fn controllers(&self) -> impl Iterator<Item = &ControllerImage> {
        self.controllers.values()
    }

    /// The settings made for a resource; `None` when there are none.
    pub fn settings(&self, resource: &Resource) -> Option<&Settings> {
        self.configs.get(resource)
    }

    /// One setting made for a resource.
    pub fn setting(&self, resource: &Resource, key: &str) -> Option<&Str> {
        self.configs.get(resource)?.get(key)
    }

    /// The resources for which settings were made.
    pub fn configured(&self) -> impl Iterator<Item = &Resource> {
        self.configs.keys()
    }

    /// The finalized level of a feature; 0 when it was never finalized.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// All finalized features, in order of name.
    pub fn features(&self) -> impl Iterator<Item = (&Str, i16)> {
        self.features.iter().map(|(name, level)| (name, *level))
    }

    /// The first producer id that belongs to no block yet.
    pub fn producer_ids_end(&self) -> i64 {
        self.producer_ids_end
    }

    /// True if a broker is registered, and its directory with a replica is online, or nobody knows that it is not.
    pub(crate) fn has_directory(&self, id: NodeId, partition: &PartitionImage) -> bool {
        let Some(broker) = self.broker(id) else { return false };
        partition.directory_of(id).is_none_or(|it| broker.has_online(it))
    }

    /// True if a live broker: registered, not fenced, not shutting down.
    pub fn is_active(&self, id: NodeId) -> bool {
        self.broker(id).is_some_and(|broker| !broker.fenced && !broker.in_controlled_shutdown)
    }
}
