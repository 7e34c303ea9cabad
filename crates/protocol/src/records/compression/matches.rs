//! What repeats itself in bytes: what the formats of LZ77's family write, each in its way.

/// The shortest repetition that is looked for.
const SHORTEST: usize = 4;
/// As many bits of four bytes' hash are remembered.
const HASH_BITS: u32 = 13;
/// Where nothing has repeated itself for so many bytes, every second place is looked at, and so on.
const PATIENCE: u32 = 6;

/// Bytes that are new, then some that were there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence<'a> {
    pub(super) literals: &'a [u8],
    /// How many follow that were there before.
    pub(super) length: usize,
    /// How far before.
    pub(super) distance: usize,
}

/// Takes bytes apart, repetitions no farther away than `window`; answers what is new at the end.
pub(super) fn take_apart<'a>(plain: &'a [u8], window: usize, found: &mut dyn FnMut(Sequence<'a>)) -> &'a [u8] {
    // One past the place where a hash was last seen.
    let mut seen = vec![0; 1 << HASH_BITS];
    let (mut at, mut start) = (0, 0);
    while let Some(here) = plain.get(at..at + SHORTEST) {
        let number = here.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let hash = number.wrapping_mul(0x9e37_79b1) >> (u32::BITS - HASH_BITS);
        let before = std::mem::replace(&mut seen[hash as usize], at + 1).wrapping_sub(1);
        let distance = at.wrapping_sub(before);
        if before < at && distance <= window && plain[before..].starts_with(here) {
            let same = plain[before..].iter().zip(&plain[at..]).take_while(|(one, other)| one == other);
            let length = same.count();
            found(Sequence { literals: &plain[start..at], length, distance });
            at += length;
            start = at;
        } else {
            at += 1 + ((at - start) >> PATIENCE);
        }
    }
    &plain[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_apart_makes_the_whole() {
        let mut found = Vec::new();
        let rest = take_apart(b"abcdabcdabcdxyzabcd", 100, &mut |it| found.push(it));
        let sequence = |literals, length, distance| Sequence { literals, length, distance };
        assert_eq!(found, [sequence(b"abcd", 8, 4), sequence(b"xyz", 4, 11)]);
        assert_eq!(rest, b"");
        found.clear();
        let rest = take_apart(b"abcdabcdabcdxyzabcd", 6, &mut |it| found.push(it));
        assert_eq!((found.len(), rest), (1, &b"xyzabcd"[..]));
        assert_eq!(take_apart(b"abc", 6, &mut |_| unreachable!()), b"abc");
    }
}
