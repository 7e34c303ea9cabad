//! Requests on a controller listener: of brokers, of other controllers, of who administers the quorum directly, and what
//! brokers pass on for their clients (Envelope, KIP-590).

use bytes::Bytes;
use protocol::frame::{self, Request, Response};
use protocol::message::decode_versioned;
use protocol::messages::{DefaultPrincipalData, EnvelopeRequest, EnvelopeResponse, ErrorCode};
use protocol::{ApiKey, NodeId, Now, RequestBody, ResponseBody};

use super::{
    Context, Step, broker_life, configs, create_partitions, create_topics, delete_topics, elect_leaders, reassignments,
    update_features,
};
use crate::controller::{Asked, Outcome};
use crate::deferred::{Committed, Waiter};
use crate::input::Peer;
use crate::node::Node;
use crate::outbox::Outbox;

/// APIs whose requests a broker passes on to the active controller. Their answers do not depend on who is asked.
pub(crate) fn is_forwarded(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::ElectLeaders
            | ApiKey::AlterPartitionReassignments
            | ApiKey::ListPartitionReassignments
            | ApiKey::UpdateFeatures
            | ApiKey::DescribeQuorum
            | ApiKey::UnregisterBroker
            | ApiKey::AddRaftVoter
            | ApiKey::RemoveRaftVoter
    )
}

/// What the quorum answers for itself, whoever asks.
pub(super) fn is_of_quorum(body: &RequestBody) -> bool {
    matches!(body, RequestBody::DescribeQuorum(_) | RequestBody::AddRaftVoter(_) | RequestBody::RemoveRaftVoter(_))
}

/// Has the controller decide what only it can; `None` for any other request.
pub(crate) fn decide(context: &mut Context<'_>, body: RequestBody) -> Option<Step> {
    let by = configs::asked(context);
    Some(match body {
        RequestBody::CreateTopics(request) => create_topics::handle(context, request),
        RequestBody::DeleteTopics(request) => delete_topics::handle(context, request),
        RequestBody::CreatePartitions(request) => create_partitions::handle(context, request),
        RequestBody::AlterConfigs(request) => configs::alter(context, by, request),
        RequestBody::IncrementalAlterConfigs(request) => configs::incremental_alter(context, by, request),
        RequestBody::ElectLeaders(request) => elect_leaders::handle(context, &request),
        RequestBody::AlterPartitionReassignments(request) => reassignments::alter(context, &request),
        RequestBody::ListPartitionReassignments(request) => reassignments::list(context, &request),
        RequestBody::UpdateFeatures(request) => update_features::handle(context, &request),
        RequestBody::UnregisterBroker(request) => update_features::unregister_broker(context, &request),
        _ => return None,
    })
}

impl Node {
    /// A request on a controller listener, at any time of the node's life.
    pub(crate) fn dispatch_to_controller(
        &mut self,
        now: Now,
        waiter: Waiter,
        peer: &Peer,
        body: RequestBody,
        out: &mut Outbox,
    ) {
        let api = body.api_key();
        let mut context = self.context(now, peer, waiter.version);
        let mut heard = None;
        let step = match body {
            // The metadata log is the only one that is read here.
            RequestBody::Vote(_)
            | RequestBody::BeginQuorumEpoch(_)
            | RequestBody::EndQuorumEpoch(_)
            | RequestBody::Fetch(_)
            | RequestBody::FetchSnapshot(_)
            | RequestBody::DescribeQuorum(_)
            | RequestBody::AddRaftVoter(_)
            | RequestBody::RemoveRaftVoter(_)
            | RequestBody::UpdateRaftVoter(_) => return self.ask_quorum(now, waiter, body, out),
            RequestBody::Envelope(request) => return self.handle_envelope(now, waiter, peer, request, out),
            RequestBody::ApiVersions(request) => super::api_versions::handle(&mut context, request),
            RequestBody::DescribeCluster(request) => super::describe_cluster::handle(&mut context, request),
            RequestBody::DescribeConfigs(request) => configs::describe(&mut context, request),
            RequestBody::BrokerRegistration(request) => {
                heard = Some((NodeId(request.broker_id), None));
                broker_life::register(&mut context, &request)
            }
            RequestBody::BrokerHeartbeat(request) => {
                heard = Some((NodeId(request.broker_id), Some(request.current_metadata_offset)));
                broker_life::heartbeat(&mut context, &request)
            }
            RequestBody::ControllerRegistration(request) => broker_life::register_controller(&mut context, &request),
            RequestBody::AllocateProducerIds(request) => broker_life::allocate_producer_ids(&mut context, &request),
            RequestBody::AssignReplicasToDirs(request) => broker_life::assign_replicas_to_dirs(&mut context, &request),
            RequestBody::AlterPartition(request) => broker_life::alter_partition(&mut context, &request),
            RequestBody::AlterConfigs(request) => configs::alter(&mut context, Asked::Controller, request),
            RequestBody::IncrementalAlterConfigs(request) => {
                configs::incremental_alter(&mut context, Asked::Controller, request)
            }
            body => match decide(&mut context, body) {
                Some(step) => step,
                None => return self.close(waiter.conn, format!("{} is not supported here", api.name()), out),
            },
        };
        let heard = heard.filter(|_| matches!(&step, Step::Decided(outcome) if is_accepted(&outcome.reply)));
        self.take_step(now, waiter, step, out);
        if let Some((id, offset)) = heard {
            self.heard_of(now, waiter.conn, id, offset);
        }
    }

    /// A broker passes a client's request on: what is decided goes back in an envelope of its own.
    fn handle_envelope(&mut self, now: Now, waiter: Waiter, peer: &Peer, request: EnvelopeRequest, out: &mut Outbox) {
        if !self.controller.is_active() {
            return self.answer(waiter, answer(ErrorCode::NotController, None), out);
        }
        if !request.request_principal.as_ref().is_some_and(is_principal) {
            return self.answer(waiter, answer(ErrorCode::PrincipalDeserializationFailure, None), out);
        }
        let inner = match frame::decode_request(request.request_data) {
            Ok(inner) if is_forwarded(inner.body.api_key()) => inner,
            Ok(_) => return self.answer(waiter, answer(ErrorCode::InvalidRequest, None), out),
            Err(frame::RequestError::UnsupportedVersion { .. }) => {
                return self.answer(waiter, answer(ErrorCode::UnsupportedVersion, None), out);
            }
            Err(error) => return self.close(waiter.conn, format!("Envelope: {error}"), out),
        };
        let Request { version, correlation_id, body, .. } = inner;
        if is_of_quorum(&body) {
            return self.ask_quorum_wrapped(now, waiter, (version, correlation_id), body, out);
        }
        let mut context = self.context(now, peer, version);
        let Some(step) = decide(&mut context, body) else {
            return self.answer(waiter, answer(ErrorCode::InvalidRequest, None), out);
        };
        let wrapped = |body: ResponseBody| wrap(version, correlation_id, body);
        match step {
            Step::Answer(body) => self.answer(waiter, wrapped(body), out),
            Step::Ask(_, body) => self.answer(waiter, wrapped(body), out),
            Step::Upgrade(Outcome { records, reply }) => {
                self.upgrade_quorum(now, out);
                let outcome = Outcome { records, reply: wrapped(reply) };
                self.commit(now, outcome, |reply| Committed::Answer(waiter, reply), out);
            }
            Step::Decided(Outcome { records, reply }) => {
                let outcome = Outcome { records, reply: wrapped(reply) };
                self.commit(now, outcome, |reply| Committed::Answer(waiter, reply), out);
            }
        }
    }
}

/// An answer in an envelope.
pub(crate) fn wrap(version: i16, correlation_id: i32, body: ResponseBody) -> ResponseBody {
    let mut response = Response { version, correlation_id, body };
    let bytes = frame::encode_response(&mut response).ok().and_then(|frame| frame.bytes());
    match bytes {
        // Without the size, which the frame around it has.
        Some(bytes) => answer(ErrorCode::None, Some(bytes.slice(4..))),
        None => answer(ErrorCode::UnknownServerError, None),
    }
}

fn answer(error: ErrorCode, data: Option<Bytes>) -> ResponseBody {
    ResponseBody::Envelope(EnvelopeResponse { error_code: error.code(), response_data: data })
}

/// Whether a broker's request was accepted, as its answer says.
fn is_accepted(reply: &ResponseBody) -> bool {
    let error_code = match reply {
        ResponseBody::BrokerRegistration(it) => it.error_code,
        ResponseBody::BrokerHeartbeat(it) => it.error_code,
        _ => return false,
    };
    error_code == ErrorCode::None.code()
}

/// Whether the bytes are a principal as Kafka's default builder writes it: the version, then the data.
fn is_principal(bytes: &Bytes) -> bool {
    decode_versioned::<DefaultPrincipalData>(bytes.clone()).is_ok()
}
