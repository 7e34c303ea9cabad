//! What a codec is given to decompress: refused, or no more than may come out of it. And what it compresses comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::records::{Compression, Compressors, PureCompressors};

const LIMIT: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let compression = Compression::ALL[usize::from(*first) % Compression::ALL.len()];
    if let Ok(plain) = PureCompressors.decompress(compression, rest, LIMIT) {
        assert!(plain.len() <= LIMIT);
    }
    let packed = PureCompressors.compress(compression, None, rest).expect("it compresses anything");
    assert_eq!(PureCompressors.decompress(compression, &packed, rest.len()).as_deref(), Ok(rest));
});
