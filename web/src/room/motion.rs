//! Time that passes: as it is played, as fast as the engine can, or from chapter to chapter.

use leptos::prelude::*;

use super::bar;
use super::lesson::Lesson;
use super::scene::Scene;
use super::state::Room;
use super::terminal;
use super::way::Way;
use crate::engine::Until;
use crate::memory;

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
/// A frame longer than this was no frame: the tab was away.
const LONGEST_FRAME_MS: f64 = 100.0;
/// So long a way from chapter to chapter is watched at most, in ms of the reader's time; the first one, while the first chapter is read.
const TOUR_MS: f64 = 4_000.0;
pub(super) const FIRST_MS: f64 = 9_000.0;

/// What moves the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Motion {
    /// Nothing.
    Still,
    /// Time, at the speed set.
    Play,
    /// The engine as fast as it can, until what it waits for has come.
    Until,
    /// Time, at a speed of its own, up to a moment.
    Tour(Tour),
}

/// A way to a moment of the story, gone while somebody watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tour {
    /// Where it ends, in µs.
    pub(crate) end_us: u64,
    /// The chapter that tells of its end.
    pub(super) chapter: Option<usize>,
}

impl Room {
    /// Lets time pass up to a moment, as long as somebody likes to watch.
    pub(super) fn tour(self, end_us: u64, chapter: Option<usize>) {
        self.tour_in(end_us, chapter, TOUR_MS);
    }

    /// As [`Room::tour`], in so many ms of the reader's time at most.
    pub(super) fn tour_in(self, end_us: u64, chapter: Option<usize>, most_ms: f64) {
        let inner = self.inner();
        let times = {
            let engine = &mut inner.lanes.borrow_mut().shown.engine;
            // What was never seen is not looked at ahead: it may be changed on the way.
            if engine.is_past() { engine.way(end_us) } else { vec![engine.clock(), end_us] }
        };
        inner.pace.borrow_mut().way = Way::new(&times, now_ms(), most_ms);
        self.go(Motion::Tour(Tour { end_us, chapter }));
    }

    /// Stands still, and calls off what was to be done later.
    pub(crate) fn stop(self) {
        if self.with(|it| !it.is_still()) {
            let undone = self.inner().lanes.borrow_mut().stop();
            self.stand();
            self.undone(&undone);
        }
    }

    pub(super) fn stand(self) {
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
        self.set_out(motion, None);
    }

    /// Waits for something, as a line says that is done then.
    pub(super) fn wait_for(self, until: Until, line: String) {
        self.inner().pace.borrow_mut().line = line;
        self.set_out(Motion::Until, Some(until));
    }

    fn set_out(self, motion: Motion, until: Option<Until>) {
        self.catch_up();
        let inner = self.inner();
        let was_still = self.with(Scene::is_still);
        let undone = {
            let mut lanes = inner.lanes.borrow_mut();
            lanes.shown.engine.give_up();
            if let Some(until) = until {
                lanes.shown.engine.expect(until);
            }
            // Another wait for time is one of the lines that were to be done in their order.
            if lanes.shown.engine.waits() { Vec::new() } else { lanes.forget_later() }
        };
        inner.pace.borrow_mut().frame_at = None;
        self.change(|scene| (scene.motion, scene.is_motionless) = (motion, is_still_preferred()));
        if was_still {
            request_animation_frame(move || self.frame());
        }
        self.undone(&undone);
    }

    pub(super) fn frame(self) {
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
            Motion::Until => inner.lanes.borrow_mut().search(&spent),
            Motion::Tour(tour) => {
                let mut lanes = inner.lanes.borrow_mut();
                let due = inner.pace.borrow().way.at(now);
                lanes.follow_to(due, &spent);
                let is_there = lanes.shown.engine.clock() >= tour.end_us && lanes.are_together();
                drop(lanes);
                if is_there || self.with(|it| it.lesson.as_ref().is_some_and(Lesson::is_just_solved)) {
                    return self.arrive(tour);
                }
                None
            }
        };
        if let Some(full) = memory::full() {
            self.stop();
            return self.say(full);
        }
        match found {
            Some(found) => {
                self.stand();
                self.leave("");
                match found {
                    Ok(sentence) => {
                        terminal::keep(&inner.pace.borrow().line);
                        self.say(sentence);
                        self.carry_out_later();
                    }
                    Err(error) => {
                        inner.scene.borrow_mut().fail(error.clone());
                        self.say(error);
                        self.forget_later();
                    }
                }
            }
            None => {
                let begun = now_ms();
                if let Some(drawings) = inner.drawings.borrow_mut().as_mut() {
                    drawings.put_off(begun - now > BUSY_MS);
                }
                self.draw_frame();
                let took = now_ms() - begun;
                let mut pace = inner.pace.borrow_mut();
                pace.drawing += (took - pace.drawing) * 0.1;
                request_animation_frame(move || self.frame());
            }
        }
    }

    /// The tour is over.
    pub(super) fn arrive(self, tour: Tour) {
        match tour.chapter {
            Some(chapter) => self.turn_to(chapter),
            None => self.travel(|_| ()),
        }
    }
}

/// True for who would rather see where things are than how they move.
pub(super) fn is_still_preferred() -> bool {
    window().match_media("(prefers-reduced-motion: reduce)").ok().flatten().is_some_and(|it| it.matches())
}

/// The page's clock, which only paces: nothing of it enters a run.
pub(super) fn now_ms() -> f64 {
    window().performance().map_or(0.0, |it| it.now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, ROOM};
    use crate::lanes::Lanes;

    /// Frames that are too short by far make a tour come late, never too far: what they had no time for is not asked for twice.
    #[test]
    fn a_tour_ends_at_its_end_however_slow_the_frames_are() {
        let mut lanes = Lanes::new(vec![("", Engine::new(ROOM).unwrap())]);
        lanes.shown.engine.seek(100);
        let begun = lanes.shown.engine.clock();
        let end = begun + 500_000;
        // Somebody plays before, and all of that is still owed.
        lanes.advance(400_000.0, &|| 2.0);
        assert!(lanes.shown.engine.clock() < end - 200_000);
        let way = Way::new(&lanes.shown.engine.way(end), 0.0, 1_000.0);
        let (mut now, mut late) = (0.0, 0);
        while lanes.shown.engine.clock() < end {
            now += 16.0;
            let before = lanes.shown.engine.clock();
            lanes.follow_to(way.at(now), &|| 2.0);
            let clock = lanes.shown.engine.clock();
            assert!(clock <= way.at(now).max(before) && clock > before.min(end - 1), "{before} {clock} at {now}");
            late += u32::from(clock < way.at(now));
        }
        assert!(late > 0 && lanes.shown.engine.clock() == end);
    }
}
