//! One data directory, two brokers: Apache Kafka opens what we wrote and we open what it wrote, stopped cleanly and killed,
//! and both say the same of it. What is written, and what is compared, is in `interop.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{Client, Place, confluent};
use crate::lab::Broker;
use crate::oracle::{self, Kafka};
use crate::process;

const PROGRAM: &str = include_str!("interop.py");

pub(super) const CLIENT: Client = Client {
    name: "interop",
    set_up,
    cases: &[
        ("Apache Kafka goes on with our directory, and we with its, three times", ours_first),
        (
            "we go on with a directory of Apache Kafka's that has snapshots, and dump-log says what its own tool says",
            kafkas_first,
        ),
        ("a directory that Apache Kafka formatted begins as it says", only_formatted),
        ("Apache Kafka finds what we compacted, cut and moved between two log directories", ours_lived_in),
    ],
};

fn set_up() -> Result<()> {
    oracle::jars()?;
    confluent::set_up()
}

/// How a broker ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Stopped,
    Killed,
}

/// The data directory, in turns under either broker.
struct Directory<'a> {
    place: &'a Place,
    folder: PathBuf,
    settings: &'static [&'static str],
    /// Another log directory beside the first.
    second: Option<PathBuf>,
}

/// A broker that has the directory.
enum Running {
    Ours(Broker),
    Kafkas(Kafka),
}

impl Directory<'_> {
    fn new<'a>(place: &'a Place, name: &str, settings: &'static [&'static str]) -> Result<Directory<'a>> {
        let folder = place.folder.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(place.folder.join("interop.py"), PROGRAM)?;
        Ok(Directory { place, folder, settings, second: None })
    }

    fn ours(&self) -> Result<Running> {
        let mut command = Command::new(&self.place.binary);
        command.args(["server", "--port", "0"]);
        match self.log_dirs() {
            Some(dirs) => command.arg("--set").arg(dirs),
            None => command.arg("--data").arg(self.folder.join("logs")),
        };
        // Whole segments are at stake here, not only the newest.
        command.args(["--set", "log.retention.hours=-1", "--set", "log.cleaner.backoff.ms=100"]);
        Broker::spawn(&mut command).map(Running::Ours)
    }

    fn kafkas(&self) -> Result<Running> {
        let dirs = self.log_dirs();
        let settings = [&["log.retention.hours=-1"], self.settings, dirs.as_deref().as_slice()].concat();
        Kafka::start_with(&self.folder, 0, &settings).map(|(kafka, _)| Running::Kafkas(kafka))
    }

    /// The setting of two log directories, if there are two.
    fn log_dirs(&self) -> Option<String> {
        let second = self.second.as_ref()?;
        Some(format!("log.dirs={},{}", self.folder.join("logs").display(), second.display()))
    }

    /// Runs a verb of the program.
    fn run(&self, broker: &Running, args: &[&str]) -> Result<String> {
        let program = self.place.folder.join("interop.py");
        process::output(Command::new(confluent::python()?).arg(program).arg(broker.address()).args(args))
    }

    /// Sends a batch of which the producer's state tells whether it came before; answers where it is.
    fn sequence(&self, broker: &Running, number: &str) -> Result<String> {
        let said = self.run(broker, &["sequence", "interop-none", number])?;
        let Some(("0", offset)) = said.trim().split_once(' ') else { bail!("batch {number} was refused: {said}") };
        Ok(offset.to_owned())
    }

    /// Changes what is set of a broker, of all brokers or of a group, while the broker runs, by Apache Kafka's own tool.
    fn configure(&self, broker: &Running, entity: &[&str], change: &[&str]) -> Result<()> {
        let mut tool = oracle::tool("kafka-configs")?;
        tool.args(["--bootstrap-server", broker.address(), "--alter"]).args(entity).args(change);
        process::output(&mut tool).map(drop)
    }

    /// All that can be read, which must be what was there before.
    fn compare(&self, broker: &Running, before: &str) -> Result<()> {
        let now = self.run(broker, &["dump"])?;
        if now == before {
            return Ok(());
        }
        let (were, are) = (before.lines().count(), now.lines().count());
        let pairs = before.lines().chain(["(the end)"]).zip(now.lines().chain(["(the end)"]));
        let (was, is) = pairs.into_iter().find(|(was, is)| was != is).unwrap_or(("", ""));
        bail!(
            "{} says something else of {}:\n{were} lines were, {are} are\nwas {was}\nis  {is}",
            broker.name(),
            self.folder.display()
        )
    }
}

impl Running {
    fn name(&self) -> &'static str {
        match self {
            Running::Ours(_) => "vivarium",
            Running::Kafkas(_) => "Apache Kafka",
        }
    }

    fn address(&self) -> &str {
        match self {
            Running::Ours(broker) => &broker.address,
            Running::Kafkas(kafka) => &kafka.address,
        }
    }

    fn end(mut self, how: End) -> Result<()> {
        let child: &mut Child = match &mut self {
            Running::Ours(broker) => &mut broker.child,
            Running::Kafkas(kafka) => kafka.child(),
        };
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a broker has a process id")?;
        kill_process(id, if how == End::Stopped { Signal::TERM } else { Signal::KILL })?;
        child.wait()?;
        Ok(())
    }
}

const ONE: &[&str] = &["--entity-type", "brokers", "--entity-name", "1"];
const ALL: &[&str] = &["--entity-type", "brokers", "--entity-default"];
const GROUP: &[&str] = &["--entity-type", "groups", "--entity-name", "interop-settings"];

type Change = (&'static [&'static str], &'static [&'static str]);

/// What is set while we run, and what of it is changed, added to and taken away while Apache Kafka does.
const CHANGES: [&[Change]; 2] = [
    &[
        (ONE, &["--add-config", "max.connections=900,leader.replication.throttled.rate=1000000"]),
        (ALL, &["--add-config", "message.max.bytes=1000100,max.connections=800"]),
        (GROUP, &["--add-config", "consumer.session.timeout.ms=50000"]),
    ],
    &[
        (ONE, &["--add-config", "max.connections=901", "--delete-config", "leader.replication.throttled.rate"]),
        (ALL, &["--add-config", "max.connections.per.ip=700", "--delete-config", "message.max.bytes"]),
        (GROUP, &["--add-config", "consumer.heartbeat.interval.ms=6000"]),
    ],
];

/// How the program names them, and what it says of them then. min.insync.replicas is of the format: eligible leader replicas need it.
const OF: [&str; 3] = ["4 '1'", "4 ''", "32 'interop-settings'"];
const SETTINGS: [[&str; 3]; 2] = [
    [
        "('leader.replication.throttled.rate', '1000000', 'broker'), ('max.connections', '900', 'broker'), \
         ('message.max.bytes', '1000100', 'all brokers'), ('min.insync.replicas', '1', 'all brokers')",
        "('max.connections', '800', 'all brokers'), ('message.max.bytes', '1000100', 'all brokers'), \
         ('min.insync.replicas', '1', 'all brokers')",
        "('consumer.session.timeout.ms', '50000', 'group')",
    ],
    [
        "('max.connections', '901', 'broker'), ('max.connections.per.ip', '700', 'all brokers'), \
         ('min.insync.replicas', '1', 'all brokers')",
        "('max.connections', '800', 'all brokers'), ('max.connections.per.ip', '700', 'all brokers'), \
         ('min.insync.replicas', '1', 'all brokers')",
        "('consumer.heartbeat.interval.ms', '6000', 'group'), ('consumer.session.timeout.ms', '50000', 'group')",
    ],
];

/// Each broker in turn finds what the other left, adds to it, and knows the newest batch of an idempotent producer.
fn ours_first(place: &Place) -> Result<()> {
    let directory = Directory::new(place, "ours", &[])?;
    let mut before: Option<String> = None;
    let mut last: Option<(String, String)> = None;
    let mut producer_id = -1;
    let turns = [
        (true, End::Stopped),
        (false, End::Stopped),
        (true, End::Killed),
        (false, End::Killed),
        (true, End::Stopped),
        (false, End::Stopped),
    ];
    for (turn, (is_ours, end)) in turns.into_iter().enumerate() {
        let broker = if is_ours { directory.ours()? } else { directory.kafkas()? };
        if let Some(before) = &before {
            directory.compare(&broker, before)?;
        }
        if let Some((number, offset)) = &last {
            let again = directory.sequence(&broker, number)?;
            ensure!(again == *offset, "{}: batch {number} is at {again} and was at {offset}", broker.name());
        }
        let id: i64 = directory.run(&broker, &["producer-id"])?.trim().parse()?;
        ensure!(id > producer_id, "{}: the producer id {id} after {producer_id}", broker.name());
        producer_id = id;
        if let Some(changes) = CHANGES.get(turn) {
            for (entity, change) in *changes {
                directory.configure(&broker, entity, change)?;
            }
        }
        directory.run(&broker, &["fill", &format!("turn{turn}")])?;
        let number = turn.to_string();
        last = Some((number.clone(), directory.sequence(&broker, &number)?));
        if turn == 1 || turn == 3 {
            // Of transactions we keep what is there; new ones are Apache Kafka's so far. These are soon in a segment that is
            // sealed, so that its index must tell who reads what was committed.
            directory.run(&broker, &["transaction", "interop-small"])?;
        }
        if turn == 3 {
            directory.run(&broker, &["transaction", "interop-lz4"])?;
            directory.run(&broker, &["open", "interop-zstd"])?;
        }
        let dump = directory.run(&broker, &["dump"])?;
        if let Some(settings) = SETTINGS.get(turn) {
            for (of, set) in OF.iter().zip(settings) {
                let line = format!("settings {of} [{set}]");
                ensure!(dump.lines().any(|it| it == line), "{}: it has not got {line}:\n{dump}", broker.name());
            }
        }
        before = Some(dump);
        broker.end(end)?;
    }
    Ok(())
}

/// The log of the metadata does not begin at 0 any more: what came before is in a snapshot.
fn kafkas_first(place: &Place) -> Result<()> {
    const SNAPSHOTS: &[&str] = &[
        "metadata.log.max.record.bytes.between.snapshots=2000",
        "internal.metadata.log.segment.bytes=16384",
        "internal.metadata.delete.delay.millis=1",
        "metadata.max.retention.bytes=16384",
    ];
    let directory = Directory::new(place, "kafkas", SNAPSHOTS)?;
    let broker = directory.kafkas()?;
    for tag in ["a", "b"] {
        directory.run(&broker, &["fill", tag])?;
        directory.run(&broker, &["transaction", "interop-small"])?;
    }
    directory.run(&broker, &["transaction", "interop-lz4"])?;
    directory.run(&broker, &["group", "interop-gzip"])?;
    // Soon only in a snapshot, which holds each setting once.
    for (entity, change) in CHANGES.iter().copied().flatten() {
        directory.configure(&broker, entity, change)?;
    }
    directory.run(&broker, &["fill", "b2"])?;
    let before = directory.run(&broker, &["dump"])?;
    broker.end(End::Stopped)?;
    let is_there = |ending: &str| -> Result<bool> {
        let names = fs::read_dir(directory.folder.join("logs/__cluster_metadata-0"))?;
        let names = names.map(|it| Ok(it?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()?;
        Ok(names.iter().any(|name| name.ends_with(ending) && !name.starts_with("00000000000000000000-")))
    };
    ensure!(is_there(".checkpoint")?, "Apache Kafka has written no snapshot of the metadata");
    let broker = directory.ours()?;
    directory.compare(&broker, &before)?;
    directory.run(&broker, &["fill", "c"])?;
    let before = directory.run(&broker, &["dump"])?;
    broker.end(End::Stopped)?;
    let broker = directory.kafkas()?;
    directory.compare(&broker, &before)?;
    broker.end(End::Stopped)?;
    let logs = directory.folder.join("logs");
    same_dumps(place, &logs, "--cluster-metadata-decoder", |path| path.contains("__cluster_metadata-0/"))?;
    same_dumps(place, &logs, "--offsets-decoder", |path| path.contains("__consumer_offsets-"))?;
    same_dumps(place, &logs, "--transaction-log-decoder", |path| path.contains("__transaction_state-"))?;
    same_dumps(place, &logs, "--print-data-log", |path| path.contains("/interop-"))
}

/// What becomes of logs when they are used, all of it ours: gaps that compaction leaves, a start in the midst of a segment, a
/// replica in another directory than it began in, what groups committed.
fn ours_lived_in(place: &Place) -> Result<()> {
    let mut directory = Directory::new(place, "lived-in", &[])?;
    let second = directory.folder.join("more");
    directory.second = Some(second.clone());
    let broker = directory.ours()?;
    directory.run(&broker, &["fill", "a"])?;
    directory.run(&broker, &["compacted", "interop-compacted"])?;
    directory.run(&broker, &["cut", "interop-small", "700"])?;
    directory.run(&broker, &["group", "interop-gzip"])?;
    for (name, dir) in [("interop-compacted", &second), ("interop-small", &directory.folder.join("logs"))] {
        // Wherever it was, it moves once at least.
        for dir in [directory.folder.join("logs"), second.clone(), dir.clone()] {
            directory.run(&broker, &["move", name, &dir.display().to_string()])?;
        }
        ensure!(dir.join(format!("{name}-0")).is_dir(), "{name} has not moved to {}", dir.display());
    }
    let before = directory.run(&broker, &["dump"])?;
    ensure!(
        before.contains("\ngroup interop-gzip-group [('interop-gzip'"),
        "the group has committed nothing:\n{before}"
    );
    broker.end(End::Stopped)?;
    for logs in [&directory.folder.join("logs"), &second] {
        same_dumps(place, logs, "--print-data-log", |path| path.contains("/interop-"))?;
    }
    let broker = directory.kafkas()?;
    directory.compare(&broker, &before)?;
    directory.run(&broker, &["fill", "b"])?;
    // Of one that was cut Apache Kafka would forget the start, if it is killed before it has noted it in the new directory.
    directory.run(&broker, &["move", "interop-compacted", &directory.folder.join("logs").display().to_string()])?;
    directory.run(&broker, &["group", "interop-gzip"])?;
    let before = directory.run(&broker, &["dump"])?;
    broker.end(End::Killed)?;
    let broker = directory.ours()?;
    directory.compare(&broker, &before)?;
    broker.end(End::Stopped)
}

/// Both tools print the same of all these files, and neither finds an index that does not fit its log.
fn same_dumps(place: &Place, logs: &Path, flag: &str, wanted: fn(&str) -> bool) -> Result<()> {
    let mut files = Vec::new();
    for folder in fs::read_dir(logs)? {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
            let shown = path.display().to_string();
            if wanted(&shown) && ["log", "index", "timeindex", "snapshot", "checkpoint", "txnindex"].contains(&ending) {
                files.push(shown);
            }
        }
    }
    files.sort_unstable();
    ensure!(!files.is_empty(), "no file in {} is for {flag}", logs.display());
    let files = files.join(",");
    let arguments = ["--files", &files, flag];
    let theirs = oracle::tool("kafka-dump-log")?.args(arguments).output()?;
    let ours = Command::new(&place.binary).arg("dump-log").args(arguments).output()?;
    ensure!(theirs.status.success() && ours.status.success(), "{flag}: {} and {}", theirs.status, ours.status);
    // Kafka's tool keeps its complaints in no order.
    let complaints = |bytes: &[u8]| {
        let mut lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let mismatch = complaints(&theirs.stderr).into_iter().find(|it| it.to_lowercase().contains("mismatch"));
    ensure!(mismatch.is_none(), "{flag}: {mismatch:?}");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    for (theirs, ours) in
        [(text(&theirs.stdout), text(&ours.stdout)), (complaints(&theirs.stderr), complaints(&ours.stderr))]
    {
        let pairs = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours);
        ensure!(pairs.is_none(), "dump-log {flag} differs:\n{pairs:?}");
        ensure!(theirs.len() == ours.len(), "dump-log {flag}: {} lines, not {}", ours.len(), theirs.len());
    }
    Ok(())
}

/// A directory formatted for an older release stays at its level, and Apache Kafka reads what we add.
fn only_formatted(place: &Place) -> Result<()> {
    let directory = Directory::new(place, "formatted", &[])?;
    let logs = directory.folder.join("logs");
    format_for(&directory.folder, &logs, "4.0")?;
    let broker = directory.ours()?;
    directory.run(&broker, &["fill", "a"])?;
    let before = directory.run(&broker, &["dump"])?;
    broker.end(End::Killed)?;
    let broker = directory.kafkas()?;
    directory.compare(&broker, &before)?;
    broker.end(End::Stopped)?;
    let mut dump = oracle::tool("kafka-dump-log")?;
    dump.args(["--cluster-metadata-decoder", "--files"]);
    let said = process::output(dump.arg(logs.join("__cluster_metadata-0/00000000000000000000.log")))?;
    let is_level =
        |line: &&str| line.contains("FEATURE_LEVEL_RECORD") && line.contains(r#""data":{"name":"metadata.version""#);
    let levels: Vec<&str> = said.lines().filter(is_level).collect();
    ensure!(levels.len() == 1 && levels[0].contains(r#""featureLevel":25"#), "the level moved: {levels:?}");
    Ok(())
}

fn format_for(folder: &Path, logs: &Path, release: &str) -> Result<()> {
    let properties = folder.join("format.properties");
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\nlisteners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n\
         controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@127.0.0.1:2\nlog.dirs={}\n",
        logs.display()
    );
    fs::write(&properties, text)?;
    let id = process::output(oracle::tool("kafka-storage")?.arg("random-uuid"))?;
    let mut format = oracle::tool("kafka-storage")?;
    format.args(["format", "--release-version", release, "-t", id.trim(), "-c"]).arg(&properties);
    process::output(&mut format).context("format a directory").map(drop)
}
