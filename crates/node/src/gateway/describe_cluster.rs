//! DescribeCluster, versions 0 to 2 (KIP-700, KIP-919, KIP-1073): of brokers on their listeners, of controllers on theirs.

use protocol::messages::describe_cluster_response::DescribeClusterBroker;
use protocol::messages::{DescribeClusterRequest, DescribeClusterResponse, ErrorCode};
use protocol::{ResponseBody, Str};

use super::metadata::{CLUSTER_OPERATIONS, controller_id};
use super::{Context, Step};

/// `endpoint_type`: brokers.
const BROKERS: i8 = 1;
/// `endpoint_type`: controllers, which are asked on a listener of their own.
const CONTROLLERS: i8 = 2;

/// Answers from committed metadata.
pub fn handle(context: &mut Context<'_>, request: DescribeClusterRequest) -> Step {
    let mut response = DescribeClusterResponse { cluster_authorized_operations: i32::MIN, ..Default::default() };
    let own = if context.config.is_controller_listener(&context.peer.listener) { CONTROLLERS } else { BROKERS };
    // Version 0 cannot ask for anything else.
    let asked = if context.version == 0 { BROKERS } else { request.endpoint_type };
    if asked != own {
        let mismatch = |is: &str, wanted: &str| {
            format!("The request was sent to an endpoint of type {is}, but we wanted an endpoint of type {wanted}")
        };
        let (error, message) = match asked {
            BROKERS => (ErrorCode::MismatchedEndpointType, mismatch("CONTROLLER", "BROKER")),
            CONTROLLERS => (ErrorCode::MismatchedEndpointType, mismatch("BROKER", "CONTROLLER")),
            other => (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
        };
        response.error_code = error.code();
        response.error_message = Some(Str::from(message));
        return Step::Answer(ResponseBody::DescribeCluster(response));
    }
    response.endpoint_type = own;
    response.cluster_id = context.config.identity.cluster_id.clone();
    if own == CONTROLLERS {
        response.controller_id = context.quorum.leader().map_or(-1, |it| it.node.0);
        let shown =
            context.image.controllers().filter_map(|it| Some((it.id, it.endpoints.get(&context.peer.listener)?)));
        response.brokers = shown
            .map(|(id, endpoint)| DescribeClusterBroker {
                broker_id: id.0,
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                ..DescribeClusterBroker::default()
            })
            .collect();
        return Step::Answer(ResponseBody::DescribeCluster(response));
    }
    response.controller_id = controller_id(context);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    let shown = context.image.brokers().filter(|broker| request.include_fenced_brokers || !broker.fenced);
    response.brokers = shown
        .filter_map(|broker| {
            let endpoint = broker.endpoints.get(&context.peer.listener)?;
            Some(DescribeClusterBroker {
                broker_id: broker.id.0,
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                rack: broker.rack.clone(),
                is_fenced: broker.fenced,
            })
        })
        .collect();
    Step::Answer(ResponseBody::DescribeCluster(response))
}
