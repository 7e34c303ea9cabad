//! The page's module in a real browser.

use leptos::prelude::document;
use leptos::web_sys::js_sys::Function;
use wasm_bindgen_test::wasm_bindgen_test;
use web::Lab;

/// It draws nothing.
fn painter() -> Function {
    Function::new_no_args("")
}

#[wasm_bindgen_test]
fn mounting_replaces_the_skeleton_by_the_room() {
    let lab = document().create_element("div").unwrap();
    lab.set_id("lab");
    lab.set_text_content(Some("Loading the engine …"));
    document().body().unwrap().append_child(&lab).unwrap();
    leptos::prelude::window().location().set_hash("three").unwrap();
    web::mount(painter()).unwrap();
    assert_eq!(document().get_element_by_id("engine").unwrap().text_content().unwrap(), web::version());
    assert!(document().query_selector("[data-partition='orders-0'] [data-replica='b3']").unwrap().is_some());
    lab.remove();
}

#[wasm_bindgen_test]
fn a_page_without_the_skeleton_is_an_error() {
    assert!(web::mount(painter()).is_err());
}

#[wasm_bindgen_test]
fn a_run_exported_in_the_browser_plays_again_to_the_same_hash() {
    let mut lab = Lab::new(None).unwrap();
    lab.act("kill b1").unwrap();
    for _ in 0..200 {
        lab.step();
    }
    lab.act("start b1").unwrap();
    lab.run_until(3_000_000.0).unwrap();
    let hash = |lab: &mut Lab| {
        let view = lab.view();
        leptos::web_sys::js_sys::Reflect::get(&view, &"hash".into()).unwrap().as_string().unwrap()
    };
    let mut again = Lab::new(Some(lab.export())).unwrap();
    assert_eq!(hash(&mut again), hash(&mut lab));
}
