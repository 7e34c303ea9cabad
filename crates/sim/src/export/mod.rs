//! A run in other spellings: a link that opens it in the lab, a Rust test, a script for a real cluster, a log for ShiViz.
//! As a scenario it is [`Scenario::of`](crate::script::Scenario::of).

mod base64;
pub mod link;
mod rust;
mod script;
mod shiviz;

pub use link::Shared;
pub use rust::rust_test;
pub use script::script;
pub use shiviz::shiviz;

/// A text on one line: nothing of it ends a comment or a log's line. Names and keys are anybody's, and may hold anything.
fn on_one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

/// 26 418 350 µs → `26.418350`.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}
