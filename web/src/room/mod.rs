//! The lab's first room: one broker, a topic, producers and consumers, under glass.
#![allow(unreachable_pub, reason = "Leptos' #[component] writes pub items")]

mod bar;
mod keys;
mod log;
mod side;
mod stage;
mod state;
mod story;
mod terminal;
mod timeline;

use leptos::prelude::*;

use crate::engine::Engine;
use bar::{Bar, Help};
use log::Log;
use side::Side;
use stage::Stage;
pub(crate) use state::Room;
use story::Story;
use terminal::Terminal;
use timeline::Timeline;

/// Below this width the room is one column, as style.css has it.
const NARROW: &str = "(max-width: 1020px)";

/// The whole room, over a run.
#[component]
pub(crate) fn RoomView(engine: Engine) -> impl IntoView {
    let narrow = window().match_media(NARROW).ok().flatten();
    let room = Room::new(engine, narrow.as_ref().is_some_and(|it| it.matches()));
    let _ = window_event_listener(leptos::ev::resize, move |_| {
        let is_narrow = narrow.as_ref().is_some_and(|it| it.matches());
        if room.narrow.get_untracked() != is_narrow {
            room.narrow.set(is_narrow);
        }
    });
    keys::listen(room);
    view! {
        <Bar room/>
        <Story room/>
        <section class="glass" aria-label="Cluster and log">
            <Stage room/>
            <Log room/>
        </section>
        <Side room/>
        <Timeline room/>
        <Terminal room/>
        <Help room/>
    }
}

/// A glyph of index.html's sheet.
pub(crate) fn glyph(name: &'static str) -> impl IntoView {
    view! { <svg class="g" aria-hidden="true"><use href=format!("#{name}")/></svg> }
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
    }
}
