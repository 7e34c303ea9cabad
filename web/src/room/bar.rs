//! What, when, how fast: the bar at the top, and the list of keys.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::state::{Motion, Room};
use super::{clock, glyph, grouped};
use crate::engine::Until;

/// What the menu offers to wait for: value, words.
const UNTIL: [(&str, &str, Until); 5] = [
    ("append", "a record is written", Until::Append),
    ("ack", "a producer is told", Until::Ack),
    ("records", "a consumer gets records", Until::Records),
    ("retry", "a batch is sent again", Until::Retry),
    ("check", "a check breaks", Until::BrokenCheck),
];

/// The keys: key, what it does.
const KEYS: [(&str, &str); 10] = [
    ("Space", "play or pause"),
    ("→", "one step"),
    ("←", "one step back"),
    ("Home", "to the beginning"),
    ("End", "to the furthest step"),
    ("+ −", "faster, slower"),
    ("a", "add a record"),
    ("k", "kill or start the broker"),
    ("/", "type an action"),
    ("?", "this list"),
];

#[component]
pub(crate) fn Bar(room: Room) -> impl IntoView {
    let playing = move || room.motion.get() != Motion::Still;
    let play = move || if playing() { "Pause" } else { "Play" };
    let until = move |value: String| {
        if let Some((_, _, until)) = UNTIL.into_iter().find(|(name, ..)| *name == value) {
            room.go(Motion::Until(until));
        }
    };
    view! {
        <header class="bar">
            <div class="brand"><svg width="22" height="22" aria-hidden="true"><use href="#g-brand"/></svg><span>"Vivarium"</span></div>
            <h1>"A Kafka cluster under glass"</h1>
            <nav class="transport" aria-label="Transport">
                <button id="to-start" aria-label="To the beginning" title="To the beginning (Home)" on:click=move |_| room.seek(0)>{glyph("i-start")}</button>
                <button id="back" aria-label="Step back" title="Step back (←)" on:click=move |_| room.back()>{glyph("i-back")}</button>
                <button id="play" class="play" aria-label=play title="Play or pause (Space)" on:click=move |_| room.toggle()>
                    <svg class="g" aria-hidden="true"><use href=move || if playing() { "#i-pause" } else { "#i-play" }/></svg>
                </button>
                <button id="step" aria-label="Step" title="Step (→)" on:click=move |_| room.step()>{glyph("i-step")}</button>
                <button id="to-end" aria-label="To the furthest step" title="To the furthest step (End)" on:click=move |_| room.seek(room.last_event.get_untracked())>{glyph("i-end")}</button>
                <select id="until" class="until" aria-label="Run until" on:change=move |event| {
                    until(event_target_value(&event));
                    // The menu is a verb: the same choice can be made again.
                    event_target::<leptos::web_sys::HtmlSelectElement>(&event).set_selected_index(0);
                }>
                    <option value="">"run until …"</option>
                    {UNTIL.map(|(value, words, _)| view! { <option value=value>{words}</option> }).collect_view()}
                </select>
            </nav>
            <p class="clock">
                <b id="clock">{move || clock(room.time_us.get()).0}<i>" "{move || clock(room.time_us.get()).1}</i></b>
                <small>"virtual time · step "<span id="event">{move || grouped(room.event.get())}</span><span class="opt">" of "{move || grouped(room.last_event.get())}</span></small>
            </p>
            <label class="dial"><input id="speed" type="range" min="-3" max="2" step="0.1" aria-label="Speed" aria-valuetext=move || speed(room.speed.get())
                prop:value=move || room.speed.get() on:input=move |event| {
                    if let Ok(value) = event_target_value(&event).parse() { room.speed.set(value) }
                }/><span class="mono">{move || speed(room.speed.get())}</span>" speed"</label>
            <div class="dial seed">"seed"<b>{room.seed}</b></div>
            <button class="chip" aria-label="Keys" title="Keys (?)" on:click=move |_| room.help.update(|it| *it = !*it)>"?"</button>
        </header>
    }
}

/// −1.0 → "1/10×", 0.3 → "2×".
fn speed(exponent: f64) -> String {
    let times = 10_f64.powf(exponent.abs());
    let digits = if times < 9.95 && times.fract() > 0.05 && times.fract() < 0.95 { 1 } else { 0 };
    match exponent < -0.001 {
        true => format!("1/{times:.digits$}×"),
        false => format!("{times:.digits$}×"),
    }
}

/// The keys, over everything else.
#[component]
pub(crate) fn Help(room: Room) -> impl IntoView {
    let close = move |event: SubmitEvent| {
        event.prevent_default();
        room.help.set(false);
    };
    let keys = move || {
        room.help.get().then(|| {
            view! {
                <form class="help" role="dialog" aria-label="Keys" on:submit=close>
                    <h2>"Keys"</h2>
                    <dl>{KEYS.map(|(key, does)| view! { <dt><kbd>{key}</kbd></dt><dd>{does}</dd> }).collect_view()}</dl>
                    <p class="note">"Tab reaches everything. In a log, ← and → choose a record; Page Up and Page Down scroll."</p>
                    <button class="knob" autofocus>"Close"</button>
                </form>
            }
        })
    };
    view! { {keys} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_fractions_below_one() {
        for (exponent, text) in
            [(-3.0, "1/1000×"), (-2.0, "1/100×"), (-0.3, "1/2×"), (0.0, "1×"), (0.4, "2.5×"), (2.0, "100×")]
        {
            assert_eq!(speed(exponent), text);
        }
    }
}
