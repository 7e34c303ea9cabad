//! The scenarios: each is played, its expectations are met, and its transcript is the committed one; so are its variations, and its
//! puzzle is solved by its solution and by nothing else.
//! `VIVARIUM_BLESS=1 cargo test -p sim --test sim scenarios` writes the transcripts anew.

#![allow(clippy::disallowed_methods, reason = "a test reads its files")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sim::export::link;
use sim::script::{Condition, Playing, Scenario, Step};

fn files() -> Vec<PathBuf> {
    let files = files_of("scenarios");
    assert!(files.len() >= 3, "the scenarios are there");
    files
}

fn files_of(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|it| it == "scenario"))
        .collect();
    files.sort();
    files
}

/// The scenarios, those of the museum too, each with its name.
fn all() -> Vec<(String, Scenario)> {
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let scenario = Scenario::parse(&fs::read_to_string(&path).expect("the file can be read"));
        (name.clone(), scenario.unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    files().into_iter().chain(files_of("scenarios/museum")).map(read).collect()
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
        assert_eq!(again.story.chapters.len(), scenario.story.chapters.len(), "{}", path.display());
        assert_eq!(again.to_string(), scenario.to_string(), "{}", path.display());
    }
}

/// A plain test may tell nothing; what tells something has a name that nothing else has, and asks a question.
#[test]
fn every_story_has_a_title_of_its_own_and_asks_a_question() {
    let mut titles = Vec::new();
    for (name, scenario) in all() {
        let story = scenario.story;
        if story.title.is_empty() && story.chapters.is_empty() {
            continue;
        }
        assert!(!story.title.is_empty() && !titles.contains(&story.title), "{name}: {:?}", story.title);
        assert!(story.title.chars().count() <= 40, "{name}: {} is long for a menu", story.title);
        assert!(story.question.ends_with('?'), "{name}: {:?}", story.question);
        titles.push(story.title);
    }
    assert!(titles.len() >= 40);
}

/// What is told is short, and of moments that come one after the other; what is right of a bet the run itself shows.
#[test]
fn every_story_is_told_briefly_and_of_moments_that_come_one_after_the_other() {
    let brief = |what: &str, most: usize, name: &str| {
        let words = what.split_whitespace().count();
        assert!((1..=most).contains(&words), "{name}: {words} words: {what}");
    };
    for (name, scenario) in all() {
        let story = &scenario.story;
        let moment = |line: usize| scenario.steps.iter().rposition(|it| it.0 < line);
        for pair in story.chapters.windows(2) {
            assert!(moment(pair[0].line) < moment(pair[1].line), "{name}: two chapters at line {}", pair[1].line);
        }
        for chapter in &story.chapters {
            if chapter.bet.is_none() || !chapter.text.is_empty() {
                brief(&chapter.text, 40, &name);
            }
            let Some(bet) = &chapter.bet else { continue };
            brief(&bet.question, 30, &name);
            bet.answers.iter().for_each(|it| brief(it, 20, &name));
            for (index, answer) in bet.answers.iter().enumerate() {
                assert!(!bet.answers[..index].contains(answer), "{name}: twice {answer}");
            }
            let shown = |it: &&(usize, Step)| it.0 > chapter.line && matches!(it.1, Step::Expect(..));
            assert!(scenario.steps.iter().any(|it| shown(&it)), "{name}: nothing shows that the bet's answer is right");
        }
        for knob in &story.knobs {
            brief(&knob.text, 50, &name);
            assert!(
                knob.steps.iter().any(|it| matches!(it.1, Step::Expect(..))),
                "{name}: {} shows nothing",
                knob.turn
            );
        }
        if let Some(puzzle) = &story.puzzle {
            brief(&puzzle.text, 50, &name);
            puzzle.hints.iter().for_each(|it| brief(it, 30, &name));
        }
    }
}

/// Of the 37 things that are to be seen of Kafka so many at least are whole lessons: a question, a run, a bet and what came of it, a setting
/// to change, and a puzzle.
const WHOLE: usize = 24;

#[test]
fn most_of_what_is_to_be_seen_is_a_whole_lesson() {
    let mut numbers = BTreeSet::new();
    for (name, Scenario { story, .. }) in all() {
        let number = name.split('-').next().and_then(|it| it.parse::<u32>().ok());
        let has_bet =
            story.chapters.iter().any(|it| it.bet.is_some()) && story.chapters.iter().any(|it| it.reveals.is_some());
        let is_whole = !story.question.is_empty() && has_bet && !story.knobs.is_empty() && story.puzzle.is_some();
        numbers.extend(number.filter(|_| is_whole));
    }
    assert!(numbers.iter().all(|it| (1..=37).contains(it)), "{numbers:?}");
    assert!(numbers.len() >= WHOLE, "{} of 37: {numbers:?}", numbers.len());
}

/// What these show is that a setting changes when something happens, or nothing at all.
const ALIKE: [&str; 3] = ["04-", "19-", "25-"];

/// Where there is a puzzle, some setting that can be changed makes something else of the run, at its end, than what was told.
#[test]
fn some_variation_of_each_whole_lesson_ends_otherwise() {
    let ends_as_told = |(name, scenario): &(String, Scenario)| {
        let told = scenario.play_with(false).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut expected = scenario.story.knobs.iter().flat_map(|it| &it.steps).filter_map(|it| match &it.1 {
            Step::Expect(query, words) => Some(Condition::Is(query.clone(), words.clone())),
            _ => None,
        });
        expected.all(|it| told.history.world().holds(&it))
    };
    let is_whole =
        |it: &(String, Scenario)| it.1.story.puzzle.is_some() && !ALIKE.iter().any(|name| it.0.starts_with(name));
    let whole = all().into_iter().filter(is_whole);
    let wrong: Vec<String> = whole.filter(ends_as_told).map(|it| it.0).collect();
    assert_eq!(wrong, [""; 0], "whatever is changed, all ends as told");
}

#[test]
fn every_variation_meets_what_it_expects() {
    for (name, scenario) in all() {
        for (index, knob) in scenario.story.knobs.iter().enumerate() {
            let played = scenario.play_knob(index, true).expect("the knob is there");
            let played = played.unwrap_or_else(|error| panic!("{name}, {}: {error}", knob.turn));
            assert_eq!(played.failures, [], "{name}, {}:\n{}", knob.turn, played.transcript);
            // The lab plays a knob's run within the bounds of a file that may be anybody's.
            let variation = scenario.variation(index).expect("the knob is there");
            assert_eq!(link::may_be_played(&variation), Ok(()), "{name}, {}", knob.turn);
            assert_eq!(link::fits(played.history.world()), Ok(()), "{name}, {}", knob.turn);
        }
    }
}

#[test]
fn every_puzzle_is_solved_by_its_solution_and_not_by_waiting() {
    let mut wrong = Vec::new();
    for (name, scenario) in all() {
        let Some(solved) = scenario.solve(true) else { continue };
        let solved = solved.unwrap_or_else(|error| panic!("{name}: {error}"));
        if !solved.failures.is_empty() || !solved.is_met {
            wrong.push(format!("{name} is not solved: {:?}\n{}", solved.failures, solved.transcript));
        }
        if scenario.solve(false).expect("the puzzle is there").unwrap().is_met {
            wrong.push(format!("{name}: nothing needs to be done"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

/// docs/fidelity.md speaks of scenarios that there are, and of each that says itself that Apache Kafka does otherwise.
#[test]
fn the_page_on_fidelity_names_scenarios_that_there_are() {
    let page = include_str!("../../../../docs/fidelity.md");
    let names: Vec<String> = files().iter().map(|it| it.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let mut named = 0;
    for word in page.split('`').skip(1).step_by(2) {
        let is_name =
            word.contains('-') && word.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-');
        if is_name {
            assert!(names.iter().any(|it| it == word), "there is no scenario {word}");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
    for (path, name) in files().iter().zip(&names) {
        let text = fs::read_to_string(path).unwrap();
        let differs =
            text.contains("Apache Kafka’s would") || text.contains("Apache Kafka would") || text.contains("a model");
        assert!(!differs || page.contains(&format!("`{name}`")), "{name} says that it differs, and the page does not");
    }
}

/// Each of ours can be opened in the lab as anybody's file.
#[test]
fn every_scenario_may_be_opened_as_a_file() {
    for (name, scenario) in all() {
        let mut playing = Playing::of_guest(scenario).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(playing.go_on(u64::MAX));
        assert_eq!(playing.refused(), None, "{name}");
        assert_eq!(playing.over().1.failures, [], "{name}");
    }
}
