//! A connection between two processes: messages travel typed, in order each way, and take their time.

use std::collections::VecDeque;

use client::ConnId;
use protocol::{ApiKey, Instant, Request, Response, Str};

use crate::narration::Because;
use crate::queue::Pid;

/// A connection's number in its world; also what its node calls it. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// Something on its way.
#[derive(Clone, Debug)]
pub(crate) struct Transit<T> {
    pub(crate) sent: Instant,
    pub(crate) arrives: Instant,
    /// What it was sent for.
    pub(crate) because: Because,
    pub(crate) what: Packet<T>,
}

#[derive(Clone, Debug)]
pub(crate) enum Packet<T> {
    Message(T),
    /// The other end is closed or gone.
    Fin,
}

/// One direction of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Lane<T> {
    pub(crate) transit: VecDeque<Transit<T>>,
    /// Nothing overtakes what was sent before it.
    last: Instant,
    /// Arrivals that found the way cut or the receiver unwilling; each is delivered when that ends.
    pub(crate) stalled: u32,
}

impl<T> Default for Lane<T> {
    fn default() -> Lane<T> {
        Lane { transit: VecDeque::new(), last: Instant(0), stalled: 0 }
    }
}

impl<T> Lane<T> {
    /// Puts something on its way; tells when it arrives.
    pub(crate) fn send(&mut self, now: Instant, latency_us: u64, because: Because, what: Packet<T>) -> Instant {
        let arrives = Instant((now.0 + latency_us).max(self.last.0));
        self.last = arrives;
        self.transit.push_back(Transit { sent: now, arrives, because, what });
        arrives
    }

    /// Lets arrive now what would until a time: how many that are. Their old arrivals find nothing then.
    pub(crate) fn hasten(&mut self, now: Instant, until: Instant) -> usize {
        let count = self.transit.iter().take_while(|it| it.arrives <= until).count();
        for it in self.transit.iter_mut().take(count) {
            it.arrives = now;
        }
        count
    }
}

/// A request that the node has not answered, and its answer once there is one.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(crate) correlation_id: i32,
    pub(crate) api: ApiKey,
    /// When the request arrived.
    pub(crate) since: Instant,
    pub(crate) answer: Answer,
    /// What the answer was made for.
    pub(crate) because: Because,
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    None,
    /// It gets none (acks=0).
    Nothing,
    Ready(Box<Response>),
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) client: Pid,
    pub(crate) node: Pid,
    pub(crate) listener: Str,
    /// What the client calls it.
    pub(crate) conn: ConnId,
    /// What it was opened for.
    pub(crate) because: Because,
    pub(crate) client_open: bool,
    pub(crate) node_open: bool,
    /// The node's machine lost its power while the connection was open: nobody tells the client until it is back.
    pub(crate) dark: bool,
    /// The same of the client's machine: the node goes on believing in it.
    pub(crate) client_dark: bool,
    pub(crate) up: Lane<Request>,
    pub(crate) down: Lane<Response>,
    /// In the order of the requests: so are they answered.
    pub(crate) owed: VecDeque<Owed>,
    /// The node takes no more requests from here.
    pub(crate) held: bool,
    /// A turn to send is due already.
    pub(crate) turn: bool,
}

impl Link {
    pub(crate) fn new(client: Pid, node: Pid, listener: Str, conn: ConnId, because: Because) -> Link {
        Link {
            client,
            node,
            listener,
            conn,
            because,
            client_open: true,
            node_open: false,
            dark: false,
            client_dark: false,
            up: Lane::default(),
            down: Lane::default(),
            owed: VecDeque::new(),
            held: false,
            turn: false,
        }
    }

    /// Notes an answer; true if its turn could be now.
    pub(crate) fn answered(&mut self, correlation_id: i32, answer: Answer, because: Because) -> bool {
        if let Some(owed) = self.owed.iter_mut().find(|it| it.correlation_id == correlation_id) {
            owed.answer = answer;
            owed.because = because;
        }
        self.owed.front().is_some_and(|first| !matches!(first.answer, Answer::None))
    }

    /// The next answer whose turn it is.
    pub(crate) fn next_answer(&mut self) -> Option<Owed> {
        match self.owed.front()?.answer {
            Answer::None => None,
            Answer::Nothing | Answer::Ready(_) => self.owed.pop_front(),
        }
    }
}
