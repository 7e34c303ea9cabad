//! AlterPartitionReassignments, versions 0 and 1, ListPartitionReassignments, version 0 (KIP-455, KIP-860).

use protocol::ResponseBody;
use protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ErrorCode,
    ListPartitionReassignmentsRequest,
};

use super::{Context, Step};
use crate::controller::ongoing_reassignments;

/// AlterPartitionReassignments: has the controller decide.
pub fn alter(context: &mut Context<'_>, request: &AlterPartitionReassignmentsRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_alter_partition_reassignments(context.config, request));
    }
    let refused = AlterPartitionReassignmentsResponse {
        error_code: ErrorCode::NotController.code(),
        ..AlterPartitionReassignmentsResponse::default()
    };
    Step::Answer(ResponseBody::AlterPartitionReassignments(refused))
}

/// ListPartitionReassignments: answers from committed metadata, which every node has.
pub fn list(context: &mut Context<'_>, request: &ListPartitionReassignmentsRequest) -> Step {
    Step::Answer(ResponseBody::ListPartitionReassignments(ongoing_reassignments(context.image, request)))
}
