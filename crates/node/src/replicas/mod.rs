//! Replication among several nodes, each with its disk, on one virtual clock. The metadata is written by the test: this is about
//! what replicas make of it. AlterPartition is answered as a controller does that agrees with whatever fits the epochs.

mod consumers;
mod deletes;
mod failover;
mod following;
mod groups;
mod isr;
mod settings;
mod throttle;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ordered::{Map, Set};
use protocol::frame::{self, Piece};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::register_broker_record::BrokerEndpoint;
use protocol::messages::*;
use protocol::records::{self, BatchBuilder, Compression, PureCompressors, Records};
use protocol::{
    ErrorCode, Instant, LeaderEpoch, NodeId, Now, Offset, ProducerEpoch, ProducerId, Request, RequestBody, Response,
    ResponseBody, Str, Uuid, WallMs,
};
use storage::{Disk, MemoryDisk, OpId, Store, StoreOp};

use crate::event::Event;
use crate::gateway::check_answer;
use crate::image::PartitionImage;
use crate::input::{ConnId, Input, Peer, PeerHost};
use crate::lifecycle::Life;
use crate::node::Node;
use crate::outbox::{Call, CallError, CallId, Outbox, Reply};
use crate::partition::{Partition, PartitionKey};
use crate::view::LogView;
use crate::{Config, Scope};

const EPOCH: i64 = 1_700_000_000_000;
const TOPIC: Uuid = Uuid([7; 16]);
const KEY: PartitionKey = PartitionKey { topic_id: TOPIC, partition: 0 };
const CLIENT: ConnId = ConnId(1);
/// Connections of broker n are numbered from here.
const BROKERS: u64 = 1_000;

struct Broker {
    node: Node,
    store: Store<MemoryDisk>,
    ops: VecDeque<(OpId, StoreOp)>,
    /// Its disk answers nothing.
    is_stuck: bool,
    /// Records of the metadata log that it has seen.
    seen: usize,
    /// It hears no more of the metadata.
    is_deaf: bool,
    replies: Vec<Response>,
    events: Vec<Event>,
}

struct World {
    config: Vec<(&'static str, &'static str)>,
    racks: Map<i32, Str>,
    brokers: Map<i32, Broker>,
    /// Of brokers that are down.
    disks: Map<i32, Store<MemoryDisk>>,
    metadata: Vec<MetadataRecord>,
    image: crate::image::Image,
    now: Now,
    /// Pairs between which nothing gets through, in either direction.
    cut: Set<(i32, i32)>,
    calls: VecDeque<(i32, Call)>,
    /// Calls that were handed over: who called, by the connection and correlation id.
    asked: Map<(i32, u64, i32), (i32, CallId)>,
    /// Calls that were not handed over and are not answered.
    lost: Vec<(Instant, i32, CallId)>,
    fetches: Vec<(i32, i32, FetchRequest)>,
    next_correlation_id: i32,
    /// The controller answers no proposal.
    is_undecided: bool,
}

impl World {
    /// Brokers 1 to `count`, and topic "t" with one partition on all of them, led by the first.
    fn of(count: i32, config: &[(&'static str, &'static str)]) -> World {
        let mut world = World::without_topic(count, config);
        let replicas: Vec<i32> = (1..=count).collect();
        world.create(&replicas);
        world
    }

    fn without_topic(count: i32, config: &[(&'static str, &'static str)]) -> World {
        let mut world = World {
            config: config.to_vec(),
            racks: Map::new(),
            brokers: Map::new(),
            disks: Map::new(),
            metadata: Vec::new(),
            image: crate::image::Image::default(),
            now: Now { mono: Instant(0), wall: WallMs(EPOCH) },
            cut: Set::new(),
            calls: VecDeque::new(),
            asked: Map::new(),
            lost: Vec::new(),
            fetches: Vec::new(),
            next_correlation_id: 1,
            is_undecided: false,
        };
        for id in 1..=count {
            world.disks.insert(id, Store::new(MemoryDisk::new()));
            world.start(id);
        }
        world
    }

    fn create(&mut self, replicas: &[i32]) {
        self.commit(MetadataRecord::Topic(TopicRecord { name: Str::from_static("t"), topic_id: TOPIC }));
        self.commit(MetadataRecord::Partition(PartitionRecord {
            topic_id: TOPIC,
            partition_id: 0,
            replicas: replicas.to_vec(),
            isr: replicas.to_vec(),
            leader: replicas[0],
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![Uuid([1; 16]); replicas.len()],
            ..PartitionRecord::default()
        }));
        self.run();
    }

    /// A process begins on its disk: it registers, and sees all metadata.
    fn start(&mut self, id: i32) {
        let node_id = id.to_string();
        let mut settings: Map<String, String> =
            self.config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        settings.insert("node.id".to_owned(), node_id);
        let (mut config, _) = Config::parse(&settings).expect("a test's settings parse");
        config.identity.cluster_id = Str::from_static("cluster");
        let directories: Vec<Uuid> = (1..=config.log_dirs.len()).map(|dir| Uuid([dir as u8; 16])).collect();
        config.identity.directory_ids.clone_from(&directories);
        let epoch = self.metadata.len() as i64;
        let mut node = Node::boot(Arc::new(config), id as u64);
        node.timers = Default::default();
        node.life = Life::serving(epoch);
        let store = self.disks.remove(&id).expect("it has a disk");
        let broker = Broker {
            node,
            store,
            ops: VecDeque::new(),
            is_stuck: false,
            seen: 0,
            is_deaf: false,
            replies: Vec::new(),
            events: Vec::new(),
        };
        self.brokers.insert(id, broker);
        self.commit(MetadataRecord::RegisterBroker(RegisterBrokerRecord {
            broker_id: id,
            broker_epoch: epoch,
            incarnation_id: Uuid([id as u8; 16]),
            end_points: vec![BrokerEndpoint {
                name: Str::from_static("PLAINTEXT"),
                host: Str::from(format!("b{id}")),
                port: 9092,
                security_protocol: 0,
            }],
            rack: self.racks.get(&id).cloned(),
            fenced: false,
            log_dirs: directories,
            ..RegisterBrokerRecord::default()
        }));
        let host = PeerHost::Named(Str::from_static("client"));
        self.input(id, Input::Opened(CLIENT, Peer { listener: Str::from_static("PLAINTEXT"), host }));
        self.run();
    }

    /// A process dies at this moment; what it has written stays. The controller fences it.
    fn kill(&mut self, id: i32) {
        let mut broker = self.brokers.remove(&id).expect("it lives");
        broker.store.disk_mut().crash();
        self.disks.insert(id, Store::new(broker.store.into_disk()));
        self.calls.retain(|(from, _)| *from != id);
        let broken: Vec<_> = self.asked.iter().filter(|(at, _)| at.0 == id).map(|(at, by)| (*at, *by)).collect();
        self.asked.retain(|at, by| at.0 != id && by.0 != id);
        for (_, (from, call)) in broken {
            if self.brokers.contains_key(&from) {
                self.input(from, Input::Answered(call, Err(CallError::Reset)));
            }
        }
        for other in self.brokers.keys().copied().collect::<Vec<_>>() {
            self.input(other, Input::Closed(ConnId(BROKERS + id as u64)));
        }
        let epoch = self.image.broker(NodeId(id)).expect("it has registered").epoch;
        self.commit(MetadataRecord::FenceBroker(FenceBrokerRecord { id, epoch }));
        self.run();
    }

    fn commit(&mut self, record: MetadataRecord) {
        self.image.apply(Offset(self.metadata.len() as i64), &record).expect("the test writes sound metadata");
        self.metadata.push(record);
        self.tell();
    }

    /// Whoever listens hears what is new in the metadata.
    fn tell(&mut self) {
        for id in self.brokers.keys().copied().collect::<Vec<_>>() {
            loop {
                let broker = self.brokers.get_mut(&id).expect("it lives");
                let Some(record) = self.metadata.get(broker.seen).filter(|_| !broker.is_deaf) else { break };
                let mut out = Outbox::with_events();
                broker.node.image.apply(Offset(broker.seen as i64), record).expect("it was applied before");
                broker.node.revealed(self.now, record, &mut out);
                broker.seen += 1;
                self.carry_out(id, out);
                self.input(id, Input::Wake);
            }
        }
    }

    /// The controller decides on another leader or ISR.
    fn change(&mut self, leader: Option<i32>, isr: &[i32]) {
        self.commit(MetadataRecord::PartitionChange(PartitionChangeRecord {
            topic_id: TOPIC,
            partition_id: 0,
            leader: leader.unwrap_or(-2),
            isr: Some(isr.to_vec()),
            ..PartitionChangeRecord::default()
        }));
        self.run();
    }

    fn set(&mut self, key: &'static str, value: &'static str) {
        self.configure(2, "t", key, value);
    }

    fn configure(&mut self, resource_type: i8, name: &'static str, key: &'static str, value: &'static str) {
        self.commit(MetadataRecord::Config(ConfigRecord {
            resource_type,
            resource_name: Str::from_static(name),
            name: Str::from_static(key),
            value: Some(Str::from_static(value)),
        }));
    }

    fn input(&mut self, id: i32, input: Input) {
        let broker = self.brokers.get_mut(&id).expect("it lives");
        let mut out = Outbox::with_events();
        broker.node.handle(self.now, input, &mut out);
        self.carry_out(id, out);
    }

    fn carry_out(&mut self, id: i32, out: Outbox) {
        let broker = self.brokers.get_mut(&id).expect("it lives");
        broker.ops.extend(out.store);
        broker.events.extend(out.events.unwrap_or_default());
        self.calls.extend(out.calls.into_iter().map(|call| (id, call)));
        for reply in out.replies {
            match reply {
                Reply::Answer(conn, response) => self.replied(id, conn, response),
                Reply::Nothing(..) => {}
                Reply::Close(conn, why) => panic!("{id} closes {conn:?}: {why}"),
            }
        }
    }

    fn replied(&mut self, id: i32, conn: ConnId, mut response: Response) {
        if conn.0 < BROKERS {
            return self.brokers.get_mut(&id).expect("it lives").replies.push(response);
        }
        let Some((from, call)) = self.asked.remove(&(id, conn.0, response.correlation_id)) else { return };
        self.resolve(id, &mut response.body);
        if !self.passes(id, from) {
            return self.lost.push((self.now.mono.plus_ms(30_000), from, call));
        }
        // Through the bytes of the protocol, as on a wire.
        let (api, version) = (response.body.api_key(), response.version);
        let bytes = joined(frame::encode_response(&mut response).expect("an answer encodes"));
        let mut response = frame::decode_response(api, version, bytes).expect("and decodes");
        check_answer(&mut response.body, &PureCompressors);
        self.input(from, Input::Answered(call, Ok(response.body)));
    }

    fn resolve(&self, id: i32, body: &mut ResponseBody) {
        let ResponseBody::Fetch(fetch) = body else { return };
        for data in fetch.responses.iter_mut().flat_map(|it| &mut it.partitions) {
            data.records = Some(Records::Bytes(self.bytes_of(id, &data.records)));
        }
    }

    fn bytes_of(&self, id: i32, records: &Option<Records>) -> Bytes {
        let store = &self.brokers[&id].store;
        match records {
            Some(Records::Regions(regions)) => {
                let pieces = regions.iter().map(|region| {
                    let it = store.resolve(*region).expect("a region names written bytes");
                    store.disk().read_at(&it.file, it.at, it.len as usize).expect("they can be read")
                });
                Bytes::from(pieces.collect::<Vec<_>>().concat())
            }
            Some(Records::Bytes(bytes)) => bytes.clone(),
            _ => Bytes::new(),
        }
    }

    fn passes(&self, from: i32, to: i32) -> bool {
        self.brokers.contains_key(&to) && !self.cut.contains(&(from.min(to), from.max(to)))
    }

    fn call(&mut self, from: i32, call: Call) {
        let to = call.to.0;
        if !self.passes(from, to) {
            if self.brokers.contains_key(&to) {
                self.lost.push((self.now.mono.plus_ms(call.timeout_ms), from, call.id));
            } else {
                self.input(from, Input::Answered(call.id, Err(CallError::Refused)));
            }
            return;
        }
        assert_eq!((&*call.host, call.port), (&*format!("b{to}"), 9092));
        if let RequestBody::Fetch(fetch) = &call.body {
            self.fetches.push((from, to, fetch.clone()));
        }
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let mut request = Request { version: call.version, correlation_id, client_id: None, body: call.body };
        let bytes = joined(frame::encode_request(&mut request).expect("a call encodes"));
        let request = frame::decode_request(bytes).expect("and decodes");
        let conn = ConnId(BROKERS + from as u64);
        if !self.brokers[&to].node.connections.contains_key(&conn) {
            let host = PeerHost::Node(NodeId(from));
            self.input(to, Input::Opened(conn, Peer { listener: Str::from_static("PLAINTEXT"), host }));
        }
        self.asked.insert((to, conn.0, correlation_id), (from, call.id));
        self.input(to, Input::Request(conn, request));
    }

    /// Runs until nothing is left to do at this moment.
    fn run(&mut self) {
        loop {
            let mut is_busy = self.decide_isrs();
            for id in self.brokers.keys().copied().collect::<Vec<_>>() {
                let broker = self.brokers.get_mut(&id).expect("it lives");
                if broker.node.wake_at().is_some_and(|(at, _)| at <= self.now.mono) {
                    is_busy = true;
                    self.input(id, Input::Wake);
                } else if !broker.is_stuck
                    && let Some((op, what)) = broker.ops.pop_front()
                {
                    is_busy = true;
                    let result = broker.store.execute(what);
                    self.input(id, Input::Stored(op, result));
                }
            }
            if let Some((from, call)) = self.calls.pop_front() {
                is_busy = true;
                self.call(from, call);
            }
            if !is_busy {
                return;
            }
        }
    }

    /// What leaders propose is carried out if it fits the epochs, as by a controller.
    fn decide_isrs(&mut self) -> bool {
        if self.is_undecided {
            return false;
        }
        let proposals: Vec<_> = self
            .brokers
            .iter_mut()
            .flat_map(|(id, it)| it.node.isr_proposals.take().into_iter().map(|p| (*id, p)))
            .collect();
        let is_any = !proposals.is_empty();
        for (id, proposal) in proposals {
            let PartitionKey { topic_id, partition } = proposal.key;
            let topic = self.image.topic_by_id(topic_id).expect("its topic is there");
            let before = topic.partitions.get(&partition).expect("and it is").clone();
            let fits =
                before.leader_epoch == proposal.leader_epoch && before.partition_epoch == proposal.partition_epoch;
            let mut answer = alter_partition_response::PartitionData {
                error_code: ErrorCode::InvalidUpdateVersion.code(),
                ..Default::default()
            };
            if fits && !self.brokers[&id].is_deaf {
                let isr: Vec<i32> = proposal.isr.iter().map(|it| it.0.0).collect();
                self.commit(MetadataRecord::PartitionChange(PartitionChangeRecord {
                    topic_id,
                    partition_id: partition,
                    isr: Some(isr.clone()),
                    ..PartitionChangeRecord::default()
                }));
                answer.error_code = 0;
                (answer.isr, answer.leader_epoch) = (isr, before.leader_epoch.0);
                answer.partition_epoch = before.partition_epoch + 1;
            }
            answer.partition_index = partition;
            let topic = alter_partition_response::TopicData { topic_id, partitions: vec![answer] };
            let response = AlterPartitionResponse { topics: vec![topic], ..Default::default() };
            let broker = self.brokers.get_mut(&id).expect("it lives");
            let mut out = Outbox::with_events();
            broker.node.isr_proposals.sent(proposal);
            broker.node.isrs_decided(self.now, Ok(ResponseBody::AlterPartition(response)), &mut out);
            self.carry_out(id, out);
        }
        is_any
    }

    /// Lets time pass, deadline by deadline.
    fn advance(&mut self, ms: i64) {
        let end = self.now.mono.plus_ms(ms);
        self.run();
        loop {
            let wakes = self.brokers.values().filter_map(|it| it.node.wake_at()).map(|(at, _)| at);
            let Some(at) = wakes.chain(self.lost.iter().map(|it| it.0)).min().filter(|at| *at <= end) else { break };
            self.move_to(at);
            for (_, from, call) in self.lost.extract_if(.., |it| it.0 <= at).collect::<Vec<_>>() {
                if self.brokers.contains_key(&from) {
                    self.input(from, Input::Answered(call, Err(CallError::TimedOut)));
                }
            }
            self.run();
        }
        self.move_to(end);
        self.run();
    }

    fn move_to(&mut self, at: Instant) {
        let passed = at.since(self.now.mono).as_millis() as i64;
        self.now = Now { mono: at, wall: WallMs(self.now.wall.0 + passed) };
    }

    fn send(&mut self, id: i32, version: i16, body: RequestBody) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let request = Request { version, correlation_id, client_id: None, body };
        self.input(id, Input::Request(CLIENT, request));
        self.run();
        correlation_id
    }

    fn answer(&mut self, id: i32, correlation_id: i32) -> Option<ResponseBody> {
        let replies = &mut self.brokers.get_mut(&id).expect("it lives").replies;
        let position = replies.iter().position(|it| it.correlation_id == correlation_id)?;
        Some(replies.remove(position).body)
    }

    fn ask(&mut self, id: i32, version: i16, body: RequestBody) -> ResponseBody {
        let correlation_id = self.send(id, version, body);
        self.answer(id, correlation_id).expect("it is answered at once")
    }

    /// Sends a batch to a broker; [`World::acked`] has the answer.
    fn produce(&mut self, id: i32, acks: i16, batch: Bytes) -> i32 {
        self.produce_to(id, 0, acks, batch)
    }

    fn produce_to(&mut self, id: i32, index: i32, acks: i16, batch: Bytes) -> i32 {
        let partition = PartitionProduceData { index, records: Some(Records::Bytes(batch)) };
        let topic = TopicProduceData { name: "t".into(), partition_data: vec![partition], ..Default::default() };
        let request = ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
        self.send(id, 12, RequestBody::Produce(request))
    }

    /// Error and base offset of a produce request, if it is answered.
    fn acked(&mut self, id: i32, correlation_id: i32) -> Option<(ErrorCode, i64)> {
        match self.answer(id, correlation_id)? {
            ResponseBody::Produce(response) => {
                let answer = &response.responses[0].partition_responses[0];
                Some((ErrorCode::from_code(answer.error_code), answer.base_offset))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Produces and is acknowledged at once.
    fn write(&mut self, id: i32, value: &str) -> i64 {
        let sent = self.produce(id, -1, batch(&[value]));
        let (error, offset) = self.acked(id, sent).expect("it is acknowledged");
        assert_eq!(error, ErrorCode::None);
        offset
    }

    fn fetch_from(&mut self, id: i32, offset: i64, rack: &'static str) -> fetch_response::PartitionData {
        let partition = FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
        let request = FetchRequest {
            max_bytes: 1 << 20,
            rack_id: Str::from_static(rack),
            topics: vec![FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() }],
            ..FetchRequest::default()
        };
        match self.ask(id, 12, RequestBody::Fetch(request)) {
            ResponseBody::Fetch(mut response) => response.responses.remove(0).partitions.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// What a consumer reads from the start.
    fn read(&mut self, id: i32) -> Vec<String> {
        let answer = self.fetch_from(id, 0, "");
        assert_eq!(answer.error_code, 0, "{}", ErrorCode::from_code(answer.error_code).name());
        values(&self.bytes_of(id, &answer.records))
    }

    fn list_offset(&mut self, id: i32, timestamp: i64) -> (ErrorCode, i64) {
        let partition = ListOffsetsPartition { current_leader_epoch: -1, timestamp, ..Default::default() };
        let topic = ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        match self.ask(id, 7, RequestBody::ListOffsets(request)) {
            ResponseBody::ListOffsets(response) => {
                let answer = &response.topics[0].partitions[0];
                (ErrorCode::from_code(answer.error_code), answer.offset)
            }
            other => panic!("{other:?}"),
        }
    }

    /// All that is in a broker's log, told by the files.
    fn log(&self, id: i32) -> Vec<(i32, i64, String)> {
        let view = self.log_view(id);
        let regions = view.recent.iter().map(|it| protocol::Region {
            file: it.file,
            at: it.at,
            len: it.size,
            era: self.partition_of(id).era(),
        });
        let bytes = self.bytes_of(id, &Some(Records::Regions(regions.collect())));
        let mut found = Vec::new();
        for read in records::read(&bytes, &PureCompressors) {
            let (head, records) = read.expect("what was appended can be read");
            found.extend(records.into_iter().map(|it| {
                (head.leader_epoch.0, it.offset.0, String::from_utf8_lossy(&it.value.unwrap_or_default()).into_owned())
            }));
        }
        found
    }

    fn log_view(&self, id: i32) -> LogView {
        let view = self.brokers[&id].node.view(&Scope::All);
        view.topics[0].partitions[0].log.clone().expect("the log is ready")
    }

    fn partition_of(&self, id: i32) -> &Partition {
        self.brokers[&id].node.partitions.get(&KEY).expect("it has a replica")
    }

    fn partition(&self) -> PartitionImage {
        self.image.partition("t", 0).expect("the topic is there").clone()
    }

    fn isr(&self) -> Vec<i32> {
        self.partition().isr.iter().map(|it| it.0).collect()
    }

    /// High watermark and written end of a broker's log.
    fn ends(&self, id: i32) -> (i64, i64) {
        let log = self.log_view(id);
        (log.high_watermark.0, log.written.0)
    }
}

fn joined(frame: frame::Frame) -> Bytes {
    let mut bytes = BytesMut::new();
    for piece in frame.pieces {
        match piece {
            Piece::Bytes(piece) => bytes.extend_from_slice(&piece),
            Piece::Region(_) => panic!("regions are resolved before"),
        }
    }
    bytes.freeze().slice(4..)
}

fn values(bytes: &Bytes) -> Vec<String> {
    let batches = records::read(bytes, &PureCompressors).map(|it| it.expect("what was appended can be read").1);
    batches.flatten().map(|it| String::from_utf8_lossy(&it.value.unwrap_or_default()).into_owned()).collect()
}

fn batch(values: &[&str]) -> Bytes {
    build(BatchBuilder::new(Compression::None), values)
}

fn sequenced(sequence: i32, value: &str) -> Bytes {
    let builder = BatchBuilder::new(Compression::None).producer(ProducerId(5), ProducerEpoch(0), sequence);
    build(builder, &[value])
}

fn build(mut builder: BatchBuilder, values: &[&str]) -> Bytes {
    for value in values {
        builder.push(WallMs(EPOCH), None, Some(value.as_bytes()), &[]);
    }
    builder.build(&PureCompressors).expect("it builds")
}

fn epoch(epoch: i32) -> LeaderEpoch {
    LeaderEpoch(epoch)
}
