//! The hash that decides which partition a key goes to. It must equal Kafka's to the bit: a key that moves loses its order.

/// MurmurHash2 (32 bits) with the seed of Kafka's clients, as Java's signed number.
pub fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Java's arrays, and so its lengths, fit 31 bits; a longer key cannot be in a record.
    let mut hash = SEED ^ (bytes.len() as u32);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash as i32
}

/// The partition of a key among so many, and the hash that says so. The sign bit is cut off, as Kafka does (not `abs`).
pub fn partition_of_key(key: &[u8], partitions: i32) -> (i32, i32) {
    let hash = murmur2(key) & i32::MAX;
    (hash % partitions.max(1), hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_kafkas() {
        // The vectors of Kafka's own UtilsTest.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_loses_its_sign_bit() {
        assert_eq!(partition_of_key(b"foobar", 10), (((-790_332_482i32) & i32::MAX) % 10, -790_332_482 & i32::MAX));
        assert_eq!(partition_of_key(b"abc", 7), (479_470_107 % 7, 479_470_107));
    }
}
