//! Groups of 10,000 members: what one of them costs the coordinator does not depend on how many others there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use node::TopicPatterns;
use protocol::messages::*;
use protocol::{RequestBody, ResponseBody, Str};

use crate::common::Rig;
use crate::consumers::{Consumer, Wildcards};
use crate::members::*;

const MEMBERS: usize = 10_000;
const PARTITIONS: i32 = 1_000;
/// One record tells of all members of a classic group, or of what all are to have.
const ROOMY: &[(&str, &str)] = &[("message.max.bytes", "10000000"), ("offsets.topic.num.partitions", "1")];

/// Counts how often topics are looked up.
#[derive(Debug, Default)]
struct Counted(AtomicUsize);

impl TopicPatterns for Counted {
    fn matching(&self, pattern: &str, names: &mut dyn Iterator<Item = &Str>) -> Result<Vec<Str>, String> {
        let mut names = names.peekable();
        self.0.fetch_add(usize::from(names.peek().is_some()), Ordering::Relaxed);
        Wildcards.matching(pattern, &mut names)
    }
}

/// Bytes of the groups' log.
fn written(rig: &Rig) -> u64 {
    rig.log("__consumer_offsets", 0).bytes
}

fn send(rig: &mut Rig, version: i16, body: RequestBody) -> Option<ResponseBody> {
    let id = rig.send(version, body);
    rig.run();
    let answer = rig.answer(id);
    rig.events.clear();
    answer
}

fn beat(rig: &mut Rig, consumer: &mut Consumer) -> ErrorCode {
    match send(rig, 1, RequestBody::ConsumerGroupHeartbeat(consumer.request())) {
        Some(ResponseBody::ConsumerGroupHeartbeat(response)) => consumer.hear(&response),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_the_consumer_protocol_with_a_regular_expression() {
    let mut rig = start_with(ROOMY);
    let patterns = Arc::new(Counted::default());
    rig.node = rig.node.clone().with_patterns(patterns.clone());
    rig.create_topic("large", PARTITIONS, &[]);
    let member =
        |number: usize| Consumer { pattern: Some(text("la.*")), ..Consumer::new(&format!("m{number:05}"), &[]) };
    let mut consumers: Vec<Consumer> = (0..MEMBERS).map(member).collect();
    let before = written(&rig);
    for consumer in &mut consumers {
        assert_eq!(beat(&mut rig, consumer), ErrorCode::None);
    }
    let joined = (written(&rig) - before) / MEMBERS as u64;
    assert!(joined < 500, "{joined} bytes of the log for each that joins");
    assert_eq!(patterns.0.load(Ordering::Relaxed), 1, "all of them mean the same topics");
    // Time to divide; then each hears what it is to have.
    for _ in 0..2 {
        rig.advance(1_001);
        for consumer in &mut consumers {
            assert_eq!(beat(&mut rig, consumer), ErrorCode::None);
        }
    }
    let mut owned: Vec<i32> = consumers.iter().flat_map(Consumer::partitions).collect();
    owned.sort_unstable();
    assert_eq!(owned, (0..PARTITIONS).collect::<Vec<_>>());
    // Nothing is new: nothing is written, and nothing looked up.
    let before = (written(&rig), patterns.0.load(Ordering::Relaxed));
    for consumer in &mut consumers {
        assert_eq!(beat(&mut rig, consumer), ErrorCode::None);
    }
    assert_eq!((written(&rig), patterns.0.load(Ordering::Relaxed)), before);
}

#[test]
fn of_the_classic_protocol() {
    let mut rig = start_with(ROOMY);
    let before = written(&rig);
    let mut waiting = Vec::new();
    for _ in 0..MEMBERS {
        let given = joined(send(&mut rig, 9, RequestBody::JoinGroup(join_request(""))));
        assert_eq!(error(given.error_code), ErrorCode::MemberIdRequired);
        waiting.push(rig.send(9, RequestBody::JoinGroup(join_request(&given.member_id))));
        rig.run();
    }
    assert!(written(&rig) - before < 1_000, "nobody is in it before all are");
    rig.advance(6_001);
    let mut answers: Vec<JoinGroupResponse> = Vec::new();
    for reply in std::mem::take(&mut rig.replies) {
        let node::Reply::Answer(_, response) = reply else { continue };
        if waiting.binary_search(&response.correlation_id).is_ok() {
            answers.push(joined(Some(response.body)));
        }
    }
    assert_eq!(answers.len(), MEMBERS);
    assert!(answers.iter().all(|it| it.generation_id == 1 && error(it.error_code) == ErrorCode::None));
    let led: Vec<&JoinGroupResponse> = answers.iter().filter(|it| !it.members.is_empty()).collect();
    let [leader] = led[..] else { panic!("{} lead", led.len()) };
    assert_eq!(leader.members.len(), MEMBERS);
    let assignments: Vec<(&str, &str)> = leader.members.iter().map(|it| (it.member_id.as_str(), "some")).collect();
    let assigned = send(&mut rig, 5, RequestBody::SyncGroup(sync_request(&leader.leader, 1, &assignments)));
    assert_eq!(synced(assigned), (ErrorCode::None, "some".to_owned()));
    let before = written(&rig);
    for member in &answers {
        let sync = send(&mut rig, 5, RequestBody::SyncGroup(sync_request(&member.member_id, 1, &[])));
        assert_eq!(synced(sync), (ErrorCode::None, "some".to_owned()));
        let beat = HeartbeatRequest {
            group_id: text(GROUP),
            generation_id: 1,
            member_id: member.member_id.clone(),
            ..HeartbeatRequest::default()
        };
        let Some(ResponseBody::Heartbeat(response)) = send(&mut rig, 4, RequestBody::Heartbeat(beat)) else { panic!() };
        assert_eq!(error(response.error_code), ErrorCode::None);
    }
    assert_eq!(written(&rig), before, "nothing is new");
}
