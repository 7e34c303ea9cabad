//! What the room does: the engine behind it, time that passes, and what a person asks for.

use std::cell::RefCell;
use std::rc::Rc;

use leptos::prelude::*;
use sim::rescue::Rescue;

use super::drawings::Drawings;
use super::lanes::Sight;
use super::left::Left;
use super::lesson::{self, Lesson, Mode, Try, Varied};
use super::rooms::{self, Choice};
use super::scene::{Chrome, Scene, Selection};
use super::way::Way;
use super::{bar, keys, said};
use crate::engine::{Engine, Until};
use crate::lanes::{Lane, Lanes, Wish};

/// A frame's work while the room plays, in ms.
const FRAME_MS: f64 = 8.0;
/// What of it the browser needs for layout and paint, of which nothing is told here.
const BROWSER_MS: f64 = 2.5;
/// The engine has at least so much of it, and at most.
const SLICE_MS: (f64, f64) = (2.5, 4.0);
/// And so much of one in which elements are patched: that costs the browser a layout. The frame after it makes up for it.
const LEAN_MS: f64 = 0.8;
/// When the engine took so much of a frame, in ms, elements are patched in the next: it took a snapshot, perhaps.
const BUSY_MS: f64 = 2.0;
/// Between two sentences while the room plays, in ms: a person has to read them.
const SENTENCE_MS: f64 = 1_400.0;
/// So much virtual time passes at once, in µs. More takes the page so long that it would stand still: it passes frame by frame.
const AT_ONCE_US: u64 = 90_000_000;
/// What keeps somebody from going on.
const BET_FIRST: &str = "Choose an answer first: there is nothing to lose.";
/// So long a way from chapter to chapter is watched at most, in ms of the reader's time; the first one, while the first chapter is read.
const TOUR_MS: f64 = 4_000.0;
const FIRST_MS: f64 = 9_000.0;
/// So long after its last line a solution may take, in µs.
const SOLVED_WITHIN_US: u64 = 30_000_000;
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
    /// Time, at a speed of its own, up to a moment.
    Tour(Tour),
}

/// A way to a moment of the story, gone while somebody watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tour {
    /// Where it ends, in µs.
    pub(crate) end_us: u64,
    /// The chapter that tells of its end.
    chapter: Option<usize>,
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
    /// The way that is watched.
    way: Way,
    /// The lanes are to be looked at as soon as all are at one moment.
    compares: bool,
    chrome: Chrome,
    left: Left,
}

impl Room {
    /// The runs of a room, where its story begins. There is at least one.
    pub(crate) fn new(choice: &Choice, engines: Vec<(&'static str, Engine)>) -> Room {
        let mut lanes = Lanes::new(engines);
        let mut scene = Scene::new(lanes.shown.engine.seed());
        (scene.room, scene.lesson) = (choice.id, Lesson::of(choice, &lanes.shown.engine));
        if let Some((lesson, moment)) = scene.lesson.as_ref().and_then(|it| Some((it, it.begin()?))) {
            lesson.stand(&mut lanes.shown.engine, moment);
            lanes.gather();
        }
        let inner = Inner {
            lanes: RefCell::new(lanes),
            scene: RefCell::new(scene),
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
        let inner = self.inner();
        inner.lanes.borrow_mut().show(number);
        if let Some(Mode::Varied(it)) = inner.scene.borrow_mut().lesson.as_mut().map(|it| &mut it.mode) {
            it.shows_told = number == 0;
        }
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

    /// The room is on the page. On a first visit its story begins to move by itself, while its first chapter is read.
    pub(crate) fn begin(self, is_first: bool) {
        self.leave("");
        self.calm();
        let second = self.with(|it| it.lesson.as_ref().filter(|it| it.allows(1)).and_then(|it| it.moment(1)));
        if let Some(moment) = second.filter(|_| is_first && !is_still_preferred()) {
            self.tour_in(moment.at.0, Some(1), FIRST_MS);
        }
    }

    /// To the moment that a chapter of the story tells of, unless a bet is to be made before.
    pub(crate) fn turn_to(self, chapter: usize) {
        let found = self.with(|it| {
            let lesson = it.lesson.as_ref().filter(|it| it.allows(chapter))?;
            Some((lesson.clone(), lesson.moment(chapter)?))
        });
        let Some((lesson, moment)) = found else {
            return self.say(BET_FIRST.to_owned());
        };
        self.travel(|lanes| {
            if lesson.mode != Mode::Told {
                lanes.leave_alone_unless_many(lesson.has_lanes());
            }
            lesson.stand(&mut lanes.shown.engine, moment);
        });
        self.set_mode(Mode::Told);
        if lesson.is_told(Some(chapter)) {
            rooms::note_done(lesson.id);
        }
    }

    /// On in the story: what happens until the next chapter is watched, or, if it is being watched, left out.
    pub(crate) fn turn_on(self) {
        if let Motion::Tour(Tour { chapter: Some(chapter), .. }) = self.with(|it| it.motion) {
            return self.turn_to(chapter);
        }
        match self.with(|it| lesson::neighbour(it, 1)) {
            Some(chapter) => self.tour_to(chapter),
            None if self.with(lesson::waits_for_bet) => self.say(BET_FIRST.to_owned()),
            None => {}
        }
    }

    /// To a chapter's moment by the way that leads there from here.
    fn tour_to(self, chapter: usize) {
        let (now, moment, is_on) = self.with(|it| {
            let moment = it.lesson.as_ref().and_then(|it| it.moment(chapter));
            (it.view.time_us, moment.map_or(0, |it| it.at.0), it.view.branch == 0)
        });
        if moment <= now || !is_on || is_still_preferred() {
            return self.turn_to(chapter);
        }
        self.tour(moment, Some(chapter));
    }

    /// Lets time pass up to a moment, as long as somebody likes to watch.
    fn tour(self, end_us: u64, chapter: Option<usize>) {
        self.tour_in(end_us, chapter, TOUR_MS);
    }

    /// As [`Room::tour`], in so many ms of the reader's time at most.
    fn tour_in(self, end_us: u64, chapter: Option<usize>, most_ms: f64) {
        let inner = self.inner();
        let times = {
            let engine = &mut inner.lanes.borrow_mut().shown.engine;
            // What was never seen is not looked at ahead: it may be changed on the way.
            if engine.is_past() { engine.way(end_us) } else { vec![engine.clock(), end_us] }
        };
        inner.pace.borrow_mut().way = Way::new(&times, now_ms(), most_ms);
        self.go(Motion::Tour(Tour { end_us, chapter }));
    }

    /// Bets on an answer of the chapter that is told. False if there is none to choose.
    pub(crate) fn bet(self, answer: usize) -> bool {
        let Some(chapter) = self.with(lesson::at) else { return false };
        let inner = self.inner();
        let is_bet = inner.scene.borrow_mut().lesson.as_mut().is_some_and(|it| it.bet(chapter, answer));
        if is_bet {
            self.draw();
        }
        is_bet
    }

    /// What the reader does with the lesson from now on.
    fn set_mode(self, mode: Mode) {
        self.change(|scene| {
            if let Some(lesson) = &mut scene.lesson {
                lesson.mode = mode;
            }
        });
        self.calm();
    }

    /// Where there is a story to follow, its controls alone are there, and of the views those that it needs.
    fn calm(self) {
        let story = |it: &Scene| it.lesson.as_ref().filter(|it| it.is_calm()).map(|it| it.story.views.join(" "));
        let (calm, id) = self.with(|it| (story(it), it.room));
        if let Some(lab) = document().get_element_by_id("lab") {
            let _ = lab.set_attribute("data-room", id);
            let _ = match calm {
                Some(views) => lab.set_attribute("data-calm", &views),
                None => lab.remove_attribute("data-calm"),
            };
        }
        said::go_on(self);
    }

    /// The run again with the setting that a knob changes, beside the one that is told.
    pub(crate) fn vary(self, knob: usize) {
        self.stop();
        let inner = self.inner();
        let Some(lesson) = self.with(|it| it.lesson.clone()) else { return };
        let Some(turn) = lesson.story.knobs.get(knob).map(|it| it.turn.to_string()) else { return };
        let mut lanes = inner.lanes.borrow_mut();
        lanes.leave_alone();
        lanes.switch(0);
        let varied = lanes.shown.engine.vary(knob);
        let varied = varied.map(|(mut engine, outcomes)| {
            let end_us = engine.end().map_or(0, |it| it.at.0);
            if let Some(begin) = lesson.begin() {
                engine.stand(engine.moment(begin.line + 1));
            }
            lanes.put_beside(turn, engine);
            Varied { knob, end_us, outcomes, shows_told: false }
        });
        drop(lanes);
        match varied {
            Ok(varied) => {
                let end_us = varied.end_us;
                self.set_mode(Mode::Varied(varied));
                self.travel(|_| ());
                if is_still_preferred() { self.vary_on(knob) } else { self.tour(end_us, None) }
            }
            Err(error) => self.say(error),
        }
    }

    /// To the end of the variation, or once more from its beginning.
    pub(crate) fn vary_on(self, knob: usize) {
        let end_us = self.with(|it| match it.lesson.as_ref().map(|it| &it.mode) {
            Some(Mode::Varied(varied)) if varied.knob == knob => Some((varied.end_us, it.view.time_us)),
            _ => None,
        });
        match end_us {
            Some((end_us, now)) if now < end_us => self.travel(|lanes| {
                lanes.shown.engine.seek_time(end_us);
            }),
            _ => self.vary(knob),
        }
    }

    /// To the puzzle's moment, on a branch of its own.
    pub(crate) fn try_puzzle(self) {
        let found = self.with(|it| {
            let lesson = it.lesson.as_ref()?;
            let moment = lesson.moment(lesson.story.puzzle.as_ref()?.from)?;
            Some((lesson.clone(), moment))
        });
        if let Some((lesson, moment)) = found {
            self.travel(|lanes| {
                lanes.leave_alone_unless_many(lesson.has_lanes());
                lesson.stand(&mut lanes.shown.engine, moment);
                lanes.branch_off();
            });
            self.set_mode(Mode::Puzzle(Try::default()));
        }
    }

    /// One more hint.
    pub(crate) fn hint(self) {
        self.change(|scene| {
            if let Some(Mode::Puzzle(it)) = scene.lesson.as_mut().map(|it| &mut it.mode) {
                it.hints += 1;
            }
        });
    }

    /// Does what the puzzle's solution says, from its moment on.
    pub(crate) fn solve(self) {
        self.try_puzzle();
        self.change(|scene| {
            if let Some(Mode::Puzzle(it)) = scene.lesson.as_mut().map(|it| &mut it.mode) {
                it.is_shown = true;
            }
        });
        let lines = self.with(|it| {
            let puzzle = it.lesson.as_ref().and_then(|it| it.story.puzzle.as_ref());
            puzzle.map_or(Vec::new(), |it| it.solution.iter().map(|it| it.1.to_string()).collect())
        });
        lines.iter().for_each(|line| {
            self.act(line);
        });
        if self.with(Scene::is_still) && !self.with(|it| it.lesson.as_ref().is_some_and(Lesson::is_solved)) {
            self.tour(self.with(|it| it.view.time_us) + SOLVED_WITHIN_US, None);
        }
    }

    /// All controls, and the cluster as it is now.
    pub(crate) fn play_freely(self) {
        self.stop();
        self.set_mode(Mode::Sandbox);
    }

    /// Back to the story: to where it was left, or to its beginning.
    pub(crate) fn to_story(self) {
        let told = self.with(|it| it.lesson.as_ref().map_or(0, Lesson::resume));
        self.turn_to(told);
    }

    /// Into another room. What was done in this one is gone.
    pub(crate) fn enter(self, choice: &Choice) {
        self.stop();
        match choice.engines() {
            Ok(engines) => {
                let lesson = Lesson::of(choice, &engines[0].1);
                self.settle_in(choice.id, lesson, engines);
                match self.with(|it| it.lesson.as_ref().and_then(|it| Some((it.clone(), it.begin()?)))) {
                    Some((lesson, moment)) => self.travel(|lanes| lesson.stand(&mut lanes.shown.engine, moment)),
                    None => self.travel(|_| ()),
                }
            }
            // A room of ours always plays; if it does not, that is said and nothing is lost.
            Err(error) => self.say(error),
        }
    }

    fn settle_in(self, id: &'static str, lesson: Option<Lesson>, engines: Vec<(&'static str, Engine)>) {
        let inner = self.inner();
        let lanes = Lanes::new(engines);
        let mut scene = Scene::new(lanes.shown.engine.seed());
        {
            let old = inner.scene.borrow();
            (scene.columns, scene.cell, scene.narrow, scene.speed) = (old.columns, old.cell, old.narrow, old.speed);
        }
        (scene.room, scene.lesson) = (id, lesson);
        inner.lanes.replace(lanes);
        inner.scene.replace(scene);
        self.leave("");
        self.calm();
    }

    /// Looks at the run.
    pub(crate) fn run<T>(self, look: impl FnOnce(&Engine) -> T) -> T {
        look(&self.inner().lanes.borrow().shown.engine)
    }

    /// What is looked at, for whoever opens a link: it is looked at there too.
    pub(crate) fn looks(self) -> Vec<String> {
        self.with(|it| {
            let selected = match &it.selection {
                Selection::Record(copy, offset) => Some(format!("record:{copy}:{offset}")),
                Selection::Process(name) => Some(format!("process:{name}")),
                Selection::Message(_) | Selection::Nothing => None,
            };
            [format!("choose:{}", it.chosen)].into_iter().chain(selected).collect()
        })
    }

    /// Into a run that is none of the rooms, where it stands. What was done in this one is gone.
    pub(crate) fn enter_run(self, engine: Engine, looks: &[String]) {
        self.stop();
        self.settle_in("", None, vec![("", engine)]);
        self.travel(|_| ());
        looks.iter().for_each(|it| keys::look(self, it));
    }

    /// To the end of a branch.
    pub(crate) fn switch(self, branch: usize) {
        self.travel(|lanes| lanes.switch(branch));
        self.leave("");
    }

    /// Leaves the run's text on the page for the case of a fault, with what is to be done next, and how late it is.
    fn leave(self, next: &str) {
        let inner = self.inner();
        let lanes = inner.lanes.borrow();
        let engine = &lanes.shown.engine;
        let (lines, is_more) = inner.pace.borrow_mut().left.news(engine);
        let next = format!("run to event {}\n{next}", engine.history().world().events());
        crate::leave(&lines, is_more, &next, engine.clock());
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
        inner.pace.borrow_mut().left.follow(&inner.lanes.borrow().shown.engine);
        for line in &lines {
            let error = done.as_ref().err().filter(|_| line == last);
            inner.scene.borrow_mut().write(line, error.map(|it| &**it));
        }
        self.look();
        inner.scene.borrow_mut().sentence = match &done {
            Ok(()) => deed(last),
            Err(error) => error.clone(),
        };
        self.show();
        self.leave("");
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
        let patches = self.with(|it| inner.drawings.borrow().as_ref().is_some_and(|drawings| drawings.patches(it)));
        let whole = (FRAME_MS - BROWSER_MS - inner.pace.borrow().drawing).clamp(SLICE_MS.0, SLICE_MS.1);
        let slice = if patches { LEAN_MS } else { whole };
        let spent = || (now_ms() - now) / slice;
        let found = match motion {
            Motion::Still => return,
            Motion::Play => {
                let us = passed.min(LONGEST_FRAME_MS) * 1_000.0 * bar::ten_to(speed);
                inner.lanes.borrow_mut().advance(us, &spent);
                None
            }
            Motion::Until(_) => inner.lanes.borrow_mut().search(&spent),
            Motion::Tour(tour) => {
                let mut lanes = inner.lanes.borrow_mut();
                let due = inner.pace.borrow().way.at(now);
                let us = due.saturating_sub(lanes.shown.engine.clock());
                lanes.advance(us as f64, &spent);
                let is_there = lanes.shown.engine.clock() >= tour.end_us && lanes.are_together();
                drop(lanes);
                if is_there || self.with(|it| it.lesson.as_ref().is_some_and(Lesson::is_just_solved)) {
                    return self.arrive(tour);
                }
                None
            }
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

    /// The tour is over.
    fn arrive(self, tour: Tour) {
        match tour.chapter {
            Some(chapter) => self.turn_to(chapter),
            None => self.travel(|_| ()),
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

    /// A search for the last moment at which the last loss could have been avoided, if there is one.
    pub(crate) fn rescue(self) -> Option<Rescue> {
        self.inner().lanes.borrow().shown.engine.rescue()
    }

    /// Says another sentence than the event's own.
    fn say(self, sentence: String) {
        let inner = self.inner();
        inner.scene.borrow_mut().sentence = sentence;
        self.show();
    }

    /// Looks at the engine and shows what is new.
    fn draw(self) {
        self.look();
        self.show();
    }

    fn look(self) {
        let inner = self.inner();
        let (mut scene, mut lanes) = (inner.scene.borrow_mut(), inner.lanes.borrow_mut());
        let turn = inner.drawings.borrow().as_ref().map_or(u32::MAX, |it| it.turn(&scene));
        let moved = scene.look(&mut lanes.shown.engine, turn);
        let mut pace = inner.pace.borrow_mut();
        pace.compares |= scene.looks_around();
        if !lanes.are_many() {
            scene.lanes.clear();
        }
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
            if let Some(drawings) = self.inner().drawings.borrow_mut().as_mut() {
                drawings.resized();
            }
            self.change(|scene| (scene.columns, scene.cell, scene.narrow) = (columns, cell, narrow));
        }
    }
}

fn sight(lane: &Lane) -> Sight {
    Sight { number: lane.number, name: lane.name.clone(), groups: lane.engine.groups() }
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

/// True for who would rather see where things are than how they move.
fn is_still_preferred() -> bool {
    window().match_media("(prefers-reduced-motion: reduce)").ok().flatten().is_some_and(|it| it.matches())
}

/// The page's clock, which only paces: nothing of it enters a run.
fn now_ms() -> f64 {
    window().performance().map_or(0.0, |it| it.now())
}
