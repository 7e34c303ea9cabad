//! The odds of the next bit, told by what came before under several contexts and weighed by how right each was lately.

use crate::bits::Bits;

/// How many contexts tell of a bit.
pub(crate) const INPUTS: usize = 3;
/// Sixteen numbers belong to one context: which it is, and of each decision the odds (12 bits) and how often it was made (4). Odds
/// have their highest bit turned over, so that zeros mean even odds. The two places that a context may have are in one line of a
/// processor's cache, and all of them in its second cache: waiting for memory would take longer than everything else.
#[repr(align(64))]
struct Decisions([u16; DECISIONS]);
/// How many bits of a context say where its places are.
const PLACE: u32 = 14;
const DECISIONS: usize = 32 << PLACE;
/// What is coded, and how well the past has told it: each has weights of its own.
pub(crate) const SETS: usize = 256;
/// Stands for even odds among the logarithms of odds.
const EVEN: usize = 2048;
/// How slowly weights learn.
const SLOWNESS: i32 = 15;
const COUNT: u16 = 15;

/// By which decisions one of sixteen is told.
pub(crate) struct Shape {
    /// Of each decision, which lie to its right.
    right: [u16; 16],
    /// What follows it to the left and to the right: another decision, or from 16 on what was told.
    next: [[u8; 2]; 16],
}

impl Shape {
    /// So many decisions for each.
    pub(crate) const fn new(lengths: [u32; 16]) -> Shape {
        let mut shape = Shape { right: [0; 16], next: [[0; 2]; 16] };
        let (mut decisions, mut code, mut length) = (1, 0u32, 1);
        while length < 16 {
            let mut leaf = 0;
            while leaf < 16 {
                let mut left = if lengths[leaf] == length { length } else { 0 };
                let mut node = 1;
                code += (left > 0) as u32;
                while left > 0 {
                    left -= 1;
                    let way = ((code - 1) >> left & 1) as usize;
                    shape.right[node] |= (way as u16) << leaf;
                    if left == 0 {
                        shape.next[node][way] = 16 + leaf as u8;
                    } else if shape.next[node][way] == 0 {
                        decisions += 1;
                        shape.next[node][way] = decisions;
                    }
                    node = shape.next[node][way] as usize;
                }
                leaf += 1;
            }
            code <<= 1;
            length += 1;
        }
        shape
    }
}

/// All that is learned. It begins as zeros.
pub(crate) struct Odds {
    decisions: Decisions,
    weights: [[[i32; INPUTS]; 16]; SETS],
    /// Logarithms by odds, and odds by logarithms.
    logarithms: [i16; 4096],
    odds: [u16; 4096],
    /// How far a decision made so often moves its odds.
    steps: [i32; 16],
}

impl Odds {
    /// Fills in what does not begin with zeros.
    pub(crate) fn begin(&mut self) {
        // e^(1/256). Products of doubles are the same everywhere.
        let (mut power, mut odd) = (1.0f64, 0);
        for distance in 0..EVEN {
            let share = 65_536.0 * power / (1.0 + power);
            let high = (share as u32).min(65_535 - 16);
            self.odds[EVEN + distance] = high as u16;
            self.odds[EVEN - distance] = (65_536 - high) as u16;
            while odd < 2048 && odd <= (high as usize >> 4) - 2048 {
                self.logarithms[EVEN + odd] = distance as i16;
                self.logarithms[EVEN - 1 - odd] = -(distance as i16);
                odd += 1;
            }
            power *= 1.003_913_889_338_347_5;
        }
        for odd in odd..2048 {
            self.logarithms[EVEN + odd] = 2047;
            self.logarithms[EVEN - 1 - odd] = -2047;
        }
        for set in &mut self.weights {
            *set = [[65_536 / 3; INPUTS]; 16];
        }
        for (count, step) in self.steps.iter_mut().enumerate() {
            *step = 655_360 / (20 * count as i32 + 24);
        }
    }

    /// One of sixteen under these contexts.
    #[inline(never)]
    pub(crate) fn tell<B: Bits>(
        &mut self,
        bits: &mut B,
        set: usize,
        contexts: &[u32; INPUTS],
        shape: &Shape,
        value: u32,
    ) -> u32 {
        // All are asked for before the first is looked at: those that are far away come together.
        let checks = contexts.map(|it| [0, 16].map(|at| self.decisions.0[(places(it) + at) % DECISIONS]));
        let mut at = [0; INPUTS];
        for input in 0..INPUTS {
            at[input] = self.place(contexts[input], checks[input]);
        }
        let set = set % SETS;
        let mut node = 1;
        while node < 16 {
            let weights = &self.weights[set][node];
            let mut logarithms = [0; INPUTS];
            let mut sum = 0i32;
            for input in 0..INPUTS {
                let decision = self.decisions.0[(at[input] + node) % DECISIONS];
                logarithms[input] = i32::from(self.logarithms[usize::from((decision ^ 0x8000) >> 4)]);
                sum = sum.wrapping_add(logarithms[input].wrapping_mul(weights[input]));
            }
            let sum = ((sum >> 16) + EVEN as i32).clamp(1, 4095) as usize;
            let odds = u32::from(self.odds[sum]);
            // Two ways, so that a processor which guesses the bit goes on with it meanwhile.
            let is_right = bits.bit(odds, shape.right[node] >> (value & 15) & 1 == 1);
            if is_right {
                self.learn::<4095>(set, node, &at, &logarithms, odds);
            } else {
                self.learn::<0>(set, node, &at, &logarithms, odds);
            }
            node = usize::from(shape.next[node][usize::from(is_right)]);
        }
        node as u32 - 16
    }

    /// Takes notice of a bit: these odds for it would have been right.
    #[inline(always)]
    fn learn<const RIGHT: i32>(
        &mut self,
        set: usize,
        node: usize,
        at: &[usize; INPUTS],
        logarithms: &[i32; INPUTS],
        odds: u32,
    ) {
        let error = (RIGHT << 4) - odds as i32;
        let weights = &mut self.weights[set][node];
        for input in 0..INPUTS {
            let moved = logarithms[input].wrapping_mul(error).wrapping_add(1 << SLOWNESS >> 1) >> SLOWNESS;
            weights[input] = weights[input].wrapping_add(moved);
            let decision = &mut self.decisions.0[(at[input] + node) % DECISIONS];
            let (odds, count) = (i32::from((*decision ^ 0x8000) >> 4), *decision & COUNT);
            let moved = odds + (((RIGHT - odds) * self.steps[usize::from(count)] + (1 << 14)) >> 15);
            *decision = (moved as u16) << 4 ^ 0x8000 | (count + 1).min(COUNT);
        }
    }

    /// Where the decisions under a context are. Of two places the one goes whose first decision was made less often.
    #[inline(always)]
    fn place(&mut self, context: u32, checks: [u16; 2]) -> usize {
        let (check, first) = (context as u16, places(context));
        let second = first + 16;
        if checks[0] == check {
            return first;
        }
        if checks[1] == check {
            return second;
        }
        let [one, other] = [first, second].map(|it| self.decisions.0[(it + 1) % DECISIONS] & COUNT);
        let seldom = if one > other { second } else { first };
        if let Some(place) = self.decisions.0.get_mut(seldom..seldom + 16) {
            place.fill(0);
            place[0] = check;
        }
        seldom
    }
}

/// Where the two places of a context begin.
#[inline(always)]
fn places(context: u32) -> usize {
    (context >> (32 - PLACE)) as usize * 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_of_sixteen_is_told_by_its_own_decisions() {
        let lengths = [2, 3, 4, 5, 4, 5, 4, 5, 4, 5, 5, 6, 5, 5, 6, 3];
        let shape = Shape::new(lengths);
        for (leaf, length) in lengths.into_iter().enumerate() {
            let (mut node, mut decisions) = (1, 0);
            while node < 16 {
                node = usize::from(shape.next[node][usize::from(shape.right[node] >> leaf & 1)]);
                decisions += 1;
            }
            assert_eq!((node, decisions), (16 + leaf, length));
        }
    }
}
