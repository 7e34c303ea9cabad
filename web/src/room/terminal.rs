//! Every click as the line that it ran, and a place to type more.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::keys::{set_value, value_of};
use super::scene::{Line, Scene, Voice};
use super::state::Room;
use super::{complete, progress, stamp};
use crate::draw::{Shape, classed, shape};

/// Lines in sight; with a long answer at most.
const SHOWN: usize = 4;
const MOST: usize = 16;
/// Words that are offered at most.
const OFFERED: usize = 24;
/// Lines that the browser keeps, and how long one of them may be.
const KEPT: usize = 60;
const LONGEST: usize = 400;

/// What can be typed, in short.
const HELP: &str = "kill, power-cut, stop, pause, resume, start · cut, heal, delay · topic, alter, reassign · produce, load, unload · consumer, subscribe, follow, seek · run 2s, run until next ack · show leader orders-0. Tab says what comes next; ? lists words and keys.";

/// The terminal.
pub(crate) fn terminal(room: Room) -> AnyView {
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        // Each change is a look at the engine and a drawing.
        if room.with(|it| it.recalled > 0 || !it.offers.is_empty()) {
            room.change(|scene| {
                scene.recalled = 0;
                scene.offers.clear();
            });
        }
        let line = value_of("line");
        if line.trim() == "help" {
            room.change(|scene| {
                scene.write("help", None);
                scene.answer(HELP.to_owned());
            });
            set_value("line", "");
        } else if room.act(&line) {
            set_value("line", "");
        }
    };
    view! {
        <div class="dock"><section class="time" id="time" aria-label="Timeline"></section><footer class="term">
            <ol class="lines" id="lines" aria-label="Actions"></ol>
            <form on:submit=submit><label><span aria-hidden="true">"›"</span><input id="line" aria-label="Action" autocomplete="off" autocapitalize="off" spellcheck="false"
                placeholder="type an action, such as: produce p1 orders key=eva value=hi"/></label></form>
            <span class="end"><kbd>"Tab"</kbd>" completes · "<kbd>"↑"</kbd>" before · "<kbd>"?"</kbd>" words, keys"</span>
        </footer></div>
    }
    .into_any()
}

/// Puts a line of before into the field: one further back, or one less.
pub(crate) fn recall(room: Room, step: isize) {
    let done = kept();
    let mut text = String::new();
    room.change(|scene| {
        let back = scene.recalled.saturating_add_signed(step).min(done.len());
        if back > 0 {
            text = done[done.len() - back].clone();
        }
        scene.recalled = back;
        scene.offers.clear();
    });
    set_value("line", &text);
}

/// Writes as much more of the last word as is sure, and offers what it can be. False if nothing can come next: the key is for
/// somebody else then.
pub(crate) fn complete(room: Room) -> bool {
    let line = value_of("line");
    if line.trim().is_empty() {
        return false;
    }
    let (at, mut offers) = room.with(|scene| complete::offers(&line, scene));
    let is_any = !offers.is_empty();
    let whole = complete::completed(&line, at, &offers);
    if whole != line {
        set_value("line", &whole);
        if whole.ends_with(' ') {
            offers = room.with(|scene| complete::offers(&whole, scene)).1;
        }
    }
    if is_any || room.with(|it| !it.offers.is_empty()) {
        room.change(|scene| scene.offers = if offers.len() > 1 { offers } else { Vec::new() });
    }
    is_any
}

/// Lines of before, the last at the end, also of other visits: the browser keeps them.
fn kept() -> Vec<String> {
    progress::lines().lines().map(str::to_owned).collect()
}

/// A line was done: the arrows bring it back.
pub(crate) fn keep(line: &str) {
    let mut lines = kept();
    if line.is_empty() || lines.last().is_some_and(|it| it == line) || line.contains('\n') || line.len() > LONGEST {
        return;
    }
    lines.push(line.to_owned());
    progress::keep_lines(&lines[lines.len().saturating_sub(KEPT)..].join("\n"));
}

/// The last lines, at least what the last one was answered; and what can come next in the one that is typed.
pub(crate) fn lines(scene: &Scene) -> Vec<Shape> {
    let all = &scene.lines;
    let typed = all.iter().rposition(|it| it.voice == Voice::Typed).unwrap_or(0);
    let first = typed.min(all.len().saturating_sub(SHOWN)).max(all.len().saturating_sub(MOST));
    let line = |it: &Line| {
        let said = shape("b").say(it.text.clone());
        let shape =
            shape("li").keyed(it.number as u64).with([shape("span").say(format!("{} › ", stamp(it.time_us))), said]);
        match it.voice {
            Voice::Typed => shape,
            Voice::Answer => shape.set("class", "answered"),
            Voice::Wrong => shape.set("class", "harm"),
        }
    };
    let mut shapes: Vec<Shape> = all[first..].iter().map(line).collect();
    if !scene.offers.is_empty() {
        let shown = &scene.offers[..scene.offers.len().min(OFFERED)];
        let more = if shown.len() < scene.offers.len() { " …" } else { "" };
        shapes.push(classed("li", "offers").set("id", "offers").set("role", "status").say(shown.join("  ") + more));
    }
    shapes
}
