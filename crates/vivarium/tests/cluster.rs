//! `vivarium cluster` leaves nothing behind, however it ends.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn start(arguments: &[&str], temp: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vivarium"));
    command.args(arguments).env("TMPDIR", temp);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(signal: &str, to: &Child) {
    let status = Command::new("kill").args([signal, &to.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn count(temp: &Path) -> usize {
    std::fs::read_dir(temp).unwrap().count()
}

const CLUSTER: [&str; 6] = ["cluster", "--nodes", "3", "--port", "0", "--ephemeral"];

#[test]
fn nodes_end_with_the_cluster_that_was_killed() {
    let temp = tempfile::tempdir().unwrap();
    let mut cluster = start(&CLUSTER, temp.path());
    let mut line = String::new();
    BufReader::new(cluster.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("ready "), "{line}");
    cluster.kill().unwrap();
    cluster.wait().unwrap();
    let data = std::fs::read_dir(temp.path()).unwrap().next().unwrap().unwrap().path();
    for node in ["node-1", "node-2", "node-3"] {
        // A node lets go of its lock when it ends, of which nobody tells us.
        while server::DataDir::open(&data.join(node)).is_err() {
            std::thread::yield_now();
        }
    }
    assert_eq!(count(temp.path()), 1, "it was killed and could not remove its directory");
    // The next run does.
    let mut next = start(&["server", "--ephemeral", "--port", "0"], temp.path());
    BufReader::new(next.stdout.take().unwrap()).read_line(&mut line).unwrap();
    send("-HUP", &next);
    assert!(next.wait().unwrap().success());
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
    let mut server = start(&arguments, temp.path());
    // It says that it cannot reach the others: by then it waits.
    let mut errors = BufReader::new(server.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("cannot reach") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "it ended by itself");
    }
    send("-TERM", &server);
    assert!(server.wait().unwrap().success(), "a stop is a clean end");
    assert_eq!(count(temp.path()), 0);
}

#[test]
fn a_cluster_is_stopped_before_it_serves() {
    let temp = tempfile::tempdir().unwrap();
    let mut cluster = start(&CLUSTER, temp.path());
    // Its signals are heard before its directory is made.
    while count(temp.path()) == 0 {
        std::thread::yield_now();
    }
    send("-INT", &cluster);
    let mut said = String::new();
    cluster.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(cluster.wait().unwrap().success(), "{said}");
    assert_eq!(count(temp.path()), 0, "{said}");
}

/// Nobody is left to hand partitions over to, nor a majority that could decide it: who waits for that waits in vain.
#[test]
fn nodes_that_are_stopped_at_once_end_soon() {
    let temp = tempfile::tempdir().unwrap();
    // What they could wait for instead takes minutes.
    let mut cluster = start(&[&CLUSTER[..], &["--set", "broker.session.timeout.ms=600000"]].concat(), temp.path());
    let mut line = String::new();
    BufReader::new(cluster.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addresses = line.strip_prefix("ready ").unwrap().trim();
    let mut topics = start(&["topics", "--bootstrap-server", addresses, "--create", "--topic", "t"], temp.path());
    assert!(topics.wait().unwrap().success());
    let nodes = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", cluster.id())).unwrap();
    assert_eq!(nodes.split_whitespace().count(), 3, "{nodes}");
    let asked = Instant::now();
    assert!(Command::new("kill").arg("-TERM").args(nodes.split_whitespace()).status().unwrap().success());
    let mut said = String::new();
    cluster.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(cluster.wait().unwrap().success(), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(60), "{:?}: {said}", asked.elapsed());
}

/// A cluster that serves, and where.
fn serving(arguments: &[&str], temp: &Path) -> (Child, String) {
    let mut cluster = start(arguments, temp);
    let mut line = String::new();
    BufReader::new(cluster.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let Some(addresses) = line.strip_prefix("ready ") else {
        let mut said = String::new();
        cluster.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("{line}{said}");
    };
    (cluster, addresses.trim().to_owned())
}

/// Runs a tool with this input; tells its output.
fn tool(arguments: &[&str], input: &str, temp: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vivarium"));
    command.args(arguments).env("TMPDIR", temp);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{arguments:?}");
    String::from_utf8(done.stdout).unwrap()
}

fn stop(cluster: &mut Child) {
    send("-INT", cluster);
    let mut said = String::new();
    cluster.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(cluster.wait().unwrap().success(), "{said}");
}

/// The offsets of groups have three replicas by default, which two nodes have no room for.
#[test]
fn groups_work_on_two_nodes() {
    let temp = tempfile::tempdir().unwrap();
    let (mut cluster, at) = serving(&["cluster", "--nodes", "2", "--port", "0", "--ephemeral"], temp.path());
    tool(&["topics", "--bootstrap-server", &at, "--create", "--topic", "t"], "", temp.path());
    tool(&["console-producer", "--bootstrap-server", &at, "--topic", "t"], "hello\n", temp.path());
    let consume = ["console-consumer", "--bootstrap-server", &at, "--topic", "t", "--group", "g", "--from-beginning"];
    let consume = [&consume[..], &["--max-messages", "1", "--timeout-ms", "30000"]].concat();
    assert_eq!(tool(&consume, "", temp.path()), "hello\n");
    stop(&mut cluster);
}

#[test]
fn a_node_whose_directory_is_lost_comes_back_by_an_operators_word() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let arguments = ["cluster", "--nodes", "3", "--port", "0", "--data", data.to_str().unwrap()];
    let (mut cluster, at) = serving(&arguments, temp.path());
    tool(&["topics", "--bootstrap-server", &at, "--create", "--topic", "t"], "", temp.path());
    tool(&["console-producer", "--bootstrap-server", &at, "--topic", "t"], "hello\n", temp.path());
    stop(&mut cluster);
    std::fs::remove_dir_all(data.join("node-2")).unwrap();
    let refused = start(&arguments, temp.path()).wait_with_output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("--format-missing"), "{said}");
    let (mut cluster, at) = serving(&[&arguments[..], &["--format-missing"]].concat(), temp.path());
    let consume = ["console-consumer", "--bootstrap-server", &at, "--topic", "t", "--from-beginning"];
    let consume = [&consume[..], &["--max-messages", "1", "--timeout-ms", "30000"]].concat();
    assert_eq!(tool(&consume, "", temp.path()), "hello\n");
    stop(&mut cluster);
}
