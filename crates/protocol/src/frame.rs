//! Requests and responses as they cross a socket: a size of four bytes, a header, a body.

use std::fmt;

use bytes::Bytes;

use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::error::{Expected, ProtocolError};
use crate::message::walk;
use crate::messages::{ApiKey, RequestBody, RequestHeader, ResponseBody, ResponseHeader};
use crate::region::Region;
use crate::{Str, support};

/// A request with what its header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Of the request's schema.
    pub version: i16,
    /// Comes back with the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Str>,
    /// What it asks.
    pub body: RequestBody,
}

/// A response with what its header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Of the request's schema, hence of the response's.
    pub version: i16,
    /// The request's.
    pub correlation_id: i32,
    /// The answer.
    pub body: ResponseBody,
}

/// What a driver writes to a socket, its size of four bytes included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// In order.
    pub pieces: Vec<Piece>,
}

/// A part of a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// Bytes of a log, which whoever sends the frame resolves.
    Region(Region),
}

/// Why a frame is no request that we can answer as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// No such API. Kafka closes the connection.
    UnknownApi {
        /// The number that is no [`ApiKey`].
        api_key: i16,
        /// Of the request.
        version: i16,
    },
    /// An API we know in a version that we do not. Kafka closes the connection, but answers ApiVersions at version 0 with
    /// UNSUPPORTED_VERSION, so that a newer client can lower its sights (KIP-511).
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// The version asked for.
        version: i16,
        /// For the answer.
        correlation_id: i32,
    },
    /// An API of Kafka's that nobody here speaks. It is not advertised, and Kafka closes the connection over such.
    UnspokenApi {
        /// The API.
        api: ApiKey,
        /// The version asked for.
        version: i16,
    },
    /// Bytes that are no request. Kafka closes the connection.
    Malformed(ProtocolError),
}

impl ApiKey {
    /// The version of the header before a request. (KIP-482: flexible requests have tagged fields in their header too.)
    pub const fn request_header_version(self, version: i16) -> i16 {
        if version >= self.flexible() { 2 } else { 1 }
    }

    /// The version of the header before a response. ApiVersions never has tagged fields there, for a client must be able to
    /// read the answer before it knows what the broker speaks.
    pub const fn response_header_version(self, version: i16) -> i16 {
        if version >= self.flexible() && !matches!(self, ApiKey::ApiVersions) { 1 } else { 0 }
    }
}

impl Piece {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Region(region) => region.len as usize,
        }
    }

    /// True for a piece without bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Frame {
    /// Its length in bytes, the size field included.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Piece::len).sum()
    }

    /// True for a frame that was never encoded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame as one buffer, `None` if it has regions.
    pub fn bytes(&self) -> Option<Bytes> {
        if let [Piece::Bytes(only)] = self.pieces.as_slice() {
            return Some(only.clone());
        }
        let mut out = Vec::with_capacity(self.len());
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Region(_) => return None,
            }
        }
        Some(out.into())
    }
}

/// Reads a request from a frame without its size.
pub fn decode_request(frame: Bytes) -> Result<Request, RequestError> {
    let (api, version) = identify(&frame)?;
    let mut decoder = Decoder::new(frame);
    let mut header = RequestHeader::default();
    walk(&mut header, &mut decoder, api.request_header_version(version))?;
    let Some(mut body) = RequestBody::empty(api) else { return Err(RequestError::UnspokenApi { api, version }) };
    body.walk(&mut decoder, version)?;
    // Bytes behind the body are ignored, as Apache Kafka ignores them in every API: librdkafka 2.16 sends three in a Metadata
    // request for all topics. It also takes text that is not UTF-8, which `Str::from_utf8_lossy` is about.
    Ok(Request { version, correlation_id: header.correlation_id, client_id: header.client_id, body })
}

/// What a request asks for and in which version, by the bytes it begins with: its header's own version hangs on them.
pub(crate) fn identify(frame: &Bytes) -> Result<(ApiKey, i16), RequestError> {
    let mut peek = Decoder::new(frame.clone());
    let named = |error: ProtocolError| RequestError::Malformed(error.within("RequestHeader", None));
    let api_key = peek.version().map_err(named)?;
    let version = peek.version().map_err(named)?;
    let Ok(api) = ApiKey::try_from(api_key) else { return Err(RequestError::UnknownApi { api_key, version }) };
    if !api.versions().contains(&version) {
        // All of the header has to be right for an answer.
        let mut header = RequestHeader::default();
        walk(&mut header, &mut Decoder::new(frame.clone()), api.request_header_version(version))?;
        return Err(RequestError::UnsupportedVersion { api, version, correlation_id: header.correlation_id });
    }
    Ok((api, version))
}

/// Writes a request.
pub fn encode_request(request: &mut Request) -> Result<Frame, ProtocolError> {
    let Request { version, correlation_id, client_id, body } = request;
    let api = body.api_key();
    let mut header = RequestHeader {
        request_api_key: api.code(),
        request_api_version: *version,
        correlation_id: *correlation_id,
        client_id: client_id.clone(),
    };
    let mut encoder = Encoder::frame();
    walk(&mut header, &mut encoder, api.request_header_version(*version))?;
    body.walk(&mut encoder, *version)?;
    finish(encoder)
}

/// Reads a response from a frame without its size. `version` is the request's.
pub fn decode_response(api: ApiKey, version: i16, frame: Bytes) -> Result<Response, ProtocolError> {
    let mut decoder = Decoder::new(frame);
    let mut header = ResponseHeader::default();
    walk(&mut header, &mut decoder, api.response_header_version(version))?;
    let known = Expected::Known(api.code().into());
    let mut body = ResponseBody::empty(api).ok_or_else(|| ProtocolError::field("ApiKey", known, None))?;
    body.walk(&mut decoder, version)?;
    decoder.finish().map_err(|error| error.within(api.name(), None))?;
    Ok(Response { version, correlation_id: header.correlation_id, body })
}

/// Writes a response. Records of a log stay regions.
pub fn encode_response(response: &mut Response) -> Result<Frame, ProtocolError> {
    let api = response.body.api_key();
    let mut header = ResponseHeader { correlation_id: response.correlation_id };
    let mut encoder = Encoder::frame();
    walk(&mut header, &mut encoder, api.response_header_version(response.version))?;
    response.body.walk(&mut encoder, response.version)?;
    finish(encoder)
}

fn finish(encoder: Encoder) -> Result<Frame, ProtocolError> {
    let size = encoder.size() - 4;
    if i32::try_from(size).is_err() {
        return Err(ProtocolError::field("Size", Expected::Countable(size), None));
    }
    Ok(Frame { pieces: encoder.into_frame(size as u32) })
}

impl From<ProtocolError> for RequestError {
    fn from(error: ProtocolError) -> RequestError {
        RequestError::Malformed(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::UnknownApi { api_key, version } => {
                write!(f, "no API has the key {api_key} (version {version})")
            }
            RequestError::UnsupportedVersion { api, version, .. } => match support::kafka_range(*api) {
                Some(range) => {
                    write!(f, "{api} has versions {} to {}, not {version}", range.start(), range.end())
                }
                None => write!(f, "{api} has no version {version}"),
            },
            RequestError::UnspokenApi { api, .. } => write!(f, "{api} is not supported"),
            RequestError::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was sent to Apache Kafka 4.3.1 and answered by it as if the last bytes were not there, though they would be a
    /// malformed field, a tag, or a second request. It did so in all of ApiVersions, Metadata, ListOffsets, FindCoordinator,
    /// Fetch, Produce, CreateTopics, JoinGroup, DescribeCluster and InitProducerId, with 3, 6 and 5000 bytes, in flexible
    /// versions and in older ones. A broker that closes the connection over them has lost librdkafka 2.16: the Metadata
    /// request is how it asks for all topics.
    #[test]
    fn bytes_behind_a_request_are_ignored() {
        let sent: [(&[u8], &[u8]); 4] = [
            (b"\x00\x03\x00\x0d\x00\x00\x00\x03\x00\x07rdkafka\x00\x00\x00\x00\x00", b"\x01\x00\x00"),
            (b"\x00\x03\x00\x01\x00\x00\x00\x03\x00\x02me\xff\xff\xff\xff", b"\xff\x01\x02abc"),
            (b"\x00\x12\x00\x00\x00\x00\x00\x03\x00\x02me", &[b'x'; 5000]),
            (b"\x00\x12\x00\x03\x00\x00\x00\x03\x00\x02me\x00\x04lib\x021\x00", b"\xff\x01\x02abc"),
        ];
        for (request, behind) in sent {
            let plain = decode_request(Bytes::from_static(request)).unwrap();
            assert_eq!(plain.correlation_id, 3);
            assert_eq!(decode_request([request, behind].concat().into()).unwrap(), plain);
        }
    }

    /// Kafka answers a client whose name, or whose topic's name, is Latin-1.
    #[test]
    fn text_that_is_no_utf8_is_taken() {
        let sent = b"\x00\x03\x00\x04\x00\x00\x00\x03\x00\x04caf\xe9\x00\x00\x00\x01\x00\x03\xe9t\xe9\x00";
        let request = decode_request(Bytes::from_static(sent)).unwrap();
        assert_eq!(request.client_id.as_deref(), Some("caf\u{fffd}"));
        let RequestBody::Metadata(metadata) = request.body else { panic!("another request: {:?}", request.body) };
        let topics = metadata.topics.unwrap_or_default();
        assert_eq!(topics[0].name.as_deref(), Some("\u{fffd}t\u{fffd}"));
    }

    /// Kafka answers ApiVersions in a version that nobody knows, if the header is one of the newest kind; else it closes.
    #[test]
    fn an_unknown_version_is_answered_only_behind_a_whole_header() {
        let unsupported = |header: &'static [u8]| decode_request(Bytes::from_static(header)).unwrap_err();
        let newest = b"\x00\x12\x00\x63\x00\x00\x00\x07\x00\x02me\x00\x01\x02\x03";
        let api = ApiKey::ApiVersions;
        assert_eq!(unsupported(newest), RequestError::UnsupportedVersion { api, version: 99, correlation_id: 7 });
        assert!(matches!(unsupported(b"\x00\x12\x00\x63\x00\x00\x00\x07\x00\x02me"), RequestError::Malformed(_)));
        let tag = b"\x00\x12\x00\x63\x00\x00\x00\x07\x00\x02me\xff\x01\x02abc";
        assert!(matches!(unsupported(tag), RequestError::Malformed(_)));
        let negative = b"\x00\x12\xff\xff\x00\x00\x00\x07\x00\x02me";
        assert_eq!(unsupported(negative), RequestError::UnsupportedVersion { api, version: -1, correlation_id: 7 });
    }
}
