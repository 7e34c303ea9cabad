//! The run from its first step to its furthest, and its branches.

use super::scene::Scene;
use super::{apart, grouped, rescue, stamp};
use crate::draw::{Shape, classed, shape, text};
use crate::engine::Kind;
use crate::view::Branch;

/// The numbers of the branches in the order of the tree that they are, and how deep in it each is: after the one that it left, and
/// after those that left that one before it.
fn tree(branches: &[Branch]) -> Vec<(usize, usize)> {
    let mut tree: Vec<(usize, usize)> = Vec::new();
    for (index, branch) in branches.iter().enumerate() {
        let parent = tree.iter().position(|it| Some(it.0) == branch.parent);
        let depth = parent.map_or(0, |it| tree[it].1 + 1);
        let first = parent.map_or(tree.len(), |it| it + 1);
        let before = tree[first..].iter().take_while(|it| it.1 >= depth).count();
        tree.insert(first + before, (index, depth));
    }
    tree
}

/// The timeline.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let view = &scene.view;
    let mut lanes = Vec::new();
    for (index, depth) in tree(&view.branches) {
        let branch = &view.branches[index];
        let is_on = index == view.branch;
        let name = if is_on && view.branches.len() > 1 {
            // Its name can be changed where it stands.
            classed("input", "branch on")
                .set("id", "branch")
                .set("aria-label", "Name of this branch")
                .set("title", "type another name")
                .set("maxlength", "24")
                .set("size", (branch.name.chars().count() + 1).to_string())
                .set(".value", branch.name.clone())
        } else {
            classed("button", if is_on { "branch on" } else { "branch" })
                .set("aria-pressed", if is_on { "true" } else { "false" })
                .set("data-do", format!("branch:{index}"))
                .say(branch.name.clone())
        };
        let twig = classed("div", if depth > 0 { "twig grown" } else { "twig" })
            .keyed(index as u64)
            .set("style", format!("--depth:{depth}"));
        let from = branch.forked_at.map(|it| shape("small").say(format!("from step {}", grouped(it))));
        lanes.push(twig.with([name]).with_all(from.into_iter().collect()));
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
    if view.branches.len() > 1 && scene.lanes.is_empty() {
        shapes.push(apart::branches(scene));
        shapes.extend(apart::found(scene));
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_stand_beneath_the_one_that_they_left() {
        let branch =
            |parent: Option<usize>| Branch { name: String::new(), last_event: 9, forked_at: parent.map(|_| 5), parent };
        // 1 and 3 leave the first, 2 and 5 leave 1, 4 leaves 3.
        let branches = [None, Some(0), Some(1), Some(0), Some(3), Some(1)].map(branch);
        assert_eq!(tree(&branches), [(0, 0), (1, 1), (2, 2), (5, 2), (3, 1), (4, 2)]);
    }
}
