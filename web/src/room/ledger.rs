//! The ledger: what clients asked for, what they were told, and what became of it.

use sim::World;
use sim::check::{Became, Told, Verdict};
use sim::operations::{Ledger, Operation, Which};

use super::grouped;
use super::scene::Scene;
use crate::draw::{Shape, classed, shape, text};

/// Operations on a page.
const ROWS: usize = 12;

/// What of it is in sight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    is_open: bool,
    which: Which,
    /// Only what began before this event; the newest without one.
    before: Option<u64>,
    seen: Ledger,
}

impl Sight {
    /// Looks at it, if somebody wants to see it.
    pub(crate) fn look(&mut self, world: &World) {
        if self.is_open {
            self.seen = world.ledger(self.which, self.before.unwrap_or(u64::MAX), ROWS);
        }
    }

    /// Opens or closes it, or turns to a kind of operations or to those before an event.
    pub(crate) fn turn(&mut self, what: &str) {
        if let Some(which) = Which::ALL.into_iter().find(|it| it.word() == what) {
            (self.which, self.before) = (which, None);
        } else if what.is_empty() {
            self.is_open = !self.is_open;
        } else {
            self.before = what.parse().ok();
        }
    }
}

/// The button that opens it and, once it is open, the table.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let sight = &scene.ledger;
    let button = classed("button", "deed")
        .set("id", "ledger")
        .set("aria-expanded", if sight.is_open { "true" } else { "false" })
        .set("data-do", "ledger:")
        .say("Each operation");
    if !sight.is_open {
        return vec![button];
    }
    let which = Which::ALL.map(|it| {
        classed("button", if it == sight.which { "pick on" } else { "pick" })
            .set("aria-pressed", if it == sight.which { "true" } else { "false" })
            .set("data-do", format!("ledger:{}", it.word()))
            .say(it.word())
    });
    let heads = ["step", "who", "what", "told", "became"].map(|it| shape("th").set("scope", "col").say(it));
    let rows = sight.seen.operations.iter().map(|it| row(scene, it)).collect();
    let table = classed("table", "parts")
        .set("id", "operations")
        .with([shape("thead").with([shape("tr").with(heads)]), shape("tbody").with_all(rows)]);
    let mut shapes = vec![button, classed("div", "deeds").with(which), table];
    if sight.seen.operations.is_empty() {
        shapes.push(classed("p", "reason").say("None."));
    }
    let mut pages = Vec::new();
    let page = |what: String, words: &'static str| classed("button", "deed").set("data-do", what).say(words);
    if let Some(last) = sight.seen.operations.last().filter(|_| sight.seen.operations.len() >= ROWS) {
        pages.push(page(format!("ledger:{}", last.asked), "older"));
    }
    if sight.before.is_some() {
        pages.push(page("ledger:newest".to_owned(), "newest"));
    }
    shapes.push(classed("div", "deeds").with_all(pages));
    shapes
}

fn row(scene: &Scene, it: &Operation) -> Shape {
    let step = |event: u64, words: String| classed("button", "line").set("data-do", format!("seek:{event}")).say(words);
    let cell = |child: Shape| shape("td").with([child]);
    let is_there = matches!(it.became, Some(Became::There | Became::Twice));
    let place = it.place.as_ref().map(|(partition, offset)| (partition.to_string(), offset.0));
    let what = match &place {
        // In the log of its leader, or of whoever has it.
        Some((partition, offset)) if is_there => {
            let found = scene.partition(partition);
            let broker = found.and_then(|it| it.leader.as_ref().or(it.replicas.first().map(|it| &it.broker)));
            let words = it.what.clone();
            match broker {
                Some(it) => {
                    let deed = format!("record:{it}/{partition}:{offset}");
                    classed("button", "line").set("data-do", deed).say(words)
                }
                None => text(words),
            }
        }
        _ => text(it.what.clone()),
    };
    let mut told = it.told.word().to_owned();
    if let Some((partition, offset)) = &place {
        told.push_str(&format!(", {partition} {offset}"));
    }
    if !it.why.is_empty() {
        told.push_str(&format!(", {}", it.why));
    }
    let told = match it.settled {
        Some(event) => step(event, told),
        None => text(told),
    };
    let became = match it.became {
        Some(Became::Lost(at, verdict)) => {
            let words = format!("lost, {}", verdict.word());
            match at {
                Some(at) => step(at, words),
                None => text(words),
            }
        }
        other => text(other.map_or("", Became::word)),
    };
    let harm = |is: bool| if is { "harm" } else { "" };
    let is_lost = matches!(it.became, Some(Became::Lost(_, Verdict::Allowed | Verdict::Bug)));
    shape("tr").named(&format!("{}{}{}", it.client, it.asked, it.what)).with([
        cell(step(it.asked, grouped(it.asked))),
        shape("td").say(it.client.to_string()),
        cell(what),
        classed("td", harm(it.told == Told::Failed)).with([told]),
        classed("td", harm(is_lost)).with([became]),
    ])
}
