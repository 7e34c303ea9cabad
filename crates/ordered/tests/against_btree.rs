//! Random operations on a map and on std's, step by step the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use ordered::{Map, Set, SharedMap};

/// A small generator (splitmix64): the crate has no dependencies, nor need its tests.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Values that own memory and are large enough for the smallest chunks.
type Value = (String, [u64; 40]);

fn value(number: u64) -> Value {
    (number.to_string(), [number; 40])
}

fn same(ours: &Map<String, Value>, std: &BTreeMap<String, Value>) {
    assert_eq!(ours.len(), std.len());
    assert_eq!(ours.is_empty(), std.is_empty());
    assert!(ours.iter().eq(std), "in order");
    assert!(ours.iter().rev().eq(std.iter().rev()), "backwards");
    assert!(ours.keys().eq(std.keys()) && ours.values().rev().eq(std.values().rev()));
    assert_eq!(ours.first_key_value(), std.first_key_value());
    assert_eq!(ours.last_key_value(), std.last_key_value());
}

/// `keys` decides how full the map gets: removals are as frequent as insertions.
fn play(seed: u64, keys: u64, steps: u32) {
    let mut random = Random(seed);
    let mut ours = Map::new();
    let mut std = BTreeMap::new();
    for step in 0..steps {
        let key = format!("{:05}", random.below(keys));
        match random.below(14) {
            0..=4 => {
                let made = value(random.next());
                assert_eq!(ours.insert(key.clone(), made.clone()), std.insert(key, made));
            }
            5..=7 => assert_eq!(ours.remove(key.as_str()), std.remove(key.as_str())),
            8 => {
                let made = value(random.next());
                let ours = ours.entry(key.clone()).and_modify(|it| it.1[0] += 1).or_insert(made.clone());
                assert_eq!(ours, std.entry(key).and_modify(|it| it.1[0] += 1).or_insert(made));
            }
            9 => {
                assert_eq!(ours.get(key.as_str()), std.get(key.as_str()));
                assert_eq!(ours.contains_key(&key), std.contains_key(&key));
                if let Some(found) = ours.get_mut(&key) {
                    found.1[3] = 7;
                    std.get_mut(&key).expect("in both").1[3] = 7;
                    assert_eq!(ours[&key], std[&key]);
                }
            }
            10 => {
                let end = format!("{:05}", random.below(keys)).max(key.clone());
                let (from, to) = (key.clone(), end.clone());
                assert!(ours.range(from.clone()..to.clone()).eq(std.range(from.clone()..to.clone())));
                assert!(ours.range(from.clone()..=to.clone()).rev().eq(std.range(from.clone()..=to.clone()).rev()));
                let before = (Bound::Unbounded, Bound::Excluded(to.as_str()));
                assert!(ours.range::<str>(before).eq(std.range::<str, _>(before)));
                let after = (Bound::Excluded(from.as_str()), Bound::Unbounded);
                assert!(ours.range::<str>(after).eq(std.range::<str, _>(after)));
                for (_, it) in ours.range_mut(from.clone()..) {
                    it.1[5] += 1;
                }
                std.range_mut(from.clone()..).for_each(|(_, it)| it.1[5] += 1);
                both_ends(ours.range(from.clone()..to.clone()), std.range(from..to), &mut random);
            }
            11 => assert_eq!(ours.pop_first(), std.pop_first()),
            12 => assert_eq!(ours.pop_last(), std.pop_last()),
            _ if step % 40 == 0 => {
                let (divisor, rest) = (2 + random.below(5), random.below(2));
                let keep = |_: &String, it: &mut Value| it.1[0] % divisor != rest;
                ours.retain(keep);
                std.retain(keep);
            }
            _ => {
                for it in ours.values_mut() {
                    it.1[9] ^= 1;
                }
                std.values_mut().for_each(|it| it.1[9] ^= 1);
            }
        }
        if step % 16 == 0 {
            same(&ours, &std);
        }
    }
    same(&ours, &std);
    assert_eq!(format!("{ours:?}"), format!("{std:?}"));
    let clone = ours.clone();
    assert_eq!(clone, ours);
    assert_eq!(ours.into_iter().collect::<Map<_, _>>(), clone);
    both_ends(clone.into_iter(), std.into_iter(), &mut random);
}

/// Takes from either end at random until nothing is left.
fn both_ends<T: PartialEq + std::fmt::Debug>(
    mut ours: impl DoubleEndedIterator<Item = T>,
    mut std: impl DoubleEndedIterator<Item = T>,
    random: &mut Random,
) {
    loop {
        let (left, right) = match random.below(2) {
            0 => (ours.next(), std.next()),
            _ => (ours.next_back(), std.next_back()),
        };
        assert_eq!(left, right);
        if right.is_none() {
            return;
        }
    }
}

#[test]
fn small_maps_do_what_std_does() {
    for seed in 0..200 {
        play(seed, 12, 200);
    }
}

#[test]
fn maps_of_many_chunks_do_what_std_does() {
    for seed in 0..20 {
        play(seed, 400, 3_000);
        play(seed, 3_000, 6_000);
    }
}

#[test]
fn sets_do_what_std_does() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let (mut ours, mut std) = (Set::new(), BTreeSet::new());
        for _ in 0..6_000 {
            let key = random.below(2_000) as u32;
            match random.below(8) {
                0..=3 => assert_eq!(ours.insert(key), std.insert(key)),
                4..=5 => assert_eq!(ours.remove(&key), std.remove(&key)),
                6 => assert_eq!(ours.contains(&key), std.contains(&key)),
                _ => assert!(ours.range(key..key + 50).eq(std.range(key..key + 50))),
            }
        }
        assert!(ours.iter().eq(&std) && ours.iter().rev().eq(std.iter().rev()));
        assert_eq!((ours.len(), ours.first(), ours.last()), (std.len(), std.first(), std.last()));
        ours.retain(|it| it % 3 == 0);
        std.retain(|it| it % 3 == 0);
        assert_eq!((ours.pop_first(), ours.pop_last()), (std.pop_first(), std.pop_last()));
        assert_eq!(format!("{ours:?}"), format!("{std:?}"));
        assert!(ours.into_iter().eq(std));
    }
}

#[test]
fn a_queue_and_its_reverse_keep_their_order() {
    let (mut up, mut down) = (Map::new(), Map::new());
    for at in 0..10_000_u64 {
        up.insert(at, at);
        down.insert(10_000 - at, at);
        if at >= 1_000 {
            assert_eq!(up.pop_first(), Some((at - 1_000, at - 1_000)));
            assert_eq!(down.pop_last(), Some((11_000 - at, at - 1_000)));
        }
    }
    assert!(up.keys().copied().eq(9_000..10_000));
    assert!(down.keys().copied().eq(1..=1_000));
}

/// What is left of a large map after a bad order of removals is found, and dense enough to be walked.
#[test]
fn removing_all_but_a_few_leaves_them_in_order() {
    for step in [7, 64, 100, 257] {
        let mut map: Map<u64, u64> = (0..100_000).map(|it| (it, it)).collect();
        for key in (0..100_000).filter(|it| it % step != 0) {
            assert_eq!(map.remove(&key), Some(key));
        }
        assert!(map.keys().copied().eq((0..100_000).step_by(step as usize)));
        assert!((0..100_000).all(|key| map.contains_key(&key) == (key % step == 0)));
    }
}

/// A clone keeps what it has while the other changes, whichever is changed.
#[test]
fn shared_maps_are_as_they_were_when_cloned() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut now: (SharedMap<u64, Value>, BTreeMap<u64, Value>) = (SharedMap::default(), BTreeMap::new());
        let mut kept = Vec::new();
        for step in 0..4_000 {
            let key = random.below(600);
            match random.below(6) {
                0..=1 => assert_eq!(now.0.insert(key, value(step)), now.1.insert(key, value(step))),
                2 => assert_eq!(now.0.remove(&key), now.1.remove(&key)),
                3 => {
                    if let Some(it) = now.0.get_mut(&key) {
                        it.1[7] += 1;
                        now.1.get_mut(&key).expect("in both").1[7] += 1;
                    }
                }
                4 => assert_eq!(now.0.range(key..).next(), now.1.range(key..).next()),
                _ if step % 64 == 0 => kept.push(now.clone()),
                _ if step % 64 == 1 && !kept.is_empty() => {
                    let at = random.below(kept.len() as u64) as usize;
                    std::mem::swap(&mut now, &mut kept[at]);
                }
                _ => {}
            }
        }
        kept.push(now);
        for (ours, std) in kept {
            assert!(ours.iter().eq(&std) && ours.iter().rev().eq(std.iter().rev()));
            assert_eq!(ours.len(), std.len());
        }
    }
}

#[test]
fn sorting_does_what_std_does() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut ours: Vec<(u64, u64)> = (0..random.below(70)).map(|at| (random.below(20), at)).collect();
        let mut std = ours.clone();
        ordered::sort_by_key(&mut ours, |it| it.0);
        std.sort_by_key(|it| it.0);
        assert_eq!(ours, std);
        ordered::sort_by(&mut ours, |one, other| other.1.cmp(&one.1));
        std.sort_by_key(|it| std::cmp::Reverse(it.1));
        assert_eq!(ours, std);
        ordered::sort(&mut ours);
        std.sort();
        assert_eq!(ours, std);
    }
}

#[test]
fn a_range_that_ends_before_it_begins_is_empty() {
    let mut map: Map<u32, ()> = (0..1_000).map(|it| (it, ())).collect();
    let (from, to) = (700, 20);
    assert_eq!((map.range(from..to).count(), map.range_mut(from..to).count()), (0, 0));
}
