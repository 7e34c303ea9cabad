//! A node's calls to itself: requests like any others, on a connection without a socket for each listener.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use node::input::ConnId;
use node::outbox::{Call, CallError, CallId};
use protocol::Str;

use crate::calls::Finished;

/// A listener as others are told of it.
#[derive(Clone, Debug)]
pub(crate) struct Advertised {
    pub(crate) host: Str,
    pub(crate) port: u16,
    pub(crate) name: Str,
}

/// Which listener a call to ourselves is for: the first at that host and port. A port alone tells little, for a load balancer
/// may have the controllers' before the clients' listener; it decides only where the host is one that we do not know
/// ourselves by, as in `controller.quorum.voters`.
pub(crate) fn own_listener(advertised: &[Advertised], host: &str, port: u16) -> Option<Str> {
    let at_port = || advertised.iter().filter(|it| it.port == port);
    at_port().find(|it| it.host == *host).or_else(|| at_port().next()).map(|it| it.name.clone())
}

/// The connections and what is asked on them.
#[derive(Debug, Default)]
pub(crate) struct OwnCalls {
    conns: HashMap<Str, ConnId>,
    /// By correlation id, which counts up over all connections.
    asked: BTreeMap<i32, Asked>,
    next_correlation_id: i32,
    /// Calls on connections that the node has closed.
    reset: Vec<CallId>,
}

#[derive(Debug)]
struct Asked {
    id: CallId,
    conn: ConnId,
    deadline: Instant,
}

impl OwnCalls {
    /// The connection to a listener, if there is one.
    pub(crate) fn conn(&self, listener: &Str) -> Option<ConnId> {
        self.conns.get(listener).copied()
    }

    pub(crate) fn opened(&mut self, listener: Str, conn: ConnId) {
        self.conns.insert(listener, conn);
    }

    pub(crate) fn is_own(&self, conn: ConnId) -> bool {
        self.conns.values().any(|it| *it == conn)
    }

    /// Notes a call; tells its correlation id.
    pub(crate) fn ask(&mut self, now: Instant, conn: ConnId, call: &Call) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        let deadline = now + Duration::from_millis(u64::try_from(call.timeout_ms).unwrap_or(0));
        self.asked.insert(correlation_id, Asked { id: call.id, conn, deadline });
        correlation_id
    }

    /// The call that an answer belongs to, unless it was given up.
    pub(crate) fn answered(&mut self, correlation_id: i32) -> Option<CallId> {
        self.asked.remove(&correlation_id).map(|it| it.id)
    }

    /// The node closes a connection; true if it is one of these.
    pub(crate) fn closed(&mut self, conn: ConnId) -> bool {
        if !self.is_own(conn) {
            return false;
        }
        self.conns.retain(|_, it| *it != conn);
        let reset = &mut self.reset;
        self.asked.retain(|_, asked| {
            if asked.conn == conn {
                reset.push(asked.id);
            }
            asked.conn != conn
        });
        true
    }

    /// A call that has come to nothing.
    pub(crate) fn finished(&mut self, now: Instant) -> Option<Finished> {
        if let Some(id) = self.reset.pop() {
            return Some((id, Err(CallError::Reset)));
        }
        let late = self.asked.iter().find(|(_, it)| it.deadline <= now).map(|(correlation_id, _)| *correlation_id)?;
        self.answered(late).map(|id| (id, Err(CallError::TimedOut)))
    }

    /// When the next call is given up.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.reset.is_empty() {
            true => self.asked.values().map(|it| it.deadline).min(),
            false => Some(Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_host_and_port() {
        let advertised: Vec<Advertised> = [
            ("here", 9093, "CONTROLLER"),
            ("lb.example", 9093, "PLAINTEXT"),
            ("here", 9094, "INTERNAL"),
            ("", 0, "ALONE"),
        ]
        .map(|(host, port, name)| Advertised { host: Str::from(host), port, name: Str::from(name) })
        .into();
        for (host, port, name) in [
            ("lb.example", 9093, Some("PLAINTEXT")),
            ("here", 9093, Some("CONTROLLER")),
            ("127.0.0.1", 9093, Some("CONTROLLER")),
            ("127.0.0.1", 9094, Some("INTERNAL")),
            ("", 0, Some("ALONE")),
            ("here", 1, None),
        ] {
            assert_eq!(own_listener(&advertised, host, port).as_deref(), name, "{host}:{port}");
        }
    }
}
