//! Since when it was too late: the point of no return of the last loss, looked for future by future while the page goes on.

use std::time::Duration;

use leptos::prelude::set_timeout;
use sim::rescue::{PointOfNoReturn, Rescue};

use super::scene::Scene;
use super::stamp;
use super::state::Room;
use crate::draw::{Shape, classed, shape, text};
use crate::view::Verdict;

/// What was asked about a branch of a room, and the answer once it is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    room: &'static str,
    lane: usize,
    branch: usize,
    found: Option<PointOfNoReturn>,
}

impl Asked {
    /// True if it is about what the scene shows.
    fn is_of(&self, scene: &Scene) -> bool {
        self.room == scene.room && self.lane == scene.lane && self.branch == scene.view.branch
    }
}

/// Begins to look for it.
pub(crate) fn ask(room: Room) {
    room.stop();
    let Some(search) = room.rescue() else { return };
    room.change(|scene| {
        let (room, lane, branch) = (scene.room, scene.lane, scene.view.branch);
        scene.rescue = Some(Asked { room, lane, branch, found: None });
    });
    go_on(room, search);
}

/// Looks at one future in a task of its own, as long as somebody still wants to know.
fn go_on(room: Room, mut search: Rescue) {
    let next = move || {
        let is_wanted = |scene: &Scene| scene.rescue.as_ref().is_some_and(|it| it.found.is_none() && it.is_of(scene));
        if !room.with(is_wanted) {
            return;
        }
        if search.probe() {
            return go_on(room, search);
        }
        let found = search.found();
        room.change(|scene| {
            if let Some(asked) = &mut scene.rescue {
                asked.found = Some(found);
            }
        });
    };
    set_timeout(next, Duration::ZERO);
}

/// What the verdict says of it.
pub(crate) fn draw(scene: &Scene) -> Option<Shape> {
    let is_lost = scene.view.findings.iter().any(|it| it.acked > 0 && it.verdict != Verdict::Kept);
    let asked = scene.rescue.as_ref().filter(|it| it.is_of(scene));
    let Some(asked) = asked else {
        let button = classed("button", "deed").set("id", "too-late").set("data-do", "rescue:");
        return is_lost.then(|| shape("p").with([button.say("When was it too late?")]));
    };
    let Some(point) = &asked.found else {
        return Some(classed("p", "reason").set("role", "status").say("Looking at other futures …"));
    };
    let words = format!(
        " at {} s. Until then nothing of it would have been lost, had everything been mended and nothing more broken; after it no mending helps. ",
        stamp(point.at.0)
    );
    let there = classed("button", "deed").set("data-do", format!("seek:{}", point.event)).say("Go there");
    let deed = shape("code").say(point.deed.clone());
    Some(classed("p", "reason").set("id", "no-return").set("role", "status").with([
        text("Too late since "),
        deed,
        text(words),
        there,
    ]))
}

/// On the timeline: from the last moment at which the loss could be avoided to the step that showed it.
pub(crate) fn span(scene: &Scene) -> Option<Shape> {
    let asked = scene.rescue.as_ref().filter(|it| it.is_of(scene))?;
    let point = asked.found.as_ref()?;
    let last = scene.view.last_event.max(1);
    let of = |event: u64| format!(".{:04}", (event * 10_000 / last).min(9_999));
    let style = format!("--t:{};--u:{}", of(point.event), of(point.loss));
    Some(classed("b", "late").set("style", style).set("title", "too late to avoid the loss"))
}
