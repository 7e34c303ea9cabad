//! `vivarium cluster` leaves nothing behind, however it ends.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::running::{Place, Running, until};

fn count(temp: &Path) -> usize {
    std::fs::read_dir(temp).unwrap().count()
}

const CLUSTER: [&str; 6] = ["cluster", "--nodes", "3", "--port", "0", "--ephemeral"];

#[test]
fn nodes_end_with_the_cluster_that_was_killed() {
    let temp = tempfile::tempdir().unwrap();
    drop(Place::start(&CLUSTER, temp.path()));
    let data = std::fs::read_dir(temp.path()).unwrap().next().unwrap().unwrap().path();
    for node in ["node-1", "node-2", "node-3"] {
        // A node lets go of its lock when it ends, of which nobody tells us.
        until(|| server::DataDir::open(&data.join(node)).map_err(|it| format!("{node}: {it}")));
    }
    assert_eq!(count(temp.path()), 1, "it was killed and could not remove its directory");
    // The next run does.
    let next = Place::start(&["server", "--ephemeral", "--port", "0"], temp.path());
    next.servers.send(Signal::HUP);
    let said = next.servers.end();
    assert!(said.succeeded, "{said:?}");
    assert_eq!(count(temp.path()), 0);
}

/// A node that waits for a majority that never comes.
#[test]
fn a_node_is_stopped_before_it_serves() {
    let temp = tempfile::tempdir().unwrap();
    let settings = [
        "process.roles=broker,controller",
        "node.id=1",
        "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
        "controller.listener.names=CONTROLLER",
        // Nobody listens on ports that low.
        "controller.quorum.voters=1@127.0.0.1:3,2@127.0.0.1:1,3@127.0.0.1:2",
    ];
    let mut arguments = vec!["server", "--ephemeral"];
    settings.iter().for_each(|it| arguments.extend(["--set", it]));
    let mut server = Running::start(&arguments, temp.path());
    // It says that it cannot reach the others: by then it waits.
    assert!(server.err.any(|it| it.contains("cannot reach")), "it ended by itself");
    server.send(Signal::TERM);
    let said = server.end();
    assert!(said.succeeded, "a stop is a clean end: {said:?}");
    assert_eq!(count(temp.path()), 0);
}

#[test]
fn a_cluster_is_stopped_before_it_serves() {
    let temp = tempfile::tempdir().unwrap();
    let mut cluster = Running::start(&CLUSTER, temp.path());
    // Its signals are heard before its directory is made.
    until(|| match count(temp.path()) {
        0 => Err(cluster.err.until_now()),
        _ => Ok(()),
    });
    cluster.stop();
    assert_eq!(count(temp.path()), 0);
}

/// Nobody is left to hand partitions over to, nor a majority that could decide it: who waits for that waits in vain.
#[test]
fn nodes_that_are_stopped_at_once_end_soon() {
    let temp = tempfile::tempdir().unwrap();
    // What they could wait for instead takes minutes.
    let cluster = [&CLUSTER[..], &["--set", "broker.session.timeout.ms=600000"]].concat();
    let place = Place::start(&cluster, temp.path());
    place.tell("topics", &["--create", "--topic", "t"], b"");
    let nodes = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", place.servers.id())).unwrap();
    assert_eq!(nodes.split_whitespace().count(), 3, "{nodes}");
    let asked = Instant::now();
    assert!(Command::new("kill").arg("-TERM").args(nodes.split_whitespace()).status().unwrap().success());
    let said = place.servers.end();
    assert!(said.succeeded && asked.elapsed() < Duration::from_secs(60), "{:?}: {said:?}", asked.elapsed());
}

/// The offsets of groups have three replicas by default, which two nodes have no room for.
#[test]
fn groups_work_on_two_nodes() {
    let temp = tempfile::tempdir().unwrap();
    let place = Place::start(&["cluster", "--nodes", "2", "--port", "0", "--ephemeral"], temp.path());
    say_hello(&place);
    assert_eq!(hear(&place, &["--group", "g"]), "hello\n");
    place.servers.stop();
}

#[test]
fn a_node_whose_directory_is_lost_comes_back_by_an_operators_word() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let arguments = ["cluster", "--nodes", "3", "--port", "0", "--data", data.to_str().unwrap()];
    let place = Place::start(&arguments, temp.path());
    say_hello(&place);
    place.servers.stop();
    std::fs::remove_dir_all(data.join("node-2")).unwrap();
    let refused = Running::start(&arguments, temp.path()).end();
    assert!(!refused.succeeded && refused.err.contains("--format-missing"), "{refused:?}");
    let place = Place::start(&[&arguments[..], &["--format-missing"]].concat(), temp.path());
    assert_eq!(hear(&place, &[]), "hello\n");
    place.servers.stop();
}

fn say_hello(place: &Place) {
    place.tell("topics", &["--create", "--topic", "t"], b"");
    place.tell("console-producer", &["--topic", "t"], b"hello\n");
}

/// The first record there is, as a consumer with these arguments reads it.
fn hear(place: &Place, more: &[&str]) -> String {
    let first = ["--topic", "t", "--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"];
    place.tell("console-consumer", &[&first[..], more].concat(), b"")
}
