//! The partitions as logs. A row is a partition on its own axis of absolute offsets: cells are records, rules are ends
//! (exclusive), pointers are consumers' positions. Only the offsets in sight are drawn.

use super::grouped;
use super::scene::{Scene, Selection, Sight};
use crate::draw::{Shape, classed, glyph, shape, tenths, text};
use crate::view::{Partition, Record, Role};

/// Cells stand on a strip that moves as a whole; from time to time it begins anew, for no strip is without end.
const STRIP: i64 = 1_024;

/// All logs.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let partitions = &scene.view.partitions;
    let leader = match partitions.first() {
        Some(it) => format!(
            "partitions {} · leader {} · epoch {}",
            partitions.len(),
            it.leader.as_deref().unwrap_or("–"),
            it.leader_epoch
        ),
        None => "not created yet".to_owned(),
    };
    let head = classed("div", "head").with([
        shape("h2").say("orders ").with([shape("small").say(leader)]),
        classed("div", "legend").with([classed("span", "opt").say("ends are exclusive")]),
    ]);
    let rows = partitions.iter().filter_map(|it| Some(row(scene, it, scene.sights.get(&it.name)?))).collect();
    vec![classed("div", "log").with([head, classed("div", "rows").with_all(rows)])]
}

fn row(scene: &Scene, partition: &Partition, sight: &Sight) -> Shape {
    let is_led = partition.leader.is_some();
    let name = &partition.name;
    let leader = partition.leader.as_ref().map_or("no leader".to_owned(), |it| format!("led by {it}"));
    let scroll = |way: i64, sign: &'static str, label: &'static str, title: &'static str, off: bool| {
        shape("button")
            .set("aria-label", label)
            .set("title", title)
            .set("data-do", format!("scroll:{name}:{way}"))
            .when(off, "disabled", "")
            .say(sign)
    };
    let at_start = sight.first <= partition.log_start;
    let who = classed("div", "who").with([
        shape("b").say(partition.partition.to_string()),
        glyph(if is_led { "#g-lead" } else { "#g-off" }),
        classed("small", "opt").say(leader),
        classed("span", "scroll").with([
            scroll(-1, "‹", "Earlier records", "Earlier records (Page Up)", at_start),
            scroll(1, "›", "Later records", "Later records (Page Down)", sight.held.is_none()),
        ]),
    ]);
    let pointers = pointers(scene, name);
    let mut told = format!(
        "{name}: log start {}, high watermark {}, log end {}",
        partition.log_start, partition.high_watermark, partition.log_end
    );
    for (who, _, at) in &pointers {
        told.push_str(&format!(", {who} at {at}"));
    }
    let base = sight.first - sight.first.rem_euclid(STRIP);
    let left = |offset: i64| format!("left:{}px", tenths((offset - base) as f64 * scene.cell));
    let on_strip = |offset: i64| (sight.first..=sight.first + scene.columns).contains(&offset).then(|| left(offset));
    let cells = sight.records.iter().map(|it| cell(scene, name, it).set("style", left(it.offset)));
    let mut strip: Vec<Shape> = cells.collect();
    let number = |it: i64| grouped(it.max(0).cast_unsigned());
    let rule = |class: &'static str, offset: i64, words: Vec<Shape>| {
        Some(classed("i", class).named(class).set("style", on_strip(offset)?).with([shape("span").with_all(words)]))
    };
    strip.extend(rule("rule ls", partition.log_start, vec![text(format!("log start {}", partition.log_start))]));
    let end = vec![classed("span", "opt").say("log "), text("end "), text(number(partition.log_end))];
    strip.extend(rule("rule le", partition.log_end, end));
    let high = vec![
        classed("span", "opt").say("high watermark "),
        classed("span", "phone").say("HW "),
        text(number(partition.high_watermark)),
    ];
    strip.extend(rule("rule hw", partition.high_watermark, high));
    strip.extend(pointers.iter().filter_map(|(who, index, offset)| {
        let class = if index % 2 == 1 { "ptr second" } else { "ptr" };
        let words = shape("span").say(format!("{who} ")).with([shape("b").say(number(*offset))]);
        Some(classed("i", class).named(who).set("style", on_strip(*offset)?).with([words]))
    }));
    let shift = -((sight.first - base) as f64) * scene.cell;
    let axis =
        classed("div", "axis").set("tabindex", "0").set("role", "group").set("aria-label", told).with([classed(
            "div", "strip",
        )
        .set("style", format!("transform:translateX({}px)", tenths(shift)))
        .with_all(strip)]);
    classed("div", if is_led { "row" } else { "row ghost" })
        .named(name)
        .set("data-partition", name.clone())
        .with([who, axis])
}

/// Consumers' positions in a partition: the consumer, its number among consumers, the offset.
fn pointers<'a>(scene: &'a Scene, partition: &str) -> Vec<(&'a str, usize, i64)> {
    let consumers = scene.view.clients.iter().filter(|it| it.role == Role::Consumer).enumerate();
    let pointer = |(index, client): (usize, &'a crate::view::Client)| {
        let position = client.positions.iter().find(|it| it.partition == partition)?;
        Some((&*client.name, index, position.offset?))
    };
    consumers.filter_map(pointer).collect()
}

/// A record in its place.
fn cell(scene: &Scene, partition: &str, record: &Record) -> Shape {
    let offset = record.offset;
    let chosen = matches!(&scene.selection, Selection::Record(row, at) if row == partition && *at == offset);
    let epoch = record.leader_epoch;
    let class = format!("rec e{}{}", epoch.rem_euclid(4), if chosen { " on" } else { "" });
    let key = record.key.clone().unwrap_or_else(|| "–".to_owned());
    classed("i", class)
        .keyed(offset.cast_unsigned())
        .number("data-offset", offset)
        .set("data-do", format!("record:{partition}:{offset}"))
        .with([
            classed("b", "off").say(offset.to_string()),
            shape("span").say(key),
            shape("small").say(format!("e{epoch}")),
        ])
}
