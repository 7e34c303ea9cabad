//! Which offset is the newest of each key: what tells a clean what to keep, in a bounded memory.
//!
//! As Kafka's, the map holds 16 bytes of hash and the offset, never the key. Two keys with one hash would lose records, so
//! the hash is keyed by a number that no producer can know: neither chance nor malice finds such a pair.

use protocol::Offset;

/// Bytes of an entry, as Kafka counts `log.cleaner.dedupe.buffer.size`.
pub(crate) const ENTRY_BYTES: u64 = 24;

/// A map from keys to their newest offset, of a fixed size.
#[derive(Clone, Debug)]
pub(crate) struct KeyMap {
    seed: [u64; 2],
    /// Hash, hash, offset + 1; an offset of 0 is an empty slot. Zeroed pages that no key falls into cost nothing.
    slots: Vec<u64>,
    len: usize,
    max: usize,
    /// The last offset that was looked at.
    latest: Offset,
}

impl KeyMap {
    /// Room for `max` keys.
    pub(crate) fn new(max: usize, seed: [u64; 2]) -> KeyMap {
        // Probes stay short while a tenth of the slots is free.
        let slots = max.saturating_mul(10).div_ceil(9).max(1) + 1;
        KeyMap { seed, slots: vec![0; slots * 3], len: 0, max, latest: Offset(-1) }
    }

    /// Notes the newest offset of a key. False if there is no room for another key; Kafka then stops, known key or not.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        if self.len >= self.max {
            return false;
        }
        let hash = sip128(self.seed, key);
        let at = self.find(hash);
        if self.slots[at + 2] == 0 {
            self.len += 1;
        }
        self.slots[at..at + 3].copy_from_slice(&[hash[0], hash[1], offset.0.cast_unsigned() + 1]);
        self.latest = offset;
        true
    }

    /// The newest offset of a key, if the dirty part of the log has the key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let at = self.find(sip128(self.seed, key));
        self.slots[at + 2].checked_sub(1).map(|offset| Offset(offset.cast_signed()))
    }

    /// Everything up to this offset was looked at.
    pub(crate) fn latest(&self) -> Offset {
        self.latest
    }

    /// Everything up to an offset was looked at, whether it had keys or not.
    pub(crate) fn looked_at(&mut self, latest: Offset) {
        self.latest = latest;
    }

    /// How many keys are known.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where a hash is or would be. A slot is always free, so this ends.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len() / 3;
        let mut slot = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
        loop {
            let at = slot * 3;
            if self.slots[at + 2] == 0 || self.slots[at..at + 2] == hash {
                return at;
            }
            slot = if slot + 1 == count { 0 } else { slot + 1 };
        }
    }
}

/// SipHash-2-4 with 128 bits out (Aumasson and Bernstein).
fn sip128(key: [u64; 2], bytes: &[u8]) -> [u64; 2] {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        compress(&mut v, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    compress(&mut v, u64::from_le_bytes(last));
    v[2] ^= 0xee;
    let first = finish(&mut v);
    v[1] ^= 0xdd;
    [first, finish(&mut v)]
}

fn compress(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn finish(v: &mut [u64; 4]) -> u64 {
    for _ in 0..4 {
        round(v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    /// The first vectors that the reference implementation publishes, and one of more than a word.
    #[test]
    fn the_hash_is_siphash() {
        let bytes: Vec<u8> = (0..16).collect();
        let hash = |len: usize| {
            let [a, b] = sip128(SEED, &bytes[..len]);
            [a.to_be(), b.to_be()].map(|it| format!("{it:016x}")).concat()
        };
        assert_eq!(hash(0), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hash(1), "da87c1d86b99af44347659119b22fc45");
        assert_ne!(hash(15), hash(16));
    }

    #[test]
    fn the_newest_offset_counts_and_room_is_bounded() {
        let mut map = KeyMap::new(3, SEED);
        assert!(map.put(b"a", Offset(0)));
        assert!(map.put(b"b", Offset(1)));
        assert!(map.put(b"a", Offset(2)));
        assert_eq!((map.get(b"a"), map.get(b"b"), map.get(b"c")), (Some(Offset(2)), Some(Offset(1)), None));
        assert!(map.put(b"c", Offset(3)));
        assert!(!map.put(b"d", Offset(4)), "three keys have room");
        assert!(!map.put(b"a", Offset(4)), "Kafka stops at a full map, whatever the key");
        assert_eq!((map.len(), map.latest()), (3, Offset(3)));
        map.looked_at(Offset(9));
        assert_eq!(map.latest(), Offset(9));
    }

    #[test]
    fn many_keys_are_found_again() {
        let mut map = KeyMap::new(5000, SEED);
        for offset in 0..5000u32 {
            assert!(map.put(&offset.to_be_bytes(), Offset(i64::from(offset))));
        }
        assert!((0..5000u32).all(|it| map.get(&it.to_be_bytes()) == Some(Offset(i64::from(it)))));
        assert_eq!(map.get(b"none"), None);
    }
}
