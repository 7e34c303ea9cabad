//! DeleteTopics, versions 1 to 6 (KIP-4, KIP-516).

use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, ErrorCode};
use protocol::{ResponseBody, Str, Uuid};

use super::{Context, Step};

/// Has the controller decide.
pub fn handle(context: &mut Context<'_>, request: DeleteTopicsRequest) -> Step {
    if context.controller.is_active() {
        return Step::Decided(context.controller.decide_delete_topics(context.config, context.version, &request));
    }
    let refused = |(name, topic_id): (Option<Str>, Uuid)| DeletableTopicResult {
        name,
        topic_id,
        error_code: ErrorCode::NotController.code(),
        ..DeletableTopicResult::default()
    };
    let named = request.topic_names.into_iter().map(|name| (Some(name), Uuid::ZERO));
    let listed = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    let responses = named.chain(listed).map(refused).collect();
    Step::Answer(ResponseBody::DeleteTopics(DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }))
}
