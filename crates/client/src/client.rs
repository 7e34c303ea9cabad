//! One client process: an input goes to its network, what was settled to its owner, then everyone does what can be done.

use protocol::messages::MetadataResponse;
use protocol::{ErrorCode, Instant, NodeId, Now, Str, TopicPartition};

use crate::admin::{Admin, AdminTicket, BrokerInfo};
use crate::config::ClientConfig;
use crate::consumer::{Consumer, ConsumerTicket};
use crate::event::Event;
use crate::group::{Group, GroupTicket, no_group};
use crate::input::{Input, OpId, Operation};
use crate::metadata::Metadata;
use crate::network::{Lost, Network, Settled};
use crate::outbox::{Answer, Cause, Failure, Outbox};
use crate::producer::{Producer, Sent};
use crate::random::Random;
use crate::view::{GroupView, PendingState, PendingView, View};
use crate::wire::{ApiKey, RequestBody, ResponseBody};

/// A Kafka client: producer, consumer and admin over one set of connections.
#[derive(Clone, Debug)]
pub struct Client {
    config: ClientConfig,
    network: Network<Ticket>,
    metadata: Metadata,
    random: Random,
    producer: Producer,
    consumer: Consumer,
    /// The consumer's, if it has one.
    group: Option<Group>,
    admin: Admin,
    /// Questions about a topic's partitions that wait for metadata.
    asked_partitions: Vec<(OpId, Str, Instant)>,
    life: Life,
    wake_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    Closing { op: OpId, deadline: Instant },
    Closed,
}

/// Who waits for an answer, and what for.
#[derive(Clone, Debug)]
pub(crate) enum Ticket {
    /// Nobody: the request gets no answer.
    Nothing,
    Metadata,
    InitProducerId,
    Produce(Sent),
    Consumer(ConsumerTicket),
    Group(GroupTicket),
    Admin(AdminTicket),
}

/// What a part of the client works with: the clock, its neighbours, and where effects go.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a ClientConfig,
    pub(crate) network: &'a mut Network<Ticket>,
    pub(crate) metadata: &'a mut Metadata,
    pub(crate) random: &'a mut Random,
    pub(crate) out: &'a mut Outbox,
}

impl Context<'_> {
    /// True if a request can be sent to the broker now; opens a connection if there is none.
    pub(crate) fn ready(&mut self, node: NodeId) -> bool {
        self.network.ready(node, self.now, self.config, self.out)
    }

    /// Any broker that can take a request now; opens a connection if there is none.
    pub(crate) fn least_loaded_ready(&mut self) -> Option<NodeId> {
        let node = self.network.least_loaded(self.now, self.config.max_in_flight)?;
        self.ready(node).then_some(node)
    }

    /// Sends a request to a broker that is ready.
    pub(crate) fn send(&mut self, node: NodeId, version: i16, body: RequestBody, ticket: Ticket) {
        let timeout_ms = self.config.request_timeout_ms;
        self.send_within(node, version, body, ticket, timeout_ms);
    }

    /// The same, for an answer that may take longer.
    pub(crate) fn send_within(
        &mut self,
        node: NodeId,
        version: i16,
        body: RequestBody,
        ticket: Ticket,
        timeout_ms: i64,
    ) {
        let sent = self.network.send(node, version, body, ticket, timeout_ms, self.now, self.out);
        assert!(sent.is_ok(), "requests are sent only to brokers that are ready");
    }

    /// Brokers that an answer named in passing.
    pub(crate) fn add_brokers(&mut self, brokers: Vec<BrokerInfo>) {
        for broker in brokers {
            self.network.add_broker(broker.node, &broker.host, broker.port);
            self.metadata.add_broker(broker);
        }
    }
}

macro_rules! context {
    ($client:ident, $now:ident, $out:ident) => {
        &mut Context {
            now: $now,
            config: &$client.config,
            network: &mut $client.network,
            metadata: &mut $client.metadata,
            random: &mut $client.random,
            out: $out,
        }
    };
}

impl Client {
    /// A client that knows its bootstrap servers and nothing else. It connects when it has something to do.
    pub fn boot(config: ClientConfig, seed: u64) -> Client {
        let mut random = Random::new(seed);
        let (for_network, for_metadata) = (Random::new(random.next()), Random::new(random.next()));
        Client {
            network: Network::new(&config, for_network),
            metadata: Metadata::new(for_metadata),
            group: Group::new(&config),
            config,
            random,
            producer: Producer::default(),
            consumer: Consumer::default(),
            admin: Admin::default(),
            asked_partitions: Vec::new(),
            life: Life::Open,
            wake_at: None,
        }
    }

    /// Handles one input. Total and synchronous; everything it wants done is in `out`.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Outbox) {
        let settled = match input {
            Input::Wake => Vec::new(),
            Input::Do(op, operation) => {
                self.start(op, operation, now, out);
                Vec::new()
            }
            Input::Connected(conn) => {
                self.network.handle_connected(conn, now, &self.config, out);
                Vec::new()
            }
            Input::ConnectFailed(conn) | Input::Closed(conn) => {
                // Whoever led there may not lead any more.
                self.metadata.request_update();
                self.network.handle_closed(conn, now, &self.config, out)
            }
            Input::Answered(conn, response) => self.network.handle_answered(conn, response, now, &self.config, out),
        };
        self.settle(settled, now, out);
        let late = self.network.handle_time(now, &self.config, out);
        if !late.is_empty() {
            self.metadata.request_update();
        }
        self.settle(late, now, out);
        if self.life != Life::Closed && self.metadata.rebootstrap_at(&self.config).is_some_and(|at| at <= now.mono) {
            let lost = self.rebootstrap(now, out);
            self.settle(lost, now, out);
        }
        while self.life != Life::Closed {
            self.drive(now, out);
            let parted = self.network.take_parted();
            if parted.is_empty() {
                break;
            }
            self.settle(parted, now, out);
        }
        self.wake_at = self.next_wake(now, out);
    }

    /// When [`Input::Wake`] is due: now or later. `None`: only another input brings something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Whether [`Operation::Close`] is done.
    pub fn is_closed(&self) -> bool {
        self.life == Life::Closed
    }

    /// What the client runs with.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Its membership in its group, as it believes; a part of [`Client::view`].
    pub fn group(&self) -> Option<GroupView> {
        self.group.as_ref().map(|it| it.view(&self.consumer, &self.config))
    }

    /// What this client could tell about itself.
    pub fn view(&self) -> View {
        let asked = self.asked_partitions.iter().map(|(op, ..)| PendingView { op: *op, state: PendingState::Waiting });
        let mut pending: Vec<PendingView> =
            self.producer.pending().chain(self.consumer.pending()).chain(self.admin.pending()).chain(asked).collect();
        if let Some(group) = &self.group {
            pending.extend(group.pending());
        }
        ordered::sort_by_key(&mut pending, |it| it.op);
        View { pending, producer: self.producer.view(), ..self.outline() }
    }

    /// The same without records and operations under way, of which there may be thousands: for who looks at every frame.
    pub fn outline(&self) -> View {
        View {
            client_id: self.config.client_id.clone(),
            connections: self.network.view(),
            consumer: self.consumer.view(),
            group: self.group(),
            metadata_at: self.metadata.answered_at(),
            ..View::default()
        }
    }

    /// Who is closed wants nothing more, but what it does about the partitions that it gives up for that.
    fn accepts(&self, operation: &Operation) -> bool {
        use Operation::{Commit, Committed, Listen, Position};
        let acts = self.group.as_ref().is_some_and(Group::acts);
        match self.life {
            Life::Open => true,
            Life::Closing { .. } => acts && matches!(operation, Listen | Commit(_) | Committed(_) | Position(_)),
            Life::Closed => false,
        }
    }

    fn start(&mut self, op: OpId, operation: Operation, now: Now, out: &mut Outbox) {
        if !self.accepts(&operation) {
            out.failed(op, Failure::new(Cause::Illegal, "This client has already been closed."));
            return;
        }
        let context = context!(self, now, out);
        match operation {
            Operation::Send(record) => self.producer.send(op, record, context),
            Operation::Flush => self.producer.flush(op),
            Operation::Assign(partitions) => self.consumer.assign(op, partitions, context),
            Operation::Subscribe(_)
            | Operation::SubscribePattern(_)
            | Operation::Listen
            | Operation::Commit(_)
            | Operation::Committed(_)
                if self.group.is_none() =>
            {
                context.out.failed(op, no_group());
            }
            Operation::Subscribe(topics) => {
                if let Some(group) = &mut self.group {
                    group.subscribe(op, topics, &mut self.consumer, context);
                }
            }
            Operation::SubscribePattern(pattern) => {
                if let Some(group) = &mut self.group {
                    group.subscribe_pattern(op, pattern, &mut self.consumer, context);
                }
            }
            Operation::Listen => {
                if let Some(group) = &mut self.group {
                    group.listen(op, context);
                }
            }
            Operation::Commit(offsets) => {
                if let Some(group) = &mut self.group {
                    group.commit(op, offsets, &self.consumer, context);
                }
            }
            Operation::Committed(partitions) => {
                if let Some(group) = &mut self.group {
                    group.look_up(op, partitions, context);
                }
            }
            Operation::Seek(partition, to) => self.consumer.seek(op, &partition, to, context),
            Operation::Pause(partitions) => self.consumer.pause(op, &partitions, true, context),
            Operation::Resume(partitions) => self.consumer.pause(op, &partitions, false, context),
            Operation::Poll { timeout_ms } => self.consumer.poll(op, timeout_ms, context),
            Operation::Position(partition) => self.consumer.position(op, partition, context),
            Operation::PartitionsFor(topic) => {
                context.metadata.want(&topic, self.config.allow_auto_create_topics);
                self.asked_partitions.push((op, topic, now.mono.plus_ms(self.config.default_api_timeout_ms)));
            }
            Operation::Admin(call) => self.admin.start(op, call, context),
            Operation::Close { timeout_ms } => {
                self.producer.close();
                if let Some(group) = &mut self.group {
                    group.close(&mut self.consumer, context);
                }
                self.life = Life::Closing { op, deadline: now.mono.plus_ms(timeout_ms) };
            }
        }
    }

    fn settle(&mut self, settled: Vec<Settled<Ticket>>, now: Now, out: &mut Outbox) {
        let mut settled = std::collections::VecDeque::from(settled);
        while let Some(Settled { ticket, node, answer }) = settled.pop_front() {
            let answer = answer.map(|it| it.body);
            match ticket {
                Ticket::Nothing => {}
                Ticket::Metadata => settled.extend(self.handle_metadata(answer, now, out)),
                Ticket::InitProducerId => {
                    let answer = expect(answer, |body| match body {
                        ResponseBody::InitProducerId(body) => Some(body),
                        _ => None,
                    });
                    self.producer.handle_identity(answer, context!(self, now, out));
                }
                Ticket::Produce(sent) => {
                    let answer = expect(answer, |body| match body {
                        ResponseBody::Produce(body) => Some(body),
                        _ => None,
                    });
                    self.producer.handle_produced(sent, node, answer, context!(self, now, out));
                }
                Ticket::Consumer(ticket) => self.consumer.handle(ticket, node, answer, context!(self, now, out)),
                Ticket::Group(ticket) => {
                    if let Some(group) = &mut self.group {
                        group.handle(ticket, answer, &mut self.consumer, context!(self, now, out));
                    }
                }
                Ticket::Admin(ticket) => self.admin.handle(ticket, node, answer, context!(self, now, out)),
            }
            settled.extend(self.network.take_parted());
        }
    }

    fn handle_metadata(
        &mut self,
        answer: Result<ResponseBody, Lost>,
        now: Now,
        out: &mut Outbox,
    ) -> Vec<Settled<Ticket>> {
        let body: Result<MetadataResponse, Lost> = expect(answer, |body| match body {
            ResponseBody::Metadata(body) => Some(body),
            _ => None,
        });
        let Ok(body) = body else {
            self.metadata.handle_lost(now, &self.config);
            return Vec::new();
        };
        if self.config.metadata_rebootstrap && body.error_code == ErrorCode::RebootstrapRequired.code() {
            // Whoever answered belongs to another cluster by now, or knows nobody who is left of this one (KIP-1102).
            self.metadata.handle_lost(now, &self.config);
            return self.rebootstrap(now, out);
        }
        self.metadata.handle_answer(body, now, &self.config);
        let (brokers, topics) = (self.metadata.brokers().count(), self.metadata.topic_names());
        out.emit(|| Event::MetadataUpdated { brokers, topics });
        let brokers: Vec<BrokerInfo> = self.metadata.brokers().cloned().collect();
        self.network.set_brokers(brokers.iter().map(|it| (it.node, &it.host, it.port)), out)
    }

    fn drive(&mut self, now: Now, out: &mut Outbox) {
        self.producer.drive(context!(self, now, out));
        if let Some(group) = &mut self.group {
            group.drive(&mut self.consumer, context!(self, now, out));
        }
        self.consumer.drive(context!(self, now, out));
        self.admin.drive(context!(self, now, out));
        self.answer_partitions(now, out);
        self.ask_metadata(now, out);
        if let Life::Closing { op, deadline } = self.life
            && (deadline <= now.mono || self.producer.is_settled() && self.group.as_ref().is_none_or(Group::is_settled))
        {
            self.producer.abort(context!(self, now, out));
            if let Some(group) = &mut self.group {
                group.abort(context!(self, now, out));
            }
            self.consumer.abort(context!(self, now, out));
            self.admin.abort(context!(self, now, out));
            for (op, ..) in std::mem::take(&mut self.asked_partitions) {
                out.failed(op, Failure::new(Cause::Illegal, "This client has already been closed."));
            }
            self.network.close_all(out);
            out.done(op, Answer::Done);
            self.life = Life::Closed;
        }
    }

    /// Begins anew with the bootstrap servers; what was under way elsewhere is lost.
    fn rebootstrap(&mut self, now: Now, out: &mut Outbox) -> Vec<Settled<Ticket>> {
        self.metadata.rebootstrapped(now);
        self.network.rebootstrap(now, &self.config, out)
    }

    fn ask_metadata(&mut self, now: Now, out: &mut Outbox) {
        if !self.metadata.due(now, &self.config) {
            return;
        }
        self.metadata.attempt(now);
        let context = context!(self, now, out);
        let Some(node) = context.network.for_metadata(now, context.config) else { return };
        if !context.ready(node) {
            return;
        }
        match context.network.version(node, ApiKey::Metadata) {
            Some(version) => {
                let body = context.metadata.request(version);
                context.send(node, version, RequestBody::Metadata(body), Ticket::Metadata);
            }
            None => self.metadata.handle_lost(now, &self.config),
        }
    }

    fn answer_partitions(&mut self, now: Now, out: &mut Outbox) {
        let metadata = &mut self.metadata;
        self.asked_partitions.retain(|(op, topic, deadline)| {
            if let Some(known) = metadata.topic(topic).filter(|it| !it.partitions.is_empty()) {
                out.done(*op, Answer::Partitions(known.partitions.iter().map(|it| it.info.clone()).collect()));
                return false;
            }
            if let Some(known) = metadata.topic(topic).filter(|it| !it.error.is_retriable() && it.error.code() != 0) {
                out.failed(*op, Failure::refused(known.error, Some(&known.why(topic))));
                return false;
            }
            if *deadline <= now.mono {
                out.failed(
                    *op,
                    Failure::new(Cause::TimedOut, format!("Timeout expired while fetching topic metadata: {topic}")),
                );
                return false;
            }
            metadata.request_update();
            true
        });
    }

    fn next_wake(&mut self, now: Now, out: &mut Outbox) -> Option<Instant> {
        if self.life == Life::Closed {
            return None;
        }
        let closing = match self.life {
            Life::Closing { deadline, .. } => Some(deadline),
            Life::Open | Life::Closed => None,
        };
        let asked = self.asked_partitions.iter().map(|(.., deadline)| *deadline).min();
        let context = context!(self, now, out);
        [
            closing,
            asked,
            self.producer.wake_at(context),
            self.consumer.wake_at(context),
            self.group.as_ref().and_then(|it| it.wake_at(&self.consumer, context)),
            self.admin.wake_at(context),
            self.metadata.wake_at(&self.config).filter(|at| *at > now.mono),
            self.metadata.rebootstrap_at(&self.config),
            self.network.deadline(),
            self.network.retry_at(now),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// The body that the API has. Another one has been refused by the network already.
fn expect<T>(answer: Result<ResponseBody, Lost>, body: impl FnOnce(ResponseBody) -> Option<T>) -> Result<T, Lost> {
    answer.and_then(|it| body(it).ok_or(Lost::Disconnected))
}

/// How Kafka writes a list of partitions.
pub(crate) fn list<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    let names: Vec<String> = partitions.into_iter().map(TopicPartition::to_string).collect();
    format!("[{}]", names.join(", "))
}
