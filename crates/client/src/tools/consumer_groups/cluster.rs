//! The questions about groups and offsets, each asked of the node that can answer it.

use ordered::Map;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
};
use protocol::{ErrorCode, Str, TopicPartition, WallMs};

use super::group::{Coordinator, Group, Listed, classic_group, consumer_group, refused, unknown};
use super::wrapped;
use crate::admin::{AdminAnswer, AdminCall, Asked, OffsetSpec};
use crate::config::IsolationLevel;
use crate::tools::args::Trouble;
use crate::tools::asking::Asker;
use crate::tools::exception::{Refusal, exception, told};
use crate::tools::strange;
use crate::wire::{RequestBody, ResponseBody};

/// The last version of offset requests that names topics; later ones have their ids.
const BY_NAME: i16 = 9;
const NEWEST: i16 = i16::MAX;
/// Timestamps that stand for places in a log.
pub(super) const END: i64 = -1;
pub(super) const BEGINNING: i64 = -2;

/// Offsets of partitions.
pub(super) type Offsets = Map<TopicPartition, i64>;

/// A cluster whose groups are looked at.
pub(super) struct Cluster<'a>(pub(super) &'a Asker<'a>);

/// What a group has committed.
#[derive(Default)]
pub(super) struct Committed {
    pub(super) offsets: Offsets,
    /// Where they are known.
    pub(super) leader_epochs: Offsets,
}

/// Nobody leads a partition.
pub(super) const NOBODY: i64 = -1;

impl Cluster<'_> {
    /// The wall clock when the tool began.
    pub(super) fn now_ms(&self) -> i64 {
        self.0.began.0
    }

    /// All groups of consumers, by name; empty filters let all pass.
    pub(super) fn groups(&self, states: &[Str], types: &[Str]) -> Result<Vec<Listed>, String> {
        let body = ListGroupsRequest { states_filter: states.to_vec(), types_filter: types.to_vec() };
        let mut all = Vec::new();
        let question = AdminCall::DescribeCluster { include_fenced_brokers: false };
        let AdminAnswer::Cluster(cluster) = self.ask(question)? else { return Err(other("listNodes")) };
        for broker in &cluster.brokers {
            let question = self.0.words("listGroups", Asked::Broker(broker.node), body.clone().into(), NEWEST);
            let ResponseBody::ListGroups(answer) = question.map_err(|it| told(&it))? else {
                return Err(other("listGroups"));
            };
            refused(answer.error_code, None).map_err(|refusal| refusal.told())?;
            for it in answer.groups.iter().filter(|it| matches!(&*it.protocol_type, "" | "consumer")) {
                let (group, state, kind) = (it.group_id.clone(), it.group_state.clone(), it.group_type.clone());
                all.push(Listed { group, state, kind });
            }
        }
        // A group that moves meanwhile is as the last broker has it.
        all.reverse();
        ordered::sort_by(&mut all, |one, other| one.group.cmp(&other.group));
        all.dedup_by(|one, other| one.group == other.group);
        Ok(all)
    }

    fn ask(&self, call: AdminCall) -> Result<&AdminAnswer, String> {
        self.0.ask(call).map_err(|it| told(&it))
    }

    /// The group, or why its coordinator does not tell.
    pub(super) fn describe(&self, group: &Str) -> Result<Result<Group, Refusal>, String> {
        let body = ConsumerGroupDescribeRequest { group_ids: vec![group.clone()], ..Default::default() };
        // What this says of a group that is not there says more than the older question's answer.
        let message = match self.by_coordinator("describeConsumerGroups", group, body.into(), NEWEST, &consumer_group) {
            Ok(Ok(it)) => return Ok(Ok(it)),
            Ok(Err(it)) if it.error == ErrorCode::GroupIdNotFound => it.message,
            Ok(Err(it)) if it.error == ErrorCode::UnsupportedVersion => None,
            Ok(Err(refusal)) => return Ok(Err(refusal)),
            Err(why) if why.contains("UnsupportedVersionException") => None,
            Err(why) => return Err(why),
        };
        let body = DescribeGroupsRequest { groups: vec![group.clone()], ..Default::default() };
        match self.by_coordinator("describeConsumerGroups", group, body.into(), NEWEST, &classic_group)? {
            Ok(it) => it.map(Ok),
            Err(it) if it.error == ErrorCode::GroupIdNotFound => {
                Ok(Err(Refusal { message: message.or(it.message), ..it }))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// All that a group has committed.
    pub(super) fn committed(&self, group: &Str) -> Result<Committed, Trouble> {
        let asked = OffsetFetchRequestGroup { group_id: group.clone(), topics: None, ..Default::default() };
        let body = OffsetFetchRequest { groups: vec![asked], ..Default::default() };
        let read = |answer: &ResponseBody| {
            let ResponseBody::OffsetFetch(answer) = answer else { return Err(unknown()) };
            let answer = answer.groups.last().ok_or_else(unknown)?;
            refused(answer.error_code, None)?;
            let mut committed = Committed::default();
            for topic in &answer.topics {
                for it in &topic.partitions {
                    refused(it.error_code, None)?;
                    if it.committed_offset >= 0 {
                        let partition = TopicPartition { topic: topic.name.clone(), partition: it.partition_index };
                        if it.committed_leader_epoch >= 0 {
                            let epoch = i64::from(it.committed_leader_epoch);
                            committed.leader_epochs.insert(partition.clone(), epoch);
                        }
                        committed.offsets.insert(partition, it.committed_offset);
                    }
                }
            }
            Ok(committed)
        };
        let answer = self.by_coordinator("listConsumerGroupOffsets", group, body.into(), BY_NAME, &read);
        answer.and_then(|it| it.map_err(|refusal| refusal.told())).map_err(wrapped)
    }

    /// Commits in the name of a group that has no members.
    pub(super) fn commit(&self, group: &Str, offsets: &Offsets) -> Result<(), String> {
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for (partition, offset) in offsets {
            let it = OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: *offset,
                committed_metadata: Some(Str::default()),
                ..Default::default()
            };
            match topics.last_mut() {
                Some(topic) if topic.name == partition.topic => topic.partitions.push(it),
                _ => topics.push(OffsetCommitRequestTopic {
                    name: partition.topic.clone(),
                    partitions: vec![it],
                    ..Default::default()
                }),
            }
        }
        let body = OffsetCommitRequest { group_id: group.clone(), topics, ..Default::default() };
        let read = |answer: &ResponseBody| {
            let ResponseBody::OffsetCommit(answer) = answer else { return Err(unknown()) };
            answer.topics.iter().flat_map(|it| &it.partitions).try_for_each(|it| refused(it.error_code, None))
        };
        let told = self.by_coordinator("alterConsumerGroupOffsets", group, body.into(), BY_NAME, &read)?;
        told.map_err(|refusal| refusal.told())
    }

    /// Forgets commits of partitions, which are in order: what came of each, or why of none.
    pub(super) fn delete_offsets(
        &self,
        group: &Str,
        partitions: &[TopicPartition],
    ) -> Result<Result<Map<TopicPartition, Option<Refusal>>, Refusal>, String> {
        let asked = partitions.chunk_by(|one, other| one.topic == other.topic).map(|of| OffsetDeleteRequestTopic {
            name: of[0].topic.clone(),
            partitions: of.iter().map(|it| OffsetDeleteRequestPartition { partition_index: it.partition }).collect(),
        });
        let body = OffsetDeleteRequest { group_id: group.clone(), topics: asked.collect() };
        let read = |answer: &ResponseBody| {
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
        self.by_coordinator("deleteConsumerGroupOffsets", group, body.into(), NEWEST, &read)
    }

    /// Deletes a group and all that it has committed.
    pub(super) fn delete(&self, group: &Str) -> Result<Result<(), Refusal>, String> {
        let body = DeleteGroupsRequest { groups_names: vec![group.clone()] };
        let read = |answer: &ResponseBody| {
            let ResponseBody::DeleteGroups(answer) = answer else { return Err(unknown()) };
            let it = answer.results.first().ok_or_else(unknown)?;
            refused(it.error_code, None)
        };
        self.by_coordinator("deleteConsumerGroups", group, body.into(), NEWEST, &read)
    }

    /// Offsets by place or by time; -1 where no record is so young. All partitions have a leader.
    pub(super) fn offsets(&self, partitions: &[TopicPartition], at: i64) -> Result<Offsets, Trouble> {
        self.listed(partitions, at).map_err(wrapped)
    }

    fn listed(&self, partitions: &[TopicPartition], at: i64) -> Result<Offsets, String> {
        let mut found = Offsets::new();
        if partitions.is_empty() {
            return Ok(found);
        }
        let spec = match at {
            END => OffsetSpec::Latest,
            BEGINNING => OffsetSpec::Earliest,
            at => OffsetSpec::Timestamp(WallMs(at)),
        };
        let partitions = partitions.iter().map(|it| (it.clone(), spec)).collect();
        let question = AdminCall::ListOffsets { partitions, isolation_level: IsolationLevel::ReadUncommitted };
        let AdminAnswer::Offsets(answer) = self.ask(question)? else { return Err(other("listOffsets")) };
        for (partition, result) in answer {
            let listed = result.as_ref().map_err(told)?;
            found.insert(partition.clone(), listed.offset.map_or(-1, |it| it.0));
        }
        Ok(found)
    }

    /// The partitions of topics, in order, and who leads them.
    pub(super) fn partitions(&self, topics: &[Str]) -> Result<Offsets, String> {
        let mut known = Offsets::new();
        if topics.is_empty() {
            return Ok(known);
        }
        let question = AdminCall::DescribeTopics { topics: topics.to_vec() };
        let AdminAnswer::TopicsDescribed(answer) = self.ask(question)? else { return Err(other("describeTopics")) };
        for (topic, result) in answer {
            for it in &result.as_ref().map_err(told)?.partitions {
                let leader = it.leader.map_or(NOBODY, |it| i64::from(it.0));
                known.insert(TopicPartition { topic: topic.clone(), partition: it.partition }, leader);
            }
        }
        Ok(known)
    }

    /// Asks a group's coordinator, wherever it has moved to.
    fn by_coordinator<T>(
        &self,
        call: &'static str,
        group: &Str,
        body: RequestBody,
        latest: i16,
        read: &dyn Fn(&ResponseBody) -> Result<T, Refusal>,
    ) -> Result<Result<T, Refusal>, String> {
        let answer = self.0.words(call, Asked::Coordinator(group.clone()), body, latest);
        answer.map(read).map_err(|it| told(&it))
    }

    /// Who decides for a group.
    pub(super) fn coordinator(&self, group: &Str) -> Result<Coordinator, String> {
        let body = FindCoordinatorRequest { coordinator_keys: vec![group.clone()], ..Default::default() };
        let answer = self.0.words("findCoordinator", Asked::Anyone, body.into(), NEWEST).map_err(|it| told(&it))?;
        let ResponseBody::FindCoordinator(answer) = answer else { return Err(other("findCoordinator")) };
        let it = answer.coordinators.last().ok_or_else(|| other("findCoordinator"))?;
        refused(it.error_code, it.error_message.as_ref()).map_err(|refusal| refusal.told())?;
        Ok(Coordinator { id: it.node_id, port: port(it.port)?, host: it.host.clone() })
    }
}

/// The topics of partitions, each once.
pub(super) fn topics_of(partitions: &[TopicPartition]) -> Vec<Str> {
    let mut topics: Vec<Str> = partitions.iter().map(|it| it.topic.clone()).collect();
    ordered::sort(&mut topics);
    topics.dedup();
    topics
}

/// An answer to something else.
fn other(call: &str) -> String {
    strange(call).message
}

fn port(port: i32) -> Result<u16, String> {
    u16::try_from(port).map_err(|_| exception("ProtocolException", &format!("{port} is no port")))
}
