//! Sorting that links little machine code.

use std::cmp::Ordering;

/// Sorts; equal items keep their order.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Sorts by a key; items with equal keys keep their order.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

/// Sorts by a comparison; equal items keep their order.
///
/// Every kind of std's sorts adds some 5 KB to the page. This merges numbers, which it does once for all kinds, then moves the
/// items. It is for lists of people's sizes: it allocates, and does not beat std's.
pub fn sort_by<T>(items: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    for (one, other) in swaps(items.len(), &|one, other| order(&items[one], &items[other])) {
        items.swap(one, other);
    }
}

/// What to swap, in order, to sort `len` items that are compared by their places.
fn swaps(len: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<(usize, usize)> {
    let mut swaps = Vec::new();
    if (1..len).all(|at| order(at - 1, at).is_le()) {
        return swaps;
    }
    let mut from = merged(len, order);
    for start in 0..len {
        // Around the cycle: each place gets its item, which sends on the item that was there.
        let mut at = start;
        while from[at] != start {
            let next = from[at];
            swaps.push((at, next));
            from[at] = at;
            at = next;
        }
        from[at] = at;
    }
    swaps
}

/// The places of `len` items in the order of the items: runs of one, of two, of four are merged until one is left.
fn merged(len: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut runs: Vec<usize> = (0..len).collect();
    let mut next = Vec::with_capacity(len);
    let mut width = 1;
    while width < len {
        for start in (0..len).step_by(2 * width) {
            let (middle, end) = (len.min(start + width), len.min(start + 2 * width));
            let (mut left, mut right) = (start, middle);
            while next.len() < end {
                // Of equal ones the left one: it was first.
                let is_left = right == end || left < middle && order(runs[left], runs[right]).is_le();
                let from = if is_left { &mut left } else { &mut right };
                next.push(runs[*from]);
                *from += 1;
            }
        }
        std::mem::swap(&mut runs, &mut next);
        next.clear();
        width *= 2;
    }
    runs
}
