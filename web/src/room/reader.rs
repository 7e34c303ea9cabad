//! What a reader does with a lesson: turns its pages, bets, changes a setting, tries the puzzle.

use leptos::prelude::*;

use super::lesson::{self, Lesson, Mode, Try, Varied};
use super::motion::{FIRST_MS, Motion, Tour, is_still_preferred, now_ms};
use super::scene::Scene;
use super::state::Room;
use super::{rooms, said};
use crate::engine::{Engine, Opening};
use crate::lanes::Lanes;

/// What keeps somebody from going on.
const BET_FIRST: &str = "Choose an answer first: there is nothing to lose.";
/// A run that a knob makes is played so long at a time, in ms, and so many turns between two looks at the page's clock.
const PART_MS: f64 = 100.0;
const TURNS: u32 = 2_000;
/// So long after its last line what solves a puzzle may take, in µs.
const SOLVED_WITHIN_US: u64 = 30_000_000;

impl Room {
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
                lanes.leave_alone();
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
    pub(super) fn tour_to(self, chapter: usize) {
        let (now, moment, is_on) = self.with(|it| {
            let moment = it.lesson.as_ref().and_then(|it| it.moment(chapter));
            (it.view.time_us, moment.map_or(0, |it| it.at.0), it.view.branch == 0)
        });
        if moment <= now || !is_on || is_still_preferred() {
            return self.turn_to(chapter);
        }
        self.tour(moment, Some(chapter));
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
    pub(super) fn set_mode(self, mode: Mode) {
        self.change(|scene| {
            if let Some(lesson) = &mut scene.lesson {
                lesson.mode = mode;
            }
        });
        self.calm();
    }

    /// Where there is a story to follow, its controls alone are there, and of the views those that it needs.
    pub(super) fn calm(self) {
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
        // What is shown may be another setting's.
        let told = |it: &Lanes| it.all().find(|it| it.number == 0).map(|it| it.engine.vary(knob));
        let Some(opening) = told(&inner.lanes.borrow()) else { return };
        match opening {
            Ok(opening) => self.vary_by(knob, opening),
            Err(error) => self.say(error),
        }
    }

    /// The same as far as it is played: a lesson's at once, what is anybody's for as long as whoever waits does nothing else.
    fn vary_by(self, knob: usize, mut opening: Opening) {
        let begun = now_ms();
        while now_ms() - begun < PART_MS {
            opening = match opening.go_on(TURNS) {
                Ok(Opening::Open(engine)) => return self.put_beside(knob, engine),
                Ok(opening) => opening,
                Err(error) => return self.say(error),
            };
        }
        let words = format!("It is played: {} %. Any step calls it off.", (opening.progress() * 100.0) as u32);
        self.say(words.clone());
        request_animation_frame(move || {
            if self.with(|it| it.is_still() && it.sentence == words) {
                self.vary_by(knob, opening);
            }
        });
    }

    fn put_beside(self, knob: usize, mut engine: Engine) {
        let Some(lesson) = self.with(|it| it.lesson.clone()) else { return };
        let Some(turn) = lesson.story.knobs.get(knob).map(|it| it.turn.to_string()) else { return };
        let varied = {
            let inner = self.inner();
            let mut lanes = inner.lanes.borrow_mut();
            lanes.leave_alone();
            lanes.switch(0);
            let outcomes = lanes.shown.engine.outcomes(knob, &engine);
            let end_us = engine.end().map_or(0, |it| it.at.0);
            if let Some(begin) = lesson.begin() {
                engine.stand(engine.moment(begin.line + 1));
            }
            lanes.put_beside(turn, engine);
            Varied { knob, end_us, outcomes, shows_told: false }
        };
        let end_us = varied.end_us;
        self.set_mode(Mode::Varied(varied));
        self.travel(|_| ());
        if is_still_preferred() { self.vary_on(knob) } else { self.tour(end_us, None) }
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
                lanes.leave_alone();
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
        self.catch_up();
        if self.with(Scene::is_still) && !self.with(|it| it.lesson.as_ref().is_some_and(Lesson::is_solved)) {
            self.tour(self.with(|it| it.view.time_us) + SOLVED_WITHIN_US, None);
        }
    }

    /// After something was done for the puzzle: if all that it takes now is time, that passes.
    pub(super) fn let_goals_come(self) {
        let goals = self.with(|it| {
            let lesson = it.lesson.as_ref().filter(|_| it.is_still())?;
            let is_open = matches!(&lesson.mode, Mode::Puzzle(it) if !it.is_solved && !it.is_shown);
            Some(lesson.story.puzzle.as_ref().filter(|_| is_open)?.goals.clone())
        });
        if let Some(at) = goals.and_then(|goals| self.run(|it| it.will_hold(&goals, SOLVED_WITHIN_US))) {
            self.tour(at, None);
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
}
