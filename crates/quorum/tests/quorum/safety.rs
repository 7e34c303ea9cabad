//! The invariants of KRaft over many seeds, and bugs that each of them must find.

use protocol::Offset;
use protocol::messages::FeatureLevelRecord;
use quorum::{Majority, RoleKind};

use crate::cluster::{Bug, World};

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
    assert!(wiped > seeds() / 8 && elections > seeds(), "{wiped} disks were lost, {elections} elections in all");
}

/// What was committed on two of three stays committed though one of the two loses its disk and the other is away: the third,
/// which never had it, finds no majority in the voter that has forgotten it.
#[test]
fn a_voter_that_lost_its_disk_elects_nobody_who_has_less() {
    for seed in 0..16 {
        // A disk that was formatted again as it was first is that of the same voter, where the log names voters as well.
        let is_dynamic = seed >= 8;
        let mut world =
            if is_dynamic { World::dynamic(seed, 3, 0, Bug::None) } else { World::new(seed, 3, 0, Bug::None) };
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

/// The documented way back when most voters have lost their disks for good: the one that has its log is there before the others
/// come with empty ones, so that these do not take themselves for a new cluster.
#[test]
fn one_log_brings_the_others_back() {
    for seed in 0..16 {
        let is_dynamic = seed >= 8;
        let mut world =
            if is_dynamic { World::dynamic(seed, 3, 0, Bug::None) } else { World::new(seed, 3, 0, Bug::None) };
        world.calm = true;
        world.run_until(1_000_000);
        let first = world.leader().expect("a new cluster elects at once");
        let end = append(&mut world, first, "kept");
        world.run_until(3_000_000);
        let others = [(first + 1) % 3, (first + 2) % 3];
        for node in others {
            world.stop(node, false);
            if is_dynamic {
                world.format_again(node);
            } else {
                world.wipe(node);
            }
        }
        let by = world.now + 5_000_000;
        world.run_until(by);
        for node in others {
            world.restart(node);
            let by = world.now + 10_000_000;
            world.run_until(by);
        }
        world.settle();
        assert!(world.violations.is_empty(), "seed {seed}: {:?}", world.violations);
        let has_it = |node: usize| world.quorum(node).is_some_and(|it| it.high_watermark() >= end);
        assert!((0..3).all(has_it), "seed {seed}: all have it");
    }
}

/// A leader that ends in its first moments leaves voters that cannot tell whether they have forgotten something. All together
/// they can, whatever the power left of the first batches on each of them.
#[test]
fn a_new_cluster_outlives_its_first_leaders_first_moments() {
    let mut doubtful = 0;
    for seed in 0..60 {
        let mut world = World::new(seed, 3, 0, Bug::None);
        world.calm = true;
        let has = |world: &World, node: usize| world.quorum(node).is_some_and(|it| it.log_end().0 > 0);
        while !(0..3).any(|node| has(&world, node)) {
            world.step();
        }
        // From the first batch's way to the leader's disk to the last one's to the others.
        for _ in 0..seed {
            world.step();
        }
        for node in 0..3 {
            world.stop(node, seed % 2 == 0);
        }
        for node in 0..3 {
            world.restart(node);
        }
        let by = world.now + 40_000;
        world.run_until(by);
        // Some have what others have not: these may have forgotten it.
        let ends = (0..3).filter(|node| has(&world, *node)).count();
        doubtful += u32::from(ends == 1 || ends == 2);
        world.settle();
        assert!(world.violations.is_empty(), "seed {seed}: {:?}", world.violations);
    }
    assert!(doubtful > 10, "in {doubtful} of the worlds there was something to doubt");
}

/// A voter that catches up takes many batches at once. Whatever a power cut leaves of them, it starts again: a good batch behind
/// a bad one would look as if what it has acknowledged were damaged.
#[test]
fn a_voter_that_loses_its_power_while_it_catches_up_starts_again() {
    for seed in 0..60 {
        let mut world = World::new(seed, 3, 0, Bug::None);
        world.calm = true;
        world.run_until(2_000_000);
        let leader = world.leader().expect("a new cluster elects at once");
        let late = (leader + 1) % 3;
        world.stop(late, false);
        for name in 0..30 {
            append(&mut world, leader, &format!("level-{name}"));
            let by = world.now + 20_000;
            world.run_until(by);
        }
        world.restart(late);
        let is_behind = |world: &World| world.quorum(late).is_none_or(|it| it.log_end() <= it.recovery_point().plus(3));
        while is_behind(&world) {
            assert!(world.step(), "it catches up");
        }
        let by = world.now + seed * 10;
        world.run_until(by);
        world.stop(late, true);
        world.settle();
        assert!(world.violations.is_empty(), "seed {seed}: {:?}", world.violations);
    }
}

/// Who finds no majority says so once, names those that are missing, and says when there is a leader again.
#[test]
fn a_lost_majority_is_told_once_and_so_is_its_return() {
    let mut world = World::new(1, 3, 1, Bug::None);
    world.calm = true;
    world.run_until(2_000_000);
    let leader = world.leader().expect("a new cluster elects at once");
    let [second, third] = [(leader + 1) % 3, (leader + 2) % 3];
    world.stop(leader, false);
    world.run_until(20_000_000);
    assert_eq!(world.majorities, [], "one that is gone is missed by nobody");
    let first_gone = world.leader().expect("two of three go on");
    let last = if first_gone == second { third } else { second };
    world.stop(first_gone, false);
    world.run_until(60_000_000);
    let mut told = std::mem::take(&mut world.majorities);
    told.sort_by_key(|(node, _)| *node);
    let [(one, lost), (3, of_observer)] = &told[..] else { panic!("the last voter and the observer: {told:?}") };
    assert_eq!(*one, last);
    for (it, missing) in [(lost, 2), (of_observer, 2)] {
        let Majority::Lost { since, voters: 3, silent } = it else { panic!("{it:?}") };
        assert!((20_000_000..25_000_000).contains(&since.0), "{since:?}");
        let mut ids: Vec<usize> = silent.iter().map(|(at, _)| at.node.0 as usize - 1).collect();
        ids.sort_unstable();
        let mut gone = [leader, first_gone];
        gone.sort_unstable();
        assert_eq!((ids.len(), &ids[..]), (missing, &gone[..]));
        assert!(silent.iter().all(|(_, heard)| heard.is_none_or(|at| at.0 <= 20_100_000)), "{silent:?}");
    }
    world.restart(leader);
    world.run_until(80_000_000);
    let mut back = std::mem::take(&mut world.majorities);
    back.sort_by_key(|(node, _)| *node);
    assert!(
        matches!(&back[..], [(one, Majority::Back { .. }), (3, Majority::Back { .. })] if *one == last),
        "{back:?}"
    );
}

fn append(world: &mut World, leader: usize, name: &str) -> Offset {
    let now = world.now();
    let record = FeatureLevelRecord { name: name.into(), feature_level: 1 };
    world.act(leader, |quorum, out| quorum.append(now, vec![record.into()], out)).expect("it runs")
}

/// Looks at seeds from the first one that is known to show it.
fn found(bug: Bug, voters: usize, first: u64, invariant: &str) {
    for seed in first..first + 100 {
        let world = run(seed, voters, 0, false, bug);
        if world.violations.iter().any(|what| what.starts_with(invariant)) {
            return;
        }
    }
    panic!("no seed shows {bug:?} as a violation of {invariant}");
}

#[test]
fn two_leaders_of_an_epoch_are_found() {
    // Cut off from its leader, and without their votes for it, the others elect one of themselves in the same epoch.
    let mut world = World::new(0, 3, 0, Bug::ForgottenVotes);
    world.calm = true;
    let leads = |world: &World, node: usize| world.quorum(node).is_some_and(|it| it.role() == RoleKind::Leader);
    while !(0..3).any(|node| leads(&world, node)) {
        world.step();
    }
    let first = (0..3).find(|node| leads(&world, *node)).expect("one leads");
    for other in (0..3).filter(|node| *node != first) {
        world.cut(first, other);
        world.cut(other, first);
        world.stop(other, true);
    }
    let by = world.now + 1_000_000;
    world.run_until(by);
    for node in 0..3 {
        world.restart(node);
    }
    let by = world.now + 5_000_000;
    world.run_until(by);
    assert!(world.violations.iter().any(|what| what.starts_with("election safety")), "{:?}", world.violations);
    found(Bug::GenerousVoters, 3, 4, "election safety");
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
    // A batch is synced at the latest before the next one is written: what a lie is about is the last one.
    let mut world = World::new(0, 3, 0, Bug::LyingFlush);
    world.calm = true;
    world.run_until(3_000_000);
    let leader = world.leader().expect("a new cluster elects at once");
    let now = world.now();
    let records = ["a", "b", "c"].map(|name| FeatureLevelRecord { name: name.into(), feature_level: 1 }.into());
    world.act(leader, |quorum, out| quorum.append(now, records.into(), out));
    world.run_until(4_000_000);
    for node in 0..3 {
        world.stop(node, true);
        world.restart(node);
    }
    world.run_until(10_000_000);
    assert!(world.violations.iter().any(|what| what.starts_with("leader completeness")), "{:?}", world.violations);
}

#[test]
fn states_that_differ_are_found() {
    found(Bug::HastyWatermark, 5, 1, "state machine safety");
}

#[test]
fn logs_that_differ_are_found() {
    found(Bug::GenerousVoters, 3, 4, "log matching");
}

#[test]
fn a_node_that_never_catches_up_is_found() {
    found(Bug::NoDivergence, 3, 0, "convergence");
}

#[test]
fn a_high_watermark_that_goes_back_is_found() {
    found(Bug::Rebirth, 3, 0, "high watermark monotone");
}
