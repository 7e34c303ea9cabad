//! Every click as the line that it ran, and a place to type more.

use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::prelude::*;

use super::stamp;
use super::state::{Line, Room};

/// Lines in sight.
const SHOWN: usize = 4;

#[component]
pub(crate) fn Terminal(room: Room) -> impl IntoView {
    let text = RwSignal::new(String::new());
    // How many lines back the arrows have gone.
    let recalled = RwSignal::new(0_usize);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        recalled.set(0);
        if room.act(&text.get_untracked()) {
            text.set(String::new());
        }
    };
    let recall = move |event: KeyboardEvent| {
        let step: isize = match event.key().as_str() {
            "ArrowUp" => 1,
            "ArrowDown" => -1,
            _ => return,
        };
        event.prevent_default();
        let lines = room.lines.get_untracked();
        let typed: Vec<&Line> = lines.iter().filter(|it| !it.failed).collect();
        let back = recalled.get_untracked().saturating_add_signed(step).min(typed.len());
        recalled.set(back);
        text.set(if back == 0 { String::new() } else { typed[typed.len() - back].text.clone() });
    };
    let last = move || {
        let lines = room.lines.get();
        let skip = lines.len().saturating_sub(SHOWN);
        lines.into_iter().skip(skip).collect::<Vec<_>>()
    };
    view! {
        <footer class="term">
            <ol class="lines" id="lines" aria-label="Actions">
                <For each=last key=|it| it.number children=|line| view! {
                    <li class:harm=line.failed><span>{stamp(line.time_us)}" › "</span><b>{line.text}</b></li>
                }/>
            </ol>
            <form on:submit=submit><label><span aria-hidden="true">"›"</span><input id="line" aria-label="Action" autocomplete="off" autocapitalize="off" spellcheck="false"
                placeholder="type an action, such as: produce p1 orders key=eva value=hi" prop:value=move || text.get() on:keydown=recall on:input=move |event| text.set(event_target_value(&event))/></label></form>
            <span class="end"><kbd>"?"</kbd>" keys"</span>
        </footer>
    }
}
