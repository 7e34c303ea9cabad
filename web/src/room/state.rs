//! What the room does: the engine behind it, time that passes, and what a person asks for.

use std::cell::RefCell;
use std::rc::Rc;

use leptos::prelude::*;

use super::bar;
use super::drawings::Drawings;
use super::lanes;
use super::rooms::{Choice, Lesson};
use super::scene::{Chrome, Scene, Selection};
use crate::engine::{Engine, Until};

/// A frame's work while the room plays, in ms.
const FRAME_MS: f64 = 8.0;
/// What of it the browser needs for layout and paint, of which nothing is told here.
const BROWSER_MS: f64 = 2.5;
/// The engine has at least so much of it, and at most.
const SLICE_MS: (f64, f64) = (2.5, 4.0);
/// When the engine took so much of a frame, in ms, elements are patched in the next: it took a snapshot, perhaps.
const BUSY_MS: f64 = 2.0;
/// Between two sentences while the room plays, in ms: a person has to read them.
const SENTENCE_MS: f64 = 1_400.0;
/// So much virtual time passes at once, in µs. More takes the page so long that it would stand still: it passes frame by frame.
const AT_ONCE_US: u64 = 90_000_000;
/// A frame longer than this was no frame: the tab was away.
const LONGEST_FRAME_MS: f64 = 100.0;

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

/// The room. Cheap to copy: all of it is handles.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    inner: StoredValue<Rc<Inner>, LocalStorage>,
    /// Counts changes of what the bar, the forms and the buttons show; the drawings know by themselves.
    changes: RwSignal<u64>,
}

struct Inner {
    engine: RefCell<Engine>,
    /// The number and the name of the lane that is looked at, and the other lanes: they follow its clock.
    lane: RefCell<(usize, &'static str)>,
    others: RefCell<Vec<Lane>>,
    scene: RefCell<Scene>,
    drawings: RefCell<Option<Drawings>>,
    pace: RefCell<Pace>,
}

/// A lane that is not the one looked at: the same scenario with other settings.
struct Lane {
    number: usize,
    name: &'static str,
    engine: Engine,
}

/// The page's clock at the last frame and at the last sentence, and what the bar and the forms showed then.
#[derive(Default)]
struct Pace {
    frame_at: Option<f64>,
    said_at: f64,
    /// How long drawing a frame takes here, in ms, on average of late.
    drawing: f64,
    chrome: Chrome,
}

impl Room {
    pub(crate) fn new(engine: Engine) -> Room {
        let scene = RefCell::new(Scene::new(engine.seed()));
        let inner = Inner {
            engine: RefCell::new(engine),
            lane: RefCell::default(),
            others: RefCell::default(),
            scene,
            drawings: RefCell::new(None),
            pace: RefCell::new(Pace::default()),
        };
        let room = Room { inner: StoredValue::new_local(Rc::new(inner)), changes: RwSignal::new(0) };
        room.draw();
        room
    }

    /// Draws into the page from now on.
    pub(crate) fn show_in(self, drawings: Drawings) {
        self.inner().drawings.replace(Some(drawings));
        self.measure();
    }

    fn inner(self) -> Rc<Inner> {
        self.inner.with_value(Rc::clone)
    }

    /// Looks at the scene; tracked: the caller runs again when the bar or the forms change.
    pub(crate) fn watch<T>(self, look: impl FnOnce(&Scene) -> T) -> T {
        self.changes.track();
        self.with(look)
    }

    /// Looks at the scene.
    pub(crate) fn with<T>(self, look: impl FnOnce(&Scene) -> T) -> T {
        look(&self.inner().scene.borrow())
    }

    /// Changes what is shown, not what there is.
    pub(crate) fn change(self, change: impl FnOnce(&mut Scene)) {
        change(&mut self.inner().scene.borrow_mut());
        self.draw();
    }

    /// Moves in time, and stands still there.
    fn travel(self, to: impl FnOnce(&mut Engine)) {
        to(&mut self.inner().engine.borrow_mut());
        self.inner().scene.borrow_mut().motion = Motion::Still;
        self.gather();
        self.draw();
    }

    /// Brings the other lanes to where the one is that is looked at.
    fn gather(self) {
        let inner = self.inner();
        let clock = inner.engine.borrow().clock();
        for it in inner.others.borrow_mut().iter_mut() {
            it.engine.seek_time(clock);
        }
    }

    /// Looks at another lane.
    pub(crate) fn look_at_lane(self, number: usize) {
        self.stop();
        let inner = self.inner();
        if let Some(other) = inner.others.borrow_mut().iter_mut().find(|it| it.number == number) {
            std::mem::swap(&mut *inner.engine.borrow_mut(), &mut other.engine);
            let (number, name) = inner.lane.replace((other.number, other.name));
            (other.number, other.name) = (number, name);
        }
        self.leave("");
        self.draw();
    }

    /// One event on.
    pub(crate) fn step(self) {
        self.travel(|engine| {
            engine.step();
        });
    }

    /// One event back.
    pub(crate) fn back(self) {
        self.travel(|engine| {
            engine.back();
        });
    }

    /// To the moment after so many events.
    pub(crate) fn seek(self, event: u64) {
        self.travel(|engine| engine.seek(event));
    }

    /// To the furthest event.
    pub(crate) fn seek_end(self) {
        self.seek(u64::MAX);
    }

    /// To the moment that a chapter of the story tells of.
    pub(crate) fn turn_to(self, chapter: usize) {
        let found = self.with(|it| it.lesson.as_ref().and_then(|it| Some((it.clone(), it.moment(chapter)?))));
        if let Some((lesson, moment)) = found {
            self.travel(|engine| lesson.stand(engine, moment));
        }
    }

    /// Into another room. What was done in this one is gone.
    pub(crate) fn enter(self, choice: &Choice) {
        self.stop();
        match choice.engines() {
            Ok(engines) => {
                let inner = self.inner();
                let mut lanes: Vec<Lane> = Vec::new();
                for (number, (name, engine)) in engines.into_iter().enumerate() {
                    lanes.push(Lane { number, name, engine });
                }
                let Lane { number, name, engine } = lanes.remove(0);
                inner.lane.replace((number, name));
                inner.others.replace(lanes);
                let mut scene = Scene::new(engine.seed());
                {
                    let old = inner.scene.borrow();
                    (scene.columns, scene.cell, scene.narrow, scene.speed) =
                        (old.columns, old.cell, old.narrow, old.speed);
                }
                scene.room = choice.id;
                scene.lesson = Lesson::of(choice, &engine);
                inner.engine.replace(engine);
                inner.scene.replace(scene);
                self.leave("");
                match self.with(|it| it.lesson.as_ref().and_then(|it| Some((it.clone(), it.begin()?)))) {
                    Some((lesson, moment)) => self.travel(|engine| lesson.stand(engine, moment)),
                    None => self.travel(|_| ()),
                }
            }
            // A room of ours always plays; if it does not, that is said and nothing is lost.
            Err(error) => self.say(error),
        }
    }

    /// To the end of a branch.
    pub(crate) fn switch(self, branch: usize) {
        for it in self.inner().others.borrow_mut().iter_mut() {
            it.engine.switch(branch);
        }
        self.travel(|engine| {
            engine.switch(branch);
        });
        self.leave("");
    }

    /// Leaves the run's text on the page for the case of a fault, with what is to be done next, and how late it is.
    fn leave(self, next: &str) {
        crate::leave(&format!("{}{next}", self.inner().engine.borrow().export()));
        if let Some(lab) = document().get_element_by_id("lab") {
            // It is as attributes that they outlive the engine; that the element is there is all it takes.
            let _ = lab.set_attribute("data-run-at", &self.with(|it| it.view.time_us).to_string());
        }
    }

    /// Does what a line says and writes it down. True if it was done.
    pub(crate) fn act(self, text: &str) -> bool {
        let text = text.trim();
        if text.is_empty() {
            return false;
        }
        let inner = self.inner();
        // What is done while time passes by itself is done after it, as the lines say.
        if matches!(self.with(|it| it.motion), Motion::Until(Until::Time(_))) {
            inner.engine.borrow_mut().search(|| true);
            self.gather();
            self.stop();
        }
        // If the engine stops at a fault within it, nothing is left to write it down.
        self.leave(&format!("{text}\n"));
        if let Some(us) = Engine::passes(text).filter(|it| *it > AT_ONCE_US) {
            inner.scene.borrow_mut().write(text, None);
            self.go(Motion::Until(Until::Time(us)));
            return true;
        }
        let mut done = inner.engine.borrow_mut().act(text);
        if done.is_ok() {
            for it in inner.others.borrow_mut().iter_mut() {
                done = done.and(it.engine.act(text).map_err(|error| format!("in the lane {}: {error}", it.name)));
            }
        }
        inner.scene.borrow_mut().write(text, done.as_ref().err().map(|it| &**it));
        self.draw();
        self.leave("");
        self.say(match &done {
            Ok(()) => deed(text),
            Err(error) => error.clone(),
        });
        done.is_ok()
    }

    /// One more member of a group.
    pub(crate) fn add_member(self, group: &str) {
        let inner = self.inner();
        // Each lane has settings of its own.
        for it in inner.others.borrow_mut().iter_mut() {
            for line in it.engine.newcomer(group) {
                if let Err(error) = it.engine.act(&line) {
                    return self.say(error);
                }
            }
        }
        let others = inner.others.take();
        let lines = inner.engine.borrow().newcomer(group);
        for line in lines {
            self.act(&line);
        }
        inner.others.replace(others);
        self.change(|_| ());
    }

    /// Looks at something, and at its bytes where it has any.
    pub(crate) fn select(self, selection: Selection) {
        let inner = self.inner();
        inner.scene.borrow_mut().bytes = match &selection {
            Selection::Record(copy, offset) => inner.engine.borrow().explain_record(copy, *offset),
            Selection::Message(message) => inner.engine.borrow().explain_message(&message.id),
            Selection::Nothing | Selection::Process(_) => Vec::new(),
        };
        self.change(|scene| scene.selection = selection);
    }

    /// Asks why the last event happened, or stops asking.
    pub(crate) fn ask_why(self) {
        self.stop();
        let inner = self.inner();
        let asked = !inner.scene.borrow().why.is_empty();
        let why = if asked { Vec::new() } else { inner.engine.borrow_mut().why() };
        self.change(|scene| scene.why = why);
    }

    /// Stands still.
    pub(crate) fn stop(self) {
        if self.with(|it| !it.is_still()) {
            self.change(|scene| {
                scene.motion = Motion::Still;
                scene.sentence = scene.view.sentence.clone();
            });
        }
    }

    /// Plays, or stands still again.
    pub(crate) fn toggle(self) {
        if self.with(Scene::is_still) { self.go(Motion::Play) } else { self.stop() }
    }

    /// Begins to move.
    pub(crate) fn go(self, motion: Motion) {
        let inner = self.inner();
        let was_still = self.with(Scene::is_still);
        if let Motion::Until(until) = motion {
            inner.engine.borrow_mut().expect(until);
        }
        inner.pace.borrow_mut().frame_at = None;
        self.change(|scene| scene.motion = motion);
        if was_still {
            request_animation_frame(move || self.frame());
        }
    }

    fn frame(self) {
        let inner = self.inner();
        let (motion, speed) = self.with(|it| (it.motion, it.speed));
        let now = now_ms();
        let passed = now - inner.pace.borrow_mut().frame_at.replace(now).unwrap_or(now - 16.0);
        let slice = (FRAME_MS - BROWSER_MS - inner.pace.borrow().drawing).clamp(SLICE_MS.0, SLICE_MS.1);
        let on_time = || now_ms() - now < slice;
        let found = match motion {
            Motion::Still => return,
            Motion::Play => {
                let us = passed.min(LONGEST_FRAME_MS) * 1_000.0 * bar::ten_to(speed);
                // No lane is left behind: it has its share of the frame, and goes first.
                if self.keep_up(now, slice) {
                    inner.engine.borrow_mut().advance(us, on_time);
                }
                None
            }
            Motion::Until(_) => {
                let found = if self.keep_up(now, slice) { inner.engine.borrow_mut().search(on_time) } else { None };
                if found.is_some() {
                    self.gather();
                }
                found
            }
        };
        match found {
            Some(sentence) => {
                self.stop();
                if let Motion::Until(Until::Time(_)) = motion {
                    self.leave("");
                }
                self.say(sentence);
            }
            None => {
                let begun = now_ms();
                if let Some(drawings) = inner.drawings.borrow_mut().as_mut() {
                    drawings.put_off(begun - now > BUSY_MS);
                }
                self.draw();
                let took = now_ms() - begun;
                let mut pace = inner.pace.borrow_mut();
                pace.drawing += (took - pace.drawing) * 0.1;
                request_animation_frame(move || self.frame());
            }
        }
    }

    /// Lets the other lanes go on to where the one is that is looked at, in most of a frame at most. True once all are there.
    fn keep_up(self, now: f64, slice: f64) -> bool {
        let inner = self.inner();
        let clock = inner.engine.borrow().clock();
        let mut others = inner.others.borrow_mut();
        let share = slice * 0.7 / others.len().max(1) as f64;
        let mut there = true;
        for (index, it) in others.iter_mut().enumerate() {
            let until = now + share * (index + 1) as f64;
            there &= it.engine.follow(clock, &|| now_ms() < until);
        }
        there
    }

    /// Says another sentence than the event's own.
    fn say(self, sentence: String) {
        let inner = self.inner();
        inner.scene.borrow_mut().sentence = sentence;
        self.show();
    }

    /// Looks at the engine and shows what is new.
    fn draw(self) {
        let inner = self.inner();
        {
            let (mut scene, mut engine) = (inner.scene.borrow_mut(), inner.engine.borrow_mut());
            let moved = scene.look(&mut engine);
            let others = inner.others.borrow();
            if !others.is_empty() && scene.looks_around() {
                scene.lanes.clear();
                let (number, name) = *inner.lane.borrow();
                scene.lanes.push(Lane::sight(number, name, &engine));
                scene.lanes.extend(others.iter().map(|it| Lane::sight(it.number, it.name, &it.engine)));
                ordered::sort_by_key(&mut scene.lanes, |it| it.number);
                scene.lane = number;
            }
            let now = now_ms();
            let mut pace = inner.pace.borrow_mut();
            if scene.is_still() {
                if moved || scene.sentence.is_empty() {
                    scene.sentence = scene.view.sentence.clone();
                }
            } else if now - pace.said_at > SENTENCE_MS
                && let Some(sentence) = engine.tell()
            {
                pace.said_at = now;
                scene.sentence = sentence;
            }
        }
        self.show();
    }

    fn show(self) {
        let inner = self.inner();
        let changed = {
            let scene = inner.scene.borrow();
            if let Some(drawings) = inner.drawings.borrow_mut().as_mut() {
                drawings.show(&scene);
            }
            let chrome = scene.chrome();
            let mut pace = inner.pace.borrow_mut();
            let changed = pace.chrome != chrome;
            pace.chrome = chrome;
            changed
        };
        if changed {
            self.changes.update(|it| *it += 1);
        }
    }

    /// What a click at a place of the window means, if it is one of what moves.
    pub(crate) fn deed_at(self, x: f64, y: f64) -> Option<String> {
        let inner = self.inner();
        let drawings = inner.drawings.borrow();
        drawings.as_ref()?.deed_at(&inner.scene.borrow(), x, y)
    }

    /// Finds out how many cells fit beside a log's label.
    pub(crate) fn measure(self) {
        let sizes = self.inner().drawings.borrow().as_ref().map(Drawings::measure);
        if let Some((columns, cell, narrow)) = sizes {
            self.change(|scene| (scene.columns, scene.cell, scene.narrow) = (columns, cell, narrow));
        }
    }
}

impl Lane {
    fn sight(number: usize, name: &'static str, engine: &Engine) -> lanes::Sight {
        lanes::Sight { number, name, groups: engine.groups() }
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
        "stop" => format!("You asked {name} to stop: it hands its partitions over first, and only then goes."),
        "pause" => format!("You paused {name}: it does nothing, and its connections stay open. Nobody is told."),
        "resume" => format!("You let {name} go on. It does not know how long it stood still."),
        "wipe" => format!("You wiped {name}’s disk: what it had is gone, its vote and its epoch too."),
        "cut" => "You cut the way: what is sent waits, and nobody is told.".to_owned(),
        "heal" => "You healed the way: what waited arrives now.".to_owned(),
        "delay" => "You changed how long packets take on that way.".to_owned(),
        "disk-full" => format!("{name}’s disk takes no more bytes: its next write fails."),
        "slow-disk" => format!("You changed how long each call to {name}’s disk takes."),
        "drop" if name == "message" => {
            "You dropped that message: its connection is broken, and both ends hear of that alone.".to_owned()
        }
        "drop" => "You will lose the next such answer: its request is carried out, but its client will never hear so."
            .to_owned(),
        "produce" => format!("You handed {name} a record to send."),
        _ => format!("Done: {line}"),
    }
}

/// The page's clock, which only paces: nothing of it enters a run.
fn now_ms() -> f64 {
    window().performance().map_or(0.0, |it| it.now())
}
