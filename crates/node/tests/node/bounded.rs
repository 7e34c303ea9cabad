//! What a request costs and what is kept of it is in proportion to what it says, not to how many bytes it comes with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use node::{ConnId, Input};
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::fetch_request::ForgottenTopic;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::{CreateTopicsRequest, FetchRequest, IncrementalAlterConfigsRequest};
use protocol::records::{self, BatchBuilder, Compression, CompressionError, Compressors, PureCompressors};
use protocol::{ErrorCode, Offset, Request, RequestBody, ResponseBody, Str, frame};

use crate::common::{CLIENT, EPOCH, Rig, batch, build, fetch, produce, produce_many};

/// Counts how often records are decompressed, and to how much.
#[derive(Default)]
struct Meter {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

impl Compressors for Meter {
    fn compress(&self, kind: Compression, level: Option<i32>, plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
        PureCompressors.compress(kind, level, plain)
    }

    fn decompress(&self, kind: Compression, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        let plain = PureCompressors.decompress(kind, packed, limit);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(plain.as_ref().map_or(limit, Vec::len), Ordering::Relaxed);
        plain
    }
}

fn metered(rig: &mut Rig) -> Arc<Meter> {
    let meter = Arc::new(Meter::default());
    rig.node = rig.node.clone().with_compressors(Arc::clone(&meter) as Arc<dyn Compressors>);
    meter
}

fn gzipped(value: &str) -> Bytes {
    build(BatchBuilder::new(Compression::Gzip), EPOCH, &[value])
}

fn codes(body: Option<ResponseBody>) -> Vec<i16> {
    let Some(ResponseBody::Produce(response)) = body else { panic!("{body:?}") };
    response.responses[0].partition_responses.iter().map(|it| it.error_code).collect()
}

#[test]
fn a_request_of_many_bombs_costs_no_more_than_one() {
    let mut rig = Rig::with(&[("socket.request.max.bytes", "1000000")]);
    rig.create_topic("t", 20, &[("max.message.bytes", "100000000")]);
    let meter = metered(&mut rig);
    // A little more than one batch may come to, from so few bytes that they add nothing to the budget.
    let bomb = build(BatchBuilder::new(Compression::Zstd), EPOCH, &[&"x".repeat(2_000_001)]);
    assert!(bomb.len() < 1_000, "{}", bomb.len());
    let bombs = (0..20).map(|partition| (partition, bomb.clone())).collect();
    let id = rig.send(12, produce_many("t", -1, bombs));
    rig.run();
    assert_eq!(codes(rig.answer(id)), [ErrorCode::MessageTooLarge.code(); 20]);
    assert!(meter.bytes.load(Ordering::Relaxed) <= 4_000_000, "{:?}", meter.bytes);
    // Who sends less is served at once.
    assert_eq!(rig.produce("t", 0, -1, gzipped("fine")), (0, 0));
}

#[test]
fn what_the_host_has_checked_or_refused_is_not_unpacked_again() {
    let mut rig = Rig::with(&[("socket.request.max.bytes", "1000000")]);
    rig.create_topic("t", 3, &[]);
    let meter = metered(&mut rig);
    let mut garbage = gzipped("x").to_vec();
    garbage[61..].fill(0xa5);
    let crc = records::crc32c(&garbage[21..]);
    garbage[17..21].copy_from_slice(&crc.to_be_bytes());
    let body =
        produce_many("t", -1, vec![(0, gzipped("fine")), (1, garbage.into()), (2, gzipped(&"x".repeat(2_000_001)))]);
    let mut request = Request { version: 12, correlation_id: 77, client_id: None, body };
    rig.node.check_records(&mut request);
    assert_eq!(meter.calls.load(Ordering::Relaxed), 3);
    rig.input(Input::Request(CLIENT, request));
    rig.run();
    let expected = [ErrorCode::None, ErrorCode::UnknownServerError, ErrorCode::MessageTooLarge];
    assert_eq!(codes(rig.answer(77)), expected.map(ErrorCode::code));
    assert_eq!(meter.calls.load(Ordering::Relaxed), 3, "nothing is unpacked by the core");
}

/// A batch of many records that are all at fault is answered in proportion, and walked without a copy of each.
#[test]
fn an_answer_names_a_bounded_number_of_records() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[("cleanup.policy", "compact")]);
    let values = vec![""; 5_000];
    let ResponseBody::Produce(response) = rig.call(12, produce("t", 0, -1, batch(&values))) else { panic!() };
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
    assert_eq!(answer.record_errors.len(), 1_000);
    assert!(answer.error_message.as_ref().unwrap().contains("5000 record errors"), "{:?}", answer.error_message);
    assert_eq!(rig.log("t", 0).end, Offset(0));
}

fn topic(name: &str, value: &str) -> CreatableTopic {
    CreatableTopic {
        name: Str::from(name),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![CreatableTopicConfig { name: Str::from_static("retention.ms"), value: Some(Str::from(value)) }],
        ..CreatableTopic::default()
    }
}

/// State of every kind that a request leaves behind, and its wait for an answer: the frame that it came in goes.
#[test]
fn nothing_that_is_kept_pins_the_frame_that_it_came_in() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let ballast = "x".repeat(1_000_000);
    let bodies: [(i16, RequestBody, bool); 4] = [
        // One topic is created, with a setting; the other is refused and brings the bytes.
        (
            7,
            RequestBody::CreateTopics(CreateTopicsRequest {
                topics: vec![topic("kept", "1000"), topic("refused", &ballast[..30_000])],
                timeout_ms: 1000,
                ..CreateTopicsRequest::default()
            }),
            true,
        ),
        (
            1,
            RequestBody::IncrementalAlterConfigs(IncrementalAlterConfigsRequest {
                resources: vec![
                    AlterConfigsResource {
                        resource_type: 2,
                        resource_name: Str::from_static("t"),
                        configs: vec![AlterableConfig {
                            name: Str::from_static("retention.ms"),
                            value: Some(Str::from_static("2000")),
                            ..AlterableConfig::default()
                        }],
                    },
                    AlterConfigsResource { resource_name: Str::from(&ballast[..30_000]), ..Default::default() },
                ],
                ..IncrementalAlterConfigsRequest::default()
            }),
            true,
        ),
        // A session of one partition.
        (
            7,
            RequestBody::Fetch(FetchRequest {
                session_epoch: 0,
                forgotten_topics_data: vec![ForgottenTopic {
                    topic: Str::from(&ballast[..30_000]),
                    ..ForgottenTopic::default()
                }],
                ..fetch("t", 0, 0)
            }),
            true,
        ),
        // One that waits for long.
        (12, RequestBody::Fetch(FetchRequest { max_wait_ms: i32::MAX, ..fetch("t", 0, 0) }), false),
    ];
    for (conn, (version, body, is_answered)) in (10..).zip(bodies) {
        let name = body.api_key().name();
        let mut request = Request { version, correlation_id: 1, client_id: Some(Str::from_static("me")), body };
        let sent = frame::encode_request(&mut request).unwrap().bytes().unwrap();
        let bytes = Bytes::copy_from_slice(&sent[4..]);
        rig.open(ConnId(conn));
        rig.input(Input::Request(ConnId(conn), frame::decode_request(bytes.clone()).unwrap()));
        rig.run();
        assert_eq!(rig.answer(1).is_some(), is_answered, "{name}");
        rig.events.clear();
        assert!(bytes.is_unique(), "{name}: the frame is still in memory");
    }
    assert!(rig.view().topics.iter().any(|it| it.name == *"kept"));
}

#[test]
fn a_topic_compresses_anew_what_its_producers_send_otherwise() {
    let cases = [
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
        ("lz4", Compression::Lz4),
        ("snappy", Compression::Snappy),
        ("uncompressed", Compression::None),
    ];
    for (name, expected) in cases {
        let mut rig = Rig::start();
        rig.create_topic("t", 1, &[("compression.type", name)]);
        let value = "the same words and the same words and the same words".repeat(20);
        for sent in Compression::ALL {
            let bytes = build(BatchBuilder::new(sent), EPOCH, &[&value, "b"]);
            assert_eq!(rig.produce("t", 0, -1, bytes).0, 0, "{sent} to {name}");
        }
        let response = rig.clone().fetch("t", 0, 0);
        let bytes = rig.resolve(&response.responses[0].partitions[0].records);
        let heads: Vec<_> = records::read(&bytes, &PureCompressors).map(|it| it.unwrap().0).collect();
        assert_eq!(heads.len(), Compression::ALL.len());
        for head in &heads {
            assert_eq!(head.attributes.compression(), expected, "{name}");
        }
        let values = rig.values(&response);
        assert_eq!(values.len(), 10);
        assert!(values.iter().step_by(2).all(|(_, it)| *it == value), "{name}");
    }
    // Without a codec of its own a topic keeps what was sent, and an oversized batch is refused as it came.
    let mut rig = Rig::start();
    rig.create_topic("kept", 1, &[]);
    rig.create_topic("small", 1, &[("compression.type", "gzip"), ("max.message.bytes", "1000")]);
    let value = "y".repeat(5_000);
    let (plain, packed) = (batch(&[&value]), gzipped(&value));
    assert_eq!(rig.produce("kept", 0, -1, packed.clone()), (0, 0));
    assert_eq!(rig.log("kept", 0).bytes, packed.len() as u64);
    assert_eq!(rig.produce("small", 0, -1, plain).0, ErrorCode::MessageTooLarge.code());
    assert_eq!(rig.produce("small", 0, -1, packed), (0, 0));
}
