//! The ceiling for `cargo xtask bench`: a server that parses requests, acknowledges and forgets.
//! What the same client drives through it, no broker can exceed on this machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use protocol::frame::{self, Request, Response};
use protocol::messages::api_versions_response::ApiVersion;
use protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use protocol::messages::{ApiVersionsResponse, MetadataResponse, ProduceResponse, RequestBody, ResponseBody};
use protocol::{ApiKey, NodeId, RequestError, Str};

const NODE: NodeId = NodeId(1);

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    println!("ready 127.0.0.1:{port}");
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(stream, port) {
                eprintln!("a connection ended: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream, port: u16) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut next_offset = 0;
    let mut size = [0; 4];
    loop {
        if let Err(error) = stream.read_exact(&mut size) {
            return if error.kind() == std::io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) };
        }
        let length = usize::try_from(i32::from_be_bytes(size)).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes)?;
        let answer = match frame::decode_request(Bytes::from(bytes)) {
            Ok(request) => answer(request, port, &mut next_offset),
            Err(RequestError::UnsupportedVersion { api: ApiKey::ApiVersions, correlation_id, .. }) => {
                Some(Response { version: 0, correlation_id, body: api_versions(35) })
            }
            Err(error) => return Err(std::io::Error::other(error.to_string())),
        };
        let Some(mut response) = answer else { continue };
        let encoded = frame::encode_response(&mut response).map_err(std::io::Error::other)?;
        stream.write_all(&encoded.bytes().unwrap_or_default())?;
    }
}

fn answer(request: Request, port: u16, next_offset: &mut i64) -> Option<Response> {
    let body = match request.body {
        RequestBody::ApiVersions(_) => api_versions(0),
        RequestBody::Metadata(metadata) => {
            let names = metadata.topics.unwrap_or_default().into_iter().filter_map(|it| it.name);
            ResponseBody::Metadata(MetadataResponse {
                brokers: vec![MetadataResponseBroker {
                    node_id: NODE.0,
                    host: Str::from_static("127.0.0.1"),
                    port: i32::from(port),
                    rack: None,
                }],
                controller_id: NODE.0,
                topics: names.map(topic).collect(),
                ..Default::default()
            })
        }
        RequestBody::Produce(produce) => {
            let responses = produce.topic_data.into_iter().map(|topic| {
                let partitions = topic.partition_data.into_iter().map(|partition| {
                    *next_offset += 1;
                    PartitionProduceResponse { index: partition.index, base_offset: *next_offset, ..Default::default() }
                });
                TopicProduceResponse {
                    name: topic.name,
                    partition_responses: partitions.collect(),
                    ..Default::default()
                }
            });
            let body = ProduceResponse { responses: responses.collect(), ..Default::default() };
            if produce.acks == 0 {
                return None;
            }
            ResponseBody::Produce(body)
        }
        _ => return None,
    };
    Some(Response { version: request.version, correlation_id: request.correlation_id, body })
}

fn api_versions(error_code: i16) -> ResponseBody {
    let range = |api: ApiKey, min_version, max_version| ApiVersion { api_key: api as i16, min_version, max_version };
    ResponseBody::ApiVersions(ApiVersionsResponse {
        error_code,
        api_keys: vec![range(ApiKey::Produce, 0, 9), range(ApiKey::Metadata, 0, 9), range(ApiKey::ApiVersions, 0, 4)],
        ..Default::default()
    })
}

fn topic(name: Str) -> MetadataResponseTopic {
    MetadataResponseTopic {
        name: Some(name),
        partitions: vec![MetadataResponsePartition {
            leader_id: NODE.0,
            replica_nodes: vec![NODE.0],
            isr_nodes: vec![NODE.0],
            ..Default::default()
        }],
        ..Default::default()
    }
}
