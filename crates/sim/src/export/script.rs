//! A run as a shell script that does the same to a cluster of Apache Kafka on one machine, with Kafka's own tools. What cannot be
//! done to it there is a comment that says why.

use std::fmt::Write;

use protocol::{Str, TopicPartition};

use super::{on_one_line, seconds};
use crate::action::{Action, CreateTopic, Election, Load, Produce};
use crate::history::{ENGINE, History};
use crate::setup::{LISTENER, Setting};
use crate::world::World;

/// The script's own words; what follows are calls of these functions.
const HEAD: &str = include_str!("script.sh");
/// Less than this between two actions, in µs, is no time to a process that starts a JVM.
const SHORTEST_US: u64 = 1_000;

/// The branch that is looked at, up to the moment.
pub fn script(history: &History) -> String {
    let world = history.world();
    let actions = history.run().actions;
    let mut script = Script { world, text: String::new(), at_us: 0, follows: Vec::new() };
    let head = HEAD.replace("ENGINE", ENGINE).replace("SEED", &world.setup().seed.to_string());
    script.text.push_str(&head);
    script.cluster();
    script.at_us = actions.first().map_or(0, |it| it.at.0);
    for stamped in actions.iter().take(world.actions() as usize) {
        script.pass(stamped.at.0);
        script.line(&format!("\n# {} s: {}", seconds(stamped.at.0), on_one_line(&stamped.action.to_string())));
        script.action(&stamped.action);
    }
    script.pass(world.clock().0);
    script.line("\necho \"Done. What the cluster and its clients wrote is in $dir; this ends them.\"");
    script.text
}

struct Script<'a> {
    world: &'a World,
    text: String,
    /// The virtual time of the last line.
    at_us: u64,
    /// Consumers and the topics that they read.
    follows: Vec<(Str, Vec<Str>)>,
}

/// Why an action cannot be done to processes on one machine.
fn why_not(action: &Action) -> Option<&'static str> {
    Some(match action {
        Action::PowerCut(_) | Action::PowerCutTorn(_) => {
            "a process that is killed leaves its page cache; only a machine loses it"
        }
        Action::Cut(..) | Action::CutOneWay(..) | Action::Heal(..) => {
            "on one machine there is no way between two processes that could be cut; with a machine each: iptables -A INPUT -s HOST -j DROP"
        }
        Action::Delay(..) => "with a machine each: tc qdisc add dev DEVICE root netem delay TIME",
        Action::SlowDisk(..) | Action::DiskError(..) | Action::DiskHeal(_) => {
            "a disk that is slow or fails needs a device of its own, such as device-mapper's dm-delay or dm-flakey"
        }
        Action::DiskFull(_) => "a full disk needs a file system of its own, such as a tmpfs of a few MB as log.dirs",
        Action::BitRot(..) => {
            "a broker notices only when it reads the bytes from the platter, and here they are in the page cache"
        }
        Action::SkewClock(..) => "all processes have this machine's clock",
        Action::DropResponse(..) | Action::DropMessage(_) | Action::DeliverMessage(_) | Action::CorruptRequest(..) => {
            "that takes something between client and broker that reads Kafka's protocol"
        }
        Action::WireProduce(_) | Action::WireAsk(_) | Action::InitProducerId(_) | Action::Wire(..) => {
            "no tool of Kafka's sends a request of somebody's own making"
        }
        Action::Poll(..) | Action::Seek(..) | Action::Commit(..) | Action::Slow(..) => {
            "the console consumer polls and commits by itself; that takes a program of one's own"
        }
        _ => return None,
    })
}

impl Script<'_> {
    /// Time passes as in the run; what the tools take besides is on top.
    fn pass(&mut self, at_us: u64) {
        let gap = at_us.saturating_sub(self.at_us);
        if gap >= SHORTEST_US {
            self.line(&format!("sleep {}", seconds(gap)));
        }
        self.at_us = self.at_us.max(at_us);
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A call of one of the script's functions.
    fn call(&mut self, function: &str, arguments: &[&str]) {
        self.text.push_str(function);
        for it in arguments {
            // To a string nothing fails.
            let _ = write!(self.text, " {}", quoted(it));
        }
        self.text.push('\n');
    }

    fn not_done(&mut self, why: &str) {
        self.line(&format!("# not done: {why}"));
    }

    /// A setting that is left out.
    fn not_done_here(&mut self, whose: &str, setting: &Setting) {
        let setting = on_one_line(&property(setting));
        self.not_done(&format!(
            "{setting} of {}: where files, listeners and programs are is this machine's own",
            on_one_line(whose)
        ));
    }

    fn cluster(&mut self) {
        for broker in &self.world.setup().brokers {
            let id = self.id(&broker.name);
            let roles = match (broker.is_broker(), broker.is_controller()) {
                (true, false) => "broker",
                (false, true) => "controller",
                _ => "broker,controller",
            };
            let dirs = broker.settings.iter().rfind(|it| &*it.0 == "log.dirs");
            let dirs = dirs.map_or(1, |it| it.1.split(',').filter(|it| !it.trim().is_empty()).count().max(1));
            let mut arguments = vec![broker.name.to_string(), id, roles.to_owned(), dirs.to_string()];
            for setting in &broker.settings {
                match &*setting.0 {
                    "process.roles" | "node.id" | "log.dirs" => {}
                    key if is_own(key) => self.not_done_here(&broker.name, setting),
                    _ => arguments.push(property(setting)),
                }
            }
            let arguments: Vec<&str> = arguments.iter().map(|it| &**it).collect();
            self.call("node", &arguments);
        }
        if !self.world.setup().voters.is_empty() {
            self.not_done("here the controllers vote and no others ever; in the run the voters are formatted, and can change (KIP-853)");
        }
        self.line("form");
    }

    fn id(&self, broker: &str) -> String {
        self.world.broker_id(broker).0.to_string()
    }

    fn is_node(&self, name: &str) -> bool {
        self.world.setup().brokers.iter().any(|it| &*it.name == name)
    }

    fn action(&mut self, action: &Action) {
        if let Some(why) = why_not(action) {
            return self.not_done(why);
        }
        match action {
            Action::Producer(name, settings) | Action::Consumer(name, settings) => {
                let mut arguments = vec![name.to_string()];
                for setting in settings {
                    if &*setting.0 == LISTENER {
                        self.not_done("Kafka's console consumer commits nothing when partitions are revoked");
                    } else if is_own(&setting.0) {
                        self.not_done_here(name, setting);
                    } else {
                        arguments.push(property(setting));
                    }
                }
                let arguments: Vec<&str> = arguments.iter().map(|it| &**it).collect();
                self.call("client", &arguments);
            }
            Action::CreateTopic(it) => self.create(it),
            Action::AlterTopic(topic, settings) => self.configure("topics", topic, settings),
            Action::AlterBroker(broker, settings) => {
                let id = self.id(broker);
                self.configure("brokers", &id, settings);
            }
            Action::AddPartitions(topic, count) => {
                self.call("tool topics --alter", &["--topic", topic, "--partitions", &count.to_string()]);
            }
            Action::DeleteTopic(topic) => self.call("tool topics --delete", &["--topic", topic]),
            Action::DeleteRecords(it, before) => {
                let json = format!("{{\"partitions\":[{}]}}", place(it, &format!(",\"offset\":{before}")));
                self.call("plan", &[&json]);
                self.line("tool delete-records --offset-json-file \"$dir/plan.json\"");
            }
            Action::Produce(it) => self.produce(it),
            Action::Load(it) => self.load(it),
            Action::Unload(name) => self.call("unload", &[name]),
            Action::Assign(name, partitions) => {
                self.call("stop_client", &[name]);
                for it in partitions {
                    let number = it.partition.to_string();
                    self.call("consume", &[name, "--topic", &it.topic, "--partition", &number]);
                }
            }
            Action::Follow(name, topic) => self.consume(name, vec![topic.clone()]),
            Action::Subscribe(name, topics) => self.consume(name, topics.clone()),
            Action::Close(name) => self.call("stop_client", &[name]),
            Action::Elect(_, election, it) => {
                let kind = match election {
                    Election::Preferred => "preferred",
                    Election::Unclean => "unclean",
                };
                let number = it.partition.to_string();
                self.call(
                    "tool leader-election",
                    &["--election-type", kind, "--topic", &it.topic, "--partition", &number],
                );
            }
            Action::Reassign(_, it, replicas) if replicas.is_empty() => {
                self.call("plan", &[&format!("{{\"version\":1,\"partitions\":[{}]}}", place(it, ",\"replicas\":[]"))]);
                self.line("tool reassign-partitions --cancel --reassignment-json-file \"$dir/plan.json\"");
            }
            Action::Reassign(_, it, replicas) => {
                let ids: Vec<String> = replicas.iter().map(|it| self.id(it)).collect();
                let replicas = format!(",\"replicas\":[{}]", ids.join(","));
                self.call("plan", &[&format!("{{\"version\":1,\"partitions\":[{}]}}", place(it, &replicas))]);
                self.line("tool reassign-partitions --execute --reassignment-json-file \"$dir/plan.json\"");
            }
            Action::Start(name) if self.is_node(name) => self.call("start", &[name]),
            Action::Start(name) => match self.follows.iter().find(|it| it.0 == *name).cloned() {
                Some((name, topics)) => self.consume(&name, topics),
                None => self.line("# Its console producer starts with its next record."),
            },
            Action::Kill(name) => self.call("signal -KILL", &[name]),
            Action::Stop(name) => self.call("signal -TERM", &[name]),
            Action::Pause(name) => self.call("signal -STOP", &[name]),
            Action::Resume(name) => self.call("signal -CONT", &[name]),
            Action::Wipe(name) => self.call("wipe", &[name]),
            // What the simulator learns later is its own until Kafka's tools are taught it here.
            #[allow(unreachable_patterns, reason = "there may be none at the moment")]
            _ => self.not_done("nobody has said here yet how Kafka's tools do that"),
        }
    }

    fn create(&mut self, it: &CreateTopic) {
        let mut arguments = vec!["--topic".to_owned(), it.name.to_string()];
        if it.replicas.is_empty() {
            let brokers = self.world.setup().brokers.iter().filter(|it| it.is_broker()).count();
            let replication = it.new_topic(brokers, Vec::new()).replication_factor.unwrap_or(1);
            arguments.extend(["--partitions".to_owned(), it.partitions.to_string()]);
            arguments.extend(["--replication-factor".to_owned(), replication.to_string()]);
        } else {
            let ids = |of: &Vec<Str>| of.iter().map(|it| self.id(it)).collect::<Vec<_>>().join(":");
            let placed: Vec<String> = it.replicas.iter().map(ids).collect();
            arguments.extend(["--replica-assignment".to_owned(), placed.join(",")]);
        }
        for setting in &it.settings {
            arguments.extend(["--config".to_owned(), property(setting)]);
        }
        let arguments: Vec<&str> = arguments.iter().map(|it| &**it).collect();
        self.call("tool topics --create", &arguments);
    }

    fn configure(&mut self, kind: &str, name: &str, settings: &[Setting]) {
        for setting in settings {
            let (key, value) = setting;
            if is_own(key) {
                self.not_done_here(name, setting);
                continue;
            }
            // In brackets a value may have commas.
            let set = format!("{key}=[{value}]");
            self.call("tool configs --alter", &["--entity-type", kind, "--entity-name", name, "--add-config", &set]);
        }
    }

    fn produce(&mut self, it: &Produce) {
        let plain = |bytes: Option<&bytes::Bytes>| {
            let Some(bytes) = bytes else { return Some("\\null".to_owned()) };
            let text = std::str::from_utf8(bytes).ok()?;
            (!text.contains(['\n', '\r', '\t', '\0'])).then(|| text.to_owned())
        };
        match (it.partition, plain(it.key.as_ref()), plain(it.value.as_ref())) {
            (Some(_), ..) => self.not_done("the console producer cannot be told a partition"),
            (None, Some(key), Some(value)) => self.call("produce", &[&it.client, &it.topic, &key, &value]),
            _ => self.not_done("the console producer takes text, a record a line, its key up to a tab"),
        }
    }

    fn load(&mut self, it: &Load) {
        let count = it.count.map_or("all".to_owned(), |it| it.to_string());
        let (every, keys, size) = (seconds(it.every_us), it.keys.to_string(), it.size.to_string());
        self.call("load", &[&it.client, &it.topic, &every, &keys, &size, &count]);
    }

    fn consume(&mut self, name: &Str, topics: Vec<Str>) {
        match &*topics {
            [topic] => self.call("consume", &[name, "--topic", topic]),
            // The whole names, whatever characters they have.
            topics => {
                let names: Vec<String> = topics.iter().map(|it| format!("\\Q{it}\\E")).collect();
                self.call("consume", &[name, "--include", &names.join("|")]);
            }
        }
        self.follows.retain(|it| it.0 != *name);
        self.follows.push((name.clone(), topics));
    }
}

/// A key that names files, addresses or programs of the machine on which it is read. A run may be anybody's, and the script is run by
/// somebody else: what it formats and wipes is in its own folder, and nobody else is let in.
fn is_own(key: &str) -> bool {
    const KEYS: [&str; 8] = [
        "broker.id",
        "log.dir",
        "log.dirs",
        "metadata.log.dir",
        "controller.quorum.voters",
        "controller.quorum.bootstrap.servers",
        "controller.listener.names",
        "bootstrap.servers",
    ];
    const HEADS: [&str; 9] = [
        "listener",
        "advertised.",
        "early.start.listeners",
        "inter.broker.listener.",
        "control.plane.listener.",
        "ssl.",
        "sasl.",
        "security.",
        "remote.log.",
    ];
    const TAILS: [&str; 6] = [".class", ".classes", ".class.name", ".class.names", ".reporters", ".path"];
    KEYS.contains(&key) || HEADS.iter().any(|it| key.starts_with(it)) || TAILS.iter().any(|it| key.ends_with(it))
}

/// `key=value`
fn property((key, value): &Setting) -> String {
    format!("{key}={value}")
}

/// A partition as Kafka's plans name it, and more of it.
fn place(it: &TopicPartition, more: &str) -> String {
    let topic: String = it.topic.chars().filter(|it| !it.is_control() && !matches!(it, '"' | '\\')).collect();
    format!("{{\"topic\":\"{topic}\",\"partition\":{}{more}}}", it.partition)
}

/// One word to a shell, whatever it holds.
fn quoted(text: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | '/' | ':' | ',' | '=');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", on_one_line(text).replace('\'', r"'\''"))
}
