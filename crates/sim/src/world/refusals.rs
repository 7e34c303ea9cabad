//! [`PlantedBug::ForgetsWhatIsAsked`](crate::setup::PlantedBug): what a follower's session held and its leader refused waits to
//! be forgotten until there is something to ask for, and if by then the same partition can be asked for again, both are said.

use ordered::{Map, Set};

use protocol::Uuid;
use protocol::messages::fetch_request::ForgottenTopic;
use protocol::messages::{FetchRequest, FetchResponse};

use crate::queue::Pid;

type Partition = (Uuid, i32);

/// What leaders have refused to followers that still have it in their sessions, by leader and follower.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Map<(Pid, Pid), Session>);

#[derive(Clone, Debug, Default)]
struct Session {
    /// With the leader epoch in which they were asked for.
    asked: Map<Partition, i32>,
    refused: Set<Partition>,
}

impl Refusals {
    /// Takes note of an answer.
    pub(super) fn answered(&mut self, way: (Pid, Pid), answer: &FetchResponse) {
        let Some(session) = self.0.get_mut(&way) else { return };
        for topic in answer.responses.iter().filter(|it| it.topic_id != Uuid::METADATA_TOPIC) {
            let refused = topic.partitions.iter().filter(|it| it.error_code != 0);
            session.refused.extend(refused.map(|it| (topic.topic_id, it.partition_index)));
        }
    }

    /// Plants the bug into a request.
    pub(super) fn forget(&mut self, way: (Pid, Pid), request: &mut FetchRequest) {
        if request.topics.iter().any(|it| it.topic_id == Uuid::METADATA_TOPIC) {
            return;
        }
        if request.session_epoch <= 0 {
            self.0.insert(way, Session::default());
        }
        let Some(session) = self.0.get_mut(&way) else { return };
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                session.asked.remove(&(topic.topic_id, *partition));
                session.refused.remove(&(topic.topic_id, *partition));
            }
        }
        let mut again = Vec::new();
        for topic in &request.topics {
            for partition in &topic.partitions {
                let key = (topic.topic_id, partition.partition);
                let before = session.asked.insert(key, partition.current_leader_epoch);
                // Of another epoch it is followed anew: what was to be forgotten was forgotten with that.
                if session.refused.remove(&key) && before == Some(partition.current_leader_epoch) {
                    again.push(key);
                }
            }
        }
        for (topic_id, partition) in again {
            let partitions = vec![partition];
            request.forgotten_topics_data.push(ForgottenTopic { topic_id, partitions, ..Default::default() });
        }
    }
}
