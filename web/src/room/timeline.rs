//! The run from its first step to its furthest, and its branches.

use leptos::prelude::*;

use super::state::Room;
use super::{grouped, stamp};
use crate::engine::Tick;

/// Ticks of one kind closer than this share of the lane are one.
const CLOSE: f64 = 0.004;

#[component]
pub(crate) fn Timeline(room: Room) -> impl IntoView {
    // Ticks come with steps; while the clock runs inside what is known nothing is new.
    let ticks = Memo::new(move |_| {
        let last = room.last_event.get().max(1) as f64;
        room.branch.track();
        let mut shown: Vec<(Tick, f64)> = Vec::new();
        for tick in room.with(|engine| engine.ticks().to_vec()) {
            let at = tick.event as f64 / last;
            let close = shown.iter().rev().take_while(|it| at - it.1 < CLOSE).any(|it| it.0.kind == tick.kind);
            if !close {
                shown.push((tick, at));
            }
        }
        shown
    });
    let lane = move || {
        let (index, branches) = (room.branch.get(), room.branches.get());
        branches.get(index).map(|it| it.name.clone()).unwrap_or_default()
    };
    let share = move || room.event.get() as f64 / room.last_event.get().max(1) as f64;
    view! {
        <section class="time" aria-label="Timeline">
            <div class="lanes">
                <For each=move || room.branches.get().into_iter().enumerate() key=|it| (it.0, it.1.name.clone()) children=move |(index, branch)| {
                    let from = branch.forked_at.map_or(String::new(), |it| format!(", from step {}", grouped(it)));
                    view! { <button class="branch" class:on=move || room.branch.get() == index aria-pressed=move || (room.branch.get() == index).to_string()
                        title=format!("{}{from}", branch.name) on:click=move |_| room.switch(index)>{branch.name.clone()}</button> }
                }/>
            </div>
            <div class="lane" style=("--now", move || share().to_string())>
                <div class="ticks" aria-hidden="true">
                    <For each=move || ticks.get() key=|it| (it.0.event, it.0.kind, (it.1 * 1e4) as i64) children=|(tick, at)| view! {
                        <i class=tick.kind.class() style=("--t", at.to_string()) title=tick.kind.word()></i>
                    }/>
                </div>
                <input id="seek" type="range" min="0" max=move || room.last_event.get() prop:value=move || room.event.get()
                    aria-label=move || format!("Moment on {}", lane()) aria-valuetext=move || format!("step {}, {} s", room.event.get(), stamp(room.time_us.get()))
                    on:input=move |event| { if let Ok(to) = event_target_value(&event).parse() { room.seek(to) } }/>
            </div>
            <div class="legend"><span><i class="k ack"></i>"told ok"</span><span><i class="k fault"></i>"action"</span><span><i class="k retry"></i>"retry"</span><span><i class="k up"></i>"serves"</span></div>
        </section>
    }
}
