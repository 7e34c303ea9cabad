//! What the last event was: for people in one sentence, for the hash in words.

use std::fmt::Write;

use client::{Answer, GroupEvent, OpId, Operation, Outcome};
use node::Reply;
use protocol::{ApiKey, Instant, NodeId, Offset, Request, RequestBody, ResponseBody, TopicPartition};
use storage::{Done, StoreOp};

use crate::action::MessageId;
use crate::check::Told;
use crate::queue::Pid;
use crate::world::World;

/// The last event.
#[derive(Clone, Debug, Default)]
pub struct Last {
    /// Its number, from 1; 0 before the first.
    pub event: u64,
    /// When it was.
    pub at: Instant,
    /// Who heard.
    pub process: Pid,
    /// What.
    pub heard: Heard,
    /// What brought it.
    pub because: Because,
    /// What a node then said to people.
    pub node_events: Vec<node::Event>,
    /// What a client then said to people.
    pub client_events: Vec<client::Event>,
    /// Operations that got their outcome.
    pub outcomes: Vec<(OpId, Told)>,
    /// The answer that was lost before it was on its way, of which API and to whom: its connection broke instead.
    pub lost: Option<(MessageId, ApiKey, Pid)>,
}

/// What brought what a process hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Because {
    /// Nobody: a timer, or what no single event can be blamed for.
    #[default]
    Itself,
    /// What was sent, asked of the disk or answered at an event of this number.
    Event(u64),
    /// A person's action: the first has number 0.
    Action(u32),
}

/// What a process heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet.
    #[default]
    Nothing,
    /// One of its timers.
    Wake,
    /// That it shall stop.
    Stop,
    /// A connection was opened, by whom.
    Opened(Option<Pid>),
    /// A request: from whom, which API, its correlation id.
    Request(Option<Pid>, ApiKey, i32),
    /// A connection was closed, by whom.
    Closed(Option<Pid>),
    /// A call to another node came to nothing.
    CallFailed,
    /// Its disk.
    Stored(Stored),
    /// Its application wants something.
    Operation(OpId, &'static str),
    /// A connection that it wanted is open.
    Connected,
    /// Nobody listens there.
    ConnectFailed,
    /// An answer: which API, its correlation id.
    Response(ApiKey, i32),
    /// A connection of its own broke.
    Disconnected,
}

/// What a disk finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A log is ready.
    Mounted,
    /// Batches are written.
    Appended,
    /// A new segment exists.
    Rolled,
    /// All is on disk.
    Flushed,
    /// A log is cut.
    Truncated,
    /// Segments are gone.
    Deleted,
    /// A log is gone.
    Removed,
    /// What was given up is removed.
    Swept,
    /// Segments are written anew beside a log.
    Cleaned,
    /// They are in place.
    Swapped,
    /// More of a log is copied to another directory, or is not.
    Copied,
    /// A log lives in another directory.
    Moved,
    /// The folders of a directory were looked at, or put in order.
    Tidied,
    /// Something was found.
    Found,
    /// Bytes were read.
    Loaded,
    /// A small file is on disk.
    Put,
    /// It failed.
    Failed,
}

impl Stored {
    pub(crate) fn of(done: &Done) -> Stored {
        match done {
            Done::Mounted(_) => Stored::Mounted,
            Done::Appended => Stored::Appended,
            Done::Rolled => Stored::Rolled,
            Done::Flushed => Stored::Flushed,
            Done::Truncated(_) => Stored::Truncated,
            Done::Deleted => Stored::Deleted,
            Done::Removed => Stored::Removed,
            Done::Swept => Stored::Swept,
            Done::Cleaned(_) => Stored::Cleaned,
            Done::Swapped => Stored::Swapped,
            Done::Copied(_) | Done::CopyFailed(_) | Done::CopyDropped => Stored::Copied,
            Done::Moved(_) => Stored::Moved,
            Done::OnlyCopy | Done::Surveyed(_) | Done::Measured(_) | Done::SetAside(_) | Done::Adopted => {
                Stored::Tidied
            }
            Done::Found(_) | Done::FoundTimestamp(_) => Stored::Found,
            Done::Loaded(_) => Stored::Loaded,
            Done::Put => Stored::Put,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Stored::Mounted => "its log is mounted",
            Stored::Appended => "its batches are written to the page cache",
            Stored::Rolled => "a new segment exists",
            Stored::Flushed => "everything written is on disk",
            Stored::Truncated => "its log is cut",
            Stored::Deleted => "old segments are given up",
            Stored::Removed => "the log is gone",
            Stored::Swept => "what it gave up is off the disk",
            Stored::Cleaned => "its segments are written anew",
            Stored::Swapped => "the new segments are in place",
            Stored::Copied => "more of the log is copied",
            Stored::Moved => "the log lives in another directory",
            Stored::Tidied => "the folders are looked at",
            Stored::Found => "an old offset was looked up",
            Stored::Loaded => "bytes were read",
            Stored::Put => "a small file is on disk",
            Stored::Failed => "the operation failed",
        }
    }
}

/// An operation's name, as people say it.
pub(crate) fn operation_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Send(_) => "send",
        Operation::Flush => "flush",
        Operation::Assign(_) => "assign",
        Operation::Subscribe(_) | Operation::SubscribePattern(_) => "subscribe",
        Operation::Listen => "listen",
        Operation::Commit(_) => "commit",
        Operation::Committed(_) => "committed",
        Operation::Seek(..) => "seek",
        Operation::Pause(_) => "pause",
        Operation::Resume(_) => "resume",
        Operation::Poll { .. } => "poll",
        Operation::Position(_) => "position",
        Operation::PartitionsFor(_) => "partitions-for",
        Operation::Admin(_) => "admin call",
        Operation::Close { .. } => "close",
    }
}

impl World {
    /// Counts an event and takes it into the hash.
    pub(crate) fn begin_event(&mut self, process: Pid, heard: Heard) {
        self.events += 1;
        self.last.event = self.events;
        self.last.at = self.clock;
        self.last.process = process;
        self.last.heard = heard;
        self.last.because = std::mem::take(&mut self.because);
        self.doing = Because::Event(self.events);
        self.last.node_events.clear();
        self.last.client_events.clear();
        self.last.outcomes.clear();
        self.last.lost = None;
        let (kind, detail) = match heard {
            Heard::Nothing => (0, 0),
            Heard::Wake => (1, 0),
            Heard::Stop => (2, 0),
            Heard::Opened(_) => (3, 0),
            Heard::Request(_, api, id) => (4, u64::from(api as u16) << 32 | u64::from(id.cast_unsigned())),
            Heard::Closed(_) => (5, 0),
            Heard::CallFailed => (6, 0),
            Heard::Stored(what) => (7, what as u64),
            Heard::Operation(op, _) => (8, op.0),
            Heard::Connected => (9, 0),
            Heard::ConnectFailed => (10, 0),
            Heard::Response(api, id) => (11, u64::from(api as u16) << 32 | u64::from(id.cast_unsigned())),
            Heard::Disconnected => (12, 0),
        };
        self.digest.word(self.clock.0);
        self.digest.word(u64::from(process.0) << 8 | kind);
        self.digest.word(detail);
    }

    /// The last event in one sentence.
    pub fn narrate(&self) -> String {
        let last = &self.last;
        if last.heard == Heard::Nothing {
            return "Nothing has happened yet.".to_owned();
        }
        let name = self.name(last.process);
        let who = |pid: Option<Pid>| pid.map_or("somebody", |pid| &**self.name(pid));
        let mut text = match last.heard {
            Heard::Nothing => String::new(),
            Heard::Wake => format!("A timer of {name} fires"),
            Heard::Stop => format!("{name} is asked to stop"),
            Heard::Opened(from) => format!("{} connects to {name}", who(from)),
            Heard::Request(from, api, _) => format!("{name} gets {} from {}", api.name(), who(from)),
            Heard::Closed(from) => format!("{name} loses the connection to {}", who(from)),
            Heard::CallFailed => format!("{name} gets no answer from another node"),
            Heard::Stored(what) => format!("The disk tells {name}: {}", what.words()),
            Heard::Operation(_, operation) => format!("The application of {name} asks: {operation}"),
            Heard::Connected => format!("{name} is connected"),
            Heard::ConnectFailed => format!("{name} cannot connect: nobody listens there"),
            Heard::Response(api, _) => format!("{name} gets the answer to {}", api.name()),
            Heard::Disconnected => format!("{name} loses its connection"),
        };
        // The most telling consequence; more would not fit a sentence.
        if let Some(event) = last.node_events.iter().max_by_key(|it| node_event_worth(it)) {
            let _ = write!(text, "; {}", node_event_words(event, &|it| self.broker_name(it)));
        } else if let Some((op, outcome)) = last.outcomes.iter().find(|it| it.1 != Told::Ok).or(last.outcomes.first()) {
            let _ = write!(text, "; {} is settled: {}", count(last.outcomes.len()), outcome.word());
            if let Some(failure) = self.answer_to(last.process, *op).and_then(Outcome::failure) {
                let _ = write!(text, ", {}", failure.words().trim_end_matches('.'));
            }
        } else if let Some(words) = last.client_events.last().and_then(client_event_words) {
            let _ = write!(text, "; {words}");
        }
        text.push('.');
        text
    }

    pub(crate) fn digest_request(&mut self, request: &Request) {
        self.digest
            .word(u64::from(request.version.cast_unsigned()) << 32 | u64::from(request.correlation_id.cast_unsigned()));
        match &request.body {
            RequestBody::Produce(produce) => {
                for data in produce.topic_data.iter().flat_map(|it| &it.partition_data) {
                    self.digest.int(i64::from(data.index));
                    self.digest.word(data.records.as_ref().map_or(0, |it| it.size() as u64));
                }
            }
            RequestBody::Fetch(fetch) => {
                self.digest.int(i64::from(fetch.session_epoch));
                for partition in fetch.topics.iter().flat_map(|it| &it.partitions) {
                    self.digest.int(partition.fetch_offset);
                }
            }
            other => self.digest.word(u64::from(other.api_key() as u16)),
        }
    }

    pub(crate) fn digest_reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Answer(conn, response) => {
                self.digest.word(conn.0 << 32 | u64::from(response.correlation_id.cast_unsigned()));
                match &response.body {
                    ResponseBody::Produce(produce) => {
                        for it in produce.responses.iter().flat_map(|it| &it.partition_responses) {
                            self.digest.int(i64::from(it.error_code));
                            self.digest.int(it.base_offset);
                        }
                    }
                    ResponseBody::Fetch(fetch) => {
                        self.digest.int(i64::from(fetch.error_code));
                        for it in fetch.responses.iter().flat_map(|it| &it.partitions) {
                            self.digest.int(i64::from(it.error_code));
                            self.digest.int(it.high_watermark);
                            self.digest.word(it.records.as_ref().map_or(0, |it| it.size() as u64));
                        }
                    }
                    other => self.digest.word(u64::from(other.api_key() as u16)),
                }
            }
            Reply::Nothing(conn, id) => self.digest.word(conn.0 << 32 | u64::from(id.cast_unsigned())),
            Reply::Close(conn, _) => self.digest.word(conn.0),
        }
    }

    pub(crate) fn digest_store_op(&mut self, id: storage::OpId, op: &StoreOp) {
        self.digest.word(id.0);
        match op {
            StoreOp::Append(log, file, batches) => {
                self.digest.word(u64::from(log.0) << 32 ^ file.0);
                for head in batches.heads() {
                    // The CRC stands for every byte of the records.
                    self.digest.int(head.base_offset.0);
                    self.digest.word(u64::from(head.crc) << 32 | head.size() as u64);
                }
            }
            StoreOp::Put(_, bytes) => self.digest.bytes(bytes),
            StoreOp::Roll(log, _, base, ..) => self.digest.word(u64::from(log.0) << 40 ^ base.0.cast_unsigned()),
            StoreOp::Truncate(log, offset, _) => self.digest.word(u64::from(log.0) << 40 ^ offset.0.cast_unsigned()),
            StoreOp::Mount(log, _) | StoreOp::Flush(log) | StoreOp::Remove(log) | StoreOp::Sweep(log) => {
                self.digest.word(u64::from(log.0));
            }
            StoreOp::Delete(log, files) => self.digest.word(u64::from(log.0) << 32 | files.len() as u64),
            StoreOp::Swap(log, files, segments) => {
                self.digest.word(u64::from(log.0) << 40 | (files.len() as u64) << 20 | segments.len() as u64);
            }
            StoreOp::Clean(log, ..) | StoreOp::Find(log, ..) => self.digest.word(u64::from(log.0)),
            StoreOp::Copy(log, plan) => self.digest.word(u64::from(log.0) << 40 ^ u64::from(plan.to.0)),
            StoreOp::Move(log) | StoreOp::DropCopy(log) => self.digest.word(u64::from(log.0)),
            StoreOp::Survey(dir) | StoreOp::Measure(dir) | StoreOp::SetAside(dir, _) | StoreOp::Adopt(dir, ..) => {
                self.digest.word(u64::from(dir.0));
            }
            StoreOp::Load(region) => self.digest.word(region.file.0 ^ u64::from(region.at)),
        }
    }

    pub(crate) fn digest_node_event(&mut self, event: &node::Event) {
        let (kind, detail) = match event {
            node::Event::Started => (1, 0),
            node::Event::Stopping => (2, 0),
            node::Event::Appended { next_offset, .. } => (3, next_offset.0),
            node::Event::HighWatermark { offset, .. } => (4, offset.0),
            node::Event::LogStart { offset, .. } => (5, offset.0),
            node::Event::Deduplicated { base_offset, .. } => (6, base_offset.0),
            node::Event::TopicCreated { partitions, .. } => (7, i64::from(*partitions)),
            node::Event::TopicDeleted { .. } => (8, 0),
            node::Event::Refused { .. } => (9, 0),
            node::Event::StorageFailed { .. } => (10, 0),
            node::Event::Cleaned { end, .. } => (13, end.0),
            node::Event::Warning { .. } => (11, 0),
            node::Event::Failed { .. } => (12, 0),
            node::Event::Truncated { offset, .. } => (14, offset.0),
            node::Event::Isr { isr, .. } => (15, isr.len() as i64),
            node::Event::BrokerFenced { broker, .. } => (0, i64::from(broker.0)),
            // All sixteen kinds that four bits can tell are taken: these two are told by a detail that theirs never have.
            node::Event::Leads { leader_epoch, .. } => (8, i64::from(leader_epoch.0) << 1 | 1),
            node::Event::Controls { epoch } => (1, i64::from(epoch.0) << 1 | 1),
        };
        self.digest.int(detail << 4 | kind);
    }

    pub(crate) fn digest_outcome(&mut self, op: OpId, outcome: &Outcome) {
        let detail = match outcome {
            Outcome::Ok(Answer::Sent(sent)) => sent.offset.map_or(-1, |it| it.0),
            Outcome::Ok(Answer::Records(records)) => records.last().map_or(-1, |it| it.record.offset.0),
            Outcome::Ok(_) => -2,
            Outcome::Failed(_) => -3,
            Outcome::Unknown(_) => -4,
        };
        self.digest.word(op.0);
        self.digest.int(detail);
    }
}

fn count(number: usize) -> String {
    if number == 1 { "an operation".to_owned() } else { format!("one of {number} operations") }
}

/// How much an event changes what people should look at: who has authority and what becomes of a record count more than what
/// happens all the time.
pub fn node_event_worth(event: &node::Event) -> u8 {
    match event {
        node::Event::Started | node::Event::StorageFailed { .. } | node::Event::Failed { .. } => 9,
        node::Event::Leads { .. } | node::Event::Controls { .. } | node::Event::BrokerFenced { .. } => 8,
        node::Event::Stopping => 8,
        node::Event::Deduplicated { .. } | node::Event::TopicCreated { .. } | node::Event::TopicDeleted { .. } => 7,
        node::Event::Truncated { .. } => 7,
        node::Event::Refused { .. }
        | node::Event::LogStart { .. }
        | node::Event::Isr { .. }
        | node::Event::Warning { .. }
        | node::Event::Cleaned { .. } => 6,
        node::Event::HighWatermark { .. } => 3,
        node::Event::Appended { .. } => 2,
    }
}

/// A node's event in words.
pub(crate) fn node_event_words(event: &node::Event, name: &dyn Fn(NodeId) -> String) -> String {
    let names = |nodes: &[NodeId]| nodes.iter().map(|it| name(*it)).collect::<Vec<_>>().join(", ");
    match event {
        node::Event::Started => "it serves requests now".to_owned(),
        node::Event::Stopping => "a controlled shutdown begins".to_owned(),
        node::Event::Appended { topic, partition, base_offset, next_offset, .. } => {
            if next_offset.0 == base_offset.0 + 1 {
                format!("{topic}-{partition} gets offset {base_offset}")
            } else {
                format!("{topic}-{partition} gets offsets {base_offset} to {}", next_offset.0 - 1)
            }
        }
        node::Event::HighWatermark { topic, partition, offset } => {
            format!("the high watermark of {topic}-{partition} moves to {offset}")
        }
        node::Event::Truncated { topic, partition, offset } => {
            format!("{topic}-{partition} is cut at {offset}, where its leader's log is another")
        }
        node::Event::Isr { topic, partition, isr } => {
            format!("in sync in {topic}-{partition}: {}", names(isr))
        }
        node::Event::Leads { topic, partition, leader_epoch, isr } => {
            format!("it leads {topic}-{partition} in epoch {leader_epoch}, in sync: {}", names(isr))
        }
        node::Event::Controls { epoch } => format!("it is the active controller, in epoch {epoch} of the quorum"),
        node::Event::BrokerFenced { broker, why } => format!("{} is fenced: {why}", name(*broker)),
        node::Event::LogStart { topic, partition, offset } => format!("{topic}-{partition} begins at {offset} now"),
        node::Event::Deduplicated { topic, partition, base_offset } => {
            format!("{topic}-{partition} has that batch already, at offset {base_offset}")
        }
        node::Event::TopicCreated { topic, .. } => format!("topic {topic} exists"),
        node::Event::TopicDeleted { topic, .. } => format!("topic {topic} is gone"),
        node::Event::Refused { what, .. } => format!("it refuses: {what}"),
        node::Event::Cleaned { topic, partition, end, stats, .. } => format!(
            "{topic}-{partition} is compacted up to {end}: of {} records {} stay",
            stats.records_read, stats.records_kept
        ),
        node::Event::StorageFailed { what } => format!("a log directory is lost: {what}"),
        node::Event::Warning { what } => format!("it warns: {what}"),
        node::Event::Failed { what } => format!("it cannot go on: {what}"),
    }
}

/// A client's event in words, if it is worth them.
pub(crate) fn client_event_words(event: &client::Event) -> Option<String> {
    match event {
        client::Event::MetadataUpdated { .. } | client::Event::Partitioned { .. } => None,
        // Nothing was lost with it, and who finds nobody at an address tries again and again.
        client::Event::Disconnected { unanswered: 0, .. } => None,
        client::Event::Disconnected { unanswered, .. } => {
            let s = if *unanswered == 1 { "" } else { "s" };
            Some(format!("its connection breaks, with {unanswered} request{s} unanswered"))
        }
        client::Event::ProducerIdAssigned { producer_id, .. } => Some(format!("its producer id is {producer_id}")),
        client::Event::ProducerEpochBumped { epoch, .. } => Some(format!("its producer epoch is {epoch} now")),
        client::Event::BatchSent { partition, records, attempt, .. } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            Some(format!("it sends {records} to {partition}{again}"))
        }
        client::Event::BatchAcked { partition, base_offset, records } => Some(match base_offset {
            Some(offset) => format!("{records} acknowledged in {partition} at offset {offset}"),
            None => format!("{records} done for {partition}, offset untold"),
        }),
        client::Event::BatchRetried { partition, error, .. } => Some(match error {
            Some(error) => format!("it will send a batch to {partition} again: {}", error.name()),
            None => format!("it will send a batch to {partition} again: no answer"),
        }),
        client::Event::BatchFailed { partition, records, why } => {
            Some(format!("it gives up {records} for {partition}: {why}"))
        }
        client::Event::PositionReset { partition, offset } => Some(format!("it reads {partition} from {offset}")),
        client::Event::Truncated { partition, position, diverged_at } => {
            Some(format!("{partition} was cut at {diverged_at}, below its position {position}"))
        }
        client::Event::FetchRefused { partition, error } => Some(format!("{partition} answers {}", error.name())),
        client::Event::Group(event) => group_event_words(event),
    }
}

fn group_event_words(event: &GroupEvent) -> Option<String> {
    let list = |partitions: &[TopicPartition]| match partitions {
        [] => "nothing".to_owned(),
        partitions => partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let offsets = |offsets: &[(TopicPartition, Offset)]| {
        offsets.iter().map(|(partition, offset)| format!("{partition} {offset}")).collect::<Vec<_>>().join(", ")
    };
    Some(match event {
        GroupEvent::Coordinator { node } => format!("node {node} coordinates its group"),
        GroupEvent::Joined { epoch, is_leader: true, .. } => format!("it is in generation {epoch} and leads it"),
        GroupEvent::Joined { epoch, .. } => format!("it is in generation or epoch {epoch}"),
        GroupEvent::Rejoins { why } => format!("its group changes: {why}"),
        GroupEvent::Assigned { partitions, .. } => format!("it is assigned {}", list(partitions)),
        GroupEvent::Revoked { partitions } => format!("it gives up {}", list(partitions)),
        GroupEvent::Lost { partitions } => format!("it has lost {}", list(partitions)),
        GroupEvent::Commits { .. } => return None,
        GroupEvent::Committed { offsets: it, .. } => format!("committed: {}", offsets(it)),
        GroupEvent::CommitFailed { offsets: it, error: Some(error), .. } => {
            format!("its commit of {} is refused: {}", offsets(it), error.name())
        }
        GroupEvent::CommitFailed { offsets: it, error: None, .. } => {
            format!("nobody answers its commit of {}", offsets(it))
        }
        GroupEvent::Found { partition, offset: Some(offset) } => {
            format!("its group has committed {offset} in {partition}")
        }
        GroupEvent::Found { partition, offset: None } => format!("its group has committed nothing in {partition}"),
        GroupEvent::Refused { api, error } => format!("{} is refused: {}", api.name(), error.name()),
        GroupEvent::Leaves { why } => format!("it leaves its group: {why}"),
    })
}
