//! The admin against scripted brokers.

use client::admin::{
    AdminAnswer, AdminCall, AlterConfigOp, ConfigChange, ConfigResource, NewTopic, OffsetSpec, ResourceType,
};
use client::wire::{ApiKey, RequestBody, ResponseBody};
use client::{Answer, Cause, Input, IsolationLevel, Operation, Outcome};
use protocol::messages::create_topics_response::CreatableTopicResult;
use protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::messages::{
    CreateTopicsResponse, DescribeTopicPartitionsResponse, IncrementalAlterConfigsResponse, ListOffsetsResponse,
};
use protocol::{ErrorCode, Offset};

use crate::stage::{Stage, partition};

fn create(stage: &mut Stage) -> u64 {
    let topic = NewTopic { name: "new".into(), num_partitions: Some(2), ..Default::default() };
    stage.start(Operation::Admin(AdminCall::CreateTopics { topics: vec![topic], validate_only: false }))
}

fn created(code: ErrorCode, message: Option<&str>) -> ResponseBody {
    let topic = CreatableTopicResult {
        name: "new".into(),
        error_code: code.code(),
        error_message: message.map(Into::into),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    };
    ResponseBody::CreateTopics(CreateTopicsResponse { topics: vec![topic], ..Default::default() })
}

fn answer(stage: &Stage, op: u64) -> AdminAnswer {
    match stage.outcome(op) {
        Some(Outcome::Ok(Answer::Admin(answer))) => answer.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_are_created_by_the_controller() {
    let mut stage = Stage::new(&[]);
    let op = create(&mut stage);
    let (conn, request) = stage.take(ApiKey::CreateTopics);
    assert_eq!(stage.ports[&conn], 9001);
    let RequestBody::CreateTopics(body) = &request.body else { unreachable!() };
    assert_eq!((body.topics[0].num_partitions, body.topics[0].replication_factor, body.timeout_ms), (2, -1, 30_000));
    stage.answer(conn, &request, created(ErrorCode::None, None));
    let AdminAnswer::TopicsCreated(topics) = answer(&stage, op) else { panic!() };
    assert_eq!(topics[0].1.as_ref().unwrap().num_partitions, 2);
}

#[test]
fn another_controller_is_asked_and_a_refusal_is_told_in_the_brokers_words() {
    let mut stage = Stage::new(&[]);
    let op = create(&mut stage);
    let (conn, request) = stage.take(ApiKey::CreateTopics);
    stage.answer(conn, &request, created(ErrorCode::NotController, None));
    assert_eq!(stage.outcome(op), None);
    stage.advance(1_000);
    let (conn, request) = stage.take(ApiKey::CreateTopics);
    stage.answer(conn, &request, created(ErrorCode::TopicAlreadyExists, Some("Topic 'new' already exists.")));
    let AdminAnswer::TopicsCreated(topics) = answer(&stage, op) else { panic!() };
    let failure = topics[0].1.as_ref().unwrap_err();
    assert_eq!(
        (failure.code(), failure.message.as_str()),
        (Some(ErrorCode::TopicAlreadyExists), "Topic 'new' already exists.")
    );
}

#[test]
fn a_lost_answer_to_a_change_leaves_a_doubt() {
    let mut stage = Stage::new(&[("default.api.timeout.ms", "3000")]);
    let op = create(&mut stage);
    let (conn, _) = stage.take(ApiKey::CreateTopics);
    stage.refusing.extend([9000, 9001, 9002, 9003]);
    stage.input(Input::Closed(conn));
    stage.advance(3_000);
    assert!(matches!(stage.outcome(op), Some(Outcome::Unknown(it)) if it.cause == Cause::TimedOut));
}

#[test]
fn nobody_there_is_a_failure_in_kafkas_words() {
    let mut stage = Stage::new(&[("default.api.timeout.ms", "3000")]);
    stage.refusing.push(9000);
    let op = stage.start(Operation::Admin(AdminCall::ListTopics { list_internal: true }));
    stage.advance(3_000);
    let Some(Outcome::Failed(failure)) = stage.outcome(op) else { panic!() };
    assert_eq!(failure.message, "Timed out waiting for a node assignment. Call: listTopics");
}

#[test]
fn offsets_are_asked_of_each_leader_and_again_of_a_new_one() {
    let mut stage = Stage::new(&[]).topic("t", &[1, 2]);
    let op = stage.start(Operation::Admin(AdminCall::ListOffsets {
        partitions: vec![(partition("t", 1), OffsetSpec::Latest), (partition("t", 0), OffsetSpec::Earliest)],
        isolation_level: IsolationLevel::ReadUncommitted,
    }));
    let respond = |stage: &mut Stage, code: ErrorCode, offset: i64| {
        let (conn, request) = stage.take(ApiKey::ListOffsets);
        let RequestBody::ListOffsets(body) = &request.body else { unreachable!() };
        let asked = &body.topics[0].partitions[0];
        let told = ListOffsetsPartitionResponse {
            partition_index: asked.partition_index,
            error_code: code.code(),
            offset,
            ..Default::default()
        };
        let topic = ListOffsetsTopicResponse { name: "t".into(), partitions: vec![told] };
        let seen = (stage.ports[&conn], asked.partition_index, asked.timestamp);
        let body = ListOffsetsResponse { topics: vec![topic], ..Default::default() };
        stage.answer(conn, &request, ResponseBody::ListOffsets(body));
        seen
    };
    assert_eq!(respond(&mut stage, ErrorCode::None, 3), (9001, 0, -2));
    stage.topics.get_mut("t").unwrap().leaders = vec![1, 3];
    stage.topics.get_mut("t").unwrap().epoch = 1;
    assert_eq!(respond(&mut stage, ErrorCode::NotLeaderOrFollower, -1), (9002, 1, -1));
    stage.advance(1_000);
    assert_eq!(respond(&mut stage, ErrorCode::None, 8), (9003, 1, -1));
    let AdminAnswer::Offsets(offsets) = answer(&stage, op) else { panic!() };
    let told: Vec<_> = offsets.iter().map(|(at, it)| (at.partition, it.as_ref().unwrap().offset)).collect();
    assert_eq!(told, [(1, Some(Offset(8))), (0, Some(Offset(3)))]);
}

#[test]
fn a_description_in_pages_is_put_together() {
    let mut stage = Stage::new(&[]);
    let topics = vec!["b".into(), "a".into(), "missing".into()];
    let op = stage.start(Operation::Admin(AdminCall::DescribeTopics { topics }));
    let page = |names: &[(&str, ErrorCode, &[i32])], cursor: Option<(&str, i32)>| {
        let topics = names.iter().map(|(name, code, partitions)| DescribeTopicPartitionsResponseTopic {
            name: Some((*name).into()),
            error_code: code.code(),
            partitions: partitions
                .iter()
                .map(|index| DescribeTopicPartitionsResponsePartition { partition_index: *index, ..Default::default() })
                .collect(),
            ..Default::default()
        });
        let next_cursor = cursor.map(|(name, partition_index)| Cursor { topic_name: name.into(), partition_index });
        ResponseBody::DescribeTopicPartitions(DescribeTopicPartitionsResponse {
            topics: topics.collect(),
            next_cursor,
            ..Default::default()
        })
    };
    let asked = |stage: &mut Stage| {
        let (conn, request) = stage.take(ApiKey::DescribeTopicPartitions);
        let RequestBody::DescribeTopicPartitions(body) = &request.body else { unreachable!() };
        let names: Vec<String> = body.topics.iter().map(|it| it.name.to_string()).collect();
        let cursor = body.cursor.as_ref().map(|it| (it.topic_name.to_string(), it.partition_index));
        (conn, request, names, cursor)
    };
    let (conn, request, names, cursor) = asked(&mut stage);
    assert_eq!((names, cursor), (vec!["a".to_owned(), "b".into(), "missing".into()], None));
    stage.answer(conn, &request, page(&[("a", ErrorCode::None, &[0]), ("b", ErrorCode::None, &[0])], Some(("b", 1))));
    let (conn, request, names, cursor) = asked(&mut stage);
    assert_eq!((names, cursor), (vec!["b".to_owned(), "missing".into()], Some(("b".into(), 1))));
    let last: &[(&str, ErrorCode, &[i32])] =
        &[("b", ErrorCode::None, &[1, 2]), ("missing", ErrorCode::UnknownTopicOrPartition, &[])];
    stage.answer(conn, &request, page(last, None));
    let AdminAnswer::TopicsDescribed(described) = answer(&stage, op) else { panic!() };
    let shape: Vec<_> = described
        .iter()
        .map(|(name, it)| (&**name, it.as_ref().map(|it| it.partitions.len()).map_err(|it| it.code())))
        .collect();
    assert_eq!(shape, [("b", Ok(3)), ("a", Ok(1)), ("missing", Err(Some(ErrorCode::UnknownTopicOrPartition)))]);
}

#[test]
fn a_brokers_own_configuration_is_altered_at_that_broker() {
    let mut stage = Stage::new(&[]);
    let resource = |kind: ResourceType, name: &str| ConfigResource { kind, name: name.into() };
    let change = vec![AlterConfigOp { name: "k".into(), change: ConfigChange::Set("v".into()) }];
    let op = stage.start(Operation::Admin(AdminCall::IncrementalAlterConfigs {
        resources: vec![(resource(ResourceType::Broker, "3"), change)],
        validate_only: false,
    }));
    let (conn, request) = stage.take(ApiKey::IncrementalAlterConfigs);
    assert_eq!(stage.ports[&conn], 9003);
    let told = AlterConfigsResourceResponse {
        resource_type: ResourceType::Broker.code(),
        resource_name: "3".into(),
        error_code: ErrorCode::InvalidConfig.code(),
        error_message: Some("no such key".into()),
    };
    let body = IncrementalAlterConfigsResponse { responses: vec![told], ..Default::default() };
    stage.answer(conn, &request, ResponseBody::IncrementalAlterConfigs(body));
    let AdminAnswer::ConfigsAltered(altered) = answer(&stage, op) else { panic!() };
    assert_eq!(altered[0].1.as_ref().unwrap_err().message, "no such key");
}

#[test]
fn an_answer_that_leaves_an_item_out_fails_it() {
    let mut stage = Stage::new(&[]);
    let op = create(&mut stage);
    let (conn, request) = stage.take(ApiKey::CreateTopics);
    stage.answer(conn, &request, ResponseBody::CreateTopics(CreateTopicsResponse::default()));
    let AdminAnswer::TopicsCreated(topics) = answer(&stage, op) else { panic!() };
    assert!(topics[0].1.is_err());
}
