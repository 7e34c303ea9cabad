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
    /// This run's name.
    name: String,
    /// What somebody did in this one and not in the other.
    deed: Option<String>,
    /// The names of the others, and where this one parts from each: nowhere if they tell the same.
    others: Vec<(String, Option<Difference>)>,
    /// They are lanes.
    are_lanes: bool,
}

impl Apart {
    /// Compares the lane that is shown with the others, or its branch with another, by that one's number. Nothing if there is none.
    pub(crate) fn find(lanes: &Lanes, scene: &Scene, from: Option<usize>) -> Option<Apart> {
        let engine = &lanes.shown.engine;
        let (branch, branches) = engine.branches();
        let are_lanes = lanes.are_many();
        let (name, deed, others) = if are_lanes {
            let mut others: Vec<_> = lanes.all().skip(1).collect();
            ordered::sort_by_key(&mut others, |it| it.number);
            let others = others.iter().map(|it| (it.name.clone(), it.engine.history().part_from(engine.history())));
            (lanes.shown.name.clone(), None, others.collect())
        } else {
            let here = branches.get(branch)?;
            let there = branches.get(from?)?;
            let same = here.actions.iter().zip(there.actions).take_while(|it| it.0 == it.1).count();
            let deed = here.actions.get(same).map(|it| it.action.to_string());
            // Both are there.
            let found = engine.history().compare(there.name, here.name).ok();
            (here.name.to_owned(), deed, vec![(there.name.to_owned(), found)])
        };
        Some(Apart { room: scene.room, lane: scene.lane, branch, name, deed, others, are_lanes })
    }

    fn is_of(&self, scene: &Scene) -> bool {
        (self.room, self.lane, self.branch) == (scene.room, scene.lane, scene.view.branch)
    }
}

/// What was found names a branch that has another name now.
pub(crate) fn forget_names(scene: &mut Scene) {
    scene.apart = None;
}

/// Of branches, a menu of the other ones: however many there are, the timeline keeps its room.
pub(crate) fn branches(scene: &Scene) -> Shape {
    let others = scene.view.branches.iter().enumerate().filter(|it| it.0 != scene.view.branch);
    let option =
        |value: String, words: &str| shape("option").named(&value).set("value", value.clone()).say(words.to_owned());
    let others = others.map(|(index, it)| option(index.to_string(), &it.name));
    let menu =
        classed("select", "until").set("id", "part").set("aria-label", "Where this branch parts from another one");
    menu.with([option(String::new(), "parts from …")]).with_all(others.collect())
}

/// A button that asks where lanes part, or the answer.
pub(crate) fn draw(scene: &Scene) -> Shape {
    let ask =
        || classed("button", "deed").set("id", "part").set("data-do", "part:").say("Where do the lanes first differ?");
    found(scene).unwrap_or_else(ask)
}

/// The answer, if somebody asked.
pub(crate) fn found(scene: &Scene) -> Option<Shape> {
    scene.apart.as_ref().filter(|it| it.is_of(scene)).map(answer)
}

fn answer(asked: &Apart) -> Shape {
    let told = classed("p", "apart").set("id", "apart").set("role", "status");
    let mut shapes = Vec::new();
    if asked.are_lanes {
        let words =
            "All lanes begin as one run, step by step the same, until the settings have somebody do something else.";
        shapes.push(text(words));
    }
    for (name, found) in &asked.others {
        shapes.extend(parts(asked, name, found.as_ref()));
    }
    told.with_all(shapes)
}

/// Where it parts from another, in words.
fn parts(asked: &Apart, other: &str, found: Option<&Difference>) -> Vec<Shape> {
    let Some(found) = found else {
        return vec![text(format!(" {other}, {}: as far as both are known they tell the same.", asked.name))];
    };
    let there = classed("button", "line").set("data-do", format!("seek:{}", found.same_until)).say(format!(
        "step {} · {} s",
        grouped(found.same_until),
        stamp(found.same_at.0)
    ));
    let same = if asked.are_lanes {
        format!(" {other} and {} are the same up to ", asked.name)
    } else {
        "The same up to ".to_owned()
    };
    let mut shapes = vec![text(same), there, text(".")];
    if let Some(deed) = &asked.deed {
        shapes.extend([text(" Here somebody did "), shape("code").say(deed.clone()), text(".")]);
    }
    if let Some(events) = found.untold_for {
        shapes.push(text(format!(" Nothing told differs within {} steps.", grouped(events))));
        return shapes;
    }
    for (name, then) in [other, &*asked.name].into_iter().zip(&found.then) {
        shapes.push(shape("b").say(format!(" {name}: ")));
        shapes.push(text(match then {
            Some((at, words)) => format!("{} s, {words}", stamp(at.0)),
            None => "no more is known.".to_owned(),
        }));
    }
    shapes
}

/// The mark of it on the timeline.
pub(crate) fn mark(scene: &Scene) -> Option<Shape> {
    let asked = scene.apart.as_ref().filter(|it| it.is_of(scene))?;
    let last = scene.view.last_event.max(1);
    // As far as two lanes were looked at they may be the same; of branches somebody did something there.
    let mut found = asked.others.iter().filter_map(|it| it.1.as_ref());
    let found = found.find(|it| it.untold_for.is_none() || asked.deed.is_some())?;
    let at = (found.same_until.min(last) * 10_000 / last).min(9_999);
    Some(classed("i", "k parts").set("style", format!("--t:.{at:04}")).set("title", "here they part"))
}
