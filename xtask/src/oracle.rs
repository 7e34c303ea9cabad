//! `cargo xtask oracle`: Apache Kafka itself, from its published jars: the reference for behaviour, the peer for speed,
//! and the tools that our users have.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ports::ReservedPort;
use rustix::process::{Pid, Signal, kill_process};

use crate::args::Args;
use crate::{apt, paths, process};

/// The release whose behaviour we follow.
pub(crate) const VERSION: &str = "4.3.1";
/// How long a node may take from exec to its first connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fetches Apache Kafka, formats a directory, runs one node until Ctrl-C.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut args = Args::new(args);
    let port = args.value("--port", 19_092u16)?;
    let folder = args.value("--data", paths::cache("oracle")?.display().to_string())?;
    ensure!(args.rest()?.is_empty(), "`oracle` takes only flags: --port N, --data DIR");
    let (stop, stopped) = mpsc::channel();
    // The receiver lives as long as the process, so a send can only fail when we are leaving anyway.
    ctrlc::set_handler(move || {
        let _ = stop.send(());
    })
    .context("listen for Ctrl-C")?;
    let (kafka, _) = Kafka::start_timed(Path::new(&folder), port)?;
    println!("Apache Kafka {VERSION} accepts on {}; Ctrl-C stops it", kafka.address);
    stopped.recv()?;
    kafka.stop()
}

/// The folder of Kafka's jars, fetched by Maven coordinates on first use.
pub(crate) fn jars() -> Result<PathBuf> {
    let folder = paths::cache("kafka")?.join(VERSION);
    let done = folder.join(".complete");
    if done.exists() && paths::which("java").is_some() {
        return Ok(folder);
    }
    if paths::which("java").is_none() {
        apt::install(&["default-jre-headless"], "running Apache Kafka")?;
    }
    if !done.exists() {
        fetch(&folder)?;
        File::create(&done)?;
    }
    Ok(folder)
}

fn fetch(folder: &Path) -> Result<()> {
    if paths::which("mvn").is_none() {
        apt::install(&["maven"], "fetching Apache Kafka")?;
    }
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    let dependencies: String = ["kafka_2.13", "kafka-tools"]
        .iter()
        .map(|it| dependency("org.apache.kafka", it, VERSION))
        .chain([dependency("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")])
        .collect();
    let pom = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion><groupId>vivarium</groupId>\
         <artifactId>oracle</artifactId><version>1</version><dependencies>{dependencies}</dependencies></project>"
    );
    fs::create_dir_all(folder)?;
    let pom_file = folder.join("pom.xml");
    fs::write(&pom_file, pom)?;
    fs::write(folder.join("log4j2.yaml"), LOGGING)?;
    process::step(&format!("fetching Apache Kafka {VERSION} with Maven (130 MB, once)"), || {
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-f"]).arg(&pom_file).arg("dependency:copy-dependencies");
        maven.arg(format!("-DoutputDirectory={}", folder.display()));
        process::output(&mut maven).context("Maven could not fetch Apache Kafka").map(drop)
    })
}

const LOGGING: &str = "\
Configuration:
  Appenders:
    File: {name: F, fileName: \"${sys:kafka.log:-/dev/null}\", PatternLayout: {pattern: \"[%d] %p %m (%c)%n\"}}
  Loggers:
    Root: {level: INFO, AppenderRef: {ref: F}}
";

/// A command that runs a class of Kafka's, quietly.
pub(crate) fn class(name: &str) -> Result<Command> {
    java(&["-Xmx512M"], name)
}

fn java(flags: &[&str], name: &str) -> Result<Command> {
    let jars = jars()?;
    let mut command = Command::new("java");
    command.args(flags).arg(format!("-Dlog4j2.configurationFile={}", jars.join("log4j2.yaml").display()));
    command.arg("-cp").arg(jars.join("*")).arg(name);
    Ok(command)
}

/// Kafka's own tools: the names of their scripts, and the classes that these run.
const TOOLS: [(&str, &str); 17] = [
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    ("kafka-acls", "org.apache.kafka.tools.AclCommand"),
    ("kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ("kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer"),
    ("kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    ("kafka-dump-log", "org.apache.kafka.tools.DumpLogSegments"),
    ("kafka-storage", "kafka.tools.StorageTool"),
    ("kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand"),
    ("kafka-delete-records", "org.apache.kafka.tools.DeleteRecordsCommand"),
    ("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("kafka-metadata-quorum", "org.apache.kafka.tools.MetadataQuorumCommand"),
    ("kafka-leader-election", "org.apache.kafka.tools.LeaderElectionCommand"),
    ("kafka-reassign-partitions", "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"),
    ("kafka-features", "org.apache.kafka.tools.FeatureCommand"),
    ("kafka-cluster", "org.apache.kafka.tools.ClusterTool"),
    ("kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
];

/// A tool ends before the second compiler's work would have paid: without it, it takes two thirds of the processor's time.
const TOOL: [&str; 2] = ["-Xmx512M", "-XX:TieredStopAtLevel=1"];

/// Kafka's own tools, by the names of their scripts.
pub(crate) fn tool(script: &str) -> Result<Command> {
    match TOOLS.iter().find(|it| it.0 == script) {
        Some((_, main)) => java(&TOOL, main),
        None => bail!("{script} is not a tool that we run"),
    }
}

/// A folder with bin/kafka-topics.sh and so on, as Kafka's archive has it, for programs that call these scripts.
pub(crate) fn home() -> Result<PathBuf> {
    let home = paths::cache("kafka-home")?.join(VERSION);
    fs::create_dir_all(home.join("bin"))?;
    for (script, main) in TOOLS {
        let command = java(&TOOL, main)?;
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let quoted: Vec<String> = words.map(|it| format!("'{}'", it.to_string_lossy())).collect();
        let file = home.join("bin").join(format!("{script}.sh"));
        fs::write(&file, format!("#!/bin/sh\nexec {} \"$@\"\n", quoted.join(" ")))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(home)
}

/// A running node of Apache Kafka.
pub(crate) struct Kafka {
    child: Child,
    /// host:port.
    pub(crate) address: String,
    /// Nobody else's while it runs: it takes seconds until it listens, and a port that was only seen to be free can begin
    /// somebody's connection meanwhile.
    _ports: Vec<ReservedPort>,
}

impl Kafka {
    /// Formats the folder if need be and starts one combined node on this port of 127.0.0.1, 0 for any; waits until it
    /// accepts. Also tells when its process was started.
    pub(crate) fn start_timed(folder: &Path, port: u16) -> Result<(Kafka, Instant)> {
        Kafka::start_with(folder, port, &[])
    }

    /// The same with settings, `key=value` each, behind our own.
    pub(crate) fn start_with(folder: &Path, port: u16, settings: &[&str]) -> Result<(Kafka, Instant)> {
        let (mut kafka, started) = Kafka::spawn(folder, port, settings, None)?;
        kafka.wait_until_ready(folder)?;
        Ok((kafka, started))
    }

    /// The same without waiting: nodes of one cluster, which are ready only together, have the same id.
    pub(crate) fn spawn(
        folder: &Path,
        port: u16,
        settings: &[&str],
        cluster_id: Option<&str>,
    ) -> Result<(Kafka, Instant)> {
        let jars = jars()?;
        let mut ports = vec![ReservedPort::any()?];
        let controller = ports[0].number();
        let port = match port {
            0 => {
                ports.push(ReservedPort::any()?);
                ports[1].number()
            }
            wanted => wanted,
        };
        fs::create_dir_all(folder)?;
        let properties = folder.join("server.properties");
        let id = settings.iter().find_map(|it| it.strip_prefix("node.id=")).unwrap_or("1");
        let text = format!(
            "process.roles=broker,controller\nnode.id={id}\nlisteners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.voters={id}@127.0.0.1:{controller}\nlog.dirs={}\noffsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n{}\n",
            folder.join("logs").display(),
            settings.join("\n")
        );
        fs::write(&properties, text)?;
        if !folder.join("logs/meta.properties").exists() {
            let id = match cluster_id {
                Some(id) => id.to_owned(),
                None => process::output(tool("kafka-storage")?.arg("random-uuid"))?,
            };
            let mut format = tool("kafka-storage")?;
            format.args(["format", "-t", id.trim(), "-c"]).arg(&properties);
            process::output(&mut format).context("format Apache Kafka's directory")?;
        }
        let output = File::create(folder.join("kafka.out"))?;
        let mut command = Command::new("java");
        command.args(["-Xmx768M", "-Xms768M", "-XX:+UseG1GC"]);
        command.arg(format!("-Dlog4j2.configurationFile={}", jars.join("log4j2.yaml").display()));
        command.arg(format!("-Dkafka.log={}", folder.join("kafka.log").display()));
        command.arg("-cp").arg(jars.join("*")).arg("kafka.Kafka").arg(&properties);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let started = Instant::now();
        let child = command.spawn().context("start Apache Kafka")?;
        Ok((Kafka { child, address: format!("127.0.0.1:{port}"), _ports: ports }, started))
    }

    /// Its process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its process id, for accounts of its CPU time and memory.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self, folder: &Path) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let address: SocketAddr = self.address.parse()?;
        loop {
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            let log = folder.join("kafka.log");
            if let Some(status) = self.child.try_wait()? {
                bail!("Apache Kafka ended before it accepted ({status}): {}; see {}", complaint(folder), log.display());
            }
            ensure!(Instant::now() < deadline, "Apache Kafka did not accept within a minute; see {}", log.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as SIGTERM does, waiting for it.
    pub(crate) fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("Kafka has a process id")?;
        kill_process(id, Signal::TERM).context("stop Apache Kafka")?;
        self.child.wait()?;
        Ok(())
    }
}

/// What a node that ended said last: a complaint of its log and the exception below it, or its output if it never got so far.
fn complaint(folder: &Path) -> String {
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let (log, output) = (text("kafka.log"), text("kafka.out"));
    let lines: Vec<&str> = log.lines().collect();
    match lines.iter().rposition(|line| line.contains(" ERROR ") || line.contains(" FATAL ")) {
        Some(at) => lines[at..].iter().take(2).copied().collect::<Vec<_>>().join(" "),
        None => output.lines().rfind(|it| !it.trim().is_empty()).unwrap_or("it said nothing").to_owned(),
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // An error path: nobody needs its data any more.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
