//! Three nodes on this machine, ours beside Apache Kafka's: how long a client waits when one dies or stops, what replication costs,
//! how soon they are ready, what they take while idle.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ports::ReservedPort;

use super::account::{cpu_seconds, resident_megabytes};
use super::client::Client;
use super::peer::DELETE_AT_ONCE;
use super::{Folder, Plan, median};
use crate::clients::confluent;
use crate::oracle::Kafka;
use crate::{bundle, process};

const PROGRAM: &str = include_str!("cluster.py");
const NODES: usize = 3;
/// Any id: the directories are new.
const CLUSTER_ID: &str = "vivarium-benchmark-00A";
const PATIENCE: Duration = Duration::from_secs(120);
const TOPICS: usize = 10;
const PARTITIONS: usize = 1000;
/// Which of its lives a client's leader loses, and how.
const ENDS: [(&str, &str, &str); 4] = [
    ("the leader is killed", "leader", "KILL"),
    ("the leader is killed, and was the active controller", "controller", "KILL"),
    ("the leader is stopped (SIGTERM)", "leader", "TERM"),
    ("the leader is stopped, and is the active controller", "controller", "TERM"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Ours,
    Kafkas,
}

impl Make {
    pub(crate) const BOTH: [Make; 2] = [Make::Ours, Make::Kafkas];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Make::Ours => "vivarium",
            Make::Kafkas => "Apache Kafka",
        }
    }
}

/// A process of ours; Kafka's ends itself when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

enum Node {
    Ours(Process),
    Kafkas(Kafka),
}

impl Node {
    fn id(&self) -> u32 {
        match self {
            Node::Ours(process) => process.0.id(),
            Node::Kafkas(kafka) => kafka.id(),
        }
    }

    fn child(&mut self) -> &mut Child {
        match self {
            Node::Ours(process) => &mut process.0,
            Node::Kafkas(kafka) => kafka.child(),
        }
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child().try_wait()?.is_some())
    }
}

/// Three nodes, each broker and controller.
pub(crate) struct Cluster {
    make: Make,
    binary: PathBuf,
    folder: PathBuf,
    /// Behind those that all clusters have; `{id}` stands for a node's id.
    settings: Vec<String>,
    /// The first node's id; those of the others follow.
    first: usize,
    /// For clients, and for controllers. Nobody else's, also while a node is down.
    ports: Vec<(ReservedPort, ReservedPort)>,
    nodes: BTreeMap<usize, Node>,
}

impl Cluster {
    /// Starts three nodes at once; tells how long it took until each of them knew all of them to serve.
    pub(crate) fn start(make: Make, folder: PathBuf) -> Result<(Cluster, Duration)> {
        Cluster::start_with(make, folder, &[])
    }

    /// The same with settings, `key=value` each, behind our own: `{id}` in one stands for a node's id, and `node.id` is the first
    /// node's.
    pub(crate) fn start_with(make: Make, folder: PathBuf, settings: &[&str]) -> Result<(Cluster, Duration)> {
        Cluster::start_of(make, bundle::binary()?, folder, settings)
    }

    /// The same of another build of ours.
    pub(crate) fn start_of(
        make: Make,
        binary: PathBuf,
        folder: PathBuf,
        settings: &[&str],
    ) -> Result<(Cluster, Duration)> {
        let pair = |_| Ok((ReservedPort::any()?, ReservedPort::any()?));
        let (ids, settings): (Vec<&str>, Vec<&str>) =
            settings.iter().copied().partition(|it| it.starts_with("node.id="));
        let first = ids.last().and_then(|it| it.strip_prefix("node.id=")).unwrap_or("1");
        let mut cluster = Cluster {
            make,
            binary,
            folder,
            settings: settings.iter().map(|it| (*it).to_owned()).collect(),
            first: first.parse().with_context(|| format!("node.id={first} is no id"))?,
            ports: (0..NODES).map(pair).collect::<std::io::Result<_>>()?,
            nodes: BTreeMap::new(),
        };
        fs::create_dir_all(&cluster.folder)?;
        if make == Make::Kafkas {
            // Formatting takes a Java process each: that is not the start.
            cluster.ids().try_for_each(|id| cluster.spawn(id).map(drop))?;
        }
        let begun = Instant::now();
        for id in cluster.ids() {
            let node = cluster.spawn(id)?;
            cluster.nodes.insert(id, node);
        }
        cluster.wait_until_whole()?;
        Ok((cluster, begun.elapsed()))
    }

    fn spawn(&self, id: usize) -> Result<Node> {
        let voters = self.ids().zip(&self.ports).map(|(id, (_, port))| format!("{id}@127.0.0.1:{}", port.number()));
        let (client, controller) = &self.ports[id - self.first];
        let (client, controller) = (client.number(), controller.number());
        let folder = self.folder.join(format!("node-{id}"));
        let own = [
            "process.roles=broker,controller".to_owned(),
            format!("node.id={id}"),
            format!("listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{client}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("controller.quorum.voters={}", voters.collect::<Vec<_>>().join(",")),
            "default.replication.factor=3".to_owned(),
            "offsets.topic.replication.factor=3".to_owned(),
            "min.insync.replicas=2".to_owned(),
            DELETE_AT_ONCE.to_owned(),
        ];
        let added = self.settings.iter().map(|it| it.replace("{id}", &id.to_string()));
        let settings: Vec<String> = own.into_iter().chain(added).collect();
        if self.make == Make::Kafkas {
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            return Ok(Node::Kafkas(Kafka::spawn(&folder, client, &settings, Some(CLUSTER_ID))?.0));
        }
        let mut command = Command::new(&self.binary);
        command.args(["server", "--data"]).arg(&folder);
        for setting in settings {
            command.args(["--set", &setting]);
        }
        command.env("VIVARIUM_LOG", "error").stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Node::Ours(Process(command.spawn().context("start a node")?)))
    }

    fn ids(&self) -> std::ops::Range<usize> {
        self.first..self.first + NODES
    }

    fn address(&self, id: usize) -> String {
        format!("127.0.0.1:{}", self.ports[id - self.first].0.number())
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.ids().map(|id| self.address(id)).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn pids(&self) -> String {
        self.nodes.iter().map(|(id, node)| format!("{id}={}", node.id())).collect::<Vec<_>>().join(",")
    }

    /// Each node is asked whom it knows.
    fn wait_until_whole(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for id in self.ids() {
            while brokers(&self.address(id)).unwrap_or(0) < NODES {
                ensure!(Instant::now() < deadline, "{}: not whole in {}", self.make.name(), process::human(PATIENCE));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// A node that ended by itself makes every later result worthless.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        for (id, node) in &mut self.nodes {
            if let Some(status) = node.child().try_wait()? {
                bail!("{}'s node {id} ended by itself: {status}", self.make.name());
            }
        }
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, id: usize) -> Result<()> {
        self.nodes.get_mut(&id).context("it runs")?.child().kill().context("kill a node")
    }

    /// What has ended starts again.
    pub(crate) fn restart(&mut self, id: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut node = self.nodes.remove(&id).context("it ran")?;
        while !node.has_ended()? {
            ensure!(Instant::now() < deadline, "node {id} has not ended in {}", process::human(PATIENCE));
            std::thread::sleep(Duration::from_millis(20));
        }
        let node = self.spawn(id)?;
        self.nodes.insert(id, node);
        self.wait_until_whole()
    }

    fn sum(&self, account: fn(u32) -> Result<f64>) -> Result<f64> {
        self.nodes.values().map(|node| account(node.id())).sum()
    }

    /// Calls a function of the program; its figures by name.
    fn ask(&self, words: &[&str]) -> Result<BTreeMap<String, f64>> {
        let program = self.folder.join("cluster.py");
        fs::write(&program, PROGRAM)?;
        let said = process::output(Command::new(confluent::python()?).arg(program).args(words))?;
        let figures = said.split_whitespace().filter_map(|it| it.split_once('='));
        figures.map(|(name, value)| Ok((name.to_owned(), value.parse()?))).collect()
    }

    pub(crate) fn create(&self, topic: &str, partitions: usize) -> Result<()> {
        let mut tool = Command::new(&self.binary);
        tool.args(["topics", "--bootstrap-server", &self.bootstrap(), "--create", "--topic", topic]);
        tool.args(["--partitions", &partitions.to_string(), "--replication-factor", "3"]);
        process::output(&mut tool).with_context(|| format!("create {topic}")).map(drop)
    }

    /// Frees the disks, and lets them come to rest before something else is measured.
    fn delete(&self, topic: &str) -> Result<()> {
        let mut tool = Command::new(&self.binary);
        tool.args(["topics", "--bootstrap-server", &self.bootstrap(), "--delete", "--topic", topic]);
        process::output(&mut tool).with_context(|| format!("delete {topic}"))?;
        process::output(&mut Command::new("sync")).map(drop)
    }
}

/// How many brokers a node knows to serve: Metadata, version 1, of no topic.
fn brokers(address: &str) -> std::io::Result<usize> {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0])?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(u32::from_be_bytes([answer[8], answer[9], answer[10], answer[11]]) as usize)
}

/// How soon three are ready, what they take while idle, and how fast records go through all of them.
pub(super) fn rate(client: &Client, folder: &Folder, plan: &Plan) -> Result<()> {
    for make in plan.makes() {
        let (cluster, ready) = Cluster::start(make, folder.0.join(format!("rate-{}", make.name())))?;
        std::thread::sleep(Duration::from_secs(5));
        let memory = cluster.sum(resident_megabytes)?;
        println!("\n| {}, three nodes | ready after | idle memory, summed |\n| --- | --- | --- |", make.name());
        println!("| | {} | {memory:.0} MB |", process::human(ready));
        throughput(&cluster, client, plan)?;
        remove(cluster)?;
    }
    Ok(())
}

/// How long a producer waits for an ack while its leader dies or stops.
pub(super) fn gaps(folder: &Folder, plan: &Plan) -> Result<()> {
    confluent::set_up()?;
    for make in plan.makes() {
        let (mut cluster, _) = Cluster::start(make, folder.0.join(format!("gaps-{}", make.name())))?;
        gaps_of(&mut cluster, plan)?;
        remove(cluster)?;
    }
    Ok(())
}

fn gaps_of(cluster: &mut Cluster, plan: &Plan) -> Result<()> {
    println!(
        "\n| {}: longest gap between acks, {} times each | median | worst | lost, repeated or out of order |\n| --- | --- | --- | --- |",
        cluster.make.name(),
        plan.rounds
    );
    for (number, (title, victim, how)) in ENDS.iter().enumerate() {
        let (mut longest, mut wrong) = (Vec::new(), 0.0);
        for round in 1..=plan.rounds {
            let topic = format!("gap-{number}-{round}");
            let figures = cluster.ask(&["gap", &cluster.bootstrap(), &topic, &cluster.pids(), victim, how])?;
            let figure = |name: &str| figures.get(name).copied().with_context(|| format!("no {name}: {figures:?}"));
            longest.push(figure("gap_ms")?);
            wrong += figure("lost")? + figure("repeated")? + figure("reordered")? + figure("failed")?;
            cluster.restart(figure("victim")? as usize)?;
        }
        let worst = longest.iter().copied().fold(0.0, f64::max);
        println!("| {title} | {:.0} ms | {worst:.0} ms | {wrong:.0} |", median(longest.into_iter()));
    }
    Ok(())
}

fn throughput(cluster: &Cluster, client: &Client, plan: &Plan) -> Result<()> {
    let mut rates = Vec::new();
    let mut costs = Vec::new();
    let address = cluster.address(1);
    cluster.create("warm-up", 1)?;
    // The first minute of a Java process is slow.
    let seconds = if cluster.make == Make::Kafkas { 30.0 } else { 5.0 };
    let probe = client.produce(&address, "warm-up", 1024, 100_000)?;
    let probe = client.produce(&address, "warm-up", 1024, (probe.messages_per_second() * seconds) as u64)?;
    cluster.delete("warm-up")?;
    for round in 1..=plan.rounds {
        let topic = format!("rate-{round}");
        cluster.create(&topic, 1)?;
        let before = cluster.sum(cpu_seconds)?;
        let count = (probe.messages_per_second() * plan.seconds) as u64;
        let it = client.produce(&address, &topic, 1024, count)?;
        rates.push(it.megabytes_per_second());
        costs.push((cluster.sum(cpu_seconds)? - before) / it.gigabytes());
        cluster.delete(&topic)?;
    }
    println!("\n| {}: produce, 1 KiB, RF 3, acks=all | CPU s/GB, summed |\n| --- | --- |", cluster.make.name());
    println!("| {:.0} MB/s | {:.2} |", median(rates.into_iter()), median(costs.into_iter()));
    Ok(())
}

/// 10,000 partitions with three replicas: the broker that leads a third of them is killed.
pub(super) fn failover(folder: &Folder, plan: &Plan, with_kafka: bool) -> Result<()> {
    confluent::set_up()?;
    println!(
        "\n| {} partitions, RF 3: the broker that leads a third is killed | all led again, median | worst |\n| --- | --- | --- |",
        TOPICS * PARTITIONS
    );
    for make in Make::BOTH.into_iter().take(if with_kafka { 2 } else { 1 }) {
        let mut again = Vec::new();
        for round in 1..=plan.rounds {
            let (cluster, _) = Cluster::start(make, folder.0.join(format!("many-{}-{round}", make.name())))?;
            for topic in 0..TOPICS {
                cluster.create(&format!("many-{topic}"), PARTITIONS)?;
            }
            let all = (TOPICS * PARTITIONS).to_string();
            let figures = cluster.ask(&["led", &cluster.bootstrap(), &cluster.pids(), "1", &all])?;
            let (Some(led), Some(ms)) = (figures.get("led_by_victim"), figures.get("again_ms")) else {
                bail!("no figures: {figures:?}");
            };
            println!("round {round} · {}: {led} partitions led again after {ms} ms", make.name());
            again.push(*ms);
            remove(cluster)?;
        }
        let worst = again.iter().copied().fold(0.0, f64::max);
        println!("| {} | {:.0} ms | {worst:.0} ms |", make.name(), median(again.into_iter()));
    }
    Ok(())
}

fn remove(cluster: Cluster) -> Result<()> {
    let folder: &Path = &cluster.folder.clone();
    drop(cluster);
    fs::remove_dir_all(folder)?;
    Ok(())
}
