//! What is selected, in full, what producers were told, and what is promised.

use super::scene::Scene;
use super::{bar, grouped, inspector, ledger, log, stage, verdict};
use crate::draw::{Shape, classed, glyph, shape, text};
use crate::view::Client;

/// Partitions in the table at most.
const PARTITIONS: usize = 12;

/// The right side.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let inspector = classed("section", "inspector").set("aria-label", "Inspector").with_all(inspector::draw(scene));
    let note = "Not modelled: TLS, CPU load, disk seeks. Not in this room yet: transactions.";
    vec![
        inspector,
        partitions(scene),
        outcomes(scene),
        verdict::draw(scene),
        checks(scene),
        classed("p", "note").say(note),
    ]
}

/// Every partition: who leads it in which epoch, who is in sync, how far readers see. And who leads the metadata quorum.
fn partitions(scene: &Scene) -> Shape {
    let leads = scene.view.brokers.iter().filter_map(|it| Some((it.quorum_epoch?, &it.name))).max();
    let quorum = match leads {
        Some((epoch, name)) => format!("metadata quorum led by {name} in epoch {epoch}"),
        None => "nobody leads the metadata quorum".to_owned(),
    };
    let shown = scene.view.partitions.iter().filter(|it| !stage::is_internal(it)).take(PARTITIONS);
    let rows = shown.map(|it| {
        let cell = |words: String| shape("td").say(words);
        let isr = if it.isr.len() < it.min_isr { "harm" } else { "" };
        shape("tr").named(&it.name).when(it.name == scene.chosen, "class", "on").with([
            shape("th").set("scope", "row").with([classed("button", "line")
                .set("data-do", format!("partition:{}", it.name))
                .say(it.name.clone())]),
            cell(it.leader.clone().unwrap_or_else(|| "–".to_owned())),
            cell(it.leader_epoch.to_string()),
            classed("td", isr).say(log::listed(&it.isr)),
            cell(log::listed(&it.elr)),
            cell(grouped(it.high_watermark.max(0).cast_unsigned())),
        ])
    });
    let heads = ["partition", "leader", "epoch", "ISR", "ELR", "HW"]
        .map(|it| shape("th").set("scope", "col").set("title", bar::meaning(it)).say(it));
    let table = classed("table", "parts")
        .set("id", "parts")
        .with([shape("thead").with([shape("tr").with(heads)]), shape("tbody").with_all(rows.collect())]);
    let head = shape("h2").say("Partitions ").with([shape("small").set("id", "leads").say(quorum)]);
    shape("section").set("aria-label", "Partitions").with([head, table])
}

/// What the producers were told about their records, in the three words there are.
fn outcomes(scene: &Scene) -> Shape {
    let sum = |of: fn(&Client) -> u64| grouped(scene.view.clients.iter().map(of).sum());
    let lines: [(&'static str, String, &'static str); 5] = [
        ("ok", sum(|it| it.ok), "ok"),
        ("harm", sum(|it| it.failed), "failed"),
        ("", sum(|it| it.unknown), "unknown"),
        ("", sum(|it| it.pending), "pending"),
        ("", sum(|it| it.consumed), "given to consumers"),
    ];
    let mut list = shape("dl");
    for (class, number, word) in lines {
        let number = shape("dt").when(!class.is_empty(), "class", class).say(number);
        let number = if word == "ok" { number.set("id", "acked") } else { number };
        list = list.with([number, shape("dd").say(word)]);
    }
    let head = shape("h2").say("Outcomes ").with([shape("small").say("what producers were told")]);
    let shapes = classed("section", "ledger").set("aria-label", "Outcomes").with([head, list]);
    shapes.with_all(ledger::draw(scene))
}

fn checks(scene: &Scene) -> Shape {
    let checks = &scene.view.checks;
    let broken = checks.iter().filter(|it| !it.holds).count();
    let count = match broken {
        0 => format!("{} hold", checks.len()),
        _ => format!("{} hold, {broken} broken", checks.len() - broken),
    };
    let lines = checks.iter().map(|check| {
        let (mark, class) = if check.holds { ("#g-ok", "ok") } else { ("#g-bad", "harm") };
        let word = match check.broken_at {
            Some(at) => {
                let words = format!("broken at step {}", grouped(at));
                classed("button", "line").set("data-do", format!("seek:{at}")).say(words)
            }
            None => text("holds"),
        };
        let line = shape("li").named(check.name).when(!check.holds, "class", "bad").with([
            classed("span", class).with([glyph(mark)]),
            classed("button", "line").set("data-do", format!("check:{}", check.name)).say(check.meaning),
            shape("em").with([word]),
        ]);
        line.with_all(check.broken_by.iter().map(|it| shape("p").say(it.clone())).collect())
    });
    shape("section").set("aria-label", "Checks").with([
        shape("h2").say("Checks ").with([shape("small").say(count)]),
        classed("ul", "checks").set("id", "checks").with_all(lines.collect()),
    ])
}
