//! The questions about groups and offsets, each asked of the node that can answer it.

use std::time::{Duration, Instant};

use ordered::Map;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    ListGroupsRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest,
};
use protocol::{ErrorCode, RequestBody, ResponseBody, Str, TopicPartition};

use super::group::{Coordinator, Group, Listed, classic_group, consumer_group, refused, unknown};
use crate::metadata_quorum::admin::{Admin, Failure, Refusal, exception};

/// The last version of offset requests that names topics; later ones have their ids.
const BY_NAME: i16 = 9;
const NEWEST: i16 = i16::MAX;
/// Timestamps that stand for places in a log.
pub(super) const END: i64 = -1;
pub(super) const BEGINNING: i64 = -2;

/// Offsets of partitions.
pub(super) type Offsets = Map<TopicPartition, i64>;

/// A cluster whose groups are looked at.
pub(super) struct Cluster {
    admin: Admin,
    timeout: Duration,
    backoff: Duration,
}

/// What a group has committed for a partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) leader_epoch: Option<i32>,
}

/// Topics, as one node knows them.
struct Metadata {
    nodes: Map<i32, (Str, u16)>,
    /// Partitions and their leaders.
    leaders: Map<TopicPartition, Option<i32>>,
}

impl Cluster {
    pub(super) fn new(config: client::ClientConfig) -> Cluster {
        let millis = |ms: i64| Duration::from_millis(ms.max(1).unsigned_abs());
        let (timeout, backoff) = (millis(config.default_api_timeout_ms), millis(config.retry_backoff_ms));
        Cluster { admin: Admin::new(config, false), timeout, backoff }
    }

    /// All groups of consumers, by name; empty filters let all pass.
    pub(super) fn groups(&self, states: &[Str], types: &[Str]) -> Result<Vec<Listed>, String> {
        let body = ListGroupsRequest { states_filter: states.to_vec(), types_filter: types.to_vec() };
        let mut all = Map::new();
        for broker in self.admin.cluster()?.brokers {
            let port = port(broker.port)?;
            let admin = self.admin.at(broker.host, port);
            let ResponseBody::ListGroups(answer) =
                admin.ask("listGroups", &body.clone().into(), ErrorCode::is_retriable)?
            else {
                return Err(strange("listGroups"));
            };
            for it in answer.groups.into_iter().filter(|it| matches!(&*it.protocol_type, "" | "consumer")) {
                all.insert(
                    it.group_id.clone(),
                    Listed { group: it.group_id, state: it.group_state, kind: it.group_type },
                );
            }
        }
        Ok(all.into_values().collect())
    }

    /// The group, or why its coordinator does not tell.
    pub(super) fn describe(&self, group: &Str) -> Result<Result<Group, Refusal>, String> {
        let body = ConsumerGroupDescribeRequest { group_ids: vec![group.clone()], ..Default::default() };
        // What this says of a group that is not there says more than the older question's answer.
        let message = match self.by_coordinator("describeConsumerGroups", group, &body.into(), NEWEST, &consumer_group)
        {
            Ok((coordinator, Ok(it))) => return Ok(Ok(Group { coordinator, ..it })),
            Ok((_, Err(it))) if it.error == ErrorCode::GroupIdNotFound => it.message,
            Ok((_, Err(it))) if it.error == ErrorCode::UnsupportedVersion => None,
            Ok((_, Err(refusal))) => return Ok(Err(refusal)),
            Err(why) if why.contains("UnsupportedVersionException") => None,
            Err(why) => return Err(why),
        };
        let body = DescribeGroupsRequest { groups: vec![group.clone()], ..Default::default() };
        let (coordinator, told) =
            self.by_coordinator("describeConsumerGroups", group, &body.into(), NEWEST, &classic_group)?;
        match told {
            Ok(it) => it.map(|it| Ok(Group { coordinator, ..it })),
            Err(it) if it.error == ErrorCode::GroupIdNotFound => {
                Ok(Err(Refusal { message: message.or(it.message), ..it }))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// All that a group has committed.
    pub(super) fn committed(&self, group: &Str) -> Result<Map<TopicPartition, Committed>, String> {
        let asked = OffsetFetchRequestGroup { group_id: group.clone(), topics: None, ..Default::default() };
        let body = OffsetFetchRequest { groups: vec![asked], ..Default::default() };
        let read = |answer: ResponseBody| {
            let ResponseBody::OffsetFetch(mut answer) = answer else { return Err(unknown()) };
            let answer = answer.groups.pop().ok_or_else(unknown)?;
            refused(answer.error_code, None)?;
            let mut committed = Map::new();
            for topic in answer.topics {
                for it in topic.partitions.iter() {
                    refused(it.error_code, None)?;
                    if it.committed_offset >= 0 {
                        let epoch = Some(it.committed_leader_epoch).filter(|it| *it >= 0);
                        let partition = TopicPartition { topic: topic.name.clone(), partition: it.partition_index };
                        committed.insert(partition, Committed { offset: it.committed_offset, leader_epoch: epoch });
                    }
                }
            }
            Ok(committed)
        };
        let (_, told) = self.by_coordinator("listConsumerGroupOffsets", group, &body.into(), BY_NAME, &read)?;
        told.map_err(|refusal| refusal.told())
    }

    /// Commits in the name of a group that has no members.
    pub(super) fn commit(&self, group: &Str, offsets: &Offsets) -> Result<(), String> {
        let asked = offsets.iter().map(|(partition, offset)| {
            let it = OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: *offset,
                committed_metadata: Some(Str::default()),
                ..Default::default()
            };
            (partition.topic.clone(), it)
        });
        let topics = by_topic(asked).into_iter().map(|(name, partitions)| OffsetCommitRequestTopic {
            name,
            partitions,
            ..Default::default()
        });
        let body = OffsetCommitRequest { group_id: group.clone(), topics: topics.collect(), ..Default::default() };
        let read = |answer: ResponseBody| {
            let ResponseBody::OffsetCommit(answer) = answer else { return Err(unknown()) };
            answer.topics.iter().flat_map(|it| &it.partitions).try_for_each(|it| refused(it.error_code, None))
        };
        let (_, told) = self.by_coordinator("alterConsumerGroupOffsets", group, &body.into(), BY_NAME, &read)?;
        told.map_err(|refusal| refusal.told())
    }

    /// Forgets commits: what came of each partition, or why of none.
    pub(super) fn delete_offsets(
        &self,
        group: &Str,
        partitions: &[TopicPartition],
    ) -> Result<Result<Map<TopicPartition, Option<Refusal>>, Refusal>, String> {
        let asked = partitions
            .iter()
            .map(|it| (it.topic.clone(), OffsetDeleteRequestPartition { partition_index: it.partition }));
        let topics =
            by_topic(asked).into_iter().map(|(name, partitions)| OffsetDeleteRequestTopic { name, partitions });
        let body = OffsetDeleteRequest { group_id: group.clone(), topics: topics.collect() };
        let read = |answer: ResponseBody| {
            let ResponseBody::OffsetDelete(answer) = answer else { return Err(unknown()) };
            refused(answer.error_code, None)?;
            let mut all = Map::new();
            for topic in &answer.topics {
                for it in &topic.partitions {
                    let partition = TopicPartition { topic: topic.name.clone(), partition: it.partition_index };
                    all.insert(partition, Refusal::of(it.error_code, None));
                }
            }
            Ok(all)
        };
        Ok(self.by_coordinator("deleteConsumerGroupOffsets", group, &body.into(), NEWEST, &read)?.1)
    }

    /// Deletes a group and all that it has committed.
    pub(super) fn delete(&self, group: &Str) -> Result<Result<(), Refusal>, String> {
        let body = DeleteGroupsRequest { groups_names: vec![group.clone()] };
        let read = |answer: ResponseBody| {
            let ResponseBody::DeleteGroups(answer) = answer else { return Err(unknown()) };
            let it = answer.results.first().ok_or_else(unknown)?;
            refused(it.error_code, None)
        };
        Ok(self.by_coordinator("deleteConsumerGroups", group, &body.into(), NEWEST, &read)?.1)
    }

    /// Offsets by place or by time; -1 where no record is so young. All partitions have a leader.
    pub(super) fn offsets(&self, partitions: &[TopicPartition], at: i64) -> Result<Offsets, String> {
        let ends = Instant::now() + self.timeout;
        let mut found = Offsets::new();
        let mut todo: Vec<TopicPartition> = partitions.to_vec();
        while !todo.is_empty() {
            let why = self.ask_leaders(&todo, at, ends, &mut found)?;
            todo.retain(|it| !found.contains_key(it));
            if !todo.is_empty() {
                self.wait("listOffsets", &why.unwrap_or_default(), ends)?;
            }
        }
        Ok(found)
    }

    /// The partitions of topics, in order, and whether they have a leader.
    pub(super) fn partitions(&self, topics: &[Str]) -> Result<Map<TopicPartition, bool>, String> {
        let leaders = self.metadata(topics)?.leaders;
        Ok(leaders.into_iter().map(|(partition, leader)| (partition, leader.is_some())).collect())
    }

    /// Asks each leader once; what passes is why some are not found.
    fn ask_leaders(
        &self,
        partitions: &[TopicPartition],
        at: i64,
        ends: Instant,
        found: &mut Offsets,
    ) -> Result<Option<String>, String> {
        let metadata = self.metadata(&topics_of(partitions))?;
        let mut by_leader: Map<i32, Vec<(Str, ListOffsetsPartition)>> = Map::new();
        let mut why = None;
        for it in partitions {
            let asked = ListOffsetsPartition { partition_index: it.partition, timestamp: at, ..Default::default() };
            match metadata.leaders.get(it) {
                None => return Err(Refusal::from(ErrorCode::UnknownTopicOrPartition).told()),
                Some(None) => why = Some(Refusal::from(ErrorCode::LeaderNotAvailable).told()),
                Some(Some(leader)) => by_leader.entry(*leader).or_default().push((it.topic.clone(), asked)),
            }
        }
        for (leader, asked) in by_leader {
            let Some(node) = metadata.nodes.get(&leader) else { continue };
            let topics = by_topic(asked.into_iter());
            let topics = topics.into_iter().map(|(name, partitions)| ListOffsetsTopic { name, partitions }).collect();
            let timeout_ms = i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX);
            let body = ListOffsetsRequest { replica_id: -1, isolation_level: 0, topics, timeout_ms };
            let answer = match self.admin.ask_by(node, &body.into(), NEWEST, |_| false, ends) {
                Ok(ResponseBody::ListOffsets(answer)) => answer,
                Ok(_) => return Err(strange("listOffsets")),
                Err(Failure::Final(why)) => return Err(why),
                Err(Failure::Passing(passing)) => {
                    why = Some(passing);
                    continue;
                }
            };
            for topic in answer.topics {
                for it in &topic.partitions {
                    match Refusal::of(it.error_code, None) {
                        Some(refusal) if refusal.error.is_retriable() => why = Some(refusal.told()),
                        Some(refusal) => return Err(refusal.told()),
                        None => {
                            let topic = topic.name.clone();
                            found.insert(TopicPartition { topic, partition: it.partition_index }, it.offset);
                        }
                    }
                }
            }
        }
        Ok(why)
    }

    fn metadata(&self, topics: &[Str]) -> Result<Metadata, String> {
        if topics.is_empty() {
            return Ok(Metadata { nodes: Map::new(), leaders: Map::new() });
        }
        let asked = topics.iter().map(|it| MetadataRequestTopic { name: Some(it.clone()), ..Default::default() });
        let body =
            MetadataRequest { topics: Some(asked.collect()), allow_auto_topic_creation: false, ..Default::default() };
        let ResponseBody::Metadata(answer) = self.admin.ask("describeTopics", &body.into(), ErrorCode::is_retriable)?
        else {
            return Err(strange("describeTopics"));
        };
        let mut metadata = Metadata { nodes: Map::new(), leaders: Map::new() };
        for it in answer.brokers {
            metadata.nodes.insert(it.node_id, (it.host, port(it.port)?));
        }
        for topic in answer.topics {
            refused(topic.error_code, None).map_err(|refusal| refusal.told())?;
            for it in &topic.partitions {
                let partition =
                    TopicPartition { topic: topic.name.clone().unwrap_or_default(), partition: it.partition_index };
                metadata.leaders.insert(partition, Some(it.leader_id).filter(|it| *it >= 0));
            }
        }
        Ok(metadata)
    }

    /// Asks a group's coordinator, wherever it has moved to.
    fn by_coordinator<T>(
        &self,
        call: &str,
        group: &Str,
        body: &RequestBody,
        latest: i16,
        read: &dyn Fn(ResponseBody) -> Result<T, Refusal>,
    ) -> Result<(Coordinator, Result<T, Refusal>), String> {
        let ends = Instant::now() + self.timeout;
        loop {
            let coordinator = self.coordinator(group)?;
            let node = (coordinator.host.clone(), coordinator.port);
            let why = match self.admin.ask_by(&node, body, latest, |_| false, ends) {
                Err(Failure::Final(why)) => return Err(why),
                Err(Failure::Passing(why)) => why,
                Ok(answer) => match read(answer) {
                    Err(refusal) if passes(refusal.error) => refusal.told(),
                    told => return Ok((coordinator, told)),
                },
            };
            self.wait(call, &why, ends)?;
        }
    }

    fn coordinator(&self, group: &Str) -> Result<Coordinator, String> {
        let body = FindCoordinatorRequest { coordinator_keys: vec![group.clone()], ..Default::default() };
        let ResponseBody::FindCoordinator(mut answer) =
            self.admin.ask("findCoordinator", &body.into(), ErrorCode::is_retriable)?
        else {
            return Err(strange("findCoordinator"));
        };
        let it = answer.coordinators.pop().ok_or_else(|| strange("findCoordinator"))?;
        Ok(Coordinator { id: it.node_id, port: port(it.port)?, host: it.host })
    }

    /// Until the next try, unless the time is up.
    fn wait(&self, call: &str, why: &str, ends: Instant) -> Result<(), String> {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(exception("TimeoutException", &format!("Call(callName={call}) timed out ({why})")));
        }
        std::thread::sleep(self.backoff.min(left));
        Ok(())
    }
}

/// The topics of partitions, each once.
pub(super) fn topics_of(partitions: &[TopicPartition]) -> Vec<Str> {
    let mut topics: Vec<Str> = partitions.iter().map(|it| it.topic.clone()).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

fn by_topic<T>(items: impl Iterator<Item = (Str, T)>) -> Map<Str, Vec<T>> {
    let mut topics: Map<Str, Vec<T>> = Map::new();
    for (topic, item) in items {
        topics.entry(topic).or_default().push(item);
    }
    topics
}

/// The coordinator is elsewhere, or will be ready in a moment.
fn passes(error: ErrorCode) -> bool {
    use ErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator, UnstableOffsetCommit};
    matches!(error, CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator | UnstableOffsetCommit)
}

fn strange(call: &str) -> String {
    exception("ProtocolException", &format!("The answer is none to {call}"))
}

fn port(port: i32) -> Result<u16, String> {
    u16::try_from(port).map_err(|_| exception("ProtocolException", &format!("{port} is no port")))
}
