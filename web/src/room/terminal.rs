//! Every click as the line that it ran, and a place to type more.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::keys::{set_value, value_of};
use super::scene::Scene;
use super::stamp;
use super::state::Room;
use crate::draw::{Shape, shape};

/// Lines in sight.
const SHOWN: usize = 4;

/// The terminal.
pub(crate) fn terminal(room: Room) -> AnyView {
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        // Each change is a look at the engine and a drawing.
        if room.with(|it| it.recalled > 0) {
            room.change(|scene| scene.recalled = 0);
        }
        if room.act(&value_of("line")) {
            set_value("line", "");
        }
    };
    view! {
        <footer class="term">
            <ol class="lines" id="lines" aria-label="Actions"></ol>
            <form on:submit=submit><label><span aria-hidden="true">"›"</span><input id="line" aria-label="Action" autocomplete="off" autocapitalize="off" spellcheck="false"
                placeholder="type an action, such as: produce p1 orders key=eva value=hi"/></label></form>
            <span class="end"><kbd>"?"</kbd>" keys"</span>
        </footer>
    }
    .into_any()
}

/// Puts a line of before into the field: one further back, or one less.
pub(crate) fn recall(room: Room, step: isize) {
    let mut text = String::new();
    room.change(|scene| {
        let done: Vec<&str> = scene.lines.iter().filter(|it| !it.failed).map(|it| &*it.text).collect();
        let back = scene.recalled.saturating_add_signed(step).min(done.len());
        if back > 0 {
            text = done[done.len() - back].to_owned();
        }
        scene.recalled = back;
    });
    set_value("line", &text);
}

/// The last lines.
pub(crate) fn lines(scene: &Scene) -> Vec<Shape> {
    let last = &scene.lines[scene.lines.len().saturating_sub(SHOWN)..];
    let line = |it: &super::scene::Line| {
        shape("li")
            .keyed(it.number as u64)
            .when(it.failed, "class", "harm")
            .with([shape("span").say(format!("{} › ", stamp(it.time_us))), shape("b").say(it.text.clone())])
    };
    last.iter().map(line).collect()
}
