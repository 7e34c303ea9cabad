//! A fetch session (KIP-227): the broker remembers what is fetched, and only changes are sent.

use ordered::Map;

use protocol::messages::FetchRequest;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use protocol::{LeaderEpoch, Str, TopicPartition, Uuid};

/// What a session knows of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) topic_id: Uuid,
    pub(super) offset: i64,
    pub(super) leader_epoch: LeaderEpoch,
    /// Of the consumer's partition: an answer to an older one is stale. The broker never sees it.
    pub(super) generation: u64,
}

/// One session, with one broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    id: i32,
    /// 0 asks for a new session.
    epoch: i32,
    by_topic_id: bool,
    parts: Map<TopicPartition, Part>,
    asking: bool,
}

/// What an answer's error code means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionFate {
    GoesOn,
    /// The broker forgot it.
    Forgotten,
    /// It must be made anew; the old one is closed by that.
    Broken,
}

impl Session {
    pub(super) fn is_busy(&self) -> bool {
        self.asking
    }

    pub(super) fn is_asking(&self, partition: &TopicPartition) -> bool {
        self.asking && self.parts.contains_key(partition)
    }

    /// What was asked of a partition. A session's answer may speak of any partition in it.
    pub(super) fn part(&self, partition: &TopicPartition) -> Option<Part> {
        self.parts.get(partition).copied()
    }

    /// The name that the session knows a topic id by.
    pub(super) fn name_of(&self, id: Uuid) -> Option<Str> {
        self.parts.iter().find(|(_, part)| part.topic_id == id).map(|(partition, _)| partition.topic.clone())
    }

    /// The next request for exactly these partitions; answers whether it goes by topic ids.
    pub(super) fn request(
        &mut self,
        order: &[TopicPartition],
        wanted: Map<TopicPartition, Part>,
        max_bytes: i32,
        version: i16,
    ) -> (i16, FetchRequest) {
        let by_topic_id = version >= 13 && wanted.values().all(|it| !it.topic_id.is_zero());
        let version = if by_topic_id { version } else { version.min(12) };
        if by_topic_id != self.by_topic_id {
            self.epoch = 0;
        }
        self.by_topic_id = by_topic_id;
        let full = self.epoch == 0;
        let mut topics: Vec<FetchTopic> = Vec::new();
        for partition in order {
            let Some(part) = wanted.get(partition) else { continue };
            let same = |old: &Part| Part { generation: part.generation, ..*old } == *part;
            if !full && self.parts.get(partition).is_some_and(same) {
                continue;
            }
            let data = FetchPartition {
                partition: partition.partition,
                current_leader_epoch: part.leader_epoch.0,
                fetch_offset: part.offset,
                partition_max_bytes: max_bytes,
                ..Default::default()
            };
            let (topic, topic_id) = name_or_id(partition, part.topic_id, by_topic_id);
            match topics.iter_mut().find(|it| it.topic == topic && it.topic_id == topic_id) {
                Some(it) => it.partitions.push(data),
                None => topics.push(FetchTopic { topic, topic_id, partitions: vec![data] }),
            }
        }
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        if !full {
            // A topic that was created anew has another id: the old one is forgotten, the new one added.
            let gone = self
                .parts
                .iter()
                .filter(|(partition, old)| wanted.get(partition).is_none_or(|new| new.topic_id != old.topic_id));
            for (partition, old) in gone {
                let (topic, topic_id) = name_or_id(partition, old.topic_id, by_topic_id);
                match forgotten.iter_mut().find(|it| it.topic == topic && it.topic_id == topic_id) {
                    Some(it) => it.partitions.push(partition.partition),
                    None => forgotten.push(ForgottenTopic { topic, topic_id, partitions: vec![partition.partition] }),
                }
            }
        }
        self.parts = wanted;
        self.asking = true;
        let request = FetchRequest {
            session_id: self.id,
            session_epoch: self.epoch,
            topics,
            forgotten_topics_data: forgotten,
            ..Default::default()
        };
        (version, request)
    }

    /// An answer came.
    pub(super) fn handle(&mut self, fate: SessionFate, session_id: i32) {
        self.asking = false;
        match fate {
            SessionFate::GoesOn if session_id == 0 => {
                // The broker keeps no session: every request is full.
                (self.id, self.epoch) = (0, 0);
            }
            SessionFate::GoesOn if self.epoch == 0 => (self.id, self.epoch) = (session_id, 1),
            SessionFate::GoesOn => self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 },
            SessionFate::Forgotten => (self.id, self.epoch) = (0, 0),
            SessionFate::Broken => self.epoch = 0,
        }
    }
}

fn name_or_id(partition: &TopicPartition, id: Uuid, by_topic_id: bool) -> (Str, Uuid) {
    if by_topic_id { (Str::new(), id) } else { (partition.topic.clone(), Uuid::ZERO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(topic: &str, partition: i32, id: u8, offset: i64) -> (TopicPartition, Part) {
        let topic_id = Uuid([id; 16]);
        let part = Part { topic_id, offset, leader_epoch: LeaderEpoch(0), generation: 1 };
        (TopicPartition { topic: topic.into(), partition }, part)
    }

    fn ask(session: &mut Session, parts: &[(TopicPartition, Part)]) -> (i16, FetchRequest) {
        let order: Vec<TopicPartition> = parts.iter().map(|it| it.0.clone()).collect();
        session.request(&order, parts.iter().cloned().collect(), 100, 17)
    }

    #[test]
    fn only_changes_are_sent() {
        let mut session = Session::default();
        let (version, full) = ask(&mut session, &[part("a", 0, 1, 5), part("a", 1, 1, 0)]);
        assert_eq!((version, full.session_id, full.session_epoch, full.topics[0].partitions.len()), (17, 0, 0, 2));
        session.handle(SessionFate::GoesOn, 77);
        let (_, next) = ask(&mut session, &[part("a", 0, 1, 6), part("a", 1, 1, 0)]);
        assert_eq!((next.session_id, next.session_epoch), (77, 1));
        assert_eq!(
            next.topics[0].partitions.iter().map(|it| (it.partition, it.fetch_offset)).collect::<Vec<_>>(),
            [(0, 6)]
        );
        session.handle(SessionFate::GoesOn, 77);
        let (_, last) = ask(&mut session, &[part("a", 1, 1, 0)]);
        assert_eq!(last.topics, []);
        assert_eq!(last.forgotten_topics_data[0].partitions, [0]);
    }

    #[test]
    fn a_broken_session_is_closed_by_the_new_one() {
        let mut session = Session::default();
        ask(&mut session, &[part("a", 0, 1, 5)]);
        session.handle(SessionFate::GoesOn, 77);
        ask(&mut session, &[part("a", 0, 1, 5)]);
        session.handle(SessionFate::Broken, 0);
        let (_, request) = ask(&mut session, &[part("a", 0, 1, 5)]);
        assert_eq!((request.session_id, request.session_epoch, request.topics.len()), (77, 0, 1));
        session.handle(SessionFate::Forgotten, 0);
        let (_, request) = ask(&mut session, &[part("a", 0, 1, 5)]);
        assert_eq!((request.session_id, request.session_epoch), (0, 0));
    }

    #[test]
    fn a_topic_without_an_id_is_asked_by_name() {
        let mut session = Session::default();
        let (version, request) = ask(&mut session, &[part("a", 0, 0, 5)]);
        assert_eq!((version, &*request.topics[0].topic), (12, "a"));
    }
}
