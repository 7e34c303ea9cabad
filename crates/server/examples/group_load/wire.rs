//! A connection to a broker, and the requests that all cases share.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::{FindCoordinatorRequest, MetadataRequest, OffsetCommitRequest};
use protocol::{ApiKey, ErrorCode, Request, RequestBody, ResponseBody, Str, Uuid, frame};

/// The newest that both speak and that names topics.
const OFFSET_COMMIT: i16 = 9;
const FIND_COORDINATOR: i16 = 4;
const METADATA: i16 = 12;
/// Longer than a coordinator waits for its replicas.
const PATIENCE: Duration = Duration::from_secs(60);
/// At most so much of what came is taken in at once.
const READ_BYTES: usize = 16 << 10;

fn request(version: i16, body: RequestBody) -> Request {
    Request { version, correlation_id: 0, client_id: Some(Str::from_static("group-load")), body }
}

/// A commit of partition 0: of a member, or of nobody with epoch -1.
pub(crate) fn commit_request(group: &str, (member, epoch): (&str, i32), topic: &str, offset: i64) -> Request {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
    let body = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: epoch,
        member_id: member.into(),
        topics: vec![topic],
        ..Default::default()
    };
    request(OFFSET_COMMIT, RequestBody::OffsetCommit(body))
}

/// Has a commit be of another offset.
pub(crate) fn set_offset(request: &mut Request, offset: i64) {
    if let RequestBody::OffsetCommit(it) = &mut request.body {
        for partition in it.topics.iter_mut().flat_map(|it| &mut it.partitions) {
            partition.committed_offset = offset;
        }
    }
}

/// What became of a commit, by its answer.
pub(crate) fn commit_error(answer: &ResponseBody) -> io::Result<ErrorCode> {
    let ResponseBody::OffsetCommit(it) = answer else {
        return Err(io::Error::other("the next answer is not to a commit"));
    };
    let partition = it.topics.first().and_then(|it| it.partitions.first());
    let partition = partition.ok_or_else(|| io::Error::other("an answer to a commit names what it is for"))?;
    Ok(ErrorCode::from_code(partition.error_code))
}

/// Answers come in the order of the requests.
pub(crate) struct Connection {
    stream: TcpStream,
    asked: VecDeque<(ApiKey, i16)>,
    /// What is sent before the connection is read from.
    unsent: Vec<u8>,
    /// What came and is not taken yet.
    input: BytesMut,
}

impl Connection {
    pub(crate) fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, asked: VecDeque::new(), unsent: Vec::new(), input: BytesMut::new() })
    }

    /// Its descriptor, for who waits for several connections. It blocks nobody from now on.
    pub(crate) fn socket(&self) -> io::Result<RawFd> {
        self.stream.set_nonblocking(true)?;
        Ok(self.stream.as_raw_fd())
    }

    /// How many answers are outstanding.
    pub(crate) fn outstanding(&self) -> usize {
        self.asked.len()
    }

    /// Adds a request to those that leave together.
    pub(crate) fn add(&mut self, version: i16, body: RequestBody) -> io::Result<()> {
        self.add_request(&mut request(version, body))
    }

    pub(crate) fn add_request(&mut self, request: &mut Request) -> io::Result<()> {
        let encoded = frame::encode_request(request).map_err(io::Error::other)?;
        self.asked.push_back((request.body.api_key(), request.version));
        self.unsent.extend_from_slice(&encoded.bytes().unwrap_or_default());
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.unsent)?;
        self.unsent.clear();
        Ok(())
    }

    /// The next answer.
    pub(crate) fn receive(&mut self) -> io::Result<ResponseBody> {
        loop {
            if let Some(answer) = self.arrived()? {
                return Ok(answer);
            }
            self.flush()?;
            self.fill()?;
        }
    }

    /// The next answer, if all of it came.
    pub(crate) fn arrived(&mut self) -> io::Result<Option<ResponseBody>> {
        let Some(size) = self.input.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(i32::from_be_bytes(*size)).map_err(io::Error::other)?;
        if self.input.len() < 4 + length {
            return Ok(None);
        }
        self.input.advance(4);
        let bytes = self.input.split_to(length).freeze();
        let (api, version) = self.asked.pop_front().ok_or_else(|| io::Error::other("nothing was asked"))?;
        Ok(Some(frame::decode_response(api, version, bytes).map_err(io::Error::other)?.body))
    }

    /// Reads on; how much.
    fn fill(&mut self) -> io::Result<usize> {
        let mut read = [0; READ_BYTES];
        let count = self.stream.read(&mut read)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.input.extend_from_slice(&read[..count]);
        Ok(count)
    }

    /// Reads all that has come, of a connection that does not block.
    pub(crate) fn fill_now(&mut self) -> io::Result<()> {
        loop {
            match self.fill() {
                Ok(READ_BYTES) => {}
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn call(&mut self, version: i16, body: RequestBody) -> io::Result<ResponseBody> {
        self.add(version, body)?;
        self.receive()
    }

    /// Adds a commit of partition 0: of a member, or of nobody with epoch -1.
    pub(crate) fn add_commit(&mut self, group: &str, member: (&str, i32), topic: &str, offset: i64) -> io::Result<()> {
        self.add_request(&mut commit_request(group, member, topic, offset))
    }

    /// What became of the next commit.
    pub(crate) fn committed(&mut self) -> io::Result<ErrorCode> {
        commit_error(&self.receive()?)
    }

    /// Who coordinates each of these groups, by id and address; `None` while nobody does.
    pub(crate) fn coordinators(&mut self, groups: &[String]) -> io::Result<Vec<Option<(i32, String)>>> {
        let coordinator_keys = groups.iter().map(|it| Str::from(it.as_str())).collect();
        let request = FindCoordinatorRequest { key_type: 0, coordinator_keys, ..Default::default() };
        match self.call(FIND_COORDINATOR, RequestBody::FindCoordinator(request))? {
            ResponseBody::FindCoordinator(it) => {
                let found = it.coordinators.iter().map(|it| {
                    let is_known = it.error_code == 0;
                    is_known.then(|| (it.node_id, format!("{}:{}", it.host, it.port)))
                });
                Ok(found.collect())
            }
            _ => Err(io::Error::other("the answer is not about coordinators")),
        }
    }

    /// The id of a topic and how many partitions it has. A broker may hear of a topic a while after its controller made it.
    pub(crate) fn topic(&mut self, name: &str) -> io::Result<(Uuid, usize)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
            let request =
                MetadataRequest { topics: Some(vec![topic]), allow_auto_topic_creation: false, ..Default::default() };
            let ResponseBody::Metadata(answer) = self.call(METADATA, RequestBody::Metadata(request))? else {
                return Err(io::Error::other("the answer is not about topics"));
            };
            match answer.topics.first() {
                Some(topic) if topic.error_code == 0 => return Ok((topic.topic_id, topic.partitions.len())),
                _ if Instant::now() > deadline => return Err(io::Error::other(format!("there is no topic {name}"))),
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}
