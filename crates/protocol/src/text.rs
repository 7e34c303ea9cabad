//! Strings whose clones share their bytes.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

/// An immutable UTF-8 string that shares its bytes: a clone is a reference count.
#[derive(Clone, Default)]
pub struct Str(Bytes);

// Most names that are compared are clones of each other, which says enough: their bytes need not be looked at.
impl PartialEq for Str {
    fn eq(&self, other: &Str) -> bool {
        self.0.len() == other.0.len() && (self.0.as_ptr() == other.0.as_ptr() || self.0 == other.0)
    }
}

impl Eq for Str {}

impl Ord for Str {
    fn cmp(&self, other: &Str) -> Ordering {
        if self.0.as_ptr() == other.0.as_ptr() { self.0.len().cmp(&other.0.len()) } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Str) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Str {
    /// The empty string.
    pub const fn new() -> Str {
        Str(Bytes::new())
    }

    /// A string that lives as long as the program.
    pub const fn from_static(text: &'static str) -> Str {
        Str(Bytes::from_static(text.as_bytes()))
    }

    /// Takes bytes over as text, if they are UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Str, std::str::Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Str(bytes))
    }

    /// Takes bytes over as text. What is not UTF-8 becomes U+FFFD, just as many of them as Apache Kafka makes of it, so that
    /// a name is the same name on both.
    pub fn from_utf8_lossy(bytes: Bytes) -> Str {
        match Str::from_utf8(bytes.clone()) {
            Ok(text) => text,
            Err(_) => Str::from(replaced(&bytes)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Every constructor checked or started from a `str`; checking again costs a pass over short names only.
        std::str::from_utf8(&self.0).expect("Str holds UTF-8 by construction")
    }

    /// The bytes, shared.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// The text with one U+FFFD for each malformed part. Java and Rust agree what a part is, but for halves of surrogate pairs,
/// which Java takes as a whole.
#[cold]
fn replaced(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    while let Some(chunk) = bytes.utf8_chunks().next() {
        let mut taken = chunk.valid().len() + chunk.invalid().len();
        text.push_str(chunk.valid());
        if let [_, ..] = chunk.invalid() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        if chunk.invalid() == [0xed] {
            taken += match bytes[taken..] {
                [0xa0..=0xbf, 0x80..=0xbf, ..] => 2,
                [0xa0..=0xbf, ..] => 1,
                _ => 0,
            };
        }
        bytes = &bytes[taken..];
    }
    text
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Str {
    // Both compare by their bytes, and hash alike.
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Str {
        Str(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Str {
        Str(Bytes::from(text.into_bytes()))
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_in_the_order_of_their_bytes_whether_they_share_them_or_not() {
        let whole = Bytes::from_static(b"orders");
        let shared = |to| Str::from_utf8(whole.slice(..to)).unwrap();
        let own = |text: &str| Str::from(text);
        let texts = [shared(0), shared(3), shared(6), own(""), own("ord"), own("orders"), own("orderz"), own("a")];
        for a in &texts {
            for b in &texts {
                assert_eq!((a.cmp(b), a == b), (a.as_str().cmp(b.as_str()), a.as_str() == b.as_str()), "{a} {b}");
            }
        }
    }

    /// Names of topics that were sent to Apache Kafka 4.3.1 in a Metadata request, and the names in its answer.
    #[test]
    fn what_is_no_utf8_is_replaced_as_kafka_does() {
        let seen: [(&[u8], &str); 22] = [
            (b"caf\xe9", "caf\u{fffd}"),
            (b"\xe9t\xe9", "\u{fffd}t\u{fffd}"),
            (b"a\xffb", "a\u{fffd}b"),
            (b"\xc3", "\u{fffd}"),
            (b"\xc0\xaf", "\u{fffd}\u{fffd}"),
            (b"\xe2\x82", "\u{fffd}"),
            (b"\xe2\x82x", "\u{fffd}x"),
            (b"\xe0\x80\x80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xf0\x9f\x98", "\u{fffd}"),
            (b"\xf0\x9f\x98(", "\u{fffd}("),
            (b"\xf0\x9f\xc3\xa9", "\u{fffd}\u{e9}"),
            (b"x\xf0\x80\x80\x80", "x\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xf4\x90\x80\x80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xf5\x80", "\u{fffd}\u{fffd}"),
            (b"\xf1\x80\x80\x80x\x80", "\u{40000}x\u{fffd}"),
            (b"\xed", "\u{fffd}"),
            (b"\xed\x9f", "\u{fffd}"),
            (b"\xed\xa0", "\u{fffd}"),
            (b"\xed\xa0x", "\u{fffd}x"),
            (b"\xed\xa0\x80", "\u{fffd}"),
            (b"x\xed\xa0\x80\xed\xb0\x80y", "x\u{fffd}\u{fffd}y"),
            (b"\xed\xbf\xc3\xa9", "\u{fffd}\u{e9}"),
        ];
        for (sent, answered) in seen {
            assert_eq!(Str::from_utf8_lossy(Bytes::from_static(sent)), answered, "{sent:x?}");
        }
        // What is UTF-8 is shared, not copied.
        let name = Bytes::from_static("caf\u{e9}".as_bytes());
        assert_eq!(Str::from_utf8_lossy(name.clone()).into_bytes().as_ptr(), name.as_ptr());
    }
}
