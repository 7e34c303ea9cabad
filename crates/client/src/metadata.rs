//! What the client believes about the cluster: brokers, topics, leaders. It may be stale at any moment.

use ordered::{Map, Set};

use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{MetadataRequest, MetadataResponse};
use protocol::{ErrorCode, Instant, LeaderEpoch, NodeId, Now, Str, TopicPartition, Uuid};

use crate::admin::BrokerInfo;
use crate::backoff::exponential_ms;
use crate::config::ClientConfig;
use crate::outbox::PartitionInfo;
use crate::pattern::TopicPattern;
use crate::random::Random;

/// The cluster as the newest answers tell it.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    random: Random,
    /// Topics that someone here works with; every update asks for all of them.
    wanted: Map<Str, Wanted>,
    /// And that of whoever subscribes by a pattern, for which all topics are asked for.
    watched: Option<TopicPattern>,
    /// The question under way is for all of them.
    asks_all: bool,
    /// How often all of them were told.
    told_all: u64,
    topics: Map<Str, TopicMetadata>,
    brokers: Map<NodeId, BrokerInfo>,
    controller: Option<NodeId>,
    requested: bool,
    in_flight: bool,
    /// Since when an answer is wanted and has not come.
    attempted_at: Option<Instant>,
    failures: u32,
    answered_at: Option<Instant>,
    retry_at: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    /// No answer has named it yet.
    new: bool,
    /// Whether the broker may create it.
    auto_create: bool,
}

/// A topic as the newest answer tells it.
#[derive(Clone, Debug)]
pub(crate) struct TopicMetadata {
    pub(crate) error: ErrorCode,
    pub(crate) topic_id: Uuid,
    /// Of the brokers' own: a pattern does not mean it, unless `exclude.internal.topics` is false.
    internal: bool,
    pub(crate) partitions: Vec<PartitionMetadata>,
}

/// A partition as the newest answer tells it.
#[derive(Clone, Debug)]
pub(crate) struct PartitionMetadata {
    pub(crate) error: ErrorCode,
    pub(crate) info: PartitionInfo,
}

impl TopicMetadata {
    fn missing() -> TopicMetadata {
        let error = ErrorCode::UnknownTopicOrPartition;
        TopicMetadata { error, topic_id: Uuid::ZERO, internal: false, partitions: Vec::new() }
    }

    pub(crate) fn has(&self, partition: i32) -> bool {
        self.partitions.iter().any(|it| it.info.partition == partition)
    }

    /// The topic's error in Kafka's words.
    pub(crate) fn why(&self, name: &str) -> String {
        match self.error {
            ErrorCode::InvalidTopicException => format!("Invalid topics: [{name}]"),
            ErrorCode::TopicAuthorizationFailed => format!("Not authorized to access topics: [{name}]"),
            error => error.message().to_owned(),
        }
    }
}

impl Metadata {
    pub(crate) fn new(random: Random) -> Metadata {
        Metadata {
            random,
            wanted: Map::new(),
            watched: None,
            asks_all: false,
            told_all: 0,
            topics: Map::new(),
            brokers: Map::new(),
            controller: None,
            requested: false,
            in_flight: false,
            attempted_at: None,
            failures: 0,
            answered_at: None,
            retry_at: Instant(0),
        }
    }

    /// Someone works with this topic from now on.
    pub(crate) fn want(&mut self, topic: &Str, auto_create: bool) {
        let wanted = self.wanted.entry(topic.clone()).or_insert_with(|| {
            // Who watches may have heard of it without wanting it.
            let new = !self.topics.contains_key(topic);
            self.requested |= new;
            Wanted { new, auto_create }
        });
        if auto_create && !wanted.auto_create {
            wanted.auto_create = true;
            self.requested |= self.topics.get(topic).is_none_or(|it| it.error != ErrorCode::None);
        }
    }

    /// All topics are asked for from now on, and those that match are kept; `None` ends that.
    pub(crate) fn watch(&mut self, pattern: Option<TopicPattern>) {
        self.requested |= pattern.is_some();
        self.watched = pattern;
    }

    /// Nobody works with this topic any more. Only who watches finds topics gone that nobody named.
    pub(crate) fn forget(&mut self, topic: &str) {
        if self.watched.is_some() {
            self.wanted.remove(topic);
        }
    }

    /// The topics there are of those that are watched for.
    pub(crate) fn matching(&self, config: &ClientConfig) -> Set<Str> {
        let Some(pattern) = &self.watched else { return Set::new() };
        let is_meant = |name: &Str, topic: &TopicMetadata| {
            let is_hidden = topic.internal && config.exclude_internal_topics;
            topic.error == ErrorCode::None && !is_hidden && pattern.matches(name)
        };
        self.topics.iter().filter(|(name, topic)| is_meant(name, topic)).map(|(name, _)| name.clone()).collect()
    }

    /// How often all topics were told.
    pub(crate) fn told_all(&self) -> u64 {
        self.told_all
    }

    /// An answer that lacks nothing has come so lately that nobody is asked yet.
    pub(crate) fn is_fresh(&self, now: Now) -> bool {
        !self.in_flight && !self.requested && self.retry_at > now.mono
    }

    /// Something here proved wrong, or is missing.
    pub(crate) fn request_update(&mut self) {
        self.requested = true;
    }

    /// An answer has told of this topic, be it only that there is none.
    pub(crate) fn has_answered(&self, topic: &str) -> bool {
        self.wanted.get(topic).map_or(self.watched.is_some(), |it| !it.new)
    }

    pub(crate) fn topic(&self, topic: &str) -> Option<&TopicMetadata> {
        self.topics.get(topic)
    }

    pub(crate) fn partition(&self, partition: &TopicPartition) -> Option<&PartitionMetadata> {
        let index = usize::try_from(partition.partition).ok()?;
        self.topics.get(&partition.topic)?.partitions.get(index).filter(|it| it.info.partition == partition.partition)
    }

    /// The leader and its epoch, if there is one now and it is known where it listens.
    pub(crate) fn leader(&self, partition: &TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        let info = &self.partition(partition)?.info;
        let leader = info.leader.filter(|it| self.brokers.contains_key(it))?;
        Some((leader, info.leader_epoch.unwrap_or(LeaderEpoch::NONE)))
    }

    pub(crate) fn topic_id(&self, topic: &str) -> Uuid {
        self.topics.get(topic).map_or(Uuid::ZERO, |it| it.topic_id)
    }

    pub(crate) fn controller(&self) -> Option<NodeId> {
        self.controller.filter(|it| self.brokers.contains_key(it))
    }

    pub(crate) fn knows_broker(&self, node: NodeId) -> bool {
        self.brokers.contains_key(&node)
    }

    pub(crate) fn answered_at(&self) -> Option<Instant> {
        self.answered_at
    }

    /// Whether to ask now.
    pub(crate) fn due(&self, now: Now, config: &ClientConfig) -> bool {
        !self.in_flight && self.retry_at <= now.mono && (self.requested || self.expired(now, config))
    }

    fn expired(&self, now: Now, config: &ClientConfig) -> bool {
        self.answered_at.is_some_and(|at| at.plus_ms(config.metadata_max_age_ms) <= now.mono) && self.has_interest()
    }

    fn has_interest(&self) -> bool {
        !self.wanted.is_empty() || self.watched.is_some()
    }

    /// When to ask next.
    pub(crate) fn wake_at(&self, config: &ClientConfig) -> Option<Instant> {
        if self.in_flight {
            None
        } else if self.requested {
            Some(self.retry_at)
        } else {
            let age = self.answered_at.filter(|_| self.has_interest())?.plus_ms(config.metadata_max_age_ms);
            Some(age.max(self.retry_at))
        }
    }

    /// An answer is wanted from now on, if not before.
    pub(crate) fn attempt(&mut self, now: Now) {
        self.attempted_at.get_or_insert(now.mono);
    }

    /// When the bootstrap servers are to be asked again, since all others have told nothing for
    /// `metadata.recovery.rebootstrap.trigger.ms` (KIP-1102).
    pub(crate) fn rebootstrap_at(&self, config: &ClientConfig) -> Option<Instant> {
        let at = self.attempted_at.filter(|_| config.metadata_rebootstrap)?;
        // The last millisecond still has patience, as in Kafka, which counts no smaller ones: also a trigger of 0 lets one pass.
        Some(at.plus_ms(config.metadata_rebootstrap_trigger_ms.saturating_add(1)))
    }

    /// They are asked again: patience begins anew.
    pub(crate) fn rebootstrapped(&mut self, now: Now) {
        self.attempted_at = Some(now.mono);
        self.requested = true;
    }

    /// The question, for the topics of interest.
    pub(crate) fn request(&mut self, version: i16) -> MetadataRequest {
        self.in_flight = true;
        self.requested = false;
        self.asks_all = self.watched.is_some();
        let named = |name: &Str| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        // No list is "all" and an empty one "none", except in version 0, where an empty one is "all".
        let topics = match version {
            _ if !self.asks_all => Some(self.wanted.keys().map(named).collect()),
            0 => Some(Vec::new()),
            _ => None,
        };
        MetadataRequest {
            topics,
            allow_auto_topic_creation: version < 4 || self.wanted.values().any(|it| it.auto_create),
            ..Default::default()
        }
    }

    /// The question got no answer, or could not be asked.
    pub(crate) fn handle_lost(&mut self, now: Now, config: &ClientConfig) {
        self.in_flight = false;
        self.requested = true;
        self.back_off(now, config);
    }

    fn back_off(&mut self, now: Now, config: &ClientConfig) {
        let wait =
            exponential_ms(config.retry_backoff_ms, config.retry_backoff_max_ms, self.failures, &mut self.random);
        self.retry_at = now.mono.plus_ms(wait);
        self.failures = self.failures.saturating_add(1);
    }

    /// Takes over an answer.
    pub(crate) fn handle_answer(&mut self, body: MetadataResponse, now: Now, config: &ClientConfig) {
        self.in_flight = false;
        if body.brokers.is_empty() {
            // A broker that knows no broker, itself included, has not caught up; what was known is better.
            self.requested = true;
            self.back_off(now, config);
            return;
        }
        self.answered_at = Some(now.mono);
        self.attempted_at = None;
        self.controller = (body.controller_id >= 0).then_some(NodeId(body.controller_id));
        self.brokers = body
            .brokers
            .into_iter()
            .filter_map(|it| {
                let port = u16::try_from(it.port).ok()?;
                let node = NodeId(it.node_id);
                Some((node, BrokerInfo { node, host: it.host, port, rack: it.rack, fenced: false }))
            })
            .collect();
        let mut incomplete = false;
        let mut topics = Map::new();
        for topic in body.topics {
            let Some(name) = topic.name else { continue };
            let is_watched = || self.watched.as_ref().is_some_and(|it| it.matches(&name));
            if self.asks_all && !self.wanted.contains_key(&name) && !is_watched() {
                continue;
            }
            let error = ErrorCode::from_code(topic.error_code);
            incomplete |= error.is_retriable();
            let old = self.topics.get(&name).filter(|old| old.topic_id == topic.topic_id);
            let mut partitions: Vec<PartitionMetadata> = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let fresh = PartitionMetadata {
                    error: ErrorCode::from_code(partition.error_code),
                    info: partition_info(&partition),
                };
                incomplete |= fresh.error == ErrorCode::LeaderNotAvailable;
                let known =
                    old.and_then(|old| old.partitions.iter().find(|it| it.info.partition == fresh.info.partition));
                // A broker that lags answers with an older leader epoch; what was known is newer (KIP-320).
                partitions.push(match known {
                    Some(known) if known.info.leader_epoch > fresh.info.leader_epoch => known.clone(),
                    _ => fresh,
                });
            }
            ordered::sort_by_key(&mut partitions, |it| it.info.partition);
            if let Some(wanted) = self.wanted.get_mut(&name) {
                wanted.new = false;
            }
            topics.insert(
                name,
                TopicMetadata { error, topic_id: topic.topic_id, internal: topic.is_internal, partitions },
            );
        }
        if self.asks_all {
            self.told_all += 1;
            for (name, wanted) in &mut self.wanted {
                if !topics.contains_key(name) {
                    // As if it had been asked for by its name.
                    wanted.new = false;
                    incomplete = true;
                    topics.insert(name.clone(), TopicMetadata::missing());
                }
            }
        }
        self.topics = topics;
        // Topics that came to be wanted while the question was under way are not in the answer.
        incomplete |= self.wanted.iter().any(|(name, wanted)| wanted.new && !self.topics.contains_key(name));
        self.requested |= incomplete;
        if incomplete {
            self.back_off(now, config);
        } else {
            self.failures = 0;
            // Even good news is not asked for more often than this.
            self.retry_at = now.mono.plus_ms(config.retry_backoff_ms);
        }
    }

    /// A broker refused and named the leader it knows (KIP-951). True if that is news.
    pub(crate) fn update_leader(&mut self, partition: &TopicPartition, leader: NodeId, epoch: LeaderEpoch) -> bool {
        if !self.brokers.contains_key(&leader) {
            return false;
        }
        let Ok(index) = usize::try_from(partition.partition) else { return false };
        let known = self.topics.get_mut(&partition.topic).and_then(|topic| topic.partitions.get_mut(index));
        match known {
            Some(known) if known.info.leader_epoch.is_none_or(|it| it < epoch) => {
                known.info.leader = Some(leader);
                known.info.leader_epoch = Some(epoch);
                known.error = ErrorCode::None;
                true
            }
            _ => false,
        }
    }

    /// An endpoint that came along with a leader's name.
    pub(crate) fn add_broker(&mut self, broker: BrokerInfo) {
        self.brokers.insert(broker.node, broker);
    }

    pub(crate) fn brokers(&self) -> impl Iterator<Item = &BrokerInfo> {
        self.brokers.values()
    }

    pub(crate) fn topic_names(&self) -> Vec<Str> {
        self.topics.keys().cloned().collect()
    }
}

fn partition_info(partition: &protocol::messages::metadata_response::MetadataResponsePartition) -> PartitionInfo {
    let nodes = |ids: &[i32]| ids.iter().map(|id| NodeId(*id)).collect();
    PartitionInfo {
        partition: partition.partition_index,
        leader: (partition.leader_id >= 0).then_some(NodeId(partition.leader_id)),
        leader_epoch: (partition.leader_epoch >= 0).then_some(LeaderEpoch(partition.leader_epoch)),
        replicas: nodes(&partition.replica_nodes),
        isr: nodes(&partition.isr_nodes),
        offline: nodes(&partition.offline_replicas),
    }
}
