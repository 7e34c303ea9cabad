//! Explanations cover each byte, once, and survive what is malformed.

use bytes::{BufMut, Bytes, BytesMut};
use protocol::explain::{self, Explanation, Field, Inside, Look};
use protocol::message::{encode_dyn, walk_dyn};
use protocol::messages::{
    ConsumerProtocolSubscription, FetchResponse, GroupKey, GroupValue, JoinGroupRequest, LeaderChangeMessage,
    MetadataRequest, OffsetCommitKey, OffsetCommitValue, ProduceRequest, RequestBody, SCHEMAS, TopicRecord, by_key,
    fetch_response, join_group_request,
};
use protocol::records::{BatchBuilder, Compression, PureCompressors, Records};
use protocol::{ApiKey, MetadataRecord, Request, Str, Uuid, WallMs, frame};

use crate::common::Filler;

/// Children follow each other inside their parent, and end where it ends.
fn assert_tiled(fields: &[Field], from: usize, what: &str) -> usize {
    let mut at = from;
    for field in fields {
        assert_eq!(field.span.start, at, "{what}: {} in {fields:#?}", field.name);
        if let Some(first) = field.children.first() {
            // A length, a marker or a tag's number comes before the children.
            let end = assert_tiled(&field.children, first.span.start, what);
            assert!(first.span.start >= field.span.start && end == field.span.end, "{what}: {field:#?}");
        }
        at = field.span.end;
    }
    at
}

#[test]
fn every_message_at_every_version_is_explained_byte_by_byte() {
    for schema in SCHEMAS {
        for version in schema.versions.clone() {
            for seed in 0..4 {
                let what = format!("{} v{version} seed {seed}", schema.name);
                let mut message = (schema.create)();
                walk_dyn(&mut *message, &mut Filler::new(seed), version).unwrap();
                let mut bytes = BytesMut::new();
                encode_dyn(&mut *message, version, &mut bytes).unwrap();
                let explained = explain::message(schema, version, bytes.clone().freeze());
                assert_eq!(explained.error, None, "{what}");
                assert_eq!(assert_tiled(&explained.fields, 0, &what), bytes.len(), "{what}");
            }
        }
    }
}

fn text(explanation: &Explanation) -> Vec<String> {
    explanation.to_string().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_request_in_columns() {
    let body = MetadataRequest { topics: None, allow_auto_topic_creation: true, ..Default::default() };
    let body = RequestBody::Metadata(body);
    let mut request = Request { version: 12, correlation_id: 3, client_id: Some(Str::from("me")), body };
    let frame = frame::encode_request(&mut request).unwrap().bytes().unwrap().slice(4..);
    let expected = [
        "RequestHeader 0..13",
        "RequestApiKey 3 Metadata 0..2 00 03",
        "RequestApiVersion 12 2..4 00 0c",
        "CorrelationId 3 4..8 00 00 00 03",
        "ClientId \"me\" 8..12 00 02 6d 65",
        "_tagged_fields 0 12..13 00",
        "MetadataRequest 13..17",
        "Topics null 13..14 00",
        "AllowAutoTopicCreation true 14..15 01",
        "IncludeTopicAuthorizedOperations false 15..16 00",
        "_tagged_fields 0 16..17 00",
    ];
    assert_eq!(text(&explain::request(frame.clone(), by_key)), expected);

    // The same, cut: what came is explained, then what is missing.
    let mut cut = expected[..9].to_vec();
    cut[6] = "MetadataRequest 13..15";
    cut.push("error: MetadataRequest.IncludeTopicAuthorizedOperations: expected 1 more bytes, 0 are left at byte 15");
    assert_eq!(text(&explain::request(frame.slice(..15), by_key)), cut);
}

#[test]
fn an_unknown_tag_is_shown() {
    let bytes = Bytes::from_static(&[1, 0, 0, 0, 1, 5, 3, b'a', b'b', b'c']);
    let lines = text(&explain::message(protocol::messages::by_name("MetadataRequest").unwrap(), 9, bytes));
    assert_eq!(lines[5..], ["_tagged_fields 1 4..10", "tag 5 unknown, 3 bytes 5..10 05 03 61 62 63"]);
}

#[test]
fn a_request_that_cannot_be_served_is_named() {
    let frame = Bytes::from_static(&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0, 7]);
    let lines = text(&explain::request(frame, by_key));
    assert_eq!(lines[1], "RequestApiKey 3 Metadata 0..2 00 03");
    assert_eq!(lines[4], "ClientId null 8..10 ff ff");
    assert_eq!(lines[5..], ["error: Metadata has versions 0 to 13, not 99", "not understood 10..12 00 07"]);
}

#[test]
fn records_are_explained_within_their_request() {
    use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    let produce = |records: Bytes| {
        let partition = PartitionProduceData { index: 0, records: Some(Records::Bytes(records)) };
        let topic = TopicProduceData { name: Str::from("t"), partition_data: vec![partition], ..Default::default() };
        let body = RequestBody::Produce(ProduceRequest { topic_data: vec![topic], ..Default::default() });
        let mut request = Request { version: 9, correlation_id: 1, client_id: None, body };
        explain::request(frame::encode_request(&mut request).unwrap().bytes().unwrap().slice(4..), by_key)
    };
    let batch = |compression| {
        let mut builder = BatchBuilder::new(compression);
        for value in ["one", "two"] {
            builder.push(WallMs(1000), Some(b"k"), Some(value.as_bytes()), &[]);
        }
        builder.build(&PureCompressors).unwrap()
    };
    let plain = batch(Compression::None);
    let explained = produce(plain.clone());
    assert_eq!(explained.error, None);
    assert_tiled(&explained.fields, 0, "produce");
    let lines = text(&explained).join("\n");
    for part in ["RecordBatch[0]", "Magic 2", "RecordCount 2", "Record[1]", "Key \"k\"", "Value \"two\""] {
        assert!(lines.contains(part), "{part} in\n{lines}");
    }

    let lines = text(&produce(batch(Compression::Gzip))).join("\n");
    assert!(lines.contains("Attributes 1 gzip") && lines.contains("bytes, gzip"), "{lines}");

    // Half a batch is still a whole message.
    let explained = produce(plain.slice(..plain.len() - 4));
    assert_eq!(explained.error, None);
    let lines = text(&explained).join("\n");
    assert!(lines.contains("not understood RecordBatch"), "{lines}");

    for length in 0..plain.len() {
        let explained = explain::batches(plain.slice(..length));
        assert_eq!(explained.error.is_some(), length > 0);
        let _ = explained.to_string();
    }
    assert_eq!(explain::batches(plain).error, None);
}

#[test]
fn a_metadata_record_with_its_frame() {
    let topic = TopicRecord { name: Str::from("orders"), topic_id: Uuid::METADATA_TOPIC };
    let value = MetadataRecord::from(topic).encode(0).unwrap();
    let lines = text(&explain::metadata_record(value));
    assert_eq!(
        lines[..5],
        [
            "FrameVersion 1 0..1 01",
            "ApiKey 2 1..2 02",
            "Version 0 2..3 00",
            "TopicRecord 3..27",
            "Name \"orders\" 3..10 07 6f 72 64 65 72 73",
        ]
    );
    let mut bytes = BytesMut::new();
    bytes.put_slice(&[1, 0x7f, 0]);
    let explained = explain::metadata_record(bytes.freeze());
    assert!(text(&explained)[3].starts_with("error: Record: expected a known key or type, found 127"));
}

#[test]
fn a_coordinators_key_and_value() {
    let key = OffsetCommitKey { group: Str::from("g"), topic: Str::from("t"), partition: 1 };
    let mut key = GroupKey::OffsetCommit(key);
    let lines = text(&explain::group_key(key.encode().unwrap()));
    assert_eq!(lines[..3], ["RecordType 1 0..2 00 01", "OffsetCommitKey 2..12", "group \"g\" 2..5 00 01 67"]);
    let value = OffsetCommitValue { offset: 5, ..Default::default() };
    let value = GroupValue::OffsetCommit(value).encode(3).unwrap();
    let lines = text(&explain::group_value(key.record_type(), value));
    assert_eq!(lines[2], "offset 5 2..10 00 00 00 00 00 00 00 05");
    let unknown = explain::group_key(Bytes::from_static(&[0, 99]));
    assert!(text(&unknown)[1].starts_with("error: Record: expected a known key or type, found 99"));
}

#[test]
fn a_response() {
    let bytes = Bytes::from_static(&[0, 0, 0, 7, 0, 3, 0, 0, 0, 0]);
    let lines = text(&explain::response(ApiKey::ApiVersions, 0, bytes, by_key));
    assert_eq!(lines[3], "ErrorCode 3 UNKNOWN_TOPIC_OR_PARTITION 4..6 00 03");
}

/// A look into Kafka's own topics by their names.
fn look(topic: &dyn Fn(&str) -> Inside) -> Look<'_> {
    let groups = |record_type| Some([GroupKey::schema(record_type)?, GroupValue::schema(record_type)?]);
    Look { topic, groups, known: by_key }
}

fn batch(control: bool, records: &[(Option<Bytes>, Bytes)]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    if control {
        builder = builder.control();
    }
    for (key, value) in records {
        builder.push(WallMs(1), key.as_deref(), Some(value), &[]);
    }
    builder.build(&PureCompressors).unwrap()
}

/// The fields at the end of a path of names.
fn at<'a>(fields: &'a [Field], path: &[&str]) -> &'a Field {
    let (first, rest) = path.split_first().unwrap();
    let found = fields.iter().find(|it| it.name == *first).unwrap_or_else(|| panic!("no {first} in {fields:#?}"));
    if rest.is_empty() { found } else { at(&found.children, rest) }
}

#[test]
fn records_of_kafkas_own_topics_are_explained_where_they_are() {
    let topic = TopicRecord { name: Str::from("orders"), topic_id: Uuid::METADATA_TOPIC };
    let metadata = batch(false, &[(None, MetadataRecord::from(topic).encode(0).unwrap())]);
    let mut key = GroupKey::OffsetCommit(OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 1 });
    let value = GroupValue::OffsetCommit(OffsetCommitValue { offset: 5, ..Default::default() }).encode(3).unwrap();
    let offsets = batch(false, &[(Some(key.encode().unwrap()), value)]);
    let mut change = BytesMut::new();
    protocol::encode(&mut LeaderChangeMessage { leader_id: 7, ..Default::default() }, 0, &mut change).unwrap();
    let control = batch(true, &[(Some(Bytes::from_static(&[0, 0, 0, 2])), change.freeze())]);

    let record = ["RecordBatch[0]", "Record[0]"];
    for (bytes, inside, path, value) in [
        (&metadata, Inside::Metadata, ["Value", "TopicRecord", "Name"], "\"orders\""),
        (&offsets, Inside::Groups, ["Key", "OffsetCommitKey", "partition"], "1"),
        (&offsets, Inside::Groups, ["Value", "OffsetCommitValue", "offset"], "5"),
        (&control, Inside::Metadata, ["Value", "LeaderChangeMessage", "LeaderId"], "7"),
    ] {
        let mut explained = explain::batches(bytes.clone());
        explain::deepen(&mut explained, inside, &look(&|_| inside));
        let field = at(&explained.fields, &[&record[..], &path[..]].concat());
        assert_eq!(field.value, value);
        // Where it says that it is, it is.
        let last = bytes[field.span.clone()].last().copied();
        assert_eq!(last, if value.starts_with('"') { Some(b's') } else { value.parse().ok() }, "{field:?}");
        let mut plain = explain::batches(bytes.clone());
        explain::deepen(&mut plain, Inside::Plain, &look(&|_| Inside::Plain));
        assert_eq!(at(&plain.fields, &record).children.iter().any(|it| !it.children.is_empty()), bytes == &control);
    }
    let mut explained = explain::batches(control);
    explain::deepen(&mut explained, Inside::Plain, &look(&|_| Inside::Plain));
    assert_eq!(at(&explained.fields, &[&record[..], &["Key", "Type"]].concat()).value, "2 LEADER_CHANGE");

    // In an answer to Fetch it is the topic before them that says what the records are.
    let partition = fetch_response::PartitionData { records: Some(Records::Bytes(offsets)), ..Default::default() };
    let topics = ["orders", "__consumer_offsets"].map(|topic| fetch_response::FetchableTopicResponse {
        topic: topic.into(),
        partitions: vec![partition.clone()],
        ..Default::default()
    });
    let mut bytes = BytesMut::new();
    protocol::encode(&mut FetchResponse { responses: topics.into(), ..Default::default() }, 11, &mut bytes).unwrap();
    let mut explained = explain::message(protocol::messages::by_name("FetchResponse").unwrap(), 11, bytes.freeze());
    let inside = |name: &str| if name == "__consumer_offsets" { Inside::Groups } else { Inside::Plain };
    explain::deepen(&mut explained, Inside::Plain, &look(&inside));
    let of = |topic: &str| {
        let path =
            ["FetchResponse", "Responses", topic, "Partitions", "[0]", "Records", "RecordBatch[0]", "Record[0]", "Key"];
        at(&explained.fields, &path).children.len()
    };
    assert_eq!((of("[0]"), of("[1]")), (0, 2));
}

#[test]
fn a_members_subscription_is_explained_and_rubbish_stays_bytes() {
    let mut subscription = ConsumerProtocolSubscription { topics: vec!["orders".into()], ..Default::default() };
    let metadata = protocol::message::encode_versioned(&mut subscription, 3).unwrap();
    let join = |metadata: Bytes| {
        let protocol = join_group_request::JoinGroupRequestProtocol { name: "range".into(), metadata };
        let mut bytes = BytesMut::new();
        let mut request = JoinGroupRequest { protocols: vec![protocol], ..Default::default() };
        protocol::encode(&mut request, 9, &mut bytes).unwrap();
        let mut explained =
            explain::message(protocol::messages::by_name("JoinGroupRequest").unwrap(), 9, bytes.freeze());
        explain::deepen(&mut explained, Inside::Plain, &look(&|_| Inside::Plain));
        explained
    };
    let explained = join(metadata);
    let path = ["JoinGroupRequest", "Protocols", "[0]", "Metadata", "ConsumerProtocolSubscription", "Topics", "[0]"];
    assert_eq!(at(&explained.fields, &path).value, "\"orders\"");
    let rubbish = join(Bytes::from_static(b"no such thing"));
    assert_eq!(at(&rubbish.fields, &path[..4]).children, []);
}
