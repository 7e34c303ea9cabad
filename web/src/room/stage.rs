//! The cluster as a drawing: clients left and right (on a phone above and below), brokers between, each with what it has of the
//! partitions, requests that wait, and timers that run. What is on its way is flight.rs.

use super::flight;
use super::labels::Labels;
use super::pen::{Align, Colour, Font, Pen};
use super::plan::{Link, Place, Plan, Seat, point, svg_curve};
use super::scene::{Scene, Selection};
use super::{grouped, left};
use crate::draw::{Shape, classed, glyph, shape, tenths, text};
use crate::view::{Broker, Client, Partition, Replica, Role, Standing, State, Timer, Wait};

/// Partitions that have a slot in a broker.
const SLOTS: usize = 3;
/// With at most so many requests waiting, or ways cut, each has its words beside it.
const TOLD: usize = 3;
/// How large the sign of a cut is.
const SIGN: f64 = 14.0;
/// What the glyphs mean.
const LEGEND: [(&str, &str); 10] = [
    ("#g-lead", "leader"),
    ("#g-sync", "in sync"),
    ("#g-behind", "out of sync"),
    ("#g-elr", "eligible"),
    ("#g-fence", "fenced"),
    ("#g-off", "offline"),
    ("#g-hex", "active controller"),
    ("#g-ring", "time that is left"),
    ("#msg-up", "request"),
    ("#msg-down", "answer"),
];

/// The cluster.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let plan = plan(scene);
    let (width, height) = plan.size();
    let spots = spots(scene, plan);
    let key = |(picture, word): (&'static str, &'static str)| shape("span").with([glyph(picture), text(word)]);
    let lane = scene.lanes.iter().find(|it| it.number == scene.lane);
    let lane = lane.map(|it| shape("small").say(format!(" of {}", it.name)));
    let title = shape("h2").say("Cluster").with_all(lane.into_iter().collect());
    let head = classed("div", "head").with([title, classed("div", "legend keys").with(LEGEND.map(key))]);
    let mut labels = Labels::beside(&spots);
    let mut drawn = links(scene, plan, &spots, &mut labels);
    for spot in &spots {
        drawn.push(match &spot.who {
            Who::Client(client) => client_card(scene, client, spot.place),
            Who::Node(node) if spot.seat == Seat::Controller => hexagon(scene, node, spot.place),
            Who::Node(node) => broker_card(scene, node, spot.place),
        });
    }
    if !scene.flies() {
        drawn.extend(waits(scene, plan, &spots, &mut labels).iter().map(|it| waiting(scene, it)));
        drawn.extend(flight::draw(scene, plan, &spots, &mut labels));
    }
    let stage = classed("svg", "stage")
        .set("id", "stage")
        .set("viewBox", format!("0 0 {} {}", tenths(width), tenths(height)))
        .set("style", format!("--wide:{};--high:{}", tenths(width), tenths(height)))
        .set("role", "group")
        .set("aria-label", "Cluster")
        .with_all(drawn);
    vec![head, stage]
}

/// How the cluster lies.
pub(crate) fn plan(scene: &Scene) -> Plan {
    let brokers = scene.view.brokers.iter().filter(|it| it.is_broker).count();
    let shown = scene.view.partitions.iter().filter(|it| !is_internal(it)).count();
    let consumers = scene.view.clients.iter().filter(|it| it.role == Role::Consumer).count();
    Plan {
        narrow: scene.narrow,
        brokers,
        controllers: scene.view.brokers.len() - brokers,
        slots: shown.clamp(1, SLOTS),
        clients: (scene.view.clients.len() - consumers, consumers),
    }
}

/// True for a partition of Kafka's own.
pub(crate) fn is_internal(partition: &Partition) -> bool {
    partition.topic.starts_with("__")
}

/// A process.
pub(crate) enum Who<'a> {
    Client(&'a Client),
    Node(&'a Broker),
}

/// A process and where it is.
pub(crate) struct Spot<'a> {
    pub(crate) who: Who<'a>,
    pub(crate) place: Place,
    pub(crate) seat: Seat,
}

impl Spot<'_> {
    pub(crate) fn name(&self) -> &str {
        match self.who {
            Who::Client(it) => &it.name,
            Who::Node(it) => &it.name,
        }
    }

    pub(crate) fn is_node(&self) -> bool {
        matches!(self.who, Who::Node(_))
    }
}

/// Everybody in their places.
pub(crate) fn spots(scene: &Scene, plan: Plan) -> Vec<Spot<'_>> {
    let mut spots = Vec::new();
    let (mut brokers, mut controllers) = (0, 0);
    for node in &scene.view.brokers {
        let (place, seat) = if node.is_broker {
            brokers += 1;
            plan.broker(brokers - 1)
        } else {
            controllers += 1;
            (plan.controller(controllers - 1), Seat::Controller)
        };
        spots.push(Spot { who: Who::Node(node), place, seat });
    }
    let seat = |it: &Client| if it.role == Role::Consumer { Seat::Right } else { Seat::Left };
    for side in [Seat::Left, Seat::Right] {
        let of_side: Vec<&Client> = scene.view.clients.iter().filter(|it| seat(it) == side).collect();
        for (index, client) in of_side.iter().enumerate() {
            let place = plan.client(side, index, of_side.len());
            spots.push(Spot { who: Who::Client(client), place, seat: side });
        }
    }
    spots
}

/// The way between two processes.
pub(crate) fn way(plan: Plan, spots: &[Spot<'_>], from: &str, to: &str) -> Option<Link> {
    let find = |name: &str| spots.iter().find(|it| it.name() == name).map(|it| (it.place, it.seat));
    if from == to { None } else { Some(plan.link(find(from)?, find(to)?)) }
}

/// Who is connected with whom, and what is wrong with the way between two.
fn links(scene: &Scene, plan: Plan, spots: &[Spot<'_>], labels: &mut Labels) -> Vec<Shape> {
    let view = &scene.view;
    let mut shapes = Vec::new();
    let is_client = |name: &str| spots.iter().any(|it| it.name() == name && !it.is_node());
    for (a, b) in &view.links {
        if let Some(link) = way(plan, spots, a, b) {
            let class = if is_client(a) || is_client(b) { "link" } else { "link inner" };
            shapes.push(classed("path", class).named(&format!("{a} {b}")).set("d", svg_curve(link)));
        }
    }
    let is_cut = |from: &str, to: &str| view.cuts.iter().any(|it| it.0 == from && it.1 == to);
    let once = view.cuts.iter().filter(|it| !(is_cut(&it.1, &it.0) && it.0 > it.1));
    let mut signs = Vec::new();
    for (from, to) in once {
        if let Some(link) = way(plan, spots, from, to) {
            let both = is_cut(to, from);
            // One way it is cut just before who hears nothing.
            signs.push((from, to, link, both, labels.on_way(link, if both { 0.5 } else { 0.72 }, SIGN)));
        }
    }
    // Many say by their number what is wrong; their words would be in each other's way.
    let told = signs.len() <= TOLD;
    for (from, to, link, both, (x, y)) in signs {
        let words = if both { "cut".to_owned() } else { format!("cut to {to}") };
        let label = if both { format!("cut between {from} and {to}") } else { format!("cut from {from} to {to}") };
        let sign = classed("g", "cut").named(&format!("cut {from} {to}")).set("role", "img").set("aria-label", label);
        let place = if told { labels.place(&words, (x, y), [19.0, -11.0]) } else { None };
        let mut sign = sign.with([
            classed("path", "band").set("d", svg_curve(link)),
            shape("use").set("href", "#g-off").at("x", x - 7.0).at("y", y - 7.0).set("width", "14").set("height", "14"),
        ]);
        // Where there is no room for the words, the sign and its colour say it.
        sign.children.extend(place.map(|(x, y)| says("c tiny", x, y, words)));
        shapes.push(sign);
    }
    for (a, b, us) in &view.delays {
        if let Some(link) = way(plan, spots, a, b) {
            let at = point(link, 0.5);
            let words = format!("+{}", left(*us));
            let (x, y) = labels.place(&words, at, [-5.0, 14.0]).unwrap_or(at);
            let slow = classed("g", "slow").named(&format!("slow {a} {b}"));
            shapes.push(slow.with([says("c tiny", x, y, words)]));
        }
    }
    shapes
}

/// A card that can be selected.
fn card(scene: &Scene, name: &str, class: &str, ghost: bool, label: String) -> Shape {
    pressed(frame(scene, name, class, ghost), label)
}

/// What can be reached by Tab, and does what it or what it is in says.
fn pressed(shape: Shape, label: String) -> Shape {
    shape.set("tabindex", "0").set("role", "button").set("aria-label", label)
}

/// A card of somebody, to whom a click on it leads.
fn frame(scene: &Scene, name: &str, class: &str, ghost: bool) -> Shape {
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
}

fn rect(place: Place, radius: &'static str) -> Shape {
    shape("rect").at("x", place.x).at("y", place.y).at("width", place.w).at("height", place.h).set("rx", radius)
}

pub(crate) fn says(class: &'static str, x: f64, y: f64, words: String) -> Shape {
    classed("text", class).at("x", x).at("y", y).say(words)
}

fn picture(name: &'static str, x: f64, y: f64) -> Shape {
    shape("use").set("href", name).at("x", x).at("y", y).set("width", "12").set("height", "12")
}

fn client_card(scene: &Scene, client: &Client, place: Place) -> Shape {
    let Place { x, y, .. } = place;
    let title = format!("{} {}", client.role.word(), client.name);
    let first = match client.role {
        Role::Consumer => format!("{} read", grouped(client.consumed)),
        Role::Producer => format!("{} ok · {} failed", grouped(client.ok), grouped(client.failed)),
        Role::Wire => format!("{} answered", grouped(client.answers as u64)),
    };
    let second = last_line(client);
    let label = format!("{title}, {first}, {second}");
    let mut lines = vec![first, second];
    if is_close(place) {
        lines = vec![match client.role {
            _ if !client.state.runs() => lines.swap_remove(1),
            // Where both have no room what it has yet to read says more.
            Role::Consumer if lines[0].len() + lines[1].len() > LONG => lines.swap_remove(1),
            Role::Consumer => lines.join(" · "),
            Role::Producer | Role::Wire => lines.swap_remove(0),
        }];
    }
    let mut shapes = vec![rect(place, "9"), says("b", x + 11.0, y + if is_close(place) { 18.0 } else { 20.0 }, title)];
    for (index, line) in lines.into_iter().enumerate() {
        let class = if client.role == Role::Wire && index == 1 { "dim tiny" } else { "dim" };
        shapes.push(says(class, x + 11.0, y + [36.0, 51.0][index], line));
    }
    let card = card(scene, &client.name, "card", !client.state.runs(), label).with_all(shapes);
    card.with_all(next_timer(scene, &client.name, timer_place(place), has_timer_words(client, place)))
}

/// How a client stands, in the last line of its card.
fn last_line(client: &Client) -> String {
    match client.role {
        _ if !client.state.runs() => client.state.word().to_owned(),
        Role::Consumer if client.positions.is_empty() => "reads nothing".to_owned(),
        Role::Consumer => match client.positions.iter().map(|it| it.lag).sum::<Option<i64>>() {
            Some(lag) => format!("{} behind", grouped(lag.cast_unsigned())),
            None => "no position".to_owned(),
        },
        Role::Wire => client.last_answer.as_ref().map_or(String::new(), |it| it.replace('_', " ").to_ascii_lowercase()),
        Role::Producer if client.unknown > 0 => format!("{} unknown", grouped(client.unknown)),
        Role::Producer => format!("{} pending", grouped(client.pending)),
    }
}

/// True if there is room for what is left of a timer, beside the last line of a client's card.
fn has_timer_words(client: &Client, card: Place) -> bool {
    !is_close(card) && last_line(client).chars().count() < BESIDE
}

/// Letters of both lines of a client's card that are too long for one; and those of the last that leave no room beside it.
const LONG: usize = 17;
const BESIDE: usize = 11;

/// True for a client's card that has room for two lines only.
fn is_close(card: Place) -> bool {
    card.h < 50.0
}

/// Where in a client's card its timer is.
fn timer_place(card: Place) -> (f64, f64) {
    (card.x + card.w - 15.0, card.y + if is_close(card) { 14.0 } else { 47.0 })
}

/// Where in the broker's card its timer is.
fn broker_timer_place(card: Place) -> (f64, f64) {
    (card.x + card.w - 16.0, card.y + 20.0)
}

/// A process's next deadline that has a name and a beginning, and that.
fn due<'a>(scene: &'a Scene, process: &str) -> Option<(&'a Timer, u64)> {
    let of = |it: &&Timer| it.process == process && it.since_us.is_some() && it.at_us >= scene.view.time_us;
    scene.view.timers.iter().find(of).and_then(|it| Some((it, it.since_us?)))
}

/// A process's next deadline as an arc that runs out, with what is left of it where there is room.
fn next_timer(scene: &Scene, process: &str, (x, y): (f64, f64), with_words: bool) -> Vec<Shape> {
    let Some((timer, since)) = due(scene, process).filter(|_| !scene.flies()) else { return Vec::new() };
    let told = format!("{}: {} left", timer.what, left(timer.at_us - scene.view.time_us));
    let mut arc = arc(scene.view.time_us, since, timer.at_us, x, y, 5.5);
    arc.children.push(shape("title").say(told));
    let mut shapes = vec![arc.set("data-timer", timer.what.clone())];
    if with_words {
        shapes.push(says("dim r tiny", x - 10.0, y + 4.0, left(timer.at_us - scene.view.time_us)));
    }
    shapes
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

/// How a broker is, in words.
pub(crate) fn condition(broker: &Broker) -> String {
    let mut words = broker.state.word().to_owned();
    if broker.fenced && broker.state.runs() {
        words = format!("fenced, {words}");
    }
    if broker.slow_us > 0 {
        words.push_str(", slow disk");
    }
    words
}

/// True if a broker's condition, or how many partitions it has besides, fills its card's first line.
fn has_many_words(scene: &Scene, broker: &Broker) -> bool {
    let has = |it: &&Partition| !is_internal(it) && it.replicas.iter().any(|it| it.broker == broker.name);
    condition(broker).len() > 12 || scene.view.partitions.iter().filter(has).count() > SLOTS
}

fn mark(broker: &Broker) -> &'static str {
    match broker.state {
        State::Up if broker.fenced => "#g-fence",
        State::Up => "#g-ok",
        State::Starting | State::Stopping => "#g-wait",
        State::Paused => "#i-pause",
        State::Down => "#g-off",
        State::Dark => "#g-power",
    }
}

/// A node that is only a controller.
fn hexagon(scene: &Scene, node: &Broker, place: Place) -> Shape {
    let Place { x, y, w, h } = place;
    let runs = node.state.runs();
    let active = node.quorum_epoch.is_some();
    let label = format!("controller {}, {}{}", node.name, condition(node), if active { ", active" } else { "" });
    let edge = [(0.25, 0.0), (0.75, 0.0), (1.0, 0.5), (0.75, 1.0), (0.25, 1.0), (0.0, 0.5)];
    let points: Vec<String> =
        edge.iter().map(|(dx, dy)| format!("{},{}", tenths(x + w * dx), tenths(y + h * dy))).collect();
    let under = match node.quorum_epoch {
        Some(epoch) => format!("quorum epoch {epoch}"),
        None if runs && node.state == State::Up => String::new(),
        // Longer words would be on its neighbour's.
        None if node.state == State::Down => "offline".to_owned(),
        None => node.state.word().to_owned(),
    };
    let mut shape = card(scene, &node.name, "card hexagon", !runs, label).with([
        crate::draw::shape("polygon").set("points", points.join(" ")),
        says("b c", x + w / 2.0, y + h / 2.0 + 4.0, node.name.clone()),
        says("c tiny", x + w / 2.0, y + h + 10.0, under),
    ]);
    if active {
        shape.children.push(picture("#g-lead", x + w / 2.0 - 6.0, y - 7.0));
    }
    shape
}

fn broker_card(scene: &Scene, broker: &Broker, place: Place) -> Shape {
    let Place { x, y, w, h } = place;
    let runs = broker.state.runs();
    let chosen = scene.chosen_partition();
    let here = chosen.and_then(|it| it.replicas.iter().find(|it| it.broker == broker.name));
    let mut label = format!("broker {}, {}", broker.name, condition(broker));
    let mut chips = Vec::new();
    if let (Some(partition), Some(replica)) = (chosen, here) {
        let leads = replica.standing == Standing::Leader;
        if leads {
            let told = format!("leads {} in epoch {}", partition.name, partition.leader_epoch);
            label.push_str(&format!(", {told}"));
            let words = format!("leader · epoch {}", partition.leader_epoch);
            let class = format!("chip e{}", partition.leader_epoch.rem_euclid(4));
            chips.push(chip(class, Some("#g-lead"), words, x + 10.0, y, w < 150.0).with([title(told)]));
        } else if let Some(epoch) = replica.believes {
            let told = format!("believes that it leads {} in epoch {epoch}", partition.name);
            label.push_str(&format!(", {told}"));
            let class = format!("chip was e{}", epoch.rem_euclid(4));
            let words = format!("believes: leader, epoch {epoch}");
            chips.push(chip(class, Some("#g-lead"), words, x + 10.0, y, w < 150.0).with([title(told)]));
        } else if let Some(epoch) = replica
            .led
            .filter(|_| !matches!(replica.standing, Standing::Opening | Standing::InSync | Standing::Eligible))
        {
            let told = format!("led {} in epoch {epoch}, and wrote there last then", partition.name);
            label.push_str(&format!(", {told}"));
            let class = format!("chip was e{}", epoch.rem_euclid(4));
            chips.push(chip(class, None, format!("led epoch {epoch}"), x + 10.0, y, false).with([title(told)]));
        }
    }
    if let Some(epoch) = broker.quorum_epoch {
        let told = format!("active controller: leads the metadata quorum in epoch {epoch}");
        label.push_str(&format!(", {told}"));
        let words = format!("controller · q{epoch}");
        let wide = 24.0 + words.chars().count() as f64 * 5.7;
        let control = chip("chip control".to_owned(), Some("#g-hex"), words, x + w - wide - 8.0, y + h, false);
        chips.push(control.with([title(told)]));
    }
    // The ring says it to who points at it; this to who comes by keys.
    if let Some((timer, _)) = due(scene, &broker.name).filter(|_| runs) {
        label.push_str(&format!(", {}: {} left", timer.what, left(timer.at_us.saturating_sub(scene.view.time_us))));
    }
    let slots = slots(scene, broker, Place { x: x + 6.0, y: y + 32.0, w: w - 12.0, h: 20.0 });
    let said = if w < 150.0 && broker.state == State::Up && !broker.fenced && broker.slow_us == 0 {
        String::new()
    } else {
        condition(broker)
    };
    // Beside many words there is no room for the timer's.
    let is_long = has_many_words(scene, broker);
    let state = says("dim", x + 55.0, y + 24.0, said).set("data-state", broker.name.clone());
    let timer = if runs && w > 150.0 && !is_long {
        next_timer(scene, &broker.name, broker_timer_place(place), true)
    } else {
        Vec::new()
    };
    // What is in a button is no button: the copies are beside it.
    let face = classed("g", "face").with([
        says("big", x + 12.0, y + 25.0, broker.name.clone()),
        picture(mark(broker), x + 38.0, y + 14.0).when(!runs, "class", "harm"),
        if broker.name == "b1" { state.set("id", "broker-state") } else { state },
    ]);
    frame(scene, &broker.name, "card broker", !runs)
        .with([rect(place, "10"), pressed(face.with_all(timer), label)])
        .with_all(slots)
        .with_all(chips)
}

/// What something means, for who points at it.
fn title(words: String) -> Shape {
    shape("title").say(words)
}

/// A badge on the edge of a card.
fn chip(class: String, picture: Option<&'static str>, words: String, x: f64, y: f64, short: bool) -> Shape {
    let words = if short { words.replace("epoch ", "") } else { words };
    let inset = if picture.is_some() { 20.0 } else { 9.0 };
    let wide = inset + 4.0 + words.chars().count() as f64 * 5.7;
    let mut shape = classed("g", class)
        .with([rect(Place { x, y: y - 9.0, w: wide, h: 18.0 }, "9"), says("b", x + inset, y + 4.0, words)]);
    if let Some(name) = picture {
        shape.children.push(self::picture(name, x + 6.0, y - 6.0));
    }
    shape
}

/// What a broker has of the partitions: the chosen one for certain.
fn slots(scene: &Scene, broker: &Broker, first: Place) -> Vec<Shape> {
    let of = |it: &Partition| it.replicas.iter().position(|it| it.broker == broker.name);
    let mut here: Vec<(&Partition, &Replica)> = Vec::new();
    for partition in scene.view.partitions.iter().filter(|it| !is_internal(it)) {
        if let Some(index) = of(partition) {
            here.push((partition, &partition.replicas[index]));
        }
    }
    let more = here.len().saturating_sub(SLOTS);
    if let Some(chosen) = here.iter().position(|it| it.0.name == scene.chosen)
        && chosen >= SLOTS
    {
        here.swap(SLOTS - 1, chosen);
    }
    here.truncate(SLOTS);
    let mut shapes = Vec::new();
    for (index, (partition, replica)) in here.into_iter().enumerate() {
        let place = Place { y: first.y + 21.0 * index as f64, ..first };
        shapes.push(slot(scene, partition, replica, place));
    }
    if more > 0 {
        let words = format!("and {more} more");
        shapes.push(says("dim r tiny", first.x + first.w, first.y - 9.0, words));
    }
    shapes
}

/// A partition in its broker: how its copy stands, how much it holds, and who led it when that was written.
fn slot(scene: &Scene, partition: &Partition, replica: &Replica, place: Place) -> Shape {
    let Place { x, y, w, .. } = place;
    let end = match replica.standing {
        Standing::Lost => "disk lost".to_owned(),
        _ => grouped(replica.log_end.max(0).cast_unsigned()),
    };
    let is_on = partition.name == scene.chosen && scene.view.partitions.len() > 1;
    let mut shapes = vec![
        classed("rect", "slot").at("x", x).at("y", y).at("width", w).set("height", "19").set("rx", "4"),
        picture(replica.standing.glyph(), x + 5.0, y + 3.5),
        says(if is_on { "b" } else { "" }, x + 21.0, y + 13.5, partition.name.clone()),
    ];
    // Of the newest records, as many as there is place for.
    let from = 27.0 + partition.name.len() as f64 * 6.1;
    let room = ((w - from - 14.0 - end.chars().count() as f64 * 6.6) / 6.0).max(0.0) as usize;
    let newest = &replica.records[replica.records.len().saturating_sub(room)..];
    let mut at = 0;
    for run in newest.chunk_by(|a, b| a.leader_epoch == b.leader_epoch) {
        let mut path = String::new();
        for index in at..at + run.len() {
            path.push_str(&format!("M{} {}h5v10h-5z", tenths(x + from + index as f64 * 6.0), tenths(y + 4.5)));
        }
        at += run.len();
        shapes.push(classed("path", format!("mini e{}", run[0].leader_epoch.rem_euclid(4))).set("d", path));
    }
    shapes.push(says("m r", x + w - 7.0, y + 13.5, end.clone()));
    let label = format!("{} on {}: {}, log end {end}", partition.name, replica.broker, replica.standing.word());
    classed("g", if is_on { "part on" } else { "part" })
        .named(&partition.name)
        .set("data-do", format!("slot:{}/{}", replica.broker, partition.name))
        .set("tabindex", "0")
        .set("role", "button")
        .set("aria-label", label)
        .with_all(shapes)
}

/// A client's request that waits at a broker for something that may not come, such as a fetch for records.
struct Waiting<'a> {
    client: &'a str,
    broker: &'a str,
    wait: &'a Wait,
    until_us: u64,
    /// The API, and how many wait if it is more than one.
    what: String,
    /// How long it is until the latest answer.
    rest: String,
    /// On the link, just before it meets the broker.
    at: (f64, f64),
    /// Where the middle of its words is, if there is room for them.
    words: Option<(f64, f64)>,
}

/// All that wait.
fn waits<'a>(scene: &'a Scene, plan: Plan, spots: &'a [Spot<'a>], labels: &mut Labels) -> Vec<Waiting<'a>> {
    let mut waits: Vec<Waiting<'a>> = Vec::new();
    for spot in spots {
        let Who::Node(broker) = spot.who else { continue };
        for client in spots.iter().filter(|it| !it.is_node()) {
            let of = |it: &&Wait| it.client == client.name() && it.deadline_us.is_some();
            let Some(wait) = broker.waits.iter().find(of) else { continue };
            let Some(link) = way(plan, spots, client.name(), &broker.name) else { continue };
            let until_us = wait.deadline_us.unwrap_or_default();
            let count = broker.waits.iter().filter(of).count();
            waits.push(Waiting {
                client: client.name(),
                broker: &broker.name,
                wait,
                until_us,
                what: match count {
                    1 => format!("{} waits", wait.what),
                    _ => format!("{count} {} requests wait", wait.what),
                },
                rest: left(until_us.saturating_sub(scene.view.time_us)),
                // Beneath a phone's broker there is what says that it is a controller.
                at: point(link, if scene.narrow { 0.6 } else { 0.86 }),
                words: None,
            });
        }
    }
    for it in &waits {
        labels.take(it.at, (14.0, 14.0));
    }
    if waits.len() <= TOLD {
        for it in &mut waits {
            it.words = labels.place(&format!("{} {}", it.what, it.rest), it.at, [19.0, -11.0]);
        }
    }
    waits
}

fn waiting(scene: &Scene, it: &Waiting<'_>) -> Shape {
    let Waiting { client, broker, wait, until_us, what, rest, at: (x, y), words } = it;
    let label = format!("{client}: {what}, {rest} left");
    let mut arc = arc(scene.view.time_us, wait.since_us, *until_us, *x, *y, it.radius());
    arc.children.push(shape("title").say(label.clone()));
    let said = words.map(|(x, y)| says("c tiny", x, y, format!("{what} {rest}")));
    classed("g", "wait")
        .named(&format!("wait of {client} at {broker}"))
        .set("data-wait", (*client).to_owned())
        .set("data-do", format!("process:{broker}"))
        .set("role", "img")
        .set("aria-label", label)
        .with_all([arc].into_iter().chain(said).collect())
}

impl Waiting<'_> {
    /// Smaller where there are so many that none has words.
    fn radius(&self) -> f64 {
        if self.words.is_some() { 7.0 } else { 5.0 }
    }
}

/// What moves in the cluster, in its own units.
pub(crate) fn paint(scene: &Scene, pen: &mut Pen) {
    let plan = plan(scene);
    let spots = spots(scene, plan);
    // Arcs run out all the time.
    if !scene.is_motionless {
        paint_arcs(scene, plan, &spots, pen);
    }
    flight::paint(scene, plan, &spots, pen);
}

/// What is left of the timers in sight and of what waits.
fn paint_arcs(scene: &Scene, plan: Plan, spots: &[Spot<'_>], pen: &mut Pen) {
    let now = scene.view.time_us;
    for spot in spots {
        let at = match &spot.who {
            Who::Client(_) => timer_place(spot.place),
            Who::Node(it) if it.is_broker && it.state.runs() && spot.place.w > 150.0 && !has_many_words(scene, it) => {
                broker_timer_place(spot.place)
            }
            Who::Node(_) => continue,
        };
        if let Some((timer, since_us)) = due(scene, spot.name()) {
            pen.arc(at.0, at.1, 5.5, rest(now, since_us, timer.at_us));
            let has_words = match &spot.who {
                Who::Client(it) => has_timer_words(it, spot.place),
                Who::Node(_) => true,
            };
            if has_words {
                pen.voice(Font::Tiny, Colour::Dim, Align::Right);
                pen.say(&left(timer.at_us - now), at.0 - 10.0, at.1 + 4.0, 60.0);
            }
        }
    }
    for it in &waits(scene, plan, spots, &mut Labels::beside(spots)) {
        pen.arc(it.at.0, it.at.1, it.radius(), rest(now, it.wait.since_us, it.until_us));
        if let Some((x, y)) = it.words {
            pen.voice(Font::Tiny, Colour::Dim, Align::Center);
            pen.say_over(&format!("{} {}", it.what, it.rest), x, y);
        }
    }
}
