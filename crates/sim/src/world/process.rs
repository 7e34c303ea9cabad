//! The processes of a world: brokers, clients, and clients that say exactly what they are told.

use ordered::Map;
use std::collections::VecDeque;
use std::sync::Arc;

use client::{Client, ClientConfig, ConsumerRecord};
use node::{Config, Node};
use protocol::{Era, Instant, Now, Offset, Request, Response, Str, TopicPartition, WallMs};
use storage::{Cell, LogId, MemoryDisk, OpId, Store, StoreOp};

use super::calls::Calls;
use crate::action::Load;
use crate::link::LinkId;
use crate::narration::Because;
use crate::queue::Due;
use crate::random::Random;
use crate::setup::WALL_START_MS;

/// A process and the machine it runs on.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) name: Str,
    pub(crate) power: Power,
    /// It stands still; what happens to it meanwhile waits.
    pub(crate) paused: bool,
    pub(crate) held: Vec<Due>,
    /// When it was started last, and how often.
    pub(crate) booted: Instant,
    pub(crate) incarnation: u32,
    pub(crate) wall_offset_ms: i64,
    /// The wake that is queued.
    pub(crate) wake: Option<Wake>,
    pub(crate) timers: Random,
    pub(crate) network: Random,
    pub(crate) boots: Random,
    pub(crate) kind: Kind,
}

/// A wake that a process has asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wake {
    pub(crate) due: Instant,
    /// Its host may be late.
    pub(crate) comes: Instant,
}

/// Whether a process runs, and if not, who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    Up,
    /// A controlled shutdown is under way.
    Stopping,
    /// It does not run; its machine refuses connections.
    Down,
    /// The whole machine is off and silent.
    Dark,
}

impl Power {
    /// True while the process runs.
    pub fn is_up(self) -> bool {
        matches!(self, Power::Up | Power::Stopping)
    }
}

#[derive(Clone)]
pub(crate) enum Kind {
    Broker(Box<Broker>),
    Client(Box<Actor>),
    Wire(Box<Wire>),
}

/// A node and its disk.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) config: Arc<Config>,
    pub(crate) node: Option<Node>,
    pub(crate) store: Store<MemoryDisk>,
    /// Operations that the disk has not finished, and what each was asked for.
    pub(crate) ops: Map<u32, (OpId, StoreOp, Because)>,
    pub(crate) next_op: u32,
    /// What each lane is at.
    pub(crate) lanes: Map<DiskLane, LaneState>,
    pub(crate) disk: Random,
    pub(crate) slow_us: u64,
    /// The partitions' logs, as the checks number them.
    pub(crate) logs: Map<LogId, usize>,
    pub(crate) metadata_log: Option<LogId>,
    /// How much of the metadata the checks have heard of from it: applied, and committed in the log.
    pub(crate) told_metadata: (Offset, Offset),
    /// It serves requests.
    pub(crate) serving: bool,
    /// The logs that were truncated since the start, and how often.
    pub(crate) eras: Map<LogId, Era>,
    /// Since the last start: the power was cut before it.
    pub(crate) lost_power: bool,
    /// Since the last start it was stopped in good order or never ran.
    pub(crate) was_killed: bool,
    /// How often its disks were wiped.
    pub(crate) wipes: u16,
    pub(crate) calls: Calls,
}

/// Until when a lane is busy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneState {
    pub(crate) until: Instant,
    /// The last operation is an append that begins then: others join its write until it does.
    pub(crate) append_begins: Option<Instant>,
}

/// What a disk does in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DiskLane {
    Log(LogId),
    Cell(Cell),
}

/// A client and what its application does.
#[derive(Clone)]
pub(crate) struct Actor {
    pub(crate) config: ClientConfig,
    pub(crate) client: Option<Client>,
    pub(crate) links: Map<client::ConnId, LinkId>,
    /// The number of the next record to send, and of the next other operation.
    pub(crate) next_send: u64,
    pub(crate) next_other: u64,
    /// What a person asked for and the client has not heard.
    pub(crate) wishes: VecDeque<(client::OpId, client::Operation)>,
    /// Operations that are no sends and have no outcome yet.
    pub(crate) others_open: u32,
    pub(crate) load: Option<Workload>,
    pub(crate) follow: Option<Follow>,
    /// Its application commits what is revoked before it lets go of it.
    pub(crate) commits_revoked: bool,
    /// That commit, while it is under way.
    pub(crate) last_commit: Option<client::OpId>,
    /// How long its application is at a record that a poll brought, in µs.
    pub(crate) slow_us: u64,
    /// What it reads next, once it may ask for it.
    pub(crate) assignment: Option<Vec<TopicPartition>>,
    pub(crate) random: Random,
    /// The last records that it was given, newest last.
    pub(crate) consumed: VecDeque<ConsumerRecord>,
    pub(crate) consumed_total: u64,
    /// Outcomes of operations that are no sends, newest last.
    pub(crate) answers: VecDeque<(u64, client::Outcome)>,
}

/// A load under way.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) load: Load,
    pub(crate) sent: u64,
    /// Tells this load's ticks from those of one before it.
    pub(crate) number: u32,
}

/// Reading without end.
#[derive(Clone)]
pub(crate) struct Follow {
    pub(crate) topic: Str,
    /// It has its partitions, or is a member of its group.
    pub(crate) assigned: bool,
    /// The operation that is to be followed by the next one.
    pub(crate) op: Option<u64>,
    pub(crate) number: u32,
}

/// A client that says exactly what it is told, on one connection, one request after the other.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) broker: Str,
    pub(crate) link: Option<LinkId>,
    pub(crate) open: bool,
    pub(crate) next_conn: u64,
    pub(crate) queue: VecDeque<Request>,
    pub(crate) next_correlation_id: i32,
    /// All answers, oldest first.
    pub(crate) answers: Vec<Response>,
}

impl Process {
    /// It starts, as a new process; tells its seed. What was queued for the old one means nothing to it.
    pub(crate) fn begin(&mut self, clock: Instant) -> u64 {
        self.power = Power::Up;
        self.booted = clock;
        self.incarnation += 1;
        self.wake = None;
        self.boots.word()
    }

    /// It is gone.
    pub(crate) fn end(&mut self, power: Power) {
        self.power = power;
        self.paused = false;
        self.held.clear();
        self.wake = None;
        self.incarnation += 1;
    }

    pub(crate) fn now(&self, clock: Instant) -> Now {
        let wall = WALL_START_MS + (clock.0 / 1_000) as i64 + self.wall_offset_ms;
        Now { mono: Instant(clock.0.saturating_sub(self.booted.0)), wall: WallMs(wall) }
    }

    /// A moment on the process's clock as a moment of the world.
    pub(crate) fn global(&self, mono: Instant) -> Instant {
        Instant(self.booted.0.saturating_add(mono.0))
    }

    pub(crate) fn broker(&self) -> Option<&Broker> {
        match &self.kind {
            Kind::Broker(broker) => Some(broker),
            Kind::Client(_) | Kind::Wire(_) => None,
        }
    }

    pub(crate) fn broker_mut(&mut self) -> Option<&mut Broker> {
        match &mut self.kind {
            Kind::Broker(broker) => Some(broker),
            Kind::Client(_) | Kind::Wire(_) => None,
        }
    }

    pub(crate) fn actor(&self) -> Option<&Actor> {
        match &self.kind {
            Kind::Client(actor) => Some(actor),
            Kind::Broker(_) | Kind::Wire(_) => None,
        }
    }

    pub(crate) fn actor_mut(&mut self) -> Option<&mut Actor> {
        match &mut self.kind {
            Kind::Client(actor) => Some(actor),
            Kind::Broker(_) | Kind::Wire(_) => None,
        }
    }

    pub(crate) fn wire(&self) -> Option<&Wire> {
        match &self.kind {
            Kind::Wire(wire) => Some(wire),
            Kind::Broker(_) | Kind::Client(_) => None,
        }
    }

    pub(crate) fn wire_mut(&mut self) -> Option<&mut Wire> {
        match &mut self.kind {
            Kind::Wire(wire) => Some(wire),
            Kind::Broker(_) | Kind::Client(_) => None,
        }
    }
}

impl Broker {
    /// How long the disk is at an operation, and in which lane.
    pub(crate) fn lane_of(op: &StoreOp) -> Option<DiskLane> {
        match op {
            // It is written before the log's next batch is.
            StoreOp::Put(Cell::LeaderEpochs(log), _) => Some(DiskLane::Log(*log)),
            StoreOp::Put(cell, _) => Some(DiskLane::Cell(*cell)),
            // In any order.
            StoreOp::Clean(..) | StoreOp::Copy(..) | StoreOp::Sweep(_) | StoreOp::Find(..) | StoreOp::Load(_) => None,
            of_log => of_log.log().map(DiskLane::Log),
        }
    }
}
