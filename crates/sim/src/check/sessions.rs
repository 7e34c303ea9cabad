//! Who may be fenced, and when: before its session is over only whose process is dead, whatever the grace is.

use ordered::Map;
use protocol::{Instant, NodeId};

use super::{Check, Checks, Verdict};
use crate::queue::Pid;

/// What controllers heard of brokers.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    /// When a controller's last term began: whoever lives then has a whole session.
    terms: Map<Pid, Instant>,
    /// When a heartbeat of the process that a broker is came to a controller last.
    heard: Map<(Pid, NodeId), Instant>,
}

impl Checks {
    /// A node begins to be the active controller.
    pub(crate) fn term_begins(&mut self, at: Instant, pid: Pid) {
        self.sessions.terms.insert(pid, at);
    }

    /// A heartbeat comes to a node, of the process that the broker is now.
    pub(crate) fn heartbeat(&mut self, at: Instant, pid: Pid, broker: NodeId) {
        self.sessions.heard.insert((pid, broker), at);
    }

    /// A controller fences a broker whose process, the one that it knows, runs.
    pub(crate) fn fenced_alive(&mut self, event: u64, at: Instant, pid: Pid, broker: NodeId, session_ms: i64) {
        let heard = self.sessions.heard.get(&(pid, broker)).max(self.sessions.terms.get(&pid)).copied();
        let heard = heard.unwrap_or_default();
        if at <= heard.plus_ms(session_ms) {
            let what = format!(
                "{} is fenced {} ms after it was heard of, though it runs; its session is {session_ms} ms",
                self.name_of_node(broker),
                (at.0 - heard.0) / 1_000
            );
            self.find(event, Check::SessionsKept, Verdict::Bug, what);
        }
    }
}
