//! DescribeCluster, versions 0 to 2 (KIP-700, KIP-919, KIP-1073).

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
    if context.version >= 1 && request.endpoint_type != BROKERS {
        let (error, message) = match request.endpoint_type {
            CONTROLLERS => (
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                    .to_owned(),
            ),
            other => (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}")),
        };
        response.error_code = error.code();
        response.error_message = Some(Str::from(message));
        return Step::Answer(ResponseBody::DescribeCluster(response));
    }
    response.endpoint_type = BROKERS;
    response.cluster_id = context.config.identity.cluster_id.clone();
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
