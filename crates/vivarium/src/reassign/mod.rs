//! `vivarium reassign-partitions`: kafka-reassign-partitions.sh, with its flags and its output.

mod cluster;
mod execute;
mod plan;
mod throttle;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::ExitCode;

use client::ClientConfig;
use node::controller::Usable;
use protocol::{NodeId, Random, Str, TopicPartition};

use crate::metadata_quorum::admin::Admin;
use crate::metadata_quorum::properties;
use cluster::{Cluster, Ongoing};
use plan::{Assignment, Plan, joined};

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const LOG_DIRS_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// Kafka's tool that moves partitions between brokers and directories.
#[derive(clap::Args)]
pub(crate) struct ReassignArguments {
    /// Say how far the reassignment of the file is; when it is done, remove its throttles
    #[arg(long)]
    verify: bool,
    /// Propose a reassignment, and do nothing
    #[arg(long)]
    generate: bool,
    /// Begin the reassignment of the file
    #[arg(long)]
    execute: bool,
    /// End the reassignments of the file where they are
    #[arg(long)]
    cancel: bool,
    /// List what is being reassigned
    #[arg(long)]
    list: bool,
    /// Brokers to connect to, host:port,host:port
    #[arg(long, value_name = "Server(s) to use for bootstrapping")]
    bootstrap_server: Option<String>,
    /// With --cancel and --list: controllers to connect to
    #[arg(long, value_name = "bootstrap controller to connect to")]
    bootstrap_controller: Option<String>,
    /// A properties file with settings of the admin client
    #[arg(long, value_name = "Admin client property file")]
    command_config: Option<String>,
    /// {"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any","/d"]}]}; log_dirs may be left out
    #[arg(long, value_name = "manual assignment json file path")]
    reassignment_json_file: Option<String>,
    /// With --generate: {"version":1,"topics":[{"topic":"t"}]}
    #[arg(long, value_name = "topics to reassign json file path")]
    topics_to_move_json_file: Option<String>,
    /// With --generate: the brokers that get the partitions, 1,2,3
    #[arg(long, value_name = "brokerlist")]
    broker_list: Option<String>,
    /// With --generate: do not look at racks
    #[arg(long)]
    disable_rack_aware: bool,
    /// With --execute: so many bytes a second between brokers
    #[arg(long, value_name = "throttle", allow_negative_numbers = true)]
    throttle: Option<i64>,
    /// With --execute: so many bytes a second between directories of a broker
    #[arg(long, value_name = "replicaAlterLogDirsThrottle", allow_negative_numbers = true)]
    replica_alter_log_dirs_throttle: Option<i64>,
    /// How many milliseconds to wait until replicas begin to move to their directories [default: 10000]
    #[arg(long, value_name = "timeout", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// With --execute: beside what is being reassigned, or in its place for the same partitions
    #[arg(long)]
    additional: bool,
    /// Leave throttles as they are
    #[arg(long)]
    preserve_throttles: bool,
    /// With --execute: refuse to make replicas more or fewer
    #[arg(long)]
    disallow_replication_factor_change: bool,
}

/// Why the tool ends without success.
#[derive(Debug, PartialEq)]
enum Wrong {
    /// It was called in a way it cannot be.
    Usage(String),
    /// The cluster would not, or not in time.
    Terse(String),
    Other(String),
}

impl From<String> for Wrong {
    fn from(what: String) -> Wrong {
        Wrong::Other(what)
    }
}

/// What the tool is to do, with what it needs.
#[derive(Debug, PartialEq)]
enum Action<'a> {
    Verify { file: &'a str },
    Generate { topics: &'a str, brokers: &'a str },
    Execute { file: &'a str },
    Cancel { file: &'a str },
    List,
}

pub(crate) fn run(arguments: &ReassignArguments) -> ExitCode {
    // Where nobody listens, the exit code still tells.
    let _ = match act(arguments) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Wrong::Usage(what)) => {
            writeln!(std::io::stderr(), "{what}").map_err(|error| Wrong::Other(error.to_string()))
        }
        // Like Kafka's tool, which says on its output what went wrong.
        Err(Wrong::Terse(what)) => say(&what),
        Err(Wrong::Other(what)) => say(&format!("Error: {what}")),
    };
    ExitCode::FAILURE
}

fn act(arguments: &ReassignArguments) -> Result<(), Wrong> {
    let action = check(arguments)?;
    let cluster = cluster_of(arguments)?;
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path} ({error})"));
    match action {
        Action::Verify { file } => verify::verify(&cluster, &Plan::parse(&read(file)?)?, arguments.preserve_throttles),
        Action::Generate { topics, brokers } => {
            generate(&cluster, &read(topics)?, brokers, !arguments.disable_rack_aware)
        }
        Action::Execute { file } => execute::execute(&cluster, &Plan::parse(&read(file)?)?, arguments),
        Action::Cancel { file } => execute::cancel(&cluster, &Plan::parse(&read(file)?)?, arguments),
        Action::List => say(&list(&cluster.ongoing(None)?)),
    }
}

/// What Kafka's tool demands of its options, in its words.
fn check(arguments: &ReassignArguments) -> Result<Action<'_>, Wrong> {
    let usage = |what: String| Err(Wrong::Usage(what));
    let actions = [
        ("generate", arguments.generate),
        ("execute", arguments.execute),
        ("verify", arguments.verify),
        ("cancel", arguments.cancel),
        ("list", arguments.list),
    ];
    let [(name, _)] = actions.iter().filter(|(_, given)| *given).collect::<Vec<_>>()[..] else {
        let names = actions.map(|(name, _)| format!("--{name}")).join(", ");
        return usage(format!("Command must include exactly one action: {names}"));
    };
    match (&arguments.bootstrap_server, &arguments.bootstrap_controller) {
        (Some(_), Some(_)) => {
            return usage("Please don't specify both --bootstrap-server and --bootstrap-controller".to_owned());
        }
        (None, None) => return usage("Please specify either --bootstrap-server or --bootstrap-controller".to_owned()),
        _ => {}
    }
    let file = arguments.reassignment_json_file.as_deref();
    let missing = |option: &str| Wrong::Usage(format!("Missing required argument \"[{option}]\""));
    let plan = || file.ok_or_else(|| missing("reassignment-json-file"));
    let (action, permitted): (Action<'_>, &[&str]) = match *name {
        "verify" => (Action::Verify { file: plan()? }, &["reassignment-json-file", "preserve-throttles"]),
        "generate" => {
            let topics = arguments.topics_to_move_json_file.as_deref();
            let topics = topics.ok_or_else(|| missing("topics-to-move-json-file"))?;
            let brokers = arguments.broker_list.as_deref().ok_or_else(|| missing("broker-list"))?;
            let permitted = &["topics-to-move-json-file", "broker-list", "disable-rack-aware"];
            (Action::Generate { topics, brokers }, permitted)
        }
        "execute" => (
            Action::Execute { file: plan()? },
            &[
                "reassignment-json-file",
                "additional",
                "throttle",
                "replica-alter-log-dirs-throttle",
                "timeout",
                "disallow-replication-factor-change",
            ],
        ),
        "cancel" => (
            Action::Cancel { file: plan()? },
            &["reassignment-json-file", "bootstrap-controller", "preserve-throttles", "timeout"],
        ),
        _ => (Action::List, &["bootstrap-controller"]),
    };
    let given = [
        ("bootstrap-controller", arguments.bootstrap_controller.is_some()),
        ("reassignment-json-file", file.is_some()),
        ("topics-to-move-json-file", arguments.topics_to_move_json_file.is_some()),
        ("broker-list", arguments.broker_list.is_some()),
        ("disable-rack-aware", arguments.disable_rack_aware),
        ("throttle", arguments.throttle.is_some()),
        ("replica-alter-log-dirs-throttle", arguments.replica_alter_log_dirs_throttle.is_some()),
        ("timeout", arguments.timeout.is_some()),
        ("additional", arguments.additional),
        ("preserve-throttles", arguments.preserve_throttles),
        ("disallow-replication-factor-change", arguments.disallow_replication_factor_change),
    ];
    match given.iter().find(|(option, given)| *given && !permitted.contains(option)) {
        Some((option, _)) => usage(format!("Option \"[{option}]\" can't be used with action \"[{name}]\"")),
        None => Ok(action),
    }
}

fn cluster_of(arguments: &ReassignArguments) -> Result<Cluster, String> {
    let mut config = ClientConfig::default();
    let mut set = |key: &str, value: &str| config.set(key, value).map_err(|error| error.0);
    set("client.id", "reassign-partitions-tool")?;
    for (key, value) in arguments.command_config.as_deref().map(properties).transpose()?.iter().flatten() {
        set(key, value)?;
    }
    let servers = arguments.bootstrap_controller.as_deref().or(arguments.bootstrap_server.as_deref());
    set("bootstrap.servers", servers.unwrap_or_default())?;
    let timeout_ms = i32::try_from(config.request_timeout_ms).unwrap_or(i32::MAX);
    Ok(Cluster::new(Admin::new(config, arguments.bootstrap_controller.is_some()), timeout_ms))
}

fn list(ongoing: &BTreeMap<TopicPartition, Ongoing>) -> String {
    if ongoing.is_empty() {
        return "No partition reassignments found.".to_owned();
    }
    let mut lines = vec!["Current partition reassignments:".to_owned()];
    for (partition, it) in ongoing {
        let some = |what: &str, replicas: &[i32]| match replicas {
            [] => String::new(),
            replicas => format!(" {what}: {}.", joined(replicas, ",")),
        };
        let (adding, removing) = (some("adding", &it.adding), some("removing", &it.removing));
        lines.push(format!("{partition}: replicas: {}.{adding}{removing}", joined(&it.replicas, ",")));
    }
    lines.join("\n")
}

/// Says where the partitions of topics are, and where they could be on these brokers.
fn generate(cluster: &Cluster, file: &str, brokers: &str, look_at_racks: bool) -> Result<(), Wrong> {
    let brokers = plan::brokers(brokers)?;
    let topics = plan::topics(file)?;
    let current = cluster.assignment(&topics.into_iter().collect())?;
    let directories = cluster.directories(&current)?;
    let mut usable: Vec<Usable> = Vec::new();
    for node in cluster.nodes()?.into_iter().filter(|node| brokers.contains(&node.broker_id)) {
        let rack = node.rack.filter(|_| look_at_racks);
        usable.push(Usable { id: NodeId(node.broker_id), rack, is_fenced: false });
    }
    let without_rack = usable.iter().filter(|broker| broker.rack.is_none()).count();
    if look_at_racks && without_rack != 0 && without_rack != usable.len() {
        let what = "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica \
                    assignment without rack information.";
        return Err(Wrong::Other(what.to_owned()));
    }
    let mut random = Random::new(getrandom::u64().map_err(|error| error.to_string())?);
    let proposed = propose(&current, &usable, &mut random)?;
    say(&format!("Current partition replica assignment\n{}\n", plan::json(&current, &directories)))?;
    let proposed = plan::json(&proposed, &BTreeMap::new());
    say(&format!("Proposed partition reassignment configuration\n{proposed}"))
}

/// As many partitions with as many replicas as each topic has, placed as a new topic's would be.
fn propose(current: &Assignment, usable: &[Usable], random: &mut Random) -> Result<Assignment, String> {
    let mut proposed = Assignment::new();
    let topics: BTreeSet<&Str> = current.keys().map(|partition| &partition.topic).collect();
    for topic in topics {
        let of_topic: Vec<&Vec<i32>> =
            current.iter().filter(|(partition, _)| partition.topic == *topic).map(|(_, replicas)| replicas).collect();
        let factor = of_topic.first().map_or(0, |replicas| replicas.len());
        let factor = i16::try_from(factor).map_err(|_| format!("{topic} has {factor} replicas"))?;
        let placed = node::controller::place_over(usable, of_topic.len(), factor, random)?;
        for (number, replicas) in (0..).zip(placed) {
            let partition = TopicPartition { topic: topic.clone(), partition: number };
            proposed.insert(partition, replicas.into_iter().map(|broker| broker.0).collect());
        }
    }
    Ok(proposed)
}

/// Removes every throttle that there is on the brokers and on the topics: nobody knows any more which of them were set for this.
fn clear_throttles(cluster: &Cluster, targets: &Assignment) -> Result<(), Wrong> {
    let mut brokers = cluster.node_ids()?;
    brokers.extend(targets.values().flatten());
    let topics: BTreeSet<Str> = targets.keys().map(|partition| partition.topic.clone()).collect();
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let names: Vec<&i32> = brokers.iter().collect();
    say(&format!("Clearing broker-level throttles on broker{} {}", s(brokers.len()), joined(&names, ",")))?;
    let rates = [LEADER_RATE, FOLLOWER_RATE, LOG_DIRS_RATE].map(|key| (key, None));
    cluster.configure_brokers(&brokers, &rates)?;
    let names: Vec<&Str> = topics.iter().collect();
    say(&format!("Clearing topic-level throttles on topic{} {}", s(topics.len()), joined(&names, ",")))?;
    let replicas = [LEADER_REPLICAS, FOLLOWER_REPLICAS].map(|key| (key, None)).to_vec();
    let cleared = topics.into_iter().map(|topic| (topic, replicas.clone())).collect();
    Ok(cluster.configure_topics(cleared)?)
}

/// A line on the output, at once: what follows may take its time or never end.
fn say(line: &str) -> Result<(), Wrong> {
    write(&format!("{line}\n"))
}

fn write(text: &str) -> Result<(), Wrong> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Wrong::Other(error.to_string()))
}

#[cfg(test)]
mod tests;
