//! Who comes in, who waits outside and who has to go: connections by number and rate, and requests by what the disks have
//! still to take.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Token};
use node::config::Queue;
use node::input::{ConnId, Input, Peer, PeerHost};
use ordered::Set;

use super::Reactor;
use crate::connection::Connection;

/// Idle connections are looked for this many times within `connections.max.idle.ms`.
const IDLE_LOOKS: u32 = 10;

/// A connection that came too soon after others. Those behind it wait in the listener's backlog, as with Kafka.
pub(super) struct Early {
    until: Instant,
    stream: TcpStream,
    from: SocketAddr,
}

impl Reactor {
    pub(super) fn accept(&mut self, index: usize) {
        let door = self.listeners[index].door;
        loop {
            if !self.quotas.has_room(door, self.limits.most) {
                // It waits in the listener's backlog, as with Kafka.
                self.full.insert(index);
                return;
            }
            let now = Instant::now();
            let (stream, from) = match self.early.remove(&index) {
                Some(early) if early.until > now => {
                    self.early.insert(index, early);
                    return;
                }
                Some(early) => (early.stream, early.from),
                None => {
                    let Some((stream, from)) = self.next_at_the_door(index) else { return };
                    let rate = self.limits.rate;
                    // Kafka's default is no limit.
                    let is_limited = !door.is_protected && rate.most < i32::MAX.unsigned_abs().into();
                    let wait =
                        if is_limited { self.rates[usize::from(door.is_controllers)].record(now, rate) } else { None };
                    if let Some(wait) = wait {
                        self.early.insert(index, Early { until: now + wait, stream, from });
                        return;
                    }
                    (stream, from)
                }
            };
            let most = self.addresses.of(from.ip()).unwrap_or(self.limits.most_per_ip);
            if !self.quotas.is_welcome(door, from.ip(), most) {
                tracing::info!(%from, "closing a connection: its address has max.connections.per.ip of them already");
                continue;
            }
            if let Err(error) = self.open(index, stream, from) {
                tracing::warn!(%from, %error, "cannot serve a connection");
            }
        }
    }

    /// Lets those in whose time has come.
    pub(super) fn accept_early(&mut self) {
        let now = Instant::now();
        let outside = outside(&self.early, &self.full);
        let mut due: Vec<usize> = outside.filter(|(_, until)| *until <= now).map(|(index, _)| index).collect();
        due.sort_unstable();
        for index in due {
            self.accept(index);
        }
    }

    /// When the next of those may come in who came too soon.
    pub(super) fn early_due(&self) -> Option<Instant> {
        outside(&self.early, &self.full).map(|(_, until)| until).min()
    }

    fn next_at_the_door(&mut self, index: usize) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match self.listeners[index].socket.accept() {
                Ok(accepted) => return Some(accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // Interrupted, or the peer is gone already.
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {
                }
                Err(error) => {
                    // Out of descriptors: those who are connected are served on. The poll tells of a connection once, so
                    // this one is tried for until there is room.
                    tracing::warn!(%error, "cannot accept a connection");
                    self.deaf.insert(index);
                    return None;
                }
            }
        }
    }

    fn open(&mut self, index: usize, stream: TcpStream, from: SocketAddr) -> io::Result<()> {
        let mut connection = Connection::new(stream)?;
        connection.is_controllers = self.listeners[index].door.is_controllers;
        let conn = ConnId(self.next_conn as u64);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(connection.stream(), Token(self.next_conn), interest)?;
        self.next_conn += 1;
        self.connections.insert(conn, connection);
        self.quotas.opened(conn, self.listeners[index].door, from.ip());
        self.is_count_due = true;
        let listener = self.listeners[index].name.clone();
        self.feed(Input::Opened(conn, Peer { listener, host: PeerHost::Ip(from.ip()) }));
        Ok(())
    }

    /// Closes connections on which nothing came or went for `connections.max.idle.ms`, half a frame or not. Who waits for
    /// an answer of ours is not idle; who does not take one is.
    pub(super) fn close_idle(&mut self) {
        let (Some(max_idle), Some(look)) = (self.settings.max_idle, self.next_idle_look) else { return };
        let now = Instant::now();
        if now < look {
            return;
        }
        self.next_idle_look = Some(next_idle_look(max_idle));
        let idle = |it: &Connection| {
            (it.in_flight() == 0 || it.unsent() > 0) && now.saturating_duration_since(it.active()) >= max_idle
        };
        let mut idle: Vec<ConnId> = self.connections.iter().filter(|(_, it)| idle(it)).map(|(conn, _)| *conn).collect();
        idle.sort_unstable();
        for conn in idle {
            self.close(conn, Some("nothing came or went for connections.max.idle.ms"));
        }
    }

    /// Whether the limits have changed is seen at the end of a turn, in which the node may have heard of it.
    pub(super) fn note_limits(&mut self) {
        let metadata = self.node.image().next_offset();
        if std::mem::replace(&mut self.limits_of, metadata) == metadata {
            return;
        }
        let limits = self.node.connection_limits();
        if self.limits != limits {
            self.is_count_due = true;
            self.addresses.set(Instant::now(), limits.most_of.clone());
            self.limits = limits;
        }
    }

    /// Where there are more connections than there may be, those that were idle for longest go; then who waits comes in.
    pub(super) fn make_room(&mut self) {
        if !std::mem::take(&mut self.is_count_due) {
            return;
        }
        for is_controllers in [false, true] {
            if self.quotas.excess(is_controllers, self.limits.most) == 0 {
                continue;
            }
            // One a turn: a limit that is far lower now does not keep those waiting who stay. Closing counts anew.
            let it = self.connections.iter().filter(|(conn, _)| self.quotas.can_make_room(**conn, is_controllers));
            if let Some((_, conn)) = it.map(|(conn, it)| (it.active(), *conn)).min() {
                self.close(conn, Some("there are more connections than max.connections"));
            }
        }
        for index in std::mem::take(&mut self.full) {
            self.accept(index);
        }
    }

    /// True while no further request is read: `queued.max.requests`, `queued.max.request.bytes`. What a client has begun to
    /// send counts as a whole, and what is produced until it is written. Controllers' requests, which in Kafka have a queue
    /// of their own, neither wait for that nor count.
    pub(super) fn is_queue_full(&self) -> bool {
        let Queue { requests, bytes } = self.settings.queue;
        let (batches, unwritten) = self.node.unwritten();
        requests.is_some_and(|most| batches >= most) || bytes.is_some_and(|most| self.arriving + unwritten >= most)
    }

    /// Reads on of those who were kept waiting, once there is room.
    pub(super) fn read_on(&mut self) {
        if !self.kept_waiting.is_empty() && !self.is_queue_full() {
            for conn in std::mem::take(&mut self.kept_waiting) {
                self.enqueue(conn);
            }
        }
    }
}

/// The listeners at which somebody came too soon, and until when they wait. Where there is no room either, they come in
/// when there is, and no time is looked at before.
fn outside<'a>(
    early: &'a HashMap<usize, Early>,
    full: &'a Set<usize>,
) -> impl Iterator<Item = (usize, Instant)> + use<'a> {
    early.iter().filter(|(index, _)| !full.contains(index)).map(|(index, it)| (*index, it.until))
}

pub(super) fn next_idle_look(max_idle: Duration) -> Instant {
    Instant::now() + (max_idle / IDLE_LOOKS).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time that is past and that nothing comes of would have the core's thread spin.
    #[test]
    fn who_came_too_soon_and_finds_no_room_waits_for_no_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let now = Instant::now();
        let early = |until| {
            let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let from = stream.local_addr().unwrap();
            Early { until, stream: TcpStream::from_std(stream), from }
        };
        let later = now + Duration::from_secs(1);
        let waiting = HashMap::from([(0, early(now)), (1, early(later))]);
        let mut full = Set::from([0]);
        assert_eq!(outside(&waiting, &full).collect::<Vec<_>>(), [(1, later)]);
        full.remove(&0);
        assert_eq!(outside(&waiting, &full).min(), Some((0, now)));
    }
}
