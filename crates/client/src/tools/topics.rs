//! `kafka-topics.sh`: creates, lists, describes, alters and deletes topics.

use protocol::{ErrorCode, NodeId, Str, Uuid};

use super::args::{Args, Opt, Refusal, Value};
use super::asking::{Asker, Plan, Said, asking};
use super::java::hash_order;
use super::{Host, Made, Tool, config_of, strange};
use crate::admin::{
    AdminAnswer, AdminCall, ConfigEntry, ConfigResource, ConfigSource, EligibleLeaders, NewPartitions, NewTopic,
    Reassignment, ResourceType, TopicDescription, TopicListing,
};
use crate::outbox::{Cause, Failure, PartitionInfo};
use crate::pattern::TopicPattern;

pub(super) const OPTIONS: &[Opt] = &[
    Opt { name: "alter", value: Value::No, about: "Raises the number of partitions." },
    Opt {
        name: "at-min-isr-partitions",
        value: Value::No,
        about: "With --describe: only partitions with exactly min.insync.replicas in sync.",
    },
    Opt {
        name: "bootstrap-server",
        value: Value::Text,
        about: "Required: brokers to connect to, host:port,host:port.",
    },
    Opt { name: "command-config", value: Value::Text, about: "A properties file with settings of the admin client." },
    Opt { name: "config", value: Value::Text, about: "With --create: a topic setting, key=value. May be repeated." },
    Opt { name: "create", value: Value::No, about: "Creates a topic." },
    Opt { name: "delete", value: Value::No, about: "Deletes topics." },
    Opt { name: "delete-config", value: Value::Text, about: "No longer supported." },
    Opt { name: "describe", value: Value::No, about: "Shows partitions, replicas and leaders." },
    Opt { name: "exclude-internal", value: Value::No, about: "Leaves out Kafka's own topics." },
    Opt { name: "if-exists", value: Value::No, about: "A topic that does not exist is no failure." },
    Opt { name: "if-not-exists", value: Value::No, about: "With --create: a topic that exists is no failure." },
    Opt { name: "list", value: Value::No, about: "Lists topics." },
    Opt {
        name: "partition-size-limit-per-response",
        value: Value::Int,
        about: "Partitions in one answer of a description.",
    },
    Opt { name: "partitions", value: Value::Int, about: "The number of partitions." },
    Opt { name: "replica-assignment", value: Value::Text, about: "Replicas of each partition by hand: 1:2,2:3,3:1." },
    Opt { name: "replication-factor", value: Value::Int, about: "Replicas of each partition." },
    Opt { name: "topic", value: Value::Text, about: "The topic; a regular expression unless with --create." },
    Opt { name: "topic-id", value: Value::Text, about: "With --describe: the topic by its id." },
    Opt {
        name: "topics-with-overrides",
        value: Value::No,
        about: "With --describe: only topics with settings of their own.",
    },
    Opt {
        name: "unavailable-partitions",
        value: Value::No,
        about: "With --describe: only partitions without a live leader.",
    },
    Opt {
        name: "under-min-isr-partitions",
        value: Value::No,
        about: "With --describe: only partitions with too few replicas in sync.",
    },
    Opt {
        name: "under-replicated-partitions",
        value: Value::No,
        about: "With --describe: only partitions with replicas out of sync.",
    },
];

const ACTIONS: [&str; 5] = ["create", "list", "alter", "describe", "delete"];
/// Each option, and those with which it makes no sense. Whoever creates a topic by hand, see [`BY_HAND`], comes after the first four.
const EXCLUDED: [(&str, &[&str]); 12] = [
    ("config", &["list", "describe", "delete"]),
    ("partitions", &["list", "describe", "delete"]),
    ("replication-factor", &["list", "alter", "describe", "delete"]),
    ("replica-assignment", &["list", "describe", "delete"]),
    (REPORTS[0], ALONE),
    (REPORTS[1], ALONE),
    (REPORTS[2], ALONE),
    (REPORTS[3], ALONE),
    ("topics-with-overrides", &["create", "list", "alter", "delete", REPORTS[0], REPORTS[1], REPORTS[2], REPORTS[3]]),
    ("if-exists", &["create", "list"]),
    ("if-not-exists", &["list", "alter", "describe", "delete"]),
    ("exclude-internal", &["create", "alter", "delete"]),
];
const ALONE: &[&str] = &["create", "list", "alter", "delete", "topics-with-overrides"];
const BY_HAND: (&str, &[&str]) = ("replica-assignment", &["partitions", "replication-factor"]);
const REPORTS: [&str; 4] =
    ["under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions", "unavailable-partitions"];

/// A run that makes a topic.
struct Create {
    topic: NewTopic,
    if_not_exists: bool,
}

/// A run about topics that there are.
struct Topics {
    action: Action,
    topic: String,
    filter: Option<TopicPattern>,
    exclude_internal: bool,
    if_exists: bool,
}

enum Action {
    List,
    Alter { partitions: i32, assignments: Assignments },
    Describe(Report),
    Delete,
}

/// What of a description is shown.
struct Report {
    topic_id: Option<Uuid>,
    overrides: bool,
    only: Vec<&'static str>,
}

/// A run with these arguments.
pub(super) fn make(args: &[String], host: &mut Host<'_>) -> Result<Made, Refusal> {
    let none_given = args.is_empty();
    let args = Args::parse(OPTIONS, args).map_err(Refusal::stderr)?;
    if none_given {
        return Err(args.misused("Create, delete, describe, or change a topic."));
    }
    args.help_or_version(false, "This tool helps to create, delete, describe, or change a topic.")?;
    check(&args)?;
    let wrong = |why: String| Refusal::stdout(failed(&why));
    let config = host.settings(&args).and_then(|it| config_of(&it)).map_err(wrong)?;
    let topic = args.text("topic").map_err(wrong)?;
    let printed = if args.has("create") && collides(&topic) { COLLISION } else { "" };
    let tool = tool(&args, topic, host).map_err(|why| wrong(why).after(printed))?;
    Ok((tool, config))
}

/// The error is what Kafka's tool says once it runs.
fn tool(args: &Args, topic: String, host: &Host<'_>) -> Result<Box<dyn Tool>, String> {
    if args.has("create") {
        let if_not_exists = args.has("if-not-exists");
        return Ok(asking(Create { topic: new_topic(args, &topic)?, if_not_exists }));
    }
    let action = action(args)?;
    let filter = if args.has("topic") { Some(topic_filter(&topic, host)?) } else { None };
    let exclude_internal = args.has("exclude-internal");
    let if_exists = args.has("if-exists");
    Ok(asking(Topics { action, topic, filter, exclude_internal, if_exists }))
}

fn failed(why: &str) -> String {
    format!("Error while executing topic command : {why}")
}

fn collides(topic: &str) -> bool {
    topic.contains(['.', '_'])
}

impl Plan for Create {
    fn run(&self, asker: &Asker<'_>, said: &mut Said) -> i32 {
        if collides(&self.topic.name) {
            said.out += COLLISION;
        }
        let done = self.create(asker, said);
        ended(done, said)
    }
}

impl Plan for Topics {
    fn run(&self, asker: &Asker<'_>, said: &mut Said) -> i32 {
        let done = self.act(asker, said);
        ended(done, said)
    }
}

/// The exit code.
fn ended(done: Result<(), Failure>, said: &mut Said) -> i32 {
    match done {
        Ok(()) => 0,
        Err(failure) => {
            said.line(&failed(&failure.message));
            1
        }
    }
}

impl Create {
    fn create(&self, asker: &Asker<'_>, said: &mut Said) -> Result<(), Failure> {
        let question = AdminCall::CreateTopics { topics: vec![self.topic.clone()], validate_only: false };
        let AdminAnswer::TopicsCreated(created) = asker.ask(question)? else { return Err(strange("createTopics")) };
        for (name, result) in created {
            match result {
                Err(it) if self.if_not_exists && it.code() == Some(ErrorCode::TopicAlreadyExists) => {}
                Err(failure) => return Err(failure.clone()),
                Ok(_) => said.line(&format!("Created topic {name}.")),
            }
        }
        Ok(())
    }
}

impl Topics {
    fn act(&self, asker: &Asker<'_>, said: &mut Said) -> Result<(), Failure> {
        let chosen = self.chosen(asker)?;
        match &self.action {
            Action::List => {
                // Where there are none that is a line, too.
                said.line(chosen.first().map_or("", |it| it));
                chosen.iter().skip(1).for_each(|it| said.line(it));
                Ok(())
            }
            _ if chosen.is_empty() => self.none(),
            Action::Alter { partitions, assignments } => alter(chosen, *partitions, assignments, asker),
            Action::Describe(report) => report.describe(chosen, asker, said),
            Action::Delete => match asker.ask(AdminCall::DeleteTopics { topics: chosen })? {
                AdminAnswer::TopicsDeleted(results) => done(results),
                _ => Err(strange("deleteTopics")),
            },
        }
    }

    fn topic_id(&self) -> Option<Uuid> {
        if let Action::Describe(report) = &self.action { report.topic_id } else { None }
    }

    /// The topics that are meant, of those that there are.
    fn chosen(&self, asker: &Asker<'_>) -> Result<Vec<Str>, Failure> {
        let question = AdminCall::ListTopics { list_internal: !self.exclude_internal };
        let AdminAnswer::Topics(listings) = asker.ask(question)? else { return Err(strange("listTopics")) };
        let is_meant = |it: &&TopicListing| match self.topic_id() {
            _ if self.exclude_internal && it.internal => false,
            Some(id) => it.topic_id == id,
            None => self.filter.as_ref().is_none_or(|filter| filter.matches(&it.name)),
        };
        Ok(listings.iter().filter(is_meant).map(|it| it.name.clone()).collect())
    }

    /// There is no topic that is meant, which may be a failure.
    fn none(&self) -> Result<(), Failure> {
        let what = match self.topic_id() {
            _ if self.if_exists => return Ok(()),
            Some(id) => format!("TopicId '{id}'"),
            None if self.topic.is_empty() => return Ok(()),
            None => format!("Topic '{}'", self.topic),
        };
        Err(Failure::new(Cause::Illegal, what + " does not exist as expected"))
    }
}

/// Raises the numbers of partitions. An assignment by hand names all partitions; those that exist are skipped.
fn alter(topics: Vec<Str>, partitions: i32, assignments: &Assignments, asker: &Asker<'_>) -> Result<(), Failure> {
    let existing: Vec<usize> = if assignments.is_empty() {
        vec![0; topics.len()]
    } else {
        described(topics.clone(), asker)?.iter().map(|it| it.partitions.len()).collect()
    };
    let topics = topics.into_iter().zip(existing).map(|(topic, existing)| NewPartitions {
        topic,
        total_count: partitions,
        assignments: (!assignments.is_empty())
            .then(|| assignments.iter().skip(existing).map(|(_, replicas)| replicas.clone()).collect()),
    });
    match asker.ask(AdminCall::CreatePartitions { topics: topics.collect(), validate_only: false })? {
        AdminAnswer::PartitionsCreated(results) => done(results),
        _ => Err(strange("createPartitions")),
    }
}

fn described<'a>(topics: Vec<Str>, asker: &Asker<'a>) -> Result<Vec<&'a TopicDescription>, Failure> {
    match asker.ask(AdminCall::DescribeTopics { topics })? {
        AdminAnswer::TopicsDescribed(described) => whole(described),
        _ => Err(strange("describeTopics")),
    }
}

/// All of them, or why one is not there.
fn whole<K, T>(items: &[(K, Result<T, Failure>)]) -> Result<Vec<&T>, Failure> {
    let mut all = Vec::new();
    for (_, it) in items {
        all.push(it.as_ref().map_err(Failure::clone)?);
    }
    Ok(all)
}

fn done(results: &[(Str, Result<(), Failure>)]) -> Result<(), Failure> {
    results.iter().try_for_each(|it| it.1.clone())
}

impl Report {
    fn describe(&self, topics: Vec<Str>, asker: &Asker<'_>, said: &mut Said) -> Result<(), Failure> {
        // Kafka's tool keeps the descriptions in a map, and that in another.
        let count = topics.len();
        let names = topics.iter().map(Str::to_string).collect();
        let names = hash_order(hash_order(names, count), count);
        let topics = described(names.into_iter().map(Str::from).collect(), asker)?;
        let resources =
            topics.iter().map(|it| ConfigResource { kind: ResourceType::Topic, name: it.name.clone() }).collect();
        let question = AdminCall::DescribeConfigs { resources, include_synonyms: false, include_documentation: false };
        let AdminAnswer::Configs(configs) = asker.ask(question)? else { return Err(strange("describeConfigs")) };
        let configs = whole(configs)?;
        let question = AdminCall::DescribeCluster { include_fenced_brokers: false };
        let AdminAnswer::Cluster(cluster) = asker.ask(question)? else { return Err(strange("listNodes")) };
        let live: Vec<NodeId> = cluster.brokers.iter().map(|it| it.node).collect();
        let moves: &[Reassignment] = match asker.ask(AdminCall::ListPartitionReassignments) {
            Ok(AdminAnswer::Reassignments(moves)) => moves,
            // Brokers that do not move partitions yet cannot list the moves.
            Err(failure) if unsupported(&failure) => &[],
            Err(failure) => return Err(failure),
            Ok(_) => return Err(strange("listPartitionReassignments")),
        };
        for (topic, config) in topics.into_iter().zip(configs) {
            self.tell(topic, config, &live, moves, said);
        }
        Ok(())
    }

    fn tell(
        &self,
        topic: &TopicDescription,
        config: &[ConfigEntry],
        live: &[NodeId],
        moves: &[Reassignment],
        said: &mut Said,
    ) {
        let moving = |partition: i32| {
            moves.iter().find(|it| it.partition.partition == partition && it.partition.topic == topic.name)
        };
        let has_own = config.iter().any(|it| it.source != ConfigSource::Default);
        if self.only.is_empty() && (!self.overrides || has_own) {
            let factor = topic.partitions.first().map_or(0, |it| replication_factor(it, moving(it.partition)));
            said.line(&format!(
                "Topic: {}{}\tPartitionCount: {}\tReplicationFactor: {factor}\tConfigs: {}",
                topic.name,
                if topic.topic_id.is_zero() { String::new() } else { format!("\tTopicId: {}", topic.topic_id) },
                topic.partitions.len(),
                settings(config)
            ));
        }
        if self.overrides {
            return;
        }
        let min_isr =
            config.iter().find(|it| it.name == "min.insync.replicas").and_then(|it| it.value.as_ref()?.parse().ok());
        for (partition, eligible) in topic.partitions.iter().zip(&topic.eligible) {
            let moving = moving(partition.partition);
            if self.shows(partition, moving, min_isr.unwrap_or(1), live) {
                said.line(&partition_line(&topic.name, partition, moving, eligible));
            }
        }
    }

    fn shows(&self, partition: &PartitionInfo, moving: Option<&Reassignment>, min_isr: usize, live: &[NodeId]) -> bool {
        let in_sync = partition.isr.len();
        self.only.is_empty()
            || self.only.iter().any(|it| match *it {
                "under-replicated-partitions" => replication_factor(partition, moving) > in_sync,
                "unavailable-partitions" => partition.leader.is_none_or(|leader| !live.contains(&leader)),
                "under-min-isr-partitions" => partition.leader.is_none() || in_sync < min_isr,
                _ => in_sync == min_isr,
            })
    }
}

const COLLISION: &str = "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could \
                         collide. To avoid issues it is best to use either, but not both.\n";

/// What Kafka's tool checks before it connects.
fn check(args: &Args) -> Result<(), Refusal> {
    if ACTIONS.iter().filter(|it| args.has(it)).count() != 1 {
        let why = "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
        return Err(args.misused(why));
    }
    if !args.has("bootstrap-server") {
        return Err(Refusal::stderr("--bootstrap-server must be specified"));
    }
    if args.has("describe") && args.has("if-exists") && !args.has("topic") && !args.has("topic-id") {
        return Err(args.misused("--topic or --topic-id is required to describe a topic"));
    }
    if !args.has("list") && !args.has("describe") {
        args.require("topic")?;
    }
    if args.has("alter") {
        if args.has("config") {
            return Err(args.misused(
                "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To alter \
                 topic configurations, the kafka-configs tool can be used.)",
            ));
        }
        args.require("partitions")?;
    }
    let (first, rest) = EXCLUDED.split_at(4);
    let by_hand = Some(&BY_HAND).filter(|_| args.has("create"));
    first.iter().chain(by_hand).chain(rest).try_for_each(|(used, invalid)| args.exclude(used, invalid))
}

/// What to do; the error is what Kafka's tool says once it runs.
fn action(args: &Args) -> Result<Action, String> {
    if args.has("list") {
        return Ok(Action::List);
    }
    if args.has("delete") {
        return Ok(Action::Delete);
    }
    if args.has("describe") {
        let topic_id = match args.value("topic-id")? {
            Some(id) => Some(id.parse::<Uuid>().map_err(|_| format!("Input string `{id}` decoded as {} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID", id.len() * 3 / 4))?),
            None => None,
        };
        let only = REPORTS.into_iter().filter(|it| args.has(it)).collect();
        let topic_id = topic_id.filter(|it| !it.is_zero());
        return Ok(Action::Describe(Report { topic_id, overrides: args.has("topics-with-overrides"), only }));
    }
    let partitions = args.int("partitions")?.unwrap_or_default();
    Ok(Action::Alter { partitions, assignments: replica_assignment(args)? })
}

/// The topic to make; the error is what Kafka's tool says once it runs.
fn new_topic(args: &Args, name: &str) -> Result<NewTopic, String> {
    let num_partitions = args.int("partitions")?;
    let replication_factor = args.int("replication-factor")?;
    let assignments = replica_assignment(args)?;
    let configs = topic_configs(&args.values("config"))?;
    let replication_factor = match replication_factor {
        Some(factor) => match i16::try_from(factor) {
            Ok(factor) if factor >= 1 => Some(factor),
            _ => return Err("The replication factor must be between 1 and 32767 inclusive".to_owned()),
        },
        None => None,
    };
    if num_partitions.is_some_and(|it| it < 1) {
        return Err("The partitions must be greater than 0".to_owned());
    }
    Ok(NewTopic { name: name.into(), num_partitions, replication_factor, assignments, configs })
}

fn topic_configs(given: &[&str]) -> Result<Vec<(Str, Str)>, String> {
    let mut configs = Vec::new();
    for it in given {
        match it.split_once('=') {
            Some((key, value)) if !value.is_empty() && !value.contains('=') => {
                configs.push((Str::from(key.trim()), Str::from(value.trim())));
            }
            _ => {
                let why = "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".";
                return Err(why.to_owned());
            }
        }
    }
    Ok(configs)
}

/// Replicas by partition.
type Assignments = Vec<(i32, Vec<NodeId>)>;

/// `1:2,2:3`: the replicas of partition 0, of partition 1, and so on.
fn replica_assignment(args: &Args) -> Result<Assignments, String> {
    let mut assignments: Assignments = Vec::new();
    let Some(list) = args.value("replica-assignment")?.filter(|it| !it.is_empty()) else { return Ok(assignments) };
    for (index, replicas) in (0..).zip(list.split(',')) {
        let mut nodes: Vec<NodeId> = Vec::new();
        let mut twice: Vec<NodeId> = Vec::new();
        for id in replicas.split(':') {
            let id = id.trim();
            let node = NodeId(id.parse().map_err(|_| format!("For input string: \"{id}\""))?);
            if nodes.contains(&node) && !twice.contains(&node) {
                twice.push(node);
            }
            nodes.push(node);
        }
        if !twice.is_empty() {
            ordered::sort(&mut twice);
            return Err(format!("Partition replica lists may not contain duplicate entries: {}", listed(&twice, ",")));
        }
        if assignments.first().is_some_and(|(_, first)| first.len() != nodes.len()) {
            let nodes = listed(&nodes, ", ");
            return Err(format!("Partition {index} has different replication factor: [{nodes}]"));
        }
        assignments.push((index, nodes));
    }
    Ok(assignments)
}

fn listed(nodes: &[NodeId], between: &str) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(between)
}

/// The regular expression of `--topic`: commas are alternatives, quotes around it and blanks in it are dropped.
fn topic_filter(raw: &str, host: &Host<'_>) -> Result<TopicPattern, String> {
    let pattern = raw.trim().replace(',', "|").replace(' ', "");
    let pattern = pattern.trim_matches(['"', '\'']);
    (host.pattern)(pattern).map_err(|_| format!("{raw} is an invalid regex."))
}

fn unsupported(failure: &Failure) -> bool {
    matches!(failure.cause, Cause::UnsupportedVersion)
        || matches!(failure.code(), Some(ErrorCode::UnsupportedVersion | ErrorCode::ClusterAuthorizationFailed))
}

/// A move counts only while replicas still come or go; then those that come are not counted.
fn replication_factor(partition: &PartitionInfo, moving: Option<&Reassignment>) -> usize {
    let changing = |it: &&Reassignment| {
        partition.replicas.iter().any(|node| it.adding.contains(node) || it.removing.contains(node))
    };
    moving.filter(changing).map_or(partition.replicas.len(), |it| it.replicas.len() - it.adding.len())
}

/// Settings that are not defaults, as Kafka's tool joins them.
fn settings(config: &[ConfigEntry]) -> String {
    let mut text = String::new();
    for name in hash_order(config.iter().map(|it| it.name.to_string()).collect(), config.len()) {
        for it in config.iter().filter(|it| *it.name == *name && it.source != ConfigSource::Default) {
            let between = if text.is_empty() { "" } else { "," };
            text += &format!("{between}{name}={}", it.value.as_deref().unwrap_or("null"));
        }
    }
    text
}

fn partition_line(
    topic: &Str,
    partition: &PartitionInfo,
    moving: Option<&Reassignment>,
    eligible: &EligibleLeaders,
) -> String {
    let list = |nodes: &[NodeId]| listed(nodes, ",");
    let leader = partition.leader.map_or("none".to_owned(), |it| it.to_string());
    let mut line = format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
        partition.partition,
        list(&partition.replicas),
        list(&partition.isr)
    );
    if let Some(moving) = moving {
        line += &format!("\tAdding Replicas: {}\tRemoving Replicas: {}", list(&moving.adding), list(&moving.removing));
    }
    let maybe = |nodes: &Option<Vec<NodeId>>| nodes.as_deref().map_or("N/A".to_owned(), list);
    line + &format!("\tElr: {}\tLastKnownElr: {}", maybe(&eligible.elr), maybe(&eligible.last_known))
}
