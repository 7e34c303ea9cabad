//! The engine as the room and scripts use it: a history of a simulated world, acted on by lines of text.

mod acting;
mod clusters;
mod inspection;
mod opening;
mod past;
mod search;
pub(crate) mod spacetime;
#[cfg(test)]
mod tests;
mod ticks;

use std::sync::Arc;

use client::OpId;
use ordered::Map;
use protocol::{Instant, Str, TopicPartition};
use sim::export::Shared;
use sim::files::Folder;
use sim::history::{BranchView, ENGINE, Run, Stamped};
use sim::metadata::Member;
use sim::rescue::Rescue;
use sim::script::{Condition, Mark, Played, Playing, Query, Scenario, Step, Story};
use sim::{Action, History};

use crate::groups;
use crate::look::{self, Cut, Past, Tails};
use crate::memory;
use crate::telling::Teller;
use crate::view::{Group, Partition, Record, View};
use crate::why::{self, Cause};
use clusters::{BROKERS, cluster};
pub(crate) use opening::Opening;
use search::Search;
pub(crate) use search::Until;
pub(crate) use ticks::Kind;
use ticks::Ticks;

/// Events between two looks at the page's clock.
const GRAIN: u32 = 16;
/// Nodes of a run at most: which of them run is a bit each.
const MOST: usize = 64;

/// The room that opens by itself.
pub(crate) const ROOM: &str = "3";

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
    /// Watches what is on its way, as long as somebody looks at that.
    recorder: Option<spacetime::Recorder>,
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
    /// Answers to what was asked in lines, that nobody was told yet.
    said: Vec<String>,
    /// What the cluster answered the admin, that nobody was told yet.
    heard: Vec<(OpId, client::Outcome)>,
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

    /// The run that a knob of the scenario makes.
    pub(crate) fn vary(&self, knob: usize) -> Result<Opening, String> {
        let playing = Playing::of_guest_knob(&self.scenario, knob).ok_or("there is no such knob")?;
        playing.map(Opening::Played)
    }

    /// What the questions that a knob asks were answered at the end of this run, and of the one that the knob makes.
    pub(crate) fn outcomes(&self, knob: usize, varied: &Engine) -> Vec<Outcome> {
        let answers = varied.answers(&self.scenario, knob);
        let told = self.told.get(knob).cloned().unwrap_or_default();
        let asked = questions(&self.scenario, knob).into_iter().map(|it| it.to_string());
        asked.zip(told).zip(answers).map(|((asked, told), here)| (asked, told, here)).collect()
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

    /// A scenario that was played, at its end.
    fn of_played(scenario: Scenario, played: Played) -> Result<Engine, String> {
        let (mut engine, end) = Engine::begun(scenario, played)?;
        while engine.history.world().events() < end && engine.step() {}
        // The scenario expects what is refused in it.
        engine.heard.clear();
        Ok(engine)
    }

    /// The same at its beginning, and how many events it has: each is to be passed once more, for the marks of the timeline.
    fn begun(scenario: Scenario, played: Played) -> Result<(Engine, u64), String> {
        if let Some(failure) = played.failures.first() {
            return Err(failure.to_string());
        }
        let mut engine = Engine::over(scenario, played.history, played.marks);
        for knob in 0..engine.scenario.story.knobs.len() {
            engine.told.push(engine.answers(&engine.scenario, knob));
        }
        let end = engine.history.world().events();
        engine.history.seek(0);
        Ok((engine, end))
    }

    /// A shared run at its beginning: [`Engine::revisit`] leads to its moment. Whichever engine recorded it,
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
        self.heard.clear();
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
            recorder: None,
            ghosts: Map::new(),
            cuts: (String::new(), 0, Vec::new()),
            tails: Tails::default(),
            windows: Map::new(),
            teller: Teller::default(),
            marks,
            told: Vec::new(),
            said: Vec::new(),
            heard: Vec::new(),
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

    /// One turn on: whether it was an event. Nothing if nothing will ever happen by itself.
    fn turn(&mut self) -> Option<bool> {
        let is_event = self.history.turn_before(Instant(u64::MAX))?;
        if is_event {
            self.note_ticks();
        }
        Some(is_event)
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

    /// To the moment at which another run stands, if that is of this one: from the same beginning, with the same actions as far as
    /// it goes. False if it is not, and nothing is changed.
    pub(crate) fn stand_as(&mut self, other: &Engine) -> bool {
        let (here, there) = (&self.history, &other.history);
        let done = there.done();
        if here.world().setup() != there.world().setup() || !here.actions().starts_with(done) {
            return false;
        }
        let world = there.world();
        let (event, turns, at, hash) = (world.events(), world.turns(), world.clock(), world.hash());
        self.forget();
        self.history.revisit(event, turns, at);
        self.history.world().hash() == hash
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
                if !self.go_before(target) {
                    // Who is full is there: it goes no further.
                    if !memory::is_full() {
                        self.history.run_until(target);
                    }
                    return true;
                }
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

    /// The event most worth telling of what passed since it was asked for last, and its sentence.
    pub(crate) fn tell(&mut self) -> Option<(u64, String)> {
        self.teller.tell()
    }

    /// To a time of the virtual clock; says why if it did not come so far.
    pub(crate) fn run_until(&mut self, at_us: u64) -> Result<(), String> {
        while self.go_before(Instant(at_us)) {}
        if let Some(words) = memory::full() {
            return Err(words);
        }
        self.history.run_until(Instant(at_us));
        Ok(())
    }

    /// One event on, if it comes before a time, and there is memory for what comes of it.
    fn go_before(&mut self, limit: Instant) -> bool {
        let goes = !memory::is_full() && self.history.step_before(limit);
        if goes {
            self.note_ticks();
        }
        goes
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

    /// Gives the branch that is looked at another name.
    pub(crate) fn rename(&mut self, name: &str) {
        let old = self.history.branch().to_owned();
        for ((branch, event), seen) in std::mem::take(&mut self.ghosts) {
            self.ghosts.insert((if branch == old { name.to_owned() } else { branch }, event), seen);
        }
        // It has a name, so it can have another.
        let _ = self.history.rename(&old, name);
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

    /// A little later: of what was looked at, what moves from frame to frame.
    pub(crate) fn glance(&self, view: &mut View) {
        let world = self.history.world();
        view.time_us = world.clock().0;
        view.messages = look::messages(&world.messages());
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

    /// What led to the last event, itself first.
    pub(crate) fn why(&mut self) -> Vec<Cause> {
        why::chain(&mut self.history)
    }

    /// What was looked at is of another moment.
    fn forget(&mut self) {
        self.tails = Tails::default();
        self.windows.clear();
        self.teller = Teller::default();
        self.rest_us = 0.0;
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// A search for the last moment at which the last loss could have been avoided, if acknowledged records are lost.
    pub(crate) fn rescue(&self) -> Option<Rescue> {
        Rescue::begin(&self.history)
    }
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
