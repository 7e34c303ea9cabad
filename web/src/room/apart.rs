//! Where two runs part: a branch and the one that it left, or two lanes.

use sim::history::Difference;

use super::scene::Scene;
use super::{grouped, stamp};
use crate::draw::{Shape, classed, shape, text};
use crate::lanes::Lanes;

/// What was asked, and the answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Apart {
    room: &'static str,
    lane: usize,
    branch: usize,
    /// The other run's name and this one's.
    names: [String; 2],
    /// What somebody did in this one and not in the other.
    deed: Option<String>,
    /// Nothing if they tell the same.
    found: Option<Difference>,
}

impl Apart {
    /// Compares the lane that is shown with another, or its branch with the one that it left. Nothing if there is no other.
    pub(crate) fn find(lanes: &Lanes, scene: &Scene) -> Option<Apart> {
        let engine = &lanes.shown.engine;
        let (branch, branches) = engine.branches();
        let (names, deed, found) = match lanes.beside() {
            Some(other) => {
                let found = other.engine.history().part_from(engine.history());
                ([other.name.clone(), lanes.shown.name.clone()], None, found)
            }
            None => {
                let (here, there) = (branches.get(branch)?, branches.get(branches.get(branch)?.from?.0)?);
                let same = here.actions.iter().zip(there.actions).take_while(|it| it.0 == it.1).count();
                let deed = here.actions.get(same).map(|it| it.action.to_string());
                // Both are there.
                let found = engine.history().compare(there.name, here.name).ok();
                ([there.name.to_owned(), here.name.to_owned()], deed, found)
            }
        };
        Some(Apart { room: scene.room, lane: scene.lane, branch, names, deed, found })
    }

    fn is_of(&self, scene: &Scene) -> bool {
        (self.room, self.lane, self.branch) == (scene.room, scene.lane, scene.view.branch)
    }
}

/// What was found names a branch that has another name now.
pub(crate) fn forget_names(scene: &mut Scene) {
    scene.apart = None;
}

/// A button that asks, or the answer.
pub(crate) fn draw(scene: &Scene, question: &'static str) -> Shape {
    let Some(asked) = scene.apart.as_ref().filter(|it| it.is_of(scene)) else {
        return classed("button", "deed").set("id", "part").set("data-do", "part:").say(question);
    };
    let told = classed("p", "apart").set("id", "apart").set("role", "status");
    let Some(found) = &asked.found else { return told.say("As far as both are known they tell the same.") };
    let there = classed("button", "line").set("data-do", format!("seek:{}", found.same_until)).say(format!(
        "step {} · {} s",
        grouped(found.same_until),
        stamp(found.same_at.0)
    ));
    let mut shapes = vec![text("The same up to "), there, text(".")];
    if let Some(deed) = &asked.deed {
        shapes.extend([text(" Here somebody did "), shape("code").say(deed.clone()), text(".")]);
    }
    if let Some(events) = found.untold_for {
        shapes.push(text(format!(" Nothing told differs within {} steps.", grouped(events))));
        return told.with_all(shapes);
    }
    for (name, then) in asked.names.iter().zip(&found.then) {
        shapes.push(shape("b").say(format!(" {name}: ")));
        shapes.push(text(match then {
            Some((at, words)) => format!("{} s, {words}", stamp(at.0)),
            None => "no more is known.".to_owned(),
        }));
    }
    told.with_all(shapes)
}

/// The mark of it on the timeline.
pub(crate) fn mark(scene: &Scene) -> Option<Shape> {
    let asked = scene.apart.as_ref().filter(|it| it.is_of(scene))?;
    let last = scene.view.last_event.max(1);
    // As far as two lanes were looked at they may be the same; of branches somebody did something there.
    let found = asked.found.as_ref().filter(|it| it.untold_for.is_none() || asked.deed.is_some())?;
    let at = (found.same_until.min(last) * 10_000 / last).min(9_999);
    Some(classed("i", "k parts").set("style", format!("--t:.{at:04}")).set("title", "here they part"))
}
