//! A broker's life as the controller sees it: register, unfence, stop; and blocks of producer ids.

use protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, BeginTransactionRecord, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationChangeRecord, BrokerRegistrationRequest, BrokerRegistrationResponse,
    ConfigRecord, EndTransactionRecord, ErrorCode, MetadataRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RegisterControllerRecord, ResponseBody, register_broker_record, register_controller_record,
};
use protocol::{NodeId, Now, Str, Uuid, support};

use super::{Controller, Outcome, features};
use crate::config::Config;
use crate::image::{BrokerImage, Resource};
use crate::refusal::Refusal;
use protocol::Random;

/// How many producer ids a broker gets at a time, as in Kafka.
pub const PRODUCER_ID_BLOCK: i32 = 1_000;
/// `BrokerRegistrationChangeRecord.Fenced`: no longer.
const UNFENCE: i8 = -1;
/// `BrokerRegistrationChangeRecord.Fenced`: from now on.
const FENCE: i8 = 1;

impl Controller {
    /// The first records of an empty log, between the marks of a metadata transaction (KIP-868) as in Kafka: those with which
    /// the directory was formatted, else the levels of a new cluster. Then this controller's registration, in every log and
    /// after every start.
    pub fn decide_bootstrap(
        &self,
        config: &Config,
        formatted: Vec<MetadataRecord>,
        random: &mut Random,
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
        records.push(controller_registration(config, random.uuid()).into());
        records
    }

    /// BrokerRegistration: the broker's epoch is the offset of its record.
    pub fn decide_broker_registration(
        &self,
        config: &Config,
        request: &BrokerRegistrationRequest,
        _now: Now,
    ) -> Outcome {
        let refuse = |error: ErrorCode| Outcome { records: Vec::new(), reply: registration_reply(error, -1) };
        let id = NodeId(request.broker_id);
        if request.cluster_id != config.identity.cluster_id {
            return refuse(ErrorCode::InconsistentClusterId);
        }
        if !self.supports_finalized(request) {
            return refuse(ErrorCode::UnsupportedVersion);
        }
        let mut records = Vec::new();
        let (mut epoch, mut fenced) = (None, true);
        match self.image().broker(id) {
            None => {}
            // The same incarnation asking again keeps its epoch: its first answer was lost.
            Some(broker) if broker.incarnation == request.incarnation_id => {
                (epoch, fenced) = (Some(broker.epoch), broker.fenced);
            }
            // Another process with the same number is refused while the first lives. This node's own broker cannot live twice:
            // what is registered is its earlier life, which ended without a goodbye.
            Some(broker) if !broker.fenced && id != config.node_id => {
                return refuse(ErrorCode::DuplicateBrokerRegistration);
            }
            Some(broker) => {
                if !broker.fenced {
                    records.extend(self.leave_partitions(config, id));
                    records.push(fencing(broker, FENCE).into());
                }
                // A broker that cannot name the epoch of its last clean stop lost its page cache, for all we know.
                if request.previous_broker_epoch != broker.epoch {
                    let forgotten = self.forget_eligible(id, &records);
                    records.extend(forgotten);
                }
            }
        }
        let epoch = epoch.unwrap_or_else(|| self.image().next_offset().plus(records.len() as i64).0);
        records.push(registration(request, epoch, fenced).into());
        Outcome { records, reply: registration_reply(ErrorCode::None, epoch) }
    }

    /// BrokerHeartbeat: unfences a broker that has caught up, fences one that asks for it, lets one stop.
    pub fn decide_broker_heartbeat(&self, config: &Config, request: &BrokerHeartbeatRequest, _now: Now) -> Outcome {
        let mut reply = BrokerHeartbeatResponse::default();
        let mut records = Vec::new();
        match self.current(request.broker_id, request.broker_epoch) {
            Err(refusal) => reply.error_code = refusal.code.code(),
            Ok(broker) => {
                reply.is_caught_up = request.current_metadata_offset >= broker.epoch;
                reply.is_fenced = broker.fenced;
                if request.want_shut_down {
                    // With nobody else to lead its partitions there is nothing to wait for.
                    if !broker.fenced {
                        if !broker.in_controlled_shutdown {
                            records.push(stopping(broker).into());
                        }
                        records.extend(self.leave_partitions(config, broker.id));
                        records.push(fencing(broker, FENCE).into());
                    }
                    (reply.is_fenced, reply.should_shut_down) = (true, true);
                } else if request.want_fence && !broker.fenced {
                    records.extend(self.leave_partitions(config, broker.id));
                    records.push(fencing(broker, FENCE).into());
                    reply.is_fenced = true;
                } else if !request.want_fence && broker.fenced && reply.is_caught_up {
                    records.push(fencing(broker, UNFENCE).into());
                    records.extend(self.join_partitions(broker.id));
                    reply.is_fenced = false;
                }
                let cordoned = request.cordoned_log_dirs.as_ref();
                if cordoned.is_some_and(|it| broker.cordoned_directories.as_ref() != Some(it)) {
                    let record =
                        BrokerRegistrationChangeRecord { cordoned_log_dirs: cordoned.cloned(), ..change_of(broker) };
                    records.push(record.into());
                }
            }
        }
        Outcome { records, reply: ResponseBody::BrokerHeartbeat(reply) }
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

fn change_of(broker: &BrokerImage) -> BrokerRegistrationChangeRecord {
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
