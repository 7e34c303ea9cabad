//! For `cargo xtask bench latency`: how long a lone record waits for its ack, without a client library in between.
//!
//!     lone_acks ADDRESS TOPIC COUNT SIZE
//!
//! One record at a time, acks=all, each sent when the one before is acked; the first tenth is not counted. Prints median, p99 and
//! p99.9 in µs as words of the form name=value.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use protocol::messages::ProduceRequest;
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::records::{BatchBuilder, Compression, PureCompressors, Records};
use protocol::{ApiKey, ErrorCode, Request, RequestBody, ResponseBody, WallMs, frame};

/// The newest that names its topics.
const PRODUCE: i16 = 12;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, topic, count, size] = &words[..] else {
        return Err(io::Error::other("the broker's address, a topic, how many records, and how large"));
    };
    let number = |word: &str| word.parse::<usize>().map_err(|_| io::Error::other(format!("{word} is no number")));
    let (count, value) = (number(count)?, vec![b'x'; number(size)?]);
    let mut stream = TcpStream::connect(address.as_str())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut latencies = Vec::with_capacity(count);
    for index in 0..count + count / 10 {
        let request = produce(topic, &value)?;
        let sent = Instant::now();
        let answer = ask(&mut stream, &request)?;
        if index >= count / 10 {
            latencies.push(sent.elapsed().as_micros());
        }
        check(answer)?;
    }
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((count.saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default();
    println!("median={} p99={} p999={}", at(0.5), at(0.99), at(0.999));
    Ok(())
}

fn produce(topic: &str, value: &[u8]) -> io::Result<Bytes> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(WallMs(now.as_millis() as i64), None, Some(value), &[]);
    let records = Some(Records::Bytes(batch.build(&PureCompressors).map_err(io::Error::other)?));
    let partition = PartitionProduceData { index: 0, records };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![partition], ..Default::default() };
    let produce = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    let mut request =
        Request { version: PRODUCE, correlation_id: 0, client_id: None, body: RequestBody::Produce(produce) };
    let encoded = frame::encode_request(&mut request).map_err(io::Error::other)?;
    encoded.bytes().ok_or_else(|| io::Error::other("a request names bytes of no log"))
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> io::Result<Bytes> {
    stream.write_all(request)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).map_err(io::Error::other)?];
    stream.read_exact(&mut answer)?;
    Ok(answer.into())
}

fn check(answer: Bytes) -> io::Result<()> {
    let response = frame::decode_response(ApiKey::Produce, PRODUCE, answer).map_err(io::Error::other)?;
    let ResponseBody::Produce(it) = response.body else { return Err(io::Error::other("no answer to a produce")) };
    let partition = it.responses.first().and_then(|it| it.partition_responses.first());
    match partition.map(|it| ErrorCode::from_code(it.error_code)) {
        Some(ErrorCode::None) => Ok(()),
        other => Err(io::Error::other(format!("the record was not taken: {other:?}"))),
    }
}
