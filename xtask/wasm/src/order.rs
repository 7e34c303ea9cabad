//! The order of functions in which they compress best.

use std::collections::{HashMap, VecDeque};

use crate::pack::Function;

/// Bytes of a sequence that two functions can have in common. gzip's shortest is 3, but everything has those in common.
const SEQUENCE: usize = 6;
/// How far back a function may be to count. gzip looks back twice as far; what is closer also has shorter distances.
const WINDOW: usize = 16 << 10;
/// A sequence that so many functions have says nothing about which belong together.
const COMMON: usize = 400;
/// Added to a function's length, so that the shortest do not come first for the little that they consist of.
const WEIGHT: u64 = 8;

/// Puts the functions `chosen` in an order: next comes always the one that has the largest share of its sequences in common
/// with what stands in the window before it. The first is the largest. The same functions give the same order.
pub(crate) fn by_likeness(functions: &[Function], chosen: &[usize]) -> Vec<usize> {
    let (sequences, holders) = sequences(functions, chosen);
    let mut by_size: Vec<usize> = (0..chosen.len()).collect();
    by_size.sort_by_key(|it| std::cmp::Reverse(functions[chosen[*it]].body.len()));
    let mut by_size = by_size.into_iter();

    // How many of its sequences each function has in the window; those that are placed already are out of the race.
    let mut shared = vec![0u64; chosen.len()];
    let mut placed = vec![false; chosen.len()];
    let mut in_window = vec![0u32; holders.len()];
    let mut window = VecDeque::new();
    let mut window_size = 0;
    let mut order = Vec::with_capacity(chosen.len());
    while order.len() < chosen.len() {
        let mut best: Option<(u64, u64, usize)> = None;
        for (at, shared) in shared.iter().copied().enumerate().filter(|(at, shared)| *shared > 0 && !placed[*at]) {
            let all = sequences[at].len() as u64 + WEIGHT;
            if best.is_none_or(|(most, of, _)| shared * of > most * all) {
                best = Some((shared, all, at));
            }
        }
        let next = best.map(|it| it.2).or_else(|| by_size.find(|it| !placed[*it]));
        let Some(next) = next else { break };
        placed[next] = true;
        order.push(chosen[next]);

        let size = functions[chosen[next]].body.len();
        window.push_back((next, size));
        window_size += size;
        for sequence in &sequences[next] {
            in_window[*sequence] += 1;
            if in_window[*sequence] == 1 {
                holders[*sequence].iter().for_each(|it| shared[*it] += 1);
            }
        }
        while window_size > WINDOW && window.len() > 1 {
            let Some((gone, size)) = window.pop_front() else { break };
            window_size -= size;
            for sequence in &sequences[gone] {
                in_window[*sequence] -= 1;
                if in_window[*sequence] == 0 {
                    holders[*sequence].iter().for_each(|it| shared[*it] -= 1);
                }
            }
        }
    }
    order
}

/// The sequences of each chosen function, numbered, and for each sequence who has it (nobody for one that is too common).
fn sequences(functions: &[Function], chosen: &[usize]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut numbers: HashMap<[u8; SEQUENCE], usize> = HashMap::new();
    let mut holders: Vec<Vec<usize>> = Vec::new();
    let mut all = Vec::with_capacity(chosen.len());
    for (at, function) in chosen.iter().enumerate() {
        let mut own: Vec<usize> = Vec::new();
        for sequence in neutral(&functions[*function]).array_windows() {
            own.push(*numbers.entry(*sequence).or_insert_with(|| {
                holders.push(Vec::new());
                holders.len() - 1
            }));
        }
        own.sort_unstable();
        own.dedup();
        own.iter().for_each(|it| holders[*it].push(at));
        all.push(own);
    }
    holders.iter_mut().filter(|it| it.len() > COMMON).for_each(Vec::clear);
    (all, holders)
}

/// A body in which those it calls have names of one length: what they will be is not known yet, whether two call the same is.
fn neutral(function: &Function) -> Vec<u8> {
    let mut body = Vec::with_capacity(function.body.len());
    let mut at = 0;
    for callee in &function.calls {
        body.extend_from_slice(&function.body[at..callee.start]);
        body.extend_from_slice(&callee.function.to_le_bytes()[..2]);
        at = callee.end;
    }
    body.extend_from_slice(&function.body[at..]);
    body
}
