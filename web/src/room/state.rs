//! What the room does: the engine behind it, time that passes, and what a person asks for.

use std::cell::RefCell;
use std::rc::Rc;

use leptos::prelude::*;

use super::bar;
use super::drawings::Drawings;
use super::lanes::Sight;
use super::rooms::{Choice, Lesson};
use super::scene::{Chrome, Scene, Selection};
use crate::engine::{Engine, Until};
use crate::lanes::{Lane, Lanes, Wish};

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
    lanes: RefCell<Lanes>,
    scene: RefCell<Scene>,
    drawings: RefCell<Option<Drawings>>,
    pace: RefCell<Pace>,
}

/// The page's clock at the last frame and at the last sentence, and what the bar and the forms showed then.
#[derive(Default)]
struct Pace {
    frame_at: Option<f64>,
    said_at: f64,
    /// How long drawing a frame takes here, in ms, on average of late.
    drawing: f64,
    /// The lanes are to be looked at as soon as all are at one moment.
    compares: bool,
    chrome: Chrome,
}

impl Room {
    pub(crate) fn new(engine: Engine) -> Room {
        let scene = RefCell::new(Scene::new(engine.seed()));
        let inner = Inner {
            lanes: RefCell::new(Lanes::new(vec![("", engine)])),
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
    fn travel(self, to: impl FnOnce(&mut Lanes)) {
        let inner = self.inner();
        let undone = {
            let mut lanes = inner.lanes.borrow_mut();
            to(&mut lanes);
            lanes.stop()
        };
        inner.scene.borrow_mut().motion = Motion::Still;
        self.draw();
        self.undone(&undone);
    }

    /// Looks at another lane.
    pub(crate) fn look_at_lane(self, number: usize) {
        self.stop();
        self.inner().lanes.borrow_mut().show(number);
        self.leave("");
        self.draw();
    }

    /// One event on.
    pub(crate) fn step(self) {
        self.travel(|lanes| {
            lanes.shown.engine.step();
        });
    }

    /// One event back.
    pub(crate) fn back(self) {
        self.travel(|lanes| {
            lanes.shown.engine.back();
        });
    }

    /// To the moment after so many events.
    pub(crate) fn seek(self, event: u64) {
        self.travel(|lanes| lanes.shown.engine.seek(event));
    }

    /// To the furthest event.
    pub(crate) fn seek_end(self) {
        self.seek(u64::MAX);
    }

    /// To the moment that a chapter of the story tells of.
    pub(crate) fn turn_to(self, chapter: usize) {
        let found = self.with(|it| it.lesson.as_ref().and_then(|it| Some((it.clone(), it.moment(chapter)?))));
        if let Some((lesson, moment)) = found {
            self.travel(|lanes| lesson.stand(&mut lanes.shown.engine, moment));
        }
    }

    /// Into another room. What was done in this one is gone.
    pub(crate) fn enter(self, choice: &Choice) {
        self.stop();
        match choice.engines() {
            Ok(engines) => {
                let inner = self.inner();
                let lanes = Lanes::new(engines);
                let mut scene = Scene::new(lanes.shown.engine.seed());
                {
                    let old = inner.scene.borrow();
                    (scene.columns, scene.cell, scene.narrow, scene.speed) =
                        (old.columns, old.cell, old.narrow, old.speed);
                }
                scene.room = choice.id;
                scene.lesson = Lesson::of(choice, &lanes.shown.engine);
                inner.lanes.replace(lanes);
                inner.scene.replace(scene);
                self.leave("");
                match self.with(|it| it.lesson.as_ref().and_then(|it| Some((it.clone(), it.begin()?)))) {
                    Some((lesson, moment)) => self.travel(|lanes| lesson.stand(&mut lanes.shown.engine, moment)),
                    None => self.travel(|_| ()),
                }
            }
            // A room of ours always plays; if it does not, that is said and nothing is lost.
            Err(error) => self.say(error),
        }
    }

    /// To the end of a branch.
    pub(crate) fn switch(self, branch: usize) {
        self.travel(|lanes| lanes.switch(branch));
        self.leave("");
    }

    /// Leaves the run's text on the page for the case of a fault, with what is to be done next, and how late it is.
    fn leave(self, next: &str) {
        crate::leave(&format!("{}{next}", self.inner().lanes.borrow().shown.engine.export()));
        if let Some(lab) = document().get_element_by_id("lab") {
            // It is as attributes that they outlive the engine; that the element is there is all it takes.
            let _ = lab.set_attribute("data-run-at", &self.with(|it| it.view.time_us).to_string());
        }
    }

    /// Does what a line says and writes it down. True if it was done, or will be.
    pub(crate) fn act(self, text: &str) -> bool {
        let text = text.trim();
        !text.is_empty() && self.ask(Wish::Line(text.to_owned()))
    }

    /// One more member of a group.
    pub(crate) fn add_member(self, group: &str) {
        self.ask(Wish::Member(group.to_owned()));
    }

    /// Does what is wished, or keeps it: what is asked for while time passes by itself is done after it, as the lines say.
    fn ask(self, wish: Wish) -> bool {
        let inner = self.inner();
        let words = wish.words();
        let asked = inner.lanes.borrow_mut().ask(wish);
        match asked {
            Ok(Some(wish)) => self.carry_out(&wish),
            Ok(None) => {
                self.say_later();
                true
            }
            Err(error) => {
                inner.scene.borrow_mut().write(&words, Some(&error));
                self.draw();
                self.say(error);
                false
            }
        }
    }

    fn carry_out(self, wish: &Wish) -> bool {
        let inner = self.inner();
        let lines = {
            let mut lanes = inner.lanes.borrow_mut();
            lanes.gather();
            wish.lines(&lanes.shown.engine)
        };
        let Some(last) = lines.last() else { return false };
        // If the engine stops at a fault within it, nothing is left to write it down.
        self.leave(&format!("{}\n", lines.join("\n")));
        if let Some(us) = Engine::passes(last).filter(|it| *it > AT_ONCE_US) {
            inner.scene.borrow_mut().write(last, None);
            self.go(Motion::Until(Until::Time(us)));
            return true;
        }
        let done = inner.lanes.borrow_mut().act(wish);
        for line in &lines {
            let error = done.as_ref().err().filter(|_| line == last);
            inner.scene.borrow_mut().write(line, error.map(|it| &**it));
        }
        self.draw();
        self.leave("");
        self.say(match &done {
            Ok(()) => deed(last),
            Err(error) => error.clone(),
        });
        done.is_ok()
    }

    /// What was to be done after a wait, and will not be now.
    pub(crate) fn forget_later(self) {
        let undone = self.inner().lanes.borrow_mut().forget_later();
        self.undone(&undone);
    }

    /// Writes down what was wished and not done.
    fn undone(self, wishes: &[Wish]) {
        if wishes.is_empty() {
            return;
        }
        let inner = self.inner();
        let words: Vec<String> = wishes.iter().map(Wish::words).collect();
        for it in &words {
            inner.scene.borrow_mut().write(it, Some("not done: what was to be done later was called off"));
        }
        self.draw();
        self.say(format!("Not done: {}.", words.join(", ")));
    }

    /// Says what waits for the time to pass.
    fn say_later(self) {
        let later = self.inner().lanes.borrow().later();
        if let Some(later) = later {
            self.say(format!("Once the time has passed: {later}. Pause or Escape calls that off."));
        }
    }

    /// Looks at something, and at its bytes where it has any.
    pub(crate) fn select(self, selection: Selection) {
        let inner = self.inner();
        inner.scene.borrow_mut().bytes = match &selection {
            Selection::Record(copy, offset) => inner.lanes.borrow().shown.engine.explain_record(copy, *offset),
            Selection::Message(message) => inner.lanes.borrow().shown.engine.explain_message(&message.id),
            Selection::Nothing | Selection::Process(_) => Vec::new(),
        };
        self.change(|scene| scene.selection = selection);
    }

    /// Asks why the last event happened, or stops asking.
    pub(crate) fn ask_why(self) {
        self.stop();
        let inner = self.inner();
        let asked = !inner.scene.borrow().why.is_empty();
        let why = if asked { Vec::new() } else { inner.lanes.borrow_mut().shown.engine.why() };
        self.change(|scene| scene.why = why);
    }

    /// Stands still, and calls off what was to be done later.
    pub(crate) fn stop(self) {
        if self.with(|it| !it.is_still()) {
            let undone = self.inner().lanes.borrow_mut().stop();
            self.stand();
            self.undone(&undone);
        }
    }

    fn stand(self) {
        self.change(|scene| {
            scene.motion = Motion::Still;
            scene.sentence = scene.view.sentence.clone();
        });
    }

    /// Plays, or stands still again.
    pub(crate) fn toggle(self) {
        if self.with(Scene::is_still) { self.go(Motion::Play) } else { self.stop() }
    }

    /// Begins to move.
    pub(crate) fn go(self, motion: Motion) {
        let inner = self.inner();
        let was_still = self.with(Scene::is_still);
        let undone = {
            let mut lanes = inner.lanes.borrow_mut();
            lanes.shown.engine.give_up();
            if let Motion::Until(until) = motion {
                lanes.shown.engine.expect(until);
            }
            // Another wait for time is one of the lines that were to be done in their order.
            if lanes.shown.engine.waits() { Vec::new() } else { lanes.forget_later() }
        };
        inner.pace.borrow_mut().frame_at = None;
        self.change(|scene| scene.motion = motion);
        if was_still {
            request_animation_frame(move || self.frame());
        }
        self.undone(&undone);
    }

    fn frame(self) {
        let inner = self.inner();
        let (motion, speed) = self.with(|it| (it.motion, it.speed));
        let now = now_ms();
        let passed = now - inner.pace.borrow_mut().frame_at.replace(now).unwrap_or(now - 16.0);
        let slice = (FRAME_MS - BROWSER_MS - inner.pace.borrow().drawing).clamp(SLICE_MS.0, SLICE_MS.1);
        let spent = || (now_ms() - now) / slice;
        let found = match motion {
            Motion::Still => return,
            Motion::Play => {
                let us = passed.min(LONGEST_FRAME_MS) * 1_000.0 * bar::ten_to(speed);
                inner.lanes.borrow_mut().advance(us, &spent);
                None
            }
            Motion::Until(_) => inner.lanes.borrow_mut().search(&spent),
        };
        match found {
            Some(sentence) => {
                self.stand();
                if let Motion::Until(Until::Time(_)) = motion {
                    self.leave("");
                }
                self.say(sentence);
                self.carry_out_later();
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

    /// Does what was to be done after a wait, up to the next one.
    fn carry_out_later(self) {
        loop {
            let due = self.inner().lanes.borrow_mut().due();
            let Some(wish) = due else { break };
            self.carry_out(&wish);
        }
        self.say_later();
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
            let (mut scene, mut lanes) = (inner.scene.borrow_mut(), inner.lanes.borrow_mut());
            let moved = scene.look(&mut lanes.shown.engine);
            let mut pace = inner.pace.borrow_mut();
            pace.compares |= scene.looks_around();
            // Figures of different moments compare nothing.
            if pace.compares && lanes.are_many() && lanes.are_together() {
                pace.compares = false;
                scene.lanes = lanes.all().map(sight).collect();
                ordered::sort_by_key(&mut scene.lanes, |it| it.number);
                scene.lane = lanes.shown.number;
            }
            let now = now_ms();
            if scene.is_still() {
                if moved || scene.sentence.is_empty() {
                    scene.sentence = scene.view.sentence.clone();
                }
            } else if lanes.later().is_none()
                && now - pace.said_at > SENTENCE_MS
                && let Some(sentence) = lanes.shown.engine.tell()
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

fn sight(lane: &Lane) -> Sight {
    Sight { number: lane.number, name: lane.name, groups: lane.engine.groups() }
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
