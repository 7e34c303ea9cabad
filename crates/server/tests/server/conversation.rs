//! Every API in every version that is advertised, over a real socket: answered, and the answer decodes. Every other one is
//! refused as Apache Kafka refuses it.

use node::gateway::api_versions::SERVED;
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_producers_request::TopicRequest as DescribedTopic;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{
    ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, DescribeLogDirsRequest, DescribeProducersRequest, DescribeTopicPartitionsRequest,
    ListOffsetsRequest, MetadataRequest,
};
use protocol::messages::{describe_topic_partitions_request::TopicRequest, metadata_response::MetadataResponseTopic};
use protocol::{ApiKey, ErrorCode, RequestBody, ResponseBody, Str, Uuid, frame, support};

use crate::common::{Client, Outcome, Rig, batch, fetch, header, produce};
use crate::filler::Filler;

/// Requests of random content an API and version.
const FILLINGS: u64 = 6;

/// The versions of an API that the node advertises and answers. Produce 0 to 2 are advertised for the sake of old
/// librdkafka and refused, as by Apache Kafka.
fn answered(api: ApiKey) -> impl Iterator<Item = i16> {
    let advertised = SERVED.contains(&api).then(|| support::kafka_range(api)).flatten();
    advertised.into_iter().flatten().filter(move |version| api.versions().contains(version))
}

/// Random content that neither waits for long nor makes thousands of logs.
fn tame(body: &mut RequestBody) {
    match body {
        RequestBody::Fetch(request) => request.max_wait_ms = 0,
        // acks=0 has no answer.
        RequestBody::Produce(request) => (request.acks, request.timeout_ms) = (1, 1000),
        RequestBody::CreateTopics(request) => {
            for topic in &mut request.topics {
                topic.num_partitions = topic.num_partitions.clamp(-1, 2);
            }
        }
        RequestBody::CreatePartitions(request) => {
            for topic in &mut request.topics {
                topic.count = topic.count.clamp(-1, 3);
            }
        }
        _ => {}
    }
}

#[test]
fn every_advertised_api_and_version_answers_random_content() {
    let rig = Rig::start();
    let mut client = rig.client();
    client.create_topic("t", 1);
    let mut asked = 0;
    for api in ApiKey::ALL {
        for version in answered(api) {
            for seed in 0..FILLINGS {
                let mut body = RequestBody::empty(api).unwrap();
                if seed > 0 {
                    body.walk(&mut Filler::new(seed), version).unwrap();
                }
                tame(&mut body);
                let correlation_id = client.send(version, body);
                let response = client.receive(api, version);
                assert_eq!((response.version, response.correlation_id), (version, correlation_id), "{api}");
                assert_eq!(response.body.api_key(), api);
                asked += 1;
            }
        }
    }
    assert!(asked > 90 * FILLINGS, "only {asked} requests were made");
    client.assert_served("t");
    rig.stop();
}

#[test]
fn what_is_not_advertised_is_refused() {
    let rig = Rig::start();
    let mut well = rig.client();
    well.create_topic("t", 1);
    let refuse = |api: i16, version: i16, flexible: bool| {
        let mut client = rig.client();
        client.send_frame(&header(api, version, flexible));
        match client.outcome() {
            Outcome::Closed => assert_ne!(api, ApiKey::ApiVersions.code(), "version {version} is told what there is"),
            Outcome::Frame(answer) => {
                assert_eq!(api, ApiKey::ApiVersions.code(), "API {api} version {version} is answered");
                // KIP-511: in version 0, whatever was asked.
                let answer = frame::decode_response(ApiKey::ApiVersions, 0, answer).unwrap();
                let ResponseBody::ApiVersions(body) = answer.body else { panic!() };
                assert_eq!((body.error_code, answer.correlation_id), (ErrorCode::UnsupportedVersion.code(), 1));
                assert_eq!((body.api_keys.len(), body.api_keys[0].api_key), (1, api));
            }
        }
    };
    for api in ApiKey::ALL {
        let answered: Vec<i16> = answered(api).collect();
        for version in (-1..=api.versions().end() + 2).chain([i16::MIN, i16::MAX]) {
            if !answered.contains(&version) {
                refuse(api.code(), version, api.request_header_version(version) == 2);
            }
        }
    }
    for api in [-1, i16::MIN, i16::MAX, ApiKey::ALL.iter().map(|it| it.code()).max().unwrap() + 1] {
        refuse(api, 0, false);
    }
    well.assert_served("t");
    rig.stop();
}

/// What a node says of itself: no more and no less than it serves.
#[test]
fn what_is_advertised_is_what_is_served() {
    let rig = Rig::start();
    let mut client = rig.client();
    for version in answered(ApiKey::ApiVersions) {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("test"),
            client_software_version: Str::from_static("1.0"),
        };
        let ResponseBody::ApiVersions(response) = client.call(version, RequestBody::ApiVersions(request)) else {
            panic!()
        };
        let told: Vec<_> = response.api_keys.iter().map(|it| (it.api_key, it.min_version..=it.max_version)).collect();
        let served: Vec<_> = SERVED.iter().map(|api| (api.code(), support::kafka_range(*api).unwrap())).collect();
        assert_eq!((response.error_code, told), (0, served));
    }
    rig.stop();
}

fn topic_of(client: &mut Client, version: i16, id: Uuid) -> MetadataResponseTopic {
    let name = if version >= 12 { None } else { Some(Str::from_static("orders")) };
    let topic_id = if version >= 12 { id } else { Uuid::ZERO };
    let topics = Some(vec![MetadataRequestTopic { topic_id, name }]);
    let request = MetadataRequest { topics, ..MetadataRequest::default() };
    let ResponseBody::Metadata(mut response) = client.call(version, RequestBody::Metadata(request)) else { panic!() };
    assert_eq!(response.brokers.len(), 1);
    response.topics.remove(0)
}

/// A conversation that makes sense, in every version of each of its requests.
#[test]
fn a_plausible_conversation_in_every_version() {
    let rig = Rig::start();
    let mut client = rig.client();
    client.create_topic("orders", 2);
    let id = topic_of(&mut client, 10, Uuid::ZERO).topic_id;
    assert_ne!(id, Uuid::ZERO);

    for version in answered(ApiKey::Metadata) {
        let topic = topic_of(&mut client, version, id);
        assert_eq!((topic.error_code, topic.partitions.len()), (0, 2), "Metadata {version}");
        assert_eq!(topic.name.as_deref(), Some("orders"));
    }
    let mut end = 0;
    for version in answered(ApiKey::Produce) {
        let RequestBody::Produce(mut request) = produce("orders", 0, -1, batch(&["a", "b"])) else { panic!() };
        if version >= 13 {
            (request.topic_data[0].topic_id, request.topic_data[0].name) = (id, Str::new());
        }
        let ResponseBody::Produce(response) = client.call(version, RequestBody::Produce(request)) else { panic!() };
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, end), "Produce {version}");
        end += 2;
    }
    for version in answered(ApiKey::Fetch) {
        let mut request = fetch("orders", 0, 1);
        if version >= 13 {
            (request.topics[0].topic_id, request.topics[0].topic) = (id, Str::new());
        }
        let ResponseBody::Fetch(response) = client.call(version, RequestBody::Fetch(request)) else { panic!() };
        let answer = &response.responses[0].partitions[0];
        assert_eq!((answer.error_code, answer.high_watermark), (0, end), "Fetch {version}");
        assert!(answer.records.as_ref().is_some_and(|it| it.size() > 0), "Fetch {version}");
    }
    for version in answered(ApiKey::ListOffsets) {
        for (timestamp, expected) in [(-1, end), (-2, 0)] {
            let partition = ListOffsetsPartition { partition_index: 0, timestamp, ..Default::default() };
            let topic = ListOffsetsTopic { name: Str::from_static("orders"), partitions: vec![partition] };
            let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
            let ResponseBody::ListOffsets(response) = client.call(version, RequestBody::ListOffsets(request)) else {
                panic!()
            };
            let answer = &response.topics[0].partitions[0];
            assert_eq!((answer.error_code, answer.offset), (0, expected), "ListOffsets {version}");
        }
    }
    for version in answered(ApiKey::DescribeConfigs) {
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: Str::from_static("orders"),
            ..DescribeConfigsResource::default()
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
        let ResponseBody::DescribeConfigs(response) = client.call(version, RequestBody::DescribeConfigs(request))
        else {
            panic!()
        };
        let result = &response.results[0];
        assert!(result.error_code == 0 && result.configs.len() > 20, "DescribeConfigs {version}");
    }
    for version in answered(ApiKey::DescribeLogDirs) {
        let body = RequestBody::DescribeLogDirs(DescribeLogDirsRequest { topics: None });
        let ResponseBody::DescribeLogDirs(response) = client.call(version, body) else { panic!() };
        let dir = &response.results[0];
        assert_eq!(dir.topics[0].name, "orders", "DescribeLogDirs {version}");
        let has_room = dir.total_bytes > dir.usable_bytes && dir.usable_bytes > 0;
        assert_eq!(has_room, version >= 4, "DescribeLogDirs {version}: {} {}", dir.total_bytes, dir.usable_bytes);
    }
    for version in answered(ApiKey::DescribeProducers) {
        let topic = DescribedTopic { name: Str::from_static("orders"), partition_indexes: vec![0] };
        let body = RequestBody::DescribeProducers(DescribeProducersRequest { topics: vec![topic] });
        let ResponseBody::DescribeProducers(response) = client.call(version, body) else { panic!() };
        assert_eq!(response.topics[0].partitions[0].error_code, 0, "DescribeProducers {version}");
    }
    for version in answered(ApiKey::DescribeTopicPartitions) {
        let request = DescribeTopicPartitionsRequest {
            topics: vec![TopicRequest { name: Str::from_static("orders") }],
            response_partition_limit: 2000,
            ..Default::default()
        };
        let body = RequestBody::DescribeTopicPartitions(request);
        let ResponseBody::DescribeTopicPartitions(response) = client.call(version, body) else { panic!() };
        assert_eq!(response.topics[0].partitions.len(), 2, "DescribeTopicPartitions {version}");
    }
    for version in answered(ApiKey::DeleteRecords) {
        let partition = DeleteRecordsPartition { partition_index: 0, offset: 1 };
        let topic = DeleteRecordsTopic { name: Str::from_static("orders"), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 30_000 };
        let ResponseBody::DeleteRecords(response) = client.call(version, RequestBody::DeleteRecords(request)) else {
            panic!()
        };
        let answer = &response.topics[0].partitions[0];
        assert_eq!((answer.error_code, answer.low_watermark), (0, 1), "DeleteRecords {version}");
    }
    // One partition more with each.
    for (count, version) in (3..).zip(answered(ApiKey::CreatePartitions)) {
        let topic = CreatePartitionsTopic { name: Str::from_static("orders"), count, assignments: None };
        let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let body = RequestBody::CreatePartitions(request);
        let ResponseBody::CreatePartitions(response) = client.call(version, body) else { panic!() };
        assert_eq!(response.results[0].error_code, 0, "CreatePartitions {version}: {response:?}");
    }
    for version in answered(ApiKey::CreateTopics) {
        let name = Str::from(format!("created-{version}"));
        let topic = CreatableTopic { name, num_partitions: 1, replication_factor: 1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        let ResponseBody::CreateTopics(response) = client.call(version, RequestBody::CreateTopics(request)) else {
            panic!()
        };
        let result = &response.topics[0];
        assert_eq!((result.error_code, &result.error_message), (0, &None), "CreateTopics {version}");
    }
    for version in answered(ApiKey::DeleteTopics) {
        // The first version deletes what the second then does not find.
        let name = Str::from(format!("created-{}", version.max(2)));
        let request = if version >= 6 {
            let topics = vec![DeleteTopicState { name: Some(name), topic_id: Uuid::ZERO }];
            DeleteTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() }
        } else {
            DeleteTopicsRequest { topic_names: vec![name], timeout_ms: 30_000, ..Default::default() }
        };
        let ResponseBody::DeleteTopics(response) = client.call(version, RequestBody::DeleteTopics(request)) else {
            panic!()
        };
        let known = version != 2;
        assert_eq!(response.responses[0].error_code == 0, known, "DeleteTopics {version}: {response:?}");
    }
    rig.stop();
}
