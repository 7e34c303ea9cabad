//! FindCoordinator, versions 0 to 6 (KIP-699 batches): which broker leads the partition of a group.
//!
//! - The offsets topic is created when somebody asks for the first group, by the controller and with the `offsets.topic.*` of
//!   this broker; until it is there, and has a leader, the answer is COORDINATOR_NOT_AVAILABLE.
//! - Gap: there are no coordinators of share groups. Who asks for one gets COORDINATOR_NOT_AVAILABLE, as from Kafka while
//!   their topic cannot be created.
//! - Gap: there are no transactions. Whose transactional id it is gets TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which librdkafka
//!   and the Java client take for final: with most others librdkafka asks on until its user's patience ends.

use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::find_coordinator_response::Coordinator;
use protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use protocol::{ErrorCode, ResponseBody, Str};

use super::metadata::reachable;
use crate::coordinator::{OFFSETS_TOPIC, partition_of};
use crate::deferred::Waiter;
use crate::input::Peer;
use crate::node::Node;
use crate::outbox::Outbox;

/// Types of keys.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// What who asks for the coordinator of a transaction is told.
const NO_TRANSACTIONS: &str = "this broker serves no transactions yet: unset transactional.id";

impl Node {
    pub(crate) fn handle_find_coordinator(
        &mut self,
        waiter: Waiter,
        peer: &Peer,
        request: FindCoordinatorRequest,
        out: &mut Outbox,
    ) {
        let key_type = request.key_type;
        let response = if waiter.version < 4 {
            let found = self.find_coordinator(waiter.version, peer, key_type, request.key, out);
            let error = ErrorCode::from_code(found.error_code);
            let message = if error == ErrorCode::None { "NONE" } else { error.message() };
            FindCoordinatorResponse {
                error_code: found.error_code,
                error_message: found.error_message.or(Some(Str::from_static(message))),
                node_id: found.node_id,
                host: found.host,
                port: found.port,
                ..FindCoordinatorResponse::default()
            }
        } else {
            let keys = request.coordinator_keys.into_iter();
            let coordinators = keys.map(|key| self.find_coordinator(waiter.version, peer, key_type, key, out));
            let coordinators = coordinators.collect();
            FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
        };
        self.answer(waiter, ResponseBody::FindCoordinator(response), out);
    }

    fn find_coordinator(&mut self, version: i16, peer: &Peer, key_type: i8, key: Str, out: &mut Outbox) -> Coordinator {
        let nobody = |key: Str, error: ErrorCode| Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: error.code(),
            ..Coordinator::default()
        };
        match key_type {
            GROUP => {}
            TRANSACTION => {
                let refused = nobody(key, ErrorCode::TransactionalIdAuthorizationFailed);
                return Coordinator { error_message: Some(Str::from_static(NO_TRANSACTIONS)), ..refused };
            }
            SHARE if version >= 6 => return nobody(key, ErrorCode::CoordinatorNotAvailable),
            _ => return nobody(key, ErrorCode::InvalidRequest),
        }
        let Some(topic) = self.image.topic(OFFSETS_TOPIC) else {
            self.ask_for_offsets_topic(out);
            return nobody(key, ErrorCode::CoordinatorNotAvailable);
        };
        let partition = topic.partitions.get(&partition_of(&key, topic.partitions.len()));
        let leader = partition.and_then(|it| it.leader).and_then(|it| self.image.broker(it));
        let found = leader.and_then(|it| Some((it.id, reachable(it, &peer.listener)?)));
        match found {
            Some((id, endpoint)) => Coordinator {
                node_id: id.0,
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                ..nobody(key, ErrorCode::None)
            },
            None => nobody(key, ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// Has the controller create the topic of groups and offsets.
    pub(crate) fn ask_for_offsets_topic(&mut self, out: &mut Outbox) {
        let config = &self.config.groups;
        // What its configuration says of the quorum is no more than what it began with; others may have joined since.
        let is_alone = self.config.is_alone() && self.image.brokers().count() <= 1;
        let is_given = self.config.explicit("offsets.topic.replication.factor").is_some();
        let replication_factor = if is_alone && !is_given { 1 } else { config.topic_replication_factor };
        let segment_bytes = config.topic_segment_bytes.to_string();
        let configs =
            [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", &segment_bytes)];
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: Str::from_static(name), value: Some(Str::from(*value)) });
        let topic = CreatableTopic {
            name: Str::from_static(OFFSETS_TOPIC),
            num_partitions: config.topic_partitions,
            replication_factor,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        self.ask_for_creation(vec![topic], out);
    }
}
