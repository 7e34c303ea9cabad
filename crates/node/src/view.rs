//! A node as plain data: for the lab, checks and metrics. Reading it changes nothing.

use std::fmt::{self, Write};

use protocol::{Instant, LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, Str, Uuid};
pub use quorum::RoleKind;
use storage::LogId;
use storage::tail::TailEntry;

use crate::deferred::{Committed, Pending, RequestId};
use crate::image::TopicImage;
use crate::input::{ConnId, Peer};
use crate::lifecycle::Phase;
use crate::node::Node;
use crate::partition::{Partition, PartitionKey};
use crate::timers::WakeReason;

/// How much to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// The node, without its topics' logs.
    Node,
    /// The node and the logs of one topic.
    Topic(Str),
}

/// A node at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// `node.id`.
    pub node: NodeId,
    /// Where in its life it is.
    pub phase: Phase,
    /// Of its registration; -1 or 0 before it.
    pub broker_epoch: i64,
    /// The metadata log.
    pub metadata: MetadataView,
    /// Every broker that registered, as committed.
    pub brokers: Vec<BrokerView>,
    /// Topics in order of name, as committed.
    pub topics: Vec<TopicView>,
    /// Who is connected.
    pub connections: Vec<ConnectionView>,
    /// Requests that are not answered yet.
    pub waits: Vec<WaitView>,
    /// Fetch sessions.
    pub fetch_sessions: usize,
    /// Store operations that are not answered yet.
    pub operations: usize,
    /// Bytes of records handed to the store and not yet written.
    pub produce_bytes: u64,
    /// Deadlines, the next one first.
    pub timers: Vec<(Instant, WakeReason)>,
}

/// The metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataView {
    /// True while this node leads the quorum.
    pub is_leader: bool,
    /// What it is in the quorum.
    pub role: RoleKind,
    /// Whom it follows, or itself.
    pub leader: Option<NodeId>,
    /// Who has its vote in this epoch.
    pub voted: Option<NodeId>,
    /// It votes.
    pub is_voter: bool,
    /// The quorum's epoch.
    pub leader_epoch: LeaderEpoch,
    /// One past the last record.
    pub log_end: Offset,
    /// Everything below is on disk for certain.
    pub synced: Offset,
    /// Everything below is committed.
    pub high_watermark: Offset,
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerView {
    /// Its id.
    pub id: NodeId,
    /// Its epoch.
    pub epoch: i64,
    /// True while it may lead nothing.
    pub fenced: bool,
    /// Where it listens: listener, host, port.
    pub endpoints: Vec<(Str, Str, u16)>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicView {
    /// Its name.
    pub name: Str,
    /// Its id.
    pub id: Uuid,
    /// Its partitions by number.
    pub partitions: Vec<PartitionView>,
}

/// A partition, and the log this node has of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionView {
    /// Its number.
    pub partition: i32,
    /// Its leader.
    pub leader: Option<NodeId>,
    /// How often that changed.
    pub leader_epoch: LeaderEpoch,
    /// Who has a copy.
    pub replicas: Vec<NodeId>,
    /// Who is in sync.
    pub isr: Vec<NodeId>,
    /// Who is not and has every committed record all the same (KIP-966).
    pub elr: Vec<NodeId>,
    /// As many must be in sync for acks=all; 0 if there is no copy here.
    pub min_isr: usize,
    /// The log here, if it is ready.
    pub log: Option<LogView>,
    /// True if the log's directory failed.
    pub is_offline: bool,
    /// Produced batches that wait to be safe.
    pub parked: usize,
}

/// A log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogView {
    /// The node's number for it.
    pub id: LogId,
    /// The first offset.
    pub log_start: Offset,
    /// Readers see everything below.
    pub high_watermark: Offset,
    /// Everything below is written.
    pub written: Offset,
    /// Everything below is on disk for certain.
    pub synced: Offset,
    /// One past the last offset given to a record.
    pub end: Offset,
    /// Compaction has looked at everything below, if it has been through.
    pub cleaned_to: Option<Offset>,
    /// Bytes of all segments.
    pub bytes: u64,
    /// The segments by base offset.
    pub segments: Vec<SegmentView>,
    /// The newest batches (64 at most), oldest first, and where they are.
    pub recent: Vec<TailEntry>,
    /// Producers whose sequences are remembered.
    pub producers: Vec<ProducerView>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentView {
    /// Its first offset, and its file's name.
    pub base_offset: Offset,
    /// Its size in bytes.
    pub bytes: u32,
}

/// A producer as a partition knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerView {
    /// Its id.
    pub id: ProducerId,
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// The last sequence it used.
    pub last_sequence: i32,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionView {
    /// Its number.
    pub conn: ConnId,
    /// The other end.
    pub peer: Peer,
    /// Requests that are not answered yet.
    pub in_flight: u32,
}

/// A request that is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitView {
    /// Who waits.
    pub conn: ConnId,
    /// Which of its requests.
    pub correlation_id: i32,
    /// What it waits for.
    pub what: WaitReason,
    /// When it is answered at the latest.
    pub deadline: Option<Instant>,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Batches of so many partitions to be safe.
    Acks(usize),
    /// So many more bytes, or the deadline.
    Data(u64),
    /// The store to look something up.
    Lookup,
    /// Log starts to be on disk.
    LogStarts,
    /// The metadata log to be committed up to this offset.
    Metadata(Offset),
    /// The node to serve.
    Start,
    /// Another node, the active controller.
    Controller,
}

impl Node {
    /// The epoch in which this node leads the metadata quorum, if it does.
    pub fn leads_quorum(&self) -> Option<LeaderEpoch> {
        self.quorum.is_leader().then(|| self.quorum.leader_epoch())
    }

    /// The node as plain data.
    pub fn view(&self, scope: &Scope) -> View {
        let wanted = |topic: &&TopicImage| match scope {
            Scope::All => true,
            Scope::Node => false,
            Scope::Topic(name) => topic.name == *name,
        };
        View {
            node: self.config.node_id,
            phase: self.life.phase(),
            broker_epoch: self.life.broker_epoch(),
            metadata: MetadataView {
                is_leader: self.quorum.is_leader(),
                role: self.quorum.role(),
                leader: self.quorum.leader().map(|it| it.node),
                voted: self.quorum.voted().map(|it| it.id),
                is_voter: self.quorum.voters().iter().any(|it| it.id == self.config.node_id),
                leader_epoch: self.quorum.leader_epoch(),
                log_end: self.quorum.log_end(),
                synced: self.quorum.recovery_point(),
                high_watermark: self.quorum.high_watermark(),
            },
            brokers: self.broker_views(),
            topics: self.image.topics().filter(wanted).map(|topic| self.topic_view(topic)).collect(),
            connections: self.connection_views(),
            waits: self.wait_views(),
            fetch_sessions: self.sessions.len(),
            operations: self.ops.len(),
            produce_bytes: self.limits.produce_bytes(),
            timers: self.timers.all().collect(),
        }
    }

    /// A hash of all that a view shows. Equal on every host for the same inputs.
    pub fn digest(&self) -> u64 {
        let mut digest = Fnv(0xcbf2_9ce4_8422_2325);
        write!(digest, "{:?}", self.view(&Scope::All)).expect("hashing never fails");
        digest.0
    }

    fn broker_views(&self) -> Vec<BrokerView> {
        let brokers = self.image.brokers().map(|broker| BrokerView {
            id: broker.id,
            epoch: broker.epoch,
            fenced: broker.fenced,
            endpoints: broker
                .endpoints
                .iter()
                .map(|(listener, endpoint)| (listener.clone(), endpoint.host.clone(), endpoint.port))
                .collect(),
        });
        brokers.collect()
    }

    fn topic_view(&self, topic: &TopicImage) -> TopicView {
        let partitions = topic.partitions.iter().map(|(number, image)| {
            let partition = self.partitions.get(&PartitionKey { topic_id: topic.id, partition: *number });
            PartitionView {
                partition: *number,
                leader: image.leader,
                leader_epoch: image.leader_epoch,
                replicas: image.replicas.clone(),
                isr: image.isr.clone(),
                elr: image.elr.clone(),
                min_isr: partition.map_or(0, Partition::min_isr),
                log: partition.and_then(Partition::log_view),
                is_offline: partition.is_some_and(|it| !it.is_online() && !it.is_mounting()),
                parked: partition.map_or(0, Partition::parked),
            }
        });
        TopicView { name: topic.name.clone(), id: topic.id, partitions: partitions.collect() }
    }

    fn connection_views(&self) -> Vec<ConnectionView> {
        let connections = self.connections.iter().map(|(conn, peer)| ConnectionView {
            conn: *conn,
            peer: peer.clone(),
            in_flight: self.limits.in_flight(*conn),
        });
        connections.collect()
    }

    fn wait_views(&self) -> Vec<WaitView> {
        let pending = self.deferred.pending().map(|(id, pending)| self.wait_view(id, pending));
        let parked = self.deferred.parked().map(|(end, Committed::Answer(waiter, _))| WaitView {
            conn: waiter.conn,
            correlation_id: waiter.correlation_id,
            what: WaitReason::Metadata(end),
            deadline: None,
        });
        let early = self.life.waiting.iter().map(|(conn, request)| WaitView {
            conn: *conn,
            correlation_id: request.correlation_id,
            what: WaitReason::Start,
            deadline: None,
        });
        pending.chain(parked).chain(early).collect()
    }

    fn wait_view(&self, id: RequestId, pending: &Pending) -> WaitView {
        let (waiter, what, reason) = match pending {
            Pending::Produce(it) => {
                (it.waiter, WaitReason::Acks(it.outstanding()), Some(WakeReason::ProduceTimeout(id)))
            }
            Pending::Fetch(it) => {
                let what = self.watch.missing(id).map_or(WaitReason::Lookup, WaitReason::Data);
                (it.waiter, what, Some(WakeReason::FetchWait(id)))
            }
            Pending::ListOffsets(it) => (it.waiter, WaitReason::Lookup, None),
            Pending::DeleteRecords(it) => {
                (it.waiter, WaitReason::LogStarts, it.is_behind().then_some(WakeReason::DeleteTimeout(id)))
            }
            Pending::LogDirs(it) => (it.waiter, WaitReason::Lookup, None),
            Pending::Forward(it) => (it.waiter, WaitReason::Controller, Some(WakeReason::Forward(id))),
            Pending::Groups(it) => (it.waiter, WaitReason::Acks(it.outstanding), None),
        };
        WaitView {
            conn: waiter.conn,
            correlation_id: waiter.correlation_id,
            what,
            deadline: reason.and_then(|reason| self.timers.deadline(reason)),
        }
    }
}

/// FNV-1a over what is written to it.
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
