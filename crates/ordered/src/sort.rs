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
/// Every kind of std's sorts adds some 5 KB to the page. This sorts numbers, which it does once for all kinds, then moves the
/// items. It is for lists of people's sizes: it allocates, and does not beat std's.
pub fn sort_by<T>(items: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    for (one, other) in swaps(items.len(), &|one, other| order(&items[one], &items[other])) {
        items.swap(one, other);
    }
}

/// What to swap, in order, to sort `len` items that are compared by their places.
fn swaps(len: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<(usize, usize)> {
    let mut from: Vec<usize> = (0..len).collect();
    from.sort_by(|one, other| order(*one, *other));
    let mut swaps = Vec::new();
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
