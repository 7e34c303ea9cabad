//! What brokers and controllers ask of the active controller about themselves: BrokerRegistration, versions 0 to 4 (KIP-631,
//! KIP-858, KIP-966), BrokerHeartbeat 0 to 2, ControllerRegistration 0 (KIP-919), AllocateProducerIds 0 (KIP-730),
//! AssignReplicasToDirs 0 (KIP-858), AlterPartition 2 and 3 (KIP-841, KIP-903). A controller that is not active says
//! NOT_CONTROLLER.

use protocol::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterPartitionRequest, AlterPartitionResponse,
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    BrokerRegistrationRequest, BrokerRegistrationResponse, ControllerRegistrationRequest,
    ControllerRegistrationResponse, ErrorCode, ResponseBody,
};

use super::{Context, Step};
use crate::input::PeerHost;

const NOT_CONTROLLER: i16 = ErrorCode::NotController.code();

/// BrokerRegistration.
pub fn register(context: &mut Context<'_>, request: &BrokerRegistrationRequest) -> Step {
    if context.controller.is_active() {
        let is_own = context.peer.host == PeerHost::Node(context.config.node_id);
        let outcome = context.controller.decide_broker_registration(context.config, request, is_own, context.now);
        return Step::Decided(outcome);
    }
    let refused = BrokerRegistrationResponse { error_code: NOT_CONTROLLER, broker_epoch: -1, ..Default::default() };
    Step::Answer(ResponseBody::BrokerRegistration(refused))
}

/// BrokerHeartbeat.
pub fn heartbeat(context: &mut Context<'_>, request: &BrokerHeartbeatRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_broker_heartbeat(context.config, request, context.now));
    }
    let refused = BrokerHeartbeatResponse { error_code: NOT_CONTROLLER, ..Default::default() };
    Step::Answer(ResponseBody::BrokerHeartbeat(refused))
}

/// ControllerRegistration.
pub fn register_controller(context: &mut Context<'_>, request: &ControllerRegistrationRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_controller_registration(request));
    }
    let refused = ControllerRegistrationResponse { error_code: NOT_CONTROLLER, ..Default::default() };
    Step::Answer(ResponseBody::ControllerRegistration(refused))
}

/// AllocateProducerIds.
pub fn allocate_producer_ids(context: &mut Context<'_>, request: &AllocateProducerIdsRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_allocate_producer_ids(request));
    }
    let refused = AllocateProducerIdsResponse { error_code: NOT_CONTROLLER, ..Default::default() };
    Step::Answer(ResponseBody::AllocateProducerIds(refused))
}

/// AssignReplicasToDirs.
pub fn assign_replicas_to_dirs(context: &mut Context<'_>, request: &AssignReplicasToDirsRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_assign_replicas_to_dirs(context.config, request));
    }
    let refused = AssignReplicasToDirsResponse { error_code: NOT_CONTROLLER, ..Default::default() };
    Step::Answer(ResponseBody::AssignReplicasToDirs(refused))
}

/// AlterPartition.
pub fn alter_partition(context: &mut Context<'_>, request: &AlterPartitionRequest) -> Step {
    if context.controller.is_active() {
        let (config, version) = (context.config, context.version);
        return Step::Decided(context.controller.decide_alter_partition(config, version, request));
    }
    let refused = AlterPartitionResponse { error_code: NOT_CONTROLLER, ..Default::default() };
    Step::Answer(ResponseBody::AlterPartition(refused))
}
