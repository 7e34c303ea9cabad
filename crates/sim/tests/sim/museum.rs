//! The museum of lost data: each exhibit loses records as its text says, and the same run loses none with today's rules.
//! `VIVARIUM_BLESS=1 cargo test -p sim --test sim museum` writes the transcripts anew.

#![allow(clippy::disallowed_methods, reason = "a test reads its files")]

use std::fs;
use std::path::{Path, PathBuf};

use sim::exhibit::Exhibit;
use sim::script::Scenario;
use sim::setup::PlantedBug;
use sim::swarm::{examine, shrink};

/// Enough for any exhibit.
const EVENTS: u64 = 2_000_000;
/// An exhibit is to be seen through at a glance.
const MOST_ACTIONS: usize = 15;

/// Where each is found before long; the simulator's command line begins at 0, and needs some dozens.
const FOUND: [(Exhibit, u64); 6] = [
    (Exhibit::HighWatermarkTruncation, 15),
    (Exhibit::LoneEpochs, 5),
    (Exhibit::UnvalidatedFetches, 123),
    (Exhibit::LoneHighWatermark, 67),
    (Exhibit::NoElr, 24),
    (Exhibit::UncleanElection, 5),
];

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/museum");
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|it| it == "scenario"))
        .collect();
    files.sort();
    files
}

#[test]
fn each_exhibit_loses_records_and_today_none_are_lost() {
    let bless = std::env::var("VIVARIUM_BLESS").is_ok();
    let mut seen = Vec::new();
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut scenario =
            Scenario::parse(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let exhibit = scenario.setup.past.unwrap_or_else(|| panic!("{name} shows nothing of the past"));
        assert!(scenario.actions() <= MOST_ACTIONS, "{name} has {} actions", scenario.actions());
        let played = scenario.play().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(played.failures, [], "{name}:\n{}", played.transcript);
        assert_eq!(played.broken().map(|it| it.check), Some(exhibit.loss()), "{name}");
        let expected = path.with_extension("transcript");
        if bless {
            fs::write(&expected, &played.transcript).unwrap();
        }
        let committed = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(played.transcript, committed, "{name}: the transcript differs from the committed one");
        scenario.setup.past = None;
        let today = scenario.play().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(today.broken(), None, "{name}, with today's rules");
        seen.push(exhibit);
    }
    for exhibit in Exhibit::ALL {
        assert!(seen.contains(&exhibit), "{} is not shown", exhibit.word());
    }
}

/// What is lost whatever the rules shows nothing of the past: nothing is left out for its sake.
#[test]
fn what_is_made_small_is_lost_by_the_rules_of_then_alone() {
    let lines = "broker b1\nrun until serving b1\ntopic t partitions=1\nproducer p1 linger.ms=0\nproducer p2 linger.ms=0\n\
                 produce p1 t value=a\nrun until acked p1 1\nkill b1\nstart b1\nrun 2s\n";
    let made_small = |past: &str| {
        let mut scenario = Scenario::parse(&format!("seed 1\n{past}{lines}")).expect("it reads");
        scenario.setup.bug = Some(PlantedBug::LosesWrittenBatch);
        let examined = examine(&scenario, EVENTS);
        assert_eq!(examined.trouble.as_ref().map(|it| it.check.as_str()), Some("acked-stays"));
        (scenario.actions(), shrink(&scenario, &examined, EVENTS).actions())
    };
    let (all, some) = made_small("");
    assert!(some < all, "{some} of {all}");
    let (all, some) = made_small("past high-watermark-truncation\n");
    assert_eq!(some, all);
}

/// What a seed loses is made small enough to be seen through. That takes some hundred plays: all exhibits where there is time.
#[test]
fn each_loss_is_made_small() {
    let is_soak = std::env::var_os("VIVARIUM_SOAK").is_some();
    for (exhibit, seed) in FOUND.into_iter().filter(|_| is_soak) {
        let scenario = Scenario::museum(seed, exhibit);
        let examined = examine(&scenario, EVENTS);
        let mut small = shrink(&scenario, &examined, EVENTS);
        assert!(small.actions() <= MOST_ACTIONS, "{}: {} actions:\n{small}", exhibit.word(), small.actions());
        let check = examine(&small, EVENTS).trouble.map(|it| it.check);
        assert_eq!(check.as_deref(), Some(exhibit.loss().name()), "{small}");
        small.setup.past = None;
        assert_eq!(examine(&small, EVENTS).trouble, None, "today:\n{small}");
    }
}

/// A swarm finds each loss. By the same seed nothing is lost with today's rules.
#[test]
fn a_swarm_finds_each_loss() {
    for (exhibit, first) in FOUND {
        let loses = |seed: &u64| {
            let trouble = examine(&Scenario::museum(*seed, exhibit), EVENTS).trouble;
            trouble.is_some_and(|it| it.check == exhibit.loss().name())
        };
        let seed = (first..10_000).find(loses).unwrap_or_else(|| panic!("{} loses nothing", exhibit.word()));
        let mut scenario = Scenario::museum(seed, exhibit);
        scenario.setup.past = None;
        assert_eq!(examine(&scenario, EVENTS).trouble, None, "{} today, by seed {seed}", exhibit.word());
    }
}
