//! Metadata, versions 0 to 13 (KIP-4, KIP-516): brokers, topics and their leaders, and automatic creation of topics.
//!
//! Topics of the coordinators are never created this way, but by [`super::find_coordinator`].

use ordered::Set;

use protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use protocol::messages::{ErrorCode, MetadataRequest, MetadataResponse};
use protocol::{NodeId, ResponseBody, Str, Uuid};

use super::{Context, Step};
use crate::controller::{Outcome, check_name, is_internal};
use crate::image::directory::LOST;
use crate::image::{BrokerImage, Endpoint, Image, PartitionImage, TopicImage};

/// `authorized_operations` when nobody asked for them.
const NOT_ASKED: i32 = i32::MIN;
/// Every operation that there is on a topic, as bits of Kafka's `AclOperation`: without an authorizer all are allowed.
pub(super) const TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// Every operation that there is on a cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);

pub(super) const fn bits(operations: &[u8]) -> i32 {
    let (mut bits, mut index) = (0, 0);
    while index < operations.len() {
        bits |= 1 << operations[index];
        index += 1;
    }
    bits
}

/// Answers from committed metadata, and has missing topics created if that is allowed.
pub fn handle(context: &mut Context<'_>, request: MetadataRequest) -> Step {
    let version = context.version;
    let all = match &request.topics {
        None => true,
        // Version 0 has no null list.
        Some(topics) => version == 0 && topics.is_empty(),
    };
    let asked = request.topics.unwrap_or_default();
    // Versions 10 and 11 carry ids, but only the nil one (KIP-516).
    if version < 12 && asked.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_zero()) {
        // These versions of the answer have no null name.
        let named = |name: &Option<Str>| Some(name.clone().unwrap_or_default());
        let refused = asked.iter().map(|topic| missing(named(&topic.name), topic.topic_id, ErrorCode::InvalidRequest));
        return Step::Answer(response(context, refused.collect(), false));
    }
    let view = View { image: context.image, listener: &context.peer.listener, version };
    let mut topics = Vec::new();
    let mut absent = Vec::new();
    if all {
        topics.extend(context.image.topics().map(|topic| view.topic(topic)));
    } else if asked.iter().any(|topic| !topic.topic_id.is_zero()) {
        // One id makes it a request by ids; names beside them are not looked at, as in Kafka.
        let ids: Set<Uuid> = asked.iter().map(|topic| topic.topic_id).filter(|id| !id.is_zero()).collect();
        topics.extend(ids.into_iter().map(|id| match context.image.topic_by_id(id) {
            Some(topic) => view.topic(topic),
            None => missing(None, id, ErrorCode::UnknownTopicId),
        }));
    } else {
        let names: Set<Str> = asked.into_iter().filter_map(|topic| topic.name).collect();
        for name in names {
            match context.image.topic(&name) {
                Some(topic) => topics.push(view.topic(topic)),
                None if check_name(&name).is_err() => {
                    topics.push(missing(Some(name), Uuid::ZERO, ErrorCode::InvalidTopicException));
                }
                None => {
                    topics.push(missing(Some(name.clone()), Uuid::ZERO, ErrorCode::UnknownTopicOrPartition));
                    absent.push(name);
                }
            }
        }
    }
    if version >= 8 && request.include_topic_authorized_operations {
        topics.iter_mut().for_each(|topic| topic.topic_authorized_operations = TOPIC_OPERATIONS);
    }
    let reply = response(context, topics, request.include_cluster_authorized_operations);
    // Versions before 4 cannot forbid it; their field is true by default.
    absent.retain(|name| !is_internal(name) && !context.controller.has_decided(name));
    if absent.is_empty() || !request.allow_auto_topic_creation || !context.config.auto_create_topics_enable {
        return Step::Answer(reply);
    }
    if !context.controller.is_active() {
        return Step::Ask(absent, reply);
    }
    let records = context.controller.decide_auto_create(context.config, context.random, &absent);
    if records.is_empty() { Step::Answer(reply) } else { Step::Decided(Outcome { records, reply }) }
}

/// Names a broker to clients of a listener, though it may be fenced; the others are named in the order of their ids.
pub(super) fn name(image: &Image, id: NodeId, listener: &str, brokers: &mut Vec<MetadataResponseBroker>) {
    let Some(broker) = image.broker(id) else { return };
    let Some(endpoint) = broker.endpoints.get(listener) else { return };
    if let Err(place) = brokers.binary_search_by_key(&id.0, |it| it.node_id) {
        brokers.insert(place, named(broker, endpoint));
    }
}

fn named(broker: &BrokerImage, endpoint: &Endpoint) -> MetadataResponseBroker {
    MetadataResponseBroker {
        node_id: broker.id.0,
        host: endpoint.host.clone(),
        port: i32::from(endpoint.port),
        rack: broker.rack.clone(),
    }
}

fn response(context: &Context<'_>, topics: Vec<MetadataResponseTopic>, cluster_operations: bool) -> ResponseBody {
    let listener = &context.peer.listener;
    let alive = context.image.brokers().filter_map(|broker| Some((broker, reachable(broker, listener)?)));
    let brokers = alive.map(|(broker, endpoint)| named(broker, endpoint)).collect();
    let asked = (8..=10).contains(&context.version) && cluster_operations;
    ResponseBody::Metadata(MetadataResponse {
        controller_id: controller_id(context),
        brokers,
        cluster_id: Some(context.config.identity.cluster_id.clone()),
        topics,
        cluster_authorized_operations: if asked { CLUSTER_OPERATIONS } else { NOT_ASKED },
        ..MetadataResponse::default()
    })
}

/// Whom clients send what only a controller decides: any live broker passes it on, so this one if it lives.
pub(super) fn controller_id(context: &Context<'_>) -> i32 {
    let own = context.image.broker(context.config.node_id).filter(|broker| !broker.fenced);
    let any = || context.image.brokers().find(|broker| !broker.fenced);
    own.or_else(any).map_or(-1, |broker| broker.id.0)
}

/// Where clients of a listener reach a broker that is alive.
pub(super) fn reachable<'a>(broker: &'a BrokerImage, listener: &str) -> Option<&'a Endpoint> {
    broker.endpoints.get(listener).filter(|_| !broker.fenced)
}

/// Replicas that cannot be reached, or whose directory is offline.
pub(super) fn offline_replicas(image: &Image, partition: &PartitionImage, listener: &str) -> Vec<i32> {
    let is_offline = |replica: &NodeId| {
        let Some(broker) = image.broker(*replica) else { return true };
        let directory = partition.directory_of(*replica).unwrap_or(Uuid::ZERO);
        reachable(broker, listener).is_none() || !has_directory(broker, directory)
    };
    partition.replicas.iter().filter(|it| is_offline(it)).map(|it| it.0).collect()
}

/// True unless the replica is known to be in a directory that the broker does not have (any more). The first hundred ids are
/// reserved for directories that are not known.
fn has_directory(broker: &BrokerImage, directory: Uuid) -> bool {
    let reserved = directory.0[..15] == [0; 15] && directory.0[15] < 100;
    if reserved { directory != LOST } else { broker.directories.contains(&directory) }
}

fn missing(name: Option<Str>, topic_id: Uuid, error: ErrorCode) -> MetadataResponseTopic {
    let is_internal = name.as_deref().is_some_and(is_internal);
    MetadataResponseTopic {
        error_code: error.code(),
        is_internal,
        name,
        topic_id,
        topic_authorized_operations: NOT_ASKED,
        ..MetadataResponseTopic::default()
    }
}

/// Committed metadata as clients of one listener see it.
struct View<'a> {
    image: &'a Image,
    listener: &'a str,
    version: i16,
}

impl View<'_> {
    fn topic(&self, topic: &TopicImage) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().map(|(index, partition)| self.partition(*index, partition));
        MetadataResponseTopic {
            error_code: ErrorCode::None.code(),
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: is_internal(&topic.name),
            partitions: partitions.collect(),
            topic_authorized_operations: NOT_ASKED,
        }
    }

    fn partition(&self, index: i32, partition: &PartitionImage) -> MetadataResponsePartition {
        let reach =
            |node: &NodeId| self.image.broker(*node).and_then(|broker| reachable(broker, self.listener)).is_some();
        // Version 0 leaves unreachable replicas out and says so; later ones list them as offline.
        let shown = |nodes: &[NodeId]| -> Vec<i32> {
            nodes.iter().filter(|it| self.version > 0 || reach(it)).map(|it| it.0).collect()
        };
        let (replicas, isr) = (shown(&partition.replicas), shown(&partition.isr));
        let leader = partition.leader.filter(reach);
        let error = match (leader, partition.leader) {
            (None, Some(leader)) if self.version >= 6 && self.image.broker(leader).is_some_and(|it| !it.fenced) => {
                ErrorCode::ListenerNotFound
            }
            (None, _) => ErrorCode::LeaderNotAvailable,
            _ if replicas.len() < partition.replicas.len() || isr.len() < partition.isr.len() => {
                ErrorCode::ReplicaNotAvailable
            }
            _ => ErrorCode::None,
        };
        MetadataResponsePartition {
            error_code: error.code(),
            partition_index: index,
            leader_id: leader.map_or(-1, |it| it.0),
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: replicas,
            isr_nodes: isr,
            offline_replicas: offline_replicas(self.image, partition, self.listener),
        }
    }
}
