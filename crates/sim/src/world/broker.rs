//! A node's host: gives it time, inputs and a disk, and carries out what it says.

use ordered::Map;
use std::sync::Arc;

use node::config::Past;
use node::{Config, Input, Node, Outbox};
use protocol::messages::SyncGroupRequest;
use protocol::{Instant, NodeId, Offset, Request, RequestBody, Str, Uuid, WallMs};
use storage::{Cell, DirId, Disk, Done, MemoryDisk, OpId, Store, StoreError, StoreOp};

use super::calls::Calls;
use super::process::{DiskLane, LaneState};
use super::{ActionError, Broker, Kind, Power, World};
use crate::exhibit::Exhibit;
use crate::link::LinkId;
use crate::narration::{Heard, Stored};
use crate::queue::{Due, Pid};
use crate::random::{Purpose, Random};
use crate::setup::{BrokerSetup, CLIENT_PORT, CONTROLLER_PORT, PlantedBug, Setup, WALL_START_MS};

impl World {
    pub(super) fn add_broker(&mut self, index: usize, setup: &BrokerSetup) -> Result<(), ActionError> {
        let config = Arc::new(broker_config(&self.setup, index, setup)?);
        let seed = self.setup.seed;
        let pid = self.add_process(&setup.name, |pid| {
            Kind::Broker(Box::new(Broker {
                config,
                node: None,
                store: Store::new(MemoryDisk::new()),
                ops: Map::new(),
                next_op: 0,
                lanes: Map::new(),
                disk: Random::stream(seed, Purpose::Disk, pid.0),
                slow_us: 0,
                logs: Map::new(),
                metadata_log: None,
                told_metadata: (Offset(0), Offset(0)),
                serving: false,
                eras: Map::new(),
                lost_power: false,
                was_killed: false,
                wipes: 0,
                calls: Calls::default(),
            }))
        })?;
        let id = self.node_id(pid);
        self.checks.node(id, pid, &setup.name);
        if self.setup.voters.contains(&setup.name) {
            self.format_voter(pid)?;
        }
        self.boot_node(pid);
        Ok(())
    }

    /// A disk as `vivarium storage format --initial-controllers` leaves it.
    fn format_voter(&mut self, pid: Pid) -> Result<(), ActionError> {
        let mut voters = Vec::new();
        for name in &self.setup.voters {
            let index = self.setup.brokers.iter().position(|it| it.name == *name && it.is_controller());
            let index = index.ok_or_else(|| ActionError(format!("{name} is to vote and is no controller")))?;
            let directory_id = directory_ids(index + 1, 1, 0).remove(0);
            voters.push((NodeId(index as i32 + 1), directory_id, name.clone(), CONTROLLER_PORT));
        }
        let bytes = node::voters_checkpoint(WallMs(WALL_START_MS), voters);
        let Some(broker) = self.process_mut(pid).broker_mut() else { return Ok(()) };
        let dir = DirId(broker.config.metadata_log_dir);
        let disk = broker.store.disk_mut();
        let written = disk.create_dir(dir, "__cluster_metadata-0").and_then(|()| {
            let file = disk.open(dir, "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint", true)?;
            disk.write_at(&file, 0, &[bytes])?;
            disk.sync(&file)?;
            disk.close(file);
            disk.sync_dir(dir, "__cluster_metadata-0")?;
            disk.sync_dir(dir, "")
        });
        written.map_err(|error| ActionError(format!("a new disk cannot be formatted: {error}")))
    }

    /// A new process on the same disk.
    pub(super) fn boot_node(&mut self, pid: Pid) {
        let clock = self.clock;
        let process = self.process_mut(pid);
        let seed = process.begin(clock);
        let Some(broker) = process.broker_mut() else { return };
        broker.node = Some(Node::boot(Arc::clone(&broker.config), seed));
        let disk = std::mem::replace(&mut broker.store, Store::new(MemoryDisk::new())).into_disk();
        broker.store = Store::new(disk);
        broker.logs.clear();
        broker.metadata_log = None;
        broker.told_metadata = (Offset(0), Offset(0));
        broker.eras.clear();
        let due = broker.node.as_ref().and_then(Node::wake_at).map(|(at, _)| at);
        let at = due.map(|at| self.process(pid).global(at));
        self.reset_dark_links(pid);
        self.rearm(pid, at);
    }

    /// The process is gone; what it asked of the disk and was not done is never done.
    pub(super) fn end_node(&mut self, pid: Pid, power: Power) {
        let process = self.process_mut(pid);
        process.end(power);
        if let Some(broker) = process.broker_mut() {
            broker.node = None;
            broker.serving = false;
            broker.ops.clear();
            broker.lanes.clear();
            broker.calls = Calls::default();
            broker.was_killed = true;
            if power == Power::Dark {
                // What was torn is on the platter; of that nothing is lost any more.
                broker.store.disk_mut().power_cut();
                broker.lost_power = true;
            }
        }
        self.drop_links(pid, power == Power::Dark);
    }

    /// One event: a node hears something.
    pub(crate) fn tell_node(&mut self, pid: Pid, input: Input) {
        let heard = self.heard_by_node(&input);
        self.tell_node_as(pid, heard, input);
    }

    pub(super) fn tell_node_as(&mut self, pid: Pid, heard: Heard, input: Input) {
        let mut out = self.scratch.node.take().unwrap_or_else(Outbox::with_events);
        let clock = self.clock;
        if let Some(heartbeat) = heartbeat_of(&input) {
            self.note_heartbeat(pid, heartbeat);
        }
        let process = &mut self.processes[usize::from(pid.0)];
        let now = process.now(clock);
        let Some(node) = process.broker_mut().and_then(|broker| broker.node.as_mut()) else {
            self.scratch.node = Some(out);
            return;
        };
        let group = group_asked(&input).cloned();
        if let Some(request) = shares_of(&input) {
            self.checks.shared_out(self.events + 1, request);
        }
        node.handle(now, input, &mut out);
        if let Some(group) = group
            && let Some((.., Some(told))) = node.coordinated(&group)
        {
            self.checks.check_target(self.events + 1, &group, &told, node.image(), self.setup.bug);
        }
        // It counts before what the node says of them.
        self.checks.topics_exist(node.image());
        let due = node.wake_at().map(|(at, _)| at);
        let leads = node.leads_quorum();
        self.begin_event(pid, heard);
        if let Some(epoch) = leads {
            self.checks.controls(self.events, pid, epoch);
            if self.setup.bug == Some(PlantedBug::LeadsTwice) {
                self.checks.controls(self.events, Pid(pid.0 ^ 1), epoch);
            }
        }
        self.carry_out(pid, &mut out);
        self.check_metadata(pid);
        let at = due.map(|at| self.process(pid).global(at));
        if std::mem::take(&mut out.stopped) {
            self.stopped(pid);
        } else {
            self.rearm(pid, at);
        }
        self.scratch.node = Some(out);
    }

    fn carry_out(&mut self, pid: Pid, out: &mut Outbox) {
        for (id, op) in out.store.drain(..) {
            self.submit(pid, id, op);
        }
        for (conn, credit) in out.credit.drain(..) {
            self.give_credit(conn, credit);
        }
        if let Some(events) = &mut out.events {
            for event in events.iter() {
                self.digest_node_event(event);
                self.checks.node_said(self.events, pid, event);
                match event {
                    node::Event::Controls { .. } => self.checks.term_begins(self.clock, pid),
                    node::Event::BrokerFenced { broker, .. } => self.check_fencing(pid, *broker),
                    _ => {}
                }
            }
            // The buffers change places: neither is allocated again.
            std::mem::swap(&mut self.last.node_events, events);
            events.clear();
            if self.last.node_events.contains(&node::Event::Started) {
                self.serves(pid);
            }
        }
        for reply in out.replies.drain(..) {
            self.digest_reply(&reply);
            self.carry_reply(reply);
        }
        for id in out.given_up.drain(..) {
            self.give_up_call(pid, id);
        }
        for call in out.calls.drain(..) {
            self.carry_call(pid, call);
        }
    }

    fn submit(&mut self, pid: Pid, id: OpId, op: StoreOp) {
        self.digest_store_op(id, &op);
        let (disk_us, sync_us) = (self.setup.disk_us, self.setup.sync_us);
        let (clock, events, because) = (self.clock, self.events, self.doing);
        let process = &mut self.processes[usize::from(pid.0)];
        let incarnation = process.incarnation;
        let Kind::Broker(broker) = &mut process.kind else { return };
        match &op {
            StoreOp::Append(log, _, batches) => {
                if let Some(index) = broker.logs.get(log) {
                    self.checks.appended(events, pid, *index, batches);
                } else if broker.metadata_log == Some(*log) {
                    self.checks.quorum_appended(events, pid, batches);
                }
            }
            StoreOp::Swap(log, ..) => {
                if let Some(index) = broker.logs.get(log) {
                    self.checks.compacted(*index);
                }
            }
            StoreOp::Mount(log, spec) => {
                if let Some(index) = self.checks.mounting(spec) {
                    broker.logs.insert(*log, index);
                } else if spec.topic_id == Uuid::METADATA_TOPIC {
                    broker.metadata_log = Some(*log);
                }
            }
            StoreOp::Truncate(log, end, era) => {
                broker.eras.insert(*log, *era);
                if let Some(index) = broker.logs.get(log) {
                    self.checks.truncated(events, pid, *index, *end);
                } else if broker.metadata_log == Some(*log) {
                    self.checks.quorum_ends(pid, *end);
                }
            }
            StoreOp::Remove(log) => {
                if let Some(index) = broker.logs.remove(log) {
                    self.checks.removed(pid, index);
                }
            }
            _ => {}
        }
        let (low, high) = match &op {
            StoreOp::Flush(_) | StoreOp::Put(..) => sync_us,
            _ => disk_us,
        };
        let mut duration = broker.disk.within(low, high) + broker.slow_us;
        if matches!(op, StoreOp::Put(Cell::LeaderEpochs(_), _)) {
            // The store takes note of it, and the log's next batch brings it to the disk.
            duration = 0;
        }
        let done = match Broker::lane_of(&op) {
            None => Instant(clock.0 + duration),
            Some(lane) => broker.enter(lane, clock, duration, matches!(op, StoreOp::Append(..))),
        };
        if let StoreOp::Remove(log) = op {
            broker.lanes.remove(&DiskLane::Log(log));
        }
        let number = broker.next_op;
        broker.next_op = broker.next_op.wrapping_add(1);
        broker.ops.insert(number, (id, op, because));
        self.queue.push(done, Due::Disk(pid, incarnation, number));
    }

    /// The disk carries an operation out, and the node hears of it.
    pub(super) fn disk_done(&mut self, pid: Pid, incarnation: u32, number: u32) {
        let bug = self.setup.bug;
        let process = &mut self.processes[usize::from(pid.0)];
        if process.incarnation != incarnation {
            return;
        }
        let Kind::Broker(broker) = &mut process.kind else { return };
        let Some((id, op, because)) = broker.ops.remove(&number) else { return };
        let (log, batches_end) = match &op {
            StoreOp::Mount(log, _) | StoreOp::Flush(log) => (broker.logs.get(log).copied(), None),
            StoreOp::Append(log, _, batches) => {
                (broker.logs.get(log).copied(), batches.heads().last().map(|head| head.next_offset()))
            }
            _ => (None, None),
        };
        let mounted = if let StoreOp::Mount(log, _) = &op { Some(*log) } else { None };
        let aside = if let StoreOp::SetAside(_, folder) = &op { Some(folder.clone()) } else { None };
        let is_forgotten = bug == Some(PlantedBug::ForgetsSync) && log.is_some() && matches!(op, StoreOp::Flush(_));
        let mut result = if is_forgotten { Ok(Done::Flushed) } else { broker.store.execute(op) };
        if bug == Some(PlantedBug::LosesWrittenBatch) && log.is_some() && broker.was_killed {
            lose_last_batch(&mut broker.store, &mut result);
        }
        // Open files are the store's own here; nobody else holds them.
        drop(broker.store.take_changes());
        match (log, &result, batches_end) {
            (Some(index), Ok(Done::Mounted(shape)), _) => {
                let ends = (shape.log_start(), shape.end());
                self.checks.mounted(self.events + 1, pid, index, ends, broker.lost_power);
            }
            (None, Ok(Done::Mounted(shape)), _) if mounted == broker.metadata_log => {
                self.checks.quorum_ends(pid, shape.end());
            }
            (Some(index), Ok(Done::Appended), Some(end)) => self.checks.written(pid, index, end),
            (Some(index), Ok(Done::Flushed), _) => self.checks.synced(pid, index),
            (None, Ok(Done::SetAside(Some(_))), _) => {
                // A replica that was reassigned meanwhile; of one that is here it is another copy.
                let index = aside.and_then(|it| self.checks.numbered(&it));
                if let Some(index) = index.filter(|it| !broker.logs.values().any(|log| log == it)) {
                    self.checks.removed(pid, index);
                }
            }
            _ => {}
        }
        self.because = because;
        self.tell_node(pid, Input::Stored(id, result));
    }

    /// All that is on the disk is gone but who it is: its number and, where voters are static, its directories' ids.
    pub(super) fn wipe_disk(&mut self, pid: Pid) {
        let is_dynamic = !self.setup.voters.is_empty();
        let Some(broker) = self.process_mut(pid).broker_mut() else { return };
        broker.store = Store::new(MemoryDisk::new());
        if is_dynamic {
            // To those who vote by their directories it is somebody else.
            broker.wipes += 1;
            let mut config = (*broker.config).clone();
            let dirs = config.log_dirs.len();
            config.identity.directory_ids = directory_ids(config.node_id.0 as usize, dirs, broker.wipes);
            broker.config = Arc::new(config);
        }
        broker.lost_power = true;
        broker.logs.clear();
        self.checks.wiped(self.events, pid, is_dynamic);
    }

    /// A broker's `node.id`.
    pub(super) fn node_id(&self, pid: Pid) -> NodeId {
        self.process(pid).broker().map_or(NodeId(-1), |broker| broker.config.node_id)
    }

    /// A controlled shutdown is complete.
    fn stopped(&mut self, pid: Pid) {
        if self.last.node_events.iter().any(|it| matches!(it, node::Event::Failed { .. })) {
            self.checks.broker_died(pid);
        }
        self.end_node(pid, Power::Down);
        if let Some(broker) = self.process_mut(pid).broker_mut() {
            broker.was_killed = false;
        }
    }

    /// What a node has come to know of the metadata.
    fn check_metadata(&mut self, pid: Pid) {
        let Kind::Broker(broker) = &mut self.processes[usize::from(pid.0)].kind else { return };
        let Some(node) = &broker.node else { return };
        let mut told = (node.image().next_offset(), node.quorum_high_watermark());
        if self.setup.bug == Some(PlantedBug::ForgetsCommitted) && self.bugs.once_in(World::RARELY) {
            told.1 = Offset(0);
        }
        let before = std::mem::replace(&mut broker.told_metadata, told);
        if told.1 != before.1 {
            self.checks.quorum_committed(self.events, pid, before.1, told.1);
        }
        if told.0 != before.0 {
            self.checks.metadata(self.events, node, self.setup.bug);
        }
    }

    /// The epoch of the registration that the process of a broker was given, if it runs.
    fn living_epoch(&self, broker: NodeId) -> Option<i64> {
        let process = self.process(self.pid_of(broker)?);
        let node = process.broker()?.node.as_ref().filter(|_| process.power.is_up())?;
        Some(node.broker_epoch())
    }

    /// What a dead process sent is no sign of life of its successor.
    fn note_heartbeat(&mut self, pid: Pid, (broker, epoch): (NodeId, i64)) {
        if self.living_epoch(broker) == Some(epoch) {
            self.checks.heartbeat(self.clock, pid, broker);
        }
    }

    fn check_fencing(&mut self, pid: Pid, broker: NodeId) {
        let Some(controller) = self.process(pid).broker() else { return };
        let known = controller.node.as_ref().and_then(|it| it.image().broker(broker)).map(|it| it.epoch);
        let session_ms = i64::from(controller.config.broker_session_timeout_ms);
        if known.is_some() && known == self.living_epoch(broker) {
            self.checks.fenced_alive(self.events, self.clock, pid, broker, session_ms);
        }
    }

    /// Once the node serves, what a power cut took is settled.
    fn serves(&mut self, pid: Pid) {
        if let Some(broker) = self.process_mut(pid).broker_mut() {
            broker.serving = true;
            broker.lost_power = false;
            broker.was_killed = false;
        }
    }

    fn heard_by_node(&self, input: &Input) -> Heard {
        let from = |conn: node::ConnId| {
            let link = LinkId(u32::try_from(conn.0).unwrap_or(u32::MAX));
            self.links.get(&link).map(|link| link.client)
        };
        match input {
            Input::Wake => Heard::Wake,
            Input::Stop => Heard::Stop,
            Input::Opened(conn, _) => Heard::Opened(from(*conn)),
            Input::Request(conn, request) => {
                Heard::Request(from(*conn), request.body.api_key(), request.correlation_id)
            }
            Input::Closed(conn) => Heard::Closed(from(*conn)),
            Input::Answered(_, Ok(body)) => Heard::Response(body.api_key(), 0),
            Input::Answered(_, Err(_)) => Heard::CallFailed,
            Input::Stored(_, Ok(done)) => Heard::Stored(Stored::of(done)),
            Input::Stored(_, Err(_)) | Input::Unreadable(..) => Heard::Stored(Stored::Failed),
        }
    }

    /// A moment later.
    pub(crate) fn after(&self, us: u64) -> Instant {
        Instant(self.clock.0.saturating_add(us))
    }
}

impl Broker {
    /// The power ends in the middle of what the disk is at: a few calls more are carried out, and of all that is not synced
    /// some has reached the platter.
    pub(super) fn tear(&mut self) {
        // As many calls as two or three operations take.
        let calls = self.disk.below(10);
        let disk = self.store.disk_mut();
        disk.end_power_at(disk.calls() + calls);
        for (_, (_, op, _)) in std::mem::take(&mut self.ops) {
            // Nobody hears of it.
            drop(self.store.execute(op));
            drop(self.store.take_changes());
        }
        let random = &mut self.disk;
        self.store.disk_mut().power_cut_torn(&mut |bound| random.below(bound));
    }

    /// Queues an operation in its lane; tells when it is done. As in the server, appends that wait become one write.
    fn enter(&mut self, lane: DiskLane, clock: Instant, duration: u64, is_append: bool) -> Instant {
        let state = self.lanes.get(&lane).copied();
        if let Some(LaneState { until, append_begins: Some(begins) }) = state
            && is_append
            && begins > clock
        {
            return until;
        }
        let begins = state.map_or(clock, |state| state.until).max(clock);
        let until = Instant(begins.0 + duration);
        self.lanes.insert(lane, LaneState { until, append_begins: is_append.then_some(begins) });
        until
    }
}

/// The group of a member of KIP-848 that is heard of.
fn group_asked(input: &Input) -> Option<&Str> {
    match input {
        Input::Request(_, Request { body: RequestBody::ConsumerGroupHeartbeat(it), .. }) => Some(&it.group_id),
        _ => None,
    }
}

/// Whose heartbeat it is, and of which registration.
fn heartbeat_of(input: &Input) -> Option<(NodeId, i64)> {
    match input {
        Input::Request(_, Request { body: RequestBody::BrokerHeartbeat(it), .. }) => {
            Some((NodeId(it.broker_id), it.broker_epoch))
        }
        _ => None,
    }
}

/// What the leader of a classic group has shared out.
fn shares_of(input: &Input) -> Option<&SyncGroupRequest> {
    match input {
        Input::Request(_, Request { body: RequestBody::SyncGroup(it), .. }) if !it.assignments.is_empty() => Some(it),
        _ => None,
    }
}

/// The planted bug: the store has the batch, and forgets it.
fn lose_last_batch(store: &mut Store<MemoryDisk>, result: &mut Result<Done, StoreError>) {
    let Ok(Done::Mounted(shape)) = result else { return };
    let Some(base) = shape.tail().iter().next_back().map(|entry| entry.base) else { return };
    let mut shorter = (**shape).clone();
    let cut = shorter.truncate(base);
    if let Ok(Done::Truncated(rebuilt)) = store.execute(cut) {
        *shape = rebuilt;
    }
}

fn broker_config(world: &Setup, index: usize, setup: &BrokerSetup) -> Result<Config, ActionError> {
    let name = &setup.name;
    let id = index + 1;
    let mut listeners = Vec::new();
    if setup.is_broker() {
        listeners.push(format!("PLAINTEXT://{name}:{CLIENT_PORT}"));
    }
    if setup.is_controller() {
        listeners.push(format!("CONTROLLER://{name}:{CONTROLLER_PORT}"));
    }
    let mut properties: Map<String, String> =
        [("node.id", id.to_string()), ("listeners", listeners.join(",")), ("log.dirs", format!("/{name}"))]
            .map(|(key, value)| (key.to_owned(), value))
            .into();
    if !world.voters.is_empty() {
        let servers: Vec<String> = world.voters.iter().map(|it| format!("{it}:{CONTROLLER_PORT}")).collect();
        for (key, value) in [
            ("process.roles", "broker,controller"),
            ("controller.listener.names", "CONTROLLER"),
            ("controller.quorum.bootstrap.servers", &servers.join(",")),
        ] {
            properties.insert(key.to_owned(), value.to_owned());
        }
    } else if world.brokers.len() > 1 {
        let voters = (1..).zip(&world.brokers).filter(|(_, it)| it.is_controller());
        let voters: Vec<String> = voters.map(|(id, it)| format!("{id}@{}:{CONTROLLER_PORT}", it.name)).collect();
        for (key, value) in [
            ("process.roles", "broker,controller"),
            ("controller.listener.names", "CONTROLLER"),
            ("controller.quorum.voters", &voters.join(",")),
        ] {
            properties.insert(key.to_owned(), value.to_owned());
        }
    }
    for (key, value) in world.past.and_then(Exhibit::setting).iter().chain(&setup.settings) {
        if node::config::broker_key(key).is_none() {
            return Err(ActionError(format!("Kafka's brokers have no configuration {key}")));
        }
        properties.insert(key.to_string(), value.to_string());
    }
    let (mut config, _) = Config::parse(&properties).map_err(|error| ActionError(format!("{name}: {error}")))?;
    config.past = match world.bug {
        Some(PlantedBug::CommitsAlone) => Past::LoneHighWatermark,
        _ => world.past.map(Exhibit::past).unwrap_or_default(),
    };
    config.identity.cluster_id = Str::from_static("vivarium-simulation-00");
    config.identity.directory_ids = directory_ids(id, config.log_dirs.len(), 0);
    Ok(config)
}

/// The ids of a node's directories, which its disks have since they were wiped so often.
fn directory_ids(node: usize, dirs: usize, wipes: u16) -> Vec<Uuid> {
    let id = |dir: usize| {
        let mut random = Random::stream(node as u64, Purpose::Boot, (wipes << 8) + dir as u16);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random.word().to_be_bytes());
        bytes[8..].copy_from_slice(&random.word().to_be_bytes());
        Uuid::from_random(bytes)
    };
    (0..dirs).map(id).collect()
}
