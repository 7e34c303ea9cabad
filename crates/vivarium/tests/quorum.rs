//! A metadata quorum whose voters come and go, by processes and the tools that people use.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ports::ReservedPort;

/// A machine that is slow and busy takes long for what is done at once elsewhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node, and where it is configured.
struct Node {
    properties: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// A broker and controller that knows the cluster by `bootstrap`, and is reached at `host`, or listens on every address.
    fn new(folder: &Path, id: i32, host: &str, ports: (&ReservedPort, &ReservedPort), bootstrap: &str) -> Node {
        let (clients, controllers) = (ports.0.number(), ports.1.number());
        let properties = folder.join(format!("{id}.properties"));
        let data = folder.join(format!("data-{id}"));
        let text = format!(
            "node.id={id}\n\
             process.roles=broker,controller\n\
             listeners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://{host}:{controllers}\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers={bootstrap}\n\
             offsets.topic.replication.factor=1\n\
             log.dirs={}\n",
            data.display()
        );
        std::fs::write(&properties, text).unwrap();
        Node { properties, process: None }
    }

    fn file(&self) -> &str {
        self.properties.to_str().unwrap()
    }

    fn format(&self, cluster_id: &str, how: &str) {
        let (status, said) = vivarium(&["storage", "format", "-c", self.file(), "-t", cluster_id, how]);
        assert!(status, "{said}");
    }

    /// Starts it, and waits until it serves.
    fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vivarium"));
        command.args(["server", self.file()]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.process = Some(process);
        assert!(line.starts_with("ready "), "{line}");
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the binary; tells whether it succeeded, and what it said.
fn vivarium(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vivarium")).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// Asks until an answer is right.
fn until(arguments: &[&str], is_right: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let (succeeded, said) = vivarium(arguments);
        if succeeded && is_right(&said) {
            return said;
        }
        assert!(begun.elapsed() < PATIENCE, "{arguments:?}: {said}");
    }
}

/// Nodes on several addresses of one machine, as on several machines: one begins alone, another one joins it and stays.
#[test]
fn a_quorum_moves_to_another_node() {
    let folder = tempfile::tempdir().unwrap();
    let ports: Vec<ReservedPort> = (0..4).map(|_| ReservedPort::any().unwrap()).collect();
    let bootstrap = format!("127.0.0.1:{}", ports[1].number());
    let mut first = Node::new(folder.path(), 1, "127.0.0.1", (&ports[0], &ports[1]), &bootstrap);
    // The second listens on every address and says nowhere how it is reached: then it is by the name of its machine.
    let mut second = Node::new(folder.path(), 2, "", (&ports[2], &ports[3]), &bootstrap);
    let cluster_id = vivarium(&["storage", "random-uuid"]).1.trim().to_owned();
    first.format(&cluster_id, "--standalone");
    second.format(&cluster_id, "--no-initial-controllers");
    first.start();
    second.start();
    let clients = [0, 2].map(|it: usize| format!("127.0.0.1:{}", ports[it].number()));
    let quorum = |server: usize, rest: &[&'static str]| -> Vec<String> {
        let start = ["metadata-quorum", "--bootstrap-server", &clients[server]].map(str::to_owned);
        start.into_iter().chain(rest.iter().map(|it| (*it).to_owned())).collect()
    };
    let ask = |arguments: &[String], is_right: &dyn Fn(&str) -> bool| {
        until(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), is_right)
    };
    let status =
        ask(&quorum(0, &["describe", "--status"]), &|said| said.contains("CurrentObservers:       [{\"id\": 2"));
    assert!(status.contains("LeaderId:               1\n"), "{status}");

    let file = second.file().to_owned();
    let add = ["metadata-quorum", "--bootstrap-server", &clients[0], "--command-config", &file, "add-controller"];
    let added = until(&add, |said| said.starts_with("Added controller 2 with directory id "));
    assert!(added.trim_end().ends_with(&format!("CONTROLLER://localhost:{}", ports[3].number())), "{added}");
    // It knows better how it is reached than the tool does.
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let endpoint = format!("CONTROLLER://{name}:{}", ports[3].number());
    let status = ask(&quorum(0, &["describe", "--status"]), &|said| said.contains(&endpoint));

    let (again, said) = vivarium(&add);
    assert!(!again && said.contains("DuplicateVoterException"), "{said}");
    let directory =
        status.split("\"id\": 1, \"directoryId\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let remove = |server: usize| {
        let mut it = quorum(server, &["remove-controller", "--controller-id", "1", "--controller-directory-id"]);
        it.push(directory.clone());
        it
    };
    // The leader is the one that goes.
    let removed = ask(&remove(1), &|said| said.starts_with("Removed  KRaft controller 1 "));
    assert!(removed.contains(&directory), "{removed}");
    ask(&quorum(1, &["describe", "--status"]), &|said| {
        said.contains("LeaderId:               2\n") && !said.contains("CurrentVoters:          [{\"id\": 1")
    });
    first.kill();
    until(&["topics", "--bootstrap-server", &clients[1], "--create", "--topic", "t"], |said| said.contains("Created"));
}

/// A fourth process comes under the number of the controller that leads, with an empty directory and ports of its own.
#[test]
fn who_has_the_number_of_the_leader_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let ports: Vec<ReservedPort> = (0..4).map(|_| ReservedPort::any().unwrap()).collect();
    let address = |it: usize| format!("127.0.0.1:{}", ports[it].number());
    let voters: Vec<String> = (0..3).map(|it| format!("{}@{}", it + 1, address(it))).collect();
    let server = |id: &str, port: usize| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vivarium"));
        command.arg("server");
        for setting in [
            format!("node.id={id}"),
            "process.roles=controller".to_owned(),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("listeners=CONTROLLER://{}", address(port)),
            format!("controller.quorum.voters={}", voters.join(",")),
            format!("log.dirs={}", folder.path().join(port.to_string()).display()),
        ] {
            command.args(["--set", &setting]);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Node { properties: PathBuf::new(), process: Some(process) }
    };
    let _three: Vec<Node> = (0..3).map(|it| server(&(it + 1).to_string(), it)).collect();
    let leader = until(&["metadata-quorum", "--bootstrap-controller", &address(0), "describe", "--status"], |_| true);
    let leader = leader.lines().find_map(|it| it.strip_prefix("LeaderId:")).unwrap().trim().to_owned();
    let mut twin = server(&leader, 3);
    let errors = BufReader::new(twin.process.as_mut().unwrap().stderr.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|it| sender.send(it)));
    let mut lines = std::iter::from_fn(|| lines.recv_timeout(PATIENCE).ok());
    let told = lines.find(|it| it.contains("no leader of the metadata quorum was found")).expect("it says so");
    assert!(told.contains(&format!("these follow node {leader}, which is this one: ")), "{told}");
    assert!(told.contains("give this one a node.id of its own"), "{told}");
}
