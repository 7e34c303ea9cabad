//! Several quorums over disks in memory and a network that delays, reorders, drops and breaks, all of it from a seed, with
//! the invariants of KRaft checked after every step.

mod faults;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use protocol::frame::{decode_request, decode_response, encode_request, encode_response};
use protocol::messages::{
    AddRaftVoterRequest, ApiVersionsResponse, FeatureLevelRecord, MetadataRecord, RemoveRaftVoterRequest,
    add_raft_voter_request, api_versions_response,
};
use protocol::records::Records;
use protocol::{
    Instant, LeaderEpoch, NodeId, Now, Offset, Random, Request, RequestBody, Response, ResponseBody, Uuid, WallMs,
};
use quorum::{
    Call, Endpoint, Majority, NoAnswer, Output, Quorum, QuorumSetup, RoleKind, Ticket, Voter, VoterSet, VoterSource,
    voters_checkpoint,
};
use storage::{Cell, DirId, Disk, Done, LogId, MemoryDisk, Store, StoreOp};

/// What is wrong with the world that the checks must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// `quorum-state` is said to be on disk, and is not.
    ForgottenVotes,
    /// A sync is said to be done, and is not.
    LyingFlush,
    /// Every vote is granted, on the wire.
    GenerousVoters,
    /// Answers to fetches call everything committed.
    HastyWatermark,
    /// Followers are never told to cut what they have too much of.
    NoDivergence,
    /// A node counts as the same that was started anew: its high watermark begins at the snapshot again.
    Rebirth,
    /// Who is to join was formatted as a quorum of its own.
    FormattedAlone,
    /// The leader believes that a majority has what one of the voters that count has: on the wire, every fetch of a voter
    /// names the leader's end.
    BoastfulVoters,
}

/// What is carried out in order (the contract of [`StoreOp`]); between lanes there is no order but chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Log,
    Cell(Cell),
    /// An operation that any other may overtake.
    Any(Ticket),
}

fn lane_of(ticket: Ticket, op: &StoreOp) -> Lane {
    match op {
        // It is on disk before the log's next batch is.
        StoreOp::Put(Cell::LeaderEpochs(_), _) => Lane::Log,
        StoreOp::Put(cell, _) => Lane::Cell(*cell),
        StoreOp::Find(..) | StoreOp::Load(_) => Lane::Any(ticket),
        _ => Lane::Log,
    }
}

/// Effects of one node wait here, in order within a lane.
struct Member {
    id: NodeId,
    quorum: Option<Quorum>,
    store: Option<Store<MemoryDisk>>,
    disk: Option<MemoryDisk>,
    lanes: BTreeMap<Lane, VecDeque<(Ticket, StoreOp)>>,
    busy: BTreeSet<Lane>,
    life: u64,
    is_voter: bool,
    /// How often its disk was lost: each time its directory becomes another.
    losses: u8,
    /// What the state machine made of the committed records: the newest level of each name.
    state: BTreeMap<String, i16>,
    high_watermark: Offset,
    was_leader_in: Option<LeaderEpoch>,
    failed: Option<String>,
}

#[derive(Debug)]
enum Event {
    Stored { node: usize, life: u64, lane: Lane },
    Request { from: usize, life: u64, to: usize, token: u64, body: RequestBody },
    Answer { to: usize, life: u64, token: u64, result: Result<ResponseBody, NoAnswer> },
    Restart { node: usize },
    Fault,
    Load,
}

struct Asker {
    from: usize,
    life: u64,
    token: u64,
    version: i16,
}

pub(crate) struct World {
    pub(crate) now: u64,
    random: Random,
    members: Vec<Member>,
    queue: BTreeMap<(u64, u64), Event>,
    next: u64,
    next_token: u64,
    askers: BTreeMap<(usize, u64), Asker>,
    changes: BTreeSet<(usize, u64)>,
    /// No message goes from the one to the other.
    cut: Vec<(usize, usize)>,
    bug: Bug,
    pub(crate) calm: bool,
    /// The log names the voters (KIP-853), and they change.
    is_dynamic: bool,
    /// Who led which epoch.
    leaders: BTreeMap<LeaderEpoch, NodeId>,
    /// The state after each committed offset, as the first to commit it saw it.
    states: BTreeMap<Offset, BTreeMap<String, i16>>,
    pub(crate) appended: u64,
    /// What nodes have told of the majority.
    pub(crate) majorities: Vec<(usize, Majority)>,
    snapshot_every: Option<u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) stats: Stats,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) events: u64,
    pub(crate) elections: u64,
    pub(crate) faults: u64,
    pub(crate) restored: u64,
    pub(crate) cut_tails: u64,
    /// Changes of the voters that were asked for, and that were granted.
    pub(crate) changes: u64,
    pub(crate) granted: u64,
    pub(crate) wiped: u64,
}

const VERSIONS: fn(&RequestBody) -> i16 = |body| *body.api_key().versions().end();

impl World {
    pub(crate) fn new(seed: u64, voters: usize, observers: usize, bug: Bug) -> World {
        World::of(seed, voters, observers, bug, false)
    }

    /// A quorum whose log names the voters; the observers are controllers that may become some.
    pub(crate) fn dynamic(seed: u64, voters: usize, observers: usize, bug: Bug) -> World {
        World::of(seed, voters, observers, bug, true)
    }

    fn of(seed: u64, voters: usize, observers: usize, bug: Bug, is_dynamic: bool) -> World {
        let mut world = World {
            now: 1,
            random: Random::new(seed),
            members: Vec::new(),
            queue: BTreeMap::new(),
            next: 0,
            next_token: 0,
            askers: BTreeMap::new(),
            changes: BTreeSet::new(),
            cut: Vec::new(),
            bug,
            calm: false,
            is_dynamic,
            leaders: BTreeMap::new(),
            states: BTreeMap::new(),
            appended: 0,
            majorities: Vec::new(),
            snapshot_every: None,
            violations: Vec::new(),
            stats: Stats::default(),
        };
        for index in 0..voters + observers {
            world.members.push(Member {
                id: NodeId(index as i32 + 1),
                quorum: None,
                store: None,
                disk: Some(MemoryDisk::new()),
                lanes: BTreeMap::new(),
                busy: BTreeSet::new(),
                life: 0,
                is_voter: index < voters,
                losses: 0,
                state: BTreeMap::new(),
                high_watermark: Offset(0),
                was_leader_in: None,
                failed: None,
            });
        }
        if is_dynamic {
            let first: Vec<Voter> = (0..voters).map(|node| world.voter(node)).collect();
            for node in 0..voters {
                world.format(node, first.iter().cloned());
            }
            for node in voters..voters + observers {
                if bug == Bug::FormattedAlone {
                    let alone = world.voter(node);
                    world.format(node, [alone]);
                }
            }
        }
        for node in 0..voters + observers {
            world.start(node);
        }
        world
    }

    fn directory(&self, node: usize) -> Uuid {
        let member = &self.members[node];
        let mut bytes = [member.id.0 as u8; 16];
        bytes[15] = member.losses;
        Uuid(bytes)
    }

    fn voter(&self, node: usize) -> Voter {
        let at = endpoint(self.members[node].id);
        Voter {
            id: at.node,
            directory_id: self.directory(node),
            endpoints: vec![("CONTROLLER".into(), at.host, at.port)],
            kraft_versions: (0, 1),
        }
    }

    /// As `storage format --initial-controllers` does.
    fn format(&mut self, node: usize, voters: impl IntoIterator<Item = Voter>) {
        let bytes = voters_checkpoint(self.now().wall, &VoterSet::of(voters));
        let Some(disk) = &mut self.members[node].disk else { return };
        let folder = "__cluster_metadata-0";
        disk.create_dir(DirId(0), folder).expect("created");
        let path = format!("{folder}/00000000000000000000-0000000000.checkpoint");
        let file = disk.open(DirId(0), &path, true).expect("created");
        disk.write_at(&file, 0, &[bytes]).expect("written");
        disk.sync(&file).expect("synced");
        disk.sync_dir(DirId(0), folder).expect("synced");
        disk.sync_dir(DirId(0), "").expect("synced");
    }

    pub(crate) fn with_snapshots(mut self, every: u64) -> World {
        self.snapshot_every = Some(every);
        self
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: Instant(self.now), wall: WallMs(1_700_000_000_000 + self.now as i64 / 1_000) }
    }

    fn push(&mut self, after: u64, event: Event) {
        self.next += 1;
        self.queue.insert((self.now + after, self.next), event);
    }

    fn start(&mut self, node: usize) {
        let voters = match self.is_dynamic {
            false => {
                let voters = self.members.iter().filter(|it| it.is_voter);
                VoterSource::Static(voters.map(|it| endpoint(it.id)).collect())
            }
            true => {
                let servers = self.members.iter().map(|it| endpoint(it.id));
                VoterSource::Dynamic(servers.map(|it| (it.host, it.port)).collect())
            }
        };
        let (directory_id, is_dynamic) = (self.directory(node), self.is_dynamic);
        // Who was no voter waits to be made one by hand, in half of the worlds.
        let auto_join = is_dynamic && (self.members[node].is_voter || seed_of(&self.random).is_multiple_of(2));
        let seed = self.random.next_u64();
        let now = self.now();
        let member = &mut self.members[node];
        let Some(disk) = member.disk.take() else { return };
        let at = endpoint(member.id);
        let quorum = Quorum::new(QuorumSetup {
            cluster_id: "cluster".into(),
            directory_id,
            endpoints: vec![("CONTROLLER".into(), at.host, at.port)],
            voters,
            is_controller: member.is_voter || is_dynamic,
            auto_join,
            seed,
            segment_bytes: 2_000,
            fetch_max_bytes: 1_500,
            fetch_snapshot_max_bytes: 400,
            ..QuorumSetup::alone(member.id, LogId(0), DirId(0))
        });
        member.quorum = Some(quorum);
        member.store = Some(Store::new(disk));
        member.life += 1;
        member.state.clear();
        if self.bug != Bug::Rebirth {
            member.high_watermark = Offset(0);
        }
        self.act(node, |quorum, out| quorum.begin(now, out));
    }

    /// Ends a process: its memory goes, and with the power any part of what is not synced.
    pub(crate) fn stop(&mut self, node: usize, power: bool) {
        let member = &mut self.members[node];
        let Some(store) = member.store.take() else { return };
        let mut disk = store.into_disk();
        if power && self.bug == Bug::LyingFlush {
            // All that the lie is about is gone.
            disk.power_cut();
        } else if power {
            // Any part of what was not synced may be there. Which does not change the rest of the world's fate.
            let mut random = Random::new(seed_of(&self.random));
            disk.power_cut_torn(&mut |bound| random.below(bound));
        } else {
            disk.crash();
        }
        member.disk = Some(disk);
        member.quorum = None;
        member.lanes.clear();
        member.busy.clear();
        member.life += 1;
        // Those who wait for it notice.
        let waiting: Vec<(usize, u64)> = self.askers.keys().filter(|(at, _)| *at == node).copied().collect();
        for key in waiting {
            if let Some(asker) = self.askers.remove(&key) {
                let delay = self.random.below(2_000);
                self.push(
                    delay,
                    Event::Answer {
                        to: asker.from,
                        life: asker.life,
                        token: asker.token,
                        result: Err(NoAnswer::Broken),
                    },
                );
            }
        }
    }

    /// Ends a process whose disk is lost with it.
    pub(crate) fn wipe(&mut self, node: usize) {
        self.stop(node, true);
        self.stats.wiped += 1;
        let member = &mut self.members[node];
        member.disk = Some(MemoryDisk::new());
        // The directory goes with it where the log knows voters by their directories.
        member.losses += u8::from(self.is_dynamic);
    }

    /// Ends a voter whose disk is lost, and formats another one as that was: the same voter has an empty log.
    pub(crate) fn format_again(&mut self, node: usize) {
        self.stop(node, true);
        self.members[node].disk = Some(MemoryDisk::new());
        let voters = (0..self.members.len()).filter(|it| self.members[*it].is_voter);
        let first: Vec<Voter> = voters.map(|it| self.voter(it)).collect();
        self.format(node, first);
    }

    pub(crate) fn restart(&mut self, node: usize) {
        if self.members[node].quorum.is_none() {
            self.start(node);
        }
    }

    pub(crate) fn quorum(&self, node: usize) -> Option<&Quorum> {
        self.members[node].quorum.as_ref()
    }

    pub(crate) fn leader(&self) -> Option<usize> {
        let leaders = (0..self.members.len()).filter(|node| self.quorum(*node).is_some_and(Quorum::is_leader));
        leaders.max_by_key(|node| self.quorum(*node).map(Quorum::leader_epoch))
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cut.push((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(crate) fn act<T>(&mut self, node: usize, act: impl FnOnce(&mut Quorum, &mut Output) -> T) -> Option<T> {
        let mut out = Output::default();
        let member = &mut self.members[node];
        let quorum = member.quorum.as_mut()?;
        let answer = act(quorum, &mut out);
        for (ticket, op) in out.store {
            member.lanes.entry(lane_of(ticket, &op)).or_default().push_back((ticket, op));
        }
        if let Some(error) = out.failed {
            member.failed = Some(error.to_string());
        }
        if out.is_reset {
            member.state.clear();
            self.stats.restored += 1;
        }
        self.majorities.extend(out.majority.map(|it| (node, it)));
        let committed = out.committed;
        self.apply(node, out.is_reset, committed);
        self.work(node);
        for call in out.calls {
            self.send(node, call);
        }
        for (token, body) in out.replies {
            self.reply(node, token, body);
        }
        self.check(node);
        Some(answer)
    }

    /// The state machine: it must be the same everywhere after the same offset.
    fn apply(&mut self, node: usize, is_reset: bool, committed: Vec<(Offset, MetadataRecord)>) {
        let mut rest = committed.into_iter().peekable();
        while let Some((offset, record)) = rest.next() {
            if let MetadataRecord::FeatureLevel(it) = record {
                self.members[node].state.insert(it.name.to_string(), it.feature_level);
            }
            // A snapshot's records all stand at its last offset.
            if rest.peek().is_some_and(|(next, _)| *next == offset) {
                continue;
            }
            let state = self.members[node].state.clone();
            let known = self.states.range(..=offset).next_back();
            match known {
                Some((at, known)) if *at == offset || is_reset => {
                    if *known != state {
                        let what = format!("state machine safety: node {node} differs after offset {offset}");
                        self.violations.push(what);
                    }
                }
                _ => {
                    self.states.insert(offset, state);
                }
            }
        }
    }

    fn check(&mut self, node: usize) {
        let member = &mut self.members[node];
        let Some(quorum) = &member.quorum else { return };
        let (id, mark, epoch) = (member.id, quorum.high_watermark(), quorum.leader_epoch());
        if mark < member.high_watermark {
            let before = member.high_watermark;
            self.violations.push(format!("high watermark monotone: node {id} from {before} to {mark}"));
        }
        member.high_watermark = mark;
        if quorum.role() != RoleKind::Leader || member.was_leader_in == Some(epoch) {
            return;
        }
        member.was_leader_in = Some(epoch);
        self.stats.elections += 1;
        let end = quorum.log_end();
        if let Some(other) = self.leaders.insert(epoch, id).filter(|other| *other != id) {
            self.violations.push(format!("election safety: {other} and {id} lead epoch {epoch}"));
        }
        if let Some((last, _)) = self.states.last_key_value()
            && end <= *last
        {
            self.violations.push(format!("leader completeness: {id} ends at {end}, and {last} is committed"));
        }
    }

    /// Logs that end an epoch at the same offset are the same before it.
    pub(crate) fn check_logs(&mut self) {
        let logs: Vec<(NodeId, BatchMap)> =
            self.members.iter().filter_map(|it| Some((it.id, batches(it.store.as_ref()?.disk())))).collect();
        for (index, (a, ours)) in logs.iter().enumerate() {
            for (b, theirs) in &logs[index + 1..] {
                // Below the last batch that both have in the same epoch, they agree.
                let same =
                    ours.iter().rev().find(|(base, (epoch, _))| theirs.get(base).is_some_and(|it| it.0 == *epoch));
                let Some((last, _)) = same else { continue };
                for (base, (_, bytes)) in ours.range(..=last) {
                    let other = theirs.get(base).map(|it| &it.1);
                    let is_kept = theirs.keys().next().is_some_and(|first| first <= base);
                    if is_kept && other != Some(bytes) {
                        self.violations.push(format!("log matching: {a} and {b} differ at offset {base}"));
                        break;
                    }
                }
            }
        }
    }

    /// Begins the next operation of every lane that has one and is idle.
    fn work(&mut self, node: usize) {
        let member = &mut self.members[node];
        let due: Vec<Lane> = member.lanes.keys().filter(|lane| !member.busy.contains(lane)).copied().collect();
        member.busy.extend(due.iter().copied());
        let life = member.life;
        for lane in due {
            let most = if self.random.below(20) == 0 { 8_000 } else { 400 };
            let delay = 20 + self.random.below(most);
            self.push(delay, Event::Stored { node, life, lane });
        }
    }

    fn stored(&mut self, node: usize, life: u64, lane: Lane) {
        let now = self.now();
        let member = &mut self.members[node];
        if member.life != life {
            return;
        }
        member.busy.remove(&lane);
        let Some(ops) = member.lanes.get_mut(&lane) else { return };
        let next = ops.pop_front();
        if ops.is_empty() {
            member.lanes.remove(&lane);
        }
        let Some((ticket, op)) = next else { return };
        let store = member.store.as_mut().expect("it runs");
        self.stats.cut_tails += u64::from(matches!(op, StoreOp::Truncate(..)));
        let result = match (&op, self.bug) {
            (StoreOp::Put(Cell::QuorumState(_), _), Bug::ForgottenVotes) => Ok(Done::Put),
            (StoreOp::Flush(_), Bug::LyingFlush) => Ok(Done::Flushed),
            _ => store.execute(op),
        };
        self.act(node, |quorum, out| quorum.stored(now, ticket, result, out));
        self.work(node);
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    fn delay(&mut self) -> u64 {
        if self.random.below(30) == 0 { self.random.below(60_000) } else { 100 + self.random.below(1_500) }
    }

    fn send(&mut self, from: usize, call: Call) {
        // A bootstrap server has no number.
        let host = call.to.host.strip_prefix("node-").and_then(|it| it.parse::<usize>().ok());
        let to = host.expect("a known node") - 1;
        let life = self.members[from].life;
        let timeout = call.timeout_ms as u64 * 1_000;
        // Everything must fit the wire.
        let mut request =
            Request { version: VERSIONS(&call.body), correlation_id: 7, client_id: None, body: call.body.clone() };
        let bytes = encode_request(&mut request).expect("fits its version").bytes().expect("no regions").slice(4..);
        let body = decode_request(bytes).expect("decodes").body;
        let answer = |result| Event::Answer { to: from, life, token: call.token, result };
        let is_lost = self.is_cut(from, to) || (!self.calm && self.random.below(40) == 0);
        if is_lost {
            return self.push(timeout, answer(Err(NoAnswer::Silent)));
        }
        let delay = self.delay();
        self.push(delay, Event::Request { from, life, to, token: call.token, body });
        if !self.calm && self.random.below(60) == 0 {
            // The connection breaks; whether the request arrives is another matter.
            let delay = self.delay();
            self.push(delay, answer(Err(NoAnswer::Broken)));
        } else {
            self.push(timeout, answer(Err(NoAnswer::Silent)));
        }
    }

    fn arrived(&mut self, from: usize, life: u64, to: usize, token: u64, body: RequestBody) {
        let now = self.now();
        if self.members[to].quorum.is_none() {
            let delay = self.delay();
            return self.push(delay, Event::Answer { to: from, life, token, result: Err(NoAnswer::Broken) });
        }
        let version = VERSIONS(&body);
        let body = self.boast(from, to, body);
        if matches!(body, RequestBody::ApiVersions(_)) {
            let result = Ok(ResponseBody::ApiVersions(versions()));
            let delay = self.delay();
            return self.push(delay, Event::Answer { to: from, life, token, result });
        }
        let own = self.next_token;
        self.next_token += 1;
        self.askers.insert((to, own), Asker { from, life, token, version });
        self.act(to, |quorum, out| quorum.request(now, own, version, body, out));
    }

    fn reply(&mut self, node: usize, token: u64, body: ResponseBody) {
        if self.changes.remove(&(node, token)) {
            let error = match &body {
                ResponseBody::AddRaftVoter(it) => it.error_code,
                ResponseBody::RemoveRaftVoter(it) => it.error_code,
                other => panic!("{other:?} answers no change"),
            };
            self.stats.granted += u64::from(error == 0);
        }
        let Some(asker) = self.askers.remove(&(node, token)) else { return };
        let Some(body) = self.resolve(node, body) else {
            return self.push(
                10,
                Event::Answer { to: asker.from, life: asker.life, token: asker.token, result: Err(NoAnswer::Broken) },
            );
        };
        let api = body.api_key();
        let mut response = Response { version: asker.version, correlation_id: 7, body };
        let bytes = encode_response(&mut response).expect("fits its version").bytes().expect("resolved").slice(4..);
        let mut body = decode_response(api, asker.version, bytes).expect("decodes").body;
        self.tamper(&mut body);
        if self.is_cut(node, asker.from) || (!self.calm && self.random.below(40) == 0) {
            return;
        }
        let delay = self.delay();
        self.push(delay, Event::Answer { to: asker.from, life: asker.life, token: asker.token, result: Ok(body) });
    }

    /// Reads the regions of an answer from the answering node's files.
    fn resolve(&mut self, node: usize, mut body: ResponseBody) -> Option<ResponseBody> {
        let store = self.members[node].store.as_mut()?;
        if let ResponseBody::Fetch(fetch) = &mut body {
            for partition in fetch.responses.iter_mut().flat_map(|it| &mut it.partitions) {
                let Some(Records::Regions(regions)) = &partition.records else { continue };
                let mut bytes = Vec::new();
                for region in regions {
                    match store.execute(StoreOp::Load(*region)) {
                        Ok(Done::Loaded(piece)) => bytes.extend_from_slice(&piece),
                        _ => return None,
                    }
                }
                partition.records = Some(Records::Bytes(Bytes::from(bytes)));
            }
        }
        Some(body)
    }

    /// One thing happens. False when nothing ever will.
    pub(crate) fn step(&mut self) -> bool {
        let wakes = self.members.iter().enumerate().filter_map(|(node, member)| {
            member.quorum.as_ref().and_then(Quorum::wake_at).map(|at| (at.0.max(self.now), node))
        });
        let wake = wakes.min();
        let event = self.queue.keys().next().map(|(at, _)| *at);
        self.stats.events += 1;
        match (wake, event) {
            (Some((at, node)), event) if event.is_none_or(|event| at <= event) => {
                self.now = at;
                let now = self.now();
                self.act(node, |quorum, out| quorum.wake(now, out));
            }
            (_, Some(at)) => {
                self.now = at;
                let Some((_, event)) = self.queue.pop_first() else { return false };
                self.happen(event);
            }
            _ => return false,
        }
        true
    }

    fn happen(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Stored { node, life, lane } => self.stored(node, life, lane),
            Event::Request { from, life, to, token, body } => self.arrived(from, life, to, token, body),
            Event::Answer { to, life, token, result } => {
                if self.members[to].life == life {
                    self.act(to, |quorum, out| quorum.answered(now, token, result, out));
                }
            }
            Event::Restart { node } => self.restart(node),
            Event::Fault => self.fault(),
            Event::Load => self.load(),
        }
    }

    pub(crate) fn run_until(&mut self, at: u64) {
        while self.now < at && self.step() {}
    }

    /// Faults and appends until then, at random.
    pub(crate) fn trouble_until(&mut self, at: u64) {
        self.push(100_000, Event::Fault);
        self.push(50_000, Event::Load);
        self.run_until(at);
        self.queue.retain(|_, event| !matches!(event, Event::Fault | Event::Load));
    }

    /// Whoever believes it leads appends, in one batch, and sometimes writes a snapshot.
    pub(crate) fn load(&mut self) {
        let now = self.now();
        for node in 0..self.members.len() {
            if !self.quorum(node).is_some_and(Quorum::is_leader) {
                continue;
            }
            self.appended += 1;
            let level = (self.appended % 30_000) as i16;
            let name = format!("feature-{}", self.appended % 40);
            let record: MetadataRecord = FeatureLevelRecord { name: name.into(), feature_level: level }.into();
            self.act(node, |quorum, out| quorum.append(now, vec![record], out));
        }
        if let Some(every) = self.snapshot_every {
            for node in 0..self.members.len() {
                self.snapshot(node, every);
            }
        }
        let next = 5_000 + self.random.below(60_000);
        self.push(next, Event::Load);
    }

    fn snapshot(&mut self, node: usize, every: u64) {
        let now = self.now();
        let Some(quorum) = self.quorum(node) else { return };
        if quorum.bytes_since_snapshot() < every || !quorum.can_snapshot() {
            return;
        }
        let records: Vec<MetadataRecord> = self.members[node]
            .state
            .iter()
            .map(|(name, level)| FeatureLevelRecord { name: name.as_str().into(), feature_level: *level }.into())
            .collect();
        self.act(node, |quorum, out| write_snapshot(quorum, now, records, out));
        self.act(node, |quorum, out| quorum.retain(now, (1_000, -1), out));
    }

    /// Faults are over: everything converges.
    pub(crate) fn settle(&mut self) {
        self.heal();
        self.calm = true;
        for node in 0..self.members.len() {
            self.restart(node);
        }
        let by = self.now + 20_000_000;
        self.run_until(by);
        if let Some(leader) = self.leader() {
            let now = self.now();
            let record: MetadataRecord = FeatureLevelRecord { name: "last".into(), feature_level: 1 }.into();
            self.act(leader, |quorum, out| quorum.append(now, vec![record], out));
        }
        let by = self.now + 3_000_000;
        self.run_until(by);
        self.check_logs();
        for member in &self.members {
            if let Some(what) = &member.failed {
                self.violations.push(format!("node {} failed: {what}", member.id));
            }
            if member.state.get("last") != Some(&1) {
                let role = member.quorum.as_ref().map(Quorum::role);
                let voters = member.quorum.as_ref().map(|it| {
                    let ids = it.voters().iter().map(|it| (it.id.0, it.directory_id.0[15]));
                    (it.leader_epoch(), it.log_end(), ids.collect::<Vec<_>>())
                });
                let losses = member.losses;
                self.violations.push(format!(
                    "convergence: node {}-{losses} is {role:?} and has not got the last record: {voters:?}",
                    member.id
                ));
            }
        }
    }
}

fn endpoint(id: NodeId) -> Endpoint {
    Endpoint { node: id, host: format!("node-{id}").into(), port: 9093 }
}

/// What a node of this release says it can do.
fn versions() -> ApiVersionsResponse {
    let feature = api_versions_response::SupportedFeatureKey {
        name: quorum::KRAFT_VERSION.into(),
        min_version: 0,
        max_version: 1,
    };
    ApiVersionsResponse { supported_features: vec![feature], ..Default::default() }
}

fn seed_of(random: &Random) -> u64 {
    random.clone().next_u64()
}

/// A snapshot of these records, at once.
fn write_snapshot(quorum: &mut Quorum, now: Now, records: Vec<MetadataRecord>, out: &mut Output) {
    let Some(mut writer) = quorum.begin_snapshot(now) else { return };
    writer.push(records);
    quorum.finish_snapshot(writer, out);
}

type BatchMap = BTreeMap<i64, (i32, Bytes)>;

/// Every batch on a disk, by base offset: its epoch and bytes.
fn batches(disk: &MemoryDisk) -> BatchMap {
    let mut found = BTreeMap::new();
    for (_, path, bytes) in disk.files() {
        if !path.ends_with(".log") {
            continue;
        }
        let mut at = 0;
        while at + 61 <= bytes.len() {
            let number = |from: usize, len: usize| {
                bytes[at + from..at + from + len].iter().fold(0i64, |sum, byte| sum << 8 | i64::from(*byte))
            };
            let size = 12 + number(8, 4) as usize;
            if at + size > bytes.len() {
                break;
            }
            found.insert(number(0, 8), (number(12, 4) as i32, bytes.slice(at..at + size)));
            at += size;
        }
    }
    found
}
