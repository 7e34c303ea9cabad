//! Twenty consumers in two groups, one a protocol, of four kinds of clients: they join, leave and are killed all
//! the time, and so are the brokers. Every record that was acknowledged is read at least once by each group, no partition has two
//! owners at any moment, and no commit of a former owner is taken.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::cluster::{Cluster, Make};
use crate::clients::confluent;
use crate::conformance::kafka_python;
use crate::{bundle, oracle, paths, process};

const PROGRAM: &str = include_str!("groups.py");
const TOPIC: &str = "records";
const PARTITIONS: usize = 12;
/// Records a second.
const RATE: &str = "300";
const GROUPS: [(&str, &str); 2] = [("classic", "classic"), ("consumers", "consumer")];
/// Who is in each of the two groups; a Java process takes as much as ten others.
const CLASSIC: [Language; 10] = [
    Language::Librdkafka,
    Language::Librdkafka,
    Language::Librdkafka,
    Language::Librdkafka,
    Language::KafkaPython,
    Language::KafkaPython,
    Language::Java,
    Language::Java,
    Language::Ours,
    Language::Ours,
];
const CONSUMERS: [Language; 10] = [
    Language::Librdkafka,
    Language::Librdkafka,
    Language::Librdkafka,
    Language::Librdkafka,
    Language::Librdkafka,
    Language::Java,
    Language::Java,
    Language::Ours,
    Language::Ours,
    Language::Ours,
];
/// So that who was killed is missed within seconds: clients of the classic protocol say so themselves.
const SETTINGS: [&str; 4] = [
    "group.consumer.min.session.timeout.ms=6000",
    "group.consumer.session.timeout.ms=6000",
    "group.consumer.min.heartbeat.interval.ms=1000",
    "group.consumer.heartbeat.interval.ms=1000",
];
const PATIENCE: Duration = Duration::from_secs(180);

/// What a member is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    /// confluent-kafka, from Python.
    Librdkafka,
    KafkaPython,
    /// Kafka's own console consumer.
    Java,
    /// `vivarium console-consumer`.
    Ours,
}

/// A process that ends with us.
struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).context("a process has an id")?;
        kill_process(id, signal).context("send a signal")
    }

    /// Asks it to end; how it did, if it did in time.
    fn interrupt(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        self.signal(Signal::INT)?;
        let deadline = Instant::now() + patience;
        loop {
            let status = self.0.try_wait()?;
            if status.is_some() || Instant::now() > deadline {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same of what has to end well.
    fn finish(mut self, what: &str) -> Result<()> {
        let status = self.interrupt(PATIENCE)?.with_context(|| format!("{what} does not end"))?;
        ensure!(status.success(), "{what}: {status}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A member's place in a group: who sits there comes and goes.
struct Seat {
    group: &'static str,
    protocol: &'static str,
    language: Language,
    process: Option<Process>,
}

/// All that goes on.
struct Soak {
    folder: PathBuf,
    cluster: Cluster,
    seats: Vec<Seat>,
    /// Members so far: each writes a file of its own.
    members: u32,
    random: u64,
}

/// Lets them run for so long; tells what was done to them.
pub(super) fn run(minutes: f64) -> Result<()> {
    confluent::set_up()?;
    oracle::jars()?;
    kafka_python::set_up()?;
    let folder = paths::cache("soak")?.join(std::process::id().to_string());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("groups.py"), PROGRAM)?;
    let outcome = soak(&folder, Duration::from_secs_f64(minutes * 60.0));
    match &outcome {
        Ok(said) => {
            println!("{said}");
            fs::remove_dir_all(&folder)?;
        }
        Err(_) => println!("what everybody said is in {}", folder.display()),
    }
    outcome.map(drop)
}

fn soak(folder: &Path, length: Duration) -> Result<String> {
    let (cluster, _) = Cluster::start_with(Make::Ours, folder.join("cluster"), &SETTINGS)?;
    cluster.create(TOPIC, PARTITIONS)?;
    let languages = CLASSIC.iter().map(|it| (GROUPS[0], *it)).chain(CONSUMERS.iter().map(|it| (GROUPS[1], *it)));
    let seats = languages.map(|((group, protocol), language)| Seat { group, protocol, language, process: None });
    let random = u64::from(std::process::id());
    println!("random from {random}");
    let mut soak = Soak { folder: folder.to_owned(), cluster, seats: seats.collect(), members: 0, random };
    let groups = GROUPS.map(|it| it.0).join(",");
    let bootstrap = soak.cluster.bootstrap();
    let acked = folder.join("acked");
    let producer = soak.python(&["produce", &bootstrap, TOPIC, RATE, &acked.display().to_string()], "producer")?;
    let watcher = soak.python(&["watch", &bundle::binary()?.display().to_string(), &bootstrap, &groups], "watch")?;
    for seat in 0..soak.seats.len() {
        soak.join(seat)?;
    }
    let done = soak.trouble(Instant::now() + length)?;
    for seat in 0..soak.seats.len() {
        soak.join(seat)?;
    }
    producer.finish("the producer").context("see producer.err")?;
    soak.ask(&["caught-up", &bootstrap, TOPIC, &groups])?;
    watcher.finish("the watcher").context("see watch.err")?;
    let twice = fs::read_to_string(folder.join("watch.out"))?;
    ensure!(twice.is_empty(), "{}", twice.lines().next().unwrap_or_default());
    // Without members, so that nothing changes while it is counted.
    soak.seats.clear();
    let said =
        soak.ask(&["check", &bootstrap, TOPIC, &groups, &acked.display().to_string(), &folder.display().to_string()])?;
    let seen = fs::read_to_string(folder.join("watch.err"))?;
    Ok(format!("{done}; {}; {}", said.trim(), seen.lines().last().unwrap_or_default()))
}

impl Soak {
    /// Below a limit, as Knuth's generator has it; its upper half is good enough to pick among a few.
    fn random(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 32) % below as u64) as usize
    }

    /// Until then, something happens to somebody every now and then.
    fn trouble(&mut self, until: Instant) -> Result<String> {
        let (mut joined, mut left, mut killed, mut brokers) = (0, 0, 0, 0);
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(200 + self.random(1800) as u64));
            let seat = self.random(self.seats.len());
            match self.random(8) {
                0 => {
                    let broker = 1 + self.random(3);
                    self.cluster.kill(broker)?;
                    std::thread::sleep(Duration::from_millis(self.random(1500) as u64));
                    self.cluster.restart(broker)?;
                    brokers += 1;
                }
                1..=3 if self.seats[seat].process.is_some() => {
                    // Its session has to end before anybody else gets what it had.
                    self.seats[seat].process = None;
                    killed += 1;
                }
                4 if self.seats[seat].process.is_some() => {
                    if let Some(mut member) = self.seats[seat].process.take() {
                        // Whoever was in the middle of something and takes too long is as good as killed.
                        member.interrupt(Duration::from_secs(10))?;
                        left += 1;
                    }
                }
                _ => joined += usize::from(self.join(seat)?),
            }
        }
        Ok(format!("{joined} joined, {left} left, {killed} members and {brokers} brokers were killed"))
    }

    /// Somebody takes a seat that is free, or whose member has ended by itself; true if so.
    fn join(&mut self, seat: usize) -> Result<bool> {
        let Seat { group, protocol, language, process } = &mut self.seats[seat];
        if let Some(member) = process {
            match member.0.try_wait()? {
                None => return Ok(false),
                Some(status) => bail!("a member of {group} ({language:?}) ended by itself: {status}"),
            }
        }
        let (group, protocol, language) = (*group, *protocol, *language);
        self.members += 1;
        let name = format!("{group}-{}", self.members);
        let bootstrap = self.cluster.bootstrap();
        let member = match language {
            Language::Librdkafka => self.python(&["librdkafka", &bootstrap, TOPIC, group, &name, protocol], &name)?,
            Language::KafkaPython => {
                let mut command = kafka_python::python()?;
                command.arg(self.folder.join("groups.py"));
                command.args(["kafka-python", &bootstrap, TOPIC, group, &name, protocol]);
                self.spawn(&mut command, &name)?
            }
            Language::Java => {
                let mut command = oracle::tool("kafka-console-consumer")?;
                console(&mut command, &bootstrap, group, protocol);
                self.spawn(&mut command, &name)?
            }
            Language::Ours => {
                let mut command = Command::new(bundle::binary()?);
                console(command.arg("console-consumer"), &bootstrap, group, protocol);
                self.spawn(&mut command, &name)?
            }
        };
        self.seats[seat].process = Some(member);
        Ok(true)
    }

    fn python(&self, words: &[&str], name: &str) -> Result<Process> {
        let mut command = Command::new(confluent::python()?);
        self.spawn(command.arg(self.folder.join("groups.py")).args(words), name)
    }

    /// Runs it to its end.
    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(confluent::python()?);
        process::output(command.arg(self.folder.join("groups.py")).args(words))
    }

    fn spawn(&self, command: &mut Command, name: &str) -> Result<Process> {
        let file = |end: &str| File::create(self.folder.join(format!("{name}.{end}")));
        let child = command.stdin(Stdio::null()).stdout(file("out")?).stderr(file("err")?).spawn();
        Ok(Process(child.with_context(|| format!("start `{}`", process::line(command)))?))
    }
}

/// The flags of Kafka's console consumer, which ours has too.
fn console(command: &mut Command, bootstrap: &str, group: &str, protocol: &str) {
    command.args(["--bootstrap-server", bootstrap, "--topic", TOPIC, "--group", group, "--from-beginning"]);
    let mut settings = vec![format!("group.protocol={protocol}"), "auto.commit.interval.ms=500".to_owned()];
    if protocol == "classic" {
        settings.push("session.timeout.ms=6000".to_owned());
        settings.push("heartbeat.interval.ms=1000".to_owned());
        settings.push("partition.assignment.strategy=org.apache.kafka.clients.consumer.RangeAssignor".to_owned());
    }
    for setting in settings {
        command.args(["--command-property", &setting]);
    }
}
