//! What is served, where it runs: the page's module and the simulator in it, in a real browser.
#![cfg(target_family = "wasm")]

mod page;
mod simulator;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
