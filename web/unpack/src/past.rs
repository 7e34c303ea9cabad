//! The instructions so far, and where they went on after others like the last.

use core::ops::Range;

/// As many as are remembered.
const MOST: usize = 1 << 21;
const PLACES: usize = 1 << 15;
/// How many instructions have been alike where few of them, and where many, have the same hash.
const FEW: u32 = 3;
const MANY: u32 = 12;
/// Fewer are given up for many.
const ENOUGH: u32 = 8;
const TRUSTED: u32 = 4;
/// Bits of a hash that tell one from another.
const CHECK: u32 = 0x7ff;

/// An instruction.
#[derive(Clone, Copy)]
struct Step {
    argument: u32,
    /// Where its bytes begin.
    start: u32,
    opcode: u8,
    /// How many bytes they are, or 0 if that are too many.
    length: u8,
}

pub(crate) struct Past {
    steps: [Step; MOST],
    length: usize,
    /// Where instructions came last that were like these, by few of them and by many; and bits of their hash.
    after_few: [u32; PLACES],
    after_many: [u32; PLACES],
    /// Where what is going on now went on before.
    place: usize,
    /// Hashes of a few of the last instructions and of many.
    few: u32,
    many: u32,
    /// How many instructions have been alike, and which of the last were not.
    likeness: u32,
    misses: u32,
}

impl Past {
    /// The opcode so many instructions ago.
    pub(crate) fn opcode(&self, ago: usize) -> u32 {
        u32::from(self.steps[self.length.wrapping_sub(ago) % MOST].opcode)
    }

    /// Its argument.
    pub(crate) fn argument(&self, ago: usize) -> u32 {
        self.steps[self.length.wrapping_sub(ago) % MOST].argument
    }

    /// The instruction that came next the last time.
    pub(crate) fn expected(&self) -> Option<(u8, u32)> {
        let step = &self.steps[self.place % MOST];
        (self.likeness > 0).then_some((step.opcode, step.argument))
    }

    /// Where the bytes of that are.
    pub(crate) fn bytes(&self) -> Option<Range<usize>> {
        let Step { start, length, .. } = self.steps[self.place % MOST];
        (length > 0).then(|| start as usize..start as usize + usize::from(length))
    }

    /// Whether it is told mostly well what comes next.
    pub(crate) fn is_trusted(&self) -> bool {
        self.likeness >= TRUSTED
    }

    /// How well it was told of late what came next.
    pub(crate) fn trust(&self) -> u32 {
        self.likeness.min(15) << 3 | self.misses & 7
    }

    pub(crate) fn push(&mut self, opcode: u8, argument: u32, bytes: Range<usize>) {
        let expected = self.expected();
        let length = u8::try_from(bytes.len()).unwrap_or(0);
        self.steps[self.length % MOST] = Step { argument, start: bytes.start as u32, opcode, length };
        self.length += 1;
        match expected {
            Some((same, like)) if same == opcode => {
                let is_other = like != argument;
                self.misses = self.misses << 1 | u32::from(is_other);
                self.likeness = if is_other { (self.likeness / 4).max(1) } else { self.likeness + 1 };
                self.place += 1;
                if (self.misses & 255).count_ones() > 6 {
                    self.likeness = 0;
                }
            }
            _ => {
                self.likeness = 0;
                self.misses = self.misses << 1 | 1;
            }
        }
        // What was added so often ago is multiplied out of them.
        let instruction = mixed(u32::from(opcode), argument);
        self.few = self.few.wrapping_add(instruction).wrapping_mul(0x9E37_7900);
        self.many = self.many.wrapping_add(instruction).wrapping_mul(0x2C1B_3C68);
        let few = swap(&mut self.after_few, self.few, self.length);
        let many = swap(&mut self.after_many, self.many, self.length);
        if self.likeness < ENOUGH && many.is_some_and(|it| it != self.place) {
            (self.place, self.likeness, self.misses) = (many.unwrap_or_default(), MANY, 0);
        }
        if self.likeness == 0 && few.is_some() {
            (self.place, self.likeness, self.misses) = (few.unwrap_or_default(), FEW, 0);
        }
    }
}

/// Where it went on after instructions of this hash. From now on it went on here.
fn swap(after: &mut [u32; PLACES], hash: u32, here: usize) -> Option<usize> {
    let known = &mut after[(hash >> 17) as usize % PLACES];
    let (place, check, own) = (*known / (CHECK + 1), *known & CHECK, hash >> 6 & CHECK);
    *known = (here as u32).wrapping_mul(CHECK + 1) | own;
    (check == own && place > 0).then_some(place as usize)
}

/// A hash of a hash and a number more.
#[inline(always)]
pub(crate) fn mixed(hash: u32, number: u32) -> u32 {
    let hash = (hash ^ number).wrapping_mul(0x9E37_79B1);
    hash ^ hash >> 15
}
