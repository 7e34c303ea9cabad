//! What the room shows and what it does: the engine, and signals that change only when what they tell has changed.

use std::cell::RefCell;
use std::rc::Rc;

use leptos::prelude::*;

use crate::engine::{Engine, Until};
use crate::view::{Branch, Broker, Check, Client, Message, Partition, View};

/// Engine time a frame while the room plays, in ms: drawing needs the rest of 8.
const SLICE_MS: f64 = 3.5;
/// Between two sentences while the room plays, in ms: a person has to read them.
const SENTENCE_MS: f64 = 1_400.0;
/// A frame longer than this was no frame: the tab was away.
const LONGEST_FRAME_MS: f64 = 100.0;
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
}

/// What moves the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Motion {
    /// Nothing.
    Still,
    /// Time, at the speed set.
    Play,
    /// The engine as fast as it can, until something happens.
    Until(Until),
}

/// A line of the terminal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) time_us: u64,
    pub(crate) text: String,
    pub(crate) failed: bool,
}

/// Things of one kind by name. Each has a signal of its own, so that a change redraws one of them.
pub(crate) struct Slots<T: Send + Sync + 'static>(RwSignal<Vec<(String, ArcRwSignal<Option<T>>)>>);

// Derived, these would ask T to be a handle too.
impl<T: Send + Sync + 'static> Clone for Slots<T> {
    fn clone(&self) -> Slots<T> {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Slots<T> {}

impl<T: Clone + PartialEq + Send + Sync + 'static> Slots<T> {
    fn new() -> Slots<T> {
        Slots(RwSignal::new(Vec::new()))
    }

    /// Takes what there is now. What is gone leaves its slot, which says so: nothing moves place.
    fn update(self, things: Vec<T>, name: fn(&T) -> &str) {
        let known = self.0.get_untracked();
        let mut added = Vec::new();
        for (slot, signal) in &known {
            if !things.iter().any(|it| name(it) == slot) && signal.read_untracked().is_some() {
                signal.set(None);
            }
        }
        for thing in things {
            match known.iter().find(|(slot, _)| slot == name(&thing)) {
                Some((_, signal)) => {
                    if signal.read_untracked().as_ref() != Some(&thing) {
                        signal.set(Some(thing));
                    }
                }
                None => added.push((name(&thing).to_owned(), ArcRwSignal::new(Some(thing)))),
            }
        }
        if !added.is_empty() {
            self.0.update(|slots| slots.extend(added));
        }
    }

    /// All slots; tracked: changes when one is added.
    pub(crate) fn all(self) -> Vec<(String, ArcRwSignal<Option<T>>)> {
        self.0.get()
    }

    /// A slot's signal by name.
    pub(crate) fn named(self, wanted: &str) -> Option<ArcRwSignal<Option<T>>> {
        self.0.read().iter().find(|(name, _)| name == wanted).map(|(_, signal)| signal.clone())
    }

    /// What the slots hold, tracked.
    pub(crate) fn things(self) -> Vec<T> {
        self.0.read().iter().filter_map(|(_, signal)| signal.get()).collect()
    }
}

/// The room. Cheap to copy: all of it is handles.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    engine: StoredValue<Rc<RefCell<Engine>>, LocalStorage>,
    pub(crate) seed: u64,
    pub(crate) time_us: RwSignal<u64>,
    pub(crate) event: RwSignal<u64>,
    pub(crate) last_event: RwSignal<u64>,
    pub(crate) branch: RwSignal<usize>,
    pub(crate) branches: RwSignal<Vec<Branch>>,
    pub(crate) sentence: RwSignal<String>,
    pub(crate) brokers: Slots<Broker>,
    pub(crate) partitions: Slots<Partition>,
    pub(crate) clients: Slots<Client>,
    pub(crate) messages: RwSignal<Vec<Message>>,
    pub(crate) checks: RwSignal<Vec<Check>>,
    pub(crate) motion: RwSignal<Motion>,
    /// The decimal logarithm of the speed.
    pub(crate) speed: RwSignal<f64>,
    pub(crate) selection: RwSignal<Selection>,
    pub(crate) lines: RwSignal<Vec<Line>>,
    pub(crate) help: RwSignal<bool>,
    /// One column instead of three.
    pub(crate) narrow: RwSignal<bool>,
    frame_at: StoredValue<Option<f64>, LocalStorage>,
    said_at: StoredValue<f64, LocalStorage>,
}

impl Room {
    pub(crate) fn new(engine: Engine, narrow: bool) -> Room {
        let room = Room {
            seed: engine.seed(),
            engine: StoredValue::new_local(Rc::new(RefCell::new(engine))),
            time_us: RwSignal::new(0),
            event: RwSignal::new(0),
            last_event: RwSignal::new(0),
            branch: RwSignal::new(0),
            branches: RwSignal::new(Vec::new()),
            sentence: RwSignal::new(String::new()),
            brokers: Slots::new(),
            partitions: Slots::new(),
            clients: Slots::new(),
            messages: RwSignal::new(Vec::new()),
            checks: RwSignal::new(Vec::new()),
            motion: RwSignal::new(Motion::Still),
            speed: RwSignal::new(-2.0),
            selection: RwSignal::new(Selection::Nothing),
            lines: RwSignal::new(Vec::new()),
            help: RwSignal::new(false),
            narrow: RwSignal::new(narrow),
            frame_at: StoredValue::new_local(None),
            said_at: StoredValue::new_local(0.0),
        };
        room.draw();
        room
    }

    /// Looks at the engine.
    pub(crate) fn with<T>(self, look: impl FnOnce(&Engine) -> T) -> T {
        self.engine.with_value(|engine| look(&engine.borrow()))
    }

    fn change<T>(self, change: impl FnOnce(&mut Engine) -> T) -> T {
        self.engine.with_value(|engine| change(&mut engine.borrow_mut()))
    }

    /// One event on.
    pub(crate) fn step(self) {
        self.stop();
        self.change(Engine::step);
        self.draw();
    }

    /// One event back.
    pub(crate) fn back(self) {
        self.stop();
        self.change(Engine::back);
        self.draw();
    }

    /// To the moment after so many events.
    pub(crate) fn seek(self, event: u64) {
        self.stop();
        self.change(|engine| engine.seek(event));
        self.draw();
    }

    /// To the end of a branch.
    pub(crate) fn switch(self, branch: usize) {
        self.stop();
        self.change(|engine| engine.switch(branch));
        self.draw();
    }

    /// Does what a line says and writes it down. True if it was done.
    pub(crate) fn act(self, text: &str) -> bool {
        let text = text.trim();
        if text.is_empty() {
            return false;
        }
        let time_us = self.time_us.get_untracked();
        let done = self.change(|engine| engine.act(text));
        self.lines.update(|lines| {
            let number = lines.last().map_or(0, |it| it.number + 1);
            lines.push(Line { number, time_us, text: text.to_owned(), failed: false });
            if let Err(error) = &done {
                lines.push(Line { number: number + 1, time_us, text: error.clone(), failed: true });
            }
            let excess = lines.len().saturating_sub(LINES);
            lines.drain(..excess);
        });
        match &done {
            Ok(()) => {
                self.draw();
                self.sentence.set(deed(text));
            }
            Err(error) => self.sentence.set(error.clone()),
        }
        done.is_ok()
    }

    /// Stands still.
    pub(crate) fn stop(self) {
        if self.motion.get_untracked() != Motion::Still {
            self.motion.set(Motion::Still);
            self.draw();
        }
    }

    /// Plays, or stands still again.
    pub(crate) fn toggle(self) {
        if self.motion.get_untracked() == Motion::Still { self.go(Motion::Play) } else { self.stop() }
    }

    /// Begins to move.
    pub(crate) fn go(self, motion: Motion) {
        let was_still = self.motion.get_untracked() == Motion::Still;
        if let Motion::Until(until) = motion {
            self.change(|engine| engine.expect(until));
        }
        self.motion.set(motion);
        self.frame_at.set_value(None);
        if was_still {
            request_animation_frame(move || self.frame());
        }
    }

    fn frame(self) {
        let motion = self.motion.get_untracked();
        if motion == Motion::Still {
            return;
        }
        let now = now_ms();
        let passed = now - self.frame_at.get_value().unwrap_or(now - 16.0);
        self.frame_at.set_value(Some(now));
        let on_time = || now_ms() - now < SLICE_MS;
        match motion {
            Motion::Still => return,
            Motion::Play => {
                let us = passed.min(LONGEST_FRAME_MS) * 1_000.0 * 10_f64.powf(self.speed.get_untracked());
                self.change(|engine| engine.advance(us, on_time));
            }
            Motion::Until(_) => {
                if let Some(sentence) = self.change(|engine| engine.search(on_time)) {
                    self.motion.set(Motion::Still);
                    self.draw();
                    self.sentence.set(sentence);
                    return;
                }
            }
        }
        self.draw();
        request_animation_frame(move || self.frame());
    }

    /// Tells every signal what is new.
    fn draw(self) {
        let view = self.change(Engine::view);
        let View {
            time_us,
            event,
            last_event,
            branch,
            branches,
            sentence,
            brokers,
            partitions,
            clients,
            messages,
            checks,
            ..
        } = view;
        put(self.time_us, time_us);
        put(self.event, event);
        put(self.last_event, last_event);
        put(self.branch, branch);
        put(self.branches, branches);
        put(self.messages, messages);
        put(self.checks, checks);
        self.brokers.update(brokers, |it| &it.name);
        self.partitions.update(partitions, |it| &it.name);
        self.clients.update(clients, |it| &it.name);
        let now = now_ms();
        let still = self.motion.get_untracked() == Motion::Still;
        if still || now - self.said_at.get_value() > SENTENCE_MS {
            self.said_at.set_value(now);
            put(self.sentence, sentence);
        }
    }
}

/// What a person did, in a sentence.
fn deed(line: &str) -> String {
    let mut words = line.split_whitespace();
    let (verb, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match verb {
        "kill" => format!(
            "You killed {name}: the process is gone, its connections break. What it had written stays in its machine’s page cache."
        ),
        "power-cut" => {
            format!("You cut the power of {name}: what was not synced to its disk is gone, and nobody is told.")
        }
        "start" => format!("You started {name} on the disk that it had."),
        "drop" => "You will lose the next such answer: its request is carried out, but its client will never hear so."
            .to_owned(),
        "produce" => format!("You handed {name} a record to send."),
        _ => format!("Done: {line}"),
    }
}

/// Sets a signal if its value is another.
fn put<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if *signal.read_untracked() != value {
        signal.set(value);
    }
}

/// The page's clock, which only paces: nothing of it enters a run.
fn now_ms() -> f64 {
    window().performance().map_or(0.0, |it| it.now())
}
