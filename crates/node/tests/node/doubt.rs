//! Answers about leaders that wait for news: of a leader whose connection has just broken, of what was said before.

use bytes::Bytes;
use node::{CallError, ConnId, Input, Peer, PeerHost, Reply};
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{
    ApiVersionsRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest, FetchRequest,
    FetchResponse, MetadataRequest, MetadataResponse, broker_registration_request,
};
use protocol::{NodeId, RequestBody, ResponseBody, Str, Uuid};

use crate::common::*;

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
    place(&mut rig, "t", &[OTHER.0, 1]);
    rig
}

/// Creates a topic of one partition with these replicas, the first of which leads.
fn place(rig: &mut Rig, name: &'static str, replicas: &[i32]) {
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: replicas.to_vec() };
    let topic = CreatableTopic {
        name: Str::from_static(name),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..CreateTopicsRequest::default() };
    let ResponseBody::CreateTopics(response) = rig.call(7, RequestBody::CreateTopics(request)) else { panic!() };
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
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

/// The fetch that is on its way comes to this end.
fn end_fetch(rig: &mut Rig, result: Result<ResponseBody, CallError>) {
    end_call(rig, result, |it| matches!(it, RequestBody::Fetch(_)));
}

fn end_call(rig: &mut Rig, result: Result<ResponseBody, CallError>, is_it: fn(&RequestBody) -> bool) {
    let calls = rig.calls.as_mut().expect("it knows another");
    let at = calls.iter().position(|it| is_it(&it.body)).expect("it is asked");
    let call = calls.remove(at);
    assert_eq!(call.to, OTHER);
    rig.input(Input::Answered(call.id, result));
    rig.run();
}

/// The other broker's process has ended: its connection breaks and its port refuses.
fn die(rig: &mut Rig) {
    rig.input(Input::Closed(OTHERS));
    rig.run();
    end_call(rig, Err(CallError::Refused), |it| matches!(it, RequestBody::ApiVersions(_)));
}

fn ask_for_leader(rig: &mut Rig) -> i32 {
    let topics = Some(vec![MetadataRequestTopic { name: Some(Str::from_static("t")), ..Default::default() }]);
    rig.send(12, RequestBody::Metadata(MetadataRequest { topics, ..MetadataRequest::default() }))
}

/// What the client was told: the brokers, and who leads the partition.
fn told(rig: &mut Rig, id: i32) -> Option<(Vec<i32>, i32)> {
    rig.run();
    let ResponseBody::Metadata(MetadataResponse { brokers, topics, .. }) = rig.answer(id)? else { panic!() };
    let partition = &topics[0].partitions[0];
    assert_eq!((topics[0].error_code, partition.error_code), (0, 0));
    Some((brokers.iter().map(|it| it.node_id).collect(), partition.leader_id))
}

fn before() -> Option<(Vec<i32>, i32)> {
    Some((vec![1, OTHER.0], OTHER.0))
}

#[test]
fn a_leader_whose_connection_broke_is_named_once_it_is_clear_that_nobody_else_leads() {
    for broken in [CallError::Reset, CallError::Refused] {
        let mut rig = following();
        end_fetch(&mut rig, Err(broken));
        let asked = ask_for_leader(&mut rig);
        assert_eq!(told(&mut rig, asked), None, "{broken:?}");
        rig.advance(1_999);
        assert_eq!(told(&mut rig, asked), None);
        rig.advance(1);
        assert_eq!(told(&mut rig, asked), before(), "nobody was elected: it may refuse us alone");
        end_fetch(&mut rig, Err(CallError::Refused));
        rig.advance(1);
        let asked = ask_for_leader(&mut rig);
        rig.advance(10);
        assert_eq!(told(&mut rig, asked), before(), "that it still does is no news");
    }
}

#[test]
fn a_leader_that_answers_again_is_named_at_once() {
    let mut rig = following();
    end_fetch(&mut rig, Err(CallError::Reset));
    let asked = ask_for_leader(&mut rig);
    rig.advance(30);
    assert_eq!(told(&mut rig, asked), None);
    end_fetch(&mut rig, Ok(ResponseBody::Fetch(FetchResponse { session_id: 7, ..FetchResponse::default() })));
    assert_eq!(told(&mut rig, asked), before());
}

#[test]
fn a_leader_that_only_takes_its_time_is_named() {
    let mut rig = following();
    end_fetch(&mut rig, Err(CallError::TimedOut));
    let asked = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, asked), before());
}

#[test]
fn who_waits_is_told_of_the_next_leader_and_the_last_one_is_a_broker_for_a_while() {
    let mut rig = following();
    end_call(&mut rig, Ok(ResponseBody::empty(protocol::ApiKey::ApiVersions).expect("it has one")), |it| {
        matches!(it, RequestBody::ApiVersions(_))
    });
    end_fetch(&mut rig, Err(CallError::Reset));
    let asked = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, asked), None);
    die(&mut rig);
    assert_eq!(told(&mut rig, asked), Some((vec![1, OTHER.0], 1)), "in the same moment");
    rig.advance(2_999);
    let asked = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, asked), Some((vec![1, OTHER.0], 1)));
    rig.advance(1);
    let asked = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, asked), Some((vec![1], 1)));
}

#[test]
fn who_asks_again_may_know_more_than_this_broker_does() {
    let mut rig = following();
    let first = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, first), before());
    // It asks again, and nothing has happened.
    let again = ask_for_leader(&mut rig);
    rig.advance(9);
    assert_eq!(told(&mut rig, again), None);
    rig.advance(1);
    assert_eq!(told(&mut rig, again), before());
    // It asks again, and this broker hears of the leader's end only afterwards.
    end_call(&mut rig, Ok(ResponseBody::empty(protocol::ApiKey::ApiVersions).expect("it has one")), |it| {
        matches!(it, RequestBody::ApiVersions(_))
    });
    let again = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, again), None);
    rig.advance(1);
    end_fetch(&mut rig, Err(CallError::Reset));
    rig.advance(20);
    assert_eq!(told(&mut rig, again), None, "it is in doubt by now");
    die(&mut rig);
    assert_eq!(told(&mut rig, again), Some((vec![1, OTHER.0], 1)));
    let own = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, own), Some((vec![1, OTHER.0], 1)), "of itself it knows");
}

/// Requests that stay unanswered until there are records: of the client, on a partition that this broker leads.
fn wait_for_records(rig: &mut Rig) -> i32 {
    let request = FetchRequest { max_wait_ms: 30_000, min_bytes: 1, ..fetch("own", 0, 0) };
    let id = rig.send(12, RequestBody::Fetch(request));
    rig.run();
    assert_eq!(rig.answer(id), None);
    id
}

#[test]
fn who_waits_holds_up_nothing_that_is_asked_behind_it() {
    let mut rig = following();
    end_fetch(&mut rig, Err(CallError::Reset));
    let asked = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, asked), None);
    let next = rig.send(4, RequestBody::ApiVersions(ApiVersionsRequest::default()));
    rig.run();
    let order = rig.replies.iter().map(|it| match it {
        Reply::Answer(_, response) => response.correlation_id,
        other => panic!("{other:?}"),
    });
    let order: Vec<i32> = order.collect();
    assert_eq!(order, [asked, next], "at once, and in order");
    assert_eq!(told(&mut rig, asked), before());
    rig.answer(next);

    // Nothing is asked for any more: the next one waits, until there is one more.
    let first = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, first), None);
    let second = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, first), before());
    assert_eq!(told(&mut rig, second), None);
    rig.advance(2_000);
    assert_eq!(told(&mut rig, second), before());
}

#[test]
fn nobody_waits_behind_a_request_that_is_not_answered_yet() {
    let mut rig = following();
    place(&mut rig, "own", &[1]);
    wait_for_records(&mut rig);
    end_fetch(&mut rig, Err(CallError::Reset));
    let asked = ask_for_leader(&mut rig);
    assert_eq!(told(&mut rig, asked), before());
}

#[test]
fn what_waits_is_small() {
    let mut rig = following();
    end_fetch(&mut rig, Err(CallError::Reset));
    // All that came with the request is let go of.
    let came = Bytes::from(vec![b't'; 1 << 20]);
    let name = Some(Str::from_utf8(came.slice(..1)).expect("it is text"));
    let named = MetadataRequestTopic { name: name.clone(), ..Default::default() };
    let ask = |rig: &mut Rig, topics| {
        rig.send(12, RequestBody::Metadata(MetadataRequest { topics: Some(topics), ..MetadataRequest::default() }))
    };
    let asked = ask(&mut rig, vec![named.clone()]);
    drop((name, named));
    assert_eq!(told(&mut rig, asked), None);
    assert!(came.is_unique());
    rig.advance(2_000);
    assert_eq!(told(&mut rig, asked), before());

    // It has begun to doubt again.
    end_fetch(&mut rig, Ok(ResponseBody::Fetch(FetchResponse { session_id: 7, ..FetchResponse::default() })));
    end_fetch(&mut rig, Err(CallError::Reset));
    let named = MetadataRequestTopic { name: Some(Str::from_static("t")), ..Default::default() };
    let asked = ask(&mut rig, vec![named.clone(); 1_001]);
    assert_eq!(told(&mut rig, asked), before(), "it is too large to wait");
    let asked = ask(&mut rig, vec![named; 1_000]);
    assert_eq!(told(&mut rig, asked), None);
}
