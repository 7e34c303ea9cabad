//! What groups cost: an assignment of a large one, and memory of many that are idle.

mod common;
mod consumers;
mod members;

use std::time::Instant;

use consumers::{Consumer, heartbeat};
use members::start;
use protocol::messages::*;
use protocol::{RequestBody, Str};

/// One after the other: memory is counted of the whole process.
#[test]
fn groups_cost_what_they_may() {
    many_groups();
    an_assignment_of_a_large_group();
}

/// 500 members share 5,000 partitions: what one more costs, in time of its whole heartbeat, which a release build is to answer
/// within 20 ms. How long it takes depends on the machine, so it is told and not held.
fn an_assignment_of_a_large_group() {
    let mut rig = start();
    let topics: Vec<String> = (0..5).map(|it| format!("big-{it}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    for number in 0..499 {
        assert_eq!(Consumer::new(&format!("m{number}"), &topics).beat(&mut rig), ErrorCode::None);
    }
    // Topics that come later make the group's beginning short.
    for topic in &topics {
        rig.create_topic(topic, 1_000, &[]);
    }
    rig.advance(1_000);
    let mut last = Consumer::new("last", &topics);
    let request = last.request();
    let began = Instant::now();
    let answer = heartbeat(&mut rig, request);
    let took = began.elapsed();
    last.hear(&answer);
    let described = consumers::describe(&mut rig);
    let targets = described.members.iter().map(|it| {
        let topics = it.target_assignment.topic_partitions.iter();
        topics.map(|it| it.partitions.len()).sum::<usize>()
    });
    assert!(targets.clone().all(|it| it == 10), "each has its tenth of a hundredth");
    assert_eq!(targets.sum::<usize>(), 5_000);
    println!("an assignment of 5,000 partitions to 500 members took {took:?}");
}

/// Bytes of this process in memory; nothing where the system does not say so in Linux's way.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|it| it.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}

/// 2,000 groups of one member each are held in 10 MB, with the log that tells of them, which this test's disk has in memory.
fn many_groups() {
    let mut rig = start();
    let join = |rig: &mut common::Rig, number: usize| {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: Str::from(format!("group-{number}")),
            ..Consumer::new("member-of-a-group-with-an-id", &["t"]).request()
        };
        rig.send(1, RequestBody::ConsumerGroupHeartbeat(request));
        rig.run();
        rig.replies.clear();
        rig.events.clear();
    };
    join(&mut rig, 0);
    let before = resident();
    for number in 1..=2_000 {
        join(&mut rig, number);
    }
    let grown = resident().saturating_sub(before);
    println!("2,000 groups of a member each take {} KB", grown >> 10);
    assert!(grown < 10 << 20, "{grown} bytes");
}
