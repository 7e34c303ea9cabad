//! Bytes and habits that no good client has: whoever is at fault is told by Kafka's error code or a closed connection, the
//! others are served on, and nothing is written.

use std::net::Shutdown;

use bytes::{BufMut, Bytes, BytesMut};
use node::gateway::api_versions::SERVED;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::produce_request::PartitionProduceData;
use protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    IncrementalAlterConfigsRequest, MetadataRequest,
};
use protocol::records::{BatchBuilder, Compression, Compressors, PureCompressors, crc32c};
use protocol::{ApiKey, ErrorCode, Request, RequestBody, ResponseBody, Str, WallMs, frame};
use server::NativeCompressors;

use crate::common::{Client, Outcome, Rig, batch, compressed, fetch, header, produce, until};
use crate::filler::{Filler, Random};

fn rig() -> (Rig, Client) {
    let rig = Rig::start();
    let mut client = rig.client();
    client.create_topic("t", 1);
    (rig, client)
}

fn api_versions() -> RequestBody {
    RequestBody::ApiVersions(ApiVersionsRequest {
        client_software_name: Str::from_static("test"),
        client_software_version: Str::from_static("1"),
    })
}

#[test]
fn frames_of_impossible_sizes() {
    let (rig, mut well) = rig();
    for size in [-1, i32::MIN, i32::MAX, 104_857_601] {
        let mut client = rig.client();
        client.send_bytes(&[&size.to_be_bytes()[..], &[0; 64]].concat());
        assert_eq!(client.outcome(), Outcome::Closed, "{size}");
    }
    for length in 0..10 {
        let mut client = rig.client();
        client.send_frame(&vec![0; length]);
        assert_eq!(client.outcome(), Outcome::Closed, "{length} bytes are no request");
    }
    well.assert_served("t");
    rig.stop();
}

/// The connection is closed over what comes second in a turn, behind the answer to the first.
#[test]
fn who_is_closed_gets_the_answers_before() {
    let rig = Rig::start();
    let framed = |api: ApiKey, version| {
        let frame = header(api.code(), version, false);
        [&(frame.len() as u32).to_be_bytes()[..], &frame].concat()
    };
    let good = framed(ApiKey::ApiVersions, 0);
    for second in [framed(ApiKey::Produce, 2), (-1_i32).to_be_bytes().to_vec()] {
        let mut client = rig.client();
        client.send_bytes(&[&good[..], &second].concat());
        assert!(matches!(client.outcome(), Outcome::Frame(_)), "before {second:?}");
        assert_eq!(client.outcome(), Outcome::Closed);
    }
    // Who says that nothing more comes still listens.
    let mut client = rig.client();
    client.send_bytes(&good);
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(client.outcome(), Outcome::Frame(_)));
    assert_eq!(client.outcome(), Outcome::Closed);
    rig.stop();
}

#[test]
fn the_configured_size_is_the_limit() {
    let rig = Rig::with(&[("socket.request.max.bytes", "1000")]);
    // A request of exactly this size: its header and a list of no topics, the rest is the client's name.
    let request_of = |size: usize| {
        let mut bytes = BytesMut::new();
        bytes.put_i16(ApiKey::Metadata.code());
        bytes.put_i16(1);
        bytes.put_i32(1);
        bytes.put_i16((size - 14) as i16);
        bytes.put_bytes(b'x', size - 14);
        bytes.put_i32(0);
        assert_eq!(bytes.len(), size);
        bytes
    };
    let mut client = rig.client();
    client.send_frame(&request_of(1000));
    assert!(matches!(client.outcome(), Outcome::Frame(_)));
    client.send_frame(&request_of(1001));
    assert_eq!(client.outcome(), Outcome::Closed);
    rig.stop();
}

#[test]
fn lengths_within_a_request_are_not_believed() {
    let (rig, mut well) = rig();
    for length in [i32::MIN, -2, 1, 1000, i32::MAX] {
        // Metadata 1 with as many topics, Produce 3 with as many topics, Fetch 4 with as many.
        let bodies: [(ApiKey, i16, &[u8]); 3] = [
            (ApiKey::Metadata, 1, &[]),
            (ApiKey::Produce, 3, &[0xff, 0xff, 0, 1, 0, 0, 0, 1]),
            (ApiKey::Fetch, 4, &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0]),
        ];
        for (api, version, before) in bodies {
            let mut frame = header(api.code(), version, false);
            frame.put_slice(before);
            frame.put_i32(length);
            let mut client = rig.client();
            client.send_frame(&frame);
            assert_eq!(client.outcome(), Outcome::Closed, "{api} {version} with {length} elements");
        }
    }
    well.assert_served("t");
    rig.stop();
}

/// A batch whose head says this.
struct Forged {
    base_offset: i64,
    length: Option<i32>,
    magic: u8,
    crc: Option<u32>,
    attributes: i16,
    last_offset_delta: i32,
    producer: (i64, i16, i32),
    count: i32,
    records: Vec<u8>,
}

impl Default for Forged {
    fn default() -> Forged {
        Forged {
            base_offset: 0,
            length: None,
            magic: 2,
            crc: None,
            attributes: 0,
            last_offset_delta: 0,
            producer: (-1, -1, -1),
            count: 1,
            records: record(0),
        }
    }
}

/// A record without a key: its offset delta is a zigzag varint of one byte.
fn record(delta: u8) -> Vec<u8> {
    vec![7 << 1, 0, 0, delta << 1, 1, 2, b'v', 0]
}

impl Forged {
    fn bytes(&self) -> Bytes {
        let mut covered = BytesMut::new();
        covered.put_i16(self.attributes);
        covered.put_i32(self.last_offset_delta);
        covered.put_i64(1_700_000_000_000);
        covered.put_i64(1_700_000_000_000);
        covered.put_i64(self.producer.0);
        covered.put_i16(self.producer.1);
        covered.put_i32(self.producer.2);
        covered.put_i32(self.count);
        covered.put_slice(&self.records);
        let mut bytes = BytesMut::new();
        bytes.put_i64(self.base_offset);
        bytes.put_i32(self.length.unwrap_or(9 + covered.len() as i32));
        bytes.put_i32(-1);
        bytes.put_u8(self.magic);
        bytes.put_u32(self.crc.unwrap_or_else(|| crc32c(&covered)));
        bytes.put_slice(&covered);
        bytes.freeze()
    }
}

/// As Apache Kafka 4.3.1 answers each, but for the one marked, which it takes.
#[test]
fn batches_that_lie_are_refused_and_leave_no_trace() {
    let (rig, mut client) = rig();
    let two = |a, b| [record(a), record(b)].concat();
    let (corrupt, invalid) = (ErrorCode::CorruptMessage, ErrorCode::InvalidRecord);
    let unknown = ErrorCode::UnknownServerError;
    let forged = [
        ("a wrong CRC", Forged { crc: Some(1), ..Forged::default() }, corrupt),
        ("format 0", Forged { magic: 0, ..Forged::default() }, invalid),
        ("format 1", Forged { magic: 1, ..Forged::default() }, invalid),
        ("format 3", Forged { magic: 3, ..Forged::default() }, corrupt),
        ("a base offset", Forged { base_offset: 5, ..Forged::default() }, invalid),
        ("a negative base offset", Forged { base_offset: -1, ..Forged::default() }, invalid),
        ("a length of -1", Forged { length: Some(-1), ..Forged::default() }, corrupt),
        ("a length of 0", Forged { length: Some(0), ..Forged::default() }, corrupt),
        // Taken by Kafka, whose offsets then are what the batch says and not what its records say.
        (
            "offsets out of order",
            Forged { count: 2, last_offset_delta: 1, records: two(1, 0), ..Forged::default() },
            invalid,
        ),
        (
            "an offset twice",
            Forged { count: 2, last_offset_delta: 1, records: two(0, 0), ..Forged::default() },
            invalid,
        ),
        ("a gap", Forged { count: 2, last_offset_delta: 2, records: two(0, 2), ..Forged::default() }, invalid),
        ("a larger count", Forged { count: 2, ..Forged::default() }, invalid),
        ("a count of 0", Forged { count: 0, last_offset_delta: -1, records: vec![], ..Forged::default() }, invalid),
        ("a negative count", Forged { count: -1, last_offset_delta: -2, ..Forged::default() }, invalid),
        ("a huge count", Forged { count: i32::MAX, last_offset_delta: i32::MAX - 1, ..Forged::default() }, invalid),
        ("a huge delta", Forged { last_offset_delta: i32::MAX, ..Forged::default() }, invalid),
        ("a control batch", Forged { attributes: 0x20, ..Forged::default() }, invalid),
        ("a record of negative size", Forged { records: vec![1], ..Forged::default() }, invalid),
        ("a record of huge size", Forged { records: vec![0xfe, 0xff, 0xff, 0xff, 0x0f], ..Forged::default() }, invalid),
        ("a producer without a sequence", Forged { producer: (7, 0, -1), ..Forged::default() }, invalid),
        ("an unknown codec", Forged { attributes: 5, ..Forged::default() }, unknown),
        ("no gzip", Forged { attributes: 1, ..Forged::default() }, unknown),
        ("no snappy", Forged { attributes: 2, ..Forged::default() }, unknown),
        ("no lz4", Forged { attributes: 3, ..Forged::default() }, unknown),
        ("no zstd", Forged { attributes: 4, ..Forged::default() }, unknown),
    ];
    for (what, forged, expected) in forged {
        assert_eq!(client.produce("t", 0, forged.bytes()), (expected, -1), "{what}");
    }
    let good = batch(&["a"]);
    let twice = Bytes::from([&good[..], &good[..]].concat());
    assert_eq!(client.produce("t", 0, twice), (invalid, -1), "two batches");
    assert_eq!(client.produce("t", 0, Bytes::new()), (invalid, -1), "no batch");
    for length in 1..good.len() {
        assert_eq!(client.produce("t", 0, good.slice(..length)), (invalid, -1), "cut after {length} bytes");
    }
    assert_eq!(client.end_of("t", 0), Some(0), "nothing was written");
    assert_eq!(client.produce("t", 0, Forged::default().bytes()), (ErrorCode::None, 0), "the forge can make good ones");
    rig.stop();
}

#[test]
fn bombs_are_refused_in_every_codec() {
    let rig = Rig::with(&[("socket.request.max.bytes", "1000000")]);
    let mut client = rig.client();
    client.create_topic("t", 1);
    // Twice the largest request and one byte more.
    let plain = vec![0; 2_000_001];
    for compression in Compression::ALL.into_iter().filter(|it| *it != Compression::None) {
        let records = PureCompressors.compress(compression, None, &plain).unwrap();
        assert!(records.len() < 150_000, "{compression}");
        let bomb = Forged { attributes: compression.id(), records, ..Forged::default() };
        assert_eq!(client.produce("t", 0, bomb.bytes()), (ErrorCode::MessageTooLarge, -1), "{compression}");
        assert_eq!(client.produce("t", 0, compressed(compression, &["ok"])).0, ErrorCode::None);
    }
    rig.stop();
}

/// 20 partitions, each a bomb of 210 MB in 200 KB: all are refused for the price of one, and others are served meanwhile.
#[test]
fn a_request_full_of_bombs() {
    let rig = Rig::start();
    let (mut client, mut other) = (rig.client(), rig.client());
    client.create_topic("t", 20);
    let mut builder = BatchBuilder::new(Compression::Gzip);
    builder.push(WallMs(1_700_000_000_000), None, Some(&vec![0; 210_000_000]), &[]);
    let bomb = builder.build(&NativeCompressors).unwrap();
    assert!(bomb.len() < 250_000);
    let RequestBody::Produce(mut request) = produce("t", 0, -1, bomb) else { panic!() };
    let first = request.topic_data[0].partition_data[0].clone();
    let all = (0..20).map(|index| PartitionProduceData { index, ..first.clone() });
    request.topic_data[0].partition_data = all.collect();
    client.send(9, RequestBody::Produce(request));
    other.assert_served("t");
    let ResponseBody::Produce(response) = client.receive(ApiKey::Produce, 9).body else { panic!() };
    for answer in &response.responses[0].partition_responses {
        assert_eq!(answer.error_code, ErrorCode::MessageTooLarge.code(), "{answer:?}");
    }
    client.assert_served("t");
    rig.stop();
}

#[test]
fn names_that_are_no_topics() {
    let (rig, mut client) = rig();
    let too_long = "a".repeat(250);
    for name in ["", ".", "..", "../x", "a/b", "a b", "ä", "a\0b", "\n", &too_long] {
        let topic =
            CreatableTopic { name: Str::from(name), num_partitions: 1, replication_factor: 1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
        let ResponseBody::CreateTopics(response) = client.call(7, RequestBody::CreateTopics(request)) else { panic!() };
        assert_eq!(response.topics[0].error_code, ErrorCode::InvalidTopicException.code(), "{name:?}");
        assert_eq!(client.produce(name, 0, batch(&["x"])).0, ErrorCode::UnknownTopicOrPartition, "{name:?}");
    }
    client.create_topic(&"a".repeat(249), 1);
    rig.stop();
}

/// A string has 32,767 bytes at most, in an answer that says what there is not, too.
#[test]
fn groups_of_the_longest_names() {
    let (rig, mut client) = rig();
    let longest = Str::from("x".repeat(32_767));
    let find = || FindCoordinatorRequest { coordinator_keys: vec![longest.clone()], ..Default::default() };
    let describe = || DescribeGroupsRequest { groups: vec![longest.clone()], ..Default::default() };
    // The topic of the groups is created when the first one is looked for.
    let described = until("its coordinator is there", || {
        client.call(6, RequestBody::FindCoordinator(find()));
        let ResponseBody::DescribeGroups(mut answer) = client.call(6, RequestBody::DescribeGroups(describe())) else {
            panic!()
        };
        answer.groups.pop().filter(|it| it.error_message.is_some())
    });
    assert_eq!(ErrorCode::from_code(described.error_code), ErrorCode::GroupIdNotFound);
    let said = described.error_message.unwrap();
    assert_eq!((said.len(), &said[..8]), (32_767, "Group xx"));
    // One byte more is no string.
    let mut frame = header(ApiKey::DescribeGroups.code(), 6, true);
    frame.put_slice(&[2, 0x81, 0x80, 0x02]);
    frame.put_slice(&[b'x'; 32_768]);
    frame.put_slice(&[0, 0]);
    let mut other = rig.client();
    other.send_frame(&frame);
    assert_eq!(other.outcome(), Outcome::Closed);
    client.assert_served("t");
    rig.stop();
}

/// What is wrong with a value is told with the value, and both together are longer than a string may be.
#[test]
fn configurations_of_the_longest_values() {
    let (rig, mut client) = rig();
    let value = Some(Str::from("9".repeat(32_767)));
    let config = AlterableConfig { name: Str::from_static("retention.ms"), config_operation: 0, value };
    let resource =
        AlterConfigsResource { resource_type: 2, resource_name: Str::from_static("t"), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer = client.call(1, RequestBody::IncrementalAlterConfigs(request));
    let ResponseBody::IncrementalAlterConfigs(mut answer) = answer else { panic!() };
    let refused = answer.responses.remove(0);
    assert_eq!(ErrorCode::from_code(refused.error_code), ErrorCode::InvalidConfig);
    assert_eq!(refused.error_message.map(|it| it.len()), Some(32_767));
    rig.stop();
}

#[test]
fn acks_that_do_not_exist_and_partitions_that_do_not() {
    let (rig, mut client) = rig();
    for acks in [2, -2, i16::MAX] {
        let ResponseBody::Produce(response) = client.call(9, produce("t", 0, acks, batch(&["x"]))) else { panic!() };
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(answer.error_code, ErrorCode::InvalidRequiredAcks.code(), "{acks}");
    }
    for partition in [-1, 1, i32::MAX, i32::MIN] {
        assert_eq!(client.produce("t", partition, batch(&["x"])).0, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(client.fetch("t", partition, 0).0, ErrorCode::UnknownTopicOrPartition);
    }
    for offset in [-1, 1, i64::MAX, i64::MIN] {
        assert_eq!(client.fetch("t", 0, offset).0, ErrorCode::OffsetOutOfRange, "{offset}");
    }
    assert_eq!(client.end_of("t", 0), Some(0));
    rig.stop();
}

/// A correlation id is the client's: used twice, each answer still goes to its own request.
#[test]
fn answers_keep_their_order_under_one_correlation_id() {
    let (rig, mut client) = rig();
    let mut waiting = fetch("t", 0, 0);
    (waiting.max_wait_ms, waiting.min_bytes) = (60_000, 1);
    client.send_as(7, 12, RequestBody::Fetch(waiting));
    client.send_as(7, 3, api_versions());
    // What the fetch waits for, from elsewhere.
    assert_eq!(rig.client().produce("t", 0, batch(&["x"])), (ErrorCode::None, 0));
    let ResponseBody::Fetch(first) = client.receive(ApiKey::Fetch, 12).body else { panic!() };
    assert_eq!(first.responses[0].partitions[0].high_watermark, 1);
    assert!(matches!(client.receive(ApiKey::ApiVersions, 3).body, ResponseBody::ApiVersions(_)));
    rig.stop();
}

#[test]
fn ten_thousand_requests_in_a_row() {
    let (rig, client) = rig();
    let mut sender = Client::connect(rig.address());
    sender.stream = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for id in 0..10_000 {
            match id % 2 {
                0 => sender.send_as(id, 3, api_versions()),
                _ => sender.send_as(id, 9, produce("t", 0, -1, batch(&["x"]))),
            }
        }
    });
    let mut client = client;
    for id in 0..10_000 {
        let (api, version) = if id % 2 == 0 { (ApiKey::ApiVersions, 3) } else { (ApiKey::Produce, 9) };
        assert_eq!(client.receive(api, version).correlation_id, id);
    }
    sending.join().unwrap();
    assert_eq!(client.end_of("t", 0), Some(5000));
    rig.stop();
}

/// Whoever takes no answers is not read from any more, and costs no more than that.
#[test]
fn clients_that_read_no_answers_hold_nobody_up() {
    let (rig, mut well) = rig();
    let big = "x".repeat(900_000);
    for _ in 0..5 {
        assert_eq!(well.produce("t", 0, batch(&[&big])).0, ErrorCode::None);
    }
    let mut silent = Vec::new();
    for _ in 0..8 {
        let mut client = rig.client();
        // Sent until the server takes no more; then its own buffers and the system's are full.
        client.stream.set_nonblocking(true).unwrap();
        let mut fetch =
            Request { version: 12, correlation_id: 1, client_id: None, body: RequestBody::Fetch(fetch("t", 0, 0)) };
        let mut metadata = Request {
            body: RequestBody::Metadata(MetadataRequest { topics: None, ..Default::default() }),
            ..fetch.clone()
        };
        let requests: Vec<Bytes> =
            [&mut fetch, &mut metadata].map(|it| frame::encode_request(it).unwrap().bytes().unwrap()).into();
        for _ in 0..2000 {
            if requests.iter().any(|it| std::io::Write::write_all(&mut client.stream, it).is_err()) {
                break;
            }
        }
        silent.push(client);
    }
    well.assert_served("t");
    drop(silent);
    well.assert_served("t");
    rig.stop();
}

#[test]
fn a_thousand_connections_and_clients_that_die_within_a_frame() {
    let (rig, mut well) = rig();
    let mut random = Random(1);
    let mut frame = BytesMut::new();
    frame.put_i32(100_000_000);
    frame.put_bytes(0, 300);
    for round in 0..4 {
        let clients: Vec<Client> = (0..250)
            .map(|_| {
                let mut client = rig.client();
                client.send_bytes(&frame[..random.below(frame.len())]);
                client
            })
            .collect();
        well.assert_served("t");
        // Some say that they send no more, some leave without a word.
        for client in clients.iter().take(50 * round) {
            client.stream.shutdown(Shutdown::Write).unwrap();
        }
    }
    well.assert_served("t");
    rig.stop();
}

#[test]
fn half_a_frame_is_not_waited_for_longer_than_the_idle_time() {
    // Long enough for a busy machine to come from one line here to the next.
    let rig = Rig::with(&[("connections.max.idle.ms", "1000")]);
    let (mut silent, mut half) = (rig.client(), rig.client());
    half.send_bytes(&[0, 0, 0, 100, 1, 2, 3]);
    assert_eq!((silent.outcome(), half.outcome()), (Outcome::Closed, Outcome::Closed));
    // A fetch that waits longer than that is not idle: the answer is ours to give.
    let mut client = rig.client();
    client.create_topic("t", 1);
    let mut waiting = fetch("t", 0, 0);
    (waiting.max_wait_ms, waiting.min_bytes) = (2_000, 1);
    let ResponseBody::Fetch(response) = client.call(12, RequestBody::Fetch(waiting)) else { panic!() };
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
    rig.stop();
}

/// Random, cut, overlong and lying frames at every API and version that is served. Nobody but their sender is hurt.
#[test]
fn fuzzed_frames_at_every_api_and_version() {
    let rounds = if std::env::var_os("VIVARIUM_SOAK").is_some() { 2000 } else { 12 };
    let (rig, mut well) = rig();
    let before = well.end_of("t", 0);
    let mut random = Random(42);
    let mut client = rig.client();
    let mut sent = 0;
    for round in 0..rounds {
        for api in SERVED.iter().copied() {
            for version in api.versions() {
                let frame = fuzzed(&mut random, api, version, round);
                client.send_frame(&frame);
                sent += 1;
                // One after the other, so that a fault has a name; an answer proves that the server got this far.
                client.send_as(i32::MAX, 0, RequestBody::empty(ApiKey::ApiVersions).unwrap());
                if !survives(&mut client) {
                    client = rig.client();
                }
            }
        }
    }
    assert!(sent > 1000);
    assert_eq!(well.end_of("t", 0), before, "nothing was written");
    well.assert_served("t");
    rig.stop();
}

/// Reads until the answer to the request behind the fuzzed one; false if the server closed.
fn survives(client: &mut Client) -> bool {
    loop {
        match client.outcome() {
            Outcome::Closed => return false,
            Outcome::Frame(frame) if frame.starts_with(&i32::MAX.to_be_bytes()) => return true,
            Outcome::Frame(_) => {}
        }
    }
}

fn fuzzed(random: &mut Random, api: ApiKey, version: i16, round: u64) -> BytesMut {
    let flexible = api.request_header_version(version) == 2;
    let mut frame = header(api.code(), version, flexible);
    let body = frame.len();
    if round.is_multiple_of(3) {
        // No message at all, of small bytes mostly: they make plausible lengths.
        for _ in 0..random.below(300) {
            frame.put_u8(if random.below(3) == 0 { random.next() as u8 } else { random.below(4) as u8 });
        }
    } else {
        // A message, in which then a few bytes change.
        let mut request = RequestBody::empty(api).unwrap();
        request.walk(&mut Filler::new(random.next()), version).unwrap();
        let client_id = None;
        let mut request = Request { version, correlation_id: 1, client_id, body: request };
        let bytes = frame::encode_request(&mut request).unwrap().bytes().unwrap();
        frame = BytesMut::from(&bytes[4..]);
        for _ in 0..random.below(4) {
            let at = body.min(frame.len() - 1) + random.below((frame.len() - body.min(frame.len() - 1)).max(1));
            frame[at] = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8][random.below(6)];
        }
    }
    match random.below(4) {
        0 => frame.truncate(random.below(frame.len()).max(8)),
        1 => frame.put_bytes(random.next() as u8, random.below(50)),
        _ => {}
    }
    unhurried(frame, api, body)
}

/// A fetch must not wait for long, nor a topic have thousands of partitions: here bytes are tried, not patience.
fn unhurried(mut frame: BytesMut, api: ApiKey, body: usize) -> BytesMut {
    match api {
        ApiKey::Fetch => {
            // max_wait_ms is at byte 4 while there is a replica id in front, and first from version 15 on.
            let version = i16::from_be_bytes([frame[2], frame[3]]);
            let at = body + if version >= 15 { 0 } else { 4 };
            for byte in frame.iter_mut().skip(at).take(4) {
                *byte = 0;
            }
        }
        ApiKey::CreateTopics | ApiKey::CreatePartitions => {
            // validate_only, if it is there, is near the end; what is cut or changed does not get so far.
            if let Some(last) = frame.len().checked_sub(2) {
                frame[last] = 1;
            }
        }
        _ => {}
    }
    frame
}
