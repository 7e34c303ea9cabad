//! The lab: draws a simulated cluster and lets a person act on it. No broker logic is here.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;

/// The engine's version, which a shared run names so that another engine never replays it unnoticed.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Takes over the page's skeleton. Called once, after the module is loaded; scripts that only want the engine don't.
#[wasm_bindgen]
pub fn mount() -> Result<(), JsValue> {
    console_error_panic_hook::set_once();
    let status = document().get_element_by_id("status").ok_or("the page has no element #status")?;
    status.set_text_content(None);
    mount_to(status.unchecked_into(), Status).forget();
    Ok(())
}

/// Says that the engine runs, and which.
#[component]
fn Status() -> impl IntoView {
    view! { "Engine " <b id="engine">{version()}</b> " is ready in this tab." }
}
