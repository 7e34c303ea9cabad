//! The cluster as a drawing: clients left and right (on a phone above and below), the broker between, messages on their way,
//! requests that wait, and timers that run.

use super::canvas::Pen;
use super::plan::{Link, Place, Plan, point, svg_curve};
use super::scene::{Scene, Selection};
use super::{grouped, left};
use crate::draw::{Shape, classed, glyph, shape, tenths, text};
use crate::view::{Broker, CLOSED, Client, Message, Partition, Role, State, Timer, Wait};

/// Messages that are drawn at once; beyond it they are a number.
const DRAWN: usize = 24;
/// With at most so many on their way each has its name beside it.
const NAMED: usize = 7;
/// Partitions that have a slot in the broker.
const SLOTS: usize = 3;

/// The cluster.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let plan = Plan { narrow: scene.narrow };
    let (width, height) = plan.size();
    let messages = &scene.view.messages;
    let more = messages.len().saturating_sub(DRAWN);
    // While time passes this would change with every message.
    let note =
        if more > 0 && !scene.flies() { format!("{} more on their way", grouped(more as u64)) } else { String::new() };
    let key = |picture: &'static str, word: &'static str| shape("span").with([glyph(picture), text(word)]);
    let legend = classed("div", "legend").with([
        key("#msg-up", "request"),
        key("#msg-down", "answer"),
        key("#g-wait", "waits"),
        classed("span", "note").say(note),
    ]);
    let head = classed("div", "head").with([shape("h2").say("Cluster"), legend]);

    let seats = seats(scene, plan);
    let mut drawn: Vec<Shape> = seats.iter().map(|it| link(it)).collect();
    drawn.extend(seats.iter().map(|it| client_card(scene, it)));
    if let Some(broker) = scene.broker() {
        drawn.push(broker_card(scene, broker, plan.broker()));
        if !scene.flies() {
            drawn.extend(seats.iter().filter_map(|it| waiting(scene, broker, it)));
        }
    }
    if !scene.flies() {
        let names = messages.len() <= NAMED;
        drawn.extend(messages.iter().take(DRAWN).filter_map(|it| envelope(scene, it, &seats, names)));
    }
    let stage = classed("svg", "stage")
        .set("id", "stage")
        .set("viewBox", format!("0 0 {} {}", tenths(width), tenths(height)))
        .set("role", "group")
        .set("aria-label", "Cluster")
        .with_all(drawn);
    vec![head, stage]
}

/// A client and where it is.
struct Seat<'a> {
    client: &'a Client,
    place: Place,
    link: Link,
}

fn seats(scene: &Scene, plan: Plan) -> Vec<Seat<'_>> {
    let clients = &scene.view.clients;
    let is_consumer = |it: &Client| it.role == Role::Consumer;
    let mut counts = [0, 0];
    let all = [false, true].map(|side| clients.iter().filter(|it| is_consumer(it) == side).count());
    clients
        .iter()
        .map(|client| {
            let side = usize::from(is_consumer(client));
            let (index, count) = (counts[side], all[side]);
            counts[side] += 1;
            let place = plan.client(client.role, index, count);
            Seat { client, place, link: plan.link(place, client.role, index, count) }
        })
        .collect()
}

fn link(seat: &Seat<'_>) -> Shape {
    let class = if seat.client.connected { "link" } else { "link cut" };
    classed("path", class).named(&seat.client.name).set("d", svg_curve(seat.link))
}

/// A card that can be selected.
fn card(scene: &Scene, name: &str, class: &str, ghost: bool, label: String) -> Shape {
    let chosen = matches!(&scene.selection, Selection::Process(it) if it == name);
    let state = match (ghost, chosen) {
        (false, false) => "",
        (true, false) => " ghost",
        (false, true) => " on",
        (true, true) => " ghost on",
    };
    classed("g", format!("{class}{state}"))
        .named(name)
        .set("data-process", name.to_owned())
        .set("data-do", format!("process:{name}"))
        .set("tabindex", "0")
        .set("role", "button")
        .set("aria-label", label)
}

fn rect(place: Place, radius: &'static str) -> Shape {
    shape("rect").at("x", place.x).at("y", place.y).at("width", place.w).at("height", place.h).set("rx", radius)
}

fn words(class: &'static str, x: f64, y: f64, words: String) -> Shape {
    classed("text", class).at("x", x).at("y", y).say(words)
}

fn client_card(scene: &Scene, seat: &Seat<'_>) -> Shape {
    let Seat { client, place, .. } = seat;
    let Place { x, y, .. } = *place;
    let title = format!("{} {}", client.role.word(), client.name);
    let first = match client.role {
        Role::Consumer => format!("{} read", grouped(client.consumed)),
        Role::Producer | Role::Wire => format!("{} ok · {} failed", grouped(client.ok), grouped(client.failed)),
    };
    let second = match client.role {
        _ if !client.state.runs() => client.state.word().to_owned(),
        Role::Consumer => match client.positions.iter().map(|it| it.lag).collect::<Option<Vec<i64>>>() {
            Some(lags) if !lags.is_empty() => {
                format!("lag {}", grouped(lags.iter().sum::<i64>().max(0).cast_unsigned()))
            }
            _ => "lag –".to_owned(),
        },
        Role::Producer | Role::Wire if client.unknown > 0 => format!("{} unknown", grouped(client.unknown)),
        Role::Producer | Role::Wire => format!("{} waiting", grouped(client.pending)),
    };
    let label = format!("{title}, {first}, {second}");
    card(scene, &client.name, "card", !client.state.runs(), label)
        .with([
            rect(*place, "9"),
            words("b", x + 11.0, y + 20.0, title),
            words("dim", x + 11.0, y + 36.0, first),
            words("dim", x + 11.0, y + 51.0, second),
        ])
        .with_all(next_timer(scene, &client.name, timer_place(*place)))
}

/// Where in a client's card its timer is.
fn timer_place(card: Place) -> (f64, f64) {
    (card.x + card.w - 15.0, card.y + 47.0)
}

/// Where in the broker's card its timer is.
fn broker_timer_place(card: Place) -> (f64, f64) {
    (card.x + card.w - 17.0, card.y + 19.0)
}

/// A process's next deadline that has a name and a beginning, and that.
fn due<'a>(scene: &'a Scene, process: &str) -> Option<(&'a Timer, u64)> {
    let of = |it: &&Timer| it.process == process && it.since_us.is_some() && it.at_us >= scene.view.time_us;
    scene.view.timers.iter().find(of).and_then(|it| Some((it, it.since_us?)))
}

/// A process's next deadline as an arc that runs out, with what is left of it.
fn next_timer(scene: &Scene, process: &str, (x, y): (f64, f64)) -> Vec<Shape> {
    let Some((timer, since)) = due(scene, process).filter(|_| !scene.flies()) else { return Vec::new() };
    let told = format!("{}: {} left", timer.what, left(timer.at_us - scene.view.time_us));
    let mut arc = arc(scene.view.time_us, since, timer.at_us, x, y, 5.5);
    arc.children.push(shape("title").say(told));
    vec![
        arc.set("data-timer", timer.what.clone()),
        words("dim r tiny", x - 10.0, y + 4.0, left(timer.at_us - scene.view.time_us)),
    ]
}

/// How much of a time is left, 1 to 0.
fn rest(now_us: u64, since_us: u64, until_us: u64) -> f64 {
    let whole = until_us.saturating_sub(since_us).max(1);
    until_us.saturating_sub(now_us).min(whole) as f64 / whole as f64
}

/// What is left of a time, as a part of a ring.
fn arc(now_us: u64, since_us: u64, until_us: u64, x: f64, y: f64, radius: f64) -> Shape {
    let percent = rest(now_us, since_us, until_us) * 100.0;
    let circle = |class| classed("circle", class).at("cx", x).at("cy", y).at("r", radius);
    classed("g", "arc").with([
        circle("ring"),
        circle("rest")
            .set("pathLength", "100")
            .set("stroke-dasharray", format!("{} 100", tenths(percent)))
            .set("transform", format!("rotate(-90 {} {})", tenths(x), tenths(y))),
    ])
}

fn broker_card(scene: &Scene, broker: &Broker, place: Place) -> Shape {
    let Place { x, y, w, .. } = place;
    let mark = match broker.state {
        State::Up => "#g-ok",
        State::Starting | State::Stopping => "#g-wait",
        State::Paused => "#i-pause",
        State::Down => "#g-off",
        State::Dark => "#g-power",
    };
    let runs = broker.state.runs();
    let label = format!("broker {}, {}", broker.name, broker.state.word());
    let mut slots = Vec::new();
    for (index, partition) in scene.view.partitions.iter().take(SLOTS).enumerate() {
        slots.extend(slot(partition, x + 6.0, y + 34.0 + 26.0 * index as f64, w - 12.0));
    }
    card(scene, &broker.name, "card broker", !runs, label)
        .with([
            rect(place, "10"),
            words("big", x + 13.0, y + 25.0, broker.name.clone()),
            shape("use")
                .set("href", mark)
                .at("x", x + 38.0)
                .at("y", y + 14.0)
                .set("width", "12")
                .set("height", "12")
                .when(!runs, "class", "harm"),
            words("dim", x + 55.0, y + 24.0, broker.state.word().to_owned()).set("id", "broker-state"),
        ])
        .with_all(if runs { next_timer(scene, &broker.name, broker_timer_place(place)) } else { Vec::new() })
        .with_all(slots)
}

/// A partition in its broker: how much it holds, and who led it when that was written.
fn slot(partition: &Partition, x: f64, y: f64, w: f64) -> Vec<Shape> {
    let badge = if partition.leader.is_some() { "#g-lead" } else { "#g-off" };
    let mut shapes = vec![
        classed("rect", "slot").at("x", x).at("y", y).at("width", w).set("height", "20").set("rx", "4"),
        shape("use").set("href", badge).at("x", x + 5.0).at("y", y + 4.0).set("width", "12").set("height", "12"),
        shape("text").at("x", x + 21.0).at("y", y + 14.0).say(partition.name.clone()),
    ];
    // Of the newest records, as many as there is place for.
    let room = ((w - 118.0) / 6.0) as usize;
    let newest = &partition.records[partition.records.len().saturating_sub(room)..];
    let mut at = 0;
    for run in newest.chunk_by(|a, b| a.leader_epoch == b.leader_epoch) {
        let mut path = String::new();
        for index in at..at + run.len() {
            path.push_str(&format!("M{} {}h5v10h-5z", tenths(x + 70.0 + index as f64 * 6.0), tenths(y + 5.0)));
        }
        at += run.len();
        shapes.push(classed("path", format!("mini e{}", run[0].leader_epoch.rem_euclid(4))).set("d", path));
    }
    shapes.push(words("m r", x + w - 7.0, y + 14.0, grouped(partition.log_end.max(0).cast_unsigned())));
    shapes
}

/// A client's request that waits at the broker for something that may not come, such as a fetch for records.
struct Waiting<'a> {
    wait: &'a Wait,
    until_us: u64,
    /// The API, and how many wait if it is more than one.
    what: String,
    /// How long it is until the latest answer.
    rest: String,
    /// On the link, just before it meets the broker.
    at: (f64, f64),
    /// Where its words are from there.
    words: (f64, f64),
}

impl Waiting<'_> {
    fn of<'a>(scene: &Scene, broker: &'a Broker, seat: &Seat<'_>) -> Option<Waiting<'a>> {
        let of = |it: &&Wait| it.client == seat.client.name && it.deadline_us.is_some();
        let wait = broker.waits.iter().find(of)?;
        let until_us = wait.deadline_us?;
        let count = broker.waits.iter().filter(of).count();
        let more = if count > 1 { format!(" ×{count}") } else { String::new() };
        Some(Waiting {
            wait,
            until_us,
            what: format!("{}{more}", wait.what),
            rest: left(until_us.saturating_sub(scene.view.time_us)),
            at: point(seat.link, 0.86),
            words: if scene.narrow { (11.0, 4.0) } else { (0.0, 19.0) },
        })
    }
}

fn waiting(scene: &Scene, broker: &Broker, seat: &Seat<'_>) -> Option<Shape> {
    let Waiting { wait, until_us, what, rest, at: (x, y), words: (dx, dy) } = Waiting::of(scene, broker, seat)?;
    let label = format!("{what} of {} waits, {rest} left", seat.client.name);
    let class = if scene.narrow { "tiny" } else { "c tiny" };
    let mut arc = arc(scene.view.time_us, wait.since_us, until_us, x, y, 7.0);
    arc.children.push(shape("title").say(label.clone()));
    Some(
        classed("g", "wait")
            .named(&format!("wait of {}", seat.client.name))
            .set("data-wait", seat.client.name.clone())
            .set("data-do", format!("process:{}", broker.name))
            .set("role", "img")
            .set("aria-label", label)
            .with([arc, words(class, x + dx, y + dy, format!("{what} waits {rest}"))]),
    )
}

/// Where a message is between its two ends: as far as its time has passed.
fn position(scene: &Scene, message: &Message, seats: &[Seat<'_>]) -> Option<(f64, f64)> {
    let seat = |name: &str| seats.iter().find(|it| it.client.name == name);
    let link = match (seat(&message.from), seat(&message.to)) {
        (Some(from), _) => from.link,
        // Towards a client the curve is followed from its other end.
        (None, Some(to)) => [to.link[3], to.link[2], to.link[1], to.link[0]],
        (None, None) => return None,
    };
    let took = scene.view.time_us.saturating_sub(message.sent_us) as f64;
    let whole = message.arrives_us.saturating_sub(message.sent_us).max(1) as f64;
    Some(point(link, (took / whole).clamp(0.0, 1.0)))
}

fn is_chosen(scene: &Scene, message: &Message) -> bool {
    matches!(&scene.selection, Selection::Message(it) if it.id == message.id)
}

/// A message on its way.
fn envelope(scene: &Scene, message: &Message, seats: &[Seat<'_>], named: bool) -> Option<Shape> {
    let (x, y) = position(scene, message, seats)?;
    let is_close = message.what == CLOSED;
    let picture = match (is_close, message.is_answer) {
        (true, _) => "#g-off",
        (false, true) => "#msg-down",
        (false, false) => "#msg-up",
    };
    let way = if message.is_answer { "answer to " } else { "" };
    let label = format!("{way}{} from {} to {}", message.what, message.from, message.to);
    let name = if named { message.what.clone() } else { String::new() };
    Some(
        classed("g", if is_chosen(scene, message) { "msg on" } else { "msg" })
            .named(&message.id)
            .set("transform", format!("translate({} {})", tenths(x), tenths(y)))
            .set("data-what", message.what.clone())
            .set("data-do", format!("message:{}", message.id))
            .set("tabindex", "0")
            .set("role", "button")
            .set("aria-label", label)
            .with([
                // Larger than it looks: it moves, and fingers are thick.
                classed("rect", "hit").set("x", "-17").set("y", "-17").set("width", "34").set("height", "34"),
                shape("use")
                    .set("href", picture)
                    .when(is_close, "class", "close")
                    .set("x", "-9")
                    .set("y", "-6.5")
                    .set("width", "18")
                    .set("height", "13"),
                words("c", 0.0, if message.is_answer { 20.0 } else { -11.0 }, name),
            ]),
    )
}

/// What moves in the cluster, in its own units.
pub(crate) fn paint(scene: &Scene, pen: &Pen) {
    let plan = Plan { narrow: scene.narrow };
    let seats = seats(scene, plan);
    let now = scene.view.time_us;
    let mut arcs: Vec<(&str, (f64, f64))> = seats.iter().map(|it| (&*it.client.name, timer_place(it.place))).collect();
    arcs.extend(scene.broker().filter(|it| it.state.runs()).map(|it| (&*it.name, broker_timer_place(plan.broker()))));
    for (process, (x, y)) in arcs {
        if let Some((timer, since_us)) = due(scene, process) {
            pen.arc(x, y, 5.5, rest(now, since_us, timer.at_us));
            pen.voice(&pen.ink.stage_fonts[1], &pen.ink.dim, "right");
            pen.say(&left(timer.at_us - now), x - 10.0, y + 4.0, 60.0);
        }
    }
    for it in scene.broker().iter().flat_map(|broker| seats.iter().filter_map(|it| Waiting::of(scene, broker, it))) {
        pen.arc(it.at.0, it.at.1, 7.0, rest(now, it.wait.since_us, it.until_us));
        pen.voice(&pen.ink.stage_fonts[1], &pen.ink.dim, if scene.narrow { "left" } else { "center" });
        pen.say_over(&format!("{} waits {}", it.what, it.rest), it.at.0 + it.words.0, it.at.1 + it.words.1);
    }
    let messages = &scene.view.messages;
    for message in messages.iter().take(DRAWN) {
        if let Some((x, y)) = position(scene, message, &seats) {
            paint_message(scene, message, (x, y), pen);
            if messages.len() <= NAMED {
                pen.voice(&pen.ink.stage_fonts[0], &pen.ink.text, "center");
                pen.say_over(&message.what, x, y + if message.is_answer { 20.0 } else { -11.0 });
            }
        }
    }
    let more = messages.len().saturating_sub(DRAWN);
    if more > 0 {
        pen.voice(&pen.ink.stage_fonts[1], &pen.ink.dim, "right");
        pen.say(&format!("{} more on their way", grouped(more as u64)), plan.size().0, 8.0, 200.0);
    }
}

/// An envelope, as index.html's glyphs have it.
fn paint_message(scene: &Scene, message: &Message, (x, y): (f64, f64), pen: &Pen) {
    let ink = &pen.ink;
    pen.begin();
    if message.what == CLOSED {
        pen.line(&[(x - 5.0, y - 5.0), (x + 5.0, y + 5.0)]);
        pen.line(&[(x + 5.0, y - 5.0), (x - 5.0, y + 5.0)]);
        pen.edge(&ink.harm, 2.2);
    } else {
        let (inside, outside) = if message.is_answer { (&ink.glass, &ink.act) } else { (&ink.act, &ink.glass) };
        pen.rect(x - 8.2, y - 5.7, 16.4, 11.4, 2.0);
        pen.fill(inside);
        pen.edge(&ink.act, 1.6);
        pen.begin();
        pen.line(&[(x - 6.1, y - 2.8), (x, y + 1.2), (x + 6.1, y - 2.8)]);
        pen.edge(outside, 1.3);
    }
    if is_chosen(scene, message) {
        pen.begin();
        pen.rect(x - 14.0, y - 11.0, 28.0, 22.0, 4.0);
        pen.edge(&ink.act, 2.0);
    }
}

/// What a click at a place means while messages move: it is meant for the nearest, and fingers are thick.
pub(crate) fn deed_at(scene: &Scene, x: f64, y: f64) -> Option<String> {
    let seats = seats(scene, Plan { narrow: scene.narrow });
    let away = |message: &Message| {
        let at = position(scene, message, &seats)?;
        let (dx, dy) = ((at.0 - x).abs(), (at.1 - y).abs());
        (dx.max(dy) <= 17.0).then_some(dx + dy)
    };
    let messages = scene.view.messages.iter().take(DRAWN);
    let nearest = messages.filter_map(|it| Some((away(it)?, it))).min_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map(|it| format!("message:{}", it.1.id))
}
