//! The hash of a run: folded over everything that was delivered, equal on every host that runs the same seed.

/// Folds words and bytes into 64 bits. Stable: its values are committed as expectations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for Digest {
    fn default() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Takes a word in.
    #[inline]
    pub(crate) fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(MULTIPLIER);
        self.0 = mixed ^ (mixed >> 29);
    }

    /// Takes a signed word in.
    #[inline]
    pub(crate) fn int(&mut self, word: i64) {
        self.word(word as u64);
    }

    /// Takes bytes and their number in.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.word(u64::from_le_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    /// The hash so far.
    pub(crate) fn value(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(MULTIPLIER);
        mixed ^ (mixed >> 32)
    }

    /// The hash of a key and a value: what tells a record from another.
    pub(crate) fn of_record(key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
        let mut digest = Digest::default();
        for part in [key, value] {
            match part {
                Some(bytes) => digest.bytes(bytes),
                None => digest.word(u64::MAX),
            }
        }
        digest.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_stable_and_tell_neighbours_apart() {
        let mut digest = Digest::default();
        digest.word(1);
        digest.bytes(b"hello world");
        assert_eq!(digest.value(), 1_593_416_642_309_075_135);
        assert_ne!(Digest::of_record(None, Some(b"")), Digest::of_record(Some(b""), None));
        assert_ne!(Digest::of_record(None, Some(b"a")), Digest::of_record(None, Some(b"a\0")));
    }
}
