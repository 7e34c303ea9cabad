//! What many groups cost that are idle. A program of its own: memory is counted of the whole process.

#[allow(dead_code, reason = "it uses a part of what the others share")]
#[path = "node/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "it uses a part of what the others share")]
#[path = "node/consumers/mod.rs"]
mod consumers;
#[allow(dead_code, reason = "it uses a part of what the others share")]
#[path = "node/members/mod.rs"]
mod members;

use consumers::Consumer;
use members::start;
use protocol::messages::*;
use protocol::{RequestBody, Str};

/// Bytes of this process in memory; nothing where the system does not say so in Linux's way.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|it| it.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}

/// 1,000 groups of one member each are held in 5 MB, with the log that tells of them, which this test's disk has in memory.
#[test]
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
    for number in 1..=1_000 {
        join(&mut rig, number);
    }
    let grown = resident().saturating_sub(before);
    println!("1,000 groups of a member each take {} KB", grown >> 10);
    assert!(grown < 5 << 20, "{grown} bytes");
}
