//! Where a node listens and whom it votes with.

use ordered::Map;

use protocol::{NodeId, Str};

use super::{ConfigError, Roles, Values, list};
use crate::image::SecurityProtocol;

/// A listener, bound or advertised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub name: Str,
    /// The address; empty to bind all of them.
    pub host: Str,
    /// The port; 0 for any free one.
    pub port: u16,
    /// How it is secured.
    pub security: SecurityProtocol,
}

/// A voter of `controller.quorum.voters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its `node.id`.
    pub id: NodeId,
    /// Its host.
    pub host: Str,
    /// Its port.
    pub port: u16,
}

/// Everything about listeners.
pub(super) struct Network {
    pub(super) listeners: Vec<Listener>,
    pub(super) advertised: Vec<Listener>,
    pub(super) controller_names: Vec<Str>,
    pub(super) inter_broker_name: Str,
    /// Those of `advertised` whose host nobody has said.
    pub(super) wild: Vec<Str>,
}

impl Network {
    pub(super) fn parse(values: &Values<'_>, roles: Roles) -> Result<Network, ConfigError> {
        let protocols = protocol_map(values)?;
        // A node that was told nothing needs no listener for other controllers.
        let bare = values.explicit("process.roles").is_none() && values.explicit("controller.listener.names").is_none();
        let controller_names =
            if bare { vec![Str::from_static("CONTROLLER")] } else { values.items("controller.listener.names") };
        let listeners = parse_list("listeners", values, &protocols, &controller_names)?;
        distinct_ports(&listeners)?;
        let mut advertised = match values.explicit("advertised.listeners") {
            Some(_) => advertised(values, &protocols, &controller_names, &listeners)?,
            None => listeners.iter().map(reachable).collect(),
        };
        if let Some(wild) = advertised.iter().find(|it| matches!(it.host.as_str(), "0.0.0.0" | "::")) {
            return Err(ConfigError(format!(
                "advertised.listeners cannot use the nonroutable meta-address {}: use a routable IP address or a host name",
                wild.host
            )));
        }
        let mut wild: Vec<Str> = Vec::new();
        for it in advertised.iter_mut().filter(|it| it.host.is_empty()) {
            // By this name it is reached from this machine at least, which is all that who said nothing can expect.
            it.host = Str::from_static("localhost");
            wild.extend(values.explicit("listeners").map(|_| it.name.clone()));
        }
        let is_controller = |name: &Str| controller_names.contains(name);
        if roles.controller && !bare && !listeners.iter().any(|it| is_controller(&it.name)) {
            return Err(ConfigError(
                "controller.listener.names must contain at least one value appearing in the 'listeners' configuration when \
                 running the KRaft controller role"
                    .into(),
            ));
        }
        if !roles.controller
            && let Some(it) = listeners.iter().find(|it| is_controller(&it.name))
        {
            return Err(ConfigError(format!(
                "controller.listener.names must not contain a value appearing in the 'listeners' configuration when running KRaft with \
                 just the broker role: {}",
                it.name
            )));
        }
        if !roles.controller && controller_names.is_empty() {
            return Err(ConfigError(
                "controller.listener.names must contain at least one value when running KRaft with just the broker role".into(),
            ));
        }
        if !roles.broker
            && let Some(it) = listeners.iter().find(|it| !is_controller(&it.name))
        {
            return Err(ConfigError(format!(
                "The listeners config must only contain KRaft controller listeners from controller.listener.names when \
                 process.roles=controller: {}",
                it.name
            )));
        }
        if roles.broker && !listeners.iter().any(|it| !is_controller(&it.name)) {
            return Err(ConfigError(
                "There must be at least one broker listener: every name in `listeners` appears in controller.listener.names".into(),
            ));
        }
        let inter_broker_name = match roles.broker {
            true => inter_broker_name(values, &listeners, &controller_names)?,
            // A controller calls brokers nowhere.
            false => Str::default(),
        };
        Ok(Network { listeners, advertised, controller_names, inter_broker_name, wild })
    }

    /// The first of the controllers' listeners is where `controller.quorum.voters` has this node, if nothing else says where it is.
    pub(super) fn vote_at(&mut self, voter: &Voter) {
        let Some(name) = self.controller_names.first() else { return };
        let before = self.wild.len();
        self.wild.retain(|it| it != name);
        if self.wild.len() < before
            && let Some(it) = self.advertised.iter_mut().find(|it| it.name == *name)
        {
            (it.host, it.port) = (voter.host.clone(), voter.port);
        }
    }

    /// True if a controller's listener of this node is bound or advertised there.
    pub(super) fn is_own_controller(&self, host: &str, port: u16) -> bool {
        let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        let is_there = |it: &&Listener| {
            // Bound to one address of 127/8 it is not at the others, where there may be another node.
            let is_everywhere = matches!(it.host.as_str(), "" | "0.0.0.0" | "::");
            let (is_name, is_named) = (is_localhost(host), is_localhost(&it.host));
            it.host.eq_ignore_ascii_case(host)
                || (is_everywhere && is_loopback(host))
                || (is_name && is_first_loopback(&it.host))
                || (is_named && is_first_loopback(host))
        };
        let own = self.listeners.iter().chain(&self.advertised);
        own.filter(|it| it.port == port && self.controller_names.contains(&it.name)).any(|it| is_there(&it))
    }
}

/// The key that `listener.name.LISTENER.KEY` overrides for one listener.
pub(super) fn override_of(key: &str) -> Option<&str> {
    key.strip_prefix("listener.name.")?.split_once('.').map(|(_, key)| key)
}

fn protocol_map(values: &Values<'_>) -> Result<Map<Str, SecurityProtocol>, ConfigError> {
    let text = values.text("listener.security.protocol.map").unwrap_or_default();
    let mut map = Map::new();
    for entry in list(&text) {
        let named = entry.rsplit_once(':').and_then(|(name, protocol)| {
            Some((
                Str::from(name.trim().to_ascii_uppercase()),
                SecurityProtocol::from_name(&protocol.trim().to_ascii_uppercase())?,
            ))
        });
        let Some((name, protocol)) = named else {
            return Err(ConfigError(format!(
                "Invalid value {entry} for configuration listener.security.protocol.map: expected NAME:PROTOCOL with one of PLAINTEXT, \
                 SSL, SASL_PLAINTEXT, SASL_SSL"
            )));
        };
        map.insert(name, protocol);
    }
    Ok(map)
}

fn parse_list(
    key: &str,
    values: &Values<'_>,
    protocols: &Map<Str, SecurityProtocol>,
    controller_names: &[Str],
) -> Result<Vec<Listener>, ConfigError> {
    let text = values.text(key).unwrap_or_default();
    let mut listeners: Vec<Listener> = Vec::new();
    for entry in list(&text) {
        let Some((name, host, port)) = address(entry) else {
            return Err(ConfigError(format!(
                "Invalid value {entry} for configuration {key}: expected NAME://host:port"
            )));
        };
        let name = Str::from(name.to_ascii_uppercase());
        let security = match protocols.get(&name) {
            Some(security) => *security,
            // As in Kafka: controller listeners are plain unless the map was set and says otherwise.
            None if controller_names.contains(&name) && values.explicit("listener.security.protocol.map").is_none() => {
                SecurityProtocol::Plaintext
            }
            None => {
                return Err(ConfigError(format!(
                    "No security protocol defined for listener {name}: add it to listener.security.protocol.map"
                )));
            }
        };
        if security != SecurityProtocol::Plaintext {
            return Err(ConfigError(format!(
                "{key}={entry}: the security protocol {} is not supported yet; use PLAINTEXT",
                security.name()
            )));
        }
        if listeners.iter().any(|it| it.name == name) {
            return Err(ConfigError(format!("Each listener must have a different name, {key}: {text}")));
        }
        listeners.push(Listener { name, host: Str::from(host), port, security });
    }
    if listeners.is_empty() {
        return Err(ConfigError(format!("Configuration '{key}' must not be empty: expected NAME://host:port")));
    }
    Ok(listeners)
}

/// `NAME://host:port`; the host may be empty or an IPv6 address in brackets.
fn address(entry: &str) -> Option<(&str, &str, u16)> {
    let (name, rest) = entry.split_once("://")?;
    let (host, port) = rest.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let valid_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let valid_host = !host.contains(['/', '[', ']']) && !host.contains(char::is_whitespace);
    (valid_name && valid_host).then_some(())?;
    Some((name, host, port.parse().ok()?))
}

/// What is advertised when nothing was said: the listener itself; without a host if it is bound to every address.
fn reachable(listener: &Listener) -> Listener {
    let is_wild = matches!(listener.host.as_str(), "0.0.0.0" | "::");
    let host = if is_wild { Str::default() } else { listener.host.clone() };
    Listener { host, ..listener.clone() }
}

fn advertised(
    values: &Values<'_>,
    protocols: &Map<Str, SecurityProtocol>,
    controller_names: &[Str],
    listeners: &[Listener],
) -> Result<Vec<Listener>, ConfigError> {
    let mut advertised = parse_list("advertised.listeners", values, protocols, controller_names)?;
    let known = |it: &&Listener| !listeners.iter().any(|listener| listener.name == it.name);
    if let Some(unknown) = advertised.iter().find(known) {
        return Err(ConfigError(format!(
            "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners: {} is not in listeners",
            unknown.name
        )));
    }
    // Controllers must be told where a controller listens even when only the clients' names were advertised.
    let missing: Vec<Listener> = listeners
        .iter()
        .filter(|it| controller_names.contains(&it.name) && !advertised.iter().any(|other| other.name == it.name))
        .map(reachable)
        .collect();
    advertised.extend(missing);
    Ok(advertised)
}

fn distinct_ports(listeners: &[Listener]) -> Result<(), ConfigError> {
    for (index, listener) in listeners.iter().enumerate() {
        if listener.port != 0
            && listeners[..index].iter().any(|it| it.port == listener.port && it.host == listener.host)
        {
            return Err(ConfigError(format!(
                "Each listener must have a different port: {} is used twice",
                listener.port
            )));
        }
    }
    Ok(())
}

fn inter_broker_name(
    values: &Values<'_>,
    listeners: &[Listener],
    controller_names: &[Str],
) -> Result<Str, ConfigError> {
    let brokers = || listeners.iter().filter(|it| !controller_names.contains(&it.name));
    if let Some(name) = values.explicit("inter.broker.listener.name") {
        let name = Str::from(name.to_ascii_uppercase());
        return brokers().find(|it| it.name == name).map(|it| it.name.clone()).ok_or_else(|| {
            ConfigError(format!(
                "inter.broker.listener.name={name}: expected the name of one of the broker's listeners"
            ))
        });
    }
    let protocol = values.text("security.inter.broker.protocol").unwrap_or_default();
    // Kafka requires a listener named after the protocol; a single listener of another name is unambiguous, too.
    let named = brokers().find(|it| it.name == *protocol);
    let only = || brokers().next().filter(|_| brokers().count() == 1);
    named.or_else(only).map(|it| it.name.clone()).ok_or_else(|| {
        ConfigError(format!(
            "No listener is named {protocol}: set inter.broker.listener.name to one of the broker's listeners"
        ))
    })
}

/// `controller.quorum.voters`, which must agree with the node's roles.
pub(super) fn voters(values: &Values<'_>, node_id: NodeId, roles: Roles) -> Result<Vec<Voter>, ConfigError> {
    let servers = values.items("controller.quorum.bootstrap.servers");
    let mut voters: Vec<Voter> = Vec::new();
    for entry in values.items("controller.quorum.voters") {
        let voter = entry.split_once('@').and_then(|(id, address)| {
            let (host, port) = address.rsplit_once(':')?;
            Some(Voter { id: NodeId(id.parse().ok()?), host: Str::from(host), port: port.parse().ok()? })
        });
        let voter = voter.filter(|it| it.id.0 >= 0 && !it.host.is_empty()).ok_or_else(|| {
            ConfigError(format!(
                "Invalid value {entry} for configuration controller.quorum.voters: expected id@host:port"
            ))
        })?;
        if voters.iter().any(|it| it.id == voter.id) {
            return Err(ConfigError(format!("controller.quorum.voters names node {} twice", voter.id)));
        }
        voters.push(voter);
    }
    let is_named = voters.iter().any(|it| it.id == node_id);
    let ids = || voters.iter().map(|it| it.id.to_string()).collect::<Vec<_>>().join(",");
    match (roles.controller, is_named) {
        (true, false) if !voters.is_empty() => Err(ConfigError(format!(
            "If process.roles contains the 'controller' role, the node id {node_id} must be included in the set of voters \
             controller.quorum.voters=({})",
            ids()
        ))),
        (false, true) => Err(ConfigError(format!(
            "If process.roles contains just the 'broker' role, the node id {node_id} must not be included in the set of voters \
             controller.quorum.voters=({})",
            ids()
        ))),
        (false, false) if voters.is_empty() && servers.is_empty() => Err(ConfigError(
            "process.roles=broker: controller.quorum.bootstrap.servers must name the controllers, as host:port, or \
             controller.quorum.voters, as id@host:port"
                .into(),
        )),
        _ => Ok(voters),
    }
}

/// True for names of this machine that are the same on every machine.
fn is_loopback(host: &str) -> bool {
    is_localhost(host) || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_localhost(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
}

/// True for what `localhost` stands for.
fn is_first_loopback(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "::1")
}
