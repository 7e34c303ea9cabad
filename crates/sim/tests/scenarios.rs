//! The scenarios: each is played, its expectations are met, and its transcript is the committed one.
//! `VIVARIUM_BLESS=1 cargo test -p sim --test scenarios` writes the transcripts anew.

#![allow(clippy::disallowed_methods, reason = "a test reads its files")]

use std::fs;
use std::path::{Path, PathBuf};

use sim::script::Scenario;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|it| it == "scenario"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "the scenarios are there");
    files
}

#[test]
fn every_scenario_meets_its_expectations_and_its_transcript() {
    let bless = std::env::var("VIVARIUM_BLESS").is_ok();
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let scenario =
            Scenario::parse(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let played = scenario.play().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(played.failures, [], "{name}:\n{}", played.transcript);
        assert_eq!(played.broken(), None, "{name}");
        let expected = path.with_extension("transcript");
        if bless {
            fs::write(&expected, &played.transcript).unwrap();
        }
        let committed = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(played.transcript, committed, "{name}: the transcript differs from the committed one");
    }
}

#[test]
fn every_scenario_reads_back_as_it_is_written() {
    for path in files() {
        let scenario = Scenario::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let again = Scenario::parse(&scenario.to_string()).unwrap();
        assert_eq!(again.setup, scenario.setup);
        let steps = |scenario: &Scenario| scenario.steps.iter().map(|(_, step)| step.clone()).collect::<Vec<_>>();
        assert_eq!(steps(&again), steps(&scenario), "{}", path.display());
    }
}

#[test]
fn a_played_scenario_is_a_run_that_plays_the_same() {
    for path in files() {
        let scenario = Scenario::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let played = scenario.play_with(false).unwrap();
        let world = played.history.world();
        let recorded = Scenario::of(&played.history.run(), world.events());
        let text = recorded.to_string();
        let again = Scenario::parse(&text).unwrap().play_with(false).unwrap();
        assert_eq!(again.failures, [], "{text}");
        assert_eq!(again.history.world().hash(), world.hash(), "{}", path.display());
    }
}
