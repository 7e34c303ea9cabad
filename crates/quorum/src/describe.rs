//! DescribeQuorum, versions 0 to 2 (KIP-595, KIP-836, KIP-853): the leader's view of all replicas. Others refuse, as in Kafka,
//! but say what they know of a majority that is gone.

use protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse, describe_quorum_response};
use protocol::{ErrorCode, Now, Str};

use crate::leading::Progress;
use crate::role::Role;
use crate::voters::ReplicaKey;
use crate::{Output, Quorum, TOPIC, messages};

impl Quorum {
    pub(crate) fn handle_describe(
        &mut self,
        now: Now,
        token: u64,
        version: i16,
        request: &DescribeQuorumRequest,
        out: &mut Output,
    ) {
        let response = self.describe(now, version, request);
        self.reply(token, response, out);
    }

    fn describe(&self, now: Now, version: i16, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
        let is_ours = matches!(request.topics.as_slice(), [topic] if topic.topic_name == *TOPIC
            && matches!(topic.partitions.as_slice(), [partition] if partition.partition_index == 0));
        if !is_ours {
            return refusal(request, ErrorCode::UnknownTopicOrPartition, None);
        }
        let Role::Leader(leader) = &self.role else {
            let why = self.missing(now).map(|it| it.told(now));
            return refusal(request, ErrorCode::NotLeaderOrFollower, why);
        };
        let own = self.setup.key();
        let state = |key: ReplicaKey, it: Option<&Progress>| self.replica_state(now, version, key, it);
        let voters = self.voters().iter().map(|voter| {
            let key = ReplicaKey { id: voter.id, directory_id: voter.directory_id };
            if voter.is(own) { state(key, None) } else { state(key, Some(leader.progress(voter).unwrap_or(&UNSEEN))) }
        });
        let observers = leader.replicas.iter().filter(|(key, _)| !self.voters().contains(**key));
        let partition = describe_quorum_response::PartitionData {
            partition_index: 0,
            leader_id: self.setup.node.0,
            leader_epoch: self.epoch.0,
            high_watermark: leader.high_watermark.map_or(-1, |mark| mark.0),
            current_voters: voters.collect(),
            observers: observers.map(|(key, it)| state(*key, Some(it))).collect(),
            ..Default::default()
        };
        let nodes = self.voters().iter().filter(|_| version >= 2).map(|voter| describe_quorum_response::Node {
            node_id: voter.id.0,
            listeners: voter
                .endpoints
                .iter()
                .map(|(name, host, port)| describe_quorum_response::Listener {
                    name: name.clone(),
                    host: host.clone(),
                    port: *port,
                })
                .collect(),
        });
        let topic = describe_quorum_response::TopicData { topic_name: messages::topic(), partitions: vec![partition] };
        DescribeQuorumResponse { topics: vec![topic], nodes: nodes.collect(), ..Default::default() }
    }

    /// The leader itself has always fetched and is never behind.
    fn replica_state(
        &self,
        now: Now,
        version: i16,
        key: ReplicaKey,
        it: Option<&Progress>,
    ) -> describe_quorum_response::ReplicaState {
        let (end, fetched, caught_up) = match it {
            Some(it) => (it.end.map_or(-1, |end| end.0), it.last_fetch, it.last_caught_up),
            None => (self.log.synced_end().0, now.wall.0, now.wall.0),
        };
        describe_quorum_response::ReplicaState {
            replica_id: key.id.0,
            replica_directory_id: if version >= 2 { key.directory_id } else { protocol::Uuid::ZERO },
            log_end_offset: end,
            last_fetch_timestamp: fetched,
            last_caught_up_timestamp: caught_up,
        }
    }
}

/// A voter that has not fetched in this epoch.
const UNSEEN: Progress = Progress::unseen();

/// What is known beyond the error is said in its place.
fn refusal(request: &DescribeQuorumRequest, error: ErrorCode, why: Option<String>) -> DescribeQuorumResponse {
    let message = why.map_or_else(|| Str::from(error.message()), Str::from);
    let partition = |index: i32| describe_quorum_response::PartitionData {
        partition_index: index,
        error_code: error.code(),
        error_message: Some(message.clone()),
        ..Default::default()
    };
    let topics = request.topics.iter().map(|topic| describe_quorum_response::TopicData {
        topic_name: topic.topic_name.clone(),
        partitions: topic.partitions.iter().map(|it| partition(it.partition_index)).collect(),
    });
    DescribeQuorumResponse { topics: topics.collect(), ..Default::default() }
}
