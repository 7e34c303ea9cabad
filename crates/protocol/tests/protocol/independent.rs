//! The crate `kafka-protocol`, which shares no line with us, reads what we write and writes what we wrote.
#![cfg(not(target_arch = "wasm32"))]

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey as TheirKey, RequestKind, ResponseKind};
use protocol::ApiKey;
use protocol::message::{MessageKind, decode, encode, encode_dyn, walk_dyn};
use protocol::messages::by_key;

use crate::common::Filler;

const FILLINGS: u64 = 12;

/// Requests whose newest version they leave out though they know the response to it.
const THEY_LACK: [(ApiKey, i16); 3] =
    [(ApiKey::OffsetCommit, 10), (ApiKey::OffsetFetch, 10), (ApiKey::InitProducerId, 6)];

/// Reads bytes and writes what it read.
type Again = fn(TheirKey, i16, &mut Bytes) -> Result<BytesMut, String>;

fn request_again(api: TheirKey, version: i16, bytes: &mut Bytes) -> Result<BytesMut, String> {
    let mut out = BytesMut::new();
    let request = RequestKind::decode(api, bytes, version).map_err(|error| error.to_string())?;
    request.encode(&mut out, version).map_err(|error| error.to_string())?;
    Ok(out)
}

fn response_again(api: TheirKey, version: i16, bytes: &mut Bytes) -> Result<BytesMut, String> {
    let mut out = BytesMut::new();
    let response = ResponseKind::decode(api, bytes, version).map_err(|error| error.to_string())?;
    response.encode(&mut out, version).map_err(|error| error.to_string())?;
    Ok(out)
}

/// What differs between `ours` and what they make of it.
fn compare(again: Again, api: TheirKey, version: i16, ours: &Bytes) -> Option<String> {
    let mut read = ours.clone();
    match again(api, version, &mut read) {
        Err(error) => Some(error),
        Ok(_) if !read.is_empty() => Some(format!("{} bytes left", read.len())),
        Ok(theirs) if theirs != ours => Some(format!("{theirs:?}\n  for {ours:?}")),
        Ok(_) => None,
    }
}

/// A request or response of random content.
fn filled(filler: &mut Filler, kind: MessageKind, api: ApiKey, version: i16) -> Bytes {
    let mut message = (by_key(kind, api.code()).unwrap().create)();
    walk_dyn(&mut *message, filler, version).unwrap();
    let mut bytes = BytesMut::new();
    encode_dyn(&mut *message, version, &mut bytes).unwrap();
    bytes.freeze()
}

#[test]
fn requests_and_responses_of_every_api_and_version_they_know() {
    let mut compared = 0;
    let mut differences = Vec::new();
    for api in ApiKey::ALL {
        let Ok(their_key) = TheirKey::try_from(api.code()) else { continue };
        let theirs = their_key.valid_versions();
        for version in api.versions().filter(|version| (theirs.min..=theirs.max).contains(version)) {
            assert_eq!(api.request_header_version(version), their_key.request_header_version(version), "{api}");
            assert_eq!(api.response_header_version(version), their_key.response_header_version(version), "{api}");
            for seed in 0..FILLINGS {
                let mut filler = Filler::new(seed);
                let ours = filled(&mut filler, MessageKind::Request, api, version);
                let known = !THEY_LACK.contains(&(api, version));
                let difference = known.then(|| compare(request_again, their_key, version, &ours)).flatten();
                differences.extend(difference.map(|it| format!("{api} request v{version} seed {seed}: {it}")));

                let ours = filled(&mut filler, MessageKind::Response, api, version);
                let difference = compare(response_again, their_key, version, &ours);
                differences.extend(difference.map(|it| format!("{api} response v{version} seed {seed}: {it}")));
                compared += 2;
            }
        }
    }
    assert!(compared > 5000, "only {compared} were compared");
    assert!(differences.is_empty(), "{} of {compared} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn headers() {
    use kafka_protocol::messages as theirs;
    use kafka_protocol::protocol::{Decodable, Encodable};
    for version in 1..=2 {
        for client_id in [None, Some("größe".into())] {
            let mut ours = protocol::messages::RequestHeader {
                request_api_key: 3,
                request_api_version: 12,
                correlation_id: -7,
                client_id,
            };
            let mut bytes = BytesMut::new();
            encode(&mut ours, version, &mut bytes).unwrap();
            let read = theirs::RequestHeader::decode(&mut bytes.clone().freeze(), version).unwrap();
            let mut again = BytesMut::new();
            read.encode(&mut again, version).unwrap();
            assert_eq!(again, bytes);
            assert_eq!(decode(again.freeze(), version), Ok(ours));
        }
    }
}
