//! A node's calls to other nodes: one connection for each of them, listener and [`Lane`], opened when it is needed, and calls in
//! order. A node calls itself the same way; only the network is left out.

use std::collections::VecDeque;

use client::{ConnId, Connect};
use node::{Call, CallError, CallId, Input, Lane};
use ordered::Set;
use protocol::records::PureCompressors;
use protocol::{Instant, Request, Response, Str};

use super::World;
use crate::link::{LinkId, Packet};
use crate::narration::{Because, Heard};
use crate::queue::{Due, Pid};
use crate::setup::PlantedBug;

/// How long a node waits before it dials again, at first and at most (`reconnect.backoff.ms`, `reconnect.backoff.max.ms`).
const BACKOFF_MS: (i64, i64) = (50, 1_000);

/// What a node has asked others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    lines: Vec<Line>,
    /// Where somebody let this process in: a refusal there is news of who listened. Of another port it says nothing, for a firewall
    /// may refuse in its name.
    reached: Set<(Str, u16)>,
    /// Calls that came to nothing, for the node to hear.
    failed: VecDeque<(CallId, CallError, Because)>,
}

/// The way to a listener of another node.
#[derive(Clone, Debug)]
struct Line {
    host: Str,
    port: u16,
    lane: Lane,
    link: Option<LinkId>,
    /// The link is open, so that what is asked is sent at once.
    is_open: bool,
    /// What was asked, until when, and for what.
    waiting: VecDeque<(Instant, Call, Because)>,
    sent: VecDeque<(Instant, CallId)>,
    /// The oldest of `sent`; the others follow.
    first_correlation_id: i32,
    /// How often dialling failed since it last went well, and when to dial again.
    failures: u32,
    dial_at: Instant,
    /// The turn that is queued.
    turn: Option<Instant>,
}

impl Calls {
    fn line(&mut self, host: Str, port: u16, lane: Lane) -> usize {
        if let Some(index) = self.lines.iter().position(|it| it.lane == lane && it.port == port && it.host == host) {
            return index;
        }
        self.lines.push(Line {
            host,
            port,
            lane,
            link: None,
            is_open: false,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            first_correlation_id: 0,
            failures: 0,
            dial_at: Instant(0),
            turn: None,
        });
        self.lines.len() - 1
    }
}

impl Line {
    /// The connection is no more: what was sent has no answer.
    fn lose(&mut self, clock: Instant) -> Vec<CallId> {
        self.link = None;
        self.is_open = false;
        self.first_correlation_id = self.first_correlation_id.wrapping_add(self.sent.len() as i32);
        let wait = BACKOFF_MS.0.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MS.1);
        self.dial_at = clock.plus_ms(wait);
        self.failures += 1;
        std::mem::take(&mut self.sent).into_iter().map(|(_, id)| id).collect()
    }

    /// When it has to be looked at again.
    fn due(&self) -> Option<Instant> {
        let deadlines = self.waiting.iter().map(|it| it.0).chain(self.sent.iter().map(|it| it.0));
        let dial = (self.link.is_none() && !self.waiting.is_empty()).then_some(self.dial_at);
        deadlines.chain(dial).min()
    }
}

impl World {
    /// A node asks another one, or itself.
    pub(super) fn carry_call(&mut self, pid: Pid, call: Call) {
        self.digest.word(call.id.0 << 16 | u64::from(call.body.api_key() as u16));
        let deadline = self.clock.plus_ms(call.timeout_ms.max(0));
        let because = self.doing;
        let process = self.process_mut(pid);
        let name = process.name.clone();
        let Some(broker) = process.broker_mut() else { return };
        let host = if call.to == broker.config.node_id { name } else { call.host.clone() };
        let index = broker.calls.line(host, call.port, call.lane());
        let line = &mut broker.calls.lines[index];
        line.waiting.push_back((deadline, call, because));
        if line.is_open {
            self.send_waiting(pid, index);
        }
        self.rearm_line(pid, index);
    }

    /// A node waits for an answer no more: what was not sent never is.
    pub(super) fn give_up_call(&mut self, pid: Pid, id: CallId) {
        let Some(broker) = self.process_mut(pid).broker_mut() else { return };
        for line in &mut broker.calls.lines {
            line.waiting.retain(|(_, call, _)| call.id != id);
        }
    }

    fn line_of(&mut self, pid: Pid, index: usize) -> Option<&mut Line> {
        self.process_mut(pid).broker_mut()?.calls.lines.get_mut(index)
    }

    /// A line has its turn: it dials, or gives up what took too long.
    pub(super) fn line_turn(&mut self, pid: Pid, incarnation: u32, index: u16) {
        let clock = self.clock;
        let index = usize::from(index);
        if self.process(pid).incarnation != incarnation {
            return;
        }
        let Some(line) = self.line_of(pid, index).filter(|it| it.turn.is_some_and(|at| at <= clock)) else { return };
        line.turn = None;
        let mut late: Vec<CallId> = line.waiting.iter().filter(|it| it.0 <= clock).map(|it| it.1.id).collect();
        line.waiting.retain(|it| it.0 > clock);
        let mut lost = Vec::new();
        if line.sent.iter().any(|(at, _)| *at <= clock) {
            // Answers come in order: behind one that is missed no other will come, so the connection is given up.
            for (at, id) in &line.sent {
                if *at <= clock { late.push(*id) } else { lost.push(*id) }
            }
            let link = line.link;
            line.lose(clock);
            if let Some(link) = link {
                self.close_from_client(link);
            }
        }
        let is_planted = self.setup.bug == Some(PlantedBug::TakesSilenceForRefusal);
        self.fail_calls(pid, late, if is_planted { CallError::Refused } else { CallError::TimedOut });
        self.fail_calls(pid, lost, CallError::Reset);
        self.dial(pid, index);
        self.rearm_line(pid, index);
    }

    fn dial(&mut self, pid: Pid, index: usize) {
        let clock = self.clock;
        let Some(line) = self.line_of(pid, index) else { return };
        if line.link.is_some() || line.waiting.is_empty() || line.dial_at > clock {
            return;
        }
        let connect = Connect { conn: ConnId(index as u64), host: line.host.clone(), port: line.port };
        let link = self.connect(pid, &connect);
        if let Some(line) = self.line_of(pid, index) {
            line.link = Some(link);
        }
    }

    fn rearm_line(&mut self, pid: Pid, index: usize) {
        let clock = self.clock;
        let incarnation = self.process(pid).incarnation;
        let Some(line) = self.line_of(pid, index) else { return };
        let Some(due) = line.due().map(|at| at.max(clock)) else { return };
        if line.turn.is_none_or(|queued| due < queued) {
            line.turn = Some(due);
            self.queue.push(due, Due::Line(pid, incarnation, index as u16));
        }
    }

    fn send_waiting(&mut self, pid: Pid, index: usize) {
        let client_id = Some(self.process(pid).name.clone());
        loop {
            let Some(line) = self.line_of(pid, index) else { return };
            let (Some(link), Some((deadline, call, because))) = (line.link, line.waiting.pop_front()) else { return };
            let correlation_id = line.first_correlation_id.wrapping_add(line.sent.len() as i32);
            line.sent.push_back((deadline, call.id));
            let client_id = client_id.clone();
            let request = Request { version: call.version, correlation_id, client_id, body: call.body };
            self.digest_request(&request);
            self.doing = because;
            self.send_up(link, Packet::Message(request));
        }
    }

    /// The connection that a node wanted is open, or is refused.
    pub(super) fn node_connected(&mut self, pid: Pid, conn: ConnId, is_open: bool) {
        let (clock, index) = (self.clock, conn.0 as usize);
        let Some(line) = self.line_of(pid, index) else { return };
        let door = (line.host.clone(), line.port);
        if is_open {
            line.is_open = true;
            line.failures = 0;
            if let Some(broker) = self.process_mut(pid).broker_mut() {
                broker.calls.reached.insert(door);
            }
            return self.send_waiting(pid, index);
        }
        let refused = std::mem::take(&mut line.waiting).into_iter().map(|it| it.1.id).collect();
        line.lose(clock);
        let was_reached = self.process(pid).broker().is_some_and(|it| it.calls.reached.contains(&door));
        self.fail_calls(pid, refused, if was_reached { CallError::Refused } else { CallError::TimedOut });
    }

    /// A node's call is answered.
    pub(super) fn node_answered(&mut self, pid: Pid, conn: ConnId, mut response: Response) {
        let Some(line) = self.line_of(pid, conn.0 as usize) else { return };
        // Answers come in the order of the requests; one that does not is the answer to nothing.
        if response.correlation_id != line.first_correlation_id {
            return;
        }
        let Some((_, call)) = line.sent.pop_front() else { return };
        line.first_correlation_id = line.first_correlation_id.wrapping_add(1);
        node::check_answer(&mut response.body, &PureCompressors);
        let heard = Heard::Response(response.body.api_key(), response.correlation_id);
        self.tell_node_as(pid, heard, Input::Answered(call, Ok(response.body)));
    }

    /// A node's connection to another one broke.
    pub(super) fn node_closed(&mut self, pid: Pid, conn: ConnId) {
        let (clock, index) = (self.clock, conn.0 as usize);
        let Some(line) = self.line_of(pid, index) else { return };
        let lost = line.lose(clock);
        self.fail_calls(pid, lost, CallError::Reset);
        self.rearm_line(pid, index);
    }

    /// The node will hear of each, one after the other.
    fn fail_calls(&mut self, pid: Pid, calls: Vec<CallId>, error: CallError) {
        let (clock, incarnation, because) = (self.clock, self.process(pid).incarnation, self.because);
        for id in calls {
            if let Some(broker) = self.process_mut(pid).broker_mut() {
                broker.calls.failed.push_back((id, error, because));
                self.queue.push(clock, Due::CallFailed(pid, incarnation));
            }
        }
    }

    /// A node hears that a call came to nothing.
    pub(super) fn call_failed(&mut self, pid: Pid, incarnation: u32) {
        if self.process(pid).incarnation != incarnation {
            return;
        }
        let failed = self.process_mut(pid).broker_mut().and_then(|it| it.calls.failed.pop_front());
        if let Some((id, error, because)) = failed {
            self.because = because;
            self.tell_node_as(pid, Heard::CallFailed, Input::Answered(id, Err(error)));
        }
    }
}
