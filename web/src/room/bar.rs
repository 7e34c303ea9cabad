//! What, when, how fast: the bar at the top, and the list of keys.

use leptos::prelude::*;

use super::scene::Scene;
use super::state::Room;
use super::{clock, glyph, grouped, live};
use super::{keys, rooms};
use crate::draw::{Shape, classed, shape, text};

/// What the menu offers to wait for: the line, words.
const UNTIL: [(&str, &str); 11] = [
    ("run until next append within 30s", "a record is written"),
    ("run until next ack within 30s", "a producer is told"),
    ("run until next records within 30s", "a consumer gets records"),
    ("run until next retry within 30s", "a batch is sent again"),
    ("run until next election within 30s", "an election"),
    ("run until next isr-change within 30s", "an ISR changes"),
    ("run until next rebalance within 30s", "a group rebalances"),
    ("run until next finding within 30s", "a check breaks"),
    ("run 100ms", "100 ms are over"),
    ("run 1s", "1 s is over"),
    ("run 10s", "10 s are over"),
];

/// The keys: key, what it does.
const KEYS: [(&str, &str); 18] = [
    ("Space", "play or pause"),
    ("→", "one step"),
    ("←", "one step back"),
    ("Home", "to the beginning"),
    ("End", "to the furthest step"),
    ("+ −", "faster, slower"),
    ("w", "why did this happen?"),
    ("n p", "on and back in a story"),
    ("1 – 4", "bet on an answer"),
    ("a", "add a record"),
    ("k", "kill or start the chosen node"),
    ("l", "lose an answer"),
    ("d", "drop the chosen message"),
    ("/", "type an action"),
    ("s", "share, or export"),
    ("t", "space-time: every message, time downward"),
    ("Esc", "leave a field, select nothing"),
    ("?", "this list"),
];

/// Words that stand in pictures and tables.
const WORDS: &str = "ISR: in-sync replicas, those that keep up with the leader
ELR: eligible leader replicas, no longer in sync, but with all that is committed
HW: high watermark, up to which consumers may read
epoch: number of a leader’s reign, first e0; a newer one outranks it
controller: decides who leads; several (k1, k2 …) form a quorum: what most of them have written counts; q1: its leader’s first epoch
fenced: counted out by the controller
coordinator: broker that keeps a group
generation: number of a group’s sharing out; range: a way to share out
KIP-848: a newer protocol of groups, in which the coordinator shares out
wire: a client that sends one request as it is written, and follows nobody
KIP: a Kafka improvement proposal
past: as Kafka was, with an old fault";

/// The bar.
pub(crate) fn bar(room: Room) -> AnyView {
    let playing = live(room, |it| if it.is_still() { "Play" } else { "Pause" }.to_owned());
    let picture = live(room, |it| if it.is_still() { "#i-play" } else { "#i-pause" }.to_owned());
    let speed = live(room, |it| speed_words(it.speed));
    let options: Vec<AnyView> = UNTIL.map(|(value, words)| option(value.to_owned(), words.to_owned())).into();
    view! {
        <header class="bar">
            <div class="brand"><svg width="22" height="22" aria-hidden="true"><use href="#g-brand"/></svg><span>"Vivarium"</span></div>
            <h1><span class="sr">"A Kafka cluster under glass"</span><select id="rooms" aria-label="Room">{rooms::options()}</select></h1>
            <nav class="transport" aria-label="Transport">
                {tool(room, "to-start", "To the beginning", "To the beginning (Home)", "#i-start", |it| it.seek(0))}
                {tool(room, "back", "Step back", "Step back (←)", "#i-back", Room::back)}
                <button id="play" class="play" aria-label=playing title="Play or pause (Space)" on:click=move |_| room.toggle()>
                    <svg class="g" aria-hidden="true"><use href=picture/></svg>
                </button>
                {tool(room, "step", "Step", "Step (→)", "#i-step", Room::step)}
                {tool(room, "to-end", "To the furthest step", "To the furthest step (End)", "#i-end", Room::seek_end)}
                <select id="until" class="until" aria-label="Run until"><option value="">"run until …"</option>{options}</select>
            </nav>
            <div class="when"><p class="clock" id="clocks"></p></div>
            <label class="dial"><input id="speed" type="range" min="-3" max="2" step="0.1" value="-2" aria-label="Speed" aria-valuetext=speed/><span class="mono">{speed}</span>" speed"</label>
            <div class="dial seed">"seed"<b>{live(room, |it| it.seed.to_string())}</b></div>
            <button id="share" class="chip" title="Share this moment, or export the run (s)">"Share"</button>
            <button id="open" class="chip" title="Open a scenario file; it can be dropped on the page, too">"Open"</button>
            {tool(room, "keys", "Words and keys", "Words and keys (?)", "", keys::help)}
        </header>
    }
    .into_any()
}

/// What a word means, as the list has it; nothing if it is not in it.
pub(crate) fn meaning(word: &str) -> &'static str {
    let means = |it: &'static str| it.split_once(": ").filter(|it| it.0 == word);
    WORDS.lines().find_map(means).map_or("", |it| it.1)
}

/// A button of the bar.
fn tool(
    room: Room,
    id: &'static str,
    label: &'static str,
    title: &'static str,
    picture: &'static str,
    does: fn(Room),
) -> AnyView {
    let (class, inside) = if picture.is_empty() { ("chip", "?".into_any()) } else { ("tool", glyph(picture)) };
    view! { <button id=id class=class aria-label=label title=title on:click=move |_| does(room)>{inside}</button> }
        .into_any()
}

/// A choice of a menu.
pub(crate) fn option(value: String, words: String) -> AnyView {
    view! { <option value=value>{words}</option> }.into_any()
}

/// The virtual time and the step.
pub(crate) fn clocks(scene: &Scene) -> Vec<Shape> {
    let (time, us) = clock(scene.view.time_us);
    let number = |it: u64| grouped(it);
    vec![
        shape("b").set("id", "clock").say(time).with([shape("i").say(format!(" {us}"))]),
        shape("small").with([
            text("virtual time · step "),
            shape("span").set("id", "event").say(number(scene.view.event)),
            classed("span", "opt").say(format!(" of {}", number(scene.view.last_event))),
        ]),
    ]
}

/// Ten to a power, of which the dial has tenths. (What takes any exponent is a kilobyte to download.)
pub(crate) fn ten_to(exponent: f64) -> f64 {
    let steps = (exponent * 10.0).round() as i32;
    let mut power = 1.0;
    for _ in 0..steps.unsigned_abs() {
        power *= 1.258_925_411_794_167_2;
    }
    if steps < 0 { 1.0 / power } else { power }
}

/// −1.0 → "1/10×", 0.3 → "2×".
fn speed_words(exponent: f64) -> String {
    let tenths = (ten_to(exponent.abs()) * 10.0).round() as u64;
    let (whole, rest) = (tenths / 10, tenths % 10);
    let times = match rest {
        0 => whole.to_string(),
        _ if whole >= 10 => (whole + rest / 5).to_string(),
        _ => format!("{whole}.{rest}"),
    };
    if exponent < -0.001 { format!("1/{times}×") } else { format!("{times}×") }
}

/// The keys, over everything else.
pub(crate) fn help(scene: &Scene) -> Vec<Shape> {
    if !scene.help {
        return Vec::new();
    }
    let keys = KEYS.iter().flat_map(|(key, does)| [shape("dt").with([shape("kbd").say(*key)]), shape("dd").say(*does)]);
    let note = "Tab reaches everything. In a log, ← and → choose a record; Page Up and Page Down scroll, Home and End go to its ends.";
    let words = WORDS.lines().filter_map(|it| it.split_once(": "));
    let words = words.flat_map(|(word, means)| [shape("dt").say(word), shape("dd").say(means)]);
    let list = classed("div", "help").set("id", "words").set("tabindex", "-1").set("role", "dialog");
    vec![list.set("aria-label", "Words and keys").with([
        shape("h2").say("Words"),
        shape("dl").with_all(words.collect()),
        shape("h2").say("Keys"),
        shape("dl").with_all(keys.collect()),
        classed("p", "note").say(note),
        classed("button", "knob").set("data-do", "help:").say("Close"),
    ])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_of_the_menu_is_a_line() {
        let words = sim::script::Happening::ALL.map(sim::script::Happening::word);
        let mut chosen = Vec::new();
        for (line, _) in UNTIL {
            let read = sim::script::Scenario::parse(line).unwrap();
            assert_eq!(read.steps[0].1.to_string(), line);
            chosen.extend(line.split(' ').nth(3));
        }
        assert_eq!(chosen, words, "whatever can be waited for can be chosen");
    }

    #[test]
    fn speeds_are_fractions_below_one() {
        for (exponent, text) in
            [(-3.0, "1/1000×"), (-2.0, "1/100×"), (-0.3, "1/2×"), (0.0, "1×"), (0.4, "2.5×"), (2.0, "100×")]
        {
            assert_eq!(speed_words(exponent), text);
        }
    }
}
