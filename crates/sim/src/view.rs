//! A world as plain data: what the lab draws and the JavaScript API answers. Reading it changes nothing.

use bytes::Bytes;
use node::view::{LogView, View as NodeView};
use node::{Scope, WakeReason};
use protocol::messages::fetch_response;
use protocol::records::{self, PureCompressors, Record};
use protocol::{
    ApiKey, Era, ErrorCode, Instant, NodeId, Offset, Region, RequestBody, Response, ResponseBody, Str, TopicPartition,
    Uuid,
};
use storage::Disk;
use storage::tail::TailEntry;

use crate::action::MessageId;
use crate::check::{Check, Finding, Tally};
use crate::groups::Group;
use crate::link::{Answer, LinkId, Packet};
use crate::narration::Because;
use crate::queue::Pid;
use crate::script::query::outcome_words;
use crate::world::{ADMIN, Kind, Power, World};

/// A world at a moment.
#[derive(Clone, Debug)]
pub struct View {
    /// How many events there have been.
    pub event: u64,
    /// The virtual time.
    pub clock: Instant,
    /// The hash of all that happened.
    pub hash: u64,
    /// The last event in one sentence.
    pub narration: String,
    /// Who heard it.
    pub process: Str,
    /// Brokers in the order of their ids.
    pub brokers: Vec<Broker>,
    /// Producers, consumers and wire clients in order of creation; the admin is not one of them.
    pub clients: Vec<Client>,
    /// What is on its way, the first to arrive first.
    pub messages: Vec<Message>,
    /// Requests that a node has and has not answered, oldest first.
    pub requests: Vec<Waiting>,
    /// What will fire, the next first.
    pub timers: Vec<Timer>,
    /// Who has a connection to whom, each pair once.
    pub links: Vec<(Str, Str)>,
    /// Pairs of processes between which packets take so much longer, in µs.
    pub delays: Vec<(Str, Str, u64)>,
    /// Pairs of processes between which no packet passes.
    pub cuts: Vec<(Str, Str)>,
    /// From whom to whom no packet passes, though packets come back.
    pub one_way_cuts: Vec<(Str, Str)>,
    /// Every check, and what broke it if it is broken.
    pub checks: Vec<(Check, Option<Finding>)>,
    /// What was lost, repeated or reordered, with its verdict; oldest first.
    pub findings: Vec<Finding>,
    /// How many acknowledged records nobody has who could lead now.
    pub at_risk: u64,
    /// How many acknowledged records are lost.
    pub acked_lost: u64,
    /// Records were deleted as somebody asked: by retention, compaction or hand.
    pub has_deleted: bool,
    /// Consumer groups by id.
    pub groups: Vec<Group>,
}

/// A broker.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Its name.
    pub name: Str,
    /// `node.id`.
    pub id: NodeId,
    /// Whether it runs.
    pub power: Power,
    /// It stands still.
    pub paused: bool,
    /// It serves requests.
    pub serving: bool,
    /// What the node says of itself: topics, partitions, logs, waits. `None` while there is no process.
    pub node: Option<NodeView>,
    /// Operations that its disk has not finished.
    pub disk_operations: usize,
    /// Bytes on its disk.
    pub disk_bytes: u64,
    /// Its disk takes so much longer for each operation, in µs.
    pub slow_us: u64,
    /// Its wall clock is ahead by so much.
    pub wall_offset_ms: i64,
}

/// A client: what its process could tell, and beside it what the ledger knows.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name.
    pub name: Str,
    /// Whether it runs.
    pub power: Power,
    /// It stands still.
    pub paused: bool,
    /// What the client knows, without its records. `None` while there is no process, and for a wire client.
    pub knows: Option<client::View>,
    /// How its records stand.
    pub tally: Tally,
    /// A workload is under way.
    pub load: Option<String>,
    /// So many µs pass between two of its records, on average.
    pub every_us: Option<u64>,
    /// The topic that it reads without end.
    pub follows: Option<Str>,
    /// How many records it was given in all.
    pub consumed_total: u64,
    /// The last outcome of an operation that was no send, in words.
    pub last_answer: Option<String>,
    /// How long its application is at each record, in µs.
    pub slow_us: u64,
    /// It says exactly what it is told, and how many answers it got.
    pub wire: Option<usize>,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its connection.
    pub link: LinkId,
    /// From whom.
    pub from: Str,
    /// To whom.
    pub to: Str,
    /// What it is.
    pub what: MessageKind,
    /// When it left.
    pub sent: Instant,
    /// When it arrives, unless the way is cut.
    pub arrives: Instant,
    /// The way is cut, or the receiver takes nothing at the moment.
    pub stalled: bool,
    /// Between nodes, and nothing but a sign of life: a heartbeat, or a fetch that finds nothing.
    pub is_idle: bool,
    /// What it was sent for.
    pub because: Because,
}

impl Message {
    /// What it is called in its run.
    pub fn id(&self) -> MessageId {
        let (number, is_answer) = match self.what {
            MessageKind::Request(_, id) => (id, false),
            MessageKind::Response(_, id) => (id, true),
            MessageKind::Close => (-1, false),
        };
        MessageId { link: self.link, number, is_answer }
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A request, with its correlation id.
    Request(ApiKey, i32),
    /// An answer, with its correlation id.
    Response(ApiKey, i32),
    /// The end of the connection.
    Close,
}

/// A request that is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its connection.
    pub link: LinkId,
    /// Who asked.
    pub from: Str,
    /// Who is to answer.
    pub at: Str,
    /// What was asked.
    pub api: ApiKey,
    /// Its correlation id.
    pub correlation_id: i32,
    /// When it arrived.
    pub since: Instant,
    /// When it is answered at the latest, if its node has set itself a time.
    pub deadline: Option<Instant>,
    /// Answered, and waiting for those before it.
    pub ready: bool,
}

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Whose.
    pub process: Str,
    /// When, in the world's time.
    pub at: Instant,
    /// Since when it runs, if its process says so.
    pub since: Option<Instant>,
    /// What for: the name of its configuration key where there is one.
    pub what: String,
}

/// A batch of a log with its records.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its head.
    pub head: records::BatchHead,
    /// Its records.
    pub records: Vec<Record>,
}

impl World {
    /// The world as plain data.
    pub fn view(&self) -> View {
        let (brokers, clients) = (self.brokers(), self.clients());
        View {
            event: self.events,
            clock: self.clock,
            hash: self.hash(),
            narration: self.narrate(),
            process: self.name(self.last.process).clone(),
            messages: self.messages(),
            requests: self.requests(&brokers),
            timers: self.timers(&brokers, &clients),
            brokers,
            clients,
            links: self.open_links(),
            delays: self
                .delays
                .iter()
                .map(|((a, b), us)| (self.name(*a).clone(), self.name(*b).clone(), *us))
                .collect(),
            cuts: self.cut_ways(|world, a, b| a < b && world.is_cut(b, a)),
            one_way_cuts: self.cut_ways(|world, a, b| !world.is_cut(b, a)),
            checks: Check::ALL.map(|check| (check, self.checks.broken_by(check).cloned())).into(),
            findings: self.checks.findings().to_vec(),
            groups: self.groups(),
            at_risk: self.checks.at_risk(|pid| self.process(pid).power.is_up()),
            acked_lost: self.checks.acked_lost(),
            has_deleted: self.checks.has_deleted(),
        }
    }

    /// A partition's batches from an offset on, about so many bytes of them, with their records.
    pub fn batches(&self, partition: &TopicPartition, from: Offset, max_bytes: u32) -> Result<Vec<Batch>, String> {
        decoded(&self.log_bytes(partition, from, max_bytes)?)
    }

    /// A broker's batches of a log from an offset on, about so many bytes of them, with their records. Those that the broker
    /// remembers ([`LogView::recent`]) are read without a search: they are looked at again and again.
    pub fn batches_on(
        &self,
        broker: &str,
        partition: &TopicPartition,
        log: &LogView,
        from: Offset,
        max_bytes: u32,
    ) -> Result<Vec<Batch>, String> {
        let pid = self.pid(broker).map_err(|error| error.0)?;
        let pieces = match self.recent_bytes(pid, log, from) {
            Some(pieces) => pieces,
            None => self.bytes_on(pid, partition, from, max_bytes)?.unwrap_or_default(),
        };
        decoded(&pieces)
    }

    /// As [`World::batches`], of the copy that a broker has. Empty if it does not run or has none.
    pub fn batches_of(
        &self,
        broker: &str,
        partition: &TopicPartition,
        from: Offset,
        max_bytes: u32,
    ) -> Result<Vec<Batch>, String> {
        let pid = self.pid(broker).map_err(|error| error.0)?;
        decoded(&self.bytes_on(pid, partition, from, max_bytes)?.unwrap_or_default())
    }

    /// How often a broker's log was cut in its life: what it has above the cut is another since.
    pub fn times_cut(&self, broker: &str, log: &LogView) -> u32 {
        let broker = self.pid(broker).ok().and_then(|pid| self.process(pid).broker());
        broker.and_then(|it| it.eras.get(&log.id)).map_or(0, |era| era.0)
    }

    fn recent_bytes(&self, pid: Pid, log: &LogView, from: Offset) -> Option<Vec<Bytes>> {
        let broker = self.process(pid).broker()?;
        let era = broker.eras.get(&log.id).copied().unwrap_or_default();
        if log.recent.first().is_none_or(|it| it.base > from) {
            return None;
        }
        let wanted = log.recent.iter().filter(|it| it.last >= from && it.last < log.written);
        // Until a cut that is asked for is done, what stays is where it was, in the era before.
        let eras = [era, Era(era.0.saturating_sub(1))];
        let read = |it: &TailEntry| {
            let region = |era| Region { file: it.file, at: it.at, len: it.size, era };
            let place = eras.iter().find_map(|era| broker.store.resolve(region(*era)).ok())?;
            broker.store.disk().read_at(&place.file, place.at, place.len as usize).ok()
        };
        wanted.map(read).collect()
    }

    /// The bytes of the batch that holds an offset, as they are in a broker's log. `None` if none does.
    pub fn batch_bytes(
        &self,
        broker: &str,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<Option<Bytes>, String> {
        let pid = self.pid(broker).map_err(|error| error.0)?;
        for bytes in self.bytes_on(pid, partition, offset, 1)?.unwrap_or_default() {
            let mut at = 0;
            for batch in records::read(&bytes, &PureCompressors) {
                let (head, _) = batch.map_err(|error| error.to_string())?;
                if (head.base_offset..head.next_offset()).contains(&offset) {
                    return Ok(Some(bytes.slice(at..at + head.size())));
                }
                at += head.size();
            }
        }
        Ok(None)
    }

    /// The frame, without its size, of a message on its way: its version and its bytes. `None` for the end of a connection and
    /// for what is not on its way any more.
    pub fn frame(&self, message: &Message) -> Option<(i16, Bytes)> {
        let link = self.links.get(&message.link)?;
        let (version, frame) = match message.what {
            MessageKind::Request(_, id) => {
                let mut request = link.up.transit.iter().find_map(|it| match &it.what {
                    Packet::Message(request) if request.correlation_id == id => Some(request.clone()),
                    Packet::Message(_) | Packet::Fin => None,
                })?;
                (request.version, protocol::frame::encode_request(&mut request))
            }
            MessageKind::Response(_, id) => {
                let mut response = link.down.transit.iter().find_map(|it| match &it.what {
                    Packet::Message(response) if response.correlation_id == id => Some(response.clone()),
                    Packet::Message(_) | Packet::Fin => None,
                })?;
                (response.version, protocol::frame::encode_response(&mut response))
            }
            MessageKind::Close => return None,
        };
        Some((version, frame.ok()?.bytes()?.slice(4..)))
    }

    fn cut_ways(&self, which: impl Fn(&World, Pid, Pid) -> bool) -> Vec<(Str, Str)> {
        let cuts = self.cuts.iter().filter(|(a, b)| which(self, *a, *b));
        cuts.map(|(a, b)| (self.name(*a).clone(), self.name(*b).clone())).collect()
    }

    fn open_links(&self) -> Vec<(Str, Str)> {
        let mut pairs: Vec<(Pid, Pid)> = Vec::new();
        for link in self.links.values().filter(|it| it.client_open && it.node_open && it.client != it.node) {
            let pair = World::pair(link.client, link.node);
            if !pairs.contains(&pair) && *self.name(link.client) != *ADMIN {
                pairs.push(pair);
            }
        }
        ordered::sort(&mut pairs);
        pairs.iter().map(|(a, b)| (self.name(*a).clone(), self.name(*b).clone())).collect()
    }

    fn brokers(&self) -> Vec<Broker> {
        let brokers = self.processes.iter().filter_map(|process| {
            let broker = process.broker()?;
            Some(Broker {
                name: process.name.clone(),
                id: broker.config.node_id,
                power: process.power,
                paused: process.paused,
                serving: broker.serving,
                node: broker.node.as_ref().map(|node| node.view(&Scope::All)),
                disk_operations: broker.ops.len(),
                disk_bytes: broker.store.disk().used(),
                slow_us: broker.slow_us,
                wall_offset_ms: process.wall_offset_ms,
            })
        });
        brokers.collect()
    }

    fn clients(&self) -> Vec<Client> {
        let mut clients = Vec::new();
        for (index, process) in self.processes.iter().enumerate().filter(|(_, it)| it.name != *ADMIN) {
            let mut client = Client {
                name: process.name.clone(),
                power: process.power,
                paused: process.paused,
                knows: None,
                tally: self.checks.tally(Pid(index as u16)),
                load: None,
                every_us: None,
                follows: None,
                consumed_total: 0,
                last_answer: None,
                slow_us: 0,
                wire: None,
            };
            match &process.kind {
                Kind::Broker(_) => continue,
                Kind::Client(actor) => {
                    client.knows = actor.client.as_ref().map(client::Client::outline);
                    let load = actor.load.as_ref().filter(|it| it.load.count.is_none_or(|count| it.sent < count));
                    client.load = load.map(|it| it.load.to_string());
                    client.every_us = load.map(|it| it.load.every_us);
                    client.slow_us = actor.slow_us;
                    client.follows = actor.follow.as_ref().map(|it| it.topic.clone());
                    client.consumed_total = actor.consumed_total;
                    client.last_answer = actor.answers.back().map(|(_, outcome)| outcome_words(outcome));
                }
                Kind::Wire(wire) => {
                    client.last_answer = wire.answers.last().map(wire_words);
                    client.wire = Some(wire.answers.len());
                }
            }
            clients.push(client);
        }
        clients
    }

    /// What is on its way, the first to arrive first.
    pub fn messages(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        for (id, link) in &self.links {
            let (client, node) = (self.name(link.client), self.name(link.node));
            let cut_up = link.dark || self.is_cut(link.client, link.node);
            let cut_down = link.dark || self.is_cut(link.node, link.client);
            let between_nodes = self.process(link.client).broker().is_some();
            messages.extend(link.up.transit.iter().map(|it| Message {
                link: *id,
                from: client.clone(),
                to: node.clone(),
                what: match &it.what {
                    Packet::Message(request) => MessageKind::Request(request.body.api_key(), request.correlation_id),
                    Packet::Fin => MessageKind::Close,
                },
                sent: it.sent,
                arrives: it.arrives,
                stalled: cut_up || link.up.stalled > 0,
                is_idle: between_nodes && matches!(&it.what, Packet::Message(it) if is_idle_request(&it.body)),
                because: it.because,
            }));
            messages.extend(link.down.transit.iter().map(|it| Message {
                link: *id,
                from: node.clone(),
                to: client.clone(),
                what: match &it.what {
                    Packet::Message(response) => {
                        MessageKind::Response(response.body.api_key(), response.correlation_id)
                    }
                    Packet::Fin => MessageKind::Close,
                },
                sent: it.sent,
                arrives: it.arrives,
                stalled: cut_down || link.down.stalled > 0,
                is_idle: between_nodes && matches!(&it.what, Packet::Message(it) if is_idle_response(&it.body)),
                because: it.because,
            }));
        }
        ordered::sort_by_key(&mut messages, |it| (it.arrives, it.link));
        messages
    }

    /// Answers that a node has given and that wait for their turn to be sent: from whom, to whom, which.
    pub fn answers_ready(&self) -> impl Iterator<Item = (Pid, Pid, ApiKey, i32)> + '_ {
        self.links.values().flat_map(|link| {
            let ready = link.owed.iter().filter(|it| matches!(it.answer, Answer::Ready(_)));
            ready.map(|it| (link.node, link.client, it.api, it.correlation_id))
        })
    }

    fn requests(&self, brokers: &[Broker]) -> Vec<Waiting> {
        let mut requests = Vec::new();
        for (id, link) in self.links.iter().filter(|it| !it.1.owed.is_empty()) {
            let process = self.process(link.node);
            let node = brokers.iter().find(|it| it.name == process.name).and_then(|it| it.node.as_ref());
            requests.extend(link.owed.iter().map(|owed| {
                let mut waits = node.iter().flat_map(|it| &it.waits);
                let wait = waits.find(|it| it.conn.0 == u64::from(id.0) && it.correlation_id == owed.correlation_id);
                Waiting {
                    link: *id,
                    from: self.name(link.client).clone(),
                    at: process.name.clone(),
                    api: owed.api,
                    correlation_id: owed.correlation_id,
                    since: owed.since,
                    deadline: wait.and_then(|it| it.deadline).map(|it| process.global(it)),
                    ready: !matches!(owed.answer, Answer::None),
                }
            }));
        }
        ordered::sort_by_key(&mut requests, |it| (it.since, it.link, it.correlation_id));
        requests
    }

    fn timers(&self, brokers: &[Broker], clients: &[Client]) -> Vec<Timer> {
        let mut timers = Vec::new();
        for process in &self.processes {
            let mut add = |at: Instant, since: Option<Instant>, what: String| {
                let since = since.map(|it| process.global(it));
                timers.push(Timer { process: process.name.clone(), at: process.global(at), since, what });
            };
            match &process.kind {
                Kind::Broker(_) => {
                    let node = brokers.iter().find(|it| it.name == process.name).and_then(|it| it.node.as_ref());
                    for (at, reason) in node.iter().flat_map(|it| &it.timers) {
                        add(*at, None, reason_words(*reason).to_owned());
                    }
                }
                Kind::Client(actor) => {
                    let knows = clients.iter().find(|it| it.name == process.name).and_then(|it| it.knows.as_ref());
                    for connection in knows.iter().flat_map(|it| &it.connections) {
                        // Answers come in order, so the oldest request is the one that is missed first.
                        if let Some(oldest) = connection.in_flight.first() {
                            let what = format!("request.timeout.ms of {}", oldest.api.name());
                            add(oldest.deadline, Some(oldest.sent_at), what);
                        }
                    }
                    if let Some(at) = actor.client.as_ref().and_then(client::Client::wake_at) {
                        add(at, None, "the client's next deadline".to_owned());
                    }
                }
                Kind::Wire(_) => {}
            }
        }
        ordered::sort_by(&mut timers, |a, b| (a.at, &a.process, &a.what).cmp(&(b.at, &b.process, &b.what)));
        timers
    }
}

/// True for what a node asks another one all the time: a heartbeat, a fetch that acknowledges nothing new. A quorum's fetch
/// names its offset each time, so it is told from the answer whether it found something.
fn is_idle_request(body: &RequestBody) -> bool {
    match body {
        RequestBody::BrokerHeartbeat(_) => true,
        RequestBody::Fetch(it) => {
            let metadata = |topic_id: Uuid| topic_id == Uuid::METADATA_TOPIC;
            it.topics.iter().all(|it| it.partitions.is_empty() || metadata(it.topic_id))
        }
        _ => false,
    }
}

/// The same of the answer.
fn is_idle_response(body: &ResponseBody) -> bool {
    match body {
        ResponseBody::BrokerHeartbeat(_) => true,
        ResponseBody::Fetch(it) => {
            let is_idle = |it: &fetch_response::PartitionData| {
                it.error_code == 0
                    && it.records.as_ref().is_none_or(|it| it.is_empty())
                    && it.diverging_epoch == Default::default()
            };
            it.error_code == 0 && it.responses.iter().flat_map(|it| &it.partitions).all(is_idle)
        }
        _ => false,
    }
}

/// What a wire client was told last: of a Produce its error, if it has one.
fn wire_words(answer: &Response) -> String {
    if let ResponseBody::Produce(it) = &answer.body {
        let errors = it.responses.iter().flat_map(|it| &it.partition_responses).map(|it| it.error_code);
        if let Some(error) = errors.filter(|it| *it != 0).last() {
            return ErrorCode::from_code(error).name().to_owned();
        }
    }
    answer.body.api_key().name().to_owned()
}

fn decoded(pieces: &[Bytes]) -> Result<Vec<Batch>, String> {
    let mut batches = Vec::new();
    for bytes in pieces {
        for batch in records::read(bytes, &PureCompressors) {
            let (head, records) = batch.map_err(|error| error.to_string())?;
            batches.push(Batch { head, records });
        }
    }
    Ok(batches)
}

/// What a node's timer is for: the configuration key that set it.
fn reason_words(reason: WakeReason) -> &'static str {
    match reason {
        WakeReason::Boot => "its start",
        WakeReason::FetchWait(_) => "fetch.max.wait.ms",
        WakeReason::ProduceTimeout(_) => "request.timeout.ms",
        WakeReason::DeleteTimeout(_) => "a DeleteRecords request's timeout",
        WakeReason::Retention => "log.retention.check.interval.ms",
        WakeReason::Producers => "producer.id.expiration.check.interval.ms",
        WakeReason::Sweep => "file.delete.delay.ms",
        WakeReason::Clean => "log.cleaner.backoff.ms",
        WakeReason::Checkpoint => "replica.high.watermark.checkpoint.interval.ms",
        WakeReason::RecoveryPoints => "log.flush.offset.checkpoint.interval.ms",
        WakeReason::Moves => "replica.alter.log.dirs.io.max.bytes.per.second",
        WakeReason::Flush => "log.flush.scheduler.interval.ms",
        WakeReason::Fetcher(_) => "replica.fetch.backoff.ms",
        WakeReason::ReplicaLag => "replica.lag.time.max.ms",
        WakeReason::AlterPartition => "another try of AlterPartition",
        WakeReason::Balance => "leader.imbalance.check.interval.seconds",
        WakeReason::Unclean => "unclean.leader.election.interval.ms",
        WakeReason::Idle => "metadata.max.idle.interval.ms",
        WakeReason::Snapshot => "more of a snapshot of the metadata",
        WakeReason::News => "news of leaders that clients wait for",
        WakeReason::Sessions => "broker.session.timeout.ms",
        WakeReason::Groups(_) => "a group's next deadline",
        WakeReason::OffsetExpiry => "offsets.retention.check.interval.ms",
        WakeReason::Forward(_) => "another try of a forwarded request",
        WakeReason::Directories => "another try of AssignReplicasToDirs",
        WakeReason::LostDirectory => "log.dir.failure.timeout.ms",
        WakeReason::ControllerRegistration => "another try of ControllerRegistration",
        WakeReason::Heartbeat => "broker.heartbeat.interval.ms",
        WakeReason::Quorum => "the quorum's next deadline",
    }
}
