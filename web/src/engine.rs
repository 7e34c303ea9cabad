//! The engine as the room and scripts use it: a history of a simulated world, acted on by lines of text.

use std::sync::Arc;

use ordered::Map;
use protocol::{Instant, Offset, Str, TopicPartition};
use sim::check::Verdict;
use sim::export::Shared;
use sim::files::Folder;
use sim::history::{BranchView, ENGINE, Run, Stamped};
use sim::metadata::Member;
use sim::rescue::Rescue;
use sim::script::{Condition, Mark, Played, Query, Scenario, Step, Story};
use sim::view::MessageKind;
use sim::{Action, History, World};

use crate::bytes::{self, Row};
use crate::groups;
use crate::look::{self, Cut, Ghost, Past, Tails};
use crate::telling::Teller;
use crate::view::{Group, Partition, Record, View};
use crate::why::{self, Cause};

/// What a search gives up after, in virtual µs.
const PATIENCE_US: u64 = 30_000_000;
/// Events between two looks at the page's clock.
const GRAIN: u32 = 16;
/// Ticks that a branch remembers; the timeline has far fewer pixels.
const TICKS: usize = 20_000;
/// Nodes of a run at most: which of them run is a bit each.
const MOST: usize = 64;

/// The room that opens by itself.
pub(crate) const ROOM: &str = "3";
/// Brokers of a room by number, at most.
const BROKERS: usize = 7;
/// Its clients, and what they do.
const CLIENTS: &str = include_str!("../room.scenario");

/// A question of a knob, what it was answered in the run as told, and in the one that the knob makes.
pub(crate) type Outcome = (String, String, String);

/// A run, its branches, and the moment that is looked at.
pub(crate) struct Engine {
    history: History,
    /// Virtual time that is due: parts of a µs, and what the last frame had no time for.
    rest_us: f64,
    search: Option<Search>,
    /// By the numbers of branches.
    ticks: Vec<Ticks>,
    /// The partitions as they were before a broker ended, by the branch and the event that was the last before it.
    ghosts: Map<(String, u64), Arc<Vec<Partition>>>,
    /// What the last event that was looked at cut off logs: its branch, its number, and that.
    cuts: (String, u64, Vec<Cut>),
    /// What was looked at last, as long as time only goes on.
    tails: Tails,
    /// Older records that are looked at, by partition: from which offset to which, and they.
    windows: Map<String, (i64, i64, Arc<Vec<Record>>)>,
    /// What was most worth telling since somebody was told.
    teller: Teller,
    /// The clients that the scenario makes as consumers.
    consumers: Vec<Str>,
    /// The scenario that was played, and where each of its lines ended.
    scenario: Scenario,
    marks: Vec<Mark>,
    /// What the questions of each knob were answered at the run's end.
    told: Vec<Vec<String>>,
}

/// Something to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// A producer is told that its record is safe.
    Ack,
    /// A record gets its place.
    Append,
    /// A consumer is given records.
    Records,
    /// A batch is sent again.
    Retry,
    /// A check breaks, or a loss is found that the settings allow.
    BrokenCheck,
    /// So many µs have passed.
    Time(u64),
}

struct Search {
    until: Until,
    limit: Instant,
    findings: usize,
    /// Consumers, and how much each was given before.
    readers: Vec<(String, u64)>,
}

/// Something worth a mark on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The event.
    pub(crate) event: u64,
    /// What.
    pub(crate) kind: Kind,
}

/// What a tick marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A producer was told ok.
    Ack,
    /// A person did something.
    Action,
    /// A batch will be sent again.
    Retry,
    /// A broker serves.
    Serves,
    /// Somebody leads the metadata quorum anew.
    Election,
    /// Another set of replicas is in sync, or another leader.
    Isr,
    /// A follower's log was cut.
    Cut,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Ack, Kind::Action, Kind::Retry, Kind::Serves, Kind::Election, Kind::Isr, Kind::Cut];

    /// Its class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Kind::Ack => "k ack",
            Kind::Action => "k fault",
            Kind::Retry => "k retry",
            Kind::Serves => "k up",
            Kind::Election => "k vote",
            Kind::Isr => "k isr",
            Kind::Cut => "k cut",
        }
    }

    /// As people read it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Ack => "told ok",
            Kind::Action => "an action",
            Kind::Retry => "a retry",
            Kind::Serves => "a broker serves",
            Kind::Election => "a controller elected",
            Kind::Isr => "leader or ISR",
            Kind::Cut => "a log cut",
        }
    }
}

/// What is remembered of a branch, and up to which event.
#[derive(Clone, Debug, Default)]
struct Ticks {
    list: Vec<Tick>,
    /// How many of its actions are marked.
    actions: usize,
    /// The events after which brokers were gone that had been there, and which: a bit each.
    ends: Vec<(u64, u64)>,
    /// Which brokers run, a bit each, after the last known event.
    up: u64,
    /// The newest epoch of the metadata quorum that somebody led by then.
    quorum_epoch: Option<i32>,
    known: u64,
}

impl Engine {
    /// Plays a room and stands at its end: a number is a cluster of so many brokers with the usual clients, anything else a
    /// scenario. The error says which line is wrong, and how.
    pub(crate) fn new(room: &str) -> Result<Engine, String> {
        let scenario = match room.parse() {
            Ok(brokers @ 1..=BROKERS) => Scenario::parse(&cluster(brokers)),
            _ => Scenario::parse(room),
        };
        let scenario = scenario.map_err(|error| error.to_string())?;
        if scenario.setup.brokers.len() > MOST {
            return Err(format!("{} brokers: the lab has room for {MOST}", scenario.setup.brokers.len()));
        }
        let played = scenario.play_with(false).map_err(|error| error.to_string())?;
        Engine::of_played(scenario, played)
    }

    /// The run that a knob of the scenario makes, at its end; and what the questions that it asks were answered in this run and in
    /// that one.
    pub(crate) fn vary(&self, knob: usize) -> Result<(Engine, Vec<Outcome>), String> {
        let played = self.scenario.play_knob(knob, false).ok_or("there is no such knob")?;
        let varied = self.scenario.variation(knob).ok_or("there is no such knob")?;
        let engine = Engine::of_played(varied, played.map_err(|error| error.to_string())?)?;
        let answers = engine.answers(&self.scenario, knob);
        let told = self.told.get(knob).cloned().unwrap_or_default();
        let asked = questions(&self.scenario, knob).into_iter().map(|it| it.to_string());
        let outcomes = asked.zip(told).zip(answers).map(|((asked, told), here)| (asked, told, here));
        let outcomes = outcomes.collect();
        Ok((engine, outcomes))
    }

    /// What the questions that a knob asks are answered now.
    fn answers(&self, scenario: &Scenario, knob: usize) -> Vec<String> {
        let answer = |it: &Query| match self.history.world().ask(it) {
            Ok(words) if words.is_empty() => "nothing".to_owned(),
            Ok(words) => words.join(" "),
            Err(why) => why,
        };
        questions(scenario, knob).into_iter().map(answer).collect()
    }

    /// A scenario that was played.
    fn of_played(scenario: Scenario, played: Played) -> Result<Engine, String> {
        if let Some(failure) = played.failures.first() {
            return Err(failure.to_string());
        }
        let mut engine = Engine::over(scenario, played.history, played.marks);
        for knob in 0..engine.scenario.story.knobs.len() {
            engine.told.push(engine.answers(&engine.scenario, knob));
        }
        // Once more, this time with marks for the timeline.
        let end = engine.history.world().events();
        engine.history.seek(0);
        while engine.history.world().events() < end && engine.step() {}
        Ok(engine)
    }

    /// A shared run at its beginning: [`Engine::step`] leads on, [`Engine::revisit`] to its moment. Whichever engine recorded it,
    /// this one plays it.
    pub(crate) fn of(shared: &Shared) -> Result<Engine, String> {
        let run = Run { engine: ENGINE.to_owned(), ..shared.run.clone() };
        let scenario = Scenario::of(&run, shared.events);
        let history = History::of(run).map_err(|error| error.to_string())?;
        Ok(Engine::over(scenario, history, Vec::new()))
    }

    /// To the moment of a shared run.
    pub(crate) fn revisit(&mut self, shared: &Shared) {
        self.forget();
        let moment = shared.moment;
        self.history.revisit(moment.event, moment.turns, moment.at);
    }

    fn over(scenario: Scenario, history: History, marks: Vec<Mark>) -> Engine {
        let mut consumers = Vec::new();
        for (_, step) in &scenario.steps {
            if let Step::Do(it) | Step::At(_, it) | Step::After(Stamped { action: it, .. }) = step
                && let Action::Consumer(name, _) = it
            {
                consumers.push(name.clone());
            }
        }
        let mut engine = Engine {
            history,
            rest_us: 0.0,
            search: None,
            ticks: Vec::new(),
            ghosts: Map::new(),
            cuts: (String::new(), 0, Vec::new()),
            tails: Tails::default(),
            windows: Map::new(),
            teller: Teller::default(),
            marks,
            told: Vec::new(),
            consumers,
            scenario,
        };
        engine.learn_ticks();
        engine
    }

    /// What everything random hangs on.
    pub(crate) fn seed(&self) -> u64 {
        self.history.world().setup().seed
    }

    /// One event on. False if nothing will ever happen by itself.
    pub(crate) fn step(&mut self) -> bool {
        let stepped = self.history.step();
        self.note_ticks();
        stepped
    }

    /// One event back. False at the beginning.
    pub(crate) fn back(&mut self) -> bool {
        self.forget();
        self.history.back()
    }

    /// To the moment after so many events, if the branch has had so many.
    pub(crate) fn seek(&mut self, event: u64) {
        self.forget();
        self.history.seek(event.min(self.history.known()));
    }

    /// What the scenario tells.
    pub(crate) fn story(&self) -> &Story {
        &self.scenario.story
    }

    /// The moment of which a line of the scenario tells: where the last line before it ended.
    pub(crate) fn moment(&self, line: usize) -> Mark {
        let start = Mark { line: 0, event: 0, turns: 0, at: Instant(0) };
        self.marks.iter().rfind(|it| it.line < line).copied().unwrap_or(start)
    }

    /// Where the first topic was there; where there is none, where the first line ended.
    pub(crate) fn first_topic(&self) -> Option<Mark> {
        let creates = |it: &Step| matches!(it, Step::Do(Action::CreateTopic(_)));
        let topic = self.scenario.steps.iter().position(|it| creates(&it.1)).unwrap_or(0);
        self.marks.get(topic).copied()
    }

    /// Where the scenario ended.
    pub(crate) fn end(&self) -> Option<Mark> {
        self.marks.last().copied()
    }

    /// True for a client that the scenario makes as a consumer, also before it reads anything.
    pub(crate) fn is_to_consume(&self, client: &str) -> bool {
        self.consumers.iter().any(|it| **it == *client)
    }

    /// Which of these hold at this moment.
    pub(crate) fn holds(&self, conditions: &[Condition]) -> Vec<bool> {
        conditions.iter().map(|it| self.history.world().holds(it)).collect()
    }

    /// To the moment at which a line of the scenario was done, on the branch that the scenario is.
    pub(crate) fn stand(&mut self, mark: Mark) {
        if self.history.current() != 0 {
            self.switch(0);
        }
        self.forget();
        self.history.revisit(mark.event, mark.turns, mark.at);
    }

    /// The times of what happens from here to a moment of this branch that was seen, this one and that one with it.
    pub(crate) fn way(&mut self, end_us: u64) -> Vec<u64> {
        let world = self.history.world();
        let (now, turns, clock) = (world.events(), world.turns(), world.clock());
        let mut times = vec![clock.0];
        while self.history.step_before(Instant(end_us)) {
            times.push(self.clock());
        }
        times.push(end_us);
        self.history.revisit(now, turns, clock);
        times
    }

    /// The consumer groups.
    pub(crate) fn groups(&self) -> Vec<Group> {
        groups::groups(self.history.world())
    }

    /// The lines that make one more member of a group, as the first one was made.
    pub(crate) fn newcomer(&self, group: &str) -> Vec<String> {
        let groups = self.history.world().groups();
        let first = groups.iter().find(|it| *it.id == *group).and_then(|it| it.members.first());
        let Some(first) = first.map(|it| it.client.clone()) else { return Vec::new() };
        let stem = first.trim_end_matches(|it: char| it.is_ascii_digit());
        let name = (1..).map(|it| format!("{stem}{it}")).find(|it| self.history.world().pid(it).is_err());
        let name = name.unwrap_or_default();
        let mut lines = Vec::new();
        for stamped in self.history.actions() {
            let line = stamped.action.to_string();
            let mut words = line.split(' ');
            let (verb, whose) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if *whose == *first && ["consumer", "subscribe", "follow"].contains(&verb) {
                let rest: Vec<&str> = words.filter(|it| !it.starts_with("group.instance.id=")).collect();
                lines.push(format!("{verb} {name} {}", rest.join(" ")));
            }
        }
        lines
    }

    /// The metadata quorum: every node of it, and so many records of each one's log.
    pub(crate) fn quorum(&self, before: Option<i64>, count: i64) -> Vec<Member> {
        self.history.world().quorum(before, count)
    }

    /// A partition's files on a broker's disk.
    pub(crate) fn folder(&self, broker: &str, partition: &str) -> Folder {
        let place = partition.rsplit_once('-').and_then(|(topic, it)| Some((topic, it.parse().ok()?)));
        let Some((topic, partition)) = place else { return Folder::default() };
        self.history.world().folder(broker, &TopicPartition { topic: topic.into(), partition })
    }

    /// Lets so many µs pass, as long as there is time to. What there is no time for is made good next time, up to twice as much as
    /// is asked for then; the rest is left out: the clock is slower then.
    pub(crate) fn advance(&mut self, us: f64, on_time: impl Fn() -> bool) {
        let due = us + self.rest_us.min(us.max(1.0));
        let target = self.clock() + due as u64;
        self.follow(target, &on_time);
        self.rest_us = target.saturating_sub(self.clock()) as f64 + due.fract();
    }

    /// The virtual clock, in µs.
    pub(crate) fn clock(&self) -> u64 {
        self.history.world().clock().0
    }

    /// Goes on to a time, as long as there is time to. True once it is there.
    pub(crate) fn follow(&mut self, at_us: u64, on_time: &dyn Fn() -> bool) -> bool {
        let target = Instant(at_us);
        loop {
            for _ in 0..GRAIN {
                if !self.history.step_before(target) {
                    self.history.run_until(target);
                    return true;
                }
                self.note_ticks();
                self.teller.hear(self.history.world());
            }
            if !on_time() {
                return false;
            }
        }
    }

    /// To a time, back or on.
    pub(crate) fn seek_time(&mut self, at_us: u64) {
        if at_us < self.clock() {
            self.forget();
            self.history.seek_time(Instant(at_us));
        } else {
            self.follow(at_us, &|| true);
        }
    }

    /// The sentence most worth telling of what passed since it was asked for last.
    pub(crate) fn tell(&mut self) -> Option<String> {
        self.teller.tell()
    }

    /// To a time of the virtual clock.
    pub(crate) fn run_until(&mut self, at_us: u64) {
        while self.history.step_before(Instant(at_us)) {
            self.note_ticks();
        }
        self.history.run_until(Instant(at_us));
    }

    /// Begins to wait for something.
    pub(crate) fn expect(&mut self, until: Until) {
        let world = self.history.world();
        let span = if let Until::Time(us) = until { us } else { PATIENCE_US };
        let limit = world.clock().0.saturating_add(span);
        let findings = world.checks().findings().len();
        let readers = self.view().clients.into_iter().map(|it| (it.name, it.consumed)).collect();
        self.search = Some(Search { until, limit: Instant(limit), findings, readers });
    }

    /// Waits for nothing any more.
    pub(crate) fn give_up(&mut self) {
        self.search = None;
    }

    /// True while it is time that is waited for.
    pub(crate) fn waits(&self) -> bool {
        self.search.as_ref().is_some_and(|it| matches!(it.until, Until::Time(_)))
    }

    /// Goes on towards what is waited for while there is time. A sentence once it has come, or will not.
    pub(crate) fn search(&mut self, on_time: impl Fn() -> bool) -> Option<String> {
        let search = self.search.take()?;
        loop {
            for _ in 0..GRAIN {
                if !self.history.step_before(search.limit) {
                    if let Until::Time(_) = search.until {
                        self.history.run_until(search.limit);
                        return Some(self.history.world().narrate());
                    }
                    return Some(format!("Nothing of the kind within {} s of virtual time.", PATIENCE_US / 1_000_000));
                }
                self.note_ticks();
                if self.has_come(&search) {
                    return Some(self.history.world().narrate());
                }
            }
            if !on_time() {
                self.search = Some(search);
                return None;
            }
        }
    }

    fn has_come(&self, search: &Search) -> bool {
        let world = self.history.world();
        let last = world.last();
        match search.until {
            Until::Ack => last.client_events.iter().any(|it| matches!(it, client::Event::BatchAcked { .. })),
            Until::Append => last.node_events.iter().any(|it| matches!(it, node::Event::Appended { .. })),
            Until::Records => search.readers.iter().any(|(name, before)| world.consumed(name) > *before),
            Until::Retry => last.client_events.iter().any(|it| matches!(it, client::Event::BatchRetried { .. })),
            Until::Time(_) => false,
            Until::BrokenCheck => world.checks().findings()[search.findings.min(world.checks().findings().len())..]
                .iter()
                .any(|it| it.verdict != Verdict::Kept),
        }
    }

    /// How many µs pass, if that is all that a line says.
    pub(crate) fn passes(line: &str) -> Option<u64> {
        match *Scenario::parse(line).ok()?.steps {
            [(_, Step::Run(time))] => Some(time.0),
            _ => None,
        }
    }

    /// The steps that a line of the scenario language says, or what is wrong with it.
    pub(crate) fn steps(line: &str) -> Result<Vec<(usize, Step)>, String> {
        let scenario = Scenario::parse(line)
            .map_err(|it| format!("column {}: expected {}, found {}", it.column, it.expected, it.found))?;
        if scenario.steps.is_empty() {
            return Err(
                "the world was made already, and what is told is for files: here an action or “run” can be done".into(),
            );
        }
        Ok(scenario.steps)
    }

    /// Does what a line of the scenario language says. In the past this makes a branch, and both are kept.
    pub(crate) fn act(&mut self, line: &str) -> Result<(), String> {
        self.act_apart(line, false)
    }

    /// [`Engine::act`], on a branch of its own also where nothing is known of what comes, if so told.
    pub(crate) fn act_apart(&mut self, line: &str, mut apart: bool) -> Result<(), String> {
        let steps = Engine::steps(line)?;
        self.windows.clear();
        for (_, step) in steps {
            match step {
                Step::Do(action) => {
                    let world = self.history.world();
                    let (event, before) = (world.events(), up(world));
                    let last_look = may_end_broker(&action).then(|| look::led(world));
                    self.history.act_apart(action, apart).map_err(|error| error.to_string())?;
                    apart = false;
                    self.learn_ticks();
                    let now = up(self.history.world());
                    let branch = self.history.branch().to_owned();
                    if before & !now != 0
                        && let Some(seen) = last_look
                    {
                        // Of two that end at one moment the first look saw both.
                        self.ghosts.entry((branch, event)).or_insert_with(|| Arc::new(seen));
                    }
                    if let Some(ticks) = self.ticks.get_mut(self.history.current()) {
                        ticks.up = before;
                        ticks.note_up(event, now);
                    }
                }
                Step::Run(time) => {
                    let to = self.history.world().clock().0.saturating_add(time.0);
                    self.run_until(to);
                }
                Step::RunUntil(condition, within) => {
                    let limit = Instant(self.history.world().clock().0.saturating_add(within.0));
                    while !self.history.world().holds(&condition) && self.history.step_before(limit) {
                        self.note_ticks();
                    }
                    if !self.history.world().holds(&condition) {
                        return Err(format!("not within {within}: {condition}"));
                    }
                }
                other => {
                    return Err(format!("“{other}” is for scenarios in files; here an action or “run” can be done"));
                }
            }
        }
        self.learn_ticks();
        Ok(())
    }

    /// True if more is known of this branch than was so far: what is done makes another.
    pub(crate) fn is_past(&self) -> bool {
        self.history.is_past()
    }

    /// Makes a branch from here on.
    pub(crate) fn branch_off(&mut self) {
        self.history.branch_off();
        self.learn_ticks();
    }

    /// Looks at another branch, at its furthest moment.
    pub(crate) fn switch(&mut self, branch: usize) -> bool {
        self.forget();
        let name = self.history.branches().get(branch).map(|it| it.name.to_owned());
        let switched = name.is_some_and(|name| self.history.switch(&name).is_ok());
        self.learn_ticks();
        switched
    }

    /// The branch that is looked at as a scenario that plays it again.
    pub(crate) fn export(&self) -> String {
        Scenario::of(&self.history.run(), self.history.world().events()).to_string()
    }

    /// The first lines of that: the world, if so told, and what was done in it until this moment, from the action of a number on.
    pub(crate) fn lines(&self, with_setup: bool, from: usize) -> String {
        let mut text = if with_setup { self.history.world().setup().to_string() } else { String::new() };
        for it in self.history.done().iter().skip(from) {
            text.push_str(&format!("{it}\n"));
        }
        text
    }

    /// The branches, their number being their name for the room, and which is looked at.
    pub(crate) fn branches(&self) -> (usize, Vec<BranchView<'_>>) {
        (self.history.current(), self.history.branches())
    }

    /// The moment as plain data.
    pub(crate) fn view(&mut self) -> View {
        let ghosts = self.ghosts();
        self.learn_cuts();
        let mut tails = std::mem::take(&mut self.tails);
        let view = look::view(self, Past { ghosts: &ghosts, cuts: &self.cuts.2 }, &mut tails);
        if std::mem::take(&mut tails.is_rewritten) {
            self.windows.clear();
        }
        self.tails = tails;
        view
    }

    /// Records from an offset up to another, however long ago they were written: of a copy (`b1/orders-0`), or, as its leader
    /// has it, of a partition (`orders-0`).
    pub(crate) fn records(&mut self, log: &str, from: i64, to: i64) -> Arc<Vec<Record>> {
        if let Some((known_from, known_to, records)) = self.windows.get(log)
            && (*known_from, *known_to) == (from, to)
        {
            return Arc::clone(records);
        }
        let place = self.place(log);
        let records =
            place.map_or(Vec::new(), |(broker, it)| look::window(self.history.world(), &broker, &it, from, to));
        let records = Arc::new(records);
        // A window into what is not written yet will have more in it soon.
        if records.last().is_some_and(|it| it.offset + 1 == to) {
            self.windows.insert(log.to_owned(), (from, to, Arc::clone(&records)));
        }
        records
    }

    /// A record, however long ago it was written.
    pub(crate) fn record(&self, log: &str, offset: i64) -> Option<Record> {
        let (broker, place) = self.place(log)?;
        look::window(self.history.world(), &broker, &place, offset, offset + 1).pop()
    }

    /// The bytes of the batch that holds a record. Nothing if they cannot be read at this moment.
    pub(crate) fn explain_record(&self, log: &str, offset: i64) -> Vec<Row> {
        let batch = self.place(log).and_then(|(broker, place)| {
            self.history.world().batch_bytes(&broker, &place, Offset(offset)).ok().flatten()
        });
        batch.map_or(Vec::new(), |it| bytes::of_batch(&it))
    }

    /// `b1/orders-0` → the broker and the partition; without a broker its leader, or whoever runs and has it.
    fn place(&self, log: &str) -> Option<(String, TopicPartition)> {
        let (broker, partition) = log.split_once('/').unwrap_or(("", log));
        let (topic, number) = partition.rsplit_once('-')?;
        let place = TopicPartition { topic: topic.into(), partition: number.parse().ok()? };
        let broker =
            if broker.is_empty() { self.history.world().reader_of(&place)?.to_string() } else { broker.to_owned() };
        Some((broker, place))
    }

    /// The bytes of a message on its way. Nothing if it is not on its way.
    pub(crate) fn explain_message(&self, id: &str) -> Vec<Row> {
        let world = self.history.world();
        let found = world.messages().into_iter().find(|it| it.id().to_string() == id);
        let Some((message, (version, frame))) = found.and_then(|it| Some((it.what, world.frame(&it)?))) else {
            return Vec::new();
        };
        match message {
            MessageKind::Request(..) => bytes::of_request(frame),
            MessageKind::Response(api, _) => bytes::of_response(api, version, frame),
            MessageKind::Close => Vec::new(),
        }
    }

    /// What led to the last event, itself first.
    pub(crate) fn why(&mut self) -> Vec<Cause> {
        why::chain(&mut self.history)
    }

    /// What was looked at is of another moment.
    fn forget(&mut self) {
        self.tails = Tails::default();
        self.windows.clear();
        self.teller = Teller::default();
    }

    /// What was in the logs of the brokers that do not run before they ended; who ended last is the last.
    fn ghosts(&mut self) -> Vec<Ghost> {
        let world = self.history.world();
        let brokers: Vec<Str> = world.setup().brokers.iter().map(|it| it.name.clone()).collect();
        let (now, up) = (world.events(), up(world));
        let branch = self.history.branch().to_owned();
        let mut last: Vec<(u64, String)> = Vec::new();
        for (index, broker) in brokers.iter().enumerate() {
            // One that starts has not opened its logs yet: until then they are as they were.
            if up & 1 << index != 0 && world.is_serving(broker) {
                continue;
            }
            let ends = self.ticks.get(self.history.current()).map_or(&[][..], |it| &it.ends);
            if let Some((event, _)) = ends.iter().rfind(|it| it.0 <= now && it.1 & 1 << index != 0) {
                last.push((*event, broker.to_string()));
            }
        }
        ordered::sort(&mut last);
        let mut ghosts = Vec::new();
        for (event, broker) in last {
            ghosts.push(Ghost { broker, seen: self.seen_before(&branch, event) });
        }
        ghosts
    }

    /// The partitions before a broker ended, which was the event or an action after it.
    fn seen_before(&mut self, branch: &str, event: u64) -> Arc<Vec<Partition>> {
        let key = (branch.to_owned(), event);
        if !self.ghosts.contains_key(&key) {
            // It ended by itself, or in a scenario. A look into the past, and back to this moment.
            let ended_by = |it: &&Stamped| it.after == event && may_end_broker(&it.action);
            let action = self.history.actions().iter().find(ended_by).map(|it| (it.turns, it.at));
            let seen = self.at(event.saturating_sub(1), |history| {
                if let Some((turns, at)) = action {
                    history.stand_at(turns, at);
                }
                look::led(history.world())
            });
            self.ghosts.insert(key.clone(), Arc::new(seen));
        }
        self.ghosts.get(&key).cloned().unwrap_or_default()
    }

    /// Looks at another moment of the branch, and stands here again.
    fn at<T>(&mut self, event: u64, look: impl FnOnce(&mut History) -> T) -> T {
        let world = self.history.world();
        let (now, turns, clock) = (world.events(), world.turns(), world.clock());
        self.history.seek(event);
        let seen = look(&mut self.history);
        self.history.seek(now);
        self.history.stand_at(turns, clock);
        seen
    }

    /// Knows what the last event cut off logs.
    fn learn_cuts(&mut self) {
        let world = self.history.world();
        let (event, last) = (world.events(), world.last());
        if (self.cuts.1, &*self.cuts.0) == (event, self.history.branch()) {
            return;
        }
        let broker = world.name(last.process).to_string();
        let mut cut: Vec<(TopicPartition, i64)> = Vec::new();
        for it in &last.node_events {
            if let node::Event::Truncated { topic, partition, offset } = it {
                cut.push((TopicPartition { topic: topic.clone(), partition: *partition }, offset.0));
            }
        }
        self.cuts = (self.history.branch().to_owned(), event, Vec::new());
        if !cut.is_empty() {
            let gone = self.at(event - 1, |history| {
                let look = |(place, from): &(TopicPartition, i64)| {
                    let records = look::window(history.world(), &broker, place, *from, i64::MAX);
                    (broker.clone(), place.to_string(), Arc::new(records))
                };
                cut.iter().map(look).collect()
            });
            self.cuts.2 = gone;
        }
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// A search for the last moment at which the last loss could have been avoided, if acknowledged records are lost.
    pub(crate) fn rescue(&self) -> Option<Rescue> {
        Rescue::begin(&self.history)
    }

    /// What happened on this branch, as marks.
    pub(crate) fn ticks(&self) -> &[Tick] {
        self.ticks.get(self.history.current()).map_or(&[], |it| &it.list)
    }

    /// Marks what the last event was, if it is a new one.
    fn note_ticks(&mut self) {
        let world = self.history.world();
        let (event, last) = (world.events(), world.last());
        let Some(ticks) = self.ticks.get_mut(self.history.current()) else { return };
        if event <= ticks.known {
            return;
        }
        ticks.known = event;
        ticks.note_up(event, up(world));
        let serves = last.node_events.iter().any(|it| matches!(it, node::Event::Started));
        let retry = last.client_events.iter().any(|it| matches!(it, client::Event::BatchRetried { .. }));
        let ack = last.client_events.iter().any(|it| matches!(it, client::Event::BatchAcked { .. }));
        let isr = |it: &node::Event| matches!(it, node::Event::Isr { .. } | node::Event::Leads { .. });
        let isr = last.node_events.iter().any(isr);
        let cut = last.node_events.iter().any(|it| matches!(it, node::Event::Truncated { .. }));
        let quorum_epoch = world.checks().quorum_epoch();
        let elected = quorum_epoch > std::mem::replace(&mut ticks.quorum_epoch, quorum_epoch);
        let kinds = [
            (elected, Kind::Election),
            (serves, Kind::Serves),
            (cut, Kind::Cut),
            (isr, Kind::Isr),
            (retry, Kind::Retry),
            (ack, Kind::Ack),
        ];
        if let Some((_, kind)) = kinds.into_iter().find(|it| it.0) {
            ticks.note(Tick { event, kind });
        }
    }

    /// Knows what was done since on the branch that is looked at; a new branch has its parent's marks up to where it left.
    fn learn_ticks(&mut self) {
        for branch in &self.history.branches()[self.ticks.len()..] {
            let inherited = branch.from.and_then(|(parent, event)| {
                let parent = self.ticks.get(parent)?;
                let stays = |it: &&Tick| it.event <= event && it.kind != Kind::Action;
                let list = parent.list.iter().filter(stays).copied().collect();
                let ends = parent.ends.iter().filter(|it| it.0 <= event).copied().collect();
                Some(Ticks { list, ends, quorum_epoch: parent.quorum_epoch, known: event, ..Ticks::default() })
            });
            self.ticks.push(inherited.unwrap_or_default());
        }
        if let Some(ticks) = self.ticks.get_mut(self.history.current()) {
            let actions = self.history.actions();
            for it in actions.iter().skip(ticks.actions) {
                ticks.note(Tick { event: it.after, kind: Kind::Action });
            }
            ticks.actions = actions.len();
        }
    }
}

/// The scenario of a room with so many brokers, each a controller too. One topic of three partitions, spread over them: three
/// copies of each where there are three brokers, and then two have to have a record before it counts as safe.
fn cluster(brokers: usize) -> String {
    let mut text = "seed 1729\nnetwork 2ms..6ms\ndisk 300us..1500us\nsync 2ms..8ms\n".to_owned();
    for it in 1..=brokers {
        text.push_str(&format!("broker b{it}\n"));
    }
    for it in 1..=brokers {
        text.push_str(&format!("run until serving b{it}\n"));
    }
    let copies = brokers.min(3);
    text.push_str("topic orders partitions=3");
    for partition in 0..3 {
        let first = partition * brokers / 3;
        let names: Vec<String> = (first..first + copies).map(|it| format!("b{}", it % brokers + 1)).collect();
        text.push_str(&format!(" replicas={}", names.join(",")));
    }
    text.push_str(&format!(" min.insync.replicas={}\n{CLIENTS}", copies.div_ceil(2)));
    text
}

/// What a knob asks after.
fn questions(scenario: &Scenario, knob: usize) -> Vec<&Query> {
    let steps = scenario.story.knobs.get(knob).map_or(&[][..], |it| &it.steps);
    let mut questions = Vec::new();
    for (_, step) in steps {
        if let Step::Expect(query, _) = step {
            questions.push(query);
        }
    }
    questions
}

impl Ticks {
    /// Remembers a tick. Where there are too many, half of those go of which there are most: acks, not elections.
    fn note(&mut self, tick: Tick) {
        if self.list.len() >= TICKS {
            let count = |kind: Kind| self.list.iter().filter(|it| it.kind == kind).count();
            let most = Kind::ALL.into_iter().max_by_key(|it| count(*it));
            let mut goes = false;
            self.list.retain(|it| {
                goes ^= Some(it.kind) == most;
                Some(it.kind) != most || !goes
            });
        }
        self.list.push(tick);
    }

    /// Knows which brokers run after an event.
    fn note_up(&mut self, event: u64, up: u64) {
        if self.up & !up != 0 {
            self.ends.push((event, self.up & !up));
        }
        self.up = up;
    }
}

/// Which brokers run, a bit each.
fn up(world: &World) -> u64 {
    world.powers().take(MOST).enumerate().fold(0, |up, (index, it)| up | u64::from(it.is_up()) << index)
}

/// True for an action after which a broker may be gone at once. One that ends by itself is seen when it does.
fn may_end_broker(action: &Action) -> bool {
    matches!(action, Action::Kill(_) | Action::PowerCut(_) | Action::PowerCutTorn(_))
}

#[cfg(test)]
mod tests;
