//! Members of groups that subscribe to topics by a pattern, against scripted coordinators.

use client::wire::{ApiKey, RequestBody, ResponseBody};
use client::{Cause, MemberState, Operation, Outcome, TopicPattern};
use protocol::message::{decode_versioned, encode_versioned};
use protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, JoinGroupRequest, SyncGroupResponse,
    consumer_protocol_assignment,
};
use protocol::{ErrorCode, Str, Uuid};

use crate::members::told_owned;
use crate::stage::{Stage, Topic, partition};

const MAX_AGE_MS: u64 = 5_000;

/// Topics that begin with a t, also behind two underscores.
fn pattern() -> TopicPattern {
    TopicPattern::new("(__)?t.*", |topic| topic.trim_start_matches('_').starts_with('t'))
}

impl Stage {
    /// A member that has just subscribed by a pattern and polls, where there is more than what matches.
    fn by_pattern(settings: &[(&str, &str)]) -> Stage {
        let age = MAX_AGE_MS.to_string();
        let mut all = vec![("group.id", "g"), ("enable.auto.commit", "false"), ("metadata.max.age.ms", &age)];
        if !settings.contains(&("group.protocol", "consumer")) {
            all.extend([("session.timeout.ms", "60000"), ("heartbeat.interval.ms", "1000")]);
        }
        all.extend(settings);
        let mut stage = Stage::new(&all).topic("t", &[1, 1]).topic("t2", &[1]).topic("other", &[1]).topic("__t", &[1]);
        stage.start(Operation::SubscribePattern(pattern()));
        stage.poll(600_000);
        stage
    }

    fn create(&mut self, name: &str) {
        let id = Uuid([u8::try_from(self.topics.len()).unwrap() + 100; 16]);
        self.topics.insert(name.into(), Topic { id, leaders: vec![1], epoch: 0, error: ErrorCode::None });
    }

    /// Answers what comes before the next request of this API, as a coordinator with which all is well.
    fn answer_until(&mut self, api: ApiKey) {
        self.without_fetches();
        while let Some((_, request)) = self.requests.front() {
            match request.body.api_key() {
                found if found == api => return,
                ApiKey::OffsetFetch => drop(self.committed_at(0)),
                ApiKey::Heartbeat => self.beat(ErrorCode::None),
                ApiKey::ConsumerGroupHeartbeat => drop(self.told(ErrorCode::None, 1, None)),
                other => panic!("{} comes before {}", other.name(), api.name()),
            }
            self.without_fetches();
        }
    }

    /// Lets it join a generation that another member leads; the topics it names.
    fn follow(&mut self, generation: i32) -> Vec<Str> {
        self.answer_until(ApiKey::JoinGroup);
        named(&self.join(generation, "range", &[]))
    }

    fn given(&mut self, partitions: &[(&str, i32)]) {
        let topics = partitions.iter().map(|(topic, partition)| consumer_protocol_assignment::TopicPartition {
            topic: (*topic).into(),
            partitions: vec![*partition],
        });
        let mut body = ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None };
        let assignment = encode_versioned(&mut body, 3).unwrap();
        self.answer_until(ApiKey::SyncGroup);
        let (conn, request) = self.take(ApiKey::SyncGroup);
        let body = SyncGroupResponse { assignment, ..Default::default() };
        self.answer(conn, &request, ResponseBody::SyncGroup(body));
        self.pause();
    }

    /// Reads nothing: a fetch that is not answered would hold back what is asked behind it on the same connection.
    fn pause(&mut self) {
        let owned = self.client.view().group.unwrap().owned;
        self.start(Operation::Pause(owned));
    }

    fn joins(&self) -> usize {
        self.requests.iter().filter(|(_, it)| it.body.api_key() == ApiKey::JoinGroup).count()
    }

    /// Lets time pass until what it knows of topics is too old.
    fn age(&mut self) {
        self.advance(MAX_AGE_MS);
    }

    fn owned_topics(&self) -> Vec<Str> {
        self.client.view().group.unwrap().owned.into_iter().map(|it| it.topic).collect()
    }
}

/// The topics that a member joins with.
fn named(asked: &JoinGroupRequest) -> Vec<Str> {
    let (_, body) = decode_versioned::<ConsumerProtocolSubscription>(asked.protocols[0].metadata.clone()).unwrap();
    body.topics
}

#[test]
fn a_member_joins_with_all_that_match_and_again_when_others_do() {
    let mut stage = Stage::by_pattern(&[]);
    assert_eq!(stage.follow(1), ["t", "t2"]);
    stage.given(&[("t", 0), ("t2", 0)]);
    assert_eq!((stage.state(), stage.owned_topics()), (MemberState::Member, vec!["t".into(), "t2".into()]));
    assert_eq!(stage.metadata_requests, stage.metadata_requests_for_all, "nobody else wants a topic");
    stage.create("other2");
    stage.age();
    assert_eq!(stage.joins(), 0, "what does not match is nothing new");
    stage.create("t3");
    stage.age();
    assert_eq!(stage.follow(2), ["t", "t2", "t3"]);
    stage.given(&[("t", 0), ("t3", 0)]);
    stage.topics.remove("t2");
    stage.age();
    assert_eq!(stage.follow(3), ["t", "t3"]);
}

/// A topic that is gone is not looked for, as one is that was named.
#[test]
fn a_topic_that_is_gone_is_not_asked_for_again_and_again() {
    let mut stage = Stage::by_pattern(&[]);
    stage.follow(1);
    stage.given(&[("t", 0), ("t2", 0)]);
    stage.topics.remove("t2");
    stage.age();
    // What it reads is not there: it asks once more, and joins when that is answered.
    stage.advance(200);
    assert_eq!(stage.follow(2), ["t"]);
    stage.given(&[("t", 0)]);
    let asked = stage.metadata_requests;
    stage.age();
    stage.age();
    assert_eq!(stage.metadata_requests - asked, 2, "no more often than it gets too old");
}

/// Else each member would find the new topic at another time, and have the group rebalance for it.
#[test]
fn before_it_joins_again_it_looks_which_topics_there_are() {
    let mut stage = Stage::by_pattern(&[]);
    stage.follow(1);
    stage.given(&[("t", 0)]);
    stage.advance(900);
    stage.create("t3");
    stage.advance(100);
    stage.answer_until(ApiKey::Heartbeat);
    stage.beat(ErrorCode::RebalanceInProgress);
    assert_eq!(stage.follow(2), ["t", "t2", "t3"]);
    stage.given(&[("t", 0)]);
    assert_eq!((stage.state(), stage.joins()), (MemberState::Member, 0));
}

/// A question without a good answer is no look.
#[test]
fn before_it_joins_again_it_waits_for_a_question_that_is_to_be_asked_again() {
    let lost: fn(&mut Stage) = |stage| stage.loses_metadata = true;
    let without_brokers: fn(&mut Stage) = |stage| stage.metadata_error = ErrorCode::UnknownServerError;
    for goes_wrong in [lost, without_brokers] {
        let mut stage = Stage::by_pattern(&[]);
        stage.follow(1);
        stage.given(&[("t", 0)]);
        stage.advance(MAX_AGE_MS - 1);
        stage.create("t3");
        stage.answer_until(ApiKey::Heartbeat);
        let told = stage.client.view().metadata_at;
        goes_wrong(&mut stage);
        stage.advance(1);
        stage.beat(ErrorCode::RebalanceInProgress);
        assert_eq!((stage.joins(), stage.client.view().metadata_at), (0, told));
        stage.advance(200);
        assert_eq!(stage.follow(2), ["t", "t2", "t3"]);
        stage.given(&[("t", 0)]);
        assert_eq!((stage.state(), stage.joins()), (MemberState::Member, 0));
    }
}

#[test]
fn of_topics_that_match_the_leader_may_know_more() {
    let mut stage = Stage::by_pattern(&[]);
    stage.follow(1);
    stage.create("t9");
    stage.given(&[("t9", 0)]);
    assert_eq!((stage.state(), stage.owned_topics()), (MemberState::Member, vec!["t9".into()]));
    stage.advance(1_000);
    assert_eq!(stage.joins(), 0);
    stage.answer_until(ApiKey::Heartbeat);
    stage.beat(ErrorCode::RebalanceInProgress);
    assert_eq!(stage.follow(2), ["t", "t2", "t9"]);
    stage.given(&[("other", 0)]);
    assert_eq!(stage.owned_topics(), [""; 0], "that does not match");
    assert_eq!(stage.follow(3), ["t", "t2", "t9"]);
}

/// A leader watches what others have named, and shares out what there is of it.
#[test]
fn a_leader_by_pattern_knows_the_topics_of_others() {
    let mut stage = Stage::by_pattern(&[]);
    stage.topics.remove("t");
    stage.age();
    stage.answer_until(ApiKey::JoinGroup);
    // The other member wants t, which is not there yet.
    assert_eq!(named(&stage.join(1, "range", &["z"])), ["t2"]);
    stage.advance(200);
    let (_, request) = stage.take(ApiKey::SyncGroup);
    let RequestBody::SyncGroup(asked) = request.body else { unreachable!() };
    let shares: Vec<&str> = asked.assignments.iter().map(|it| &*it.member_id).collect();
    assert_eq!(shares, ["m", "z"]);
}

#[test]
fn a_pattern_that_nothing_matches_yet_is_a_subscription() {
    for (settings, api) in
        [(&[][..], ApiKey::JoinGroup), (&[("group.protocol", "consumer")][..], ApiKey::ConsumerGroupHeartbeat)]
    {
        let mut all = vec![("group.id", "g"), ("metadata.max.age.ms", "5000"), ("enable.auto.commit", "false")];
        all.extend(settings);
        let mut stage = Stage::new(&all).topic("other", &[1]);
        let op = stage.start(Operation::SubscribePattern(pattern()));
        assert!(matches!(stage.outcome(op), Some(Outcome::Ok(_))));
        let poll = stage.poll(1_000);
        assert_eq!(stage.requests.iter().map(|(_, it)| it.body.api_key()).collect::<Vec<_>>(), [api]);
        stage.advance(1_000);
        assert!(matches!(stage.outcome(poll), Some(Outcome::Ok(_))), "no records are no failure");
    }
}

#[test]
fn kip_848_the_coordinator_hears_which_topics_match() {
    let mut stage = Stage::by_pattern(&[("group.protocol", "consumer")]);
    let asked = stage.told(ErrorCode::None, 1, Some(&[0, 1]));
    assert_eq!(
        (asked.subscribed_topic_names, asked.subscribed_topic_regex),
        (Some(vec!["t".into(), "t2".into()]), None)
    );
    stage.pause();
    let asked = stage.told(ErrorCode::None, 1, None);
    assert_eq!((asked.subscribed_topic_names.clone(), told_owned(&asked)), (None, Some(vec![0, 1])));
    stage.create("t3");
    // Each heartbeat is answered, until what it knows of topics is too old.
    for _ in 0..MAX_AGE_MS / 1_000 {
        stage.answer_until(ApiKey::JoinGroup);
        stage.advance(900);
    }
    stage.answer_until(ApiKey::JoinGroup);
    stage.advance(600);
    // One that was under way comes first.
    let told = (0..2).find_map(|_| {
        stage.answer_until(ApiKey::ConsumerGroupHeartbeat);
        stage.told(ErrorCode::None, 2, None).subscribed_topic_names
    });
    assert_eq!(told, Some(vec!["t".into(), "t2".into(), "t3".into()]));
}

#[test]
fn internal_topics_match_if_they_are_not_excluded() {
    let mut stage = Stage::by_pattern(&[("exclude.internal.topics", "false")]);
    assert_eq!(stage.follow(1), ["__t", "t", "t2"]);
}

#[test]
fn topics_are_named_or_match_but_not_both() {
    let refused = |stage: &Stage, op: u64| match stage.outcome(op) {
        Some(Outcome::Failed(failure)) if failure.cause == Cause::Illegal => failure.message.clone(),
        other => panic!("{other:?}"),
    };
    const EXCLUSIVE: &str = "Subscription to topics, partitions and pattern are mutually exclusive";
    let mut stage = Stage::new(&[("group.id", "g")]).topic("t", &[1]);
    let empty = stage.start(Operation::SubscribePattern(TopicPattern::new("", |_| true)));
    assert_eq!(refused(&stage, empty), "Topic pattern to subscribe to cannot be empty");
    stage.start(Operation::SubscribePattern(pattern()));
    let op = stage.start(Operation::Subscribe(vec!["t".into()]));
    assert_eq!(refused(&stage, op), EXCLUSIVE);
    let op = stage.start(Operation::Assign(vec![partition("t", 0)]));
    assert_eq!(refused(&stage, op), EXCLUSIVE);
    stage.start(Operation::Subscribe(Vec::new()));
    stage.start(Operation::Subscribe(vec!["t".into()]));
    let asked = stage.metadata_requests_for_all;
    let op = stage.start(Operation::SubscribePattern(pattern()));
    assert_eq!(refused(&stage, op), EXCLUSIVE);
    stage.advance(600_000);
    assert_eq!(stage.metadata_requests_for_all, asked, "nobody wants all any more");
    let mut stage = Stage::new(&[]).topic("t", &[1]);
    let op = stage.start(Operation::SubscribePattern(pattern()));
    let Some(Outcome::Failed(failure)) = stage.outcome(op) else { panic!() };
    assert_eq!(failure.code(), Some(ErrorCode::InvalidGroupId));
}
