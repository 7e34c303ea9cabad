//! The simulator's scenarios against real processes: the same files.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

use std::path::{Path, PathBuf};
use std::process::Command;

/// What takes a few seconds.
const SHORT: [&str; 4] = ["01-", "07-", "14-", "17-"];
/// And what takes up to a minute.
const LONG: [&str; 10] = ["01-", "03-", "04-", "07-", "09-", "12-", "13-", "14-", "15-", "17-"];

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
        let file = scenario(prefix);
        let played =
            Command::new(env!("CARGO_BIN_EXE_vivarium")).arg("scenario").arg(&file).arg("--native").output().unwrap();
        let said = [played.stdout, played.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(played.status.success(), "{}: {}\n{said}", file.display(), played.status);
    }
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
