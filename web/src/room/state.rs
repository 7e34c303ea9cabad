//! The room: its runs, what is shown of them, and the ways from one moment, branch, lane or room to another.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use leptos::prelude::*;
use sim::rescue::Rescue;

use super::drawings::Drawings;
use super::keys;
use super::lanes::Sight;
use super::left::Left;
use super::lesson::{Lesson, Mode};
use super::motion::{Motion, now_ms};
use super::rooms::{self, Choice};
use super::scene::{Chrome, Scene};
use super::way::Way;
use crate::engine::Engine;
use crate::lanes::{Lane, Lanes};

/// Between two sentences while the room plays, in ms: a person has to read them.
const SENTENCE_MS: f64 = 1_400.0;

/// With which of what is looked at a link names the lesson that its run is told in, and its lane; and the name of a branch.
const LESSON: &str = "lesson:";
const LANE: &str = "lane:";
const NAME: &str = "name:";
/// As long a name a link may give to a branch.
const LONGEST: usize = 24;

/// The room. Cheap to copy: all of it is handles.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    inner: StoredValue<Rc<Inner>, LocalStorage>,
    /// Counts changes of what the bar, the forms and the buttons show; the drawings know by themselves.
    changes: RwSignal<u64>,
}

pub(super) struct Inner {
    pub(super) lanes: RefCell<Lanes>,
    pub(super) scene: RefCell<Scene>,
    pub(super) drawings: RefCell<Option<Drawings>>,
    pub(super) pace: RefCell<Pace>,
    /// Something was done at the moment in sight, and is not looked at yet.
    pub(super) is_late: Cell<bool>,
    /// The run that somebody left for one of a file, with all of its branches.
    before: RefCell<Option<(Lanes, Scene)>>,
}

/// The page's clock at the last frame and at the last sentence, and what the bar and the forms showed then.
#[derive(Default)]
pub(super) struct Pace {
    pub(super) frame_at: Option<f64>,
    said_at: f64,
    /// How long drawing a frame takes here, in ms, on average of late.
    pub(super) drawing: f64,
    /// The branch in sight.
    branch: usize,
    /// The way that is watched.
    pub(super) way: Way,
    /// The last event that was told while time passed, and its sentence.
    pub(super) told: (u64, String),
    /// What is done once it has come that is waited for.
    pub(super) line: String,
    /// The lanes are to be looked at as soon as all are at one moment.
    compares: bool,
    chrome: Chrome,
    pub(super) left: Left,
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
            is_late: Cell::new(false),
            before: RefCell::new(None),
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

    pub(super) fn inner(self) -> Rc<Inner> {
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
    pub(super) fn travel(self, to: impl FnOnce(&mut Lanes)) {
        self.catch_up();
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
        self.catch_up();
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

    /// Into another room. What was done in this one is gone.
    pub(crate) fn enter(self, choice: &Choice) {
        self.stop();
        match choice.engines() {
            Ok(engines) => {
                let lesson = Lesson::of(choice, &engines[0].1);
                self.settle_in(choice.id, lesson, engines);
                self.to_begin();
            }
            // A room of ours always plays; if it does not, that is said and nothing is lost.
            Err(error) => self.say(error),
        }
    }

    /// To where the story begins, if there is one.
    fn to_begin(self) {
        match self.with(|it| it.lesson.as_ref().and_then(|it| Some((it.clone(), it.begin()?)))) {
            Some((lesson, moment)) => self.travel(|lanes| lesson.stand(&mut lanes.shown.engine, moment)),
            None => self.travel(|_| ()),
        }
    }

    /// Into the run of somebody's file, with its story if it tells one. The run before is kept as it is.
    pub(crate) fn enter_file(self, engine: Engine) {
        self.stop();
        let lesson = Lesson::new("", false, &engine);
        let before = self.settle_in("", lesson, vec![("", engine)]);
        self.inner().before.replace(Some(before));
        keys::set_value("rooms", "");
        self.to_begin();
    }

    /// To the run that was left for one of a file, or back to that.
    pub(crate) fn other_run(self) {
        self.stop();
        let inner = self.inner();
        let Some((lanes, mut scene)) = inner.before.take() else { return };
        scene.carry_on(&mut inner.scene.borrow_mut());
        let left = (inner.lanes.replace(lanes), inner.scene.replace(scene));
        inner.before.replace(Some(left));
        keys::set_value("rooms", self.with(|it| it.room));
        self.leave("");
        self.calm();
        self.measure();
    }

    /// Shows these runs: gives back those that were shown.
    fn settle_in(
        self,
        id: &'static str,
        lesson: Option<Lesson>,
        engines: Vec<(&'static str, Engine)>,
    ) -> (Lanes, Scene) {
        let inner = self.inner();
        let lanes = Lanes::new(engines);
        let mut scene = Scene::new(lanes.shown.engine.seed());
        scene.carry_on(&mut inner.scene.borrow_mut());
        // What was typed for the run that is left is nothing for this one.
        keys::set_value("line", "");
        (scene.room, scene.lesson) = (id, lesson);
        let left = (inner.lanes.replace(lanes), inner.scene.replace(scene));
        self.leave("");
        self.calm();
        left
    }

    /// Looks at the run.
    pub(crate) fn run<T>(self, look: impl FnOnce(&Engine) -> T) -> T {
        look(&self.inner().lanes.borrow().shown.engine)
    }

    /// What is looked at, for whoever opens a link: it is looked at there too. And what a link leaves out, as three numbers: other
    /// lanes, other branches, and the story (0 or 1).
    pub(crate) fn looks(self) -> Vec<String> {
        let inner = self.inner();
        let lanes = inner.lanes.borrow();
        let shown = &lanes.shown;
        let (branch, branches) = shown.engine.branches();
        self.with(|it| {
            let mut looks = vec![format!("choose:{}", it.chosen)];
            looks.extend(it.selection.deed());
            // The story stays with its run, as long as nobody left it, and its lanes with it.
            let told = it.lesson.as_ref().filter(|it| branch == 0 && it.is_told_by(shown.number, &shown.engine));
            if let Some(lesson) = told {
                looks.push(format!("{LESSON}{}", lesson.id));
                looks.push(format!("{LANE}{}", shown.number));
            } else if let Some(name) = branches.get(branch).map(|it| it.name).filter(|it| *it != "main") {
                looks.push(format!("{NAME}{name}"));
            }
            let is_whole = told.is_some_and(|it| it.mode == Mode::Told);
            let lanes = if is_whole { 0 } else { lanes.all().count() - 1 };
            let story = it.lesson.is_some() && told.is_none();
            if lanes + branches.len() > 1 || story {
                looks.push(format!("left:{lanes}:{}:{}", branches.len() - 1, u8::from(story)));
            }
            looks
        })
    }

    /// Into a run that is none of the rooms, where it stands, or, if it is that of a lesson as it is told, into the lesson. What was
    /// done in this one is gone. True if it is a lesson.
    pub(crate) fn enter_run(self, engine: Engine, looks: &[String]) -> bool {
        self.stop();
        let look = |word: &str| looks.iter().find_map(|it| it.strip_prefix(word));
        let lane = look(LANE).and_then(|it| it.parse().ok()).unwrap_or(0);
        let told = look(LESSON).and_then(rooms::find).and_then(|it| Some((it, it.engines().ok()?)));
        let told = told.and_then(|(choice, mut all)| {
            let is_told = all.get_mut(lane)?.1.stand_as(&engine);
            is_told.then_some(())?;
            Some((choice.id, Lesson::of(choice, &all[0].1)?, all))
        });
        let is_lesson = told.is_some();
        match told {
            Some((id, lesson, all)) => {
                keys::set_value("rooms", id);
                self.settle_in(id, Some(lesson), all);
                self.travel(|lanes| lanes.show(lane));
            }
            None => {
                self.settle_in("", None, vec![("", engine)]);
                self.travel(|lanes| {
                    if let Some(name) = look(NAME) {
                        lanes.shown.engine.rename(&name.chars().take(LONGEST).collect::<String>());
                    }
                });
            }
        }
        looks.iter().for_each(|it| keys::look(self, it));
        is_lesson
    }

    /// To the end of a branch.
    pub(crate) fn switch(self, branch: usize) {
        self.travel(|lanes| lanes.switch(branch));
        self.leave("");
    }

    /// A search for the last moment at which the last loss could have been avoided, if there is one.
    pub(crate) fn rescue(self) -> Option<Rescue> {
        self.inner().lanes.borrow().shown.engine.rescue()
    }

    /// Says another sentence than the event's own.
    pub(super) fn say(self, sentence: String) {
        let inner = self.inner();
        inner.scene.borrow_mut().sentence = sentence;
        self.show();
    }

    /// Looks at the engine and shows what is new.
    pub(super) fn draw(self) {
        self.look();
        self.show();
    }

    /// As [`Room::draw`], for one of many frames: what they do not show anew is not looked at.
    pub(super) fn draw_frame(self) {
        let whole = self.with(|it| self.inner().drawings.borrow().as_ref().is_none_or(|drawings| drawings.looks(it)));
        self.look_at(whole);
        self.show();
    }

    pub(super) fn look(self) {
        self.look_at(true);
    }

    /// Looks at what was done and is not looked at yet.
    pub(crate) fn catch_up(self) {
        if self.inner().is_late.get() {
            self.draw();
        }
    }

    fn look_at(self, whole: bool) {
        let inner = self.inner();
        let is_late = inner.is_late.replace(false);
        let (mut scene, mut lanes) = (inner.scene.borrow_mut(), inner.lanes.borrow_mut());
        let turn = inner.drawings.borrow().as_ref().map_or(u32::MAX, |it| it.turn(&scene));
        let moved = scene.look(&mut lanes.shown.engine, turn, whole);
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
            // What was said of what was done stays.
            if (moved && !is_late) || scene.sentence.is_empty() {
                scene.sentence = scene.view.sentence.clone();
            }
        } else if lanes.later().is_none()
            && now - pace.said_at > SENTENCE_MS
            && let Some((event, sentence)) = lanes.shown.engine.tell()
        {
            (pace.said_at, pace.told) = (now, (event, sentence.clone()));
            scene.sentence = sentence;
        }
        for refused in lanes.shown.engine.take_refused() {
            scene.refuse(&refused);
            (pace.said_at, scene.sentence) = (now, refused);
        }
    }

    pub(super) fn show(self) {
        let inner = self.inner();
        let changed = {
            let scene = inner.scene.borrow();
            if let Some(drawings) = inner.drawings.borrow_mut().as_mut() {
                drawings.show(&scene);
            }
            let chrome = scene.chrome();
            let mut pace = inner.pace.borrow_mut();
            if std::mem::replace(&mut pace.branch, scene.view.branch) != scene.view.branch {
                keys::scroll_to(".lanes", ".branch.on");
            }
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
    Sight { number: lane.number, name: lane.name.clone(), time_us: lane.engine.clock(), groups: lane.engine.groups() }
}
