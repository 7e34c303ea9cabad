//! One node and its disk, on one virtual clock: inputs in, replies and events out, nothing else running.

pub(crate) mod registration;

use ordered::Map;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use node::{
    Call, CallError, CallId, Config, ConnId, Credit, Event, Input, Node, Outbox, Peer, PeerHost, Reply, Scope, View,
};
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::{CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest};
use protocol::records::{self, BatchBuilder, Compression, PureCompressors, Records};
use protocol::{
    Instant, NodeId, Now, ProducerEpoch, ProducerId, Region, Request, RequestBody, Response, ResponseBody, Str, Uuid,
    WallMs,
};
use storage::{Disk, MemoryDisk, OpId, Store, StoreOp};

/// The wall clock when a rig starts.
pub(crate) const EPOCH: i64 = 1_700_000_000_000;
/// The connection on which the node calls itself.
const OWN: ConnId = ConnId(1 << 60);
/// The connection that [`Rig::call`] uses.
pub(crate) const CLIENT: ConnId = ConnId(1);

/// A node, its store and its clock.
#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) node: Node,
    pub(crate) store: Store<MemoryDisk>,
    pub(crate) mono: Instant,
    pub(crate) wall: WallMs,
    /// Operations that the store has not carried out yet.
    pub(crate) queue: VecDeque<(OpId, StoreOp)>,
    /// While true, operations stay in the queue.
    pub(crate) held: bool,
    pub(crate) replies: Vec<Reply>,
    /// To other nodes, if the test has it know any, for which it answers.
    pub(crate) calls: Option<Vec<Call>>,
    pub(crate) credit: Vec<(ConnId, Credit)>,
    pub(crate) events: Vec<Event>,
    pub(crate) stopped: bool,
    seed: u64,
    next_correlation_id: i32,
    own_calls: Map<i32, CallId>,
    next_own_call: i32,
}

pub(crate) fn config(settings: &[(&str, &str)]) -> Config {
    let settings: Map<String, String> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (mut config, _) = Config::parse(&settings).expect("a test's settings parse");
    config.identity.cluster_id = Str::from_static("test-cluster");
    config.identity.directory_ids =
        (0..config.log_dirs.len()).map(|it| Uuid::from_random([it as u8 + 1; 16])).collect();
    config
}

impl Rig {
    /// A node with Kafka's defaults that serves.
    pub(crate) fn start() -> Rig {
        Rig::with(&[])
    }

    /// A node that serves.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Rig {
        let mut rig = Rig::cold(config(settings), Store::new(MemoryDisk::new()));
        rig.open(CLIENT);
        rig.run();
        assert!(rig.events.contains(&Event::Started), "it starts: {:?}", rig.events);
        rig
    }

    /// A node that has not begun.
    pub(crate) fn cold(config: Config, store: Store<MemoryDisk>) -> Rig {
        Rig::seeded(config, store, 7)
    }

    pub(crate) fn seeded(config: Config, store: Store<MemoryDisk>, seed: u64) -> Rig {
        Rig {
            seed,
            node: Node::boot(Arc::new(config), seed),
            store,
            mono: Instant(0),
            wall: WallMs(EPOCH),
            queue: VecDeque::new(),
            held: false,
            replies: Vec::new(),
            calls: None,
            credit: Vec::new(),
            events: Vec::new(),
            stopped: false,
            next_correlation_id: 1,
            own_calls: Map::new(),
            next_own_call: 0,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: self.mono, wall: self.wall }
    }

    /// Hands one input in.
    pub(crate) fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Outbox::with_events();
            self.node.handle(self.now(), input, &mut out);
            self.take(out, &mut inputs);
        }
    }

    /// The node calls itself as it calls others: a request on a connection of its own, whose answer is its input.
    fn take(&mut self, out: Outbox, inputs: &mut VecDeque<Input>) {
        for call in out.calls {
            if call.to != NodeId(1) {
                self.calls.as_mut().expect("a node alone calls nobody but itself").push(call);
                continue;
            }
            if self.own_calls.is_empty() && self.next_own_call == 0 {
                let host = PeerHost::Node(call.to);
                let listener = Str::from_static("CONTROLLER");
                inputs.push_back(Input::Opened(OWN, Peer { listener, host }));
            }
            self.next_own_call += 1;
            self.own_calls.insert(self.next_own_call, call.id);
            let (version, correlation_id) = (call.version, self.next_own_call);
            inputs
                .push_back(Input::Request(OWN, Request { version, correlation_id, client_id: None, body: call.body }));
        }
        self.queue.extend(out.store);
        for reply in out.replies {
            match reply {
                Reply::Answer(OWN, response) => {
                    let id = self.own_calls.remove(&response.correlation_id).expect("it was asked");
                    inputs.push_back(Input::Answered(id, Ok(response.body)));
                }
                Reply::Close(OWN, why) => {
                    let has_failed = self.stopped || why == "the node has failed";
                    assert!(has_failed, "a node does not refuse itself: {why}");
                    let lost = std::mem::take(&mut self.own_calls).into_values();
                    inputs.extend(lost.map(|id| Input::Answered(id, Err(CallError::Reset))));
                }
                reply => self.replies.push(reply),
            }
        }
        self.credit.extend(out.credit);
        self.events.extend(out.events.unwrap_or_default());
        self.stopped |= out.stopped;
    }

    /// Carries out the oldest operation; false if there is none.
    pub(crate) fn store_one(&mut self) -> bool {
        let Some((id, op)) = self.queue.pop_front() else { return false };
        let result = self.store.execute(op);
        self.input(Input::Stored(id, result));
        true
    }

    /// Runs until nothing is left to do at this moment.
    pub(crate) fn run(&mut self) {
        loop {
            if self.node.wake_at().is_some_and(|(at, _)| at <= self.mono) {
                self.input(Input::Wake);
            } else if self.held || !self.store_one() {
                return;
            }
        }
    }

    /// Lets time pass, deadline by deadline.
    pub(crate) fn advance(&mut self, ms: i64) {
        let end = self.mono.plus_ms(ms);
        self.run();
        while let Some((at, _)) = self.node.wake_at()
            && at <= end
        {
            self.move_to(at);
            self.run();
        }
        self.move_to(end);
        self.run();
    }

    fn move_to(&mut self, at: Instant) {
        let passed = at.since(self.mono).as_micros() as i64;
        self.wall = WallMs(self.wall.0 + passed / 1000);
        self.mono = at;
    }

    pub(crate) fn open(&mut self, conn: ConnId) {
        let host = PeerHost::Named(Str::from_static("client"));
        self.input(Input::Opened(conn, Peer { listener: Str::from_static("PLAINTEXT"), host }));
    }

    /// Sends a request and answers with its correlation id; nothing else happens yet.
    pub(crate) fn send_on(&mut self, conn: ConnId, version: i16, body: RequestBody) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let client_id = Some(Str::from_static("test"));
        self.input(Input::Request(conn, Request { version, correlation_id, client_id, body }));
        correlation_id
    }

    pub(crate) fn send(&mut self, version: i16, body: RequestBody) -> i32 {
        self.send_on(CLIENT, version, body)
    }

    /// The answer to a request, if there is one yet.
    pub(crate) fn answer(&mut self, correlation_id: i32) -> Option<ResponseBody> {
        let position = self.replies.iter().position(|reply| match reply {
            Reply::Answer(_, response) => response.correlation_id == correlation_id,
            _ => false,
        })?;
        match self.replies.remove(position) {
            Reply::Answer(_, Response { body, .. }) => Some(body),
            _ => None,
        }
    }

    /// Sends a request, runs, and answers with the response, which must be there without time passing.
    pub(crate) fn call(&mut self, version: i16, body: RequestBody) -> ResponseBody {
        let name = body.api_key().name();
        let correlation_id = self.send(version, body);
        self.run();
        self.answer(correlation_id).unwrap_or_else(|| panic!("{name} is answered: {:?}", self.replies))
    }

    pub(crate) fn view(&self) -> View {
        self.node.view(&Scope::All)
    }

    /// Creates a topic and answers with its id.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
        let topic = CreatableTopic {
            name: Str::from(name),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig { name: Str::from(*name), value: Some(Str::from(*value)) })
                .collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..CreateTopicsRequest::default() };
        let ResponseBody::CreateTopics(response) = self.call(7, RequestBody::CreateTopics(request)) else { panic!() };
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
        response.topics[0].topic_id
    }

    /// Produces one batch to a topic's partition and answers with error and base offset.
    pub(crate) fn produce(&mut self, topic: &str, partition: i32, acks: i16, batch: Bytes) -> (i16, i64) {
        let ResponseBody::Produce(response) = self.call(12, produce(topic, partition, acks, batch)) else { panic!() };
        let answer = &response.responses[0].partition_responses[0];
        (answer.error_code, answer.base_offset)
    }

    /// Fetches a topic's partition without waiting.
    pub(crate) fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> FetchResponse {
        let ResponseBody::Fetch(response) = self.call(12, RequestBody::Fetch(fetch(topic, partition, offset))) else {
            panic!()
        };
        response
    }

    /// The bytes of regions, as a driver sends them.
    pub(crate) fn resolve(&self, records: &Option<Records>) -> Bytes {
        match records {
            None => Bytes::new(),
            Some(Records::Bytes(bytes) | Records::Refused(bytes, _)) => bytes.clone(),
            Some(Records::Batches(batches)) => batches.to_bytes(),
            Some(Records::Regions(regions)) => {
                regions.iter().flat_map(|region| self.load(region).to_vec()).collect::<Vec<_>>().into()
            }
        }
    }

    fn load(&self, region: &Region) -> Bytes {
        let resolved = self.store.resolve(*region).expect("a region names written bytes");
        self.store.disk().read_at(&resolved.file, resolved.at, resolved.len as usize).expect("they can be read")
    }

    /// The records of the first partition of an answer: offset and value.
    pub(crate) fn values(&self, response: &FetchResponse) -> Vec<(i64, String)> {
        let bytes = self.resolve(&response.responses[0].partitions[0].records);
        let mut values = Vec::new();
        for batch in records::read(&bytes, &PureCompressors) {
            let (_, records) = batch.expect("what was appended can be read");
            values.extend(records.into_iter().map(|record| {
                (record.offset.0, String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned())
            }));
        }
        values
    }

    /// Stops the node and waits until it says that it has stopped.
    pub(crate) fn stop(&mut self) {
        self.input(Input::Stop);
        self.advance(10_000);
        assert!(self.stopped, "it stops: {:?}", self.node.view(&Scope::Node));
    }

    /// A new process on the same disk, after [`Rig::stop`] or a kill at this moment.
    pub(crate) fn restart(self, settings: &[(&str, &str)]) -> Rig {
        self.restart_as(config(settings))
    }

    /// A new process on the same disk with this configuration.
    pub(crate) fn restart_as(mut self, config: Config) -> Rig {
        self.store.disk_mut().crash();
        // Another process: what it draws is other.
        let mut rig = Rig::seeded(config, Store::new(self.store.into_disk()), self.seed + 1);
        rig.wall = self.wall;
        rig.open(CLIENT);
        rig.run();
        assert!(rig.events.contains(&Event::Started), "it starts again: {:?}", rig.events);
        rig
    }

    pub(crate) fn log(&self, topic: &str, partition: usize) -> node::view::LogView {
        let view = self.view();
        let topic = view.topics.iter().find(|it| it.name == *topic).expect("the topic is there");
        topic.partitions[partition].log.clone().expect("its log is ready")
    }
}

/// A batch of values without keys, at the rig's first moment.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    batch_at(EPOCH, values)
}

pub(crate) fn batch_at(timestamp: i64, values: &[&str]) -> Bytes {
    build(BatchBuilder::new(Compression::None), timestamp, values)
}

/// A batch of an idempotent producer.
pub(crate) fn sequenced(producer_id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    let builder =
        BatchBuilder::new(Compression::None).producer(ProducerId(producer_id), ProducerEpoch(epoch), sequence);
    build(builder, EPOCH, values)
}

pub(crate) fn build(mut builder: BatchBuilder, timestamp: i64, values: &[&str]) -> Bytes {
    for value in values {
        builder.push(WallMs(timestamp), None, Some(value.as_bytes()), &[]);
    }
    builder.build(&PureCompressors).expect("it builds")
}

pub(crate) fn produce(topic: &str, partition: i32, acks: i16, batch: Bytes) -> RequestBody {
    produce_many(topic, acks, vec![(partition, batch)])
}

pub(crate) fn produce_many(topic: &str, acks: i16, batches: Vec<(i32, Bytes)>) -> RequestBody {
    let partitions =
        batches.into_iter().map(|(index, batch)| PartitionProduceData { index, records: Some(Records::Bytes(batch)) });
    let topic = TopicProduceData { name: Str::from(topic), partition_data: partitions.collect(), ..Default::default() };
    RequestBody::Produce(ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() })
}

/// A fetch of one partition that does not wait.
pub(crate) fn fetch(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition =
        FetchPartition { partition, fetch_offset: offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![FetchTopic { topic: Str::from(topic), partitions: vec![partition], ..FetchTopic::default() }],
        ..FetchRequest::default()
    }
}
