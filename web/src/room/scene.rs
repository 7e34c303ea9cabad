//! All that the room shows at one moment: what its drawings are functions of.

use std::sync::Arc;

use ordered::Map;

use super::rooms::Lesson;
use super::state::Motion;
use super::{files, quorum};
use crate::bytes::Row;
use crate::engine::{Engine, Kind};
use crate::view::{Broker, Client, Message, Partition, Record, Role, View};
use crate::why::Cause;

/// Lines that the terminal keeps.
const LINES: usize = 200;

/// What a person looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Selection {
    /// Nothing in particular.
    #[default]
    Nothing,
    /// A record: the partition's name and the offset.
    Record(String, i64),
    /// A broker or a client, by its name.
    Process(String),
    /// A message, as it was when it was selected: it may have arrived since.
    Message(Message),
}

/// A line of the terminal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) time_us: u64,
    pub(crate) text: String,
    pub(crate) failed: bool,
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
    /// The records in sight, and others.
    records: Arc<Vec<Record>>,
}

impl Sight {
    /// The records in sight.
    pub(crate) fn cells(&self) -> &[Record] {
        within(&self.records, self.first, self.end)
    }
}

/// What the bar, the forms and the buttons show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chrome {
    pub(crate) playing: bool,
    pub(crate) speed: f64,
    pub(crate) broker_runs: bool,
    pub(crate) producers: Vec<String>,
}

/// The room at a moment.
pub(crate) struct Scene {
    pub(crate) seed: u64,
    pub(crate) view: View,
    /// What happened on this branch: kind, and where on the timeline, in [`Scene::SLOTS`]ths of it.
    pub(crate) marks: Vec<(Kind, usize)>,
    /// Frames since it began to move.
    frames: u64,
    pub(crate) motion: Motion,
    /// The decimal logarithm of the speed.
    pub(crate) speed: f64,
    pub(crate) sentence: String,
    pub(crate) selection: Selection,
    /// The bytes of what is selected, where it has any.
    pub(crate) bytes: Vec<Row>,
    /// The selected record, if it can be read at this moment.
    pub(crate) record: Option<Record>,
    /// Why the last event happened, as long as somebody wants to know.
    pub(crate) why: Vec<Cause>,
    pub(crate) lines: Vec<Line>,
    /// How many lines back the arrows have gone.
    pub(crate) recalled: usize,
    pub(crate) help: bool,
    /// One column instead of three.
    pub(crate) narrow: bool,
    /// Columns of a log in sight, and how wide each is in pixels.
    pub(crate) columns: i64,
    pub(crate) cell: f64,
    pub(crate) sights: Map<String, Sight>,
    /// The key of the record that a person is about to send.
    pub(crate) key: String,
    /// What the room tells, if it is a scenario.
    pub(crate) lesson: Option<Lesson>,
    pub(crate) quorum: quorum::Sight,
    pub(crate) files: files::Sight,
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
            frames: 0,
            motion: Motion::Still,
            speed: -2.0,
            sentence: String::new(),
            selection: Selection::Nothing,
            bytes: Vec::new(),
            record: None,
            why: Vec::new(),
            lines: Vec::new(),
            recalled: 0,
            help: false,
            narrow: false,
            columns: 12,
            cell: 44.0,
            sights: Map::new(),
            key: "eva".to_owned(),
            lesson: None,
            quorum: quorum::Sight::default(),
            files: files::Sight::default(),
        }
    }

    /// Looks at the engine. True if another event is the last than before.
    pub(crate) fn look(&mut self, engine: &mut Engine) -> bool {
        let before = (self.view.event, self.view.branch);
        // What is looked at anew is let go first: where nobody else holds them, the newest records grow in place.
        self.view = View::default();
        for sight in self.sights.values_mut() {
            sight.records = Arc::default();
        }
        self.view = engine.view();
        let moved = (self.view.event, self.view.branch) != before;
        if moved {
            self.why.clear();
        }
        self.frames += 1;
        // While it plays, marks change by less than an eye sees.
        if self.is_still() || self.frames.is_multiple_of(8) {
            self.mark(engine);
        }
        let partitions = std::mem::take(&mut self.view.partitions);
        for partition in &partitions {
            self.focus(engine, partition);
        }
        self.view.partitions = partitions;
        // These read whole files: while time passes, twice a second is enough.
        if self.is_still() || self.frames.is_multiple_of(32) {
            self.quorum.members = engine.quorum(self.quorum.before, quorum::COLUMNS);
            self.files.settle(&self.view);
            self.files.folder = engine.folder(&self.files.broker, &self.files.partition);
        }
        self.record = match &self.selection {
            Selection::Record(name, offset) => self.find_record(engine, name, *offset),
            _ => None,
        };
        moved
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
    }

    /// What the bar, the forms and the buttons show.
    pub(crate) fn chrome(&self) -> Chrome {
        Chrome {
            playing: !self.is_still(),
            speed: self.speed,
            broker_runs: self.broker().is_some_and(|it| it.state.runs()),
            producers: self.producers(),
        }
    }

    /// Brings a row's records up to date.
    fn focus(&mut self, engine: &mut Engine, partition: &Partition) {
        let sight = self.sights.entry(partition.name.clone()).or_default();
        // One column stays free for what comes next.
        let follow = (partition.log_end + 1 - self.columns).max(0);
        sight.first = sight.held.map_or(follow, |it| it.clamp(partition.log_start.min(follow), follow));
        let (from, to) = (sight.first, sight.first + self.columns);
        let newest = &partition.records;
        let is_older = newest.first().is_none_or(|it| it.offset > from.max(partition.log_start));
        sight.end = to;
        sight.records = if is_older && partition.leader.is_some() {
            engine.records(&partition.name, from, to.min(partition.log_end))
        } else {
            Arc::clone(newest)
        };
    }

    fn find_record(&self, engine: &mut Engine, name: &str, offset: i64) -> Option<Record> {
        let partition = self.partition(name)?;
        let newest = within(&partition.records, offset, offset + 1).first().cloned();
        let in_sight = || self.sights.get(name).and_then(|it| within(it.cells(), offset, offset + 1).first().cloned());
        let older = || {
            let readable = partition.leader.is_some() && (partition.log_start..partition.log_end).contains(&offset);
            // A window of its own: the row's stays as it is.
            readable.then(|| engine.record(name, offset)).flatten()
        };
        newest.or_else(in_sight).or_else(older)
    }

    /// A partition by name.
    pub(crate) fn partition(&self, name: &str) -> Option<&Partition> {
        self.view.partitions.iter().find(|it| it.name == name)
    }

    /// A client by name.
    pub(crate) fn client(&self, name: &str) -> Option<&Client> {
        self.view.clients.iter().find(|it| it.name == name)
    }

    /// The room's one broker.
    pub(crate) fn broker(&self) -> Option<&Broker> {
        self.view.brokers.first()
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
        let Some(end) = self.partition(name).map(|it| it.log_end) else { return };
        let columns = self.columns;
        if let Some(sight) = self.sights.get_mut(name) {
            let to = sight.first + by;
            sight.held = (to + columns <= end).then_some(to);
        }
    }

    /// Adds a line to the terminal, and what was wrong with it.
    pub(crate) fn write(&mut self, text: &str, error: Option<&str>) {
        let time_us = self.view.time_us;
        let mut number = self.lines.last().map_or(0, |it| it.number + 1);
        for (text, failed) in [(Some(text), false), (error, true)] {
            if let Some(text) = text {
                self.lines.push(Line { number, time_us, text: text.to_owned(), failed });
                number += 1;
            }
        }
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
