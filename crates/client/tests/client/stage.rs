//! A stage for one client: scripted brokers, a clock that tests move, effects as data.

use ordered::Map;
use std::collections::VecDeque;

use bytes::Bytes;
use client::wire::{ApiKey, Request, RequestBody, Response, ResponseBody};
use client::{Answer, Client, ClientConfig, ConnId, Event, Input, OpId, Operation, Outbox, Outcome, ProducerRecord};
use protocol::messages::api_versions_response::ApiVersion;
use protocol::messages::find_coordinator_response::Coordinator;
use protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use protocol::messages::produce_response::{BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse};
use protocol::messages::{
    ApiVersionsResponse, FetchRequest, FindCoordinatorResponse, InitProducerIdResponse, MetadataResponse,
    ProduceRequest, ProduceResponse,
};
use protocol::records::{BatchBuilder, BatchHead, Compression, PureCompressors, Record, Records, read};
use protocol::{ErrorCode, Instant, LeaderEpoch, Now, Offset, Str, TopicPartition, Uuid, WallMs, support};

/// Where wall clocks begin.
pub(crate) const WALL: i64 = 1_700_000_000_000;

/// A topic as the scripted cluster has it: its leader by partition, and the epoch of all of them.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) leaders: Vec<i32>,
    pub(crate) epoch: i32,
    pub(crate) error: ErrorCode,
}

pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) now: Now,
    pub(crate) topics: Map<Str, Topic>,
    pub(crate) brokers: Vec<i32>,
    /// Requests that the test answers, oldest first.
    pub(crate) requests: VecDeque<(ConnId, Request)>,
    pub(crate) outcomes: Vec<(u64, Outcome)>,
    pub(crate) events: Vec<Event>,
    /// Connections by broker port.
    pub(crate) ports: Map<ConnId, u16>,
    /// Ports that refuse connections.
    pub(crate) refusing: Vec<u16>,
    /// Ports where nothing is heard of a connection.
    pub(crate) silent: Vec<u16>,
    pub(crate) metadata_requests: usize,
    /// At which port the last of them arrived.
    pub(crate) metadata_asked_at: u16,
    /// How many of them were for all topics.
    pub(crate) metadata_requests_for_all: usize,
    /// What the next answer about metadata says of itself.
    pub(crate) metadata_error: ErrorCode,
    /// The next question about metadata gets no answer: its connection breaks.
    pub(crate) loses_metadata: bool,
    /// How often a coordinator was looked up.
    pub(crate) lookups: usize,
    pub(crate) closed: Vec<ConnId>,
    next_op: u64,
}

impl Stage {
    pub(crate) fn new(settings: &[(&str, &str)]) -> Stage {
        let mut config = ClientConfig::bootstrapped([("b".into(), 9000)]);
        config.set_all(settings.iter().copied()).unwrap();
        config.check().unwrap();
        Stage {
            client: Client::boot(config, 1),
            now: Now { mono: Instant(0), wall: WallMs(WALL) },
            topics: Map::new(),
            brokers: vec![1, 2, 3],
            requests: VecDeque::new(),
            outcomes: Vec::new(),
            events: Vec::new(),
            ports: Map::new(),
            refusing: Vec::new(),
            silent: Vec::new(),
            metadata_requests: 0,
            metadata_asked_at: 0,
            metadata_requests_for_all: 0,
            metadata_error: ErrorCode::None,
            loses_metadata: false,
            lookups: 0,
            closed: Vec::new(),
            next_op: 0,
        }
    }

    pub(crate) fn topic(mut self, name: &str, leaders: &[i32]) -> Stage {
        let id = Uuid([u8::try_from(self.topics.len()).unwrap() + 1; 16]);
        self.topics.insert(name.into(), Topic { id, leaders: leaders.to_vec(), epoch: 0, error: ErrorCode::None });
        self
    }

    /// Starts an operation; answers its number.
    pub(crate) fn start(&mut self, operation: Operation) -> u64 {
        self.next_op += 1;
        self.input(Input::Do(OpId(self.next_op), operation));
        self.next_op
    }

    pub(crate) fn send(&mut self, topic: &str, partition: Option<i32>, key: Option<&str>, value: &str) -> u64 {
        self.start(Operation::Send(ProducerRecord {
            topic: topic.into(),
            partition,
            key: key.map(|it| Bytes::copy_from_slice(it.as_bytes())),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Default::default()
        }))
    }

    pub(crate) fn poll(&mut self, timeout_ms: i64) -> u64 {
        self.start(Operation::Poll { timeout_ms })
    }

    /// Handles an input, and then all that brokers answer by themselves: connections, versions, metadata, identities.
    pub(crate) fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut steps = 0;
        while let Some(input) = inputs.pop_front() {
            steps += 1;
            assert!(steps < 10_000, "the client never comes to rest");
            let mut out = Outbox::with_events();
            self.client.handle(self.now, input, &mut out);
            self.events.extend(out.events.unwrap());
            self.outcomes.extend(out.outcomes.into_iter().map(|(op, outcome)| (op.0, outcome)));
            for connect in out.connect {
                let refused = self.refusing.contains(&connect.port);
                self.ports.insert(connect.conn, connect.port);
                if self.silent.contains(&connect.port) {
                    continue;
                }
                inputs.push_back(if refused {
                    Input::ConnectFailed(connect.conn)
                } else {
                    Input::Connected(connect.conn)
                });
            }
            for (conn, request) in out.send {
                let is_metadata = matches!(request.body, RequestBody::Metadata(_));
                if is_metadata && std::mem::take(&mut self.loses_metadata) {
                    inputs.push_back(Input::Closed(conn));
                    continue;
                }
                match self.own_answer(conn, &request) {
                    Some(body) => inputs.push_back(answered(conn, &request, body)),
                    None => self.requests.push_back((conn, request)),
                }
            }
            for conn in out.close {
                self.closed.push(conn);
                self.requests.retain(|(it, _)| *it != conn);
            }
        }
    }

    fn own_answer(&mut self, conn: ConnId, request: &Request) -> Option<ResponseBody> {
        match &request.body {
            RequestBody::ApiVersions(_) => Some(ResponseBody::ApiVersions(versions())),
            RequestBody::Metadata(asked) => {
                self.metadata_requests += 1;
                self.metadata_asked_at = self.ports[&conn];
                self.metadata_requests_for_all += usize::from(asked.topics.is_none());
                if self.metadata_error != ErrorCode::None {
                    let error_code = std::mem::replace(&mut self.metadata_error, ErrorCode::None).code();
                    return Some(ResponseBody::Metadata(MetadataResponse { error_code, ..Default::default() }));
                }
                let names: Vec<Str> = match &asked.topics {
                    Some(topics) => topics.iter().filter_map(|it| it.name.clone()).collect(),
                    None => self.topics.keys().cloned().collect(),
                };
                Some(ResponseBody::Metadata(self.metadata(&names)))
            }
            RequestBody::FindCoordinator(asked) => {
                // Broker 2 coordinates every group.
                self.lookups += 1;
                let coordinator = Coordinator {
                    key: asked.coordinator_keys[0].clone(),
                    node_id: 2,
                    host: "b".into(),
                    port: 9002,
                    ..Default::default()
                };
                let coordinators = vec![coordinator];
                Some(ResponseBody::FindCoordinator(FindCoordinatorResponse { coordinators, ..Default::default() }))
            }
            RequestBody::InitProducerId(asked) => {
                assert_eq!(asked.transactional_id, None, "brokers refuse the empty string");
                Some(ResponseBody::InitProducerId(InitProducerIdResponse {
                    producer_id: 7,
                    producer_epoch: 0,
                    ..Default::default()
                }))
            }
            _ => None,
        }
    }

    fn metadata(&self, names: &[Str]) -> MetadataResponse {
        let brokers = self.brokers.iter().map(|id| MetadataResponseBroker {
            node_id: *id,
            host: "b".into(),
            port: 9000 + id,
            ..Default::default()
        });
        let topics = names.iter().map(|name| match self.topics.get(name) {
            Some(topic) if topic.error == ErrorCode::None => MetadataResponseTopic {
                name: Some(name.clone()),
                topic_id: topic.id,
                is_internal: name.starts_with("__"),
                partitions: (0..)
                    .zip(&topic.leaders)
                    .map(|(index, leader)| MetadataResponsePartition {
                        partition_index: index,
                        leader_id: *leader,
                        leader_epoch: topic.epoch,
                        replica_nodes: self.brokers.clone(),
                        isr_nodes: self.brokers.clone(),
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            },
            it => MetadataResponseTopic {
                error_code: it.map_or(ErrorCode::UnknownTopicOrPartition, |it| it.error).code(),
                name: Some(name.clone()),
                ..Default::default()
            },
        });
        MetadataResponse {
            brokers: brokers.collect(),
            controller_id: 1,
            topics: topics.collect(),
            ..Default::default()
        }
    }

    /// Lets time pass, waking the client when it wants to be woken.
    pub(crate) fn advance(&mut self, ms: u64) {
        let end = self.now.mono.0 + ms * 1_000;
        let mut wakes = 0;
        while let Some(at) = self.client.wake_at().filter(|at| at.0 <= end) {
            wakes += 1;
            assert!(wakes < 10_000, "the client does not sleep");
            self.set_clock(at.0.max(self.now.mono.0));
            self.input(Input::Wake);
        }
        self.set_clock(end);
        self.input(Input::Wake);
    }

    fn set_clock(&mut self, mono: u64) {
        self.now = Now { mono: Instant(mono), wall: WallMs(WALL + (mono / 1_000) as i64) };
    }

    /// The oldest request that was not answered; it must be of this API.
    pub(crate) fn take(&mut self, api: ApiKey) -> (ConnId, Request) {
        let (conn, request) =
            self.requests.pop_front().unwrap_or_else(|| panic!("no request, {} was expected", api.name()));
        assert_eq!(request.body.api_key(), api);
        (conn, request)
    }

    pub(crate) fn answer(&mut self, conn: ConnId, request: &Request, body: ResponseBody) {
        self.input(answered(conn, request, body));
    }

    /// The outcome of an operation, if there is one.
    pub(crate) fn outcome(&self, op: u64) -> Option<&Outcome> {
        self.outcomes.iter().find(|(it, _)| *it == op).map(|(_, outcome)| outcome)
    }

    /// Where a record went: partition and offset.
    pub(crate) fn sent(&self, op: u64) -> Option<(i32, Option<i64>)> {
        match self.outcome(op) {
            Some(Outcome::Ok(Answer::Sent(it))) => Some((it.partition.partition, it.offset.map(|it| it.0))),
            _ => None,
        }
    }

    /// Takes the oldest Produce with a look into its only batch.
    pub(crate) fn take_produce(&mut self) -> Produce {
        let (conn, request) = self.take(ApiKey::Produce);
        let RequestBody::Produce(body) = &request.body else { unreachable!() };
        let batches = self.batches(body);
        Produce { conn, request, batches }
    }

    fn batches(&self, body: &ProduceRequest) -> Vec<Batch> {
        let mut batches = Vec::new();
        for topic in &body.topic_data {
            let name = self.name_of(&topic.name, topic.topic_id);
            for data in &topic.partition_data {
                let Some(Records::Bytes(bytes)) = &data.records else { panic!("no bytes") };
                let read: Vec<(BatchHead, Vec<Record>)> = read(bytes, &PureCompressors).map(Result::unwrap).collect();
                let [(head, records)] = &read[..] else { panic!("one batch a partition") };
                batches.push(Batch {
                    partition: TopicPartition { topic: name.clone(), partition: data.index },
                    epoch: head.producer_epoch.0,
                    sequence: head.base_sequence,
                    values: records.iter().map(|it| text(it.value.as_ref())).collect(),
                });
            }
        }
        batches
    }

    fn name_of(&self, name: &Str, id: Uuid) -> Str {
        if id.is_zero() {
            return name.clone();
        }
        self.topics.iter().find(|(_, it)| it.id == id).map(|(name, _)| name.clone()).unwrap()
    }

    /// Answers a Produce: every batch alike.
    pub(crate) fn produced(&mut self, produce: &Produce, error: ErrorCode, base_offset: i64) {
        let RequestBody::Produce(body) = &produce.request.body else { unreachable!() };
        let responses = body.topic_data.iter().map(|topic| TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: topic
                .partition_data
                .iter()
                .map(|data| PartitionProduceResponse {
                    index: data.index,
                    error_code: error.code(),
                    base_offset: if error == ErrorCode::None { base_offset } else { -1 },
                    // KIP-467: the broker names the record that it does not like.
                    record_errors: match error {
                        ErrorCode::InvalidTimestamp => vec![BatchIndexAndErrorMessage::default()],
                        _ => Vec::new(),
                    },
                    ..Default::default()
                })
                .collect(),
        });
        let body = ProduceResponse { responses: responses.collect(), ..Default::default() };
        let (conn, request) = (produce.conn, produce.request.clone());
        self.answer(conn, &request, ResponseBody::Produce(body));
    }

    pub(crate) fn take_fetch(&mut self) -> (ConnId, Request, FetchRequest) {
        let (conn, request) = self.take(ApiKey::Fetch);
        let RequestBody::Fetch(body) = request.body.clone() else { unreachable!() };
        (conn, request, body)
    }
}

/// A Produce request and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Produce {
    pub(crate) conn: ConnId,
    pub(crate) request: Request,
    pub(crate) batches: Vec<Batch>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    pub(crate) partition: TopicPartition,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) values: Vec<String>,
}

impl Produce {
    /// Epoch, first sequence number and values of the only batch.
    pub(crate) fn only(&self) -> (i16, i32, Vec<&str>) {
        let [batch] = &self.batches[..] else { panic!("{} batches", self.batches.len()) };
        (batch.epoch, batch.sequence, batch.values.iter().map(String::as_str).collect())
    }
}

pub(crate) fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition }
}

pub(crate) fn answered(conn: ConnId, request: &Request, body: ResponseBody) -> Input {
    let Request { version, correlation_id, .. } = *request;
    Input::Answered(conn, Response { version, correlation_id, body })
}

/// All that Apache Kafka advertises.
pub(crate) fn versions() -> ApiVersionsResponse {
    let apis = (0..100).filter_map(|code| ApiKey::try_from(code).ok());
    let ranges = apis.filter_map(|api| Some((api.code(), support::kafka_range(api)?)));
    let api_keys =
        ranges.map(|(api_key, range)| ApiVersion { api_key, min_version: *range.start(), max_version: *range.end() });
    ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() }
}

pub(crate) fn text(bytes: Option<&Bytes>) -> String {
    bytes.map_or("(null)".into(), |it| String::from_utf8(it.to_vec()).unwrap())
}

/// A batch of a log, one record a value.
pub(crate) fn batch(base: i64, epoch: i32, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).place(Offset(base), LeaderEpoch(epoch));
    for value in values {
        builder.push(WallMs(WALL), None, Some(value.as_bytes()), &[]);
    }
    builder.build(&PureCompressors).unwrap()
}
