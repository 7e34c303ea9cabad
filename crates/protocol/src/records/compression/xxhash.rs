//! XXH32 and XXH64, which frames of LZ4 and of zstd are checked by.

use std::array;

const PRIMES_32: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];
const PRIMES_64: [u64; 5] =
    [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63, 0x27d4_eb2f_1656_67c5];

/// XXH32 with seed 0.
pub(super) fn xxh32(bytes: &[u8]) -> u32 {
    let [p1, p2, p3, p4, p5] = PRIMES_32;
    let round = |lane: u32, word: u32| lane.wrapping_add(word.wrapping_mul(p2)).rotate_left(13).wrapping_mul(p1);
    let (stripes, rest) = bytes.as_chunks::<16>();
    let mut lanes = [p1.wrapping_add(p2), p2, 0, p1.wrapping_neg()];
    for stripe in stripes {
        let (words, _) = stripe.as_chunks();
        lanes = array::from_fn(|at| round(lanes[at], u32::from_le_bytes(words[at])));
    }
    let mut hash = match stripes {
        [] => p5,
        _ => (0..4).fold(0, |hash: u32, at| hash.wrapping_add(lanes[at].rotate_left([1, 7, 12, 18][at]))),
    };
    hash = hash.wrapping_add(bytes.len() as u32);
    let (words, rest) = rest.as_chunks();
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(p3);
        hash = hash.wrapping_add(word).rotate_left(17).wrapping_mul(p4);
    }
    for byte in rest {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(p2);
    hash = (hash ^ hash >> 13).wrapping_mul(p3);
    hash ^ hash >> 16
}

/// XXH64 with seed 0.
pub(super) fn xxh64(bytes: &[u8]) -> u64 {
    let [p1, p2, p3, p4, p5] = PRIMES_64;
    let round = |lane: u64, word: u64| lane.wrapping_add(word.wrapping_mul(p2)).rotate_left(31).wrapping_mul(p1);
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut lanes = [p1.wrapping_add(p2), p2, 0, p1.wrapping_neg()];
    for stripe in stripes {
        let (words, _) = stripe.as_chunks();
        lanes = array::from_fn(|at| round(lanes[at], u64::from_le_bytes(words[at])));
    }
    let mut hash = p5;
    if !stripes.is_empty() {
        hash = (0..4).fold(0, |hash: u64, at| hash.wrapping_add(lanes[at].rotate_left([1, 7, 12, 18][at])));
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(p1).wrapping_add(p4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    let (words, rest) = rest.as_chunks();
    for word in words {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27).wrapping_mul(p1).wrapping_add(p4);
    }
    let (halves, rest) = rest.as_chunks();
    for half in halves {
        let half = u64::from(u32::from_le_bytes(*half)).wrapping_mul(p1);
        hash = (hash ^ half).rotate_left(23).wrapping_mul(p2).wrapping_add(p3);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(p2);
    hash = (hash ^ hash >> 29).wrapping_mul(p3);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `xxhsum` says.
    #[test]
    fn known_bytes_have_known_hashes() {
        assert_eq!((xxh32(b""), xxh64(b"")), (0x02cc_5d05, 0xef46_db37_51d8_e999));
        assert_eq!((xxh32(b"a"), xxh64(b"a")), (0x550d_7456, 0xd24e_c4f1_a98c_6e5b));
        assert_eq!((xxh32(b"abc"), xxh64(b"abc")), (0x32d1_53ff, 0x44bc_2cf5_ad77_0999));
        let text = b"Nobody inspects the spammish repetition";
        assert_eq!((xxh32(text), xxh64(text)), (0xe229_3b2f, 0xfbce_a83c_8a37_8bf1));
    }
}
