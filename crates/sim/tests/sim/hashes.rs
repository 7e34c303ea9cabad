//! The same seeds give the same hashes here as in a browser: `web/tests/wasm` compares with the same file.
//! `VIVARIUM_BLESS=1 cargo test -p sim --test sim hashes` writes it anew.

#![allow(clippy::disallowed_methods, reason = "a test reads its files")]

use std::fmt::Write;

use sim::script::Scenario;
use sim::swarm::examine;

/// Each seed's events are cut off here, for a browser is slow.
const EVENTS: u64 = 20_000;

#[test]
fn seeds_give_the_committed_hashes() {
    let mut text = String::from("# Seed, events, hash. Written by tests/sim/hashes.rs; equal on every host.\n");
    for seed in [1, 2, 3, 4, 5, 6, 7, 8] {
        let examined = examine(&Scenario::random(seed), EVENTS);
        assert_eq!(examined.trouble, None, "seed {seed}");
        writeln!(text, "{seed} {EVENTS} {:016x}", examined.hash).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hashes.txt");
    if std::env::var("VIVARIUM_BLESS").is_ok() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}
