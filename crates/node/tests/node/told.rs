//! What clients are told about the cluster.

use node::gateway;
use protocol::Uuid;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::*;

use crate::cluster::*;

#[test]
fn metadata_of_all_some_and_missing_topics() {
    let mut cluster = Cluster::of_one();
    let id = cluster.create(topic("t", 2, 1)).topic_id;
    let named = |name: &str| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = |topics| MetadataRequest { topics, allow_auto_topic_creation: false, ..MetadataRequest::default() };
    for version in 0..=13 {
        let all = if version == 0 { Some(vec![]) } else { None };
        let response = cluster.metadata(version, request(all));
        assert_eq!((response.brokers.len(), response.controller_id), (1, 1));
        assert_eq!((response.brokers[0].host.as_str(), response.brokers[0].port), ("here", 9092));
        assert_eq!(response.topics.len(), 1);
        let partition = &response.topics[0].partitions[1];
        assert_eq!((partition.error_code, partition.leader_id, partition.leader_epoch), (0, 1, 0));
        assert_eq!((&partition.replica_nodes[..], &partition.isr_nodes[..]), (&[1][..], &[1][..]));
        assert_eq!(partition.offline_replicas, [] as [i32; 0]);
        let response = cluster.metadata(version, request(Some(vec![named("t"), named("nobody"), named("a/b")])));
        let codes: Vec<ErrorCode> = response.topics.iter().map(|it| ErrorCode::from_code(it.error_code)).collect();
        let expected = [ErrorCode::InvalidTopicException, ErrorCode::UnknownTopicOrPartition, ErrorCode::None];
        assert_eq!(codes, expected, "in order of name");
        let mut encoded = ResponseBody::Metadata(response);
        let mut out = bytes::BytesMut::new();
        let ResponseBody::Metadata(body) = &mut encoded else { unreachable!() };
        protocol::encode(body, version, &mut out).expect("fits every version");
    }
    assert_eq!(cluster.metadata(1, request(Some(vec![]))).topics.len(), 0, "an empty list is none");
    let by_id = |id| MetadataRequestTopic { topic_id: id, name: None };
    let response = cluster.metadata(12, request(Some(vec![by_id(id), by_id(Uuid([5; 16]))])));
    let mut found: Vec<_> = response.topics.iter().map(|it| (it.error_code, it.name.as_deref())).collect();
    found.sort_unstable();
    assert_eq!(found, [(0, Some("t")), (ErrorCode::UnknownTopicId.code(), None)]);
    let response = cluster.metadata(11, request(Some(vec![by_id(id)])));
    assert_eq!(response.topics[0].error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn a_missing_topic_is_created_if_client_and_broker_allow_it() {
    let named = |name: &str| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let ask = |cluster: &mut Cluster, name: &str, allow| {
        let topics = Some(vec![named(name)]);
        let request = MetadataRequest { topics, allow_auto_topic_creation: allow, ..MetadataRequest::default() };
        let code = cluster.metadata(9, request).topics[0].error_code;
        (ErrorCode::from_code(code), cluster.image().topic(name).map(|it| it.partitions.len()))
    };
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let mut cluster = Cluster::with(&[("num.partitions", "3")]);
    cluster.start_broker(1);
    assert_eq!(ask(&mut cluster, "t", false), (unknown, None));
    assert_eq!(ask(&mut cluster, "t", true), (unknown, Some(3)), "it will be there when the client asks again");
    assert_eq!(ask(&mut cluster, "t", true), (ErrorCode::None, Some(3)));
    assert_eq!(ask(&mut cluster, "__consumer_offsets", true), (unknown, None));
    assert_eq!(ask(&mut cluster, "a b", true), (ErrorCode::InvalidTopicException, None));
    let mut cluster = Cluster::with(&[("auto.create.topics.enable", "false")]);
    cluster.start_broker(1);
    assert_eq!(ask(&mut cluster, "t", true), (unknown, None));
}

#[test]
fn topics_are_described_page_by_page() {
    let mut cluster = Cluster::of_one();
    for (name, partitions) in [("a", 2), ("b", 3), ("c", 1)] {
        cluster.create(topic(name, partitions, 1));
    }
    let mut cursor = None;
    let mut pages = Vec::new();
    loop {
        let cursor_of = |it: describe_topic_partitions_response::Cursor| describe_topic_partitions_request::Cursor {
            topic_name: it.topic_name,
            partition_index: it.partition_index,
        };
        let request = DescribeTopicPartitionsRequest {
            response_partition_limit: 2,
            cursor: cursor.take().map(cursor_of),
            ..DescribeTopicPartitionsRequest::default()
        };
        let body = cluster.ask(0, |context| gateway::describe_topic_partitions::handle(context, request));
        let ResponseBody::DescribeTopicPartitions(response) = body else { panic!("another reply") };
        let page: Vec<String> = response
            .topics
            .iter()
            .flat_map(|topic| {
                let name = topic.name.clone().unwrap_or_default();
                topic.partitions.iter().map(move |it| format!("{name}{}", it.partition_index))
            })
            .collect();
        pages.push(page.join(" "));
        match response.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, ["a0 a1", "b0 b1", "b2 c0"]);
}

#[test]
fn configurations_are_described_with_their_origin() {
    let mut cluster = Cluster::with(&[("log.retention.ms", "7"), ("log.roll.hours", "2")]);
    cluster.start_broker(1);
    cluster.create(with_config(topic("t", 1, 1), "segment.bytes", Some("2000000")));
    let mut describe = |kind: i8, name: &str, key: &str| {
        let resource = describe_configs_request::DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: Some(vec![key.into()]),
        };
        let request =
            DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: true };
        let body = cluster.ask(4, |context| gateway::configs::describe(context, request));
        let ResponseBody::DescribeConfigs(response) = body else { panic!("another reply") };
        let result = &response.results[0];
        let Some(config) = result.configs.first() else {
            return ErrorCode::from_code(result.error_code).name().to_owned();
        };
        let synonyms: Vec<String> = config
            .synonyms
            .iter()
            .map(|it| format!("{}:{}={}", it.source, it.name, it.value.as_deref().unwrap_or("null")))
            .collect();
        let read_only = if config.read_only { " read-only" } else { "" };
        format!(
            "{}={} {}{read_only} [{}]",
            config.name,
            config.value.as_deref().unwrap_or("null"),
            config.config_source,
            synonyms.join(" ")
        )
    };
    let transcript = [
        describe(2, "t", "segment.bytes"),
        describe(2, "t", "retention.ms"),
        describe(2, "t", "segment.ms"),
        describe(2, "t", "flush.ms"),
        describe(2, "t", "min.insync.replicas"),
        describe(2, "nobody", "segment.ms"),
        describe(4, "1", "log.roll.hours"),
        describe(4, "1", "log.retention.ms"),
        describe(4, "1", "node.id"),
        describe(4, "1", "ssl.key.password"),
        describe(4, "", "min.insync.replicas"),
        describe(4, "2", "node.id"),
        describe(8, "1", "x"),
    ];
    let expected = [
        "segment.bytes=2000000 1 [1:segment.bytes=2000000 5:log.segment.bytes=1073741824]",
        "retention.ms=7 4 [4:log.retention.ms=7 5:log.retention.hours=168]",
        "segment.ms=7200000 5 []",
        "flush.ms=9223372036854775807 5 []",
        "min.insync.replicas=1 3 [3:min.insync.replicas=1 5:min.insync.replicas=1]",
        "UNKNOWN_TOPIC_OR_PARTITION",
        "log.roll.hours=2 4 read-only [4:log.roll.hours=2 5:log.roll.hours=168]",
        "log.retention.ms=7 4 [4:log.retention.ms=7 5:log.retention.hours=168]",
        "node.id=1 5 read-only []",
        "ssl.key.password=null 5 []",
        "min.insync.replicas=1 3 [3:min.insync.replicas=1]",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
    ];
    assert_eq!(transcript, expected);
}

#[test]
fn only_what_is_served_is_advertised() {
    let mut cluster = Cluster::of_one();
    let words =
        |name: &str| ApiVersionsRequest { client_software_name: name.into(), client_software_version: "1.0".into() };
    let mut ask =
        |version, request| match cluster.ask(version, |context| gateway::api_versions::handle(context, request)) {
            ResponseBody::ApiVersions(response) => response,
            other => panic!("{other:?}"),
        };
    for version in 0..=4 {
        let response = ask(version, words("tests"));
        assert_eq!(response.error_code, 0);
        for served in &response.api_keys {
            let api = protocol::ApiKey::try_from(served.api_key).expect("an API");
            assert_eq!(protocol::support::kafka_range(api), Some(served.min_version..=served.max_version));
        }
        let names: Vec<&str> = response.supported_features.iter().map(|it| it.name.as_str()).collect();
        let expected = if version >= 4 { protocol::support::kafka_features().len() } else { 1 };
        assert_eq!(names.len(), expected, "{names:?}");
    }
    assert_eq!(ask(3, words("no blanks")).error_code, ErrorCode::InvalidRequest.code());
    assert_eq!(ask(2, ApiVersionsRequest::default()).error_code, 0, "older clients do not say who they are");
    let refused = gateway::api_versions::unsupported_version();
    assert_eq!((refused.error_code, refused.api_keys.len(), refused.api_keys[0].max_version), (35, 1, 4));
}
