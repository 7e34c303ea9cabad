//! A node's calls to itself: requests like any others, on a connection without a socket for each listener.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use node::input::ConnId;
use node::outbox::{Call, CallError, CallId};
use protocol::Str;

use crate::calls::Finished;

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
