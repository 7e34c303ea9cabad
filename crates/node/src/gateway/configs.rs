//! DescribeConfigs 1 to 4 (KIP-226, KIP-569), AlterConfigs 0 to 2, IncrementalAlterConfigs 0 to 1 (KIP-339),
//! ListConfigResources 0 to 1 (KIP-1142).
//!
//! Gaps: configurations of client metrics and broker loggers. Documentation is in our words, and there is none for
//! keys on which this node does not act.

use ordered::Set;

use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::messages::list_config_resources_response::ConfigResource;
use protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse, ErrorCode,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse, alter_configs_response, incremental_alter_configs_response,
};
use protocol::{RequestBody, ResponseBody, Str};

use super::{Context, Step};
use crate::config::{
    BROKER_KEYS, Config, Definition, GROUP_KEYS, Kind, TOPIC_KEYS, Update, broker_key, broker_synonyms, group_key,
    group_synonym, topic_synonyms,
};
use crate::controller::{Asked, Origin, check_alter_at_broker, check_incremental_alter_at_broker, check_name};
use crate::image::{Image, Resource, ResourceType, Settings};
use crate::refusal::Refusal;

/// `ConfigResource.Type` of broker loggers, which have no stored configuration.
const BROKER_LOGGER: i8 = 8;

/// AlterConfigs: has the controller decide.
pub fn alter(context: &mut Context<'_>, by: Asked<'_>, request: AlterConfigsRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_alter_configs(by, &request));
    }
    let refused = request.resources.into_iter().map(|it| alter_configs_response::AlterConfigsResourceResponse {
        error_code: ErrorCode::NotController.code(),
        resource_type: it.resource_type,
        resource_name: it.resource_name,
        ..Default::default()
    });
    let response = AlterConfigsResponse { responses: refused.collect(), ..AlterConfigsResponse::default() };
    Step::Answer(ResponseBody::AlterConfigs(response))
}

/// IncrementalAlterConfigs: has the controller decide.
pub fn incremental_alter(context: &mut Context<'_>, by: Asked<'_>, request: IncrementalAlterConfigsRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_incremental_alter_configs(by, &request));
    }
    let refused =
        request.resources.into_iter().map(|it| incremental_alter_configs_response::AlterConfigsResourceResponse {
            error_code: ErrorCode::NotController.code(),
            resource_type: it.resource_type,
            resource_name: it.resource_name,
            ..Default::default()
        });
    let response =
        IncrementalAlterConfigsResponse { responses: refused.collect(), ..IncrementalAlterConfigsResponse::default() };
    Step::Answer(ResponseBody::IncrementalAlterConfigs(response))
}

/// Whom a request that only a controller decides has come by: clients ask brokers, on whose listeners it is not wrapped.
pub(super) fn asked<'a>(context: &Context<'a>) -> Asked<'a> {
    match context.config.is_controller_listener(&context.peer.listener) {
        true => Asked::Passed,
        false => Asked::Broker(context.config),
    }
}

/// A resource that the broker that was asked refuses itself: where it was in the request, and why.
#[derive(Clone, Debug)]
pub(super) struct RefusedHere {
    place: usize,
    kind: i8,
    name: Str,
    refusal: Refusal,
}

/// Takes out of a request what this broker refuses before it passes the rest on, as Kafka's `ConfigAdminManager` does.
pub(super) fn take_refused(config: &Config, image: &Image, body: &mut RequestBody) -> Vec<RefusedHere> {
    match body {
        RequestBody::AlterConfigs(request) => take(
            &mut request.resources,
            |it| (it.resource_type, it.resource_name.clone()),
            |it| check_alter_at_broker(config, image, it),
        ),
        RequestBody::IncrementalAlterConfigs(request) => take(
            &mut request.resources,
            |it| (it.resource_type, it.resource_name.clone()),
            |it| check_incremental_alter_at_broker(config, image, it),
        ),
        _ => Vec::new(),
    }
}

fn take<T>(
    resources: &mut Vec<T>,
    named: impl Fn(&T) -> (i8, Str),
    check: impl Fn(&T) -> Result<(), Refusal>,
) -> Vec<RefusedHere> {
    let mut seen = Set::new();
    // What is named twice the controller refuses, both times.
    let twice: Set<(i8, Str)> = resources.iter().map(&named).filter(|it| !seen.insert(it.clone())).collect();
    let mut refused = Vec::new();
    for (place, resource) in std::mem::take(resources).into_iter().enumerate() {
        let (kind, name) = named(&resource);
        match check(&resource) {
            Err(refusal) if !twice.contains(&(kind, name.clone())) => {
                refused.push(RefusedHere { place, kind, name, refusal });
            }
            _ => resources.push(resource),
        }
    }
    refused
}

/// Puts what this broker refused where it was asked for, among the controller's answers.
pub(super) fn put_refused(body: &mut ResponseBody, refused: Vec<RefusedHere>) {
    match body {
        ResponseBody::AlterConfigs(answer) => {
            put(&mut answer.responses, refused, |it| alter_configs_response::AlterConfigsResourceResponse {
                error_code: it.refusal.code.code(),
                error_message: Some(it.refusal.message),
                resource_type: it.kind,
                resource_name: it.name,
            })
        }
        ResponseBody::IncrementalAlterConfigs(answer) => {
            put(&mut answer.responses, refused, |it| incremental_alter_configs_response::AlterConfigsResourceResponse {
                error_code: it.refusal.code.code(),
                error_message: Some(it.refusal.message),
                resource_type: it.kind,
                resource_name: it.name,
            })
        }
        _ => {}
    }
}

fn put<T>(answers: &mut Vec<T>, refused: Vec<RefusedHere>, answer: impl Fn(RefusedHere) -> T) {
    let mut refused = refused.into_iter().peekable();
    for other in std::mem::take(answers) {
        while let Some(it) = refused.next_if(|it| it.place == answers.len()) {
            answers.push(answer(it));
        }
        answers.push(other);
    }
    answers.extend(refused.map(answer));
}

/// ListConfigResources: what can be described. Version 0 knows client metrics only, of which there are none.
pub fn list_resources(context: &mut Context<'_>, request: ListConfigResourcesRequest) -> Step {
    let (topic, broker) = (ResourceType::Topic.id(), ResourceType::Broker.id());
    let (metrics, group) = (ResourceType::ClientMetrics.id(), ResourceType::Group.id());
    let known: &[i8] = if context.version == 0 { &[metrics] } else { &[topic, broker, BROKER_LOGGER, metrics, group] };
    let mut response = ListConfigResourcesResponse::default();
    if request.resource_types.iter().any(|it| !known.contains(it)) {
        response.error_code = ErrorCode::UnsupportedVersion.code();
        return Step::Answer(ResponseBody::ListConfigResources(response));
    }
    let asked: Set<i8> = match request.resource_types.as_slice() {
        [] => known.iter().copied().collect(),
        some => some.iter().copied().collect(),
    };
    let image = context.image;
    let reachable = || image.brokers().filter(|it| it.endpoints.contains_key(&context.peer.listener));
    for resource_type in asked {
        let names: Vec<Str> = match ResourceType::from_id(resource_type) {
            Some(ResourceType::Topic) => image.topics().map(|it| it.name.clone()).collect(),
            Some(kind @ (ResourceType::ClientMetrics | ResourceType::Group)) => {
                image.configured().filter(|it| it.kind == kind).map(|it| it.name.clone()).collect()
            }
            Some(ResourceType::Broker) | None => reachable().map(|it| Str::from(it.id.to_string())).collect(),
        };
        let resource = |resource_name| ConfigResource { resource_name, resource_type };
        response.config_resources.extend(names.into_iter().map(resource));
    }
    Step::Answer(ResponseBody::ListConfigResources(response))
}

/// DescribeConfigs: effective values and where they come from.
pub fn describe(context: &mut Context<'_>, request: DescribeConfigsRequest) -> Step {
    let describe = Describe {
        config: context.config,
        image: context.image,
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let results = request.resources.iter().map(|asked| {
        let mut result = DescribeConfigsResult {
            resource_type: asked.resource_type,
            resource_name: asked.resource_name.clone(),
            ..DescribeConfigsResult::default()
        };
        match describe.resource(asked) {
            Ok(configs) => result.configs = configs,
            Err(refusal) => {
                result.error_code = refusal.code.code();
                // A code that says everything comes without a sentence, as in Kafka.
                let says_more = refusal != Refusal::of(refusal.code);
                result.error_message = Some(refusal.message).filter(|_| says_more);
            }
        }
        result
    });
    let response = DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() };
    Step::Answer(ResponseBody::DescribeConfigs(response))
}

struct Describe<'a> {
    config: &'a Config,
    image: &'a Image,
    synonyms: bool,
    documentation: bool,
}

impl Describe<'_> {
    fn resource(&self, asked: &DescribeConfigsResource) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        let name = &asked.resource_name;
        let invalid = |what: String| Err(Refusal::new(ErrorCode::InvalidRequest, what));
        // No keys is the same as all keys, as in Kafka.
        let keys = asked.configuration_keys.as_deref().filter(|keys| !keys.is_empty());
        let wanted = |key: &str| keys.is_none_or(|keys| keys.iter().any(|it| *it == key));
        match ResourceType::from_id(asked.resource_type) {
            Some(ResourceType::Topic) => {
                check_name(name)?;
                if self.image.topic(name).is_none() {
                    return Err(Refusal::of(ErrorCode::UnknownTopicOrPartition));
                }
                let resource = Resource::topic(name);
                let is_set = |key: &str| self.image.setting(&resource, key).is_some();
                let shown = TOPIC_KEYS.iter().filter(|key| wanted(key.name) && (!key.internal || is_set(key.name)));
                Ok(shown.map(|key| self.topic_key(&resource, key)).collect())
            }
            Some(ResourceType::Broker) if name.is_empty() => Ok(self.all_brokers(&wanted)),
            Some(ResourceType::Broker) => match name.parse::<i32>() {
                Ok(id) if id == self.config.node_id.0 => Ok(self.this_broker(&wanted)),
                Ok(_) => invalid(format!(
                    "Unexpected broker id, expected {} or empty string, but received {name}",
                    self.config.node_id
                )),
                Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
            },
            Some(ResourceType::ClientMetrics) => invalid("Unsupported resource type: CLIENT_METRICS".into()),
            Some(ResourceType::Group) if name.is_empty() => invalid("Group name must not be empty".into()),
            Some(ResourceType::Group) => {
                let resource = Resource { kind: ResourceType::Group, name: name.clone() };
                let shown = GROUP_KEYS.iter().filter(|it| wanted(it)).filter_map(|it| group_key(it));
                Ok(shown.map(|key| self.group_key(&resource, &key)).collect())
            }
            None if asked.resource_type == BROKER_LOGGER => invalid("Unsupported resource type: BROKER_LOGGER".into()),
            None => invalid(format!("Unexpected resource type {} for resource {name}", asked.resource_type)),
        }
    }

    fn topic_key(&self, resource: &Resource, key: &Definition) -> DescribeConfigsResourceResult {
        let mut synonyms = Vec::new();
        if let Some(value) = self.image.setting(resource, key.name) {
            synonyms.push(synonym(key, key.name, value.clone(), Origin::Topic));
        }
        if let Some((first, _)) = topic_synonyms(key.name).first()
            && let Some(definition) = broker_key(first)
        {
            synonyms.extend(self.broker_chain(definition, key));
        }
        self.result(key, key.name, self.config.topic_value(self.image, resource, key.name), false, synonyms)
    }

    fn group_key(&self, resource: &Resource, key: &Definition) -> DescribeConfigsResourceResult {
        let mut synonyms = Vec::new();
        if let Some(value) = self.image.setting(resource, key.name) {
            synonyms.push(synonym(key, key.name, value.clone(), Origin::Group));
        }
        match group_synonym(key.name) {
            Some(definition) => synonyms.extend(self.broker_chain(definition, key)),
            None => {
                let default = key.default.map(Str::from_static);
                synonyms.extend(default.map(|it| synonym(key, key.name, it, Origin::Default)));
            }
        }
        let value = synonyms.first().and_then(|it| it.value.clone());
        self.result(key, key.name, value, false, synonyms)
    }

    fn this_broker(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<DescribeConfigsResourceResult> {
        let mut shown = Vec::new();
        for key in BROKER_KEYS {
            let chain = self.broker_chain(key, key);
            let is_set = chain.first().is_some_and(|it| it.source != Origin::Default.id());
            if !wanted(key.name) || (key.internal && !is_set) {
                continue;
            }
            // Only the key itself counts here: the topics' defaults are what look at the synonyms.
            let value = chain.iter().find(|it| it.name == key.name).and_then(|it| it.value.clone());
            let value = value.or_else(|| self.derived(key.name));
            shown.push(self.result(key, key.name, value, key.update == Update::ReadOnly, chain));
        }
        shown
    }

    /// Keys that have a value although nobody set one and there is no default.
    fn derived(&self, key: &str) -> Option<Str> {
        match key {
            "node.id" | "broker.id" => Some(Str::from(self.config.node_id.to_string())),
            "process.roles" => Some(Str::from_static("broker,controller")),
            "controller.listener.names" => {
                let names: Vec<&str> = self.config.controller_listener_names.iter().map(Str::as_str).collect();
                Some(Str::from(names.join(",")))
            }
            _ => None,
        }
    }

    /// The settings made for all brokers; nothing else is the same for all.
    fn all_brokers(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<DescribeConfigsResourceResult> {
        let settings = self.image.settings(&Resource::all_brokers());
        let set = settings.into_iter().flat_map(Settings::iter).filter(|(name, _)| wanted(name));
        set.map(|(name, value)| match broker_key(name) {
            Some(key) => {
                let synonyms = vec![synonym(key, key.name, value.clone(), Origin::AllBrokers)];
                self.result(key, key.name, Some(value.clone()), key.update == Update::ReadOnly, synonyms)
            }
            None => unknown(name),
        })
        .collect()
    }

    /// Every value that was set for a node's key or its synonyms, the one that counts first.
    fn broker_chain(&self, key: &'static Definition, shown_as: &Definition) -> Vec<DescribeConfigsSynonym> {
        let names = broker_synonyms(key.name);
        let this_broker = Resource::broker(self.config.node_id);
        let all_brokers = Resource::all_brokers();
        let mut chain = Vec::new();
        let mut add = |origin: Origin, read: &dyn Fn(&'static str) -> Option<Str>| {
            for name in &names {
                chain.extend(read(name).map(|value| synonym(shown_as, name, value, origin)));
            }
        };
        add(Origin::Broker, &|name| self.image.setting(&this_broker, name).cloned());
        add(Origin::AllBrokers, &|name| self.image.setting(&all_brokers, name).cloned());
        add(Origin::Static, &|name| self.config.explicit(name).cloned());
        add(Origin::Default, &|name| broker_key(name)?.default.map(Str::from_static));
        // As Kafka: what comes before the key's own first value is no synonym of it.
        let own = chain.iter().position(|it| it.name == key.name).unwrap_or(chain.len());
        chain.split_off(own)
    }

    fn result(
        &self,
        key: &Definition,
        name: &'static str,
        value: Option<Str>,
        read_only: bool,
        synonyms: Vec<DescribeConfigsSynonym>,
    ) -> DescribeConfigsResourceResult {
        DescribeConfigsResourceResult {
            name: Str::from_static(name),
            value: value.filter(|_| !key.sensitive()),
            read_only,
            config_source: synonyms.first().map_or(Origin::Default.id(), |it| it.source),
            is_sensitive: key.sensitive(),
            synonyms: if self.synonyms { synonyms } else { Vec::new() },
            config_type: key.kind.id(),
            documentation: key.doc.filter(|_| self.documentation).map(Str::from_static),
        }
    }
}

fn synonym(key: &Definition, name: &'static str, value: Str, origin: Origin) -> DescribeConfigsSynonym {
    let value = Some(value).filter(|_| !key.sensitive());
    DescribeConfigsSynonym { name: Str::from_static(name), value, source: origin.id() }
}

/// A key that Kafka does not know either may be a plug-in's, and may be a secret.
fn unknown(name: &Str) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: name.clone(),
        value: None,
        read_only: true,
        config_source: Origin::AllBrokers.id(),
        is_sensitive: true,
        config_type: Kind::String.id(),
        ..DescribeConfigsResourceResult::default()
    }
}
