//! The partitions as logs. A row is a partition on its own axis of absolute offsets: cells are records, rules are ends
//! (exclusive), pointers are consumers' positions. Only the offsets in sight are drawn.

use super::canvas::Pen;
use super::grouped;
use super::scene::{Scene, Selection, Sight};
use crate::draw::{Shape, classed, glyph, shape, tenths, text};
use crate::view::{Partition, Record, Role};

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
    let axis = classed("div", "axis").set("tabindex", "0").set("role", "group").set("aria-label", told);
    // While time passes, what a leader has is on the canvas.
    let on_axis = if is_led && scene.flies() { Vec::new() } else { elements(scene, partition, sight, &pointers) };
    classed("div", if is_led { "row" } else { "row ghost" })
        .named(name)
        .set("data-partition", name.clone())
        .with([who, axis.with_all(on_axis)])
}

/// Cells, rules and pointers.
fn elements(scene: &Scene, partition: &Partition, sight: &Sight, pointers: &[(&str, usize, i64)]) -> Vec<Shape> {
    let left = |offset: i64| format!("left:{}px", tenths((offset - sight.first) as f64 * scene.cell));
    let in_sight = |offset: i64| (sight.first..=sight.first + scene.columns).contains(&offset).then(|| left(offset));
    let cells = sight.cells().iter().map(|it| cell(scene, &partition.name, it).set("style", left(it.offset)));
    let mut shapes: Vec<Shape> = cells.collect();
    let rule = |class: &'static str, offset: i64, words: Vec<Shape>| {
        Some(classed("i", class).named(class).set("style", in_sight(offset)?).with([shape("span").with_all(words)]))
    };
    shapes.extend(rule("rule ls", partition.log_start, vec![text(format!("log start {}", partition.log_start))]));
    let end = vec![classed("span", "opt").say("log "), text("end "), text(number(partition.log_end))];
    shapes.extend(rule("rule le", partition.log_end, end));
    let high = vec![
        classed("span", "opt").say("high watermark "),
        classed("span", "phone").say("HW "),
        text(number(partition.high_watermark)),
    ];
    shapes.extend(rule("rule hw", partition.high_watermark, high));
    shapes.extend(pointers.iter().filter_map(|(who, index, offset)| {
        let class = if index % 2 == 1 { "ptr second" } else { "ptr" };
        let words = shape("span").say(format!("{who} ")).with([shape("b").say(number(*offset))]);
        Some(classed("i", class).named(who).set("style", in_sight(*offset)?).with([words]))
    }));
    shapes
}

fn number(offset: i64) -> String {
    grouped(offset.max(0).cast_unsigned())
}

/// What a click on a row means while its cells are on the canvas.
pub(crate) fn deed_at(scene: &Scene, partition: &Partition, x: f64) -> Option<String> {
    let offset = scene.sights.get(&partition.name)?.first + (x / scene.cell) as i64;
    (offset < partition.log_end).then(|| format!("record:{}:{offset}", partition.name))
}

/// The same on the canvas, from the left end of the axis on.
pub(crate) fn paint(scene: &Scene, partition: &Partition, sight: &Sight, pen: &Pen) {
    if partition.leader.is_none() {
        return;
    }
    let ink = &pen.ink;
    let x = |offset: i64| (offset - sight.first) as f64 * scene.cell;
    let chosen = match &scene.selection {
        Selection::Record(row, offset) if *row == partition.name => Some(*offset),
        _ => None,
    };
    let cells = sight.cells();
    for run in cells.chunk_by(|a, b| a.leader_epoch == b.leader_epoch) {
        pen.begin();
        for it in run {
            pen.rect(x(it.offset) + 2.0, ink.cells + 0.5, scene.cell - 4.0, ink.high - 1.0, 4.0);
        }
        let (inside, edge) = &ink.epochs[run[0].leader_epoch.rem_euclid(4) as usize];
        pen.fill(inside);
        pen.edge(edge, 1.0);
    }
    if let Some(it) = cells.iter().find(|it| chosen == Some(it.offset)) {
        pen.begin();
        pen.rect(x(it.offset) + 1.0, ink.cells - 1.0, scene.cell - 2.0, ink.high + 2.0, 5.0);
        pen.edge(&ink.act, 2.0);
    }
    let middle = |it: &Record| x(it.offset) + scene.cell / 2.0;
    pen.voice(&ink.fonts[0], &ink.text, "center");
    for it in cells {
        let key = it.key.as_deref().unwrap_or("–");
        pen.say(key, middle(it), ink.cells + ink.high * 0.45, scene.cell - 7.0);
    }
    pen.voice(&ink.fonts[1], &ink.dim, "center");
    for it in cells {
        pen.say(&format!("e{}", it.leader_epoch), middle(it), ink.cells + ink.high * 0.8, scene.cell);
        pen.say(&it.offset.to_string(), middle(it), ink.cells - ink.small * 0.5, scene.cell + 8.0);
    }
    paint_ends(scene, partition, sight, pen);
}

/// Rules and pointers on the canvas.
fn paint_ends(scene: &Scene, partition: &Partition, sight: &Sight, pen: &Pen) {
    let ink = &pen.ink;
    let in_sight = |offset: i64| {
        let at = (offset - sight.first) as f64 * scene.cell;
        (sight.first..=sight.first + scene.columns).contains(&offset).then_some(at)
    };
    let rule = |x: f64, colour: &str, width: f64| {
        pen.begin();
        pen.line(&[(x, 0.0), (x, ink.rules)]);
        pen.edge(colour, width);
    };
    // The line of a label: how high it is, and where its words stand.
    let (high, base) = (ink.label * 1.55, ink.label * 1.14);
    if let Some(x) = in_sight(partition.log_start) {
        rule(x, &ink.dim, 1.5);
    }
    if let Some(x) = in_sight(partition.log_end) {
        rule(x, &ink.dim, 1.5);
        let name = if scene.narrow { "end" } else { "log end" };
        pen.voice(&ink.fonts[2], &ink.dim, "left");
        pen.say(&format!("{name} {}", number(partition.log_end)), x + 8.0, base, 200.0);
    }
    if let Some(x) = in_sight(partition.high_watermark) {
        rule(x, &ink.act, 3.0);
        let name = if scene.narrow { "HW" } else { "high watermark" };
        let words = format!("{name} {}", number(partition.high_watermark));
        pen.voice(&ink.fonts[3], &ink.on_act, "right");
        let width = pen.width(&words) + 10.0;
        pen.begin();
        pen.rect(x - width - 1.5, 0.0, width, high, 4.0);
        pen.fill(&ink.act);
        pen.voice(&ink.fonts[3], &ink.on_act, "right");
        pen.say(&words, x - 6.5, base, width);
    }
    for (who, index, offset) in pointers(scene, &partition.name) {
        let Some(x) = in_sight(offset) else { continue };
        let (align, side) = if index % 2 == 1 { ("left", 12.0) } else { ("right", -12.0) };
        pen.begin();
        pen.line(&[(x - 6.0, ink.pointers + 9.0), (x, ink.pointers), (x + 6.0, ink.pointers + 9.0)]);
        pen.fill(&ink.text);
        pen.voice(&ink.fonts[2], &ink.text, align);
        pen.say(&format!("{who} {}", number(offset)), x + side, ink.pointers + ink.label, 200.0);
    }
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
