//! Changing configurations: of topics, of one broker, of all brokers.

use ordered::Map;

use protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, ClearElrRecord, ConfigRecord, ErrorCode, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, MetadataRecord, ResponseBody, alter_configs_request, alter_configs_response,
    incremental_alter_configs_request, incremental_alter_configs_response,
};
use protocol::{NodeId, Str};
use quorum::{CORDONED_DIRECTORIES, METADATA_VERSION};

use super::{Controller, Outcome, features, times, topics};
use crate::config::{
    CORDONED, Config, Definition, Kind, Update, broker_key, check_cordons, check_group, list, topic_key,
};
use crate::image::{Image, Resource, ResourceType, Settings};
use crate::refusal::Refusal;

/// Where an effective value comes from. Kafka's `ConfigSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Set for the topic.
    Topic,
    /// Set for this broker while it ran.
    Broker,
    /// Set for all brokers while they ran.
    AllBrokers,
    /// In the node's file.
    Static,
    /// Kafka's default.
    Default,
    /// Set for the group.
    Group,
}

impl Origin {
    /// Kafka's number.
    pub const fn id(self) -> i8 {
        match self {
            Origin::Topic => 1,
            Origin::Broker => 2,
            Origin::AllBrokers => 3,
            Origin::Static => 4,
            Origin::Default => 5,
            Origin::Group => 8,
        }
    }
}

/// The value that a topic's key has when the topic says nothing, and where it comes from.
pub(super) fn inherited(config: &Config, image: &Image, key: &Definition) -> (Option<Str>, Origin) {
    let synonyms = crate::config::topic_synonyms(key.name);
    let set = |read: &dyn Fn(&str) -> bool| synonyms.iter().any(|(name, _)| read(name));
    let this_broker = Resource::broker(config.node_id);
    let origin = if set(&|name| image.setting(&this_broker, name).is_some()) {
        Origin::Broker
    } else if set(&|name| image.setting(&Resource::all_brokers(), name).is_some()) {
        Origin::AllBrokers
    } else if set(&|name| config.explicit(name).is_some()) {
        Origin::Static
    } else {
        Origin::Default
    };
    // No topic has the empty name, so this reads what any topic inherits.
    (config.topic_value(image, &Resource { kind: ResourceType::Topic, name: Str::new() }, key.name), origin)
}

/// The record that sets or removes one key.
pub(super) fn record(resource: &Resource, key: &Str, value: Option<Str>) -> MetadataRecord {
    let record = ConfigRecord {
        resource_type: resource.kind.id(),
        resource_name: resource.name.clone(),
        name: key.clone(),
        value,
    };
    record.into()
}

/// Whether a topic can have these settings.
pub(super) fn check_topic(settings: &Map<Str, Str>) -> Result<(), Refusal> {
    for (key, value) in settings {
        let invalid = |what: String| Refusal::new(ErrorCode::InvalidConfig, what);
        let definition = topic_key(key).ok_or_else(|| invalid(format!("Unknown topic config name: {key}")))?;
        check_length(value)?;
        definition.check(value).map_err(|error| invalid(error.0))?;
    }
    let number = |key: &str| settings.get(key).and_then(|text| text.trim().parse::<i64>().ok());
    if let (Some(min), Some(max)) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"))
        && min > max
    {
        return Err(Refusal::new(
            ErrorCode::InvalidConfig,
            format!("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"),
        ));
    }
    if settings.get("remote.storage.enable").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return Err(Refusal::new(
            ErrorCode::InvalidConfig,
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
        ));
    }
    Ok(())
}

/// The longest text, in bytes, that a record can hold.
fn check_length(value: &str) -> Result<(), Refusal> {
    const MAX: usize = i16::MAX as usize;
    if value.len() <= MAX {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::InvalidConfig,
        format!("The configuration value cannot be added because it exceeds the maximum value size of {MAX} bytes."),
    ))
}

/// What to do with one key.
enum Change {
    Set(Str),
    Delete,
    Append(Str),
    Subtract(Str),
}

impl Change {
    /// The value that comes out; `None` is the default.
    fn value(self, resource: &Resource, key: &Str, before: Option<Str>) -> Result<Option<Str>, Refusal> {
        Ok(match self {
            Change::Set(value) => Some(value),
            Change::Delete => None,
            Change::Append(items) => Some(edit_list(resource, key, before, "APPEND", |list| {
                for item in items.split(',') {
                    if !list.iter().any(|it| it == item) {
                        list.push(item.to_owned());
                    }
                }
            })?),
            Change::Subtract(items) => Some(edit_list(resource, key, before, "SUBTRACT", |list| {
                list.retain(|it| !items.split(',').any(|item| item == it));
            })?),
        })
    }
}

/// What is asked for, if a controller would not refuse it unread.
type Readable = Option<Map<Str, Change>>;

/// Whom settings are changed by way of. Only a broker itself knows the paths of its directories.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// The broker on this node.
    Broker(&'a Config),
    /// Another broker, which has looked at what it is told of itself.
    Passed,
    /// Nobody: a controller was asked directly.
    Controller,
}

/// What one resource of a request came to.
struct Altered {
    kind: i8,
    name: Str,
    error_code: i16,
    error_message: Option<Str>,
}

impl Controller {
    /// IncrementalAlterConfigs, versions 0 and 1. `by` is whom a client asked.
    pub fn decide_incremental_alter_configs(&self, by: Asked<'_>, request: &IncrementalAlterConfigsRequest) -> Outcome {
        let asked = request.resources.iter().map(|it| (it.resource_type, &it.resource_name, &it.configs));
        let (records, altered) = self.alter_each(by, request.validate_only, asked, |_, configs| changes(configs));
        let responses =
            altered.into_iter().map(|it| incremental_alter_configs_response::AlterConfigsResourceResponse {
                error_code: it.error_code,
                error_message: it.error_message,
                resource_type: it.kind,
                resource_name: it.name,
            });
        let responses = responses.collect();
        let reply = IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() };
        Outcome { records, reply: ResponseBody::IncrementalAlterConfigs(reply) }
    }

    /// AlterConfigs, versions 0 to 2: what is not named goes back to its default.
    pub fn decide_alter_configs(&self, by: Asked<'_>, request: &AlterConfigsRequest) -> Outcome {
        let asked = request.resources.iter().map(|it| (it.resource_type, &it.resource_name, &it.configs));
        let (records, altered) = self.alter_each(by, request.validate_only, asked, |resource, configs| {
            replacements(configs, self.image().settings(resource))
        });
        let responses = altered.into_iter().map(|it| alter_configs_response::AlterConfigsResourceResponse {
            error_code: it.error_code,
            error_message: it.error_message,
            resource_type: it.kind,
            resource_name: it.name,
        });
        let responses = responses.collect();
        let reply = AlterConfigsResponse { responses, ..AlterConfigsResponse::default() };
        Outcome { records, reply: ResponseBody::AlterConfigs(reply) }
    }

    /// The records for every resource that can be altered as asked, and what each came to.
    fn alter_each<'a, T>(
        &self,
        by: Asked<'_>,
        validate_only: bool,
        asked: impl Iterator<Item = (i8, &'a Str, T)> + Clone,
        changes: impl Fn(&Resource, T) -> Result<Map<Str, Change>, Refusal>,
    ) -> (Vec<MetadataRecord>, Vec<Altered>) {
        let times = times(asked.clone().map(|(kind, name, _)| (kind, name)));
        let mut records = Vec::new();
        let mut altered = Vec::new();
        for (kind, name, configs) in asked {
            let is_repeated = times.get(&(kind, name)).is_some_and(|times| *times > 1);
            let outcome = if is_repeated {
                Err(Refusal::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."))
            } else {
                self.alterable(by, kind, name).and_then(|resource| {
                    let changes = changes(&resource, configs)?;
                    self.alter(by, &resource, changes)
                })
            };
            let (error_code, error_message) = match outcome {
                Ok(mut made) => {
                    records.append(&mut made);
                    (ErrorCode::None.code(), None)
                }
                Err(refusal) => (refusal.code.code(), Some(refusal.message)),
            };
            altered.push(Altered { kind, name: name.clone(), error_code, error_message });
        }
        if validate_only {
            records.clear();
        }
        (records, altered)
    }

    fn alterable(&self, by: Asked<'_>, kind: i8, name: &Str) -> Result<Resource, Refusal> {
        let invalid = |what: String| Err(Refusal::new(ErrorCode::InvalidRequest, what));
        let resource = match ResourceType::from_id(kind) {
            Some(kind) => Resource { kind, name: name.clone() },
            None => return invalid(format!("Unknown resource type {kind}")),
        };
        match resource.kind {
            ResourceType::Topic if name.is_empty() => {
                return invalid("Default topic resources are not allowed.".into());
            }
            ResourceType::Topic => {
                topics::check_name(name)?;
                if self.image().topic(name).is_none() {
                    let what = format!("The topic '{name}' does not exist.");
                    return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, what));
                }
            }
            ResourceType::Broker if !name.is_empty() => {
                parse_id(name)?;
                // What comes by way of another node has been to the broker that is meant.
                if let Asked::Broker(asked) = by {
                    check_is_meant(asked, name)?;
                }
            }
            ResourceType::Broker => {}
            ResourceType::Group if name.is_empty() => {
                return invalid("Default group resources are not allowed.".into());
            }
            ResourceType::Group => {}
            ResourceType::ClientMetrics => {
                return invalid("Configurations of client metrics are not supported yet.".into());
            }
        }
        Ok(resource)
    }

    /// The records for the changes, if the settings that come out are valid.
    fn alter(
        &self,
        by: Asked<'_>,
        resource: &Resource,
        changes: Map<Str, Change>,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let current = self.image().settings(resource);
        let before = |key: &Str| current.and_then(|settings| settings.get(key)).cloned();
        let mut after = all(current);
        let mut records = Vec::new();
        for (key, change) in changes {
            let value = change.value(resource, &key, before(&key))?;
            // Also of what the broker does not know: each goes into a record.
            check_length(&key)?;
            check_length(value.as_deref().unwrap_or_default())?;
            self.check_min_isr(resource, &key, value.as_ref())?;
            if resource.kind == ResourceType::Broker && value.is_some() && before(&key) != value {
                check_change(&key, resource.name.is_empty())?;
            }
            if matches!(by, Asked::Controller) && resource.kind == ResourceType::Broker && key == CORDONED {
                check_fewer_cordons(before(&key), value.as_ref())?;
            }
            match &value {
                Some(value) => after.insert(key.clone(), value.clone()),
                None => after.remove(&key),
            };
            // A broker's key is written even when it stays the same: files that it names may have changed.
            if resource.kind == ResourceType::Broker || before(&key) != value {
                records.push(record(resource, &key, value));
            }
        }
        match resource.kind {
            ResourceType::Topic => check_topic(&after)?,
            ResourceType::Group => {
                let checked = check_group(&after, &self.consumer_groups);
                checked.map_err(|error| Refusal::new(ErrorCode::InvalidConfig, error.0))?;
            }
            _ => {
                check_broker(&after, resource.name.is_empty())?;
                if let Asked::Broker(asked) = by {
                    check_connections(asked, self.image(), resource, &after)?;
                }
            }
        }
        if resource.kind == ResourceType::Broker && after.contains_key(CORDONED) {
            self.check_cordons(by, &after)?;
        }
        self.clear_elr(resource, &mut records);
        Ok(records)
    }

    /// While eligible leader replicas are on, min.insync.replicas means the same on every broker (KIP-966).
    fn check_min_isr(&self, resource: &Resource, key: &str, value: Option<&Str>) -> Result<(), Refusal> {
        if resource.kind != ResourceType::Broker || key != MIN_ISR || self.image().feature(features::ELR) == 0 {
            return Ok(());
        }
        let invalid = |what: &str| Err(Refusal::new(ErrorCode::InvalidConfig, what));
        match value {
            _ if !resource.name.is_empty() => {
                invalid("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
            }
            None => invalid("Cluster-level min.insync.replicas cannot be removed while ELR is enabled."),
            Some(_) => Ok(()),
        }
    }

    fn check_cordons(&self, by: Asked<'_>, after: &Map<Str, Str>) -> Result<(), Refusal> {
        if self.image().feature(METADATA_VERSION) < CORDONED_DIRECTORIES {
            let what = "The cordoned.log.dirs configuration value cannot be set because it requires metadata.version >= 4.3-IV0";
            return Err(Refusal::new(ErrorCode::InvalidConfig, what));
        }
        match by {
            Asked::Broker(asked) => check_own_cordons(asked, after.get(CORDONED)),
            Asked::Passed | Asked::Controller => Ok(()),
        }
    }

    /// Another min.insync.replicas makes what is known about eligible leaders worthless.
    fn clear_elr(&self, resource: &Resource, records: &mut Vec<MetadataRecord>) {
        let touched = |record: &MetadataRecord| matches!(record, MetadataRecord::Config(it) if it.name == MIN_ISR);
        if self.image().feature(features::ELR) != 0 && records.iter().any(touched) {
            let topic_name = if resource.kind == ResourceType::Topic { resource.name.clone() } else { Str::new() };
            records.push(ClearElrRecord { topic_name }.into());
        }
    }
}

/// What a broker looks at before it passes an AlterConfigs on; all else the controller refuses.
pub(crate) fn check_alter_at_broker(
    asked: &Config,
    image: &Image,
    resource: &alter_configs_request::AlterConfigsResource,
) -> Result<(), Refusal> {
    let changes = |current: Option<&Settings>| replacements(&resource.configs, current).ok();
    check_at_broker(asked, image, (resource.resource_type, &resource.resource_name), &changes)
}

/// What a broker looks at before it passes an IncrementalAlterConfigs on; all else the controller refuses.
pub(crate) fn check_incremental_alter_at_broker(
    asked: &Config,
    image: &Image,
    resource: &incremental_alter_configs_request::AlterConfigsResource,
) -> Result<(), Refusal> {
    let changes = |_: Option<&Settings>| changes(&resource.configs).ok();
    check_at_broker(asked, image, (resource.resource_type, &resource.resource_name), &changes)
}

/// That the broker is the one that is meant, has the directories that are named, and can still be reached.
fn check_at_broker(
    asked: &Config,
    image: &Image,
    (kind, name): (i8, &Str),
    changes: &dyn Fn(Option<&Settings>) -> Readable,
) -> Result<(), Refusal> {
    if kind != ResourceType::Broker.id() {
        return Ok(());
    }
    if !name.is_empty() {
        check_is_meant(asked, name)?;
    }
    let resource = Resource { kind: ResourceType::Broker, name: name.clone() };
    let current = image.settings(&resource);
    let Some(changes) = changes(current) else { return Ok(()) };
    let mut after = all(current);
    for (key, change) in changes {
        let value = change.value(&resource, &key, after.remove(&key))?;
        if key == CORDONED && !name.is_empty() {
            check_own_cordons(asked, value.as_ref())?;
        }
        if let Some(value) = value {
            after.insert(key, value);
        }
    }
    check_connections(asked, image, &resource, &after)
}

fn check_connections(asked: &Config, image: &Image, resource: &Resource, after: &Map<Str, Str>) -> Result<(), Refusal> {
    let checked = asked.check_connections(image, resource, after);
    checked.map_err(|error| Refusal::new(ErrorCode::InvalidRequest, error.0))
}

fn all(settings: Option<&Settings>) -> Map<Str, Str> {
    settings.into_iter().flat_map(Settings::iter).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A client asks the broker itself, which alone can tell whether it can live with the values, as in Kafka.
fn check_is_meant(asked: &Config, name: &str) -> Result<(), Refusal> {
    let id = parse_id(name)?;
    if asked.node_id == id {
        return Ok(());
    }
    let what = format!("Unexpected broker id, expected {}, but received {name}", asked.node_id);
    Err(Refusal::new(ErrorCode::InvalidRequest, what))
}

fn parse_id(name: &str) -> Result<NodeId, Refusal> {
    let what = || format!("Node id must be an integer, but it is: {name}");
    name.parse().map(NodeId).map_err(|_| Refusal::new(ErrorCode::InvalidRequest, what()))
}

fn check_own_cordons(asked: &Config, value: Option<&Str>) -> Result<(), Refusal> {
    let checked = check_cordons(value.map_or("", Str::as_str), &asked.log_dirs);
    checked.map_err(|error| Refusal::new(ErrorCode::InvalidRequest, error.0))
}

/// A controller does not know the paths that brokers have: without a broker, cordons can only be taken away.
fn check_fewer_cordons(before: Option<Str>, value: Option<&Str>) -> Result<(), Refusal> {
    let before = before.unwrap_or_default();
    let (before, after) = (list(&before), list(value.map_or("", Str::as_str)));
    if after.iter().all(|it| before.contains(it)) {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::InvalidConfig,
        "When updating cordoned.log.dirs via controllers,  the new value must be a subset of the current configuration value.",
    ))
}

const MIN_ISR: &str = "min.insync.replicas";

fn changes(configs: &[incremental_alter_configs_request::AlterableConfig]) -> Result<Map<Str, Change>, Refusal> {
    const DELETE: i8 = 1;
    check_nulls(configs.iter().filter(|it| it.config_operation != DELETE).map(|it| (&it.name, &it.value)))?;
    let mut changes = Map::new();
    for config in configs {
        let value = config.value.clone().unwrap_or_default();
        let change = match config.config_operation {
            0 => Change::Set(value),
            DELETE => Change::Delete,
            2 => Change::Append(value),
            3 => Change::Subtract(value),
            other => {
                return Err(Refusal::new(ErrorCode::InvalidRequest, format!("Unknown operations type {other}")));
            }
        };
        if changes.insert(config.name.clone(), change).is_some() {
            return Err(duplicate_keys());
        }
    }
    Ok(changes)
}

/// What is set now and not named is deleted.
fn replacements(
    configs: &[alter_configs_request::AlterableConfig],
    current: Option<&Settings>,
) -> Result<Map<Str, Change>, Refusal> {
    check_nulls(configs.iter().map(|it| (&it.name, &it.value)))?;
    let mut changes = Map::new();
    for config in configs {
        let value = config.value.clone().unwrap_or_default();
        if changes.insert(config.name.clone(), Change::Set(value)).is_some() {
            return Err(duplicate_keys());
        }
    }
    for (name, _) in current.into_iter().flat_map(Settings::iter) {
        changes.entry(name.clone()).or_insert(Change::Delete);
    }
    Ok(changes)
}

fn duplicate_keys() -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, "Error due to duplicate config keys")
}

fn check_nulls<'a>(configs: impl Iterator<Item = (&'a Str, &'a Option<Str>)>) -> Result<(), Refusal> {
    let nulls: Vec<&str> = configs.filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if nulls.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::InvalidRequest, format!("Null value not supported for : {}", nulls.join(", "))))
}

fn edit_list(
    resource: &Resource,
    key: &Str,
    current: Option<Str>,
    operation: &str,
    edit: impl FnOnce(&mut Vec<String>),
) -> Result<Str, Refusal> {
    let definition = match resource.kind {
        ResourceType::Topic => topic_key(key),
        _ => broker_key(key),
    };
    let Some(definition) = definition.filter(|it| it.kind == Kind::List) else {
        return Err(Refusal::new(
            ErrorCode::InvalidConfig,
            format!("Can't {operation} to key {key} because its type is not LIST."),
        ));
    };
    let current = current.unwrap_or_else(|| Str::from_static(definition.default.unwrap_or_default()));
    let mut items: Vec<String> = list(&current).into_iter().map(str::to_owned).collect();
    edit(&mut items);
    Ok(Str::from(items.join(",")))
}

/// What Apache Kafka's brokers act on while they run and ours do not, and what either acts on for one listener alone.
fn check_change(key: &str, all_brokers: bool) -> Result<(), Refusal> {
    let why = match key {
        // Of all brokers at once they are refused for another reason.
        "listeners" | "listener.security.protocol.map" if !all_brokers => "Cannot update these configs dynamically",
        "ssl.key.password"
        | "ssl.keystore.certificate.chain"
        | "ssl.keystore.key"
        | "ssl.keystore.location"
        | "ssl.keystore.password"
        | "ssl.keystore.type"
        | "ssl.truststore.certificates"
        | "ssl.truststore.location"
        | "ssl.truststore.password"
        | "ssl.truststore.type" => {
            "These security configs can be dynamically updated only per-listener using the listener prefix"
        }
        _ => return Ok(()),
    };
    Err(Refusal::new(ErrorCode::InvalidRequest, format!("{why}: [{key}]")))
}

/// Whether brokers can have these settings while they run.
fn check_broker(settings: &Map<Str, Str>, all_brokers: bool) -> Result<(), Refusal> {
    let invalid = |what: String| Err(Refusal::new(ErrorCode::InvalidRequest, what));
    for (key, value) in settings {
        // Kafka lets keys that it does not know pass: plug-ins have keys of their own.
        let Some(definition) = broker_key(key) else { continue };
        match definition.update {
            Update::ReadOnly => return invalid(format!("Cannot update these configs dynamically: [{key}]")),
            Update::PerBroker if all_brokers => {
                return invalid(format!(
                    "Cannot update these configs at default cluster level, broker id must be specified: [{key}]"
                ));
            }
            Update::PerBroker | Update::ClusterWide => {}
        }
        if let Err(error) = definition.check(value) {
            return invalid(error.0);
        }
    }
    Ok(())
}
