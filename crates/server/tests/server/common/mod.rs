//! A server on a free port with a folder of its own, and clients that speak to it over real sockets.

#![allow(clippy::unwrap_used)] // what a test expects and does not find fails it

use ordered::Map;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use node::Config;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::{ApiVersionsRequest, CreateTopicsRequest, FetchRequest, ProduceRequest};
use protocol::records::{self, BatchBuilder, Compression, PureCompressors, Records};
use protocol::{ApiKey, ErrorCode, Request, RequestBody, Response, ResponseBody, Str, WallMs, frame};
use server::{Ended, Server};

/// Longer than anything here takes; a server that answers nothing fails the test instead of hanging it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Looks until there is what is sought, where nobody tells when that is.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The settings of a node that keeps its logs in `data` and takes any free port.
pub(crate) fn config(data: &Path, settings: &[(&str, &str)]) -> Config {
    let mut properties = Map::from([
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs".to_owned(), data.display().to_string()),
    ]);
    properties.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Config::parse(&properties).expect("a test's settings parse").0
}

/// A running server, and its folder if nobody else needs that.
pub(crate) struct Rig {
    pub(crate) server: Server,
    _folder: Option<tempfile::TempDir>,
}

impl Rig {
    pub(crate) fn start() -> Rig {
        Rig::with(&[])
    }

    pub(crate) fn with(settings: &[(&str, &str)]) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(config(folder.path(), settings)).unwrap();
        Rig { server, _folder: Some(folder) }
    }

    pub(crate) fn at(data: &Path) -> Rig {
        Rig { server: Server::start(config(data, &[])).unwrap(), _folder: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Stops the server, which must be well until then.
    pub(crate) fn stop(self) {
        let ended = self.server.stop().unwrap();
        assert!(matches!(ended, Ended::Stopped), "{ended:?}");
    }
}

/// What became of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Frame(Bytes),
    Closed,
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    next_correlation_id: i32,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, next_correlation_id: 1 }
    }

    /// Sends bytes as they are. A server that has closed meanwhile may not take them all.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the server does not read: {error}")
            }
            _ => {}
        }
    }

    /// Sends bytes with their size in front.
    pub(crate) fn send_frame(&mut self, frame: &[u8]) {
        let size = u32::try_from(frame.len()).unwrap().to_be_bytes();
        self.send_bytes(&[&size, frame].concat());
    }

    /// Sends a request and returns its correlation id.
    pub(crate) fn send(&mut self, version: i16, body: RequestBody) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        self.send_as(correlation_id, version, body);
        correlation_id
    }

    pub(crate) fn send_as(&mut self, correlation_id: i32, version: i16, body: RequestBody) {
        let client_id = Some(Str::from_static("test"));
        let mut request = Request { version, correlation_id, client_id, body };
        self.send_bytes(&frame::encode_request(&mut request).unwrap().bytes().unwrap());
    }

    /// The next frame, or that the server closed.
    pub(crate) fn outcome(&mut self) -> Outcome {
        let mut size = [0; 4];
        if !self.fill(&mut size) {
            return Outcome::Closed;
        }
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
        assert!(self.fill(&mut frame), "the server closed within an answer");
        Outcome::Frame(Bytes::from(frame))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        match self.stream.read_exact(buffer) {
            Ok(()) => true,
            Err(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => false,
                _ => panic!("no answer: {error}"),
            },
        }
    }

    pub(crate) fn receive(&mut self, api: ApiKey, version: i16) -> Response {
        match self.outcome() {
            Outcome::Frame(frame) => frame::decode_response(api, version, frame).unwrap(),
            Outcome::Closed => panic!("{api} version {version}: the server closed the connection"),
        }
    }

    pub(crate) fn call(&mut self, version: i16, body: RequestBody) -> ResponseBody {
        let api = body.api_key();
        let correlation_id = self.send(version, body);
        let response = self.receive(api, version);
        assert_eq!(response.correlation_id, correlation_id);
        response.body
    }

    /// Creates a topic and waits until it takes records.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32) {
        let topic = CreatableTopic {
            name: Str::from(name),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        let ResponseBody::CreateTopics(response) = self.call(7, RequestBody::CreateTopics(request)) else { panic!() };
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0]);
        // Logs are mounted after the topic is committed: until then a leader is not one, as in Kafka.
        for partition in 0..partitions {
            self.await_leader(name, partition);
        }
    }

    /// The high watermark, once the partition has a leader.
    pub(crate) fn end_of(&mut self, topic: &str, partition: i32) -> Option<i64> {
        let (error, high_watermark, _) = self.fetch(topic, partition, 0);
        match error {
            ErrorCode::None => Some(high_watermark),
            ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition => None,
            other => panic!("{topic}-{partition}: {other:?}"),
        }
    }

    pub(crate) fn await_leader(&mut self, topic: &str, partition: i32) {
        until("it leads", || self.end_of(topic, partition));
    }

    /// Produces a batch with acks=all; error and base offset.
    pub(crate) fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> (ErrorCode, i64) {
        let ResponseBody::Produce(response) = self.call(9, produce(topic, partition, -1, batch)) else { panic!() };
        let answer = &response.responses[0].partition_responses[0];
        (ErrorCode::from_code(answer.error_code), answer.base_offset)
    }

    /// What a fetch that does not wait brings: error, high watermark and the records' bytes.
    pub(crate) fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> (ErrorCode, i64, Bytes) {
        let ResponseBody::Fetch(mut response) = self.call(12, RequestBody::Fetch(fetch(topic, partition, offset)))
        else {
            panic!()
        };
        let answer = response.responses.remove(0).partitions.remove(0);
        let Some(Records::Bytes(bytes)) = answer.records else { panic!("records come as bytes") };
        (ErrorCode::from_code(answer.error_code), answer.high_watermark, bytes)
    }

    /// All values of a partition, from its beginning, each at its offset.
    pub(crate) fn values(&mut self, topic: &str, partition: i32) -> Vec<String> {
        // Who has just started may hear a moment later that it leads.
        self.await_leader(topic, partition);
        let mut values = Vec::new();
        loop {
            let (error, high_watermark, bytes) = self.fetch(topic, partition, values.len() as i64);
            assert_eq!(error, ErrorCode::None);
            for batch in records::read(&bytes, &PureCompressors) {
                for record in batch.unwrap().1 {
                    // A fetch from within a batch brings the whole batch.
                    if record.offset.0 >= values.len() as i64 {
                        assert_eq!(record.offset.0, values.len() as i64, "offsets are dense");
                        values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
                    }
                }
            }
            if values.len() as i64 >= high_watermark {
                return values;
            }
            assert!(!bytes.is_empty(), "there is more to read and nothing comes");
        }
    }

    /// A client like any other is served: it is told what the server speaks, writes and reads.
    pub(crate) fn assert_served(&mut self, topic: &str) {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("test"),
            client_software_version: Str::from_static("1"),
        };
        let ResponseBody::ApiVersions(response) = self.call(3, RequestBody::ApiVersions(request)) else { panic!() };
        assert_eq!(response.error_code, 0);
        let (error, offset) = self.produce(topic, 0, batch(&["served"]));
        assert_eq!(error, ErrorCode::None);
        let (error, high_watermark, bytes) = self.fetch(topic, 0, offset);
        assert_eq!((error, high_watermark > offset), (ErrorCode::None, true));
        let read: Vec<_> = records::read(&bytes, &PureCompressors).map(|it| it.unwrap().1).collect();
        assert_eq!(read[0][0].value.as_deref(), Some(&b"served"[..]));
    }
}

pub(crate) fn batch(values: &[&str]) -> Bytes {
    compressed(Compression::None, values)
}

pub(crate) fn compressed(compression: Compression, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        builder.push(WallMs(1_700_000_000_000), None, Some(value.as_bytes()), &[]);
    }
    builder.build(&PureCompressors).unwrap()
}

pub(crate) fn produce(topic: &str, index: i32, acks: i16, batch: Bytes) -> RequestBody {
    let partition = PartitionProduceData { index, records: Some(Records::Bytes(batch)) };
    let topic =
        TopicProduceData { name: Str::from(topic), partition_data: vec![partition], ..TopicProduceData::default() };
    RequestBody::Produce(ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() })
}

/// A fetch of one partition that does not wait.
pub(crate) fn fetch(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition =
        FetchPartition { partition, fetch_offset: offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic { topic: Str::from(topic), partitions: vec![partition], ..FetchTopic::default() }],
        ..FetchRequest::default()
    }
}

/// The start of a request: key, version, correlation id, no client id, no tags.
pub(crate) fn header(api: i16, version: i16, flexible: bool) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_i16(api);
    bytes.put_i16(version);
    bytes.put_i32(1);
    bytes.put_i16(-1);
    if flexible {
        bytes.put_u8(0);
    }
    bytes
}
