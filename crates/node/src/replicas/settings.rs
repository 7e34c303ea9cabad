//! Settings that are changed by way of a broker that is not the controller.

use super::*;
use crate::deferred::Pending;
use crate::gateway::controller::wrap;
use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};

fn setting(kind: i8, name: &str, key: &str, value: &str) -> AlterConfigsResource {
    let config = AlterableConfig { name: key.into(), value: Some(value.into()), ..Default::default() };
    AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs: vec![config] }
}

fn cordons(broker: &str, value: &str) -> AlterConfigsResource {
    setting(4, broker, "cordoned.log.dirs", value)
}

fn altering(resources: Vec<AlterConfigsResource>) -> RequestBody {
    RequestBody::IncrementalAlterConfigs(IncrementalAlterConfigsRequest { resources, validate_only: false })
}

fn outcomes(body: Option<ResponseBody>) -> Vec<(String, ErrorCode)> {
    let Some(ResponseBody::IncrementalAlterConfigs(answer)) = body else { panic!("{body:?}") };
    let each = answer.responses.iter().map(|it| (it.resource_name.to_string(), ErrorCode::from_code(it.error_code)));
    each.collect()
}

#[test]
fn a_broker_refuses_what_only_it_can_tell_of_itself() {
    let mut world = World::without_topic(2, &[("log.dirs", "/a")]);
    let refused = |name: &str| (name.to_owned(), ErrorCode::InvalidRequest);
    let answer = world.ask(2, 1, altering(vec![cordons("2", "/a,/c"), cordons("1", "/a"), cordons("x", "/a")]));
    assert_eq!(outcomes(Some(answer)), [refused("2"), refused("1"), refused("x")]);
    let configs =
        vec![alter_configs_request::AlterableConfig { name: "cordoned.log.dirs".into(), value: Some("/c".into()) }];
    let resource = alter_configs_request::AlterConfigsResource { resource_type: 4, resource_name: "2".into(), configs };
    let request = AlterConfigsRequest { resources: vec![resource], validate_only: false };
    let ResponseBody::AlterConfigs(answer) = world.ask(2, 2, RequestBody::AlterConfigs(request)) else { panic!() };
    assert_eq!(answer.responses[0].error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn what_a_broker_refuses_is_told_among_what_the_controller_decides() {
    let mut world = World::without_topic(2, &[("log.dirs", "/a")]);
    let asked = vec![cordons("1", "/a"), cordons("2", "/a"), setting(2, "t", "retention.ms", "5"), cordons("x", "/a")];
    let sent = world.send(2, 1, altering(asked));
    assert_eq!(world.answer(2, sent), None, "there is no controller to decide the rest");
    let node = &mut world.brokers.get_mut(&2).unwrap().node;
    let passed = node.deferred.pending().find_map(|(id, it)| match it {
        Pending::Forward(it) => Some((id, it.passed.clone())),
        _ => None,
    });
    let (id, passed) = passed.expect("it is passed on");
    let Ok(Request { version, correlation_id, body, .. }) = frame::decode_request(passed) else { panic!() };
    let RequestBody::IncrementalAlterConfigs(request) = body else { panic!("{body:?}") };
    let decided =
        request.resources.into_iter().map(|it| incremental_alter_configs_response::AlterConfigsResourceResponse {
            resource_type: it.resource_type,
            resource_name: it.resource_name,
            ..Default::default()
        });
    let answer = IncrementalAlterConfigsResponse { responses: decided.collect(), ..Default::default() };
    let answer = wrap(version, correlation_id, ResponseBody::IncrementalAlterConfigs(answer));
    let mut out = Outbox::with_events();
    node.forwarded(world.now, id, Ok(answer), &mut out);
    world.carry_out(2, out);
    let expected = [
        ("1", ErrorCode::InvalidRequest),
        ("2", ErrorCode::None),
        ("t", ErrorCode::None),
        ("x", ErrorCode::InvalidRequest),
    ];
    assert_eq!(outcomes(world.answer(2, sent)), expected.map(|(name, error)| (name.to_owned(), error)));
}

/// Without a majority there is no controller to describe the quorum. A broker then says what it knows, and does not wait for one.
#[test]
fn who_asks_about_the_quorum_is_told_that_its_majority_is_lost() {
    let mut world = World::without_topic(2, &[("controller.quorum.voters", "1@b1:9092,2@b2:9092,3@b3:9092")]);
    world.cut.insert((1, 2));
    let mut out = Outbox::with_events();
    world.brokers.get_mut(&1).unwrap().node.drive_quorum(world.now, &mut out, |it, out| it.begin(Now::default(), out));
    world.carry_out(1, out);
    let partitions = vec![describe_quorum_request::PartitionData { partition_index: 0 }];
    let topic = describe_quorum_request::TopicData { topic_name: quorum::TOPIC.into(), partitions };
    let sent = world.send(1, 2, RequestBody::DescribeQuorum(DescribeQuorumRequest { topics: vec![topic] }));
    world.advance(4_900);
    assert!(world.answer(1, sent).is_none(), "there may be an election");
    world.advance(300);
    let Some(ResponseBody::DescribeQuorum(answer)) = world.answer(1, sent) else { panic!("it is told") };
    let it = &answer.topics[0].partitions[0];
    assert_eq!(ErrorCode::from_code(it.error_code), ErrorCode::NotLeaderOrFollower);
    let message = it.error_message.as_deref().unwrap_or_default();
    assert!(message.contains("of its 3 voters these are not heard of: 2 at b2:9092"), "{message}");
}
