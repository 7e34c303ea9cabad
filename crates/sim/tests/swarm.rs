//! Seeds: those that broke once, some that never did, and a planted bug for each check of one broker. That the checks of
//! several brokers can fail is shown beside them, in `src/check/tests.rs`.

use sim::script::Scenario;
use sim::setup::PlantedBug;
use sim::swarm::{examine, regressions, shrink};

/// Enough for any generated scenario.
const EVENTS: u64 = 2_000_000;

fn holds(seed: u64) {
    let scenario = Scenario::random(seed);
    let examined = examine(&scenario, EVENTS);
    assert_eq!(examined.trouble, None, "seed {seed}:\n{scenario}");
}

#[test]
fn seeds_that_broke_once_hold() {
    regressions().for_each(holds);
}

#[test]
fn some_seeds_hold() {
    (0..40).for_each(holds);
}

/// Three brokers that die, stand still and lose sight of each other; cut off where a test would take long.
#[test]
fn some_seeds_of_three_brokers_hold() {
    for seed in [0, 8, 9] {
        let scenario = Scenario::random_cluster(seed, 3);
        let again = Scenario::parse(&scenario.to_string()).unwrap();
        assert!(again.steps.iter().map(|it| &it.1).eq(scenario.steps.iter().map(|it| &it.1)), "{scenario}");
        let examined = examine(&scenario, 50_000);
        assert_eq!(examined.trouble, None, "seed {seed}:\n{scenario}");
    }
}

#[test]
fn a_generated_scenario_reads_back_as_it_is_written() {
    for seed in 0..50 {
        let scenario = Scenario::random(seed);
        let again = Scenario::parse(&scenario.to_string()).unwrap();
        assert_eq!(again.setup, scenario.setup);
        assert!(again.steps.iter().map(|it| &it.1).eq(scenario.steps.iter().map(|it| &it.1)), "{scenario}");
    }
}

/// Each planted bug breaks the check that is there for it, within a thousand seeds.
#[test]
fn every_planted_bug_is_found() {
    for (bug, check) in [
        (PlantedBug::LosesWrittenBatch, "acked-stays"),
        (PlantedBug::SkipsOffsets, "offsets-dense"),
        (PlantedBug::MovesHighWatermarkBack, "high-watermark-monotonic"),
        (PlantedBug::ReadsBeyondHighWatermark, "reads-below-high-watermark"),
        (PlantedBug::AppendsTwice, "idempotence"),
        (PlantedBug::DeniesWrites, "failed-is-not-written"),
        (PlantedBug::ForgetsField, "codecs"),
    ] {
        let found = (0..1_000).find_map(|seed| {
            let mut scenario = Scenario::random(seed);
            scenario.setup.bug = Some(bug);
            let examined = examine(&scenario, EVENTS);
            let hit = examined.trouble.as_ref().is_some_and(|it| it.check == check);
            hit.then_some((seed, scenario, examined))
        });
        let (seed, scenario, examined) = found.unwrap_or_else(|| panic!("{bug:?} is not found by {check}"));
        println!("{bug:?}: seed {seed}: {:?}", examined.trouble);
        if bug == PlantedBug::SkipsOffsets {
            let small = shrink(&scenario, &examined, EVENTS);
            assert!(small.steps.len() < scenario.steps.len(), "{small}");
            assert_eq!(examine(&small, EVENTS).trouble.map(|it| it.check).as_deref(), Some(check), "{small}");
            println!("{small}");
        }
    }
}
