//! Bits by their odds: a bit that was likely takes less than a bit of a file, one that was not takes more.

/// Where bits go to, or come from. Packing and unpacking are one walk over a module: what packs is told every bit and writes it, what
/// unpacks is told nothing of use and says what was written.
pub trait Bits {
    /// Whether it is known what is told.
    const PACKS: bool;

    /// A bit that is 1 by `odds` in 65,536, which are neither 0 nor all.
    fn bit(&mut self, odds: u32, bit: bool) -> bool;
}

/// Bits that were written. Those so far stand for a span of numbers, of which each takes its share; what was written is a number in it.
pub struct Written<'a> {
    bytes: &'a [u8],
    next: usize,
    /// How many numbers are left, and how far behind the first of them the written one is.
    span: u64,
    code: u64,
}

impl<'a> Written<'a> {
    /// Those of a file.
    pub fn new(bytes: &'a [u8]) -> Written<'a> {
        let mut written = Written { bytes, next: 0, span: u64::MAX, code: 0 };
        written.read();
        written.read();
        written
    }

    /// How many bytes were looked at.
    pub fn count(&self) -> usize {
        self.next
    }

    /// Behind the end there are zeros: a file that was cut has a wrong sum.
    fn read(&mut self) {
        let four = self.bytes.get(self.next..).and_then(|it| it.first_chunk()).copied().unwrap_or_default();
        self.code = self.code << 32 | u64::from(u32::from_be_bytes(four));
        self.next += 4;
    }
}

impl Bits for Written<'_> {
    const PACKS: bool = false;

    #[inline(always)]
    fn bit(&mut self, odds: u32, _: bool) -> bool {
        let bound = (self.span >> 16) * u64::from(odds);
        let bit = self.code < bound;
        if bit {
            self.span = bound;
        } else {
            self.span -= bound;
            self.code -= bound;
        }
        if self.span >> 32 == 0 {
            self.span <<= 32;
            self.read();
        }
        bit
    }
}

/// Writes bits.
#[cfg(not(target_arch = "wasm32"))]
pub struct Writer {
    bytes: Vec<u8>,
    first: u64,
    span: u64,
}

#[cfg(not(target_arch = "wasm32"))]
impl Writer {
    /// Nothing is written yet.
    pub fn empty() -> Writer {
        Writer { bytes: Vec::new(), first: 0, span: u64::MAX }
    }

    /// How many bytes were written.
    pub fn count(&self) -> usize {
        self.bytes.len()
    }

    /// All that was written.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(self.first.to_be_bytes());
        self.bytes
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Bits for Writer {
    const PACKS: bool = true;

    #[inline(always)]
    fn bit(&mut self, odds: u32, bit: bool) -> bool {
        let bound = (self.span >> 16) * u64::from(odds);
        if bit {
            self.span = bound;
        } else {
            let (first, is_over) = self.first.overflowing_add(bound);
            (self.first, self.span) = (first, self.span - bound);
            // One more in the last place, which may make it one more in those before.
            if is_over {
                for byte in self.bytes.iter_mut().rev() {
                    *byte = byte.wrapping_add(1);
                    if *byte != 0 {
                        break;
                    }
                }
            }
        }
        if self.span >> 32 == 0 {
            self.bytes.extend(((self.first >> 32) as u32).to_be_bytes());
            self.first <<= 32;
            self.span <<= 32;
        }
        bit
    }
}
