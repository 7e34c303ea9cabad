//! A term: what a node does while it is the active controller, besides answering. It begins and ends with the leadership of
//! the quorum.

use protocol::messages::{ApiVersionsRequest, NoOpRecord};
use protocol::{ErrorCode, LeaderEpoch, MetadataRecord, NodeId, Now, RequestBody, ResponseBody, Str};

use crate::controller::{Due, KNOCK_INTERVAL_MS, MAX_ELECTIONS};
use crate::deferred::Committed;
use crate::event::Event;
use crate::gateway::refusals::refuse;
use crate::image::{BrokerImage, Image};
use crate::input::ConnId;
use crate::node::Node;
use crate::outbox::{CallError, Outbox};
use crate::peers::{Endpoint, Purpose};
use crate::timers::WakeReason;

/// A knock that is not answered in this time says nothing.
const KNOCK_TIMEOUT_MS: i64 = 1_000;
/// When one decision did not have room for all elections the next follows so soon, as in Kafka: others have a turn between.
const MORE_ELECTIONS_MS: i64 = 10;

/// `LeaderRecoveryState`.
const RECOVERING: i8 = 1;
const RECOVERED: i8 = 0;

impl Node {
    /// Begins or ends a term when the quorum has another leader; true if it did.
    pub(crate) fn follow_leadership(&mut self, now: Now, out: &mut Outbox) -> bool {
        let leads = self.quorum.is_leader().then(|| self.quorum.leader_epoch());
        if leads == self.controller.epoch() {
            return false;
        }
        if self.controller.is_active() {
            self.end_term(out);
        }
        if let Some(epoch) = leads {
            self.begin_term(now, epoch, out);
        }
        true
    }

    fn begin_term(&mut self, now: Now, epoch: LeaderEpoch, out: &mut Outbox) {
        self.controller.activate(self.image.clone(), epoch);
        out.emit(|| Event::Controls { epoch });
        let incarnation = self.membership.controller_incarnation(&mut self.random);
        let formatted = self.quorum.take_bootstrap();
        let is_formatted = !formatted.is_empty();
        let records = self.controller.decide_bootstrap(&self.config, formatted, incarnation);
        if is_formatted && let Err(what) = self.can_begin_with(&records) {
            return self.fail(what, out);
        }
        if !records.is_empty() {
            self.append_metadata(now, records, out);
        }
        self.membership.controller_registered();
        self.controller.arm_contacts(now.mono, self.config.broker_session_reset_grace_ms);
        self.arm_sessions();
        self.arm_elections(now);
        self.arm_idle(now);
    }

    /// Whoever formatted the directory may know records that this version does not. They are not written then, so that whoever
    /// does know them can still begin with them.
    fn can_begin_with(&self, records: &[MetadataRecord]) -> Result<(), String> {
        let mut image = self.controller.image().clone();
        for (index, record) in records.iter().enumerate() {
            let at = self.quorum.log_end().plus(index as i64);
            image.apply(at, record).map_err(|error| {
                let dir = self.config.log_dirs.get(usize::from(self.config.metadata_log_dir));
                format!("bootstrap.checkpoint in {} cannot be applied: {error}", dir.map_or("", |it| it.as_str()))
            })?;
        }
        Ok(())
    }

    /// What was decided and not committed may never be: who waits for it looks for the new leader.
    fn end_term(&mut self, out: &mut Outbox) {
        self.controller.resign(self.image.clone());
        self.timers.disarm(WakeReason::Sessions);
        self.timers.disarm(WakeReason::Balance);
        self.timers.disarm(WakeReason::Unclean);
        self.timers.disarm(WakeReason::Idle);
        self.peers.give_up(|it| matches!(it, Purpose::Knock(..)), out);
        for committed in self.deferred.take_parked() {
            let Committed::Answer(waiter, mut body) = committed;
            refuse(&mut body, ErrorCode::NotController);
            self.answer(waiter, body, out);
        }
    }

    /// A registration, or a heartbeat with what the broker has applied, was accepted.
    pub(crate) fn heard_of(&mut self, now: Now, conn: ConnId, id: NodeId, metadata_offset: Option<i64>) {
        // What the quorum writes of itself is nobody's to apply.
        let end = self.controller.image().next_offset();
        let Some(broker) = self.controller.image().broker(id) else { return };
        let (epoch, is_leaving, is_fenced) = (broker.epoch, broker.in_controlled_shutdown, broker.fenced);
        let contacts = &mut self.controller.contacts;
        contacts.heard(id, epoch, metadata_offset, !is_fenced, conn, now.mono);
        contacts.leaving(id, (is_leaving && !is_fenced).then(|| end.plus(-1)));
        self.arm_sessions();
    }

    /// A connection is closed: it may have been a broker's.
    pub(crate) fn lost_connection(&mut self, now: Now, conn: ConnId) {
        if self.controller.is_active() {
            self.controller.contacts.closed(conn, now.mono, self.config.broker_session_reset_grace_ms);
            self.arm_sessions();
        }
    }

    pub(crate) fn arm_sessions(&mut self) {
        if self.life.is_flushing() {
            return;
        }
        match self.controller.contacts.next(self.session_timeout_ms()) {
            Some(at) => self.timers.arm(WakeReason::Sessions, at),
            None => self.timers.disarm(WakeReason::Sessions),
        }
    }

    fn session_timeout_ms(&self) -> i64 {
        i64::from(self.config.broker_session_timeout_ms)
    }

    /// Fences who was not heard of for too long, one at a time, and knocks at who lost its connection.
    pub(crate) fn watch_sessions(&mut self, now: Now, out: &mut Outbox) {
        while let Some(due) = self.controller.contacts.due(now.mono, self.session_timeout_ms()) {
            match due {
                // What is one process with the controller lives while that does.
                Due::Expired(id) if id == self.config.node_id => self.controller.contacts.forget(id),
                Due::Knock(id) if id == self.config.node_id => self.controller.contacts.knocking(id),
                Due::Expired(id) => self.fence(now, id, "its session has timed out", out),
                Due::Knock(id) => self.knock(id, out),
            }
        }
        self.arm_sessions();
    }

    fn fence(&mut self, now: Now, id: NodeId, why: &'static str, out: &mut Outbox) {
        let records = self.controller.decide_fence(&self.config, id);
        self.controller.contacts.forget(id);
        if !records.is_empty() {
            out.emit(|| Event::BrokerFenced { broker: id, why: Str::from_static(why) });
            self.append_metadata(now, records, out);
        }
    }

    fn knock(&mut self, id: NodeId, out: &mut Outbox) {
        self.controller.contacts.knocking(id);
        let Some(broker) = self.controller.image().broker(id).filter(|it| !it.fenced) else { return };
        // A registration stays when its node is no controller any more: that a door is closed which it gave up is no death.
        let to = match self.quorum.endpoint_of_voter(id) {
            Some(voter) => {
                let voter = Endpoint { node: id, host: voter.host, port: voter.port };
                let (controllers, brokers) =
                    (&self.config.controller_listener_names, &self.config.inter_broker_listener_name);
                voter_door(self.controller.image(), broker, voter, controllers, brokers)
            }
            None => door_of(broker, &self.config.inter_broker_listener_name),
        };
        let Some(to) = to else { return };
        let body = RequestBody::ApiVersions(ApiVersionsRequest {
            client_software_name: Str::from_static("vivarium"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        });
        self.peers.call(Purpose::Knock(id, broker.epoch), &to, body, KNOCK_TIMEOUT_MS, out);
    }

    /// Only a refusal says that nobody listens there, and only twice in a row if no connection was seen to break; anything
    /// else leaves it to the session.
    pub(crate) fn knocked(
        &mut self,
        now: Now,
        id: NodeId,
        epoch: i64,
        result: &Result<ResponseBody, CallError>,
        out: &mut Outbox,
    ) {
        let is_same = self.controller.image().broker(id).is_some_and(|it| it.epoch == epoch && !it.fenced);
        if !self.controller.is_active() || !is_same || !self.controller.contacts.is_in_doubt(id) {
            return;
        }
        let contacts = &mut self.controller.contacts;
        let is_refused = matches!(result, Err(CallError::Refused));
        if is_refused && contacts.refused(id) {
            self.fence(now, id, "nobody listens on its port any more", out);
        } else {
            let is_broken_off = matches!(result, Err(CallError::Reset));
            let wait_ms = if is_refused { KNOCK_INTERVAL_MS } else { contacts.unrefused(id, is_broken_off) };
            contacts.knock_again(id, now.mono.plus_ms(wait_ms));
        }
        self.arm_sessions();
    }

    fn arm_elections(&mut self, now: Now) {
        if self.config.auto_leader_rebalance_enable {
            let interval_ms = self.config.leader_imbalance_check_interval_seconds.saturating_mul(1_000);
            self.timers.arm(WakeReason::Balance, now.mono.plus_ms(interval_ms));
        }
        self.timers.arm(WakeReason::Unclean, now.mono.plus_ms(self.config.unclean_leader_election_interval_ms));
    }

    /// Leaders go back to the first replicas.
    pub(crate) fn balance(&mut self, now: Now, out: &mut Outbox) {
        let records = self.controller.decide_balance(&self.config);
        let interval_ms = self.config.leader_imbalance_check_interval_seconds.saturating_mul(1_000);
        self.elect_some(now, WakeReason::Balance, records, interval_ms, out);
    }

    /// Partitions without a leader get any that their topic allows.
    pub(crate) fn elect_unclean(&mut self, now: Now, out: &mut Outbox) {
        let records = self.controller.decide_unclean(&self.config);
        let interval_ms = self.config.unclean_leader_election_interval_ms;
        self.elect_some(now, WakeReason::Unclean, records, interval_ms, out);
    }

    fn arm_idle(&mut self, now: Now) {
        let interval_ms = self.config.quorum.max_idle_interval_ms;
        if interval_ms > 0 {
            self.timers.arm(WakeReason::Idle, now.mono.plus_ms(interval_ms));
        }
    }

    /// A record that says nothing: who reads the log sees that it goes on (KIP-835).
    pub(crate) fn write_nothing(&mut self, now: Now, out: &mut Outbox) {
        self.arm_idle(now);
        self.append_metadata(now, vec![NoOpRecord::default().into()], out);
    }

    /// As many elections as one decision may have; there may be more at once, or none before the interval is over.
    fn elect_some(
        &mut self,
        now: Now,
        reason: WakeReason,
        records: Vec<MetadataRecord>,
        interval_ms: i64,
        out: &mut Outbox,
    ) {
        let is_more = records.len() >= MAX_ELECTIONS;
        self.timers.arm(reason, now.mono.plus_ms(if is_more { MORE_ELECTIONS_MS } else { interval_ms }));
        if !records.is_empty() {
            self.append_metadata(now, records, out);
        }
    }
}

/// What people are to know of a decision: who leads from now on may lack records that were acknowledged.
pub(crate) fn unclean_election(image: &Image, record: &MetadataRecord) -> Option<String> {
    let MetadataRecord::PartitionChange(record) = record else { return None };
    let topic = image.topic_by_id(record.topic_id)?;
    // The only replica is nobody's choice: what its disk has lost is told by its recovery.
    let partition = topic.partitions.get(&record.partition_id).filter(|it| it.replicas.len() > 1)?;
    let leader = Some(NodeId(record.leader)).filter(|it| it.0 >= 0)?;
    let is_clean = partition.isr.contains(&leader) || partition.elr.contains(&leader);
    let is_again = partition.recovering && record.leader_recovery_state != RECOVERED;
    if record.leader_recovery_state != RECOVERING && (is_clean || !is_again) {
        return None;
    }
    let (name, id) = (&topic.name, record.partition_id);
    Some(format!("unclean election: {name}-{id} is led by {leader}, which may lack acknowledged records"))
}

/// Where a broker that is no controller is knocked at: where its peers reach it. (One that is both is knocked at as a controller: all
/// controllers talk to each other, and so were let in there before.) A node that is no broker may not know on which listener that is;
/// of several any may be closed to this node, so its session decides.
fn door_of(broker: &BrokerImage, listener: &Str) -> Option<Endpoint> {
    let only = || broker.endpoints.values().next().filter(|_| broker.endpoints.len() == 1);
    let endpoint = broker.endpoints.get(listener).or_else(only)?;
    Some(Endpoint { node: broker.id, host: endpoint.host.clone(), port: endpoint.port })
}

/// Where a broker that votes is knocked at: where the other voters reach it, if it says so itself. Else one of the two may be an
/// address that it has left, or that of another process with its number, and only the broker's own is surely of the process whose
/// heartbeats come.
fn voter_door(
    image: &Image,
    broker: &BrokerImage,
    voter: Endpoint,
    controllers: &[Str],
    brokers: &Str,
) -> Option<Endpoint> {
    match controller_door(image, broker.id, controllers) {
        Some(door) if door != voter => door_of(broker, brokers),
        _ => Some(voter),
    }
}

/// Where a controller says that it is reached.
fn controller_door(image: &Image, id: NodeId, listeners: &[Str]) -> Option<Endpoint> {
    let endpoints = &image.controller(id)?.endpoints;
    let endpoint = listeners.iter().find_map(|name| endpoints.get(name))?;
    Some(Endpoint { node: id, host: endpoint.host.clone(), port: endpoint.port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::messages::register_broker_record::BrokerEndpoint;
    use protocol::messages::{RegisterBrokerRecord, RegisterControllerRecord, register_controller_record};
    use protocol::{MetadataRecord, Offset};

    #[test]
    fn nobody_is_knocked_at_where_only_others_may_reach_it() {
        let door = |listeners: &[(&'static str, u16)], own: &'static str| {
            let end_points = listeners.iter().map(|(name, port)| BrokerEndpoint {
                name: Str::from_static(name),
                host: Str::from_static("b"),
                port: *port,
                ..BrokerEndpoint::default()
            });
            let record = RegisterBrokerRecord {
                broker_id: 2,
                end_points: end_points.collect(),
                ..RegisterBrokerRecord::default()
            };
            let mut image = Image::default();
            image.apply(Offset(0), &MetadataRecord::RegisterBroker(record)).expect("it is sound");
            door_of(image.broker(NodeId(2)).expect("it is registered"), &Str::from_static(own)).map(|it| it.port)
        };
        let two = [("EXTERNAL", 1), ("INTERNAL", 2)];
        assert_eq!(door(&two, "INTERNAL"), Some(2));
        assert_eq!(door(&two, ""), None, "a controller alone does not know which");
        assert_eq!(door(&two, "OTHER"), None);
        assert_eq!(door(&[("EXTERNAL", 1)], ""), Some(1), "there is no other");
    }

    #[test]
    fn a_voter_is_knocked_at_where_no_other_process_can_be() {
        let listener = |name: &'static str, port| register_controller_record::ControllerEndpoint {
            name: Str::from_static(name),
            host: Str::from_static("new"),
            port,
            ..Default::default()
        };
        let record = RegisterControllerRecord {
            controller_id: 2,
            end_points: vec![listener("OTHER", 1), listener("CONTROLLER", 2)],
            ..RegisterControllerRecord::default()
        };
        let mut image = Image::default();
        image.apply(Offset(0), &MetadataRecord::RegisterController(record)).expect("it is sound");
        for broker_id in [2, 3] {
            let end_point =
                BrokerEndpoint { name: Str::from_static("PLAINTEXT"), host: "b".into(), port: 9, ..Default::default() };
            let record = RegisterBrokerRecord { broker_id, end_points: vec![end_point], ..Default::default() };
            image.apply(Offset(1), &MetadataRecord::RegisterBroker(record)).expect("it is sound");
        }
        let door = |id, names: &'static str, (host, port): (&'static str, u16)| {
            let names: Vec<Str> = names.split(',').map(Str::from_static).collect();
            let voter = Endpoint { node: NodeId(id), host: Str::from_static(host), port };
            let broker = image.broker(NodeId(id)).expect("it is registered");
            voter_door(&image, broker, voter, &names, &"PLAINTEXT".into())
                .map(|it| (it.node, it.host.to_string(), it.port))
        };
        assert_eq!(door(2, "CONTROLLER,OTHER", ("new", 2)), Some((NodeId(2), "new".into(), 2)));
        assert_eq!(door(2, "CONTROLLER", ("old", 2)), Some((NodeId(2), "b".into(), 9)), "it, or a twin, moved");
        assert_eq!(door(2, "CONTROLLER", ("new", 3)), Some((NodeId(2), "b".into(), 9)));
        assert_eq!(door(2, "CONTROLLERS", ("old", 2)), Some((NodeId(2), "old".into(), 2)), "that is all that is known");
        assert_eq!(door(3, "CONTROLLER", ("old", 2)), Some((NodeId(3), "old".into(), 2)), "it is not registered");
    }
}
