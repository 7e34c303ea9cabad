//! Records of a client: refused, or one batch that holds together and reads back as many records as it counts.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::records::{self, CheckRules, HEAD_SIZE, PureCompressors, crc32c};

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    // Chance finds no CRC, so most inputs get the right one: length, format and CRC are at bytes 8, 16 and 17.
    if bytes.len() >= HEAD_SIZE && bytes[0] == 0 {
        let length = (bytes.len() - 12) as u32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        let crc = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    let bytes = Bytes::from(bytes);
    let mut rules = CheckRules::produce(9);
    rules.max_decompressed = 1 << 20;
    let Ok(batches) = records::check(bytes, &rules, &PureCompressors) else { return };
    let [head] = batches.heads() else { panic!("a client brings one batch") };
    let read: Vec<_> = records::read(&batches.to_bytes(), &PureCompressors)
        .collect::<Result<_, _>>()
        .expect("what was checked can be read");
    assert_eq!((read.len(), read[0].1.len()), (1, head.record_count as usize));
});
