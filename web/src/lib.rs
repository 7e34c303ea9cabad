//! The lab: draws a simulated cluster and lets a person act on it. No broker logic is here.

mod bytes;
mod draw;
mod engine;
mod groups;
mod js;
mod lab;
mod lanes;
mod look;
mod page;
mod room;
mod telling;
mod view;
mod why;

use leptos::prelude::*;
use wasm_bindgen::prelude::*;

pub use lab::{Lab, bench};
pub use page::Page;

/// The engine's version, which a shared run names so that another engine never replays it unnoticed.
#[wasm_bindgen]
pub fn version() -> String {
    sim::history::ENGINE.to_owned()
}

/// Takes over the page's skeleton. Called once, after the module is loaded; scripts that only want the engine don't. What the page's
/// own scripts may ask of the room.
#[wasm_bindgen(skip_typescript)]
pub fn mount() -> Result<Page, JsValue> {
    let skeleton = document().get_element_by_id("lab").ok_or("the page has no element #lab")?;
    skeleton.set_inner_html("");
    Ok(Page::new(room::open(skeleton.unchecked_into())?))
}

/// Leaves the run's text on the page, where it survives a fault of the engine: index.html shows it then.
pub(crate) fn leave(run: &str) {
    if let Some(lab) = document().get_element_by_id("lab") {
        let _ = lab.set_attribute("data-run", run);
    }
}
