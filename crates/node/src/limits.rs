//! What may be in flight. At a limit the node withdraws a connection's credit; requests that were read before that are
//! still handled, so each limit is exceeded by at most one request per connection.

use ordered::{Map, Set};

use crate::input::ConnId;
use crate::outbox::{Credit, Outbox};

/// Requests of one connection that are not answered yet. Kafka admits one at a time; producers pipeline five.
const REQUESTS_PER_CONNECTION: u32 = 64;
/// Bytes of records handed to the store and not yet written, over all connections. More would keep no disk busier, only
/// more memory.
const PRODUCE_BYTES: u64 = 16 << 20;

/// Counts of what is in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    in_flight: Map<ConnId, u32>,
    produce_bytes: u64,
    /// The batches that these are.
    batches: usize,
    /// Connections that sent records while there were too many bytes.
    held_for_bytes: Set<ConnId>,
    /// Connections with too many requests.
    held_for_requests: Set<ConnId>,
    /// Connections whose requests wait for the node to serve.
    held_for_start: Set<ConnId>,
}

impl Limits {
    /// A request came in.
    pub(crate) fn admit(&mut self, conn: ConnId, out: &mut Outbox) {
        let count = self.in_flight.entry(conn).or_default();
        *count = count.saturating_add(1);
        if *count >= REQUESTS_PER_CONNECTION && !self.is_held(conn) {
            out.credit.push((conn, Credit::Stop));
        }
        if self.in_flight.get(&conn).is_some_and(|count| *count >= REQUESTS_PER_CONNECTION) {
            self.held_for_requests.insert(conn);
        }
    }

    /// A request was answered, or will never be.
    pub(crate) fn answered(&mut self, conn: ConnId, out: &mut Outbox) {
        let Some(count) = self.in_flight.get_mut(&conn) else { return };
        *count = count.saturating_sub(1);
        if *count <= REQUESTS_PER_CONNECTION / 2 && self.held_for_requests.remove(&conn) && !self.is_held(conn) {
            out.credit.push((conn, Credit::Go));
        }
    }

    /// Records were handed to the store.
    pub(crate) fn produced(&mut self, conn: ConnId, bytes: u64, out: &mut Outbox) {
        self.produce_bytes = self.produce_bytes.saturating_add(bytes);
        self.batches += 1;
        if self.produce_bytes >= PRODUCE_BYTES && self.in_flight.contains_key(&conn) {
            if !self.is_held(conn) {
                out.credit.push((conn, Credit::Stop));
            }
            self.held_for_bytes.insert(conn);
        }
    }

    /// Records were written, or never will be.
    pub(crate) fn written(&mut self, bytes: u64, out: &mut Outbox) {
        self.produce_bytes = self.produce_bytes.saturating_sub(bytes);
        // What replicas fetched and coordinators wrote is charged to nobody.
        self.batches = self.batches.saturating_sub(usize::from(bytes > 0));
        if self.produce_bytes <= PRODUCE_BYTES / 2 {
            for conn in std::mem::take(&mut self.held_for_bytes) {
                if !self.is_held(conn) {
                    out.credit.push((conn, Credit::Go));
                }
            }
        }
    }

    /// A request waits until the node serves.
    pub(crate) fn hold_for_start(&mut self, conn: ConnId, out: &mut Outbox) {
        if !self.is_held(conn) {
            out.credit.push((conn, Credit::Stop));
        }
        self.held_for_start.insert(conn);
    }

    /// The node serves.
    pub(crate) fn started(&mut self, out: &mut Outbox) {
        for conn in std::mem::take(&mut self.held_for_start) {
            if !self.is_held(conn) {
                out.credit.push((conn, Credit::Go));
            }
        }
    }

    /// The connection is gone.
    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.in_flight.remove(&conn);
        self.held_for_bytes.remove(&conn);
        self.held_for_requests.remove(&conn);
        self.held_for_start.remove(&conn);
    }

    /// A connection was opened.
    pub(crate) fn opened(&mut self, conn: ConnId) {
        self.in_flight.insert(conn, 0);
    }

    /// Requests of the connection that are not answered yet.
    pub(crate) fn in_flight(&self, conn: ConnId) -> u32 {
        self.in_flight.get(&conn).copied().unwrap_or_default()
    }

    /// Bytes handed to the store and not yet written.
    pub(crate) fn produce_bytes(&self) -> u64 {
        self.produce_bytes
    }

    /// Batches handed to the store and not yet written, and their bytes.
    pub(crate) fn unwritten(&self) -> (usize, u64) {
        (self.batches, self.produce_bytes)
    }

    fn is_held(&self, conn: ConnId) -> bool {
        self.held_for_bytes.contains(&conn)
            || self.held_for_requests.contains(&conn)
            || self.held_for_start.contains(&conn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_withdrawn_once_and_given_back_once() {
        let (mut limits, mut out, conn) = (Limits::default(), Outbox::default(), ConnId(1));
        limits.opened(conn);
        for _ in 0..REQUESTS_PER_CONNECTION + 3 {
            limits.admit(conn, &mut out);
        }
        limits.produced(conn, PRODUCE_BYTES, &mut out);
        assert_eq!(out.credit, [(conn, Credit::Stop)]);
        for _ in 0..REQUESTS_PER_CONNECTION + 3 {
            limits.answered(conn, &mut out);
        }
        assert_eq!(out.credit, [(conn, Credit::Stop)], "its bytes are still too many");
        limits.written(PRODUCE_BYTES / 2, &mut out);
        assert_eq!(out.credit, [(conn, Credit::Stop), (conn, Credit::Go)]);
    }

    #[test]
    fn a_closed_connection_gets_no_credit() {
        let (mut limits, mut out, conn) = (Limits::default(), Outbox::default(), ConnId(1));
        limits.opened(conn);
        limits.produced(conn, PRODUCE_BYTES, &mut out);
        limits.closed(conn);
        limits.written(PRODUCE_BYTES, &mut out);
        assert_eq!(out.credit, [(conn, Credit::Stop)]);
    }
}
