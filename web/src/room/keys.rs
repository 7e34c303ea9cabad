//! One key each for what is done most.

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use leptos::web_sys::{Element, HtmlElement};
use wasm_bindgen::JsCast;

use super::state::Room;
use super::story::kill_or_start;

/// Listens to the whole page.
pub(crate) fn listen(room: Room) {
    let _ = window_event_listener(leptos::ev::keydown, move |event| {
        if !event.default_prevented()
            && !event.ctrl_key()
            && !event.meta_key()
            && !event.alt_key()
            && pressed(room, &event)
        {
            event.prevent_default();
        }
    });
}

/// True if the key meant something.
fn pressed(room: Room, event: &KeyboardEvent) -> bool {
    let key = event.key();
    let target = event.target().and_then(|it| it.dyn_into::<Element>().ok());
    let inside = |selector: &str| target.as_ref().is_some_and(|it| it.closest(selector).ok().flatten().is_some());
    if key == "Escape" {
        room.help.set(false);
        if let Some(target) = target.and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
            // Leaving a field is what Escape is for; where there is no focus nothing is left.
            let _ = target.blur();
        }
        return true;
    }
    // What is typed belongs to the field; what a control does by itself it keeps.
    if inside("input:not([type=range]), select, textarea") || (inside("input[type=range]") && key != " ") {
        return false;
    }
    if key == " " && inside("button, summary") {
        return false;
    }
    match key.as_str() {
        " " => room.toggle(),
        "ArrowRight" | "." => room.step(),
        "ArrowLeft" | "," => room.back(),
        "Home" => room.seek(0),
        "End" => room.seek(room.last_event.get_untracked()),
        "+" | "=" => room.speed.update(|it| *it = (*it + 0.1).min(2.0)),
        "-" => room.speed.update(|it| *it = (*it - 0.1).max(-3.0)),
        "k" => kill_or_start(room),
        "a" => focus("#key"),
        "/" => focus("#line"),
        "?" => room.help.update(|it| *it = !*it),
        _ => return false,
    }
    true
}

fn focus(selector: &str) {
    let found = document().query_selector(selector).ok().flatten();
    if let Some(element) = found.and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
        // An element that cannot take the focus leaves it where it is.
        let _ = element.focus();
    }
}
