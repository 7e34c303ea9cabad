//! The same scenario with other settings, side by side on one clock: the groups of each lane, and the figure that compares them.

use super::scene::Scene;
use super::{groups, lesson};
use crate::draw::{Shape, classed, shape, tenths};
use crate::view::Group;

/// A lane as it is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) groups: Vec<Group>,
}

impl Sight {
    /// Since somebody came last: by then lanes may have begun differently.
    fn paused_us(&self) -> u64 {
        self.groups.iter().map(|it| it.paused_since_newcomer_us).sum()
    }
}

/// The lanes.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let most = scene.lanes.iter().map(Sight::paused_us).max().unwrap_or(0).max(1);
    let is_bet = lesson::hides_figures(scene);
    let head = classed("div", "head").with([
        shape("h2").say("Lanes ").with([shape("small").say("one clock, one seed, the same actions; other settings")]),
        groups::legend(),
    ]);
    let parts = super::apart::draw(scene, "Where do they part?");
    let lanes = scene.lanes.iter().map(|it| lane(it, it.number == scene.lane, (!is_bet).then_some(most)));
    vec![classed("section", "group").set("aria-label", "Lanes").with([
        head,
        classed("div", "ways").with_all(lanes.collect()),
        parts,
    ])]
}

fn lane(sight: &Sight, is_on: bool, most: Option<u64>) -> Shape {
    let title = classed("button", if is_on { "tab on" } else { "tab" })
        .set("data-do", format!("lane:{}", sight.number))
        .set("aria-pressed", if is_on { "true" } else { "false" })
        .set("title", "show this lane’s cluster, log and files")
        .say(if sight.name.is_empty() { "as told".to_owned() } else { sight.name.clone() });
    let mut shapes = vec![classed("div", "head").with([title])];
    shapes.extend(most.map(|most| figure(sight, most)));
    for group in &sight.groups {
        shapes.push(classed("p", "plain").say(groups::about(group)));
        shapes.push(
            classed("div", "sharing")
                .set("tabindex", "0")
                .set("role", "group")
                .set("aria-label", format!("Members and partitions, {}", sight.name))
                .with([groups::table(group, None, false)]),
        );
        shapes.extend(groups::holds(group));
    }
    classed("section", "way").keyed(sight.number as u64).set("aria-label", sight.name.clone()).with_all(shapes)
}

/// The figure that compares a lane with the one that has most of it.
fn figure(sight: &Sight, most: u64) -> Shape {
    let paused = sight.paused_us();
    let bar = classed("i", "bar").set("style", format!("--share:{}%", tenths(paused as f64 * 100.0 / most as f64)));
    let mut words = " partition-seconds paused".to_owned();
    if let Some(newcomer) = sight.groups.first().and_then(|it| it.newcomer.as_ref()) {
        words.push_str(&format!(" since {newcomer} came"));
    }
    classed("p", "figure").with([shape("b").say(groups::seconds(paused)), shape("small").say(words), bar])
}
