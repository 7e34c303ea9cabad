//! A broker's life as the controller sees it: register, unfence, stop; and blocks of producer ids.

use protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, BeginTransactionRecord, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationChangeRecord, BrokerRegistrationRequest, BrokerRegistrationResponse,
    ConfigRecord, ControllerRegistrationRequest, ControllerRegistrationResponse, EndTransactionRecord, ErrorCode,
    MetadataRecord, ProducerIdsRecord, RegisterBrokerRecord, RegisterControllerRecord, ResponseBody,
    UnregisterBrokerRecord, UnregisterBrokerRequest, UnregisterBrokerResponse, register_broker_record,
    register_controller_record,
};
use protocol::{NodeId, Now, Str, Uuid, support};
use quorum::{CORDONED_DIRECTORIES, METADATA_VERSION};

use super::election::Turn;
use super::{Controller, Outcome, features};
use crate::config::Config;
use crate::image::{BrokerImage, Resource, SecurityProtocol};
use crate::refusal::Refusal;

/// How many producer ids a broker gets at a time, as in Kafka.
pub const PRODUCER_ID_BLOCK: i32 = 1_000;
/// `BrokerRegistrationChangeRecord.Fenced`: no longer.
const UNFENCE: i8 = -1;
/// `BrokerRegistrationChangeRecord.Fenced`: from now on.
const FENCE: i8 = 1;

/// What a broker is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It leads nothing.
    Fenced,
    /// It can lead.
    Unfenced,
    /// Its controlled shutdown is under way: it leads nothing any more, and not everyone knows.
    Leaving,
    /// It may end its process.
    Gone,
}

impl Controller {
    /// The first records of an empty log, between the marks of a metadata transaction (KIP-868) as in Kafka: those with which
    /// the directory was formatted, else the levels of a new cluster. Then this controller's registration, if its process has
    /// not registered before.
    pub fn decide_bootstrap(
        &self,
        config: &Config,
        formatted: Vec<MetadataRecord>,
        incarnation: Uuid,
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if self.image().features().next().is_none() {
            let first = if formatted.is_empty() { features::initial() } else { formatted };
            let has_elr = features::has_elr(&first);
            records.push(BeginTransactionRecord { name: Some(Str::from_static("Bootstrap records")) }.into());
            records.extend(first);
            if has_elr {
                // The value that all brokers share is the cluster's (KIP-966).
                let min_isr = config.explicit("min.insync.replicas").cloned().unwrap_or(Str::from_static("1"));
                let all = Resource::all_brokers();
                let record = ConfigRecord {
                    resource_type: all.kind.id(),
                    resource_name: all.name,
                    name: Str::from_static("min.insync.replicas"),
                    value: Some(min_isr),
                };
                records.push(record.into());
            }
            records.push(EndTransactionRecord::default().into());
        }
        if self.image().controller(config.node_id).is_none_or(|it| it.incarnation != incarnation) {
            records.push(controller_registration(config, incarnation).into());
        }
        records
    }

    /// BrokerRegistration: the broker's epoch is the offset of its record. `is_own` if this very node asks.
    pub fn decide_broker_registration(
        &self,
        config: &Config,
        request: &BrokerRegistrationRequest,
        is_own: bool,
        now: Now,
    ) -> Outcome {
        match self.register(config, request, is_own, now) {
            Ok((records, epoch)) => Outcome { records, reply: registration_reply(ErrorCode::None, epoch) },
            Err(error) => Outcome { records: Vec::new(), reply: registration_reply(error, -1) },
        }
    }

    fn register(
        &self,
        config: &Config,
        request: &BrokerRegistrationRequest,
        is_own: bool,
        now: Now,
    ) -> Result<(Vec<MetadataRecord>, i64), ErrorCode> {
        let id = NodeId(request.broker_id);
        if request.cluster_id != config.identity.cluster_id {
            return Err(ErrorCode::InconsistentClusterId);
        }
        let existing = self.image().broker(id);
        let same = existing.filter(|it| it.incarnation == request.incarnation_id);
        if same.is_none() && existing.is_some_and(|it| self.is_another_alive(config, it, request, is_own, now)) {
            return Err(ErrorCode::DuplicateBrokerRegistration);
        }
        if request.is_migrating_zk_broker {
            return Err(ErrorCode::BrokerIdNotRegistered);
        }
        // What could not be applied is not decided.
        let is_known = |security: i16| SecurityProtocol::from_id(security).is_some();
        if id.0 < 0 || !request.listeners.iter().all(|it| is_known(it.security_protocol)) {
            return Err(ErrorCode::InvalidRegistration);
        }
        self.check_directories(id, &request.log_dirs)?;
        if !request.features.iter().any(|it| it.name == *features::METADATA_VERSION) {
            return Err(ErrorCode::InvalidRegistration);
        }
        if !self.supports_finalized(request) {
            return Err(ErrorCode::UnsupportedVersion);
        }
        // The same incarnation asking again keeps its epoch: its first answer was lost.
        if let Some(broker) = same {
            let record = RegisterBrokerRecord {
                in_controlled_shutdown: broker.in_controlled_shutdown,
                ..registration(request, broker.epoch, broker.fenced)
            };
            return Ok((vec![record.into()], broker.epoch));
        }
        // A broker that cannot name the epoch of its last clean stop lost its page cache, for all we know.
        let is_clean = existing.is_some_and(|it| it.epoch == request.previous_broker_epoch);
        let mut records = if self.rules().elr && !is_clean {
            self.turn(config, Turn::Forgot(id), |it| it.isr.contains(&id) || it.elr.contains(&id))
        } else {
            self.leave_partitions(config, id)
        };
        let epoch = self.image().next_offset().plus(records.len() as i64).0;
        records.push(registration(request, epoch, true).into());
        Ok((records, epoch))
    }

    /// Another process with the same number is refused while the first lives. This node's own lives
    /// as long as this process, and its earlier lives are over when it asks itself. Another one is taken to be gone when its
    /// connection was seen to break and who asks listens where it did: two share an address only where somebody has seen to that
    /// (SO_REUSEPORT, a proxy). Of one that was not heard of since this term began no connection is known to have broken: then
    /// who asks must have its directories too, each of which one process has locked.
    fn is_another_alive(
        &self,
        config: &Config,
        broker: &BrokerImage,
        request: &BrokerRegistrationRequest,
        is_own: bool,
        now: Now,
    ) -> bool {
        if config.roles.broker && broker.id == config.node_id {
            return !is_own;
        }
        let timeout_ms = i64::from(config.broker_session_timeout_ms);
        let has_its_disks = !broker.directories.is_empty()
            && self.contacts.is_in_doubt(broker.id)
            && broker.directories.iter().all(|it| request.log_dirs.contains(it));
        let took_over = (self.contacts.is_broken(broker.id) || has_its_disks)
            && request.listeners.iter().any(|it| {
                let before = broker.endpoints.get(&it.name);
                before.is_some_and(|before| before.host == it.host && before.port == it.port)
            });
        !took_over && self.contacts.is_live(broker.id, broker.epoch, now.mono, timeout_ms)
    }

    fn check_directories(&self, id: NodeId, directories: &[Uuid]) -> Result<(), ErrorCode> {
        if !self.rules().directories {
            return Ok(());
        }
        let is_repeated = |index: usize| directories[..index].contains(&directories[index]);
        let is_anothers =
            |it: &Uuid| self.image().brokers().any(|broker| broker.id != id && broker.directories.contains(it));
        let is_invalid = directories.is_empty()
            || directories.iter().any(is_reserved)
            || (0..directories.len()).any(is_repeated)
            || directories.iter().any(is_anothers);
        if is_invalid { Err(ErrorCode::InvalidRegistration) } else { Ok(()) }
    }

    /// BrokerHeartbeat: unfences a broker that has caught up, fences one that asks for it, lets one stop.
    pub fn decide_broker_heartbeat(&self, config: &Config, request: &BrokerHeartbeatRequest, _now: Now) -> Outcome {
        let mut reply = BrokerHeartbeatResponse::default();
        let mut records = Vec::new();
        match self.current(request.broker_id, request.broker_epoch) {
            Err(refusal) => reply.error_code = refusal.code.code(),
            Ok(broker) => {
                reply.is_caught_up = request.current_metadata_offset >= broker.epoch;
                let lost: Vec<Uuid> =
                    broker.directories.iter().copied().filter(|it| request.offline_log_dirs.contains(it)).collect();
                let next = if lost.is_empty() || request.want_shut_down {
                    self.next_standing(broker, request, reply.is_caught_up)
                } else {
                    // One thing at a time: what comes next is decided without these directories.
                    records.extend(self.lose_directories(config, broker, &lost));
                    if broker.fenced { Standing::Fenced } else { Standing::Unfenced }
                };
                self.change_standing(config, broker, next, &mut records);
                reply.is_fenced = matches!(next, Standing::Fenced | Standing::Gone);
                reply.should_shut_down = next == Standing::Gone;
                // Some other kind of broker sends them with every heartbeat, in any order.
                let is_new = |it: &&Vec<Uuid>| match &broker.cordoned_directories {
                    None => true,
                    Some(noted) => it.len() != noted.len() || it.iter().any(|id| !noted.contains(id)),
                };
                let knows = self.image().feature(METADATA_VERSION) >= CORDONED_DIRECTORIES;
                if let Some(cordoned) = request.cordoned_log_dirs.as_ref().filter(|_| knows).filter(is_new) {
                    let cordoned_log_dirs = Some(cordoned.clone());
                    records.push(BrokerRegistrationChangeRecord { cordoned_log_dirs, ..change_of(broker) }.into());
                }
            }
        }
        Outcome { records, reply: ResponseBody::BrokerHeartbeat(reply) }
    }

    /// What a broker that asks so is allowed to be.
    fn next_standing(&self, broker: &BrokerImage, request: &BrokerHeartbeatRequest, is_caught_up: bool) -> Standing {
        if let Some(offset) = self.contacts.shutdown_offset(broker.id) {
            // Everyone else must know that it leads nothing any more.
            let known = self.contacts.lowest_active_offset(self.image(), broker.id);
            let may_go = !self.leads_any(broker.id) && known.is_none_or(|known| known >= offset.0);
            return if may_go { Standing::Gone } else { Standing::Leaving };
        }
        match (broker.fenced, request.want_fence, request.want_shut_down) {
            (true, _, true) | (false, true, true) => Standing::Gone,
            (true, false, false) if is_caught_up => Standing::Unfenced,
            (true, _, false) | (false, true, false) => Standing::Fenced,
            (false, false, true) => {
                // With nobody else to know of it there is nothing to wait for.
                let is_alone = self.contacts.lowest_active_offset(self.image(), broker.id).is_none();
                if is_alone || !self.leads_any(broker.id) { Standing::Gone } else { Standing::Leaving }
            }
            (false, false, false) => Standing::Unfenced,
        }
    }

    fn change_standing(
        &self,
        config: &Config,
        broker: &BrokerImage,
        next: Standing,
        records: &mut Vec<MetadataRecord>,
    ) {
        match next {
            Standing::Fenced | Standing::Gone if !broker.fenced => {
                if next == Standing::Gone && !broker.in_controlled_shutdown {
                    records.push(stopping(broker).into());
                }
                records.extend(self.leave_partitions(config, broker.id));
                records.push(fencing(broker, FENCE).into());
            }
            Standing::Leaving => {
                if !broker.in_controlled_shutdown {
                    records.push(stopping(broker).into());
                }
                records.extend(self.leave_partitions(config, broker.id));
            }
            Standing::Unfenced if broker.fenced => {
                records.push(fencing(broker, UNFENCE).into());
                records.extend(self.join_partitions(config, broker.id));
            }
            Standing::Fenced | Standing::Gone | Standing::Unfenced => {}
        }
    }

    /// A broker's session is over, or it is known to be dead: it leads nothing any more.
    pub fn decide_fence(&self, config: &Config, id: NodeId) -> Vec<MetadataRecord> {
        let Some(broker) = self.image().broker(id).filter(|it| !it.fenced) else { return Vec::new() };
        let mut records = self.leave_partitions(config, id);
        records.push(fencing(broker, FENCE).into());
        records
    }

    /// UnregisterBroker, version 0.
    pub fn decide_unregister_broker(&self, config: &Config, request: &UnregisterBrokerRequest) -> Outcome {
        let mut reply = UnregisterBrokerResponse { error_message: None, ..UnregisterBrokerResponse::default() };
        let mut records = Vec::new();
        match self.image().broker(NodeId(request.broker_id)) {
            Some(broker) => {
                records = self.leave_partitions(config, broker.id);
                let record = UnregisterBrokerRecord { broker_id: broker.id.0, broker_epoch: broker.epoch };
                records.push(record.into());
            }
            None => {
                reply.error_code = ErrorCode::BrokerIdNotRegistered.code();
                let what = format!("Broker ID {} is not currently registered", request.broker_id);
                reply.error_message = Some(Str::from(what));
            }
        }
        Outcome { records, reply: ResponseBody::UnregisterBroker(reply) }
    }

    /// ControllerRegistration, version 0 (KIP-919).
    pub fn decide_controller_registration(&self, request: &ControllerRegistrationRequest) -> Outcome {
        let mut reply =
            ControllerRegistrationResponse { error_message: None, ..ControllerRegistrationResponse::default() };
        if request.listeners.iter().any(|it| SecurityProtocol::from_id(it.security_protocol).is_none()) {
            reply.error_code = ErrorCode::InvalidRegistration.code();
            return Outcome { records: Vec::new(), reply: ResponseBody::ControllerRegistration(reply) };
        }
        let endpoints = request.listeners.iter().map(|it| register_controller_record::ControllerEndpoint {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: it.security_protocol,
        });
        let features = request.features.iter().map(|it| register_controller_record::ControllerFeature {
            name: it.name.clone(),
            min_supported_version: it.min_supported_version,
            max_supported_version: it.max_supported_version,
        });
        let record = RegisterControllerRecord {
            controller_id: request.controller_id,
            incarnation_id: request.incarnation_id,
            zk_migration_ready: request.zk_migration_ready,
            end_points: endpoints.collect(),
            features: features.collect(),
        };
        Outcome { records: vec![record.into()], reply: ResponseBody::ControllerRegistration(reply) }
    }

    /// AllocateProducerIds: the next block of a thousand.
    pub fn decide_allocate_producer_ids(&self, request: &AllocateProducerIdsRequest) -> Outcome {
        let mut reply = AllocateProducerIdsResponse::default();
        let mut records = Vec::new();
        let start = self.image().producer_ids_end();
        let end = start.checked_add(i64::from(PRODUCER_ID_BLOCK));
        match (self.current(request.broker_id, request.broker_epoch), end) {
            (Ok(_), Some(end)) => {
                (reply.producer_id_start, reply.producer_id_len) = (start, PRODUCER_ID_BLOCK);
                let record = ProducerIdsRecord {
                    broker_id: request.broker_id,
                    broker_epoch: request.broker_epoch,
                    next_producer_id: end,
                };
                records.push(record.into());
            }
            (Err(refusal), _) => reply.error_code = refusal.code.code(),
            (Ok(_), None) => reply.error_code = ErrorCode::UnknownServerError.code(),
        }
        Outcome { records, reply: ResponseBody::AllocateProducerIds(reply) }
    }

    pub(super) fn current(&self, id: i32, epoch: i64) -> Result<&BrokerImage, Refusal> {
        match self.image().broker(NodeId(id)) {
            Some(broker) if broker.epoch == epoch => Ok(broker),
            Some(_) => Err(Refusal::of(ErrorCode::StaleBrokerEpoch)),
            None => Err(Refusal::of(ErrorCode::BrokerIdNotRegistered)),
        }
    }

    fn supports_finalized(&self, request: &BrokerRegistrationRequest) -> bool {
        self.image().features().all(|(name, level)| {
            let range = request.features.iter().find(|it| it.name == *name);
            range.is_some_and(|it| (it.min_supported_version..=it.max_supported_version).contains(&level))
        })
    }
}

/// Ids of directories that mean something else (KIP-858).
fn is_reserved(directory: &Uuid) -> bool {
    directory.0[..15].iter().all(|byte| *byte == 0) && directory.0[15] < 100
}

fn registration_reply(error: ErrorCode, broker_epoch: i64) -> ResponseBody {
    let error_code = error.code();
    let reply = BrokerRegistrationResponse { error_code, broker_epoch, ..BrokerRegistrationResponse::default() };
    ResponseBody::BrokerRegistration(reply)
}

fn registration(request: &BrokerRegistrationRequest, epoch: i64, fenced: bool) -> RegisterBrokerRecord {
    let endpoints = request.listeners.iter().map(|it| register_broker_record::BrokerEndpoint {
        name: it.name.clone(),
        host: it.host.clone(),
        port: it.port,
        security_protocol: it.security_protocol,
    });
    let features = request.features.iter().map(|it| register_broker_record::BrokerFeature {
        name: it.name.clone(),
        min_supported_version: it.min_supported_version,
        max_supported_version: it.max_supported_version,
    });
    RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        broker_epoch: epoch,
        end_points: endpoints.collect(),
        features: features.collect(),
        rack: request.rack.clone(),
        fenced,
        log_dirs: request.log_dirs.clone(),
        ..RegisterBrokerRecord::default()
    }
}

pub(super) fn change_of(broker: &BrokerImage) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch,
        ..BrokerRegistrationChangeRecord::default()
    }
}

fn fencing(broker: &BrokerImage, fenced: i8) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord { fenced, ..change_of(broker) }
}

fn stopping(broker: &BrokerImage) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change_of(broker) }
}

fn controller_registration(config: &Config, incarnation: Uuid) -> RegisterControllerRecord {
    let own = config.advertised_listeners.iter().filter(|it| config.is_controller_listener(&it.name));
    RegisterControllerRecord {
        controller_id: config.node_id.0,
        incarnation_id: incarnation,
        end_points: own
            .map(|it| register_controller_record::ControllerEndpoint {
                name: it.name.clone(),
                host: it.host.clone(),
                port: it.port,
                security_protocol: it.security.id(),
            })
            .collect(),
        features: support::kafka_features()
            .iter()
            .map(|it| register_controller_record::ControllerFeature {
                name: Str::from_static(it.name),
                min_supported_version: *it.levels.start(),
                max_supported_version: *it.levels.end(),
            })
            .collect(),
        ..RegisterControllerRecord::default()
    }
}
