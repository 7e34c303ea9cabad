//! Kafka's 128-bit ids and their spelling.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A topic, directory, cluster or incarnation id. Spelled as Kafka spells it: URL-safe base64 without padding.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

// As numbers: the same order as that of the bytes, without a call for each key that a map looks at.
impl Ord for Uuid {
    fn cmp(&self, other: &Uuid) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Uuid {
    fn partial_cmp(&self, other: &Uuid) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// All zeros: "no id" on the wire.
    pub const ZERO: Uuid = Uuid([0; 16]);

    /// The id of the metadata topic, and of every topic before Kafka gave them ids: `AAAAAAAAAAAAAAAAAAAAAQ`.
    pub const METADATA_TOPIC: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// True for an id that names nothing.
    pub fn is_zero(&self) -> bool {
        *self == Uuid::ZERO
    }

    /// A random (version 4) id from 16 random bytes that the caller drew.
    pub fn from_random(mut bytes: [u8; 16]) -> Uuid {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uuid(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(22);
        for group in self.0.chunks(3) {
            let word = group.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - group.len()));
            for digit in 0..=group.len() {
                text.push(char::from(ALPHABET[(word >> (18 - 6 * digit) & 63) as usize]));
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no [`Uuid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUuid;

impl fmt::Display for InvalidUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is 22 characters of URL-safe base64 (16 bytes)")
    }
}

impl std::error::Error for InvalidUuid {}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Uuid, InvalidUuid> {
        let text = text.strip_suffix("==").unwrap_or(text).as_bytes();
        if text.len() != 22 {
            return Err(InvalidUuid);
        }
        let mut bits = 0u128;
        for (index, byte) in text.iter().enumerate() {
            let digit = ALPHABET.iter().position(|it| it == byte).ok_or(InvalidUuid)? as u128;
            // 22 digits are 132 bits: the last digit carries only its two upper bits.
            bits = if index == 21 { (bits << 2) | (digit >> 4) } else { (bits << 6) | digit };
        }
        Ok(Uuid(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelled_as_kafka_spells_it() {
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let bytes = [0xfb, 0xff, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        assert_eq!(Uuid(bytes).to_string(), "-_8CAwQFBgcICQoLDA0O_w");
        assert_eq!("-_8CAwQFBgcICQoLDA0O_w".parse(), Ok(Uuid(bytes)));
        assert_eq!("too short".parse::<Uuid>(), Err(InvalidUuid));
    }
}
