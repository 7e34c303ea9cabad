//! `vivarium cluster`: several nodes on this machine, each a process of its own, with one command.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ports::ReservedPort;
use protocol::{NodeId, Str};
use server::DataDir;
use storage::meta::MetaProperties;

use crate::ephemeral::EphemeralDir;

/// `vivarium cluster --nodes 3 [--port N] [--data DIR | --ephemeral] [--format-missing] [--set KEY=VALUE]…`
#[derive(clap::Args)]
pub(crate) struct ClusterArguments {
    /// How many nodes; each is a broker and a controller
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
    nodes: u16,
    /// The first node's port for clients on 127.0.0.1; the others' follow. 0 takes any free ones
    #[arg(long, value_name = "N", default_value_t = 9092)]
    port: u16,
    /// Keep the logs here, in a directory for each node
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    data: Option<PathBuf>,
    /// Keep the logs in a temporary directory that is removed at the end
    #[arg(long)]
    ephemeral: bool,
    /// Format the directories of nodes that have lost theirs: they copy everything from the others, at least half of all nodes
    #[arg(long)]
    format_missing: bool,
    /// Set one configuration key of all nodes; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Controllers listen so far above the clients' ports.
const CONTROLLER_PORTS: u16 = 1_000;
/// Nodes that were asked to stop have this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A node of three is there to replicate.
const REPLICAS: u16 = 3;

enum News {
    /// A node prints a line: of its errors, or of its output.
    Line(usize, String),
    /// A node serves at these addresses.
    Ready(usize, String),
    /// A node's output ended.
    Closed,
    /// We are asked to stop.
    Stop,
}

struct Node {
    id: u16,
    address: String,
    child: Child,
    is_ready: bool,
    ended: Option<ExitStatus>,
}

pub(crate) fn run(arguments: ClusterArguments) -> Result<(), String> {
    let (sender, news) = channel();
    watch_signals(sender.clone())?;
    // Removed when this value goes, after the nodes have stopped.
    let mut _ephemeral = None;
    let data = if arguments.ephemeral {
        let dir = EphemeralDir::create_for_nodes()?;
        let path = dir.path().to_owned();
        _ephemeral = Some(dir);
        path
    } else {
        arguments.data.clone().unwrap_or_else(|| "vivarium-data".into())
    };
    let count = arguments.nodes;
    let ports = Ports::of(count, arguments.port)?;
    let (clients, controllers) = (&ports.clients, &ports.controllers);
    let dirs: Vec<PathBuf> = (1..=count).map(|id| data.join(format!("node-{id}"))).collect();
    format_all(&dirs, arguments.format_missing)?;
    let voters: Vec<String> = (1..).zip(controllers).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
    let mut nodes = Vec::new();
    let mut readers = Vec::new();
    for (index, dir) in dirs.iter().enumerate() {
        let settings = settings(index, clients, controllers, &voters, dir);
        match start(&settings, &arguments.set) {
            Ok(mut child) => {
                readers.extend(listen(index, &mut child, &sender));
                let address = format!("127.0.0.1:{}", clients[index]);
                nodes.push(Node { id: index as u16 + 1, address, child, is_ready: false, ended: None });
            }
            Err(error) => {
                stop(&mut nodes);
                return Err(format!("node {} cannot be started: {error}", index + 1));
            }
        }
    }
    let result = watch(&mut nodes, &news);
    for reader in readers {
        // A reader ends with its node's output.
        let _ = reader.join();
    }
    for line in news.try_iter() {
        tell(&nodes, &line);
    }
    result
}

/// Where the nodes listen.
struct Ports {
    clients: Vec<u16>,
    controllers: Vec<u16>,
    /// Nobody else is given them before the nodes listen there.
    _reserved: Vec<ReservedPort>,
}

impl Ports {
    /// The clients' from `first`, the controllers' above them; any free ones if `first` is 0.
    fn of(count: u16, first: u16) -> Result<Ports, String> {
        if first == 0 {
            let reserved = (0..2 * count).map(|_| ReservedPort::any()).collect::<std::io::Result<Vec<_>>>();
            let reserved = reserved.map_err(|error| format!("no free ports: {error}"))?;
            let numbers: Vec<u16> = reserved.iter().map(ReservedPort::number).collect();
            let (clients, controllers) = numbers.split_at(usize::from(count));
            return Ok(Ports { clients: clients.to_vec(), controllers: controllers.to_vec(), _reserved: reserved });
        }
        let above = |from: u16| -> Option<Vec<u16>> { (0..count).map(|it| from.checked_add(it)).collect() };
        let pair = above(first).zip(first.checked_add(CONTROLLER_PORTS).and_then(above));
        let (clients, controllers) = pair.ok_or_else(|| {
            format!("--port {first}: the controllers listen {CONTROLLER_PORTS} above it, and there are no such ports")
        })?;
        Ok(Ports { clients, controllers, _reserved: Vec::new() })
    }
}

/// Formats the nodes' directories if none is. One among formatted ones has lost its disk, or is one node more than the cluster
/// was made of: what it voted for is forgotten, so that it becomes a voter only by an operator's word; and empty ones alone must
/// not be a majority, for they would elect one of themselves, and everything would be forgotten.
fn format_all(dirs: &[PathBuf], format_missing: bool) -> Result<(), String> {
    let opened = dirs.iter().map(|path| DataDir::open(path).map_err(|error| error.to_string()));
    let opened: Vec<DataDir> = opened.collect::<Result<_, _>>()?;
    let metas = opened.iter().map(|dir| server::read_meta(dir).map_err(|error| error.to_string()));
    let metas: Vec<Option<MetaProperties>> = metas.collect::<Result<_, _>>()?;
    let random = || server::random_id().map_err(|error| error.to_string());
    let missing = || (1..).zip(&opened).zip(&metas).filter(|(_, meta)| meta.is_none()).map(|(node, _)| node);
    let cluster_id = match metas.iter().flatten().next() {
        None => Str::from(random()?.to_string()),
        Some(known) => {
            may_format(missing().map(|(_, dir)| dir), dirs.len(), &known.cluster_id, format_missing)?;
            known.cluster_id.clone()
        }
    };
    for (id, dir) in missing() {
        let meta = MetaProperties { cluster_id: cluster_id.clone(), node_id: NodeId(id), directory_id: random()? };
        dir.write_meta(&meta.format()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn may_format<'a>(
    mut missing: impl Iterator<Item = &'a DataDir>,
    nodes: usize,
    cluster_id: &str,
    is_asked_for: bool,
) -> Result<(), String> {
    let Some(first) = missing.next() else { return Ok(()) };
    let path = first.path.display();
    if !is_asked_for {
        return Err(format!(
            "{path} is not formatted, and others belong to cluster {cluster_id}: a cluster keeps its number of nodes; for a node \
             whose disk was lost, add --format-missing, else take another --data"
        ));
    }
    let missing = 1 + missing.count();
    if missing * 2 > nodes {
        return Err(format!(
            "{missing} of {nodes} directories are not formatted, the first is {path}: without the others a majority would know nothing of \
             cluster {cluster_id}; bring back one that was lost, or take another --data"
        ));
    }
    Ok(())
}

fn settings(index: usize, clients: &[u16], controllers: &[u16], voters: &[String], dir: &Path) -> Vec<String> {
    let (client, controller) = (clients[index], controllers[index]);
    let mut settings = vec![
        "process.roles=broker,controller".to_owned(),
        format!("node.id={}", index + 1),
        format!("listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}"),
        "controller.listener.names=CONTROLLER".to_owned(),
        format!("controller.quorum.voters={}", voters.join(",")),
        format!("log.dirs={}", dir.display()),
    ];
    let replicas = REPLICAS.min(clients.len() as u16);
    settings.push(format!("default.replication.factor={replicas}"));
    // Kafka's default is 3, which two nodes cannot give: no group would ever have a coordinator.
    settings.push(format!("offsets.topic.replication.factor={replicas}"));
    settings.push(format!("min.insync.replicas={}", replicas / 2 + 1));
    settings
}

fn start(settings: &[String], more: &[String]) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("server");
    for setting in settings.iter().chain(more) {
        command.arg("--set").arg(setting);
    }
    // In a group of its own, so that Ctrl-C reaches this process alone, which stops them.
    command.process_group(0);
    // A pipe that nothing is written to: it ends when we say so or are gone, however that came, and the node with it.
    command.arg("--stop-at-end-of-input");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

fn watch_signals(sender: Sender<News>) -> Result<(), String> {
    let (mut near, far) = std::os::unix::net::UnixStream::pair().map_err(|error| error.to_string())?;
    for signal in crate::serve::STOP_SIGNALS {
        let pipe = far.try_clone().map_err(|error| error.to_string())?;
        signal_hook::low_level::pipe::register(signal, pipe).map_err(|error| error.to_string())?;
    }
    let wait = move || {
        let mut byte = [0];
        while near.read_exact(&mut byte).is_ok() && sender.send(News::Stop).is_ok() {}
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(|error| error.to_string())?;
    Ok(())
}

fn listen(index: usize, child: &mut Child, sender: &Sender<News>) -> Vec<JoinHandle<()>> {
    let mut readers = Vec::new();
    if let Some(out) = child.stdout.take() {
        readers.push(read(out, sender.clone(), move |line| match line.strip_prefix("ready ") {
            Some(addresses) => News::Ready(index, addresses.to_owned()),
            None => News::Line(index, line),
        }));
    }
    if let Some(errors) = child.stderr.take() {
        readers.push(read(errors, sender.clone(), move |line| News::Line(index, line)));
    }
    readers.into_iter().flatten().collect()
}

fn read(
    from: impl Read + Send + 'static,
    sender: Sender<News>,
    news: impl Fn(String) -> News + Send + 'static,
) -> Option<JoinHandle<()>> {
    let lines = move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if sender.send(news(line)).is_err() {
                return;
            }
        }
        // Nobody listens any more at the end.
        let _ = sender.send(News::Closed);
    };
    std::thread::Builder::new().name("output".into()).spawn(lines).ok()
}

/// Passes on what the nodes say until all have ended.
fn watch(nodes: &mut [Node], news: &Receiver<News>) -> Result<(), String> {
    let mut stopping: Option<Instant> = None;
    let mut was_ready = false;
    loop {
        for node in nodes.iter_mut().filter(|it| it.ended.is_none()) {
            node.ended = node.child.try_wait().map_err(|error| error.to_string())?;
            if let Some(status) = node.ended
                && (stopping.is_none() || !status.success())
            {
                crate::say(&format!("node {} has ended: {status}", node.id));
            }
        }
        if nodes.iter().all(|it| it.ended.is_some()) {
            let failed = nodes.iter().any(|it| it.ended.is_some_and(|status| !status.success()));
            return if failed { Err("not every node stopped in good order".into()) } else { Ok(()) };
        }
        if stopping.is_some_and(|since| since.elapsed() > PATIENCE) {
            kill(nodes)?;
        }
        // A node's end shows in its output, too; this only bounds how late it may be noticed.
        let Ok(heard) = news.recv_timeout(Duration::from_millis(500)) else { continue };
        tell(nodes, &heard);
        match heard {
            News::Ready(index, _) => nodes[index].is_ready = true,
            News::Stop if stopping.is_none() => {
                stopping = Some(Instant::now());
                stop(nodes);
            }
            // Whoever asks again has no patience left.
            News::Stop => kill(nodes)?,
            News::Closed | News::Line(..) => {}
        }
        if !was_ready && nodes.iter().all(|it| it.is_ready) {
            was_ready = true;
            let addresses: Vec<&str> = nodes.iter().map(|it| it.address.as_str()).collect();
            let mut out = std::io::stdout();
            // Whoever started us may not read this; the nodes serve all the same.
            let _ = writeln!(out, "ready {}", addresses.join(",")).and_then(|()| out.flush());
        }
    }
}

fn tell(nodes: &[Node], news: &News) {
    match news {
        News::Line(index, line) => {
            let _ = writeln!(std::io::stderr(), "{}| {line}", nodes[*index].id);
        }
        News::Ready(index, addresses) => {
            let _ = writeln!(std::io::stderr(), "{}| ready {addresses}", nodes[*index].id);
        }
        News::Closed | News::Stop => {}
    }
}

/// Asks all nodes for a controlled shutdown: their input ends, which they notice even if they have only just begun.
fn stop(nodes: &mut [Node]) {
    for node in nodes {
        drop(node.child.stdin.take());
    }
}

/// Ends those at once that have not ended yet.
fn kill(nodes: &mut [Node]) -> Result<(), String> {
    for node in nodes.iter_mut().filter(|it| it.ended.is_none()) {
        crate::say(&format!("node {} has not stopped and is killed", node.id));
        node.child.kill().map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_follow_the_first() {
        let ports = Ports::of(3, 9092).unwrap();
        assert_eq!((ports.clients, ports.controllers), (vec![9092, 9093, 9094], vec![10_092, 10_093, 10_094]));
        assert!(Ports::of(3, 65_000).is_err());
    }

    #[test]
    fn two_clusters_on_any_ports_have_none_in_common() {
        let clusters = [(); 20].map(|()| Ports::of(7, 0).unwrap());
        let all = clusters.iter().flat_map(|it| it.clients.iter().chain(&it.controllers));
        assert_eq!(all.collect::<ordered::Set<_>>().len(), 20 * 14);
    }

    #[test]
    fn what_is_kept_several_times_fits_the_number_of_nodes() {
        for (nodes, replicas) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
            let ports = Ports::of(nodes, 9092).unwrap();
            let settings = settings(0, &ports.clients, &ports.controllers, &[], Path::new("data"));
            for key in ["default.replication.factor", "offsets.topic.replication.factor"] {
                assert!(settings.contains(&format!("{key}={replicas}")), "{nodes}: {settings:?}");
            }
        }
    }

    #[test]
    fn all_directories_belong_to_one_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let dirs: Vec<PathBuf> = (1..=3).map(|id| folder.path().join(format!("node-{id}"))).collect();
        format_all(&dirs, false).unwrap();
        let read = || dirs.iter().map(|it| server::read_meta(&DataDir::open(it).unwrap()).unwrap().unwrap());
        let metas: Vec<MetaProperties> = read().collect();
        assert!(metas.iter().all(|it| it.cluster_id == metas[0].cluster_id));
        assert_eq!(metas.iter().map(|it| it.node_id.0).collect::<Vec<_>>(), [1, 2, 3]);
        format_all(&dirs, true).unwrap();
        assert_eq!(read().collect::<Vec<_>>(), metas, "they are the same the next time");
    }

    #[test]
    fn a_directory_that_was_lost_or_is_one_too_many_is_not_formatted() {
        let folder = tempfile::tempdir().unwrap();
        let dirs: Vec<PathBuf> = (1..=3).map(|id| folder.path().join(format!("node-{id}"))).collect();
        format_all(&dirs[..2], false).unwrap();
        let why = format_all(&dirs, false).unwrap_err();
        assert!(why.contains("node-3 is not formatted") && !why.contains('\n'), "{why}");
        std::fs::remove_dir_all(&dirs[0]).unwrap();
        assert!(format_all(&dirs[..2], false).unwrap_err().contains("node-1 is not formatted"));
        assert!(!dirs[0].join("meta.properties").exists());
    }

    #[test]
    fn lost_directories_are_formatted_if_asked_for_and_not_most_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let dirs: Vec<PathBuf> = (1..=3).map(|id| folder.path().join(format!("node-{id}"))).collect();
        format_all(&dirs, false).unwrap();
        let read = || dirs.iter().map(|it| server::read_meta(&DataDir::open(it).unwrap()).unwrap().unwrap());
        let before: Vec<MetaProperties> = read().collect();
        std::fs::remove_dir_all(&dirs[1]).unwrap();
        format_all(&dirs, true).unwrap();
        let after: Vec<MetaProperties> = read().collect();
        assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
        assert_eq!((&after[1].cluster_id, after[1].node_id), (&before[1].cluster_id, NodeId(2)));
        assert_ne!(after[1].directory_id, before[1].directory_id, "it is another one");
        dirs[1..].iter().for_each(|dir| std::fs::remove_dir_all(dir).unwrap());
        let why = format_all(&dirs, true).unwrap_err();
        assert!(
            why.contains("2 of 3 directories are not formatted, the first is ")
                && why.contains("node-2")
                && !why.contains('\n'),
            "{why}"
        );
        assert!(!dirs[1].join("meta.properties").exists());
    }
}
