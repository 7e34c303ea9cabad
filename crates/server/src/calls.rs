//! Calls to other nodes over sockets: one connection for each peer, listener and [`Lane`], opened when it is needed and dialled again
//! with Kafka's backoff; requests in order, answers in order, each with its deadline.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use node::config::Setup;
use node::outbox::{Call, CallError, CallId, Lane};
use protocol::frame::{self, Piece, Request};
use protocol::messages::{ApiKey, ResponseBody};
use protocol::{NodeId, Str};

use crate::connection::{Chunk, Connection, Fault, Read};
use crate::dial::Resolver;
use crate::held::Held;

/// Tokens from here on are connections that this node has opened.
pub(crate) const FIRST_CALL: usize = 1 << 62;
/// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// An answer says how long it is; what it claims is allocated only as it arrives.
const LONGEST_ANSWER: usize = i32::MAX as usize;

/// A line that has been closed and silent for so long makes room for another peer's.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// How connections are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialling {
    /// `socket.connection.setup.timeout.ms` and `socket.connection.setup.timeout.max.ms`.
    setup: (Duration, Duration),
    /// `replica.socket.receive.buffer.bytes`, if it is set.
    replica_receive_bytes: Option<usize>,
}

impl Dialling {
    pub(crate) fn new(setup: Setup, replica_receive_bytes: Option<usize>) -> Dialling {
        let setup = (Duration::from_millis(setup.first_ms), Duration::from_millis(setup.most_ms));
        Dialling { setup, replica_receive_bytes }
    }

    /// How long an address has to accept, after so many failures in a row.
    fn patience(self, failures: u32) -> Duration {
        self.setup.0.saturating_mul(1 << failures.min(10)).min(self.setup.1)
    }
}

/// A call that came to its end.
pub(crate) type Finished = (CallId, Result<ResponseBody, CallError>);

/// All lines to other nodes.
pub(crate) struct Calls {
    node_id: NodeId,
    registry: Registry,
    resolver: Resolver,
    dialling: Dialling,
    lines: Vec<Line>,
    by_peer: HashMap<(NodeId, Str, u16, Lane), usize>,
    by_token: HashMap<usize, usize>,
    next_token: usize,
    /// Peers that cannot be reached, of which people were told.
    told: HashSet<(Str, u16)>,
    /// Peers whose last answer made no sense, of which people were told.
    told_of_nonsense: HashSet<(Str, u16)>,
    /// Where somebody let us in: a refusal there is news of the process.
    reached: HashSet<(Str, u16)>,
    finished: VecDeque<Finished>,
    /// Requests are bytes; nothing of a file is sent.
    nothing_held: Held,
}

/// The way to a listener of another node.
struct Line {
    peer: NodeId,
    lane: Lane,
    host: Str,
    port: u16,
    state: State,
    waiting: VecDeque<(Instant, Call)>,
    sent: VecDeque<Sent>,
    /// How often in a row it could not be opened or broke, and when to dial again.
    failures: u32,
    dial_at: Instant,
    /// Each address that was tried this time refused.
    is_refused: bool,
}

enum State {
    Closed,
    Resolving,
    /// The addresses that are left if this one does not answer until then.
    Connecting(Box<Connection>, usize, VecDeque<SocketAddr>, Instant),
    Open(Box<Connection>, usize),
}

struct Sent {
    deadline: Instant,
    id: CallId,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
}

impl Calls {
    pub(crate) fn new(
        node_id: NodeId,
        registry: Registry,
        dialling: Dialling,
        wake: impl Fn() + Clone + Send + 'static,
    ) -> Calls {
        Calls {
            node_id,
            registry,
            resolver: Resolver::new(wake),
            dialling,
            lines: Vec::new(),
            by_peer: HashMap::new(),
            by_token: HashMap::new(),
            next_token: FIRST_CALL,
            told: HashSet::new(),
            told_of_nonsense: HashSet::new(),
            reached: HashSet::new(),
            finished: VecDeque::new(),
            nothing_held: Held::new(0),
        }
    }

    /// Asks another node.
    pub(crate) fn call(&mut self, now: Instant, call: Call) {
        let deadline = now + Duration::from_millis(u64::try_from(call.timeout_ms).unwrap_or(0));
        let lane = call.lane();
        let key = (call.to, call.host.clone(), call.port, lane);
        let index = match self.by_peer.get(&key) {
            Some(index) => *index,
            None => {
                let index = self.place(Line::new(call.to, call.host.clone(), call.port, lane, now), now);
                self.by_peer.insert(key, index);
                index
            }
        };
        self.lines[index].waiting.push_back((deadline, call));
        if lane == Lane::Knock {
            // Who knocks has pauses of its own, and asks how it is now.
            self.lines[index].dial_at = now;
        }
        self.dial(index, now);
        self.send(index, now);
    }

    /// Nobody waits for the answer any more: what was not sent never is. What was is answered in its turn.
    pub(crate) fn give_up(&mut self, id: CallId) {
        for line in &mut self.lines {
            line.waiting.retain(|(_, call)| call.id != id);
        }
    }

    /// Peers come and go, and so do their addresses: a new line takes the place of one that nobody has used for a while.
    fn place(&mut self, line: Line, now: Instant) -> usize {
        let Some(index) = self.lines.iter().position(|it| it.is_forgotten(now)) else {
            self.lines.push(line);
            return self.lines.len() - 1;
        };
        let old = std::mem::replace(&mut self.lines[index], line);
        self.by_peer.retain(|_, it| *it != index);
        self.told.remove(&(old.host, old.port));
        index
    }

    /// A socket of ours has something, or takes something.
    pub(crate) fn event(&mut self, token: usize, now: Instant) {
        let Some(index) = self.by_token.get(&token).copied() else { return };
        if let State::Connecting(..) = self.lines[index].state {
            self.connected(index, now);
        }
        self.send(index, now);
        self.receive(index, now);
    }

    /// Dials, and gives up what took too long.
    pub(crate) fn turn(&mut self, now: Instant) {
        while let Some((index, found)) = self.resolver.answer() {
            self.resolved(index, found, now);
        }
        for index in 0..self.lines.len() {
            self.expire(index, now);
            self.dial(index, now);
        }
    }

    /// When `turn` has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lines.iter().filter_map(Line::due).min()
    }

    /// A call that came to its end.
    pub(crate) fn finished(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    /// True while calls that came to their end were not taken.
    pub(crate) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    fn dial(&mut self, index: usize, now: Instant) {
        let line = &mut self.lines[index];
        if !matches!(line.state, State::Closed) || line.waiting.is_empty() || line.dial_at > now {
            return;
        }
        line.state = State::Resolving;
        if let Some(found) = self.resolver.resolve(index, &line.host, line.port) {
            self.resolved(index, found, now);
        }
    }

    fn resolved(&mut self, index: usize, found: io::Result<Vec<SocketAddr>>, now: Instant) {
        if !matches!(self.lines[index].state, State::Resolving) {
            return;
        }
        match found {
            Ok(addresses) => {
                self.lines[index].is_refused = true;
                let why = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                self.try_next(index, addresses.into(), why, now);
            }
            Err(error) => self.unreachable(index, &error, now),
        }
    }

    /// Connects to the first of the addresses that can be tried.
    fn try_next(&mut self, index: usize, mut addresses: VecDeque<SocketAddr>, mut why: io::Error, now: Instant) {
        while let Some(address) = addresses.pop_front() {
            match self.open(address, self.lines[index].lane) {
                Ok((connection, token)) => {
                    self.by_token.insert(token, index);
                    let until = now + self.dialling.patience(self.lines[index].failures);
                    self.lines[index].state = State::Connecting(Box::new(connection), token, addresses, until);
                    return;
                }
                Err(error) => {
                    self.note(index, &error);
                    why = error;
                }
            }
        }
        self.unreachable(index, &why, now);
    }

    /// An address failed.
    fn note(&mut self, index: usize, why: &io::Error) {
        self.lines[index].is_refused &= why.kind() == io::ErrorKind::ConnectionRefused;
    }

    fn open(&mut self, address: SocketAddr, lane: Lane) -> io::Result<(Connection, usize)> {
        let mut connection = Connection::new(TcpStream::connect(address)?)?;
        if let Some(bytes) = self.dialling.replica_receive_bytes.filter(|_| lane == Lane::Fetch) {
            rustix::net::sockopt::set_socket_recv_buffer_size(&*connection.stream(), bytes)?;
        }
        let token = self.next_token;
        self.next_token += 1;
        self.registry.register(connection.stream(), Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok((connection, token))
    }

    fn connected(&mut self, index: usize, now: Instant) {
        let line = &mut self.lines[index];
        let State::Connecting(connection, token, ..) = &mut line.state else { return };
        let why = match connection.stream().take_error() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => match connection.stream().peer_addr() {
                Ok(_) => {
                    let token = *token;
                    let State::Connecting(connection, ..) = std::mem::replace(&mut line.state, State::Closed) else {
                        return;
                    };
                    line.state = State::Open(connection, token);
                    line.failures = 0;
                    let door = (line.host.clone(), line.port);
                    self.told.remove(&door);
                    self.reached.insert(door);
                    return;
                }
                // Not yet: the socket tells again.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return,
                Err(error) => error,
            },
        };
        self.note(index, &why);
        let addresses = self.hang_up(index);
        self.try_next(index, addresses, why, now);
    }

    /// Nobody can be reached there: the calls that wait hear of it.
    fn unreachable(&mut self, index: usize, why: &io::Error, now: Instant) {
        self.hang_up(index);
        let line = &mut self.lines[index];
        line.back_off(now);
        if self.told.insert((line.host.clone(), line.port)) {
            let (peer, host, port) = (whom(line.peer), &line.host, line.port);
            tracing::warn!("cannot reach {peer} at {host}:{port}: {why}; trying again");
        }
        // Refused is what a host says of a port where nobody listens, if it is not a firewall that says so always. A name that
        // cannot be looked up, a host that is away, a silence and a lack of descriptors say nothing of the process.
        let is_refused = line.is_refused && why.kind() == io::ErrorKind::ConnectionRefused;
        let is_proof = is_refused && self.reached.contains(&(line.host.clone(), line.port));
        let error = if is_proof { CallError::Refused } else { CallError::TimedOut };
        let waiting = std::mem::take(&mut line.waiting);
        self.finished.extend(waiting.into_iter().map(|(_, call)| (call.id, Err(error))));
    }

    /// Forgets the socket, which closes it; tells which addresses were left to try.
    fn hang_up(&mut self, index: usize) -> VecDeque<SocketAddr> {
        let (mut connection, token, addresses) = match std::mem::replace(&mut self.lines[index].state, State::Closed) {
            State::Closed | State::Resolving => return VecDeque::new(),
            State::Connecting(connection, token, addresses, _) => (connection, token, addresses),
            State::Open(connection, token) => (connection, token, VecDeque::new()),
        };
        self.by_token.remove(&token);
        // A failure to deregister leaves nothing behind: the descriptor is closed right here.
        let _ = self.registry.deregister(connection.stream());
        addresses
    }

    /// The connection is given up: the call that was to be answered first fails like this, the others sent with it.
    fn lose(&mut self, index: usize, first: CallError, now: Instant) {
        self.hang_up(index);
        let line = &mut self.lines[index];
        line.back_off(now);
        for (place, sent) in std::mem::take(&mut line.sent).into_iter().enumerate() {
            let error = if place == 0 { first } else { CallError::Reset };
            self.finished.push_back((sent.id, Err(error)));
        }
    }

    /// Sends what waits, as far as the socket takes it.
    fn send(&mut self, index: usize, now: Instant) {
        let line = &mut self.lines[index];
        let State::Open(connection, _) = &mut line.state else { return };
        for (deadline, call) in std::mem::take(&mut line.waiting) {
            let correlation_id = line.sent.back().map_or(0, |it| it.correlation_id.wrapping_add(1));
            let (id, api, version) = (call.id, call.body.api_key(), call.version);
            let client_id = Some(Str::from(self.node_id.to_string()));
            let mut request = Request { version, correlation_id, client_id, body: call.body };
            match encoded(&mut request) {
                Ok(chunks) => {
                    connection.queue(chunks);
                    line.sent.push_back(Sent { deadline, id, api, version, correlation_id });
                }
                Err(what) => {
                    tracing::error!("a call of {} cannot be encoded: {what}", api.name());
                    self.finished.push_back((id, Err(CallError::Malformed)));
                }
            }
        }
        if let Err(fault) = connection.write(&self.nothing_held) {
            tracing::debug!(%fault, "a connection to another node broke");
            self.lose(index, CallError::Reset, now);
        }
    }

    /// Takes the answers that have come.
    fn receive(&mut self, index: usize, now: Instant) {
        loop {
            let line = &mut self.lines[index];
            let State::Open(connection, _) = &mut line.state else { return };
            let error = match connection.read(LONGEST_ANSWER) {
                Ok(Read::Blocked) => return,
                Ok(Read::Frame(frame)) => match line.sent.front().map(|sent| answer(sent, frame)) {
                    Some(Ok(body)) => {
                        let sent = line.sent.pop_front();
                        self.finished.extend(sent.map(|sent| (sent.id, Ok(body))));
                        if !self.told_of_nonsense.is_empty() {
                            self.told_of_nonsense.remove(&(line.host.clone(), line.port));
                        }
                        continue;
                    }
                    Some(Err(what)) => {
                        self.nonsense(index, &format!("answers nonsense: {what}"));
                        CallError::Malformed
                    }
                    None => CallError::Malformed,
                },
                Ok(Read::Closed) => CallError::Reset,
                Err(Fault::Size(size)) => {
                    self.nonsense(index, &format!("sends a frame of {size} bytes"));
                    CallError::Malformed
                }
                Err(Fault::Io(_) | Fault::ShortFile | Fault::Disk(..)) => CallError::Reset,
            };
            self.lose(index, error, now);
        }
    }

    /// People hear once of a peer that is none: it is asked on, for it may be replaced.
    fn nonsense(&mut self, index: usize, what: &str) {
        let line = &self.lines[index];
        if self.told_of_nonsense.insert((line.host.clone(), line.port)) {
            tracing::warn!("{} at {}:{} {what}; trying again", whom(line.peer), line.host, line.port);
        }
    }

    fn expire(&mut self, index: usize, now: Instant) {
        let line = &mut self.lines[index];
        if let State::Connecting(.., until) = line.state
            && until <= now
        {
            let addresses = self.hang_up(index);
            let why = io::Error::new(io::ErrorKind::TimedOut, "no answer");
            self.note(index, &why);
            self.try_next(index, addresses, why, now);
        }
        let line = &mut self.lines[index];
        let finished = &mut self.finished;
        line.waiting.retain(|(deadline, call)| {
            let is_late = *deadline <= now;
            if is_late {
                finished.push_back((call.id, Err(CallError::TimedOut)));
            }
            !is_late
        });
        if !line.sent.iter().any(|it| it.deadline <= now) {
            return;
        }
        // Answers come in order: behind one that is missed no other will come, so the connection is given up.
        for sent in std::mem::take(&mut line.sent) {
            let error = if sent.deadline <= now { CallError::TimedOut } else { CallError::Reset };
            finished.push_back((sent.id, Err(error)));
        }
        line.back_off(now);
        self.hang_up(index);
    }
}

/// Who a peer is to people: of a bootstrap server nobody knows the number yet, and ours for it says nothing.
fn whom(peer: NodeId) -> String {
    if peer < NodeId(0) { "the controller".to_owned() } else { format!("node {peer}") }
}

impl Line {
    fn new(peer: NodeId, host: Str, port: u16, lane: Lane, now: Instant) -> Line {
        Line {
            peer,
            lane,
            host,
            port,
            state: State::Closed,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            failures: 0,
            dial_at: now,
            is_refused: false,
        }
    }

    fn back_off(&mut self, now: Instant) {
        let wait = BACKOFF.0.saturating_mul(1 << self.failures.min(10)).min(BACKOFF.1);
        self.dial_at = now + wait;
        self.failures += 1;
    }

    /// True if nothing refers to it: no socket, no look-up and no call.
    fn is_forgotten(&self, now: Instant) -> bool {
        matches!(self.state, State::Closed)
            && self.waiting.is_empty()
            && self.sent.is_empty()
            && self.dial_at + FORGOTTEN_AFTER <= now
    }

    fn due(&self) -> Option<Instant> {
        let deadlines = self.waiting.iter().map(|it| it.0).chain(self.sent.iter().map(|it| it.deadline));
        let state = match &self.state {
            State::Closed if !self.waiting.is_empty() => Some(self.dial_at),
            State::Connecting(.., until) => Some(*until),
            State::Closed | State::Resolving | State::Open(..) => None,
        };
        deadlines.chain(state).min()
    }
}

fn encoded(request: &mut Request) -> Result<Vec<Chunk>, String> {
    let frame = frame::encode_request(request).map_err(|error| error.to_string())?;
    let chunks = frame.pieces.into_iter().map(|piece| match piece {
        Piece::Bytes(bytes) => Ok(Chunk::Bytes(bytes)),
        Piece::Region(_) => Err("it names bytes of a log".to_owned()),
    });
    chunks.collect()
}

fn answer(sent: &Sent, frame: Bytes) -> Result<ResponseBody, String> {
    let response = frame::decode_response(sent.api, sent.version, frame).map_err(|error| error.to_string())?;
    if response.correlation_id != sent.correlation_id {
        return Err(format!("correlation id {} where {} is next", response.correlation_id, sent.correlation_id));
    }
    Ok(response.body)
}

#[cfg(test)]
mod tests;
