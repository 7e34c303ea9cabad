//! The APIs of groups of the consumer protocol (KIP-848): ConsumerGroupHeartbeat 0 to 1, ConsumerGroupDescribe 0 to 1.

use protocol::messages::consumer_group_describe_response::DescribedGroup;
use protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest};
use protocol::{ErrorCode, Now, ResponseBody, Str};

use super::groups::{GROUP_OPERATIONS, address_of};
use crate::coordinator::{Ask, Assignor, Client, refused_heartbeat};
use crate::deferred::Waiter;
use crate::input::Peer;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::refusal::Refusal;

/// The feature that says whether there are such groups.
const GROUP_VERSION: &str = "group.version";

impl Node {
    pub(super) fn handle_consumer_group_heartbeat(
        &mut self,
        now: Now,
        waiter: Waiter,
        peer: &Peer,
        client_id: Option<Str>,
        request: ConsumerGroupHeartbeatRequest,
        out: &mut Outbox,
    ) {
        let asked = match self.serves_consumer_groups() {
            true => self.check_heartbeat(&request, waiter.version),
            false => Err(Refusal::of(ErrorCode::UnsupportedVersion)),
        };
        let asked = asked.and_then(|()| self.coordinator_of(&request.group_id).map_err(Refusal::of));
        match asked {
            Ok(key) => {
                let client = Client { id: client_id.unwrap_or_default(), host: address_of(peer) };
                self.ask_groups(now, key, Ask::ConsumerHeartbeat(waiter, client, request), out);
            }
            Err(refusal) => self.answer(waiter, refused_heartbeat(&refusal), out),
        }
    }

    pub(super) fn handle_consumer_group_describe(
        &mut self,
        waiter: Waiter,
        request: ConsumerGroupDescribeRequest,
        out: &mut Outbox,
    ) {
        let is_served = self.serves_consumer_groups();
        let mut groups = Vec::with_capacity(request.group_ids.len());
        for group_id in request.group_ids {
            let shard = match is_served {
                true => self.coordinator_of_named(&group_id).map(|key| self.groups.get(&key)),
                false => Err(ErrorCode::UnsupportedVersion),
            };
            let mut described = match shard {
                Ok(Some(shard)) => {
                    let assignor = self.config.groups.consumer.default_assignor();
                    shard.describe_consumers(&group_id, assignor, &self.image)
                }
                other => {
                    let error_code = other.err().unwrap_or(ErrorCode::NotCoordinator).code();
                    DescribedGroup { group_id, error_code, ..DescribedGroup::default() }
                }
            };
            if described.error_code == ErrorCode::None.code() && request.include_authorized_operations {
                described.authorized_operations = GROUP_OPERATIONS;
            }
            groups.push(described);
        }
        let response = ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() };
        self.answer(waiter, ResponseBody::ConsumerGroupDescribe(response), out);
    }

    fn serves_consumer_groups(&self) -> bool {
        self.config.groups.consumer.is_enabled && self.image.feature(GROUP_VERSION) >= 1
    }

    /// What can be wrong with a heartbeat, whatever the group is.
    fn check_heartbeat(&self, request: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), Refusal> {
        let invalid = |what: &str| Err(Refusal::new(ErrorCode::InvalidRequest, what));
        let is_blank = |text: Option<&Str>| text.is_some_and(|it| it.trim().is_empty());
        let epoch = request.member_epoch;
        // In version 0 the coordinator chose the ids of members.
        if (version >= 1 || epoch > 0 || epoch == -1) && is_blank(Some(&request.member_id)) {
            return invalid("MemberId is empty.");
        }
        if is_blank(Some(&request.group_id)) {
            return invalid("GroupId is empty.");
        }
        if is_blank(request.instance_id.as_ref()) {
            return invalid("InstanceId is empty.");
        }
        if is_blank(request.rack_id.as_ref()) {
            return invalid("RackId is empty.");
        }
        match epoch {
            0 if request.rebalance_timeout_ms == -1 => return invalid("Who joins says a RebalanceTimeoutMs."),
            0 if request.topic_partitions.as_ref().is_none_or(|it| !it.is_empty()) => {
                return invalid("Who joins has no partitions: TopicPartitions is to be empty.");
            }
            0 if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() => {
                return invalid("Who joins says SubscribedTopicNames or a SubscribedTopicRegex.");
            }
            -2 if request.instance_id.is_none() => return invalid("Who leaves for a while has an InstanceId."),
            ..-2 => return invalid("There is no such MemberEpoch."),
            _ => {}
        }
        let known = &self.config.groups.consumer.assignors;
        match &request.server_assignor {
            Some(name) if Assignor::named(name).is_none_or(|it| !known.contains(&it)) => {
                let known: Vec<&str> = known.iter().map(|it| it.name()).collect();
                let what = format!("There is no assignor {name} here; there is {}.", known.join(", "));
                Err(Refusal::new(ErrorCode::UnsupportedAssignor, what))
            }
            _ => Ok(()),
        }
    }
}
