//! The world: processes, connections and disks on one virtual clock. One step is one input of one process.

mod actor;
mod admin;
mod broker;
mod calls;
mod calm;
mod faults;
mod network;
mod process;
mod refusals;
mod wire;

use ordered::{Map, Set};
use std::sync::Arc;

use protocol::{ApiKey, Instant, NodeId, Request, Response, Str};

use crate::action::Action;
use crate::check::Checks;
use crate::digest::Digest;
use crate::link::{Link, LinkId};
use crate::narration::{Because, Last};
use crate::operations::Operations;
use crate::queue::{Due, Pid, Queue};
use crate::random::{Purpose, Random};
use crate::setup::Setup;
use refusals::Refusals;

pub use process::Power;
pub(crate) use process::{Broker, Kind, Process, Wake, Wire};

/// The admin's name: it is there from the beginning and carries out what is asked of it.
pub const ADMIN: &str = "admin";

/// Brokers, clients, their disks and connections, and what is due next.
///
/// A clone is another world in the same state; it shares what was written.
#[derive(Clone)]
pub struct World {
    pub(crate) setup: Arc<Setup>,
    pub(crate) clock: Instant,
    pub(crate) events: u64,
    /// How many entries of the queue had their turn; not each is an event.
    turns: u64,
    /// How many actions were done.
    actions: u32,
    pub(crate) digest: Digest,
    pub(crate) queue: Queue,
    pub(crate) processes: Vec<Process>,
    pub(crate) names: Map<Str, Pid>,
    pub(crate) links: Map<LinkId, Link>,
    pub(crate) next_link: u32,
    /// From whom to whom no packet passes.
    pub(crate) cuts: Set<(Pid, Pid)>,
    /// Pairs that are further apart than others, in µs.
    pub(crate) delays: Map<(Pid, Pid), u64>,
    /// Answers to lose: of which API, to whom; as often as named.
    pub(crate) drops: Vec<(ApiKey, Pid)>,
    /// Requests to damage: of which API, from whom.
    pub(crate) corruptions: Vec<(ApiKey, Pid)>,
    pub(crate) checks: Checks,
    pub(crate) operations: Operations,
    pub(crate) last: Last,
    /// What is done now: what is sent meanwhile is sent for this.
    pub(crate) doing: Because,
    /// What brought what the next event hears.
    pub(crate) because: Because,
    pub(crate) bugs: Random,
    refusals: Refusals,
    calm: calm::Calm,
    scratch: Scratch,
}

/// Outboxes that are empty between steps; kept so that a step allocates nothing for them.
#[derive(Default)]
struct Scratch {
    node: Option<node::Outbox>,
    client: Option<client::Outbox>,
}

impl Clone for Scratch {
    fn clone(&self) -> Scratch {
        Scratch::default()
    }
}

/// Why an action cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionError(pub String);

impl std::fmt::Display for ActionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ActionError {}

impl World {
    /// A world whose brokers have just been switched on.
    pub fn new(setup: Arc<Setup>) -> Result<World, ActionError> {
        let mut world = World {
            clock: Instant(0),
            events: 0,
            turns: 0,
            actions: 0,
            digest: Digest::default(),
            queue: Queue::default(),
            processes: Vec::new(),
            names: Map::new(),
            links: Map::new(),
            next_link: 1,
            cuts: Set::new(),
            delays: Map::new(),
            drops: Vec::new(),
            corruptions: Vec::new(),
            checks: Checks::default(),
            operations: Operations::default(),
            last: Last::default(),
            doing: Because::Itself,
            because: Because::Itself,
            bugs: Random::stream(setup.seed, Purpose::Bug, 0),
            refusals: Refusals::default(),
            calm: calm::Calm::default(),
            scratch: Scratch::default(),
            setup: Arc::clone(&setup),
        };
        world.checks.exhibit = setup.past;
        for (index, broker) in setup.brokers.iter().enumerate() {
            world.add_broker(index, broker)?;
        }
        world.add_admin()?;
        Ok(world)
    }

    /// Runs the next event; `None` if nothing will ever happen again by itself.
    pub fn step(&mut self) -> Option<&Last> {
        self.step_before(Instant(u64::MAX))
    }

    /// Runs the next event if it is due no later than `limit`; the clock stays otherwise.
    pub fn step_before(&mut self, limit: Instant) -> Option<&Last> {
        while !self.turn_before(limit)? {}
        Some(&self.last)
    }

    /// Gives the next entry of the queue its turn, if it is due no later than `limit`. True if that was an event.
    pub(crate) fn turn_before(&mut self, limit: Instant) -> Option<bool> {
        if self.queue.next_at()? > limit {
            return None;
        }
        let (at, due) = self.queue.pop()?;
        let before = self.events;
        self.turns += 1;
        self.clock = self.clock.max(at);
        self.run(due);
        self.watch_calm();
        Some(self.events > before)
    }

    /// How many entries of the queue had their turn. Finer than events: an action is stamped with both.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Lets time pass: everything due until then happens.
    pub fn run_until(&mut self, at: Instant) {
        while self.step_before(at).is_some() {}
        self.clock = self.clock.max(at);
    }

    /// Lets the clock stand at a moment before the next event; that is where an action of a recorded run is done.
    pub fn stand_at(&mut self, at: Instant) {
        self.clock = self.clock.max(at);
    }

    /// The virtual time.
    pub fn clock(&self) -> Instant {
        self.clock
    }

    /// How many events there have been.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many actions were done.
    pub fn actions(&self) -> u32 {
        self.actions
    }

    /// The hash of everything that happened.
    pub fn hash(&self) -> u64 {
        self.digest.value()
    }

    /// What is checked, and how it stands.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The last event.
    pub fn last(&self) -> &Last {
        &self.last
    }

    /// What the world was made from.
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// True while a broker serves requests.
    pub fn is_serving(&self, name: &str) -> bool {
        let process = self.pid(name).ok().map(|pid| self.process(pid)).filter(|it| it.power == Power::Up);
        process.and_then(Process::broker).is_some_and(|broker| broker.serving)
    }

    /// True while a process runs.
    pub fn is_up(&self, name: &str) -> bool {
        self.pid(name).is_ok_and(|pid| self.process(pid).power.is_up())
    }

    /// How the brokers are, in the order of the setup. It is asked after each event, so nobody is looked up by name.
    pub fn powers(&self) -> impl Iterator<Item = Power> {
        self.processes.iter().take(self.setup.brokers.len()).map(|it| it.power)
    }

    /// A broker's `node.id`; -1 if there is no such broker.
    pub fn broker_id(&self, name: &str) -> NodeId {
        self.pid(name).map_or(NodeId(-1), |pid| self.node_id(pid))
    }

    /// Bytes on all disks.
    pub fn disk_bytes(&self) -> u64 {
        self.processes.iter().filter_map(Process::broker).map(|it| it.store.disk().used()).sum()
    }

    /// How many records a consumer was given.
    pub fn consumed(&self, name: &str) -> u64 {
        self.pid(name).ok().and_then(|pid| self.process(pid).actor()).map_or(0, |actor| actor.consumed_total)
    }

    /// How many records all consumers were given.
    pub fn consumed_by_all(&self) -> u64 {
        self.processes.iter().filter_map(|it| it.actor()).map(|actor| actor.consumed_total).sum()
    }

    /// How many answers a wire client was given.
    pub fn answers(&self, name: &str) -> u64 {
        self.pid(name).ok().and_then(|pid| self.process(pid).wire()).map_or(0, |wire| wire.answers.len() as u64)
    }

    /// A process's name.
    pub fn name(&self, pid: Pid) -> &Str {
        &self.process(pid).name
    }

    /// Does something to the world, now. Nothing has changed if it cannot be done.
    pub fn act(&mut self, action: &Action) -> Result<(), ActionError> {
        self.doing = Because::Action(self.actions);
        self.try_act(action)?;
        self.actions += 1;
        if !calm::is_of_records(action) {
            self.calm.begin(self.clock);
        }
        self.digest.bytes(action.to_string().as_bytes());
        self.digest.word(self.clock.0);
        Ok(())
    }

    fn try_act(&mut self, action: &Action) -> Result<(), ActionError> {
        match action {
            Action::Producer(name, settings) | Action::Consumer(name, settings) => self.add_client(name, settings),
            Action::Wire(name, broker) => self.add_wire(name, broker),
            Action::CreateTopic(it) => self.create_topic(it),
            Action::AlterTopic(name, settings) => self.alter_topic(name, settings),
            Action::AlterBroker(name, settings) => self.alter_broker(name, settings),
            Action::AddPartitions(name, count) => self.grow_topic(name, *count),
            Action::DeleteTopic(name) => self.delete_topic(name),
            Action::DeleteRecords(partition, before) => self.delete_records(partition, *before),
            Action::Produce(record) => self.produce(record),
            Action::Load(load) => self.begin_load(load),
            Action::Unload(name) => self.end_load(name),
            Action::Assign(name, partitions) => self.operate(name, client::Operation::Assign(partitions.clone())),
            Action::Seek(name, partition, to) => self.seek(name, partition, *to),
            Action::Poll(name, timeout_ms) => self.operate(name, client::Operation::Poll { timeout_ms: *timeout_ms }),
            Action::Follow(name, topic) => self.follow(name, topic),
            Action::Subscribe(name, topics) => self.operate(name, client::Operation::Subscribe(topics.clone())),
            Action::Slow(name, us) => self.slow(name, *us),
            Action::Commit(name, what) => {
                let offsets = what.as_ref().map(|(partition, offset)| {
                    vec![(partition.clone(), client::Position { offset: *offset, offset_epoch: None })]
                });
                self.operate(name, client::Operation::Commit(offsets))
            }
            Action::Close(name) => self.operate(name, client::Operation::Close { timeout_ms: 30_000 }),
            Action::InitProducerId(name) => self.wire_init_producer_id(name),
            Action::Elect(name, election, partition) => self.wire_elect(name, *election, partition),
            Action::Reassign(name, partition, replicas) => self.wire_reassign(name, partition, replicas),
            Action::MoveReplica(name, partition, dir) => self.wire_move(name, partition, dir),
            Action::AddVoter(name, node) => self.wire_add_voter(name, node),
            Action::RemoveVoter(name, node) => self.wire_remove_voter(name, node),
            Action::WireProduce(it) => self.wire_produce(it),
            Action::WireAsk(it) => self.wire_ask(it),
            Action::Start(name) => self.start(name),
            Action::Kill(name) => self.kill(name),
            Action::PowerCut(name) => self.power_cut(name, false),
            Action::PowerCutTorn(name) => self.power_cut(name, true),
            Action::Stop(name) => self.stop(name),
            Action::Pause(name) => self.pause(name),
            Action::Resume(name) => self.resume(name),
            Action::Wipe(name) => self.wipe(name),
            Action::Cut(a, b) => self.cut(a, b),
            Action::CutOneWay(from, to) => self.cut_one_way(from, to),
            Action::Heal(a, b) => self.heal(a, b),
            Action::Delay(a, b, us) => self.delay(a, b, *us),
            Action::SlowDisk(name, us) => self.slow_disk(name, *us),
            Action::DiskFull(name) => self.disk_full(name),
            Action::DiskError(name, fault) => self.disk_error(name, *fault),
            Action::LoseDirectory(name, dir) => self.lose_directory(name, *dir),
            Action::DiskHeal(name) => self.disk_heal(name),
            Action::BitRot(name, partition, at) => self.bit_rot(name, partition, *at),
            Action::SkewClock(name, ms) => self.skew_clock(name, *ms),
            Action::DropResponse(api, name) => {
                let pid = self.pid(name)?;
                self.drops.push((*api, pid));
                Ok(())
            }
            Action::CorruptRequest(api, name) => {
                let pid = self.client_pid(name)?;
                self.corruptions.push((*api, pid));
                Ok(())
            }
            Action::DropMessage(id) => self.drop_message(*id),
            Action::DeliverMessage(id) => self.deliver_message(*id),
        }
    }

    fn run(&mut self, due: Due) {
        (self.doing, self.because) = (Because::Itself, Because::Itself);
        if let Some(pid) = self.target(due) {
            let process = &mut self.processes[usize::from(pid.0)];
            if process.paused {
                return process.held.push(due);
            }
        }
        match due {
            Due::Wake(pid, incarnation) => self.wake(pid, incarnation),
            Due::Open(link) => self.open_at_node(link),
            Due::Opened(link) => self.opened_at_client(link),
            Due::Up(link) => self.arrive_at_node(link),
            Due::Down(link) => self.arrive_at_client(link),
            Due::Send(link) => self.send_answers(link),
            Due::Disk(pid, incarnation, op) => self.disk_done(pid, incarnation, op),
            Due::Do(pid, incarnation) => self.wish(pid, incarnation),
            Due::Stop(pid, incarnation) => {
                if self.process(pid).incarnation == incarnation {
                    self.tell_node(pid, node::Input::Stop);
                }
            }
            Due::Load(pid, number) => self.load_tick(pid, number),
            Due::Poll(pid, number) => self.poll_tick(pid, number),
            Due::Line(pid, incarnation, line) => self.line_turn(pid, incarnation, line),
            Due::CallFailed(pid, incarnation) => self.call_failed(pid, incarnation),
        }
    }

    /// Who must be running for something to happen.
    fn target(&self, due: Due) -> Option<Pid> {
        match due {
            // The disk goes on while the process stands still; what it says waits.
            Due::Wake(pid, _)
            | Due::Disk(pid, ..)
            | Due::Do(pid, _)
            | Due::Stop(pid, _)
            | Due::Load(pid, _)
            | Due::Poll(pid, _)
            | Due::Line(pid, ..)
            | Due::CallFailed(pid, _) => Some(pid),
            Due::Open(link) | Due::Up(link) | Due::Send(link) => self.links.get(&link).map(|it| it.node),
            Due::Opened(link) | Due::Down(link) => self.links.get(&link).map(|it| it.client),
        }
    }

    fn wake(&mut self, pid: Pid, incarnation: u32) {
        let now = self.clock;
        let process = self.process_mut(pid);
        // Only the earliest that was asked for counts: the later ones were asked for before it, and would each ask for another.
        let is_early = process.wake.is_none_or(|it| it.comes > now);
        if process.incarnation != incarnation || !process.power.is_up() || is_early {
            return;
        }
        process.wake = None;
        let due = match &process.kind {
            Kind::Broker(broker) => broker.node.as_ref().and_then(|node| node.wake_at()).map(|(at, _)| at),
            Kind::Client(actor) => actor.client.as_ref().and_then(|client| client.wake_at()),
            Kind::Wire(_) => None,
        };
        let Some(at) = due.map(|at| process.global(at)) else { return };
        if at > self.clock {
            return self.rearm(pid, Some(at));
        }
        match &self.process(pid).kind {
            Kind::Broker(_) => self.tell_node(pid, node::Input::Wake),
            Kind::Client(_) => self.tell_client(pid, client::Input::Wake),
            Kind::Wire(_) => {}
        }
    }

    /// Queues a wake if none is due early enough. It comes late where hosts are, but who has something to do at once does not
    /// sleep before.
    pub(crate) fn rearm(&mut self, pid: Pid, at: Option<Instant>) {
        let Some(at) = at else { return };
        let due = at.max(self.clock);
        let is_now = due == self.clock;
        let process = &mut self.processes[usize::from(pid.0)];
        if process.wake.is_none_or(|queued| due < queued.due || (is_now && due < queued.comes)) {
            let (low, high) = self.setup.timers_us;
            let late = if is_now || high == 0 { 0 } else { process.timers.within(low, high) };
            let comes = Instant(due.0.saturating_add(late));
            process.wake = Some(Wake { due, comes });
            self.queue.push(comes, Due::Wake(pid, process.incarnation));
        }
    }

    pub(crate) fn process(&self, pid: Pid) -> &Process {
        &self.processes[usize::from(pid.0)]
    }

    pub(crate) fn process_mut(&mut self, pid: Pid) -> &mut Process {
        &mut self.processes[usize::from(pid.0)]
    }

    /// Who has a name.
    pub fn pid(&self, name: &str) -> Result<Pid, ActionError> {
        self.names.get(name).copied().ok_or_else(|| {
            let names: Vec<&str> = self.names.keys().map(|it| &**it).filter(|it| *it != ADMIN).collect();
            ActionError(format!("there is no process {name}; there are {}", names.join(", ")))
        })
    }

    pub(crate) fn broker_pid(&self, name: &str) -> Result<Pid, ActionError> {
        let pid = self.pid(name)?;
        self.process(pid).broker().map(|_| pid).ok_or_else(|| ActionError(format!("{name} is not a broker")))
    }

    pub(crate) fn client_pid(&self, name: &str) -> Result<Pid, ActionError> {
        let pid = self.pid(name)?;
        match self.process(pid).kind {
            Kind::Broker(_) => Err(ActionError(format!("{name} is a broker, not a client"))),
            Kind::Client(_) | Kind::Wire(_) => Ok(pid),
        }
    }

    pub(crate) fn add_process(&mut self, name: &Str, kind: impl FnOnce(Pid) -> Kind) -> Result<Pid, ActionError> {
        if self.names.contains_key(name) {
            return Err(ActionError(format!("there is a process {name} already")));
        }
        let number = u16::try_from(self.processes.len()).ok().filter(|it| *it < u16::MAX);
        let pid = Pid(number.ok_or_else(|| ActionError("a world holds at most 65,535 processes".into()))?);
        let seed = self.setup.seed;
        self.processes.push(Process {
            name: name.clone(),
            power: Power::Down,
            paused: false,
            held: Vec::new(),
            booted: self.clock,
            incarnation: 0,
            wall_offset_ms: 0,
            wake: None,
            timers: Random::stream(seed, Purpose::Timers, pid.0),
            network: Random::stream(seed, Purpose::Network, pid.0),
            boots: Random::stream(seed, Purpose::Boot, pid.0),
            kind: kind(pid),
        });
        self.names.insert(name.clone(), pid);
        Ok(pid)
    }

    /// The pair, the lower one first.
    pub(crate) fn pair(a: Pid, b: Pid) -> (Pid, Pid) {
        (a.min(b), a.max(b))
    }
}

/// Sends a request through its bytes, as some seeds do with every message. What comes out must give the same bytes again.
pub(crate) fn through_bytes(
    request: &mut Request,
    digest: &mut Digest,
    damage: impl FnOnce(&mut Request),
) -> Result<Request, String> {
    let encode = |request: &mut Request| {
        let frame = protocol::frame::encode_request(request).map_err(|error| error.to_string())?;
        frame.bytes().ok_or_else(|| "a request with regions".to_owned())
    };
    let bytes = encode(request)?;
    digest.bytes(&bytes);
    let mut decoded = protocol::frame::decode_request(bytes.slice(4..)).map_err(|error| error.to_string())?;
    damage(&mut decoded);
    if encode(&mut decoded)? != bytes {
        return Err("what was decoded is not what was encoded".to_owned());
    }
    Ok(decoded)
}

/// Sends a response through its bytes.
pub(crate) fn response_through_bytes(
    response: &mut Response,
    api: ApiKey,
    digest: &mut Digest,
) -> Result<Response, String> {
    let frame = protocol::frame::encode_response(response).map_err(|error| error.to_string())?;
    let bytes = frame.bytes().ok_or("a response whose regions were not resolved")?;
    digest.bytes(&bytes);
    let decoded = protocol::frame::decode_response(api, response.version, bytes.slice(4..));
    let mut decoded = decoded.map_err(|error| error.to_string())?;
    let again = protocol::frame::encode_response(&mut decoded).map_err(|error| error.to_string())?;
    if again.bytes().as_ref() != Some(&bytes) {
        return Err("what was decoded is not what was encoded".to_owned());
    }
    Ok(decoded)
}
