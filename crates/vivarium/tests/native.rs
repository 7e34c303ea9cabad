//! The simulator's scenarios against real processes: the same files.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What takes a few seconds.
const SHORT: [&str; 4] = ["01-", "07-d", "14-", "17-"];
/// And what takes up to a minute.
const LONG: [&str; 21] = [
    "01-",
    "02-",
    "03-",
    "04-",
    "07-d",
    "07-w",
    "08-unclean-election.",
    "09-last-replica-standing-after-",
    "09-last-replica-standing-and-",
    "11-",
    "12-",
    "13-",
    "14-",
    "15-metadata-",
    "15-two-of-three-",
    "15-voters-",
    "17-",
    "18-",
    "19-",
    "20-",
    "killed-is-",
];

fn scenario(prefix: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let mut found = files.filter(|it| it.extension().is_some_and(|it| it == "scenario"));
    found.find(|it| it.file_name().unwrap().to_str().unwrap().starts_with(prefix)).expect("the scenario is there")
}

#[test]
fn scenarios_hold_against_processes() {
    let is_soak = std::env::var_os("VIVARIUM_SOAK").is_some();
    for prefix in if is_soak { &LONG[..] } else { &SHORT[..] } {
        play(&scenario(prefix));
    }
}

fn play(file: &Path) -> String {
    let played =
        Command::new(env!("CARGO_BIN_EXE_vivarium")).arg("scenario").arg(file).arg("--native").output().unwrap();
    let said = String::from_utf8_lossy(&[played.stdout, played.stderr].concat()).into_owned();
    assert!(played.status.success(), "{}: {}\n{said}", file.display(), played.status);
    said
}

/// How often nodes are killed: a few times, or for ten minutes.
fn kills() -> u32 {
    match std::env::var("VIVARIUM_SOAK") {
        Ok(number) => number.parse().ok().filter(|it| *it > 1).unwrap_or(450),
        Err(_) => 10,
    }
}

/// A scenario: an idempotent producer sends all the time, and whichever node is killed and started again, at any moment and
/// sometimes two of the three at once, every record that it was told is there is there once and in its order.
fn killing(kills: u32, mut random: impl FnMut(u32) -> u32) -> String {
    let mut text = String::from("seed 1\n");
    for id in 1..=3 {
        // A controller that is elected while a broker is dead waits for its session to end before it lets it back in.
        writeln!(text, "broker b{id} broker.heartbeat.interval.ms=500 broker.session.timeout.ms=2000").unwrap();
    }
    for id in 1..=3 {
        writeln!(text, "run until serving b{id}").unwrap();
    }
    text += "topic orders partitions=3 min.insync.replicas=2\n\
             producer p1 acks=all enable.idempotence=true linger.ms=0\n\
             consumer c1 auto.offset.reset=earliest\nfollow c1 orders\nload p1 orders every=5ms\n";
    for kill in 1..=kills {
        let first = random(3);
        let mut dead = vec![first + 1];
        if random(4) == 0 {
            dead.push((first + 1 + random(2)) % 3 + 1);
        }
        for id in &dead {
            writeln!(text, "kill b{id}\nrun {}ms", random(300)).unwrap();
        }
        writeln!(text, "run {}ms", random(700)).unwrap();
        for id in &dead {
            writeln!(text, "start b{id}").unwrap();
        }
        for id in &dead {
            writeln!(text, "run until serving b{id}").unwrap();
        }
        // It goes on: not all of what was sent in the meantime needs to be there, so that the next kill meets some of it.
        writeln!(text, "run until acked p1 {}\nrun {}ms", kill * 100, random(500)).unwrap();
    }
    text += "unload p1\nrun until idle p1 within 60s\nrun until caught-up c1 orders within 60s\nrun until behind = within 60s\n\
             expect allowed = 0\nexpect check log-matching = holds\n";
    text
}

#[test]
fn what_was_acknowledged_is_there_once_and_in_order_whichever_nodes_are_killed() {
    let mut state = u64::from(std::process::id());
    println!("random from {state}");
    let random = |below: u32| {
        // Knuth's generator; its upper half is good enough to pick among a few.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 32) % u64::from(below)) as u32
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("killing.scenario");
    std::fs::write(&file, killing(kills(), random)).unwrap();
    println!("{}", play(&file));
}

#[test]
fn what_no_process_can_be_made_to_do_is_said_before_anything_starts() {
    let played = Command::new(env!("CARGO_BIN_EXE_vivarium"))
        .arg("scenario")
        .arg(scenario("full-disk"))
        .arg("--native")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&played.stderr);
    assert_eq!(played.status.code(), Some(77), "{said}");
    assert!(said.contains("skipped: line") && played.stdout.is_empty(), "{said}");
}
