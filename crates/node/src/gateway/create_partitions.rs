//! CreatePartitions, versions 0 to 3 (KIP-195).

use protocol::ResponseBody;
use protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, ErrorCode};

use super::{Context, Step};

/// Has the controller decide.
pub fn handle(context: &mut Context<'_>, request: CreatePartitionsRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_create_partitions(context.random, &request));
    }
    let refused = request.topics.into_iter().map(|topic| CreatePartitionsTopicResult {
        name: topic.name,
        error_code: ErrorCode::NotController.code(),
        ..CreatePartitionsTopicResult::default()
    });
    let response = CreatePartitionsResponse { results: refused.collect(), ..CreatePartitionsResponse::default() };
    Step::Answer(ResponseBody::CreatePartitions(response))
}
