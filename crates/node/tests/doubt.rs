//! A leader of whom a broker has just seen the connection break: clients are told of no leader for a moment.

mod common;

use common::*;
use node::{CallError, ConnId, Input, Peer, PeerHost};
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest, MetadataRequest,
    broker_registration_request,
};
use protocol::{ErrorCode, NodeId, RequestBody, ResponseBody, Str, Uuid};

/// The other broker, which is a connection and the test's answers.
const OTHER: NodeId = NodeId(2);
const OTHERS: ConnId = ConnId(2);

/// A node that follows the other broker, which leads `t`.
fn following() -> Rig {
    let mut rig = Rig::start();
    rig.calls = Some(Vec::new());
    let host = PeerHost::Named(Str::from_static("other"));
    rig.input(Input::Opened(OTHERS, Peer { listener: Str::from_static("CONTROLLER"), host }));
    join(&mut rig, 1);
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![OTHER.0, 1] };
    let topic = CreatableTopic {
        name: Str::from_static("t"),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..CreateTopicsRequest::default() };
    let ResponseBody::CreateTopics(response) = rig.call(7, RequestBody::CreateTopics(request)) else { panic!() };
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
    rig
}

/// The other broker registers as a process of this number, and is unfenced.
fn join(rig: &mut Rig, process: u8) {
    let features = protocol::support::kafka_features().iter().map(|it| broker_registration_request::Feature {
        name: it.name.into(),
        min_supported_version: *it.levels.start(),
        max_supported_version: *it.levels.end(),
    });
    let request = BrokerRegistrationRequest {
        broker_id: OTHER.0,
        cluster_id: Str::from_static("test-cluster"),
        incarnation_id: Uuid([process; 16]),
        listeners: vec![broker_registration_request::Listener {
            name: Str::from_static("PLAINTEXT"),
            host: Str::from_static("there"),
            port: 9092,
            security_protocol: 0,
        }],
        features: features.collect(),
        log_dirs: vec![Uuid([77; 16])],
        previous_broker_epoch: -1,
        ..BrokerRegistrationRequest::default()
    };
    let ResponseBody::BrokerRegistration(response) = ask(rig, 4, RequestBody::BrokerRegistration(request)) else {
        panic!()
    };
    assert_eq!(response.error_code, 0);
    let request = BrokerHeartbeatRequest {
        broker_id: OTHER.0,
        broker_epoch: response.broker_epoch,
        current_metadata_offset: i64::MAX,
        ..BrokerHeartbeatRequest::default()
    };
    let ResponseBody::BrokerHeartbeat(response) = ask(rig, 1, RequestBody::BrokerHeartbeat(request)) else { panic!() };
    assert_eq!((response.error_code, response.is_fenced), (0, false));
}

fn ask(rig: &mut Rig, version: i16, body: RequestBody) -> ResponseBody {
    let id = rig.send_on(OTHERS, version, body);
    rig.run();
    rig.answer(id).expect("it is answered")
}

/// The fetch that is on its way fails.
fn fail(rig: &mut Rig, error: CallError) {
    let calls = rig.calls.as_mut().expect("it knows another");
    let at = calls.iter().position(|it| matches!(it.body, RequestBody::Fetch(_))).expect("it fetches");
    let call = calls.remove(at);
    assert_eq!(call.to, OTHER);
    rig.input(Input::Answered(call.id, Err(error)));
    rig.run();
}

/// What clients are told of the partition: its leader and a code.
fn told(rig: &mut Rig) -> (i32, ErrorCode) {
    let topics = Some(vec![MetadataRequestTopic { name: Some(Str::from_static("t")), ..Default::default() }]);
    let request = MetadataRequest { topics, ..MetadataRequest::default() };
    let ResponseBody::Metadata(response) = rig.call(12, RequestBody::Metadata(request)) else { panic!() };
    let partition = &response.topics[0].partitions[0];
    assert_eq!(
        (response.topics[0].error_code, &partition.isr_nodes[..]),
        (0, &[2, 1][..]),
        "it says no more than it must"
    );
    (partition.leader_id, ErrorCode::from_code(partition.error_code))
}

const LEADS: (i32, ErrorCode) = (OTHER.0, ErrorCode::None);
const IN_DOUBT: (i32, ErrorCode) = (-1, ErrorCode::LeaderNotAvailable);

#[test]
fn a_leader_whose_connection_broke_is_not_named_for_a_moment_once_a_break() {
    for broken in [CallError::Reset, CallError::Refused] {
        let mut rig = following();
        assert_eq!(told(&mut rig), LEADS);
        fail(&mut rig, broken);
        assert_eq!(told(&mut rig), IN_DOUBT, "{broken:?}");
        rig.advance(199);
        assert_eq!(told(&mut rig), IN_DOUBT);
        rig.advance(1);
        assert_eq!(told(&mut rig), LEADS, "nobody was elected: it may refuse us alone");
        fail(&mut rig, CallError::Refused);
        assert_eq!(told(&mut rig), LEADS, "that it still does is no news");
    }
}

#[test]
fn a_leader_that_only_takes_its_time_is_named() {
    let mut rig = following();
    fail(&mut rig, CallError::TimedOut);
    assert_eq!(told(&mut rig), LEADS);
}
