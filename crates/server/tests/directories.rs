//! Several real log directories, and what is left when one of them goes.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

mod common;

use std::fs;
use std::path::Path;

use common::{Client, batch, config};
use protocol::ErrorCode;
use server::{Server, StartError};

fn start(root: &Path) -> Result<Server, StartError> {
    let dirs = format!("{},{}", root.join("a").display(), root.join("b").display());
    Server::start(config(root, &[("log.dirs", &dirs), ("replica.high.watermark.checkpoint.interval.ms", "50")]))
}

/// What producing a record to each of the topic's partitions is answered with.
fn produced(client: &mut Client) -> Vec<ErrorCode> {
    (0..6).map(|partition| client.produce("t", partition, batch(&["x"])).0).collect()
}

fn is_in(folder: &Path, partition: i32) -> bool {
    folder.join(format!("t-{partition}")).is_dir()
}

#[test]
fn a_directory_that_cannot_be_opened_costs_only_what_is_in_it() {
    let root = tempfile::tempdir().unwrap();
    let (second, away) = (root.path().join("b"), root.path().join("away"));
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    client.create_topic("t", 6);
    assert!(produced(&mut client).iter().all(|it| *it == ErrorCode::None));
    let lost: Vec<bool> = (0..6).map(|it| is_in(&second, it)).collect();
    assert!(lost.contains(&true) && lost.contains(&false), "{lost:?}");
    server.stop().unwrap();

    // A file where the directory should be: whoever runs as root is refused nothing else.
    fs::rename(&second, &away).unwrap();
    fs::write(&second, "no directory").unwrap();
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    for (error, lost) in produced(&mut client).into_iter().zip(&lost) {
        assert_eq!(error, if *lost { ErrorCode::KafkaStorageError } else { ErrorCode::None });
    }
    client.create_topic("new", 3);
    assert_eq!(client.produce("new", 2, batch(&["n"])).0, ErrorCode::None);
    server.stop().unwrap();
    assert_eq!(fs::read_to_string(&second).unwrap(), "no directory");

    fs::remove_file(&second).unwrap();
    fs::rename(&away, &second).unwrap();
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    for (partition, lost) in (0..6).zip(&lost) {
        assert_eq!(client.values("t", partition).len(), if *lost { 1 } else { 2 }, "{partition}");
        assert_eq!(is_in(&second, partition), *lost, "it was found where it is");
    }
    server.stop().unwrap();
}

#[test]
fn without_the_metadata_logs_directory_there_is_no_start() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "no directory").unwrap();
    let line = start(root.path()).expect_err("it must not start").to_string();
    assert!(line.contains(&root.path().join("a").display().to_string()), "{line}");
}

#[test]
fn a_directory_that_goes_while_the_node_runs_costs_only_what_is_in_it() {
    let root = tempfile::tempdir().unwrap();
    let second = root.path().join("b");
    let server = start(root.path()).unwrap();
    let mut client = Client::connect(server.addresses()[0]);
    client.create_topic("t", 6);
    produced(&mut client);
    let lost: Vec<bool> = (0..6).map(|it| is_in(&second, it)).collect();
    fs::rename(&second, root.path().join("away")).unwrap();
    // The next checkpoint finds out; until then what is open takes records.
    let expected = |lost: &bool| if *lost { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    let expected: Vec<ErrorCode> = lost.iter().map(expected).collect();
    while produced(&mut client) != expected {}
    client.create_topic("new", 3);
    assert_eq!(client.produce("new", 2, batch(&["n"])).0, ErrorCode::None);
    server.stop().unwrap();
}
