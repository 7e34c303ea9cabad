//! CreateTopics, versions 2 to 7 (KIP-4, KIP-464, KIP-525, KIP-516). Its timeout is not needed: the reply comes with the
//! commit.

use protocol::messages::create_topics_response::CreatableTopicResult;
use protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, ErrorCode};
use protocol::{ResponseBody, Str};

use super::{Context, Step};

/// Has the controller decide.
pub fn handle(context: &mut Context<'_>, request: CreateTopicsRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_create_topics(context.config, context.random, &request));
    }
    let refused = |name: Str| CreatableTopicResult {
        name,
        error_code: ErrorCode::NotController.code(),
        ..CreatableTopicResult::default()
    };
    let topics = request.topics.into_iter().map(|topic| refused(topic.name)).collect();
    Step::Answer(ResponseBody::CreateTopics(CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }))
}
