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
