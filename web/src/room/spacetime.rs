//! Space-time: a column for each process, time downward, an arrow for each message. What is cut, what is lost and who led when is
//! where it was and when it was.

use super::keys;
use super::labels::Labels;
use super::scene::{Scene, Selection};
use super::state::Room;
use super::{grouped, left, stamp};
use crate::draw::{Shape, classed, glyph, shape, tenths, text};
use crate::engine::Kind;
use crate::engine::spacetime::{Flight, Mark, Recent};
use crate::view::{CLOSED, Role};

/// The place of the first moment, and what is beneath the last, in pixels.
const EDGE: f64 = 20.0;
/// Where so much time passes between two moments, in µs, the drawing says how much: it is not to scale.
const GAP_US: u64 = 5_000;
/// How high such a gap is, and how far apart the times beside the drawing are at least.
const GAP: f64 = 36.0;
const LINE: f64 = 14.0;
/// What is held up is seen so far on its way.
const HELD: f64 = 0.3;
/// The marks' pictures, in the order of their kinds.
const PICTURES: [&str; Kind::ALL.len()] = ["#g-ok", "#g-behind", "#g-wait", "#i-play", "#g-hex", "#g-lead", "#g-bad"];

/// What is looked at of it.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// Somebody has opened or closed it; else it is open where the story names it.
    is_open: Option<bool>,
    is_table: bool,
    /// Which of [`items`] the arrows have come to.
    chosen: Option<usize>,
    pub(crate) recent: Recent,
}

impl Sight {
    /// Takes in what happened lately. Where that is something else, nothing of it is chosen.
    pub(crate) fn learn(&mut self, recent: Recent) {
        if (self.recent.from, self.recent.to) != (recent.from, recent.to) {
            self.chosen = None;
        }
        self.recent = recent;
    }
}

/// True if it is to be drawn.
pub(crate) fn is_open(scene: &Scene) -> bool {
    let named = || scene.lesson.as_ref().is_some_and(|it| it.is_calm() && it.story.views.contains(&"spacetime"));
    scene.spacetime.is_open.unwrap_or_else(named)
}

/// Something in the drawing: when it began, what a click on it does, in words.
struct Item {
    at_us: u64,
    event: u64,
    does: String,
    words: String,
}

/// All that can be chosen, in order of time.
fn items(scene: &Scene) -> Vec<Item> {
    let recent = &scene.spacetime.recent;
    let mut items = Vec::new();
    for (index, it) in recent.flights.iter().enumerate().filter(|it| is_shown(scene, it.1)) {
        let event = it.end.map_or(recent.to, |it| it.event);
        items.push(Item { at_us: it.message.sent_us, event, does: format!("flight:{index}"), words: told(scene, it) });
    }
    for it in &recent.marks {
        let does = format!("seek:{}", it.event);
        items.push(Item { at_us: it.at_us, event: it.event, does, words: it.words.clone() });
    }
    ordered::sort_by_key(&mut items, |it| it.at_us);
    items
}

/// Signs of life that are on their way are shown once it is past their time.
fn is_shown(scene: &Scene, it: &Flight) -> bool {
    it.end.is_some() || !it.message.is_idle || is_held(scene, it)
}

/// True for what should have arrived by now.
fn is_held(scene: &Scene, it: &Flight) -> bool {
    it.end.is_none() && it.message.arrives_us < scene.view.time_us
}

/// A message and what became of it, in words.
fn told(scene: &Scene, it: &Flight) -> String {
    let message = &it.message;
    let since = |at_us: u64| left(at_us.saturating_sub(message.sent_us));
    let became = match it.end {
        Some(end) if end.is_lost => format!("lost after {}", since(end.at_us)),
        Some(end) => format!("arrived after {}", since(end.at_us)),
        None if is_held(scene, it) => format!("held up, sent {} ago", since(scene.view.time_us)),
        None => "on its way".to_owned(),
    };
    let answer = if message.is_answer { "answer to " } else { "" };
    format!("{} → {}: {answer}{}, {became}", message.from, message.to, message.what)
}

/// Moments and how far down each is: the later the lower, by more the more time passed, and never by so much that nothing else
/// would have room.
struct Axis {
    places: Vec<(u64, f64)>,
}

impl Axis {
    fn new(mut times: Vec<u64>) -> Axis {
        ordered::sort(&mut times);
        times.dedup();
        let mut places: Vec<(u64, f64)> = Vec::new();
        for at in times {
            let y = places.last().map_or(EDGE, |(before, y)| y + step(at - before));
            places.push((at, y));
        }
        Axis { places }
    }

    /// How far down a moment is. What is before the first is at the edge.
    fn y(&self, at_us: u64) -> f64 {
        let next = self.places.partition_point(|it| it.0 < at_us);
        match self.places.get(next) {
            Some((at, _)) if next == 0 && *at > at_us => 0.0,
            Some((_, y)) => *y,
            None => self.places.last().map_or(0.0, |it| it.1),
        }
    }

    fn height(&self) -> f64 {
        self.places.last().map_or(0.0, |it| it.1) + EDGE
    }
}

/// How much further down something is that is so much later.
fn step(us: u64) -> f64 {
    if us >= GAP_US { GAP } else { 3.0 + 2.0 * f64::from((us + 1).ilog2()) }
}

/// The moments of a drawing: of what ended, what is marked, what was sent since the first of these; and now.
fn axis(scene: &Scene) -> Axis {
    let recent = &scene.spacetime.recent;
    let ends = recent.flights.iter().filter_map(|it| it.end.map(|it| it.at_us));
    let mut times: Vec<u64> = ends.chain(recent.marks.iter().map(|it| it.at_us)).collect();
    times.push(scene.view.time_us);
    let first = times.iter().copied().min().unwrap_or(0);
    let shown = recent.flights.iter().filter(|it| is_shown(scene, it));
    times.extend(shown.map(|it| it.message.sent_us).filter(|it| *it >= first));
    let cuts = recent.cuts.iter().flat_map(|it| [Some(it.since_us), it.until_us]).flatten();
    let last = times.iter().copied().max().unwrap_or(0);
    times.extend(cuts.filter(|it| (first..=last).contains(it)));
    Axis::new(times)
}

/// The columns as the cluster is drawn: who produces, brokers, controllers, who consumes.
fn columns(scene: &Scene) -> Vec<&str> {
    let clients = |consumes: bool| scene.view.clients.iter().filter(move |it| (it.role == Role::Consumer) == consumes);
    let nodes = |is_broker: bool| scene.view.brokers.iter().filter(move |it| it.is_broker == is_broker);
    let left = clients(false).map(|it| &*it.name);
    let middle = nodes(true).chain(nodes(false)).map(|it| &*it.name);
    left.chain(middle).chain(clients(true).map(|it| &*it.name)).collect()
}

/// What the drawing is made with.
struct Plot<'a> {
    scene: &'a Scene,
    columns: Vec<&'a str>,
    axis: Axis,
    /// How wide a column is in pixels, about: only words need it.
    pitch: f64,
    labels: Labels,
}

impl Plot<'_> {
    /// Where a process's line is, in hundredths of the drawing's width.
    fn x(&self, name: &str) -> Option<f64> {
        let column = self.columns.iter().position(|it| *it == name)?;
        Some((column as f64 + 0.5) * self.percent(1.0))
    }

    /// So many columns in hundredths of the width.
    fn percent(&self, columns: f64) -> f64 {
        columns * 100.0 / self.columns.len() as f64
    }

    /// Words about a place, if they have room there.
    fn say(&mut self, words: &str, (x, y): (f64, f64), ways: [f64; 2]) -> Option<Shape> {
        let pixels = self.pitch / self.percent(1.0);
        let (x, y) = self.labels.place(words, (x * pixels, y), ways)?;
        Some(shape("text").set("x", percent(x / pixels)).at("y", y).say(words.to_owned()))
    }
}

fn percent(value: f64) -> String {
    tenths(value) + "%"
}

fn line(class: &'static str, from: (f64, f64), to: (f64, f64)) -> Shape {
    let line = classed("line", class).set("x1", percent(from.0)).at("y1", from.1);
    line.set("x2", percent(to.0)).at("y2", to.1)
}

/// The view.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let (sight, is_open) = (&scene.spacetime, is_open(scene));
    let button = |does: &'static str, words: &'static str, label: &'static str, is_off: bool| {
        shape("button").set("data-do", does).set("aria-label", label).when(is_off, "disabled", "").say(words)
    };
    let toggle = classed("button", "deed")
        .set("id", "spacetime-open")
        .set("data-do", "spacetime:")
        .set("aria-expanded", if is_open { "true" } else { "false" })
        .set("title", "Space-time (t)")
        .say(if is_open { "Hide" } else { "Show" });
    let mut head = classed("div", "head").with([shape("h2")
        .say("Space-time ")
        .with([shape("small").say("every message from its sending to its end, time downward")])]);
    let mut shapes = Vec::new();
    if is_open {
        let recent = &sight.recent;
        let is_last = recent.to >= scene.view.last_event;
        head = head.with([classed("span", "pages").with([
            button("spacetime:earlier", "‹", "What happened before that", recent.from == 0),
            button("spacetime:later", "›", "What happened after that", is_last),
        ])]);
        let items = items(scene);
        shapes.push(field(scene, &items));
        // One stop for Tab; what the arrows have come to is said.
        let chosen = sight.chosen.and_then(|it| items.get(it));
        let words = chosen.map_or("↑ and ↓ choose, Enter goes there".to_owned(), |it| {
            format!("{} s, {}", stamp(it.at_us), it.words)
        });
        shapes.push(classed("p", "plain").set("id", "moment").set("role", "status").say(words));
        shapes.push(legend(scene));
        let words = if sight.is_table { "Without the table" } else { "As a table" };
        shapes.push(classed("button", "deed").set("data-do", "spacetime:table").say(words));
        if sight.is_table {
            shapes.push(table(&items));
        }
    }
    vec![classed("section", "spacetime").set("aria-label", "Space-time").with([head.with([toggle])]).with_all(shapes)]
}

fn field(scene: &Scene, items: &[Item]) -> Shape {
    let mut columns = columns(scene);
    if columns.is_empty() {
        columns.push("");
    }
    let pitch = scene.columns as f64 * scene.cell / columns.len() as f64;
    let mut plot = Plot { scene, columns, axis: axis(scene), pitch, labels: Labels::beside(&[]) };
    let heads = plot.columns.iter().map(|name| {
        let is_on = is_selected(scene, name);
        classed("button", if is_on { "on" } else { "" })
            .named(name)
            .set("data-do", format!("process:{name}"))
            .set("aria-pressed", if is_on { "true" } else { "false" })
            .say((*name).to_owned())
    });
    let heads = classed("div", "heads").with_all(heads.collect());
    let chosen = scene.spacetime.chosen.and_then(|it| items.get(it)).map_or("", |it| &*it.does);
    let mut drawn = lives(&plot);
    drawn.extend(cuts(&mut plot));
    let recent = &scene.spacetime.recent;
    for (index, it) in recent.flights.iter().enumerate().filter(|it| is_shown(scene, it.1)) {
        drawn.extend(arrow(&mut plot, it, format!("flight:{index}"), chosen));
    }
    for it in &recent.marks {
        drawn.extend(mark(&mut plot, it, chosen));
    }
    let now = plot.axis.y(scene.view.time_us);
    drawn.push(line("now", (0.0, now), (100.0, now)));
    let height = format!("{}px", tenths(plot.axis.height()));
    let svg = |class: &'static str| classed("svg", class).set("height", height.clone());
    let picture = svg("moments").set("aria-hidden", "true").with_all(drawn);
    let times = svg("times").set("aria-hidden", "true").with_all(times(&plot.axis));
    // It lies upside down, so that the newest stays in sight when there is more than fits.
    classed("div", "field")
        .set("id", "moments")
        .set("tabindex", "0")
        .set("role", "group")
        .set(
            "aria-label",
            "Messages in order of time: ↑ and ↓ choose one, Enter goes there, Page Up and Page Down lead on",
        )
        .with([classed("div", "plot").with([times, picture]), heads])
}

/// The times beside the drawing, and how much passes in its gaps.
fn times(axis: &Axis) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let mut free = 0.0;
    let mut before: Option<(u64, f64)> = None;
    for (at, y) in &axis.places {
        if let Some((since, from)) = before.filter(|it| at - it.0 >= GAP_US) {
            let y = (from + y) / 2.0 + 4.0;
            shapes.push(classed("text", "gap").set("x", "100%").at("y", y).say(format!("{} later", left(at - since))));
            free = y + LINE;
        }
        if *y >= free {
            shapes.push(shape("text").set("x", "100%").at("y", y + 4.0).say(stamp(*at)));
            free = y + LINE;
        }
        before = Some((*at, *y));
    }
    shapes
}

/// True for a process that is selected, or has the record that is.
fn is_selected(scene: &Scene, name: &str) -> bool {
    match &scene.selection {
        Selection::Process(it) => it == name,
        Selection::Record(copy, _) => copy.split_once('/').is_some_and(|it| it.0 == name),
        _ => false,
    }
}

/// A line for each process, broken where it does not run.
fn lives(plot: &Plot<'_>) -> Vec<Shape> {
    let (scene, end) = (plot.scene, plot.axis.height());
    let mut shapes = Vec::new();
    for name in &plot.columns {
        let x = plot.x(name).unwrap_or_default();
        let class = if is_selected(scene, name) { "life on" } else { "life" };
        shapes.push(line(class, (x, 0.0), (x, end)));
        let broker = scene.view.brokers.iter().position(|it| it.name == *name);
        let powers = &scene.spacetime.recent.powers;
        for (index, (since, up)) in powers.iter().enumerate().filter(|_| broker.is_some()) {
            if up & 1 << broker.unwrap_or_default() == 0 {
                let until = powers.get(index + 1).map_or(end, |it| plot.axis.y(it.0));
                shapes.push(line("gone", (x, plot.axis.y(*since)), (x, until)));
            }
        }
    }
    shapes
}

/// Where nothing passes between two: a band as long as that is so.
fn cuts(plot: &mut Plot<'_>) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for it in &plot.scene.spacetime.recent.cuts {
        let [Some(a), Some(b)] = [&it.ends[0], &it.ends[1]].map(|it| plot.x(it)) else { continue };
        let from = plot.axis.y(it.since_us);
        let to = it.until_us.map_or(plot.axis.height(), |it| plot.axis.y(it));
        if to <= from {
            continue;
        }
        let band = classed("rect", "cut").set("x", percent(a.min(b))).at("y", from);
        shapes.push(band.set("width", percent((a - b).abs())).at("height", to - from));
        let words = format!("cut: {} {} {}", it.ends[0], if it.is_both { "–" } else { "→" }, it.ends[1]);
        shapes.extend(plot.say(&words, ((a + b) / 2.0, from), [LINE, 2.0 * LINE]));
    }
    shapes
}

/// A message: from who sent it and when, to who got it and when; as far as it came, where it was lost or is on its way.
fn arrow(plot: &mut Plot<'_>, it: &Flight, does: String, chosen: &str) -> Option<Shape> {
    let (scene, message) = (plot.scene, &it.message);
    let (from, to) = (plot.x(&message.from)?, plot.x(&message.to)?);
    let is_lost = it.end.is_some_and(|it| it.is_lost);
    let until = it.end.map_or(scene.view.time_us.max(message.sent_us), |it| it.at_us);
    let whole = message.arrives_us.saturating_sub(message.sent_us);
    let share = match it.end {
        Some(end) if !end.is_lost => 1.0,
        None if is_held(scene, it) => HELD,
        // Its connection broke under it: it never was on its way.
        _ if whole == 0 => 0.5,
        _ => ((until - message.sent_us) as f64 / whole as f64).min(1.0),
    };
    let start = plot.axis.y(message.sent_us);
    let end = (from + (to - from) * share, plot.axis.y(until).max(start + if whole == 0 { LINE } else { 0.0 }));
    let is_close = message.what == CLOSED;
    let shaft = match (is_close, is_lost, it.end.is_none(), message.is_answer) {
        (true, ..) => "shaft broken",
        (_, true, ..) => "shaft lost",
        (_, _, true, false) => "shaft up way",
        (_, _, true, true) => "shaft down way",
        (_, _, _, false) => "shaft up",
        (_, _, _, true) => "shaft down",
    };
    let is_on = matches!(&scene.selection, Selection::Message(other) if (&other.id, other.sent_us) == (&message.id, message.sent_us));
    let is_cause = it.end.is_some_and(|it| is_cause(scene, it.event));
    let class = classes("arrow", is_on, is_cause, does == chosen, message.sent_us > scene.view.time_us);
    let mut shapes = vec![line("hit", (from, start), end), line(shaft, (from, start), end)];
    if is_lost || is_close && it.end.is_some() {
        let cross = shape("use").set("href", "#g-off").set("x", percent(end.0)).at("y", end.1);
        shapes.push(cross.set("width", "12").set("height", "12"));
    }
    // A dead process's connections break by the dozen: the legend says what these are.
    if !is_close {
        let middle = ((from + end.0) / 2.0, (start + end.1) / 2.0);
        shapes.extend(plot.say(message.what, middle, [-2.0, LINE]));
    }
    shapes.push(shape("title").say(told(scene, it)));
    Some(classed("g", class).named(&format!("{} {}", message.id, message.from)).set("data-do", does).with_all(shapes))
}

/// What happened to a process, on its line.
fn mark(plot: &mut Plot<'_>, it: &Mark, chosen: &str) -> Option<Shape> {
    let (scene, does) = (plot.scene, format!("seek:{}", it.event));
    let (x, y) = (plot.x(&it.process)?, plot.axis.y(it.at_us));
    let class = classes("sign", false, is_cause(scene, it.event), does == chosen, it.at_us > scene.view.time_us);
    let words = if it.kind == Kind::Action { &*it.words } else { it.kind.word() };
    let picture = shape("use").set("href", PICTURES[it.kind as usize]).set("x", percent(x)).at("y", y);
    let mut shapes = vec![
        classed("circle", "hit").set("cx", percent(x)).at("cy", y).set("r", "11"),
        picture.set("width", "12").set("height", "12"),
    ];
    shapes.extend(plot.say(words, (x, y), [LINE + 4.0, -8.0]));
    shapes.push(shape("title").say(it.words.clone()));
    let kind = if matches!(it.kind, Kind::Action | Kind::Cut) { "harm" } else { "" };
    Some(classed("g", class + kind).named(&format!("{} {}", it.event, it.words)).set("data-do", does).with_all(shapes))
}

/// True for an event that led to what is asked for.
fn is_cause(scene: &Scene, event: u64) -> bool {
    scene.why.iter().chain(&scene.story).any(|it| it.event == event)
}

fn classes(class: &str, is_on: bool, is_cause: bool, is_chosen: bool, is_later: bool) -> String {
    let mut classes = class.to_owned();
    for (word, is) in [(" on", is_on), (" cause", is_cause), (" chosen", is_chosen), (" later", is_later)] {
        if is {
            classes.push_str(word);
        }
    }
    classes.push(' ');
    classes
}

/// What is drawn, and what that means.
fn legend(scene: &Scene) -> Shape {
    let recent = &scene.spacetime.recent;
    let sample = |class: &'static str| {
        let line = classed("line", class).set("x1", "1").set("y1", "6").set("x2", "20").set("y2", "6");
        classed("svg", "sample").set("aria-hidden", "true").with([line])
    };
    let entry = |sign: Shape, word: &'static str| shape("span").with([sign, text(word)]);
    let mut entries = vec![entry(sample("shaft up"), "request"), entry(sample("shaft down"), "answer")];
    if recent.flights.iter().any(|it| it.end.is_none() && is_shown(scene, it)) {
        entries.push(entry(sample("shaft up way"), "on its way"));
    }
    if recent.flights.iter().any(|it| it.message.what == CLOSED) {
        entries.push(entry(sample("shaft broken"), "a connection breaks"));
    }
    if recent.flights.iter().any(|it| it.end.is_some_and(|it| it.is_lost)) {
        entries.push(entry(glyph("#g-off"), "lost"));
    }
    for kind in Kind::ALL.into_iter().filter(|kind| recent.marks.iter().any(|it| it.kind == *kind)) {
        entries.push(entry(glyph(PICTURES[kind as usize]), kind.word()));
    }
    entries.push(shape("span").say("heartbeats and fetches that find nothing: only where they are lost or late"));
    classed("p", "legend").with_all(entries)
}

/// The same in words, the newest first.
fn table(items: &[Item]) -> Shape {
    let rows = items.iter().rev().map(|it| {
        shape("tr").with([
            shape("th").set("scope", "row").say(stamp(it.at_us)),
            shape("td").say(grouped(it.event)),
            shape("td").with([classed("button", "line").set("data-do", it.does.clone()).say(it.words.clone())]),
        ])
    });
    let heads = ["at, in s", "step", "what"].map(|it| shape("th").set("scope", "col").say(it));
    let table = classed("table", "told")
        .set("id", "passed")
        .with([shape("thead").with([shape("tr").with(heads)]), shape("tbody").with_all(rows.collect())]);
    classed("div", "listing")
        .set("tabindex", "0")
        .set("role", "group")
        .set("aria-label", "Messages and marks, the newest first")
        .with([table])
}

/// What a button of it does.
pub(crate) fn turn(room: Room, what: &str) {
    let (from, to) = room.with(|it| (it.spacetime.recent.from, it.spacetime.recent.to));
    match what {
        "earlier" => room.seek(from),
        "later" => room.seek(to + (to - from).max(1)),
        "table" => room.change(|scene| scene.spacetime.is_table = !scene.spacetime.is_table),
        _ => {
            room.change(|scene| scene.spacetime.is_open = Some(!is_open(scene)));
            keys::reveal("#spacetime section");
        }
    }
}

/// Goes to where a message is on its way still, just before its end, and selects it.
pub(crate) fn fly(room: Room, index: usize) {
    let found = room.with(|it| Some((it.spacetime.recent.flights.get(index)?.clone(), it.spacetime.recent.to)));
    let Some((flight, to)) = found else { return };
    room.stop();
    let is_sent = room.with(|it| flight.message.sent_us <= it.view.time_us);
    match flight.end {
        Some(end) if !is_sent || room.with(|it| it.view.event >= end.event) => room.seek(end.event.saturating_sub(1)),
        None if !is_sent => room.seek(to),
        _ => {}
    }
    let is = |it: &&crate::view::Message| (&it.id, &it.from) == (&flight.message.id, &flight.message.from);
    let there = room.with(|it| it.view.messages.iter().find(is).cloned());
    room.select(Selection::Message(there.unwrap_or(flight.message)));
}

/// Keys of the drawing. True if this one is.
pub(crate) fn pressed(room: Room, key: &str) -> bool {
    let items = room.with(items);
    let (chosen, last) = (room.with(|it| it.spacetime.chosen), items.len().saturating_sub(1));
    let to = match (key, chosen) {
        ("ArrowUp", Some(it)) => it.saturating_sub(1),
        ("ArrowDown", Some(it)) => (it + 1).min(last),
        ("ArrowUp" | "ArrowDown", None) => last,
        ("PageUp", _) => {
            turn(room, "earlier");
            return true;
        }
        ("PageDown", _) => {
            turn(room, "later");
            return true;
        }
        ("Enter" | " ", Some(it)) if it <= last => {
            if let Some(item) = items.get(it) {
                keys::do_(room, &item.does);
            }
            return true;
        }
        _ => return false,
    };
    room.change(|scene| scene.spacetime.chosen = Some(to));
    keys::reveal("#moments .chosen .hit");
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::spacetime::{Cut, End};
    use crate::view::{Broker, Client, Message, State};

    fn flight(from: &str, to: &str, sent_us: u64, arrives_us: u64, end: Option<(u64, u64, bool)>) -> Flight {
        let (from, to) = (from.to_owned(), to.to_owned());
        let message =
            Message { id: format!("{sent_us}"), from, to, what: "Produce", sent_us, arrives_us, ..Message::default() };
        Flight { message, end: end.map(|(at_us, event, is_lost)| End { at_us, event, is_lost }) }
    }

    /// A producer, a broker, a consumer, 20 ms into their run.
    fn scene(recent: Recent) -> Scene {
        let mut scene = Scene::new(1);
        let client = |name: &str, role: Role| Client { name: name.to_owned(), role, ..Client::default() };
        scene.view.clients = vec![client("c1", Role::Consumer), client("p1", Role::Producer)];
        scene.view.brokers =
            vec![Broker { name: "b1".to_owned(), is_broker: true, state: State::Up, ..Broker::default() }];
        (scene.view.time_us, scene.view.event) = (20_000, recent.to);
        scene.spacetime.is_open = Some(true);
        scene.spacetime.recent = recent;
        scene
    }

    fn find<'a>(shapes: &'a [Shape], class: &str, found: &mut Vec<&'a Shape>) {
        for it in shapes {
            if it.attribute("class").split(' ').any(|it| it == class) {
                found.push(it);
            }
            find(&it.children, class, found);
        }
    }

    fn all<'a>(shapes: &'a [Shape], class: &str) -> Vec<&'a Shape> {
        let mut found = Vec::new();
        find(shapes, class, &mut found);
        found
    }

    fn number(it: &Shape, name: &str) -> f64 {
        it.attribute(name).trim_end_matches('%').parse().unwrap_or(f64::NAN)
    }

    #[test]
    fn later_is_lower_and_much_later_is_not_much_lower() {
        let axis = Axis::new(vec![50, 10, 10, 11, 4_000_000]);
        let places: Vec<f64> = [10, 11, 50, 4_000_000].map(|it| axis.y(it)).into();
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
        assert_eq!(places[0], EDGE);
        assert_eq!(places[3] - places[2], GAP, "four seconds are a gap");
        assert_eq!(
            (axis.y(9), axis.y(5_000_000)),
            (0.0, places[3]),
            "before the first: at the edge; after the last: there"
        );
        let words: Vec<String> = times(&axis).iter().map(Shape::words).collect();
        assert_eq!(words, ["0.000\u{202f}010", "0.000\u{202f}050", "3.9 s later", "4.000\u{202f}000"]);
    }

    #[test]
    fn a_message_goes_from_column_to_column_and_what_came_from_before_comes_from_the_edge() {
        let flights = vec![
            flight("p1", "b1", 1_000, 9_000, Some((9_000, 3, false))),
            flight("b1", "c1", 9_500, 10_500, Some((10_000, 4, true))),
            flight("b1", "p1", 15_000, 25_000, None),
            flight("c1", "b1", 12_000, 13_000, None),
        ];
        let scene = scene(Recent { from: 2, to: 5, flights, ..Recent::default() });
        let shapes = draw(&scene);
        let shafts = all(&shapes, "shaft");
        let ends: Vec<[f64; 2]> = shafts.iter().map(|it| ["x1", "x2"].map(|name| number(it, name))).collect();
        // Columns: p1, b1, c1. The second is lost half way, the third is half way, the fourth is held up.
        let third = 100.0 / 6.0;
        let rounded = |it: f64| (it * 10.0).round() / 10.0;
        let expected =
            [[1.0, 3.0], [3.0, 4.0], [3.0, 2.0], [5.0, 5.0 - 2.0 * HELD]].map(|it| it.map(|it| rounded(it * third)));
        assert_eq!(ends[..4], expected, "{ends:?}");
        assert_eq!(number(shafts[0], "y1"), 0.0, "sent before the first that is told");
        assert!(shafts[1..4].iter().all(|it| number(it, "y1") > 0.0 && number(it, "y2") > number(it, "y1")));
        let now = number(all(&shapes, "now")[0], "y1");
        assert_eq!([2, 3].map(|it| number(shafts[it], "y2")), [now, now], "what is on its way is as far as now");
        assert_eq!(all(&shapes, "lost").len(), 1);
        assert_eq!(all(&shapes, "way").len(), 3, "two, and what dashes mean");
        let words = items(&scene).into_iter().map(|it| it.words).collect::<Vec<_>>();
        let told = ["arrived after 8.0 ms", "lost after 500 µs", "held up, sent 8.0 ms ago", "on its way"];
        assert!(words.iter().zip(told).all(|(words, told)| words.ends_with(told)), "{words:?}");
    }

    #[test]
    fn a_band_lies_between_the_two_that_are_cut_as_long_as_they_are() {
        let ends = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let cut = |ends, since_us, until_us| Cut { ends, is_both: true, since_us, until_us };
        let cuts = vec![
            cut(ends("b1", "c1"), 500, Some(12_000)),
            cut(ends("p1", "b1"), 12_000, None),
            cut(ends("p1", "b1"), 10, Some(20)),
        ];
        let flights = vec![flight("p1", "b1", 9_000, 10_000, Some((10_000, 3, false)))];
        let scene = scene(Recent { from: 2, to: 5, flights, cuts, ..Recent::default() });
        let shapes = draw(&scene);
        let bands = all(&shapes, "cut");
        assert_eq!(bands.len(), 2, "what was over before is not in sight");
        let axis = axis(&scene);
        assert_eq!((number(bands[0], "x"), number(bands[0], "y")), (50.0, 0.0));
        assert_eq!(number(bands[0], "height"), axis.y(12_000));
        assert_eq!(
            (number(bands[1], "y"), number(bands[1], "height")),
            (axis.y(12_000), axis.height() - axis.y(12_000))
        );
    }

    #[test]
    fn signs_of_life_are_shown_once_they_are_late_and_what_is_not_yet_is_faint() {
        let mut idle = flight("p1", "b1", 19_000, 21_000, None);
        idle.message.is_idle = true;
        let mark = |at_us, event| Mark {
            process: "b1".to_owned(),
            at_us,
            event,
            kind: Kind::Election,
            words: "b1 leads.".to_owned(),
        };
        let marks = vec![mark(15_000, 4), mark(30_000, 6)];
        let mut scene = scene(Recent { from: 2, to: 7, flights: vec![idle], marks, ..Recent::default() });
        scene.view.event = 5;
        assert_eq!(all(&draw(&scene), "arrow").len(), 0);
        assert_eq!(all(&draw(&scene), "later").len(), 1, "what comes after the moment that is looked at");
        scene.view.time_us = 22_000;
        assert_eq!(all(&draw(&scene), "arrow").len(), 1);
        scene.spacetime.is_open = None;
        assert!(all(&draw(&scene), "field").is_empty(), "closed unless somebody opens it, or a story names it");
    }
}
