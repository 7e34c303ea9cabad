//! One file per API family: what a request means, headed by versions, KIPs and gaps.
//!
//! A handler of the control plane sees committed state and answers at once ([`Step::Answer`]) or has the controller decide
//! ([`Step::Decided`]): then the records are appended to the metadata log, applied to the controller's image, and the
//! reply is parked until the metadata high watermark passes them. The data plane's handlers are methods of
//! [`Node`], because what they answer depends on logs and on what was written.

mod alter_replica_log_dirs;
pub mod api_versions;
pub mod broker_life;
pub mod configs;
mod consumer_groups;
pub(crate) mod controller;
pub mod create_partitions;
pub mod create_topics;
pub(crate) mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub(crate) mod describe_log_dirs;
mod describe_producers;
pub mod describe_topic_partitions;
pub mod elect_leaders;
pub(crate) mod fetch;
mod find_coordinator;
pub(crate) mod forward;
pub(crate) mod groups;
pub(crate) mod init_producer_id;
pub(crate) mod list_offsets;
pub mod metadata;
pub(crate) mod news;
mod offset_for_leader_epoch;
mod offsets;
pub(crate) mod produce;
pub mod reassignments;
mod records;
pub(crate) mod refusals;
pub(crate) mod session;
pub mod update_features;

pub use records::check_answer;

use protocol::frame::{Request, Response};
use protocol::{NodeId, Now, RequestBody, ResponseBody, Str, support};

use crate::config::Config;
use crate::controller::{Controller, Outcome};
use crate::deferred::{Committed, Pending, Waiter};
use crate::event::Event;
use crate::image::Image;
use crate::input::{ConnId, Peer, PeerHost};
use crate::node::Node;
use crate::outbox::{Outbox, Reply};
use crate::timers::WakeReason;
use protocol::Random;
use quorum::Quorum;

/// What a handler may look at.
pub struct Context<'a> {
    /// Both clocks.
    pub now: Now,
    /// The node's settings.
    pub config: &'a Config,
    /// The committed metadata.
    pub image: &'a Image,
    /// Decides over the speculative metadata. Active on this node or it refuses with NOT_CONTROLLER.
    pub controller: &'a Controller,
    /// For topic ids and the placement of replicas.
    pub random: &'a mut Random,
    /// The quorum below the metadata log.
    pub quorum: &'a Quorum,
    /// Who asks.
    pub peer: &'a Peer,
    /// The request's version.
    pub version: i16,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The reply depends on committed state only.
    Answer(ResponseBody),
    /// Records first; the reply waits until they (and all before them) are committed.
    Decided(Outcome),
    /// As decided, but first the quorum's voters become the log's own (`kraft.version` 1).
    Upgrade(Outcome),
    /// The answer goes out at once; the active controller, which is another node, is asked to create these topics meanwhile.
    Ask(Vec<Str>, ResponseBody),
}

impl Node {
    /// A request of a connection that is open, while the node serves (or ApiVersions at any time).
    pub(crate) fn dispatch(&mut self, now: Now, conn: ConnId, request: Request, out: &mut Outbox) {
        let (version, api) = (request.version, request.body.api_key());
        let waiter = Waiter { conn, correlation_id: request.correlation_id, version };
        let Some(peer) = self.connections.get(&conn).cloned() else { return };
        if self.config.is_controller_listener(&peer.listener) {
            if !api.versions().contains(&version) {
                return self.close(conn, format!("{} version {version} is not supported", api.name()), out);
            }
            return self.dispatch_to_controller(now, waiter, &peer, request.body, out);
        }
        // Produce 0 to 2 are advertised for the sake of old clients' checks and served by nobody (KIP-896).
        let is_served = support::kafka_range(api).is_some_and(|versions| versions.contains(&version));
        if !is_served || !api.versions().contains(&version) {
            return self.close(conn, format!("{} version {version} is not supported", api.name()), out);
        }
        if controller::is_forwarded(api) && !self.controller.is_active() {
            return self.forward(now, waiter, &peer, request, out);
        }
        if controller::is_of_quorum(&request.body) {
            return self.ask_quorum(now, waiter, request.body, out);
        }
        let Some(request) = self.dispatch_to_coordinator(now, waiter, &peer, request, out) else { return };
        let mut context = self.context(now, &peer, version);
        let step = match request.body {
            RequestBody::Produce(request) => return self.handle_produce(now, waiter, request, out),
            RequestBody::Fetch(request) => return self.handle_fetch(now, waiter, request, out),
            RequestBody::ListOffsets(request) => return self.handle_list_offsets(waiter, request, out),
            RequestBody::OffsetForLeaderEpoch(request) => {
                return self.handle_offset_for_leader_epoch(waiter, request, out);
            }
            RequestBody::DeleteRecords(request) => return self.handle_delete_records(now, waiter, request, out),
            RequestBody::InitProducerId(request) => return self.handle_init_producer_id(waiter, &request, out),
            RequestBody::AlterReplicaLogDirs(request) => {
                return self.handle_alter_replica_log_dirs(now, waiter, request, out);
            }
            RequestBody::DescribeLogDirs(request) => return self.handle_describe_log_dirs(waiter, request, out),
            RequestBody::DescribeProducers(request) => return self.handle_describe_producers(waiter, request, out),
            RequestBody::ApiVersions(request) => api_versions::handle(&mut context, request),
            RequestBody::Metadata(request) => return self.handle_metadata(now, waiter, request, out),
            RequestBody::DescribeConfigs(request) => configs::describe(&mut context, request),
            RequestBody::ListConfigResources(request) => configs::list_resources(&mut context, request),
            RequestBody::DescribeCluster(request) => describe_cluster::handle(&mut context, request),
            RequestBody::DescribeTopicPartitions(request) => describe_topic_partitions::handle(&mut context, request),
            body => match controller::decide(&mut context, body) {
                Some(step) => step,
                None => return self.close(conn, format!("{} is not supported", api.name()), out),
            },
        };
        self.take_step(now, waiter, step, out);
    }

    /// What a handler of a request in this version, from this peer, may look at.
    fn context<'a>(&'a mut self, now: Now, peer: &'a Peer, version: i16) -> Context<'a> {
        Context {
            now,
            config: &self.config,
            image: &self.image,
            controller: &self.controller,
            random: &mut self.random,
            quorum: &self.quorum,
            peer,
            version,
        }
    }

    /// Carries out what a handler came to.
    fn take_step(&mut self, now: Now, waiter: Waiter, step: Step, out: &mut Outbox) {
        match step {
            Step::Answer(body) => self.answer(waiter, body, out),
            Step::Decided(outcome) => self.commit(now, outcome, |reply| Committed::Answer(waiter, reply), out),
            Step::Upgrade(outcome) => {
                self.upgrade_quorum(now, out);
                self.commit(now, outcome, |reply| Committed::Answer(waiter, reply), out);
            }
            Step::Ask(names, body) => {
                self.ask_for_topics(names, out);
                self.answer(waiter, body, out);
            }
        }
    }

    /// A request that waited and that this node can decide by now.
    fn dispatch_again(&mut self, now: Now, waiter: Waiter, request: Request, out: &mut Outbox) {
        // Its client knows it by the number that it gave it.
        self.dispatch(now, waiter.conn, Request { correlation_id: waiter.correlation_id, ..request }, out);
    }

    /// Sends an answer, if its connection is still open.
    pub(crate) fn answer(&mut self, waiter: Waiter, body: ResponseBody, out: &mut Outbox) {
        if !self.connections.contains_key(&waiter.conn) {
            return;
        }
        let response = Response { version: waiter.version, correlation_id: waiter.correlation_id, body };
        out.replies.push(Reply::Answer(waiter.conn, response));
        self.limits.answered(waiter.conn, out);
    }

    /// Closes a connection on which something happened that Kafka does not answer either.
    pub(crate) fn close(&mut self, conn: ConnId, why: String, out: &mut Outbox) {
        if let Some(peer) = self.connections.get(&conn) {
            // What a node says to itself is no news.
            if peer.host != PeerHost::Node(self.config.node_id) {
                out.emit(|| Event::Refused { conn, what: why.clone() });
            }
            out.replies.push(Reply::Close(conn, why));
            self.forget_connection(conn);
        }
    }

    /// Drops what waits for a connection that is gone. Batches that were handed to the store stay on their way.
    pub(crate) fn forget_connection(&mut self, conn: ConnId) {
        self.connections.remove(&conn);
        self.limits.closed(conn);
        self.news.closed(conn);
        self.life.waiting.retain(|(waiting, _)| *waiting != conn);
        self.forget_quorum_waiters(conn);
        let waiting = self.deferred.pending().filter_map(|(id, pending)| match pending {
            Pending::Fetch(fetch) if fetch.waiter.conn == conn => Some(id),
            Pending::DeleteRecords(deletes) if deletes.waiter.conn == conn => Some(id),
            Pending::Forward(forward) if forward.waiter.conn == conn => Some(id),
            _ => None,
        });
        for id in waiting.collect::<Vec<_>>() {
            if let Some(Pending::DeleteRecords(deletes)) = self.deferred.take(id) {
                self.forget_deletes(id, deletes);
            }
            self.watch.remove(id);
            self.timers.disarm(WakeReason::FetchWait(id));
            self.timers.disarm(WakeReason::Forward(id));
        }
    }

    /// Where a client of this connection reaches a broker.
    pub(crate) fn endpoint_of(&self, conn: ConnId, broker: i32) -> Option<(Str, i32, Option<Str>)> {
        let listener = &self.connections.get(&conn)?.listener;
        let broker = self.image.broker(NodeId(broker))?;
        let endpoint = broker.endpoints.get(listener)?;
        Some((endpoint.host.clone(), i32::from(endpoint.port), broker.rack.clone()))
    }
}
