//! A metadata quorum whose voters come and go, by processes and the tools that people use.

use std::path::{Path, PathBuf};

use ports::ReservedPort;

use crate::running::{Running, run, until};

/// How a node is configured.
struct Node {
    properties: PathBuf,
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
        Node { properties }
    }

    fn file(&self) -> &str {
        self.properties.to_str().unwrap()
    }

    fn format(&self, cluster_id: &str, how: &str) {
        let said = run(&["storage", "format", "-c", self.file(), "-t", cluster_id, how], b"");
        assert!(said.succeeded, "{said:?}");
    }

    /// Starts it, and waits until it serves.
    fn start(&self) -> Running {
        let mut running = Running::start(&["server", self.file()], &std::env::temp_dir());
        running.ready();
        running
    }
}

/// Asks until an answer is right.
fn ask(arguments: &[&str], is_right: impl Fn(&str) -> bool) -> String {
    until(|| {
        let said = run(arguments, b"");
        if said.succeeded && is_right(&said.out) { Ok(said.out) } else { Err(format!("{arguments:?}: {said:?}")) }
    })
}

/// Nodes on several addresses of one machine, as on several machines: one begins alone, another one joins it and stays.
#[test]
fn a_quorum_moves_to_another_node() {
    let folder = tempfile::tempdir().unwrap();
    let ports: Vec<ReservedPort> = (0..4).map(|_| ReservedPort::any().unwrap()).collect();
    let bootstrap = format!("127.0.0.1:{}", ports[1].number());
    let first = Node::new(folder.path(), 1, "127.0.0.1", (&ports[0], &ports[1]), &bootstrap);
    // The second listens on every address and says nowhere how it is reached: then it is by the name of its machine.
    let second = Node::new(folder.path(), 2, "", (&ports[2], &ports[3]), &bootstrap);
    let cluster_id = run(&["storage", "random-uuid"], b"").out.trim().to_owned();
    first.format(&cluster_id, "--standalone");
    second.format(&cluster_id, "--no-initial-controllers");
    let leader = first.start();
    let _other = second.start();
    let clients = [0, 2].map(|it: usize| format!("127.0.0.1:{}", ports[it].number()));
    let quorum = |server: usize, rest: &[&str], is_right: &dyn Fn(&str) -> bool| {
        ask(&[&["metadata-quorum", "--bootstrap-server", &clients[server]], rest].concat(), is_right)
    };
    let describe = ["describe", "--status"];
    let status = quorum(0, &describe, &|said| said.contains("CurrentObservers:       [{\"id\": 2"));
    assert!(status.contains("LeaderId:               1\n"), "{status}");

    let add =
        ["metadata-quorum", "--bootstrap-server", &clients[0], "--command-config", second.file(), "add-controller"];
    let added = ask(&add, |said| said.starts_with("Added controller 2 with directory id "));
    assert!(added.trim_end().ends_with(&format!("CONTROLLER://localhost:{}", ports[3].number())), "{added}");
    // It knows better how it is reached than the tool does.
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let endpoint = format!("CONTROLLER://{name}:{}", ports[3].number());
    let status = quorum(0, &describe, &|said| said.contains(&endpoint));

    // The change of its endpoint shows before the leader is done with it, and until then takes no other.
    until(|| match run(&add, b"") {
        again if !again.succeeded && again.err.contains("DuplicateVoterException") => Ok(()),
        again => Err(format!("{again:?}")),
    });
    let directory = status.split("\"id\": 1, \"directoryId\": \"").nth(1).unwrap().split('"').next().unwrap();
    let remove = ["remove-controller", "--controller-id", "1", "--controller-directory-id", directory];
    // The leader is the one that goes.
    let removed = quorum(1, &remove, &|said| said.starts_with("Removed  KRaft controller 1 "));
    assert!(removed.contains(directory), "{removed}");
    quorum(1, &describe, &|said| {
        said.contains("LeaderId:               2\n") && !said.contains("CurrentVoters:          [{\"id\": 1")
    });
    drop(leader);
    ask(&["topics", "--bootstrap-server", &clients[1], "--create", "--topic", "t"], |said| said.contains("Created"));
}

/// A fourth process comes under the number of the controller that leads, with an empty directory and ports of its own.
#[test]
fn who_has_the_number_of_the_leader_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let ports: Vec<ReservedPort> = (0..4).map(|_| ReservedPort::any().unwrap()).collect();
    let address = |it: usize| format!("127.0.0.1:{}", ports[it].number());
    let voters: Vec<String> = (0..3).map(|it| format!("{}@{}", it + 1, address(it))).collect();
    let server = |id: &str, port: usize| {
        let settings = [
            format!("node.id={id}"),
            "process.roles=controller".to_owned(),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("listeners=CONTROLLER://{}", address(port)),
            format!("controller.quorum.voters={}", voters.join(",")),
            format!("log.dirs={}", folder.path().join(port.to_string()).display()),
        ];
        let settings = settings.iter().flat_map(|it| ["--set", it]);
        Running::start(&["server"].into_iter().chain(settings).collect::<Vec<_>>(), folder.path())
    };
    let _three: Vec<Running> = (0..3).map(|it| server(&(it + 1).to_string(), it)).collect();
    let leader = ask(&["metadata-quorum", "--bootstrap-controller", &address(0), "describe", "--status"], |_| true);
    let leader = leader.lines().find_map(|it| it.strip_prefix("LeaderId:")).unwrap().trim().to_owned();
    let mut twin = server(&leader, 3);
    let told = twin.err.find(|it| it.contains("no leader of the metadata quorum was found")).expect("it says so");
    assert!(told.contains(&format!("these follow node {leader}, which is this one: ")), "{told}");
    assert!(told.contains("give this one a node.id of its own"), "{told}");
}
