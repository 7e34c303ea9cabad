//! What comes out of a codec, within what its caller takes.

use super::{Compression, CompressionError};

/// Why a codec stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// More would come out than the caller takes.
    Limit,
    /// The bytes are not what the format says they are, and why.
    Corrupt(&'static str),
}

impl Fault {
    pub(super) fn of(self, compression: Compression, limit: usize) -> CompressionError {
        match self {
            Fault::Limit => CompressionError::Limit { limit },
            Fault::Corrupt(reason) => CompressionError::corrupt(compression, reason),
        }
    }
}

/// What a step of decompressing comes to.
pub(super) type Step<T = ()> = Result<T, Fault>;

pub(super) const CUT_SHORT: Fault = Fault::Corrupt("the stream ends too early");
const TOO_FAR: Fault = Fault::Corrupt("it repeats what is not there");

/// Decompressed bytes, never more than a limit, and never room for more than there are.
#[derive(Debug)]
pub(super) struct Plain {
    bytes: Vec<u8>,
    limit: usize,
}

impl Plain {
    /// `bytes` are there already and count.
    pub(super) fn new(bytes: Vec<u8>, limit: usize) -> Plain {
        Plain { bytes, limit }
    }

    /// All there are.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Step {
        self.room(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends one byte `length` times.
    pub(super) fn fill(&mut self, byte: u8, length: usize) -> Step {
        self.room(length)?;
        self.bytes.resize(self.bytes.len() + length, byte);
        Ok(())
    }

    /// Appends `length` bytes as they are `distance` before, which may be some of them; `first` is the first that exists for
    /// the stream.
    pub(super) fn repeat(&mut self, distance: usize, length: usize, first: usize) -> Step {
        if distance == 0 || distance > self.len() - first {
            return Err(TOO_FAR);
        }
        self.room(length)?;
        let from = self.len() - distance;
        // What is there already can be taken at once; then twice as much is there.
        let mut left = length;
        while left > 0 {
            let count = left.min(self.len() - from);
            self.bytes.extend_from_within(from..from + count);
            left -= count;
        }
        Ok(())
    }

    fn room(&self, length: usize) -> Step {
        if length > self.limit - self.len() { Err(Fault::Limit) } else { Ok(()) }
    }
}

/// The first `length` bytes, which are taken off the front.
pub(super) fn take<'a>(rest: &mut &'a [u8], length: usize) -> Step<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length).ok_or(CUT_SHORT)?;
    *rest = behind;
    Ok(taken)
}

/// A number of up to eight bytes, least first, which are taken off the front.
pub(super) fn take_number(rest: &mut &[u8], length: usize) -> Step<u64> {
    Ok(take(rest, length)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_grows_no_further_than_the_limit() {
        let mut plain = Plain::new(b"xxab".to_vec(), 11);
        plain.repeat(2, 5, 2).unwrap();
        assert_eq!(plain.bytes(), b"xxababababa"[..9].as_ref());
        assert_eq!(plain.repeat(2, 3, 2), Err(Fault::Limit));
        assert_eq!(plain.repeat(8, 1, 2), Err(TOO_FAR));
        assert_eq!(plain.repeat(0, 1, 2), Err(TOO_FAR));
        plain.fill(b'c', 2).unwrap();
        assert_eq!(plain.fill(b'c', 1), Err(Fault::Limit));
        assert_eq!(plain.push(b"d"), Err(Fault::Limit));
        assert_eq!(plain.into_bytes(), b"xxabababacc");
    }
}
