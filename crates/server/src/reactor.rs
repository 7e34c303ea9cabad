//! The core's thread: sockets in, one `handle` an input, effects out. Disks are on the storage lane.
//!
//! A turn: wait for the sockets, the lane or a deadline; feed what came to the node, connection by connection, for a
//! bounded time; carry the outbox out as a whole. So the store operations of a turn's requests reach the lane together,
//! one write serves them, another one a connection all its answers, and nobody who asks much makes the others wait for long.

mod doors;

use ordered::Set;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, UnixStream as MioUnixStream};
use mio::{Events, Interest, Poll, Token};
use node::config::{ConnectionLimits, Queue};
use node::gateway::api_versions;
use node::input::{ConnId, Input, Peer, PeerHost};
use node::outbox::{Call, Credit, Reply};
use node::{Event, Node, Outbox};
use protocol::frame::{self, Piece};
use protocol::frame::{Request, Response};
use protocol::messages::{ApiKey, ResponseBody};
use protocol::{Era, FileId, Instant, NodeId, Now, Offset, RequestError, Str, WallMs};
use storage::{OpId, StoreError, StoreOp, log_of};

use self::doors::{Early, next_idle_look};
use crate::address_limits::AddressLimits;
use crate::calls::{Calls, FIRST_CALL};
use crate::closer::Closer;
use crate::compressors::NativeCompressors;
use crate::connection::{Chunk, Connection, Fault, Read, Sent};
use crate::connection_quotas::{ConnectionQuotas, Door};
use crate::connection_rate::ConnectionRate;
use crate::file::NativeFile;
use crate::lane::Lane;
use crate::own_calls::{Advertised, OwnCalls, own_listener};
use crate::reader::{ReadFault, Reader};
use crate::telling::tell;

/// The waker and the stop signal; listeners follow, then connections.
pub(crate) const WAKE: Token = Token(0);
const STOP: Token = Token(1);
const FIRST_LISTENER: usize = 2;
/// Connections count up from here and are never numbered twice.
const FIRST_CONN: usize = 1024;
/// One connection may bring this many requests before the others have theirs.
const REQUESTS_A_TURN: usize = 8;
/// Requests are taken in for this long, or up to so many bytes, before the outbox is carried out and the sockets are looked at
/// again: large appends gain nothing by being handed over together, and a follower's fetch waits for its turn meanwhile.
const TURN: Duration = Duration::from_millis(2);
const TURN_BYTES: usize = 256 << 10;
/// A connection that has this much unsent is not read from: a client must take its answers.
const UNSENT_LIMIT: u64 = 1024 * 1024;
/// How long a file that was deleted or compacted away is kept open for answers that are on their way.
const RETIRED_FOR: Duration = Duration::from_secs(10);
/// How often a listener is tried again that had no descriptor left for a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Kafka lets one request a connection in at a time; we answer in order and let a bounded number in.
const IN_FLIGHT_LIMIT: usize = 256;

/// A bound listener and its name in the configuration.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) name: Str,
    pub(crate) socket: TcpListener,
    /// How connections to it are counted.
    pub(crate) door: Door,
}

/// What the reactor needs to know apart from the node.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `node.id`: who a call to ourselves goes to.
    pub(crate) node_id: NodeId,
    /// The listeners at which others, and this node itself, reach it.
    pub(crate) advertised: Vec<Advertised>,
    /// `socket.request.max.bytes`.
    pub(crate) max_request_bytes: usize,
    /// `connections.max.idle.ms`; `None` for ever.
    pub(crate) max_idle: Option<Duration>,
    /// What may wait between clients and disks.
    pub(crate) queue: Queue,
    /// Told once when the node serves requests.
    pub(crate) ready: Sender<()>,
}

/// The ways out of the core's thread: to files that are written, files that are read, other nodes, and names that are looked up.
pub(crate) struct Ways {
    pub(crate) lane: Lane,
    pub(crate) reader: Reader,
    pub(crate) calls: Calls,
    pub(crate) addresses: AddressLimits,
}

/// What is left of a turn.
struct Turn {
    end: std::time::Instant,
    bytes: usize,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// A controlled shutdown ran to its end.
    Stopped,
    /// A log directory failed and the node had no other; what the disk said.
    StorageFailed(String),
}

pub(crate) struct Reactor {
    poll: Poll,
    listeners: Vec<Listener>,
    stop: MioUnixStream,
    settings: Settings,
    node: Node,
    outbox: Outbox,
    lane: Lane,
    reader: Reader,
    connections: HashMap<ConnId, Connection>,
    next_conn: usize,
    /// Connections that may have input, each once, in the order in which they have their turn.
    unread: VecDeque<ConnId>,
    /// Connections with answers of this turn, each once: what a connection is told in a turn leaves in one piece.
    answered: Vec<ConnId>,
    /// Listeners with connections that could not be accepted.
    deaf: Set<usize>,
    quotas: ConnectionQuotas,
    /// Listeners with connections that have to wait until others end.
    full: Set<usize>,
    /// Connections came or went since they were counted.
    is_count_due: bool,
    /// How many connections there may be, and how fast they may come.
    limits: ConnectionLimits,
    /// The metadata by which that is so.
    limits_of: Offset,
    /// Those addresses that may have more or fewer than others.
    addresses: AddressLimits,
    /// How fast they come: those of clients and brokers, and of controllers.
    rates: [ConnectionRate; 2],
    /// By listener, who came too soon.
    early: HashMap<usize, Early>,
    /// Bytes of the frames that have begun to arrive from clients and brokers, each as a whole.
    arriving: u64,
    /// Connections that are not read from until the disks have caught up.
    kept_waiting: Set<ConnId>,
    /// When to look for idle connections.
    next_idle_look: Option<std::time::Instant>,
    calls: Calls,
    own_calls: OwnCalls,
    closer: Closer,
    /// Files that no new answer will name. One that waits for its other partitions may have named them before.
    retired: VecDeque<(std::time::Instant, FileId)>,
    files: HashMap<FileId, NativeFile>,
    /// Of logs that were cut: what an era before this one names from this position on is not there any more.
    cuts: HashMap<FileId, (Era, u64)>,
    booted: std::time::Instant,
    started: bool,
    failure: Option<String>,
}

impl Reactor {
    pub(crate) fn new(
        poll: Poll,
        mut listeners: Vec<Listener>,
        stop: UnixStream,
        settings: Settings,
        node: Node,
        Ways { lane, reader, calls, mut addresses }: Ways,
    ) -> io::Result<Reactor> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(&mut listener.socket, Token(FIRST_LISTENER + index), Interest::READABLE)?;
        }
        stop.set_nonblocking(true)?;
        let next_idle_look = settings.max_idle.map(next_idle_look);
        let limits = node.connection_limits();
        addresses.set(std::time::Instant::now(), limits.most_of.clone());
        let mut stop = MioUnixStream::from_std(stop);
        poll.registry().register(&mut stop, STOP, Interest::READABLE)?;
        Ok(Reactor {
            poll,
            listeners,
            stop,
            settings,
            node,
            outbox: Outbox::with_events(),
            lane,
            reader,
            connections: HashMap::new(),
            next_conn: FIRST_CONN,
            unread: VecDeque::new(),
            answered: Vec::new(),
            deaf: Set::new(),
            quotas: ConnectionQuotas::default(),
            full: Set::new(),
            is_count_due: false,
            limits,
            limits_of: Offset(-1),
            addresses,
            rates: Default::default(),
            early: HashMap::new(),
            arriving: 0,
            kept_waiting: Set::new(),
            next_idle_look,
            calls,
            own_calls: OwnCalls::default(),
            closer: Closer::default(),
            retired: VecDeque::new(),
            files: HashMap::new(),
            cuts: HashMap::new(),
            booted: std::time::Instant::now(),
            started: false,
            failure: None,
        })
    }

    /// Runs the node until it has stopped.
    pub(crate) fn run(mut self) -> io::Result<Ended> {
        let mut events = Events::with_capacity(1024);
        self.feed(Input::Wake);
        self.carry_out();
        loop {
            self.poll.poll(&mut events, self.patience()).or_else(|error| match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            })?;
            for event in &events {
                match event.token() {
                    WAKE => {}
                    STOP => self.begin_stop(),
                    Token(index) if index < FIRST_CONN => self.accept(index - FIRST_LISTENER),
                    Token(index) if index >= FIRST_CALL => self.calls.event(index, std::time::Instant::now()),
                    Token(index) => {
                        let conn = ConnId(index as u64);
                        if event.is_writable() {
                            self.write(conn);
                        }
                        if event.is_readable() || event.is_read_closed() {
                            self.enqueue(conn);
                        }
                    }
                }
            }
            for index in std::mem::take(&mut self.deaf) {
                self.accept(index);
            }
            self.addresses.turn(std::time::Instant::now());
            self.accept_early();
            self.take_finished();
            self.take_arrivals();
            self.take_answers();
            self.read_on();
            self.read_queued();
            self.close_idle();
            self.make_room();
            if self.node.wake_at().is_some_and(|(at, _)| at <= self.now().mono) {
                self.feed(Input::Wake);
            }
            self.carry_out();
            self.note_limits();
            if let Some(ended) = self.ended() {
                self.lane.stop();
                self.reader.stop();
                return Ok(ended);
            }
        }
    }

    fn ended(&mut self) -> Option<Ended> {
        if self.outbox.stopped {
            return Some(self.failure.take().map_or(Ended::Stopped, Ended::StorageFailed));
        }
        if self.lane.is_dead() {
            self.lane.stop();
            return Some(Ended::StorageFailed("the storage thread ended".into()));
        }
        // Who waits for one of its reads would wait for ever.
        self.reader.is_dead().then(|| Ended::StorageFailed("a reading thread ended".into()))
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: Instant(u64::try_from(self.booted.elapsed().as_micros()).unwrap_or(u64::MAX)),
            wall: WallMs(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    fn patience(&self) -> Option<Duration> {
        let reads_on = !self.kept_waiting.is_empty() && !self.is_queue_full();
        if !self.unread.is_empty() || self.reader.has_arrivals() || self.is_count_due || reads_on {
            return Some(Duration::ZERO);
        }
        // A millisecond's rounding by epoll would wake too early and spin; one microsecond late is never early.
        let node = self.node.wake_at().map(|(at, _)| at.since(self.now().mono) + Duration::from_micros(1));
        let accept = (!self.deaf.is_empty()).then_some(ACCEPT_AGAIN);
        let doors = [self.early_due(), self.addresses.due()].into_iter().flatten().min();
        let doors = doors.map(|at| at.saturating_duration_since(std::time::Instant::now()));
        let idle = self.next_idle_look.map(|at| at.saturating_duration_since(std::time::Instant::now()));
        let calls = [self.calls.due(), self.own_calls.due()].into_iter().flatten().min();
        let calls = calls.map(|at| at.saturating_duration_since(std::time::Instant::now()) + Duration::from_micros(1));
        [node, accept, doors, idle, calls].into_iter().flatten().min()
    }

    fn feed(&mut self, input: Input) {
        let now = self.now();
        self.node.handle(now, input, &mut self.outbox);
    }

    fn begin_stop(&mut self) {
        let mut drained = [0; 16];
        while matches!(io::Read::read(&mut self.stop, &mut drained), Ok(count) if count > 0) {}
        self.feed(Input::Stop);
    }

    /// Gives a connection a turn to be read, unless it waits for one already.
    fn enqueue(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.get_mut(&conn)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.unread.push_back(conn);
        }
    }

    fn read_queued(&mut self) {
        let mut turn = Turn { end: std::time::Instant::now() + TURN, bytes: TURN_BYTES };
        while let Some(conn) = self.unread.pop_front() {
            if let Some(connection) = self.connections.get_mut(&conn) {
                connection.queued = false;
            }
            if self.read(conn, &mut turn) {
                return;
            }
        }
    }

    /// Takes requests of a connection in, a few at a time. True when the turn is over.
    fn read(&mut self, conn: ConnId, turn: &mut Turn) -> bool {
        for _ in 0..REQUESTS_A_TURN {
            let Some(connection) = self.connections.get_mut(&conn) else { return false };
            let full = connection.unsent() > UNSENT_LIMIT || connection.in_flight() >= IN_FLIGHT_LIMIT;
            // Read again when the core gives credit or an answer has left.
            connection.starved = connection.held || full;
            if connection.starved {
                return false;
            }
            if !connection.is_controllers && connection.arriving() == 0 && self.is_queue_full() {
                self.kept_waiting.insert(conn);
                return false;
            }
            let Some(connection) = self.connections.get_mut(&conn) else { return false };
            let before = connection.queued_bytes();
            let read = connection.read(self.settings.max_request_bytes);
            self.arriving = self.arriving - before + connection.queued_bytes();
            match read {
                Ok(Read::Frame(frame)) => {
                    turn.bytes = turn.bytes.saturating_sub(frame.len());
                    self.request(conn, frame);
                }
                Ok(Read::Blocked) => return false,
                // Requests before the end may be answered by now.
                Ok(Read::Closed) => {
                    self.carry_out();
                    self.close(conn, None);
                    return false;
                }
                Err(fault) => {
                    self.carry_out();
                    self.close(conn, Some(&fault.to_string()));
                    return false;
                }
            }
            if turn.bytes == 0 || std::time::Instant::now() >= turn.end {
                self.enqueue(conn);
                return true;
            }
        }
        self.enqueue(conn);
        false
    }

    fn request(&mut self, conn: ConnId, frame: bytes::Bytes) {
        match frame::decode_request(frame) {
            Ok(mut request) => {
                // What costs per byte is done out here: the core never touches payload.
                self.node.check_records(&mut request);
                let Some(connection) = self.connections.get_mut(&conn) else { return };
                request.correlation_id = connection.admit(request.correlation_id);
                self.feed(Input::Request(conn, request));
            }
            Err(RequestError::UnsupportedVersion { api: ApiKey::ApiVersions, correlation_id, .. }) => {
                let Some(connection) = self.connections.get_mut(&conn) else { return };
                let correlation_id = connection.admit(correlation_id);
                let body = ResponseBody::ApiVersions(api_versions::unsupported_version());
                self.answer(conn, Response { version: 0, correlation_id, body });
            }
            Err(refused) => {
                // Requests before it may be answered by now.
                self.carry_out();
                self.close(conn, Some(&refused.to_string()));
            }
        }
    }

    fn take_finished(&mut self) {
        let mut unused = Vec::new();
        while let Some((_, file)) = self.retired.pop_front_if(|(since, _)| since.elapsed() >= RETIRED_FOR) {
            self.cuts.remove(&file);
            if let Some(file) = self.files.remove(&file) {
                self.reader.forget(&file);
                unused.push(file);
            }
        }
        if !unused.is_empty() {
            self.closer.close(unused);
        }
        for finished in self.lane.finished() {
            for (file, opened) in finished.opened {
                // A log that has moved has its files under the names that they had.
                if let Some(old) = self.files.insert(file, opened) {
                    self.reader.forget(&old);
                }
            }
            let now = std::time::Instant::now();
            self.retired.extend(finished.gone.into_iter().map(|file| (now, file)));
            for change in finished.changes {
                self.reader.apply(change);
            }
            if let Err(error) = &finished.result {
                // The node says what it comes to, once; all that was queued behind it fails in the same words.
                tracing::debug!(%error, "a store operation failed");
            }
            self.feed(Input::Stored(finished.op, finished.result));
        }
    }

    /// Lets those go on who waited for a read.
    fn take_arrivals(&mut self) {
        let end = std::time::Instant::now() + TURN;
        // One by one: what arrived may make room for what comes next.
        while std::time::Instant::now() < end
            && let Some(arrival) = self.reader.next_arrival()
        {
            for conn in arrival.conns {
                match &arrival.fault {
                    None => self.write(conn),
                    Some(ReadFault::Gone(why)) => self.close(conn, Some(why)),
                    Some(ReadFault::Disk(_, error)) => self.close(conn, Some(&error.to_string())),
                }
            }
            if let Some(ReadFault::Disk(file, error)) = arrival.fault {
                self.unreadable(file, error);
            }
        }
    }

    /// Lets the node hear what became of its calls.
    fn take_answers(&mut self) {
        let now = std::time::Instant::now();
        self.calls.turn(now);
        while let Some((id, mut result)) = self.calls.finished().or_else(|| self.own_calls.finished(now)) {
            if let Ok(body) = &mut result {
                // What costs per byte is done out here, as for requests.
                node::check_answer(body, &NativeCompressors);
            }
            self.feed(Input::Answered(id, result));
        }
    }

    /// Carries the outbox out until nothing is left in it.
    fn carry_out(&mut self) {
        // What was answered without the node.
        self.send_answers();
        // Only calls to ourselves, those that fail at once and broken connections feed the node here, so this ends soon.
        while !self.outbox.is_empty() || self.calls.has_finished() {
            self.take_answers();
            self.hear_events();
            let store: Vec<(OpId, StoreOp)> = std::mem::take(&mut self.outbox.store);
            for (_, op) in &store {
                self.before(op);
            }
            if !store.is_empty() {
                self.lane.submit(store);
            }
            for (conn, credit) in std::mem::take(&mut self.outbox.credit) {
                self.give_credit(conn, credit);
            }
            for reply in std::mem::take(&mut self.outbox.replies) {
                self.reply(reply);
            }
            self.send_answers();
            for id in std::mem::take(&mut self.outbox.given_up) {
                self.calls.give_up(id);
            }
            for call in std::mem::take(&mut self.outbox.calls) {
                self.call(call);
            }
        }
    }

    /// Only a cut changes bytes under who sends them: nobody sends what lies beyond it any more when the lane hears of it, and
    /// no answer that names that is sent afterwards.
    fn before(&mut self, op: &StoreOp) {
        match op {
            StoreOp::Truncate(log, _, era) => {
                // Of the metadata log it is not known what goes, and nobody but its followers reads that.
                let parts = self.node.cut_of(*log).unwrap_or_else(|| {
                    self.files.keys().filter(|file| log_of(**file) == *log).map(|file| (*file, 0)).collect()
                });
                let mut cuts = Vec::new();
                for (file, at) in parts {
                    let at = u64::from(at);
                    let cut = self.cuts.entry(file).or_insert((*era, at));
                    *cut = (*era, at.min(cut.1));
                    cuts.extend(self.files.get(&file).map(|it| (it.serial(), at)));
                }
                let sending = self.connections.iter().filter(|(_, it)| it.has_to_send_beyond(&cuts));
                let mut sending: Vec<ConnId> = sending.map(|(conn, _)| *conn).collect();
                sending.sort_unstable();
                for conn in sending {
                    self.close(conn, Some("the log that it is sent from is cut"));
                }
            }
            StoreOp::Remove(log) => self.cuts.retain(|file, _| log_of(*file) != *log),
            _ => {}
        }
    }

    fn hear_events(&mut self) {
        for event in self.outbox.events.iter_mut().flat_map(std::mem::take) {
            match event {
                Event::Started if !self.started => {
                    self.started = true;
                    // Nobody waits any more when the caller gave up; the node serves all the same.
                    let _ = self.settings.ready.send(());
                }
                Event::StorageFailed { what } => tracing::error!("{what}"),
                Event::Warning { what } => tracing::warn!("{what}"),
                Event::Cleaned { topic, partition, end, stats, took_ms } => {
                    let (read, kept) = (stats.bytes_read, stats.bytes_kept);
                    tracing::info!(
                        "{topic}-{partition} is compacted up to offset {end} in {took_ms} ms: {kept} of {read} bytes stay, \
                         {} of {} records, {} keys in {} dirty bytes",
                        stats.records_kept,
                        stats.records_read,
                        stats.keys,
                        stats.map_bytes
                    );
                }
                // Said by whoever started the node.
                Event::Failed { what } => self.failure = Some(what),
                event => tell(&event),
            }
        }
    }

    fn give_credit(&mut self, conn: ConnId, credit: Credit) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.held = credit == Credit::Stop;
        if connection.starved && !connection.held {
            self.enqueue(conn);
        }
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Answer(conn, response) => self.answer(conn, response),
            Reply::Nothing(conn, ticket) => self.send(conn, ticket, Vec::new()),
            Reply::Close(conn, why) => self.close(conn, Some(&why)),
        }
    }

    fn answer(&mut self, conn: ConnId, mut response: Response) {
        if self.own_calls.is_own(conn) {
            if let Some(id) = self.own_calls.answered(response.correlation_id) {
                self.feed(Input::Answered(id, Ok(response.body)));
            }
            return;
        }
        let ticket = response.correlation_id;
        let waiting = self.connections.get_mut(&conn).and_then(|it| it.correlation_id(ticket));
        let Some(correlation_id) = waiting else { return };
        response.correlation_id = correlation_id;
        let api = response.body.api_key();
        let chunks = match frame::encode_response(&mut response) {
            Ok(frame) => frame.pieces.into_iter().map(|piece| self.chunk(piece)).collect::<Option<Vec<_>>>(),
            // The node's fault, not the client's: it must not go unseen.
            Err(error) => {
                let why = format!("our answer to {} cannot be encoded: {error}", api.name());
                tracing::warn!("closing a connection: {why}");
                return self.close(conn, Some(&why));
            }
        };
        match chunks {
            Some(chunks) => self.send(conn, ticket, chunks),
            None => self.close(conn, Some("what an answer names of a log was removed before it was sent")),
        }
    }

    fn chunk(&self, piece: Piece) -> Option<Chunk> {
        match piece {
            Piece::Bytes(bytes) => Some(Chunk::Bytes(bytes)),
            Piece::Region(region) => {
                let (at, len) = (u64::from(region.at), u64::from(region.len));
                if self.cuts.get(&region.file).is_some_and(|cut| region.era < cut.0 && at + len > cut.1) {
                    return None;
                }
                let file = self.files.get(&region.file)?.clone();
                Some(Chunk::File { file, at, len })
            }
        }
    }

    fn send(&mut self, conn: ConnId, ticket: i32, chunks: Vec<Chunk>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.answer(ticket, chunks);
        if !std::mem::replace(&mut connection.answered, true) {
            self.answered.push(conn);
        }
    }

    /// Lets every connection send what it was answered.
    fn send_answers(&mut self) {
        for conn in std::mem::take(&mut self.answered) {
            if let Some(connection) = self.connections.get_mut(&conn) {
                connection.answered = false;
                self.write(conn);
            }
        }
    }

    fn write(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let sent = connection.write(self.reader.held());
        if let Some((file, at)) = connection.take_sent_from() {
            self.reader.progressed(conn, file, at);
        }
        match sent {
            Ok(Sent::Disk { file, at, len }) if !self.reader.want(conn, &file, at, len) => {
                self.close(conn, Some(&Fault::ShortFile.to_string()));
            }
            Ok(_) if connection.starved => self.enqueue(conn),
            Ok(_) => {}
            Err(fault) => {
                self.close(conn, Some(&fault.to_string()));
                if let Fault::Disk(file, error) = fault {
                    self.unreadable(file, error);
                }
            }
        }
    }

    /// The disk refuses to read what an answer names. The node is told, unless the file is no log's any more.
    fn unreadable(&mut self, serial: u64, error: StoreError) {
        if let Some(file) = self.files.iter().find(|(_, file)| file.serial() == serial).map(|(file, _)| *file) {
            self.feed(Input::Unreadable(log_of(file), error));
        }
    }

    fn close(&mut self, conn: ConnId, why: Option<&str>) {
        if self.own_calls.closed(conn) {
            return self.feed(Input::Closed(conn));
        }
        let Some(mut connection) = self.connections.remove(&conn) else { return };
        if connection.answered {
            // What it was answered before leaves before it ends, as far as the socket takes it.
            let _ = connection.write(self.reader.held());
        }
        self.quotas.closed(conn);
        self.arriving -= connection.queued_bytes();
        self.is_count_due = true;
        if let Some(why) = why {
            let from = connection.stream().peer_addr().map_or_else(|_| "?".into(), |it| it.to_string());
            tracing::info!(%from, why, "closing a connection");
        }
        self.reader.closed(conn);
        // A failure to deregister leaves nothing behind: the descriptor is closed right here.
        let _ = self.poll.registry().deregister(connection.stream());
        self.feed(Input::Closed(conn));
    }

    /// A node calls itself the same way as any other; only the socket is left out.
    fn call(&mut self, call: Call) {
        let now = std::time::Instant::now();
        if call.to != self.settings.node_id {
            return self.calls.call(now, call);
        }
        let listener = own_listener(&self.settings.advertised, &call.host, call.port);
        let listener = listener.unwrap_or(Str::from_static("self"));
        let conn = match self.own_calls.conn(&listener) {
            Some(conn) => conn,
            None => {
                let conn = ConnId(self.next_conn as u64);
                self.next_conn += 1;
                self.own_calls.opened(listener.clone(), conn);
                let host = PeerHost::Node(self.settings.node_id);
                self.feed(Input::Opened(conn, Peer { listener, host }));
                conn
            }
        };
        let correlation_id = self.own_calls.ask(now, conn, &call);
        let mut request = Request { version: call.version, correlation_id, client_id: None, body: call.body };
        self.node.check_records(&mut request);
        self.feed(Input::Request(conn, request));
    }
}
