//! Frames at a node that serves: each is answered or refused, and afterwards the node still takes records.
#![no_main]

#[allow(dead_code, reason = "it uses a part of what the node's tests share")]
#[path = "../../crates/node/tests/node/common/mod.rs"]
mod common;

use std::sync::LazyLock;

use bytes::Bytes;
use common::{CLIENT, Rig, batch, produce};
use libfuzzer_sys::fuzz_target;
use node::{ConnId, Input, Reply};
use protocol::frame;

static SERVING: LazyLock<Rig> = LazyLock::new(|| {
    let mut rig = Rig::start();
    rig.create_topic("t", 2, &[]);
    rig
});

/// A connection of its own for each client: one is never used again once it was closed.
fn connect(rig: &mut Rig, last: &mut u64) -> ConnId {
    *last += 1;
    let conn = ConnId(*last);
    rig.open(conn);
    conn
}

fuzz_target!(|data: &[u8]| {
    let mut rig = SERVING.clone();
    let mut last = CLIENT.0;
    let mut conn = connect(&mut rig, &mut last);
    let mut rest = data;
    // Two bytes of length, a frame, and so on.
    while let Some((length, more)) = rest.split_first_chunk() {
        let (frame, more) = more.split_at(usize::from(u16::from_be_bytes(*length)).min(more.len()));
        rest = more;
        if let Ok(request) = frame::decode_request(Bytes::copy_from_slice(frame)) {
            rig.input(Input::Request(conn, request));
            rig.run();
            if rig.replies.iter().any(|it| matches!(it, Reply::Close(closed, _) if *closed == conn)) {
                conn = connect(&mut rig, &mut last);
            }
        }
    }
    rig.advance(1000);
    assert!(!rig.stopped);
    // What the fuzzed requests chose as correlation ids is theirs.
    rig.replies.clear();
    let conn = connect(&mut rig, &mut last);
    let id = rig.send_on(conn, 12, produce("t", 0, -1, batch(&["next"])));
    rig.run();
    // One of them may have deleted the topic, or filled it: any answer will do.
    assert!(rig.answer(id).is_some(), "a record is answered: {:?}", rig.replies);
});
