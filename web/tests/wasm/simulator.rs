//! The simulator in a browser: the same seeds give the same hashes as natively, and its swarms, which are quick where the core is
//! optimized.

#[path = "../../../crates/protocol/tests/protocol/literals.rs"]
mod literals;
#[path = "../../../crates/sim/tests/sim/swarm.rs"]
mod swarm;

use sim::script::Scenario;
use sim::swarm::examine;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn seeds_give_the_committed_hashes() {
    let mut seeds = 0;
    for line in include_str!("../../../crates/sim/tests/hashes.txt").lines().filter(|line| !line.starts_with('#')) {
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
    let scenario =
        Scenario::parse(include_str!("../../../crates/sim/scenarios/27-idempotent-dedupe.scenario")).unwrap();
    let played = scenario.play().unwrap();
    assert_eq!(played.failures, []);
    assert_eq!(played.transcript, include_str!("../../../crates/sim/scenarios/27-idempotent-dedupe.transcript"));
}

/// Here a word has 32 bits.
#[wasm_bindgen_test]
fn more_literals_than_a_short_head_can_tell_are_read() {
    literals::are_read();
}
