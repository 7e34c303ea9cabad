//! UpdateFeatures, versions 0 to 2 (KIP-584, KIP-778, KIP-1022), and UnregisterBroker, version 0 (KIP-1073).

use protocol::ResponseBody;
use protocol::messages::{
    ErrorCode, UnregisterBrokerRequest, UnregisterBrokerResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use super::{Context, Step};

/// UpdateFeatures: has the controller decide.
pub fn handle(context: &mut Context<'_>, request: &UpdateFeaturesRequest) -> Step {
    if context.controller.is_active() {
        let (outcome, is_upgrade) =
            context.controller.decide_update_features(context.config, context.quorum, context.version, request);
        return if is_upgrade { Step::Upgrade(outcome) } else { Step::Decided(outcome) };
    }
    let error_code = ErrorCode::NotController.code();
    Step::Answer(ResponseBody::UpdateFeatures(UpdateFeaturesResponse { error_code, ..Default::default() }))
}

/// UnregisterBroker: has the controller decide.
pub fn unregister_broker(context: &mut Context<'_>, request: &UnregisterBrokerRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_unregister_broker(context.config, request));
    }
    let error_code = ErrorCode::NotController.code();
    Step::Answer(ResponseBody::UnregisterBroker(UnregisterBrokerResponse { error_code, ..Default::default() }))
}
