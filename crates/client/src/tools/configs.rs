//! `kafka-configs.sh`: describes and alters the configurations of topics, brokers, client metrics and groups.
//!
//! Gaps: users, clients and ips (quotas, SCRAM) are refused; groups are those that have a configuration.

use protocol::Str;

use super::args::{Args, Opt, Refusal, Value};
use super::asking::{Asker, Plan, Said, asking};
use super::java::hash_order;
use super::{Host, Made, config_of, strange};
use crate::admin::{
    AdminAnswer, AdminCall, AlterConfigOp, ConfigChange, ConfigEntry, ConfigResource, ConfigSource, ResourceType,
};
use crate::outbox::Failure;

pub(super) const OPTIONS: &[Opt] = &[
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
struct Configs {
    entity_type: String,
    kind: ResourceType,
    /// `None` is all; the empty name is the default of all.
    name: Option<String>,
    action: Action,
    /// For the message of a failure.
    args: String,
}

enum Action {
    Describe { all: bool },
    Alter { set: Vec<(String, String)>, delete: Vec<String> },
}

/// A run with these arguments.
pub(super) fn make(raw: &[String], host: &mut Host<'_>) -> Result<Made, Refusal> {
    let args = Args::parse(OPTIONS, raw).map_err(Refusal::stderr)?;
    let about = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, \
                 client-metrics or group";
    args.help_or_version(raw.is_empty(), about)?;
    if args.has("alter") == args.has("describe") {
        return Err(args.misused("Command must include exactly one action: --describe, --alter"));
    }
    args.exclude("describe", &["add-config", "delete-config"])?;
    parse(&args, raw, host).map_err(Refusal::stderr)
}

fn parse(args: &Args, raw: &[String], host: &mut Host<'_>) -> Result<Made, String> {
    let (entity_type, name) = entity(args)?;
    let kind = match entity_type.as_str() {
        "topics" => ResourceType::Topic,
        "brokers" => ResourceType::Broker,
        "broker-loggers" => ResourceType::BrokerLogger,
        "client-metrics" => ResourceType::ClientMetrics,
        "groups" => ResourceType::Group,
        other => return Err(format!("The entity type {other} is not supported yet")),
    };
    if args.has("bootstrap-controller") {
        return Err("--bootstrap-controller is not supported yet, use --bootstrap-server".to_owned());
    }
    let config = config_of(&host.settings(args)?)?;
    let action = if args.has("alter") { alteration(args, host)? } else { Action::Describe { all: args.has("all") } };
    Ok((asking(Configs { entity_type, kind, name, action, args: raw.join(" ") }), config))
}

impl Plan for Configs {
    fn run(&self, asker: &Asker<'_>, said: &mut Said) -> i32 {
        self.act(asker, said).unwrap_or_else(|failure| {
            said.complain(&format!("Error while executing config command with args '{}'", self.args));
            said.complain(&failure.message);
            1
        })
    }
}

impl Configs {
    /// The exit code.
    fn act(&self, asker: &Asker<'_>, said: &mut Said) -> Result<i32, Failure> {
        match (&self.action, &self.name) {
            (Action::Alter { set, delete }, name) => self.alter(set, delete, name.as_deref(), asker, said),
            (Action::Describe { all: true }, Some(name)) => self.describe(vec![name.clone()], true, asker, said),
            (Action::Describe { all }, Some(name)) => {
                let is_default = self.kind == ResourceType::Broker && name.is_empty();
                if self.names(asker)?.contains(name) || is_default {
                    return self.describe(vec![name.clone()], *all, asker, said);
                }
                let what = self.singular();
                said.line(&format!("The {what} '{name}' doesn't exist and doesn't have dynamic config."));
                Ok(0)
            }
            (Action::Describe { all }, None) => {
                let mut names = self.names(asker)?;
                if matches!(self.kind, ResourceType::Broker | ResourceType::BrokerLogger) {
                    names.push(String::new());
                }
                self.describe(names, *all, asker, said)
            }
        }
    }

    /// The type without its plural.
    fn singular(&self) -> &str {
        self.entity_type.strip_suffix('s').unwrap_or(&self.entity_type)
    }

    /// The names of all entities, in the order in which Kafka's tool has them.
    fn names(&self, asker: &Asker<'_>) -> Result<Vec<String>, Failure> {
        let question = match self.kind {
            ResourceType::Topic => AdminCall::ListTopics { list_internal: true },
            ResourceType::Broker | ResourceType::BrokerLogger => {
                AdminCall::DescribeCluster { include_fenced_brokers: false }
            }
            ResourceType::ClientMetrics | ResourceType::Group => {
                AdminCall::ListConfigResources { types: vec![self.kind] }
            }
        };
        Ok(match asker.ask(question)? {
            AdminAnswer::Topics(topics) => hash_order(topics.iter().map(|it| it.name.to_string()).collect(), 0),
            AdminAnswer::Cluster(cluster) => cluster.brokers.iter().map(|it| it.node.to_string()).collect(),
            AdminAnswer::ConfigResources(resources) => {
                resources.iter().filter(|it| it.kind == self.kind).map(|it| it.name.to_string()).collect()
            }
            _ => return Err(strange("listConfigResources")),
        })
    }

    fn described<'a>(&self, names: Vec<String>, asker: &Asker<'a>) -> Result<&'a Described, Failure> {
        let resources = names.into_iter().map(|name| ConfigResource { kind: self.kind, name: name.into() }).collect();
        let question = AdminCall::DescribeConfigs { resources, include_synonyms: true, include_documentation: false };
        match asker.ask(question)? {
            AdminAnswer::Configs(configs) => Ok(configs),
            _ => Err(strange("describeConfigs")),
        }
    }

    fn describe(&self, names: Vec<String>, all: bool, asker: &Asker<'_>, said: &mut Said) -> Result<i32, Failure> {
        for (resource, entries) in self.described(names, asker)? {
            self.print(&resource.name, entries.as_ref().map_err(Failure::clone)?, all, said);
        }
        Ok(0)
    }

    fn print(&self, name: &Str, entries: &[ConfigEntry], all: bool, said: &mut Said) {
        if name.is_empty() {
            said.line(&format!("Default configs for {} in the cluster are:", self.entity_type));
        } else {
            let which = if all { "All" } else { "Dynamic" };
            said.line(&format!("{which} configs for {} {name} are:", self.singular()));
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
        for entry in shown {
            let value = |it: &'_ Option<Str>| it.clone().unwrap_or(Str::from_static("null"));
            let synonyms: Vec<String> = entry
                .synonyms
                .iter()
                .map(|it| format!("{}:{}={}", it.source.name(), it.name, value(&it.value)))
                .collect();
            said.line(&format!(
                "  {}={} sensitive={} synonyms={{{}}}",
                entry.name,
                value(&entry.value),
                entry.sensitive,
                synonyms.join(", ")
            ));
        }
    }

    fn alter(
        &self,
        set: &[(String, String)],
        delete: &[String],
        name: Option<&str>,
        asker: &Asker<'_>,
        said: &mut Said,
    ) -> Result<i32, Failure> {
        if let (ResourceType::BrokerLogger, Some(name)) = (self.kind, name) {
            let mut unknown: Vec<&str> =
                delete.iter().chain(set.iter().map(|(key, _)| key)).map(String::as_str).collect();
            for (_, entries) in self.described(vec![name.to_owned()], asker)? {
                let entries = entries.as_ref().map_err(Failure::clone)?;
                unknown.retain(|it| !entries.iter().any(|entry| *entry.name == **it));
            }
            if !unknown.is_empty() {
                said.complain(&format!("Invalid broker logger(s): {}", unknown.join(",")));
                return Ok(1);
            }
        }
        let deleted =
            delete.iter().map(|key| AlterConfigOp { name: key.as_str().into(), change: ConfigChange::Delete });
        let added = set.iter().map(|(key, value)| AlterConfigOp {
            name: key.as_str().into(),
            change: ConfigChange::Set(value.as_str().into()),
        });
        let resource = ConfigResource { kind: self.kind, name: name.unwrap_or_default().into() };
        let question = AdminCall::IncrementalAlterConfigs {
            resources: vec![(resource, deleted.chain(added).collect())],
            validate_only: false,
        };
        let AdminAnswer::ConfigsAltered(results) = asker.ask(question)? else {
            return Err(strange("incrementalAlterConfigs"));
        };
        results.iter().try_for_each(|it| it.1.clone())?;
        said.line(&match name {
            Some("") | None => format!("Completed updating default config for {} in the cluster.", self.entity_type),
            Some(name) => format!("Completed updating config for {} {name}.", self.singular()),
        });
        Ok(0)
    }
}

/// What is told of each entity.
type Described = Vec<(ConfigResource, Result<Vec<ConfigEntry>, Failure>)>;

/// The entity that the arguments name. The error is Kafka's sentence.
fn entity(args: &Args) -> Result<(String, Option<String>), String> {
    let mut types = args.values("entity-type");
    let by_type = types.len();
    for (flag, kind) in ENTITIES.iter().chain(&DEFAULTS) {
        if args.has(flag) {
            types.push(kind);
        }
    }
    let is_flagged = types.len() > by_type;
    let mut twice: Vec<&str> = Vec::new();
    for (at, it) in types.iter().enumerate() {
        if types[..at].contains(it) {
            twice.push(it);
        }
    }
    if !twice.is_empty() {
        ordered::sort(&mut twice);
        twice.dedup();
        return Err(format!("Duplicate entity type(s) specified: {}", twice.join(",")));
    }
    if !args.has("bootstrap-server") && !args.has("bootstrap-controller") {
        return Err("Either --bootstrap-server or --bootstrap-controller must be specified.".to_owned());
    }
    if let Some(wrong) = types.iter().find(|it| !TYPES.contains(it)) {
        return Err(format!(
            "Invalid entity type {wrong}, the entity type must be one of {} with a --bootstrap-server or \
             --bootstrap-controller argument",
            TYPES.join(", ")
        ));
    }
    let entity_type = match types[..] {
        [] => return Err("At least one entity type must be specified".to_owned()),
        [one] => one,
        [one, _] if types.contains(&"users") && types.contains(&"clients") => one,
        _ => return Err("Only 'users' and 'clients' entity types may be specified together".to_owned()),
    };
    let by_name = args.has("entity-name") || args.has("entity-type") || args.has("entity-default");
    if by_name && is_flagged {
        return Err(
            "--entity-{type,name,default} should not be used in conjunction with specific entity flags".to_owned()
        );
    }
    if args.has("bootstrap-server") && args.has("bootstrap-controller") {
        return Err("Only one of --bootstrap-server or --bootstrap-controller can be specified".to_owned());
    }
    // The value of what stands for the default is none.
    let names = |option: &str| {
        matches!(option, "entity-name" | "entity-default") || ENTITIES.iter().chain(&DEFAULTS).any(|it| it.0 == option)
    };
    let name = args.given().find(|it| names(it.0)).map(|it| it.1.unwrap_or_default());
    let named = name.is_some_and(|it| !it.is_empty());
    let broker = matches!(entity_type, "brokers" | "broker-loggers");
    if let Some(id) = name.filter(|it| named && broker && it.parse::<i32>().is_err()) {
        return Err(format!("The entity name for {entity_type} must be a valid integer broker id, but it is: {id}"));
    }
    let has_default = matches!(entity_type, "users" | "clients" | "brokers" | "ips");
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
    Ok((entity_type.to_owned(), name.map(str::to_owned)))
}

/// What is to be set and deleted. The error is Kafka's sentence.
fn alteration(args: &Args, host: &mut Host<'_>) -> Result<Action, String> {
    if args.has("add-config") && args.has("add-config-file") {
        return Err("Only one of --add-config or --add-config-file must be specified".to_owned());
    }
    if !args.has("add-config") && !args.has("add-config-file") && !args.has("delete-config") {
        let why = "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter";
        return Err(why.to_owned());
    }
    let mut set = match args.value("add-config-file")? {
        Some(file) => host.properties(file)?,
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
    let mut pairs = Vec::new();
    for entry in split(list, ',') {
        let [key, value] = &split(&entry, '=')[..] else {
            let why = "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \
                       \"key=[val1,val2]\" to group values which contain commas.";
            return Err(why.to_owned());
        };
        pairs.push((key.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned()));
    }
    Ok(pairs)
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
