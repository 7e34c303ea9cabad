//! Members of groups of the consumer protocol, who tell what they have and take what they hear.

use node::TopicPatterns;
use ordered::Map;
use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use protocol::messages::*;
use protocol::{RequestBody, ResponseBody, Str, Uuid};

use crate::common::Rig;

pub(crate) const GROUP: &str = "g";
pub(crate) const REBALANCE_MS: i32 = 60_000;

/// Regular expressions enough for tests: letters, `.`, and one of them any number of times.
#[derive(Debug)]
pub(crate) struct Wildcards;

impl TopicPatterns for Wildcards {
    fn matching(&self, pattern: &str, names: &mut dyn Iterator<Item = &Str>) -> Result<Vec<Str>, String> {
        if pattern.contains('(') {
            return Err("it is not closed".to_owned());
        }
        let prefix = pattern.trim_end_matches(".*");
        let is_open = prefix.len() < pattern.len();
        let fits = |name: &&Str| if is_open { name.starts_with(prefix) } else { **name == *prefix };
        Ok(names.filter(fits).cloned().collect())
    }
}

/// A member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    pub(crate) id: Str,
    pub(crate) epoch: i32,
    pub(crate) instance: Option<Str>,
    pub(crate) topics: Vec<Str>,
    pub(crate) pattern: Option<Str>,
    pub(crate) assignor: Option<Str>,
    /// Partitions by topic id.
    pub(crate) owned: Map<Uuid, Vec<i32>>,
}

impl Consumer {
    pub(crate) fn new(id: &str, topics: &[&str]) -> Consumer {
        Consumer { id: id.into(), topics: topics.iter().map(|it| Str::from(*it)).collect(), ..Consumer::default() }
    }

    pub(crate) fn of_instance(id: &str, instance: &str, topics: &[&str]) -> Consumer {
        Consumer { instance: Some(instance.into()), ..Consumer::new(id, topics) }
    }

    /// What it would send now: all that it knows, as a client that has just joined does.
    pub(crate) fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let owned = self
            .owned
            .iter()
            .map(|(topic_id, partitions)| TopicPartitions { topic_id: *topic_id, partitions: partitions.clone() });
        ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: REBALANCE_MS,
            subscribed_topic_names: Some(self.topics.clone()),
            subscribed_topic_regex: self.pattern.clone(),
            server_assignor: self.assignor.clone(),
            topic_partitions: Some(owned.collect()),
            ..ConsumerGroupHeartbeatRequest::default()
        }
    }

    /// Takes what it heard; its error.
    pub(crate) fn hear(&mut self, response: &ConsumerGroupHeartbeatResponse) -> ErrorCode {
        let error = ErrorCode::from_code(response.error_code);
        if error == ErrorCode::None {
            self.epoch = response.member_epoch;
            if let Some(assignment) = &response.assignment {
                let topics = assignment.topic_partitions.iter();
                self.owned = topics.map(|it| (it.topic_id, it.partitions.clone())).collect();
            }
        }
        error
    }

    /// Sends a heartbeat and hears the answer.
    pub(crate) fn beat(&mut self, rig: &mut Rig) -> ErrorCode {
        let response = heartbeat(rig, self.request());
        self.hear(&response)
    }

    /// Its partitions of the one topic.
    pub(crate) fn partitions(&self) -> Vec<i32> {
        self.owned.values().flatten().copied().collect()
    }
}

pub(crate) fn heartbeat(rig: &mut Rig, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    match rig.call(1, RequestBody::ConsumerGroupHeartbeat(request)) {
        ResponseBody::ConsumerGroupHeartbeat(response) => response,
        other => panic!("{other:?}"),
    }
}

/// All beat, again and again, until nothing changes any more.
pub(crate) fn settle(rig: &mut Rig, consumers: &mut [&mut Consumer]) {
    for _ in 0..20 {
        rig.advance(1_001);
        let before: Vec<Consumer> = consumers.iter().map(|it| (**it).clone()).collect();
        for consumer in consumers.iter_mut() {
            assert_eq!(consumer.beat(rig), ErrorCode::None);
        }
        let is_same = consumers.iter().zip(&before).all(|(it, old)| it.epoch == old.epoch && it.owned == old.owned);
        if is_same && describe(rig).group_state == *"Stable" {
            return;
        }
    }
    panic!("the group does not come to rest: {:?}", describe(rig));
}

pub(crate) fn describe(rig: &mut Rig) -> consumer_group_describe_response::DescribedGroup {
    let request = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.into()], ..Default::default() };
    match rig.call(1, RequestBody::ConsumerGroupDescribe(request)) {
        ResponseBody::ConsumerGroupDescribe(mut response) => response.groups.remove(0),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn state(rig: &mut Rig) -> String {
    describe(rig).group_state.to_string()
}
