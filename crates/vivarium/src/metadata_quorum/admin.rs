//! One question after the other to a cluster, as Kafka's admin client asks them: of any broker, or of the active controller.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::ClientConfig;
use client::tools::exception::{Refusal, bare, exception};
use protocol::messages::{ApiVersionsRequest, DescribeClusterRequest, DescribeClusterResponse};
use protocol::{ApiKey, ErrorCode, Request, RequestBody, ResponseBody, Str, frame};

/// `endpoint_type` of DescribeCluster.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
/// Every node of the last years knows it, and it says what else the node knows.
const API_VERSIONS: i16 = 3;
const LONGEST_ANSWER: usize = 64 << 20;

/// A cluster, by where it is reached first.
pub(crate) struct Admin {
    config: ClientConfig,
    by_controllers: bool,
}

/// Why a question was not answered.
pub(crate) enum Failure {
    /// It may be, at another node or later.
    Passing(String),
    /// It will not be.
    Final(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Passing(error.to_string())
    }
}

impl Admin {
    pub(crate) fn new(config: ClientConfig, by_controllers: bool) -> Admin {
        Admin { config, by_controllers }
    }

    /// One of its nodes alone, which answers itself.
    pub(crate) fn at(&self, host: Str, port: u16) -> Admin {
        let config = ClientConfig { bootstrap_servers: vec![(host, port)], ..self.config.clone() };
        Admin { config, by_controllers: false }
    }

    /// The cluster as its brokers, or its controllers, describe it.
    pub(crate) fn cluster(&self) -> Result<DescribeClusterResponse, String> {
        let endpoint_type = if self.by_controllers { CONTROLLERS } else { BROKERS };
        let body = DescribeClusterRequest { endpoint_type, ..Default::default() };
        match self.ask("listNodes", &body.into(), ErrorCode::is_retriable)? {
            ResponseBody::DescribeCluster(cluster) => Ok(cluster),
            other => Err(format!("{} answers no such question", other.api_key().name())),
        }
    }

    /// True if it is reached by its controllers, of which the active one answers.
    pub(crate) fn asks_controllers(&self) -> bool {
        self.by_controllers
    }

    /// Asks this node itself.
    pub(crate) fn ask_node(&self, id: i32, call: &str, body: &RequestBody) -> Result<ResponseBody, String> {
        let cluster = self.cluster()?;
        let node = cluster.brokers.iter().find(|node| node.broker_id == id);
        let server = node.and_then(|node| Some((node.host.clone(), u16::try_from(node.port).ok()?)));
        let Some((host, port)) = server else {
            let what = format!("Node {id} is not there to be asked. Call: {call}");
            return Err(exception("TimeoutException", &what));
        };
        self.at(host, port).ask(call, body, |_| false)
    }

    /// Asks until there is an answer, or `default.api.timeout.ms` is over. `passes` says which errors are worth another try.
    pub(crate) fn ask(
        &self,
        call: &str,
        body: &RequestBody,
        passes: fn(ErrorCode) -> bool,
    ) -> Result<ResponseBody, String> {
        self.ask_on(call, body, passes, &mut |_| ())
    }

    /// As [`Admin::ask`], and tells meanwhile why there is no answer yet.
    pub(crate) fn ask_on(
        &self,
        call: &str,
        body: &RequestBody,
        passes: fn(ErrorCode) -> bool,
        tell: &mut dyn FnMut(&str),
    ) -> Result<ResponseBody, String> {
        let ends = Instant::now() + millis(self.config.default_api_timeout_ms);
        let mut why = None;
        for server in self.config.bootstrap_servers.iter().cycle() {
            if Instant::now() >= ends {
                break;
            }
            match self.ask_by(server, body, i16::MAX, passes, ends) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(why)) => return Err(why),
                Err(Failure::Passing(what)) => {
                    tell(&format!("{}:{}: {}", server.0, server.1, bare(&what)));
                    why = Some(format!("{}:{}: {what}", server.0, server.1));
                }
            }
            std::thread::sleep(
                millis(self.config.retry_backoff_ms).min(ends.saturating_duration_since(Instant::now())),
            );
        }
        let why = why.unwrap_or_default();
        let what = format!("Timed out waiting for a node assignment. Call: {call} ({why})");
        Err(exception("TimeoutException", &what))
    }

    /// Asks once, by way of a server of which nothing is known, in no version after `latest`.
    pub(crate) fn ask_by(
        &self,
        server: &(Str, u16),
        body: &RequestBody,
        latest: i16,
        passes: fn(ErrorCode) -> bool,
        ends: Instant,
    ) -> Result<ResponseBody, Failure> {
        let mut node = Connection::open(server, &self.config, ends)?;
        if self.by_controllers && body.api_key() != ApiKey::DescribeCluster {
            let question = DescribeClusterRequest { endpoint_type: CONTROLLERS, ..Default::default() };
            let ResponseBody::DescribeCluster(cluster) =
                node.ask(question.into(), i16::MAX, ErrorCode::is_retriable)?
            else {
                return Err(Failure::Passing("it answers something else".to_owned()));
            };
            let leader = cluster.brokers.iter().find(|it| it.broker_id == cluster.controller_id);
            let Some(leader) = leader else {
                // What keeps the quorum without a leader each of its nodes can tell.
                if body.api_key() == ApiKey::DescribeQuorum {
                    return node.ask(body.clone(), latest, passes);
                }
                return Err(Failure::Passing("no controller leads".to_owned()));
            };
            let port = u16::try_from(leader.port).map_err(|_| Failure::Passing("no such port".to_owned()))?;
            node = Connection::open(&(leader.host.clone(), port), &self.config, ends)?;
        }
        node.ask(body.clone(), latest, passes)
    }
}

/// A node, and what it can do.
struct Connection {
    stream: TcpStream,
    client_id: Str,
    versions: Vec<(i16, i16, i16)>,
}

impl Connection {
    fn open((host, port): &(Str, u16), config: &ClientConfig, ends: Instant) -> Result<Connection, Failure> {
        let left = || ends.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut addresses = (&**host, *port).to_socket_addrs()?;
        let address = addresses.next().ok_or_else(|| Failure::Passing("the name has no address".to_owned()))?;
        let stream = TcpStream::connect_timeout(&address, millis(config.connection_setup_timeout_ms).min(left()))?;
        stream.set_read_timeout(Some(millis(config.request_timeout_ms).min(left())))?;
        stream.set_nodelay(true)?;
        let client_id =
            if config.client_id.is_empty() { Str::from_static("adminclient-1") } else { config.client_id.clone() };
        let mut connection = Connection { stream, client_id, versions: Vec::new() };
        let question = ApiVersionsRequest {
            client_software_name: Str::from_static("vivarium"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        };
        if let ResponseBody::ApiVersions(answer) = connection.exchange(API_VERSIONS, question.into())? {
            connection.versions =
                answer.api_keys.iter().map(|it| (it.api_key, it.min_version, it.max_version)).collect();
        }
        Ok(connection)
    }

    fn ask(&mut self, body: RequestBody, latest: i16, passes: fn(ErrorCode) -> bool) -> Result<ResponseBody, Failure> {
        let api = body.api_key();
        let theirs = self.versions.iter().find(|(key, ..)| *key == api as i16);
        let version = theirs.map(|(_, least, most)| (*least, (*most).min(*api.versions().end()).min(latest)));
        let version = version.filter(|(least, version)| least <= version && api.versions().contains(version));
        let Some((_, version)) = version else {
            let what = format!("The node does not support {}", screaming(api.name()));
            return Err(Failure::Final(exception("UnsupportedVersionException", &what)));
        };
        let answer = self.exchange(version, body)?;
        match refusal(&answer) {
            None => Ok(answer),
            Some(it) if it.error == ErrorCode::NotController || passes(it.error) => Err(Failure::Passing(it.told())),
            Some(it) => Err(Failure::Final(it.told())),
        }
    }

    fn exchange(&mut self, version: i16, body: RequestBody) -> Result<ResponseBody, Failure> {
        let api = body.api_key();
        let mut request = Request { version, correlation_id: 0, client_id: Some(self.client_id.clone()), body };
        let wrong = |what: &dyn std::fmt::Display| Failure::Final(exception("ProtocolException", &what.to_string()));
        let frame = frame::encode_request(&mut request).map_err(|error| wrong(&error))?;
        let bytes = frame.bytes().ok_or_else(|| wrong(&"a request names bytes of a log"))?;
        self.stream.write_all(&bytes)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = usize::try_from(i32::from_be_bytes(size)).ok().filter(|it| *it <= LONGEST_ANSWER);
        let mut bytes = vec![0; size.ok_or_else(|| wrong(&"an answer has no such size"))?];
        self.stream.read_exact(&mut bytes)?;
        frame::decode_response(api, version, Bytes::from(bytes)).map(|it| it.body).map_err(|error| wrong(&error))
    }
}

/// The error in an answer.
fn refusal(answer: &ResponseBody) -> Option<Refusal> {
    match answer {
        ResponseBody::DescribeCluster(it) => Refusal::of(it.error_code, it.error_message.as_ref()),
        ResponseBody::AddRaftVoter(it) => Refusal::of(it.error_code, it.error_message.as_ref()),
        ResponseBody::RemoveRaftVoter(it) => Refusal::of(it.error_code, it.error_message.as_ref()),
        ResponseBody::ListGroups(it) => Refusal::of(it.error_code, None),
        ResponseBody::FindCoordinator(it) => {
            it.coordinators.iter().find_map(|it| Refusal::of(it.error_code, it.error_message.as_ref()))
        }
        ResponseBody::AlterPartitionReassignments(it) => Refusal::of(it.error_code, it.error_message.as_ref()),
        ResponseBody::ListPartitionReassignments(it) => Refusal::of(it.error_code, it.error_message.as_ref()),
        // Any other error is told of every feature.
        ResponseBody::UpdateFeatures(it) => {
            Refusal::of(it.error_code, it.error_message.as_ref()).filter(|it| it.error == ErrorCode::NotController)
        }
        ResponseBody::DescribeQuorum(it) => Refusal::of(it.error_code, it.error_message.as_ref()).or_else(|| {
            let mut partitions = it.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.find_map(|it| Refusal::of(it.error_code, it.error_message.as_ref()))
        }),
        _ => None,
    }
}

/// `AddRaftVoter` as Kafka's `ADD_RAFT_VOTER`.
fn screaming(name: &str) -> String {
    let mut screamed = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !screamed.is_empty() {
            screamed.push('_');
        }
        screamed.push(letter.to_ascii_uppercase());
    }
    screamed
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(1).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_as_java_tells_them() {
        assert_eq!(screaming(ApiKey::AddRaftVoter.name()), "ADD_RAFT_VOTER");
    }
}
