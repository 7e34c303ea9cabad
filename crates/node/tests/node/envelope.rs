//! What brokers pass on to the controller, and what a controller says on its own listener.

use bytes::Bytes;
use node::{ConnId, Input, Peer, PeerHost};
use protocol::frame::{decode_response, encode_request};
use protocol::message::encode_versioned;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DefaultPrincipalData, DescribeClusterRequest, EnvelopeRequest,
    EnvelopeResponse, IncrementalAlterConfigsRequest, MetadataRequest,
};
use protocol::{ApiKey, ErrorCode, Request, RequestBody, ResponseBody, Str};

use crate::common::Rig;

const BROKER: ConnId = ConnId(77);

fn rig() -> Rig {
    let mut rig = Rig::start();
    let host = PeerHost::Named(Str::from_static("b2"));
    rig.input(Input::Opened(BROKER, Peer { listener: Str::from_static("CONTROLLER"), host }));
    rig
}

fn ask(rig: &mut Rig, version: i16, body: RequestBody) -> ResponseBody {
    let id = rig.send_on(BROKER, version, body);
    rig.run();
    rig.answer(id).expect("it is answered")
}

fn principal() -> Bytes {
    let mut data = DefaultPrincipalData { r#type: "User".into(), name: "ANONYMOUS".into(), token_authenticated: false };
    encode_versioned(&mut data, 0).expect("a principal can be written")
}

fn frame_of(version: i16, body: RequestBody) -> Bytes {
    let mut request = Request { version, correlation_id: 4711, client_id: Some("client".into()), body };
    encode_request(&mut request).ok().and_then(|frame| frame.bytes()).expect("a request can be written").slice(4..)
}

fn envelope(rig: &mut Rig, data: Bytes, principal: Option<Bytes>) -> EnvelopeResponse {
    let request = EnvelopeRequest {
        request_data: data,
        request_principal: principal,
        client_host_address: Bytes::from_static(&[127, 0, 0, 1]),
    };
    let ResponseBody::Envelope(response) = ask(rig, 0, RequestBody::Envelope(request)) else {
        panic!("another answer")
    };
    response
}

fn creation(name: &str) -> Bytes {
    let topic = CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: 1, ..Default::default() };
    frame_of(7, RequestBody::CreateTopics(CreateTopicsRequest { topics: vec![topic], ..Default::default() }))
}

#[test]
fn a_request_in_an_envelope_is_answered_in_one() {
    let mut rig = rig();
    let response = envelope(&mut rig, creation("t"), Some(principal()));
    assert_eq!(response.error_code, 0);
    let inner = decode_response(ApiKey::CreateTopics, 7, response.response_data.expect("an answer")).unwrap();
    assert_eq!(inner.correlation_id, 4711, "the client's own number");
    let ResponseBody::CreateTopics(created) = inner.body else { panic!("another answer") };
    assert_eq!((created.topics[0].name.as_str(), created.topics[0].error_code), ("t", 0));
    assert_eq!(rig.view().topics.len(), 1, "it was committed first");
}

#[test]
fn an_envelope_that_cannot_be_opened_is_refused() {
    let mut rig = rig();
    let error = |response: EnvelopeResponse| ErrorCode::from_code(response.error_code);
    assert_eq!(error(envelope(&mut rig, creation("t"), None)), ErrorCode::PrincipalDeserializationFailure);
    let cut = principal().slice(..5);
    assert_eq!(error(envelope(&mut rig, creation("t"), Some(cut))), ErrorCode::PrincipalDeserializationFailure);
    let metadata = frame_of(12, RequestBody::Metadata(MetadataRequest::default()));
    assert_eq!(error(envelope(&mut rig, metadata, Some(principal()))), ErrorCode::InvalidRequest);
    assert_eq!(rig.view().topics.len(), 0);
}

#[test]
fn a_controller_says_on_its_listener_what_it_serves() {
    let mut rig = rig();
    let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
    let ResponseBody::ApiVersions(response) = ask(&mut rig, 4, RequestBody::ApiVersions(request)) else { panic!() };
    let serves = |api: ApiKey| response.api_keys.iter().any(|it| it.api_key == api.code());
    assert!(serves(ApiKey::BrokerHeartbeat) && serves(ApiKey::Vote) && !serves(ApiKey::Produce));
    let describe = |endpoint_type| {
        RequestBody::DescribeCluster(DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() })
    };
    let ResponseBody::DescribeCluster(answer) = ask(&mut rig, 2, describe(2)) else { panic!() };
    assert_eq!((answer.error_code, answer.controller_id, answer.endpoint_type), (0, 1, 2));
    let ResponseBody::DescribeCluster(answer) = ask(&mut rig, 2, describe(1)) else { panic!() };
    assert_eq!(answer.error_code, ErrorCode::MismatchedEndpointType.code());
}

#[test]
fn requests_of_clients_are_not_for_a_controller() {
    let mut rig = rig();
    rig.send_on(BROKER, 12, RequestBody::Metadata(MetadataRequest::default()));
    rig.run();
    assert!(matches!(&rig.replies[..], [node::Reply::Close(BROKER, _)]), "{:?}", rig.replies);
}

#[test]
fn cordons_are_made_by_way_of_their_broker_and_taken_away_by_any() {
    let mut rig = rig();
    let cordons = |value: &str| {
        let config =
            AlterableConfig { name: "cordoned.log.dirs".into(), value: Some(value.into()), ..Default::default() };
        let resource = AlterConfigsResource { resource_type: 4, resource_name: "2".into(), configs: vec![config] };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        RequestBody::IncrementalAlterConfigs(request)
    };
    let error = |body: ResponseBody| match body {
        ResponseBody::IncrementalAlterConfigs(it) => ErrorCode::from_code(it.responses[0].error_code),
        other => panic!("{other:?}"),
    };
    assert_eq!(error(ask(&mut rig, 1, cordons("/a"))), ErrorCode::InvalidConfig, "nobody knows whether it has that");
    let passed = envelope(&mut rig, frame_of(1, cordons("/a,/b")), Some(principal()));
    let api = ApiKey::IncrementalAlterConfigs;
    let inner = decode_response(api, 1, passed.response_data.expect("an answer")).unwrap();
    assert_eq!(error(inner.body), ErrorCode::None);
    assert_eq!(error(ask(&mut rig, 1, cordons("/b,/c"))), ErrorCode::InvalidConfig);
    assert_eq!(error(ask(&mut rig, 1, cordons("/b"))), ErrorCode::None);
    assert_eq!(error(ask(&mut rig, 1, cordons("/a"))), ErrorCode::InvalidConfig, "it is not cordoned any more");
    assert_eq!(error(ask(&mut rig, 1, cordons(""))), ErrorCode::None);
}
