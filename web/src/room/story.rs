//! One sentence a step, why it is so, and what a person can do about it.

use client::{murmur2, partition_of_key};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use sim::script::quote::Quoted;

use super::bar::option;
use super::keys::value_of;
use super::scene::Scene;
use super::state::Room;
use super::{glyph, grouped, lesson, live, stamp};
use crate::draw::{Shape, classed, shape, text};
use crate::view::State;
use crate::why::{Cause, End};

/// What the producers can be asked for: words, µs between the records of one of three producers.
const RATES: [(&str, u64); 4] =
    [("nothing", 0), ("30 records/s", 100_000), ("300 records/s", 10_000), ("1,000 records/s", 3_000)];
/// Names that a person may like as keys.
const NAMES: &str = "eva tom lea dan ned uma yan";

/// The left side.
pub(crate) fn story(room: Room) -> AnyView {
    let names: Vec<AnyView> = NAMES.split(' ').map(|name| option(name.to_owned(), String::new())).collect();
    let rates: Vec<AnyView> = RATES.map(|(words, _)| option(words.to_owned(), words.to_owned())).into();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        send(room);
    };
    view! {
        <section class="story" aria-label="Story">
            <div id="lesson"></div>
            <div id="told"></div>
            <form class="panel" on:submit=submit>
                <h2>"Add a record"</h2>
                <div class="fields">
                    <label>"key"<input id="key" list="names" value="eva" autocomplete="off" spellcheck="false" maxlength="40" placeholder="none"/></label>
                    <label>"value"<input id="value" value="hello" autocomplete="off" spellcheck="false" maxlength="200"/></label>
                    <label>"from"<select id="producer">{producers(room)}</select></label>
                    <button id="add" class="knob">"Send"</button>
                </div>
                <datalist id="names">{names}</datalist>
                <p class="why" id="why"></p>
            </form>
            <div class="panel" id="faults"></div>
            <div class="panel">
                <div class="faults">
                    <div class="act"><button id="drop" title="Key: l" on:click=move |_| lose_answer(room)>{glyph("#g-drop")}"Lose an answer"</button>
                        <label class="of"><span class="sr">"the next Produce to "</span><select id="victim">{producers(room)}</select></label>
                    </div>
                    <label class="act rate">{glyph("#g-rate")}"Producers send"<select id="rate" aria-label="Producers send">{rates}<option value="" hidden>{live(room, Scene::sends)}</option></select></label>
                </div>
            </div>
            <p class="plain" id="status">
                "This cluster is "<b>"simulated"</b>" in the tab: its network, disks and clocks are imagined. Its broker and clients are not: engine "
                <b id="engine">{crate::version()}</b>" is the "<b>"same core"</b>" that "<code>"vivarium server"</code>" runs for real Kafka clients."
            </p>
        </section>
    }
    .into_any()
}

/// A menu's choices: the producers there are.
fn producers(room: Room) -> AnyView {
    let choices = move || room.watch(Scene::producers).into_iter().map(|it| option(it.clone(), it)).collect::<Vec<_>>();
    choices.into_any()
}

/// Sends the record that is in the form.
fn send(room: Room) {
    let (key, value, from) = (value_of("key"), value_of("value"), value_of("producer"));
    let mut line = format!("produce {from} {}", room.with(Scene::topic));
    if !key.is_empty() {
        line.push_str(&format!(" key={}", Quoted(key.as_bytes())));
    }
    line.push_str(&format!(" value={}", Quoted(value.as_bytes())));
    room.act(&line);
}

/// Loses the next answer to the producer that is chosen.
pub(crate) fn lose_answer(room: Room) {
    room.act(&format!("drop next response of Produce to {}", value_of("victim")));
}

/// Lets every producer send so many records.
pub(crate) fn set_rate(room: Room, words: &str) {
    let Some((_, every)) = RATES.into_iter().find(|(it, _)| *it == words) else { return };
    let (producers, topic) = room.with(|it| (it.producers(), it.topic()));
    for (index, name) in producers.iter().enumerate() {
        // As in the scenario: the last producer's records have no keys.
        let keys = [5, 7, 0][index.min(2)];
        match every {
            0 => room.act(&format!("unload {name}")),
            _ => room.act(&format!("load {name} {topic} every={every}us keys={keys} size=0")),
        };
    }
}

/// Kills the chosen node, or starts it if it does not run.
pub(crate) fn kill_or_start(room: Room) {
    let Some((name, state)) = room.with(|it| it.target().map(|it| (it.0.to_owned(), it.1))) else { return };
    match state {
        State::Down | State::Dark => room.act(&format!("start {name}")),
        State::Up | State::Starting | State::Stopping | State::Paused => room.act(&format!("kill {name}")),
    };
}

/// The sentence, and the chain of causes when somebody asks for it.
pub(crate) fn told(scene: &Scene) -> Vec<Shape> {
    // A chapter says itself what it tells.
    let live = if scene.is_still() && !lesson::is_at_a_chapter(scene) { "polite" } else { "off" };
    let asked = !scene.why.is_empty();
    let ask = classed("button", "ask")
        .set("id", "ask")
        .set("title", "Why did this happen? (w)")
        .set("aria-expanded", if asked { "true" } else { "false" })
        .set("data-do", "why:")
        .say("Why?");
    let lane = scene.lanes.iter().find(|it| it.number == scene.lane).map(|it| shape("b").say(format!("{}: ", it.name)));
    let say = classed("p", "say").set("id", "say").set("aria-live", live);
    let mut shapes = vec![say.with_all(lane.into_iter().collect()).say(scene.sentence.clone()), ask];
    if asked {
        let links = scene.why.iter().map(link);
        shapes.push(classed("ol", "chain").set("id", "chain").with_all(links.collect()));
    }
    shapes
}

/// A link of the chain of causes.
pub(crate) fn link(cause: &Cause) -> Shape {
    let (class, what, about) = match cause.end {
        None => ("event", text(cause.what.clone()), String::new()),
        Some(End::Action) => ("action", shape("code").say(cause.what.clone()), "somebody did that".to_owned()),
        Some(End::Key) => ("key", shape("code").say(cause.what.clone()), "that configuration key says when".to_owned()),
        Some(End::Untold) => ("event", text(cause.what.clone()), "what led to this no event tells".to_owned()),
    };
    let step = classed("button", "line").set("data-do", format!("seek:{}", cause.event)).say(format!(
        "step {} · {}",
        grouped(cause.event),
        stamp(cause.time_us)
    ));
    classed("li", class)
        .with([what, shape("small").with([step]).say(if about.is_empty() { about } else { format!(" · {about}") })])
}

/// Where the key of the form leads.
pub(crate) fn placement(scene: &Scene) -> Vec<Shape> {
    let topic = scene.topic();
    let partitions = scene.partitions_of(&topic).len() as i32;
    let key = &scene.key;
    if partitions == 0 {
        return vec![text("There is no topic yet, so there is no partition to choose.")];
    }
    if key.is_empty() {
        return vec![
            text(format!("Without a key the producer sticks to one partition of {topic} until it has sent it ")),
            shape("code").say("batch.size"),
            text(" bytes (KIP-794)."),
        ];
    }
    let hash = murmur2(key.as_bytes());
    let (partition, positive) = partition_of_key(key.as_bytes(), partitions);
    vec![
        shape("code").say(format!("murmur2({key}) = {}", signed(hash))),
        shape("code").say(format!("toPositive → {positive}")),
        shape("code")
            .say(format!("mod {partitions} = "))
            .with([shape("b").set("id", "taken").say(partition.to_string())]),
        shape("span").say(format!("so {topic}-{partition}")),
    ]
}

/// −973932308, with a real minus.
fn signed(number: i32) -> String {
    if number < 0 { format!("−{}", number.unsigned_abs()) } else { number.to_string() }
}
