//! What is on its way between processes: as elements while time stands still, on the canvas while it passes.

use super::canvas::STAMPS as FIRST;
use super::grouped;
use super::labels::Labels;
use super::pen::{Align, Colour, Font, Pen};
use super::plan::{Plan, beside, point};
use super::scene::{Scene, Selection};
use super::stage::{Spot, says, spots, way};
use crate::draw::{Shape, classed, shape, tenths};
use crate::view::{CLOSED, Message};

/// Messages that are elements at once, and that are drawn on the canvas; beyond it they are a number.
const DRAWN: usize = 24;
const PAINTED: usize = 400;
/// With at most so many on their way each has its name beside it.
const NAMED: usize = 7;
/// Where on its way a message is seen as long as nothing is to move.
const RESTS: f64 = 0.4;
/// On a shorter way there is no room for what is held up and for what holds it up; the inspector's list has it.
const SHORT: f64 = 70.0;

/// What is worth a look: heartbeats and fetches that find nothing go on all the time.
fn telling(scene: &Scene) -> impl Iterator<Item = &Message> {
    scene.view.messages.iter().filter(|it| it.from != it.to && (!it.is_idle || is_chosen(scene, it)))
}

/// What is drawn: of those that one way holds up the first, and how many there are behind it.
fn drawn(scene: &Scene) -> Vec<(&Message, usize)> {
    let mut drawn: Vec<(&Message, usize)> = Vec::new();
    for it in telling(scene) {
        let same =
            |other: &&mut (&Message, usize)| other.0.stalled && (&other.0.from, &other.0.to) == (&it.from, &it.to);
        match drawn.iter_mut().filter(|_| it.stalled).find(same) {
            Some(first) => first.1 += 1,
            None => drawn.push((it, 0)),
        }
    }
    drawn
}

/// What stands beside a message.
fn name_of((message, behind): (&Message, usize)) -> String {
    if behind > 0 { format!("{} +{behind}", message.what) } else { message.what.to_owned() }
}

/// The messages as elements.
pub(crate) fn draw(scene: &Scene, plan: Plan, spots: &[Spot<'_>], labels: &mut Labels) -> Vec<Shape> {
    let drawn = drawn(scene);
    let count = drawn.len();
    let mut shapes = Vec::new();
    for it in drawn.into_iter().take(DRAWN) {
        let Some(at) = position(scene, it.0, plan, spots) else { continue };
        let name = name_of(it);
        let place = if count <= NAMED { name_place(it.0, &name, at, labels) } else { None };
        shapes.push(envelope(scene, it.0, at, place.map(|at| (name, at))));
    }
    let more = count.saturating_sub(DRAWN);
    if more > 0 {
        shapes.push(says("dim r tiny", plan.size().0, 8.0, format!("{} more on their way", grouped(more as u64))));
    }
    shapes
}

/// Where a message is between its two ends: as far as its time has passed.
fn position(scene: &Scene, message: &Message, plan: Plan, spots: &[Spot<'_>]) -> Option<(f64, f64)> {
    let link = way(plan, spots, &message.from, &message.to)?;
    let is_node = |name: &str| spots.iter().any(|it| it.is_node() && it.name() == name);
    let link = if is_node(&message.from) && is_node(&message.to) { beside(link) } else { link };
    let took = scene.view.time_us.saturating_sub(message.sent_us) as f64;
    let whole = message.arrives_us.saturating_sub(message.sent_us).max(1) as f64;
    // Who prefers that nothing moves sees it at one place until it has arrived.
    let share = if scene.flies() && scene.is_motionless { RESTS } else { (took / whole).clamp(0.0, 1.0) };
    if !message.stalled {
        return Some(point(link, share));
    }
    let far = (link[3].0 - link[0].0).abs().max((link[3].1 - link[0].1).abs());
    // What a cut holds up is seen before it.
    (far >= SHORT || is_chosen(scene, message)).then(|| point(link, share.min(0.3)))
}

fn is_chosen(scene: &Scene, message: &Message) -> bool {
    matches!(&scene.selection, Selection::Message(it) if it.id == message.id)
}

/// Where a message's name has room.
fn name_place(message: &Message, name: &str, at: (f64, f64), labels: &mut Labels) -> Option<(f64, f64)> {
    let ways = if message.is_answer { [20.0, -11.0] } else { [-11.0, 20.0] };
    labels.place(name, at, ways)
}

/// A message on its way, and its name if that has a place.
fn envelope(scene: &Scene, message: &Message, (x, y): (f64, f64), named: Option<(String, (f64, f64))>) -> Shape {
    let is_close = message.what == CLOSED;
    let picture = match (is_close, message.is_answer) {
        (true, _) => "#g-off",
        (false, true) => "#msg-down",
        (false, false) => "#msg-up",
    };
    let way = if message.is_answer { "answer to " } else { "" };
    let label = format!("{way}{} from {} to {}", message.what, message.from, message.to);
    let (name, (name_x, name_y)) = named.unwrap_or_default();
    classed("g", if is_chosen(scene, message) { "msg on" } else { "msg" })
        .named(&message.id)
        .set("transform", format!("translate({} {})", tenths(x), tenths(y)))
        .set("data-what", message.what)
        .set("data-do", format!("message:{}", message.id))
        .set("tabindex", "0")
        .set("role", "button")
        .set("aria-label", label)
        .with([
            // Larger than it looks: it moves, and fingers are thick.
            classed("rect", "hit").set("x", "-23").set("y", "-23").set("width", "46").set("height", "46"),
            shape("use")
                .set("href", picture)
                .when(is_close, "class", "close")
                .set("x", "-9")
                .set("y", "-6.5")
                .set("width", "18")
                .set("height", "13"),
            says("c", name_x - x, name_y - y, name),
        ])
}

/// The same on the canvas.
pub(crate) fn paint(scene: &Scene, plan: Plan, spots: &[Spot<'_>], pen: &mut Pen) {
    let drawn = drawn(scene);
    let count = drawn.len();
    let mut labels = Labels::beside(spots);
    for (message, behind) in drawn.into_iter().take(PAINTED) {
        if let Some((x, y)) = position(scene, message, plan, spots) {
            paint_message(scene, message, (x, y), pen);
            let name = name_of((message, behind));
            if count <= NAMED
                && let Some((x, y)) = name_place(message, &name, (x, y), &mut labels)
            {
                pen.voice(Font::Stage, Colour::Text, Align::Center);
                pen.say_over(&name, x, y);
            }
        }
    }
    let more = count.saturating_sub(PAINTED);
    if more > 0 {
        pen.voice(Font::Tiny, Colour::Dim, Align::Right);
        pen.say(&format!("{} more on their way", grouped(more as u64)), plan.size().0, 8.0, 200.0);
    }
}

/// A request, an answer, and the end of a connection, as index.html's glyphs have them.
pub(crate) const STAMPS: [fn(&mut Pen); 3] = [|pen| stamp(pen, false), |pen| stamp(pen, true), stamp_end];
/// Width and height of each.
pub(crate) const STAMP: (f64, f64) = (20.0, 16.0);

fn stamp(pen: &mut Pen, is_answer: bool) {
    let (inside, outside) = if is_answer { (Colour::Glass, Colour::Act) } else { (Colour::Act, Colour::Glass) };
    pen.begin();
    pen.rect(-8.2, -5.7, 16.4, 11.4, 2.0);
    pen.fill(inside);
    pen.edge(Colour::Act, 1.6);
    pen.begin();
    pen.line(&[(-6.1, -2.8), (0.0, 1.2), (6.1, -2.8)]);
    pen.edge(outside, 1.3);
}

fn stamp_end(pen: &mut Pen) {
    pen.begin();
    pen.line(&[(-5.0, -5.0), (5.0, 5.0)]);
    pen.line(&[(5.0, -5.0), (-5.0, 5.0)]);
    pen.edge(Colour::Harm, 2.2);
}

fn paint_message(scene: &Scene, message: &Message, (x, y): (f64, f64), pen: &mut Pen) {
    let stamp = if message.what == CLOSED { 2 } else { usize::from(message.is_answer) };
    pen.put(FIRST + stamp, x, y, STAMP);
    if is_chosen(scene, message) {
        pen.begin();
        pen.rect(x - 14.0, y - 11.0, 28.0, 22.0, 4.0);
        pen.edge(Colour::Act, 2.0);
    }
}

/// What a click at a place means while messages move: it is meant for the nearest, and fingers are thick.
pub(crate) fn deed_at(scene: &Scene, plan: Plan, x: f64, y: f64) -> Option<String> {
    let spots = spots(scene, plan);
    let mut nearest: Option<(f64, &Message)> = None;
    for (message, _) in drawn(scene).into_iter().take(PAINTED) {
        let Some(at) = position(scene, message, plan, &spots) else { continue };
        let (dx, dy) = ((at.0 - x).abs(), (at.1 - y).abs());
        if dx.max(dy) <= 23.0 && nearest.is_none_or(|it| dx + dy < it.0) {
            nearest = Some((dx + dy, message));
        }
    }
    nearest.map(|it| format!("message:{}", it.1.id))
}
