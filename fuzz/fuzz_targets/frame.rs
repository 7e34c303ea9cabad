//! A frame from a client: it is no request, or it is one that says the same again when it is written and read.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::frame;

fuzz_target!(|data: &[u8]| {
    let Ok(mut request) = frame::decode_request(Bytes::copy_from_slice(data)) else { return };
    // What was read has only fields of its version, so it can be written; unknown tagged fields are dropped.
    let written = frame::encode_request(&mut request).expect("what was read can be written");
    let bytes = written.bytes().expect("a request names no files");
    assert_eq!(frame::decode_request(bytes.slice(4..)), Ok(request));
});
