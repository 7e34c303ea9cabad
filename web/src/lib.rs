//! The lab: draws a simulated cluster and lets a person act on it. No broker logic is here.

mod bytes;
mod draw;
#[cfg(test)]
mod effort;
mod engine;
mod groups;
mod js;
mod lab;
mod lanes;
mod look;
mod memory;
mod page;
mod room;
mod telling;
mod view;
mod why;

use leptos::prelude::*;
use leptos::web_sys::js_sys::Function;
use wasm_bindgen::prelude::*;

pub use lab::{Lab, bench};
pub use page::Page;

/// The engine's version, which a shared run names so that another engine never replays it unnoticed.
#[wasm_bindgen]
pub fn version() -> String {
    sim::history::ENGINE.to_owned()
}

/// Takes over the page's skeleton. Called once, after the module is loaded; scripts that only want the engine don't. What the page's
/// own scripts may ask of the room. `painter` is `paint` of ink.js.
#[wasm_bindgen(skip_typescript)]
pub fn mount(painter: Function) -> Result<Page, JsValue> {
    let skeleton = document().get_element_by_id("lab").ok_or("the page has no element #lab")?;
    skeleton.set_inner_html("");
    Ok(Page::new(room::open(skeleton.unchecked_into(), painter)?))
}

/// Leaves a run's lines on the page, where they survive a fault of the engine: index.html shows them then, with what is to come
/// next, from a time on. They are added to what is there, or instead of it.
pub(crate) fn leave(lines: &str, is_more: bool, next: &str, time_us: u64) {
    let Some(run) = document().get_element_by_id("run") else { return };
    if !is_more {
        run.set_text_content(None);
    }
    if !lines.is_empty() {
        // A node of its own: what is there already is not touched.
        let _ = run.append_with_str_1(lines);
    }
    let _ = run.set_attribute("data-next", next);
    let _ = run.set_attribute("data-at", &time_us.to_string());
}
