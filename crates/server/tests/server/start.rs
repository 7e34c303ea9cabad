//! A server that can't start says why in one line that names what to do, and changes nothing.

use std::fs;
use std::path::Path;

use server::{Server, StartError};

use crate::common::{self, Rig, config};

fn refused(data: &Path, settings: &[(&str, &str)]) -> String {
    let error: StartError = Server::start(config(data, settings)).expect_err("it must not start");
    let line = error.to_string();
    assert!(!line.contains('\n') && !line.is_empty(), "{line:?}");
    line
}

/// A folder that a node served from and left.
fn used() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::at(folder.path());
    rig.client().create_topic("t", 1);
    rig.stop();
    folder
}

#[test]
fn a_port_in_use() {
    let taken = Rig::start();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let listeners = format!("PLAINTEXT://{}", taken.address());
    let line = refused(&data, &[("listeners", &listeners)]);
    assert!(line.contains(&taken.address().to_string()) && line.contains("--port"), "{line}");
    assert!(!data.exists(), "nothing was written");
    taken.client().create_topic("t", 1);
    taken.stop();
}

#[test]
fn a_directory_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::at(folder.path());
    let line = refused(folder.path(), &[]);
    assert!(line.contains("in use by another process"), "{line}");
    rig.client().create_topic("t", 1);
    rig.stop();
}

#[test]
fn a_directory_of_another_node_or_cluster() {
    let (first, second) = (used(), used());
    let line = refused(first.path(), &[("node.id", "7")]);
    assert!(line.contains("node 1") && line.contains("node 7"), "{line}");
    let both = format!("{},{}", first.path().display(), second.path().display());
    let line = refused(first.path(), &[("log.dirs", &both)]);
    assert!(line.contains("of cluster"), "{line}");
    Rig::at(first.path()).stop();
}

#[test]
fn a_damaged_or_missing_identity() {
    let folder = used();
    let path = folder.path().join("meta.properties");
    let good = fs::read_to_string(&path).unwrap();
    let damages: [&[u8]; 5] =
        [b"", b"\xff\xfe\0", b"version=9\n", b"version=1\nnode.id=1\n", b"version=1\nnode.id=x\n"];
    for damage in damages {
        fs::write(&path, damage).unwrap();
        let line = refused(folder.path(), &[]);
        assert!(line.contains("meta.properties"), "{line}");
        assert_eq!(fs::read(&path).unwrap(), damage, "nothing was written");
    }
    fs::remove_file(&path).unwrap();
    let line = refused(folder.path(), &[]);
    assert!(line.contains("missing") && line.contains("logs"), "{line}");
    assert!(!path.exists(), "a directory with logs is not made another cluster's");
    fs::write(&path, good).unwrap();
    Rig::at(folder.path()).stop();
}

#[test]
fn a_place_where_no_directory_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    for place in [file.clone(), file.join("below")] {
        let line = refused(&place, &[]);
        assert!(line.contains(&file.display().to_string()), "{line}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}

/// Clients come through another machine's port that happens to be the controllers' own. What the node asks itself as a
/// controller is for the controllers' listener all the same, and the node serves.
#[test]
fn an_advertised_port_that_is_the_controllers() {
    let folder = tempfile::tempdir().unwrap();
    let reserved = ports::ReservedPort::any().unwrap();
    let port = reserved.number();
    let config = config(
        folder.path(),
        &[
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("listeners", &format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}")),
            ("advertised.listeners", &format!("PLAINTEXT://lb.example:{port}")),
            ("controller.listener.names", "CONTROLLER"),
            ("controller.quorum.voters", &format!("1@127.0.0.1:{port}")),
        ],
    );
    let (sender, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(Server::start(config).map_err(|error| error.to_string())));
    let server = started.recv_timeout(std::time::Duration::from_secs(60)).expect("it becomes ready").unwrap();
    let mut client = common::Client::connect(server.addresses()[0]);
    client.create_topic("t", 1);
    client.assert_served("t");
    server.stop().unwrap();
}

/// Stopped while it waits for a majority that never comes, it ends in good order.
#[test]
fn a_stop_before_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(
        folder.path(),
        &[
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
            ("controller.listener.names", "CONTROLLER"),
            // Nobody listens on ports that low.
            ("controller.quorum.voters", "1@127.0.0.1:3,2@127.0.0.1:1,3@127.0.0.1:2"),
        ],
    );
    let (stopper, stop) = server::Stopper::pair().unwrap();
    let server = Server::begin(config, stopper.another().unwrap(), stop).unwrap();
    stopper.stop();
    assert!(!server.wait_until_ready());
    let ended = server.wait().unwrap();
    assert!(matches!(ended, server::Ended::Stopped), "{ended:?}");
}

/// Killed, then hurt: what was on disk is missed, and nothing is cut or written over.
#[test]
fn a_damaged_metadata_log() {
    let folder = used();
    // What a clean stop leaves last; without it the start takes the run before for killed.
    fs::remove_file(folder.path().join(".kafka_cleanshutdown")).unwrap();
    let path = folder.path().join("__cluster_metadata-0/00000000000000000000.log");
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[200] ^= 1;
    for damage in [&flipped[..], &good[..good.len() / 2], &[]] {
        fs::write(&path, damage).unwrap();
        let line = refused(folder.path(), &[]);
        let names =
            ["__cluster_metadata-0/00000000000000000000.log", &folder.path().display().to_string(), "restore it"];
        assert!(names.iter().all(|it| line.contains(it)), "{line}");
        assert_eq!(fs::read(&path).unwrap(), damage, "nothing was written");
    }
    fs::write(&path, good).unwrap();
    let rig = Rig::at(folder.path());
    assert_eq!(rig.client().end_of("t", 0), Some(0));
    rig.stop();
}
