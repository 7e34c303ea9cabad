//! Connections to brokers: opened when needed, asked for their versions, watched for silence, backed off from.

use ordered::Map;
use std::collections::VecDeque;

use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use protocol::{ErrorCode, Instant, NodeId, Now, Str, support};

use crate::backoff::exponential_ms;
use crate::config::ClientConfig;
use crate::event::Event;
use crate::input::ConnId;
use crate::outbox::{Connect, Outbox};
use crate::random::Random;
use crate::view::{ConnectionState, ConnectionView, InFlightView};
use crate::wire::{ApiKey, Request, RequestBody, Response, ResponseBody, expects_answer};

/// Connections, one a broker. Bootstrap servers are brokers -1, -2, …, as in Kafka's client: what listens there is
/// learnt from metadata, and the connection is not used for the broker it turns out to be.
#[derive(Clone, Debug)]
pub(crate) struct Network<T> {
    client_id: Str,
    random: Random,
    nodes: Map<NodeId, Node<T>>,
    by_conn: Map<ConnId, NodeId>,
    next_conn: u64,
    next_correlation: i32,
    /// What was asked on connections that were given up, until [`Network::take_parted`].
    parted: Vec<Settled<T>>,
}

#[derive(Clone, Debug)]
struct Node<T> {
    host: Str,
    port: u16,
    /// Whether metadata (or the bootstrap list) names it now.
    current: bool,
    /// Connections that failed in a row.
    failures: u32,
    retry_at: Instant,
    link: Link<T>,
}

#[derive(Clone, Debug)]
enum Link<T> {
    Idle,
    Connecting { conn: ConnId, deadline: Instant },
    Open { conn: ConnId, versions: Option<Versions>, in_flight: VecDeque<InFlight<T>> },
}

/// The versions of each API that a broker speaks.
type Versions = Map<i16, (i16, i16)>;

#[derive(Clone, Debug)]
struct InFlight<T> {
    correlation_id: i32,
    api: ApiKey,
    sent_at: Instant,
    deadline: Instant,
    /// `None` is the network's own ApiVersions.
    ticket: Option<T>,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The connection broke.
    Disconnected,
    /// No answer within `request.timeout.ms`.
    TimedOut,
}

/// What came of a request, for whoever holds its ticket.
#[derive(Clone, Debug)]
pub(crate) struct Settled<T> {
    pub(crate) ticket: T,
    pub(crate) node: NodeId,
    pub(crate) answer: Result<Response, Lost>,
}

impl<T> Network<T> {
    pub(crate) fn new(config: &ClientConfig, random: Random) -> Network<T> {
        let nodes = config
            .bootstrap_servers
            .iter()
            .enumerate()
            .map(|(index, (host, port))| (bootstrap_id(index), Node::new(host.clone(), *port)));
        Network {
            client_id: config.client_id.clone(),
            random,
            nodes: nodes.collect(),
            by_conn: Map::new(),
            next_conn: 1,
            next_correlation: 0,
            parted: Vec::new(),
        }
    }

    /// Takes over the brokers of a metadata answer. Bootstrap servers are kept for the day when no broker is left.
    pub(crate) fn set_brokers<'a>(
        &mut self,
        brokers: impl Iterator<Item = (NodeId, &'a Str, u16)>,
        out: &mut Outbox,
    ) -> Vec<Settled<T>> {
        let mut settled = Vec::new();
        for node in self.nodes.values_mut() {
            node.current = false;
        }
        for (id, host, port) in brokers {
            let moved = self.nodes.get(&id).is_some_and(|node| node.host != *host || node.port != port);
            if moved {
                settled.extend(self.disconnect(id, Lost::Disconnected, true, out));
                self.nodes.remove(&id);
            }
            self.nodes.entry(id).or_insert_with(|| Node::new(host.clone(), port)).current = true;
        }
        // What was asked of a broker that is gone from metadata may still be answered; it is only not asked again.
        self.nodes.retain(|id, node| id.0 < 0 || node.current || !matches!(node.link, Link::Idle));
        settled
    }

    /// A broker that an answer named in passing (KIP-951).
    pub(crate) fn add_broker(&mut self, id: NodeId, host: &Str, port: u16) {
        self.nodes.entry(id).or_insert_with(|| Node::new(host.clone(), port)).current = true;
    }

    /// A connection of its own to the coordinator of a group, which is also the broker of this id.
    pub(crate) fn coordinator_link(&self, id: NodeId) -> NodeId {
        NodeId(COORDINATORS.wrapping_add(id.0))
    }

    /// Where that is.
    pub(crate) fn add_coordinator(&mut self, id: NodeId, host: &Str, port: u16, out: &mut Outbox) {
        let id = self.coordinator_link(id);
        let moved = self.nodes.get(&id).is_some_and(|node| node.host != *host || node.port != port);
        if moved {
            // Whoever waited there asks again once the request is missed.
            self.disconnect(id, Lost::Disconnected, true, out);
            self.nodes.remove(&id);
        }
        let node = self.nodes.entry(id).or_insert_with(|| Node::new(host.clone(), port));
        if matches!(node.link, Link::Idle) {
            // It is named anew, and tried anew: what failed before does not count as having failed now.
            node.failures = 0;
        }
    }

    /// The last connection to it came to nothing, or broke, and no new one is under way.
    pub(crate) fn has_failed(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.failures > 0 && matches!(node.link, Link::Idle))
    }

    /// The brokers that can be asked: those of metadata, or the bootstrap servers while there are none.
    fn candidates(&self) -> Vec<NodeId> {
        let known: Vec<NodeId> =
            self.nodes.iter().filter(|(id, node)| id.0 >= 0 && node.current).map(|(id, _)| *id).collect();
        let is_bootstrap = |id: &&NodeId| (COORDINATORS / 2..0).contains(&id.0);
        if known.is_empty() { self.nodes.keys().filter(is_bootstrap).copied().collect() } else { known }
    }

    /// Who has least to do: an idle connection, else the least busy one, else one being opened, else one that may be
    /// opened. Begins at a random one, so that clients spread.
    pub(crate) fn least_loaded(&mut self, now: Now, max_in_flight: usize) -> Option<NodeId> {
        let candidates = self.candidates();
        if candidates.is_empty() {
            return None;
        }
        let start = self.random.below(candidates.len());
        let (mut ready, mut connecting, mut idle) = (None, None, None);
        for index in 0..candidates.len() {
            let id = candidates[(start + index) % candidates.len()];
            let node = &self.nodes[&id];
            match &node.link {
                Link::Open { versions: Some(_), in_flight, .. } => {
                    if in_flight.len() < max_in_flight && ready.is_none_or(|(load, _)| in_flight.len() < load) {
                        ready = Some((in_flight.len(), id));
                    }
                }
                Link::Open { .. } | Link::Connecting { .. } => connecting = connecting.or(Some(id)),
                Link::Idle => {
                    if node.retry_at <= now.mono {
                        idle = idle.or(Some(id));
                    }
                }
            }
        }
        ready.map(|(_, id)| id).or(connecting).or(idle)
    }

    /// Who is asked for metadata. When none of the brokers that metadata names can be tried now, all are forgotten for the bootstrap
    /// servers (KIP-899): others may serve by now that it never named.
    pub(crate) fn for_metadata(&mut self, now: Now, config: &ClientConfig) -> Option<NodeId> {
        let found = self.least_loaded(now, config.max_in_flight);
        let is_open = |it: &Node<T>| it.current && matches!(it.link, Link::Open { .. });
        if found.is_some() || !config.metadata_rebootstrap || self.nodes.values().any(is_open) {
            return found;
        }
        for node in self.nodes.values_mut() {
            node.current = false;
        }
        self.least_loaded(now, config.max_in_flight)
    }

    /// All brokers that could be asked are given up for the bootstrap servers (KIP-1102), whose names are looked up again as they are
    /// dialled. A group's coordinator is none of them: it is found anew if it does not answer.
    pub(crate) fn rebootstrap(&mut self, now: Now, config: &ClientConfig, out: &mut Outbox) -> Vec<Settled<T>> {
        let mut settled = Vec::new();
        for id in self.candidates() {
            if self.nodes.get(&id).is_some_and(|it| !matches!(it.link, Link::Idle)) {
                settled.extend(self.disconnect_and_back_off(id, Lost::Disconnected, now, config, out));
            }
        }
        for node in self.nodes.values_mut() {
            node.current = false;
        }
        settled
    }

    /// True if a request can be sent to the broker now. Opens a connection if there is none and the back-off is over.
    pub(crate) fn ready(&mut self, id: NodeId, now: Now, config: &ClientConfig, out: &mut Outbox) -> bool {
        let Some(node) = self.nodes.get_mut(&id) else { return false };
        match &node.link {
            Link::Open { versions, .. } => versions.is_some(),
            Link::Connecting { .. } => false,
            Link::Idle => {
                if node.retry_at <= now.mono {
                    let conn = ConnId(self.next_conn);
                    self.next_conn += 1;
                    let timeout = exponential_ms(
                        config.connection_setup_timeout_ms,
                        config.connection_setup_timeout_max_ms,
                        node.failures,
                        &mut self.random,
                    );
                    node.link = Link::Connecting { conn, deadline: now.mono.plus_ms(timeout) };
                    self.by_conn.insert(conn, id);
                    out.connect.push(Connect { conn, host: node.host.clone(), port: node.port });
                }
                false
            }
        }
    }

    /// How many requests on a ready connection have no answer.
    pub(crate) fn in_flight(&self, id: NodeId) -> usize {
        match self.nodes.get(&id).map(|node| &node.link) {
            Some(Link::Open { in_flight, .. }) => in_flight.len(),
            _ => 0,
        }
    }

    /// The newest version of an API that both sides speak; `None` if the broker is not connected or speaks none of ours.
    pub(crate) fn version(&self, id: NodeId, api: ApiKey) -> Option<i16> {
        let Link::Open { versions: Some(versions), .. } = &self.nodes.get(&id)?.link else { return None };
        let (low, high) = *versions.get(&(api as i16))?;
        let ours = support::kafka_range(api)?;
        let version = high.min(*ours.end());
        (version >= low && version >= *ours.start()).then_some(version)
    }

    /// Sends a request on a ready connection. `None` for a request that gets no answer.
    #[expect(clippy::too_many_arguments, reason = "a request is all of these, and they come from different owners")]
    pub(crate) fn send(
        &mut self,
        id: NodeId,
        version: i16,
        body: RequestBody,
        ticket: T,
        timeout_ms: i64,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), T> {
        let correlation_id = self.next_correlation;
        let client_id = self.client_id.clone();
        let Some(Node { link: Link::Open { conn, in_flight, .. }, .. }) = self.nodes.get_mut(&id) else {
            return Err(ticket);
        };
        self.next_correlation = (correlation_id + 1) & i32::MAX;
        let request = Request { version, correlation_id, client_id: Some(client_id), body };
        let silent = !expects_answer(&request);
        if !silent {
            let api = request.body.api_key();
            let deadline = now.mono.plus_ms(timeout_ms);
            in_flight.push_back(InFlight { correlation_id, api, sent_at: now.mono, deadline, ticket: Some(ticket) });
        }
        out.send.push((*conn, request));
        Ok(())
    }

    /// The connection is open: asks for the broker's versions first.
    pub(crate) fn handle_connected(&mut self, conn: ConnId, now: Now, config: &ClientConfig, out: &mut Outbox) {
        let Some(node) = self.by_conn.get(&conn).and_then(|id| self.nodes.get_mut(id)) else { return };
        if matches!(node.link, Link::Connecting { .. }) {
            node.link = Link::Open { conn, versions: None, in_flight: VecDeque::new() };
            let newest = support::kafka_range(ApiKey::ApiVersions).map_or(0, |range| *range.end());
            self.ask_versions(conn, newest, now, config, out);
        }
    }

    fn ask_versions(&mut self, conn: ConnId, version: i16, now: Now, config: &ClientConfig, out: &mut Outbox) {
        let Some(id) = self.by_conn.get(&conn) else { return };
        let Some(Node { link: Link::Open { in_flight, .. }, .. }) = self.nodes.get_mut(id) else { return };
        let correlation_id = self.next_correlation;
        self.next_correlation = (correlation_id + 1) & i32::MAX;
        let mut body = ApiVersionsRequest::default();
        if version >= 3 {
            body.client_software_name = Str::from_static("vivarium");
            body.client_software_version = Str::from_static(env!("CARGO_PKG_VERSION"));
        }
        in_flight.push_back(InFlight {
            correlation_id,
            api: ApiKey::ApiVersions,
            sent_at: now.mono,
            deadline: now.mono.plus_ms(config.request_timeout_ms),
            ticket: None,
        });
        let client_id = Some(self.client_id.clone());
        out.send.push((conn, Request { version, correlation_id, client_id, body: RequestBody::ApiVersions(body) }));
    }

    /// An answer came. `None` if it was the network's own, or makes no sense.
    pub(crate) fn handle_answered(
        &mut self,
        conn: ConnId,
        response: Response,
        now: Now,
        config: &ClientConfig,
        out: &mut Outbox,
    ) -> Vec<Settled<T>> {
        let Some(&id) = self.by_conn.get(&conn) else { return Vec::new() };
        let Some(Node { link: Link::Open { in_flight, .. }, .. }) = self.nodes.get_mut(&id) else { return Vec::new() };
        match in_flight.pop_front() {
            Some(asked) if asked.correlation_id == response.correlation_id && asked.api == response.body.api_key() => {
                if let Some(ticket) = asked.ticket {
                    return vec![Settled { ticket, node: id, answer: Ok(response) }];
                }
                match response.body {
                    ResponseBody::ApiVersions(body) => self.handle_versions(conn, id, body, now, config, out),
                    _ => self.disconnect_and_back_off(id, Lost::Disconnected, now, config, out),
                }
            }
            // An answer to something else: nothing on this connection can be trusted any more.
            other => {
                if let Some(asked) = other {
                    in_flight.push_front(asked);
                }
                self.disconnect_and_back_off(id, Lost::Disconnected, now, config, out)
            }
        }
    }

    fn handle_versions(
        &mut self,
        conn: ConnId,
        id: NodeId,
        body: ApiVersionsResponse,
        now: Now,
        config: &ClientConfig,
        out: &mut Outbox,
    ) -> Vec<Settled<T>> {
        let versions: Versions =
            body.api_keys.iter().map(|it| (it.api_key, (it.min_version, it.max_version))).collect();
        match ErrorCode::from_code(body.error_code) {
            ErrorCode::None => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.failures = 0;
                    if let Link::Open { versions: slot, .. } = &mut node.link {
                        *slot = Some(versions);
                    }
                }
                Vec::new()
            }
            ErrorCode::UnsupportedVersion => {
                let highest = versions.get(&(ApiKey::ApiVersions as i16)).map_or(0, |(_, high)| (*high).max(0));
                let ours = support::kafka_range(ApiKey::ApiVersions).map_or(0, |range| *range.end());
                // A broker that refuses what it says it speaks is asked in version 0 last.
                self.ask_versions(conn, if highest < ours { highest } else { 0 }, now, config, out);
                Vec::new()
            }
            _ => self.disconnect_and_back_off(id, Lost::Disconnected, now, config, out),
        }
    }

    /// The connection could not be opened, or broke.
    pub(crate) fn handle_closed(
        &mut self,
        conn: ConnId,
        now: Now,
        config: &ClientConfig,
        out: &mut Outbox,
    ) -> Vec<Settled<T>> {
        let Some(id) = self.by_conn.remove(&conn) else { return Vec::new() };
        self.back_off(id, now, config);
        self.disconnect(id, Lost::Disconnected, false, out)
    }

    /// Gives up connections that do not open and requests that are not answered. As in Kafka, one silent request costs
    /// the connection, since answers come in order.
    pub(crate) fn handle_time(&mut self, now: Now, config: &ClientConfig, out: &mut Outbox) -> Vec<Settled<T>> {
        let late: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.deadline().is_some_and(|it| it <= now.mono))
            .map(|(id, _)| *id)
            .collect();
        let mut settled = Vec::new();
        for id in late {
            settled.extend(self.disconnect_and_back_off(id, Lost::TimedOut, now, config, out));
        }
        settled
    }

    /// When [`Network::handle_time`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.nodes.values().filter_map(Node::deadline).min()
    }

    /// When the next broker that failed may be tried again.
    pub(crate) fn retry_at(&self, now: Now) -> Option<Instant> {
        let idle = self.nodes.values().filter(|node| matches!(node.link, Link::Idle));
        idle.map(|node| node.retry_at).filter(|at| *at > now.mono).min()
    }

    /// Closes every connection; what was asked is not answered any more.
    pub(crate) fn close_all(&mut self, out: &mut Outbox) -> Vec<Settled<T>> {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        ids.into_iter().flat_map(|id| self.disconnect(id, Lost::Disconnected, true, out)).collect()
    }

    /// Closes the connection to a broker of which nothing is to be heard any more, if there is one.
    pub(crate) fn part(&mut self, id: NodeId, now: Now, config: &ClientConfig, out: &mut Outbox) {
        if self.nodes.get(&id).is_some_and(|it| !matches!(it.link, Link::Idle)) {
            let lost = self.disconnect_and_back_off(id, Lost::Disconnected, now, config, out);
            self.parted.extend(lost);
        }
    }

    /// What is not answered any more since then.
    pub(crate) fn take_parted(&mut self) -> Vec<Settled<T>> {
        std::mem::take(&mut self.parted)
    }

    fn disconnect_and_back_off(
        &mut self,
        id: NodeId,
        why: Lost,
        now: Now,
        config: &ClientConfig,
        out: &mut Outbox,
    ) -> Vec<Settled<T>> {
        self.back_off(id, now, config);
        self.disconnect(id, why, true, out)
    }

    fn back_off(&mut self, id: NodeId, now: Now, config: &ClientConfig) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let wait = exponential_ms(
            config.reconnect_backoff_ms,
            config.reconnect_backoff_max_ms,
            node.failures,
            &mut self.random,
        );
        node.retry_at = now.mono.plus_ms(wait);
        node.failures = node.failures.saturating_add(1);
    }

    fn disconnect(&mut self, id: NodeId, why: Lost, close: bool, out: &mut Outbox) -> Vec<Settled<T>> {
        let Some(node) = self.nodes.get_mut(&id) else { return Vec::new() };
        let (conn, in_flight) = match std::mem::replace(&mut node.link, Link::Idle) {
            Link::Idle => return Vec::new(),
            Link::Connecting { conn, .. } => (conn, VecDeque::new()),
            Link::Open { conn, in_flight, .. } => (conn, in_flight),
        };
        self.by_conn.remove(&conn);
        if close {
            out.close.push(conn);
        }
        let unanswered = in_flight.iter().filter(|it| it.ticket.is_some()).count();
        out.emit(|| Event::Disconnected { node: broker_of(id), unanswered });
        let tickets = in_flight.into_iter().filter_map(|it| it.ticket);
        tickets.map(|ticket| Settled { ticket, node: id, answer: Err(why) }).collect()
    }

    pub(crate) fn view(&self) -> Vec<ConnectionView> {
        let mut views: Vec<ConnectionView> = self.nodes.iter().filter_map(|(id, node)| node.view(*id)).collect();
        ordered::sort_by_key(&mut views, |view| view.conn);
        views
    }
}

/// Connections to coordinators are numbered from here.
const COORDINATORS: i32 = i32::MIN;

/// The broker that a connection leads to.
fn broker_of(id: NodeId) -> NodeId {
    if id.0 < COORDINATORS / 2 { NodeId(id.0.wrapping_sub(COORDINATORS)) } else { id }
}

fn bootstrap_id(index: usize) -> NodeId {
    NodeId(-1 - i32::try_from(index).unwrap_or(i32::MAX - 1))
}

impl<T> Node<T> {
    fn new(host: Str, port: u16) -> Node<T> {
        Node { host, port, current: true, failures: 0, retry_at: Instant(0), link: Link::Idle }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.link {
            Link::Idle => None,
            Link::Connecting { deadline, .. } => Some(*deadline),
            Link::Open { in_flight, .. } => in_flight.iter().map(|it| it.deadline).min(),
        }
    }

    fn view(&self, id: NodeId) -> Option<ConnectionView> {
        let (conn, state, in_flight) = match &self.link {
            Link::Idle => return None,
            Link::Connecting { conn, .. } => (*conn, ConnectionState::Connecting, Vec::new()),
            Link::Open { conn, versions, in_flight } => {
                let state = if versions.is_some() { ConnectionState::Ready } else { ConnectionState::Negotiating };
                let in_flight = in_flight.iter().map(|it| InFlightView {
                    correlation_id: it.correlation_id,
                    api: it.api,
                    sent_at: it.sent_at,
                    deadline: it.deadline,
                });
                (*conn, state, in_flight.collect())
            }
        };
        Some(ConnectionView { conn, node: broker_of(id), host: self.host.clone(), port: self.port, state, in_flight })
    }
}
