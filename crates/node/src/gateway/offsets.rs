//! OffsetCommit, versions 2 to 10, OffsetFetch, versions 1 to 10 (KIP-88 all offsets, KIP-447 stable ones, KIP-709 several
//! groups), and OffsetDelete, version 0 (KIP-496). Since version 10 topics are named by their ids (KIP-848).

use ordered::Map;
use protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetFetchResponse};
use protocol::{ErrorCode, Now, ResponseBody, Str, Uuid};

use super::groups::{Parts, PendingGroups};
use crate::coordinator::{Ask, CommitAnswer, DeleteAnswer, refuse};
use crate::deferred::{Pending, Waiter};
use crate::image::Image;
use crate::node::Node;
use crate::outbox::Outbox;

impl Node {
    pub(crate) fn handle_offset_commit(
        &mut self,
        now: Now,
        waiter: Waiter,
        mut request: OffsetCommitRequest,
        out: &mut Outbox,
    ) {
        let by_id = waiter.version >= 10;
        let mut answer = CommitAnswer::default();
        let mut known = Vec::with_capacity(request.topics.len());
        for OffsetCommitRequestTopic { name, topic_id, partitions } in std::mem::take(&mut request.topics) {
            let topic = if by_id { self.image.topic_by_id(topic_id) } else { self.image.topic(&name) };
            let Some(topic) = topic else {
                let error = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
                for partition in partitions {
                    answer.add(&name, topic_id, partition.partition_index, error);
                }
                continue;
            };
            let (name, topic_id) = (topic.name.clone(), topic.id);
            let mut there = Vec::with_capacity(partitions.len());
            for partition in partitions {
                if topic.partitions.contains_key(&partition.partition_index) {
                    there.push(partition);
                } else {
                    let error = ErrorCode::UnknownTopicOrPartition;
                    answer.add(&name, topic_id, partition.partition_index, error);
                }
            }
            if !there.is_empty() {
                known.push(OffsetCommitRequestTopic { name, topic_id, partitions: there });
            }
        }
        request.topics = known;
        if request.topics.is_empty() {
            return self.answer(waiter, ResponseBody::OffsetCommit(answer.response), out);
        }
        match self.coordinator_of(&request.group_id) {
            Ok(key) => self.ask_groups(now, key, Ask::Commit(waiter, request, answer), out),
            Err(error) => {
                for topic in request.topics {
                    for partition in topic.partitions {
                        let index = partition.partition_index;
                        answer.add(&topic.name, topic.topic_id, index, error);
                    }
                }
                self.answer(waiter, ResponseBody::OffsetCommit(answer.response), out);
            }
        }
    }

    pub(crate) fn handle_offset_fetch(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: OffsetFetchRequest,
        out: &mut Outbox,
    ) {
        let is_stable = request.require_stable;
        let groups = if waiter.version < 8 { vec![only_group(request)] } else { request.groups };
        let mut response = OffsetFetchResponse::default();
        let (mut asked, mut places) = (Vec::new(), Map::new());
        for mut group in groups {
            let mut place = OffsetFetchResponseGroup { group_id: group.group_id.clone(), ..Default::default() };
            // A group that stands twice is answered once.
            if places.insert(group.group_id.clone(), response.groups.len()).is_some() {
                continue;
            }
            match self.coordinator_of(&group.group_id) {
                Ok(key) => {
                    if waiter.version >= 10 {
                        place.topics = self.name_topics(&mut group);
                    }
                    asked.push((key, group));
                }
                Err(error) => {
                    place.error_code = error.code();
                    if waiter.version < 2 {
                        place.topics = refused_topics(&group, error);
                    }
                }
            }
            response.groups.push(place);
        }
        let id = self.deferred.number();
        // One more than are asked, so that nothing is answered before all are.
        let pending = PendingGroups { waiter, parts: Parts::Fetched(response, places), outstanding: asked.len() + 1 };
        self.deferred.hold(id, Pending::Groups(pending));
        for (key, group) in asked {
            self.ask_groups(now, key, Ask::FetchOffsets(id, group, is_stable), out);
        }
        self.part_answered(id, out);
    }

    /// Finds the names of topics that are asked for by id; answers with those that are not there.
    fn name_topics(&self, group: &mut OffsetFetchRequestGroup) -> Vec<OffsetFetchResponseTopics> {
        let mut refused = Vec::new();
        let Some(topics) = &mut group.topics else { return refused };
        for mut topic in std::mem::take(topics) {
            match self.image.topic_by_id(topic.topic_id) {
                Some(known) => {
                    topic.name = known.name.clone();
                    topics.push(topic);
                }
                None => refused.push(refused_topic(&topic, ErrorCode::UnknownTopicId)),
            }
        }
        refused
    }

    pub(crate) fn handle_offset_delete(
        &mut self,
        now: Now,
        waiter: Waiter,
        mut request: OffsetDeleteRequest,
        out: &mut Outbox,
    ) {
        let mut answer = DeleteAnswer::default();
        let mut known = Vec::new();
        for OffsetDeleteRequestTopic { name, partitions } in std::mem::take(&mut request.topics) {
            let topic = self.image.topic(&name);
            let mut there = Vec::new();
            for partition in partitions {
                if topic.is_some_and(|it| it.partitions.contains_key(&partition.partition_index)) {
                    there.push(partition);
                } else {
                    let error = ErrorCode::UnknownTopicOrPartition;
                    answer.add(&name, partition.partition_index, error);
                }
            }
            if !there.is_empty() {
                known.push(OffsetDeleteRequestTopic { name, partitions: there });
            }
        }
        request.topics = known;
        match self.coordinator_of_named(&request.group_id) {
            Ok(key) => self.ask_groups(now, key, Ask::DeleteOffsets(waiter, request, answer), out),
            Err(error) => {
                let mut body = ResponseBody::OffsetDelete(answer.response);
                refuse(&mut body, error);
                self.answer(waiter, body, out);
            }
        }
    }
}

/// Up to version 7 there is one group.
fn only_group(request: OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            topic_id: Uuid::ZERO,
            partition_indexes: topic.partition_indexes,
        });
        topics.collect()
    });
    OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() }
}

fn refused_topics(group: &OffsetFetchRequestGroup, error: ErrorCode) -> Vec<OffsetFetchResponseTopics> {
    group.topics.iter().flatten().map(|topic| refused_topic(topic, error)).collect()
}

fn refused_topic(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(Str::new()),
        error_code: error.code(),
    });
    let partitions = partitions.collect();
    OffsetFetchResponseTopics { name: topic.name.clone(), topic_id: topic.topic_id, partitions }
}

/// The answer as its version has it: up to version 7 of one group, and with the topics' ids since version 10.
pub(super) fn in_version(image: &Image, version: i16, mut response: OffsetFetchResponse) -> OffsetFetchResponse {
    if version >= 10 {
        for group in &mut response.groups {
            for topic in group.topics.iter_mut().filter(|it| it.topic_id.is_zero()) {
                topic.topic_id = image.topic(&topic.name).map_or(Uuid::ZERO, |it| it.id);
            }
            // What is not known by an id cannot be told.
            group.topics.retain(|it| !it.topic_id.is_zero());
        }
        return response;
    }
    if version >= 8 {
        return response;
    }
    let Some(group) = response.groups.pop() else { return response };
    // Version 1 has no error but those of partitions.
    response.error_code = group.error_code;
    response.topics = group.topics.into_iter().map(single).collect();
    response
}

fn single(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|it| OffsetFetchResponsePartition {
        partition_index: it.partition_index,
        committed_offset: it.committed_offset,
        committed_leader_epoch: it.committed_leader_epoch,
        metadata: it.metadata,
        error_code: it.error_code,
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect() }
}
