//! Kafka's tools against a scripted cluster: `tools/*.txt` hold command lines and what Apache Kafka 4.3.1's tools answered to
//! them (checked side by side), topic ids aside.

use ordered::Map;
use std::collections::VecDeque;

use bytes::Bytes;
use client::tools::{
    CONFIGS, CONSOLE_CONSUMER, CONSOLE_PRODUCER, Host, REST, Session, SessionInput, SessionOutbox, TOPICS,
    regex_pattern,
};
use client::wire::{ApiKey, Request, RequestBody, Response, ResponseBody};
use client::{Client, ConnId, Input};
use protocol::messages::api_versions_response::ApiVersion;
use protocol::messages::create_topics_response::CreatableTopicResult;
use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::describe_cluster_response::DescribeClusterBroker;
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use protocol::messages::*;
use protocol::records::{BatchBuilder, Compression, PureCompressors, Record, Records, read};
use protocol::{ErrorCode, Instant, LeaderEpoch, Now, Offset, Str, Uuid, WallMs, support};

/// One broker that remembers topics, settings and records, and is never wrong.
#[derive(Default)]
struct Cluster {
    topics: Map<String, Topic>,
}

#[derive(Default)]
struct Topic {
    id: Uuid,
    partitions: Vec<Vec<Record>>,
    configs: Map<String, String>,
}

impl Cluster {
    fn answer(&mut self, request: &Request) -> ResponseBody {
        match &request.body {
            RequestBody::ApiVersions(_) => ResponseBody::ApiVersions(versions()),
            RequestBody::Metadata(asked) => ResponseBody::Metadata(self.metadata(asked)),
            RequestBody::InitProducerId(_) => ResponseBody::InitProducerId(InitProducerIdResponse {
                producer_id: 1,
                producer_epoch: 0,
                ..Default::default()
            }),
            RequestBody::CreateTopics(asked) => ResponseBody::CreateTopics(CreateTopicsResponse {
                topics: asked.topics.iter().map(|it| self.create(it)).collect(),
                ..Default::default()
            }),
            RequestBody::DeleteTopics(asked) => {
                let names = asked.topics.iter().filter_map(|it| it.name.clone());
                let responses = names.map(|name| {
                    self.topics.remove(&*name);
                    DeletableTopicResult { name: Some(name), ..Default::default() }
                });
                ResponseBody::DeleteTopics(DeleteTopicsResponse {
                    responses: responses.collect(),
                    ..Default::default()
                })
            }
            RequestBody::DescribeTopicPartitions(asked) => {
                let topics = asked.topics.iter().map(|it| self.describe(&it.name));
                let body = DescribeTopicPartitionsResponse { topics: topics.collect(), ..Default::default() };
                ResponseBody::DescribeTopicPartitions(body)
            }
            RequestBody::DescribeConfigs(asked) => ResponseBody::DescribeConfigs(DescribeConfigsResponse {
                results: asked.resources.iter().map(|it| self.configs(&it.resource_name)).collect(),
                ..Default::default()
            }),
            RequestBody::IncrementalAlterConfigs(asked) => self.alter(asked),
            RequestBody::DescribeCluster(_) => ResponseBody::DescribeCluster(DescribeClusterResponse {
                brokers: vec![DescribeClusterBroker {
                    broker_id: 1,
                    host: "b".into(),
                    port: 9001,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            RequestBody::ListPartitionReassignments(_) => ResponseBody::ListPartitionReassignments(Default::default()),
            RequestBody::ListOffsets(asked) => self.offsets(asked),
            RequestBody::Produce(asked) => self.produce(asked),
            RequestBody::Fetch(asked) => self.fetch(asked),
            other => panic!("the script has no answer to {}", other.api_key().name()),
        }
    }

    fn metadata(&self, asked: &MetadataRequest) -> MetadataResponse {
        let names: Vec<Str> = match &asked.topics {
            Some(topics) => topics.iter().filter_map(|it| it.name.clone()).collect(),
            None => self.topics.keys().map(|it| it.as_str().into()).collect(),
        };
        let topics = names.into_iter().map(|name| match self.topics.get(&*name) {
            None => MetadataResponseTopic {
                name: Some(name),
                error_code: ErrorCode::UnknownTopicOrPartition.code(),
                ..Default::default()
            },
            Some(topic) => MetadataResponseTopic {
                name: Some(name),
                topic_id: topic.id,
                partitions: (0..)
                    .zip(&topic.partitions)
                    .map(|(partition_index, _)| MetadataResponsePartition {
                        partition_index,
                        leader_id: 1,
                        replica_nodes: vec![1],
                        isr_nodes: vec![1],
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            },
        });
        MetadataResponse {
            brokers: vec![MetadataResponseBroker { node_id: 1, host: "b".into(), port: 9001, ..Default::default() }],
            controller_id: 1,
            topics: topics.collect(),
            ..Default::default()
        }
    }

    fn create(&mut self, asked: &create_topics_request::CreatableTopic) -> CreatableTopicResult {
        let name = asked.name.clone();
        if self.topics.contains_key(&*name) {
            return CreatableTopicResult {
                error_code: ErrorCode::TopicAlreadyExists.code(),
                error_message: Some(format!("Topic '{name}' already exists.").into()),
                name,
                ..Default::default()
            };
        }
        let count = asked.num_partitions.max(asked.assignments.len() as i32).max(1);
        let configs =
            asked.configs.iter().map(|it| (it.name.to_string(), it.value.as_deref().unwrap_or_default().to_owned()));
        let id = Uuid([self.topics.len() as u8 + 1; 16]);
        let topic = Topic { id, partitions: vec![Vec::new(); count as usize], configs: configs.collect() };
        self.topics.insert(name.to_string(), topic);
        CreatableTopicResult { name, num_partitions: count, replication_factor: 1, ..Default::default() }
    }

    fn describe(&self, name: &Str) -> DescribeTopicPartitionsResponseTopic {
        let topic = &self.topics[&**name];
        let partitions =
            (0..).zip(&topic.partitions).map(|(partition_index, _)| DescribeTopicPartitionsResponsePartition {
                partition_index,
                leader_id: 1,
                replica_nodes: vec![1],
                isr_nodes: vec![1],
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new()),
                ..Default::default()
            });
        DescribeTopicPartitionsResponseTopic {
            name: Some(name.clone()),
            topic_id: topic.id,
            partitions: partitions.collect(),
            ..Default::default()
        }
    }

    /// A topic's own settings, and one of the broker's.
    fn configs(&self, name: &Str) -> DescribeConfigsResult {
        let own = self.topics[&**name].configs.iter().map(|(key, value)| DescribeConfigsResourceResult {
            name: key.as_str().into(),
            value: Some(value.as_str().into()),
            config_source: 1,
            synonyms: vec![DescribeConfigsSynonym {
                name: key.as_str().into(),
                value: Some(value.as_str().into()),
                source: 1,
            }],
            ..Default::default()
        });
        let broker = DescribeConfigsResourceResult {
            name: "min.insync.replicas".into(),
            value: Some("1".into()),
            config_source: 4,
            ..Default::default()
        };
        DescribeConfigsResult {
            resource_type: 2,
            resource_name: name.clone(),
            configs: own.chain([broker]).collect(),
            ..Default::default()
        }
    }

    fn alter(&mut self, asked: &IncrementalAlterConfigsRequest) -> ResponseBody {
        let responses = asked.resources.iter().map(|resource| {
            let mut response = AlterConfigsResourceResponse {
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                ..Default::default()
            };
            for config in &resource.configs {
                if config.name.starts_with("nope") {
                    response.error_code = ErrorCode::InvalidConfig.code();
                    response.error_message = Some(format!("Unknown topic config name: {}", config.name).into());
                } else if let Some(topic) = self.topics.get_mut(&*resource.resource_name) {
                    match &config.value {
                        Some(value) => topic.configs.insert(config.name.to_string(), value.to_string()),
                        None => topic.configs.remove(&*config.name),
                    };
                }
            }
            response
        });
        let body = IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() };
        ResponseBody::IncrementalAlterConfigs(body)
    }

    fn offsets(&self, asked: &ListOffsetsRequest) -> ResponseBody {
        let topics = asked.topics.iter().map(|topic| ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|it| ListOffsetsPartitionResponse {
                    partition_index: it.partition_index,
                    offset: if it.timestamp == -2 { 0 } else { self.log(&topic.name, it.partition_index).len() as i64 },
                    ..Default::default()
                })
                .collect(),
        });
        ResponseBody::ListOffsets(ListOffsetsResponse { topics: topics.collect(), ..Default::default() })
    }

    fn log(&self, topic: &str, partition: i32) -> &Vec<Record> {
        &self.topics[topic].partitions[partition as usize]
    }

    fn named(&mut self, id: Uuid) -> &mut Topic {
        self.topics.values_mut().find(|it| it.id == id).unwrap()
    }

    fn produce(&mut self, asked: &ProduceRequest) -> ResponseBody {
        let responses = asked.topic_data.iter().map(|topic| TopicProduceResponse {
            topic_id: topic.topic_id,
            partition_responses: topic
                .partition_data
                .iter()
                .map(|data| {
                    let Some(Records::Bytes(bytes)) = &data.records else { panic!("no bytes") };
                    let log = &mut self.named(topic.topic_id).partitions[data.index as usize];
                    let base_offset = log.len() as i64;
                    log.extend(read(bytes, &PureCompressors).flat_map(|it| it.unwrap().1));
                    PartitionProduceResponse { index: data.index, base_offset, ..Default::default() }
                })
                .collect(),
            ..Default::default()
        });
        ResponseBody::Produce(ProduceResponse { responses: responses.collect(), ..Default::default() })
    }

    /// A full answer each time: the session id 0 says that there is no session.
    fn fetch(&mut self, asked: &FetchRequest) -> ResponseBody {
        let responses = asked.topics.iter().map(|topic| FetchableTopicResponse {
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .iter()
                .map(|it| {
                    let log = &self.named(topic.topic_id).partitions[it.partition as usize];
                    let mut builder =
                        BatchBuilder::new(Compression::None).place(Offset(it.fetch_offset), LeaderEpoch(0));
                    for record in &log[it.fetch_offset as usize..] {
                        builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
                    }
                    let bytes =
                        if builder.is_empty() { Bytes::new() } else { builder.build(&PureCompressors).unwrap() };
                    PartitionData {
                        partition_index: it.partition,
                        high_watermark: log.len() as i64,
                        records: Some(Records::Bytes(bytes)),
                        ..Default::default()
                    }
                })
                .collect(),
            ..Default::default()
        });
        ResponseBody::Fetch(FetchResponse { responses: responses.collect(), ..Default::default() })
    }
}

fn versions() -> ApiVersionsResponse {
    let apis = (0..100).filter_map(|code| ApiKey::try_from(code).ok());
    let ranges = apis.filter_map(|api| Some((api.code(), support::kafka_range(api)?)));
    let api_keys =
        ranges.map(|(api_key, range)| ApiVersion { api_key, min_version: *range.start(), max_version: *range.end() });
    ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() }
}

/// Runs a tool to its end; what it said, and its exit code.
fn run(cluster: &mut Cluster, name: &str, args: &[String], stdin: &str) -> (String, String, i32) {
    let mut no_files = |path: &str| Err(format!("{path} (No such file or directory)"));
    let (re2, rest) = (|_: &str| Ok(()), Some(&REST));
    let mut host = Host { files: &mut no_files, pattern: regex_pattern, re2, interactive: false, seed: 7, rest };
    let kinds = [TOPICS, CONFIGS, CONSOLE_PRODUCER, CONSOLE_CONSUMER];
    let kind = kinds.iter().find(|it| it.name() == name.trim_start_matches("kafka-")).unwrap();
    let (mut session, config) = Session::new(kind, args, &mut host);
    let mut client = Client::boot(config, host.seed);
    let mut lines: VecDeque<Bytes> = stdin.lines().map(|it| Bytes::copy_from_slice(it.as_bytes())).collect();
    let mut inputs = VecDeque::from([SessionInput::Start]);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut now = Now { mono: Instant(0), wall: WallMs(1_700_000_000_000) };
    for _ in 0..10_000 {
        let input = inputs.pop_front().unwrap_or_else(|| {
            if session.wants_line() {
                return SessionInput::Line(lines.pop_front());
            }
            now.mono = client.wake_at().expect("a session that runs waits for something").max(now.mono);
            SessionInput::Client(Input::Wake)
        });
        let mut out = SessionOutbox::default();
        session.handle(&mut client, now, input, &mut out);
        stdout.extend(out.stdout);
        stderr.extend(out.stderr);
        if let Some(code) = out.exit {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            return (text(stdout), text(stderr), code);
        }
        inputs.extend(out.client.connect.iter().map(|it| SessionInput::Client(Input::Connected(it.conn))));
        for (conn, request) in &out.client.send {
            let body = cluster.answer(request);
            // A fetch of nothing waits for its max.wait, here for the clock.
            let waits = matches!(&body, ResponseBody::Fetch(it) if it.responses.iter().flat_map(|it| &it.partitions).all(|it| it.records.as_ref().is_none_or(Records::is_empty)));
            if !waits {
                inputs.push_back(answered(*conn, request, body));
            }
        }
    }
    panic!("{name} {args:?} does not end");
}

fn answered(conn: ConnId, request: &Request, body: ResponseBody) -> SessionInput {
    let Request { version, correlation_id, .. } = *request;
    SessionInput::Client(Input::Answered(conn, Response { version, correlation_id, body }))
}

/// Splits a command line at blanks; single quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|it| !it.is_empty());
    words
}

/// Replays a file: `$ command`, `< stdin`, then stdout as it is, `! ` the first line of stderr, `exit N` unless 0.
fn replay(script: &str) -> String {
    let mut cluster = Cluster::default();
    let mut transcript = String::new();
    for block in script.split("\n\n") {
        let given: Vec<&str> = block.lines().filter(|it| it.starts_with(['$', '<', '#'])).collect();
        let command = given.iter().find_map(|it| it.strip_prefix("$ "));
        let stdin: String =
            given.iter().filter_map(|it| it.strip_prefix("< ")).map(|it| it.replace("\\t", "\t") + "\n").collect();
        if !transcript.is_empty() {
            transcript.push('\n');
        }
        transcript += &given.iter().map(|it| format!("{it}\n")).collect::<String>();
        let Some(command) = command else { continue };
        let words = words(command);
        let (stdout, stderr, code) = run(&mut cluster, &words[0], &words[1..], &stdin);
        transcript += &stdout;
        transcript += &stderr.lines().next().map(|it| format!("! {it}\n")).unwrap_or_default();
        if code != 0 {
            transcript += &format!("exit {code}\n");
        }
    }
    transcript
}

fn check(name: &str, script: &str) {
    let transcript = replay(script);
    assert!(transcript == script, "{name} should read:\n{transcript}");
}

#[test]
fn topics() {
    check("topics.txt", include_str!("tools/topics.txt"));
}

#[test]
fn configs() {
    check("configs.txt", include_str!("tools/configs.txt"));
}

#[test]
fn console() {
    check("console.txt", include_str!("tools/console.txt"));
}
