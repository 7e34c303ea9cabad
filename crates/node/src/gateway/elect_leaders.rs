//! ElectLeaders, versions 0 to 2 (KIP-183, KIP-460).

use protocol::ResponseBody;
use protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, ErrorCode};

use super::{Context, Step};

/// Has the controller decide.
pub fn handle(context: &mut Context<'_>, request: &ElectLeadersRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_elect_leaders(context.config, request));
    }
    let error_code = ErrorCode::NotController.code();
    Step::Answer(ResponseBody::ElectLeaders(ElectLeadersResponse { error_code, ..ElectLeadersResponse::default() }))
}
