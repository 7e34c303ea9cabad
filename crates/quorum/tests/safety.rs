//! The invariants of KRaft over many seeds, and bugs that each of them must find.

mod cluster;

use cluster::{Bug, World};

/// Seeds that once found a fault, each with what it was, before those that a run takes in turn.
const REGRESSIONS: &[u64] = &[];

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by name")]
fn seeds() -> u64 {
    std::env::var("QUORUM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(24)
}

fn run(seed: u64, voters: usize, observers: usize, snapshots: bool, bug: Bug) -> World {
    let mut world = World::new(seed, voters, observers, bug);
    if snapshots {
        world = world.with_snapshots(3_000);
    }
    world.trouble_until(40_000_000);
    world.settle();
    world
}

#[test]
fn invariants_hold_over_many_seeds() {
    let (mut appended, mut elections, mut cut_tails, mut restored) = (0, 0, 0, 0);
    for seed in REGRESSIONS.iter().copied().chain(0..seeds()) {
        let (voters, observers) = [(3, 0), (3, 1), (5, 0), (4, 1)][(seed % 4) as usize];
        let world = run(seed, voters, observers, seed % 3 == 0, Bug::None);
        assert!(world.violations.is_empty(), "seed {seed}: {:?}", world.violations);
        elections += world.stats.elections;
        appended += world.appended;
        cut_tails += world.stats.cut_tails;
        restored += world.stats.restored;
    }
    // It is no proof of anything if nothing happens.
    assert!(appended > 100 * seeds() && elections > 3 * seeds(), "{appended} appends, {elections} elections in all");
    assert!(
        cut_tails > seeds() && restored > seeds() / 4,
        "{cut_tails} tails were cut, {restored} snapshots taken over"
    );
}

/// Looks at seeds from the first one that is known to show it.
fn found(bug: Bug, first: u64, invariant: &str) {
    for seed in first..first + 300 {
        let world = run(seed, 3, 0, false, bug);
        if world.violations.iter().any(|what| what.starts_with(invariant)) {
            return;
        }
    }
    panic!("no seed shows {bug:?} as a violation of {invariant}");
}

#[test]
fn two_leaders_of_an_epoch_are_found() {
    found(Bug::ForgottenVotes, 382, "election safety");
    found(Bug::GenerousVoters, 7, "election safety");
}

#[test]
fn a_leader_without_what_is_committed_is_found() {
    found(Bug::LyingFlush, 2, "leader completeness");
}

#[test]
fn states_that_differ_are_found() {
    found(Bug::HastyWatermark, 109, "state machine safety");
}

#[test]
fn logs_that_differ_are_found() {
    found(Bug::GenerousVoters, 7, "log matching");
}

#[test]
fn a_node_that_never_catches_up_is_found() {
    found(Bug::NoDivergence, 0, "convergence");
}

#[test]
fn a_high_watermark_that_goes_back_is_found() {
    found(Bug::Rebirth, 0, "high watermark monotone");
}
