//! A client's host: gives it time, connections and an application.

use ordered::Map;
use std::collections::VecDeque;

use bytes::Bytes;
use client::{
    Answer, Client, ConnId, ConsumerRecord, GroupProtocol, Input, OpId, Operation, Outbox, Outcome, ProducerRecord,
    Rebalance,
};
use protocol::{Response, Str, TopicPartition};

use super::process::{Actor, Follow, Kind, Power, Workload};
use super::{ActionError, World};
use crate::action::{Load, Produce, SeekTo};
use crate::check::Told;
use crate::link::{LinkId, Packet};
use crate::narration::Heard;
use crate::queue::{Due, Pid};
use crate::random::{Purpose, Random};
use crate::setup::{CLIENT_PORT, LISTENER, Setting, client_config};

/// Operations that are no sends are numbered from here.
pub(crate) const OTHER: u64 = 1 << 40;
/// A workload waits while so many of its records have no outcome.
const WINDOW: u64 = 1_000;
/// Records and answers of a client that are kept to be looked at.
const KEPT: usize = 64;
/// A reader's polls wait so long for records.
const POLL_MS: i64 = 500;
/// A reader that was refused waits so long, in µs.
const RETRY_US: u64 = 100_000;

impl World {
    pub(super) fn add_client(&mut self, name: &Str, settings: &[Setting]) -> Result<(), ActionError> {
        let serving = self.setup.brokers.iter().filter(|it| it.is_broker());
        let servers: Vec<(Str, u16)> = serving.map(|broker| (broker.name.clone(), CLIENT_PORT)).collect();
        let (listener, settings): (Vec<_>, Vec<_>) = settings.iter().cloned().partition(|(key, _)| &**key == LISTENER);
        let config = client_config(name, servers, &settings).map_err(|error| ActionError(error.0))?;
        if listener.iter().any(|(_, value)| &**value != "commit") || (config.group_id.is_none() && !listener.is_empty())
        {
            return Err(ActionError(format!("{LISTENER}=commit is all there is, with a group.id")));
        }
        let idempotent = config.idempotent();
        let waits_for_all = config.acks == client::Acks::All;
        let (group, instance) = (config.group_id.clone(), config.group_instance_id.clone());
        let is_classic = config.group_protocol == GroupProtocol::Classic;
        let seed = self.setup.seed;
        let pid = self.add_process(name, |pid| {
            Kind::Client(Box::new(Actor {
                config,
                client: None,
                links: Map::new(),
                next_send: 0,
                next_other: OTHER,
                wishes: VecDeque::new(),
                others_open: 0,
                load: None,
                follow: None,
                commits_revoked: !listener.is_empty(),
                last_commit: None,
                slow_us: 0,
                assignment: None,
                random: Random::stream(seed, Purpose::Load, pid.0),
                consumed: VecDeque::new(),
                consumed_total: 0,
                answers: VecDeque::new(),
            }))
        })?;
        self.checks.client(pid, name, idempotent, waits_for_all);
        if let Some(group) = group {
            self.checks.client_of_group(pid, group, instance, is_classic);
        }
        self.boot_client(pid);
        Ok(())
    }

    pub(super) fn boot_client(&mut self, pid: Pid) {
        let clock = self.clock;
        let process = &mut self.processes[usize::from(pid.0)];
        let seed = process.begin(clock);
        let Some(actor) = process.actor_mut() else { return };
        actor.client = Some(Client::boot(actor.config.clone(), seed));
        actor.last_commit = None;
        let listens = actor.commits_revoked;
        // New numbers: what was queued for the old process means nothing to this one.
        if let Some(load) = &mut actor.load {
            load.number += 1;
            self.queue.push(clock, Due::Load(pid, load.number));
        }
        if let Some(follow) = &mut actor.follow {
            follow.assigned = false;
            follow.op = None;
            follow.number += 1;
            self.queue.push(clock, Due::Poll(pid, follow.number));
        }
        if listens {
            self.ask_client(pid, Operation::Listen);
        }
        self.checks.reader_restarted(pid);
    }

    /// The process is gone; what it had not heard it will never hear.
    pub(super) fn end_client(&mut self, pid: Pid, power: Power) {
        let process = self.process_mut(pid);
        process.end(power);
        if let Some(actor) = process.actor_mut() {
            actor.client = None;
            actor.links.clear();
            actor.wishes.clear();
            actor.others_open = 0;
            actor.assignment = None;
        }
        self.checks.client_died(self.events, pid);
        self.operations.client_died(self.events, pid);
        self.checks.member_gone(self.clock, pid);
        self.drop_links(pid, false);
    }

    /// One event: a client hears something.
    pub(crate) fn tell_client(&mut self, pid: Pid, input: Input) {
        let mut out = self.scratch.client.take().unwrap_or_else(Outbox::with_events);
        let clock = self.clock;
        let heard = heard_by_client(&input);
        if let Input::Do(op, _) = &input {
            let event = self.events + 1;
            if op.0 < OTHER {
                self.checks.asked(event, pid, op.0);
            } else {
                self.operations.asked(event, pid, *op);
            }
        }
        let process = self.process_mut(pid);
        let now = process.now(clock);
        let Some(client) = process.actor_mut().and_then(|actor| actor.client.as_mut()) else {
            self.scratch.client = Some(out);
            return;
        };
        client.handle(now, input, &mut out);
        let due = client.wake_at();
        self.begin_event(pid, heard);
        for connect in out.connect.drain(..) {
            let link = self.connect(pid, &connect);
            if let Some(actor) = self.process_mut(pid).actor_mut() {
                actor.links.insert(connect.conn, link);
            }
        }
        for (conn, request) in out.send.drain(..) {
            self.digest_request(&request);
            if let Some(link) = self.link_of(pid, conn) {
                self.send_up(link, Packet::Message(request));
            }
        }
        for conn in out.close.drain(..) {
            let link = self.process_mut(pid).actor_mut().and_then(|actor| actor.links.remove(&conn));
            if let Some(link) = link {
                self.close_from_client(link);
            }
        }
        if let Some(events) = &mut out.events {
            for event in events.iter() {
                if let client::Event::Group(said) = event {
                    self.operations.group_said(self.events, pid, said);
                }
                let told = self.coordinated_for(pid, event);
                self.checks.client_said(self.events, clock, pid, event, told.as_ref());
            }
            std::mem::swap(&mut self.last.client_events, events);
            events.clear();
        }
        for (op, outcome) in out.outcomes.drain(..) {
            self.settled(pid, op, outcome);
        }
        self.scratch.client = Some(out);
        let at = due.map(|at| self.process(pid).global(at));
        self.rearm(pid, at);
    }

    fn link_of(&self, pid: Pid, conn: ConnId) -> Option<LinkId> {
        self.process(pid).actor()?.links.get(&conn).copied()
    }

    pub(crate) fn client_connected(&mut self, pid: Pid, link: LinkId, conn: ConnId, open: bool) {
        match self.process(pid).kind {
            Kind::Client(_) => {}
            Kind::Wire(_) => return self.wire_connected(pid, link, open),
            Kind::Broker(_) => return self.node_connected(pid, conn, open),
        }
        if !open && let Some(actor) = self.process_mut(pid).actor_mut() {
            actor.links.remove(&conn);
        }
        self.tell_client(pid, if open { Input::Connected(conn) } else { Input::ConnectFailed(conn) });
    }

    pub(crate) fn client_answered(&mut self, pid: Pid, node: Pid, conn: ConnId, response: Response) {
        match self.process(pid).kind {
            Kind::Client(_) => {}
            Kind::Wire(_) => return self.wire_answered(pid, response),
            Kind::Broker(_) => return self.node_answered(pid, conn, response),
        }
        let by = (node, self.process(node).incarnation);
        self.checks.client_answered(self.events + 1, pid, by, &response.body);
        self.tell_client(pid, Input::Answered(conn, response));
    }

    pub(crate) fn client_closed(&mut self, pid: Pid, conn: ConnId) {
        match self.process(pid).kind {
            Kind::Client(_) => {}
            Kind::Wire(_) => return self.wire_closed(pid),
            Kind::Broker(_) => return self.node_closed(pid, conn),
        }
        if let Some(actor) = self.process_mut(pid).actor_mut() {
            actor.links.remove(&conn);
        }
        self.tell_client(pid, Input::Closed(conn));
    }

    /// An operation has its outcome.
    fn settled(&mut self, pid: Pid, op: OpId, outcome: Outcome) {
        self.digest_outcome(op, &outcome);
        // What a tool asks it judges itself, item by item.
        let outcome = if pid == self.admin() { outcome.judged() } else { outcome };
        self.last.outcomes.push((op, Told::of(&outcome)));
        if op.0 < OTHER {
            let outcome = self.plant_denial(outcome);
            self.checks.settled(self.events, pid, op.0, &outcome);
            return;
        }
        self.operations.settled(self.events, pid, op, &outcome);
        if let Outcome::Ok(Answer::Records(records)) = &outcome {
            for record in records {
                self.checks.consumed(self.events, pid, record);
            }
        }
        let Some(actor) = self.process_mut(pid).actor_mut() else { return };
        actor.others_open = actor.others_open.saturating_sub(1);
        if let Outcome::Ok(Answer::Rebalance(what)) = &outcome {
            return self.rebalanced(pid, what);
        }
        let lets_go = actor.last_commit.take_if(|it| *it == op).is_some();
        let follows = actor.follow.as_ref().filter(|it| it.op == Some(op.0)).map(|it| it.number);
        // Who was refused asks again after a while; who was served, when it is done with what it got.
        let pause_us = match &outcome {
            Outcome::Ok(Answer::Records(records)) => actor.slow_us * records.len() as u64,
            Outcome::Ok(_) => 0,
            Outcome::Failed(_) | Outcome::Unknown(_) => RETRY_US,
        };
        match outcome {
            Outcome::Ok(Answer::Records(records)) => {
                actor.consumed_total += records.len() as u64;
                actor.keep_records(records);
            }
            Outcome::Ok(Answer::Partitions(partitions)) => {
                if let Some(follow) = &actor.follow {
                    let topic = follow.topic.clone();
                    let partitions = partitions
                        .iter()
                        .map(|it| TopicPartition { topic: topic.clone(), partition: it.partition })
                        .collect();
                    return self.assign_all(pid, partitions);
                }
            }
            other => actor.keep_answer(op.0, other),
        }
        if let Some(number) = follows {
            self.queue.push(self.after(pause_us), Due::Poll(pid, number));
        }
        if lets_go {
            self.ask_client(pid, Operation::Listen);
        }
    }

    /// An application that listens does something about what it is told, and listens again when it is done.
    fn rebalanced(&mut self, pid: Pid, what: &Rebalance) {
        match what {
            Rebalance::Revoked(_) => {
                let commit = self.ask_client(pid, Operation::Commit(None));
                if let Some(actor) = self.process_mut(pid).actor_mut() {
                    actor.last_commit = Some(commit);
                }
            }
            Rebalance::Lost(_) | Rebalance::Assigned(_) => {
                self.ask_client(pid, Operation::Listen);
            }
        }
    }

    fn assign_all(&mut self, pid: Pid, partitions: Vec<TopicPartition>) {
        let Some(actor) = self.process_mut(pid).actor_mut() else { return };
        let Some(follow) = &mut actor.follow else { return };
        follow.assigned = true;
        // The application asks right after it was answered; as an event of its own it comes next.
        actor.pending_assignment(partitions);
        let number = actor.follow.as_ref().map_or(0, |it| it.number);
        self.queue.push(self.clock, Due::Poll(pid, number));
    }

    /// A reader's next move: learn the partitions, take them, poll.
    pub(super) fn poll_tick(&mut self, pid: Pid, number: u32) {
        let Some(actor) = self.process_mut(pid).actor_mut() else { return };
        if actor.client.as_ref().is_none_or(Client::is_closed) {
            return;
        }
        let Some(follow) = actor.follow.as_ref().filter(|it| it.number == number) else { return };
        let is_member = actor.config.group_id.is_some();
        let operation = match (&actor.assignment, follow.assigned) {
            (_, false) if is_member => Operation::Subscribe(vec![follow.topic.clone()]),
            (_, false) => Operation::PartitionsFor(follow.topic.clone()),
            (Some(_), true) => Operation::Assign(actor.assignment.take().unwrap_or_default()),
            (None, true) => Operation::Poll { timeout_ms: POLL_MS },
        };
        let op = self.number(pid, &operation);
        if let Some(follow) = self.process_mut(pid).actor_mut().and_then(|actor| actor.follow.as_mut()) {
            follow.op = Some(op.0);
            follow.assigned |= is_member;
        }
        self.tell_client(pid, Input::Do(op, operation));
    }

    /// A workload's next record.
    pub(super) fn load_tick(&mut self, pid: Pid, number: u32) {
        let unsettled = self.checks.unsettled(pid);
        let clock = self.clock;
        let Some(actor) = self.process_mut(pid).actor_mut() else { return };
        if actor.client.as_ref().is_none_or(Client::is_closed) {
            return;
        }
        let next_send = actor.next_send;
        let Some(load) = actor.load.as_mut().filter(|it| it.number == number) else { return };
        if load.load.count.is_some_and(|count| load.sent >= count) {
            return;
        }
        let (every, size) = (load.load.every_us, load.load.size);
        let fit = actor.config.buffer_memory as u64 / u64::from(size).max(1);
        let wait = actor.random.within(every / 2, every + every / 2);
        self.queue.push(protocol::Instant(clock.0 + wait), Due::Load(pid, number));
        // As `send` waits while `buffer.memory` is full; one record is tried all the same, and refused if it is too large.
        if unsettled >= WINDOW.min(fit.max(1)) {
            return;
        }
        let Some(actor) = self.process_mut(pid).actor_mut() else { return };
        let Some(load) = actor.load.as_mut() else { return };
        load.sent += 1;
        let Load { client, topic, keys, size, .. } = &load.load;
        let key = (*keys > 0).then(|| Bytes::from(format!("k{}", actor.random.below(u64::from(*keys)))));
        let record = ProducerRecord {
            topic: topic.clone(),
            key,
            value: Some(value_of(client, next_send, *size as usize)),
            ..ProducerRecord::default()
        };
        let op = self.number(pid, &Operation::Send(record.clone()));
        self.tell_client(pid, Input::Do(op, Operation::Send(record)));
    }

    /// Numbers an operation and takes it into the books.
    fn number(&mut self, pid: Pid, operation: &Operation) -> OpId {
        let Some(actor) = self.process_mut(pid).actor_mut() else { return OpId(OTHER) };
        let Operation::Send(record) = operation else {
            let op = OpId(actor.next_other);
            actor.next_other += 1;
            actor.others_open += 1;
            self.operations.wanted(pid, op, operation);
            return op;
        };
        let op = actor.next_send;
        actor.next_send += 1;
        self.checks.sent(pid, op, record.key.as_deref(), record.value.as_deref());
        OpId(op)
    }

    /// A person asks a client for something: it hears of it as its next event.
    pub(super) fn ask_client(&mut self, pid: Pid, operation: Operation) -> OpId {
        let op = self.number(pid, &operation);
        let process = self.process_mut(pid);
        let incarnation = process.incarnation;
        if let Some(actor) = process.actor_mut() {
            actor.wishes.push_back((op, operation));
            self.queue.push(self.clock, Due::Do(pid, incarnation));
        }
        op
    }

    pub(super) fn wish(&mut self, pid: Pid, incarnation: u32) {
        let process = self.process_mut(pid);
        if process.incarnation != incarnation {
            return;
        }
        let Some((op, operation)) = process.actor_mut().and_then(|actor| actor.wishes.pop_front()) else { return };
        self.tell_client(pid, Input::Do(op, operation));
    }

    /// A client that runs.
    pub(super) fn running_client(&self, name: &str) -> Result<Pid, ActionError> {
        let pid = self.pid(name)?;
        match self.process(pid).actor() {
            None => Err(ActionError(format!("{name} is not a producer or consumer"))),
            Some(actor) if actor.client.is_none() => Err(ActionError(format!("{name} does not run"))),
            Some(_) if self.process(pid).paused => Err(ActionError(format!("{name} stands still"))),
            Some(_) => Ok(pid),
        }
    }

    pub(super) fn operate(&mut self, name: &str, operation: Operation) -> Result<(), ActionError> {
        let pid = self.running_client(name)?;
        if let Operation::Assign(_) = operation {
            self.checks.reader_restarted(pid);
        }
        self.ask_client(pid, operation);
        Ok(())
    }

    pub(super) fn seek(&mut self, name: &str, partition: &TopicPartition, to: SeekTo) -> Result<(), ActionError> {
        let pid = self.running_client(name)?;
        self.checks.reader_moved(pid, partition);
        let to = match to {
            SeekTo::Beginning => client::SeekTo::Beginning,
            SeekTo::End => client::SeekTo::End,
            SeekTo::Offset(offset) => client::SeekTo::Offset(offset),
        };
        self.ask_client(pid, Operation::Seek(partition.clone(), to));
        Ok(())
    }

    pub(super) fn produce(&mut self, record: &Produce) -> Result<(), ActionError> {
        let pid = self.running_client(&record.client)?;
        let record = ProducerRecord {
            topic: record.topic.clone(),
            partition: record.partition,
            key: record.key.clone(),
            value: record.value.clone(),
            ..ProducerRecord::default()
        };
        self.ask_client(pid, Operation::Send(record));
        Ok(())
    }

    pub(super) fn begin_load(&mut self, load: &Load) -> Result<(), ActionError> {
        let pid = self.pid(&load.client)?;
        let clock = self.clock;
        let Some(actor) = self.process_mut(pid).actor_mut() else {
            return Err(ActionError(format!("{} is not a producer", load.client)));
        };
        let number = actor.load.as_ref().map_or(0, |it| it.number + 1);
        actor.load = Some(Workload { load: load.clone(), sent: 0, number });
        self.queue.push(clock, Due::Load(pid, number));
        Ok(())
    }

    pub(super) fn end_load(&mut self, name: &str) -> Result<(), ActionError> {
        let pid = self.pid(name)?;
        let Some(load) = self.process_mut(pid).actor_mut().and_then(|actor| actor.load.as_mut()) else {
            return Err(ActionError(format!("{name} has no load")));
        };
        load.load.count = Some(load.sent);
        Ok(())
    }

    pub(super) fn slow(&mut self, name: &str, us: u64) -> Result<(), ActionError> {
        let pid = self.pid(name)?;
        let Some(actor) = self.process_mut(pid).actor_mut() else {
            return Err(ActionError(format!("{name} is not a consumer")));
        };
        actor.slow_us = us;
        Ok(())
    }

    pub(super) fn follow(&mut self, name: &str, topic: &Str) -> Result<(), ActionError> {
        let pid = self.pid(name)?;
        let clock = self.clock;
        let Some(actor) = self.process_mut(pid).actor_mut() else {
            return Err(ActionError(format!("{name} is not a consumer")));
        };
        let number = actor.follow.as_ref().map_or(0, |it| it.number + 1);
        actor.follow = Some(Follow { topic: topic.clone(), assigned: false, op: None, number });
        self.queue.push(clock, Due::Poll(pid, number));
        Ok(())
    }
}

impl Actor {
    fn keep_records(&mut self, records: Vec<ConsumerRecord>) {
        let skip = records.len().saturating_sub(KEPT);
        self.consumed.extend(records.into_iter().skip(skip));
        let excess = self.consumed.len().saturating_sub(KEPT);
        self.consumed.drain(..excess);
    }

    fn keep_answer(&mut self, op: u64, outcome: Outcome) {
        if self.answers.len() == KEPT {
            self.answers.pop_front();
        }
        self.answers.push_back((op, outcome));
    }

    fn pending_assignment(&mut self, partitions: Vec<TopicPartition>) {
        self.assignment = Some(partitions);
    }
}

/// A workload's value: who sent it and its number, then dots up to its size.
fn value_of(client: &str, number: u64, size: usize) -> Bytes {
    use std::io::Write;
    let mut value = Vec::with_capacity(size.max(24));
    // Writing to memory does not fail.
    let _ = write!(value, "{client}-{number}");
    if value.len() < size {
        value.push(b' ');
        value.resize(size.max(value.len()), b'.');
    }
    value.into()
}

fn heard_by_client(input: &Input) -> Heard {
    match input {
        Input::Wake => Heard::Wake,
        Input::Do(op, operation) => Heard::Operation(*op, crate::narration::operation_name(operation)),
        Input::Connected(_) => Heard::Connected,
        Input::ConnectFailed(_) => Heard::ConnectFailed,
        Input::Answered(_, response) => Heard::Response(response.body.api_key(), response.correlation_id),
        Input::Closed(_) => Heard::Disconnected,
    }
}
