//! One sentence a step, and what a person can do about it.

use client::{murmur2, partition_of_key};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use sim::script::quote::Quoted;

use super::glyph;
use super::state::{Motion, Room};
use crate::view::{Role, State};

/// What the producers can be asked for: words, µs between the records of one of three producers.
const RATES: [(&str, u64); 4] =
    [("nothing", 0), ("30 records/s", 100_000), ("300 records/s", 10_000), ("1,000 records/s", 3_000)];
/// Names that a person may like as keys.
const NAMES: &str = "eva tom lea dan ned uma yan";

#[component]
pub(crate) fn Story(room: Room) -> impl IntoView {
    let live = move || if room.motion.get() == Motion::Play { "off" } else { "polite" };
    view! {
        <section class="story" aria-label="Story">
            <p class="say" id="say" aria-live=live>{move || room.sentence.get()}</p>
            <AddRecord room/>
            <Faults room/>
            <p class="plain" id="status">
                "This cluster is "<b>"simulated"</b>" in the tab: its network, disks and clocks are imagined. Its broker and clients are not: engine "
                <b id="engine">{crate::version()}</b>" is the "<b>"same core"</b>" that "<code>"vivarium server"</code>" runs for real Kafka clients."
            </p>
        </section>
    }
}

/// A record by hand, and where its key leads.
#[component]
fn AddRecord(room: Room) -> impl IntoView {
    let key = RwSignal::new("eva".to_owned());
    let value = RwSignal::new("hello".to_owned());
    let producer = RwSignal::new(String::new());
    let producers = Memo::new(move |_| {
        let clients = room.clients.things();
        clients.into_iter().filter(|it| it.role == Role::Producer).map(|it| it.name).collect::<Vec<_>>()
    });
    let chosen = move || {
        let names = producers.get();
        let wanted = producer.get();
        names.iter().find(|it| **it == wanted).or(names.first()).cloned().unwrap_or_default()
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let (key, value) = (key.get_untracked(), value.get_untracked());
        let mut line = format!("produce {} orders", untrack(chosen));
        if !key.is_empty() {
            line.push_str(&format!(" key={}", Quoted(key.as_bytes())));
        }
        line.push_str(&format!(" value={}", Quoted(value.as_bytes())));
        room.act(&line);
    };
    let why = move || {
        let partitions = room.partitions.all().len() as i32;
        let key = key.get();
        if partitions == 0 {
            return view! { "There is no topic yet, so there is no partition to choose." }.into_any();
        }
        if key.is_empty() {
            return view! { "Without a key the producer sticks to one partition until it has sent it "<code>"batch.size"</code>" bytes (KIP-794)." }.into_any();
        }
        let hash = murmur2(key.as_bytes());
        let (partition, positive) = partition_of_key(key.as_bytes(), partitions);
        view! {
            <code>"murmur2("{key}") = "{signed(hash)}</code>
            <code>"toPositive → "{positive}</code>
            <code>"mod "{partitions}" = "<b id="taken">{partition}</b></code>
            <span>"so orders-"{partition}</span>
        }
        .into_any()
    };
    view! {
        <form class="panel" on:submit=submit>
            <h2>"Add a record"</h2>
            <div class="fields">
                <label>"key"<input id="key" list="names" autocomplete="off" spellcheck="false" maxlength="40" placeholder="none"
                    prop:value=move || key.get() on:input=move |event| key.set(event_target_value(&event))/></label>
                <label>"value"<input id="value" autocomplete="off" spellcheck="false" maxlength="200"
                    prop:value=move || value.get() on:input=move |event| value.set(event_target_value(&event))/></label>
                <label>"from"<select id="producer" prop:value=chosen on:change=move |event| producer.set(event_target_value(&event))>
                    {move || producers.get().into_iter().map(|name| view! { <option value=name.clone()>{name.clone()}</option> }).collect_view()}
                </select></label>
                <button id="add" class="knob">"Send"</button>
            </div>
            <datalist id="names">{NAMES.split(' ').map(|name| view! { <option value=name/> }).collect_view()}</datalist>
            <p class="why" id="why">{why}</p>
        </form>
    }
}

/// −973932308, with a real minus.
fn signed(number: i32) -> String {
    if number < 0 { format!("−{}", number.unsigned_abs()) } else { number.to_string() }
}

/// What can happen to the broker, each with the line it runs.
#[component]
fn Faults(room: Room) -> impl IntoView {
    let state = move || room.brokers.things().first().map(|it| it.state).unwrap_or_default();
    let runs = move || state().runs();
    let rate = move |words: String| {
        let Some((_, every)) = RATES.into_iter().find(|(it, _)| *it == words) else { return };
        for (index, client) in room.clients.things().into_iter().filter(|it| it.role == Role::Producer).enumerate() {
            // As in the scenario: the last producer's records have no keys.
            let keys = [5, 7, 0][index.min(2)];
            match every {
                0 => room.act(&format!("unload {}", client.name)),
                _ => room.act(&format!("load {} orders every={}us keys={keys} size=0", client.name, every)),
            };
        }
    };
    view! {
        <div class="panel">
            <h2>"Break it"</h2>
            <div class="faults">
                <button id="kill" class="act" title="Key: k" on:click=move |_| kill_or_start(room)>
                    {move || if runs() { view! { {glyph("g-off")}"Kill b1"<small>"kill -9, the OOM killer"</small> }.into_any() }
                        else { view! { {glyph("i-play")}"Start b1"<small>"on the same disk"</small> }.into_any() }}
                </button>
                <button id="power" class="act" disabled=move || !runs() on:click=move |_| { room.act("power-cut b1"); }>
                    {glyph("g-power")}"Cut its power"<small>"the page cache is gone"</small>
                </button>
                <button id="drop" class="act" on:click=move |_| { room.act("drop next response of Produce to p1"); }>
                    {glyph("g-drop")}"Lose an answer"<small>"the next Produce to p1"</small>
                </button>
                <label class="act rate">{glyph("g-rate")}"Producers send"
                    <select id="rate" aria-label="Producers send" on:change=move |event| rate(event_target_value(&event))>
                        {RATES.map(|(words, every)| view! { <option selected=every == 100_000>{words}</option> }).collect_view()}
                    </select>
                </label>
            </div>
        </div>
    }
}

/// Kills the broker, or starts it if there is none.
pub(crate) fn kill_or_start(room: Room) {
    let broker = untrack(|| room.brokers.things().into_iter().next());
    let Some(broker) = broker else { return };
    match broker.state {
        State::Down | State::Dark => room.act(&format!("start {}", broker.name)),
        State::Up | State::Starting | State::Stopping | State::Paused => room.act(&format!("kill {}", broker.name)),
    };
}
