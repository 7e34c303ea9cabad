//! The invariants of KRaft over many seeds, and bugs that each of them must find.

mod cluster;

use cluster::{Bug, World};
use protocol::Offset;
use protocol::messages::FeatureLevelRecord;

/// Seeds that once found a fault, each with what it was, before those that a run takes in turn.
const REGRESSIONS: &[u64] = &[];
/// As these, of worlds whose voters change.
const CHANGING_REGRESSIONS: &[u64] = &[];

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

/// Voters come and go, and some lose their disks and come back as others, while all else goes wrong too.
#[test]
fn invariants_hold_while_the_voters_change() {
    let (mut granted, mut wiped, mut changes, mut elections) = (0, 0, 0, 0);
    for seed in CHANGING_REGRESSIONS.iter().copied().chain(0..seeds()) {
        let (voters, observers) = [(3, 1), (3, 2), (1, 2), (2, 2)][(seed % 4) as usize];
        let mut world = World::dynamic(seed, voters, observers, Bug::None);
        if seed % 3 == 0 {
            world = world.with_snapshots(3_000);
        }
        world.trouble_until(40_000_000);
        world.settle();
        assert!(world.violations.is_empty(), "seed {seed}: {:?}", world.violations);
        granted += world.stats.granted;
        changes += world.stats.changes;
        wiped += world.stats.wiped;
        elections += world.stats.elections;
    }
    assert!(changes > 4 * seeds() && granted > seeds(), "{granted} of {changes} changes");
    assert!(wiped > seeds() / 4 && elections > seeds(), "{wiped} disks were lost, {elections} elections in all");
}

/// What was committed on two of three stays committed though one of the two loses its disk and the other is away: the third,
/// which never had it, finds no majority in the voter that has forgotten it.
#[test]
fn a_voter_that_lost_its_disk_elects_nobody_who_has_less() {
    for seed in 0..16 {
        // A disk that was formatted again as it was first is that of the same voter, where the log names voters as well.
        let is_dynamic = seed >= 8;
        let mut world = if is_dynamic { World::dynamic(seed, 3, 0, Bug::None) } else { World::new(seed, 3, 0, Bug::None) };
        world.calm = true;
        world.run_until(1_000_000);
        let first = world.leader().expect("a new cluster elects at once");
        let [second, third] = [(first + 1) % 3, (first + 2) % 3];
        world.run_until(3_000_000);
        world.stop(third, false);
        let end = append(&mut world, first, "kept");
        world.run_until(4_000_000);
        assert!(world.quorum(second).is_some_and(|it| it.high_watermark() >= end), "seed {seed}: committed on two");
        world.stop(first, false);
        if is_dynamic {
            world.format_again(second);
        } else {
            world.wipe(second);
        }
        world.restart(second);
        world.restart(third);
        world.run_until(30_000_000);
        assert_eq!(world.leader(), None, "seed {seed}: nobody who leads now could have what is committed");
        world.settle();
        assert!(world.violations.is_empty(), "seed {seed}: {:?}", world.violations);
        assert!(world.quorum(second).is_some_and(|it| it.high_watermark() >= end), "seed {seed}: it is all back");
        // By now it has caught up, and its vote is as good as any.
        let leader = world.leader().expect("a leader");
        world.stop(if leader == second { third } else { leader }, false);
        let by = world.now + 20_000_000;
        world.run_until(by);
        assert!(world.leader().is_some(), "seed {seed}: two of three go on");
    }
}

/// A leader that ends in its first moments leaves voters that cannot tell whether they have forgotten something. All together
/// they can.
#[test]
fn a_new_cluster_outlives_its_first_leaders_first_moments() {
    for seed in 0..40 {
        let mut world = World::new(seed, 3, 0, Bug::None);
        world.calm = true;
        while world.quorum(0).is_some()
            && !(0..3).any(|it| world.quorum(it).is_some_and(|it| it.recovery_point().0 > 0))
        {
            world.step();
        }
        for node in 0..3 {
            world.stop(node, false);
        }
        world.settle();
        assert!(world.violations.is_empty(), "seed {seed}: {:?}", world.violations);
    }
}

fn append(world: &mut World, leader: usize, name: &str) -> Offset {
    let now = world.now();
    let record = FeatureLevelRecord { name: name.into(), feature_level: 1 };
    world.act(leader, |quorum, out| quorum.append(now, vec![record.into()], out)).expect("it runs")
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
    found(Bug::ForgottenVotes, 167, "election safety");
    found(Bug::GenerousVoters, 7, "election safety");
}

fn found_while_voters_change(bug: Bug, first: u64, invariant: &str) {
    for seed in first..first + 100 {
        let mut world = World::dynamic(seed, 3, 2, bug);
        world.trouble_until(40_000_000);
        world.settle();
        if world.violations.iter().any(|what| what.starts_with(invariant)) {
            return;
        }
    }
    panic!("no seed shows {bug:?} as a violation of {invariant}");
}

#[test]
fn a_second_quorum_of_the_same_cluster_is_found() {
    found_while_voters_change(Bug::FormattedAlone, 0, "election safety");
}

#[test]
fn voters_that_count_with_what_they_do_not_have_are_found() {
    found_while_voters_change(Bug::BoastfulVoters, 0, "leader completeness");
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
