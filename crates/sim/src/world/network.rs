//! Connections open, carry messages, break.

use client::Connect;
use node::{ConnId, Credit, Input, Peer, PeerHost, Reply};
use protocol::messages::FetchResponse;
use protocol::records::Records;
use protocol::{ApiKey, Request, RequestBody, Response, ResponseBody, Str};
use storage::{Disk, LogId, StoreError, log_of};

use super::{ActionError, World, response_through_bytes, through_bytes};
use crate::action::MessageId;
use crate::link::{Answer, Link, LinkId, Owed, Packet};
use crate::narration::{Because, Heard};
use crate::queue::{Due, Pid};
use crate::setup::{CONTROLLER_PORT, PlantedBug};
use crate::view::MessageKind;

/// How long after an answer its connection has its turn at most, in µs.
const TURN_US: u64 = 20;

impl World {
    /// A packet's way from one process towards another takes this long.
    fn latency(&mut self, from: Pid, to: Pid) -> u64 {
        if from == to {
            return 0;
        }
        let (low, high) = self.setup.network_us;
        let extra = self.delays.get(&World::pair(from, to)).copied().unwrap_or(0);
        self.process_mut(from).network.within(low, high) + extra
    }

    /// A client wants a connection.
    pub(crate) fn connect(&mut self, client: Pid, connect: &Connect) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let target = self.names.get(&connect.host).copied().filter(|pid| self.process(*pid).broker().is_some());
        let listener = if connect.port == CONTROLLER_PORT { "CONTROLLER" } else { "PLAINTEXT" };
        // A name that does not resolve is refused by the machine itself, at once.
        let node = target.unwrap_or(client);
        let link = Link::new(client, node, Str::from_static(listener), connect.conn, self.doing);
        self.links.insert(id, link);
        if target.is_some() {
            let latency = self.latency(client, node);
            self.queue.push(self.after(latency), Due::Open(id));
        } else {
            self.queue.push(self.clock, Due::Opened(id));
        }
        id
    }

    /// The connection request reaches the node's machine.
    pub(crate) fn open_at_node(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (client, node) = (link.client, link.node);
        if self.is_cut(client, node) {
            // The packet is lost; the system tries again after a second, as TCP does.
            self.queue.push(self.clock.plus_ms(1_000), Due::Open(id));
            return;
        }
        let power = self.process(node).power;
        if power == super::Power::Dark {
            self.queue.push(self.clock.plus_ms(1_000), Due::Open(id));
            return;
        }
        let latency = self.latency(node, client);
        self.queue.push(self.after(latency), Due::Opened(id));
        if power.is_up() {
            let host = match self.process(client).broker() {
                Some(own) if client == node => PeerHost::Node(own.config.node_id),
                _ => PeerHost::Named(self.process(client).name.clone()),
            };
            let Some(link) = self.links.get_mut(&id) else { return };
            link.node_open = true;
            let because = link.because;
            let peer = Peer { listener: link.listener.clone(), host };
            self.because = because;
            self.tell_node(node, Input::Opened(node_conn(id), peer));
        }
    }

    /// The answer to a connection request reaches the client.
    pub(crate) fn opened_at_client(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (client, conn, open) = (link.client, link.conn, link.node_open);
        if open && self.is_cut(link.node, client) {
            self.queue.push(self.clock.plus_ms(1_000), Due::Opened(id));
            return;
        }
        if !link.client_open {
            return;
        }
        if open {
            self.because = link.because;
        } else {
            self.links.remove(&id);
        }
        self.client_connected(client, id, conn, open);
    }

    /// A client sends a request.
    pub(crate) fn send_up(&mut self, id: LinkId, packet: Packet<protocol::Request>) {
        let Some(link) = self.links.get(&id) else { return };
        let (client, node) = (link.client, link.node);
        let latency = self.latency(client, node);
        let (now, because) = (self.clock, self.doing);
        let Some(link) = self.links.get_mut(&id) else { return };
        let arrives = link.up.send(now, latency, because, packet);
        self.queue.push(arrives, Due::Up(id));
    }

    fn send_down(&mut self, id: LinkId, because: Because, packet: Packet<Response>) {
        let Some(link) = self.links.get(&id) else { return };
        let (client, node) = (link.client, link.node);
        let latency = self.latency(node, client);
        let now = self.clock;
        let Some(link) = self.links.get_mut(&id) else { return };
        let arrives = link.down.send(now, latency, because, packet);
        self.queue.push(arrives, Due::Down(id));
    }

    /// A request, or the news that the client is gone, arrives.
    pub(crate) fn arrive_at_node(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (client, node) = (link.client, link.node);
        let cut = !self.cuts.is_empty() && self.is_cut(client, node);
        let Some(link) = self.links.get_mut(&id) else { return };
        if cut || link.dark || (link.held && link.node_open) || link.up.stalled > 0 {
            link.up.stalled += 1;
            return;
        }
        self.take_up(id);
    }

    fn take_up(&mut self, id: LinkId) {
        let now = self.clock;
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(transit) = link.up.transit.pop_front_if(|it| it.arrives <= now) else { return };
        let (client, node, open) = (link.client, link.node, link.node_open);
        self.because = transit.because;
        match transit.what {
            Packet::Fin => {
                link.node_open = false;
                link.client_open = false;
                self.links.remove(&id);
                if open && self.process(node).power.is_up() {
                    // The link is gone by then, and nobody could say any more whose it was.
                    self.tell_node_as(node, Heard::Closed(Some(client)), Input::Closed(node_conn(id)));
                }
            }
            Packet::Message(_) if !open => {}
            Packet::Message(mut request) => {
                let api = request.body.api_key();
                link.owed.push_back(Owed {
                    correlation_id: request.correlation_id,
                    api,
                    since: self.clock,
                    answer: Answer::None,
                    because: Because::Itself,
                });
                self.damage(client, api, &mut request.body);
                if self.setup.bug.is_some() {
                    self.plant_into_request(client, node, &mut request.body);
                }
                if self.setup.codec {
                    let forgets = self.bug_shows(PlantedBug::ForgetsField);
                    let damage = |decoded: &mut Request| {
                        if forgets {
                            decoded.client_id = None;
                        }
                    };
                    match through_bytes(&mut request, &mut self.digest, damage) {
                        Ok(decoded) => request = decoded,
                        Err(error) => {
                            return self.checks.codec_failed(self.events, format!("{} request: {error}", api.name()));
                        }
                    }
                }
                let copy = self.plant_copy(&request);
                self.tell_node(node, Input::Request(node_conn(id), request));
                if let Some(copy) = copy {
                    self.tell_node(node, Input::Request(node_conn(id), copy));
                }
            }
        }
    }

    fn damage(&mut self, client: Pid, api: ApiKey, body: &mut RequestBody) {
        let Some(index) = self.corruptions.iter().position(|it| *it == (api, client)) else { return };
        let RequestBody::Produce(produce) = body else { return };
        let data = produce.topic_data.iter_mut().flat_map(|it| &mut it.partition_data).next();
        let Some(records) = data.and_then(|it| it.records.as_mut()) else { return };
        let mut bytes = match records {
            Records::Bytes(bytes) | Records::Refused(bytes, _) => bytes.to_vec(),
            Records::Batches(batches) => batches.to_bytes().to_vec(),
            Records::Regions(_) => return,
        };
        if let Some(last) = bytes.last_mut() {
            *last ^= 0x10;
            *records = Records::Bytes(bytes.into());
            self.corruptions.remove(index);
        }
    }

    /// What a node says to those connected to it.
    pub(crate) fn carry_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Answer(conn, response) => {
                self.note_answer(conn, response.correlation_id, Answer::Ready(Box::new(response)));
            }
            Reply::Nothing(conn, correlation_id) => self.note_answer(conn, correlation_id, Answer::Nothing),
            Reply::Close(conn, _) => self.close_from_node(link_id(conn)),
        }
    }

    fn note_answer(&mut self, conn: ConnId, correlation_id: i32, answer: Answer) {
        let id = link_id(conn);
        let because = self.doing;
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.answered(correlation_id, answer, because) && !link.turn {
            link.turn = true;
            let node = link.node;
            let is_own = link.client == node;
            let wait = if is_own { 0 } else { self.process_mut(node).network.below(TURN_US + 1) };
            self.queue.push(self.after(wait), Due::Send(id));
        }
    }

    /// The connection's turn: what the answers name is read now, from a log that may have changed since.
    pub(crate) fn send_answers(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.turn = false;
        while let Some(owed) = self.links.get_mut(&id).and_then(Link::next_answer) {
            let Answer::Ready(mut response) = owed.answer else { continue };
            let Some(link) = self.links.get(&id) else { return };
            let (client, node) = (link.client, link.node);
            if let ResponseBody::Fetch(fetch) = &mut response.body
                && let Err(fault) = self.resolve(node, fetch)
            {
                // The bytes were cut, their file is gone or the disk refuses; what was promised cannot be sent.
                self.break_link(id);
                if let Some((log, error)) = fault {
                    self.tell_node(node, Input::Unreadable(log, error));
                }
                return;
            }
            let mut response = *response;
            if self.setup.codec {
                match response_through_bytes(&mut response, owed.api, &mut self.digest) {
                    Ok(decoded) => response = decoded,
                    Err(error) => {
                        return self.checks.codec_failed(self.events, format!("{} response: {error}", owed.api.name()));
                    }
                }
            }
            if let Some(index) = self.drops.iter().position(|it| *it == (owed.api, client)) {
                self.drops.remove(index);
                self.calm.begin(self.clock);
                self.break_link(id);
                self.last.lost =
                    Some((MessageId { link: id, number: owed.correlation_id, is_answer: true }, owed.api, client));
                return;
            }
            if self.process(client).broker().is_none() {
                self.plant_into(client, &mut response.body);
            } else if self.setup.bug.is_some() {
                self.plant_between(node, client, &mut response.body);
            }
            self.send_down(id, owed.because, Packet::Message(response));
        }
    }

    /// Reads the regions of an answer. An error if one is gone, with the log if it is there and the disk refuses to read it.
    fn resolve(&self, node: Pid, fetch: &mut FetchResponse) -> Result<(), Option<(LogId, StoreError)>> {
        let broker = self.process(node).broker().ok_or(None)?;
        for partition in fetch.responses.iter_mut().flat_map(|it| &mut it.partitions) {
            let Some(Records::Regions(regions)) = &partition.records else { continue };
            let mut pieces = Vec::with_capacity(regions.len());
            for region in regions {
                let place = broker.store.resolve(*region).map_err(|_| None)?;
                let read = broker.store.disk().read_at(&place.file, place.at, place.len as usize);
                let bytes = read.map_err(|error| Some((log_of(region.file), error)))?;
                if bytes.len() != place.len as usize {
                    return Err(None);
                }
                pieces.push(bytes);
            }
            let bytes = if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() };
            partition.records = Some(Records::Bytes(bytes));
        }
        Ok(())
    }

    /// An answer, or the news that the node is gone, arrives.
    pub(crate) fn arrive_at_client(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (client, node) = (link.client, link.node);
        let cut = !self.cuts.is_empty() && self.is_cut(node, client);
        let Some(link) = self.links.get_mut(&id) else { return };
        if cut || link.dark || link.down.stalled > 0 {
            link.down.stalled += 1;
            return;
        }
        self.take_down(id);
    }

    fn take_down(&mut self, id: LinkId) {
        let now = self.clock;
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(transit) = link.down.transit.pop_front_if(|it| it.arrives <= now) else { return };
        let (client, node, conn, open) = (link.client, link.node, link.conn, link.client_open);
        self.because = transit.because;
        match transit.what {
            Packet::Fin => {
                self.links.remove(&id);
                if open {
                    self.client_closed(client, conn);
                }
            }
            Packet::Message(response) if open => self.client_answered(client, node, conn, response),
            Packet::Message(_) => {}
        }
    }

    pub(crate) fn give_credit(&mut self, conn: ConnId, credit: Credit) {
        let id = link_id(conn);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.held = credit == Credit::Stop;
        if credit == Credit::Go {
            self.release_up(id);
        }
    }

    /// What waited for the node's will, or for the way, arrives.
    fn release_up(&mut self, id: LinkId) {
        let now = self.clock;
        let Some(link) = self.links.get_mut(&id) else { return };
        for _ in 0..std::mem::take(&mut link.up.stalled) {
            self.queue.push(now, Due::Up(id));
        }
    }

    fn release_down(&mut self, id: LinkId) {
        let now = self.clock;
        let Some(link) = self.links.get_mut(&id) else { return };
        for _ in 0..std::mem::take(&mut link.down.stalled) {
            self.queue.push(now, Due::Down(id));
        }
    }

    /// The node closes: what it has sent still arrives.
    fn close_from_node(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let was_open = std::mem::replace(&mut link.node_open, false);
        link.owed.clear();
        if was_open {
            self.send_down(id, self.doing, Packet::Fin);
        }
    }

    /// The client closes: what it has sent still arrives.
    pub(crate) fn close_from_client(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if std::mem::replace(&mut link.client_open, false) {
            self.send_up(id, Packet::Fin);
        }
    }

    /// Both ends hear that the connection is gone; what was on its way back is lost.
    fn break_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let node = link.node;
        let node_open = std::mem::replace(&mut link.node_open, false);
        link.owed.clear();
        link.down.transit.clear();
        link.down.stalled = 0;
        self.send_down(id, self.doing, Packet::Fin);
        if node_open && self.process(node).power.is_up() {
            self.tell_node(node, Input::Closed(node_conn(id)));
        }
    }

    /// A message on its way is lost, and with it the connection that it was on.
    pub(crate) fn drop_message(&mut self, id: MessageId) -> Result<(), ActionError> {
        let is = |it: i32| it == id.number;
        let link = self.links.get_mut(&id.link).filter(|it| it.client != it.node);
        let link = link.ok_or_else(|| ActionError(format!("no message {id} is on its way between two processes")))?;
        let is_there = if id.is_answer {
            link.down.transit.iter().any(|it| matches!(&it.what, Packet::Message(it) if is(it.correlation_id)))
        } else {
            link.up.transit.iter().any(|it| matches!(&it.what, Packet::Message(it) if is(it.correlation_id)))
        };
        if !is_there {
            return Err(ActionError(format!("message {id} is not on its way")));
        }
        link.up.transit.clear();
        link.up.stalled = 0;
        self.break_link(id.link);
        Ok(())
    }

    /// A message on its way is there at once, and what was sent before it on its connection: nothing overtakes on it.
    pub(crate) fn deliver_message(&mut self, id: MessageId) -> Result<(), ActionError> {
        let now = self.clock;
        let is = |it: &crate::view::Message| it.id() == id && it.from != it.to && it.what != MessageKind::Close;
        let found = self.messages().into_iter().find(is);
        let found =
            found.ok_or_else(|| ActionError(format!("message {id} is not on its way between two processes")))?;
        if found.stalled {
            return Err(ActionError(format!(
                "message {id} is held up: its way is cut, or the other end takes nothing"
            )));
        }
        let Some(link) = self.links.get_mut(&id.link) else { return Ok(()) };
        let (count, due) = if id.is_answer {
            (link.down.hasten(now, found.arrives), Due::Down(id.link))
        } else {
            (link.up.hasten(now, found.arrives), Due::Up(id.link))
        };
        for _ in 0..count {
            self.queue.push(now, due);
        }
        Ok(())
    }

    /// A process is gone: its connections end. A machine without power says nothing.
    pub(crate) fn drop_links(&mut self, pid: Pid, silently: bool) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.client == pid || link.node == pid).map(|(id, _)| *id).collect();
        for id in links {
            let Some(link) = self.links.get_mut(&id) else { continue };
            if link.client == pid && link.node == pid {
                self.links.remove(&id);
                continue;
            }
            if link.client == pid {
                link.client_open = false;
                if silently {
                    link.client_dark = true;
                } else {
                    self.send_up(id, Packet::Fin);
                }
                continue;
            }
            link.owed.clear();
            if !link.node_open {
                continue;
            }
            link.node_open = false;
            if silently {
                link.dark = true;
            } else {
                self.send_down(id, self.doing, Packet::Fin);
            }
        }
    }

    /// A machine is back: whoever still believes in an old connection is told that there is none.
    pub(crate) fn reset_dark_links(&mut self, node: Pid) {
        let own = |link: &Link| link.client == node && link.client_dark;
        let links: Vec<LinkId> = self.links.iter().filter(|(_, link)| own(link)).map(|(id, _)| *id).collect();
        for id in links {
            if let Some(link) = self.links.get_mut(&id) {
                link.client_dark = false;
            }
            self.send_up(id, Packet::Fin);
        }
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.node == node && link.dark).map(|(id, _)| *id).collect();
        for id in links {
            if let Some(link) = self.links.get_mut(&id) {
                link.dark = false;
                link.down.transit.clear();
                link.down.stalled = 0;
                link.up.transit.clear();
                link.up.stalled = 0;
            }
            self.send_down(id, self.doing, Packet::Fin);
        }
    }

    /// True if no packet passes from one to the other.
    pub(crate) fn is_cut(&self, from: Pid, to: Pid) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// The way between two processes is free again.
    pub(crate) fn release_links(&mut self, a: Pid, b: Pid) {
        let between = |link: &Link| World::pair(link.client, link.node) == World::pair(a, b);
        let links: Vec<LinkId> = self.links.iter().filter(|(_, link)| between(link)).map(|(id, _)| *id).collect();
        for id in links {
            self.release_up(id);
            self.release_down(id);
        }
    }
}

/// What a node calls a connection.
pub(crate) fn node_conn(id: LinkId) -> ConnId {
    ConnId(u64::from(id.0))
}

fn link_id(conn: ConnId) -> LinkId {
    LinkId(u32::try_from(conn.0).unwrap_or(u32::MAX))
}
