//! The page's module in a real browser.
#![cfg(target_family = "wasm")]

use leptos::prelude::document;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn mounting_says_which_engine_runs() {
    let status = document().create_element("p").unwrap();
    status.set_id("status");
    status.set_text_content(Some("Loading the engine …"));
    document().body().unwrap().append_child(&status).unwrap();
    web::mount().unwrap();
    assert_eq!(status.text_content().unwrap(), format!("Engine {} is ready in this tab.", web::version()));
    status.remove();
}

#[wasm_bindgen_test]
fn a_page_without_the_skeleton_is_an_error() {
    assert!(web::mount().is_err());
}
