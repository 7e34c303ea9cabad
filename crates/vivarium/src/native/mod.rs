//! `vivarium scenario FILE --native`: the same file that the simulator plays, against real processes. Brokers and controllers are
//! `vivarium server` processes of this very binary; who talks to them goes through doors of ours (`link.rs`), so that ways can be
//! cut and slowed down. Times are real, and a machine may be busy: what is waited for may take longer than the file says, and
//! what is expected may become so within a few seconds. What no process can be made to do is said before anything starts.

mod actor;
mod answer;
mod ask;
mod link;
mod machine;
mod wire;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::admin::{AdminCall, AlterConfigOp, ConfigChange, ConfigResource, ResourceType};
use client::{ClientConfig, Known, Operation, Outcome, ProducerRecord};
use node::image::Image;
use ordered::Map;
use protocol::{RequestBody, Str, TopicPartition, WallMs};
use rustix::process::Signal;
use sim::Action;
use sim::action::{CreateTopic, Election, SeekTo, WireProduce};
use sim::script::{Awaited, Condition, Query, Scenario, Step};
use sim::setup::{LISTENER, Setting};

use crate::ephemeral::EphemeralDir;
use actor::{Actor, Order, Told, Workload};
use link::Links;
use machine::{Founder, Machine, Quorum};
use wire::Wire;

/// Added to what a wait in the file may take.
const SLACK: Duration = Duration::from_secs(15);
/// How long an expectation may take to become true.
const SOON: Duration = Duration::from_secs(10);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);
/// The exit code of a scenario that cannot be played like this, as test drivers know it.
const SKIPPED: u8 = 77;
/// Plays a scenario against processes and tells how it goes.
pub(crate) fn run(name: &str, scenario: &Scenario) -> ExitCode {
    let reasons = impossible(scenario);
    if !reasons.is_empty() {
        for reason in reasons {
            eprintln!("vivarium: {name}: skipped: {reason}");
        }
        return ExitCode::from(SKIPPED);
    }
    match play(scenario) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("vivarium: {name}: {what}");
            ExitCode::FAILURE
        }
    }
}

/// What of it processes cannot be made to do, and why.
fn impossible(scenario: &Scenario) -> Vec<String> {
    let past = scenario.setup.past.map(|it| format!("`past {}`: a server has today's rules only", it.word()));
    let actions = scenario.steps.iter().filter_map(|(line, step)| match step {
        Step::Do(action) | Step::Refused(_, action) | Step::At(_, action) => {
            why_not(action).map(|why| format!("line {line}: `{action}`: {why}"))
        }
        Step::After(_) | Step::RunEvents(_) => {
            Some(format!("line {line}: `{step}`: processes have no events that could be counted"))
        }
        Step::Run(_) | Step::RunUntil(..) | Step::Expect(..) | Step::Show(_) => None,
    });
    past.into_iter().chain(actions).collect()
}

fn why_not(action: &Action) -> Option<&'static str> {
    match action {
        Action::PowerCut(_) | Action::PowerCutTorn(_) => Some("the page cache outlives a process"),
        Action::SlowDisk(..)
        | Action::DiskFull(_)
        | Action::DiskError(..)
        | Action::DiskHeal(_)
        | Action::BitRot(..) => Some("the disk is this machine's"),
        Action::SkewClock(..) => Some("the clock is this machine's"),
        Action::DropResponse(..) | Action::CorruptRequest(..) | Action::DropMessage(_) | Action::DeliverMessage(_) => {
            Some("what passes is not looked into")
        }
        Action::InitProducerId(_) | Action::Poll(..) => Some("not told to clients over sockets"),
        Action::WireAsk(it) if !it.member().is_empty() => Some("under which id a member is known is not told here"),
        Action::Producer(_, settings) | Action::Consumer(_, settings)
            if settings.iter().any(|(key, _)| &**key == LISTENER) =>
        {
            Some("no application listens for rebalances here")
        }
        Action::Producer(..)
        | Action::Consumer(..)
        | Action::Wire(..)
        | Action::CreateTopic(_)
        | Action::AlterTopic(..)
        | Action::DeleteTopic(_)
        | Action::DeleteRecords(..)
        | Action::Produce(_)
        | Action::Load(_)
        | Action::Unload(_)
        | Action::Assign(..)
        | Action::Seek(..)
        | Action::Follow(..)
        | Action::Close(_)
        | Action::AlterBroker(..)
        | Action::WireProduce(_)
        | Action::WireAsk(_)
        | Action::Elect(..)
        | Action::Reassign(..)
        | Action::AddVoter(..)
        | Action::RemoveVoter(..)
        | Action::Start(_)
        | Action::Kill(_)
        | Action::Stop(_)
        | Action::Pause(_)
        | Action::Resume(_)
        | Action::Wipe(_)
        | Action::Cut(..)
        | Action::CutOneWay(..)
        | Action::Heal(..)
        | Action::Delay(..) => None,
        // What the simulator learns later is its own until it is taught here.
        #[allow(unreachable_patterns, reason = "there may be none at the moment")]
        _ => Some("not done to processes yet"),
    }
}

/// Plays it; tells how many lines went wrong.
fn play(scenario: &Scenario) -> Result<usize, String> {
    let mut stage = Stage::set_up(scenario)?;
    let mut wrong = 0;
    for (line, step) in &scenario.steps {
        println!("{:>7.3} > {step}", stage.begun.elapsed().as_secs_f64());
        let done = stage.step(step);
        // While there is somebody to tell: later there may be nobody.
        stage.look();
        match done {
            Ok(None) => {}
            Ok(Some(note)) => println!("          {note}"),
            Err(what) => {
                println!("          FAILED: {what}");
                eprintln!("vivarium: line {line}: {what}");
                wrong += 1;
            }
        }
    }
    Ok(wrong)
}

/// All that runs.
struct Stage {
    begun: Instant,
    links: Arc<Links>,
    machines: Vec<Machine>,
    actors: Map<Str, Actor>,
    wires: Map<Str, Wire>,
    admin: Actor,
    seed: u64,
    /// What was committed when there was last somebody to tell.
    image: Image,
    /// Removed when all processes have ended.
    _folder: EphemeralDir,
}

impl Stage {
    fn set_up(scenario: &Scenario) -> Result<Stage, String> {
        let folder = EphemeralDir::create_for_nodes()?;
        let links = Arc::new(Links::default());
        let brokers = (1..).zip(&scenario.setup.brokers);
        let machines = brokers.map(|(id, setup)| Machine::new(setup, id, folder.path()));
        let mut machines: Vec<Machine> =
            machines.collect::<Result<_, _>>().map_err(|error| format!("no free ports: {error}"))?;
        let quorum = quorum_of(scenario, &machines)?;
        for machine in &mut machines {
            links.name(Str::from(machine.id.to_string()), machine.name.clone());
            machine.configure(&quorum)?;
            machine.start(&links)?;
        }
        let config = client_config("admin", &machines, &[])?;
        Ok(Stage {
            begun: Instant::now(),
            links,
            machines,
            actors: Map::new(),
            wires: Map::new(),
            admin: Actor::start(config, scenario.setup.seed),
            seed: scenario.setup.seed,
            image: Image::default(),
            _folder: folder,
        })
    }

    /// Does a line; what there is to say about it.
    fn step(&mut self, step: &Step) -> Result<Option<String>, String> {
        match step {
            Step::Do(action) => self.act(action).map(|()| None),
            Step::Refused(code, action) => {
                let call = self.call_of(action)?.ok_or("the cluster is not asked for this")?;
                match self.administrate(call)? {
                    Outcome::Failed(it) if it.code() == Some(*code) => Ok(None),
                    other => {
                        let what = other.trouble().unwrap_or_else(|| "it was done".to_owned());
                        Err(format!("{what}, expected {code}"))
                    }
                }
            }
            Step::At(at, action) => {
                self.pause(Duration::from_micros(at.0).saturating_sub(self.begun.elapsed()));
                self.act(action).map(|()| None)
            }
            Step::Run(time) => {
                self.pause(Duration::from_micros(time.0));
                Ok(None)
            }
            // A log that is cut grows again in the next millisecond; what comes of it is expected later on.
            Step::RunUntil(Awaited::So(Condition::Is(Query::End(..), _)), _) => {
                Ok(Some("(only the simulator stops at a moment that passes)".to_owned()))
            }
            Step::RunUntil(Awaited::Next(_), _) => {
                Err("processes do not tell at which moment something happens: wait for what is so after it".to_owned())
            }
            Step::RunUntil(Awaited::So(condition), within) => {
                let patience = Duration::from_micros(within.0) + SLACK;
                if self.until(patience, |stage| stage.holds(condition)) {
                    return Ok(None);
                }
                let state = match condition {
                    Condition::Is(query, _) => format!(": {}", words(&self.answer(query))),
                    _ => String::new(),
                };
                Err(format!("not within {within} and {} s more: {condition}{state}", SLACK.as_secs()))
            }
            Step::Expect(Query::Check(_) | Query::Lost | Query::Allowed, _) if !self.can_check(step) => {
                Ok(Some("(only the simulator sees all that this is about)".to_owned()))
            }
            Step::Expect(query, expected) => {
                let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
                let met = self.until(SOON, |stage| stage.answer(query).is_ok_and(|it| it == expected));
                let answer = self.answer(query);
                if met {
                    return Ok(Some(format!("= {}", words(&Ok(expected)))));
                }
                Err(format!("{query} is {}, expected {}", words(&answer), words(&Ok(expected))))
            }
            Step::Show(query) => Ok(Some(format!("= {}", words(&self.answer(query))))),
            Step::After(_) | Step::RunEvents(_) => Err("processes have no events that could be counted".to_owned()),
        }
    }

    /// Time passes; processes that end are noticed.
    fn pause(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            self.machines.iter_mut().for_each(Machine::reap);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    fn until(&mut self, patience: Duration, so: impl Fn(&mut Stage) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            self.pause(Duration::ZERO);
            if so(self) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            self.pause(LOOK);
        }
    }

    fn machine(&mut self, name: &str) -> Result<&mut Machine, String> {
        self.machines.iter_mut().find(|it| it.name == *name).ok_or(format!("there is no broker {name}"))
    }

    fn actor(&self, name: &Str) -> Result<&Actor, String> {
        self.actors.get(name).ok_or(format!("there is no producer or consumer {name}"))
    }

    fn act(&mut self, action: &Action) -> Result<(), String> {
        if let Some(call) = self.call_of(action)? {
            return self.administrate(call)?.trouble().map_or(Ok(()), Err);
        }
        match action {
            Action::Producer(name, settings) | Action::Consumer(name, settings) => {
                let config = client_config(name, &self.machines, settings)?;
                self.seed += 1;
                self.actors.insert(name.clone(), Actor::start(config, self.seed));
            }
            Action::Wire(name, broker) => {
                let port = self.machine(broker)?.client_door.port();
                self.wires.insert(name.clone(), Wire::new(name.clone(), port));
            }
            Action::Produce(it) => {
                let record = ProducerRecord {
                    topic: it.topic.clone(),
                    partition: it.partition,
                    key: it.key.clone(),
                    value: it.value.clone(),
                    ..ProducerRecord::default()
                };
                return self.actor(&it.client)?.tell(Order::Do(Operation::Send(record)));
            }
            Action::Load(it) => {
                let load = Workload {
                    topic: it.topic.clone(),
                    every: Duration::from_micros(it.every_us),
                    left: it.count,
                    keys: it.keys,
                    size: it.size as usize,
                };
                return self.actor(&it.client)?.tell(Order::Load(load));
            }
            Action::Unload(name) => return self.actor(name)?.tell(Order::Unload),
            Action::Follow(name, topic) => return self.actor(name)?.tell(Order::Follow(topic.clone())),
            Action::Assign(name, partitions) => {
                return self.actor(name)?.tell(Order::Do(Operation::Assign(partitions.clone())));
            }
            Action::Seek(name, partition, to) => {
                let to = match to {
                    SeekTo::Beginning => client::SeekTo::Beginning,
                    SeekTo::End => client::SeekTo::End,
                    SeekTo::Offset(offset) => client::SeekTo::Offset(*offset),
                };
                return self.actor(name)?.tell(Order::Do(Operation::Seek(partition.clone(), to)));
            }
            Action::Close(name) => {
                return self.actor(name)?.tell(Order::Do(Operation::Close { timeout_ms: 30_000 }));
            }
            Action::WireProduce(it) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                let body = it.request(WallMs(i64::try_from(now).unwrap_or(i64::MAX)))?;
                return self.wire(&it.client)?.say(WireProduce::VERSION, RequestBody::Produce(body));
            }
            Action::WireAsk(it) => {
                let (version, body) = it.request(Str::new())?;
                return self.wire(&it.client)?.say(version, body);
            }
            Action::Elect(name, election, partition) => {
                return self.wire(name)?.say(Election::VERSION, election.request(partition));
            }
            Action::Reassign(name, partition, replicas) => {
                let ids = replicas.iter().map(|it| self.machine(it).map(|it| it.id)).collect::<Result<Vec<_>, _>>()?;
                return self.wire(name)?.say(sim::ask::REASSIGNMENT_VERSION, sim::ask::reassignment(partition, ids));
            }
            Action::AddVoter(name, node) => {
                let machine = self.machine(node)?;
                let host = Str::from_static("127.0.0.1");
                let body = sim::ask::voter_added(machine.voter()?, host, machine.controller_door.port());
                return self.wire(name)?.say(sim::ask::ADD_VOTER_VERSION, body);
            }
            Action::RemoveVoter(name, node) => {
                let body = sim::ask::voter_removed(self.machine(node)?.voter()?);
                return self.wire(name)?.say(sim::ask::REMOVE_VOTER_VERSION, body);
            }
            Action::Start(name) => {
                let links = self.links.clone();
                return self.machine(name)?.start(&links);
            }
            Action::Kill(name) => return self.machine(name)?.kill(),
            Action::Stop(name) => return self.machine(name)?.stop(),
            Action::Pause(name) => return self.machine(name)?.signal(Signal::STOP),
            Action::Resume(name) => return self.machine(name)?.signal(Signal::CONT),
            Action::Wipe(name) => return self.machine(name)?.wipe(),
            Action::Cut(a, b) => {
                self.links.cut(a, b);
                self.links.cut(b, a);
            }
            Action::CutOneWay(from, to) => self.links.cut(from, to),
            Action::Heal(a, b) => self.links.heal(a, b),
            Action::Delay(a, b, us) => self.links.delay(a, b, Duration::from_micros(*us)),
            other => return Err(format!("{other}: {}", why_not(other).unwrap_or("not done to processes"))),
        }
        Ok(())
    }

    fn wire(&mut self, name: &Str) -> Result<&mut Wire, String> {
        self.wires.get_mut(name).ok_or(format!("there is no wire client {name}"))
    }

    /// What the admin is to ask the cluster for, if it is asked for this.
    fn call_of(&mut self, action: &Action) -> Result<Option<AdminCall>, String> {
        Ok(Some(match action {
            Action::CreateTopic(it) => self.creation(it)?,
            Action::AlterTopic(name, settings) => alteration(ResourceType::Topic, name.clone(), settings),
            Action::AlterBroker(name, settings) => {
                let id = Str::from(self.machine(name)?.id.to_string());
                alteration(ResourceType::Broker, id, settings)
            }
            Action::DeleteTopic(name) => AdminCall::DeleteTopics { topics: vec![name.clone()] },
            Action::DeleteRecords(partition, before) => {
                AdminCall::DeleteRecords { partitions: vec![(partition.clone(), *before)] }
            }
            _ => return Ok(None),
        }))
    }

    fn creation(&self, it: &CreateTopic) -> Result<AdminCall, String> {
        let id_of = |name: &Str| {
            let found = self.machines.iter().find(|it| it.name == *name);
            found.map(|it| protocol::NodeId(it.id)).ok_or(format!("there is no broker {name}"))
        };
        let mut assignments = Vec::new();
        for (partition, names) in (0..).zip(&it.replicas) {
            assignments.push((partition, names.iter().map(id_of).collect::<Result<Vec<_>, _>>()?));
        }
        let brokers = self.machines.iter().filter(|it| it.is_broker).count();
        let topic = it.new_topic(brokers, assignments);
        Ok(AdminCall::CreateTopics { topics: vec![topic], validate_only: false })
    }

    /// Has the admin do it, and waits until it is told what came of it.
    fn administrate(&mut self, call: AdminCall) -> Result<Outcome, String> {
        self.admin.books().last = None;
        self.admin.tell(Order::Do(Operation::Admin(call)))?;
        let patience = Duration::from_micros(sim::script::PATIENCE.0);
        if !self.until(patience, |stage| stage.admin.books().open == 0) {
            return Err("the cluster did not answer the admin".to_owned());
        }
        let last = self.admin.books().last.take();
        last.map(Outcome::judged).ok_or_else(|| "the admin was told nothing".to_owned())
    }

    fn holds(&mut self, condition: &Condition) -> bool {
        let tally = |stage: &Stage, name: &Str, counts: fn(Told) -> bool| {
            let books = stage.actors.get(name).map(Actor::books);
            books.map_or(0, |books| books.sent.iter().filter(|it| counts(it.told)).count() as u64)
        };
        match condition {
            Condition::Acked(name, count) => tally(self, name, |it| it == Told::Ok) >= *count,
            Condition::Settled(name, count) => tally(self, name, |it| it != Told::Pending) >= *count,
            Condition::Idle(name) => {
                self.actors.contains_key(name)
                    && tally(self, name, |it| it == Told::Pending) == 0
                    && !self.actors[name].is_loaded()
            }
            Condition::Consumed(name, count) => {
                self.actors.get(name).is_some_and(|it| it.books().consumed_total >= *count)
            }
            Condition::Answered(name, count) => {
                self.wires.get(name).is_some_and(|it| it.answers().len() as u64 >= *count)
            }
            Condition::Serving(name) => self.machine(name).is_ok_and(|it| it.is_serving()),
            Condition::Down(name) => self.machine(name).is_ok_and(|it| !it.is_up()),
            Condition::CaughtUp(name, topic) => self.is_caught_up(name, topic),
            // Who is elected hangs on time, which is not the simulator's here: that somebody is, does not.
            Condition::Is(Query::Controller, expected) => {
                let is_wanted = expected.iter().all(|it| &**it != "none");
                self.answer(&Query::Controller).is_ok_and(|it| (it != ["none"]) == is_wanted)
            }
            Condition::Is(query, expected) => {
                let answer = self.answer(query);
                answer.is_ok_and(|it| it.iter().map(String::as_str).eq(expected.iter().map(|it| &**it)))
            }
        }
    }

    /// Every record of a topic that was acknowledged is behind the reader.
    fn is_caught_up(&self, reader: &Str, topic: &Str) -> bool {
        let Some(reader) = self.actors.get(reader) else { return false };
        let positions = reader.books().positions.clone();
        self.actors.values().all(|it| {
            let books = it.books();
            let mut placed = books.sent.iter().filter(|it| it.topic == *topic && it.told == Told::Ok);
            placed.all(|it| match (&it.place, it.offset) {
                (Some(place), Some(offset)) => positions.get(place).is_some_and(|next| *next > offset),
                _ => true,
            })
        })
    }
}

/// Who votes: all controllers and no others ever, unless the scenario says who votes first.
fn quorum_of(scenario: &Scenario, machines: &[Machine]) -> Result<Quorum, String> {
    if scenario.setup.voters.is_empty() {
        let voters = machines.iter().filter(|it| it.is_controller);
        return Ok(Quorum::Static(voters.map(|it| format!("{}@{}", it.id, it.controller_address())).collect()));
    }
    let random = || server::random_id().map_err(|error| error.to_string());
    let mut first = Vec::new();
    for name in &scenario.setup.voters {
        let machine = machines.iter().find(|it| it.name == *name && it.is_controller);
        let machine = machine.ok_or(format!("{name} is to vote and is no controller"))?;
        first.push(Founder { id: machine.id, address: machine.controller_address(), directory: random()? });
    }
    Ok(Quorum::Dynamic { cluster_id: random()?, first })
}

fn client_config(name: &str, machines: &[Machine], settings: &[Setting]) -> Result<ClientConfig, String> {
    let servers = machines.iter().filter(|it| it.is_broker);
    let servers = servers.map(|it| (Str::from_static("127.0.0.1"), it.client_door.port()));
    let mut config = ClientConfig::bootstrapped(servers);
    config.client_id = Str::from(name);
    for (key, value) in settings {
        if config.clone().set(key, value).map_err(|error| error.0)? == Known::No {
            return Err(format!("Kafka's clients have no configuration {key}"));
        }
    }
    config.set_all(settings.iter().map(|(key, value)| (&**key, &**value))).map_err(|error| error.0)?;
    config.check().map_err(|error| error.0)?;
    Ok(config)
}

fn alteration(kind: ResourceType, name: Str, settings: &[Setting]) -> AdminCall {
    let change = |value: &Str| ConfigChange::Set(value.clone());
    let ops = settings.iter().map(|(key, value)| AlterConfigOp { name: key.clone(), change: change(value) });
    AdminCall::IncrementalAlterConfigs {
        resources: vec![(ConfigResource { kind, name }, ops.collect())],
        validate_only: false,
    }
}

fn words(answer: &Result<Vec<String>, String>) -> String {
    match answer {
        Ok(words) if words.is_empty() => "nothing".to_owned(),
        Ok(words) => words.join(" "),
        Err(why) => format!("unknown ({why})"),
    }
}

/// Of a partition, in the words of a message.
fn place_of(topic: &Str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.clone(), partition }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_process_can_be_made_to_do_is_said_before_anything_starts() {
        let listens = "consumer c1 group.id=g rebalance.listener=commit";
        let scenario = Scenario::parse(&format!("broker b1\nconsumer c2 group.id=g\n{listens}\n")).unwrap();
        assert_eq!(impossible(&scenario), [format!("line 3: `{listens}`: no application listens for rebalances here")]);
    }
}
