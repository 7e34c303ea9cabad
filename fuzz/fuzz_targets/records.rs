//! Records of a client: refused, or one batch that holds together and reads back as many records as it counts.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::records::{self, CheckRules, PureCompressors};

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let mut rules = CheckRules::produce(9);
    rules.max_decompressed = 1 << 20;
    let Ok(batches) = records::check(bytes, &rules, &PureCompressors) else { return };
    let [head] = batches.heads() else { panic!("a client brings one batch") };
    let read: Vec<_> = records::read(&batches.to_bytes(), &PureCompressors)
        .collect::<Result<_, _>>()
        .expect("what was checked can be read");
    assert_eq!((read.len(), read[0].1.len()), (1, head.record_count as usize));
});
