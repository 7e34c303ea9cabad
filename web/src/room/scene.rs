//! All that the room shows at one moment: what its drawings are functions of.

use std::sync::Arc;

use ordered::Map;
use sim::zookeeper::Model;

use super::inspector::Level;
use super::lesson::{Lesson, Mode};
use super::motion::Motion;
use super::{apart, drawings, fields, files, lanes, ledger, log, quorum, rescue, said, spacetime, stage, zookeeper};
use crate::bytes::Sheet;
use crate::draw;
use crate::engine::{Engine, Kind};
use crate::view::{Client, Message, Partition, Record, Replica, Role, State, View};
use crate::why::Cause;

/// Logs in sight at most.
const LOGS: usize = 6;
/// Lines that the terminal keeps.
const LINES: usize = 200;
/// Marks of the timeline that are told in words.
const TICKS: usize = 60;
/// Up to this column of a line a sign beneath it shows what is wrong.
const COLUMNS: usize = 60;

/// What a person looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Selection {
    /// Nothing in particular.
    #[default]
    Nothing,
    /// A record: its copy (`b1/orders-0`) and the offset.
    Record(String, i64),
    /// A record of the metadata log, by its offset.
    Entry(i64),
    /// A broker or a client, by its name.
    Process(String),
    /// A partition, by its name.
    Partition(String),
    /// A consumer group, by its name.
    Group(String),
    /// A timer: whose, and what for.
    Timer(String, String),
    /// What is promised, by the check's name.
    Check(String),
    /// What was found to be lost, repeated or reordered, by its number.
    Finding(usize),
    /// A message, as it was when it was selected: it may have arrived since.
    Message(Message),
}

impl Selection {
    /// As a `data-do` says it, of what is there also for whoever opens a link.
    pub(crate) fn deed(&self) -> Option<String> {
        Some(match self {
            Selection::Nothing | Selection::Message(_) => return None,
            Selection::Record(copy, offset) => format!("record:{copy}:{offset}"),
            Selection::Entry(offset) => format!("entry:{offset}"),
            Selection::Process(it) => format!("process:{it}"),
            Selection::Partition(it) => format!("partition:{it}"),
            Selection::Group(it) => format!("group:{it}"),
            Selection::Timer(process, what) => format!("timer:{process}/{what}"),
            Selection::Check(it) => format!("check:{it}"),
            Selection::Finding(it) => format!("finding:{it}"),
        })
    }
}

/// A line of the terminal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) time_us: u64,
    pub(crate) text: String,
    pub(crate) voice: Voice,
}

/// Who says a line of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Whoever acts.
    Typed,
    /// The lab: an answer, or what was wrong.
    Answer,
    Wrong,
}

/// A partition's row: which records are in sight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// Where a person has scrolled to; otherwise the end is followed.
    pub(crate) held: Option<i64>,
    /// The first offset in sight.
    pub(crate) first: i64,
    /// One past the last offset in sight.
    end: i64,
    /// Of each copy the records in sight, and others.
    lines: Vec<Arc<Vec<Record>>>,
}

impl Sight {
    /// A copy's records in sight.
    pub(crate) fn cells(&self, line: usize) -> &[Record] {
        self.lines.get(line).map_or(&[], |it| within(it, self.first, self.end))
    }
}

/// What the bar, the forms and the buttons show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chrome {
    pub(crate) playing: bool,
    pub(crate) speed: f64,
    pub(crate) producers: Vec<String>,
    /// How many records producers send by themselves.
    pub(crate) sends: String,
}

/// The room at a moment.
pub(crate) struct Scene {
    pub(crate) seed: u64,
    pub(crate) view: View,
    /// What happened on this branch: kind, and where on the timeline, in [`Scene::SLOTS`]ths of it.
    pub(crate) marks: Vec<(Kind, usize)>,
    /// The same in words, as far as it is told in a table: the newest, but no acks.
    pub(crate) ticks: Vec<(u64, String)>,
    /// Of which drawing somebody wants a table.
    pub(crate) table: String,
    /// Whoever looks would rather see where things are than how they move.
    pub(crate) is_motionless: bool,
    /// Frames since it began to move.
    frames: u64,
    pub(crate) motion: Motion,
    /// The decimal logarithm of the speed.
    pub(crate) speed: f64,
    pub(crate) sentence: String,
    pub(crate) selection: Selection,
    /// How close it is looked at.
    pub(crate) level: Level,
    /// What led to what is selected, where that is asked for.
    pub(crate) story: Vec<Cause>,
    /// The bytes of what is selected, where it has any, and the field that is chosen in them.
    pub(crate) bytes: Vec<Sheet>,
    pub(crate) field: Option<fields::Place>,
    /// The selected record, if it can be read at this moment.
    pub(crate) record: Option<Record>,
    /// What the client that is selected is set to.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Why the last event happened, as long as somebody wants to know.
    pub(crate) why: Vec<Cause>,
    pub(crate) lines: Vec<Line>,
    /// How many lines back the arrows have gone.
    pub(crate) recalled: usize,
    /// What the last word of the line that is typed can be.
    pub(crate) offers: Vec<String>,
    pub(crate) help: bool,
    /// One column instead of three.
    pub(crate) narrow: bool,
    /// Columns of a log in sight, and how wide each is in pixels.
    pub(crate) columns: i64,
    pub(crate) cell: f64,
    pub(crate) sights: Map<String, Sight>,
    /// The key of the record that a person is about to send.
    pub(crate) key: String,
    /// The partition whose copies are in sight; the first unless somebody chose.
    pub(crate) chosen: String,
    /// The process that is to be broken, and both ends of the ways that are to be, as far as somebody chose them.
    pub(crate) target: String,
    pub(crate) ends: [Vec<String>; 2],
    /// All that can be broken is in sight, not only what often breaks.
    pub(crate) more: bool,
    /// Of the messages on their way, those with these words are listed, from this page on.
    pub(crate) sought: String,
    pub(crate) page: usize,
    /// The room, as the page's address names it.
    pub(crate) room: &'static str,
    /// What the room tells, if it is a scenario.
    pub(crate) lesson: Option<Lesson>,
    pub(crate) quorum: quorum::Sight,
    pub(crate) files: files::Sight,
    pub(crate) spacetime: spacetime::Sight,
    /// The same scenario with other settings, side by side; and which of them is the one that all other views show.
    pub(crate) lanes: Vec<lanes::Sight>,
    pub(crate) lane: usize,
    /// Of what is said, what was seen so far.
    pub(crate) said: said::Said,
    /// The model beside the run, in the lesson that has one.
    pub(crate) zookeeper: Option<Model>,
    /// Where this run parts from another, if somebody asked.
    pub(crate) apart: Option<apart::Apart>,
    /// Since when it was too late, if somebody asked.
    pub(crate) rescue: Option<rescue::Asked>,
    pub(crate) ledger: ledger::Sight,
}

impl Scene {
    /// Places on the timeline: marks closer than that are one.
    pub(crate) const SLOTS: usize = 300;

    /// The room before anything was looked at.
    pub(crate) fn new(seed: u64) -> Scene {
        Scene {
            seed,
            view: View::default(),
            marks: Vec::new(),
            ticks: Vec::new(),
            table: String::new(),
            is_motionless: false,
            frames: 0,
            motion: Motion::Still,
            speed: -2.0,
            sentence: String::new(),
            selection: Selection::Nothing,
            level: Level::default(),
            story: Vec::new(),
            bytes: Vec::new(),
            field: None,
            record: None,
            settings: Vec::new(),
            why: Vec::new(),
            lines: Vec::new(),
            recalled: 0,
            offers: Vec::new(),
            help: false,
            narrow: false,
            columns: 12,
            cell: 44.0,
            sights: Map::new(),
            key: "eva".to_owned(),
            chosen: String::new(),
            target: String::new(),
            ends: Default::default(),
            more: false,
            sought: String::new(),
            page: 0,
            room: "",
            lesson: None,
            quorum: quorum::Sight::default(),
            files: files::Sight::default(),
            spacetime: spacetime::Sight::default(),
            lanes: Vec::new(),
            lane: 0,
            said: Vec::new(),
            zookeeper: None,
            apart: None,
            rescue: None,
            ledger: ledger::Sight::default(),
        }
    }

    /// Keeps what does not belong to a run: how large the page is, how fast time passes, what is in the form's field, and what is said
    /// of Kafka and was seen.
    pub(crate) fn carry_on(&mut self, old: &mut Scene) {
        (self.columns, self.cell, self.narrow, self.speed) = (old.columns, old.cell, old.narrow, old.speed);
        self.key = std::mem::take(&mut old.key);
        // Every run would say the same again.
        self.said = std::mem::take(&mut old.said);
    }

    /// Looks at the engine, and at what is drawn in the next turn of [`drawings`](super::drawings) alone if that is in it; only at what
    /// moves where that is enough: a whole look is a fifth of a frame. True if another event is the last than before.
    pub(crate) fn look(&mut self, engine: &mut Engine, turn: u32, whole: bool) -> bool {
        let moved = if whole || !self.has_all_in_sight() {
            self.look_at_all(engine)
        } else {
            engine.glance(&mut self.view);
            false
        };
        self.frames += 1;
        if let Some(lesson) = &mut self.lesson
            && let (Mode::Puzzle(it), Some(puzzle)) = (&mut lesson.mode, &lesson.story.puzzle)
        {
            it.holds = engine.holds(&puzzle.goals);
            it.is_solved |= it.holds.iter().all(|it| *it);
        }
        if drawings::is_turn_of(drawings::TIME, turn) {
            self.mark(engine);
        }
        if drawings::is_turn_of(drawings::SIDE, turn) {
            self.ledger.look(engine.history().world());
        }
        // These read whole files.
        if drawings::is_turn_of(drawings::QUORUM, turn) {
            self.quorum.members = engine.quorum(self.quorum.before, quorum::COLUMNS);
        }
        if drawings::is_turn_of(drawings::FILES, turn) {
            self.files.settle(&self.view);
            self.files.folder = engine.folder(&self.files.broker, &self.files.partition);
        }
        if drawings::is_turn_of(drawings::SPACETIME, turn) {
            let recent = engine.recent(spacetime::is_open(self));
            self.spacetime.learn(recent);
        }
        if drawings::is_turn_of(drawings::MODEL, turn) && self.room == zookeeper::ROOM {
            self.zookeeper = Some(zookeeper::look(engine));
        }
        moved
    }

    fn look_at_all(&mut self, engine: &mut Engine) -> bool {
        let before = (self.view.event, self.view.branch);
        // What is looked at anew is let go first: where nobody else holds them, the newest records grow in place.
        self.view = View::default();
        for sight in self.sights.values_mut() {
            sight.lines.clear();
        }
        self.view = engine.view();
        let moved = (self.view.event, self.view.branch) != before;
        if moved {
            self.why.clear();
        }
        self.settle();
        let shown: Vec<String> = self.shown().into_iter().map(|it| it.name.clone()).collect();
        let partitions = std::mem::take(&mut self.view.partitions);
        for partition in partitions.iter().filter(|it| shown.contains(&it.name)) {
            self.focus(engine, partition);
        }
        self.view.partitions = partitions;
        self.record = match &self.selection {
            Selection::Record(name, offset) => self.find_record(engine, name, *offset),
            _ => None,
        };
        self.settings = match &self.selection {
            Selection::Process(name) => {
                let is_consumer = self.client(name).is_some_and(|it| it.role == Role::Consumer);
                engine.settings(name, is_consumer)
            }
            _ => Vec::new(),
        };
        moved
    }

    /// True if the records of all logs in sight are there.
    fn has_all_in_sight(&self) -> bool {
        self.shown().iter().all(|it| self.sights.get(&it.name).is_some_and(|sight| !sight.lines.is_empty()))
    }

    /// True if it is time to look at the other lanes.
    pub(crate) fn looks_around(&self) -> bool {
        self.is_still() || self.frames.is_multiple_of(8) || self.lanes.is_empty()
    }

    fn mark(&mut self, engine: &Engine) {
        let last = self.view.last_event.max(1);
        let mut taken = [[false; Scene::SLOTS + 1]; Kind::ALL.len()];
        for tick in engine.ticks() {
            let slot = (tick.event.min(last) * Scene::SLOTS as u64 / last) as usize;
            taken[tick.kind as usize][slot] = true;
        }
        self.marks.clear();
        for kind in Kind::ALL {
            let slots = taken[kind as usize].iter().enumerate().filter(|it| *it.1);
            self.marks.extend(slots.map(|(slot, _)| (kind, slot)));
        }
        self.ticks = if self.table == "time" { engine.told_ticks(TICKS) } else { Vec::new() };
    }

    /// What the bar, the forms and the buttons show.
    pub(crate) fn chrome(&self) -> Chrome {
        Chrome { playing: !self.is_still(), speed: self.speed, producers: self.producers(), sends: self.sends() }
    }

    /// Brings a row's records up to date.
    fn focus(&mut self, engine: &mut Engine, partition: &Partition) {
        let sight = self.sights.entry(partition.name.clone()).or_default();
        // Columns stay free for what comes next and for the words at the end. A copy may have more than its leader: until it is cut.
        let end = partition.replicas.iter().map(|it| it.log_end).max().unwrap_or(0).max(partition.log_end);
        let follow = (end + if self.narrow { 1 } else { 2 } - self.columns).max(0);
        sight.first = sight.held.map_or(follow, |it| it.clamp(partition.log_start.min(follow), follow));
        let (from, to) = (sight.first, sight.first + self.columns);
        sight.end = to;
        sight.lines.clear();
        for replica in &partition.replicas {
            let newest = &replica.records;
            let is_older = newest.first().is_none_or(|it| it.offset > from.max(replica.log_start));
            sight.lines.push(if is_older && replica.is_there && replica.log_end > from {
                engine.records(&log::key(partition, replica), from, to.min(replica.log_end))
            } else {
                Arc::clone(newest)
            });
        }
    }

    fn find_record(&self, engine: &mut Engine, copy: &str, offset: i64) -> Option<Record> {
        let (_, replica) = self.replica(copy)?;
        let newest = within(&replica.records, offset, offset + 1).first().cloned();
        let older = || {
            let readable = replica.is_there && (replica.log_start..replica.log_end).contains(&offset);
            readable.then(|| engine.record(copy, offset)).flatten()
        };
        newest.or_else(older)
    }

    /// What nobody has chosen, or is not there, is the first that is.
    fn settle(&mut self) {
        if self.partition(&self.chosen).is_none() {
            let first = self.view.partitions.iter().find(|it| !stage::is_internal(it)).or(self.view.partitions.first());
            self.chosen = first.map_or(String::new(), |it| it.name.clone());
        }
        if self.target().is_none_or(|it| it.0 != self.target) {
            self.target = self.target().map_or(String::new(), |it| it.0.to_owned());
        }
    }

    /// The partition whose copies are in sight.
    pub(crate) fn chosen_partition(&self) -> Option<&Partition> {
        self.partition(&self.chosen)
    }

    /// The partitions of a topic.
    pub(crate) fn partitions_of(&self, topic: &str) -> Vec<&Partition> {
        self.view.partitions.iter().filter(|it| it.topic == topic).collect()
    }

    /// The partitions whose logs are in sight: the chosen one, or, where each has but one copy, all, or at least those of its topic.
    pub(crate) fn shown(&self) -> Vec<&Partition> {
        let Some(chosen) = self.chosen_partition() else { return Vec::new() };
        let few = |it: &[&Partition]| it.len() <= LOGS && it.iter().all(|it| it.replicas.len() < 2);
        let all: Vec<&Partition> = self.view.partitions.iter().filter(|it| !stage::is_internal(it)).collect();
        let of_topic = self.partitions_of(&chosen.topic);
        if few(&all) && !stage::is_internal(chosen) {
            all
        } else if few(&of_topic) {
            of_topic
        } else {
            vec![chosen]
        }
    }

    /// A copy by its name (`b1/orders-0`), and the partition that it is of.
    pub(crate) fn replica(&self, copy: &str) -> Option<(&Partition, &Replica)> {
        let (broker, partition) = copy.split_once('/')?;
        let partition = self.partition(partition)?;
        Some((partition, partition.replicas.iter().find(|it| it.broker == broker)?))
    }

    /// Everybody: nodes first, then clients.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (&str, State)> {
        let nodes = self.view.brokers.iter().map(|it| (&*it.name, it.state));
        nodes.chain(self.view.clients.iter().map(|it| (&*it.name, it.state)))
    }

    /// Aims at a process: it is the one that is to be broken, and the end of ways that are.
    pub(crate) fn aim(&mut self, name: &str) {
        self.target = name.to_owned();
        self.ends[0].clear();
    }

    /// The process that is to be broken.
    pub(crate) fn target(&self) -> Option<(&str, State)> {
        self.processes().find(|it| it.0 == self.target).or_else(|| self.processes().next())
    }

    /// The topic of what is sent by hand: that of the chosen partition, or the first that is not Kafka's own.
    pub(crate) fn topic(&self) -> String {
        let is_own = |it: &&Partition| !stage::is_internal(it);
        let first = || self.view.partitions.iter().find(is_own);
        let found = self.chosen_partition().filter(is_own).or_else(first);
        found.map_or_else(|| "orders".to_owned(), |it| it.topic.clone())
    }

    /// How many records all producers that run send by themselves.
    pub(crate) fn sends(&self) -> String {
        let running = self.view.clients.iter().filter(|it| it.state == State::Up);
        let rate: f64 = running.filter_map(|it| it.every_us).map(|it| 1e6 / it.max(1) as f64).sum();
        if rate > 0.0 { format!("{} records/s", draw::tenths(rate)) } else { "nothing".to_owned() }
    }

    /// A partition by name.
    pub(crate) fn partition(&self, name: &str) -> Option<&Partition> {
        self.view.partitions.iter().find(|it| it.name == name)
    }

    /// A client by name.
    pub(crate) fn client(&self, name: &str) -> Option<&Client> {
        self.view.clients.iter().find(|it| it.name == name)
    }

    /// The event that broke the check that is selected, or at which what is selected was found.
    pub(crate) fn event_found(&self) -> Option<u64> {
        match &self.selection {
            Selection::Check(name) => self.view.checks.iter().find(|it| it.name == *name)?.broken_at,
            Selection::Finding(number) => self.view.findings.get(*number).map(|it| it.event),
            _ => None,
        }
    }

    /// The names of all producers.
    pub(crate) fn producers(&self) -> Vec<String> {
        self.view.clients.iter().filter(|it| it.role == Role::Producer).map(|it| it.name.clone()).collect()
    }

    /// True while time stands still.
    pub(crate) fn is_still(&self) -> bool {
        self.motion == Motion::Still
    }

    /// True while time passes: what moves is then on the canvas instead of among the elements.
    pub(crate) fn flies(&self) -> bool {
        !self.is_still()
    }

    /// Scrolls a row.
    pub(crate) fn scroll(&mut self, name: &str, by: i64) {
        let Some(partition) = self.partition(name) else { return };
        let end = partition.replicas.iter().map(|it| it.log_end).max().unwrap_or(0).max(partition.log_end);
        let columns = self.columns;
        if let Some(sight) = self.sights.get_mut(name) {
            let to = sight.first + by;
            sight.held = (to + columns <= end).then_some(to);
        }
    }

    /// Adds a line to the terminal, and what was wrong with it: where in it, if that is known.
    pub(crate) fn write(&mut self, text: &str, error: Option<&str>) {
        self.add_line(text.to_owned(), Voice::Typed);
        if let Some(error) = error {
            let place = error.strip_prefix("column ").and_then(|it| it.split_once(": "));
            let place = place.and_then(|(column, words)| Some((column.parse::<usize>().ok()?, words)));
            let words = match place {
                Some((column @ 1..=COLUMNS, words)) => format!("{}^ {words}", " ".repeat(column - 1)),
                _ => error.to_owned(),
            };
            self.add_line(words, Voice::Wrong);
        }
    }

    /// Adds a line of what the cluster refuses.
    pub(crate) fn refuse(&mut self, what: &str) {
        self.fail(format!("refused: {what}"));
    }

    /// Adds a line of what went wrong.
    pub(crate) fn fail(&mut self, what: String) {
        self.add_line(what, Voice::Wrong);
    }

    /// Adds a line of an answer.
    pub(crate) fn answer(&mut self, text: String) {
        self.add_line(text, Voice::Answer);
    }

    fn add_line(&mut self, text: String, voice: Voice) {
        let number = self.lines.last().map_or(0, |it| it.number + 1);
        self.lines.push(Line { number, time_us: self.view.time_us, text, voice });
        let excess = self.lines.len().saturating_sub(LINES);
        self.lines.drain(..excess);
    }
}

/// The records from an offset up to another, of records in order of offsets.
fn within(records: &[Record], from: i64, to: i64) -> &[Record] {
    let first = records.partition_point(|it| it.offset < from);
    let last = records.partition_point(|it| it.offset < to);
    records.get(first..last).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_producers_send_is_that_of_those_that_run() {
        let mut engine = Engine::new("3").unwrap();
        let mut scene = Scene::new(1);
        for (line, words) in [
            ("unload p1", "nothing"),
            ("load p1 orders every=10ms", "100 records/s"),
            ("load p2 orders every=40ms", "125 records/s"),
            ("kill p1", "25 records/s"),
        ] {
            if words == "nothing" {
                ["p2", "p3"].iter().for_each(|it| engine.act(&format!("unload {it}")).unwrap());
            }
            engine.act(line).unwrap();
            scene.view = engine.view();
            assert_eq!(scene.sends(), words, "{line}");
        }
    }

    #[test]
    fn what_belongs_to_no_run_goes_along() {
        let (mut old, mut scene) = (Scene::new(1), Scene::new(2));
        (old.speed, old.columns, old.narrow, old.key) = (1.5, 7, true, "lea".to_owned());
        old.said.push(Ok(Vec::new()));
        old.chosen = "orders-1".to_owned();
        scene.carry_on(&mut old);
        assert_eq!((scene.speed, scene.columns, scene.narrow, &*scene.key), (1.5, 7, true, "lea"));
        assert_eq!((scene.said.len(), &*scene.chosen, scene.seed), (1, "", 2));
    }
}
