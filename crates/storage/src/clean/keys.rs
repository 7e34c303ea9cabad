//! Which offset is the newest of each key: what tells a clean what to keep, in a bounded memory.
//!
//! As Kafka's, the map holds 16 bytes of hash and the offset, never the key. Two keys with one hash would lose records, so
//! the hash is keyed by a number that no producer can know: neither chance nor malice finds such a pair.

use protocol::Offset;

/// Bytes of an entry, as Kafka counts `log.cleaner.dedupe.buffer.size`.
pub(crate) const ENTRY_BYTES: u64 = 24;
/// By how much a table grows, and the entries that a first one has room for.
const GROWTH: usize = 4;
const FIRST: usize = 1 << 10;

/// A key's hash.
pub(crate) type Hash = [u64; 2];

/// A map from keys to their newest offset, of a bounded size.
///
/// Nearly every access waits for memory. Who has many keys hashes all of them first and looks them up one right after the
/// other: then the processor waits for several at once.
#[derive(Clone, Debug)]
pub(crate) struct KeyMap {
    seed: [u64; 2],
    /// Hash, hash, offset + 1; an offset of 0 is an empty slot.
    slots: Vec<[u64; 3]>,
    len: usize,
    /// Entries that this table may hold, and that the largest may. A small one has fewer misses in the caches.
    room: usize,
    max: usize,
    /// The last offset that was looked at.
    latest: Offset,
}

impl KeyMap {
    /// Room for `max` keys.
    pub(crate) fn new(max: usize, seed: [u64; 2]) -> KeyMap {
        let mut room = max;
        while room > FIRST {
            room /= GROWTH;
        }
        KeyMap { seed, slots: slots(room), len: 0, room, max, latest: Offset(-1) }
    }

    /// A key's hash.
    pub(crate) fn hash(&self, key: &[u8]) -> Hash {
        sip128(self.seed, key)
    }

    /// Notes the newest offset of a key. False if there is no room for another key; Kafka then stops, known key or not.
    pub(crate) fn put(&mut self, hash: Hash, offset: Offset) -> bool {
        if self.len >= self.room && !self.grow() {
            return false;
        }
        let at = find(&self.slots, hash);
        self.len += usize::from(self.slots[at][2] == 0);
        self.slots[at] = [hash[0], hash[1], offset.0.cast_unsigned() + 1];
        self.latest = offset;
        true
    }

    /// The newest offset of a key, if the dirty part of the log has the key.
    pub(crate) fn get(&self, hash: Hash) -> Option<Offset> {
        let [_, _, offset] = self.slots[find(&self.slots, hash)];
        offset.checked_sub(1).map(|offset| Offset(offset.cast_signed()))
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

    /// Moves to a larger table. False if there may be none.
    fn grow(&mut self) -> bool {
        if self.room >= self.max {
            return false;
        }
        self.room = self.room.saturating_mul(GROWTH).min(self.max);
        let mut larger = slots(self.room);
        for slot in self.slots.iter().filter(|slot| slot[2] != 0) {
            let at = find(&larger, [slot[0], slot[1]]);
            larger[at] = *slot;
        }
        self.slots = larger;
        true
    }
}

/// A table for so many entries: probes stay short while a tenth of the slots is free.
fn slots(room: usize) -> Vec<[u64; 3]> {
    vec![[0; 3]; room.saturating_mul(10).div_ceil(9).max(1) + 1]
}

/// Where a hash is or would be. A slot is always free, so this ends.
fn find(slots: &[[u64; 3]], hash: Hash) -> usize {
    let count = slots.len();
    let mut at = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
    loop {
        let slot = &slots[at];
        if slot[2] == 0 || slot[..2] == hash {
            return at;
        }
        at = if at + 1 == count { 0 } else { at + 1 };
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
        let [a, b, c, d] = [&b"a"[..], b"b", b"c", b"d"].map(|key| map.hash(key));
        assert!(map.put(a, Offset(0)));
        assert!(map.put(b, Offset(1)));
        assert!(map.put(a, Offset(2)));
        assert_eq!((map.get(a), map.get(b), map.get(c)), (Some(Offset(2)), Some(Offset(1)), None));
        assert!(map.put(c, Offset(3)));
        assert!(!map.put(d, Offset(4)), "three keys have room");
        assert!(!map.put(a, Offset(4)), "Kafka stops at a full map, whatever the key");
        assert_eq!((map.len(), map.latest()), (3, Offset(3)));
        map.looked_at(Offset(9));
        assert_eq!(map.latest(), Offset(9));
    }

    #[test]
    fn many_keys_are_found_again_however_the_table_grew() {
        for max in [5000, 20_000, 1_000_000] {
            let mut map = KeyMap::new(max, SEED);
            for offset in 0..5000u32 {
                assert!(map.put(map.hash(&offset.to_be_bytes()), Offset(i64::from(offset))));
            }
            assert!((0..5000u32).all(|it| map.get(map.hash(&it.to_be_bytes())) == Some(Offset(i64::from(it)))));
            assert_eq!(map.get(map.hash(b"none")), None);
            assert_eq!(map.put(map.hash(b"one more"), Offset(5000)), max > 5000);
            assert!(map.slots.len() < 5 * 5002 * 10 / 9, "memory follows the keys");
        }
    }
}
