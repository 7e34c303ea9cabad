//! Frames at a node that serves: each is answered or refused, and afterwards the node still takes records.
#![no_main]

#[path = "../../crates/node/tests/common/mod.rs"]
mod common;

use std::sync::LazyLock;

use bytes::Bytes;
use common::{CLIENT, Rig, batch};
use libfuzzer_sys::fuzz_target;
use node::Input;
use protocol::frame;

static SERVING: LazyLock<Rig> = LazyLock::new(|| {
    let mut rig = Rig::start();
    rig.create_topic("t", 2, &[]);
    rig
});

fuzz_target!(|data: &[u8]| {
    let mut rig = SERVING.clone();
    let mut rest = data;
    // Two bytes of length, a frame, and so on.
    while let Some((length, more)) = rest.split_first_chunk() {
        let (frame, more) = more.split_at(usize::from(u16::from_be_bytes(*length)).min(more.len()));
        rest = more;
        if let Ok(request) = frame::decode_request(Bytes::copy_from_slice(frame)) {
            rig.open(CLIENT);
            rig.input(Input::Request(CLIENT, request));
            rig.run();
        }
    }
    rig.advance(1000);
    assert!(!rig.stopped);
    rig.open(CLIENT);
    // A fuzzed request may have deleted the topic, or filled it: any answer will do.
    rig.produce("t", 0, -1, batch(&["next"]));
});
