//! What is encoded is what is decoded, for every message at every version.

use bytes::{Bytes, BytesMut};
use protocol::message::{Message, MessageKind, decode, decode_dyn, encode, encode_dyn, size, walk};
use protocol::messages::{RequestBody, ResponseBody, SCHEMAS, SPOKEN, by_key, by_name, spoken};
use protocol::records::Records;
use protocol::{ApiKey, FileId, Piece, Region, Request, Response, Str, frame};

use crate::common::Filler;

/// How many fillings of each message and version.
const FILLINGS: u64 = 20;

fn check<M: Message>(mut message: M, version: i16, what: &str) {
    let mut bytes = BytesMut::new();
    encode(&mut message, version, &mut bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(size(&mut message, version), Ok(bytes.len()), "{what}");
    let decoded: M = decode(bytes.freeze(), version).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(decoded == message, "{what}");
}

fn round_trips<M: Message>() {
    for version in M::VERSIONS {
        check(M::default(), version, &format!("{} v{version} default", M::NAME));
        for seed in 0..FILLINGS {
            let mut message = M::default();
            walk(&mut message, &mut Filler::new(seed), version).unwrap();
            check(message, version, &format!("{} v{version} seed {seed}", M::NAME));
        }
    }
}

macro_rules! round_trip {
    ($message:ty) => {
        round_trips::<$message>()
    };
}

#[test]
fn every_message_at_every_version() {
    protocol::for_every_message!(round_trip);
}

#[test]
fn the_table_is_sorted_and_creates_what_it_names() {
    assert!(SCHEMAS.windows(2).all(|pair| pair[0].name < pair[1].name));
    for schema in SCHEMAS {
        let version = *schema.versions.end();
        let mut bytes = BytesMut::new();
        encode_dyn(&mut *(schema.create)(), version, &mut bytes).unwrap();
        let mut again = BytesMut::new();
        let by_name = by_name(schema.name).unwrap();
        let mut decoded = decode_dyn(by_name, bytes.clone().freeze(), version).unwrap();
        assert_eq!(decoded.schema().name, schema.name);
        encode_dyn(&mut *decoded, version, &mut again).unwrap();
        assert_eq!(again, bytes, "{}", schema.name);
    }
    assert!(by_name("NoSuchRequest").is_none());
}

#[test]
fn what_is_spoken_is_named_once_and_the_rest_is_found_among_all() {
    assert!(SPOKEN.windows(2).all(|pair| pair[0] < pair[1]));
    for api in ApiKey::ALL {
        for (kind, name) in [(MessageKind::Request, "Request"), (MessageKind::Response, "Response")] {
            let schema = by_key(kind, api.code()).unwrap();
            assert_eq!(schema.name, format!("{api}{name}"));
            assert_eq!(spoken(kind, api.code()).map(|it| it.name), SPOKEN.contains(&api).then_some(schema.name));
        }
        let bodies = (RequestBody::empty(api).map(|it| it.api_key()), ResponseBody::empty(api).map(|it| it.api_key()));
        let expected = SPOKEN.contains(&api).then_some(api);
        assert_eq!(bodies, (expected, expected));
    }
}

#[test]
fn every_request_and_response_as_a_frame() {
    for api in SPOKEN.iter().copied() {
        for version in api.versions() {
            for seed in 0..FILLINGS {
                let what = format!("{api} v{version} seed {seed}");
                let mut filler = Filler::new(seed);
                // Large enough for some fields to be shared pieces.
                filler.blob_limit = 3000;
                let mut body = RequestBody::empty(api).unwrap();
                body.walk(&mut filler, version).unwrap();
                let client_id = (seed % 3 != 0).then(|| Str::from("größe"));
                let mut request = Request { version, correlation_id: seed as i32 - 5, client_id, body };
                let frame = frame::encode_request(&mut request).unwrap();
                assert_eq!(frame::decode_request(unframed(&frame)), Ok(request), "{what}");

                let mut body = ResponseBody::empty(api).unwrap();
                body.walk(&mut filler, version).unwrap();
                let mut response = Response { version, correlation_id: seed as i32 - 5, body };
                let frame = frame::encode_response(&mut response).unwrap();
                assert_eq!(frame::decode_response(api, version, unframed(&frame)), Ok(response), "{what}");
            }
        }
    }
}

fn unframed(frame: &protocol::Frame) -> Bytes {
    let mut bytes = frame.bytes().unwrap();
    assert_eq!(bytes.len(), frame.len());
    let size = bytes.split_to(4);
    assert_eq!(u32::from_be_bytes(size[..].try_into().unwrap()) as usize, bytes.len());
    bytes
}

#[test]
fn regions_stay_names_and_large_bytes_are_shared() {
    use protocol::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
    let region = |at, len| Region { file: FileId(7), at, len, ..Region::default() };
    let large = Bytes::from(vec![7; 5000]);
    let partition = |records| PartitionData { records: Some(records), ..PartitionData::default() };
    let partitions = vec![
        partition(Records::Regions(vec![region(0, 100), region(400, 23)])),
        partition(Records::Bytes(large.clone())),
        partition(Records::Bytes(Bytes::from_static(b"short"))),
        partition(Records::Regions(Vec::new())),
    ];
    let responses = vec![FetchableTopicResponse { partitions, ..Default::default() }];
    let body = ResponseBody::Fetch(FetchResponse { responses, ..Default::default() });
    let mut response = Response { version: 16, correlation_id: 9, body };
    let frame = frame::encode_response(&mut response).unwrap();
    assert_eq!(frame.bytes(), None);

    let regions: Vec<Region> = frame
        .pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Region(region) => Some(*region),
            Piece::Bytes(_) => None,
        })
        .collect();
    assert_eq!(regions, [region(0, 100), region(400, 23)]);
    let shared = |piece: &Piece| matches!(piece, Piece::Bytes(bytes) if bytes.as_ptr() == large.as_ptr());
    assert_eq!(frame.pieces.iter().filter(|piece| shared(piece)).count(), 1);

    // A driver that fetches the regions has a whole frame.
    let mut resolved = BytesMut::new();
    for piece in &frame.pieces {
        match piece {
            Piece::Bytes(bytes) => resolved.extend_from_slice(bytes),
            Piece::Region(region) => resolved.extend(std::iter::repeat_n(0xab, region.len as usize)),
        }
    }
    let mut resolved = resolved.freeze();
    let size = resolved.split_to(4);
    assert_eq!(u32::from_be_bytes(size[..].try_into().unwrap()) as usize, resolved.len());
    let decoded = frame::decode_response(ApiKey::Fetch, 16, resolved).unwrap();
    let ResponseBody::Fetch(decoded) = decoded.body else { panic!("{decoded:?}") };
    let records = |index: usize| decoded.responses[0].partitions[index].records.clone().unwrap();
    assert_eq!(records(0), Records::Bytes(Bytes::from(vec![0xab; 123])));
    assert_eq!(records(1), Records::Bytes(large));

    // One buffer cannot hold what is not there.
    let mut out = BytesMut::from(&b"kept"[..]);
    let ResponseBody::Fetch(body) = &mut response.body else { unreachable!("built above") };
    let error = encode(body, 16, &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "FetchResponse.Responses[0].Partitions[0].Records: expected bytes, found regions of a log"
    );
    assert_eq!(&out[..], b"kept");
}

#[test]
fn what_a_version_cannot_carry_is_dropped_or_refused_as_in_kafka() {
    use protocol::messages::{CreateTopicsRequest, MetadataRequest, MetadataResponse};
    // AllowAutoTopicCreation came with version 4 and must not be lost.
    let mut request = MetadataRequest { allow_auto_topic_creation: false, ..Default::default() };
    let mut out = BytesMut::new();
    let error = encode(&mut request, 1, &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "MetadataRequest.AllowAutoTopicCreation: expected the default value, for version 1 lacks the field"
    );
    assert!(encode(&mut request, 4, &mut out).is_ok());
    // ClusterId is ignorable.
    let mut response = MetadataResponse { cluster_id: Some(Str::from("c")), ..Default::default() };
    out.clear();
    encode(&mut response, 1, &mut out).unwrap();
    let decoded: MetadataResponse = decode(out.freeze(), 1).unwrap();
    assert_eq!(decoded.cluster_id, None);
    // Topics may be null, but not in version 0.
    let mut request = MetadataRequest { topics: None, ..Default::default() };
    let error = encode(&mut request, 0, &mut BytesMut::new()).unwrap_err();
    assert_eq!(error.to_string(), "MetadataRequest.Topics: expected a value, found null");
    // A version that never was.
    let error = encode(&mut CreateTopicsRequest::default(), 99, &mut BytesMut::new()).unwrap_err();
    assert_eq!(error.to_string(), "CreateTopicsRequest: expected a version from 2 to 7, found 99");
}
