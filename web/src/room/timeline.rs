//! The run from its first step to its furthest, and its branches.

use super::scene::Scene;
use super::{apart, grouped, rescue, stamp};
use crate::draw::{Shape, classed, shape, text};
use crate::engine::Kind;

/// The timeline.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let view = &scene.view;
    let mut lanes = Vec::new();
    for (index, branch) in view.branches.iter().enumerate() {
        let is_on = index == view.branch;
        let from = branch.forked_at.map_or(String::new(), |it| format!(", from step {}", grouped(it)));
        lanes.push(if is_on && view.branches.len() > 1 {
            // Its name can be changed where it stands.
            classed("input", "branch on")
                .keyed(index as u64)
                .set("id", "branch")
                .set("aria-label", format!("Name of this branch{from}"))
                .set("title", format!("{}{from}; type another name", branch.name))
                .set("maxlength", "24")
                .set("size", (branch.name.chars().count() + 1).to_string())
                .set(".value", branch.name.clone())
        } else {
            classed("button", if is_on { "branch on" } else { "branch" })
                .keyed(index as u64)
                .set("aria-pressed", if is_on { "true" } else { "false" })
                .set("title", format!("{}{from}", branch.name))
                .set("data-do", format!("branch:{index}"))
                .say(branch.name.clone())
        });
    }
    // Of these there is one almost everywhere, and each new event moves them all: together they are one line of dots.
    let mut acks = String::new();
    for (_, slot) in scene.marks.iter().filter(|it| it.0 == Kind::Ack) {
        acks.push_str(&format!("M{slot} 0h.01"));
    }
    let acks = classed("svg", "acks")
        .set("viewBox", format!("0 -1 {} 2", Scene::SLOTS))
        .set("preserveAspectRatio", "none")
        .with([shape("path").set("d", acks)]);
    let marks = scene.marks.iter().filter(|it| it.0 != Kind::Ack).map(|(kind, slot)| {
        let slot = *slot as u64;
        classed("i", kind.class())
            .keyed(slot * Kind::ALL.len() as u64 + *kind as u64)
            // Ten thousandths: CSS needs no more of a number than a fraction of its digits.
            .set("style", format!("--t:.{:04}", (slot * 10_000 / Scene::SLOTS as u64).min(9_999)))
            .set("title", kind.word())
    });
    let span = rescue::span(scene).into_iter();
    let ticks = classed("div", "ticks")
        .set("aria-hidden", "true")
        .with([acks])
        .with_all(span.chain(marks).chain(apart::mark(scene)).collect());
    let branch = view.branches.get(view.branch).map_or("", |it| &it.name);
    let seek = shape("input")
        .set("id", "seek")
        .set("type", "range")
        .set("min", "0")
        .set("max", view.last_event.to_string())
        .set(".value", view.event.to_string())
        .set("aria-label", format!("Moment on {branch}"))
        .set("aria-valuetext", format!("step {}, {} s", view.event, stamp(view.time_us)));
    let legend = Kind::ALL.map(|it| shape("span").with([classed("i", it.class()), text(it.word())]));
    let mut shapes = vec![
        classed("div", "lanes").with_all(lanes),
        classed("div", "lane").with([ticks, seek]),
        classed("div", "legend").with(legend),
    ];
    if view.branches.get(view.branch).is_some_and(|it| it.forked_at.is_some()) && scene.lanes.is_empty() {
        shapes.push(apart::draw(scene, "Where does this branch part from the one that it left?"));
    }
    shapes
}
