//! A partition as a log: a line for each copy, a column for each absolute offset, all on one axis. Cells are records, rules are
//! ends (exclusive), pointers are consumers' positions. Where each partition has but one copy, all of them are shown, one below
//! the other. Only the offsets in sight are drawn.

use super::canvas::Sizes;
use super::grouped;
use super::pen::{Align, Colour, Font, Pen};
use super::scene::{Scene, Selection, Sight};
use super::stage::is_internal;
use crate::draw::{Shape, classed, glyph, shape, tenths, text};
use crate::view::{Partition, Record, Replica, Role, Standing};

/// The logs in sight.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let shown = scene.shown();
    // Of several topics each log has its whole name.
    let many = shown.iter().any(|it| it.topic != shown[0].topic);
    let rows = shown.iter().filter_map(|it| Some(row(scene, it, scene.sights.get(&it.name)?, many))).collect();
    let class = if many { "rows named" } else { "rows" };
    vec![classed("div", "log").with([head(scene, &shown, many), classed("div", class).with_all(rows)])]
}

/// Which partition, how it stands, and the others.
fn head(scene: &Scene, shown: &[&Partition], many: bool) -> Shape {
    let Some(partition) = scene.chosen_partition() else {
        return classed("div", "head").with([shape("h2").say("Logs ").with([shape("small").say("no topic yet")])]);
    };
    let is_alone = partition.replicas.len() < 2;
    let partitions = scene.partitions_of(&partition.topic);
    let leader = partition.leader.as_deref().unwrap_or("–");
    let title = match is_alone {
        _ if many => "Logs".to_owned(),
        true => partition.topic.clone(),
        false => partition.name.clone(),
    };
    let mut words = format!("leader {leader} · epoch {}", partition.leader_epoch);
    if many {
        words = format!("{} partitions of several topics, one copy each", shown.len());
    } else if is_alone {
        words = format!("partitions {} · {words}", partitions.len());
    } else {
        let enough = match partition.min_isr {
            least if partition.isr.len() < least => format!(", fewer than min.insync.replicas {least}"),
            least if least > 1 && partition.isr.len() == least => {
                format!(", just enough for min.insync.replicas {least}")
            }
            _ => String::new(),
        };
        words.push_str(&format!(" · ISR {}{enough}", listed(&partition.isr)));
        if !partition.elr.is_empty() {
            words.push_str(&format!(" · ELR {}", listed(&partition.elr)));
        }
    }
    let mut tabs = Vec::new();
    for it in partitions.iter().filter(|it| !is_alone && partitions.len() > 1 && !is_internal(it)) {
        let is_on = it.name == partition.name;
        tabs.push(
            classed("button", if is_on { "tab on" } else { "tab" })
                .set("data-do", format!("choose:{}", it.name))
                .set("aria-pressed", if is_on { "true" } else { "false" })
                .set("title", format!("{} (key: {})", it.name, it.partition))
                .say(it.partition.to_string()),
        );
    }
    if !tabs.is_empty() {
        tabs.insert(0, classed("span", "opt").say("partition"));
    }
    let about = shape("h2").say(format!("{title} ")).with([shape("small").set("id", "about").say(words)]);
    classed("div", "head")
        .with([about, classed("div", "tabs").set("role", "group").set("aria-label", "Partitions").with_all(tabs)])
}

/// "b1 b2", or "–" if it is nobody.
pub(crate) fn listed(names: &[String]) -> String {
    if names.is_empty() { "–".to_owned() } else { names.join(" ") }
}

/// The name of a copy: what a click on one of its records and its window are found by.
pub(crate) fn key(partition: &Partition, replica: &Replica) -> String {
    format!("{}/{}", replica.broker, partition.name)
}

fn row(scene: &Scene, partition: &Partition, sight: &Sight, has_name: bool) -> Shape {
    let name = &partition.name;
    let scroll = |way: i64, sign: &'static str, label: &'static str, title: &'static str, off: bool| {
        shape("button")
            .set("aria-label", label)
            .set("title", title)
            .set("data-do", format!("scroll:{name}:{way}"))
            .when(off, "disabled", "")
            .say(sign)
    };
    let at_start = sight.first <= partition.log_start;
    let is_alone = partition.replicas.len() < 2;
    let mut who = vec![classed("span", "scroll").with([
        scroll(-1, "‹", "Earlier records", "Earlier records (Page Up)", at_start),
        scroll(1, "›", "Later records", "Later records (Page Down)", sight.held.is_none()),
    ])];
    for (line, replica) in partition.replicas.iter().enumerate() {
        let alone = if has_name { name.clone() } else { partition.partition.to_string() };
        let (title, word) = match (is_alone, replica.standing) {
            (true, Standing::Leader) => (alone, format!("led by {}", replica.broker)),
            (true, _) => (alone, "no leader".to_owned()),
            (false, Standing::Leader) => (replica.broker.clone(), format!("leader, e{}", partition.leader_epoch)),
            (false, _) if replica.believes.is_some() => (replica.broker.clone(), "believes it leads".to_owned()),
            (false, it) => (replica.broker.clone(), it.word().to_owned()),
        };
        let class = if replica.standing == Standing::Leader { "who lead" } else { "who" };
        who.push(
            classed("div", class)
                .named(&replica.broker)
                .set("style", format!("--l:{line}"))
                .set("data-replica", replica.broker.clone())
                .with([shape("b").say(title), glyph(replica.standing.glyph()), shape("small").say(word)]),
        );
    }
    let pointers = pointers(scene, name, sight);
    let mut told = format!(
        "{name}: log start {}, high watermark {}, log end {}",
        partition.log_start, partition.high_watermark, partition.log_end
    );
    for replica in partition.replicas.iter().filter(|_| !is_alone) {
        let (ends, word) = ((replica.high_watermark, replica.log_end), replica.standing.word());
        told.push_str(&format!(", {} {word} with high watermark {} and log end {}", replica.broker, ends.0, ends.1));
    }
    for it in &pointers {
        told.push_str(&format!(", {} at {}", it.who, it.offset));
    }
    // While time passes, what there is is on the canvas.
    let on_axis = if scene.flies() { Vec::new() } else { elements(scene, partition, sight, &pointers) };
    // A list has something in it.
    let is_list = !scene.flies() && (0..partition.replicas.len()).any(|line| !sight.cells(line).is_empty());
    let chosen = if is_list { chosen_in(scene, partition, sight) } else { None };
    let axis = classed("div", "axis")
        .set("tabindex", "0")
        .set("role", if is_list { "listbox" } else { "group" })
        .set("aria-activedescendant", chosen.unwrap_or_default())
        .set("aria-label", told);
    let is_gone = partition.leader.is_none();
    let more = if pointers.iter().any(|it| it.room.is_some()) { ";--more:1" } else { "" };
    classed("div", if is_gone { "row ghost" } else { "row" })
        .named(name)
        .set("style", format!("--lines:{}{more}", partition.replicas.len()))
        .set("data-partition", name.clone())
        .with([classed("div", "whose").with_all(who), axis.with_all(on_axis)])
}

/// Cells, rules and pointers.
fn elements(scene: &Scene, partition: &Partition, sight: &Sight, pointers: &[Pointer]) -> Vec<Shape> {
    let left = |offset: i64| format!("left:{}px", tenths((offset - sight.first) as f64 * scene.cell));
    let in_sight = |offset: i64| (sight.first..=sight.first + scene.columns).contains(&offset).then(|| left(offset));
    let mut shapes = Vec::new();
    let end = partition.replicas.iter().map(|it| it.log_end).max().unwrap_or(0).max(partition.log_end);
    for offset in sight.first..end.min(sight.first + scene.columns) {
        shapes
            .push(classed("b", "off").keyed(offset.cast_unsigned()).set("style", left(offset)).say(offset.to_string()));
    }
    for (line, replica) in partition.replicas.iter().enumerate() {
        let key = key(partition, replica);
        let bed = classed("i", "bed").named(&key).set("style", format!("--l:{line}"));
        shapes.push(bed);
        for it in sight.cells(line) {
            let style = format!("{};--l:{line}", left(it.offset));
            let about = (&*key, replica.is_there);
            shapes.push(cell(scene, about, it).set("style", style).keyed(place_of(line, it.offset)));
        }
        for it in &*replica.cut {
            if let Some(at) = in_sight(it.offset) {
                let style = format!("{at};--l:{line}");
                let cut = cell(scene, (&key, false), it).set("class", "rec struck").set("style", style);
                shapes.push(cut.keyed(place_of(line + 32, it.offset)));
            }
        }
        // The leader's ends go through all lines; a copy's own are shown where they are others.
        if replica.high_watermark != partition.high_watermark
            && let Some(at) = in_sight(replica.high_watermark)
        {
            shapes.push(classed("i", "own hw").named(&format!("hw {key}")).set("style", format!("{at};--l:{line}")));
        }
        if replica.log_end != partition.log_end
            && let Some(at) = in_sight(replica.log_end)
        {
            shapes.push(classed("i", "own le").named(&format!("le {key}")).set("style", format!("{at};--l:{line}")));
        }
    }
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
    // Beside the beginning of the axis there is no room for its words.
    let near = partition.high_watermark - sight.first < 3;
    shapes.extend(rule(if near { "rule hw near" } else { "rule hw" }, partition.high_watermark, high));
    for it in pointers {
        let class = match (it.is_committed, it.is_right) {
            (true, false) => "ptr kept",
            (true, true) => "ptr kept second",
            (false, true) => "ptr second",
            (false, false) => "ptr",
        };
        if let Some(mut at) = in_sight(it.offset.max(sight.first)) {
            if let Some(room) = it.room {
                at.push_str(&format!(";--room:{}px", tenths(room)));
            }
            let words = (!it.words.is_empty()).then(|| shape("span").say(it.words.clone()));
            shapes.push(classed("i", class).named(&it.who).set("style", at).with_all(words.into_iter().collect()));
        }
    }
    shapes
}

/// A record's place among all that are drawn: no two of a drawing share one.
fn place_of(line: usize, offset: i64) -> u64 {
    offset.cast_unsigned() << 6 | line as u64 & 63
}

fn number(offset: i64) -> String {
    grouped(offset.max(0).cast_unsigned())
}

/// What a click on a row means while its cells are on the canvas.
pub(crate) fn deed_at(scene: &Scene, partition: &Partition, sizes: Sizes, x: f64, y: f64) -> Option<String> {
    let offset = scene.sights.get(&partition.name)?.first + (x / scene.cell) as i64;
    let line = (((y - sizes.cells) / sizes.pitch).max(0.0) as usize).min(partition.replicas.len().saturating_sub(1));
    let replica = partition.replicas.get(line)?;
    (offset < replica.log_end).then(|| format!("record:{}:{offset}", key(partition, replica)))
}

/// The same on the canvas, from the left end of the axis on.
pub(crate) fn paint(scene: &Scene, partition: &Partition, sight: &Sight, sizes: Sizes, pen: &mut Pen) {
    let x = |offset: i64| (offset - sight.first) as f64 * scene.cell;
    let chosen = match &scene.selection {
        Selection::Record(row, offset) => Some((&**row, *offset)),
        _ => None,
    };
    let middle = |it: &Record| x(it.offset) + scene.cell / 2.0;
    let mut next = sight.first;
    for (line, replica) in partition.replicas.iter().enumerate() {
        let top = sizes.cells + line as f64 * sizes.pitch;
        let cells = sight.cells(line);
        for run in cells.chunk_by(|a, b| a.leader_epoch == b.leader_epoch) {
            pen.begin();
            for it in run {
                pen.rect(x(it.offset) + 2.0, top + 0.5, scene.cell - 4.0, sizes.high - 1.0, 4.0);
            }
            if replica.is_there {
                pen.fill(Colour::Inside(run[0].leader_epoch));
                pen.edge(Colour::Rim(run[0].leader_epoch), 1.0);
            } else {
                pen.dashed(Colour::Dim);
            }
        }
        if let Some((row, offset)) = chosen
            && row == key(partition, replica)
            && let Some(it) = cells.iter().find(|it| it.offset == offset)
        {
            pen.begin();
            pen.rect(x(it.offset) + 1.0, top - 1.0, scene.cell - 2.0, sizes.high + 2.0, 5.0);
            pen.edge(Colour::Act, 2.0);
        }
        pen.voice(Font::Key, Colour::Text, Align::Center);
        for it in cells {
            pen.say(&name_of(it), middle(it), top + sizes.high * 0.45, scene.cell - 7.0);
        }
        pen.voice(Font::Digit, Colour::Dim, Align::Center);
        for it in cells {
            pen.say(&format!("e{}", it.leader_epoch), middle(it), top + sizes.high * 0.8, scene.cell);
            // What one copy has, another needs no number for.
            if it.offset >= next {
                pen.say(&it.offset.to_string(), middle(it), sizes.cells - sizes.small * 0.5, scene.cell + 8.0);
                next = it.offset + 1;
            }
        }
        let mut own = |offset: i64, of: i64, colour: Colour, width: f64| {
            if offset != of && (sight.first..=sight.first + scene.columns).contains(&offset) {
                pen.begin();
                pen.line(&[(x(offset), top - 2.0), (x(offset), top + sizes.high + 2.0)]);
                pen.edge(colour, width);
            }
        };
        own(replica.high_watermark, partition.high_watermark, Colour::Act, 2.0);
        own(replica.log_end, partition.log_end, Colour::Dim, 1.5);
    }
    paint_ends(scene, partition, sight, sizes, pen);
}

/// Rules and pointers on the canvas.
fn paint_ends(scene: &Scene, partition: &Partition, sight: &Sight, sizes: Sizes, pen: &mut Pen) {
    let bottom = sizes.cells + partition.replicas.len() as f64 * sizes.pitch;
    let in_sight = |offset: i64| {
        let at = (offset - sight.first) as f64 * scene.cell;
        (sight.first..=sight.first + scene.columns).contains(&offset).then_some(at)
    };
    let rule = |pen: &mut Pen, x: f64, colour: Colour, width: f64| {
        pen.begin();
        pen.line(&[(x, 0.0), (x, bottom)]);
        pen.edge(colour, width);
    };
    // The line of a label: how high it is, and where its words stand.
    let (high, base) = (sizes.label * 1.55, sizes.label * 1.14);
    if let Some(x) = in_sight(partition.log_start) {
        rule(pen, x, Colour::Dim, 1.5);
    }
    if let Some(x) = in_sight(partition.log_end) {
        rule(pen, x, Colour::Dim, 1.5);
        let name = if scene.narrow { "end" } else { "log end" };
        pen.voice(Font::Label, Colour::Dim, Align::Left);
        pen.say(&format!("{name} {}", number(partition.log_end)), x + 8.0, base, 200.0);
    }
    if let Some(x) = in_sight(partition.high_watermark) {
        rule(pen, x, Colour::Act, 3.0);
        let name = if scene.narrow { "HW" } else { "high watermark" };
        let end = number(partition.high_watermark);
        pen.voice(Font::Strong, Colour::OnAct, Align::Right);
        pen.flag(Colour::Act, (x, base), high, &format!("{name} {end}"), &format!("HW {end}"));
    }
    for it in pointers(scene, &partition.name, sight) {
        let Some(x) = in_sight(it.offset.max(sight.first)) else { continue };
        let (align, side) = if it.is_right { (Align::Left, 12.0) } else { (Align::Right, -12.0) };
        pen.begin();
        pen.line(&[(x - 6.0, bottom + 9.0), (x, bottom), (x + 6.0, bottom + 9.0)]);
        if it.is_committed {
            pen.edge(Colour::Text, 1.5);
        } else {
            pen.fill(Colour::Text);
        }
        pen.voice(Font::Label, Colour::Text, align);
        pen.say(&it.words, x + side, bottom + sizes.label, 400.0);
    }
}

/// A place in a partition's log that is somebody's.
struct Pointer {
    who: String,
    offset: i64,
    /// What stands beside it, and whether that is right of it.
    words: String,
    is_right: bool,
    /// How wide its words may be where they have no room in one line.
    room: Option<f64>,
    /// A group's committed offset, and not a consumer's position.
    is_committed: bool,
}

/// A letter beneath a log is so wide, about; so far from a sign its words begin.
const LETTER: f64 = 6.4;
const BESIDE: f64 = 12.0;

/// Consumers' positions in a partition, and what their groups have committed, from left to right.
fn pointers(scene: &Scene, partition: &str, sight: &Sight) -> Vec<Pointer> {
    let mut found: Vec<Pointer> = Vec::new();
    let mut add = |who: &str, offset: i64, is_right: bool, is_committed: bool| {
        // At one place they are one; so is all that is left of what is in sight, at its edge.
        let before = |at: i64| at < sight.first;
        let same = |it: &&mut Pointer| {
            (it.offset == offset && it.is_committed == is_committed) || (before(it.offset) && before(offset))
        };
        let words = format!("{who} {}", number(offset));
        match found.iter_mut().find(same) {
            Some(it) => {
                it.who.push_str(who);
                it.words = format!("{}, {words}", it.words);
            }
            None => {
                let words = if before(offset) { format!("‹ {words}") } else { words };
                found.push(Pointer { who: who.to_owned(), offset, words, is_right, room: None, is_committed });
            }
        }
    };
    for group in &scene.view.groups {
        let share = group.shares.iter().find(|it| it.partition == partition);
        if let Some(offset) = share.and_then(|it| it.committed) {
            add(&format!("{} committed", group.name), offset, false, true);
        }
    }
    let is_member = |name: &str| scene.view.groups.iter().flat_map(|it| &it.members).any(|it| it.client == name);
    let consumers = scene.view.clients.iter().filter(|it| it.role == Role::Consumer).enumerate();
    for (index, client) in consumers {
        let position = client.positions.iter().find(|it| it.partition == partition);
        if let Some(offset) = position.and_then(|it| it.offset) {
            add(&client.name, offset, index % 2 == 1 || is_member(&client.name), false);
        }
    }
    ordered::sort_by_key(&mut found, |it| (it.offset, !it.is_committed));
    let x = |offset: i64| (offset.max(sight.first) - sight.first) as f64 * scene.cell;
    find_room(&mut found, scene.columns as f64 * scene.cell, x);
    found
}

/// On which side of its sign each one's words have room, on an axis so wide. Where they have none, they are said at the next sign, or
/// where none follows at one before; where even that does not help, wherever they take the fewest lines.
fn find_room(found: &mut [Pointer], wide: f64, x: impl Fn(i64) -> f64) {
    let alone: Vec<(String, bool)> = found.iter().map(|it| (it.words.clone(), it.is_right)).collect();
    let mut fewest: Option<(f64, usize)> = None;
    // From which sign on they are all said at one.
    for together in (0..found.len()).rev() {
        let lines = place(found, &alone, together, wide, &x);
        if lines <= 1.0 {
            return;
        }
        if fewest.is_none_or(|(least, _)| lines < least) {
            fewest = Some((lines, together));
        }
    }
    if let Some((_, together)) = fewest {
        place(found, &alone, together, wide, &x);
    }
}

/// Says all from a sign on at that one, and tells how many lines the last take: those before have room in one.
fn place(found: &mut [Pointer], alone: &[(String, bool)], together: usize, wide: f64, x: impl Fn(i64) -> f64) -> f64 {
    for (it, alone) in found.iter_mut().zip(alone) {
        (it.words, it.is_right) = alone.clone();
        it.room = None;
    }
    for later in &mut found[together + 1..] {
        later.words.clear();
    }
    for (words, _) in &alone[together + 1..] {
        found[together].words.push_str(", ");
        found[together].words.push_str(words);
    }
    let (mut taken, mut carried, mut lines) = (0.0, String::new(), 1.0);
    for index in 0..found.len() {
        let next = found.get(index + 1).map(|it| x(it.offset) - BESIDE);
        let it = &mut found[index];
        let at = x(it.offset);
        if !carried.is_empty() {
            if !it.words.is_empty() {
                carried.push_str(", ");
            }
            it.words.insert_str(0, &std::mem::take(&mut carried));
            it.is_right = true;
        }
        let long = it.words.chars().count() as f64 * LETTER;
        let (left, right) = (at - BESIDE - taken, next.unwrap_or(wide) - at - BESIDE);
        let (fits_left, fits_right) = (long <= left, long <= right);
        it.is_right = if it.is_right { fits_right || !fits_left } else { !fits_left };
        taken = at + BESIDE;
        if fits_left || fits_right {
            taken += if it.is_right { long } else { 0.0 };
        } else if index < together {
            carried = std::mem::take(&mut it.words);
        } else {
            let room = right.max(left);
            it.is_right = right > left;
            it.room = Some(room);
            lines = long / room.max(1.0);
        }
    }
    lines
}

/// What a cell says: the key, or the value; both where both are short, and of what deletes its key that it has no value. Of a long one
/// that ends with a number, such as a workload's, its end tells more.
fn name_of(record: &Record) -> String {
    let name = match (record.key.as_deref(), record.value.as_deref()) {
        (Some(key), None) => return format!("{key} –"),
        (Some(key), Some(value)) if key.len() + value.len() < 5 => return format!("{key} {value}"),
        (Some(key), Some(value)) if value.len() < 6 && value.starts_with(key) => value,
        (key, value) => key.or(value).unwrap_or("–"),
    };
    let count = name.chars().count();
    if count > 6 && name.ends_with(|it: char| it.is_ascii_digit()) {
        let end: String = name.chars().skip(count - 4).collect();
        return format!("…{end}");
    }
    name.to_owned()
}

/// The id of the record that is chosen in a partition's log: whoever goes through it by keys hears where they are.
fn chosen_in(scene: &Scene, partition: &Partition, sight: &Sight) -> Option<String> {
    let Selection::Record(copy, offset) = &scene.selection else { return None };
    let line = partition.replicas.iter().position(|it| key(partition, it) == *copy)?;
    sight.cells(line).iter().any(|it| it.offset == *offset).then(|| id_of(copy, *offset))
}

fn id_of(copy: &str, offset: i64) -> String {
    format!("{copy}:{offset}")
}

/// A record in words.
pub(crate) fn told(record: &Record) -> String {
    let word = |it: &Option<String>| it.clone().unwrap_or_else(|| "none".to_owned());
    format!("key {}, value {}, epoch {}", word(&record.key), word(&record.value), record.leader_epoch)
}

/// A record of a copy: the copy's name, and whether its broker runs.
fn cell(scene: &Scene, (row, is_there): (&str, bool), record: &Record) -> Shape {
    let offset = record.offset;
    let chosen = matches!(&scene.selection, Selection::Record(it, at) if it == row && *at == offset);
    let epoch = record.leader_epoch;
    let ghost = if is_there { "" } else { " past" };
    let class = format!("rec e{}{}{ghost}", epoch.rem_euclid(4), if chosen { " on" } else { "" });
    let broker = row.split('/').next().unwrap_or_default();
    let mut cell = classed("i", class);
    if chosen {
        cell = cell.set("id", id_of(row, offset));
    }
    cell.number("data-offset", offset)
        .set("role", "option")
        .set("aria-selected", if chosen { "true" } else { "false" })
        .set("aria-label", format!("offset {offset} on {broker}, {}", told(record)))
        .set("data-do", format!("record:{row}:{offset}"))
        .with([shape("span").say(name_of(record)), shape("small").say(format!("e{epoch}"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets and words, each cell 44 pixels wide: what stands left of its sign, right of it, or at a later one.
    #[test]
    fn no_words_beneath_a_log_are_cut_off_or_on_others() {
        let placed = |of: &[(i64, &str, bool)]| -> Vec<(bool, String)> {
            let pointer = |it: &(i64, &str, bool)| Pointer {
                who: it.1.to_owned(),
                offset: it.0,
                words: format!("{} {}", it.1, it.0),
                is_right: it.2,
                room: None,
                is_committed: false,
            };
            let mut found: Vec<Pointer> = of.iter().map(pointer).collect();
            find_room(&mut found, 528.0, |offset| offset as f64 * 44.0);
            found.into_iter().map(|it| (it.is_right, it.words)).collect()
        };
        let is = |of: &[(bool, &str)]| of.iter().map(|it| (it.0, it.1.to_owned())).collect::<Vec<_>>();
        assert_eq!(
            placed(&[(3, "kitchen", false), (3, "billing", true)]),
            is(&[(false, "kitchen 3"), (true, "billing 3")])
        );
        // Left of offset 1 there is no room for a group's words, and right of it is the other sign.
        let beside = placed(&[(1, "g committed", false), (2, "b", true)]);
        assert_eq!(beside, is(&[(true, ""), (true, "g committed 1, b 2")]));
        assert_eq!(placed(&[(12, "c1", true)]), is(&[(false, "c1 12")]), "at the right edge");
        let same = placed(&[(0, "c1", true), (0, "c2", true)]);
        assert_eq!(same, is(&[(true, ""), (true, "c1 0, c2 0")]));
        assert_eq!(placed(&[(9, "g committed", false), (9, "c1", true)])[0], (false, "g committed 9".to_owned()));
        assert_eq!(placed(&[(9, "kitchen 9, billing", true)]), is(&[(false, "kitchen 9, billing 9")]));
        // Right of neither, and between them, there is room for the words of one.
        let end = placed(&[(9, "g committed", false), (11, "c1 of two", true)]);
        assert_eq!(end, is(&[(false, "g committed 9, c1 of two 11"), (true, "")]));
        let long = |offset: i64, words: &str| Pointer {
            who: "g".to_owned(),
            offset,
            words: words.to_owned(),
            is_right: false,
            room: None,
            is_committed: false,
        };
        let mut one = [long(4, "billing committed 4, kitchen 4, audit 4")];
        find_room(&mut one, 264.0, |offset| offset as f64 * 44.0);
        assert_eq!((one[0].is_right, one[0].room), (false, Some(164.0)), "in two lines where there is more room");
        // At the last sign all would be in a column of a letter's width.
        let mut two =
            [long(11, "billing committed 11, invoices committed 11"), long(12, "kitchen 12, audit 12, reports 12")];
        find_room(&mut two, 528.0, |offset| offset as f64 * 44.0);
        assert_eq!((two[0].is_right, two[0].room), (false, Some(472.0)), "where they take the fewest lines");
        assert_eq!((&*two[1].words, two[1].room), ("", None));
    }
}
