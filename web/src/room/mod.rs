//! The lab's room: brokers, a topic, producers and consumers, under glass.
//!
//! The bar, the forms and the terminal's line are Leptos; whatever changes with the clock is a drawing (`crate::draw`), a
//! function of the [`scene::Scene`]. What a click on a drawing does, its `data-do` says.

mod apart;
mod bar;
mod canvas;
mod complete;
mod course;
mod doing;
mod drawings;
mod faults;
mod fields;
pub(crate) mod files;
mod flight;
mod groups;
mod inspector;
mod keys;
mod labels;
mod lanes;
mod ledger;
pub(crate) mod left;
mod lesson;
mod log;
mod looking;
mod motion;
mod pen;
mod plan;
mod progress;
mod quorum;
mod reader;
mod rescue;
mod rooms;
mod said;
mod sayings;
mod scene;
mod side;
mod spacetime;
mod stage;
mod state;
mod story;
mod tables;
mod terminal;
mod timeline;
mod turns;
mod verdict;
mod way;
mod zookeeper;

use leptos::prelude::*;
use leptos::web_sys::js_sys::Function;
use wasm_bindgen::JsValue;

use drawings::Drawings;
use scene::Scene;
pub(crate) use state::Room;

/// Puts the room into an element of the page: the one that the page's address names, or where somebody was last. The painter draws
/// on its canvases.
pub(crate) fn open(place: leptos::web_sys::HtmlElement, painter: Function) -> Result<Room, JsValue> {
    let owner = Owner::new();
    let (choice, is_first) = rooms::first();
    let engines = choice.engines()?;
    let room = owner.with(|| Room::new(choice, engines));
    mount_to(place, move || {
        let views: [AnyView; 5] = [
            bar::bar(room),
            story::story(room),
            frame(),
            terminal::terminal(room),
            view! { <div id="help"></div> }.into_any(),
        ];
        views.collect_view()
    })
    .forget();
    // The room stays as long as the page.
    std::mem::forget(owner);
    room.show_in(Drawings::new(painter)?);
    // What is sent, not what could be.
    keys::set_value("rate", "");
    keys::listen(room);
    keys::set_value("rooms", choice.id);
    room.begin(is_first);
    rooms::remember(choice.id);
    Ok(room)
}

/// Where the drawings are.
fn frame() -> AnyView {
    view! {
        <section id="said" aria-label="Said and seen"></section>
        <section class="glass" id="glass" aria-label="Cluster and log"><div id="cluster"></div><div id="logs"></div><canvas id="canvas" aria-hidden="true" hidden></canvas><canvas id="canvas-logs" aria-hidden="true" hidden></canvas></section>
        <div class="under"><div id="tables"></div><div id="zookeeper"></div><div id="groups"></div><div id="quorum"></div><div id="folder"></div><div id="spacetime"></div></div>
        <aside class="side" id="side"></aside>
    }
    .into_any()
}

/// A text of the scene that follows it. Not generic, so that it is linked once.
fn live(room: Room, words: fn(&Scene) -> String) -> impl Fn() -> String + Copy + Send + Sync + 'static {
    move || room.watch(words)
}

/// A glyph of index.html's sheet.
fn glyph(name: &'static str) -> AnyView {
    view! { <svg class="g" aria-hidden="true"><use href=name/></svg> }.into_any()
}

/// 1412 → "1 412", with a space that does not break.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// 26 418 350 µs → ("00:00:26.418", "350").
pub(crate) fn clock(us: u64) -> (String, String) {
    let (ms, s) = (us / 1_000, us / 1_000_000);
    (format!("{:02}:{:02}:{:02}.{:03}", s / 3_600, s / 60 % 60, s % 60, ms % 1_000), format!("{:03}", us % 1_000))
}

/// 26 418 350 µs → "26.418 350", as the terminal and the inspector stamp things.
pub(crate) fn stamp(us: u64) -> String {
    format!("{}.{:03}\u{202f}{:03}", us / 1_000_000, us / 1_000 % 1_000, us % 1_000)
}

/// 1 249 000 µs → "1.2".
pub(crate) fn seconds(us: u64) -> String {
    of_tenths(in_tenths(us))
}

/// In tenths of a second, rounded.
fn in_tenths(us: u64) -> u64 {
    (us + 50_000) / 100_000
}

fn of_tenths(tenths: u64) -> String {
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// How long it is until something, in two or three digits.
pub(crate) fn left(us: u64) -> String {
    let tenths = |of: u64, unit: &str| format!("{}.{} {unit}", us / of, us % of * 10 / of);
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => tenths(1_000, "ms"),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..10_000_000 => tenths(1_000_000, "s"),
        10_000_000..600_000_000 => format!("{} s", us / 1_000_000),
        _ => format!("{} min", us / 60_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(
            (grouped(7), grouped(1_412), grouped(1_000_000)),
            ("7".into(), "1\u{202f}412".into(), "1\u{202f}000\u{202f}000".into())
        );
        assert_eq!(clock(26_418_350), ("00:00:26.418".into(), "350".into()));
        assert_eq!(clock(3_661_000_001), ("01:01:01.000".into(), "001".into()));
        assert_eq!(stamp(11_900_005), "11.900\u{202f}005");
        let times = [(7, "7 µs"), (2_150, "2.1 ms"), (312_400, "312 ms"), (4_960_000, "4.9 s"), (29_500_000, "29 s")];
        for (us, text) in times {
            assert_eq!(left(us), text);
        }
    }
}
