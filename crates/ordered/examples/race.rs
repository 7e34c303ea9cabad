//! `cargo run --release -p ordered --example race`: against std's `BTreeMap`, in nanoseconds an operation.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark reads a clock")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use ordered::Map;

/// What a map of the core looks like: a key of two words, a value of a few.
type Key = (u64, u32);
type Value = [u64; 4];

const ROUNDS: usize = 7;

/// The best of some rounds, in nanoseconds an operation.
fn time(operations: usize, mut run: impl FnMut()) -> f64 {
    let best = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64 / operations as f64
    });
    best.fold(f64::INFINITY, f64::min)
}

/// Keys in an order without a pattern.
fn shuffled(count: usize) -> Vec<Key> {
    let mut keys: Vec<Key> = (0..count as u64).map(|it| (it, 7)).collect();
    let mut state = 1_u64;
    for at in (1..count).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        keys.swap(at, (state >> 33) as usize % (at + 1));
    }
    keys
}

macro_rules! race {
    ($map:ident, $count:expr, $keys:expr) => {{
        let (count, keys) = ($count, $keys);
        let repeat = (200_000 / count).max(1);
        let operations = count * repeat;
        let mut sorted: Vec<Key> = keys.to_vec();
        sorted.sort_unstable();
        let built = |keys: &[Key]| -> $map<Key, Value> { keys.iter().map(|key| (*key, [key.0; 4])).collect() };
        let insert = |keys: &[Key]| {
            let mut map = $map::new();
            for key in keys {
                map.insert(*key, [key.0; 4]);
            }
            map
        };
        let full = built(&sorted);
        [
            time(operations, || (0..repeat).for_each(|_| drop(black_box(insert(&sorted))))),
            time(operations, || (0..repeat).for_each(|_| drop(black_box(insert(keys))))),
            time(operations, || {
                for _ in 0..repeat {
                    for key in keys {
                        black_box(full.get(black_box(key)));
                    }
                }
            }),
            time(operations, || {
                for _ in 0..repeat {
                    black_box(full.values().map(|it| it[0]).sum::<u64>());
                }
            }),
            {
                let mut map = full.clone();
                time(operations, || {
                    for _ in 0..repeat {
                        for key in keys {
                            let value = map.remove(key).expect("it was inserted");
                            map.insert(*key, value);
                        }
                    }
                })
            },
            time(operations, || (0..repeat).for_each(|_| drop(black_box(full.clone())))),
        ]
    }};
}

fn main() {
    println!(
        "{:>9} {:>10} {:>16} {:>16} {:>16} {:>16} {:>16} {:>16}",
        "entries", "", "in order", "shuffled", "get", "walk", "remove, insert", "clone"
    );
    for count in [10, 1_000, 100_000] {
        let keys = shuffled(count);
        let (ours, std) = (race!(Map, count, &keys), race!(BTreeMap, count, &keys));
        for (name, times) in [("Map", ours), ("BTreeMap", std)] {
            print!("{count:>9} {name:>10}");
            times.iter().for_each(|it| print!(" {it:>16.1}"));
            println!();
        }
    }
}
