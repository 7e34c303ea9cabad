//! A run in other spellings says the same.
// What is exported to other programs is run by them: there are files and a shell.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test runs its files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sim::History;
use sim::export::{rust_test, script, shiviz};
use sim::script::Scenario;

fn played(text: &str) -> History {
    let played = Scenario::parse(text).unwrap().play().unwrap();
    assert_eq!(played.failures, []);
    played.history
}

const STORY: &str = "seed 3\nbroker b1\nbroker b2 log.retention.ms=1000\nrun until serving b1\nrun until serving b2\n\
    topic orders replicas=b1,b2 min.insync.replicas=1\nproducer p1 acks=1\nconsumer A auto.offset.reset=earliest\n\
    follow A orders\nproduce p1 orders key=eva value=\"it's \\\"#\\\"# here\"\nrun until acked p1 1\nkill b1\nrun 100ms\nstart b1\nrun 1s\n";

/// The test that is exported demands what is so: its text and its demands are read back as the compiler reads them.
#[test]
fn an_exported_test_holds() {
    let history = played(STORY);
    let test = rust_test(&history);
    let (_, literal) = test.split_once("const RUN: &str = r").unwrap();
    let (marks, rest) = literal.split_once('"').unwrap();
    assert!(marks.chars().all(|it| it == '#') && marks.len() > 1, "the value has \"# in it: {marks}");
    let (run, demands) = rest.split_once(&format!("\"{marks};\n")).unwrap();
    let again = played(run);
    let world = again.world();
    assert!(demands.contains(&format!("assert_eq!(world.events(), {});", world.events())), "{demands}");
    assert!(demands.contains(&format!("\"{:016x}\"", world.hash())), "{demands}");
    assert!(demands.contains("assert_eq!(world.checks().broken().map(|it| it.check.name()), None);"), "{demands}");
    assert_eq!(world.hash(), history.world().hash());
}

/// A line of the log: whose it is, the clock, what happened.
type Told = (String, BTreeMap<String, u32>, String);

/// As ShiViz reads it: by the expression in the first line.
fn read(log: &str) -> Vec<Told> {
    let (head, rest) = log.split_once("\n\n").unwrap();
    assert_eq!(head, r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)");
    let lines: Vec<&str> = rest.lines().collect();
    let told = |pair: &[&str]| {
        let (host, clock) = pair[0].split_once(' ').unwrap();
        let times = clock.strip_prefix('{').unwrap().strip_suffix('}').unwrap().split(',');
        let time = |it: &str| {
            let (name, time) = it.rsplit_once(':').unwrap();
            (name.trim_matches('"').to_owned(), time.parse().unwrap())
        };
        (host.to_owned(), times.map(time).collect(), pair[1].to_owned())
    };
    lines.chunks(2).map(told).collect()
}

/// Every process's own time goes up by one, nobody knows of what has not happened, and a message brings what its sender knew.
#[test]
fn a_log_for_shiviz_has_true_clocks() {
    let history = played(STORY);
    let events = history.world().events();
    for most in [u64::MAX, 200, 1] {
        let told = read(&shiviz(&history, most));
        let mut now: BTreeMap<String, u32> = BTreeMap::new();
        for (host, clock, what) in &told {
            let own = now.entry(host.clone()).or_default();
            *own += 1;
            assert_eq!(clock[host], *own, "{host}: {what}");
            for (other, time) in clock {
                assert!(now.get(other).copied().unwrap_or(0) >= *time, "{host} knows the future of {other}: {what}");
            }
        }
        let of_person = told.iter().filter(|it| it.0 == "you").count();
        assert_eq!((told.len() - of_person) as u64, events.min(most));
        if most == u64::MAX {
            assert_eq!(of_person, history.world().actions() as usize);
            // Who gets a record knows of the person who had it produced.
            let got = told.iter().find(|it| it.0 == "b1" && it.2.contains("b1 gets Produce from p1")).unwrap();
            assert!(got.1.contains_key("p1") && got.1.contains_key("you"), "{got:?}");
        }
    }
}

/// A folder of its own, which goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("vivarium-exports-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("bin")).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs an exported script with tools that only write down what they are told: `tool|argument|…` a line.
fn told_to_kafka(name: &str, script: &str) -> Vec<String> {
    let folder = Folder::new(name);
    let log = folder.0.join("log");
    fs::write(&log, "").unwrap();
    // A server and the consoles stay until they are ended; a producer writes down what it is given. Each line is one write: tools run
    // beside each other.
    let tool = format!(
        "#!/bin/sh\nname=$(basename \"$0\" .sh)\nprintf '%s\\n' \"$(printf %s \"$name\"; printf '|%s' \"$@\")\" >> '{0}'\n\
         case $name in\n*random-uuid*) ;;\n*server-start) exec sleep 60 ;;\n*console-consumer) exec sleep 60 ;;\n\
         *console-producer) while read -r line; do printf 'given|%s\\n' \"$line\" >> '{0}'; done ;;\nesac\n",
        log.display()
    );
    for it in [
        "storage",
        "server-start",
        "topics",
        "configs",
        "console-producer",
        "console-consumer",
        "delete-records",
        "leader-election",
        "reassign-partitions",
    ] {
        let file = folder.0.join(format!("bin/kafka-{it}.sh"));
        fs::write(&file, &tool).unwrap();
        let done = Command::new("chmod").arg("+x").arg(&file).status().unwrap();
        assert!(done.success());
    }
    let file = folder.0.join("run.sh");
    // The pipe of a producer is read by a process of its own: what is in it is waited for.
    let wait = "\nfor i in $(seq 500); do [ \"$(grep -c ^given \"$KAFKA_HOME/log\")\" -ge \"$EXPECTED\" ] && break; sleep 0.02; done\n";
    fs::write(&file, format!("{script}{wait}")).unwrap();
    let mut bash = Command::new("bash");
    bash.arg(&file).current_dir(&folder.0).env("KAFKA_HOME", &folder.0).env("TMPDIR", &folder.0);
    bash.env("EXPECTED", script.matches("\nproduce ").count().to_string());
    let done = bash.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    assert!(!folder.0.join("pwned").exists(), "a name became a command");
    fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect()
}

/// What the run did is what Kafka's tools are told, in its order.
#[test]
fn a_script_does_the_same_with_kafkas_tools() {
    let history = played(STORY);
    let script = script(&history);
    assert!(script.contains("kill b1") && script.contains("sleep 0.1"), "{script}");
    let told = told_to_kafka("same", &script);
    let all = told.join("\n");
    for line in [
        "kafka-topics|--bootstrap-server|127.0.0.1:19092,127.0.0.1:19102|--create|--topic|orders|--replica-assignment|1:2|--config|min.insync.replicas=1",
        "given|eva\tit's \"#\"# here",
    ] {
        assert!(told.iter().any(|it| it == line), "{line}\nin\n{all}");
    }
    assert_eq!(told.iter().filter(|it| it.starts_with("kafka-server-start|")).count(), 3, "b1 starts twice:\n{all}");
    assert_eq!(told.iter().filter(|it| it.starts_with("kafka-storage|format|")).count(), 2);
    assert!(
        all.contains("kafka-console-consumer|--bootstrap-server|127.0.0.1:19092,127.0.0.1:19102|--command-config|"),
        "{all}"
    );
}

/// Every action is either done or said not to be, with the reason; and no name of a topic or a process becomes a command.
#[test]
fn a_script_says_what_it_cannot_do_and_is_nobodys_to_command() {
    let evil = "'; touch pwned; echo '$(touch pwned)`touch pwned`";
    let text = format!(
        "seed 3\nbroker b1\nrun until serving b1\ntopic \"{evil}\" partitions=2\nproducer \"{evil}\" acks=all\n\
         produce \"{evil}\" \"{evil}\" key=\"{evil}\" value=\"{evil}\"\nproduce \"{evil}\" \"{evil}\" value=\"a\\nb\"\n\
         produce \"{evil}\" \"{evil}\" partition=1 value=x\ncut b1 \"{evil}\"\nheal b1 \"{evil}\"\npower-cut b1\nstart b1\n\
         skew-clock b1 5\nslow-disk b1 1ms\nslow-disk b1 0us\ndisk-full b1\ndisk-heal b1\nrun 10ms\n"
    );
    let text = text.replace("topic \"'", "topic \"a\\n'");
    let history = match Scenario::parse(&text).unwrap().play() {
        Ok(played) => played.history,
        Err(error) => panic!("{error}"),
    };
    let script = script(&history);
    for line in script.lines().filter(|it| it.contains("touch pwned")) {
        let is_quoted =
            line.starts_with('#') || line.contains(r"'\''; touch pwned; echo '\''$(touch pwned)`touch pwned`'");
        assert!(is_quoted, "{line}");
    }
    for why in [
        "only a machine loses it",
        "no way between two processes",
        "all processes have this machine's clock",
        "dm-delay",
        "tmpfs",
        "cannot be told a partition",
        "a record a line",
    ] {
        assert!(script.contains("# not done: ") && script.contains(why), "{why} in\n{script}");
    }
    told_to_kafka("evil", &script);
}

/// A process that is stopped before it is quite there takes no other with it: bash ends it with the script's own trap.
#[test]
fn a_script_ends_what_it_is_told_to_end_alone() {
    let script = script(&played("seed 3\nbroker b1\nrun until serving b1\n"));
    let restarts = "files[b2]=${files[b1]}\nfor i in $(seq 300); do start b2; signal -TERM b2; done\n";
    told_to_kafka("alone", &format!("{script}\n{restarts}kill -0 ${{pids[b1]}}\n"));
}

/// A run may be anybody's: what its brokers' settings say of files, listeners and programs is nothing to the reader's machine.
#[test]
fn a_script_keeps_to_its_own_folder() {
    let history = played(
        "seed 3\nbroker b1 log.dirs=/home/mine,/home/yours metadata.log.dir=/home/mine log.retention.ms=1000\nrun until serving b1\nstop b1\n\
         run 1s\nwipe b1\nstart b1\nrun 1s\n",
    );
    let script = script(&history);
    assert!(script.contains("\n# not done: metadata.log.dir=/home/mine of b1: "), "{script}");
    let (_, cluster) = script.split_once("finish' EXIT").unwrap();
    for line in cluster.lines().filter(|it| it.contains("/home/")) {
        assert!(line.starts_with('#'), "{line}");
    }
    let script = format!(
        "{script}\ncat \"${{files[b1]}}.properties\" >\"$KAFKA_HOME/log\"; echo \"$dir\" >>\"$KAFKA_HOME/log\"\n"
    );
    let told = told_to_kafka("folder", &script);
    let dir = told.last().unwrap();
    let dirs: Vec<&str> = told.iter().filter_map(|it| it.strip_prefix("log.dirs=")).collect();
    assert_eq!(dirs, [format!("{dir}/0-b1.data.0,{dir}/0-b1.data.1")], "{told:?}");
    assert!(told.contains(&"log.retention.ms=1000".to_owned()), "{told:?}");
}
