//! The same in words: a table behind each drawing that has none beside it.

use super::scene::Scene;
use super::{grouped, log, stage};
use crate::draw::{Shape, classed, shape};
use crate::view::{Broker, Client, Role};

/// What there are tables of: as a `data-do` says it, and for people.
const TABLES: [(&str, &str); 3] = [("cluster", "Cluster"), ("log", "Log"), ("time", "Timeline")];

/// Buttons, and the table that somebody wants.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let button = |(of, words): (&'static str, &'static str)| {
        classed("button", "deed")
            .set("data-do", format!("table:{of}"))
            .set("aria-expanded", if scene.table == of { "true" } else { "false" })
            .say(words)
    };
    let mut shapes =
        vec![classed("p", "deeds").with([classed("span", "note").say("As a table:")]).with(TABLES.map(button))];
    let (heads, rows): (Vec<String>, Vec<Vec<String>>) = match &*scene.table {
        "cluster" => cluster(scene),
        "log" => records(scene),
        "time" => ticks(scene),
        _ => (Vec::new(), Vec::new()),
    };
    if !heads.is_empty() {
        let heads = heads.into_iter().map(|it| shape("th").set("scope", "col").say(it));
        let rows = rows.into_iter().map(|row| {
            let mut cells = row.into_iter();
            let first = cells.next().map(|it| shape("th").set("scope", "row").say(it));
            let cells = cells.map(|it| shape("td").say(it));
            shape("tr").with_all(first.into_iter().chain(cells).collect())
        });
        let table = classed("table", "told").with([
            shape("thead").with([shape("tr").with_all(heads.collect())]),
            shape("tbody").with_all(rows.collect()),
        ]);
        shapes.push(
            classed("div", "listing")
                .set("id", "table")
                .set("tabindex", "0")
                .set("role", "group")
                .set("aria-label", "Table")
                .with([table]),
        );
    }
    vec![shape("section").set("aria-label", "As a table").with_all(shapes)]
}

/// The words of a row or a head.
fn row<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

/// Who is there, how, and with what.
fn cluster(scene: &Scene) -> (Vec<String>, Vec<Vec<String>>) {
    let broker = |it: &Broker| {
        let mut has = Vec::new();
        for partition in &scene.view.partitions {
            if let Some(copy) = partition.replicas.iter().find(|copy| copy.broker == it.name) {
                has.push(format!("{} {}, log end {}", partition.name, copy.standing.word(), copy.log_end));
            }
        }
        if let Some(epoch) = it.quorum_epoch {
            has.insert(0, format!("active controller, epoch {epoch}"));
        }
        let kind = if it.is_broker { "broker" } else { "controller" };
        row([&it.name, kind, &stage::condition(it), &has.join("; ")])
    };
    let client = |it: &Client| {
        let [ok, failed, unknown, pending, read] = [it.ok, it.failed, it.unknown, it.pending, it.consumed].map(grouped);
        let has = match it.role {
            Role::Consumer => format!("{read} read"),
            Role::Producer => format!("{ok} ok, {failed} failed, {unknown} unknown, {pending} pending"),
            Role::Wire => it.last_answer.clone().unwrap_or_default(),
        };
        row([&it.name, it.role.word(), it.state.word(), &has])
    };
    let rows = scene.view.brokers.iter().map(broker).chain(scene.view.clients.iter().map(client));
    (row(["who", "what", "how", "has"]), rows.collect())
}

/// The records in sight of the partition that is looked at: a line for each offset, a column for each copy.
fn records(scene: &Scene) -> (Vec<String>, Vec<Vec<String>>) {
    let Some((partition, sight)) = scene.chosen_partition().and_then(|it| Some((it, scene.sights.get(&it.name)?)))
    else {
        return (row(["no topic yet"]), Vec::new());
    };
    let mut heads = vec![partition.name.clone()];
    heads.extend(partition.replicas.iter().map(|it| format!("{}, {}", it.broker, it.standing.word())));
    let mut rows = Vec::new();
    for offset in sight.first..sight.first + scene.columns {
        let mut cells = vec![offset.to_string()];
        for line in 0..partition.replicas.len() {
            let record = sight.cells(line).iter().find(|it| it.offset == offset);
            cells.push(record.map_or_else(|| "–".to_owned(), log::told));
        }
        if cells.iter().skip(1).any(|it| it != "–") {
            rows.push(cells);
        }
    }
    let ends = [("high watermark", partition.high_watermark), ("log end", partition.log_end)];
    rows.extend(ends.map(|(name, end)| row([name, &end.to_string()])));
    (heads, rows)
}

/// What is marked on the timeline, the newest first.
fn ticks(scene: &Scene) -> (Vec<String>, Vec<Vec<String>>) {
    let rows = scene.ticks.iter().rev().map(|(event, words)| row([&grouped(*event), words]));
    (row(["step", "what"]), rows.collect())
}
