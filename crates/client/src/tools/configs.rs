//! `kafka-configs.sh`: describes and alters the configurations of topics, brokers, client metrics and groups.
//!
//! Gaps: users, clients and ips (quotas, SCRAM) are refused; groups are those that have a configuration.

use ordered::Set;

use protocol::Str;

use super::args::{Args, Opt, Refusal, Value};
use super::java::hash_order;
use super::{Io, ReadFile, config_of, failure, properties};
use crate::admin::{
    AdminAnswer, AdminCall, AlterConfigOp, ConfigChange, ConfigEntry, ConfigResource, ConfigSource, ResourceType,
};
use crate::config::ClientConfig;
use crate::input::Operation;
use crate::outbox::{Answer, Failure, Outcome};

const OPTIONS: &[Opt] = &[
    Opt { name: "add-config", value: Value::Text, about: "Settings to set: k1=v1,k2=[v1,v2]." },
    Opt { name: "add-config-file", value: Value::Text, about: "A properties file with settings to set." },
    Opt { name: "all", value: Value::No, about: "Shows all settings, defaults too." },
    Opt { name: "alter", value: Value::No, about: "Changes settings." },
    Opt { name: "bootstrap-controller", value: Value::Text, about: "Controllers to connect to." },
    Opt { name: "bootstrap-server", value: Value::Text, about: "Brokers to connect to, host:port,host:port." },
    Opt { name: "broker", value: Value::Text, about: "The broker by its id." },
    Opt { name: "broker-defaults", value: Value::No, about: "What holds for all brokers." },
    Opt { name: "broker-logger", value: Value::Text, about: "The loggers of the broker with this id." },
    Opt { name: "client", value: Value::Text, about: "The client by its id." },
    Opt { name: "client-defaults", value: Value::No, about: "What holds for all clients." },
    Opt { name: "client-metrics", value: Value::Text, about: "The subscription to client metrics by its name." },
    Opt { name: "command-config", value: Value::Text, about: "A properties file with settings of the admin client." },
    Opt { name: "delete-config", value: Value::Text, about: "Settings to put back to their defaults: k1,k2." },
    Opt { name: "describe", value: Value::No, about: "Shows settings." },
    Opt { name: "entity-default", value: Value::No, about: "What holds for all entities of the type." },
    Opt { name: "entity-name", value: Value::Text, about: "The entity by its name." },
    Opt {
        name: "entity-type",
        value: Value::Text,
        about: "topics, clients, users, brokers, broker-loggers, ips, client-metrics or groups.",
    },
    Opt { name: "group", value: Value::Text, about: "The group by its id." },
    Opt { name: "ip", value: Value::Text, about: "The IP address." },
    Opt { name: "ip-defaults", value: Value::No, about: "What holds for all IP addresses." },
    Opt { name: "topic", value: Value::Text, about: "The topic by its name." },
    Opt { name: "user", value: Value::Text, about: "The user by its principal." },
    Opt { name: "user-defaults", value: Value::No, about: "What holds for all users." },
];

/// Flags that name an entity, and its type.
const ENTITIES: [(&str, &str); 8] = [
    ("topic", "topics"),
    ("client", "clients"),
    ("user", "users"),
    ("broker", "brokers"),
    ("broker-logger", "broker-loggers"),
    ("ip", "ips"),
    ("client-metrics", "client-metrics"),
    ("group", "groups"),
];
const DEFAULTS: [(&str, &str); 4] = [
    ("client-defaults", "clients"),
    ("user-defaults", "users"),
    ("broker-defaults", "brokers"),
    ("ip-defaults", "ips"),
];
const TYPES: [&str; 8] = ["topics", "clients", "users", "brokers", "ips", "client-metrics", "groups", "broker-loggers"];

/// A run of the tool.
#[derive(Clone, Debug)]
pub(super) struct Configs {
    entity_type: String,
    kind: ResourceType,
    /// `None` is all; the empty name is the default of all.
    name: Option<String>,
    action: Action,
    /// For the message of a failure.
    args: String,
    step: Step,
}

#[derive(Clone, Debug)]
enum Action {
    Describe { all: bool },
    Alter { set: Vec<(String, String)>, delete: Vec<String> },
}

/// What the answer that comes next is about.
#[derive(Clone, Debug)]
enum Step {
    Begin,
    Exists,
    Entities,
    Describe,
    Loggers,
    Alter,
}

impl Configs {
    pub(super) fn parse(raw: &[String], files: &mut ReadFile<'_>) -> Result<(Configs, ClientConfig), Refusal> {
        let args = Args::parse(OPTIONS, raw).map_err(Refusal::stderr)?;
        let about = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, \
                     client-metrics or group";
        args.help_or_version(raw.is_empty(), about)?;
        if args.has("alter") == args.has("describe") {
            return Err(args.misused("Command must include exactly one action: --describe, --alter"));
        }
        args.exclude("describe", &["add-config", "delete-config"])?;
        let (entity_type, name) = entity(&args).map_err(Refusal::stderr)?;
        let kind = match entity_type.as_str() {
            "topics" => ResourceType::Topic,
            "brokers" => ResourceType::Broker,
            "broker-loggers" => ResourceType::BrokerLogger,
            "client-metrics" => ResourceType::ClientMetrics,
            "groups" => ResourceType::Group,
            other => return Err(Refusal::stderr(format!("The entity type {other} is not supported yet"))),
        };
        if args.has("bootstrap-controller") {
            return Err(Refusal::stderr("--bootstrap-controller is not supported yet, use --bootstrap-server"));
        }
        let mut settings = Vec::new();
        if let Some(file) = args.value("command-config").map_err(Refusal::stderr)? {
            settings = properties::parse(&files(file).map_err(Refusal::stderr)?);
        }
        let servers = args.value("bootstrap-server").map_err(Refusal::stderr)?.unwrap_or_default();
        settings.push(("bootstrap.servers".to_owned(), servers.to_owned()));
        let config = config_of(&settings).map_err(Refusal::stderr)?;
        let action = if args.has("alter") {
            alteration(&args, files).map_err(Refusal::stderr)?
        } else {
            Action::Describe { all: args.has("all") }
        };
        let tool = Configs { entity_type, kind, name, action, args: raw.join(" "), step: Step::Begin };
        Ok((tool, config))
    }

    pub(super) fn begin(&mut self, io: &mut Io<'_>) {
        match (&self.action, &self.name) {
            (Action::Describe { all: true }, Some(name)) => self.describe(vec![name.clone()], io),
            (Action::Describe { .. }, name) => {
                self.step = if name.is_some() { Step::Exists } else { Step::Entities };
                let call = match self.kind {
                    ResourceType::Topic => AdminCall::ListTopics { list_internal: true },
                    ResourceType::Broker | ResourceType::BrokerLogger => {
                        AdminCall::DescribeCluster { include_fenced_brokers: false }
                    }
                    ResourceType::ClientMetrics | ResourceType::Group => {
                        AdminCall::ListConfigResources { types: vec![self.kind] }
                    }
                };
                io.start(Operation::Admin(call));
            }
            (Action::Alter { .. }, Some(name)) if self.kind == ResourceType::BrokerLogger => {
                let name = name.clone();
                self.describe(vec![name], io);
                self.step = Step::Loggers;
            }
            (Action::Alter { .. }, _) => self.alter(io),
        }
    }

    pub(super) fn outcome(&mut self, outcome: Outcome, io: &mut Io<'_>) {
        let answer = match outcome {
            Outcome::Ok(Answer::Admin(answer)) => Ok(answer),
            other => Err(failure(other)),
        };
        if let Err(failure) = answer.and_then(|answer| self.step(answer, io)) {
            io.complain(&format!("Error while executing config command with args '{}'", self.args));
            io.complain(&failure.message);
            io.exit = Some(1);
        }
    }

    fn step(&mut self, answer: AdminAnswer, io: &mut Io<'_>) -> Result<(), Failure> {
        match (std::mem::replace(&mut self.step, Step::Begin), answer) {
            (Step::Exists, answer) => {
                let name = self.name.clone().unwrap_or_default();
                let default = self.kind == ResourceType::Broker && name.is_empty();
                if default || self.names(answer).contains(&name) {
                    self.describe(vec![name], io);
                } else {
                    io.print(&format!(
                        "The {} '{name}' doesn't exist and doesn't have dynamic config.",
                        self.singular()
                    ));
                    io.exit = Some(0);
                }
            }
            (Step::Entities, answer) => {
                let mut names = self.names(answer);
                if matches!(self.kind, ResourceType::Broker | ResourceType::BrokerLogger) {
                    names.push(String::new());
                }
                self.describe(names, io);
            }
            (Step::Describe, AdminAnswer::Configs(configs)) => {
                for (resource, entries) in configs {
                    self.print(&resource.name, &entries?, io);
                }
                io.exit = Some(0);
            }
            (Step::Loggers, AdminAnswer::Configs(configs)) => {
                let mut known: Set<String> = Set::new();
                for (_, entries) in configs {
                    known.extend(entries?.iter().map(|it| it.name.to_string()));
                }
                let Action::Alter { set, delete } = &self.action else { return Ok(()) };
                let wanted = delete.iter().chain(set.iter().map(|(key, _)| key));
                let unknown: Vec<&str> = wanted.filter(|it| !known.contains(*it)).map(String::as_str).collect();
                if unknown.is_empty() {
                    self.alter(io);
                } else {
                    io.complain(&format!("Invalid broker logger(s): {}", unknown.join(",")));
                    io.exit = Some(1);
                }
            }
            (Step::Alter, AdminAnswer::ConfigsAltered(results)) => {
                for (_, result) in results {
                    result?;
                }
                match self.name.as_deref() {
                    Some("") | None => {
                        io.print(&format!(
                            "Completed updating default config for {} in the cluster.",
                            self.entity_type
                        ));
                    }
                    Some(name) => io.print(&format!("Completed updating config for {} {name}.", self.singular())),
                }
                io.exit = Some(0);
            }
            (step, answer) => unreachable!("{step:?} was answered with {answer:?}"),
        }
        Ok(())
    }

    /// The type without its plural.
    fn singular(&self) -> &str {
        self.entity_type.strip_suffix('s').unwrap_or(&self.entity_type)
    }

    /// The names of all entities, in the order in which Kafka's tool has them.
    fn names(&self, answer: AdminAnswer) -> Vec<String> {
        match answer {
            AdminAnswer::Topics(topics) => hash_order(topics.iter().map(|it| it.name.to_string()).collect(), 0),
            AdminAnswer::Cluster(cluster) => cluster.brokers.iter().map(|it| it.node.to_string()).collect(),
            AdminAnswer::ConfigResources(resources) => {
                resources.iter().filter(|it| it.kind == self.kind).map(|it| it.name.to_string()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn describe(&mut self, names: Vec<String>, io: &mut Io<'_>) {
        let resources = names.into_iter().map(|name| ConfigResource { kind: self.kind, name: name.into() }).collect();
        self.step = Step::Describe;
        let call = AdminCall::DescribeConfigs { resources, include_synonyms: true, include_documentation: false };
        io.start(Operation::Admin(call));
    }

    fn print(&self, name: &Str, entries: &[ConfigEntry], io: &mut Io<'_>) {
        let Action::Describe { all } = self.action else { return };
        if name.is_empty() {
            io.print(&format!("Default configs for {} in the cluster are:", self.entity_type));
        } else {
            let which = if all { "All" } else { "Dynamic" };
            io.print(&format!("{which} configs for {} {name} are:", self.singular()));
        }
        let own = match self.kind {
            ResourceType::Topic => ConfigSource::DynamicTopic,
            ResourceType::Broker if name.is_empty() => ConfigSource::DynamicDefaultBroker,
            ResourceType::Broker => ConfigSource::DynamicBroker,
            ResourceType::BrokerLogger => ConfigSource::DynamicBrokerLogger,
            ResourceType::ClientMetrics => ConfigSource::ClientMetrics,
            ResourceType::Group => ConfigSource::Group,
        };
        let mut shown: Vec<&ConfigEntry> = entries.iter().filter(|it| all || it.source == own).collect();
        ordered::sort_by(&mut shown, |one, other| one.name.cmp(&other.name));
        let value = |it: &Option<Str>| it.as_deref().unwrap_or("null").to_owned();
        for entry in shown {
            let synonyms =
                entry.synonyms.iter().map(|it| format!("{}:{}={}", it.source.name(), it.name, value(&it.value)));
            io.print(&format!(
                "  {}={} sensitive={} synonyms={{{}}}",
                entry.name,
                value(&entry.value),
                entry.sensitive,
                synonyms.collect::<Vec<_>>().join(", ")
            ));
        }
    }

    fn alter(&mut self, io: &mut Io<'_>) {
        let Action::Alter { set, delete } = &self.action else { return };
        let deleted =
            delete.iter().map(|key| AlterConfigOp { name: key.as_str().into(), change: ConfigChange::Delete });
        let added = set.iter().map(|(key, value)| AlterConfigOp {
            name: key.as_str().into(),
            change: ConfigChange::Set(value.as_str().into()),
        });
        let name = self.name.clone().unwrap_or_default();
        let resource = ConfigResource { kind: self.kind, name: name.into() };
        let call = AdminCall::IncrementalAlterConfigs {
            resources: vec![(resource, deleted.chain(added).collect())],
            validate_only: false,
        };
        self.step = Step::Alter;
        io.start(Operation::Admin(call));
    }
}

/// The entity that the arguments name. The error is Kafka's sentence.
fn entity(args: &Args) -> Result<(String, Option<String>), String> {
    let flags = ENTITIES.iter().chain(&DEFAULTS).filter(|(flag, _)| args.has(flag));
    let flagged: Vec<&str> = flags.map(|(_, kind)| *kind).collect();
    let types: Vec<String> =
        args.values("entity-type").into_iter().chain(flagged.iter().copied()).map(str::to_owned).collect();
    let twice: Set<&String> =
        types.iter().enumerate().filter(|(at, it)| types[..*at].contains(it)).map(|(_, it)| it).collect();
    if !twice.is_empty() {
        let twice: Vec<&str> = twice.into_iter().map(String::as_str).collect();
        return Err(format!("Duplicate entity type(s) specified: {}", twice.join(",")));
    }
    if !args.has("bootstrap-server") && !args.has("bootstrap-controller") {
        return Err("Either --bootstrap-server or --bootstrap-controller must be specified.".to_owned());
    }
    if let Some(wrong) = types.iter().find(|it| !TYPES.contains(&it.as_str())) {
        return Err(format!(
            "Invalid entity type {wrong}, the entity type must be one of {} with a --bootstrap-server or \
             --bootstrap-controller argument",
            TYPES.join(", ")
        ));
    }
    let entity_type = match &types[..] {
        [] => return Err("At least one entity type must be specified".to_owned()),
        [one] => one.clone(),
        [one, _] if types.contains(&"users".to_owned()) && types.contains(&"clients".to_owned()) => one.clone(),
        _ => return Err("Only 'users' and 'clients' entity types may be specified together".to_owned()),
    };
    let by_name = args.has("entity-name") || args.has("entity-type") || args.has("entity-default");
    if by_name && !flagged.is_empty() {
        return Err(
            "--entity-{type,name,default} should not be used in conjunction with specific entity flags".to_owned()
        );
    }
    if args.has("bootstrap-server") && args.has("bootstrap-controller") {
        return Err("Only one of --bootstrap-server or --bootstrap-controller can be specified".to_owned());
    }
    let mut names: Vec<String> = Vec::new();
    for (option, value) in args.given() {
        match option {
            "entity-name" => names.push(value.unwrap_or_default().to_owned()),
            "entity-default" => names.push(String::new()),
            _ if ENTITIES.iter().any(|(flag, _)| *flag == option) => names.push(value.unwrap_or_default().to_owned()),
            _ if DEFAULTS.iter().any(|(flag, _)| *flag == option) => names.push(String::new()),
            _ => {}
        }
    }
    let name = names.into_iter().next();
    let named = name.as_ref().is_some_and(|it| !it.is_empty());
    let broker = matches!(entity_type.as_str(), "brokers" | "broker-loggers");
    if let Some(id) = name.as_ref().filter(|it| named && broker && it.parse::<i32>().is_err()) {
        return Err(format!("The entity name for {entity_type} must be a valid integer broker id, but it is: {id}"));
    }
    let has_default = matches!(entity_type.as_str(), "users" | "clients" | "brokers" | "ips");
    if args.has("describe") {
        if args.has("entity-default") && !has_default {
            return Err(format!("--entity-default must not be specified with --describe of {entity_type}"));
        }
        if entity_type == "broker-loggers" && !named {
            return Err("An entity name must be specified with --describe of broker-loggers".to_owned());
        }
    } else if has_default && name.is_none() {
        let why = "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips";
        return Err(why.to_owned());
    } else if !has_default && !named {
        return Err(format!("An entity name must be specified with --alter of {entity_type}"));
    }
    Ok((entity_type, name))
}

/// What is to be set and deleted. The error is Kafka's sentence.
fn alteration(args: &Args, files: &mut ReadFile<'_>) -> Result<Action, String> {
    if args.has("add-config") && args.has("add-config-file") {
        return Err("Only one of --add-config or --add-config-file must be specified".to_owned());
    }
    if !args.has("add-config") && !args.has("add-config-file") && !args.has("delete-config") {
        let why = "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter";
        return Err(why.to_owned());
    }
    let mut set = match args.value("add-config-file")? {
        Some(file) => properties::parse(&files(file)?),
        None => Vec::new(),
    };
    if let Some(list) = args.value("add-config")? {
        set.extend(added(list)?);
    }
    let odd = |key: &&String| !key.chars().all(|c| c.is_ascii_alphanumeric() || "$._-".contains(c));
    if let Some(key) = set.iter().map(|(key, _)| key).find(odd) {
        return Err(format!("Invalid character found for config key: {key}"));
    }
    // A properties object keeps one value a key.
    let mut last: Vec<(String, String)> = Vec::new();
    for (key, value) in set {
        last.retain(|(it, _)| *it != key);
        last.push((key, value));
    }
    let delete = args.values("delete-config");
    let delete = delete.iter().flat_map(|it| it.split(',')).map(|it| it.trim().to_owned()).collect();
    Ok(Action::Alter { set: last, delete })
}

/// `k1=v1,k2=[v1,v2]`: commas and equals signs within brackets belong to the value.
fn added(list: &str) -> Result<Vec<(String, String)>, String> {
    let split = |text: &str, at: char| -> Vec<String> {
        let (mut parts, mut inside) = (vec![String::new()], false);
        for c in text.chars() {
            inside = (inside || c == '[') && c != ']';
            match parts.last_mut() {
                Some(part) if c != at || inside => part.push(c),
                _ => parts.push(String::new()),
            }
        }
        parts
    };
    let pair = |entry: String| match &split(&entry, '=')[..] {
        [key, value] => Some((key.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned())),
        _ => None,
    };
    split(list, ',').into_iter().map(pair).collect::<Option<Vec<_>>>().ok_or_else(|| {
        "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \
         \"key=[val1,val2]\" to group values which contain commas."
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_group_values() {
        let pairs = added("retention.bytes=5, cleanup.policy=[compact,delete],empty=").unwrap();
        let expected = [("retention.bytes", "5"), ("cleanup.policy", "compact,delete"), ("empty", "")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(added("alone").is_err() && added("a=b=c").is_err());
    }
}
