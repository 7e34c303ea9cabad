//! The same seeds give the same hashes in a browser as natively.
#![cfg(target_family = "wasm")]

#[path = "../../protocol/tests/protocol/literals.rs"]
mod literals;

use sim::script::Scenario;
use sim::swarm::examine;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn seeds_give_the_committed_hashes() {
    let mut seeds = 0;
    for line in include_str!("hashes.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let (seed, events, hash) = (word().parse().unwrap(), word().parse().unwrap(), word());
        let examined = examine(&Scenario::random(seed), events);
        assert_eq!(format!("{:016x}", examined.hash), hash, "seed {seed}");
        seeds += 1;
    }
    assert!(seeds > 0);
}

#[wasm_bindgen_test]
fn a_scenario_has_the_committed_transcript() {
    let scenario = Scenario::parse(include_str!("../scenarios/27-idempotent-dedupe.scenario")).unwrap();
    let played = scenario.play().unwrap();
    assert_eq!(played.failures, []);
    assert_eq!(played.transcript, include_str!("../scenarios/27-idempotent-dedupe.transcript"));
}

/// Here a word has 32 bits.
#[wasm_bindgen_test]
fn more_literals_than_a_short_head_can_tell_are_read() {
    literals::are_read();
}
