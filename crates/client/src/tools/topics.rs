//! `kafka-topics.sh`: creates, lists, describes, alters and deletes topics.

use ordered::Set;

use protocol::{ErrorCode, NodeId, Str, TopicPartition, Uuid};
use regex_lite::Regex;

use super::args::{Args, Opt, Refusal, Value};
use super::java::hash_order;
use super::{Io, ReadFile, config_of, failure, properties};
use crate::admin::{
    AdminAnswer, AdminCall, ConfigEntry, ConfigResource, ConfigSource, EligibleLeaders, NewPartitions, NewTopic,
    Reassignment, ResourceType, TopicDescription, TopicListing,
};
use crate::config::ClientConfig;
use crate::input::Operation;
use crate::outbox::{Answer, Cause, Failure, Outcome, PartitionInfo};

const OPTIONS: &[Opt] = &[
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
const REPORTS: [&str; 4] =
    ["under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions", "unavailable-partitions"];

/// A run of the tool.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    action: Action,
    topic: Option<String>,
    filter: Option<Regex>,
    exclude_internal: bool,
    if_exists: bool,
    step: Step,
}

#[derive(Clone, Debug)]
enum Action {
    Create { topic: NewTopic, if_not_exists: bool },
    List,
    Alter { partitions: i32, assignments: Vec<(i32, Vec<NodeId>)> },
    Describe(Report),
    Delete,
}

/// What of a description is shown.
#[derive(Clone, Debug)]
struct Report {
    topic_id: Option<Uuid>,
    overrides: bool,
    only: Vec<&'static str>,
}

/// What the answer that comes next is about.
#[derive(Clone, Debug)]
enum Step {
    Begin,
    Create,
    List,
    AlterDescribe,
    Alter,
    Delete,
    Describe,
    Configs(Vec<TopicDescription>),
    Cluster(Vec<TopicDescription>, Vec<Vec<ConfigEntry>>),
    Reassignments(Vec<TopicDescription>, Vec<Vec<ConfigEntry>>, Set<NodeId>),
}

impl Topics {
    pub(super) fn parse(args: &[String], files: &mut ReadFile<'_>) -> Result<(Topics, ClientConfig), Refusal> {
        let none_given = args.is_empty();
        let args = Args::parse(OPTIONS, args).map_err(Refusal::stderr)?;
        if none_given {
            return Err(args.misused("Create, delete, describe, or change a topic."));
        }
        args.help_or_version(false, "This tool helps to create, delete, describe, or change a topic.")?;
        check(&args)?;
        let wrong = |why: String| Refusal::stdout(format!("Error while executing topic command : {why}"));
        let mut settings = Vec::new();
        if let Some(file) = args.value("command-config").map_err(wrong)? {
            settings = properties::parse(&files(file).map_err(wrong)?);
        }
        let servers = args.value("bootstrap-server").map_err(wrong)?.unwrap_or_default();
        settings.push(("bootstrap.servers".to_owned(), servers.to_owned()));
        let config = config_of(&settings).map_err(wrong)?;
        let topic = args.value("topic").map_err(wrong)?.map(str::to_owned);
        let collides = args.has("create") && topic.as_ref().is_some_and(|it| it.contains(['.', '_']));
        let printed = if collides { COLLISION } else { "" };
        let action = action(&args).map_err(|why| wrong(why).after(printed))?;
        let filter = match (&action, &topic) {
            (Action::Create { .. }, _) | (_, None) => None,
            (_, Some(topic)) => Some(topic_filter(topic).map_err(wrong)?),
        };
        let exclude_internal = args.has("exclude-internal");
        let if_exists = args.has("if-exists");
        Ok((Topics { action, topic, filter, exclude_internal, if_exists, step: Step::Begin }, config))
    }

    pub(super) fn begin(&mut self, io: &mut Io<'_>) {
        match &self.action {
            Action::Create { topic, .. } => {
                if topic.name.contains(['.', '_']) {
                    io.stdout.extend_from_slice(COLLISION.as_bytes());
                }
                let call = AdminCall::CreateTopics { topics: vec![topic.clone()], validate_only: false };
                self.ask(Step::Create, call, io);
            }
            Action::List | Action::Alter { .. } | Action::Describe(_) | Action::Delete => {
                self.ask(Step::List, AdminCall::ListTopics { list_internal: !self.exclude_internal }, io);
            }
        }
    }

    fn ask(&mut self, step: Step, call: AdminCall, io: &mut Io<'_>) {
        self.step = step;
        io.start(Operation::Admin(call));
    }

    pub(super) fn outcome(&mut self, outcome: Outcome, io: &mut Io<'_>) {
        let answer = match outcome {
            Outcome::Ok(Answer::Admin(answer)) => Ok(answer),
            other => Err(failure(other)),
        };
        if let Err(failure) = self.step(answer, io) {
            fail(&failure.message, io);
        }
    }

    /// Goes on with the answer to the last question. A failure ends the run.
    fn step(&mut self, answer: Result<AdminAnswer, Failure>, io: &mut Io<'_>) -> Result<(), Failure> {
        match (std::mem::replace(&mut self.step, Step::Begin), answer) {
            // Brokers that do not move partitions yet cannot list the moves.
            (Step::Reassignments(topics, configs, live), Err(failure)) if unsupported(&failure) => {
                self.print_description(&topics, &configs, &live, &[], io);
                io.exit = Some(0);
            }
            (_, Err(failure)) => return Err(failure),
            (Step::Create, Ok(AdminAnswer::TopicsCreated(created))) => self.created(created.into_iter().next(), io)?,
            (Step::List, Ok(AdminAnswer::Topics(listings))) => self.listed(&listings, io)?,
            (Step::AlterDescribe, Ok(AdminAnswer::TopicsDescribed(described))) => {
                let described = described.into_iter().map(|(_, it)| it).collect::<Result<Vec<_>, _>>()?;
                self.alter(described.iter().map(|it| (it.name.clone(), it.partitions.len())).collect(), io);
            }
            (Step::Alter, Ok(AdminAnswer::PartitionsCreated(results))) => done(results, io)?,
            (Step::Delete, Ok(AdminAnswer::TopicsDeleted(results))) => done(results, io)?,
            (Step::Describe, Ok(AdminAnswer::TopicsDescribed(described))) => {
                let topics = described.into_iter().map(|(_, it)| it).collect::<Result<Vec<_>, _>>()?;
                let resources = topics
                    .iter()
                    .map(|it| ConfigResource { kind: ResourceType::Topic, name: it.name.clone() })
                    .collect();
                let call =
                    AdminCall::DescribeConfigs { resources, include_synonyms: false, include_documentation: false };
                self.ask(Step::Configs(topics), call, io);
            }
            (Step::Configs(topics), Ok(AdminAnswer::Configs(configs))) => {
                let configs = configs.into_iter().map(|(_, it)| it).collect::<Result<Vec<_>, _>>()?;
                self.ask(
                    Step::Cluster(topics, configs),
                    AdminCall::DescribeCluster { include_fenced_brokers: false },
                    io,
                );
            }
            (Step::Cluster(topics, configs), Ok(AdminAnswer::Cluster(cluster))) => {
                let live = cluster.brokers.iter().map(|it| it.node).collect();
                self.ask(Step::Reassignments(topics, configs, live), AdminCall::ListPartitionReassignments, io);
            }
            (Step::Reassignments(topics, configs, live), Ok(AdminAnswer::Reassignments(moves))) => {
                self.print_description(&topics, &configs, &live, &moves, io);
                io.exit = Some(0);
            }
            (step, Ok(answer)) => unreachable!("{step:?} was answered with {answer:?}"),
        }
        Ok(())
    }

    fn created<T>(&self, created: Option<(Str, Result<T, Failure>)>, io: &mut Io<'_>) -> Result<(), Failure> {
        let Action::Create { if_not_exists, .. } = &self.action else { return Ok(()) };
        match created {
            Some((_, Err(failure))) if *if_not_exists && failure.code() == Some(ErrorCode::TopicAlreadyExists) => {}
            Some((_, Err(failure))) => return Err(failure),
            Some((name, Ok(_))) => io.print(&format!("Created topic {name}.")),
            None => {}
        }
        io.exit = Some(0);
        Ok(())
    }

    fn listed(&mut self, listings: &[TopicListing], io: &mut Io<'_>) -> Result<(), Failure> {
        let by_id = match &self.action {
            Action::Describe(report) => report.topic_id,
            _ => None,
        };
        let chosen: Vec<Str> = listings
            .iter()
            .filter(|it| !(self.exclude_internal && it.internal))
            .filter(|it| match by_id {
                Some(id) => it.topic_id == id,
                None => self.filter.as_ref().is_none_or(|filter| filter.is_match(&it.name)),
            })
            .map(|it| it.name.clone())
            .collect();
        if let Action::List = self.action {
            let names: Vec<&str> = chosen.iter().map(|it| &**it).collect();
            io.print(&names.join("\n"));
            io.exit = Some(0);
            return Ok(());
        }
        if chosen.is_empty() && !self.if_exists {
            if let Some(id) = by_id {
                return Err(Failure::new(Cause::Illegal, format!("TopicId '{id}' does not exist as expected")));
            }
            if let Some(topic) = self.topic.as_ref().filter(|it| !it.is_empty()) {
                return Err(Failure::new(Cause::Illegal, format!("Topic '{topic}' does not exist as expected")));
            }
        }
        if chosen.is_empty() {
            io.exit = Some(0);
            return Ok(());
        }
        match &self.action {
            Action::Alter { assignments, .. } if !assignments.is_empty() => {
                self.ask(Step::AlterDescribe, AdminCall::DescribeTopics { topics: chosen }, io);
            }
            Action::Alter { .. } => self.alter(chosen.into_iter().map(|it| (it, 0)).collect(), io),
            Action::Delete => self.ask(Step::Delete, AdminCall::DeleteTopics { topics: chosen }, io),
            Action::Describe(_) => {
                // Kafka's tool keeps the descriptions in a map, and that in another.
                let count = chosen.len();
                let names = chosen.iter().map(|it| it.to_string()).collect();
                let names = hash_order(hash_order(names, count), count);
                let topics = names.into_iter().map(Str::from).collect();
                self.ask(Step::Describe, AdminCall::DescribeTopics { topics }, io);
            }
            Action::Create { .. } | Action::List => unreachable!("neither asks which topics there are"),
        }
        Ok(())
    }

    /// Raises the numbers of partitions. An assignment by hand names all partitions; those that exist are skipped.
    fn alter(&mut self, topics: Vec<(Str, usize)>, io: &mut Io<'_>) {
        let Action::Alter { partitions, assignments } = &self.action else { return };
        let topics = topics.into_iter().map(|(topic, existing)| NewPartitions {
            topic,
            total_count: *partitions,
            assignments: (!assignments.is_empty())
                .then(|| assignments.iter().skip(existing).map(|(_, replicas)| replicas.clone()).collect()),
        });
        let call = AdminCall::CreatePartitions { topics: topics.collect(), validate_only: false };
        self.ask(Step::Alter, call, io);
    }

    fn print_description(
        &self,
        topics: &[TopicDescription],
        configs: &[Vec<ConfigEntry>],
        live: &Set<NodeId>,
        moves: &[Reassignment],
        io: &mut Io<'_>,
    ) {
        let Action::Describe(report) = &self.action else { return };
        for (topic, config) in topics.iter().zip(configs) {
            let moving = |partition: i32| {
                moves.iter().find(|it| it.partition == TopicPartition { topic: topic.name.clone(), partition })
            };
            let own: Vec<&ConfigEntry> = config.iter().filter(|it| it.source != ConfigSource::Default).collect();
            if report.only.is_empty() && (!report.overrides || !own.is_empty()) {
                let factor = topic.partitions.first().map_or(0, |it| replication_factor(it, moving(it.partition)));
                io.print(&format!(
                    "Topic: {}{}\tPartitionCount: {}\tReplicationFactor: {factor}\tConfigs: {}",
                    topic.name,
                    if topic.topic_id.is_zero() { String::new() } else { format!("\tTopicId: {}", topic.topic_id) },
                    topic.partitions.len(),
                    settings(config)
                ));
            }
            if report.overrides {
                continue;
            }
            let min_isr = config
                .iter()
                .find(|it| it.name == "min.insync.replicas")
                .and_then(|it| it.value.as_ref()?.parse().ok());
            for (partition, eligible) in topic.partitions.iter().zip(&topic.eligible) {
                let moving = moving(partition.partition);
                if report.shows(partition, moving, min_isr.unwrap_or(1), live) {
                    io.print(&partition_line(&topic.name, partition, moving, eligible));
                }
            }
        }
    }
}

impl Report {
    fn shows(
        &self,
        partition: &PartitionInfo,
        moving: Option<&Reassignment>,
        min_isr: usize,
        live: &Set<NodeId>,
    ) -> bool {
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
    let others = |but: &[&str]| -> Vec<&'static str> { ACTIONS.into_iter().filter(|it| !but.contains(it)).collect() };
    args.exclude("config", &others(&["alter", "create"]))?;
    args.exclude("partitions", &others(&["alter", "create"]))?;
    args.exclude("replication-factor", &others(&["create"]))?;
    args.exclude("replica-assignment", &others(&["alter", "create"]))?;
    if args.has("create") {
        args.exclude("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        args.exclude(report, &[&others(&["describe"])[..], &["topics-with-overrides"]].concat())?;
    }
    args.exclude("topics-with-overrides", &[&others(&["describe"])[..], &REPORTS].concat())?;
    args.exclude("if-exists", &others(&["alter", "delete", "describe"]))?;
    args.exclude("if-not-exists", &others(&["create"]))?;
    args.exclude("exclude-internal", &others(&["list", "describe"]))
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
    let partitions = args.int("partitions")?;
    let replication_factor = args.int("replication-factor")?;
    let assignments = match args.value("replica-assignment")?.filter(|it| !it.is_empty()) {
        Some(list) => replica_assignment(list)?,
        None => Vec::new(),
    };
    if args.has("alter") {
        return Ok(Action::Alter { partitions: partitions.unwrap_or_default(), assignments });
    }
    let configs = topic_configs(&args.values("config"))?;
    let factor = match replication_factor {
        Some(factor) => match i16::try_from(factor) {
            Ok(factor) if factor >= 1 => Some(factor),
            _ => return Err("The replication factor must be between 1 and 32767 inclusive".to_owned()),
        },
        None => None,
    };
    if partitions.is_some_and(|it| it < 1) {
        return Err("The partitions must be greater than 0".to_owned());
    }
    let topic = NewTopic {
        name: args.value("topic")?.unwrap_or_default().into(),
        num_partitions: partitions,
        replication_factor: factor,
        assignments,
        configs,
    };
    Ok(Action::Create { topic, if_not_exists: args.has("if-not-exists") })
}

fn topic_configs(given: &[&str]) -> Result<Vec<(Str, Str)>, String> {
    let split = |it: &&str| match it.split('=').collect::<Vec<_>>()[..] {
        [key, value] if !value.is_empty() => Some((Str::from(key.trim()), Str::from(value.trim()))),
        _ => None,
    };
    given.iter().map(split).collect::<Option<Vec<_>>>().ok_or_else(|| {
        "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\"."
            .to_owned()
    })
}

/// `1:2,2:3`: the replicas of partition 0, of partition 1, and so on.
fn replica_assignment(list: &str) -> Result<Vec<(i32, Vec<NodeId>)>, String> {
    let mut assignments: Vec<(i32, Vec<NodeId>)> = Vec::new();
    for (index, replicas) in (0..).zip(list.split(',')) {
        let mut nodes: Vec<NodeId> = Vec::new();
        let mut twice: Set<NodeId> = Set::new();
        for id in replicas.split(':') {
            let id = id.trim();
            let node = NodeId(id.parse().map_err(|_| format!("For input string: \"{id}\""))?);
            if nodes.contains(&node) {
                twice.insert(node);
            }
            nodes.push(node);
        }
        if !twice.is_empty() {
            let twice: Vec<String> = twice.iter().map(NodeId::to_string).collect();
            return Err(format!("Partition replica lists may not contain duplicate entries: {}", twice.join(",")));
        }
        if assignments.first().is_some_and(|(_, first)| first.len() != nodes.len()) {
            let nodes: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
            return Err(format!("Partition {index} has different replication factor: [{}]", nodes.join(", ")));
        }
        assignments.push((index, nodes));
    }
    Ok(assignments)
}

/// The regular expression of `--topic`: commas are alternatives, quotes around it and blanks in it are dropped.
pub(super) fn topic_filter(raw: &str) -> Result<Regex, String> {
    let pattern = raw.trim().replace(',', "|").replace(' ', "");
    let pattern = pattern.trim_matches(['"', '\'']);
    Regex::new(&format!("^(?:{pattern})$")).map_err(|_| format!("{raw} is an invalid regex."))
}

fn done(results: Vec<(Str, Result<(), Failure>)>, io: &mut Io<'_>) -> Result<(), Failure> {
    for (_, result) in results {
        result?;
    }
    io.exit = Some(0);
    Ok(())
}

fn fail(why: &str, io: &mut Io<'_>) {
    io.print(&format!("Error while executing topic command : {why}"));
    io.exit = Some(1);
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
    let names = hash_order(config.iter().map(|it| it.name.to_string()).collect(), config.len());
    let entries = names.iter().filter_map(|name| config.iter().find(|it| *it.name == **name));
    let own = entries.filter(|it| it.source != ConfigSource::Default);
    let own: Vec<String> = own.map(|it| format!("{}={}", it.name, it.value.as_deref().unwrap_or("null"))).collect();
    own.join(",")
}

fn partition_line(
    topic: &Str,
    partition: &PartitionInfo,
    moving: Option<&Reassignment>,
    eligible: &EligibleLeaders,
) -> String {
    let list = |nodes: &[NodeId]| nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(",");
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
