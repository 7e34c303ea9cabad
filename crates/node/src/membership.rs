//! A broker's membership in the cluster, all of it by calls to the active controller, which may be this very node: it
//! registers, says with heartbeats that it lives and what it wants, and asks for producer ids and directories.

use ordered::{Map, Set};

use protocol::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AssignReplicasToDirsRequest, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationRequest, ControllerRegistrationRequest, CreateTopicsRequest,
    CreateTopicsResponse, broker_registration_request, controller_registration_request,
};
use protocol::{ErrorCode, Instant, LeaderEpoch, NodeId, Now, Random, RequestBody, ResponseBody, Str, Uuid, support};
use quorum::{CORDONED_DIRECTORIES, METADATA_VERSION};
use storage::DirId;

use crate::event::Event;
use crate::lifecycle::Phase;
use crate::node::Node;
use crate::outbox::{CallError, Outbox};
use crate::partition::PartitionKey;
use crate::peers::{Endpoint, Purpose};
use crate::timers::WakeReason;

/// What failed is asked again after so long.
const RETRY_MS: i64 = 50;
/// Another process was registered as this controller: two that live would take turns, so not more often than this.
const REPLACED_MS: i64 = 1_000;
/// Of so many topics that could not be created people are told; then all are forgotten.
const MOST_TOLD: usize = 100;
/// While a controlled shutdown is under way the controller is asked so often, as in Kafka.
const LEAVING_INTERVAL_MS: i64 = 10;
/// Who wants to stop waits no longer for a controller that is not there. An election takes less, unless a majority is gone; then
/// there is nobody who could move a leader. (Kafka waits five minutes for it.)
const LEAVING_PATIENCE_MS: i64 = 1_500;

/// What a broker or controller asked of the active controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// BrokerRegistration.
    Registration,
    /// BrokerHeartbeat.
    Heartbeat,
    /// ControllerRegistration.
    ControllerRegistration,
    /// AllocateProducerIds.
    ProducerIds,
    /// AssignReplicasToDirs, for one replica.
    Directory(PartitionKey),
    /// CreateTopics, for topics that a client asked for.
    Topics,
}

/// How far a broker's membership has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Membership {
    /// Drawn anew by each process.
    incarnation: Option<Uuid>,
    controller_incarnation: Option<Uuid>,
    /// The controller's registration was asked for or is in the log.
    is_controller_registered: bool,
    /// A registration or heartbeat is on its way.
    in_flight: bool,
    /// There is news: another heartbeat leaves as soon as the one on its way is answered.
    again: bool,
    /// When the registration must be accepted.
    register_by: Option<Instant>,
    /// When the controller last answered a heartbeat, or the controlled shutdown began.
    answered_at: Instant,
    /// A refusal was told to people.
    told: bool,
    /// Topics that are being created for clients.
    creating: Set<Str>,
    /// Topics that could not be created, and why, of which people were told.
    not_created: Map<Str, i16>,
    /// The leadership of the quorum to which calls were last sent.
    term: Option<LeaderEpoch>,
}

impl Membership {
    /// This process's number as a controller.
    pub(crate) fn controller_incarnation(&mut self, random: &mut Random) -> Uuid {
        *self.controller_incarnation.get_or_insert_with(|| random.uuid())
    }

    /// The active controller wrote its own registration.
    pub(crate) fn controller_registered(&mut self) {
        self.is_controller_registered = true;
    }
}

impl Node {
    /// Where the active controller listens, as far as the quorum knows.
    pub(crate) fn active_controller(&self) -> Option<Endpoint> {
        let leader = self.quorum.leader()?;
        if leader.node == self.config.node_id {
            // Until the term begins there is nobody to answer.
            return self.controller.is_active().then(|| self.own_endpoint());
        }
        Some(Endpoint { node: leader.node, host: leader.host, port: leader.port })
    }

    /// This node as it calls itself: no socket is involved.
    pub(crate) fn own_endpoint(&self) -> Endpoint {
        let own = self.config.advertised_listeners.iter().find(|it| self.config.is_controller_listener(&it.name));
        let (host, port) = own.map_or((Str::new(), 0), |it| (it.host.clone(), it.port));
        Endpoint { node: self.config.node_id, host, port }
    }

    /// Calls that wait for another controller leave when there is one; true if there is.
    pub(crate) fn follow_controller(&mut self, now: Now, out: &mut Outbox) -> bool {
        let term = self.active_controller().map(|_| self.quorum.leader_epoch());
        if term.is_none() || term == self.membership.term {
            return false;
        }
        let is_first = self.membership.term.is_none();
        self.membership.term = term;
        // Whoever was asked before is the controller no more, and may never answer.
        let given_up = self.peers.give_up_lifecycle(out);
        self.register_controller(out);
        if is_first {
            return true;
        }
        self.membership.in_flight = false;
        // A registration or heartbeat leaves at once, below; who waits for anything else asks again.
        for asked in given_up.into_iter().filter(|it| !matches!(it, Asked::Registration | Asked::Heartbeat)) {
            self.lifecycle_answered(now, asked, Err(CallError::Reset), out);
        }
        self.beat(now, out);
        self.forward_all(now, out);
        true
    }

    fn ask(&mut self, asked: Asked, body: RequestBody, timeout_ms: i64, out: &mut Outbox) -> bool {
        let Some(to) = self.active_controller() else { return false };
        self.peers.call(Purpose::Lifecycle(asked), &to, body, timeout_ms, out);
        true
    }

    /// An answer of the active controller, or that there is none.
    pub(crate) fn lifecycle_answered(
        &mut self,
        now: Now,
        asked: Asked,
        result: Result<ResponseBody, CallError>,
        out: &mut Outbox,
    ) {
        match (asked, result) {
            (Asked::Registration, Ok(ResponseBody::BrokerRegistration(response))) => {
                self.registration_answered(now, response.error_code, response.broker_epoch, out);
            }
            (Asked::Registration, _) => self.registration_failed(now, "the controller cannot be reached", out),
            (Asked::Heartbeat, Ok(ResponseBody::BrokerHeartbeat(response))) => {
                self.heartbeat_answered(now, &response, out);
            }
            // Paused, slow or cut off it would still be the controller, and refuse nothing. Our own, which waits for nobody
            // but a majority, is none without one.
            (Asked::Heartbeat, result) => {
                let is_gone = match result {
                    Err(CallError::Refused | CallError::Reset) => true,
                    Err(CallError::TimedOut) => self.controller.is_active(),
                    Err(CallError::Malformed) | Ok(_) => false,
                };
                self.heartbeat_failed(now, is_gone, out);
            }
            (Asked::ControllerRegistration, Ok(ResponseBody::ControllerRegistration(response)))
                if response.error_code == ErrorCode::None.code() => {}
            (Asked::ControllerRegistration, _) => {
                self.timers.arm(WakeReason::ControllerRegistration, now.mono.plus_ms(RETRY_MS));
            }
            (Asked::ProducerIds, Ok(ResponseBody::AllocateProducerIds(response))) => {
                self.producer_ids_allocated(&response, out);
            }
            (Asked::ProducerIds, _) => self.producer_ids_allocated(&no_producer_ids(), out),
            (Asked::Directory(key), Ok(ResponseBody::AssignReplicasToDirs(response)))
                if response.error_code == ErrorCode::None.code() =>
            {
                self.directory_noted(key);
            }
            (Asked::Directory(_), _) => {
                self.timers.arm(WakeReason::Directories, now.mono.plus_ms(RETRY_MS));
            }
            // Clients that asked for the topics look again by themselves.
            (Asked::Topics, result) => {
                self.membership.creating.clear();
                if let Ok(ResponseBody::CreateTopics(response)) = result {
                    self.topics_answered(&response, out);
                }
            }
        }
    }

    /// Asks the active controller to register this broker.
    pub(crate) fn register(&mut self, now: Now, out: &mut Outbox) {
        let timeout_ms = i64::from(self.config.initial_broker_registration_timeout_ms);
        self.membership.register_by.get_or_insert_with(|| now.mono.plus_ms(timeout_ms));
        let request = self.registration();
        let timeout_ms = self.heartbeat_timeout_ms();
        if !self.ask(Asked::Registration, RequestBody::BrokerRegistration(request), timeout_ms, out) {
            return self.registration_failed(now, "there is no active controller", out);
        }
        self.membership.in_flight = true;
    }

    fn registration(&mut self) -> BrokerRegistrationRequest {
        let own = self.config.advertised_listeners.iter().filter(|it| !self.config.is_controller_listener(&it.name));
        let listeners = own.map(|it| broker_registration_request::Listener {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: it.security.id(),
        });
        let features = support::kafka_features().iter().map(|feature| broker_registration_request::Feature {
            name: feature.name.into(),
            min_supported_version: *feature.levels.start(),
            max_supported_version: *feature.levels.end(),
        });
        let ids = self.config.identity.directory_ids.iter().enumerate();
        let online = self.replica_dirs();
        let log_dirs = ids.filter(|(index, _)| online.iter().any(|it| usize::from(it.0) == *index)).map(|(_, id)| *id);
        BrokerRegistrationRequest {
            broker_id: self.config.node_id.0,
            cluster_id: self.config.identity.cluster_id.clone(),
            listeners: listeners.collect(),
            features: features.collect(),
            rack: self.config.rack.clone(),
            log_dirs: log_dirs.collect(),
            previous_broker_epoch: self.life.previous_broker_epoch(),
            incarnation_id: *self.membership.incarnation.get_or_insert_with(|| self.random.uuid()),
            ..BrokerRegistrationRequest::default()
        }
    }

    fn registration_answered(&mut self, now: Now, error: i16, epoch: i64, out: &mut Outbox) {
        self.membership.in_flight = false;
        if self.life.phase() != Phase::Registering {
            return;
        }
        match ErrorCode::from_code(error) {
            ErrorCode::None => {
                self.membership.answered_at = now.mono;
                self.arm_heartbeat(now);
                self.registered(epoch);
            }
            error @ (ErrorCode::InconsistentClusterId
            | ErrorCode::UnsupportedVersion
            | ErrorCode::InvalidRegistration
            | ErrorCode::InvalidRequest) => {
                self.fail(format!("the controller refused the registration: {}", error.name()), out);
            }
            // Another life of this broker may not be over for the controller yet.
            error => self.registration_failed(now, error.name(), out),
        }
    }

    fn registration_failed(&mut self, now: Now, why: &'static str, out: &mut Outbox) {
        self.membership.in_flight = false;
        if self.life.phase() != Phase::Registering {
            return;
        }
        if self.membership.register_by.is_some_and(|by| by <= now.mono) {
            return self.fail(format!("this broker could not be registered in time: {why}"), out);
        }
        if why == ErrorCode::DuplicateBrokerRegistration.name() && !std::mem::replace(&mut self.membership.told, true) {
            let id = self.config.node_id;
            out.emit(|| Event::Warning {
                what: format!(
                    "another broker is registered as {id}; waiting until its session is over. If it is meant to live, stop this \
                     one or give it another node.id"
                ),
            });
        }
        self.timers.arm(WakeReason::Heartbeat, now.mono.plus_ms(RETRY_MS));
    }

    /// The time has come: for the registration again, or for a heartbeat.
    pub(crate) fn beat(&mut self, now: Now, out: &mut Outbox) {
        match self.life.phase() {
            Phase::Registering if !self.membership.in_flight => self.register(now, out),
            Phase::CatchingUp | Phase::Mounting | Phase::Unfencing | Phase::Serving | Phase::Leaving => {
                self.heartbeat(now, out);
            }
            _ => {}
        }
    }

    /// Tells the controller what this broker wants, now or as soon as the heartbeat on its way is answered.
    pub(crate) fn heartbeat(&mut self, now: Now, out: &mut Outbox) {
        if std::mem::replace(&mut self.membership.in_flight, true) {
            self.membership.again = true;
            return;
        }
        self.membership.again = false;
        let phase = self.life.phase();
        let request = BrokerHeartbeatRequest {
            broker_id: self.config.node_id.0,
            broker_epoch: self.life.broker_epoch(),
            current_metadata_offset: self.image.next_offset().0 - 1,
            want_fence: matches!(phase, Phase::CatchingUp | Phase::Mounting),
            want_shut_down: phase == Phase::Leaving,
            offline_log_dirs: self.offline_directories(),
            cordoned_log_dirs: self.cordoned_directories(),
        };
        // A controller in this very process answers soon, unless nothing can be committed any more.
        let is_own = phase == Phase::Leaving && self.controller.is_active();
        let timeout_ms = if is_own { LEAVING_PATIENCE_MS } else { self.heartbeat_timeout_ms() };
        if !self.ask(Asked::Heartbeat, RequestBody::BrokerHeartbeat(request), timeout_ms, out) {
            self.heartbeat_failed(now, true, out);
        }
    }

    /// Half a session: there is time for another before the session is over.
    fn heartbeat_timeout_ms(&self) -> i64 {
        i64::from(self.config.broker_session_timeout_ms / 2).max(1)
    }

    fn arm_heartbeat(&mut self, now: Now) {
        let interval = i64::from(self.config.broker_heartbeat_interval_ms).max(1);
        self.timers.arm(WakeReason::Heartbeat, now.mono.plus_ms(interval));
    }

    fn heartbeat_answered(&mut self, now: Now, response: &BrokerHeartbeatResponse, out: &mut Outbox) {
        let error = ErrorCode::from_code(response.error_code);
        if error != ErrorCode::None {
            let is_replaced = matches!(error, ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered);
            if is_replaced && !std::mem::replace(&mut self.membership.told, true) {
                out.emit(|| Event::Warning {
                    what: format!("the controller refuses this broker's heartbeats: {}", error.name()),
                });
            }
            return self.heartbeat_failed(now, error == ErrorCode::NotController, out);
        }
        self.membership.in_flight = false;
        self.membership.answered_at = now.mono;
        self.arm_heartbeat(now);
        match self.life.phase() {
            Phase::Unfencing if !response.is_fenced => self.serve(now, out),
            Phase::Leaving if response.should_shut_down => return self.flush_all(now, out),
            Phase::Leaving => self.timers.arm(WakeReason::Heartbeat, now.mono.plus_ms(LEAVING_INTERVAL_MS)),
            _ => {}
        }
        if self.membership.again {
            return self.heartbeat(now, out);
        }
        // It has heard of every directory that was lost before.
        self.timers.disarm(WakeReason::LostDirectory);
    }

    /// A directory is lost, and the next heartbeat says so: others have to lead what was there.
    pub(crate) fn arm_lost_directory(&mut self, now: Now) {
        self.timers.arm(WakeReason::LostDirectory, now.mono.plus_ms(self.config.log_dir_failure_timeout_ms));
    }

    /// No controller could be told of a lost directory: once this broker is gone, its leaderships are given away. One that votes
    /// goes on, as Kafka's controller does in that process: the majority that is missing may be waiting for its vote.
    pub(crate) fn give_up_telling(&mut self, now: Now, out: &mut Outbox) {
        let (ms, votes) = (self.config.log_dir_failure_timeout_ms, self.config.roles.controller);
        let end = if votes { "going on, as this node votes" } else { "stopping" };
        out.emit(|| Event::Warning {
            what: format!(
                "no controller could be told of the lost log directory for {ms} ms (log.dir.failure.timeout.ms): {end}"
            ),
        });
        if !votes {
            self.begin_stop(now, out);
        }
    }

    /// A heartbeat was not accepted; `is_gone` if there is no controller where it was looked for.
    fn heartbeat_failed(&mut self, now: Now, is_gone: bool, out: &mut Outbox) {
        self.membership.in_flight = false;
        // After a session without an answer the controller, if there is one, has fenced this broker: who wants to stop need
        // not wait for its leave, and even less for that of one that is gone.
        let session_ms = i64::from(self.config.broker_session_timeout_ms);
        let timeout_ms = if is_gone { session_ms.min(LEAVING_PATIENCE_MS) } else { session_ms };
        if self.life.phase() == Phase::Leaving && self.membership.answered_at.plus_ms(timeout_ms) <= now.mono {
            out.emit(|| Event::Warning {
                what: "no controller answered the wish to stop; stopping without its leave".to_owned(),
            });
            return self.flush_all(now, out);
        }
        self.timers.arm(WakeReason::Heartbeat, now.mono.plus_ms(RETRY_MS));
    }

    /// The controlled shutdown begins.
    pub(crate) fn ask_to_leave(&mut self, now: Now, out: &mut Outbox) {
        self.membership.answered_at = now.mono;
        self.heartbeat(now, out);
    }

    /// Metadata was committed while another broker is leaving: it waits until all the others know what it led.
    pub(crate) fn hurry_for_leaving(&mut self, now: Now, out: &mut Outbox) {
        let own = self.config.node_id;
        let is_leaving = |it: &crate::image::BrokerImage| it.id != own && it.in_controlled_shutdown && !it.fenced;
        let serves = self.config.roles.broker && self.life.phase() == Phase::Serving;
        if serves && self.image.brokers().any(is_leaving) {
            self.heartbeat(now, out);
        }
    }

    /// A controller that does not lead registers with the one that does.
    fn register_controller(&mut self, out: &mut Outbox) {
        if self.membership.is_controller_registered || !self.config.roles.controller {
            return;
        }
        let own = self.config.advertised_listeners.iter().filter(|it| self.config.is_controller_listener(&it.name));
        let listeners = own.map(|it| controller_registration_request::Listener {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: it.security.id(),
        });
        let features = support::kafka_features().iter().map(|feature| controller_registration_request::Feature {
            name: feature.name.into(),
            min_supported_version: *feature.levels.start(),
            max_supported_version: *feature.levels.end(),
        });
        let request = ControllerRegistrationRequest {
            controller_id: self.config.node_id.0,
            listeners: listeners.collect(),
            features: features.collect(),
            incarnation_id: self.membership.controller_incarnation(&mut self.random),
            zk_migration_ready: false,
        };
        let timeout_ms = i64::from(self.config.controller_socket_timeout_ms);
        let body = RequestBody::ControllerRegistration(request);
        self.membership.is_controller_registered = self.ask(Asked::ControllerRegistration, body, timeout_ms, out);
    }

    /// A controller's registration failed some time ago, or another one took its place.
    pub(crate) fn register_controller_again(&mut self, out: &mut Outbox) {
        self.membership.is_controller_registered = self.is_controller_in_log();
        self.register_controller(out);
    }

    /// A controller's registration is in the log. If it is one of another process with this number, whoever looks for this
    /// controller would find that one.
    pub(crate) fn controller_revealed(&mut self, now: Now, id: NodeId) {
        if id == self.config.node_id && self.membership.is_controller_registered && !self.is_controller_in_log() {
            self.timers.arm(WakeReason::ControllerRegistration, now.mono.plus_ms(REPLACED_MS));
        }
    }

    fn is_controller_in_log(&self) -> bool {
        let image = if self.controller.is_active() { self.controller.image() } else { &self.image };
        let registered = image.controller(self.config.node_id).map(|it| it.incarnation);
        registered.is_some() && registered == self.membership.controller_incarnation
    }

    /// Asks for a block of producer ids.
    pub(crate) fn ask_for_producer_ids(&mut self, out: &mut Outbox) {
        let request =
            AllocateProducerIdsRequest { broker_id: self.config.node_id.0, broker_epoch: self.life.broker_epoch() };
        let timeout_ms = i64::from(self.config.controller_socket_timeout_ms);
        if !self.ask(Asked::ProducerIds, RequestBody::AllocateProducerIds(request), timeout_ms, out) {
            self.producer_ids_allocated(&no_producer_ids(), out);
        }
    }

    /// Has the controller note where a replica is.
    pub(crate) fn ask_for_directory(&mut self, now: Now, key: PartitionKey, directory: Uuid, out: &mut Outbox) {
        let partitions = vec![PartitionData { partition_index: key.partition }];
        let topics = vec![TopicData { topic_id: key.topic_id, partitions }];
        let request = AssignReplicasToDirsRequest {
            broker_id: self.config.node_id.0,
            broker_epoch: self.life.broker_epoch(),
            directories: vec![DirectoryData { id: directory, topics }],
        };
        let timeout_ms = i64::from(self.config.controller_socket_timeout_ms);
        if !self.ask(Asked::Directory(key), RequestBody::AssignReplicasToDirs(request), timeout_ms, out) {
            self.timers.arm(WakeReason::Directories, now.mono.plus_ms(RETRY_MS));
        }
    }

    /// Has the controller create topics that clients asked for, with the defaults for everything.
    pub(crate) fn ask_for_topics(&mut self, names: Vec<Str>, out: &mut Outbox) {
        let topics: Vec<CreatableTopic> = names
            .into_iter()
            .map(|name| CreatableTopic { name, num_partitions: -1, replication_factor: -1, ..Default::default() })
            .collect();
        self.ask_for_creation(topics, out);
    }

    /// Has the controller create topics that are not on their way already.
    pub(crate) fn ask_for_creation(&mut self, mut topics: Vec<CreatableTopic>, out: &mut Outbox) {
        topics.retain(|topic| self.membership.creating.insert(topic.name.clone()));
        if topics.is_empty() {
            return;
        }
        let timeout_ms = self.config.request_timeout_ms;
        let request = CreateTopicsRequest { topics, timeout_ms, ..CreateTopicsRequest::default() };
        if !self.ask(Asked::Topics, RequestBody::CreateTopics(request), i64::from(timeout_ms), out) {
            self.membership.creating.clear();
        }
    }

    /// A client hears only that there is no such topic, or no coordinator, and of every attempt; people hear why, once.
    fn topics_answered(&mut self, response: &CreateTopicsResponse, out: &mut Outbox) {
        for topic in &response.topics {
            let error = ErrorCode::from_code(topic.error_code);
            if matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists) {
                self.membership.not_created.remove(&topic.name);
                continue;
            }
            if self.membership.not_created.len() >= MOST_TOLD {
                self.membership.not_created.clear();
            }
            if self.membership.not_created.insert(topic.name.clone(), topic.error_code) == Some(topic.error_code) {
                continue;
            }
            let why = topic.error_message.as_deref().unwrap_or_default();
            out.emit(|| Event::Warning {
                what: format!("the topic {} cannot be created: {}: {why}", topic.name, error.name()),
            });
        }
    }

    /// What the controller is to know of `cordoned.log.dirs`: nothing as long as none is cordoned and it thinks so, too.
    fn cordoned_directories(&self) -> Option<Vec<Uuid>> {
        let is_known =
            matches!(self.life.phase(), Phase::Mounting | Phase::Unfencing | Phase::Serving | Phase::Leaving);
        if !is_known || self.image.feature(METADATA_VERSION) < CORDONED_DIRECTORIES {
            return None;
        }
        let dirs = self.config.cordoned_dirs(&self.image);
        let id = |dir: &DirId| self.config.identity.directory_ids.get(usize::from(dir.0)).copied();
        let ids: Vec<Uuid> = dirs.iter().filter_map(id).filter(|id| !id.is_zero()).collect();
        let noted = self.image.broker(self.config.node_id).and_then(|it| it.cordoned_directories.as_ref());
        (!ids.is_empty() || noted.is_some_and(|noted| !noted.is_empty())).then_some(ids)
    }

    fn offline_directories(&self) -> Vec<Uuid> {
        let online = self.online_dirs();
        let ids = self.config.identity.directory_ids.iter().enumerate();
        let offline = ids.filter(|(index, _)| !online.iter().any(|it| usize::from(it.0) == *index));
        // Of one that could not be opened the id is not known; its replicas are told of one by one.
        offline.map(|(_, id)| *id).filter(|id| !id.is_zero()).collect()
    }
}

/// What stands for an answer that never came.
fn no_producer_ids() -> AllocateProducerIdsResponse {
    AllocateProducerIdsResponse { error_code: ErrorCode::RequestTimedOut.code(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::messages::RegisterControllerRecord;

    #[test]
    fn a_broker_that_can_tell_nobody_of_a_lost_directory_stops_unless_it_votes() {
        let lose = |roles: &str| {
            let settings = [
                ("node.id", "2"),
                ("process.roles", roles),
                ("controller.listener.names", "CONTROLLER"),
                ("controller.quorum.voters", if roles == "broker" { "1@c1:9093" } else { "1@c1:9093,2@c2:9093" }),
                (
                    "listeners",
                    if roles == "broker" { "PLAINTEXT://:9092" } else { "PLAINTEXT://:9092,CONTROLLER://:9093" },
                ),
                ("log.dirs", "/a,/b"),
                ("log.dir.failure.timeout.ms", "10000"),
            ];
            let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let (mut config, _) = crate::config::Config::parse(&settings).expect("a test's settings parse");
            config.identity.directory_ids = vec![Uuid([1; 16]), Uuid([2; 16])];
            let mut node = Node::boot(std::sync::Arc::new(config), 1);
            node.timers = Default::default();
            node.life = crate::lifecycle::Life::serving(1);
            let mut out = Outbox::with_events();
            let failed = storage::StoreError::Full("no space".to_owned());
            node.directory_failed(Now::default(), DirId(1), &failed, &mut out);
            let later = Now { mono: Instant(0).plus_ms(10_000), ..Now::default() };
            node.handle(later, crate::input::Input::Wake, &mut out);
            let events = out.events.unwrap_or_default();
            let is_told =
                |it: &Event| matches!(it, Event::Warning { what } if what.contains("log.dir.failure.timeout.ms"));
            (events.iter().any(is_told), events.contains(&Event::Stopping))
        };
        assert_eq!(lose("broker"), (true, true));
        assert_eq!(lose("broker,controller"), (true, false));
    }

    /// A follower learns of it from the log, and looks again before it asks: what it has seen may be of its own earlier life.
    #[test]
    fn who_finds_another_process_in_its_controllers_place_registers_again() {
        let settings = [
            ("node.id", "2"),
            ("process.roles", "broker,controller"),
            ("controller.listener.names", "CONTROLLER"),
            ("controller.quorum.voters", "1@c1:9093,2@c2:9093"),
            ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ];
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (config, _) = crate::config::Config::parse(&settings).expect("a test's settings parse");
        let mut node = Node::boot(std::sync::Arc::new(config), 1);
        let mut out = Outbox::default();
        let own = node.membership.controller_incarnation(&mut node.random);
        node.membership.is_controller_registered = true;
        let mut reveal = |node: &mut Node, controller_id: i32, incarnation_id: Uuid| {
            node.timers = Default::default();
            let record = RegisterControllerRecord { controller_id, incarnation_id, ..Default::default() };
            let record = protocol::MetadataRecord::RegisterController(record);
            node.image.apply(node.image.next_offset(), &record).expect("it is sound");
            node.revealed(Now::default(), &record, &mut out);
            node.timers.next()
        };
        assert_eq!(reveal(&mut node, 2, own), None);
        assert_eq!(reveal(&mut node, 1, Uuid([9; 16])), None, "that is the other one");
        let again = Some((Instant(0).plus_ms(REPLACED_MS), WakeReason::ControllerRegistration));
        assert_eq!(reveal(&mut node, 2, Uuid([9; 16])), again);
        node.register_controller_again(&mut Outbox::default());
        assert!(!node.membership.is_controller_registered, "it asks, or will as soon as there is a controller");
        node.membership.is_controller_registered = true;
        reveal(&mut node, 2, own);
        node.register_controller_again(&mut Outbox::default());
        assert!(node.membership.is_controller_registered);
    }

    /// A paused controller resets nothing and answers nothing: who waits for it must not wait for the call's own end.
    #[test]
    fn nothing_waits_for_a_controller_that_is_one_no_more() {
        let mut peers = crate::peers::Peers::default();
        let mut out = Outbox::default();
        let to = Endpoint { node: protocol::NodeId(2), host: Str::new(), port: 1 };
        let body = || RequestBody::BrokerHeartbeat(BrokerHeartbeatRequest::default());
        let all = [Asked::Heartbeat, Asked::ProducerIds, Asked::Topics, Asked::ControllerRegistration];
        let calls = all.map(|asked| peers.call(Purpose::Lifecycle(asked), &to, body(), 30_000, &mut out));
        let other = peers.call(Purpose::Quorum(1), &to, body(), 30_000, &mut out);
        assert_eq!(peers.give_up_lifecycle(&mut out), all);
        assert_eq!(out.given_up, calls, "nobody need ask any more");
        assert_eq!(calls.map(|call| peers.finish(call)), [None, None, None, None]);
        assert_eq!(peers.finish(other), Some(Purpose::Quorum(1)));
    }
}
